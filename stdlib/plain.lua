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

-- A text whose every byte is a part of UTF-8; another byte is shown as what it is.
local function readable_text(text)
  local out, from = {}, 1
  while true do
    local length, bad = utf8.len(text, from)
    if length then break end
    out[#out + 1] = text:sub(from, bad - 1) .. ("\\x%02X"):format(text:byte(bad))
    from = bad + 1
    if from > #text then return table.concat(out) end
  end
  if from == 1 then return text end
  return table.concat(out) .. text:sub(from)
end

--- The same with texts that every reader can read: what commands and servers say may be in any encoding.
---@param value any
---@return any
---@usage assert(plain.readable { "caf\xE9" }[1] == "caf\\xE9" and plain.readable "é" == "é")
function M.readable(value)
  if type(value) == "string" then return readable_text(value) end
  if type(value) ~= "table" then return value end
  local out = {}
  for key, item in pairs(value) do out[M.readable(key)] = M.readable(item) end
  local meta = getmetatable(value)
  return type(meta) == "table" and setmetatable(out, meta) or out
end

return M
