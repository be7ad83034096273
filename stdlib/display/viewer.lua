--- display.viewer: a run on a terminal: its last lines are drawn as the journal tells of it, its plain lines go up above them, and keys ask
-- for something. It runs nothing: whoever leaves it, or kills it, does nothing to the run.

local clock = require "core.clock"
local core_err = require "core.err"
local core_terminal = require "core.terminal"
local behind = require "display.behind"
local display = require "display"
local files = require "files"
local follow = require "repl.follow"
local journal_option = require "journal.option"
local json = require "json"
local keys = require "display.keys"
local layout = require "display.layout"
local model = require "display.model"
local process = require "process"
local report_state = require "report.state"
local screen = require "display.screen"
local task = require "task"

local M = {}

local LOOK_S = 0.25        -- between two looks, and two drawings
local SHARED_LOOK_S = 1    -- at a journal that several machines share
local PROGRESS_OLD_S = 10  -- what was not said again for so long is over
local ALIVE_S = 1          -- between two looks at whether the engine lives

local COLOURS = { ["✓"] = "32", ["✗"] = "31", ["!"] = "33", ["?"] = "35", ["▶"] = "36", ["·"] = "2" }

local Viewer = {}
Viewer.__index = Viewer

-- Is this line one of those that are shown when not all are?
local function is_told(line)
  if line:find "^%s*▶ " then return false end
  return not line:find "^%s+· "
end

local function coloured(self, line)
  local look = self.look
  line = display.plain(line)
  local indent, mark, rest = line:match "^(%s*)([%z\1-\127\xC2-\xF4][\x80-\xBF]*)( .*)$"
  local colour = mark and COLOURS[mark]
  if look.ascii then line = require("display.text").ascii(line) end
  if not look.colour or not colour then return line end
  return ("%s\27[%sm%s\27[0m%s"):format(indent, colour, mark, rest)
end

