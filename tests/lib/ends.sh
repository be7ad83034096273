# How a command ends: its exit code, and what it says. Source this file; it counts in $passed and $failed.
#
#   ends NAME CODE PATTERN... -- COMMAND...    every PATTERN is in what it says, on either output

# shellcheck disable=SC2034 # who sources this reads them
passed=0 failed=0

ends() {
  local name=$1 code=$2 ok=1 patterns=() output actual pattern
  shift 2
  while [ "$1" != -- ]; do patterns+=("$1"); shift; done
  shift
  output=$("$@" 2>&1 < /dev/null)
  actual=$?
  [ $actual = "$code" ] || { echo "$name: exit $actual, expected $code"; ok=0; }
  for pattern in "${patterns[@]}"; do grep -Eq -- "$pattern" <<< "$output" || { echo "$name: no '$pattern'"; ok=0; }; done
  if [ $ok = 1 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); tail -40 <<< "$output" | sed 's/^/  /'; fi
}
