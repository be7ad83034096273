#!/bin/bash
# Backups of PostgreSQL when things die: the engine killed at KILLS points of a take, of a restore by swap and of one in place; the server
# killed; the disk full, a table forbidden, locked, a statement timeout; clients that write all the while. There is never a bad
# backup that looks like one, never a database half restored, and never none.
# Time limit: 600 s
set -u
cd "$(dirname "$0")/../.."
engine=${ENGINE:-build/engine}
. tests/lib/postgres.sh
KILLS=${KILLS:-12} SERVER_KILLS=${SERVER_KILLS:-3} ROUNDS=${ROUNDS:-4} # make test-kill: 50, 10 and 20
scratch=$(mktemp -d /tmp/engine-e2e-XXXXXX)
chmod 755 "$scratch"
load=
cleanup() {
  [ -z "$load" ] || kill "$load" 2> /dev/null
  pg_stop immediate > /dev/null 2>&1
  umount "$scratch/small" 2> /dev/null
  rm -rf "$scratch"
}
trap cleanup EXIT
passed=0 failed=0
check() { # check NAME COMMAND...
  local name=$1
  shift
  if "$@" > "$scratch/check.out" 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $name"; tail -15 "$scratch/check.out"; fi
}
pg_start "$scratch/pg" || exit 1
url() { echo "postgres://postgres@127.0.0.1:$PGPORT/$1"; }
psql_in() { psql -X -q -v ON_ERROR_STOP=1 -At -d "$1" "${@:2}"; }
lua() { "$engine" -e "$1"; }
wait_for() { read -rt "$1" <> <(:); } # seconds, without a process

