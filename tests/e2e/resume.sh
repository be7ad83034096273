#!/usr/bin/env bash
# Engines that die in a real deployment, and what brings the run to an end: resume, rollback, unlock, the guardian. One demo world with
# clients that keep asking; each part begins and ends with blue serving 1.0, and the clients may not notice anything. Every part with the
# journal in a file, and those that are about the journal and its lease with one in PostgreSQL too.
set -u
cd "$(dirname "$0")/../.." || exit
engine=${ENGINE:-build/engine}
. tests/lib/postgres.sh
scratch=$(mktemp -d /tmp/engine-resume-XXXXXX)
chmod 755 "$scratch"
passed=0 failed=0 world=
kind=sqlite # of the journal
check() { if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $1 ($kind)"; [ -z "${3:-}" ] || sed 's/^/  /' "$3" | tail -30; fi; }

# The procedure with short stages; the guardian is chosen for each run.
mkdir "$scratch/overlay"
sed -e 's/stages = { 10, 50, 100 }.*cpu = 1, memory = 1,/stages = { 50, 100 }, advance = "evidence", minimum = 1.5, bake = 0.5, warm = 0.5, max_watch = 60, max_bake = 60, min_requests = 20, cpu = 1, memory = 1,/' \
  -e 's/rollback = { watch = 5/guardian = { action = env("GUARDIAN", "off"), grace = 1 }, rollback = { watch = 0.5/' playbooks/demo/venture/venture.lua > "$scratch/overlay/venture.lua"
finish() { kill -INT $world 2> /dev/null; wait $world; pg_stop immediate; rm -rf "$scratch"; }
trap finish EXIT
. tests/lib/world.sh
serve_world
state=$scratch/world/state
database=${DEMO_DATABASE#sqlite:}

ask() { "$engine" "$@" --state "$state"; }
sqlite() { sqlite3 -cmd '.timeout 10000' "$@"; }
of_journal() { if [ $kind = sqlite ]; then sqlite "$state/journal.db" "$1"; else pg_sql "$1"; fi; }
last_run() { of_journal 'SELECT id FROM runs ORDER BY started_at DESC LIMIT 1'; }
outcome() { of_journal "SELECT coalesce(outcome, 'none') || ' ' || coalesce(CAST(exit_code AS TEXT), '-') FROM runs WHERE id = '$run'"; }
has_outcome() { [ "$(outcome)" = "$1" ]; }
has_event() { [ "$(of_journal "SELECT count(*) FROM events WHERE run = '$run' AND kind = '$1'")" -ge "${2:-1}" ]; }
lives() { kill -0 "$1" 2> /dev/null; }
is_gone() { ! lives "$1"; }
served() { "$engine" -e "return http.get('$DEMO_PUBLIC/health'):json().version" | tr -d '"'; }
stage() { sqlite "$database" "SELECT current_workflow_stage FROM ventures WHERE id = 'demo'"; }
weights() { "$engine" -e "local w = traffic.open { driver = 'haproxy', socket = '$DEMO_HAPROXY', backend = 'app', servers = { blue = { 'blue1' }, green = { 'green1' } } }:get() return w.blue .. ' ' .. w.green" | tr -d '"'; }
# The world as clients and operators see it: blue's and green's shares, the version, the venture's stage.
is_at() { local now; now="$(weights) $(served) $(stage)"; [ "$now" = "$1" ] || { echo "the world is at $now, expected $1"; return 1; }; }
BEFORE='100 0 1.0 30' AFTER='0 100 1.1 31'
proved() { ask log --verify > "$scratch/verify" 2>&1 && grep -q 'chain whole' "$scratch/verify"; check "the chain is whole: $1" $? "$scratch/verify"; }

# begin NAME [COMMAND...]: a deployment in the background until it watches green (or what WHERE says); sets engine_pid and run
begin() {
  : > "$scratch/$1" # what an earlier part of the same name said is not waited for
  "$engine" playbooks/stage30.lua --venture "$scratch/world/venture" --state "$state" --release 1.1 > "$scratch/$1" 2>&1 &
  engine_pid=$!
  wait_for "$1: ${2:-the canary}" grep -q "${2:-watch green at 50}" "$scratch/$1" || sed 's/^/  /' "$scratch/$1"
  run=$(last_run)
}
die() { kill -9 "$@"; wait "$engine_pid" 2> /dev/null; wait_for 'its end' is_gone "$engine_pid"; }

# What the first promotion does to the schema stays when traffic goes back.
schema='the schema was migrated (traffic-safe)'

# --- killed in the canary; two resumes at once
canary() {
  begin canary
  die $engine_pid
  ask status "$run" > "$scratch/status" && grep -q '▶ 30.2.2 watch green at 50' "$scratch/status" && grep -q 'engine gone$' <(head -1 "$scratch/status") && grep -q "next   engine resume $run --state [^ ]* | engine rollback $run --state" "$scratch/status"; check 'status of a run that died in the canary' $? "$scratch/status"
  proved 'after the death in the canary'
  "$engine" resume --state "$state" --reason 'it was killed' > "$scratch/resume.1" 2>&1 &
  one=$!
  "$engine" resume --state "$state" > "$scratch/resume.2" 2>&1 &
  two=$!
  wait $one; code_one=$?
  wait $two; code_two=$?
  winner=1 loser=2
  [ $code_two = 0 ] && winner=2 loser=1
  [ "$((code_one + code_two))" = 6 ] && grep -q "run $run holds demo since .* for resume (process" "$scratch/resume.$loser"; check "of two resumes one wins, the other exits 6 and names the holder: $code_one, $code_two" $? "$scratch/resume.$loser"
  grep -q 'green serves 1.1 at 100 %, verified' "$scratch/resume.$winner" && has_outcome 'promoted 0' && is_at "$AFTER"; check 'resume after a kill in the canary ends promoted' $? "$scratch/resume.$winner"
  ! grep -q "▶ 30.1.3 backup" "$scratch/resume.$winner"; check 'what was done is not done again' $? "$scratch/resume.$winner"
  ask resume > "$scratch/ended" 2>&1
  [ $? = 2 ] && grep -q "has ended: promoted" "$scratch/ended" && grep -q "engine rollback $run --state [^ ]* takes it back" "$scratch/ended"; check 'resume of a promoted run says that it has ended' $? "$scratch/ended"
}

# --- rollback of a promoted run
promoted() {
  ask rollback --dry-run > "$scratch/dry" 2>&1
  [ $? = 0 ] && grep -q "traffic stood at blue 0 %, green 100 %; $schema" "$scratch/dry" && grep -q 'the evidence decides' "$scratch/dry" && is_at "$AFTER" && has_outcome 'promoted 0'; check 'a dry run says what would be done and does nothing' $? "$scratch/dry"
  ask rollback --reason 'the numbers are wrong' > "$scratch/promoted" 2>&1
  [ $? = 4 ] && has_outcome 'rolled_back 4' && is_at "$BEFORE"; check 'rollback of a promoted run: blue has all traffic, the venture is back at 30, exit 4' $? "$scratch/promoted"
  grep -q 'the numbers are wrong' "$state/runs/$run/report-$run.md"; check 'the report has the reason' $? "$state/runs/$run/report-$run.md"
  ask rollback > "$scratch/again" 2>&1
  [ $? = 2 ] && grep -q 'has ended: rolled_back; there is nothing to take back' "$scratch/again"; check 'a run that was rolled back is refused' $? "$scratch/again"
  proved 'after the rollback of a promoted run'
  first_run=$run
}

# --- killed before traffic moved: by hand
early() {
  begin early 'measure blue'
  die $engine_pid
  ask status "$run" > "$scratch/status" && grep -q '▶ ' "$scratch/status"; check 'status of a dead run shows the step it was in' $? "$scratch/status"
  ask rollback "$run" --reason 'start again' > "$scratch/early.back" 2>&1
  [ $? = 1 ] && has_outcome 'aborted 1' && is_at "$BEFORE"; check 'a rollback of a run that died before traffic moved aborts it, nothing changed' $? "$scratch/early.back"
  [ "$(curl -s -o /dev/null -w '%{http_code}' "http://$DEMO_GREEN/health")" = 000 ]; check 'what it had provisioned is gone' $?
}

# --- rollback of a run under way, and of one that is not the latest
underway() {
  begin underway
  ask rollback "$first_run" > "$scratch/old" 2>&1
  [ $? = 2 ] && grep -q 'there is nothing to take back' "$scratch/old"; check 'an older run is refused' $? "$scratch/old"
  ask rollback "$run" --type traffic --reason 'a hunch' > "$scratch/asked" 2>&1
  asked=$?
  wait $engine_pid
  [ $? = 4 ] && [ $asked = 4 ] && grep -q 'is under way and was asked to roll back' "$scratch/asked" && is_at "$BEFORE"; check "rollback of a run under way: both exit 4 (asked: $asked)" $? "$scratch/underway"
  grep -q 'traffic rollback: it was asked for' "$scratch/underway"; check 'the type that was asked for' $? "$scratch/underway"
}

# --- rollback of a dead run
dead() {
  begin dead
  die $engine_pid
  ask rollback --type full > "$scratch/full" 2>&1
  [ $? = 4 ] && grep -q 'full rollback' "$scratch/full" && is_at "$BEFORE"; check 'a full rollback of a dead run' $? "$scratch/full"
}

# --- somebody moves traffic while the engine is dead
moved() {
  begin moved
  die $engine_pid
  "$engine" -e "return traffic.open { driver = 'haproxy', socket = '$DEMO_HAPROXY', backend = 'app', servers = { blue = { 'blue1' }, green = { 'green1' } } }:set { blue = 80, green = 20 }" > "$scratch/moved.by"
  ask resume > "$scratch/moved.resume" 2>&1
  [ $? = 4 ] && grep -q 'E0504 drift: green was left with 50 % of the traffic and has 20 %: somebody moved it' "$scratch/moved.resume" && is_at "$BEFORE"; check 'traffic that was moved meanwhile: resume rolls back' $? "$scratch/moved.resume"
}

# --- a lock that is taken away
unlocked() {
  begin unlocked
  ask unlock > "$scratch/unlock" 2>&1
  [ $? = 0 ] && grep -q "run $run holds demo since .*: process $engine_pid on .*, which lives; epoch" "$scratch/unlock" && lives $engine_pid; check 'unlock says who holds the lock and leaves it' $? "$scratch/unlock"
  ask unlock --yes --reason 'the machine hangs' > "$scratch/unlock" 2>&1 && grep -q 'taken away' "$scratch/unlock"; check 'unlock --yes takes it away' $? "$scratch/unlock"
  wait $engine_pid
  [ $? = 6 ] && grep -q 'was taken over' "$scratch/unlocked" && ! grep -q 'traffic: 100 % to green' "$scratch/unlocked"; check 'the engine whose lock was taken stops before its next effect, exit 6' $? "$scratch/unlocked"
  ask unlock > "$scratch/unlock" 2>&1 && grep -q 'nobody holds demo' "$scratch/unlock"; check 'nobody holds it then' $? "$scratch/unlock"
  ask rollback > "$scratch/unlocked.back" 2>&1
  [ $? = 4 ] && is_at "$BEFORE"; check 'and the run is rolled back' $? "$scratch/unlocked.back"
  proved 'after an unlock'
}

# --- the guardian
guardian_pid() { of_journal "SELECT data FROM events WHERE run = '$run' AND kind = 'guardian' ORDER BY seq DESC LIMIT 1" | sed 's/.*"pid":\([0-9]*\).*/\1/'; }

guarded() {
  local -x GUARDIAN=rollback
  begin guarded
  wait_for 'a guardian' has_event guardian
  guardian=$(guardian_pid)
  kill -9 "$guardian"
  wait_for 'another guardian' has_event guardian 2
  [ "$(guardian_pid)" != "$guardian" ] && lives "$(guardian_pid)"; check 'a guardian that is killed alone is started again' $? "$scratch/guarded"
  die $engine_pid
  wait_for 'the end' has_outcome 'rolled_back 4'
  check 'the guardian takes traffic back when the engine was killed' $? "$state/guardian.log"
  wait_for 'the guardian to go' is_gone "$(guardian_pid)"
  is_at "$BEFORE" && has_event engine_died && grep -q 'the guardian: the engine (process' "$state/runs/$run/report-$run.md"; check 'and says who did it and why' $? "$state/guardian.log"
}

both_killed() {
  local -x GUARDIAN=rollback
  begin both_killed
  wait_for 'a guardian' has_event guardian
  die $engine_pid "$(guardian_pid)"
  [ "$(outcome)" = 'none -' ]; check 'both killed: nobody acts' $?
  GUARDIAN=off ask resume > "$scratch/both.resume" 2>&1
  [ $? = 0 ] && is_at "$AFTER"; check 'both killed: resume by hand ends promoted' $? "$scratch/both.resume"
  ask rollback > "$scratch/both.back" 2>&1
  [ $? = 4 ] && is_at "$BEFORE"; check 'and it can be taken back' $? "$scratch/both.back"
}

before_traffic() {
  local -x GUARDIAN=rollback
  begin before_traffic 'provision green'
  wait_for 'a guardian' has_event guardian
  guardian=$(guardian_pid)
  die $engine_pid
  wait_for 'the guardian to go' is_gone "$guardian"
  [ "$(outcome)" = 'none -' ] && of_journal "SELECT data FROM events WHERE run = '$run'" | grep -q 'the engine died before traffic moved: the run is left as it is'; check 'killed before traffic moved: the guardian leaves the run and says so' $? "$state/guardian.log"
  ask rollback > "$scratch/before.back" 2>&1
  [ $? = 1 ] && is_at "$BEFORE"; check 'a person aborts it' $? "$scratch/before.back"
}

resumed() {
  local -x GUARDIAN=resume
  begin resumed
  wait_for 'a guardian' has_event guardian
  guardian=$(guardian_pid)
  die $engine_pid
  wait_for 'the end' has_outcome 'promoted 0'
  is_at "$AFTER"; check 'a guardian that resumes ends promoted' $? "$state/guardian.log"
  wait_for 'the guardian to go' is_gone "$guardian"
  check 'and is gone with its run' $?
}

# Whoever holds the run's lease: its engine, or the guardian that took it up.
holder_pid() { of_journal "SELECT pid FROM leases WHERE run = '$run'"; }

again_and_again() {
  local n holder
  local -x GUARDIAN=resume
  begin again
  wait_for 'a guardian' has_event guardian
  die $engine_pid
  for n in 1 2 3; do
    wait_for "resume $n" has_event resume $n
    wait_for "the guardian of resume $n" has_event guardian $((n + 1))
    holder=$(holder_pid)
    kill -9 "$holder"
    wait_for 'its end' is_gone "$holder"
  done
  wait_for 'the end' has_outcome 'rolled_back 4'
  is_at "$BEFORE" && ! has_event resume 4 && has_event rollback; check 'an engine that dies in every resume is resumed three times, then traffic goes back' $? "$state/guardian.log"
  wait_for 'the guardian to go' is_gone "$(guardian_pid)"
}

# The copy that was kept for a database rollback is torn, and the backup is not where it was.
failed_rollback() {
  local -x GUARDIAN=off
  begin broken
  die $engine_pid
  local copy=("${database}".restore-*)
  [ -s "${copy[0]}" ]; check 'a copy was kept for a rollback' $?
  truncate -s 4096 "${copy[0]}"
  mv "$DEMO_BACKUPS" "$DEMO_BACKUPS.away"
  ask rollback --type database > "$scratch/broken.1" 2>&1
  [ $? = 5 ] && has_outcome 'failed 5' && grep -q 'is not what was restored and compared' "$scratch/broken.1" && grep -q "next   engine rollback $run" "$scratch/broken.1"; check 'a rollback that failed exits 5 and names the command that tries it again' $? "$scratch/broken.1"
  ask resume > "$scratch/broken.2" 2>&1
  [ $? = 2 ] && grep -q "engine rollback $run --state [^ ]* tries again" "$scratch/broken.2"; check 'resume of it says so too' $? "$scratch/broken.2"
  mv "$DEMO_BACKUPS.away" "$DEMO_BACKUPS"
  ask rollback > "$scratch/broken.3" 2>&1
  [ $? = 4 ] && has_outcome 'rolled_back 4' && is_at "$BEFORE" && ! grep -q '▶ rollback: all traffic' "$scratch/broken.3"; check 'and then it comes to its end; what was done is not done again' $? "$scratch/broken.3"
  grep -q 's from the start of the rollback to verified' "$scratch/broken.3" && grep -q 'from the start of the rollback to verified | [0-9.:]* s' "$state/runs/$run/report-$run.md"; check 'the time to verified is said and in the report' $? "$state/runs/$run/report-$run.md"
  proved 'after a rollback that was tried again'
}

# --- back to the schema of before; what was written since is lost, so this is not asked of the clients.
to_the_schema_of_before() {
  ask rollback --type database > "$scratch/database" 2>&1
  [ $? = 4 ] && grep -q 'database rollback: it was asked for' "$scratch/database" && is_at "$BEFORE"; check 'a database rollback of a promoted run' $? "$scratch/database"
}

canary
promoted
early
underway
dead
moved
unlocked
guarded
both_killed
before_traffic
again_and_again

kind=postgres schema='no schema change'
pg_start "$scratch/pg" || exit 1
export ENGINE_JOURNAL=$URL
canary
promoted
unlocked
guarded
both_killed
resumed
wait_for 'the latest count of the clients' grep -q 'failed=' "$scratch/world/clients"
grep -q 'failed=0' "$scratch/world/clients"; check "no client's request failed: $(cat "$scratch/world/clients")" $? "$scratch/world/clients"
proved 'at the end'
to_the_schema_of_before
failed_rollback
kind=sqlite
unset ENGINE_JOURNAL
failed_rollback

echo "$passed passed, $failed failed"
[ $failed = 0 ]
