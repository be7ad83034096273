#!/usr/bin/env bash
# A simulated world gives the same bytes each time: in any order, after any other world, in any process, from --world, and whichever compiler built the engine.
# Time limit: 900 s
set -u
cd "$(dirname "$0")/../.."
engine=${ENGINE:-build/engine}
scratch=$(mktemp -d /tmp/engine-e2e-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0
digests=$(cat tests/e2e/simulation_same.lua)

check() { # check NAME COMMAND...
  local name=$1 out
  shift
  if out=$("$@" 2>&1); then passed=$((passed + 1)); else failed=$((failed + 1)); printf '%s\n%s\n' "$name" "$out" | head -20; fi
}

# A venture of which Lua's tables could give in any order whatever is not put in one: its dashboards, and what its simulation.lua answers.
venture=$scratch/venture
cp -r playbooks/demo/venture "$venture"
names=$(seq -f 'd%g' 1 12)
sed -i "s|^    dashboards = .*|    dashboards = { $(for name in $names; do printf '%s = \"http://%s/\", ' "$name" "$name"; done) },|" "$venture/venture.lua"
mkdir "$venture/stage30"
cat > "$venture/stage30/gates.lua" <<'END'
local http = require "http"
local process = require "process"

return function(run, d)
  step("30.0 what the world answers", function()
    local rows = expect(d:with_database(function(db) return db:query "SELECT d1 d2 d3 d4 d5 d6 d7 d8 d9" end))
    local command = expect(process.run { argv = { "d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9" } })
    local response = expect(http.get "http://elsewhere.test/d1/d2/d3/d4/d5/d6/d7/d8/d9")
    run:event("note", { text = ("%s %s %s"):format(rows[1].n, command.stdout, response:json().n) })
  end)
end
END
cat > "$venture/simulation.lua" <<'END'
local times = 0
local rules = { sql = {}, http = {}, commands = {}, invariants = {} }
for i = 1, 9 do
  local name = "d" .. i
  rules.sql[name] = function()
    times = times + 1
    return { { n = name .. " " .. times } }
  end
  rules.commands[name], rules.http[name] = { stdout = name }, { json = { n = name } }
end
return rules
END

# digests OUT ENGINE SEEDS: of those seeds in that order, put into the order of the seeds
digests() { "$2" -e "$digests" "$venture" $3 2>&1 | sort -n > "$scratch/$1"; }

seeds=$(seq 1 24)
digests first "$engine" "$seeds"
check 'each seed has a digest' test "$(grep -cE '^[0-9]+ [0-9a-f]{64} ' "$scratch/first")" = 24
check 'worlds differ' test "$(cut -d' ' -f2 "$scratch/first" | sort -u | wc -l)" = 24
check 'they end in several ways' test "$(cut -d' ' -f3 "$scratch/first" | sort -u | wc -l)" -ge 3

digests backwards "$engine" "$(seq 24 -1 1)"
check 'the same in the other order' diff "$scratch/first" "$scratch/backwards"
digests mixed "$engine" "$(seq 2 2 24) $(seq 1 2 24) $(seq 1 24)"
check 'the same when each has run before' diff <(cat "$scratch/first" "$scratch/first" | sort -n) "$scratch/mixed"
for seed in 7 23; do
  digests "alone-$seed" "$engine" "$seed"
  check "seed $seed the same by itself" diff <(grep "^$seed " "$scratch/first") "$scratch/alone-$seed"
done

"$engine" -e "$digests" "$venture" 3 11 29 --worlds > "$scratch/worlds"
while read -r digest world; do
  "$engine" simulate playbooks/stage30.lua --venture "$venture" --release 1.1 --world "$world" --log > "$scratch/log"
  check "engine simulate --world '$world' --log gives the same" test "$(sha256sum < "$scratch/log" | cut -d' ' -f1)" = "$digest"
done < "$scratch/worlds"
check 'three worlds were tried' test "$(wc -l < "$scratch/worlds")" = 3

# What clang built is there when the tests with sanitizers have run, and is built where it is not.
check 'clang builds the engine' make -s BUILD=build/asan CC=clang SANITIZE=address,undefined all
digests clang build/asan/engine "$seeds"
check 'the same from gcc and clang' diff "$scratch/first" "$scratch/clang"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
