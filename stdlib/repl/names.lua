--- repl.names: what a statement can name: the console's words, the modules with what changes the world going through the gate, and everything
-- else that a playbook has. Names that are assigned stay in the console.

local core_err = require "core.err"
local core_search = require "core.search"
local effect = require "effect"
local inspect = require "inspect"

local M = {}

--- The words that stand alone, and those that are tables of words: their files are below repl.words.
M.WORDS = {
  arm = "session", disarm = "session", confirm = "session", plan = "session", export = "session", quiet = "session", help = "session",
  status = "look", runs = "look", log = "look", backups = "look", watch = "watch",
}
M.OBJECTS = { traffic = "traffic", health = "health", metrics = "metrics", rollback = "rollback", sql = "sql" }

--- Is this a word that only the console has?
---@param name string
---@return boolean
---@usage assert(require("repl.names").is_word "status" and not require("repl.names").is_word "json")
function M.is_word(name) return M.WORDS[name] ~= nil or M.OBJECTS[name] ~= nil end

-- What of a module is an effect when an operator calls it by hand.
local EFFECTS = {
  files = { "write", "append", "mkdir", "mkdtemp", "remove", "remove_tree", "copy", "rename", "link", "hard_link", "sync_tree" },
  process = { "run", "spawn", "stop" }, http = { "request", "get", "post" }, effect = { "change" },
}

local READING = { GET = true, HEAD = true, OPTIONS = true }

local function begins_with(argv, words)
  for i, word in ipairs(words) do if argv[i] ~= word then return false end end
  return #words > 0
end

-- May this command run as one that only looks? The venture says which.
local function only_looks(session, options)
  local argv = type(options) == "table" and options.argv
  if type(argv) ~= "table" then return false end
  for _, words in ipairs(session.venture and session.venture.console.read_only or {}) do
    if begins_with(argv, words) then return true end
  end
  return false
end

local function is_reading(name, first, second)
  local options = name == "request" and first or second or {}
  if type(options) ~= "table" or options.to_file then return false end
  if name == "post" then return false end
  return READING[options.method or (options.body ~= nil or options.json ~= nil or options.body_file) and "POST" or "GET"] == true
end

local function lua_call(name, arguments)
  local parts = {}
  for i = 1, arguments.n do parts[i] = inspect.text(arguments[i]) end
  return ("%s(%s)"):format(name, table.concat(parts, ", "))
end

-- A function of a module that goes through the gate when it would change something.
local function gated(session, module, name, plain)
  local full = module .. "." .. name
  return function(...)
    local arguments = table.pack(...)
    local function call() return plain(table.unpack(arguments, 1, arguments.n)) end
    if full == "process.run" and only_looks(session, (...)) then return effect.look(call) end
    if module == "http" and is_reading(name, ...) then return call() end
    return effect.change(full, call, function()
      local text = require("repl.show").safe(lua_call(full, arguments))
      return { plan = text, class = "manual", args = arguments, code = { run = ("expect(%s)"):format(text) } }
    end)
  end
end

-- What is not there is a mistake, said where it was typed: a nil would only be one a line later.
local function unknown(what, name, candidates)
  local suggest = require "check.suggest"
  error(("%s '%s'%s"):format(what, tostring(name), suggest.did_you_mean(suggest.near(tostring(name), candidates))), 3)
end

-- What of a name is not among its words is looked for in the module of that name: a table, so that completion sees what there is.
local function or_of_module(name, words, module)
  local shown = {}
  for key, value in next, module do shown[key] = value end
  return setmetatable(shown, { __index = function(_, key)
    local value = module[key]
    if value ~= nil or type(key) ~= "string" then return value end
    local candidates = {}
    for _, from in ipairs { words, module } do for one in next, from do candidates[one] = true end end
    unknown(name .. " has no", key, candidates)
  end })
end

local function gated_module(session, name)
  local plain = require(name)
  local shown = {}
  setmetatable(shown, { __index = or_of_module(name, shown, plain), __pairs = function() return pairs(plain) end })
  for _, fn in ipairs(EFFECTS[name]) do shown[fn] = name == "effect" and plain[fn] or gated(session, name, fn, plain[fn]) end
  if name == "effect" then return { change = plain.change } end
  return shown
end

-- `require` as statements have it: the same modules as by their names, and none of those behind them.
local function new_require(environment)
  return function(name)
    if type(name) == "string" and name:find "^core%." then
      error(core_err.new { code = "sandbox", message = ("%s is behind the modules; the console has %s"):format(name, name:gsub("^core%.", "")) }, 0)
    end
    if EFFECTS[name] or M.OBJECTS[name] then return environment[name] end
    return require(name)
  end
end

-- A table of words; what it has not, the module of the same name has.
local function object(name)
  local words = require("repl.words." .. M.OBJECTS[name])[name]
  local found, module = pcall(require, name)
  local meta = getmetatable(words) or {}
  meta.__index = or_of_module(name, words, found and module or {})
  return setmetatable(words, meta)
end

-- A global that a playbook has too, or the mistake.
local function global(name)
  local prelude = require "prelude"
  if rawget(_G, name) ~= nil or prelude.words[name] or type(name) == "string" and not prelude.instead[name] and core_search.find(name) then return _G[name] end
  if prelude.instead[name] then error(("'%s' is not there; %s"):format(name, prelude.instead[name]), 2) end
  local candidates = { venture = true }
  for _, list in ipairs { M.WORDS, M.OBJECTS, prelude.words, _G } do for one in pairs(list) do candidates[one] = true end end
  unknown("nothing is called", name, candidates)
end

--- The names of a session's statements.
---@param session table
---@return table
function M.environment(session)
  local environment
  local words = {}
  environment = setmetatable({}, {
    __index = function(_, name)
      local value = words[name]
      if value ~= nil then return value end
      if name == "venture" then return session.venture end
      if M.WORDS[name] then value = require("repl.words." .. M.WORDS[name]).words[name]
      elseif M.OBJECTS[name] then value = object(name)
      elseif EFFECTS[name] then value = gated_module(session, name)
      elseif name == "require" then value = new_require(environment)
      else return global(name) end
      words[name] = value
      return value
    end,
  })
  return environment
end

return M
