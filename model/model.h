/* SPDX-License-Identifier: Apache-2.0
 * A loaded model: architecture, weights in the backend's form, and the tables that depend only on the image size. Its
 * values are immutable after load; it is shared by any number of networks (seats of trackers); everything in it is PINNED. */
#ifndef TRK_MODEL_MODEL_H
#define TRK_MODEL_MODEL_H

#include "arch.h"
#include "backend.h"
#include "ledger.h"

typedef struct trk_norm {
    const float *gamma, *beta; /* [n] pinned */
} trk_norm;

typedef struct trk_mlp {
    trk_linear layers[3]; /* ReLU between */
} trk_mlp;

typedef struct trk_attention_layer {
    trk_linear q, k, v, out;
    int heads;
} trk_attention_layer;

/* Hiera block; upstream: backbones/hieradet.py, MultiScaleBlock */
typedef struct trk_trunk_block {
    int dim_in, dim_out, heads, window; /* window 0: global */
    int pool;                           /* 1: first block of stages 2..4 */
    int stage, ends_stage;
    trk_norm norm1, norm2;
    trk_linear qkv, proj, mlp0, mlp1;
    const float *qkv_bias; /* [3 dim_out] as qkv.bias, where operators read it */
    trk_linear shortcut; /* where dim_in != dim_out */
} trk_trunk_block;

typedef struct trk_memory_layer {
    trk_norm norm1, norm2, norm3;
    trk_attention_layer self;
    trk_linear cross_q, cross_k; /* k: mem_dim -> d_model */
    trk_linear cross_out;        /* out_proj . v_proj: mem_dim -> d_model, values stay mem_dim wide in the sum */
    trk_linear ffn0, ffn1;
} trk_memory_layer;

typedef struct trk_two_way_layer {
    trk_attention_layer self, token_to_image, image_to_token;
    trk_linear mlp0, mlp1;
    trk_norm norm1, norm2, norm3, norm4;
} trk_two_way_layer;

typedef struct trk_fuser_layer {
    trk_conv depthwise;
    trk_norm norm;
    trk_linear expand, project; /* the layer scale gamma is folded into project */
} trk_fuser_layer;

#define TRK_MAX_TWO_WAY 8
#define TRK_MAX_FUSER 8
#define TRK_MAX_MEMORY_LAYERS 16

typedef struct trk_weights {
    /* image encoder */
    trk_conv patch_embed;
    trk_trunk_block *blocks; /* [arch.n_blocks] */
    trk_linear lateral[4];   /* neck, by level; 0 and 1 with the mask decoder's conv_s0 / conv_s1 folded in */
    /* prompt encoder; the first four on the host, always */
    const float *gaussian;          /* [2, d / 2] */
    const float *point_embed[4];    /* [d] by label */
    const float *not_a_point;       /* [d] */
    const float *no_mask;           /* [d] */
    trk_conv mask_conv[3];
    trk_norm mask_norm[2];
    trk_conv mask_downsample;       /* 1 -> 1, 4x4 stride 4 */
    /* mask decoder */
    const float *output_tokens;     /* [6, d]: object score, iou, 4 masks */
    trk_two_way_layer two_way[TRK_MAX_TWO_WAY];
    trk_attention_layer final_attention;
    trk_norm final_norm;
    trk_linear upscale0, upscale1;  /* transposed convolutions as [4 c_out, c_in] products */
    trk_norm upscale_norm;
    trk_mlp hyper[4], iou_head, score_head;
    trk_mlp pointer_proj;
    const float *no_obj_ptr;        /* [d] */
    /* memory encoder */
    trk_conv downsampler[4];
    trk_norm downsampler_norm[4];
    trk_linear downsampler_out, pixel_proj, memory_out;
    trk_fuser_layer fuser[TRK_MAX_FUSER];
    const float *no_obj_embed_spatial; /* [mem_dim], SAM 2.1; else NULL */
    /* memory attention */
    trk_memory_layer memory[TRK_MAX_MEMORY_LAYERS];
    trk_norm memory_norm;
    trk_linear pointer_tpos; /* d -> mem_dim, SAM 2.1 */
    const float *no_mem_embed; /* [d] */
} trk_weights;

/* Tables that depend on the image size; g = image_size / 16. */
typedef struct trk_tables {
    const float *trunk_positions; /* [(4g)^2, embed_dim] */
    const float *scaled_positions;/* [g^2, d] 0.1 * sine: added once at the input of memory attention */
    const float *rope;            /* [g^2, d / 2, 2] */
    const float *image_positions; /* [g^2, d] dense Fourier features of the mask decoder */
    const float *memory_positions;/* [num_maskmem][g^2, mem_dim]: sine + temporal code; index 0 = conditioning, i = i back */
} trk_tables;

/* Constants of a loaded model: what is in them never changes after the load, which the checksums prove. */
typedef struct trk_pinned {
    void *data;
    size_t bytes;
    const char *owner;
    int is_table;      /* made from the image size, not read from the checkpoint */
    int on_host;       /* on the heap, though the model's memory is elsewhere */
    int stays;         /* ... for good */
    uint64_t checksum; /* XXH3-64 of the data at the end of the load */
} trk_pinned;

typedef struct trk_network_model {
    trk_arch arch;
    const trk_device_memory *memory; /* the backend's */
    trk_ledger ledger;               /* of that memory */
    trk_backend *backend; /* owned */
    int image_size, grid; /* side in pixels; image_size / 16 */
    int64_t n_parameters;
    trk_weights weights;
    trk_tables tables;
    uint64_t checksum;    /* of everything that was loaded and made, the same on every device */
    uint64_t rope_builds; /* how often the RoPE table was built: once */
    trk_pinned *pinned; /* every constant of the loader */
    size_t n_pinned, pinned_capacity;
    trk_linear **linears; /* prepared layers, to be released */
    size_t n_linears, linears_capacity;
    trk_conv **convs;
    size_t n_convs, convs_capacity;
} trk_network_model;

typedef struct trk_network_model_params {
    trk_backend_params backend;
    int image_size;          /* 0: the architecture's */
    const char *config; /* path of an architecture in JSON, or NULL */
} trk_network_model_params;

trk_status trk_network_model_load(trk_network_model **out, const char *path, const trk_network_model_params *params);
void trk_network_model_free(trk_network_model **model); /* NULL-safe */

/* XXH3-64 over the checksums of the tables (RoPE, positional maps) as they are in memory now. */
uint64_t trk_network_model_tables_checksum(const trk_network_model *model);
/* TRK_E_BACKEND naming the first table that differs from what the load left: something wrote to pinned memory. */
trk_status trk_network_model_verify_tables(const trk_network_model *model);

/* Fills model->weights and model->tables from a verified checkpoint. On failure what was loaded stays in the lists of
 * the model, for trk_network_model_free. */
trk_status trk_weights_load(trk_network_model *model, const trk_checkpoint *checkpoint);

#endif
