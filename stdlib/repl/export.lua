--- repl.export: a session's effects and checks as a playbook, so that what helped once can be checked, planned and done again.
--
-- An effect that says what it is in Lua becomes a step with its class, probe and undo; another one becomes the statement that did it, as a step
-- of which only a person knows whether it happened.

local core_err = require "core.err"
local effect = require "effect"
local files = require "files"
local inspect = require "inspect"

local M = {}

-- What the steps need: how it is opened, once.
local NEEDS = {
  proxy = { [[local traffic = require "traffic"]], [[    run.venture.traffic.folder = run.venture.folder
    proxy = expect(traffic.open(run.venture.traffic))]] },
  database = { [[local sql = require "sql"]], [[    db = expect(sql.open(run.venture.database.url))]] },
}
local VARIABLE = { proxy = "proxy", database = "db" }

local CHECK = [[
-- Asks the venture's checks of a name; a critical one that fails ends the run.
local function ask(run, name, colour)
  for _, result in ipairs(by_name.ask(run.venture, name, { proxy = proxy, colour = colour, state_folder = run.state_folder })) do
    run:say(("%s: %s"):format(result.name, result.detail), result.ok and "done" or "warn")
    if not result.ok and result.critical then fail("check", ("%s: %s"):format(result.name, result.detail)) end
  end
end
]]

-- Two steps of a run must not have one name by accident; what is done twice is numbered.
local function naming()
  local seen = {}
  return function(text)
    seen[text] = (seen[text] or 0) + 1
    return seen[text] == 1 and text or ("%s (%d)"):format(text, seen[text])
  end
end

local function comment_of(statement) return "    -- " .. statement:gsub("%s+", " ") end

local function effect_step(one, name, out)
  local described, code = one.described, one.described.code
  if one.statement then out[#out + 1] = comment_of(one.statement) end
  local class = effect.CLASSES[described.class or ""] and described.class or "manual"
  if not code then class = "manual" end
  out[#out + 1] = ("    step { %q, effect = %q,%s"):format(name(("%s: %s"):format(one.name, described.plan)), class, described.args and code and next(described.args) and (" args = %s,"):format(inspect.text(described.args)) or "")
  out[#out + 1] = ("      run = function() %s end,"):format(code and code.run or one.statement or "")
  if code and code.probe then out[#out + 1] = ("      probe = function() return %s end,"):format(code.probe) end
  if code and code.undo then
    out[#out + 1] = ("      undo = function() %s end }"):format(code.undo)
  else
    out[#out + 1] = "      undo = false } -- nothing is known that takes it back"
  end
end

local function check_step(one, name, out)
  out[#out + 1] = ("    step { %q, effect = \"idempotent\", run = function() ask(run, %q%s) end }"):format(name(("check: %s%s"):format(one.name, one.colour and " of " .. one.colour or "")), one.name,
    one.colour and (", %q"):format(one.colour) or "")
end

-- Effects and checks in the order in which they were done.
local function steps_of(session)
  local name, out = naming(), {}
  for _, one in ipairs(session.done) do
    if one.kind == "check" then check_step(one, name, out) elseif one.ok and one.described.by_run then out[#out + 1] = ("    -- left out, as a run does it: %s"):format(one.described.plan:gsub("%s+", " "))
    elseif one.ok then effect_step(one, name, out) end
  end
  return out
end

local function needs_of(session)
  local needs, has_check, has_probe = {}, false, false
  for _, one in ipairs(session.done) do
    local code = one.described and one.ok and one.described.code
    if code and code.needs then needs[code.needs] = true end
    if code and code.probe then has_probe = true end
    if one.kind == "check" then needs.proxy, has_check = true, true end
  end
  return needs, has_check, has_probe
end

--- The session as the text of a playbook.
---@param session table
---@param title string
---@return string
function M.text(session, title)
  local needs, has_check, has_probe = needs_of(session)
  local head, prepare, variables = {}, {}, {}
  for _, need in ipairs { "proxy", "database" } do
    if needs[need] then
      head[#head + 1], prepare[#prepare + 1] = NEEDS[need][1], NEEDS[need][2]
      variables[#variables + 1] = VARIABLE[need]
    end
  end
  if has_check then
    head[#head + 1] = [[local by_name = require "health.by_name"]]
  end
  if has_probe then head[#head + 1] = [[local probe = require "traffic.probe"]] end
  table.sort(head)
  head[#head + 1] = [[local run_module = require "run"]]
  local out = { ("-- %s: what console %s did and looked at."):format(title, session.id or "of nobody's record"), ("-- By %s%s."):format(session:actor(), session.reason and ", because of: " .. session.reason:gsub("%s+", " ") or ""), "" }
  table.move(head, 1, #head, #out + 1, out)
  out[#out + 1] = ""
  if variables[1] then out[#out + 1] = ("local %s -- opened by prepare\n"):format(table.concat(variables, ", ")) end
  if has_check then out[#out + 1] = CHECK end
  out[#out + 1] = ("local function steps(%s)"):format(has_check and "run" or "")
  for _, line in ipairs(steps_of(session)) do out[#out + 1] = (line:gsub("^  ", "")) end
  out[#out + 1] = "end\n"
  out[#out + 1] = ("return playbook {\n  name = %q,\n  about = %q,\n  needs_venture = true,"):format(title, "What a console did by hand" .. (session.reason and ": " .. session.reason:gsub("%s+", " ") or ""))
  if prepare[1] then out[#out + 1] = ("  prepare = function(run)\n%s\n  end,"):format(table.concat(prepare, "\n")) end
  out[#out + 1] = ([[
  run = function(run)
    local ok, err = run_module.attempt(function() steps(%s) end)
    if ok then return end
    expect(run:unwind()) -- what fails in the middle is taken back
    error(err, 0)
  end,
}
]]):format(has_check and "run" or "")
  return table.concat(out, "\n")
end

--- Writes the session to a file that is not there yet.
---@param session table
---@param path string
function M.write(session, path)
  if not session.done[1] then error(core_err.new { code = "usage", message = "this session has changed and checked nothing yet" }, 0) end
  if files.exists(path) then error(core_err.new { code = "exists", message = path .. " is there already", next = "Give another name." }, 0) end
  local title = path:match "([^/]+)%.lua$"
  local text = M.text(session, title)
  local written, err = effect.look(function() return files.write(path, text, "0644") end) -- the operator's own file
  if not written then return nil, err end
  session:event("export", { path = path, sha256 = files.sha256_text(text) })
  print(("✓ %s; next   engine check %s --venture %s"):format(path, path, session.venture and session.venture.folder or "DIR"))
end

return M
