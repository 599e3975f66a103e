/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_report.h"

#include <stdlib.h>

#include "byte_size.h"
#include "failure.h"
#include "heap.h"
#include "report.h"

/* --- counting the prompts --------------------------------------------------------------------------------------- */

static int compare_prompts(const void *a, const void *b)
{
    const prompt *p = *(const prompt *const *)a, *q = *(const prompt *const *)b;
    if (p->object != q->object)
        return p->object < q->object ? -1 : 1;
    return (p->frame > q->frame) - (p->frame < q->frame);
}

/* The most frames on which one object is prompted, the most clicks on one of them, and whether there are masks. */
static trk_status count_prompts(trk_plan_params *out, const prompt_list *list)
{
    int n_frames = 0, n_points = 0;
    if (!list->n_items)
        return TRK_OK;
    const prompt **sorted = trk_heap_zeroed(TRK_MEM_SCRATCH, "plan", list->n_items, sizeof *sorted);
    if (!sorted)
        return TRK_FAIL(TRK_E_MEMORY, "plan: out of memory");
    for (size_t i = 0; i < list->n_items; i++)
        sorted[i] = &list->items[i];
    qsort(sorted, list->n_items, sizeof *sorted, compare_prompts);
    for (size_t i = 0; i < list->n_items; i++) {
        const int same_object = i && sorted[i]->object == sorted[i - 1]->object;
        const int same_frame = same_object && sorted[i]->frame == sorted[i - 1]->frame;
        n_frames = same_object ? n_frames + !same_frame : 1;
        n_points = same_frame ? n_points : 0;
        n_points += sorted[i]->kind == PROMPT_POINT;
        out->mask_prompts |= sorted[i]->kind == PROMPT_MASK;
        out->prompts = n_frames > out->prompts ? n_frames : out->prompts;
        out->prompt_points = n_points > out->prompt_points ? n_points : out->prompt_points;
    }
    trk_heap_release(sorted);
    return TRK_OK;
}

trk_status plan_report_make(plan_report *out, const trk_model *model, const trk_tracker_params *tracker,
                            const prompt_list *prompts, size_t n_objects, int width, int height)
{
    *out = (plan_report){.asked = TRK_PLAN_PARAMS_INIT, .found = {.struct_size = sizeof out->found}};
    out->asked.width = width;
    out->asked.height = height;
    out->asked.objects = (int)n_objects;
    out->asked.prompts = 1;
    out->asked.trackers = out->asked.busy = 1;
    out->asked.tracker = tracker;
    trk_status rc = count_prompts(&out->asked, prompts);
    if (rc)
        return rc;
    if (tracker->correct_as_condition != TRK_ON)
        out->asked.prompts = 1; /* the others are remembered as any tracked frame is */
    rc = trk_plan_make(&out->found, model, &out->asked);
    if (rc)
        return failure_of_library(rc);
    trk_pool_info info = {.struct_size = sizeof info};
    rc = trk_pool_get_info(tracker->pool, &info);
    if (rc)
        return failure_of_library(rc);
    out->budget = info.budget;
    if (tracker->sweep == TRK_SWEEP_ABOVE && !info.budget)
        return TRK_FAIL(TRK_E_ARGUMENT, "--sweep-above: a share of the budget, but there is none: expected "
                                        "--memory-budget too");
    return TRK_OK;
}

/* --- telling ---------------------------------------------------------------------------------------------------- */

size_t plan_report_needs(const plan_report *self)
{
    return self->found.total - self->found.pinned;
}

trk_status plan_report_check(const plan_report *self)
{
    const trk_plan *plan = &self->found;
    char total[BYTE_SIZE_TEXT], budget[BYTE_SIZE_TEXT];
    if (!self->budget || plan->total <= self->budget)
        return TRK_OK;
    return TRK_FAIL(TRK_E_MEMORY,
                    "the plan needs %s (pinned %.1f, bank %.1f, frame %.1f, scratch %.1f MB), the budget is %s "
                    "(--memory-budget)",
                    byte_size_text(plan->total, total), (double)plan->pinned / 1e6, (double)plan->bank / 1e6,
                    (double)plan->frame / 1e6, (double)plan->scratch / 1e6, byte_size_limit_text(self->budget, budget));
}

static const char *plural(int n)
{
    return n == 1 ? "" : "s";
}

static void print_row(FILE *stream, const char *name, size_t bytes)
{
    char text[BYTE_SIZE_TEXT];
    fprintf(stream, "%-8s %12s  ", name, byte_size_text(bytes, text));
}

void plan_report_print(const plan_report *self, FILE *stream)
{
    const trk_plan *plan = &self->found;
    const trk_plan_params *asked = &self->asked;
    char each[BYTE_SIZE_TEXT], more[BYTE_SIZE_TEXT];
    fprintf(stream, "frames of %d x %d\n", asked->width, asked->height);
    print_row(stream, "pinned", plan->pinned);
    fprintf(stream, "weights and tables\n");
    print_row(stream, "bank", plan->bank);
    fprintf(stream, "%d object%s, %s each with one prompted frame, %s for each further one (%d prompted)\n",
            asked->objects, plural(asked->objects), byte_size_text(plan->bank_per_object, each),
            byte_size_text(plan->bank_per_prompt, more), asked->prompts);
    if (plan->bank_per_frame)
        fprintf(stream, "%23s and %s more with every frame (--history all)\n", "",
                byte_size_text(plan->bank_per_frame, more));
    print_row(stream, "frame", plan->frame);
    if (plan->frames_held)
        fprintf(stream, "features of %d frame%s, %s each\n", plan->frames_held, plural(plan->frames_held),
                byte_size_text(plan->frame_each, each));
    else
        fprintf(stream, "features of one frame, and %s more with every further one that is kept\n",
                byte_size_text(plan->frame_each, each));
    print_row(stream, "scratch", plan->scratch);
    fprintf(stream, "stages and operators of one tracker at work\n");
    print_row(stream, "total", plan->total);
    const int grows = plan->bank_per_frame || !plan->frames_held;
    fprintf(stream, "%s\n", !grows ? "at most" : self->budget ? "and more, up to the budget" : "and more, without end");
    if (!self->budget) {
        fprintf(stream, "%-8s %12s\n", "budget", "none");
        return;
    }
    fprintf(stream, "%-8s %12s  %s\n", "budget", byte_size_limit_text(self->budget, each),
            plan->total <= self->budget ? "fits" : "does not fit");
}

void plan_report_line(const plan_report *self, const char *prefix)
{
    const trk_plan *plan = &self->found;
    char pinned[BYTE_SIZE_TEXT], needs[BYTE_SIZE_TEXT], budget[BYTE_SIZE_TEXT];
    report_line("%smemory: %s pinned, plan %s more (bank %.1f, frame %.1f, scratch %.1f MB), %s%s", prefix,
                byte_size_text(plan->pinned, pinned), byte_size_text(plan_report_needs(self), needs),
                (double)plan->bank / 1e6, (double)plan->frame / 1e6, (double)plan->scratch / 1e6,
                self->budget ? "of a budget of " : "no budget",
                self->budget ? byte_size_limit_text(self->budget, budget) : "");
}
