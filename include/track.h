/* SPDX-License-Identifier: Apache-2.0
 *
 * libtrack: follow objects through video with SAM 2 / SAM 2.1 models. C11 and C++17.
 *
 *     trk_model *model = NULL;                           load once, immutable, shared by any number of trackers
 *     trk_tracker *tracker = NULL;                       one video, one thread at a time
 *     trk_model_load(&model, "sam2.1_hiera_tiny.pt", NULL);
 *     trk_tracker_create(&tracker, model, NULL);
 *     trk_box box = {120, 80, 200, 160};
 *     trk_tracker_prompt_box(tracker, 1, 0, &box);       object 1, on the frame with index 0
 *     while (next_frame(&frame)) {                       yours: fills a trk_frame
 *         trk_tracker_push(tracker, &frame);             encodes the frame, follows every object
 *         trk_tracker_mask(tracker, 1, mask, width);     bytes 0 or 1, at the size of the frame
 *     }
 *     trk_tracker_destroy(&tracker);
 *     trk_model_destroy(&model);
 *
 * Every call that can fail returns a trk_status; trk_last_error() then holds one line that names what was found and
 * what was expected. A call that fails leaves its outputs untouched and the object usable, except after
 * TRK_E_BACKEND and TRK_E_MEMORY from trk_tracker_push or from a prompt on the current frame, which end the tracker (it
 * can only be destroyed or reset).
 * In every params struct zero means the default; set struct_size through the _INIT macro.
 *
 * Coordinates are pixels of the pushed frames, x to the right, y down, (0, 0) the top left corner of the top left pixel.
 */
#ifndef TRK_INCLUDE_TRACK_H
#define TRK_INCLUDE_TRACK_H

#include <stddef.h>
#include <stdint.h>

#include "track_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TRK_API __attribute__((visibility("default")))
#else
#define TRK_API
#endif

#define TRK_VERSION_MAJOR 0
#define TRK_VERSION_MINOR 1
#define TRK_VERSION_PATCH 0

/* --- library ------------------------------------------------------------------------------------------------- */

/* "0.1.0" */
TRK_API const char *trk_version(void);
/* One line: backends compiled in, instruction sets in use, versions of the numeric libraries. Static storage. */
TRK_API const char *trk_build_info(void);
/* The line recorded by this thread's last failed call; "" if none. Valid until this thread's next failing call. */
TRK_API const char *trk_last_error(void);
/* Sends log lines (0 error, 1 warning, 2 info, 3 debug) up to `level` to `function`; NULL silences (the default).
 * Call before other threads use the library. */
TRK_API void trk_set_log(void (*function)(void *user, int level, const char *line), void *user, int level);

/* --- model --------------------------------------------------------------------------------------------------- */

typedef enum trk_device { TRK_DEVICE_AUTO = 0, TRK_DEVICE_CPU, TRK_DEVICE_CUDA, TRK_DEVICE_REFERENCE } trk_device;
typedef enum trk_precision { TRK_PRECISION_AUTO = 0, TRK_PRECISION_F32, TRK_PRECISION_BF16 } trk_precision;

typedef struct trk_model_params {
    size_t struct_size;
    trk_device device;       /* AUTO: the fastest that works. REFERENCE: plain C, slow, for checking */
    int device_index;        /* CUDA device number */
    trk_precision precision; /* arithmetic of products; AUTO: bf16 where the CPU multiplies it, else f32 */
    int threads;             /* CPU threads; 0 = one per core */
    int image_size;          /* side the frame is resized to; 0 = the model's own; a multiple of 32 the trunk admits */
    const char *config_path; /* architecture JSON for a checkpoint without metadata; NULL = metadata, then a
                                config.json beside the file, then the tensor shapes */
} trk_model_params;
#define TRK_MODEL_PARAMS_INIT {sizeof(trk_model_params), TRK_DEVICE_AUTO, 0, TRK_PRECISION_AUTO, 0, 0, NULL}

typedef struct trk_model trk_model;

/* Reads a checkpoint: official .pt, or .safetensors with official or Hugging Face tensor names. params may be NULL.
 * Every tensor is accounted for: a missing, unknown or misshapen one is TRK_E_MODEL and named. */
