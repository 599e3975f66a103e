/* SPDX-License-Identifier: Apache-2.0
 * What results depend on. Model, device, options, machine: texts for the result file. A clip of the dataset: a hash. */
#ifndef TRK_CLI_EVAL_IDENTITY_H
#define TRK_CLI_EVAL_IDENTITY_H

#include "results.h"
#include "session.h"

enum { IDENTITY_MOST_OPTIONS = 32 };

typedef struct eval_identity {
    char *machine;                        /* owned */
    char *options[IDENTITY_MOST_OPTIONS]; /* [n_options] owned */
    size_t n_options;
} eval_identity;

/* Fills *self and the texts of *out, which borrow from it and from the session. shared: NULL where masks are read. */
trk_status eval_identity_make(eval_identity *self, eval_results *out, const options *wanted, const session *shared);
/* Of all that was read of a clip, and of the names, sizes and times of its files: another one where the clip has
 * changed since. */
uint64_t eval_identity_of_clip(const dataset_clip *clip);
/* Of a folder, under whatever spelling; 0 for NULL, and for one that is not there. */
uint64_t eval_identity_of_place(const char *folder);
void eval_identity_free(eval_identity *self);

#endif
