--- environment.command: each colour is made and removed by a team's own commands.
--
-- provision, destroy and alive are argv arrays; {release}, {folder}, {host}, {port}, {colour} and {database} are
-- filled in. A command that exits 0 is believed only after `alive` has confirmed it.

local core_err = require "core.err"
local effect = require "effect"
local environment = require "environment"
local files = require "files"
local process = require "process"

local M = {}

local Command = {}
Command.__index = Command

--- See environment.lua for the interface.
function M.open(config, context)
  for _, name in ipairs { "provision", "destroy", "alive" } do
    if not config[name] then
      error(core_err.new { code = "config", message = ("environment.%s is missing: the command driver needs provision, destroy and alive"):format(name) }, 0)
    end
  end
  return setmetatable({ config = config, context = context }, Command)
end

function Command:values(colour, release, database)
  local host, port = self.addresses[colour]:match "^(.*):(%d+)$"
  return { release = release and release.version or "", folder = release and release.folder or "", host = host, port = port, colour = colour,
    database = database or self.config.database }
end

function Command:run(what, colour, release, database)
  return process.run { argv = environment.fill(self.config[what], self:values(colour, release, database)), cwd = self.context.folder,
    env = self.config.env or {}, timeout = self.config.start_timeout }
end

function Command:marker(colour) return self.context.state .. "/" .. colour .. ".release" end

function Command:provision(colour, release, database)
  -- Said before it begins: what a command made before it failed is there too, and has to be destroyed.
  assert(files.mkdir(self.context.state))
  assert(files.write(self:marker(colour), release.version))
  local result, err = self:run("provision", colour, release, database)
  if not result then return nil, err end
  if result.code ~= 0 then
    return nil, core_err.new { code = "process", op = "provision " .. colour, message = ("%s ended with %s: %s"):format(self.config.provision[1], tostring(result.code), result.stderr:sub(1, 300)) }
  end
  local alive, detail = self:alive(colour)
  if not alive then
    return nil, core_err.new { code = "process", op = "provision " .. colour, message = ("%s exited 0, but %s is not there: %s"):format(self.config.provision[1], colour, detail) }
  end
  return { address = self.addresses[colour] }
end

function Command:alive(colour)
  local result, err = effect.look(function() return self:run("alive", colour) end)
  if not result then return false, err.message end
  return result.code == 0, ("%s ended with %s"):format(self.config.alive[1], tostring(result.code))
end

function Command:release(colour)
  local text = files.read(self:marker(colour))
  return text
end

function Command:destroy(colour)
  local result, err = self:run("destroy", colour)
  if not result then return nil, err end
  local alive, detail = self:alive(colour)
  if alive then
    return nil, core_err.new { code = "process", op = "destroy " .. colour, message = ("%s is still there: %s"):format(colour, detail) }
  end
  return files.remove(self:marker(colour))
end

return M
