#!/usr/bin/env bash
# The kill matrix: the demo's deployment, with each fault, killed at boundaries that the engine itself counts, then resumed; the world must
# end as it does without the kill (kill_matrix.lua says what is compared). With both journals, both databases, and with the resume killed too.
# SAMPLE is how many kills each row of the table gets; SAMPLE=all tries every boundary (make test-kill).
# Time limit: 1200 s
set -u
cd "$(dirname "$0")/../.."
engine=${ENGINE:-build/engine}
. tests/lib/postgres.sh
SAMPLE=${SAMPLE:-} WORKERS=${WORKERS:-2}
scratch=$(mktemp -d /tmp/engine-e2e-XXXXXX)
chmod 755 "$scratch"
cleanup() {
  # shellcheck disable=SC2046 # process ids
  kill $(jobs -p) 2> /dev/null
  wait
  pg_stop immediate > /dev/null 2>&1
  [ -n "${KEEP:-}" ] || rm -rf "$scratch"
}
trap cleanup EXIT
PG_OPTIONS='-c fsync=on' pg_start "$scratch/pg" || exit 1

# name, kills in a sample, options
table="
success        14  --scenario none
errors         10  --scenario errors
migration      12  --scenario migration
crash           8  --scenario crash
smoke           8  --scenario smoke
slow            6  --scenario slow
backup          5  --scenario backup
incompatible    6  --scenario incompatible
dependency      4  --scenario dependency
pg-migration    8  --scenario migration --postgres
twice           8  --scenario none --twice
twice-back      6  --scenario migration --twice
pgj-success     6  --scenario none JOURNAL
pgj-errors      4  --scenario errors JOURNAL
"
passed=0 failed=0 boundaries=0

run_row() { # run_row NAME KILLS OPTIONS...
  local name=$1 kills=$2 options
  shift 2
  if [[ " $* " == *" JOURNAL "* ]]; then
    psql -Xqc "CREATE DATABASE \"$name\"" > /dev/null
    set -- "${@/JOURNAL/--journal=postgres://postgres@127.0.0.1:$PGPORT/$name}"
  fi
  options=("$@")
  case $SAMPLE in all) ;; '') options+=(--kills "$kills") ;; *) options+=(--kills "$SAMPLE") ;; esac
  "$engine" tests/faults/kill_matrix.lua --folder "$scratch/$name" "${options[@]}" > "$scratch/$name.out" 2>&1
  echo $? > "$scratch/$name.code"
}

while read -r name kills options; do
  [ -n "$name" ] && { [ -z "${ROWS:-}" ] || [[ " $ROWS " == *" $name "* ]]; } || continue
  while [ "$(jobs -rp | wc -l)" -ge "$WORKERS" ]; do wait -n; done
  # shellcheck disable=SC2086 # options are words
  run_row "$name" "$kills" $options &
done <<< "$table"
wait $(jobs -rp)

while read -r name _ _; do
  [ -f "$scratch/$name.code" ] || continue
  counted=$(grep -oE 'killed [0-9]+ times, [0-9]+ wrong$' "$scratch/$name.out" | tail -1)
  if [ -z "$counted" ]; then
    failed=$((failed + 1))
    echo "FAILED $name did not reach its end"
    tail -30 "$scratch/$name.out"
    continue
  fi
  read -r _ kills _ wrong _ <<< "$counted"
  passed=$((passed + kills - wrong)) failed=$((failed + wrong))
  boundaries=$((boundaries + $(grep -oE '^[a-z]+: [0-9]+ boundaries' "$scratch/$name.out" | grep -oE '[0-9]+')))
  echo "$name: $(grep -oE '[0-9]+ boundaries' "$scratch/$name.out"), $counted"
  grep '^WRONG' "$scratch/$name.out"
  for file in "$scratch/$name"/wrong-*.out; do [ ! -f "$file" ] || { echo "--- $file" && tail -25 "$file"; }; done | head -120
done <<< "$table"
echo "$boundaries boundaries in all"
[ -n "${ROWS:-}" ] || [ $((passed + failed)) -ge 100 ] || { echo "only $((passed + failed)) kills were tried" && failed=$((failed + 1)); }
echo "$passed passed, $failed failed"
[ $failed = 0 ]
