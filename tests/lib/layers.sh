#!/bin/bash
# The layers: base <- core <- bind <- host <- main. Who includes whom, and who may print.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

passed=0 failed=0
# none WHY PATTERN FILE...: no line of the files matches.
none() {
    local why=$1 pattern=$2 found
    shift 2
    if found=$(grep -nE "$pattern" "$@"); then
        failed=$((failed + 1))
        printf 'FAILED %s\n%s\n' "$why" "$found"
    else
        passed=$((passed + 1))
    fi
}

base=(engine/base/*.[ch]) core=(engine/core/*.[ch]) bind=(engine/bind/*.[ch]) host=(engine/host/*.[ch])
lua='#include [<"](lua|lualib|lauxlib)\.h[>"]'
none "base knows libc only" '#include [<"](uv|curl/|libpq|sqlite3|zstd|openssl/|archive|jansson|microhttpd|readline/)' "${base[@]}"
none "base knows no Lua" "$lua" "${base[@]}"
none "base includes no layer above it" '#include "(core|bind|host)/' "${base[@]}"
none "core knows no Lua" "$lua|\blua_State\b" "${core[@]}"
none "core includes no layer above it" '#include "(bind|host)/' "${core[@]}"
none "bind does not include host" '#include "host/' "${bind[@]}"
# log.c is the one that writes to stderr.
mapfile -t silent < <(printf '%s\n' "${base[@]}" "${core[@]}" | grep -v '/log\.c$')
none "base and core do not print" '(^|[^a-z_])(printf|puts|putchar|perror) *\(|fprintf *\( *std(out|err)' "${silent[@]}"
none "nobody below main exits" '(^|[^a-z_])exit *\(' "${base[@]}" "${core[@]}" "${bind[@]}" "${host[@]}"
none "unit tests know no Lua" "$lua" tests/unit/*.[ch]

echo "$passed passed, $failed failed"
[ $failed = 0 ]
