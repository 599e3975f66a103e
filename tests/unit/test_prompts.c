/* SPDX-License-Identifier: Apache-2.0
 * Prompts: every form, every malformed form, ids and frames, JSON files, masks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "error.h"
#include "heap.h"
#include "palette.h"
#include "prompts.h"

static const prompt *add(prompt_list *list, prompt_kind kind, const char *text)
{
    if (prompts_parse(list, kind, text))
        fail_msg("%s", trk_error_text());
    return &list->items[list->n_items - 1];
}

static void test_good_forms(void **state)
{
    (void)state;
    prompt_list list = {0};
    const prompt *p = add(&list, PROMPT_BOX, "120,80,200,160");
    assert_int_equal(p->object, 0);
    assert_int_equal(p->frame, -1);
    assert_true(p->box.x == 120 && p->box.y == 80 && p->box.width == 200 && p->box.height == 160);
    p = add(&list, PROMPT_BOX, "2@30:-1.5,+2,3e1,.5");
    assert_int_equal(p->object, 2);
    assert_int_equal(p->frame, 30);
    assert_true(p->box.x == -1.5f && p->box.y == 2 && p->box.width == 30 && p->box.height == 0.5f);
    p = add(&list, PROMPT_BOX, "7:1,2,3,4");
    assert_int_equal(p->object, 7);
    assert_int_equal(p->frame, -1);
    p = add(&list, PROMPT_POINT, "@12:5,6");
    assert_int_equal(p->object, 0);
    assert_int_equal(p->frame, 12);
    assert_true(p->point.x == 5 && p->point.y == 6 && p->point.positive == 1);
    assert_int_equal(add(&list, PROMPT_POINT, "5,6,+")->point.positive, 1);
    assert_int_equal(add(&list, PROMPT_POINT, "5,6,-")->point.positive, 0);
    assert_int_equal(add(&list, PROMPT_POINT, "-5,-6,-")->point.positive, 0);
    p = add(&list, PROMPT_MASK, "3@4:a,b.png");
    assert_string_equal(p->path, "a,b.png");
    assert_int_equal(p->object, 3);
    assert_int_equal(p->frame, 4);
    p = add(&list, PROMPT_MASK, "c:d.png"); /* a colon that no number comes before belongs to the name */
    assert_string_equal(p->path, "c:d.png");
    p = add(&list, PROMPT_MASK, ":x.png");
    assert_string_equal(p->path, ":x.png");
    prompts_free(&list);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        prompt_kind kind;
        const char *text;
    } cases[] = {
        {PROMPT_BOX, ""},
        {PROMPT_BOX, "1,2,3"},
        {PROMPT_BOX, "1,2,3,4,5"},
        {PROMPT_BOX, "1,2,3,4,"},
        {PROMPT_BOX, "1,2,3,x"},
        {PROMPT_BOX, "1,2,,4"},
        {PROMPT_BOX, "1, 2,3,4"},
        {PROMPT_BOX, "nan,2,3,4"},
        {PROMPT_BOX, "1,inf,3,4"},
        {PROMPT_BOX, "0x1,2,3,4"},
        {PROMPT_BOX, "1;2;3;4"},
        {PROMPT_BOX, "1,2,3,4px"},
        {PROMPT_BOX, "0:1,2,3,4"},
        {PROMPT_BOX, "-1:1,2,3,4"},
        {PROMPT_BOX, "@:1,2,3,4"},
        {PROMPT_BOX, "1@:1,2,3,4"},
        {PROMPT_BOX, "a@1:1,2,3,4"},
        {PROMPT_BOX, "1@-1:1,2,3,4"},
        {PROMPT_BOX, "1@2@3:1,2,3,4"},
        {PROMPT_BOX, ":1,2,3,4"},
        {PROMPT_BOX, "99999999999:1,2,3,4"},
        {PROMPT_BOX, "1@99999999999999999999:1,2,3,4"},
        {PROMPT_BOX, "1@999999999999999999999999999999999:1,2,3,4"},
        {PROMPT_BOX, "1e999,2,3,4"},
        {PROMPT_POINT, ""},
        {PROMPT_POINT, "1"},
        {PROMPT_POINT, "1,"},
        {PROMPT_POINT, "1,2,3"},
        {PROMPT_POINT, "1,2,*"},
        {PROMPT_POINT, "1,2,++"},
        {PROMPT_POINT, ",+"},
        {PROMPT_POINT, "1,2+"},
        {PROMPT_POINT, "1,2,"},
        {PROMPT_MASK, ""},
        {PROMPT_MASK, "1@2:"},
        {PROMPT_MASK, "@2:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        prompt_list list = {0};
        if (prompts_parse(&list, cases[i].kind, cases[i].text) != TRK_E_ARGUMENT)
            fail_msg("\"%s\" was taken", cases[i].text);
        assert_non_null(strstr(trk_error_text(), "expected"));
        assert_non_null(strstr(trk_error_text(), cases[i].text));
        assert_int_equal(list.n_items, 0);
    }
}

