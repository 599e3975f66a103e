/* SPDX-License-Identifier: Apache-2.0
 * Names and shapes are those of the official state dict: linear [out, in], convolution [out, in / groups, k, k],
 * transposed convolution [in, out, k, k]. */
#include "arch_inventory.h"

#include "heap.h"
#include "tensor_list.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- names and shapes ---------------------------------------------------------------------------------------- */

typedef struct walk {
    trk_inventory_visit visit;
    void *user;
    trk_status status; /* first failure; once failed nothing more is visited */
    char prefix[96];
} walk;

__attribute__((format(printf, 2, 3))) static void enter(walk *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->prefix, sizeof w->prefix, format, args);
    va_end(args);
}

/* One tensor, named prefix + name + suffix; dims end with 0. */
static void one(walk *w, const char *name, const char *suffix, const int64_t *dims)
{
    char full[192];
    int n_dims = 0;
    while (dims[n_dims])
        n_dims++;
    snprintf(full, sizeof full, "%s%s%s", w->prefix, name, suffix);
    if (w->status >= 0)
        w->status = w->visit(w->user, full, n_dims, dims);
}

#define TENSOR(w, name, ...) one((w), (name), "", (const int64_t[]){__VA_ARGS__, 0})
/* weight of the shape given, and bias[n] */
#define LAYER(w, name, n, ...)                                                                                         \
    do {                                                                                                               \
        one((w), (name), ".weight", (const int64_t[]){__VA_ARGS__, 0});                                                \
        one((w), (name), ".bias", (const int64_t[]){(n), 0});                                                          \
    } while (0)

static void linear(walk *w, const char *name, int64_t n_out, int64_t n_in)
{
    LAYER(w, name, n_out, n_out, n_in);
}

static void norm(walk *w, const char *name, int64_t n)
{
    LAYER(w, name, n, n);
}

static void convolution(walk *w, const char *name, int64_t n_out, int64_t n_in, int64_t kernel)
{
    LAYER(w, name, n_out, n_out, n_in, kernel, kernel);
}

static void attention(walk *w, const char *name, int64_t width, int64_t inner, int64_t kv_width)
{
    static const char *const parts[3] = {"q_proj", "k_proj", "v_proj"};
    char layer[96];
    for (int i = 0; i < 3; i++) {
        snprintf(layer, sizeof layer, "%s.%s", name, parts[i]);
        linear(w, layer, inner, i ? kv_width : width);
    }
    snprintf(layer, sizeof layer, "%s.out_proj", name);
    linear(w, layer, width, inner);
}

/* layers.0 .. layers.2 */
static void three_layers(walk *w, int64_t n_in, int64_t hidden, int64_t n_out)
{
    linear(w, "layers.0", hidden, n_in);
    linear(w, "layers.1", hidden, hidden);
    linear(w, "layers.2", n_out, hidden);
}

/* --- modules ------------------------------------------------------------------------------------------------- */

static void walk_trunk(walk *w, const trk_arch *arch)
{
    int64_t in = arch->embed_dim, out = in;
    int block = 0;
    enter(w, "image_encoder.trunk.");
    TENSOR(w, "pos_embed", 1, in, arch->bkg_size, arch->bkg_size);
    TENSOR(w, "pos_embed_window", 1, in, arch->window_pos_size, arch->window_pos_size);
    convolution(w, "patch_embed.proj", in, 3, 7);
    for (int stage = 0; stage < 4; stage++) {
        for (int i = 0; i < arch->stages[stage]; i++, block++) {
            if (stage && i == 0)
                out = 2 * in;
            enter(w, "image_encoder.trunk.blocks.%d.", block);
            norm(w, "norm1", in);
            linear(w, "attn.qkv", 3 * out, in);
            linear(w, "attn.proj", out, out);
            norm(w, "norm2", out);
            linear(w, "mlp.layers.0", 4 * out, out);
            linear(w, "mlp.layers.1", out, 4 * out);
            if (out != in)
                linear(w, "proj", out, in);
            in = out;
        }
    }
    for (int i = 0; i < 4; i++) {
        enter(w, "image_encoder.neck.convs.%d.", i);
        convolution(w, "conv", arch->d_model, (int64_t)arch->embed_dim << (3 - i), 1);
    }
}

static void walk_memory_attention(walk *w, const trk_arch *arch)
{
    int64_t d = arch->d_model;
    for (int i = 0; i < arch->n_mem_layers; i++) {
        enter(w, "memory_attention.layers.%d.", i);
        attention(w, "self_attn", d, d, d);
        attention(w, "cross_attn_image", d, d, arch->mem_dim);
        linear(w, "linear1", arch->mem_ffn, d);
        linear(w, "linear2", d, arch->mem_ffn);
        norm(w, "norm1", d);
        norm(w, "norm2", d);
        norm(w, "norm3", d);
    }
    enter(w, "memory_attention.");
    norm(w, "norm", d);
}

