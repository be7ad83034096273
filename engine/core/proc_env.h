/* proc_env: the environment of a new process: ours, or an empty one, with changes. */
#ifndef ENGINE_CORE_PROC_ENV_H
#define ENGINE_CORE_PROC_ENV_H

#include <stdbool.h>
#include <stddef.h>

struct proc_env {
    char **items; /* "NAME=value"..., NULL */
    size_t count, cap;
    bool failed; /* no memory; asked once at the end, as with a buf */
};

void proc_env_init(struct proc_env *env, bool clean); /* clean: empty; otherwise a copy of ours */
void proc_env_set(struct proc_env *env, const char *name, const char *value, size_t value_len);
void proc_env_remove(struct proc_env *env, const char *name);
void proc_env_release(struct proc_env *env); /* wipes it first: values may be secrets */

/* Can it be a name? Not empty, no '=' and no control characters. */
bool proc_env_is_name(const char *name);

#endif
