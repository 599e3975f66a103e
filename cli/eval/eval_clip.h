/* SPDX-License-Identifier: Apache-2.0
 * One clip: what is found of it, scored frame by frame. What is held does not grow with the length of the clip, but for
 * its scores. */
#ifndef TRK_CLI_EVAL_CLIP_H
#define TRK_CLI_EVAL_CLIP_H

#include "box_files.h"
#include "results.h"
#include "session.h"

/* What the clips of an evaluation share; all borrowed. */
typedef struct eval_shared {
    const options *wanted;
    const dataset *data;
    session *models;  /* NULL with --pred */
    box_layout boxes; /* of the files of --boxes */
    size_t budget;    /* of the model and what is being tracked, bytes; 0: none */
    progress_group *progress;
} eval_shared;

/* Tracks the clip from its prompts on. TRK_END: a signal stopped it, there is no result. On failure *out is untouched.
 */
trk_status eval_clip_track(clip_result *out, const eval_shared *shared, const dataset_clip *clip);
/* TRK_E_UNSUPPORTED for more objects than a map of indices holds. The clip has some. */
trk_status eval_clip_check_indices(const dataset_clip *clip);
/* Reads what is there of it in the folder of --pred; else as above. */
trk_status eval_clip_read(clip_result *out, const eval_shared *shared, const dataset_clip *clip);

#endif
