/* SPDX-License-Identifier: Apache-2.0 */
#include "eval.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "conflicts.h"
#include "eval_clip.h"
#include "failure.h"
#include "heap.h"
#include "identity.h"
#include "jobs.h"
#include "mask_files.h"
#include "output_file.h"
#include "report.h"

typedef struct evaluation {
    const options *wanted;
    dataset data;
    const dataset_clip **chosen; /* [n] in the order of the dataset; owned, the clips are the dataset's */
    clip_result *clips;          /* [n] of these; owned */
    unsigned char *done;         /* [n] owned */
    size_t n;
    session models;
    int has_models;
    int boxes_created; /* folders of --boxes that were not there before */
    eval_identity identity;
    eval_results results; /* its clips: at the end, those that are done */
    char *parts;          /* folder of single clips; owned; NULL: without --out, and with --pred */
    eval_shared shared;
    progress_group progress;
    pthread_mutex_t mutex; /* of what follows */
    size_t next, n_failed;
    char failure[1024]; /* of the only clip */
} evaluation;

static trk_status no_memory(void)
{
    return TRK_FAIL(TRK_E_MEMORY, "eval: out of memory");
}

/* --- which clips ------------------------------------------------------------------------------------------------ */

/* The clip whose name stands at the beginning of names, up to a comma or the end; of several the longest, as names may
 * have commas. NULL: there is none. */
static const dataset_clip *first_named(const dataset *data, const char *names)
{
    const dataset_clip *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < data->n_clips; i++) {
        const size_t n = strlen(data->clips[i].name);
        if (n > longest && !strncmp(names, data->clips[i].name, n) && (!names[n] || names[n] == ',')) {
            found = &data->clips[i];
            longest = n;
        }
    }
    return found;
}

/* Into the places that they have in the dataset. */
static trk_status choose_named(evaluation *self, const char *names)
{
    while (*names) {
        const dataset_clip *found = first_named(&self->data, names);
        if (!found)
            return TRK_FAIL(TRK_E_ARGUMENT, "--clip: no clip \"%.*s\" among the %zu of %s", (int)strcspn(names, ","),
                            names, self->data.n_clips + self->data.n_left_out, self->data.path);
        self->chosen[found - self->data.clips] = found;
        names += strlen(found->name);
        names += *names == ',';
    }
    return TRK_OK;
}

static trk_status choose_clips(evaluation *self)
{
    const char *names = self->wanted->clips;
    const size_t n = self->data.n_clips;
    self->chosen = trk_heap_zeroed(TRK_MEM_SCRATCH, "eval", n + !n, sizeof *self->chosen);
    self->clips = trk_heap_zeroed(TRK_MEM_SCRATCH, "eval", n + !n, sizeof *self->clips);
    self->done = trk_heap_zeroed(TRK_MEM_SCRATCH, "eval", n + !n, 1);
    if (!self->chosen || !self->clips || !self->done)
        return no_memory();
    trk_status rc = names ? choose_named(self, names) : TRK_OK;
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (!names || self->chosen[i])
            self->chosen[self->n++] = &self->data.clips[i];
    return self->n ? TRK_OK : TRK_FAIL(TRK_E_FORMAT, "%s: no clip in it", self->data.path);
}

static trk_status open_dataset(evaluation *self)
{
    const options *wanted = self->wanted;
    dataset_layout layout = DATASET_AUTO;
    struct stat state;
    trk_status rc = TRK_OK;
    if (wanted->layout && (rc = dataset_layout_parse(&layout, wanted->layout)))
        return trk_fail_prefix(rc, "--layout");
    if (wanted->pred && stat(wanted->pred, &state))
        return TRK_FAIL(TRK_E_IO, "--pred: %s: cannot be read: %s", wanted->pred, strerror(errno));
    if (wanted->pred && !S_ISDIR(state.st_mode))
        return TRK_FAIL(TRK_E_IO, "--pred: %s: expected a folder", wanted->pred);
    TRK_CHECK(dataset_open(&self->data, wanted->operands[0], layout, wanted->split, wanted->clips));
    self->results.dataset = self->data.path;
    self->results.layout = self->data.layout;
    TRK_CHECK(box_layout_parse(&self->shared.boxes, wanted->box_layout, self->data.layout));
    TRK_CHECK(choose_clips(self));
    if (self->data.layout == DATASET_MASKS && !wanted->pred)
        rc = TRK_FAIL(TRK_E_ARGUMENT, "%s: has masks but no frames to track: expected --pred DIR", self->data.path);
done:
    return rc;
}

