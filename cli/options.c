/* SPDX-License-Identifier: Apache-2.0
 * One table of the options, and one switch that stores their values. */
#include "options.h"

#include <stdlib.h>
#include <string.h>

#include "number.h"

typedef enum option_id {
    START,
    FRAMES,
    REVERSE,
    BOX,
    POINT,
    MASK,
    PROMPTS,
    MODEL,
    MODEL_CONFIG,
    DEVICE,
    DTYPE,
    THREADS,
    IMAGE_SIZE,
    NO_POSTPROCESS,
    FILL_HOLES,
    NO_BINARIZE,
    NO_STABILITY,
    OVERLAY,
    MASKS,
    JSONL,
    BOXES,
    LOGITS,
    SHEET,
    QUIET,
    VERBOSE,
    MEMORY_REPORT,
    HELP,
    VERSION
} option_id;

typedef enum option_value { VALUE_NONE, VALUE_NEEDED, VALUE_OPTIONAL } option_value;

static const struct option_entry {
    const char *name;
    char letter; /* short form, or 0 */
    option_id id;
    option_value value;
} option_table[] = {
    {"start", 0, START, VALUE_NEEDED},
    {"frames", 0, FRAMES, VALUE_NEEDED},
    {"reverse", 0, REVERSE, VALUE_NONE},
    {"box", 0, BOX, VALUE_NEEDED},
    {"point", 0, POINT, VALUE_NEEDED},
    {"mask", 0, MASK, VALUE_NEEDED},
    {"prompts", 0, PROMPTS, VALUE_NEEDED},
    {"model", 'm', MODEL, VALUE_NEEDED},
    {"model-config", 0, MODEL_CONFIG, VALUE_NEEDED},
    {"device", 0, DEVICE, VALUE_NEEDED},
    {"dtype", 0, DTYPE, VALUE_NEEDED},
    {"threads", 0, THREADS, VALUE_NEEDED},
    {"image-size", 0, IMAGE_SIZE, VALUE_NEEDED},
    {"no-postprocess", 0, NO_POSTPROCESS, VALUE_NONE},
    {"fill-holes", 0, FILL_HOLES, VALUE_NEEDED},
    {"no-binarize", 0, NO_BINARIZE, VALUE_NONE},
    {"no-stability", 0, NO_STABILITY, VALUE_NONE},
    {"overlay", 'o', OVERLAY, VALUE_NEEDED},
    {"masks", 0, MASKS, VALUE_NEEDED},
    {"jsonl", 0, JSONL, VALUE_NEEDED},
    {"boxes", 0, BOXES, VALUE_NEEDED},
    {"logits", 0, LOGITS, VALUE_NEEDED},
    {"sheet", 0, SHEET, VALUE_NEEDED},
    {"quiet", 'q', QUIET, VALUE_NONE},
    {"verbose", 'v', VERBOSE, VALUE_NONE},
    {"memory-report", 0, MEMORY_REPORT, VALUE_OPTIONAL},
    {"help", 'h', HELP, VALUE_NONE},
    {"version", 0, VERSION, VALUE_NONE},
};

/* --- values ----------------------------------------------------------------------------------------------------- */

static trk_status whole_value(const char *name, const char *value, int64_t low, int64_t high, int64_t *out)
{
    int64_t any;
    if (number_whole(value, low, high, out))
        return TRK_OK;
    if (!number_whole(value, INT64_MIN, INT64_MAX, &any))
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected a whole number, got \"%s\"", name, value);
    if (any > high)
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected at most %lld, got %s", name, (long long)high, value);
    return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected %lld or more, got %s", name, (long long)low, value);
}

static trk_status int_value(const char *name, const char *value, int low, int high, int *out)
{
    int64_t wide;
    trk_status rc = whole_value(name, value, low, high, &wide);
    if (!rc)
        *out = (int)wide;
    return rc;
}

static trk_status device_value(options *out, const char *value)
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

static trk_status dtype_value(options *out, const char *value)
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

static trk_status path_value(const char *name, const char *value, const char **out)
{
    if (!*value)
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected a file or folder, got \"\"", name);
    *out = value;
    return TRK_OK;
}

static trk_status overlay_value(options *out, const char *value)
{
    static const char *const suffixes[] = {".mp4", ".mkv", ".mov"};
    const char *dot = strrchr(value, '.');
    for (int i = 0; dot && i < 3; i++)
        if (!strcasecmp(dot, suffixes[i]))
            return path_value("overlay", value, &out->overlay);
    return TRK_FAIL(TRK_E_ARGUMENT, "--overlay: expected a file name ending in .mp4, .mkv or .mov, got \"%s\"", value);
}

