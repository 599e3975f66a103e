/* SPDX-License-Identifier: Apache-2.0
 * The objects of a frame in one map, [height][width] bytes: 0, or the id of the object. As a palette PNG that is what
 * DAVIS calls a mask. */
#ifndef TRK_CLI_INDEX_MAP_H
#define TRK_CLI_INDEX_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "video.h"

/* Draws an object's mask ([n_pixels] bytes, 0 or not 0). Objects are drawn from the highest id down: where they overlap
 * the lower id stays. */
void index_map_draw(uint8_t *indices, const uint8_t *mask, size_t n_pixels, int object);
/* FOLDER/NAME.png; palette: [256] R G B. */
trk_status index_map_write(const char *folder, const char *name, const uint8_t *indices, int width, int height,
                           const uint8_t (*palette)[3]);
/* Of a palette PNG or a gray one of at most 8 bits, whose values are the indices; others are TRK_E_FORMAT. *out:
 * trk_image_free. */
trk_status index_map_read(trk_image *out, const char *path);

#endif
