/* SPDX-License-Identifier: Apache-2.0
 * The state of a run, and its beginning. */
#ifndef TRK_CLI_RUN_INTERNAL_H
#define TRK_CLI_RUN_INTERNAL_H

#include "outputs.h"
#include "plan_report.h"
#include "run.h"

typedef struct run {
    session *shared;  /* borrowed */
    options *wanted;  /* borrowed */
    char prefix[512]; /* of messages: "" or "FILE:LINE: " */
    trk_video_reader *reader;
    const trk_video_info *info;
    trk_picture *picture;     /* borrowed from the reader, to be released */
    int64_t n_damaged_before; /* packets and frames lost up to the first picture, and up to the queue's length after */
    trk_motion_params motion; /* params point to it */
    trk_tracker_params params;
    trk_tracker *tracker;
    plan_report plan;
    int admitted; /* 1: session_leave is due */
    outputs *written;
    int *ids; /* owned: all objects of the run, ascending */
    size_t n_ids;
    int64_t first_prompt; /* frames before it are passed on without tracking */
    int64_t last_frame;   /* the last one processed */
    int started;          /* 1: the frame of the first prompt was reached, or tracking goes on from a saved state */
    double first_pts, last_pts;
    int is_ahead;          /* 1: the tracker was given a frame that the outputs have not, and perhaps ended */
    trk_status end_status; /* the failure that ended the frames early; TRK_OK: none */
    char end_failure[512]; /* its text */
    progress shown;
} run;

/* Up to the first frame: video, prompts, plan, tracker, and what of the outputs would get in the way of something.
 * TRK_END: stopped by a signal before the first frame. */
trk_status run_prepare(run *self);

#endif
