#!/usr/bin/env bash
# engine simulate says which rollback code no world reached; engine check --strict fails for it, until a test says which world does.
# Time limit: 900 s
set -u
cd "$(dirname "$0")/../.."
engine=$(realpath "${ENGINE:-build/engine}")
scratch=$(mktemp -d /tmp/engine-e2e-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
. tests/lib/ends.sh
stage30=playbooks/stage30.lua

ends 'the worlds reach all rollback code of stage 30' 0 '^2000 worlds, ' '^playbooks/rollback/decide.lua  lines ([0-9]+)/\1 \(100.0 %\)' '^rollback code: every branch was reached, ([0-9]+) of \1$' '^0 invariants broken$' -- \
  "$engine" simulate "$stage30" --venture playbooks/demo/venture --release 1.1 --worlds 2000
ends 'and say so to machines' 0 '"rollback":\{"branches":[0-9]+,"never":\[' '"failures":\[\]' '"lines":\{"executed":[0-9]+,"total":[0-9]+\}' -- \
  "$engine" simulate "$stage30" --venture playbooks/demo/venture --release 1.1 --worlds 5 --json
ends 'stage 30 is clean, and its tests are found' 0 '^tried: 300 worlds, [0-9]{2,} tests, [0-9]+ branches of rollback code$' ': 0 errors, 0 warnings$' -- \
  "$engine" check --strict "$stage30" --venture playbooks/demo/venture

# A venture's own part with a branch that no world of the generator has.
venture=$scratch/venture
mkdir -p "$venture/rollback"
cp playbooks/demo/venture/* "$venture/"
sed 's|^  step { "RB1 all traffic|  if d.venture.name == "other" then run:say "other" end\n&|' playbooks/rollback/traffic.lua > "$venture/rollback/traffic.lua"
line=$(grep -n '"other" then' "$venture/rollback/traffic.lua" | cut -d: -f1)
ends 'what nothing reaches is found, with its place and its condition' 2 "rollback/traffic.lua:$line:3: warning: rollback code that no world and no test reaches: the then of .if d.venture.name == \"other\"" '1 warning$' -- \
  "$engine" check --strict "$stage30" --venture "$venture"
ends 'also for machines' 2 "\"line\":$line,.*\"severity\":\"warning\"" -- "$engine" check --strict --json "$stage30" --venture "$venture"
ends 'a check that is not strict asks no worlds' 0 '^3 files checked: 0 errors, 0 warnings$' -- "$engine" check "$stage30" --venture "$venture"
ends 'worlds alone name it too' 0 "no world reached .*/rollback/traffic.lua:$line then of" 'not every branch was reached' -- "$engine" simulate "$stage30" --venture "$venture" --worlds 5

cat > "$venture/rollback/traffic_test.lua" << 'END'
test("another name", function()
  local seen = world { settings = { name = "other" }, faults = { { kind = "errors", colour = "green", rate = 0.2, anchor = "traffic" } } }:run()
  seen:expect { exit = 4, rollback = "traffic" }
end)
END
ends 'a test that reaches it is enough' 0 ': 0 errors, 0 warnings$' -- "$engine" check --strict "$stage30" --venture "$venture"
sed -i 's/exit = 4/exit = 5/' "$venture/rollback/traffic_test.lua"
ends 'a test that fails is an error' 2 "rollback/traffic_test.lua:3:3: the test 'another name' fails: exit is 4, expected 5" ': 1 error, 0 warnings$' -- "$engine" check --strict "$stage30" --venture "$venture"
sed -i 's/exit = 5/exti = 4/' "$venture/rollback/traffic_test.lua"
ends 'a mistake in a test too' 2 "did you mean 'exit'" -- "$engine" check --strict "$stage30" --venture "$venture"
rm "$venture/rollback/traffic_test.lua"

sed -i 's/^  step { "RB1 all traffic.*/  if d.venture.id then return end/' "$venture/rollback/traffic.lua"
ends 'worlds in which something is not true are an error' 2 'stage30.lua:1:1: in [0-9]+ of 300 simulated worlds this is not true: ' 'fix: Look at the smallest of them: engine simulate ' -- "$engine" check --strict "$stage30" --venture "$venture"
echo 'return {' > "$venture/simulation.lua"
ends 'a simulation.lua that is no Lua' 2 'simulation.lua:2:1: ' -- "$engine" check --strict "$stage30" --venture "$venture"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
