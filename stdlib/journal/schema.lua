--- journal.schema: the journal's tables, as SQLite and as PostgreSQL write them.

local M = {}

--- The version of these tables. A journal of another version is refused, never changed.
M.VERSION = 5

-- Steps and values are in events alone (journal.steps makes rows of them): a step costs one row in one table for its beginning and one for its end.
-- runs.seq is the number of the run's first event: clocks jump, and the latest run is the one that began last.
-- %NUMBER%: of a change, see journal.store; on SQLite few have one, and the others are in no index.
-- %INT%: a 64-bit integer, %REAL%: a double, %ID%: a number that the database gives.
local TABLES = [[
CREATE TABLE leases (
  venture TEXT PRIMARY KEY, run TEXT, operation TEXT, host TEXT, pid %INT%, started %INT%,
  acquired_at TEXT, renewed_at %REAL%, epoch %INT% NOT NULL
);
CREATE TABLE runs (
  id TEXT PRIMARY KEY, venture TEXT, playbook TEXT NOT NULL, path TEXT NOT NULL, hash TEXT NOT NULL, args TEXT NOT NULL, release TEXT,
  mode TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT, engine TEXT, state_folder TEXT, settings TEXT NOT NULL,
  seq %INT% NOT NULL UNIQUE, started_at TEXT NOT NULL, ended_at TEXT, outcome TEXT, exit_code %INT%, summary TEXT
);
CREATE TABLE texts (hash TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE sources (
  run TEXT NOT NULL REFERENCES runs (id), n %INT% NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, hash TEXT NOT NULL REFERENCES texts (hash), PRIMARY KEY (run, n)
);
CREATE TABLE events (
  seq %INT% PRIMARY KEY, run TEXT NOT NULL, epoch %INT%, n %NUMBER%, at TEXT NOT NULL, kind TEXT NOT NULL, step %INT%, place TEXT, data TEXT NOT NULL,
  hash TEXT NOT NULL
);
CREATE TABLE approvals (
  run TEXT NOT NULL REFERENCES runs (id), seq %INT% NOT NULL, place TEXT NOT NULL, asked_at TEXT NOT NULL, question TEXT NOT NULL, evidence TEXT NOT NULL,
  evidence_hash TEXT NOT NULL, answered_at TEXT, answer TEXT, by TEXT, reason TEXT, PRIMARY KEY (run, seq), UNIQUE (run, place)
);
CREATE TABLE signals (
  id %ID%, run TEXT NOT NULL REFERENCES runs (id), kind TEXT NOT NULL, data TEXT NOT NULL, by TEXT NOT NULL, reason TEXT, at TEXT NOT NULL
);
]]

-- An index of SQLite's has seq, which is the row's id, at its end by itself.
local SQLITE = [[
CREATE INDEX events_of_run ON events (run);
CREATE UNIQUE INDEX events_n ON events (n) WHERE n IS NOT NULL;
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT raise(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events BEGIN SELECT raise(ABORT, 'events are never removed'); END;
]]

local POSTGRES = [[
CREATE INDEX events_of_run ON events (run, seq);
CREATE FUNCTION events_stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'events are never changed or removed'; END $$;
CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION events_stay();
CREATE TRIGGER events_remain BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION events_stay();
CREATE TABLE journal_version (version bigint PRIMARY KEY);
]]

--- The statements that make a journal.
---@param dialect "sqlite"|"postgres"
---@return string
---@usage assert(require("journal.schema").script("sqlite"):find "CREATE TABLE leases")
function M.script(dialect)
  local types = dialect == "sqlite" and { INT = "INTEGER", NUMBER = "INTEGER", REAL = "REAL", ID = "INTEGER PRIMARY KEY AUTOINCREMENT" }
    or { INT = "bigint", NUMBER = "bigint UNIQUE", REAL = "double precision", ID = "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY" }
  local tables = TABLES:gsub("%%(%u+)%%", types)
  if dialect == "sqlite" then return ("%s%sPRAGMA user_version = %d;"):format(tables, SQLITE, M.VERSION) end
  return ("%s%sINSERT INTO journal_version VALUES (%d);"):format(tables, POSTGRES, M.VERSION)
end

return M
