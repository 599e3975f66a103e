/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "failure.h"
#include "heap.h"
#include "target.h"

static trk_status no_memory(void)
{
    return TRK_FAIL(TRK_E_MEMORY, "eval: out of memory");
}

/* --- options ---------------------------------------------------------------------------------------------------- */

/* text: owned from here on. */
static void add(eval_identity *self, trk_status *rc, char *text)
{
    if (!text)
        *rc = no_memory();
    else
        self->options[self->n_options++] = text;
}

static void add_flag(eval_identity *self, trk_status *rc, int given, const char *text)
{
    if (given)
        add(self, rc, trk_heap_text("options", text));
}

static void add_text(eval_identity *self, trk_status *rc, const char *name, const char *value)
{
    if (value)
        add(self, rc, trk_heap_format("options", "--%s %s", name, value));
}

static void add_number(eval_identity *self, trk_status *rc, const char *name, int value, int usual)
{
    if (value != usual)
        add(self, rc, trk_heap_format("options", "--%s %d", name, value));
}

static void add_memory_types(eval_identity *self, trk_status *rc, const options *wanted)
{
    static const char *const names[] = {
        [TRK_MEMORY_BF16] = "bf16", [TRK_MEMORY_F32] = "f32", [TRK_MEMORY_F16] = "f16", [TRK_MEMORY_Q8] = "q8"};
    if (wanted->memory_type != TRK_MEMORY_BF16)
        add_text(self, rc, "memory-dtype", names[wanted->memory_type]);
    if (!wanted->older_after)
        return;
    add(self, rc,
        trk_heap_format("options", "--older-memory-dtype %s@%d", names[wanted->older_memory_type],
                        wanted->older_after));
    if (wanted->history > 0) /* a memory becomes older so many frames later; "all" moves nothing */
        add(self, rc, trk_heap_format("options", "--history %" PRId64, wanted->history));
}

static void add_policy(eval_identity *self, trk_status *rc, const motion_options *motion)
{
    if (motion->policy != TRK_POLICY_SAM2)
        add_text(self, rc, "policy", motion_options_policy_name(motion->policy));
    for (int i = 0; i < N_MOTION_VALUES; i++)
        if (motion->given[i])
            add(self, rc, motion_option_text(motion, (motion_value)i));
    add_flag(self, rc, motion->strict_reference, "--strict-reference");
}

/* Those that can change results. */
static trk_status list_options(eval_identity *self, const options *wanted)
{
    trk_status rc = TRK_OK;
    add_text(self, &rc, "split", wanted->split);
    add_flag(self, &rc, wanted->no_boundary, "--no-boundary");
    add_text(self, &rc, "pred", wanted->pred);
    if (wanted->pred)
        return rc;
    add_number(self, &rc, "image-size", wanted->image_size, 0);
    add_number(self, &rc, "fill-holes", wanted->fill_holes, OPTIONS_DEFAULT_FILL_HOLES);
    add_flag(self, &rc, !wanted->binarize, "--no-binarize");
    add_flag(self, &rc, !wanted->stability, "--no-stability");
    add_flag(self, &rc, wanted->correct_as_condition, "--correct-as-condition");
    if (wanted->max_prompts == -1)
        add_text(self, &rc, "max-prompts-in-memory", "all");
    else
        add_number(self, &rc, "max-prompts-in-memory", wanted->max_prompts, OPTIONS_DEFAULT_MAX_PROMPTS);
    add_memory_types(self, &rc, wanted);
    add_policy(self, &rc, &wanted->motion);
    return rc;
}

/* Decoders may differ in colours, kernels in the last bits. */
static trk_status list_cuda_options(eval_identity *self, const options *wanted)
{
    const char *wgmma = getenv("TRK_CUDA_WGMMA");
    trk_status rc = TRK_OK;
    add_flag(self, &rc, wanted->decoder == TRK_HARDWARE_OFF, "--decoder cpu");
    add_flag(self, &rc, wanted->decoder == TRK_HARDWARE_MUST, "--decoder cuda");
    add_text(self, &rc, "TRK_CUDA_WGMMA", wgmma);
    return rc;
}

/* --- machine ---------------------------------------------------------------------------------------------------- */

/* The text behind "key ...: " in a file of /proc: 1 if there is one. */
static int find_line(const char *path, const char *key, char *out, size_t n_out)
{
    char line[512];
    int found = 0;
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        const char *value = strchr(line, ':');
        found = value && !strncmp(line, key, strlen(key));
        if (found)
            snprintf(out, n_out, "%.*s", (int)strcspn(value + 1 + strspn(value + 1, " \t"), "\n"),
                     value + 1 + strspn(value + 1, " \t"));
    }
    if (file)
        fclose(file);
    return found;
}

