/* SPDX-License-Identifier: Apache-2.0
 * The attention kernel for what the base instruction set of the target has (SSE2, NEON). */
#include "attention_kernel.h"

ATTENTION_KERNELS(portable, "portable");
