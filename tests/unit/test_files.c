/* Files appear whole; removing stays inside; hashes are right. */
#include "core/files.h"
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[PATH_MAX];

static const char *in(const char *name)
{
    static char paths[4][PATH_MAX + 64];
    static int next;
    char *path = paths[next++ % 4];
    if (folder[0] == '\0' && files_mkdtemp("/tmp/test-files-", folder, NULL) != 0) abort();
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

TEST(what_is_written_is_read)
{
    struct err e;
    struct buf out = BUF_INIT;
    struct files_stat st;
    CHECK_INT(files_write(in("a"), "one\ntwo\nthree\n", 14, 0600, &e), 0);
    CHECK_INT(files_read(in("a"), 14, &out, &e), 0);
    CHECK_STR(buf_str(&out), "one\ntwo\nthree\n");
    CHECK_INT(files_stat(in("a"), true, &st, &e), 0);
    CHECK_INT(st.mode, 0600);
    CHECK_STR(st.type, "file");
    buf_clear(&out);
    CHECK_INT(files_read(in("a"), 13, &out, &e), -ERR_LIMIT);
    buf_clear(&out);
    CHECK_INT(files_read(in("none"), 13, &out, &e), -ERR_NOT_FOUND);
    CHECK_INT(files_read(folder, 13, &out, &e), -ERR_IO);
    CHECK_INT(files_append(in("a"), "four\n", 5, 0600, &e), 0);
    buf_clear(&out);
    CHECK_INT(files_read_tail(in("a"), 12, &out, &e), 0);
    CHECK_STR(buf_str(&out), "three\nfour\n");
    buf_clear(&out);
    CHECK_INT(files_read_tail(in("a"), 11, &out, &e), 0); /* exactly at a line's beginning */
    CHECK_STR(buf_str(&out), "three\nfour\n");
    buf_clear(&out);
    CHECK_INT(files_read_tail(in("a"), 1000, &out, &e), 0);
    CHECK_INT(out.len, 19);
    buf_release(&out);
}

TEST(a_failed_write_leaves_the_old_file_and_nothing_beside_it)
{
    struct err e;
    struct buf names = BUF_INIT;
    CHECK_INT(files_mkdir(in("w/target"), 0700, &e), 0); /* a folder cannot be replaced by a file */
    CHECK(files_write(in("w/target"), "x", 1, 0600, &e) < 0);
    CHECK_INT(files_list(in("w"), &names, &e), 0);
    CHECK_INT(names.len, 7);
    CHECK_STR(buf_str(&names), "target");
    CHECK_INT(files_write(in("none/x"), "x", 1, 0600, &e), -ERR_NOT_FOUND);
    buf_release(&names);
}

/* The child has written half of it, and dies when it is told to. */
static pid_t start_half_a_write(const char *path, int *told)
{
    int pipes[2];
    char ready;
    if (pipe(pipes) != 0) abort();
    pid_t pid = fork();
    if (pid == 0) {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0 || flock(fd, LOCK_EX) != 0 || write(fd, "half", 4) != 4) _exit(1);
        if (write(pipes[1], "x", 1) != 1) _exit(1);
        for (;;)
            pause();
    }
    close(pipes[1]);
    *told = read(pipes[0], &ready, 1) == 1;
    close(pipes[0]);
    return pid;
}

static void *kill_soon(void *arg)
{
    usleep(50000);
    kill(*(pid_t *)arg, SIGKILL);
    return NULL;
}

TEST(what_a_killed_writer_left_is_removed_by_the_next_and_one_that_lives_is_waited_for)
{
    struct err e;
    struct buf out = BUF_INIT, names = BUF_INIT;
    pthread_t thread;
    int told = 0;
    CHECK_INT(files_mkdir(in("k"), 0700, &e), 0);
    CHECK_INT(files_append(in("k/a.0.tmp"), "half", 4, 0600, &e), 0);
    CHECK_INT(files_write(in("k/a"), "whole", 5, 0600, &e), 0);
    pid_t pid = start_half_a_write(in("k/a.0.tmp"), &told);
    CHECK(told);
    CHECK_INT(pthread_create(&thread, NULL, kill_soon, &pid), 0);
    CHECK_INT(files_write(in("k/a"), "again", 5, 0600, &e), 0);
    CHECK_INT(waitpid(pid, NULL, WNOHANG), pid); /* it did not write beside one that lived */
    pthread_join(thread, NULL);
    CHECK_INT(files_read(in("k/a"), 100, &out, &e), 0);
    CHECK_STR(buf_str(&out), "again");
    CHECK_INT(files_list(in("k"), &names, &e), 0);
    CHECK_STR(buf_str(&names), "a");
    CHECK_INT(names.len, 2);
    CHECK_INT(files_symlink("nowhere", in("k/a.0.tmp"), false, &e), 0); /* is no way to another file */
    CHECK_INT(files_write(in("k/a"), "third", 5, 0600, &e), 0);
    CHECK_INT(files_mkdir(in("k/b.0.tmp"), 0700, &e), 0);
    CHECK(files_write(in("k/b"), "x", 1, 0600, &e) < 0);
    buf_release(&out);
    buf_release(&names);
}

static char shared_path[PATH_MAX + 64];

static void *write_many(void *arg)
{
    struct err e;
    char text[5000];
    memset(text, *(char *)arg, sizeof text);
    for (int i = 0; i < 20; i++)
        if (files_write(shared_path, text, sizeof text, 0600, &e) != 0) return arg;
    return NULL;
}

