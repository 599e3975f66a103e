/* SPDX-License-Identifier: Apache-2.0 */
#include "numbered_images.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "heap.h"

#define OWNER       "numbered images"
#define MOST_NUMBER (INT64_MAX / 4)

static int is_image(const char *name, int only_png)
{
    static const char *const suffixes[] = {".png", ".jpg", ".jpeg", ".bmp", ".webp",
                                           ".ppm", ".pgm", ".pbm",  ".tif", ".tiff"};
    const char *dot = strrchr(name, '.');
    const size_t n = only_png ? 1 : sizeof suffixes / sizeof *suffixes;
    for (size_t i = 0; dot && name[0] != '.' && i < n; i++)
        if (!strcasecmp(dot, suffixes[i]))
            return 1;
    return 0;
}

/* Of "00012.jpg"; -1: not such a name. */
static int64_t number_of(const char *name)
{
    int64_t number = 0;
    const char *p = name;
    for (; *p >= '0' && *p <= '9' && number >= 0; p++)
        number = number > (MOST_NUMBER - 9) / 10 ? -1 : number * 10 + (*p - '0');
    return p == name || *p != '.' || strchr(p + 1, '.') ? -1 : number;
}

trk_status trk_numbered_images_add(trk_numbered_images *self, int64_t number, const char *name)
{
    trk_numbered_image *items =
        trk_heap_grown(self->items, &self->capacity, self->n + 1, sizeof *items, TRK_MEM_SCRATCH, OWNER);
    if (items)
        self->items = items;
    if (!items || !(items[self->n].name = trk_heap_text(OWNER, name)))
        return TRK_FAIL(TRK_E_MEMORY, "%s: no memory for the names of %zu images", name, self->n + 1);
    items[self->n++].number = number;
    return TRK_OK;
}

static int by_number(const void *a, const void *b)
{
    const trk_numbered_image *x = a, *y = b;
    return x->number != y->number ? (x->number > y->number) - (x->number < y->number) : strcmp(x->name, y->name);
}

void trk_numbered_images_sort(trk_numbered_images *self)
{
    if (self->n)
        qsort(self->items, self->n, sizeof *self->items, by_number);
}

static trk_status list(trk_numbered_images *out, const char *folder, int only_png)
{
    DIR *entries = opendir(folder);
    if (!entries)
        return TRK_FAIL(TRK_E_IO, "%s: %s, expected a folder of %s", folder, strerror(errno),
                        only_png ? "PNGs" : "images");
    trk_status rc = TRK_OK;
    for (const struct dirent *entry; !rc && (errno = 0, entry = readdir(entries));) {
        if (!is_image(entry->d_name, only_png))
            continue;
        const int64_t number = number_of(entry->d_name);
        rc = number < 0 ? TRK_FAIL(TRK_E_FORMAT, "%s/%s: expected images named by number, such as 00000.jpg", folder,
                                   entry->d_name)
                        : trk_numbered_images_add(out, number, entry->d_name);
    }
    if (!rc && errno)
        rc = TRK_FAIL(TRK_E_IO, "%s: cannot be read to its end: %s", folder, strerror(errno));
    closedir(entries);
    return rc;
}

trk_status trk_numbered_images_read(trk_numbered_images *out, const char *folder, int only_png)
{
    trk_status rc = list(out, folder, only_png);
    if (rc)
        return rc;
    if (!out->n)
        return TRK_FAIL(TRK_E_FORMAT, "%s: no %s, expected some named by number, such as 00000.%s", folder,
                        only_png ? "PNGs" : "images", only_png ? "png" : "jpg");
    trk_numbered_images_sort(out);
    for (size_t i = 1; i < out->n; i++)
        if (out->items[i].number == out->items[i - 1].number)
            return TRK_FAIL(TRK_E_FORMAT, "%s: %s and %s have the same number", folder, out->items[i - 1].name,
                            out->items[i].name);
    return TRK_OK;
}

int64_t trk_numbered_images_find(const trk_numbered_images *self, int64_t number)
{
    size_t low = 0, high = self->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->items[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < self->n && self->items[low].number == number ? (int64_t)low : -1;
}

void trk_numbered_images_free(trk_numbered_images *self)
{
    for (size_t i = 0; i < self->n; i++)
        trk_heap_release(self->items[i].name);
    trk_heap_release(self->items);
    *self = (trk_numbered_images){0};
}
