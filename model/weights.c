/* SPDX-License-Identifier: Apache-2.0
 * From named tensors to layers. Besides copying, a few exact rewrites are made here, once:
 * - the neck's lateral convolutions of levels 0 and 1 absorb the mask decoder's conv_s0 / conv_s1 (no top-down path
 *   ends there), saving their 256-channel maps;
 * - out_proj . v_proj of the memory cross-attention become one matrix, so that values are summed mem_dim wide;
 * - the fuser's layer scale goes into the projection before it;
 * - 2x2 stride-2 transposed convolutions become plain products (see depth_to_space2x).
 * Folding is done in double.
 *
 * Everything is built on the host. For a backend with memory of its own, layers are packed there as they come, and at the
 * end the other constants follow, block by block: `keep` has written down which pointers of the model have to follow
 * them, and what nobody kept is freed. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "heap.h"
#include "model.h"
#include "positions.h"

typedef struct loader {
    trk_network_model *model;
    const trk_checkpoint *checkpoint;
    trk_status status; /* first failure; later calls do nothing */
    const float ***kept; /* addresses of the model's pointers to constants; [n_kept] owned */
    size_t n_kept, kept_capacity;
} loader;

/* `list` with room for one element behind its n; NULL: no memory, it stays. */
static void *one_more(void *list, size_t n, size_t *capacity, size_t element)
{
    return trk_heap_grown(list, capacity, n + 1, element, TRK_MEM_PINNED, "list of layers");
}

/* Keeps the first failure. */
static void note(loader *l, trk_status status)
{
    if (l->status >= 0)
        l->status = status;
}

/* n floats, pinned until the model goes */
static float *pin_as(loader *l, const char *owner, size_t n, int is_table)
{
    trk_network_model *m = l->model;
    if (l->status < 0)
        return NULL;
    trk_pinned *list = one_more(m->pinned, m->n_pinned, &m->pinned_capacity, sizeof *list);
    float *data = NULL;
    const int staged = !m->memory->on_host;
    if (list) {
        m->pinned = list;
        data = staged ? trk_heap_allocate(TRK_MEM_PINNED, owner, n * sizeof *data)
                      : trk_ledger_allocate(&m->ledger, TRK_MEM_PINNED, owner, n * sizeof *data);
    }
    if (!data) {
        note(l, TRK_FAIL(TRK_E_MEMORY, "no memory for %zu bytes of %s", n * sizeof *data, owner));
        return NULL;
    }
    list[m->n_pinned++] =
        (trk_pinned){.data = data, .bytes = n * sizeof *data, .owner = owner, .is_table = is_table, .on_host = staged};
    return data;
}

static float *pin(loader *l, const char *owner, size_t n)
{
    return pin_as(l, owner, n, 0);
}

static float *pin_table(loader *l, const char *owner, size_t n)
{
    return pin_as(l, owner, n, 1);
}

/* the elements of a tensor, pinned f32; the name is a printf format */
__attribute__((format(printf, 2, 3))) static float *load(loader *l, const char *format, ...)
{
    char name[160];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    if (l->status < 0)
        return NULL;
    const trk_tensor *tensor = trk_checkpoint_find(l->checkpoint, name);
    if (!tensor) {
        note(l, TRK_FAIL(TRK_E_MODEL, "tensor %s is missing", name));
        return NULL;
    }
    float *data = pin(l, "weights", tensor->n_elements);
    if (data)
        trk_tensor_to_f32(tensor, data);
    return data;
}

/* The same, for constants the host computes with: they stay there. */
static const float *load_for_host(loader *l, const char *name)
{
    const float *data = load(l, "%s", name);
    if (data)
        l->model->pinned[l->model->n_pinned - 1].stays = 1;
    return data;
}

/* *slot = data, a constant that operators read; *slot lies in the model and follows the constant to its device. */
static void keep(loader *l, const float **slot, const float *data)
{
    *slot = data;
    const float ***list = one_more(l->kept, l->n_kept, &l->kept_capacity, sizeof *list);
    if (!list) {
        note(l, TRK_FAIL(TRK_E_MEMORY, "no memory for a list of constants"));
        return;
    }
    l->kept = list;
    list[l->n_kept++] = slot;
}

