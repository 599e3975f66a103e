/* SPDX-License-Identifier: Apache-2.0
 * The command line: every option, every kind of misuse, what the library is asked for, the help text, text forms of
 * results, names of models. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "byte_size.h"
#include "error.h"
#include "heap.h"
#include "model_path.h"
#include "number.h"
#include "options.h"
#include "outputs.h"
#include "records.h"
#include "run.h"
/* The whole table, of which the command gives single entries only. */
#define option_find option_find_here
#include "option_table.c"
#undef option_find

enum { MOST_WORDS = 64 };

static options wanted; /* of the session */
static session shared; /* with the sample model; there after open_session() */

/* Parses "track" and the words of a line, separated by blanks. The words live until the next call. */
static trk_status parse(options *out, const char *line)
{
    static char copy[2048];
    char *words[MOST_WORDS + 1] = {"track"};
    int n_words = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word && n_words < MOST_WORDS; word = strtok(NULL, " "))
        words[n_words++] = word;
    return options_parse(out, n_words, words);
}

static options parsed(const char *line)
{
    options out;
    if (parse(&out, line))
        fail_msg("%s: %s", line, trk_error_text());
    return out;
}

static void test_defaults(void **state)
{
    (void)state;
    options o = parsed("clip.mp4 --box 1,2,3,4");
    assert_int_equal(o.command, COMMAND_TRACK);
    assert_string_equal(o.operands[0], "clip.mp4");
    assert_int_equal(o.prompts.n_items, 1);
    assert_string_equal(o.model, "demo-m");
    assert_int_equal(o.start, -1);
    assert_int_equal(o.n_frames, -1);
    assert_int_equal(o.fill_holes, 8);
    assert_true(o.binarize && o.stability && !o.reverse && !o.quiet && !o.memory_report);
    assert_int_equal(o.device, TRK_DEVICE_AUTO);
    assert_int_equal(o.precision, TRK_PRECISION_AUTO);
    assert_true(o.decoder == TRK_HARDWARE_TRY && o.encoder == TRK_HARDWARE_TRY);
    assert_true(!o.threads && !o.image_size);
    assert_true(!o.overlay && !o.masks && !o.jsonl && !o.boxes && !o.logits && !o.sheet && !o.model_config);
    assert_true(!o.memory_budget && o.memory_share == 0 && o.sweep == TRK_SWEEP_EVERY && !o.sweep_every);
    assert_int_equal(o.max_prompts, 8);
    assert_int_equal(o.history, 0);
    assert_int_equal(o.memory_type, TRK_MEMORY_BF16);
    assert_true(!o.older_after && !o.reserve && !o.plan && !o.save_state && !o.resume && !o.list && !o.jobs);
    assert_true(o.motion.policy == TRK_POLICY_SAM2 && !o.motion.draw);
    assert_false(o.motion.strict_reference);
    for (int i = 0; i < N_MOTION_VALUES; i++)
        assert_false(o.motion.given[i]);
    options_free(&o);
}

static void test_every_option(void **state)
{
    (void)state;
    options o = parsed("--box 1,2,3,4 --point=5,6,- --mask 2@3:m.png --start 5 --frames=9 --reverse --model m.pt "
                       "--model-config c.json --device cuda:3 --dtype bf16 --threads 4 --image-size 512 --fill-holes 0 "
                       "--no-binarize --no-stability --overlay o.mp4 --masks a --jsonl - --boxes b.txt --logits l "
                       "--sheet s.png --quiet --verbose --memory-report=r.json -");
    assert_string_equal(o.operands[0], "-");
    assert_int_equal(o.prompts.n_items, 3);
    assert_int_equal(o.start, 5);
    assert_int_equal(o.n_frames, 9);
    assert_int_equal(o.reverse, 1);
    assert_string_equal(o.model, "m.pt");
    assert_string_equal(o.model_config, "c.json");
    assert_int_equal(o.device, TRK_DEVICE_CUDA);
    assert_int_equal(o.device_index, 3);
    assert_int_equal(o.precision, TRK_PRECISION_BF16);
    assert_int_equal(o.threads, 4);
    assert_int_equal(o.image_size, 512);
    assert_true(!o.fill_holes && !o.binarize && !o.stability);
    assert_string_equal(o.overlay, "o.mp4");
    assert_string_equal(o.masks, "a");
    assert_string_equal(o.jsonl, "-");
    assert_string_equal(o.boxes, "b.txt");
    assert_string_equal(o.logits, "l");
    assert_string_equal(o.sheet, "s.png");
    assert_true(o.quiet && o.verbose && o.memory_report);
    assert_string_equal(o.memory_report_file, "r.json");
    options_free(&o);
}

