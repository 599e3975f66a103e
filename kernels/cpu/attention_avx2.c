/* SPDX-License-Identifier: Apache-2.0
 * The attention kernel for AVX2 and FMA. */
#include "attention_kernel.h"

ATTENTION_KERNELS(avx2, "avx2");
