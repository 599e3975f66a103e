/* SPDX-License-Identifier: Apache-2.0
 * Three sources tell an architecture: tensor shapes, a JSON description (metadata or file) and, for what neither says,
 * the table of official sizes when the trunk is one of them. Two sources that contradict each other are an error. */
#include "arch.h"

#include "arch_config.h"
#include "heap.h"
#include "log.h"
#include "storage.h"
#include "text_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_IMAGE_SIZE 16384
#define MAX_POINTERS   256 /* and memories: a plan rehearses as many frames, each of which reads as many */

/* --- official sizes ------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    int embed_dim, num_heads, stages[4], globals[3], window_spec[4], bkg_size;
} sizes[] = {
    {"tiny", 96, 1, {1, 2, 7, 2}, {5, 7, 9}, {8, 4, 14, 7}, 7},
    {"small", 96, 1, {1, 2, 11, 2}, {7, 10, 13}, {8, 4, 14, 7}, 7},
    {"base+", 112, 2, {2, 3, 16, 3}, {12, 16, 20}, {8, 4, 14, 7}, 14},
    {"large", 144, 2, {2, 6, 36, 4}, {23, 33, 43}, {8, 4, 16, 8}, 7},
};
#define N_SIZES ((int)(sizeof sizes / sizeof *sizes))

static void fill_official(trk_arch *out, int size, int is_21)
{
    *out = (trk_arch){
        .is_21 = is_21,
        .family = is_21 ? "sam2.1" : "sam2",
        .size_name = sizes[size].name,
        .image_size = 1024,
        .embed_dim = sizes[size].embed_dim,
        .num_heads = sizes[size].num_heads,
        .bkg_size = sizes[size].bkg_size,
        .window_pos_size = sizes[size].window_spec[0],
        .d_model = 256,
        .top_down = {0, 0, 1, 0},
        .mem_dim = 64,
        .n_mem_layers = 4,
        .mem_ffn = 2048,
        .num_maskmem = 7,
        .decoder_heads = 8,
        .decoder_depth = 2,
        .decoder_mlp = 2048,
        .decoder_inner = 128,
        .iou_hidden = 256,
        .mask_in_channels = 16,
        .n_fuser_layers = 2,
        .max_pointers = 16,
    };
    for (int i = 0; i < 4; i++) {
        out->stages[i] = sizes[size].stages[i];
        out->window_spec[i] = sizes[size].window_spec[i];
        out->n_blocks += sizes[size].stages[i];
    }
    for (int i = 0; i < 3; i++)
        out->is_global[sizes[size].globals[i]] = 1;
}

trk_status trk_arch_official(trk_arch *out, const char *family, const char *size_name)
{
    int is_21 = strcmp(family, "sam2.1") == 0;
    if (!is_21 && strcmp(family, "sam2") != 0)
        return TRK_FAIL(TRK_E_ARGUMENT, "family \"%.40s\", expected \"sam2\" or \"sam2.1\"", family);
    for (int i = 0; i < N_SIZES; i++)
        if (strcmp(size_name, sizes[i].name) == 0) {
            fill_official(out, i, is_21);
            return TRK_OK;
        }
    return TRK_FAIL(TRK_E_ARGUMENT, "size \"%.40s\", expected \"tiny\", \"small\", \"base+\" or \"large\"", size_name);
}

/* The official size with this trunk, or -1. */
static int find_size(const trk_arch *arch)
{
    for (int i = 0; i < N_SIZES; i++)
        if (arch->embed_dim == sizes[i].embed_dim && memcmp(arch->stages, sizes[i].stages, sizeof arch->stages) == 0)
            return i;
    return -1;
}

/* The image size may differ: it is a property of the use, not of the weights. */
static const char *size_name(const trk_arch *arch)
{
    int size = find_size(arch);
    if (size < 0)
        return "custom";
    trk_arch official, copy = *arch;
    fill_official(&official, size, arch->is_21);
    copy.image_size = official.image_size;
    for (size_t i = 0; i < trk_arch_n_numbers; i++)
        if (*trk_arch_number_at(&copy, &trk_arch_numbers[i]) != *trk_arch_number_at(&official, &trk_arch_numbers[i]))
            return "custom";
    if (memcmp(copy.window_spec, official.window_spec, sizeof copy.window_spec) != 0 ||
        memcmp(copy.is_global, official.is_global, sizeof copy.is_global) != 0 ||
        memcmp(copy.top_down, official.top_down, sizeof copy.top_down) != 0)
        return "custom";
    return official.size_name;
}

