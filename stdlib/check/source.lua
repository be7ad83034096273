--- check.source: a text with its lines: where an offset is, and what stands there.

local M = {}

local Source = {}
Source.__index = Source

--- A text under the path that people know it by.
---@param path string
---@param text string
---@return table source
---@usage local line, column = require("check.source").new("a.lua", "x = 1\ny = 2"):position(9)  assert(line == 2 and column == 3)
function M.new(path, text)
  local starts = { 1 }
  for at in text:gmatch "\n()" do starts[#starts + 1] = at end
  return setmetatable({ path = path, text = text, starts = starts }, Source)
end

-- How many characters, or bytes when it is no UTF-8.
local function width(text) return utf8.len(text) or #text end

--- The line and the column (in characters) of an offset; both begin at 1.
---@param at integer
---@return integer line, integer column
function Source:position(at)
  local low, high = 1, #self.starts
  while low < high do
    local middle = (low + high + 1) // 2
    if self.starts[middle] <= at then low = middle else high = middle - 1 end
  end
  return low, width(self.text:sub(self.starts[low], at - 1)) + 1
end

--- The offset where a line begins.
---@param line integer
---@return integer at
function Source:offset(line) return self.starts[line] or #self.text + 1 end

--- One line, without its end.
---@param line integer
---@return string
function Source:line(line)
  return (self.text:sub(self.starts[line], (self.starts[line + 1] or #self.text + 2) - 2):gsub("\r$", ""))
end

--- The line of `at`, and under it a caret below every character from at to `to`, no further than the line.
---@param at integer
---@param to integer
---@return string line, string carets
---@usage local _, carets = require("check.source").new("a.lua", "x = yy"):excerpt(5, 6)  assert(carets == "    ^^")
function Source:excerpt(at, to)
  local number = self:position(at)
  local line, start = self:line(number), self.starts[number]
  local before = self.text:sub(start, at - 1):gsub("[^\t\128-\191]", " "):gsub("[\128-\191]", "")
  local marked = self.text:sub(at, math.min(to, start + #line - 1))
  return line, before .. ("^"):rep(math.max(1, width(marked)))
end

return M
