/* SPDX-License-Identifier: Apache-2.0
 * The pickle machine: a stack, a stack of marks and a memo, all bounded, driven by one pass over the bytes. Every
 * opcode makes at most one value, so work and memory are linear in the length of the pickle. What REDUCE may call is
 * the table of globals: tensors from a storage, OrderedDict, Size. */
#include "pickle_machine.h"

#include "heap.h"
#include "printable.h"

#include <string.h>

#define MAX_PICKLE_BYTES (16u << 20) /* the largest official checkpoint has 0.15 MB */

enum opcode {
    MARK = '(',
    STOP = '.',
    POP = '0',
    POP_MARK = '1',
    DUP = '2',
    BINBYTES = 'B',
    SHORT_BINBYTES = 'C',
    BINFLOAT = 'G',
    BININT = 'J',
    BININT1 = 'K',
    BININT2 = 'M',
    NONE = 'N',
    BINPERSID = 'Q',
    REDUCE = 'R',
    BINSTRING = 'T',
    SHORT_BINSTRING = 'U',
    BINUNICODE = 'X',
    APPEND = 'a',
    BUILD = 'b',
    GLOBAL = 'c',
    DICT = 'd',
    APPENDS = 'e',
    BINGET = 'h',
    LONG_BINGET = 'j',
    LIST = 'l',
    BINPUT = 'q',
    LONG_BINPUT = 'r',
    SETITEM = 's',
    TUPLE = 't',
    SETITEMS = 'u',
    EMPTY_TUPLE = ')',
    EMPTY_LIST = ']',
    EMPTY_DICT = '}',
    PROTO = 0x80,
    TUPLE1 = 0x85,
    TUPLE2 = 0x86,
    TUPLE3 = 0x87,
    NEWTRUE = 0x88,
    NEWFALSE = 0x89,
    LONG1 = 0x8a,
    SHORT_BINUNICODE = 0x8c,
    BINUNICODE8 = 0x8d,
    BINBYTES8 = 0x8e,
    STACK_GLOBAL = 0x93,
    MEMOIZE = 0x94,
    FRAME = 0x95
};

typedef enum global_kind { REBUILD_TENSOR, REBUILD_PARAMETER, ORDERED_DICT, SIZE, STORAGE } global_kind;

struct trk_pickle_global {
    const char *module, *name;
    global_kind kind;
    int dtype; /* of STORAGE: trk_dtype or -1 */
    const char *dtype_name;
};

