#!/usr/bin/env bash
# Servers, folders and releases that are not as they must be: each mistake ends with a message that says what, where and what to do next, and the
# old release serves on. On a demo world with a real HAProxy and a real PostgreSQL.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/lib/ends.sh
engine=$(realpath "${ENGINE:-build/engine}")
scratch=$(mktemp -d /tmp/engine-servers-XXXXXX)
chmod 755 "$scratch"
"$engine" playbooks/demo.lua --serve --postgres --world "$scratch/world" > "$scratch/world.out" 2>&1 &
world=$!
helper=
finish() { kill -INT $world 2> /dev/null; [ -z "$helper" ] || kill "$helper" 2> /dev/null; wait; rm -rf "$scratch"; }
trap finish EXIT
for _ in $(seq 300); do
  [ -e "$scratch/world/clients" ] && break
  read -rt 0.1 <> <(:) || true
done
[ -e "$scratch/world/clients" ] || { cat "$scratch/world.out"; echo "0 passed, 1 failed"; exit 1; }
. "$scratch/world/world.env"
state=$scratch/world/state
releases=$scratch/world/releases

# venture NAME SED: the demo's venture, changed, with one gate that is always open: what is looked at here comes after the gates.
venture() {
  cp -r "$scratch/world/venture" "$scratch/$1"
  sed -i -e '/^  gates = {/,/^  },/c\  gates = { { name = "open", sql = "SELECT 1", expect = 1 } },' -e "$2" "$scratch/$1/venture.lua"
  folder=$scratch/$1
}
deploy() { "$engine" playbooks/stage30.lua --venture "$folder" --state "$state" --mode auto --release "${RELEASE:-1.1}" "$@"; }
export -f deploy
export engine state folder releases
# with NAME=VALUE...: the deployment with another environment
with() { env "$@" bash -c deploy; }
# beside PERL: the deployment while this listens in a process of its own
beside() {
  rm -f "$scratch/listens"
  perl -MIO::Socket::INET -MIO::Socket::UNIX -e "my \$s = $1 or die qq(\$!); chmod 0600, qq($scratch/private.sock); open my \$f, '>', qq($scratch/listens); close \$f; sleep 600" &
  helper=$!
  until [ -e "$scratch/listens" ]; do read -rt 0.05 <> <(:) || kill -0 $helper 2> /dev/null || break; done
  "${@:2}"
  local code=$?
  kill $helper 2> /dev/null
  wait $helper 2> /dev/null
  helper=
  return $code
}
# answering STATUS BODY COMMAND...: with a server at $scratch/url that answers everything with this
answering() {
  rm -f "$scratch/url"
  perl -MIO::Socket::INET -e 'my ($file, $status, $body) = @ARGV; my $s = IO::Socket::INET->new(Listen => 9, LocalAddr => "127.0.0.1") or die; open my $f, ">", "$file.new"; print $f "http://127.0.0.1:" . $s->sockport; close $f;
    rename "$file.new", $file; while (my $c = $s->accept) { local $/ = "\r\n\r\n"; <$c>; print $c "HTTP/1.1 $status\r\ncontent-length: " . length($body) . "\r\nconnection: close\r\n\r\n$body"; close $c }' "$scratch/url" "$1" "$2" &
  helper=$!
  until [ -e "$scratch/url" ]; do read -rt 0.05 <> <(:) || kill -0 $helper 2> /dev/null || break; done
  "${@:3}"
  local code=$?
  kill $helper
  wait $helper 2> /dev/null
  helper=
  return $code
}
serving='nothing changed: blue serves 1.0 at 100 %'

venture as_it_is ''
# The proxy
ends 'no socket there' 2 'no connection to .*/none.sock: no such file' 'next   Start the proxy, or correct .traffic.' -- with DEMO_HAPROXY="$scratch/none.sock"
ends 'nobody listens' 2 'world.env: connection refused' 'next   Start the proxy' -- with DEMO_HAPROXY="$scratch/world/world.env"
ends 'an address for clients' 1 'does not show backend app' 'next   Name the Runtime API in traffic.socket' -- with DEMO_HAPROXY="$DEMO_PROXY"
if [ "$(id -u)" = 0 ]; then
  cp "$engine" "$scratch/engine"
  cp -r "$folder" "$scratch/theirs" && chmod -R a+rX "$scratch/theirs"
  sed -i 's/secret "vault:[^"]*"/secret "env:DEMO_VAULT_TOKEN"/; s/releases = { folder = env "DEMO_RELEASES" }/releases = { folder = "releases" }/' "$scratch/theirs/venture.lua"
  cp -r "$releases" "$scratch/theirs/releases"
  chmod -R a+rX "$scratch/theirs"
  ends 'a socket of another user' 2 'private.sock: permission denied' 'next   Let the user that runs the engine write to that socket' -- beside "IO::Socket::UNIX->new(Listen => 1, Local => q($scratch/private.sock))" \
    env DEMO_HAPROXY="$scratch/private.sock" DEMO_UPLOADS="$scratch/theirs" DEMO_WORLD="$scratch/theirs" DEMO_BACKUPS="$scratch/theirs/b" DEMO_RULES="$scratch/theirs/r" setpriv --reuid=nobody --regid=nogroup --clear-groups "$scratch/engine" playbooks/stage30.lua --venture "$scratch/theirs" --state "$scratch/theirs/state" --release 1.1
