/* SPDX-License-Identifier: Apache-2.0
 * Shape checks at the head of operators: a mismatch is a mistake of the calling stage, recorded, not read past. */
#ifndef TRK_KERNELS_EXPECT_H
#define TRK_KERNELS_EXPECT_H

#include "ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Leaves the (void) operator after recording which condition of `op` (a string literal) did not hold. */
#define TRK_EXPECT(x, op, condition)                                                                                   \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            trk_exec_fail((x), TRK_FAIL(TRK_E_ARGUMENT, "%s: expected %s", op, #condition));                           \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

#ifdef __cplusplus
}
#endif

#endif
