/* SPDX-License-Identifier: Apache-2.0 */
#include "prompts.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "heap.h"
#include "number.h"
#include "palette.h"
#include "png_header.h"
#include "prompts_internal.h"

static const char *const forms[] = {"--box [ID@FRAME:]x,y,w,h", "--point [ID@FRAME:]x,y[,+|,-]",
                                    "--mask [ID@FRAME:]FILE.png"};

static void prompt_free(prompt *item)
{
    trk_heap_release(item->path);
    trk_heap_release(item->file);
    trk_heap_release(item->where);
    trk_image_free(&item->mask);
    *item = (prompt){0};
}

void prompts_free(prompt_list *list)
{
    for (size_t i = 0; i < list->n_items; i++)
        prompt_free(&list->items[i]);
    trk_heap_release(list->items);
    *list = (prompt_list){0};
}

trk_status prompts_append(prompt_list *list, prompt *item)
{
    prompt *items =
        trk_heap_grown(list->items, &list->capacity, list->n_items + 1, sizeof *items, TRK_MEM_SCRATCH, "prompts");
    if (!items) {
        prompt_free(item);
        return TRK_FAIL(TRK_E_MEMORY, "prompts: out of memory");
    }
    list->items = items;
    list->items[list->n_items++] = *item;
    *item = (prompt){0};
    return TRK_OK;
}

/* --- parsing ---------------------------------------------------------------------------------------------------- */

/* Reads "ID@FRAME:", "ID:" or "@FRAME:" at the start of text. Returns what follows it; text itself if there is no such
 * prefix; NULL if its numbers are out of range. */
static const char *parse_prefix(const char *text, prompt *item)
{
    size_t n_id = strspn(text, "0123456789");
    size_t n_frame = text[n_id] == '@' ? 1 + strspn(text + n_id + 1, "0123456789") : 0;
    char digits[24];
    int64_t value;
    if (text[n_id + n_frame] != ':' || n_id + n_frame == 0 || n_frame == 1)
        return text;
    if (n_id >= sizeof digits || n_frame >= sizeof digits)
        return NULL;
    if (n_id) {
        memcpy(digits, text, n_id);
        digits[n_id] = 0;
        if (!number_whole(digits, 1, INT_MAX, &value))
            return NULL;
        item->object = (int)value;
    }
    if (n_frame) {
        memcpy(digits, text + n_id + 1, n_frame - 1);
        digits[n_frame - 1] = 0;
        if (!number_whole(digits, 0, INT64_MAX / 2, &item->frame))
            return NULL;
    }
    return text + n_id + n_frame + 1;
}

static int parse_box(const char *text, trk_box *box)
{
    double values[4];
    if (!number_list(text, 4, values))
        return 0;
    *box = (trk_box){(float)values[0], (float)values[1], (float)values[2], (float)values[3]};
    return 1;
}

static int parse_point(const char *text, trk_point *point)
{
    size_t length = strlen(text);
    int sign = length > 2 && text[length - 2] == ',' && strchr("+-", text[length - 1]) ? text[length - 1] : 0;
    char numbers[128];
    double values[2];
    length -= sign ? 2 : 0;
    if (length >= sizeof numbers)
        return 0;
    memcpy(numbers, text, length);
    numbers[length] = 0;
    if (!number_list(numbers, 2, values))
        return 0;
    *point = (trk_point){(float)values[0], (float)values[1], sign != '-'};
    return 1;
}

trk_status prompts_parse(prompt_list *list, prompt_kind kind, const char *text)
{
    prompt item = {.kind = kind, .frame = -1};
    const char *value = parse_prefix(text, &item);
    int good = value != NULL;
    if (good && kind == PROMPT_BOX)
        good = parse_box(value, &item.box);
    else if (good && kind == PROMPT_POINT)
        good = parse_point(value, &item.point);
    else if (good)
        good = *value != 0;
    if (!good) {
        const char *space = strchr(forms[kind], ' ');
        return TRK_FAIL(TRK_E_ARGUMENT, "%.*s: expected %s%s, got \"%s\"", (int)(space - forms[kind]), forms[kind],
                        space + 1, value ? "" : " with an ID from 1 to 2147483647", text);
    }
    item.where = trk_heap_format("prompts", "%.*s %s", (int)strcspn(forms[kind], " "), forms[kind], text);
    item.path = kind == PROMPT_MASK ? trk_heap_text("path", value) : NULL;
    if (!item.where || (kind == PROMPT_MASK && !item.path)) {
        prompt_free(&item);
        return TRK_FAIL(TRK_E_MEMORY, "prompts: out of memory");
    }
    return prompts_append(list, &item);
}

