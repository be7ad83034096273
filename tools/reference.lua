-- Writes docs/reference/: one page a library module, from the comments in stdlib/, one page of the commands,
-- one of the configuration's keys, one of the error codes. `engine tools/reference.lua --check` changes nothing and fails when a page would change.

local annotations = require "check.annotations"
local arguments = require "arguments"
local core_err = require "core.err"

local function render(module, opening, functions)
  local out = { "# " .. module, "" }
  local first = table.remove(opening, 1) or ""
  out[#out + 1] = (first:gsub("^[%w_.]+: ", ""))
  for _, line in ipairs(opening) do out[#out + 1] = line end
  for _, fn in ipairs(functions) do
    local shown = fn.name:gsub("^M%.", module .. "."):gsub("^db_methods:", "db:"):gsub("^words%.", "")
    out[#out + 1] = ""
    out[#out + 1] = ("## `%s%s`"):format(shown, fn.arguments)
    out[#out + 1] = ""
    local details = {}
    for _, line in ipairs(fn.lines) do
      local kind, rest = line:match "^@(%a+)%s*(.*)$"
      if kind == "param" then details[#details + 1] = "- " .. rest:gsub("^(%S+)%s+", "**%1** ")
      elseif kind == "return" then details[#details + 1] = "- returns " .. rest
      elseif kind == "effect" or kind == "undo" then details[#details + 1] = ("- %s: %s"):format(kind, rest)
      elseif kind == "usage" or kind == "example" then details[#details + 1] = "\n```lua\n" .. rest .. "\n```"
      elseif not kind then out[#out + 1] = line end
    end
    if details[1] then
      out[#out + 1] = ""
      for _, line in ipairs(details) do out[#out + 1] = line end
    end
  end
  return table.concat(out, "\n") .. "\n"
end

local function modules(folder, prefix, found)
  for _, name in ipairs(expect(files.list(folder))) do
    local path = folder .. "/" .. name
    if expect(files.stat(path)).type == "directory" then modules(path, prefix .. name .. ".", found)
    elseif name:match "%.lua$" then found[#found + 1] = { name = prefix .. name:gsub("%.lua$", ""), path = path } end
  end
  table.sort(found, function(a, b) return a.name < b.name end)
  return found
end

local function describe_keys(keys, prefix, out)
  local names = {}
  for name in pairs(keys) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local key = keys[name]
    local default = key.default
    if type(default) == "table" then default = "{ " .. table.concat(default, ", ") .. " }" end
    out[#out + 1] = ("| `%s%s` | %s%s | %s | %s |"):format(prefix, name, key.type, key.one_of and " (" .. table.concat(key.one_of, ", ") .. ")" or "", default ~= nil and tostring(default) or key.required and "**required**" or "", key.about or "")
    if key.type == "record" and key.keys and prefix == "" then describe_keys(key.keys, name .. ".", out) end
  end
end

local function configuration_page()
  local schema = require "configuration_schema"
  local out = { "# venture.lua", "", "The keys of a venture's configuration. Times are in seconds, shares from 0 to 1.", "", "| key | type | default | meaning |", "| --- | --- | --- | --- |" }
  describe_keys(schema.venture.keys, "", out)
  out[#out + 1] = "\n## A check\n\nThe lists gates, health, smoke, flows, invariants, dependencies and monitoring hold checks; each has exactly one kind.\n"
  out[#out + 1] = "| key | type | default | meaning |\n| --- | --- | --- | --- |"
  describe_keys(schema.check.keys, "", out)
  return table.concat(out, "\n") .. "\n"
end

local function errors_page()
  local out = { "# Error codes", "", "`engine explain CODE` prints the same.", "", "| number | code | meaning | what to do | may succeed later |", "| --- | --- | --- | --- | --- |" }
  local causes = { "", "## What brings them about" }
  for _, info in ipairs(core_err.codes()) do
    out[#out + 1] = ("| %s | `%s` | %s | %s | %s |"):format(info.number, info.code, info.about, info.next, info.retryable and "yes" or "no")
    causes[#causes + 1] = ("\n### %s `%s`\n"):format(info.number, info.code)
    for _, one in ipairs(require("explain.codes")[info.code]) do causes[#causes + 1] = ("- %s %s"):format(one[1], one[2]) end
  end
  return table.concat(out, "\n") .. "\n" .. table.concat(causes, "\n") .. "\n"
end

local function options_table(out, descriptions)
  local names = arguments.names(descriptions)
  if not names[1] then return end
  out[#out + 1] = "\n| option | meaning |\n| --- | --- |"
  for _, name in ipairs(names) do
    out[#out + 1] = ("| `%s` | %s |"):format(arguments.option_text(name, descriptions[name]):gsub("|", "\\|"), (arguments.about(descriptions[name]):gsub("|", "\\|")))
  end
end

-- The same table of commands that help, completion and the manual page are made of.
local function commands_page()
  local commands, help = require "commands", require "commands.help"
  local out = { "# Commands", "", "`engine COMMAND --help` and `engine man` print the same." }
  for _, command in ipairs(commands.all) do
    out[#out + 1] = ("\n## `%s`\n\n%s"):format(help.call(command), command.about)
    for _, part in ipairs(command.parts and command.parts() or {}) do out[#out + 1] = ("\n- `%s`: %s"):format(help.call(command, part), part.about) end
    options_table(out, commands.options(command))
  end
  out[#out + 1] = "\n## Exit codes\n\n| code | meaning |\n| --- | --- |"
  for _, one in ipairs(commands.exits) do out[#out + 1] = ("| %d | %s |"):format(one[1], one[2]) end
  out[#out + 1] = "\n## Environment\n\n| variable | meaning |\n| --- | --- |"
  for _, one in ipairs(commands.environment) do out[#out + 1] = ("| `%s` | %s |"):format(one[1], one[2]) end
  return table.concat(out, "\n") .. "\n"
end

local function fields_table(fields, out)
  out[#out + 1] = "| field | type | default | meaning |\n| --- | --- | --- | --- |"
  for name, field in require("check.suggest").sorted(fields) do
    local default = field.default
    if type(default) == "table" then default = inspect.text(default) end
    out[#out + 1] = ("| `%s` | %s%s | %s | %s |"):format(name, field.type, field.one_of and #field.one_of < 10 and " (" .. table.concat(field.one_of, ", ") .. ")" or "", default ~= nil and tostring(default) or field.required and "**required**" or "", field.about or "")
  end
end

local function world_page()
  local description, trial, seen = require "simulation.description", require "trial", require "trial.seen"
  local out = { "# Simulated worlds", "", "What can be said of a world, in a test and to `engine simulate --world`. Times are in seconds, shares from 0 to 1.", "" }
  fields_table(description.world, out)
  out[#out + 1] = "\n## Only in a test\n\n| field | meaning |\n| --- | --- |"
  for name, about in require("check.suggest").sorted(trial.fields) do out[#out + 1] = ("| `%s` | %s |"):format(name, about) end
  out[#out + 1] = "\n## A fault\n\nEvery fault has a `kind`, and may say when it is there:\n"
  fields_table(description.time, out)
  for kind, fault in require("check.suggest").sorted(description.faults) do
    out[#out + 1] = ("\n### %s\n\n%s%s."):format(kind, fault.about:sub(1, 1):upper(), fault.about:sub(2))
    if next(fault.fields) then
      out[#out + 1] = ""
      fields_table(fault.fields, out)
    end
  end
  out[#out + 1] = ("\nOperations are: %s."):format(table.concat(description.operations, ", "))
  out[#out + 1] = "\n## What `seen:expect` compares\n\n| field | meaning |\n| --- | --- |"
  for _, field in ipairs(seen.fields) do out[#out + 1] = ("| `%s` | %s |"):format(field[1], field[2]) end
  out[#out + 1] = "\n## What must be true of every world\n"
  for _, invariant in ipairs(require("simulation.invariants").all) do out[#out + 1] = "- " .. invariant[1] end
  return table.concat(out, "\n") .. "\n"
end

return playbook {
  name = "reference",
  about = "Writes docs/reference from the annotated library",
  args = {
    check = { type = "boolean", about = "change nothing; fail when a page is not what it would be" },
    to = { type = "string", default = "docs/reference", about = "the folder" },
  },
  run = function(run)
    local pages = { ["venture.md"] = configuration_page(), ["errors.md"] = errors_page(), ["world.md"] = world_page() }
    -- A page beside the one of the module that holds the table.
    pages["command-line.md"] = commands_page()
    local index = { "# Reference", "", "Made from the library's own comments by `make docs`.", "", "- [commands](command-line.md)", "- [venture.lua](venture.md)", "- [error codes](errors.md)", "- [simulated worlds](world.md)" }
    for _, module in ipairs(modules("stdlib", "", {})) do
      local opening, functions = annotations.read(expect(files.read(module.path)))
      pages[module.name .. ".md"] = render(module.name, opening, functions)
      index[#index + 1] = ("- [%s](%s.md)"):format(module.name, module.name)
    end
    pages["README.md"] = table.concat(index, "\n") .. "\n"
    local stale = {}
    for name, text in pairs(pages) do
      local path = run.args.to .. "/" .. name
      if files.read(path) ~= text then stale[#stale + 1] = name end
      if not run.args.check then
        expect(files.mkdir(run.args.to))
        expect(files.write(path, text, tonumber("644", 8)))
      end
    end
    if run.args.check and stale[1] then
      table.sort(stale)
      fail("check", "not what the library says: " .. table.concat(stale, ", "), { next = "Run make docs and commit docs/reference." })
    end
  end,
}
