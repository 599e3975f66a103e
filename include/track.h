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
 * TRK_E_BACKEND and TRK_E_MEMORY from trk_tracker_push, from trk_tracker_rewind, or from giving or clearing a prompt on
 * the current frame, which end the tracker (it can only be destroyed or reset). What is refused before anything was
 * begun, a plan that does not fit for one, does not end it, whatever the status.
 * In every params struct zero means the default; set struct_size through the _INIT macro. trk_motion_params alone has
 * none and its zeros are zeros: trk_motion_defaults fills it. Of structs that are filled struct_size is set by the
 * caller, too; one that is too small is TRK_E_ARGUMENT. An object that is named and not there is TRK_E_NOT_FOUND.
 *
 * Coordinates are pixels of the pushed frames: x to the right, y down, (0, 0) the top left corner of the first pixel.
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
 * Call before other threads use the library; `function` may be called from several threads at once, and must not wait
 * for anyone who uses the library. The environment variable TRK_LOG=error|warning|info|debug raises the
 * level, and without a function sends the lines to standard error. */
TRK_API void trk_set_log(void (*function)(void *user, int level, const char *line), void *user, int level);

/* --- model --------------------------------------------------------------------------------------------------- */

typedef enum trk_device { TRK_DEVICE_AUTO = 0, TRK_DEVICE_CPU, TRK_DEVICE_CUDA, TRK_DEVICE_REFERENCE } trk_device;
typedef enum trk_precision { TRK_PRECISION_AUTO = 0, TRK_PRECISION_F32, TRK_PRECISION_BF16 } trk_precision;

typedef struct trk_model_params {
    size_t struct_size;
    trk_device device;       /* AUTO: the fastest that works. REFERENCE: plain C, slow, for checking */
    int device_index;        /* CUDA device number */
    trk_precision precision; /* arithmetic of products; AUTO: bf16 where the device multiplies it, else f32 */
    int threads;             /* CPU threads, 1 to 1024; 0 = one per core this process may use (affinity, CPU quota) */
    int image_size;          /* side the frame is resized to; 0 = the model's own; a multiple of 32 the trunk admits */
    const char *config_path; /* architecture in JSON, which goes before the file's own metadata; NULL = metadata, then a
                                config.json beside the file, then the tensor shapes */
} trk_model_params;
#define TRK_MODEL_PARAMS_INIT {sizeof(trk_model_params), TRK_DEVICE_AUTO, 0, TRK_PRECISION_AUTO, 0, 0, NULL}

typedef struct trk_model trk_model;

/* Reads a checkpoint: official .pt, or .safetensors with official or Hugging Face tensor names. params may be NULL.
 * Every tensor is accounted for: a missing, unknown or misshapen one is TRK_E_MODEL and named. TRK_E_IO, TRK_E_FORMAT:
 * the file can not be read, or is no checkpoint. TRK_E_ARGUMENT: image size, threads, device or precision can not be.
 * TRK_E_UNSUPPORTED: an architecture, or a device, that this build or machine does not have. TRK_E_MEMORY,
 * TRK_E_BACKEND. */
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

typedef struct trk_pool trk_pool;
typedef struct trk_frame trk_frame;

/* When the features of frames are returned. Results are the same bits with any of them. */
typedef enum trk_sweep {
    TRK_SWEEP_EVERY = 0, /* after every `sweep_every` frames */
    TRK_SWEEP_ABOVE,     /* when the pool is above `sweep_above` of its budget, oldest first; in a pool without a budget
                            no tracker is made: TRK_E_ARGUMENT */
    TRK_SWEEP_NEVER      /* only when memory is needed */
} trk_sweep;

/* How the memories of frames are stored. */
typedef enum trk_memory_type {
    TRK_MEMORY_BF16 = 0, /* as the reference rounds them */
    TRK_MEMORY_F32,
    TRK_MEMORY_F16,
    TRK_MEMORY_Q8        /* blocks of 32 bytes with a scale */
} trk_memory_type;

/* Which hypothesis of the mask decoder is taken, and which memories are kept and read. */
typedef enum trk_policy_kind {
    TRK_POLICY_SAM2 = 0, /* the best by predicted IoU; the frames just before */
    TRK_POLICY_SAMURAI   /* SAMURAI (Yang et al., 2024): a Kalman filter of the box takes part in the choice, and only
                            frames that went well are remembered */
} trk_policy_kind;

