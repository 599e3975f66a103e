/* SPDX-License-Identifier: Apache-2.0
 * Where the masks of a clip are in a folder of results: FOLDER/CLIP/FRAME.png, or, where each object has masks of its
 * own, FOLDER/CLIP/OBJECT/FRAME.png. frame_names.h has the names of frames. */
#ifndef TRK_CLI_EVAL_MASK_FILES_H
#define TRK_CLI_EVAL_MASK_FILES_H

#include "dataset.h"

/* FOLDER/CLIP, trk_heap_release; NULL when out of memory. */
char *mask_files_folder(const char *folder, const dataset_clip *clip);
/* FOLDER/OBJECT, of the folder of a clip; as above. */
char *mask_files_object_folder(const char *folder, const dataset_object *object);
/* Whether the masks of frames 0 .. n_frames - 1 are all there. */
int mask_files_are_there(const char *folder, const dataset_clip *clip, int64_t n_frames);

#endif
