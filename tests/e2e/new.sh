#!/usr/bin/env bash
# What `engine new` makes passes everything at once, in a folder that has nothing else; and what is there already is left alone.
set -u
cd "$(dirname "$0")/../.." || exit
. tests/lib/ends.sh
engine=$(realpath "${ENGINE:-build/engine}")
scratch=$(mktemp -d /tmp/engine-new-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit
ends 'a venture is made' 0 'web-shop/venture.lua' 'next   engine check web-shop' -- "$engine" new venture web-shop
ends 'it is checked' 0 'takes the place of .*stage30/gates.lua' '0 errors, 0 warnings' -- "$engine" check web-shop
ends 'its tests pass' 0 '^2 passed, 0 failed' -- "$engine" test --venture web-shop
ends 'it is simulated' 0 '50 worlds' '^0 invariants broken' -- "$engine" simulate playbooks/stage30.lua --venture web-shop --worlds 50
ends 'a world in which nobody answers stays whole' 0 'aborted, exit 1' -- "$engine" simulate playbooks/stage30.lua --venture web-shop --world '{"settings":{"owner":false}}'
sed -i 's/if not d.venture.owner then fail/if false then fail/' web-shop/stage30/gates.lua
sed -i 's/evidence = d.venture.owner/evidence = "nobody"/; s/run:say(d.venture.owner/run:say("nobody"/' web-shop/stage30/gates.lua
ends 'a part that lets nobody answer breaks it' 1 'nobody answers for the venture' -- "$engine" simulate playbooks/stage30.lua --venture web-shop --world '{"settings":{"owner":false}}'
cp -r web-shop before
ends 'a folder that is there is left alone' 2 'web-shop exists already, and nothing in it was touched' '--to ANOTHER_FOLDER' -- "$engine" new venture web-shop
ends 'nothing in it was touched' 0 -- diff -r before web-shop
ends 'another folder' 0 'elsewhere/deep/venture.lua' -- "$engine" new venture web-shop --to elsewhere/deep
ends 'nothing half-made is left' 0 -- bash -c '[ -z "$(find . -name ".engine-new-*")" ]'

ends 'a playbook is made' 0 'nightly/nightly.lua' 'nightly/nightly_test.lua' -- "$engine" new playbook nightly
ends 'it is checked' 0 '0 errors, 0 warnings' -- "$engine" check nightly
ends 'its tests pass' 0 '^4 passed, 0 failed' -- "$engine" test --venture nightly
ends 'it is simulated' 0 '^0 invariants broken' -- "$engine" simulate nightly/nightly.lua --venture nightly --worlds 50
ends 'its help' 0 'in our own order' '--release' -- "$engine" nightly/nightly.lua --help

ends 'a name that is none' 2 "'9x' is no name" 'engine new venture my-venture' -- "$engine" new venture 9x
ends 'neither venture nor playbook' 2 "needs 'venture' or 'playbook', not 'ventur'; did you mean 'venture'" -- "$engine" new ventur x
ends 'a name of the library' 2 "'traffic' is the name of a module" -- "$engine" new playbook traffic

ends 'the configuration in force' 0 '^canary.watch = 300$' '^database.url = secret "env:NIGHTLY_DATABASE"$' -- "$engine" config --venture nightly
ends 'and its origins' 0 '^canary.warm = 10  -- default$' '^canary.watch = 300  -- nightly/venture.lua:[0-9]+$' -- "$engine" config --venture nightly --origin
ends 'from the environment' 0 '^environment.addresses.blue = "10.0.0.1:80"  -- nightly/venture.lua:[0-9]+, NIGHTLY_BLUE$' -- env NIGHTLY_BLUE=10.0.0.1:80 "$engine" config --venture nightly --origin environment.addresses
ends 'no secret is shown' 0 'secret "env:NIGHTLY_DATABASE"' -- env NIGHTLY_DATABASE=postgres://u:hunter2@db/x "$engine" config --venture nightly --origin database
ends 'a key that is none' 2 'there is no key canary.wtach; did you mean canary.watch' 'without a key' -- "$engine" config --venture nightly canary.wtach
ends 'a key without a value' 2 'vault has no value' -- "$engine" config --venture nightly vault
ends 'no venture' 2 'no/venture.lua does not exist' '--venture DIR' -- "$engine" config --venture no

echo "$passed passed, $failed failed"
[ $failed = 0 ]
