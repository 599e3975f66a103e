/* SPDX-License-Identifier: Apache-2.0 */
#include "pickle_machine.h"

#include "heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- values -------------------------------------------------------------------------------------------------- */

trk_status trk_pickle_fail(const trk_pickle *p, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return TRK_FAIL(TRK_E_FORMAT, "pickle byte %zu: %s", p->opcode_at, text);
}

static trk_status grow(void **data, size_t *capacity, size_t needed, size_t item_bytes)
{
    if (needed <= *capacity)
        return TRK_OK;
    const size_t before = *capacity;
    void *larger = trk_heap_grown(*data, capacity, needed, item_bytes, TRK_MEM_SCRATCH, "pickle");
    if (!larger)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a pickle of %zu entries", needed);
    memset((char *)larger + before * item_bytes, 0, (*capacity - before) * item_bytes);
    *data = larger;
    return TRK_OK;
}

trk_status trk_pickle_new(trk_pickle *p, trk_pickle_kind kind, trk_pickle_value **out)
{
    if (p->n_values == TRK_PICKLE_MAX_VALUES)
        return trk_pickle_fail(p, "more than %u values", TRK_PICKLE_MAX_VALUES);
    if (!p->chunks || p->chunks->n == TRK_PICKLE_CHUNK_VALUES) {
        trk_pickle_chunk *fresh = trk_heap_zeroed(TRK_MEM_SCRATCH, "pickle", 1, sizeof *fresh);
        if (!fresh)
            return TRK_FAIL(TRK_E_MEMORY, "no memory for a pickle of %zu values", p->n_values);
        fresh->next = p->chunks;
        p->chunks = fresh;
    }
    p->n_values++;
    *out = &p->chunks->values[p->chunks->n++];
    (*out)->kind = kind;
    return TRK_OK;
}

trk_status trk_pickle_append(trk_pickle_value *list, trk_pickle_value *item)
{
    void *items = list->items;
    trk_status rc = grow(&items, &list->capacity, list->n + 1, sizeof *list->items);
    list->items = items;
    if (rc == TRK_OK)
        list->items[list->n++] = item;
    return rc;
}

static void free_value(trk_pickle_value *value)
{
    if (value->kind == TRK_PICKLE_TUPLE || value->kind == TRK_PICKLE_LIST || value->kind == TRK_PICKLE_DICT)
        trk_heap_release(value->items);
    else if (value->kind == TRK_PICKLE_STORAGE)
        trk_heap_release(value->storage);
    else if (value->kind == TRK_PICKLE_TENSOR)
        trk_heap_release(value->tensor);
}

int trk_pickle_text_is(const trk_pickle_value *value, const char *text)
{
    return value->kind == TRK_PICKLE_STRING && value->n == strlen(text) && memcmp(value->text, text, value->n) == 0;
}

const char *trk_pickle_kind_text(trk_pickle_kind kind)
{
    static const char *const texts[] = {"None",    "a bool", "a whole number", "a number", "a string",  "bytes",
                                        "a tuple", "a list", "a dict",         "a global", "a storage", "a tensor"};
    return texts[kind];
}

/* --- stack --------------------------------------------------------------------------------------------------- */

trk_status trk_pickle_push(trk_pickle *p, trk_pickle_value *value)
{
    if (p->depth == TRK_PICKLE_MAX_VALUES)
        return trk_pickle_fail(p, "the stack is deeper than %u", TRK_PICKLE_MAX_VALUES);
    void *stack = p->stack;
    trk_status rc = grow(&stack, &p->stack_capacity, p->depth + 1, sizeof *p->stack);
    p->stack = stack;
    if (rc == TRK_OK)
        p->stack[p->depth++] = value;
    return rc;
}

trk_status trk_pickle_pop(trk_pickle *p, trk_pickle_value **out)
{
    size_t floor = p->n_marks ? p->marks[p->n_marks - 1] : 0;
    if (p->depth <= floor)
        return trk_pickle_fail(p, "nothing on the stack");
    *out = p->stack[--p->depth];
    return TRK_OK;
}

