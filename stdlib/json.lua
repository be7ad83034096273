--- json: values as JSON text and back.
--
-- The text is canonical: keys are sorted by their bytes and numbers have one form, so equal values
-- give equal text, and hashes can be taken over it.

local core = require "core.json"

local M = {}

--- Stands for null, inside arrays and where a field must be present.
---@usage assert(json.encode { json.null } == "[null]")
M.null = core.null

--- A value as text. Sequences are arrays, other tables objects; an empty table is {} unless it was
-- made by json.array. Integers stay integers. Raises for NaN, infinity, functions, text that is not
-- UTF-8, secrets, and tables nested deeper than 128.
---@param value any
---@param options? { pretty?: boolean } pretty: over several lines, for people
---@return string
---@usage assert(json.encode { b = 1, a = { 1.5, "x" } } == '{"a":[1.5,"x"],"b":1}')
function M.encode(value, options) return core.encode(value, options) end

--- The value of a text. A null is json.null, which is true in a condition; with drop_null, fields
-- that are null are left out.
---@param text string
---@param options? { drop_null?: boolean }
---@return any? value, table? err codes: protocol (with line and column), limit
---@usage assert(json.decode '{"n":[1,2]}'.n[2] == 2)
function M.decode(text, options) return core.decode(text, options) end

--- Marks a table as an array, so that it is one even when it is empty.
---@param items? any[]
---@return any[] the same table
---@usage assert(json.encode(json.array {}) == "[]")
function M.array(items) return core.array(items) end

return M
