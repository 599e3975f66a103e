/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "heap.h"

/* --- the host --- */

static void *heap_allocate(const trk_device_memory *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    return trk_heap_allocate(mem_class, owner, bytes);
}

static void heap_release(const trk_device_memory *self, void *data, size_t bytes)
{
    trk_heap_release(data);
}

static void heap_move(const trk_device_memory *self, void *data, trk_mem_class mem_class, const char *owner)
{
    trk_heap_move(data, mem_class, owner);
}

static trk_status host_copy(const trk_device_memory *self, void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
    return TRK_OK;
}

static void host_fill(const trk_device_memory *self, void *data, int byte, size_t bytes)
{
    memset(data, byte, bytes);
}

/* The number behind `key` at the start of a line, SIZE_MAX if there is none ("max" in files of cgroups). */
static size_t number_in(const char *path, const char *key)
{
    char line[256];
    size_t value = SIZE_MAX, key_length = strlen(key);
    FILE *file = fopen(path, "re");
    while (file && value == SIZE_MAX && fgets(line, sizeof line, file)) {
        unsigned long long n;
        if (strncmp(line, key, key_length) == 0 && sscanf(line + key_length, " %llu", &n) == 1)
            value = n;
    }
    if (file)
        fclose(file);
    return value;
}

typedef struct cgroup_files {
    const char *root, *limit, *usage, *inactive;
} cgroup_files;

static const cgroup_files version1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                      "total_inactive_file "};
static const cgroup_files version2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "};

/* What one group's limit leaves. Inactive pages of files are part of the usage but give way, as in MemAvailable. */
static size_t left_in_group(const cgroup_files *files, const char *folder)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder, files->limit);
    size_t limit = number_in(path, "");
    if (limit == SIZE_MAX)
        return SIZE_MAX;
    snprintf(path, sizeof path, "%s/%s", folder, files->usage);
    size_t usage = number_in(path, "");
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    size_t inactive = number_in(path, files->inactive);
    if (usage == SIZE_MAX)
        return limit;
    if (inactive != SIZE_MAX)
        usage -= inactive < usage ? inactive : usage;
    return limit > usage ? limit - usage : 0;
}

/* The least that this group and those above it leave. A folder that is not there has no limit: in a container the
 * group's path is that of the machine, and only the root is mounted. */
static size_t left_in_groups(const cgroup_files *files, const char *group)
{
    char folder[PATH_MAX];
    size_t root = strlen(files->root), least = SIZE_MAX;
    snprintf(folder, sizeof folder, "%s%s", files->root, strcmp(group, "/") == 0 ? "" : group);
    for (;;) {
        size_t left = left_in_group(files, folder);
        least = left < least ? left : least;
        char *slash = strrchr(folder, '/');
        if (strlen(folder) <= root || !slash)
            return least;
        *slash = 0;
    }
}

static int names_memory(char *controllers)
{
    char *rest = NULL;
    for (char *name = strtok_r(controllers, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
        if (strcmp(name, "memory") == 0)
            return 1;
    return 0;
}

static size_t host_available(const trk_device_memory *self)
{
    char line[PATH_MAX];
    size_t kib = number_in("/proc/meminfo", "MemAvailable:"), least = kib == SIZE_MAX ? SIZE_MAX : kib * 1024;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) { /* "number:controllers:path" */
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        const cgroup_files *files = controllers[1] == 0 ? &version2 : names_memory(controllers + 1) ? &version1 : NULL;
        size_t left = files ? left_in_groups(files, path) : SIZE_MAX;
        least = left < least ? left : least;
    }
    if (file)
        fclose(file);
    return least;
}

/* Two names, so that what the model computes in is told from what the library itself keeps. */
#define MEMORY_OF_HOST(label)                                                                                          \
    {                                                                                                                  \
        .name = (label), .on_host = 1, .allocate = heap_allocate, .release = heap_release, .move = heap_move,          \
        .read = host_copy, .write = host_copy, .copy = host_copy, .fill = host_fill, .available = host_available,      \
    }
const trk_device_memory trk_host_memory = MEMORY_OF_HOST("host");
const trk_device_memory trk_cpu_memory = MEMORY_OF_HOST("cpu");

/* --- what was given back --- */

static int poisons;

static void read_poisons(void)
{
#ifdef NDEBUG
    const char *wanted = getenv("TRK_POISON");
    poisons = wanted && strcmp(wanted, "1") == 0;
#else
    poisons = 1;
#endif
}

int trk_device_poisons(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_poisons);
    return poisons;
}

/* --- plans: addresses only, whose pages nothing here may touch --- */

static void *plan_allocate(const trk_device_memory *self, trk_mem_class mem_class, const char *owner, size_t bytes)
{
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return data == MAP_FAILED ? NULL : data;
}

static void plan_release(const trk_device_memory *self, void *data, size_t bytes)
{
    munmap(data, bytes);
}

static trk_status plan_read(const trk_device_memory *self, void *host, const void *data, size_t bytes)
{
    memset(host, 0, bytes);
    return TRK_OK;
}

static trk_status plan_copy(const trk_device_memory *self, void *to, const void *from, size_t bytes)
{
    return TRK_OK;
}

static void plan_fill(const trk_device_memory *self, void *data, int byte, size_t bytes)
{
}

static size_t plan_available(const trk_device_memory *self)
{
    return SIZE_MAX;
}

const trk_device_memory trk_plan_memory = {
    .name = "plan",
    .on_host = 0,
    .allocate = plan_allocate,
    .release = plan_release,
    .read = plan_read,
    .write = plan_copy,
    .copy = plan_copy,
    .fill = plan_fill,
    .available = plan_available,
};
