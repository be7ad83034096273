# shellcheck shell=bash
# A restore into the live database itself: how long its tables are locked, for about 4,300 changed rows of pgbench at SCALE (73: 1 GB).
#
#   SCALE=73 RUNS=3 tests/bench/run.sh in_place
. tests/lib/bench.sh
. tests/lib/postgres.sh
SCALE=${SCALE:-73} RUNS=${RUNS:-3}
chmod 755 "$DIR"
cleanup() { pg_stop immediate >/dev/null 2>&1; }
trap 'cleanup; finish' EXIT
PG_OPTIONS="-c shared_buffers=512MB -c max_wal_size=8GB" pg_start "$DIR/pg" || exit 1
psql -Xqc 'CREATE DATABASE bench'
"$PG_BIN/pgbench" -i -q -s "$SCALE" bench >/dev/null 2>&1
url=postgres://postgres@127.0.0.1:$PGPORT/bench
taken=$("$ENGINE" -e "return assert(backup.take { database = '$url', to = '$DIR/backups' }).path" | tr -d "'\"") || exit 1

whole() {
    "$PG_BIN/pgbench" -n -c 4 -t 440 bench >/dev/null 2>&1
    "$ENGINE" -e "local r = assert(backup.restore { backup = '$taken', database = '$url', in_place = true, safety = false })
assert(files.append('$DIR/whole', ('%.0f 0\n'):format(r.downtime_s * 1e6)))" || return 1
}
echo "in place, about 4,300 rows changed (medians of $RUNS)"
for ((n = 0; n < RUNS; n++)); do whole || exit 1; done
row "locked: everything dropped, loaded and compared" "$DIR/whole"
