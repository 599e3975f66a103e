/* SPDX-License-Identifier: Apache-2.0
 * A folder of images named by number, in the order of the numbers, either way. The frame number is the position in
 * that order. An image that cannot be decoded ends the video: skipping it would shift every later name. */
#include "frame_source.h"

#include "heap.h"
#include "image_decode.h"
#include "libav.h"
#include "numbered_images.h"

#define FOLDER_RATE 25 /* frames per second, where nothing tells */

typedef struct folder_source {
    frame_source base;
    char *path;                 /* owned */
    trk_numbered_images images; /* owned */
    int64_t at, left;           /* the next image; how many are still to come */
    int reverse;
    int width, height; /* of the first image; 0 before it */
    char *first_name;  /* borrowed from images */
} folder_source;

static trk_status next(frame_source *base, AVFrame *frame, int64_t *index, double *pts)
{
    folder_source *s = (folder_source *)base;
    if (!s->left)
        return TRK_END;
    char *name = s->images.items[s->at].name, *path = trk_heap_format("path", "%s/%s", s->path, name);
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
    trk_numbered_images_free(&s->images);
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
    TRK_CHECK(trk_numbered_images_read(&s->images, path, 0));
    const int64_t n = (int64_t)s->images.n;
    if (params->start >= n) {
        rc = trk_source_fail_start(path, params->start, n);
        goto done;
    }
    s->reverse = params->reverse;
    s->at = params->start >= 0 ? params->start : s->reverse ? n - 1 : 0;
    s->left = trk_source_clip(params, n);
    s->base.next = next;
    s->base.close = close_source;
    s->base.codec_name = "";
    s->base.still_images = 1;
    s->base.rate_num = FOLDER_RATE;
    s->base.rate_den = 1;
    s->base.pixel = (AVRational){1, 1};
    s->base.n_frames = s->left;
    s->base.n_frames_exact = 1;
    *out = &s->base;
    s = NULL;
done:
    if (s)
        close_source(&s->base);
    return rc;
}
