#!/usr/bin/env bash
# Bad input: each a clear error that names what, where and what to do, exit code 2, and nothing changed or left.
set -u
cd "$(dirname "$0")/../.."
engine=$(realpath "${ENGINE:-build/engine}")
scratch=$(mktemp -d /tmp/engine-bad-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
. tests/lib/ends.sh
stage30=playbooks/stage30.lua

export DEMO_DATABASE=sqlite:$scratch/none.db DEMO_DATABASE_URL=sqlite:$scratch/none.db DEMO_RELEASES=$scratch/releases DEMO_VAULT_TOKEN=demo-vault-token \
  DEMO_STAND_INS=http://127.0.0.1:1 DEMO_MAIL=smtp://127.0.0.1:1 DEMO_PROXY=127.0.0.1:1 DEMO_PUBLIC=http://127.0.0.1:1 DEMO_HAPROXY=$scratch/no.sock \
  DEMO_LOG_PORT=5140 DEMO_REHEARSAL=127.0.0.1:3 DEMO_BLUE=127.0.0.1:1 DEMO_GREEN=127.0.0.1:2 DEMO_BACKUPS=$scratch/backups DEMO_UPLOADS=$scratch DEMO_LOGS=$scratch DEMO_WORLD=$scratch DEMO_ENGINE=$engine DEMO_RULES=$scratch/rules.yml
mkdir -p "$scratch/releases/1.1"
echo 'return 1' > "$scratch/releases/1.1/application.lua"

# A venture like the demo's, changed by a sed script, without the reference into the vault (there is none here).
venture() {
  mkdir -p "$scratch/$1"
  sed -e 's/secret "vault:[^"]*"/secret "env:DEMO_VAULT_TOKEN"/' -e "$2" playbooks/demo/venture/venture.lua > "$scratch/$1/venture.lua"
}

and_leaves() {
  [ ! -e "$scratch/state" ] || { echo 'something was written into the state folder'; rm -rf "$scratch/state"; }
  [ ! -e "$scratch/none.db" ] || { echo 'a database was made'; rm -f "$scratch/none.db"; }
}
deploy() { "$engine" "$stage30" --state "$scratch/state" --release 1.1 "$@"; }

venture key 's/^  backup = {/  bakcup = {/'
ends 'unknown key' 2 "✗ E0101 config: .*venture.lua:[0-9]+: bakcup: unknown key 'bakcup'; did you mean 'backup'\?$" -- deploy --venture "$scratch/key"
venture nested 's/drain_timeout = 15/drian_timeout = 15/'
ends 'unknown nested key' 2 "venture.lua:[0-9]+: traffic.drian_timeout: unknown key 'drian_timeout'; did you mean 'drain_timeout'" -- deploy --venture "$scratch/nested"
venture type 's/minimum = 5/minimum = "5"/'
ends 'wrong type' 2 'venture.lua:[0-9]+: canary.minimum: must be a number, but is string' -- deploy --venture "$scratch/type"
venture kinds 's/{ name = "database answers", sql = "SELECT 1", expect = 1 }/{ name = "database answers", sql = "SELECT 1", tcp = "a:1" }/'
venture feed 's/udp = env "DEMO_LOG_PORT"/udp = "many"/'
ends 'a port that is none' 2 "metrics.udp: 'many' is no port" -- deploy --venture "$scratch/feed"
venture nofeed 's/, udp = env "DEMO_LOG_PORT"//'
ends 'no way for the log lines' 2 'metrics: give path .a unix socket. or udp' -- deploy --venture "$scratch/nofeed"
venture public 's#public = env "DEMO_PUBLIC"#public = "shop.example.com"#'
ends 'an address of clients that is none' 2 "venture.lua:[0-9]+: traffic.public: 'shop.example.com' is no http:// or https:// address; did you mean 'http://shop.example.com'" -- deploy --venture "$scratch/public"
venture stages 's/stages = { 10, 50, 100 }/stages = { 10, 50 }/'
ends 'stages that never reach all' 2 'venture.lua:[0-9]+: canary.stages: must end with 100, but ends with 50' -- deploy --venture "$scratch/stages"
ends 'the same for a plan' 2 'venture.lua:[0-9]+: canary.stages: must end with 100' -- "$engine" plan "$stage30" --state "$scratch/state" --release 1.1 --venture "$scratch/stages"
ends 'the same for config' 2 'venture.lua:[0-9]+: canary.stages: must end with 100' -- "$engine" config --venture "$scratch/stages"
ends 'the same for check' 2 'venture.lua:[0-9]+:[0-9]+: canary.stages: must end with 100' 'fix: Add 100' -- "$engine" check "$scratch/stages"
venture same 's/green = env "DEMO_GREEN"/green = env "DEMO_BLUE"/'
ends 'two colours at one address' 2 "venture.lua:[0-9]+: environment.addresses.green: '127.0.0.1:1' is environment.addresses.blue too" -- deploy --venture "$scratch/same"
venture placeholder 's/{folder}/{dir}/'
ends 'a placeholder that is none' 2 'environment.command\[2\]: there is no {dir} to fill in; did you mean {folder}' -- deploy --venture "$scratch/placeholder"
venture reference 's/secret "env:DEMO_DATABASE"/secret "DEMO_DATABASE"/'
ends 'a secret that is nowhere' 2 'venture.lua:[0-9]+: secret "DEMO_DATABASE" does not say where it is kept; did you mean secret "env:DEMO_DATABASE"' 'next   Say where' -- deploy --venture "$scratch/reference"
ends 'two kinds in one check' 2 'venture.lua:[0-9]+: .*two kinds' -- deploy --venture "$scratch/kinds"
ends 'no venture folder' 2 'no/such/venture.lua does not exist' '--venture DIR' -- deploy --venture no/such
ends 'no venture given' 2 'needs a venture' -- deploy
venture syntax 's/^  backup = {/  backup = = {/'
ends 'syntax error in the configuration' 2 'venture.lua:[0-9]+: .*near' -- deploy --venture "$scratch/syntax"
venture acts 's/^return {/os.execute("touch x")\nreturn {/'
ends 'a configuration that acts' 2 "venture.lua:[0-9]+: 'os' is not available" -- deploy --venture "$scratch/acts"
venture good ''
ends 'a missing secret' 2 "venture.lua:[0-9]+: database.url: .*environment variable DEMO_DATABASE is not set: export" -- env -u DEMO_DATABASE "$engine" "$stage30" --state "$scratch/state" --release 1.1 --venture "$scratch/good"
ends 'a missing setting' 2 'venture.lua:[1-9][0-9]+: the environment variable DEMO_BACKUPS is not set' 'next   Set it, or give env a default' -- env -u DEMO_BACKUPS "$engine" "$stage30" --state "$scratch/state" --release 1.1 --venture "$scratch/good"
ends 'the proxy is not there' 2 'no.sock' 'Start the proxy' -- deploy --venture "$scratch/good"
ends 'no such release' 2 'there is no release 9.9' -- "$engine" "$stage30" --state "$scratch/state" --release 9.9 --venture "$scratch/good"
ends 'no release given' 2 '--release is missing' -- "$engine" "$stage30" --state "$scratch/state" --venture "$scratch/good"
ends 'unknown argument' 2 'unknown option --relaese; did you mean --release' -- deploy --venture "$scratch/good" --relaese 1
ends 'unknown mode' 2 '--mode must be one of manual, assisted, auto' -- deploy --venture "$scratch/good" --mode fast

cat > "$scratch/syntax.lua" << 'L'
return playbook {
  name = "x"
  about = "a comma is missing above",
}
L
ends 'syntax error in a playbook' 2 'syntax.lua:3: .*near .about' -- "$engine" "$scratch/syntax.lua" --state "$scratch/state"
cat > "$scratch/execute.lua" << 'L'
return playbook { name = "x", about = "y", run = function()
  step("looks harmless", function() end)
  os.execute("rm -rf /")
end }
L
ends 'a playbook that calls os.execute' 2 "execute.lua:3: 'os' is not available in a playbook; use process" -- "$engine" "$scratch/execute.lua" --state "$scratch/state"
echo 'return playbook { name = "x", about = "y", run = function() coroutine.wrap(print)() end }' > "$scratch/coroutine.lua"
ends 'a playbook with a coroutine' 2 "coroutine.lua:1: 'coroutine' is not available in a playbook; use parallel or background" -- "$engine" "$scratch/coroutine.lua" --state "$scratch/state"
echo 'return { name = "x" }' > "$scratch/table.lua"
ends 'not a playbook' 2 'must end with .return playbook' -- "$engine" "$scratch/table.lua" --state "$scratch/state"
echo 'return playbook { name = "x", runn = function() end }' > "$scratch/field.lua"
ends 'unknown field of a playbook' 2 "field.lua:1: a playbook has no field 'runn'" -- "$engine" "$scratch/field.lua" --state "$scratch/state"
echo 'local a = require "stage30.nonsense" return playbook { name = "x", run = function() end }' > "$scratch/module.lua"
ends 'a module that is not there' 2 "module 'stage30.nonsense' was not found" -- "$engine" "$scratch/module.lua" --state "$scratch/state"
ends 'a missing playbook' 2 'there is no playbook no/such.lua' -- "$engine" no/such.lua --state "$scratch/state"
ends 'neither command nor playbook' 2 "'stauts' is neither a command nor a playbook; did you mean 'status'" -- "$engine" stauts
ends 'no journal' 2 'there is no journal' -- "$engine" status --state "$scratch/state"
ends 'unknown error code' 2 'E0200' -- "$engine" explain E9999
ends 'a run that is not there' 2 'there is no journal' -- "$engine" explain abcdef --state "$scratch/state"
venture grants 's/hosts = { "loopback" }/hosts = { "db.example.com" }/'
ends 'a proxy that was not granted' 2 'E0106|grants|capability' 'grants' -- env DEMO_HAPROXY=127.0.0.1:1 "$engine" "$stage30" --state "$scratch/state" --release 1.1 --venture "$scratch/grants"
mkdir "$scratch/precious" && echo keep > "$scratch/precious/file"
ends 'a demo world where something else is' 2 'no demo made it: it is not removed' -- "$engine" playbooks/demo.lua --world "$scratch/precious"
[ -e "$scratch/precious/file" ] || { echo 'the folder was removed'; failed=$((failed + 1)); }
ends 'an unknown fault' 2 '--fault must be one of none, errors' -- "$engine" playbooks/demo.lua --fault bogus --world "$scratch/none"
mkdir -p "$scratch/over/stage30"
cp "$scratch/good/venture.lua" "$scratch/over/"
echo 'return function( end' > "$scratch/over/stage30/gates.lua"
ends 'a broken override' 2 'over/stage30/gates.lua:1:' -- deploy --venture "$scratch/over"

# The command line.
ends 'a run without a playbook' 2 'run needs a playbook' 'engine run --help' -- "$engine" run
ends 'a plan without a playbook' 2 'plan needs a playbook' 'engine plan --help' -- "$engine" plan
ends 'an approval of nothing' 2 'approve needs a run' 'next   engine status lists the runs' -- "$engine" approve
ends 'a word too many' 2 "'b' is not expected after engine status a" 'next   engine status --help' -- "$engine" status a b
ends 'a misspelt option' 2 'unknown option --verfy; did you mean --verify' 'next   engine log --help' -- "$engine" log --verfy
ends 'an option without its value' 2 '--state needs a value: the folder with the journal' 'next   engine status --help' -- "$engine" status --state
ends 'a value that is none of the few' 2 "--type must be one of traffic, database, full, not 'trafic'; did you mean 'traffic'" 'next   engine rollback --help' -- "$engine" rollback --type trafic
ends 'a misspelt word' 2 "handoff needs 'accept', not 'acept'; did you mean 'accept'" 'next   engine handoff --help' -- "$engine" handoff acept x
ends 'a misspelt part of backup' 2 "backup has no 'restor'; did you mean 'restore'" 'next   engine backup --help' -- "$engine" backup restor
ends 'a backup to nowhere' 2 '--to is missing: the folder of the backups' 'next   engine backup take --help' -- "$engine" backup take --database sqlite:x.db
ends 'a restore that nobody confirmed' 2 'restore replaces the live database by .*add --yes' 'next   engine backup restore .* --yes' -- "$engine" backup restore "$scratch/b" --database sqlite:x.db
ends 'a backup that is not there' 1 'it is no finished backup' 'next   engine backup list --to DIR' -- "$engine" backup verify "$scratch/b"
ends 'backups that are not there' 1 'cannot be listed: No such file' 'next   Name the folder that the backups were put into' -- "$engine" backup list --to "$scratch/b"
ends 'a store without keys' 2 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set' 'next   export both' -- env -u AWS_ACCESS_KEY_ID "$engine" backup list --store 's3://bucket/x?region=r'
ends 'a shell that is none' 2 "completion needs 'bash' or 'zsh' or 'fish', not 'csh'" 'next   engine completion --help' -- "$engine" completion csh
ends 'help for a command that is none' 2 "'rolback' is neither a command nor a playbook; did you mean 'rollback'" 'next   engine rollback --help' -- "$engine" help rolback
ends 'a check of nothing' 2 'there is no file or folder no/such' 'next   Give the path of a playbook' -- "$engine" check no/such

ends 'the file in the place of its folder' 2 '✗ E0100 usage: --venture takes a folder, and .*good/venture.lua is a file in one' 'next   Give its folder: --venture .*/good' -- deploy --venture "$scratch/good/venture.lua"
ends 'the same for config' 2 '✗ E0100 usage: --venture takes a folder' 'next   Give its folder' -- "$engine" config --venture "$scratch/good/venture.lua"
ends 'a folder in the place of a key' 2 '--venture is missing' "next   engine config --venture $scratch/good" -- "$engine" config "$scratch/good"
ends 'a name and not what' 2 "new needs 'venture' or 'playbook', not 'shop'" 'next   engine new venture shop' -- "$engine" new shop

# State and journal.
touch "$scratch/file"
ends 'a state folder that is a file' 2 'the state folder .*/file is a file' 'next   Name a folder with --state DIR' -- "$engine" "$stage30" --venture "$scratch/good" --release 1.1 --state "$scratch/file"
ends 'a journal whose variable is not set' 2 'the environment variable ENGINE_TEST_NONE is not set: export' 'next   ' -- deploy --venture "$scratch/good" --journal env:ENGINE_TEST_NONE
ends 'a shared journal that is away' 1 'the journal cannot be opened: .*Connection refused' 'next   Start the server that should listen there' -- "$engine" status --journal postgres://nobody@127.0.0.1:1/none
mkdir "$scratch/other" && echo 'no database' > "$scratch/other/journal.db"
ends 'a journal that is something else' 1 'journal.db: file is not a database' 'next   That file is no journal' -- "$engine" status --state "$scratch/other"
cat > "$scratch/small.lua" << 'L'
return playbook { name = "x", about = "y", run = function() step("s", function() end) end }
L
ends 'a state folder that cannot be made' 1 'there is no state folder: the folder /proc/none cannot be made' 'next   Make it for the user that runs the engine, or name another' -- "$engine" "$scratch/small.lua" --state /proc/none
ends 'a word after the playbook' 2 "'now' is not expected after the playbook" 'next   engine .*small.lua --help' -- "$engine" "$scratch/small.lua" now --state "$scratch/state"

# Secrets and releases.
venture nofile 's#url = secret "env:DEMO_DATABASE"#url = secret "file:/no/such/secret"#'
ends 'a secret file that is missing' 2 'venture.lua:[0-9]+: database.url: file:/no/such/secret cannot be opened .*: put the secret into that file, mode 600' -- deploy --venture "$scratch/nofile"
echo sqlite:x > "$scratch/secret" && chmod 644 "$scratch/secret"
venture open "s#url = secret \"env:DEMO_DATABASE\"#url = secret \"file:$scratch/secret\"#"
ends 'a secret that others can read' 2 "venture.lua:[0-9]+: database.url: .*can be read by others .*run chmod 600 $scratch/secret" -- deploy --venture "$scratch/open"
ends 'which releases there are' 2 'next   Build the release there, or name another with --release; there is 1.1' -- "$engine" "$stage30" --state "$scratch/state" --release 9.9 --venture "$scratch/good"
ends 'a release that is a path' 2 "'../x' is not a release" 'next   Name one with --release' -- "$engine" "$stage30" --state "$scratch/state" --release ../x --venture "$scratch/good"
venture longpath "s#udp = env \"DEMO_LOG_PORT\"#path = \"$scratch/$(printf 'x%.0s' {1..120})\"#"
ends 'a log socket whose path is too long' 2 "metrics.path: a socket's path has at most 107 bytes" -- deploy --venture "$scratch/longpath"
venture proxy 's/socket = env "DEMO_HAPROXY"/socket = "haproxy"/'
ends 'a proxy that is neither path nor port' 2 'traffic.socket is a path or host:port, not "haproxy"' 'next   ' -- deploy --venture "$scratch/proxy"

# What a playbook's author does. These begin a run, and end it.
playbook() { printf 'return playbook { name = "x", about = "y", run = function(run)\n%s\nend }\n' "$1" > "$scratch/own.lua"; }
own() { "$engine" "$scratch/own.lua" --state "$scratch/own"; }
playbook 'step("s", function() return nothing_of_that_name end)'
ends 'a name that is none' 1 "own.lua:2: there is no global 'nothing_of_that_name'" 'next   ' -- own
playbook 'step { "s", run = function() while true do end end }'
ends 'a loop that never waits' 1 'own.lua:2: computed for 10 s without waiting' 'next   ' -- own
playbook 'step { "s", efect = "probed", run = function() end }'
ends 'a misspelt field of a step' 1 "own.lua:2: step 's' has no field 'efect'; did you mean 'effect'\?" 'next   Read the file and line' -- own

echo "$passed passed, $failed failed"
[ $failed = 0 ]
