/* SPDX-License-Identifier: Apache-2.0
 * One table of the options, each with the function that stores its value. */
#include "options.h"

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
    BY_OBJECT,
    NO_BOUNDARY,
    QUIET,
    VERBOSE,
    MEMORY_REPORT,
    HELP,
    VERSION
} option_id;

typedef enum option_value { VALUE_NONE, VALUE_NEEDED, VALUE_OPTIONAL } option_value;
/* Where an option may stand: WHOLE_COMMAND not in a line of --list; with `track eval` those marked so. */
enum { ONE_VIDEO = 0, WHOLE_COMMAND = 1, ALSO_EVAL = 2, ONLY_EVAL = 4 };

struct option_entry;
typedef trk_status store_function(options *out, const struct option_entry *entry, const char *value);
static store_function store_input, store_model, store_memory, store_file, store_eval, store_switch;

static const struct option_entry {
    const char *name;
    char letter; /* short form, or 0 */
    option_id id;
    option_value value;
    int scope;
    store_function *store;
} option_table[] = {
    {"start", 0, START, VALUE_NEEDED, ONE_VIDEO, store_input},
    {"frames", 0, FRAMES, VALUE_NEEDED, ONE_VIDEO, store_input},
    {"reverse", 0, REVERSE, VALUE_NONE, ONE_VIDEO, store_switch},
    {"decoder", 0, DECODER, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL, store_input},
    {"box", 0, BOX, VALUE_NEEDED, ONE_VIDEO, store_input},
    {"point", 0, POINT, VALUE_NEEDED, ONE_VIDEO, store_input},
    {"mask", 0, MASK, VALUE_NEEDED, ONE_VIDEO, store_input},
    {"prompts", 0, PROMPTS, VALUE_NEEDED, ONE_VIDEO, store_input},
    {"model", 'm', MODEL, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_model},
    {"model-config", 0, MODEL_CONFIG, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_model},
    {"device", 0, DEVICE, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_model},
    {"dtype", 0, DTYPE, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_model},
    {"threads", 0, THREADS, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_model},
    {"image-size", 0, IMAGE_SIZE, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_model},
    {"no-postprocess", 0, NO_POSTPROCESS, VALUE_NONE, ONE_VIDEO | ALSO_EVAL, store_switch},
    {"fill-holes", 0, FILL_HOLES, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL, store_model},
    {"no-binarize", 0, NO_BINARIZE, VALUE_NONE, ONE_VIDEO | ALSO_EVAL, store_switch},
    {"no-stability", 0, NO_STABILITY, VALUE_NONE, ONE_VIDEO | ALSO_EVAL, store_switch},
    {"correct-as-condition", 0, CORRECT_AS_CONDITION, VALUE_NONE, ONE_VIDEO | ALSO_EVAL, store_switch},
    {"memory-budget", 0, MEMORY_BUDGET, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_memory},
    {"plan", 0, PLAN, VALUE_NONE, WHOLE_COMMAND, store_switch},
    {"reserve", 0, RESERVE, VALUE_NONE, ONE_VIDEO | ALSO_EVAL, store_switch},
    {"sweep-every", 0, SWEEP_EVERY, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL, store_memory},
    {"sweep-above", 0, SWEEP_ABOVE, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL, store_memory},
    {"sweep-never", 0, SWEEP_NEVER, VALUE_NONE, ONE_VIDEO | ALSO_EVAL, store_memory},
    {"max-prompts-in-memory", 0, MAX_PROMPTS, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL, store_memory},
    {"history", 0, HISTORY, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL, store_memory},
    {"memory-dtype", 0, MEMORY_DTYPE, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL, store_memory},
    {"older-memory-dtype", 0, OLDER_MEMORY_DTYPE, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL, store_memory},
    {"overlay", 'o', OVERLAY, VALUE_NEEDED, ONE_VIDEO, store_file},
    {"encoder", 0, ENCODER, VALUE_NEEDED, ONE_VIDEO, store_file},
    {"masks", 0, MASKS, VALUE_NEEDED, ONE_VIDEO | ALSO_EVAL, store_file},
    {"jsonl", 0, JSONL, VALUE_NEEDED, ONE_VIDEO, store_file},
    {"boxes", 0, BOXES, VALUE_NEEDED, ONE_VIDEO, store_file},
    {"logits", 0, LOGITS, VALUE_NEEDED, ONE_VIDEO, store_file},
    {"sheet", 0, SHEET, VALUE_NEEDED, ONE_VIDEO, store_file},
    {"save-state", 0, SAVE_STATE, VALUE_NEEDED, ONE_VIDEO, store_file},
    {"resume", 0, RESUME, VALUE_NEEDED, ONE_VIDEO, store_file},
    {"list", 0, LIST, VALUE_NEEDED, WHOLE_COMMAND, store_file},
    {"jobs", 0, JOBS, VALUE_NEEDED, WHOLE_COMMAND | ALSO_EVAL, store_input},
    {"layout", 0, LAYOUT, VALUE_NEEDED, WHOLE_COMMAND | ONLY_EVAL, store_eval},
    {"split", 0, SPLIT, VALUE_NEEDED, WHOLE_COMMAND | ONLY_EVAL, store_eval},
    {"clip", 0, CLIP, VALUE_NEEDED, WHOLE_COMMAND | ONLY_EVAL, store_eval},
    {"pred", 0, PRED, VALUE_NEEDED, WHOLE_COMMAND | ONLY_EVAL, store_eval},
    {"out", 0, OUT, VALUE_NEEDED, WHOLE_COMMAND | ONLY_EVAL, store_eval},
    {"by-object", 0, BY_OBJECT, VALUE_NONE, WHOLE_COMMAND | ONLY_EVAL, store_switch},
    {"no-boundary", 0, NO_BOUNDARY, VALUE_NONE, WHOLE_COMMAND | ONLY_EVAL, store_switch},
    {"quiet", 'q', QUIET, VALUE_NONE, WHOLE_COMMAND | ALSO_EVAL, store_switch},
    {"verbose", 'v', VERBOSE, VALUE_NONE, WHOLE_COMMAND | ALSO_EVAL, store_switch},
    {"memory-report", 0, MEMORY_REPORT, VALUE_OPTIONAL, WHOLE_COMMAND, store_memory},
    {"help", 'h', HELP, VALUE_NONE, WHOLE_COMMAND | ALSO_EVAL, store_switch},
    {"version", 0, VERSION, VALUE_NONE, WHOLE_COMMAND | ALSO_EVAL, store_switch},
};

