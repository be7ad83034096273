--- repl.words.health: the venture's declared checks, asked by hand. Flows that create and delete something are effects.

local by_name = require "health.by_name"
local sessions = require "repl.session"

local health = {}

--- The names of all checks that health.check takes, with the list that each is in.
---@return table[] rows
---@example health.names()
function health.names()
  local venture, rows = sessions.here():need_venture(), { columns = { "name", "list", "kind" } }
  for _, list in ipairs(by_name.LISTS) do
    for _, check in ipairs(venture[list]) do rows[#rows + 1] = { name = check.name, list = list, kind = require("health").kind_of(check) } end
  end
  return rows
end

--- Asks the venture's checks: its health checks, a list of them, or one by its name.
---@param name? string "health", "invariants", "smoke", "flows", or a check's name
---@param colour? "blue"|"green" who is asked; as without: who has the most traffic
---@return table[] rows
---@example health.check()
---@example health.check("smoke", "green")
function health.check(name, colour)
  local session = sessions.here()
  local venture, journal_option = session:need_venture(), require "journal.option"
  name = name or "health"
  local results = by_name.ask(venture, name, { proxy = session:proxy(), colour = colour, state_folder = journal_option.absolute(journal_option.state_folder(session:journal_options())) })
  local rows = { columns = { "ok", "check", "seconds", "detail" } }
  for i, result in ipairs(results) do rows[i] = { ok = result.ok and "✓" or (result.critical and "✗" or "!"), check = result.name, seconds = result.seconds, detail = result.detail } end
  session.done[#session.done + 1] = { kind = "check", name = name, colour = colour }
  return rows
end

return { health = health }
