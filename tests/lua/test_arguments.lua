local t = require "test"

local descriptions = { release = { required = true, about = "which" }, n = { type = "integer" }, fast = { type = "boolean" }, mode = { one_of = { "a", "b" }, default = "a" }, two_words = {} }

t.case("the ways to give an option", function()
  local a = t.ok(arguments.parse({ "word", "--release", "1.0", "--n=4", "--fast", "--two-words", "x" }, descriptions))
  t.eq({ a.words[1], a.release, a.n, a.fast, a.mode, a.two_words }, { "word", "1.0", 4, true, "a", "x" })
end)

t.case("each mistake is a usage error that says which", function()
  local rows = {
    { { }, "--release is missing: which" },
    { { "--relase", "1" }, "did you mean --release" },
    { { "--release" }, "--release needs a value" },
    { { "--release", "1", "--n", "x" }, "--n takes a whole number, not 'x'" },
    { { "--release", "1", "--release", "2" }, "given twice" },
    { { "--release", "1", "--mode", "c" }, "--mode must be one of a, b" },
    { { "--release", "1", "-x" }, "unknown option -x" },
    { { "--release", "1", "--fast=maybe" }, "takes no value" },
  }
  for _, row in ipairs(rows) do
    local value, err = arguments.parse(row[1], descriptions)
    err = t.err(value, err, "usage")
    t.has(err.message, row[2])
  end
end)

t.case("a venture's file where its folder is meant, and a folder without its option", function()
  local of_venture = { venture = { value = "DIR", required = true, about = "the folder" } }
  local function err_of(...)
    local value, err = arguments.parse({ ... }, of_venture, "engine config --help")
    return t.err(value, err, "usage")
  end
  local err = err_of("--venture", "shop/venture.lua")
  t.eq({ err.message, err.next }, { "--venture takes a folder, and shop/venture.lua is a file in one", "Give its folder: --venture shop" })
  t.eq(err_of("--venture=venture.lua").next, "Give its folder: --venture .")
  t.eq(err_of("playbooks").next, "engine config --venture playbooks")
  t.eq(err_of("playbooks/venture.lua").next, "engine config --venture playbooks")
  t.eq(err_of("canary.watch").next, "engine config --help")
end)
