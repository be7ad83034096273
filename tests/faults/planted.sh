#!/usr/bin/env bash
# Planted bugs: edits of the stock playbook as a team might make them (tests/playbooks/planted/*.patch). `engine simulate` must find each, by the invariant that the patch
# names, within the number of worlds that it names, say the smallest world, and show the same again from what it printed. In as many worlds the stock playbook is right.
# Without a name: those that are found within 100 worlds; PLANTED=all tries every one.
# Time limit: 900 s
set -u
cd "$(dirname "$0")/../.."
engine=$(realpath "${ENGINE:-build/engine}")
scratch=$(mktemp -d /tmp/engine-planted-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0

field() { sed -n "s/^$2: //p" "$1"; } # field PATCH NAME

# has PATTERN TEXT WHAT: one thing that must be in an output
has() {
  grep -Eq -- "$1" <<< "$2" && return
  echo "  $3"
  return 1
}

# plant PATCH: the stock playbook with the bug as a venture's own files, found and shown again
plant() {
  local patch=$1 name folder found worlds output status again block
  name=$(basename "$patch" .patch)
  folder=$scratch/$name
  found=$(field "$patch" "found by")
  worlds=$(field "$patch" within)
  mkdir "$folder"
  cp -r playbooks/stage30.lua playbooks/stage30 playbooks/rollback playbooks/demo/venture/*.* "$folder"
  patch --quiet --strip=1 --directory="$folder" < "$patch" || { echo "  it does not fit the stock playbook any more"; return 1; }
  output=$("$engine" simulate "$folder/stage30.lua" --venture "$folder" --release 2.0 --worlds "${worlds% worlds}" --seed 1 2>&1)
  status=$?
  block=$(sed -n "/^✗ $found: /,/^  next /p" <<< "$output")
  [ $status = 1 ] || { echo "  exit $status, expected 1"; echo "$output"; return 1; }
  [ -n "$block" ] || { echo "  not found by '$found'"; echo "$output"; return 1; }
  has 'the smallest that shows it \([0-9]+ tries\):' "$block" "no smallest world" || return 1
  # Short: a world that needs more than three things to be so is none that a person understands.
  [ "$(grep -c '^    ' <<< "$block")" -le 4 ] || { echo "  the smallest world is not small:"; echo "$block"; return 1; }
  again=$(cd "$scratch" && eval "$(sed -n "s|^  next   engine |\"$engine\" |p" <<< "$block")" 2>&1)
  status=$?
  [ $status = 1 ] || { echo "  the printed command: exit $status, expected 1"; echo "$again" | tail -5; return 1; }
  has "^✗ $found: " "$again" "the printed command does not show it again" || return 1
  sed -n 's/^  in \(.*\):$/\1/p' <<< "$block"
}

most=0
for patch in tests/playbooks/planted/${1:-*}.patch; do
  worlds=$(field "$patch" within)
  [ -n "${1:-${PLANTED:-}}" ] || [ "${worlds% worlds}" -le 100 ] || continue
  start=${EPOCHREALTIME/./}
  if said=$(plant "$patch"); then passed=$((passed + 1)) word=found; else failed=$((failed + 1)) word=FAILED; fi
  printf '%-7s %-20s %3d.%d s  %s\n' $word "$(basename "$patch" .patch)" $(((${EPOCHREALTIME/./} - start) / 1000000)) $(((${EPOCHREALTIME/./} - start) / 100000 % 10)) "$said"
  worlds=$(field "$patch" within)
  [ "${worlds% worlds}" -le $most ] || most=${worlds% worlds}
done

# own NAME STATUS PATTERN: what a venture's own simulation.lua says (standard input) is asked of every world, and a mistake in it is told
own() {
  local name=$1 status=$2 pattern=$3 folder=$scratch/own output actual
  rm -rf "$folder"
  mkdir "$folder"
  cp playbooks/demo/venture/*.* "$folder"
  cat > "$folder/simulation.lua"
  output=$("$engine" simulate playbooks/stage30.lua --venture "$folder" --release 2.0 --worlds 20 --seed 1 2>&1)
  actual=$?
  if [ $actual = "$status" ] && grep -Eq -- "$pattern" <<< "$output"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "own invariants, $name: exit $actual, expected $status with $pattern"
    echo "$output"
  fi
}

if [ $# = 0 ]; then
  # Every field that is promised to invariants (stdlib/simulation/invariants.lua) is there.
  own 'the fields that they may use' 0 '^0 invariants broken' << 'END'
local function all(world, result)
  local fields = { result.outcome, result.exit, result.seconds, result.tries, result.result, world.scenario.rps, world.venture.name, world.release, world.old_version, world.weights.blue,
    world.weights.green, world.colours.blue.release, world.database.applied, world.database.stage, world.database.written, world:answers "blue" }
  if #fields < 16 then return "a field is missing" end
  for _, note in ipairs(world:notes "weights") do
    if not (note.at and note.blue and note.before.green) then return "a note has not its fields" end
  end
  if result.exit == 0 and not world:events("output")[1].data.name then return "no events" end
end
return { invariants = { { "the fields are there", all } } }
END
  own 'one is broken' 1 '^✗ promoted on weekdays alone: it was promoted$' << 'END'
return { invariants = { { "promoted on weekdays alone", function(_, result) return result.exit == 0 and "it was promoted" or nil end } } }
END
  own 'a mistake' 2 "the invariant 'mine': .*/own/simulation.lua:2: attempt to index a nil value" << 'END'
return { invariants = { { "mine", function(world)
  return world.nothing.there
end } } }
END
  own 'it gives no sentence' 2 "the invariant 'mine': gives a boolean" <<< 'return { invariants = { { "mine", function() return true end } } }'
  own 'it is no invariant' 2 '/own/simulation.lua: invariants\[1\] is none' <<< 'return { invariants = { { "mine" } } }'
  own 'it does not compile' 2 '/own/simulation.lua:2: unexpected symbol' <<< 'return {'
  own 'it raises when it is read' 2 '/own/simulation.lua:1: .*nothing' <<< 'return { invariants = nothing.there }'
fi

if output=$("$engine" simulate playbooks/stage30.lua --venture playbooks/demo/venture --release 2.0 --worlds "$most" --seed 1 2>&1); then
  passed=$((passed + 1))
else
  failed=$((failed + 1))
  echo "the stock playbook:"
  echo "$output"
fi
echo "$passed passed, $failed failed"
[ $failed = 0 ]
