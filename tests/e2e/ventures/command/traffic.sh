#!/bin/sh
# A team's own way to move traffic: set BLUE GREEN, get, ready COLOUR, drain COLOUR, maintenance COLOUR.
set -eu
ask() { echo "$1" | socat -t 5 stdio "UNIX-CONNECT:$DEMO_HAPROXY"; }
case "$1" in
set)
  if [ "$2" -gt 0 ]; then ask "set server app/blue1 weight $2" > /dev/null; fi
  ask "set server app/green1 weight $3" > /dev/null
  ask "set server app/blue1 weight $2" > /dev/null ;;
get) ask "show stat" | awk -F, '$1 == "app" && $2 == "blue1" { b = $19 } $1 == "app" && $2 == "green1" { g = $19 } END { printf "{\"blue\": %d, \"green\": %d}\n", b, g }' ;;
ready) ask "set server app/${2}1 state ready" > /dev/null ;;
drain | maintenance) ask "set server app/${2}1 weight 0" > /dev/null; if [ "$1" = maintenance ]; then ask "set server app/${2}1 state maint" > /dev/null; fi ;;
*) exit 2 ;;
esac
