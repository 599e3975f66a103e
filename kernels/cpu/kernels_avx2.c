/* SPDX-License-Identifier: Apache-2.0
 * The vectorised kernels for AVX2 and FMA. */
#define LANES 8

#include "isa_rows.h"
#include "isa_storage.h"
#include "isa_maps.h"
#include "isa_frame.h"
#include "isa_product.h"

#define TABLE_MEMBER(name) .name = name,
const cpu_kernels trk_cpu_kernels_avx2 = {.isa = "avx2", CPU_KERNEL_LIST(TABLE_MEMBER)};
