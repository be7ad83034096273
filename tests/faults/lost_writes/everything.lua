-- Every kind of effect, each leaving a trace in files of a world that is only files. What the run leaves there is the same however
-- often its engine is killed, which lost_writes.lua tries.
--
--   traces    a line "name key" for each time that an effect was really done
--   ledger    a receiver that knows keys: a line a key, never two
--   counter   what the run reads before it changes it

local core_task = require "core.task"
local effect = require "effect"
local task = require "task"

local ANSWER_POLL_S = 0.02

return playbook {
  name = "everything",
  about = "an effect of each class, nested, side by side, approved, failed and taken back",
  args = { world = { type = "string", required = true, about = "a folder" } },
  run = function(run)
    local function path(name) return run.args.world .. "/" .. name end
    local function text(name) return files.read(path(name)) or "" end
    local function trace(name) assert(files.append(path "traces", ("%s %s\n"):format(name, effect.key()))) end
    local function traced(name, key) return text("traces"):find(name .. " " .. key, 1, true) ~= nil end

    local function put(name, content)
      effect.change("put " .. name, function()
        trace("put " .. name)
        assert(files.write(path(name), content))
      end)
    end
    local function drop(name)
      effect.change("drop " .. name, function()
        trace("drop " .. name)
        assert(files.remove(path(name)))
      end)
    end
    local function deliver(name)
      effect.change("deliver " .. name, function()
        trace("deliver " .. name)
        local entry = name .. " " .. effect.key() .. "\n"
        if not text("ledger"):find(entry, 1, true) then assert(files.append(path "ledger", entry)) end
      end)
    end
    -- An effect that must never happen twice, and a probe that looks for it.
    local function once(name, options)
      local function key() return core_task.context().step.key end
      options[1], options.effect = name, "probed"
      options.run = function() effect.change(name, function() trace(name) end) end
      options.probe = function() return traced(name, key()) and "done" or "absent", "by its trace" end
      return step(options)
    end

    -- The person who is asked, and looks before answering.
    background(function()
      while true do
        local question = run.journal and run.id and run.journal:open_question(run.id)
        if question then
          local doubted = question.question:match "^did '(.-)' happen"
          assert(run.journal:answer(run.id, question.seq, { answer = (not doubted or text("traces"):find(doubted, 1, true)) and "yes" or "no", by = "somebody" }))
        end
        task.sleep(ANSWER_POLL_S)
      end
    end)

    local found = run:record("the counter", function() return tonumber(text "counter") or 0 end)
    local looked = step("look", function() return { counter = found } end)
    step { "count", effect = "idempotent", args = { from = found }, run = function() put("counter", tostring(looked.counter + 1)) end }
    step { "order", effect = "keyed", run = function() deliver "order" end }
    once("migrate", { args = { to = 7 } })
    step { "call the bank", effect = "manual", run = function() effect.change("call the bank", function() trace "call the bank" end) end }

    step("nested", function()
      step { "inner file", effect = "idempotent", run = function() put("inner", "1") end }
      local seen = run:record("the inner file", function() return text "inner" end)
      step("deeper", function() once("inner once", { args = { seen = seen } }) end)
      return seen
    end)

    parallel {
      function() step { "left", effect = "keyed", run = function() deliver "left" end } end,
      function()
        run:record("the middle", function() return found end)
        once("middle", {})
      end,
      function() step("right", function() step { "right file", effect = "idempotent", run = function() put("right", "r") end } end) end,
    }

    -- Two halves: a kill between them leaves a part, which is taken back before it is done again.
    step {
      "halves", effect = "probed",
      run = function()
        put("half a", "a")
        put("half b", "b")
      end,
      probe = function()
        local a, b = files.exists(path "half a"), files.exists(path "half b")
        return a and b and "done" or (a or b) and "partial" or "absent", "by its files"
      end,
      undo = function()
        drop "half a"
        drop "half b"
      end,
    }
    once("release", { approve = true })
    run:output("counter", found + 1)

    local failed = require("run").attempt(function()
      step { "open the gate", effect = "probed", undo = function() drop "gate" end,
        probe = function() return files.exists(path "gate") and "done" or "absent" end,
        run = function() put("gate", "open") end }
      step("what fails", function() require("run").fail("check", "it fails, as it always does") end)
    end)
    assert(not failed)
    assert(run:unwind())
    run:heed()
    return { outcome = "done", summary = "everything happened" }
  end,
}
