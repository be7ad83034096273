# shellcheck shell=bash
# Backups and restores of PostgreSQL against every peer, and against the limit: two connections whose COPY goes nowhere, or comes in without an
# index. Two databases: bench (pgbench at SCALE; 73: 1 GB of rows) and many (TABLES tables of mixed types). Everything, the server too, on
# two processors. Peers that are not installed are said; `make deps SCOPE=bench` installs them. The peak is that of a peer's largest process.
#
#   SCALE=73 TABLES=300 RUNS=3 tests/bench/run.sh backup
if [ -z "${PINNED:-}" ] && [ "$(nproc)" -gt 2 ]; then PINNED=1 exec taskset -c 0,1 bash "$0"; fi
. tests/lib/bench.sh
. tests/lib/postgres.sh
SCALE=${SCALE:-73} TABLES=${TABLES:-300} RUNS=${RUNS:-3}
chmod 755 "$DIR"
cleanup() { pg_stop immediate >/dev/null 2>&1; }
trap 'cleanup; finish' EXIT
# Archiving goes nowhere but while pgBackRest, which insists on it, is measured.
PG_OPTIONS="-c shared_buffers=512MB -c max_wal_size=8GB -c archive_mode=on" pg_start "$DIR/pg" || exit 1
archive_with() { psql -Xqc "ALTER SYSTEM SET archive_command = '$1'" -c 'SELECT pg_reload_conf()' >/dev/null; }
archive_with /bin/true
url() { echo "postgres://postgres@127.0.0.1:$PGPORT/$1"; }
MADE=$DIR/made
export DIR MADE PG_DIR PG_BIN ENGINE
export -f url _pg_as

build() {
    echo "building bench (pgbench -s $SCALE) and many ($TABLES tables)"
    psql -Xqc 'CREATE DATABASE bench' -c 'CREATE DATABASE many'
    "$PG_BIN/pgbench" -i -q -s "$SCALE" bench >/dev/null 2>&1
    for ((i = 1; i <= TABLES; i++)); do
        echo "CREATE TABLE t$i (id bigserial PRIMARY KEY, name text, amount numeric(12,2), at timestamptz, doc jsonb, tags text[], raw bytea, ok boolean);
SELECT setseed(1.0 / $i); INSERT INTO t$i (name, amount, at, doc, tags, raw, ok) SELECT md5(random()::text), i * 1.37, '2026-01-01'::timestamptz + i * interval '1 minute',
  jsonb_build_object('k', i, 'v', md5(random()::text)), ARRAY['a' || i, 'b'], decode(md5(random()::text) || md5(random()::text), 'hex'), i % 2 = 0 FROM generate_series(1, 2500) i;
CREATE INDEX ON t$i (at);"
    done | psql -Xq -d many >/dev/null
    psql -Xqc VACUUM -d bench
    psql -Xqc VACUUM -d many
}

# --- backup: each takes the database's name and leaves what it makes at $MADE/<its own name> --------
take() { "$ENGINE" -e "assert(backup.take { database = '$(url "$1")', to = '$MADE/take' })"; }
dump_custom() { pg_dump -Fc -f "$MADE/dump_custom" "$1"; }
dump_directory() { pg_dump -Fd -j2 -f "$MADE/dump_directory" "$1"; }
dump_plain() { pg_dump -Fp "$1" | zstd -q -3 -T2 -o "$MADE/dump_plain"; }
dump_packed() { pg_dump -Fc -Z0 "$1" | zstd -q -3 -o "$MADE/dump_packed"; }
basebackup() { pg_basebackup -D "$MADE/basebackup" -Ft -X fetch --checkpoint=fast --compress=server-zstd:3; }
pgbackrest_do() { _pg_as pgbackrest --config="$DIR/pgbackrest.conf" --stanza=bench "$@"; }
pgbackrest_full() { pgbackrest_do --type=full backup; }
pgbackrest_incremental() { pgbackrest_do --type=incr backup; }
# Two connections, every table's rows to nowhere.
drain() {
    awk 'NR % 2' "$DIR/copies" | psql -Xq -d "$1" >/dev/null &
    awk 'NR % 2 == 0' "$DIR/copies" | psql -Xq -d "$1" >/dev/null
    wait $!
}
schema() { pg_dump -s "$1"; }
export -f take dump_custom dump_directory dump_plain dump_packed basebackup pgbackrest_do pgbackrest_full pgbackrest_incremental drain schema

