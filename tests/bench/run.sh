#!/bin/bash
# Speed and memory as ratios against a peer that does the same in the same run, so that the figures mean something on any
# machine. Every tests/bench/*.sh is one benchmark; a name as argument runs only that.
#
#   tests/bench/run.sh [NAME...]
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
export LC_ALL=C.UTF-8

echo "machine: $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), load $(cut -d' ' -f1 /proc/loadavg)"
status=0 ran=0
for file in tests/bench/*.sh; do
    name=$(basename "$file" .sh)
    [ "$name" != run ] && [[ $# = 0 || " $* " == *" $name "* ]] || continue
    ran=$((ran + 1))
    echo
    bash "$file" || { status=1 && echo "bench $name: failed"; }
done
if [ $ran = 0 ]; then echo "bench: there is no $*" >&2 && status=2; fi
exit $status
