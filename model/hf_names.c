/* SPDX-License-Identifier: Apache-2.0
 * One table of patterns: "#" stands for a number, a final "*" for the rest of the name; both reappear in the official
 * name in the same order. The first pattern that matches counts. */
#include "hf_names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TRUNK          "image_encoder.trunk."
#define DECODER        "sam_mask_decoder."
#define HF_POINT_EMBED "prompt_encoder.point_embed.weight"
#define FOURIER        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"

static const struct {
    const char *hf, *official;
} patterns[] = {
    {"memory_temporal_positional_encoding", "maskmem_tpos_enc"},
    {"no_memory_embedding", "no_mem_embed"},
    {"no_memory_positional_encoding", "no_mem_pos_enc"},
    {"no_object_pointer", "no_obj_ptr"},
    {"occlusion_spatial_embedding_parameter", "no_obj_embed_spatial"},
    {"temporal_positional_encoding_projection_layer.*", "obj_ptr_tpos_proj.*"},
    {"object_pointer_proj.proj_in.*", "obj_ptr_proj.layers.0.*"},
    {"object_pointer_proj.layers.0.*", "obj_ptr_proj.layers.1.*"},
    {"object_pointer_proj.proj_out.*", "obj_ptr_proj.layers.2.*"},
    {"mask_downsample.*", "mask_downsample.*"},
    {"vision_encoder.backbone.pos_embed", TRUNK "pos_embed"},
    {"vision_encoder.backbone.pos_embed_window", TRUNK "pos_embed_window"},
    {"vision_encoder.backbone.patch_embed.projection.*", TRUNK "patch_embed.proj.*"},
    {"vision_encoder.backbone.blocks.#.layer_norm#.*", TRUNK "blocks.#.norm#.*"},
    {"vision_encoder.backbone.blocks.#.mlp.proj_in.*", TRUNK "blocks.#.mlp.layers.0.*"},
    {"vision_encoder.backbone.blocks.#.mlp.proj_out.*", TRUNK "blocks.#.mlp.layers.1.*"},
    {"vision_encoder.backbone.blocks.#.attn.*", TRUNK "blocks.#.attn.*"},
    {"vision_encoder.backbone.blocks.#.proj.*", TRUNK "blocks.#.proj.*"},
    {"vision_encoder.neck.convs.#.*", "image_encoder.neck.convs.#.conv.*"},
    {"memory_attention.layers.#.self_attn.o_proj.*", "memory_attention.layers.#.self_attn.out_proj.*"},
    {"memory_attention.layers.#.cross_attn_image.o_proj.*", "memory_attention.layers.#.cross_attn_image.out_proj.*"},
    {"memory_attention.layers.#.layer_norm#.*", "memory_attention.layers.#.norm#.*"},
    {"memory_attention.layers.#.*", "memory_attention.layers.#.*"},
    {"memory_attention.layer_norm.*", "memory_attention.norm.*"},
    {"memory_encoder.mask_downsampler.layers.0.conv.*", "memory_encoder.mask_downsampler.encoder.0.*"},
    {"memory_encoder.mask_downsampler.layers.0.layer_norm.*", "memory_encoder.mask_downsampler.encoder.1.*"},
    {"memory_encoder.mask_downsampler.layers.1.conv.*", "memory_encoder.mask_downsampler.encoder.3.*"},
    {"memory_encoder.mask_downsampler.layers.1.layer_norm.*", "memory_encoder.mask_downsampler.encoder.4.*"},
    {"memory_encoder.mask_downsampler.layers.2.conv.*", "memory_encoder.mask_downsampler.encoder.6.*"},
    {"memory_encoder.mask_downsampler.layers.2.layer_norm.*", "memory_encoder.mask_downsampler.encoder.7.*"},
    {"memory_encoder.mask_downsampler.layers.3.conv.*", "memory_encoder.mask_downsampler.encoder.9.*"},
    {"memory_encoder.mask_downsampler.layers.3.layer_norm.*", "memory_encoder.mask_downsampler.encoder.10.*"},
    {"memory_encoder.mask_downsampler.final_conv.*", "memory_encoder.mask_downsampler.encoder.12.*"},
    {"memory_encoder.feature_projection.*", "memory_encoder.pix_feat_proj.*"},
    {"memory_encoder.projection.*", "memory_encoder.out_proj.*"},
    {"memory_encoder.memory_fuser.layers.#.scale", "memory_encoder.fuser.layers.#.gamma"},
    {"memory_encoder.memory_fuser.layers.#.depthwise_conv.*", "memory_encoder.fuser.layers.#.dwconv.*"},
    {"memory_encoder.memory_fuser.layers.#.layer_norm.*", "memory_encoder.fuser.layers.#.norm.*"},
    {"memory_encoder.memory_fuser.layers.#.pointwise_conv#.*", "memory_encoder.fuser.layers.#.pwconv#.*"},
    {"prompt_encoder.shared_embedding.positional_embedding", FOURIER},
    {"shared_image_embedding.positional_embedding", FOURIER},
    {"prompt_encoder.not_a_point_embed.*", "sam_prompt_encoder.not_a_point_embed.*"},
    {"prompt_encoder.no_mask_embed.*", "sam_prompt_encoder.no_mask_embed.*"},
    {"prompt_encoder.mask_embed.conv1.*", "sam_prompt_encoder.mask_downscaling.0.*"},
    {"prompt_encoder.mask_embed.layer_norm1.*", "sam_prompt_encoder.mask_downscaling.1.*"},
    {"prompt_encoder.mask_embed.conv2.*", "sam_prompt_encoder.mask_downscaling.3.*"},
    {"prompt_encoder.mask_embed.layer_norm2.*", "sam_prompt_encoder.mask_downscaling.4.*"},
    {"prompt_encoder.mask_embed.conv3.*", "sam_prompt_encoder.mask_downscaling.6.*"},
    {"mask_decoder.transformer.layers.#.layer_norm#.*", DECODER "transformer.layers.#.norm#.*"},
    {"mask_decoder.transformer.layers.#.mlp.proj_in.*", DECODER "transformer.layers.#.mlp.layers.0.*"},
    {"mask_decoder.transformer.layers.#.mlp.proj_out.*", DECODER "transformer.layers.#.mlp.layers.1.*"},
    {"mask_decoder.transformer.layers.#.self_attn.o_proj.*", DECODER "transformer.layers.#.self_attn.out_proj.*"},
    {"mask_decoder.transformer.layers.#.cross_attn_token_to_image.o_proj.*",
     DECODER "transformer.layers.#.cross_attn_token_to_image.out_proj.*"},
    {"mask_decoder.transformer.layers.#.cross_attn_image_to_token.o_proj.*",
     DECODER "transformer.layers.#.cross_attn_image_to_token.out_proj.*"},
    {"mask_decoder.transformer.layers.#.*", DECODER "transformer.layers.#.*"},
    {"mask_decoder.transformer.final_attn_token_to_image.o_proj.*",
     DECODER "transformer.final_attn_token_to_image.out_proj.*"},
    {"mask_decoder.transformer.final_attn_token_to_image.*", DECODER "transformer.final_attn_token_to_image.*"},
    {"mask_decoder.transformer.layer_norm_final_attn.*", DECODER "transformer.norm_final_attn.*"},
    {"mask_decoder.iou_token.*", DECODER "iou_token.*"},
    {"mask_decoder.mask_tokens.*", DECODER "mask_tokens.*"},
    {"mask_decoder.obj_score_token.*", DECODER "obj_score_token.*"},
    {"mask_decoder.conv_s0.*", DECODER "conv_s0.*"},
    {"mask_decoder.conv_s1.*", DECODER "conv_s1.*"},
    {"mask_decoder.upscale_conv1.*", DECODER "output_upscaling.0.*"},
    {"mask_decoder.upscale_layer_norm.*", DECODER "output_upscaling.1.*"},
    {"mask_decoder.upscale_conv2.*", DECODER "output_upscaling.3.*"},
    {"mask_decoder.output_hypernetworks_mlps.#.proj_in.*", DECODER "output_hypernetworks_mlps.#.layers.0.*"},
    {"mask_decoder.output_hypernetworks_mlps.#.layers.0.*", DECODER "output_hypernetworks_mlps.#.layers.1.*"},
    {"mask_decoder.output_hypernetworks_mlps.#.proj_out.*", DECODER "output_hypernetworks_mlps.#.layers.2.*"},
    {"mask_decoder.iou_prediction_head.proj_in.*", DECODER "iou_prediction_head.layers.0.*"},
    {"mask_decoder.iou_prediction_head.layers.0.*", DECODER "iou_prediction_head.layers.1.*"},
    {"mask_decoder.iou_prediction_head.proj_out.*", DECODER "iou_prediction_head.layers.2.*"},
    {"mask_decoder.pred_obj_score_head.proj_in.*", DECODER "pred_obj_score_head.layers.0.*"},
    {"mask_decoder.pred_obj_score_head.layers.0.*", DECODER "pred_obj_score_head.layers.1.*"},
    {"mask_decoder.pred_obj_score_head.proj_out.*", DECODER "pred_obj_score_head.layers.2.*"},
};

