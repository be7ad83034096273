--- check.rules_parts: the files of a folder together: which replace a built-in part, whether they fit in its place, and
-- which are never reached.

local core_search = require "core.search"
local registry_module = require "check.registry"
local suggest = require "check.suggest"
local walk = require "check.walk"

local M = {}

local WHERE = { at = 1, to = 1 }

local function ends_with(text, ending) return text == ending or text:sub(-#ending - 1) == "/" .. ending end

-- The built-in file whose place this one takes; nil when there is none or when it is that very file.
local function replaced(subject, name)
  local file = name:gsub("%.", "/") .. ".lua"
  for _, root in ipairs { "stdlib", "playbooks" } do
    local path = root .. "/" .. file
    local text = core_search.baked(path)
    if text then return not ends_with(subject.path, path) and path or nil, root, text end
  end
end

local function compare(subject, path, stock)
  local own = subject.module
  if own.returns ~= stock.returns and own.returns ~= "other" and stock.returns ~= "other" then
    local wanted = ({ ["function"] = "a function of run and d", table = "a table of functions", playbook = "a playbook", nothing = "nothing" })[stock.returns]
    subject:report("error", own.value or WHERE, ("this takes the place of %s and must return %s"):format(path, wanted), stock.returns == "function" and "End with return function(run, d) ... end." or "Return what that file returns.")
    return
  end
  if own.open or stock.returns ~= "table" then return end
  for name in suggest.sorted(stock.exports) do
    if not own.exports[name] then
      subject:report("error", WHERE, ("this takes the place of %s and lacks its '%s'"):format(path, name), ("Add the function %s, or rename the file."):format(name))
    end
  end
end

local function requires(subjects)
  local names, dynamic = {}, false
  for _, subject in ipairs(subjects) do
    walk.each(subject.tree, function(node)
      if node.kind ~= "Call" or node.fn.kind ~= "Name" or node.fn.name ~= "require" then return end
      local name = registry_module.required(node)
      if name then names[name] = true else dynamic = true end
    end)
    for _, use in ipairs(subject.globals) do names[use.node.name] = true end
  end
  return names, dynamic
end

local function is_part(subject)
  local fn = subject.module.returns == "function" and subject.module.value
  return fn and fn.params[1] and fn.params[1].name == "run"
end

local function check_reached(subject, name, required)
  if required[name] or not is_part(subject) then return end
  local folder = name:match "^(.*)%."
  local candidates = {}
  for known in pairs(registry_module.built_in_modules()) do
    if known:match "^(.*)%." == folder then candidates[known] = true end
  end
  local near = suggest.near(name, candidates)
  subject:report("error", WHERE, ("the part %s is never reached: no playbook requires it%s"):format(name, suggest.did_you_mean(near)),
    near and ("Rename the file to %s.lua, or require it where it belongs."):format((near:gsub("%.", "/"))) or ("Require \"%s\" where it belongs in the order, or remove the file."):format(name))
end

-- A part that has the name of a built-in one, without the folder in which that one stands.
local function check_place(subject, name, required, stock)
  if required[name] or name:find(".", 1, true) or not is_part(subject) then return end
  local places = {}
  for known in suggest.sorted(registry_module.built_in_modules()) do
    if known:match "%.([^.]+)$" == name and core_search.baked("playbooks/" .. known:gsub("%.", "/") .. ".lua") and stock:module(known).returns == "function" then
      places[#places + 1] = known:gsub("%.", "/") .. ".lua"
    end
  end
  if not places[1] then return end
  subject:report("warning", WHERE, ("nothing uses this part: %s.lua stands beside the folder in which a part is looked for"):format(name), ("Move it to %s in the venture's folder."):format(table.concat(places, " or ")))
end

--- Adds to the subjects of one folder what is wrong with them as parts. Returns what takes the place of what.
---@param subjects table[] parsed
---@param name_of fun(subject: table): string? the module that a file of the folder is
---@return { module: string, path: string, replaces: string }[] overrides
function M.check(subjects, name_of)
  local overrides = {}
  local required, dynamic = requires(subjects)
  local stock = registry_module.new {}
  for _, subject in ipairs(subjects) do
    local name = name_of(subject)
    if name and subject.module.returns ~= "playbook" then
      if not dynamic then check_place(subject, name, required, stock) end
      local path, root, text = replaced(subject, name)
      if path then
        overrides[#overrides + 1] = { module = name, path = subject.path, replaces = path }
        if root == "stdlib" and subject.source.text ~= text then
          subject:report("warning", WHERE, ("this file hides the library's module %s from every part"):format(name), "Give the file another name, unless that is what is meant.")
        end
        compare(subject, path, stock:module(name))
      elseif not text and not dynamic and name:find(".", 1, true) then
        check_reached(subject, name, required)
      end
    end
  end
  return overrides
end

return M
