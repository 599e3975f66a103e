/* SPDX-License-Identifier: Apache-2.0
 * One object on the current frame: tracking, prompting, remembering. Upstream: SAM2Base.track_step,
 * SAM2VideoPredictor._run_single_frame_inference and add_new_points_or_box. */
#include "heap.h"
#include "log.h"
#include "tracker.h"

int trk_mask_side(const trk_tracker *t)
{
    return 4 * t->model->network->grid;
}

size_t trk_logits_bytes(const trk_tracker *t)
{
    return (size_t)trk_mask_side(t) * (size_t)trk_mask_side(t) * sizeof(float);
}

/* The block: logits, pointer, info, each aligned. */
static size_t pointer_offset(const trk_network_model *m)
{
    return trk_aligned((size_t)16 * (size_t)m->grid * (size_t)m->grid * sizeof(float));
}

static size_t info_offset(const trk_network_model *m)
{
    return pointer_offset(m) + trk_aligned((size_t)m->arch.d_model * sizeof(float));
}

size_t trk_result_bytes(const trk_network_model *m)
{
    return info_offset(m) + trk_aligned(3 * sizeof(float));
}

/* Results lie where the backend computes; where that is the host, they are no matter of the device's budget. */
static trk_ledger *result_ledger(const trk_tracker *t)
{
    return t->model->network->memory->on_host ? &t->pool->host : &t->pool->ledger;
}

static int result_new(trk_tracker *t, trk_head_output *out)
{
    const trk_network_model *m = t->model->network;
    char *block = trk_ledger_allocate(result_ledger(t), TRK_MEM_BANK, "results of an object", trk_result_bytes(m));
    if (!block)
        return 0;
    out->logits = (float *)(void *)block;
    out->pointer = (float *)(void *)(block + pointer_offset(m));
    out->info = (float *)(void *)(block + info_offset(m));
    return 1;
}

int trk_object_is_current(const trk_tracker *t, const trk_object *o)
{
    return t->started && o->has_result && o->result_frame == t->index;
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
    trk_ledger_release(result_ledger(t), TRK_MEM_BANK, o->result.logits, trk_result_bytes(t->model->network));
    trk_ledger_release(&t->pool->host, TRK_MEM_BANK, o->host_logits, trk_logits_bytes(t));
    trk_ledger_release(&t->pool->host, TRK_MEM_BANK, o, sizeof *o);
}

static trk_object *object_new(trk_tracker *t, int id)
{
    trk_object *o = trk_ledger_allocate(&t->pool->host, TRK_MEM_BANK, "object", sizeof *o);
    if (!o)
        return NULL;
    *o = (trk_object){.id = id, .note_frame = TRK_FRAME_NONE};
    const trk_arch *a = &t->model->network->arch;
    trk_sequence_init(&o->memories, &t->pool->bank, t->policy->window, a->num_maskmem, a->max_pointers,
                      t->params.history);
    if (result_new(t, &o->result))
        return o;
    object_free(t, o);
    return NULL;
}