/* Of TRK_POLICY_SAMURAI. Start from trk_motion_defaults. Boxes are of the model's input, image_size squared, to which the
 * frame is stretched. */
typedef struct trk_motion_params {
    size_t struct_size;         /* in: sizeof(trk_motion_params) */
    double weight;              /* of the motion score (IoU with the predicted box) in the choice, 0..1; the rest is the
                                   predicted IoU's */
    int stable_frames;          /* the motion score takes part from so many good frames in a row on, 1 or more */
    double stable_iou;          /* predicted IoU below which (before the motion score takes part: at or below which) a
                                   frame is not a good one */
    double memory_iou;          /* a memory is kept where predicted IoU, object score and, if there is one, motion score */
    double memory_object_score; /* are all higher than these */
    double memory_motion;
    double min_object_score;    /* the object is there when its score is higher than this */
    int strict_reference;       /* 1: to the letter of the published code: an empty mask is measured as a box of one
                                   pixel in the corner, every run of the mask decoder in its three-mask mode moves the
                                   filter on, and frames with numbers below 2 are never memories for later. 0: an
                                   empty mask is no measurement and the filter goes on by its prediction, the filter
                                   moves once a frame, and it is the first frame after the prompt that is no memory
                                   for later */
} trk_motion_params;
/* The published values: weight 0.25 (0.15 for models as wide as the large one), 15 frames, 0.3; 0.5, 0, 0; -1. */
TRK_API trk_status trk_motion_defaults(const trk_model *model, trk_motion_params *out);

/* Gives a frame that was pushed before once more: fills *out, whose planes stay valid until the call that asked
 * returns. Anything but TRK_OK fails that call. It must not use trackers of the same pool. */
typedef trk_status (*trk_frame_source)(void *user, int64_t index, trk_frame *out);

typedef struct trk_tracker_params {
    size_t struct_size;
    int reverse;              /* 1: frames are pushed with descending indices */
    int keep_frame;           /* 1: keep a frame's features until the next push, so that the current frame can be
                                 prompted again (interactive use); 0: they go when the sweep policy says so */
    trk_switch binarize;      /* memory of prompted frames from a binary mask; default on (as upstream's builder) */
    trk_switch stability;     /* single-mask output falls back by stability; default on (as upstream's builder) */
    int fill_holes;           /* holes up to this area (low-resolution pixels) are filled; 0 = 8, negative = none */
    trk_switch non_overlap;   /* each pixel belongs to one object at most in masks and logits, that of the highest logit;
                                 takes an upsampling for every pair of objects; default off */
    trk_switch correct_as_condition; /* a prompt on a tracked frame makes it a conditioning frame; default off */
    /* memory */
    trk_pool *pool;           /* shared with other trackers; NULL: one of its own, without a budget */
    trk_sweep sweep;
    int sweep_every;          /* frames, for TRK_SWEEP_EVERY; 0 = 1 */
    double sweep_above;       /* share of the budget, for TRK_SWEEP_ABOVE; 0 = 0.8 */
    int max_prompts_in_memory;/* prompted frames an object reads at most, nearest first; 0 = 8, negative = all */
    int64_t history;          /* frames remembered beyond what tracking reads, for trk_tracker_rewind; negative = all */
    trk_memory_type memory_type;       /* of memories */
    trk_memory_type older_memory_type; /* of tracked frames' memories from `older_after` frames back on (and the history) */
    int older_after;          /* 0 = older_memory_type is not used */
    int reserve;              /* 1: the first push, of a fork and after a resume too, allocates all that the plan says, so
                                 that later ones can not fail for want of memory, unless what is kept grows:
                                 TRK_SWEEP_NEVER, history < 0. In a pool it is there for whoever comes first, and goes
                                 when another tracker's push is short of memory */
    trk_frame_source source;  /* or NULL: with it the tracker can be evicted to the compact form; asked for frames whose
                                 memories can be read: with TRK_POLICY_SAM2 the last ones and the prompted ones, with
                                 TRK_POLICY_SAMURAI old ones too */
    void *source_user;
    trk_policy_kind policy;
    const trk_motion_params *motion; /* of TRK_POLICY_SAMURAI, copied; NULL: trk_motion_defaults */
} trk_tracker_params;
#define TRK_TRACKER_PARAMS_INIT                                                                                        \
    {sizeof(trk_tracker_params), 0, 0, TRK_DEFAULT, TRK_DEFAULT, 0, TRK_DEFAULT, TRK_DEFAULT, NULL, TRK_SWEEP_EVERY,   \
     0, 0.0, 0, 0, TRK_MEMORY_BF16, TRK_MEMORY_BF16, 0, 0, NULL, NULL, TRK_POLICY_SAM2, NULL}

