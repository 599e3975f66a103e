/* SPDX-License-Identifier: Apache-2.0
 * Two names are one file if they lead to one inode or, as an output need not exist yet, are the same name in one
 * folder. Devices may be named twice: nothing in them is overwritten. */
#include "conflicts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "outputs.h"

typedef struct place {
    const char *role; /* "--sheet", or "the video" */
    char *path;       /* owned */
    const char *name; /* the end of path */
    int exists, has_parent;
    struct stat self, parent; /* where they exist */
} place;

typedef struct places {
    place *items; /* owned */
    size_t n_items;
} places;

static trk_status no_memory(void)
{
    return TRK_FAIL(TRK_E_MEMORY, "names of outputs: out of memory");
}

static void places_free(places *list)
{
    for (size_t i = 0; i < list->n_items; i++)
        free(list->items[i].path);
    free(list->items);
}

/* --- collecting ------------------------------------------------------------------------------------------------- */

static trk_status find_parent(place *at)
{
    const char *slash = strrchr(at->path, '/');
    at->name = slash ? slash + 1 : at->path;
    char *folder = slash ? strndup(at->path, (size_t)(slash + 1 - at->path)) : strdup(".");
    if (!folder)
        return no_memory();
    at->has_parent = !stat(folder, &at->parent);
    free(folder);
    return TRK_OK;
}

static trk_status add_output(places *list, const char *role, const char *path)
{
    if (!path)
        return TRK_OK;
    place *at = &list->items[list->n_items];
    *at = (place){.role = role, .path = strdup(path)};
    if (!at->path)
        return no_memory();
    list->n_items++;
    if (!strcmp(path, "-")) {
        at->name = at->path;
        return TRK_OK;
    }
    at->exists = !stat(path, &at->self);
    return find_parent(at);
}

/* An input that is not there fails when it is opened. */
static trk_status add_input(places *list, const char *role, const char *path)
{
    place *at = &list->items[list->n_items];
    const int is_stream = path && !strcmp(path, "-");
    *at = (place){.role = role};
    if (!path || (is_stream ? fstat(STDIN_FILENO, &at->self) : stat(path, &at->self)))
        return TRK_OK;
    at->exists = 1;
    at->path = is_stream ? strdup("standard input") : realpath(path, NULL);
    at->path = at->path ? at->path : strdup(path);
    if (!at->path)
        return no_memory();
    list->n_items++;
    at->name = at->path;
    return is_stream ? TRK_OK : find_parent(at);
}

static trk_status collect_inputs(places *list, const options *wanted, const char *model)
{
    const prompt_list *prompts = &wanted->prompts;
    trk_status rc = TRK_OK;
    list->items = calloc(3 + 2 * prompts->n_items, sizeof *list->items);
    if (!list->items)
        return no_memory();
    TRK_CHECK(add_input(list, "the video", wanted->operands[0]));
    TRK_CHECK(add_input(list, "the model", model));
    TRK_CHECK(add_input(list, "the model configuration", wanted->model_config));
    for (size_t i = 0; i < prompts->n_items; i++) {
        TRK_CHECK(add_input(list, "the mask of a prompt", prompts->items[i].path));
        TRK_CHECK(add_input(list, "the file of --prompts", prompts->items[i].file));
    }
done:
    return rc;
}

static trk_status collect_outputs(places *list, const options *wanted, const int *ids, size_t n_ids)
{
    trk_status rc = TRK_OK;
    list->items = calloc(4 + n_ids, sizeof *list->items);
    if (!list->items)
        return no_memory();
    TRK_CHECK(add_output(list, "--overlay", wanted->overlay));
    TRK_CHECK(add_output(list, "--sheet", wanted->sheet));
    TRK_CHECK(add_output(list, "--jsonl", wanted->jsonl));
    TRK_CHECK(add_output(list, "--memory-report", wanted->memory_report_file));
    for (size_t i = 0; wanted->boxes && i < n_ids && !rc; i++) {
        char *path = outputs_boxes_path(wanted->boxes, ids[i], n_ids > 1);
        rc = path ? add_output(list, "--boxes", path) : no_memory();
        free(path);
    }
done:
    return rc;
}

/* --- comparing -------------------------------------------------------------------------------------------------- */