/* --- what the tensors say ------------------------------------------------------------------------------------ */

/* dims[dim] of a tensor; 0 if it is not there or has fewer dimensions. */
static trk_status read_dim(int *out, const trk_checkpoint *checkpoint, const char *name, int dim)
{
    const trk_tensor *tensor = trk_checkpoint_find(checkpoint, name);
    *out = 0;
    if (!tensor || dim >= tensor->n_dims)
        return TRK_OK;
    if (tensor->dims[dim] < 1 || tensor->dims[dim] > TRK_ARCH_MAX_WIDTH)
        return TRK_FAIL(TRK_E_MODEL, "tensor \"%s\" has %lld as dimension %d, expected 1 to %d", name,
                        (long long)tensor->dims[dim], dim, TRK_ARCH_MAX_WIDTH);
    *out = (int)tensor->dims[dim];
    return TRK_OK;
}

/* One more than the largest number that follows the prefix in a tensor's name; 0 if none does. */
static trk_status count_layers(int *out, const trk_checkpoint *checkpoint, const char *prefix, int maximum)
{
    size_t prefix_bytes = strlen(prefix);
    *out = 0;
    for (size_t i = 0; i < trk_checkpoint_count(checkpoint); i++) {
        const char *name = trk_checkpoint_at(checkpoint, i)->name;
        if (strncmp(name, prefix, prefix_bytes) != 0 || name[prefix_bytes] < '0' || name[prefix_bytes] > '9')
            continue;
        unsigned long index = strtoul(name + prefix_bytes, NULL, 10);
        if (index >= (unsigned long)maximum)
            return TRK_FAIL(TRK_E_MODEL, "tensor \"%.200s\": expected fewer than %d layers", name, maximum);
        if ((int)index >= *out)
            *out = (int)index + 1;
    }
    return TRK_OK;
}

/* Output width of a trunk block by whichever of its tensors is there; 0 if none is. */
static trk_status read_block_width(int *out, const trk_checkpoint *checkpoint, int block)
{
    static const char *const tensors[] = {"norm2.weight", "norm2.bias", "attn.proj.weight", "mlp.layers.1.weight"};
    trk_status rc = TRK_OK;
    *out = 0;
    for (size_t i = 0; rc == TRK_OK && *out == 0 && i < sizeof tensors / sizeof *tensors; i++) {
        char name[96];
        snprintf(name, sizeof name, "image_encoder.trunk.blocks.%d.%s", block, tensors[i]);
        rc = read_dim(out, checkpoint, name, 0);
    }
    return rc;
}

/* A stage begins where the width doubles. */
static trk_status read_stages(trk_arch *seen, const trk_checkpoint *checkpoint)
{
    int stage = 0, width = seen->embed_dim;
    trk_status rc = count_layers(&seen->n_blocks, checkpoint, "image_encoder.trunk.blocks.", TRK_MAX_BLOCKS);
    for (int block = 0; rc == TRK_OK && block < seen->n_blocks; block++) {
        int block_width;
        rc = read_block_width(&block_width, checkpoint, block);
        if (rc < 0)
            break;
        if (block_width && block && block_width == 2 * width && stage < 3) {
            stage++;
            width = block_width;
        } else if (block_width && block_width != width) {
            return TRK_FAIL(TRK_E_MODEL, "trunk block %d is %d wide, expected %d%s", block, block_width, width,
                            block && stage < 3 ? " or twice that" : "");
        }
        seen->stages[stage]++;
    }
    if (rc == TRK_OK && stage != 3)
        return TRK_FAIL(TRK_E_MODEL, "the trunk of %d blocks has %d stages, expected 4, each twice as wide as the last",
                        seen->n_blocks, stage + 1);
    return rc;
}

static trk_status read_seen(trk_arch *seen, const trk_checkpoint *checkpoint)
{
    trk_status rc = TRK_OK;
    *seen = (trk_arch){0};
    for (size_t i = 0; rc == TRK_OK && i < trk_arch_n_numbers; i++) {
        const trk_arch_number *number = &trk_arch_numbers[i];
        int *field = trk_arch_number_at(seen, number);
        if (number->tensor && number->dim < 0)
            rc = count_layers(field, checkpoint, number->tensor, TRK_ARCH_MAX_LAYERS);
        else if (number->tensor)
            rc = read_dim(field, checkpoint, number->tensor, number->dim);
    }
    if (rc == TRK_OK && !seen->embed_dim)
        rc = TRK_FAIL(TRK_E_MODEL, "no tensor \"image_encoder.trunk.patch_embed.proj.weight\": not a SAM 2 model");
    return rc < 0 ? rc : read_stages(seen, checkpoint);
}

