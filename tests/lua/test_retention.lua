local clock = require "clock"
local retention = require "backup.retention"
local t = require "test"

local function always() return true end

-- One backup a day at noon, the latest first, from 2026-11-23 (a Monday) back.
local function days(count)
  local out = {}
  for i = 0, count - 1 do
    local at = clock.utc(1795435200 - i * 86400)
    out[#out + 1] = { id = at:sub(1, 10), taken_at = at }
  end
  return out
end

local function ids(kept)
  local out = {}
  for id in pairs(kept) do out[#out + 1] = id end
  table.sort(out)
  return table.concat(out, " ")
end

t.case("last, daily and weekly", function()
  local list = days(30)
  t.eq(ids((retention.choose(list, { last = 2 }, always))), "2026-11-22 2026-11-23")
  t.eq(ids((retention.choose(list, { daily = 3 }, always))), "2026-11-21 2026-11-22 2026-11-23")
  t.eq(ids((retention.choose(list, { weekly = 3 }, always))), "2026-11-15 2026-11-22 2026-11-23")
  table.insert(list, 1, { id = "noon", taken_at = list[1].taken_at })
  t.eq(ids((retention.choose(list, { daily = 2 }, always))), "2026-11-22 noon", "one a day")
end)

t.case("bad backups do not push out the good ones", function()
  local list = days(10)
  local kept, bad = retention.choose(list, { last = 2 }, function(one) return one.id <= "2026-11-16" end)
  t.eq(ids(kept), "2026-11-15 2026-11-16")
  t.eq(#bad, 7)
end)

t.case("what a run in flight needs stays", function()
  local list = days(5)
  list[5].needed = true
  t.eq(retention.choose(list, { last = 1 }, always)["2026-11-19"], "a run in flight needs it")
end)

t.case("on the disk: only what no rule keeps goes", function()
  local folder = files.mkdtemp()
  local path = folder .. "/live.db"
  local db = t.ok(sql.open("sqlite:" .. path))
  t.ok(db:execute "CREATE TABLE a (x); INSERT INTO a VALUES (1)")
  db:close()
  local taken = {}
  for i = 1, 4 do taken[i] = t.ok(backup.take { database = "sqlite:" .. path, to = folder .. "/backups", id = "2026112" .. i .. "T000000Z-aaaaaa" }) end
  t.ok(backup.need(taken[1].path, "test"))
  t.ok(files.write(taken[4].path .. "/manifest.json", "{}"))
  local would = t.ok(retention.prune { to = folder .. "/backups", last = 1, dry_run = true })
  t.eq(#t.ok(files.list(folder .. "/backups")), 5, "a dry run removes nothing")
  local done = t.ok(retention.prune { to = folder .. "/backups", last = 1 })
  t.eq(done.removed, would.removed)
  t.ok(files.exists(taken[1].path), "needed")
  t.ok(not files.exists(taken[2].path))
  t.ok(files.exists(taken[3].path), "the latest that verifies")
  for _, one in ipairs { taken[1], taken[3] } do t.ok(files.remove_tree(one.path)) end
  local list = t.ok(backup.list(folder .. "/backups"))
  if list[1] then
    local refused, err = retention.prune { to = folder .. "/backups", last = 1 }
    t.err(refused, err, "backup")
  end
  files.remove_tree(folder)
end)