static void check_objects(const prompt_list *list, const int *objects)
{
    for (size_t i = 0; i < list->n_items; i++)
        assert_int_equal(list->items[i].object, objects[i]);
}

static void test_ids_and_frames(void **state)
{
    (void)state;
    prompt_list list = {0};
    int *ids;
    size_t n_ids;
    add(&list, PROMPT_BOX, "1,1,5,5");    /* 1 */
    add(&list, PROMPT_POINT, "3,3,-");    /* 1 */
    add(&list, PROMPT_BOX, "@9:2,2,5,5"); /* 2, on frame 9 */
    add(&list, PROMPT_POINT, "4,4");      /* 2, on frame 9 */
    add(&list, PROMPT_POINT, "@11:4,4");  /* 2, on frame 11 */
    add(&list, PROMPT_POINT, "1:2,2");    /* 1, on the first frame */
    add(&list, PROMPT_BOX, "4:1,1,5,5");  /* 4 */
    add(&list, PROMPT_BOX, "3,3,5,5");    /* 3: the smallest id not named so far */
    add(&list, PROMPT_BOX, "3,3,6,6");    /* 5 */
    assert_int_equal(prompts_load(&list), TRK_OK);
    check_objects(&list, (const int[]){1, 1, 2, 2, 2, 1, 4, 3, 5});
    assert_int_equal(prompts_resolve(&list, 6, 0, 20, 20), TRK_OK);
    static const int64_t frames[] = {6, 6, 9, 9, 11, 6, 6, 6, 6};
    for (size_t i = 0; i < list.n_items; i++)
        assert_int_equal(list.items[i].frame, frames[i]);
    assert_int_equal(prompts_first_frame(&list, 0), 6);
    assert_int_equal(prompts_first_frame(&list, 1), 11);
    assert_int_equal(prompts_objects(&list, &ids, &n_ids), TRK_OK);
    assert_int_equal(n_ids, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ids[i], i + 1);
    trk_heap_release(ids);
    prompts_free(&list);
    add(&list, PROMPT_POINT, "3,3");
    assert_int_equal(prompts_load(&list), TRK_OK);
    check_objects(&list, (const int[]){1});
    prompts_free(&list);
}

/* An object that gets its id by itself stays clear of those named after it. */
static void test_ids_to_come(void **state)
{
    (void)state;
    static const int taken[] = {2};
    prompt_list list = {.taken = taken, .n_taken = 1};
    add(&list, PROMPT_BOX, "1,1,5,5");     /* 4: 1 and 3 come later, 2 is there */
    add(&list, PROMPT_POINT, "3,3,-");     /* 4 */
    add(&list, PROMPT_BOX, "1:2,2,5,5");   /* 1 */
    add(&list, PROMPT_POINT, "4,4");       /* 1 */
    add(&list, PROMPT_BOX, "3@9:2,2,5,5"); /* 3 */
    add(&list, PROMPT_POINT, "4@9:2,2");   /* 4: a point refines */
    assert_int_equal(prompts_load(&list), TRK_OK);
    check_objects(&list, (const int[]){4, 4, 1, 1, 3, 4});
    prompts_free(&list);
    add(&list, PROMPT_POINT, "3,3");
    add(&list, PROMPT_BOX, "1:2,2,5,5");
    assert_int_equal(prompts_load(&list), TRK_OK);
    check_objects(&list, (const int[]){2, 1});
    prompts_free(&list);
}

