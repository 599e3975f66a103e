/* SPDX-License-Identifier: Apache-2.0
 * The port's config.json is written as differences to its defaults, so a key left out means the default there; for
 * numbers that tensors tell anyway, a missing key simply says nothing. */
#include "arch_config.h"

#include "printable.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_ENTRY(field, key, paths, hf_default, tensor, dim)                                                       \
    {#field, offsetof(trk_arch, field), key, paths, hf_default, tensor, dim},
const trk_arch_number trk_arch_numbers[] = {TRK_ARCH_NUMBERS(NUMBER_ENTRY)};
const size_t trk_arch_n_numbers = sizeof trk_arch_numbers / sizeof *trk_arch_numbers;

/* What the port can vary and this program does not. */
static const struct {
    const char *path;
    double value;
} hf_fixed[] = {
    {"vision_config.backbone_config.num_channels", 3},
    {"vision_config.backbone_config.patch_kernel_size", 7},
    {"vision_config.backbone_config.patch_stride", 4},
    {"vision_config.backbone_config.patch_padding", 3},
    {"vision_config.backbone_config.query_stride", 2},
    {"vision_config.backbone_config.num_query_pool_stages", 3},
    {"vision_config.backbone_config.mlp_ratio", 4},
    {"vision_config.fpn_kernel_size", 1},
    {"mask_decoder_config.num_multimask_outputs", 3},
    {"mask_decoder_config.iou_head_depth", 3},
    {"memory_attention_num_attention_heads", 1},
    {"memory_attention_downsample_rate", 1},
    {"memory_attention_rope_theta", 10000},
    {"rope_parameters.rope_theta", 10000},
    {"sigmoid_scale_for_mem_enc", 20},
    {"sigmoid_bias_for_mem_enc", -10},
    {"mask_downsampler_kernel_size", 3},
    {"mask_downsampler_stride", 2},
    {"mask_downsampler_total_stride", 16},
    {"memory_fuser_kernel_size", 7},
};

int *trk_arch_number_at(trk_arch *arch, const trk_arch_number *number)
{
    return (int *)((char *)arch + number->offset);
}

/* --- values -------------------------------------------------------------------------------------------------- */

/* The value at "a.b.c" below root, or NULL; JSON null counts as absent. */
static const json_t *at_path(const json_t *root, const char *path, size_t path_bytes)
{
    char key[80];
    while (root && path_bytes) {
        const char *dot = memchr(path, '.', path_bytes);
        size_t n = dot ? (size_t)(dot - path) : path_bytes;
        if (n >= sizeof key)
            return NULL;
        memcpy(key, path, n);
        key[n] = 0;
        root = json_object_get(root, key);
        path += dot ? n + 1 : n;
        path_bytes -= dot ? n + 1 : n;
    }
    return json_is_null(root) ? NULL : root;
}

static trk_status read_int(int *out, const json_t *value, const char *key, int minimum, int maximum)
{
    json_int_t n = json_integer_value(value);
    if (json_is_real(value) && json_real_value(value) == floor(json_real_value(value)) &&
        fabs(json_real_value(value)) <= TRK_ARCH_MAX_WIDTH)
        n = (json_int_t)json_real_value(value);
    else if (!json_is_integer(value))
        return TRK_FAIL(TRK_E_MODEL, "\"%s\" is not a whole number", key);
    if (n < minimum || n > maximum)
        return TRK_FAIL(TRK_E_MODEL, "\"%s\" is %lld, expected %d to %d", key, (long long)n, minimum, maximum);
    *out = (int)n;
    return TRK_OK;
}

/* A list of whole numbers; *n says how many were found, at most capacity. */
static trk_status read_list(int *out, int capacity, int *n, const json_t *value, const char *key, int minimum,
                            int maximum)
{
    if (!json_is_array(value) || json_array_size(value) > (size_t)capacity)
        return TRK_FAIL(TRK_E_MODEL, "\"%s\" is not a list of at most %d numbers", key, capacity);
    *n = (int)json_array_size(value);
    for (int i = 0; i < *n; i++) {
        trk_status rc = read_int(&out[i], json_array_get(value, (size_t)i), key, minimum, maximum);
        if (rc < 0)
            return rc;
    }
    return TRK_OK;
}

static trk_status read_four(int out[4], const json_t *value, const char *key, int minimum, int maximum)
{
    int found[4], n = 0;
    trk_status rc = read_list(found, 4, &n, value, key, minimum, maximum);
    if (rc < 0)
        return rc;
    if (n != 4)
        return TRK_FAIL(TRK_E_MODEL, "\"%s\" has %d numbers, expected 4", key, n);
    memcpy(out, found, sizeof found);
    return TRK_OK;
}

/* How a list given for a single number has to continue: [7, 7] for a side, [96, 192, ...] for a width or head count
 * that doubles per stage, anything for the windows, whose first is the one meant. */
static trk_status read_number(int *out, const json_t *value, const char *key)
{
    if (!json_is_array(value))
        return read_int(out, value, key, 1, TRK_ARCH_MAX_WIDTH);
    int list[4], n = 0;
    trk_status rc = read_list(list, 4, &n, value, key, 1, TRK_ARCH_MAX_WIDTH);
    if (rc < 0)
        return rc;
    int free_list = strstr(key, "window_spec") || strstr(key, "window_size_per_stage");
    if (n == 0 || (n != 2 && n != 4))
        return TRK_FAIL(TRK_E_MODEL, "\"%s\" has %d numbers, expected 2 or 4", key, n);
    for (int i = 1; i < n && !free_list; i++)
        if (list[i] != (n == 2 ? list[0] : 2 * list[i - 1]))
            return TRK_FAIL(TRK_E_MODEL, "\"%s\" continues with %d after %d, expected %d", key, list[i], list[i - 1],
                            n == 2 ? list[0] : 2 * list[i - 1]);
    *out = list[0];
    return TRK_OK;
}

static trk_status read_globals(trk_arch_claims *out, const json_t *value, const char *key)
{
    int blocks[TRK_MAX_BLOCKS], n = 0;
    trk_status rc = read_list(blocks, TRK_MAX_BLOCKS, &n, value, key, 0, TRK_MAX_BLOCKS - 1);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n; i++)
        out->arch.is_global[blocks[i]] = 1;
    out->says_globals = 1;
    return TRK_OK;
}

