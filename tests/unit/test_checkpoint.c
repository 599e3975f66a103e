/* SPDX-License-Identifier: Apache-2.0
 * Both containers and both naming schemes through trk_checkpoint_open: what they give, and how bad files end. */
#include <sys/stat.h>

#include "checkpoint_files.h"

#include "checkpoint.h"
#include "hf_names.h"

/* --- safetensors --------------------------------------------------------------------------------------------- */

static trk_status open_safetensors(const char *header, size_t data_bytes)
{
    trk_checkpoint *c = NULL;
    trk_status rc = trk_checkpoint_open(&c, write_safetensors("x.safetensors", header, strlen(header), data_bytes));
    if (rc < 0)
        assert_null(c);
    trk_checkpoint_close(&c);
    return rc;
}

static void safetensors_gives_tensors(void **state)
{
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\",\"architecture\":\"{}\"},"
                                 "\"half\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[12,16]},"
                                 "\"brain\":{\"dtype\":\"BF16\",\"shape\":[2,1],\"data_offsets\":[16,20]},"
                                 "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                                 "\"empty\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[4,4]},"
                                 "\"pair\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[4,12]}}   ";
    bytes b = {0};
    add_uint(&b, sizeof header - 1, 8);
    add_text(&b, header);
    add_f32(&b, 1.5f);
    add_f32(&b, -2);
    add_f32(&b, 1e30f);
    add_uint(&b, 0x3c00, 2); /* 1 */
    add_uint(&b, 0x0001, 2); /* smallest subnormal of float16 */
    add_uint(&b, 0x3f80, 2); /* 1 */
    add_uint(&b, 0xc040, 2); /* -3 */
    trk_checkpoint *c = NULL;
    float values[2];
    assert_works(trk_checkpoint_open(&c, write_file("good.safetensors", b.data, b.n)));
    assert_int_equal(trk_checkpoint_count(c), 5);
    assert_string_equal(trk_checkpoint_container(c), "safetensors");
    assert_string_equal(trk_checkpoint_naming(c), "official");
    assert_string_equal(trk_checkpoint_metadata(c)->architecture, "{}");
    assert_string_equal(trk_checkpoint_at(c, 0)->name, "brain");
    assert_string_equal(trk_checkpoint_at(c, 4)->name, "scalar");
    assert_null(trk_checkpoint_find(c, "nothing"));
    assert_int_equal(trk_checkpoint_find(c, "scalar")->n_dims, 0);
    assert_int_equal(trk_checkpoint_find(c, "empty")->n_elements, 0);
    trk_tensor_to_f32(trk_checkpoint_find(c, "pair"), values);
    assert_true(values[0] == -2 && values[1] == 1e30f);
    trk_tensor_to_f32(trk_checkpoint_find(c, "half"), values);
    assert_true(values[0] == 1 && values[1] == 0x1p-24f);
    trk_tensor_to_f32(trk_checkpoint_find(c, "brain"), values);
    assert_true(values[0] == 1 && values[1] == -3);
    assert_int_equal(trk_checkpoint_find(c, "brain")->dims[1], 1);
    trk_checkpoint_close(&c);
    trk_checkpoint_close(&c);
    clear(&b);
}

