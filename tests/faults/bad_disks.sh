#!/bin/bash
# The journal on bad disks and with a bad clock: full, read-only, damaged, cut, of another version. Each is said clearly, with what to do;
# nothing is half done, no effect lacks its intent, and the run goes on when the disk is well again.
# Disks are file systems in memory, mounted by root; without that right their part is skipped, and that is said.
# Time limit: 900 s
set -u
cd "$(dirname "$0")/../.."
engine=${ENGINE:-build/engine}
make --no-print-directory -s build/faults/disk.so build/faults/clock.so || exit 1
scratch=$(mktemp -d /tmp/engine-disks-XXXXXX)
chmod 755 "$scratch"
mounted=()
finish() {
  for folder in "${mounted[@]}"; do umount "$folder"; done
  rm -rf "$scratch"
}
trap finish EXIT
passed=0 failed=0
check() { if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $1"; sed 's/^/  /' "$scratch/out" | tail -30; fi; }

# begin / resume: one run; its output is in $scratch/out, its exit code in $code. $world and $state say where.
world=$scratch/world state=
fresh() { rm -rf "$world" && mkdir -p "$world"; }
begin() { "$engine" tests/faults/bad_disks/interrupted.lua --state "$state" --world "$world" "$@" > "$scratch/out" 2>&1; code=$?; } 2> /dev/null
resume() { "$engine" resume --state "$state" "$@" > "$scratch/out" 2>&1; code=$?; }
said() { local part; for part in "$@"; do grep -qF -- "$part" "$scratch/out" || { echo "it does not say: $part" && return 1; }; done; }
effects() { [ "$(wc -l 2> /dev/null < "$world/traces" || echo 0)" = "$1" ]; }
has_intents() { # every trace's key is a step's in the journal
  local key
  while read -r _ key; do
    [ "$(sqlite3 "$state/journal.db" "SELECT count(*) FROM events WHERE kind = 'step_begin' AND data ->> '\$.key' = '$key' AND data ->> '\$.effect' = 'probed'")" = 1 ] || { echo "no intent of $key"; return 1; }
  done < "$world/traces"
}
is_whole() { # all effects, each once, and the chain
  effects 61 && [ "$(cut -d' ' -f1 "$world/traces" | sort -u | wc -l)" = 61 ] && "$engine" log --verify --state "$state" | grep -q 'chain whole'
}
goes_on() { resume && [ $code = 0 ] && said 'all effects are there' && is_whole; }

disk() { # a small file system of our own
  local folder=$scratch/disk-$1
  mkdir "$folder" && mount -t tmpfs -o size="$2" tmpfs "$folder" 2> /dev/null || return 1
  mounted+=("$folder")
  state=$folder/state
}

test_full_disk() {
  fresh
  begin --fault "cat /dev/zero > $scratch/disk-full/filler"
  local done # what had room in the journal's files as they were
  done=$(wc -l < "$world/traces")
  [ $code = 130 ] && said 'database or disk is full' "$state/journal.db" 'Make room' 'engine resume' && has_intents && [ "$done" -lt 61 ]
  check 'a disk that gets full in mid-run: 130, with what to do, and no effect without its intent' $?
  resume
  [ $code = 1 ] && said 'disk is full' 'Make room' && effects "$done"
  check 'a resume while it is full changes nothing' $?
  rm "$scratch/disk-full/filler"
  goes_on
  check 'with room again the run goes on to its end' $?
  fresh
  cat /dev/zero > "$scratch/disk-full/filler" 2> /dev/null
  state=$scratch/disk-full/second begin
  [ $code = 1 ] && said 'disk is full' 'Make room' && effects 0
  check 'a run on a full disk does not begin' $?
  rm "$scratch/disk-full/filler"
  state=$scratch/disk-full/second
  begin && [ $code = 0 ] && is_whole
  check 'and begins when there is room, in the same folder' $?
}

test_read_only_mount() {
  fresh
  begin --fault 'kill -9 $PPID'
  [ $code = 137 ] && effects 1 || check 'a run that was killed' 1
  mount -o remount,ro "$scratch/disk-ro"
  resume
  [ $code = 1 ] && said "$state/journal.db" readonly 'Let the engine write' && effects 1
  check 'a resume on a read-only file system says so' $?
  state=$scratch/disk-ro/new begin
  { [ $code = 1 ] || [ $code = 2 ]; } && said 'ead-only file system' "$scratch/disk-ro/new" && effects 1
  check 'a run on a read-only file system does not begin' $?
  mount -o remount,rw "$scratch/disk-ro"
  goes_on
  check 'with a writable one it goes on' $?
}

test_foreign_file() {
  fresh
  state=$scratch/foreign
  begin --fault 'kill -9 $PPID'
  chmod 755 "$state" && chmod 644 "$state"/journal.db*
  setpriv --reuid=65534 --regid=65534 --clear-groups "$engine" resume --state "$state" > "$scratch/out" 2>&1
  code=$?
  [ $code = 1 ] && said "$state/journal.db" 'Let the engine write' && effects 1
  check 'somebody who may not write the file is told so' $?
  goes_on
  check 'and who may goes on' $?
}

test_refusing_disk() {
  fresh
  state=$scratch/refusing
  LD_PRELOAD=$PWD/build/faults/disk.so DISK_REFUSES=$scratch/refuse begin --fault "touch $scratch/refuse"
  [ $code = 130 ] && said 'disk I/O error' "$state/journal.db" 'read-only' 'engine resume' && effects 1
  check 'a disk that refuses writes in mid-run: 130' $?
  rm "$scratch/refuse"
  has_intents && goes_on
  check 'when it takes them again the run goes on' $?
}

# Bytes flipped in the middle of each page in turn. What SQLite or the proof finds is said, and nothing is done; what matters to nobody does not
# keep the run from its right end.
test_flipped_bytes() {
  local page pages bad=0 refused=0
  fresh
  state=$scratch/flipped
  begin --fault 'kill -9 $PPID'
  sqlite3 "$state/journal.db" 'PRAGMA wal_checkpoint(TRUNCATE)' > /dev/null
  cp -r "$state" "$scratch/kept" && cp "$world/traces" "$scratch/kept-traces"
  pages=$(($(stat -c %s "$state/journal.db") / 4096))
  for ((page = 0; page < pages; page++)); do
    rm -rf "$state" && cp -r "$scratch/kept" "$state" && cp "$scratch/kept-traces" "$world/traces"
    # Pages fill from their end.
    dd if=/dev/urandom of="$state/journal.db" bs=1 seek=$((page * 4096 + 3900)) count=64 conv=notrunc status=none
    resume
    if [ $code = 0 ]; then
      said 'all effects are there' && is_whole || { bad=1 && echo "page $page: a wrong end" && cat "$scratch/out"; }
    else
      refused=$((refused + 1))
      said E0500 '  next' && effects 1 || { bad=1 && echo "page $page: exit $code" && cat "$scratch/out"; }
    fi
  done
  echo "  $refused of $pages flipped pages were refused"
  [ $bad = 0 ] && [ $refused -gt 5 ]
  check 'flipped bytes: refused with nothing done, or without harm' $?
}

# A WAL that lost its end is a disk that did not keep what it said was durable. What is left is whole; nothing is done twice for that.
test_cut_wal() {
  local part size bad=0
  fresh
  state=$scratch/cut
  begin --fault 'kill -9 $PPID'
  cp -r "$state" "$scratch/uncut" && cp "$world/traces" "$scratch/uncut-traces"
  size=$(stat -c %s "$state/journal.db-wal")
  for part in 7 6 5; do
    rm -rf "$state" && cp -r "$scratch/uncut" "$state" && cp "$scratch/uncut-traces" "$world/traces"
    rm -f "$state/journal.db-shm"
    truncate -s $((size * part / 8)) "$state/journal.db-wal"
    "$engine" log --verify --state "$state" > "$scratch/out" 2>&1 && said 'chain whole' || { bad=1 && echo "cut to $part eighths: not whole" && cat "$scratch/out"; }
  done
  rm -rf "$state" && cp -r "$scratch/uncut" "$state" && cp "$scratch/uncut-traces" "$world/traces"
  # Only the last commit, the fault's intent, is cut off: the effect before it stays recorded.
  truncate -s $((size - 1)) "$state/journal.db-wal" && rm -f "$state/journal.db-shm"
  [ $bad = 0 ] && goes_on
  check 'a cut WAL leaves a whole chain, and the run goes on from what is left' $?
}

test_other_version() {
  fresh
  state=$scratch/version
  begin
  sqlite3 "$state/journal.db" 'PRAGMA user_version = 1'
  local before
  before=$(sha256sum < "$state/journal.db")
  begin
  [ $code = 1 ] && said 'it is of version 1' "$state/journal.db" 'Use the engine that made it' && [ "$(sha256sum < "$state/journal.db")" = "$before" ] && effects 61
  check 'a journal of another version is refused and stays as it is' $?
}

test_clock() {
  local latest
  fresh
  state=$scratch/clock
  export LD_PRELOAD=$PWD/build/faults/clock.so CLOCK_JUMPS=5
  begin --fault 'kill -9 $PPID'
  [ $code = 137 ] && has_intents && goes_on
  check 'a clock that jumps an hour back and forth: the run goes on and ends right' $?
  unset LD_PRELOAD CLOCK_JUMPS
  fresh
  begin
  # From its first reading on an hour late.
  fresh
  LD_PRELOAD=$PWD/build/faults/clock.so CLOCK_JUMPS=1000000 CLOCK_BEGINS_LATE=1 begin --fault 'kill -9 $PPID'
  latest=$(sqlite3 "$state/journal.db" 'SELECT id FROM runs ORDER BY seq DESC LIMIT 1')
  "$engine" status --state "$state" > "$scratch/out" && head -1 "$scratch/out" | grep -q "^$latest" && goes_on
  check 'the latest run is the one that began last, whatever the clock said' $?
}

if disk full 4m; then
  test_full_disk
  disk ro 4m && test_read_only_mount
  test_foreign_file
else
  echo "skipped: full and read-only disks (only root may mount file systems)"
fi
test_refusing_disk
test_flipped_bytes
test_cut_wal
test_other_version
test_clock
echo "$passed passed, $failed failed"
[ $failed = 0 ]
