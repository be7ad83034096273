--- repl.words.watch: something again and again, in place, until Ctrl-C.

local core_err = require "core.err"
local figures = require "repl.figures"
local sessions = require "repl.session"
local show = require "repl.show"
local task = require "task"

local words = {}

local LEAST_S = 0.1

local is_dumb = require("core.secret").environment "TERM" == "dumb" -- a terminal without a way back

local function is_callable(value)
  local meta = getmetatable(value)
  return type(value) == "function" or type(meta) == "table" and meta.__call ~= nil
end

local function function_of(session, what)
  if type(what) == "string" then
    local chunk, err = require("repl.statement").compile(what, session.environment)
    if not chunk then error(core_err.is(err) and err or core_err.new { code = "usage", message = "the text has no end" }, 0) end
    return chunk
  end
  if is_callable(what) then return what end
  error(core_err.new { code = "usage", message = "watch takes a function or a text: a value does not change", next = 'watch(metrics.errors, "2s")' }, 0)
end

-- Adds what was seen to the former values of each name.
local function remember(former, list)
  for _, one in ipairs(list) do
    local values = former[one.name] or {}
    former[one.name] = values
    values[#values + 1] = one.value or false
    if #values > figures.LENGTH then table.remove(values, 1) end
  end
end

local function lines_of(what, former)
  local value, err = what()
  if is_callable(value) then value, err = value() end -- watch(metrics.errors)
  if value == nil and core_err.is(err) then return { show.failure(err) } end
  local list = figures.of(value)
  if list then
    remember(former, list)
    return figures.lines(list, former)
  end
  local lines = {}
  for line in (show.value(value) .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  return lines
end

-- Over the lines of the time before, each cut where the terminal would break it.
local function draw(lines, before, in_place)
  local most, back = show.columns(), in_place and before > 0 and ("\27[%dA\27[J"):format(before) or ""
  for i, line in ipairs(lines) do
    local safe = show.safe(line)
    local last = in_place and utf8.offset(safe, most + 1)
    print((i == 1 and back or "") .. (last and safe:sub(1, last - 1) or safe))
  end
end

--- Evaluates something again and again and shows it in place; numbers with their former values as bars. Ctrl-C ends it, and nothing else.
-- Off a terminal it is evaluated `times` times, a block of lines each.
---@param what fun(): any | string an expression, which is evaluated each time; a function; or an expression as text
---@param every? string|number between two looks ("2s")
---@param times? integer how often; as without: until Ctrl-C, and once off a terminal
---@example watch(metrics.p95.by_server, "2s")
---@example watch(traffic.get(), "1s")
function words.watch(what, every, times)
  local session = sessions.here()
  local fn, pause = function_of(session, what), math.max(LEAST_S, session.seconds_of(every or "2s"))
  times = times or (session.interactive and math.huge or 1)
  session.is_watching = true
  local former, before, count = {}, 0, 0
  while true do
    local lines = lines_of(fn, former)
    draw(lines, before, session.interactive and not is_dumb)
    before, count = #lines, count + 1
    if count >= times then return end
    task.sleep(pause)
  end
end

return { words = words }
