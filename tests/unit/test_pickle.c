/* SPDX-License-Identifier: Apache-2.0
 * The restricted pickle reader: what it builds, and that everything else ends in one line. */
#include "checkpoint_files.h"

#include "pickle.h"

/* Reads the pickle, frees the bytes on failure only: values point into them. */
static trk_status read_bytes(trk_pickle **out, bytes *b)
{
    trk_status rc = trk_pickle_read(out, b->data, b->n);
    if (rc < 0)
        clear(b);
    return rc;
}

/* After the header of protocol 2. */
static trk_status read_text(const char *text, size_t n)
{
    bytes b = {0};
    trk_pickle *p = NULL;
    start_pickle(&b, 2);
    add(&b, text, n);
    trk_status rc = read_bytes(&p, &b);
    if (rc == TRK_OK) {
        trk_pickle_free(&p);
        clear(&b);
    } else {
        assert_null(p);
    }
    return rc;
}

#define READ(literal) read_text(literal, sizeof(literal) - 1)

static void reads_scalars(void **state)
{
    static const char text[] = "("
                               "N\x88\x89"
                               "K\xff"
                               "M\x34\x12"
                               "J\xfe\xff\xff\xff"
                               "\x8a\x00"
                               "\x8a\x02\x00\xff"
                               "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
                               "G\x3f\xf8\x00\x00\x00\x00\x00\x00"
                               "X\x02\x00\x00\x00hi"
                               "\x8c\x01z"
                               "C\x01\xff"
                               "t.";
    static const int64_t integers[] = {0, 1, 0, 255, 0x1234, -2, 0, -256, INT64_MAX};
    bytes b = {0};
    trk_pickle *p = NULL;
    start_pickle(&b, 3);
    add(&b, text, sizeof text - 1);
    assert_works(read_bytes(&p, &b));
    const trk_pickle_value *top = trk_pickle_top(p);
    assert_int_equal(top->kind, TRK_PICKLE_TUPLE);
    assert_int_equal(top->n, 13);
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        assert_true(top->items[i]->integer == integers[i]);
    assert_int_equal(top->items[0]->kind, TRK_PICKLE_NONE);
    assert_int_equal(top->items[1]->kind, TRK_PICKLE_BOOL);
    assert_int_equal(top->items[3]->kind, TRK_PICKLE_INT);
    assert_true(top->items[9]->real == 1.5);
    assert_memory_equal(top->items[10]->text, "hi", 2);
    assert_int_equal(top->items[11]->n, 1);
    assert_int_equal(top->items[12]->kind, TRK_PICKLE_BYTES);
    trk_pickle_free(&p);
    clear(&b);
}

static void reads_collections_and_memo(void **state)
{
    /* {"a": [1, 2], "b": (3,), "a": the list again} */
    static const char text[] = "}q\x00(X\x01\x00\x00\x00"
                               "aq\x01](K\x01K\x02"
                               "er\x02\x00\x00\x00X\x01\x00\x00\x00"
                               "bK\x03\x85uh\x01j\x02\x00\x00\x00s.";
    bytes b = {0};
    trk_pickle *p = NULL;
    start_pickle(&b, 2);
    add(&b, text, sizeof text - 1);
    assert_works(read_bytes(&p, &b));
    const trk_pickle_value *top = trk_pickle_top(p), *list = trk_pickle_get(top, "a"),
                           *tuple = trk_pickle_get(top, "b");
    assert_int_equal(top->n, 6);
    assert_non_null(list);
    assert_int_equal(list->kind, TRK_PICKLE_LIST);
    assert_int_equal(list->n, 2);
    assert_ptr_equal(top->items[1], top->items[5]);
    assert_int_equal(tuple->kind, TRK_PICKLE_TUPLE);
    assert_int_equal(tuple->items[0]->integer, 3);
    assert_null(trk_pickle_get(top, "c"));
    trk_pickle_free(&p);
    clear(&b);
}

static void reads_protocol_4_names(void **state)
{
    /* collections.OrderedDict() by STACK_GLOBAL, in a frame, with MEMOIZE and the memo read back */
    static const char text[] = "\x95\x20\x00\x00\x00\x00\x00\x00\x00"
                               "\x8c\x0b"
                               "collections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94h\x02)R\x86.";
    bytes b = {0};
    trk_pickle *p = NULL;
    start_pickle(&b, 4);
    add(&b, text, sizeof text - 1);
    assert_works(read_bytes(&p, &b));
    assert_int_equal(trk_pickle_top(p)->items[0]->kind, TRK_PICKLE_DICT);
    assert_int_equal(trk_pickle_top(p)->items[1]->kind, TRK_PICKLE_DICT);
    trk_pickle_free(&p);
    clear(&b);
}

