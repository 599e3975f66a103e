/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "conflicts.h"
#include "failure.h"
#include "heap.h"
#include "run_internal.h"

/* --- the state to go on from ------------------------------------------------------------------------------------ */

trk_status run_tracker_params(trk_tracker_params *out, trk_motion_params *motion, const options *wanted,
                              const trk_model *model, trk_pool *pool)
{
    trk_tracker_params params = TRK_TRACKER_PARAMS_INIT;
    trk_status rc = TRK_OK;
    params.policy = wanted->motion.policy;
    if (params.policy == TRK_POLICY_SAMURAI) {
        TRK_CHECK(motion_options_params(motion, &wanted->motion, model));
        params.motion = motion;
    }
    params.binarize = wanted->binarize ? TRK_ON : TRK_OFF;
    params.stability = wanted->stability ? TRK_ON : TRK_OFF;
    params.fill_holes = wanted->fill_holes ? wanted->fill_holes : -1;
    params.correct_as_condition = wanted->correct_as_condition ? TRK_ON : TRK_OFF;
    params.non_overlap = wanted->non_overlap ? TRK_ON : TRK_OFF;
    params.pool = pool;
    params.sweep = wanted->sweep;
    params.sweep_every = wanted->sweep_every;
    params.sweep_above = wanted->sweep_above;
    params.max_prompts_in_memory = wanted->max_prompts;
    params.history = wanted->history;
    params.memory_type = wanted->memory_type;
    params.older_memory_type = wanted->older_memory_type;
    params.older_after = wanted->older_after;
    params.reserve = wanted->reserve;
    *out = params;
done:
    return rc;
}

static trk_status get_info(const run *self, trk_tracker_info *info)
{
    *info = (trk_tracker_info){.struct_size = sizeof *info};
    trk_status rc = trk_tracker_get_info(self->tracker, info);
    return rc ? failure_of_library(rc) : TRK_OK;
}

/* Where the video starts and which way it goes follow from the state. */
static trk_status resume(run *self)
{
    options *wanted = self->wanted;
    trk_tracker_info info;
    trk_status rc = trk_tracker_resume(&self->tracker, self->shared->model, &self->params, wanted->resume);
    if (rc) {
        failure_of_library(rc);
        return trk_fail_prefix(rc, "--resume");
    }
    rc = get_info(self, &info);
    if (rc)
        return rc;
    if (wanted->reverse && !info.reverse)
        return TRK_FAIL(TRK_E_ARGUMENT, "--reverse: the state of %s goes forward", wanted->resume);
    if (info.started && wanted->start >= 0 && wanted->start != info.next)
        return TRK_FAIL(TRK_E_ARGUMENT, "--start: the state of %s goes on at frame %" PRId64 ", got %" PRId64,
                        wanted->resume, info.next, wanted->start);
    if (info.started && info.next < 0)
        return TRK_FAIL(TRK_E_STATE, "--resume: the state of %s is at the first frame already, going backwards",
                        wanted->resume);
    wanted->reverse = self->params.reverse = info.reverse;
    wanted->start = info.started ? info.next : wanted->start;
    self->started = 1;
    if (wanted->motion.draw && info.policy != TRK_POLICY_SAMURAI)
        return TRK_FAIL(TRK_E_ARGUMENT, "--draw-motion: the state of %s is not of --policy samurai", wanted->resume);
    return TRK_OK;
}

static trk_status check_size(const run *self)
{
    trk_tracker_info info;
    trk_status rc = get_info(self, &info);
    if (rc)
        return rc;
    if (info.started && (info.width != self->info->width || info.height != self->info->height))
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: expected frames of %d x %d as in the state of %s, found %d x %d",
                        self->wanted->operands[0], info.width, info.height, self->wanted->resume, self->info->width,
                        self->info->height);
    return TRK_OK;
}

/* --- video and prompts ------------------------------------------------------------------------------------------ */

/* 1: overlays can be drawn on what the tracker keeps of a frame. States keep their own ways, and no frames. */
static int may_keep_frames(const options *wanted)
{
    return wanted->overlay && !wanted->resume && !wanted->save_state;
}

/* Beside a model on the CPU a GPU is used only when asked for, and the pixels come over. */
static trk_status settle_hardware(run *self, trk_video_delivery *delivery)
{
    options *wanted = self->wanted;
    trk_model_info info = {.struct_size = sizeof info};
    trk_status rc = trk_model_get_info(self->shared->model, &info);
    if (rc)
        return failure_of_library(rc);
    if (info.device != TRK_DEVICE_CUDA) {
        wanted->decoder = wanted->decoder == TRK_HARDWARE_TRY ? TRK_HARDWARE_OFF : wanted->decoder;
        wanted->encoder = wanted->encoder == TRK_HARDWARE_TRY ? TRK_HARDWARE_OFF : wanted->encoder;
        *delivery = TRK_DELIVER_RGB;
    } else
        *delivery = wanted->overlay && !may_keep_frames(wanted) ? TRK_DELIVER_BOTH : TRK_DELIVER_PLANES;
    return TRK_OK;
}

