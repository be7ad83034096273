--- traffic: which colour gets how much of the requests. One interface, several drivers.
--
-- A driver is a module traffic.<name> with open(config) that returns an object with the methods
-- below and a table `can`. Whatever a driver sets it reads back; success means that the proxy was
-- asked and says so. Drivers know nothing of environments, health or runs.
--
--   lb:get() -> { blue =, green =, exact =, servers = rows } | nil, err    whole percentages
--   lb:set{ blue = 90, green = 10 } -> the same, read back | nil, err
--   lb:plan{ blue = 90, green = 10 } -> what set would do, nothing is done | nil, err
--   lb:ready(colour, seconds?) -> true | nil, err          it may get requests
--   lb:drain(colour, seconds?) -> true | nil, err          no new ones; waits for the last to end
--   lb:maintenance(colour) -> true | nil, err              out of the proxy
--   lb:address(colour, index, host, port) -> true | nil, err    where its server is
--   lb.can = { ready =, drain =, maintenance =, address =, servers = }   what the driver really does

local core = require "core.traffic"
local core_err = require "core.err"
local effect = require "effect"

local M = {}

local DRIVERS = { haproxy = true, command = true }

--- An error of this module, for drivers.
---@param code string "traffic", "drain", "config", ...
---@param message string one sentence
---@param more? table cause, next, op
---@return nil, table err
function M.fail(code, message, more)
  local err = { code = code, op = "traffic", message = message }
  for key, value in pairs(more or {}) do err[key] = value end
  return nil, core_err.new(err)
end

--- Checks shares: each a whole percentage, 100 together, for known colours only.
-- A colour that is not named gets 0.
---@param shares table<string, integer>
---@param colours string[] the known ones
---@return table<string, integer>|nil shares with every colour, table? err
---@usage assert(traffic.check({ blue = 100 }, { "blue", "green" }).green == 0)
function M.check(shares, colours)
  if type(shares) ~= "table" then error("shares are a table such as { blue = 90, green = 10 }", 2) end
  local out, sum = {}, 0
  for _, colour in ipairs(colours) do
    local share = math.tointeger(shares[colour] == nil and 0 or shares[colour])
    if not share or share < 0 or share > 100 then
      return M.fail("usage", ("%s cannot get %s %%: a share is a whole number from 0 to 100"):format(colour, tostring(shares[colour])))
    end
    out[colour], sum = share, sum + share
  end
  for colour in pairs(shares) do
    if out[colour] == nil then return M.fail("usage", ("there is no colour %s; known: %s"):format(tostring(colour), table.concat(colours, ", "))) end
  end
  if sum ~= 100 then return M.fail("usage", ("the shares add up to %d %%, not to 100 %%"):format(sum)) end
  return out
end

--- The keys of a table, sorted: the order of colours and servers wherever order shows.
---@param map table<string, any>
---@return string[]
---@usage assert(traffic.sorted_keys({ green = 1, blue = 2 })[1] == "blue")
function M.sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- Shares as text, in the order of the colours: "blue 90 %, green 10 %".
---@param shares table<string, integer>
---@param colours string[]
---@return string
---@usage assert(traffic.text({ blue = 90, green = 10 }, { "blue", "green" }) == "blue 90 %, green 10 %")
function M.text(shares, colours)
  local parts = {}
  for i, colour in ipairs(colours) do parts[i] = ("%s %s %%"):format(colour, tostring(shares[colour])) end
  return table.concat(parts, ", ")
end

--- What the proxy says of a step that set shares: the probe of such a step.
---@param lb table of open
---@param wanted table<string, integer>
---@param before table<string, integer>
---@return "done"|"absent"|"partial"|"unknown" state, string? detail
---@usage assert(traffic.stands_at({ get = function() return { blue = 90, green = 10 } end, colours = { "blue", "green" } }, { green = 10 }, { green = 0 }) == "done")
function M.stands_at(lb, wanted, before)
  local now, err = lb:get()
  if not now then return "unknown", err.message end
  local function is(shares)
    for colour, share in pairs(shares) do if now[colour] ~= share then return false end end
    return true
  end
  return is(wanted) and "done" or is(before) and "absent" or "partial", M.text(now, lb.colours)
end

--- What the proxy says of a step that let a colour take requests, or took it out: the probe of such a step.
---@param lb table of open
---@param colour string
---@param wanted boolean out of it (true), or in it
---@return "done"|"absent"|"partial"|"unknown" state, string? detail
---@usage assert(traffic.is_out({ get = function() return { servers = { { colour = "green", takes_requests = false } } } end }, "green", true) == "done")
function M.is_out(lb, colour, wanted)
  local now, err = lb:get()
  if not now then return "unknown", err.message end
  local right, wrong = 0, 0
  for _, row in ipairs(now.servers) do
    if row.colour == colour and row.takes_requests ~= wanted then right = right + 1 elseif row.colour == colour then wrong = wrong + 1 end
  end
  if right + wrong == 0 then return "unknown", "this driver does not tell of servers" end
  return wrong == 0 and "done" or right == 0 and "absent" or "partial", ("%d of %d servers of %s"):format(right, right + wrong, colour)