static void test_bounds(void **state)
{
    (void)state;
    static const struct {
        prompt_kind kind;
        const char *text;
        int good;
    } cases[] = {
        {PROMPT_BOX, "0,0,100,50", 1}, {PROMPT_BOX, "-10,-10,11,11", 1}, {PROMPT_BOX, "99,49,500,500", 1},
        {PROMPT_BOX, "100,0,5,5", 0},  {PROMPT_BOX, "0,50,5,5", 0},      {PROMPT_BOX, "-10,0,10,5", 0},
        {PROMPT_BOX, "0,-10,5,10", 0}, {PROMPT_BOX, "10,10,0,5", 0},     {PROMPT_BOX, "10,10,5,-5", 0},
        {PROMPT_POINT, "0,0", 1},      {PROMPT_POINT, "100,50", 1},      {PROMPT_POINT, "100.1,10", 0},
        {PROMPT_POINT, "-1,10", 0},    {PROMPT_POINT, "5,50.1", 0},      {PROMPT_POINT, "@5:5,5", 1},
        {PROMPT_POINT, "@4:5,5", 0}, /* before the first frame, 5 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        prompt_list list = {0};
        add(&list, cases[i].kind, cases[i].text);
        assert_int_equal(prompts_load(&list), TRK_OK);
        const trk_status rc = prompts_resolve(&list, 5, 0, 100, 50);
        if (rc != (cases[i].good ? TRK_OK : TRK_E_ARGUMENT))
            fail_msg("%s: %d %s", cases[i].text, rc, trk_error_text());
        if (!cases[i].good && !strchr(cases[i].text, '@'))
            assert_non_null(strstr(trk_error_text(), "100 x 50"));
        prompts_free(&list);
    }
}

/* --- files, in a folder of their own ---------------------------------------------------------------------------- */

static char folder[] = "track-prompts-XXXXXX", json_path[64], mask_path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(json_path, sizeof json_path, "%s/p.json", folder);
    snprintf(mask_path, sizeof mask_path, "%s/m.png", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(json_path);
    unlink(mask_path);
    return rmdir(folder);
}

static trk_status parse_json(prompt_list *list, const char *text)
{
    FILE *file = fopen(json_path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return prompts_parse_file(list, json_path);
}

static void test_json(void **state)
{
    (void)state;
    prompt_list list = {0};
    if (parse_json(&list,
                   "{\"prompts\": [{\"object\": 1, \"frame\": 0, \"box\": [1, 2.5, 3, 4]},\n"
                   "{\"object\": 1, \"points\": [[5, 6, 1], [7, 8, 0]]},\n"
                   "{\"object\": 2, \"frame\": 3, \"mask\": \"m.png\"}, {\"object\": 3, \"mask\": \"/a/m.png\"}]}"))
        fail_msg("%s", trk_error_text());
    assert_int_equal(list.n_items, 5);
    const prompt *p = list.items;
    check_objects(&list, (const int[]){1, 1, 1, 2, 3});
    assert_int_equal(p[0].frame, 0);
    assert_true(p[0].box.x == 1 && p[0].box.y == 2.5f && p[0].box.width == 3 && p[0].box.height == 4);
    assert_int_equal(p[1].frame, -1);
    assert_int_equal(p[1].point.positive, 1);
    assert_int_equal(p[2].point.positive, 0);
    assert_int_equal(p[3].frame, 3);
    assert_string_equal(p[3].path, mask_path); /* beside the JSON file */
    assert_string_equal(p[4].path, "/a/m.png");
    prompts_free(&list);
}

static void test_bad_json(void **state)
{
    (void)state;
#define ID_WANTED "prompts[0].object: expected a whole number from 1 to 2147483647, got "
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "line 1"},
        {"{\"prompts\": [\n{\"object\": 1,, }]}", "line 2"},
        {"[]", "expected {\"prompts\""},
        {"{\"prompts\": []}", "at least one"},
        {"{\"prompts\": {}}", "expected {\"prompts\""},
        {"{\"prompts\": [], \"prompts\": []}", "duplicate"},
        {"{\"prompts\": [{\"object\":1,\"box\":[1,2,3,4]}], \"more\": 1}", "no other key"},
        {"{\"prompts\": [1]}", "prompts[0]: expected an object"},
        {"{\"prompts\": [{\"box\":[1,2,3,4]}]}", ID_WANTED "nothing"},
        {"{\"prompts\": [{\"object\":0,\"box\":[1,2,3,4]}]}", ID_WANTED "0"},
        {"{\"prompts\": [{\"object\":\"1\",\"box\":[1,2,3,4]}]}", ID_WANTED "\"1\""},
        {"{\"prompts\": [{\"object\":1.5,\"box\":[1,2,3,4]}]}", "prompts[0].object"},
        {"{\"prompts\": [{\"object\":9999999999,\"box\":[1,2,3,4]}]}", "prompts[0].object"},
        {"{\"prompts\": [{\"object\":1,\"frame\":-1,\"box\":[1,2,3,4]}]}", "a whole number from 0 on, got -1"},
        {"{\"prompts\": [{\"object\":1,\"frame\":null,\"box\":[1,2,3,4]}]}", "prompts[0].frame"},
        {"{\"prompts\": [{\"object\":1}]}", "exactly one of"},
        {"{\"prompts\": [{\"object\":1,\"box\":[1,2,3,4],\"mask\":\"m.png\"}]}", "exactly one of"},
        {"{\"prompts\": [{\"object\":1,\"Box\":[1,2,3,4]}]}", "prompts[0].Box"},
        {"{\"prompts\": [{\"object\":1,\"box\":[1,2,3]}]}", "prompts[0].box"},
        {"{\"prompts\": [{\"object\":1,\"box\":[1,2,3,\"4\"]}]}",
         "prompts[0].box: expected four numbers [x, y, w, h], got [1, 2, 3, \"4\"]"},
        {"{\"prompts\": [{\"object\":1,\"box\":[1,2,3,1e300]}]}", "prompts[0].box"},
        {"{\"prompts\": [{\"object\":1,\"box\":7}]}", "prompts[0].box"},
        {"{\"prompts\": [{\"object\":1,\"box\":\"01234567890123456789012345678901234567890123456789012345678901234567\"}]}",
         "got \"01234567890123456789012345678901234567890123456789012345678..."},
        {"{\"prompts\": [{\"object\":1,\"box\":[1,2,3,4]},{\"object\":1,\"points\":[]}]}", "prompts[1].points"},
        {"{\"prompts\": [{\"object\":1,\"points\":[[1,2]]}]}", "prompts[0].points"},
        {"{\"prompts\": [{\"object\":1,\"points\":[[1,2,2]]}]}", "prompts[0].points"},
        {"{\"prompts\": [{\"object\":1,\"points\":[1,2,1]}]}", "prompts[0].points"},
        {"{\"prompts\": [{\"object\":1,\"mask\":\"\"}]}", "prompts[0].mask"},
        {"{\"prompts\": [{\"object\":1,\"mask\":3}]}", "prompts[0].mask"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        prompt_list list = {0};
        if (parse_json(&list, cases[i].text) != TRK_E_ARGUMENT)
            fail_msg("%s was taken", cases[i].text);
        if (!strstr(trk_error_text(), cases[i].says) || !strstr(trk_error_text(), json_path))
            fail_msg("%s: %s", cases[i].text, trk_error_text());
        prompts_free(&list);
    }
    prompt_list list = {0};
    assert_int_equal(prompts_parse_file(&list, "no/such.json"), TRK_E_IO);
    assert_non_null(strstr(trk_error_text(), "no/such.json"));
}

static void write_mask(const uint8_t indices[6])
{
    uint8_t palette[PALETTE_SIZE][3];
    palette_fill(palette);
    assert_int_equal(trk_image_write_indexed(mask_path, indices, 3, 2, 3, (const uint8_t(*)[3])palette), TRK_OK);
}

static void test_palette_mask(void **state)
{
    (void)state;
    prompt_list list = {0};
    char text[80];
    write_mask((const uint8_t[]){0, 2, 2, 5, 0, 2});
    add(&list, PROMPT_MASK, mask_path);
    add(&list, PROMPT_BOX, "1,1,2,2");
    snprintf(text, sizeof text, "9@3:%s", mask_path);
    add(&list, PROMPT_MASK, text);
    if (prompts_load(&list))
        fail_msg("%s", trk_error_text());
    /* without ID one object per index, then the box, then everything that is not 0 as object 9 */
    check_objects(&list, (const int[]){2, 5, 1, 9});
    assert_int_equal(list.n_items, 4);
    assert_memory_equal(list.items[0].mask.data, ((const uint8_t[]){0, 1, 1, 0, 0, 1}), 6);
    assert_memory_equal(list.items[1].mask.data, ((const uint8_t[]){0, 0, 0, 1, 0, 0}), 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(list.items[3].mask.data[i] != 0, i != 0 && i != 4);
    assert_int_equal(list.items[3].frame, 3);
    prompts_free(&list);
    write_mask((const uint8_t[]){0, 7, 7, 0, 0, 7}); /* one index: that one */
    add(&list, PROMPT_MASK, mask_path);
    assert_int_equal(prompts_load(&list), TRK_OK);
    check_objects(&list, (const int[]){7});
    prompts_free(&list);
    write_mask((const uint8_t[]){0, 7, 255, 0, 0, 254}); /* 255 is void */
    add(&list, PROMPT_MASK, mask_path);
    assert_int_equal(prompts_load(&list), TRK_OK);
    assert_int_equal(list.n_items, 2);
    check_objects(&list, (const int[]){7, 254});
    prompts_free(&list);
    write_mask((const uint8_t[]){0, 255, 255, 0, 0, 255}); /* nothing else: a mask of one object */
    add(&list, PROMPT_MASK, mask_path);
    assert_int_equal(prompts_load(&list), TRK_OK);
    check_objects(&list, (const int[]){1});
    assert_int_equal(list.n_items, 1);
    prompts_free(&list);
    write_mask((const uint8_t[]){0, 1, 3, 0, 0, 1}); /* the indices of a mask to come */
    add(&list, PROMPT_BOX, "1,1,2,2");
    add(&list, PROMPT_MASK, mask_path);
    add(&list, PROMPT_POINT, "1,1");
    assert_int_equal(prompts_load(&list), TRK_OK);
    check_objects(&list, (const int[]){2, 1, 3, 3});
    prompts_free(&list);
}

/* A mask replaces what its object has on its frame: two at once are not what was meant. */
static void test_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *first, *frame;
        int good;
    } cases[] = {{"7:1,1,2,2", "", 0}, {"7@5:1,1,2,2", "", 0}, {"7:1,1,2,2", "@6:", 1}, {"6:1,1,2,2", "", 1}};
    char text[80];
    write_mask((const uint8_t[]){0, 7, 7, 0, 0, 7});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        prompt_list list = {0};
        snprintf(text, sizeof text, "%s%s", cases[i].frame, mask_path);
        add(&list, PROMPT_BOX, cases[i].first);
        add(&list, PROMPT_MASK, text);
        assert_int_equal(prompts_load(&list), TRK_OK);
        assert_int_equal(prompts_resolve(&list, 5, 0, 30, 20), cases[i].good ? TRK_OK : TRK_E_ARGUMENT);
        if (!cases[i].good)
            assert_non_null(strstr(trk_error_text(), "object 7 has a prompt on frame 5 already: --box 7"));
        prompts_free(&list);
    }
}

