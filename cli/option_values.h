/* SPDX-License-Identifier: Apache-2.0
 * The values of options, from text. name: of the option, without dashes, for messages. On TRK_E_ARGUMENT the message
 * says what was expected and nothing is set. */
#ifndef TRK_CLI_OPTION_VALUES_H
#define TRK_CLI_OPTION_VALUES_H

#include "options.h"

trk_status option_whole(const char *name, const char *value, int64_t low, int64_t high, int64_t *out);
trk_status option_int(const char *name, const char *value, int low, int high, int *out);
/* As option_whole, or the word "all", which is -1. */
trk_status option_whole_or_all(const char *name, const char *value, int64_t low, int64_t high, int64_t *out);
trk_status option_path(const char *name, const char *value, const char **out);
/* A path that is not "-": what cannot go to standard output. */
trk_status option_place(const char *name, const char *value, const char **out);
/* Files whose suffix says what is written. */
trk_status option_overlay(const char *name, const char *value, const char **out);
trk_status option_sheet(const char *name, const char *value, const char **out);
/* gpu: the word for it: "cuda", "nvenc". */
trk_status option_hardware(const char *name, const char *value, const char *gpu, trk_hardware_use *out);
trk_status option_device(options *out, const char *value);
trk_status option_dtype(options *out, const char *value);

/* --memory-budget, --sweep-above, --memory-dtype, --older-memory-dtype */
trk_status option_budget(options *out, const char *value);
trk_status option_sweep_above(options *out, const char *value);
trk_status option_memory_dtype(options *out, const char *value);
trk_status option_older_memory_dtype(options *out, const char *value);

#endif
