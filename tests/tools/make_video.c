/* SPDX-License-Identifier: Apache-2.0
 * make_video OUT.mp4 N_FRAMES: a disc going round in front of stripes, 320 x 240, any number of frames. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "video.h"

enum { WIDTH = 320, HEIGHT = 240 };

static void draw(trk_picture *picture, int t)
{
    double cx = 160 + 60 * cos(t * 0.05), cy = 120 + 40 * sin(t * 0.05);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            int inside = (x - cx) * (x - cx) + (y - cy) * (y - cy) < 40 * 40;
            uint8_t *p = picture->rgb + y * picture->stride + 3 * x;
            p[0] = (uint8_t)(inside ? 220 : 60 + (x + y) % 32);
            p[1] = (uint8_t)(inside ? 110 : 80 + (x * 3 + y) % 32);
            p[2] = (uint8_t)(inside ? 40 : 120);
        }
}

int main(int argc, char **argv)
{
    trk_video_writer *writer = NULL;
    trk_picture *picture;
    int n = argc == 3 ? atoi(argv[2]) : 0;
    if (n < 1) {
        fprintf(stderr, "usage: make_video OUT.mp4 N_FRAMES\n");
        return 2;
    }
    trk_status rc = trk_video_writer_open(&writer, argv[1], &(trk_video_format){WIDTH, HEIGHT, 25, 1, 0, 0}, NULL);
    for (int t = 0; rc >= 0 && t < n; t++) {
        rc = trk_video_writer_begin(writer, &picture);
        if (rc >= 0) {
            draw(picture, t);
            rc = trk_video_writer_submit(writer, picture);
        }
    }
    if (rc >= 0)
        rc = trk_video_writer_finish(writer);
    if (rc < 0)
        fprintf(stderr, "make_video: %s\n", trk_error_text());
    trk_video_writer_destroy(&writer);
    return rc < 0;
}
