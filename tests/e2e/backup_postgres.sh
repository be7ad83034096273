#!/bin/bash
# Backups of PostgreSQL, proven on a database with every hard thing: nothing is different after a restore, with the engine and with
# restore.sh alone; every planted fault is found at every file; what a rollback loses is right to the row. What
# happens when things die is in backup_faults.sh.
# Time limit: 400 s
set -u
cd "$(dirname "$0")/../.."
engine=${ENGINE:-build/engine}
. tests/lib/postgres.sh
scratch=$(mktemp -d /tmp/engine-e2e-XXXXXX)
chmod 755 "$scratch"
cleanup() {
  pg_stop immediate > /dev/null 2>&1
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

psql_in postgres -c 'CREATE DATABASE hard'
psql_in hard > /dev/null << 'SQL'
CREATE SCHEMA "Weird Schema";
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE plain (id bigserial PRIMARY KEY, t text, n numeric, j jsonb, b bytea, a int[], m mood, p positive, at timestamptz, f float8);
INSERT INTO plain (t, n, j, b, a, m, p, at, f) SELECT CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN E'tab\there\nand \\. line' ELSE 'ü' || i END, i / 7.0, jsonb_build_object('i', i),
  decode(md5(i::text), 'hex'), ARRAY[i, NULL], 'ok', i, now() - i * interval '1 second', CASE WHEN i % 97 = 0 THEN 'NaN' ELSE i / 3.0 END FROM generate_series(1, 5000) i;
CREATE TABLE "Weird Schema"."Ta""ble; DROP TABLE plain; --" ("a b" int PRIMARY KEY, "select" text, "c""d" text);
INSERT INTO "Weird Schema"."Ta""ble; DROP TABLE plain; --" SELECT i, 'x', 'y' FROM generate_series(1, 100) i;
CREATE TABLE generated (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, w int, h int, area int GENERATED ALWAYS AS (w * h) STORED);
INSERT INTO generated (w, h) SELECT i, i + 1 FROM generate_series(1, 300) i;
CREATE TABLE parts (day date NOT NULL, v int) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY HASH (v);
CREATE TABLE parts_2a PARTITION OF parts_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_2b PARTITION OF parts_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT '2026-01-01'::date + i % 59, i FROM generate_series(0, 999) i;
CREATE TABLE mother (id int, note text);
CREATE TABLE child (extra int) INHERITS (mother);
INSERT INTO mother VALUES (1, 'm'), (1, 'm'), (2, NULL);
INSERT INTO child VALUES (3, 'c', 9);
CREATE TABLE node (id int PRIMARY KEY, other int);
CREATE TABLE edge (id int PRIMARY KEY, node int REFERENCES node);
ALTER TABLE node ADD FOREIGN KEY (other) REFERENCES edge DEFERRABLE INITIALLY DEFERRED;
BEGIN; INSERT INTO node VALUES (1, 1); INSERT INTO edge VALUES (1, 1); COMMIT;
CREATE UNLOGGED TABLE fast (id int); INSERT INTO fast VALUES (1);
CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE dropped (a int, b int, c int); INSERT INTO dropped VALUES (1, 2, 3); ALTER TABLE dropped DROP COLUMN b;
CREATE TABLE guarded (id int PRIMARY KEY, owner text); INSERT INTO guarded VALUES (1, 'x'); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON guarded USING (owner = current_user);
CREATE SEQUENCE untouched START 7; CREATE SEQUENCE stepped INCREMENT 5; SELECT nextval('stepped'), nextval('stepped');
CREATE MATERIALIZED VIEW summary AS SELECT m, count(*) FROM plain GROUP BY m;
CREATE VIEW recent AS SELECT * FROM plain WHERE id > 4000;
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.t := coalesce(NEW.t, 'triggered'); RETURN NEW; END $$;
CREATE TRIGGER bump BEFORE INSERT OR UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION bump();
CREATE INDEX ON plain USING gin (j); CREATE UNIQUE INDEX ON plain ((lower(t)), id) WHERE t IS NOT NULL;
SELECT lo_from_bytea(0, decode(repeat('00ff0a5c', 5000), 'hex')), lo_from_bytea(0, 'small'), lo_create(0);
CREATE TABLE wide (id bigint PRIMARY KEY, filler text);
INSERT INTO wide SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 300000) i;
DELETE FROM wide WHERE id % 10 = 0;
ALTER DATABASE hard SET search_path = public, "Weird Schema";
SQL