/* "NVIDIA H200", of every card when they differ: the driver's order is not that of CUDA. */
static void name_cards(char *out, size_t n_out)
{
    glob_t found = {0};
    size_t n = 0;
    snprintf(out, n_out, "unknown GPU");
    if (!glob("/proc/driver/nvidia/gpus/*/information", 0, NULL, &found))
        for (size_t i = 0; i < found.gl_pathc; i++) {
            char name[128];
            if (!find_line(found.gl_pathv[i], "Model", name, sizeof name) || (n && strstr(out, name)))
                continue;
            n += (size_t)snprintf(out + n, n_out - n, "%s%s", n ? " + " : "", name);
            if (n >= n_out)
                break;
        }
    globfree(&found);
}

/* Virtual machines often hide the name: family and model tell more. */
static void name_cpu(char *out, size_t n_out)
{
    const char *path = "/proc/cpuinfo";
    char name[128] = "unknown CPU", family[16], model[16];
    find_line(path, "model name", name, sizeof name);
    if (find_line(path, "cpu family", family, sizeof family) && find_line(path, "model\t", model, sizeof model))
        snprintf(out, n_out, "%s (family %s, model %s)", name, family, model);
    else
        snprintf(out, n_out, "%s", name);
}

/* Equal texts: equal masks may be expected, with any number of threads. */
static char *name_machine(const trk_model_info *info)
{
    char name[256];
    if (info->device == TRK_DEVICE_CUDA)
        name_cards(name, sizeof name);
    else
        name_cpu(name, sizeof name);
    return trk_heap_format("machine", "%s; %s", name, trk_build_info());
}

/* --- model ------------------------------------------------------------------------------------------------------ */

static trk_status hash_file(uint64_t *out, const char *path)
{
    XXH3_state_t state;
    unsigned char block[1 << 16];
    size_t n;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return TRK_FAIL(TRK_E_IO, "%s: cannot be read: %s", path, strerror(errno));
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    while ((n = fread(block, 1, sizeof block, file)) > 0)
        XXH3_64bits_update(&state, block, n);
    const int failed = ferror(file);
    fclose(file);
    if (failed)
        return TRK_FAIL(TRK_E_IO, "%s: cannot be read", path);
    *out = XXH3_64bits_digest(&state);
    return TRK_OK;
}

static const char *name_device(trk_device device)
{
    return device == TRK_DEVICE_CUDA ? "cuda" : device == TRK_DEVICE_REFERENCE ? "reference" : "cpu";
}

static trk_status take_model(eval_identity *self, eval_results *out, const session *shared)
{
    trk_model_info info = {.struct_size = sizeof info};
    const char *slash = strrchr(shared->model_path, '/');
    trk_status rc = trk_model_get_info(shared->model, &info);
    if (rc)
        return failure_of_library(rc);
    self->machine = name_machine(&info);
    if (!self->machine)
        return no_memory();
    out->machine = self->machine;
    out->model = slash ? slash + 1 : shared->model_path;
    out->device = name_device(info.device);
    out->precision = info.precision == TRK_PRECISION_BF16 ? "bf16" : "f32";
    return hash_file(&out->weights, shared->model_path);
}

/* By what is in it: the file may change under its name. */
static trk_status add_description(eval_identity *self, const char *what, const char *path)
{
    uint64_t hash;
    trk_status rc = hash_file(&hash, path);
    if (!rc)
        add(self, &rc, trk_heap_format("options", "%s %s (%016" PRIx64 ")", what, path, hash));
    return rc;
}

/* The description of the model, if it is a file: that of --model-config, else those beside the checkpoint that may have
 * been read. */
static trk_status add_config(eval_identity *self, const char *config, const char *model)
{
    if (config)
        return add_description(self, "--model-config", config);
    const char *slash = strrchr(model, '/'), *name = slash ? slash + 1 : model, *dot = strrchr(name, '.');
    const int n_stem = (int)(dot && dot > name ? dot - model : (long)strlen(model)), n_folder = (int)(name - model);
    char *paths[] = {trk_heap_format("path", "%.*s.json", n_stem, model),
                     trk_heap_format("path", "%.*sconfig.json", n_folder, model)};
    trk_status rc = paths[0] && paths[1] ? TRK_OK : no_memory();
    for (int i = 0; i < 2; i++) {
        if (!rc && trk_is_file(paths[i]))
            rc = add_description(self, "beside the model:", paths[i]);
        trk_heap_release(paths[i]);
    }
    return rc;
}

