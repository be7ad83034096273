--- display.screen: the bottom lines of a terminal that are drawn again and again, with text going up above them.
--
-- Pure: it gives what has to be written. Only what has changed makes something to write.

local text = require "display.text"

local M = {}

local Screen = {}
Screen.__index = Screen

--- A screen with nothing on it yet.
---@param look { colour?: boolean, ascii?: boolean }
---@return table screen
---@usage local s = require("display.screen").new {}  assert(s:draw({ { { "a" } } }, {}, 80) == "\r\27[Ja" and s:draw({ { { "a" } } }, {}, 80) == "" and s:draw({ { { "b" } } }, { "up" }, 80) == "\r\27[Jup\r\nb")
function M.new(look) return setmetatable({ look = look, shown = {}, widths = {} }, Screen) end

-- Back to the first of the lines that are there. A terminal that became narrower since has broken them into several.
local function to_top(self, columns)
  local up = 0
  for i, width in ipairs(self.widths) do
    local rows = math.max(1, (width + columns - 1) // columns)
    up = up + (i < #self.widths and rows or rows - 1)
  end
  return (up > 0 and ("\27[%dA"):format(up) or "") .. "\r\27[J"
end

--- What to write so that these lines are the last ones, and those others above them.
---@param lines table[] of display.text
---@param above string[] goes up and stays
---@param columns integer
---@return string "" when nothing has changed
function Screen:draw(lines, above, columns)
  local shown, widths = {}, {}
  -- The last column stays empty: some terminals break the line when it is written.
  for i, line in ipairs(lines) do shown[i], widths[i] = text.line(line, columns - 1, self.look) end
  local as_text = table.concat(shown, "\r\n")
  if not above[1] and as_text == self.as_text and columns == self.columns then return "" end
  local out = { to_top(self, columns) }
  for _, line in ipairs(above) do out[#out + 1] = line .. "\r\n" end
  out[#out + 1] = as_text
  self.widths, self.as_text, self.columns = widths, as_text, columns
  return table.concat(out)
end

--- What to write so that the lines are gone.
---@param columns integer
---@return string
function Screen:clear(columns)
  local out = to_top(self, columns)
  self.widths, self.as_text = {}, nil
  return out
end

return M
