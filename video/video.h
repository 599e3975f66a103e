/* SPDX-License-Identifier: Apache-2.0
 * Video in and out, the only folder that sees FFmpeg. Decoding and encoding run in threads of their own behind bounded
 * queues; pictures come from fixed pools, so memory does not depend on the length of a video. */
#ifndef TRK_VIDEO_VIDEO_H
#define TRK_VIDEO_VIDEO_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* A decoded frame in the memory of the GPU that decoded it: NV12, a plane of luma and one of U V pairs. */
typedef struct trk_device_planes {
    const uint8_t *planes[2]; /* addresses in the device's primary CUDA context; both NULL: there are none. Ready, or
                                 will be by work already given to the default stream */
    ptrdiff_t strides[2];     /* bytes */
    int matrix;               /* 601, 709 or 2020: of ITU-R BT. */
    int full_range;           /* 0 = 16..235 */
} trk_device_planes;

typedef struct trk_picture {
    int width, height;        /* pixels, after rotation */
    uint8_t *rgb;             /* [height][stride] R G B bytes; owned by the pool it came from. NULL only with
                                 TRK_DELIVER_PLANES, until trk_video_pixels */
    ptrdiff_t stride;         /* bytes */
    int64_t index;            /* frame number in the video, 0-based, presentation order */
    double pts;               /* seconds from the video's first frame; by the frame rate where the file has none */
    trk_device_planes device; /* valid until the picture is released */
} trk_picture;

/* Decoding or encoding by an NVIDIA GPU. */
typedef enum trk_hardware_use {
    TRK_HARDWARE_OFF = 0,
    TRK_HARDWARE_TRY, /* else the CPU, told in the log at info level */
    TRK_HARDWARE_MUST /* else TRK_E_UNSUPPORTED */
} trk_hardware_use;
typedef struct trk_video_hardware {
    trk_hardware_use use;
    int device; /* CUDA device number */
} trk_video_hardware;

/* --- reading --------------------------------------------------------------------------------------------------- */

/* What pictures hold where a GPU decodes. Frames that a tracker cannot take from there (turned by the file's rotation,
 * not 8-bit 4:2:0, of another size than the first, cropped at the left or top, or of a rare colour matrix) come as RGB
 * alone, brought over from the device, and so does everything that the CPU decodes. */
typedef enum trk_video_delivery {
    TRK_DELIVER_RGB = 0,
    TRK_DELIVER_BOTH,  /* RGB, and the planes on the device */
    TRK_DELIVER_PLANES /* the planes; RGB only by trk_video_pixels */
} trk_video_delivery;

typedef struct trk_video_params {
    int64_t start;    /* first frame to deliver; with reverse: the highest; -1 = 0, or the last with reverse */
    int64_t n_frames; /* at most so many; -1 = all */
    int reverse;      /* deliver in descending order; needs a seekable source */
    int queue;        /* pictures decoded ahead; 0 = 3 */
    int threads;      /* decoder threads; 0 = 1 */
    trk_video_hardware hardware; /* of files and streams read forwards: the rest is decoded by the CPU */
    trk_video_delivery delivery;
    const atomic_int *stop; /* non-zero ends the video where it is, also while it is opened or waited for; NULL: nothing
                               does. Borrowed until the reader is closed */
} trk_video_params;

typedef struct trk_video_info {
    int width, height;      /* after rotation */
    int rate_num, rate_den; /* average frame rate, 25/1 where unknown */
    int pixel_width,
        pixel_height;        /* shape in which a pixel is to be shown, after rotation; 1 and 1: square, or unknown */
    int64_t n_frames;        /* that will be delivered, if known before decoding; else -1 */
    int n_frames_exact;      /* 1: counted; 0: an estimate */
    const char *description; /* "h264 yuv420p 854x480 24 fps" */
    int by_hardware;         /* 1: the first frame was decoded by the GPU */
} trk_video_info;

typedef struct trk_video_reader trk_video_reader;

/* path: a file or stream FFmpeg opens, a folder of images named by number (sorted by number; .jpg .jpeg .png .bmp .webp
 * .ppm .pgm .pbm .tif .tiff), or "-" for standard input. Decodes up to the first picture, so that an empty or unreadable video fails
 * here. TRK_END, without a reader: stopped before. */
