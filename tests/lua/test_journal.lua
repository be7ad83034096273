-- The journal, on SQLite and, when ENGINE_TEST_JOURNAL names a PostgreSQL database, on that as well (tests/e2e/journal_postgres.sh).
local chain = require "journal.chain"
local core_secret = require "core.secret"
local journal = require "journal"
local leases = require "journal.lease"
local t = require "test"

local POSTGRES = core_secret.environment "ENGINE_TEST_JOURNAL"
if POSTGRES == "" then POSTGRES = nil end

local function with_folder(fn)
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  local ok, err = pcall(fn, folder)
  files.remove_tree(folder)
  if not ok then error(err, 0) end
end

-- Calls fn with the address of a schema of its own.
local function with_schema(fn)
  local name = "journal_" .. random.hex(6)
  local admin <close> = t.ok(sql.open(POSTGRES))
  t.ok(admin:execute("CREATE SCHEMA " .. name))
  local ok, err = pcall(fn, ("%s?options=-csearch_path%%3D%s"):format(POSTGRES, name))
  t.ok(admin:execute(("SET client_min_messages = error; DROP SCHEMA %s CASCADE"):format(name)))
  if not ok then error(err, 0) end
end

local function opened(where, fn)
  local j = t.ok(journal.open(where))
  local ok, err = pcall(fn, j)
  j:close()
  if not ok then error(err, 0) end
end

local function with_sqlite(fn)
  with_folder(function(folder)
    local path = folder .. "/journal.db"
    opened(path, function(j) fn(j, path, "sqlite:" .. path) end)
  end)
end

-- Runs fn(journal, where, database) for every kind of database that there is.
local function with_journal(fn)
  with_sqlite(fn)
  if POSTGRES then with_schema(function(url) opened(url, function(j) fn(j, url, url) end) end) end
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
  with_journal(function(j, path, database)
    local third = t.ok(journal.open(path))
    t.ok(begin(third, { venture = "other" }), "another venture is free")
    third:close()
    local first = t.ok(begin(j))
    local none, err = begin(j)
    err = t.err(none, err, "lock_held")
    t.has(err.message, first)
    local db <close> = sql.open(database)
    t.ok(db:query("UPDATE leases SET started = started - 1 WHERE venture = 'acme'"))
    local other = t.ok(journal.open(path))
    none, err = begin(other)
    err = t.err(none, err, "lock_held")
    t.has(err.message, "has not ended")
    t.eq(t.ok(other:take_up(other:run(first), { operation = "resume", actor = "me" })), 2)
    none, err = j:event(first, "note", { text = "from the grave" })
    t.err(none, err, "lock_held")
    none, err = j:renew(5)
    t.err(none, err, "lock_held")
    t.ok(other:event(first, "note", { text = "alive" }))
    t.ok(other:run_end(first, "done", 0))
    t.ok(begin(other))
    t.eq(other.held.epoch, 3)
    other:close()
  end)
end)

