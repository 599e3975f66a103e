/* SPDX-License-Identifier: Apache-2.0
 * The attention kernel for AVX-512 (F, BW, DQ, VL). */
#include "attention_kernel.h"

ATTENTION_KERNELS(avx512, "avx512");
