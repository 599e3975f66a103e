/* SPDX-License-Identifier: Apache-2.0
 * The vectorised kernels for AVX-512 F, BW, DQ and VL. */
#define LANES 16

#include "isa_rows.h"
#include "isa_storage.h"
#include "isa_maps.h"
#include "isa_frame.h"
#include "isa_product.h"

#define TABLE_MEMBER(name) .name = name,
const cpu_kernels trk_cpu_kernels_avx512 = {.isa = "avx512", CPU_KERNEL_LIST(TABLE_MEMBER)};