# --- the round trip -------------------------------------------------------------------------------
lua() { "$engine" -e "$1"; }
take() { lua "local b = assert(backup.take { database = '$(url hard)', to = '$scratch/backups' }) return b.path" | tr -d "'\""; }
backup=$(take)
check 'it is there' test -f "$backup/COMPLETE"
check 'large tables are copied in pieces' test -f "$(ls "$backup"/data/*wide.002.copy.zst)"
dump() { pg_dump --no-sync "$1" | grep -v '^--\|^\\restrict\|^\\unrestrict\|^$'; }
dump hard > "$scratch/hard.sql"
check 'the drill restores and compares' lua "assert(backup.drill { backup = '$backup', database = '$(url hard)' })"
check 'and leaves nothing behind' test "$(psql_in postgres -c "SELECT count(*) FROM pg_database WHERE datname LIKE 'hard_%'")" = 0

# The copy of a drill is another database, without the settings of this one.
psql_in postgres -c "ALTER DATABASE hard SET timezone = 'Asia/Tokyo'" -c "ALTER DATABASE hard SET bytea_output = 'escape'"
check 'a database with settings of its own is compared as well' lua "assert(backup.drill { backup = assert(backup.take { database = '$(url hard)', to = '$scratch/set' }).path, database = '$(url hard)' })"
psql_in postgres -c 'ALTER DATABASE hard RESET timezone' -c 'ALTER DATABASE hard RESET bytea_output'

psql_in postgres -c 'CREATE DATABASE plainly'
check 'restore.sh alone restores it' env -i PATH=/usr/bin:/bin PGHOST="$PGHOST" PGPORT="$PGPORT" PGUSER=postgres "$backup/restore.sh" plainly
dump plainly > "$scratch/plainly.sql"
# A dump names large objects and tables in the order of their making; rows of heaps may stand in another order.
same_dump() { diff <(sort "$scratch/hard.sql") <(sort "$1") | head -20 | tee /dev/stderr | wc -l | grep -qx 0; }
check 'pg_dump of both is equal' same_dump "$scratch/plainly.sql"
check 'sequences go on' test "$(psql_in plainly -c "SELECT nextval('plain_id_seq'), nextval('stepped'), nextval('untouched')")" = '5001|11|7'

