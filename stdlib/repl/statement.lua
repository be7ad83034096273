--- repl.statement: what is typed, from text to values: an expression needs no `return`, and a statement goes on until it is whole.

local core_err = require "core.err"
local core_search = require "core.search"
local show = require "repl.show"

local M = {}

local DELAYED = { plan = true, watch = true }
local OPENS = { ["("] = 1, ["{"] = 1, ["["] = 1, ["function"] = 1, ["do"] = 1, ["if"] = 1, ["repeat"] = 1, [")"] = -1, ["}"] = -1, ["]"] = -1, ["end"] = -1, ["until"] = -1 }

-- `plan(traffic.set{green=0})` is about what is in it, which must not be done first: as if it were a function. Text and functions stay as they are.
local function delayed(text)
  if not DELAYED[text:match "^%s*(%a+)%s*%("] then return text end
  local tokens = require("check.lexer").tokens(text)
  local first = tokens and tokens[3]
  if not first or first.kind == "function" or first.kind == ")" or first.kind == "eof" or (first.kind == "string" and (tokens[4].kind == "," or tokens[4].kind == ")")) then return text end
  local depth = 0
  for i = 3, #tokens do
    local kind = tokens[i].kind
    if depth == 0 and (kind == "," or kind == ")") then
      return ("%sfunction() return %s end%s"):format(text:sub(1, first.at - 1), text:sub(first.at, tokens[i].at - 1), text:sub(tokens[i].at))
    end
    depth = depth + (OPENS[kind] or 0)
  end
  return text
end

--- The function of a text; nil, "incomplete" when it only lacks its end; nil, err.
---@param text string
---@param environment table
---@return function? chunk, string|table|nil problem
---@usage local s = require "repl.statement"  assert(s.compile("1 + 1", {})() == 2)  assert(select(2, s.compile("for i = 1, 2 do", {})) == "incomplete")
function M.compile(text, environment)
  text = delayed(text)
  local chunk = core_search.load_text("return " .. text, "console", environment)
  if chunk then return chunk end
  local err
  chunk, err = core_search.load_text(text, "console", environment)
  if chunk then return chunk end
  if err.code == "playbook" and err.message:find "near <eof>$" then return nil, "incomplete" end
  return nil, err
end

-- What a person sees of an error: a refusal says what to do now, and no place in a text that was just typed.
local function print_failure(session, err)
  if core_err.is(err) then
    if err.code == "read_only" and err.op ~= "confirm" then err = session:refusal(err.op) end
    if err.where and err.where:find "^console:" then err.where = nil end
  end
  print(show.safe(show.failure(err)))
end

local function print_values(session, values)
  local first, second = values[2], values[3]
  if first == nil and core_err.is(second) then
    print_failure(session, second)
    return
  end
  for i = 2, values.n do print(show.safe(show.value(values[i]))) end
end

-- `?name` is asked of the console, not of Lua.
local function question_of(text) return text:match "^%s*%?%s*([%w_.:]*)%s*$" end

--- Runs a statement that is whole and prints what comes of it.
---@param session table
---@param text string
---@return boolean ok, any err of one that failed, also by giving nil and an error
function M.run(session, text)
  local asked = question_of(text)
  if asked then
    require("repl.help").print(asked)
    return true
  end
  local chunk, problem = M.compile(text, session.environment)
  if not chunk then
    if problem == "incomplete" then problem = core_err.new { code = "usage", message = "the statement has no end" } end
    print(show.safe(show.failure(problem)))
    return false, problem
  end
  session:statement(text)
  session:expire()
  session.current_statement, session.is_watching = text, false
  local values = table.pack(session:guarded(chunk))
  if not values[1] then
    if session.is_watching and core_err.is(values[2]) and values[2].code == "interrupted" then
      print "" -- Ctrl-C is how a watch ends; the terminal has shown it as ^C
      return true
    end
    print_failure(session, values[2])
    return false, values[2]
  end
  print_values(session, values)
  if values[2] == nil and core_err.is(values[3]) then return false, values[3] end
  return true
end

--- Does the text go on in the next line?
---@param text string
---@param environment table
---@return boolean
function M.is_open(text, environment)
  if question_of(text) then return false end
  local _, problem = M.compile(text, environment)
  return problem == "incomplete"
end

return M
