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

# A server with an extension of the test's own: its binary finds what belongs to it relative to where it stands.
mkdir -p "$scratch$PG_BIN"
cp "$PG_BIN"/{postgres,pg_ctl,initdb} "$scratch$PG_BIN"
ln -s "${PG_BIN%/bin}/lib" "$scratch${PG_BIN%/bin}/lib"
share=/usr/share/postgresql/$(basename "${PG_BIN%/bin}")
mkdir -p "$scratch$share/extension"
for one in "$share"/*; do [ "$(basename "$one")" = extension ] || ln -s "$one" "$scratch$share/"; done
ln -s "$share"/extension/* "$scratch$share/extension/"
printf "default_version = '1'\nrelocatable = false\n" > "$scratch$share/extension/settings.control"
cat > "$scratch$share/extension/settings--1.sql" << 'SQL'
CREATE TABLE settings (name text PRIMARY KEY, value text, ours boolean NOT NULL DEFAULT false);
INSERT INTO settings VALUES ('shipped', 'by the extension', true);
CREATE TABLE hidden (n int);
INSERT INTO hidden VALUES (1);
CREATE SEQUENCE numbers;
SELECT pg_catalog.pg_extension_config_dump('settings', 'WHERE NOT ours');
SELECT pg_catalog.pg_extension_config_dump('numbers', '');
SQL
PG_BIN=$scratch$PG_BIN
pg_start "$scratch/pg" || exit 1
url() { echo "postgres://postgres@127.0.0.1:$PGPORT/$1"; }
psql_in() { psql -X -q -v ON_ERROR_STOP=1 -At -d "$1" "${@:2}"; }

psql_in postgres -c 'CREATE DATABASE hard'
psql_in hard > /dev/null << 'SQL' || exit 1
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
SET client_min_messages = error;
CREATE SCHEMA extensions; CREATE EXTENSION settings SCHEMA extensions;
INSERT INTO extensions.settings VALUES ('mine', 'of a user'); SELECT nextval('extensions.numbers');
CREATE EXTENSION btree_gist SCHEMA extensions; COMMENT ON EXTENSION settings IS 'said by a user';
CREATE ROLE "the ""owner""" NOLOGIN; CREATE ROLE reader NOLOGIN;
CREATE SCHEMA owned AUTHORIZATION "the ""owner""";
SET ROLE "the ""owner""";
CREATE TABLE owned.thing (id int PRIMARY KEY, amount money, took interval, raw bytea, doc xml, at timestamptz, day date, span daterange, f float4);
INSERT INTO owned.thing VALUES (1, '1234.50', '-1 year -2 days +03:04:05', '\x00ff5c', '<a b="1"/>', '2026-03-29 02:30:00+01', 'infinity', '[2026-01-02,2026-02-01)', '-Infinity'),
  (2, NULL, '0', '', '<x/>', '-infinity', '0044-03-15 BC', 'empty', 'NaN'), (3, '-0.01', '1 month', NULL, NULL, 'infinity', '-infinity', '(,)', 1e-38);
RESET ROLE;
GRANT SELECT (id, day) ON owned.thing TO reader; GRANT USAGE ON SCHEMA owned TO reader WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE "the ""owner""" IN SCHEMA owned GRANT SELECT ON TABLES TO reader;
ALTER DEFAULT PRIVILEGES FOR ROLE "the ""owner""" REVOKE EXECUTE ON ROUTINES FROM PUBLIC;
CREATE COLLATION reversed (provider = icu, locale = 'und-u-kf-upper');
CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE collated (a text COLLATE reversed, b text COLLATE blind UNIQUE); INSERT INTO collated VALUES ('b', 'X'), ('B', 'Y'); CREATE INDEX ON collated (a);
CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere OPTIONS (host 'it''s'); CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (pass 'x');
CREATE FOREIGN TABLE away (id int OPTIONS (name 'ID'), t text) SERVER far;
CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN IF current_setting('engine.refuse', true) = 'on' THEN RAISE EXCEPTION 'no'; END IF; END $$;
CREATE EVENT TRIGGER noted ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION noted();
CREATE FUNCTION "Weird Schema".half(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 2';
CREATE FUNCTION halved(int) RETURNS int LANGUAGE plpgsql IMMUTABLE SET search_path = "Weird Schema" AS 'BEGIN RETURN half($1); END';
CREATE MATERIALIZED VIEW z_first AS SELECT id, halved(id::int) AS h FROM plain;
CREATE MATERIALIZED VIEW "Weird Schema".a_second AS SELECT count(*) AS n, sum(h) AS s FROM z_first;
CREATE UNIQUE INDEX ON z_first (id); CREATE MATERIALIZED VIEW unfilled AS SELECT * FROM "Weird Schema".a_second WITH NO DATA;
CREATE PUBLICATION everything FOR TABLES IN SCHEMA owned; CREATE PUBLICATION something FOR TABLE plain (id, t) WHERE (id > 5) WITH (publish = 'insert');
CREATE STATISTICS plain_stats (dependencies, ndistinct) ON t, n FROM plain;
CREATE TYPE pair AS (a int, b text); CREATE DOMAIN good_pair AS pair CHECK ((VALUE).a > 0); CREATE DOMAIN pairs AS good_pair[];
CREATE TYPE floatrange AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TABLE odd (p good_pair, ps pairs, r floatrange, mr floatmultirange, b bit varying(9), n numeric, iv interval(2)[], tid tid, x xid8, path path, tsv tsvector, q tsquery);
INSERT INTO odd VALUES (ROW(1, E'a,"b"\\\n'), ARRAY[ROW(2, NULL)]::pairs, '[1.5,NaN]', '{[1,2),(3,4]}', B'101', 'NaN', '{"1 day",NULL}', '(1,2)', '9999999999', '((1,2),(3,4))', 'a:1A b', 'a & !b'),
  (NULL, NULL, 'empty', '{}', B'', '-Infinity', '{}', NULL, NULL, NULL, '', '');
CREATE TABLE booked (room int, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO booked VALUES (1, '[2026-01-01,2026-01-02)'), (1, '[2026-01-02,infinity)');
CREATE TABLE logged (what text); CREATE TABLE ruled (id int); CREATE RULE tell AS ON INSERT TO ruled DO ALSO INSERT INTO logged VALUES (NEW.id::text); INSERT INTO ruled VALUES (7);
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON plain DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bump(); ALTER TABLE plain DISABLE TRIGGER later;
CREATE TABLE "line
break \! touch x; '$(x)`x`%s%d" ("a	b" int, "%s" text); INSERT INTO "line
break \! touch x; '$(x)`x`%s%d" VALUES (1, E'\\.\n\\! x');
CREATE SEQUENCE "seq
\'; --" START 3; SELECT setval('"seq
\''; --"', 9, false);
CREATE TABLE "a.b" (id int); CREATE SCHEMA a; CREATE TABLE a.b (id int); INSERT INTO "a.b" VALUES (1); INSERT INTO a.b VALUES (2), (3);
CREATE SCHEMA "public.a"; CREATE TABLE "public.a".b (id int);
COMMENT ON TABLE plain IS E'two\nlines; \\! ''quoted'''; COMMENT ON COLUMN plain.t IS 'ü'; COMMENT ON DATABASE hard IS 'the hard one';
CREATE FUNCTION rank(mood) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE CAST (mood AS int) WITH FUNCTION rank(mood) AS ASSIGNMENT;
CREATE OPERATOR <<<>>> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq); CREATE AGGREGATE total(*) (SFUNC = int8inc, STYPE = int8, INITCOND = 0);
CREATE TEXT SEARCH CONFIGURATION words (COPY = simple); CREATE PROCEDURE nothing_done() LANGUAGE sql AS ''; CREATE OPERATOR FAMILY kin USING btree;
ALTER TABLE parts_1 SET (fillfactor = 50); ALTER TABLE plain ALTER t SET STORAGE EXTERNAL, ALTER n SET STATISTICS 7, REPLICA IDENTITY FULL; CLUSTER plain USING plain_pkey;
ALTER DATABASE hard SET search_path = public, "Weird Schema";
-- What the text of a value, and the meaning of a statement, depends on.
ALTER DATABASE hard SET DateStyle = 'SQL, DMY'; ALTER DATABASE hard SET TimeZone = 'Australia/Lord_Howe'; ALTER DATABASE hard SET IntervalStyle = 'sql_standard';
ALTER DATABASE hard SET bytea_output = 'escape'; ALTER DATABASE hard SET extra_float_digits = -3; ALTER DATABASE hard SET standard_conforming_strings = off;
SQL

# --- the round trip -------------------------------------------------------------------------------
lua() { "$engine" -e "$1"; }
take() { lua "local b = assert(backup.take { database = '$(url hard)', to = '$scratch/backups' }) return b.path" | tr -d "'\""; }
backup=$(take)
check 'it is there' test -f "$backup/COMPLETE"
check 'large tables are copied in pieces' test -f "$(ls "$backup"/data/*wide.002.copy.zst)"
dump() { PGOPTIONS='-c TimeZone=UTC -c bytea_output=hex -c standard_conforming_strings=on' pg_dump --no-sync "$1" | grep -v '^--\|^\\restrict\|^\\unrestrict\|^$'; }
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
psql_in unsealed -c 'ALTER TABLE plain ADD COLUMN later int; DELETE FROM wide WHERE id < 1000; DROP TABLE mother CASCADE; CREATE TABLE newer (id int); INSERT INTO newer VALUES (1), (2); CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
  DELETE FROM extensions.settings; INSERT INTO extensions.settings VALUES ($$later$$, $$x$$); CREATE TABLE extensions.odd_place (id int);
  ALTER DEFAULT PRIVILEGES REVOKE ALL ON TYPES FROM PUBLIC; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO reader;
  GRANT CREATE ON SCHEMA public TO reader; COMMENT ON SCHEMA public IS $$mine$$; ALTER SCHEMA public OWNER TO reader;
  CREATE SCHEMA later; CREATE AGGREGATE later.none(*) (SFUNC = int8inc, STYPE = int8, INITCOND = 0); CREATE TYPE later_type AS (x int); CREATE DOMAIN later_domain AS later_type;
  CREATE OPERATOR CLASS later_class FOR TYPE int USING btree AS FUNCTION 1 btint4cmp(int, int); CREATE ACCESS METHOD later_heap TYPE TABLE HANDLER heap_tableam_handler;
  CREATE TABLE later_table (id int) USING later_heap; CREATE MATERIALIZED VIEW later_view AS SELECT * FROM later_table; SELECT lo_create(0);' > /dev/null || failed=$((failed + 1))
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
check 'its comment and settings are as they were' test "$(psql_in postgres -c "SELECT shobj_description(d.oid, 'pg_database'), setconfig[1:2] FROM pg_database d JOIN pg_db_role_setting ON setdatabase = d.oid WHERE datname = 'hard'")" \
  = "the hard one|{\"search_path=public, \\\"Weird Schema\\\"\",\"DateStyle=SQL, DMY\"}"
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

# --- what others put into a schema is not called -----------------------------------------------------
psql_in hard << 'SQL'
CREATE FUNCTION public.quote_ident(name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked'; END $$;
CREATE FUNCTION public.pg_relation_size(oid) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked'; END $$;
ALTER DATABASE hard SET search_path = public, pg_catalog;
SQL
not_hijacked() {
  local path
  path=$(take) && lua "assert(backup.drill { backup = '$path', database = '$(url hard)' }) assert(require('backup.diff').compare('$(url hard)', '$(url hard)'))" &&
    "$engine" backup restore "$path" --database "$(url hard)" --in-place --yes
}
check "functions that are named like the server's are not called by a backup" not_hijacked

# --- a backup that somebody else wrote: sealed as a backup is, with statements of his in the schema -------
hostile() { # hostile SQL: in the schema of a copy of the backup, in $scratch/hostile
  rm -rf "$scratch/hostile" && cp -r "$backup" "$scratch/hostile" && cd "$scratch/hostile" || return 1
  { printf '%s\n' "$1" && zstd -qdc schema-pre.sql.zst; } > ../pre.sql && zstd -qf ../pre.sql -o schema-pre.sql.zst || return 1
  perl -0pi -e 'BEGIN { ($sha, $bytes, $raw) = splice @ARGV, 0, 3 } s/("schema-pre\.sql\.zst"\s*:\s*\{).*?\}/$1 "sha256": "$sha", "bytes": $bytes, "raw_bytes": $raw }/s' \
    "$(sha256sum < schema-pre.sql.zst | cut -d' ' -f1)" "$(stat -c %s schema-pre.sql.zst)" "$(stat -c %s ../pre.sql)" manifest.json
  find . -type f ! -name SHA256SUMS ! -name COMPLETE -printf '%P\n' | sort | xargs sha256sum > SHA256SUMS && sha256sum SHA256SUMS manifest.json | cut -d' ' -f1 > COMPLETE
  cd "$OLDPWD" || return 1
}
backup=$(take)
checksum=$(sha256sum < "$backup/SHA256SUMS" | cut -d' ' -f1)
hostile "COPY (SELECT 1) TO PROGRAM 'touch $scratch/harm';"
check 'a backup with other statements passes as whole' "$engine" backup verify "$scratch/hostile"
another() { ! "$engine" backup "$@" --checksum "$checksum" > "$scratch/another.out" 2>&1 && grep -q 'another backup than the one that was taken' "$scratch/another.out"; }
check 'and not as the one that was taken' another verify "$scratch/hostile"
check 'nor is it drilled' another drill "$scratch/hostile" --database "$(url hard)"
check 'nor restored' another restore "$scratch/hostile" --database "$(url hard)" --yes
psql_in postgres -c 'CREATE ROLE humble LOGIN CREATEDB; GRANT pg_read_all_data TO humble'
humble() { ! "$engine" backup drill "$scratch/hostile" --database "postgres://humble@127.0.0.1:$PGPORT/hard" > "$scratch/humble.out" 2>&1 && cat "$scratch/humble.out" && grep -q 'schema-pre.sql.*pg_execute_server_program' "$scratch/humble.out" && [ ! -e "$scratch/harm" ]; }
check 'a role that may run no program runs none' humble
says_ended() {
  "$engine" -e "
  local ok, err = require('core.backup_postgres').run('$(url hard)', 'BEGIN', { { sql = 'SELECT 1; COMMIT', name = 'schema-pre.sql' }, { sql = 'CREATE TABLE half (id int)' } })
  assert(not ok and err.code == 'backup_corrupt' and err.message:find 'ended the transaction', tostring(err))"
}
check 'a script that ends the transaction ends the restore' says_ended
check 'and nothing of it stays' test "$(psql_in hard -c "SELECT to_regclass('public.half') IS NULL")" = t
check 'no name in a backup became a command' test ! -e x -a ! -e "$backup/x"

# --- other encodings and locales ---------------------------------------------------------------------
encoded() { # encoded NAME OPTIONS VALUE: a database of its own, with the value in a table; taken, drilled, and restored by restore.sh
  local name=$1 path
  psql_in postgres -c "CREATE DATABASE $name TEMPLATE template0 $2" &&
    psql_in "$name" -c "SET client_encoding = 'SQL_ASCII'; CREATE TABLE t (v text); INSERT INTO t VALUES ($3)" -c "CREATE INDEX ON t (v)" &&
    path=$(lua "return assert(backup.take { database = '$(url "$name")', to = '$scratch/$name' }).path" | tr -d "'\"") &&
    lua "local d = assert(backup.drill { backup = '$path', database = '$(url "$name")', keep = true }) assert(files.write('$scratch/copy', d.copy.name))" || return 1
  psql_in postgres -c "CREATE DATABASE plain_$name TEMPLATE template0 $2" && "$path/restore.sh" "plain_$name" || return 1
  psql_in postgres -c "ALTER DATABASE \"$(cat "$scratch/copy")\" ALLOW_CONNECTIONS true"
  local facts="SELECT datcollate, datctype, datlocprovider, daticulocale, encoding FROM pg_database WHERE datname = current_database()" bytes="SELECT encode(v::bytea, 'hex') FROM t"
  local one other
  for one in "$bytes" "$facts"; do
    for other in "$(cat "$scratch/copy")" "plain_$name"; do diff <(psql_in "$name" -c "$one") <(psql_in "$other" -c "$one") || return 1; done
  done
}
check 'a database in LATIN1' encoded latin "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'" "convert_from('\\xe9e8', 'LATIN1')"
check 'one whose encoding nobody knows' encoded unknown "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'" "E'\\xe9\\xff'"
check "one that is sorted by ICU" encoded icu "LOCALE_PROVIDER icu ICU_LOCALE 'de' ENCODING 'UTF8'" "'ä'"

# --- what cannot be done is said --------------------------------------------------------------------
psql_in postgres -c "CREATE ROLE small LOGIN; GRANT pg_read_all_data TO small"
filtered() { "$engine" -e "assert(backup.take { database = 'postgres://small@127.0.0.1:$PGPORT/hard', to = '$scratch/filtered' })" 2>&1 | tee /dev/stderr | grep -q 'row-level security'; }
check 'a role that row security would filter is refused' filtered
check 'and leaves nothing that looks like a backup' test -z "$(ls "$scratch/filtered" 2> /dev/null)"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
