#!/bin/bash
# The tests. Everything is found, nothing is listed: a new file under tests/ runs at the next call.
#
#   tests/run.sh [WHAT [NAME...]]     NAME keeps the suites whose name contains one of the words
#
#   default    everything below, in this order                       (make test)
#   static     layout of C files, headers alone, layers, packages, generated pages
#   unit       tests/unit/test_*.c, built by gcc
#   lua        tests/lua/test_*.lua inside the engine, and playbooks/**/*_test.lua in simulated worlds, built by gcc
#   valgrind   the unit tests under valgrind
#   asan       unit and Lua tests built by clang with AddressSanitizer, LeakSanitizer and UBSan   (make asan)
#   coverage   line coverage of the C code by unit and Lua tests      (make coverage)
#   e2e        tests/faults/*.sh, where things die, and tests/e2e/*.sh, both with real servers
#
# A suite prints `N passed, N failed` as its last line; one that does not, or that ends with an error and no failed test,
# counts as one failed test. A suite that passes is one line; one that fails is shown whole. The last line is the sum.
# A suite that leaves a process behind has one failed test more.
# A suite is stopped after 300 s, a script after 600 s or what a line `# Time limit: N s` of it says.
# TEST_JOBS suites run side by side (default: one more than there are processors, as many wait); of e2e two, which wait more than they compute and have response times to keep.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
export LC_ALL=C.UTF-8
unset MAKEFLAGS MAKELEVEL MFLAGS ENGINE

