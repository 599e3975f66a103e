/* SPDX-License-Identifier: Apache-2.0 */
#include "frame_names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

trk_status frame_names_open(frame_names *out, const dataset_clip *clip)
{
    *out = (frame_names){.clip = clip};
    if (!clip->frames || !dataset_has_folder(clip->frames, NULL))
        return TRK_OK;
    return dataset_images_read(&out->images, clip->frames, 0);
}

void frame_names_free(frame_names *self)
{
    trk_numbered_images_free(&self->images);
    *self = (frame_names){0};
}

/* The file of the truth; NULL: there is none. */
static const char *true_file(const dataset_clip *clip, int64_t frame)
{
    const size_t i = clip->files ? dataset_clip_annotation(clip, frame) : clip->n_annotated;
    return i < clip->n_annotated ? clip->files[i] : NULL;
}

void frame_name(char *out, size_t n_out, const frame_names *self, int64_t frame)
{
    const char *file = true_file(self->clip, frame);
    if (!file && frame >= 0 && (uint64_t)frame < self->images.n)
        file = self->images.items[frame].name;
    if (!file) {
        snprintf(out, n_out, "%05" PRId64, frame);
        return;
    }
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file, *dot = strrchr(name, '.');
    snprintf(out, n_out, "%.*s", (int)(dot ? dot - name : (ptrdiff_t)strlen(name)), name);
}
