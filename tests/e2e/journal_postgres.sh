#!/bin/bash
# The journal in a PostgreSQL that several machines share: the journal's tests on a real server; a server that restarts, dies and stays
# away under a run; two engines, two machines, a cut link; a breach while the journal is away.
set -u
cd "$(dirname "$0")/../.."
engine=${ENGINE:-build/engine}
. tests/lib/postgres.sh

scratch=$(mktemp -d /tmp/engine-journal-XXXXXX)
chmod 755 "$scratch"
spaces=() world=
cleanup() {
    if [ -n "$world" ]; then kill -INT "$world" 2>/dev/null && wait "$world"; fi
    pg_stop immediate
    PG_DIR=$scratch/shared pg_stop immediate
    for space in "${spaces[@]}"; do ip netns del "$space"; done
    rm -rf "$scratch"
}
trap cleanup EXIT
passed=0 failed=0
check() { if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $1"; [ -z "${3:-}" ] || sed 's/^/  /' "$3" | tail -30; fi; }

# wait_for WHAT COMMAND...: until the command succeeds, at most 60 s
wait_for() {
    local what=$1 end=$((SECONDS + 60))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $end ]; then echo "never: $what"; return 1; fi
        read -rt 0.05 <> <(:) || true
    done
}

# A venture whose effects leave one line each in $scratch/NAME/done; in front of each, it waits until its number is let through.
make_venture() { # make_venture NAME URL SECONDS-TO-WAIT-FOR-THE-JOURNAL
    mkdir -p "$scratch/$1"
    echo 0 >"$scratch/$1/through"
    cat >"$scratch/$1/venture.lua" <<END
return {
  name = "$1", id = "$1", mode = "auto", journal = "$2", journal_wait = $3, guardian = { action = "off" },
  database = { url = "sqlite:$scratch/$1/app.db" }, backup = { to = "$scratch/$1/backups" },
  grants = { commands = { "sh" }, hosts = {}, write = { "$scratch/$1" } }, -- the engine's own journal needs no grant
  environment = { addresses = { blue = "127.0.0.1:1", green = "127.0.0.1:2" } },
  traffic = { driver = "command", get = { "true" }, set = { "true" } },
}
END
}
cat >"$scratch/effects.lua" <<'END'
return playbook { name = "effects", about = "leaves a line for each of its effects", args = { n = { type = "integer", default = 5 } }, run = function(run)
  local folder = run.venture.folder
  for i = 1, run.args.n do
    step { "effect " .. i, effect = "idempotent", run = function()
      expect(process.run { argv = { "sh", "-c", 'echo "$1" >>"$2"', "-", tostring(i), folder .. "/done" }, check = true })
      repeat
        local through = tonumber((files.read(folder .. "/through")))
        if not through or through < i then sleep(0.05) end
      until through and through >= i
    end }
  end
end }
END
begin() { exec "$engine" "$scratch/effects.lua" --venture "$scratch/$1"; } # as a job of its own
through() { echo "$2" >"$scratch/$1/t" && mv "$scratch/$1/t" "$scratch/$1/through"; }
is_at() { [ "$(tail -1 "$scratch/$1/done")" = "$2" ]; }
is_once() { [ "$(tr '\n' ' ' <"$scratch/$1/done")" = "$2 " ]; }
id_of() { sed -n 's/.* run \([0-9a-f]*\)  playbook.*/\1/p' "$1" | head -1; }
is_said() { [ "$(grep -c "$2" "$1")" = "$3" ]; }
whole() { "$engine" log --verify --journal "$1" >"$scratch/verify" 2>&1 && grep -q 'chain whole' "$scratch/verify"; }

# The world of the last part is built meanwhile.
mkdir "$scratch/overlay"
sed -e 's/advance = "evidence", minimum = 5/advance = "time", watch = 100/' -e 's/rollback = { watch = 5/rollback = { watch = 1/' playbooks/demo/venture/venture.lua >"$scratch/overlay/venture.lua"
"$engine" playbooks/demo.lua --serve --world "$scratch/world" --overlay "$scratch/overlay" >"$scratch/world.out" 2>&1 &
world=$!

