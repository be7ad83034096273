#!/bin/bash
# vendor/: the list is well formed, the installer refuses what it must and says what is missing, the SBOM is whole.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
passed=0 failed=0
check() { # check NAME COMMAND...
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED %s\n%s\n' "$name" "$out"
    fi
}

well_formed() {
    awk -F'\t' '
        NR == 1 { if ($0 != "package\tminimum\tscope\tlicence\twhy") { print "line 1: " $0; bad = 1 } next }
        NF != 5 { print "line " NR ": " NF " columns"; bad = 1 }
        $3 !~ /^(run|build|test|demo|bench)$/ { print "line " NR ": scope " $3; bad = 1 }
        $2 !~ /^([0-9]+:)?[0-9][0-9.]*$/ { print "line " NR ": version " $2; bad = 1 }
        $4 == "" || $5 !~ /\.$/ { print "line " NR ": no licence, or no sentence"; bad = 1 }
        seen[$1]++ { print "line " NR ": " $1 " twice"; bad = 1 }
        END { exit bad || NR < 10 }' vendor/packages.tsv
}

# ends CODE PATTERN COMMAND...: it ends with the code and says the pattern.
ends() {
    local code=$1 pattern=$2 out status=0
    shift 2
    out=$("$@" 2>&1) || status=$?
    [ "$status" = "$code" ] && grep -Eq "$pattern" <<<"$out" && return
    printf 'exit %s, expected %s, with %s in:\n%s\n' "$status" "$code" "$pattern" "$out"
    return 1
}

# A dpkg-query that knows only an old gcc.
mkdir "$DIR/bin"
printf '#!/bin/sh\nprintf "installed\\tgcc\\t4:4.9\\ninstalled\\tmake\\t4.3-4.1\\nconfig-files\\thaproxy\\t2.6.12-1\\n"\nexit 1\n' >"$DIR/bin/dpkg-query"
chmod +x "$DIR/bin/dpkg-query"
printf 'ID=fedora\nVERSION_ID=40\nPRETTY_NAME="Fedora Linux 40"\n' >"$DIR/os-release"

check "packages.tsv" well_formed
check "an unknown option" ends 2 "'--chek' is no option" vendor/install.sh --chek
check "an unknown scope" ends 2 "no scope 'bulid'" vendor/install.sh --scope run,bulid
check "another system" ends 1 'Fedora Linux 40.*Debian 12' env OS_RELEASE="$DIR/os-release" vendor/install.sh
if grep -q '^VERSION_ID="12"' /etc/os-release && grep -q '^ID=debian' /etc/os-release; then
    check "missing is listed with its reason" ends 1 'haproxy +>= 2.6 +The proxy' env PATH="$DIR/bin:$PATH" vendor/install.sh --check
    check "too old is said" ends 1 'gcc +>= 4:12 .*\(here: 4:4.9\)' env PATH="$DIR/bin:$PATH" vendor/install.sh --check
    check "the command to type" ends 1 'apt-get install --no-install-recommends gcc libc6-dev pkg-config' env PATH="$DIR/bin:$PATH" vendor/install.sh --check --scope build
    check "nothing missing, nothing said" ends 0 '^$' vendor/install.sh --check
    check "the SBOM names what is installed" ends 0 '' vendor/sbom.sh "$DIR/sbom.json"
    check "the SBOM is JSON, with one purl a package" ends 0 '^pkg:deb/debian/haproxy@2' \
        sed -n 's/.*"referenceLocator": "\(.*\)".*/\1/p' "$DIR/sbom.json"
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
