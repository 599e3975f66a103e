/* SPDX-License-Identifier: Apache-2.0
 * How masks are drawn on a picture: the measures of fill and contour (trk_tracker_paint draws them), ids, and what a
 * motion model predicted. */
#ifndef TRK_CLI_OVERLAY_H
#define TRK_CLI_OVERLAY_H

#include "font.h"
#include "track.h"

#define OVERLAY_FILL_PERCENT 45

/* Contour width and label scale of a picture: 2 at 480 rows and below, growing with the height. */
int overlay_line_width(int height);

/* The id over the middle of the object, or inside it where there is no room. */
void overlay_draw_id(canvas *target, int object, const trk_region *where, const uint8_t colour[3]);

/* The predicted box, dashed, with a label below it: motion score or -, good frames in a row, and x where the frame is
 * not kept as a memory. Nothing without a prediction. */
void overlay_draw_motion(canvas *target, const trk_motion *motion, int kept, const uint8_t colour[3]);

#endif
