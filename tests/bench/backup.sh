# shellcheck shell=bash
# Backups and restores of PostgreSQL against pg_dump and pg_restore, and against the limit: two connections whose COPY goes nowhere.
# Two databases: pgbench at SCALE (73: 1 GB of rows) and TABLES (300) tables of mixed types. Everything, the server too, on two processors.
#
#   SCALE=73 TABLES=300 RUNS=3 make bench-backup
if [ -z "${PINNED:-}" ] && [ "$(nproc)" -gt 2 ]; then PINNED=1 exec taskset -c 0,1 bash "$0"; fi
. tests/lib/bench.sh
. tests/lib/postgres.sh
SCALE=${SCALE:-73} TABLES=${TABLES:-300} RUNS=${RUNS:-3}
chmod 755 "$DIR"
cleanup() { pg_stop immediate >/dev/null 2>&1; }
trap 'cleanup; finish' EXIT
PG_OPTIONS="-c shared_buffers=512MB -c max_wal_size=8GB" pg_start "$DIR/pg" || exit 1
url() { echo "postgres://postgres@127.0.0.1:$PGPORT/$1"; }

echo "building bench (pgbench -s $SCALE) and many ($TABLES tables)"
psql -Xqc 'CREATE DATABASE bench' -c 'CREATE DATABASE many'
"$PG_BIN/pgbench" -i -q -s "$SCALE" bench >/dev/null 2>&1
for ((i = 1; i <= TABLES; i++)); do
    echo "CREATE TABLE t$i (id bigserial PRIMARY KEY, name text, amount numeric(12,2), at timestamptz, doc jsonb, tags text[], raw bytea, ok boolean);
INSERT INTO t$i (name, amount, at, doc, tags, raw, ok) SELECT md5((i * $i)::text), i * 1.37, '2026-01-01'::timestamptz + i * interval '1 minute',
  jsonb_build_object('k', i, 'v', md5(i::text)), ARRAY['a' || i, 'b'], decode(md5(($i + i)::text) || md5(i::text), 'hex'), i % 2 = 0 FROM generate_series(1, 2500) i;
CREATE INDEX ON t$i (at);"
done | psql -Xq -d many
psql -Xqc VACUUM -d bench
psql -Xqc VACUUM -d many

compare_to() { printf '  %-48s %6.2f s  %7.1f MB' "$1" "$(awk "BEGIN { print $(median "$DIR/$2" 1) / 1e6 }")" "$(awk "BEGIN { print ${3:-0} / 1e6 }")"; printf '  peak %5.1f MB\n' "$(awk "BEGIN { print $(median "$DIR/$2" 2) / 1024 }")"; }
ratio() { awk -v a="$(median "$DIR/$1" 1)" -v b="$(median "$DIR/$2" 1)" -v what="$3" 'BEGIN { printf "  ratio to %s: %.2f\n", what, a / b }'; }
size() { du -sb "$1" | cut -f1; }

drain() { # two connections, every table's rows to nowhere
    psql -XAtq -d "$1" -c "SELECT format('COPY %I.%I TO STDOUT', schemaname, relname) FROM pg_stat_user_tables ORDER BY pg_relation_size(relid) DESC" >"$DIR/copies"
    if [ "$1" = bench ]; then # the one large table in two halves
        half=$(psql -XAtq -d bench -c "SELECT pg_relation_size('pgbench_accounts') / 16384")
        printf '%s\n' "COPY (SELECT * FROM pgbench_accounts WHERE ctid < '($half,0)') TO STDOUT" "COPY (SELECT * FROM pgbench_accounts WHERE ctid >= '($half,0)') TO STDOUT" >"$DIR/copies"
    fi
    awk 'NR % 2 { print $0 ";" }' "$DIR/copies" | psql -Xq -d "$1" >/dev/null &
    awk 'NR % 2 == 0 { print $0 ";" }' "$DIR/copies" | psql -Xq -d "$1" >/dev/null
    wait $!
}
piped() { pg_dump "$1" | zstd -q -3 -T2 -f -o "$DIR/piped.zst"; }
export -f piped
export DIR

for db in bench many; do
    echo "$db: backup (medians of $RUNS)"
    rm -f "$DIR"/m.*
    for ((n = 0; n < RUNS; n++)); do
        rm -rf "$DIR/ours" "$DIR/custom"
        measure "$DIR/m.ours" "$ENGINE" -e "assert(backup.take { database = '$(url $db)', to = '$DIR/ours' })" || exit 1
        measure "$DIR/m.custom" pg_dump -Fc -f "$DIR/custom" "$db" || exit 1
        measure "$DIR/m.piped" bash -c "piped $db" || exit 1
        start=${EPOCHREALTIME/./}
        drain "$db"
        echo "$((${EPOCHREALTIME/./} - start)) 0" >>"$DIR/m.limit"
    done
    compare_to "engine backup take" m.ours "$(size "$DIR/ours")"
    compare_to "pg_dump -Fc" m.custom "$(size "$DIR/custom")"
    compare_to "pg_dump | zstd -3 -T2" m.piped "$(size "$DIR/piped.zst")"
    compare_to "limit: two connections, COPY to nowhere" m.limit
    ratio m.ours m.custom "pg_dump -Fc"
    ratio m.ours m.piped "pg_dump | zstd -3 -T2"
    ratio m.ours m.limit "the limit (without schema, compression and checksums)"
    echo "$db: restore into a new database, once"
    psql -Xqc 'DROP DATABASE IF EXISTS target' -c 'CREATE DATABASE target'
    measure "$DIR/m.pg_restore" pg_restore -j2 -d target "$DIR/custom" || exit 1
    psql -Xqc 'DROP DATABASE target'
    path=$(echo "$DIR"/ours/*)
    measure "$DIR/m.drill" "$ENGINE" -e "local d = assert(backup.drill { backup = '$path', database = '$(url $db)', keep = true }) assert(files.write('$DIR/copy', json.encode(d.copy)))" || exit 1
    compare_to "engine: verify, restore, compare every row" m.drill
    compare_to "pg_restore -j2" m.pg_restore
    ratio m.drill m.pg_restore "pg_restore -j2 (which compares nothing)"
    "$ENGINE" -e "local copy = assert(json.decode(assert(files.read '$DIR/copy')))
local r = assert(backup.restore { backup = '$path', database = '$(url $db)', copy = copy })
print(('  rollback to the warm copy: not available for %.0f ms; all of it with the loss counted %.1f s'):format(r.downtime_s * 1000, r.seconds))" || exit 1
done
