--- plain: plain data: tables of texts, numbers and booleans, in each other and without a circle.

local M = {}

--- A copy that shares nothing with the value.
---@param value any
---@return any
---@usage local a = { { 1 } }  local b = plain.copy(a)  b[1][1] = 2  assert(a[1][1] == 1)
function M.copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, item in pairs(value) do out[key] = M.copy(item) end
  return out
end

--- Do two values say the same?
---@param a any
---@param b any
---@return boolean
---@usage assert(plain.same({ 1, { x = 2 } }, { 1, { x = 2 } }) and not plain.same({ 1 }, { 1, 2 }))
function M.same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, item in pairs(a) do if not M.same(item, b[key]) then return false end end
  for key in pairs(b) do if a[key] == nil then return false end end
  return true
end

return M
