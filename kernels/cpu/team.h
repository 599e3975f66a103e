/* SPDX-License-Identifier: Apache-2.0
 * The backend's threads. A frame of a small model is some hundred operators of a few microseconds, so the threads are
 * kept, and between two pieces of work they look for the next one for a few ten microseconds before they sleep: longer
 * would take the core from the decoder, the encoder and other trackers.
 *
 * One piece of work runs in the team at a time. Whoever finds the team busy works alone, in its own thread: with more
 * trackers than cores that is what keeps all cores busy. Results never depend on the number of workers. */
#ifndef TRK_KERNELS_CPU_TEAM_H
#define TRK_KERNELS_CPU_TEAM_H

#include "error.h"

typedef struct cpu_team cpu_team;

/* Called once in every worker, 0 <= worker < n_workers; together they do all of the work. */
typedef void cpu_team_work(void *context, int worker, int n_workers);

/* *n_threads: how many are wanted, the caller's included, 1 or more; how many there are on return. Where the system
 * gives fewer, but at least `least`, they have to do, with a warning. */
trk_status trk_cpu_team_create(cpu_team **out, int *n_threads, int least);
void trk_cpu_team_destroy(cpu_team **team); /* NULL-safe, clears the handle; joins the threads */

/* Returns when all workers have returned. Worker 0 is the calling thread. team NULL: alone. */
void trk_cpu_team_run(cpu_team *team, cpu_team_work *work, void *context);

#endif
