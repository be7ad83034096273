# shellcheck shell=bash
# How long clients feel a database rollback: an application that asks the database at each request, wrk asking it, and pgbench writing,
# while the database is swapped for the copy that the drill kept; at two sizes. And the same without the copy, by loading the backup.
#
#   SCALES="7 73" RUNS=6 tests/bench/run.sh rollback
. tests/lib/bench.sh
. tests/lib/postgres.sh
SCALES=${SCALES:-7 73} RUNS=${RUNS:-6}
chmod 755 "$DIR"
app='' load=''
cleanup() {
    [ -z "$app" ] || kill "$app" 2>/dev/null
    [ -z "$load" ] || stop_load
    pg_stop immediate >/dev/null 2>&1
}
stop_load() { # its pgbench is started again whenever it ends, as long as there is the file
    rm -f "$DIR/loading"
    pkill -P "$load"
    wait "$load" 2>/dev/null
    load=''
}
trap 'cleanup; finish' EXIT
PG_OPTIONS="-c shared_buffers=512MB -c max_wal_size=8GB" pg_start "$DIR/pg" || exit 1

# As applications should be, no superuser: only those are kept out for the moment in which the loss is fixed.
psql -Xqc 'CREATE ROLE app LOGIN'

one_rollback() { # one_rollback LABEL KEEP: under load; one line of figures
    local path copy
    path=$("$ENGINE" -e "local b = assert(backup.take { database = '$url', to = '$DIR/backups' }) local d = assert(backup.drill { backup = b.path, database = '$url', keep = $2 })
assert(files.write('$DIR/copy', json.encode(d.copy or {}))) return b.path" | tr -d "'\"") || exit 1
    touch "$DIR/loading"
    (while [ -e "$DIR/loading" ]; do "$PG_BIN/pgbench" -U app -n -c 4 -T 600 bench >/dev/null 2>&1; done) 2>/dev/null &
    load=$!
    wrk -t 1 -c 8 -d 600 "http://127.0.0.1:$port/" >"$DIR/wrk.out" 2>&1 &
    local wrk=$!
    "$ENGINE" -e 'sleep(2)' # of load
    curl -s "http://127.0.0.1:$port/gap" >/dev/null
    copy=nil
    [ "$2" = false ] || copy="assert(json.decode(assert(files.read '$DIR/copy')))"
    "$ENGINE" -e "local r = assert(backup.restore { backup = '$path', database = '$url', copy = $copy })
assert(not r.loss.problem, r.loss.problem)
sleep(1)
local gap = assert(http.get('http://127.0.0.1:$port/gap')).body:gsub('%s+\$', '')
local longest, refused = gap:match '(%S+) (%S+)'
print(('  %-28s server %7.0f ms   longest without an answer %7.0f ms   refused %5d   with the loss counted %6.1f s   lost: %d + %d + %d'):format('$1', r.downtime_s * 1000,
  tonumber(longest), tonumber(refused), r.seconds, r.loss.inserted, r.loss.updated, r.loss.deleted))
assert(files.append('$DIR/gaps.$1', longest .. '\n'))" || exit 1
    kill $wrk
    stop_load
    wait $wrk 2>/dev/null
    psql -XAtqc "SELECT format('DROP DATABASE %I WITH (FORCE);', datname) FROM pg_database WHERE datname LIKE 'bench_before_%'" | psql -Xq
    rm -rf "$DIR/backups"
}

for scale in $SCALES; do
    psql -Xqc 'DROP DATABASE IF EXISTS bench WITH (FORCE)' -c 'CREATE DATABASE bench OWNER app'
    "$PG_BIN/pgbench" -U app -i -q -s "$scale" bench >/dev/null 2>&1
    url=postgres://postgres@127.0.0.1:$PGPORT/bench
    rm -f "$DIR/port"
    "$ENGINE" tests/bench/rollback_app.lua --url "${url/postgres@/app@}" --port-file "$DIR/port" --state "$DIR/state" >"$DIR/app.out" 2>&1 &
    app=$!
    until [ -s "$DIR/port" ]; do read -rt 0.05 <> <(:); kill -0 $app || { cat "$DIR/app.out"; exit 1; }; done
    port=$(cat "$DIR/port")
    echo "pgbench -s $scale ($(psql -XAtq -d bench -c 'SELECT pg_size_pretty(pg_database_size(current_database()))')), 4 clients writing, wrk with 8 connections:"
    for ((n = 0; n < RUNS; n++)); do one_rollback "warm.$scale" true; done
    goal "warm: longest without an answer, median" "$(median "$DIR/gaps.warm.$scale" 1)" 50 " ms"
    goal "warm: longest without an answer, worst" "$(sort -n "$DIR/gaps.warm.$scale" | tail -1)" 150 " ms"
    one_rollback "loaded.$scale" false
    kill $app
    wait $app 2>/dev/null
    app=''
done
