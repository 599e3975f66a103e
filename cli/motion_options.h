/* SPDX-License-Identifier: Apache-2.0
 * --policy and the thresholds of --policy samurai, as given. What is not given is the model's default, which is known
 * once the model is loaded. */
#ifndef TRK_CLI_MOTION_OPTIONS_H
#define TRK_CLI_MOTION_OPTIONS_H

#include "error.h"
#include "track.h"

typedef enum motion_value {
    MOTION_VALUE_WEIGHT,
    MOTION_VALUE_STABLE_FRAMES,
    MOTION_VALUE_STABLE_IOU,
    MOTION_VALUE_MEMORY_IOU,
    MOTION_VALUE_MEMORY_OBJECT_SCORE,
    MOTION_VALUE_MEMORY_MOTION,
    MOTION_VALUE_MIN_OBJECT_SCORE,
    N_MOTION_VALUES
} motion_value;

typedef struct motion_options {
    trk_policy_kind policy;
    double values[N_MOTION_VALUES];
    unsigned char given[N_MOTION_VALUES];
    int strict_reference;
    int draw; /* --draw-motion */
} motion_options;

const char *motion_options_policy_name(trk_policy_kind policy); /* as the option has it; static */
/* From text; on TRK_E_ARGUMENT the message says what was expected and nothing is set. */
trk_status motion_options_policy(motion_options *out, const char *value);
trk_status motion_options_store(motion_options *out, motion_value which, const char *value);
/* TRK_E_ARGUMENT: something is given that only a policy with a motion model reads. */
trk_status motion_options_check(const motion_options *self);
/* What is given, the rest as the model has it. */
trk_status motion_options_params(trk_motion_params *out, const motion_options *self, const trk_model *model);
/* "--motion-weight 0.3", with as many digits as bring the same double back; the caller's (trk_heap_release). NULL: out
 * of memory. */
char *motion_option_text(const motion_options *self, motion_value which);

#endif
