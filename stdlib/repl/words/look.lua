--- repl.words.look: what is going on, and what went on before.

local json = require "json"
local sessions = require "repl.session"

local words = {}

local function serving_version(venture)
  if not venture.traffic.public then return nil end
  local response, err = require("http").get(venture.traffic.public .. venture.environment.health, { timeout = 5 })
  local document = response and response.status == 200 and response:json()
  return document and document.version or (err and "no answer: " .. err.message or "unknown")
end

-- Who is in charge of the venture now.
local function holder_text(session)
  if not session.journal then return "nobody: there is no journal yet" end
  local lease, lives = session.journal:holder(session.venture.name)
  if not lease or not lease.run then return "nobody" end
  if lease.run == session.id then return "this console" end
  return ("run %s (%s) since %s, process %d on %s, which %s"):format(lease.run, lease.operation, lease.acquired_at, lease.pid, lease.host, lives and "lives" or "is gone")
end

local function run_text(row)
  return ("%s  %s %s  by %s  %s%s"):format(row.id, row.playbook, row.release or "", row.actor, row.outcome or "under way", row.summary and ": " .. row.summary or "")
end

--- The venture at a glance: traffic, releases, what clients get, who is in charge, the latest run.
---@return table[] rows
---@example status()
function words.status()
  local session = sessions.here()
  local venture = session:need_venture()
  local rows = { columns = { "what", "is" } }
  local function add(what, is) rows[#rows + 1] = { what = what, is = is } end
  add("venture", venture.name)
  local weights, err = session:proxy():get()
  session.weights = weights or session.weights
  for _, colour in ipairs { "blue", "green" } do
    local alive, detail = session:colours():alive(colour)
    add(colour, ("%s %%, release %s, %s"):format(weights and weights[colour] or "?", session:colours():release(colour) or "none", alive and "runs" or detail))
  end
  if not weights then add("proxy", err.message) end
  add("clients get", serving_version(venture) or "unknown")
  add("in charge", holder_text(session))
  local run = session.journal and session.journal:run(session.attached and session.attached.id or nil)
  if run then add("run", run_text(run)) end
  local question = run and not run.outcome and session.journal:open_question(run.id)
  if question then add("it waits for", ("%s; engine approve %s"):format(question.question, run.id)) end
  for _, one in ipairs(session:in_doubt()) do add("in doubt", ("%s of console %s, by %s at %s"):format(one.effect, one.run, one.by, one.at)) end
  local left = session:armed_for()
  add("console", left and ("armed for %d s: %s"):format(left, session.reason) or "read-only")
  return rows
end

--- The latest runs, and the consoles that changed something.
---@param limit? integer|"all" (10) all: the consoles that only looked too
---@return table[] rows
---@example runs()
function words.runs(limit)
  local all = limit == "all"
  local found, err = sessions.here():need_journal():runs { limit = all and 1000 or limit or 10, changed = not all }
  if not found then return nil, err end
  local rows = { columns = { "run", "started", "what", "release", "by", "outcome", "exit", "summary" } }
  for i, run in ipairs(found) do
    rows[i] = { run = run.id, started = run.started_at, what = run.playbook, release = run.release, by = run.actor, outcome = run.outcome or "under way", exit = run.exit_code, summary = run.summary }
  end
  return rows
end

--- What a run did, event by event.
---@param run? string its id or the beginning of it; as without: the one that the console is attached to, or the latest
---@return table[] rows
---@example log "7f3c"
function words.log(run)
  local session = sessions.here()
  local row, err = session:need_journal():run(run or session.attached and session.attached.id)
  if not row then return nil, err end
  local rows = { columns = { "at", "audit", "kind", "data" } }
  for i, event in ipairs(assert(session.journal:events(row.id))) do rows[i] = { at = event.at, audit = event.seq, kind = event.kind, data = json.encode(event.data) } end
  return rows
end

--- The venture's finished backups, the latest first.
---@return table[] rows
---@example backups()
function words.backups()
  local found, err = require("backup").list(sessions.here():need_venture().backup.to)
  if not found then return nil, err end
  local rows = { columns = { "id", "taken_at", "path" } }
  for i, one in ipairs(found) do rows[i] = { id = one.id, taken_at = one.taken_at, path = one.path } end
  return rows
end

return { words = words }
