--- journal.option: which journal a command line means.

local core_err = require "core.err"
local core_secret = require "core.secret"
local files = require "files"

local M = {}

--- The options of every command that reads a journal.
M.options = {
  state = { value = "DIR", about = "the folder with the journal (default: .engine in the venture's folder, or here)" },
  venture = { value = "DIR", about = "the venture's folder" },
  journal = { value = "URL", about = "postgres://...: a journal that several machines share; env:NAME reads the address from the environment (default: ENGINE_JOURNAL, if it is set)" },
}

--- The state folder.
---@param options { state?: string, venture?: string }
---@return string
---@usage assert(require("journal.option").state_folder { venture = "acme" } == "acme/.engine")
function M.state_folder(options) return options.state or (options.venture and options.venture .. "/.engine") or ".engine" end

-- What was given: an address, the name of a variable, a secret of the configuration, or what the environment says for all commands.
local function given_of(options)
  local given = options.journal or core_secret.environment "ENGINE_JOURNAL"
  if given == nil or given == "" then return nil end
  return given
end

--- Where the journal is: the path of its file, or the address of its database.
---@param options { state?: string, venture?: string, journal?: any }
---@return any? where, table? err code secret
---@usage assert(require("journal.option").where { state = "s", journal = "postgres://db/j" } == "postgres://db/j")
function M.where(options)
  local given = given_of(options)
  if not given then return M.state_folder(options) .. "/journal.db" end
  if core_secret.is(given) or not given:match "^env:" then return given end
  return require("secret").resolve(given)
end

--- Is there a journal already? One in a database is taken to be there.
---@param options table
---@return boolean
---@usage assert(not require("journal.option").exists { state = "/nowhere" })
function M.exists(options) return given_of(options) ~= nil or files.stat(M.state_folder(options) .. "/journal.db") ~= nil end

--- Opens a journal that must be there.
---@param options table
---@return table? journal, table? err code usage or journal
function M.existing(options)
  local where, err = M.where(options)
  if not where then return nil, err end
  if not M.exists(options) then
    return nil, core_err.new { code = "usage", message = ("there is no journal %s"):format(where), next = "Name the state folder with --state DIR, the venture with --venture DIR, or the database with --journal URL." }
  end
  return require("journal").open(where)
end

--- A path that means the same from any folder.
---@param path string
---@return string
---@usage assert(require("journal.option").absolute "/a" == "/a" and require("journal.option").absolute("b"):sub(1, 1) == "/")
function M.absolute(path) return path:sub(1, 1) == "/" and path or assert(files.realpath ".") .. "/" .. path end

-- A word as a shell takes it.
local function quoted(word) return word:find "[^%w%./_:=@%%+-]" and "'" .. word:gsub("'", "'\\''") .. "'" or word end

--- The options that name the same journal in a command that somebody types, from any folder. An address may be a secret, so it is not shown; one that
-- the environment has is found there again.
---@param options { state?: string, venture?: string, journal?: any }
---@return string "" or options with a space before each
---@usage assert(require("journal.option").text { state = "/s", journal = "env:J" } == " --state /s --journal env:J" and require("journal.option").text {} == "")
function M.text(options)
  local text, given = "", options.journal
  if options.state or options.venture then text = " --state " .. quoted(M.absolute(M.state_folder(options))) end
  if given then text = text .. " --journal " .. (type(given) == "string" and given:match "^env:" and given or "URL") end
  return text
end

--- Advice whose commands name their journal: those about a run that do not yet, and one that is all of it.
---@param advice string
---@param options table of M.text
---@return string
---@usage assert(require("journal.option").named("engine resume 7f3c12, or engine rollback 7f3c12", { state = "/s" }) == "engine resume 7f3c12 --state /s, or engine rollback 7f3c12 --state /s")
function M.named(advice, options)
  local where = M.text(options)
  if advice:find "^engine [%l-]+$" then return advice .. where end
  return (advice:gsub("(engine [%l -]+ %x%x%x%x%x%x)%f[%X]( ?%-?%-?)", function(command, rest) return rest ~= " --" and command .. where .. rest or nil end))
end

--- The options that name the same journal to another process: words of its command line, and what its environment needs.
---@param options table
---@return string[] words, table<string, any> environment
function M.passed_on(options)
  local words, environment = { "--state", M.absolute(M.state_folder(options)) }, {}
  if given_of(options) then environment.ENGINE_JOURNAL = assert(M.where(options)) end
  return words, environment
end

return M