typedef struct captured {
    const char *numbers[4];
    int lengths[4], n;
    const char *rest;
} captured;

static int match(const char *pattern, const char *name, captured *c)
{
    c->n = 0;
    c->rest = "";
    for (; *pattern; pattern++) {
        if (*pattern == '*') {
            c->rest = name;
            return *name != 0;
        }
        if (*pattern == '#') {
            const char *start = name;
            while (isdigit((unsigned char)*name))
                name++;
            if (name == start || name - start > 9)
                return 0;
            c->numbers[c->n] = start;
            c->lengths[c->n++] = (int)(name - start);
        } else if (*name++ != *pattern) {
            return 0;
        }
    }
    return *name == 0;
}

static int fill_in(char *out, size_t out_bytes, const char *pattern, const captured *c)
{
    size_t used = 0;
    int next = 0;
    for (; *pattern && used < out_bytes; pattern++) {
        if (*pattern == '*')
            used += (size_t)snprintf(out + used, out_bytes - used, "%s", c->rest);
        else if (*pattern == '#') {
            used += (size_t)snprintf(out + used, out_bytes - used, "%.*s", c->lengths[next], c->numbers[next]);
            next++;
        } else
            out[used++] = *pattern;
    }
    if (used >= out_bytes)
        return 0;
    out[used] = 0;
    return 1;
}

