/* SPDX-License-Identifier: Apache-2.0
 * The words of a command line, or of a line of --list. */
#include "options.h"

#include <string.h>

#include "heap.h"
#include "option_table.h"

enum { MOST_OUTPUTS = 16 };

/* The words of a line, of which argv[at] is the one being read. */
typedef struct word_list {
    int argc, at;
    char **argv;
    int in_list; /* 1: a line of --list */
    int is_eval; /* 1: of track eval */
    int is_info; /* 1: of track info */
    int n_operands, only_operands;
    const char *extra;                         /* the first operand too many */
    const option_entry *outputs[MOST_OUTPUTS]; /* [n_outputs] given already */
    int n_outputs;
} word_list;

/* value: what stands behind "=", or NULL. */
static const option_entry *find(const char *word, const char **value)
{
    const int is_long = word[0] == '-' && word[1] == '-';
    const char *name = word + 1 + is_long;
    const size_t n_name = is_long ? strcspn(name, "=") : strlen(name);
    *value = is_long && name[n_name] ? name + n_name + 1 : NULL;
    return word[0] == '-' && word[1] ? option_find(name, n_name, is_long) : NULL;
}

static trk_status check_place(const option_entry *entry, const word_list *words)
{
    if (words->is_info && !(entry->scope & ALSO_INFO))
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: not with track info", entry->name);
    if (words->is_eval && !(entry->scope & (ALSO_EVAL | ONLY_EVAL)))
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: not with track eval", entry->name);
    if (!words->is_eval && (entry->scope & ONLY_EVAL))
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: only with track eval", entry->name);
    if (words->in_list && (entry->scope & WHOLE_COMMAND))
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: is for all videos: expected on the command line", entry->name);
    for (int i = 0; i < words->n_outputs; i++)
        if (words->outputs[i] == entry)
            return TRK_FAIL(TRK_E_ARGUMENT, "--%s: given twice, expected one", entry->name);
    return TRK_OK;
}

/* The word after an option, which is not another option that somebody forgot the value before. */
static trk_status next_value(const option_entry *entry, word_list *words, const char **value)
{
    const char *behind;
    if (words->at + 1 >= words->argc)
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected a value after it", entry->name);
    *value = words->argv[++words->at];
    if (find(*value, &behind))
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: expected a value after it, got the option %s (as a value: --%s=%s)",
                        entry->name, *value, entry->name, *value);
    return TRK_OK;
}

static trk_status parse_option(options *out, word_list *words)
{
    const char *word = words->argv[words->at], *value;
    const option_entry *entry = find(word, &value);
    if (!entry)
        return TRK_FAIL(TRK_E_ARGUMENT, "%.*s: no such option",
                        (int)(word[1] == '-' ? strcspn(word, "=") : strlen(word)), word);
    trk_status rc = check_place(entry, words);
    if (!rc && entry->value == VALUE_NONE && value)
        rc = TRK_FAIL(TRK_E_ARGUMENT, "--%s: takes no value, got \"%s\"", entry->name, value);
    if (!rc && entry->value == VALUE_NEEDED && !value)
        rc = next_value(entry, words, &value);
    if (rc)
        return rc;
    if ((entry->scope & AN_OUTPUT) && words->n_outputs < MOST_OUTPUTS)
        words->outputs[words->n_outputs++] = entry;
    if ((entry->scope & OF_STATE) && !out->state_option)
        out->state_option = entry->name;
    if ((entry->scope & ALSO_EVAL) && !(entry->scope & ALSO_PRED) && !out->tracking_option)
        out->tracking_option = entry->name;
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
    static const char *const usages[] = {
        [COMMAND_TRACK] = "a video: track VIDEO PROMPT... [OPTION...]",
        [COMMAND_INFO] = "a model: track info MODEL",
        [COMMAND_EVAL] = "a dataset: track eval DATASET [--pred DIR] [OPTION...]",
    };
    const char *usage = usages[self->command];
    if (words->n_operands && !*self->operands[0])
        return TRK_FAIL(TRK_E_ARGUMENT, "expected %s, got \"\"", usage);
    if (words->extra)
        return TRK_FAIL(TRK_E_ARGUMENT, "unexpected \"%s\": expected %s", words->extra, usage);
    if (!words->n_operands)
        return TRK_FAIL(TRK_E_ARGUMENT, "expected %s", usage);
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

static trk_status check_resume(const options *self)
{
    if (self->state_option)
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: not with --resume: the saved state has its own", self->state_option);
    if (self->plan)
        return TRK_FAIL(TRK_E_ARGUMENT, "--plan: not with --resume: what decides it is in the saved state");
    return TRK_OK;
}

/* Options that do nothing by themselves. Those of a whole --list need not matter to each of its lines. */
static trk_status check_company(const options *self, const word_list *words)
{
    if (self->pred && self->tracking_option)
        return TRK_FAIL(TRK_E_ARGUMENT, "--%s: nothing is tracked with --pred", self->tracking_option);
    if (self->box_layout && !self->boxes)
        return TRK_FAIL(TRK_E_ARGUMENT, "--box-layout: expected --boxes too");
    if (self->plan && self->memory_report)
        return TRK_FAIL(TRK_E_ARGUMENT, "--memory-report: nothing is tracked with --plan");
    if (words->in_list)
        return TRK_OK;
    if (self->encoder == TRK_HARDWARE_MUST && !self->overlay)
        return TRK_FAIL(TRK_E_ARGUMENT, "--encoder: nvenc, expected --overlay too");
    if (self->motion.draw && !self->overlay && !self->sheet)
        return TRK_FAIL(TRK_E_ARGUMENT, "--draw-motion: expected --overlay or --sheet too");
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
    trk_status rc = self->resume ? check_resume(self) : motion_options_check(&self->motion);
    rc = rc ? rc : check_company(self, words);
    return rc ? rc : check_operands(self, words);
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
    if (words->argc > 1 && !strcmp(words->argv[1], "info")) {
        out->command = COMMAND_INFO;
        words->is_info = 1;
    }
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
