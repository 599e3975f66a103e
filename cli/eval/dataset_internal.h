/* SPDX-License-Identifier: Apache-2.0
 * What the readers of dataset layouts share. Everything that comes from a file or a folder is untrusted: counts have
 * limits, names stay below the dataset's folder, and lists are sorted, so that nothing depends on the file system. */
#ifndef TRK_CLI_EVAL_DATASET_INTERNAL_H
#define TRK_CLI_EVAL_DATASET_INTERNAL_H

#include <jansson.h>

#include "dataset.h"
#include "numbered_images.h"
#include "palette.h"

enum {
    DATASET_MOST_CLIPS = 1 << 20,
    DATASET_MOST_FRAMES = 1 << 24, /* of a clip */
    DATASET_MOST_BOXES = 1 << 24,  /* objects times frames of a clip */
    DATASET_MOST_SIDE = 1 << 16,   /* pixels */
};

trk_status dataset_no_memory(const char *path);
/* items, [n], with room for one more: blocks grow when n is a power of two. NULL: out of memory, items stay. */
void *dataset_grown(void *items, size_t n, size_t item_bytes);

/* --- files (dataset_files.c) -------------------------------------------------------------------------------------- */

char *dataset_path(const char *folder, const char *name);     /* "folder/name", owned by the caller; NULL: no memory */
int dataset_has_folder(const char *folder, const char *name); /* name NULL: folder itself */
int dataset_has_file(const char *folder, const char *name);
/* A clip's or folder's name from a file: no empty part, no "..", not absolute, no control characters. */
int dataset_name_is_safe(const char *name);
/* The folder that holds a split. Given: path/split. NULL: path itself if it has the folder or file `marker`, else the
 * first of usual [until NULL] that is there, else path. marker NULL: usual ones first. *out: owned by the caller. */
trk_status dataset_split_folder(char **out, const char *path, const char *split, const char *marker,
                                const char *const *usual);

typedef struct dataset_names {
    char **items; /* [n] owned */
    size_t n;
} dataset_names;
void dataset_names_free(dataset_names *names);
/* Folders below a folder, each of a safe name, sorted by bytes; hidden ones left out. */
trk_status dataset_names_of_folders(dataset_names *out, const char *path);
/* Lines of a text file, each a safe name, in their order; empty lines are left out. At least one. */
trk_status dataset_names_of_list(dataset_names *out, const char *path);

/* As trk_numbered_images_read, at most DATASET_MOST_FRAMES. */
trk_status dataset_images_read(trk_numbered_images *out, const char *folder, int only_png);

/* A text of at most 256 MiB without blanks and line ends behind its last line; owned by the caller. */
trk_status dataset_text_read(char **out, const char *path);
/* owned by the caller (json_decref); the line of a failure says where in the file */
trk_status dataset_json_read(json_t **out, const char *path);
/* Cuts the next line off, blanks around it left out; NULL after the last. */
char *dataset_text_line(char **rest);
/* Numbers between commas, blanks around them allowed, none beyond 1e9 either way. How many; 0: not such a line, or more
 * than `most`. */
size_t dataset_text_numbers(const char *line, double *out, size_t most);

/* --- filling in (dataset.c) --------------------------------------------------------------------------------------- */

/* Whether a clip is asked for; one that is not is counted: once for each. Before anything of it is opened. */
int dataset_wants(dataset *self, const char *name);
/* A clip without objects and frames: n_frames -1, void_label -1. Valid until the next call. */
trk_status dataset_clip_add(dataset_clip **out, dataset *self, const char *name);
/* last_frame -1: dataset_open fills it in. */
trk_status dataset_object_add(dataset_object **out, dataset_clip *clip, int id);
trk_status dataset_annotated_add(dataset_clip *clip, int64_t frame, char *file); /* takes file over, also on failure */
/* frames folder, its images counted into n_frames; *images is for trk_numbered_images_free. */
trk_status dataset_clip_images(dataset_clip *clip, trk_numbered_images *images, const char *folder);
/* TRUTH_INDEXED of a folder of PNGs; a frame is the position of the image with the same number; images NULL: the
 * number itself. */
trk_status dataset_clip_indexed(dataset_clip *clip, const char *folder, const trk_numbered_images *images);
/* Adds the objects 1..254 found in the first n_files files that clip does not have yet, each with the frame that shows
 * it first. Reads pixels. */
trk_status dataset_clip_scan(dataset_clip *clip, size_t n_files);
/* One object with boxes; box and first_frame are the caller's. */
trk_status dataset_boxes_add(dataset_object **out, dataset_clip *clip, int id);
trk_status dataset_objects_sort(dataset_clip *clip); /* by id; two alike fail */

/* --- truth (dataset_truth.c) -------------------------------------------------------------------------------------- */

typedef struct dataset_rle {
    int width, height;
    size_t n_frames, n_objects;
    char **texts; /* [n_frames][n_objects] owned; NULL: not in the frame */
} dataset_rle;
void dataset_rle_free(dataset_rle *truth); /* accepts NULL */

/* --- layouts ------------------------------------------------------------------------------------------------------ */

/* Each adds the clips to self, whose layout and path are set. */
trk_status dataset_open_manifest(dataset *self, const char *split);
trk_status dataset_open_masks(dataset *self, const char *split);
trk_status dataset_open_davis(dataset *self, const char *split);
trk_status dataset_open_sav(dataset *self, const char *split);
trk_status dataset_open_youtube_vos(dataset *self, const char *split);
trk_status dataset_open_lasot(dataset *self, const char *split);
trk_status dataset_open_got10k(dataset *self, const char *split);
trk_status dataset_open_trackingnet(dataset *self, const char *split);
trk_status dataset_open_mot(dataset *self, const char *split);

#endif
