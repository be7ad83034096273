--- simulation.drivers.mail: stands in for module mail: each message is there once, by its id.
--
-- Not simulated: servers that refuse a recipient, logins, and what a message says.

local effect = require "effect"
local world = require("simulation.current").world

local M = {}

function M.send(options)
  local here = world()
  return effect.change("mail", function()
    return here:operation("mail", 0, function()
      if options.id then here:make("mail", options.subject or "", options.id) end
      return true
    end)
  end)
end

return M
