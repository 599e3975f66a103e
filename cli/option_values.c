/* SPDX-License-Identifier: Apache-2.0 */
#include "option_values.h"

#include <string.h>

#include "byte_size.h"
#include "number.h"

/* --- of any option ---------------------------------------------------------------------------------------------- */

trk_status option_whole(const char *name, const char *value, int64_t low, int64_t high, int64_t *out)
{
    int64_t any;
    if (number_whole(value, low, high, out))
        return TRK_OK;
    if (!number_is_whole(value))
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected a whole number, got \"%s\"", name, value);
    if (number_whole(value, INT64_MIN, INT64_MAX, &any) ? any > high : *value != '-')
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected at most %lld, got %s", name, (long long)high, value);
    return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected %lld or more, got %s", name, (long long)low, value);
}

trk_status option_int(const char *name, const char *value, int low, int high, int *out)
{
    int64_t wide;
    trk_status rc = option_whole(name, value, low, high, &wide);
    if (!rc)
        *out = (int)wide;
    return rc;
}

trk_status option_whole_or_all(const char *name, const char *value, int64_t low, int64_t high, int64_t *out)
{
    if (!strcmp(value, "all")) {
        *out = -1;
        return TRK_OK;
    }
    if (!number_is_whole(value))
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected a whole number or all, got \"%s\"", name, value);
    return option_whole(name, value, low, high, out);
}

trk_status option_path(const char *name, const char *value, const char **out)
{
    if (!*value)
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected a file or folder, got \"\"", name);
    *out = value;
    return TRK_OK;
}

trk_status option_place(const char *name, const char *value, const char **out)
{
    if (!strcmp(value, "-"))
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: cannot go to standard output: expected a file or folder, got \"-\"",
                        name);
    return option_path(name, value, out);
}

static int ends_in(const char *value, const char *suffix)
{
    const char *dot = strrchr(value, '.');
    return dot && !strcasecmp(dot, suffix);
}

trk_status option_overlay(const char *name, const char *value, const char **out)
{
    if (ends_in(value, ".mp4") || ends_in(value, ".mkv") || ends_in(value, ".mov"))
        return option_path(name, value, out);
    return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected a file name ending in .mp4, .mkv or .mov, got \"%s\"", name, value);
}

trk_status option_sheet(const char *name, const char *value, const char **out)
{
    if (ends_in(value, ".png") || !strcmp(value, "-"))
        return option_place(name, value, out);
    return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected a file name ending in .png, got \"%s\"", name, value);
}

trk_status option_hardware(const char *name, const char *value, const char *gpu, trk_hardware_use *out)
{
    const char *const words[] = {"auto", "cpu", gpu};
    static const trk_hardware_use uses[] = {TRK_HARDWARE_TRY, TRK_HARDWARE_OFF, TRK_HARDWARE_MUST};
    for (int i = 0; i < 3; i++)
        if (!strcmp(value, words[i])) {
            *out = uses[i];
            return TRK_OK;
        }
    return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected auto, cpu or %s, got \"%s\"", name, gpu, value);
}

/* --- of the model ----------------------------------------------------------------------------------------------- */

trk_status option_device(options *out, const char *value)
{
    int64_t index = 0;
    if (!strcmp(value, "auto"))
        out->device = TRK_DEVICE_AUTO;
    else if (!strcmp(value, "cpu"))
        out->device = TRK_DEVICE_CPU;
    else if (!strcmp(value, "reference"))
        out->device = TRK_DEVICE_REFERENCE;
    else if (!strcmp(value, "cuda") || (!strncmp(value, "cuda:", 5) && number_whole(value + 5, 0, 255, &index)))
        out->device = TRK_DEVICE_CUDA;
    else
        return TRK_FAIL(TRK_E_ARGUMENT, "--device: expected auto, cpu, cuda, cuda:N or reference, got \"%s\"", value);
    out->device_index = (int)index;
    return TRK_OK;
}

trk_status option_dtype(options *out, const char *value)
{
    static const char *const names[] = {"auto", "f32", "bf16"};
    static const trk_precision precisions[] = {TRK_PRECISION_AUTO, TRK_PRECISION_F32, TRK_PRECISION_BF16};
    for (int i = 0; i < 3; i++)
        if (!strcmp(value, names[i])) {
            out->precision = precisions[i];
            return TRK_OK;
        }
    return TRK_FAIL(TRK_E_ARGUMENT, "--dtype: expected auto, f32 or bf16, got \"%s\"", value);
}

/* --- of memory -------------------------------------------------------------------------------------------------- */

trk_status option_budget(options *out, const char *value)
{
    if (byte_size_parse(value, &out->memory_budget, &out->memory_share))
        return TRK_OK;
    return TRK_FAIL(TRK_E_ARGUMENT,
                    "--memory-budget: expected bytes, as 512MiB, 1500MB or 2GiB, or a share of what is free, as 0.8, "
                    "got \"%s\"",
                    value);
}

trk_status option_sweep_above(options *out, const char *value)
{
    double share;
    if (!number_real(value, strlen(value), &share) || !(share > 0 && share <= 1))
        return TRK_FAIL(TRK_E_ARGUMENT, "--sweep-above: expected a share of the budget above 0 and up to 1, got \"%s\"",
                        value);
    out->sweep_above = share;
    return TRK_OK;
}

static int memory_type_named(const char *name, size_t n_name, trk_memory_type *out)
{
    static const struct {
        const char *name;
        trk_memory_type type;
    } types[] = {{"bf16", TRK_MEMORY_BF16}, {"f32", TRK_MEMORY_F32}, {"f16", TRK_MEMORY_F16}, {"q8", TRK_MEMORY_Q8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strlen(types[i].name) == n_name && !strncmp(types[i].name, name, n_name)) {
            *out = types[i].type;
            return 1;
        }
    return 0;
}

trk_status option_memory_dtype(options *out, const char *value)
{
    if (memory_type_named(value, strlen(value), &out->memory_type))
        return TRK_OK;
    return TRK_FAIL(TRK_E_ARGUMENT, "--memory-dtype: expected bf16, f32, f16 or q8, got \"%s\"", value);
}

trk_status option_older_memory_dtype(options *out, const char *value)
{
    const size_t n_name = strcspn(value, "@");
    int64_t age = OPTIONS_DEFAULT_OLDER_AFTER;
    trk_memory_type type;
    if (!memory_type_named(value, n_name, &type) || (value[n_name] && !number_whole(value + n_name + 1, 1, 1000, &age)))
        return TRK_FAIL(TRK_E_ARGUMENT,
                        "--older-memory-dtype: expected bf16, f32, f16 or q8, with @AGE (1 to 1000 frames back) or "
                        "without, got \"%s\"",
                        value);
    out->older_memory_type = type;
    out->older_after = (int)age;
    return TRK_OK;
}
