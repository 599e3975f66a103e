/* SPDX-License-Identifier: Apache-2.0
 * The generator of weights; scripts/goldens/seeded.py has the same rules in the same order and explains them. Every
 * product and sum is exact in double (24-bit mantissas times integers below 2^28, over powers of two), so contraction
 * to fused operations changes nothing, and the one rounding is the final one to float. */
#include "seeded_weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct weight_rule {
    const char *pattern; /* part of ".name." */
    int dims;            /* of so many dimensions only; 0: any */
    int fan;             /* 1: times sqrt(3 / fan_in); 2: fan-in is the first dimension (deconvolution) */
    int amplitude;       /* / 256 */
    int offset;          /* / 256, added */
    int shared;          /* / 16: weight of a companion equal for all positions of a kernel */
} weight_rule;

static const weight_rule rules[] = {
    {".pred_obj_score_head.layers.2.bias.", 0, 0, 0, -512, 0},
    {".pred_obj_score_head.layers.2.weight.", 0, 1, 1024, 0, 0},
    {".iou_prediction_head.layers.2.bias.", 0, 0, 256, 0, 0},
    {".iou_prediction_head.layers.2.weight.", 0, 1, 512, 0, 0},
    {".output_hypernetworks_mlps.", 2, 1, 448, 0, 0},
    {".output_upscaling.0.weight.", 4, 2, 24, 0, 160},
    {".output_upscaling.3.weight.", 4, 2, 24, 0, 160},
    {".conv_s0.weight.", 0, 1, 64, 0, 0},
    {".conv_s1.weight.", 0, 1, 64, 0, 0},
    {".gamma.", 0, 0, 32, 128, 0},
    {".positional_encoding_gaussian_matrix.", 0, 0, 444, 0, 0},
    {".pos_embed_window.", 0, 0, 16, 0, 0},
    {".pos_embed.", 0, 0, 64, 0, 0},
    {".mask_downsampler.encoder.12.weight.", 0, 1, 80, 0, 0},
    {".maskmem_tpos_enc.", 0, 0, 128, 0, 0},
    {".no_", 0, 0, 128, 0, 0},
    {".mask_downsample.weight.", 0, 1, 1024, 0, 0},
    {"_token.weight.", 0, 0, 256, 0, 0},
    {".mask_tokens.weight.", 0, 0, 256, 0, 0},
    {"_embed.weight.", 0, 0, 256, 0, 0},
    {".point_embeddings.", 0, 0, 256, 0, 0},
    {".attn.qkv.weight.", 0, 1, 320, 0, 0},
    {".attn.proj.weight.", 0, 1, 128, 0, 0},
    {".mlp.layers.1.weight.", 0, 1, 128, 0, 0},
    {"_attn_token_to_image.out_proj.weight.", 0, 1, 768, 0, 0},
    {".memory_encoder.out_proj.weight.", 0, 1, 128, 0, 0},
    {".cross_attn_image.q_proj.weight.", 0, 1, 320, 0, 0},
    {".cross_attn_image.k_proj.weight.", 0, 1, 320, 0, 0},
    {".cross_attn_image.out_proj.weight.", 0, 1, 768, 0, 0},
    {".q_proj.weight.", 0, 1, 384, 0, 0},
    {".k_proj.weight.", 0, 1, 384, 0, 0},
    {".linear2.weight.", 0, 1, 192, 0, 0},
    {".weight.", 1, 0, 32, 256, 0},
    {".bias.", 0, 0, 16, 0, 0},
    {"", 0, 1, 256, 0, 0},
};

/* A tensor under the first name is generated as if it had the second. */
static const char *const aliases[][2] = {
    {".cross_attn_token_to_image.k_proj.", ".cross_attn_token_to_image.q_proj."},
    {".final_attn_token_to_image.k_proj.", ".final_attn_token_to_image.q_proj."},
};

uint64_t seeded_seed_of(const char *size_name)
{
    static const struct {
        const char *size;
        uint64_t seed;
    } seeds[] = {{"tiny", 4}, {"small", 4}, {"base+", 7}, {"large", 4}};
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
        if (!strcmp(size_name, seeds[i].size))
            return seeds[i].seed;
    return 0;
}

uint64_t seeded_fnv1a(const void *data, size_t bytes, uint64_t state)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++)
        state = (state ^ p[i]) * 0x100000001B3u;
    return state;
}

uint64_t seeded_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Element i of the stream of a key: [-1, 1) in steps of 2^-23. */
static double uniform(uint64_t key, uint64_t i)
{
    uint64_t bits = seeded_mix(key + (i + 1) * SEEDED_GOLDEN) >> 40;
    return (double)((int64_t)bits - (1 << 23)) * 0x1p-23;
}

static const weight_rule *rule_of(const char *dotted, int n_dims)
{
    const weight_rule *rule = rules;
    while (!strstr(dotted, rule->pattern) || (rule->dims && rule->dims != n_dims))
        rule++; /* the last one takes everything */
    return rule;
}

static uint64_t key_of(uint64_t seed, const char *name)
{
    char source[512];
    snprintf(source, sizeof source, ".%s", name);
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        char *at = strstr(source, aliases[i][0]);
        if (at) /* both of one length */
            memcpy(at, aliases[i][1], strlen(aliases[i][1]));
    }
    return seeded_fnv1a(source, strlen(source), SEEDED_FNV_START) ^ seeded_mix(seed * SEEDED_GOLDEN);
}

static uint64_t integer_sqrt(uint64_t n)
{
    uint64_t root = (uint64_t)sqrt((double)n);
    while (root * root > n)
        root--;
    while ((root + 1) * (root + 1) <= n)
        root++;
    return root;
}

void seeded_tensor(float *out, uint64_t seed, const char *name, int n_dims, const int64_t *dims, size_t first,
                   size_t count)
{
    char dotted[512];
    snprintf(dotted, sizeof dotted, ".%s.", name);
    const weight_rule *rule = rule_of(dotted, n_dims);
    uint64_t key = key_of(seed, name), shared_key = seeded_mix(key);
    double scale = rule->amplitude * 0x1p-8, offset = rule->offset * 0x1p-8, shared = rule->shared * 0x1p-4;
    if (rule->fan) {
        uint64_t fan_in = rule->fan == 2 ? (uint64_t)dims[0] : 1;
        for (int i = 1; rule->fan == 1 && i < n_dims; i++)
            fan_in *= (uint64_t)dims[i];
        scale = (double)((int64_t)rule->amplitude * (int64_t)integer_sqrt(((uint64_t)3 << 32) / fan_in)) * 0x1p-24;
    }
    uint64_t area = rule->shared ? (uint64_t)(dims[2] * dims[3]) : 1;
    for (size_t i = 0; i < count; i++) {
        double value = uniform(key, first + i);
        if (rule->shared)
            value += shared * uniform(shared_key, (first + i) / area);
        out[i] = (float)(value * scale + offset);
    }
}

uint64_t seeded_hash_floats(const float *values, size_t count)
{
    uint64_t state = SEEDED_FNV_START;
    for (size_t i = 0; i < count; i += i < 4096 ? 1 : 997)
        state = seeded_fnv1a(&values[i], sizeof *values, state);
    return state;
}
