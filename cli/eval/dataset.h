/* SPDX-License-Identifier: Apache-2.0
 * Datasets: clips with prompts and truth, in the folder layouts they are published in. Nothing here tracks or scores.
 * A layout is one file dataset_NAME.c, which only fills in the structures below; truth is read frame by frame. */
#ifndef TRK_CLI_EVAL_DATASET_H
#define TRK_CLI_EVAL_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "track.h"

typedef enum dataset_layout {
    DATASET_AUTO = 0,    /* by the files found */
    DATASET_MANIFEST,    /* our JSON: a .json file, or a folder with manifest.json */
    DATASET_MASKS,       /* a folder of palette PNGs alone: one clip, for --pred */
    DATASET_DAVIS,       /* JPEGImages/480p, Annotations/480p, ImageSets/2017/SPLIT.txt */
    DATASET_SAV,         /* JPEGImages_24fps, Annotations_6fps/CLIP/OBJECT/FRAME.png, SPLIT.txt */
    DATASET_YOUTUBE_VOS, /* JPEGImages, Annotations, meta.json; also MOSE and LVOS, with or without SPLIT folders */
    DATASET_LASOT,       /* [CLASS/]CLIP/img, groundtruth.txt, full_occlusion.txt, out_of_view.txt */
    DATASET_GOT10K,      /* SPLIT/CLIP/00000001.jpg, groundtruth.txt, absence.label */
    DATASET_TRACKINGNET, /* [SPLIT/]frames/CLIP/0.jpg, anno/CLIP.txt */
    DATASET_MOT          /* CLIP/img1, gt/gt.txt, seqinfo.ini */
} dataset_layout;

/* What the truth of a clip is made of. */
typedef enum truth_kind {
    TRUTH_INDEXED, /* a palette PNG per frame, index = object 1..254; 255 is none, and void where void_label says so */
    TRUTH_BINARY,  /* a PNG per frame and object, not 0 = object */
    TRUTH_RLE,     /* COCO run lengths in the manifest */
    TRUTH_BOXES    /* a box per frame and object */
} truth_kind;

typedef struct dataset_object {
    int id;              /* in the results, and in palette PNGs: 1.. */
    char *name;          /* owned; of its folder, where the layout has one (SA-V "000"); NULL: the id */
    int64_t first_frame; /* of the prompt */
    int64_t last_frame;  /* the last with truth of this object: its own last file or range, else the clip's last one */
    trk_box box;         /* the prompt, where has_box; else the prompt is the true mask of first_frame */
    int has_box;
    int unprompted;         /* 1: its first frame does not show it: it counts, but there is nothing to track it from */
    trk_box *boxes;         /* TRUTH_BOXES: [clip.n_frames], owned; else NULL */
    unsigned char *visible; /* TRUTH_BOXES: [clip.n_frames] 1 = the frame counts; owned; else NULL */
} dataset_object;

typedef struct dataset_clip {
    char *name;   /* owned; unique in the dataset; may hold '/' */
    char *frames; /* owned: video file or folder of images; NULL: the layout has none (DATASET_MASKS) */
    char *truth;  /* owned: folder of the truth, or the file it comes from */
    truth_kind kind;
    int64_t n_frames;   /* of the clip, in truth and video; -1: only the video tells */
    int width, height;  /* pixels of a frame; 0: not told, the images have it */
    int void_label;     /* index that counts nowhere; -1: none */
    int skips_ends;     /* 1: an object's first_frame and last_frame do not count */
    int is_dense;       /* 1: every frame from the first prompt on has to have truth, to the end of the video */
    int skips_unseen;   /* 1: nor do the frames up to the first other one that shows it, in the truth or as found */
    int64_t *annotated; /* [n_annotated] frames with truth, ascending, owned */
    char **files;       /* [n_annotated] owned; TRUTH_INDEXED: path of the PNG; TRUTH_BINARY: its name below an object's
                           folder; else NULL each */
    size_t n_annotated;
    dataset_object *objects; /* [n_objects] owned, ascending ids */
    size_t n_objects;
    void *rle;   /* TRUTH_RLE: owned by the layout, see dataset_clip_truth */
    char *tests; /* owned: what the clip is there for, from a manifest; NULL: not told */
} dataset_clip;

typedef struct dataset {
    dataset_layout layout; /* never AUTO */
    char *path;            /* owned, as given but for slashes at its end */
    const char *only;      /* borrowed while dataset_open runs; NULL: every clip */
    dataset_clip *clips;   /* [n_clips] owned, by name */
    size_t n_clips;
    size_t n_left_out; /* clips that `only` does not name */
} dataset;

/* split: "val", "train", ...; NULL: the layout's usual one. only: names between commas; clips that are called otherwise
 * are left out, unread; NULL: none is. Everything but pixels is read and checked. Errors name the file and what was
 * expected there. Fills *out with what needs dataset_close also on failure. */
trk_status dataset_open(dataset *out, const char *path, dataset_layout layout, const char *split, const char *only);
void dataset_close(dataset *self);
/* "davis", "sav", ...: *out, or TRK_E_ARGUMENT that lists them. */
trk_status dataset_layout_parse(dataset_layout *out, const char *name);
const char *dataset_layout_name(dataset_layout layout);

/* What stands for object i in a map of indices: its id, or, where boxes have ids that do not fit, its place from 1
 * on. */
int dataset_clip_index(const dataset_clip *clip, size_t i);

/* True masks of a frame, as one index map or one mask per object. */
typedef struct truth_masks {
    int width, height;
    uint8_t *indices; /* TRUTH_INDEXED: [height][width]; else NULL. Owned */
    uint8_t **masks;  /* TRUTH_BINARY, TRUTH_RLE: [n_objects][height][width] 0 or not 0, owned; NULL: no truth of that
                         object in this frame (no file), so that the frame does not count for it */
    size_t n_masks;
} truth_masks;
/* The i with clip->annotated[i] == frame; n_annotated: there is none. */
size_t dataset_clip_annotation(const dataset_clip *clip, int64_t frame);
/* Size of true masks where it is known without reading one; 0 x 0: it is not. */
void dataset_clip_truth_size(const dataset_clip *clip, int *width, int *height);
/* Truth of clip->annotated[i]; not for TRUTH_BOXES. Buffers of *out (zeroed at first) are used again. */
trk_status dataset_clip_truth(truth_masks *out, const dataset_clip *clip, size_t i);
/* The mask of one object out of it: *out [height][width] bytes 0 or 1. */
void truth_masks_object(uint8_t *out, const truth_masks *masks, const dataset_clip *clip, size_t object);
void truth_masks_free(truth_masks *masks);

#endif
