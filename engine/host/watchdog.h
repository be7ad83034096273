/* watchdog: stops a script that computes without ever waiting.
 *
 * A timer on the CPU time of the Lua thread ticks once a second. Only when the same stretch of Lua
 * (between two waits) has eaten its allowance is a hook armed, which raises in the script: no hook
 * slows the normal case. */
#ifndef ENGINE_HOST_WATCHDOG_H
#define ENGINE_HOST_WATCHDOG_H

#include <lua.h>
#include <stdbool.h>

void watchdog_start(lua_State *L, int allowance_s);
void watchdog_stop(void);

/* The stretch of Lua that runs now, if one does, is to end when it has computed for a second: with
 * ERR_INTERRUPTED "interrupted by BY"; not in clean-up, which is let alone. For handlers of signals; by stays
 * valid. */
void watchdog_hurry(const char *by);
bool watchdog_interrupted(void); /* has one been ended so since the last time this was asked? */

#endif
