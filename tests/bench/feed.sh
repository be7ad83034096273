# shellcheck shell=bash
# How many log lines a second one core reads and counts with nothing lost. What HAProxy and wrk reach here, and that every
# line of it arrives, is shown by tests/e2e/metrics.sh.
make --no-print-directory -s build/bench/feed && build/bench/feed
