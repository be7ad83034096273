/* backup_files: a file tree as one pax tar stream through zstd, and back. Blocking.
 *
 * Names in the archive are relative to the tree. Symbolic links are stored as links, hard links as hard
 * links, holes as holes; with ACLs and extended attributes. Sockets, pipes and devices are left out and
 * counted. */
#ifndef ENGINE_CORE_BACKUP_FILES_H
#define ENGINE_CORE_BACKUP_FILES_H

#include "core/meter.h"
#include "core/pack.h"

#include <stdatomic.h>

struct backup_tree {
    struct pack_result pack;
    uint64_t entries, skipped;
};

/* Fails if a file cannot be read or becomes shorter while it is. */
int backup_files_pack(const char *tree, const char *to, int level, const char *passphrase,
                      atomic_bool *canceled, struct meter *meter, struct backup_tree *out, struct err *e);

/* `into` must be an empty folder. The archive may be hostile: what leads out of the folder, goes through a
 * link, comes twice or is neither file, folder nor link is refused by name, and nothing more is extracted.
 * Nothing gets set-user-id and set-group-id bits, or file capabilities. */
int backup_files_unpack(const char *from, const struct pack_expected *expected, const char *into,
                        atomic_bool *canceled, struct meter *meter, uint64_t *entries, struct err *e);

#endif
