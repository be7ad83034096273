#!/usr/bin/env bash
# A deployment on a terminal, under tmux: what is drawn at several sizes, keys, detach and attach, pause, a rollback by key; then without
# colour, without UTF-8, on a dumb terminal, off a terminal and for machines; and the terminal is always given back.
# Time limit: 300 s
set -u
cd "$(dirname "$0")/../.."
engine=$(realpath "${ENGINE:-build/engine}")
scratch=$(mktemp -d /tmp/engine-display-XXXXXX)
tmux="tmux -u -S $scratch/tmux"
passed=0 failed=0 world= terminals=0
check() { if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $1"; [ -z "${3:-}" ] || echo "$3" | sed 's/^/  /' | tail -45; fi; }

mkdir "$scratch/overlay"
sed -e 's/minimum = 5, bake = 8, warm = 3/minimum = 7, bake = 2, warm = 1/' \
  -e 's/rollback = { watch = 5/console = { environment = "prod" }, approvals = { timeout = 60 }, rollback = { watch = 1/' \
  playbooks/demo/venture/venture.lua > "$scratch/overlay/venture.lua"
# What was left in the background when the test was given up has this world's path in its command line.
finish() { $tmux kill-server 2> /dev/null; for pid in $(pgrep -f "$scratch/world/state"); do kill -9 "$pid"; done; kill -INT $world 2> /dev/null; wait $world; rm -rf "$scratch"; }
trap finish EXIT
. tests/lib/world.sh
serve_world
export USER=ana LC_ALL=C.UTF-8
state=$scratch/world/state
place=(--venture "$scratch/world/venture" --state "$state")
run_of() { "$engine" status --state "$state" | awk '$3 == "demo" { print $1; exit }'; }
sql() { sqlite3 -cmd '.timeout 5000' "$state/journal.db" "$1"; }

# A capture for whoever wants to see it.
save() { [ -z "${SCREENS:-}" ] || { mkdir -p "$SCREENS"; screen > "$SCREENS/$1.txt"; }; }
. tests/lib/terminal.sh
# What comes after something that was never seen would only wait too.
seen() { until_seen "$2"; check "$1" $? "$(screen)"; [ $failed = 0 ] || { echo "$passed passed, $failed failed"; exit 1; }; }
# open COLUMNS ROWS COMMAND...: a shell on a terminal of that size, with the command typed into it.
open() {
  local columns=$1 rows=$2
  shift 2
  $tmux kill-server 2> /dev/null
  terminals=$((terminals + 1))
  tmux="tmux -u -S $scratch/tmux$terminals"
  $tmux new-session -d -x "$columns" -y "$rows" "PS1='\$ ' bash --norc --noprofile"
  until_seen '^\$' || return 1
  $tmux send-keys -l -- "$*"
  $tmux send-keys Enter
}
stage30() { echo "$engine playbooks/stage30.lua ${place[*]} --release $1; echo ended \$?, \$(stty -a | grep -o -- '-\\?icanon')"; }
engine_of() { sql "SELECT pid FROM leases WHERE run = '$1'"; }

# --- a release is promoted, at 80x24 ---------------------------------------------------------------------------------
open 80 24 "$(stage30 1.1)"
seen 'the canary is drawn' '^▶ 30\.2\.2 watch green at 10 %  0:0[0-9]/0:07  [█░]{12}  next 50 %$'
screen | grep -qE '^demo 1\.0 -> 1\.1  prod  auto  run [0-9a-f]{6}  ana +0:[0-9]+$'; check '... under a header' $? "$(screen)"
screen | grep -qE '^✓ 30\.0 [0-9:]+   ✓ 30\.1 \([0-9]+\) [0-9:]+   ✓ 30\.2\.1'; check '... what is done is one line' $? "$(screen)"
screen | grep -qE '^   errors  green 0\.00 %   blue 0\.00 %   max 1 %   [▁▂▃▄▅▆▇█]+  ok  n=[0-9]+$'; check '... green against blue' $? "$(screen)"
screen | grep -qE '^   db pool NO DATA   cpu [0-9]+ %   memory [0-9]+ %$'; check '... what cannot be read has no data' $? "$(screen)"
save success-80x24
$tmux resize-window -x 50 -y 12
seen 'a narrower terminal' '^   errors  green 0\.00 %   blue 0\.00 %.*ok'
[ "$(screen | grep -c '^▶ ')" = 1 ] && [ "$(screen | grep -c '^demo ')" = 1 ]; check '... nothing is left of what was drawn before' $? "$(screen)"
save success-50x12
$tmux resize-window -x 120 -y 40
seen 'a wider one' '^   slow    green 0\.00 %   blue 0\.00 %   max 5 %   [▁▂▃▄▅▆▇█]+  ok  p95 [0-9]+ ms$'
$tmux send-keys C-z
seen 'Ctrl-Z stops the display' 'Stopped'
$tmux send-keys -l 'stty -a | grep -o -- "-\?icanon"; fg; echo ended $?, $(stty -a | grep -o -- "-\?icanon")'; $tmux send-keys Enter
seen '... and the shell has its terminal' '^icanon$'
seen '... and fg goes on' '^d detach  l logs  p pause  r rollback'
$tmux send-keys l
seen 'l shows the plain lines' '^  · [0-9.]+ of [0-9.]+ s: green [0-9]+ requests'
save success-120x40
seen 'the release is promoted' '^ended 0, icanon$'
screen -S - | grep -q 'state  green serves 1.1 at 100 %, verified'; check '... and the scrollback says so' $? "$(screen)"
screen -S - | grep -q '^✓ 30\.3\.1 smoke tests, full  '; check '... and has the plain lines' $? "$(screen -S -)"
screen | grep -qE '^d detach'; [ $? = 1 ]; check '... and nothing is left of the drawing' $? "$(screen)"
save success-end

# --- the next release: detach, attach, pause, roll back, at 120x40 ----------------------------------------------------------
lay_next_release
open 120 40 "$(stage30 1.2)"
seen 'the past run says how long it takes and what comes' '^demo 1\.1 -> 1\.2 .* 0:0[0-9] / ~0:[0-9]+$'
seen '... and what comes next' '^· 30\.[0-9.]+ '
seen 'the canary' '^▶ 30\.2\.2 watch blue at 10 %  0:0[0-9]'
$tmux send-keys C-c
seen 'Ctrl-C asks' '^Ctrl-C: d detach \(in [0-9]+ s\), p pause, r roll back, Ctrl-C again rolls back and ends with 130'
$tmux send-keys d
seen 'd leaves it: the run goes on' '^  next   run [0-9a-f]+ goes on; engine attach'
seen '... with the terminal given back' '^ended 130, icanon$'
run=$(run_of)
kill -0 "$(engine_of "$run")"; check '... and its engine lives' $?
"$engine" pause "$run" --reason 'the database is slow' --state "$state" > "$scratch/pause"; check 'pause' $? "$(cat "$scratch/pause")"
open 120 40 "$engine attach $run --state $state; echo ended \$?"
seen 'attach shows the same run, paused' '^   ! PAUSED by ana: the database is slow$'
wait_for 'the pause in the journal' test -n "$(sql "SELECT 1 FROM signals WHERE run = '$run' AND kind = 'pause' AND by = 'ana'")"; check '... which the journal has with who and why' $?
"$engine" status "$run" --state "$state" | grep -q 'paused by ana: the database is slow since'; check '... and status' $?
wait_for 'a hold' bash -c "sqlite3 '$state/journal.db' \"SELECT data FROM events WHERE run = '$run' AND kind = 'canary'\" | grep -q 'paused by ana'"; check 'the canary holds' $?
"$engine" pause "$run" --state "$state" > "$scratch/again" 2>&1; [ $? = 2 ]; check 'a second pause is refused' $? "$(cat "$scratch/again")"
save paused-120x40
$tmux send-keys p
seen 'p goes on' 'p pause'
wait_for 'the end of the hold' bash -c "sqlite3 '$state/journal.db' \"SELECT data FROM events WHERE run = '$run' AND kind = 'canary'\" | grep -q 'the hold is over'"; check '... and the canary with it' $?
$tmux send-keys r
seen 'r asks first' '^roll back.*type demo or y:'
$tmux send-keys shop Enter
until_seen '^d detach'; [ -z "$(sql "SELECT 1 FROM signals WHERE run = '$run' AND kind = 'rollback'")" ]; check 'another name asks nothing' $? "$(screen)"
$tmux send-keys r demo Enter
seen 'the rollback is drawn' 'state  going back: traffic blue'
save rollback-120x40
seen '... to its end' '^ended 4$'
screen -S - | grep -q 'traffic rollback: green serves 1.1 at 100 %, verified'; check '... which is said' $? "$(screen)"
save rollback-end

# --- at 80x24 again: a failure expands; a terminal that is killed harms nothing --------------------------------------------------
sed -i 's/minimum = 7/minimum = 60/' "$scratch/world/venture/venture.lua"
open 80 24 "$(stage30 1.2)"
seen 'another canary' '^▶ 30\.2\.2 watch'
until_seen 'blue 90|watch (blue|green) at 10 %'
run=$(run_of)
terminal=$(pgrep -P "$($tmux display-message -p '#{pane_pid}')")
engine_pid=$(engine_of "$run")
kill -9 "$terminal"
seen 'the terminal part is killed' 'Killed'
kill -0 "$engine_pid"; check '... and the run goes on' $?
timeout 3 "$engine" attach "$run" --state "$state" > "$scratch/plain" 2>&1 < /dev/null
grep -q "^· run $run of demo, release 1.2" "$scratch/plain" && grep -q '^▶ 30.2.2 watch blue at 10 %' "$scratch/plain" && grep -q 'traffic: blue 10 %, green 90 %' "$scratch/plain"; check 'attach off a terminal begins with how it stands' $? "$(cat "$scratch/plain")"
grep -q '· [0-9.]* of [0-9.]* s: blue [0-9]* requests' "$scratch/plain"; check '... and goes on with the plain lines' $? "$(cat "$scratch/plain")"
$tmux send-keys -R # what was drawn before is not what is waited for
$tmux send-keys -l "stty sane; $engine attach $run --state $state; echo ended \$?"; $tmux send-keys Enter
seen 'attached again' '^▶ 30\.2\.2 watch'
$tmux send-keys C-c; seen 'Ctrl-C' '^Ctrl-C: d detach'
$tmux send-keys C-c
seen 'a second Ctrl-C cancels: the engine takes it back' 'state  going back|^ended 130'
save canceled-80x24
seen '... and ends with 130' '^ended 130$'

# --- a question, an engine that dies over it, and another that asks again ---------------------------------------------------------
open 80 24 "$(stage30 '1.2 --mode assisted')"
seen 'a question is drawn' '^\? .*  y yes  n no  d detach$'
run=$(run_of)
engine_pid=$(engine_of "$run")
kill -9 "$engine_pid"
seen 'the engine is killed, and what to do is said' "^  next   engine resume $run --state [^ ]+ \\| engine rollback $run --state"
seen '... with the terminal given back' '^ended 130, icanon$'
screen | grep -q '^✗ the engine was ended by signal 9' && screen | grep -q '^  state  traffic had not moved; its guardian takes it back'; check '... and how it stands' $? "$(screen)"
"$engine" status --state "$state" | grep -q "^$run .*engine gone$"; check '... which status says too' $?
"$engine" pause "$run" --reason "$(printf 'lun\033[31mch')" --state "$state" | grep -q 'its engine is gone'; check '... and pause' $?
"$engine" status "$run" --state "$state" > "$scratch/gone"; grep -q 'ch since ' "$scratch/gone" && ! grep -q "$(printf '\033')" "$scratch/gone"; check '... without obeying a reason' $? "$(cat -v "$scratch/gone")"
"$engine" go-on "$run" --state "$state" > /dev/null
timeout 3 "$engine" attach "$run" --state "$state" > "$scratch/gone" 2>&1 < /dev/null
grep -q 'its engine is gone' "$scratch/gone" && grep -q '^? 30' "$scratch/gone" && grep -q 'traffic: not moved yet' "$scratch/gone" && ! grep -q 'goes on; engine attach' "$scratch/gone"; check '... and attach off a terminal' $? "$(cat "$scratch/gone")"
$tmux send-keys -R
$tmux send-keys -l "$engine resume $run --state $state; echo ended \$?"; $tmux send-keys Enter
seen 'resume is shown on the terminal too, and asks' '^\? .*  y yes  n no  d detach$'
$tmux send-keys n
seen 'one key is no answer' "^NO to '.*'\? Enter:"
save question-80x24
$tmux send-keys Enter
seen 'a no is a no' '^ended 1$'
[ -n "$(sql "SELECT 1 FROM approvals WHERE run = '$run' AND answer = 'no' AND by = 'ana'")" ]; check '... and in the journal' $?

# --- a terminal with little ----------------------------------------------------------------------------------------------
sed -i 's/minimum = 60/minimum = 1/' "$scratch/world/venture/venture.lua"
open 80 24 "export NO_COLOR=1 LC_ALL=C; $(stage30 1.2)"
seen 'without UTF-8' '^> 30\.[0-9.]+ '
[ "$($tmux capture-pane -pe | grep -c $'\e\[3[0-9]m')" = 0 ]; check '... and without colour' $? "$($tmux capture-pane -pe)"
save ascii-80x24
$tmux send-keys d
seen '... it is left' '^ended 130'
run=$(run_of)
"$engine" rollback "$run" --state "$state" > "$scratch/back" 2>&1; code=$?
grep -qE '^  state  .*green serves 1\.1 at 100 %' "$scratch/back" && { [ $code = 1 ] || [ $code = 4 ]; }; check 'off a terminal a run in the background is taken back' $? "$code $(cat "$scratch/back")"
before=$(ls "$state/terminal")
open 80 24 "$(stage30 nothing)"
seen 'a command that is refused before its run' '^ended 2'
[ "$(ls "$state/terminal")" = "$before" ]; check '... leaves nothing behind' $? "$(ls "$state/terminal")"
open 80 24 "export TERM=dumb; $(stage30 nothing)"
seen 'on a dumb terminal: plain lines' '^ended 2'
! screen | grep -q 'detach'; check '... and nothing is drawn' $? "$(screen)"
$tmux kill-server

# --- off a terminal ------------------------------------------------------------------------------------------------------
"$engine" playbooks/stage30.lua "${place[@]}" --release 1.2 --json > "$scratch/json" 2> "$scratch/err" < /dev/null; code=$?
[ $code = 0 ]; check 'for machines' $? "$code $(tail "$scratch/err")"
"$engine" -e "for line in files.read('$scratch/json'):gmatch '[^\n]+' do local e = assert(json.decode(line)) assert(e.v == 1 and e.at and e.kind) end return 'sound'" | grep -q sound; check '... each line is an object with its version' $? "$(head -3 "$scratch/json")"
grep '"seq"' "$scratch/json" | head -1 | grep -q '"kind":"run_begin"' && tail -1 "$scratch/json" | grep -q '"kind":"run_end".*"run":"[0-9a-f]*"'; check '... from the first event to the last' $? "$(tail -1 "$scratch/json")"
[ "$(grep -c '"kind":"step_begin"' "$scratch/json")" = "$(sql "SELECT count(*) FROM events WHERE kind = 'step_begin' AND run = '$(run_of)'")" ]; check '... as many steps as the journal has' $?
grep '"seq"' "$scratch/json" | cmp -s - <("$engine" log "$(run_of)" --state "$state" --json); check '... and the log has the same ones afterwards' $? "$("$engine" log "$(run_of)" --state "$state" --json | diff - <(grep '"seq"' "$scratch/json") | head -5)"
"$engine" -e "local run = json.decode(process.run { argv = { '$engine', 'status', '$(run_of)', '--state', '$state', '--json' } }.stdout) assert(run.v == 1 and run.outcome == 'promoted' and run.exit == 0 and #run.steps > 20) return 'sound'" | grep -q sound; check '... and so has its status' $?
grep -q '✓ 30.3.1' "$scratch/err" && ! grep -q '✓' "$scratch/json"; check '... and the plain lines on stderr' $?
"$engine" playbooks/stage30.lua "${place[@]}" --release nothing > "$scratch/plain" 2>&1 < /dev/null
! grep -q $'\e' "$scratch/plain"; check 'off a terminal no escape is written' $? "$(cat -v "$scratch/plain")"
grep -q 'failed=0' "$scratch/world/clients"; check "no client request failed: $(cat "$scratch/world/clients")" $?
"$engine" log --verify --state "$state" | head -1 | grep -q 'chain whole'; check 'the chain is whole' $?

echo "$passed passed, $failed failed"
[ $failed = 0 ]
