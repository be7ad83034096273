--- configuration.sense: what the values of a venture's configuration must be to each other and to the world, where the schema says only what kind each
-- of them is. Pure. A value that is not known here, such as a secret, is not judged.

local core_secret = require "core.secret"
local defaults = require "configuration_schema"
local schema = require "schema"

local M = {}

--- The lists of checks that a configuration can have.
M.CHECK_LISTS = { { "gates" }, { "health" }, { "smoke" }, { "flows" }, { "invariants" }, { "dependencies", "external" }, { "dependencies", "internal" },
  { "monitoring", "checks" }, { "monitoring", "business" } }

-- Filled into the commands of an environment, and into the texts of a check.
local IN_COMMANDS = { release = true, folder = true, host = true, port = true, colour = true, database = true }
local IN_TRAFFIC = { get = {}, set = { blue = true, green = true }, ready = { colour = true }, drain = { colour = true, seconds = true }, maintenance = { colour = true } }
local IN_CHECKS = { version = true, release = true, digest = true, venture_id = true, venture = true, colour = true }
-- What others call it.
local MEANT = { dir = "folder", path = "folder", directory = "folder", color = "colour", db = "database", version = "release" }

local function at(value, ...)
  for _, key in ipairs { ... } do
    if type(value) ~= "table" or core_secret.is(value) then return nil end
    value = value[key]
  end
  return value
end

