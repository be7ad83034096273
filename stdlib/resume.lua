--- resume: goes on with a run whose engine is gone, and takes back one that is under way, dead or promoted. Both are the same: the run is taken
-- up with a higher epoch, gone through again from what it stored, and goes on where nothing is recorded.

local core_err = require "core.err"
local core_search = require "core.search"
local display = require "display"
local execute = require "execute"
local files = require "files"
local recorded = require "run.recorded"
local task = require "task"

local M = {}

local POLL_S = 0.2

local where_of = require("journal.option").text

local function usage(message, next_step) return nil, core_err.new { code = "usage", message = message, next = next_step } end

-- The run that is meant: the named one, or the latest.
local function row_of(journal, options)
  local row, err = journal:run(options.words[1])
  if not row then return nil, err end
  if row.playbook == "console" then return usage(("%s was a console: nothing of it goes on by itself"):format(row.id), ("engine log %s%s says what it did"):format(row.id, where_of(options))) end
  local _, lives = journal:holder(journal:lease_of(row))
  return row, nil, lives
end

-- The files of now in place of the recorded ones, with what differs shown.
local function sources_of_now(sources)
  local now, differ = {}, 0
  local folder = assert(files.mkdtemp "/tmp/engine-rebase-")
  for i, source in ipairs(sources) do
    local text = files.read(source.path) or core_search.baked(source.path)
    if not text then
      files.remove_tree(folder)
      return nil, core_err.new { code = "not_found", message = ("%s, which the run is made of, is not there any more"):format(source.path), next = "Resume without --rebase: the run goes on with what it stored." }
    end
    if text ~= source.text then
      differ = differ + 1
      assert(files.write(folder .. "/recorded", source.text))
      assert(files.write(folder .. "/now", text))
      local shown = assert(require("process").run { argv = { "diff", "-u", "--label", source.path .. " (as the run has it)", "--label", source.path .. " (now)", folder .. "/recorded", folder .. "/now" } })
      print((shown.stdout:gsub("\n$", "")))
    end
    now[i] = { name = source.name, path = source.path, text = text }
  end
  files.remove_tree(folder)
  display.line("note", 0, differ == 0 and "the files of now are those that the run has" or ("%d of the run's files %s not as the run has %s; it goes on with what is there now"):format(differ, differ == 1 and "is" or "are", differ == 1 and "it" or "them"))
  return now
end

local function source_named(sources, name)
  for _, source in ipairs(sources) do if source.name == name then return source end end
end

-- Everything that can be wrong with the run's parts is found here, before its lease is taken.
local function load(row, sources)
  core_search.use_recorded(sources)
  local venture, err
  if row.settings.venture then
    venture, err = require("configuration").load(row.settings.venture, { source = source_named(sources, "venture").text, environment = row.settings.environment or {} })
    if not venture then return nil, err end
    core_search.add_folder(row.settings.venture)
  end
  core_search.add_folder(row.path:match "^(.*)/[^/]*$" or ".")
  local chunk
  chunk, err = core_search.load_recorded()
  if not chunk then return nil, err end
  local playbook
  playbook, err = execute.load_playbook(row.path, chunk)
  if not playbook then return nil, err end
  return { playbook = playbook, venture = venture }
end

-- Takes the run up and runs it to its end.
local function go_on(journal, row, options, operation)
  -- A journal that does not say what was recorded is nothing to go by.
  local proof, err = journal:verify(row.id)
  if not proof then return nil, err end
  local sources
  sources, err = journal:sources(row.id)
  if not sources then return nil, err end
  if options.rebase then
    sources, err = sources_of_now(sources)
    if not sources then return nil, err end
  end
  local parts
  parts, err = load(row, sources)
  if not parts then return nil, err end
  local option = { state = options.state or row.state_folder, journal = options.journal }
  local guardian = parts.venture and require("guardian").prepare(parts.venture, option)
  local actor = options.actor or execute.actor()
  execute.restrict(parts.venture, option.state, row.path)
  local epoch
  epoch, err = journal:take_up(row, { operation = operation, actor = actor, reason = options.reason })
  if not epoch then
    if err.code ~= "lock_held" then return nil, err end
    display.failure(err)
    print(("  next   engine status %s%s"):format(row.id, where_of(options)))
    return 6
  end
  -- Since the proof, that it was taken up was written, and what somebody asked meanwhile.
  local approvals
  proof, err = journal:verify_rest(proof)
  if proof then approvals, err = journal:approvals(row.id) end
  if not approvals then
    journal:let_go()
    return nil, err
  end
  local run = execute.new_run {
    id = row.id, journal = journal, recorded = recorded.of(proof.of_run, approvals), playbook = parts.playbook, path = row.path, args = row.args, venture = parts.venture, mode = row.mode,
    reason = row.reason, actor = actor, state_folder = option.state, journal_option = option, guardian = guardian, settings = row.settings, rebased = options.rebase and sources or nil,
  }
  display.header(run)
  return execute.go(run)
end

