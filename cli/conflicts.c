/* SPDX-License-Identifier: Apache-2.0 */
#include "conflicts.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "eval/dataset_places.h"
#include "heap.h"
#include "option_values.h"
#include "output_file.h"
#include "outputs.h"
#include "places.h"
#include "target.h"

typedef struct everything {
    places inputs, files, masks, logits; /* the last two: folders that are written to */
} everything;

static void everything_free(everything *all)
{
    places_free(&all->inputs);
    places_free(&all->files);
    places_free(&all->masks);
    places_free(&all->logits);
}

/* --- collecting ------------------------------------------------------------------------------------------------- */

static trk_status collect_inputs(places *list, const options *wanted, const char *where)
{
    const prompt_list *prompts = &wanted->prompts;
    trk_status rc = TRK_OK;
    TRK_CHECK(places_add_input(list, "the video", wanted->operands[0], where));
    TRK_CHECK(places_add_input(list, "the model configuration", wanted->model_config, where));
    TRK_CHECK(places_add_input(list, "the state of --resume", wanted->resume, where));
    for (size_t i = 0; i < prompts->n_items; i++) {
        TRK_CHECK(places_add_input(list, "the mask of a prompt", prompts->items[i].path, where));
        TRK_CHECK(places_add_input(list, "the file of --prompts", prompts->items[i].file, where));
    }
done:
    return rc;
}

/* But for --boxes, of which there may be several. */
static trk_status collect(everything *all, const options *wanted, const char *where)
{
    trk_status rc = TRK_OK;
    TRK_CHECK(collect_inputs(&all->inputs, wanted, where));
    TRK_CHECK(places_add_output(&all->files, "--overlay", wanted->overlay, where));
    TRK_CHECK(places_add_output(&all->files, "--sheet", wanted->sheet, where));
    TRK_CHECK(places_add_output(&all->files, "--jsonl", wanted->jsonl, where));
    TRK_CHECK(places_add_output(&all->files, "--save-state", wanted->save_state, where));
    TRK_CHECK(places_add_output(&all->files, "--memory-report", wanted->memory_report_file, where));
    TRK_CHECK(places_add_output(&all->masks, "--masks", wanted->masks, where));
    TRK_CHECK(places_add_output(&all->logits, "--logits", wanted->logits, where));
done:
    return rc;
}

static trk_status collect_boxes(everything *all, const options *wanted, const int *ids, size_t n_ids)
{
    trk_status rc = TRK_OK;
    for (size_t i = 0; wanted->boxes && i < n_ids && !rc; i++) {
        char *path = outputs_boxes_path(wanted->boxes, ids[i], n_ids > 1);
        rc = path ? places_add_output(&all->files, "--boxes", path, NULL)
                  : TRK_FAIL(TRK_E_MEMORY, "--boxes: out of memory");
        trk_heap_release(path);
    }
    return rc;
}

static trk_status collect_job(everything *all, const job *item)
{
    const size_t n_before = all->files.n_items;
    trk_status rc = collect(all, &item->wanted, item->where);
    if (rc || !item->wanted.boxes)
        return rc;
    rc = places_add_output(&all->files, "--boxes", item->wanted.boxes, item->where);
    if (!rc && all->files.n_items > n_before)
        all->files.items[all->files.n_items - 1].numbered = 1;
    return rc;
}

/* --- comparing -------------------------------------------------------------------------------------------------- */

/* " of FILE:LINE" where b stands in another line than a. */
static const char *of_line(const place *a, const place *b)
{
    return b->where && (!a->where || strcmp(a->where, b->where)) ? " of " : "";
}

static const char *line_name(const place *a, const place *b)
{
    return *of_line(a, b) ? b->where : "";
}

static trk_status in_line(const place *at, trk_status rc)
{
    return rc && at->where ? trk_fail_prefix(rc, at->where) : rc;
}

/* A name that a frame of --masks may have. */
static int is_name_of_frame(const char *name)
{
    const char *rest = output_after_frame(name);
    return rest && !strcmp(rest, ".png");
}

