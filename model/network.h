/* SPDX-License-Identifier: Apache-2.0
 * The stages of the network, as functions over one seat: a trk_network borrows the model and two arenas. Results that
 * must survive the stage go to the arena the comment names; everything else is SCRATCH and rewound before returning.
 * Stages return nothing; ask trk_network_status once at the end of a chain.
 *
 * Shapes: S = image size, g = S / 16, d = d_model, m = mem_dim. Images are [height * width, channels]. */
#ifndef TRK_MODEL_NETWORK_H
#define TRK_MODEL_NETWORK_H

#include "arena.h"
#include "model.h"

/* Sees intermediate results by name ("trunk.stage0", "decoder.masks", ...); for golden tests. */
typedef void (*trk_trace_function)(void *user, const char *name, trk_mat mat);

typedef struct trk_network {
    const trk_network_model *model; /* borrowed */
    trk_exec exec;
    trk_arena *frame, *scratch;     /* borrowed */
    trk_trace_function trace;       /* or NULL */
    void *trace_user;
} trk_network;

trk_status trk_network_init(trk_network *net, const trk_network_model *model, trk_allocator *allocator,
                            trk_arena *frame, trk_arena *scratch);
void trk_network_release(trk_network *net); /* accepts a zeroed struct */
/* First failure of the operators since the last call, with its text; clears it. Does not wait: a GPU may still be at
 * work, and may fail later. */
trk_status trk_network_status(trk_network *net);
/* The same after everything has been computed: what was downloaded is there, and memory may go to others. */
trk_status trk_network_finish(trk_network *net);

/* Runs a stage that recurs, in the terms of trk_exec_stage_begin: `run` may come twice, the second time with the arenas
 * as they were the first time. It starts from `context` alone and changes nothing outside what it computes. When
 * messages for debugging go somewhere, the time from its start until it has been computed is told under its name. */
void trk_run_stage(trk_network *net, const char *name, void (*run)(trk_network *net, void *context), void *context);

/* --- helpers of the stages (network.c) --- */
trk_mat trk_new_mat(trk_network *net, trk_arena *arena, trk_dtype dtype, int rows, int cols);
/* n floats on the host, to be filled and set; the caller's, for trk_heap_release. NULL when there is nothing to fill: in
 * a network that plans or has failed, or, with the failure recorded, without memory. */
float *trk_network_host_floats(trk_network *net, size_t n, const char *owner);
/* mat (dense f32) <- values [rows, cols] of the host */
void trk_set_mat(trk_network *net, trk_mat mat, const float *values);
void trk_trace(trk_network *net, const char *name, trk_mat mat);
/* out = layer2(relu(layer1(relu(layer0(in))))) with a last activation */
void trk_run_mlp(trk_network *net, trk_mat out, trk_mat in, const trk_mlp *mlp, trk_act last);

/* x [n, c] += project(act(expand(norm(x)))), in strips of rows */
void trk_run_feed_forward(trk_network *net, trk_mat x, const trk_norm *norm, float eps, const trk_linear *expand,
                          trk_act act, const trk_linear *project);

/* --- image encoder --- */
typedef struct trk_features {
    trk_mat level0, level1; /* [16 g^2, d/8], [4 g^2, d/4]: after conv_s0 / conv_s1; f32 */
    trk_mat level2;         /* [g^2, d] f32, without no_mem_embed */
    /* what all objects of the frame share, made on first use; data NULL before */
    trk_mat attended;       /* [g^2, d] x after the self-attention of memory layer 0 */
    trk_mat queries;        /* [g^2, d] rotated queries of cross-attention 0 */
    trk_mat projected;      /* [g^2, d] pix_feat_proj(level2) of the memory encoder */
} trk_features;

/* rgb [height, width, 3] bytes in the backend's memory, stride in bytes. Features live in the frame arena until the sweep. */
void trk_encode_image(trk_network *net, const uint8_t *rgb, int width, int height, ptrdiff_t stride,
                      trk_features *out);

