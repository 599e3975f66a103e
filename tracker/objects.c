/* SPDX-License-Identifier: Apache-2.0
 * One object on the current frame: tracking, prompting, remembering. Upstream: SAM2Base.track_step,
 * SAM2VideoPredictor._run_single_frame_inference and add_new_points_or_box. */
#include <string.h>

#include "tracker.h"

int trk_mask_side(const trk_tracker *t)
{
    return 4 * t->model->network->grid;
}

static size_t logits_bytes(const trk_tracker *t)
{
    return (size_t)trk_mask_side(t) * (size_t)trk_mask_side(t) * sizeof(float);
}

static size_t pointer_bytes(const trk_tracker *t)
{
    return (size_t)t->model->network->arch.d_model * sizeof(float);
}

trk_object *trk_object_find(const trk_tracker *t, int id)
{
    for (size_t i = 0; i < t->n_objects; i++)
        if (t->objects[i]->id == id)
            return t->objects[i];
    return NULL;
}

static void object_free(trk_tracker *t, trk_object *o)
{
    if (!o)
        return;
    trk_sequence_release(&o->memories);
    trk_prompt_free_list(t, &o->waiting);
    trk_prompt_free_list(t, &o->applied);
    trk_ledger_release(&t->ledger, TRK_MEM_BANK, o->result.logits, logits_bytes(t));
    trk_ledger_release(&t->ledger, TRK_MEM_BANK, o->result.pointer, pointer_bytes(t));
    trk_ledger_release(&t->ledger, TRK_MEM_BANK, o, sizeof *o);
}

static trk_object *object_new(trk_tracker *t, int id)
{
    trk_object *o = trk_ledger_allocate(&t->ledger, TRK_MEM_BANK, "object", sizeof *o);
    if (!o)
        return NULL;
    *o = (trk_object){.id = id};
    o->result.logits = trk_ledger_allocate(&t->ledger, TRK_MEM_BANK, "logits of an object", logits_bytes(t));
    o->result.pointer = trk_ledger_allocate(&t->ledger, TRK_MEM_BANK, "pointer of an object", pointer_bytes(t));
    if (o->result.logits && o->result.pointer && trk_sequence_init(&o->memories, &t->bank) >= 0)
        return o;
    object_free(t, o);
    return NULL;
}

static trk_status grow_objects(trk_tracker *t)
{
    if (t->n_objects < t->objects_capacity)
        return TRK_OK;
    size_t capacity = t->objects_capacity ? 2 * t->objects_capacity : 8;
    trk_object **list = trk_ledger_allocate(&t->ledger, TRK_MEM_BANK, "objects", capacity * sizeof *list);
    if (!list)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a list of %zu objects", capacity);
    if (t->n_objects)
        memcpy(list, t->objects, t->n_objects * sizeof *list);
    trk_ledger_release(&t->ledger, TRK_MEM_BANK, t->objects, t->objects_capacity * sizeof *list);
    t->objects = list;
    t->objects_capacity = capacity;
    return TRK_OK;
}

trk_status trk_object_get(trk_tracker *t, int id, trk_object **out)
{
    *out = trk_object_find(t, id);
    if (*out)
        return TRK_OK;
    trk_object *object = grow_objects(t) < 0 ? NULL : object_new(t, id);
    if (!object)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for object %d", id);
    size_t at = t->n_objects++;
    for (; at > 0 && t->objects[at - 1]->id > id; at--)
        t->objects[at] = t->objects[at - 1];
    t->objects[at] = object;
    *out = object;
    return TRK_OK;
}

void trk_object_remove(trk_tracker *t, trk_object *object)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->n_objects; i++)
        if (t->objects[i] != object)
            t->objects[kept++] = t->objects[i];
    t->n_objects = kept;
    object_free(t, object);
}

/* --- conditioning --------------------------------------------------------------------------------------------- */

/* Memory attention of the object's bank onto the current frame. A conditioning entry of the frame itself (made by an
 * earlier prompt on it) is not read: upstream commits it only when propagation goes on. */