--- `engine resume`: goes on with a run whose engine is gone.
---@param journal table
---@param options { words: string[], rebase?: boolean, reason?: string, actor?: string }
---@return integer? exit, table? err
function M.resume(journal, options)
  local row, err, lives = row_of(journal, options)
  if not row then return nil, err end
  if row.ended_at then
    local where = where_of(options)
    local log, back = ("engine log %s%s says what it did"):format(row.id, where), ("engine rollback %s%s"):format(row.id, where)
    return usage(("run %s has ended: %s"):format(row.id, row.outcome),
      row.exit_code == 5 and ("%s tries again; %s"):format(back, log) or row.outcome == "promoted" and ("%s takes it back; %s"):format(back, log) or log)
  end
  if lives then
    display.failure(journal:held_by(journal:lease_of(row)))
    print(("  next   engine attach %s%s"):format(row.id, where_of(options)))
    return 6
  end
  return go_on(journal, row, options, "resume")
end

-- What the journal says about taking the run back: whether its schema changed, how safe that is, and how long it took in staging.
local function known_of(journal, row)
  local known = { migrated = false }
  for _, step in ipairs(assert(journal:steps(row.id))) do
    if step.name:find("run migrations", 1, true) and step.state ~= "failed" then known.migrated = true end
  end
  for _, event in ipairs(assert(journal:events(row.id))) do
    if event.kind == "note" and event.data.label then known.label = event.data.label end
    if event.kind == "backup" then known.drill_seconds, known.backup = event.data.drill_seconds, event.data.id end
    if event.kind == "traffic" then known.blue, known.green = event.data.blue, event.data.green end
  end
  return known
end

-- What taking a run back means, as lines.
local function preview(row, known, kind)
  local lines = { ("run %s of %s, release %s: traffic stood at blue %s %%, green %s %%; %s"):format(row.id, row.venture or "no venture", row.release or "none", tostring(known.blue or "?"), tostring(known.green or "?"),
    known.migrated and ("the schema was migrated (%s)"):format(known.label or "not rehearsed") or "no schema change") }
  if row.exit_code == 5 then
    lines[2] = ("its rollback failed (%s): what was done of it stays done, what failed is tried again"):format(row.summary or "for no known reason")
    return lines
  end
  lines[2] = ("first all traffic goes back, then %s"):format(kind and ("a %s rollback"):format(kind) or "the evidence decides between a traffic, a database and a full rollback")
  if known.drill_seconds and known.migrated then lines[3] = ("backup %s took %s to restore in staging"):format(known.backup, display.duration(known.drill_seconds)) end
  return lines
end

-- A run that is under way takes itself back; this waits for its end.
local function ask(journal, row, options)
  local asked, err = journal:signal(row.id, { kind = "rollback", data = { type = options.type }, by = options.actor or execute.actor(), reason = options.reason })
  if not asked then return nil, err end
  return true
end

local function wait_for_end(journal, row, options)
  display.line("note", 0, ("run %s is under way and was asked to roll back"):format(row.id))
  while true do
    local now = assert(journal:run(row.id))
    if now.ended_at then
      print("  state  " .. display.plain(now.summary or now.outcome))
      print(("  next   engine log %s%s   exit %d"):format(now.id, where_of(options), now.exit_code))
      return now.exit_code
    end
    local _, lives = journal:holder(journal:lease_of(now))
    if not lives then return nil end -- it died over it
    task.sleep(POLL_S)
  end
end

-- Only the venture's latest run can be taken back: what came after stands on it.
local function refusal(journal, row, known, kind)
  local has_failed = row.exit_code == 5
  if has_failed and kind then return ("the rollback of run %s failed, and goes on as it was chosen: leave --type away"):format(row.id) end
  if row.outcome and row.outcome ~= "promoted" and not has_failed then return ("run %s has ended: %s; there is nothing to take back"):format(row.id, row.outcome) end
  local latest = row.venture and assert(journal:runs { venture = row.venture, limit = 1 })[1]
  if latest and latest.id ~= row.id then return ("run %s is not %s's latest: %s came after it"):format(row.id, row.venture, latest.id) end
  if kind == "traffic" and known.migrated and known.label and known.label ~= "traffic-safe" then
    return ("a traffic rollback would leave the old release with a schema that it does not work with (%s)"):format(known.label)
  end
  if kind == "database" and not known.backup then return ("run %s has no proven backup to go back to"):format(row.id) end
end

--- How a run would be taken back. Nothing is done.
---@param journal table
---@param options { words: string[], type?: string }
---@return { row: table, lives: boolean, lines: string[] }?, table? err usage: it cannot be
function M.look(journal, options)
  local row, err, lives = row_of(journal, options)
  if not row then return nil, err end
  local known = known_of(journal, row)
  local problem = refusal(journal, row, known, options.type)
  if problem then return usage(problem, ("engine status %s%s"):format(row.id, where_of(options))) end
  return { row = row, lives = lives, lines = preview(row, known, options.type) }
end

--- `engine rollback`: takes a run back, by the decision tree or by the type that is named.
---@param journal table
---@param options { words: string[], type?: string, dry_run?: boolean, reason?: string, actor?: string }
---@return integer? exit, table? err
function M.rollback(journal, options)
  local found, err = M.look(journal, options)
  if not found then return nil, err end
  local row, lives = found.row, found.lives
  for _, line in ipairs(found.lines) do display.line("note", 0, line) end
  if options.dry_run then return 0 end
  local asked
  asked, err = ask(journal, row, options)
  if not asked then return nil, err end
  if lives then
    local code = wait_for_end(journal, row, options)
    if code then return code end
  end
  return go_on(journal, row, options, "rollback")
end

return M
