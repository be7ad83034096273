#include "core/proc_env.h"

#include "base/mem.h"

#include <string.h>
#include <unistd.h>

static bool add(struct proc_env *env, char *item)
{
    if (env->count + 2 > env->cap) {
        size_t cap = env->cap ? env->cap * 2 : 64;
        char **items = mem_realloc(env->items, cap * sizeof *items);
        if (items == NULL) return false;
        env->items = items;
        env->cap = cap;
    }
    env->items[env->count++] = item;
    env->items[env->count] = NULL;
    return true;
}

static void drop(char *item)
{
    explicit_bzero(item, strlen(item));
    mem_free(item);
}

static void add_or_drop(struct proc_env *env, char *item)
{
    if (item != NULL && add(env, item)) return;
    if (item != NULL) drop(item);
    env->failed = true;
}

void proc_env_init(struct proc_env *env, bool clean)
{
    *env = (struct proc_env){0};
    if (clean) return;
    for (char **item = environ; item != NULL && *item != NULL; item++)
        add_or_drop(env, mem_strdup(*item));
}

void proc_env_remove(struct proc_env *env, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < env->count;) {
        if (strncmp(env->items[i], name, len) != 0 || env->items[i][len] != '=') {
            i++;
            continue;
        }
        drop(env->items[i]);
        env->items[i] = env->items[--env->count];
        env->items[env->count] = NULL;
    }
}

void proc_env_set(struct proc_env *env, const char *name, const char *value, size_t value_len)
{
    proc_env_remove(env, name);
    size_t name_len = strlen(name);
    char *item = mem_alloc(name_len + value_len + 2);
    if (item != NULL) {
        memcpy(item, name, name_len);
        item[name_len] = '=';
        memcpy(item + name_len + 1, value, value_len);
        item[name_len + 1 + value_len] = '\0';
    }
    add_or_drop(env, item);
}

void proc_env_release(struct proc_env *env)
{
    for (size_t i = 0; i < env->count; i++)
        drop(env->items[i]);
    mem_free(env->items);
    *env = (struct proc_env){0};
}

bool proc_env_is_name(const char *name)
{
    if (name[0] == '\0') return false;
    for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++)
        if (*p == '=' || *p < 0x20 || *p == 0x7F) return false;
    return true;
}
