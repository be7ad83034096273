--- check.rules_names: names that mean nothing: globals, fields of modules, modules, methods of the run and the deployment.

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
    elseif node.kind == "Call" then
      check_require(subject, node)
    elseif node.kind == "Method" then
      check_method(subject, node)
    end
  end)
  check_unused(subject)
end

return M
