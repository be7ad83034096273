--- simulation.answers: what a venture's simulation.lua says that its own statements, addresses and commands give.

local sorted_keys = require("traffic").sorted_keys

local M = {}

--- The answer whose pattern is in a text. Of several the longest says most; of those that are as long the first in the order of their bytes.
---@param answers? table<string, any> by pattern, which is plain text
---@param text string
---@return any? answer
---@usage assert(require("simulation.answers").find({ a = 1, abc = 2 }, "xabcx") == 2)
function M.find(answers, text)
  local found
  for _, pattern in ipairs(answers and sorted_keys(answers) or {}) do
    if text:find(pattern, 1, true) and (not found or #pattern > #found) then found = pattern end
  end
  return found and answers[found]
end

return M