typedef struct trk_tracker trk_tracker;

/* params: NULL, all defaults. The model and the pool must outlive the tracker. TRK_E_ARGUMENT: a value outside its range,
 * a pool of another model, motion with a policy that has none. */
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
/* Where planes lie. ON_DEVICE: memory of the model's GPU, whose contents are ready or will be by work that was given to
 * its default stream (the legacy one); TRK_E_ARGUMENT for a model on the CPU. Calls with a model on a GPU leave its device
 * current in the calling thread, and make its context wait by sleeping. */
typedef enum trk_place { TRK_ON_HOST = 0, TRK_ON_DEVICE } trk_place;

struct trk_frame { /* zero it first: fields may be added at its end */
    int width, height;       /* pixels, 1 to 32768; fixed after a tracker's first frame */
    trk_pixel_format format;
    const uint8_t *planes[3]; /* the top row of each, as shown; borrowed during the call only */
    ptrdiff_t strides[3];     /* bytes from a row to the one below it; negative: rows are stored from the bottom up */
    trk_yuv_matrix matrix;   /* of YUV formats */
    int full_range;          /* of YUV formats: 0 = 16..235 */
    int64_t index;           /* frame number prompts refer to: the first push sets where the video starts, each
                                further one must be one more than the last (one less when reverse);
                                between -INT64_MAX / 4 and INT64_MAX / 4 */
    trk_place place;         /* of the planes */
};

typedef struct trk_box { float x, y, width, height; /* x, y: left, top */ } trk_box;
typedef struct trk_point { float x, y; int positive; /* 1: on the object, 0: not on it */ } trk_point;

/* Prompts. `object` is any positive number; naming a new one adds the object, which exists from `frame` on. `frame` is
 * one not pushed yet (the prompt waits for it) or the current one, if its features are held (keep_frame, a lock, the
 * sweep policy), else TRK_E_STATE; then it is applied at once: masks, logits and scores of that object change. A second
 * prompt of one object on one frame joins the first: points add up, a box replaces a box, clicks refine a mask or an
 * earlier result. A box given after clicks keeps them. Points and the box that wait for their frame are run there
 * together, as one call of upstream's with all of them; on the current frame each prompt is run when it is given, on
 * top of the result before it. A waiting prompt whose frame is passed over without being pushed is dropped, with a
 * warning in the log. TRK_E_ARGUMENT: a box without positive width and height, or, once the frame size is known,
 * entirely outside it; a point outside (0 and the width or height are inside); numbers beyond 16777216 either way.
 * TRK_E_MEMORY: what is applied at once needs more than the budget (nothing was begun then), or memory is short. For
 * waiting prompts the frame size may be unknown yet: the push of their frame then reports it, and goes through once
 * trk_tracker_clear_prompts has dropped them. */
TRK_API trk_status trk_tracker_prompt_box(trk_tracker *tracker, int object, int64_t frame, const trk_box *box);
/* 1 to 65536 points on one frame, with those given before. */
TRK_API trk_status trk_tracker_prompt_points(trk_tracker *tracker, int object, int64_t frame, const trk_point *points,
                                             size_t n_points);
/* mask: width x height bytes, 1 to 65536 each, non-zero = object, `stride` bytes from the top row, at `mask`, to the
 * one below it (negative: stored from the bottom up), of any size: it is brought to the model's image size and cut at
 * one half. Copied. Replaces the prompts of that object on that frame. */
TRK_API trk_status trk_tracker_prompt_mask(trk_tracker *tracker, int object, int64_t frame, const uint8_t *mask,
                                           int width, int height, ptrdiff_t stride);
