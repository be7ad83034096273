--- papers.chart: what happened over time as an SVG text. Pure; knows nothing of runs.
--
-- A spec is plain data; times are seconds since 1970, shown as UTC:
--   title, about   what it shows, in words: the accessible name and description
--   from, to       the range of the time axis
--   since, till    from when to when something is known of, if that is less: the rest is air, and no gap
--   unit           "percent" or "ms" (a logarithmic axis)
--   lines          { name =, class =, dashed =, points = { { at =, value =, from =, to = } } }[], drawn as lines: a point that stands for
--                  some time has from and to; one without a value is no data, which breaks the line, and the gap is named below the
--                  plot; within = seconds between two points that belong together
--   shares         { at =, green =, blue = }[] in percent, drawn as two areas in place of lines
--   limits         { value =, label = }[], lines of their own
--   marks          { at =, number =, name = }[] above the plot: what began there
-- Lines and areas differ by dash and pattern, not by colour alone. Classes are styled by papers.style.

local axes = require "papers.axes"
local clock = require "clock"
local escape = require("papers.escape").html
local svg = require "papers.svg"

local tag, text, line = svg.tag, svg.text, svg.line

local M = {}

local HEIGHT, TOP, BOTTOM, LEFT, RIGHT = 168, 26, 24, 52, 52
local LANE = 15          -- below the plot, for the gaps of one line
local MARK_ROOM = 26     -- marks that are closer share a label
local LABEL_ROOM = 14    -- between two lines of text
local NAME_ROOM = 60     -- beside each other
local DOT_LIMIT = 45     -- more points than that have no dots
local CHARACTER = 6.4    -- width of one in a label

-- What makes green's area more than a colour.
local HATCH = '<defs><pattern id="%s-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
  .. '<rect class="hatch-ground" width="6" height="6"/><line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>'