static void register_linear(loader *l, trk_linear *layer)
{
    trk_network_model *m = l->model;
    if (l->status < 0)
        return;
    trk_linear **list = one_more(m->linears, m->n_linears, &m->linears_capacity, sizeof *list);
    if (!list) {
        note(l, TRK_FAIL(TRK_E_MEMORY, "no memory for the list of layers"));
        return;
    }
    m->linears = list;
    note(l, trk_linear_prepare(layer, m->backend, &m->ledger.allocator));
    list[m->n_linears++] = layer;
}

static void register_conv(loader *l, trk_conv *layer)
{
    trk_network_model *m = l->model;
    if (l->status < 0)
        return;
    trk_conv **list = one_more(m->convs, m->n_convs, &m->convs_capacity, sizeof *list);
    if (!list) {
        note(l, TRK_FAIL(TRK_E_MEMORY, "no memory for the list of layers"));
        return;
    }
    m->convs = list;
    note(l, trk_conv_prepare(layer, m->backend, &m->ledger.allocator));
    list[m->n_convs++] = layer;
}

static void make_linear(loader *l, trk_linear *layer, int n_out, int n_in, const float *weight, const float *bias)
{
    *layer = (trk_linear){.n_in = n_in, .n_out = n_out, .weight = weight, .bias = bias};
    register_linear(l, layer);
}

static void load_linear(loader *l, trk_linear *layer, int n_out, int n_in, const char *prefix)
{
    float *weight = load(l, "%s.weight", prefix), *bias = load(l, "%s.bias", prefix);
    make_linear(l, layer, n_out, n_in, weight, bias);
}

static void load_norm(loader *l, trk_norm *norm, const char *prefix)
{
    keep(l, &norm->gamma, load(l, "%s.weight", prefix));
    keep(l, &norm->beta, load(l, "%s.bias", prefix));
}

static void load_conv(loader *l, trk_conv *conv, int in, int out, int kernel, int stride, int padding, int groups,
                      const char *prefix)
{
    *conv = (trk_conv){.in_channels = in, .out_channels = out, .kernel = kernel, .stride = stride, .padding = padding,
                       .groups = groups, .weight = load(l, "%s.weight", prefix), .bias = load(l, "%s.bias", prefix)};
    register_conv(l, conv);
}

#define NAME(buffer, ...) (snprintf(buffer, sizeof buffer, __VA_ARGS__), buffer)

/* the product of two layers applied one after the other: out = second(first(x)); [n_out, n_in], both folded in double */
static void make_product(loader *l, trk_linear *layer, int n_out, int n_mid, int n_in, const float *second,
                         const float *second_bias, const float *first, const float *first_bias)
{
    float *weight = pin(l, "weights", (size_t)n_out * n_in), *bias = pin(l, "weights", (size_t)n_out);
    if (l->status < 0)
        return;
    for (int o = 0; o < n_out; o++) {
        double b = second_bias[o];
        for (int m = 0; m < n_mid; m++)
            b += (double)second[(size_t)o * n_mid + m] * first_bias[m];
        bias[o] = (float)b;
        for (int i = 0; i < n_in; i++) {
            double w = 0.0;
            for (int m = 0; m < n_mid; m++)
                w += (double)second[(size_t)o * n_mid + m] * first[(size_t)m * n_in + i];
            weight[(size_t)o * n_in + i] = (float)w;
        }
    }
    make_linear(l, layer, n_out, n_in, weight, bias);
}

static void load_mlp(loader *l, trk_mlp *mlp, int n_in, int hidden, int n_out, const char *prefix)
{
    char name[160];
    load_linear(l, &mlp->layers[0], hidden, n_in, NAME(name, "%s.layers.0", prefix));
    load_linear(l, &mlp->layers[1], hidden, hidden, NAME(name, "%s.layers.1", prefix));
    load_linear(l, &mlp->layers[2], n_out, hidden, NAME(name, "%s.layers.2", prefix));
}

