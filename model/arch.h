/* SPDX-License-Identifier: Apache-2.0
 * What a checkpoint is: every dimension of the network, read from tensor shapes, the official size table and metadata,
 * and the list of the tensors that such a network has. */
#ifndef TRK_MODEL_ARCH_H
#define TRK_MODEL_ARCH_H

#include "checkpoint.h"

#define TRK_MAX_BLOCKS 96

typedef struct trk_arch {
    int is_21;                 /* SAM 2.1: pointer temporal projection and no_obj_embed_spatial exist */
    const char *family;        /* "sam2" | "sam2.1" */
    const char *size_name;     /* "tiny" | "small" | "base+" | "large" | "custom" */
    int image_size;            /* default side */
    /* trunk */
    int embed_dim, num_heads;  /* of stage 1; both double per stage */
    int stages[4];             /* blocks per stage */
    int n_blocks;
    int window_spec[4];
    int is_global[TRK_MAX_BLOCKS]; /* 1: global attention */
    int bkg_size;              /* side of pos_embed */
    int window_pos_size;       /* side of pos_embed_window */
    /* neck and heads */
    int d_model;               /* 256 officially */
    int top_down[4];           /* level i (0 = stride 4) receives the level below it */
    int mem_dim;               /* 64 */
    int n_mem_layers, mem_ffn; /* 4, 2048 */
    int num_maskmem;           /* 7 */
    int decoder_heads, decoder_depth, decoder_mlp, decoder_inner; /* 8, 2, 2048, 128 (cross-attention width) */
    int iou_hidden;            /* 256 */
    int mask_in_channels;      /* 16 */
    int n_fuser_layers;        /* 2 */
    int max_pointers;          /* 16 */
} trk_arch;

/* config: path of an architecture in JSON overriding the checkpoint's own metadata, or NULL. Accepts this project's
 * metadata (keys as in the shipped models) and a Hugging Face config.json. path: the checkpoint's, or NULL; without
 * config and metadata, <path without extension>.json and then config.json in its folder are looked for. TRK_E_MODEL
 * names the tensor or key at fault. An official trunk without any description is taken as the official model, whatever
 * the other tensors are: trk_arch_verify then names those that are not. */
trk_status trk_arch_detect(trk_arch *out, const trk_checkpoint *checkpoint, const char *config, const char *path);

/* Calls visit for every tensor a network of this architecture has, with its official name and shape, in a fixed order.
 * Stops at and returns the first negative status. */
typedef trk_status (*trk_inventory_visit)(void *user, const char *name, int n_dims, const int64_t *dims);
trk_status trk_arch_inventory(const trk_arch *arch, trk_inventory_visit visit, void *user);

/* Every tensor present once with the right shape, none left over; else TRK_E_MODEL naming the first offender and how
 * many more there are. */
trk_status trk_arch_verify(const trk_arch *arch, const trk_checkpoint *checkpoint);

/* TRK_OK if frames may be resized to this side: a multiple of 32 (every map is even before it is pooled, so that the
 * decoder's and the neck's doubled maps meet it) whose quarter is a multiple of window_pos_size (that table is tiled).
 * Windows may be padded. Else TRK_E_ARGUMENT, with the nearest that work. */
trk_status trk_arch_check_image_size(const trk_arch *arch, int image_size);

/* Fills *out with an official configuration: family "sam2" | "sam2.1", size "tiny" | "small" | "base+" | "large". */
trk_status trk_arch_official(trk_arch *out, const char *family, const char *size_name);

#endif