TEST(several_writers_of_one_file_leave_one_of_them_whole)
{
    struct err e;
    struct buf out = BUF_INIT, names = BUF_INIT;
    pthread_t threads[4];
    char letters[] = "abcd";
    CHECK_INT(files_mkdir(in("m"), 0700, &e), 0);
    snprintf(shared_path, sizeof shared_path, "%s", in("m/a"));
    for (int i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, write_many, &letters[i]), 0);
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
    CHECK_INT(files_read(in("m/a"), 5000, &out, &e), 0);
    CHECK_INT(out.len, 5000);
    for (size_t i = 1; i < out.len; i++)
        if (out.data[i] != out.data[0]) CHECK_INT(i, 0);
    CHECK_INT(files_list(in("m"), &names, &e), 0);
    CHECK_INT(names.len, 2);
    buf_release(&out);
    buf_release(&names);
}

TEST(names_come_in_order)
{
    struct err e;
    struct buf names = BUF_INIT;
    static const char *const made[] = {"l/b", "l/a", "l/c"};
    CHECK_INT(files_mkdir(in("l"), 0700, &e), 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(files_write(in(made[i]), "", 0, 0600, &e), 0);
    CHECK_INT(files_list(in("l"), &names, &e), 0);
    CHECK_INT(names.len, 6);
    CHECK(memcmp(names.data, "a\0b\0c", 6) == 0);
    buf_release(&names);
}

TEST(removing_a_tree_does_not_follow_links)
{
    struct err e;
    struct files_stat st;
    CHECK_INT(files_mkdir(in("keep"), 0700, &e), 0);
    CHECK_INT(files_write(in("keep/file"), "x", 1, 0600, &e), 0);
    CHECK_INT(files_mkdir(in("tree/a/b"), 0700, &e), 0);
    CHECK_INT(files_symlink(in("keep"), in("tree/a/link"), false, &e), 0);
    CHECK_INT(files_remove_tree(in("tree"), &e), 0);
    CHECK_INT(files_stat(in("tree"), true, &st, &e), -ERR_NOT_FOUND);
    CHECK_INT(files_stat(in("keep/file"), true, &st, &e), 0);
    CHECK_INT(files_remove_tree(in("tree"), &e), 0); /* gone already */
    CHECK_INT(files_symlink(in("keep"), in("link"), false, &e), 0);
    CHECK_INT(files_remove_tree(in("link"), &e), 0);
    CHECK_INT(files_stat(in("keep/file"), true, &st, &e), 0);
    CHECK_INT(files_remove_tree("/", &e), -ERR_USAGE);
    CHECK_INT(files_remove_tree("//../.", &e), -ERR_USAGE);
    CHECK_INT(files_remove_tree(".", &e), -ERR_USAGE);
}

TEST(links_are_replaced_in_one_step_and_files_are_not)
{
    struct err e;
    char text[PATH_MAX];
    CHECK_INT(files_symlink("one", in("current"), false, &e), 0);
    CHECK_INT(files_symlink("two", in("current"), false, &e), -ERR_EXISTS);
    CHECK_INT(files_symlink("two", in("current"), true, &e), 0);
    ssize_t n = readlink(in("current"), text, sizeof text - 1);
    CHECK_INT(n, 3);
    CHECK(memcmp(text, "two", 3) == 0);
    CHECK_INT(files_write(in("plain"), "x", 1, 0644, &e), 0);
    CHECK_INT(files_symlink("two", in("plain"), true, &e), -ERR_EXISTS);
}

TEST(a_second_name_is_the_same_file)
{
    struct err e;
    struct buf out = BUF_INIT;
    CHECK_INT(files_write(in("first"), "bytes", 5, 0600, &e), 0);
    CHECK_INT(files_hard_link(in("first"), in("second"), &e), 0);
    CHECK_INT(files_hard_link(in("first"), in("second"), &e), -ERR_EXISTS);
    CHECK_INT(files_hard_link(in("no first"), in("third"), &e), -ERR_NOT_FOUND);
    CHECK_INT(files_remove(in("first"), &e), 0);
    CHECK_INT(files_read(in("second"), 10, &out, &e), 0);
    CHECK_STR(buf_str(&out), "bytes");
    buf_release(&out);
}

TEST(copies_keep_the_mode)
{
    struct err e;
    struct files_stat st;
    CHECK_INT(files_write(in("tool"), "#!/bin/sh\n", 10, 0755, &e), 0);
    CHECK_INT(files_copy(in("tool"), in("tool2"), &e), 0);
    CHECK_INT(files_stat(in("tool2"), true, &st, &e), 0);
    CHECK_INT(st.mode, 0755);
    CHECK_INT(st.size_bytes, 10);
    CHECK_INT(files_copy(in("none"), in("tool3"), &e), -ERR_NOT_FOUND);
}

TEST(hashes_of_texts_and_files_agree)
{
    struct err e;
    char a[65], b[65];
    CHECK_INT(files_sha256_text("abc", 3, a, &e), 0);
    CHECK_STR(a, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_INT(files_write(in("abc"), "abc", 3, 0600, &e), 0);
    CHECK_INT(files_sha256(in("abc"), NULL, NULL, b, &e), 0);
    CHECK_STR(b, a);
    CHECK_INT(files_sha256(in("none"), NULL, NULL, b, &e), -ERR_NOT_FOUND);
    atomic_bool canceled = true;
    CHECK_INT(files_sha256(in("abc"), &canceled, NULL, b, &e), -ERR_CANCELED);
}

TEST(zz_the_folder_is_removed_at_the_end)
{
    if (folder[0] != '\0') CHECK_INT(files_remove_tree(folder, NULL), 0);
}

TEST_MAIN()