psql_in postgres -c 'CREATE DATABASE busy' -c 'CREATE ROLE anybody LOGIN'
"$PG_BIN/pgbench" -i -q -s 2 busy > /dev/null 2>&1
start_load() { while :; do "$PG_BIN/pgbench" -n -c 4 -T 300 busy > /dev/null 2>&1; wait_for 0.1; done & load=$!; }
stop_load() { kill "$load"; pkill -P "$load"; wait "$load" 2> /dev/null; load=; }
invariant() { psql_in "$1" -c 'SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches) AND (SELECT sum(tbalance) FROM pgbench_tellers) = coalesce((SELECT sum(delta) FROM pgbench_history), 0)'; }
no_bad_backup() { # whatever looks like a backup in FOLDER is one
  for one in "$1"/*; do
    [[ $one == *.partial || $one == *.taking || $one == *.needed ]] || [ ! -d "$one" ] || "$engine" -e "assert(backup.verify '$one')" || return 1
  done
}

# --- clients write, and the copy is consistent ---------------------------------------------------
start_load
consistent() {
  local n
  for ((n = 1; n <= ROUNDS; n++)); do
    rm -rf "$scratch/busy"
    lua "local b = assert(backup.take { database = '$(url busy)', to = '$scratch/busy' }) local d = assert(backup.drill { backup = b.path, database = '$(url busy)', keep = true })
      assert(files.write('$scratch/copy', d.copy.name))" || return 1
    psql_in postgres -c "ALTER DATABASE \"$(cat "$scratch/copy")\" ALLOW_CONNECTIONS true"
    [ "$(invariant "$(cat "$scratch/copy")")" = t ] || return 1
  done
}
check "a backup while clients write keeps the invariant, $ROUNDS times" consistent

# --- the engine is killed while it takes a backup ------------------------------------------------
seconds() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", (b - a) / 1e6 }'; }
points=0
kill_at_points() { # kill_at_points SECONDS COUNT CHECK ARGV...: the command once for each point, killed there, and the check after it
  local whole=$1 count=$2 check=$3 n
  shift 3
  for ((n = 1; n <= count; n++)); do
    "$@" > "$scratch/killed.out" 2>&1 &
    local pid=$!
    wait_for "$(awk -v w="$whole" -v n="$n" -v c="$count" 'BEGIN { printf "%.4f", w * n / c }')"
    kill -9 $pid 2> /dev/null
    wait $pid 2> /dev/null
    points=$((points + 1))
    "$check" || { echo "killed at point $n of $count"; return 1; }
  done
}
start=${EPOCHREALTIME/./}
"$engine" backup take --database "$(url busy)" --to "$scratch/timed" > /dev/null
whole=$(seconds "$start" "${EPOCHREALTIME/./}")
check_take() { no_bad_backup "$scratch/killed"; }
check "an engine that is killed at $KILLS points of a take leaves no bad backup" kill_at_points "$whole" "$KILLS" check_take "$engine" backup take --database "$(url busy)" --to "$scratch/killed"
sweeps() {
  find "$scratch/killed" -name '*.tmp' -exec touch -d '2 minutes ago' {} + # that of a note is left alone while somebody may be writing it
  touch -d '2 minutes ago' "$scratch/killed/20260101T000000Z-abcdef.taking.0123456789ab.tmp"
  "$engine" backup take --database "$(url busy)" --to "$scratch/killed" || return 1
  ! ls "$scratch/killed" | grep -E 'partial|taking|tmp'
}
check 'the next take clears what the dead ones left' sweeps
stop_load

# --- while it restores by swap, and in place -----------------------------------------------------
backup=$(ls -d "$scratch"/timed/*)
sums() { psql_in busy -c "SELECT md5(string_agg(t::text, ',' ORDER BY t.aid)) FROM pgbench_accounts t"; }
changed_sums() { psql_in busy -c 'UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid <= 500' && sums; }
start=${EPOCHREALTIME/./}
"$engine" backup restore "$backup" --database "$(url busy)" --yes > /dev/null || failed=$((failed + 1))
whole=$(seconds "$start" "${EPOCHREALTIME/./}")
restored=$(sums)
after=$(changed_sums)
drop_olds() { for one in $(psql_in postgres -c "SELECT datname FROM pg_database WHERE datname LIKE 'busy_before_%'"); do psql_in postgres -c "DROP DATABASE \"$one\" WITH (FORCE)"; done; }
is_open() { # ... for everybody: a swap keeps all but superusers out for a moment
  local n
  for ((n = 0; n < 200; n++)); do psql -X -q -U anybody -d busy -c 'SELECT 1' > /dev/null 2>&1 && return; wait_for 0.02; done
  echo 'the database stays closed'
  psql_in postgres -c "SELECT datname, datallowconn, datconnlimit FROM pg_database"
  return 1
}
check_swap() { # the database answers, and is wholly the one or the other
  local n now
  for ((n = 0; n < 200; n++)); do now=$(sums 2> /dev/null) && [ -n "$now" ] && break; wait_for 0.02; done
  case $now in
    "$after") ;;
    "$restored") drop_olds; after=$(changed_sums) ;;
    *) echo "the database is neither what it was nor what was restored"; return 1 ;;
  esac
  is_open
}
check "killed at $KILLS points of a restore by swap: there is always a whole database" kill_at_points "$whole" "$KILLS" check_swap "$engine" backup restore "$backup" --database "$(url busy)" --yes
half_open() { # as a swap leaves it whose engine and server died in the moment between
  psql_in postgres -c 'ALTER DATABASE busy CONNECTION LIMIT 0'
  "$engine" backup restore "$backup" --database "$(url busy)" --yes && is_open && after=$(changed_sums)
}
check 'a database that a dead swap left closed is open after the next' half_open
leftovers() {
  "$engine" backup drill "$backup" --database "$(url busy)" || return 1
  [ "$(psql_in postgres -c "SELECT count(*) FROM pg_database WHERE datname LIKE 'busy_restore_%'")" = 0 ]
}
check 'the next drill drops the copies that were left' leftovers
start=${EPOCHREALTIME/./}
"$engine" backup restore "$backup" --database "$(url busy)" --yes --in-place > /dev/null || failed=$((failed + 1))
whole=$(seconds "$start" "${EPOCHREALTIME/./}")
after=$(changed_sums)
check_in_place() {
  local now
  now=$(sums)
  case $now in
    "$after") ;;
    "$restored") after=$(changed_sums) ;;
    *) echo "half restored"; return 1 ;;
  esac
  no_bad_backup "$scratch/timed"
}
check "killed at $KILLS points of a restore in place: all or nothing" kill_at_points "$whole" "$KILLS" check_in_place "$engine" backup restore "$backup" --database "$(url busy)" --yes --in-place
echo "killed at $points points"

# --- the server is killed -------------------------------------------------------------------------
server_kills() {
  local n what
  for ((n = 1; n <= SERVER_KILLS; n++)); do
    case $((n % 3)) in
      0) what=(take --database "$(url busy)" --to "$scratch/server") ;;
      1) what=(restore "$backup" --database "$(url busy)" --yes) ;;
      2) what=(restore "$backup" --database "$(url busy)" --yes --in-place) ;;
    esac
    "$engine" backup "${what[@]}" > "$scratch/server.out" 2>&1 &
    local pid=$!
    wait_for "$(awk -v w="$whole" -v n="$n" -v c="$SERVER_KILLS" 'BEGIN { printf "%.4f", 0.8 * w * n / c }')"
    pg_stop immediate
    PG_OPTIONS='-c fsync=on' pg_start "$scratch/pg"
    wait $pid
    check_swap || return 1
  done
  [ ! -d "$scratch/server" ] || no_bad_backup "$scratch/server"
}
check "the server killed $SERVER_KILLS times: a whole database, no bad backup" server_kills

# --- what cannot be done is said, and leaves nothing ----------------------------------------------
leaves_nothing() { [ ! -d "$1" ] || [ -z "$(ls "$1")" ]; }
says() { # says WORDS FOLDER ARGV...: fails, says WORDS, leaves nothing
  local words=$1 folder=$2
  shift 2
  ! "$@" > "$scratch/says.out" 2>&1 && grep -q "$words" "$scratch/says.out" && leaves_nothing "$folder" || { cat "$scratch/says.out"; ls "$folder"; return 1; }
}
psql_in busy -c 'CREATE ROLE reader LOGIN; GRANT CONNECT ON DATABASE busy TO reader; GRANT SELECT ON pgbench_accounts, pgbench_branches, pgbench_tellers TO reader'
check 'a table that the role may not read is named' says 'permission denied for table pgbench_history' "$scratch/denied" "$engine" backup take --database "postgres://reader@127.0.0.1:$PGPORT/busy" --to "$scratch/denied"
psql_in busy -c "ALTER ROLE postgres SET statement_timeout = '20ms'"
check "the role's statement timeout does not cut a backup" "$engine" backup take --database "$(url busy)" --to "$scratch/slow"
psql -Xqc "SET statement_timeout = 0; ALTER ROLE postgres RESET statement_timeout" > /dev/null
exec 7> >(psql -Xq -d busy > /dev/null)
locker=$!
echo 'BEGIN; LOCK TABLE pgbench_tellers IN ACCESS EXCLUSIVE MODE; SELECT 1;' >&7
for ((n = 0; n < 200; n++)); do [ "$(psql_in busy -c "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'pgbench_tellers'::regclass")" = 1 ] && break; wait_for 0.02; done
check 'a lock that a schema change holds ends the wait' says 'lock timeout' "$scratch/locked" env PGOPTIONS="-c lock_timeout=300ms" "$engine" -e "assert(backup.take { database = '$(url busy)', to = '$scratch/locked', lock_timeout = 0.3 })"
echo 'ROLLBACK; \q' >&7
exec 7>&-
wait $locker
mkdir "$scratch/small"
if mount -t tmpfs -o size=256k tmpfs "$scratch/small" 2> /dev/null; then
  check 'a full disk is said, and what was written is removed' says 'No space left' "$scratch/small" "$engine" backup take --database "$(url busy)" --to "$scratch/small"
  umount "$scratch/small"
else
  echo 'a full disk was not tried: no right to mount'
fi
echo "$passed passed, $failed failed"
[ $failed = 0 ]
