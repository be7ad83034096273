#!/bin/bash
# The canary on a real HAProxy, one fault in mid-stage each: what is green's fault takes traffic back, what is not holds.
set -u
cd "$(dirname "$0")/../.."
engine=${ENGINE:-build/engine}
scratch=$(mktemp -d /tmp/engine-e2e-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0

run() { # run SCENARIO [ARGS...]
  local name=$1
  mkdir "$scratch/$name"
  "$engine" tests/e2e/canary.lua --scenario "$name" --folder "$scratch/$name" --state "$scratch/$name/state" "${@:2}" > "$scratch/$name.out" 2>&1
  echo "code=$?" >> "$scratch/$name.out"
}
start() {
  while [ "$(jobs -rp | wc -l)" -ge 3 ]; do wait -n; done
  run "$@" &
}
expect() { # expect SCENARIO PATTERN...: each must be in the output
  local ok=1
  for pattern in "code=0" "${@:2}"; do grep -Eq -- "$pattern" "$scratch/$1.out" || { echo "$1: nothing like '$pattern'"; ok=0; }; done
  if [ $ok = 1 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); sed 's/^/  /' "$scratch/$1.out" | tail -30; fi
}

start none --watch 14
for fault in outage failing killed errors slow hang stats exposed; do start $fault; done
start silent --watch 14
start shared --watch 10 --hold 60
start feed
start lossy
wait

gone='states=S10,RETREAT,ROLLBACK .*weights=100/0'
expect none 'verdict=promote .*states=S10 .*failed=0 .*weights=90/10'
expect outage "verdict=rollback .*$gone"
expect failing "verdict=rollback rule=R[12] .*$gone"
expect killed "verdict=rollback .*$gone"
expect errors "verdict=rollback rule=R[12] .*$gone"
expect slow "verdict=rollback rule=L1 .*failed=0 .*weights=100/0"
expect hang "verdict=rollback rule=nil .*$gone" 'silent|probes'
# Another hand took green's traffic away; it answers probes, so it is given its share again.
expect silent 'verdict=promote .*states=S10,RETREAT,S10 .*failed=0 .*weights=90/10' 'second chance'
# The database of both is down for five seconds: nobody is blamed, and afterwards the stage counts anew.
expect shared 'verdict=promote .*states=S10,HOLD,S10 .*weights=90/10' 'nobody is blamed' 'no longer on hold'
# Nothing is known about the release: traffic goes back only when the time for holding is over.
expect feed 'verdict=rollback rule=nil states=S10,HOLD,RETREAT,ROLLBACK .*failed=0 .*nothing can be said about the release'
# The proxy's counters, or what the colours expose, do when there is no log; a log that loses lines does not.
expect stats "verdict=rollback rule=R[12] .*$gone"
expect exposed "verdict=rollback rule=R[12] .*$gone"
expect lossy 'verdict=rollback rule=nil states=S10,HOLD,RETREAT,ROLLBACK .*the proxy counts [0-9]+ requests of blue, its log has [0-9]+'

echo "$passed passed, $failed failed"
[ $failed = 0 ]
