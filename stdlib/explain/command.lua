--- explain.command: `engine explain`: what an error code means, or why a run's canary decided as it did.

local arguments = require "arguments"
local commands = require "commands"
local core_err = require "core.err"

local M = {}

local function failure(err)
  require("display").failure(err)
  print("  next   " .. err.next)
  return err.code == "journal" and 1 or 2
end

local function find(word)
  for _, info in ipairs(core_err.codes()) do
    if info.code == word or info.number == word then return info end
  end
end

local function list()
  for _, info in ipairs(core_err.codes()) do print(("%s  %-16s %s"):format(info.number, info.code, info.about)) end
end

--- A code in words: what it means, what usually brings it about, and what to do then.
---@param info table of core.err.codes()
---@return string
---@usage assert(require("explain.command").text(require("core.err").codes()[1]):find "E0001 internal")
function M.text(info)
  local lines = { info.number .. " " .. info.code, info.about }
  local causes = require("explain.codes")[info.code]
  lines[#lines + 1] = ""
  for _, one in ipairs(causes) do
    lines[#lines + 1] = "  - " .. one[1]
    lines[#lines + 1] = "    " .. one[2]
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "Next: " .. info.next
  lines[#lines + 1] = info.retryable and "The same may succeed later." or "The same fails again until something is changed."
  return table.concat(lines, "\n")
end

local function explain_run(argv)
  local command = commands.find "explain"
  local options, err = arguments.parse(argv, commands.options(command), "engine explain --help")
  err = err or commands.check_words(command, options.words)
  if err then return failure(err) end
  local journal
  journal, err = require("journal.option").existing(options)
  if not journal then return failure(err) end
  local code, problem = require("explain").run(journal, options.words[1], options.words[2])
  journal:close()
  return code or failure(problem)
end

--- `engine explain [CODE | RUN [STEP]]`: without a word the list of codes.
---@param argv string[]
---@return integer exit
function M.main(argv)
  local word = argv[1]
  local info = word and find(word)
  if info then
    print(M.text(info))
    return 0
  end
  if not word then
    list()
    return 0
  end
  if not word:match "^E%d+$" then return explain_run(argv) end
  list()
  return failure(core_err.new { code = "usage", message = ("there is no code %s; these are all"):format(word), next = "engine explain CODE, with one of these" })
end

return M
