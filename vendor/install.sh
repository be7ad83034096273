#!/bin/bash
# Installs the packages of packages.tsv on Debian 12: exactly those that are missing or too old. Silent when nothing is.
#
#   vendor/install.sh [--check] [--scope run,build,demo,test,bench]
#
# --check installs nothing. --scope names what the machine is for; without it everything is installed but the peers of
# the backup benchmark (bench). Not being root is no failure of its own: what is missing is listed, with the command to
# type. Exit codes: 0 all is there, 1 not, 2 usage.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
me=vendor/install.sh
say() { printf '%s: %s\n' "$me" "$*" >&2; }
usage() {
    say "$1"
    echo "usage: $me [--check] [--scope run,build,demo,test,bench]" >&2
    exit 2
}

check=no scopes=run,build,demo,test
while [ $# -gt 0 ]; do
    case $1 in
    --check) check=yes ;;
    --scope) [ $# -gt 1 ] || usage "--scope needs a list such as run,build"; scopes=$2; shift ;;
    --scope=*) scopes=${1#--scope=} ;;
    *) usage "'$1' is no option" ;;
    esac
    shift
done
IFS=, read -ra wanted_scopes <<<"$scopes"
[ ${#wanted_scopes[@]} -gt 0 ] || usage "--scope needs a list such as run,build"
for scope in "${wanted_scopes[@]}"; do
    case $scope in run | build | demo | test | bench) ;; *) usage "there is no scope '$scope'" ;; esac
done

ID='' VERSION_ID='' PRETTY_NAME='an unknown system'
os_release=${OS_RELEASE:-/etc/os-release}
# shellcheck source=/dev/null
if [ -r "$os_release" ]; then . "$os_release"; fi
if [ "$ID:$VERSION_ID" != debian:12 ]; then
    say "this is $PRETTY_NAME; the packages are those of Debian 12, and nothing was looked at or installed."
    say "On another system install what vendor/packages.tsv lists under its own names, then use make all."
    exit 1
fi

declare -A minimum why version
names=()
while IFS=$'\t' read -r name least scope _ reason; do
    [[ ,$scopes, == *,$scope,* ]] || continue
    names+=("$name") minimum[$name]=$least why[$name]=$reason
done < <(tail -n +2 "$here/packages.tsv")

read_installed() {
    local status name installed
    version=()
    while IFS=$'\t' read -r status name installed; do
        [ "$status" = installed ] && version[$name]=$installed
    done < <(dpkg-query -W -f='${db:Status-Status}\t${Package}\t${Version}\n' "${names[@]}" 2>/dev/null)
    return 0
}

# A version that is the minimum with more behind it (5.4.4 and 5.4.4-3+deb12u1) needs no process to be compared.
is_enough() {
    local have=$1 least=$2
    case $have in "$least" | "$least"[-.+]*) return 0 ;; esac
    dpkg --compare-versions "$have" ge "$least"
}

find_missing() {
    local name
    missing=()
    read_installed
    for name in "${names[@]}"; do
        if [ -z "${version[$name]:-}" ] || ! is_enough "${version[$name]}" "${minimum[$name]}"; then missing+=("$name"); fi
    done
}

list_missing() {
    local name
    for name in "${missing[@]}"; do
        printf '  %-22s %-10s %s%s\n' "$name" ">= ${minimum[$name]}" "${why[$name]}" \
            "${version[$name]:+ (here: ${version[$name]})}" >&2
    done
}

find_missing
if [ ${#missing[@]} = 0 ]; then exit 0; fi

if [ $check = yes ] || [ "$(id -u)" != 0 ]; then
    say "${#missing[@]} packages are missing:"
    list_missing
    command="apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    if command -v sudo >/dev/null; then command=${command//apt-get/sudo apt-get}; fi
    say "as root, type:"
    echo "  $command" >&2
    exit 1
fi

# Servers are installed to be started by a demo or a test, on ports of their own: their packages must not start them.
# This is Debian's hook for that. One that is there already is its owner's decision and stays as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] && [ ! -L $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    printf '#!/bin/sh\n# Made by vendor/install.sh for the time of an installation: no package starts a service.\nexit 101\n' >$policy
    chmod 755 $policy
fi

# PostgreSQL's package would make a cluster of its own, which nobody here uses. A file that is there stays as it is.
cluster=/etc/postgresql-common/createcluster.conf
if [[ " ${missing[*]} " == *" postgresql-15 "* ]] && [ ! -e $cluster ]; then
    mkdir -p ${cluster%/*}
    echo 'create_main_cluster = false' >$cluster
fi

say "installing ${#missing[@]} packages: ${missing[*]}"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
# A source that cannot be read is not the end: the packages may come from the others.
if ! "${apt[@]}" update >"$log" 2>&1; then
    grep -E '^(E|W|Err)' "$log" >&2 || tail -5 "$log" >&2
    say "apt-get update failed; going on with the package lists that are here."
fi
status=0
"${apt[@]}" install --no-install-recommends "${missing[@]}" >"$log" 2>&1 || status=$?
find_missing
if [ $status != 0 ] || [ ${#missing[@]} -gt 0 ]; then
    tail -30 "$log" >&2
    say "apt-get install ended with $status; the whole output is in $log."
    if [ ${#missing[@]} -gt 0 ]; then
        say "still missing:"
        list_missing
    fi
    exit 1
fi
rm -f "$log"
