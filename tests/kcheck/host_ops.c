/* SPDX-License-Identifier: Apache-2.0
 * Cases of the operators that bring frames in and masks out: frame_to_rgb, clamp, threshold, score_mask, suppress,
 * mask_bytes, upload, download.
 *
 * Bytes are compared as in storage.c: a run waits until they are written and spreads them over the output, one float
 * each. Host memory is ordinary memory that no device reaches. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kcheck.h"

/* ones, odd, around the vector width and a block's groups, masks */
static const int shapes[][2] = {{1, 1}, {1, 17}, {17, 1},  {3, 4},    {65, 4},    {7, 31},    {9, 96},
                                {5, 0}, {0, 8},  {3, 255}, {2, 1025}, {1, 70001}, {256, 256}, {37, 53}};

#define UNTOUCHED 0xa5 /* in bytes nobody may write */

/* ---- bytes as an output ---- */

typedef struct byte_output {
    uint8_t *bytes; /* NULL with --bench: nothing is compared */
    size_t n;
} byte_output;

static trk_mat byte_shape(kcheck *k, size_t n)
{
    return kcheck_is_bench(k) ? kcheck_shape(1, (int)(n / 4 + 1), 0, TRK_F32) : kcheck_shape(1, (int)n, 0, TRK_F32);
}

static byte_output bytes_of(kcheck *k, uint8_t *bytes, size_t n)
{
    return (byte_output){kcheck_is_bench(k) ? NULL : bytes, n};
}

static void clear(const byte_output *o)
{
    if (o->bytes)
        memset(o->bytes, UNTOUCHED, o->n);
}

static void spread(trk_exec *x, trk_mat out, const byte_output *o)
{
    trk_exec_finish(x);
    for (size_t i = 0; i < o->n && o->bytes; i++)
        ((float *)out.data)[i] = o->bytes[i];
}

/* ---- frame_to_rgb ---- */

typedef struct image_context {
    trk_image image;
    uint8_t *rgb;
    byte_output output;
} image_context;

static void run_image(trk_exec *x, trk_mat out, const void *context)
{
    const image_context *c = context;
    clear(&c->output);
    TRK_RUN(x, frame_to_rgb, c->rgb, &c->image);
    spread(x, out, &c->output);
}

/* y_scale, y_offset, r_v, g_u, g_v, b_u: BT.601 limited, BT.709 full, halves that round up, and far too much of it */
static const float matrices[][6] = {{1.16438356f, 16, 1.59602678f, 0.39176229f, 0.81296764f, 2.01723214f},
                                    {1, 0, 1.5748f, 0.18732427f, 0.46812427f, 1.8556f},
                                    {0.5f, 1, 0.5f, 0.25f, 0.25f, 1.5f},
                                    {40, 128, -30, 17, -9, 1e6f}};

static int plane_width(const trk_image *m, int plane)
{
    const int half = (m->width + 1) / 2;
    if (plane == 0 || m->format == TRK_IMAGE_I444)
        return m->width;
    return m->format == TRK_IMAGE_NV12 ? 2 * half : half;
}

static int plane_height(const trk_image *m, int plane)
{
    const int halved = m->format == TRK_IMAGE_I420 || m->format == TRK_IMAGE_NV12;
    return plane && halved ? (m->height + 1) / 2 : m->height;
}

static int n_planes(trk_image_format format)
{
    return format == TRK_IMAGE_GRAY ? 1 : format == TRK_IMAGE_NV12 ? 2 : 3;
}

/* Planes that end with their last sample; upside down: from the last row up. */
static void fill_planes(kcheck *k, trk_image *m, int extra, int upside_down)
{
    for (int p = 0; p < n_planes(m->format); p++) {
        const int width = plane_width(m, p), height = plane_height(m, p);
        const ptrdiff_t stride = width + extra * (p + 1), last = stride * (height - 1);
        uint8_t *plane = kcheck_bytes(k, (size_t)(last + width)), *view = kcheck_view(k, plane);
        for (ptrdiff_t i = 0; i < last + width; i += 5) /* the ends of the range, where results leave it */
            view[i] = i % 2 ? 255 : 0;
        kcheck_send(k, plane);
        m->planes[p] = upside_down ? plane + last : plane;
        m->strides[p] = upside_down ? -stride : stride;
    }
}

