--- repl.record: a console in the journal. It is a run of the playbook "console": its statements are events of it, its effects steps with their
-- intent before and their outcome after, in the same chain as everything else. Adds its methods to Session.

local core_err = require "core.err"
local core_secret = require "core.secret"
local files = require "files"
local history = require "repl.history"
local json = require "json"

local Record = {}

local DOUBT_RUNS = 50 -- the latest runs that are looked through for what was left in doubt
local RESULT_MOST = 4000 -- bytes of an effect's result that are kept

--- Who types.
---@return string
function Record:actor() return require("execute").actor() end

local function open_journal(self)
  if self.journal then return self.journal end
  local journal_option = require "journal.option"
  local options = self:journal_options()
  local where, err = journal_option.where(options)
  if not where then return nil, err end
  local ok
  if not options.journal then
    ok, err = files.mkdir(journal_option.state_folder(options))
    if not ok then return nil, err end
  end
  self.journal, err = require("journal").open(where)
  return self.journal, err
end

-- The session's id in the journal; it begins there when something of it is first recorded.
local function begin(self)
  if self.id then return self.id end
  local journal, err = open_journal(self)
  if not journal then return nil, err end
  local journal_option = require "journal.option"
  self.id, err = journal:run_begin {
    playbook = "console", path = "console", args = { attach = self.attached and self.attached.id, venture = self.venture and self.venture.name }, mode = "manual",
    actor = self:actor(), reason = self.reason, engine = require("core.search").version(), sources = {},
    state_folder = journal_option.absolute(journal_option.state_folder(self:journal_options())), settings = { venture = self.venture and self.venture.folder },
  }
  self.next_step = 1
  return self.id, err
end

-- Recording is not part of what the statement does: it may write, and it is finished whatever is canceled meanwhile.
local function writing(fn)
  local result, err
  local ok, problem = pcall(shield, function()
    require("core.task").only_look(false)
    result, err = fn()
  end)
  if not result and not ok then return nil, problem end
  return result, err
end

--- Makes sure that the session is in the journal.
---@return string? id, table? err
function Record:begin_record() return writing(function() return begin(self) end) end

--- Records an event of the session. What is only looked at goes on without a journal, and says so once.
---@param kind string
---@param data table
---@return true?, table? err
function Record:event(kind, data)
  return writing(function()
    local id, err = begin(self)
    if not id then return nil, err end
    return self.journal:event(id, kind, data)
  end)
end

--- Records what was typed. A statement that speaks of a secret is recorded by its hash alone.
---@param text string
function Record:statement(text)
  if not self.venture and not self.journal and not self.options.state and not self.options.journal then return end -- a calculator keeps no records
  local data = { text = text, by = self:actor() }
  if not history.may_keep((text:gsub("^%s+", ""))) then data.text, data.sha256 = "(it speaks of a secret)", files.sha256_text(text) end
  local ok, err = self:event("statement", data)
  if not ok and not self.told_unrecorded then
    self.told_unrecorded = true
    self:say(("! what is typed is not recorded: %s; nothing can be changed until it is"):format(err.message))
  end
end

--- What of a value can be kept: plain data; a secret or a function is its name.
---@param value any
---@return any
function Record.plain(value, depth)
  local kind = type(value)
  if kind == "string" or kind == "boolean" or math.type(value) == "integer" then return value end
  if kind == "number" then return value == value and math.abs(value) < math.huge and value or tostring(value) end
  if kind ~= "table" or core_secret.is(value) or (depth or 0) > 6 then return value ~= nil and tostring(value) or nil end
  local out = {}
  for key, item in pairs(value) do
    if type(key) == "string" or math.type(key) == "integer" then out[key] = Record.plain(item, (depth or 0) + 1) end
  end
  if #out > 0 then -- JSON has either; the named part of a list is dropped
    for key in pairs(out) do if type(key) == "string" then out[key] = nil end end
  end
  return out
end

local function result_of(value)
  local plain = Record.plain(value)
  if plain == nil then return nil end
  local ok, text = pcall(json.encode, plain)
  if not ok or #text > RESULT_MOST then return { text = tostring(value) } end
  return plain
end

--- The intent of an effect: durable when it returns, and only while nobody else has the venture.
---@param name string
---@param described table effect.about
---@return { seq: integer, key: string }? step, table? err
function Record:intent(name, described)
  return writing(function()
    local ok, err = self.journal:confirm()
    if not ok then return nil, err end
    local seq = self.next_step
    local args = Record.plain(described.args or {})
    local _, args_hash = require("journal").args(args)
    local key = require("journal").key(self.id, tostring(seq), name, args_hash)
    ok, err = self.journal:step_begin(self.id, { seq = seq, place = tostring(seq), name = name, effect = described.class or "manual", args = args, key = key, undo = described.undo })
    if not ok then return nil, err end
    self.next_step = seq + 1
    return { seq = seq, key = key }
  end)
end

--- The outcome of an effect.
---@param step table of intent
---@param state "done"|"failed"|"canceled"
---@param result any
---@param problem? table
---@param seconds number
---@return integer? audit the number of its event, table? err
function Record:outcome(step, state, result, problem, seconds)
  return writing(function()
    local err_data = problem and { code = problem.code, message = core_err.is(problem) and problem.message or tostring(problem) }
    local ok, err = self.journal:step_end(self.id, step.seq, state, state == "done" and result_of(result) or nil, err_data, seconds)
    if not ok then return nil, err end
    return self.journal:last_event(self.id)
  end)
end

--- Effects of consoles that died before they could record an outcome: nobody knows whether they happened.
---@return { run: string, by: string, at: string, effect: string }[]
function Record:in_doubt()
  local found = {}
  for _, run in ipairs(self.journal and self.venture and self.journal:runs { limit = DOUBT_RUNS } or {}) do
    local is_ours = run.playbook == "console" and not run.ended_at and run.id ~= self.id and run.args.venture == self.venture.name
    if is_ours and not select(2, self.journal:holder(self.journal:lease_of(run))) then
      for _, step in ipairs(self.journal:steps(run.id) or {}) do
        if step.state == "intent" then found[#found + 1] = { run = run.id, by = run.actor, at = step.started_at, effect = ("%s %s"):format(step.name, json.encode(step.args or {})) } end
      end
    end
  end
  return found
end

--- The session is over.
function Record:end_record()
  if not self.id then return end
  local done, failed = 0, 0
  for _, one in ipairs(self.done) do
    if one.kind == "effect" and one.ok then done = done + 1 elseif one.kind == "effect" then failed = failed + 1 end
  end
  self.journal:run_end(self.id, "closed", self.exit, ("%d effects done, %d not"):format(done, failed))
  self.id = nil
end

return function(Session)
  for name, method in pairs(Record) do Session[name] = method end
end