static const trk_pickle_global globals[] = {
    {"torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR, -1, NULL},
    {"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, -1, NULL},
    {"collections", "OrderedDict", ORDERED_DICT, -1, NULL},
    {"torch", "Size", SIZE, -1, NULL},
    {"torch", "FloatStorage", STORAGE, TRK_F32, "float32"},
    {"torch", "HalfStorage", STORAGE, TRK_F16, "float16"},
    {"torch", "BFloat16Storage", STORAGE, TRK_BF16, "bfloat16"},
    {"torch", "DoubleStorage", STORAGE, -1, "float64"},
    {"torch", "LongStorage", STORAGE, -1, "int64"},
    {"torch", "IntStorage", STORAGE, -1, "int32"},
    {"torch", "ShortStorage", STORAGE, -1, "int16"},
    {"torch", "CharStorage", STORAGE, -1, "int8"},
    {"torch", "ByteStorage", STORAGE, -1, "uint8"},
    {"torch", "BoolStorage", STORAGE, -1, "bool"},
    {"torch", "ComplexFloatStorage", STORAGE, -1, "complex64"},
    {"torch", "ComplexDoubleStorage", STORAGE, -1, "complex128"},
};

/* --- opcodes ------------------------------------------------------------------------------------------------- */

static trk_status push_integer(trk_pickle *p, trk_pickle_kind kind, int64_t integer)
{
    trk_pickle_value *value = NULL;
    trk_status rc = trk_pickle_new(p, kind, &value);
    if (rc < 0)
        return rc;
    value->integer = integer;
    return trk_pickle_push(p, value);
}

/* Signed, length_bytes tell how many bytes follow; more than 8 do not fit. */
static trk_status push_long(trk_pickle *p)
{
    uint64_t n, bits;
    trk_status rc;
    TRK_CHECK(trk_pickle_take_uint(p, 1, &n));
    if (n > 8) {
        rc = trk_pickle_fail(p, "a whole number of %llu bytes, expected at most 8", (unsigned long long)n);
        goto done;
    }
    TRK_CHECK(trk_pickle_take_uint(p, (int)n, &bits));
    if (n > 0 && n < 8 && bits >> (8 * n - 1))
        bits |= UINT64_MAX << (8 * n);
    rc = push_integer(p, TRK_PICKLE_INT, (int64_t)bits);
done:
    return rc;
}

static trk_status push_real(trk_pickle *p)
{
    const uint8_t *bytes = NULL;
    trk_pickle_value *value = NULL;
    uint64_t bits = 0;
    trk_status rc;
    TRK_CHECK(trk_pickle_take(p, 8, &bytes));
    TRK_CHECK(trk_pickle_new(p, TRK_PICKLE_FLOAT, &value));
    for (int i = 0; i < 8; i++) /* the one big-endian number of the format */
        bits = bits << 8 | bytes[i];
    memcpy(&value->real, &bits, sizeof bits);
    rc = trk_pickle_push(p, value);
done:
    return rc;
}

static trk_status push_text(trk_pickle *p, trk_pickle_kind kind, int length_bytes)
{
    uint64_t n;
    const uint8_t *bytes = NULL;
    trk_pickle_value *value = NULL;
    trk_status rc;
    TRK_CHECK(trk_pickle_take_uint(p, length_bytes, &n));
    TRK_CHECK(trk_pickle_take(p, n, &bytes));
    TRK_CHECK(trk_pickle_new(p, kind, &value));
    value->text = (const char *)bytes;
    value->n = (size_t)n;
    rc = trk_pickle_push(p, value);
done:
    return rc;
}

/* Moves n entries that were just taken off the stack into a new tuple, list or dict. */
static trk_status push_collection(trk_pickle *p, trk_pickle_kind kind, trk_pickle_value **items, size_t n)
{
    trk_pickle_value *value = NULL;
    trk_status rc = trk_pickle_new(p, kind, &value);
    for (size_t i = 0; rc == TRK_OK && i < n; i++)
        rc = trk_pickle_append(value, items[i]);
    return rc < 0 ? rc : trk_pickle_push(p, value);
}

static trk_status push_tuple_of(trk_pickle *p, size_t n)
{
    trk_pickle_value *items[3];
    for (size_t i = n; i-- > 0;) {
        trk_status rc = trk_pickle_pop(p, &items[i]);
        if (rc < 0)
            return rc;
    }
    return push_collection(p, TRK_PICKLE_TUPLE, items, n);
}

static trk_status push_marked(trk_pickle *p, trk_pickle_kind kind)
{
    trk_pickle_value **items;
    size_t n;
    trk_status rc = trk_pickle_pop_to_mark(p, &items, &n);
    if (rc < 0)
        return rc;
    if (kind == TRK_PICKLE_DICT && n % 2)
        return trk_pickle_fail(p, "a key without a value");
    return push_collection(p, kind, items, n);
}

/* APPEND(S) and SETITEM(S): adds entries to the list or dict now on top. */
static trk_status extend_top(trk_pickle *p, trk_pickle_kind kind, trk_pickle_value **items, size_t n)
{
    trk_pickle_value *target;
    trk_status rc = trk_pickle_peek(p, &target);
    if (rc < 0)
        return rc;
    if (target->kind != kind)
        return trk_pickle_fail(p, "an entry for %s added to %s", trk_pickle_kind_text(kind),
                               trk_pickle_kind_text(target->kind));
    if (kind == TRK_PICKLE_DICT && n % 2)
        return trk_pickle_fail(p, "a key without a value");
    for (size_t i = 0; rc == TRK_OK && i < n; i++)
        rc = trk_pickle_append(target, items[i]);
    return rc;
}

static trk_status extend_marked(trk_pickle *p, trk_pickle_kind kind)
{
    trk_pickle_value **items;
    size_t n;
    trk_status rc = trk_pickle_pop_to_mark(p, &items, &n);
    return rc < 0 ? rc : extend_top(p, kind, items, n);
}

static trk_status extend_by(trk_pickle *p, trk_pickle_kind kind, size_t n)
{
    trk_pickle_value *items[2];
    for (size_t i = n; i-- > 0;) {
        trk_status rc = trk_pickle_pop(p, &items[i]);
        if (rc < 0)
            return rc;
    }
    return extend_top(p, kind, items, n);
}

/* The hidden attributes of an OrderedDict (_metadata): read, checked like everything else, and dropped. */
static trk_status build(trk_pickle *p)
{
    trk_pickle_value *state, *target;
    trk_status rc;
    TRK_CHECK(trk_pickle_pop(p, &state));
    TRK_CHECK(trk_pickle_peek(p, &target));
    if (target->kind != TRK_PICKLE_DICT)
        rc = trk_pickle_fail(p, "attributes for %s, expected a dict", trk_pickle_kind_text(target->kind));
done:
    return rc;
}

/* --- globals and what they may do ---------------------------------------------------------------------------- */

static trk_status push_global(trk_pickle *p, const char *module, size_t module_bytes, const char *name,
                              size_t name_bytes)
{
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        const trk_pickle_global *g = &globals[i];
        if (strlen(g->module) != module_bytes || memcmp(g->module, module, module_bytes) != 0 ||
            strlen(g->name) != name_bytes || memcmp(g->name, name, name_bytes) != 0)
            continue;
        trk_pickle_value *value = NULL;
        trk_status rc = trk_pickle_new(p, TRK_PICKLE_GLOBAL, &value);
        if (rc < 0)
            return rc;
        value->global = g;
        return trk_pickle_push(p, value);
    }
    char module_text[100], name_text[100];
    return trk_pickle_fail(p, "refuses to run \"%s.%s\": a checkpoint may hold tensors and plain values only",
                           trk_printable(module_text, sizeof module_text, module, module_bytes),
                           trk_printable(name_text, sizeof name_text, name, name_bytes));
}

static trk_status push_global_from_lines(trk_pickle *p)
{
    const char *module, *name;
    size_t module_bytes, name_bytes;
    trk_status rc;
    TRK_CHECK(trk_pickle_take_line(p, &module, &module_bytes));
    TRK_CHECK(trk_pickle_take_line(p, &name, &name_bytes));
    rc = push_global(p, module, module_bytes, name, name_bytes);
done:
    return rc;
}

static trk_status push_global_from_stack(trk_pickle *p)
{
    trk_pickle_value *module, *name;
    trk_status rc;
    TRK_CHECK(trk_pickle_pop(p, &name));
    TRK_CHECK(trk_pickle_pop(p, &module));
    if (module->kind != TRK_PICKLE_STRING || name->kind != TRK_PICKLE_STRING)
        rc = trk_pickle_fail(p, "a global named by %s and %s, expected strings", trk_pickle_kind_text(module->kind),
                             trk_pickle_kind_text(name->kind));
    else
        rc = push_global(p, module->text, module->n, name->text, name->n);
done:
    return rc;
}

/* ("storage", type, key, location, elements) -> a storage */
static trk_status push_storage(trk_pickle *p)
{
    trk_pickle_value *id, *value;
    trk_status rc;
    TRK_CHECK(trk_pickle_pop(p, &id));
    if (id->kind != TRK_PICKLE_TUPLE || id->n < 5 || !trk_pickle_text_is(id->items[0], "storage") ||
        id->items[1]->kind != TRK_PICKLE_GLOBAL || id->items[1]->global->kind != STORAGE ||
        id->items[2]->kind != TRK_PICKLE_STRING || id->items[4]->kind != TRK_PICKLE_INT || id->items[4]->integer < 0) {
        rc = trk_pickle_fail(p, "a persistent id that is not (\"storage\", type, key, location, elements)");
        goto done;
    }
    TRK_CHECK(trk_pickle_new(p, TRK_PICKLE_STORAGE, &value));
    value->storage = trk_heap_allocate(TRK_MEM_SCRATCH, "pickle", sizeof *value->storage);
    if (!value->storage) {
        rc = TRK_FAIL(TRK_E_MEMORY, "no memory for a storage description");
        goto done;
    }
    const trk_pickle_global *type = id->items[1]->global;
    *value->storage =
        (trk_pickle_storage){type->dtype_name, type->dtype, id->items[2]->text, id->items[2]->n, id->items[4]->integer};
    rc = trk_pickle_push(p, value);
done:
    return rc;
}

static int all_integers(const trk_pickle_value *tuple)
{
    if (tuple->kind != TRK_PICKLE_TUPLE)
        return 0;
    for (size_t i = 0; i < tuple->n; i++)
        if (tuple->items[i]->kind != TRK_PICKLE_INT)
            return 0;
    return 1;
}

/* (storage, offset, size, stride, requires_grad, hooks[, metadata]) -> a tensor */
static trk_status push_tensor(trk_pickle *p, const trk_pickle_value *args)
{
    if (args->n < 4 || args->items[0]->kind != TRK_PICKLE_STORAGE || args->items[1]->kind != TRK_PICKLE_INT ||
        args->items[1]->integer < 0 || !all_integers(args->items[2]) || !all_integers(args->items[3]) ||
        args->items[2]->n != args->items[3]->n)
        return trk_pickle_fail(p, "a tensor without storage, offset, size and stride of equal length");
    const trk_pickle_value *size = args->items[2], *stride = args->items[3];
    if (size->n > TRK_TENSOR_MAX_DIMS)
        return trk_pickle_fail(p, "a tensor of %zu dimensions, expected at most %d", size->n, TRK_TENSOR_MAX_DIMS);
    trk_pickle_value *value = NULL;
    trk_status rc = trk_pickle_new(p, TRK_PICKLE_TENSOR, &value);
    if (rc < 0)
        return rc;
    value->tensor = trk_heap_zeroed(TRK_MEM_SCRATCH, "pickle", 1, sizeof *value->tensor);
    if (!value->tensor)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a tensor description");
    value->tensor->storage = args->items[0]->storage;
    value->tensor->offset = args->items[1]->integer;
    value->tensor->n_dims = (int)size->n;
    for (size_t i = 0; i < size->n; i++) {
        value->tensor->dims[i] = size->items[i]->integer;
        value->tensor->strides[i] = stride->items[i]->integer;
    }
    return trk_pickle_push(p, value);
}

static trk_status reduce(trk_pickle *p)
{
    trk_pickle_value *args, *callable, *value;
    trk_status rc;
    TRK_CHECK(trk_pickle_pop(p, &args));
    TRK_CHECK(trk_pickle_pop(p, &callable));
    if (callable->kind != TRK_PICKLE_GLOBAL || args->kind != TRK_PICKLE_TUPLE) {
        rc = trk_pickle_fail(p, "a call of %s with %s", trk_pickle_kind_text(callable->kind),
                             trk_pickle_kind_text(args->kind));
        goto done;
    }
    const trk_pickle_global *global = callable->global;
    if (global->kind == REBUILD_TENSOR) {
        rc = push_tensor(p, args);
    } else if (global->kind == REBUILD_PARAMETER && args->n >= 1 && args->items[0]->kind == TRK_PICKLE_TENSOR) {
        rc = trk_pickle_push(p, args->items[0]);
    } else if (global->kind == ORDERED_DICT && args->n == 0) {
        TRK_CHECK(trk_pickle_new(p, TRK_PICKLE_DICT, &value));
        rc = trk_pickle_push(p, value);
    } else if (global->kind == SIZE && args->n == 1 && args->items[0]->kind == TRK_PICKLE_TUPLE) {
        rc = trk_pickle_push(p, args->items[0]);
    } else {
        rc = trk_pickle_fail(p, "\"%s.%s\" called with arguments it does not take", global->module, global->name);
    }
done:
    return rc;
}

/* --- the machine --------------------------------------------------------------------------------------------- */

#define NOT_MINE 1 /* positive: the opcode belongs to another group */

static trk_status run_scalar(trk_pickle *p, int opcode)
{
    uint64_t bits = 0;
    trk_status rc;
    switch (opcode) {
    case NONE:
        return push_integer(p, TRK_PICKLE_NONE, 0);
    case NEWTRUE:
    case NEWFALSE:
        return push_integer(p, TRK_PICKLE_BOOL, opcode == NEWTRUE);
    case BININT:
        rc = trk_pickle_take_uint(p, 4, &bits);
        return rc < 0 ? rc : push_integer(p, TRK_PICKLE_INT, (int32_t)(uint32_t)bits);
    case BININT1:
        rc = trk_pickle_take_uint(p, 1, &bits);
        return rc < 0 ? rc : push_integer(p, TRK_PICKLE_INT, (int64_t)bits);
    case BININT2:
        rc = trk_pickle_take_uint(p, 2, &bits);
        return rc < 0 ? rc : push_integer(p, TRK_PICKLE_INT, (int64_t)bits);
    case LONG1:
        return push_long(p);
    case BINFLOAT:
        return push_real(p);
    case SHORT_BINUNICODE:
    case SHORT_BINSTRING:
        return push_text(p, TRK_PICKLE_STRING, 1);
    case BINUNICODE:
    case BINSTRING:
        return push_text(p, TRK_PICKLE_STRING, 4);
    case BINUNICODE8:
        return push_text(p, TRK_PICKLE_STRING, 8);
    case SHORT_BINBYTES:
        return push_text(p, TRK_PICKLE_BYTES, 1);
    case BINBYTES:
        return push_text(p, TRK_PICKLE_BYTES, 4);
    case BINBYTES8:
        return push_text(p, TRK_PICKLE_BYTES, 8);
    default:
        return NOT_MINE;
    }
}

static trk_status run_collection(trk_pickle *p, int opcode)
{
    switch (opcode) {
    case EMPTY_TUPLE:
        return push_collection(p, TRK_PICKLE_TUPLE, NULL, 0);
    case EMPTY_LIST:
        return push_collection(p, TRK_PICKLE_LIST, NULL, 0);
    case EMPTY_DICT:
        return push_collection(p, TRK_PICKLE_DICT, NULL, 0);
    case TUPLE1:
    case TUPLE2:
    case TUPLE3:
        return push_tuple_of(p, (size_t)(opcode - TUPLE1 + 1));
    case TUPLE:
        return push_marked(p, TRK_PICKLE_TUPLE);
    case LIST:
        return push_marked(p, TRK_PICKLE_LIST);
    case DICT:
        return push_marked(p, TRK_PICKLE_DICT);
    case APPEND:
        return extend_by(p, TRK_PICKLE_LIST, 1);
    case APPENDS:
        return extend_marked(p, TRK_PICKLE_LIST);
    case SETITEM:
        return extend_by(p, TRK_PICKLE_DICT, 2);
    case SETITEMS:
        return extend_marked(p, TRK_PICKLE_DICT);
    default:
        return NOT_MINE;
    }
}

static trk_status run_stack(trk_pickle *p, int opcode)
{
    uint64_t index = 0;
    size_t n;
    trk_pickle_value *value, **items;
    trk_status rc;
    switch (opcode) {
    case MARK:
        return trk_pickle_push_mark(p);
    case POP:
        return trk_pickle_pop(p, &value);
    case POP_MARK:
        return trk_pickle_pop_to_mark(p, &items, &n);
    case DUP:
        rc = trk_pickle_peek(p, &value);
        return rc < 0 ? rc : trk_pickle_push(p, value);
    case MEMOIZE:
        return trk_pickle_memoize(p, p->n_memoized);
    case BINPUT:
    case LONG_BINPUT:
        rc = trk_pickle_take_uint(p, opcode == BINPUT ? 1 : 4, &index);
        return rc < 0 ? rc : trk_pickle_memoize(p, index);
    case BINGET:
    case LONG_BINGET:
        rc = trk_pickle_take_uint(p, opcode == BINGET ? 1 : 4, &index);
        return rc < 0 ? rc : trk_pickle_recall(p, index);
    default:
        return NOT_MINE;
    }
}

static trk_status run_object(trk_pickle *p, int opcode)
{
    uint64_t ignored;
    switch (opcode) {
    case FRAME:
        return trk_pickle_take_uint(p, 8, &ignored);
    case GLOBAL:
        return push_global_from_lines(p);
    case STACK_GLOBAL:
        return push_global_from_stack(p);
    case BINPERSID:
        return push_storage(p);
    case REDUCE:
        return reduce(p);
    case BUILD:
        return build(p);
    default:
        return NOT_MINE;
    }
}

static trk_status run(trk_pickle *p)
{
    static trk_status (*const groups[])(trk_pickle *, int) = {run_scalar, run_collection, run_stack, run_object};
    for (;;) {
        p->opcode_at = p->at;
        const uint8_t *opcode;
        trk_status rc = trk_pickle_take(p, 1, &opcode);
        if (rc < 0)
            return rc;
        if (*opcode == STOP)
            return TRK_OK;
        rc = NOT_MINE;
        for (size_t i = 0; rc == NOT_MINE && i < sizeof groups / sizeof *groups; i++)
            rc = groups[i](p, *opcode);
        if (rc == NOT_MINE)
            return trk_pickle_fail(p, "opcode 0x%02x is not one a checkpoint needs", *opcode);
        if (rc < 0)
            return rc;
    }
}

static trk_status read_pickle(trk_pickle *p)
{
    trk_pickle_value *top;
    const uint8_t *start;
    trk_status rc;
    if (p->n_bytes > MAX_PICKLE_BYTES)
        return TRK_FAIL(TRK_E_FORMAT, "a pickle of %zu bytes, expected at most %u", p->n_bytes, MAX_PICKLE_BYTES);
    TRK_CHECK(trk_pickle_take(p, 2, &start));
    if (start[0] != PROTO || start[1] < 2 || start[1] > 5) {
        rc = trk_pickle_fail(p, "starts with 0x%02x 0x%02x, expected a pickle of protocol 2 to 5", start[0], start[1]);
        goto done;
    }
    TRK_CHECK(run(p));
    TRK_CHECK(trk_pickle_pop(p, &top));
    if (p->depth || p->n_marks)
        rc = trk_pickle_fail(p, "ends with %zu unused values and %zu marks", p->depth, p->n_marks);
    else if (p->at != p->n_bytes)
        rc = trk_pickle_fail(p, "ends %zu bytes before the end of its entry", p->n_bytes - p->at);
    else
        p->top = top;
done:
    return rc;
}

trk_status trk_pickle_read(trk_pickle **out, const uint8_t *bytes, size_t n_bytes)
{
    trk_pickle *p = trk_heap_zeroed(TRK_MEM_SCRATCH, "pickle", 1, sizeof *p);
    if (!p)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a pickle");
    p->bytes = bytes;
    p->n_bytes = n_bytes;
    trk_status rc = read_pickle(p);
    if (rc < 0)
        trk_pickle_free(&p);
    else
        *out = p;
    return rc;
}

void trk_pickle_free(trk_pickle **pickle)
{
    trk_pickle *p = *pickle;
    if (!p)
        return;
    trk_pickle_release(p);
    trk_heap_release(p);
    *pickle = NULL;
}

const trk_pickle_value *trk_pickle_top(const trk_pickle *pickle)
{
    return pickle->top;
}

const trk_pickle_value *trk_pickle_get(const trk_pickle_value *dict, const char *key)
{
    const trk_pickle_value *found = NULL;
    for (size_t i = 0; dict->kind == TRK_PICKLE_DICT && i + 1 < dict->n; i += 2)
        if (trk_pickle_text_is(dict->items[i], key))
            found = dict->items[i + 1]; /* as in Python, the last one counts */
    return found;
}
