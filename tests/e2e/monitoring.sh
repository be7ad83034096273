#!/usr/bin/env bash
# Alert rules under promtool, and the test alert through a real Alertmanager.
set -u
cd "$(dirname "$0")/../.."
engine=${ENGINE:-build/engine}
scratch=$(mktemp -d /tmp/engine-monitoring-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0
output=$("$engine" tests/e2e/monitoring.lua --folder "$scratch" --port "$("$engine" -e 'net.free_port()')" 2>&1)
for line in 'rules: SUCCESS: 4 rules found' 'arrived after ' 'not arrived: timeout' 'down: connect'; do
  if grep -q "^$line" <<< "$output"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "no '$line'"; fi
done
[ $failed = 0 ] || sed 's/^/  /' <<< "$output"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
