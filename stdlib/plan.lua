--- plan: what a run would do, found by going through the playbook without doing anything: what reads the world outside of steps is read, each effect
-- is asked for its probe and described, each check is named. What only doing it would tell is unknown.
--
-- A plan has a hash over everything that it says and every source that it comes from, so a yes can be bound to it: `--plan HASH` refuses
-- to begin when the world or the sources are not as they were.

local core_err = require "core.err"
local core_task = require "core.task"
local display = require "display"
local files = require "files"
local json = require "json"
local places = require "run.places"
local run_module = require "run"
local task = require "task"

local M = {}

local PROBE_S = 30

-- The result of a step that was not done: whatever is asked of it is unknown too.
local unknown
unknown = setmetatable({}, {
  __name = "unknown", __tostring = function() return "unknown" end, __concat = function(a, b) return tostring(a) .. tostring(b) end,
  __index = function() return unknown end, __call = function() return unknown end, __newindex = function() end,
  __add = function() return unknown end, __sub = function() return unknown end, __mul = function() return unknown end, __div = function() return unknown end,
  __unm = function() return unknown end, __len = function() return 0 end, __lt = function() return false end, __le = function() return false end,
})

-- Arguments as they can be shown and hashed.
local function known(value)
  if value == unknown then return "unknown" end
  if type(value) ~= "table" then return value end
  local out = {}
  for key, item in pairs(value) do out[key] = known(item) end
  return out
end

--- Its own options, beside those of the playbook.
M.options = {
  diff = { type = "boolean", about = "what the venture's own files change: the plan compared with the one without them" },
  json = { type = "boolean", about = "the plan as one JSON object" },
  stock = { type = "boolean", about = "the plan without the venture's own files" },
}

--- What stands for a result that only doing it would tell: whatever is asked of it is unknown too.
M.unknown = unknown

local Planned = {}

function Planned:open() return self end
function Planned:event() places.next(core_task.context()) end
function Planned:output(name, value) self.outputs[name] = value end
function Planned:say() end
function Planned:heed() places.next(core_task.context()) end
function Planned:begin_branches() end
function Planned:came_to_its_end() end

