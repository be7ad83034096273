# shellcheck shell=bash
# How a command ends: its exit code, and what it says. Source this file; it counts in $passed and $failed.
#
#   ends NAME CODE PATTERN... -- COMMAND...    every PATTERN is in what it says, on either output
#
# A function `and_leaves`, if there is one, says what must hold after every command: it prints what does not.
# SAID names a file that gets, of every command, its name, exit code and message: for whoever wants to read them all.

# shellcheck disable=SC2034 # who sources this reads them
passed=0 failed=0

ends() {
  local name=$1 code=$2 ok=1 patterns=() output actual pattern left
  shift 2
  while [ "$1" != -- ]; do patterns+=("$1"); shift; done
  shift
  output=$("$@" 2>&1 < /dev/null)
  actual=$?
  [ $actual = "$code" ] || { echo "$name: exit $actual, expected $code"; ok=0; }
  for pattern in "${patterns[@]}"; do grep -Eq -- "$pattern" <<< "$output" || { echo "$name: no '$pattern'"; ok=0; }; done
  if declare -F and_leaves > /dev/null; then
    left=$(and_leaves)
    [ -z "$left" ] || { echo "$name: $left"; ok=0; }
  fi
  [ -z "${SAID:-}" ] || { echo "$name (exit $actual)"; grep -aE -A 4 '✗|error: |^E[0-9]{4}' <<< "$output" | grep -aE '✗|error: |^E[0-9]{4}|^ *next |fix: ' | head -3; } >> "$SAID"
  if [ $ok = 1 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); tail -40 <<< "$output" | sed 's/^/  /'; fi
}