static void load_attention(loader *l, trk_attention_layer *a, int d, int inner, int heads, const char *prefix)
{
    char name[160];
    a->heads = heads;
    load_linear(l, &a->q, inner, d, NAME(name, "%s.q_proj", prefix));
    load_linear(l, &a->k, inner, d, NAME(name, "%s.k_proj", prefix));
    load_linear(l, &a->v, inner, d, NAME(name, "%s.v_proj", prefix));
    load_linear(l, &a->out, d, inner, NAME(name, "%s.out_proj", prefix));
}

/* Schedule of the trunk: a block's window is that of the PREVIOUS block's stage. Upstream: backbones/hieradet.py, Hiera. */
static void load_block(loader *l, trk_trunk_block *b, int i, int stage, int previous_stage, int ends_stage)
{
    const trk_arch *a = &l->model->arch;
    char p[96], name[160];
    snprintf(p, sizeof p, "image_encoder.trunk.blocks.%d", i);
    b->stage = stage;
    b->ends_stage = ends_stage;
    b->pool = stage != previous_stage;
    b->dim_in = a->embed_dim << previous_stage;
    b->dim_out = a->embed_dim << stage;
    b->heads = a->num_heads << stage;
    b->window = a->is_global[i] ? 0 : a->window_spec[previous_stage];
    load_norm(l, &b->norm1, NAME(name, "%s.norm1", p));
    load_norm(l, &b->norm2, NAME(name, "%s.norm2", p));
    load_linear(l, &b->qkv, 3 * b->dim_out, b->dim_in, NAME(name, "%s.attn.qkv", p));
    keep(l, &b->qkv_bias, b->qkv.bias);
    load_linear(l, &b->proj, b->dim_out, b->dim_out, NAME(name, "%s.attn.proj", p));
    load_linear(l, &b->mlp0, 4 * b->dim_out, b->dim_out, NAME(name, "%s.mlp.layers.0", p));
    load_linear(l, &b->mlp1, b->dim_out, 4 * b->dim_out, NAME(name, "%s.mlp.layers.1", p));
    if (b->dim_in != b->dim_out)
        load_linear(l, &b->shortcut, b->dim_out, b->dim_in, NAME(name, "%s.proj", p));
}

static void load_trunk(loader *l)
{
    trk_network_model *m = l->model;
    const trk_arch *a = &m->arch;
    load_conv(l, &m->weights.patch_embed, 3, a->embed_dim, 7, 4, 3, 1, "image_encoder.trunk.patch_embed.proj");
    m->weights.blocks = trk_heap_zeroed(TRK_MEM_PINNED, "trunk blocks", (size_t)a->n_blocks, sizeof *m->weights.blocks);
    if (!m->weights.blocks) {
        note(l, TRK_FAIL(TRK_E_MEMORY, "no memory for %d trunk blocks", a->n_blocks));
        return;
    }
    int i = 0;
    for (int stage = 0; stage < 4; stage++)
        for (int k = 0; k < a->stages[stage]; k++, i++)
            load_block(l, &m->weights.blocks[i], i, stage, stage && !k ? stage - 1 : stage, k == a->stages[stage] - 1);
}

static void load_neck(loader *l)
{
    trk_weights *w = &l->model->weights;
    const trk_arch *a = &l->model->arch;
    int d = a->d_model, fine[2] = {d / 8, d / 4};
    char name[160];
    for (int level = 0; level < 4; level++) {
        snprintf(name, sizeof name, "image_encoder.neck.convs.%d.conv", 3 - level);
        int channels = a->embed_dim << level;
        if (level >= 2) {
            load_linear(l, &w->lateral[level], d, channels, name);
            continue;
        }
        float *lateral = load(l, "%s.weight", name), *lateral_bias = load(l, "%s.bias", name);
        float *head = load(l, "sam_mask_decoder.conv_s%d.weight", level);
        float *head_bias = load(l, "sam_mask_decoder.conv_s%d.bias", level);
        make_product(l, &w->lateral[level], fine[level], d, channels, head, head_bias, lateral, lateral_bias);
    }
}

