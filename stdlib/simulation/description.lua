--- simulation.description: every field of a world and of a fault, its type, its default and what it means. What is said of a world is
-- compared with this, and the manual prints it; nothing else lists the fields.

local core_err = require "core.err"
local schema = require "schema"

local M = {}

local function text(about) return { type = "string", about = about } end
local function number(about, default, max) return { type = "number", about = about, default = default, min = 0, max = max } end
local function whole(about, default, min) return { type = "integer", about = about, default = default, min = min } end
local function one_of(values, about, default) return { type = "string", one_of = values, about = about, default = default } end
local function names(about, default) return { type = "list", items = { type = "string" }, about = about, default = default } end

--- The fields of a world; a default is as in a world in which all is well.
M.world = {
  seed = whole("of everything in it that is left to chance", 1),
  old_version = { type = "string", default = "1.0", about = "the release that serves before" },
  former = { type = "any", default = false, about = "the release before that, which the other colour still holds; false: it holds none" },
  rps = number("requests a second", 50),
  errors = number("share of requests that fails when all is well", 0.001, 1),
  slow = number("share of requests that is slow when all is well", 0.01, 1),
  writes = number("rows that a request writes", 0.2),
  applied = names("migrations that the database has", { "001_base" }),
  migrations = names("migrations that the release brings", {}),
  migration = one_of({ "safe", "breaking", "damaging" }, "safe, breaking: the old release fails on the new schema, or damaging: they damage data", "safe"),
  damage = { type = "string", default = "all", about = "which invariant finds the damage: its name, or all" },
  schema_errors = number("share of requests that fails on a schema which the release does not know", 0.5, 1),
  stage = whole("the stage of the venture's row before", 29),
  backup_s = number("seconds that a backup takes", 30),
  migration_s = number("seconds that a migration takes", 1),
  loss = one_of({ "exact", "approximate", "unknown" }, "how well a restore can tell which rows are lost by it", "exact"),
  mode = one_of({ "auto", "assisted", "manual" }, "what the run asks before", "auto"),
  answer = one_of({ "yes", "no", "none" }, "what the person who is asked answers", "yes"),
  answer_s = number("seconds until the answer", 20),
  answered = whole("how many questions get an answer before nobody is there any more", 1000),
  settings = { type = "map", items = { type = "any" }, default = {}, about = "keys of venture.lua that are other ones in this world; false takes one away" },
  faults = { type = "list", items = { type = "any" }, default = {}, about = "what goes wrong" },
}

--- When a fault is there; every kind may have these.
M.time = {
  anchor = { type = "string", about = "from when on `after` counts: start (the default), traffic (green gets its first request), stage:50, rollback, step: with a step's name, or end (the release is promoted: only for asked)" },
  after = number "seconds from the anchor",
  lasts = number "seconds; without it the fault stays",
}

local COLOUR = one_of({ "green", "blue", "both" }, "whose")

local function required(description)
  local out = { required = true }
  for key, value in pairs(description) do out[key] = value end
  return out
end

--- What an operation is called that can fail, be lost or be slow.
M.operations = {
  "traffic.get", "traffic.set", "traffic.ready", "traffic.drain", "traffic.maintenance", "environment.provision", "environment.destroy", "migration", "backup.take", "backup.verify",
  "backup.drill", "backup.swap", "backup.restore", "backup.drop_copy", "test payment", "test mail", "alert", "store.put", "sql", "command", "mail",
}

local BACK = { ["then"] = one_of({ "resume", "rollback" }, "what somebody does with the run afterwards: resume is the default"), back_s = number "seconds until then" }

local function death(about)
  return { about = about, fields = {
    boundary = whole("at which of the places where an engine can die, counted from the run's beginning", nil, 1), during = text "in this step", at = text "at the places of this name, such as \"traffic.set: after\"",
    nth = whole("of those that `during` and `at` fit, the how many-th", nil, 1), ["then"] = BACK["then"], back_s = BACK.back_s,
  } }
