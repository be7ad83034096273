--- display.attended: a command that runs a deployment, begun on a terminal: the engine that runs it is a process of its own session, which outlives
-- the terminal, and the terminal only shows it. See docs/decisions/0020-the-terminal-looks-on.md.

local core_process = require "core.process"
local core_secret = require "core.secret"
local core_terminal = require "core.terminal"
local display = require "display"
local files = require "files"
local journal_option = require "journal.option"
local process = require "process"

local M = {}

--- Options of a command line that can be known before anybody knows what it takes.
---@param argv string[]
---@return table<string, string|boolean>
---@usage assert(require("display.attended").options({ "--state", "s", "--help" }).state == "s")
function M.options(argv)
  local options = {}
  for i, word in ipairs(argv) do
    local name, value = word:match "^%-%-([%w-]+)=(.*)$"
    name = name or word:match "^%-%-([%w-]+)$"
    if name then
      local following = argv[i + 1]
      options[name] = value or (following and following:sub(1, 2) ~= "--" and following) or true
    end
  end
  return options
end

--- Is somebody there to whom a run can be shown, and is this the side of the terminal?
---@return boolean
function M.is_wanted()
  local term = core_secret.environment "TERM"
  return not display.is_behind() and not display.is_json() and core_terminal.interactive(0) and core_terminal.interactive(1) and term ~= nil and term ~= "dumb"
end

-- The journal that the command line means, as the engine will find it.
local function open_journal(option)
  if not option.journal and option.venture then
    local ok, venture = pcall(require("configuration").load, option.venture)
    if ok and venture then option.journal = venture.journal end
  end
  return journal_option.existing(option)
end

--- Runs a command of the engine behind this terminal, and shows its run. Returns its exit code; nil when it could not be begun, and then the
-- command can be run in the foreground.
---@param words string[] the whole command line
---@param option { state?: string, venture?: string, journal?: string }
---@return integer?, table? err
function M.start(words, option)
  local state_folder = journal_option.absolute(journal_option.state_folder(option))
  local made, err = files.mkdir(state_folder .. "/terminal")
  local folder
  if made then folder, err = files.mkdtemp(state_folder .. "/terminal/") end
  if not folder then return nil, err end
  local handle
  handle, err = core_process.spawn { argv = { process.self().exe, "behind", folder, table.unpack(words) }, log = folder .. "/output" }
  if not handle then
    files.remove_tree(folder)
    return nil, err
  end
  return require("display.viewer").run { handle = handle, folder = folder, output = folder .. "/output", option = option, open_journal = function() return open_journal(option) end }
end

return M
