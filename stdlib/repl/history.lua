--- repl.history: what was typed, a statement an entry, in the user's own folder and readable by nobody else.
--
-- A statement that begins with a space, or that speaks of a secret, is not kept.

local core_secret = require "core.secret"
local files = require "files"
local json = require "json"

local M = {}

--- How many statements are remembered.
M.MOST = 1000

local NOT_KEPT = { "secret", "passw", "passphrase", "token", "apikey", "api_key", "credential" }

--- Where it is: $XDG_STATE_HOME/engine/console.jsonl, or below ~/.local/state. Nil when the user has no home.
---@return string?
function M.path()
  local folder = core_secret.environment "XDG_STATE_HOME"
  local home = core_secret.environment "HOME"
  if not folder or folder:sub(1, 1) ~= "/" then folder = home and home .. "/.local/state" end
  return folder and folder .. "/engine/console.jsonl"
end

--- May this statement be kept?
---@param text string
---@return boolean
---@usage local history = require "repl.history"  assert(history.may_keep "1 + 1" and not history.may_keep " 1 + 1" and not history.may_keep 'secret.wrap("a", "b")')
function M.may_keep(text)
  if text:match "^%s" or not text:match "%S" or core_secret.redact(text) ~= text then return false end
  local lower = text:lower()
  for _, word in ipairs(NOT_KEPT) do if lower:find(word, 1, true) then return false end end
  return true
end

--- The statements of before, the oldest first. A line that is not one is passed over.
---@param path string
---@return string[]
function M.read(path)
  local kept = {}
  for line in (files.read(path) or ""):gmatch "[^\n]+" do
    local text = json.decode(line)
    if type(text) == "string" then kept[#kept + 1] = text end
  end
  local first = math.max(1, #kept - M.MOST + 1)
  local last_ones = table.move(kept, first, #kept, 1, {})
  if #kept > 2 * M.MOST then
    local lines = {}
    for i, text in ipairs(last_ones) do lines[i] = json.encode(text) .. "\n" end
    files.write(path, table.concat(lines))
  end
  return last_ones
end

--- One more.
---@param path string
---@param text string
---@return true?, table? err
function M.add(path, text)
  if not files.exists(path) then
    local ok, err = files.mkdir(path:match "^(.*)/", "0700")
    if not ok then return nil, err end
  end
  return files.append(path, json.encode(text) .. "\n", "0600")
end

return M
