--- backup.diff_report: what a comparison of two databases says of a table: counts, a few examples, and the lost rows in files.

local files = require "files"
local json = require "json"

local M = {}

local LINES_A_WRITE = 1000
local FILE_BYTES = 16 << 20 -- a file of lost rows; then the next begins
local EXAMPLES = 5

-- A row as it is written: the columns that both sides have (c1, c2, ...), and those that only the live one has (n1, n2, ...).
local function as_row(row, columns, new)
  local out = {}
  for i, column in ipairs(columns) do out[column] = row["c" .. i] == nil and json.null or row["c" .. i] end
  for i, column in ipairs(new or {}) do out[column] = row["n" .. i] == nil and json.null or row["n" .. i] end
  return out
end

--- The lost rows of one table on their way into <to>/<table>.jsonl, and further files when that is full.
---@param to? string a folder that is there; nil: nothing is written
---@param name string of the table
---@return fun(row: table) write, fun(): string? close gives the first file's path, nil when no row was lost
function M.rows_file(to, name)
  local lines, written_bytes, part, written = {}, 0, 1, false
  local function path(number) return ("%s/%s%s.jsonl"):format(to, (name:gsub("[^%w_.-]", "_")), number > 1 and "." .. number or "") end
  local function flush(least)
    if #lines < least then return end
    local text = table.concat(lines, "\n") .. "\n"
    if written_bytes > 0 and written_bytes + #text > FILE_BYTES then part, written_bytes = part + 1, 0 end
    assert(files.append(path(part), text))
    lines, written_bytes = {}, written_bytes + #text
  end
  local function write(row)
    if not to then return end
    row.table_name = name
    lines[#lines + 1], written = json.encode(row), true
    flush(LINES_A_WRITE)
  end
  return write, function()
    flush(1)
    return written and path(1) or nil
  end
end

--- The result of one table, and the function that counts a change into it and writes the row.
---@param name string of the table
---@param keys string[] columns
---@param columns string[] that both sides have
---@param new string[] that only the live one has
---@param grouped boolean the table has no key: rows are told apart by all their columns
---@param write fun(row: table)
---@return table result, fun(change: string, n: integer, row: table, restored?: table) count
function M.tally(name, keys, columns, new, grouped, write)
  local result = { name = name, inserted = 0, updated = 0, deleted = 0, examples = json.array {} }
  local function note(change, row, restored)
    local key = {}
    for i = 1, #keys do key[i] = row["k" .. i] end
    if #result.examples < EXAMPLES then result.examples[#result.examples + 1] = change .. " " .. table.concat(key, ", "):sub(1, 100) end
    write { change = change, key = not grouped and json.array(keys) or nil, row = as_row(row, columns, change ~= "deleted" and new or nil), restored = restored and as_row(restored, columns) or nil }
  end
  return result, function(change, n, row, restored)
    if n <= 0 then return end
    result[change] = result[change] + n
    for _ = 1, n do note(change, row, restored) end
  end
end

--- The row of a table that only one side has, as it is written.
M.as_row = as_row

return M
