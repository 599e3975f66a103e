/* SPDX-License-Identifier: Apache-2.0
 * Outputs that would replace an input or each other, found before anything is opened for writing. */
#ifndef TRK_CLI_CONFLICTS_H
#define TRK_CLI_CONFLICTS_H

#include "eval/dataset.h"
#include "job_list.h"

/* model: the model's file. ids: [n_ids] all objects of the run, on which the names of --boxes depend. The prompts are
 * loaded by now. TRK_E_ARGUMENT names the option and the file. */
trk_status conflicts_refuse(const options *wanted, const char *model, const int *ids, size_t n_ids);
/* All lines of --list against each other; wanted: the command line; model: the model's file. What --boxes will be called
 * is not known yet: any name it may take counts. */
trk_status conflicts_refuse_jobs(const options *wanted, const char *model, const job_list *list);
/* The results of track eval against the dataset; clips: [n_clips] those that are to be done. */
trk_status conflicts_refuse_eval(const options *wanted, const dataset_clip *const *clips, size_t n_clips);
/* 1: there is a file that does not begin as JSON of this format, so that somebody else may want it. */
int conflicts_is_other_file(const char *path, const char *format);

#endif
