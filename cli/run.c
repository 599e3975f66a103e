/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>

#include "failure.h"
#include "heap.h"
#include "output_file.h"
#include "report.h"
#include "run_internal.h"

/* --- the frames ------------------------------------------------------------------------------------------------- */

/* Keeps the failure that ends the frames early, with the outputs whole up to there. Returns rc. */
static trk_status broken_off(run *self, trk_status rc)
{
    self->end_status = rc;
    snprintf(self->end_failure, sizeof self->end_failure, "%s", trk_error_text());
    return rc;
}

trk_frame run_frame(const trk_picture *picture)
{
    const trk_device_planes *device = &picture->device;
    trk_frame frame = {.width = picture->width,
                       .height = picture->height,
                       .format = TRK_PIXEL_RGB24,
                       .planes = {picture->rgb},
                       .strides = {picture->stride},
                       .index = picture->index};
    if (!device->planes[0])
        return frame;
    frame.format = TRK_PIXEL_NV12;
    frame.place = TRK_ON_DEVICE;
    for (int i = 0; i < 2; i++) {
        frame.planes[i] = device->planes[i];
        frame.strides[i] = device->strides[i];
    }
    frame.matrix = device->matrix == 601 ? TRK_YUV_BT601 : device->matrix == 709 ? TRK_YUV_BT709 : TRK_YUV_BT2020;
    frame.full_range = device->full_range;
    return frame;
}

static trk_status push(run *self, const trk_picture *picture)
{
    const trk_frame frame = run_frame(picture);
    trk_status rc = trk_tracker_push(self->tracker, &frame);
    if (!rc)
        return TRK_OK;
    self->is_ahead = 1;
    return broken_off(self, failure_of_library(rc));
}

static trk_status track_frame(run *self, trk_picture *picture)
{
    trk_memory_use use = {.struct_size = sizeof use};
    trk_status rc = TRK_OK;
    if (picture->index == self->first_prompt)
        self->started = 1;
    if (self->started)
        TRK_CHECK(push(self, picture));
    rc = outputs_write(self->written, self->started ? self->tracker : NULL, self->reader, picture);
    if (rc)
        broken_off(self, rc);
    if (rc && !outputs_have_frame(self->written)) {
        self->is_ahead = 1;
        return rc;
    }
    self->first_pts = self->shown.n_done ? self->first_pts : picture->pts;
    self->last_pts = picture->pts;
    self->last_frame = picture->index;
    if (progress_step(&self->shown)) {
        if (trk_tracker_memory(self->tracker, &use))
            use.total_now = 0;
        progress_draw(&self->shown, use.total_now);
    }
done:
    return rc;
}

/* Takes the picture and reads the next one. TRK_END after the last. */
static trk_status pass_frame(run *self)
{
    trk_status rc = track_frame(self, self->picture);
    if (rc)
        return rc;
    trk_video_release(self->reader, self->picture);
    self->picture = NULL;
    if (session_stop_signal)
        return TRK_END;
    rc = trk_video_read(self->reader, &self->picture);
    return rc < 0 ? broken_off(self, rc) : rc;
}

/* TRK_OK also where they ended early and what was tracked before is kept: finish() reports the rest. */
static trk_status track_frames(run *self)
{
    trk_status rc;
    do
        rc = pass_frame(self);
    while (rc == TRK_OK);
    return self->end_status < 0 && !self->shown.n_done ? trk_fail(self->end_status, "%s", self->end_failure) : TRK_OK;
}

/* --- after the last --------------------------------------------------------------------------------------------- */

static void warn_of_damage(run *self)
{
    const int64_t n_damaged = trk_video_damaged(self->reader);
    if (n_damaged)
        report_line("%swarning: %s: %" PRId64 " damaged packet%s skipped", self->prefix, self->wanted->operands[0],
                    n_damaged, n_damaged == 1 ? "" : "s");
}

