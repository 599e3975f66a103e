/* SPDX-License-Identifier: Apache-2.0
 * The reference of every operator: plain C, double accumulators, no contraction of multiply and add. It is the
 * definition that other backends are checked against, and a complete (slow) backend itself. */
#ifndef TRK_KERNELS_REF_REF_H
#define TRK_KERNELS_REF_REF_H

#include "ops.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TRK_REF_PROTOTYPE(name, args) void trk_##name##_ref args;
TRK_OP_LIST(TRK_REF_PROTOTYPE)
#undef TRK_REF_PROTOTYPE

extern const trk_ops trk_ref_ops; /* every slot filled */

/* A row of frame_to_rgb, [width, 3]. */
void trk_frame_row_to_rgb(uint8_t *row, const trk_image *image, int y);

#ifdef __cplusplus
}
#endif

#endif