/* Shows early that nothing can be written there. */
static trk_status open_boxes(evaluation *self)
{
    const char *folder = self->wanted->boxes;
    if (!folder)
        return TRK_OK;
    trk_status rc = box_files_refuse(folder, self->shared.boxes, self->chosen, self->n);
    if (rc)
        return rc;
    rc = output_folder_create(folder, &self->boxes_created);
    return rc ? trk_fail_prefix(rc, "--boxes") : TRK_OK;
}

static trk_status open_models(evaluation *self)
{
    trk_pool_info info = {.struct_size = sizeof info};
    self->has_models = 1;
    trk_status rc = session_open(&self->models, self->wanted);
    if (rc)
        return rc;
    rc = trk_pool_get_info(self->models.pool, &info);
    self->shared.models = &self->models;
    self->shared.budget = info.budget;
    return rc ? failure_of_library(rc) : TRK_OK;
}

/* --- what is kept until the file is whole ------------------------------------------------------------------------- */

/* PARTS/CLIP.json, '/' in names as "%2F", '%' as "%25"; of a long name the beginning and a hash. Owned. */
static char *part_path(const evaluation *self, const dataset_clip *clip)
{
    enum { LONGEST = 218, SHORTENED = 180 }; /* a file system has 255, and there is more to come */
    const size_t n = 3 * strlen(clip->name) + 32;
    char *safe = trk_heap_allocate(TRK_MEM_SCRATCH, "path", n), *at = safe, *path = NULL;
    for (const char *c = clip->name; safe && *c; c++)
        if (*c == '/' || *c == '%')
            at += snprintf(at, 4, "%%%02X", (unsigned)*c);
        else
            *at++ = *c;
    if (safe) {
        *at = 0;
        if (at - safe > LONGEST)
            snprintf(safe + SHORTENED, 24, "-%016" PRIx64, (uint64_t)XXH3_64bits(clip->name, strlen(clip->name)));
        path = trk_heap_format("path", "%s/%s.json", self->parts, safe);
    }
    trk_heap_release(safe);
    return path;
}

/* Whether a file is left of a chosen clip's part that was being written. */
static int is_left_over(const evaluation *self, const char *name)
{
    int is_ours = 0;
    for (size_t i = 0; i < self->n && !is_ours && strstr(name, ".part-"); i++) {
        char *path = part_path(self, self->chosen[i]);
        is_ours = path && trk_is_temporary_of(name, strrchr(path, '/') + 1);
        trk_heap_release(path);
    }
    return is_ours;
}

/* Those of the chosen clips; others may be another command's. The folder too, if nothing else is in it. */
static void remove_parts(const evaluation *self)
{
    for (size_t i = 0; i < self->n; i++) {
        char *path = part_path(self, self->chosen[i]);
        if (path)
            unlink(path);
        trk_heap_release(path);
    }
    DIR *folder = opendir(self->parts);
    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        if (is_left_over(self, entry->d_name))
            unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    rmdir(self->parts);
}

static void forget_parts(evaluation *self)
{
    for (size_t i = 0; i < self->n; i++) {
        if (self->done[i])
            clip_result_free(&self->clips[i]);
        self->done[i] = 0;
    }
    remove_parts(self);
}

static size_t count_done(const evaluation *self)
{
    size_t n = 0;
    for (size_t i = 0; i < self->n; i++)
        n += self->done[i];
    return n;
}

/* Else the clip was tracked without --boxes or --masks, or with other folders, and is tracked once more. */
static int are_files_there(const evaluation *self, const dataset_clip *clip, const clip_result *part)
{
    const char *boxes = self->wanted->boxes, *masks = self->wanted->masks;
    const int boxes_there = !boxes || (part->boxes_at == eval_identity_of_place(boxes) &&
                                       box_files_are_there(boxes, self->shared.boxes, clip)),
              masks_there = !masks || (part->masks_at == eval_identity_of_place(masks) &&
                                       mask_files_are_there(masks, clip, part->n_frames));
    return boxes_there && masks_there;
}

static int has_objects_of(const clip_result *part, const dataset_clip *clip)
{
    int same = part->n_objects == clip->n_objects;
    for (size_t i = 0; same && i < clip->n_objects; i++)
        same = part->objects[i].id == clip->objects[i].id;
    return same;
}

