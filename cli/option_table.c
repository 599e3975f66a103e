/* SPDX-License-Identifier: Apache-2.0
 * One table of the options, each with the function that stores its value. */
#include "option_table.h"

#include <limits.h>
#include <string.h>

#include "heap.h"
#include "option_values.h"

typedef enum option_id {
    START,
    FRAMES,
    REVERSE,
    DECODER,
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
    CORRECT_AS_CONDITION,
    NON_OVERLAP,
    POLICY,
    MOTION_WEIGHT, /* in the order of motion_value, up to MIN_OBJECT_SCORE */
    STABLE_FRAMES,
    STABLE_IOU,
    MEMORY_IOU,
    MEMORY_OBJECT_SCORE,
    MEMORY_MOTION,
    MIN_OBJECT_SCORE,
    STRICT_REFERENCE,
    DRAW_MOTION,
    MEMORY_BUDGET,
    PLAN,
    RESERVE,
    SWEEP_EVERY,
    SWEEP_ABOVE,
    SWEEP_NEVER,
    MAX_PROMPTS,
    HISTORY,
    MEMORY_DTYPE,
    OLDER_MEMORY_DTYPE,
    OVERLAY,
    ENCODER,
    MASKS,
    JSONL,
    BOXES,
    LOGITS,
    SHEET,
    SAVE_STATE,
    RESUME,
    LIST,
    JOBS,
    LAYOUT,
    SPLIT,
    CLIP,
    PRED,
    OUT,
    BOX_LAYOUT,
    BY_OBJECT,
    NO_BOUNDARY,
    QUIET,
    VERBOSE,
    MEMORY_REPORT,
    HELP,
    VERSION
} option_id;
_Static_assert(MIN_OBJECT_SCORE - MOTION_WEIGHT == MOTION_VALUE_MIN_OBJECT_SCORE, "a threshold without an option");

static option_store store_input, store_model, store_memory, store_policy, store_file, store_eval, store_switch;

