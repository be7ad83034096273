#!/usr/bin/env bash
# The console without a venture: off a terminal, and under tmux as a person would use it. With one: console.sh.
set -u
cd "$(dirname "$0")/../.."
engine=$(realpath "${ENGINE:-build/engine}")
scratch=$(mktemp -d /tmp/engine-repl-XXXXXX)
tmux="tmux -S $scratch/tmux"
trap '$tmux kill-server 2> /dev/null; rm -rf "$scratch"' EXIT
export HOME=$scratch XDG_STATE_HOME=
passed=0 failed=0
check() { if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $1"; echo "$3" | sed 's/^/  /'; fi; }
repl() { (cd "$scratch" && "$engine" repl "$@" 2>&1); }

output=$(printf '1 + 1\nx = 5\nx * 2\nfor i = 1, 2 do\n print("line " .. i)\nend\nexit\n99\n' | repl)
[ "$output" = $'2\n10\nline 1\nline 2' ]; check 'values, assignment, several lines, exit' $? "$output"
output=$(printf 'nil + 1\n99\n' | repl); code=$?
[ $code = 1 ] && grep -q 'attempt to perform arithmetic on a nil value' <<< "$output" && ! grep -q 99 <<< "$output"; check 'a script ends at its first error' $? "$code $output"
output=$(printf 'http.get "http://127.0.0.1:1"\n99\n' | repl); code=$?
[ $code = 1 ] && grep -q '^E0205 connect' <<< "$output" && ! grep -q 99 <<< "$output"; check '... also when it is given as nil, err' $? "$code $output"
output=$(printf 'if then\n' | repl); [ $? = 2 ]; check 'what is no Lua is a mistake of usage' $? "$output"
output=$(printf 'for i = 1, 2 do\n' | repl); [ $? = 2 ] && grep -q 'has no end' <<< "$output"; check '... and so is half a statement' $? "$output"
output=$(printf '{ { a = 1, b = "x" }, { a = 20 } }\n' | repl)
[ "$output" = $' a  b\n 1  x\n20\n2 rows' ]; check 'rows are a table' $? "$output"
output=$(printf '?http.get\n?\n?http.gett\n' | repl)
grep -q '^http.get(url, options)' <<< "$output" && grep -q '^  arm ' <<< "$output" && grep -q "did you mean 'http.get'" <<< "$output"; check '?name, ? alone, ?mistyped' $? "$output"

output=$(printf 'http.get\n' | repl)
grep -q '^http.get(url, options)$' <<< "$output" && ! grep -q 0x <<< "$output"; check 'a function alone tells what it is for' $? "$output"
output=$(printf '1\n\nfor i = 1, 2 do\n  stauts()\nend\n' | repl)
grep -q "^E0003 script: console:4: nothing is called 'stauts'; did you mean 'status'?$" <<< "$output" && grep -q '^  next   ? lists the words' <<< "$output"; check 'a name that is not there: in which line, and which it may be' $? "$output"
output=$(printf 'traffic.sett{}\n' | repl); grep -q "traffic has no 'sett'; did you mean 'set'?" <<< "$output"; check '... also of a word' $? "$output"
output=$(printf '1 +\n' | repl); [ $? = 2 ] && grep -q 'has no end\|near <eof>' <<< "$output"; check 'an expression without its end' $? "$output"
[ "$(repl -e $'1\nfor i = 2, 3 do\n  print(i)\nend')" = $'1\n2\n3' ]; check 'statements of the command line' $?
[ "$(repl -e)" = $'✗ E0100 usage: -e needs a value: what to do in place of asking: like a script on standard input\n  next   engine repl --help' ]; check '... and none' $?

# Nothing is changed by a console that is not armed, by whatever way.
for statement in 'files.write("x", "1")' 'require("files").write("x", "1")' 'process.run { argv = { "touch", "x" } }' 'http.post("http://127.0.0.1:1/")' \
  'assert(load("return files.write(\"x\", \"1\")"))()' '_G.files.write("x", "1")' 'effect.change("e", function() end)' 'assert(sql.open("sqlite:x")):execute "CREATE TABLE t (a)"'; do
  output=$(printf '%s\n' "$statement" | repl)
  code=$?
  [ $code = 1 ] && [ ! -e "$scratch/x" ] && { grep -q '^refused: this changes production. arm("10m") first, or plan(...) to see what it would do$' <<< "$output" || grep -q CANTOPEN <<< "$output"; }
  check "refused: $statement" $? "$code $output"
done
# Nor by how a value shows itself.
for field in __show __tostring __index __name; do
  output=$(printf 'setmetatable({ {} }, { %s = function() files.write("x", "1") return "v" end })\nerror(setmetatable({}, { %s = function() files.write("x", "1") return "v" end }))\n' $field $field | repl)
  [ ! -e "$scratch/x" ]; check "refused: a value that shows itself by $field" $? "$output"
done
output=$(printf '_G\nrequire "files"\nsetmetatable({}, { __show = function() end })\n"still there"\n' | repl); code=$?
[ $code = 0 ] && [ "$(tail -1 <<< "$output")" = 'still there' ]; check 'whatever a value is, the console shows it and goes on' $? "$code $output"
[ "$(repl -e $'t = {}\nt.t = t\nt')" = '{ t = <circle> }' ]; check 'also one that is in itself' $?
output=$(printf '1\nfiles.write("x", "1")\n\n2\n' | repl); grep -q '^  the statement of line 2 ended it; what follows was not done$' <<< "$output"; check 'a script says where it ended' $? "$output"
output=$(repl --attach --reason x); [ $? = 2 ] && grep -q -- '--attach needs a value' <<< "$output"; check 'an option is no value of another' $? "$output"
output=$("$engine" -e 'status()' 2>&1); [ $? = 2 ] && grep -q "^  next   engine -e 'status()' --venture DIR" <<< "$output"; check 'a word of the console without one' $? "$output"
output=$(printf 'require "core.task"\n' | repl); [ $? = 2 ] && grep -q 'behind the modules' <<< "$output"; check 'what is behind the modules is not there' $? "$output"
output=$(printf 'plan(function() files.write("x", "1") process.run { argv = { "reboot" } } end)\n' | repl)
[ ! -e "$scratch/x" ] && [ "$(grep -c '^plan  ' <<< "$output")" = 2 ]; check 'a plan does nothing' $? "$output"
output=$(printf 'arm("1m")\n' | repl); [ $? = 2 ] && grep -q 'needs a reason' <<< "$output"; check 'arming needs a reason' $? "$output"
output=$(printf 'arm("1m", "a test")\nfiles.write("x", "1")\n' | repl); [ $? = 1 ] && [ ! -e "$scratch/x" ] && grep -q 'write confirm "yes" before it' <<< "$output"; check 'and an effect needs its yes' $? "$output"
output=$(printf 'arm("1m", "a test")\nconfirm "yes"\nfiles.write("x", "1")\n' | repl)
grep -q '^plan  files.write("x", "1");  undo none' <<< "$output" && grep -q '^✓ .*, audit [0-9]*$' <<< "$output" && [ "$(cat "$scratch/x")" = 1 ]; check '... then it is done and recorded' $? "$output"
(cd "$scratch" && "$engine" log --verify) > "$scratch/log" && grep -q 'chain whole' "$scratch/log"; check 'the chain is whole' $? "$(cat "$scratch/log")"
repl --state .engine -e 'runs()' > "$scratch/runs"; [ "$(tail -1 "$scratch/runs")" = '1 row' ]; check 'runs are those that changed something' $? "$(cat "$scratch/runs")"
all=$( (cd "$scratch" && "$engine" status --all) | wc -l) some=$( (cd "$scratch" && "$engine" status) | wc -l); [ "$some" = 1 ] && [ "$all" -gt 1 ]; check '... in status too, and all of them when asked' $? "$some of $all"
output=$(printf 'arm("2h", "x")\n' | repl); [ $? = 2 ] && grep -q 'an hour at most' <<< "$output"; check 'nobody is armed for long' $? "$output"

# What once went round the gate.
output=$(printf '%s\n' 'f = setmetatable({}, { __gc = function() process.spawn { argv = { "touch", "finalized" } } end })' 'f = nil' | repl)
[ $? = 1 ] && [ ! -e "$scratch/finalized" ] && grep -q 'use a variable with <close>' <<< "$output"; check 'no finalizers, which would run when nobody looks' $? "$output"
output=$(timeout -s KILL 30 "$engine" repl -e 'coroutine.wrap(function() while true do end end)()' 2>&1); [ $? = 2 ] && grep -q 'tasks are the only coroutines' <<< "$output"; check 'no coroutines, which nobody would stop' $? "$output"
"$engine" -e "local db <close> = assert(sql.open 'sqlite:$scratch/rows.db') assert(db:execute 'CREATE TABLE rows (x)')"
opening="effect.change(\"open\", function() db = sql.open(\"sqlite:$scratch/rows.db\") end)"
writing='db:execute("INSERT INTO rows VALUES (42)")'
for last in 'disarm()' 'runs()'; do
  output=$(printf '%s\n' 'arm("1m", "a test")' 'confirm "yes"' "$opening" "$last" "$writing" | repl)
  [ $? = 1 ] && grep -q '^✓ .*, audit' <<< "$output" && grep -q '^refused: ' <<< "$output"; check "a connection that an effect opened writes nothing later, after $last" $? "$output"
done
output=$(printf '%s\n' 'arm("1m", "a test")' 'confirm "yes"' "$opening" 'confirm "yes"' "effect.change(\"write\", function() return $writing end)" | repl)
[ $? = 0 ] && [ "$("$engine" -e "local db <close> = assert(sql.open 'sqlite:$scratch/rows.db') return db:value 'SELECT count(*) FROM rows'")" = 1 ]; check '... but in the next effect' $? "$output"
output=$(printf '%s\n' "db = sql.open('sqlite:$scratch/rows.db')" 'db:query "BEGIN"' | repl); [ $? = 1 ] && grep -q 'only reads, and holds no lock' <<< "$output"; check 'who only looks at a database locks nothing' $? "$output"

. tests/lib/terminal.sh
$tmux new-session -d -x 100 -y 40 "HOME=$scratch XDG_STATE_HOME= $engine repl"
until_seen 'RO>'; check 'a prompt' $? "$(screen)"
$tmux send-keys 'greeting = "hel" .. "lo"' Enter 'greeting' Enter
until_seen '^hello$'; check 'a value without return' $? "$(screen)"
# What runs, and not what is still typed: the terminal forgets keys that nobody has read when Ctrl-C comes.
$tmux send-keys 'print("be" .. "gun") sleep(600)' Enter
until_seen '^begun$'; check 'a statement that waits' $? "$(screen)"
$tmux send-keys C-c
until_seen 'interrupted by Ctrl-C'; check 'Ctrl-C cancels the wait' $? "$(screen)"
$tmux send-keys '"still " .. "here"' Enter
until_seen '^still here$'; check '... and not the console' $? "$(screen)"
$tmux send-keys C-l 'print("comp" .. "uting") while true do pcall(function() while true do end end) end' Enter
until_seen '^computing$' && $tmux send-keys C-c
until_seen 'interrupted by Ctrl-C'; check 'Ctrl-C ends what computes and does not wait' $? "$(screen)"
$tmux send-keys '"also " .. "here"' Enter
until_seen '^also here$'; check '... and nothing else' $? "$(screen)"
$tmux send-keys 'half a line'
until_seen 'half a line' && $tmux send-keys C-c
$tmux send-keys '6 * 7' Enter
until_seen '^42$'; check 'Ctrl-C gives up a line' $? "$(screen)"
$tmux send-keys 'secret.wrap("topsecret1", "x")' Enter
until_seen 'secret\(x\)'; check 'a secret is not shown' $? "$(screen)"
$tmux send-keys ' "kept" .. " away"' Enter
until_seen '^kept away$'; check 'a statement after a space' $? "$(screen)"
$tmux send-keys 'for i = 1, 2 do' Enter 'print("typed " .. i)' Enter
$tmux send-keys -l 'end'
$tmux send-keys Enter
until_seen '^typed 2$'; check 'a statement of several lines' $? "$(screen)"
history=$scratch/.local/state/engine/console.jsonl
grep -q '"for i = 1, 2 do\\nprint(\\"typed \\" .. i)\\nend"' "$history" && ! grep -q 'topsecret\|kept' "$history" && [ "$(stat -c %a "$history")" = 600 ]
check 'history by statement, 0600, without secrets and what was meant to be left out' $? "$(cat "$history" 2>&1)"
$tmux send-keys Up
until_seen 'print\("typed " \.\. i\)$'; check 'the arrows bring the whole statement back' $? "$(screen)"
$tmux send-keys C-c
$tmux send-keys 'str' Tab '.byt' Tab '("A")' Enter
until_seen '^65$'; check 'names are completed' $? "$(screen)"
until_prompt; $tmux send-keys C-d
for _ in $(seq 100); do $tmux list-sessions > /dev/null 2>&1 || break; read -rt 0.1 <> <(:) || true; done
! $tmux list-sessions > /dev/null 2>&1; check 'Ctrl-D ends it' $? "$(screen 2>&1)"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