static void test_values_of_the_model(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int device, index, precision;
        trk_hardware_use decoder, encoder;
    } cases[] = {
        {"--device cpu --dtype f32 --decoder cpu --encoder cpu", TRK_DEVICE_CPU, 0, TRK_PRECISION_F32, TRK_HARDWARE_OFF,
         TRK_HARDWARE_OFF},
        {"--device cuda --dtype bf16 --decoder cuda --encoder nvenc", TRK_DEVICE_CUDA, 0, TRK_PRECISION_BF16,
         TRK_HARDWARE_MUST, TRK_HARDWARE_MUST},
        {"--device cuda:1 --device cuda --decoder cpu", TRK_DEVICE_CUDA, 0, TRK_PRECISION_AUTO, TRK_HARDWARE_OFF,
         TRK_HARDWARE_TRY},
        {"--device reference --encoder cpu", TRK_DEVICE_REFERENCE, 0, TRK_PRECISION_AUTO, TRK_HARDWARE_TRY,
         TRK_HARDWARE_OFF},
        /* the later ones count */
        {"--device cuda:1 --device auto --dtype f32 --dtype auto --decoder cuda --decoder auto --encoder nvenc "
         "--encoder auto",
         TRK_DEVICE_AUTO, 0, TRK_PRECISION_AUTO, TRK_HARDWARE_TRY, TRK_HARDWARE_TRY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256];
        snprintf(line, sizeof line, "v --box 1,2,3,4 -o o.mp4 %s", cases[i].line);
        options o = parsed(line);
        assert_int_equal(o.device, cases[i].device);
        assert_int_equal(o.device_index, cases[i].index);
        assert_int_equal(o.precision, cases[i].precision);
        assert_int_equal(o.decoder, cases[i].decoder);
        assert_int_equal(o.encoder, cases[i].encoder);
        options_free(&o);
    }
}

static void test_memory_options(void **state)
{
    (void)state;
    options o = parsed("v --box 1,2,3,4 --memory-budget 2GiB --plan --reserve --sweep-every 4 --sweep-every=5 "
                       "--max-prompts-in-memory 3 --history 100 --memory-dtype f16 --older-memory-dtype q8@7 "
                       "--save-state s --correct-as-condition");
    assert_true(o.correct_as_condition);
    assert_true(o.memory_budget == (size_t)2 << 30 && o.memory_share == 0);
    assert_true(o.plan && o.reserve);
    assert_int_equal(o.sweep, TRK_SWEEP_EVERY);
    assert_int_equal(o.sweep_every, 5); /* the later one counts */
    assert_int_equal(o.max_prompts, 3);
    assert_int_equal(o.history, 100);
    assert_int_equal(o.memory_type, TRK_MEMORY_F16);
    assert_int_equal(o.older_memory_type, TRK_MEMORY_Q8);
    assert_int_equal(o.older_after, 7);
    assert_string_equal(o.save_state, "s");
    options_free(&o);
    o = parsed("v --resume r --memory-budget 0.5 --sweep-above 0.25 --reserve");
    assert_string_equal(o.resume, "r");
    assert_true(!o.memory_budget && o.memory_share == 0.5);
    assert_int_equal(o.sweep, TRK_SWEEP_ABOVE);
    assert_true(o.sweep_above == 0.25);
    options_free(&o);
    o = parsed("v --box 1,2,3,4 --max-prompts-in-memory all --history all --older-memory-dtype f32");
    assert_int_equal(o.max_prompts, -1);
    assert_int_equal(o.history, -1);
    assert_int_equal(o.older_memory_type, TRK_MEMORY_F32);
    assert_int_equal(o.older_after, OPTIONS_DEFAULT_OLDER_AFTER);
    options_free(&o);
    o = parsed("--list jobs --jobs 3 --sweep-never");
    assert_string_equal(o.list, "jobs");
    assert_int_equal(o.jobs, 3);
    assert_int_equal(o.sweep, TRK_SWEEP_NEVER);
    options_free(&o);
}

static void test_policy_options(void **state)
{
    (void)state;
    static const double values[N_MOTION_VALUES] = {0.25, 7, 0.5, 0.125, -3.5, 1, -0.75};
    static const char *const texts[N_MOTION_VALUES] = {
        "--motion-weight 0.25",       "--stable-frames 7", "--stable-iou 0.5",        "--memory-iou 0.125",
        "--memory-object-score -3.5", "--memory-motion 1", "--min-object-score -0.75"};
    static const char line[] = "--box 1,2,3,4 --policy samurai --motion-weight 0.250 --stable-frames 7 --stable-iou=.5 "
                               "--memory-iou 0.125 --memory-object-score -3.5 --memory-motion 1 "
                               "--min-object-score -0.75 --strict-reference --draw-motion --sheet s.png v";
    options o = parsed(line);
    assert_int_equal(o.motion.policy, TRK_POLICY_SAMURAI);
    assert_true(o.motion.strict_reference && o.motion.draw);
    for (int i = 0; i < N_MOTION_VALUES; i++) {
        char *text = motion_option_text(&o.motion, (motion_value)i);
        assert_true(o.motion.given[i] && o.motion.values[i] == values[i]);
        assert_string_equal(text, texts[i]);
        trk_heap_release(text);
    }
    options_free(&o);
    o = parsed("v --box 1,2,3,4 --policy samurai --policy sam2"); /* the later one counts */
    assert_int_equal(o.motion.policy, TRK_POLICY_SAM2);
    options_free(&o);
    o = parsed("v --resume s --draw-motion -o o.mp4"); /* whether that has a motion model shows later */
    assert_true(o.motion.draw);
    options_free(&o);
    o = parsed("eval d --policy samurai --stable-iou 0.1 --strict-reference --boxes b --box-layout got10k");
    assert_true(o.motion.given[MOTION_VALUE_STABLE_IOU] && !o.motion.given[MOTION_VALUE_WEIGHT]);
    assert_string_equal(o.boxes, "b");
    assert_string_equal(o.box_layout, "got10k");
    options_free(&o);
    /* as many digits as bring the number back */
    motion_options third = {.values = {[MOTION_VALUE_WEIGHT] = 1.0 / 3}};
    char *text = motion_option_text(&third, MOTION_VALUE_WEIGHT);
    assert_true(strtod(strchr(text, ' '), NULL) == 1.0 / 3);
    trk_heap_release(text);
}

