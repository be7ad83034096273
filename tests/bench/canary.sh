# shellcheck shell=bash
# From the first failed answer at a client to blue at 100 % as HAProxy reports it: 100 requests/s, 10 % at green, the fault in
# mid-stage, RUNS (20) worlds of real processes each, two at a time. Beside them the aims. outage: every
# request and /health fail; failing: every request fails, /health says fine; killed: SIGKILL; errors: one request in five fails.
. tests/lib/bench.sh
runs=${RUNS:-20}

one() { # one SCENARIO NUMBER
    local folder=$DIR/$1-$2
    mkdir "$folder"
    "$ENGINE" tests/e2e/canary.lua --scenario "$1" --folder "$folder" --state "$folder/state" >"$folder.out" 2>&1 || cat "$folder.out"
    rm -rf "$folder"
}

echo "seconds from the first failed answer to blue at 100 % (100 requests/s, 10 % at green, $runs runs each)"
for scenario in outage:2.5 failing:2.5 killed:2.5 errors:10; do
    name=${scenario%:*}
    for ((n = 1; n <= runs; n++)); do
        while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
        one "$name" "$n" &
    done
    wait
    sed -n "s/^$name verdict=rollback .* seconds=\([0-9.]*\) .*weights=100\/0.*/\1/p" "$DIR/$name"-*.out | sort -n >"$DIR/$name.times"
    awk -v name="$name" -v aim="${scenario#*:}" -v runs="$runs" '{ v[NR] = $1; s += $1 } END {
        if (NR != runs) { printf "  %s: only %d of %d runs rolled back\n", name, NR, runs; exit 1 }
        printf "  %-8s median %.2f, mean %.2f, worst %.2f (aim %s)\n", name, NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2, s / NR, v[NR], aim }' "$DIR/$name.times" || status=1
done
exit "${status:-0}"
