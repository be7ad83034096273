-- Steps that change the world and do not say so.
local function take(run) return expect(backup.take { database = "sqlite::memory:", to = run.folder }) end
local function look(d) return d:check({}, d.old, "health check") end

return playbook {
  name = "effects",
  run = function(run)
    local d = run.deployment
    local lb = assert(traffic.open { driver = "command", get = { "true" }, set = { "true" } })
    local db <close> = expect(sql.open "sqlite::memory:")
    step("a backup", function() return take(run) end)
    step { "the traffic", run = function() return lb:set { blue = 100 } end }
    step { "the other traffic", effect = "pure", run = function() return parallel { function() return d.traffic:drain("green", 1) end } end }
    step("the old colour", function() d:retire "green" end)
    step("a row", function() return db:query("update people set name = $1", "x") end)
    local function away() return d.environment:destroy "green" end
    step("by name", away)
    step { "within", run = function() step("another", function() return d:shift(0) end) end }
    -- These say it, or change nothing.
    step { "said", effect = "idempotent", run = function() step("inside", function() return lb:set { blue = 100 } end) end }
    step { "probed", probe = function() return "done" end, undo = false, run = function() return d:shift(0) end }
    step("a question", function() return db:value "SELECT count(*) FROM people", lb:get(), look(d) end)
    step("in a step of its own", function() d:release_backup() end)
  end,
}
-- expect 11:40 `take` take changes the world
-- expect 12:54 `set` traffic:set changes the world
-- expect 13:113 `drain` traffic:drain changes the world
-- expect 14:41 `retire` d:retire changes the world
-- expect 15:40 `query` UPDATE by SQL changes the world
-- expect 16:48 `destroy` environment:destroy changes the world
-- expect 18:75 `shift` d:shift changes the world
