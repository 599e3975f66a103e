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

/* Sizes, compression, colours, strips and tiles; from FIRST_OF_RAW on and CFA: how raw pictures of cameras are kept. */
static int decides_pixels(unsigned tag)
{
    enum { FIRST_OF_RAW = 50706, LAST_OF_RAW = 51181, FIRST_NOTE_AMONG = 50838, LAST_NOTE_AMONG = 50839 /* ImageJ's */ };
    static const uint16_t tags[] = {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 284,
                                    292, 293, 317, 320, 322, 323, 324, 325, 330, 332, 338, 339, 347, 512,
                                    513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 33421, 33422};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        if (tags[i] == tag)
            return 1;
    return tag >= FIRST_OF_RAW && tag <= LAST_OF_RAW && !(tag >= FIRST_NOTE_AMONG && tag <= LAST_NOTE_AMONG);
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
    unsigned n_kept = 0;
    for (unsigned i = 0; i < n_entries; i++)
        if (decides_pixels(get16(entries + (size_t)i * ENTRY, big)))
            memmove(entries + (size_t)n_kept++ * ENTRY, entries + (size_t)i * ENTRY, ENTRY);
    memmove(entries + (size_t)n_kept * ENTRY, entries + (size_t)n_entries * ENTRY, NEXT);
    put16(bytes + at, n_kept, big);
}
