--- display: what an engine says of a run: one plain line an event, as it happens.
--
-- Knows nothing of the journal. Lines go to stdout; colour only on a terminal without NO_COLOR. On a terminal somebody else shows
-- the run and these lines (display.attended, display.viewer). For machines (use_json) stdout has an object a line, and the
-- plain lines go to stderr.

local behind = require "display.behind"
local core_clock = require "core.clock"
local core_secret = require "core.secret"
local core_terminal = require "core.terminal"
local display_text = require "display.text"

local M = {}

local marks = {
  begin = { "▶", "36" }, done = { "✓", "32" }, failed = { "✗", "31" }, canceled = { "✗", "33" },
  note = { "·", "2" }, warn = { "!", "33" }, ask = { "?", "35" },
}

local function coloured(mark)
  local text, colour = mark[1], mark[2]
  if core_terminal.colour(1) then return ("\27[%sm%s\27[0m"):format(colour, text) end
  return text
end

--- A duration for people: 0.042 s, 3.1 s, 2:05.
---@param seconds number
---@return string
---@usage assert(display.duration(125) == "2:05")
function M.duration(seconds)
  if seconds >= 60 then return ("%d:%02d"):format(seconds // 60, math.floor(seconds % 60)) end
  if seconds >= 10 then return ("%.0f s"):format(seconds) end
  if seconds >= 1 then return ("%.1f s"):format(seconds) end
  return ("%.3f s"):format(seconds)
end

--- A text without what a terminal would obey: names and messages may come from anybody. Line breaks and tabs stay; bytes that are no UTF-8 are shown as such.
---@param text string
---@return string
---@usage assert(display.plain "a\27[2Jb\xFF" == "a\\x1B[2Jb\\xFF")
function M.plain(text) return display_text.plain(text) end

--- One line: a mark, the text, indented by depth.
---@param kind "begin"|"done"|"failed"|"canceled"|"note"|"warn"|"ask"
---@param depth integer
---@param text string
function M.line(kind, depth, text)
  local indent = ("  "):rep(depth)
  print(indent .. coloured(marks[kind]) .. " " .. (M.plain(core_secret.redact(text)):gsub("\n", "\n" .. indent .. "  ")))
end

local is_behind, is_json = false, false

--- Is this an engine behind a terminal, which shows what it says?
---@return boolean
function M.is_behind() return is_behind end

--- From here on a terminal is told in a folder which run this is.
---@param folder string
function M.go_behind(folder)
  is_behind = true
  behind.begin(folder)
end

--- Is stdout for a machine?
---@return boolean
function M.is_json() return is_json end

--- From here on stdout has an object a line, and everything else goes to stderr.
function M.use_json()
  if is_json then return end
  is_json = true
  rawset(_G, "print", function(...)
    local words = table.pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    core_terminal.write(2, table.concat(words, "\t") .. "\n")
  end)
end

--- One object for machines; nothing when stdout is for people.
---@param kind string
---@param data table plain data
---@param fields? { run?: string, at?: string, seq?: integer, step?: integer } of an event of the journal
function M.object(kind, data, fields)
  if not is_json then return end
  fields = fields or {}
  local text = require("json").encode { v = 1, at = fields.at or core_clock.utc(core_clock.wall()), run = fields.run, seq = fields.seq, step = fields.step, kind = kind, data = data }
  core_terminal.write(1, core_secret.redact(text) .. "\n")
end

--- May text have more than ASCII? As LC_ALL, LC_CTYPE or LANG say, the first that is set.
---@return boolean
function M.is_utf8()
  for _, name in ipairs { "LC_ALL", "LC_CTYPE", "LANG" } do
    local value = core_secret.environment(name)
    if value and value ~= "" then return value:upper():find "UTF%-?8" ~= nil end
  end
  return false
end

local PROGRESS_AFTER_S = 1 -- what is over sooner is not told
local PROGRESS_LINE_S = 5
local begun = {} -- long work that is under way: when it began, and when a line last told of it

--- How far long work is, with its rate and how long it may still take: for whoever looks at the run, and without a run a line now and then.
---@param progress { what: string, done?: number, all?: number, unit?: string, bytes_rate?: number } unit: "bytes", "rows", ...; the last one has done = all; no done: nobody knows
---@param goes_on? boolean it is the next part of work that has taken a while already
function M.progress(progress, goes_on)
  local now, what, done = core_clock.now(), progress.what, progress.done or 0
  local since = begun[what]
  if not since or done < since.last then -- less is done than was: the work has begun anew
    since = { at = now, from = done, told = now }
    begun[what] = since
  end
  since.last = done
  local seconds, is_over = now - since.at, false
  if progress.all then
    progress.rate = seconds > 0 and (done - since.from) / seconds or nil
    if progress.rate and progress.rate > 0 then progress.left_s = math.max(0, progress.all - done) / progress.rate end
    is_over = done >= progress.all
    if is_over then begun[what] = nil end
  end
  if seconds < PROGRESS_AFTER_S and not goes_on then return end
  M.object("progress", progress)
  if behind.progress(progress) then return end
  if now - since.told >= PROGRESS_LINE_S then
    since.told = now
    if not is_over then M.line("note", 1, require("display.layout").progress(progress)) end
  end
end

--- What takes the progress of long work, as module backup.metered has it, and tells of it.
---@param what string
---@return fun(at: { done?: integer, all?: integer, unit?: string, phase?: string, bytes?: integer }) unit: as without, pieces; then bytes are what was moved
function M.progress_of(what)
  local first, began, phase = core_clock.now(), nil, nil
  return function(at)
    local now = core_clock.now()
    if at.phase ~= phase or not began then phase, began = at.phase, now end
    local seconds = now - began
    local unit = at.unit or at.done and "pieces" or nil
    local bytes_rate = unit == "pieces" and at.bytes and seconds > 0 and at.bytes / seconds or nil
    M.progress({ what = phase and ("%s, %s"):format(what, phase) or what, done = at.done, all = at.all, unit = unit, bytes_rate = bytes_rate }, now - first >= PROGRESS_AFTER_S)
  end
end

--- A value of its own for machines, as one line of stdout whatever else goes there.
---@param value table plain data
function M.value(value) core_terminal.write(1, core_secret.redact(require("json").encode(value)) .. "\n") end

--- The first line of a run.
function M.header(run)
  behind.run_known(run)
  local release = run.args.release and (" release " .. run.args.release) or ""
  M.line("note", 0, ("%s%s  run %s  playbook %s  mode %s  by %s"):format(run.venture and run.venture.name or "no venture", release, run.id, run.playbook.name, run.mode, run.actor))
end

--- The error of a run: what, where, state, what next (never the traceback; that is in the log).
function M.failure(err, depth)
  M.object("error", { number = err.number, code = err.code, message = err.message, where = err.where, next = err.next })
  M.line("failed", depth or 0, ("%s %s: %s"):format(err.number or "", err.code or "error", err.message or tostring(err)))
  if err.cause then print("  cause  " .. M.plain(core_secret.redact(tostring(err.cause)))) end
  if err.where then print("  where  " .. M.plain(err.where)) end
end

return M