list_copies() { # list_copies DATABASE: for drain; the one large table of bench in two halves
    if [ "$1" = bench ]; then
        local half
        half=$(psql -XAtq -d bench -c "SELECT pg_relation_size('pgbench_accounts') / 16384")
        printf '%s\n' "COPY (SELECT * FROM pgbench_accounts WHERE ctid < '($half,0)') TO STDOUT;" "COPY (SELECT * FROM pgbench_accounts WHERE ctid >= '($half,0)') TO STDOUT;"
    else
        psql -XAtq -d "$1" -c "SELECT format('COPY %I.%I TO STDOUT;', schemaname, relname) FROM pg_stat_user_tables ORDER BY pg_relation_size(relid) DESC"
    fi >"$DIR/copies"
}

pgbackrest_prepare() {
    command -v pgbackrest >/dev/null || return 0
    mkdir -p "$MADE/pgbackrest" "$DIR/pgbackrest"
    [ "$(id -u)" != 0 ] || chown postgres: "$MADE/pgbackrest" "$DIR/pgbackrest"
    printf '%s\n' '[global]' "repo1-path=$MADE/pgbackrest" repo1-retention-full=1 compress-type=zst compress-level=3 process-max=2 start-fast=y "log-path=$DIR/pgbackrest" "lock-path=$DIR/pgbackrest" \
        "spool-path=$DIR/pgbackrest" log-level-console=warn '[bench]' "pg1-path=$PG_DIR/data" "pg1-port=$PGPORT" pg1-host-user=postgres "pg1-socket-path=$PG_SOCKET" >"$DIR/pgbackrest.conf"
    archive_with "pgbackrest --config=$DIR/pgbackrest.conf --stanza=bench archive-push %p"
    pgbackrest_do stanza-create >/dev/null
}

