--- cli: the commands of the engine. Each returns its exit code.

local M = {}

--- `engine -e CHUNK`: an expression's value is printed; otherwise the chunk runs.
function M.evaluate(argv)
  local search = require "core.search"
  local inspect = require "inspect"
  local chunk = search.load_text("return " .. argv[1], "chunk")
  local err
  if not chunk then chunk, err = search.load_text(argv[1], "chunk") end
  if not chunk then error(err, 0) end
  local results = table.pack(chunk(table.unpack(argv, 2)))
  for i = 1, results.n do print(inspect.display(results[i])) end
  if results.n >= 2 and results[1] == nil and require("core.err").is(results[2]) then return 1 end
  return 0
end

local commands = {
  { "help", "", "this list", function() return M.help() end },
  { "test-file", "FILE...", "run Lua test files", function(argv) return require("test").main(argv) end },
}

--- `engine help`
function M.help()
  print "usage: engine PLAYBOOK.lua [options]"
  for _, command in ipairs(commands) do print(("       engine %-12s %-24s %s"):format(command[1], command[2], command[3])) end
  return 0
end

--- Everything else: the first word is a command or a playbook.
function M.main(argv)
  local name = argv[1]
  for _, command in ipairs(commands) do
    if command[1] == name then return command[4] { table.unpack(argv, 2) } end
  end
  M.help()
  return 2
end

return M
