--- configuration: one product's configuration, read as data, checked, with its secrets resolved.
--
-- A venture is a folder with venture.lua, which returns a table. The file runs in a sandbox that
-- holds nothing but `secret "env:NAME"` and `env("NAME", default)`: it can describe, not act.

local core_err = require "core.err"
local core_search = require "core.search"
local core_secret = require "core.secret"
local files = require "files"
local schema = require "schema"
local description = require "configuration_schema"
local sense = require "configuration.sense"

local M = {}

local SecretReference = { __tostring = function(self) return "secret " .. self.reference end }

local function fail(code, path, line, text, next_step)
  return nil, core_err.new { code = code, op = "read configuration", message = ("%s:%d: %s"):format(path, line, text), next = next_step }
end

-- The line in which a name stands in quotation marks; else the first.
local function line_with(source, name)
  local at = source:find("[\"']" .. name:gsub("%p", "%%%0") .. "[\"']") or 1
  return select(2, source:sub(1, at - 1):gsub("\n", "")) + 1
end

--- What to do about the words with which a configuration failed.
---@param message string
---@return string
---@usage assert(configuration.advice "v.lua:3: secret takes a reference":find "env:NAME")
function M.advice(message)
  if message:find("%f[%w]secret [\"t]") then return "Say where the secret is kept: env:NAME, file:/path, vault:PATH#KEY or command:ARGV." end
  return "A configuration only describes: it can use secret, env, minutes and hours, nothing else."
end

--- The only names that a configuration can use. `env` reads plain settings; what is secret goes
-- through `secret`, which is resolved later and can never be printed.
---@param problems string[] gets the names of variables that are not set
---@param read? fun(name: string): string? how a variable is read; by default from the environment
---@return table<string, function>
---@usage local names = configuration.sandbox {}  assert(names.minutes(2) == 120)
function M.sandbox(problems, read)
  read = read or core_secret.environment
  return {
    secret = function(reference)
      if type(reference) ~= "string" then error("secret takes a reference such as \"env:NAME\"", 2) end
      local problem = require("secret").malformed(reference)
      if problem then error(problem, 2) end
      return setmetatable({ reference = reference }, SecretReference)
    end,
    env = function(name, default)
      local value = read(name)
      if value == nil then value = default end
      if value == nil then problems[#problems + 1] = name end
      return value == nil and "" or value
    end,
    minutes = function(n) return n * 60 end,
    hours = function(n) return n * 3600 end,
  }
end

--- Is this value a reference that is not resolved yet?
---@param value any
---@return boolean
function M.is_reference(value) return getmetatable(value) == SecretReference end

-- Replaces every reference by its opaque value. vault: and command: references need the network or
-- a process, and are resolved after env: and file: ones, which they may use.
local function resolve_all(value, options, path, found)
  for key, item in pairs(value) do
    local here = table.move(path, 1, #path, 1, {})
    here[#here + 1] = key
    if M.is_reference(item) then
      local late = item.reference:match "^vault:" or item.reference:match "^command:"
      if not late or options.late then
        local resolved, err = require("secret").resolve(item.reference, options)
        if not resolved then return nil, err, here end
        value[key] = resolved
        found[#found + 1] = item.reference
      end
    elseif type(item) == "table" then
      local ok, err, at = resolve_all(item, options, here, found)
      if not ok then return nil, err, at end
    end
  end
  return true
end

-- What makes no sense, without what is only simulated.
local function senseless(config, simulated)
  local problems = {}
  for _, problem in ipairs(sense.problems(config)) do
    local value = schema.value_at(config, problem.path)
    if not (simulated and type(value) == "string" and value:find("simulated", 1, true)) then problems[#problems + 1] = problem end
  end
  return problems
end

--- Loads, checks and completes a venture's configuration. The plain settings that it read from the environment, without those that
-- hold a secret, are in config.environment_read.
---@param folder string the venture's folder
---@param recorded? { source?: string, environment: table<string, string>, simulated?: boolean } of a run that is gone through again: used instead of the file and of the environment; simulated: nothing needs to be set, and no secret is read
---@return table? config, table? err codes: not_found, playbook, sandbox, config, secret
function M.load(folder, recorded)
  local path = folder .. "/venture.lua"
  local source, err = recorded and recorded.source, nil
  if not source then source, err = files.read(path) end
  if not source then
    if err.code == "not_found" then
      err = core_err.new {
        code = "not_found", op = "read configuration", message = ("%s does not exist"):format(path),
        next = "Give the venture's folder with --venture DIR; it holds venture.lua.",
      }
    end
    return nil, err
  end
  local missing, read, simulated = {}, {}, recorded and recorded.simulated
  local names = M.sandbox(missing, function(name)
    local value = recorded and recorded.environment[name]
    if value == nil then value = not simulated and core_secret.environment(name) or false end
    read[name] = value -- false: it was not set, which is a setting too
    return value or nil
  end)
  if simulated then
    names.secret = function() return "simulated" end
    local given = names.env
    names.env = function(name, default) return given(name, default == nil and "simulated-" .. name or default) end
  end
  local chunk
  chunk, err = core_search.load_text(source, path, names)
  if not chunk then return nil, err end
  local ok, config = pcall(chunk)
  if not ok then
    return nil, core_err.new { code = "config", op = "read configuration", message = tostring(config), next = M.advice(tostring(config)) }
  end
  if type(config) ~= "table" then return fail("config", path, 1, "must return a table, but returns a " .. type(config)) end
  if missing[1] then
    return fail("config", path, line_with(source, missing[1]), ("the environment variable %s is not set"):format(missing[1]),
      "Set it, or give env a default: env(\"" .. missing[1] .. "\", \"...\").")
  end
  local found = {}
  local resolved, secret_err, at = resolve_all(config, {}, {}, found)
  if resolved then
    -- References into the vault use the vault's own address and token, which are resolved by now.
    resolved, secret_err, at = resolve_all(config, { late = true, vault = config.vault }, {}, found)
  end
  if not resolved then
    return fail("secret", path, require("check.rules_configuration").line_of(source, at), ("%s: %s"):format(schema.path_text(at), secret_err.message), secret_err.next)
  end
  local problems = schema.check(config, description.venture)
  -- A run that is gone through again was let begin; it must be able to end.
  if not problems[1] and not (recorded and recorded.source) then problems = senseless(config, simulated) end
  if problems[1] then
    local lines, line_of = {}, require("check.rules_configuration").line_of
    for _, problem in ipairs(problems) do
      local at_text = schema.path_text(problem.path)
      lines[#lines + 1] = ("%s:%d: %s%s"):format(path, line_of(source, problem.path), at_text ~= "" and at_text .. ": " or "", problem.text)
    end
    return nil, core_err.new { code = "config", op = "read configuration", message = table.concat(lines, "\n") }
  end
  config.folder = folder
  config.source = source
  -- What holds a secret is not kept anywhere: it is read again.
  for name, value in pairs(read) do if value and core_secret.redact(value) ~= value then read[name] = nil end end
  config.environment_read = read
  return config
end

return M
