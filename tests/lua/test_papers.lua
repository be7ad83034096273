-- The papers of a run, on journals that this makes: what they say, and that nothing in a journal can do any harm in them.

local chart = require "papers.chart"
local clock = require "clock"
local expected = require "papers.expected"
local html = require "papers.html"
local journal = require "journal"
local markdown = require "papers.markdown"
local papers = require "papers"
local read = require "papers.read"
local parts = require "papers.parts"
local report = require "papers.report"
local series = require "papers.series"
local sql = require "sql"
local standing = require "papers.standing"
local t = require "test"
local verdict = require "verdict"

local DIGEST = "sha256:" .. ("ab"):rep(32)

local function with_journal(fn)
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  local j = t.ok(journal.open(folder .. "/journal.db"))
  local ok, err = pcall(fn, j, folder)
  j:close()
  files.remove_tree(folder)
  if not ok then error(err, 0) end
end

-- A run as stage 30 records one.
local Run = {}
Run.__index = Run

local function begin(j, fields)
  fields = fields or {}
  local colours = fields.colours or { old = "blue", new = "green", version = "1.0" }
  local all = { venture = "acme", playbook = "stage30", path = "playbooks/stage30.lua", args = {}, release = "1.1", mode = "auto", actor = "ana", engine = "0.1",
    settings = { owner = "the acme team" }, sources = { { name = "main", path = "p.lua", text = "return 1" } },
    values = { { seq = 1, place = "1", name = "release", state = "done", result = { version = "1.1", digest = DIGEST } }, { seq = 2, place = "2", name = "colours", state = "done", result = colours } } }
  for key, value in pairs(fields) do all[key] = value end
  return setmetatable({ j = j, id = t.ok(j:run_begin(all)), seq = 2 }, Run)
end

function Run:event(kind, data) t.ok(self.j:event(self.id, kind, data, self.step)) end

-- A step that took so many seconds, with what fn records in it.
function Run:done(name, seconds, fn, problem)
  self.seq = self.seq + 1
  self.step = self.seq
  t.ok(self.j:step_begin(self.id, { seq = self.seq, place = tostring(self.seq), name = name, effect = "pure" }))
  local result = fn and fn()
  t.ok(self.j:step_end(self.id, self.seq, problem and "failed" or "done", result, problem, seconds))
  self.step = nil
end

function Run:finish(outcome, code, summary) t.ok(self.j:run_end(self.id, outcome, code, summary)) end

function Run:record(result) return t.ok(read.run(self.j, self.id, result)) end

-- Counted slots of a stage, ending now, with the verdict that they give.
function Run:stage(share, words, what, more)
  local now = clock.wall()
  local policy = verdict.policy {}
  require("canary.record").play(policy, words)
  local evidence = policy:evidence()
  local function counts(side) return { requests = side.requests, errors = side.errors, slow = side.slow, error_rate = side.requests > 0 and side.errors / side.requests or nil, p95_ms = 12 } end
  local slots = select(2, words:gsub("/", ""))
  self:event("slots", { words = words, judged = "green", from = now - 0.25 * slots, to = now, p95_ms = { green = 212.4, blue = 11.6 } })
  local data = { stage = share .. " %", colour = "green", verdict = what, reason = "green: as the figures say", green = counts(evidence.green), blue = counts(evidence.blue), evidence = require("canary.record").digits(evidence),
    limit = evidence.limit, false_alarm = 1 / evidence.limit, n = evidence.green.requests, seconds = 0.25 * slots }
  for key, value in pairs(more or {}) do data[key] = value end
  self:event("metrics", data)
end

local HEALTHY = "s" .. (" 5.0.0.0/45.0.0.0"):rep(20)
local FAILING = "s" .. (" 5.4.0.0/45.0.0.0"):rep(6)