# --- encrypted, and in place ---------------------------------------------------------------------
printf 'correct horse' > "$scratch/passphrase"
sealed=$(PASS='correct horse' lua "local b = assert(backup.take { database = '$(url hard)', to = '$scratch/sealed', passphrase = require('core.secret').environment 'PASS' }) return b.path" | tr -d "'\"")
check 'an encrypted backup is verified and drilled' env PASS='correct horse' "$engine" backup drill "$sealed" --database "$(url hard)" --passphrase env:PASS
check 'nothing of it is readable' sh -c "! zstd -dc '$sealed'/data/*plain* > /dev/null 2>&1"
psql_in postgres -c 'CREATE DATABASE unsealed'
check 'openssl and psql alone restore it' env -i PATH=/usr/bin:/bin PGHOST="$PGHOST" PGPORT="$PGPORT" PGUSER=postgres PASSPHRASE_FILE="$scratch/passphrase" "$sealed/restore.sh" unsealed
dump unsealed > "$scratch/unsealed.sql"
check 'without a difference' same_dump "$scratch/unsealed.sql"
printf 'wrong' > "$scratch/wrong"
psql_in postgres -c 'CREATE DATABASE wrong'
refuses_wrong() { ! PASSPHRASE_FILE="$scratch/wrong" "$sealed/restore.sh" wrong && ! PASS=wrong "$engine" backup drill "$sealed" --database "$(url hard)" --passphrase env:PASS && ! "$engine" backup drill "$sealed" --database "$(url hard)"; }
check 'a wrong passphrase and none are refused' refuses_wrong
check 'and change nothing' test "$(psql_in wrong -c "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")" = 0
psql_in unsealed -c 'ALTER TABLE plain ADD COLUMN later int; DELETE FROM wide WHERE id < 1000; DROP TABLE mother CASCADE; CREATE TABLE newer (id int); INSERT INTO newer VALUES (1), (2); CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;' > /dev/null
check 'in place: in one transaction' "$engine" backup restore "$backup" --database "$(url unsealed)" --in-place --yes --lost "$scratch/lost-in-place"
dump unsealed > "$scratch/in-place.sql"
check 'the live database is as it was' same_dump "$scratch/in-place.sql"
check 'rows of a table that the backup does not know were saved' sh -c "zstd -dc '$scratch'/lost-in-place/*newer.copy.zst | sort | tr -d '\n' | grep -qx 12"
damage_in_place() { # a file that is damaged between verification and load
  cp -r "$backup" "$scratch/torn"
  "$engine" -e "local real = backup.verify
    backup.verify = function(path) local ok, err = real(path) if ok then local f = path .. '/data/' .. files.list(path .. '/data')[3] files.write(f, 'torn') end return ok, err end
    local ok, err = backup.restore { backup = '$scratch/torn', database = '$(url unsealed)', in_place = true }
    assert(not ok and err.code == 'backup_corrupt', tostring(err))"
}
check 'a file that is torn in mid-restore is refused' damage_in_place
dump unsealed > "$scratch/after-torn.sql"
check 'and the live database is untouched' same_dump "$scratch/after-torn.sql"

# --- a rollback, and exactly what it loses --------------------------------------------------------
psql_in hard > /dev/null << 'SQL'
SELECT setseed(0.5);
INSERT INTO plain (t, p) SELECT 'after ' || i, 1 FROM generate_series(1, 400) i;
UPDATE plain SET n = n + 1 WHERE id IN (SELECT id FROM plain WHERE id <= 5000 ORDER BY random() LIMIT 300);
DELETE FROM plain WHERE id IN (SELECT id FROM plain WHERE id <= 5000 AND id % 2 = 0 ORDER BY random() LIMIT 200);
ALTER TABLE generated ADD COLUMN later text DEFAULT 'new';
INSERT INTO mother VALUES (1, 'm'), (7, 'seven'); DELETE FROM mother WHERE id = 2;
INSERT INTO parts VALUES ('2026-02-03', 5000);
SQL
cp "$scratch/hard.sql" "$scratch/before.sql"
psql_in hard -c "COPY (SELECT id FROM plain WHERE id > 5000) TO STDOUT" | sort > "$scratch/inserted.truth"
psql_in plainly -c "COPY (SELECT id FROM plain) TO STDOUT" | sort > "$scratch/old.ids"
psql_in hard -c "COPY (SELECT id FROM plain) TO STDOUT" | sort > "$scratch/new.ids"
comm -23 "$scratch/old.ids" "$scratch/new.ids" > "$scratch/deleted.truth"
check 'a rollback to the warm copy' lua "
local drill = assert(backup.drill { backup = '$backup', database = '$(url hard)', keep = true })
local r = assert(backup.restore { backup = '$backup', database = '$(url hard)', to = '$scratch/lost', copy = drill.copy })
local by = {}
for _, one in ipairs(r.loss.tables) do by[one.name] = one end
local function is(name, i, u, d)
  local one = assert(by[name], name .. ' is missing')
  assert(one.inserted == i and one.updated == u and one.deleted == d, ('%s: %d %d %d'):format(name, one.inserted, one.updated, one.deleted))