static void test_byte_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double bytes, share;
    } good[] = {{"1", 1, 0},          {"4096", 4096, 0},  {"1B", 1, 0},         {"2kB", 2000, 0},
                {"1500MB", 1.5e9, 0}, {"1 KiB", 1024, 0}, {"3MiB", 3145728, 0}, {"0.5GiB", 536870912, 0},
                {"1.5GB", 1.5e9, 0},  {"0.8", 0, 0.8},    {"1.0", 0, 1},        {".25", 0, 0.25}};
    static const char *const bad[] = {"",      "x",       "GB",  "-1",  "-0.5",         "0",      "0.0",
                                      "1.5",   "0GB",     "1gb", "1 G", "1kb",          "1  GiB", "1e9",
                                      "1GiBs", "1.2.3GB", "inf", "1e",  "99999999999TB"};
    char text[BYTE_SIZE_TEXT];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t bytes = 7;
        double share = 7;
        if (!byte_size_parse(good[i].text, &bytes, &share) || (double)bytes != good[i].bytes || share != good[i].share)
            fail_msg("\"%s\": %zu bytes, share %g", good[i].text, bytes, share);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t bytes = 7;
        double share = 7;
        if (byte_size_parse(bad[i], &bytes, &share) || bytes != 7 || share != 7)
            fail_msg("\"%s\" was taken", bad[i]);
    }
    assert_string_equal(byte_size_text(999, text), "999 B");
    assert_string_equal(byte_size_text(26540000, text), "26.5 MB");
    assert_string_equal(byte_size_limit_text((size_t)2 << 30, text), "2 GiB");
    assert_string_equal(byte_size_limit_text((size_t)512 << 20, text), "512 MiB");
    assert_string_equal(byte_size_limit_text(30000000, text), "30.0 MB");
}

static void test_short_and_special_forms(void **state)
{
    (void)state;
    options o = parsed("v --box -5,2,30,40 -o a.MKV -m x -q --memory-report --no-postprocess --device reference");
    assert_true(o.prompts.items[0].box.x == -5);
    assert_string_equal(o.overlay, "a.MKV");
    assert_string_equal(o.model, "x");
    assert_true(o.quiet && o.memory_report && !o.memory_report_file);
    assert_true(!o.fill_holes && !o.binarize && !o.stability);
    assert_int_equal(o.device, TRK_DEVICE_REFERENCE);
    options_free(&o);
    o = parsed("--no-postprocess --fill-holes 4 --box 1,2,3,4 -- --odd-name");
    assert_int_equal(o.fill_holes, 4); /* the later option counts */
    assert_string_equal(o.operands[0], "--odd-name");
    options_free(&o);
    assert_int_equal(parsed("--help").command, COMMAND_HELP);
    assert_int_equal(parsed("-h").command, COMMAND_HELP);
    assert_int_equal(parsed("--version").command, COMMAND_VERSION);
    o = parsed("info m.pt --model-config c.json");
    assert_int_equal(o.command, COMMAND_INFO);
    assert_string_equal(o.operands[0], "m.pt");
    o = parsed("eval a --pred p --clip x,y --clip z --out r.json --jobs 2 --by-object --no-boundary");
    assert_int_equal(o.command, COMMAND_EVAL);
    assert_string_equal(o.operands[0], "a");
    assert_string_equal(o.pred, "p");
    assert_string_equal(o.clips, "x,y,z");
    assert_string_equal(o.results, "r.json");
    assert_true(o.jobs == 2 && o.by_object && o.no_boundary);
    options_free(&o);
    o = parsed("eval a --layout davis --split val --masks m");
    assert_string_equal(o.layout, "davis");
    assert_string_equal(o.split, "val");
    assert_string_equal(o.masks, "m");
    o = parsed("./info --box 1,2,3,4");
    assert_int_equal(o.command, COMMAND_TRACK);
    options_free(&o);
}