local function before_traffic(run)
  run:done("30.0 gates", 0.004, function() run:event("gate", { name = "stage 29 complete", passed = true, ok = true, evidence = "value 29", what = "gate" }) end)
  run:done("30.1.1 health checks", 0.01, function() run:event("check", { name = "database answers", what = "health check", ok = true, detail = "value 1", seconds = 0.0016, colour = "blue" }) end)
  run:done("30.1.3 backup", 0.02, function() return { id = "b1", path = "/backups/b1", checksum = ("cd"):rep(32), size_bytes = 16090, seconds = 0.0186 } end)
  run:done("30.1.3 backup integrity", 0.01, function() return { files = 5, bytes = 19703 } end)
  run:done("30.1.3 restoration tested in staging", 0.01, function()
    run:event("backup", { id = "b1", path = "/backups/b1", checksum = ("cd"):rep(32), size_bytes = 16090, seconds = 0.0186, drill_seconds = 0.0043 })
    return { seconds = 0.0043, tables = 7, rows = 834 }
  end)
  run:event("policy", { alpha = 1e-4, error_rate = 0.05, target_rate = 0.01, slow_share = 0.05, slow_ms = 500 })
end

local function promoted(j, fields)
  local run = begin(j, fields)
  before_traffic(run)
  run:done("30.2.2 traffic: 10 % to green", 0.002, function() run:event("traffic", { before = { blue = 100, green = 0 }, blue = 90, green = 10, verified = true }) end)
  run:done("30.2.2 watch green at 10 %", 5.1, function() run:stage(10, HEALTHY, "promote") end)
  run:done("30.2.2 traffic: 100 % to green", 0.003, function() run:event("traffic", { before = { blue = 90, green = 10 }, blue = 0, green = 100, verified = true }) end)
  run:done("30.2.2 watch green at 100 %", 8.4, function() run:stage(100, "s" .. (" 50.0.0.0/-"):rep(20), "promote") end)
  run:event("state", { blue = 0, green = 100, version = "1.1", stage = 31, url = "https://shop.example", verified = true })
  run:event("output", { name = "dashboard application", value = "https://grafana.example/d/1" })
  run:event("output", { name = "alert rules", value = "/etc/rules.yml" })
  run:event("handoff", { path = "/runs/handoff.md", sha256 = ("ef"):rep(32) })
  run:finish("promoted", 0, "green serves 1.1 at 100 %, verified")
  return run
end

local LOSS = { inserted = 1418, updated = 210, deleted = 0, path = "/runs/1/lost", tables = {
  { name = "ledger", inserted = 707, updated = 0, deleted = 0, examples = { "inserted '005c'" } }, { name = "ventures", inserted = 711, updated = 210, deleted = 0, columns_only_live = { "plan" }, examples = {} } } }

local function rolled_back(j)
  local run = begin(j)
  before_traffic(run)
  run:done("30.2.2 traffic: 10 % to green", 0.002, function() run:event("traffic", { before = { blue = 100, green = 0 }, blue = 90, green = 10, verified = true }) end)
  run:done("30.2.2 watch green at 10 %", 1.3, function()
    run:stage(10, FAILING, "rollback", { rule = "R1", first_bad_at = clock.wall() - 1.2 })
    run:event("traffic", { before = { blue = 90, green = 10 }, blue = 100, green = 0, verified = true })
  end, { code = "breach", message = "errors above the limit" })
  run:event("reason", { text = "green: errors above the limit", code = "breach", cause = "the build has a bug", where = "blue_green.lua:107", step = "30.2.2 watch green at 10 %" })
  run:done("rollback: all traffic to blue", 0.001, function() run:event("note", { text = "from the first bad response to blue at 100 %", seconds = 1.27 }) end)
  run:done("rollback: choose its kind", 0.002, function() run:event("note", { text = "rollback chosen: database, because the data is damaged: budgets", rollback = "database" }) end)
  run:done("RB2 restore the database", 0.06, function()
    run:event("loss", LOSS)
    run:event("note", { text = "database restored from b1", seconds = 0.059, downtime_s = 0.004, warm = true })
    run:event("output", { name = "the database of before the restore, kept until it is dropped by hand", value = "/db.before" })
  end)
  run:done("rollback: verified", 0.003, function() run:event("state", { blue = 100, green = 0, version = "1.0", url = "https://shop.example", verified = true }) end)
  run:finish("rolled_back", 4, "database rollback: blue serves 1.0 at 100 %, verified")
  return run
end

local function section(document, id)
  for _, one in ipairs(document.sections) do if one.id == id then return markdown.of { title = "", outcome = { word = "", text = "" }, keys = {}, sections = { one }, made = "" } end end
  return ""
end

