/* SPDX-License-Identifier: Apache-2.0
 * Bytes for the device that are not there yet when the call returns: late_write_simt.cc gives the copy to the default
 * stream, which the emulation runs when somebody waits for it. late_write.c, for a card, waits. */
#ifndef TRK_TESTS_GPU_LATE_WRITE_H
#define TRK_TESTS_GPU_LATE_WRITE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* to: the device's; from is copied during the call. 0, or -1. */
int late_write(void *to, const void *from, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
