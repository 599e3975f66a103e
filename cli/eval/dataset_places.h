/* SPDX-License-Identifier: Apache-2.0
 * What clips of a dataset have on disk, so that results are not written over it. */
#ifndef TRK_CLI_EVAL_DATASET_PLACES_H
#define TRK_CLI_EVAL_DATASET_PLACES_H

#include <sys/types.h>

#include "dataset.h"

typedef struct dataset_inode {
    dev_t device;
    ino_t number;
} dataset_inode;

typedef struct dataset_places {
    dataset_inode *items; /* sorted, owned */
    size_t n;
} dataset_places;

/* Frames and truth of clips [n_clips], their files or folders. */
trk_status dataset_places_collect(dataset_places *out, const dataset_clip *const *clips, size_t n_clips);
int dataset_places_have(const dataset_places *self, const char *path); /* 0 also where nothing is */
void dataset_places_free(dataset_places *self);

#endif