function Planned:record(name, fn)
  places.next(core_task.context())
  local value = fn()
  self.world[#self.world + 1] = { name = name, value = known(value) }
  return value
end

-- How the world stands to an effect now; nil when the step has no probe.
local function state_of(options)
  if not options.probe then return nil end
  local ok, state, detail = pcall(task.deadline, PROBE_S, options.probe)
  if not ok then return "unknown", core_err.is(state) and state.message or tostring(state) end
  return state, detail
end

function Planned:plan_step(options, class, place)
  local entry = { place = place, name = options[1], effect = class, args = known(options.args), asks = options.approve ~= false and (self.mode == "manual" or (self.mode == "assisted" and options.approve == true)) or nil }
  if class ~= "pure" then
    entry.undo = options.undo and "yes" or options.undo == false and "never" or nil
    entry.now, entry.detail = state_of(options)
  end
  self.entries[#self.entries + 1] = entry
  return unknown
end

local function hash_of(plan) return files.sha256_text(json.encode { entries = plan.entries, world = plan.world, args = plan.args, sources = plan.sources, mode = plan.mode }) end

--- Goes through a run's playbook and gives its plan. Nothing is written or changed.
---@param run table that has not begun
---@return table plan hash, playbook, venture, args, mode, world { name, value }[], entries { place, name, effect, args, undo, now, detail, asks }[], sources { name, path, hash }[]
function M.of(run)
  for name, method in pairs(Planned) do run[name] = method end
  run.world, run.entries, run.is_planning = {}, {}, true
  run.id, run.folder = "plan", run.state_folder .. "/runs/plan"
  local ok, err = task.scope("plan", 300, function()
    core_task.set_context(run:context())
    if run.playbook.prepare then run.playbook.prepare(run) end
    run.playbook.run(run)
  end)
  if not ok then error(err, 0) end
  local sources = {}
  for _, source in ipairs(run_module.sources_of(run)) do
    -- What an operator is shown is no part of what is done, and depends on where the command was typed.
    if not source.path:find "^stdlib/display/" then sources[#sources + 1] = { name = source.name, path = source.path, hash = files.sha256_text(source.text) } end
  end
  table.sort(sources, function(a, b) return a.name < b.name end)
  local plan = { playbook = run.playbook.name, venture = run.venture and run.venture.name, args = run.args, mode = run.mode, world = run.world, entries = run.entries, sources = sources }
  plan.hash = hash_of(plan)
  return plan
end

local function value_text(value) return type(value) == "table" and json.encode(value) or tostring(value) end

local function entry_text(entry)
  local parts = { entry.effect == "pure" and "check" or "do   ", entry.name }
  if entry.args and next(entry.args) then parts[#parts + 1] = json.encode(entry.args) end
  local about = {}
  if entry.effect ~= "pure" then about[#about + 1] = entry.effect end
  if entry.now then about[#about + 1] = ("now %s%s"):format(entry.now, entry.detail and ": " .. entry.detail or "") end
  if entry.undo then about[#about + 1] = entry.undo == "yes" and "can be taken back" or "can never be taken back" end
  if entry.asks then about[#about + 1] = "asks first" end
  return table.concat(parts, "  ") .. (about[1] and "  (" .. table.concat(about, "; ") .. ")" or "")
end

-- A plan as lines, in an order that can be compared.
local function lines_of(plan)
  local lines = {}
  for _, one in ipairs(plan.world) do lines[#lines + 1] = ("world  %s: %s"):format(one.name, value_text(one.value)) end
  for _, entry in ipairs(plan.entries) do lines[#lines + 1] = entry_text(entry) end
  return lines
end

local function source_lines(plan)
  local lines = {}
  for _, source in ipairs(plan.sources) do lines[#lines + 1] = ("source %s  %s  %s"):format(source.name, source.path, source.hash) end
  return lines
end

local function set_of(lines)
  local set = {}
  for _, line in ipairs(lines) do set[line] = true end
  return set
end

-- What one list of lines has and the other has not.
local function compare(before, now)
  local was, is, out = set_of(before), set_of(now), {}
  for _, line in ipairs(before) do if not is[line] then out[#out + 1] = "- " .. line end end
  for _, line in ipairs(now) do if not was[line] then out[#out + 1] = "+ " .. line end end
  return out
end

--- Raises "drift" unless the plan of now is the one with this hash (or one that begins so).
---@param plan table of now
---@param wanted string
---@param state_folder string where `engine plan` kept it
function M.expect(plan, wanted, state_folder)
  if #wanted >= 8 and plan.hash:sub(1, #wanted) == wanted then return end
  local changes, kept = {}, nil
  for _, name in ipairs(files.list(state_folder .. "/plans") or {}) do
    if #wanted >= 8 and name:sub(1, #wanted) == wanted then kept = json.decode(files.read(state_folder .. "/plans/" .. name) or "") end
  end
  if kept then
    changes = compare(lines_of(kept), lines_of(plan))
    for _, line in ipairs(compare(source_lines(kept), source_lines(plan))) do changes[#changes + 1] = line end
  end
  error(core_err.new { code = "drift", op = "begin", message = ("the plan of now is %s, not %s: the world or the sources changed since%s"):format(plan.hash:sub(1, 12), wanted,
    changes[1] and ":\n" .. table.concat(changes, "\n") or (kept and "" or "; no plan of that name is kept here")), next = "Look at the plan again: engine plan ..." }, 0)
end

local function say(plan)
  display.line("note", 0, ("plan of %s for %s%s, mode %s"):format(plan.playbook, plan.venture or "no venture", plan.args.release and ", release " .. plan.args.release or "", plan.mode))
  for _, line in ipairs(lines_of(plan)) do print("  " .. line) end
  local from = {}
  for _, source in ipairs(plan.sources) do if not source.path:match "^stdlib/" then from[#from + 1] = ("%s from %s"):format(source.name, source.path) end end
  display.line("note", 0, "made of: " .. table.concat(from, ", ") .. ", and the library that is built in")
end

-- What the venture's own files change: the plan without them, made by a process of its own.
local function stock_plan(path, argv)
  local me = require("process").self().exe
  local words = { me, "plan", path, "--stock", "--json" }
  for _, word in ipairs(argv) do if word ~= "--diff" and word ~= "--json" then words[#words + 1] = word end end
  local result, err = require("process").run { argv = words, timeout = 300 }
  if not result then return nil, err end
  local plan = result.code == 0 and json.decode(result.stdout)
  if not plan then return nil, core_err.new { code = "process", message = "the plan without the venture's own files failed: " .. (result.stdout .. result.stderr):sub(1, 2000) } end
  return plan
end

--- `engine plan PLAYBOOK ...`: says what a run would do, and keeps it under its hash.
---@param argv string[]
---@return integer exit
function M.main(argv)
  local execute = require "execute"
  local path, rest, flags = argv[1], {}, {}
  for i = 2, #argv do
    local flag = argv[i]:match "^%-%-(%l+)$"
    if M.options[flag] then flags[flag] = true else rest[#rest + 1] = argv[i] end
  end
  local ok, code = pcall(function()
    if not path then error(core_err.new { code = "usage", message = "plan needs a playbook", next = "engine plan playbooks/stage30.lua --venture DIR --release X" }, 0) end
    local stock, err
    if flags.diff then
      stock, err = stock_plan(path, rest)
      if not stock then error(err, 0) end
    end
    local run
    run, err = execute.prepare(path, rest, flags.stock)
    if not run then
      if err then error(err, 0) end
      return 0
    end
    local plan = M.of(run)
    if flags.json then
      print(json.encode(plan))
      return 0
    end
    if stock then
      local changes = compare(lines_of(stock), lines_of(plan))
      display.line("note", 0, changes[1] and "what the venture's own files change:" or "the venture's own files change nothing of the plan")
      for _, line in ipairs(changes) do print("  " .. line) end
    else
      say(plan)
    end
    assert(files.mkdir(run.state_folder .. "/plans"))
    assert(files.write(("%s/plans/%s.json"):format(run.state_folder, plan.hash), json.encode(plan)))
    print(("  next   engine %s %s --plan %s"):format(path, table.concat(rest, " "), plan.hash:sub(1, 12)))
    return 0
  end)
  if ok then return code end
  if not core_err.is(code) then error(code, 0) end
  display.failure(code)
  print("  next   " .. (code.next or "engine help"))
  return execute.is_usage(code) and 2 or 1
end

return M
