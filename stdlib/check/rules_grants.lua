--- check.rules_grants: what a file reaches for against what the venture grants. Only what the text says literally is judged;
-- at run time every use is checked.

local files = require "files"
local is_unknown = require("check.rules_configuration").is_unknown
local schema = require "schema"
local secret = require "secret"
local walk = require "check.walk"

local M = {}

-- Which argument of a function names what it reaches: an address, a command, a path that is read or written.
local USES = {
  ["http.get"] = { kind = "url", 1 }, ["http.post"] = { kind = "url", 1 }, ["http.request"] = { kind = "url", 1, key = "url" }, ["sql.open"] = { kind = "url", 1 },
  ["process.run"] = { kind = "command", 1, key = "argv" }, ["process.spawn"] = { kind = "command", 1, key = "argv" },
  ["files.read"] = { kind = "read", 1 }, ["files.read_tail"] = { kind = "read", 1 }, ["files.list"] = { kind = "read", 1 }, ["files.stat"] = { kind = "read", 1 },
  ["files.sha256"] = { kind = "read", 1 }, ["files.write"] = { kind = "write", 1 }, ["files.append"] = { kind = "write", 1 }, ["files.mkdir"] = { kind = "write", 1 },
  ["files.remove"] = { kind = "write", 1 }, ["files.remove_tree"] = { kind = "write", 1 }, ["files.copy"] = { kind = "write", 2 }, ["files.rename"] = { kind = "write", 2 },
}
local PORTS = { http = "80", https = "443", smtp = "25", smtps = "465", postgres = "5432", postgresql = "5432" }
local LIST = { url = "hosts", command = "commands", read = "read", write = "write" }

local function contains(list, fits)
  for _, item in ipairs(list) do
    if is_unknown(item) or fits(item) then return true end
  end
  return false
end

local function is_loopback(host) return host == "localhost" or host == "::1" or host:find "^127%.%d+%.%d+%.%d+$" ~= nil end

local function host_granted(granted, host, port)
  return contains(granted.hosts, function(item)
    return item == host or item == host .. ":" .. port or item == ("[%s]:%s"):format(host, port) or item == "loopback" and is_loopback(host)
  end)
end

local function command_granted(granted, name)
  local bare = name:match "[^/]+$"
  return contains(granted.commands, function(item) return item == name or not item:find "/" and item == bare end)
end

local function path_granted(granted, path, write)
  local function fits(item)
    local folder = (item:sub(1, 1) == "/" and item or files.realpath(item) or item):gsub("/+$", "")
    return path == folder or path:sub(1, #folder + 1) == folder .. "/"
  end
  return contains(granted.write, fits) or not write and contains(granted.read, fits)
end

-- Is it granted? Second result: what to add to the list.
local function judge(granted, kind, text)
  if is_unknown(text) then return true end
  if kind == "command" then return command_granted(granted, text), text end
  if kind == "url" then
    local scheme, authority = text:match "^(%a+)://([^/?#]*)"
    if not PORTS[scheme or ""] or authority == "" or authority:find(",", 1, true) or text:find "[?&]host=" then return true end
    authority = authority:gsub("^.*@", "")
    local host = authority:match "^%[(.-)%]" or authority:match "^[^:]*"
    if host == "" then return true end
    local port = authority:match ":(%d+)$" or PORTS[scheme]
    return host_granted(granted, host, port), ("%s:%s"):format(host, port)
  end
  if text:sub(1, 1) ~= "/" or text:find("/../", 1, true) then return true end
  return path_granted(granted, text, kind == "write"), text
end

local function demand(subject, place, granted, kind, text)
  local ok, item = judge(granted, kind, text)
  if ok then return end
  local verb = ({ url = "reaches", command = "runs", read = "reads", write = "writes" })[kind]
  subject:report("error", place, ("this %s %s, which the venture does not grant"):format(verb, item),
    ("Add \"%s\" to grants.%s in venture.lua if it should be allowed."):format(item, LIST[kind]))
end

local function field(node, name)
  for _, each in ipairs(node.kind == "Table" and node.fields or {}) do
    if each.key and each.key.value == name then return each.value end
  end
end

--- Adds to the subject each literal use of a command, address or path that is not granted.
---@param subject table of check.subject, parsed
---@param granted { commands: string[], hosts: string[], read: string[], write: string[] }
function M.check(subject, granted)
  walk.each(subject.tree, function(node)
    local found = node.kind == "Call" and subject.registry:resolve(node.fn)
    local use = found and found.fn and USES[found.fn]
    local value = use and node.args[use[1]]
    if value and use.key then value = field(value, use.key) end
    if value and use.kind == "command" then value = value.kind == "Table" and value.fields[1] and value.fields[1].value end
    if value and value.kind == "String" then demand(subject, value, granted, use.kind, value.value) end
  end)
end

-- What the checks of a configuration reach for, and what else the engine asks: by the name of its key.
local CONFIGURED = { http = "url", database = "url", command = "command", url = "url", server = "url", tcp = "authority", alertmanager = "url", receiver = "url" }
local ADDRESSES = {
  { "database", "url", kind = "url" }, { "traffic", "public", kind = "url" }, { "traffic", "socket", kind = "authority" },
  { "environment", "addresses", "blue", kind = "authority" }, { "environment", "addresses", "green", kind = "authority" }, { "rehearsal", "address", kind = "authority" },
}

-- What is sent or compared, and what is only for people: the addresses in it are not asked.
local CONTENT = { json = true, body = true, headers = true, field = true, expect = true, params = true, save = true, dashboards = true }

local function demand_at(subject, granted, path, kind, text)
  local place = type(text) == "string" and require("check.rules_configuration").locate(subject, path)
  if place and kind == "authority" then
    if not text:find "/" then demand(subject, place.value, granted, "url", "http://" .. text) end
  elseif place then
    demand(subject, place.value, granted, kind, text)
  end
  return place
end

local function check_table(subject, granted, config, path)
  for key, item in pairs(config) do
    local here = table.move(path, 1, #path, 1, {})
    here[#here + 1] = key
    local kind = CONFIGURED[key]
    local text = kind == "command" and type(item) == "table" and item[1] or item
    local place = kind and demand_at(subject, granted, here, kind, text)
    if not place and not CONTENT[key] and type(item) == "table" and not secret.is(item) then check_table(subject, granted, item, here) end
  end
end

--- The same for what a configuration makes the engine ask: its checks, and the addresses of the venture itself.
---@param subject table of venture.lua
---@param config table
---@param granted table
function M.check_configuration(subject, config, granted)
  for _, section in ipairs { "gates", "health", "dependencies", "smoke", "flows", "invariants", "monitoring" } do
    if type(config[section]) == "table" then check_table(subject, granted, config[section], { section }) end
  end
  for _, path in ipairs(ADDRESSES) do demand_at(subject, granted, path, path.kind, schema.value_at(config, path)) end
end

return M
