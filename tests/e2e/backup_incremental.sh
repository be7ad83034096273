#!/bin/bash
# Incremental backups of PostgreSQL against full ones taken at the same moment: HISTORIES random ones on a server of their own, and
# WRAPPED ones on a server whose 32-bit transaction numbers begin again in the midst of them (backup_incremental.lua); then one
# thing at a time (backup_unchanged.lua). make test-incremental runs 1,000 and 200.
# Time limit: 3600 s
set -u
cd "$(dirname "$0")/../.."
. tests/lib/postgres.sh
scratch=$(mktemp -d "${TMPDIR:-/tmp}/engine-e2e-XXXXXX")
chmod 755 "$scratch"
trap 'pg_stop immediate > /dev/null 2>&1; rm -rf "$scratch"' EXIT
export HISTORIES=${HISTORIES:-20} SEED=${SEED:-1} SCRATCH=$scratch INCREMENTAL_URL
WRAPPED=${WRAPPED:-10} ENGINE=${ENGINE:-build/engine}
export ENGINE
# Without autovacuum a seed makes the same history again, as far as a machine can.
PG_OPTIONS="-c max_prepared_transactions=20 -c autovacuum=off"

# Each is less than 2^31 ahead of the one before, so that nothing of it is in the future. As in years: everything is frozen before.
skip_transactions() {
  local next
  psql -Xqc 'UPDATE pg_database SET datallowconn = true'
  for next in 2000000000 4000000000 4294967230; do
    PGOPTIONS='-c client_min_messages=error' "$PG_BIN/vacuumdb" -q --all --freeze && pg_stop || return 1
    # The log of transactions has 2^20 of them in a file, two bits each.
    _pg_as sh -c "head -c 262144 /dev/zero > '$PG_DIR/data/pg_xact/$(printf %04X $((next >> 20)))' && '$PG_BIN/pg_resetwal' -f -x $next '$PG_DIR/data'" > /dev/null && pg_start "$PG_DIR" || return 1
  done
}

run() { INCREMENTAL_URL=postgres://postgres@127.0.0.1:$PGPORT/shop "$ENGINE" test-file "$@"; }

pg_start "$scratch/pg" && psql -Xqc 'CREATE DATABASE shop' || exit 1
run tests/e2e/backup_incremental.lua tests/e2e/backup_unchanged.lua | tee "$scratch/all"
skip_transactions || exit 1
HISTORIES=$WRAPPED SEED=$((SEED + 1)) run tests/e2e/backup_incremental.lua | tee -a "$scratch/all"
epoch() { psql -XAtqc "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8 >> 32"; }
awk -v epoch="$(epoch)" '/^[0-9]+ passed, [0-9]+ failed$/ { passed += $1; failed += $3; counts++ }
  END { if (counts != 2) { failed++; print "FAILED a run did not come to its end" }
    if (epoch != 1) { failed++; print "FAILED transaction numbers did not begin again" } else passed++; print passed + 0 " passed, " failed + 0 " failed"; exit failed > 0 }' "$scratch/all"
