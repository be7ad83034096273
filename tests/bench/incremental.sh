# shellcheck shell=bash
# Incremental backups of PostgreSQL against pg_dump, which has none, and against a full one: pgbench at SCALE (73: 1 GB of rows), unchanged, and
# after SPREAD (1000) updates of rows all over the table, and after as many in one place. Everything, the server too, on two processors.
#
#   SCALE=73 RUNS=3 tests/bench/run.sh incremental
if [ -z "${PINNED:-}" ] && [ "$(nproc)" -gt 2 ]; then PINNED=1 exec taskset -c 0,1 bash "$0"; fi
. tests/lib/bench.sh
. tests/lib/postgres.sh
SCALE=${SCALE:-73} RUNS=${RUNS:-3} SPREAD=${SPREAD:-1000}
chmod 755 "$DIR"
cleanup() { pg_stop immediate >/dev/null 2>&1; }
trap 'cleanup; finish' EXIT
PG_OPTIONS="-c shared_buffers=512MB -c max_wal_size=8GB -c autovacuum=off" pg_start "$DIR/pg" || exit 1
url=postgres://postgres@127.0.0.1:$PGPORT/bench

echo "building bench (pgbench -s $SCALE)"
psql -Xqc 'CREATE DATABASE bench'
"$PG_BIN/pgbench" -i -q -s "$SCALE" bench >/dev/null 2>&1
psql -Xqc VACUUM -d bench

take() { "$ENGINE" -e "local b = assert(backup.take { database = '$url', to = '$DIR/ours', since = ${1:-nil} }) if b.incremental then print(backup.reuse_text(b.incremental)) end"; }
export -f take
export url ENGINE DIR
row() { awk -v name="$1" -v us="$(median "$DIR/m.$2" 1)" -v kib="$(median "$DIR/m.$2" 2)" -v dump="$(median "$DIR/m.dump" 1)" \
    'BEGIN { printf "  %-52s %6.2f s  %5.3f of pg_dump -Fc  peak %5.1f MB\n", name, us / 1e6, us / dump, kib / 1024 }'; }
incremental() { # incremental NAME: measured, and what it took over, said once
    measure "$DIR/m.$1" bash -c "take true" || exit 1
    grep -a pieces "$DIR/out" >"$DIR/said.$1"
}

for ((n = 0; n < RUNS; n++)); do
    rm -rf "$DIR/ours" "$DIR/custom"
    measure "$DIR/m.dump" pg_dump -Fc -f "$DIR/custom" bench || exit 1
    measure "$DIR/m.full" bash -c take || exit 1
    incremental unchanged
    psql -Xqd bench -c "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid BETWEEN 1 + ($n + 1) * 10000 AND $SPREAD + ($n + 1) * 10000"
    incremental together
    psql -Xqd bench -c "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % ($SCALE * 100000 / $SPREAD) = 7 + $n" # others in each run: these are at the table's end now
    incremental spread
done
echo "medians of $RUNS"
row "pg_dump -Fc" dump
row "engine, full" full
row "engine, incremental, unchanged" unchanged
row "engine, incremental, $SPREAD rows in one place" together
row "engine, incremental, $SPREAD rows all over" spread
for name in unchanged together spread; do echo "  $name: $(cat "$DIR/said.$name")"; done
