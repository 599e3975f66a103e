/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conflicts.h"
#include "memory_report.h"
#include "model_path.h"
#include "outputs.h"
#include "progress.h"
#include "report.h"

volatile sig_atomic_t run_stop_signal;

enum { PICTURES_AHEAD = 3 }; /* decoded ahead of the one being tracked */

typedef struct run {
    options *wanted;
    trk_video_reader *reader;
    const trk_video_info *info;
    trk_picture *picture;     /* borrowed from the reader, to be released */
    int64_t n_damaged_before; /* packets and frames lost up to the first picture, and up to the queue's length after */
    char *model_path;         /* owned */
    trk_model *model;
    trk_tracker *tracker;
    outputs *written;
    int *ids; /* owned */
    size_t n_ids;
    int64_t first_prompt; /* frames before it are passed on without tracking */
    int64_t last_frame;   /* the last one processed */
    int started;          /* 1: the frame of the first prompt was reached */
    double first_pts, last_pts;
    trk_status read_status; /* how reading ended: TRK_END, or the failure that ended it early */
    char read_failure[512]; /* its text */
    progress shown;
} run;

static trk_status library_failure(trk_status rc)
{
    char text[1024];
    snprintf(text, sizeof text, "%s", trk_last_error());
    return TRK_FAIL(rc, "%s", text);
}

/* --- before the first frame ------------------------------------------------------------------------------------- */

static trk_status open_video(run *self)
{
    const options *wanted = self->wanted;
    const trk_video_params params = {
        .start = wanted->start, .n_frames = wanted->n_frames, .reverse = wanted->reverse, .queue = PICTURES_AHEAD};
    trk_status rc = trk_video_open(&self->reader, wanted->operands[0], &params);
    if (rc < 0)
        return rc;
    self->info = trk_video_get_info(self->reader);
    self->n_damaged_before = trk_video_damaged(self->reader);
    if (rc == TRK_OK)
        rc = trk_video_read(self->reader, &self->picture);
    if (rc == TRK_END)
        return TRK_FAIL(TRK_E_FORMAT, "%s: no frame to process", wanted->operands[0]);
    return rc;
}

static trk_status settle_prompts(run *self)
{
    options *wanted = self->wanted;
    trk_status rc = TRK_OK;
    TRK_CHECK(prompts_load(&wanted->prompts));
    TRK_CHECK(prompts_resolve(&wanted->prompts, self->picture->index, wanted->reverse, self->info->width,
                              self->info->height));
    TRK_CHECK(prompts_objects(&wanted->prompts, &self->ids, &self->n_ids));
    self->first_prompt = prompts_first_frame(&wanted->prompts, wanted->reverse);
done:
    return rc;
}

static trk_status check_files(run *self)
{
    trk_status rc = model_path_find(self->wanted->model, &self->model_path);
    if (rc)
        return trk_fail_prefix(rc, "--model");
    return conflicts_refuse(self->wanted, self->model_path, self->ids, self->n_ids);
}

static trk_status load_model(run *self)
{
    const options *wanted = self->wanted;
    trk_model_params params = TRK_MODEL_PARAMS_INIT;
    params.device = wanted->device;
    params.device_index = wanted->device_index;
    params.precision = wanted->precision;
    params.threads = wanted->threads;
    params.image_size = wanted->image_size;
    params.config_path = wanted->model_config;
    trk_status rc = trk_model_load(&self->model, self->model_path, &params);
    if (rc) {
        library_failure(rc);
        if (rc == TRK_E_MODEL && !strstr(trk_error_text(), self->model_path))
            trk_fail_prefix(rc, self->model_path);
    }
    return rc;
}

static trk_status create_tracker(run *self)
{
    const options *wanted = self->wanted;
    trk_tracker_params params = TRK_TRACKER_PARAMS_INIT;
    params.reverse = wanted->reverse;
    params.binarize = wanted->binarize ? TRK_ON : TRK_OFF;
    params.stability = wanted->stability ? TRK_ON : TRK_OFF;
    params.fill_holes = wanted->fill_holes ? wanted->fill_holes : -1;
    trk_status rc = trk_tracker_create(&self->tracker, self->model, &params);
    return rc ? library_failure(rc) : prompts_apply(&wanted->prompts, self->tracker);
}

/* --- the frames ------------------------------------------------------------------------------------------------- */

static trk_status push(run *self, const trk_picture *picture)
{
    const trk_frame frame = {.width = picture->width,
                             .height = picture->height,
                             .format = TRK_PIXEL_RGB24,
                             .planes = {picture->rgb},
                             .strides = {picture->stride},
                             .index = picture->index};
    trk_status rc = trk_tracker_push(self->tracker, &frame);
    return rc ? library_failure(rc) : TRK_OK;
}

static trk_status track_frame(run *self, const trk_picture *picture)
{
    trk_memory_use use = {.struct_size = sizeof use};
    trk_status rc = TRK_OK;
    if (picture->index == self->first_prompt)
        self->started = 1;
    if (self->started)
        TRK_CHECK(push(self, picture));
    TRK_CHECK(outputs_write(self->written, self->started ? self->tracker : NULL, picture));
    self->first_pts = self->shown.n_done ? self->first_pts : picture->pts;
    self->last_pts = picture->pts;
    self->last_frame = picture->index;
    if (trk_tracker_memory(self->tracker, &use))
        use.total_now = 0;
    progress_step(&self->shown, use.total_now);
done:
    return rc;
}

