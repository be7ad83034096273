#!/bin/bash
# sql against a real PostgreSQL: types, errors, time limits, cancellation, a server that restarts or
# disappears, many rows, a connection shared by tasks.
set -u
cd "$(dirname "$0")/../.."
ENGINE=${ENGINE:-build/engine}
. tests/lib/postgres.sh

DIR=$(mktemp -d)
chmod 755 "$DIR"
cleanup() {
    pg_stop immediate
    rm -rf "$DIR"
}
trap cleanup EXIT

passed=0 failed=0
# check NAME CHUNK: the chunk runs in the engine with sql, URL and db, and must return true.
check() {
    local out
    out=$("$ENGINE" -e "local sql, URL = require 'sql', '$URL'
local db = assert(sql.open(URL, { timeout = 10 }))
$2
return true" 2>&1)
    if [ "$(tail -1 <<<"$out")" = true ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED %s\n%s\n' "$1" "$out"
    fi
}

pg_start "$DIR" || exit 1
pg_sql "CREATE ROLE app LOGIN PASSWORD 'swordfish'; CREATE TABLE shared (x int)"

check "parameter types" "
local row = assert(db:one('SELECT \$1 AS b, \$2 AS i, \$3 AS big, \$4 AS r, \$5 AS s, \$6 AS x, \$7::text AS n', false, 7, 1 << 40, 0.1, 'text', sql.blob '\0\1\255', sql.null))
assert(row.b == false and row.i == 7 and math.type(row.i) == 'integer' and row.big == 1 << 40)
assert(row.r == 0.1 and row.s == 'text' and row.x == '\0\1\255' and row.n == nil)
row = assert(db:one('SELECT 1.10::numeric AS n, true AS t, 2::smallint AS two, 1e300::float8 AS big, current_date = \$1::date AS d, \$2::jsonb->>\$3 AS j', '2000-01-01', '[5,6]', 1))
assert(row.n == '1.10' and row.t == true and row.two == 2 and math.type(row.big) == 'float' and row.d == false and row.j == '6')
assert(db:value('SELECT \$1 = \'NaN\'', 0/0) == true and db:value('SELECT \$1::float8', math.huge) == math.huge)
assert(db:value('SELECT make_interval(days => \$1)::text', 3) == '3 days')
local rows, err = db:query('SELECT \$1', 'a\0b')
assert(rows == nil and err.code == 'usage')"

check "rows, columns, affected" "
assert(db:execute 'CREATE TEMP TABLE t (x int, y text)')
local r = assert(db:query 'INSERT INTO t SELECT g, NULL FROM generate_series(1, 5) g RETURNING x')
assert(#r == 5 and r.affected == 5 and r.columns[1] == 'x')
assert(assert(db:query 'UPDATE t SET y = \'z\' WHERE x > 2').affected == 3)
r = assert(db:query 'SELECT * FROM t WHERE false')
assert(#r == 0 and #r.columns == 2 and r.affected == 0)"

check "a batch" "
assert(db:execute 'CREATE TEMP TABLE b (x int PRIMARY KEY)')
assert(db:batch { { 'INSERT INTO b VALUES (\$1)', 1 }, { 'INSERT INTO b VALUES (\$1), (\$2)', 2, 3 } } == 3)
assert(db:batch { { 'DELETE FROM b WHERE x = \$1', 9 }, { 'DELETE FROM b' } } == 0)
local done, err = db:batch { { 'INSERT INTO b VALUES (4)' }, { 'INSERT INTO b VALUES (\$1)', 1 } }
assert(done == nil and err.sqlstate == '23505' and db:value 'SELECT count(*) FROM b' == 3)"

check "unicode" "
local s = 'grün ✓ 日本語 🎉'
assert(db:value('SELECT \$1', s) == s and db:value('SELECT length(\$1)', s) == utf8.len(s))
assert(db:one('SELECT 1 AS \"größe\"')['größe'] == 1)"

check "errors carry SQLSTATE" "
local rows, err = db:query 'SELEC 1'
assert(rows == nil and err.code == 'sql' and err.sqlstate == '42601' and err.message:find '42601')
rows, err = db:query('SELECT 1/\$1', 0)
assert(err.sqlstate == '22012')
rows, err = db:query('SELECT 1; SELECT 2')
assert(err.code == 'sql')
rows, err = db:query('SELECT \$1, \$2', 1)
assert(err.code == 'sql')
rows, err = db:query 'COPY shared FROM STDIN'
assert(err.code == 'sql' and err.message:find 'COPY')
assert(db:value 'SELECT 1' == 1)"

check "a script stops at its first error and names the statement" "
local ok, err = db:execute 'CREATE TABLE s1 (x int); INSERT INTO s1 VALUES (1); INSERT INTO s1 VALUES (1/0); SELECT 1'
assert(ok == nil and err.statement == 3 and err.sqlstate == '22012' and err.message:find 'statement 3', tostring(err))
ok, err = db:execute [[SELECT ';' AS \"a;b\"; -- x; y
/* ; /* ; */ */ DO \$f\$ BEGIN PERFORM 1; END \$f\$; SELECT 'é;', E'\\\\';'; SELEC 3]]
assert(ok == nil and err.statement == 4 and err.sqlstate == '42601', tostring(err))
assert(db:value [[SELECT to_regclass('s1')]] == nil)"

check "a time limit stops the statement at the server and leaves the connection usable" "
local pid = db:value 'SELECT pg_backend_pid()'
local rows, err = db:within(0.2):query 'SELECT pg_sleep(60)'
assert(rows == nil and err.code == 'timeout', tostring(err))
assert(db:value 'SELECT pg_backend_pid()' == pid)
assert(db:value [[SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active']] == 0)"

check "cancellation stops the statement" "
local pid = db:value 'SELECT pg_backend_pid()'
local ok, err = pcall(deadline, 0.2, function() db:query 'SELECT pg_sleep(60)' end)
assert(not ok and err.code == 'deadline')
assert(db:value 'SELECT pg_backend_pid()' == pid)"

check "a canceled transaction leaves nothing" "
local ok, err = pcall(deadline, 0.2, function()
  db:transaction(function(tx)
    assert(tx:query 'INSERT INTO shared VALUES (1)')
    tx:query 'SELECT pg_sleep(60)'
  end)
end)
assert(not ok and err.code == 'deadline')
assert(db:value 'SELECT count(*) FROM shared' == 0)
assert(db:value [[SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%']] == 0)
ok, err = db:transaction(function(tx)
  assert(tx:query 'INSERT INTO shared VALUES (1)')
  assert(tx:query 'SELECT 1/0')
end)
assert(ok == nil and err.sqlstate == '22012' and db:value 'SELECT count(*) FROM shared' == 0)
assert(db:transaction(function(tx) assert(tx:query 'INSERT INTO shared VALUES (1)') end))
assert(assert(db:query 'DELETE FROM shared').affected == 1)"

check "two tasks share one connection, first come first served" "
local order = {}
parallel {
  function() assert(db:query 'SELECT pg_sleep(0.2)') order[#order + 1] = 1 end,
  function() sleep(0.02) assert(db:query 'SELECT 2') order[#order + 1] = 2 end,
  function() sleep(0.04) assert(db:query 'SELECT 3') order[#order + 1] = 3 end,
}
assert(table.concat(order) == '123', table.concat(order))"

check "the loop goes on during a long query and while 100,000 rows arrive" "
local ticks, running = 0, true
local rows
parallel {
  function()
    assert(db:query 'SELECT pg_sleep(0.5)')
    rows = assert(db:query 'SELECT g AS id, md5(g::text) AS hash, g * 0.5::float8 AS half FROM generate_series(1, 100000) g')
    running = false
  end,
  function() while running do ticks = ticks + 1 sleep(0.005) end end,
}
assert(#rows == 100000 and rows[100000].id == 100000 and rows[77777].half == 38888.5)
assert(ticks > 20, ticks)"

check "more rows than the limit end the query, not the engine" "
local rows, err = db:query [[SELECT repeat('x', 1000000) FROM generate_series(1, 400)]]
assert(rows == nil and err.code == 'limit', tostring(err))
assert(db:value 'SELECT 1' == 1)"

check "a backend that was ended: connected anew before the next query; never in a transaction" "
local other = assert(sql.open(URL))
local pid = db:value 'SELECT pg_backend_pid()'
assert(other:query('SELECT pg_terminate_backend(\$1, 5000)', pid))
assert(db:value 'SELECT pg_backend_pid()' ~= pid)
local ok, err = db:transaction(function(tx)
  pid = assert(tx:value 'SELECT pg_backend_pid()')
  assert(other:query('SELECT pg_terminate_backend(\$1, 5000)', pid))
  assert(tx:query 'INSERT INTO shared VALUES (9)')
end)
assert(ok == nil and err.code == 'closed' and err.message:find 'transaction', tostring(err))
assert(db:value 'SELECT count(*) FROM shared' == 0)
assert(db:query 'BEGIN')
pid = assert(db:value 'SELECT pg_backend_pid()')
assert(other:query('SELECT pg_terminate_backend(\$1, 5000)', pid))
local rows
rows, err = db:query 'SELECT 1'
assert(rows == nil and err.code == 'closed')
assert(db:value 'SELECT 1' == 1)"

check "a backend that ends during a query says closed, the next one works" "
local other = assert(sql.open(URL))
local pid = db:value 'SELECT pg_backend_pid()'
local results = parallel {
  function() local rows, err = db:query 'SELECT pg_sleep(60)' return err end,
  function() sleep(0.05) assert(other:query('SELECT pg_terminate_backend(\$1, 5000)', pid)) end,
}
assert(results[1].code == 'closed' and results[1].sqlstate == '57P01', tostring(results[1]))
assert(db:value 'SELECT 1' == 1)"

check "closing while queries run and wait" "
local errs = parallel {
  function() local _, err = db:query 'SELECT pg_sleep(60)' return err end,
  function() local _, err = db:query 'SELECT 1' return err end,
  function() sleep(0.05) db:close() end,
}
assert(errs[1].code == 'closed' and errs[2].code == 'closed')"

check "passwords stay out of errors" "
local bad, err = sql.open((URL:gsub('postgres@', 'app:swordfish@'):gsub('/postgres\$', '/nowhere')))
assert(bad == nil and err.code == 'connect' and not tostring(err):find 'swordfish', tostring(err))
assert(sql.open((URL:gsub('postgres@', 'app:swordfish@'))))"

check "a unix socket, a host name, several hosts" "
assert(assert(sql.open('postgres://postgres@/postgres?host=$PG_SOCKET&port=$PGPORT')):value 'SELECT 1' == 1)
assert(assert(sql.open((URL:gsub('127.0.0.1', 'localhost')))):value 'SELECT 1' == 1)
assert(assert(sql.open('postgres://postgres@127.0.0.1:1,localhost:$PGPORT/postgres')):value 'SELECT 1' == 1)
local bad, err = sql.open 'postgres://postgres@no-such-host.invalid/postgres'
assert(bad == nil and err.code == 'resolve', tostring(err))"

check "pool use" "
local use = assert(sql.pool_use(db))
assert(use.used >= 1 and use.max == 97, use.max)
local app = assert(sql.open((URL:gsub('postgres@', 'app:swordfish@'))))
assert(assert(sql.pool_use(app)).used == 2)"

# The server restarts between two queries of one connection.
"$ENGINE" -e "local sql = require 'sql'
local db = assert(sql.open '$URL')
assert(db:value 'SELECT 1' == 1)
print 'ready'
repeat sleep(0.05) local other = sql.open('$URL', { timeout = 1 }) local up = other and other:value [[SELECT to_regclass('restarted')]] if other then other:close() end until up
assert(db:value 'SELECT 2' == 2)
return true" >"$DIR/out" 2>&1 &
engine_pid=$!
until grep -q ready "$DIR/out" || ! kill -0 "$engine_pid" 2>/dev/null; do sleep 0.05; done
pg_stop fast
pg_start "$DIR"
pg_sql "CREATE TABLE restarted (x int)"
wait "$engine_pid"
if [ "$(tail -1 "$DIR/out")" = true ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED restart of the server"; cat "$DIR/out"; fi

# The server is stopped in its tracks: no answer to anything, not even to a cancel request.
"$ENGINE" -e "local sql = require 'sql'
local db = assert(sql.open('$URL', { timeout = 10 }))
local pid = assert(db:value 'SELECT pg_backend_pid()')
print('pid ' .. pid)
local rows, err
repeat rows, err = db:within(0.3):query 'SELECT 1' until not rows
assert(err.code == 'timeout' and err.cause:find 'dropped', tostring(err))
return true" >"$DIR/out" 2>&1 &
engine_pid=$!
until grep -q pid "$DIR/out" || ! kill -0 "$engine_pid" 2>/dev/null; do sleep 0.05; done
backend=$(sed -n 's/^pid //p' "$DIR/out")
kill -STOP "$backend" "$PG_PID"
until [ "$(wc -l <"$DIR/out")" -gt 1 ] || ! kill -0 "$engine_pid" 2>/dev/null; do sleep 0.05; done
kill -CONT "$backend" "$PG_PID"
wait "$engine_pid"
if [ "$(tail -1 "$DIR/out")" = true ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED a server that stands still"; cat "$DIR/out"; fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
