/* SPDX-License-Identifier: Apache-2.0
 * What an evaluation found, clip by clip: in memory, in the result file (JSON), and as a table.
 *
 * The file: {"format": "track-eval-1", "dataset": PATH, "layout": NAME, "model": FILE NAME, "weights": XXH3 of the
 *  model's file, "device": , "precision": , "options": [TEXT...], "version": , "machine": KIND,
 *  "mean": {"J":, "F":, "J&F":, "boxes": {...}}, "n_objects":,
 *  "clips": [{"name":, "tests":, "frames":, "width":, "height":, "mask_hash": XXH3 of all masks of all frames in order,
 *    "J":, "F":, "J&F":, "boxes": {...}, "objects": [{"id":, "first_frame":,
 *       "J": {"mean":, "recall":, "decay":, "last10":}, "F": {"mean":, "recall":, "decay":},
 *       "boxes": {"AUC":, "OP50":, "OP75":, "precision":, "normalized_precision":, "normalized_AUC":, "AO":,
 *         "frames": that count},
 *       "frames": {"index": [..], "J": [..], "F": [..], "present": [0|1..]}}],
 *    "run": {"seconds":, "frames_per_second":, "peak_bytes":, "bytes": [accounted bytes after every frame]}}]}
 * What a part does not have is left out; NaN is null; hashes are 16 hexadecimal digits. "run" and "machine" are all
 * that may differ between two runs. Means of a clip are over its objects, those of the file over all objects; with
 * GOT-10k boxes weigh by their frames. */
#ifndef TRK_CLI_EVAL_RESULTS_H
#define TRK_CLI_EVAL_RESULTS_H

#include <stdint.h>

#include "box_scores.h"
#include "dataset.h"
#include "mask_scores.h"

typedef struct object_result {
    int id;
    int64_t first_frame;
    size_t n_frames;           /* scored, below */
    int64_t *index;            /* [n_frames] owned */
    double *region, *boundary; /* [n_frames] J and F; NaN: does not count; owned; NULL: boxes alone */
    unsigned char *present;    /* [n_frames] 1: the truth has the object; owned */
    score_summary region_summary, boundary_summary;
    double region_last10; /* mean J of the last ten frames that count */
    box_scores boxes;     /* n_frames 0: none */
} object_result;

typedef struct clip_result {
    char *name, *tests; /* owned; tests may be NULL */
    int64_t n_frames;
    int width, height;
    uint64_t mask_hash;          /* 0: there were boxes only */
    uint64_t source;             /* eval_identity_of_clip when it was begun; in single files alone, as the next ones */
    uint64_t masks_at, boxes_at; /* eval_identity_of_place of the folders that its masks and boxes are in; 0: none */
    object_result *objects;      /* [n_objects] owned */
    size_t n_objects;
    double seconds;    /* in the tracker; 0: masks were read, nothing ran */
    size_t peak_bytes; /* accounted on the model's device: model and clip, within frames too */
    size_t *bytes;     /* [n_bytes] the same after every tracked frame; owned */
    size_t n_bytes, bytes_capacity;
} clip_result;
void clip_result_free(clip_result *self);

typedef struct eval_results {
    const char *dataset, *machine;          /* borrowed, as all texts here */
    const char *model, *device, *precision; /* NULL: masks were read */
    const char *const *options;             /* [n_options] that can change the results */
    size_t n_options;
    dataset_layout layout;
    uint64_t weights, program; /* XXH3 of the files */
    clip_result *clips;        /* [n_clips] owned, in the order of the dataset */
    size_t n_clips;
    size_t n_left_out; /* clips that are not among them: stopped, or failed */
} eval_results;
void eval_results_free(eval_results *self); /* the clips */

/* Means over objects; NaN where none has that score. */
enum {
    MEAN_J,
    MEAN_F,
    MEAN_BOTH,
    MEAN_BOXES, /* + box_score */
    N_MEANS = MEAN_BOXES + N_BOX_SCORES
};
typedef struct eval_means {
    double of[N_MEANS];
    int has_masks, has_boxes;
    size_t n_objects;
} eval_means;
eval_means eval_means_of(const clip_result *clips, size_t n_clips, dataset_layout layout);

/* A character of a text in the files. Names of files need not be UTF-8, JSON has to be: then '?' is what is not ASCII. */
static inline char eval_results_ascii(char c)
{
    return c >= 32 && c <= 126 ? c : '?';
}

/* Whole or absent. */
trk_status eval_results_write(const eval_results *self, const char *path);
/* One clip in a file of its own, by which a broken-off evaluation goes on; `of` guards against results of another
 * model, dataset, machine or options: such a file is TRK_E_STATE. Not there: TRK_E_NOT_FOUND. Whether the clip itself
 * is as it was is up to the caller: `source`. */
trk_status clip_result_write(const clip_result *self, const eval_results *of, const char *path);
trk_status clip_result_read(clip_result *out, const eval_results *of, const char *path);
/* The table: a line per clip, with by_object those of its objects below where there are several, the means; to standard
 * output. */
void eval_results_print(const eval_results *self, int by_object);

#endif
