--- repl.show: what the console prints of a value: text as it is, rows as a table, everything else as Lua; never wider than the terminal.

local core_err = require "core.err"
local core_secret = require "core.secret"
local core_terminal = require "core.terminal"
local display = require "display"
local inspect = require "inspect"

local M = {}

local COLUMNS = 100 -- of a terminal that does not say
local ROWS_MOST = 200
local LINES_MOST = 40 -- of a value that is shown whole
local LONG_TEXT = 80 -- characters of a text among others

--- How many columns there are to print in: off a terminal as many as are needed, so that nothing is cut there.
---@return number
---@usage assert(require("repl.show").columns() > 0)
function M.columns()
  if not core_terminal.interactive(1) then return math.huge end
  return core_terminal.columns(1) or COLUMNS
end

local function width_of(text) return utf8.len(text) or #text end

-- Text that is cut says so by its last character.
local function cut(text, width)
  if width_of(text) <= width then return text end
  local last = utf8.offset(text, width)
  return (last and text:sub(1, last - 1) or text:sub(1, width - 1)) .. "…"
end

local function cell_text(value)
  if value == nil then return "" end
  if math.type(value) == "float" then return ("%.6g"):format(value) end
  local text = type(value) == "table" and inspect.text(value) or tostring(value)
  return (display.plain(text):gsub("[\n\t]+", " "))
end

-- The columns of rows: those that a query names, or the keys of all rows, sorted.
local function columns_of(rows)
  local named = rawget(rows, "columns")
  if type(named) == "table" then return named end
  local seen, names = {}, {}
  for _, row in ipairs(rows) do
    for key in pairs(row) do
      if type(key) == "string" and not seen[key] then
        seen[key] = true
        names[#names + 1] = key
      end
    end
  end
  table.sort(names)
  return names
end

--- Is this an array of records, such as a query gives?
---@param value any
---@return boolean
---@usage assert(require("repl.show").is_rows { { a = 1 } } and not require("repl.show").is_rows { 1 })
function M.is_rows(value)
  if type(value) ~= "table" or core_err.is(value) then return false end
  if rawlen(value) == 0 then return type(rawget(value, "columns")) == "table" end
  for i = 1, rawlen(value) do
    local row = rawget(value, i)
    if type(row) ~= "table" or rawget(row, 1) ~= nil or next(row) == nil then return false end
  end
  return true
end

-- Takes from the widest until the line fits.
local function fit(widths, most)
  if most == math.huge then return end
  local sum = 2 * (#widths - 1)
  for i, width in ipairs(widths) do
    widths[i] = math.min(width, most)
    sum = sum + widths[i]
  end
  while sum > most do
    local widest = 1
    for i, width in ipairs(widths) do if width > widths[widest] then widest = i end end
    if widths[widest] <= 4 then return end
    widths[widest], sum = widths[widest] - 1, sum - 1
  end
end

--- Rows as a table: columns aligned, numbers to the right, cut where the line would be too long.
---@param rows table[] with columns, or all their keys are columns
---@param most? number how wide a line may be
---@return string
---@usage assert(require("repl.show").rows({ { id = 7, name = "acme" }, columns = { "id", "name" } }, 40) == "id  name\n 7  acme\n1 row")
function M.rows(rows, most)
  local names, widths, cells, numeric = columns_of(rows), {}, {}, {}
  if not names[1] and rows.affected then return ("%d row%s changed"):format(rows.affected, rows.affected == 1 and "" or "s") end
  for c, name in ipairs(names) do widths[c], numeric[c] = width_of(name), true end
  local shown = math.min(#rows, ROWS_MOST)
  for r = 1, shown do
    cells[r] = {}
    for c, name in ipairs(names) do
      local value = rows[r][name]
      cells[r][c] = cell_text(value)
      widths[c] = math.max(widths[c], width_of(cells[r][c]))
      if value ~= nil and type(value) ~= "number" then numeric[c] = false end
    end
  end
  fit(widths, most or M.columns())
  local function line(texts)
    local parts = {}
    for c, text in ipairs(texts) do
      local fitted = cut(text, widths[c])
      local space = (" "):rep(widths[c] - width_of(fitted))
      parts[c] = numeric[c] and space .. fitted or fitted .. space
    end
    return (table.concat(parts, "  "):gsub("%s+$", ""))
  end
  local out = { #names > 0 and line(names) or nil }
  for r = 1, shown do out[#out + 1] = line(cells[r]) end
  local count = ("%d row%s"):format(#rows, #rows == 1 and "" or "s")
  out[#out + 1] = #rows > shown and ("%s, the first %d are shown"):format(count, shown) or count
  return table.concat(out, "\n")
end

-- Stands for a part that is not shown.
local Part = { __tostring = function(self) return self.text end }

--- A value whose text has many lines, with each part that needs more than one shown as what it is.
---@param value any
---@param most integer lines
---@return string
---@usage assert(require("repl.show").brief({ a = 1 }, 10) == "{ a = 1 }")
function M.brief(value, most)
  local text = inspect.display(value)
  if type(value) ~= "table" or select(2, text:gsub("\n", "\n")) < most then return text end
  local short = {}
  for key, item in pairs(value) do
    local is_long = type(item) == "table" and inspect.text(item, "  "):find "\n"
    if is_long then
      local count = 0
      for _ in pairs(item) do count = count + 1 end
      item = setmetatable({ text = ("{ %d part%s }"):format(count, count == 1 and "" or "s") }, Part)
    elseif type(item) == "string" then item = cut(item, LONG_TEXT)
    end
    short[key] = item
  end
  return inspect.text(short) .. "\nlong parts are shown short: name one to see it, print(inspect.text(it)) shows all"
end

--- A value as the console prints it: on a terminal briefly, elsewhere whole.
---@param value any
---@return string
---@usage assert(require("repl.show").value "text" == "text" and require("repl.show").value { 1, 2 } == "{ 1, 2 }")
function M.value(value)
  local meta = getmetatable(value)
  if type(meta) == "table" and rawget(meta, "__show") then
    local text = meta.__show(value)
    return tostring(text)
  end
  if M.is_rows(value) then return M.rows(value) end
  if core_terminal.interactive(1) then return M.brief(value, LINES_MOST) end
  return inspect.display(value)
end

--- What of a value is not to be seen: secrets, and what a terminal would obey.
---@param text string
---@return string
---@usage assert(require("repl.show").safe "a\27[2Jb" == "a\\x1B[2Jb")
function M.safe(text) return display.plain(core_secret.redact(text)) end

--- An error as the console prints it: what, why, what next.
---@param err any
---@return string
---@usage assert(require("repl.show").failure "x" == "x")
function M.failure(err)
  if not core_err.is(err) then return tostring(err) end
  if err.code == "read_only" then return "refused: " .. err.message end
  if err.code == "canceled" then return "canceled: " .. err.message end
  local lines = { ("%s %s: %s"):format(err.number or "", err.code, err.message) }
  if err.cause then lines[#lines + 1] = "  cause  " .. tostring(err.cause) end
  if err.where then lines[#lines + 1] = "  where  " .. err.where end
  if err.next then lines[#lines + 1] = "  next   " .. err.next end
  return table.concat(lines, "\n")
end

return M
