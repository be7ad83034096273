#!/usr/bin/env bash
# The demo for real: success, every fault, PostgreSQL, a venture that replaces one substage, and one that
# moves traffic with its own command. Judged by the demo's last line, which is read back from the world.
set -u
cd "$(dirname "$0")/../.."
engine=${ENGINE:-build/engine}
scratch=$(mktemp -d /tmp/engine-e2e-XXXXXX)
chmod 755 "$scratch"
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0

mkdir -p "$scratch/command"
cp tests/e2e/ventures/command/traffic.sh "$scratch/command/"
sed '/^  traffic = {/,/^  },/c\
  traffic = {\
    driver = "command", set = { "./traffic.sh", "set", "{blue}", "{green}" }, get = { "./traffic.sh", "get" },\
    ready = { "./traffic.sh", "ready", "{colour}" }, drain = { "./traffic.sh", "drain", "{colour}" }, maintenance = { "./traffic.sh", "maintenance", "{colour}" },\
    servers = { blue = { "blue1" }, green = { "green1" } }, public = env "DEMO_PUBLIC",\
  },' playbooks/demo/venture/venture.lua > "$scratch/command/venture.lua"

mkdir -p "$scratch/cold"
sed 's/^  backup = { /&warm = false, /' playbooks/demo/venture/venture.lua > "$scratch/cold/venture.lua"

# run NAME ARGS... : one demo in a world of its own
run() {
  local name=$1
  shift
  "$engine" playbooks/demo.lua --world "$scratch/world-$name" "$@" > "$scratch/$name.out" 2>&1
  echo $? > "$scratch/$name.code"
}

# expect NAME CODE PATTERN [PATTERN of the output]...: the demo's exit code and its last line, then anywhere
expect() {
  local name=$1 code=$2 last=$3 ok=1
  shift 3
  [ "$(cat "$scratch/$name.code")" = "$code" ] || { echo "$name: exit $(cat "$scratch/$name.code"), expected $code"; ok=0; }
  tail -1 "$scratch/$name.out" | grep -Eq "$last" || { echo "$name: last line: $(tail -1 "$scratch/$name.out"), expected $last"; ok=0; }
  for pattern in "$@"; do grep -Eq "$pattern" "$scratch/$name.out" || { echo "$name: nothing like '$pattern'"; ok=0; }; done
  if [ $ok = 1 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); grep '✗' "$scratch/$name.out" | head -8; sed 's/^/  /' "$scratch/$name.out" | tail -40; fi
}

promoted='outcome=promoted exit=0 .* failed=0 blue=0 green=100 version=1.1 stage=31'
back='outcome=rolled_back exit=4 .* blue=100 green=0 version=1.0 stage=30'
aborted='outcome=aborted exit=1 .* failed=0 blue=100 green=0 version=1.0 stage=30'

# Two at a time: each is a world of ten processes with response times to keep.
at_once=2
start() {
  while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n; done
  run "$@" &
}

# Where the engine could die in it is listed, for honest.lua.
ENGINE_BOUNDARIES=$scratch/success.boundaries start success
for fault in errors dependency slow crash backup migration smoke; do start $fault --fault $fault; done
start override --overlay tests/e2e/ventures/override
start command --overlay "$scratch/command"
start pg_success --postgres
start pg_migration --postgres --fault migration
start pg_cold --postgres --fault migration --overlay "$scratch/cold"
start incompatible --fault incompatible
start pg_incompatible --postgres --fault incompatible
start pg_backup --postgres --fault backup
wait