/* A state is written beside its place and renamed, by the run that has read it. */
static int is_state_of_same_run(const place *output, const place *input)
{
    return !strcmp(output->role, "--save-state") && !strcmp(input->role, "the state of --resume") &&
           output->where == input->where;
}

static trk_status check_file(const place *output, const places *inputs)
{
    for (size_t i = 0; i < inputs->n_items; i++) {
        const place *input = &inputs->items[i];
        if (S_ISDIR(input->self.st_mode)) {
            if (output->has_parent && place_is_inode(&output->parent, &input->self))
                return TRK_FAIL(TRK_E_ARGUMENT, "%s: %s lies in the folder of the video, %s: expected another folder",
                                output->role, output->path, input->path);
        } else if (!is_state_of_same_run(output, input) &&
                   (place_is_same(output, input) || (output->numbered && place_is_numbered(output, input))))
            return TRK_FAIL(TRK_E_ARGUMENT, "%s: %s is %s%s%s, and would be overwritten", output->role, output->path,
                            input->role, of_line(output, input), line_name(output, input));
    }
    return TRK_OK;
}

static trk_status check_folder_of_video(const place *folder, const places *inputs)
{
    for (size_t i = 0; i < inputs->n_items; i++)
        if (folder->exists && S_ISDIR(inputs->items[i].self.st_mode) &&
            place_is_inode(&folder->self, &inputs->items[i].self))
            return TRK_FAIL(TRK_E_ARGUMENT, "%s: %s is the folder of the video: expected another folder", folder->role,
                            folder->path);
    return TRK_OK;
}

/* A folder of --masks gets images named by number; one of --logits only .npy files, which nothing else is. */
static trk_status check_masks(const place *folder, const places *inputs, const places *files)
{
    for (size_t i = 0; folder->exists && i < inputs->n_items; i++) {
        const place *input = &inputs->items[i];
        if (input->has_parent && place_is_inode(&folder->self, &input->parent) && is_name_of_frame(input->name))
            return TRK_FAIL(TRK_E_ARGUMENT, "%s: %s holds %s, %s, which could be overwritten: expected another folder",
                            folder->role, folder->path, input->role, input->name);
    }
    for (size_t i = 0; folder->exists && i < files->n_items; i++) {
        const place *output = &files->items[i];
        if (output->has_parent && place_is_inode(&folder->self, &output->parent) && is_name_of_frame(output->name))
            return TRK_FAIL(TRK_E_ARGUMENT, "%s: %s is a name that --masks may use: expected another one", output->role,
                            output->path);
    }
    return TRK_OK;
}

/* is_sure: 0 where it depends on the objects. */
static trk_status refuse_pair(const place *a, const place *b, int is_sure)
{
    return in_line(a, TRK_FAIL(TRK_E_ARGUMENT, "%s: %s %s also the file of %s%s%s: expected another one", a->role,
                               a->path, is_sure ? "is" : "may be", b->role, of_line(a, b), line_name(a, b)));
}

static trk_status check_pairs(const places *list)
{
    for (size_t i = 1; i < list->n_items; i++)
        for (size_t j = 0; j < i; j++) {
            const place *a = &list->items[i], *b = &list->items[j];
            const int is_same = place_is_same(a, b);
            if (is_same || (a->numbered && place_is_numbered(a, b)) || (b->numbered && place_is_numbered(b, a)))
                return refuse_pair(a, b, is_same);
        }
    return TRK_OK;
}

static trk_status check(const everything *all)
{
    trk_status rc = TRK_OK;
    for (size_t i = 0; i < all->files.n_items && !rc; i++)
        rc = in_line(&all->files.items[i], check_file(&all->files.items[i], &all->inputs));
    for (size_t i = 0; i < all->masks.n_items && !rc; i++) {
        rc = check_folder_of_video(&all->masks.items[i], &all->inputs);
        rc = in_line(&all->masks.items[i], rc ? rc : check_masks(&all->masks.items[i], &all->inputs, &all->files));
    }
    for (size_t i = 0; i < all->logits.n_items && !rc; i++)
        rc = in_line(&all->logits.items[i], check_folder_of_video(&all->logits.items[i], &all->inputs));
    TRK_CHECK(rc);
    TRK_CHECK(check_pairs(&all->files));
    TRK_CHECK(check_pairs(&all->masks));
    TRK_CHECK(check_pairs(&all->logits));
done:
    return rc;
}

