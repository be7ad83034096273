--- test: cases and checks for Lua test files (`engine test-file FILE...`).
--
--     local t = require "test"
--     t.case("adds", function() t.eq(1 + 1, 2) end)

local core_err = require "core.err"
local inspect = require "inspect"
local search = require "core.search"
local task = require "task"

local M = {}

local cases, failures, current
local CASE_DEADLINE_S = 60

local function note(level, text)
  local _, _, where = tostring(select(2, pcall(error, "", level + 2))):find "^(.-):%s*$"
  failures[#failures + 1] = ("%s: %s"):format(where or current, text)
end

--- Declares a case. It runs later, as a task of its own, within a deadline (seconds, default 60).
function M.case(name, fn, seconds) cases[#cases + 1] = { name = name, fn = fn, seconds = seconds or CASE_DEADLINE_S } end

--- actual must equal expected, tables by content.
function M.eq(actual, expected, why)
  local a, x = inspect.text(actual), inspect.text(expected)
  if a ~= x then note(1, ("%s%s, expected %s"):format(why and why .. ": " or "", a, x)) end
  return a == x
end

--- value must be true or at least not nil or false; an error beside a nil is shown.
function M.ok(value, why)
  if not value then note(1, tostring(why or "not true")) end
  return value
end

--- `nil, err` with this code is expected.
function M.err(value, err, code)
  if value ~= nil then return note(1, "expected an error " .. code .. ", got " .. inspect.text(value)) end
  if not core_err.is(err) then return note(1, "expected an error table, got " .. inspect.text(err)) end
  if err.code ~= code then note(1, ("expected error %s, got %s"):format(code, tostring(err))) end
  return err
end

--- fn must raise, and the text must contain the plain text `part`.
function M.raises(fn, part)
  local ok, err = task.scope("raises", nil, fn)
  if ok then return note(1, "expected it to raise") end
  if part and not tostring(err):find(part, 1, true) then note(1, ("raised %s, expected %q in it"):format(tostring(err), part)) end
  return err
end

--- text must contain the plain text `part`.
function M.has(text, part)
  if type(text) ~= "string" or not text:find(part, 1, true) then
    note(1, ("%s lacks %q"):format(inspect.text(text), part))
  end
end

local function run_case(case)
  current, failures = case.name, {}
  local ok, err = task.scope(case.name, case.seconds, case.fn)
  if not ok then failures[#failures + 1] = tostring(err) .. "\n" .. tostring(err.traceback or "") end
  if #failures == 0 then return true end
  print("FAILED " .. case.name)
  for _, text in ipairs(failures) do print("  " .. text) end
  return false
end

--- Runs test files, or with --case NAME only that case of them. Exit code 0 when all cases passed and there was one.
function M.main(argv)
  local passed, failed, only = 0, 0, nil
  if argv[1] == "--case" then only, argv = argv[2], { table.unpack(argv, 3) } end
  for _, path in ipairs(argv) do
    cases = {}
    local chunk, err = search.load_file(path)
    if not chunk then error(err, 0) end
    chunk()
    for _, case in ipairs(cases) do
      if not only or case.name == only then
        if run_case(case) then passed = passed + 1 else failed = failed + 1 end
      end
    end
  end
  print(("%d passed, %d failed"):format(passed, failed))
  return (failed > 0 or passed == 0) and 1 or 0
end

return M