/* The file has '?' for what JSON can not have; the clip's name is in `source` as it is. */
static trk_status take_name(clip_result *part, const dataset_clip *clip)
{
    trk_heap_release(part->name);
    part->name = trk_heap_text("results", clip->name);
    return part->name ? TRK_OK : no_memory();
}

static trk_status take_part(evaluation *self, size_t i)
{
    const dataset_clip *clip = self->chosen[i];
    clip_result *part = &self->clips[i];
    char *path = part_path(self, clip);
    trk_status rc = path ? clip_result_read(part, &self->results, path) : no_memory();
    if (!rc) {
        const int same = part->source == eval_identity_of_clip(clip) && has_objects_of(part, clip);
        self->done[i] = same && are_files_there(self, clip, part);
        if (!same)
            report_line("%s: results of the clip as it was before a change: it begins anew", path);
        if (self->done[i])
            rc = take_name(part, clip);
        else
            clip_result_free(part);
    }
    trk_heap_release(path);
    return rc;
}

/* Before any part is removed or written over. */
static trk_status refuse_foreign_parts(const evaluation *self)
{
    trk_status rc = TRK_OK;
    for (size_t i = 0; i < self->n && !rc; i++) {
        char *path = part_path(self, self->chosen[i]);
        if (!path)
            rc = no_memory();
        else if (conflicts_is_other_file(path, "track-eval-clip-1"))
            rc = TRK_FAIL(TRK_E_ARGUMENT, "--out: %s is there and no part of an evaluation: expected another name",
                          path);
        trk_heap_release(path);
    }
    return rc;
}

/* Anything in the folder that is not of this evaluation makes it begin anew; what is of a clip that has changed, that
 * clip alone. */
static trk_status take_parts(evaluation *self)
{
    for (size_t i = 0; i < self->n; i++) {
        trk_status rc = take_part(self, i);
        if (rc == TRK_E_MEMORY)
            return rc;
        if (rc && rc != TRK_E_NOT_FOUND) {
            report_line("%s: beginning anew", trk_error_text());
            forget_parts(self);
            return TRK_OK;
        }
    }
    const size_t n = count_done(self);
    if (n && !self->wanted->quiet)
        report_line("%zu of %zu clips are done, in %s", n, self->n, self->parts);
    return TRK_OK;
}

static trk_status open_parts(evaluation *self)
{
    const char *path = self->wanted->results;
    int created;
    trk_status rc = output_file_probe(path, 0);
    if (rc)
        return trk_fail_prefix(rc, "--out");
    if (!strcmp(path, "-"))
        return TRK_FAIL(TRK_E_ARGUMENT, "--out: expected a file: the table goes to standard output");
    if (self->wanted->pred) /* whose masks may have changed; they are read again in no time */
        return TRK_OK;
    self->parts = trk_heap_format("path", "%s.d", path);
    if (!self->parts)
        return no_memory();
    rc = refuse_foreign_parts(self);
    rc = rc ? rc : take_parts(self);
    if (!rc && (rc = output_folder_create(self->parts, &created)))
        trk_fail_prefix(rc, "--out");
    return rc;
}

/* Another command with the same --out takes the folder away where it finds it empty. */
static trk_status keep_part(const evaluation *self, size_t i)
{
    int created;
    if (!self->parts)
        return TRK_OK;
    char *path = part_path(self, self->chosen[i]);
    trk_status rc = path ? output_folder_create(self->parts, &created) : no_memory();
    if (!rc)
        rc = clip_result_write(&self->clips[i], &self->results, path);
    trk_heap_release(path);
    return rc;
}

/* --- the clips -------------------------------------------------------------------------------------------------- */

/* SIZE_MAX: there is none left, or the command is being stopped. */
static size_t take_clip(evaluation *self)
{
    pthread_mutex_lock(&self->mutex);
    while (self->next < self->n && self->done[self->next])
        self->next++;
    const size_t taken = session_stop_signal || self->next == self->n ? SIZE_MAX : self->next++;
    pthread_mutex_unlock(&self->mutex);
    return taken;
}

static trk_status do_clip(evaluation *self, size_t i)
{
    const dataset_clip *clip = self->chosen[i];
    const uint64_t source = eval_identity_of_clip(clip); /* before it is read: a change meanwhile shows */
    trk_status rc = self->wanted->pred ? eval_clip_read(&self->clips[i], &self->shared, clip)
                                       : eval_clip_track(&self->clips[i], &self->shared, clip);
    if (rc)
        return rc;
    self->clips[i].source = source;
    self->clips[i].masks_at = eval_identity_of_place(self->wanted->masks);
    self->clips[i].boxes_at = eval_identity_of_place(self->wanted->boxes);
    rc = keep_part(self, i);
    if (rc)
        clip_result_free(&self->clips[i]);
    return rc;
}

