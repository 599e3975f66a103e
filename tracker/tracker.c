/* SPDX-License-Identifier: Apache-2.0
 * Life of a tracker, and the frame loop. See tracker.h for the order of things inside a push. */
#include "tracker.h"

#include <stdlib.h>

#include "log.h"

#define DEFAULT_FILL_HOLES 8 /* low-resolution pixels; upstream's builder */

trk_status trk_tracker_usable(const trk_tracker *t)
{
    if (t->broken < 0)
        return TRK_FAIL(TRK_E_STATE, "the tracker ended at frame %lld with an earlier failure; reset or destroy it",
                        (long long)t->index);
    return TRK_OK;
}

trk_status trk_tracker_open(trk_tracker **out, const trk_model *model, const trk_tracker_params *params)
{
    const trk_network_model *m = model->network;
    trk_status rc = TRK_OK;
    trk_tracker *t = calloc(1, sizeof *t);
    if (!t)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a tracker");
    t->model = model;
    t->params = *params;
    if (t->params.fill_holes == 0)
        t->params.fill_holes = DEFAULT_FILL_HOLES;
    trk_ledger_init(&t->ledger);
    trk_chunk_pool_init(&t->chunks, &t->ledger);
    trk_arena_init(&t->frame, &t->chunks, TRK_MEM_FRAME);
    trk_arena_init(&t->scratch, &t->chunks, TRK_MEM_SCRATCH);
    trk_bank_init(&t->bank, &t->ledger, (size_t)m->grid * m->grid * m->arch.mem_dim * sizeof(uint16_t),
                  (size_t)m->arch.d_model * sizeof(float), m->arch.num_maskmem, m->arch.max_pointers);
    TRK_CHECK(trk_network_init(&t->net, m, &t->ledger.allocator, &t->frame, &t->scratch));
    *out = t;
    t = NULL;
done:
    trk_tracker_destroy(&t);
    return rc;
}

static void sweep(trk_tracker *t)
{
    trk_arena_sweep(&t->frame);
    if (t->has_features) {
        t->n_sweeps++;
        trk_log(TRK_LOG_DEBUG, "sweep after frame %lld: %zu bytes pinned, %zu bank, %zu frame", (long long)t->index,
                t->model->network->ledger.now[TRK_MEM_PINNED] + t->ledger.now[TRK_MEM_PINNED],
                t->ledger.now[TRK_MEM_BANK], t->ledger.now[TRK_MEM_FRAME]);
    }
    t->has_features = 0;
    t->features = (trk_features){0};
}

trk_status trk_tracker_reset(trk_tracker *t)
{
    if (!t)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_reset: tracker must not be NULL");
    while (t->n_objects)
        trk_object_remove(t, t->objects[t->n_objects - 1]);
    sweep(t);
    trk_arena_sweep(&t->scratch);
    t->net.exec.status = TRK_OK;
    t->broken = TRK_OK;
    t->started = 0;
    t->width = t->height = 0;
    t->index = 0;
    t->n_sweeps = 0;
    return TRK_OK;
}

void trk_tracker_destroy(trk_tracker **handle)
{
    if (!handle || !*handle)
        return;
    trk_tracker *t = *handle;
    *handle = NULL;
    trk_tracker_reset(t);
    trk_ledger_release(&t->ledger, TRK_MEM_BANK, t->objects, t->objects_capacity * sizeof *t->objects);
    trk_network_release(&t->net);
    trk_bank_release(&t->bank);
    trk_chunk_pool_release(&t->chunks);
    free(t);
}

static trk_status check_push(const trk_tracker *t, const trk_frame *frame)
{
    trk_status rc = trk_frame_check(frame);
    if (rc < 0)
        return rc;
    int64_t expected = t->index + (t->params.reverse ? -1 : 1);
    if (t->started && frame->index != expected)
        return TRK_FAIL(TRK_E_ARGUMENT, "frame index %lld: expected %lld after frame %lld", (long long)frame->index,
                        (long long)expected, (long long)t->index);
    if (t->started && (frame->width != t->width || frame->height != t->height))
        return TRK_FAIL(TRK_E_ARGUMENT, "frame %lld is %d x %d; the frames before it are %d x %d",
                        (long long)frame->index, frame->width, frame->height, t->width, t->height);
    for (size_t i = 0; i < t->n_objects; i++) {
        const trk_prompt *prompt = trk_prompt_find(t->objects[i]->waiting, frame->index);
        if (prompt && (rc = trk_prompt_check(prompt, t->objects[i]->id, frame->width, frame->height)) < 0)
            return rc;
    }
    return TRK_OK;
}

/* Prompts for frames that will not come any more: only possible before the first push, or by its index. */
static void drop_missed_prompts(trk_tracker *t)
{
    int direction = t->params.reverse ? -1 : 1;
    for (size_t i = 0; i < t->n_objects; i++) {
        for (trk_prompt **link = &t->objects[i]->waiting; *link;) {
            trk_prompt *prompt = *link;
            if ((prompt->frame - t->index) * direction > 0) {
                link = &prompt->next;
                continue;
            }
            trk_log(TRK_LOG_WARNING, "prompt of object %d on frame %lld is dropped: tracking is past it at frame %lld",
                    t->objects[i]->id, (long long)prompt->frame, (long long)t->index);
            *link = prompt->next;
            trk_prompt_free(t, prompt);
        }
    }
}

static trk_status encode(trk_tracker *t, const trk_frame *frame)
{
    const uint8_t *rgb;
    ptrdiff_t stride;
    trk_status rc = trk_frame_rgb(t, frame, &rgb, &stride);
    if (rc < 0)
        return rc;
    trk_encode_image(&t->net, rgb, frame->width, frame->height, stride, &t->features);
    t->has_features = 1;
    return trk_network_status(&t->net);
}

trk_status trk_tracker_push(trk_tracker *t, const trk_frame *frame)
{
    trk_status rc;
    if (!t || !frame)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_push: tracker and frame must not be NULL");
    if ((rc = trk_tracker_usable(t)) < 0 || (rc = check_push(t, frame)) < 0)
        return rc;
    sweep(t);
    t->width = frame->width;
    t->height = frame->height;
    t->index = frame->index;
    t->started = 1;
    TRK_CHECK(encode(t, frame));
    for (size_t i = 0; i < t->n_objects; i++) {
        trk_object *object = t->objects[i];
        TRK_CHECK(trk_object_step(t, object, trk_prompt_take(&object->waiting, t->index)));
        trk_sequence_advance(&object->memories, t->index + (t->params.reverse ? -1 : 1));
    }
    drop_missed_prompts(t);
    if (!t->params.keep_frame)
        sweep(t);
done:
    if (rc < 0)
        t->broken = rc;
    return rc;
}
