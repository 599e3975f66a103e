/* SPDX-License-Identifier: Apache-2.0
 * Draws masks on a picture: translucent fill, contour, id. The contour is the part of the mask that a square of
 * 2 * thickness + 1 pixels around it does not keep inside (the edge of the picture does not count as an edge of the
 * mask). */
#ifndef TRK_CLI_OVERLAY_H
#define TRK_CLI_OVERLAY_H

#include "error.h"
#include "font.h"
#include "region.h"

#define OVERLAY_FILL_PERCENT 45

typedef struct overlay overlay;

/* For pictures of one size; all scratch is allocated here. */
trk_status overlay_create(overlay **out, int width, int height);
void overlay_destroy(overlay **handle); /* NULL-safe */

/* Contour width and label scale of a picture: 2 at 480 rows and below, growing with the height. */
int overlay_line_width(int height);

/* mask: [height][stride] bytes 0 or 1, borrowed; where: its region. */
void overlay_draw_mask(overlay *self, canvas *target, const uint8_t *mask, ptrdiff_t stride, const region *where,
                       const uint8_t colour[3]);
/* The id over the middle of the object, or inside it where there is no room. */
void overlay_draw_id(canvas *target, int object, const region *where, const uint8_t colour[3]);

#endif
