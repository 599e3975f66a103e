/* SPDX-License-Identifier: Apache-2.0
 * Prompts from the command line and from JSON files, in the order given, on their way to the tracker:
 * parse (text only) -> load (mask files, object ids) -> resolve (frames, bounds) -> apply.
 *
 * Which object: ID where given. Else a box or mask starts a new object, with the smallest id that no prompt before it
 * and no later box or mask names, and a point refines the object of the prompt before it, on that prompt's frame; a
 * point that comes first starts an object as a box does.
 * Which frame: FRAME where given, else the first frame processed. */
#ifndef TRK_CLI_PROMPTS_H
#define TRK_CLI_PROMPTS_H

#include "track.h"
#include "video.h"

typedef enum prompt_kind { PROMPT_BOX, PROMPT_POINT, PROMPT_MASK } prompt_kind;

typedef struct prompt {
    prompt_kind kind;
    int object;      /* 0: not given, until load */
    int64_t frame;   /* -1: not given, until resolve */
    int follows;     /* 1: a point without ID that refines the prompt before it */
    trk_box box;     /* BOX */
    trk_point point; /* POINT */
    char *path;      /* MASK: owned; NULL otherwise */
    trk_image mask;  /* MASK, from load to apply: owned, one channel, non-zero = object */
    char *file;      /* the JSON file it comes from: owned; NULL: the command line */
    char *where;     /* owned: "--box 1,2,3,4" or "FILE.json: prompts[0]", for messages */
} prompt;

typedef struct prompt_list {
    prompt *items; /* owned */
    size_t n_items, capacity;
    const int *taken; /* [n_taken] ids of objects there are already, which new ones do not get; borrowed until load */
    size_t n_taken;
} prompt_list;

/* One option's text, "[ID@FRAME:]..."; TRK_E_ARGUMENT says what the form is. */
trk_status prompts_parse(prompt_list *list, prompt_kind kind, const char *text);
/* {"prompts": [{"object": 1, "frame": 0, "box": [x, y, w, h]}, {"object": 1, "points": [[x, y, 1], [x, y, 0]]},
 *  {"object": 2, "frame": 3, "mask": "m.png"}]}; a mask's path is relative to the JSON file. */
trk_status prompts_parse_file(prompt_list *list, const char *path);

/* Reads masks and gives every prompt its object. A palette PNG without ID becomes one prompt per index, the index being
 * the object; 255 is left out where there are others (void, as in DAVIS), and a plain mask where it is the only one. */
trk_status prompts_load(prompt_list *list);
/* Gives every prompt its frame and checks boxes and points against the size of the frames, and that no mask replaces
 * another prompt and no box another box. */
trk_status prompts_resolve(prompt_list *list, int64_t first_frame, int reverse, int width, int height);
trk_status prompts_apply(const prompt_list *list, trk_tracker *tracker);

/* Object ids, ascending, without repetition: *ids is released with trk_heap_release. */
trk_status prompts_objects(const prompt_list *list, int **ids, size_t *n_ids);
/* The frame, in order of processing, on which the first object starts. */
int64_t prompts_first_frame(const prompt_list *list, int reverse);
void prompts_free(prompt_list *list);

#endif