static void test_misuse(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"", "expected a video"},
        {"--box 1,2,3,4", "expected a video"},
        {"v", "nothing to follow"},
        {"v --box", "--box: expected a value"},
        {"v --box 1,2,3", "--box: expected [ID@FRAME:]x,y,w,h, got \"1,2,3\""},
        {"v w --box 1,2,3,4", "unexpected \"w\""},
        {"v --boks 1,2,3,4", "--boks: no such option"},
        {"v --bo=1", "--bo: no such option"},
        {"v -x", "-x: no such option"},
        {"v -ofile.mp4", "no such option"},
        {"v --threads x", "--threads: expected a whole number, got \"x\""},
        {"v --threads 4x", "--threads: expected a whole number, got \"4x\""},
        {"v --threads=", "--threads: expected a whole number, got \"\""},
        {"v --threads 1.5", "expected a whole number"},
        {"v --threads +4", "expected a whole number"},
        {"v --threads 0", "--threads: expected 1 or more, got 0"},
        {"v --threads 1025", "--threads: expected at most 1024, got 1025"},
        {"v --threads 99999999999999999999", "expected at most 1024, got 9999"},
        {"v --start -1", "--start: expected 0 or more"},
        {"v --frames 0", "--frames: expected 1 or more"},
        {"v --image-size 8", "--image-size: expected 16 or more"},
        {"v --fill-holes -2", "--fill-holes: expected 0 or more"},
        {"v --decoder nvenc", "--decoder: expected auto, cpu or cuda, got \"nvenc\""},
        {"v --encoder gpu", "--encoder: expected auto, cpu or nvenc"},
        {"v --device gpu", "--device: expected auto, cpu, cuda"},
        {"v --device cuda:", "--device: expected"},
        {"v --device cuda:x", "--device: expected"},
        {"v --device cuda:-1", "--device: expected"},
        {"v --dtype f16", "--dtype: expected auto, f32 or bf16, got \"f16\""},
        {"v --overlay out.avi", "--overlay: expected a file name ending in .mp4"},
        {"v --overlay=", "--overlay: expected"},
        {"v --masks=", "--masks: expected a file or folder"},
        {"v --jsonl a --jsonl b", "--jsonl: given twice"},
        {"v -o a.mp4 --overlay b.mp4", "--overlay: given twice"},
        {"v --jsonl -q", "--jsonl: expected a value after it, got the option -q (as a value: --jsonl=-q)"},
        {"v --save-state --reserve", "--save-state: expected a value after it, got the option --reserve"},
        {"v --sheet a.jpg", "--sheet: expected a file name ending in .png, got \"a.jpg\""},
        {"v --prompts=", "--prompts: expected a file or folder"},
        {"v --start 99999999999999999999", "--start: expected at most"},
        {"v --start -99999999999999999999", "--start: expected 0 or more"},
        {"info m --box 1,2,3,4", "--box: not with track info"},
        {"eval a --pred p --device cpu", "--device: nothing is tracked with --pred"},
        {"v --memory-report=", "--memory-report: expected a file"},
        {"v --quiet=1", "--quiet: takes no value, got \"1\""},
        {"v --reverse=yes", "--reverse: takes no value"},
        {"v --memory-budget x", "--memory-budget: expected bytes, as 512MiB, 1500MB or 2GiB, or a share"},
        {"v --memory-budget 1.5", "--memory-budget: expected bytes"},
        {"v --memory-budget 0", "--memory-budget: expected bytes"},
        {"v --sweep-every 0", "--sweep-every: expected 1 or more"},
        {"v --sweep-above 0", "--sweep-above: expected a share"},
        {"v --sweep-above 1.1", "--sweep-above: expected a share"},
        {"v --sweep-above nan", "--sweep-above: expected a share"},
        {"v --sweep-never --sweep-every 2", "--sweep-every: --sweep-never is given too: expected one of them"},
        {"v --sweep-above 0.5 --sweep-never", "--sweep-never: --sweep-above is given too"},
        {"v --max-prompts-in-memory 0", "--max-prompts-in-memory: expected 1 or more, got 0"},
        {"v --max-prompts-in-memory none", "--max-prompts-in-memory: expected a whole number or all, got \"none\""},
        {"v --history -1", "--history: expected 0 or more"},
        {"v --memory-dtype int8", "--memory-dtype: expected bf16, f32, f16 or q8, got \"int8\""},
        {"v --memory-dtype q", "--memory-dtype: expected"},
        {"v --older-memory-dtype q8@0", "--older-memory-dtype: expected"},
        {"v --older-memory-dtype q8@", "--older-memory-dtype: expected"},
        {"v --older-memory-dtype @3", "--older-memory-dtype: expected"},
        {"v --save-state=", "--save-state: expected a file"},
        {"v --policy sam3", "--policy: expected sam2 or samurai, got \"sam3\""},
        {"v --policy=", "--policy: expected sam2 or samurai"},
        {"v --motion-weight 1.5", "--motion-weight: expected a number from 0 to 1, got \"1.5\""},
        {"v --motion-weight -0.1", "--motion-weight: expected a number from 0 to 1"},
        {"v --motion-weight nan", "--motion-weight: expected a number from 0 to 1"},
        {"v --motion-weight 0.5x", "--motion-weight: expected a number"},
        {"v --stable-frames 0", "--stable-frames: expected 1 or more, got 0"},
        {"v --stable-frames 1.5", "--stable-frames: expected a whole number"},
        {"v --stable-iou 2", "--stable-iou: expected a number from 0 to 1"},
        {"v --memory-iou -1", "--memory-iou: expected a number from 0 to 1"},
        {"v --memory-motion -0.5", "--memory-motion: expected a number from 0 to 1"},
        {"v --memory-object-score inf", "--memory-object-score: expected a number from -1000 to 1000, got \"inf\""},
        {"v --min-object-score=", "--min-object-score: expected a number from -1000 to 1000, got \"\""},
        {"v --strict-reference=1", "--strict-reference: takes no value"},
        {"v --box 1,2,3,4 --motion-weight 0.5", "--motion-weight: expected --policy samurai too"},
        {"v --box 1,2,3,4 --policy sam2 --memory-iou 0.5", "--memory-iou: expected --policy samurai too"},
        {"v --box 1,2,3,4 --strict-reference", "--strict-reference: expected --policy samurai too"},
        {"v --box 1,2,3,4 --draw-motion", "--draw-motion: expected --policy samurai too"},
        {"v --box 1,2,3,4 --draw-motion --policy samurai --jsonl j", "--draw-motion: expected --overlay or --sheet too"},
        {"v --box 1,2,3,4 --encoder nvenc --sheet s.png", "--encoder: nvenc, expected --overlay too"},
        {"v --box 1,2,3,4 --plan --memory-report=r.json", "--memory-report: nothing is tracked with --plan"},
        {"v --resume s --policy samurai", "--policy: not with --resume: the saved state has its own"},
        {"v --resume s --policy sam2", "--policy: not with --resume"},
        {"v --resume s --stable-frames 3", "--stable-frames: not with --resume"},
        {"v --resume s --strict-reference", "--strict-reference: not with --resume"},
        {"v --memory-dtype f32 --resume s", "--memory-dtype: not with --resume: the saved state has its own"},
        {"v --resume s --older-memory-dtype q8", "--older-memory-dtype: not with --resume"},
        {"v --resume s --history 0", "--history: not with --resume"},
        {"v --resume s --max-prompts-in-memory 8", "--max-prompts-in-memory: not with --resume"},
        {"v --resume s --fill-holes 8", "--fill-holes: not with --resume"},
        {"v --resume s --no-postprocess", "--no-postprocess: not with --resume"},
        {"v --resume s --no-binarize", "--no-binarize: not with --resume"},
        {"v --resume s --no-stability", "--no-stability: not with --resume"},
        {"v --resume s --correct-as-condition", "--correct-as-condition: not with --resume"},
        {"v --resume s --plan", "--plan: not with --resume"},
        {"eval d --min-object-score 0", "--min-object-score: expected --policy samurai too"},
        {"eval d --policy samurai --draw-motion", "--draw-motion: not with track eval"},
        {"eval d --box-layout lasot", "--box-layout: expected --boxes too"},
        {"eval d --pred p --boxes b", "--boxes: nothing is tracked with --pred"},
        {"v --box 1,2,3,4 --box-layout lasot", "--box-layout: only with track eval"},
        {"v --box 1,2,3,4 --jobs 2", "--jobs: expected --list too"},
        {"v --list l", "unexpected \"v\": with --list"},
        {"--list l --plan", "--plan: expected one video"},
        {"--list l --jobs 0", "--jobs: expected 1 or more"},
        {"info", "expected a model"},
        {"info a b", "unexpected \"b\""},
        {"eval", "expected a dataset"},
        {"eval a b", "unexpected \"b\": expected a dataset"},
        {"eval a --clip x,", "--clip: expected NAME[,NAME...], got \"x,\""},
        {"eval a --clip ,x", "--clip: expected NAME"},
        {"eval a --pred=", "--pred: expected a file or folder"},
        {"eval a --pred p --masks m", "--masks: nothing is tracked with --pred"},
        {"eval a --box 1,2,3,4", "--box: not with track eval"},
        {"eval a --list l", "--list: not with track eval"},
        {"v --box 1,2,3,4 --pred p", "--pred: only with track eval"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        options o;
        if (parse(&o, cases[i].line) != TRK_E_ARGUMENT)
            fail_msg("\"%s\" was taken", cases[i].line);
        if (!strstr(trk_error_text(), cases[i].says))
            fail_msg("\"%s\": %s", cases[i].line, trk_error_text());
        assert_null(strchr(trk_error_text(), '\n'));
        options_free(&o);
    }
}