static void walk_memory_encoder(walk *w, const trk_arch *arch)
{
    int64_t d = arch->d_model, channels = 1;
    char name[16];
    enter(w, "memory_encoder.mask_downsampler.encoder.");
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%d", 3 * i);
        convolution(w, name, 4 * channels, channels, 3);
        channels *= 4;
        snprintf(name, sizeof name, "%d", 3 * i + 1);
        norm(w, name, channels);
    }
    convolution(w, "12", d, channels, 1);
    enter(w, "memory_encoder.");
    convolution(w, "pix_feat_proj", d, d, 1);
    for (int i = 0; i < arch->n_fuser_layers; i++) {
        enter(w, "memory_encoder.fuser.layers.%d.", i);
        TENSOR(w, "gamma", d);
        convolution(w, "dwconv", d, 1, 7);
        norm(w, "norm", d);
        linear(w, "pwconv1", 4 * d, d);
        linear(w, "pwconv2", d, 4 * d);
    }
    enter(w, "memory_encoder.");
    if (arch->mem_dim < d)
        convolution(w, "out_proj", arch->mem_dim, d, 1);
}

static void walk_prompt_encoder(walk *w, const trk_arch *arch)
{
    int64_t d = arch->d_model, channels = arch->mask_in_channels;
    enter(w, "sam_prompt_encoder.");
    TENSOR(w, "pe_layer.positional_encoding_gaussian_matrix", 2, d / 2);
    TENSOR(w, "point_embeddings.0.weight", 1, d);
    TENSOR(w, "point_embeddings.1.weight", 1, d);
    TENSOR(w, "point_embeddings.2.weight", 1, d);
    TENSOR(w, "point_embeddings.3.weight", 1, d);
    TENSOR(w, "not_a_point_embed.weight", 1, d);
    convolution(w, "mask_downscaling.0", channels / 4, 1, 2);
    norm(w, "mask_downscaling.1", channels / 4);
    convolution(w, "mask_downscaling.3", channels, channels / 4, 2);
    norm(w, "mask_downscaling.4", channels);
    convolution(w, "mask_downscaling.6", d, channels, 1);
    TENSOR(w, "no_mask_embed.weight", 1, d);
}

static void walk_two_way_transformer(walk *w, const trk_arch *arch)
{
    int64_t d = arch->d_model, inner = arch->decoder_inner;
    for (int i = 0; i < arch->decoder_depth; i++) {
        enter(w, "sam_mask_decoder.transformer.layers.%d.", i);
        attention(w, "self_attn", d, d, d);
        norm(w, "norm1", d);
        attention(w, "cross_attn_token_to_image", d, inner, d);
        norm(w, "norm2", d);
        linear(w, "mlp.layers.0", arch->decoder_mlp, d);
        linear(w, "mlp.layers.1", d, arch->decoder_mlp);
        norm(w, "norm3", d);
        norm(w, "norm4", d);
        attention(w, "cross_attn_image_to_token", d, inner, d);
    }
    enter(w, "sam_mask_decoder.transformer.");
    attention(w, "final_attn_token_to_image", d, inner, d);
    norm(w, "norm_final_attn", d);
}

static void walk_mask_decoder(walk *w, const trk_arch *arch)
{
    int64_t d = arch->d_model;
    walk_two_way_transformer(w, arch);
    enter(w, "sam_mask_decoder.");
    TENSOR(w, "iou_token.weight", 1, d);
    TENSOR(w, "mask_tokens.weight", 4, d);
    TENSOR(w, "obj_score_token.weight", 1, d);
    LAYER(w, "output_upscaling.0", d / 4, d, d / 4, 2, 2);
    norm(w, "output_upscaling.1", d / 4);
    LAYER(w, "output_upscaling.3", d / 8, d / 4, d / 8, 2, 2);
    convolution(w, "conv_s0", d / 8, d, 1);
    convolution(w, "conv_s1", d / 4, d, 1);
    for (int i = 0; i < 4; i++) {
        enter(w, "sam_mask_decoder.output_hypernetworks_mlps.%d.", i);
        three_layers(w, d, d, d / 8);
    }
    enter(w, "sam_mask_decoder.iou_prediction_head.");
    three_layers(w, d, arch->iou_hidden, 4);
    enter(w, "sam_mask_decoder.pred_obj_score_head.");
    three_layers(w, d, d, 1);
}