# Two machines, alpha and beta, each with a link of its own to the machine of the database: network namespaces with host names. While
# alpha's link is cut and its lease runs out, the other parts are tested.
two_machines() {
    local name="ej$$" side
    for side in db alpha beta; do
        ip netns add "$name-$side" || return
        spaces+=("$name-$side")
        ip -n "$name-$side" link set lo up
    done
    for side in alpha:1 beta:2; do
        ip -n "$name-db" link add "${side%:*}" type veth peer name uplink netns "$name-${side%:*}" &&
            ip -n "$name-db" address add "10.99.${side#*:}.1/24" dev "${side%:*}" &&
            ip -n "$name-${side%:*}" address add "10.99.${side#*:}.2/24" dev uplink &&
            ip -n "$name-db" link set "${side%:*}" up && ip -n "$name-${side%:*}" link set uplink up || return
    done
    ip netns exec "$name-db" bash -c '. tests/lib/postgres.sh && PG_OPTIONS="-c listen_addresses=*" pg_start "$1" &&
        echo "host all all 10.99.0.0/16 trust" >>"$PG_DIR/data/pg_hba.conf" && pg_sql "SELECT pg_reload_conf()"' - "$scratch/shared" >"$scratch/shared.out" 2>&1
}
link_alpha() { ip -n "ej$$-db" link set alpha "$1"; }
on() { exec ip netns exec "ej$$-$1" unshare --uts sh -c 'hostname "$1" && shift && exec "$@"' - "$@"; } # on MACHINE COMMAND..., as a job of its own

if two_machines; then
    port=$(cat "$scratch/shared/port")
    ALPHA=postgres://postgres@10.99.1.1:$port/postgres BETA=postgres://postgres@10.99.2.1:$port/postgres
    make_venture shared "$ALPHA" 600
    on alpha "$engine" "$scratch/effects.lua" --venture "$scratch/shared" >"$scratch/alpha" 2>&1 &
    alpha=$!
    wait_for 'the first effect' is_at shared 1
    id=$(id_of "$scratch/alpha")
    (on beta "$engine" resume "$id" --journal "$BETA") >"$scratch/refused" 2>&1
    [ $? = 6 ] && grep -q "run $id holds shared since .* (process $alpha on alpha)" "$scratch/refused"; check 'a run whose holder renews is not taken over' $? "$scratch/refused"
    link_alpha down
    through shared 1
else
    cat "$scratch/shared.out" 2>/dev/null
    check 'network namespaces for two machines' 1
fi

pg_start "$scratch/pg" || exit 1

# The journal's own tests.
ENGINE_TEST_JOURNAL=$URL "$engine" test-file tests/lua/test_journal.lua >"$scratch/tests" 2>&1
[ $? = 0 ] && grep -q '^1[0-9] passed, 0 failed' "$scratch/tests"; check 'the tests of the journal on PostgreSQL' $? "$scratch/tests"

# The server restarts, and later dies, in mid-run: the run holds, says so once each time, and goes on.
make_venture restarted "$URL" 60
begin restarted >"$scratch/restarted.out" 2>&1 &
run=$!
wait_for 'the first effect' is_at restarted 1
pg_stop immediate
through restarted 2
wait_for 'the run to hold' grep -q 'the journal is away' "$scratch/restarted.out"
pg_start "$scratch/pg"
wait_for 'the third effect' is_at restarted 3
kill -9 "$PG_PID"
wait_for 'the run to hold' is_said "$scratch/restarted.out" 'the journal is away' 2
wait_for 'the server again' pg_start "$scratch/pg"
through restarted 5
wait $run
[ $? = 0 ] && is_once restarted '1 2 3 4 5' && is_said "$scratch/restarted.out" 'the journal is away' 2 && is_said "$scratch/restarted.out" 'the journal is back after' 2
check 'a run holds while its server restarts or is dead, and goes on' $? "$scratch/restarted.out"
id=$(id_of "$scratch/restarted.out")
[ "$(pg_sql "SELECT count(*) FROM events WHERE run = '$id' AND kind = 'journal_away'")" = 2 ] && whole "$URL"
check 'that the journal was away is in it' $? "$scratch/verify"

# It stays away: the engine's part ends, and the run is resumed later.
make_venture patient "$URL" 1
begin patient >"$scratch/patient.out" 2>&1 &
run=$!
wait_for 'the first effect' is_at patient 1
pg_stop immediate
through patient 5
wait $run
[ $? = 130 ] && grep -q 'next   engine resume .* exit 130' "$scratch/patient.out"; check 'a journal that stays away ends the part of this engine with 130' $? "$scratch/patient.out"
pg_start "$scratch/pg"
"$engine" resume "$(id_of "$scratch/patient.out")" --journal "$URL" >"$scratch/resumed" 2>&1
[ $? = 0 ] && is_once patient '1 1 2 3 4 5'; check 'and the run is resumed' $? "$scratch/resumed"