/* Both families have the same tensors but for three of SAM 2.1, which come together. */
static trk_status read_family(trk_arch *out, const trk_checkpoint *checkpoint, const trk_arch_claims *claims,
                              const char *source)
{
    int spatial = trk_checkpoint_find(checkpoint, "no_obj_embed_spatial") != NULL;
    int temporal = trk_checkpoint_find(checkpoint, "obj_ptr_tpos_proj.weight") ||
                   trk_checkpoint_find(checkpoint, "obj_ptr_tpos_proj.bias");
    if (spatial != temporal)
        return TRK_FAIL(TRK_E_MODEL, "tensor \"%s\" is there and \"%s\" is not: SAM 2.1 has both, SAM 2 neither",
                        spatial ? "no_obj_embed_spatial" : "obj_ptr_tpos_proj",
                        spatial ? "obj_ptr_tpos_proj" : "no_obj_embed_spatial");
    if (claims->says_family && claims->arch.is_21 != spatial)
        return TRK_FAIL(TRK_E_MODEL, "%s says family %s, but tensor \"no_obj_embed_spatial\" is %s", source,
                        claims->arch.is_21 ? "sam2.1" : "sam2", spatial ? "there" : "missing");
    out->is_21 = spatial;
    out->family = spatial ? "sam2.1" : "sam2";
    return TRK_OK;
}

/* --- what a description says --------------------------------------------------------------------------------- */

/* A file that merely lies beside the checkpoint may be about something else: then it is passed over. */
static trk_status read_file_beside(trk_arch_claims *claims, const char *path)
{
    struct stat status;
    char *text = NULL;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return TRK_E_NOT_FOUND;
    trk_status rc = trk_text_file_read(path, &text);
    if (rc >= 0)
        rc = trk_arch_read_config(claims, text);
    trk_heap_release(text);
    if (rc == TRK_E_FORMAT || rc == TRK_E_NOT_FOUND || rc == TRK_E_IO) {
        trk_log(TRK_LOG_WARNING, "%s is not used: %s", path, trk_error_text());
        return TRK_E_NOT_FOUND;
    }
    return rc < 0 ? trk_fail_prefix(rc, path) : rc;
}

/* <checkpoint without extension>.json, then config.json in the same folder. */
static trk_status read_beside(trk_arch_claims *claims, const char *path, char *source, size_t source_bytes)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    int stem_bytes = (int)(dot && dot > name ? dot - path : (long)strlen(path));
    trk_error_line kept;
    if (strlen(path) + sizeof "config.json" > source_bytes)
        return TRK_OK;
    trk_error_keep(&kept);
    snprintf(source, source_bytes, "%.*s.json", stem_bytes, path);
    trk_status rc = read_file_beside(claims, source);
    if (rc == TRK_E_NOT_FOUND) {
        snprintf(source, source_bytes, "%.*sconfig.json", (int)(name - path), path);
        rc = read_file_beside(claims, source);
    }
    if (rc == TRK_E_NOT_FOUND) {
        source[0] = 0;
        rc = TRK_OK;
    }
    if (rc >= 0)
        trk_error_restore(&kept); /* that of a file that was passed over */
    return rc;
}

/* source: what messages call the description; "" when there is none. */
static trk_status read_claims(trk_arch_claims *claims, char *source, size_t source_bytes, const char *config,
                              const char *metadata, const char *path)
{
    char *text = NULL;
    *claims = (trk_arch_claims){0};
    source[0] = 0;
    if (!config && !metadata)
        return path ? read_beside(claims, path, source, source_bytes) : TRK_OK;
    snprintf(source, source_bytes, "%s", config ? config : "the checkpoint's metadata");
    trk_status rc = config ? trk_text_file_read(config, &text) : TRK_OK;
    if (rc < 0)
        return rc;
    rc = trk_arch_read_config(claims, config ? text : metadata);
    trk_heap_release(text);
    if (rc < 0) {
        trk_fail_prefix(rc, source);
        rc = rc == TRK_E_MEMORY ? rc : TRK_E_MODEL;
    }
    return rc;
}

/* --- bringing them together ---------------------------------------------------------------------------------- */

