#!/bin/bash
# traffic and net against a real HAProxy on loopback: exact shares, hundreds of changes under load
# without a failed request, a whole switch from one colour to the other, draining, refusals.
set -u
cd "$(dirname "$0")/../.."
ENGINE=${ENGINE:-build/engine}

DIR=$(mktemp -d)
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

read -r FRONT SLOWFRONT B1 B2 G1 G2 G3 SLOW DEAD TCPAPI < <("$ENGINE" -e "local net, seen, list = require 'net', {}, {}
while #list < 10 do
  local port = net.free_port()
  if not seen[port] then seen[port] = true list[#list + 1] = port end
end
return table.concat(list, ' ')" | tr -d "\"'")

# The two colours, as small as servers can be: each says its own name.
{
    printf 'global\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n'
    for name in B1 B2 G1 G2 G3; do
        printf 'frontend %s\n  bind 127.0.0.1:%s\n  http-request return status 200 content-type text/plain string %s\n' "$name" "${!name}" "$name"
    done
} >"$DIR/colours.cfg"

cat >"$DIR/proxy.cfg" <<END
global
  nbthread 1
  stats socket $DIR/admin.sock mode 600 level admin
  stats socket 127.0.0.1:$TCPAPI level admin
  stats socket $DIR/operator.sock mode 600 level operator
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout check 2s
frontend front
  bind 127.0.0.1:$FRONT
  default_backend app
frontend slowfront
  bind 127.0.0.1:$SLOWFRONT
  default_backend slow
backend app
  default-server check inter 100ms rise 1 fall 2
  server b1 127.0.0.1:$B1 weight 100
  server b2 127.0.0.1:$B2 weight 100
  server g1 127.0.0.1:$G1 weight 0
  server g2 127.0.0.1:$G2 weight 0
backend slow
  server b 127.0.0.1:$SLOW weight 1
  server g 127.0.0.1:$G1 weight 0
backend half
  default-server check inter 50ms rise 1 fall 1
  server b 127.0.0.1:$B1 weight 1
  server g 127.0.0.1:$DEAD weight 0
backend static
  balance static-rr
  server b 127.0.0.1:$B1 weight 100
  server g 127.0.0.1:$G1 weight 100
backend extra
  server b 127.0.0.1:$B1 weight 100
  server g 127.0.0.1:$G1 weight 0
  server other 127.0.0.1:$G2 weight 50
  server spare 127.0.0.1:$G2 weight 50 backup
END

haproxy -db -f "$DIR/colours.cfg" >"$DIR/colours.log" 2>&1 &
pids+=($!)
haproxy -db -f "$DIR/proxy.cfg" >"$DIR/proxy.log" 2>&1 &
PROXY=$!
pids+=("$PROXY")

PRELUDE="local net, traffic = require 'net', require 'traffic'
local function open(backend, servers, socket)
  return assert(traffic.open { driver = 'haproxy', socket = socket or '$DIR/admin.sock', backend = backend,
    servers = servers or { blue = { 'b' }, green = { 'g' } } })
end
local FOUR = { blue = { 'b1', 'b2' }, green = { 'g1', 'g2' } }
local function wait(what, fn) deadline(20, function() while not fn() do sleep(0.02) end end) end
-- n requests over one connection; how many came from each server
local function requests(port, n)
  local c <close> = assert(net.connect { host = '127.0.0.1', port = port })
  local count = {}
  for _ = 1, n do
    assert(c:write 'GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    local head = assert(c:read_until '\r\n\r\n')
    assert(head:find '^HTTP/1.1 200', head)
    local wanted, body = tonumber(head:lower():match 'content%-length: (%d+)'), ''
    while #body < wanted do body = body .. assert(c:read(wanted - #body)) end
    count[body] = (count[body] or 0) + 1
  end
  return count
end"

check() { # check NAME CHUNK
    local out
    out=$("$ENGINE" -e "$PRELUDE
$2
return true" 2>&1)
    [ "$(tail -1 <<<"$out")" = true ]
    verdict "$1" $? "$out"
}

check "the servers are up" "
local lb = open('app', FOUR)
wait('up', function() local c = net.connect { path = '$DIR/admin.sock' } return c and (c:close() or true) end)
assert(lb:ready('blue', 10)) assert(lb:ready('green', 10))
local now = assert(lb:get())
assert(now.blue == 100 and now.green == 0 and now.exact and #now.servers == 4 and now.servers.b1.colour == 'blue')
for _, yes in pairs(lb.can) do assert(yes == true) end"

check "the shares are exact in requests, on 2 + 2 and on 1 + 1 servers" "
local lb = open('app', FOUR)
for _, green in ipairs { 10, 50, 25, 0, 100 } do
  assert(lb:set { blue = 100 - green, green = green })
  requests($FRONT, 4) -- HAProxy's round robin settles
  local count = requests($FRONT, 400)
  local got = (count.G1 or 0) + (count.G2 or 0)
  assert(math.abs(got - 4 * green) <= 4, green .. ' % gave ' .. got .. ' of 400')
end
local now = assert(lb:set { blue = 99, green = 1 })
assert(now.servers.b1.weight == 99 and now.servers.g1.weight == 1 and now.servers.g2.weight == 1)
assert(lb:set { blue = 100, green = 0 })"

check "the Runtime API over TCP, and a plan that changes nothing" "
local lb = open('app', FOUR, '127.0.0.1:$TCPAPI')
local plan = assert(lb:plan { blue = 90, green = 10 })
assert(table.concat(plan.commands, ';') == 'set server app/g1 weight 5;set server app/g2 weight 5;set server app/b1 weight 45;set server app/b2 weight 45', table.concat(plan.commands, ';'))
assert(lb:get().blue == 100)"

# --- under load ------------------------------------------------------------------------------
loaded() { # loaded NAME CHUNK: while wrk sends as fast as it can; nothing may fail
    wrk -t1 -c16 -d120s --timeout 5s "http://127.0.0.1:$FRONT/" >"$DIR/wrk.out" 2>&1 &
    local wrk_pid=$! out ok
    out=$("$ENGINE" -e "$PRELUDE
local lb = open('app', FOUR)
local function total() local n = 0 for _, row in ipairs(assert(lb:get()).servers) do n = n + row.stot end return n end
local before = total()
wait('load', function() return total() > before + 100 end)
$2
return true" 2>&1)
    [ "$(tail -1 <<<"$out")" = true ]
    ok=$?
    kill -0 "$wrk_pid" 2>/dev/null || { ok=1; out="$out"$'\n'"wrk ended too early"; }
    kill -INT "$wrk_pid"
    wait "$wrk_pid"
    grep -q 'requests in' "$DIR/wrk.out" || ok=1
    grep -Eq 'Socket errors|Non-2xx' "$DIR/wrk.out" && ok=1
    verdict "$1" "$ok" "$out"$'\n'"$(cat "$DIR/wrk.out")"
    grep -h 'requests in' "$DIR/wrk.out" | sed "s/^ */$1: /"
}

loaded "200 changes of weight under load, none failed" "
local seed = 7
for i = 1, 200 do
  seed = (seed * 1103515245 + 12345) % 2147483648
  local green = i % 4 == 0 and 100 or i % 4 == 2 and 0 or seed // 65536 % 101
  local now = assert(lb:set { blue = 100 - green, green = green })
  assert(now.exact and now.green == green and now.blue == 100 - green)
  sleep(0.005)
end
assert(lb:set { blue = 100, green = 0 })"

loaded "a whole switch and back under load, none failed" "
for _, to in ipairs { 'green', 'blue' } do
  local from = to == 'green' and 'blue' or 'green'
  assert(lb:maintenance(to))
  if to == 'green' then
    local value, err = lb:set { blue = 90, green = 10 }
    assert(value == nil and err.code == 'traffic' and err.message:find 'MAINT', tostring(err))
    assert(lb:address('green', 2, '127.0.0.1', $G3))
  end
  assert(lb:set { [from] = 100, [to] = 0 })
  assert(lb:ready(to, 10))
  for _, share in ipairs { 10, 50, 100 } do
    assert(lb:set { [to] = share, [from] = 100 - share })
    sleep(0.05)
  end
  local value, err = lb:maintenance(to)
  assert(value == nil and err.code == 'traffic' and err.message:find 'nobody', tostring(err))
  assert(lb:drain(from, 10))
  assert(lb:maintenance(from))
  assert(lb:get()[to] == 100)
  if to == 'green' then assert(lb:get().servers.g2.stot > 0) assert(lb:ready('blue', 10)) end
end
assert(lb:ready('green', 10))"

check "another address is really used" "
local lb = open('app', FOUR)
assert(lb:set { blue = 0, green = 100 })
local count = requests($FRONT, 20)
assert(count.G3 and count.G1 and not count.G2, 'moved to G3')
assert(lb:address('green', 2, '127.0.0.1', $G3)) -- no change is fine
local value, err = lb:address('green', 3, '127.0.0.1', 1)
assert(value == nil and err.code == 'usage')
value, err = lb:address('green', 1, 'localhost', 1)
assert(value == nil and err.code == 'usage')
assert(lb:set { blue = 100, green = 0 })"

# --- draining --------------------------------------------------------------------------------
check "draining waits for the last request, says what is open, and cuts nobody off" "
local lb = open 'slow'
local listener = assert(net.listen { port = $SLOW })
local arrived, release, answer = false, false, nil
background(function()
  local c <close> = assert(listener:accept(20))
  assert(c:read_until '\r\n\r\n')
  arrived = true
  wait('release', function() return release end)
  assert(c:write 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate')
  c:read_line(20) -- HAProxy closes
end)
local client = background(function() return requests($SLOWFRONT, 1) end)
wait('arrival', function() return arrived end)
assert(lb:set { blue = 0, green = 100 })
local value, err = lb:drain('blue', 0.3)
assert(value == nil and err.code == 'drain' and err.message:find 'b 1 open', tostring(err))
assert(requests($SLOWFRONT, 5).G1 == 5)
parallel { function() assert(lb:drain('blue', 20)) end, function() sleep(0.15) release = true end }
assert(client:join().late == 1)
assert(lb:maintenance 'blue' and lb:ready 'blue')
assert(lb:set { blue = 100, green = 0 })"

# --- what must not work ----------------------------------------------------------------------
check "no change that would leave no working server; ready means that a check passed" "
local lb = open 'half'
wait('down', function() return lb:get().servers.g.status:find 'DOWN' end)
local value, err = lb:set { blue = 0, green = 100 }
assert(value == nil and err.code == 'traffic' and err.message:find 'no working server', tostring(err))
assert(lb:get().blue == 100)
assert(lb:maintenance 'green')
value, err = lb:ready('green', 0.5)
assert(value == nil and err.code == 'traffic' and err.message:find 'L4', tostring(err))
local listener <close> = assert(net.listen { port = $DEAD })
local accepting = background(function() while true do local c = listener:accept(60) if c then c:close() end end end)
assert(lb:ready('green', 10))
assert(lb:set { blue = 0, green = 100 }.green == 100)
assert(lb:set { blue = 100, green = 0 })
accepting:cancel()"

check "refusals carry HAProxy's own words" "
local value, err = open('static'):set { blue = 90, green = 10 }
assert(value == nil and err.code == 'traffic' and err.message:find 'static LB algorithm', tostring(err))
value, err = open('app', FOUR, '$DIR/operator.sock'):set { blue = 90, green = 10 }
assert(value == nil and err.code == 'traffic' and err.message:find 'refused' and err.message:find 'Permission denied', tostring(err))
value, err = open('nowhere'):get()
assert(value == nil and err.code == 'traffic' and err.message:find 'No such proxy', tostring(err))
value, err = open('app', { blue = { 'b1', 'b2' }, green = { 'g1', 'g9' } }):get()
assert(value == nil and err.message:find 'no server app/g9', tostring(err))
value, err = open('extra'):get()
assert(value == nil and err.message:find 'extra/other has weight 50', tostring(err))
value, err = open('extra', { blue = { 'b', 'other' }, green = { 'g', 'spare' } }):get()
assert(value == nil and err.message:find 'backup', tostring(err))"

check "the command driver: set, confirmed by get" "
local files = require 'files'
local path = '$DIR/shares'
local lb = assert(traffic.open { driver = 'command',
  set = { '/bin/sh', '-c', 'printf \"%s %s\" \"\$1\" \"\$2\" >' .. path, 'sh', 'blue={blue}', 'green={green}' },
  get = { '/bin/cat', path } })
local now = assert(lb:set { blue = 90, green = 10 })
assert(now.blue == 90 and now.green == 10 and not lb.can.drain and not lb.can.address)
assert(lb:get().green == 10 and lb:ready 'green')
local value, err = lb:drain('green', 1)
assert(value == nil and err.code == 'drain')
assert(lb:set { blue = 100 } and lb:drain('green', 1) and lb:maintenance 'green')
files.write(path, '{\"green\": 30, \"blue\": 70}')
assert(lb:get().green == 30)
files.write(path, 'all is well')
value, err = lb:get()
assert(value == nil and err.code == 'protocol')
lb = assert(traffic.open { driver = 'command', set = { '/bin/true' }, get = { '/bin/echo', 'blue=100 green=0' } })
value, err = lb:set { blue = 90, green = 10 }
assert(value == nil and err.code == 'traffic' and err.message:find 'blue 90 %%, green 10 %% was set' and err.message:find 'blue 100', tostring(err))
lb = assert(traffic.open { driver = 'command', set = { '/bin/false' }, get = { '/bin/echo', '{nope}' } })
value, err = lb:set { blue = 90, green = 10 }
assert(value == nil and err.code == 'traffic', tostring(err))
value, err = lb:get()
assert(value == nil and err.code == 'config', tostring(err))"

kill "$PROXY"
wait "$PROXY" 2>/dev/null
check "no proxy: an error that says where it was expected" "
local value, err = open('app', FOUR):get()
assert(value == nil and err.code == 'connect' and err.retryable and err.message:find('$DIR/admin.sock', 1, true), tostring(err))"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
