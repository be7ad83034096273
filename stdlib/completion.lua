--- completion: what may stand next on a command line, from the table of commands. The shells ask `engine completion for WORDS...`, so what they
-- offer is what this program takes: commands, options and their values, runs of the journal, a playbook's own options.

local arguments = require "arguments"
local commands = require "commands"
local core_search = require "core.search"

local M = {}

local RUNS_S = 2 -- somebody waits at a prompt

local SCRIPTS = {}

SCRIPTS.bash = [[
# bash completion of engine, made by `engine completion bash`.
_engine() {
    local current=${COMP_WORDS[COMP_CWORD]} word
    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        case $word in
        :folders) compopt -o filenames 2> /dev/null; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$current") ;;
        :files) compopt -o filenames 2> /dev/null; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$current") ;;
        :lua) compopt -o filenames 2> /dev/null; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$current"; compgen -f -X '!*.lua' -- "$current") ;;
        *) COMPREPLY+=("$word") ;;
        esac
    done < <("${COMP_WORDS[0]/#\~/$HOME}" completion for "${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null)
}
complete -F _engine engine
]]

SCRIPTS.zsh = [[
#compdef engine
# zsh completion of engine, made by `engine completion zsh`.
_engine() {
    local -a found
    local word about
    while IFS=$'\t' read -r word about; do
        case $word in
        :folders) _files -/ ;;
        :files) _files ;;
        :lua) _files -g '*.lua' ;;
        *) found+=("${word//:/\\:}${about:+:$about}") ;;
        esac
    done < <(${(Q)words[1]} completion for "${(@)words[2,CURRENT]}" 2> /dev/null)
    (( $#found )) && _describe -t words engine found
}
if [ "$funcstack[1]" = _engine ]; then _engine "$@"; else compdef _engine engine; fi
]]

SCRIPTS.fish = [[
# fish completion of engine, made by `engine completion fish`.
function __engine_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] completion for $words[2..-1] "$current" 2> /dev/null)
        switch $line
            case ':folders*'
                __fish_complete_directories "$current"
            case ':files*'
                __fish_complete_path "$current"
            case ':lua*'
                __fish_complete_suffix .lua
            case '*'
                echo $line
        end
    end
end
complete -c engine -f -a '(__engine_complete)'
]]

-- Which files the shell itself should offer for a value or word.
local FOLDERS, FILES, LUA = ":folders", ":files", ":lua"
local OF_SHELL = { DIR = FOLDERS, BACKUP = FOLDERS, FILE = FILES, PATH = LUA, PLAYBOOK = LUA }

