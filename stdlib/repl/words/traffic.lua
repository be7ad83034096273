--- repl.words.traffic: who gets how much of the requests, in the words of the console.

local core_err = require "core.err"
local sessions = require "repl.session"

local traffic = {}

local SHOWN = { __show = function(weights)
  local parts = {}
  for _, colour in ipairs { "blue", "green" } do parts[#parts + 1] = ("%s %s %%"):format(colour, tostring(weights[colour])) end
  return table.concat(parts, ", ") .. (weights.exact and "" or " (rounded)")
end }

-- Of two colours one says enough: the other gets the rest.
local function whole(shares, colours)
  if type(shares) ~= "table" then error("shares are a table such as { green = 10 }", 3) end
  local out, given, other = {}, 0, nil
  for colour, share in pairs(shares) do out[colour], given = share, given + 1 end
  for _, colour in ipairs(colours) do if out[colour] == nil then other = colour end end
  if given == 1 and #colours == 2 and other then
    local _, share = next(shares)
    out[other] = type(share) == "number" and share >= 0 and share <= 100 and 100 - share or nil
  end
  return out
end

--- How the requests are shared now, asked of the proxy.
---@return { blue: integer, green: integer, exact: boolean, servers: table[] }
---@example traffic.get()
function traffic.get()
  local session = sessions.here()
  local weights, err = session:proxy():get()
  if not weights then return nil, err end
  session.weights = weights
  return setmetatable(weights, SHOWN)
end

--- Gives the colours their shares, and reads them back from the proxy. Of two colours one says enough.
---@param shares { blue?: integer, green?: integer } whole percentages
---@return { blue: integer, green: integer } as the proxy has them now
---@effect probed: the weights are read back; only exact equality counts
---@undo traffic.set of the shares of before, which the plan shows
---@example traffic.set{green=0}
function traffic.set(shares)
  local lb = sessions.here():proxy()
  local weights, err = lb:set(whole(shares, lb.colours))
  if not weights then return nil, err end
  return weights ~= require("plan").unknown and setmetatable(weights, SHOWN) or weights
end

--- Lets a colour take requests again, as much as its weights say, and waits until the proxy sees it work.
---@param colour "blue"|"green"
---@effect idempotent
---@undo traffic.drain(colour)
---@example traffic.ready "green"
function traffic.ready(colour) return sessions.here():proxy():ready(colour) end

--- Gives a colour no new requests, and waits for the last ones to end.
---@param colour "blue"|"green" one that has not all the traffic
---@effect idempotent
---@undo traffic.ready(colour)
---@example traffic.drain "green"
function traffic.drain(colour) return sessions.here():proxy():drain(colour, sessions.here().venture.traffic.drain_timeout) end

--- Takes a colour out of the proxy: no requests and no health checks.
---@param colour "blue"|"green" one that has not all the traffic
---@effect idempotent
---@undo traffic.ready(colour)
---@example traffic.maintenance "green"
function traffic.maintenance(colour) return sessions.here():proxy():maintenance(colour) end

--- The servers of the proxy's backend: colour, state, weight, sessions, requests, failures.
---@return table[] rows
---@example traffic.servers()
function traffic.servers()
  local weights, err = sessions.here():proxy():get()
  if not weights then return nil, err end
  if not weights.servers[1] then return nil, core_err.new { code = "not_found", message = "this driver does not tell of servers" } end
  local rows = { columns = { "server", "colour", "status", "weight", "open", "requests", "http_5xx", "connect_errors" } }
  for i, row in ipairs(weights.servers) do
    rows[i] = { server = row.server, colour = row.colour, status = row.status, weight = row.weight, open = row.scur, requests = row.stot, http_5xx = row.hrsp_5xx, connect_errors = row.econ }
  end
  return rows
end

return { traffic = traffic }