static const option_entry option_table[] = {
    {"start", 0, START, VALUE_NEEDED, ONE_VIDEO, store_input},
    {"frames", 0, FRAMES, VALUE_NEEDED, ONE_VIDEO, store_input},
    {"reverse", 0, REVERSE, VALUE_NONE, ONE_VIDEO, store_switch},
    {"decoder", 0, DECODER, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL, store_input},
    {"box", 0, BOX, VALUE_NEEDED, ONE_VIDEO, store_input},
    {"point", 0, POINT, VALUE_NEEDED, ONE_VIDEO, store_input},
    {"mask", 0, MASK, VALUE_NEEDED, ONE_VIDEO, store_input},
    {"prompts", 0, PROMPTS, VALUE_NEEDED, ONE_VIDEO, store_input},
    {"model", 'm', MODEL, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_model},
    {"model-config", 0, MODEL_CONFIG, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL | ALSO_INFO, store_model},
    {"device", 0, DEVICE, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_model},
    {"dtype", 0, DTYPE, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_model},
    {"threads", 0, THREADS, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_model},
    {"image-size", 0, IMAGE_SIZE, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_model},
    {"no-postprocess", 0, NO_POSTPROCESS, VALUE_NONE, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_switch},
    {"fill-holes", 0, FILL_HOLES, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_model},
    {"no-binarize", 0, NO_BINARIZE, VALUE_NONE, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_switch},
    {"no-stability", 0, NO_STABILITY, VALUE_NONE, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_switch},
    {"correct-as-condition", 0, CORRECT_AS_CONDITION, VALUE_NONE, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_switch},
    {"non-overlap", 0, NON_OVERLAP, VALUE_NONE, ONE_VIDEO | OF_STATE, store_switch},
    {"policy", 0, POLICY, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_policy},
    {"motion-weight", 0, MOTION_WEIGHT, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_policy},
    {"stable-frames", 0, STABLE_FRAMES, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_policy},
    {"stable-iou", 0, STABLE_IOU, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_policy},
    {"memory-iou", 0, MEMORY_IOU, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_policy},
    {"memory-object-score", 0, MEMORY_OBJECT_SCORE, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_policy},
    {"memory-motion", 0, MEMORY_MOTION, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_policy},
    {"min-object-score", 0, MIN_OBJECT_SCORE, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_policy},
    {"strict-reference", 0, STRICT_REFERENCE, VALUE_NONE, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_switch},
    {"draw-motion", 0, DRAW_MOTION, VALUE_NONE, ONE_VIDEO, store_switch},
    {"memory-budget", 0, MEMORY_BUDGET, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_memory},
    {"plan", 0, PLAN, VALUE_NONE, WHOLE_COMMAND, store_switch},
    {"reserve", 0, RESERVE, VALUE_NONE, ONE_VIDEO | ALSO_EVAL, store_switch},
    {"sweep-every", 0, SWEEP_EVERY, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL, store_memory},
    {"sweep-above", 0, SWEEP_ABOVE, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL, store_memory},
    {"sweep-never", 0, SWEEP_NEVER, VALUE_NONE, ONE_VIDEO | ALSO_EVAL, store_memory},
    {"max-prompts-in-memory", 0, MAX_PROMPTS, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_memory},
    {"history", 0, HISTORY, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_memory},
    {"memory-dtype", 0, MEMORY_DTYPE, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_memory},
    {"older-memory-dtype", 0, OLDER_MEMORY_DTYPE, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | OF_STATE, store_memory},
    {"overlay", 'o', OVERLAY, VALUE_NEEDED, ONE_VIDEO | AN_OUTPUT, store_file},
    {"encoder", 0, ENCODER, VALUE_NEEDED, ONE_VIDEO, store_file},
    {"masks", 0, MASKS, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | AN_OUTPUT, store_file},
    {"jsonl", 0, JSONL, VALUE_NEEDED, ONE_VIDEO | AN_OUTPUT, store_file},
    {"boxes", 0, BOXES, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL | AN_OUTPUT, store_file},
    {"logits", 0, LOGITS, VALUE_NEEDED, ONE_VIDEO | AN_OUTPUT, store_file},
    {"sheet", 0, SHEET, VALUE_NEEDED, ONE_VIDEO | AN_OUTPUT, store_file},
    {"save-state", 0, SAVE_STATE, VALUE_NEEDED, ONE_VIDEO | AN_OUTPUT, store_file},
    {"resume", 0, RESUME, VALUE_NEEDED, ONE_VIDEO, store_file},
    {"list", 0, LIST, VALUE_NEEDED, WHOLE_COMMAND, store_file},
    {"jobs", 0, JOBS, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL | ALSO_PRED, store_input},
    {"layout", 0, LAYOUT, VALUE_NEEDED, WHOLE_COMMAND | ONLY_EVAL, store_eval},
    {"split", 0, SPLIT, VALUE_NEEDED, WHOLE_COMMAND | ONLY_EVAL, store_eval},
    {"clip", 0, CLIP, VALUE_NEEDED, WHOLE_COMMAND | ONLY_EVAL, store_eval},
    {"pred", 0, PRED, VALUE_NEEDED, WHOLE_COMMAND | ONLY_EVAL, store_eval},
    {"out", 0, OUT, VALUE_NEEDED, WHOLE_COMMAND | ONLY_EVAL | AN_OUTPUT, store_eval},
    {"box-layout", 0, BOX_LAYOUT, VALUE_NEEDED, WHOLE_COMMAND | ONLY_EVAL, store_eval},
    {"by-object", 0, BY_OBJECT, VALUE_NONE, WHOLE_COMMAND | ONLY_EVAL, store_switch},
    {"no-boundary", 0, NO_BOUNDARY, VALUE_NONE, WHOLE_COMMAND | ONLY_EVAL, store_switch},
    {"quiet", 'q', QUIET, VALUE_NONE, WHOLE_COMMAND | ALSO_EVAL | ALSO_PRED | ALSO_INFO, store_switch},
    {"verbose", 'v', VERBOSE, VALUE_NONE, WHOLE_COMMAND | ALSO_EVAL | ALSO_PRED | ALSO_INFO, store_switch},
    {"memory-report", 0, MEMORY_REPORT, VALUE_OPTIONAL, WHOLE_COMMAND | AN_OUTPUT, store_memory},
    {"help", 'h', HELP, VALUE_NONE, WHOLE_COMMAND | ALSO_EVAL | ALSO_INFO, store_switch},
    {"version", 0, VERSION, VALUE_NONE, WHOLE_COMMAND | ALSO_EVAL | ALSO_INFO, store_switch},
};