TRK_API trk_status trk_model_load(trk_model **out, const char *path, const trk_model_params *params);
/* NULL-safe; clears the handle. The model must outlive its trackers. */
TRK_API void trk_model_destroy(trk_model **model);

typedef struct trk_model_info {
    size_t struct_size;     /* in: sizeof(trk_model_info) */
    const char *family;     /* "sam2" or "sam2.1" */
    const char *size_name;  /* "tiny", "small", "base+", "large" or "custom" */
    int image_size;         /* side in pixels */
    int mask_size;          /* side of the low-resolution logits: image_size / 4 */
    int64_t n_parameters;
    trk_device device;      /* resolved: never AUTO */
    trk_precision precision;
    int threads;
} trk_model_info;
TRK_API trk_status trk_model_get_info(const trk_model *model, trk_model_info *out);

/* --- tracker ------------------------------------------------------------------------------------------------- */

typedef enum trk_switch { TRK_DEFAULT = 0, TRK_ON = 1, TRK_OFF = -1 } trk_switch;

typedef struct trk_tracker_params {
    size_t struct_size;
    int reverse;              /* 1: frames are pushed with descending indices */
    int keep_frame;           /* 1: keep a frame's features until the next push, so that the current frame can be
                                 prompted again (interactive use); 0: they are freed at the end of trk_tracker_push */
    trk_switch binarize;      /* memory of prompted frames from a binary mask; default on (as upstream's builder) */
    trk_switch stability;     /* single-mask output falls back by stability; default on (as upstream's builder) */
    int fill_holes;           /* holes up to this area (low-resolution pixels) are filled; 0 = 8, negative = none */
    trk_switch non_overlap;   /* each pixel belongs to one object at most in masks and logits; default off */
    trk_switch correct_as_condition; /* a prompt on an already tracked frame makes it a conditioning frame; default off */
} trk_tracker_params;
#define TRK_TRACKER_PARAMS_INIT                                                                                        \
    {sizeof(trk_tracker_params), 0, 0, TRK_DEFAULT, TRK_DEFAULT, 0, TRK_DEFAULT, TRK_DEFAULT}

typedef struct trk_tracker trk_tracker;

TRK_API trk_status trk_tracker_create(trk_tracker **out, const trk_model *model, const trk_tracker_params *params);
TRK_API void trk_tracker_destroy(trk_tracker **tracker); /* NULL-safe; clears the handle */
/* Forgets objects, prompts, memories and frame numbers; the tracker can start another video of any size. */
TRK_API trk_status trk_tracker_reset(trk_tracker *tracker);

typedef enum trk_pixel_format {
    TRK_PIXEL_RGB24 = 0, /* planes[0]: R G B bytes */
    TRK_PIXEL_GRAY8,     /* planes[0] */
    TRK_PIXEL_I420,      /* planes Y, U, V; chroma halved both ways, rounded up */
    TRK_PIXEL_I422,      /* chroma halved horizontally, rounded up */
    TRK_PIXEL_I444,
    TRK_PIXEL_NV12       /* planes Y, UV interleaved */
} trk_pixel_format;
typedef enum trk_yuv_matrix { TRK_YUV_BT601 = 0, TRK_YUV_BT709, TRK_YUV_BT2020 } trk_yuv_matrix;

typedef struct trk_frame {
    int width, height;       /* pixels; fixed after a tracker's first frame */
    trk_pixel_format format;
    const uint8_t *planes[3];/* borrowed during the call only */
    ptrdiff_t strides[3];    /* bytes between rows */
    trk_yuv_matrix matrix;   /* of YUV formats */
    int full_range;          /* of YUV formats: 0 = 16..235 */
    int64_t index;           /* frame number prompts refer to: the first push sets where the video starts, each
                                further one must be one more than the last (one less when reverse) */
} trk_frame;

typedef struct trk_box { float x, y, width, height; } trk_box;
typedef struct trk_point { float x, y; int positive; /* 1: on the object, 0: not on it */ } trk_point;

