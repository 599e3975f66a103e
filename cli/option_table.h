/* SPDX-License-Identifier: Apache-2.0
 * The options that there are. */
#ifndef TRK_CLI_OPTION_TABLE_H
#define TRK_CLI_OPTION_TABLE_H

#include <stddef.h>

#include "options.h"

typedef enum option_value { VALUE_NONE, VALUE_NEEDED, VALUE_OPTIONAL } option_value;
/* Where an option may stand: WHOLE_COMMAND not in a line of --list; with `track eval` those marked so; OF_STATE not
 * with --resume: the state has in itself what it sets; AN_OUTPUT once in a command line or line: a second one would be
 * instead of the first; ALSO_PRED also where nothing is tracked; with `track info` those marked so. */
enum {
    ONE_VIDEO = 0,
    WHOLE_COMMAND = 1,
    ALSO_EVAL = 2,
    ONLY_EVAL = 4,
    OF_STATE = 8,
    AN_OUTPUT = 16,
    ALSO_PRED = 32,
    ALSO_INFO = 64
};

struct option_entry;
/* value: NULL where there is none. */
typedef trk_status option_store(options *out, const struct option_entry *entry, const char *value);

typedef struct option_entry {
    const char *name;
    char letter; /* short form, or 0 */
    int id;      /* for its store */
    option_value value;
    int scope;
    option_store *store;
} option_entry;

/* text: without its dashes, up to n_name characters of it the name; is_long 0: one letter. NULL: there is none. */
const option_entry *option_find(const char *text, size_t n_name, int is_long);

#endif
