--- simulation.drivers.counters: stands in for module counters: the proxy's own counters agree with its lines, unless a fault says otherwise.
--
-- Not simulated: the totals themselves, and a counter that begins anew.

local world = require("simulation.current").world

local M = {}

function M.haproxy() return {} end
function M.prometheus() return {} end

function M.cross_check()
  return function()
    local here = world()
    here:check_alive()
    return here:fault "mismatch_lines" and "simulated: the proxy counted more requests than the feed has lines" or nil
  end
end

return M