static trk_status read_top_down(trk_arch_claims *out, const json_t *value, const char *key)
{
    int levels[4], n = 0;
    trk_status rc = read_list(levels, 4, &n, value, key, 0, 3);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n; i++)
        if (levels[i] < 3) /* nothing is below the deepest */
            out->arch.top_down[levels[i]] = 1;
    out->says_top_down = 1;
    return TRK_OK;
}

/* --- this project's metadata --------------------------------------------------------------------------------- */

static trk_status read_family(trk_arch_claims *out, const json_t *root)
{
    const json_t *family = json_object_get(root, "family");
    if (!family)
        return TRK_OK;
    const char *text = json_is_string(family) ? json_string_value(family) : "?";
    char shown[40];
    if (strcmp(text, "sam2") != 0 && strcmp(text, "sam2.1") != 0)
        return TRK_FAIL(TRK_E_MODEL, "\"family\" is \"%s\", expected \"sam2\" or \"sam2.1\"",
                        trk_printable(shown, sizeof shown, text, strlen(text)));
    out->arch.is_21 = strcmp(text, "sam2.1") == 0;
    out->says_family = 1;
    return TRK_OK;
}

static trk_status read_own(trk_arch_claims *out, const json_t *root)
{
    trk_status rc;
    TRK_CHECK(read_family(out, root));
    for (size_t i = 0; i < trk_arch_n_numbers; i++) {
        const trk_arch_number *number = &trk_arch_numbers[i];
        const json_t *value = at_path(root, number->key, strlen(number->key));
        if (value)
            TRK_CHECK(read_number(trk_arch_number_at(&out->arch, number), value, number->key));
    }
    const json_t *value;
    if ((value = at_path(root, "stages", 6)))
        TRK_CHECK(read_four(out->arch.stages, value, "stages", 1, TRK_MAX_BLOCKS));
    if ((value = at_path(root, "window_spec", 11)))
        TRK_CHECK(read_four(out->arch.window_spec, value, "window_spec", 1, 1024));
    if ((value = at_path(root, "global_att_blocks", 17)))
        TRK_CHECK(read_globals(out, value, "global_att_blocks"));
    if ((value = at_path(root, "fpn_top_down_levels", 19)))
        TRK_CHECK(read_top_down(out, value, "fpn_top_down_levels"));
    if (!out->arch.max_pointers)
        out->arch.max_pointers = 16; /* upstream's default, which no configuration changes */
    int q_pool = 3;
    if ((value = at_path(root, "q_pool", 6)))
        TRK_CHECK(read_int(&q_pool, value, "q_pool", 3, 3));
done:
    return rc;
}

/* --- config.json of the port --------------------------------------------------------------------------------- */

static trk_status check_hf_fixed(const json_t *root)
{
    for (size_t i = 0; i < sizeof hf_fixed / sizeof *hf_fixed; i++) {
        const json_t *value = at_path(root, hf_fixed[i].path, strlen(hf_fixed[i].path));
        if (json_is_array(value))
            value = json_array_get(value, 0);
        if (value && (!json_is_number(value) || json_number_value(value) != hf_fixed[i].value))
            return json_is_number(value)
                       ? TRK_FAIL(TRK_E_MODEL, "\"%s\" is %g, expected %g, the only value supported", hf_fixed[i].path,
                                  json_number_value(value), hf_fixed[i].value)
                       : TRK_FAIL(TRK_E_MODEL, "\"%s\" is no number, expected %g, the only value supported",
                                  hf_fixed[i].path, hf_fixed[i].value);
    }
    return TRK_OK;
}

