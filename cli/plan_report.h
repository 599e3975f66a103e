/* SPDX-License-Identifier: Apache-2.0
 * What a run will need at most, before it starts: a line, a table with how the numbers come about, or a refusal. */
#ifndef TRK_CLI_PLAN_REPORT_H
#define TRK_CLI_PLAN_REPORT_H

#include <stdio.h>

#include "prompts.h"

typedef struct plan_report {
    trk_plan_params asked; /* its tracker is borrowed */
    trk_plan found;
    size_t budget; /* bytes; 0: none */
} plan_report;

/* For frames of that size and the prompts, which have their objects and frames by now. n_objects: of the run.
 * tracker: its policies. Fills *out. */
trk_status plan_report_make(plan_report *out, const trk_model *model, const trk_tracker_params *tracker,
                            const prompt_list *prompts, size_t n_objects, int width, int height);
/* What comes on top of the model. */
size_t plan_report_needs(const plan_report *self);
/* TRK_E_MEMORY, with the numbers, if it is more than the budget. */
trk_status plan_report_check(const plan_report *self);
void plan_report_print(const plan_report *self, FILE *stream);
/* "memory: 26.5 MB pinned, plan 8.1 MB more (bank 1.1, frame 2.3, scratch 4.7 MB), no budget" on standard error */
void plan_report_line(const plan_report *self, const char *prefix);

#endif
