/* SPDX-License-Identifier: Apache-2.0
 * dump_frames VIDEO DIR: the pictures the reader delivers, as RGB PNG files DIR/00000.png ..., so that other programs can
 * be given exactly the same pixels. */
#include <stdio.h>

#include "video.h"

int main(int argc, char **argv)
{
    trk_video_reader *reader = NULL;
    trk_picture *picture;
    char path[1024];
    if (argc != 3) {
        fprintf(stderr, "usage: dump_frames VIDEO DIR\n");
        return 2;
    }
    trk_status rc = trk_video_open(&reader, argv[1], &(trk_video_params){.start = -1, .n_frames = -1});
    while (rc == TRK_OK && (rc = trk_video_read(reader, &picture)) == TRK_OK) {
        snprintf(path, sizeof path, "%s/%05d.png", argv[2], (int)picture->index);
        rc = trk_image_write_rgb(path, picture->rgb, picture->width, picture->height, picture->stride);
        trk_video_release(reader, picture);
    }
    if (rc < 0)
        fprintf(stderr, "dump_frames: %s\n", trk_error_text());
    trk_video_close(&reader);
    return rc < 0;
}
