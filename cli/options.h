/* SPDX-License-Identifier: Apache-2.0
 * The command line. Defaults are the constants below, which the help text prints. */
#ifndef TRK_CLI_OPTIONS_H
#define TRK_CLI_OPTIONS_H

#include <stdio.h>

#include "prompts.h"
#include "track.h"

#define OPTIONS_DEFAULT_MODEL      "demo-m"
#define OPTIONS_DEFAULT_FILL_HOLES 8
#define OPTIONS_MOST_THREADS       1024
#define OPTIONS_MOST_IMAGE_SIZE    16384

typedef enum options_command {
    COMMAND_TRACK,
    COMMAND_INFO,
    COMMAND_EVAL,
    COMMAND_HELP,
    COMMAND_VERSION
} options_command;

typedef struct options {
    options_command command;
    const char *operands[2]; /* VIDEO, or MODEL, or MASKS_DIR and TRUTH_DIR; strings are borrowed from argv */
    /* input */
    int64_t start, n_frames; /* -1: not given */
    int reverse;
    prompt_list prompts; /* owned */
    /* model */
    const char *model, *model_config;
    trk_device device;
    int device_index;
    trk_precision precision;
    int threads, image_size; /* 0: default */
    int fill_holes;          /* area in low-resolution pixels; 0 = none */
    int binarize, stability;
    /* output; NULL: not wanted */
    const char *overlay, *masks, *jsonl, *boxes, *logits, *sheet;
    /* diagnostics */
    int quiet, verbose, memory_report;
    const char *memory_report_file; /* NULL: standard error */
} options;

/* TRK_E_ARGUMENT: misuse. Fills *out with what needs options_free also on failure. */
trk_status options_parse(options *out, int argc, char **argv);
void options_free(options *self);
void options_print_help(FILE *stream);

#endif
