/* SPDX-License-Identifier: Apache-2.0
 * What is known of the objects on one frame, and its text forms: JSON lines, and lines of boxes. */
#ifndef TRK_CLI_RECORDS_H
#define TRK_CLI_RECORDS_H

#include <stdio.h>

#include "rle.h"
#include "track.h"

typedef struct record {
    int object;
    int present; /* 1: has a result on this frame (its mask may be empty) */
    trk_region where;
    float object_score; /* logit */
    float iou;
    int hypothesis, kept; /* as of trk_result, like motion */
    trk_motion motion;
    rle runs; /* owned; encoded only for JSON lines */
} record;

/* {"frame":..,"pts":..,"objects":[..]}: those present, ascending by id; "box":null where the mask is empty, null for
 * scores that are not finite. With a motion model also "hypothesis", "kept" and "motion". height, width: of the
 * frame. */
void records_write_json(FILE *stream, const record *records, size_t n_records, int64_t frame, double pts, int width,
                        int height);
/* "x,y,w,h", zeros where the object is absent or its mask empty */
void record_write_box(FILE *stream, const record *self);

#endif
