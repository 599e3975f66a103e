/* SPDX-License-Identifier: Apache-2.0
 * Lists of jobs: words and their quoting, defaults, what a line may not say, and outputs that two lines share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "conflicts.h"
#include "job_list.h"
#include "scratch_folder.h"

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words; /* each in brackets; or what the error says */
        int fails;
    } cases[] = {
        {"", "", 0},
        {"  \t\r", "", 0},
        {"# a comment", "", 0},
        {"a b\tc\r", "[a][b][c]", 0},
        {" a # b", "[a]", 0},
        {"a#b", "[a#b]", 0},
        {"'a b' \"c d\" e\\ f", "[a b][c d][e f]", 0},
        {"a'b c'd\"e f\"", "[ab cde f]", 0},
        {"'' \"\"", "[][]", 0},
        {"'a\\b' \"a\\b\" \"a\\\"b\" a\\\\b \\#c", "[a\\b][a\\b][a\"b][a\\b][#c]", 0},
        {"'it\"s' \"it's\"", "[it\"s][it's]", 0},
        {"a 'b", "' without a second one", 1},
        {"a \"b\\\"", "\" without a second one", 1},
        {"a\\", "a backslash at the end", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[64], *words[33], found[128] = "";
        size_t n_words = 0;
        snprintf(line, sizeof line, "%s", cases[i].line);
        const trk_status rc = job_list_split(line, words, &n_words);
        if (cases[i].fails) {
            assert_int_equal(rc, TRK_E_ARGUMENT);
            assert_non_null(strstr(trk_error_text(), cases[i].words));
            continue;
        }
        assert_int_equal(rc, TRK_OK);
        for (size_t k = 0; k < n_words; k++)
            snprintf(found + strlen(found), sizeof found - strlen(found), "[%s]", words[k]);
        assert_string_equal(found, cases[i].words);
    }
}

/* A list with that text, read with `--list list` and one more word on the command line. */
static trk_status read_list(job_list *out, const char *text, const char *option)
{
    static char copy[64];
    static char *argv[] = {"track", "--list", "list", copy};
    FILE *file = fopen("list", "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    snprintf(copy, sizeof copy, "%s", option ? option : "");
    const trk_status rc = job_list_read(out, "list", option ? 4 : 3, argv);
    unlink("list");
    return rc;
}

static void test_list(void **state)
{
    (void)state;
    job_list list;
    assert_int_equal(read_list(&list,
                               "# jobs\n\na.mp4 --box 1,2,3,4 --jsonl 'a 1.jsonl'\n"
                               "b.mp4 --resume state --sweep-every 3 -- \n  c.mp4 --point 1,2 --reverse",
                               "--sweep-never"),
                     TRK_OK);
    assert_int_equal(list.n_items, 3);
    assert_string_equal(list.items[0].where, "list:3");
    assert_string_equal(list.items[0].wanted.operands[0], "a.mp4");
    assert_string_equal(list.items[0].wanted.jsonl, "a 1.jsonl");
    assert_int_equal(list.items[0].wanted.sweep, TRK_SWEEP_NEVER); /* the default */
    assert_string_equal(list.items[1].where, "list:4");
    assert_int_equal(list.items[1].wanted.sweep, TRK_SWEEP_EVERY); /* its own */
    assert_int_equal(list.items[1].wanted.sweep_every, 3);
    assert_string_equal(list.items[2].where, "list:5");
    assert_true(list.items[2].wanted.reverse && !list.items[1].wanted.reverse);
    for (size_t i = 0; i < 3; i++)
        assert_true(!list.items[i].wanted.list && !list.items[i].wanted.jobs);
    job_list_free(&list);
    assert_int_equal(read_list(&list, "a --point 1,2\nb\n", "--box=1,2,3,4"), TRK_OK); /* a prompt for every line */
    assert_int_equal(list.items[0].wanted.prompts.n_items, 2);
    assert_int_equal(list.items[1].wanted.prompts.n_items, 1);
    job_list_free(&list);
}

static void test_bad_lists(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "list: expected at least one line"},
        {"# nothing\n\n", "list: expected at least one line"},
        {"v --box 1,2,3,4\nw --boks 1\n", "list:2: --boks: no such option"},
        {"\nv\n", "list:2: nothing to follow"},
        {"--box 1,2,3,4", "list:1: expected a video"},
        {"v --box 1,2,3", "list:1: --box: expected"},
        {"v --box 1,2,3,4 'x", "list:1: ' without a second one"},
        {"v --box 1,2,3,4 --frames", "list:1: --frames: expected a value"},
        {"v w --box 1,2,3,4", "list:1: unexpected \"w\""},
        {"v --box 1,2,3,4 --model m", "list:1: --model: is for all videos"},
        {"v --box 1,2,3,4 --device cpu", "list:1: --device: is for all videos"},
        {"v --box 1,2,3,4 --memory-budget 1GB", "list:1: --memory-budget: is for all videos"},
        {"v --box 1,2,3,4 --list x", "list:1: --list: is for all videos"},
        {"v --box 1,2,3,4 --help", "list:1: --help: is for all videos"},
        {"v --box 1,2,3,4 --memory-report", "list:1: --memory-report: is for all videos"},
        {"v --box 1,2,3,4 --sweep-never --sweep-every 1", "list:1: --sweep-every: --sweep-never is given too"},
        {"- --box 1,2,3,4\nv --box 1,2,3,4\n- --box 1,2,3,4\n", "list:3: standard input is the video of list:1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        job_list list;
        if (read_list(&list, cases[i].text, NULL) != TRK_E_ARGUMENT)
            fail_msg("\"%s\" was taken", cases[i].text);
        if (!strstr(trk_error_text(), cases[i].says))
            fail_msg("\"%s\": %s", cases[i].text, trk_error_text());
        job_list_free(&list);
    }
}

