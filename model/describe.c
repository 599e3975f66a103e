/* SPDX-License-Identifier: Apache-2.0 */
#include "describe.h"

#include "arch.h"
#include "arch_inventory.h"
#include "heap.h"
#include "printable.h"
#include "tensor_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LISTED 20

static const struct {
    const char *prefix, *name;
} modules[] = {
    {"image_encoder.trunk.", "image encoder trunk"},
    {"image_encoder.neck.", "image encoder neck"},
    {"memory_attention.", "memory attention"},
    {"memory_encoder.", "memory encoder"},
    {"sam_prompt_encoder.", "prompt encoder"},
    {"sam_mask_decoder.", "mask decoder"},
    {"", "pointers and embeddings"}, /* the rest */
};
#define N_MODULES (sizeof modules / sizeof *modules)

static const char *grouped(char *text, size_t text_bytes, size_t n)
{
    char digits[32];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%zu", n), used = 0;
    for (size_t i = 0; i < length && used + 2 < text_bytes; i++) {
        if (i && (length - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = 0;
    return text;
}

/* The random Fourier matrix is a buffer, not a parameter. */
static int is_parameter(const trk_tensor *tensor)
{
    return strcmp(tensor->name, "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix") != 0;
}

static size_t module_of(const char *name)
{
    size_t i = 0;
    while (strncmp(name, modules[i].prefix, strlen(modules[i].prefix)) != 0)
        i++;
    return i;
}

static void print_counts(FILE *out, const trk_checkpoint *checkpoint)
{
    size_t tensors[N_MODULES] = {0}, elements[N_MODULES] = {0}, total = 0;
    char n[40];
    for (size_t i = 0; i < trk_checkpoint_count(checkpoint); i++) {
        const trk_tensor *tensor = trk_checkpoint_at(checkpoint, i);
        size_t module = module_of(tensor->name), counted = is_parameter(tensor) ? tensor->n_elements : 0;
        tensors[module]++;
        elements[module] += counted;
        total += counted;
    }
    fprintf(out, "tensors     %s\n", grouped(n, sizeof n, trk_checkpoint_count(checkpoint)));
    fprintf(out, "parameters  %s\n", grouped(n, sizeof n, total));
    for (size_t i = 0; i < N_MODULES; i++)
        if (tensors[i])
            fprintf(out, "  %-24s %15s in %zu tensors\n", modules[i].name, grouped(n, sizeof n, elements[i]),
                    tensors[i]);
}

static void print_dtypes(FILE *out, const trk_checkpoint *checkpoint)
{
    static const struct {
        trk_dtype dtype;
        const char *name;
    } dtypes[] = {{TRK_F32, "float32"}, {TRK_BF16, "bfloat16"}, {TRK_F16, "float16"}};
    const char *separator = "";
    fprintf(out, "stored as   ");
    for (size_t d = 0; d < 3; d++) {
        size_t n = 0, elements = 0;
        char bytes[40];
        for (size_t i = 0; i < trk_checkpoint_count(checkpoint); i++) {
            const trk_tensor *tensor = trk_checkpoint_at(checkpoint, i);
            n += tensor->dtype == dtypes[d].dtype;
            elements += tensor->dtype == dtypes[d].dtype ? tensor->n_elements : 0;
        }
        if (n) {
            fprintf(out, "%s%s: %s bytes", separator, dtypes[d].name,
                    grouped(bytes, sizeof bytes, elements * trk_dtype_bytes(dtypes[d].dtype)));
            separator = ", ";
        }
    }
    fprintf(out, "%s\n", *separator ? "" : "nothing");
}

static void print_arch(FILE *out, const trk_arch *arch)
{
    const int *s = arch->stages;
    const char *separator = "";
    fprintf(out, "family      %s\n", arch->is_21 ? "SAM 2.1" : "SAM 2");
    fprintf(out, "size        %s\n", arch->size_name);
    fprintf(out, "image size  %d\n", arch->image_size);
    fprintf(out, "trunk       %d wide, %d head%s; %d + %d + %d + %d blocks, global in", arch->embed_dim,
            arch->num_heads, arch->num_heads == 1 ? "" : "s", s[0], s[1], s[2], s[3]);
    for (int i = 0; i < arch->n_blocks; i++)
        if (arch->is_global[i]) {
            fprintf(out, "%s %d", separator, i);
            separator = ",";
        }
    fprintf(out, "%s\n", *separator ? "" : " none");
    fprintf(out, "memory      %d slots, %d wide; attention of %d layers, %d wide\n", arch->num_maskmem, arch->mem_dim,
            arch->n_mem_layers, arch->d_model);
}

typedef struct listing {
    FILE *out;
    size_t n;
} listing;

static void print_difference(void *user, trk_arch_difference difference, const char *name, int n_dims,
                             const int64_t *expected, const trk_tensor *found)
{
    listing *list = user;
    char have[160] = "", want[160] = "";
    if (list->n++ >= MAX_LISTED)
        return;
    if (found)
        trk_dims_text(have, sizeof have, found->n_dims, found->dims);
    if (expected)
        trk_dims_text(want, sizeof want, n_dims, expected);
    if (difference == TRK_ARCH_MISSING)
        fprintf(list->out, "  missing   %s %s\n", name, want);
    else if (difference == TRK_ARCH_MISSHAPEN)
        fprintf(list->out, "  misshapen %s %s, expected %s\n", name, have, want);
    else
        fprintf(list->out, "  unknown   %s %s\n", name, have);
}

/* Always one headline about the tensors, before the list. */
static trk_status print_differences(FILE *out, const trk_arch *arch, const trk_checkpoint *checkpoint)
{
    char *lines = NULL;
    size_t lines_bytes = 0;
    listing list = {open_memstream(&lines, &lines_bytes), 0};
    if (!list.out)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a description");
    trk_status rc = trk_arch_compare(arch, checkpoint, print_difference, &list);
    if (fclose(list.out) && rc == TRK_OK)
        rc = TRK_FAIL(TRK_E_MEMORY, "no memory for a description");
    if (rc == TRK_OK && list.n == 0)
        fprintf(out, "complete    yes\n");
    else if (rc == TRK_OK)
        fprintf(out, "complete    no: %zu tensors are missing, misshapen or unknown%s\n%s", list.n,
                list.n > MAX_LISTED ? ", of which the first 20" : "", lines);
    free(lines); /* libc allocated it, in open_memstream */
    return rc < 0 ? rc : trk_arch_verify(arch, checkpoint);
}

static void print_made(FILE *out, const char *made)
{
    char shown[2048];
    if (made)
        fprintf(out, "made        %s\n", trk_printable(shown, sizeof shown, made, strlen(made)));
}

/* TRK_E_MODEL: described as far as possible. */
static trk_status print_all(FILE *out, const trk_checkpoint *checkpoint, const char *path, const char *config)
{
    trk_arch arch;
    fprintf(out, "file        %s\n", path);
    fprintf(out, "container   %s, %s tensor names\n", trk_checkpoint_container(checkpoint),
            strcmp(trk_checkpoint_naming(checkpoint), "huggingface") == 0 ? "Hugging Face" : "official");
    fprintf(out, "metadata    %s\n", trk_checkpoint_metadata(checkpoint)->architecture ? "architecture" : "none");
    print_made(out, trk_checkpoint_metadata(checkpoint)->made);
    trk_status rc = trk_arch_detect(&arch, checkpoint, config, path);
    if (rc == TRK_OK)
        print_arch(out, &arch);
    else
        fprintf(out, "not usable  %s\n", trk_error_text());
    print_counts(out, checkpoint);
    print_dtypes(out, checkpoint);
    if (rc == TRK_OK)
        rc = print_differences(out, &arch, checkpoint);
    return rc == TRK_E_MODEL ? trk_fail_prefix(rc, path) : rc;
}

trk_status trk_model_describe(const char *path, const char *config, char **text_out)
{
    trk_checkpoint *checkpoint = NULL;
    char *text = NULL, *copy = NULL;
    size_t text_bytes = 0;
    trk_status rc = trk_checkpoint_open(&checkpoint, path);
    if (rc < 0)
        return rc;
    FILE *out = open_memstream(&text, &text_bytes);
    if (out)
        rc = print_all(out, checkpoint, path, config);
    if (out && !fclose(out) && (rc == TRK_OK || rc == TRK_E_MODEL))
        copy = trk_heap_text("description", text);
    free(text); /* libc allocated it, in open_memstream */
    trk_checkpoint_close(&checkpoint);
    if (copy)
        *text_out = copy;
    else if (rc == TRK_OK || rc == TRK_E_MODEL)
        rc = TRK_FAIL(TRK_E_MEMORY, "%s: no memory for a description", path);
    return rc;
}