/* --- values ----------------------------------------------------------------------------------------------------- */

static trk_status store_sweep(options *out, const option_entry *entry, const char *value)
{
    static const trk_sweep policies[] = {TRK_SWEEP_EVERY, TRK_SWEEP_ABOVE, TRK_SWEEP_NEVER};
    if (out->sweep_option && strcmp(out->sweep_option, entry->name))
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: --%s is given too: expected one of them", entry->name,
                        out->sweep_option);
    out->sweep_option = entry->name;
    out->sweep = policies[entry->id - SWEEP_EVERY];
    if (entry->id == SWEEP_EVERY)
        return option_int(entry->name, value, 1, INT_MAX, &out->sweep_every);
    return entry->id == SWEEP_ABOVE ? option_sweep_above(out, value) : TRK_OK;
}

static trk_status store_max_prompts(options *out, const option_entry *entry, const char *value)
{
    int64_t wide;
    trk_status rc = option_whole_or_all(entry->name, value, 1, INT_MAX, &wide);
    if (!rc)
        out->max_prompts = (int)wide;
    return rc;
}

static trk_status store_memory(options *out, const option_entry *entry, const char *value)
{
    switch (entry->id) {
    case MEMORY_BUDGET:
        return option_budget(out, value);
    case MAX_PROMPTS:
        return store_max_prompts(out, entry, value);
    case HISTORY:
        return option_whole_or_all(entry->name, value, 0, INT64_MAX / 2, &out->history);
    case MEMORY_DTYPE:
        return option_memory_dtype(out, value);
    case OLDER_MEMORY_DTYPE:
        return option_older_memory_dtype(out, value);
    case MEMORY_REPORT:
        out->memory_report = 1;
        return value ? option_path(entry->name, value, &out->memory_report_file) : TRK_OK;
    default:
        return store_sweep(out, entry, value);
    }
}

static trk_status store_model(options *out, const option_entry *entry, const char *value)
{
    switch (entry->id) {
    case MODEL:
        return option_path(entry->name, value, &out->model);
    case MODEL_CONFIG:
        return option_path(entry->name, value, &out->model_config);
    case DEVICE:
        return option_device(out, value);
    case DTYPE:
        return option_dtype(out, value);
    case THREADS:
        return option_int(entry->name, value, 1, OPTIONS_MOST_THREADS, &out->threads);
    case IMAGE_SIZE:
        return option_int(entry->name, value, 16, OPTIONS_MOST_IMAGE_SIZE, &out->image_size);
    default:
        return option_int(entry->name, value, 0, 1 << 24, &out->fill_holes);
    }
}

static trk_status store_policy(options *out, const option_entry *entry, const char *value)
{
    if (entry->id == POLICY)
        return motion_options_policy(&out->motion, value);
    return motion_options_store(&out->motion, (motion_value)(entry->id - MOTION_WEIGHT), value);
}

static trk_status store_file(options *out, const option_entry *entry, const char *value)
{
    switch (entry->id) {
    case ENCODER:
        return option_hardware(entry->name, value, "nvenc", &out->encoder);
    case MASKS:
        return option_place(entry->name, value, &out->masks);
    case JSONL:
        return option_path(entry->name, value, &out->jsonl);
    case BOXES:
        return option_path(entry->name, value, &out->boxes);
    case LOGITS:
        return option_place(entry->name, value, &out->logits);
    case SHEET:
        return option_sheet(entry->name, value, &out->sheet);
    case SAVE_STATE:
        return option_place(entry->name, value, &out->save_state);
    case RESUME:
        return option_path(entry->name, value, &out->resume);
    case LIST:
        return option_path(entry->name, value, &out->list);
    default:
        return option_overlay(entry->name, value, &out->overlay);
    }
}

