#!/bin/bash
# 1,000 HTTP health checks at once against ten local servers: whole processes, time and peak memory.
set -u
. tests/lib/bench.sh

read -ra ports < <(free_ports 10)
{
    printf 'global\n  nbthread 2\n  maxconn 8000\n  stats socket %s mode 600 level admin\n' "$DIR/admin.sock"
    printf 'defaults\n  mode http\n  timeout client 30s\n  timeout connect 2s\n  timeout server 30s\n'
    for port in "${ports[@]}"; do
        printf 'frontend f%s\n  bind 127.0.0.1:%s backlog 4096\n  http-request return status 200 content-type text/plain string ok if { path_beg /health }\n' "$port" "$port"
    done
} >"$DIR/servers.cfg"
start_haproxy "$DIR/servers.cfg" || exit 1

for i in $(seq 0 999); do
    printf 'url = "http://127.0.0.1:%s/health/%s"\noutput = "/dev/null"\n' "${ports[i % 10]}" "$i"
done >"$DIR/list"

chunk() { # chunk LIMIT: a Lua chunk that checks all of them, LIMIT at the same time
    cat <<END
local http, task = require 'http', require 'task'
local urls = {}
for i = 0, 999 do urls[i + 1] = ('http://127.0.0.1:%d/health/%d'):format(({ $(IFS=,; echo "${ports[*]}") })[i % 10 + 1], i) end
local passed = task.map(urls, function(url) return assert(http.get(url, { expect = 200, timeout = 10 })).status == 200 end, { limit = $1 })
assert(#passed == 1000)
END
}

at_once=$(chunk 1000) in_part=$(chunk 300)
for _ in $(seq 5); do
    measure "$DIR/at_once" "$ENGINE" -e "$at_once" || exit 1
    measure "$DIR/in_part" "$ENGINE" -e "$in_part" || exit 1
    measure "$DIR/peer" curl --fail --parallel --parallel-max 300 --parallel-immediate -s -K "$DIR/list" || exit 1
done
echo "1,000 health checks against 10 servers"
echo "  peer: curl --fail --parallel --parallel-max 300 --parallel-immediate -s -K LIST   (300 is curl's limit)"
echo "  300 at the same time"
compare ms 1000 "$DIR/in_part" "$DIR/peer" 1
compare MiB 1024 "$DIR/in_part" "$DIR/peer" 2
echo "  all 1,000 at the same time"
compare ms 1000 "$DIR/at_once" "$DIR/peer" 1
compare MiB 1024 "$DIR/at_once" "$DIR/peer" 2