local function below(path, ...)
  local out = table.move(path, 1, #path, 1, {})
  for _, key in ipairs { ... } do out[#out + 1] = key end
  return out
end

local function names(known)
  local list = {}
  for name in pairs(known) do list[#list + 1] = "{" .. name .. "}" end
  table.sort(list)
  return table.concat(list, ", ")
end

--- Is this text an address of HTTP?
---@param text string
---@return boolean
---@usage assert(require("configuration.sense").is_http "https://shop.example" and not require("configuration.sense").is_http "shop.example")
function M.is_http(text) return text:find "^[Hh][Tt][Tt][Pp][Ss]?://[^%s/?#]" ~= nil and not text:find "%s" end

--- Host and port of a text host:port; nil and what is wrong when it is none.
---@param text string
---@return string? host, string port_or_problem
---@usage assert(require("configuration.sense").host_and_port "127.0.0.1:80" == "127.0.0.1")
function M.host_and_port(text)
  if text:find "^%a[%w+.-]*://" then return nil, ("'%s' must be host:port, without the scheme before it"):format(text) end
  local host, port = text:match "^(.*):([^:%]]*)$"
  if not host or host == "" then return nil, ("'%s' has no port; write host:port, such as \"127.0.0.1:8001\""):format(text) end
  local number = port:find "^%d+$" and math.tointeger(tonumber(port))
  if not number or number < 1 or number > 65535 then return nil, ("'%s' is no port; give one from 1 to 65535"):format(port) end
  return host, port
end

local function add(problems, path, text, ...) problems[#problems + 1] = { path = path, text = text:format(...) } end

local function look_at_http(problems, path, value, also)
  if type(value) ~= "string" or M.is_http(value) then return end
  local guess = value:find "^[%w.-]+:%d+$" or value:find "^[%w.-]+%.%a+$" or value:find "^[%w.-]+[:/.][%w./:-]*$"
  add(problems, path, "'%s' is no http:// or https:// address%s%s", value, also or "", guess and value:sub(1, 1) ~= "/" and ("; did you mean 'http://%s'?"):format(value) or "")
end

local function addresses(problems, config)
  look_at_http(problems, { "traffic", "public" }, at(config, "traffic", "public"))
  look_at_http(problems, { "vault", "url" }, at(config, "vault", "url"))
  for _, key in ipairs { "alertmanager", "receiver" } do look_at_http(problems, { "monitoring", key }, at(config, "monitoring", key)) end
  local dashboards = at(config, "monitoring", "dashboards")
  for name, address in pairs(type(dashboards) == "table" and dashboards or {}) do look_at_http(problems, { "monitoring", "dashboards", name }, address) end
  local places = { { "environment", "addresses", "blue" }, { "environment", "addresses", "green" }, { "rehearsal", "address" } }
  local taken = {}
  for _, path in ipairs(places) do
    local value = at(config, table.unpack(path))
    if type(value) == "string" then
      local host, problem = M.host_and_port(value)
      if not host then
        add(problems, path, "%s", problem)
      elseif taken[value] then
        add(problems, path, "'%s' is %s too: each needs an address of its own, for they run at the same time", value, taken[value])
      end
      taken[value] = taken[value] or schema.path_text(path)
    end
  end
end

local function metrics(problems, config)
  local udp, path = at(config, "metrics", "udp"), at(config, "metrics", "path")
  local driver = at(config, "metrics", "driver")
  if driver ~= "haproxy_log" and driver ~= "nginx_log" then return end
  if udp ~= nil and not core_secret.is(udp) then
    local port = type(udp) == "number" and math.tointeger(udp) or type(udp) == "string" and math.tointeger(tonumber(udp))
    if not port or port < 1 or port > 65535 then add(problems, { "metrics", "udp" }, "'%s' is no port; give one from 1 to 65535", tostring(udp)) end
  end
  if udp ~= nil and path ~= nil then add(problems, { "metrics", "path" }, "udp is given too, and lines come one way; remove path or udp") end
end

local function number_at(config, key)
  local value = at(config, "canary", key)
  return type(value) == "number" and value or nil
end

local function stages(problems, config)
  local list = at(config, "canary", "stages")
  if type(list) ~= "table" then return end
  for index = 1, #list do
    local share = list[index]
    if type(share) ~= "number" or share < 1 or share > 100 then return end -- the schema has said so
  end
  local path = { "canary", "stages" }
  if #list == 0 then return add(problems, path, "is empty: no stage, no traffic; give percents that rise to 100, such as { 10, 50, 100 }") end
  for index = 2, #list do
    if list[index] <= list[index - 1] then
      return add(problems, below(path, index), "must rise, but %g follows %g; give percents that rise to 100, such as { 10, 50, 100 }", list[index], list[index - 1])
    end
  end
  if list[#list] ~= 100 then
    add(problems, path, "must end with 100, but %s %g; add 100 as the last one", #list == 1 and "is" or "ends with", list[#list])
  end
end

-- A limit that was left to its default follows what it limits; one that was written must be able to hold.
local function limit(problems, config, most, least)
  local m, l = number_at(config, most), number_at(config, least)
  if m and l and m < l and m ~= defaults.venture.keys.canary.keys[most].default then
    add(problems, { "canary", most }, "must not be below %s, but %g is less than %g; raise %s or lower %s", least, m, l, most, least)
  end
end

local function canary(problems, config)
  stages(problems, config)
  local evidence = at(config, "canary", "advance") == "evidence"
  limit(problems, config, "max_watch", evidence and "minimum" or "watch")
  limit(problems, config, "max_bake", evidence and "bake" or "watch")
  local target, most = number_at(config, "target_error_rate"), number_at(config, "error_rate")
  if target and most and target > most then
    add(problems, { "canary", "target_error_rate" },
      "must not be above error_rate, but %g is more than %g: what is promoted would be rolled back; lower target_error_rate or raise error_rate", target, most)
  end
end

-- The placeholders of an argv; a driver refuses what it has no value for, also where it has none at all.
local function argv_placeholders(problems, path, argv, known)
  for index, text in ipairs(type(argv) == "table" and argv or {}) do
    for name in (type(text) == "string" and text or ""):gmatch "{([%w_]+)}" do
      if not known[name] then
        local near = MEANT[name] and known[MEANT[name]] and MEANT[name] or schema.nearest(name, known)
        add(problems, below(path, index), "there is no {%s} to fill in%s", name, near and ("; did you mean {%s}?"):format(near) or next(known) and "; known: " .. names(known) or "")
      end
    end
  end
end

local function commands(problems, config)
  for _, key in ipairs { "command", "provision", "destroy", "alive" } do
    local argv = at(config, "environment", key)
    argv_placeholders(problems, { "environment", key }, argv, IN_COMMANDS)
    for index, text in ipairs(type(argv) == "table" and argv or {}) do
      if type(text) == "string" and text:find("{database}", 1, true) and at(config, "environment", "database") == nil then
        add(problems, { "environment", key, index }, "{database} needs environment.database: the database's address as the application gets it")
      end
    end
  end
  if at(config, "traffic", "driver") ~= "command" then return end
  for key, known in pairs(IN_TRAFFIC) do argv_placeholders(problems, { "traffic", key }, at(config, "traffic", key), known) end
end

-- Braces are also JSON, patterns and arrays of SQL: only a name that is nearly one of those that exist is certainly meant as one, and in
-- an address any name.
local function placeholders(problems, path, value, known, is_address)
  if type(value) == "table" and not core_secret.is(value) then
    for key, item in pairs(value) do placeholders(problems, below(path, key), item, known, is_address) end
  elseif type(value) == "string" then
    for name in value:gmatch "{(%a[%w_]*)}" do
      local near = not known[name] and (MEANT[name] and known[MEANT[name]] and MEANT[name] or #name > 3 and schema.nearest(name, known))
      if near or is_address and not known[name] then
        add(problems, path, "there is no {%s} to fill in%s", name, near and ("; did you mean {%s}?"):format(near) or "; known: " .. names(known))
      end
    end
  end
end

local TEXTS = { "headers", "body", "json", "contains", "field", "params", "command" }

local function texts(problems, path, check, known)
  placeholders(problems, below(path, "http"), check.http, known, true)
  for _, key in ipairs(TEXTS) do placeholders(problems, below(path, key), check[key], known) end
  placeholders(problems, below(path, "log", "path"), at(check, "log", "path"), known)
end

local function parameters(problems, path, check)
  local sql, params = check.sql, check.params == nil and {} or check.params
  if type(sql) ~= "string" or type(params) ~= "table" then return end
  local bare = sql:gsub("%-%-[^\n]*", ""):gsub("'[^']*'", "''")
  for name in sql:gmatch "{(%a[%w_]*)}" do
    if IN_CHECKS[name] then return add(problems, below(path, "sql"), "{%s} is not filled into SQL; write $1 there and params = { \"{%s}\" }", name, name) end
  end
  local wanted, given = 0, 0
  for number in bare:gmatch "%$(%d+)" do wanted = math.max(wanted, math.tointeger(tonumber(number)) or 0) end
  for index in pairs(params) do if math.type(index) == "integer" then given = math.max(given, index) end end
  if wanted == 0 and bare:find "[?:@$]" or bare:find("$$", 1, true) then return end -- in another way of writing them
  if wanted == given then return end
  add(problems, below(path, given > 0 and "params" or "sql"), wanted == 0 and "the sql has no $1%s, but params gives %d; remove params or use $1"
    or "the sql has $1%s, but params gives %d; give one for each", wanted > 1 and " to $" .. wanted or "", given)
end

-- The address of a check or of a flow's step; one that begins with a placeholder is known when it is asked.
local function asked(problems, path, address)
  if type(address) == "string" and not address:find "^[/{]" then look_at_http(problems, path, address, ", and does not begin with /, which asks the colour under test") end
end

local function one_check(problems, path, check)
  if type(check) ~= "table" then return end
  asked(problems, below(path, "http"), check.http)
  for _, kind in ipairs { "stripe", "supabase", "vault" } do look_at_http(problems, below(path, kind, "url"), at(check, kind, "url")) end
  if type(check.tcp) == "string" then
    local host, problem = M.host_and_port(check.tcp)
    if not host then add(problems, below(path, "tcp"), "%s", problem) end
  end
  local known = {}
  for name in pairs(IN_CHECKS) do known[name] = true end
  texts(problems, path, check, known)
  parameters(problems, path, check)
  if type(check.flow) ~= "table" then return end
  known.unique = true
  for index, step in ipairs(check.flow) do
    if type(step) == "table" then
      asked(problems, below(path, "flow", index, "http"), step.http)
      texts(problems, below(path, "flow", index), step, known)
      for name in pairs(type(step.save) == "table" and step.save or {}) do known[name] = true end
    end
  end
end

--- What makes no sense in a configuration whose kinds of values module schema has looked at. The same form as its problems.
---@param config table filled with its defaults
---@return { path: any[], text: string }[] problems in the order of their paths
---@usage assert(require("configuration.sense").problems({ traffic = { public = "shop" } })[1].path[2] == "public")
function M.problems(config)
  local problems = {}
  addresses(problems, config)
  metrics(problems, config)
  canary(problems, config)
  commands(problems, config)
  for _, path in ipairs(M.CHECK_LISTS) do
    local list = at(config, table.unpack(path))
    for index, check in ipairs(type(list) == "table" and list or {}) do one_check(problems, below(path, index), check) end
  end
  table.sort(problems, function(a, b)
    local one, other = schema.path_text(a.path), schema.path_text(b.path)
    if one ~= other then return one < other end
    return a.text < b.text
  end)
  return problems
end

return M
