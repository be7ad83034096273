# shellcheck shell=bash
# File trees against tar piped to zstd -1 -T2 with OpenSSL's SHA-256 beside it (and against restic and borg, where they are installed), and a
# SQLite database against the sum of its parts: .backup, integrity_check, zstd, SHA-256. Everything on two processors, files in the page cache.
#
#   FILES=20000 ROWS=1300000 RUNS=5 SECTION=tree|sqlite tests/bench/run.sh files
if [ -z "${PINNED:-}" ] && [ "$(nproc)" -gt 2 ]; then PINNED=1 exec taskset -c 0,1 bash "$0"; fi
. tests/lib/bench.sh
FILES=${FILES:-20000} ROWS=${ROWS:-1300000} RUNS=${RUNS:-5} SECTION=${SECTION:-tree sqlite}
export DIR RESTIC_PASSWORD=bench BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes

line() { # NAME MEASURED [SIZE]
    awk -v name="$1" -v us="$(median "$DIR/$2" 1)" -v kib="$(median "$DIR/$2" 2)" -v bytes="${3:-0}" 'BEGIN {
        printf "  %-60s %6.2f s  %7.1f MB  peak %6.1f MB\n", name, us / 1e6, bytes / 1e6, kib / 1024 }'
}
ratio() { awk -v a="$(median "$DIR/$1" 1)" -v b="$(median "$DIR/$2" 1)" -v what="$3" 'BEGIN { printf "  ratio to %s: %.2f\n", what, a / b }'; }
size() { du -sb "$1" | cut -f1; }
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

tar_pipe() { tar -C "$DIR/tree" --sparse --xattrs -cf - . | zstd -q -1 -T2 | tee >(openssl dgst -sha256 >"$DIR/sum") >"$DIR/tree.tar.zst"; }
tar_back() { mkdir "$DIR/back" && zstd -q -dc "$DIR/tree.tar.zst" | tar -C "$DIR/back" --xattrs -xf -; }
export -f tar_pipe tar_back

bench_tree() {
    local n path
    echo "building a tree of $FILES files"
    make_tree "$DIR/tree"
    echo "tree: $(find "$DIR/tree" | wc -l) entries, $(du -sm "$DIR/tree" | cut -f1) MB (medians of $RUNS)"
    for ((n = 0; n < RUNS; n++)); do
        rm -rf "$DIR/ours" "$DIR/back" "$DIR/restored" "$DIR/restic" "$DIR/borg" "$DIR/tree.tar.zst"
        measure "$DIR/m.ours" "$ENGINE" -e "assert(backup.take { files = { '$DIR/tree' }, to = '$DIR/ours' })" || return 1
        measure "$DIR/m.tar" bash -c tar_pipe || return 1
        path=$(echo "$DIR"/ours/*)
        measure "$DIR/m.restore" "$ENGINE" -e "assert(backup.restore_files { backup = '$path', to = '$DIR/restored' })" || return 1
        measure "$DIR/m.untar" bash -c tar_back || return 1
        if command -v restic >/dev/null; then
            restic -q init -r "$DIR/restic" >/dev/null && measure "$DIR/m.restic" restic -q -r "$DIR/restic" --no-cache backup "$DIR/tree" || return 1
        fi
        if command -v borg >/dev/null; then
            borg init -e none "$DIR/borg" && measure "$DIR/m.borg" borg create -C zstd,1 "$DIR/borg::a" "$DIR/tree" || return 1
        fi
    done
    diff -r --no-dereference "$DIR/tree" "$DIR/restored/001" || return 1
    line "engine backup.take { files }" m.ours "$(size "$path")"
    line "tar --sparse --xattrs | zstd -1 -T2 | tee >(openssl dgst)" m.tar "$(size "$DIR/tree.tar.zst")"
    ratio m.ours m.tar "the tar pipe (target 1.10)"
    if [ -f "$DIR/m.restic" ]; then line "restic backup" m.restic "$(size "$DIR/restic")" && ratio m.ours m.restic "restic (target 0.40)"; fi
    if [ -f "$DIR/m.borg" ]; then line "borg create -C zstd,1" m.borg "$(size "$DIR/borg")" && ratio m.ours m.borg borg; fi
    line "engine backup.restore_files: verify, extract" m.restore
    line "zstd -dc | tar -x (verifies nothing)" m.untar
    ratio m.restore m.untar "zstd -dc | tar -x"
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
export -f parts_backup parts_check parts_zstd parts_hash parts

bench_sqlite() {
    local n part path
    echo "building a SQLite database of $ROWS rows"
    make_database "$DIR/live.db" >/dev/null
    echo "SQLite: $(du -m "$DIR/live.db" | cut -f1) MB (medians of $RUNS)"
    for ((n = 0; n < RUNS; n++)); do
        rm -rf "$DIR/sqlite-backup" "$DIR"/copy.db*
        measure "$DIR/s.ours" "$ENGINE" -e "assert(backup.take { database = 'sqlite:$DIR/live.db', to = '$DIR/sqlite-backup' })" || return 1
        for part in backup check zstd hash; do measure "$DIR/s.$part" bash -c "parts_$part" || return 1; done
        rm -f "$DIR"/copy.db*
        measure "$DIR/s.parts" bash -c parts || return 1
    done
    line "engine backup.take { database }, every row summed" s.ours "$(size "$(echo "$DIR"/sqlite-backup/*)")"
    line "the sum of the parts, in one shell" s.parts "$(size "$DIR/copy.db.zst")"
    line "  sqlite3 .backup" s.backup
    line "  sqlite3 'PRAGMA integrity_check'" s.check
    line "  zstd -1 -T2" s.zstd
    line "  openssl dgst -sha256" s.hash
    ratio s.ours s.parts "the sum of the parts (target 1.10)"
}

for section in $SECTION; do "bench_$section" || exit 1; done
