/* SPDX-License-Identifier: Apache-2.0
 * A small video that is drawn, and what is asked of it: a story with every kind of prompt that trackers of any backend
 * can be told, frame by frame, so that their results can be compared. Nothing here asserts: threads use it, too. */
#ifndef TRK_TESTS_GPU_SCRIPT_H
#define TRK_TESTS_GPU_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

#include "track.h"

enum { WIDTH = 96, HEIGHT = 72, IMAGE_SIZE = 64, SIDE = IMAGE_SIZE / 4, FRAMES = 8, OBJECTS = 2 };

/* The disc of an object of video `video`: pixels of frames of WIDTH x HEIGHT. */
typedef struct disc {
    float x, y, radius;
} disc;
disc script_disc(int video, int object, int64_t index);
void script_draw(uint8_t *rgb, int width, int height, int video, int64_t index);
/* The drawn frame, in a buffer of this thread. */
trk_frame script_frame(int video, int64_t index);

/* What one object was found to be in one frame; zeros: it has no result. */
typedef struct found {
    int is_there;
    float score, iou;
    float logits[SIDE * SIDE];
} found;
typedef found story[FRAMES][OBJECTS];

trk_status script_load(trk_model **out, trk_device device, trk_precision precision);
/* Prompts of frame i: object 1 has a box on frame 0 and a click on frame 5, object 2 a click on frame 1 and a mask on
 * frame 3. In a reverse video, frame i has the number -i. */
trk_status script_prompt(trk_tracker *t, int video, int i, int reverse);
/* Prompts, push, results of frames first .. last. */
trk_status script_follow(trk_tracker *t, int video, int first, int last, found (*out)[OBJECTS]);
trk_status script_found(const trk_tracker *t, int object, found *out);
/* NULL, or what differs first between two stories in frames first .. last: in a buffer of this thread. */
const char *script_difference(found (*a)[OBJECTS], found (*b)[OBJECTS], int first, int last);

/* The emulation opens device memory in a handler of SIGSEGV, which cmocka puts its own in place of for each test: the
 * one that is there when a group's set-up is done is kept, and comes first in each test. */
void script_keep_handler(void);
void script_use_handler(void);

#endif
