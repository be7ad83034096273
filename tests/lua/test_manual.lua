-- The chapter "Trying a playbook" of docs/playbooks.md does what it says: its files are written, its commands are run, its tables have everything.
local t = require "test"
local description = require "simulation.description"

local ENGINE = process.self().exe

local function chapter()
  local text = t.ok(files.read "docs/playbooks.md")
  return t.ok(text:match "\n(## Trying a playbook\n.-)\n## ", "there is no such chapter")
end

t.case("its files and commands", function()
  local text = chapter()
  local folder = t.ok(files.mkdtemp "/tmp/engine-manual-")
  local venture = folder .. "/venture"
  t.ok(files.mkdir(venture .. "/rollback"))
  for _, name in ipairs { "venture.lua", "rollback.md" } do t.ok(files.write(venture .. "/" .. name, t.ok(files.read("playbooks/demo/venture/" .. name)))) end
  local written, ran = 0, 0
  for path, body in text:gmatch "```lua\n%-%- ([%w_./]+)\n(.-)```" do
    t.ok(files.write(venture .. "/" .. path, body))
    written = written + 1
  end
  for command in text:gmatch "\n    build/engine ([^\n]+)" do
    local argv = { ENGINE }
    for word in command:gsub("/tmp/world", folder):gmatch "%S+" do argv[#argv + 1] = word end
    local ended = t.ok(process.run { argv = argv, timeout = 280 })
    t.eq(ended.code, 0, command .. "\n" .. ended.stdout)
    if argv[2] == "test" then t.has(ended.stdout, "errors above the limit take traffic back") end
    ran = ran + 1
  end
  t.ok(files.remove_tree(folder))
  t.eq({ written, ran }, { 2, 3 })
end, 290)

t.case("its table has every kind of fault with its fields", function()
  local text = t.ok(chapter():match "\n### What goes wrong\n(.-)\n###")
  for kind, fault in pairs(description.faults) do
    local row = t.ok(text:match("\n(| [^|\n]*`" .. kind .. "`[^\n]*)"), kind)
    for field in pairs(fault.fields) do t.ok(row and row:find("`" .. field .. "`", 1, true), kind .. " has " .. field) end
  end
end)
