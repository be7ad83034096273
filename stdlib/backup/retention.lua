--- backup.retention: which backups a folder keeps. Only what is complete and still verifies counts as kept.

local clock = require "clock"

local M = {}

local NEEDED_S = 7 * 86400 -- a mark older than this was left by a run that died
local PARTIAL_S = 86400

local function day_of(taken_at) return taken_at:sub(1, 10) end

-- The Monday of the week, as days since the epoch.
local function week_of(taken_at) return (clock.of_utc(taken_at) // 86400 + 3) // 7 end

--- Sorts backups into those that stay and those that may go. Pure.
---@param backups { id: string, taken_at: string, needed?: boolean }[] the latest first
---@param rules { last?: integer, daily?: integer, weekly?: integer }
---@param verifies fun(backup: table): boolean asked of each that a rule would keep; one that does not verify is no backup, and the rule goes on looking
---@return table<string, string> reasons why each kept id is kept, string[] bad ids that do not verify
---@usage local keep = require("backup.retention").choose({ { id = "a", taken_at = "2026-11-23T00:00:00Z" } }, { last = 1 }, function() return true end)  assert(keep.a == "last 1")
function M.choose(backups, rules, verifies)
  local reasons, bad, known = {}, {}, {}
  local function good(one)
    if known[one.id] == nil then
      known[one.id] = verifies(one)
      if not known[one.id] then bad[#bad + 1] = one.id end
    end
    return known[one.id]
  end
  local function keep(count, name, key_of)
    local seen, kept = {}, 0
    for _, one in ipairs(backups) do
      if kept == (count or 0) then return end
      local key = key_of(one.taken_at, one.id)
      if not seen[key] and good(one) then
        seen[key], kept = true, kept + 1
        reasons[one.id] = (reasons[one.id] and reasons[one.id] .. ", " or "") .. name .. " " .. kept
      end
    end
  end
  keep(rules.last, "last", function(_, id) return id end)
  keep(rules.daily, "daily", day_of)
  keep(rules.weekly, "weekly", week_of)
  for _, one in ipairs(backups) do
    if one.needed then reasons[one.id] = "a run in flight needs it" end
  end
  return reasons, bad
end

--- Removes what no rule keeps. With nothing to keep that verifies, nothing is removed.
---@param options { to: string, last?: integer, daily?: integer, weekly?: integer, dry_run?: boolean }
---@return { kept: table<string, string>, removed: string[], bad: string[] }?, table? err
---@usage assert(#assert(require("backup.retention").prune { to = files.mkdtemp(), last = 1 }).removed == 0)
function M.prune(options)
  local backup, clock, core_err, files = require "backup", require "clock", require "core.err", require "files"
  local list, err = backup.list(options.to)
  if not list then return nil, err end
  local function age(path)
    local stat = files.stat(path)
    return stat and clock.wall() - stat.modified
  end
  for _, one in ipairs(list) do
    local marked = age(one.path .. ".needed")
    one.needed = marked ~= nil and marked < NEEDED_S
  end
  local kept, bad = M.choose(list, options, function(one) return backup.verify(one.path) ~= nil end)
  if list[1] and not next(kept) then
    return nil, core_err.new { code = "backup", op = "retention", message = ("not one backup in %s is worth keeping, so nothing is removed"):format(options.to), next = "Look at them with engine backup verify." }
  end
  local removed = {}
  local function remove(path, id)
    if not options.dry_run then
      -- A backup that is removed half-way must not look like one.
      local partial = path:match "%.partial$" and path or path .. ".partial"
      if partial ~= path then assert(files.rename(path, partial)) end
      assert(files.remove_tree(partial))
    end
    removed[#removed + 1] = id
  end
  local ok, problem = pcall(function()
    for _, one in ipairs(list) do if not kept[one.id] then remove(one.path, one.id) end end
    for _, name in ipairs(assert(files.list(options.to))) do
      local path = options.to .. "/" .. name
      if name:match "%.partial$" and (age(path) or 0) > PARTIAL_S then remove(path, name) end
    end
  end)
  if not ok then
    if core_err.is(problem) then return nil, problem end
    error(problem, 0)
  end
  return { kept = kept, removed = removed, bad = bad }
end

return M