expect success 0 "$promoted" 'traffic-safe'
expect errors 0 "$back" 'traffic rollback' 's from the first bad response to blue at 100 %'
expect dependency 0 "$aborted" 'Stripe answered 503'
expect slow 0 "$back" 'requests slower than 500 ms.*L1'
expect crash 0 "$back" 'full rollback' 'green is gone'
expect backup 0 "$aborted" 'is damaged'
expect migration 0 "$back" 'database rollback' 'lost in ventures: [0-9]+ inserted' 'schema of 1.0: yes; rows of before: 200 of 200'
expect smoke 0 "$back" 'create, read, update, delete: step 5'
expect override 0 "$promoted" '30.1.0 our own freeze check'
expect command 0 "$promoted"
expect pg_success 0 "$promoted"
expect pg_migration 0 "$back" 'database rollback' 'restored from the warm copy' 'lost in public.ventures: [0-9]+ inserted' 'schema of 1.0: yes; rows of before: 200 of 200'
expect pg_cold 0 "$back" 'a database rollback takes as long' 'restored in [0-9.]+ s, not available for' 'lost in public.ventures: [0-9]+ inserted' 'schema of 1.0: yes; rows of before: 200 of 200'
expect incompatible 0 "$aborted" '1.0 does not work with the migrated schema .database-safe.'
expect pg_incompatible 0 "$aborted" '1.0 does not work with the migrated schema .database-safe.'
expect pg_backup 0 "$aborted" 'invalid page'

# The papers of these runs: made at their end, and made again from the journal at any time.
. tests/lib/papers.sh
check() { # check NAME COMMAND...
  local name=$1 out
  shift
  if out=$("$@" 2>&1); then passed=$((passed + 1)); else failed=$((failed + 1)); printf '%s: %s\n' "$name" "$out" | head -20; fi
}
# paper NAME PAPER FORM: the path of a world's paper
paper() { ls "$scratch/world-$1"/state/runs/*/"$2"-*."$3"; }
report() { "$engine" report --state "$scratch/world-$1/state" --to "$scratch/again-$1"; }
says() { grep -Eq -- "$2" "$1" || { echo "no '$2' in $1"; return 1; }; }

check 'the report of a success' paper_well_formed "$(paper success report html)" 'Deployment log: demo 1.1' 3
check 'its handoff' paper_well_formed "$(paper success handoff html)" 'Handoff: demo 1.1' 0
check 'pictures of it' paper_pictures "$(paper success report html)"
check 'who has to take it over' says "$(paper success handoff md)" 'Handoff \| not accepted yet'
check 'the report of a rollback' paper_well_formed "$(paper migration report html)" 'Rollback report: demo 1.1' 3
seen=("$(paper success report html)" 3 "$(paper success handoff html)" 0 "$(paper migration report html)" 3)
check 'they are readable by day' papers_by_day "${seen[@]}"
check 'they are readable by night' papers_by_night "${seen[@]}"
check 'what is lost' says "$(paper migration report md)" '^\| ventures \| [0-9]+ \| [0-9]+ \| 0 \| plan \|'
check 'from the first bad response on' says "$(paper errors report md)" '\+0.000 s \| the first bad response'
check 'what stood against it' says "$(paper smoke report md)" 'create, read, update, delete: step 5'
check 'the report of an abort' paper_well_formed "$(paper dependency report html)" 'Abort report: demo 1.1' 0
for world in success migration crash incompatible pg_success; do check "the report of $world, made again" report $world; done
check 'it is the same' cmp <(sed '/Made from the journal/d; /verified at/d; /| Ended |/d; /^| Events/d; /Hash of the last/d; / documents |/d' "$(paper migration report md)") \
  <(sed '/Made from the journal/d; /verified at/d; /| Ended |/d; /^| Events/d; /Hash of the last/d; / documents |/d' "$scratch"/again-migration/report-*.md)

# What each world recorded is what the simulator records of it.
"$engine" tests/e2e/honest.lua --worlds "$scratch" > "$scratch/honest.out" 2>&1
sed '$d' "$scratch/honest.out"
read -r equal _ different _ <<< "$(tail -1 "$scratch/honest.out")"
passed=$((passed + equal)) failed=$((failed + different))

leftovers=$(pgrep -fc "$scratch" || true)
if [ "$leftovers" = 0 ]; then passed=$((passed + 1)); else echo "$leftovers processes were left behind"; failed=$((failed + 1)); fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
