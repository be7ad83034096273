--- repl.words.sql: the venture's database, in the words of the console.
--
-- A query runs in a transaction that only reads, on a connection that only reads: the server itself says what would write. What it refuses
-- for that reason is an effect, and goes through the gate.

local effect = require "effect"
local plain = require "sql"
local sessions = require "repl.session"

local words = {}

local WRITES = { ["25006"] = true, SQLITE_READONLY = true }

local function read(db, text, ...)
  if db:dialect() == "sqlite" then return db:query(text, ...) end
  local values = table.pack(...)
  return db:transaction(function(tx) return tx:query(text, table.unpack(values, 1, values.n)) end)
end

-- PostgreSQL says how many rows it expects to be touched; nothing is run for that.
local function expected(db, text, ...)
  if db:dialect() ~= "postgres" then return nil end
  local rows = read(db, "EXPLAIN (FORMAT JSON) " .. text, ...)
  local plan = rows and rows[1] and require("json").decode(rows[1]["QUERY PLAN"] or "")
  local node = plan and plan[1] and plan[1].Plan
  local below = node and node.Plans and node.Plans[1]
  return below and below["Plan Rows"]
end

local function write(session, text, ...)
  local values = table.pack(...)
  return effect.change("sql", function()
    local db <close> = assert(plain.open(session.venture.database.url, { timeout = 60 }))
    return db:query(text, table.unpack(values, 1, values.n))
  end, function()
    local rows = expected(session:database(), text, table.unpack(values, 1, values.n))
    local shown = text:gsub("%s+", " ")
    local code = { ("%q"):format(shown) }
    for i = 1, values.n do code[i + 1] = require("inspect").text(values[i]) end
    return { plan = shown .. (rows and (" (about %d rows)"):format(rows) or ""), class = "manual", args = { text = shown, parameters = { table.unpack(values, 1, values.n) } }, verified = "committed",
      code = { needs = "database", run = ("expect(db:query(%s))"):format(table.concat(code, ", ")) } }
  end)
end

--- Asks the venture's database. What writes is refused by the server, and is an effect.
---@param text string one statement, with $1, $2, ... for the parameters
---@param ... any parameters
---@return table[] rows
---@effect manual, when it writes: nobody but the database knows whether it happened
---@example sql "SELECT * FROM ventures LIMIT 5"
---@example sql("SELECT count(*) FROM ventures WHERE id = $1", "shop")
function words.sql(text, ...)
  local session = sessions.here()
  local rows, err = read(session:database(), text, ...)
  if rows then return rows end
  if not WRITES[err.sqlstate or ""] then return nil, err end
  return write(session, text, ...)
end

local sql = setmetatable({}, { __call = function(_, ...) return words.sql(...) end })

--- The tables of the venture's database.
---@return table[] rows
---@example sql.tables()
function sql.tables()
  local db = sessions.here():database()
  if db:dialect() == "sqlite" then return db:query "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name" end
  return read(db, [[SELECT table_schema AS schema, table_name AS name FROM information_schema.tables
    WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2]])
end

return { sql = sql, words = words }