/* --- prompts and mask decoder --- */
typedef struct trk_prompt_point {
    float x, y; /* normalised: pixels / frame side */
    int label;  /* 1 positive, 0 negative, 2 box top left, 3 box bottom right */
} trk_prompt_point;

/* Of one object, or of several that share all but their features. */
typedef struct trk_head_input {
    trk_mat feature;                /* [g^2, d] of each object: conditioned image feature, f32 */
    const trk_prompt_point *points; /* [n_points], box corners first; may be NULL with n_points 0 */
    int n_points;
    const float *mask_logits;       /* [4g, 4g] dense prompt (before the +-32 clamp), or NULL; backend's memory; of one
                                     * object only */
    int multimask;                  /* choose among hypotheses 1..3 */
    int stability;                  /* fallback of hypothesis 0 */
    float present_above;            /* object score above which the object is there */
} trk_head_input;

/* In the backend's memory, the caller's. */
typedef struct trk_head_output {
    float *logits;  /* [4g, 4g] */
    float *pointer; /* [d] */
    float *info;    /* [3] object score, predicted iou, index of the hypothesis (0..3) */
} trk_head_output;

void trk_run_head(trk_network *net, const trk_features *features, const trk_head_input *in, const trk_head_output *out);
/* The same of n objects in one pass; out [n]. */
void trk_run_heads(trk_network *net, const trk_features *features, const trk_head_input *in, int n,
                   const trk_head_output *out);

/* What the mask decoder found for n objects, one after the other, before one of its masks is taken; f32. */
typedef struct trk_hypotheses {
    int n;
    trk_mat masks;  /* [n 4, 16 g^2] logits */
    trk_mat tokens; /* [n 4, d] mask tokens */
    trk_mat ious;   /* [n, 4] */
    trk_mat score;  /* [n, 1] */
    trk_mat boxes;  /* [n 4, 4] of the masks at the image size, see mask_boxes; data NULL: not wanted */
} trk_hypotheses;

/* Room for them in the scratch arena. */
trk_hypotheses trk_new_hypotheses(trk_network *net, int n, int with_boxes);
/* trk_run_heads in two halves, for a choice in between. chosen: [n], the backend's memory, as trk_mask_choice has it; NULL:
 * the best by IoU. */
void trk_find_hypotheses(trk_network *net, const trk_features *features, const trk_head_input *in,
                         const trk_hypotheses *out);
void trk_take_hypotheses(trk_network *net, const trk_head_input *in, const trk_hypotheses *given, const float *chosen,
                         const trk_head_output *out);

/* The path of a mask prompt: mask [S, S] of 0/1 floats, backend's memory. logits: the mask's own +-10 map; pointer: from the head on the
 * raw feature; score +-10; iou 1. */
void trk_run_mask_prompt(trk_network *net, const trk_features *features, const float *mask, float present_above,
                         trk_head_output *out);

/* --- memory --- */
typedef struct trk_memory_ref {
    const void *memory;     /* [g^2, m], a slot of the bank */
    trk_storage storage;
    int age;                /* 0 conditioning, else frames back */
} trk_memory_ref;

typedef struct trk_pointer_ref {
    const float *pointer;   /* [d], a slot of the bank */
    int age;
} trk_pointer_ref;

/* What one object reads; not nothing at all. */
typedef struct trk_reading {
    const trk_memory_ref *memories;
    const trk_pointer_ref *pointers;
    int n_memories, n_pointers;
} trk_reading;

/* Memory attention of n objects in one pass; out [n g^2, d] f32 is the caller's. */
void trk_attend_memory(trk_network *net, trk_features *features, const trk_reading *readings, int n, trk_mat out);
/* out = level2 + no_mem_embed: the feature of a prompt frame without memory */
void trk_without_memory(trk_network *net, const trk_features *features, trk_mat out);

/* memory: a slot of the bank, [g^2, m] in `storage`. logits [4g, 4g]; binarize: prompted frame with that option; score:
 * [1] object score. All in the backend's memory. */
void trk_encode_memory(trk_network *net, trk_features *features, const float *logits, int binarize, const float *score,
                       trk_storage storage, void *memory);

#endif
