/* watchdog: stops a script that computes without ever waiting.
 *
 * A timer on the CPU time of the Lua thread ticks once a second. Only when the same stretch of Lua
 * (between two waits) has eaten its allowance is a hook armed, which raises in the script: no hook
 * slows the normal case. */
#ifndef ENGINE_HOST_WATCHDOG_H
#define ENGINE_HOST_WATCHDOG_H

#include <lua.h>

void watchdog_start(lua_State *L, int allowance_s);
void watchdog_stop(void);

#endif
