#!/usr/bin/env bash
# What is installed: the program, its manual page and the shells' completion, each in the program that reads it.
set -u
cd "$(dirname "$0")/../.."
engine=$(realpath "${ENGINE:-build/engine}")
scratch=$(mktemp -d /tmp/engine-shells-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0

check() { # check NAME COMMAND...
  local name=$1
  shift
  if "$@" > "$scratch/output" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED $name"
    sed 's/^/  /' "$scratch/output"
  fi
}
has() { command -v "$1" > /dev/null; }
same() { [ "$1" = "$2" ] || { printf 'got      %s\nexpected %s\n' "$1" "$2"; false; }; }
holds() { [[ " $1 " == *" $2 "* ]] || { printf '%s\nlacks %s\n' "$1" "$2"; false; }; }
silent() { # silent COMMAND...: it says nothing, on either output
  local said
  said=$("$@" 2>&1 > /dev/null) || { echo "exit $?: $said"; return 1; }
  [ -z "$said" ] || { echo "$said"; false; }
}

check 'make install' make --no-print-directory install DESTDIR="$scratch/root" PREFIX=/usr BUILD="$(dirname "$engine")"
share=$scratch/root/usr/share
check 'the program is there' same "$("$scratch/root/usr/bin/engine" version)" "$("$engine" version)"
for file in man/man1/engine.1 bash-completion/completions/engine zsh/site-functions/_engine fish/vendor_completions.d/engine.fish; do
  check "$file is there" test -s "$share/$file"
done
check 'nothing else is installed' same "$(find "$scratch/root" -type f | wc -l)" 5

# A journal with one run, whose id is to be completed.
mkdir "$scratch/venture"
cat > "$scratch/note.lua" << 'L'
return playbook { name = "note", about = "says something", args = { loudly = { type = "boolean", about = "louder" }, colour = { one_of = { "red", "blue" }, about = "which" } }, run = function() step("say", function() end) end }
L
"$engine" "$scratch/note.lua" --state "$scratch/state" > /dev/null
id=$("$engine" status --state "$scratch/state" | cut -d' ' -f1)

# complete WORDS...: what bash's own completion offers for the last of them, as one line.
complete_in_bash() {
  bash --norc -c '
    . "$1"
    shift
    complete -p engine > /dev/null || exit
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _engine
    echo "${COMPREPLY[*]}"' bash "$share/bash-completion/completions/engine" "$engine" "$@"
}
check 'bash: a command' same "$(complete_in_bash rollb)" rollback
check 'bash: an option' same "$(complete_in_bash rollback --dr)" --dry-run
check 'bash: a value' same "$(complete_in_bash rollback --type d)" database
check 'bash: a run' same "$(complete_in_bash status --state "$scratch/state" "${id:0:2}")" "$id"
check 'bash: a built-in playbook' holds "$(complete_in_bash plan playbooks/)" playbooks/stage30.lua
check 'bash: a playbook of the folder' holds "$(complete_in_bash "$scratch/n")" "$scratch/note.lua"
check "bash: a playbook's own option" same "$(complete_in_bash "$scratch/note.lua" --lo)" --loudly
check "bash: the value of a playbook's own option" same "$(complete_in_bash "$scratch/note.lua" --colour "")" 'red blue'
check 'bash: a folder, and no file' same "$(complete_in_bash status --venture "$scratch/")" "$(printf '%s ' "$scratch"/{root,state,venture} | sed 's/ $//')"
check 'bash: a part of backup' same "$(complete_in_bash backup res)" restore
check 'bash: nothing where nothing fits' same "$(complete_in_bash status --venture-x y)" ''

if has zsh; then
  check 'zsh reads it' silent zsh -n "$share/zsh/site-functions/_engine"
  # The system's completion, with what it would show collected.
  check 'zsh: a command' holds "$(zsh -f -c '
    _describe() { print -l -- ${(P)4}; }
    _files() { print files; }
    compdef() { :; }
    . "$1"
    words=("$2" rollb) CURRENT=2
    _engine' zsh "$share/zsh/site-functions/_engine" "$engine" | cut -d: -f1 | tr '\n' ' ')" rollback
fi
if has fish; then
  check 'fish reads it' silent fish --no-execute "$share/fish/vendor_completions.d/engine.fish"
  check 'fish: an option' holds "$(PATH=$scratch/root/usr/bin:$PATH HOME=$scratch fish --no-config -c "source $share/fish/vendor_completions.d/engine.fish; complete -C 'engine rollback --dr'" | cut -f1 | tr '\n' ' ')" --dry-run
fi
if has man; then
  check 'man has no warning' silent env MANPAGER=cat man --warnings -l "$share/man/man1/engine.1"
  check 'man shows the commands' grep -q 'engine rollback \[RUN\]' <(MANWIDTH=100 MANPAGER=cat man -l "$share/man/man1/engine.1")
fi
if has groff; then check 'groff has no warning' silent groff -man -ww -z "$share/man/man1/engine.1"; fi
# An empty date is meant: the same source makes the same page.
if has mandoc; then check 'mandoc has no other warning' same "$(mandoc -Tlint -W warning "$share/man/man1/engine.1" | grep -v 'missing date')" ''; fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