static void walk_memory_head(walk *w, const trk_arch *arch)
{
    int64_t d = arch->d_model;
    enter(w, "%s", "");
    TENSOR(w, "maskmem_tpos_enc", arch->num_maskmem, 1, 1, arch->mem_dim);
    TENSOR(w, "no_mem_embed", 1, 1, d);
    TENSOR(w, "no_mem_pos_enc", 1, 1, d);
    TENSOR(w, "no_obj_ptr", 1, d);
    convolution(w, "mask_downsample", 1, 1, 4);
    if (arch->is_21) {
        TENSOR(w, "no_obj_embed_spatial", 1, arch->mem_dim);
        linear(w, "obj_ptr_tpos_proj", arch->mem_dim, d);
    }
    enter(w, "obj_ptr_proj.");
    three_layers(w, d, d, d);
}

trk_status trk_arch_inventory(const trk_arch *arch, trk_inventory_visit visit, void *user)
{
    walk w = {visit, user, TRK_OK, ""};
    walk_trunk(&w, arch);
    walk_memory_attention(&w, arch);
    walk_memory_encoder(&w, arch);
    walk_prompt_encoder(&w, arch);
    walk_mask_decoder(&w, arch);
    walk_memory_head(&w, arch);
    return w.status;
}

/* --- comparison ---------------------------------------------------------------------------------------------- */

typedef struct comparison {
    const trk_checkpoint *checkpoint;
    unsigned char *expected; /* [count] 1: the inventory has this tensor */
    trk_arch_report report;
    void *user;
} comparison;

static trk_status compare_one(void *user, const char *name, int n_dims, const int64_t *dims)
{
    comparison *c = user;
    const trk_tensor *found = trk_checkpoint_find(c->checkpoint, name);
    if (!found) {
        c->report(c->user, TRK_ARCH_MISSING, name, n_dims, dims, NULL);
        return TRK_OK;
    }
    c->expected[found - trk_checkpoint_at(c->checkpoint, 0)] = 1;
    if (found->n_dims != n_dims || memcmp(found->dims, dims, (size_t)n_dims * sizeof *dims) != 0)
        c->report(c->user, TRK_ARCH_MISSHAPEN, name, n_dims, dims, found);
    return TRK_OK;
}

trk_status trk_arch_compare(const trk_arch *arch, const trk_checkpoint *checkpoint, trk_arch_report report, void *user)
{
    size_t n = trk_checkpoint_count(checkpoint);
    comparison c = {checkpoint, trk_heap_zeroed(TRK_MEM_SCRATCH, "tensor comparison", n + 1, 1), report, user};
    if (!c.expected)
        return TRK_FAIL(TRK_E_MEMORY, "no memory to compare %zu tensors", n);
    trk_status rc = trk_arch_inventory(arch, compare_one, &c);
    for (size_t i = 0; rc == TRK_OK && i < n; i++) {
        const trk_tensor *tensor = trk_checkpoint_at(checkpoint, i);
        if (!c.expected[i])
            report(user, TRK_ARCH_UNKNOWN, tensor->name, tensor->n_dims, NULL, tensor);
    }
    trk_heap_release(c.expected);
    return rc;
}

typedef struct verdict {
    char first[700];
    size_t n;
} verdict;

static void note_first(void *user, trk_arch_difference difference, const char *name, int n_dims,
                       const int64_t *expected, const trk_tensor *found)
{
    verdict *v = user;
    char have[160] = "", want[160] = "";
    if (v->n++)
        return;
    if (found)
        trk_dims_text(have, sizeof have, found->n_dims, found->dims);
    if (expected)
        trk_dims_text(want, sizeof want, n_dims, expected);
    if (difference == TRK_ARCH_MISSING)
        snprintf(v->first, sizeof v->first, "tensor \"%.200s\" %s is missing", name, want);
    else if (difference == TRK_ARCH_MISSHAPEN)
        snprintf(v->first, sizeof v->first, "tensor \"%.200s\" has shape %s, expected %s", name, have, want);
    else
        snprintf(v->first, sizeof v->first, "unknown tensor \"%.200s\" %s", name, have);
}

trk_status trk_arch_verify(const trk_arch *arch, const trk_checkpoint *checkpoint)
{
    verdict v = {"", 0};
    trk_status rc = trk_arch_compare(arch, checkpoint, note_first, &v);
    if (rc < 0 || v.n == 0)
        return rc;
    if (v.n == 1)
        return TRK_FAIL(TRK_E_MODEL, "%s", v.first);
    return TRK_FAIL(TRK_E_MODEL, "%s; %zu more tensors are missing, unknown or misshapen", v.first, v.n - 1);
}