trk_status eval_identity_make(eval_identity *self, eval_results *out, const options *wanted, const session *shared)
{
    *self = (eval_identity){0};
    trk_status rc = list_options(self, wanted);
    const int keeps_clips = shared && wanted->results;
    if (!rc && keeps_clips && hash_file(&out->program, "/proc/self/exe"))
        out->program = 0; /* then the version has to do */
    if (!rc && shared)
        rc = add_config(self, wanted->model_config, shared->model_path);
    if (!rc && shared)
        rc = take_model(self, out, shared);
    if (!rc && shared && !strcmp(out->device, "cuda"))
        rc = list_cuda_options(self, wanted);
    out->options = (const char *const *)self->options;
    out->n_options = self->n_options;
    return rc;
}

/* --- clip ------------------------------------------------------------------------------------------------------- */

static void add_whole(XXH3_state_t *hash, int64_t value)
{
    XXH3_64bits_update(hash, &value, sizeof value);
}

static void add_bytes(XXH3_state_t *hash, const void *data, size_t n)
{
    add_whole(hash, data ? (int64_t)n : -1);
    if (data)
        XXH3_64bits_update(hash, data, n);
}

static void add_state(XXH3_state_t *hash, const struct stat *state)
{
    add_whole(hash, S_ISREG(state->st_mode) ? (int64_t)state->st_size : -1);
    add_whole(hash, (int64_t)state->st_mtim.tv_sec);
    add_whole(hash, (int64_t)state->st_mtim.tv_nsec);
}

/* What is in a folder, in whatever order it is listed. */
static void add_entries(XXH3_state_t *hash, const char *path)
{
    uint64_t sum = 0;
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        struct stat state;
        XXH3_state_t one;
        if (fstatat(dirfd(folder), entry->d_name, &state, 0) || !S_ISREG(state.st_mode))
            continue;
        XXH3_INITSTATE(&one);
        XXH3_64bits_reset(&one);
        add_bytes(&one, entry->d_name, strlen(entry->d_name));
        add_state(&one, &state);
        sum += XXH3_64bits_digest(&one);
    }
    if (folder)
        closedir(folder);
    add_whole(hash, (int64_t)sum);
}

/* A file, or a folder and the files in it; NULL, or not there: that too. By its last name: the same folder may be told
 * another way. */
static void add_file(XXH3_state_t *hash, const char *path)
{
    struct stat state;
    const char *slash = path ? strrchr(path, '/') : NULL, *name = slash ? slash + 1 : path;
    add_bytes(hash, name, name ? strlen(name) : 0);
    if (!path || stat(path, &state))
        return;
    add_state(hash, &state);
    if (S_ISDIR(state.st_mode))
        add_entries(hash, path);
}

static void add_object(XXH3_state_t *hash, const dataset_clip *clip, const dataset_object *object)
{
    const int64_t values[] = {object->id, object->first_frame, object->last_frame, object->has_box, object->unprompted};
    add_bytes(hash, values, sizeof values);
    add_bytes(hash, &object->box, sizeof object->box);
    add_bytes(hash, object->boxes, (size_t)clip->n_frames * sizeof *object->boxes);
    add_bytes(hash, object->visible, (size_t)clip->n_frames);
    add_bytes(hash, object->name, object->name ? strlen(object->name) : 0);
    for (size_t i = 0; i < clip->n_annotated && clip->kind == TRUTH_BINARY; i++) {
        char path[1 << 12];
        snprintf(path, sizeof path, "%s/%s/%s", clip->truth, object->name, clip->files[i]);
        add_file(hash, path);
    }
}

uint64_t eval_identity_of_clip(const dataset_clip *clip)
{
    XXH3_state_t hash;
    const int64_t values[] = {clip->kind,       clip->n_frames,   clip->width,        clip->height,
                              clip->void_label, clip->skips_ends, clip->skips_unseen, (int64_t)clip->n_objects};
    XXH3_INITSTATE(&hash);
    XXH3_64bits_reset(&hash);
    add_bytes(&hash, clip->name, strlen(clip->name));
    add_bytes(&hash, values, sizeof values);
    add_file(&hash, clip->frames);
    add_file(&hash, clip->truth);
    add_bytes(&hash, clip->annotated, clip->n_annotated * sizeof *clip->annotated);
    for (size_t i = 0; i < clip->n_annotated && clip->kind == TRUTH_INDEXED; i++)
        add_file(&hash, clip->files[i]);
    for (size_t i = 0; i < clip->n_objects; i++)
        add_object(&hash, clip, &clip->objects[i]);
    return XXH3_64bits_digest(&hash);
}

uint64_t eval_identity_of_place(const char *folder)
{
    char path[PATH_MAX];
    return folder && realpath(folder, path) ? XXH3_64bits(path, strlen(path)) : 0;
}

void eval_identity_free(eval_identity *self)
{
    for (size_t i = 0; i < self->n_options; i++)
        trk_heap_release(self->options[i]);
    trk_heap_release(self->machine);
    *self = (eval_identity){0};
}
