#!/usr/bin/env bash
# The console on a venture with PostgreSQL and with commands of its own: what only looks, and what the server refuses.
set -u
cd "$(dirname "$0")/../.."
engine=$(realpath "${ENGINE:-build/engine}")
scratch=$(mktemp -d /tmp/engine-console-pg-XXXXXX)
chmod 755 "$scratch"
. tests/lib/postgres.sh
passed=0 failed=0
check() { if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $1"; [ -z "${3:-}" ] || echo "$3" | sed 's/^/  /' | tail -30; fi; }
pg_start "$scratch/pg" || { echo "0 passed, 1 failed"; exit 1; }
trap 'pg_stop immediate; rm -rf "$scratch"' EXIT
pg_sql "CREATE TABLE things (id integer PRIMARY KEY, name text); INSERT INTO things SELECT n, 'thing ' || n FROM generate_series(1, 100) n; CREATE SEQUENCE counter; ANALYZE things" > /dev/null

mkdir "$scratch/shop"
cat > "$scratch/shop/venture.lua" <<'LUA'
return {
  name = "shop", id = 1, mode = "auto", owner = "ops",
  database = { url = secret "env:SHOP_DATABASE" },
  environment = { driver = "command", addresses = { blue = "127.0.0.1:1", green = "127.0.0.1:2" }, provision = { "false" }, destroy = { "false" }, alive = { "true" } },
  traffic = { driver = "command", get = { "./traffic", "get" }, set = { "./traffic", "set", "{blue}", "{green}" } },
  metrics = { driver = "none" }, backup = { to = "backups" },
  health = { { name = "things are there", sql = "SELECT count(*) FROM things", at_least = 1 }, { name = "a command", command = { "test", "-e", "venture.lua" } } },
}
LUA
printf '#!/bin/sh\ncase $1 in get) cat shares ;; set) echo "blue=$2 green=$3" > shares; echo set >> calls ;; esac\n' > "$scratch/shop/traffic"
chmod +x "$scratch/shop/traffic"
echo 'blue=100 green=0' > "$scratch/shop/shares"
export SHOP_DATABASE=$URL USER=ana HOME=$scratch XDG_STATE_HOME=
e() { "$engine" -e "$1" --venture "$scratch/shop" "${@:2}" 2>&1; }

[ "$(e 'sql("SELECT name FROM things WHERE id = $1", 7)[1].name')" = 'thing 7' ]; check 'a query with parameters' $? "$(e 'sql("SELECT name FROM things WHERE id = $1", 7)[1].name')"
[ "$(e 'sql("SHOW transaction_read_only")[1].transaction_read_only')" = on ]; check 'it runs in a transaction that only reads' $?
for statement in "INSERT INTO things VALUES (101, 'x')" "UPDATE things SET name = 'x'" "DELETE FROM things" "DROP TABLE things" "TRUNCATE things" "SELECT nextval('counter')" \
  "CREATE TABLE t (a int)" "SELECT 1 INTO t"; do
  output=$(e "sql [[$statement]]"); [ $? = 1 ] && grep -q '^refused: this changes production' <<< "$output"; check "refused: $statement" $? "$output"
done
output=$(e "sql 'SET default_transaction_read_only = off' sql [[UPDATE things SET name = 'x']]"); [ $? = 1 ] && grep -q '^refused: ' <<< "$output"; check 'also after somebody told the session otherwise' $? "$output"
output=$(e "assert(assert(sql.open(venture.database.url)):query [[UPDATE things SET name = 'x']])"); [ $? = 1 ] && grep -q 'read-only transaction' <<< "$output"; check '... and on a connection that is opened by hand' $? "$output"
output=$(e "assert(assert(sql.open(venture.database.url)):transaction(function(tx) return tx:query [[UPDATE things SET name = 'x']] end))"); [ $? = 1 ] && grep -q 'read-only transaction' <<< "$output"; check '... in a transaction too' $? "$output"
[ "$(pg_sql "SELECT count(*) FILTER (WHERE name LIKE 'thing %') FROM things")" = 100 ]; check 'nothing was written' $?
output=$(e "plan [[sql \"UPDATE things SET name = 'x' WHERE id <= 50\"]]")
grep -q "^plan  UPDATE things SET name = 'x' WHERE id <= 50 (about [45][0-9] rows);  undo none" <<< "$output" && [ "$(pg_sql "SELECT count(*) FROM things WHERE name = 'x'")" = 0 ]; check 'a plan says about how many rows' $? "$output"
output=$(e "arm('1m', 'test') sql [[UPDATE things SET name = 'x' WHERE id = 7]]" --yes shop)
grep -q '^✓ .* committed' <<< "$output" && [ "$(pg_sql "SELECT name FROM things WHERE id = 7")" = x ]; check 'an armed console writes' $? "$output"
[ "$(e 'traffic.get()')" = 'blue 100 %, green 0 %' ]; check 'the command that tells the shares only looks' $? "$(e 'traffic.get()')"
output=$(e 'traffic.set{green=10}'); [ $? = 1 ] && [ ! -e "$scratch/shop/calls" ]; check '... and the one that sets them is refused' $? "$output"
output=$(e 'arm("1m", "test") traffic.set{green=10}' --yes shop); grep -q '^plan  blue 100 -> 90, green 0 -> 10;  undo traffic.set{blue=100}$' <<< "$output" && [ "$(cat "$scratch/shop/calls")" = set ]; check '... until it is armed' $? "$output"
[ "$(e 'health.check()' | grep -c '^✓')" = 2 ]; check "checks of the team's own commands are asked" $? "$(e 'health.check()')"
ENGINE_JOURNAL=$URL e 'arm("1m", "test") traffic.set{green=0}' --yes shop > "$scratch/out" && [ "$(pg_sql "SELECT count(*) FROM events WHERE kind = 'step_end' AND data LIKE '%\"done\"%'")" = 1 ]
check 'the session is in a journal that several machines share' $? "$(cat "$scratch/out")"
ENGINE_JOURNAL=$URL "$engine" log --verify > "$scratch/out" 2>&1; grep -q 'chain whole' "$scratch/out"; check '... whose chain is whole' $? "$(cat "$scratch/out")"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