/* TRK_END: stopped before the first picture. */
static trk_status open_video(run *self)
{
    const options *wanted = self->wanted;
    trk_video_params params = {
        .start = wanted->start, .n_frames = wanted->n_frames, .reverse = wanted->reverse, .queue = PICTURES_AHEAD,
        .stop = &session_stop_signal};
    trk_status rc = settle_hardware(self, &params.delivery);
    if (rc)
        return rc;
    params.hardware = (trk_video_hardware){wanted->decoder, wanted->device_index};
    rc = trk_video_open(&self->reader, wanted->operands[0], &params);
    if (rc == TRK_E_ARGUMENT && self->tracker && self->started) /* not what was asked for, but where the state is */
        return trk_fail_prefix(TRK_E_STATE, "--resume: the state goes on behind the end");
    if (rc)
        return rc;
    self->info = trk_video_get_info(self->reader);
    self->n_damaged_before = trk_video_damaged(self->reader);
    rc = trk_video_read(self->reader, &self->picture);
    if (rc == TRK_END && !session_stop_signal)
        return TRK_FAIL(TRK_E_FORMAT, "%s: no frame to process", wanted->operands[0]);
    if (rc == TRK_OK)
        self->params.keep_frame = may_keep_frames(wanted) && self->picture->device.planes[0];
    return rc;
}

/* The objects of the saved state, ascending: *ids is the caller's (trk_heap_release). */
static trk_status saved_objects(const run *self, int **ids, size_t *n_ids)
{
    *n_ids = self->tracker ? trk_tracker_all_objects(self->tracker, NULL, 0) : 0;
    *ids = trk_heap_zeroed(TRK_MEM_SCRATCH, "objects", *n_ids + 1, sizeof **ids);
    if (!*ids)
        return TRK_FAIL(TRK_E_MEMORY, "objects: out of memory");
    if (*n_ids)
        trk_tracker_all_objects(self->tracker, *ids, *n_ids);
    return TRK_OK;
}

/* Two ascending lists into one. */
static trk_status merge_objects(run *self, const int *saved, size_t n_saved, const int *prompted, size_t n_prompted)
{
    size_t i = 0, j = 0;
    self->ids = trk_heap_zeroed(TRK_MEM_SCRATCH, "objects", n_saved + n_prompted + 1, sizeof *self->ids);
    if (!self->ids)
        return TRK_FAIL(TRK_E_MEMORY, "objects: out of memory");
    while (i < n_saved || j < n_prompted) {
        const int take_saved = j == n_prompted || (i < n_saved && saved[i] <= prompted[j]);
        const int id = take_saved ? saved[i] : prompted[j];
        i += i < n_saved && saved[i] == id;
        j += j < n_prompted && prompted[j] == id;
        self->ids[self->n_ids++] = id;
    }
    if (!self->n_ids)
        return TRK_FAIL(TRK_E_ARGUMENT, "nothing to follow: the state of %s holds no object", self->wanted->resume);
    return TRK_OK;
}

static trk_status settle_prompts(run *self)
{
    options *wanted = self->wanted;
    int *saved = NULL, *prompted = NULL;
    size_t n_saved = 0, n_prompted = 0;
    trk_status rc = TRK_OK;
    TRK_CHECK(saved_objects(self, &saved, &n_saved));
    wanted->prompts.taken = saved;
    wanted->prompts.n_taken = n_saved;
    TRK_CHECK(prompts_load(&wanted->prompts));
    TRK_CHECK(prompts_resolve(&wanted->prompts, self->picture->index, wanted->reverse, self->info->width,
                              self->info->height));
    TRK_CHECK(prompts_objects(&wanted->prompts, &prompted, &n_prompted));
    TRK_CHECK(merge_objects(self, saved, n_saved, prompted, n_prompted));
    if (!self->started)
        self->first_prompt = prompts_first_frame(&wanted->prompts, wanted->reverse);
done:
    wanted->prompts.taken = NULL;
    wanted->prompts.n_taken = 0;
    trk_heap_release(saved);
    trk_heap_release(prompted);
    return rc;
}

/* --- plan and tracker ------------------------------------------------------------------------------------------- */

/* Of a run that goes on from a state, the policies and the prompted frames in the state are not known here: the plan is
 * that of a run that began with the usual ones. It serves for taking turns; --plan does not print it, nor is it told, nor
 * held against the budget, which the tracker does itself. */
static trk_status make_plan(run *self)
{
    trk_status rc = plan_report_make(&self->plan, self->shared->model, &self->params, &self->wanted->prompts,
                                     self->n_ids, self->info->width, self->info->height);
    if (rc)
        return rc;
    if (self->wanted->plan)
        plan_report_print(&self->plan, stdout);
    return self->wanted->resume ? TRK_OK : plan_report_check(&self->plan);
}

/* Takes its turn where runs at once need more than the budget. */
static void enter(run *self)
{
    const size_t budget = self->plan.budget ? self->plan.budget - self->plan.found.pinned : SIZE_MAX;
    session_enter(self->shared, plan_report_needs(&self->plan), budget);
    self->admitted = 1;
}

static trk_status create_tracker(run *self)
{
    trk_status rc = TRK_OK;
    if (!self->tracker)
        rc = trk_tracker_create(&self->tracker, self->shared->model, &self->params);
    return rc ? failure_of_library(rc) : prompts_apply(&self->wanted->prompts, self->tracker);
}

trk_status run_prepare(run *self)
{
    trk_status rc = TRK_OK;
    TRK_CHECK(run_tracker_params(&self->params, &self->motion, self->wanted, self->shared->model, self->shared->pool));
    self->params.reverse = self->wanted->reverse;
    if (self->wanted->resume)
        TRK_CHECK(resume(self));
    TRK_CHECK(open_video(self));
    if (rc == TRK_END)
        goto done;
    if (self->wanted->resume)
        TRK_CHECK(check_size(self));
    TRK_CHECK(settle_prompts(self));
    TRK_CHECK(conflicts_refuse(self->wanted, self->shared->model_path, self->ids, self->n_ids));
    TRK_CHECK(make_plan(self));
    if (self->wanted->plan)
        return TRK_OK;
    enter(self);
    TRK_CHECK(create_tracker(self));
    if (!self->wanted->quiet && !self->wanted->resume)
        plan_report_line(&self->plan, self->prefix);
done:
    return rc;
}
