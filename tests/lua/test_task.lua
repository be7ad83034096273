local t = require "test"
local task = require "task"

t.case("parallel gives the results in order", function()
  local results = parallel {
    function() sleep(0.02) return "slow" end,
    function() return "quick" end,
  }
  t.eq(results, { "slow", "quick" })
end)

t.case("a failure cancels the siblings and is raised", function()
  local undone = false
  local err = t.raises(function()
    parallel {
      function()
        local ok, why = pcall(sleep, 60)
        t.eq(ok, false)
        t.eq(why.message, "boom")
        undone = true
        error(why, 0)
      end,
      function() sleep(0.01) error(require("core.err").new { code = "check", message = "boom" }, 0) end,
    }
  end, "boom")
  t.eq(err.code, "check")
  t.ok(undone)
end)

t.case("a Ctrl-C that nothing was there for is the next one's, and only its", function()
  local core = require "core.task"
  core.outlive_ctrl_c(true)
  local reset <close> = setmetatable({}, { __close = function() core.outlive_ctrl_c(false) end })
  assert(process.run { argv = { "/bin/sh", "-c", "kill -INT $PPID" } })
  local began = false
  local ok, err = task.interruptible(function() began = true sleep(600) end)
  t.eq({ ok, began, err.code, err.message }, { false, false, "interrupted", "interrupted by Ctrl-C" })
  t.eq({ task.interruptible(function() sleep(0.001) return "done" end) }, { true, "done" })
  return reset
end)

-- Computes, and meanwhile Ctrl-C comes.
local function interrupted_while(fn)
  local core = require "core.task"
  core.outlive_ctrl_c(true)
  local reset <close> = setmetatable({}, { __close = function() core.outlive_ctrl_c(false) end })
  return task.interruptible(function()
    background(process.run, { argv = { "/bin/sh", "-c", "sleep 0.3; kill -INT $PPID" } })
    sleep(0.1)
    return fn()
  end)
end

t.case("Ctrl-C ends what computes without waiting", function()
  local ok, err = interrupted_while(function() while true do end end)
  t.eq({ ok, err.code, err.message }, { false, "interrupted", "interrupted by Ctrl-C" })
end)

t.case("... but not clean-up, which is shielded or of what is canceled already", function()
  local done = {}
  local function compute(name)
    local over = clock.now() + 3
    while clock.now() < over do end
    done[#done + 1] = name
  end
  interrupted_while(function() shield(function() compute "shielded" end) end)
  interrupted_while(function()
    task.scope("soon over", 0.05, function()
      local closer <close> = setmetatable({}, { __close = function() compute "canceled" end })
      sleep(60)
      return closer
    end)
  end)
  t.eq(done, { "shielded", "canceled" })
end)

t.case("leaving a scope ends its background tasks", function()
  local ended = false
  local ok = task.scope("scope", nil, function()
    background(function()
      local closer <close> = setmetatable({}, { __close = function() ended = true end })
      sleep(60)
      return closer
    end)
    sleep(0.01)
  end)
  t.ok(ok)
  t.ok(ended)
end)

t.case("a deadline is raised at the wait", function()
  local err = t.raises(function() deadline(0.01, sleep, 60) end, "deadline")
  t.eq(err.code, "deadline")
end)

t.case("shielded work finishes although its owner is canceled", function()
  local finished = false
  local err = t.raises(function()
    deadline(0.01, function()
      shield(function() sleep(0.05) finished = true end)
      sleep(0)
    end)
  end, "deadline")
  t.eq(err.code, "deadline")
  t.ok(finished)
end)

t.case("a background failure reaches its owner", function()
  t.raises(function()
    background(function() error("it broke", 0) end)
    sleep(60)
  end, "it broke")
end)

t.case("tasks are the only coroutines", function()
  t.raises(function() return _G["coroutine"] end, "tasks are the only coroutines")
  t.eq(rawget(_G, "coroutine"), nil)
  t.raises(function() return require "coroutine" end, "not found")
end)

t.case("there are no finalizers: they would run in whichever task collects", function()
  local err = t.raises(function() setmetatable({}, { __gc = function() end }) end, "use a variable with <close>")
  t.has(err.where or err.message, "test_task.lua")
  t.raises(function() setmetatable({}, { __gc = false }) end, "__gc is not available") -- it could become a function
  local later = setmetatable({}, {})
  getmetatable(later).__gc = function() end -- too late: only setmetatable arms one
  t.raises(function() setmetatable(later, getmetatable(later)) end, "__gc is not available")
  t.ok(setmetatable({}, setmetatable({}, { __index = { __gc = function() end } }))) -- an inherited one is none
end)

t.case("setmetatable is otherwise Lua's own", function()
  local meta = { __index = { a = 1 } }
  local object = {}
  t.eq(setmetatable(object, meta), object)
  t.eq(object.a, 1)
  t.eq(getmetatable(setmetatable(object, nil)), nil)
  t.raises(function() setmetatable(1, {}) end, "bad argument #1 to 'setmetatable' (table expected, got number)")
  t.raises(function() setmetatable({}) end, "nil or table expected")
  t.raises(function() setmetatable(setmetatable({}, { __metatable = "mine" }), {}) end, "cannot change a protected metatable")
  t.eq(getmetatable(setmetatable({}, { __metatable = "mine" })), "mine")
  t.eq(getmetatable("").__index, string)
end)

t.case("the metatables of the bindings are not within reach", function()
  local _, err = files.read "/no/such/file"
  t.eq(getmetatable(err), "error")
  t.eq(getmetatable(json.array {}), "json.array")
  for _, value in ipairs { require("core.task").spawn("", function() end), require("core.sql").null } do
    t.eq(type(value), "userdata")
    t.eq(getmetatable(value), false)
  end
  t.eq(getmetatable(require("core.json").null), nil)
  t.eq(require("inspect").text(err), tostring(err))
end)

t.case("unknown globals and forbidden libraries are named", function()
  t.raises(function() return nonsense end, "no global 'nonsense'")
  t.raises(function() return _G["os"] end, "not available in a playbook")
  t.raises(function() undeclared = 1 end, "write `local undeclared`")
end)

t.case("a thousand sleeps at once", function()
  local items = {}
  for i = 1, 1000 do items[i] = i end
  local sum = 0
  task.map(items, function(i) sleep(0.001) sum = sum + i end)
  t.eq(sum, 500500)
end)

t.case("what is to be closed may wait, also after an error and a cancellation", function()
  local order = {}
  local function closing(name)
    return setmetatable({}, { __close = function() shield(function() sleep(0.01) order[#order + 1] = name end) end })
  end
  t.raises(function()
    deadline(5, function()
      local a <close> = closing "error"
      error("boom", 0)
      return a
    end)
  end, "boom")
  t.raises(function()
    deadline(0.02, function()
      local b <close> = closing "canceled"
      sleep(60)
      return b
    end)
  end, "deadline")
  t.eq(order, { "error", "canceled" })
end)