/* Drops the prompts of an object on a frame: waiting ones, or, with keep_frame, those applied to the current one; the
 * object is then tracked into it again as if it had not been prompted, or has no result if it began there. An object
 * that has lost its last prompt like this, or because the frame was passed over, has nothing to remember and stays until
 * it is prompted again or removed. TRK_E_NOT_FOUND if there is none. */
TRK_API trk_status trk_tracker_clear_prompts(trk_tracker *tracker, int object, int64_t frame);
/* Forgets an object, its prompts and its memories. TRK_E_NOT_FOUND if there is no such object. */
TRK_API trk_status trk_tracker_remove_object(trk_tracker *tracker, int object);

/* Takes the next frame: encodes it, follows every object into it, applies the prompts waiting for it, writes the
 * memories, frees what only this frame needed. TRK_E_ARGUMENT: another size than the frames before, an index that is not
 * the next one, planes or strides that can not be, a waiting prompt outside the frame; TRK_E_MEMORY: the plan is above
 * the budget, or memory is short; TRK_E_STATE: the tracker has ended, or its frame source had no frame (push it again
 * then, as after any other failure of the source, which is returned as it is).
 * The plan is made for the first frame and all prompts that wait by then, and again for a frame that needs more: with new
 * objects, more or larger prompts, another pixel format. Nothing was begun when it is refused. */
TRK_API trk_status trk_tracker_push(trk_tracker *tracker, const trk_frame *frame);

/* What the motion model of a policy said of an object on a frame. */
typedef struct trk_motion {
    int has_model;      /* 0: the policy has none; all else is 0 */
    int has_prediction; /* the filter predicted a box for this frame */
    trk_box predicted;  /* that box, pixels of the frame; parts of it may lie outside */
    int has_score;      /* the motion score took part in the choice */
    double score;       /* IoU of the predicted box and the chosen mask's */
    int n_stable;       /* good frames in a row, up to stable_frames */
} trk_motion;

typedef struct trk_result {
    size_t struct_size;     /* in: sizeof(trk_result) */
    int64_t frame;          /* index of the current frame */
    int prompted;           /* 1: the object was prompted on this frame */
    float object_score;     /* logit; > 0 (TRK_POLICY_SAMURAI: > min_object_score): the object is visible */
    float iou;              /* the model's estimate of its mask's IoU, 0..1 */
    const float *logits;    /* [mask_size, mask_size] low-resolution logits, rows from the top; borrowed until the next
                               call that changes the tracker */
    int mask_size;
    int hypothesis;         /* of the mask decoder: 0 the single mask, 1..3 of the three; 0 for a mask prompt */
    int kept;               /* 1: frames beyond the next may read its memory; always with TRK_POLICY_SAM2 */
    trk_motion motion;
} trk_result;

/* Objects that have a result on the current frame, ascending. ids may be NULL; returns how many there are. */
TRK_API size_t trk_tracker_objects(const trk_tracker *tracker, int *ids, size_t capacity);
/* TRK_E_NOT_FOUND when the object has no result on the current frame. */
TRK_API trk_status trk_tracker_result(const trk_tracker *tracker, int object, trk_result *out);
/* Mask of the current frame at the frame's size: bytes 0 or 1, `stride` bytes between rows, at least the width.
 * TRK_E_NOT_FOUND, here and in the next two, as for trk_tracker_result. */
TRK_API trk_status trk_tracker_mask(trk_tracker *tracker, int object, uint8_t *mask, ptrdiff_t stride);
/* The same where the caller wants it: ON_DEVICE, mask is memory of the model's GPU, and is written when this returns. */
TRK_API trk_status trk_tracker_mask_to(trk_tracker *tracker, int object, trk_place place, uint8_t *mask,
                                       ptrdiff_t stride);
/* Logits at the frame's size, rows of `width` floats; > 0 is foreground. */
TRK_API trk_status trk_tracker_logits(trk_tracker *tracker, int object, float *logits);

/* --- painting -------------------------------------------------------------------------------------------------- */

/* Where a mask is. */
typedef struct trk_region {
    int x, y, width, height; /* box, pixels; all 0 for an empty mask */
    int area;                /* pixels set */
    int top;                 /* first row set in the middle column of the box; y where that column is empty */
} trk_region;

