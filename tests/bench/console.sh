#!/bin/bash
# The console: from its start to its prompt against `lua5.4 -i`, and from a key press to its echo: alone, and attached to a deployment
# that is under way while clients send 1000 requests a second.
set -u
. tests/lib/bench.sh
world=
cleanup() { if [ -n "$world" ]; then kill -INT "$world" 2>/dev/null && wait "$world" 2>/dev/null; fi; }
finish_all() { cleanup; finish; }
trap finish_all EXIT
make -s build/bench/console || exit 1
at=build/bench/console
export HOME=$DIR XDG_STATE_HOME=
RUNS=${RUNS:-20} KEYS=${KEYS:-400} RATE=1000

mkdir "$DIR/overlay"
sed -e 's/minimum = 5, bake = 8, warm = 3/minimum = 300, bake = 300, warm = 1/' playbooks/demo/venture/venture.lua >"$DIR/overlay/venture.lua"
"$ENGINE" playbooks/demo.lua --serve --world "$DIR/world" --overlay "$DIR/overlay" >"$DIR/world.out" 2>&1 &
world=$!
for _ in $(seq 600); do [ -f "$DIR/world/clients" ] && break; read -rt 0.1 <> <(:); done
. "$DIR/world/world.env" || { cat "$DIR/world.out" && exit 1; }
place=(--venture "$DIR/world/venture" --state "$DIR/world/state")

for _ in $(seq "$RUNS"); do
    $at start '> ' lua5.4 -i >>"$DIR/lua" || exit 1
    $at start 'RO> ' "$ENGINE" repl >>"$DIR/plain" || exit 1
    $at start 'RO venture> ' "$ENGINE" repl "${place[@]}" >>"$DIR/venture" || exit 1
done
echo "console: start to prompt, median of $RUNS"
echo "  engine repl  against the peer  lua5.4 -i"
compare ms 1000 "$DIR/plain" "$DIR/lua" 1
echo "  engine repl --venture DIR  against the peer  lua5.4 -i"
compare ms 1000 "$DIR/venture" "$DIR/lua" 1
echo "  of that, computing"
compare ms 1000 "$DIR/plain" "$DIR/lua" 2
compare ms 1000 "$DIR/venture" "$DIR/lua" 2
goal "start to prompt with a venture" "$(awk -v us="$(median "$DIR/venture" 1)" 'BEGIN { printf "%.2f", us / 1000 }')" 20 ms

percentile() { sort -n "$1" | awk -v share="$2" '{ v[NR] = $1 } END { i = int(NR * share + 0.999); printf "%.2f", v[i] / 1000 }'; }
echo "console: key press to echo"
$at echo '> ' "$KEYS" lua5.4 -i >"$DIR/keys-lua" || exit 1
$at echo 'demo 0%' "$KEYS" "$ENGINE" repl "${place[@]}" >"$DIR/keys-quiet" || exit 1
"$ENGINE" playbooks/stage30.lua "${place[@]}" --release 1.1 >"$DIR/deploy" 2>&1 &
deploy=$!
for _ in $(seq 600); do grep -q 'watch green at 10' "$DIR/deploy" && break; read -rt 0.1 <> <(:); done
"$ENGINE" -e 'local base = ... for _ = 1, 20 do background(function() local next_at = clock.now() while true do http.get(base .. "/health") next_at = next_at + 0.02 sleep(math.max(0, next_at - clock.now())) end end) end sleep(1e6)' "$DEMO_PUBLIC" 2>/dev/null &
load=$!
asked() { echo 'show stat' | socat - "UNIX-CONNECT:$DEMO_HAPROXY" | awk -F, '$1 == "public" && $2 == "FRONTEND" { print $49 }'; }
before=$(asked) began=${EPOCHREALTIME/./}
run=$("$ENGINE" status --state "$DIR/world/state" | awk '$3 == "demo" { print $1; exit }')
$at echo 'RUNNING' "$KEYS" "$ENGINE" repl --attach "$run" --state "$DIR/world/state" >"$DIR/keys-busy" || exit 1
rate=$(awk -v n="$(($(asked) - before))" -v us="$((${EPOCHREALTIME/./} - began))" 'BEGIN { printf "%.0f", n * 1e6 / us }')
kill "$load" "$deploy" 2>/dev/null
wait "$load" "$deploy" 2>/dev/null
for name in lua quiet busy; do
    printf '  %-10s %6s ms median %6s ms p99\n' "$name" "$(percentile "$DIR/keys-$name" 0.5)" "$(percentile "$DIR/keys-$name" 0.99)"
done
echo "  (lua: lua5.4 -i; quiet: a venture, nothing going on but its 8 clients; busy: attached to a canary, $rate requests/s through the proxy)"
