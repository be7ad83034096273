--- json: values as text and back. Keys are always sorted, so equal values give equal bytes.

local core = require "core.json"

local M = {}

--- Stands for JSON's null, which Lua tables cannot hold.
M.null = core.null

--- A value as JSON. Raises for what JSON cannot hold: functions, NaN, circles, secrets, mixed keys.
-- A table is an array when its keys are 1..n; an empty table is {} unless it was made with json.array.
---@param value any
---@param options? { pretty?: boolean }
---@return string
---@usage assert(json.encode { b = 1, a = { 1, 2 } } == '{"a":[1,2],"b":1}')
function M.encode(value, options) return core.encode(value, options and options.pretty) end

--- JSON text as a value. Objects and arrays become tables, null becomes json.null.
---@param text string
---@return any value, table? err code protocol, with line and column
---@usage assert(json.decode('{"a":[1,null]}').a[2] == json.null)
function M.decode(text) return core.decode(text) end

--- Marks a table as an array, so that it is written as [] when it is empty.
---@param items table
---@return table
---@usage assert(json.encode(json.array {}) == "[]")
function M.array(items) return core.array(items) end

return M