/* --- values ----------------------------------------------------------------------------------------------------- */

static trk_status store_sweep(options *out, const struct option_entry *entry, const char *value)
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

static trk_status store_max_prompts(options *out, const struct option_entry *entry, const char *value)
{
    int64_t wide;
    trk_status rc = option_whole_or_all(entry->name, value, 1, INT_MAX, &wide);
    if (!rc)
        out->max_prompts = (int)wide;
    return rc;
}

static trk_status store_memory(options *out, const struct option_entry *entry, const char *value)
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

static trk_status store_model(options *out, const struct option_entry *entry, const char *value)
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

static trk_status store_file(options *out, const struct option_entry *entry, const char *value)
{
    switch (entry->id) {
    case ENCODER:
        return option_hardware(entry->name, value, "nvenc", &out->encoder);
    case MASKS:
        return option_path(entry->name, value, &out->masks);
    case JSONL:
        return option_path(entry->name, value, &out->jsonl);
    case BOXES:
        return option_path(entry->name, value, &out->boxes);
    case LOGITS:
        return option_path(entry->name, value, &out->logits);
    case SHEET:
        return option_path(entry->name, value, &out->sheet);
    case SAVE_STATE:
        return option_path(entry->name, value, &out->save_state);
    case RESUME:
        return option_path(entry->name, value, &out->resume);
    case LIST:
        return option_path(entry->name, value, &out->list);
    default:
        return option_overlay(entry->name, value, &out->overlay);
    }
}

