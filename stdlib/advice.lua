--- advice: what to do about what servers and the operating system say. Their words are the same whoever asked, so they are known here once; an error that
-- brings advice of its own keeps it.

local core_err = require "core.err"

local M = {}

-- The first that fits is meant: what is particular stands before what is general.
local KNOWN = {
  { 'database ".-" does not exist', "Create that database, or correct its name in the address." },
  { "password authentication failed", "Correct the password where the secret is kept; the server says which user it is about." },
  { "no password supplied", "Put the password into the secret that holds the address, or into .pgpass." },
  { 'role ".-" does not exist', "Create that role, or correct the user in the address." },
  { "no pg_hba.conf entry", "Let this machine in with a line in the server's pg_hba.conf, and reload it." },
  { "permission denied to create database", "Give the role CREATEDB: a backup is proven by restoring it beside the live database." },
  { "permission denied for", "GRANT it to the role in the address, or use the role that owns it." },
  { "too many clients", "End connections that idle, or raise the server's max_connections." },
  { "remaining connection slots", "End connections that idle, or raise the server's max_connections." },
  { 'relation ".-" does not exist', "See whether its migration ran, and whether the address names the database that is meant." },
  { "no such table", "See whether its migration ran, and whether the address names the database that is meant." },
  { "in the venture's configuration if it should", "Add it to `grants` in venture.lua if it should be allowed; `engine check` finds this before a run." },
  { "not Stripe's test mode", "Give a key that begins with sk_test_ or rk_test_; a live key would move money." },
  { "the folder .- cannot be made", "Make it for the user that runs the engine, or name another folder." },
  { "cannot be listed: No such file", "Name the folder that the backups were put into; `engine backup take --to DIR` makes it." },
  { "no finished backup", "engine backup list --to DIR shows those that are finished." },
  { "is not the file that was written", "Do not use it: engine backup list --to DIR shows the others, engine backup take makes a new one; then look at the disk." },
  { "address is not understood", "Write it as postgres://USER@HOST:PORT/NAME or sqlite:/PATH." },
  { "[Nn]o space left", "Make room on that disk (df -h); nothing of what failed is half there." },
  { "[Rr]ead%-only file system", "Mount it for writing, or name another folder." },
  { "[Aa]ddress already in use", "End what uses it (ss -ltnp and ss -lunp show it), or choose another port in venture.lua." },
  { "too long for a socket", "Use a path of at most 107 bytes, or metrics.udp instead of metrics.path." },
  { "[Cc]onnection refused", "Start the server that should listen there, or correct its address." },
  { "[Cc]ouldn't connect", "Start the server that should listen there, or correct its address." },
  { "[Ff]ailed to connect", "Start the server that should listen there, or correct its address." },
  { "[Pp]ermission denied", "Give the user that runs the engine access to it; ls -l shows whose it is." },
}

local defaults

-- What every error of a code says, whatever the occasion.
local function default_of(code)
  if not defaults then
    defaults = {}
    for _, info in ipairs(core_err.codes()) do defaults[info.code] = info.next end
  end
  return defaults[code]
end

--- What to do about a message; nil when its words are not known.
---@param text string
---@return string?
---@usage assert(advice.of 'FATAL:  database "shop" does not exist':find "Create that database")
function M.of(text)
  for _, known in ipairs(KNOWN) do if text:find(known[1]) then return known[2] end end
end

--- What to do next about an error: what it says itself, or what is known about its words, or what its code says.
---@param err table
---@return string
---@usage assert(advice.next(require("core.err").new { code = "io", message = "x: No space left on device" }):find "^Make room")
function M.next(err)
  if err.next and err.next ~= default_of(err.code) then return err.next end
  return M.of(("%s %s"):format(err.message or "", err.cause and tostring(err.cause) or "")) or err.next or "engine help"
end

return M
