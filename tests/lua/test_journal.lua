local t = require "test"
local journal = require "journal"

local function with_journal(fn)
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  local j = t.ok(journal.open(folder .. "/journal.db"))
  local ok, err = pcall(fn, j, folder .. "/journal.db")
  j:close()
  files.remove_tree(folder)
  if not ok then error(err, 0) end
end

local function begin(j, fields)
  local all = { venture = "acme", playbook = "p", path = "p.lua", args = { release = "1" }, mode = "auto", actor = "me",
    sources = { { name = "main", path = "p.lua", text = "return 1" } } }
  for key, value in pairs(fields or {}) do all[key] = value end
  return j:run_begin(all)
end

t.case("a run, its steps and events come back as they were recorded", function()
  with_journal(function(j)
    local run = t.ok(begin(j))
    local seq = 1
    t.ok(j:step_begin(run, { seq = 1, place = "1", name = "shift", effect = "probed", args = { green = 10 }, undo = "undo shift" }))
    t.eq(j:steps(run)[1].state, "intent")
    t.ok(j:event(run, "traffic", { blue = 90, green = 10 }, seq))
    t.ok(j:step_end(run, seq, "done", { ok = true }, nil, 0.5))
    t.ok(j:run_end(run, "promoted", 0, "fine"))
    local step = j:steps(run)[1]
    t.eq({ step.state, step.args, step.result, step.seconds }, { "done", { green = 10 }, { ok = true }, 0.5 })
    t.eq(j:run(run:sub(1, 4)).outcome, "promoted")
    t.eq(j:sources(run)[1].text, "return 1")
    local kinds = {}
    for i, event in ipairs(j:events(run)) do kinds[i] = event.kind end
    t.eq(kinds, { "run_begin", "step_begin", "traffic", "step_end", "run_end" })
    t.eq(j:verify().events, 5)
  end)
end)

t.case("a venture has one run at a time; a dead holder's lease is taken over with a higher epoch", function()
  with_journal(function(j, path)
    local third = t.ok(journal.open(path))
    t.ok(begin(third, { venture = "other" }), "another venture is free")
    third:close()
    local first = t.ok(begin(j))
    local none, err = begin(j)
    err = t.err(none, err, "lock_held")
    t.has(err.message, first)
    local db <close> = sql.open("sqlite:" .. path)
    t.ok(db:query("UPDATE leases SET started = started - 1 WHERE venture = 'acme'"))
    local other = t.ok(journal.open(path))
    local second = t.ok(begin(other))
    t.eq(other.held.epoch, 2)
    none, err = j:event(first, "note", { text = "from the grave" })
    t.err(none, err, "lock_held")
    none, err = j:renew()
    t.err(none, err, "lock_held")
    t.ok(other:event(second, "note", { text = "alive" }))
    other:close()
  end)
end)

t.case("every kind of tampering is found", function()
  local ways = {
    ["its content was changed"] = "UPDATE events SET data = '{\"green\":99}' WHERE seq = 3",
    ["is missing"] = "DELETE FROM events WHERE seq = 3",
    ["'failed' in its row"] = "UPDATE steps SET state = 'failed'",
    ["is not in its row as it was recorded"] = "UPDATE runs SET args = '{}'",
    ["the sources of run"] = "UPDATE texts SET text = 'return 2'",
    ["has no row"] = "DELETE FROM steps",
    ["is another one in its row"] = "UPDATE steps SET args = '{\"green\":99}'",
    ["has another name"] = "UPDATE steps SET name = 'other'",
    ["has another answer"] = "UPDATE approvals SET answer = 'no'",
    ["does not follow"] = "UPDATE events SET prev = 'x', hash = 'y' WHERE seq = 4",
  }
  for part, statement in pairs(ways) do
    with_journal(function(j, path)
      local run = t.ok(begin(j))
      local seq = 1
      t.ok(j:step_begin(run, { seq = seq, place = "1", name = "s", effect = "pure" }))
      j:event(run, "traffic", { green = 10 }, seq)
      j:step_end(run, seq, "done")
      t.ok(j:answer(run, t.ok(j:ask(run, { place = "1?", question = "go on" })), { answer = "yes", by = "ana" }))
      t.ok(j:verify(run))
      local db <close> = sql.open("sqlite:" .. path)
      local changed, err = db:query(statement)
      if statement:find " events " then
        t.err(changed, err, "sql")
        t.ok(db:execute "DROP TRIGGER events_stay; DROP TRIGGER events_remain")
        t.ok(db:query(statement))
      end
      local proof, problem = j:verify()
      problem = t.err(proof, problem, "journal")
      t.has(problem.message, part)
    end)
  end
end)

t.case("questions are answered once", function()
  with_journal(function(j)
    local run = t.ok(begin(j))
    local seq = t.ok(j:ask(run, { place = "1?", question = "go on", evidence = { n = 1 } }))
    t.eq(j:open_question(run).question, "go on")
    t.eq(j:answer(run, seq, { answer = "yes", by = "ana" }).by, "ana")
    local row, err = j:answer(run, seq, { answer = "no", by = "bob" })
    t.err(row, err, "approval")
    t.eq(j:open_question(run), nil)
  end)
end)

t.case("a file that is no journal is refused", function()
  local path = "/tmp/engine-test-" .. random.hex(4)
  t.ok(files.write(path, ("this is no database "):rep(100)))
  local j, err = journal.open(path)
  t.err(j, err, "journal")
  files.remove(path)
end)

local function step_of(n) return { seq = n, place = tostring(n), name = "s" .. n, effect = "pure" } end

t.case("what somebody asked before a step keeps it from beginning", function()
  with_journal(function(j, path)
    local run = t.ok(begin(j))
    t.eq(j:step_begin(run, step_of(1), true), false, "its signals were never read")
    t.eq(#j:signals(run), 0)
    t.ok(j:step_begin(run, step_of(1), true))
    t.ok(j:step_end(run, 1, "done"))
    t.eq(j:may_be_asked(), false)
    local other = t.ok(journal.open(path))
    t.ok(other:signal(run, { kind = "rollback", by = "ana" }))
    t.eq(j:step_begin(run, step_of(2), true), false)
    t.eq(#j:steps(run), 1)
    t.eq(j:signals(run)[1].kind, "rollback")
    t.ok(j:step_begin(run, step_of(2), true))
    -- What another process wrote is found by any change, and does not hold up one that need not care.
    t.ok(other:note(run, "note", { text = "from outside" }))
    t.ok(j:step_end(run, 2, "done"))
    t.eq(j:may_be_asked(), true)
    t.eq(j:step_begin(run, step_of(3), true), false)
    t.ok(j:step_begin(run, step_of(3)))
    t.eq(j:verify().events, 8)
    other:close()
  end)
end)

t.case("changes of several tasks at once form one chain", function()
  with_journal(function(j)
    local run = t.ok(begin(j))
    j:signals(run)
    local work = {}
    for i = 1, 20 do
      work[i] = function()
        t.ok(j:step_begin(run, step_of(i)))
        t.ok(j:event(run, "note", { n = i }, i))
        t.ok(j:step_end(run, i, "done", { n = i }))
      end
    end
    parallel(work)
    t.eq(j:verify().events, 61)
    t.eq(#j:steps(run), 20)
  end)
end)
