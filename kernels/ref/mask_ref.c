/* SPDX-License-Identifier: Apache-2.0
 * Decisions about masks: filling holes, and which of the mask decoder's four hypotheses an object gets. */
#include "element.h"
#include "expect.h"
#include "ref.h"

#include <string.h>

/* Collects the component of pixel `seed` in `stack` [rows * cols] by depth-first search, marking it seen. Returns its
 * area. */
static int collect(trk_mat mask, uint8_t *seen, int *stack, int seed)
{
    int n = 0; /* stack[0 .. n) is the component, stack[done .. n) still has neighbours to look at */
    stack[n++] = seed;
    seen[seed] = 1;
    for (int done = 0; done < n; done++) {
        const int y = stack[done] / mask.cols, x = stack[done] % mask.cols;
        for (int near = 0; near < 9; near++) {
            const int ny = y + near / 3 - 1, nx = x + near % 3 - 1;
            if (ny < 0 || ny >= mask.rows || nx < 0 || nx >= mask.cols)
                continue;
            const int pixel = ny * mask.cols + nx;
            if (!seen[pixel] && element_get(mask, ny, nx) <= 0) {
                seen[pixel] = 1;
                stack[n++] = pixel;
            }
        }
    }
    return n;
}

/* 8-connected components of logits <= 0 whose area <= max_area become 0.1; the map's border is no wall. */
void trk_fill_holes_ref(trk_exec *x, trk_mat mask, int max_area)
{
    const size_t n = (size_t)mask.rows * (size_t)mask.cols, bytes = n * (sizeof(int) + 1);
    if (!n || max_area <= 0)
        return;
    int *stack = x->allocator->allocate(x->allocator, TRK_MEM_SCRATCH, "fill_holes", bytes);
    if (!stack) {
        trk_exec_fail(x, TRK_FAIL(TRK_E_MEMORY, "fill_holes: no memory for %zu bytes", bytes));
        return;
    }
    uint8_t *seen = (uint8_t *)(stack + n);
    if (x->planning)
        goto done;
    memset(seen, 0, n);
    for (int pixel = 0; pixel < (int)n; pixel++) {
        if (seen[pixel] || !(element_get(mask, pixel / mask.cols, pixel % mask.cols) <= 0))
            continue;
        const int area = collect(mask, seen, stack, pixel);
        for (int i = 0; i < area && area <= max_area; i++)
            element_put(mask, stack[i] / mask.cols, stack[i] % mask.cols, TRK_HOLE_VALUE);
    }
done:
    x->allocator->release(x->allocator, TRK_MEM_SCRATCH, stack, bytes);
}

/* #(logit > delta) / #(logit > -delta) of hypothesis 0 in f32; 1 when nothing is above -delta */
static float stability(trk_mat masks, float delta)
{
    int inner = 0, outer = 0;
    for (int c = 0; c < masks.cols; c++) {
        const float v = (float)element_get(masks, 0, c);
        inner += v > delta;
        outer += v > -delta;
    }
    return outer ? (float)inner / (float)outer : 1.0f;
}

/* Mirrors MaskDecoder.forward, _dynamic_multimask_via_stability and SAM2Base._forward_sam_heads. */
void trk_select_mask_ref(trk_exec *x, trk_mat mask, trk_mat token, float *info, const trk_mask_choice *choice)
{
    TRK_EXPECT(x, "select_mask", choice->masks.rows == 4 && choice->tokens.rows == 4);
    TRK_EXPECT(x, "select_mask", mask.rows == 1 && mask.cols == choice->masks.cols);
    TRK_EXPECT(x, "select_mask", token.rows == 1 && token.cols == choice->tokens.cols);
    int best = 1; /* of hypotheses 1..3, the first on ties */
    for (int i = 2; i < 4; i++)
        if (choice->ious[i] > choice->ious[best])
            best = i;
    const int unstable = !choice->multimask && choice->stability &&
                         stability(choice->masks, choice->stability_delta) < choice->stability_threshold;
    if (choice->multimask && choice->chosen)
        best = (int)choice->chosen[0];
    const int index = choice->multimask || unstable ? best : 0, token_index = choice->multimask ? best : 0;
    const float score = choice->score[0];
    for (int c = 0; c < mask.cols; c++)
        element_put(mask, 0, c, score > choice->present_above ? element_get(choice->masks, index, c) : TRK_NO_OBJECT);
    for (int c = 0; c < token.cols; c++)
        element_put(token, 0, c, element_get(choice->tokens, token_index, c));
    info[0] = score;
    info[1] = choice->ious[index];
    info[2] = (float)index;
}

/* ---- whole maps of f32 logits ---- */

static const float *f32_row(trk_mat m, int r)
{
    return (const float *)m.data + r * m.stride;
}

void trk_score_mask_ref(trk_exec *x, float *score, trk_mat in, float present, float absent)
{
    TRK_EXPECT(x, "score_mask", in.dtype == TRK_F32);
    int found = 0;
    for (int r = 0; r < in.rows; r++)
        for (int c = 0; c < in.cols; c++)
            found |= f32_row(in, r)[c] > 0.0f;
    score[0] = found ? present : absent;
}

void trk_suppress_ref(trk_exec *x, trk_mat io, trk_mat original, trk_mat rival, int rival_first)
{
    TRK_EXPECT(x, "suppress", io.dtype == TRK_F32 && original.dtype == TRK_F32 && rival.dtype == TRK_F32);
    TRK_EXPECT(x, "suppress", io.rows == original.rows && io.cols == original.cols);
    TRK_EXPECT(x, "suppress", io.rows == rival.rows && io.cols == rival.cols);
    for (int r = 0; r < io.rows; r++) {
        const float *a = f32_row(original, r), *b = f32_row(rival, r);
        float *out = (float *)io.data + r * io.stride;
        for (int c = 0; c < io.cols; c++)
            if (b[c] > a[c] || (b[c] == a[c] && rival_first))
                out[c] = fminf(a[c], TRK_LOSER);
    }
}

void trk_mask_bytes_ref(trk_exec *x, uint8_t *out, ptrdiff_t stride, trk_mat in)
{
    TRK_EXPECT(x, "mask_bytes", in.dtype == TRK_F32);
    for (int r = 0; r < in.rows; r++)
        for (int c = 0; c < in.cols; c++)
            out[r * stride + c] = f32_row(in, r)[c] > 0.0f;
}
