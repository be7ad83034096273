--- scaffold: `engine new venture NAME`, `engine new playbook NAME`: a folder that passes `engine check`, `engine test` and `engine simulate` at once, to be changed
-- from there. The configuration is made from the schema, the part and the playbook from the built-in ones, the editor's definitions from the library.

local arguments = require "arguments"
local configuration = require "scaffold.configuration"
local core_err = require "core.err"
local core_search = require "core.search"
local display = require "display"
local files = require "files"
local stubs = require "scaffold.stubs"

local M = {}

--- Its options.
M.options = {
  to = { value = "DIR", about = "the folder that is made (default: the name, here)" },
}

local PARAMETERS = "---@param run Run\n---@param d Deployment\n"

-- Puts text before the place in a built-in file that is marked by `anchor`, which must be there once.
local function before(text, anchor, addition)
  local at, to = text:find(anchor, 1, true)
  assert(at and not text:find(anchor, to + 1, true), "the built-in file has changed: " .. anchor)
  return text:sub(1, at - 1) .. addition .. text:sub(at)
end

local GATE = [[

  -- The venture's own: nothing begins while nobody answers for it.
  step { "30.0 somebody answers for it", approve = false, run = function()
    if not d.venture.owner then fail("gate", "nobody answers for this venture", { next = "Name them as `owner` in venture.lua." }) end
    run:event("gate", { name = "somebody answers for it", passed = true, evidence = d.venture.owner })
    run:say(d.venture.owner .. " answers for it", "done")
  end }
]]

local function gates_text()
  local text = core_search.baked "playbooks/stage30/gates.lua"
  text = before(text, "return function(run, d)", "-- This file takes the place of the built-in part of its name.\n\n" .. PARAMETERS)
  return (text:gsub("\nend%s*$", function() return "\n" .. GATE .. "end\n" end))
end

local GATES_TEST = [[
-- The venture's own gate: `engine test` runs this in simulated worlds.

local well = world {}

test("somebody answers for it, and the release goes out", function()
  local seen = well:run()
  seen:expect { exit = 0, outcome = "promoted" }
  seen:event("gate", { name = "somebody answers for it", passed = true })
end)

test("while nobody does, nothing begins", function()
  local seen = well:run { settings = { owner = false } }
  seen:expect { exit = 1, outcome = "aborted", code = "gate", because = "nobody answers" }
  seen:never "30.1"
end)
]]

local SIMULATION = [[
-- What must be true of every world of $NAME, beside what must be true of any (docs/playbooks.md, "Trying a playbook"); and what the world answers to its own
-- statements (sql), addresses (http) and commands.

return {
  invariants = {
    { "green gets no request while nobody answers for the venture", function(world)
      if world.venture.owner then return end
      for _, entry in ipairs(world.history) do
        if entry.kind == "weights" and entry.green > 0 then return ("green got %d %% of the requests, and the venture has no owner"):format(entry.green) end
      end
    end },
  },
}
]]

local ROLLBACK = [[
# Rolling back $NAME

`engine` does it by itself when a canary fails. By hand:

    engine rollback --venture $FOLDER --dry-run     says how
    engine rollback --venture $FOLDER               does it

Without `engine`: give the servers of the old colour all the weight in the proxy, look at the application through the proxy, and only then
think about the database.

Who decides: ...
Who is told: ...
What must not be done: ...
]]

local STEP = [[
      step("$NAME: what is promoted still serves", function() d:verify_serving(d.new, d.release.version) end)
]]

-- The order of the procedure, with one step more.
local function playbook_text(name)
  local text = core_search.baked "playbooks/stage30.lua"
  local header = ("-- %s: the order of the built-in procedure, with a step of its own. The parts are those of the venture's folder, or else the built-in ones.\n\n"):format(name)
  text = header .. text:gsub("^%-%-[^\n]*\n", ""):gsub("^%-%-[^\n]*\n", ""):gsub("^\n", "")
  local count
  text, count = text:gsub('name = "stage30",\n  about = "[^"]*"', ('name = "%s",\n  about = "Production deployment, in our own order"'):format(name))
  assert(count == 1, "the built-in playbook has changed")
  return before(text, "      exit_gate(run, d)", (STEP:gsub("%$NAME", name)))
end