static void load_prompt_encoder(loader *l)
{
    trk_weights *w = &l->model->weights;
    int d = l->model->arch.d_model, c = l->model->arch.mask_in_channels;
    char name[64];
    w->gaussian = load_for_host(l, "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix");
    for (int i = 0; i < 4; i++)
        w->point_embed[i] = load_for_host(l, NAME(name, "sam_prompt_encoder.point_embeddings.%d.weight", i));
    w->not_a_point = load_for_host(l, "sam_prompt_encoder.not_a_point_embed.weight");
    keep(l, &w->no_mask, load(l, "sam_prompt_encoder.no_mask_embed.weight"));
    load_conv(l, &w->mask_conv[0], 1, c / 4, 2, 2, 0, 1, "sam_prompt_encoder.mask_downscaling.0");
    load_norm(l, &w->mask_norm[0], "sam_prompt_encoder.mask_downscaling.1");
    load_conv(l, &w->mask_conv[1], c / 4, c, 2, 2, 0, 1, "sam_prompt_encoder.mask_downscaling.3");
    load_norm(l, &w->mask_norm[1], "sam_prompt_encoder.mask_downscaling.4");
    load_conv(l, &w->mask_conv[2], c, d, 1, 1, 0, 1, "sam_prompt_encoder.mask_downscaling.6");
    load_conv(l, &w->mask_downsample, 1, 1, 4, 4, 0, 1, "mask_downsample");
}

/* ConvTranspose2d weight [in, out, 2, 2] -> [(ky * 2 + kx) * out + o, in] */
static void load_transposed(loader *l, trk_linear *layer, int n_in, int n_out, const char *prefix)
{
    float *source = load(l, "%s.weight", prefix), *source_bias = load(l, "%s.bias", prefix);
    float *weight = pin(l, "weights", (size_t)4 * n_out * n_in), *bias = pin(l, "weights", (size_t)4 * n_out);
    if (l->status < 0)
        return;
    for (int k = 0; k < 4; k++)
        for (int o = 0; o < n_out; o++) {
            bias[k * n_out + o] = source_bias[o];
            for (int i = 0; i < n_in; i++)
                weight[((size_t)k * n_out + o) * n_in + i] = source[((size_t)i * n_out + o) * 4 + k];
        }
    make_linear(l, layer, 4 * n_out, n_in, weight, bias);
}

static void load_two_way_layer(loader *l, trk_two_way_layer *t, int i)
{
    const trk_arch *a = &l->model->arch;
    int d = a->d_model;
    char p[96], name[160];
    snprintf(p, sizeof p, "sam_mask_decoder.transformer.layers.%d", i);
    load_attention(l, &t->self, d, d, a->decoder_heads, NAME(name, "%s.self_attn", p));
    load_attention(l, &t->token_to_image, d, a->decoder_inner, a->decoder_heads,
                   NAME(name, "%s.cross_attn_token_to_image", p));
    load_attention(l, &t->image_to_token, d, a->decoder_inner, a->decoder_heads,
                   NAME(name, "%s.cross_attn_image_to_token", p));
    load_linear(l, &t->mlp0, a->decoder_mlp, d, NAME(name, "%s.mlp.layers.0", p));
    load_linear(l, &t->mlp1, d, a->decoder_mlp, NAME(name, "%s.mlp.layers.1", p));
    load_norm(l, &t->norm1, NAME(name, "%s.norm1", p));
    load_norm(l, &t->norm2, NAME(name, "%s.norm2", p));
    load_norm(l, &t->norm3, NAME(name, "%s.norm3", p));
    load_norm(l, &t->norm4, NAME(name, "%s.norm4", p));
}

