/* SPDX-License-Identifier: Apache-2.0
 * The payload of a state. Numbers are 8 bytes, signed; floats 4 bytes; arrays as they lie in memory.
 *
 *   parameters that decide results, device, precision
 *   started, index, whether it is over, first frame, width, height, prompts left out
 *   objects: how many; each: id, result, waiting prompts, applied prompts
 *   memories, per object: conditioning entries in their order, recent ones; then the held frames that are locked
 *
 * Taking trusts nothing: counts are bounded by the bytes that are left before anything is allocated for them, sizes
 * follow from the model and never from the bytes. */
#include "state.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <limits.h>
#include <math.h>
#include <string.h>

#include "log.h"

/* --- parameters ----------------------------------------------------------------------------------------------- */

/* name, type, lowest, highest, value of a tracker created without params */
#define DECIDING_PARAMS(X)                                                                                             \
    X(reverse, int, 0, 1, 0)                                                                                           \
    X(keep_frame, int, 0, 1, 0)                                                                                        \
    X(binarize, trk_switch, TRK_OFF, TRK_ON, TRK_DEFAULT)                                                              \
    X(stability, trk_switch, TRK_OFF, TRK_ON, TRK_DEFAULT)                                                             \
    X(fill_holes, int, INT_MIN, INT_MAX, TRK_DEFAULT_FILL_HOLES)                                                       \
    X(non_overlap, trk_switch, TRK_OFF, TRK_ON, TRK_DEFAULT)                                                           \
    X(correct_as_condition, trk_switch, TRK_OFF, TRK_ON, TRK_DEFAULT)                                                  \
    X(max_prompts_in_memory, int, INT_MIN, INT_MAX, TRK_DEFAULT_PROMPTS_IN_MEMORY)                                     \
    X(history, int64_t, -1, TRK_FRAME_LIMIT, 0)                                                                        \
    X(memory_type, trk_memory_type, TRK_MEMORY_BF16, TRK_MEMORY_Q8, TRK_MEMORY_BF16)                                   \
    X(older_memory_type, trk_memory_type, TRK_MEMORY_BF16, TRK_MEMORY_Q8, TRK_MEMORY_BF16)                             \
    X(older_after, int, 0, INT_MAX, 0)                                                                                 \
    X(policy, trk_policy_kind, TRK_POLICY_SAM2, TRK_POLICY_SAMURAI, TRK_POLICY_SAM2)

/* Of trk_motion_params, as doubles; whole numbers too. */
#define MOTION_PARAMS(X)                                                                                               \
    X(weight, double)                                                                                                  \
    X(stable_frames, int)                                                                                              \
    X(stable_iou, double)                                                                                              \
    X(memory_iou, double)                                                                                              \
    X(memory_object_score, double)                                                                                     \
    X(memory_motion, double)                                                                                           \
    X(min_object_score, double)                                                                                        \
    X(strict_reference, int)

static void put_params(const trk_tracker_params *given, trk_blob *out)
{
    trk_tracker_params copy = *given, *p = &copy;
    p->reverse = p->reverse != 0;
    p->keep_frame = p->keep_frame != 0;
#define PUT_PARAM(name, type, low, high, usual) trk_blob_put_i64(out, (int64_t)p->name);
    DECIDING_PARAMS(PUT_PARAM)
#undef PUT_PARAM
}

/* A parameter the caller asked for and does not get is told. */
static void tell_param(const char *name, int64_t asked, int64_t usual, int64_t saved)
{
    if (asked != usual && asked != saved)
        trk_log(TRK_LOG_INFO, "state: %s is %lld, as it was saved, not %lld", name, (long long)saved, (long long)asked);
}