static trk_status store_prompts(options *out, const option_entry *entry, const char *value)
{
    trk_status rc = option_path(entry->name, value, &value);
    return rc ? rc : prompts_parse_file(&out->prompts, value);
}

static trk_status store_input(options *out, const option_entry *entry, const char *value)
{
    switch (entry->id) {
    case START:
        return option_whole(entry->name, value, 0, INT64_MAX / 2, &out->start);
    case FRAMES:
        return option_whole(entry->name, value, 1, INT64_MAX / 2, &out->n_frames);
    case DECODER:
        return option_hardware(entry->name, value, "cuda", &out->decoder);
    case JOBS:
        return option_int(entry->name, value, 1, OPTIONS_MOST_JOBS, &out->jobs);
    case BOX:
        return prompts_parse(&out->prompts, PROMPT_BOX, value);
    case POINT:
        return prompts_parse(&out->prompts, PROMPT_POINT, value);
    case MASK:
        return prompts_parse(&out->prompts, PROMPT_MASK, value);
    default:
        return store_prompts(out, entry, value);
    }
}

/* "a,b": both, after those given before. */
static trk_status store_clips(options *out, const char *name, const char *value)
{
    if (!*value || *value == ',' || value[strlen(value) - 1] == ',' || strstr(value, ",,"))
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected NAME[,NAME...], got \"%s\"", name, value);
    char *joined =
        out->clips ? trk_heap_format("options", "%s,%s", out->clips, value) : trk_heap_text("options", value);
    if (!joined)
        return TRK_FAIL(TRK_E_MEMORY, "--%s: out of memory", name);
    trk_heap_release(out->clips);
    out->clips = joined;
    return TRK_OK;
}

static trk_status store_eval(options *out, const option_entry *entry, const char *value)
{
    switch (entry->id) {
    case CLIP:
        return store_clips(out, entry->name, value);
    case PRED:
        return option_path(entry->name, value, &out->pred);
    case OUT:
        return option_path(entry->name, value, &out->results);
    case LAYOUT:
        out->layout = value;
        return TRK_OK;
    case BOX_LAYOUT:
        out->box_layout = value;
        return TRK_OK;
    default:
        out->split = value;
        return TRK_OK;
    }
}

static trk_status store_switch(options *out, const option_entry *entry, const char *value)
{
    const struct {
        option_id id;
        int *flag, set_to;
    } flags[] = {
        {REVERSE, &out->reverse, 1},
        {NO_POSTPROCESS, &out->binarize, 0},
        {NO_POSTPROCESS, &out->stability, 0},
        {NO_POSTPROCESS, &out->fill_holes, 0},
        {NO_BINARIZE, &out->binarize, 0},
        {NO_STABILITY, &out->stability, 0},
        {CORRECT_AS_CONDITION, &out->correct_as_condition, 1},
        {NON_OVERLAP, &out->non_overlap, 1},
        {STRICT_REFERENCE, &out->motion.strict_reference, 1},
        {DRAW_MOTION, &out->motion.draw, 1},
        {PLAN, &out->plan, 1},
        {RESERVE, &out->reserve, 1},
        {BY_OBJECT, &out->by_object, 1},
        {NO_BOUNDARY, &out->no_boundary, 1},
        {QUIET, &out->quiet, 1},
        {VERBOSE, &out->verbose, 1},
    };
    (void)value;
    if (entry->id == HELP || entry->id == VERSION)
        out->command = entry->id == HELP ? COMMAND_HELP : COMMAND_VERSION;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (flags[i].id == (option_id)entry->id)
            *flags[i].flag = flags[i].set_to;
    return TRK_OK;
}

/* --- finding ---------------------------------------------------------------------------------------------------- */

const option_entry *option_find(const char *text, size_t n_name, int is_long)
{
    for (size_t i = 0; i < sizeof option_table / sizeof *option_table; i++) {
        const option_entry *entry = &option_table[i];
        if (is_long ? strlen(entry->name) == n_name && !strncmp(entry->name, text, n_name)
                    : n_name == 1 && entry->letter == *text)
            return entry;
    }
    return NULL;
}
