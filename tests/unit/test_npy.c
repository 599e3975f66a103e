/* SPDX-License-Identifier: Apache-2.0
 * The .npy header byte by byte, the file, and what is left when a file cannot be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "npy.h"
#include "output_file.h"

static void test_header(void **state)
{
    (void)state;
    char header[NPY_HEADER_BYTES];
    static const char dictionary[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }";
    npy_header(header, 3, 5);
    assert_memory_equal(header, "\x93NUMPY\x01\x00\x76\x00", 10); /* 0x76 = 118 = 128 - 10 */
    assert_memory_equal(header + 10, dictionary, sizeof dictionary - 1);
    for (size_t i = 10 + sizeof dictionary - 1; i < NPY_HEADER_BYTES - 1; i++)
        assert_int_equal(header[i], ' ');
    assert_int_equal(header[NPY_HEADER_BYTES - 1], '\n');
}

static void test_largest_shape_fits(void **state)
{
    (void)state;
    char header[NPY_HEADER_BYTES];
    npy_header(header, 2147483647, 2147483647);
    assert_non_null(memmem(header, sizeof header, "(2147483647, 2147483647), }", 27));
    assert_int_equal(header[NPY_HEADER_BYTES - 1], '\n');
}

static void test_file(void **state)
{
    (void)state;
    char folder[] = "track-npy-XXXXXX", path[64];
    const float data[2][3] = {{1, 2, 3}, {-4, 0.5f, 6}};
    float found[6];
    char header[NPY_HEADER_BYTES], expected[NPY_HEADER_BYTES];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.npy", folder);
    assert_int_equal(npy_write(path, data[0], 2, 3), TRK_OK);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(header, 1, sizeof header, file), sizeof header);
    npy_header(expected, 2, 3);
    assert_memory_equal(header, expected, sizeof header);
    assert_int_equal(fread(found, sizeof *found, 6, file), 6);
    assert_memory_equal(found, data, sizeof data);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left in it */
}

static void test_not_writable(void **state)
{
    (void)state;
    const float data[1] = {1};
    assert_int_equal(npy_write("/no/such/folder/a.npy", data, 1, 1), TRK_E_IO);
    assert_int_equal(npy_write("/", data, 1, 1), TRK_E_IO);
    if (access("/dev/full", W_OK))
        skip();
    assert_int_equal(npy_write("/dev/full", data, 1, 1), TRK_E_IO);
}

static void test_discard_leaves_nothing(void **state)
{
    (void)state;
    char folder[] = "track-npy-XXXXXX", path[64];
    output_file file;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.txt", folder);
    assert_int_equal(output_file_open(&file, path), TRK_OK);
    fputs("half", file.stream);
    assert_int_equal(output_file_flush(&file), TRK_OK);
    assert_int_not_equal(access(path, F_OK), 0); /* not under its name before it is whole */
    output_file_discard(&file);
    assert_int_equal(rmdir(folder), 0);
}

static void check_text(const char *path, const char *expected)
{
    char found[64] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    found[fread(found, 1, sizeof found - 1, file)] = 0;
    fclose(file);
    assert_string_equal(found, expected);
}

/* Links are followed, also to a file that is not there yet; one of /proc is an open descriptor, and is written on. */
static void test_links(void **state)
{
    (void)state;
    char folder[] = "track-npy-XXXXXX", link[64], target[64], descriptor[64];
    output_file file;
    struct stat info;
    assert_non_null(mkdtemp(folder));
    snprintf(link, sizeof link, "%s/link", folder);
    snprintf(target, sizeof target, "%s/target", folder);
    assert_int_equal(symlink("target", link), 0);
    assert_int_equal(output_file_probe(link, 1), TRK_OK);
    assert_int_not_equal(access(target, F_OK), 0);
    assert_int_equal(output_file_open(&file, link), TRK_OK);
    fputs("one\n", file.stream);
    assert_int_equal(output_file_finish(&file), TRK_OK);
    assert_true(!lstat(link, &info) && S_ISLNK(info.st_mode));
    check_text(target, "one\n");
    const int fd = open(target, O_WRONLY);
    snprintf(descriptor, sizeof descriptor, "/dev/fd/%d", fd);
    assert_int_equal(output_file_probe(descriptor, 0), TRK_OK);
    assert_int_equal(output_file_probe(descriptor, 1), TRK_E_IO);
    assert_int_equal(output_file_open(&file, descriptor), TRK_OK);
    fputs("two\n", file.stream);
    assert_int_equal(output_file_finish(&file), TRK_OK);
    close(fd);
    check_text(target, "one\ntwo\n");
    unlink(link);
    unlink(target);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),       cmocka_unit_test(test_largest_shape_fits),     cmocka_unit_test(test_file),
        cmocka_unit_test(test_not_writable), cmocka_unit_test(test_discard_leaves_nothing),
        cmocka_unit_test(test_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
