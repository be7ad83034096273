-- What is counted in each construct of the language, and that counting changes nothing that a program can see.
local t = require "test"
local core_search = require "core.search"
local instrument = require "coverage.instrument"
local json = require "json"
local paths = require "check.paths"
local summary = require "coverage.summary"

-- Runs the text with counters. Gives { line = count, ... } as text, the branches as text, and what pcall gave.
local function measure(text, ...)
  local with_counters, map = instrument.instrument(text, "x.lua")
  if not t.ok(with_counters, map) then return end
  local hits = {}
  for counter = 1, map.counters do hits[counter] = 0 end
  local result = table.pack(pcall(load(with_counters, "=x.lua")(hits), ...))
  local file = summary.file(map, hits, "")
  local lines, branches = {}, {}
  for _, each in ipairs(file.lines.list) do lines[#lines + 1] = each.line .. ":" .. each.count end
  for _, each in ipairs(file.branches.list) do branches[#branches + 1] = ("%d %s `%s` %d"):format(each.line, each.kind, each.text, each.count) end
  return table.concat(lines, " "), branches, result
end

t.case("an if with and without else", function()
  local text = [[
local seen = {}
for _, a in ipairs { 1, 2, 2, 3, 4 } do
  if a == 1 then
    seen[1] = a
  elseif a == 2 then seen[2] = a
  elseif a == 3 then
    seen[3] = a
  end
  if a > 9 then
    seen[4] = a
  else
    seen[5] = a
  end
end
return seen]]
  local lines, branches, result = measure(text)
  t.eq(lines, "1:1 2:1 3:5 4:1 5:4 6:2 7:1 9:5 10:0 12:5 15:1")
  t.eq(branches, {
    "2 loop `for _, a in ipairs { 1, 2, 2, 3, 4 }` 5", "3 then `if a == 1` 1", "5 then `elseif a == 2` 2", "6 then `elseif a == 3` 1", "3 else `if a == 1` 1",
    "9 then `if a > 9` 0", "9 else `if a > 9` 5", "2 loop skipped `for _, a in ipairs { 1, 2, 2, 3, 4 }` 0",
  })
  t.eq(result[2], { 1, 2, 3, [5] = 4 })
end)

t.case("loops, entered or not", function()
  local text = [[
local n = ...
for i = 1, n do
  n = n + 0
end
for i = n, 1, -1 do
  n = n + 0
end
while n > 0 do
  n = n - 1
end
for i = 1, 3 do
  n = i
end
while true do
  n = n + 1
  if n > 5 then break end
end
repeat
  local last = n < 4
  n = n - 1
until last
return n]]
  local lines, branches, result = measure(text, 2)
  t.eq(lines, "1:1 2:1 3:2 5:1 6:2 8:1 9:2 11:1 12:3 14:1 15:3 16:3 18:1 19:4 20:4 21:4 22:1")
  t.eq(branches, {
    "2 loop `for i = 1, n` 2", "2 loop skipped `for i = 1, n` 0", "5 loop `for i = n, 1, -1` 2", "5 loop skipped `for i = n, 1, -1` 0",
    "8 loop `while n > 0` 2", "8 loop skipped `while n > 0` 0", "11 loop `for i = 1, 3` 3", "14 loop `while true` 3", "16 then `if n > 5` 1", "16 else `if n > 5` 2",
  })
  t.eq(result[2], 2)
  lines, branches = measure(text, 0)
  t.eq(lines:match "^.* 9:%d+", "1:1 2:1 3:0 5:1 6:0 8:1 9:0")
  t.eq(branches[2] .. ", " .. branches[4] .. ", " .. branches[6], "2 loop skipped `for i = 1, n` 1, 5 loop skipped `for i = n, 1, -1` 1, 8 loop skipped `while n > 0` 1")
end)

t.case("a loop that runs again inside itself is skipped as often as it is", function()
  local _, branches = measure [[
local function children(n) return n > 0 and { n - 1 } or {} end
local function visit(n)
  for _, child in ipairs(n > 0 and children(visit(n - 1) or n) or {}) do
    visit(child)
  end
end
visit(2)]]
  -- visit is called with 2, 1, 0, 0, 1, 0, 0: four times there is nothing to go through.
  t.eq(branches[3]:match "%d+$", "3", "turns")
  t.eq(branches[#branches]:match "skipped.* (%d+)$", "4")
end)

t.case("what follows a statement that leaves is not reached", function()
  local function lines_of(text, ...) return (measure(text, ...)) end
  t.eq(lines_of "local a = 1\nerror 'x'\na = 2\na = 3", "1:1 2:1 3:0 4:0")
  t.eq(lines_of "local a\na = a.b\na = 2", "1:1 2:1 3:0", "an index of nil")
  t.eq(lines_of "local a\na = a + 1\na = 2", "1:1 2:1 3:0", "arithmetic on nil")
  t.eq(lines_of "local a, b = 1, {}\na = a .. b\na = 2", "1:1 2:1 3:0", "a table that is joined")
  t.eq(lines_of "local a = no_such_global\na = 2", "1:1 2:0", "a global that is not there")
  t.eq(lines_of "local a\na = { [a] = 1 }\na = 2", "1:1 2:1 3:0", "nil as a key")
  t.eq(lines_of "local a <const>, b <close> = 1, 2\nreturn a", "1:1 2:0", "what cannot be closed")
  t.eq(lines_of "local a\nif a.b then a = 1 end\na = 2", "1:1 2:1 3:0", "a condition that raises")
  t.eq(lines_of "local a = ...\nif a then\n  return 1\nend\na = 2\na = 3", "1:1 2:1 3:0 5:1 6:1")
  t.eq(lines_of("local a = ...\nif a then\n  return 1\nend\na = 2\na = 3", true), "1:1 2:1 3:1 5:0 6:0")
  t.eq(lines_of "for i = 1, 3 do\n  if i == 2 then break end\n  local a = i\nend\nlocal b = 1", "1:1 2:2 3:1 5:1")
  t.eq(lines_of "repeat\n  local a\n  a()\nuntil true\nlocal b", "1:1 2:1 3:1 4:0 5:0")
  t.eq(lines_of "do\n  local a = 1\n  do error 'x' end\nend\nlocal b = 1", "2:1 3:1 5:0")
  t.eq(lines_of "error 'x' local a = 1\nlocal b = 1", "1:1 2:0", "two in one line")
  t.eq(lines_of "local function f(a)\n  error(a)\n  return 1\nend\npcall(f, 1)\nreturn f", "1:1 2:1 3:0 5:1 6:1")
end)

t.case("goto, labels and the end of a block", function()
  local lines, branches, result = measure [[
local sum = 0
for i = 1, 4 do
  if i % 2 == 0 then goto continue end
  local odd = i
  sum = sum + odd
  ::continue::
end
do
  goto done
  sum = 100
  local never
  ::done:: ;;
end
::again::
sum = sum + 1
if sum < 7 then goto again end
repeat
  sum = sum + 1
  if sum < 9 then goto next end
  sum = sum + 10
  ::next::
until sum > 9
return sum]]
  t.eq(lines, "1:1 2:1 3:4 4:2 5:2 9:1 10:0 11:0 15:3 16:3 17:1 18:2 19:2 20:1 22:2 23:1")
  t.eq(#branches, 7)
  t.eq(result[2], 19)
end)

t.case("functions are called what their code calls them", function()
  local _, branches, result = measure [[
local M = {}
function M.plain() end
function M.deep() end
function M:method(a, ...) return select("#", self, a, ...) end
local function named() end
local held = function() end
M.field = function() return function(a, b) end end
local t = { key = function() end, [1] = function() end }
pcall(function() named() end)
pcall(function() error "x" end, "y")
local step = function(name, fn) fn() end
step("30.1 health", function() end)
t.key() held() M.field()
return M:method(1, 2, 3), (...)]]
  t.eq(branches, {
    "2 function `M.plain` 0", "3 function `M.deep` 0", "4 function `M:method` 1", "5 function `named` 1", "6 function `held` 1", "7 function `M.field` 1",
    "7 function `function(a, b)` 0", "8 function `key` 1", "8 function `function()` 0", "9 function `function given to pcall` 1", "10 function `function given to pcall` 1",
    "11 function `step` 1", '12 function `function given to step "30.1 health"` 1',
  })
  t.eq(result[2], 4)
end)

-- Programs that return something; with counters they return the same.
local PROGRAMS = {
  "", ";;", "-- nothing", "--[[ nothing", "return ...", "return ...;", "return 1 -- end", "return select('#', ...), ...", "local a <const>, b <close> = 7 // 2, nil return a, b, 7.5 // 2, 1 << 4 ~ 3",
  "local s = [==[\n a ]] b\n]=] ]==] --[==[ long\n]] ]==] return s", "return 'a\\\n b\\z\n   c', \"\\u{20AC}\\x41\"", "local a = 1;(function() a = 2 end)() return a",
  "local f = tostring;(f or error)''return f~=nil", "local function f(...) local a, b = ... return ..., a end return f(1, 2), (f(3, 4))", "if ... then return 1 else end return 2", "if ... then elseif not ... then else end return 3",
  "for _ in pairs {} do end for i = 1, 0 do end while false do end return 4", "do end do do end end return 5", "local x = 0 for i = 3, 1, -1 do x = x * 10 + i end return x",
  "local t = setmetatable({}, { __index = function(_, k) return k .. '!' end, __call = function(_, a) return a end }) return t.x, t [[y]], t{1}[1]",
  "local a = {} function a.b() return 1 end function a:c() return self == a end return a.b(), a:c()", "local x\tlocal y = 1\r\nreturn x, y", "local r = {} for k, v in next, { 1, 2 } do r[#r + 1] = k + v end return r[1], r[2]",
  "local function f(n) if n == 0 then return 'deep' end return f(n - 1) end return f(100000)",
  "local log = {} do local c <close> = setmetatable({}, { __close = function() log[1] = 'closed' end }) for i = 1, 2 do if i == 1 then goto out end end ::out:: end return log[1]",
  "local __hit, __turn, __hit_ = 1, 2, 3 for i = 1, __turn do __hit = __hit + i end return __hit, __turn, __hit_", "local _ENV = { a = 1 } for i = 1, 2 do a = a + i end return a", "return (function() end)()",
  "local a = 1for i = 1, 2 do a = a + i end return a", "local a = {} a.x = 1(tostring)'' return a.x", "repeat local x = 1 until x return 6", "local n = 0 repeat n = n + 1 if n < 3 then goto c end do break end ::c:: until false return n", "\t#nothing",
}

t.case("counting changes nothing that a program can see", function()
  for _, text in ipairs(PROGRAMS) do
    local plain = load(text, "=x.lua")
    local with_counters = instrument.instrument(text, "x.lua")
    t.eq(with_counters ~= nil, plain ~= nil, text)
    if plain and t.ok(with_counters, text) then
      local _, _, result = measure(text, "one", nil)
      t.eq(result, table.pack(pcall(plain, "one", nil)), text)
    end
  end
end)

t.case("a script sees no new name", function()
  local with_counters = instrument.instrument("local a = 1 for i = 1, 2 do a = a + i end return function() if a then return a end end", "x.lua")
  local env = setmetatable({}, { __index = function(_, name) t.ok(false, name .. " is read") end, __newindex = function(_, name) t.ok(false, name .. " is written") end })
  local hits = setmetatable({}, { __index = function() return 0 end })
  t.eq(load(with_counters, "=x", "t", env)(hits)()(), 4)
end)

-- Every line can raise: at(n) does when n is the line that is wanted.
local RAISING = [==[
local at = ...
at(2) local function f(a, ...)
  at(3)
  if at(4) then at(4) elseif at(4) or
    at(5) then
    at(6)
  else at(7)
    for i = at(8) or 1, at(8) or 2 do at(8)
      at(9) end
  end
  for _, x in ipairs { at(11),
    at(12) or 1,
  } do at(13) end
  while at(14) do end
  repeat local x = [[
]] .. (at(16) or "")
    goto next
    at(18)
    ::next::
  until at(20) or x
  local g = function() return (at(21))
  end
  g() --[[
  ]] at(24) do at(24)
    at(25) end
  return { at(26),
    at(27) }
end
function at_nothing() end
f(1)
at(31)
]==]

t.case("errors keep their lines", function()
  local with_counters, map = instrument.instrument(RAISING, "x.lua")
  local hits = setmetatable({}, { __index = function() return 0 end })
  local raised = 0
  for wanted = 1, 31 do
    local outcomes = {}
    for index, chunk in ipairs { load(RAISING, "=x.lua", "t", { ipairs = ipairs }), load(with_counters, "=x.lua", "t", { ipairs = ipairs })(hits) } do
      local ok, message = pcall(chunk, function(n)
        if n == wanted then error("here", 2) end
      end)
      outcomes[index] = tostring(ok) .. " " .. tostring(message)
    end
    t.eq(outcomes[2], outcomes[1])
    if outcomes[1]:find("false x.lua:" .. wanted .. ": here", 1, true) then raised = raised + 1 end
  end
  t.eq(raised, 18, "lines that can raise")
  t.ok(map.counters > 20)
end)

-- The text without what the counters add to it. None of that has a line break.
local function without_counters(text, original)
  text = text:gsub("^local __hit_*=%.%.%. return function%(%.%.%.%)", "")
  text = text:gsub(" else __hit_*%[%d+%]=__hit_*%[%d+%]%+1;end", "end"):gsub(" __hit_*%[%d+%]=__hit_*%[%d+%]%+1;", "")
  text = text:gsub(" do local __turn_*=false;", ""):gsub(" __turn_*=true;", ""):gsub(" if not __turn_* then end end ", "")
  -- What is left is the " end" of the function, behind the last statement.
  local same = 0
  while same < #original and text:byte(same + 1) == original:byte(same + 1) do same = same + 1 end
  return text:sub(1, same) .. text:sub(same + 1 + #" end")
end

t.case("every file of the repository stays what it was, in the same lines", function()
  local count = 0
  for _, file in ipairs(t.ok(paths.collect { "stdlib", "playbooks", "tests", "tools" })) do
    local path = file.path
    local text = assert(files.read(path))
    if load(text) then -- tests/playbooks/bad has some that are no Lua
      local with_counters, map = instrument.instrument(text, path)
      if t.ok(with_counters, map) then
        t.ok(load(with_counters, "=" .. path))
        t.ok(without_counters(with_counters, text) == text, path)
        local used = {}
        for _, place in ipairs(map.lines) do
          for _, counter in ipairs(place.counters) do used[counter] = true end
        end
        for _, branch in ipairs(map.branches) do used[branch.counter] = true end
        t.eq(#used, map.counters, path .. ": every counter is read, and no other")
      end
      count = count + 1
    end
  end
  t.ok(count > 150, count .. " files only")
end)

t.case("what cannot be counted is said", function()
  local value, err = instrument.instrument("return 1 +", "x.lua")
  t.err(value, err, "playbook")
  local many = {}
  for i = 1, 200 do many[i] = "local a" .. i end
  local full = table.concat(many, " ") .. "\n"
  t.ok(instrument.instrument(full .. "return a1", "x.lua"), "200 locals and nothing more")
  t.ok(load(full .. "for i = 1, a1 do end") == nil, "Lua itself needs room for a loop")
  many[200], many[199], many[198], many[197] = nil, nil, nil, nil
  full = table.concat(many, " ") .. "\n for i = a1, a2 do end"
  t.ok(load(full), "the loop has just enough room")
  value, err = instrument.instrument(full, "full.lua")
  t.err(value, err, "limit")
  t.has(err.message, "full.lua cannot be measured")
end)

-- A folder of sources that is in the search order, and leaves it with the case.
local function with_files(sources, fn)
  local folder = t.ok(files.mkdtemp "/tmp/engine-test-")
  local closer <close> = setmetatable({}, { __close = function()
    coverage.stop()
    files.remove_tree(folder)
  end })
  for name, text in pairs(sources) do t.ok(files.write(folder .. "/" .. name, text)) end
  core_search.add_folder(folder)
  fn(folder)
  return closer and nil
end

t.case("sources are loaded with counters, and remembered as they were", function()
  with_files({ ["coverage_part.lua"] = "local M = {}\nfunction M.double(n) return 2 * n end\nreturn M\n", ["main.lua"] = "local part = require 'coverage_part'\nif part.never then\n  return 0\nend\nreturn part.double(...)\n", ["other.lua"] = "return 1" }, function(folder)
    local asked = {}
    coverage.start(function(path)
      asked[#asked + 1] = path
      return not path:find "other"
    end)
    local main = t.ok(core_search.load_file(folder .. "/main.lua"))
    t.eq(core_search.sources()[#core_search.sources()].text, files.read(folder .. "/main.lua"))
    t.eq({ main(4), main(5) }, { 8, 10 })
    t.eq(core_search.load_file(folder .. "/other.lua")(), 1)
    t.ok(require "migrations")
    t.eq(asked, { folder .. "/main.lua", folder .. "/coverage_part.lua", folder .. "/other.lua" }, "nothing of the library")
    local report = coverage.report()
    t.eq({ report.lines, report.branches, #report.files, report.unmeasured }, { { executed = 6, total = 7 }, { executed = 2, total = 3 }, 2, {} })
    t.eq(coverage.text(report), ([[
%s/coverage_part.lua  lines 3/3 (100.0 %%)  branches 1/1 (100.0 %%)
%s/main.lua  lines 3/4 (75.0 %%)  branches 1/2 (50.0 %%)
  never: line 3
  never: line 2 then of `if part.never`
2 files  lines 6/7 (85.7 %%)  branches 2/3 (66.7 %%)
]]):format(folder, folder))
    t.eq(core_search.load_file(folder .. "/main.lua")(1), 2, "loaded again")
    t.eq(coverage.report().files[2].lines.list[1], { line = 1, count = 3 }, "it counts on")
    t.eq(report.files[2].lines.list[1], { line = 1, count = 2 }, "a report stays as it was")
    coverage.stop()
    t.eq(main(1), 2)
    t.eq(coverage.report().files[2].lines.list[1].count, 4, "what has counters goes on")
    t.ok(core_search.load_file(folder .. "/other.lua"))
    t.eq(#asked, 4)
    coverage.start()
    t.eq(coverage.report().files, {}, "from zero")
    t.ok(core_search.load_file(folder .. "/other.lua"))()
    t.eq(coverage.report().files[1].path, folder .. "/other.lua", "without a predicate, all")
  end)
end)

t.case("playbooks that are built in, and recorded ones, are counted too", function()
  local closer <close> = setmetatable({}, { __close = function()
    core_search.use_recorded {}
    coverage.stop()
  end })
  coverage.start()
  core_search.use_recorded { { name = "main", path = "somewhere/recorded.lua", text = "return 'recorded'" } }
  t.eq(core_search.load_recorded()(), "recorded")
  t.ok(require "rollback.full")
  t.eq({ coverage.report().files[1].path, coverage.report().files[#coverage.report().files].path }, { "playbooks/rollback/database.lua", "somewhere/recorded.lua" })
  return closer and nil
end)

t.case("a file near a limit runs uncounted, and one with an error is refused as ever", function()
  local many = {}
  for i = 1, 196 do many[i] = "local a" .. i end
  with_files({ ["full.lua"] = table.concat(many, " ") .. "\nfor i = 1, ... do end return 'ran'", ["bad.lua"] = "\nreturn 1 +", ["os.lua"] = "\nreturn os.exit()" }, function(folder)
    coverage.start()
    t.eq(t.ok(core_search.load_file(folder .. "/full.lua"))(2), "ran")
    local value, err = core_search.load_file(folder .. "/bad.lua")
    t.has(t.err(value, err, "playbook").message, folder .. "/bad.lua:2: ")
    value, err = core_search.load_file(folder .. "/os.lua")
    t.has(t.err(value, err, "sandbox").message, folder .. "/os.lua:2: ")
    local report = coverage.report()
    t.eq({ #report.files, #report.unmeasured, report.unmeasured[1].path }, { 0, 1, folder .. "/full.lua" })
    t.has(coverage.text(report), folder .. "/full.lua  not measured: ")
    t.eq(coverage.merge({ report, report }).unmeasured, report.unmeasured)
  end)
end)

t.case("a transform of one's own", function()
  with_files({ ["t.lua"] = "return name" }, function(folder)
    local path = folder .. "/t.lua"
    core_search.transform(function(text) return (text:gsub("name", "'changed'")) end)
    t.eq(core_search.load_file(path)(), "changed")
    core_search.transform(function() return "local given = ... return function(...) return given, name, ... end", "value" end)
    t.eq({ core_search.load_file(path, { name = "of its globals" })("argument") }, { "value", "of its globals", "argument" })
    core_search.transform(function() return "return 1 +" end)
    t.err(nil, select(2, core_search.load_file(path)), "playbook")
    core_search.transform(function() return "error 'no value'", 1 end)
    t.has(select(2, core_search.load_file(path)).message, "no value")
    core_search.transform(function() error "of the transform" end)
    t.has(select(2, core_search.load_file(path)).message, "of the transform")
    t.raises(function() core_search.transform "x" end, "function expected")
    t.raises(function() coverage.start "x" end, "takes a function")
    core_search.transform()
    t.eq(core_search.load_file(path, { name = "untouched" })(), "untouched")
  end)
end)

t.case("reports are plain data, and are added", function()
  local text = "local a = ...\nif a then\n  return 1\nend\nreturn function()\n  return 2\nend"
  local function report_of(path, ...)
    local with_counters, map = instrument.instrument(text, path)
    local hits = {}
    for counter = 1, map.counters do hits[counter] = 0 end
    local result = load(with_counters)(hits)(...)
    if not ... then t.eq(result(), 2) end
    return json.decode(json.encode(summary.report({ summary.file(map, hits, "h") }, {})))
  end
  local one, two = report_of("a.lua", true), report_of("a.lua", false)
  t.eq({ one.lines, two.lines }, { { executed = 3, total = 5 }, { executed = 4, total = 5 } })
  t.eq(one.files[1].lines.missed, { { from = 5, to = 6 } })
  local sum = coverage.merge { one, two, two, report_of("b.lua", true) }
  t.eq({ sum.lines, sum.branches, #sum.files }, { { executed = 8, total = 10 }, { executed = 4, total = 6 }, 2 })
  t.eq(sum.files[1].lines.list, { { line = 1, count = 3 }, { line = 2, count = 3 }, { line = 3, count = 1 }, { line = 5, count = 2 }, { line = 6, count = 2 } })
  t.eq(sum.files[1].branches.list[3], { kind = "function", line = 5, text = "function()", count = 2 })
  t.eq(one.files[1].lines.list[4].count, 0, "what was added is as it was")
  t.has(coverage.text(one), "  never: lines 5-6\n  never: line 2 else of `if a`\n  never: line 5 call of `function()`\n")
  t.eq(coverage.merge({}), coverage.merge({ coverage.merge({}) }))
end)

t.case("what is inside of what never ran is not told again", function()
  local with_counters, map = instrument.instrument("local function f(a)\n  if a then\n    for i = 1, a do a = i end\n  end\nend", "x.lua")
  local hits = {}
  for counter = 1, map.counters do hits[counter] = 0 end
  load(with_counters)(hits)()
  local file = summary.file(map, hits, "")
  t.eq({ file.branches.total, file.branches.list[3].inside, file.branches.list[2].inside, file.branches.list[1].inside }, { 5, 2, 1, nil })
  t.eq(coverage.text(summary.report({ file }, {})), "x.lua  lines 1/3 (33.3 %)  branches 0/5 (0.0 %)\n  never: lines 2-3\n  never: line 1 call of `f`\n1 file  lines 1/3 (33.3 %)  branches 0/5 (0.0 %)\n")
end)

t.case("rollback code is what stands in rollback/, and what steps have as their undo", function()
  local instrument, summary, rollback = require "coverage.instrument", require "coverage.summary", require "coverage.rollback"
  local text = [[
local function take_back(d) if d then d() end end
step { "a", undo = take_back }
step { "b", undo = function() for _ = 1, 2 do local again = function() end again() end end }
step { "c", run = function() return { undo = other } end }
]]
  local function words(path)
    local _, map = instrument.instrument(text, path)
    local zeros = {}
    for counter = 1, map.counters do zeros[counter] = 0 end
    local report = summary.report({ summary.file(map, zeros, "") }, {})
    local all, never = {}, {}
    for i, branch in ipairs(rollback.branches(report)) do all[i] = ("%d %s %s"):format(branch.line, branch.kind, branch.text) end
    for i, branch in ipairs(rollback.never(summary.report({ summary.file(map, zeros, "") }, {}))) do never[i] = branch.words end
    return all, never
  end
  local all, never = words "stage30/blue_green.lua"
  t.eq(all, { "1 function take_back", "1 then if d", "1 else if d", "3 function undo", "3 loop for _ = 1, 2", "3 function again" })
  t.eq(never, { "line 1 call of `take_back`", "line 3 call of `undo`" })
  t.eq(#words "venture/rollback/full.lua", 7)
  t.eq(#words "rollback.lua", 7)
  t.eq(#words "xrollback/full.lua", 6)
end)
