/* SPDX-License-Identifier: Apache-2.0
 * Prompts as tokens and as a dense map. */
#ifndef TRK_MODEL_PROMPT_ENCODER_H
#define TRK_MODEL_PROMPT_ENCODER_H

#include "network.h"

/* Tokens of the points plus the closing not-a-point token; without points, two not-a-point tokens (a tracked frame).
 * [n_points + 1 (or 2), d] f32 in the scratch arena. */
trk_mat trk_sparse_prompt(trk_network *net, const trk_prompt_point *points, int n_points);

/* Dense prompt of mask logits [4g, 4g] (f32, any values): [g^2, d] f32 in the scratch arena. */
trk_mat trk_dense_prompt(trk_network *net, trk_mat mask_logits);

#endif