static void attend_bank(trk_tracker *t, const trk_object *o, trk_mat out)
{
    const trk_sequence *s = &o->memories;
    int direction = t->params.reverse ? -1 : 1;
    int capacity = s->n_conditioning + t->bank.n_memories + t->bank.n_pointers;
    trk_arena_mark mark = trk_arena_here(&t->scratch);
    trk_memory_read *reads = trk_arena_allocate(&t->scratch, (size_t)capacity * sizeof *reads);
    trk_memory_ref *memories = trk_arena_allocate(&t->scratch, (size_t)capacity * sizeof *memories);
    trk_pointer_ref *pointers = trk_arena_allocate(&t->scratch, (size_t)capacity * sizeof *pointers);
    if (!reads || !memories || !pointers) {
        trk_exec_fail(&t->net.exec, TRK_FAIL(TRK_E_MEMORY, "no memory for the list of memories"));
        return;
    }
    int conditioning;
    const trk_memory_entry *own = trk_sequence_find(s, t->index, &conditioning);
    int n_memories = 0, n_pointers = 0;
    int n = trk_sequence_memories(s, t->index, direction, reads);
    for (int i = 0; i < n; i++)
        if (!own || reads[i].slot != own->memory)
            memories[n_memories++] = (trk_memory_ref){trk_slot_data(reads[i].slot), reads[i].age};
    n = trk_sequence_pointers(s, t->index, direction, reads);
    for (int i = 0; i < n; i++)
        if (!own || reads[i].slot != own->pointer)
            pointers[n_pointers++] = (trk_pointer_ref){trk_slot_data(reads[i].slot), reads[i].age};
    trk_attend_memory(&t->net, &t->features, memories, n_memories, pointers, n_pointers, out);
    trk_arena_rewind(&t->scratch, mark);
}

static trk_mat feature_mat(trk_tracker *t)
{
    const trk_network_model *m = t->model->network;
    return trk_new_mat(&t->net, &t->scratch, TRK_F32, m->grid * m->grid, m->arch.d_model);
}

static int uses_stability(const trk_tracker *t)
{
    return t->params.stability != TRK_OFF;
}

static void track(trk_tracker *t, trk_object *o)
{
    trk_arena_mark mark = trk_arena_here(&t->scratch);
    trk_mat feature = feature_mat(t);
    attend_bank(t, o, feature);
    trk_head_input in = {.feature = feature, .multimask = 1, .stability = uses_stability(t)};
    trk_run_head(&t->net, &t->features, &in, &o->result);
    trk_arena_rewind(&t->scratch, mark);
}

/* --- prompts -------------------------------------------------------------------------------------------------- */

/* Points of a prompt in the order upstream gives them: box corners, then clicks; normalised by the frame. */
static trk_prompt_point *prompt_points(trk_tracker *t, const trk_prompt *p, int *n)
{
    *n = (p->has_box ? 2 : 0) + (int)p->n_points;
    trk_prompt_point *out = trk_arena_allocate(&t->scratch, (size_t)(*n + 1) * sizeof *out);
    if (!out) {
        trk_exec_fail(&t->net.exec, TRK_FAIL(TRK_E_MEMORY, "no memory for %d prompt points", *n));
        return NULL;
    }
    float w = (float)t->width, h = (float)t->height;
    trk_prompt_point *next = out;
    if (p->has_box) {
        *next++ = (trk_prompt_point){p->box.x / w, p->box.y / h, 2};
        *next++ = (trk_prompt_point){(p->box.x + p->box.width) / w, (p->box.y + p->box.height) / h, 3};
    }
    for (size_t i = 0; i < p->n_points; i++)
        *next++ = (trk_prompt_point){p->points[i].x / w, p->points[i].y / h, p->points[i].positive ? 1 : 0};
    return out;
}

/* previous: the object's logits on this frame go in as a dense prompt */
static void prompt_with_points(trk_tracker *t, trk_object *o, const trk_prompt *p, int initial, int previous)
{
    trk_arena_mark mark = trk_arena_here(&t->scratch);
    trk_mat feature = feature_mat(t);
    trk_head_input in = {.feature = feature, .stability = uses_stability(t)};
    in.points = prompt_points(t, p, &in.n_points);
    in.multimask = in.n_points <= 1;
    in.mask_logits = previous ? o->result.logits : NULL;
    if (initial)
        trk_without_memory(&t->net, &t->features, feature);
    else
        attend_bank(t, o, feature);
    if (t->net.exec.status >= 0)
        trk_run_head(&t->net, &t->features, &in, &o->result);
    trk_arena_rewind(&t->scratch, mark);
}

