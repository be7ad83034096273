#!/bin/bash
# What a rollback of PostgreSQL loses, against the truth, and the rows brought back; restores in place that exchange the difference: backup_loss.lua on a server of its own.
set -u
cd "$(dirname "$0")/../.."
. tests/lib/postgres.sh
scratch=$(mktemp -d /tmp/engine-e2e-XXXXXX)
chmod 755 "$scratch"
trap 'pg_stop immediate > /dev/null 2>&1; rm -rf "$scratch"' EXIT
pg_start "$scratch/pg" || exit 1
psql -Xqc 'CREATE DATABASE shop'
LOSS_URL=postgres://postgres@127.0.0.1:$PGPORT/shop KEEPER_URL=postgres://keeper@127.0.0.1:$PGPORT/kept "${ENGINE:-build/engine}" test-file tests/e2e/backup_loss.lua