static trk_status store(options *out, const struct option_entry *entry, const char *value)
{
    switch (entry->id) {
    case START:
        return whole_value(entry->name, value, 0, INT64_MAX / 2, &out->start);
    case FRAMES:
        return whole_value(entry->name, value, 1, INT64_MAX / 2, &out->n_frames);
    case REVERSE:
        out->reverse = 1;
        break;
    case BOX:
        return prompts_parse(&out->prompts, PROMPT_BOX, value);
    case POINT:
        return prompts_parse(&out->prompts, PROMPT_POINT, value);
    case MASK:
        return prompts_parse(&out->prompts, PROMPT_MASK, value);
    case PROMPTS:
        return prompts_parse_file(&out->prompts, value);
    case MODEL:
        return path_value(entry->name, value, &out->model);
    case MODEL_CONFIG:
        return path_value(entry->name, value, &out->model_config);
    case DEVICE:
        return device_value(out, value);
    case DTYPE:
        return dtype_value(out, value);
    case THREADS:
        return int_value(entry->name, value, 1, OPTIONS_MOST_THREADS, &out->threads);
    case IMAGE_SIZE:
        return int_value(entry->name, value, 16, OPTIONS_MOST_IMAGE_SIZE, &out->image_size);
    case NO_POSTPROCESS:
        out->binarize = out->stability = out->fill_holes = 0;
        break;
    case FILL_HOLES:
        return int_value(entry->name, value, 0, 1 << 24, &out->fill_holes);
    case NO_BINARIZE:
        out->binarize = 0;
        break;
    case NO_STABILITY:
        out->stability = 0;
        break;
    case OVERLAY:
        return overlay_value(out, value);
    case MASKS:
        return path_value(entry->name, value, &out->masks);
    case JSONL:
        return path_value(entry->name, value, &out->jsonl);
    case BOXES:
        return path_value(entry->name, value, &out->boxes);
    case LOGITS:
        return path_value(entry->name, value, &out->logits);
    case SHEET:
        return path_value(entry->name, value, &out->sheet);
    case QUIET:
        out->quiet = 1;
        break;
    case VERBOSE:
        out->verbose = 1;
        break;
    case MEMORY_REPORT:
        out->memory_report = 1;
        return value ? path_value(entry->name, value, &out->memory_report_file) : TRK_OK;
    case HELP:
        out->command = COMMAND_HELP;
        break;
    case VERSION:
        out->command = COMMAND_VERSION;
        break;
    }
    return TRK_OK;
}

/* --- the line --------------------------------------------------------------------------------------------------- */

/* text: without its dashes, up to n_name characters of it the name. */
static const struct option_entry *find_option(const char *text, size_t n_name, int is_long)
{
    for (size_t i = 0; i < sizeof option_table / sizeof *option_table; i++) {
        const struct option_entry *entry = &option_table[i];
        if (is_long ? strlen(entry->name) == n_name && !strncmp(entry->name, text, n_name)
                    : n_name == 1 && entry->letter == *text)
            return entry;
    }
    return NULL;
}

/* Reads the option at argv[*at] and moves *at to its last word. */
static trk_status parse_option(options *out, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    const int is_long = word[1] == '-';
    const char *name = word + 1 + is_long;
    const size_t n_name = is_long ? strcspn(name, "=") : strlen(name);
    const struct option_entry *entry = find_option(name, n_name, is_long);
    const char *value = is_long && name[n_name] ? name + n_name + 1 : NULL;
    if (!entry)
        return TRK_FAIL(TRK_E_ARGUMENT, "%.*s: no such option", (int)(n_name + 1 + (size_t)is_long), word);
    if (entry->value == VALUE_NONE && value)
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: takes no value, got \"%s\"", entry->name, value);
    if (entry->value == VALUE_NEEDED && !value) {
        if (*at + 1 >= argc)
            return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected a value after it", entry->name);
        value = argv[++*at];
    }
    return store(out, entry, value);
}

static trk_status check_operands(const options *self, int n_operands, const char *extra)
{
    static const struct {
        int needed;
        const char *usage;
    } commands[] = {
        [COMMAND_TRACK] = {1, "a video: track VIDEO PROMPT... [OPTION...]"},
        [COMMAND_INFO] = {1, "a model: track info MODEL"},
        [COMMAND_EVAL] = {2, "two folders: track eval MASKS_DIR TRUTH_DIR"},
    };
    if (self->command == COMMAND_HELP || self->command == COMMAND_VERSION)
        return TRK_OK;
    if (extra)
        return TRK_FAIL(TRK_E_ARGUMENT, "unexpected \"%s\": expected %s", extra, commands[self->command].usage);
    if (n_operands < commands[self->command].needed)
        return TRK_FAIL(TRK_E_ARGUMENT, "expected %s", commands[self->command].usage);
    if (self->command == COMMAND_TRACK && !self->prompts.n_items)
        return TRK_FAIL(TRK_E_ARGUMENT, "nothing to follow: expected at least one --box, --point, --mask or --prompts");
    return TRK_OK;
}

trk_status options_parse(options *out, int argc, char **argv)
{
    int n_operands = 0, only_operands = 0, at = 1;
    const char *extra = NULL;
    *out = (options){.start = -1,
                     .n_frames = -1,
                     .model = OPTIONS_DEFAULT_MODEL,
                     .fill_holes = OPTIONS_DEFAULT_FILL_HOLES,
                     .binarize = 1,
                     .stability = 1};
    if (argc > 1 && !strcmp(argv[1], "info"))
        out->command = COMMAND_INFO;
    if (argc > 1 && !strcmp(argv[1], "eval"))
        out->command = COMMAND_EVAL;
    for (at += out->command != COMMAND_TRACK; at < argc; at++) {
        const char *word = argv[at];
        const int needed = out->command == COMMAND_EVAL ? 2 : 1;
        if (only_operands || *word != '-' || !word[1]) {
            if (n_operands < needed)
                out->operands[n_operands++] = word;
            else
                extra = extra ? extra : word;
        } else if (!strcmp(word, "--"))
            only_operands = 1;
        else {
            trk_status rc = parse_option(out, argc, argv, &at);
            if (rc)
                return rc;
        }
    }
    return check_operands(out, n_operands, extra);
}

void options_free(options *self)
{
    prompts_free(&self->prompts);
}
