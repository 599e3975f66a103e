/* SPDX-License-Identifier: Apache-2.0
 * The emulation of a GPU as the kernel check sees it: emulation_simt.c in kcheck_simt, emulation_none.c in kcheck. */
#ifndef TRK_TESTS_KCHECK_EMULATION_H
#define TRK_TESTS_KCHECK_EMULATION_H

/* Orders in which blocks and threads may run; 0 without an emulation. */
int emulation_schedules(void);
void emulation_use_schedule(int i);
/* The first error since the last call, which is then forgotten; NULL: none. Static storage. */
const char *emulation_take_error(void);

#endif
