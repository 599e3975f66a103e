/* SPDX-License-Identifier: Apache-2.0
 * The attention kernel for AVX-512 (F, BW, DQ, VL) and AVX512_BF16. */
#include "attention_kernel.h"

ATTENTION_KERNELS(avx512_bf16, "avx512+bf16");