t.case("a promoted run: what came of it first, then everything that is known", function()
  with_journal(function(j)
    local run = promoted(j)
    local document = report.of(run:record())
    t.eq({ document.kind, document.outcome.word, document.outcome.tone }, { "Deployment log", "Promoted", "good" })
    local text = markdown.of(document)
    t.ok(text:find("# Deployment log: acme 1.1\n\n> **Promoted.** green serves 1.1 at 100 %, verified\n", 1, true) == 1, "the outcome is not the first thing")
    for _, part in ipairs { run.id, "ana", "the acme team", DIGEST, "none given", "blue served, green got the release", "stage 29 complete", "value 29", "database answers", "/backups/b1", "7 tables, 834 rows",
      "5 files, 19703 bytes", "90 / 10", "read back from the proxy", "0.0001", "the same to the last digit", "grafana.example", "/etc/rules.yml", "https://shop.example", "Nothing is lost: the database was not restored.", "not accepted yet" } do t.has(text, part) end
    t.has(section(document, "chain"), "verified at")
    t.has(section(document, "approvals"), "Nobody was asked: the mode was auto.")
    t.eq(section(document, "why"), "")
    t.eq(standing.outcome(run:record()).text, "green serves 1.1 at 100 %, verified")
  end)
end)

t.case("a run that was rolled back: why, from when, of which kind, what is lost and kept", function()
  with_journal(function(j)
    local run = rolled_back(j)
    local record = run:record()
    local document = report.of(record)
    t.eq({ document.kind, document.outcome.word }, { "Rollback report", "Rolled back" })
    local why = section(document, "why")
    for _, part in ipairs { "errors above the limit", "the build has a bug", "blue_green.lua:107", "| Rule | R1 |", "A database rollback: the data is damaged: budgets." } do t.has(why, part) end
    t.has(section(document, "loss"), "rows 1418 inserted, 210 updated, 0 deleted")
    t.has(section(document, "loss"), "| ventures | 711 | 210 | 0 | plan |")
    t.has(section(document, "kept"), "/db.before")
    t.has(section(document, "kept"), "/runs/1/lost")
    t.has(section(document, "cause"), "the acme team, the owner,")
    t.has(section(document, "backup"), "the database not available for 0.004 s, from the warm copy")
    local timeline = section(document, "timeline")
    t.has(timeline, "| +0.000 s | the first bad response |")
    t.has(timeline, "verified: clients get 1.0; blue 100 %, green 0 %")
    t.ok(timeline:find("first bad response |", 1, true) < timeline:find("RB2 restore", 1, true))
    t.ok(timeline:find("RB2 restore", 1, true) < timeline:find("verified: clients", 1, true))
    t.has(markdown.of(document), "| First bad response to all traffic back | 1.3 s |")
    t.eq(papers.of(record).handoff, nil)
  end)
end)

