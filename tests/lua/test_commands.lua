-- The table of commands, and what is made of it: help, completion and the manual page name every command and every option.

local arguments = require "arguments"
local commands = require "commands"
local completion = require "completion"
local core_err = require "core.err"
local help = require "commands.help"
local manual = require "manual"
local t = require "test"

local function each_option(fn)
  for _, command in ipairs(commands.all) do
    for name, option in pairs(commands.options(command)) do fn(command, name, option) end
  end
end

local function words_of(words)
  local found = {}
  for _, one in ipairs(completion.candidates(words)) do found[one[1]] = one[2] end
  return found
end

t.case("every command, part, word and option says what it is", function()
  local seen = {}
  for _, command in ipairs(commands.all) do
    t.ok(not seen[command.name], command.name .. " is there twice")
    seen[command.name] = true
    t.ok(command.about and #command.about > 10 and command.run, command.name)
    for _, word in ipairs(command.words) do
      for _, choice in ipairs(commands.read_word(word).choices) do t.ok(choice:find "%l" or commands.words[choice], command.name .. ": " .. choice) end
    end
    for _, part in ipairs(command.parts and command.parts() or {}) do
      local options = commands.options(command)
      for _, name in ipairs(part.options) do t.ok(options[name], ("%s %s: --%s"):format(command.name, part.name, name)) end
      for _, name in ipairs(part.needs) do t.ok(commands.options(command, part)[name], ("%s %s needs --%s"):format(command.name, part.name, name)) end
    end
  end
  each_option(function(command, name, option) t.ok(option.about and #option.about > 4, ("engine %s --%s has no meaning"):format(command.name, name)) end)
end)

t.case("help and the manual page have every command and every option", function()
  local page, list = manual.text(), help.list()
  for _, command in ipairs(commands.all) do
    t.has(list, help.call(command))
    t.has(page, (".SS " .. help.call(command)):gsub("%-", "\\-"):gsub("^%.SS ", ".SS "))
  end
  each_option(function(command, name, option)
    if not command.parts then t.has(help.text(command), arguments.option_text(name, option)) end
    t.has(page, "\\-\\-" .. name:gsub("_", "\\-"))
  end)
  for _, one in ipairs(commands.exits) do t.has(page, "\\fB" .. one[1] .. "\\fR") end
end)

t.case("every option of a backup belongs to a part", function()
  local command = commands.find "backup"
  local used = {}
  for _, part in ipairs(command.parts()) do for _, name in ipairs(part.options) do used[name] = true end end
  for name in pairs(commands.options(command)) do t.ok(used[name], "--" .. name) end
end)

t.case("completion: commands, options, values, words", function()
  local found = words_of { "" }
  for _, command in ipairs(commands.all) do t.ok(found[command.name], command.name) end
  t.ok(found["playbooks/stage30.lua"] and found[":lua"])
  found = words_of { "rollback", "--" }
  for name in pairs(commands.options(commands.find "rollback")) do t.ok(found["--" .. name:gsub("_", "-")], name) end
  t.eq(words_of { "rollback", "--type", "" }, { traffic = "", database = "", full = "" })
  t.eq(words_of { "rollback", "--type", "full", "--ty" }, {}, "what is given already is not offered again")
  t.eq(words_of { "status", "--venture", "" }, { [":folders"] = "" })
  t.eq(words_of { "backup", "ver" }.verify ~= nil, true)
  t.eq(words_of { "backup", "verify", "--" }, { ["--checksum"] = commands.options(commands.find "backup").checksum.about })
  t.eq(words_of { "explain", "backup_c" }.backup_corrupt ~= nil, true)
  t.eq(words_of { "handoff", "" }, { accept = "" })
  t.eq(words_of { "completion", "z" }, { zsh = "" })
  t.ok(words_of({ "playbooks/stage30.lua", "--rel" })["--release"], "what the playbook itself takes")
  t.eq(words_of { "nonsense", "" }, {})
end)

t.case("words that are missing, too many or misspelt", function()
  local function wrong(name, ...) return commands.check_words(commands.find(name), { ... }) end
  t.eq(wrong("status"), nil)
  t.eq(wrong("test", "a", "b", "c"), nil)
  t.eq(wrong("approve").message, "approve needs a run")
  t.eq(wrong("simulate").message, "simulate needs a playbook")
  t.eq(wrong("handoff", "accept").message, "handoff accept needs a run")
  t.eq(wrong("handoff", "acept", "x").message, "handoff needs 'accept', not 'acept'; did you mean 'accept'?")
  t.eq(wrong("log", "a", "b").message, "'b' is not expected after engine log a")
  t.eq(wrong("log", "a", "b").next, "engine log --help")
end)

t.case("every error code has causes and what to do about them, and nothing else has", function()
  local known = {}
  for _, info in ipairs(core_err.codes()) do
    known[info.code] = true
    local causes = t.ok(require("explain.codes")[info.code], info.code) or {}
    t.ok(#causes > 0, info.code)
    for _, one in ipairs(causes) do t.ok(#one == 2 and one[1]:find "%.$" and one[2]:find "[%.\"]$", info.code .. ": " .. tostring(one[1])) end
  end
  for code in pairs(require "explain.codes") do t.ok(known[code], code) end
end)