/* --- the uses ---------------------------------------------------------------------------------------------------- */

trk_status conflicts_refuse(const options *wanted, const char *model, const int *ids, size_t n_ids)
{
    everything all = {{0}, {0}, {0}, {0}};
    trk_status rc = TRK_OK;
    if (wanted->boxes && !strcmp(wanted->boxes, "-") && n_ids > 1)
        return TRK_FAIL(TRK_E_ARGUMENT,
                        "--boxes: - takes the boxes of one object: expected a file name with %zu objects", n_ids);
    TRK_CHECK(collect(&all, wanted, NULL));
    TRK_CHECK(places_add_input(&all.inputs, "the model", model, NULL));
    TRK_CHECK(collect_boxes(&all, wanted, ids, n_ids));
    TRK_CHECK(check(&all));
done:
    everything_free(&all);
    return rc;
}

trk_status conflicts_refuse_jobs(const options *wanted, const char *model, const job_list *list)
{
    everything all = {{0}, {0}, {0}, {0}};
    trk_status rc = TRK_OK;
    TRK_CHECK(places_add_input(&all.inputs, "the file of --list", wanted->list, NULL));
    TRK_CHECK(places_add_input(&all.inputs, "the model", model, NULL));
    TRK_CHECK(places_add_output(&all.files, "--memory-report", wanted->memory_report_file, NULL));
    for (size_t i = 0; i < list->n_items; i++)
        TRK_CHECK(collect_job(&all, &list->items[i]));
    TRK_CHECK(check(&all));
done:
    everything_free(&all);
    return rc;
}

/* The masks of a clip go to DIR/CLIP: with a folder of the dataset as DIR that could be a clip's truth. */
static trk_status check_masks_of_clip(const char *folder, const dataset_clip *clip, const dataset_places *taken)
{
    char *path = trk_heap_format("path", "%s/%s", folder, clip->name);
    trk_status rc = path ? TRK_OK : TRK_FAIL(TRK_E_MEMORY, "--masks: out of memory");
    if (!rc && dataset_places_have(taken, path))
        rc = TRK_FAIL(TRK_E_ARGUMENT, "--masks: %s belongs to the dataset, and would be overwritten", path);
    trk_heap_release(path);
    return rc;
}

int conflicts_is_other_file(const char *path, const char *format)
{
    char start[64], found[sizeof start];
    const size_t n = (size_t)snprintf(start, sizeof start, "{\"format\": \"%s\"", format);
    struct stat status;
    FILE *file = stat(path, &status) || !S_ISREG(status.st_mode) || !status.st_size ? NULL : fopen(path, "rbe");
    if (!file)
        return 0; /* what stands against writing there is told elsewhere */
    const int other = fread(found, 1, n, file) != n || memcmp(found, start, n) != 0;
    fclose(file);
    return other;
}

trk_status conflicts_refuse_eval(const options *wanted, const dataset_clip *const *clips, size_t n_clips)
{
    const char *out = wanted->results;
    const char *unused;
    trk_status rc = wanted->boxes ? option_place("boxes", wanted->boxes, &unused) : TRK_OK; /* a folder here */
    if (rc)
        return rc;
    if (out && conflicts_is_other_file(out, "track-eval-1"))
        return TRK_FAIL(TRK_E_ARGUMENT, "--out: %s is there and no result of track eval: expected another name", out);
    dataset_places taken = {0};
    if (wanted->masks)
        TRK_CHECK(dataset_places_collect(&taken, clips, n_clips));
    for (size_t i = 0; i < n_clips && wanted->masks && !rc; i++)
        rc = check_masks_of_clip(wanted->masks, clips[i], &taken);
done:
    dataset_places_free(&taken);
    return rc;
}