static void image_case(kcheck *k, trk_image_format format, int width, int height, int matrix, int extra,
                       int upside_down)
{
    static const char *const names[] = {"gray", "i420", "i422", "i444", "nv12"};
    if (!kcheck_case(k, FILL_UNIFORM, names[format], "%dx%d matrix%d s%d%s", width, height, matrix, extra,
                     upside_down ? " upside down" : ""))
        return;
    const float *f = matrices[matrix];
    image_context c = {.image = {.width = width,
                                 .height = height,
                                 .format = format,
                                 .y_scale = f[0],
                                 .y_offset = f[1],
                                 .r_v = f[2],
                                 .g_u = f[3],
                                 .g_v = f[4],
                                 .b_u = f[5]}};
    const size_t n = (size_t)width * (size_t)height * 3;
    fill_planes(k, &c.image, extra, upside_down);
    c.rgb = kcheck_bytes(k, n);
    c.output = bytes_of(k, c.rgb, n);
    kcheck_run(k, byte_shape(k, n), run_image, &c, KCHECK_EXACT, 0);
}

void check_frame_to_rgb(kcheck *k)
{
    static const int sizes[][2] = {{1, 1},  {2, 2},   {1, 7},   {7, 1},   {2, 3},   {3, 5},
                                   {17, 9}, {64, 48}, {33, 31}, {641, 3}, {3, 641}, {258, 130}};
    for (int format = 0; format <= TRK_IMAGE_NV12; format++) {
        if (kcheck_is_bench(k)) {
            image_case(k, (trk_image_format)format, 1920, 1080, 0, 0, 0);
            continue;
        }
        for (int i = 0; i < KCHECK_OF(sizes); i++)
            for (int matrix = 0; matrix < (format == TRK_IMAGE_GRAY ? 1 : KCHECK_OF(matrices)); matrix++)
                for (int extra = 0; extra < 8; extra += 7)
                    image_case(k, (trk_image_format)format, sizes[i][0], sizes[i][1], matrix, extra, (i + matrix) % 2);
    }
}

/* ---- clamp and threshold ---- */

typedef struct level_context {
    trk_mat in; /* data NULL: in place */
    float low, high;
} level_context;

static void run_clamp(trk_exec *x, trk_mat out, const void *context)
{
    const level_context *c = context;
    TRK_RUN(x, clamp, out, c->in.data ? c->in : out, c->low, c->high);
}

static void run_threshold(trk_exec *x, trk_mat out, const void *context)
{
    const level_context *c = context;
    TRK_RUN(x, threshold, out, c->in.data ? c->in : out, c->low);
}

/* low and high: NAN for a value of the input, so that equality occurs */
static void level_case(kcheck *k, kcheck_function *run, kcheck_fill fill, const int shape[2], float low, float high,
                       int extra, int in_place)
{
    const int rows = shape[0], cols = shape[1];
    if (kcheck_has_enough(k, fill, (double)rows * cols) ||
        !kcheck_case(k, fill, "f32", "%dx%d low%g high%g s%d%s", rows, cols, (double)low, (double)high, extra,
                     in_place ? " in place" : ""))
        return;
    level_context c = {kcheck_input(k, rows, cols, extra, TRK_F32), low, high};
    if (isnan(low))
        c.low = rows && cols ? ((const float *)kcheck_view(k, c.in.data))[cols / 2] : 0;
    if (isnan(high))
        c.high = c.low;
    trk_mat out = kcheck_shape(rows, cols, extra ? 1 : 0, TRK_F32);
    if (in_place) {
        out = c.in;
        c.in.data = NULL;
    }
    kcheck_run(k, out, run, &c, KCHECK_EXACT, 0);
}

