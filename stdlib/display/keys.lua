--- display.keys: what keys ask of a run that is shown: leave it, pause it, take it back; and the questions that come before.

local clock = require "core.clock"
local layout = require "display.layout"
local process = require "process"
local text = require "display.text"

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

-- A question has its labels from the longest to the shortest: the first that leaves room for what is typed is shown.
local function rollback_question(self)
  local seconds = self.expected and self.expected.rollback_s
  local venture = self.model.row.venture
  local what, how = "roll back" .. (seconds and ", about " .. layout.time(seconds) or ""), ("type %s or y: "):format(venture or "yes")
  return { kind = "rollback", text = "", words = { y = true, [venture or "yes"] = true }, labels = { what .. "? first all traffic goes back. " .. how, what .. "? " .. how, "roll back? " .. how, how, "roll back? y: ", "y: " } }
end

local function answer_question(self, answer)
  local question = self.model.question
  local labels = { ("%s to '%s'? Enter: "):format(answer:upper(), question.question) }
  for _, columns in ipairs { 40, 20, 10 } do labels[#labels + 1] = ("%s to '%s'? Enter: "):format(answer:upper(), text.cut(question.question, columns)) end
  labels[#labels + 1] = ("%s? Enter: "):format(answer:upper())
  return { kind = "answer", answer = answer, seq = question.seq, text = "", labels = labels, words = { [""] = true } }
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
    if self.model:goes_back() then
      if key == CTRL_C then self:say "· it is going back already" end
    elseif key == "p" then pause(self)
    elseif key == "r" then signal(self, "rollback")
    elseif key == CTRL_C then cancel(self) end
  elseif key == ESCAPE or key == CTRL_C then self.question = nil
  elseif key:find("^" .. ENTER) then
    self.question = nil
    done_with(self, question)
  elseif key:find("^" .. BACKSPACE) then question.text = question.text:match "^(.*)[%z\1-\127\xC2-\xF4][\x80-\xBF]*$" or ""
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
    elseif one == "p" and not self.model:goes_back() then pause(self)
    elseif one == "r" and not self.model:goes_back() then self.question = rollback_question(self) end
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

-- What Ctrl-C asks, from the longest to the shortest.
local function interrupt_labels(self)
  local left = math.max(0, math.ceil(self.question.until_at - clock.now()))
  local leave = ("d detach (in %.0f s)"):format(left)
  if self.model:goes_back() then return { ("Ctrl-C: it is going back already; %s, any other key looks on"):format(leave), ("it is going back; %s"):format(leave), leave } end
  local hold = self.model.paused and "p go on" or "p pause"
  return { ("Ctrl-C: %s, %s, r roll back, Ctrl-C again rolls back and ends with 130, any other key goes on"):format(leave, hold), ("Ctrl-C: %s, %s, r or Ctrl-C again rolls back"):format(leave, hold),
    ("%s, %s, r roll back"):format(leave, hold), ("d (%.0f s), %s, r back"):format(left, hold), "d, p, r?" }
end

--- The question that is open, as a line; nil when there is none. What is to be typed, and what was, is always seen.
---@param self table viewer
---@param columns? integer how wide it may be
---@return string?
function M.prompt(self, columns)
  local question = self.question
  if not question then return nil end
  local typed = question.text or ""
  local labels = question.labels or interrupt_labels(self)
  for _, label in ipairs(labels) do
    if text.width(label .. typed) <= (columns or math.huge) then return label .. typed end
  end
  local last = labels[#labels]
  while typed ~= "" and text.width(last .. typed) > columns do typed = typed:gsub("^[%z\1-\127\xC2-\xF4][\x80-\xBF]*", "", 1) end
  return last .. typed
end

return M
