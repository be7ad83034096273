--- trial: tests of playbooks. A world is arranged, the playbook runs in it, and what came of it is compared with what should have.
--
-- A test file is Lua with three words more: `world` describes a world, `test` declares a test, `expect_equal` compares two values. It is run by
-- `engine test`; see "Trying a playbook" in docs/playbooks.md. What must be true of every world is asked of each of them too.

local core_err = require "core.err"
local core_search = require "core.search"
local description = require "simulation.description"
local inspect = require "inspect"
local prelude = require "prelude"
local schema = require "schema"
local seen_module = require "trial.seen"
local simulate_command = require "simulate_command"
local simulation = require "simulation"
local steps = require "trial.steps"

local M = {}

--- What a test says of a world beside what simulation.description has.
M.fields = {
  playbook = "its path; default: playbooks/stage30.lua",
  venture = "the venture's folder; default: that of --venture",
  release = "what the release is called; default: next",
  allows = "a list of what must be true of every world and need not be of this one",
  unmet = "true: a fault that is never met is no failure",
}

-- The file that is being run: { path, tests, venture }. One at a time.
local file
local projects = {}

local function misused(message, next_step, path) error(core_err.new { code = "usage", op = "test", message = message, next = next_step, path = path }, 0) end

-- Lua shortens long paths in the places that it tells.
local function is_of_file(path) return path == file.path or path:sub(1, 3) == "..." and file.path:sub(-#path + 3) == path:sub(4) end

-- The line of the test file that is being executed.
local function present_line()
  for level = 3, 60 do
    local _, text = pcall(error, "", level)
    local path, line = text:match "^(.-):(%d+):"
    if path and is_of_file(path) then return tonumber(line) end
  end
end

-- Where the keys that lead to a mistake stand, from the line on that describes the world; as well as text can tell.
local function line_of(path, from)
  local rest, skipped = file.text, 1
  while skipped < from do
    rest, skipped = rest:gsub("^[^\n]*\n", "", 1), skipped + 1
  end
  return from - 1 + schema.line_of(rest, path)
end

-- Raises a mistake with its place.
local function raise_with_place(err)
  if not core_err.is(err) or err.code ~= "usage" or err.has_place then error(err, 0) end
  local line = present_line() or 1
  if err.path then line = line_of(err.path, line) end
  error(core_err.new { code = err.code, op = err.op, message = ("%s:%d: %s"):format(file.path, line, err.message), next = err.next, has_place = true }, 0)
end

-- Calls fn and tells where in the test file stands what is wrong.
local function placed(fn)
  return function(...)
    local results = table.pack(pcall(fn, ...))
    if results[1] then return table.unpack(results, 2, results.n) end
    local err = results[2]
    if type(err) == "table" and err.failure and not err.line then err.line = present_line() end
    if type(err) == "table" and err.failure then error(err, 0) end
    raise_with_place(err)
  end
end

local World = {}
World.__index = World

local function project_of(fields)
  local venture = fields.venture or file.venture
  if not venture then misused("a world needs a venture", "Say venture = \"DIR\" in it, or --venture DIR on the command line.") end
  local key = table.concat({ fields.playbook, venture, fields.release }, "\0")
  if not projects[key] then
    local ok, project = pcall(simulation.open, { path = fields.playbook, venture = venture, args = { release = fields.release } })
    if not ok then
      if core_err.is(project) then misused(project.message, project.next, { "venture" }) end
      error(project, 0)
    end
    projects[key] = project
  end
  return projects[key]
end

-- What is said of the world itself, and what of the test.
local function divided(given)
  if type(given) ~= "table" then misused(("a world is a table of fields, and no %s"):format(type(given))) end
  local own, said = { playbook = "playbooks/stage30.lua", release = "next" }, {}
  local known = {}
  for _, fields in ipairs { M.fields, description.world } do for name in pairs(fields) do known[name] = true end end
  for name, value in pairs(given) do
    if not known[name] then
      local near = schema.nearest(tostring(name), known)
      misused(("a world has no field '%s'%s"):format(tostring(name), near and ("; did you mean '%s'?"):format(near) or ""), "See \"Trying a playbook\" in docs/playbooks.md.", { name })
    end
    if M.fields[name] then own[name] = value else said[name] = value end
  end
  for name in pairs { playbook = 1, venture = 1, release = 1 } do
    if own[name] ~= nil and type(own[name]) ~= "string" then misused(("a world: '%s' must be a text, but is %s"):format(name, type(own[name])), nil, { name }) end
  end
  return own, said
end

local function check_allowed(allows, project)
  local names = {}
  for _, list in ipairs { require("simulation.invariants").all, project.rules().invariants or {} } do for _, one in ipairs(list) do names[one[1]] = true end end
  local allowed = {}
  for _, name in ipairs(allows or {}) do
    if not names[name] then
      local near = schema.nearest(name, names)
      misused(("nothing called '%s' must be true of every world%s"):format(name, near and ("; did you mean '%s'?"):format(near) or ""), nil, { "allows" })
    end
    allowed[name] = true
  end
  return allowed
end

local function new_world(given)
  local own, said = divided(given)
  local project = project_of(own)
  local scenario = require("simulation.scenario").of(said, project.checks)
  return setmetatable({ given = given, own = own, project = project, scenario = scenario, allowed = check_allowed(own.allows, project) }, World)
end

--- A world for a playbook to run in. What is not said is as in a world in which all is well.
---@param fields table of trial.fields and simulation.description
---@return table world with:with(fields) and world:run(fields?)
function M.world(fields) return new_world(fields) end
M.world = placed(M.world)

--- The same world with some fields other ones.
---@param fields table
---@return table world
function World:with(fields)
  local all = {}
  for name, value in pairs(self.given) do all[name] = value end
  if type(fields) ~= "table" then misused(("a world is a table of fields, and no %s"):format(type(fields))) end
  for name, value in pairs(fields) do all[name] = value end
  return new_world(all)
end
World.with = placed(World.with)

-- The names of steps that there can be in this playbook.
local function names_of(project)
  if not project.step_names then
    local texts, is_known = {}, {}
    for _, source in ipairs(core_search.sources()) do
      local is_library = source.path:find "^stdlib/"
      if not is_known[source.text] and (not is_library or source.path:find "^stdlib/deployment") then texts[#texts + 1] = source.text end
      is_known[source.text] = true
    end
    project.step_names = steps.new(texts)
  end
  return project.step_names
end

-- What is not as in every world: invariants that are broken, and faults that were described and never happened.
local function check_run(world, outcome, seen)
  for _, one in ipairs(outcome.broken) do
    if not world.allowed[one.name] then seen:fail(("this must be true of every world, and is not: %s: %s"):format(one.name, one.text)) end
  end
  for _, one in ipairs(not world.own.unmet and outcome.world.armed or {}) do
    if one.met == 0 then seen:fail(("the fault was never met: %s"):format(require("simulation.scenario").fault_text(one.fault))) end
  end
end

-- Where an engine dies can be said by a step's name.
local function check_faults(world, names)
  for index, fault in ipairs(world.scenario.faults) do
    for field, name in pairs { during = fault.during, anchor = fault.anchor and fault.anchor:match "^step:(.*)$" } do
      local known, near = names:resolve(name)
      if not known then misused(("fault %d (%s): no step is called '%s'%s"):format(index, fault.kind, name, near and ("; did you mean '%s'?"):format(near) or ""), nil, { "faults", field }) end
    end
  end
end

-- What each object that a test gets can do, with the place of what is wrong.
local function with_places(seen)
  local methods = getmetatable(seen).__index
  return setmetatable(seen, { __index = function(_, name)
    local method = methods[name]
    return type(method) == "function" and placed(method) or method
  end })
end

--- Runs the playbook in this world, or in the same one with some fields other ones.
---@param fields? table
---@return table seen of trial.seen
function World:run(fields)
  local world = fields and self:with(fields) or self
  local outcome = world.project:run(world.scenario, { tell = true })
  local names = names_of(world.project)
  local seen = seen_module.new(outcome, names)
  seen.command = simulate_command.command({ path = world.project.path, venture = world.project.venture_folder, release = world.own.release }, world.scenario)
  check_faults(world, names)
  check_run(world, outcome, seen)
  return with_places(seen)
end
World.run = placed(World.run)

--- Declares a test.
---@param name string what is expected, in words
---@param fn fun()
function M.test(name, fn)
  if type(name) ~= "string" or type(fn) ~= "function" then misused "test takes a name and a function" end
  for _, other in ipairs(file.tests) do
    if other.name == name then misused(("two tests are called '%s'"):format(name), "Give one of them another name.") end
  end
  file.tests[#file.tests + 1] = { name = name, fn = fn, line = present_line(), path = file.path }
end
M.test = placed(M.test)

--- Two values must be the same, tables by their content.
---@param found any
---@param expected any
---@param what? string
function M.expect_equal(found, expected, what)
  local a, b = inspect.text(found), inspect.text(expected)
  if a ~= b then error({ failure = ("%s%s, expected %s"):format(what and what .. " is " or "", a, b) }, 0) end
end
M.expect_equal = placed(M.expect_equal)

-- A test file sees what a playbook sees, and the three words.
local function environment()
  local words = {}
  for name, word in pairs(prelude.test_words) do words[name] = M[word[2]] end
  return setmetatable(words, { __index = _G, __newindex = getmetatable(_G).__newindex })
end

--- Reads a test file. Raises what is wrong with it.
---@param path string
---@param venture? string the folder of worlds that name none
---@return { path: string, tests: { name: string, line: integer }[] } file
function M.load(path, venture)
  local chunk, err = core_search.load_file(path, environment())
  if not chunk then error(err, 0) end
  local sources = core_search.sources()
  file = { path = path, tests = {}, venture = venture, text = sources[#sources].text }
  local ok, problem = pcall(chunk)
  if not ok then error(core_err.is(problem) and problem or core_err.new { code = "playbook", op = "read test", message = tostring(problem) }, 0) end
  if not file.tests[1] then misused(path .. " declares no test", "test(\"what is expected\", function() ... end)") end
  return file
end

--- Runs a test of a file.
---@param of table of M.load
---@param test table one of its tests
---@return { ok: boolean, kind?: "failed"|"mistake", text?: string, line?: integer, next?: string, seen?: table }
function M.run(of, test)
  file = of
  local ok, err = pcall(test.fn)
  if ok then return { ok = true } end
  if type(err) == "table" and err.failure then
    return { ok = false, kind = "failed", text = err.failure, line = err.line or test.line, seen = err.seen, next = err.seen and err.seen.command }
  end
  if core_err.is(err) and err.code == "usage" then return { ok = false, kind = "mistake", text = err.message, next = err.next } end
  local text = tostring(core_err.is(err) and err.message or err)
  local line = text:match("^" .. of.path:gsub("%p", "%%%0") .. ":(%d+): ")
  return { ok = false, kind = "failed", text = line and text:sub(#of.path + #line + 4) or text, line = tonumber(line) or test.line }
end

return M
