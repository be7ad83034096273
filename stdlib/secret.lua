--- secret: values that can be passed on, joined with text and compared, but never read or printed.
--
-- A reference says where a secret is kept:
--   env:NAME           an environment variable
--   file:/path         a file that only its owner can read (any mode under /run/secrets, /run/credentials)
--   vault:PATH#KEY     a key of a secret in HashiCorp Vault, KV version 2 (PATH such as secret/data/demo)
--   command:ARGV       what a command prints, split at spaces: "command:pass show shop/stripe"
-- A secret prints as secret(REFERENCE). Bindings that take credentials accept it where they accept text.

local core = require "core.secret"
local core_err = require "core.err"

local M = {}

--- The kinds of references, each with one that can be written.
M.kinds = { env = "env:NAME", file = "file:/run/secrets/NAME", vault = "vault:PATH#KEY", command = "command:pass show NAME" }

--- What is wrong with the form of a reference, and what to write; nil when it has one of the kinds. A text that may be the secret itself is not repeated.
---@param reference string
---@return string? problem
---@usage assert(secret.malformed "env:TOKEN" == nil and secret.malformed("TOKEN"):find('did you mean secret "env:TOKEN"', 1, true))
function M.malformed(reference)
  local kind, rest = reference:match "^([%w_]+):(.*)$"
  if kind and M.kinds[kind] then
    return rest == "" and ('secret "%s:" names nothing; write secret "%s"'):format(kind, M.kinds[kind]) or nil
  end
  local near = kind and rest:sub(1, 2) ~= "//" and require("schema").nearest(kind, M.kinds)
  if near then return ('secret "%s:...": there is no kind of secret %s; did you mean secret "%s:..."?'):format(kind, kind, near) end
  if reference:find "^%u[%u%d_]+$" then return ('secret "%s" does not say where it is kept; did you mean secret "env:%s"?'):format(reference, reference) end
  if reference:find "^/[%w_./-]+$" then return ('secret "%s" does not say where it is kept; did you mean secret "file:%s"?'):format(reference, reference) end
  return 'secret takes where a secret is kept, not the secret itself; write "env:NAME", "file:/path", "vault:PATH#KEY" or "command:ARGV"'
end

local function failed(reference, text, next_step)
  return nil, core_err.new { code = "secret", op = "resolve secret", message = ("%s: %s"):format(reference, text), next = next_step }
end

local WORDS_MOST = 200 -- of what a vault says of itself

--- What a vault says when it gives nothing: its status, and its own first words.
---@param response table of http
---@return string
---@usage assert(require("secret").vault_refusal { status = 503, json = function() return { errors = { "Vault is sealed" } } end } == "503: Vault is sealed")
function M.vault_refusal(response)
  local document = response:json()
  local errors = type(document) == "table" and document.errors
  local words = type(errors) == "table" and type(errors[1]) == "string" and errors[1]:gsub("%s+", " "):sub(1, WORDS_MOST)
  return words and ("%d: %s"):format(response.status, words) or tostring(response.status)
end

local function from_vault(reference, options)
  local path, key = reference:match "^vault:([^#]+)#([^#]+)$"
  if not path then return failed(reference, "is not vault:PATH#KEY", "Write it like vault:secret/data/demo#stripe.") end
  local vault = options and options.vault
  if not (vault and vault.url and vault.token) then
    return failed(reference, "no vault is configured", "Give vault = { url = ..., token = secret \"env:VAULT_TOKEN\" } in the venture's configuration.")
  end
  local response, err = require("http").request {
    url = vault.url:gsub("/+$", "") .. "/v1/" .. path, headers = { ["x-vault-token"] = vault.token }, timeout = vault.timeout or 10,
  }
  if not response then return failed(reference, "the vault did not answer: " .. err.message, "See whether the vault is up and unsealed.") end
  if response.status == 403 then return failed(reference, "the vault refused the token", "Check that the token is valid and its policy allows to read " .. path .. ".") end
  if response.status == 404 then return failed(reference, "the vault has nothing there", "Check the path; KV version 2 paths contain /data/.") end
  if response.status ~= 200 then return failed(reference, "the vault answered " .. M.vault_refusal(response), "See whether the vault is unsealed.") end
  local document = response:json()
  local data = type(document) == "table" and document.data
  -- Version 2 wraps the fields once more, beside their metadata.
  if type(data) == "table" and type(data.metadata) == "table" then data = data.data end
  local value = type(data) == "table" and data[key]
  if type(value) ~= "string" or value == "" then
    return failed(reference, ("there is no text under the key '%s'"):format(key), "Check the key; the path exists.")
  end
  return core.wrap(value, reference)
end

local function from_command(reference, options)
  local argv = {}
  for word in reference:sub(#"command:" + 1):gmatch "%S+" do argv[#argv + 1] = word end
  if not argv[1] then return failed(reference, "names no command", "Write it like command:pass show shop/stripe.") end
  local result, err = require("process").run { argv = argv, secret = reference, timeout = options and options.timeout or 30, max_output = 65536 }
  if not result then return failed(reference, err.message, "Run the command by hand and see.") end
  if result.code ~= 0 then
    return failed(reference, ("the command ended with %s: %s"):format(result.code and "exit code " .. result.code or "signal " .. result.signal,
      core.redact(result.stderr:sub(1, 200))), "Run the command by hand and see.")
  end
  if result.truncated then return failed(reference, "the command printed more than 64 KiB: that is no secret") end
  if result.stdout == core.wrap("", "") then return failed(reference, "the command printed nothing", "Run the command by hand and see.") end
  return result.stdout
end

--- The secret that a reference points to.
---@param reference string
---@param options? { vault?: { url: string, token: any, timeout?: number }, timeout?: number }
---@return userdata? secret, table? err code "secret", naming the reference and what to do
---@usage local s = assert(secret.resolve "env:PATH")  assert(tostring(s) == "secret(env:PATH)")
function M.resolve(reference, options)
  if type(reference) ~= "string" then error("secret.resolve takes a reference such as \"env:NAME\"", 2) end
  if reference:sub(1, 6) == "vault:" then return from_vault(reference, options) end
  if reference:sub(1, 8) == "command:" then return from_command(reference, options) end
  return core.resolve(reference)
end

--- Makes a secret of a text, for one that was read in another way.
---@param text string
---@param label string what it prints as
---@return userdata secret
---@usage assert(tostring("Bearer " .. secret.wrap("hunter22", "my token")) == "secret(my token)")
function M.wrap(text, label) return core.wrap(text, label) end

--- Is this value a secret?
---@param value any
---@return boolean
---@usage assert(not secret.is "text")
function M.is(value) return core.is(value) end

--- The text with every secret that is known so far overwritten with '*'.
---@param text string
---@return string
---@usage secret.wrap("hunter22", "x")  assert(secret.redact "pw=hunter22" == "pw=********")
function M.redact(text) return core.redact(text) end

return M
