#!/usr/bin/env bash
# engine plan on a real demo world: it says every effect and changes nothing; its hash binds a run to it; a changed world or a changed part is shown.
set -u
cd "$(dirname "$0")/../.."
engine=${ENGINE:-build/engine}
scratch=$(mktemp -d /tmp/engine-e2e-XXXXXX)
passed=0 failed=0 world=''
cleanup() {
  [ -z "$world" ] || { kill "$world" 2> /dev/null && wait "$world" 2> /dev/null; }
  rm -rf "$scratch"
}
trap cleanup EXIT
check() { # check NAME COMMAND...
  local name=$1
  shift
  if "$@" > "$scratch/check.out" 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $name"; tail -15 "$scratch/check.out"; fi
}
"$engine" playbooks/demo.lua --serve --world "$scratch/world" > "$scratch/world.out" 2>&1 &
world=$!
for ((n = 0; n < 300; n++)); do [ -s "$scratch/world/world.env" ] && break; read -rt 0.1 <> <(:); done
. "$scratch/world/world.env"
sed -i 's/minimum = 5, bake = 8, warm = 3/minimum = 1, bake = 1, warm = 1/' "$scratch/world/venture/venture.lua"
options=(--venture "$scratch/world/venture" --state "$scratch/world/state" --release 1.1)
plan() { "$engine" plan playbooks/stage30.lua "${options[@]}" "$@"; }
hash() { plan | grep -oE -- '--plan [0-9a-f]{12}$' | cut -d' ' -f2; }
has() { grep -qF -- "$1" "$2" || { cat "$2"; return 1; }; }
state_before=$(find "$scratch/world/state" -type f | sort)

plan > "$scratch/plan"
for words in 'do     30.1.2 external dependencies  (keyed)' 'now absent: 1 of 1 are not applied; can be taken back' '30.2.2 traffic: 10 % to green  {"colour":"green","share":10}  (probed; now absent: all traffic goes to blue' \
  'now absent: stage 30; can be taken back' 'colours: {"new":"green","old":"blue","version":"1.0"}' 'stage30.blue_green from playbooks/stage30/blue_green.lua'; do
  check "the plan says: $words" has "$words" "$scratch/plan"
done
check 'nothing of a rollback is in it' sh -c "! grep -q 'abort' '$scratch/plan'"
check 'it changes nothing but its own record' test "$state_before" = "$(find "$scratch/world/state" -type f -not -path '*/plans/*' | sort)"
first=$(hash)
check 'the same world gives the same plan' test "$first" = "$(hash)"

refused() { # refused WORDS ARGS...: exit 1, WORDS said, no run begun
  local words=$1
  shift
  "$engine" playbooks/stage30.lua "${options[@]}" "$@" > "$scratch/refused" 2>&1
  [ $? = 1 ] && has "$words" "$scratch/refused" && [ ! -e "$scratch/world/state/journal.db" ]
}
check 'another hash is refused' refused 'not 0123456789ab' --plan 0123456789ab
check 'a hash that is too short is refused' refused 'not ab' --plan ab
cp -r tests/e2e/ventures/override/stage30 "$scratch/world/venture/"
plan --diff > "$scratch/diff"
check "--diff shows what the venture's own part changes" has '+ check  30.1.0 our own freeze check' "$scratch/diff"
check 'a part that changed since is refused, and shown' refused '+ source stage30.pre_deployment' --plan "$first"
rm -r "$scratch/world/venture/stage30"
echo 'ALTER TABLE archive ADD COLUMN x TEXT;' > "$scratch/world/releases/1.1/migrations/003_more.sql"
check 'a release that changed since is refused' refused 'world  migrations that are pending: ["002_plans","003_more"]' --plan "$first"
rm "$scratch/world/releases/1.1/migrations/003_more.sql"
"$engine" plan > "$scratch/usage" 2>&1
check 'no playbook: usage' test $? = 2
check 'the world of the plan: the run begins and ends' "$engine" playbooks/stage30.lua "${options[@]}" --plan "$first"
check 'its report names the plan' sh -c "grep -q '^| Plan | .$first' '$scratch'/world/state/runs/*/report-*.md"
check 'a plan while nothing is pending' sh -c "'$engine' plan playbooks/stage30.lua ${options[*]} > '$scratch/again'; ! grep -q 'run migrations' '$scratch/again'"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