/* Prompts. `object` is any positive number; naming a new one adds the object, which exists from `frame` on. `frame` is
 * one not pushed yet (the prompt waits for it) or, with keep_frame, the current one (applied at once: masks, logits
 * and scores of that object change). A second prompt of one object on one frame joins the first: points add up, a box
 * replaces a box, clicks refine a mask or an earlier result. A box given after clicks keeps them. A waiting prompt
 * whose frame is passed over without being pushed is dropped, with a warning in the log.
 * TRK_E_ARGUMENT: a box without positive width and height, or, once the frame size is known, entirely outside it; a
 * point outside; not finite. For waiting prompts the frame size may be unknown yet: the push of their frame then
 * reports it, and goes through once trk_tracker_clear_prompts has dropped them. */
TRK_API trk_status trk_tracker_prompt_box(trk_tracker *tracker, int object, int64_t frame, const trk_box *box);
TRK_API trk_status trk_tracker_prompt_points(trk_tracker *tracker, int object, int64_t frame, const trk_point *points,
                                             size_t n_points);
/* mask: width x height bytes, non-zero = object, any size (brought to the model's image size,
 * cut at one half). Copied. Replaces the prompts of that
 * object on that frame. */
TRK_API trk_status trk_tracker_prompt_mask(trk_tracker *tracker, int object, int64_t frame, const uint8_t *mask,
                                           int width, int height, ptrdiff_t stride);
/* Drops the prompts of an object on a frame: waiting ones, or, with keep_frame, those applied to the current one; the
 * object is then tracked into it again as if it had not been prompted, or has no result if it began there.
 * TRK_E_NOT_FOUND if there is none. */
TRK_API trk_status trk_tracker_clear_prompts(trk_tracker *tracker, int object, int64_t frame);
/* Forgets an object, its prompts and its memories. TRK_E_NOT_FOUND if there is no such object. */
TRK_API trk_status trk_tracker_remove_object(trk_tracker *tracker, int object);

/* Takes the next frame: encodes it, follows every object into it, applies the prompts waiting for it, writes the
 * memories, frees what only this frame needed. */
TRK_API trk_status trk_tracker_push(trk_tracker *tracker, const trk_frame *frame);

typedef struct trk_result {
    size_t struct_size;     /* in: sizeof(trk_result) */
    int64_t frame;          /* index of the current frame */
    int prompted;           /* 1: the object was prompted on this frame */
    float object_score;     /* logit; > 0: the object is visible */
    float iou;              /* the model's estimate of its mask's IoU, 0..1 */
    const float *logits;    /* [mask_size, mask_size] low-resolution logits, rows from the top; borrowed until the next
                               call that changes the tracker */
    int mask_size;
} trk_result;

/* Objects that have a result on the current frame, ascending. ids may be NULL; returns how many there are. */
TRK_API size_t trk_tracker_objects(const trk_tracker *tracker, int *ids, size_t capacity);
/* TRK_E_NOT_FOUND when the object has no result on the current frame. */
TRK_API trk_status trk_tracker_result(const trk_tracker *tracker, int object, trk_result *out);
/* Mask of the current frame at the frame's size: bytes 0 or 1, `stride` bytes between rows. */
TRK_API trk_status trk_tracker_mask(trk_tracker *tracker, int object, uint8_t *mask, ptrdiff_t stride);
/* Logits at the frame's size, rows of `width` floats; > 0 is foreground. */
TRK_API trk_status trk_tracker_logits(trk_tracker *tracker, int object, float *logits);

/* --- memory -------------------------------------------------------------------------------------------------- */

typedef struct trk_memory_use {
    size_t struct_size; /* in: sizeof(trk_memory_use) */
    /* bytes by lifetime: pinned (weights, tables), bank (memories, pointers), frame (features), scratch */
    size_t now[4], peak[4];
    size_t total_now, total_peak;
    uint64_t n_sweeps;  /* frames whose features were returned */
} trk_memory_use;
/* Bytes of the tracker's model and of the tracker itself. */
TRK_API trk_status trk_tracker_memory(const trk_tracker *tracker, trk_memory_use *out);

#ifdef __cplusplus
}
#endif
#endif