/* --- objects ---------------------------------------------------------------------------------------------------- */

/* 1 if an object there is already, a prompt before `at`, or a later box or mask has that id. A later point with an ID
 * refines whatever has it. */
static int is_named(const prompt_list *list, size_t at, int object)
{
    for (size_t i = 0; i < list->n_items; i++)
        if (list->items[i].object == object && (i < at || list->items[i].kind != PROMPT_POINT))
            return 1;
    for (size_t i = 0; i < list->n_taken; i++)
        if (list->taken[i] == object)
            return 1;
    return 0;
}

/* After all masks were split, so that the ids of the whole list are known. */
static void name_object(prompt_list *list, size_t at)
{
    prompt *item = &list->items[at];
    int object = 1;
    if (item->object)
        return;
    if (item->kind == PROMPT_POINT && at) {
        item->object = item[-1].object;
        item->follows = 1;
        return;
    }
    while (is_named(list, at, object))
        object++;
    item->object = object;
}

static size_t count_values(const trk_image *mask, uint8_t present[256])
{
    size_t n_pixels = (size_t)mask->width * (size_t)mask->height, n = 0;
    memset(present, 0, 256);
    for (size_t i = 0; i < n_pixels; i++)
        present[mask->data[i]] = 1;
    for (int value = 1; value < 256; value++)
        n += present[value];
    return n;
}

/* Replaces the mask prompt at `at` by one for each object's index that occurs. */
static trk_status split_mask(prompt_list *list, size_t at, const uint8_t present[256])
{
    prompt whole = list->items[at];
    const size_t n_pixels = (size_t)whole.mask.width * (size_t)whole.mask.height, n_after = list->n_items - at - 1;
    prompt_list pieces = {0};
    trk_status rc = TRK_OK;
    for (int value = 1; value < PALETTE_VOID && !rc; value++) {
        if (!present[value])
            continue;
        prompt piece = {.kind = PROMPT_MASK, .object = value, .frame = whole.frame, .mask = whole.mask};
        piece.where = trk_heap_text("prompts", whole.where);
        piece.path = trk_heap_text("path", whole.path);
        piece.mask.data = trk_heap_allocate(TRK_MEM_FRAME, "mask of a prompt", n_pixels);
        if (!piece.where || !piece.path || !piece.mask.data) {
            prompt_free(&piece);
            rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", whole.where);
            break;
        }
        for (size_t i = 0; i < n_pixels; i++)
            piece.mask.data[i] = whole.mask.data[i] == value;
        rc = prompts_append(&pieces, &piece);
    }
    /* the prompts after the mask move behind the pieces */
    for (size_t i = 0; i < n_after && !rc; i++)
        rc = prompts_append(&pieces, &list->items[at + 1 + i]);
    if (!rc) {
        prompt_free(&list->items[at]);
        list->n_items = at;
    }
    for (size_t i = 0; i < pieces.n_items && !rc; i++)
        rc = prompts_append(list, &pieces.items[i]);
    prompts_free(&pieces);
    return rc;
}

static trk_status load_mask(prompt_list *list, size_t at)
{
    prompt *item = &list->items[at];
    uint8_t present[256];
    trk_status rc = trk_image_read(&item->mask, item->path, 1);
    if (rc)
        return trk_fail_prefix(rc, item->file ? item->where : "--mask");
    size_t n_values = count_values(&item->mask, present);
    if (!n_values)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: the mask is empty: every pixel is 0", item->where);
    const int has_objects = n_values > present[PALETTE_VOID];
    if (!item->object && has_objects && png_header_colour_type(item->path) == PNG_PALETTE)
        return split_mask(list, at, present);
    return TRK_OK;
}

trk_status prompts_load(prompt_list *list)
{
    for (size_t i = 0; i < list->n_items; i++) {
        if (list->items[i].kind == PROMPT_MASK && !list->items[i].mask.data) {
            trk_status rc = load_mask(list, i);
            if (rc)
                return rc;
        }
    }
    for (size_t i = 0; i < list->n_items; i++)
        name_object(list, i);
    return TRK_OK;
}

/* --- frames ----------------------------------------------------------------------------------------------------- */

/* A mask may be smaller or larger than the frames, but is stretched to them: 2 % are left for rounded sides. */
static trk_status check_shape(const prompt *item, int width, int height)
{
    const trk_image *mask = &item->mask;
    const double ratio = (double)mask->width * height / ((double)mask->height * width);
    if (ratio > 1.02 || ratio < 1 / 1.02)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: a mask of %d x %d for frames of %d x %d, expected the same aspect ratio",
                        item->where, mask->width, mask->height, width, height);
    return TRK_OK;
}

