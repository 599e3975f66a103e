/* SPDX-License-Identifier: Apache-2.0
 * Architecture descriptions in JSON: what the text says, not yet held against any tensor. */
#ifndef TRK_MODEL_ARCH_CONFIG_H
#define TRK_MODEL_ARCH_CONFIG_H

#include "arch.h"

#include <stddef.h>

#define TRK_ARCH_MAX_LAYERS 32    /* of memory attention, mask decoder and memory fuser: each */
#define TRK_ARCH_MAX_WIDTH  65536 /* any single number of an architecture */

/* X(field of trk_arch, key in this project's metadata, path in a Hugging Face config.json (alternatives separated by
 * "|"), value that such a file means by leaving the key out (0: says nothing), tensor the number is read from or NULL,
 * dimension of that tensor; -1: not one tensor but how many numbered layers begin with that name) */
#define TRK_ARCH_NUMBERS(X)                                                                                            \
    X(image_size, "image_size",                                                                                        \
      "vision_config.backbone_config.image_size|prompt_encoder_config.image_size|image_size", 1024, NULL, 0)           \
    X(embed_dim, "embed_dim",                                                                                          \
      "vision_config.backbone_config.embed_dim_per_stage|vision_config.backbone_config.hidden_size", 0,                \
      "image_encoder.trunk.patch_embed.proj.weight", 0)                                                                \
    X(num_heads, "num_heads",                                                                                          \
      "vision_config.backbone_config.num_attention_heads_per_stage|"                                                   \
      "vision_config.backbone_config.num_attention_heads",                                                             \
      1, NULL, 0)                                                                                                      \
    X(bkg_size, "window_pos_embed_bkg_spatial_size",                                                                   \
      "vision_config.backbone_config.window_positional_embedding_background_size", 0, "image_encoder.trunk.pos_embed", \
      2)                                                                                                               \
    X(window_pos_size, "window_spec", "vision_config.backbone_config.window_size_per_stage", 0,                        \
      "image_encoder.trunk.pos_embed_window", 2)                                                                       \
    X(d_model, "hidden_dim", "vision_config.fpn_hidden_size", 0, "image_encoder.neck.convs.0.conv.weight", 0)          \
    X(mem_dim, "mem_dim", "memory_encoder_output_channels", 0, "maskmem_tpos_enc", 3)                                  \
    X(n_mem_layers, "memory_attention_layers", "memory_attention_num_layers", 0, "memory_attention.layers.", -1)       \
    X(mem_ffn, "memory_attention_ffn", "memory_attention_feed_forward_hidden_size", 0,                                 \
      "memory_attention.layers.0.linear1.weight", 0)                                                                   \
    X(num_maskmem, "num_maskmem", "num_maskmem", 0, "maskmem_tpos_enc", 0)                                             \
    X(decoder_heads, "decoder_heads", "mask_decoder_config.num_attention_heads", 8, NULL, 0)                           \
    X(decoder_depth, "decoder_depth", "mask_decoder_config.num_hidden_layers", 0,                                      \
      "sam_mask_decoder.transformer.layers.", -1)                                                                      \
    X(decoder_mlp, "decoder_mlp_dim", "mask_decoder_config.mlp_dim", 0,                                                \
      "sam_mask_decoder.transformer.layers.0.mlp.layers.0.weight", 0)                                                  \
    X(decoder_inner, "decoder_inner_dim", "", 0,                                                                       \
      "sam_mask_decoder.transformer.final_attn_token_to_image.q_proj.weight", 0)                                       \
    X(iou_hidden, "iou_head_hidden_dim", "mask_decoder_config.iou_head_hidden_dim", 0,                                 \
      "sam_mask_decoder.iou_prediction_head.layers.0.weight", 0)                                                       \
    X(mask_in_channels, "mask_in_chans", "prompt_encoder_config.mask_input_channels", 0,                               \
      "sam_prompt_encoder.mask_downscaling.3.weight", 0)                                                               \
    X(n_fuser_layers, "fuser_layers", "memory_fuser_num_layers", 0, "memory_encoder.fuser.layers.", -1)                \
    X(max_pointers, "max_obj_ptrs_in_encoder", "max_object_pointers_in_encoder", 16, NULL, 0)

/* Position of a number in TRK_ARCH_NUMBERS. */
typedef struct trk_arch_number {
    const char *field;
    size_t offset; /* in trk_arch */
    const char *key, *hf_paths;
    int hf_default;
    const char *tensor;
    int dim;
} trk_arch_number;
extern const trk_arch_number trk_arch_numbers[];
extern const size_t trk_arch_n_numbers;

/* The number's place in *arch. */
int *trk_arch_number_at(trk_arch *arch, const trk_arch_number *number);

typedef struct trk_arch_claims {
    trk_arch arch; /* 0 in a number, in stages[0], in window_spec[0]: not said */
    int says_family, says_globals, says_top_down;
} trk_arch_claims;

/* Reads one of the two kinds of JSON. TRK_E_NOT_FOUND: valid JSON, but not about such a model; TRK_E_FORMAT: not JSON;
 * TRK_E_MODEL: a key with a value that cannot be, or that this program cannot honour; the key is named. */
trk_status trk_arch_read_config(trk_arch_claims *out, const char *json);

#endif
