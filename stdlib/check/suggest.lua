--- check.suggest: words for "did you mean", and lists of what is known.

local schema = require "schema"

local M = {}

--- Pairs in the order of their keys, numbers first.
---@param map table
---@return fun(): any, any
---@usage for key in require("check.suggest").sorted { b = 1 } do assert(key == "b") end
function M.sorted(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) == "number" end
    return a < b
  end)
  local index = 0
  return function()
    index = index + 1
    return keys[index], map[keys[index]]
  end
end

--- The candidate that a mistyped word is likely to mean, or nil. A short word must at least begin like it.
---@param word string
---@param candidates table the keys that are strings are the candidates
---@return string?
---@usage assert(require("check.suggest").near("sett", { set = 1, get = 1 }) == "set")
function M.near(word, candidates)
  local names = {}
  for name in pairs(candidates) do
    if type(name) == "string" and (#word > 4 or name:sub(1, 1) == word:sub(1, 1)) and math.abs(#name - #word) < #word then names[name] = true end
  end
  return schema.nearest(word, names)
end

--- The end of a message: "; did you mean 'set'?", or nothing.
---@param near? string
---@return string
---@usage assert(require("check.suggest").did_you_mean(nil) == "")
function M.did_you_mean(near) return near and ("; did you mean '%s'?"):format(near) or "" end

--- The keys of a table as a list in words, not more than a line holds.
---@param map table
---@return string
---@usage assert(require("check.suggest").list { b = 1, a = 1 } == "a, b")
function M.list(map)
  local names, size = {}, 0
  for name in M.sorted(map) do
    if type(name) == "string" then
      size = size + #name + 2
      if size > 110 then
        names[#names + 1] = "..."
        break
      end
      names[#names + 1] = name
    end
  end
  return table.concat(names, ", ")
end

return M