typedef struct trk_paint_object {
    int object;
    uint8_t colour[3];       /* R G B */
    uint8_t *mask;           /* out, on the host: its mask as trk_tracker_mask gives it; NULL: not wanted */
    ptrdiff_t mask_stride;   /* bytes between rows */
    trk_region region;       /* out: of its mask */
} trk_paint_object;

typedef struct trk_paint {
    size_t struct_size;
    trk_paint_object *objects; /* [n_objects], later ones on top of earlier ones */
    size_t n_objects;
    int line_width;            /* of the contour, pixels into the mask, to 32768; 0 = 2, negative = none */
    int fill_percent;          /* share of the colour in the rest of the mask, to 100; 0 = 45, negative = none */
    int on_frame;              /* 1: on the frame that was pushed; see below */
} trk_paint;
#define TRK_PAINT_INIT {sizeof(trk_paint), NULL, 0, 0, 0, 0}

/* Draws the masks of the current frame on a picture of the frame's size: rgb, R G B bytes on the host, `stride` bytes
 * between rows, in place; or, with on_frame, on the RGB that the model made of the pushed frame, and rgb is written
 * only. The frame itself stays as it is. The same masks give the same bytes on every device. A GPU draws where the masks
 * are: of an object only its region comes over, and the mask where it is wanted. The edge of the picture is no edge of
 * a mask. rgb NULL: only regions, and masks where wanted. TRK_E_MEMORY and TRK_E_BACKEND may come after some objects
 * were drawn.
 * TRK_E_NOT_FOUND, nothing written: an object has no result on the current frame, or, with on_frame, that frame's RGB
 * is not held. It is as long as the features are (keep_frame, a lock, the sweep policy), but not with frames that were
 * RGB already where the model computes (the caller has those), nor after an eviction or a resume. */
TRK_API trk_status trk_tracker_paint(trk_tracker *tracker, const trk_paint *paint, uint8_t *rgb, ptrdiff_t stride);

/* --- going back, branching, renumbering ------------------------------------------------------------------------ */

/* Locks the features of a frame that are still held, the current one or an earlier one, so that no sweep returns them;
 * locks count. TRK_E_NOT_FOUND: the features of that frame are not held. */
TRK_API trk_status trk_tracker_lock_frame(trk_tracker *tracker, int64_t frame);
/* The last unlock lets them go. TRK_E_STATE: the frame is not locked. TRK_E_NOT_FOUND: its features are not held. */
TRK_API trk_status trk_tracker_unlock_frame(trk_tracker *tracker, int64_t frame);
/* The frames first .. last (in order of tracking) on which this object can be prompted again after trk_tracker_rewind,
 * with everything they read at first still there, but for what trk_tracker_forget took, and as the older_memory_type has
 * rounded it since; last is the current frame. With history 0 that is the current frame alone from the eighth frame after
 * the object's first on. TRK_E_NOT_FOUND: no such object, or it has not started. */
TRK_API trk_status trk_tracker_reach(trk_tracker *tracker, int object, int64_t *first, int64_t *last);
/* Goes back to `frame`: what was remembered of it and of every frame tracked after it is forgotten, for every object,
 * conditioning frames included, and prompts that were applied there are gone. If its features are still held (sweep
 * policy, lock or keep_frame), it is the current frame again, tracked anew from them, and *next is the frame after it;
 * otherwise it is to be pushed again, and *next is `frame` (next may be NULL). Until then there is no current frame to
 * prompt: on the one before it a prompt is TRK_E_STATE, even where its features are held. Objects that started there or
 * later are removed, unless a prompt waits for them.
 * TRK_E_STATE, nothing changed: what the frame reads was dropped already, the text names the first frame in reach; or
 * it was never tracked. TRK_E_ARGUMENT: no frame can have that number. */
TRK_API trk_status trk_tracker_rewind(trk_tracker *tracker, int64_t frame, int64_t *next);
/* Forgets what the object remembers of the frames first .. last; returns TRK_OK also when that was nothing.
 * TRK_E_STATE: its only conditioning frame would go (remove the object instead). */
TRK_API trk_status trk_tracker_forget(trk_tracker *tracker, int object, int64_t first, int64_t last);
/* Removes every object but this one. TRK_E_NOT_FOUND if there is no such object. */
TRK_API trk_status trk_tracker_keep_object(trk_tracker *tracker, int object);
/* Makes `copy` (not in use yet, else TRK_E_ARGUMENT) an object with the same memories, waiting prompts and result.
 * Memories are shared until one of the two writes them. */
