/* boundary: the instants at which it matters if the engine dies: just before and just after something becomes
 * durable or the world changes. Whoever passes one names it.
 *
 * Nothing happens there unless a test asks for it by the environment:
 *   ENGINE_BOUNDARIES=FILE   every boundary is appended to FILE as "number name"
 *   ENGINE_KILL_AT=N         at the Nth boundary the process kills itself with SIGKILL
 * Numbers begin with 1 and count in the order in which a process passes them. */
#ifndef ENGINE_CORE_BOUNDARY_H
#define ENGINE_CORE_BOUNDARY_H

void boundary_pass(const char *name);

#endif