static void test_bad_mask(void **state)
{
    (void)state;
    prompt_list list = {0};
    write_mask((const uint8_t[]){0, 0, 0, 0, 0, 0});
    add(&list, PROMPT_MASK, mask_path);
    assert_int_equal(prompts_load(&list), TRK_E_ARGUMENT);
    assert_non_null(strstr(trk_error_text(), "empty"));
    prompts_free(&list);
    add(&list, PROMPT_MASK, "no/such.png");
    assert_true(prompts_load(&list) < 0);
    assert_non_null(strstr(trk_error_text(), "no/such.png"));
    prompts_free(&list);
    write_mask((const uint8_t[]){0, 1, 1, 0, 0, 1});
    for (int width = 30; width <= 31; width++) { /* frames of 3 to 2, and not */
        add(&list, PROMPT_MASK, mask_path);
        assert_int_equal(prompts_load(&list), TRK_OK);
        assert_int_equal(prompts_resolve(&list, 0, 0, width, 20), width == 30 ? TRK_OK : TRK_E_ARGUMENT);
        prompts_free(&list);
    }
    assert_non_null(strstr(trk_error_text(), "a mask of 3 x 2 for frames of 31 x 20, expected the same aspect ratio"));
    FILE *file = fopen(mask_path, "w");
    assert_non_null(file);
    fputs("not an image", file);
    fclose(file);
    add(&list, PROMPT_MASK, mask_path);
    assert_true(prompts_load(&list) < 0);
    assert_non_null(strstr(trk_error_text(), mask_path));
    prompts_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_forms),  cmocka_unit_test(test_malformed),    cmocka_unit_test(test_ids_and_frames),
        cmocka_unit_test(test_ids_to_come), cmocka_unit_test(test_bounds),       cmocka_unit_test(test_json),
        cmocka_unit_test(test_bad_json),    cmocka_unit_test(test_palette_mask), cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_bad_mask),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