end
is('public.mother', 2, 0, 1)
assert(((by['public.parts_2a'] or { inserted = 0 }).inserted + (by['public.parts_2b'] or { inserted = 0 }).inserted) == 1)
local plain = by['public.plain']
assert(plain.inserted == 400 and plain.deleted == $(wc -l < "$scratch/deleted.truth"), 'plain')
assert(r.warm and r.downtime_s)
assert(files.write('$scratch/updated', tostring(plain.updated)))"
lost_ids() { grep -h "\"change\":\"$1\"" "$scratch/lost/public.plain.jsonl" | sed 's/.*"id":"\([0-9]*\)".*/\1/' | sort; }
check 'the lost rows are those that were inserted' diff <(lost_ids inserted) "$scratch/inserted.truth"
check 'and those that were deleted' diff <(lost_ids deleted) "$scratch/deleted.truth"
dump hard > "$scratch/back.sql"
check 'the database is as it was' same_dump "$scratch/back.sql"
check 'the old one is still there' test "$(psql_in postgres -c "SELECT count(*) FROM pg_database WHERE datname LIKE 'hard_before_%'")" = 1

# --- faults at every file -------------------------------------------------------------------------
refused() { # refused FOLDER: by verify and by restore.sh
  ! "$engine" -e "assert(backup.verify '$1')" > /dev/null 2>&1 && ! "$1/restore.sh" --check > /dev/null 2>&1
}
faults=0 missed=0
try() { # try FAULT FILE
  local copy=$scratch/faulty file=$2
  rm -rf "$copy"
  cp -r "$backup" "$copy"
  case $1 in
    bit) perl -e 'open my $f, "+<", $ARGV[0] or die; my $at = int((-s $f) / 2); seek $f, $at, 0; read $f, my $c, 1; seek $f, $at, 0; print $f chr(ord($c) ^ 16)' "$copy/$file" ;;
    missing) rm "$copy/$file" ;;
    cut) perl -e 'truncate $ARGV[0], int((-s $ARGV[0]) / 2)' "$copy/$file" ;;
    swapped) mv "$copy/$file" "$copy/x" && mv "$copy/$other" "$copy/$file" && mv "$copy/x" "$copy/$other" ;;
    extra) cp "$copy/$file" "$copy/$file.more" ;;
  esac
  faults=$((faults + 1))
  if [ "$file" = restore.sh ] && [ "$1" != extra ]; then # the script cannot judge itself
    ! "$engine" -e "assert(backup.verify '$copy')" > /dev/null 2>&1 || { missed=$((missed + 1)) && echo "$1 of $file was not found"; }
  else
    refused "$copy" || { missed=$((missed + 1)) && echo "$1 of $file was not found"; }
  fi
}
psql_in hard -c 'TRUNCATE wide' # large files would make this slow and add nothing
backup=$(take)
while read -r file; do
  other=manifest.json
  [ "$file" != manifest.json ] || other=SHA256SUMS
  for fault in bit missing cut swapped extra; do [ ! -s "$backup/$file" ] || try $fault "$file"; done
done < <(cd "$backup" && find . -type f | sed 's|^\./||')
check "every one of $faults faults is found" test "$missed" = 0
[ "$faults" -ge 100 ] || { echo "only $faults faults were tried" && failed=$((failed + 1)); }

# --- what cannot be done is said --------------------------------------------------------------------
psql_in postgres -c "CREATE ROLE small LOGIN; GRANT pg_read_all_data TO small"
filtered() { "$engine" -e "assert(backup.take { database = 'postgres://small@127.0.0.1:$PGPORT/hard', to = '$scratch/filtered' })" 2>&1 | tee /dev/stderr | grep -q 'row-level security'; }
check 'a role that row security would filter is refused' filtered
check 'and leaves nothing that looks like a backup' test -z "$(ls "$scratch/filtered" 2> /dev/null)"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