static void load_mask_decoder(loader *l)
{
    trk_weights *w = &l->model->weights;
    const trk_arch *a = &l->model->arch;
    int d = a->d_model;
    char name[160];
    float *score = load(l, "sam_mask_decoder.obj_score_token.weight"), *iou = load(l, "sam_mask_decoder.iou_token.weight");
    float *masks = load(l, "sam_mask_decoder.mask_tokens.weight"), *tokens = pin(l, "weights", (size_t)6 * d);
    if (l->status < 0)
        return;
    memcpy(tokens, score, (size_t)d * sizeof *tokens);
    memcpy(tokens + d, iou, (size_t)d * sizeof *tokens);
    memcpy(tokens + 2 * (size_t)d, masks, (size_t)4 * d * sizeof *tokens);
    keep(l, &w->output_tokens, tokens);
    for (int i = 0; i < a->decoder_depth; i++)
        load_two_way_layer(l, &w->two_way[i], i);
    load_attention(l, &w->final_attention, d, a->decoder_inner, a->decoder_heads,
                   "sam_mask_decoder.transformer.final_attn_token_to_image");
    load_norm(l, &w->final_norm, "sam_mask_decoder.transformer.norm_final_attn");
    load_transposed(l, &w->upscale0, d, d / 4, "sam_mask_decoder.output_upscaling.0");
    load_norm(l, &w->upscale_norm, "sam_mask_decoder.output_upscaling.1");
    load_transposed(l, &w->upscale1, d / 4, d / 8, "sam_mask_decoder.output_upscaling.3");
    for (int i = 0; i < 4; i++)
        load_mlp(l, &w->hyper[i], d, d, d / 8, NAME(name, "sam_mask_decoder.output_hypernetworks_mlps.%d", i));
    load_mlp(l, &w->iou_head, d, a->iou_hidden, 4, "sam_mask_decoder.iou_prediction_head");
    load_mlp(l, &w->score_head, d, d, 1, "sam_mask_decoder.pred_obj_score_head");
    load_mlp(l, &w->pointer_proj, d, d, d, "obj_ptr_proj");
    keep(l, &w->no_obj_ptr, load(l, "no_obj_ptr"));
}

static void load_fuser_layer(loader *l, trk_fuser_layer *f, int i)
{
    int d = l->model->arch.d_model;
    char p[96], name[160];
    snprintf(p, sizeof p, "memory_encoder.fuser.layers.%d", i);
    load_conv(l, &f->depthwise, d, d, 7, 1, 3, d, NAME(name, "%s.dwconv", p));
    load_norm(l, &f->norm, NAME(name, "%s.norm", p));
    load_linear(l, &f->expand, 4 * d, d, NAME(name, "%s.pwconv1", p));
    float *gamma = load(l, "%s.gamma", p);
    float *weight = load(l, "%s.pwconv2.weight", p), *bias = load(l, "%s.pwconv2.bias", p);
    if (l->status < 0)
        return;
    for (int o = 0; o < d; o++) {
        bias[o] *= gamma[o];
        for (int k = 0; k < 4 * d; k++)
            weight[(size_t)o * 4 * d + k] *= gamma[o];
    }
    make_linear(l, &f->project, d, 4 * d, weight, bias);
}

static void load_memory_encoder(loader *l)
{
    trk_weights *w = &l->model->weights;
    const trk_arch *a = &l->model->arch;
    int d = a->d_model, channels = 1;
    char name[160];
    for (int i = 0; i < 4; i++, channels *= 4) {
        load_conv(l, &w->downsampler[i], channels, 4 * channels, 3, 2, 1, 1,
                  NAME(name, "memory_encoder.mask_downsampler.encoder.%d", 3 * i));
        load_norm(l, &w->downsampler_norm[i], NAME(name, "memory_encoder.mask_downsampler.encoder.%d", 3 * i + 1));
    }
    load_linear(l, &w->downsampler_out, d, channels, "memory_encoder.mask_downsampler.encoder.12");
    load_linear(l, &w->pixel_proj, d, d, "memory_encoder.pix_feat_proj");
    for (int i = 0; i < a->n_fuser_layers; i++)
        load_fuser_layer(l, &w->fuser[i], i);
    if (a->mem_dim < d)
        load_linear(l, &w->memory_out, a->mem_dim, d, "memory_encoder.out_proj");
    if (a->is_21)
        keep(l, &w->no_obj_embed_spatial, load(l, "no_obj_embed_spatial"));
}