static void level_cases(kcheck *k, kcheck_function *run)
{
    static const float levels[][2] = {{-0.25f, 0.5f}, {-32, 32}, {0.5f, INFINITY}, {NAN, NAN}};
    static const int model[2] = {1024, 1024};
    if (kcheck_is_bench(k)) {
        level_case(k, run, FILL_UNIFORM, model, -0.25f, 0.5f, 0, 1);
        return;
    }
    for (int i = 0; i < KCHECK_OF(shapes); i++)
        for (int l = 0; l < KCHECK_OF(levels); l++)
            for (int fill = 0; fill <= FILL_NAN; fill++)
                level_case(k, run, (kcheck_fill)fill, shapes[i], levels[l][0], levels[l][1], fill % 2 * 3,
                           (fill / 2 + l) % 2);
}

void check_clamp(kcheck *k)
{
    level_cases(k, run_clamp);
}

void check_threshold(kcheck *k)
{
    level_cases(k, run_threshold);
}

/* ---- score_mask ---- */

typedef struct score_context {
    trk_mat in;
    float present, absent;
} score_context;

static void run_score(trk_exec *x, trk_mat out, const void *context)
{
    const score_context *c = context;
    TRK_RUN(x, score_mask, (float *)out.data, c->in, c->present, c->absent);
}

/* What may stand among values that are not above 0, and whether it is */
static const float among[] = {-1, 0, -0.0f, NAN, -INFINITY, 1e-45f, 1e-30f, 3, INFINITY};

/* position: of that one value, -1 for the last; -2: everywhere. Beside the rows lies what would count. */
static void score_case(kcheck *k, const int shape[2], int value, int position, int extra)
{
    const int rows = shape[0], cols = shape[1], n = rows * cols;
    if (!kcheck_case(k, FILL_UNIFORM, "f32", "%dx%d value%g at %d s%d", rows, cols, (double)among[value], position,
                     extra))
        return;
    score_context c = {kcheck_uniform(k, rows, cols + extra, TRK_F32, 1, 2), 10, -1024};
    const int at = position == -1 ? n - 1 : n ? position % n : 0;
    float *view = kcheck_view(k, c.in.data);
    c.in.cols = cols;
    for (int i = 0; i < n; i++) {
        const float other = -1e-3f * (float)(kcheck_random(k) % 1000);
        view[i / cols * c.in.stride + i % cols] = i == at || position == -2 ? among[value] : other;
    }
    kcheck_send(k, c.in.data);
    kcheck_run(k, kcheck_shape(1, 1, 0, TRK_F32), run_score, &c, KCHECK_EXACT, 0);
}

void check_score_mask(kcheck *k)
{
    static const int positions[] = {0, -1, -2, 777}, model[2] = {1024, 1024};
    if (kcheck_is_bench(k)) {
        score_case(k, model, 0, 0, 0);
        score_case(k, model, 7, -1, 0);
        return;
    }
    for (int i = 0; i < KCHECK_OF(shapes); i++)
        for (int value = 0; value < KCHECK_OF(among); value++)
            for (int p = 0; p < KCHECK_OF(positions); p++)
                score_case(k, shapes[i], value, positions[p], (value + p) % 2 * 3);
}

/* ---- suppress ---- */

typedef struct suppress_context {
    trk_mat original, rival;
    int rival_first;
} suppress_context;

static void run_suppress(trk_exec *x, trk_mat out, const void *context)
{
    const suppress_context *c = context;
    TRK_RUN(x, suppress, out, c->original, c->rival, c->rival_first);
}

/* Few levels on both sides of -10, so that logits tie and some are lower already. */
static void put_levels(kcheck *k, trk_mat m)
{
    float *view = kcheck_view(k, m.data);
    for (int r = 0; r < m.rows; r++)
        for (int c = 0; c < m.cols; c++)
            if (kcheck_random(k) % 4)
                view[r * m.stride + c] = (float)(int)(kcheck_random(k) % 7) * 5 - 20;
    kcheck_send(k, m.data);
}

