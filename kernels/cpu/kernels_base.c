/* SPDX-License-Identifier: Apache-2.0
 * The vectorised kernels for the baseline instruction set of the target (SSE2 on x86-64). */
#define LANES 4

#include "isa_rows.h"
#include "isa_storage.h"
#include "isa_maps.h"
#include "isa_frame.h"
#include "isa_product.h"

#define TABLE_MEMBER(name) .name = name,
const cpu_kernels trk_cpu_kernels_base = {.isa = "base", CPU_KERNEL_LIST(TABLE_MEMBER)};
