/* SPDX-License-Identifier: Apache-2.0
 * Decisions about masks. */
#include <string.h>

#include "bf16.h"
#include "cpu.h"
#include "expect.h"
#include "ref.h"
#include "workspace.h"

/* ---- fill_holes ----
 * One pass in raster order over a state map with a border of one. A background pixel beside a component already known
 * to be larger than max_area belongs to it; otherwise its component is searched, never beyond max_area + 1 pixels. */

enum { FOREGROUND, BACKGROUND, LARGE, PENDING };

typedef struct hole_search {
    uint8_t *state; /* [rows + 2, pitch] */
    int pitch;      /* cols + 2 */
    int *found;     /* [max_area + 1] positions in state */
    int max_area;
} hole_search;

/* Positions of the eight neighbours, the four that raster order visits earlier first. */
static void neighbours(int offsets[8], int pitch)
{
    const int all[8] = {-1, -pitch - 1, -pitch, -pitch + 1, 1, pitch - 1, pitch, pitch + 1};
    memcpy(offsets, all, sizeof all);
}

/* Area of the component of `seed`, its pixels in s->found; more than max_area: the pixels found are marked LARGE. */
static int search_component(const hole_search *s, int seed, const int offsets[8])
{
    int n = 0, large = 0;
    s->found[n++] = seed;
    s->state[seed] = PENDING;
    for (int done = 0; done < n && !large; done++) {
        for (int i = 0; i < 8 && !large; i++) {
            const int near = s->found[done] + offsets[i];
            if (s->state[near] == LARGE || (s->state[near] == BACKGROUND && n > s->max_area)) {
                large = 1;
            } else if (s->state[near] == BACKGROUND) {
                s->state[near] = PENDING;
                s->found[n++] = near;
            }
        }
    }
    large |= n > s->max_area;
    for (int i = 0; i < n; i++)
        s->state[s->found[i]] = large ? LARGE : FOREGROUND;
    return large ? s->max_area + 1 : n;
}

void trk_fill_holes_cpu(trk_exec *x, trk_mat mask, int max_area)
{
    const int64_t n = (int64_t)mask.rows * mask.cols;
    if (n == 0 || max_area <= 0)
        return;
    if (mask.dtype != TRK_F32) {
        trk_fill_holes_ref(x, mask, max_area);
        return;
    }
    hole_search s = {.pitch = mask.cols + 2, .max_area = max_area < n ? max_area : (int)n};
    const size_t found_bytes = ((size_t)s.max_area + 1) * sizeof *s.found;
    const size_t state_bytes = ((size_t)mask.rows + 2) * (size_t)s.pitch;
    char *memory = trk_workspace_get(x, WORKSPACE_OTHER, found_bytes + state_bytes);
    if (!memory || x->planning)
        return;
    s.found = (int *)(void *)memory;
    s.state = (uint8_t *)memory + found_bytes;
    memset(s.state, FOREGROUND, state_bytes);
    for (int y = 0; y < mask.rows; y++) {
        const float *v = (const float *)mask.data + y * mask.stride;
        uint8_t *state = s.state + (size_t)(y + 1) * (size_t)s.pitch + 1;
        for (int c = 0; c < mask.cols; c++)
            state[c] = v[c] <= 0 ? BACKGROUND : FOREGROUND;
    }
    int offsets[8];
    neighbours(offsets, s.pitch);
    for (int y = 0; y < mask.rows; y++) {
        for (int c = 0; c < mask.cols; c++) {
            const int at = (y + 1) * s.pitch + c + 1;
            uint8_t *p = s.state + at;
            if (*p != BACKGROUND)
                continue;
            if (p[offsets[0]] == LARGE || p[offsets[1]] == LARGE || p[offsets[2]] == LARGE || p[offsets[3]] == LARGE) {
                *p = LARGE;
                continue;
            }
            const int area = search_component(&s, at, offsets);
            for (int i = 0; i < area && area <= max_area; i++)
                ((float *)mask.data)[(s.found[i] / s.pitch - 1) * mask.stride + s.found[i] % s.pitch - 1] = TRK_HOLE_VALUE;
        }
    }
}

/* ---- select_mask ---- */

static float stability(const float *logits, int n, float delta)
{
    int inner = 0, outer = 0;
#pragma omp simd reduction(+ : inner, outer)
    for (int c = 0; c < n; c++) {
        inner += logits[c] > delta;
        outer += logits[c] > -delta;
    }
    return outer ? (float)inner / (float)outer : 1.0f;
}

static void fill(trk_mat row, float value)
{
    const uint16_t narrow = trk_f32_to_bf16(value);
    for (int c = 0; c < row.cols; c++) {
        if (row.dtype == TRK_F32)
            ((float *)row.data)[c] = value;
        else
            ((uint16_t *)row.data)[c] = narrow;
    }
}

