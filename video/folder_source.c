/* SPDX-License-Identifier: Apache-2.0
 * A folder of images named by number, in the order of the numbers, either way. The frame number is the position in
 * that order. An image that cannot be decoded ends the video: skipping it would shift every later name. */
#include "frame_source.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "heap.h"
#include "image_decode.h"
#include "libav.h"

#define FOLDER_RATE 25 /* frames per second, where nothing tells */

typedef struct folder_entry {
    uint64_t number;
    char *name; /* owned */
} folder_entry;

typedef struct folder_source {
    frame_source base;
    char *path;            /* owned */
    folder_entry *entries; /* [n] ascending by number, owned */
    int64_t n, at, left;   /* entries; the next one; how many are still to come */
    int reverse;
    int width, height; /* of the first image; 0 before it */
    char *first_name;  /* borrowed from entries */
} folder_source;

static int is_image_name(const char *name)
{
    static const char *const suffixes[] = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif"};
    const char *dot = strrchr(name, '.');
    if (!dot || dot == name || name[0] == '.')
        return 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (!strcasecmp(dot, suffixes[i]))
            return 1;
    return 0;
}

static trk_status add_entry(folder_source *s, const char *name, int64_t *capacity)
{
    uint64_t number = 0;
    const char *p = name;
    for (; *p >= '0' && *p <= '9' && number < UINT64_MAX / 20; p++)
        number = number * 10 + (uint64_t)(*p - '0');
    if (p == name || *p != '.' || strchr(p + 1, '.'))
        return TRK_FAIL(TRK_E_FORMAT, "%s/%s: expected images named by number, such as 00000.jpg", s->path, name);
    if (s->n == *capacity) {
        int64_t larger = *capacity ? 2 * *capacity : 256;
        folder_entry *grown =
            trk_heap_resize(s->entries, TRK_MEM_SCRATCH, "video index", (size_t)larger * sizeof *grown);
        if (!grown)
            return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for %lld names", s->path, (long long)larger);
        s->entries = grown;
        *capacity = larger;
    }
    s->entries[s->n] = (folder_entry){number, trk_heap_text("video index", name)};
    if (!s->entries[s->n++].name)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for its file names", s->path);
    return TRK_OK;
}

static int by_number(const void *a, const void *b)
{
    const folder_entry *x = a, *y = b;
    return x->number != y->number ? (x->number > y->number) - (x->number < y->number) : strcmp(x->name, y->name);
}

static trk_status list_images(folder_source *s)
{
    DIR *folder = opendir(s->path);
    if (!folder)
        return TRK_FAIL(TRK_E_IO, "%s: %s", s->path, strerror(errno));
    trk_status rc = TRK_OK;
    int64_t capacity = 0;
    for (const struct dirent *entry; rc >= 0 && (entry = readdir(folder));)
        if (is_image_name(entry->d_name))
            rc = add_entry(s, entry->d_name, &capacity);
    closedir(folder);
    if (rc < 0)
        return rc;
    if (!s->n)
        return TRK_FAIL(TRK_E_FORMAT, "%s: no images in this folder (expected 00000.jpg, 00001.jpg, ...)", s->path);
    qsort(s->entries, (size_t)s->n, sizeof *s->entries, by_number);
    for (int64_t i = 1; i < s->n; i++)
        if (s->entries[i].number == s->entries[i - 1].number)
            return TRK_FAIL(TRK_E_FORMAT, "%s: %s and %s have the same number", s->path, s->entries[i - 1].name,
                            s->entries[i].name);
    return TRK_OK;
}

static trk_status next(frame_source *base, AVFrame *frame, int64_t *index, double *pts)
{
    folder_source *s = (folder_source *)base;
    if (!s->left)
        return TRK_END;
    char *name = s->entries[s->at].name, *path = trk_heap_format("path", "%s/%s", s->path, name);
    if (!path)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", s->path);
    trk_status rc = trk_image_decode(frame, path, &base->codec_name);
    if (rc >= 0 && !s->width) {
        s->width = frame->width;
        s->height = frame->height;
        s->first_name = name;
    } else if (rc >= 0 && (frame->width != s->width || frame->height != s->height)) {
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: %dx%d pixels, but %s has %dx%d", path, frame->width, frame->height,
                      s->first_name, s->width, s->height);
    }
    trk_heap_release(path);
    if (rc < 0)
        return rc;
    if (trk_libav_frame_damaged(frame))
        atomic_fetch_add(&base->n_damaged, 1);
    *index = s->at;
    *pts = (double)s->at / FOLDER_RATE;
    s->at += s->reverse ? -1 : 1;
    s->left--;
    return TRK_OK;
}

static void close_source(frame_source *base)
{
    folder_source *s = (folder_source *)base;
    for (int64_t i = 0; i < s->n; i++)
        trk_heap_release(s->entries[i].name);
    trk_heap_release(s->entries);
    trk_heap_release(s->path);
    trk_heap_release(s);
}

trk_status trk_source_open_folder(frame_source **out, const char *path, const trk_video_params *params)
{
    trk_status rc = TRK_OK;
    folder_source *s = trk_heap_zeroed(TRK_MEM_SCRATCH, "video", 1, sizeof *s);
    if (!s || !(s->path = trk_heap_text("path", path))) {
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", path);
        goto done;
    }
    TRK_CHECK(list_images(s));
    if (params->start >= s->n) {
        rc = trk_source_fail_start(path, params->start, s->n);
        goto done;
    }
    s->reverse = params->reverse;
    s->at = params->start >= 0 ? params->start : s->reverse ? s->n - 1 : 0;
    s->left = trk_source_clip(params, s->n);
    s->base.next = next;
    s->base.close = close_source;
    s->base.codec_name = "";
    s->base.still_images = 1;
    s->base.rate_num = FOLDER_RATE;
    s->base.rate_den = 1;
    s->base.n_frames = s->left;
    s->base.n_frames_exact = 1;
    *out = &s->base;
    s = NULL;
done:
    if (s)
        close_source(&s->base);
    return rc;
}
