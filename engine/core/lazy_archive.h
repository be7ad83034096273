/* lazy_archive: libarchive, loaded on first use (see lazy.h). */
#ifndef ENGINE_CORE_LAZY_ARCHIVE_H
#define ENGINE_CORE_LAZY_ARCHIVE_H

#include "core/lazy.h"

#include <archive.h>
#include <archive_entry.h>

int lazy_archive(struct err *e); /* 0, or -ERR_NOT_FOUND */

#define LAZY_ARCHIVE_LIST(X)                                                                                 \
    X(archive_error_string)                                                                                  \
    X(archive_write_new)                                                                                     \
    X(archive_write_set_format_pax_restricted)                                                               \
    X(archive_write_open2)                                                                                   \
    X(archive_write_header)                                                                                  \
    X(archive_write_data)                                                                                    \
    X(archive_write_close)                                                                                   \
    X(archive_write_free)                                                                                    \
    X(archive_read_new)                                                                                      \
    X(archive_read_support_format_tar)                                                                       \
    X(archive_read_open2)                                                                                    \
    X(archive_read_next_header)                                                                              \
    X(archive_read_free)                                                                                     \
    X(archive_read_data_block)                                                                               \
    X(archive_read_disk_new)                                                                                 \
    X(archive_read_disk_set_behavior)                                                                        \
    X(archive_entry_new)                                                                                     \
    X(archive_entry_free)                                                                                    \
    X(archive_entry_clear)                                                                                   \
    X(archive_entry_pathname)                                                                                \
    X(archive_entry_set_pathname)                                                                            \
    X(archive_entry_hardlink)                                                                                \
    X(archive_entry_size)                                                                                    \
    X(archive_write_set_bytes_per_block)                                                                     \
    X(archive_write_set_bytes_in_last_block)                                                                 \
    X(archive_read_disk_entry_from_file)                                                                     \
    X(archive_entry_linkify)                                                                                 \
    X(archive_entry_linkresolver_new)                                                                        \
    X(archive_entry_linkresolver_set_strategy)                                                               \
    X(archive_entry_linkresolver_free)                                                                       \
    X(archive_entry_copy_stat)                                                                               \
    X(archive_entry_set_symlink)                                                                             \
    X(archive_entry_sparse_reset)                                                                            \
    X(archive_entry_sparse_next)                                                                             \
    X(archive_entry_filetype)                                                                                \
    X(archive_entry_perm)                                                                                    \
    X(archive_entry_xattr_reset)                                                                             \
    X(archive_entry_xattr_next)                                                                              \
    X(archive_entry_mtime)                                                                                   \
    X(archive_entry_mtime_nsec)                                                                              \
    X(archive_entry_mtime_is_set)                                                                            \
    X(archive_entry_symlink)

#define X(fn) extern __typeof__(fn) *LAZY_SLOT(fn);
LAZY_ARCHIVE_LIST(X)
#undef X

#ifndef LAZY_DEFINING
#define archive_error_string                    lazy_archive_error_string
#define archive_write_new                       lazy_archive_write_new
#define archive_write_set_format_pax_restricted lazy_archive_write_set_format_pax_restricted
#define archive_write_open2                     lazy_archive_write_open2
#define archive_write_header                    lazy_archive_write_header
#define archive_write_data                      lazy_archive_write_data
#define archive_write_close                     lazy_archive_write_close
#define archive_write_free                      lazy_archive_write_free
#define archive_read_new                        lazy_archive_read_new
#define archive_read_support_format_tar         lazy_archive_read_support_format_tar
#define archive_read_open2                      lazy_archive_read_open2
#define archive_read_next_header                lazy_archive_read_next_header
#define archive_read_free                       lazy_archive_read_free
#define archive_read_data_block                 lazy_archive_read_data_block
#define archive_read_disk_new                   lazy_archive_read_disk_new
#define archive_read_disk_set_behavior          lazy_archive_read_disk_set_behavior
#define archive_entry_new                       lazy_archive_entry_new
#define archive_entry_free                      lazy_archive_entry_free
#define archive_entry_clear                     lazy_archive_entry_clear
#define archive_entry_pathname                  lazy_archive_entry_pathname
#define archive_entry_set_pathname              lazy_archive_entry_set_pathname
#define archive_entry_hardlink                  lazy_archive_entry_hardlink
#define archive_entry_size                      lazy_archive_entry_size
#define archive_write_set_bytes_per_block       lazy_archive_write_set_bytes_per_block
#define archive_write_set_bytes_in_last_block   lazy_archive_write_set_bytes_in_last_block
#define archive_read_disk_entry_from_file       lazy_archive_read_disk_entry_from_file
#define archive_entry_linkify                   lazy_archive_entry_linkify
#define archive_entry_linkresolver_new          lazy_archive_entry_linkresolver_new
#define archive_entry_linkresolver_set_strategy lazy_archive_entry_linkresolver_set_strategy
#define archive_entry_linkresolver_free         lazy_archive_entry_linkresolver_free
#define archive_entry_copy_stat                 lazy_archive_entry_copy_stat
#define archive_entry_set_symlink               lazy_archive_entry_set_symlink
#define archive_entry_sparse_reset              lazy_archive_entry_sparse_reset
#define archive_entry_sparse_next               lazy_archive_entry_sparse_next
#define archive_entry_filetype                  lazy_archive_entry_filetype
#define archive_entry_perm                      lazy_archive_entry_perm
#define archive_entry_xattr_reset               lazy_archive_entry_xattr_reset
#define archive_entry_xattr_next                lazy_archive_entry_xattr_next
#define archive_entry_mtime                     lazy_archive_entry_mtime
#define archive_entry_mtime_nsec                lazy_archive_entry_mtime_nsec
#define archive_entry_mtime_is_set              lazy_archive_entry_mtime_is_set
#define archive_entry_symlink                   lazy_archive_entry_symlink
#endif

#endif
