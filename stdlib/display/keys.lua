--- display.keys: what keys ask of a run that is shown: leave it, pause it, take it back; and the questions that come before.

local clock = require "core.clock"
local layout = require "display.layout"
local process = require "process"

local M = {}

local ANSWER_S = 10      -- a question that Ctrl-C asks is answered by leaving after so long
local CANCEL_GRACE_S = 86400 -- an engine that takes its run back is not hurried

local CTRL_C, CTRL_Z, ESCAPE, ENTER, BACKSPACE = "\3", "\26", "\27", "[\r\n]", "[\8\127]"

local function actor() return require("execute").actor() end

local function signal(self, kind)
  if not self.model then return end
  local ok, err = self.journal:signal(self.model.row.id, { kind = kind, by = actor(), reason = "at the terminal" })
  if not ok then self:say("! it was not asked for: " .. err.message) end
end

-- The engine's process, if it is one of this machine.
local function engine_of(self)
  if self.handle then return self.handle end
  local lease, lives = self.journal:holder(self.journal:lease_of(self.model.row))
  if lease and lives and lease.host == require("host").name() then return { pid = lease.pid, started = lease.started } end
end

-- As Ctrl-C does to an engine in the foreground: it takes back what it did, and ends with 130.
local function cancel(self)
  local engine = engine_of(self)
  if not engine then
    self:say "! its engine is on another machine: r takes the run back"
    return
  end
  self:say "! canceled: the engine takes back what it did"
  require("task").background(process.stop, engine, { grace = CANCEL_GRACE_S })
end

local function rollback_question(self)
  local seconds = self.expected and self.expected.rollback_s
  local venture = self.model.row.venture
  return { kind = "rollback", text = "", words = { y = true, [venture or "y"] = true },
    label = ("roll back%s? first all traffic goes back. type %s or y: "):format(seconds and ", about " .. layout.time(seconds) or "", venture or "yes") }
end

local function answer_question(self, answer)
  return { kind = "answer", answer = answer, seq = self.model.question.seq, text = "", label = ("%s to '%s'? Enter: "):format(answer:upper(), self.model.question.question), words = { [""] = true } }
end

local function done_with(self, question)
  local is_yes = question.words[question.text]
  if not is_yes then self:say(("· '%s' is not that: nothing was asked of the run"):format(require("display").plain(question.text)))
  elseif question.kind == "rollback" then signal(self, "rollback")
  else
    local ok, err = self.journal:answer(self.model.row.id, question.seq, { answer = question.answer, by = actor() })
    if not ok then self:say("! " .. err.message) end
  end
end

local function pause(self) signal(self, self.model.paused and "go_on" or "pause") end

-- A key while a question is open.
local function answered(self, key)
  local question = self.question
  if question.kind == "interrupt" then
    self.question = nil
    if key == "d" then return "left" end
    if key == "p" then pause(self)
    elseif key == "r" then signal(self, "rollback")
    elseif key == CTRL_C then cancel(self) end
  elseif key == ESCAPE or key == CTRL_C then self.question = nil
  elseif key:find("^" .. ENTER) then
    self.question = nil
    done_with(self, question)
  elseif key:find("^" .. BACKSPACE) then question.text = question.text:sub(1, -2)
  elseif not key:find "%c" then question.text = question.text .. key end
end

local function key(self, one)
  if one == CTRL_Z then return self:suspend() end
  if self.question then return answered(self, one) end
  if one == CTRL_C then
    if not self.model then return cancel(self) end -- nothing has begun
    self.question = { kind = "interrupt", until_at = clock.now() + ANSWER_S }
  elseif one == "d" then return "left"
  elseif one == "l" then self.show_all = not self.show_all
  elseif self.model and not self.model.outcome then
    if self.model.question and (one == "y" or one == "n") then self.question = answer_question(self, one == "y" and "yes" or "no")
    elseif one == "p" and not self.model.reason then pause(self)
    elseif one == "r" and not self.model.reason then self.question = rollback_question(self) end
  end
end

--- Takes what was typed, and the time. Returns "left" when somebody leaves.
---@param self table viewer
---@param typed string
---@return "left"?
function M.take(self, typed)
  for one in typed:gmatch "[%z\1-\127\xC2-\xF4][\x80-\xBF]*" do
    if key(self, one) == "left" then return "left" end
  end
  local question = self.question
  if question and question.until_at and clock.now() >= question.until_at then return "left" end
end

--- The question that is open, as a line; nil when there is none.
---@param self table viewer
---@return string?
function M.prompt(self)
  local question = self.question
  if not question then return nil end
  if question.kind == "interrupt" then
    return ("Ctrl-C: d detach (in %.0f s), p %s, r roll back, Ctrl-C again cancels, any other key goes on"):format(math.max(0, math.ceil(question.until_at - clock.now())), self.model.paused and "go on" or "pause")
  end
  return question.label .. question.text
end

return M
