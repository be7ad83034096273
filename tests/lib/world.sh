# shellcheck shell=bash
# The demo's world for a script that does things in it. It needs engine, and scratch: a folder of the script's own, in which overlay/ lies over the demo's venture.

# wait_for WHAT COMMAND...: until the command succeeds, at most 60 s
wait_for() {
    local what=$1 end=$((SECONDS + 60))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $end ]; then echo "never: $what" && return 1; fi
        read -rt 0.05 <> <(:) || true
    done
}

# serve_world: the world in $scratch/world, with clients that ask, and its settings in this shell. Its process is $world, which the script ends.
serve_world() {
    "$engine" playbooks/demo.lua --serve --world "$scratch/world" --overlay "$scratch/overlay" >"$scratch/world.out" 2>&1 &
    world=$!
    wait_for 'the world' test -f "$scratch/world/clients" || { cat "$scratch/world.out" && echo "0 passed, 1 failed" && exit 1; }
    . "$scratch/world/world.env"
}

# lay_next_release: release 1.2, which is 1.1 with another name, approved by whoever has to
lay_next_release() {
    local digest subject
    cp -r "$DEMO_RELEASES/1.1" "$DEMO_RELEASES/1.2"
    sed -i 's/local VERSION = "1.1"/local VERSION = "1.2"/' "$DEMO_RELEASES/1.2/application.lua"
    digest=$("$engine" -e "return require('release').digest('$DEMO_RELEASES/1.2')")
    for subject in 'release candidate' chairman 'security baseline'; do
        sqlite3 -cmd '.timeout 5000' "${DEMO_DATABASE#sqlite:}" "INSERT INTO approvals VALUES ('$subject', '1.2', '$digest', 'test', 'now')"
    done
}
