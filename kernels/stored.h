/* SPDX-License-Identifier: Apache-2.0
 * How a stored memory lies in its slot: dense elements in raster order (base/storage.h). */
#ifndef TRK_KERNELS_STORED_H
#define TRK_KERNELS_STORED_H

#include "ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether the slot is a matrix as it lies, which operators read in place. */
static inline int trk_stored_is_mat(trk_storage storage)
{
    return storage == TRK_STORE_BF16 || storage == TRK_STORE_F32;
}

/* Of such a slot. Read only unless the caller may write the slot. */
static inline trk_mat trk_stored_mat(const void *slot, trk_storage storage, int rows, int cols)
{
    return (trk_mat){(void *)(uintptr_t)slot, storage == TRK_STORE_F32 ? TRK_F32 : TRK_BF16, rows, cols, cols};
}

/* The f16 scales of a Q8 slot of n elements, [n / TRK_Q8_BLOCK]. */
static inline uint16_t *trk_stored_scales(const void *slot, int64_t n)
{
    return (uint16_t *)((uintptr_t)slot + (uintptr_t)n);
}

/* What store and fetch expect of a matrix. */
static inline int trk_stored_fits(trk_storage storage, trk_mat m)
{
    return (unsigned)storage < TRK_STORAGES && (int64_t)m.rows * m.cols % TRK_Q8_BLOCK == 0;
}

#define TRK_Q8_NAN_SCALE 0x7e00 /* f16: of a block with a NaN, which is fetched as 32 of them */

#ifdef __cplusplus
}
#endif

#endif
