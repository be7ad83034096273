local t = require "test"

local description = { type = "record", keys = {
  name = { type = "string", required = true },
  size = { type = "integer", default = 3, min = 1, max = 9 },
  mode = { type = "string", one_of = { "a", "b" } },
  list = { type = "list", items = { type = "number" } },
  table_name = { type = "string", pattern = "^%a+$", must_be = "a word" },
  inner = { type = "record", fill = true, keys = { on = { type = "boolean", default = true } } },
} }

local function problems(value)
  local texts = {}
  for i, problem in ipairs(schema.check(value, description)) do texts[i] = schema.path_text(problem.path) .. ": " .. problem.text end
  return table.concat(texts, "; ")
end

t.case("defaults are filled, also in what is not there", function()
  local value = { name = "x" }
  t.eq(problems(value), "")
  t.eq({ value.size, value.inner.on }, { 3, true })
end)

t.case("each mistake is named with its place", function()
  t.has(problems {}, "'name' is missing")
  t.has(problems { name = 5 }, "name: must be a string, but is number")
  t.has(problems { name = "x", size = 10 }, "size: must be from 1 to 9")
  t.has(problems { name = "x", size = 1.5 }, "size: must be an integer")
  t.has(problems { name = "x", mode = "c" }, "mode: must be one of a, b, but is 'c'")
  t.has(problems { name = "x", list = { 1, "two" } }, "list[2]: must be a number")
  t.has(problems { name = "x", list = { a = 1 } }, "does not belong there")
  t.has(problems { name = "x", table_name = "a; DROP" }, "'a; DROP' is not a word")
  t.has(problems { name = "x", inner = { onn = true } }, "inner.onn: unknown key 'onn'; did you mean 'on'?")
end)

t.case("a key's line is found through its path", function()
  local source = "return {\n  a = { url = 1 },\n  b = {\n    url = 2,\n  },\n}\n"
  t.eq(schema.line_of(source, { "a", "url" }), 2)
  t.eq(schema.line_of(source, { "b", "url" }), 4)
  t.eq(schema.line_of(source, { "nothing" }), 1)
end)

t.case("a suggestion keeps something of the word", function()
  t.eq(schema.nearest("x", { id = true, to = true }), nil)
  t.eq(schema.nearest("ab", { cd = true }), nil)
  t.eq(schema.nearest("siz", { size = true }), "size")
end)

t.case("numbers in quotation marks are told how to be written", function()
  local number = { type = "record", keys = { n = { type = "number" }, port = { type = "port" } } }
  local function text(value) return schema.check({ n = value }, number)[1].text end
  t.has(text "5%", "write 0.05, which is 5 %")
  t.has(text "2h", "write 7200, in seconds, or hours(2)")
  t.has(text "500ms", "write 500")
  t.has(text "7", "write 7")
  t.eq(text "many", "must be a number, but is string")
  t.eq(schema.check({ port = 5514 }, number), {})
  t.eq(schema.check({ port = "5514" }, number), {})
end)