TRK_API trk_status trk_tracker_fork_object(trk_tracker *tracker, int object, int copy);
/* A second tracker with the same pool, objects, memories (shared until written) and frame number, from which it goes on
 * by itself. Features of frames are not taken over. */
TRK_API trk_status trk_tracker_fork(trk_tracker **out, trk_tracker *tracker);
/* The current frame is called `index` from now on, and every other frame number moves with it; for endless streams.
 * TRK_E_STATE before the first push. */
TRK_API trk_status trk_tracker_rebase(trk_tracker *tracker, int64_t index);

/* --- save and resume ------------------------------------------------------------------------------------------- */

/* Writes the whole state (objects, memories, waiting prompts, results, locked features) to a temporary file and renames
 * it to `path`. Tracking goes on. TRK_E_IO: it can not be written; if its folder can not be brought to the disk, the
 * file is there. */
TRK_API trk_status trk_tracker_save(trk_tracker *tracker, const char *path);
/* A tracker that goes on exactly where the saved one was: the same masks, bit for bit, on the same kind of backend with
 * the same precision. What decides results (reverse, binarize ... older_after, policy, motion) comes from the file; pool, sweep,
 * reserve and source from params. TRK_E_IO: it can not be read. TRK_E_FORMAT: truncated, altered, or of another version. TRK_E_MODEL: of another model or
 * image size. */
TRK_API trk_status trk_tracker_resume(trk_tracker **out, const trk_model *model, const trk_tracker_params *params,
                                      const char *path);

typedef struct trk_tracker_info {
    size_t struct_size;     /* in: sizeof(trk_tracker_info) */
    int started;            /* 1: a frame was pushed */
    int64_t index, next;    /* current frame, and the one to be pushed next */
    int width, height;      /* of the frames; 0 before the first */
    int reverse;
    size_t n_objects;       /* started or not */
    size_t n_waiting;       /* prompts for frames to come */
    uint64_t n_sweeps;      /* frames whose features were returned */
    uint64_t n_prompts_left_out; /* conditioning frames not read because of max_prompts_in_memory, over all reads */
    int resident;           /* 0: evicted, comes back by itself with the next call that needs it */
    trk_policy_kind policy;
} trk_tracker_info;
TRK_API trk_status trk_tracker_get_info(const trk_tracker *tracker, trk_tracker_info *out);
/* Every object, started or not, ascending. ids may be NULL; returns how many there are. */
TRK_API size_t trk_tracker_all_objects(const trk_tracker *tracker, int *ids, size_t capacity);

/* --- pool: many trackers, one device --------------------------------------------------------------------------- */

typedef enum trk_evict {
    TRK_EVICT_HOST = 0, /* to host memory, bit for bit */
    TRK_EVICT_COMPACT,  /* trackers with a source and nothing locked: prompts, pointers and low-resolution masks; memories
                           are made again from the frames with the next use. Others: to host memory */
    TRK_EVICT_OFF       /* a full pool is TRK_E_MEMORY */
} trk_evict;

typedef struct trk_pool_params {
    size_t struct_size;
    size_t budget;       /* bytes on the model's device, for the model and everything in the pool; 0 = budget_share */
    double budget_share; /* of the sum of what is free now and what the model has; 0 = 0.8 on a GPU, no budget on the CPU */
    trk_evict evict;     /* where the least recently used idle tracker goes when the pool is full */
    int most_resident;   /* trackers on the device at once; 0 = as many as the budget admits */
} trk_pool_params;
#define TRK_POOL_PARAMS_INIT {sizeof(trk_pool_params), 0, 0.0, TRK_EVICT_HOST, 0}

/* The pool must outlive its trackers, the model the pool. Its trackers may be used from different threads, each from
 * one at a time. TRK_E_MEMORY: the budget is less than the model has already. */
TRK_API trk_status trk_pool_create(trk_pool **out, const trk_model *model, const trk_pool_params *params);
TRK_API void trk_pool_destroy(trk_pool **pool); /* NULL-safe; clears the handle */