fi
venture backend 's/backend = "app"/backend = "ap"/'
ends 'no such backend' 1 'does not show backend ap: .*No such proxy' 'next   Correct traffic.backend' -- deploy
venture server 's/green = { "green1" }/green = { "green1", "green7" }/'
ends 'no such server' 1 "has no server app/green7, which is green's" 'next   Correct traffic.servers; app has: .*blue1.*green1' -- deploy

# The database
folder=$scratch/as_it_is
ends 'no such database' 1 'FATAL:  database "none" does not exist' "$serving" 'next   Create that database' 'next   engine log' -- with DEMO_DATABASE="${DEMO_DATABASE%/*}/none"
ends 'no such user' 1 'role "noone" does not exist' "$serving" 'next   Create that role' -- with DEMO_DATABASE="postgres://noone@${DEMO_DATABASE#*@}"
hba=$(psql -XAtq "postgres://demo@${DEMO_DATABASE#*@}" -c 'SHOW hba_file') # a role that needs a password, in a server that needs none otherwise
psql -Xq "postgres://demo@${DEMO_DATABASE#*@}" -c "CREATE ROLE locked LOGIN PASSWORD 'right'" && sed -i '1i host all locked 127.0.0.1/32 scram-sha-256' "$hba" && psql -XAtq "postgres://demo@${DEMO_DATABASE#*@}" -c 'SELECT pg_reload_conf()' > /dev/null
ends 'a wrong password' 1 'password authentication failed for user "locked"' "$serving" 'next   Correct the password where the secret is kept' -- with DEMO_DATABASE="postgres://locked:wrong@${DEMO_DATABASE#*@}"
ends 'no password' 1 'no password supplied' "$serving" 'next   Put the password into the secret' -- with DEMO_DATABASE="postgres://locked@${DEMO_DATABASE#*@}"
ends 'the database refuses' 1 'port 1 failed: Connection refused' "$serving" 'next   Start the server that should listen there' -- with DEMO_DATABASE=postgres://demo@127.0.0.1:1/demo
ends 'no address of a database' 1 'the address is not understood' 'next   Write it as postgres://' -- with DEMO_DATABASE=demo
ends 'no right to make a database' 1 'permission denied to create database' "$serving" 'next   Give the role CREATEDB' -- with DEMO_DATABASE="postgres://shop@${DEMO_DATABASE#*@}"
ends 'a host that was not granted' 1 'other.example:5432 may not be reached' 'next   Add it to .grants. in venture.lua' -- with DEMO_DATABASE=postgres://demo@other.example/demo

