/* SPDX-License-Identifier: Apache-2.0
 * Files that are whole or absent: names, permissions, what is left of others, and what is no file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch_folder.h"
#include "temporary.h"

static void assert_holds(const char *path, const char *text)
{
    char found[64] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(found, 1, sizeof found - 1, file);
    fclose(file);
    found[n] = 0;
    assert_string_equal(found, text);
}

static void assert_written(const char *path, const char *text)
{
    assert_int_equal(trk_temporary_write(path, text, strlen(text)), TRK_OK);
    assert_holds(path, text);
}

static void the_old_file_is_there_until_the_new_one_is_whole(void **state)
{
    (void)state;
    trk_temporary file;
    int descriptor;
    assert_written("a", "old");
    assert_int_equal(trk_temporary_find(&file, "a"), TRK_OK);
    assert_int_equal(trk_temporary_open(&file, &descriptor), TRK_OK);
    assert_int_equal(trk_write_all(descriptor, "new", 3), TRK_OK);
    close(descriptor);
    assert_holds("a", "old");
    trk_temporary_discard(&file);
    assert_holds("a", "old");
    assert_written("a", "new");
    unlink("a");
}

static void permissions_are_those_of_the_file_replaced(void **state)
{
    (void)state;
    struct stat info;
    assert_written("secret", "1");
    static const mode_t modes[] = {0600, 0444};
    for (int i = 0; i < 2; i++) {
        trk_temporary file;
        int descriptor;
        assert_int_equal(chmod("secret", modes[i]), 0);
        assert_int_equal(trk_temporary_find(&file, "secret"), TRK_OK);
        assert_int_equal(trk_temporary_open(&file, &descriptor), TRK_OK);
        assert_int_equal(fstat(descriptor, &info), 0);
        assert_int_equal(info.st_mode & 0777, 0600); /* FFmpeg opens it once more to write */
        close(descriptor);
        assert_int_equal(trk_temporary_commit(&file), TRK_OK);
        trk_temporary_discard(&file);
        assert_int_equal(stat("secret", &info), 0);
        assert_int_equal(info.st_mode & 0777, modes[i]);
    }
    unlink("secret");
}

/* Only root may give files away: in a container, say, with somebody's folder in it. */
static void the_owner_stays(void **state)
{
    (void)state;
    enum { OWNER = 4321, GROUP = 1234 };
    struct stat info;
    if (geteuid())
        skip();
    assert_written("theirs", "1");
    if (chown("theirs", OWNER, GROUP)) {
        unlink("theirs");
        skip(); /* a container without other users */
    }
    assert_int_equal(chmod("theirs", 0640), 0);
    assert_written("theirs", "2");
    assert_int_equal(stat("theirs", &info), 0);
    assert_true(info.st_uid == OWNER && info.st_gid == GROUP && (info.st_mode & 0777) == 0640);
    unlink("theirs");
}

static void any_name_a_file_may_have_will_do(void **state)
{
    (void)state;
    char longest[NAME_MAX + 1];
    memset(longest, 'x', NAME_MAX);
    longest[NAME_MAX] = 0;
    assert_written(longest, "long");
    unlink(longest);
    char too_long[NAME_MAX + 2];
    memset(too_long, 'x', NAME_MAX + 1);
    too_long[NAME_MAX + 1] = 0;
    trk_temporary file;
    int descriptor;
    assert_int_equal(trk_temporary_find(&file, too_long), TRK_OK);
    assert_int_equal(trk_temporary_open(&file, &descriptor), TRK_E_IO); /* before hours of work */
    assert_non_null(strstr(trk_error_text(), "File name too long"));
    trk_temporary_discard(&file);
}

static void temporaries_are_known_by_their_names(void **state)
{
    (void)state;
    assert_true(trk_is_temporary_of("a.json.part-7", "a.json"));
    assert_false(trk_is_temporary_of("a.json", "a.json"));
    assert_false(trk_is_temporary_of("b.a.json.part-7", "a.json"));
    assert_false(trk_is_temporary_of("a.json.part-7", "a"));
}

static void names_of_others_are_passed_over(void **state)
{
    (void)state;
    trk_temporary one;
    int descriptor;
    unsigned next;
    char taken[2][64];
    assert_int_equal(trk_temporary_find(&one, "b"), TRK_OK);
    assert_int_equal(trk_temporary_open(&one, &descriptor), TRK_OK);
    close(descriptor);
    assert_int_equal(sscanf(strrchr(one.name, '-') + 1, "%u", &next), 1);
    trk_temporary_discard(&one);
    for (unsigned i = 0; i < 2; i++) { /* as left by a process that had this number */
        snprintf(taken[i], sizeof taken[i], "b.part-%ld-%u", (long)getpid(), next + 1 + i);
        close(open(taken[i], O_CREAT | O_EXCL | O_WRONLY, 0600));
    }
    assert_written("b", "mine");
    for (int i = 0; i < 2; i++)
        assert_int_equal(unlink(taken[i]), 0);
    unlink("b");
}

static void streams_are_appended_to_and_folders_refused(void **state)
{
    (void)state;
    char open_file[32];
    int descriptor = open("log", O_CREAT | O_RDWR, 0600);
    assert_int_equal(trk_write_all(descriptor, "a", 1), TRK_OK);
    snprintf(open_file, sizeof open_file, "/proc/self/fd/%d", descriptor);
    assert_int_equal(trk_temporary_write(open_file, "b", 1), TRK_OK);
    close(descriptor);
    assert_holds("log", "ab");
    unlink("log");
    assert_int_equal(mkdir("d", 0700), 0);
    assert_int_equal(trk_temporary_write("d", "x", 1), TRK_E_IO);
    assert_string_equal(trk_error_text(), "d: cannot be written: is a folder");
    assert_int_equal(trk_temporary_write("none/x", "x", 1), TRK_E_IO);
    assert_string_equal(trk_error_text(), "none/x: cannot be written: No such file or directory");
    rmdir("d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_old_file_is_there_until_the_new_one_is_whole),
        cmocka_unit_test(permissions_are_those_of_the_file_replaced),
        cmocka_unit_test(the_owner_stays),
        cmocka_unit_test(any_name_a_file_may_have_will_do),
        cmocka_unit_test(temporaries_are_known_by_their_names),
        cmocka_unit_test(names_of_others_are_passed_over),
        cmocka_unit_test(streams_are_appended_to_and_folders_refused),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave_empty);
}