void trk_select_mask_cpu(trk_exec *x, trk_mat mask, trk_mat token, float *info, const trk_mask_choice *choice)
{
    TRK_EXPECT(x, "select_mask", choice->masks.rows == 4 && choice->tokens.rows == 4 && choice->masks.dtype == TRK_F32);
    TRK_EXPECT(x, "select_mask", mask.rows == 1 && mask.cols == choice->masks.cols);
    TRK_EXPECT(x, "select_mask", token.rows == 1 && token.cols == choice->tokens.cols);
    int best = 1; /* of hypotheses 1..3, the first on ties */
    for (int i = 2; i < 4; i++)
        if (choice->ious[i] > choice->ious[best])
            best = i;
    const int unstable =
        !choice->multimask && choice->stability &&
        stability(choice->masks.data, choice->masks.cols, choice->stability_delta) < choice->stability_threshold;
    if (choice->multimask && choice->chosen)
        best = (int)choice->chosen[0];
    const int index = choice->multimask || unstable ? best : 0;
    if (choice->score[0] > choice->present_above)
        trk_convert_cpu(x, mask, trk_rows(choice->masks, index, 1));
    else
        fill(mask, TRK_NO_OBJECT);
    trk_convert_cpu(x, token, trk_rows(choice->tokens, choice->multimask ? best : 0, 1));
    info[0] = choice->score[0];
    info[1] = choice->ious[index];
    info[2] = (float)index;
}

/* ---- mask_boxes ----
 * An element of the resized plane is a mean of up to four samples, and linear along a line between two of them. So only
 * lines beside samples above 0 have elements above 0, only the ends of the stretch between two samples have to be
 * looked at, and the search goes from each edge inward until the first hit. */

typedef struct box_args {
    float *boxes;
    trk_mat planes;
    int side, scale;
} box_args;

typedef struct span {
    int first, last;
} span;

/* A plane seen from one of its edges, which is line 0; the opposite edge sees it mirrored. */
typedef struct edge_view {
    const float *corner;   /* line 0, sample 0 */
    int64_t inward, along; /* from a line of samples to the next, and from a sample to the next of its line */
    span lines, samples;   /* in which all samples above 0 are */
    int side, scale;
} edge_view;

static int any_above(const float *v, int n)
{
    int any = 0;
#pragma omp simd reduction(| : any)
    for (int i = 0; i < n; i++)
        any |= v[i] > 0;
    return any;
}

/* There is one. */
static int first_above(const float *v)
{
    int i = 0;
    while (!(v[i] > 0))
        i++;
    return i;
}

static int last_above(const float *v, int n)
{
    int i = n - 1;
    while (!(v[i] > 0))
        i--;
    return i;
}

/* Where the samples above 0 are; 0 if there are none. */
static int find_samples(const float *plane, int side, span *rows, span *columns)
{
    *rows = *columns = (span){side, -1};
    for (int y = 0; y < side; y++) {
        const float *row = plane + (int64_t)y * side;
        if (!any_above(row, side))
            continue;
        rows->first = y < rows->first ? y : rows->first;
        rows->last = y;
        if (any_above(row, columns->first))
            columns->first = first_above(row);
        if (any_above(row + columns->last + 1, side - columns->last - 1))
            columns->last = last_above(row, side);
    }
    return rows->last >= 0;
}

/* Elements of the resized axis that lie on sample i or between it and the next one. */
static span elements_of(const edge_view *v, int i)
{
    const int first = i * v->scale + v->scale / 2, last = i + 1 < v->side ? first + v->scale : v->side * v->scale;
    return (span){i > 0 ? first : 0, last - 1};
}

/* How far element i of the resized axis is from its sample to the next, 0..1; 0 before the first sample. */
static double share_of_next(const edge_view *v, int i)
{
    const int position = 2 * i + 1 - v->scale, unit = 2 * v->scale; /* unit: the distance of two samples */
    return position > 0 ? (double)(position % unit) / unit : 0;
}

static double mix(double a, double b, double weight)
{
    return weight > 0 ? (1 - weight) * a + weight * b : a;
}

/* The samples around the elements from line `line` to the next and from sample i to the next; the last is its own. */
static void corners_of(float corners[4], const edge_view *v, int line, int i)
{
    const float *p = v->corner + line * v->inward + i * v->along;
    const int64_t inward = line + 1 < v->side ? v->inward : 0, along = i + 1 < v->side ? v->along : 0;
    corners[0] = p[0];
    corners[1] = p[along];
    corners[2] = p[inward];
    corners[3] = p[inward + along];
}

/* The first of the resized lines that has an element above 0 between the corners; end if none before it has. */
static int first_line(const edge_view *v, const float corners[4], span lines, span elements, int end)
{
    const double near = share_of_next(v, elements.first), far = share_of_next(v, elements.last);
    for (int line = lines.first; line <= lines.last && line < end; line++) {
        const double share = share_of_next(v, line);
        if (mix(mix(corners[0], corners[1], near), mix(corners[2], corners[3], near), share) > 0 ||
            mix(mix(corners[0], corners[1], far), mix(corners[2], corners[3], far), share) > 0)
            return line;
    }
    return end;
}