JOBS=${TEST_JOBS:-$(($(nproc) + 1))}
SERVERS=2
what=${1:-default}
shift $(($# > 0))
filters=("$@")

# --one COMMAND...: a command as a suite of one test; for this script's own use.
if [ "$what" = --one ]; then
    "$@" && echo "1 passed, 0 failed" && exit 0
    echo "0 passed, 1 failed"
    exit 1
fi

OUT=build/test
rm -rf "$OUT"
mkdir -p "$OUT"

stop() {
    trap - INT TERM
    # shellcheck disable=SC2046 # process ids
    kill $(jobs -p) 2>/dev/null
    wait
    echo "interrupted"
    exit 130
}
trap stop INT TERM

is_wanted() {
    local word
    [ ${#filters[@]} = 0 ] && return 0
    for word in "${filters[@]}"; do [[ $1 == *"$word"* ]] && return 0; done
    return 1
}

# leftovers TOKEN: the processes that a suite left behind, known by a variable of their environment.
leftovers() {
    local environ pid
    for environ in $(grep -lazs "^ENGINE_TEST_SUITE=$1\$" /proc/[0-9]*/environ); do
        pid=${environ#/proc/} pid=${pid%/environ}
        [ "$pid" = $BASHPID ] || echo "$pid"
    done
}

# run_suite NAME SECONDS COMMAND...: runs it to its end and records what came of it.
run_suite() {
    local name=$1 limit=$2 file=$OUT/${1//[ \/]/-} start=${EPOCHREALTIME/./} status=0 passed=0 failed=0 last took note=
    shift 2
    if [ -e "$file.out" ]; then echo "tests/run.sh: two suites are called $name" >&2 && echo "0 1" >"$file-twice.count" && return 1; fi
    local token="$$:$name" left pid tries=0
    ENGINE_TEST_SUITE=$token timeout --kill-after=10 "$limit" "$@" >"$file.out" 2>&1 </dev/null &
    local child=$!
    trap 'kill $child 2>/dev/null; wait $child; exit 130' INT TERM
    wait $child || status=$?
    # What was told to end may need a moment.
    while left=$(leftovers "$token") && [ -n "$left" ] && [ $((tries += 1)) -le 30 ]; do sleep 0.1; done
    took=$((${EPOCHREALTIME/./} - start))
    last=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$file.out" | tail -1)
    if [ -n "$last" ]; then
        passed=${last%% *} failed=${last#*, } failed=${failed%% *}
    else
        note=" (no count of tests)"
    fi
    if [ $status = 124 ] || [ $status = 137 ]; then note=" (stopped after $limit s)"; fi
    if [ "$failed" = 0 ] && { [ $status != 0 ] || [ -z "$last" ]; }; then
        failed=1
        note="$note (exit $status)"
    fi
    if [ -n "$left" ]; then
        failed=$((failed + 1))
        note="$note (left processes behind)"
        for pid in $left; do
            echo "left behind: $pid $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")" >>"$file.out"
            kill "$pid" 2>/dev/null
        done
    fi
    echo "$passed $failed" >"$file.count"
    {
        flock 9
        if [ "$failed" = 0 ]; then
            printf 'ok      %-32s %4d passed %7d.%d s\n' "$name" "$passed" $((took / 1000000)) $((took / 100000 % 10))
        else
            printf 'FAILED  %-32s %4d passed, %d failed%s\n' "$name" "$passed" "$failed" "$note"
            sed 's/^/        | /' "$file.out"
        fi
    } 9>"$OUT/lock"
    [ "$failed" = 0 ]
}

# suite NAME SECONDS COMMAND...: the same beside others, as soon as there is a free place.
suite() {
    is_wanted "$1" || return 0
    while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n; done
    run_suite "$@" &
}

# build NAME MAKE-ARGUMENTS...: a suite of one test, and the condition of those that need what it builds.
build() {
    local name=$1
    shift
    wait
    (run_suite "build $name" 600 tests/run.sh --one make --no-print-directory -j"$JOBS" "$@")
}

unit_suites() { # unit_suites LABEL BUILD [COMMAND...]
    local label=$1 folder=$2 file
    shift 2
    for file in tests/unit/test_*.c; do
        file=$(basename "$file" .c)
        suite "$label unit/$file" 300 "$@" "$folder/unit/$file"
    done
}

lua_suites() { # lua_suites LABEL BUILD
    local file
    for file in tests/lua/test_*.lua tests/playbooks/test_*.lua; do
        [ -e "$file" ] || continue
        suite "$1 ${file:6:-4}" 300 "$2/engine" test-file "$file"
    done
    for file in $(find playbooks -name '*_test.lua' | sort); do
        suite "$1 ${file%.lua}" 300 "$2/engine" test "$file"
    done
}

what_static() {
    suite "static layout" 120 tests/run.sh --one make --no-print-directory format-check
    suite "static headers" 300 tests/run.sh --one make --no-print-directory hdr-check
    suite "static layers" 60 tests/lib/layers.sh
    suite "static packages" 60 tests/lib/packages.sh
}

what_unit() {
    build gcc CC=gcc all unit || return
    unit_suites gcc build
}

what_lua() {
    [ "$what" = default ] || build gcc CC=gcc all || return
    lua_suites gcc build
    if [ -e tools/reference.lua ]; then
        suite "static reference" 120 tests/run.sh --one build/engine tools/reference.lua --check
    fi
}

what_valgrind() {
    [ "$what" = default ] || build gcc CC=gcc unit || return
    # Valgrind runs one thread at a time; --fair-sched keeps a thread that polls from starving the others.
    unit_suites valgrind build valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --fair-sched=yes
}

what_asan() {
    build asan BUILD=build/asan CC=clang SANITIZE=address,undefined all unit || return
    # addr2line comes with the compiler; without it or llvm-symbolizer a report would have no lines.
    export ASAN_OPTIONS=detect_leaks=1:allow_addr2line=1:strict_string_checks=1:detect_stack_use_after_return=1
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    unit_suites asan build/asan
    lua_suites asan build/asan
    wait
    unset ASAN_OPTIONS UBSAN_OPTIONS
}

what_coverage() {
    build coverage BUILD=build/coverage CC=gcc MODE=coverage all unit || return
    find build/coverage -name '*.gcda' -delete
    unit_suites coverage build/coverage
    lua_suites coverage build/coverage
    wait
    tests/lib/coverage.sh build/coverage | tee "$OUT/coverage.txt"
}

what_e2e() {
    local file limit
    [ "$what" = default ] || build gcc CC=gcc all || return
    wait
    # Those where things die take longest: the others fill the time beside them.
    for file in tests/faults/*.sh tests/e2e/*.sh; do
        [ -e "$file" ] || continue
        is_wanted "gcc ${file:6:-3}" || continue
        limit=$(sed -n 's/^# Time limit: \([0-9]*\) s.*/\1/p' "$file" | head -1)
        while [ "$(jobs -rp | wc -l)" -ge $SERVERS ]; do wait -n; done
        run_suite "gcc ${file:6:-3}" "${limit:-600}" bash "$file" &
    done
    wait
}

case $what in
default)
    what_static
    if what_unit; then
        what_lua
        what_valgrind
        what_asan
        what_coverage
        what_e2e
    fi
    ;;
static | unit | lua | valgrind | asan | coverage | e2e) "what_$what" ;;
*)
    echo "tests/run.sh: there is no '$what'; one of default static unit lua valgrind asan coverage e2e" >&2
    exit 2
    ;;
esac
wait

read -r passed failed < <(cat "$OUT"/*.count 2>/dev/null | awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }')
if [ "$what" = default ] && [ -s "$OUT/coverage.txt" ]; then tail -1 "$OUT/coverage.txt"; fi
if [ ${#filters[@]} -gt 0 ] && [ -z "$(find "$OUT" -name '*.count' ! -name 'build-*')" ]; then
    echo "no suite of $what has ${filters[*]} in its name"
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
