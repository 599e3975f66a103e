/* SPDX-License-Identifier: Apache-2.0 */
#include "clip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "video.h"

size_t clip_pixels(const clip *c)
{
    return (size_t)c->width * (size_t)c->height;
}

static int complain(const char *what)
{
    fprintf(stderr, "clip: %s: %s\n", what, trk_last_error());
    return -1;
}

/* Appends one picture; the buffer doubles when it is full. */
static int append(clip *c, const trk_picture *picture, int *capacity)
{
    size_t row = 3 * (size_t)c->width, bytes = 3 * clip_pixels(c);
    if (c->n_frames == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 16;
        uint8_t *more = realloc(c->rgb, (size_t)*capacity * bytes);
        if (!more)
            return -1;
        c->rgb = more;
    }
    uint8_t *to = c->rgb + (size_t)c->n_frames++ * bytes;
    for (int y = 0; y < c->height; y++)
        memcpy(to + (size_t)y * row, picture->rgb + y * picture->stride, row);
    return 0;
}

int clip_load(clip *out, const char *path, int most_frames)
{
    clip c = {0};
    int capacity = 0, failed = 0;
    trk_video_reader *reader = NULL;
    trk_picture *picture;
    trk_video_params params = {.start = -1, .n_frames = most_frames ? most_frames : -1};
    trk_status rc = trk_video_open(&reader, path, &params);
    if (rc < 0)
        return complain(path);
    c.width = trk_video_get_info(reader)->width;
    c.height = trk_video_get_info(reader)->height;
    while (!failed && (rc = trk_video_read(reader, &picture)) == TRK_OK) {
        failed = append(&c, picture, &capacity);
        trk_video_release(reader, picture);
    }
    trk_video_close(&reader);
    if (failed || rc < 0 || c.n_frames == 0) {
        clip_free(&c);
        return complain(path);
    }
    *out = c;
    return 0;
}

static int read_boxes(clip *c, const json_t *objects)
{
    size_t i;
    const json_t *object;
    json_array_foreach(objects, i, object) {
        const json_t *box = json_object_get(object, "box");
        float v[4];
        if (i >= CLIP_OBJECTS || json_array_size(box) != 4)
            return complain("manifest.json: box");
        for (size_t k = 0; k < 4; k++)
            v[k] = (float)json_number_value(json_array_get(box, k));
        c->first_frame = (int)json_integer_value(json_object_get(object, "frame"));
        c->boxes[c->n_objects++] = (trk_box){v[0], v[1], v[2], v[3]};
    }
    return 0;
}

static int read_truth(clip *c, const char *folder)
{
    char path[1100];
    c->truth = malloc((size_t)c->n_frames * clip_pixels(c));
    for (int i = 0; i < c->n_frames; i++) {
        trk_image image = {0};
        snprintf(path, sizeof path, "%s/%05d.png", folder, i);
        if (!c->truth || trk_image_read(&image, path, 1) < 0)
            return complain(path);
        int fits = image.width == c->width && image.height == c->height;
        if (fits)
            memcpy(c->truth + (size_t)i * clip_pixels(c), image.data, clip_pixels(c));
        trk_image_free(&image);
        if (!fits)
            return complain(path);
    }
    return 0;
}

/* NULL: there are fewer. */
static const json_t *sample_with_pictures(const json_t *manifest, size_t index)
{
    size_t i;
    const json_t *entry;
    json_array_foreach(json_object_get(manifest, "clips"), i, entry)
        if (json_is_string(json_object_get(entry, "truth")) && !index--)
            return entry;
    return NULL;
}

int clip_load_sample(clip *out, const char *samples, size_t index, int most_frames)
{
    char path[1024];
    clip c = {0};
    snprintf(path, sizeof path, "%s/clips/manifest.json", samples);
    json_t *manifest = json_load_file(path, 0, NULL);
    const json_t *entry = sample_with_pictures(manifest, index);
    int rc = !manifest ? complain(path) : !entry;
    if (!rc) {
        const char *name = json_string_value(json_object_get(entry, "video"));
        const char *truth = json_string_value(json_object_get(entry, "truth"));
        snprintf(path, sizeof path, "%s/clips/%s", samples, name ? name : "");
        rc = clip_load(&c, path, most_frames);
        snprintf(c.name, sizeof c.name, "%s", name ? name : "");
        snprintf(path, sizeof path, "%s/clips/%s", samples, truth ? truth : "");
        rc = rc || read_boxes(&c, json_object_get(entry, "objects")) || read_truth(&c, path) ? -1 : 0;
    }
    json_decref(manifest);
    if (rc)
        clip_free(&c);
    else
        *out = c;
    return rc;
}

void clip_free(clip *c)
{
    free(c->rgb);
    free(c->truth);
    *c = (clip){0};
}

trk_frame clip_frame(const clip *c, int i, int64_t index)
{
    trk_frame frame = {.width = c->width, .height = c->height, .strides = {3 * c->width}, .index = index};
    frame.planes[0] = c->rgb + (size_t)i * 3 * clip_pixels(c);
    return frame;
}

double clip_iou(const uint8_t *mask, const uint8_t *other, int object, size_t n_pixels)
{
    size_t both = 0, either = 0;
    for (size_t i = 0; i < n_pixels; i++) {
        int a = mask[i] != 0, b = object > 0 ? other[i] == object : other[i] != 0;
        both += (size_t)(a & b);
        either += (size_t)(a | b);
    }
    return either ? (double)both / (double)either : 1.0;
}

double clip_j(const clip *c, int i, int object, const uint8_t *mask)
{
    return clip_iou(mask, c->truth + (size_t)i * clip_pixels(c), object, clip_pixels(c));
}