# Two engines at once: one wins, the other names it.
make_venture both "$URL" 60
begin both >"$scratch/one" 2>&1 &
one=$!
begin both >"$scratch/two" 2>&1 &
two=$!
wait_for 'one to be refused' grep -qs lock_held "$scratch/one" "$scratch/two"
through both 5
wait $one
codes=$?
wait $two
codes="$codes $?"
[ "$codes" = '0 6' ] || [ "$codes" = '6 0' ]; check "two engines at once: one wins, the other exits 6 ($codes)" $? "$scratch/one"
cat "$scratch/one" "$scratch/two" >"$scratch/both.out"
grep -Eq "holds both since .* for effects \(process ($one|$two) on $(uname -n)\)" "$scratch/both.out" && is_once both '1 2 3 4 5'; check 'the other names the holder' $? "$scratch/both.out"

# Green dies under traffic while the journal is away: traffic goes back at once, and the record follows.
wait_for 'the world' test -f "$scratch/world/clients" || cat "$scratch/world.out"
. "$scratch/world/world.env"
"$engine" playbooks/stage30.lua --venture "$scratch/world/venture" --state "$scratch/world/state" --journal "$URL" --release 1.1 >"$scratch/deploy.out" 2>&1 &
deploy=$!
wait_for 'the canary' grep -q 'of 100 s: green [0-9]* requests' "$scratch/deploy.out"
pg_stop immediate
wait_for 'the run to notice' grep -q 'the journal is away' "$scratch/deploy.out"
kill -9 "$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$scratch/world/state/environment/green.json")"
wait_for 'traffic at blue' grep -q 'traffic: blue 100 %, green 0 % (read back)' "$scratch/deploy.out"
"$engine" -e "return assert(require('traffic').open { driver = 'haproxy', socket = '$DEMO_HAPROXY', backend = 'app', servers = { blue = { 'blue1' }, green = { 'green1' } } }):get().green" >"$scratch/weight" 2>&1
[ "$(cat "$scratch/weight")" = 0 ] && ! grep -q 'the journal is back' "$scratch/deploy.out"; check 'traffic goes back while the journal is away' $? "$scratch/deploy.out"
pg_start "$scratch/pg"
wait $deploy
[ $? = 4 ] && grep -q 's from the first bad response to blue at 100 %' "$scratch/deploy.out" && grep -q 'blue serves 1.0 at 100 %, verified' "$scratch/deploy.out"; check 'and the rollback reaches its end when it is back' $? "$scratch/deploy.out"
id=$(id_of "$scratch/deploy.out")
pg_sql "SELECT kind || ' ' || coalesce(data::json ->> 'state', data::json ->> 'verdict', data::json ->> 'green')
  FROM events WHERE run = '$id' AND step = (SELECT step FROM events WHERE run = '$id' AND kind = 'step_begin' AND data::json ->> 'name' LIKE '%watch green at 10%%') AND kind IN ('canary', 'traffic', 'metrics') ORDER BY seq" >"$scratch/order"
[ "$(tr '\n' ',' <"$scratch/order")" = 'canary S10,traffic 0,canary RETREAT,canary ROLLBACK,metrics rollback,' ]; check 'with everything recorded in its order' $? "$scratch/order"
whole "$URL"; check 'and the chain whole' $? "$scratch/verify"

# Beta takes the run over when alpha's lease has run out; alpha comes back and is refused.
if [ ${#spaces[@]} = 3 ]; then
    id=$(id_of "$scratch/alpha")
    resume_on_beta() { (on beta "$engine" resume "$id" --journal "$BETA") >"$scratch/beta" 2>&1; }
    (until resume_on_beta || [ $? != 6 ]; do sleep 0.2; done) &
    beta=$!
    wait_for 'the second effect on beta' is_at shared 2
    link_alpha up
    wait $alpha
    [ $? = 6 ] && grep -q "was taken over (epoch 2, by run $id (process [0-9]* on beta))" "$scratch/alpha" && ! grep -q 'effect 2' "$scratch/alpha"
    check 'alpha is refused and exits 6 without its next effect' $? "$scratch/alpha"
    through shared 5
    wait $beta
    grep -q 'exit 0$' "$scratch/beta" && is_once shared '1 1 2 3 4 5'; check 'beta ends the run' $? "$scratch/beta"
    (on beta "$engine" log --verify --journal "$BETA") >"$scratch/verify" 2>&1 && grep -q 'chain whole' "$scratch/verify"; check 'the chain of both is whole' $? "$scratch/verify"
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
