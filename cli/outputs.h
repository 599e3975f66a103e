/* SPDX-License-Identifier: Apache-2.0
 * Everything a run writes, frame by frame. Single files are whole or absent; in folders each file is. */
#ifndef TRK_CLI_OUTPUTS_H
#define TRK_CLI_OUTPUTS_H

#include "options.h"
#include "track.h"
#include "video.h"

typedef struct outputs outputs;

/* Opens what the options ask for. info: of the video; ids: [n_ids] all objects of the run, ascending, borrowed until
 * destroyed. */
trk_status outputs_open(outputs **out, const options *wanted, const trk_video_info *info, const int *ids, size_t n_ids);
/* Results of the tracker's current frame, drawn on the picture, whose RGB is asked of the reader where that needs it.
 * tracker: NULL while no object has started. A file that can not be written is gone; the others get the frame before the
 * failure is returned, and nothing more may be written. */
trk_status outputs_write(outputs *self, trk_tracker *tracker, trk_video_reader *reader, trk_picture *picture);
/* After outputs_write failed: 1 where the other files have the frame, 0 where its results could not be had or drawn. */
int outputs_have_frame(const outputs *self);
/* Then: what can still be finished, "the outputs" or "the other outputs"; NULL: none. */
const char *outputs_kept(const outputs *self);
/* Brings every file under its name, also after one that fails: the first failure is returned. */
trk_status outputs_finish(outputs *self);
/* NULL-safe; without finish, takes away what is not whole. */
void outputs_destroy(outputs **handle);

/* FILE for one object, else FILE with _ID before its suffix: the caller's (trk_heap_release), NULL when out of
 * memory. */
char *outputs_boxes_path(const char *path, int object, int several);

#endif
