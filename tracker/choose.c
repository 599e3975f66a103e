/* SPDX-License-Identifier: Apache-2.0
 * Where the tracker asks its policy: which hypothesis to take, in the middle of the head, and whether the frame is to be
 * remembered, at its end. */
#include <string.h>

#include "tracker.h"

float trk_present_above(const trk_tracker *t)
{
    return t->policy->present_above ? (float)t->policy->present_above(&t->motion) : 0.0f;
}

int trk_chooses(const trk_tracker *t, const trk_head_input *in)
{
    return t->policy->choose && in->multimask;
}

void trk_choice_begin(trk_tracker *t, trk_object *o)
{
    if (o->note_frame != t->index) {
        o->before = o->note;
        o->note_frame = t->index;
    }
    o->note = o->before;
    if (t->policy->begin)
        t->policy->begin(&o->note);
}

void trk_choice_overrule(trk_tracker *t, trk_object *o)
{
    if (t->policy->overrule)
        t->policy->overrule(&o->note);
}

static trk_memory_note note_before(const trk_tracker *t, const trk_object *o, int64_t frame)
{
    const trk_memory_note *note = trk_sequence_note_before(&o->memories, frame, trk_direction(t));
    return note ? *note : (trk_memory_note){{0}};
}

void trk_choice_rewind(trk_tracker *t, trk_object *o, int64_t frame)
{
    o->note_frame = frame - trk_direction(t);
    o->note = note_before(t, o, frame);
    o->before = note_before(t, o, o->note_frame);
}

/* What the decoder found for up to TRK_TOGETHER objects, on the host. */
typedef struct found_on_host {
    float ious[TRK_TOGETHER][4], scores[TRK_TOGETHER], boxes[TRK_TOGETHER][4][4];
} found_on_host;

/* 0, with the failure recorded in exec: it is not there. */
static int fetch(trk_network *net, int n, const trk_hypotheses *given, found_on_host *out)
{
    trk_exec *x = &net->exec;
    const size_t count = (size_t)n;
    TRK_RUN(x, download, out->ious, 0, given->ious.data, count * sizeof *out->ious, 1);
    TRK_RUN(x, download, out->scores, 0, given->score.data, count * sizeof *out->scores, 1);
    TRK_RUN(x, download, out->boxes, 0, given->boxes.data, count * sizeof *out->boxes, 1);
    const trk_status rc = trk_network_finish(net);
    if (rc < 0)
        trk_exec_fail(x, rc);
    return rc >= 0;
}

/* The number of the hypothesis, 1..3. */
static float ask(trk_tracker *t, trk_object *o, const float ious[4], float score, const float boxes[4][4])
{
    trk_choices given = {.iou = {ious[1], ious[2], ious[3]}};
    if (score > trk_present_above(t)) /* else all masks are blank */
        memcpy(given.box, boxes[1], sizeof given.box);
    if (!t->motion.strict_reference)
        o->note = o->before; /* however often it is asked on a frame */
    return (float)(1 + t->policy->choose(&t->motion, &o->note, &given));
}

/* The second half of the head; see trk_run_stage. */
typedef struct taking {
    const trk_head_input *in;
    const trk_hypotheses *given;
    const float *chosen;
    trk_head_output results[TRK_TOGETHER];
} taking;

static void run_taking(trk_network *net, void *context)
{
    const taking *call = context;
    trk_take_hypotheses(net, call->in, call->given, call->chosen, call->results);
}

void trk_choose(trk_tracker *t, trk_object *const *objects, int n, const trk_head_input *in, const trk_hypotheses *given)
{
    trk_network *net = &t->seat->net;
    found_on_host found;
    float numbers[TRK_TOGETHER];
    trk_mat chosen = trk_new_mat(net, net->scratch, TRK_F32, 1, n);
    taking call = {.in = in, .given = given, .chosen = chosen.data};
    if (net->exec.status < 0 || (!net->exec.planning && !fetch(net, n, given, &found)))
        return;
    for (int i = 0; i < n; i++) {
        numbers[i] = net->exec.planning ? 1 : ask(t, objects[i], found.ious[i], found.scores[i],
                                                  (const float(*)[4])found.boxes[i]);
        call.results[i] = objects[i]->result;
    }
    trk_set_mat(net, chosen, numbers);
    trk_run_stage(net, n > 1 ? "choose masks" : "choose mask", run_taking, &call);
}

void trk_choice_judge(trk_tracker *t, trk_object *o)
{
    const int64_t start = o->memories.conditioning.n ? trk_object_start(t, o) : t->index;
    const trk_verdict verdict = {.object_score = o->told[0],
                                 .iou = o->told[1],
                                 .n_since_start = (t->index - start) * trk_direction(t),
                                 .frame = t->index};
    const trk_memory_entry *entry = trk_sequence_find(&o->memories, t->index);
    const int stays = !t->policy->keep || t->seat->net.exec.planning || (entry && entry->conditioning);
    o->kept = stays || t->policy->keep(&t->motion, &o->note, &verdict);
    trk_judgement judgement = {.score = o->told[0], .good = o->kept, .note = o->note};
    trk_sequence_judge(&o->memories, t->index, &judgement);
}
