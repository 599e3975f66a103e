/* SPDX-License-Identifier: Apache-2.0
 * The images of a folder that are named by number, 00000.jpg, 00001.jpg, ... Heap only. */
#ifndef TRK_VIDEO_NUMBERED_IMAGES_H
#define TRK_VIDEO_NUMBERED_IMAGES_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct trk_numbered_image {
    int64_t number; /* 0 .. 2^61 */
    char *name;     /* of the file, without the folder; owned */
} trk_numbered_image;

typedef struct trk_numbered_images {
    trk_numbered_image *items; /* [n] owned */
    size_t n, capacity;
} trk_numbered_images;

/* At least one, ascending, no two of one number; other files and names that begin with a dot are left out. only_png:
 * those that end so, in any case. *out, {0} before: for trk_numbered_images_free also on failure.
 * TRK_E_IO: no such folder. TRK_E_FORMAT: an image with another name, a number twice, no images. TRK_E_MEMORY. */
trk_status trk_numbered_images_read(trk_numbered_images *out, const char *folder, int only_png);
/* Behind the others; name is copied. TRK_E_MEMORY. */
trk_status trk_numbered_images_add(trk_numbered_images *self, int64_t number, const char *name);
void trk_numbered_images_sort(trk_numbered_images *self);                          /* by number, then name */
int64_t trk_numbered_images_find(const trk_numbered_images *self, int64_t number); /* of sorted ones; -1: none */
void trk_numbered_images_free(trk_numbered_images *self);                          /* *self is {0} then */

#endif