static void tell_failure(evaluation *self, const dataset_clip *clip)
{
    if (self->n == 1) /* then it is the command's */
        snprintf(self->failure, sizeof self->failure, "%.200s: %s", clip->name, trk_error_text());
    else
        report_line("%s: %s", clip->name, trk_error_text());
}

static void *work(void *user)
{
    evaluation *self = user;
    for (size_t i; (i = take_clip(self)) != SIZE_MAX;) {
        trk_status rc = do_clip(self, i);
        if (rc < 0)
            tell_failure(self, self->chosen[i]);
        progress_group_job_done(&self->progress);
        pthread_mutex_lock(&self->mutex);
        self->done[i] = !rc;
        self->n_failed += rc < 0;
        pthread_mutex_unlock(&self->mutex);
    }
    return NULL;
}

static void do_clips(evaluation *self)
{
    const size_t n_left = self->n - count_done(self), asked = self->wanted->jobs ? (size_t)self->wanted->jobs : 1;
    jobs_run_workers(work, self, asked < n_left ? asked : n_left);
    report_clear();
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

/* Into one row, in the order of the dataset. */
static void gather(evaluation *self)
{
    eval_results *out = &self->results;
    out->clips = self->clips;
    for (size_t i = 0; i < self->n; i++)
        if (self->done[i])
            out->clips[out->n_clips++] = self->clips[i];
    out->n_left_out = self->n - out->n_clips;
    self->clips = NULL;
}

static trk_status tell_rest(const evaluation *self)
{
    const size_t n_done = self->results.n_clips;
    char kept[512] = "";
    if (self->parts && n_done)
        snprintf(kept, sizeof kept, "; what is done is kept in %.400s", self->parts);
    if (*self->failure)
        return TRK_FAIL(TRK_E_STATE, "%s", self->failure);
    if (self->n_failed)
        return TRK_FAIL(TRK_E_STATE, "%zu of %zu clips failed%s", self->n_failed, self->n, kept);
    report_line("stopped: %zu of %zu clips done%s", n_done, self->n, kept);
    return TRK_OK;
}

static trk_status finish(evaluation *self)
{
    trk_status rc = TRK_OK;
    gather(self);
    if (self->results.n_clips)
        eval_results_print(&self->results, self->wanted->by_object);
    if (self->results.n_left_out) {
        if (self->parts)
            rmdir(self->parts); /* if there is nothing in it */
        return tell_rest(self);
    }
    if (!self->wanted->results)
        return TRK_OK;
    rc = eval_results_write(&self->results, self->wanted->results);
    if (rc)
        return trk_fail_prefix(rc, "--out");
    if (self->parts)
        remove_parts(self);
    return TRK_OK;
}

static void close_all(evaluation *self)
{
    for (size_t i = 0; self->clips && i < self->n; i++)
        if (self->done[i])
            clip_result_free(&self->clips[i]);
    trk_heap_release(self->clips);
    eval_results_free(&self->results);
    trk_heap_release(self->chosen);
    trk_heap_release(self->done);
    trk_heap_release(self->parts);
    eval_identity_free(&self->identity);
    if (self->has_models)
        session_close(&self->models);
    output_folder_remove_empty(self->wanted->boxes, self->boxes_created);
    dataset_close(&self->data);
    progress_group_destroy(&self->progress);
    pthread_mutex_destroy(&self->mutex);
}

trk_status eval_run(const options *wanted)
{
    evaluation self = {.wanted = wanted};
    trk_status rc = TRK_OK;
    pthread_mutex_init(&self.mutex, NULL);
    progress_group_init(&self.progress, 0);
    self.shared = (eval_shared){.wanted = wanted, .data = &self.data, .progress = &self.progress};
    TRK_CHECK(open_dataset(&self));
    TRK_CHECK(conflicts_refuse_eval(wanted, self.chosen, self.n));
    TRK_CHECK(open_boxes(&self));
    if (!wanted->pred)
        TRK_CHECK(open_models(&self));
    TRK_CHECK(eval_identity_make(&self.identity, &self.results, wanted, self.shared.models));
    if (wanted->results)
        TRK_CHECK(open_parts(&self));
    self.progress.n_jobs = self.n - count_done(&self);
    do_clips(&self);
    rc = finish(&self);
done:
    close_all(&self);
    return rc;
}
