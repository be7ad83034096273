# shellcheck shell=bash
# What durability costs: a step (two transactions with their events) against two bare SQLite commits on the same file system, turn and turn
# about; a resume of a run of many steps, up to its first probe; the journal's size.
#
#   STEPS=10000 ROUND=300 RUNS=9 tests/bench/run.sh journal     (TMPDIR: the file system)
. tests/lib/bench.sh
STEPS=${STEPS:-10000} ROUND=${ROUND:-300} RUNS=${RUNS:-9}
make --no-print-directory -s build/bench/journal || exit 1

steps() { # STATE STEPS [OPTION]: the playbook with a journal of its own
    mkdir -p "$DIR/$1"
    "$ENGINE" tests/bench/journal_steps.lua --state "$DIR/$1" --out "$DIR/$1" --steps "$2" "${@:3}" >"$DIR/out" 2>&1
}

for ((n = 0; n < RUNS; n++)); do
    build/bench/journal "$DIR/peer-$n.db" "$ROUND" >>"$DIR/peer" || exit 1
    # A folder of its own for each, removed at the end: a file system that discards what was removed is slow just then.
    steps "round-$n" "$ROUND" || { cat "$DIR/out" && exit 1; }
    cat "$DIR/round-$n/step" >>"$DIR/ours"
done
echo "a durable step against two bare commits on $(stat -f -c %T "$DIR") (target 1.30), the median step and the mean:"
compare us 1 "$DIR/ours" "$DIR/peer" 1
compare us 1 "$DIR/ours" "$DIR/peer" 2

steps long "$STEPS" --die 2>/dev/null
[ -s "$DIR/long/step" ] || { cat "$DIR/out" && exit 1; }
for ((n = 0; n < RUNS; n++)); do
    cp -r "$DIR/long" "$DIR/again-$n"
    start=$(date +%s%N)
    "$ENGINE" resume --state "$DIR/again-$n" >"$DIR/out" 2>&1 || { cat "$DIR/out" && exit 1; }
    # The run wrote down where the probe's file goes.
    echo $((($(stat -c %.9Y "$DIR/long/probe" | tr -d .) - start) / 1000)) >>"$DIR/resume"
done
awk -v us="$(median "$DIR/resume" 1)" -v steps="$STEPS" 'BEGIN { printf "resume of %d recorded steps to the first probe: %.2f s (target 1.00)\n", steps, us / 1e6 }'
awk -v bytes="$(stat -c %s "$DIR/again-0/journal.db")" -v steps="$STEPS" 'BEGIN { printf "journal: %.0f KB per 1,000 steps\n", bytes / 1e3 / steps * 1e3 }'