/* the prompt's mask at the model's image size, 0/1 */
static void prompt_with_mask(trk_tracker *t, trk_object *o, const trk_prompt *p)
{
    int s = t->model->network->image_size;
    trk_arena_mark mark = trk_arena_here(&t->scratch);
    trk_mat given = trk_new_mat(&t->net, &t->scratch, TRK_F32, p->mask_height, p->mask_width);
    trk_mat mask = trk_new_mat(&t->net, &t->scratch, TRK_F32, s, s);
    float *values = given.data;
    for (size_t i = 0; given.data && i < (size_t)p->mask_width * (size_t)p->mask_height; i++)
        values[i] = p->mask[i];
    TRK_RUN(&t->net.exec, resize_bilinear, mask, given, 1);
    values = mask.data;
    for (int i = 0; t->net.exec.status >= 0 && i < s * s; i++)
        values[i] = values[i] >= 0.5f ? 1.0f : 0.0f;
    if (t->net.exec.status >= 0)
        trk_run_mask_prompt(&t->net, &t->features, values, &o->result);
    trk_arena_rewind(&t->scratch, mark);
}

static void fill_holes(trk_tracker *t, trk_object *o)
{
    int side = trk_mask_side(t);
    trk_mat mask = {o->result.logits, TRK_F32, side, side, side};
    if (t->params.fill_holes > 0)
        TRK_RUN(&t->net.exec, fill_holes, mask, t->params.fill_holes);
}

/* --- remembering ---------------------------------------------------------------------------------------------- */

static trk_status remember(trk_tracker *t, trk_object *o, int conditioning, int binarize)
{
    trk_memory_entry *entry;
    trk_status rc = trk_network_status(&t->net);
    if (rc >= 0)
        rc = trk_sequence_put(&o->memories, t->index, conditioning, &entry);
    if (rc < 0)
        return rc;
    memcpy(trk_slot_data(entry->pointer), o->result.pointer, pointer_bytes(t));
    trk_encode_memory(&t->net, &t->features, o->result.logits, binarize, o->result.score,
                      trk_slot_data(entry->memory));
    return trk_network_status(&t->net);
}

/* Runs a prompt on top of what the object already has on this frame, and stores its memory. */
static trk_status run_prompt(trk_tracker *t, trk_object *o, const trk_prompt *fresh, const trk_prompt *all)
{
    if (fresh->mask) {
        prompt_with_mask(t, o, fresh);
        fill_holes(t, o);
        o->has_result = 1;
    }
    if (all->has_box || all->n_points) {
        prompt_with_points(t, o, all, o->initial, o->has_result);
        fill_holes(t, o);
    }
    o->has_result = 1;
    o->prompted = 1;
    o->result_frame = t->index;
    int conditioning = o->initial || t->params.correct_as_condition == TRK_ON;
    return remember(t, o, conditioning, t->params.binarize != TRK_OFF);
}

trk_status trk_object_step(trk_tracker *t, trk_object *o, trk_prompt *prompt)
{
    trk_status rc = TRK_OK;
    trk_prompt_free_list(t, &o->applied);
    o->has_result = o->prompted = 0;
    o->initial = o->memories.n_conditioning == 0;
    if (o->initial && !prompt)
        return TRK_OK; /* not there yet */
    if (!o->initial) {
        track(t, o);
        o->has_result = 1;
        o->result_frame = t->index;
        if (!prompt)
            rc = remember(t, o, 0, 0);
        fill_holes(t, o);
        if (rc >= 0)
            rc = trk_network_status(&t->net);
    }
    if (rc >= 0 && prompt) {
        o->applied = prompt;
        rc = run_prompt(t, o, prompt, prompt);
    } else {
        trk_prompt_free(t, prompt);
    }
    return rc;
}

trk_status trk_object_refine(trk_tracker *t, trk_object *o, trk_prompt *prompt)
{
    if (!o->applied) {
        if (!o->has_result)
            o->initial = o->memories.n_conditioning == 0;
        o->applied = prompt;
        return run_prompt(t, o, prompt, prompt);
    }
    int has_mask = prompt->mask != NULL;
    trk_status rc = trk_prompt_merge(t, o->applied, prompt);
    if (rc < 0)
        return rc;
    trk_prompt clicks = *o->applied; /* a mask given earlier has become the logits; a new one is run again */
    if (!has_mask)
        clicks.mask = NULL;
    return run_prompt(t, o, &clicks, o->applied);
}