static trk_status track_frames(run *self)
{
    trk_status rc = TRK_OK;
    do {
        TRK_CHECK(track_frame(self, self->picture));
        trk_video_release(self->reader, self->picture);
        self->picture = NULL;
        if (run_stop_signal)
            return TRK_OK;
        rc = trk_video_read(self->reader, &self->picture);
    } while (rc == TRK_OK);
    self->read_status = rc;
    if (rc < 0)
        snprintf(self->read_failure, sizeof self->read_failure, "%s", trk_error_text());
    return TRK_OK; /* what was tracked before is kept; finish() reports the rest */
done:
    return rc;
}

/* --- after the last --------------------------------------------------------------------------------------------- */

static void warn_of_damage(run *self)
{
    const int64_t n_damaged = trk_video_damaged(self->reader);
    if (n_damaged)
        report_line("warning: %s: %" PRId64 " damaged packet%s skipped", self->wanted->operands[0], n_damaged,
                    n_damaged == 1 ? "" : "s");
}

static void warn_of_missed_prompts(const run *self)
{
    const prompt_list *list = &self->wanted->prompts;
    for (size_t i = 0; i < list->n_items; i++) {
        const int64_t frame = list->items[i].frame;
        if (self->wanted->reverse ? frame < self->last_frame : frame > self->last_frame)
            report_line("warning: %s: frame %" PRId64 " was not reached, the last one was %" PRId64,
                        list->items[i].where, frame, self->last_frame);
    }
}

/* 1 if much less came than the header of the video promises. Counting alone would also find damaged packets in the
 * middle, so the time of the last frame must be early too, from the first frame delivered and from the first of the
 * video: frames lost before --start shift the numbers, not the times. Frames lost at the very beginning shift the times
 * too and are subtracted, unless so few frames came that the reader may have met the end when they were counted. 5 %
 * and a frame are left for headers that are not exact. */
static int ended_early(const run *self)
{
    const int may_have_met_end = self->shown.n_done <= PICTURES_AHEAD + 3; /* and those in hand of either thread */
    const int64_t n_accounted = may_have_met_end ? 0 : self->n_damaged_before;
    const double promised = 0.95 * (double)(self->info->n_frames - n_accounted) - 1;
    const double rate = (double)self->info->rate_num / self->info->rate_den;
    const int64_t start = self->wanted->start > 0 ? self->wanted->start : 0;
    const double by_run = 1 + (self->last_pts - self->first_pts) * rate;
    const double by_video = 1 + self->last_pts * rate - (double)start;
    return !self->wanted->reverse && (double)self->shown.n_done < promised && by_run < promised && by_video < promised;
}

/* The outputs are whole by now, up to where reading ended. TRK_OK if that is the end of the video. */
static trk_status report_end_of_video(run *self)
{
    const char *path = self->wanted->operands[0];
    if (run_stop_signal)
        return TRK_OK;
    if (self->read_status < 0)
        return TRK_FAIL(self->read_status, "%s (the outputs are whole up to there: frame %" PRId64 ")",
                        self->read_failure, self->last_frame);
    if (ended_early(self) && self->info->n_frames_exact)
        return TRK_FAIL(TRK_E_FORMAT,
                        "%s: ends early, after %" PRId64 " of %" PRId64 " frames (the outputs are whole up to there)",
                        path, self->shown.n_done, self->info->n_frames);
    if (ended_early(self))
        report_line("warning: %s: ended after %" PRId64 " frames, about %" PRId64 " were expected", path,
                    self->shown.n_done, self->info->n_frames);
    warn_of_damage(self);
    warn_of_missed_prompts(self);
    return TRK_OK;
}

static trk_status report_memory(const run *self)
{
    trk_memory_use use = {.struct_size = sizeof use};
    trk_status rc = trk_tracker_memory(self->tracker, &use);
    return rc ? library_failure(rc) : memory_report_write(self->wanted->memory_report_file, &use);
}

static trk_status finish(run *self)
{
    trk_status rc = TRK_OK;
    if (!self->started && !run_stop_signal)
        return TRK_FAIL(TRK_E_NOT_FOUND,
                        "nothing was followed: %s ends at frame %" PRId64 ", the first prompt is for frame %" PRId64,
                        self->wanted->operands[0], self->last_frame, self->first_prompt);
    TRK_CHECK(outputs_finish(self->written));
    TRK_CHECK(report_end_of_video(self));
    progress_summary(&self->shown, self->n_ids);
    if (self->wanted->memory_report)
        TRK_CHECK(report_memory(self));
done:
    return rc;
}

trk_status run_track(options *wanted)
{
    run self = {.wanted = wanted};
    trk_status rc = TRK_OK;
    TRK_CHECK(open_video(&self));
    TRK_CHECK(settle_prompts(&self));
    TRK_CHECK(check_files(&self));
    TRK_CHECK(load_model(&self));
    TRK_CHECK(create_tracker(&self));
    TRK_CHECK(outputs_open(&self.written, wanted, self.info, self.ids, self.n_ids));
    progress_start(&self.shown, wanted->quiet, self.info->n_frames, self.info->n_frames_exact);
    TRK_CHECK(track_frames(&self));
    TRK_CHECK(finish(&self));
done:
    outputs_destroy(&self.written);
    trk_tracker_destroy(&self.tracker);
    trk_model_destroy(&self.model);
    if (self.picture)
        trk_video_release(self.reader, self.picture);
    trk_video_close(&self.reader);
    free(self.model_path);
    free(self.ids);
    return rc;
}