/* --- what the library is asked for ------------------------------------------------------------------------------ */

static void open_session(void)
{
    if (access(TRK_SAMPLES_DIR "/models/demo-m.safetensors", R_OK))
        skip();
    if (shared.model)
        return;
    wanted = parsed("v --box 1,2,3,4 --device cpu --dtype f32 --threads 1");
    assert_int_equal(session_open(&shared, &wanted), TRK_OK);
}

static int close_session(void **state)
{
    (void)state;
    if (shared.wanted)
        session_close(&shared);
    options_free(&wanted);
    return 0;
}

/* Of a line that does not ask for a motion model. */
static trk_tracker_params asked_for(const char *line)
{
    trk_tracker_params out = {.struct_size = 0};
    options o = parsed(line);
    assert_int_equal(run_tracker_params(&out, NULL, &o, shared.model, shared.pool), TRK_OK);
    options_free(&o);
    assert_int_equal(out.struct_size, sizeof out);
    assert_ptr_equal(out.pool, shared.pool);
    assert_true(out.policy == TRK_POLICY_SAM2 && !out.motion);
    assert_true(!out.keep_frame && !out.source); /* no option for them */
    return out;
}

static void test_tracker_params(void **state)
{
    (void)state;
    open_session();
    trk_tracker_params p = asked_for("v --box 1,2,3,4");
    assert_true(p.binarize == TRK_ON && p.stability == TRK_ON && p.correct_as_condition == TRK_OFF);
    assert_int_equal(p.non_overlap, TRK_OFF);
    assert_int_equal(p.fill_holes, OPTIONS_DEFAULT_FILL_HOLES);
    assert_true(p.sweep == TRK_SWEEP_EVERY && !p.sweep_every && p.sweep_above == 0 && !p.reserve);
    assert_int_equal(p.max_prompts_in_memory, OPTIONS_DEFAULT_MAX_PROMPTS);
    assert_int_equal(p.history, 0);
    assert_true(p.memory_type == TRK_MEMORY_BF16 && !p.older_after);
    p = asked_for(
        "v --box 1,2,3,4 --no-binarize --fill-holes 3 --correct-as-condition --non-overlap --sweep-every 5 --reserve "
        "--max-prompts-in-memory 3 --history 100 --memory-dtype f16 --older-memory-dtype q8@7");
    assert_true(p.binarize == TRK_OFF && p.stability == TRK_ON && p.correct_as_condition == TRK_ON);
    assert_int_equal(p.non_overlap, TRK_ON);
    assert_int_equal(p.fill_holes, 3);
    assert_true(p.sweep == TRK_SWEEP_EVERY && p.sweep_every == 5 && p.sweep_above == 0 && p.reserve);
    assert_int_equal(p.max_prompts_in_memory, 3);
    assert_int_equal(p.history, 100);
    assert_true(p.memory_type == TRK_MEMORY_F16 && p.older_memory_type == TRK_MEMORY_Q8 && p.older_after == 7);
    p = asked_for("v --box 1,2,3,4 --no-stability --fill-holes 0 --sweep-above 0.25 --max-prompts-in-memory all "
                  "--history all --older-memory-dtype f32");
    assert_true(p.binarize == TRK_ON && p.stability == TRK_OFF && p.fill_holes < 0);
    assert_true(p.sweep == TRK_SWEEP_ABOVE && p.sweep_above == 0.25);
    assert_true(p.max_prompts_in_memory < 0 && p.history < 0);
    assert_true(p.memory_type == TRK_MEMORY_BF16 && p.older_memory_type == TRK_MEMORY_F32);
    assert_int_equal(p.older_after, OPTIONS_DEFAULT_OLDER_AFTER);
    p = asked_for("v --box 1,2,3,4 --no-postprocess --sweep-never");
    assert_true(p.binarize == TRK_OFF && p.stability == TRK_OFF && p.fill_holes < 0);
    assert_int_equal(p.sweep, TRK_SWEEP_NEVER);
}

