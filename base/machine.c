/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const trk_machine trk_this_machine = {"/proc/meminfo", "/proc/self/cgroup", "/sys/fs/cgroup"};

/* The number behind `key` at the start of a line, SIZE_MAX if there is none ("max" in files of cgroups). */
static size_t number_in(const char *path, const char *key)
{
    char line[256];
    size_t value = SIZE_MAX, key_length = strlen(key);
    FILE *file = fopen(path, "re");
    while (file && value == SIZE_MAX && fgets(line, sizeof line, file)) {
        unsigned long long n;
        if (strncmp(line, key, key_length) == 0 && strchr(line, '-') == NULL &&
            sscanf(line + key_length, " %llu", &n) == 1)
            value = n;
    }
    if (file)
        fclose(file);
    return value;
}

static size_t number_of(const char *folder, const char *file, const char *key)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    return number_in(path, key);
}

double trk_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* --- control groups --- */

/* The least that one group's limit leaves; SIZE_MAX: it has none. */
typedef size_t group_limit(const char *folder, int version);

/* Of a group and those above it up to the root. */
static size_t least_of_groups(const char *root, const char *group, int version, group_limit *limit)
{
    char folder[PATH_MAX];
    size_t least = SIZE_MAX;
    snprintf(folder, sizeof folder, "%s%s", root, strcmp(group, "/") == 0 ? "" : group);
    for (;;) {
        const size_t left = limit(folder, version);
        least = left < least ? left : least;
        char *slash = strrchr(folder, '/');
        if (strlen(folder) <= strlen(root) || !slash)
            return least;
        *slash = 0;
    }
}

static int is_named(char *controllers, const char *controller)
{
    char *rest = NULL;
    for (char *name = strtok_r(controllers, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
        if (strcmp(name, controller) == 0)
            return 1;
    return 0;
}

/* Of all groups the process is in that have the controller. */
static size_t least_limit(const trk_machine *machine, const char *controller, group_limit *limit)
{
    char line[PATH_MAX], root[PATH_MAX];
    size_t least = SIZE_MAX;
    FILE *file = fopen(machine->membership, "re");
    while (file && fgets(line, sizeof line, file)) { /* "number:controllers:path" */
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        const int version = controllers[1] == 0 ? 2 : is_named(controllers + 1, controller) ? 1 : 0;
        snprintf(root, sizeof root, "%s%s%s", machine->cgroups, version == 1 ? "/" : "",
                 version == 1 ? controller : "");
        const size_t left = version ? least_of_groups(root, path, version, limit) : SIZE_MAX;
        least = left < least ? left : least;
    }
    if (file)
        fclose(file);
    return least;
}

/* --- memory --- */

/* Inactive pages of files are part of the usage but give way, as in MemAvailable. */
static size_t memory_left(const char *folder, int version)
{
    const size_t limit = number_of(folder, version == 2 ? "memory.max" : "memory.limit_in_bytes", "");
    if (limit == SIZE_MAX)
        return SIZE_MAX;
    size_t usage = number_of(folder, version == 2 ? "memory.current" : "memory.usage_in_bytes", "");
    const size_t inactive = number_of(folder, "memory.stat", version == 2 ? "inactive_file " : "total_inactive_file ");
    if (usage == SIZE_MAX)
        return limit;
    if (inactive != SIZE_MAX)
        usage -= inactive < usage ? inactive : usage;
    return limit > usage ? limit - usage : 0;
}

size_t trk_machine_memory(const trk_machine *machine)
{
    const size_t kib = number_in(machine->meminfo, "MemAvailable:"), free = kib == SIZE_MAX ? SIZE_MAX : kib * 1024;
    const size_t left = least_limit(machine, "memory", memory_left);
    return left < free ? left : free;
}

/* --- cores --- */

/* Of a period the group may run so much, on all cores together. */
static size_t cores_of_quota(const char *folder, int version)
{
    size_t quota = SIZE_MAX, period = SIZE_MAX;
    char path[PATH_MAX + 64];
    if (version == 1) {
        quota = number_of(folder, "cpu.cfs_quota_us", ""); /* -1: none */
        period = number_of(folder, "cpu.cfs_period_us", "");
    } else {
        snprintf(path, sizeof path, "%s/cpu.max", folder);
        FILE *file = fopen(path, "re");
        if (file && fscanf(file, "%zu %zu", &quota, &period) != 2) /* "max 100000": none */
            quota = SIZE_MAX;
        if (file)
            fclose(file);
    }
    if (quota == SIZE_MAX || period == SIZE_MAX || !period)
        return SIZE_MAX;
    return quota > period ? (quota - 1) / period + 1 : 1;
}

/* Machines may have more cores than a cpu_set_t has bits. */
static int cores_of_process(void)
{
    enum { MOST = 1 << 16 };
    for (int n = CPU_SETSIZE; n <= MOST; n *= 2) {
        cpu_set_t *cores = CPU_ALLOC(n);
        const size_t bytes = CPU_ALLOC_SIZE(n);
        const int failed = !cores || sched_getaffinity(0, bytes, cores) != 0, error = errno;
        const int found = failed ? 0 : CPU_COUNT_S(bytes, cores);
        CPU_FREE(cores);
        if (found > 0)
            return found;
        if (!cores || error != EINVAL) /* that is: of too few bits */
            break;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online < INT_MAX ? (int)online : 1;
}

int trk_machine_cores(const trk_machine *machine)
{
    const int cores = cores_of_process();
    const size_t quota = least_limit(machine, "cpu", cores_of_quota);
    return quota < (size_t)cores ? (int)quota : cores;
}
