/* SPDX-License-Identifier: Apache-2.0
 * Boxes of the objects of a clip as files, in the layouts in which benchmarks of boxes take results. A line x,y,w,h for
 * every frame, whole pixels, 0,0,0,0 where nothing is found; that of the first frame too is what was found, not the
 * prompt. NAME is the clip's, with _ID where it has several objects (of a clip "a/b": "a/b", and "b" in its folder):
 *   lasot, trackingnet   DIR/NAME.txt
 *   got10k               DIR/NAME/NAME_001.txt, and NAME_time.txt: seconds spent on each frame, a line each */
#ifndef TRK_CLI_EVAL_BOX_FILES_H
#define TRK_CLI_EVAL_BOX_FILES_H

#include "dataset.h"

typedef enum box_layout { BOX_LAYOUT_LASOT, BOX_LAYOUT_GOT10K, BOX_LAYOUT_TRACKINGNET } box_layout;

/* name: of --box-layout; NULL: the one that belongs to the dataset's layout, lasot where there is none. */
trk_status box_layout_parse(box_layout *out, const char *name, dataset_layout of);
/* The file of an object; the caller's (trk_heap_release), NULL: out of memory. */
char *box_files_path(const char *folder, box_layout layout, const dataset_clip *clip, size_t object);

/* Kept in memory until they are written, as they may well not be: a clip that fails leaves nothing. */
typedef struct box_files {
    const dataset_clip *clip; /* borrowed */
    trk_box *boxes;           /* [n_frames][clip.n_objects] owned */
    double *seconds;          /* [n_frames] owned */
    size_t n_frames, boxes_capacity, seconds_capacity;
} box_files;
/* The next frame. boxes: [clip.n_objects]. */
trk_status box_files_add(box_files *self, const trk_box *boxes, double seconds);
/* Each file whole or absent; folders are made. */
trk_status box_files_write(const box_files *self, const char *folder, box_layout layout);
void box_files_free(box_files *self); /* accepts a zeroed one */

/* 1: every file of the clip is there. */
int box_files_are_there(const char *folder, box_layout layout, const dataset_clip *clip);
/* TRK_E_ARGUMENT: two of them would be the same file, or one is the clip's truth. clips: [n_clips] by name. */
trk_status box_files_refuse(const char *folder, box_layout layout, const dataset_clip *const *clips, size_t n_clips);

#endif