static void warn_of_missed_prompts(const run *self)
{
    const prompt_list *list = &self->wanted->prompts;
    for (size_t i = 0; i < list->n_items; i++) {
        const int64_t frame = list->items[i].frame;
        if (self->wanted->reverse ? frame < self->last_frame : frame > self->last_frame)
            report_line("%swarning: %s: frame %" PRId64 " was not reached, the last one was %" PRId64, self->prefix,
                        list->items[i].where, frame, self->last_frame);
    }
}

/* Of a run before, in a folder that is written to again: whoever reads it would mix the two. */
static void warn_of_other_frames(const run *self)
{
    const struct {
        const char *option, *path, *suffix;
    } folders[] = {{"masks", self->wanted->masks, ".png"}, {"logits", self->wanted->logits, ".npy"}};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const int64_t n = output_folder_behind(folders[i].path, folders[i].suffix, self->last_frame,
                                               self->wanted->reverse);
        if (n)
            report_line("%swarning: --%s: %s has %" PRId64 " file%s of frames %s %" PRId64 ", where this run ended",
                        self->prefix, folders[i].option, folders[i].path, n, n == 1 ? "" : "s",
                        self->wanted->reverse ? "before" : "after", self->last_frame);
    }
}

/* 1 if much less came than the header of the video promises. Counting alone would also find damaged packets in the
 * middle, so the time of the last frame must be early too, from the first frame delivered and from the first of the
 * video: frames lost before --start shift the numbers, not the times. Frames lost at the very beginning shift the times
 * too and are subtracted, unless so few frames came that the reader may have met the end when they were counted. */
static int ended_early(const run *self)
{
    const int may_have_met_end = self->shown.n_done <= PICTURES_AHEAD + 3; /* and those in hand of either thread */
    const int64_t n_accounted = may_have_met_end ? 0 : self->n_damaged_before;
    const int64_t promised = self->info->n_frames - n_accounted;
    const double rate = (double)self->info->rate_num / self->info->rate_den;
    const int64_t start = self->wanted->start > 0 ? self->wanted->start : 0;
    const double by_run = 1 + (self->last_pts - self->first_pts) * rate;
    const double by_video = 1 + self->last_pts * rate - (double)start;
    return !self->wanted->reverse && trk_video_falls_short((double)self->shown.n_done, promised) &&
           trk_video_falls_short(by_run, promised) && trk_video_falls_short(by_video, promised);
}

/* The outputs are whole by now, up to where reading or writing ended. kept: how to call them, NULL if none is left.
 * TRK_OK if that is the end of the video. */
static trk_status report_end_of_video(run *self, const char *kept)
{
    const char *path = self->wanted->operands[0];
    if (self->end_status < 0 && kept)
        return TRK_FAIL(self->end_status, "%s (%s are whole up to there: frame %" PRId64 ")", self->end_failure, kept,
                        self->last_frame);
    if (self->end_status < 0)
        return TRK_FAIL(self->end_status, "%s", self->end_failure);
    if (session_stop_signal)
        return TRK_OK;
    if (ended_early(self) && self->info->n_frames_exact)
        return TRK_FAIL(TRK_E_FORMAT,
                        "%s: ends early, after %" PRId64 " of %" PRId64 " frames (the outputs are whole up to there)",
                        path, self->shown.n_done, self->info->n_frames);
    if (ended_early(self))
        report_line("%swarning: %s: ended after %" PRId64 " frames, about %" PRId64 " were expected", self->prefix,
                    path, self->shown.n_done, self->info->n_frames);
    warn_of_damage(self);
    warn_of_missed_prompts(self);
    return TRK_OK;
}

/* Tracking can go on after any end but one in the tracker itself, or one with a frame that no output has. A tracker that
 * has seen no frame does not know where the video is. */
static trk_status save_state(run *self)
{
    const char *path = self->wanted->save_state;
    if (!path)
        return TRK_OK;
    if (self->is_ahead) {
        report_line("%swarning: --save-state: no state is saved, since the failure was in the middle of a frame",
                    self->prefix);
        return TRK_OK;
    }
    if (!self->started) {
        report_line("%swarning: --save-state: nothing was tracked, no state is saved (frame %" PRId64
                    " of the first prompt was not reached)",
                    self->prefix, self->first_prompt);
        return TRK_OK;
    }
    trk_status rc = trk_tracker_save(self->tracker, path);
    if (rc) {
        failure_of_library(rc);
        trk_fail_prefix(rc, "--save-state");
    }
    return rc;
}