local PLAYBOOK_TEST = [[
-- The order, in simulated worlds.

local well = world { playbook = "$FOLDER/$NAME.lua", venture = "$FOLDER" }

test("our own step comes after what it looks at", function()
  local seen = well:run()
  seen:expect { exit = 0, outcome = "promoted" }
  seen:order { "30.3.1 smoke tests, full", "$NAME: what is promoted still serves", "30.4 exit gate" }
end)

test("errors of the new release take it back", function()
  well:run({ faults = { { kind = "errors", colour = "green", rate = 0.3, anchor = "traffic", after = 3 } } }):expect { exit = 4, version = "1.0" }
end)
]]

-- What is made: path in the folder -> text.
local function content(what, name, folder)
  local function filled(text) return (text:gsub("%$NAME", name):gsub("%$FOLDER", function() return folder end)) end
  local made = {
    ["venture.lua"] = configuration.text(name), ["stage30/gates.lua"] = gates_text(), ["stage30/gates_test.lua"] = GATES_TEST, ["simulation.lua"] = filled(SIMULATION),
    ["rollback.md"] = filled(ROLLBACK), [".luarc.json"] = stubs.settings(),
  }
  for path, text in pairs(stubs.texts()) do made[".stubs/" .. path] = text end
  if what == "playbook" then
    made[name .. ".lua"] = playbook_text(name)
    made[name .. "_test.lua"] = filled(PLAYBOOK_TEST)
  end
  return made
end

local function usage(message, next_step) return core_err.new { code = "usage", op = "new", message = message, next = next_step or "engine new --help" } end

-- A name is also a folder, a word in SQL and the beginning of variables.
local function check(what, name, folder)
  if not name:find "^%a[%w_-]*$" then return usage(("'%s' is no name for a %s: letters, digits, - and _, and a letter first"):format(name, what), ("engine new %s my-%s"):format(what, what)) end
  if what == "playbook" and core_search.find(name) then return usage(("'%s' is the name of a module of the library"):format(name), ("engine new playbook my-%s"):format(name)) end
  if files.stat(folder) then
    return core_err.new { code = "exists", op = "new", message = ("%s exists already, and nothing in it was touched"):format(folder), next = ("engine new %s %s --to ANOTHER_FOLDER"):format(what, name) }
  end
end

-- Made beside its place and renamed, so that it is there wholly or not at all.
local function write(folder, made)
  local parent = folder:match "^(.*)/[^/]+$" or "."
  assert(files.mkdir(parent))
  local draft = assert(files.mkdtemp(parent .. "/.engine-new-"))
  local ok, err = pcall(function()
    for path, text in pairs(made) do
      local inner = path:match "^(.*)/[^/]+$"
      if inner then assert(files.mkdir(draft .. "/" .. inner)) end
      assert(files.write(draft .. "/" .. path, text, tonumber("644", 8)))
    end
    assert(files.rename(draft, folder))
  end)
  if ok then return true end
  files.remove_tree(draft)
  error(err, 0)
end

local function fail_with(err)
  display.failure(err)
  print("  next   " .. err.next)
  return err.code == "io" and 1 or 2
end

--- `engine new venture|playbook NAME [--to DIR]`
---@param argv string[]
---@return integer exit
function M.main(argv)
  local options, err = arguments.parse(argv, M.options, "engine new --help")
  if not options then return fail_with(err) end
  local what, name = options.words[1], options.words[2]
  local folder = (options.to or name):gsub("(.)/+$", "%1")
  err = check(what, name, folder)
  if err then return fail_with(err) end
  local made = content(what, name, folder)
  local ok, problem = pcall(write, folder, made)
  if not ok then return core_err.is(problem) and fail_with(problem) or error(problem, 0) end
  local shown = {}
  for path in pairs(made) do if not path:find "^%.stubs/" then shown[#shown + 1] = path end end
  table.sort(shown)
  for _, path in ipairs(shown) do print(("  %s/%s"):format(folder, path)) end
  local playbook = what == "playbook" and ("%s/%s.lua"):format(folder, name) or "playbooks/stage30.lua"
  print(("  next   engine check %s"):format(folder))
  print(("         engine test %s/stage30/gates_test.lua"):format(folder))
  print(("         engine simulate %s --venture %s --worlds 50"):format(playbook, folder))
  return 0
end

return M
