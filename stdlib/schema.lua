--- schema: checks a plain table against a description and fills defaults. Knows nothing of ventures.
--
-- A description is a table:
--   type      "string" | "text" (string or secret) | "number" | "integer" | "port" (whole number, or string or secret
--             that holds one) | "boolean" | "list" | "map" (any keys) | "record" (the named keys only) | "any"
--   keys      for a record: name -> description
--   meant     for a record: what somebody may call a key -> its name, where likeness would not tell
--   items     for a list or map: the description of each value
--   required, default, one_of = { values }, min, max, pattern with must_be (what it says when it does not match), about

local core_secret = require "core.secret"

local M = {}

local function type_matches(value, kind)
  if kind == "any" then return true end
  if kind == "text" then return type(value) == "string" or core_secret.is(value) end
  if kind == "port" then return math.type(value) == "integer" or type(value) == "string" or core_secret.is(value) end
  if kind == "integer" then return math.type(value) == "integer" end
  if kind == "list" or kind == "map" or kind == "record" then return type(value) == "table" and not core_secret.is(value) end
  return type(value) == kind
end

local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local above = row[j]
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(above + 1, row[j - 1] + 1, diagonal + cost)
      diagonal = above
    end
  end
  return row[#b]
end

--- The candidate that is nearest to a mistyped word, or nil if none is near.
---@param word string
---@param candidates table<string, any> the keys are the candidates
---@return string?
---@usage assert(schema.nearest("databse", { database = 1, traffic = 2 }) == "database")
function M.nearest(word, candidates)
  local best, best_distance
  for candidate in pairs(candidates) do
    local d = distance(word, candidate)
    if not best or d < best_distance or (d == best_distance and candidate < best) then best, best_distance = candidate, d end
  end
  -- Where every letter would be another one, nothing is left of the word.
  if best and best_distance <= math.max(2, #word // 3) and best_distance < #word then return best end
end

local function key_names(keys)
  local names = {}
  for name in pairs(keys) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

local function extended(path, key)
  local copy = table.move(path, 1, #path, 1, {})
  copy[#copy + 1] = key
  return copy
end

local check

local function check_record(value, description, path, problems)
  local keys = description.keys
  local found, meant = {}, {}
  for key in pairs(value) do found[#found + 1] = key end
  table.sort(found, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(found) do
    if keys[key] then
      value[key] = check(value[key], keys[key], extended(path, key), problems)
    else
      local near = type(key) == "string" and (description.meant and description.meant[key] or M.nearest(key, keys))
      if near then meant[near] = true end
      problems[#problems + 1] = {
        path = extended(path, key), key = key, near = near or nil,
        text = ("unknown key '%s'%s"):format(tostring(key), near and ("; did you mean '%s'?"):format(near) or "; known: " .. key_names(keys)),
      }
    end
  end
  for key, wanted in pairs(keys) do
    if value[key] == nil then
      if wanted.default ~= nil then
        value[key] = wanted.default
      elseif wanted.required and not meant[key] then -- one that is there under a mistyped name is told once
        problems[#problems + 1] = { path = path, missing = key, text = ("'%s' is missing%s"):format(key, wanted.about and ": " .. wanted.about or "") }
      elseif wanted.type == "record" and wanted.fill then
        value[key] = check({}, wanted, extended(path, key), problems)
      end
    end
  end
end

-- A number as people write it, in quotation marks: what to write in its place.
local function as_number(value, kind)
  if type(value) ~= "string" or kind ~= "number" and kind ~= "integer" then return "" end
  local text, unit = value:match "^%s*([%d.]+)%s*([%a%%]*)%s*$"
  local number = tonumber(text)
  if not number then return "" end
  if unit == "" or unit == "ms" then return ("; write %s"):format(text) end
  if unit == "%" and kind == "number" then return ("; write %.12g, which is %s %%"):format(number / 100, text) end
  local seconds = ({ s = 1, sec = 1, m = 60, min = 60, h = 3600, d = 86400 })[unit]
  return seconds and ("; write %.12g, in seconds%s"):format(number * seconds, unit == "m" and (", or minutes(%s)"):format(text) or unit == "h" and (", or hours(%s)"):format(text) or "") or ""
end

function check(value, description, path, problems)
  local kind = description.type
  if not type_matches(value, kind) then
    problems[#problems + 1] = { path = path, text = ("must be %s %s, but is %s%s"):format(kind:match "^[aeiou]" and "an" or "a", kind, type(value), as_number(value, kind)) }
    return value
  end
  if description.one_of then
    local allowed = {}
    for _, option in ipairs(description.one_of) do allowed[option] = true end
    if not allowed[value] then
      problems[#problems + 1] = { path = path, text = ("must be one of %s, but is '%s'"):format(table.concat(description.one_of, ", "), tostring(value)) }
    end
  end
  if description.min and value < description.min or description.max and value > description.max then
    problems[#problems + 1] = { path = path, text = ("must be from %s to %s, but is %s"):format(description.min or "-inf", description.max or "inf", tostring(value)) }
  end
  if description.pattern and not tostring(value):match(description.pattern) then
    problems[#problems + 1] = { path = path, text = ("'%s' is not %s"):format(tostring(value), description.must_be) }
  end
  if kind == "record" then
    check_record(value, description, path, problems)
  elseif (kind == "list" or kind == "map") and description.items then
    for key, item in pairs(value) do
      if kind == "list" and math.type(key) ~= "integer" then
        problems[#problems + 1] = { path = extended(path, key), text = ("is a list; the key '%s' does not belong there"):format(tostring(key)) }
      else
        value[key] = check(item, description.items, extended(path, key), problems)
      end
    end
  end
  return value
end

--- Checks value against description; fills defaults into it.
---@param value table
---@param description table
---@return { path: any[], text: string, key?: any, near?: string, missing?: string }[] problems empty when everything is right; key: an unknown one, near: what it may mean
---@usage assert(#schema.check({ a = 1 }, { type = "record", keys = { a = { type = "integer" } } }) == 0)
function M.check(value, description)
  local problems = {}
  check(value, description, {}, problems)
  table.sort(problems, function(a, b) return M.path_text(a.path) < M.path_text(b.path) end)
  return problems
end

--- A path as text: traffic.servers.blue[1].
---@param path any[]
---@return string
---@usage assert(schema.path_text { "a", 1, "b" } == "a[1].b")
function M.path_text(path)
  local out = {}
  for _, key in ipairs(path) do
    if math.type(key) == "integer" then out[#out + 1] = ("[%d]"):format(key)
    else out[#out + 1] = (#out > 0 and "." or "") .. tostring(key) end
  end
  return table.concat(out)
end

--- What stands at a path of a value; nil when nothing does.
---@param value any
---@param path any[]
---@return any
---@usage assert(schema.value_at({ a = { 7 } }, { "a", 1 }) == 7)
function M.value_at(value, path)
  for _, key in ipairs(path) do
    if type(value) ~= "table" or core_secret.is(value) then return nil end
    value = value[key]
  end
  return value
end

--- The line of a Lua source where the key at path is written, as well as text can tell; else 1.
---@param source string
---@param path any[]
---@return integer
---@usage assert(schema.line_of("return {\n  a = { b = 1 },\n}", { "a", "b" }) == 2)
function M.line_of(source, path)
  local at = 1
  for _, key in ipairs(path) do
    if type(key) == "string" then
      local found = source:find("%f[%w_]" .. key:gsub("%p", "%%%0") .. "%f[^%w_]%s*\"?%]?%s*=", at)
      if not found then break end
      at = found
    end
  end
  local _, newlines = source:sub(1, at - 1):gsub("\n", "")
  return newlines + 1
end

return M