static trk_status fail_untold(const char *key, const trk_arch *seen, const char *source)
{
    const int *s = seen->stages;
    if (*source)
        return TRK_FAIL(TRK_E_MODEL, "\"%s\" is told neither by the tensors nor by %s", key, source);
    return TRK_FAIL(TRK_E_MODEL,
                    "a trunk %d wide with %d, %d, %d and %d blocks is no official size, and the checkpoint has no "
                    "metadata: an architecture JSON is needed, beginning with \"%s\"",
                    seen->embed_dim, s[0], s[1], s[2], s[3], key);
}

static trk_status merge_numbers(trk_arch *out, const trk_arch *seen, const trk_arch_claims *claims, const char *source)
{
    trk_arch a = *seen, b = claims->arch;
    const char *untold = NULL;
    for (size_t i = 0; i < trk_arch_n_numbers; i++) {
        const trk_arch_number *number = &trk_arch_numbers[i];
        int by_tensor = *trk_arch_number_at(&a, number), by_claim = *trk_arch_number_at(&b, number);
        int *field = trk_arch_number_at(out, number);
        if (by_tensor && by_claim && by_tensor != by_claim)
            return TRK_FAIL(TRK_E_MODEL, "\"%s\" is %d in %s, but %d by tensor \"%s%s\"", number->key, by_claim, source,
                            by_tensor, number->tensor, number->dim < 0 ? "*" : "");
        if (by_tensor || by_claim)
            *field = by_tensor ? by_tensor : by_claim;
        if (!*field && !untold)
            untold = number->key;
    }
    return untold ? fail_untold(untold, seen, source) : TRK_OK;
}

static trk_status merge_lists(trk_arch *out, const trk_arch *seen, const trk_arch_claims *claims, const char *source)
{
    const trk_arch *claimed = &claims->arch;
    const int *s = seen->stages, *c = claimed->stages;
    if (c[0] && memcmp(s, c, sizeof seen->stages) != 0)
        return TRK_FAIL(TRK_E_MODEL, "the stages have %d, %d, %d, %d blocks in %s, but %d, %d, %d, %d by the tensors",
                        c[0], c[1], c[2], c[3], source, s[0], s[1], s[2], s[3]);
    memcpy(out->stages, s, sizeof out->stages);
    out->n_blocks = seen->n_blocks;
    if (claimed->window_spec[0])
        memcpy(out->window_spec, claimed->window_spec, sizeof out->window_spec);
    else if (!out->window_spec[0])
        return fail_untold("window_spec", seen, source);
    if (claims->says_globals)
        memcpy(out->is_global, claimed->is_global, sizeof out->is_global);
    else if (find_size(seen) < 0)
        return fail_untold("global_att_blocks", seen, source);
    if (claims->says_top_down)
        memcpy(out->top_down, claimed->top_down, sizeof out->top_down);
    else if (find_size(seen) < 0)
        return fail_untold("fpn_top_down_levels", seen, source);
    return TRK_OK;
}

static trk_status merge(trk_arch *out, const trk_arch *seen, const trk_arch_claims *claims, const char *source)
{
    int size = find_size(seen), is_21 = out->is_21;
    if (size >= 0)
        fill_official(out, size, is_21);
    if (size >= 0 && !*source)
        return TRK_OK; /* what deviates from it is named when the tensors are verified */
    trk_status rc = merge_numbers(out, seen, claims, source);
    return rc < 0 ? rc : merge_lists(out, seen, claims, source);
}

/* --- sanity -------------------------------------------------------------------------------------------------- */

static trk_status expect_multiple(const char *key, int value, const char *of, int divisor)
{
    if (value % divisor == 0)
        return TRK_OK;
    return TRK_FAIL(TRK_E_MODEL, "\"%s\" is %d, expected a multiple of %d (%s)", key, value, divisor, of);
}

static trk_status check_trunk(const trk_arch *arch)
{
    trk_status rc = expect_multiple("embed_dim", arch->embed_dim, "num_heads", arch->num_heads);
    if (rc < 0)
        return rc;
    for (int stage = 0; stage < 3; stage++)
        if (arch->window_spec[stage] % 2)
            return TRK_FAIL(TRK_E_MODEL,
                            "\"window_spec\" is %d in stage %d, expected an even number: queries are "
                            "pooled inside it",
                            arch->window_spec[stage], stage + 1);
    if (arch->window_spec[0] != arch->window_pos_size)
        return TRK_FAIL(TRK_E_MODEL,
                        "\"window_spec\" begins with %d, but tensor \"image_encoder.trunk.pos_embed_window\" "
                        "is %d on a side",
                        arch->window_spec[0], arch->window_pos_size);
    for (int block = 0, stage = 0, first = 0; block < TRK_MAX_BLOCKS; block++) {
        if (stage < 3 && block == first + arch->stages[stage]) {
            first = block;
            stage++;
        }
        if (arch->is_global[block] && block >= arch->n_blocks)
            return TRK_FAIL(TRK_E_MODEL, "\"global_att_blocks\" has %d, the trunk ends with block %d", block,
                            arch->n_blocks - 1);
        if (arch->is_global[block] && block == first && stage > 0)
            return TRK_FAIL(TRK_E_MODEL,
                            "\"global_att_blocks\" has %d, the block that pools into stage %d: it needs a "
                            "window",
                            block, stage + 1);
    }
    return TRK_OK;
}

