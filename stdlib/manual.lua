--- manual: the manual page, from the table of commands.

local arguments = require "arguments"
local commands = require "commands"
local core_search = require "core.search"
local text = require "commands.help"

local M = {}

-- A text as roff takes it: nothing of it is a request, a dash stays one.
local function plain(line) return (line:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("^([.'])", "\\&%1")) end

local function bold(line) return "\\fB" .. plain(line) .. "\\fR" end

-- What is typed is bold, what stands for something is slanted.
local function call(line)
  return (line:gsub("%S+", function(word)
    if word:find "^[%[|]*%-?%-?%l" or word == "engine" then return bold(word) end
    return "\\fI" .. plain(word) .. "\\fR"
  end))
end

local function paragraph(out, term, about)
  out[#out + 1] = ".TP"
  out[#out + 1] = term
  out[#out + 1] = plain(about)
end

local function options(out, descriptions)
  for _, name in ipairs(arguments.names(descriptions)) do
    paragraph(out, call(arguments.option_text(name, descriptions[name])), arguments.about(descriptions[name]))
  end
end

local function sentence(line) return line:sub(1, 1):upper() .. line:sub(2) .. "." end

local function command_lines(out, command)
  out[#out + 1] = ".SS " .. plain(text.call(command))
  out[#out + 1] = plain(sentence(command.about))
  if command.name == "run" or command.name == "plan" then
    out[#out + 1] = plain(("It takes the options of a run%s, and those of the playbook."):format(command.name == "plan" and " but --plan" or ""))
    if command.name == "plan" then options(out, require("plan").options) end
    return
  end
  if command.parts then
    for _, part in ipairs(command.parts()) do paragraph(out, call(text.call(command, part)), sentence(part.about)) end
    out[#out + 1] = ".PP"
    out[#out + 1] = "Their options:"
  end
  local own = commands.options(command)
  if command.journal then for name in pairs(require("journal.option").options) do own[name] = nil end end
  options(out, own)
end

--- The manual page in roff.
---@return string
---@usage assert(require("manual").text():find("^%.TH ENGINE 1"))
function M.text()
  local out = { (".TH ENGINE 1 \"\" \"engine %s\" \"User Commands\""):format(plain(core_search.version())), ".nh", ".ad l", ".SH NAME", "engine \\- takes a release to production, and brings it back when it fails",
    ".SH SYNOPSIS", call("engine PLAYBOOK.lua"), "[\\fIoptions\\fR]", ".br", call("engine COMMAND"), "[\\fIwords\\fR] [\\fIoptions\\fR]", ".br", "\\fBengine \\-e\\fR \\fICHUNK\\fR",
    ".SH DESCRIPTION", "A playbook is a Lua file that says what is done in which order. A venture is a folder with a file",
    "\\fBventure.lua\\fR that says where a product runs, how it is checked and when a release goes back. \\fBengine\\fR runs the one for the other, records every step durably",
    "before it is done, and says after each run what is true now and which command comes next." }
  out[#out + 1] = ".SH OPTIONS OF A RUN"
  options(out, require("execute").options)
  out[#out + 1] = ".SH OPTIONS OF COMMANDS THAT READ THE JOURNAL"
  options(out, require("journal.option").options)
  out[#out + 1] = ".SH COMMANDS"
  for _, command in ipairs(commands.all) do command_lines(out, command) end
  out[#out + 1] = ".SH EXIT STATUS"
  for _, one in ipairs(commands.exits) do paragraph(out, bold(tostring(one[1])), sentence(one[2])) end
  out[#out + 1] = ".SH ENVIRONMENT"
  for _, one in ipairs(commands.environment) do paragraph(out, bold(one[1]), sentence(one[2])) end
  out[#out + 1] = ".SH FILES"
  for _, one in ipairs(commands.files) do paragraph(out, bold(one[1]), sentence(one[2])) end
  out[#out + 1] = ".SH EXAMPLES"
  for i, one in ipairs(commands.examples) do
    if i > 1 then out[#out + 1] = ".PP" end
    out[#out + 1] = plain(sentence(one[2]))
    out[#out + 1] = ".PP"
    out[#out + 1] = ".in +4n"
    out[#out + 1] = ".EX"
    out[#out + 1] = plain(one[1])
    out[#out + 1] = ".EE"
    out[#out + 1] = ".in"
  end
  return table.concat(out, "\n") .. "\n"
end

--- `engine man`
---@return integer exit
function M.main()
  print((M.text():gsub("\n$", "")))
  return 0
end

return M
