-- The library's own tests with counters in the modules that they test: whatever they look at is as it is without.
local t = require "test"
local core_search = require "core.search"

-- Not schema: the table of commands needs it before this file begins.
local TESTS = { "arguments", "check", "health", "journal", "json", "net", "prometheus", "retention", "secret", "sql", "traffic" }

-- By this path the sources are not those of the library, which are never counted.
core_search.add_folder "./stdlib"
coverage.start()
for _, name in ipairs(TESTS) do assert(core_search.load_file("tests/lua/test_" .. name .. ".lua"))() end

t.case("they were counted", function()
  local files_by_path = {}
  for _, file in ipairs(coverage.report().files) do files_by_path[file.path] = file end
  for _, name in ipairs { "check/examine", "health", "journal", "json", "prometheus", "sql", "traffic/haproxy" } do
    local file = files_by_path["./stdlib/" .. name .. ".lua"]
    t.ok(file and file.lines.executed > file.lines.total * 0.7, name .. " has run")
  end
  for _, name in ipairs(TESTS) do t.ok(files_by_path["tests/lua/test_" .. name .. ".lua"], name) end
end)