/* Both switches are those of SAM 2.1. Left out they say nothing: the image-only configuration has neither. */
static trk_status read_hf_family(trk_arch_claims *out, const json_t *root)
{
    const json_t *spatial = json_object_get(root, "enable_occlusion_spatial_embedding");
    const json_t *temporal = json_object_get(root, "enable_temporal_pos_encoding_for_object_pointers");
    if (!json_is_boolean(spatial) && !json_is_boolean(temporal))
        return TRK_OK;
    int is_spatial = !json_is_false(spatial), is_temporal = !json_is_false(temporal);
    if (is_spatial != is_temporal)
        return TRK_FAIL(TRK_E_MODEL, "\"enable_occlusion_spatial_embedding\" and "
                                     "\"enable_temporal_pos_encoding_for_object_pointers\" differ, expected both true "
                                     "(SAM 2.1) or both false (SAM 2)");
    out->arch.is_21 = is_spatial;
    out->says_family = 1;
    return TRK_OK;
}

static trk_status read_hf_number(trk_arch_claims *out, const json_t *root, const trk_arch_number *number)
{
    int *field = trk_arch_number_at(&out->arch, number);
    for (const char *path = number->hf_paths; *path;) {
        size_t n = strcspn(path, "|");
        const json_t *value = at_path(root, path, n);
        if (value) {
            char key[128];
            snprintf(key, sizeof key, "%.*s", (int)n, path);
            return read_number(field, value, key);
        }
        path += path[n] ? n + 1 : n;
    }
    *field = number->hf_default;
    return TRK_OK;
}

static trk_status read_hf(trk_arch_claims *out, const json_t *root)
{
    static const int default_windows[4] = {8, 4, 14, 7}, default_globals[3] = {5, 7, 9};
    const json_t *vision = json_object_get(root, "vision_config");
    const json_t *trunk = json_object_get(vision, "backbone_config"), *value;
    trk_status rc;
    TRK_CHECK(check_hf_fixed(root));
    TRK_CHECK(read_hf_family(out, root));
    for (size_t i = 0; i < trk_arch_n_numbers; i++)
        TRK_CHECK(read_hf_number(out, root, &trk_arch_numbers[i]));
    if ((value = at_path(trunk, "blocks_per_stage", 16)))
        TRK_CHECK(read_four(out->arch.stages, value, "blocks_per_stage", 1, TRK_MAX_BLOCKS));
    memcpy(out->arch.window_spec, default_windows, sizeof default_windows);
    if ((value = at_path(trunk, "window_size_per_stage", 21)))
        TRK_CHECK(read_four(out->arch.window_spec, value, "window_size_per_stage", 1, 1024));
    for (int i = 0; i < 3; i++)
        out->arch.is_global[default_globals[i]] = 1;
    out->says_globals = 1;
    if ((value = at_path(trunk, "global_attention_blocks", 23))) {
        memset(out->arch.is_global, 0, sizeof out->arch.is_global);
        TRK_CHECK(read_globals(out, value, "global_attention_blocks"));
    }
    out->arch.top_down[2] = out->says_top_down = 1;
    if ((value = at_path(vision, "fpn_top_down_levels", 19))) {
        out->arch.top_down[2] = 0;
        TRK_CHECK(read_top_down(out, value, "fpn_top_down_levels"));
    }
done:
    return rc;
}

trk_status trk_arch_read_config(trk_arch_claims *out, const char *json)
{
    json_error_t error;
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return TRK_FAIL(TRK_E_FORMAT, "not valid JSON at line %d, column %d", error.line, error.column);
    trk_arch_claims claims = {0};
    const char *type = json_string_value(json_object_get(root, "model_type"));
    char shown[40];
    trk_status rc;
    if (type && (strcmp(type, "sam2_video") == 0 || strcmp(type, "sam2") == 0))
        rc = read_hf(&claims, root);
    else if (!type && (json_object_get(root, "family") || json_object_get(root, "embed_dim")))
        rc = read_own(&claims, root);
    else
        rc = TRK_FAIL(TRK_E_NOT_FOUND,
                      "describes no SAM 2 model: \"model_type\" is \"%s\", and \"family\" and "
                      "\"embed_dim\" are for files without one",
                      trk_printable(shown, sizeof shown, type ? type : "", type ? strlen(type) : 0));
    json_decref(root);
    if (rc == TRK_OK)
        *out = claims;
    return rc;
}
