/* SPDX-License-Identifier: Apache-2.0
 * The emulation of a GPU as programs see it that are linked for a card as well: emulation_simt.c in NAME_simt,
 * emulation_none.c in NAME. */
#ifndef TRK_TESTS_KCHECK_EMULATION_H
#define TRK_TESTS_KCHECK_EMULATION_H

/* Orders in which blocks and threads may run; 0 without an emulation. */
int emulation_schedules(void);
void emulation_use_schedule(int i);
/* The first error since the last call, which is then forgotten; NULL: none. Static storage. */
const char *emulation_take_error(void);
/* Blocks of device and page-locked memory given out so far; held: those not freed yet. 0 without an emulation. */
long emulation_allocations(long *held);
/* The nth choice of an algorithm, or the nth product of cuBLASLt, and all after it fail: 1 is the next, 0 none. Nothing
 * without an emulation. */
void emulation_fail_products(int nth_choice, int nth_product);

#endif