#define T(name, dtype, shape, offsets)                                                                                 \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void safetensors_headers_are_not_believed(void **state)
{
    static const struct {
        const char *header, *text;
        size_t data_bytes;
    } cases[] = {
        {"{\"a\":", "not valid JSON", 0},
        {"{} x", "not valid JSON", 0},
        {"{" T("a", "F32", "[1]", "[0,4]") "," T("a", "F32", "[1]", "[4,8]") "}", "not valid JSON", 8},
        {"{\"a\":7}", "tensor \"a\": is not described by an object", 0},
        {"{\"a\":{}}", "no dtype", 0},
        {"{" T("a", "I64", "[1]", "[0,8]") "}", "tensor \"a\": has dtype I64", 8},
        {"{" T("a", "f32", "[1]", "[0,4]") "}", "has dtype f32", 4},
        {"{" T("a", "F32", "7", "[0,4]") "}", "no shape", 4},
        {"{" T("a", "F32", "[1.5]", "[0,4]") "}", "not a whole number", 4},
        {"{" T("a", "F32", "[-1]", "[0,4]") "}", "dimension 0 is -1", 4},
        {"{" T("a", "F32", "[-1,-1]", "[0,4]") "}", "dimension 0 is -1", 4},
        {"{" T("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", "has 9 dimensions", 4},
        {"{" T("a", "F32", "[4294967296,4294967296]", "[0,0]") "}", "overflows", 0},
        {"{" T("a", "F32", "[4611686018427387904]", "[0,0]") "}", "overflows", 0},
        {"{" T("a", "F32", "[99999999999999999999]", "[0,4]") "}", "not valid JSON", 4},
        {"{" T("a", "F32", "[1]", "[0]") "}", "no pair of data_offsets", 4},
        {"{" T("a", "F32", "[1]", "[0,\"4\"]") "}", "no pair of data_offsets", 4},
        {"{" T("a", "F32", "[1]", "[0,8]") "}", "do not lie within the 4 bytes", 4},
        {"{" T("a", "F32", "[1]", "[4,0]") "}", "do not lie within", 4},
        {"{" T("a", "F32", "[1]", "[-4,0]") "}", "do not lie within", 4},
        {"{" T("a", "F32", "[2]", "[0,4]") "}", "has 4 bytes, its shape [2] needs 8", 4},
        {"{" T("a", "F32", "[2]", "[0,8]") "," T("b", "F32", "[2]", "[4,12]") "}", "overlap at data byte 4", 12},
        {"{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[1]", "[8,12]") "}", "data bytes 4 to 8 before \"b\"",
         12},
        {"{" T("a", "F32", "[1]", "[0,4]") "}", "3 bytes after the last tensor", 7},
        {"{" T("", "F32", "[1]", "[0,4]") "}", "tensor name of 0 bytes", 4},
        {"{" T("a\\nb", "F32", "[1]", "[0,4]") "}", "control character 0x0a", 4},
        {"{\"a\\nb\":3}", "tensor \"a?b\"", 0},
        {"{\"__metadata__\":3}", "__metadata__ is not an object", 0},
        {"{\"__metadata__\":{\"architecture\":{}}}", "architecture is not a string", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(open_safetensors(cases[i].header, cases[i].data_bytes), TRK_E_FORMAT, cases[i].text);
    assert_fails(open_safetensors(cases[5].header, 8), TRK_E_FORMAT, "x.safetensors: tensor \"a\"");
}

static void safetensors_header_length_is_checked(void **state)
{
    trk_checkpoint *c = NULL;
    static const uint64_t lengths[] = {3, 1 << 20, UINT64_MAX, UINT64_MAX - 8};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        assert_fails(trk_checkpoint_open(&c, write_safetensors("l.safetensors", "{}", lengths[i], 0)), TRK_E_FORMAT,
                     "truncated or damaged");
    const char *path = write_safetensors("l.safetensors", "{}", (4 << 20) + 1, 5 << 20);
    assert_fails(trk_checkpoint_open(&c, path), TRK_E_FORMAT,
                 "a safetensors header of 4194305 bytes, expected at most 4194304");
    char padded[641] = "{}"; /* a length that begins as a pickle does: 80 02 */
    memset(padded + 2, ' ', 638);
    assert_works(trk_checkpoint_open(&c, write_safetensors("l.safetensors", padded, 640, 0)));
    trk_checkpoint_close(&c);
    assert_works(trk_checkpoint_open(&c, write_safetensors("l.safetensors", "{}", 2, 0)));
    assert_int_equal(trk_checkpoint_count(c), 0);
    assert_null(trk_checkpoint_find(c, "a"));
    trk_checkpoint_close(&c);
}

static void other_files_are_refused(void **state)
{
    static const uint8_t legacy[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    trk_checkpoint *c = NULL;
    assert_fails(trk_checkpoint_open(&c, in_directory("nothing.pt")), TRK_E_IO,
                 "nothing.pt: cannot open: No such file");
    assert_fails(trk_checkpoint_open(&c, temporary_directory), TRK_E_IO, "not a regular file");
    assert_int_equal(mkfifo(in_directory("pipe"), 0600), 0); /* which nobody writes */
    assert_fails(trk_checkpoint_open(&c, in_directory("pipe")), TRK_E_IO, "not a regular file");
    assert_fails(trk_checkpoint_open(&c, write_file("empty.pt", "", 0)), TRK_E_FORMAT, "is empty");
    assert_fails(trk_checkpoint_open(&c, write_file("p.pt", "P", 1)), TRK_E_FORMAT, "neither");
    assert_fails(trk_checkpoint_open(&c, write_file("text.pt", "hello, this is text\n", 20)), TRK_E_FORMAT, "neither");
    assert_fails(trk_checkpoint_open(&c, write_file("old.pt", legacy, sizeof legacy - 1)), TRK_E_FORMAT, "before 1.6");
    assert_null(c);
}

/* --- .pt ----------------------------------------------------------------------------------------------------- */

/* {"model": {"a": first, "b": second}}, or without "model". */
static bytes state_dict(int nested, const tensor_spec *first, const tensor_spec *second)
{
    bytes b = {0};
    start_pickle(&b, 2);
    add_text(&b, "}");
    if (nested) {
        add_string(&b, "epoch");
        add_int(&b, 3);
        add_text(&b, "s");
        add_string(&b, "model");
        add_text(&b, "ccollections\nOrderedDict\n)R");
    }
    add_text(&b, "(");
    add_string(&b, "b");
    add_tensor(&b, first);
    if (second) {
        add_string(&b, "a");
        add_tensor(&b, second);
    }
    add_text(&b, "u");
    add_text(&b, nested ? "s." : ".");
    return b;
}

static trk_status open_pt(trk_checkpoint **c, int nested, const tensor_spec *first, const tensor_spec *second,
                          const bytes *storage, const char *byte_order)
{
    bytes pickle = state_dict(nested, first, second), order = {0}, version = {0};
    add_text(&order, byte_order ? byte_order : "");
    add_text(&version, "3\n");
    zip_entry entries[] = {{"run/data.pkl", &pickle, 0},
                           {"run/data/0", storage, 0},
                           {"run/version", &version, 0},
                           {"run/byteorder", &order, 0}};
    trk_status rc = trk_checkpoint_open(c, write_zip("x.pt", entries, byte_order ? 4 : 3));
    clear(&pickle);
    clear(&order);
    clear(&version);
    return rc;
}

static bytes six_floats(void)
{
    bytes b = {0};
    for (int i = 0; i < 6; i++)
        add_f32(&b, (float)i);
    return b;
}

static void pt_gives_tensors(void **state)
{
    static const tensor_spec whole = {"FloatStorage", "0", 6, 0, 3, {1, 2, 3}, {77, 3, 1}};
    static const tensor_spec part = {"FloatStorage", "0", 6, 2, 1, {4}, {1}};
    bytes storage = six_floats();
    for (int nested = 0; nested < 2; nested++) {
        trk_checkpoint *c = NULL;
        float values[6];
        assert_works(open_pt(&c, nested, &whole, &part, &storage, nested ? "little" : NULL));
        assert_string_equal(trk_checkpoint_container(c), "pt");
        assert_string_equal(trk_checkpoint_naming(c), "official");
        assert_null(trk_checkpoint_metadata(c)->architecture);
        assert_int_equal(trk_checkpoint_count(c), 2);
        assert_string_equal(trk_checkpoint_at(c, 0)->name, "a");
        trk_tensor_to_f32(trk_checkpoint_find(c, "a"), values);
        for (int i = 0; i < 4; i++)
            assert_true(values[i] == (float)(i + 2));
        trk_tensor_to_f32(trk_checkpoint_find(c, "b"), values);
        assert_memory_equal(values, storage.data, 24);
        assert_int_equal(trk_checkpoint_find(c, "b")->dims[2], 3);
        /* one storage, two views of it */
        assert_ptr_equal(trk_checkpoint_find(c, "a")->data, (const char *)trk_checkpoint_find(c, "b")->data + 8);
        trk_checkpoint_close(&c);
    }
    clear(&storage);
}

static void pt_tensors_are_not_believed(void **state)
{
    static const struct {
        tensor_spec spec;
        const char *text;
    } cases[] = {
        {{"LongStorage", "0", 3, 0, 1, {3}, {1}}, "tensor \"b\": has dtype int64"},
        {{"FloatStorage", "0", 6, 0, 2, {3, 2}, {1, 3}}, "tensor \"b\": of shape [3, 2] has strides [1, 3]"},
        {{"FloatStorage", "0", 6, 0, 1, {6}, {0}}, "has strides [0]"},
        {{"FloatStorage", "0", 6, 0, 1, {7}, {1}}, "needs elements 0 to 0 + 7 of a storage of 6"},
        {{"FloatStorage", "0", 6, 5, 1, {2}, {1}}, "needs elements 5 to 5 + 2"},
        {{"FloatStorage", "0", 6, INT64_MAX, 1, {1}, {1}}, "of a storage of 6"},
        {{"FloatStorage", "0", 6, 0, 1, {-6}, {1}}, "dimension 0 is -6"},
        {{"FloatStorage", "0", 6, 0, 2, {INT64_MAX, 4}, {4, 1}}, "overflows"},
        {{"FloatStorage", "0", 7, 0, 1, {6}, {1}}, "storage \"0\" has 24 bytes, expected 7 elements"},
        {{"HalfStorage", "0", 6, 0, 1, {6}, {1}}, "expected 6 elements of float16"},
        {{"FloatStorage", "0", INT64_MAX, 0, 1, {6}, {1}}, "has 24 bytes"},
        {{"FloatStorage", "1", 6, 0, 1, {6}, {1}}, "storage \"1\" is not in the archive"},
        {{"FloatStorage", "../data.pkl", 6, 0, 1, {6}, {1}}, "is not in the archive"},
        {{"FloatStorage", "", 6, 0, 1, {6}, {1}}, "is not in the archive"},
    };
    bytes storage = six_floats();
    trk_checkpoint *c = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(open_pt(&c, 1, &cases[i].spec, NULL, &storage, NULL), TRK_E_FORMAT, cases[i].text);
    assert_fails(open_pt(&c, 1, &cases[7].spec, NULL, &storage, "big"), TRK_E_FORMAT, "big-endian");
    clear(&storage);
}

static trk_status open_pickle(const char *text, size_t n, const char *entry, int compressed)
{
    bytes pickle = {0};
    trk_checkpoint *c = NULL;
    start_pickle(&pickle, 2);
    add(&pickle, text, n);
    zip_entry entries[] = {{entry, &pickle, compressed}};
    trk_status rc = trk_checkpoint_open(&c, write_zip("y.pt", entries, 1));
    assert_null(c);
    clear(&pickle);
    return rc;
}

#define OPEN_PICKLE(literal) open_pickle(literal, sizeof(literal) - 1, "y/data.pkl", 0)

static void pt_containers_are_checked(void **state)
{
    assert_fails(OPEN_PICKLE("cos\nsystem\n."), TRK_E_FORMAT,
                 "y.pt: data.pkl: pickle byte 2: refuses to run \"os.system\"");
    assert_fails(OPEN_PICKLE("K\x01."), TRK_E_FORMAT, "holds a whole number, expected a dict of tensors");
    assert_fails(OPEN_PICKLE("}."), TRK_E_FORMAT, "an empty dict");
    assert_fails(OPEN_PICKLE("}K\x01K\x01s."), TRK_E_FORMAT, "named by a whole number");
    assert_fails(OPEN_PICKLE("}X\x01\x00\x00\x00xK\x01s."), TRK_E_FORMAT, "tensor \"x\": is a whole number");
    assert_fails(open_pickle("}.", 2, "y/other.pkl", 0), TRK_E_FORMAT, "without an entry \"<name>/data.pkl\"");
    assert_fails(open_pickle("}.", 2, "data.pkl", 0), TRK_E_FORMAT, "without an entry");
    char zeros[1000] = {0};
    assert_fails(open_pickle(zeros, sizeof zeros, "y/data.pkl", 1), TRK_E_FORMAT, "is compressed");

    bytes pickle = {0};
    trk_checkpoint *c = NULL;
    start_pickle(&pickle, 2);
    add_text(&pickle, "}.");
    zip_entry twice[] = {{"a/data.pkl", &pickle, 0}, {"b/data.pkl", &pickle, 0}};
    assert_fails(trk_checkpoint_open(&c, write_zip("y.pt", twice, 2)), TRK_E_FORMAT, "more than one zip entry");
    clear(&pickle);
}

static void pt_damage_is_found(void **state)
{
    static const tensor_spec spec = {"FloatStorage", "0", 6, 0, 1, {6}, {1}};
    bytes storage = six_floats();
    trk_checkpoint *c = NULL;
    assert_works(open_pt(&c, 1, &spec, NULL, &storage, NULL));
    trk_checkpoint_close(&c);
    bytes file = read_whole_file(in_directory("x.pt"));
    for (size_t n = 4; n < file.n; n += 7)
        assert_fails(trk_checkpoint_open(&c, write_file("cut.pt", file.data, n)), TRK_E_FORMAT, "truncated or damaged");
    uint8_t *stored = memmem(file.data, file.n, storage.data, storage.n);
    assert_non_null(stored);
    stored[5] ^= 1;
    assert_fails(trk_checkpoint_open(&c, write_file("flip.pt", file.data, file.n)), TRK_E_FORMAT,
                 "zip entry \"0\" cannot be read");
    clear(&file);
    clear(&storage);
}

/* The central directory claims sizes that the file cannot hold. */
static void pt_claimed_sizes_are_checked(void **state)
{
    static const tensor_spec spec = {"FloatStorage", "0", 268435456, 0, 1, {268435456}, {1}};
    bytes storage = six_floats();
    trk_checkpoint *c = NULL;
    assert_fails(open_pt(&c, 1, &spec, NULL, &storage, NULL), TRK_E_FORMAT, "has 24 bytes");
    bytes file = read_whole_file(in_directory("x.pt"));
    const uint8_t claimed[8] = {0, 0, 0, 0x40, 0, 0, 0, 0x40}; /* 1 GiB, stored and unpacked */
    int n_patched = 0;
    for (size_t i = 0; i + 46 < file.n; i++) {
        int central = memcmp(file.data + i, "PK\1\2", 4) == 0, local = memcmp(file.data + i, "PK\3\4", 4) == 0;
        const uint8_t *name = file.data + i + (central ? 46 : 30);
        if ((central || local) && memcmp(name, "run/data/0", 10) == 0) {
            memcpy(file.data + i + (central ? 20 : 18), claimed, sizeof claimed);
            n_patched++;
        }
    }
    assert_int_equal(n_patched, 2);
    assert_fails(trk_checkpoint_open(&c, write_file("bomb.pt", file.data, file.n)), TRK_E_FORMAT,
                 "claims 1073741824 bytes");
    clear(&file);
    clear(&storage);
}

/* --- names --------------------------------------------------------------------------------------------------- */

static void hugging_face_names_are_known(void **state)
{
    static const char *const pairs[][2] = {
        {"memory_temporal_positional_encoding", "maskmem_tpos_enc"},
        {"no_object_pointer", "no_obj_ptr"},
        {"occlusion_spatial_embedding_parameter", "no_obj_embed_spatial"},
        {"temporal_positional_encoding_projection_layer.bias", "obj_ptr_tpos_proj.bias"},
        {"object_pointer_proj.layers.0.weight", "obj_ptr_proj.layers.1.weight"},
        {"object_pointer_proj.proj_out.weight", "obj_ptr_proj.layers.2.weight"},
        {"vision_encoder.backbone.pos_embed_window", "image_encoder.trunk.pos_embed_window"},
        {"vision_encoder.backbone.patch_embed.projection.bias", "image_encoder.trunk.patch_embed.proj.bias"},
        {"vision_encoder.backbone.blocks.43.layer_norm2.bias", "image_encoder.trunk.blocks.43.norm2.bias"},
        {"vision_encoder.backbone.blocks.7.mlp.proj_out.weight", "image_encoder.trunk.blocks.7.mlp.layers.1.weight"},
        {"vision_encoder.backbone.blocks.10.proj.weight", "image_encoder.trunk.blocks.10.proj.weight"},
        {"vision_encoder.backbone.blocks.10.attn.proj.weight", "image_encoder.trunk.blocks.10.attn.proj.weight"},
        {"vision_encoder.neck.convs.3.weight", "image_encoder.neck.convs.3.conv.weight"},
        {"memory_attention.layers.2.cross_attn_image.o_proj.bias",
         "memory_attention.layers.2.cross_attn_image.out_proj.bias"},
        {"memory_attention.layers.2.linear1.bias", "memory_attention.layers.2.linear1.bias"},
        {"memory_attention.layer_norm.weight", "memory_attention.norm.weight"},
        {"memory_encoder.mask_downsampler.layers.3.layer_norm.bias", "memory_encoder.mask_downsampler.encoder.10.bias"},
        {"memory_encoder.mask_downsampler.final_conv.bias", "memory_encoder.mask_downsampler.encoder.12.bias"},
        {"memory_encoder.memory_fuser.layers.1.scale", "memory_encoder.fuser.layers.1.gamma"},
        {"memory_encoder.memory_fuser.layers.0.pointwise_conv2.bias", "memory_encoder.fuser.layers.0.pwconv2.bias"},
        {"shared_image_embedding.positional_embedding",
         "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"},
        {"prompt_encoder.mask_embed.layer_norm2.weight", "sam_prompt_encoder.mask_downscaling.4.weight"},
        {"mask_decoder.transformer.layers.1.layer_norm4.bias", "sam_mask_decoder.transformer.layers.1.norm4.bias"},
        {"mask_decoder.transformer.layers.0.cross_attn_image_to_token.o_proj.weight",
         "sam_mask_decoder.transformer.layers.0.cross_attn_image_to_token.out_proj.weight"},
        {"mask_decoder.transformer.final_attn_token_to_image.q_proj.weight",
         "sam_mask_decoder.transformer.final_attn_token_to_image.q_proj.weight"},
        {"mask_decoder.upscale_conv2.weight", "sam_mask_decoder.output_upscaling.3.weight"},
        {"mask_decoder.output_hypernetworks_mlps.2.layers.0.bias",
         "sam_mask_decoder.output_hypernetworks_mlps.2.layers.1.bias"},
        {"mask_decoder.pred_obj_score_head.proj_in.weight", "sam_mask_decoder.pred_obj_score_head.layers.0.weight"},
    };
    char official[256];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_int_equal(trk_hf_name_to_official(official, sizeof official, pairs[i][0]), 1);
        assert_string_equal(official, pairs[i][1]);
    }
    static const char *const unknown[] = {"", "vision_encoder.neck.convs.x.weight", "mask_decoder.conv_s0.",
                                          "no_object_pointers",
                                          "vision_encoder.backbone.blocks.1234567890.proj.weight"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_int_equal(trk_hf_name_to_official(official, sizeof official, unknown[i]), 0);
    assert_int_equal(trk_hf_name_to_official(official, 10, pairs[0][0]), 0);
}

/* header fragments with one float per element, offsets running */
typedef struct header {
    bytes text;
    size_t n_bytes;
} header;

static void add_entry(header *h, const char *name, const char *shape, size_t n)
{
    char entry[400];
    snprintf(entry, sizeof entry, "%c\"%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
             h->text.n ? ',' : '{', name, shape, h->n_bytes, h->n_bytes + 4 * n);
    add_text(&h->text, entry);
    h->n_bytes += 4 * n;
}

/* Element i of the data is i, but for those that `same` says repeat the first. */
static trk_status open_header(trk_checkpoint **c, header *h, size_t repeat_from)
{
    bytes file = {0};
    add_text(&h->text, "}");
    add_uint(&file, h->text.n, 8);
    add(&file, h->text.data, h->text.n);
    for (size_t i = 0; i < h->n_bytes / 4; i++)
        add_f32(&file, (float)(i < repeat_from ? i : i - repeat_from));
    trk_status rc = trk_checkpoint_open(c, write_file("hf.safetensors", file.data, file.n));
    clear(&file);
    clear(&h->text);
    return rc;
}

static void hugging_face_files_get_official_names(void **state)
{
    for (int prefixed = 0; prefixed < 2; prefixed++) {
        header h = {0};
        const char *const p = prefixed ? "model." : "";
        char name[128];
#define ADD(hf, shape, n) (snprintf(name, sizeof name, "%s%s", p, hf), add_entry(&h, name, shape, n))
        ADD("prompt_encoder.shared_embedding.positional_embedding", "[2,1]", 2);
        ADD("vision_encoder.backbone.pos_embed", "[1]", 1);
        ADD("prompt_encoder.point_embed.weight", "[4,2]", 8);
        ADD("something.new", "[1]", 1);
        if (prefixed)
            ADD("shared_image_embedding.positional_embedding", "[2,1]", 2);
#undef ADD
        trk_checkpoint *c = NULL;
        assert_works(open_header(&c, &h, 12));
        assert_string_equal(trk_checkpoint_naming(c), "huggingface");
        assert_int_equal(trk_checkpoint_count(c), 7);
        assert_non_null(trk_checkpoint_find(c, "image_encoder.trunk.pos_embed"));
        assert_non_null(trk_checkpoint_find(c, prefixed ? "model.something.new" : "something.new"));
        assert_non_null(trk_checkpoint_find(c, "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"));
        for (int row = 0; row < 4; row++) {
            float values[2];
            snprintf(name, sizeof name, "sam_prompt_encoder.point_embeddings.%d.weight", row);
            const trk_tensor *tensor = trk_checkpoint_find(c, name);
            assert_non_null(tensor);
            assert_int_equal(tensor->n_dims, 2);
            assert_int_equal(tensor->dims[0], 1);
            assert_int_equal(tensor->n_elements, 2);
            trk_tensor_to_f32(tensor, values);
            assert_true(values[0] == (float)(3 + 2 * row) && values[1] == (float)(4 + 2 * row));
        }
        trk_checkpoint_close(&c);
    }
}

static void hugging_face_conflicts_are_found(void **state)
{
    header differ = {0}, twice = {0}, odd = {0};
    trk_checkpoint *c = NULL;
    add_entry(&differ, "vision_encoder.backbone.pos_embed", "[1]", 1);
    add_entry(&differ, "prompt_encoder.shared_embedding.positional_embedding", "[2,1]", 2);
    add_entry(&differ, "shared_image_embedding.positional_embedding", "[2,1]", 2);
    assert_fails(open_header(&c, &differ, 100), TRK_E_FORMAT, "differ, expected one matrix");
    add_entry(&twice, "vision_encoder.backbone.pos_embed", "[1]", 1);
    add_entry(&twice, "image_encoder.trunk.pos_embed", "[1]", 1);
    assert_fails(open_header(&c, &twice, 100), TRK_E_FORMAT, "\"image_encoder.trunk.pos_embed\" is there twice");
    add_entry(&odd, "vision_encoder.backbone.pos_embed", "[1]", 1);
    add_entry(&odd, "prompt_encoder.point_embed.weight", "[3,2]", 6);
    assert_works(open_header(&c, &odd, 100)); /* left for trk_arch_verify to name */
    assert_non_null(trk_checkpoint_find(c, "prompt_encoder.point_embed.weight"));
    trk_checkpoint_close(&c);
}

/* --- the shipped model --------------------------------------------------------------------------------------- */

/* A .pt of a checkpoint's tensors, each in a storage of its own, as torch.save writes a state_dict. */
static const char *write_as_pt(const trk_checkpoint *c, const char *name)
{
    size_t n = trk_checkpoint_count(c);
    bytes pickle = {0}, *storages = calloc(n, sizeof *storages);
    zip_entry *entries = calloc(n + 1, sizeof *entries);
    char(*names)[32] = calloc(n, sizeof *names);
    assert_true(storages && entries && names);
    start_pickle(&pickle, 2);
    add_text(&pickle, "}(");
    for (size_t i = 0; i < n; i++) {
        const trk_tensor *x = trk_checkpoint_at(c, i);
        snprintf(names[i], sizeof names[i], "demo/data/%zu", i);
        tensor_spec spec = {.storage = "HalfStorage",
                            .key = names[i] + strlen("demo/data/"),
                            .n_stored = (int64_t)x->n_elements,
                            .n_dims = x->n_dims};
        assert_int_equal(x->dtype, TRK_F16);
        int64_t stride = 1;
        for (int d = x->n_dims - 1; d >= 0; d--) {
            spec.dims[d] = x->dims[d];
            spec.strides[d] = stride;
            stride *= x->dims[d];
        }
        add_string(&pickle, x->name);
        add_tensor(&pickle, &spec);
        add(&storages[i], x->data, x->n_elements * trk_dtype_bytes(x->dtype));
        entries[i + 1] = (zip_entry){names[i], &storages[i], 0};
    }
    add_text(&pickle, "u.");
    entries[0] = (zip_entry){"demo/data.pkl", &pickle, 0};
    const char *path = write_zip(name, entries, (int)n + 1);
    for (size_t i = 0; i < n; i++)
        clear(&storages[i]);
    clear(&pickle);
    free(storages);
    free(entries);
    free(names);
    return path;
}

static void both_containers_of_the_demo_model_agree(void **state)
{
    trk_checkpoint *a = NULL, *b = NULL;
    assert_works(trk_checkpoint_open(&b, TRK_SAMPLES_DIR "/models/demo-m.safetensors"));
    assert_non_null(trk_checkpoint_metadata(b)->architecture);
    assert_works(trk_checkpoint_open(&a, write_as_pt(b, "demo.pt")));
    assert_string_equal(trk_checkpoint_container(a), "pt");
    assert_true(trk_checkpoint_count(a) > 300);
    assert_int_equal(trk_checkpoint_count(a), trk_checkpoint_count(b));
    for (size_t i = 0; i < trk_checkpoint_count(a); i++) {
        const trk_tensor *x = trk_checkpoint_at(a, i), *y = trk_checkpoint_at(b, i);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->n_dims, y->n_dims);
        assert_memory_equal(x->dims, y->dims, sizeof x->dims);
        assert_memory_equal(x->data, y->data, x->n_elements * trk_dtype_bytes(x->dtype));
    }
    trk_checkpoint_close(&a);
    trk_checkpoint_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_gives_tensors),
        cmocka_unit_test(safetensors_headers_are_not_believed),
        cmocka_unit_test(safetensors_header_length_is_checked),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(pt_gives_tensors),
        cmocka_unit_test(pt_tensors_are_not_believed),
        cmocka_unit_test(pt_containers_are_checked),
        cmocka_unit_test(pt_damage_is_found),
        cmocka_unit_test(pt_claimed_sizes_are_checked),
        cmocka_unit_test(hugging_face_names_are_known),
        cmocka_unit_test(hugging_face_files_get_official_names),
        cmocka_unit_test(hugging_face_conflicts_are_found),
        cmocka_unit_test(both_containers_of_the_demo_model_agree),
    };
    return cmocka_run_group_tests(tests, make_temporary_directory, remove_temporary_directory);
}
