-- What is said about a world: what is wrong with it is told, with the nearest name, and where it stands.
local t = require "test"
local description = require "simulation.description"
local scenarios = require "simulation.scenario"
local schema = require "schema"
local settings = require "simulation.settings"

local CHECKS = { "database answers", "application answers" }

local function refused(fields, part, path)
  local ok, err = pcall(scenarios.of, fields, CHECKS)
  if not t.ok(not ok, "accepted: " .. part) then return end
  t.eq(err.code, "usage")
  t.has(err.message, part)
  t.ok(err.next and #err.next > 0, "it says what to do")
  if path then t.eq(schema.path_text(err.path), path) end
end

t.case("a world in which all is well has every field", function()
  local well = scenarios.of()
  for name, field in pairs(description.world) do
    t.eq(well[name], field.default, name)
    t.ok(field.default ~= nil and field.about, name)
  end
end)

t.case("fields of a world", function()
  refused({ rsp = 10 }, "a world has no field 'rsp'; did you mean 'rps'?", "rsp")
  refused({ rps = "10" }, "'rps' must be a number, but is string", "rps")
  refused({ errors = 2 }, "'errors' must be from 0 to 1, but is 2", "errors")
  refused({ mode = "autos" }, "but is 'autos'; did you mean 'auto'?", "mode")
  refused({ migrations = "002_plans" }, "'migrations' must be a list", "migrations")
  refused({ migrations = { 2 } }, "'migrations[1]' must be a string", "migrations[1]")
  refused({ former = 1 }, "'former' must be the name of a release, or false", "former")
  refused({ faults = { a = 1 } }, "the key 'a' does not belong there")
end)

t.case("faults", function()
  local function fault(one) return { faults = { { kind = "down", colour = "green" }, one } } end
  refused(fault(7), "fault 2 must be a table", "faults[2]")
  refused(fault {}, "fault 2 needs 'kind'", "faults[2]")
  refused(fault { kind = "erors" }, "there is no kind of fault 'erors'; did you mean 'errors'?", "faults[2].kind")
  refused(fault { kind = "errors", color = "green", rate = 0.1 }, "fault 2 (errors) has no field 'color'; did you mean 'colour'?", "faults[2].color")
  refused(fault { kind = "errors", colour = "green" }, "fault 2 (errors) needs 'rate'", "faults[2]")
  refused(fault { kind = "errors", colour = "grene", rate = 0.1 }, "did you mean 'green'?", "faults[2].colour")
  refused(fault { kind = "silent", rate = 0.1 }, "fault 2 (silent) has no field 'rate'")
  refused(fault { kind = "silent", after = "soon" }, "'after' must be a number", "faults[2].after")
  refused(fault { kind = "silent", anchor = "trafic" }, "there is no anchor 'trafic'; did you mean 'traffic'?", "faults[2].anchor")
  refused(fault { kind = "silent", anchor = "stage:" }, "there is no anchor 'stage:'")
  refused(fault { kind = "check", name = "database answer" }, "the venture has no check 'database answer'; did you mean 'database answers'?", "faults[2].name")
  refused(fault { kind = "operation", name = "trafic.set", how = "fails" }, "did you mean 'traffic.set'?", "faults[2].name")
  refused(fault { kind = "kill" }, "fault 2 (kill) needs boundary, during or at", "faults[2]")
end)

t.case("what is right is taken", function()
  local fields = { rps = 10, migrations = { "002_plans" }, former = "0.9", settings = { rehearsal = false, backup = { drill = false }, gates = {} },
    faults = { { kind = "errors", colour = "green", rate = 0.2, anchor = "stage:50", after = 3, lasts = 4 }, { kind = "kill", during = "a step", ["then"] = "rollback" }, { kind = "check", name = "database answers" } } }
  local taken = t.ok(scenarios.of(fields, CHECKS))
  for name, value in pairs(fields) do t.eq(taken[name], value, name) end
end)

t.case("every world that is drawn is one that can be said", function()
  local kinds = {}
  for seed = 1, 500 do
    local drawn = scenarios.draw(seed, { release = "2.0", checks = CHECKS, boundaries = 300, effects = { 7, 8 } })
    local ok, err = pcall(description.check, drawn, CHECKS)
    t.ok(ok, tostring(err))
    for _, fault in ipairs(drawn.faults) do kinds[fault.kind] = true end
  end
  for kind in pairs(description.faults) do t.ok(kinds[kind], "no world has " .. kind) end
end)

t.case("settings lie over the venture's own", function()
  refused({ settings = { bakup = {} } }, "settings: bakup: unknown key 'bakup'; did you mean 'backup'?", "settings.bakup")
  refused({ settings = { backup = { drill = 7 } } }, "settings: backup.drill: must be a boolean", "settings.backup.drill")
  refused({ settings = { bakup = false } }, "unknown key 'bakup'")
  local config = { gates = { 1, 2 }, rehearsal = { address = "a" }, backup = { drill = true, warm = true }, canary = { stages = { 10, 100 } } }
  t.eq(settings.apply(config, { gates = {}, rehearsal = false, backup = { drill = false }, canary = { stages = { 50 } } }),
    { gates = {}, rehearsal = false, backup = { drill = false, warm = true }, canary = { stages = { 50 } } })
end)
