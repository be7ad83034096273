--- repl.words.session: the words of the console that are about the console: arming, planning, exporting, help.
--
-- A block of `---` before each is its help: `?arm` prints it. @effect and @undo say what an effect is; what is under @example is typed.

local core_err = require "core.err"
local sessions = require "repl.session"

local words = {}

--- The console may change something from now on, for a time. It becomes read-only again by itself.
-- Each effect is still shown first, and done when the venture's name is typed.
---@param time? string "90s", "10m" (as without), at most "1h"
---@param reason? string why, for the journal; needed unless the console began with --reason
---@param options? { over?: string } over: a run that has not ended and whose engine is gone, in spite of which something is changed
---@example arm("10m", "p95 breach")
function words.arm(time, reason, options)
  local session = sessions.here()
  session:arm(time, reason, options and options.over)
end

--- The console only looks again, and gives the venture back for others.
---@example disarm()
function words.disarm() sessions.here():disarm "by hand" end

--- What the next effect is confirmed by where nobody is there to type: in a script, or with engine -e.
---@param name string the venture's name
---@example confirm "shop"
function words.confirm(name)
  if type(name) ~= "string" then error("confirm takes the venture's name", 2) end
  sessions.here().confirmed_name = name
end

--- Shows what something would change, without doing it; also while the console is not armed.
---@param fn fun(): any | string an expression, which is not evaluated before; a function; or a statement as text
---@example plan(traffic.set{green=0})
---@example plan(function() traffic.set{green=0} end)
---@example plan "traffic.set{green=0}"
function words.plan(fn)
  local session = sessions.here()
  if type(fn) == "string" then
    local statements = require "repl.statement"
    local chunk, err = statements.compile(fn, session.environment)
    if not chunk then error(err, 0) end
    fn = chunk
  end
  if type(fn) ~= "function" then
    error(core_err.new { code = "usage", message = "plan takes a function or a text: a value is what came of doing it", next = "plan(function() traffic.set{green=0} end)" }, 0)
  end
  local effects, first, err = session:plan_of(fn)
  if type(first) == "function" and not effects[1] then effects, first, err = session:plan_of(first) end -- plan(f)
  if first == nil and core_err.is(err) then return nil, err end
  if not effects[1] then print "plan  nothing would be changed" end
  for _, described in ipairs(effects) do
    print(session.plan_text(described))
    local refused = session:refused_by(described)
    if refused then print("  refused now  " .. refused) end
  end
end

--- Writes what this session did and checked as a playbook: each effect a step with its class, its probe and its undo.
-- `engine check FILE` says whether it is sound; `engine FILE --venture DIR` does the same again.
---@param path string a file that is not there yet
---@example export "incident.lua"
function words.export(path)
  if type(path) ~= "string" or not path:match "%.lua$" then error("export takes the name of a .lua file", 2) end
  return require("repl.export").write(sessions.here(), path)
end

--- Are the events of the run that the console is attached to told between the prompts?
---@param is_quiet? boolean true as without: they are not
---@example quiet()
function words.quiet(is_quiet) sessions.here().is_quiet = is_quiet ~= false end

--- The words of the console; the same as `?` alone. `?NAME` says more about one.
---@param name? string
---@example help "traffic.set"
function words.help(name) require("repl.help").print(name or "") end

return { words = words }