trk_status trk_pickle_peek(trk_pickle *p, trk_pickle_value **out)
{
    trk_status rc = trk_pickle_pop(p, out);
    if (rc == TRK_OK)
        p->depth++;
    return rc;
}

trk_status trk_pickle_push_mark(trk_pickle *p)
{
    if (p->n_marks == TRK_PICKLE_MAX_VALUES)
        return trk_pickle_fail(p, "more than %u marks", TRK_PICKLE_MAX_VALUES);
    void *marks = p->marks;
    trk_status rc = grow(&marks, &p->marks_capacity, p->n_marks + 1, sizeof *p->marks);
    p->marks = marks;
    if (rc == TRK_OK)
        p->marks[p->n_marks++] = p->depth;
    return rc;
}

trk_status trk_pickle_pop_to_mark(trk_pickle *p, trk_pickle_value ***items, size_t *n)
{
    if (!p->n_marks)
        return trk_pickle_fail(p, "no mark on the stack");
    size_t start = p->marks[--p->n_marks];
    *items = p->stack ? p->stack + start : NULL;
    *n = p->depth - start;
    p->depth = start;
    return TRK_OK;
}

trk_status trk_pickle_memoize(trk_pickle *p, uint64_t index)
{
    trk_pickle_value *value = NULL;
    trk_status rc = trk_pickle_peek(p, &value);
    if (rc < 0)
        return rc;
    if (index >= TRK_PICKLE_MAX_VALUES)
        return trk_pickle_fail(p, "memo index %llu, expected less than %u", (unsigned long long)index,
                               TRK_PICKLE_MAX_VALUES);
    void *memo = p->memo;
    rc = grow(&memo, &p->memo_capacity, (size_t)index + 1, sizeof *p->memo);
    p->memo = memo;
    if (rc < 0)
        return rc;
    p->n_memoized += p->memo[index] == NULL;
    p->memo[index] = value;
    return TRK_OK;
}

trk_status trk_pickle_recall(trk_pickle *p, uint64_t index)
{
    if (index >= p->memo_capacity || !p->memo[index])
        return trk_pickle_fail(p, "memo entry %llu was never set", (unsigned long long)index);
    return trk_pickle_push(p, p->memo[index]);
}

/* --- bytes --------------------------------------------------------------------------------------------------- */

trk_status trk_pickle_take(trk_pickle *p, uint64_t n, const uint8_t **out)
{
    if (n > p->n_bytes - p->at)
        return trk_pickle_fail(p, "%llu bytes wanted, %zu left: truncated or damaged", (unsigned long long)n,
                               p->n_bytes - p->at);
    *out = p->bytes + p->at;
    p->at += (size_t)n;
    return TRK_OK;
}

trk_status trk_pickle_take_uint(trk_pickle *p, int n, uint64_t *out)
{
    const uint8_t *bytes = NULL;
    trk_status rc = trk_pickle_take(p, (uint64_t)n, &bytes);
    if (rc < 0)
        return rc;
    *out = 0;
    for (int i = n - 1; i >= 0; i--)
        *out = *out << 8 | bytes[i];
    return TRK_OK;
}

trk_status trk_pickle_take_line(trk_pickle *p, const char **text, size_t *n)
{
    const uint8_t *start = p->bytes + p->at, *end = memchr(start, '\n', p->n_bytes - p->at);
    if (!end)
        return trk_pickle_fail(p, "a name without an end");
    *text = (const char *)start;
    *n = (size_t)(end - start);
    p->at += *n + 1;
    return TRK_OK;
}

void trk_pickle_release(trk_pickle *p)
{
    while (p->chunks) {
        trk_pickle_chunk *next = p->chunks->next;
        for (size_t i = 0; i < p->chunks->n; i++)
            free_value(&p->chunks->values[i]);
        trk_heap_release(p->chunks);
        p->chunks = next;
    }
    trk_heap_release(p->stack);
    trk_heap_release(p->marks);
    trk_heap_release(p->memo);
}