static void load_memory_layer(loader *l, trk_memory_layer *t, int i)
{
    const trk_arch *a = &l->model->arch;
    int d = a->d_model;
    char p[96], name[160];
    snprintf(p, sizeof p, "memory_attention.layers.%d", i);
    load_norm(l, &t->norm1, NAME(name, "%s.norm1", p));
    load_norm(l, &t->norm2, NAME(name, "%s.norm2", p));
    load_norm(l, &t->norm3, NAME(name, "%s.norm3", p));
    load_attention(l, &t->self, d, d, 1, NAME(name, "%s.self_attn", p));
    load_linear(l, &t->cross_q, d, d, NAME(name, "%s.cross_attn_image.q_proj", p));
    load_linear(l, &t->cross_k, d, a->mem_dim, NAME(name, "%s.cross_attn_image.k_proj", p));
    float *v = load(l, "%s.cross_attn_image.v_proj.weight", p), *v_bias = load(l, "%s.cross_attn_image.v_proj.bias", p);
    float *o = load(l, "%s.cross_attn_image.out_proj.weight", p);
    float *o_bias = load(l, "%s.cross_attn_image.out_proj.bias", p);
    make_product(l, &t->cross_out, d, d, a->mem_dim, o, o_bias, v, v_bias);
    load_linear(l, &t->ffn0, a->mem_ffn, d, NAME(name, "%s.linear1", p));
    load_linear(l, &t->ffn1, d, a->mem_ffn, NAME(name, "%s.linear2", p));
}

static void load_memory_attention(loader *l)
{
    trk_weights *w = &l->model->weights;
    const trk_arch *a = &l->model->arch;
    for (int i = 0; i < a->n_mem_layers; i++)
        load_memory_layer(l, &w->memory[i], i);
    load_norm(l, &w->memory_norm, "memory_attention.norm");
    keep(l, &w->no_mem_embed, load(l, "no_mem_embed"));
    if (a->is_21)
        load_linear(l, &w->pointer_tpos, a->mem_dim, a->d_model, "obj_ptr_tpos_proj");
}

static void build_trunk_positions(loader *l)
{
    trk_network_model *m = l->model;
    const trk_arch *a = &m->arch;
    int side = m->image_size / 4;
    float *background = load(l, "image_encoder.trunk.pos_embed");
    float *window = load(l, "image_encoder.trunk.pos_embed_window");
    float *out = pin_table(l, "trunk positions", (size_t)side * side * a->embed_dim);
    if (l->status < 0)
        return;
    trk_trunk_positions(out, background, a->bkg_size, window, a->window_pos_size, a->embed_dim, side);
    keep(l, &m->tables.trunk_positions, out);
}

static void build_grid_tables(loader *l)
{
    trk_network_model *m = l->model;
    const trk_arch *a = &m->arch;
    int g = m->grid, d = a->d_model;
    size_t n = (size_t)g * g * d;
    float *sine = pin_table(l, "sine positions", n), *rope = pin_table(l, "RoPE table", n);
    float *image = pin_table(l, "image positions", n);
    if (l->status < 0)
        return;
    trk_sine_2d(sine, g, d);
    for (size_t i = 0; i < n; i++)
        sine[i] *= 0.1f;
    trk_rope_table(rope, g, d);
    m->rope_builds++;
    for (int y = 0; y < g; y++)
        for (int x = 0; x < g; x++)
            trk_fourier_point(image + ((size_t)y * g + x) * d, m->weights.gaussian, d / 2, ((float)x + 0.5f) / (float)g,
                              ((float)y + 0.5f) / (float)g);
    keep(l, &m->tables.scaled_positions, sine);
    keep(l, &m->tables.rope, rope);
    keep(l, &m->tables.image_positions, image);
}

static void build_memory_positions(loader *l)
{
    trk_network_model *m = l->model;
    const trk_arch *a = &m->arch;
    size_t plane = (size_t)m->grid * m->grid * a->mem_dim;
    float *temporal = load(l, "maskmem_tpos_enc"); /* [num_maskmem, 1, 1, mem_dim]; last = conditioning, i - 1 = i back */
    float *out = pin_table(l, "memory positions", plane * a->num_maskmem);
    if (l->status < 0)
        return;
    trk_sine_2d(out, m->grid, a->mem_dim);
    for (int age = a->num_maskmem - 1; age >= 0; age--) {
        const float *code = temporal + (size_t)(age ? age - 1 : a->num_maskmem - 1) * a->mem_dim;
        for (size_t i = 0; i < plane; i++)
            out[age * plane + i] = out[i] + code[i % a->mem_dim];
    }
    keep(l, &m->tables.memory_positions, out);
}