end

--- Whole weights for every server, so that each colour's are exactly its share of all.
---@param shares table<string, integer> percent, 100 together
---@param servers table<string, string[]> the servers of each colour
---@return table<string, integer>|nil weights by server, table? err limit: whole weights cannot express it
---@usage local w = traffic.weights({ blue = 90, green = 10 }, { blue = { "b1" }, green = { "g1" } })  assert(w.b1 == 90 and w.g1 == 10)
function M.weights(shares, servers)
  local colours, names = {}, M.sorted_keys(servers)
  for i, colour in ipairs(names) do colours[i] = { name = colour, share = shares[colour] or 0, servers = #servers[colour] } end
  local split, err = core.split(colours)
  if not split then return nil, err end
  local weights = {}
  for i, colour in ipairs(names) do
    for k, server in ipairs(servers[colour]) do weights[server] = split[i][k] end
  end
  return weights
end

-- What setting shares changes: those that lose some first.
local function about_set(lb, shares)
  local wanted, err = M.check(shares, lb.colours)
  if not wanted then return nil, err end
  local ok, now
  ok, err = lb:plan(shares)
  if not ok then return nil, err end
  now, err = lb:get()
  if not now then return nil, err end
  local order, before, parts = {}, {}, {}
  for i, colour in ipairs(lb.colours) do order[i], before[colour] = colour, now[colour] end
  table.sort(order, function(a, b)
    local of_a, of_b = wanted[a] - now[a], wanted[b] - now[b]
    if of_a == of_b then return a < b end
    return of_a < of_b
  end)
  for i, colour in ipairs(order) do parts[i] = ("%s %d -> %d"):format(colour, now[colour], wanted[colour]) end
  local same = wanted[order[1]] == now[order[1]]
  local function code(of) return ("{ %s }"):format(M.text(of, lb.colours):gsub(" (%d+) %%", " = %1")) end
  return {
    plan = same and M.text(now, lb.colours) .. " as it is already" or table.concat(parts, ", "), undo = ("traffic.set{%s=%d}"):format(order[1], now[order[1]]), class = "probed", args = wanted, verified = "read back from the proxy",
    code = { needs = "proxy", run = ("expect(proxy:set %s)"):format(code(wanted)), undo = ("expect(proxy:set %s)"):format(code(before)),
      probe = ("traffic.stands_at(proxy, %s, %s)"):format(code(wanted), code(before)) },
  }
end

-- What the other methods change of a colour.
local function about_colour(method, what, back)
  return function(lb, colour)
    local known = false
    for _, name in ipairs(lb.colours) do known = known or name == colour end
    if not known then return M.fail("usage", ("there is no colour %s"):format(tostring(colour))) end
    return { plan = ("%s %s"):format(colour, what), undo = ("traffic.%s(%q)"):format(back, colour), class = "probed", args = { colour = colour },
      code = { needs = "proxy", run = ("expect(proxy:%s %q)"):format(method, colour), undo = ("expect(proxy:%s %q)"):format(back, colour),
        probe = ("traffic.is_out(proxy, %q, %s)"):format(colour, tostring(method ~= "ready")) } }
  end
end

local CHANGES = {
  set = about_set,
  ready = about_colour("ready", "may get requests, as much as its weights say", "drain"),
  drain = about_colour("drain", "gets no new requests; the last ones are waited for", "ready"),
  maintenance = about_colour("maintenance", "is out of the proxy", "ready"),
  address = function(_, colour, index, host, port)
    return { plan = ("server %s of %s is at %s:%s"):format(tostring(index), tostring(colour), tostring(host), tostring(port)), class = "idempotent" }
  end,
}

--- Opens the proxy of a venture.
---@param config { driver?: string, socket?: string, backend?: string, servers?: table, timeout?: number, folder?: string, get?: string[], set?: string[], ready?: string[], drain?: string[], maintenance?: string[] } see the drivers
---@return table|nil lb, table? err config
---@usage local lb, err = traffic.open { driver = "nonsense" }  assert(lb == nil and err.code == "config")
function M.open(config)
  local name = config.driver or "haproxy"
  if not DRIVERS[name] then return M.fail("config", ("traffic.driver is haproxy or command, not %s"):format(tostring(name))) end
  local lb, err = require("traffic." .. name).open(config)
  if not lb then return nil, err end
  for method, about in pairs(CHANGES) do effect.wrap(lb, method, "traffic." .. method, about) end
  return lb
end

return M