int trk_hf_name_to_official(char *out, size_t out_bytes, const char *name)
{
    captured c;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (match(patterns[i].hf, name, &c))
            return fill_in(out, out_bytes, patterns[i].official, &c);
    return 0;
}

/* The port's names are told by the trunk's position table, whatever stands in front of it. */
static int find_prefix(const trk_tensor_list *tensors, size_t *prefix_bytes, const char **prefix)
{
    static const char mark[] = "vision_encoder.backbone.pos_embed";
    for (size_t i = 0; i < tensors->n; i++) {
        const char *name = tensors->items[i].name, *at = strstr(name, mark);
        if (at && at[sizeof mark - 1] == 0 && (at == name || at[-1] == '.')) {
            *prefix = name;
            *prefix_bytes = (size_t)(at - name);
            return 1;
        }
    }
    return 0;
}

/* Row r of tensor i, [4, d], becomes point_embeddings.r, [1, d]; the first takes the place of the whole. */
static trk_status split_point_embed(trk_tensor_list *tensors, size_t i)
{
    trk_tensor row = tensors->items[i];
    row.dims[0] = 1;
    row.n_elements /= 4;
    size_t row_bytes = row.n_elements * trk_dtype_bytes(row.dtype);
    for (int r = 1; r < 4; r++) {
        char name[80];
        trk_tensor view = row;
        view.data = (const char *)row.data + (size_t)r * row_bytes;
        snprintf(name, sizeof name, "sam_prompt_encoder.point_embeddings.%d.weight", r);
        trk_status rc = trk_tensor_list_add(tensors, name, strlen(name), &view);
        if (rc < 0)
            return rc;
    }
    row.name = tensors->items[i].name;
    tensors->items[i] = row;
    return trk_tensor_list_rename(tensors, i, "sam_prompt_encoder.point_embeddings.0.weight");
}

static int same_content(const trk_tensor *a, const trk_tensor *b)
{
    if (a->dtype != b->dtype || a->n_dims != b->n_dims || a->n_elements != b->n_elements)
        return 0;
    for (int i = 0; i < a->n_dims; i++)
        if (a->dims[i] != b->dims[i])
            return 0;
    return !a->n_elements || memcmp(a->data, b->data, a->n_elements * trk_dtype_bytes(a->dtype)) == 0;
}

static trk_status drop_second_fourier_matrix(trk_tensor_list *tensors)
{
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < tensors->n; i++) {
        if (strcmp(tensors->items[i].name, FOURIER) != 0)
            continue;
        if (first == SIZE_MAX) {
            first = i;
            continue;
        }
        if (!same_content(&tensors->items[first], &tensors->items[i]))
            return TRK_FAIL(TRK_E_FORMAT, "prompt_encoder.shared_embedding.positional_embedding and "
                                          "shared_image_embedding.positional_embedding differ, expected one matrix");
        trk_tensor_list_remove(tensors, i);
        return TRK_OK;
    }
    return TRK_OK;
}

trk_status trk_hf_names_apply(trk_tensor_list *tensors, int *found)
{
    const char *first = "";
    char prefix[1025], official[1280];
    size_t prefix_bytes = 0;
    *found = find_prefix(tensors, &prefix_bytes, &first);
    if (!*found)
        return TRK_OK;
    snprintf(prefix, sizeof prefix, "%.*s", (int)prefix_bytes, first);
    for (size_t i = 0, n = tensors->n; i < n; i++) {
        const trk_tensor *tensor = &tensors->items[i];
        trk_status rc = TRK_OK;
        if (strncmp(tensor->name, prefix, prefix_bytes) != 0)
            continue;
        const char *name = tensor->name + prefix_bytes;
        if (strcmp(name, HF_POINT_EMBED) == 0 && tensor->n_dims == 2 && tensor->dims[0] == 4)
            rc = split_point_embed(tensors, i);
        else if (trk_hf_name_to_official(official, sizeof official, name))
            rc = trk_tensor_list_rename(tensors, i, official);
        if (rc < 0)
            return rc;
    }
    return drop_second_fourier_matrix(tensors);
}
