/* SPDX-License-Identifier: Apache-2.0
 * The data structures of the pickle reader: values, stack, marks, memo and the bytes being read. Every limit of the
 * machine is enforced here; TRK_E_FORMAT and TRK_E_MEMORY are recorded with the place in the pickle. */
#ifndef TRK_MODEL_PICKLE_MACHINE_H
#define TRK_MODEL_PICKLE_MACHINE_H

#include "pickle.h"

#define TRK_PICKLE_MAX_VALUES   (1u << 20) /* values, stack entries, marks, memo entries: each */
#define TRK_PICKLE_CHUNK_VALUES 512

typedef struct trk_pickle_chunk {
    struct trk_pickle_chunk *next;
    size_t n;
    trk_pickle_value values[TRK_PICKLE_CHUNK_VALUES];
} trk_pickle_chunk;

struct trk_pickle {
    const uint8_t *bytes; /* borrowed */
    size_t n_bytes, at, opcode_at;
    trk_pickle_chunk *chunks; /* owns every value and what hangs on it */
    size_t n_values;
    trk_pickle_value **stack;
    size_t depth, stack_capacity;
    size_t *marks; /* stack depths */
    size_t n_marks, marks_capacity;
    trk_pickle_value **memo; /* NULL: not set */
    size_t memo_capacity, n_memoized;
    const trk_pickle_value *top;
};

/* Records "pickle byte N: ..." and returns TRK_E_FORMAT. */
trk_status trk_pickle_fail(const trk_pickle *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A zeroed value of this kind, owned by p. */
trk_status trk_pickle_new(trk_pickle *p, trk_pickle_kind kind, trk_pickle_value **out);
/* Adds to the items of a tuple, list or dict. */
trk_status trk_pickle_append(trk_pickle_value *list, trk_pickle_value *item);
int trk_pickle_text_is(const trk_pickle_value *value, const char *text);

trk_status trk_pickle_push(trk_pickle *p, trk_pickle_value *value);
/* Entries below the last mark belong to an unfinished tuple, list or dict further out: not reachable. */
trk_status trk_pickle_pop(trk_pickle *p, trk_pickle_value **out);
trk_status trk_pickle_peek(trk_pickle *p, trk_pickle_value **out);
trk_status trk_pickle_push_mark(trk_pickle *p);
/* Takes the entries above the last mark off the stack; they stay readable at *items until the next push. */
trk_status trk_pickle_pop_to_mark(trk_pickle *p, trk_pickle_value ***items, size_t *n);
/* Remembers the top of the stack; recall pushes it again. */
trk_status trk_pickle_memoize(trk_pickle *p, uint64_t index);
trk_status trk_pickle_recall(trk_pickle *p, uint64_t index);

/* The next n bytes. */
trk_status trk_pickle_take(trk_pickle *p, uint64_t n, const uint8_t **out);
/* The next n <= 8 bytes as a little endian unsigned number. */
trk_status trk_pickle_take_uint(trk_pickle *p, int n, uint64_t *out);
/* Up to the next newline, which is consumed. */
trk_status trk_pickle_take_line(trk_pickle *p, const char **text, size_t *n);

/* Releases everything that p owns, but not p. */
void trk_pickle_release(trk_pickle *p);

#endif
