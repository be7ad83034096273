#!/usr/bin/env bash
# The tutorial of docs/playbooks.md: every command of it, in order, as it stands there. A command that is to fail says so: "# exit N".
set -u
cd "$(dirname "$0")/../.."
engine=${ENGINE:-build/engine}
scratch=$(mktemp -d /tmp/engine-e2e-XXXXXX)
passed=0 failed=0
cleanup() {
  # shellcheck disable=SC2046 # process ids
  kill $(jobs -p) 2> /dev/null
  wait
  rm -rf "$scratch"
}
trap cleanup EXIT

# The blocks of the tutorial's section, each ended by a line "%%", with the world and the venture in a folder of this test.
sed -n '/^## All of it once/,/^## What a playbook cannot do/p' docs/playbooks.md |
  awk '/^```sh$/ { in_block = 1; next } /^```$/ && in_block { in_block = 0; print "%%"; next } in_block' |
  sed -e "s#/tmp/world#$scratch/world#g; s#/tmp/acme#$scratch/acme#g; s#build/engine#$engine#g" > "$scratch/blocks"

run_block() { # run_block TEXT: its last command must end as it says. In this shell, so that what a block sets is there in the next.
  local number=$((passed + failed + 1)) wanted code
  wanted=$(grep -oE '# exit [0-9]+$' <<< "$1" | grep -oE '[0-9]+$')
  printf '%s\n' "$1" > "$scratch/block"
  . "$scratch/block" > "$scratch/out-$number" 2>&1
  code=$?
  if [ "$code" = "${wanted:-0}" ]; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED block $number ended with $code, not ${wanted:-0}:"
    printf '%s\n' "$1"
    tail -15 "$scratch/out-$number"
  fi
}
said() { # said NUMBER WORDS: block NUMBER said that
  if grep -qF -- "$2" "$scratch/out-$1"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED block $1 does not say: $2"
    tail -15 "$scratch/out-$1"
  fi
}

block=''
while IFS= read -r line; do
  if [ "$line" = '%%' ]; then
    run_block "$block"
    block=''
  else
    block+=$line$'\n'
  fi
done < "$scratch/blocks"
# What the text says of some of them.
said 3 "this runs touch, which the venture does not grant"
said 5 'nothing is left locked or provisioned: green was left provisioned'
said 6 'nothing is left locked or provisioned: green was left provisioned'
said 7 '0 invariants broken'
said 10 'RB1 the edge forgets'
echo "$passed passed, $failed failed"
