-- Random programs: with counters each prints and raises what it does without; the branches are counted as by the same program with calls written
-- into it by hand, and the lines that ran are those that a line hook sees in lua5.4.
local t = require "test"
local instrument = require "coverage.instrument"
local summary = require "coverage.summary"

local PROGRAMS, SEED = 150, 1

-- A generator of our own, so that a seed means the same everywhere.
local state = 0
local function random(n)
  state = (state * 1103515245 + 12345) % (1 << 31)
  return 1 + (state >> 8) % n
end
local function one_of(list) return list[random(#list)] end

-- A program is written once, with marks where its other form calls the truth: <T1> at the beginning of a block, <E1> where an
-- `else` that is not there would stand, <L1>, <I1>, <S1> and <W1> around what says whether a loop has a turn.
local Program = {}
Program.__index = Program

function Program:add(text) self.lines[#self.lines + 1] = ("  "):rep(self.depth) .. text end

-- A mark for the branch whose statement begins in the line that comes next, or in one that is given.
function Program:mark(letter, kind, line)
  self.marks[#self.marks + 1] = { kind = kind, line = line or #self.lines + 1 }
  return ("<%s%d>"):format(letter, #self.marks)
end

function Program:name(prefix)
  self.names = self.names + 1
  return prefix .. self.names
end

local function variable() return one_of { "a", "b", "c" } end
local function value() return one_of { "a", "b", "c", "1", "2", "a % 3", "b % 4", "c % 5", "a + b", "c - a", "-b", "a // 2" } end
-- What leaves a block is rare, so that something is left to leave.
local function rarely() return ("(a + b + c) %% %d == %d"):format(6 + random(6), random(6)) end
local function condition() return one_of { "a % 2 == 0", "b % 3 == 1", "c > 4", "a < b", "not (a == c)", "b % 5 ~= 2", "a % 7 == 3 or b % 4 == 1" } end

function Program:nested(loop)
  self.depth = self.depth + 1
  self:statements(loop)
  self.depth = self.depth - 1
end

-- The label of a loop stands behind whatever locals its body has.
function Program:loop(head, kind_mark, has_label)
  local loop = { label = has_label and self:name "next" }
  local line = #self.lines + 1
  self:add(head)
  self:add("  " .. kind_mark(line) .. "c = c + 1")
  self:nested(loop)
  if loop.label then self:add("  ::" .. loop.label .. "::") end
end

local statements = {}

function statements.assign(self) self:add(("%s = (%s) %% 1000"):format(variable(), value())) end
function statements.print(self) self:add(("P(%s)"):format(value())) end
function statements.two(self) self:add(("%s = %s %% 100; P(%s)"):format(variable(), value(), variable())) end
function statements.spread(self)
  self:add "P("
  self:add("  " .. value() .. ",")
  self:add("  " .. value() .. ") a = a + 1")
end
function statements.raise(self) self:add(("if %s then %serror('e' .. a) %send"):format(rarely(), self:mark("T", "then"), self:mark("E", "else"))) end
function statements.raise_in_middle(self)
  self:add(("if %s then"):format(rarely()))
  self:add("  " .. self:mark("T", "then", #self.lines) .. one_of { "b = none.x", "b = none + 1", "b = 'x' .. none", "none.x = 1", "b = { [none] = 1 }", "b = #none", "none()" })
  self:add "  P(b)"
  self:add(self:mark("E", "else", #self.lines - 2) .. "end")
end

statements["if"] = function(self)
  local line = #self.lines + 1
  self:add(("if %s then"):format(condition()))
  self:add("  " .. self:mark("T", "then", line) .. "a = a + 1")
  self:nested(self.in_loop)
  for _ = 1, random(3) - 1 do
    self:add(("elseif %s then"):format(condition()))
    self:add("  " .. self:mark("T", "then", #self.lines) .. "b = b + 1")
    self:nested(self.in_loop)
  end
  if random(2) == 1 then
    self:add "else"
    self:add("  " .. self:mark("T", "else", line) .. "P(a)")
    self:nested(self.in_loop)
    self:add "end"
  else
    self:add(self:mark("E", "else", line) .. "end")
  end
end

function statements.numeric(self)
  local skipped = self:mark("L", "loop skipped")
  self:loop(("for i = 1, %s((%s) %% 4) do"):format(skipped, value()), function(line) return self:mark("T", "loop", line) end, true)
  self:add "end"
end

function statements.generic(self)
  local skipped = self:mark("I", "loop skipped")
  self:loop(("for _, x in ipairs(%s(lists[(%s) %% 3 + 1])) do"):format(skipped, value()), function(line) return self:mark("T", "loop", line) end, true)
  self:add "end"
end

statements["while"] = function(self)
  local left = self:name "left"
  self:add(("local %s = (%s) %% 4"):format(left, value()))
  local skipped = self:mark("W", "loop skipped")
  self:loop(("%swhile %s(%s > 0) do %s = %s - 1"):format(skipped:gsub("W", "S"), skipped, left, left, left), function() return "" end, true)
  self:add "end"
end

statements["repeat"] = function(self)
  local left = self:name "left"
  self:add(("local %s = (%s) %% 4"):format(left, value()))
  self:loop("repeat", function() return "" end, false)
  self:add(("  local last = %s <= 0"):format(left))
  self:add(("  %s = %s - 1"):format(left, left))
  self:add "until last"
end

statements["break"] = function(self)
  if not self.in_loop then return end
  self:add(("if %s then"):format(rarely()))
  self:add("  " .. self:mark("T", "then", #self.lines) .. "P(a) break")
  self:add(self:mark("E", "else", #self.lines - 1) .. "end")
end

statements["goto"] = function(self)
  if not self.in_loop or not self.in_loop.label then return end
  self:add(("if %s then %sgoto %s %send"):format(rarely(), self:mark("T", "then"), self.in_loop.label, self:mark("E", "else")))
end

statements["return"] = function(self)
  self:add(("if %s then"):format(rarely()))
  self:add("  " .. self:mark("T", "then", #self.lines) .. "return " .. value())
  self:add(self:mark("E", "else", #self.lines - 1) .. "end")
end

statements["do"] = function(self)
  self:add "do"
  self:nested(self.in_loop)
  self:add "end"
end

function statements.fn(self)
  local name = self:name "f"
  local line = #self.lines + 1
  self:add(("local function %s(a, b)"):format(name))
  self:add("  " .. self:mark("T", "function", line) .. "local c = a + b")
  self:nested(nil)
  self:add "  P(c)"
  self:add "end"
  for _ = 0, random(4) do self:add(("P(pcall(%s, %d, %s))"):format(name, random(30), variable())) end
end

local KINDS = {}
for kind in pairs(statements) do KINDS[#KINDS + 1] = kind end
table.sort(KINDS)

function Program:statements(loop)
  local outer = self.in_loop
  self.in_loop = loop
  for _ = 1, random(4) do
    local kind = one_of(KINDS)
    local is_deep = self.depth > 4 or #self.lines > 200
    if is_deep then kind = one_of { "assign", "print", "two", "break", "goto", "return", "raise" } end
    statements[kind](self)
  end
  self.in_loop = outer
end

local function forms(program)
  local text = table.concat(program.lines, "\n")
  local plain = text:gsub("<%a%d+>", "")
  local marked = text:gsub("<(%a)(%d+)>", function(letter, number) return (letter == "E" and "else T(%s) " or letter == "T" and "T(%s) " or letter == "S" and "S(%s) " or letter .. "(%s)"):format(number) end)
  return plain, marked
end

local function generate(seed)
  state = (seed * 7919 + 17) % (1 << 31)
  local program = setmetatable({ lines = {}, marks = {}, names = 0, depth = 0 }, Program)
  program:add("local none, a, b, c = nil, " .. random(20) .. ", " .. random(20) .. ", " .. random(20))
  program:add "local lists = { {}, { 1 }, { 1, 2, 3 } }"
  -- Functions, so that what raises or returns does not end the program.
  while #program.lines < 60 do statements.fn(program) end
  program:statements(nil)
  program:add "P(a, b, c)"
  program.plain, program.marked = forms(program)
  return program
end

-- Runs a chunk with what it may call; all that can be seen of it, as text.
local function run(chunk, env)
  local out = {}
  function env.P(...)
    for _, each in ipairs(table.pack(...)) do out[#out + 1] = tostring(each) end
    out[#out + 1] = "/" .. select("#", ...)
  end
  env.ipairs, env.pcall, env.error = ipairs, pcall, error
  local result = table.pack(pcall(chunk))
  for index = 1, result.n do out[#out + 1] = tostring(result[index]) end
  return table.concat(out, "\n")
end

-- How often the marks of the other form were passed.
local function truth(program)
  local counts, waits = {}, {}
  for index in ipairs(program.marks) do counts[index] = 0 end
  local function count(mark) counts[mark] = counts[mark] + 1 end
  local env = { T = count }
  function env.S(mark) waits[mark] = true end
  function env.W(mark)
    return function(has_turn)
      if waits[mark] and not has_turn then count(mark) end
      waits[mark] = false
      return has_turn
    end
  end
  function env.L(mark)
    return function(limit)
      if limit < 1 then count(mark) end
      return limit
    end
  end
  function env.I(mark)
    return function(list)
      if #list == 0 then count(mark) end
      return list
    end
  end
  local out = run(t.ok(load(program.marked, "=p", "t", env)), env)
  return out, counts
end

local function compare_branches(program, file, counts, what)
  local expected = {}
  for index, mark in ipairs(program.marks) do expected[mark.kind .. " " .. mark.line] = counts[index] end
  local compared = 0
  for _, branch in ipairs(file.branches.list) do
    local key = branch.kind .. " " .. branch.line
    if expected[key] then
      compared = compared + 1
      if branch.count ~= expected[key] then t.eq(branch.count, expected[key], what .. key) end
    end
  end
  t.eq(compared, #program.marks, what .. "branches with a mark")
end

local function set_of(path)
  local set = {}
  for number in assert(files.read(path)):gmatch "%d+" do set[tonumber(number)] = true end
  return set
end

-- A line without code of its own, such as that of a `repeat`, is no line of Lua's.
local function compare_lines(file, executed, active, what)
  for _, each in ipairs(file.lines.list) do
    local ran = each.count > 0
    if executed[each.line] and not ran or ran and active[each.line] and not executed[each.line] then
      t.eq(ran, executed[each.line] or false, what .. "line " .. each.line .. " ran")
    end
  end
end

t.case(("%d programs from seed %d"):format(PROGRAMS, SEED), function()
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  local closer <close> = setmetatable({}, { __close = function() files.remove_tree(folder) end })
  local programs, lines, branches, never = {}, 0, 0, 0
  for index = 1, PROGRAMS do
    local program = generate(SEED * 100003 + index)
    local what = ("program %d of seed %d, "):format(index, SEED)
    local env = {}
    local plain_out = run(t.ok(load(program.plain, "=p", "t", env)), env)
    local with_counters, map = instrument.instrument(program.plain, "p")
    if not t.ok(with_counters, map) then return end
    local hits = {}
    for counter = 1, map.counters do hits[counter] = 0 end
    local counted_out = run(load(with_counters, "=p", "t", env)(hits), env)
    if counted_out ~= plain_out then t.eq(counted_out, plain_out, what .. "output") end
    local marked_out, counts = truth(program)
    if marked_out ~= plain_out then t.eq(marked_out, plain_out, what .. "output with marks") end
    program.file = summary.file(map, hits, "")
    compare_branches(program, program.file, counts, what)
    lines, branches, never = lines + program.file.lines.total, branches + program.file.branches.total, never + program.file.lines.total - program.file.lines.executed
    t.ok(files.write(("%s/%d.lua"):format(folder, index), program.plain))
    programs[index] = program
  end
  t.ok(process.run { argv = { "lua5.4", "tests/lib/executed_lines.lua", folder, PROGRAMS }, check = true })
  for index, program in ipairs(programs) do
    local path = ("%s/%d"):format(folder, index)
    compare_lines(program.file, set_of(path .. ".executed"), set_of(path .. ".active"), ("program %d of seed %d, "):format(index, SEED))
  end
  print(("%d programs, seed %d: %d lines, %d never ran, %d branches"):format(PROGRAMS, SEED, lines, never, branches))
  t.ok(never > lines // 10 and never < lines // 2, "programs that run in part")
  return closer and nil
end, 120)
