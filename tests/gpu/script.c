/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

disc script_disc(int video, int object, int64_t index)
{
    const float step = (float)(index < 0 ? -index : index);
    if (object == 1)
        return (disc){(float)(24 + video % 5) + 2 * step, (float)(26 + video % 3), (float)(13 + video % 4)};
    return (disc){(float)(66 - video % 4) - step, (float)(38 - video % 5), 12};
}

void script_draw(uint8_t *rgb, int width, int height, int video, int64_t index)
{
    static const uint8_t colours[OBJECTS][3] = {{230, 120, 40}, {40, 200, 230}};
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *p = rgb + 3 * (y * width + x);
            p[0] = (uint8_t)(60 + (x * 5 + y * 3 + video) % 40);
            p[1] = (uint8_t)(90 + (x * 2 + y * 7) % 50);
            p[2] = 120;
            for (int k = 0; k < OBJECTS; k++) {
                const disc d = script_disc(video, k + 1, index);
                const float dx = (float)x - d.x, dy = (float)y - d.y;
                if (dx * dx + dy * dy < d.radius * d.radius)
                    for (int c = 0; c < 3; c++)
                        p[c] = (uint8_t)(colours[k][c] + (x + y) % 20);
            }
        }
}

trk_frame script_frame(int video, int64_t index)
{
    static _Thread_local uint8_t rgb[WIDTH * HEIGHT * 3];
    script_draw(rgb, WIDTH, HEIGHT, video, index);
    return (trk_frame){.width = WIDTH, .height = HEIGHT, .planes = {rgb}, .strides = {3 * WIDTH}, .index = index};
}

trk_status script_load(trk_model **out, trk_device device, trk_precision precision)
{
    trk_model_params p = TRK_MODEL_PARAMS_INIT;
    p.image_size = IMAGE_SIZE;
    p.device = device;
    p.precision = precision;
    return trk_model_load(out, TRK_SAMPLES_DIR "/models/demo-m.safetensors", &p);
}

static trk_status prompt_mask(trk_tracker *t, disc d, int64_t index)
{
    uint8_t mask[WIDTH * HEIGHT];
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            mask[y * WIDTH + x] = ((float)x - d.x) * ((float)x - d.x) + ((float)y - d.y) * ((float)y - d.y) <
                                  d.radius * d.radius;
    return trk_tracker_prompt_mask(t, 2, index, mask, WIDTH, HEIGHT, WIDTH);
}

trk_status script_prompt(trk_tracker *t, int video, int i, int reverse)
{
    const int64_t index = reverse ? -i : i;
    const disc one = script_disc(video, 1, index), two = script_disc(video, 2, index);
    switch (i) {
    case 0:
        return trk_tracker_prompt_box(t, 1, index, &(trk_box){one.x - one.radius, one.y - one.radius, 2 * one.radius,
                                                              2 * one.radius});
    case 1:
        return trk_tracker_prompt_points(t, 2, index, &(trk_point){two.x, two.y, 1}, 1);
    case 3:
        return prompt_mask(t, two, index);
    case 5:
        return trk_tracker_prompt_points(t, 1, index, (trk_point[]){{one.x - 4, one.y, 1}, {two.x, two.y, 0}}, 2);
    default:
        return TRK_OK;
    }
}

trk_status script_found(const trk_tracker *t, int object, found *out)
{
    trk_result r = {.struct_size = sizeof r};
    memset(out, 0, sizeof *out);
    trk_status rc = trk_tracker_result(t, object, &r);
    if (rc == TRK_E_NOT_FOUND)
        return TRK_OK;
    if (rc < 0)
        return rc;
    out->is_there = 1;
    out->score = r.object_score;
    out->iou = r.iou;
    memcpy(out->logits, r.logits, sizeof out->logits);
    return TRK_OK;
}

trk_status script_follow(trk_tracker *t, int video, int first, int last, found (*out)[OBJECTS])
{
    trk_tracker_info info = {.struct_size = sizeof info};
    trk_status rc = trk_tracker_get_info(t, &info);
    for (int i = first; rc >= 0 && i <= last; i++) {
        const trk_frame frame = script_frame(video, info.reverse ? -i : i);
        rc = script_prompt(t, video, i, info.reverse);
        if (rc >= 0)
            rc = trk_tracker_push(t, &frame);
        for (int k = 0; rc >= 0 && k < OBJECTS; k++)
            rc = script_found(t, k + 1, &out[i][k]);
    }
    return rc;
}

const char *script_difference(found (*a)[OBJECTS], found (*b)[OBJECTS], int first, int last)
{
    static _Thread_local char text[160];
    for (int i = first; i <= last; i++)
        for (int k = 0; k < OBJECTS; k++) {
            const found *p = &a[i][k], *q = &b[i][k];
            int n = 0;
            for (int e = 0; e < SIDE * SIDE; e++)
                n += memcmp(&p->logits[e], &q->logits[e], sizeof p->logits[e]) != 0;
            if (n == 0 && p->is_there == q->is_there && !memcmp(&p->score, &q->score, sizeof p->score) &&
                !memcmp(&p->iou, &q->iou, sizeof p->iou))
                continue;
            snprintf(text, sizeof text, "frame %d, object %d: %d of %d logits differ, scores %g and %g", i, k + 1, n,
                     SIDE * SIDE, (double)p->score, (double)q->score);
            return text;
        }
    return NULL;
}

static struct sigaction kept;

void script_keep_handler(void)
{
    sigaction(SIGSEGV, NULL, &kept);
}

void script_use_handler(void)
{
    sigaction(SIGSEGV, &kept, NULL);
}
