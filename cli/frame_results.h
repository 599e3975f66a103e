/* SPDX-License-Identifier: Apache-2.0
 * What the tracker says of a frame, as outputs need it: records, masks, an index map, and a picture drawn on. */
#ifndef TRK_CLI_FRAME_RESULTS_H
#define TRK_CLI_FRAME_RESULTS_H

#include "font.h"
#include "options.h"
#include "records.h"
#include "track.h"
#include "video.h"

typedef struct frame_results {
    const options *wanted; /* borrowed */
    int width, height;
    record *records; /* [n_records] owned, ascending by object */
    size_t n_records;
    uint8_t *indices;        /* [height][width] ids, 0 = background, for --masks; owned */
    trk_paint_object *drawn; /* [n_at_once] owned */
    record **drawn_records;  /* [n_at_once] theirs; owned */
    size_t n_at_once;
    uint8_t *masks; /* [n_at_once][height][width], where masks are wanted on the host; owned */
} frame_results;

/* ids: [n_ids] all objects of the run, ascending. self: zeroed; to be closed after a failure as well. */
trk_status frame_results_open(frame_results *self, const options *wanted, int width, int height, const int *ids,
                              size_t n_ids);
/* Those of the tracker's current frame; tracker: NULL while no object has started. target: NULL, or gets the picture,
 * whose RGB is asked of the reader where that needs it, with masks, predicted boxes and ids. */
trk_status frame_results_take(frame_results *self, trk_tracker *tracker, trk_video_reader *reader, trk_picture *picture,
                              canvas *target);
void frame_results_close(frame_results *self);

#endif