static trk_status check_bounds(const prompt *item, int width, int height)
{
    const trk_box *box = &item->box;
    const trk_point *point = &item->point;
    if (item->kind == PROMPT_BOX && !(box->width > 0 && box->height > 0))
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: width and height must be positive, got %g x %g in frames of %d x %d",
                        item->where, (double)box->width, (double)box->height, width, height);
    if (item->kind == PROMPT_BOX &&
        (box->x >= (float)width || box->y >= (float)height || box->x + box->width <= 0 || box->y + box->height <= 0))
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: the box %g,%g,%g,%g lies outside the frames of %d x %d", item->where,
                        (double)box->x, (double)box->y, (double)box->width, (double)box->height, width, height);
    if (item->kind == PROMPT_POINT &&
        !(point->x >= 0 && point->y >= 0 && point->x <= (float)width && point->y <= (float)height))
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: the point %g,%g lies outside the frames of %d x %d", item->where,
                        (double)point->x, (double)point->y, width, height);
    return item->kind == PROMPT_MASK && item->mask.data ? check_shape(item, width, height) : TRK_OK;
}

/* A mask would take the place of what is given before it for the same object and frame, and a box that of a box. */
static trk_status check_replaced(const prompt_list *list, size_t at)
{
    const prompt *item = &list->items[at];
    for (size_t i = 0; i < at && item->kind != PROMPT_POINT; i++)
        if (list->items[i].object == item->object && list->items[i].frame == item->frame &&
            (item->kind == PROMPT_MASK || list->items[i].kind == item->kind))
            return TRK_FAIL(TRK_E_ARGUMENT, "%s: object %d has a prompt on frame %" PRId64 " already: %s", item->where,
                            item->object, item->frame, list->items[i].where);
    return TRK_OK;
}

trk_status prompts_resolve(prompt_list *list, int64_t first_frame, int reverse, int width, int height)
{
    for (size_t i = 0; i < list->n_items; i++) {
        prompt *item = &list->items[i];
        if (item->frame < 0)
            item->frame = item->follows ? item[-1].frame : first_frame;
        if (reverse ? item->frame > first_frame : item->frame < first_frame)
            return TRK_FAIL(TRK_E_ARGUMENT, "%s: frame %" PRId64 " comes before the first one processed, %" PRId64,
                            item->where, item->frame, first_frame);
        trk_status rc = check_bounds(item, width, height);
        rc = rc ? rc : check_replaced(list, i);
        if (rc)
            return rc;
    }
    return TRK_OK;
}

int64_t prompts_first_frame(const prompt_list *list, int reverse)
{
    int64_t first = list->items[0].frame;
    for (size_t i = 1; i < list->n_items; i++)
        if (reverse ? list->items[i].frame > first : list->items[i].frame < first)
            first = list->items[i].frame;
    return first;
}

static int compare_ids(const void *a, const void *b)
{
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

trk_status prompts_objects(const prompt_list *list, int **ids, size_t *n_ids)
{
    int *sorted = trk_heap_allocate(TRK_MEM_SCRATCH, "prompts", (list->n_items + 1) * sizeof *sorted);
    if (!sorted)
        return TRK_FAIL(TRK_E_MEMORY, "prompts: out of memory");
    for (size_t i = 0; i < list->n_items; i++)
        sorted[i] = list->items[i].object;
    qsort(sorted, list->n_items, sizeof *sorted, compare_ids);
    *n_ids = 0;
    for (size_t i = 0; i < list->n_items; i++)
        if (!i || sorted[i] != sorted[*n_ids - 1])
            sorted[(*n_ids)++] = sorted[i];
    *ids = sorted;
    return TRK_OK;
}

static trk_status apply_one(const prompt *item, trk_tracker *tracker)
{
    switch (item->kind) {
    case PROMPT_BOX:
        return trk_tracker_prompt_box(tracker, item->object, item->frame, &item->box);
    case PROMPT_POINT:
        return trk_tracker_prompt_points(tracker, item->object, item->frame, &item->point, 1);
    case PROMPT_MASK:
        return trk_tracker_prompt_mask(tracker, item->object, item->frame, item->mask.data, item->mask.width,
                                       item->mask.height, item->mask.width);
    }
    return TRK_E_ARGUMENT;
}

trk_status prompts_apply(const prompt_list *list, trk_tracker *tracker)
{
    for (size_t i = 0; i < list->n_items; i++) {
        trk_status rc = apply_one(&list->items[i], tracker);
        if (rc)
            return trk_fail_prefix(failure_of_library(rc), list->items[i].where);
    }
    return TRK_OK;
}
