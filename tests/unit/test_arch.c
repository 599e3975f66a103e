/* SPDX-License-Identifier: Apache-2.0
 * Telling the architecture: the official sizes to the last tensor, custom models by their description, contradictions,
 * absurd numbers, image sizes, and the text about a model. Models are headers before holes: no weights are needed. */
#include "checkpoint_files.h"

#include "arch.h"
#include "describe.h"
#include "heap.h"

/* Edits of a complete inventory on its way into a file. */
typedef struct edits {
    const char *leave_out; /* name or beginning of names */
    const char *reshape;   /* this tensor gets */
    int dim;               /* in this dimension */
    long long size;        /* this size */
    const char *extra;     /* this one is added, [3] */
    const char *metadata;  /* architecture JSON, quotes escaped already; NULL: none */
    void (*rename)(char *out, const char *name);
} edits;

typedef struct writer {
    bytes header;
    size_t n_bytes;
    const edits *edits;
} writer;

static void write_entry(writer *w, const char *name, int n_dims, const int64_t *dims)
{
    char text[512];
    size_t n = 4;
    int used = snprintf(text, sizeof text, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", name);
    for (int i = 0; i < n_dims; i++) {
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%lld", i ? "," : "", (long long)dims[i]);
        n *= (size_t)dims[i];
    }
    snprintf(text + used, sizeof text - (size_t)used, "],\"data_offsets\":[%zu,%zu]}", w->n_bytes, w->n_bytes + n);
    add_text(&w->header, text);
    w->n_bytes += n;
}

static trk_status write_one(void *user, const char *name, int n_dims, const int64_t *dims)
{
    writer *w = user;
    const edits *e = w->edits;
    char renamed[256];
    int64_t changed[TRK_TENSOR_MAX_DIMS];
    if (e->leave_out && strncmp(name, e->leave_out, strlen(e->leave_out)) == 0)
        return TRK_OK;
    memcpy(changed, dims, (size_t)n_dims * sizeof *dims);
    if (e->reshape && strcmp(name, e->reshape) == 0)
        changed[e->dim] = e->size;
    snprintf(renamed, sizeof renamed, "%s", name);
    if (e->rename)
        e->rename(renamed, name);
    if (renamed[0])
        write_entry(w, renamed, n_dims, changed);
    return TRK_OK;
}

/* A file of the architecture's inventory with the edits made. */
static const char *write_model(const char *file, const trk_arch *arch, const edits *e)
{
    static const int64_t three[1] = {3};
    writer w = {.edits = e};
    add_text(&w.header, "{\"__metadata__\":{\"format\":\"pt\"");
    if (e->metadata) {
        add_text(&w.header, ",\"architecture\":\"");
        for (const char *c = e->metadata; *c; c++)
            *c == '"' ? add_text(&w.header, "\\\"") : add(&w.header, c, 1);
        add_text(&w.header, "\"");
    }
    add_text(&w.header, "}");
    assert_works(trk_arch_inventory(arch, write_one, &w));
    if (e->rename) {
        static const int64_t points[2] = {4, 256}, fourier[2] = {2, 128};
        write_entry(&w, "prompt_encoder.point_embed.weight", 2, points);
        write_entry(&w, "shared_image_embedding.positional_embedding", 2, fourier);
    }
    if (e->extra)
        write_entry(&w, e->extra, 1, three);
    add(&w.header, "}", 2);
    const char *path = write_safetensors(file, (const char *)w.header.data, w.header.n - 1, w.n_bytes);
    clear(&w.header);
    return path;
}

/* Detects and verifies. */
static trk_status detect(trk_arch *out, const char *path, const char *json)
{
    trk_checkpoint *c = NULL;
    assert_works(trk_checkpoint_open(&c, path));
    const char *given = json ? write_file("given.json", json, strlen(json)) : NULL;
    trk_status rc = trk_arch_detect(out, c, given, given ? NULL : path);
    if (rc == TRK_OK)
        rc = trk_arch_verify(out, c);
    trk_checkpoint_close(&c);
    return rc;
}

static trk_status detect_edited(const trk_arch *arch, const edits *e, const char *json)
{
    trk_arch found;
    return detect(&found, write_model("edited.safetensors", arch, e), json);
}

/* --- official sizes ------------------------------------------------------------------------------------------ */

static const char *const families[2] = {"sam2", "sam2.1"};
static const char *const size_names[4] = {"tiny", "small", "base+", "large"};

typedef struct totals {
    size_t tensors, parameters;
} totals;

static trk_status count(void *user, const char *name, int n_dims, const int64_t *dims)
{
    totals *t = user;
    size_t n = 1;
    for (int i = 0; i < n_dims; i++)
        n *= (size_t)dims[i];
    t->tensors++;
    if (!strstr(name, "gaussian_matrix")) /* a buffer */
        t->parameters += n;
    return TRK_OK;
}

static void official_inventories_have_the_published_counts(void **state)
{
    static const size_t tensors[4] = {468, 516, 612, 900};
    static const size_t parameters[4] = {38945986, 46043842, 80833666, 224430130};
    for (int size = 0; size < 4; size++)
        for (int family = 0; family < 2; family++) {
            trk_arch arch;
            totals t = {0, 0};
            assert_works(trk_arch_official(&arch, families[family], size_names[size]));
            assert_works(trk_arch_inventory(&arch, count, &t));
            assert_int_equal(t.tensors, tensors[size] + (family ? 3 : 0));
            assert_int_equal(t.parameters, parameters[size] + (family ? 64 + 64 * 256 + 64 : 0));
        }
    trk_arch arch;
    assert_fails(trk_arch_official(&arch, "sam3", "tiny"), TRK_E_ARGUMENT, "\"sam3\"");
    assert_fails(trk_arch_official(&arch, "sam2", "huge"), TRK_E_ARGUMENT, "\"huge\"");
}

static void official_models_are_told_by_their_tensors(void **state)
{
    for (int size = 0; size < 4; size++)
        for (int family = 0; family < 2; family++) {
            trk_arch expected, found;
            edits none = {0};
            assert_works(trk_arch_official(&expected, families[family], size_names[size]));
            assert_works(detect(&found, write_model("official.safetensors", &expected, &none), NULL));
            assert_string_equal(found.family, families[family]);
            assert_string_equal(found.size_name, size_names[size]);
            assert_int_equal(found.image_size, 1024);
            assert_memory_equal(found.stages, expected.stages, sizeof found.stages);
            assert_memory_equal(found.is_global, expected.is_global, sizeof found.is_global);
            assert_int_equal(found.n_blocks, expected.n_blocks);
        }
}

static void the_table_agrees_with_the_paper(void **state)
{
    trk_arch arch;
    assert_works(trk_arch_official(&arch, "sam2.1", "base+"));
    assert_int_equal(arch.num_heads, 2);
    assert_int_equal(arch.bkg_size, 14);
    assert_int_equal(arch.n_blocks, 24);
    assert_true(arch.is_global[12] && arch.is_global[16] && arch.is_global[20] && !arch.is_global[13]);
    assert_works(trk_arch_official(&arch, "sam2", "large"));
    static const int windows[4] = {8, 4, 16, 8}, top_down[4] = {0, 0, 1, 0};
    assert_memory_equal(arch.window_spec, windows, sizeof windows);
    assert_memory_equal(arch.top_down, top_down, sizeof top_down);
    assert_int_equal(arch.is_21, 0);
    assert_int_equal(arch.n_blocks, 48);
}

static void broken_official_models_are_named(void **state)
{
    static const struct {
        edits edits;
        const char *text;
    } cases[] = {
        {{.leave_out = "no_obj_ptr"}, "tensor \"no_obj_ptr\" [1, 256] is missing"},
        {{.leave_out = "memory_attention."}, "more tensors are missing"},
        {{.leave_out = "image_encoder.trunk.blocks.3.norm2"}, "blocks.3.norm2.weight\" [384] is missing; 1 more"},
        {{.leave_out = "image_encoder.trunk.patch_embed"}, "not a SAM 2 model"},
        {{.leave_out = "no_obj_embed_spatial"}, "\"obj_ptr_tpos_proj\" is there and \"no_obj_embed_spatial\" is not"},
        {{.leave_out = "obj_ptr_tpos_proj"}, "\"no_obj_embed_spatial\" is there and \"obj_ptr_tpos_proj\" is not"},
        {{.extra = "sam_mask_decoder.extra"}, "unknown tensor \"sam_mask_decoder.extra\" [3]"},
        {{.reshape = "maskmem_tpos_enc", .dim = 3, .size = 65},
         "tensor \"maskmem_tpos_enc\" has shape [7, 1, 1, 65], expected [7, 1, 1, 64]"},
        {{.reshape = "no_obj_ptr", .dim = 0, .size = 2}, "\"no_obj_ptr\" has shape [2, 256], expected [1, 256]"},
        {{.reshape = "image_encoder.trunk.pos_embed", .dim = 2, .size = 8}, "has shape [1, 96, 8, 7]"},
        {{.reshape = "image_encoder.trunk.blocks.5.norm2.weight", .dim = 0, .size = 100},
         "trunk block 5 is 100 wide, expected 384 or twice that"},
        {{.reshape = "image_encoder.trunk.patch_embed.proj.weight", .dim = 0, .size = 100000},
         "has 100000 as dimension 0"},
        {{.reshape = "image_encoder.trunk.patch_embed.proj.weight", .dim = 0, .size = 0}, "has 0 as dimension 0"},
        {{.extra = "image_encoder.trunk.blocks.96.norm1.weight"}, "fewer than 96 layers"},
        {{.extra = "memory_attention.layers.99999999999999999999.norm1.weight"}, "fewer than 32 layers"},
    };
    trk_arch arch;
    assert_works(trk_arch_official(&arch, "sam2.1", "tiny"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(detect_edited(&arch, &cases[i].edits, NULL), TRK_E_MODEL, cases[i].text);
}

/* --- Hugging Face -------------------------------------------------------------------------------------------- */

static void replace(char *text, const char *from, const char *to)
{
    char *at = strstr(text, from), rest[256];
    if (!at)
        return;
    snprintf(rest, sizeof rest, "%s", at + strlen(from));
    sprintf(at, "%s%s", to, rest);
}

/* The other direction than hf_names.c goes, as successive replacements. "": written elsewhere. */
static void to_hugging_face(char *name, const char *official)
{
    static const char *const changes[][2] = {
        {"maskmem_tpos_enc", "memory_temporal_positional_encoding"},
        {"no_mem_embed", "no_memory_embedding"},
        {"no_mem_pos_enc", "no_memory_positional_encoding"},
        {"no_obj_ptr", "no_object_pointer"},
        {"no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"},
        {"obj_ptr_tpos_proj", "temporal_positional_encoding_projection_layer"},
        {"obj_ptr_proj", "object_pointer_proj"},
        {"image_encoder.trunk", "vision_encoder.backbone"},
        {"image_encoder.neck", "vision_encoder.neck"},
        {"sam_prompt_encoder", "prompt_encoder"},
        {"sam_mask_decoder", "mask_decoder"},
        {"patch_embed.proj", "patch_embed.projection"},
        {"pe_layer.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"},
        {"mask_downscaling.0", "mask_embed.conv1"},
        {"mask_downscaling.1", "mask_embed.layer_norm1"},
        {"mask_downscaling.3", "mask_embed.conv2"},
        {"mask_downscaling.4", "mask_embed.layer_norm2"},
        {"mask_downscaling.6", "mask_embed.conv3"},
        {"output_upscaling.0", "upscale_conv1"},
        {"output_upscaling.1", "upscale_layer_norm"},
        {"output_upscaling.3", "upscale_conv2"},
        {"encoder.12", "final_conv"},
        {"encoder.10", "layers.3.layer_norm"},
        {"encoder.9", "layers.3.conv"},
        {"encoder.7", "layers.2.layer_norm"},
        {"encoder.6", "layers.2.conv"},
        {"encoder.4", "layers.1.layer_norm"},
        {"encoder.3", "layers.1.conv"},
        {"encoder.1", "layers.0.layer_norm"},
        {"encoder.0", "layers.0.conv"},
        {"pix_feat_proj", "feature_projection"},
        {"memory_encoder.out_proj", "memory_encoder.projection"},
        {"fuser", "memory_fuser"},
        {"gamma", "scale"},
        {"dwconv", "depthwise_conv"},
        {"pwconv", "pointwise_conv"},
        {".norm", ".layer_norm"},
        {"out_proj", "o_proj"},
    };
    char *layer;
    strcpy(name, official);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        replace(name, changes[i][0], changes[i][1]);
    if (strstr(name, "point_embeddings"))
        name[0] = 0;
    if (strstr(name, "neck.convs"))
        replace(name, ".conv.", ".");
    int is_two = strstr(name, ".mlp.layers.") != NULL;
    int is_three = strstr(name, "mlps.") || strstr(name, "_head.") || strstr(name, "object_pointer_proj");
    if ((is_two || is_three) && (layer = strstr(name, is_two ? "mlp.layers." : "layers."))) {
        replace(layer, is_two ? "layers.1" : "layers.2", "proj_out");
        replace(layer, "layers.0", "proj_in");
        replace(layer, "layers.1", "layers.0");
    }
}

static void hugging_face_models_are_told_too(void **state)
{
    static const char config[] =
        "{\"model_type\": \"sam2_video\", \"enable_occlusion_spatial_embedding\": true,"
        " \"enable_temporal_pos_encoding_for_object_pointers\": true, \"vision_config\": {\"backbone_config\": {"
        "\"blocks_per_stage\": [1, 2, 11, 2], \"global_attention_blocks\": [7, 10, 13], \"image_size\": [1024, "
        "1024]}}}";
    trk_arch arch, found;
    edits renamed = {.rename = to_hugging_face};
    assert_works(trk_arch_official(&arch, "sam2.1", "small"));
    const char *path = write_model("hf.safetensors", &arch, &renamed);
    char kept[256];
    snprintf(kept, sizeof kept, "%s", path);
    assert_works(detect(&found, kept, NULL));
    assert_string_equal(found.size_name, "small");
    assert_works(detect(&found, kept, config));
    assert_string_equal(found.size_name, "small");
    write_file("config.json", config, sizeof config - 1);
    assert_works(detect(&found, kept, NULL));
    assert_string_equal(found.size_name, "small");
    write_file("config.json", "{\"model_type\": \"sam2\", \"vision_config\": {\"fpn_hidden_size\": 128}}", 65);
    assert_fails(detect(&found, kept, NULL), TRK_E_MODEL, "\"hidden_dim\" is 128");
    assert_non_null(
        strstr(trk_error_text(), "config.json, but 256 by tensor \"image_encoder.neck.convs.0.conv.weight\""));
    write_file("config.json", "{\"model_type\": \"bert\"}", 22);
    assert_works(detect(&found, kept, NULL)); /* about something else: passed over */
    write_file("config.json", "{", 1);
    assert_works(detect(&found, kept, NULL));
    assert_non_null(strstr(trk_error_text(), "but 256 by tensor")); /* the last failure is still that one */
    assert_int_equal(remove(in_directory("config.json")), 0);

    edits image_only = {.rename = to_hugging_face, .leave_out = "mem"};
    assert_works(trk_arch_official(&arch, "sam2", "tiny"));
    assert_fails(detect_edited(&arch, &image_only, NULL), TRK_E_MODEL, "tensor \"memory_attention.");
}

static void hugging_face_configurations_are_checked(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"{\"model_type\": \"bert\"}", "describes no SAM 2 model"},
        {"[", "not valid JSON"},
        {"{\"model_type\": \"sam2\", \"memory_attention_num_attention_heads\": 2}", "is 2, expected 1, the only value"},
        {"{\"model_type\": \"sam2\", \"rope_parameters\": {\"rope_theta\": 5}}", "rope_theta\" is 5, expected 10000"},
        {"{\"model_type\": \"sam2\", \"enable_occlusion_spatial_embedding\": false}", "differ, expected both"},
        {"{\"model_type\": \"sam2\", \"vision_config\": {\"backbone_config\": {\"embed_dim_per_stage\": [96, 96, 96, "
         "96]}}}",
         "continues with 96 after 96, expected 192"},
        {"{\"model_type\": \"sam2\", \"vision_config\": {\"backbone_config\": {\"blocks_per_stage\": [1, 2, 7]}}}",
         "has 3 numbers, expected 4"},
        {"{\"model_type\": \"sam2\", \"vision_config\": {\"backbone_config\": {\"blocks_per_stage\": [1, 2, 8, 2]}}}",
         "the stages have 1, 2, 8, 2 blocks"},
        {"{\"model_type\": \"sam2\", \"mask_decoder_config\": {\"num_attention_heads\": 0}}", "is 0, expected 1 to"},
        {"{\"model_type\": \"sam2\", \"mask_decoder_config\": {\"num_attention_heads\": 3}}",
         "\"hidden_dim\" is 256, expected a multiple of 3"},
    };
    trk_arch arch;
    edits none = {0};
    assert_works(trk_arch_official(&arch, "sam2", "tiny"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(detect_edited(&arch, &none, cases[i].json), TRK_E_MODEL, cases[i].text);
}

/* --- custom models ------------------------------------------------------------------------------------------- */

static trk_arch small_arch(void)
{
    return (trk_arch){.is_21 = 1,
                      .image_size = 256,
                      .embed_dim = 32,
                      .num_heads = 1,
                      .stages = {1, 2, 3, 1},
                      .n_blocks = 7,
                      .bkg_size = 7,
                      .window_pos_size = 8,
                      .d_model = 96,
                      .mem_dim = 32,
                      .n_mem_layers = 2,
                      .mem_ffn = 256,
                      .num_maskmem = 7,
                      .decoder_heads = 4,
                      .decoder_depth = 2,
                      .decoder_mlp = 256,
                      .decoder_inner = 48,
                      .iou_hidden = 96,
                      .mask_in_channels = 16,
                      .n_fuser_layers = 2,
                      .max_pointers = 16};
}

#define DESCRIPTION(family, image, heads, stages, globals, windows, decoder_heads)                                     \
    "{\"family\": \"" family "\", \"image_size\": " image ", \"embed_dim\": 32, \"num_heads\": " heads                 \
    ", \"stages\": " stages ", \"global_att_blocks\": " globals ", \"window_spec\": " windows                          \
    ", \"window_pos_embed_bkg_spatial_size\": [7, 7], \"q_pool\": 3, \"fpn_top_down_levels\": [2, 3],"                 \
    " \"hidden_dim\": 96, \"mem_dim\": 32, \"decoder_heads\": " decoder_heads "}"
#define GOOD DESCRIPTION("sam2.1", "256", "1", "[1, 2, 3, 1]", "[4, 5]", "[8, 4, 8, 4]", "4")

static void custom_models_follow_their_metadata(void **state)
{
    trk_arch arch = small_arch(), found;
    edits described = {.metadata = GOOD}, bare = {0};
    assert_works(detect(&found, write_model("custom.safetensors", &arch, &described), NULL));
    assert_string_equal(found.size_name, "custom");
    assert_string_equal(found.family, "sam2.1");
    assert_int_equal(found.image_size, 256);
    assert_int_equal(found.decoder_heads, 4);
    assert_int_equal(found.decoder_inner, 48);
    assert_int_equal(found.max_pointers, 16);
    assert_true(found.is_global[4] && found.is_global[5] && !found.is_global[3]);
    assert_true(found.top_down[2] && !found.top_down[3]);
    assert_works(detect(&found, write_model("custom.safetensors", &arch, &bare), GOOD));
    assert_fails(detect(&found, write_model("custom.safetensors", &arch, &bare), NULL), TRK_E_MODEL,
                 "a trunk 32 wide with 1, 2, 3 and 1 blocks is no official size");
    write_file("custom.json", GOOD, strlen(GOOD));
    assert_works(detect(&found, in_directory("custom.safetensors"), NULL));
    assert_int_equal(remove(in_directory("custom.json")), 0);
}

static void descriptions_are_checked(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"", "not valid JSON"},
        {"{}", "describes no SAM 2 model"},
        {"{\"family\": \"sam2.1\"}", "\"image_size\" is told neither by the tensors nor by"},
        {"{\"family\": \"sam2.1\", \"image_size\": 256}", "\"num_heads\" is told neither"},
        {DESCRIPTION("sam2", "256", "1", "[1,2,3,1]", "[4,5]", "[8,4,8,4]", "4"), "says family sam2, but tensor"},
        {DESCRIPTION("sam9", "256", "1", "[1,2,3,1]", "[4,5]", "[8,4,8,4]", "4"), "\"family\" is \"sam9\""},
        {DESCRIPTION("sam2.1", "250", "1", "[1,2,3,1]", "[4,5]", "[8,4,8,4]", "4"), "\"image_size\": image size 250"},
        {DESCRIPTION("sam2.1", "256", "0", "[1,2,3,1]", "[4,5]", "[8,4,8,4]", "4"), "\"num_heads\" is 0"},
        {DESCRIPTION("sam2.1", "256", "\"1\"", "[1,2,3,1]", "[4,5]", "[8,4,8,4]", "4"), "\"num_heads\" is not a whole"},
        {DESCRIPTION("sam2.1", "256", "3", "[1,2,3,1]", "[4,5]", "[8,4,8,4]", "4"),
         "\"embed_dim\" is 32, expected a mul"},
        {DESCRIPTION("sam2.1", "256", "1", "[1,2,4,1]", "[4,5]", "[8,4,8,4]", "4"), "the stages have 1, 2, 4, 1"},
        {DESCRIPTION("sam2.1", "256", "1", "[1,2,3,0]", "[4,5]", "[8,4,8,4]", "4"), "\"stages\" is 0"},
        {DESCRIPTION("sam2.1", "256", "1", "[1,2,3,1]", "[7]", "[8,4,8,4]", "4"), "has 7, the trunk ends with block 6"},
        {DESCRIPTION("sam2.1", "256", "1", "[1,2,3,1]", "[3]", "[8,4,8,4]", "4"), "has 3, the block that pools"},
        {DESCRIPTION("sam2.1", "256", "1", "[1,2,3,1]", "[96]", "[8,4,8,4]", "4"), "is 96, expected 0 to 95"},
        {DESCRIPTION("sam2.1", "256", "1", "[1,2,3,1]", "[4,5]", "[4,4,8,4]", "4"), "pos_embed_window"},
        {DESCRIPTION("sam2.1", "256", "1", "[1,2,3,1]", "[4,5]", "[8,3,8,4]", "4"),
         "is 3 in stage 2, expected an even"},
        {DESCRIPTION("sam2.1", "256", "1", "[1,2,3,1]", "[4,5]", "[8,0,8,4]", "4"), "\"window_spec\" is 0"},
        {DESCRIPTION("sam2.1", "256", "1", "[1,2,3,1]", "[4,5]", "[8,4,8,4]", "5"), "\"hidden_dim\" is 96, expected"},
        {DESCRIPTION("sam2.1", "256", "1", "[1,2,3,1]", "[4,5]", "[8,4,8,4]", "32"), "\"decoder_inner_dim\" is 48"},
    };
    trk_arch arch = small_arch();
    edits none = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(detect_edited(&arch, &none, cases[i].json), TRK_E_MODEL, cases[i].text);
    edits wide = {.reshape = "maskmem_tpos_enc", .dim = 3, .size = 36};
    assert_fails(detect_edited(&arch, &wide, GOOD), TRK_E_MODEL, "given.json, but 36 by");
    edits deep = {.leave_out = "memory_attention.layers.1"};
    assert_fails(detect_edited(&arch, &deep, "{\"family\": \"sam2.1\", \"memory_attention_layers\": 2}"), TRK_E_MODEL,
                 "given.json, but 1 by tensor \"memory_attention.layers.*\"");
}

static void impossible_widths_are_refused(void **state)
{
    static const struct {
        int d_model, mem_dim, mask_in_channels;
        const char *text;
    } cases[] = {
        {100, 20, 16, "\"hidden_dim\" is 100, expected a multiple of 32"},
        {120, 40, 16, "\"hidden_dim\" is 120, expected a multiple of 32"},
        {96, 40, 16, "expected a multiple of 40"},
        {96, 6, 16, "\"mem_dim\" is 6, expected a multiple of 8"},
        {96, 12, 16, "\"mem_dim\" is 12, expected a multiple of 8"},
        {96, 32, 18, "\"mask_in_chans\" is 18"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        trk_arch arch = small_arch();
        edits none = {0};
        arch.d_model = cases[i].d_model;
        arch.mem_dim = cases[i].mem_dim;
        arch.mask_in_channels = cases[i].mask_in_channels;
        assert_fails(detect_edited(&arch, &none,
                                   "{\"family\": \"sam2.1\", \"image_size\": 256, \"num_heads\": 1, \"window_spec\": "
                                   "[8, 4, 8, 4], \"global_att_blocks\": [], \"fpn_top_down_levels\": [2],"
                                   " \"decoder_heads\": 4}"),
                     TRK_E_MODEL, cases[i].text);
    }
}

/* A plan rehearses them all. */
static void numbers_of_memories_are_bounded(void **state)
{
#define REMEMBERS(pointers)                                                                                            \
    "{\"family\": \"sam2.1\", \"image_size\": 256, \"num_heads\": 1, \"window_spec\": [8, 4, 8, 4], "                  \
    "\"global_att_blocks\": [], \"fpn_top_down_levels\": [2], \"decoder_heads\": 4, "                                  \
    "\"max_obj_ptrs_in_encoder\": " pointers "}"
    trk_arch arch = small_arch(), found;
    edits none = {0};
    assert_fails(detect_edited(&arch, &none, REMEMBERS("257")), TRK_E_MODEL, "is 257, expected at least 2");
    assert_fails(detect_edited(&arch, &none, REMEMBERS("65536")), TRK_E_MODEL, "and at most 256");
    arch.num_maskmem = 256;
    assert_works(detect(&found, write_model("many.safetensors", &arch, &none), REMEMBERS("256")));
    arch.num_maskmem = 257;
    assert_fails(detect_edited(&arch, &none, REMEMBERS("256")), TRK_E_MODEL, "(257), and at most 256");
#undef REMEMBERS
}

/* As wide as the features: then upstream has no projection in the memory encoder. */
static void memories_may_be_as_wide_as_features(void **state)
{
    trk_arch arch = small_arch(), found;
    arch.mem_dim = arch.d_model;
    edits wide = {.metadata =
                      "{\"family\": \"sam2.1\", \"image_size\": 256, \"num_heads\": 1, \"window_spec\": [8, 4, 8, 4],"
                      " \"global_att_blocks\": [4, 5], \"fpn_top_down_levels\": [2, 3], \"decoder_heads\": 4}"};
    assert_works(detect(&found, write_model("wide.safetensors", &arch, &wide), NULL));
    assert_int_equal(found.mem_dim, 96);
    wide.leave_out = "memory_encoder.out_proj"; /* there is none to leave out */
    assert_works(detect(&found, write_model("wide.safetensors", &arch, &wide), NULL));
}

/* --- image sizes --------------------------------------------------------------------------------------------- */

static void image_sizes_follow_the_trunk(void **state)
{
    trk_arch arch;
    assert_works(trk_arch_official(&arch, "sam2.1", "tiny"));
    static const int good[] = {32, 64, 256, 480, 512, 1024, 1056, 16384};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(trk_arch_check_image_size(&arch, good[i]), TRK_OK);
    assert_fails(trk_arch_check_image_size(&arch, 1000), TRK_E_ARGUMENT, "the nearest are 992 and 1024");
    assert_fails(trk_arch_check_image_size(&arch, 528), TRK_E_ARGUMENT, "the nearest are 512 and 544");
    assert_fails(trk_arch_check_image_size(&arch, 0), TRK_E_ARGUMENT, "the nearest is 32");
    assert_fails(trk_arch_check_image_size(&arch, -5), TRK_E_ARGUMENT, "the nearest is 32");
    assert_fails(trk_arch_check_image_size(&arch, 20000), TRK_E_ARGUMENT, "the nearest is 16384");
    assert_fails(trk_arch_check_image_size(&arch, INT32_MAX), TRK_E_ARGUMENT, "multiples of 32 from 32 to 16384");
    arch.window_pos_size = 14;
    assert_int_equal(trk_arch_check_image_size(&arch, 448), TRK_OK);
    assert_fails(trk_arch_check_image_size(&arch, 512), TRK_E_ARGUMENT, "the nearest are 448 and 672");
}

/* --- descriptions for people --------------------------------------------------------------------------------- */

static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void models_are_described(void **state)
{
    trk_arch arch;
    edits none = {0}, renamed = {.rename = to_hugging_face};
    char *text = NULL;
    assert_works(trk_arch_official(&arch, "sam2.1", "tiny"));
    assert_works(trk_model_describe(write_model("tiny.safetensors", &arch, &none), NULL, &text));
    static const char *const parts[] = {"container   safetensors, official",
                                        "family      SAM 2.1",
                                        "size        tiny",
                                        "image size  1024",
                                        "tensors     471",
                                        "parameters  38,962,498",
                                        "26,849,472 in 154",
                                        "float32: 155,851,016 bytes",
                                        "metadata    none",
                                        "complete    yes"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_contains(text, parts[i]);
    trk_heap_release(text);
    text = NULL;
    assert_works(trk_model_describe(write_model("hf.safetensors", &arch, &renamed), NULL, &text));
    assert_contains(text, "Hugging Face tensor names");
    assert_contains(text, "parameters  38,962,498");
    trk_heap_release(text);
}

static void broken_models_are_described_too(void **state)
{
    trk_arch arch;
    edits broken = {
        .leave_out = "memory_encoder.", .extra = "odd\\\\one", .reshape = "no_obj_ptr", .dim = 1, .size = 9};
    edits unknowable = {.leave_out = "image_encoder.trunk.patch_embed"};
    char *text = NULL;
    assert_works(trk_arch_official(&arch, "sam2", "tiny"));
    assert_fails(trk_model_describe(write_model("bad.safetensors", &arch, &broken), NULL, &text), TRK_E_MODEL,
                 "bad.safetensors: tensor \"memory_encoder.");
    assert_contains(text, "complete    no: 42 tensors are missing, misshapen or unknown, of which the first 20");
    assert_contains(text, "  missing   memory_encoder.mask_downsampler.encoder.0.weight [4, 1, 3, 3]");
    trk_heap_release(text);
    text = NULL;
    assert_fails(trk_model_describe(write_model("bad.safetensors", &arch, &unknowable), NULL, &text), TRK_E_MODEL,
                 "not a SAM 2 model");
    assert_contains(text, "not usable  ");
    assert_contains(text, "tensors     466");
    trk_heap_release(text);
    text = NULL;
    assert_fails(trk_model_describe(in_directory("none.pt"), NULL, &text), TRK_E_IO, "none.pt: cannot open");
    assert_null(text);
}

static void the_demo_model_is_complete(void **state)
{
    static const char path[] = TRK_SAMPLES_DIR "/models/demo-m.safetensors";
    char *text = NULL;
    if (access(path, R_OK) != 0) {
        print_message("%s is not here\n", path);
        skip();
    }
    assert_works(trk_model_describe(path, NULL, &text));
    assert_contains(text, "size        custom");
    assert_contains(text, "tensors     357");
    assert_contains(text, "complete    yes");
    trk_heap_release(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(official_inventories_have_the_published_counts),
        cmocka_unit_test(official_models_are_told_by_their_tensors),
        cmocka_unit_test(the_table_agrees_with_the_paper),
        cmocka_unit_test(broken_official_models_are_named),
        cmocka_unit_test(hugging_face_models_are_told_too),
        cmocka_unit_test(hugging_face_configurations_are_checked),
        cmocka_unit_test(custom_models_follow_their_metadata),
        cmocka_unit_test(descriptions_are_checked),
        cmocka_unit_test(impossible_widths_are_refused),
        cmocka_unit_test(numbers_of_memories_are_bounded),
        cmocka_unit_test(memories_may_be_as_wide_as_features),
        cmocka_unit_test(image_sizes_follow_the_trunk),
        cmocka_unit_test(models_are_described),
        cmocka_unit_test(broken_models_are_described_too),
        cmocka_unit_test(the_demo_model_is_complete),
    };
    return cmocka_run_group_tests(tests, make_temporary_directory, remove_temporary_directory);
}
