--- repl.prompt: what the prompt says: may anything be changed, where, how far traffic has moved, and what the run is doing.
--
-- It shows what is known and is drawn again when more is: nothing waits for it.

local core_terminal = require "core.terminal"

local M = {}

-- Between \1 and \2 readline counts nothing.
local function coloured(text, colour)
  if not core_terminal.colour(1) then return text end
  return ("\1\27[%sm\2%s\1\27[0m\2"):format(colour, text)
end

local function left_text(seconds)
  seconds = math.ceil(seconds)
  return ("%d:%02d"):format(seconds // 60, seconds % 60)
end

--- The prompt: "RO shop prod 10% PAUSED> ", "RW 9:58 shop> ".
---@param session table
---@return string
function M.text(session)
  local left = session:armed_for()
  local parts = { left and coloured("RW " .. left_text(left), "1;31") or "RO" }
  parts[#parts + 1] = session.name
  local place = session.venture and session.venture.console.environment
  if place then parts[#parts + 1] = place end
  parts[#parts + 1] = session:share_text()
  if session.run_state then parts[#parts + 1] = coloured(session.run_state, "33") end
  return table.concat(parts, " ") .. "> "
end

--- The prompt of a statement that goes on: as wide.
---@param session table
---@return string
function M.more(session)
  local plain = M.text(session):gsub("\1.-\2", "")
  return (" "):rep(math.max(0, utf8.len(plain) - 2)) .. "> "
end

return M
