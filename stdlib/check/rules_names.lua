--- check.rules_names: names that mean nothing: globals, fields of modules, modules, methods of the run and the deployment.

local configuration_schema = require "configuration_schema"
local prelude = require "prelude"
local registry_module = require "check.registry"
local suggest = require "check.suggest"
local walk = require "check.walk"

local M = {}

local function report_unknown(subject, node, candidates)
  local instead = prelude.instead[node.name]
  if instead then
    return subject:report("error", node, ("'%s' is not available in a playbook"):format(node.name), instead:gsub("^%l", string.upper) .. ".")
  end
  local near = suggest.near(node.name, candidates)
  subject:report("error", node, ("there is no global '%s'%s"):format(node.name, suggest.did_you_mean(near)),
    near and ("Write %s."):format(near) or "Declare it with `local`, or require the module that has it.")
end

-- Only these are there in a configuration; everywhere else the registry says what there is.
local function check_globals(subject)
  local only = subject.only_globals
  local candidates = only
  for _, use in ipairs(subject.globals) do
    local node = use.node
    if use.is_write then
      subject:report("error", node, ("'%s' is not declared"):format(node.name), ("Write `local %s`: there are no global variables."):format(node.name))
    elseif not (only and only[node.name] or not only and (node.name == "_G" or subject.words[node.name] or subject.registry:global(node.name))) then
      if not candidates then
        candidates = subject.registry:global_names()
        for name in pairs(subject.words) do candidates[name] = true end
        for _, declaration in ipairs(subject.declarations) do candidates[declaration.name] = true end
      end
      report_unknown(subject, node, candidates)
    end
  end
end

local function check_field(subject, node)
  local owner = node.key.kind == "String" and subject.registry:resolve(node.object)
  local found = owner and owner.module
  if not found or found.returns ~= "table" or found.open or found.exports[node.key.value] then return end
  local near = suggest.near(node.key.value, found.exports)
  subject:report("error", node.key, ("%s has no '%s'%s"):format(found.name, node.key.value, suggest.did_you_mean(near)),
    near and ("Write %s."):format(near) or ("It has: %s."):format(suggest.list(found.exports)))
end

local function check_require(subject, node)
  local name = registry_module.required(node)
  if not name or subject.registry:module(name) then return end
  local near = suggest.near(name, registry_module.built_in_modules())
  subject:report("error", node.args[1], ("there is no module '%s'%s"):format(name, suggest.did_you_mean(near)),
    near and ("Write \"%s\"."):format(near) or ("Make the file %s.lua in the venture's folder or beside the playbook."):format((name:gsub("%.", "/"))))
end

-- Only a function that takes a run and a deployment, or that is the playbook's own, is certain to get what its parameters
-- are called after.
local function is_given_run(subject, fn)
  local first, second = fn.params[1], fn.params[2]
  if not first or first.name ~= "run" then return false end
  if second and second.name == "d" then return true end
  local value = subject.module.value
  if value == fn then return true end
  local options = subject.module.returns == "playbook" and value.args[1]
  for _, field in ipairs(options and options.fields or {}) do
    if field.value == fn then return true end
  end
  return false
end

local function check_method(subject, node)
  local object = node.object
  local owner = object.kind == "Name" and object.declaration and object.declaration.owner
  if not owner or not is_given_run(subject, owner) then return end
  local methods, class = subject.registry:methods(object.name)
  if not methods or methods[node.name.name] then return end
  local near = suggest.near(node.name.name, methods)
  subject:report("error", node.name, ("%s '%s' has no method '%s'%s"):format(class == "Run" and "the run" or "the deployment", object.name, node.name.name, suggest.did_you_mean(near)),
    near and ("Write %s:%s."):format(object.name, near) or ("See the reference of %s."):format(class == "Run" and "run" or "deployment"))
end

-- Is this the run or the deployment that a part is given?
local function is_given(subject, node)
  local owner = node.kind == "Name" and node.declaration and node.declaration.owner
  return owner and is_given_run(subject, owner) and subject.registry:methods(node.name) ~= nil
end

-- A method that is called with a dot does not get what it belongs to.
local function check_dot(subject, node)
  local fn, first = node.fn, node.args[1]
  if fn.kind ~= "Index" or fn.key.kind ~= "String" or not is_given(subject, fn.object) or not subject.registry:method(fn.object.name, fn.key.value) then return end
  if first and first.kind == "Name" and first.name == fn.object.name then return end
  subject:report("error", fn, ("%s is a method of '%s', and is called with a dot"):format(fn.key.value, fn.object.name), ("Write %s:%s(...)."):format(fn.object.name, fn.key.value))
end

-- What loading adds to a configuration.
local LOADED = { folder = true, source = true, environment_read = true }

-- What the schema says of an expression that begins with run.venture or d.venture; nil when it is something else.
local function described(subject, node)
  if node.kind == "Paren" then return described(subject, node.inner) end
  if node.kind == "Name" then
    local declaration = node.declaration
    return declaration and declaration.writes == 0 and declaration.value and described(subject, declaration.value)
  end
  if node.kind ~= "Index" or node.key.kind ~= "String" then return nil end
  if node.key.value == "venture" and is_given(subject, node.object) then return configuration_schema.venture end
  local around = described(subject, node.object)
  return around and around.type == "record" and around.keys[node.key.value] or nil
end

local function check_venture(subject, node)
  local key = node.key.kind == "String" and node.key.value
  local around = key and described(subject, node.object)
  if not around or around.type ~= "record" or around.keys[key] or around == configuration_schema.venture and LOADED[key] then return end
  local near = suggest.near(key, around.keys)
  subject:report("error", node.key, ("venture.lua has no key '%s' here%s"):format(key, suggest.did_you_mean(near)), near and ("Write %s."):format(near) or ("It can have: %s."):format(suggest.list(around.keys)))
end

local function check_unused(subject)
  for _, declaration in ipairs(subject.declarations) do
    local name = declaration.value and registry_module.required(declaration.value)
    if name and declaration.reads == 0 and not declaration.name:find "^_" then
      local found = subject.registry:module(name)
      if found and found.returns == "function" then
        subject:report("error", declaration, ("the part %s is never run: nothing calls '%s'"):format(name, declaration.name), ("Call %s(run, d) where it belongs in the order, or remove this line."):format(declaration.name))
      else
        subject:report("warning", declaration, ("'%s' is required and not used"):format(declaration.name), "Remove this line.")
      end
    end
  end
end

--- Adds to the subject what is wrong with its names.
---@param subject table of check.subject, parsed
function M.check(subject)
  check_globals(subject)
  local assigned = {}
  walk.each(subject.tree, function(node)
    if node.kind == "Assign" then
      for _, target in ipairs(node.targets) do assigned[target] = true end
    elseif node.kind == "FunctionStatement" then
      assigned[node.target] = true
    elseif node.kind == "Index" and not assigned[node] then
      check_field(subject, node)
      check_venture(subject, node)
    elseif node.kind == "Call" then
      check_require(subject, node)
      check_dot(subject, node)
    elseif node.kind == "Method" then
      check_method(subject, node)
    end
  end)
  check_unused(subject)
end

return M
