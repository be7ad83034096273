#!/usr/bin/env bash
# The console on a venture: a world of real parts that a release was promoted in, and the console under tmux as the person
# on call would use it: look, be refused, arm, see the plan, type the name, read back, export, replay; then attached to a
# deployment that is under way. What a key press costs is tests/bench/console.sh.
# Time limit: 600 s
set -u
cd "$(dirname "$0")/../.."
engine=$(realpath "${ENGINE:-build/engine}")
scratch=$(mktemp -d /tmp/engine-console-XXXXXX)
tmux="tmux -S $scratch/tmux"
passed=0 failed=0 world=
check() { if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $1"; [ -z "${3:-}" ] || echo "$3" | sed 's/^/  /' | tail -45; fi; }

mkdir "$scratch/overlay"
sed -e 's/minimum = 5, bake = 8, warm = 3/minimum = 2, bake = 2, warm = 1/' -e 's/rollback = { watch = 5/console = { environment = "prod", read_only = { { "uname" } } }, rollback = { watch = 1/' \
  playbooks/demo/venture/venture.lua > "$scratch/overlay/venture.lua"
finish() { $tmux kill-server 2> /dev/null; kill -INT $world 2> /dev/null; wait $world; rm -rf "$scratch"; }
trap finish EXIT
. tests/lib/world.sh
serve_world
export USER=ana HOME=$scratch XDG_STATE_HOME=
database=$DEMO_DATABASE vault=$DEMO_VAULT_TOKEN
state=$scratch/world/state
venture=$scratch/world/venture
place=(--venture "$venture" --state "$state")
e() { "$engine" -e "$1" "${place[@]}" "${@:2}" 2>&1; }
stage30=("$engine" playbooks/stage30.lua "${place[@]}")
deploy() { "${stage30[@]}" "$@"; }

# --- off a terminal: what a script may do ------------------------------------------------------------------------------
[ "$(e 'traffic.get()')" = 'blue 100 %, green 0 %' ]; check 'an expression is asked' $? "$(e 'traffic.get()')"
[ "$(e 'venture.name .. #sql.tables()')" = demo7 ]; check 'the venture and its database are there' $? "$(e 'venture.name .. #sql.tables()')"
output=$(e 'process.run({ argv = { "uname" } }).stdout')
grep -q Linux <<< "$output"; check 'a command that the venture declares read-only runs' $? "$output"
output=$(e 'process.run { argv = { "id" } }'); [ $? = 1 ] && grep -q '^refused: ' <<< "$output"; check '... and no other one' $? "$output"
output=$(e "sql \"UPDATE ventures SET name = 'x'\""); [ $? = 1 ] && grep -q '^refused: ' <<< "$output"; check 'the database refuses to write' $? "$output"
[ "$(e "sql(\"SELECT name FROM ventures WHERE id = \$1\", \"demo\")[1].name")" = demo ]; check '... and nothing was written' $?
output=$(e 'health.check("smoke")'); [ $? = 1 ] && grep -q '^refused: ' <<< "$output"; check 'a check that creates something is an effect' $? "$output"
output=$(e 'health.check()'); [ "$(grep -c '^✓' <<< "$output")" = 5 ]; check 'checks that only look are asked' $? "$output"
output=$(e 'arm("1m", "test") traffic.maintenance "green"'); [ $? = 1 ] && grep -q 'nobody is there to type demo' <<< "$output"; check 'without a yes nothing is done' $? "$output"
output=$(e 'arm("1m", "test") traffic.maintenance "green"' --yes shop); [ $? = 1 ] && grep -q "'shop' is not 'demo': nothing was changed" <<< "$output"; check '... nor with another name' $? "$output"
output=$(e 'arm("1m", "test") traffic.maintenance "green"' --yes demo); [ $? = 0 ] && grep -q '^✓ .* audit [0-9]' <<< "$output"; check '... with the right one it is' $? "$output"
"$engine" repl --venture "$scratch/nowhere" < /dev/null > "$scratch/out" 2>&1; [ $? = 2 ]; check 'no venture: usage' $? "$(cat "$scratch/out")"
"$engine" repl --attach ffffff --state "$state" < /dev/null > "$scratch/out" 2>&1; [ $? = 2 ]; check 'no such run: usage' $? "$(cat "$scratch/out")"
output=$(e 'arm("1m", "migrate a row") sql("UPDATE ventures SET name = $1 WHERE id = $2", "renamed", "demo")' --yes demo)
grep -q '^plan  UPDATE ventures' <<< "$output" && grep -q '^✓ .* committed, audit' <<< "$output" && [ "$(e "sql(\"SELECT name FROM ventures WHERE id = 'demo'\")[1].name")" = renamed ]; check 'an armed console writes' $? "$output"

deploy --release 1.1 > "$scratch/deploy" 2>&1
check 'a release is promoted' $? "$(cat "$scratch/deploy")"

# --- on a terminal -----------------------------------------------------------------------------------------------------
. tests/lib/terminal.sh
# says PATTERN LINE: types a line and waits for the pattern on the screen, which is empty before
says() { $tmux send-keys C-l; $tmux send-keys -l -- "$2"; $tmux send-keys Enter; until_seen "$1"; check "$2" $? "$(screen)"; }
open_console() {
  $tmux kill-server 2> /dev/null
  $tmux new-session -d -x 120 -y 45 "$engine repl $*"
}

open_console --venture "$venture" --state "$state" --reason "'p95 breach'"
until_seen 'RO demo prod 100%>$'; check 'the prompt says what is known' $? "$(screen)"
$tmux send-keys 'traffic.se' Tab Tab
until_seen 'traffic.servers +traffic.set'; check 'methods of live objects are completed' $? "$(screen)"
$tmux send-keys C-u
$tmux send-keys 'sql "SELECT count(*) AS rows FROM ven' Tab '"' Enter
until_seen '^rows$' && until_seen '^1 row$'; check 'tables are completed, rows are a table' $? "$(screen)"
$tmux send-keys C-u; $tmux send-keys C-l; $tmux send-keys 'health.check("application a' Tab '")' Enter
until_seen '✓ +application answers'; check 'names of checks are completed' $? "$(screen)"
says 'undo +traffic.set of the shares of before' '?traffic.set'
until_seen 'effect +probed' && until_seen 'usage +traffic.set\{green=0\}'; check '... with effect and usage' $? "$(screen)"

$tmux send-keys C-l
$tmux set-buffer 'function served(times)
  local n = 0
  for i = 1, times do n = n + i end
  print("was executed")
  return n end'
until_prompt; $tmux paste-buffer -p
until_seen 'return n end' && ! screen | grep -q '^was executed'; check 'a paste waits' $? "$(screen)"
$tmux send-keys Enter
says '^5050$' 'served(100)'

says '^refused: this changes production. arm\("10m"\) first, or plan\(...\) to see what it would do$' 'traffic.set{blue=10}'
says '^plan  green 100 -> 90, blue 0 -> 10;  undo traffic.set\{green=100\}$' 'plan "traffic.set{blue=10}"'
[ "$(e 'traffic.get()')" = 'blue 0 %, green 100 %' ]; check 'a plan does nothing' $?
says '^RW [0-9]+:[0-9][0-9] demo prod 100%>$' 'arm("10m")'
$tmux send-keys C-l
$tmux set-buffer 'local a = 1
local b = 2
'
until_prompt; $tmux paste-buffer -p
until_seen 'local b = 2' && clock=$(screen | grep -oE '^RW [0-9:]+' | head -1) && wait_for 'the clock in the prompt' bash -c "$tmux capture-pane -pJ | grep -E '^RW ' | grep -vF '$clock '"
[ "$(screen | grep -cE '^RW [0-9]+:[0-9][0-9] demo prod 100%> local a = 1$')" = 1 ]; check 'the prompt goes on above what was pasted' $? "$(screen)"
$tmux send-keys C-c
says '^type demo to apply:$' 'traffic.set{blue=10}'
$tmux send-keys 'shop' Enter
until_seen "'shop' is not 'demo': nothing was changed"; check 'another name is refused' $? "$(screen)"
[ "$(e 'traffic.get()')" = 'blue 0 %, green 100 %' ]; check '... and nothing was changed' $?
says '^type demo to apply:$' 'traffic.set{blue=10}'
$tmux send-keys 'demo' Enter
until_seen '^✓ [0-9.]+ s, read back from the proxy, audit [0-9]+$'; check 'the right name applies it' $? "$(screen)"
until_seen '^RW [0-9]+:[0-9][0-9] demo prod 90%>$'; check 'the prompt follows' $? "$(screen)"
[ "$(e 'traffic.get()')" = 'blue 10 %, green 90 %' ]; check '... and the proxy has it' $? "$(e 'traffic.get()')"
deploy --release 1.1 > "$scratch/held" 2>&1; code=$?
[ $code = 6 ] && grep -q 'for console' "$scratch/held"; check 'an armed console that changed something holds the venture' $? "$(cat "$scratch/held")"
says 'invariants|budgets agree' 'health.check("invariants", "green")'
says '^blue1 +[▁▂▃▄▅▆▇█ ]* +(at most )?[0-9.]+ ms' 'watch(metrics.p95.by_server, "1s")'
until_seen '^blue1 +[▁▂▃▄▅▆▇█]{2}'; check 'a watch goes on in place' $? "$(screen)"
$tmux send-keys C-c
says "^nothing asks for it now: 'demo' is typed when an effect asks$" demo
says '^after the watch$' '"after the" .. " watch"'
says '^begun$' 'print("be" .. "gun") sleep(600)'
$tmux send-keys C-c
until_seen 'interrupted by Ctrl-C'; check 'Ctrl-C cancels a wait' $? "$(screen)"
says '^✓ .*incident.lua; next   engine check' "export \"$scratch/incident.lua\""
says 'RO demo prod 90%>$' 'disarm()'
says '^RW 0:0[0-9] ' 'arm("2s")'
until_seen 'read-only again: the time is over' && until_seen '^RO demo prod 90%>$'; check 'an arming ends by itself' $? "$(screen)"
says 'secret\(x\)' 'secret.wrap("topsecret1", "x")'
until_prompt; $tmux send-keys C-d
wait_for 'the end of the console' bash -c "! $tmux list-sessions"; check 'Ctrl-D ends it' $?

# --- what is left of it ------------------------------------------------------------------------------------------------
console=$("$engine" status --state "$state" | awk '$3 == "console" { print $1; exit }')
id=$(sqlite3 "$state/journal.db" "SELECT run FROM events WHERE kind = 'declined' AND data LIKE '%traffic.set%' LIMIT 1")
"$engine" log "$id" --verify --state "$state" > "$scratch/log" 2>&1
grep -q 'chain whole' "$scratch/log"; check 'the chain covers the session' $? "$(cat "$scratch/log")"
for kind in run_begin statement arm hold declined step_begin step_end release disarm export run_end; do
  grep -q "  $kind  " "$scratch/log"; check "the journal has the session's $kind" $? "$(cat "$scratch/log")"
done
grep -q '"reason":"p95 breach"' "$scratch/log" && grep -q '"actor":"ana"' "$scratch/log"; check '... with who and why' $? "$(head -3 "$scratch/log")"
[ -n "$console" ] && ! grep -q topsecret1 "$scratch/log" && ! grep -qa topsecret1 "$state/journal.db"* && ! grep -q topsecret1 "$scratch/.local/state/engine/console.jsonl"; check 'no secret is kept' $?

# --- replay ------------------------------------------------------------------------------------------------------------
"$engine" check "$scratch/incident.lua" --venture "$venture" > "$scratch/checked" 2>&1 && grep -q ' 0 errors, 0 warnings' "$scratch/checked"; check 'the exported playbook is sound' $? "$(cat "$scratch/checked" "$scratch/incident.lua")"
e 'arm("1m", "back") traffic.set{green=100}' --yes demo > "$scratch/out"; check 'traffic is put back' $? "$(cat "$scratch/out")"
"$engine" plan "$scratch/incident.lua" "${place[@]}" > "$scratch/plan" 2>&1 && grep -q 'can be taken back' "$scratch/plan"; check 'it can be planned' $? "$(cat "$scratch/plan")"
"$engine" "$scratch/incident.lua" "${place[@]}" > "$scratch/replay" 2>&1; check 'it does the same again' $? "$(cat "$scratch/replay" "$scratch/incident.lua")"
[ "$(e 'traffic.get()')" = 'blue 10 %, green 90 %' ]; check '... and the proxy has it' $? "$(e 'traffic.get()')"
e 'arm("1m", "back") traffic.set{green=100}' --yes demo > "$scratch/out"

# --- attached to a run that is under way -------------------------------------------------------------------------------
lay_next_release
sed -i 's/minimum = 2, bake = 2/minimum = 60, bake = 60/' "$venture/venture.lua"
"${stage30[@]}" --release 1.2 > "$scratch/next" 2>&1 &
next=$!
wait_for 'the canary' grep -q 'watch blue at 10' "$scratch/next"; check 'another release is under way' $? "$(tail "$scratch/next")"
run=$("$engine" status --state "$state" | awk '$3 == "demo" { print $1; exit }')
open_console --attach "$run" --state "$state" --reason "'p95 breach'"
until_seen '^RO demo prod 90% RUNNING>$'; check 'attached: the venture, the share, the state of the run' $? "$(screen)"
says '^RW ' 'arm("10m")'
says '^  refused now  It is in charge of the traffic: ' 'plan(traffic.set{blue=0})'
says "run $run holds demo since" 'traffic.set{blue=0}'
until_seen 'It is in charge of the traffic: rollback.traffic\(\) or rollback.full\(\)'; check '... a direct change is refused, and what to do is said' $? "$(screen)"
says 'first all traffic goes back' 'rollback.plan()'
says '^type demo to apply:$' 'rollback.traffic()'
$tmux send-keys 'demo' Enter
until_seen '✓ traffic: blue 0 %, green 100 %'; check 'what the run does is told' $? "$(screen)"
until_seen '✓ .* s, verified by the run, audit' && until_seen 'ROLLED BACK>$'; check 'the run took itself back' $? "$(screen)"
wait $next; [ $? = 4 ]; check '... and ended with 4' $? "$(tail "$scratch/next")"
[ "$(e 'traffic.get()')" = 'blue 0 %, green 100 %' ]; check '... and the proxy agrees' $? "$(e 'traffic.get()')"
$tmux kill-server

# A run that is paused lets its console take all traffic from the release, and nothing else.
"${stage30[@]}" --release 1.2 > "$scratch/held" 2>&1 &
next=$!
wait_for 'the canary' grep -q 'watch blue at 10' "$scratch/held"
run=$("$engine" status --state "$state" | awk '$3 == "demo" { print $1; exit }')
output=$(e 'arm("1m", "p95 breach") traffic.set{blue=0}' --yes demo); [ $? = 6 ]; check 'a run that is not paused shares its traffic with nobody' $? "$output"
"$engine" pause "$run" --state "$state" --reason 'let us look' > "$scratch/out"
wait_for 'the hold' grep -q 'on hold: paused by ana: let us look' "$scratch/held"
output=$(e 'arm("1m", "p95 breach") traffic.set{blue=20}' --yes demo); code=$?
[ $code = 6 ] && grep -q 'paused by ana: let us look: beside it all traffic may go to green, traffic.set{green=100}' <<< "$output"; check 'beside a paused run the release gets no more' $? "$code $output"
output=$(e 'arm("1m", "p95 breach") traffic.set{blue=0}' --yes demo); code=$?
[ $code = 0 ] && grep -q '^plan  blue 10 -> 0, green 90 -> 100;' <<< "$output" && grep -q '^✓ .* read back from the proxy, audit' <<< "$output"; check '... it may lose all it has' $? "$code $output"
slots() { sqlite3 -cmd '.timeout 5000' "$state/journal.db" "SELECT count(*) FROM events WHERE run = '$run' AND kind = 'slots'"; }
seen=$(slots)
wait_for 'the run to look on' bash -c "[ \$(sqlite3 -cmd '.timeout 5000' '$state/journal.db' \"SELECT count(*) FROM events WHERE run = '$run' AND kind = 'slots'\") -ge $((seen + 3)) ]"; check 'the run looks on' $? "$(tail -5 "$scratch/held")"
[ "$(e 'traffic.get()')" = 'blue 0 %, green 100 %' ] && kill -0 $next; check '... and leaves it so' $? "$(e 'traffic.get()') $(tail -5 "$scratch/held")"
"$engine" go-on "$run" --state "$state" > "$scratch/out"
wait $next; code=$?
[ $code = 4 ] && grep -q 'blue was left with 10 % of the traffic and has 0 %: somebody moved it' "$scratch/held" && grep -q 'green serves 1.1 at 100 %, verified' "$scratch/held"; check '... and goes back when the pause is over' $? "$code $(tail -20 "$scratch/held")"

# A console that is killed in the middle of an effect leaves it in doubt, and nothing held.
"$engine" -e 'arm("1m", "test") effect.change("slow", function() sleep(600) end)' "${place[@]}" --yes demo > "$scratch/killed" 2>&1 &
killed=$!
wait_for 'the effect' bash -c "'$engine' status --state '$state' | grep -q 'console .*running' && sqlite3 '$state/journal.db' \"SELECT data FROM events WHERE kind = 'step_begin' AND data LIKE '%slow%'\" | grep -q slow"
kill -9 $killed; wait $killed 2> /dev/null
output=$(e 'status()'); grep -q '^in doubt.*slow' <<< "$output" && grep -q '^in charge.*is gone' <<< "$output"; check 'an effect whose console was killed is in doubt' $? "$output"
output=$(e 'arm("1m", "test") traffic.maintenance "blue"' --yes demo); check '... and the venture is free' $? "$output"

# A run whose engine died: the world is not touched beside it, unless somebody says so.
sed -i 's/^  mode = "auto",/  mode = "auto", guardian = { action = "off" },/' "$venture/venture.lua"
"${stage30[@]}" --release 1.2 > "$scratch/dead" 2>&1 & # itself, not a shell around it
dead=$!
wait_for 'the run' grep -q '30.1.1' "$scratch/dead"
run=$("$engine" status --state "$state" | awk '$3 == "demo" { print $1; exit }')
(unset ${!DEMO_*}; export DEMO_DATABASE="$database" DEMO_DATABASE_URL="$database" DEMO_VAULT_TOKEN="$vault"; open_console --attach "$run" --state "$state")
until_seen '^RO demo prod .*RUNNING>'; check 'attached by somebody who has nothing but the secrets' $? "$(screen)"
$tmux send-keys -l 'half of a li'
until_seen '^[0-9:]* ▶ 30.2.2 watch blue at 10 %$' && until_seen '^RO demo prod 90% RUNNING> half of a li$'; check 'events are told above the line that is being typed' $? "$(screen)"
$tmux send-keys C-c; until_prompt; $tmux send-keys C-d
kill -9 $dead; wait $dead 2> /dev/null
run=$("$engine" status --state "$state" | awk '$3 == "demo" { print $1; exit }')
output=$(e 'arm("1m", "back") traffic.set{blue=0}' --yes demo); code=$?
[ $code = 6 ] && grep -q "run $run of demo" <<< "$output" && grep -q 'over = ' <<< "$output"; check 'a dead run is in charge: exit 6 and what to do' $? "$code $output"
output=$(e "arm(\"1m\", \"back\", { over = \"$run\" }) traffic.set{blue=0}" --yes demo); code=$?
[ $code = 0 ] && grep -q 'read back' <<< "$output"; check '... unless it is said to be done in spite of it' $? "$code $output"
output=$(e 'arm("1m", "give up") rollback.full()' --yes demo); code=$?
[ $code = 4 ] && grep -q 'green serves 1.1 at 100 %, verified' <<< "$output"; check '... and an engine of its own takes it back: exit 4' $? "$code $output $(cat "$state"/console-*.log 2>/dev/null)"
"$engine" log --verify --state "$state" | head -1 | grep -q 'chain whole'; check 'the chain is whole' $?
wait_for 'fresh client counts' true
grep -q 'failed=0' "$scratch/world/clients"; check "no client request failed: $(cat "$scratch/world/clients")" $?

echo "$passed passed, $failed failed"
[ $failed = 0 ]