t.case("every kind of tampering is found", function()
  local ways = {
    ["event 3: its content was changed"] = "UPDATE events SET data = '{\"green\":99}' WHERE seq = 3",
    ["event 2: its content was changed"] = "UPDATE events SET place = '2' WHERE seq = 2",
    ["event 4: its content was changed"] = "UPDATE events SET hash = 'y' WHERE seq = 4",
    ["is missing"] = "DELETE FROM events WHERE seq = 3",
    ["is not in its row as it was recorded"] = "UPDATE runs SET args = '{}'",
    ["the sources of run"] = "UPDATE texts SET text = 'return 2'",
    ["has another answer"] = "UPDATE approvals SET answer = 'no'",
  }
  for part, statement in pairs(ways) do
    with_journal(function(j, _, database)
      local run = t.ok(begin(j))
      local seq = 1
      t.ok(j:step_begin(run, { seq = seq, place = "1", name = "s", effect = "pure" }))
      j:event(run, "traffic", { green = 10 }, seq)
      j:step_end(run, seq, "done")
      t.ok(j:answer(run, t.ok(j:ask(run, { place = "1?", question = "go on" })), { answer = "yes", by = "ana" }))
      t.ok(j:verify(run))
      local db <close> = sql.open(database)
      local changed, err = db:query(statement)
      if statement:find " events " then
        t.err(changed, err, "sql")
        local on = db:dialect() == "postgres" and " ON events" or ""
        t.ok(db:execute(("DROP TRIGGER events_stay%s; DROP TRIGGER events_remain%s"):format(on, on)))
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

t.case("a password is in no message", function()
  local j, err = journal.open "postgres://engine:correct-horse@127.0.0.1:1/journal"
  err = t.err(j, err, "journal")
  t.has(err.message, "postgres://engine@127.0.0.1:1/journal")
  t.ok(not inspect.text(err):find("correct-horse", 1, true), inspect.text(err))
end)

t.case("a holder on another machine lives by its renewals; a lease that has expired and that nobody took goes on", function()
  with_journal(function(j, where, database)
    local run = t.ok(begin(j))
    local db <close> = t.ok(sql.open(database))
    t.ok(db:query("UPDATE leases SET host = 'elsewhere', renewed_at = renewed_at - $1", leases.EXPIRES_S - 5))
    opened(where, function(other)
      local none, err = begin(other)
      t.has(t.err(none, err, "lock_held").message, "on elsewhere")
      t.ok(db:query "UPDATE leases SET renewed_at = renewed_at - 10")
      t.ok(not select(2, other:holder "acme"), "it is taken for dead")
      t.ok(j:step_begin(run, { seq = 1, place = "1", name = "goes on", effect = "idempotent" }))
      j.held.confirmed = 0
      t.ok(j:confirm(), "nobody took it")
      t.ok(j:renew(5))
      t.ok(select(2, other:holder "acme"), "a renewal makes it live")
      t.ok(db:query "UPDATE leases SET renewed_at = renewed_at - 20")
      t.ok(other:take_up(j:run(run), { operation = "resume", actor = "you" }))
      t.ok(j:confirm(), "what was just confirmed is not asked again")
      j.held.confirmed = 0
      none, err = j:confirm()
      t.has(t.err(none, err, "lock_held").message, "by run " .. run)
      none, err = j:step_end(run, 1, "done")
      t.err(none, err, "lock_held")
      t.eq(other:steps(run)[1].state, "intent")
      t.ok(other:step_end(run, 1, "done"))
    end)
    t.ok(j:verify())
  end)
end)

t.case("the same number is the same change", function()
  with_journal(function(j)
    local run = t.ok(begin(j))
    local event = { kind = "note", data = { text = "once" }, n = journal.number(), since = clock.now() - 5 }
    t.ok(j:numbered_event(run, event))
    t.ok(j:numbered_event(run, event, true))
    local events = j:events(run)
    t.eq(#events, 2)
    t.ok(events[2].data.late_s >= 5)
    t.ok(j:verify())
  end)
end)

local function step_of(n) return { seq = n, place = tostring(n), name = "s" .. n, effect = "pure" } end

t.case("what somebody asked before a step keeps it from beginning", function()
  with_sqlite(function(j, path)
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
    -- So is what somebody asked before a change that reads by itself, and before one that is tried anew.
    t.eq(#j:signals(run), 1)
    t.ok(other:signal(run, { kind = "rollback", by = "eve" }))
    t.ok(j:numbered_event(run, { kind = "note", data = {}, n = journal.number(), since = clock.now() }))
    t.eq(j:step_begin(run, step_of(4), true), false)
    t.eq(#j:signals(run), 2)
    t.ok(j:step_begin(run, step_of(4), true))
    t.ok(other:answer(run, t.ok(j:ask(run, { place = "5?", question = "go on" })), { answer = "yes", by = "ana" }))
    t.eq(t.ok(j:ask(run, { place = "6?", question = "and now" })), 2)
    t.eq(j:step_begin(run, step_of(5), true), false)
    t.eq(j:verify().events, 14)
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

if not POSTGRES then return end

-- A proxy in front of the database, through which a journal's connections can be disturbed:
--   lose = true    the next commit, or change that is a transaction by itself, is carried out, and the connection ends before its answer
--   halt = text    the connection that says this stands still afterwards, in both directions
--   away = true    no connection comes through, and those that there are end
local function proxied(url, fn)
  local host, port = url:match "@([%w.]+):(%d+)/"
  local listener <close> = t.ok(net.listen {})
  local proxy = { conns = {}, lost = 0 }
  local function pump(from, to, look)
    while true do
      local text = from:read(65536, 600)
      if not text or look(text) == "end" or not to:write(text) then break end
    end
    from:close()
    to:close()
  end
  local function serve(client)
    local server = net.connect { host = host, port = math.tointeger(tonumber(port)) }
    if not server then return client:close() end
    local conn = { client = client, server = server }
    proxy.conns[#proxy.conns + 1] = conn
    local function stand_still() while conn.is_halted do sleep(0.02) end end
    background(pump, client, server, function(text)
      stand_still()
      conn.is_losing = proxy.lose and (text:find("COMMIT", 1, true) or text:find("AND EXISTS (SELECT 1 FROM leases", 1, true)) ~= nil
      conn.is_halted = proxy.halt and text:find(proxy.halt, 1, true) ~= nil
    end)
    pump(server, client, function()
      stand_still()
      if not conn.is_losing then return end
      proxy.lose, proxy.lost = false, proxy.lost + 1
      return "end"
    end)
  end
  function proxy.cut()
    for _, conn in ipairs(proxy.conns) do
      conn.client:close()
      conn.server:close()
      conn.is_halted = false
    end
    proxy.conns = {}
  end
  local accepting = background(function()
    while true do
      local client = listener:accept(600)
      if proxy.away then client:close() else background(serve, client) end
    end
  end)
  local ok, err = pcall(fn, (url:gsub("@[%w.]+:%d+/", ("@127.0.0.1:%d/"):format(listener.port))), proxy)
  accepting:cancel()
  proxy.cut()
  if not ok then error(err, 0) end
end

local function with_proxied_journal(fn)
  with_schema(function(url)
    proxied(url, function(through, proxy) opened(through, function(j) fn(j, proxy, url) end) end)
  end)
end

t.case("a commit whose answer was lost is not done twice", function()
  with_proxied_journal(function(j, proxy)
    local run, seq
    local changes = {
      run_begin = function() run = t.ok(begin(j)) end,
      step_begin = function() t.ok(j:step_begin(run, { seq = 1, place = "1", name = "s", effect = "probed" })) end,
      value = function() t.ok(j:value(run, { seq = 2, place = "2", name = "v", state = "done", result = 7 })) end,
      step_end = function() t.ok(j:step_end(run, 1, "done", { ok = true })) end,
      note = function() t.ok(j:note(run, "note", {})) end,
      signal = function() t.ok(j:signal(run, { kind = "rollback", by = "me" })) end,
      ask = function() seq = t.ok(j:ask(run, { place = "3?", question = "go on" })) end,
      answer = function() t.eq(t.ok(j:answer(run, seq, { answer = "yes", by = "me" })).by, "me") end,
      run_end = function() t.ok(j:run_end(run, "done", 0)) end,
      resume = function() t.eq(t.ok(j:take_up(j:run(run), { operation = "resume", actor = "me" })), 2) end,
      unlock = function() t.ok(j:unlock(j:run(run), "me", "test")) end,
    }
    local order = { "run_begin", "step_begin", "value", "step_end", "note", "signal", "ask", "answer", "run_end", "resume", "unlock" }
    for i, name in ipairs(order) do
      proxy.lose = true
      changes[name]()
      t.eq(proxy.lost, i, name)
    end
    local kinds = {}
    for i, event in ipairs(j:events(run)) do kinds[i] = event.kind end
    t.eq(kinds, order)
    t.eq(#j:signals(run), 1)
    t.eq(j:verify().events, #order)
  end)
end)

t.case("a change that was committed is no permission when the run was taken over before its answer came", function()
  with_proxied_journal(function(j, proxy, url)
    local run = t.ok(begin(j))
    local db <close> = t.ok(sql.open(url))
    j:hold(60, function() t.ok(db:query "UPDATE leases SET epoch = epoch + 1, host = 'elsewhere'") end, function() end)
    proxy.lose = true
    local done, err = j:step_begin(run, { seq = 1, place = "1", name = "s", effect = "idempotent" })
    t.has(t.err(done, err, "lock_held").message, "on elsewhere")
    t.eq(j:steps(run)[1].state, "intent")
  end)
end)

t.case("an engine that is gone in mid-change does not keep the others waiting", function()
  with_proxied_journal(function(j, proxy, url)
    local run = t.ok(begin(j))
    proxy.halt = "INSERT INTO events"
    local halted = background(function() return j:event(run, "note", { text = "late" }) end)
    local db <close> = t.ok(sql.open(url))
    repeat sleep(0.02) until db:value "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted" == 1
    proxy.halt = nil
    opened(url, function(other) t.ok(other:note(run, "note", { text = "early" })) end)
    proxy.cut()
    t.ok(halted:join())
    local texts = {}
    for i, event in ipairs(j:events(run)) do texts[i] = event.data.text or event.kind end
    t.eq(texts, { "run_begin", "early", "late" })
    t.ok(j:verify())
  end)
end)

t.case("a change that stands in no line and another one: whichever comes second reads again", function()
  with_schema(function(url)
    opened(url, function(j)
      opened(url, function(other)
        local run = t.ok(begin(j))
        local db <close> = t.ok(sql.open(url))
        local looks <close> = t.ok(sql.open(url))
        -- An event that is not committed yet, and what wants to write the next one meanwhile.
        local function before(text, second)
          local waiting
          t.ok(db:transaction(function(tx)
            local last = t.ok(tx:one "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
            chain.append(tx, { utc = "2026-01-01T00:00:00.000Z", seq = last.seq, hash = last.hash, run = run }, { kind = "note", data = { text = text } })
            waiting = background(second)
            repeat sleep(0.02) until looks:value "SELECT count(*) FROM pg_locks WHERE NOT granted" == 1
          end))
          t.ok(waiting:join())
        end
        t.ok(j:event(run, "note", { text = "reads" }))
        before("first", function() return j:event(run, "note", { text = "knew the end" }) end)
        before("third", function() return other:note(run, "note", { text = "stood in line" }) end)
        t.ok(j:event(run, "note", { text = "last" }))
        local texts = {}
        for i, event in ipairs(j:events(run)) do texts[i] = event.data.text or event.kind end
        t.eq(texts, { "run_begin", "reads", "first", "knew the end", "third", "stood in line", "last" })
        t.ok(j:verify())
      end)
    end)
  end)
end)

t.case("renewals wait for no writer", function()
  with_journal(function(j, where, database)
    if database:find "^sqlite" then return end
    local run = t.ok(begin(j))
    local db <close> = t.ok(sql.open(database))
    t.ok(db:execute "BEGIN; SELECT pg_advisory_xact_lock(7310293, 'events'::regclass::oid::int4)")
    local slow = background(function() return j:event(run, "note", {}) end)
    repeat sleep(0.02) until db:value "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted" == 1
    local before = db:value "SELECT renewed_at FROM leases"
    t.ok(j:renew(5))
    t.ok(db:value "SELECT renewed_at FROM leases" > before)
    t.eq(#t.ok(db:query "SELECT 1 FROM events"), 1)
    t.ok(db:query "COMMIT")
    t.ok(slow:join())
  end)
end)

t.case("a database that is away is waited for, which is said once; or not for so long", function()
  with_proxied_journal(function(j, proxy)
    local run = t.ok(begin(j))
    local said = {}
    j:hold(60, function(err)
      said[#said + 1] = err.message
      background(function() sleep(0.2) proxy.away = false end)
    end, function(seconds)
      said[#said + 1] = seconds
      t.ok(j:event(run, "journal_away", { seconds = seconds }))
    end)
    proxy.away = true
    proxy.cut()
    parallel {
      function() t.ok(j:event(run, "note", {})) end,
      function() t.eq(#t.ok(j:steps(run)), 0) end,
    }
    t.eq({ #said, type(said[1]), type(said[2]) }, { 2, "string", "number" })
    j:hold(0.1, function() end, function() end)
    proxy.away = true
    proxy.cut()
    local done, err = j:event(run, "note", {})
    err = t.err(done, err, "journal")
    t.ok(err.away)
    t.has(err.message, "has been away for")
    proxy.away = false
    t.eq(#j:events(run), 3)
    t.ok(j:verify())
  end)
end)

t.case("several may make and open a journal at the same moment", function()
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  for round = 1, 30 do
    local function open() t.ok(journal.open(("%s/%d.db"):format(folder, round))):close() end
    parallel { open, open, open }
  end
  t.ok(files.remove_tree(folder))
end)