-- The latest runs of the journal that the command line names, if there is one that answers at once.
local function runs(options)
  local found = {}
  pcall(deadline, RUNS_S, function()
    local journal = require("journal.option").existing(options)
    if not journal then return end
    for _, row in ipairs(journal:runs { limit = 20 } or {}) do
      found[#found + 1] = { row.id, ("%s %s %s"):format(row.venture or row.playbook, row.release or "", row.outcome or "running") }
    end
    journal:close()
  end)
  return found
end

--- The playbooks that are built in: by their paths, which can be given from any folder.
---@return string[]
---@usage assert(require("completion").playbooks()[1] == "playbooks/demo.lua")
function M.playbooks()
  local found = {}
  for _, path in ipairs(core_search.baked_paths()) do
    if path:find "^playbooks/" and core_search.baked(path):find "%f[%w_]return%s+playbook%f[^%w_]" then found[#found + 1] = path end
  end
  table.sort(found)
  return found
end

local GIVES = {
  RUN = runs,
  PLAYBOOK = function()
    local found = {}
    for i, path in ipairs(M.playbooks()) do found[i] = { path, "" } end
    return found
  end,
  CODE = function()
    local found = {}
    for i, info in ipairs(require("core.err").codes()) do found[i] = { info.code, info.about } end
    return found
  end,
  COMMAND = function()
    local found = {}
    for i, command in ipairs(commands.all) do found[i] = { command.name, command.about } end
    return found
  end,
}

local function add(list, more) for _, one in ipairs(more) do list[#list + 1] = one end end

-- What a choice of a word, or the placeholder of an option's value, offers.
local function of_choice(choice, options)
  if choice:find "%l" then return { { choice, "" } } end
  local found = GIVES[choice] and GIVES[choice](options) or {}
  if OF_SHELL[choice] then found[#found + 1] = { OF_SHELL[choice], "" } end
  return found
end

local function of_value(description, options)
  local found = {}
  for _, value in ipairs(description.one_of or {}) do found[#found + 1] = { value, "" } end
  if description.value then add(found, of_choice(description.value, options)) end
  return found
end

local function of_options(descriptions, given)
  local found = {}
  for _, name in ipairs(require("arguments").names(descriptions)) do
    if given[name] == nil then found[#found + 1] = { arguments.dashed(name), (descriptions[name].about or ""):gsub("\n", " ") } end
  end
  return found
end

-- The words before the current one: options with their values, plain words, and an option that still waits for its value.
local function read(words, descriptions)
  local given, plain, waiting = {}, {}, nil
  for i = 1, #words - 1 do
    local name, value = words[i]:match "^%-%-([%w_-]+)=?(.*)$"
    if waiting then
      given[waiting], waiting = words[i], nil
    elseif name then
      name = name:gsub("-", "_")
      local description = descriptions[name]
      if description and description.type ~= "boolean" and value == "" then waiting = name else given[name] = value end
    else
      plain[#plain + 1] = words[i]
    end
  end
  return given, plain, waiting
end

-- The options of a playbook's command line: those of every run, and what the playbook itself takes, if it can be read.
local function of_playbook(path, descriptions)
  local chunk = core_search.load_file(path)
  local ok, playbook = pcall(chunk or error)
  local all = {}
  for _, list in ipairs { descriptions, ok and require("run.playbook").is(playbook) and playbook.args or {} } do
    for name, option in pairs(list) do all[name] = option end
  end
  return all
end

local function is_playbook(word) return word:match "%.lua$" ~= nil or word:find("/", 1, true) ~= nil end

local function of_command(command, words)
  local descriptions, part = commands.options(command), nil
  local _, plain = read(words, descriptions)
  for _, one in ipairs(command.parts and command.parts() or {}) do if one.name == plain[1] then part = one end end
  if part then descriptions = commands.options(command, part) end
  if command.is_open and command.words[1] == "PLAYBOOK" and plain[1] then descriptions = of_playbook(plain[1], descriptions) end
  local given, _, waiting = read(words, descriptions)
  if waiting then return of_value(descriptions[waiting], given) end
  if words[#words]:sub(1, 1) == "-" then return of_options(descriptions, given) end
  if command.parts and not part then
    local found = {}
    for i, one in ipairs(command.parts()) do found[i] = { one.name, one.about } end
    return found
  end
  local read_word, found = commands.word_at(part and part.words or command.words, #plain + 1 - (part and 1 or 0)), {}
  for _, choice in ipairs(read_word and read_word.choices or {}) do add(found, of_choice(choice, given)) end
  if not found[1] then add(found, of_options(descriptions, given)) end
  return found
end

--- What may stand in the place of the last of these words, which is begun or empty.
---@param words string[] of the command line, without the program's name
---@return { [1]: string, [2]: string }[] found each a word and what it is; ":folders", ":files" and ":lua" mean those of the shell
---@usage assert(require("completion").candidates { "rollb" }[1][1] == "rollback")
function M.candidates(words)
  if #words == 0 then words = { "" } end
  local command, found = #words > 1 and commands.find(words[1]), nil
  if command then
    found = of_command(command, { table.unpack(words, 2) })
  elseif #words > 1 and is_playbook(words[1]) then
    found = of_command(commands.find "run", words)
  elseif #words == 1 then
    found = GIVES.COMMAND()
    add(found, of_choice("PLAYBOOK", {}))
  end
  local begun, fitting = words[#words], {}
  for _, one in ipairs(found or {}) do
    if one[1]:sub(1, #begun) == begun or one[1]:sub(1, 1) == ":" then fitting[#fitting + 1] = one end
  end
  return fitting
end

--- The completion script of a shell.
---@param shell string
---@return string?
---@usage assert(require("completion").script("bash"):find "complete %-F _engine engine")
function M.script(shell) return SCRIPTS[shell] end

--- `engine completion bash|zsh|fish`, and what those scripts ask: `engine completion for WORDS...`
---@param argv string[]
---@return integer exit
function M.main(argv)
  if argv[1] == "for" then
    for _, one in ipairs(M.candidates { table.unpack(argv, 2) }) do print(one[2] ~= "" and one[1] .. "\t" .. one[2] or one[1]) end
    return 0
  end
  local err = commands.check_words(commands.find "completion", argv)
  if err then
    require("display").failure(err)
    print("  next   " .. err.next)
    return 2
  end
  print((M.script(argv[1]):gsub("\n$", "")))
  return 0
end

return M