/* --- the end of a load ----------------------------------------------------------------------------------------- */

/* Checksums of all constants, and of them the model's. */
static void seal(loader *l)
{
    trk_network_model *m = l->model;
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n_pinned; i++) {
        m->pinned[i].checksum = XXH3_64bits(m->pinned[i].data, m->pinned[i].bytes);
        const uint64_t both[2] = {m->pinned[i].bytes, m->pinned[i].checksum};
        sum = XXH3_64bits_withSeed(both, sizeof both, sum);
    }
    m->checksum = sum;
}

/* The model's pointers into a block go to where it was copied; returns how many there are. */
static int redirect(loader *l, const trk_pinned *block, const float *to)
{
    const float *from = block->data, *end = from + block->bytes / sizeof *from;
    int n = 0;
    for (size_t i = 0; i < l->n_kept; i++) {
        const float **slot = l->kept[i];
        if (!*slot || *slot < from || *slot >= end)
            continue;
        n++;
        if (to)
            *slot = to + (*slot - from);
    }
    return n;
}

static trk_status move_block(loader *l, trk_pinned *block)
{
    trk_ledger *ledger = &l->model->ledger;
    void *data = trk_ledger_allocate(ledger, TRK_MEM_PINNED, block->owner, block->bytes);
    if (!data)
        return trk_ledger_fail(ledger, block->bytes, block->owner);
    trk_status rc = ledger->device->write(ledger->device, data, block->data, block->bytes);
    if (rc < 0) {
        trk_ledger_release(ledger, TRK_MEM_PINNED, data, block->bytes);
        return rc;
    }
    redirect(l, block, data);
    trk_heap_release(block->data);
    block->data = data;
    block->on_host = 0;
    return TRK_OK;
}

/* Layers have been packed: their weights on the host go. */
static void forget_sources(trk_network_model *m)
{
    for (size_t i = 0; i < m->n_linears; i++)
        m->linears[i]->weight = m->linears[i]->bias = NULL;
    for (size_t i = 0; i < m->n_convs; i++)
        m->convs[i]->weight = m->convs[i]->bias = NULL;
}

static void move_to_device(loader *l)
{
    trk_network_model *m = l->model;
    size_t n = 0;
    if (l->status < 0 || m->memory->on_host)
        return;
    forget_sources(m);
    for (size_t i = 0; i < m->n_pinned; i++) {
        trk_pinned *block = &m->pinned[i];
        const int wanted = redirect(l, block, NULL) > 0;
        if (!wanted && !block->stays) {
            trk_heap_release(block->data);
            continue;
        }
        if (wanted)
            note(l, move_block(l, block));
        m->pinned[n++] = *block;
    }
    m->n_pinned = n;
}

trk_status trk_weights_load(trk_network_model *model, const trk_checkpoint *checkpoint)
{
    loader l = {.model = model, .checkpoint = checkpoint, .status = TRK_OK};
    const trk_arch *a = &model->arch;
    if (a->decoder_depth > TRK_MAX_TWO_WAY || a->n_mem_layers > TRK_MAX_MEMORY_LAYERS ||
        a->n_fuser_layers > TRK_MAX_FUSER)
        return TRK_FAIL(TRK_E_MODEL, "%d decoder, %d memory attention, %d fuser layers; at most %d, %d, %d are supported",
                        a->decoder_depth, a->n_mem_layers, a->n_fuser_layers, TRK_MAX_TWO_WAY, TRK_MAX_MEMORY_LAYERS,
                        TRK_MAX_FUSER);
    if (a->top_down[0] || a->top_down[1])
        return TRK_FAIL(TRK_E_MODEL, "fpn_top_down_levels includes level %d; only 2 and 3 are supported",
                        a->top_down[0] ? 0 : 1);
    load_trunk(&l);
    load_neck(&l);
    load_prompt_encoder(&l);
    load_mask_decoder(&l);
    load_memory_encoder(&l);
    load_memory_attention(&l);
    build_trunk_positions(&l);
    build_grid_tables(&l);
    build_memory_positions(&l);
    seal(&l);
    move_to_device(&l);
    trk_heap_release(l.kept);
    return l.status;
}
