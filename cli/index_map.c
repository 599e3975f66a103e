/* SPDX-License-Identifier: Apache-2.0 */
#include "index_map.h"

#include "heap.h"
#include "png_header.h"

void index_map_draw(uint8_t *indices, const uint8_t *mask, size_t n_pixels, int object)
{
    for (size_t i = 0; i < n_pixels; i++)
        indices[i] = mask[i] ? (uint8_t)object : indices[i];
}

trk_status index_map_write(const char *folder, const char *name, const uint8_t *indices, int width, int height,
                           const uint8_t (*palette)[3])
{
    char *path = trk_heap_format("name of a file", "%s/%s.png", folder, name);
    if (!path)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", folder);
    trk_status rc = trk_image_write_indexed(path, indices, width, height, width, palette);
    trk_heap_release(path);
    return rc;
}

/* Gray values of 1, 2 or 4 bits come stretched to 0..255: back to what the file says. */
static void shrink_values(trk_image *image, int depth)
{
    const size_t n_pixels = (size_t)image->width * (size_t)image->height;
    const int step = 255 / ((1 << depth) - 1);
    for (size_t i = 0; i < n_pixels; i++)
        image->data[i] = (uint8_t)(image->data[i] / step);
}

trk_status index_map_read(trk_image *out, const char *path)
{
    trk_status rc = trk_image_read(out, path, 1);
    const int colour_type = png_header_colour_type(path), depth = png_header_depth(path);
    if (rc)
        return rc;
    if (colour_type != PNG_PALETTE && colour_type != PNG_GRAY && colour_type != PNG_GRAY_ALPHA) {
        trk_image_free(out);
        return colour_type < 0
                   ? TRK_FAIL(TRK_E_FORMAT, "%s: no PNG, expected a palette PNG or a gray one", path)
                   : TRK_FAIL(TRK_E_FORMAT, "%s: colour type %d, expected a palette PNG (3) or a gray one (0, 4)", path,
                              colour_type);
    }
    if (colour_type == PNG_GRAY && depth > 0 && depth < 8)
        shrink_values(out, depth);
    return TRK_OK;
}