static trk_status store_input(options *out, const struct option_entry *entry, const char *value)
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
        return prompts_parse_file(&out->prompts, value);
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

static trk_status store_eval(options *out, const struct option_entry *entry, const char *value)
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
    default:
        out->split = value;
        return TRK_OK;
    }
}

static trk_status store_switch(options *out, const struct option_entry *entry, const char *value)
{
    switch (entry->id) {
    case REVERSE:
        out->reverse = 1;
        break;
    case NO_POSTPROCESS:
        out->binarize = out->stability = out->fill_holes = 0;
        break;
    case NO_BINARIZE:
        out->binarize = 0;
        break;
    case NO_STABILITY:
        out->stability = 0;
        break;
    case CORRECT_AS_CONDITION:
        out->correct_as_condition = 1;
        break;
    case PLAN:
        out->plan = 1;
        break;
    case RESERVE:
        out->reserve = 1;
        break;
    case BY_OBJECT:
        out->by_object = 1;
        break;
    case NO_BOUNDARY:
        out->no_boundary = 1;
        break;
    case QUIET:
        out->quiet = 1;
        break;
    case VERBOSE:
        out->verbose = 1;
        break;
    default:
        out->command = entry->id == HELP ? COMMAND_HELP : COMMAND_VERSION;
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

/* The words of a line, of which argv[at] is the one being read. */
typedef struct word_list {
    int argc, at;
    char **argv;
    int in_list; /* 1: a line of --list */
    int is_eval; /* 1: of track eval */
    int n_operands, only_operands;
    const char *extra; /* the first operand too many */
} word_list;

static trk_status parse_option(options *out, word_list *words)
{
    const char *word = words->argv[words->at];
    const int is_long = word[1] == '-';
    const char *name = word + 1 + is_long;
    const size_t n_name = is_long ? strcspn(name, "=") : strlen(name);
    const struct option_entry *entry = find_option(name, n_name, is_long);
    const char *value = is_long && name[n_name] ? name + n_name + 1 : NULL;
    if (!entry)
        return TRK_FAIL(TRK_E_ARGUMENT, "%.*s: no such option", (int)(n_name + 1 + (size_t)is_long), word);
    if (words->is_eval ? !(entry->scope & (ALSO_EVAL | ONLY_EVAL)) : (entry->scope & ONLY_EVAL) != 0)
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: %s track eval", entry->name, words->is_eval ? "not with" : "only with");
    if (words->in_list && (entry->scope & WHOLE_COMMAND))
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: is for all videos: expected on the command line", entry->name);
    if (entry->value == VALUE_NONE && value)
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: takes no value, got \"%s\"", entry->name, value);
    if (entry->value == VALUE_NEEDED && !value) {
        if (words->at + 1 >= words->argc)
            return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected a value after it", entry->name);
        value = words->argv[++words->at];
    }
    return entry->store(out, entry, value);
}

static trk_status parse_words(options *out, word_list *words)
{
    for (; words->at < words->argc; words->at++) {
        const char *word = words->argv[words->at];
        trk_status rc = TRK_OK;
        if (words->only_operands || *word != '-' || !word[1]) {
            if (words->n_operands < 1)
                out->operands[words->n_operands++] = word;
            else
                words->extra = words->extra ? words->extra : word;
        } else if (!strcmp(word, "--"))
            words->only_operands = 1;
        else
            rc = parse_option(out, words);
        if (rc)
            return rc;
    }
    return TRK_OK;
}

static trk_status check_operands(const options *self, const word_list *words)
{
    static const struct {
        int needed;
        const char *usage;
    } commands[] = {
        [COMMAND_TRACK] = {1, "a video: track VIDEO PROMPT... [OPTION...]"},
        [COMMAND_INFO] = {1, "a model: track info MODEL"},
        [COMMAND_EVAL] = {1, "a dataset: track eval DATASET [--pred DIR] [OPTION...]"},
    };
    if (words->extra)
        return TRK_FAIL(TRK_E_ARGUMENT, "unexpected \"%s\": expected %s", words->extra, commands[self->command].usage);
    if (words->n_operands < commands[self->command].needed)
        return TRK_FAIL(TRK_E_ARGUMENT, "expected %s", commands[self->command].usage);
    if (self->command == COMMAND_TRACK && !self->prompts.n_items && !self->resume)
        return TRK_FAIL(TRK_E_ARGUMENT, "nothing to follow: expected at least one --box, --point, --mask or --prompts");
    return TRK_OK;
}

static trk_status check_list(const options *self)
{
    if (self->operands[0])
        return TRK_FAIL(TRK_E_ARGUMENT, "unexpected \"%s\": with --list the videos stand in its file",
                        self->operands[0]);
    if (self->plan)
        return TRK_FAIL(TRK_E_ARGUMENT, "--plan: expected one video, not --list");
    return TRK_OK;
}

static trk_status check(const options *self, const word_list *words)
{
    if (self->command == COMMAND_HELP || self->command == COMMAND_EVAL_HELP || self->command == COMMAND_VERSION)
        return TRK_OK;
    if (self->command == COMMAND_TRACK && self->list)
        return check_list(self);
    if (self->jobs && self->command != COMMAND_EVAL)
        return TRK_FAIL(TRK_E_ARGUMENT, "--jobs: expected --list too");
    if (self->pred && self->masks)
        return TRK_FAIL(TRK_E_ARGUMENT, "--masks: nothing is tracked with --pred");
    return check_operands(self, words);
}

static trk_status parse_command_line(options *out, word_list *words)
{
    *out = (options){.start = -1,
                     .n_frames = -1,
                     .decoder = TRK_HARDWARE_TRY,
                     .encoder = TRK_HARDWARE_TRY,
                     .model = OPTIONS_DEFAULT_MODEL,
                     .fill_holes = OPTIONS_DEFAULT_FILL_HOLES,
                     .binarize = 1,
                     .stability = 1,
                     .max_prompts = OPTIONS_DEFAULT_MAX_PROMPTS};
    if (words->argc > 1 && !strcmp(words->argv[1], "info"))
        out->command = COMMAND_INFO;
    if (words->argc > 1 && !strcmp(words->argv[1], "eval")) {
        out->command = COMMAND_EVAL;
        words->is_eval = 1;
    }
    words->at = 1 + (out->command != COMMAND_TRACK);
    return parse_words(out, words);
}

trk_status options_parse(options *out, int argc, char **argv)
{
    word_list words = {.argc = argc, .argv = argv};
    trk_status rc = parse_command_line(out, &words);
    if (words.is_eval && out->command == COMMAND_HELP)
        out->command = COMMAND_EVAL_HELP;
    return rc ? rc : check(out, &words);
}

trk_status options_parse_job(options *out, int argc, char **argv, size_t n_words, char **words)
{
    word_list defaults = {.argc = argc, .argv = argv};
    word_list line = {.argc = (int)n_words, .argv = words, .in_list = 1};
    trk_status rc = parse_command_line(out, &defaults);
    out->list = NULL;
    out->jobs = out->memory_report = 0;
    out->memory_report_file = NULL;
    out->sweep_option = NULL; /* a line may choose another one */
    if (!rc)
        rc = parse_words(out, &line);
    return rc ? rc : check(out, &line);
}

void options_free(options *self)
{
    prompts_free(&self->prompts);
    trk_heap_release(self->clips);
    self->clips = NULL;
}
