--- traffic.probe: what the proxy says of a step that changed it, for the probes of such steps.

local traffic = require "traffic"

local M = {}

--- What the proxy says of a step that set shares: the probe of such a step.
---@param lb table of open
---@param wanted table<string, integer>
---@param before table<string, integer>
---@return "done"|"absent"|"partial"|"unknown" state, string? detail
---@usage assert(require("traffic.probe").stands_at({ get = function() return { blue = 90, green = 10 } end, colours = { "blue", "green" } }, { green = 10 }, { green = 0 }) == "done")
function M.stands_at(lb, wanted, before)
  local now, err = lb:get()
  if not now then return "unknown", err.message end
  local function is(shares)
    for colour, share in pairs(shares) do if now[colour] ~= share then return false end end
    return true
  end
  return is(wanted) and "done" or is(before) and "absent" or "partial", traffic.text(now, lb.colours)
end

--- What the proxy says of a step that let a colour take requests, or took it out: the probe of such a step.
---@param lb table of open
---@param colour string
---@param wanted boolean out of it (true), or in it
---@return "done"|"absent"|"partial"|"unknown" state, string? detail
---@usage assert(require("traffic.probe").is_out({ get = function() return { servers = { { colour = "green", takes_requests = false } } } end }, "green", true) == "done")
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

return M
