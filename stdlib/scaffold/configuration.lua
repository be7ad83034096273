--- scaffold.configuration: the text of a new venture's venture.lua: every key that there is, with what the schema says of it. Those that a venture
-- needs have a value that can be tried at once; the others stand there as comments, with their defaults.

local configuration_schema = require "configuration_schema"

local M = {}

-- What a new venture begins with, in the order in which it is read: { key, value as Lua text, or the same for a section's own keys }. $NAME
-- is the venture's name, $ENV the same as variables of the environment have it.
local VALUES = {
  { "name", '"$NAME"' },
  { "id", '"$NAME"' },
  { "owner", '"the team of $NAME"' },
  { "mode", '"assisted"' },
  { "grants", { { "hosts", '{ "loopback" }' } } },
  { "database", { { "url", 'secret "env:$ENV_DATABASE"' } } },
  { "releases", {} },
  { "gates", [[{
    { name = "release candidate approved", params = { "{release}", "{digest}" }, expect = 1,
      sql = "SELECT count(*) FROM approvals WHERE subject = 'release candidate' AND version = $1 AND digest = $2" },
  }]] },
  { "health", [[{
    { name = "database answers", sql = "SELECT 1", expect = 1 },
    { name = "application answers", http = "/health" },
  }]] },
  { "dependencies", { { "internal", [[{
      { name = "migrations applied", migrations = true },
      { name = "environment variables", env = { "$ENV_DATABASE" } },
    }]] } } },
  { "backup", { { "to", 'env("$ENV_BACKUPS", "/var/backups/$NAME")' }, { "drill", "true" } } },
  { "environment", {
    { "driver", '"process"' },
    { "command", '{ "{folder}/bin/start", "--port", "{port}", "--database", "{database}" }' },
    { "database", 'env("$ENV_APPLICATION_DATABASE", "postgres://127.0.0.1/$NAME")' },
    { "addresses", '{ blue = env("$ENV_BLUE", "127.0.0.1:8001"), green = env("$ENV_GREEN", "127.0.0.1:8002") }' },
    { "health", '"/health"' },
    { "start_timeout", "60" },
  } },
  { "rehearsal", { { "address", 'env("$ENV_REHEARSAL", "127.0.0.1:8003")' } } },
  { "migrations", {} },
  { "traffic", {
    { "driver", '"haproxy"' },
    { "socket", 'env("$ENV_HAPROXY", "/run/haproxy/admin.sock")' },
    { "backend", '"$NAME"' },
    { "servers", '{ blue = { "blue1" }, green = { "green1" } }' },
    { "public", 'env("$ENV_PUBLIC", "http://127.0.0.1:8000")' },
  } },
  { "metrics", { { "driver", '"haproxy_log"' }, { "udp", 'env("$ENV_LOG_PORT", "5514")' } } },
  { "canary", { { "stages", "{ 10, 50, 100 }" }, { "watch", "minutes(5)" }, { "error_rate", "0.05" }, { "target_error_rate", "0.01" }, { "p95_ms", "500" } } },
  { "smoke", [[{
    { name = "the first page", http = "/", expect = 200 },
  }]] },
  { "flows", [[{
    { name = "look, and look again", flow = {
      { name = "the first page", http = "/" },
      { name = "it is still well", http = "/health" },
    } },
  }]] },
  { "invariants", [[{
    { name = "no order without a customer", expect = 0, sql = "SELECT count(*) FROM orders WHERE customer_id IS NULL" },
  }]] },
  { "monitoring", {} },
  { "rollback", { { "watch", "minutes(5)" }, { "docs", '"rollback.md"' } } },
}

local EMPTY = { port = "0", string = '"..."', text = '"..."', number = "0", integer = "0", boolean = "true", list = "{}", map = "{}", any = "0", record = "{}" }

local function source_of(value)
  if type(value) == "table" then return "{ " .. table.concat(value, ", ") .. " }" end
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

local function sorted(keys, without)
  local names = {}
  for name in pairs(keys) do if not without[name] then names[#names + 1] = name end end
  table.sort(names)
  return names
end

local function add(out, depth, line, is_comment) out[#out + 1] = ("  "):rep(depth) .. (is_comment and "-- " or "") .. line end

-- A key with its value on one line, and what the schema says of it behind it; above it when the value has several lines.
local function key_line(out, depth, name, value, description, is_comment)
  local about = description.about and (description.one_of and not description.about:find(description.one_of[1], 1, true) and description.about .. ": " .. table.concat(description.one_of, ", ") or description.about)
    or description.one_of and table.concat(description.one_of, ", ")
  if value:find "\n" then
    if about then add(out, depth, about, true) end
    add(out, depth, name .. " = " .. value .. ",")
  else
    add(out, depth, name .. " = " .. value .. "," .. (about and " -- " .. about or ""), is_comment)
  end
end

local record

-- A key that a new venture does not set.
local function commented(out, depth, name, description)
  if description.type == "record" and description.keys then return record(out, depth, name, description, nil) end
  key_line(out, depth, name, description.default ~= nil and source_of(description.default) or EMPTY[description.type], description, true)
end

-- A section; `values` nil: all of it is a comment.
function record(out, depth, name, description, values)
  local is_comment = not values or #values == 0
  if description.about then add(out, depth, description.about, true) end
  add(out, depth, name .. " = {", is_comment)
  local given = {}
  for _, one in ipairs(values or {}) do
    given[one[1]] = true
    key_line(out, depth + 1, one[1], one[2], description.keys[one[1]])
  end
  for _, key in ipairs(sorted(description.keys, given)) do commented(out, depth + 1, key, description.keys[key]) end
  add(out, depth, "},", is_comment)
end

local function section(out, name, description, value)
  if description.type == "record" then
    record(out, 1, name, description, value)
  elseif value then
    key_line(out, 1, name, value, description)
  else
    commented(out, 1, name, description)
  end
  if description.type == "record" or description.type == "list" then out[#out + 1] = "" end
end

--- The keys that a new venture has a value for, to compare with the schema.
---@return { [1]: string, [2]: string | table }[]
function M.values() return VALUES end

--- The text of venture.lua.
---@param name string
---@return string
---@usage assert(require("scaffold.configuration").text("web-shop"):find('env:WEB_SHOP_DATABASE', 1, true))
function M.text(name)
  local keys = configuration_schema.venture.keys
  local out = { ("-- %s: where it runs, how it is checked, and when a release goes back. This file only describes: it has secret, env, minutes and hours."):format(name),
    "-- What is commented out has the value that stands there, or needs none. `engine config --venture DIR --origin` says what is in force, and from where.", "", "return {" }
  local given = {}
  for _, one in ipairs(VALUES) do
    given[one[1]] = true
    section(out, one[1], keys[one[1]], one[2])
  end
  for _, key in ipairs(sorted(keys, given)) do
    if keys[key].type == "record" and out[#out] ~= "" then out[#out + 1] = "" end
    section(out, key, keys[key], nil)
  end
  out[#out + 1] = "}"
  local variables = name:upper():gsub("%-", "_")
  return (table.concat(out, "\n"):gsub("%$NAME", name):gsub("%$ENV", variables):gsub("\n\n}$", "\n}")) .. "\n"
end

return M