static trk_status grow_objects(trk_tracker *t)
{
    trk_object **list = trk_ledger_grown(&t->pool->host, t->objects, &t->objects_capacity, t->n_objects + 1,
                                         sizeof *list, TRK_MEM_BANK, "objects");
    if (!list)
        return TRK_E_MEMORY;
    t->objects = list;
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

int64_t trk_object_start(const trk_tracker *t, const trk_object *o)
{
    int64_t first = o->memories.conditioning.items[0].frame;
    for (int i = 1; i < o->memories.conditioning.n; i++)
        if ((first - o->memories.conditioning.items[i].frame) * trk_direction(t) > 0)
            first = o->memories.conditioning.items[i].frame;
    return first;
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

static void fail(trk_tracker *t, trk_status status)
{
    trk_exec_fail(&t->seat->net.exec, status);
}

/* The bytes of a slot; NULL, with the failure recorded, when the handle is stale. */
static void *slot_data(trk_tracker *t, trk_slot slot)
{
    void *data = NULL;
    trk_status rc = trk_slot_data(&t->pool->bank, slot, &data);
    if (rc < 0)
        fail(t, rc);
    return data;
}

static trk_storage storage_of(trk_slot slot)
{
    return (trk_storage)trk_slot_kind_of(slot); /* kinds of memories are in the order of storages */
}

static void count_left_out(trk_tracker *t, const trk_object *o, int n)
{
    t->n_prompts_left_out += (uint64_t)n;
    if (!n || t->told_left_out)
        return;
    t->told_left_out = 1;
    trk_log(TRK_LOG_INFO, "frame %lld: object %d reads its %d nearest prompted frames of %d (max_prompts_in_memory)",
            (long long)t->index, o->id, o->memories.conditioning.n - n, o->memories.conditioning.n);
}

/* The most that the object can read on a frame. */
static size_t most_reads(const trk_object *o)
{
    return (size_t)(o->memories.conditioning.n + o->memories.n_memories + o->memories.n_pointers);
}

/* What the object reads on the current frame, in the seat's lists, which have room for it from `first` on. A
 * conditioning entry of the frame itself (made by an earlier prompt on it) is not read: upstream commits it only when
 * propagation goes on. */
static trk_reading read_bank(trk_tracker *t, const trk_object *o, size_t first)
{
    const trk_sequence *s = &o->memories;
    const int most = t->params.max_prompts_in_memory;
    const trk_read_rule rule = {trk_direction(t), most > 0 ? most : 0, t->index};
    trk_memory_read *reads = t->seat->lists.reads;
    trk_memory_ref *memories = t->seat->lists.memories + first;
    trk_pointer_ref *pointers = t->seat->lists.pointers + first;
    int n_left_out = 0;
    int n_memories = trk_sequence_memories(s, t->index, &rule, reads, &n_left_out);
    for (int i = 0; i < n_memories; i++)
        memories[i] = (trk_memory_ref){slot_data(t, reads[i].slot), storage_of(reads[i].slot), reads[i].age};
    int n_pointers = trk_sequence_pointers(s, t->index, &rule, reads);
    for (int i = 0; i < n_pointers; i++)
        pointers[i] = (trk_pointer_ref){slot_data(t, reads[i].slot), reads[i].age};
    count_left_out(t, o, n_left_out);
    return (trk_reading){memories, pointers, n_memories, n_pointers};
}

/* What n objects read, one after the other in the lists; 0, with the failure recorded, without room. */
static int read_all(trk_tracker *t, trk_object *const *objects, int n, trk_reading *out)
{
    size_t most = 0, first = 0;
    for (int i = 0; i < n; i++)
        most += most_reads(objects[i]);
    if (trk_seat_lists(t, most) < 0)
        return 0;
    for (int i = 0; i < n; i++) {
        out[i] = read_bank(t, objects[i], first);
        first += most_reads(objects[i]);
    }
    return t->seat->net.exec.status >= 0;
}

/* out: the features of n objects */
static void attend(trk_network *net, trk_features *features, const trk_reading *readings, int n, trk_mat out)
{
    const int rows = out.rows / n;
    int n_without = 0; /* all that these had was forgotten */
    for (int i = 0; i < n; i++)
        n_without += readings[i].n_memories + readings[i].n_pointers == 0;
    if (!n_without) {
        trk_attend_memory(net, features, readings, n, out);
        return;
    }
    for (int i = 0; i < n; i++) {
        if (readings[i].n_memories + readings[i].n_pointers == 0)
            trk_without_memory(net, features, trk_rows(out, i * rows, rows));
        else
            trk_attend_memory(net, features, &readings[i], 1, trk_rows(out, i * rows, rows));
    }
}

/* of n objects */
static trk_mat feature_mat(trk_network *net, int n)
{
    const trk_network_model *m = net->model;
    return trk_new_mat(net, net->scratch, TRK_F32, n * m->grid * m->grid, m->arch.d_model);
}

static void attend_bank(trk_tracker *t, trk_object *o, trk_mat out)
{
    trk_reading found;
    if (read_all(t, &o, 1, &found))
        attend(&t->seat->net, trk_current_features(t), &found, 1, out);
}

static int uses_stability(const trk_tracker *t)
{
    return t->params.stability != TRK_OFF;
}

/* Memory attention and head of a tracked frame, the latter up to its hypotheses if a policy chooses; see trk_run_stage. */
typedef struct tracking {
    trk_features before, *features;
    trk_reading readings[TRK_TOGETHER];
    trk_head_output results[TRK_TOGETHER];
    trk_head_input head;        /* but for its feature */
    const trk_hypotheses *found; /* NULL: the head runs to its end */
    int n;
} tracking;

static void run_tracking(trk_network *net, void *context)
{
    const tracking *in = context;
    trk_arena_mark mark = trk_arena_here(net->scratch);
    *in->features = in->before;
    trk_mat feature = feature_mat(net, in->n);
    attend(net, in->features, in->readings, in->n, feature);
    trk_head_input head = in->head;
    head.feature = feature;
    if (net->exec.status >= 0 && in->found)
        trk_find_hypotheses(net, in->features, &head, in->found);
    else if (net->exec.status >= 0)
        trk_run_heads(net, in->features, &head, in->n, in->results);
    trk_arena_rewind(net->scratch, mark);
}

static void track(trk_tracker *t, trk_object *const *objects, int n)
{
    trk_network *net = &t->seat->net;
    trk_arena_mark mark = trk_arena_here(&t->seat->scratch);
    trk_hypotheses found;
    tracking call = {.before = *trk_current_features(t),
                     .features = trk_current_features(t),
                     .head = {.multimask = 1, .stability = uses_stability(t), .present_above = trk_present_above(t)},
                     .n = n};
    if (trk_chooses(t, &call.head)) {
        found = trk_new_hypotheses(net, n, 1);
        call.found = &found;
    }
    for (int i = 0; i < n; i++)
        call.results[i] = objects[i]->result;
    if (read_all(t, objects, n, call.readings))
        trk_run_stage(net, n > 1 ? "track objects" : "track object", run_tracking, &call);
    if (call.found)
        trk_choose(t, objects, n, &call.head, call.found);
    trk_arena_rewind(&t->seat->scratch, mark);
    for (int i = 0; i < n; i++) {
        objects[i]->has_result = 1;
        objects[i]->result_frame = t->index;
    }
}

/* --- prompts -------------------------------------------------------------------------------------------------- */

/* Points of a prompt in the order upstream gives them: box corners, then clicks; normalised by the frame. The caller's,
 * on the heap. */
static trk_prompt_point *prompt_points(trk_tracker *t, const trk_prompt *p, int *n)
{
    *n = (p->has_box ? 2 : 0) + (int)p->n_points;
    trk_prompt_point *out = trk_heap_allocate(TRK_MEM_SCRATCH, "prompt points", (size_t)(*n + 1) * sizeof *out);
    if (!out) {
        fail(t, TRK_FAIL(TRK_E_MEMORY, "no memory for %d prompt points", *n));
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
    trk_network *net = &t->seat->net;
    trk_arena_mark mark = trk_arena_here(&t->seat->scratch);
    trk_mat feature = feature_mat(net, 1);
    trk_head_input in = {.feature = feature, .stability = uses_stability(t), .present_above = trk_present_above(t)};
    trk_prompt_point *points = prompt_points(t, p, &in.n_points);
    in.points = points;
    in.multimask = in.n_points <= 1;
    in.mask_logits = previous ? o->result.logits : NULL;
    if (initial)
        trk_without_memory(net, trk_current_features(t), feature);
    else
        attend_bank(t, o, feature);
    if (net->exec.status >= 0 && trk_chooses(t, &in)) {
        const trk_hypotheses found = trk_new_hypotheses(net, 1, 1);
        trk_find_hypotheses(net, trk_current_features(t), &in, &found);
        trk_choose(t, &o, 1, &in, &found);
    } else if (net->exec.status >= 0) {
        trk_choice_overrule(t, o);
        trk_run_head(net, trk_current_features(t), &in, &o->result);
    }
    trk_arena_rewind(&t->seat->scratch, mark);
    trk_heap_release(points);
}

/* the prompt's mask at the model's image size, 0/1 */
static void prompt_with_mask(trk_tracker *t, trk_object *o, const trk_prompt *p)
{
    int s = t->model->network->image_size;
    trk_arena_mark mark = trk_arena_here(&t->seat->scratch);
    trk_mat given = trk_new_mat(&t->seat->net, &t->seat->scratch, TRK_F32, p->mask_height, p->mask_width);
    trk_mat mask = trk_new_mat(&t->seat->net, &t->seat->scratch, TRK_F32, s, s);
    const size_t n = (size_t)p->mask_width * (size_t)p->mask_height;
    float *values = trk_network_host_floats(&t->seat->net, n, "mask prompt");
    for (size_t i = 0; values && i < n; i++)
        values[i] = p->mask[i];
    trk_set_mat(&t->seat->net, given, values);
    trk_heap_release(values);
    TRK_RUN(&t->seat->net.exec, resize_bilinear, mask, given, 1);
    TRK_RUN(&t->seat->net.exec, threshold, mask, mask, 0.5f);
    if (t->seat->net.exec.status >= 0)
        trk_run_mask_prompt(&t->seat->net, trk_current_features(t), mask.data, trk_present_above(t), &o->result);
    trk_arena_rewind(&t->seat->scratch, mark);
}

static void fill_holes(trk_tracker *t, trk_object *o)
{
    int side = trk_mask_side(t);
    trk_mat mask = {o->result.logits, TRK_F32, side, side, side};
    if (t->params.fill_holes > 0)
        TRK_RUN(&t->seat->net.exec, fill_holes, mask, t->params.fill_holes);
}

/* --- remembering ---------------------------------------------------------------------------------------------- */

static int keeps_masks(const trk_tracker *t)
{
    return t->params.source && t->pool->bank.params.mask_elements > 0;
}

static trk_status remember(trk_tracker *t, trk_object *o, int conditioning, int binarize)
{
    trk_network *net = &t->seat->net;
    const trk_storage storage = (trk_storage)t->params.memory_type;
    trk_memory_entry *entry;
    trk_status rc = trk_network_status(net);
    if (rc >= 0)
        rc = trk_sequence_put(&o->memories, t->index, conditioning, storage, keeps_masks(t), &entry);
    if (rc < 0)
        return rc;
    entry->binarize = (int8_t)binarize;
    const int side = trk_mask_side(t), d = t->model->network->arch.d_model;
    void *memory = slot_data(t, entry->memory), *pointer = slot_data(t, entry->pointer);
    TRK_RUN(&net->exec, store, pointer, TRK_STORE_F32, trk_wrap_mat(o->result.pointer, 1, d));
    if (keeps_masks(t))
        TRK_RUN(&net->exec, pack_mask, slot_data(t, entry->mask), trk_wrap_mat(o->result.logits, side, side));
    if (net->exec.status >= 0)
        trk_encode_memory(net, trk_current_features(t), o->result.logits, binarize, o->result.info, storage, memory);
    return trk_network_status(net);
}

static trk_status recode(trk_tracker *t, trk_memory_entry *entry, trk_storage storage)
{
    trk_network *net = &t->seat->net;
    const trk_network_model *m = t->model->network;
    trk_slot fresh;
    trk_status rc = trk_slot_take(&t->pool->bank, (trk_slot_kind)storage, &fresh);
    if (rc < 0)
        return rc;
    trk_arena_mark mark = trk_arena_here(&t->seat->scratch);
    trk_mat values = trk_new_mat(net, &t->seat->scratch, TRK_F32, m->grid * m->grid, m->arch.mem_dim);
    TRK_RUN(&net->exec, fetch, values, slot_data(t, entry->memory), storage_of(entry->memory));
    TRK_RUN(&net->exec, store, slot_data(t, fresh), storage, values);
    trk_arena_rewind(&t->seat->scratch, mark);
    rc = trk_network_finish(net); /* then the old slot may go to another tracker */
    trk_slot_drop(&t->pool->bank, entry->memory);
    entry->memory = fresh;
    return rc;
}

trk_status trk_object_recode(trk_tracker *t, trk_object *o)
{
    const trk_storage storage = (trk_storage)t->params.older_memory_type;
    const int64_t history = t->params.history > 0 ? t->params.history : 0; /* most frames back there read it as it was */
    const int64_t age = t->params.older_after + history;
    trk_memory_entry *entry;
    trk_status rc = TRK_OK;
    while (t->params.older_after && rc >= 0 &&
           (entry = trk_sequence_next_to_recode(&o->memories, t->index, trk_direction(t), age, storage)))
        rc = recode(t, entry, storage);
    return rc;
}

/* Runs a prompt on top of what the object already has on this frame, and stores its memory. */
static trk_status run_prompt(trk_tracker *t, trk_object *o, const trk_prompt *fresh, const trk_prompt *all)
{
    if (o->note_frame != t->index)
        trk_choice_begin(t, o);
    if (fresh->mask) {
        trk_choice_overrule(t, o);
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

trk_status trk_objects_collect(trk_tracker *t)
{
    trk_network *net = &t->seat->net;
    for (size_t i = 0; i < t->n_objects; i++) {
        trk_object *o = t->objects[i];
        o->host_logits_current = 0;
        if (!trk_object_is_current(t, o))
            continue;
        TRK_RUN(&net->exec, download, o->told, 0, o->result.info, sizeof o->told, 1);
        if (o->host_logits) /* they were asked for on an earlier frame */
            TRK_RUN(&net->exec, download, o->host_logits, 0, o->result.logits, trk_logits_bytes(t), 1);
    }
    trk_status rc = trk_network_finish(net);
    for (size_t i = 0; rc >= 0 && i < t->n_objects; i++)
        if (trk_object_is_current(t, t->objects[i])) {
            trk_choice_judge(t, t->objects[i]);
            t->objects[i]->host_logits_current = t->objects[i]->host_logits != NULL;
        }
    return rc;
}

/* Nothing of the frame before is left in the object. */
static void begin_frame(trk_tracker *t, trk_object *o)
{
    trk_prompt_free_list(t, &o->applied);
    o->has_result = o->prompted = 0;
    o->initial = o->memories.conditioning.n == 0;
    trk_choice_begin(t, o);
}

trk_status trk_objects_track(trk_tracker *t, trk_object *const *objects, int n)
{
    trk_status rc = TRK_OK;
    for (int i = 0; i < n; i++)
        begin_frame(t, objects[i]);
    track(t, objects, n);
    for (int i = 0; i < n && rc >= 0; i++) {
        rc = remember(t, objects[i], 0, 0);
        fill_holes(t, objects[i]);
        if (rc >= 0)
            rc = trk_network_status(&t->seat->net);
    }
    return rc;
}

trk_status trk_object_step(trk_tracker *t, trk_object *o, trk_prompt *prompt)
{
    trk_status rc = TRK_OK;
    if (!prompt && o->memories.conditioning.n)
        return trk_objects_track(t, &o, 1);
    begin_frame(t, o);
    if (!prompt)
        return TRK_OK; /* not there yet */
    if (!o->initial) {
        track(t, &o, 1);
        fill_holes(t, o);
        rc = trk_network_status(&t->seat->net);
    }
    if (rc >= 0) {
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
            o->initial = o->memories.conditioning.n == 0;
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
