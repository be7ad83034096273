#!/usr/bin/env bash
# What an operator does around a deployment: lock, interrupt, approvals, the next deployment onto the other
# colour, status and log; all in one demo world with clients that keep asking.
set -u
cd "$(dirname "$0")/../.."
engine=${ENGINE:-build/engine}
scratch=$(mktemp -d /tmp/engine-op-XXXXXX)
passed=0 failed=0 world=
check() { if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $1"; [ -z "${3:-}" ] || sed 's/^/  /' "$3" | tail -30; fi; }

mkdir "$scratch/overlay"
sed -e 's/minimum = 5, bake = 8, warm = 3/minimum = 2, bake = 2, warm = 1/' -e 's/rollback = { watch = 5/approvals = { timeout = 3 }, rollback = { watch = 1/' playbooks/demo/venture/venture.lua > "$scratch/overlay/venture.lua"
finish() { kill -INT $world 2> /dev/null; wait $world; rm -rf "$scratch"; }
trap finish EXIT
. tests/lib/world.sh
serve_world
state=$scratch/world/state
stage30=("$engine" playbooks/stage30.lua --venture "$scratch/world/venture" --state "$state")
deploy() { "${stage30[@]}" "$@"; }
last_run() { "$engine" status --state "$state" | head -1 | cut -c1-6; }

# Two engines on one venture; then Ctrl-C in mid-canary.
"${stage30[@]}" --release 1.1 > "$scratch/first" 2>&1 & # itself, not a shell around it: it gets the signal
first=$!
wait_for 'the canary' grep -q 'watch green at 10' "$scratch/first"
deploy --release 1.1 > "$scratch/second" 2>&1
[ $? = 6 ] && grep -q "holds demo since" "$scratch/second"; check 'a second engine exits 6 and names the holder' $? "$scratch/second"
"$engine" report --state "$state" --to "$scratch/papers" > "$scratch/in_flight" 2>&1
[ $? = 0 ] && grep -q 'Under way: ' "$scratch/in_flight" && grep -q 'traffic was last set to blue 90 %, green 10 %' "$scratch"/papers/report-*.md; check 'a report of a run that is under way' $? "$scratch/in_flight"
kill -INT $first
wait $first
[ $? = 130 ] && grep -q 'blue serves 1.0 at 100 %, verified' "$scratch/first"; check 'Ctrl-C takes traffic back and exits 130' $? "$scratch/first"

# Nobody answers; somebody denies; somebody approves.
deploy --release 1.1 --mode manual > "$scratch/manual" 2>&1 < /dev/null
[ $? = 3 ] && grep -q 'nobody answered' "$scratch/manual"; check 'an unanswered question ends with 3, nothing changed' $? "$scratch/manual"
deploy --release 1.1 --mode assisted > "$scratch/denied" 2>&1 < /dev/null &
denied=$!
wait_for 'a question' grep -q 'waiting; answer with' "$scratch/denied"
"$engine" approve "$(last_run)" --no --reason 'not on a Friday' --state "$state" > "$scratch/approve" 2>&1
check 'approve --no' $? "$scratch/approve"
wait $denied
[ $? = 1 ] && grep -q 'denied by .*: not on a Friday' "$scratch/denied"; check 'a denial aborts with its reason' $? "$scratch/denied"
deploy --release 1.1 --mode assisted > "$scratch/assisted" 2>&1 < /dev/null &
assisted=$!
wait_for 'a question' grep -q 'waiting; answer with' "$scratch/assisted"
run=$(last_run)
while kill -0 $assisted 2> /dev/null; do "$engine" approve "$run" --state "$state" > "$scratch/answers" 2>&1; read -rt 0.2 <> <(:) || true; done
wait $assisted
[ $? = 0 ] && grep -q 'green serves 1.1 at 100 %, verified' "$scratch/assisted"; check 'with approvals it is promoted' $? "$scratch/assisted"

# Somebody takes it over, once.
"$engine" status "$run" --state "$state" | grep -q 'handoff: not accepted yet'; check 'status says that nobody has taken it over' $?
next=$("$engine" status --state "$state" | sed -n 's/^  next   engine //p')
eval "\"$engine\" $next --reason 'on call'" > "$scratch/accepted" 2>&1; check "the handoff is accepted, by the command that status names: $next" $? "$scratch/accepted"
"$engine" handoff accept "$run" --state "$state" > "$scratch/again" 2>&1
[ $? = 2 ] && grep -q 'accepted already, by' "$scratch/again"; check 'and not twice' $? "$scratch/again"
"$engine" status "$run" --state "$state" | grep -q 'handoff: accepted by .*: on call'; check 'status says who has it' $?
{ "$engine" status --state "$state"; "$engine" status "$run" --state "$state"; "$engine" log "$run" --state "$state"; } > "$scratch/quiet"
! grep -q '^  next ' "$scratch/quiet"; check '... and that there is nothing to do' $? "$scratch/quiet"

# The next deployment goes onto the other colour. Release 1.2 is 1.1 with another name.
lay_next_release
deploy --release 1.2 > "$scratch/next" 2>&1
[ $? = 0 ] && grep -q 'retire blue, which still holds 1.0' "$scratch/next" && grep -q 'blue serves 1.2 at 100 %, verified' "$scratch/next"; check 'the next release goes onto blue' $? "$scratch/next"
grep -Eq '30.2.2 watch blue at 10 % \| done \| [0-9.]+ s \| [0-9.]+ s, of 1 ' "$state/runs/$(last_run)"/report-*.md; check 'its steps are compared with those of the run before' $? "$scratch/next"

"$engine" status --state "$state" > "$scratch/status" && [ "$(grep -c demo "$scratch/status")" -ge 5 ]; check 'status lists the runs' $? "$scratch/status"
"$engine" log --verify --state "$state" > "$scratch/log" && grep -q 'chain whole' "$scratch/log"; check 'the chain of events is whole' $? "$scratch/log"
wait_for 'fresh client counts' true
grep -q 'failed=0' "$scratch/world/clients"; check "no client request failed: $(cat "$scratch/world/clients")" $? "$scratch/world/clients"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
