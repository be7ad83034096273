--- repl.statement: what is typed, from text to values: an expression needs no `return`, and a statement goes on until it is whole.

local core_err = require "core.err"
local core_search = require "core.search"
local core_secret = require "core.secret"
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

--- What a statement is called where its errors have a place.
M.NAME = "console"

--- The function of a text; nil, "incomplete" when it only lacks its end; nil, err.
---@param text string
---@param environment table
---@param line? integer the one of its file that it begins in (1)
---@return function? chunk, string|table|nil problem
---@usage local s = require "repl.statement"  assert(s.compile("1 + 1", {})() == 2)  assert(select(2, s.compile("for i = 1, 2 do", {})) == "incomplete")
function M.compile(text, environment, line)
  text = delayed(text)
  local before = ("\n"):rep((line or 1) - 1)
  local chunk = core_search.load_text(before .. "return " .. text, M.NAME, environment)
  if chunk then return chunk end
  local err
  chunk, err = core_search.load_text(before .. text, M.NAME, environment)
  if chunk then return chunk end
  if err.code == "playbook" and err.message:find "near <eof>$" then return nil, "incomplete" end
  -- What was to be an expression is told as one: `1 +` lacks its end, and does not begin wrong.
  local _, as_expression = core_search.load_text(before .. "return " .. text, M.NAME, environment)
  return nil, err.message:find(":%d+: unexpected symbol near") and as_expression.message:find "near <eof>$" and as_expression or err
end

-- What a person sees of an error: a refusal says what to do now; of one line that was just typed the place is known; what to do is asked of the console.
local function print_failure(session, err, text)
  if core_err.is(err) then
    if err.code == "read_only" and err.op ~= "confirm" then err = session:refusal(err.op) end
    if err.where and err.where:find("^" .. M.NAME .. ":") then err.where = nil end
    local place, message = err.message:match("^(" .. M.NAME .. ":%d+): (.*)$")
    if place then
      local is_one_line = session.interactive and not text:find "\n"
      err = core_err.new { code = err.code, message = is_one_line and message or err.message, cause = err.cause, next = "? lists the words, ?NAME tells of one" }
    end
  end
  print(show.safe(show.failure(err)))
end

-- Values as text. In the task of the statement: how a value shows itself is the statement's own code, which may do no more than it.
local function texts_of(values)
  local texts = {}
  for i = 1, values.n do texts[i] = show.value(values[i]) end
  return texts
end

local WORDS_DEPTH = 3 -- metrics.p95.by_server

-- Is there nothing in the value but what can be called?
local function is_words(value, depth)
  depth = depth or 1
  local kind = type(value)
  if kind == "function" then return true end
  if kind ~= "table" or depth > WORDS_DEPTH or core_err.is(value) or core_secret.is(value) then return false end
  local count = 0
  for key, item in pairs(value) do
    if type(key) ~= "string" or not is_words(item, depth + 1) then return false end
    count = count + 1
  end
  return count > 0
end

-- A name alone, and what it names is to be called: what it is for says more than that it is a function.
local function told_as_help(text, values)
  local name = values.n == 1 and text:match "^%s*([%a_][%w_.]*)%s*$"
  return name and is_words(values[1]) and require("repl.help").print(name, true)
end

-- `?name` is asked of the console, not of Lua.
local function question_of(text) return text:match "^%s*%?%s*([%w_.:]*)%s*$" end

--- Runs a statement that is whole and prints what comes of it.
---@param session table
---@param text string
---@param line? integer the one of its file that it begins in (1)
---@return boolean ok, any err of one that failed, also by giving nil and an error
function M.run(session, text, line)
  local asked = question_of(text)
  if asked then
    require("repl.help").print(asked)
    return true
  end
  if session.venture and text:match "^%s*(.-)%s*$" == session.venture.name then
    print(("nothing asks for it now: '%s' is typed when an effect asks"):format(session.venture.name))
    return true
  end
  local chunk, problem = M.compile(text, session.environment, line)
  if not chunk then
    if problem == "incomplete" then problem = core_err.new { code = "usage", message = "the statement has no end", next = "Something that was opened lacks its `end`, `)` or `}`." } end
    print_failure(session, problem, text)
    return false, problem
  end
  session:statement(text)
  session:expire()
  session.current_statement, session.is_watching = text, false
  local ok, given = session:guarded(function()
    local values = table.pack(chunk())
    if values[1] == nil and core_err.is(values[2]) then return { err = values[2] } end
    return { texts = not told_as_help(text, values) and texts_of(values) or {} }
  end)
  if not ok then
    if session.is_watching and core_err.is(given) and given.code == "interrupted" then
      print "" -- Ctrl-C is how a watch ends; the terminal has shown it as ^C
      return true
    end
    print_failure(session, given, text)
    return false, given
  end
  if given.err then
    print_failure(session, given.err, text)
    return false, given.err
  end
  for _, one in ipairs(given.texts) do print(show.safe(one)) end
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
