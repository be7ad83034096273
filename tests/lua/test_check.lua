-- Every file of tests/playbooks/bad says in its own comments what must be found in it: `-- expect LINE:COLUMN `text` message`,
-- where text is what the carets are under. Nothing else may be found.
local t = require "test"
local check_command = require "check_command"
local examine = require "check.examine"
local inspect = require "inspect"
local suggest = require "check.suggest"
local types = require "check.types"

local BAD = "tests/playbooks/bad"

local function expectations(path, out)
  for line, column, marked, message in assert(files.read(path)):gmatch "%-%- expect (%d+):(%d+) `([^\n]-)` ([^\n]+)" do
    out[#out + 1] = { path = path, line = tonumber(line), column = tonumber(column), marked = marked, message = message }
  end
end

-- What stands above the carets.
local function marked(finding)
  local first = utf8.offset(finding.excerpt, finding.column)
  local size = #finding.carets:match "%^+$"
  return finding.excerpt:sub(first, utf8.offset(finding.excerpt, size + 1, first) - 1)
end

local function compare(paths, wanted)
  local result = t.ok(examine.examine(paths))
  for _, finding in ipairs(result.findings) do
    local met
    for index, each in ipairs(wanted) do
      if each.path == finding.path and each.line == finding.line and each.column == finding.column and finding.message:find(each.message, 1, true) then
        t.eq(marked(finding), each.marked, ("%s:%d:%d"):format(finding.path, finding.line, finding.column))
        met = index
        break
      end
    end
    if met then table.remove(wanted, met) else t.ok(false, "unexpected:\n" .. check_command.text(finding)) end
    t.ok(finding.fix:find "^[%u`].*%.$" or finding.fix:find "^%u.*%.%.%.$", "advice is a sentence: " .. finding.fix)
  end
  for _, each in ipairs(wanted) do t.ok(false, "not found: " .. inspect.text(each)) end
  return result
end

for _, name in ipairs(assert(files.list(BAD))) do
  t.case("bad: " .. name, function()
    local path = BAD .. "/" .. name
    local wanted = {}
    if name:find "%.lua$" then
      expectations(path, wanted)
    else
      for _, file in ipairs(assert(require("check.paths").collect { path })) do expectations(file.path, wanted) end
    end
    t.ok(#wanted > 0, "the file expects nothing")
    compare({ path }, wanted)
  end)
end

t.case("the library and the stock playbooks are clean", function()
  local result = compare({ "playbooks", "stdlib" }, {})
  t.eq(result.overrides, {})
  t.ok(result.files > 90)
end)

t.case("a venture's parts say what they replace", function()
  local venture = "tests/e2e/ventures/override"
  local result = t.ok(examine.examine({ "playbooks/stage30.lua" }, venture))
  t.eq(result.findings, {})
  t.eq(result.overrides, { { module = "stage30.pre_deployment", path = venture .. "/stage30/pre_deployment.lua", replaces = "playbooks/stage30/pre_deployment.lua" } })
end)

t.case("a part finds the modules of the venture around it", function()
  local folder = assert(files.mkdtemp())
  files.mkdir(folder .. "/stage30")
  files.write(folder .. "/venture.lua", "return {}\n")
  files.write(folder .. "/freeze.lua", "local M = {}\nfunction M.look() end\nreturn M\n")
  files.write(folder .. "/stage30/gates.lua", "return function() freeze.look() freeze.lok() end\n")
  local result = t.ok(examine.examine { folder .. "/stage30/gates.lua" })
  t.eq(#result.findings, 1)
  t.eq(result.findings[1].message, "freeze has no 'lok'; did you mean 'look'?")
  files.remove_tree(folder)
end)

t.case("a module that adds to itself in other ways is not judged", function()
  local folder = assert(files.mkdtemp())
  files.write(folder .. "/a.lua", "local M = {}\nfor _, n in ipairs { 'x' } do M[n] = 1 end\nreturn M\n")
  files.write(folder .. "/b.lua", "return setmetatable({}, { __index = string })\n")
  files.write(folder .. "/main.lua", "local a, b = require 'a', require 'b'\nreturn playbook { name = 'm', run = function() return a.y, b.z end }\n")
  t.eq(t.ok(examine.examine { folder }).findings, {})
  files.remove_tree(folder)
end)

t.case("a parameter that is only called d is not taken for a deployment", function()
  local registry = require("check.registry").new {}
  local subject = require("check.subject").of_text("x.lua", "local function f(d) return d:date() end\nreturn function(run, d) f(1) d:dat() run:sya() end\n", registry)
  require("check.file").check(subject)
  t.eq(#subject.findings, 2)
  t.eq(subject.findings[1].message, "the deployment 'd' has no method 'dat'")
end)

t.case("the exit code: 0, 2 for errors, warnings only when strict", function()
  local said, real = {}, print
  rawset(_G, "print", function(text) said[#said + 1] = tostring(text) end)
  local function run(...)
    said = {}
    return check_command.main { ... }
  end
  local clean, clean_said = run("playbooks/rollback"), said[1]
  local warned, warned_said = run("playbooks/demo.lua", "--strict"), #said
  local bad, bad_said = run(BAD .. "/syntax_compare.lua"), said
  local machine, machine_said = run(BAD .. "/syntax_compare.lua", "--json"), said[1]
  local missing, nothing, typo = run "no/such", run(), run("x", "--stritc")
  rawset(_G, "print", real)
  t.eq({ clean, warned, bad, machine, missing, nothing, typo }, { 0, 0, 2, 2, 2, 2, 2 })
  t.eq(clean_said, "8 files checked: 0 errors, 0 warnings")
  t.eq(warned_said, 1)
  t.eq(bad_said[1], BAD .. "/syntax_compare.lua:1:12: 'then' expected near '='\n  if release = \"4.9.0\" then return end\n             ^\n  fix: Compare with `==`.")
  t.eq(json.decode(machine_said).column, 12)
end)

t.case("a password in a line is not shown", function()
  local finding = { path = "venture.lua", line = 1, column = 1, message = "m", fix = "F.", severity = "warning", excerpt = "url = 'postgres://a:secret@b/c', x = 1", carets = "^" }
  t.has(check_command.text(finding), "url = 'postgres://a:******@b/c', x = 1")
end)

t.case("warnings alone are no failure unless strict", function()
  local folder = assert(files.mkdtemp())
  files.write(folder .. "/x.lua", "local json = require 'json'\nreturn playbook { name = 'x', run = function() end }\n")
  local real = print
  rawset(_G, "print", function() end)
  local plain, strict = check_command.main { folder }, check_command.main { folder, "--strict" }
  rawset(_G, "print", real)
  t.eq({ plain, strict }, { 0, 2 })
  files.remove_tree(folder)
end)

t.case("suggestions are near, and none is better than a silly one", function()
  local names = { set = 1, get = 1, open = 1, traffic = 1 }
  t.eq({ suggest.near("sett", names), suggest.near("opne", names), suggest.near("trafic", names) }, { "set", "open", "traffic" })
  t.eq(suggest.near("x", names), nil)
  t.eq(suggest.near("zz", names), nil)
  t.eq(suggest.near("something_else", names), nil)
end)

t.case("types of annotations are read", function()
  local function kind(text) return types.parse(text).kind end
  t.eq({ kind "string words", kind "string?", kind "table<string, integer>", kind "fun(a: b): c, d?", kind "(fun(): any)[]", kind "a|b", kind "SomeClass" },
    { "string", "union", "map", "function", "list", "union", "any" })
  local record = types.parse "{ run: fun(a: { x: integer }): string, integer?, [1]: string, last?: \"a\"|\"b\", more: { y: number }[] } and words"
  t.eq({ record.kind, record.keys.run.type.kind, record.keys[1].type.kind, record.keys.last.optional, record.keys.more.type.item.keys.y.type.kind },
    { "record", "function", "string", true, "number" })
  t.ok(types.parse("{ words: string[], [string]: any }").open)
end)

t.case("every annotation of the library can be read", function()
  local registry = require "check.registry"
  local all, count = registry.new {}, 0
  for name in pairs(registry.built_in_modules()) do
    local found = all:module(name)
    for key, export in pairs(found.exports) do
      for parameter in pairs(export.parameters or {}) do
        local known = false
        for _, each in ipairs(export.fn.params) do known = known or each.name == parameter end
        t.ok(known, ("%s.%s has no parameter '%s'"):format(name, key, parameter))
        count = count + 1
      end
    end
  end
  t.ok(count > 150, count .. " parameters only")
end)