static void suppress_case(kcheck *k, kcheck_fill fill, const int shape[2], int extra, int rival_first)
{
    const int rows = shape[0], cols = shape[1];
    if (kcheck_has_enough(k, fill, (double)rows * cols) ||
        !kcheck_case(k, fill, "f32", "%dx%d s%d first%d", rows, cols, extra, rival_first))
        return;
    const suppress_context c = {kcheck_input(k, rows, cols, extra, TRK_F32),
                                kcheck_input(k, rows, cols, 2 * extra, TRK_F32), rival_first};
    put_levels(k, c.original);
    put_levels(k, c.rival);
    kcheck_run(k, kcheck_input(k, rows, cols, 3 * extra, TRK_F32), run_suppress, &c, KCHECK_EXACT, 0);
}

void check_suppress(kcheck *k)
{
    static const int model[2] = {256, 256};
    if (kcheck_is_bench(k)) {
        suppress_case(k, FILL_UNIFORM, model, 0, 0);
        return;
    }
    for (int i = 0; i < KCHECK_OF(shapes); i++)
        for (int fill = 0; fill <= FILL_NAN; fill++)
            for (int rival_first = 0; rival_first < 2; rival_first++)
                suppress_case(k, (kcheck_fill)fill, shapes[i], (fill + rival_first) % 3, rival_first);
}

/* ---- mask_bytes ---- */

typedef struct bytes_context {
    trk_mat in;
    uint8_t *to;
    ptrdiff_t stride;
    byte_output output;
} bytes_context;

static void run_bytes(trk_exec *x, trk_mat out, const void *context)
{
    const bytes_context *c = context;
    clear(&c->output);
    TRK_RUN(x, mask_bytes, c->to, c->stride, c->in);
    spread(x, out, &c->output);
}

static void bytes_case(kcheck *k, kcheck_fill fill, const int shape[2], int extra, int gap)
{
    const int h = shape[0], w = shape[1];
    if (kcheck_has_enough(k, fill, (double)h * w) ||
        !kcheck_case(k, fill, "f32", "%dx%d s%d gap%d", h, w, extra, gap))
        return;
    bytes_context c = {.in = kcheck_input(k, h, w, extra, TRK_F32), .stride = w + gap};
    const size_t n = h ? (size_t)(c.stride * (h - 1) + w) : 0;
    c.to = kcheck_bytes(k, n);
    c.output = bytes_of(k, c.to, n);
    kcheck_run(k, byte_shape(k, n), run_bytes, &c, KCHECK_EXACT, 0);
}

void check_mask_bytes(kcheck *k)
{
    static const int models[][2] = {{1080, 1920}, {480, 854}};
    static const int gaps[] = {0, 1, 8};
    for (int i = 0; i < KCHECK_OF(models) && kcheck_is_bench(k); i++)
        bytes_case(k, FILL_UNIFORM, models[i], 0, 0);
    for (int i = 0; i < KCHECK_OF(shapes) && !kcheck_is_bench(k); i++)
        for (int fill = 0; fill <= FILL_NAN; fill++)
            for (int g = 0; g < KCHECK_OF(gaps); g++)
                bytes_case(k, (kcheck_fill)fill, shapes[i], (fill + g) % 2, gaps[g]);
}

/* ---- upload and download ---- */

/* Rows on the host; the device's are dense. */
typedef struct host_context {
    uint8_t *device, *host, *first; /* first: row 0 in host */
    const uint8_t *content;         /* [row_bytes * rows], of the side that is read */
    size_t host_bytes, row_bytes, rows;
    ptrdiff_t stride;
    int pieces; /* operators that do it */
    byte_output output;
} host_context;

/* Piece i: rows from `begin` on. */
static size_t piece(const host_context *c, int i, size_t *begin)
{
    *begin = c->rows * (size_t)i / (size_t)c->pieces;
    return c->rows * (size_t)(i + 1) / (size_t)c->pieces - *begin;
}

