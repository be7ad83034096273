--- display.layout: a run as the lines of a terminal's bottom: what is done, what is under way and for how long, how green does against blue,
-- what failed, what comes next, and what can be done.
--
-- Pure: the same view gives the same lines. Lines are pieces of display.text.

local figures = require "repl.figures"
local is_watch = require("display.model").is_watch
local report_state = require "report.state"
local text = require "display.text"

local M = {}

local GREEN, RED, YELLOW, CYAN, DIM, BOLD = "32", "31", "33", "36", "2", "1"
local BAR = 12
local SILENT_S = 20 -- without a request so long the judged colour has no data

--- Seconds as minutes and seconds, hours if there are some.
---@param seconds number
---@return string
---@usage assert(require("display.layout").time(6.4) == "0:06" and require("display.layout").time(3725) == "1:02:05")
function M.time(seconds)
  local whole = math.max(0, math.floor(seconds))
  if whole >= 3600 then return ("%d:%02d:%02d"):format(whole // 3600, whole % 3600 // 60, whole % 60) end
  return ("%d:%02d"):format(whole // 60, whole % 60)
end

local function about(seconds)
  if seconds < 10 then return ("~%.0f s"):format(math.max(1, seconds)) end
  return "~" .. M.time(seconds)
end

local function header(view)
  local model, row = view.model, view.model.row
  local old = (model.values.colours or {}).version
  local release = row.release and (old and ("%s -> %s"):format(old, row.release) or row.release)
  local left = { { row.venture or row.playbook, colour = BOLD } }
  if release then left[#left + 1] = { " " .. release, colour = BOLD } end
  local place = row.settings and row.settings.place
  if place then left[#left + 1] = { "  " .. place, optional = 3 } end
  left[#left + 1] = { "  " .. row.mode, optional = 4 }
  left[#left + 1] = { "  run " .. row.id, optional = 1 }
  left[#left + 1] = { "  " .. row.actor, optional = 2 }
  local total = view.expected and view.expected.total(model.values)
  local time = M.time(view.now - view.began) .. (total and not model:goes_back() and view.columns >= 40 and " / ~" .. M.time(total) or "")
  return text.justified(left, { { time } }, view.columns)
end

local MARKS = { done = { "✓", GREEN }, failed = { "✗", RED }, canceled = { "✗", YELLOW }, running = { "▶", CYAN } }

-- What is done, as many to a line as fit. Only the last lines are shown when there are many.
local function done_lines(view, most)
  local lines, pieces, width = {}, {}, 0
  for _, group in ipairs(view.model:groups()) do
    if group.state ~= "running" then
      local mark = MARKS[group.state]
      local rest = (" %s%s %s"):format(text.cut(group.name, 32), group.steps > 1 and (" (%d)"):format(group.steps) or "", M.time(group.seconds))
      local needed = text.width(mark[1] .. rest) + 3
      if width + needed > view.columns and pieces[1] then
        lines[#lines + 1], pieces, width = pieces, {}, 0
      end
      if pieces[1] then pieces[#pieces + 1] = { "   " } end
      pieces[#pieces + 1] = { mark[1], colour = mark[2] }
      pieces[#pieces + 1] = { rest }
      width = width + needed
    end
  end
  if pieces[1] then lines[#lines + 1] = pieces end
  if #lines > most then
    table.insert(lines[#lines - most + 1], 1, { "… ", colour = DIM })
    return table.move(lines, #lines - most + 1, #lines, 1, {})
  end
  return lines
end

-- The share that the canary comes to after the one that it is at; nothing on the way back.
local function next_share(model)
  if model:goes_back() then return nil end
  local now = model.weights and model.values.colours and model.weights[model.values.colours.new]
  for _, stage in ipairs(model.forecast and model.forecast.stages or {}) do
    if now and stage.share > now then return stage.share end
  end
end

local function current_line(view, step)
  local took = view.now - step.began
  local usual = view.expected and view.expected.of(step.name, view.model.values)
  if is_watch(step.name) then
    local stage_took, minimum = view.model:stage_time(view.now)
    if stage_took then took, usual = stage_took, minimum end
  end
  local line = { { "▶ ", colour = CYAN }, { step.name .. "  " }, { M.time(took) .. (usual and "/" .. M.time(usual) or "") } }
  if usual and usual > 0 then line[#line + 1] = { "  " .. text.bar(took / usual, BAR), colour = took > 2 * usual and YELLOW or CYAN, optional = 1 } end
  local share = is_watch(step.name) and next_share(view.model)
  if share then line[#line + 1] = { ("  next %d %%"):format(share), colour = DIM, optional = 2 } end
  return line
end

local function percent(value) return value and (value < 0.0995 and "%.2f %%" or "%.1f %%"):format(value * 100) or "NO DATA" end

-- One of the two measures of the canary: the judged colour against the other, its limit, its past, and what it is.
local function measure(view, name, what, limit, bad, note)
  local watched, colours = view.model.watched, view.model.values.colours or {}
  local mine, theirs = watched.judged_counts, watched.other_counts
  local rate = mine.requests > 0 and mine[what] / mine.requests or nil
  local silent = not watched.heard_at or view.now - watched.heard_at > SILENT_S
  local word, colour = "ok", GREEN
  if silent or not rate then word, colour = "NO DATA", YELLOW
  elseif rate > bad then word, colour = "bad", RED
  elseif rate > limit then word, colour = "hold", YELLOW end
  local other = watched.judged == colours.new and colours.old or (watched.judged == "green" and "blue" or "green")
  local has_traffic = not view.model.weights or view.model.weights[other] ~= 0
  return {
    { ("   %-7s "):format(name) }, { ("%s %s"):format(watched.judged, percent(rate)) },
    { ("   %s %s"):format(other, has_traffic and percent(theirs.requests > 0 and theirs[what] / theirs.requests or nil) or "no traffic"), optional = 1 },
    { ("   max %g %%"):format(limit * 100), colour = DIM, optional = 2 },
    { "   " .. figures.sparkline(watched[what]), optional = 3 }, { "  " .. word, colour = colour }, { "  " .. note, optional = 1 },
  }
end

local function reading(name, value, limit)
  if not value then return { { name .. " " }, { "NO DATA", colour = YELLOW } } end
  return { { ("%s %.0f %%"):format(name, value * 100), colour = limit and value > limit and RED or nil } }
end

local function canary_lines(view)
  local watched, limits = view.model.watched, view.model.limits or {}
  if not watched or not watched.at then return {} end
  local p95 = watched.p95_ms[watched.judged]
  local lines = {
    measure(view, "errors", "errors", limits.target_error_rate or 0.01, limits.error_rate or 0.05, ("n=%d"):format(watched.judged_counts.requests)),
    measure(view, "slow", "slow", limits.slow_share or 0.05, limits.slow_share or 0.05, p95 and ("p95 %.0f ms"):format(p95) or "p95 NO DATA"),
  }
  if watched.readings then
    local line = { { "   " } }
    for i, pair in ipairs { { "db pool", "pool" }, { "cpu", "cpu" }, { "memory", "memory" } } do
      if i > 1 then line[#line + 1] = { "   " } end
      for _, piece in ipairs(reading(pair[1], watched.readings[pair[2]])) do line[#line + 1] = piece end
    end
    lines[3] = line
  end
  return lines
end

local function failed_lines(view)
  local model = view.model
  local step = model.failed
  local reason = model.reason
  if not step and not reason and not model.stopped then return {} end
  local problem = step and step.error or model.stopped or {}
  local what = problem.message or reason and reason.text or "failed"
  local lines = { { { "✗ ", colour = RED }, { ("%s%s"):format(problem.number and problem.number .. " " or "", step and step.name .. ": " or ""), colour = RED }, { (what:gsub("[\n\t]+", " ")) } } }
  if problem.where then lines[#lines + 1] = { { "  where  " .. problem.where } } end
  local weights = model.weights
  lines[#lines + 1] = { { "  state  " }, { reason and "going back: " or "" , colour = YELLOW }, { weights and ("traffic blue %s %%, green %s %%"):format(tostring(weights.blue), tostring(weights.green)) or "traffic was not touched" } }
  return lines
end

local function next_line(view)
  if view.model:goes_back() or view.model.failed or not view.expected then return nil end
  local names = view.expected.next(view.model)
  if not names[1] then return nil end
  local line = {}
  local width = 0
  for i, name in ipairs(names) do
    local short = text.cut(name, 40)
    if width + text.width(short) + 4 > view.columns - 2 then
      line[#line + 1] = { (" … %d more"):format(#names - i + 1), colour = DIM, optional = 1 }
      break
    end
    line[#line + 1] = { (i > 1 and "  " or "") .. "· " .. short, colour = DIM }
    width = width + text.width(short) + 4
  end
  return line
end

--- How far some long work is, as text: "1.2 of 3.4 GB, 35 %, 82 MB/s, 0:27 left".
---@param progress { what: string, done?: number, all?: number, unit?: string, rate?: number, bytes_rate?: number, left_s?: number }
---@return string
---@usage assert(require("display.layout").progress { what = "backup", done = 5e6, all = 1e7, unit = "bytes", rate = 1e6, left_s = 5 } == "backup: 5.0 of 10.0 MB, 50 %, 1.0 MB/s, about 0:05 left")
function M.progress(progress)
  if not progress.done then return progress.what end
  local all, rate = progress.all, progress.rate
  local scale, name = 1, progress.unit or ""
  if progress.unit == "bytes" then
    local most = math.max(all or 0, progress.done)
    for _, unit in ipairs { { 1e9, "GB" }, { 1e6, "MB" }, { 1e3, "kB" } } do
      if most >= unit[1] then scale, name = unit[1], unit[2] break end
    end
  end
  local function amount(value) return progress.unit == "bytes" and ("%.1f"):format(value / scale) or ("%.0f"):format(value) end
  local parts = { ("%s%s%s"):format(amount(progress.done), all and " of " .. amount(all) or "", name ~= "" and " " .. name or "") }
  if all and all > 0 then parts[#parts + 1] = ("%.0f %%"):format(math.min(100, progress.done / all * 100)) end
  local bytes_rate = progress.bytes_rate or progress.unit == "bytes" and rate
  if bytes_rate and bytes_rate > 0 then parts[#parts + 1] = (bytes_rate >= 1e8 and "%.0f MB/s" or "%.1f MB/s"):format(bytes_rate / 1e6)
  elseif rate and rate > 0 then parts[#parts + 1] = ("%.1f %s/s"):format(rate, progress.unit or "") end
  if progress.left_s then parts[#parts + 1] = ("about %s left"):format(M.time(progress.left_s)) end
  return progress.what .. ": " .. table.concat(parts, ", ")
end

local function keys_line(view)
  if view.prompt then return { { view.prompt, colour = YELLOW } } end
  local model = view.model
  if model.is_dead then return { { report_state.after_engine(model.row, view.where or ""), colour = YELLOW }, { "  d detach", optional = 1 } } end
  if model.question then
    local answers = view.columns >= 40 and "  y yes  n no  d detach" or "  y yes  n no"
    return { { "? " .. text.cut(model.question.question, math.max(1, view.columns - 3 - #answers)), colour = YELLOW }, { answers } }
  end
  local back = view.expected and view.expected.rollback_s
  local keys = { { "d detach  l logs", colour = DIM } }
  if not model:goes_back() then
    keys[#keys + 1] = { model.paused and "  p go on" or "  p pause", colour = DIM }
    keys[#keys + 1] = { "  r rollback" .. (back and (" (%s)"):format(about(back)) or ""), colour = DIM }
  end
  return keys
end

--- The lines of a view, at most one less than the terminal has, the most important ones if there is no room for all.
---@param view { model: table, columns: integer, rows: integer, now: number, began: number, expected?: table, progress?: table, prompt?: string, where?: string } where: the options that name the journal
---@return table[] lines of pieces
---@usage local m = require("display.model").new { id = "7f3c", venture = "shop", mode = "auto", actor = "ana" }  local lines = require("display.layout").lines { model = m, columns = 80, rows = 24, now = 65, began = 0 }  assert(require("display.text").line(lines[1], 80):match "^shop  auto  run 7f3c  ana +1:05$")
function M.lines(view)
  local lines = {}
  local function add(weight, line)
    if line and line[1] then lines[#lines + 1] = { weight = weight, line = line } end
  end
  add(10, header(view))
  for _, line in ipairs(done_lines(view, view.rows >= 30 and 4 or 2)) do add(2, line) end
  for i, line in ipairs(failed_lines(view)) do add(i == 1 and 9 or 6, line) end
  local watches = false
  for i, step in ipairs(view.model:current()) do
    add(i == 1 and 8 or 4, current_line(view, step))
    watches = watches or is_watch(step.name)
  end
  if watches then
    for i, line in ipairs(canary_lines(view)) do add(i == 1 and 7 or i == 2 and 6 or 3, line) end
  end
  if view.progress then add(5, { { "   " .. M.progress(view.progress) } }) end
  local held = view.model:held()
  if held then add(8, { { "   ! " .. held:gsub("[\n\t]+", " "), colour = YELLOW } }) end
  if view.model.is_dead then add(9, { { "   ! its engine is gone", colour = YELLOW }, { "; " .. report_state.guardian(view.model.row), optional = 1 } }) end
  add(1, next_line(view))
  add(view.prompt and 10 or view.model.question and 9 or 5, keys_line(view))
  while #lines > math.max(1, view.rows - 1) do
    local least = 1
    for i, entry in ipairs(lines) do
      if entry.weight <= lines[least].weight then least = i end
    end
    table.remove(lines, least)
  end
  local out = {}
  for i, entry in ipairs(lines) do out[i] = entry.line end
  return out
end

return M
