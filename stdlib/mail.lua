--- mail: a message to a mail server (RFC 5321, 5322).

local clock = require "clock"
local core = require "core.http"
local effect = require "effect"
local random = require "random"

local M = {}

local DAYS = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" } -- 1970-01-01 was a Thursday
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }
local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local WORD_BYTES = 45 -- of an encoded word, which may have 75 characters with everything around it

-- Set by compose itself; a second one would contradict it.
local OWN = { ["date"] = true, ["from"] = true, ["to"] = true, ["subject"] = true, ["message-id"] = true,
  ["mime-version"] = true, ["content-type"] = true, ["content-transfer-encoding"] = true }

local function date(wall)
  local year, month, day, time = clock.utc(wall):match "^(%d+)-(%d+)-(%d+)T(%d+:%d+:%d+)"
  return ("%s, %d %s %s %s +0000"):format(DAYS[wall // 86400 % 7 + 1], day, MONTHS[tonumber(month)], year, time)
end

local function base64(bytes)
  local out = {}
  for at = 1, #bytes, 3 do
    local a, b, c = bytes:byte(at, at + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for i = 0, 3 do
      local index = n >> (18 - 6 * i) & 63
      out[#out + 1] = i <= (c and 3 or b and 2 or 1) and BASE64:sub(index + 1, index + 1) or "="
    end
  end
  return table.concat(out)
end

local function one_line(name, value)
  if type(value) ~= "string" then error(("the mail's %s must be text"):format(name), 3) end
  if value:find "[%c]" then error(("the mail's %s must be one line"):format(name), 3) end
  return value
end

local function address(name, value)
  one_line(name, value)
  if not value:find "^[^%s<>,;:\"()%[%]\\]+@[^%s<>,;:\"()\\@]+$" or #value > 254 then
    error(("the mail's %s is no address such as name@host: %s"):format(name, value), 3)
  end
  return value
end

-- A header's text: as it is, or as encoded words (RFC 2047) when it is not plain ASCII or too long for a line.
local function header_text(value)
  if not value:find "[\128-\255]" and #value <= 900 and not value:find("=?", 1, true) then return value end
  local words, word = {}, ""
  for character in value:gmatch "[%z\1-\127\192-\255][\128-\191]*" do
    if #word + #character > WORD_BYTES then
      words[#words + 1], word = word, ""
    end
    word = word .. character
  end
  words[#words + 1] = word
  for i, text in ipairs(words) do words[i] = ("=?utf-8?B?%s?="):format(base64(text)) end
  return table.concat(words, "\r\n ")
end

-- Base64 keeps any text whole: long lines, a lone CR, a dot at the start of a line.
local function body_text(text)
  local encoded = base64((text:gsub("\r\n", "\n"):gsub("\n", "\r\n")))
  return (encoded:gsub(("."):rep(76), "%0\r\n"))
end

local function is_plain(text)
  if text:find "[^\n\32-\126\t]" then return false end
  for line in text:gmatch "[^\n]+" do if #line > 998 then return false end end
  return true
end

--- The message as text: headers, empty line, body with CRLF line ends.
-- Raises when an address or a header is not a single line of the right form, so that nothing in it can become
-- a header or a recipient of its own.
---@param message { from: string, to: string[], subject: string, text: string, headers?: table<string, string>, id?: string } id: of the message, by which one that comes twice is known
---@return string
---@usage assert(mail.compose({ from = "a@x", to = { "b@x" }, subject = "s", text = "t" }):find "Subject: s\r\n")
function M.compose(message)
  if type(message.to) ~= "table" or #message.to == 0 then error("the mail's to must be a list of addresses", 2) end
  local to = {}
  for i, one in ipairs(message.to) do to[i] = address("to", one) end
  local domain = address("from", message.from):match "@(.+)$"
  local text = tostring(message.text or ""):gsub("\r\n", "\n")
  local plain = is_plain(text)
  local lines = {
    "Date: " .. date(math.floor(clock.wall())), "From: " .. message.from, "To: " .. table.concat(to, ",\r\n "),
    "Subject: " .. header_text(one_line("subject", message.subject or "")), ("Message-ID: <%s@%s>"):format(message.id and one_line("id", message.id) or random.hex(16), domain),
    "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: " .. (plain and "7bit" or "base64"),
  }
  local names = {}
  for name in pairs(message.headers or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    if not name:find "^[%w%-]+$" or OWN[name:lower()] then error(("'%s' cannot be a further header of a mail"):format(name), 2) end
    lines[#lines + 1] = name .. ": " .. header_text(one_line(name, message.headers[name]))
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = plain and text:gsub("\n", "\r\n") or body_text(text)
  return table.concat(lines, "\r\n") .. "\r\n"
end

--- Sends a message; the server must accept it for every recipient.
-- server is smtp://host:port, where TLS is used if the server offers it and required with a password, or
-- smtps://host:port. timeout in seconds, default 30.
---@param message { server: string, from: string, to: string[], subject: string, text: string, headers?: table<string, string>, id?: string, timeout?: number, user?: any, password?: any, ca_file?: string }
---@return true?, table? err codes mail (refused), permission (login), connect, resolve, tls, timeout, closed
---@usage local ok, err = mail.send { server = "smtp://127.0.0.1:1", from = "a@x", to = { "b@x" }, subject = "s", text = "t" }  assert(err.code == "connect")
function M.send(message)
  if not tostring(message.server):match "^smtps?://" then error("server must be smtp://host:port or smtps://host:port", 2) end
  local response, err = effect.change("mail", function() return core.request { url = message.server, mail_from = message.from, mail_to = message.to, body = M.compose(message),
    timeout = message.timeout, user = message.user, password = message.password, ca_file = message.ca_file } end)
  if not response then return nil, err end
  return true
end

return M