typedef struct trk_pool_info {
    size_t struct_size; /* in: sizeof(trk_pool_info) */
    size_t budget;      /* bytes; 0: none */
    size_t n_trackers, n_resident, n_busy;
    uint64_t n_evictions, n_returns;
    size_t bytes_evicted; /* in host memory now */
} trk_pool_info;
TRK_API trk_status trk_pool_get_info(trk_pool *pool, trk_pool_info *out);

/* --- memory: plan and report ----------------------------------------------------------------------------------- */

typedef struct trk_plan_params {
    size_t struct_size;
    int width, height;   /* of the frames */
    int objects;         /* per tracker; 0 = 1 */
    int prompts;         /* conditioning frames per object; 0 = 1 */
    int prompt_points;   /* most clicks of a prompt, beside its box */
    int mask_prompts;    /* 1: some prompts are masks, of the size of the frames */
    int trackers;        /* resident at once; 0 = 1 */
    int busy;            /* inside a call at once; 0 = 1 */
    const trk_tracker_params *tracker; /* how it tracks and remembers; NULL: defaults */
    trk_pixel_format format; /* of the frames; others than RGB24 are converted, which takes memory */
} trk_plan_params;
#define TRK_PLAN_PARAMS_INIT {sizeof(trk_plan_params), 0, 0, 0, 0, 0, 0, 0, 0, NULL, TRK_PIXEL_RGB24}

/* The most that can be in use on the model's device, in bytes; more where bank_per_frame or frames_held say so. */
typedef struct trk_plan {
    size_t struct_size; /* in: sizeof(trk_plan) */
    size_t pinned;      /* weights and tables as they are, and some 200 KiB (more with many threads) for operators of
                           shapes that come up later */
    size_t bank, bank_per_object, bank_per_prompt; /* all; of one object with one prompt; of each further prompt */
    size_t bank_per_frame; /* with a history of all frames: what each adds, not in the total; else 0 */
    size_t frame, frame_each; /* all features held; of one frame */
    int frames_held;    /* frames whose features are held at once, per tracker; 0: as many as fit, of which `frame` and
                           `total` count one */
    size_t scratch, scratch_each; /* all; per busy tracker: stages, and the operators' own buffers */
    size_t total;
} trk_plan;
/* Found by walking through the frames' allocations without computing. params: not NULL; TRK_E_ARGUMENT: counts or sizes
 * that can not be. */
TRK_API trk_status trk_plan_make(trk_plan *out, const trk_model *model, const trk_plan_params *params);

/* How long bytes live. */
enum {
    TRK_CLASS_PINNED,  /* weights, RoPE tables, positional constants: as long as the model or tracker */
    TRK_CLASS_BANK,    /* memories, object pointers, per-object state: as long as tracking can still read them */
    TRK_CLASS_FRAME,   /* image features of one frame */
    TRK_CLASS_SCRATCH, /* temporaries inside one stage */
    TRK_CLASSES
};

typedef struct trk_owner_bytes {
    const char *device, *owner; /* static storage */
    int memory_class;
    size_t now, peak, n_now;    /* bytes, bytes, allocations */
} trk_owner_bytes;

typedef struct trk_device_bytes {
    const char *device; /* "cpu", "cuda:0": where the model computes; "host": everything else of this process that this
                           library and command allocate */
    size_t now[TRK_CLASSES], peak[TRK_CLASSES]; /* bytes by lifetime class */
    size_t total_now, total_peak;
    size_t budget;      /* 0: none */
} trk_device_bytes;

typedef struct trk_memory_use {
    size_t struct_size; /* in: sizeof(trk_memory_use) */
    size_t n_devices;
    trk_device_bytes devices[2]; /* the model's, the host */
    size_t total_now, total_peak;/* over the devices; total_peak: sum of their peaks */
    uint64_t n_sweeps;           /* of the tracker: frames whose features were returned */
    uint64_t rope_builds;        /* of the model's RoPE table: 1 */
    size_t rope_bytes;
    uint64_t tables_checksum;    /* of the pinned tables, as they are now (XXH3) */
} trk_memory_use;
/* Bytes of the tracker's model, of its pool, and of the host. */
TRK_API trk_status trk_tracker_memory(const trk_tracker *tracker, trk_memory_use *out);
/* The device's bytes by owner, and of the host those that the tracker's pool holds; returns how many there are. */
TRK_API size_t trk_tracker_memory_owners(const trk_tracker *tracker, trk_owner_bytes *out, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
