# shellcheck shell=bash
# Steps a second with the journal in a PostgreSQL that syncs its commits: effect steps that do nothing, whose intent and outcome are each
# committed before the run goes on, against the same number of pairs of bare transactions by pgbench on the same server, in turns. And the
# round trips of one step, as the server counts its statements.
#
#   STEPS=1000 RUNS=5 tests/bench/run.sh journal_postgres
. tests/lib/bench.sh
. tests/lib/postgres.sh
STEPS=${STEPS:-1000} RUNS=${RUNS:-5}
chmod 755 "$DIR"
trap 'pg_stop immediate >/dev/null 2>&1; finish' EXIT
PG_OPTIONS="-c fsync=on" pg_start "$DIR/pg" || exit 1

cat >"$DIR/steps.lua" <<'END'
return playbook { name = "steps", about = "effect steps that do nothing", args = { n = { type = "integer", default = 1000 }, out = { type = "string", required = true } }, run = function(run)
  step("the first, which begins the run", function() end)
  local began = require("clock").now()
  for i = 1, run.args.n do step { "effect", effect = "idempotent", args = { number = i }, run = function() end } end
  assert(files.append(run.args.out, ("%.0f\n"):format((require("clock").now() - began) * 1e6)))
end }
END
pg_sql "CREATE TABLE bare (number integer, state text)"
cat >"$DIR/bare.sql" <<'END'
BEGIN;
INSERT INTO bare VALUES (1, 'intent');
COMMIT;
BEGIN;
INSERT INTO bare VALUES (1, 'done');
COMMIT;
END

for ((n = 0; n < RUNS; n++)); do
    "$ENGINE" "$DIR/steps.lua" --n "$STEPS" --out "$DIR/ours" --state "$DIR/state" --journal "$URL" >"$DIR/out" 2>&1 || { cat "$DIR/out" && exit 1; }
    "$PG_BIN/pgbench" -n -c 1 -t "$STEPS" -f "$DIR/bare.sql" >"$DIR/pgbench" 2>&1 || { cat "$DIR/pgbench" && exit 1; }
    awk -v steps="$STEPS" '/^tps = / { printf "%.0f\n", steps / $3 * 1e6 }' "$DIR/pgbench" >>"$DIR/peer"
done

echo "$STEPS effect steps with the journal in PostgreSQL, against as many pairs of bare transactions by pgbench (fsync on, $(stat -f -c %T "$DIR"))"
compare ms 1000 "$DIR/ours" "$DIR/peer" 1
awk -v steps="$STEPS" -v ours="$(median "$DIR/ours" 1)" -v peers="$(median "$DIR/peer" 1)" 'BEGIN {
    printf "  steps a second: engine %.0f, peer %.0f\n", steps / ours * 1e6, steps / peers * 1e6 }'