static void reads_tensors(void **state)
{
    tensor_spec spec = {"BFloat16Storage", "7", 12, 2, 2, {2, 3}, {3, 1}};
    bytes b = {0};
    trk_pickle *p = NULL;
    start_pickle(&b, 2);
    add_text(&b, "ctorch._utils\n_rebuild_parameter\n(");
    add_tensor(&b, &spec);
    add_text(&b, "\x88"
                 "ccollections\nOrderedDict\n)RtR.");
    assert_works(read_bytes(&p, &b));
    const trk_pickle_value *top = trk_pickle_top(p);
    assert_int_equal(top->kind, TRK_PICKLE_TENSOR);
    assert_int_equal(top->tensor->n_dims, 2);
    assert_int_equal(top->tensor->dims[1], 3);
    assert_int_equal(top->tensor->strides[0], 3);
    assert_int_equal(top->tensor->offset, 2);
    assert_int_equal(top->tensor->storage->dtype, TRK_BF16);
    assert_int_equal(top->tensor->storage->n_elements, 12);
    assert_int_equal(top->tensor->storage->key_bytes, 1);
    trk_pickle_free(&p);
    clear(&b);
}

static void ignores_attributes_of_a_dict(void **state)
{
    assert_works(READ("ccollections\nOrderedDict\n)R}X\x09\x00\x00\x00_metadataN"
                      "sb."));
    assert_fails(READ("K\x01}b."), TRK_E_FORMAT, "attributes for a whole number");
}

static void a_mark_may_be_the_first(void **state)
{
    assert_works(READ("(t."));
    assert_works(READ("(d."));
    assert_works(READ("(lq\x00("
                      "e."));
}

static void a_list_may_hold_itself(void **state)
{
    assert_works(READ("]q\x00h\x00"
                      "a."));
}

static void runs_nothing(void **state)
{
    assert_fails(READ("cos\nsystem\nX\x02\x00\x00\x00ls\x85R."), TRK_E_FORMAT, "refuses to run \"os.system\"");
    assert_fails(READ("c__builtin__\neval\n."), TRK_E_FORMAT, "refuses to run \"__builtin__.eval\"");
    assert_fails(READ("X\x05\x00\x00\x00posixX\x06\x00\x00\x00system\x93."), TRK_E_FORMAT,
                 "refuses to run \"posix.system\"");
    assert_fails(READ("ctorch\nload\n."), TRK_E_FORMAT, "refuses to run \"torch.load\"");
    assert_fails(READ("ctorch._utils\n_rebuild_tensor_v2x\n."), TRK_E_FORMAT, "_rebuild_tensor_v2x");
    assert_fails(READ("c\x1b[2Jos\nsys\ttem\n."), TRK_E_FORMAT, "?[2Jos.sys?tem");
    assert_fails(READ("(K\x01ios\nsystem\n."), TRK_E_FORMAT, "opcode 0x69");
    assert_fails(READ("K\x01K\x01\x81."), TRK_E_FORMAT, "opcode 0x81");
    assert_fails(READ("\x82\x01."), TRK_E_FORMAT, "opcode 0x82");
    assert_fails(READ("Pabc\n."), TRK_E_FORMAT, "opcode 0x50");
}

static void calls_are_checked(void **state)
{
    assert_fails(READ("K\x01)R."), TRK_E_FORMAT, "a call of a whole number");
    assert_fails(READ("ctorch\nFloatStorage\n)R."), TRK_E_FORMAT, "torch.FloatStorage");
    assert_fails(READ("ccollections\nOrderedDict\nK\x01\x85R."), TRK_E_FORMAT, "arguments it does not take");
    assert_fails(READ("ctorch._utils\n_rebuild_tensor_v2\n)R."), TRK_E_FORMAT, "without storage");
    assert_fails(READ("ctorch._utils\n_rebuild_parameter\nK\x01\x85R."), TRK_E_FORMAT, "arguments it does not take");
    assert_fails(READ("K\x01Q."), TRK_E_FORMAT, "persistent id");
    assert_fails(READ("(X\x07\x00\x00\x00storageK\x01K\x01K\x01K\x01tQ."), TRK_E_FORMAT, "persistent id");
}

static void tensor_arguments_are_checked(void **state)
{
    static const struct {
        tensor_spec spec;
        const char *text;
    } cases[] = {
        {{"FloatStorage", "0", -1, 0, 1, {1}, {1}}, "persistent id"},
        {{"FloatStorage", "0", 4, -1, 1, {1}, {1}}, "without storage, offset"},
        {{"FloatStorage", "0", 4, 0, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1}}, "9 dimensions"},
        {{"UntypedStorage", "0", 4, 0, 1, {1}, {1}}, "refuses to run \"torch.UntypedStorage\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bytes b = {0};
        trk_pickle *p = NULL;
        start_pickle(&b, 2);
        add_tensor(&b, &cases[i].spec);
        add_byte(&b, '.');
        assert_fails(read_bytes(&p, &b), TRK_E_FORMAT, cases[i].text);
    }
}

