--- net: byte streams to and from other programs, over TCP and unix sockets.
--
-- Every step that waits has a time limit: that of the call, or the connection's own (10 s unless
-- connect was given another). A read that runs out of time loses nothing; a write that does closes.

local core = require "core.net"

local M = {}

local TIMEOUT_S = 10
local LIMIT_BYTES = 16 * 1024 * 1024

---@class net.Conn
---@field timeout number seconds that each of its steps may take
local Conn = {}
Conn.__index = Conn
Conn.__name = "connection"

---@class net.Listener
---@field port integer where it listens; 0 for a unix socket
local Listener = {}
Listener.__index = Listener
Listener.__name = "listener"

--- Reads an address as people write it: "/run/x.sock" (anything with a slash), "host:port", "[::1]:80".
---@param text string
---@return table|nil address { path = } or { host =, port = }; nil when it is neither
---@usage assert(net.address("[::1]:80").host == "::1")
function M.address(text)
  if text:find("/", 1, true) then return { path = text } end
  local host, port = text:match "^%[([%x:.]+)%]:(%d+)$"
  if not host then host, port = text:match "^([^:]+):(%d+)$" end
  port = math.tointeger(tonumber(port))
  if not port or port < 1 or port > 65535 then return nil end
  return { host = host, port = port }
end

local function check_where(options, name)
  if type(options) ~= "table" then error(name .. " takes a table with host and port, or path", 3) end
  if options.path and (options.host or options.port) then error(name .. " takes either path, or host and port", 3) end
end

local function new_conn(raw, timeout) return setmetatable({ raw = raw, timeout = timeout or TIMEOUT_S }, Conn) end

--- Connects.
---@param options { host?: string, port?: integer, path?: string, timeout?: number } timeout in seconds, for this and every later step
---@return net.Conn|nil conn, table? err connect, resolve, timeout, permission
---@usage local l = net.listen {}  local c = assert(net.connect { host = "127.0.0.1", port = l.port, timeout = 2 })  c:close()
function M.connect(options)
  check_where(options, "net.connect")
  if not options.path and not (options.host and options.port) then error("net.connect needs host and port, or path", 2) end
  local raw, err = core.connect(options.timeout or TIMEOUT_S, options.path, options.host, options.port)
  if not raw then return nil, err end
  return new_conn(raw, options.timeout)
end

--- Writes all of text.
---@param text string
---@param timeout? number seconds
---@return boolean|nil ok, table? err closed, timeout, io
---@usage local l = net.listen {}  local c = net.connect { host = "127.0.0.1", port = l.port }  assert(c:write "hello\n")
function Conn:write(text, timeout) return core.write(self.raw, text, timeout or self.timeout) end

--- Reads up to a delimiter, which is taken but not returned.
---@param delimiter string 1 to 64 bytes
---@param timeout? number seconds
---@param limit? integer bytes; more before the delimiter is error "limit" (default 16 MiB)
---@return string|nil text, table? err closed, timeout, limit, io
---@usage local l = net.listen {}  local c = net.connect { host = "127.0.0.1", port = l.port }  c:write "a;b;"  assert(l:accept():read_until ";" == "a")
function Conn:read_until(delimiter, timeout, limit)
  return core.read_until(self.raw, delimiter, limit or LIMIT_BYTES, timeout or self.timeout)
end

--- Reads a line; its end ("\n" or "\r\n") is not returned.
---@param timeout? number seconds
---@return string|nil line, table? err closed, timeout, limit, io
---@usage local l = net.listen {}  local c = net.connect { host = "127.0.0.1", port = l.port }  c:write "one\r\n"  assert(l:accept():read_line() == "one")
function Conn:read_line(timeout)
  local line, err = self:read_until("\n", timeout)
  if not line then return nil, err end
  return (line:gsub("\r$", ""))
end

--- Reads what there is: at least 1 byte, at most n. Waits only while there is nothing.
---@param n integer bytes
---@param timeout? number seconds
---@return string|nil text, table? err closed (the other side has ended), timeout, io
---@usage local l = net.listen {}  local c = net.connect { host = "127.0.0.1", port = l.port }  c:write "abc"  assert(#l:accept():read(2) >= 1)
function Conn:read(n, timeout) return core.read_some(self.raw, n, timeout or self.timeout) end

--- Reads until the other side has closed.
---@param timeout? number seconds for all of it
---@param limit? integer bytes (default 16 MiB)
---@return string|nil text, table? err timeout, limit, io
---@usage local l = net.listen {}  local c = net.connect { host = "127.0.0.1", port = l.port }  c:write "all"  c:close()  assert(l:accept():read_all() == "all")
function Conn:read_all(timeout, limit) return core.read_all(self.raw, limit or LIMIT_BYTES, timeout or self.timeout) end

--- Closes at once. Steps under way in other tasks end with error "closed". Closing twice is fine.
---@usage local l = net.listen {}  local c = net.connect { host = "127.0.0.1", port = l.port }  c:close()  assert(not c:is_open())
function Conn:close() core.close(self.raw) end
Conn.__close = Conn.close

--- Was it connected and not closed here? (The other side's end is only seen by reading.)
---@return boolean
function Conn:is_open() return core.is_open(self.raw) end

--- Listens. Without an address: on 127.0.0.1, any free port.
---@param options? { host?: string, port?: integer, path?: string } host: an address, "localhost" or "*" for every interface
---@return net.Listener|nil listener, table? err exists (in use), permission, usage
---@usage local l = assert(net.listen { port = 0 })  assert(l.port > 0)  l:close()
function M.listen(options)
  options = options or {}
  check_where(options, "net.listen")
  local raw, port
  if options.path then raw, port = core.listen(options.path)
  else raw, port = core.listen(nil, options.host or "127.0.0.1", options.port or 0) end
  if not raw then return nil, port end
  return setmetatable({ raw = raw, port = port }, Listener)
end

--- Waits for a connection.
---@param timeout? number seconds (default 10)
---@return net.Conn|nil conn, table? err timeout, closed, io
---@usage local l = net.listen {}  local c = net.connect { host = "127.0.0.1", port = l.port }  assert(l:accept(2))
function Listener:accept(timeout)
  local raw, err = core.accept(self.raw, timeout or TIMEOUT_S)
  if not raw then return nil, err end
  return new_conn(raw)
end

--- Stops listening at once; a unix socket's file is removed.
---@usage local l = net.listen {}  l:close()
function Listener:close() core.close_listener(self.raw) end
Listener.__close = Listener.close

--- A port on 127.0.0.1 that nobody uses now, for TCP and UDP. No other engine is given it as long as this one lives, but another program may take it: hand it on soon.
---@return integer|nil port, table? err
---@usage assert(net.free_port() > 0)
function M.free_port() return core.free_port() end

return M
