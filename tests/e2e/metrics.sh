#!/bin/bash
# metrics against a real HAProxy and nginx on loopback: every line under load is counted, as the proxy's own counters
# say, and what a unix socket loses is known.
set -u
cd "$(dirname "$0")/../.."
ENGINE=${ENGINE:-build/engine}

DIR=$(mktemp -d)
chmod 755 "$DIR"
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$DIR"
}
trap cleanup EXIT

passed=0 failed=0
verdict() { # verdict NAME OK OUTPUT
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); printf 'FAILED %s\n%s\n' "$1" "$3"; fi
}
wait_for() { # wait_for WHAT COMMAND...: at most 20 s
    local what=$1 end=$((SECONDS + 20))
    shift
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS > end)); then
            echo "waited in vain for $what" >&2
            return 1
        fi
        read -rt 0.05 <> <(:)
    done
}

read -r FRONT UNIXFRONT BLUE GREEN NGINX < <("$ENGINE" -e "local net, seen, list = require 'net', {}, {}
while #list < 5 do
  local port = net.free_port()
  if not seen[port] then seen[port] = true list[#list + 1] = port end
end
return table.concat(list, ' ')" | tr -d "\"'")

# The colours: one request in ten fails on green.
for name in BLUE GREEN; do
    printf 'global\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\nfrontend %s\n  bind 127.0.0.1:%s\n' "$name" "${!name}" >"$DIR/$name.cfg"
    [ "$name" = GREEN ] && printf '  http-request return status 500 if { path /mixed } { rand(10) lt 1 }\n' >>"$DIR/$name.cfg"
    printf '  http-request return status 200 content-type text/plain string %s\n' "$name" >>"$DIR/$name.cfg"
    haproxy -db -f "$DIR/$name.cfg" >"$DIR/$name.log" 2>&1 &
    pids+=($!)
    declare "${name}_PID=$!"
done

start_proxy() { # start_proxy FRONTPORT LOGTARGET
    rm -f "$DIR/admin.sock"
    cat >"$DIR/proxy.cfg" <<CFG
global
  nbthread 1
  stats socket $DIR/admin.sock mode 600 level admin
  log $2 len 4096 local0
defaults
  mode http
  timeout connect 500ms
  timeout client 60s
  timeout server 2s
frontend front
  bind 127.0.0.1:$1
  log global
  option httplog
  default_backend app
backend app
  retries 0
  server blue1 127.0.0.1:$BLUE
  server green1 127.0.0.1:$GREEN
CFG
    haproxy -db -f "$DIR/proxy.cfg" >"$DIR/proxy.log" 2>&1 &
    PROXY=$!
    pids+=("$PROXY")
    wait_for "the proxy" socat -u OPEN:/dev/null "UNIX-CONNECT:$DIR/admin.sock"
}
stop_proxy() {
    kill "$PROXY"
    wait "$PROXY" 2>/dev/null
}
stat_of() { # stat_of SERVER COLUMN
    echo 'show stat' | socat - "UNIX-CONNECT:$DIR/admin.sock" | awk -F, -v s="$1" -v c="$2" 'NR == 1 { sub(/^# /, ""); for (i = 1; i <= NF; i++) at[$i] = i } $1 == "app" && $2 == s { print $at[c] }'
}
dropped() { echo 'show info' | socat - "UNIX-CONNECT:$DIR/admin.sock" | awk '$1 == "DroppedLogs:" { print $2 }'; }

PRELUDE="local files = require 'files'
local SERVERS = { blue = { 'blue1' }, green = { 'green1' } }
local function wait_for_file(name) deadline(60, function() while not files.exists('$DIR/' .. name) do sleep(0.02) end end) end
local function publish(name, text) files.write('$DIR/' .. name .. '.new', text) files.rename('$DIR/' .. name .. '.new', '$DIR/' .. name) end
local function sum(c) return c.requests + c.aborted end
"
engine() { # engine OUTPUT CHUNK: in the background; the last line is true when all was well
    "$ENGINE" -e "$PRELUDE
$2
return true" >"$DIR/$1" 2>&1 &
    ENGINE_PID=$!
    pids+=("$ENGINE_PID")
}
join() { # join NAME OUTPUT
    wait "$ENGINE_PID"
    [ "$(tail -1 "$DIR/$2")" = true ]
    verdict "$1" $? "$(cat "$DIR/$2")"
}

# --- every line under load, by UDP ------------------------------------------------------------
engine udp.out "
local feed = assert(metrics.haproxy_log { udp = 0, servers = SERVERS, slow_ms = 500 })
feed:mark()
publish('port', tostring(feed:port()))
wait_for_file 'counters'
local n, blue, green, blue5, green5 = 0, files.read('$DIR/counters'):match '(%d+) (%d+) (%d+) (%d+)'
blue, green, blue5, green5 = tonumber(blue), tonumber(green), tonumber(blue5), tonumber(green5)
local view
task.scope('equal', 10, function()
  repeat feed:next_slot() view = feed:since() until sum(view.blue) + sum(view.green) >= blue + green
end)
print(('by UDP: blue %d of %d, green %d of %d, green errors %d of %d, unreadable %d, p95 %.2f ms, %.0f/s'):format(
  sum(view.blue), blue, sum(view.green), green, view.green.errors, green5, view.unreadable, view.blue.p95_ms, view.blue.rps + view.green.rps))
assert(sum(view.blue) == blue and sum(view.green) == green, 'requests differ')
assert(view.blue.errors == blue5 and view.green.errors == green5, 'errors differ')
assert(green5 > 0 and view.unreadable == 0)
-- Only connections that ended without a request (<NOSRV>): at most one for each connection and probe.
assert(view.unattributed <= 64, view.unattributed .. ' lines of no colour')
local last = feed:last(60)
assert(sum(last.blue) == blue and sum(last.green) == green and last.green.errors == green5, 'the history differs')
feed:close()"
wait_for "the feed" test -s "$DIR/port"
start_proxy "$FRONT" "127.0.0.1:$(cat "$DIR/port")"
wait_for "the colours" curl -sf "http://127.0.0.1:$BLUE/"
wrk -t1 -c32 -d3s "http://127.0.0.1:$FRONT/mixed" >"$DIR/wrk.out" 2>&1
# Requests that were under way when wrk ended are counted when they are over.
idle() { [ "$(echo 'show stat' | socat - "UNIX-CONNECT:$DIR/admin.sock" | awk -F, '$1 == "app" && $2 == "BACKEND" { print $5 }')" = 0 ]; }
wait_for "the last request" idle
echo "$(stat_of blue1 stot) $(stat_of green1 stot) $(stat_of blue1 hrsp_5xx) $(stat_of green1 hrsp_5xx)" >"$DIR/counters.new"
mv "$DIR/counters.new" "$DIR/counters"
join "every line under load, as HAProxy's own counters say" udp.out
head -1 "$DIR/udp.out"
stop_proxy

# --- a unix socket: what is missing is what HAProxy says that it dropped ------------------------
engine unix.out "
local feed = assert(metrics.haproxy_log { path = '$DIR/log.sock', servers = SERVERS, slow_ms = 500 })
feed:mark()
publish('unix-ready', 'x')
wait_for_file 'unix-counters'
local total, lost = files.read('$DIR/unix-counters'):match '(%d+) (%d+)'
local view
task.scope('equal', 10, function()
  repeat feed:next_slot() view = feed:since() until sum(view.blue) + sum(view.green) >= total - lost
end)
local got = sum(view.blue) + sum(view.green)
print(('by unix socket: %d of %d lines, HAProxy dropped %d; the socket holds %d'):format(got, total, lost, feed:queue_lines()))
assert(got == total - lost, 'lines are missing without a trace')
assert(view.unreadable == 0)
feed:close()"
wait_for "the feed" test -s "$DIR/unix-ready"
start_proxy "$UNIXFRONT" "$DIR/log.sock"
wrk -t1 -c8 -d1s "http://127.0.0.1:$UNIXFRONT/" >"$DIR/wrk.out" 2>&1
wait_for "the last request" idle
echo "$(($(stat_of blue1 stot) + $(stat_of green1 stot))) $(dropped)" >"$DIR/unix-counters.new"
mv "$DIR/unix-counters.new" "$DIR/unix-counters"
join "a unix socket: received and dropped are all" unix.out
head -1 "$DIR/unix.out"
stop_proxy

# --- nginx's access log -------------------------------------------------------------------------
engine nginx.out "
local feed = assert(metrics.nginx_log { path = '$DIR/nginx.sock', servers = { blue = { '127.0.0.1:$BLUE' }, green = { '127.0.0.1:$GREEN' } }, slow_ms = 500 })
feed:mark()
publish('nginx-ready', 'x')
local view
task.scope('lines', 30, function()
  repeat feed:next_slot() view = feed:since() until view.blue.requests >= 5 and view.green.requests >= 2
end)
assert(view.blue.requests == 5 and view.blue.errors == 0, 'blue')
assert(view.green.requests == 2 and view.green.errors == 2, 'green')
assert(view.unreadable == 0)
feed:close()"
wait_for "the feed" test -s "$DIR/nginx-ready"
cat >"$DIR/nginx.conf" <<CFG
daemon off;
pid $DIR/nginx.pid;
error_log $DIR/nginx.err;
worker_processes 1;
events {}
http {
  log_format engine '\$remote_addr - \$remote_user [\$time_local] "\$request" \$status \$body_bytes_sent "\$http_referer" "\$http_user_agent" \$upstream_addr \$request_time \$upstream_response_time';
  access_log syslog:server=unix:$DIR/nginx.sock engine;
  client_body_temp_path $DIR/t1; proxy_temp_path $DIR/t2; fastcgi_temp_path $DIR/t3; uwsgi_temp_path $DIR/t4; scgi_temp_path $DIR/t5;
  server {
    listen 127.0.0.1:$NGINX;
    location /ready { access_log off; return 204; }
    location /blue { proxy_pass http://127.0.0.1:$BLUE; }
    location /green { proxy_pass http://127.0.0.1:$GREEN; }
  }
}
CFG
nginx -p "$DIR" -c "$DIR/nginx.conf" >"$DIR/nginx.log" 2>&1 &
pids+=($!)
kill "$GREEN_PID"
wait "$GREEN_PID" 2>/dev/null
wait_for "nginx" curl -sf "http://127.0.0.1:$NGINX/ready"
for _ in 1 2 3 4 5; do curl -s "http://127.0.0.1:$NGINX/blue" >/dev/null; done
for _ in 1 2; do curl -s "http://127.0.0.1:$NGINX/green" >/dev/null; done
join "nginx's access log: a dead colour's errors are its own" nginx.out

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
