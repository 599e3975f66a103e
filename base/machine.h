/* SPDX-License-Identifier: Apache-2.0
 * What the machine has for this process: a clock, and memory and cores, within the limits of the control groups
 * (version 1 and 2) that it is in and of those above them. In a container the path of a group is that of the host, and only the root is
 * mounted: a folder that is not there has no limit. */
#ifndef TRK_BASE_MACHINE_H
#define TRK_BASE_MACHINE_H

#include <stddef.h>

/* Where the system tells it. */
typedef struct trk_machine {
    const char *meminfo, *membership, *cgroups;
} trk_machine;
extern const trk_machine trk_this_machine; /* /proc/meminfo, /proc/self/cgroup, /sys/fs/cgroup */

/* Bytes that can be taken now; SIZE_MAX where nothing is told. Pages of files that give way count as free. */
size_t trk_machine_memory(const trk_machine *machine);
/* Cores that this process may run on, no more than the quotas of its groups have time for, rounded up; at least 1. */
int trk_machine_cores(const trk_machine *machine);
double trk_seconds(void); /* from some moment on, of a clock that nobody sets */

#endif