trk_status trk_video_open(trk_video_reader **out, const char *path, const trk_video_params *params);
void trk_video_close(trk_video_reader **reader); /* NULL-safe; joins the thread */
const trk_video_info *trk_video_get_info(const trk_video_reader *reader);
/* Next picture, borrowed until trk_video_release; TRK_END after the last. A decoder error in the middle skips and
 * counts; an error that ends the stream early is returned once after the pictures before it. */
trk_status trk_video_read(trk_video_reader *reader, trk_picture **out);
void trk_video_release(trk_video_reader *reader, trk_picture *picture);
/* Fills in the RGB of a picture that came without: brings the frame over from the device and converts it. */
trk_status trk_video_pixels(trk_video_reader *reader, trk_picture *picture);
/* Packets or frames that could not be decoded so far. */
int64_t trk_video_damaged(const trk_video_reader *reader);
/* 1 if n frames are much fewer than the header of a file promised: 5 % and a frame are left for headers that are not
 * exact. */
static inline int trk_video_falls_short(double n, int64_t promised)
{
    return n < 0.95 * (double)promised - 1;
}

/* --- writing --------------------------------------------------------------------------------------------------- */

typedef struct trk_video_writer trk_video_writer;

typedef struct trk_video_format {
    int width, height;             /* pixels */
    int rate_num, rate_den;        /* average frame rate */
    int pixel_width, pixel_height; /* shape in which a pixel is to be shown, kept to terms of 8 bits; 0: square */
} trk_video_format;

/* H.264 in the container of the suffix (.mp4, .mkv, .mov), 4:2:0; odd sides are padded to even by
 * repeating the edge. Written beside the target under a temporary name, renamed by trk_video_writer_finish.
 * hardware: with the H.264 encoder of a GPU (NVENC), at about the same quality; it also fails to open for sides that it
 * does not take, and for more streams at once than it has. NULL: the CPU's. */
trk_status trk_video_writer_open(trk_video_writer **out, const char *path, const trk_video_format *format,
                                 const trk_video_hardware *hardware);
/* Borrows a picture to draw into; blocks while all are in the queue. Its pts is -1: shown at its place by the average
 * rate; the caller may set one (kept to a sixteenth of a frame's time; later than that of the picture before). */
trk_status trk_video_writer_begin(trk_video_writer *writer, trk_picture **out);
/* Hands it over for encoding. An error of the encoder thread surfaces here or in finish. */
trk_status trk_video_writer_submit(trk_video_writer *writer, trk_picture *picture);
trk_status trk_video_writer_finish(trk_video_writer *writer); /* flush, close, rename; the file is whole or absent */
void trk_video_writer_destroy(trk_video_writer **writer);     /* NULL-safe; without finish: removes the temporary */

/* --- single images ----------------------------------------------------------------------------------------------- */

typedef struct trk_image {
    int width, height, channels; /* 1: gray values, or palette indices of a palette PNG; 3: RGB */
    uint8_t *data;               /* [height][width * channels], owned */
} trk_image;

/* channels 1: an indexed PNG gives its indices, gray its values, in less than 8 bits stretched to 0..255, colour its
 * luma, 0 for black alone; more than 8 bits for a value, lossy formats and transparent pixels are TRK_E_FORMAT. 3:
 * RGB. */
trk_status trk_image_read(trk_image *out, const char *path, int channels);
void trk_image_free(trk_image *image); /* accepts a zeroed struct */
/* PNG of indices with a 256-colour RGB palette; temporary name, then rename. */
trk_status trk_image_write_indexed(const char *path, const uint8_t *indices, int width, int height, ptrdiff_t stride,
                                   const uint8_t palette[256][3]);
trk_status trk_image_write_rgb(const char *path, const uint8_t *rgb, int width, int height, ptrdiff_t stride);

/* "libavcodec 59.37.100, libavformat ..." static storage */
const char *trk_video_versions(void);
/* Silences FFmpeg's own messages (default) or passes them to the log at debug level. */
void trk_video_set_verbose(int verbose);

#endif