static void the_stack_is_guarded(void **state)
{
    assert_fails(READ("."), TRK_E_FORMAT, "nothing on the stack");
    assert_fails(READ("0."), TRK_E_FORMAT, "nothing on the stack");
    assert_fails(READ("t."), TRK_E_FORMAT, "no mark");
    assert_fails(READ("K\x01(0."), TRK_E_FORMAT, "nothing on the stack");
    assert_fails(READ("K\x01(2."), TRK_E_FORMAT, "nothing on the stack");
    assert_fails(READ("K\x01K\x02."), TRK_E_FORMAT, "unused values");
    assert_fails(READ("(K\x01."), TRK_E_FORMAT, "1 marks");
    assert_fails(READ("K\x01K\x02s."), TRK_E_FORMAT, "nothing on the stack");
    assert_fails(READ("]K\x01K\x02s."), TRK_E_FORMAT, "added to a list");
    assert_fails(READ("}(K\x01u."), TRK_E_FORMAT, "a key without a value");
    assert_fails(READ("(K\x01"
                      "d."),
                 TRK_E_FORMAT, "a key without a value");
    assert_fails(READ("}K\x01"
                      "a."),
                 TRK_E_FORMAT, "added to a dict");
}

static void the_memo_is_guarded(void **state)
{
    assert_fails(READ("h\x05."), TRK_E_FORMAT, "memo entry 5");
    assert_fails(READ("j\xff\xff\xff\xff."), TRK_E_FORMAT, "memo entry 4294967295");
    assert_fails(READ("K\x01r\xff\xff\xff\x7f."), TRK_E_FORMAT, "memo index 2147483647");
    assert_fails(READ("q\x00."), TRK_E_FORMAT, "nothing on the stack");
}

static void lengths_are_guarded(void **state)
{
    assert_fails(READ(""), TRK_E_FORMAT, "truncated");
    assert_fails(READ("K"), TRK_E_FORMAT, "truncated");
    assert_fails(READ("X\xff\xff\xff\xffhi."), TRK_E_FORMAT, "4294967295 bytes wanted");
    assert_fails(READ("\x8d\xff\xff\xff\xff\xff\xff\xff\xffhi."), TRK_E_FORMAT, "bytes wanted");
    assert_fails(READ("\x8a\xff."), TRK_E_FORMAT, "whole number of 255 bytes");
    assert_fails(READ("cos"), TRK_E_FORMAT, "name without an end");
    assert_fails(READ("K\x01.K"), TRK_E_FORMAT, "1 bytes before the end");
    assert_fails(READ("I1\n."), TRK_E_FORMAT, "opcode 0x49");
    static const uint8_t text[] = "(I1\n.", newer[] = "\x80\x06K\x01.";
    trk_pickle *p = NULL;
    assert_fails(trk_pickle_read(&p, text, sizeof text - 1), TRK_E_FORMAT, "protocol 2 to 5");
    assert_fails(trk_pickle_read(&p, newer, sizeof newer - 1), TRK_E_FORMAT, "protocol 2 to 5");
}

/* Two million of one opcode: the limit ends it, not the machine's memory. */
static trk_status read_repeated(const char *unit, size_t times)
{
    bytes b = {0};
    trk_pickle *p = NULL;
    start_pickle(&b, 2);
    for (size_t i = 0; i < times; i++)
        add_text(&b, unit);
    trk_status rc = read_bytes(&p, &b);
    assert_null(p);
    return rc;
}

static void numbers_are_bounded(void **state)
{
    assert_fails(read_repeated("N", 2000000), TRK_E_FORMAT, "more than 1048576 values");
    assert_fails(read_repeated("(", 2000000), TRK_E_FORMAT, "more than 1048576 marks");
    assert_fails(read_repeated("N2222222222222222222222222222222", 100000), TRK_E_FORMAT, "deeper than 1048576");
    assert_fails(read_repeated("0", 20000000), TRK_E_FORMAT, "expected at most 16777216");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_scalars),
        cmocka_unit_test(reads_collections_and_memo),
        cmocka_unit_test(reads_protocol_4_names),
        cmocka_unit_test(reads_tensors),
        cmocka_unit_test(ignores_attributes_of_a_dict),
        cmocka_unit_test(a_mark_may_be_the_first),
        cmocka_unit_test(a_list_may_hold_itself),
        cmocka_unit_test(runs_nothing),
        cmocka_unit_test(calls_are_checked),
        cmocka_unit_test(tensor_arguments_are_checked),
        cmocka_unit_test(the_stack_is_guarded),
        cmocka_unit_test(the_memo_is_guarded),
        cmocka_unit_test(lengths_are_guarded),
        cmocka_unit_test(numbers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
