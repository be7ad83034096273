--- traffic.haproxy_plan: what HAProxy says, and what to tell it. Pure: nothing here talks to it.
--
-- Rows are the servers of a backend, in order and by name; lb is what traffic.haproxy opened.

local core = require "core.traffic"
local traffic = require "traffic"

local M = {}

local CONFIGURED_DISABLED = 4 -- SRV_ADMF_CMAINT

-- A line of `show servers state` beside each of `show stat`: only the former tells a server that was
-- told to drain from one that merely has weight 0.
local function join_states(rows, states)
  local by_name = {}
  for _, state in ipairs(states) do by_name[state.server] = state end
  for _, row in ipairs(rows) do
    local state = by_name[row.server] or {}
    row.admin_state, row.op_state, row.check_state = state.admin_state, state.op_state, state.check_state or 0
    row.weight = row.weight or state.weight
    -- Out by somebody's word: forced, inherited or by its host name's end. That it was `disabled` in the
    -- configuration (4) only says how it began.
    row.takes_requests = row.admin_state and row.admin_state & ~CONFIGURED_DISABLED == 0
    row.works = row.takes_requests and row.op_state ~= 0
  end
end

local function names_of(rows)
  local names = {}
  for i, row in ipairs(rows) do names[i] = row.server end
  return table.concat(names, ", ")
end

-- Are all of ours there, and does nobody else take requests?
local function known(lb, rows)
  for _, row in ipairs(rows) do
    if not row.weight or not row.admin_state or not row.op_state then return traffic.fail("traffic", ("HAProxy does not tell weight and state of %s/%s"):format(lb.backend, row.server)) end
    row.colour = lb.owner[row.server]
    rows[row.server] = row
    if not row.colour and row.takes_requests and row.weight > 0 and row.backup ~= 1 then
      return traffic.fail("traffic", ("server %s/%s has weight %d but belongs to no colour, so no share could be exact"):format(lb.backend, row.server, row.weight),
        { next = "Name it in traffic.servers, or set its weight to 0." })
    end
    if row.colour and row.backup == 1 then
      return traffic.fail("traffic", ("server %s/%s is a backup server; HAProxy gives it no share"):format(lb.backend, row.server))
    end
  end
  for _, server in ipairs(traffic.sorted_keys(lb.owner)) do
    if not rows[server] then return traffic.fail("traffic", ("HAProxy has no server %s/%s, which is %s's"):format(lb.backend, server, lb.owner[server]),
      { next = ("Correct traffic.servers; %s has: %s"):format(lb.backend, names_of(rows)) }) end
  end
  return rows
end

--- Rows from the reply to `show stat` and `show servers state`.
---@param lb table
---@param reply string
---@return table|nil rows, table? err traffic
function M.rows(lb, reply)
  local stat_text, state_text = reply:match "^(.-\n)\n+(%d+\n#.*)$"
  local rows, err = core.stat(stat_text or reply)
  local states
  if rows then states, err = core.states(state_text or "") end
  if not states then
    return traffic.fail("traffic", ("HAProxy at %s does not show backend %s: %s"):format(lb.socket, lb.backend, err.message),
      { next = err.message:find("No such proxy", 1, true) and ("Correct traffic.backend: `show backend` on %s lists the names."):format(lb.socket)
        or "Name the Runtime API in traffic.socket (`stats socket` of the proxy's configuration), and no address for clients." })
  end
  join_states(rows, states)
  return known(lb, rows)
end

--- Percentages from rows. Rounded ones never say 0 or 100 when it is not so.
---@param lb table
---@param rows table
---@return table shares { blue =, green =, exact = boolean, servers = rows }
function M.shares(lb, rows)
  local sums, total, out = {}, 0, { exact = true, servers = rows }
  for _, row in ipairs(rows) do
    if row.colour and row.takes_requests then
      sums[row.colour] = (sums[row.colour] or 0) + row.weight
      total = total + row.weight
    end
  end
  for _, colour in ipairs(lb.colours) do
    local sum = sums[colour] or 0
    local share = total == 0 and 0 or sum * 100 // total
    if total > 0 and sum * 100 % total ~= 0 then
      out.exact = false
      share = math.max(1, math.min(99, math.floor(sum * 100 / total + 0.5)))
    end
    out[colour] = share
  end
  return out
end

--- The commands that lead from the rows to the weights: first those that raise.
---@param lb table
---@param rows table
---@param weights table<string, integer> by server
---@return string[]
function M.commands(lb, rows, weights)
  local raise, lower = {}, {}
  for _, server in ipairs(traffic.sorted_keys(weights)) do
    local list = weights[server] > rows[server].weight and raise or lower
    if weights[server] ~= rows[server].weight then list[#list + 1] = core.weight(lb.backend, server, weights[server]) end
  end
  return table.move(lower, 1, #lower, #raise + 1, raise)
end

--- Would the shares be true, and would somebody answer?
---@param lb table
---@param rows table
---@param shares table<string, integer>
---@param weights table<string, integer> by server
---@return boolean|nil ok, table? err traffic
function M.refuse(lb, rows, shares, weights)
  local worked, works = false, false
  for _, row in ipairs(rows) do
    local weight = weights[row.server]
    if weight and weight > 0 and not row.takes_requests then
      return traffic.fail("traffic", ("%s/%s is in %s, so %s cannot get its %d %%; nothing was changed"):format(lb.backend, row.server, row.status, row.colour, shares[row.colour]),
        { next = ("Make it ready first: traffic.ready %q in a console, lb:ready(%q) in a playbook."):format(row.colour, row.colour) })
    end
    if row.works and row.weight > 0 then worked = true end
    if row.works and weight and weight > 0 then works = true end
  end
  if worked and not works then
    return traffic.fail("traffic", ("with %s no working server would be left in %s: HAProxy sees them down; nothing was changed"):format(traffic.text(shares, lb.colours), lb.backend),
      { next = "See why HAProxy's health checks fail." })
  end
  return true
end

--- Where the rows are not as recorded, in words; empty when all is well.
---@param rows table
---@param weights table<string, integer> by server
---@return string[]
function M.differences(rows, weights)
  local found = {}
  for _, server in ipairs(traffic.sorted_keys(weights)) do
    if rows[server].weight ~= weights[server] then found[#found + 1] = ("%s %d instead of %d"):format(server, rows[server].weight, weights[server]) end
  end
  return found
end

return M