static void assert_same_motion(trk_motion_params a, trk_motion_params b)
{
    assert_int_equal(a.struct_size, b.struct_size);
    assert_true(a.weight == b.weight);
    assert_int_equal(a.stable_frames, b.stable_frames);
    assert_true(a.stable_iou == b.stable_iou);
    assert_true(a.memory_iou == b.memory_iou);
    assert_true(a.memory_object_score == b.memory_object_score);
    assert_true(a.memory_motion == b.memory_motion);
    assert_true(a.min_object_score == b.min_object_score);
    assert_int_equal(a.strict_reference, b.strict_reference);
}

static trk_motion_params motion_asked_for(const char *words)
{
    char line[512];
    trk_motion_params motion;
    trk_tracker_params p;
    snprintf(line, sizeof line, "v --box 1,2,3,4 --policy samurai %s", words);
    options o = parsed(line);
    assert_int_equal(run_tracker_params(&p, &motion, &o, shared.model, shared.pool), TRK_OK);
    options_free(&o);
    assert_int_equal(p.policy, TRK_POLICY_SAMURAI);
    assert_ptr_equal(p.motion, &motion);
    return motion;
}

/* What is given, and the rest as the model has it. */
static void test_motion_params(void **state)
{
    (void)state;
    open_session();
    trk_motion_params expected = {.struct_size = sizeof expected};
    assert_int_equal(trk_motion_defaults(shared.model, &expected), TRK_OK);
    assert_same_motion(motion_asked_for(""), expected);
    expected.stable_iou = 0.625;
    assert_same_motion(motion_asked_for("--stable-iou 0.625"), expected);
    expected = (trk_motion_params){sizeof expected, 0.375, 7, 0.625, 0.125, -3.5, 0.875, -0.75, 1};
    assert_same_motion(motion_asked_for("--motion-weight 0.375 --stable-frames 7 --stable-iou 0.625 --memory-iou 0.125 "
                                        "--memory-object-score -3.5 --memory-motion 0.875 --min-object-score -0.75 "
                                        "--strict-reference"),
                       expected);
}

/* Whatever the machine would choose by itself, one of each two is something else. */
static void test_model_params(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        trk_device device;
        trk_precision precision;
        int threads, image_size;
        size_t budget; /* 1: some */
    } cases[] = {
        {"--device cpu --dtype f32 --threads 1 --image-size 128", TRK_DEVICE_CPU, TRK_PRECISION_F32, 1, 128, 0},
        {"--device cpu --dtype bf16 --threads 3 --image-size 64 --memory-budget 4GB", TRK_DEVICE_CPU,
         TRK_PRECISION_BF16, 3, 64, (size_t)4000000000},
        {"--device reference --dtype f32 --memory-budget 0.5", TRK_DEVICE_REFERENCE, TRK_PRECISION_F32, 0, 0, 1}};
    open_session();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256];
        session own;
        snprintf(line, sizeof line, "v --box 1,2,3,4 %s", cases[i].line);
        options o = parsed(line);
        const trk_status opened = session_open(&own, &o);
        if (opened == TRK_E_UNSUPPORTED && cases[i].precision == TRK_PRECISION_BF16) { /* no such products here */
            session_close(&own);
            options_free(&o);
            continue;
        }
        assert_int_equal(opened, TRK_OK);
        trk_model_info info = {.struct_size = sizeof info};
        assert_int_equal(trk_model_get_info(own.model, &info), TRK_OK);
        assert_int_equal(info.device, cases[i].device);
        assert_int_equal(info.precision, cases[i].precision);
        if (cases[i].threads)
            assert_int_equal(info.threads, cases[i].threads);
        if (cases[i].image_size)
            assert_int_equal(info.image_size, cases[i].image_size);
        trk_pool_info pool = {.struct_size = sizeof pool};
        assert_int_equal(trk_pool_get_info(own.pool, &pool), TRK_OK);
        assert_true(!pool.budget == !cases[i].budget && (cases[i].budget < 2 || pool.budget == cases[i].budget));
        session_close(&own);
        options_free(&o);
    }
}

