/* SPDX-License-Identifier: Apache-2.0
 * Holding a checkpoint against the list of tensors its architecture asks for. */
#ifndef TRK_MODEL_ARCH_INVENTORY_H
#define TRK_MODEL_ARCH_INVENTORY_H

#include "arch.h"

typedef enum trk_arch_difference { TRK_ARCH_MISSING, TRK_ARCH_MISSHAPEN, TRK_ARCH_UNKNOWN } trk_arch_difference;

/* expected is NULL for unknown tensors, found for missing ones. */
typedef void (*trk_arch_report)(void *user, trk_arch_difference difference, const char *name, int n_dims,
                                const int64_t *expected, const trk_tensor *found);

/* Reports every difference: first missing and misshapen tensors in the inventory's order, then unknown ones by name. */
trk_status trk_arch_compare(const trk_arch *arch, const trk_checkpoint *checkpoint, trk_arch_report report, void *user);

#endif
