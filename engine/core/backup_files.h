/* backup_files: a file tree as one pax tar stream through zstd, and back. Blocking.
 *
 * Names in the archive are relative to the tree. Symbolic links are stored as links. Extraction refuses
 * absolute names, "..", and writing through links. */
#ifndef ENGINE_CORE_BACKUP_FILES_H
#define ENGINE_CORE_BACKUP_FILES_H

#include "core/pack.h"

#include <stdatomic.h>

int backup_files_pack(const char *tree, const char *to, int level, const char *passphrase,
                      atomic_bool *canceled, struct pack_result *out, uint64_t *entries, struct err *e);
/* `into` must be an existing folder. */
int backup_files_unpack(const char *from, const char *expected_sha256, const char *passphrase,
                        const char *into, uint64_t *entries, struct err *e);

#endif
