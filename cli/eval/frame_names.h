/* SPDX-License-Identifier: Apache-2.0
 * What the frames of a clip are called, without suffix: as their file of the truth, else as their image, else by
 * number, "00012". Masks of a clip are written and looked for under these names. */
#ifndef TRK_CLI_EVAL_FRAME_NAMES_H
#define TRK_CLI_EVAL_FRAME_NAMES_H

#include "dataset_internal.h"

typedef struct frame_names {
    const dataset_clip *clip;   /* borrowed */
    trk_numbered_images images; /* of a folder of frames, else none; owned */
} frame_names;

/* Fills *out with what needs frame_names_free also on failure. */
trk_status frame_names_open(frame_names *out, const dataset_clip *clip);
void frame_names_free(frame_names *self);
/* Into out [n_out]. */
void frame_name(char *out, size_t n_out, const frame_names *self, int64_t frame);

#endif
