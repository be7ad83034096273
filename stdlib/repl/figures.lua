--- repl.figures: numbers that have names, as the console's watch draws them: "green1 ▂▂▅█ 204 ms".

local M = {}

local BARS = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }

--- How many values a sparkline has.
M.LENGTH = 24

--- Numbers as a line of bars, from the least to the greatest of them; what was not measured is a gap.
---@param values (number|false)[] false: no data
---@return string
---@usage assert(require("repl.figures").sparkline { 0, 5, 10 } == "▁▅█" and require("repl.figures").sparkline { 3, false, 3 } == "▂ ▂")
function M.sparkline(values)
  local least, most = math.huge, -math.huge
  for _, value in ipairs(values) do
    if value then least, most = math.min(least, value), math.max(most, value) end
  end
  local out = {}
  for i, value in ipairs(values) do
    if not value then out[i] = " "
    elseif most == least then out[i] = value == 0 and BARS[1] or BARS[2]
    else out[i] = BARS[1 + math.floor((value - least) / (most - least) * (#BARS - 1) + 0.5)] end
  end
  return table.concat(out)
end

local BOUNDS = { ["<="] = "at most ", [">"] = "more than " }

--- A number and its unit: "204 ms", "0.21 %", "at most 50 ms", "no data".
---@param figure { value?: number, unit?: string, bound?: "<="|">" }
---@return string
---@usage assert(require("repl.figures").text { value = 204.4, unit = "ms" } == "204 ms" and require("repl.figures").text {} == "no data")
function M.text(figure)
  local value = figure.value
  if not value then return "no data" end
  local text = (math.type(value) == "integer" or math.abs(value) >= 100) and ("%.0f"):format(value) or ("%.2f"):format(value)
  return (BOUNDS[figure.bound] or "") .. (figure.unit and text .. " " .. figure.unit or text)
end

local meta = {}

--- Figures with a note, as a value that prints itself.
---@param list { name: string, value?: number, unit?: string, bound?: string }[]
---@param note? string what they are, or are not
---@return table
---@usage assert(require("repl.figures").is(require("repl.figures").new {}))
function M.new(list, note)
  list.note = note
  return setmetatable(list, meta)
end

--- Are these figures?
---@param value any
---@return boolean
function M.is(value) return getmetatable(value) == meta end

local function width_of(list, text_of)
  local width = 0
  for _, one in ipairs(list) do width = math.max(width, utf8.len(text_of(one)) or 0) end
  return width
end

--- Figures as lines, each with the line of its former values before it.
---@param list table of new
---@param former? table<string, (number|false)[]> by name
---@return string[] lines
---@usage assert(require("repl.figures").lines(require("repl.figures").new { { name = "a", value = 1 } })[1] == "a  1")
function M.lines(list, former)
  local names, lines = width_of(list, function(one) return one.name end), {}
  for i, one in ipairs(list) do
    local bars = former and M.sparkline(former[one.name] or {})
    local space = (" "):rep(names - (utf8.len(one.name) or 0))
    lines[i] = bars and ("%s%s %s%s %s"):format(one.name, space, bars, (" "):rep(M.LENGTH - utf8.len(bars)), M.text(one)) or ("%s%s  %s"):format(one.name, space, M.text(one))
  end
  if list.note then lines[#lines + 1] = "(" .. list.note .. ")" end
  return lines
end

meta.__show = function(list) return table.concat(M.lines(list), "\n") end

local NAMES = { "name", "server", "colour", "id" }

local function from_row(row, index)
  local name
  for _, key in ipairs(NAMES) do name = name or row[key] end
  local out, keys = {}, {}
  for key, value in pairs(row) do if type(key) == "string" and type(value) == "number" then keys[#keys + 1] = key end end
  table.sort(keys)
  for i, key in ipairs(keys) do out[i] = { name = ("%s %s"):format(tostring(name or index), key), value = row[key] } end
  return out
end

--- The numbers of any value, by name; nil when it has none.
---@param value any
---@return table? figures
---@usage assert(require("repl.figures").of({ blue = 90, green = 10 })[2].name == "green")
function M.of(value)
  if M.is(value) then return value end
  if type(value) == "number" then return M.new { { name = "value", value = value } } end
  if type(value) ~= "table" then return nil end
  local list, keys = {}, {}
  for key, item in pairs(value) do
    if type(item) == "number" then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do list[#list + 1] = { name = tostring(key), value = value[key] } end
  if not list[1] then
    for index, row in ipairs(value) do
      for _, one in ipairs(type(row) == "table" and from_row(row, index) or {}) do list[#list + 1] = one end
    end
  end
  return list[1] and M.new(list) or nil
end

--- How much a counter has grown. Of one that fell nothing is known: it began anew.
---@param before? number
---@param now? number
---@return number?
---@usage assert(require("repl.figures").grown(3, 5) == 2 and not require("repl.figures").grown(5, 3))
function M.grown(before, now)
  if not before or not now or now < before then return nil end
  return now - before
end

--- The quantile of what was counted between two looks at a histogram, within a bucket as if evenly spread; nil without requests.
---@param before table<number, number> how many took at most so many seconds
---@param now table<number, number>
---@param share number 0.95
---@return number? seconds the greatest finite bound when it lies beyond
---@return ">"|"<="|nil bound it is beyond the greatest bound, or below the least one: where, the histogram does not say
---@usage assert(require("repl.figures").quantile({ [0.1] = 0, [0.3] = 0, [math.huge] = 0 }, { [0.1] = 0, [0.3] = 10, [math.huge] = 10 }, 0.5) == 0.2)
function M.quantile(before, now, share)
  local bounds = {}
  for bound in pairs(now) do bounds[#bounds + 1] = bound end
  table.sort(bounds)
  local all = M.grown(before[bounds[#bounds]], now[bounds[#bounds]])
  if not all or all <= 0 then return nil end
  local wanted, below, lower = share * all, 0, 0
  for _, bound in ipairs(bounds) do
    local upto = M.grown(before[bound], now[bound]) or 0
    if upto >= wanted then
      if bound == math.huge then return lower, ">" end
      if lower == 0 then return bound, "<=" end
      return lower + (bound - lower) * (upto > below and (wanted - below) / (upto - below) or 1)
    end
    below, lower = upto, bound
  end
end

return M