local function time_ticks(frame)
  local spec, out = frame.spec, {}
  local most = math.max(2, frame.width // 92)
  local step = axes.time_step(spec.to - spec.from, most)
  local at = math.ceil(spec.from / step) * step
  while at <= spec.to do
    local hour = clock.utc(at):match "T(%d%d:%d%d:%d%d)"
    local x = frame.x(at)
    out[#out + 1] = line("grid faint", x, frame.top, x, frame.foot)
    out[#out + 1] = text("tick", x, frame.height - 7, "middle", step >= 60 and hour:sub(1, 5) or hour)
    at = at + step
  end
  return table.concat(out)
end

local function value_ticks(frame)
  local out = {}
  for _, tick in ipairs(frame.ticks) do
    local y = frame.y(tick.value)
    out[#out + 1] = line(tick == frame.ticks[1] and "axis" or "grid", frame.left, y, frame.right, y)
    out[#out + 1] = text("tick", frame.left - 7, y + 4, "end", tick.label)
  end
  return table.concat(out)
end

-- Limits that are close share a label.
local function limits(frame)
  local out, labels = {}, {}
  for _, limit in ipairs(frame.spec.limits or {}) do
    local y, last = frame.y(limit.value), labels[#labels]
    out[#out + 1] = line("limit", frame.left, y, frame.right, y)
    if last and math.abs(y - last.y) < LABEL_ROOM then last.y, last.text = math.min(y, last.y), last.text .. ", " .. limit.label
    else labels[#labels + 1] = { y = y, text = limit.label } end
  end
  for _, label in ipairs(labels) do out[#out + 1] = text("limit-label", frame.left + 4, label.y - 4, "start", label.text) end
  return table.concat(out)
end

-- Marks in groups that have room for a label.
local function mark_groups(frame)
  local groups = {}
  for _, mark in ipairs(frame.spec.marks or {}) do
    local x, last = frame.x(mark.at), groups[#groups]
    if last and x - last.x < MARK_ROOM then last.last = mark else groups[#groups + 1] = { x = x, first = mark, last = mark } end
  end
  return groups
end

local function marks(frame)
  local out = {}
  for _, mark in ipairs(frame.spec.marks or {}) do
    local x = frame.x(mark.at)
    out[#out + 1] = line("mark", x, frame.top - 4, x, frame.foot, ("%d: %s"):format(mark.number, mark.name))
  end
  for _, group in ipairs(mark_groups(frame)) do
    local first, last = group.first.number, group.last.number
    local label = first == last and tostring(first) or ("%d–%d"):format(first, last)
    out[#out + 1] = text("mark-label", group.x, frame.top - 9, "middle", label)
  end
  return table.concat(out)
end

-- The runs of points that have values and belong together.
local function pieces(frame, one)
  local out, piece = {}, nil
  local before
  for _, point in ipairs(one.points) do
    if not point.value or (before and (point.from or point.at) - before > (frame.spec.within or math.huge)) then piece = nil end
    if point.value then
      if not piece then
        piece = {}
        out[#out + 1] = piece
      end
      piece[#piece + 1] = point
    end
    before = point.to or point.at
  end
  return out
end

local function dot(frame, one, point)
  local x, y = frame.x(point.at), frame.y(point.value)
  if one.dashed then return tag("rect", { "class", "dot " .. one.class, "x", x - 2.5, "y", y - 2.5, "width", 5, "height", 5 }) end
  return tag("circle", { "class", "dot " .. one.class, "cx", x, "cy", y, "r", 2.8 })
end

local function draw_line(frame, one)
  local out = {}
  for _, piece in ipairs(pieces(frame, one)) do
    local steps = {}
    for i, point in ipairs(piece) do
      local y = frame.y(point.value)
      steps[i] = ("%s%.1f %.1fL%.1f %.1f"):format(i == 1 and "M" or "L", frame.x(point.from or point.at), y, frame.x(point.to or point.at), y)
    end
    out[#out + 1] = tag("path", { "class", "line " .. one.class .. (one.dashed and " dashed" or ""), "d", table.concat(steps) })
    if #piece == 1 or #one.points <= DOT_LIMIT then for _, point in ipairs(piece) do out[#out + 1] = dot(frame, one, point) end end
  end
  return table.concat(out)
end

-- Labels beside the ends of the lines; those that would lie on each other are moved apart.
local function end_labels(frame)
  local labels, out = {}, {}
  for _, one in ipairs(frame.spec.lines) do
    local last
    for _, point in ipairs(one.points) do if point.value then last = point end end
    if last then labels[#labels + 1] = { one = one, x = frame.x(last.to or last.at), y = frame.y(last.value) } end
  end
  table.sort(labels, function(a, b) return a.y < b.y end)
  for i, label in ipairs(labels) do
    local at_end = label.x > frame.right - 0.12 * (frame.right - frame.left)
    local before = labels[i - 1]
    local is_on_it = before and at_end == before.at_end and label.y - before.y < LABEL_ROOM and math.abs(label.x - before.x) < NAME_ROOM
    if is_on_it then label.y = before.y + LABEL_ROOM end
    label.at_end = at_end
    local x, y = label.x + 7, math.max(frame.top + 12, label.y - 7)
    if at_end then x, y = frame.right + 6, math.min(label.y, frame.foot - 2) + 4 end
    out[#out + 1] = text("name " .. label.one.class, x, y, "start", label.one.name)
  end
  return table.concat(out)
end

--- Where a line has no data within its chart: from when to when. Pure.
---@param spec table
---@param one table a line of it
---@return { from: number, to: number }[]
---@usage local gaps = require("papers.chart").gaps({ from = 0, to = 10, within = 2 }, { points = { { at = 1, value = 5 }, { at = 3, value = 5 }, { at = 8 } } })  assert(#gaps == 1 and gaps[1].from == 3 and gaps[1].to == 10)
function M.gaps(spec, one)
  local out, since = {}, spec.since or spec.from
  local least = spec.within or 0
  local function gap(from, to) if to - from > least then out[#out + 1] = { from = from, to = to } end end
  for _, point in ipairs(one.points) do
    if point.value then
      gap(since, point.from or point.at)
      since = point.to or point.at
    end
  end
  gap(since, spec.till or spec.to)
  return out
end

local function gap_lane(frame, one, gaps, y)
  local out = {}
  for _, gap in ipairs(gaps) do
    local x1, x2 = frame.x(gap.from), frame.x(gap.to)
    local label = one.name .. ": no data"
    local bracket = line("", x1, y, x2, y) .. line("", x1, y - 3, x1, y + 3) .. line("", x2, y - 3, x2, y + 3)
    out[#out + 1] = tag("g", { "class", "gap " .. one.class }, tag("title", {}, escape(label)) .. bracket)
    for _, shown in ipairs { label, "no data" } do
      if x2 - x1 > CHARACTER * #shown + 10 then
        out[#out + 1] = text("gap-label", (x1 + x2) / 2, y + 4, "middle", shown)
        break
      end
    end
  end
  return table.concat(out)
end

-- From where to where a share holds: the first one from the left edge, the last one to the right edge.
local function extent(frame, i)
  local shares = frame.spec.shares
  return i == 1 and frame.left or frame.x(shares[i].at), shares[i + 1] and frame.x(shares[i + 1].at) or frame.right
end

-- Two areas: green from the foot, blue above it.
local function areas(frame)
  local steps = {}
  for i, share in ipairs(frame.spec.shares) do
    local x1, x2 = extent(frame, i)
    steps[#steps + 1] = ("%s%.1f %.1fL%.1f %.1f"):format(i == 1 and "M" or "L", x1, frame.y(share.green), x2, frame.y(share.green))
  end
  local edge = table.concat(steps)
  -- From the edge along a side of the plot back to its beginning.
  local function closed_by(y) return ("%sL%.1f %.1fL%.1f %.1fZ"):format(edge, frame.right, y, frame.left, y) end
  return tag("path", { "class", "area blue", "d", closed_by(frame.top) })
    .. tag("path", { "class", "area green", "d", closed_by(frame.foot), "fill", ("url(#%s-hatch)"):format(frame.id) })
    .. tag("path", { "class", "line green", "d", edge })
end

local function area_labels(frame)
  local out = {}
  for i, share in ipairs(frame.spec.shares) do
    local x1, x2 = extent(frame, i)
    for _, side in ipairs { { "green", share.green, share.green / 2 }, { "blue", share.blue, share.green + share.blue / 2 } } do
      local name, value, middle = side[1], side[2], side[3]
      -- A thin area has its label beside it.
      local y = frame.y(middle) + 4
      if value < 15 then y = name == "green" and frame.y(share.green) - 5 or frame.y(share.green) + 13 end
      for _, label in ipairs { ("%s %d %%"):format(name, value), ("%d %%"):format(value) } do
        if value > 0 and x2 - x1 > CHARACTER * #label + 6 then
          out[#out + 1] = text("name " .. name, (x1 + x2) / 2, y, "middle", label)
          break
        end
      end
    end
  end
  return table.concat(out)
end

local function frame_of(spec, options)
  local frame = { spec = spec, id = options.id, width = options.width, left = LEFT, top = TOP, foot = TOP + HEIGHT }
  frame.right = frame.width - RIGHT -- the same in every chart, so that they can be read as one
  frame.lanes = {}
  for _, one in ipairs(spec.lines or {}) do
    local gaps = M.gaps(spec, one)
    if gaps[1] then frame.lanes[#frame.lanes + 1] = { one = one, gaps = gaps } end
  end
  frame.height = frame.foot + LANE * #frame.lanes + BOTTOM
  local place
  place, frame.ticks = axes[spec.unit](spec)
  function frame.x(at) return frame.left + (at - spec.from) / (spec.to - spec.from) * (frame.right - frame.left) end
  function frame.y(value) return frame.foot - place(value) * HEIGHT end
  return frame
end

--- Draws a chart.
---@param spec table
---@param options { width: integer, id: string, class?: string } id: of this drawing within its document
---@return string
---@usage assert(require("papers.chart").svg({ title = "t", about = "a", unit = "percent", from = 0, to = 9, lines = { { name = "green", class = "green", points = { { at = 1, value = 2 } } } } }, { width = 400, id = "c" }):find "^<svg")
function M.svg(spec, options)
  local frame = frame_of(spec, options)
  local out = {
    tag("title", { "id", options.id .. "-title" }, escape(spec.title)), tag("desc", { "id", options.id .. "-about" }, escape(spec.about)),
    value_ticks(frame), time_ticks(frame),
  }
  if spec.shares then
    out[#out + 1] = HATCH:format(escape(options.id))
    out[#out + 1] = areas(frame)
  end
  out[#out + 1] = limits(frame)
  out[#out + 1] = marks(frame)
  if spec.shares then out[#out + 1] = area_labels(frame) end
  for _, one in ipairs(spec.lines or {}) do out[#out + 1] = draw_line(frame, one) end
  if spec.lines then out[#out + 1] = end_labels(frame) end
  for i, lane in ipairs(frame.lanes) do out[#out + 1] = gap_lane(frame, lane.one, lane.gaps, frame.foot + LANE * i - 4) end
  return tag("svg", {
    "xmlns", "http://www.w3.org/2000/svg", "class", options.class or "chart", "viewBox", ("0 0 %d %d"):format(frame.width, frame.height),
    "width", frame.width, "height", frame.height, "role", "img", "aria-labelledby", ("%s-title %s-about"):format(options.id, options.id),
  }, table.concat(out))
end

return M