/* Number of the first line of the resized plane with an element above 0; scale side: there is none. */
static int distance_to_mask(const edge_view *v)
{
    const int none = v->scale * v->side;
    int found = none;
    for (int line = v->lines.first > 0 ? v->lines.first - 1 : 0; line <= v->lines.last && found == none; line++)
        for (int i = v->samples.first > 0 ? v->samples.first - 1 : 0; i <= v->samples.last; i++) {
            float corners[4];
            corners_of(corners, v, line, i);
            if (any_above(corners, 4))
                found = first_line(v, corners, elements_of(v, line), elements_of(v, i), found);
        }
    return found;
}

static span mirrored(span s, int side)
{
    return (span){side - 1 - s.last, side - 1 - s.first};
}

static void find_box(float box[4], const float *plane, int side, int scale)
{
    span rows, columns;
    memset(box, 0, 4 * sizeof *box);
    if (!find_samples(plane, side, &rows, &columns))
        return;
    const int64_t width = side, end = width * width - 1;
    const edge_view views[4] = {
        {plane, 1, width, columns, rows, side, scale},
        {plane, width, 1, rows, columns, side, scale},
        {plane + end, -1, -width, mirrored(columns, side), mirrored(rows, side), side, scale},
        {plane + end, -width, -1, mirrored(rows, side), mirrored(columns, side), side, scale},
    };
    const int n = scale * side;
    for (int i = 0; i < 4; i++) {
        const int distance = distance_to_mask(&views[i]);
        if (distance == n)
            return; /* nor do the other edges see anything */
        box[i] = (float)(i < 2 ? distance : n - 1 - distance);
    }
}

static void find_boxes(const void *args, int64_t begin, int64_t end, int worker)
{
    const box_args *a = args;
    for (int64_t p = begin; p < end; p++)
        find_box(a->boxes + 4 * p, (const float *)a->planes.data + p * a->planes.stride, a->side, a->scale);
}

void trk_mask_boxes_cpu(trk_exec *x, float *boxes, trk_mat planes, int side, int scale)
{
    TRK_EXPECT(x, "mask_boxes", side > 0 && planes.dtype == TRK_F32 && planes.cols == (int64_t)side * side);
    TRK_EXPECT(x, "mask_boxes", scale > 0 && (scale & (scale - 1)) == 0 && side <= (1 << 24) / scale);
    const box_args args = {boxes, planes, side, scale};
    trk_cpu_for(x, find_boxes, &args, planes.rows, planes.cols / 4); /* samples are compared, a vector at a time */
}

/* ---- suppress, mask_bytes ---- */

typedef struct suppress_args {
    trk_mat io, original, rival;
    int rival_first;
} suppress_args;

static const float *f32_row(trk_mat m, int64_t row)
{
    return (const float *)m.data + row * m.stride;
}

static void suppress_rows(const void *args, int64_t begin, int64_t end, int worker)
{
    const suppress_args *a = args;
    (void)worker;
    for (int64_t r = begin; r < end; r++) {
        const float *original = f32_row(a->original, r), *rival = f32_row(a->rival, r);
        float *out = (float *)a->io.data + r * a->io.stride;
#pragma omp simd
        for (int c = 0; c < a->io.cols; c++) {
            const int loses = (rival[c] > original[c]) | ((rival[c] == original[c]) & a->rival_first);
            const float lost = original[c] < TRK_LOSER ? original[c] : TRK_LOSER;
            out[c] = loses ? lost : out[c];
        }
    }
}

void trk_suppress_cpu(trk_exec *x, trk_mat io, trk_mat original, trk_mat rival, int rival_first)
{
    TRK_EXPECT(x, "suppress", io.dtype == TRK_F32 && original.dtype == TRK_F32 && rival.dtype == TRK_F32);
    TRK_EXPECT(x, "suppress", io.rows == original.rows && io.cols == original.cols);
    TRK_EXPECT(x, "suppress", io.rows == rival.rows && io.cols == rival.cols);
    const suppress_args args = {io, original, rival, rival_first != 0};
    trk_cpu_for(x, suppress_rows, &args, io.rows, io.cols);
}

typedef struct byte_args {
    uint8_t *out;
    ptrdiff_t stride;
    trk_mat in;
} byte_args;

static void rows_to_bytes(const void *args, int64_t begin, int64_t end, int worker)
{
    const byte_args *a = args;
    (void)worker;
    for (int64_t r = begin; r < end; r++) {
        const float *in = f32_row(a->in, r);
        uint8_t *out = a->out + r * a->stride;
#pragma omp simd
        for (int c = 0; c < a->in.cols; c++)
            out[c] = in[c] > 0.0f;
    }
}

void trk_mask_bytes_cpu(trk_exec *x, uint8_t *out, ptrdiff_t stride, trk_mat in)
{
    TRK_EXPECT(x, "mask_bytes", in.dtype == TRK_F32);
    const byte_args args = {out, stride, in};
    trk_cpu_for(x, rows_to_bytes, &args, in.rows, in.cols);
}
