# shellcheck shell=bash
# What stands on a terminal of tmux. It needs tmux: the command with its socket.

screen() { $tmux capture-pane -pJ "$@" 2>/dev/null | sed 's/ *$//'; }

# until_seen PATTERN: until a line of the screen fits, at most 30 s
until_seen() {
    local end=$((SECONDS + 30))
    until screen | grep -qE -- "$1"; do
        if [ $SECONDS -ge $end ]; then return 1; fi
        read -rt 0.1 <> <(:) || true
    done
}

# until_prompt: until a console reads what is typed. Before, Ctrl-D and Ctrl-C mean something else to the terminal.
until_prompt() {
    local end=$((SECONDS + 30))
    until screen | grep . | tail -1 | grep -q '>$'; do
        if [ $SECONDS -ge $end ]; then return 1; fi
        read -rt 0.1 <> <(:) || true
    done
}
