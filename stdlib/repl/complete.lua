--- repl.complete: what a word could become: names, the fields of live values, and inside of quotes the runs, checks, tables and colours that are
-- known. It is asked between two key presses and cannot wait: what a server knows is collected before, by `learn`.

local core_search = require "core.search"
local names = require "repl.names"
local prelude = require "prelude"

local M = {}

local SQL_WORDS = { "SELECT", "FROM", "WHERE", "ORDER BY", "GROUP BY", "LIMIT", "COUNT(*)", "JOIN", "INSERT INTO", "UPDATE", "DELETE FROM" }

local KEYWORDS = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while" }

local function begins(text, start) return type(text) == "string" and text:sub(1, #start) == start end

local function add_keys(value, start, add)
  if type(value) ~= "table" then return end
  for key in next, value do
    if type(key) == "string" and key:match "^[%a_][%w_]*$" and not begins(key, "__") and begins(key, start) then add(key) end
  end
  local meta = getmetatable(value)
  if type(meta) == "table" and type(rawget(meta, "__index")) == "table" and rawget(meta, "__index") ~= value then add_keys(meta.__index, start, add) end
end

-- The value that "a.b.c" names, without calling anything that might be behind it but the console's own names.
local function value_of(environment, path)
  local value = environment
  for key in path:gmatch "[^.:]+" do
    if value == environment then
      local ok, found = pcall(function() return environment[key] end)
      value = ok and found or nil
    elseif type(value) == "table" then
      local meta = getmetatable(value)
      local index = type(meta) == "table" and rawget(meta, "__index")
      value = rawget(value, key) or (type(index) == "table" and index[key]) or nil
    else
      return nil
    end
  end
  return value
end

local function global_names(session, start, add)
  for _, list in ipairs { names.WORDS, names.OBJECTS, prelude.words } do
    for name in pairs(list) do if begins(name, start) then add(name) end end
  end
  for name in next, session.environment do if begins(name, start) then add(name) end end
  for name in next, _G do if begins(name, start) then add(name) end end
  for _, word in ipairs(KEYWORDS) do if begins(word, start) then add(word) end end
  if session.venture and begins("venture", start) then add "venture" end
  for _, path in ipairs(core_search.baked_paths()) do
    local module = path:match "^stdlib/([%w_]+)%.lua$"
    if module and begins(module, start) then add(module) end
  end
end

-- What is quoted, by what stands before the quote.
local QUOTED = {
  { "log%s*%(?%s*$", "runs" }, { "over%s*=%s*$", "runs" }, { "rollback%.%w+%s*%(?%s*$", "runs" },
  { "health%.check%s*%(?%s*$", "checks" }, { "confirm%s*%(?%s*$", "ventures" }, { "sql%s*%(?%s*$", "tables" }, { "sql%.%w+%s*%(?%s*$", "tables" },
  { "traffic%.%w+%s*%(?%s*$", "colours" }, { "health%.check%s*%(?.*,%s*$", "colours" },
}

-- The quote that is open at the end of a text: what stands before it.
local function before_open_quote(text)
  local at, quote = 0, nil
  for i = 1, #text do
    local c = text:sub(i, i)
    if quote == c then quote = nil elseif not quote and (c == '"' or c == "'") then at, quote = i, c end
  end
  return quote and text:sub(1, at - 1) or nil
end

-- text: all that is quoted so far; start: its last word, which is what can be completed. Only SQL is made of words.
local function quoted(session, before, text, start, add)
  for _, rule in ipairs(QUOTED) do
    if before:find(rule[1]) then
      local whole = rule[2] == "tables" and start or text
      for _, word in ipairs(session.known and session.known[rule[2]] or {}) do if begins(word, whole) then add(word:sub(#whole - #start + 1)) end end
      if rule[2] == "tables" then
        for _, word in ipairs(SQL_WORDS) do if start ~= "" and begins(word, start) then add(word) end end
      end
      return
    end
  end
end

--- The words that could stand in place of line:sub(first, last).
---@param session table
---@param line string
---@param first integer
---@param last integer
---@return string[]
function M.words(session, line, first, last)
  local start, found, seen = line:sub(first, last), {}, {}
  local function add(word)
    if not seen[word] then
      seen[word] = true
      found[#found + 1] = word
    end
  end
  local before = line:sub(1, first - 1)
  local before_quote = before_open_quote(before)
  if before_quote then
    quoted(session, before_quote, line:sub(#before_quote + 2, last), start, add)
  elseif before:find "traffic%.%w+%s*%(?{[^}]*$" then
    for _, colour in ipairs(session.known and session.known.colours or { "blue", "green" }) do if begins(colour, start) then add(colour .. "=") end end
  else
    local path, separator, last_word = start:match "^(.-)([.:]?)([%w_]*)$"
    if separator == "" then
      global_names(session, start, add)
    else
      add_keys(value_of(session.environment, path), last_word, function(key) add(path .. separator .. key) end)
    end
  end
  table.sort(found)
  return found
end

-- One list, or nothing of it: what cannot be asked is not offered.
local function list_of(fn)
  local ok, list = pcall(fn)
  return ok and list or {}
end

local function field(rows, name)
  local out = {}
  for i, row in ipairs(rows or {}) do out[i] = row[name] end
  return out
end

--- Collects what a server knows, so that it can be offered without waiting.
---@param session table
function M.learn(session)
  local known = { colours = { "blue", "green" } }
  known.runs = list_of(function() return field(session.journal and session.journal:runs { limit = 50 }, "id") end)
  if session.venture then
    local venture, by_name = session.venture, require "health.by_name"
    known.ventures = { venture.name }
    known.checks = table.move(by_name.LISTS, 1, #by_name.LISTS, 1, {})
    for _, list in ipairs(by_name.LISTS) do
      for _, check in ipairs(venture[list] or {}) do known.checks[#known.checks + 1] = check.name end
    end
    known.tables = list_of(function()
      local db = session:database()
      local rows = assert(db:query(db:dialect() == "sqlite" and "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        or "SELECT table_name AS name FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"))
      return field(rows, "name")
    end)
  end
  session.known = known
end

return M
