--- repl.help: `?NAME`, from the same doc comments that make the reference pages and that the checker knows: signature, types, effect, undo, usage.

local annotations = require "check.annotations"
local core_search = require "core.search"
local names = require "repl.names"
local suggest = require "check.suggest"

local M = {}

-- Every documented function of a file, by its name as it is typed: "traffic.set" of `function traffic.set`, `function M.set`.
local function read(path, module, found)
  local text = core_search.baked(path)
  local _, functions = annotations.read(text or "")
  for _, fn in ipairs(functions) do
    local name = fn.name:gsub("^M%.", module and module .. "." or ""):gsub("^words%.", "")
    found[name] = found[name] or fn
  end
end

-- Which object of the console the local tables of a file are: p95.by_server is metrics.p95.by_server.
local PARTS = { metrics = { errors = true, p95 = true, rps = true } }

local function read_words(found)
  local read_already = {}
  for name, file in pairs(names.WORDS) do read_already[file] = name end
  for _, file in pairs(names.OBJECTS) do read_already[file] = file end
  for file in pairs(read_already) do
    local own = {}
    read(("stdlib/repl/words/%s.lua"):format(file), nil, own)
    for name, fn in pairs(own) do
      local part = name:match "^([%w_]+)[.:]"
      found[PARTS[file] and PARTS[file][part] and file .. "." .. name or name] = fn
    end
  end
  return found
end

--- Everything that is documented: the console's words, and the functions of the module that a name begins with.
---@param name? string
---@return table<string, { name: string, arguments: string, lines: string[] }>
---@usage assert(require("repl.help").all("http.get")["http.get"].arguments == "(url, options)" and require("repl.help").all()["traffic.set"])
function M.all(name)
  local found = read_words {}
  local module = name and name:match "^([%w_]+)[.:]?"
  if module then
    read(("stdlib/%s.lua"):format(module), module, found)
    local word = require("prelude").words[module]
    if word then
      local of_word = {}
      read(("stdlib/%s.lua"):format(word[1]:gsub("%.", "/")), "M", of_word)
      found[module] = found[module] or of_word["M." .. word[2]]
    end
  end
  return found
end

local TITLES = { param = "takes", ["return"] = "gives", effect = "effect", undo = "undo", usage = "usage", example = "usage" }

--- A function's help as lines.
---@param name string
---@param fn { arguments: string, lines: string[] }
---@return string[]
function M.lines(name, fn)
  local out, described = { name .. fn.arguments }, {}
  for _, line in ipairs(fn.lines) do
    if line:sub(1, 1) ~= "@" then described[#described + 1] = "  " .. line end
  end
  table.move(described, 1, #described, #out + 1, out)
  local has_effect = false
  for _, line in ipairs(fn.lines) do
    local kind, rest = line:match "^@(%a+)%s*(.*)$"
    if TITLES[kind] then out[#out + 1] = ("  %-8s%s"):format(TITLES[kind], rest) end
    has_effect = has_effect or kind == "effect"
  end
  if not has_effect then table.insert(out, #described + 2, "  effect  none is declared: a console that is not armed lets it look alone") end
  return out
end

local function first_sentence(fn)
  for _, line in ipairs(fn.lines) do if line:sub(1, 1) ~= "@" then return line:match "^(.-%.)%s" or line end end
  return ""
end

local function list()
  local found, own = read_words {}, {}
  for name, fn in pairs(found) do own[#own + 1] = { name = name, fn = fn } end
  table.sort(own, function(a, b) return a.name < b.name end)
  print "the console's words; ?NAME says more; every module is there too (http, files, process, ...)"
  for _, one in ipairs(own) do print(("  %-24s %s"):format(one.name, first_sentence(one.fn))) end
end

local function of_module(name, found)
  local own = {}
  for full in pairs(found) do if full:match("^" .. name .. "[.:]") then own[#own + 1] = full end end
  table.sort(own)
  for _, full in ipairs(own) do print(("  %-24s %s"):format(full, first_sentence(found[full]))) end
  return own[1] ~= nil
end

--- Prints what is known of a name; of none, the list of words.
---@param name string
---@param only_known? boolean nothing is said of a name that is not documented
---@return boolean known
function M.print(name, only_known)
  if name == "" then list() return true end
  local found = M.all(name)
  if found[name] then
    for _, line in ipairs(M.lines(name, found[name])) do print(line) end
    return true
  end
  if of_module(name, found) then return true end
  if not only_known then print(("nothing is called %s%s; ? alone lists the words"):format(name, suggest.did_you_mean(suggest.near(name, found)))) end
  return false
end

return M
