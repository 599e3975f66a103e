/* SPDX-License-Identifier: Apache-2.0 */
#include "motion_options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "heap.h"
#include "number.h"
#include "option_values.h"

/* Object scores are logits, which stay far within these. */
static const struct {
    const char *name;
    double low, high;
} thresholds[N_MOTION_VALUES] = {
    [MOTION_VALUE_WEIGHT] = {"motion-weight", 0, 1},
    [MOTION_VALUE_STABLE_FRAMES] = {"stable-frames", 1, INT_MAX},
    [MOTION_VALUE_STABLE_IOU] = {"stable-iou", 0, 1},
    [MOTION_VALUE_MEMORY_IOU] = {"memory-iou", 0, 1},
    [MOTION_VALUE_MEMORY_OBJECT_SCORE] = {"memory-object-score", -1000, 1000},
    [MOTION_VALUE_MEMORY_MOTION] = {"memory-motion", 0, 1},
    [MOTION_VALUE_MIN_OBJECT_SCORE] = {"min-object-score", -1000, 1000},
};

static const char *const policies[] = {[TRK_POLICY_SAM2] = "sam2", [TRK_POLICY_SAMURAI] = "samurai"};

const char *motion_options_policy_name(trk_policy_kind policy)
{
    return policies[policy];
}

trk_status motion_options_policy(motion_options *out, const char *value)
{
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
        if (!strcmp(value, policies[i])) {
            out->policy = (trk_policy_kind)i;
            return TRK_OK;
        }
    return TRK_FAIL(TRK_E_ARGUMENT, "--policy: expected sam2 or samurai, got \"%s\"", value);
}

static trk_status parse_real(double *out, motion_value which, const char *value)
{
    const char *name = thresholds[which].name;
    const double low = thresholds[which].low, high = thresholds[which].high;
    double found;
    if (!number_real(value, strlen(value), &found) || found < low || found > high)
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected a number from %g to %g, got \"%s\"", name, low, high, value);
    *out = found;
    return TRK_OK;
}

trk_status motion_options_store(motion_options *out, motion_value which, const char *value)
{
    int n_frames;
    trk_status rc;
    if (which == MOTION_VALUE_STABLE_FRAMES) {
        rc = option_int(thresholds[which].name, value, 1, INT_MAX, &n_frames);
        if (!rc)
            out->values[which] = n_frames;
    } else
        rc = parse_real(&out->values[which], which, value);
    if (!rc)
        out->given[which] = 1;
    return rc;
}

/* The first of what only a motion model reads; NULL: nothing. */
static const char *first_given(const motion_options *self)
{
    for (int i = 0; i < N_MOTION_VALUES; i++)
        if (self->given[i])
            return thresholds[i].name;
    return self->strict_reference ? "strict-reference" : NULL;
}

trk_status motion_options_check(const motion_options *self)
{
    const char *name = first_given(self);
    name = name ? name : self->draw ? "draw-motion" : NULL;
    if (name && self->policy != TRK_POLICY_SAMURAI)
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected --policy samurai too", name);
    return TRK_OK;
}

trk_status motion_options_params(trk_motion_params *out, const motion_options *self, const trk_model *model)
{
    trk_motion_params found = {.struct_size = sizeof found};
    double *const reals[N_MOTION_VALUES] = {
        [MOTION_VALUE_WEIGHT] = &found.weight,
        [MOTION_VALUE_STABLE_IOU] = &found.stable_iou,
        [MOTION_VALUE_MEMORY_IOU] = &found.memory_iou,
        [MOTION_VALUE_MEMORY_OBJECT_SCORE] = &found.memory_object_score,
        [MOTION_VALUE_MEMORY_MOTION] = &found.memory_motion,
        [MOTION_VALUE_MIN_OBJECT_SCORE] = &found.min_object_score,
    };
    trk_status rc = trk_motion_defaults(model, &found);
    if (rc)
        return failure_of_library(rc);
    for (int i = 0; i < N_MOTION_VALUES; i++)
        if (self->given[i] && reals[i])
            *reals[i] = self->values[i];
    if (self->given[MOTION_VALUE_STABLE_FRAMES])
        found.stable_frames = (int)self->values[MOTION_VALUE_STABLE_FRAMES];
    found.strict_reference = self->strict_reference;
    *out = found;
    return TRK_OK;
}

char *motion_option_text(const motion_options *self, motion_value which)
{
    char text[32];
    for (int n_digits = 1; n_digits <= 17; n_digits++) {
        snprintf(text, sizeof text, "%.*g", n_digits, self->values[which]);
        if (strtod(text, NULL) == self->values[which])
            break;
    }
    return trk_heap_format("options", "--%s %s", thresholds[which].name, text);
}