static void touch(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

static void test_shared_outputs(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says; /* NULL: nothing is wrong */
    } cases[] = {
        {"v --box 1,2,3,4 --jsonl a --boxes b.txt\nv --box 1,2,3,4 --jsonl c --boxes d.txt\n", NULL},
        {"v --box 1,2,3,4 --jsonl a\nv --box 1,2,3,4 --jsonl ./a\n",
         "list:2: --jsonl: ./a is also the file of --jsonl of list:1"},
        {"v --box 1,2,3,4 --jsonl -\nv --box 1,2,3,4 --boxes -\n", "list:2: --boxes: - is also"},
        {"v --box 1,2,3,4 --sheet a.png\nv --box 1,2,3,4 --save-state sub/../a.png\n", "list:2: --save-state: "},
        {"v --box 1,2,3,4 --masks m\nv --box 1,2,3,4 --masks m/\n", "list:2: --masks: m is also"},
        {"v --box 1,2,3,4 --masks m\nv --box 1,2,3,4 --logits m/\n", NULL},
        {"v --box 1,2,3,4 --boxes b.txt\nv --box 1,2,3,4 --jsonl b_12.txt\n",
         "list:2: --jsonl: b_12.txt may be also the file of --boxes of list:1"},
        {"v --box 1,2,3,4 --boxes b.txt\nv --box 1,2,3,4 --jsonl b_x.txt\n", NULL},
        {"v --box 1,2,3,4 --jsonl w\nw --box 1,2,3,4 --jsonl x\n", "list:1: --jsonl: w is the video of list:2"},
        {"v --resume state --save-state state\n", NULL},
        {"v --resume state --jsonl state\n", "list:1: --jsonl: state is the state of --resume, and"},
        {"v --resume state\nw --box 1,2,3,4 --save-state state\n", "list:2: --save-state: state is the state of"},
    };
    options wanted = {.list = "list"};
    touch("v");
    touch("w");
    touch("state");
    assert_int_equal(mkdir("sub", 0777), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        job_list list;
        assert_int_equal(read_list(&list, cases[i].text, NULL), TRK_OK);
        const trk_status rc = conflicts_refuse_jobs(&wanted, "model", &list);
        if (rc != (cases[i].says ? TRK_E_ARGUMENT : TRK_OK) ||
            (cases[i].says && !strstr(trk_error_text(), cases[i].says)))
            fail_msg("%s: %d, %s", cases[i].text, rc, trk_error_text());
        job_list_free(&list);
    }
    assert_int_equal(unlink("v") | unlink("w") | unlink("state") | rmdir("sub"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_bad_lists),
        cmocka_unit_test(test_shared_outputs),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave_empty);
}
