--- commands.help: the table of commands as people read it: the list, and how one command is called.

local arguments = require "arguments"
local commands = require "commands"

local M = {}

--- How a command, or a part of one, is called.
---@param command table
---@param part? table of command.parts()
---@return string
---@usage assert(require("commands.help").call(commands.find "status") == "engine status [RUN]")
function M.call(command, part)
  local words = { "engine", command.name, part and part.name }
  for _, word in ipairs((part or command).words) do
    if not (command.parts and not part and word == "[BACKUP]") then words[#words + 1] = word end
  end
  for _, name in ipairs(part and part.needs or {}) do
    words[#words + 1] = arguments.option_text(name, commands.options(command)[name])
  end
  return table.concat(words, " ")
end

--- Everything about a command: how it is called, what it does, its options or its parts.
---@param command table
---@param part? table
---@return string
---@usage assert(require("commands.help").text(commands.find "approve"):find("--no", 1, true))
function M.text(command, part)
  local options = commands.options(command, part)
  local lines = { "usage: " .. M.call(command, part) .. (next(options) and " [options]" or "") .. (command.name == "run" and " [the playbook's own options]" or ""), (part or command).about }
  if command.parts and not part then
    lines[#lines + 1] = ""
    for _, one in ipairs(command.parts()) do lines[#lines + 1] = ("  %-50s %s"):format(M.call(command, one), one.about) end
    return table.concat(lines, "\n")
  end
  if next(options) then
    lines[#lines + 1] = ""
    lines[#lines + 1] = arguments.help(options)
  end
  return table.concat(lines, "\n")
end

--- The list of all commands, by what they are for.
---@return string
---@usage local list = require("commands.help").list()  for _, command in ipairs(require("commands").all) do assert(list:find("\n  " .. require("commands.help").call(command), 1, true), command.name) end
function M.list()
  local lines = { "usage: engine PLAYBOOK.lua [--venture DIR] [--release X] [--mode manual|assisted|auto] [--state DIR]",
    "       engine -e 'CHUNK' [--venture DIR: a statement of the console]" }
  for _, group in ipairs(commands.groups) do
    lines[#lines + 1] = "\n" .. group[1]
    for _, name in ipairs(group[2]) do
      local command = commands.find(name)
      lines[#lines + 1] = ("  %-33s %s"):format(M.call(command), command.about)
    end
  end
  lines[#lines + 1] = "\nengine COMMAND --help says more; engine PLAYBOOK.lua --help what that playbook takes"
  local exits = {}
  for _, one in ipairs(commands.exits) do exits[#exits + 1] = ("%d %s"):format(one[1], one[2]:match "^[^:]+") end
  lines[#lines + 1] = "exit codes: " .. table.concat(exits, ", ", 1, 4) .. ","
  lines[#lines + 1] = "            " .. table.concat(exits, ", ", 5)
  return table.concat(lines, "\n")
end

return M