-- The numbers of everything that stands in a table or list of facts.
local function numbers_of(page)
  local out = {}
  for _, name in ipairs { "td", "th", "dt", "dd" } do
    for content in page:gmatch(("<%s[^>]*>(.-)</%s>"):format(name, name)) do
      for number in content:gsub("<[^>]*>", " "):gsub("&#%d+;", "'"):gmatch "%d[%d.]*" do out[#out + 1] = (number:gsub("%.$", "")) end
    end
  end
  return out
end

t.case("the twins have the same facts", function()
  with_journal(function(j)
    for _, run in ipairs { promoted(j), rolled_back(j) } do
      local texts = papers.of(run:record())
      for name, paper in pairs(texts) do
        local numbers = numbers_of(paper.html)
        t.ok(#numbers > 10, name .. " has numbers")
        for _, number in ipairs(numbers) do
          if not paper.md:find(number, 1, true) then t.ok(false, ("%s of the HTML is not in the Markdown of the %s"):format(number, name)) end
        end
      end
    end
  end)
end)

t.case("what a journal may hold does no harm in a page", function()
  local EVIL = "<script>alert(1)</script>\"'&|`](javascript:alert(1))\n\u{202E}\27[2J"
  with_journal(function(j)
    local run = begin(j, { release = EVIL, venture = EVIL, actor = EVIL, reason = EVIL, settings = { owner = EVIL } })
    run:done(EVIL, 1, function()
      for _, kind in ipairs { "check", "gate" } do run:event(kind, { name = EVIL, what = EVIL, ok = false, passed = false, detail = EVIL, evidence = EVIL, colour = EVIL }) end
      run:event("output", { name = EVIL, value = "javascript:alert(1)" })
      run:event("output", { name = "link", value = "https://x/\"onclick=alert(1)><script>" })
      run:event("note", { text = EVIL })
      run:event("traffic", { before = { blue = 100, green = 0 }, blue = 90, green = 10, verified = true })
    end, { code = "check", message = EVIL })
    run:event("reason", { text = EVIL, cause = EVIL, where = EVIL, step = EVIL })
    run:finish("rolled_back", 4, EVIL)
    local texts = papers.of(run:record())
    for _, text in pairs(texts.report) do
      t.ok(not text:lower():find "<script", "a script")
      t.ok(not text:find "[%z\1-\8\11\12\14-\31\127]", "a control")
      t.ok(not text:find("\u{202E}", 1, true), "the direction of the text changes")
      t.ok(utf8.len(text), "bytes that are no UTF-8")
    end
    local page = texts.report.html
    t.has(page, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;")
    t.has(page, "default-src &#39;none&#39;")
    t.ok(not page:find "<a[^>]*javascript", "a link that is a script")
    t.ok(not page:find " on%a+=\"", "an attribute that is a script")
    t.ok(not page:find "src=" and not page:find "url%(h" and not page:find "@import" and not page:find "<link", "something from elsewhere")
  end)
end)

-- What kind of standing a run has that has not ended.
local function standing_of(j, run) return standing.outcome(t.ok(read.run(j, run.id))) end

t.case("a run that has not ended is said to be so", function()
  with_journal(function(j, folder)
    local run = begin(j)
    before_traffic(run)
    run:event("traffic", { before = { blue = 100, green = 0 }, blue = 90, green = 10, verified = true })
    local outcome = standing_of(j, run)
    t.eq(outcome.word, "Under way")
    t.has(outcome.text, "blue 90 %, green 10 %")
    t.has(section(report.of(run:record()), "state"), "nobody has looked at the world since traffic moved")
    -- Its process is gone.
    local db = t.ok(sql.open("sqlite:" .. folder .. "/journal.db"))
    t.ok(db:query "UPDATE leases SET started = 1")
    db:close()
    outcome = standing_of(j, run)
    t.eq({ outcome.word, outcome.tone }, { "Its engine died", "bad" })
    t.has(outcome.text, "engine resume " .. run.id)
    j:let_go()
    t.eq(standing_of(j, run).word, "Left as it is")
  end)
end)

t.case("a state that was verified before traffic moved is not the end state", function()
  with_journal(function(j)
    local run = begin(j)
    run:event("state", { blue = 0, green = 100, version = "1.1", verified = true })
    run:event("traffic", { before = { blue = 0, green = 100 }, blue = 100, green = 0, verified = true })
    run:finish("failed", 5, "rollback failed: the proxy is gone")
    local record = run:record()
    t.eq(parts.verified_state(record), nil)
    t.eq(standing.outcome(record).word, "Rollback failed")
  end)
end)

t.case("a chain that was changed is said to be so", function()
  with_journal(function(j, folder)
    local run = promoted(j)
    local db = t.ok(sql.open("sqlite:" .. folder .. "/journal.db"))
    t.ok(db:execute "DROP TRIGGER events_stay; UPDATE events SET data = '{\"blue\":1,\"green\":99,\"before\":{\"blue\":0,\"green\":0}}' WHERE seq = (SELECT max(seq) FROM events WHERE kind = 'traffic')")
    db:close()
    t.has(section(report.of(run:record()), "chain"), "NOT VERIFIED")
  end)
end)

t.case("how long a step should take, by the venture's past runs, whatever the colours were", function()
  with_journal(function(j)
    local first = promoted(j)
    t.eq(first:record().expected.runs, 0)
    t.has(section(report.of(first:record()), "steps"), "No earlier run of acme was promoted")
    promoted(j, { venture = "other" })
    rolled_back(j)
    local third = begin(j, { colours = { old = "green", new = "blue", version = "1.1" }, release = "1.2" })
    third:done("30.2.2 watch blue at 10 %", 9)
    third:done("30.2.2 retire blue, which still holds 1.0", 1)
    third:done("rollback: all traffic to green", 1)
    third:finish("promoted", 0, "done")
    local known = third:record().expected
    t.eq(known.runs, 1)
    t.eq({ known.of("30.2.2 watch blue at 10 %", { colours = { old = "green", new = "blue", version = "1.1" } }) }, { 5.1, 1 })
    t.eq({ known.of("rollback: all traffic to green", { colours = { old = "green", new = "blue", version = "1.1" } }) }, { 0.001, 1 })
    t.eq(known.of("30.2.2 retire blue, which still holds 1.0", {}), nil)
    local steps = section(report.of(third:record()), "steps")
    t.has(steps, "| 9.0 s | 5.1 s, of 1 |")
    t.has(steps, "none yet")
    t.eq(expected.same_name("to 1.1.1 by 1.1", {}, "1.1"), "to 1.1.1 by {release}")
  end)
end)

t.case("what another playbook did says nothing of what comes", function()
  with_journal(function(j)
    promoted(j)
    for _, name in ipairs { "console", "What a console did by hand" } do
      local by_hand = begin(j, { playbook = name })
      by_hand:done("sql: UPDATE users SET plan = 1", 0.01)
      by_hand:finish("done", 0, "done")
    end
    local run = begin(j, { release = "1.2" })
    local past = require("display.expected").read(j, t.ok(j:run(run.id)))
    local next_steps = table.concat(past.next { steps = {}, values = {} }, "\n")
    t.ok(next_steps:find "30%.2%.2 watch" and not next_steps:find "sql:", next_steps)
    t.ok(past.total {} > 1, past.total {})
    t.eq(run:record().expected.runs, 1)
    run:finish("aborted", 1, "nothing changed")
    local console = begin(j, { playbook = "console" })
    t.eq(require("display.expected").read(j, t.ok(j:run(console.id))).next { steps = {}, values = {} }, {})
  end)
end)

t.case("a handoff is accepted once, by somebody, in the chain", function()
  with_journal(function(j)
    local run, back = promoted(j), rolled_back(j)
    local _, err = j:accept_handoff(back.id, { by = "ben" })
    t.err(nil, err, "usage")
    t.has(err.message, "has no handoff")
    t.has(standing.handoff(j:events(run.id), j:run(run.id)).text, "not accepted yet")
    t.ok(j:accept_handoff(run.id, { by = "ben", reason = "on call" }))
    local event = j:events(run.id)[#j:events(run.id)]
    t.eq({ event.kind, event.data.by, event.data.reason, event.data.sha256 }, { "handoff_accepted", "ben", "on call", ("ef"):rep(32) })
    _, err = j:accept_handoff(run.id, { by = "cy" })
    t.err(nil, err, "approval")
    t.has(err.message, "accepted already, by ben at " .. event.at)
    t.has(section(report.of(run:record()), "handoff"), "accepted by ben at " .. event.at .. ": on call")
    t.ok(j:verify())
  end)
end)

t.case("a handoff holds no longer when the run was taken back", function()
  with_journal(function(j)
    local run = promoted(j)
    t.ok(j:take_up(j:run(run.id), { operation = "rollback", actor = "me" }))
    local _, err = j:accept_handoff(run.id, { by = "ben" })
    t.has(t.err(nil, err, "usage").message, "has not ended")
    run:finish("rolled_back", 4, "back")
    _, err = j:accept_handoff(run.id, { by = "ben" })
    t.has(t.err(nil, err, "usage").message, "holds no longer")
    t.eq(standing.handoff(j:events(run.id), j:run(run.id)), nil)
  end)
end)

t.case("the handoff says what is unsafe, what is open and how to go back", function()
  with_journal(function(j)
    local run = promoted(j)
    local text = papers.of(run:record()).handoff.md
    for _, part in ipairs { "blue still runs 1.0 at 0 %", "/backups/b1", "engine rollback " .. run.id .. " --dry-run", "engine handoff accept " .. run.id, "Monitoring is not proved active: no test alert was fired", "2 moves of traffic in this run took at most 0.003 s", "the acme team" } do t.has(text, part) end
  end)
end)

local function slots(words, from, to, more)
  local data = { words = words, judged = "green", from = from, to = to }
  for key, value in pairs(more or {}) do data[key] = value end
  return { kind = "slots", wall = to, data = data }
end

t.case("samples stand where they were counted; where slots are missing, only their sum is known", function()
  local samples = series.samples { slots("s 4.1.0.0/- 2.0.0.0/8.0.0.1", 10, 10.5) }
  t.eq(#samples, 2)
  t.eq({ samples[1].from, samples[1].to, samples[2].to }, { 10.0, 10.25, 10.5 })
  t.eq({ samples[1].green.errors, samples[1].blue.requests, samples[2].blue.slow }, { 1, 0, 1 })
  samples = series.samples { slots("4.1.0.0/- 2.0.0.0/8.0.0.0", 10, 15) }
  t.eq({ #samples, samples[1].green.requests, samples[1].from, samples[1].to }, { 1, 6, 10, 15 })
  -- The colour that is judged is named by the record, or by the verdict after it.
  local old = slots("4.1.0.0/-", 10, 10.25)
  old.data.judged = nil
  samples = series.samples { old, { kind = "metrics", data = { colour = "blue" } } }
  t.eq({ samples[1].blue.errors, samples[1].green.requests }, { 1, 0 })
end)

t.case("samples are joined within a stage, and latencies by their highest", function()
  local samples = series.samples { slots("s" .. (" 1.0.0.0/-"):rep(8) .. " s" .. (" 1.1.0.0/-"):rep(2), 0, 2.5) }
  local joined = series.join(samples, 10)
  t.eq({ #joined, joined[1].green.requests, joined[1].green.errors, joined[2].green.errors }, { 2, 8, 0, 2 })
  t.eq(#series.join(samples, 1), 3)
  local latencies = { { from = 0, to = 5, p95_ms = { green = 5 } }, { from = 5, to = 10, p95_ms = { green = 4, blue = 9 } }, { from = 60, to = 65, p95_ms = { green = 1 } } }
  t.eq(series.highest(latencies, 10), { { from = 0, p95_ms = { blue = 9, green = 5 }, to = 10 }, { from = 60, p95_ms = { green = 1 }, to = 65 } })
end)

local function draw(spec) return chart.svg(spec, { width = 800, id = "c" }) end

t.case("no data is a gap that is named, and never zero", function()
  local spec = { title = "Errors", about = "Errors.", unit = "percent", from = 0, to = 100, within = 2, lines = {
    { name = "green", class = "green", points = { { at = 5, from = 0, to = 10, value = 1 }, { at = 15, from = 10, to = 20 }, { at = 60, from = 20, to = 100, value = 2 } } },
    { name = "blue", class = "blue", dashed = true, points = { { at = 5, from = 0, to = 10 } } } } }
  t.eq(chart.gaps(spec, spec.lines[1]), { { from = 10, to = 20 } })
  t.eq(chart.gaps(spec, spec.lines[2]), { { from = 0, to = 100 } })
  local svg = draw(spec)
  t.has(svg, "green: no data")
  t.has(svg, "blue: no data")
  t.ok(not svg:find 'class="line blue', "a line is drawn of nothing")
  t.eq(select(2, svg:gsub('class="line green"', "")), 2, "the line is broken at its gap")
  t.has(svg, '<title id="c-title">Errors</title>')
end)

t.case("limits, marks and shares", function()
  local spec = { title = "T", about = "A", unit = "percent", from = 0, to = 100, shares = { { at = 0, green = 0, blue = 100 }, { at = 20, green = 10, blue = 90 }, { at = 60, green = 100, blue = 0 } },
    marks = { { at = 20, number = 14, name = "traffic <b>" }, { at = 20.1, number = 15, name = "watch" }, { at = 60, number = 16, name = "traffic" } } }
  local svg = draw(spec)
  for _, part in ipairs { ">green 10 %<", ">blue 90 %<", ">green 100 %<", ">14–15<", ">16<", "14: traffic &lt;b&gt;", "url(#c-hatch)" } do t.has(svg, part) end
  svg = draw { title = "T", about = "A", unit = "ms", from = 0, to = 4000, limits = { { value = 500, label = "limit 500 ms" } }, lines = { { name = "green", class = "green", points = { { at = 9, value = 0.4 }, { at = 3000, value = 2400 } } } } }
  t.has(draw { title = "T", about = "A", unit = "percent", from = 0, to = 9, limits = { { value = 5, label = "limit" }, { value = 4.9, label = "target" } }, lines = {} }, ">limit, target<")
  for _, part in ipairs { ">0.1 ms<", ">1 s<", ">10 s<", "limit 500 ms", ">00:30<" } do t.has(svg, part) end
end)

t.case("a handoff that was made is not written over", function()
  with_journal(function(j, folder)
    local run = promoted(j)
    local first = t.ok(papers.write(run:record { outcome = "promoted", exit = 0 }, folder))
    t.eq(#first, 4)
    local text = files.read(first[4].path)
    t.ok(j:accept_handoff(run.id, { by = "ben" }))
    local again = t.ok(papers.write(run:record(), folder))
    t.eq({ again[4].path, again[4].sha256 }, { first[4].path, files.sha256_text(text) })
    t.has(files.read(again[2].path), "accepted by ben")
  end)
end)

t.case("what a playbook of a team's own records under a known name takes away a section, not the report", function()
  with_journal(function(j)
    local run = begin(j)
    for _, kind in ipairs { "traffic", "state", "metrics", "canary", "check", "gate", "note", "output", "loss", "backup", "alert", "machine", "reason", "policy" } do
      run:event(kind, { anything = { 1, 2 } })
    end
    run:event("slots", { words = "?" })
    run:finish("promoted", 0)
    local texts = papers.of(run:record())
    t.has(texts.report.md, "What is recorded for this is not what it is expected to be")
    t.has(texts.report.md, "## Audit")
    t.has(texts.handoff.md, "## How to take it back")
  end)
end)

t.case("an event that was recorded late stands where it happened", function()
  with_journal(function(j)
    local run = begin(j)
    run:event("traffic", { before = { blue = 100, green = 0 }, blue = 90, green = 10, verified = true, late_s = 30 })
    run:finish("failed", 1, "x")
    local record = run:record()
    local event = record:last "traffic"
    t.ok(math.abs(clock.of_utc(event.at) - event.wall - 30) < 1e-6)
    t.has(section(report.of(record), "requests"), "recorded 30 s later")
  end)
end)

t.case("times", function()
  t.eq(clock.of_utc "2024-02-29T23:59:59.250Z", 1709251199.25)
  for _, wall in ipairs { 0, 951782400.5, 1795556436.25, 4102444800 } do t.eq(clock.of_utc(clock.utc(wall)), wall + 0.0) end
end)

t.case("an empty run has a report too", function()
  with_journal(function(j)
    local run = begin(j, { venture = sql.null and nil, release = nil, values = {} })
    run:finish("done", 0)
    local document = report.of(run:record())
    t.eq(document.outcome.word, "Done")
    t.has(html.of(document), "Traffic was not moved, and no request was judged.")
  end)
end)

t.case("what status says of a run, and what there is to type", function()
  local state, pause = require "report.state", require "run.pause"
  with_journal(function(j, folder)
    local run = begin(j)
    local function now()
      local row = t.ok(j:run(run.id))
      local found = state.of(j, row)
      return { found.word, state.next(j, row, found, " --state s") or "nothing" }
    end
    local function ask(kind) return pause.command(j, { words = { run.id }, state = "s" }, kind) end
    local print_before, printed = print, {}
    rawset(_G, "print", function(line) printed[#printed + 1] = line end)
    local _ <close> = setmetatable({}, { __close = function() rawset(_G, "print", print_before) end })
    t.eq(now(), { "running", "nothing" })
    t.eq(ask "pause", 0)
    t.has(table.concat(printed, "\n"), ("  next   engine go-on %s --state %s/s"):format(run.id, files.realpath "."))
    t.eq(now(), { "paused", ("engine go-on %s --state s"):format(run.id) })
    t.has(select(2, ask "pause").message, "is paused by")
    run:event("reason", { text = "errors above 5 %" })
    t.eq(now(), { "going back", "nothing" })
    for _, kind in ipairs { "pause", "go_on" } do
      local code, err = ask(kind)
      t.eq({ code, err.code }, { nil, "usage" })
      t.has(err.message, "it is going back; nothing waits")
    end
    local db = t.ok(sql.open("sqlite:" .. folder .. "/journal.db"))
    t.ok(db:query "UPDATE leases SET started = 1")
    db:close()
    t.eq(now(), { "engine gone", ("engine resume %s --state s | engine rollback %s --state s"):format(run.id, run.id) })
    run:finish("failed", 5, "the disk is full")
    t.eq(now(), { "failed", ("engine rollback %s --state s"):format(run.id) })
  end)
end)