static int is_same_inode(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int is_same_place(const place *a, const place *b)
{
    if (a->exists && b->exists && S_ISCHR(a->self.st_mode))
        return 0;
    if (a->exists && b->exists && is_same_inode(&a->self, &b->self))
        return 1;
    if (a->has_parent != b->has_parent)
        return 0;
    /* without a parent: standard output, or names in a folder that is not there */
    if (!a->has_parent)
        return !strcmp(a->path, b->path);
    return is_same_inode(&a->parent, &b->parent) && !strcmp(a->name, b->name);
}

/* A name that a frame of --masks may have: five digits or more, then .png. */
static int is_name_of_frame(const char *name)
{
    const size_t n_digits = strspn(name, "0123456789");
    return n_digits >= 5 && !strcmp(name + n_digits, ".png");
}

static trk_status check_file(const place *output, const places *inputs, const char *video)
{
    for (size_t i = 0; i < inputs->n_items; i++) {
        const place *input = &inputs->items[i];
        if (S_ISDIR(input->self.st_mode)) {
            if (output->has_parent && is_same_inode(&output->parent, &input->self))
                return TRK_FAIL(TRK_E_ARGUMENT, "%s: %s lies in the folder of the video, %s: expected another folder",
                                output->role, output->path, video);
        } else if (is_same_place(output, input))
            return TRK_FAIL(TRK_E_ARGUMENT, "%s: %s is %s, and would be overwritten", output->role, output->path,
                            input->role);
    }
    return TRK_OK;
}

/* is_masks: the folder gets images named by number; else only .npy files, which no other input or output is. */
static trk_status check_folder(const char *role, const char *folder, int is_masks, const places *inputs,
                               const places *written)
{
    struct stat self;
    if (!folder || stat(folder, &self))
        return TRK_OK;
    for (size_t i = 0; i < inputs->n_items; i++) {
        const place *input = &inputs->items[i];
        if (S_ISDIR(input->self.st_mode) && is_same_inode(&self, &input->self))
            return TRK_FAIL(TRK_E_ARGUMENT, "%s: %s is the folder of the video: expected another folder", role, folder);
        if (is_masks && input->has_parent && is_same_inode(&self, &input->parent) && is_name_of_frame(input->name))
            return TRK_FAIL(TRK_E_ARGUMENT, "%s: %s holds %s, %s, which could be overwritten: expected another folder",
                            role, folder, input->role, input->name);
    }
    for (size_t i = 0; is_masks && i < written->n_items; i++) {
        const place *output = &written->items[i];
        if (output->has_parent && is_same_inode(&self, &output->parent) && is_name_of_frame(output->name))
            return TRK_FAIL(TRK_E_ARGUMENT, "%s: %s is a name that --masks may use: expected another one", output->role,
                            output->path);
    }
    return TRK_OK;
}

static trk_status check_pairs(const places *written)
{
    for (size_t i = 1; i < written->n_items; i++)
        for (size_t j = 0; j < i; j++)
            if (is_same_place(&written->items[i], &written->items[j]))
                return TRK_FAIL(TRK_E_ARGUMENT, "%s: %s is also the file of %s: expected another one",
                                written->items[i].role, written->items[i].path, written->items[j].role);
    return TRK_OK;
}

trk_status conflicts_refuse(const options *wanted, const char *model, const int *ids, size_t n_ids)
{
    places inputs = {0}, written = {0};
    trk_status rc = TRK_OK;
    if (wanted->boxes && !strcmp(wanted->boxes, "-") && n_ids > 1)
        return TRK_FAIL(TRK_E_ARGUMENT,
                        "--boxes: - takes the boxes of one object: expected a file name with %zu objects", n_ids);
    TRK_CHECK(collect_inputs(&inputs, wanted, model));
    TRK_CHECK(collect_outputs(&written, wanted, ids, n_ids));
    for (size_t i = 0; i < written.n_items; i++)
        TRK_CHECK(check_file(&written.items[i], &inputs, wanted->operands[0]));
    TRK_CHECK(check_folder("--masks", wanted->masks, 1, &inputs, &written));
    TRK_CHECK(check_folder("--logits", wanted->logits, 0, &inputs, &written));
    TRK_CHECK(check_pairs(&written));
done:
    places_free(&inputs);
    places_free(&written);
    return rc;
}
