/* SPDX-License-Identifier: Apache-2.0
 * The token operators made of other operators of the exec's table. */
#ifndef TRK_KERNELS_TOKENS_H
#define TRK_KERNELS_TOKENS_H

#include "ops.h"

#ifdef __cplusplus
extern "C" {
#endif

void trk_gather_tokens(trk_exec *x, const trk_tokens *tokens);
void trk_token_keys(trk_exec *x, trk_mat keys, const trk_tokens *tokens, const trk_linear *layer, const float *table);
void trk_attend_tokens(trk_exec *x, trk_mat out, trk_mat q, trk_mat keys, const trk_tokens *tokens, float scale);

#ifdef __cplusplus
}
#endif

#endif
