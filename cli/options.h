/* SPDX-License-Identifier: Apache-2.0
 * The command line. Defaults are the constants below, which the help text prints. */
#ifndef TRK_CLI_OPTIONS_H
#define TRK_CLI_OPTIONS_H

#include <stdio.h>

#include "motion_options.h"
#include "prompts.h"
#include "track.h"
#include "video.h"

#define OPTIONS_DEFAULT_MODEL       "demo-m"
#define OPTIONS_DEFAULT_FILL_HOLES  8
#define OPTIONS_DEFAULT_MAX_PROMPTS 8 /* that an object reads, as the library's default */
#define OPTIONS_DEFAULT_OLDER_AFTER 3 /* frames */
#define OPTIONS_MOST_THREADS        1024
#define OPTIONS_MOST_IMAGE_SIZE     16384
#define OPTIONS_MOST_JOBS           256

typedef enum options_command {
    COMMAND_TRACK,
    COMMAND_INFO,
    COMMAND_EVAL,
    COMMAND_HELP,
    COMMAND_EVAL_HELP,
    COMMAND_VERSION
} options_command;

typedef struct options {
    options_command command;
    const char *operands[1]; /* VIDEO, or MODEL, or DATASET; strings are borrowed from argv */
    /* input */
    int64_t start, n_frames; /* -1: not given */
    int reverse;
    trk_hardware_use decoder; /* TRY, auto: with a model on a GPU */
    prompt_list prompts;      /* owned */
    /* model */
    const char *model, *model_config;
    trk_device device;
    int device_index;
    trk_precision precision;
    int threads, image_size; /* 0: default */
    int fill_holes;          /* area in low-resolution pixels; 0 = none */
    int binarize, stability, correct_as_condition, non_overlap;
    motion_options motion; /* policy and its thresholds */
    /* memory */
    size_t memory_budget; /* bytes; 0: memory_share of what is free; that 0 too: not given */
    double memory_share;
    trk_sweep sweep;
    const char *sweep_option; /* the one that set it, without dashes; NULL: none */
    int sweep_every;          /* 0: not given */
    double sweep_above;       /* 0: not given */
    int max_prompts;          /* -1: all */
    int64_t history;          /* -1: all */
    trk_memory_type memory_type, older_memory_type;
    int older_after; /* 0: older_memory_type is not given */
    int reserve, plan;
    /* output; NULL: not wanted. boxes: a file, of eval a folder */
    const char *overlay, *masks, *jsonl, *boxes, *logits, *sheet;
    trk_hardware_use encoder;        /* of the overlay, as decoder */
    const char *save_state, *resume; /* the second is an input */
    const char *state_option;        /* the first given that a saved state has in itself, without dashes; NULL: none */
    const char *tracking_option;     /* of track eval: the first given that says how to track; NULL: none */
    /* many videos */
    const char *list; /* NULL: one video */
    int jobs;         /* at once; 0: not given */
    /* eval */
    const char *layout, *split; /* NULL: by the files found, the usual one */
    const char *pred, *results; /* NULL: the dataset is tracked; not wanted */
    char *clips;                /* names between commas; owned; NULL: all */
    const char *box_layout;     /* of --boxes; NULL: the dataset's own, if it has one */
    int by_object, no_boundary;
    /* diagnostics */
    int quiet, verbose, memory_report;
    const char *memory_report_file; /* NULL: standard error */
} options;

/* TRK_E_ARGUMENT: misuse. Fills *out with what needs options_free also on failure. */
trk_status options_parse(options *out, int argc, char **argv);
/* A line of the file of --list: its words on top of the options of the command line, which are defaults there, but for
 * --list, --jobs and --memory-report. Strings are borrowed from both. */
trk_status options_parse_job(options *out, int argc, char **argv, size_t n_words, char **words);
void options_free(options *self);
void options_print_help(FILE *stream);
void options_print_eval_help(FILE *stream);

#endif
