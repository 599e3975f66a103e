/* SPDX-License-Identifier: Apache-2.0 */
#include "eval.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "png_header.h"
#include "video.h"

typedef struct object_score {
    size_t n_frames; /* from the first with truth on */
    double sum;      /* of J */
    double first;    /* J of the first of them */
} object_score;

static int is_png(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && dot != entry->d_name && !strcasecmp(dot, ".png");
}

static trk_status read_mask(trk_image *out, const char *folder, const char *name)
{
    char *path = trk_heap_format("path", "%s/%s", folder, name);
    if (!path)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", folder);
    trk_status rc = trk_image_read(out, path, 1);
    const int colour_type = png_header_colour_type(path);
    if (!rc && colour_type != PNG_PALETTE && colour_type != PNG_GRAY && colour_type != PNG_GRAY_ALPHA)
        rc = TRK_FAIL(TRK_E_FORMAT, "%s: expected a palette PNG or a gray one", path);
    trk_heap_release(path);
    return rc;
}

static void score_frame(object_score scores[256], const trk_image *found, const trk_image *truth)
{
    size_t n_found[256] = {0}, n_truth[256] = {0}, n_both[256] = {0};
    const size_t n_pixels = (size_t)truth->width * (size_t)truth->height;
    for (size_t i = 0; i < n_pixels; i++) {
        n_found[found->data[i]]++;
        n_truth[truth->data[i]]++;
        n_both[truth->data[i]] += truth->data[i] == found->data[i];
    }
    for (int id = 1; id < 256; id++) {
        if (!scores[id].n_frames && !n_truth[id])
            continue;
        const size_t n_union = n_found[id] + n_truth[id] - n_both[id];
        const double j = n_union ? (double)n_both[id] / (double)n_union : 1;
        if (!scores[id].n_frames)
            scores[id].first = j;
        scores[id].n_frames++;
        scores[id].sum += j;
    }
}

static trk_status compare_file(object_score scores[256], const char *masks_folder, const char *truth_folder,
                               const char *name)
{
    trk_image found = {0}, truth = {0};
    trk_status rc = TRK_OK;
    TRK_CHECK(read_mask(&truth, truth_folder, name));
    TRK_CHECK(read_mask(&found, masks_folder, name));
    if (found.width != truth.width || found.height != truth.height)
        TRK_CHECK(TRK_FAIL(TRK_E_FORMAT, "%s/%s: expected the %d x %d pixels of %s, got %d x %d", masks_folder, name,
                           truth.width, truth.height, truth_folder, found.width, found.height));
    score_frame(scores, &found, &truth);
done:
    trk_image_free(&found);
    trk_image_free(&truth);
    return rc;
}

static void print_score(const char *name, size_t n_frames, double mean, double without_first)
{
    printf("%-8s %8zu %8.4f ", name, n_frames, mean);
    if (n_frames > 1)
        printf("%21.4f\n", without_first);
    else
        printf("%21s\n", "-");
}

static trk_status print_scores(const object_score scores[256], const char *truth_folder)
{
    double mean = 0, without_first = 0;
    size_t n_objects = 0, n_frames = 0;
    char name[16];
    for (int id = 1; id < 256; id++) {
        const object_score *s = &scores[id];
        if (!s->n_frames)
            continue;
        if (!n_objects++)
            printf("%-8s %8s %8s %21s\n", "object", "frames", "J", "J without the first");
        const double rest = s->n_frames > 1 ? (s->sum - s->first) / (double)(s->n_frames - 1) : s->first;
        snprintf(name, sizeof name, "%d", id);
        print_score(name, s->n_frames, s->sum / (double)s->n_frames, rest);
        mean += s->sum / (double)s->n_frames;
        without_first += rest;
        n_frames = s->n_frames > n_frames ? s->n_frames : n_frames;
    }
    if (!n_objects)
        return TRK_FAIL(TRK_E_FORMAT, "%s: no object in any of the masks", truth_folder);
    if (n_objects > 1)
        print_score("mean", n_frames, mean / (double)n_objects, without_first / (double)n_objects);
    return TRK_OK;
}

trk_status eval_folders(const char *masks_folder, const char *truth_folder)
{
    object_score scores[256] = {0};
    struct dirent **files = NULL;
    trk_status rc = TRK_OK;
    const int n_files = scandir(truth_folder, &files, is_png, alphasort);
    if (n_files < 0)
        return TRK_FAIL(TRK_E_IO, "%s: cannot be read: %s", truth_folder, strerror(errno));
    if (!n_files)
        rc = TRK_FAIL(TRK_E_NOT_FOUND, "%s: expected palette PNGs, found none", truth_folder);
    for (int i = 0; i < n_files && !rc; i++)
        rc = compare_file(scores, masks_folder, truth_folder, files[i]->d_name);
    for (int i = 0; i < n_files; i++)
        free(files[i]); /* libc allocated it, in scandir */
    free(files);        /* libc allocated it, in scandir */
    return rc ? rc : print_scores(scores, truth_folder);
}
