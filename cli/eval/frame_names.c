/* SPDX-License-Identifier: Apache-2.0 */
#include "frame_names.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "heap.h"

/* As video.h has it: a number, then a suffix. */
static int is_numbered(const struct dirent *entry)
{
    const size_t n_digits = strspn(entry->d_name, "0123456789");
    return n_digits && entry->d_name[n_digits] == '.';
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
    const unsigned long long x = strtoull((*a)->d_name, NULL, 10), y = strtoull((*b)->d_name, NULL, 10);
    return (x > y) - (x < y);
}

trk_status frame_names_open(frame_names *out, const dataset_clip *clip)
{
    struct stat state;
    struct dirent **entries = NULL;
    trk_status rc = TRK_OK;
    *out = (frame_names){.clip = clip};
    if (!clip->frames || stat(clip->frames, &state) || !S_ISDIR(state.st_mode))
        return TRK_OK;
    const int n = scandir(clip->frames, &entries, is_numbered, by_number);
    if (n < 0)
        return TRK_FAIL(TRK_E_IO, "%s: cannot be read: %s", clip->frames, strerror(errno));
    out->images = trk_heap_zeroed(TRK_MEM_SCRATCH, "names of frames", (size_t)n + 1, sizeof *out->images);
    for (int i = 0; i < n && out->images && !rc; i++) {
        out->images[out->n_images] = trk_heap_text("names of frames", entries[i]->d_name);
        rc = out->images[out->n_images] ? TRK_OK : TRK_E_MEMORY;
        out->n_images += !rc;
    }
    for (int i = 0; i < n; i++)
        free(entries[i]); /* libc allocated it, in scandir */
    free(entries);        /* libc allocated it, in scandir */
    return out->images && !rc ? TRK_OK : TRK_FAIL(TRK_E_MEMORY, "%s: out of memory for its file names", clip->frames);
}

void frame_names_free(frame_names *self)
{
    for (size_t i = 0; i < self->n_images; i++)
        trk_heap_release(self->images[i]);
    trk_heap_release(self->images);
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
    if (!file && frame >= 0 && (uint64_t)frame < self->n_images)
        file = self->images[frame];
    if (!file) {
        snprintf(out, n_out, "%05" PRId64, frame);
        return;
    }
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file, *dot = strrchr(name, '.');
    snprintf(out, n_out, "%.*s", (int)(dot ? dot - name : (ptrdiff_t)strlen(name)), name);
}
