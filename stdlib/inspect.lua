--- inspect: any value as readable text; what `engine -e` and the console print.

local core_err = require "core.err"

local M = {}

local function is_identifier(key) return type(key) == "string" and key:match "^[%a_][%w_]*$" end

local function key_text(key) return is_identifier(key) and key or "[" .. M.text(key) .. "]" end

local function sorted_keys(value)
  local keys = {}
  for key in pairs(value) do
    if not (math.type(key) == "integer" and key >= 1 and key <= rawlen(value)) then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "string" or type(a) == "number") then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end

local function table_text(value, indent, seen, width)
  if seen[value] then return "<circle>" end
  seen[value] = true
  local parts = {}
  for i = 1, rawlen(value) do parts[i] = M.text(rawget(value, i), indent .. "  ", seen, width) end
  for _, key in ipairs(sorted_keys(value)) do
    parts[#parts + 1] = key_text(key) .. " = " .. M.text(value[key], indent .. "  ", seen, width)
  end
  seen[value] = nil
  if #parts == 0 then return "{}" end
  local line = "{ " .. table.concat(parts, ", ") .. " }"
  if #line + #indent <= width and not line:find "\n" then return line end
  return "{\n" .. indent .. "  " .. table.concat(parts, ",\n" .. indent .. "  ") .. "\n" .. indent .. "}"
end

--- A value as Lua-like text: tables with sorted keys, strings quoted, on one line if it fits.
---@param value any
---@return string
---@usage assert(inspect.text { 1, a = "b" } == '{ 1, a = "b" }')
function M.text(value, indent, seen, width)
  if type(value) == "string" then
    return '"' .. value:gsub('[%c"\\]', function(c)
      if c == "\n" then return "\\n" end
      if c == '"' or c == "\\" then return "\\" .. c end
      return ("\\%d"):format(c:byte())
    end) .. '"'
  end
  local meta = getmetatable(value)
  if type(value) ~= "table" or core_err.is(value) or (type(meta) == "table" and rawget(meta, "__tostring")) then return tostring(value) end
  return table_text(value, indent or "", seen or {}, width or 100)
end

--- As text, but a string by itself is given as it is: what a person wants to see.
---@param value any
---@return string
function M.display(value)
  if type(value) == "string" then return value end
  return M.text(value)
end

return M
