--- display.text: pieces of text on a terminal: how wide they are, how they are cut, and how they look without colour or without UTF-8.
--
-- A line is a list of pieces { text, colour =, optional = }. Of a line that is too long its optional pieces are left out, the highest
-- number first; what is too long then is cut.

local M = {}

local WIDE = { { 0x1100, 0x115F }, { 0x2E80, 0xA4CF }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF }, { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 }, { 0x1F300, 0x1FAFF }, { 0x20000, 0x3FFFD } }

local ASCII = { ["▶"] = ">", ["✓"] = "+", ["✗"] = "x", ["·"] = "-", ["…"] = "~", ["█"] = "#", ["░"] = ".", ["▁"] = "_", ["▂"] = ".", ["▃"] = ":", ["▄"] = "-", ["▅"] = "=", ["▆"] = "+", ["▇"] = "*" }

local function width_of(code)
  if code < 0x300 then return 1 end
  if code <= 0x36F or code == 0x200B or code == 0x200D or code == 0xFEFF then return 0 end
  for _, range in ipairs(WIDE) do
    if code >= range[1] and code <= range[2] then return 2 end
  end
  return 1
end

-- A text with something in place of each byte that is no part of UTF-8.
local function mended(text, instead)
  local out, from = {}, 1
  while true do
    local length, bad = utf8.len(text, from)
    if length then break end
    out[#out + 1] = text:sub(from, bad - 1) .. instead(text:byte(bad))
    from = bad + 1
  end
  return from == 1 and text or table.concat(out) .. text:sub(from)
end

--- A text whose every byte is a part of UTF-8.
---@param text string
---@return string
---@usage assert(require("display.text").valid "a\xFFb" == "a?b")
function M.valid(text) return mended(text, function() return "?" end) end

local function hex(byte) return ("\\x%02X"):format(byte) end

-- Characters that are written as what they are: C1 controls, and those that change the direction of what follows.
local function shown(character)
  local code = utf8.codepoint(character)
  if code < 0xA0 then return hex(code) end
  if (code >= 0x202A and code <= 0x202E) or (code >= 0x2066 and code <= 0x2069) then return ("\\u{%X}"):format(code) end
end

--- A text without what a terminal would obey, and without bytes that are no text. Line breaks and tabs stay.
---@param text string
---@return string
---@usage assert(require("display.text").plain "a\27[2Jb\xFF" == "a\\x1B[2Jb\\xFF")
function M.plain(text)
  if not text:find "[%c\127-\xFF]" then return text end
  text = mended(text, hex):gsub("[%c\127]", function(c) return not c:find "[\n\t]" and hex(c:byte()) or nil end)
  return (text:gsub("[\xC2\xE2][\x80-\xBF]+", shown))
end

--- A text as a part of one line: plain, and without line breaks and tabs.
---@param text string
---@return string
---@usage assert(require("display.text").one_line "a\n\tb\27" == "a b\\x1B")
function M.one_line(text) return (M.plain(text):gsub("[\n\t]+", " ")) end

--- How many columns a text takes.
---@param text string
---@return integer
---@usage assert(require("display.text").width "▶ a" == 3)
function M.width(text)
  if not text:find "[\x80-\xFF]" then return #text end
  local width = 0
  for _, code in utf8.codes(M.valid(text)) do width = width + width_of(code) end
  return width
end

--- As much of a text as fits.
---@param text string
---@param columns integer
---@return string
---@usage assert(require("display.text").cut("a long one", 6) == "a lon…" and require("display.text").cut("short", 6) == "short")
function M.cut(text, columns)
  text = M.one_line(text)
  if M.width(text) <= columns then return text end
  if columns < 1 then return "" end
  local width, last = 0, 0
  for position, code in utf8.codes(text) do
    width = width + width_of(code)
    if width > columns - 1 then break end
    last = position + #utf8.char(code) - 1
  end
  return text:sub(1, last) .. "…"
end

--- A text in ASCII alone.
---@param text string
---@return string
---@usage assert(require("display.text").ascii "✓ done é" == "+ done ?")
function M.ascii(text)
  return (text:gsub("[\xC2-\xF4][\x80-\xBF]*", function(character) return ASCII[character] or "?" end))
end

local function total(pieces)
  local width = 0
  for _, piece in ipairs(pieces) do width = width + M.width(piece[1]) end
  return width
end

-- Names, reasons and messages may come from anybody, and what they take on the terminal is counted as it is shown.
local function safe(pieces)
  local out = {}
  for i, piece in ipairs(pieces) do out[i] = { M.one_line(piece[1]), colour = piece.colour, optional = piece.optional } end
  return out
end

-- Leaves out the optional pieces of the highest number until the rest fits.
local function thinned(pieces, columns)
  while total(pieces) > columns do
    local highest = 0
    for _, piece in ipairs(pieces) do highest = math.max(highest, piece.optional or 0) end
    if highest == 0 then return pieces end
    local kept = {}
    for _, piece in ipairs(pieces) do
      if piece.optional ~= highest then kept[#kept + 1] = piece end
    end
    pieces = kept
  end
  return pieces
end

--- A line as it is written: it takes at most so many columns.
---@param pieces table[]
---@param columns integer
---@param look? { colour?: boolean, ascii?: boolean }
---@return string text, integer width
---@usage local text = require "display.text"  assert(text.line({ { "abc" }, { " and more", optional = 1 } }, 5) == "abc" and text.line({ { "a", colour = "31" } }, 5, { colour = true }) == "\27[31ma\27[0m")
function M.line(pieces, columns, look)
  look = look or {}
  local out, left = {}, columns
  for _, piece in ipairs(thinned(safe(pieces), columns)) do
    local text = M.cut(piece[1], left)
    left = left - M.width(text)
    if look.ascii then text = M.ascii(text) end
    out[#out + 1] = look.colour and piece.colour and text ~= "" and ("\27[%sm%s\27[0m"):format(piece.colour, text) or text
    if left <= 0 then break end
  end
  return table.concat(out), columns - left
end

--- Pieces with as much space between them and the last ones as there is.
---@param left table[]
---@param right table[]
---@param columns integer
---@return table[]
---@usage local text = require "display.text"  assert(text.line(text.justified({ { "a" } }, { { "b" } }, 5), 5) == "a   b")
function M.justified(left, right, columns)
  local pieces = {}
  left, right = safe(left), safe(right)
  for _, piece in ipairs(thinned(left, math.max(1, columns - total(right) - 1))) do pieces[#pieces + 1] = piece end
  local space = columns - total(pieces) - total(right)
  if space < 1 then -- the right side is shown whole
    pieces = { { M.cut(M.line(pieces, columns), math.max(0, columns - total(right) - 1)) } }
    space = math.max(1, columns - total(pieces) - total(right))
  end
  pieces[#pieces + 1] = { (" "):rep(space) }
  for _, piece in ipairs(right) do pieces[#pieces + 1] = piece end
  return pieces
end

--- A bar that is full to a share.
---@param share number 0 to 1
---@param columns integer
---@return string
---@usage assert(require("display.text").bar(0.5, 4) == "██░░")
function M.bar(share, columns)
  local full = math.floor(math.max(0, math.min(1, share)) * columns + 0.5)
  return ("█"):rep(full) .. ("░"):rep(columns - full)
end

return M
