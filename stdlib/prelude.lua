-- prelude: the globals that every chunk finds. Modules are globals too: the first use requires them.
-- After this nothing may create or read an unknown global, so that a typo is an error at once.

local task = require "task"
local search = require "core.search"

local M = {}

--- What to use in place of what the sandbox does not have.
M.instead = {
  os = "use process for commands, clock for the time, files for files",
  io = "use files",
  coroutine = "use parallel or background: tasks are the only coroutines",
  debug = "errors carry their own traceback",
  package = "use require",
  dofile = "use require",
  loadfile = "use require",
}

--- The words of the playbook language: each is a function of a module.
M.words = {
  playbook = { "run.playbook", "playbook" },
  step = { "run", "step" },
  expect = { "run", "expect" },
  fail = { "run", "fail" },
  parallel = { "task", "parallel" },
  background = { "task", "background" },
  deadline = { "task", "deadline" },
  shield = { "task", "shield" },
  sleep = { "task", "sleep" },
}

--- The words that only a test of a playbook has (see module trial).
M.test_words = {
  world = { "trial", "world" },
  test = { "trial", "test" },
  expect_equal = { "trial", "expect_equal" },
}

-- The module task is there already; the other words' modules are only loaded when they are first used.
for name, word in pairs(M.words) do
  if word[1] == "task" then _G[name] = task[word[2]] end
end

setmetatable(_G, {
  __index = function(globals, name)
    if M.instead[name] then error(("'%s' is not available in a playbook; %s"):format(name, M.instead[name]), 2) end
    local word = M.words[name]
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

return M
