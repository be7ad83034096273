#!/usr/bin/env bash
# The console: off a terminal, and under tmux as a person would use it.
set -u
cd "$(dirname "$0")/../.."
engine=$(realpath "${ENGINE:-build/engine}")
scratch=$(mktemp -d /tmp/engine-repl-XXXXXX)
tmux="tmux -S $scratch/tmux"
trap '$tmux kill-server 2> /dev/null; rm -rf "$scratch"' EXIT
passed=0 failed=0
check() { if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $1"; echo "$3" | sed 's/^/  /'; fi; }

output=$(printf '1 + 1\nx = 5\nx * 2\nfor i = 1, 2 do\n print("line " .. i)\nend\nnil + 1\nhttp.get "http://127.0.0.1:1"\nexit\n99\n' | "$engine" repl 2>&1)
[ "$(head -4 <<< "$output" | tr '\n' ' ')" = '2 10 line 1 line 2 ' ]; check 'values, assignment, several lines' $? "$output"
grep -q 'attempt to perform arithmetic on a nil value' <<< "$output"; check 'an error is one line' $? "$output"
grep -q '^nil, E0205 connect' <<< "$output"; check 'nil, err is shown' $? "$output"
! grep -q 99 <<< "$output"; check 'exit ends it' $? "$output"

screen() { $tmux capture-pane -p; }
until_seen() {
  local end=$((SECONDS + 20))
  until screen | grep -qF -- "$1"; do
    [ $SECONDS -lt $end ] || return 1
    read -rt 0.1 <> <(:) || true
  done
}
$tmux new-session -d -x 100 -y 30 "HOME=$scratch $engine repl"
until_seen 'engine>'; check 'a prompt' $? "$(screen)"
$tmux send-keys 'greeting = "hel" .. "lo"' Enter 'greeting' Enter
until_seen 'hello'; check 'a value without return' $? "$(screen)"
$tmux send-keys 'sleep(600)' Enter
$tmux send-keys C-c
until_seen 'interrupted by Ctrl-C'; check 'Ctrl-C cancels the wait' $? "$(screen)"
$tmux send-keys '"still " .. "here"' Enter
until_seen 'still here'; check '... and not the console' $? "$(screen)"
$tmux send-keys 'half a line' C-c
$tmux send-keys '6 * 7' Enter
until_seen '42'; check 'Ctrl-C gives up a line' $? "$(screen)"
$tmux send-keys 'secret.wrap("topsecret1", "x")' Enter
until_seen 'secret(x)'; check 'a secret is not shown' $? "$(screen)"
grep -q greeting "$scratch/.engine_history" && ! grep -q topsecret "$scratch/.engine_history" && [ "$(stat -c %a "$scratch/.engine_history")" = 600 ]
check 'history without secrets, 0600' $? "$(cat "$scratch/.engine_history" 2>&1)"
$tmux send-keys C-d
for _ in $(seq 100); do $tmux list-sessions > /dev/null 2>&1 || break; read -rt 0.1 <> <(:) || true; done
! $tmux list-sessions > /dev/null 2>&1; check 'Ctrl-D ends it' $? "$(screen 2>&1)"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