static void tell_of_prompts_left_out(const run *self)
{
    trk_tracker_info info = {.struct_size = sizeof info};
    if (self->wanted->quiet || trk_tracker_get_info(self->tracker, &info) || !info.n_prompts_left_out)
        return;
    report_line("%s%" PRIu64 " times a prompted frame farther away was not read (--max-prompts-in-memory)",
                self->prefix, info.n_prompts_left_out);
}

/* The video was over before the first prompt's frame. */
static trk_status fail_unstarted(const run *self)
{
    if (ended_early(self) && self->info->n_frames_exact)
        return TRK_FAIL(TRK_E_FORMAT,
                        "%s: ends early, after %" PRId64 " of %" PRId64 " frames; the first prompt is for frame %" PRId64,
                        self->wanted->operands[0], self->shown.n_done, self->info->n_frames, self->first_prompt);
    return TRK_FAIL(TRK_E_NOT_FOUND,
                    "nothing was followed: %s at frame %" PRId64 ", the first prompt is for frame %" PRId64,
                    self->wanted->n_frames > 0 ? "the run ends (--frames)" : "the video ends", self->last_frame,
                    self->first_prompt);
}

static trk_status finish(run *self)
{
    first_failure first = {0};
    trk_status rc = TRK_OK;
    if (!self->started && self->end_status >= 0 && !session_stop_signal)
        return fail_unstarted(self);
    const char *kept = outputs_kept(self->written); /* finish closes them */
    first_failure_note(&first, outputs_finish(self->written));
    first_failure_note(&first, save_state(self));
    warn_of_other_frames(self);
    if (self->end_status >= 0)
        TRK_CHECK(first_failure_tell(&first));
    TRK_CHECK(report_end_of_video(self, first.status < 0 ? NULL : kept));
    tell_of_prompts_left_out(self);
    progress_summary(&self->shown, self->prefix, self->n_ids);
    if (self->shared->wanted->memory_report)
        TRK_CHECK(session_measure(self->shared, self->tracker));
done:
    return rc;
}

static trk_status probe_state(const run *self)
{
    const char *path = self->wanted->save_state;
    trk_status rc = path ? output_file_probe(path, 1) : TRK_OK;
    return rc ? trk_fail_prefix(rc, "--save-state") : TRK_OK;
}

static trk_status track(run *self)
{
    trk_status rc = TRK_OK;
    TRK_CHECK(probe_state(self));
    TRK_CHECK(outputs_open(&self->written, self->wanted, self->info, self->ids, self->n_ids));
    progress_start(&self->shown, self->shared->together, self->wanted->quiet, self->info->n_frames,
                   self->info->n_frames_exact);
    TRK_CHECK(track_frames(self));
    TRK_CHECK(finish(self));
done:
    return rc;
}

trk_status run_video(session *shared, options *wanted, const char *where)
{
    run self = {.shared = shared, .wanted = wanted};
    if (where)
        snprintf(self.prefix, sizeof self.prefix, "%.500s: ", where);
    trk_status rc = run_prepare(&self);
    if (rc == TRK_END) {
        report_line("%sstopped before the first frame", self.prefix);
        rc = TRK_OK;
    } else if (!rc && !wanted->plan)
        rc = track(&self);
    outputs_destroy(&self.written);
    trk_tracker_destroy(&self.tracker);
    if (self.admitted)
        session_leave(shared, plan_report_needs(&self.plan));
    if (self.picture)
        trk_video_release(self.reader, self.picture);
    trk_video_close(&self.reader);
    trk_heap_release(self.ids);
    return rc;
}

trk_status run_track(options *wanted)
{
    session shared;
    trk_status rc = TRK_OK;
    TRK_CHECK(session_open(&shared, wanted));
    TRK_CHECK(run_video(&shared, wanted, NULL));
    TRK_CHECK(session_report(&shared));
done:
    session_close(&shared);
    return rc;
}
