--- repl.session: what a console knows: whose venture, which journal, the run that it is attached to, and since when it is armed.
--
-- Nothing that needs a file or a server is looked at before somebody asks: `load` does it, beside the first prompt. The console's words and
-- its gate find the session in the context of the task in which a statement runs (core.task), so that there is no global one.

local clock = require "core.clock"
local core_err = require "core.err"
local core_task = require "core.task"
local task = require "task"

local M = {}

local Session = {}
Session.__index = Session
require "repl.record" (Session)
require "repl.gate" (Session)
require "repl.arming" (Session)

--- A session that knows nothing yet but its options.
---@param options { venture?: string, state?: string, journal?: any, attach?: string, reason?: string, yes?: string, interactive: boolean }
---@return table session
function M.new(options)
  local self = setmetatable({
    options = options, reason = options.reason, interactive = options.interactive, done = {}, exit = 0,
    name = options.venture and options.venture:match "([^/]+)/*$", -- until its configuration says so
  }, Session)
  self.environment = require("repl.names").environment(self)
  return self
end

--- The session in whose statement the running code is. Raises when it is in none.
---@return table session
function M.here()
  local context = core_task.context()
  local session = context and context.console
  if not session then error("this word belongs to the console: engine repl", 3) end
  return session
end

--- Where the journal is, as options of journal.option.
function Session:journal_options()
  return { state = self.options.state, venture = self.options.venture, journal = self.options.journal or self.venture and self.venture.journal }
end

local function attach(self)
  local journal, err = require("journal.option").existing(self:journal_options())
  if not journal then error(err, 0) end
  self.journal = journal
  local row
  row, err = journal:run(self.options.attach)
  if not row then error(err, 0) end
  self.attached = row
  self.options.state = self.options.state or row.state_folder
  if self.options.venture or not row.settings.venture then return end
  self.options.venture = row.settings.venture
  -- As the run has it: whoever is called at night has not its environment, and the file may be of tomorrow.
  for _, source in ipairs(assert(journal:sources(row.id))) do
    if source.name == "venture" then self.recorded = { source = source.text, environment = row.settings.environment or {} } end
  end
end

local function load_venture(self)
  local venture, err = require("configuration").load(self.options.venture, self.recorded)
  if not venture then error(err, 0) end
  for _, place in ipairs { "gates", "health", "smoke", "flows", "invariants" } do venture[place] = venture[place] or {} end
  venture.traffic.folder = venture.folder
  require("core.search").add_folder(venture.folder)
  self.venture, self.name = venture, venture.name
end

--- Looks at everything that the options name. What cannot be had is self.problem, and whoever needs it is told so.
function Session:load()
  local ok, err = task.scope("the console's beginning", 60, function()
    if self.options.attach then attach(self) end
    if self.options.venture then load_venture(self) end
    local journal_option = require "journal.option"
    if not self.journal and self.venture and journal_option.exists(self:journal_options()) then
      self.journal = assert(journal_option.existing(self:journal_options()))
    end
  end)
  self.is_loaded = true
  if not ok then self.problem = err end
end

--- The venture; raises when there is none.
---@return table
function Session:need_venture()
  if self.venture then return self.venture end
  error(self.problem or core_err.new { code = "usage", message = "this console has no venture", next = "Begin it with engine repl --venture DIR, or --attach RUN." }, 0)
end

--- The journal; raises when there is none.
---@return table
function Session:need_journal()
  if self.journal then return self.journal end
  error(self.problem or core_err.new { code = "usage", message = "there is no journal yet", next = "Name the venture with --venture DIR, or the state folder with --state DIR." }, 0)
end

-- What is opened when a word first needs it. The database and everything else of the operator's stay read-only: they are opened in the
-- statement's task.
local function opened(self, key, open)
  if not self[key] then
    local value, err = open(self:need_venture())
    if not value then error(err, 0) end
    self[key] = value
  end
  return self[key]
end

--- The venture's proxy.
function Session:proxy() return opened(self, "opened_proxy", function(venture) return require("traffic").open(venture.traffic) end) end

--- Where its colours live.
function Session:colours()
  return opened(self, "opened_colours", function(venture)
    local journal_option = require "journal.option"
    return require("environment").open(venture, journal_option.absolute(journal_option.state_folder(self:journal_options())))
  end)
end

--- Its database, for reading. Raises when it cannot be reached.
function Session:database()
  if self.opened_database then return self.opened_database end
  local url = self:need_venture().database.url
  local former = core_task.only_look(true)
  local ok, db, err = pcall(require("sql").open, url, { timeout = 30 })
  core_task.only_look(former)
  if not ok then error(db, 0) end
  if not db then error(err, 0) end
  self.opened_database = db
  return db
end

--- Runs fn as what somebody typed: it may only look, until the gate lets something through.
---@param fn fun(): any
---@return boolean ok, any results_or_err
function Session:guarded(fn)
  return task.interruptible(function()
    core_task.set_context { console = self }
    core_task.only_look(true)
    return fn()
  end)
end

--- The shares of the colours now, for the prompt; what cannot be asked stays as it was.
function Session:look()
  if not self.venture then return end
  local ok, weights = pcall(function() return self:proxy():get() end)
  if ok and weights then self.weights = weights end
end

--- Tells of something that happened elsewhere: above the line that is being edited, or before the next prompt.
---@param line string
function Session:tell(line)
  if self.at_prompt then return self:say(line) end
  self.untold = self.untold or {}
  self.untold[#self.untold + 1] = line
end

--- Says something, above the line that is being edited if there is one.
---@param text string
function Session:say(text)
  text = require("repl.show").safe(text)
  if self.editor and self.editor.print(text) then return end
  print(text)
end

--- The share of the new colour, as it was last seen: "10%". Nil while nobody has looked.
---@return string?
function Session:share_text()
  local weights = self.weights
  if not weights then return nil end
  return ("%d%%"):format(weights.green)
end

--- Everything that was opened is closed, the venture is given back, the session ends in the journal.
function Session:close()
  pcall(task.shield, function()
    self:disarm "the console ended"
    self:end_record()
  end)
  for _, key in ipairs { "opened_database", "journal" } do if self[key] then self[key]:close() end end
  self.closed_at = clock.now()
end

return M
