/* SPDX-License-Identifier: Apache-2.0
 * Decisions about masks. */
#include <string.h>

#include "bf16.h"
#include "cpu.h"
#include "expect.h"
#include "ref.h"
#include "workspace.h"

#define HOLE_VALUE 0.1f
#define NO_OBJECT  -1024.0f

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

void fill_holes_cpu(trk_exec *x, trk_mat mask, int max_area)
{
    const int64_t n = (int64_t)mask.rows * mask.cols;
    if (n == 0 || max_area <= 0)
        return;
    if (mask.dtype != TRK_F32) {
        fill_holes_ref(x, mask, max_area);
        return;
    }
    hole_search s = {.pitch = mask.cols + 2, .max_area = max_area < n ? max_area : (int)n};
    const size_t found_bytes = ((size_t)s.max_area + 1) * sizeof *s.found;
    const size_t state_bytes = ((size_t)mask.rows + 2) * (size_t)s.pitch;
    char *memory = workspace_get(x, WORKSPACE_OTHER, found_bytes + state_bytes);
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
                ((float *)mask.data)[(s.found[i] / s.pitch - 1) * mask.stride + s.found[i] % s.pitch - 1] = HOLE_VALUE;
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

static trk_mat row_of(trk_mat m, int row)
{
    m.data = (char *)m.data + (size_t)(row * m.stride) * trk_dtype_bytes(m.dtype);
    m.rows = 1;
    return m;
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

void select_mask_cpu(trk_exec *x, trk_mat mask, trk_mat token, float *info, const trk_mask_choice *choice)
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
    const int index = choice->multimask || unstable ? best : 0;
    if (choice->score[0] > 0)
        convert_cpu(x, mask, row_of(choice->masks, index));
    else
        fill(mask, NO_OBJECT);
    convert_cpu(x, token, row_of(choice->tokens, choice->multimask ? best : 0));
    info[0] = choice->score[0];
    info[1] = choice->ious[index];
    info[2] = (float)index;
}
