#!/bin/bash
# Start-up: a whole process with nothing to do between its start and its end. What a process costs anyway (the shell's
# fork, /bin/true) is measured too and shown.
set -u
. tests/lib/bench.sh

printf 'return playbook { name = "empty", about = "does nothing", args = {}, run = function() end }\n' >"$DIR/playbook.lua"

timed() { # timed FILE COMMAND...: without /usr/bin/time, which would be most of the figure
    local file=$1 start end
    shift
    start=${EPOCHREALTIME/./}
    "$@" >/dev/null 2>&1 </dev/null || { echo "$* ended with $?" && return 1; }
    end=${EPOCHREALTIME/./}
    echo $((end - start)) >>"$file"
}

for _ in $(seq 30); do
    timed "$DIR/floor" /bin/true || exit 1
    timed "$DIR/peer" lua5.4 -e '' || exit 1
    timed "$DIR/chunk" "$ENGINE" -e '' || exit 1
    timed "$DIR/playbook" "$ENGINE" "$DIR/playbook.lua" --state "$DIR/state" || exit 1
done
for _ in $(seq 3); do
    measure "$DIR/peer-peak" lua5.4 -e '' || exit 1
    measure "$DIR/chunk-peak" "$ENGINE" -e '' || exit 1
    measure "$DIR/playbook-peak" "$ENGINE" "$DIR/playbook.lua" --state "$DIR/state" || exit 1
done

beyond_floor() {
    awk -v floor="$(median "$DIR/floor" 1)" -v ours="$(median "$1" 1)" -v peers="$(median "$DIR/peer" 1)" 'BEGIN {
        printf "  beyond the %.2f ms of /bin/true: engine %.2f ms, peer %.2f ms: ratio %.2f\n",
            floor / 1000, (ours - floor) / 1000, (peers - floor) / 1000, (ours - floor) / (peers - floor) }'
}
echo "start-up"
echo "  engine -e ''  against the peer  lua5.4 -e ''"
compare ms 1000 "$DIR/chunk" "$DIR/peer" 1
beyond_floor "$DIR/chunk"
compare MiB 1024 "$DIR/chunk-peak" "$DIR/peer-peak" 2
echo "  engine EMPTY-PLAYBOOK.lua (read, checked, run)  against the peer  lua5.4 -e ''"
compare ms 1000 "$DIR/playbook" "$DIR/peer" 1
beyond_floor "$DIR/playbook"
compare MiB 1024 "$DIR/playbook-peak" "$DIR/peer-peak" 2
