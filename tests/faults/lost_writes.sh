#!/bin/bash
# The engine killed everywhere, on a disk that loses what was not synced: lost_writes.lua.
# Time limit: 1800 s
#
#   POINTS=24   at how many of the boundaries, twice, and of the journal's writes and syncs (make test-kill: all)
set -u
cd "$(dirname "$0")/../.."
make --no-print-directory -s build/faults/disk.so || exit 1
FAULT_DISK=$PWD/build/faults/disk.so "${ENGINE:-build/engine}" test-file tests/faults/lost_writes.lua
