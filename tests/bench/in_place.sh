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


# 4,300 changed rows, and the restore; it adds to FILE how long others waited.
one() { # one FILE COPY-OR-NIL
    "$PG_BIN/pgbench" -n -c 4 -t 440 bench >/dev/null 2>&1
    "$ENGINE" -e "local r = assert(backup.restore { backup = '$taken', database = '$url', in_place = true, safety = false, copy = $2 })
assert(not r.whole, r.whole)
assert(files.append('$DIR/$1', ('%.0f 0\n'):format(r.downtime_s * 1e6)))
assert(files.append('$DIR/$1.all', ('%.0f 0\n'):format(r.seconds * 1e6)))
print(r.loss.inserted + r.loss.updated + r.loss.deleted)" || return 1
}
"$ENGINE" -e "local d = assert(backup.drill { backup = '$taken', database = '$url', keep = true })
assert(files.write('$DIR/copy', json.encode(d.copy)))" >/dev/null || exit 1
for ((n = 0; n < RUNS; n++)); do rows=$(one difference "assert(json.decode(assert(files.read '$DIR/copy')))") || exit 1; done
for ((n = 0; n < RUNS; n++)); do one whole nil >/dev/null || exit 1; done
echo "in place, $rows rows changed (medians of $RUNS)"
row "locked: the rows that differ from the warm copy exchanged" "$DIR/difference"
row "  all of it, most of it comparing while others work on" "$DIR/difference.all"
row "locked: everything dropped, loaded and compared" "$DIR/whole"
row "  all of it" "$DIR/whole.all"
goal "locked, with the warm copy" "$(awk "BEGIN { print $(median "$DIR/difference" 1) / 1e6 }")" 0.25 " s"
ratio "loading everything" "$DIR/difference" "$DIR/whole"
