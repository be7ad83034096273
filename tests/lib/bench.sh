# shellcheck shell=bash
# What the benchmarks share. Source this file from the top of the repository.
#
#   DIR                 a folder of the benchmark's own, removed at its end; `cleanup` may be defined by it
#   measure FILE CMD... runs a command; appends a line "microseconds peak-KiB" to FILE. Fails when the command does.
#   measure_if PROGRAM FILE CMD...  the same where the program is installed, and nothing where it is not
#   median FILE COLUMN  the median of a column
#   compare UNIT SCALE OURS PEERS COLUMN   prints both medians and their ratio
#   row NAME FILE [PATH]   prints the medians of FILE, and the size of what was made at PATH; without FILE, that it is not installed
#   goal NAME VALUE [TARGET [UNIT]]        prints a figure, and whether its target, an upper limit, is kept
#   ratio NAME OURS PEERS [TARGET]         prints ours / theirs as a goal; nothing without theirs
#   free_ports N        N different free ports of loopback
#   start_haproxy CFG   starts HAProxy, waits until it answers on CFG's admin socket $DIR/admin.sock

ENGINE=${ENGINE:-build/engine}
DIR=$(mktemp -d)
PROXY=
finish() {
    if [ -n "$PROXY" ]; then kill "$PROXY" 2>/dev/null && wait "$PROXY" 2>/dev/null; fi
    rm -rf "$DIR"
}
trap finish EXIT

measure() {
    local file=$1 start end
    shift
    start=${EPOCHREALTIME/./}
    /usr/bin/time -q -f %M -o "$DIR/peak" "$@" >"$DIR/out" 2>&1 </dev/null || { cat "$DIR/out" && return 1; }
    end=${EPOCHREALTIME/./}
    echo "$((end - start)) $(cat "$DIR/peak")" >>"$file"
}

measure_if() {
    command -v "$1" >/dev/null || return 0
    shift
    measure "$@"
}

median() { cut -d' ' -f"$2" "$1" | sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

compare() {
    awk -v unit="$1" -v scale="$2" -v ours="$(median "$3" "$5")" -v peers="$(median "$4" "$5")" -v runs="$(wc -l <"$3")" 'BEGIN {
        printf "  engine %.2f %s, peer %.2f %s: ratio %.2f (median of %d)\n", ours / scale, unit, peers / scale, unit, ours / peers, runs }'
}

row() {
    if [ ! -s "$2" ]; then
        printf '  %-62s not installed\n' "$1"
        return
    fi
    awk -v name="$1" -v us="$(median "$2" 1)" -v kib="$(median "$2" 2)" -v bytes="$([ -z "${3:-}" ] || du -sb "$3" | cut -f1)" 'BEGIN {
        printf "  %-62s %7.2f s", name, us / 1e6
        if (bytes) printf "  %7.1f MB", bytes / 1e6; else printf "  %10s", ""
        if (kib) printf "  peak %6.1f MB", kib / 1024
        print "" }'
}

goal() {
    awk -v name="$1" -v value="$2" -v target="${3:-}" -v unit="${4:-}" 'BEGIN {
        printf "    %-60s %7.2f%s", name, value, unit
        if (target) printf "    target %s%s: %s", target, unit, value <= target ? "kept" : "missed"
        print "" }'
}

ratio() {
    [ -s "$3" ] || return 0
    goal "ratio to $1" "$(awk "BEGIN { print $(median "$2" 1) / $(median "$3" 1) }")" "${4:-}"
}

free_ports() {
    "$ENGINE" -e "local net, seen, list = require 'net', {}, {}
while #list < $1 do
  local port = net.free_port()
  if not seen[port] then seen[port] = true list[#list + 1] = port end
end
print(table.concat(list, ' '))"
}

start_haproxy() {
    haproxy -q -f "$1" &
    PROXY=$!
    local tries=0
    until echo "show info" | socat -t 2 - "UNIX-CONNECT:$DIR/admin.sock" >/dev/null 2>&1; do
        kill -0 "$PROXY" 2>/dev/null && [ $((tries += 1)) -lt 200 ] || { echo "HAProxy did not start" && return 1; }
        sleep 0.05
    done
}
