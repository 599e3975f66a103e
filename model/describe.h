/* SPDX-License-Identifier: Apache-2.0
 * What a checkpoint is, in words: the text of `track info`. */
#ifndef TRK_MODEL_DESCRIBE_H
#define TRK_MODEL_DESCRIBE_H

#include "error.h"

/* *text_out becomes several lines, to be released with trk_heap_release. A file that opens but is no usable model is
 * described as far as possible: text and TRK_E_MODEL. A file that does not open leaves *text_out as it is. config: as
 * in trk_arch_detect. */
trk_status trk_model_describe(const char *path, const char *config, char **text_out);

#endif