static trk_status check_arch(const trk_arch *arch)
{
    trk_status rc;
    TRK_CHECK(check_trunk(arch));
    TRK_CHECK(expect_multiple("hidden_dim", arch->d_model, "pointers are stored in blocks", TRK_Q8_BLOCK));
    TRK_CHECK(expect_multiple("hidden_dim", arch->d_model, "decoder_heads", arch->decoder_heads));
    TRK_CHECK(expect_multiple("decoder_inner_dim", arch->decoder_inner, "decoder_heads", arch->decoder_heads));
    TRK_CHECK(expect_multiple("mem_dim", arch->mem_dim, "four tokens or more are stored in blocks", TRK_Q8_BLOCK / 4));
    TRK_CHECK(expect_multiple("hidden_dim", arch->d_model, "pointers are cut into pieces of mem_dim", arch->mem_dim));
    TRK_CHECK(expect_multiple("mask_in_chans", arch->mask_in_channels, "two steps of four", 4));
    if (arch->max_pointers < 2 || arch->max_pointers < arch->num_maskmem || arch->max_pointers > MAX_POINTERS)
        rc = TRK_FAIL(TRK_E_MODEL,
                      "\"max_obj_ptrs_in_encoder\" is %d, expected at least 2 and \"num_maskmem\" (%d), and at most %d",
                      arch->max_pointers, arch->num_maskmem, MAX_POINTERS);
    else if (trk_arch_check_image_size(arch, arch->image_size) < 0)
        rc = trk_fail_prefix(TRK_E_MODEL, "\"image_size\"");
done:
    return rc;
}

trk_status trk_arch_detect(trk_arch *out, const trk_checkpoint *checkpoint, const char *config, const char *path)
{
    trk_arch arch = {0}, seen;
    trk_arch_claims claims;
    char source[PATH_MAX + 16];
    trk_status rc;
    TRK_CHECK(read_seen(&seen, checkpoint));
    TRK_CHECK(
        read_claims(&claims, source, sizeof source, config, trk_checkpoint_metadata(checkpoint)->architecture, path));
    TRK_CHECK(read_family(&arch, checkpoint, &claims, source));
    TRK_CHECK(merge(&arch, &seen, &claims, source));
    TRK_CHECK(check_arch(&arch));
    arch.size_name = size_name(&arch);
    *out = arch;
done:
    return rc;
}

/* --- image sizes --------------------------------------------------------------------------------------------- */

/* The stride-4 map must be a whole number of window tables (they are tiled over it), and every map must have an even
 * side before it is pooled: the decoder adds the maps of strides 4 and 8 to its own doubled ones, and the neck doubles
 * stride 32 onto stride 16. So the side is a multiple of 4 window_pos_size and of 32. Windows may be padded. */
static int image_size_step(const trk_arch *arch)
{
    int step = 4 * arch->window_pos_size;
    while (step % 32)
        step *= 2;
    return step;
}

trk_status trk_arch_check_image_size(const trk_arch *arch, int image_size)
{
    int step = image_size_step(arch);
    if (image_size >= step && image_size <= MAX_IMAGE_SIZE && image_size % step == 0)
        return TRK_OK;
    int largest = MAX_IMAGE_SIZE / step * step;
    int below = image_size < step ? step : image_size > largest ? largest : image_size / step * step;
    int above = below + step <= largest ? below + step : below;
    if (image_size < step || above == below)
        return TRK_FAIL(TRK_E_ARGUMENT,
                        "image size %d: this model takes multiples of %d from %d to %d; the nearest is %d", image_size,
                        step, step, largest, below);
    return TRK_FAIL(TRK_E_ARGUMENT, "image size %d: this model takes multiples of %d; the nearest are %d and %d",
                    image_size, step, below, above);
}