static trk_status take_params(trk_tracker_params *p, trk_blob_reader *in)
{
    int64_t value;
#define TAKE_PARAM(name, type, low, high, usual)                                                                       \
    value = trk_blob_take_within(in, (low), (high), "parameter " #name);                                               \
    if (in->status < 0)                                                                                                \
        return in->status;                                                                                             \
    tell_param(#name, (int64_t)p->name, (usual), value);                                                               \
    p->name = (type)value;
    DECIDING_PARAMS(TAKE_PARAM)
#undef TAKE_PARAM
    return TRK_OK;
}

static void put_motion(const trk_motion_params *p, trk_blob *out)
{
#define PUT_MOTION(name, type) trk_blob_put_f64(out, (double)p->name);
    MOTION_PARAMS(PUT_MOTION)
#undef PUT_MOTION
}

static trk_status take_motion(trk_motion_params *p, trk_blob_reader *in)
{
    trk_motion_params saved = {.struct_size = sizeof saved};
    double value;
#define TAKE_MOTION(name, type)                                                                                        \
    value = trk_blob_take_f64(in);                                                                                     \
    if (in->status >= 0 && !(fabs(value) <= INT_MAX))                                                                   \
        return TRK_FAIL(TRK_E_FORMAT, "state: motion parameter " #name " is %g", value);                              \
    saved.name = (type)value;
    MOTION_PARAMS(TAKE_MOTION)
#undef TAKE_MOTION
    if (in->status < 0)
        return in->status;
    return trk_motion_read(p, &saved, 0) < 0 ? trk_fail_prefix(TRK_E_FORMAT, "state") : TRK_OK;
}

static trk_status take_policy(trk_tracker *t, trk_blob_reader *in)
{
    trk_status rc = TRK_OK;
    t->policy = trk_policy_of(t->params.policy);
    if (t->policy->put)
        rc = take_motion(&t->motion, in);
    t->params.motion = &t->motion;
    return rc;
}

static void put_backend(const trk_tracker *t, trk_blob *out)
{
    trk_blob_put_i64(out, t->model->device);
    trk_blob_put_i64(out, trk_state_precision(t));
}

/* Another backend goes on as well, with results that differ in the last bits. */
static trk_status take_backend(const trk_tracker *t, trk_blob_reader *in)
{
    int64_t device = trk_blob_take_within(in, TRK_DEVICE_CPU, TRK_DEVICE_REFERENCE, "device");
    int64_t precision = trk_blob_take_within(in, TRK_F32, TRK_BF16, "precision");
    if (in->status >= 0 && (device != (int64_t)t->model->device || precision != (int64_t)trk_state_precision(t)))
        trk_log(TRK_LOG_INFO, "state: saved with device %lld in %s, goes on with device %d in %s", (long long)device,
                precision == TRK_BF16 ? "bf16" : "f32", (int)t->model->device,
                trk_state_precision(t) == TRK_BF16 ? "bf16" : "f32");
    return in->status;
}

/* --- timeline ------------------------------------------------------------------------------------------------- */

static void put_timeline(const trk_tracker *t, trk_blob *out)
{
    trk_blob_put_i64(out, t->started != 0);
    trk_blob_put_i64(out, t->index);
    trk_blob_put_i64(out, t->rewound_past != 0);
    trk_blob_put_i64(out, t->started ? t->first : t->index);
    trk_blob_put_i64(out, t->width);
    trk_blob_put_i64(out, t->height);
    trk_blob_put_i64(out, (int64_t)t->n_prompts_left_out);
}

static trk_status take_timeline(trk_tracker *t, trk_blob_reader *in)
{
    t->started = trk_state_flag(in, "\"started\"");
    t->index = trk_state_frame(in, "current frame");
    t->rewound_past = trk_state_flag(in, "\"current frame is over\"");
    t->first = trk_state_frame(in, "first frame");
    int64_t low = t->started ? 1 : 0, high = t->started ? TRK_FRAME_SIDE : 0;
    t->width = (int)trk_blob_take_within(in, low, high, "width of the frames");
    t->height = (int)trk_blob_take_within(in, low, high, "height of the frames");
    t->n_prompts_left_out = (uint64_t)trk_blob_take_within(in, 0, INT64_MAX, "number of prompts left out");
    const int64_t next =
        t->index + (t->rewound_past ? trk_direction(t) : 0); /* of those that were pushed, or are again */
    if (in->status >= 0 && (t->first - next) * trk_direction(t) > 0)
        return TRK_FAIL(TRK_E_FORMAT, "state: the first frame is %lld, after the current one, %lld",
                        (long long)t->first, (long long)t->index);
    return in->status;
}

/* --- prompts -------------------------------------------------------------------------------------------------- */

#define POINT_BYTES 16 /* x, y, positive */
#define PROMPT_BYTES 32 /* frame, has_box, n_points, has_mask */

static void put_prompt(const trk_prompt *p, trk_blob *out)
{
    trk_blob_put_i64(out, p->frame);
    trk_blob_put_i64(out, p->has_box != 0);
    if (p->has_box) {
        trk_blob_put_f32(out, p->box.x);
        trk_blob_put_f32(out, p->box.y);
        trk_blob_put_f32(out, p->box.width);
        trk_blob_put_f32(out, p->box.height);
    }
    trk_blob_put_i64(out, (int64_t)p->n_points);
    for (size_t i = 0; i < p->n_points; i++) {
        trk_blob_put_f32(out, p->points[i].x);
        trk_blob_put_f32(out, p->points[i].y);
        trk_blob_put_i64(out, p->points[i].positive != 0);
    }
    trk_blob_put_i64(out, p->mask != NULL);
    if (p->mask) {
        trk_blob_put_i64(out, p->mask_width);
        trk_blob_put_i64(out, p->mask_height);
        trk_blob_put(out, p->mask, (size_t)p->mask_width * (size_t)p->mask_height);
    }
}

static void put_prompts(const trk_prompt *list, trk_blob *out)
{
    int64_t n = 0;
    for (const trk_prompt *p = list; p; p = p->next)
        n++;
    trk_blob_put_i64(out, n);
    for (const trk_prompt *p = list; p; p = p->next)
        put_prompt(p, out);
}

static trk_status take_box(trk_prompt *p, trk_blob_reader *in)
{
    trk_box *b = &p->box;
    p->has_box = trk_state_flag(in, "\"has a box\"");
    if (!p->has_box)
        return in->status;
    b->x = trk_blob_take_f32(in);
    b->y = trk_blob_take_f32(in);
    b->width = trk_blob_take_f32(in);
    b->height = trk_blob_take_f32(in);
    if (in->status < 0)
        return in->status;
    if (!trk_box_is_valid(b))
        return TRK_FAIL(TRK_E_FORMAT, "state: box %g,%g,%g,%g: expected " TRK_BOX_RULE, b->x, b->y, b->width,
                        b->height);
    return TRK_OK;
}

static trk_status take_points(trk_tracker *t, trk_prompt *p, trk_blob_reader *in)
{
    int64_t n = trk_state_count(in, POINT_BYTES, "number of points");
    if (in->status < 0 || !n)
        return in->status;
    if (n > TRK_PROMPT_POINTS)
        return TRK_FAIL(TRK_E_FORMAT, "state: a prompt of %lld points: expected at most %d", (long long)n,
                        TRK_PROMPT_POINTS);
    const size_t bytes = (size_t)n * sizeof *p->points;
    p->points = trk_ledger_allocate(&t->pool->host, TRK_MEM_BANK, "prompt", bytes); /* trk_prompt_free releases them */
    if (!p->points)
        return trk_ledger_fail(&t->pool->host, bytes, "prompt points");
    p->n_points = (size_t)n;
    for (size_t i = 0; i < p->n_points; i++) {
        trk_point *q = &p->points[i];
        q->x = trk_blob_take_f32(in);
        q->y = trk_blob_take_f32(in);
        q->positive = trk_state_flag(in, "\"positive\" of a point");
        if (in->status < 0)
            return in->status;
        if (!trk_point_is_valid(q))
            return TRK_FAIL(TRK_E_FORMAT, "state: point %g,%g: expected " TRK_POINT_RULE, q->x, q->y);
    }
    return TRK_OK;
}

static trk_status take_mask(trk_tracker *t, trk_prompt *p, trk_blob_reader *in)
{
    if (!trk_state_flag(in, "\"has a mask\""))
        return in->status;
    int64_t width = trk_blob_take_within(in, 1, TRK_MASK_SIDE, "width of a mask");
    int64_t height = trk_blob_take_within(in, 1, TRK_MASK_SIDE, "height of a mask");
    if (in->status < 0)
        return in->status;
    size_t n = (size_t)width * (size_t)height;
    const unsigned char *given = trk_blob_take(in, n);
    if (!given)
        return in->status;
    for (size_t i = 0; i < n; i++)
        if (given[i] > 1)
            return TRK_FAIL(TRK_E_FORMAT, "state: byte %zu of a mask prompt is %d, expected 0 or 1", i, given[i]);
    trk_status rc = trk_prompt_add_mask(t, p, (int)width, (int)height);
    if (rc >= 0)
        memcpy(p->mask, given, n);
    return rc;
}

/* The prompt is linked into its list before it is filled, so that it is freed with it. */
static trk_status take_prompt(trk_tracker *t, trk_prompt **list, trk_blob_reader *in)
{
    trk_prompt **end = list, *p = trk_prompt_new(t, trk_state_frame(in, "frame of a prompt"));
    trk_status rc = TRK_OK;
    if (!p)
        return TRK_E_MEMORY;
    int known = in->status >= 0 && trk_prompt_find(*list, p->frame) != NULL;
    while (*end)
        end = &(*end)->next;
    *end = p;
    if (known)
        return TRK_FAIL(TRK_E_FORMAT, "state: two prompts of one object on frame %lld", (long long)p->frame);
    TRK_CHECK(take_box(p, in));
    TRK_CHECK(take_points(t, p, in));
    TRK_CHECK(take_mask(t, p, in));
    if (!p->has_box && !p->points && !p->mask)
        return TRK_FAIL(TRK_E_FORMAT, "state: the prompt on frame %lld is empty: expected a box, points or a mask",
                        (long long)p->frame);
done:
    return rc;
}

static trk_status take_prompts(trk_tracker *t, trk_prompt **list, int64_t most, trk_blob_reader *in)
{
    trk_status rc = TRK_OK;
    int64_t n = trk_state_count(in, PROMPT_BYTES, "number of prompts");
    if (in->status >= 0 && n > most)
        return TRK_FAIL(TRK_E_FORMAT, "state: %lld applied prompts of one object: expected at most %lld", (long long)n,
                        (long long)most);
    for (int64_t i = 0; i < n && rc >= 0; i++)
        rc = take_prompt(t, list, in);
    return rc < 0 ? rc : in->status;
}

/* --- objects -------------------------------------------------------------------------------------------------- */

#define OBJECT_BYTES 64 /* id, has_result, result_frame, prompted, initial, kept, two numbers of prompts */

/* What the policy carries; nothing where it carries nothing. */
static void put_notes(const trk_tracker *t, const trk_object *o, trk_blob *out)
{
    if (!t->policy->put)
        return;
    trk_blob_put_i64(out, o->note_frame);
    trk_state_put_note(t, &o->before, out);
    trk_state_put_note(t, &o->note, out);
}

static trk_status take_notes(const trk_tracker *t, trk_object *o, trk_blob_reader *in)
{
    if (!t->policy->put)
        return in->status;
    o->note_frame = trk_blob_take_i64(in);
    if (in->status >= 0 && o->note_frame != TRK_FRAME_NONE &&
        (o->note_frame > TRK_FRAME_LIMIT || o->note_frame < -TRK_FRAME_LIMIT))
        return TRK_FAIL(TRK_E_FORMAT, "state: a motion model of frame %lld", (long long)o->note_frame);
    trk_state_take_note(t, &o->before, in);
    trk_state_take_note(t, &o->note, in);
    return in->status;
}

/* From the model's memory. */
static void put_floats(const trk_tracker *t, const float *data, size_t bytes, trk_blob *out)
{
    const trk_device_memory *memory = t->model->network->memory;
    void *room = trk_blob_extend(out, bytes);
    trk_status rc = room ? memory->read(memory, room, data, bytes) : TRK_OK;
    if (rc < 0 && out->status >= 0)
        out->status = rc;
}

static void put_object(const trk_tracker *t, const trk_object *o, trk_blob *out)
{
    trk_blob_put_i64(out, o->id);
    trk_blob_put_i64(out, o->has_result != 0);
    trk_blob_put_i64(out, o->has_result ? o->result_frame : t->index);
    trk_blob_put_i64(out, o->prompted != 0);
    trk_blob_put_i64(out, o->initial != 0);
    trk_blob_put_i64(out, o->kept != 0);
    put_notes(t, o, out);
    if (o->has_result) {
        trk_blob_put_f32(out, o->told[0]);
        trk_blob_put_f32(out, o->told[1]);
        trk_blob_put_i64(out, (int64_t)o->told[2]);
        put_floats(t, o->result.logits, trk_logits_bytes(t), out);
        put_floats(t, o->result.pointer, trk_state_pointer_bytes(t), out);
    }
    put_prompts(o->waiting, out);
    put_prompts(o->applied, out);
}

static trk_status take_result(trk_tracker *t, trk_object *o, trk_blob_reader *in)
{
    if (!t->started)
        return TRK_FAIL(TRK_E_FORMAT, "state: object %d has a result before the first frame", o->id);
    const trk_device_memory *memory = t->model->network->memory;
    o->told[0] = trk_blob_take_f32(in);
    o->told[1] = trk_blob_take_f32(in);
    o->told[2] = (float)trk_blob_take_within(in, 0, 3, "chosen hypothesis");
    const void *logits = trk_blob_take(in, trk_logits_bytes(t)), *pointer = trk_blob_take(in, trk_state_pointer_bytes(t));
    if (!logits || !pointer)
        return in->status;
    trk_status rc = memory->write(memory, o->result.logits, logits, trk_logits_bytes(t));
    if (rc >= 0)
        rc = memory->write(memory, o->result.pointer, pointer, trk_state_pointer_bytes(t));
    if (rc >= 0)
        rc = memory->write(memory, o->result.info, o->told, sizeof o->told);
    return rc < 0 ? rc : in->status;
}

static trk_status take_object(trk_tracker *t, int64_t *last_id, trk_blob_reader *in)
{
    trk_object *o;
    trk_status rc = TRK_OK;
    *last_id = trk_blob_take_within(in, *last_id + 1, INT_MAX, "object");
    if (in->status < 0)
        return in->status;
    TRK_CHECK(trk_object_get(t, (int)*last_id, &o));
    o->has_result = trk_state_flag(in, "\"has a result\"");
    o->result_frame = trk_state_frame(in, "frame of a result");
    o->prompted = trk_state_flag(in, "\"prompted\"");
    o->initial = trk_state_flag(in, "\"initial\"");
    o->kept = trk_state_flag(in, "\"kept\"");
    TRK_CHECK(take_notes(t, o, in));
    if (o->has_result)
        TRK_CHECK(take_result(t, o, in));
    TRK_CHECK(take_prompts(t, &o->waiting, INT64_MAX, in));
    TRK_CHECK(take_prompts(t, &o->applied, 1, in));
    if (o->applied && trk_prompt_check(o->applied, o->id, t->width, t->height) < 0)
        rc = trk_fail_prefix(TRK_E_FORMAT, "state: an applied prompt");
done:
    return rc;
}

static trk_status take_objects(trk_tracker *t, trk_blob_reader *in)
{
    int64_t n = trk_state_count(in, OBJECT_BYTES, "number of objects"), id = 0;
    trk_status rc = in->status;
    for (int64_t i = 0; i < n && rc >= 0; i++)
        rc = take_object(t, &id, in);
    return rc;
}

/* --- everything ----------------------------------------------------------------------------------------------- */

trk_status trk_state_put(trk_tracker *t, trk_blob *out)
{
    put_params(&t->params, out);
    if (t->policy->put)
        put_motion(&t->motion, out);
    put_backend(t, out);
    put_timeline(t, out);
    trk_blob_put_i64(out, (int64_t)t->n_objects);
    for (size_t i = 0; i < t->n_objects; i++)
        put_object(t, t->objects[i], out);
    return out->status < 0 ? out->status : trk_state_put_memories(t, out, 0);
}

/* A result that does not come from a first prompt comes from memories; objects begin with the video or later; and only
 * eviction leaves memories out. */
static trk_status check_object(const trk_tracker *t, const trk_object *o)
{
    const trk_sequence *s = &o->memories;
    int left_out = 0;
    if (o->has_result && !o->initial && !s->conditioning.n)
        return TRK_FAIL(TRK_E_FORMAT, "state: object %d was tracked, but has no conditioning frame", o->id);
    if (s->conditioning.n && (t->first - trk_object_start(t, o)) * trk_direction(t) > 0)
        return TRK_FAIL(TRK_E_FORMAT, "state: object %d starts on frame %lld, before the first one, %lld", o->id,
                        (long long)trk_object_start(t, o), (long long)t->first);
    for (int i = 0; i < s->conditioning.n; i++)
        left_out |= trk_entry_is_left_out(&s->conditioning.items[i]);
    for (int i = 0; i < s->recent.n; i++)
        left_out |= trk_entry_is_left_out(&s->recent.items[i]);
    if (left_out)
        return TRK_FAIL(TRK_E_FORMAT, "state: object %d has masks without their memories", o->id);
    return TRK_OK;
}

trk_status trk_state_take(trk_tracker *t, trk_blob_reader *in)
{
    trk_status rc;
    TRK_CHECK(take_params(&t->params, in));
    TRK_CHECK(take_policy(t, in));
    TRK_CHECK(take_backend(t, in));
    TRK_CHECK(take_timeline(t, in));
    TRK_CHECK(take_objects(t, in));
    TRK_CHECK(trk_state_take_memories(t, in));
    for (size_t i = 0; i < t->n_objects; i++)
        TRK_CHECK(check_object(t, t->objects[i]));
done:
    return rc;
}

/* --- the model ------------------------------------------------------------------------------------------------ */

static void hash_number(XXH3_state_t *hash, int64_t value)
{
    XXH3_64bits_update(hash, &value, sizeof value);
}

static void hash_arch(XXH3_state_t *hash, const trk_arch *a)
{
    const int64_t numbers[] = {a->is_21, a->image_size, a->embed_dim, a->num_heads, a->n_blocks, a->bkg_size,
                               a->window_pos_size, a->d_model, a->mem_dim, a->n_mem_layers, a->mem_ffn, a->num_maskmem,
                               a->decoder_heads, a->decoder_depth, a->decoder_mlp, a->decoder_inner, a->iou_hidden,
                               a->mask_in_channels, a->n_fuser_layers, a->max_pointers};
    XXH3_64bits_update(hash, a->family, strlen(a->family) + 1);
    XXH3_64bits_update(hash, a->size_name, strlen(a->size_name) + 1);
    XXH3_64bits_update(hash, numbers, sizeof numbers);
    for (int i = 0; i < 4; i++) {
        hash_number(hash, a->stages[i]);
        hash_number(hash, a->window_spec[i]);
        hash_number(hash, a->top_down[i]);
    }
    for (int i = 0; i < a->n_blocks; i++)
        hash_number(hash, a->is_global[i]);
}

uint64_t trk_state_fingerprint(const trk_model *model)
{
    const trk_network_model *m = model->network;
    XXH3_state_t hash;
    XXH3_64bits_reset(&hash);
    hash_arch(&hash, &m->arch);
    hash_number(&hash, m->image_size);
    XXH3_64bits_update(&hash, &m->checksum, sizeof m->checksum);
    return XXH3_64bits_digest(&hash);
}
