# shellcheck shell=bash
# File trees against tar piped to zstd -1 -T2 with OpenSSL's SHA-256 beside it, restic and borg (`make deps SCOPE=bench` installs them), and a
# SQLite database against the sum of its parts: .backup, integrity_check, zstd, SHA-256. Everything on two processors, files in the page cache.
#
#   FILES=20000 ROWS=1300000 RUNS=3 SECTION=tree|sqlite tests/bench/run.sh files
if [ -z "${PINNED:-}" ] && [ "$(nproc)" -gt 2 ]; then PINNED=1 exec taskset -c 0,1 bash "$0"; fi
. tests/lib/bench.sh
FILES=${FILES:-20000} ROWS=${ROWS:-1300000} RUNS=${RUNS:-3} SECTION=${SECTION:-tree sqlite}
export DIR ROUND RESTIC_PASSWORD=bench BORG_BASE_DIR=$DIR/home-of-borg BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes

random_bytes() { openssl enc -aes-128-ctr -K "$(printf %032x "$1")" -iv 0 -in /dev/zero 2>/dev/null | head -c "$2"; }

# A hundred files of 2 to 128 KB a folder, a third of the folders random bytes and the others text; links of both kinds everywhere, and
# at the top two large files and a sparse one. The same for the same FILES on every machine.
make_tree() {
    local tree=$1 folders=$((FILES / 100)) d sizes="2048:50 8192:30 32768:15 131072:5" part count at
    awk 'BEGIN { srand(1); for (n = 0; n < 120000; n++) printf "2026-01-%02d %02d:%02d user=%d GET /api/v1/orders/%d status=%d time_ms=%.3f\n", n % 28 + 1, n % 24, n % 60, rand() * 90000, rand() * 1e9, rand() < 0.9 ? 200 : 404, rand() * 900 }' >"$DIR/text"
    for ((d = 0; d < folders; d++)); do
        mkdir -p "$tree/$((d / 20))/$d"
        if ((d % 3)); then tail -c +$((d * 31337 % 4000000 + 1)) "$DIR/text" | head -c 1500000; else random_bytes $((d + 1)) 1500000; fi >"$DIR/source"
        at=0
        for part in $sizes; do
            count=${part#*:} part=${part%:*}
            tail -c +$((at + 1)) "$DIR/source" | head -c $((count * part)) | split -b "$part" -a 3 -d - "$tree/$((d / 20))/$d/$part-"
            at=$((at + count * part))
        done
        ln "$tree/$((d / 20))/$d/8192-003" "$tree/$((d / 20))/$d/hard"
        ln -s 8192-004 "$tree/$((d / 20))/$d/soft"
    done
    random_bytes 1000000 32000000 >"$tree/large-random"
    for d in 1 2 3 4; do cat "$DIR/text"; done >"$tree/large-text"
    truncate -s 64M "$tree/sparse" && echo end >>"$tree/sparse"
    if command -v setfattr >/dev/null; then setfattr -n user.kind -v bench "$tree/large-text" 2>/dev/null; fi
}

tar_pipe() { tar -C "$DIR/tree" --sparse --xattrs -cf - . | zstd -q -1 -T2 | tee >(openssl dgst -sha256 >"$ROUND/sum") >"$ROUND/tree.tar.zst"; }
tar_back() { mkdir "$ROUND/back" && zstd -q -dc "$ROUND/tree.tar.zst" | tar -C "$ROUND/back" --xattrs -xf -; }
restic_do() { restic -q -r "$ROUND/restic" --no-cache "$@"; }
borg_back() { mkdir "$ROUND/borg-back" && cd "$ROUND/borg-back" && borg extract "$ROUND/borg::a"; }
export -f tar_pipe tar_back restic_do borg_back

# Once a peer: a backup, the same again with nothing changed, and a restore.
peers() {
    if command -v restic >/dev/null; then
        restic_do init >/dev/null && measure "$DIR/m.restic" bash -c 'restic_do backup "$DIR/tree"' && measure "$DIR/m.restic-again" bash -c 'restic_do backup "$DIR/tree"' &&
            measure "$DIR/m.restic-back" bash -c 'restic_do restore latest --target "$ROUND/restic-back"' || return 1
    fi
    if command -v borg >/dev/null; then
        borg init -e none "$ROUND/borg" && measure "$DIR/m.borg" borg create -C zstd,3 "$ROUND/borg::a" "$DIR/tree" && measure "$DIR/m.borg-again" borg create -C zstd,3 "$ROUND/borg::b" "$DIR/tree" &&
            measure "$DIR/m.borg-back" bash -c borg_back || return 1
    fi
}

bench_tree() {
    local n path
    echo "building a tree of $FILES files"
    make_tree "$DIR/tree"
    echo "tree: $(find "$DIR/tree" | wc -l) entries, $(du -sm "$DIR/tree" | cut -f1) MB (medians of $RUNS)"
    for ((n = 0; n < RUNS; n++)); do
        # Nothing is removed in between: file systems are slow to make files for seconds after many were removed. And what a former one
        # wrote is on the disk, so that the next does not wait for it.
        ROUND=$DIR/round.$n
        mkdir "$ROUND" && sync
        measure "$DIR/m.ours" "$ENGINE" -e "assert(backup.take { files = { '$DIR/tree' }, to = '$ROUND/ours' })" || return 1
        measure "$DIR/m.tar" bash -c tar_pipe || return 1
        path=$(echo "$ROUND"/ours/*)
        measure "$DIR/m.restore" "$ENGINE" -e "assert(backup.restore_files { backup = '$path', to = '$ROUND/restored' })" || return 1
        measure "$DIR/m.untar" bash -c tar_back || return 1
        peers || return 1
    done
    diff -r --no-dereference "$DIR/tree" "$ROUND/restored/001" || return 1
    row "engine backup.take { files }" "$DIR/m.ours" "$path"
    row "tar --sparse --xattrs | zstd -1 -T2 | tee >(openssl dgst)" "$DIR/m.tar" "$ROUND/tree.tar.zst"
    row "restic backup" "$DIR/m.restic" "$ROUND/restic"
    row "restic backup again, nothing changed" "$DIR/m.restic-again"
    row "borg create -C zstd,3" "$DIR/m.borg" "$ROUND/borg"
    row "borg create again, nothing changed" "$DIR/m.borg-again"
    ratio "the tar pipe" "$DIR/m.ours" "$DIR/m.tar" 1.10
    ratio "restic" "$DIR/m.ours" "$DIR/m.restic" 0.40
    ratio "restic with nothing changed (the engine takes all again)" "$DIR/m.ours" "$DIR/m.restic-again"
    ratio "borg" "$DIR/m.ours" "$DIR/m.borg"
    ratio "borg with nothing changed" "$DIR/m.ours" "$DIR/m.borg-again"
    row "engine backup.restore_files: verify, extract" "$DIR/m.restore"
    row "zstd -dc | tar -x (verifies nothing)" "$DIR/m.untar"
    row "restic restore" "$DIR/m.restic-back"
    row "borg extract" "$DIR/m.borg-back"
    ratio "zstd -dc | tar -x" "$DIR/m.restore" "$DIR/m.untar"
    ratio "restic restore" "$DIR/m.restore" "$DIR/m.restic-back"
    ratio "borg extract" "$DIR/m.restore" "$DIR/m.borg-back"
}

make_database() {
    sqlite3 "$1" "PRAGMA page_size = 4096; CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT, amount REAL, at TEXT, doc TEXT, raw BLOB);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $ROWS) INSERT INTO orders
        SELECT i, 'customer ' || abs(random() % 100000), i * 1.37, datetime(1767225600 + i * 60, 'unixepoch'), json_object('k', i, 'v', abs(random() % 1000000)), randomblob(64) FROM n;
        CREATE INDEX by_name ON orders (name); CREATE INDEX by_at ON orders (at);"
}
parts_backup() { sqlite3 "$DIR/live.db" ".backup $DIR/copy.db"; }
parts_check() { [ "$(sqlite3 "$DIR/copy.db" 'PRAGMA integrity_check')" = ok ]; }
parts_zstd() { zstd -q -1 -T2 -f -o "$DIR/copy.db.zst" "$DIR/copy.db"; }
parts_hash() { openssl dgst -sha256 "$DIR/copy.db.zst"; }
parts() { parts_backup && parts_check && parts_zstd && parts_hash; }
by_pages() { zstd -q -dc -f -o "$DIR/copy.db" "$DIR/copy.db.zst" && sqlite3 "$DIR/pages.db" ".restore $DIR/copy.db"; }
by_dump() { sqlite3 "$DIR/dumped.db" <"$DIR/dump.sql"; }
export -f parts_backup parts_check parts_zstd parts_hash parts by_pages by_dump

bench_sqlite() {
    local n part path
    echo "building a SQLite database of $ROWS rows"
    make_database "$DIR/live.db" >/dev/null
    sqlite3 "$DIR/live.db" .dump >"$DIR/dump.sql"
    echo "SQLite: $(du -m "$DIR/live.db" | cut -f1) MB (medians of $RUNS)"
    for ((n = 0; n < RUNS; n++)); do
        rm -rf "$DIR/sqlite-backup" "$DIR"/copy.db* "$DIR"/live.db.before* "$DIR/pages.db" "$DIR/dumped.db"
        measure "$DIR/s.ours" "$ENGINE" -e "assert(backup.take { database = 'sqlite:$DIR/live.db', to = '$DIR/sqlite-backup' })" || return 1
        path=$(echo "$DIR"/sqlite-backup/*)
        for part in backup check zstd hash; do measure "$DIR/s.$part" bash -c "parts_$part" || return 1; done
        rm -f "$DIR"/copy.db*
        measure "$DIR/s.parts" bash -c parts || return 1
        measure "$DIR/s.restore" "$ENGINE" -e "local r = assert(backup.restore { backup = '$path', database = 'sqlite:$DIR/live.db' })
assert(files.append('$DIR/s.gap', ('%.0f 0\n'):format(r.downtime_s * 1e6)))" || return 1
        measure "$DIR/s.pages" bash -c by_pages || return 1
        measure "$DIR/s.dump" bash -c by_dump || return 1
    done
    row "engine backup.take { database }, every row summed" "$DIR/s.ours" "$path"
    row "the sum of the parts, in one shell" "$DIR/s.parts" "$DIR/copy.db.zst"
    row "  sqlite3 .backup" "$DIR/s.backup"
    row "  sqlite3 'PRAGMA integrity_check'" "$DIR/s.check"
    row "  zstd -1 -T2" "$DIR/s.zstd"
    row "  openssl dgst -sha256" "$DIR/s.hash"
    ratio "the sum of the parts" "$DIR/s.ours" "$DIR/s.parts" 1.10
    row "engine backup.restore: verify, compare, pages in, loss" "$DIR/s.restore"
    row "  of it the pages into the live file, in one transaction" "$DIR/s.gap"
    row "zstd -d, sqlite3 .restore (page copy; verifies nothing)" "$DIR/s.pages"
    row "sqlite3 <dump.sql" "$DIR/s.dump"
    ratio "page copy" "$DIR/s.restore" "$DIR/s.pages"
    ratio "sqlite3 <dump.sql" "$DIR/s.restore" "$DIR/s.dump"
}

for section in $SECTION; do "bench_$section" || exit 1; done
