--- mail: a message to a mail server (RFC 5321, 5322).

local clock = require "clock"
local core = require "core.http"
local core_err = require "core.err"
local random = require "random"

local M = {}

local DAYS = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" } -- 1970-01-01 was a Thursday
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

local function date(wall)
  local year, month, day, time = clock.utc(wall):match "^(%d+)-(%d+)-(%d+)T([%d:]+)"
  return ("%s, %d %s %s %s +0000"):format(DAYS[wall // 86400 % 7 + 1], day, MONTHS[tonumber(month)], year, time)
end

local function one_line(name, value)
  if value:find "[\r\n%z]" then error(("the mail's %s must be one line"):format(name), 3) end
  return value
end

--- The message as text: headers, empty line, body with CRLF line ends.
---@param message { from: string, to: string[], subject: string, text: string }
---@return string
---@usage assert(mail.compose({ from = "a@x", to = { "b@x" }, subject = "s", text = "t" }):find "Subject: s\r\n")
function M.compose(message)
  local domain = message.from:match "@(.+)$" or "localhost"
  return table.concat({
    "Date: " .. date(math.floor(clock.wall())), "From: " .. one_line("from", message.from), "To: " .. one_line("to", table.concat(message.to, ", ")),
    "Subject: " .. one_line("subject", message.subject), ("Message-ID: <%s@%s>"):format(random.hex(16), domain),
    "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "", (message.text:gsub("\r?\n", "\r\n")), "",
  }, "\r\n")
end

--- Sends a message; the server must accept it for every recipient.
---@param message { server: string, from: string, to: string[], subject: string, text: string, timeout?: number, user?: any, password?: any }
---@return true?, table? err
function M.send(message)
  if not tostring(message.server):match "^smtps?://" then error("server must be smtp://host:port or smtps://host:port", 2) end
  local bare = {}
  for i, address in ipairs(message.to) do bare[i] = "<" .. address .. ">" end
  local response, err = core.request { url = message.server, mail_from = "<" .. message.from .. ">", mail_to = bare, body = M.compose(message),
    timeout = message.timeout, user = message.user, password = message.password }
  if not response then return nil, err end
  if response.status ~= 250 and response.status ~= 221 then
    return nil, core_err.new { code = "protocol", op = "mail", message = ("the mail server answered %d"):format(response.status) }
  end
  return true
end

return M
