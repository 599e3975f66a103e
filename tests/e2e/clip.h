/* SPDX-License-Identifier: Apache-2.0
 * A video decoded into memory, for tests that push its frames more than once. */
#ifndef TRK_TESTS_CLIP_H
#define TRK_TESTS_CLIP_H

#include <stddef.h>
#include <stdint.h>

#include "track.h"

#define CLIP_OBJECTS 4

typedef struct clip {
    char name[64];
    int width, height, n_frames;
    uint8_t *rgb;   /* [n_frames, height, width, 3] owned */
    uint8_t *truth; /* [n_frames, height, width]: number of the object a pixel belongs to; owned, NULL for any video */
    trk_box boxes[CLIP_OBJECTS]; /* prompts on first_frame, for objects 1, 2, ... */
    int n_objects, first_frame;
} clip;

/* At most `most_frames` frames (0: all) of any video. Returns 0, or -1 with a line on stderr. */
int clip_load(clip *out, const char *path, int most_frames);
/* The sample clip number `index` of the folder samples/, of those whose true masks are PNGs, with its prompts and true
 * masks. 1: there are fewer. */
int clip_load_sample(clip *out, const char *samples, size_t index, int most_frames);
void clip_free(clip *c); /* accepts a zeroed struct */

size_t clip_pixels(const clip *c); /* of a frame */
/* Frame `i` of the clip, to be pushed under the number `index`. */
trk_frame clip_frame(const clip *c, int i, int64_t index);
/* IoU of two masks; with `object` > 0 the second is a truth whose pixels of that value count. 1 if both are empty. */
double clip_iou(const uint8_t *mask, const uint8_t *other, int object, size_t n_pixels);
/* J of a mask of frame i. */
double clip_j(const clip *c, int i, int object, const uint8_t *mask);

#endif