/* --- help ------------------------------------------------------------------------------------------------------- */

/* 1: the text has --name and nothing that would make it the beginning of a longer one. */
static int tells_of(const char *text, const char *name)
{
    char word[64];
    const int length = snprintf(word, sizeof word, "--%s", name);
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += length)
        if (!isalpha((unsigned char)at[length]) && at[length] != '-')
            return 1;
    return 0;
}

static void test_help(void **state)
{
    (void)state;
    static const char *const parts[] = {"Input\n",    "Prompts",    "Model\n",       "Policy",
                                        "Memory",     "Output\n",   "Many videos\n", "Diagnostics\n",
                                        "Examples\n", "track info", "track eval",    "--policy sam2|samurai"};
    char *text = NULL;
    size_t n_text = 0;
    FILE *stream = open_memstream(&text, &n_text);
    assert_non_null(stream);
    options_print_help(stream);
    fclose(stream);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(text, parts[i]))
            fail_msg("the help text lacks %s", parts[i]);
    int n_lines = 0;
    for (char *line = text; *line; n_lines++) {
        const size_t length = strcspn(line, "\n");
        assert_in_range(length, 1, 100);
        line += length + 1;
    }
    assert_in_range(n_lines, 20, 66);
    *strstr(text, "Examples\n") = '\0'; /* they explain nothing */
    for (size_t i = 0; i < sizeof option_table / sizeof *option_table; i++) {
        const option_entry *entry = &option_table[i];
        const char letter[] = {'-', entry->letter, ',', ' ', '-', '-', '\0'};
        if (!(entry->scope & ONLY_EVAL) && !tells_of(text, entry->name))
            fail_msg("the help text lacks --%s", entry->name);
        if (entry->letter && !strstr(text, letter))
            fail_msg("the help text lacks -%c of --%s", entry->letter, entry->name);
    }
    free(text);
}

static void test_eval_help(void **state)
{
    (void)state;
    static const char *const also[] = {"masks", "jobs", "boxes", "decoder"}; /* the others it leaves to track --help */
    static const char *const parts[] = {"Model", "Policy", "Memory", "trackingnet", "Examples\n"};
    char *text = NULL;
    size_t n_text = 0;
    FILE *stream = open_memstream(&text, &n_text);
    assert_non_null(stream);
    options_print_eval_help(stream);
    fclose(stream);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(text, parts[i]))
            fail_msg("the help text of eval lacks %s", parts[i]);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        assert_in_range(strcspn(line, "\n"), 1, 100);
    *strstr(text, "Examples\n") = '\0';
    for (size_t i = 0; i < sizeof also / sizeof *also; i++)
        if (!tells_of(text, also[i]))
            fail_msg("the help text of eval lacks --%s", also[i]);
    for (size_t i = 0; i < sizeof option_table / sizeof *option_table; i++)
        if ((option_table[i].scope & ONLY_EVAL) && !tells_of(text, option_table[i].name))
            fail_msg("the help text of eval lacks --%s", option_table[i].name);
    free(text);
    assert_int_equal(parsed("eval --help").command, COMMAND_EVAL_HELP);
    assert_int_equal(parsed("eval d --layout davis -h").command, COMMAND_EVAL_HELP);
}

/* --- numbers, results, names ------------------------------------------------------------------------------------ */

static void test_numbers(void **state)
{
    (void)state;
    int64_t whole = 5;
    double list[2] = {0};
    assert_true(number_whole("-3", -5, 5, &whole) && whole == -3);
    assert_false(number_whole("- 3", -5, 5, &whole));
    assert_false(number_whole("6", -5, 5, &whole));
    assert_int_equal(whole, -3); /* untouched */
    assert_true(number_list("1,2", 2, list) && list[0] == 1 && list[1] == 2);
    assert_false(number_list("1", 2, list));
    assert_false(number_list("1,2,", 2, list));
    assert_false(number_list("1e,2", 2, list));
}

static void test_json_line(void **state)
{
    (void)state;
    /* "\\" is one of the characters of compressed run lengths: 44 = ... a lone 1 x 44 picture of zeros is 44 = 12 + 32,
     * groups 12 + 32 + 48 = '\\' and 1 + 48 = '1' */
    uint8_t empty[44] = {0};
    record records[2] = {{.object = 3, .present = 1, .object_score = -1.5f, .iou = 0.0f / 1}, {.object = 4}};
    char *text = NULL;
    size_t n_text = 0;
    assert_int_equal(rle_encode(&records[0].runs, empty, 44, 1, 44), TRK_OK);
    FILE *stream = open_memstream(&text, &n_text);
    records_write_json(stream, records, 2, 12, 0.48, 44, 1);
    fflush(stream);
    assert_string_equal(text,
                        "{\"frame\":12,\"pts\":0.480000,\"objects\":[{\"id\":3,\"box\":null,\"area\":0,"
                        "\"object_score\":-1.5000,\"iou\":0.0000,\"rle\":{\"size\":[1,44],\"counts\":\"\\\\1\"}}]}\n");
    rewind(stream);
    records[0].where = (trk_region){1, 2, 3, 4, 5, 2};
    records[0].iou = -(float)strtod("inf", NULL);
    records_write_json(stream, records, 1, 0, 0, 44, 1);
    record_write_box(stream, &records[0]);
    record_write_box(stream, &records[1]);
    fclose(stream);
    assert_non_null(strstr(text, "\"box\":[1,2,3,4],\"area\":5,"));
    assert_non_null(strstr(text, "\"iou\":null"));
    assert_non_null(strstr(text, "}\n1,2,3,4\n0,0,0,0\n"));
    free(text);
    rle_free(&records[0].runs);
}

