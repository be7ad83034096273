#!/bin/bash
# Line coverage of engine/**.c after a run of what `make MODE=coverage BUILD=$1` built: a line for each folder and one for
# all. gcov comes with gcc; a file that never ran counts with all its lines.
#
#   tests/lib/coverage.sh BUILD [--files]
set -euo pipefail
build=$1 files=${2:-}

find "$build/obj" -name '*.gcno' | while read -r notes; do
    gcov -n -o "$(dirname "$notes")" "$notes" 2>/dev/null
done | awk -v files="$files" -F"'" '
    /^File / { file = $2; next }
    # A header with inline functions is seen once for each file that includes it; the C file owns the count.
    /^Lines executed:/ && file ~ /^engine\/.*\.c$/ {
        split($0, part, /[:%]| of /)
        lines = part[4]; run = part[2] * lines / 100
        folder = file; sub(/\/[^\/]*$/, "", folder)
        all[folder] += lines; hit[folder] += run; total += lines; ran += run
        if (files != "") printf "  %6.1f %% of %5d lines  %s\n", part[2], lines, file | "sort -n"
        file = ""
    }
    END {
        close("sort -n")
        for (folder in all) printf "coverage: %5.1f %% of %5d lines  %s\n", 100 * hit[folder] / all[folder], all[folder], folder | "sort -k6"
        close("sort -k6")
        if (!total) { print "coverage: nothing was measured"; exit 1 }
        printf "coverage: %.1f %% of %d lines of C\n", 100 * ran / total, total
    }'