# CPU seconds of zstd -1 on the rows of a backup, halved: a line of microseconds for `row` and `ratio`.
half_the_compressor() {
    find "$MADE"/take/*/data -type f | sort | xargs zstd -q -dc >"$DIR/rows"
    /usr/bin/time -f '%U %S' -o "$DIR/cpu" zstd -q -1 -c "$DIR/rows" >/dev/null
    awk '{ printf "%d\n", ($1 + $2) / 2 * 1e6 }' "$DIR/cpu"
    rm "$DIR/rows"
}

# What no backup of this kind can be faster than: the drain, half the compressor's CPU (there are two processors), and the schema.
limit_of() {
    half_the_compressor >"$DIR/b.compressor"
    echo "$(awk "BEGIN { print $(median "$DIR/b.drain" 1) + $(median "$DIR/b.compressor" 1) + $(median "$DIR/b.schema" 1) }") 0" >"$DIR/b.limit"
}

backup_table() {
    local db=$1 n name names=(take dump_custom dump_directory dump_plain dump_packed drain schema) whole=()
    if [ "$db" = bench ]; then whole=(basebackup pgbackrest_full pgbackrest_incremental); fi
    echo "$db: backup (medians of $RUNS)"
    rm -rf "$MADE" "$DIR"/b.*
    mkdir "$MADE"
    list_copies "$db"
    if [ ${#whole[@]} -gt 0 ]; then pgbackrest_prepare || return 1; fi
    for ((n = 0; n < RUNS; n++)); do
        for name in "${names[@]}" "${whole[@]}"; do
            rm -rf "${MADE:?}/$name"
            sync # what the one before wrote is not waited for by the next
            if [[ $name = pgbackrest_* ]]; then
                measure_if pgbackrest "$DIR/b.$name" bash -c "$name" || return 1
            else
                measure "$DIR/b.$name" bash -c "set -o pipefail; $name $db" || return 1
            fi
        done
    done
    archive_with /bin/true
    limit_of
    row "engine backup take" "$DIR/b.take" "$MADE/take"
    row "pg_dump -Fc (gzip 6)" "$DIR/b.dump_custom" "$MADE/dump_custom"
    row "pg_dump -Fd -j2 (gzip 6)" "$DIR/b.dump_directory" "$MADE/dump_directory"
    row "pg_dump -Fp | zstd -3 -T2" "$DIR/b.dump_plain" "$MADE/dump_plain"
    row "pg_dump -Fc -Z0 | zstd -3" "$DIR/b.dump_packed" "$MADE/dump_packed"
    if [ "$db" = bench ]; then
        row "pgBackRest full, zst 3, 2 processes (whole cluster)" "$DIR/b.pgbackrest_full" "$(find "$MADE/pgbackrest/backup/bench" -maxdepth 1 -name '*F' 2>/dev/null)"
        row "pg_basebackup, server zstd 3 (whole cluster)" "$DIR/b.basebackup" "$MADE/basebackup"
    fi
    row "two connections, COPY drained to nothing" "$DIR/b.drain"
    row "limit: drained, half the CPU of zstd -1, pg_dump -s" "$DIR/b.limit"
    local fc=0.45 zstd=0.60
    if [ "$db" = many ]; then fc=0.28 zstd=0.75; fi
    ratio "pg_dump -Fc" "$DIR/b.take" "$DIR/b.dump_custom" $fc
    ratio "pg_dump -Fd -j2" "$DIR/b.take" "$DIR/b.dump_directory"
    ratio "pg_dump -Fp | zstd -3 -T2" "$DIR/b.take" "$DIR/b.dump_plain" $zstd
    ratio "pg_dump -Fc -Z0 | zstd -3" "$DIR/b.take" "$DIR/b.dump_packed"
    ratio "pgBackRest full" "$DIR/b.take" "$DIR/b.pgbackrest_full"
    ratio "pg_basebackup" "$DIR/b.take" "$DIR/b.basebackup"
    ratio "the limit" "$DIR/b.take" "$DIR/b.limit" 1.10
    ratio "pg_dump -Fc of the drained COPY alone" "$DIR/b.drain" "$DIR/b.dump_custom"
    goal "size to that of pg_dump -Fp | zstd -3 -T2" "$(awk "BEGIN { print $(du -sb "$MADE/take" | cut -f1) / $(du -sb "$MADE/dump_plain" | cut -f1) }")" 1.06
    goal "peak memory of the engine" "$(awk "BEGIN { print $(median "$DIR/b.take" 2) / 1024 }")" 24 " MB"
}

# --- restore: each into a database of its own ------------------------------------------------------
restore_custom() { pg_restore -d target "$MADE/dump_custom"; }
restore_custom_2() { pg_restore -j2 -d target "$MADE/dump_custom"; }
restore_directory_2() { pg_restore -j2 -d target "$MADE/dump_directory"; }
restore_at_once() { pg_restore -1 -d target "$MADE/dump_custom"; }
restore_plain() { zstd -q -dc "$MADE/dump_plain" | psql -Xq -1 -v ON_ERROR_STOP=1 -d target -f -; }
pgcopydb_clone() { pgcopydb clone --source "$(url "$1")" --target "$(url target)" --table-jobs 2 --index-jobs 2 --dir "$DIR/pgcopydb"; }
template() { psql -Xqc "CREATE DATABASE target TEMPLATE $1 STRATEGY FILE_COPY"; }
load_rows() { # into tables that are there, by two connections
    psql -Xq -v ON_ERROR_STOP=1 -d target -f "$DIR/load.1" &
    psql -Xq -v ON_ERROR_STOP=1 -d target -f "$DIR/load.2" && wait $!
}
# The time for comparing is told apart: no peer compares.
drill() {
    "$ENGINE" -e "local tables = require 'backup.postgres_tables'
local compare = tables.compare
tables.compare = function(...)
  local began = clock.now()
  compare(...)
  assert(files.append('$DIR/r.comparing', ('%.0f 0\n'):format((clock.now() - began) * 1e6)))
end
local path = '$MADE/take/' .. assert(backup.list '$MADE/take')[1].id
local drilled = assert(backup.drill { backup = path, database = '$(url "$1")', keep = true })
assert(files.write('$DIR/copy', json.encode(drilled.copy)))"
}
export -f restore_custom restore_custom_2 restore_directory_2 restore_at_once restore_plain pgcopydb_clone template load_rows drill

prepare_rows() { # prepare_rows DATABASE: every table's rows in a file, for load_rows
    rm -rf "$DIR/text"
    mkdir "$DIR/text"
    psql -XAtq -d "$1" -c "SELECT relname FROM pg_stat_user_tables ORDER BY pg_relation_size(relid) DESC" >"$DIR/tables"
    sed "s|.*|\\\\copy & TO '$DIR/text/&'|" "$DIR/tables" | psql -Xq -d "$1"
    local load="s|.*|BEGIN; TRUNCATE &;\n\\\\copy & FROM '$DIR/text/&' WITH (FREEZE)\nCOMMIT;|"
    awk 'NR % 2' "$DIR/tables" | sed "$load" >"$DIR/load.1"
    awk 'NR % 2 == 0' "$DIR/tables" | sed "$load" >"$DIR/load.2"
}

# Nothing but the schema's tables is there when load_rows begins, and nothing when the others do.
fresh() {
    rm -rf "$DIR/pgcopydb"
    PGOPTIONS='-c client_min_messages=warning' psql -Xqc 'DROP DATABASE IF EXISTS target WITH (FORCE)'
    [ "$1" = template ] || psql -Xqc 'CREATE DATABASE target TEMPLATE template0'
    [ "$1" != load_rows ] || pg_restore --section=pre-data -d target "$MADE/dump_custom"
}

restore_table() {
    local db=$1 n name
    echo "$db: restore into a fresh database (medians of $RUNS)"
    rm -f "$DIR"/r.*
    prepare_rows "$db"
    for ((n = 0; n < RUNS; n++)); do
        for name in restore_custom restore_custom_2 restore_directory_2 restore_at_once restore_plain load_rows template; do
            fresh "$name" && measure "$DIR/r.$name" bash -c "set -o pipefail; $name $db" || return 1
        done
        fresh pgcopydb && measure_if pgcopydb "$DIR/r.pgcopydb" bash -c "pgcopydb_clone $db" || return 1
        psql -Xqc 'DROP DATABASE target'
        measure "$DIR/r.drill" bash -c "drill $db" || return 1
        [ $((n + 1)) = "$RUNS" ] || "$ENGINE" -e "assert(backup.drop_copy(assert(json.decode(assert(files.read '$DIR/copy'))), '$(url "$db")'))" >/dev/null || return 1
    done
    awk -v compare="$(median "$DIR/r.comparing" 1)" '{ print $1 - compare, $2 }' "$DIR/r.drill" >"$DIR/r.load"
    row "engine: verify, restore, compare every row, ANALYZE" "$DIR/r.drill"
    row "  of it comparing, which no peer does" "$DIR/r.comparing"
    row "pg_restore of -Fc, one job" "$DIR/r.restore_custom"
    row "pg_restore -j2 of -Fc" "$DIR/r.restore_custom_2"
    row "pg_restore -j2 of -Fd" "$DIR/r.restore_directory_2"
    row "pg_restore -1 (one transaction)" "$DIR/r.restore_at_once"
    row "zstd -d | psql -1" "$DIR/r.restore_plain"
    row "pgcopydb clone 2/2 (copy and restore)" "$DIR/r.pgcopydb"
    row "limit: COPY FREEZE in by two connections, no index" "$DIR/r.load_rows"
    row "CREATE DATABASE ... TEMPLATE (file copy)" "$DIR/r.template"
    for name in drill load; do
        echo "    $([ $name = drill ] && echo "all of it" || echo "without comparing")"
        ratio "pg_restore, one job" "$DIR/r.$name" "$DIR/r.restore_custom"
        ratio "pg_restore -j2 of -Fc" "$DIR/r.$name" "$DIR/r.restore_custom_2" 0.83
        ratio "pg_restore -j2 of -Fd" "$DIR/r.$name" "$DIR/r.restore_directory_2"
        ratio "pg_restore -1" "$DIR/r.$name" "$DIR/r.restore_at_once"
        ratio "zstd -d | psql -1" "$DIR/r.$name" "$DIR/r.restore_plain"
        ratio "pgcopydb clone" "$DIR/r.$name" "$DIR/r.pgcopydb"
        ratio "the limit" "$DIR/r.$name" "$DIR/r.load_rows"
    done
    ratio "pg_restore -j2 of -Fc of the limit alone" "$DIR/r.load_rows" "$DIR/r.restore_custom_2"
}

# About 4,300 rows of bench, and 11 of every table of many.
change() {
    if [ "$1" = bench ]; then
        "$PG_BIN/pgbench" -n -c 4 -t 440 bench >/dev/null 2>&1
    else
        psql -XAtq -d "$1" -c "SELECT format('UPDATE %I SET ok = NOT ok WHERE id <= 11;', relname) FROM pg_stat_user_tables" | psql -Xq -d "$1"
    fi
}

# The swap to the warm copy, and what it loses, counted.
rollback_line() { # rollback_line DATABASE TARGET-SECONDS
    local gap seconds lost
    change "$1"
    "$ENGINE" -e "local copy = assert(json.decode(assert(files.read '$DIR/copy')))
local path = '$MADE/take/' .. assert(backup.list '$MADE/take')[1].id
local r = assert(backup.restore { backup = path, database = '$(url "$1")', copy = copy })
assert(not r.loss.problem, r.loss.problem)
print(('%.1f %.2f %d inserted, %d updated, %d deleted'):format(r.downtime_s * 1000, r.seconds, r.loss.inserted, r.loss.updated, r.loss.deleted))" >"$DIR/rollback" || return 1
    read -r gap seconds lost <"$DIR/rollback"
    echo "$1: rollback to the warm copy; lost: $lost"
    goal "not available" "$gap" 50 " ms"
    goal "all of it, the loss counted" "$seconds" "$2" " s"
}

cluster_restore() { pgbackrest_do --pg1-path="$DIR/pgbackrest/whole" "$@" restore; }
export -f cluster_restore
cluster_table() {
    local n
    echo "the whole cluster, by pgBackRest (medians of $RUNS)"
    rm -f "$DIR"/c.*
    for ((n = 0; n < RUNS; n++)); do
        rm -rf "$DIR/pgbackrest/whole"
        _pg_as mkdir -m 700 "$DIR/pgbackrest/whole"
        measure_if pgbackrest "$DIR/c.whole" bash -c cluster_restore && measure_if pgbackrest "$DIR/c.delta" bash -c 'cluster_restore --delta' || return 1
    done
    rm -rf "$DIR/pgbackrest/whole"
    row "incremental backup, nothing changed" "$DIR/b.pgbackrest_incremental"
    row "restore, whole" "$DIR/c.whole"
    row "restore, delta" "$DIR/c.delta"
    ratio "an unchanged incremental (the engine takes all again)" "$DIR/b.take" "$DIR/b.pgbackrest_incremental" 0.20
}

build
for db in bench many; do
    backup_table $db || exit 1
    if [ $db = bench ]; then cluster_table || exit 1; fi
    restore_table $db || exit 1
    # 10 million rows in a second; 313 tables in 0.3.
    rollback_line $db "$(if [ $db = bench ]; then awk "BEGIN { print $SCALE / 100 }"; else awk "BEGIN { print 0.3 * $TABLES / 313 }"; fi)" || exit 1
    psql -XAtqc "SELECT format('DROP DATABASE %I WITH (FORCE);', datname) FROM pg_database WHERE datname LIKE '${db}_before_%'" | psql -Xq
done