end

--- The kinds of faults, each with its own fields.
M.faults = {
  errors = { about = "requests fail", fields = { colour = required(COLOUR), rate = required(number("share", nil, 1)),
    of = one_of({ "clients" }, "clients: only what clients ask for fails, and the health address answers") } },
  slow = { about = "requests are slow", fields = { colour = required(COLOUR), share = required(number("share", nil, 1)) } },
  down = { about = "its process has ended", fields = { colour = required(COLOUR) } },
  hung = { about = "it does not answer", fields = { colour = required(COLOUR) } },
  silent = { about = "the feed of requests ends", fields = {} },
  mismatch_lines = { about = "the proxy counts other requests than the feed", fields = {} },
  pool = { about = "the database's connections are in use", fields = { share = required(number("share", nil, 1)) } },
  machine = { about = "the machine is busy", fields = { cpu = required(number("percent", nil, 100)), memory = required(number("percent", nil, 100)) } },
  leak = { about = "memory grows", fields = { colour = required(COLOUR), bytes_per_s = required(number "bytes a second") } },
  database = { about = "the database does not answer", fields = {} },
  disk = { about = "the disk is full", fields = {} },
  corrupt = { about = "the backup is damaged as soon as it is written", fields = {} },
  mismatch = { about = "the drill finds another content than the database's", fields = {} },
  start = { about = "a release does not start", fields = { release = text "which; without it none starts" } },
  check = { about = "a check fails", fields = { name = required(text "its name in venture.lua"), colour = one_of({ "green", "blue", "rehearsal" }, "only when it is asked of this colour"), message = text "what it says" } },
  alert = { about = "the test alert never arrives", fields = {} },
  operation = { about = "an operation goes wrong", fields = {
    name = required(one_of(M.operations, "which")), nth = whole("from its how many-th call on", nil, 1), times = whole("how many calls", nil, 1),
    how = required(one_of({ "fails", "lost", "slow" }, "fails: before it happens; lost: it happens and no answer comes; slow")), seconds = number "how long it is slow, or until the answer counts as lost",
    code = text "the error's code", message = text "the error's words",
  } },
  kill = death "the engine dies",
  lease = death "another engine takes over",
  asked = { about = "somebody asks", fields = { what = required(one_of({ "rollback", "interrupt", "pause" }, "for what; a pause as long as the fault lasts")), type = one_of({ "traffic", "database", "full" }, "which rollback") } },
}

local records = {}

local function record_of(kind)
  if not records[kind] then
    local keys = { kind = { type = "string" } }
    for _, fields in ipairs { M.time, M.faults[kind].fields } do
      for name, description in pairs(fields) do keys[name] = description end
    end
    records[kind] = { type = "record", keys = keys }
  end
  return records[kind]
end

local function plain_of(list)
  local words = {}
  for key, value in pairs(list) do words[math.type(key) and value or key] = true end
  return words
end