static void test_json_line_of_motion(void **state)
{
    (void)state;
    uint8_t empty[4] = {0};
    record one = {.object = 1, .present = 1, .object_score = 2, .iou = 0.5f, .hypothesis = 2, .kept = 1};
    char *text = NULL;
    size_t n_text = 0;
    assert_int_equal(rle_encode(&one.runs, empty, 2, 2, 2), TRK_OK);
    FILE *stream = open_memstream(&text, &n_text);
    records_write_json(stream, &one, 1, 0, 0, 2, 2); /* no motion model: not a word of it */
    fflush(stream);
    assert_null(strstr(text, "hypothesis"));
    assert_null(strstr(text, "kept"));
    assert_null(strstr(text, "motion"));
    rewind(stream);
    one.motion = (trk_motion){.has_model = 1,
                              .has_prediction = 1,
                              .predicted = {-1.25f, 2, 30.5f, 4},
                              .has_score = 1,
                              .score = 0.83125,
                              .n_stable = 15};
    records_write_json(stream, &one, 1, 0, 0, 2, 2);
    one.motion = (trk_motion){.has_model = 1, .score = 7, .predicted = {1, 2, 3, 4}, .n_stable = 1}; /* not so */
    one.kept = 0;
    records_write_json(stream, &one, 1, 0, 0, 2, 2);
    one.motion = (trk_motion){.has_model = 1, .has_prediction = 1, .has_score = 1, .score = strtod("nan", NULL)};
    one.motion.predicted.width = (float)strtod("inf", NULL);
    records_write_json(stream, &one, 1, 0, 0, 2, 2);
    fclose(stream);
    assert_non_null(strstr(text, "\"iou\":0.5000,\"hypothesis\":2,\"kept\":true,\"motion\":{\"predicted\":"
                                 "[-1.25,2.00,30.50,4.00],\"score\":0.8313,\"stable\":15},\"rle\":{"));
    assert_non_null(strstr(text, "\"kept\":false,\"motion\":{\"predicted\":null,\"score\":null,\"stable\":1},"));
    assert_non_null(strstr(text, "\"motion\":{\"predicted\":null,\"score\":null,\"stable\":0},"));
    free(text);
    rle_free(&one.runs);
}

static void test_boxes_path(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int several;
        const char *expected;
    } cases[] = {{"a/b.txt", 0, "a/b.txt"}, {"a/b.txt", 1, "a/b_7.txt"}, {"a.d/b", 1, "a.d/b_7"},
                 {"b", 1, "b_7"},           {".hidden", 1, ".hidden_7"}, {"a/.hidden", 1, "a/.hidden_7"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = outputs_boxes_path(cases[i].path, 7, cases[i].several);
        assert_string_equal(path, cases[i].expected);
        trk_heap_release(path);
    }
}

static void test_model_names(void **state)
{
    (void)state;
    char folder[] = "track-models-XXXXXX", file_path[64], *path = NULL;
    assert_non_null(mkdtemp(folder));
    snprintf(file_path, sizeof file_path, "%s/some-model.safetensors", folder);
    FILE *file = fopen(file_path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(setenv("TRK_MODEL_DIR", folder, 1), 0);
    assert_int_equal(model_path_find("some-model", &path), TRK_OK);
    assert_string_equal(path, file_path);
    trk_heap_release(path);
    assert_int_equal(model_path_find("other-model", &path), TRK_E_NOT_FOUND);
    assert_non_null(strstr(trk_error_text(), "other-model"));
    assert_non_null(strstr(trk_error_text(), folder));
    unsetenv("TRK_MODEL_DIR");
    assert_int_equal(model_path_find("some-model", &path), TRK_E_NOT_FOUND);
    /* whatever is written as a file is one */
    assert_int_equal(model_path_find("./x", &path), TRK_OK);
    assert_string_equal(path, "./x");
    trk_heap_release(path);
    assert_int_equal(model_path_find("x.pt", &path), TRK_OK);
    trk_heap_release(path);
    unlink(file_path);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_option),
        cmocka_unit_test(test_values_of_the_model),
        cmocka_unit_test(test_memory_options),
        cmocka_unit_test(test_policy_options),
        cmocka_unit_test(test_byte_sizes),
        cmocka_unit_test(test_short_and_special_forms),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_tracker_params),
        cmocka_unit_test(test_motion_params),
        cmocka_unit_test(test_model_params),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_eval_help),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_json_line),
        cmocka_unit_test(test_json_line_of_motion),
        cmocka_unit_test(test_boxes_path),
        cmocka_unit_test(test_model_names),
    };
    return cmocka_run_group_tests(tests, NULL, close_session);
}
