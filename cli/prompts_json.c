/* SPDX-License-Identifier: Apache-2.0
 * Prompts from a JSON file. Keys are strict; a message names the entry, or line and column where the text is not JSON.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "heap.h"
#include "prompts_internal.h"
#include "target.h"

typedef struct entry {
    const char *file;
    size_t index; /* in "prompts" */
    int object;
    int64_t frame;
} entry;

/* The beginning of a value. */
typedef struct shown_value {
    char text[61];
    size_t n, n_left_out;
} shown_value;

static int show(const char *text, size_t n, void *user)
{
    shown_value *out = user;
    const size_t room = sizeof out->text - 1 - out->n, n_kept = n < room ? n : room;
    memcpy(out->text + out->n, text, n_kept);
    out->n += n_kept;
    out->n_left_out += n - n_kept;
    return 0;
}

/* got: of that key; NULL: it is not there. */
static trk_status bad_entry(const entry *at, const char *key, const char *expected, const json_t *got)
{
    shown_value shown = {0};
    if (got)
        json_dump_callback(got, show, &shown, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    return TRK_FAIL(TRK_E_ARGUMENT, "%s: prompts[%zu]%s%s: expected %s, got %s%s", at->file, at->index, key ? "." : "",
                    key ? key : "", expected, got ? shown.text : "nothing", shown.n_left_out ? "..." : "");
}

static int read_numbers(const json_t *array, size_t count, double *out)
{
    if (!json_is_array(array) || json_array_size(array) != count)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *number = json_array_get(array, i);
        if (!json_is_number(number) || fabs(json_number_value(number)) > 1e9)
            return 0;
        out[i] = json_number_value(number);
    }
    return 1;
}

static trk_status append_entry(prompt_list *list, const entry *at, prompt item)
{
    item.object = at->object;
    item.frame = at->frame;
    item.file = trk_heap_text("path", at->file);
    item.where = trk_heap_format("prompts", "%s: prompts[%zu]", at->file, at->index);
    if (!item.file || !item.where) {
        trk_heap_release(item.path);
        trk_heap_release(item.file);
        trk_heap_release(item.where);
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", at->file);
    }
    return prompts_append(list, &item);
}

static trk_status add_box(prompt_list *list, const entry *at, const json_t *value)
{
    double v[4];
    if (!read_numbers(value, 4, v))
        return bad_entry(at, "box", "four numbers [x, y, w, h]", value);
    prompt item = {.kind = PROMPT_BOX, .box = {(float)v[0], (float)v[1], (float)v[2], (float)v[3]}};
    return append_entry(list, at, item);
}

static trk_status add_points(prompt_list *list, const entry *at, const json_t *value)
{
    static const char expected[] = "a list of [x, y, 1] (on the object) or [x, y, 0] (not on it)";
    trk_status rc = TRK_OK;
    if (!json_is_array(value) || !json_array_size(value))
        return bad_entry(at, "points", expected, value);
    for (size_t i = 0; i < json_array_size(value) && !rc; i++) {
        double v[3];
        if (!read_numbers(json_array_get(value, i), 3, v) || (v[2] != 0 && v[2] != 1))
            return bad_entry(at, "points", expected, value);
        rc = append_entry(list, at, (prompt){.kind = PROMPT_POINT, .point = {(float)v[0], (float)v[1], v[2] != 0}});
    }
    return rc;
}

static trk_status add_mask(prompt_list *list, const entry *at, const json_t *value)
{
    const char *name = json_string_value(value), *slash = strrchr(at->file, '/');
    prompt item = {.kind = PROMPT_MASK};
    if (!name || !*name)
        return bad_entry(at, "mask", "the name of an image file", value);
    int n_folder = *name == '/' || !slash ? 0 : (int)(slash + 1 - at->file);
    item.path = trk_heap_format("path", "%.*s%s", n_folder, at->file, name);
    if (!item.path)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", at->file);
    return append_entry(list, at, item);
}

static trk_status check_keys(const entry *at, json_t *object)
{
    static const char *const known[] = {"object", "frame", "box", "points", "mask"};
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(key, known[i]))
            i++;
        if (i == sizeof known / sizeof *known)
            return bad_entry(at, key, "one of the keys object, frame, box, points, mask", value);
    }
    return TRK_OK;
}

static trk_status add_entry(prompt_list *list, entry *at, json_t *object)
{
    if (!json_is_object(object))
        return bad_entry(at, NULL, "an object {...}", object);
    trk_status rc = check_keys(at, object);
    if (rc)
        return rc;
    const json_t *id = json_object_get(object, "object"), *frame = json_object_get(object, "frame");
    const json_t *box = json_object_get(object, "box"), *points = json_object_get(object, "points");
    const json_t *mask = json_object_get(object, "mask");
    if (!json_is_integer(id) || json_integer_value(id) < 1 || json_integer_value(id) > INT_MAX)
        return bad_entry(at, "object", "a whole number from 1 to 2147483647", id);
    if (frame &&
        (!json_is_integer(frame) || json_integer_value(frame) < 0 || json_integer_value(frame) > INT64_MAX / 2))
        return bad_entry(at, "frame", "a whole number from 0 on", frame);
    if (!!box + !!points + !!mask != 1)
        return bad_entry(at, NULL, "exactly one of box, points, mask", object);
    at->object = (int)json_integer_value(id);
    at->frame = frame ? (int64_t)json_integer_value(frame) : -1;
    return box ? add_box(list, at, box) : points ? add_points(list, at, points) : add_mask(list, at, mask);
}

/* Passes over a byte order mark; no JSON text begins with such a byte otherwise. */
static void pass_mark(FILE *file)
{
    const int first = getc(file);
    if (first != EOF && (first != 0xef || getc(file) != 0xbb || getc(file) != 0xbf))
        ungetc(first, file);
}

trk_status prompts_parse_file(prompt_list *list, const char *path)
{
    json_error_t error;
    trk_status rc = TRK_OK;
    if (trk_is_folder(path))
        return TRK_FAIL(TRK_E_IO, "--prompts: %s: is a folder", path);
    FILE *file = fopen(path, "rbe");
    if (!file)
        return TRK_FAIL(TRK_E_IO, "--prompts: %s: %s", path, strerror(errno));
    pass_mark(file);
    json_t *root = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    fclose(file);
    if (!root)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: line %d, column %d: %s", path, error.line, error.column, error.text);
    const json_t *entries = json_object_get(root, "prompts");
    if (!json_is_array(entries) || json_object_size(root) != 1 || !json_array_size(entries))
        rc = TRK_FAIL(TRK_E_ARGUMENT, "%s: expected {\"prompts\": [...]} with at least one prompt and no other key",
                      path);
    for (size_t i = 0; !rc && i < json_array_size(entries); i++) {
        entry at = {path, i, 0, -1};
        rc = add_entry(list, &at, json_array_get(entries, i));
    }
    json_decref(root);
    return rc;
}
