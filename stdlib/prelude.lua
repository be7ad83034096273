-- prelude: the globals that every chunk finds. Modules are globals too: the first use requires them.
-- After this nothing may create or read an unknown global, so that a typo is an error at once.

local task = require "task"
local search = require "core.search"

local instead = {
  os = "use process for commands, clock for the time, files for files",
  io = "use files",
  debug = "errors carry their own traceback",
  package = "use require",
  dofile = "use require",
  loadfile = "use require",
}

-- Words of the playbook language whose modules are only loaded when they are first used.
local words = {
  playbook = { "run", "playbook" },
  step = { "run", "step" },
  expect = { "run", "expect" },
  fail = { "run", "fail" },
}

for _, name in ipairs { "parallel", "background", "deadline", "shield", "sleep" } do _G[name] = task[name] end

setmetatable(_G, {
  __index = function(globals, name)
    if instead[name] then error(("'%s' is not available in a playbook; %s"):format(name, instead[name]), 2) end
    local word = words[name]
    local value
    if word then
      value = require(word[1])[word[2]]
    elseif type(name) == "string" and search.find(name) then
      value = require(name)
    else
      error(("there is no global '%s'"):format(tostring(name)), 2)
    end
    rawset(globals, name, value)
    return value
  end,
  __newindex = function(_, name)
    error(("'%s' is not declared; write `local %s`"):format(tostring(name), tostring(name)), 2)
  end,
})