/* What is read may change as soon as an upload has returned. */
static void run_upload(trk_exec *x, trk_mat out, const void *context)
{
    const host_context *c = context;
    clear(&c->output);
    for (int i = 0; i < c->pieces; i++) {
        size_t begin;
        const size_t rows = piece(c, i, &begin);
        for (size_t r = 0; r < c->rows && c->output.bytes; r++)
            memcpy(c->first + (ptrdiff_t)r * c->stride, c->content + r * c->row_bytes, c->row_bytes);
        TRK_RUN(x, upload, c->device + begin * c->row_bytes, c->first + (ptrdiff_t)begin * c->stride, c->row_bytes,
                rows, c->stride);
        if (c->output.bytes)
            memset(c->host, UNTOUCHED, c->host_bytes);
    }
    spread(x, out, &c->output);
}

/* What was downloaded is what was there then, whatever later operators write. */
static void run_download(trk_exec *x, trk_mat out, const void *context)
{
    const host_context *c = context;
    const size_t all = c->row_bytes * c->rows;
    clear(&c->output);
    if (all && c->output.bytes)
        TRK_RUN(x, upload, c->device, c->content, all, 1, (ptrdiff_t)all);
    for (int i = 0; i < c->pieces; i++) {
        size_t begin;
        const size_t rows = piece(c, i, &begin);
        TRK_RUN(x, download, c->first + (ptrdiff_t)begin * c->stride, c->stride, c->device + begin * c->row_bytes,
                c->row_bytes, rows);
    }
    if (all && c->output.bytes) {
        uint8_t *other = malloc(all);
        memset(other, UNTOUCHED, all);
        TRK_RUN(x, upload, c->device, other, all, 1, (ptrdiff_t)all);
        free(other);
    }
    spread(x, out, &c->output);
}

/* gap: bytes between rows on the host; below 0: rows upside down, -gap - 1 bytes apart */
static void host_case(kcheck *k, int is_upload, int rows, int row_bytes, int gap, int pieces)
{
    if (!kcheck_case(k, FILL_UNIFORM, "bytes", "%d rows of %d gap%d pieces%d", rows, row_bytes, gap, pieces))
        return;
    const ptrdiff_t stride = row_bytes + (gap < 0 ? -gap - 1 : gap);
    const size_t n = (size_t)rows * (size_t)row_bytes;
    host_context c = {.host_bytes = (size_t)stride * (size_t)rows,
                      .row_bytes = (size_t)row_bytes,
                      .rows = (size_t)rows,
                      .stride = gap < 0 ? -stride : stride,
                      .pieces = pieces};
    c.device = kcheck_bytes(k, n);
    c.content = kcheck_bytes(k, n);
    c.host = malloc(c.host_bytes + 1);
    if (!c.host) {
        kcheck_expect(k, 0, "memory of the host");
        return;
    }
    memset(c.host, UNTOUCHED, c.host_bytes + 1);
    c.first = gap < 0 && rows ? c.host + stride * (rows - 1) : c.host;
    c.output = is_upload ? bytes_of(k, c.device, n) : bytes_of(k, c.host, c.host_bytes);
    kcheck_run(k, byte_shape(k, c.output.n), is_upload ? run_upload : run_download, &c, KCHECK_EXACT, 0);
    free(c.host);
}

static void host_cases(kcheck *k, int is_upload)
{
    /* the last are more than a first staging buffer holds, in one and in many pieces */
    static const int sizes[][2] = {{1, 1}, {0, 8}, {8, 0}, {1, 4}, {3, 17}, {64, 64}, {300, 333}, {7, 40000}};
    static const int models[][2] = {{1080, 5760}, {1, 65536 * 4}, {1, 12}};
    static const int gaps[] = {0, 1, 60, -1, -4};
    for (int i = 0; i < KCHECK_OF(models) && kcheck_is_bench(k); i++)
        host_case(k, is_upload, models[i][0], models[i][1], 0, 1);
    for (int i = 0; i < KCHECK_OF(sizes) && !kcheck_is_bench(k); i++)
        for (int g = 0; g < KCHECK_OF(gaps); g++)
            for (int pieces = 1; pieces < 40; pieces += 18)
                host_case(k, is_upload, sizes[i][0], sizes[i][1], gaps[g], pieces);
}

void check_upload(kcheck *k)
{
    host_cases(k, 1);
}

void check_download(kcheck *k)
{
    host_cases(k, 0);
}