local function known(list)
  local words = {}
  for word in pairs(plain_of(list)) do words[#words + 1] = word end
  table.sort(words)
  return table.concat(words, ", ")
end

local function raise(message, path, next_step)
  error(core_err.new { code = "usage", op = "describe world", message = message, path = path, next = next_step or "See \"Trying a playbook\" in docs/playbooks.md." }, 0)
end

local function did_you_mean(word, list)
  local near = type(word) == "string" and schema.nearest(word, plain_of(list))
  return near and ("; did you mean '%s'?"):format(near) or ""
end

-- What is wrong with one field, in words that name it. A misspelt one is told before the one that is missing for that.
local function raise_first(problems, what, path, keys)
  local problem = problems[1]
  for _, one in ipairs(problems) do if one.key then problem = one break end end
  if not problem then return end
  local full = table.move(problem.path, 1, #problem.path, #path + 1, table.move(path, 1, #path, 1, {}))
  if problem.key then raise(("%s has no field '%s'%s"):format(what, tostring(problem.key), problem.near and ("; did you mean '%s'?"):format(problem.near) or ""), full, "It may have: " .. known(keys) .. ".") end
  if problem.missing then raise(("%s needs '%s': %s"):format(what, problem.missing, keys[problem.missing].about), full) end
  local last = problem.path[#problem.path]
  local value_is_word = keys[last] and keys[last].one_of and problem.text:match "but is '(.*)'$"
  raise(("%s: '%s' %s%s"):format(what, schema.path_text(problem.path), problem.text, value_is_word and did_you_mean(value_is_word, keys[last].one_of) or ""), full)
end

local ANCHORS = { "start", "traffic", "rollback", "stage:", "step:", "end" }

local function check_anchor(fault, what, path)
  local anchor = fault.anchor
  if anchor == "end" and (fault.kind ~= "asked" or fault.what ~= "rollback") then raise(what .. ": only a rollback can be asked for when the run has ended", path) end
  if anchor == nil or anchor == "end" or anchor == "start" or anchor == "traffic" or anchor == "rollback" or anchor:find "^stage:%d+$" or anchor:find "^step:." then return end
  raise(("%s: there is no anchor '%s'%s"):format(what, anchor, did_you_mean(anchor, ANCHORS)), path, "It is start, traffic, rollback, stage: with a percentage, such as stage:50, step: with a step's name, or end.")
end

local function shallow(value)
  local out = {}
  for key, item in pairs(value) do out[key] = item end
  return out
end

local function check_fault(fault, index, checks)
  local path = { "faults", index }
  local what = "fault " .. index
  if type(fault) ~= "table" then raise(what .. " must be a table such as { kind = \"down\", colour = \"green\" }", path) end
  if fault.kind == nil then raise(what .. " needs 'kind': what goes wrong", path, "It is one of: " .. known(M.faults) .. ".") end
  if not M.faults[fault.kind] then raise(("there is no kind of fault '%s'%s"):format(tostring(fault.kind), did_you_mean(fault.kind, M.faults)), { "faults", index, "kind" }, "It is one of: " .. known(M.faults) .. ".") end
  what = ("fault %d (%s)"):format(index, fault.kind)
  local record = record_of(fault.kind)
  raise_first(schema.check(shallow(fault), record), what, path, record.keys)
  check_anchor(fault, what, { "faults", index, "anchor" })
  if (fault.kind == "kill" or fault.kind == "lease") and not (fault.boundary or fault.during or fault.at) then raise(what .. " needs boundary, during or at: where the engine dies", path) end
  if fault.kind == "check" and checks and not plain_of(checks)[fault.name] then
    raise(("%s: the venture has no check '%s'%s"):format(what, fault.name, did_you_mean(fault.name, checks)), { "faults", index, "name" }, "Its checks are: " .. known(checks) .. ".")
  end
end

local world_record = { type = "record", keys = {} }
for name, description in pairs(M.world) do
  local plain = {}
  for key, value in pairs(description) do if key ~= "default" then plain[key] = value end end
  world_record.keys[name] = plain
end

--- Raises what is wrong with what is said of a world: an error of code usage, with `path`: the keys that lead to it.
---@param fields table
---@param checks? string[] the names of the venture's checks, for faults that name one
---@usage local ok, err = pcall(require("simulation.description").check, { rsp = 10 })  assert(err.message == "a world has no field 'rsp'; did you mean 'rps'?")
function M.check(fields, checks)
  if type(fields) ~= "table" then raise("a world is a table of fields, and no " .. type(fields), {}) end
  raise_first(schema.check(shallow(fields), world_record), "a world", {}, M.world)
  if fields.former ~= nil and fields.former ~= false and type(fields.former) ~= "string" then raise("a world: 'former' must be the name of a release, or false", { "former" }) end
  require("simulation.settings").check(fields.settings or {})
  for index, fault in ipairs(fields.faults or {}) do check_fault(fault, index, checks) end
end

return M
