/* SPDX-License-Identifier: Apache-2.0 */
#include "tiff.h"

#include <string.h>

enum { HEADER = 8, ENTRY = 12, NEXT = 4 /* where the next directory is */ };

static unsigned get16(const uint8_t *p, int big)
{
    return big ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0];
}

static void put16(uint8_t *p, unsigned value, int big)
{
    p[big ? 0 : 1] = (uint8_t)(value >> 8);
    p[big ? 1 : 0] = (uint8_t)value;
}

static size_t get32(const uint8_t *p, int big)
{
    return (size_t)get16(p + (big ? 0 : 2), big) << 16 | get16(p + (big ? 2 : 0), big);
}

typedef struct tiff_file {
    const uint8_t *bytes;
    size_t n;
    int big; /* byte order */
} tiff_file;

static int is_among(unsigned tag, const uint16_t *tags, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (tags[i] == tag)
            return 1;
    return 0;
}

/* SampleFormat: whether every sample is an unsigned integer (1), or of no told kind (4), as without the entry. */
static int has_usual_samples(const tiff_file *f, const uint8_t *entry)
{
    enum { SHORT = 3, INLINE = 2 /* values in the entry itself */ };
    const size_t count = get32(entry + 4, f->big), at = get32(entry + 8, f->big);
    const uint8_t *values = entry + 8;
    if (get16(entry + 2, f->big) != SHORT || count == 0)
        return 0;
    if (count > INLINE) {
        if (at > f->n || count > (f->n - at) / 2)
            return 0;
        values = f->bytes + at;
    }
    for (size_t i = 0; i < count; i++)
        if (get16(values + 2 * i, f->big) != 1 && get16(values + 2 * i, f->big) != 4)
            return 0;
    return 1;
}

/* Sizes, compression, colours, strips and tiles; from FIRST_OF_RAW on and CFA how raw pictures of cameras are kept, and
 * among these notes of Alias, ImageJ, GDAL and others. What channels beyond the colours mean (338) is not among them:
 * those are not looked at. */
static int decides_pixels(const tiff_file *f, const uint8_t *entry)
{
    enum { SAMPLE_FORMAT = 339, FIRST_OF_RAW = 50706, LAST_OF_RAW = 51181 };
    static const uint16_t needed[] = {254, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 284, 292,
                                      293, 317, 320, 322, 323, 324, 325, 330, 332, 347, 512, 513, 514, 515,
                                      517, 518, 519, 520, 521, 529, 530, 531, 532, 33421, 33422};
    static const uint16_t notes[] = {50784, 50838, 50839, 50844, 50908, 50909};
    const unsigned tag = get16(entry, f->big);
    if (tag == SAMPLE_FORMAT)
        return !has_usual_samples(f, entry);
    return is_among(tag, needed, sizeof needed / sizeof needed[0]) ||
           (tag >= FIRST_OF_RAW && tag <= LAST_OF_RAW && !is_among(tag, notes, sizeof notes / sizeof notes[0]));
}

void trk_tiff_drop_notes(uint8_t *bytes, size_t n)
{
    if (n < HEADER)
        return;
    const int big = bytes[0] == 'M';
    const size_t at = get32(bytes + 4, big);
    if (at < HEADER || at > n - 2)
        return;
    const unsigned n_entries = get16(bytes + at, big);
    uint8_t *entries = bytes + at + 2;
    if ((size_t)n_entries * ENTRY + NEXT > n - at - 2)
        return;
    const tiff_file f = {bytes, n, big};
    unsigned n_kept = 0;
    for (unsigned i = 0; i < n_entries; i++)
        if (decides_pixels(&f, entries + (size_t)i * ENTRY))
            memmove(entries + (size_t)n_kept++ * ENTRY, entries + (size_t)i * ENTRY, ENTRY);
    memmove(entries + (size_t)n_kept * ENTRY, entries + (size_t)n_entries * ENTRY, NEXT);
    put16(bytes + at, n_kept, big);
}
