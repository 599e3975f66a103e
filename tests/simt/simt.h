/* SPDX-License-Identifier: Apache-2.0
 * What tests say to the emulation. An error is something that would be undefined, wrong or a crash on a card; each
 * prints one line to stderr, "simt: KERNEL block (x,y,z) thread (x,y,z): WHAT". A process in which errors were found
 * and not cleared ends with status 86, whatever it returned.
 *
 * Environment: SIMT_SCHEDULE=up|down|SEED, SIMT_ABORT=1 (abort at the first error), SIMT_DEVICES=0 (a machine without
 * one), SIMT_CODE=0 (a build for other cards), SIMT_MEMORY=MIB of the device (default 8192). */
#ifndef SIMT_H
#define SIMT_H

#ifdef __cplusplus
extern "C" {
#endif

enum { SIMT_UP, SIMT_DOWN, SIMT_RANDOM };

/* Order of blocks, and of threads at each step; a seed gives the same order again. */
void simt_set_schedule(int policy, unsigned seed);
/* Errors found so far; text: of the first, or "". Static storage. */
int simt_report(const char **text);
void simt_clear(void);
/* The nth allocation of device memory from now on fails: 1 is the next, 0 none. */
void simt_fail_allocation(int nth);
/* The nth choice of an algorithm, or the nth product of cuBLASLt, and all after it end in an internal error: 1 is the
 * next, 0 none. */
void simt_fail_products(int nth_choice, int nth_product);
/* Blocks of device and of page-locked memory that were given out so far; held: those that have not been freed, or
 * NULL. */
long simt_allocations(long *held);

#ifdef __cplusplus
}
#endif

#endif
