/* SPDX-License-Identifier: Apache-2.0
 * True masks, frame by frame: from PNGs of indices, from a PNG per object, from run lengths. */
#include <string.h>

#include "dataset_internal.h"
#include "heap.h"
#include "index_map.h"
#include "rle.h"

void dataset_rle_free(dataset_rle *truth)
{
    if (!truth)
        return;
    for (size_t i = 0; truth->texts && i < truth->n_frames * truth->n_objects; i++)
        trk_heap_release(truth->texts[i]);
    trk_heap_release(truth->texts);
    trk_heap_release(truth);
}

static void release_masks(truth_masks *masks)
{
    for (size_t i = 0; i < masks->n_masks; i++)
        trk_heap_release(masks->masks[i]);
    trk_heap_release(masks->masks);
    masks->masks = NULL;
    masks->n_masks = 0;
}

void truth_masks_free(truth_masks *masks)
{
    release_masks(masks);
    trk_heap_release(masks->indices);
    *masks = (truth_masks){0};
}

/* What does not belong to the clip's kind goes; n masks are there after it, each NULL or of the size it had. */
static trk_status prepare(truth_masks *out, const dataset_clip *clip, size_t n)
{
    if (out->n_masks != n)
        release_masks(out);
    if (n) {
        trk_heap_release(out->indices);
        out->indices = NULL;
    }
    if (n && !out->masks) {
        out->masks = trk_heap_zeroed(TRK_MEM_FRAME, "truth", n, sizeof *out->masks);
        if (!out->masks)
            return dataset_no_memory(clip->truth);
        out->n_masks = n;
    }
    return TRK_OK;
}

static trk_status check_size(const dataset_clip *clip, const char *path, const trk_image *image, int width, int height)
{
    if (!width || (image->width == width && image->height == height))
        return TRK_OK;
    return TRK_FAIL(TRK_E_FORMAT, "%s: %d x %d pixels, expected %d x %d as clip %s has", path, image->width,
                    image->height, width, height, clip->name);
}

static trk_status read_indexed(truth_masks *out, const dataset_clip *clip, size_t i)
{
    trk_image image = {0};
    trk_status rc = index_map_read(&image, clip->files[i]);
    if (!rc)
        rc = check_size(clip, clip->files[i], &image, clip->width, clip->height);
    if (rc) {
        trk_image_free(&image);
        return rc;
    }
    trk_heap_release(out->indices);
    out->indices = image.data;
    out->width = image.width;
    out->height = image.height;
    return TRK_OK;
}

static trk_status read_binary_object(truth_masks *out, const dataset_clip *clip, size_t i, size_t object)
{
    trk_image image = {0};
    trk_status rc = TRK_OK;
    char *folder = dataset_path(clip->truth, clip->objects[object].name), *path = NULL;
    if (folder)
        path = dataset_path(folder, clip->files[i]);
    if (!path)
        TRK_CHECK(dataset_no_memory(clip->truth));
    trk_heap_release(out->masks[object]);
    out->masks[object] = NULL;
    if (!dataset_has_file(folder, clip->files[i]))
        goto done;
    TRK_CHECK(index_map_read(&image, path));
    TRK_CHECK(check_size(clip, path, &image, out->width, out->height));
    out->width = image.width;
    out->height = image.height;
    out->masks[object] = image.data;
    image.data = NULL;
done:
    trk_image_free(&image);
    trk_heap_release(path);
    trk_heap_release(folder);
    return rc;
}

static trk_status read_rle(truth_masks *out, const dataset_clip *clip, size_t i)
{
    const dataset_rle *truth = clip->rle;
    const size_t n_pixels = (size_t)truth->width * (size_t)truth->height;
    rle scratch = {0};
    trk_status rc = TRK_OK;
    for (size_t k = 0; k < clip->n_objects && !rc; k++) {
        const char *text = truth->texts[(size_t)clip->annotated[i] * truth->n_objects + k];
        uint8_t *mask = trk_heap_resize(out->masks[k], TRK_MEM_FRAME, "truth", n_pixels);
        if (!mask) {
            rc = dataset_no_memory(clip->truth);
            break;
        }
        out->masks[k] = mask;
        if (text)
            rc = rle_decode(&scratch, mask, truth->width, truth->height, truth->width, text);
        else
            memset(mask, 0, n_pixels);
    }
    rle_free(&scratch);
    out->width = truth->width;
    out->height = truth->height;
    return rc < 0 ? trk_fail_prefix(rc, clip->truth) : rc;
}

void dataset_clip_truth_size(const dataset_clip *clip, int *width, int *height)
{
    const dataset_rle *runs = clip->kind == TRUTH_RLE ? clip->rle : NULL;
    *width = runs ? runs->width : 0;
    *height = runs ? runs->height : 0;
}

trk_status dataset_clip_truth(truth_masks *out, const dataset_clip *clip, size_t i)
{
    if (clip->kind == TRUTH_BOXES || i >= clip->n_annotated)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: clip %s: no mask %zu", clip->truth, clip->name, i);
    trk_status rc = prepare(out, clip, clip->kind == TRUTH_INDEXED ? 0 : clip->n_objects);
    if (rc || clip->kind == TRUTH_INDEXED)
        return rc ? rc : read_indexed(out, clip, i);
    if (clip->kind == TRUTH_RLE)
        return read_rle(out, clip, i);
    out->width = clip->width;
    out->height = clip->height;
    for (size_t k = 0; k < clip->n_objects && !rc; k++)
        rc = read_binary_object(out, clip, i, k);
    return rc;
}

void truth_masks_object(uint8_t *out, const truth_masks *masks, const dataset_clip *clip, size_t object)
{
    const size_t n = (size_t)masks->width * (size_t)masks->height;
    const int id = clip->objects[object].id;
    const uint8_t *mask = masks->indices ? NULL : masks->masks[object];
    for (size_t i = 0; masks->indices && i < n; i++)
        out[i] = masks->indices[i] == id;
    for (size_t i = 0; mask && i < n; i++)
        out[i] = mask[i] != 0;
    if (!masks->indices && !mask)
        memset(out, 0, n);
}
