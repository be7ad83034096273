--- check.lexer: a Lua 5.4 source as tokens, each with the place where it stands.
--
-- A token is { kind =, at =, to =, value = }: kind is "name", "number", "string", "eof", or the keyword or symbol itself;
-- at and to are the offsets of its first and last byte. Knows no grammar.

local core_err = require "core.err"

local M = {}

local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until while"):gmatch "%a+" do
  KEYWORDS[word] = true
end

local SYMBOLS = {}
for sign in ("... << >> // == ~= <= >= :: .. + - * / % ^ # & ~ | < > = ( ) { } [ ] ; : , ."):gmatch "%S+" do SYMBOLS[sign] = true end

local ESCAPES = { a = "\a", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", v = "\v", ["\\"] = "\\", ['"'] = '"', ["'"] = "'", ["\n"] = "\n" }

local MAX_UTF8 = 0x7FFFFFFF

-- What is wrong is raised as { at, to, message, fix } and caught by tokens, below.
local function refuse(at, to, message, fix) error({ at = at, to = to, message = message, fix = fix }, 0) end

local function line_break(text, at)
  local pair = text:sub(at, at + 1)
  return (pair == "\r\n" or pair == "\n\r") and at + 2 or at + 1
end

-- The content of a long bracket that opens at `at`, and its last byte; nil if none opens there.
local function long_bracket(text, at, what)
  local equals = text:match("^%[(=*)%[", at)
  if not equals then return nil end
  local first = at + #equals + 2
  local from, to = text:find("]" .. equals .. "]", first, true)
  if not from then
    refuse(at, at + #equals + 1, ("the %s that begins here has no end"):format(what), ("End it with ]%s]."):format(equals))
  end
  local content = text:sub(first, from - 1):gsub("\r\n?", "\n")
  return (content:gsub("^\n", "")), to
end

-- One escape, whose backslash is at `at`: its bytes, and where the text goes on.
local function escape(text, at)
  local letter = text:sub(at + 1, at + 1)
  if letter == "\r" or letter == "\n" then return "\n", line_break(text, at + 1) end
  if ESCAPES[letter] then return ESCAPES[letter], at + 2 end
  if letter == "z" then return "", text:find("[^ \f\t\v\r\n]", at + 2) or #text + 1 end
  if letter == "x" then
    local digits = text:match("^%x%x", at + 2)
    if not digits then refuse(at, at + 3, "an escape \\x takes two hexadecimal digits", "Write it as \\x0A.") end
    return string.char(tonumber(digits, 16)), at + 4
  end
  if letter == "u" then
    local digits, stop = text:match("^{(%x+)}()", at + 2)
    local code = digits and #digits:gsub("^0+", "") <= 8 and tonumber(digits, 16)
    if not code or code > MAX_UTF8 then refuse(at, at + 2, "an escape \\u takes the number of a character in braces, at most 7FFFFFFF", "Write it as \\u{20AC}.") end
    return utf8.char(code), stop
  end
  local digits = text:match("^%d%d?%d?", at + 1)
  if not digits then refuse(at, at + 1, ("there is no escape \\%s"):format(letter), "Write \\\\ for a backslash.") end
  if tonumber(digits) > 255 then refuse(at, at + #digits, ("\\%s is no byte: the largest is \\255"):format(digits), "Write \\u{...} for a character by its number.") end
  return string.char(tonumber(digits)), at + 1 + #digits
end

local function quoted(text, at)
  local quote = text:sub(at, at)
  local parts, here = {}, at + 1
  while true do
    local stop = text:find("[\\\r\n" .. quote .. "]", here)
    local byte = stop and text:sub(stop, stop)
    if byte ~= quote and byte ~= "\\" then
      refuse(at, (stop or #text + 1) - 1, "this string has no end", ("Close it with %s in its own line."):format(quote))
    end
    parts[#parts + 1] = text:sub(here, stop - 1)
    if byte == quote then return table.concat(parts), stop end
    parts[#parts + 1], here = escape(text, stop)
  end
end

-- Takes what Lua takes for one number, so that 3x or 1..2 is one malformed number and not two tokens.
local function number(text, at)
  local exponent = text:find("^0[xX]", at) and "[pP]" or "[eE]"
  local here = exponent == "[pP]" and at + 2 or at
  while true do
    local stop = select(2, text:find("^" .. exponent .. "[+-]?", here)) or select(2, text:find("^[%x.]", here))
    if not stop then break end
    here = stop + 1
  end
  local to = select(2, text:find("^[%a_]", here)) or here - 1
  local value = tonumber(text:sub(at, to))
  if not value then refuse(at, to, ("'%s' is not a number"):format(text:sub(at, to)), "Write it as 12, 0.5, 1e-3 or 0x1F; put a blank between a number and what follows.") end
  return value, to
end

local function skip_comment(text, at)
  local _, to = long_bracket(text, at + 2, "comment")
  return (to or (text:find("[\r\n]", at) or #text + 1) - 1) + 1
end

local function symbol(text, at)
  for size = 3, 1, -1 do
    local candidate = text:sub(at, at + size - 1)
    if #candidate == size and SYMBOLS[candidate] then return candidate end
  end
end

local INSTEAD = { ["!"] = "Write `not x`, and `~=` for not equal.", ["$"] = "Write \"...\" .. x; there is no $.", ["?"] = "Write `a and b or c`." }

local function token(text, at)
  local word = text:match("^[%a_][%w_]*", at)
  if word then return { kind = KEYWORDS[word] and word or "name", at = at, to = at + #word - 1, value = word } end
  local byte = text:sub(at, at)
  if byte == '"' or byte == "'" then
    local value, to = quoted(text, at)
    return { kind = "string", at = at, to = to, value = value }
  end
  if text:find("^%d", at) or byte == "." and text:find("^%.%d", at) then
    local value, to = number(text, at)
    return { kind = "number", at = at, to = to, value = value }
  end
  if byte == "[" then
    local content, to = long_bracket(text, at, "string")
    if content then return { kind = "string", at = at, to = to, value = content } end
  end
  if text:find("^%[=+", at) then refuse(at, select(2, text:find("^%[=+", at)), "a long string begins with [[ or [=[", "Write [=[ ... ]=].") end
  local sign = symbol(text, at)
  if not sign then
    local last = at + #(text:match("^[%z\1-\127\194-\244][\128-\191]*", at) or byte) - 1
    refuse(at, last, ("'%s' has no meaning in Lua"):format(text:sub(at, last)), INSTEAD[byte] or "Remove it, or put it into a string.")
  end
  return { kind = sign, at = at, to = at + #sign - 1 }
end

--- The tokens of a source, the last of kind "eof". When the text is wrong somewhere, the tokens before that come with the error.
---@param text string
---@return table[] tokens, table? err code playbook, with at, to, message and fix
---@usage local tokens = require("check.lexer").tokens "a = 1"  assert(tokens[2].kind == "=" and tokens[3].value == 1)
function M.tokens(text)
  local found, at = {}, 1
  local ok, problem = pcall(function()
    while true do
      at = text:find("[^ \f\t\v\r\n]", at) or #text + 1
      if at > #text then break end
      if text:find("^%-%-", at) then
        at = skip_comment(text, at)
      else
        local next_token = token(text, at)
        found[#found + 1] = next_token
        at = next_token.to + 1
      end
    end
  end)
  if not ok then
    if type(problem) ~= "table" or not problem.at then error(problem, 0) end
    problem.code, problem.op = "playbook", "read Lua"
    return found, core_err.new(problem)
  end
  found[#found + 1] = { kind = "eof", at = #text + 1, to = #text + 1 }
  return found
end

return M
