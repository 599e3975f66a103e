/* SPDX-License-Identifier: Apache-2.0
 * What control groups leave of a machine's memory and cores, from files as the kernel writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "machine.h"
#include "scratch_folder.h"

static const trk_machine here = {"meminfo", "membership", "groups"};

static void put(const char *path, const char *text)
{
    char folder[256];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *at = strchr(folder, '/'); at; at = strchr(at + 1, '/')) {
        *at = 0;
        mkdir(folder, 0777);
        *at = '/';
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void without_groups(void **state)
{
    (void)state;
    assert_true(trk_machine_memory(&here) == SIZE_MAX); /* nothing is told at all */
    const int cores = trk_machine_cores(&here);
    assert_in_range(cores, 1, 1 << 20);
    put("meminfo", "MemTotal:       1000 kB\nMemAvailable:    300 kB\n");
    assert_int_equal(trk_machine_memory(&here), 300 * 1024);
    put("membership", "0::/a/b\n");
    assert_int_equal(trk_machine_memory(&here), 300 * 1024); /* whose folders are not there */
    assert_int_equal(trk_machine_cores(&here), cores);
    assert_in_range(trk_machine_cores(&trk_this_machine), 1, cores);
}

static void version_2(void **state)
{
    (void)state;
    const int cores = trk_machine_cores(&here);
    put("membership", "0::/a/b\n");
    put("groups/a/b/memory.max", "max\n");
    put("groups/a/b/cpu.max", "max 100000\n");
    assert_int_equal(trk_machine_memory(&here), 300 * 1024);
    assert_int_equal(trk_machine_cores(&here), cores);
    put("groups/a/memory.max", "204800\n"); /* of the group above */
    assert_int_equal(trk_machine_memory(&here), 204800);
    put("groups/a/memory.current", "104800\n");
    put("groups/a/memory.stat", "anon 1\ninactive_file 4800\n");
    assert_int_equal(trk_machine_memory(&here), 104800);
    put("groups/a/memory.current", "404800\n");
    assert_int_equal(trk_machine_memory(&here), 0);
    put("groups/a/cpu.max", "50000 100000\n"); /* half a core */
    assert_int_equal(trk_machine_cores(&here), 1);
    put("groups/a/cpu.max", "100001 100000\n"); /* a little more than one */
    assert_int_equal(trk_machine_cores(&here), cores < 2 ? cores : 2);
    put("groups/a/cpu.max", "100000 100000\n");
    assert_int_equal(trk_machine_cores(&here), 1);
    put("groups/a/cpu.max", "100000000 100000\n"); /* more than there are */
    assert_int_equal(trk_machine_cores(&here), cores < 1000 ? cores : 1000);
    put("groups/a/cpu.max", "1\n");
    assert_int_equal(trk_machine_cores(&here), cores);
}

static void version_1(void **state)
{
    (void)state;
    put("groups/a/memory.max", "max\n");
    const int cores = trk_machine_cores(&here);
    put("membership", "4:memory:/m\n2:cpu,cpuacct:/c\n1:name=systemd:/\n");
    put("groups/memory/memory.limit_in_bytes", "204800\n"); /* at the root, as in a container */
    put("groups/memory/memory.usage_in_bytes", "4800\n");
    put("groups/memory/memory.stat", "total_inactive_file 800\n");
    assert_int_equal(trk_machine_memory(&here), 200800);
    put("groups/cpu/c/cpu.cfs_quota_us", "-1\n");
    put("groups/cpu/c/cpu.cfs_period_us", "100000\n");
    assert_int_equal(trk_machine_cores(&here), cores);
    put("groups/cpu/c/cpu.cfs_quota_us", "30000\n");
    assert_int_equal(trk_machine_cores(&here), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_groups),
        cmocka_unit_test(version_2),
        cmocka_unit_test(version_1),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