# What the procedure depends on
ends 'the mail server is away' 1 'test e-mail: the test mail was not accepted: .*port 1' "$serving" 'next   Start the server that should listen there' -- with DEMO_MAIL=smtp://127.0.0.1:1
venture live 's/key = secret "vault:[^"]*"/key = secret "env:LIVE_KEY"/'
ends 'a live Stripe key' 1 "1 of 3 external dependencies failed" "not Stripe's test mode" 'next   Give a key that begins with sk_test_' -- with LIVE_KEY=sk_live_abcdefgh
folder=$scratch/as_it_is
ends 'the vault refuses the token' 2 'venture.lua:[0-9]+: .*stripe.key: .*refused the token' 'next   Check that the token is valid' -- with DEMO_VAULT_TOKEN=wrong
ends 'the vault is away' 2 'venture.lua:[0-9]+: .*the vault did not answer' 'next   See whether the vault is up and unsealed' -- with DEMO_STAND_INS=http://127.0.0.1:1
at_url() { with DEMO_STAND_INS="$(cat "$scratch/url")"; }
ends 'the vault is sealed' 2 'venture.lua:[0-9]+: .*Vault is sealed' 'next   .*unsealed' -- answering '503 Service Unavailable' '{"errors":["Vault is sealed"]}' at_url
ends 'the vault has no such field' 2 'venture.lua:[0-9]+: .*stripe.key: .*stripe_key' 'next   ' -- answering '200 OK' '{"data":{"data":{"other":"x"}}}' at_url
in_store() { "$engine" backup list --store "s3://shop/backups?region=x&endpoint=$(cat "$scratch/url")"; }
export AWS_ACCESS_KEY_ID=AKIAXXXX AWS_SECRET_ACCESS_KEY=wrong
ends 'the store refuses' 1 'GET .*shop.*403.*(AccessDenied|Access Denied)' 'next   ' -- answering '403 Forbidden' '<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>' in_store
ends 'the store has no such bucket' 1 'NoSuchBucket' 'next   ' -- answering '404 Not Found' '<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>' in_store
ends 'backups cannot be written' 1 'the folder /proc/backups cannot be made' "$serving" 'next   Make it for the user that runs the engine' -- with DEMO_BACKUPS=/proc/backups
ends 'the log port is taken' 1 "UDP port $DEMO_LOG_PORT of 127.0.0.1 cannot be opened: Address already in use" "$serving" 'next   End what uses it' -- \
  beside "IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => $DEMO_LOG_PORT)" deploy

# The release
cp -r "$releases/1.1" "$releases/1.2"
echo 'SELECT nonsense FROM nowhere;' > "$releases/1.2/migrations/009_bad.sql"
ends 'a migration that fails' 1 'migration 009_bad failed and was taken back: .*relation "nowhere" does not exist' "$serving" 'next   Correct .*/1.2/migrations/009_bad.sql' -- with RELEASE=1.2
rm "$releases/1.2/migrations/009_bad.sql"
sed -i '1s/^/-- changed\n/' "$releases/1.2/migrations/001_base.sql"
ends 'a migration that was changed' 1 '001_base.sql was changed after it had been applied' "$serving" 'next   Restore the file as it was applied' -- with RELEASE=1.2
cp "$releases/1.1/migrations/001_base.sql" "$releases/1.2/migrations/"
ends 'another version than it is called' 1 'green answers as version 1.1, but 1.2 was deployed' "$serving" "next   See whether the release's folder holds what it is called" -- with RELEASE=1.2
echo 'return 1 +' > "$releases/1.2/application.lua"
ends 'an application that does not start' 1 'green ended while it was starting: .*its output is in .*green-1.2.log' "$serving" 'next   Read the end of its output' -- with RELEASE=1.2
venture program 's#command = { env "DEMO_ENGINE"#command = { "/no/such/program"#'
ends 'a program that is not there' 1 '/no/such/program could not be started' "$serving" 'next   Correct environment.command' -- deploy
folder=$scratch/as_it_is
ends "the colour's port is taken" 1 "$DEMO_GREEN, where green would listen, is in use" "$serving" "next   End what uses it .*sport = :${DEMO_GREEN##*:}" -- \
  beside "IO::Socket::INET->new(Listen => 1, ReuseAddr => 1, LocalAddr => '127.0.0.1', LocalPort => ${DEMO_GREEN##*:})" deploy

# Traffic as nobody left it
proxy() { echo "$1" | socat stdio "UNIX-CONNECT:$DEMO_HAPROXY" > /dev/null; }
proxy 'set server app/green1 weight 50;set server app/green1 state ready'
ends 'traffic is split' 2 'traffic is split: blue [0-9]+ %, green [0-9]+ %' 'next   Finish or roll back' -- deploy
proxy 'set server app/green1 weight 0'
proxy 'set server app/blue1 weight 0'
ends 'nobody gets requests' 2 'no colour gets requests: blue 0 %, green 0 %' 'next   Give the servers of the colour that should serve a weight' -- deploy
proxy 'set server app/blue1 weight 100'

# The journal of runs that are over
run=$("$engine" status --state "$state" | head -1 | cut -c1-6)
ends 'nothing to resume' 2 "run $run has ended: aborted" "next   engine log $run" -- "$engine" resume "$run" --state "$state"
ends 'nothing to approve' 1 "run $run waits for no answer" "next   engine status $run" -- "$engine" approve "$run" --state "$state"
ends 'an unknown run' 2 'there is no run zzzzzz' 'next   engine status' -- "$engine" log zzzzzz --state "$state"
ends 'an ambiguous run' 2 "several runs begin with ''" 'next   Give more of its id' -- "$engine" log '' --state "$state"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