-- What the engine has printed since the last look.
local function read_output(self)
  local path = self.output
  local stat = path and files.stat(path)
  if not stat or stat.size <= self.read then return end
  local all = files.read(path) or ""
  local whole = all:sub(self.read + 1):match "^(.*\n)" -- the last line may not be whole yet
  if not whole then return end
  self.read = self.read + #whole
  for line in whole:gmatch "([^\n]*)\n" do
    if self.show_all or is_told(line) then self.above[#self.above + 1] = coloured(self, line) end
  end
end

-- The run, as soon as its engine has begun it.
local function find_run(self)
  if self.model or not self.folder or self.cannot_look then return end
  local id = files.read(self.folder .. "/run")
  if not id then return end
  if not self.journal then
    local journal, err = self.open_journal()
    if not journal then
      self.above[#self.above + 1] = coloured(self, "! the journal cannot be looked at: " .. err.message)
      self.cannot_look = true
      return
    end
    self.journal = journal
  end
  local row = self.journal:run(id)
  if row then self:show(row) end
end

--- From here on this run is shown.
---@param row table of journal:run
function Viewer:show(row)
  self.model = model.new(row)
  self.began = assert(require("clock").of_utc(row.started_at))
  self.run_folder = row.state_folder and row.state_folder .. "/runs/" .. row.id
  local ok, past = pcall(require("display.expected").read, self.journal, row)
  self.expected = ok and past or nil
end

local function read_progress(self)
  self.progress = nil
  local said = self.run_folder and files.read(self.run_folder .. "/progress.json")
  local progress = said and json.decode(said)
  local at = progress and require("clock").of_utc(progress.at or "")
  if at and clock.wall() - at < PROGRESS_OLD_S then self.progress = progress end
end

local function read_journal(self)
  local now = clock.now()
  if self.looked and now - self.looked < (self.journal.path and LOOK_S * 0.8 or SHARED_LOOK_S) then return end
  local is_first = not self.looked
  self.looked = now
  -- A journal that is away says nothing; the run holds meanwhile.
  local events, err = self.journal:events(self.model.row.id, self.model.last_seq)
  self.journal_away = not events and err.message or nil
  for _, event in ipairs(events or {}) do
    self.model:take(event)
    if not is_first and not self.output then
      local line = follow.line(event)
      if line then self.above[#self.above + 1] = coloured(self, line) end
    end
  end
end

-- Is there an engine that has the run? This one's own is a child, whose end is heard of at once.
local function look_for_engine(self)
  local now = clock.now()
  if self.handle or self.model.outcome or (self.sought and now - self.sought < ALIVE_S) then return end
  self.sought = now
  local ok, state = pcall(function() return report_state.of(self.journal, assert(self.journal:run(self.model.row.id))) end)
  if ok then self.model.is_dead = state.gone end
end

--- Finds out what has changed.
---@param at_once? boolean however short ago the last look was
function Viewer:look_at(at_once)
  read_output(self)
  find_run(self)
  if self.model then
    if at_once and self.looked then self.looked = -math.huge end
    read_journal(self)
    look_for_engine(self)
    read_progress(self)
  end
end

--- Draws what has changed.
function Viewer:draw()
  local columns, rows = core_terminal.size(1)
  columns, rows = columns or 80, rows or 24
  local lines, prompt = {}, keys.prompt(self, columns - 2)
  if self.model and not self.is_over then
    lines = layout.lines { model = self.model, columns = columns - 1, rows = rows, now = clock.wall(), began = self.began, expected = self.expected,
      progress = self.progress, where = self:where(), prompt = prompt or (self.journal_away and "the journal is away: " .. self.journal_away) }
  elseif not self.model and prompt then
    lines = { { { prompt } } }
  end
  local text = self.screen:draw(lines, self.above, columns)
  self.above = {}
  if text ~= "" then assert(core_terminal.write(1, text)) end
end

--- One line that stays.
function Viewer:say(line) self.above[#self.above + 1] = coloured(self, line) end

-- The lines are gone, and what was printed last is there.
local function close(self)
  self.is_over = true
  self:draw()
  core_terminal.write(1, self.screen:clear(core_terminal.columns(1) or 80))
end

--- Stops as Ctrl-Z does, and goes on.
function Viewer:suspend()
  core_terminal.write(1, self.screen:clear(core_terminal.columns(1) or 80))
  assert(core_terminal.suspend())
end

local function has_ended(self)
  if self.handle then return not process.alive(self.handle) end
  return self.model.outcome ~= nil
end

-- What the keys and the end of the run do. Returns an exit code when this viewer is over.
local function turn(self)
  local is_last = has_ended(self) -- what it said before its end is read after this
  self:look_at(is_last)
  self:draw()
  if is_last then return "ended" end
  local typed, err = core_terminal.read_keys(LOOK_S)
  if not typed and err.code ~= "timeout" then error(err, 0) end
  return keys.take(self, typed or "")
end

--- The options that name the run's journal to the command that comes next.
---@return string
function Viewer:where()
  local option, row = self.option or {}, self.model and self.model.row
  if row and row.state_folder and not option.venture and not option.state and not option.journal then return journal_option.text { state = row.state_folder } end
  return journal_option.text(option)
end

-- What a run whose engine is gone is left as, and what to type.
local function say_gone(self, code)
  local weights, row = self.model.weights, self.model.row
  print(("  state  %s; %s"):format(weights and ("traffic was last seen at blue %s %%, green %s %%"):format(tostring(weights.blue), tostring(weights.green)) or "traffic had not moved", report_state.guardian(row)))
  print(("  next   %s%s"):format(report_state.after_engine(row, self:where()), code and ("   exit %d"):format(code) or ""))
end

-- The exit code of the engine that this terminal began. One that was killed has left its run as it was.
local function code_of_engine(self)
  local ended = assert(process.wait(self.handle))
  if ended.code then return ended.code end
  if self.model and self.model.outcome then return self.model.exit_code end
  print(("✗ the engine was ended by signal %s%s"):format(tostring(ended.signal), self.model and "; run " .. self.model.row.id .. " is as it left it" or " before its run began"))
  if not self.model then return 1 end
  say_gone(self, 130)
  return 130
end

-- Somebody left it: says how to come back.
local function left(self)
  if not self.model then
    print(("  next   the engine goes on in the background; engine status%s"):format(self:where()))
  elseif self.model.is_dead then
    print(("✗ the engine of run %s is gone"):format(self.model.row.id))
    say_gone(self)
  else
    print(("  next   run %s goes on; engine attach %s%s"):format(self.model.row.id, self.model.row.id, self:where()))
  end
  return self.handle and 130 or 0
end

--- Shows a run until it ends or somebody leaves it. Returns the exit code: that of the run, or 130 when this terminal began it and it goes on.
-- handle: the engine's process, when this terminal began it, with its folder (see display.behind); or row: a run.
---@param fields { journal?: table, open_journal?: fun(): table?, table?, row?: table, handle?: table, folder?: string, output?: string, option?: table } option: the command line's, of journal.option
---@return integer
function M.run(fields)
  local self = setmetatable(fields, Viewer)
  self.above, self.read = {}, 0
  self.look = { colour = core_terminal.colour(1), ascii = not display.is_utf8() }
  self.screen = screen.new(self.look)
  local ok, ended = task.interruptible(function()
    assert(core_terminal.raw(true))
    local _ <close> = setmetatable({}, { __close = function() core_terminal.raw(false) end })
    if self.row then
      self:show(self.row)
      self.output = self.run_folder and behind.output(self.run_folder)
      self.read = self.output and files.stat(self.output).size or 0
    end
    local how
    repeat how = turn(self) until how
    close(self)
    return how
  end)
  local function leave(code)
    if self.journal then self.journal:close() end
    -- What is in it is with the run now. An engine that has not begun one and goes on needs it still.
    if self.folder and (self.model or not process.alive(self.handle)) then files.remove_tree(self.folder) end
    return code
  end
  if not ok then
    if not core_err.is(ended) or (ended.code ~= "interrupted" and ended.code ~= "closed") then error(ended, 0) end
    return leave(left(self)) -- nobody is there any more
  end
  if ended == "left" then return leave(left(self)) end
  if self.handle then return leave(code_of_engine(self)) end
  if not self.output then
    print("  state  " .. display.plain(self.model.summary or self.model.outcome))
    print(("  next   engine log %s%s   exit %s"):format(self.model.row.id, self:where(), tostring(self.model.exit_code)))
  end
  return leave(self.model.exit_code or 0)
end

return M
