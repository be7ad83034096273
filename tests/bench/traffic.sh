#!/bin/bash
# 200 changes of HAProxy's weights, each read back. The engine also looks before each change; socat does not.
set -u
. tests/lib/bench.sh

read -r port blue green < <(free_ports 3)
cat >"$DIR/proxy.cfg" <<END
global
  nbthread 2
  stats socket $DIR/admin.sock mode 600 level admin
defaults
  mode http
  timeout client 30s
  timeout connect 2s
  timeout server 30s
frontend public
  bind 127.0.0.1:$port
  default_backend app
backend app
  server blue1 127.0.0.1:$blue weight 100
  server green1 127.0.0.1:$green weight 0
END
start_haproxy "$DIR/proxy.cfg" || exit 1

chunk="local traffic = require 'traffic'
local lb = assert(traffic.open { driver = 'haproxy', socket = '$DIR/admin.sock', backend = 'app', servers = { blue = { 'blue1' }, green = { 'green1' } } })
for i = 1, 200 do
  local share = i % 101
  assert(assert(lb:set { blue = 100 - share, green = share }).green == share)
end"

cat >"$DIR/peer.sh" <<'END'
for i in $(seq 200); do
    share=$((i % 101))
    echo "set server app/blue1 weight $((100 - share));set server app/green1 weight $share" | socat - "UNIX-CONNECT:$1" >/dev/null
    echo "show stat app 4 -1;show servers state app" | socat - "UNIX-CONNECT:$1" | grep -q "^app,green1,.*,$share,1," || exit 1
done
END

for _ in $(seq 3); do
    measure "$DIR/engine" "$ENGINE" -e "$chunk" || exit 1
    measure "$DIR/peer" bash "$DIR/peer.sh" "$DIR/admin.sock" || exit 1
done
echo "200 changes of weight, each read back and compared"
echo "  peer: 200 times echo 'set server app/blue1 weight A;set server app/green1 weight B' | socat - UNIX-CONNECT:SOCKET"
echo "        and       echo 'show stat app 4 -1;show servers state app' | socat - UNIX-CONNECT:SOCKET | grep"
compare ms 1000 "$DIR/engine" "$DIR/peer" 1
