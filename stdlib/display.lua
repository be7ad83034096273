--- display: what the operator sees of a run: one plain line an event, as it happens.
--
-- Knows nothing of the journal. Lines go to stdout; colour only on a terminal without NO_COLOR.

local core_secret = require "core.secret"
local core_terminal = require "core.terminal"

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

--- A text without what a terminal would obey: names and messages may come from anybody. Line breaks and tabs stay.
---@param text string
---@return string
---@usage assert(display.plain "a\27[2Jb" == "a\\x1B[2Jb")
function M.plain(text)
  return (text:gsub("[%c\127]", function(c) return not c:find "[\n\t]" and ("\\x%02X"):format(c:byte()) or nil end):gsub("\xC2([\x80-\x9F])", function(c) return ("\\x%02X"):format(c:byte()) end))
end

--- One line: a mark, the text, indented by depth.
---@param kind "begin"|"done"|"failed"|"canceled"|"note"|"warn"|"ask"
---@param depth integer
---@param text string
function M.line(kind, depth, text)
  local indent = ("  "):rep(depth)
  print(indent .. coloured(marks[kind]) .. " " .. (M.plain(core_secret.redact(text)):gsub("\n", "\n" .. indent .. "  ")))
end

--- The first line of a run.
function M.header(run)
  local release = run.args.release and (" release " .. run.args.release) or ""
  M.line("note", 0, ("%s%s  run %s  playbook %s  mode %s  by %s"):format(run.venture and run.venture.name or "no venture", release, run.id, run.playbook.name, run.mode, run.actor))
end

--- The error of a run: what, where, state, what next (never the traceback; that is in the log).
function M.failure(err, depth)
  M.line("failed", depth or 0, ("%s %s: %s"):format(err.number or "", err.code or "error", err.message or tostring(err)))
  if err.cause then print("  cause  " .. M.plain(core_secret.redact(tostring(err.cause)))) end
  if err.where then print("  where  " .. err.where) end
end

return M
