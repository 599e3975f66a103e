/* SPDX-License-Identifier: Apache-2.0
 * Generated weights, frames and masks against the hashes that scripts/goldens/make_goldens.py streams wrote: both sides
 * of the goldens start from the same bytes. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "seeded_frames.h"
#include "seeded_weights.h"

/* "96x3x7x7" -> dims; returns their number */
static int parse_shape(const char *text, int64_t *dims)
{
    int n = 0;
    for (char *end; n < 8; text = end + 1) {
        dims[n++] = strtoll(text, &end, 10);
        if (*end != 'x')
            break;
    }
    return n;
}

static uint64_t hash_of_tensor(uint64_t seed, const char *name, const char *shape)
{
    int64_t dims[8];
    int n_dims = parse_shape(shape, dims);
    size_t count = 1;
    for (int i = 0; i < n_dims; i++)
        count *= (size_t)dims[i];
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    /* in two calls: a tensor may be generated in pieces of any size */
    size_t part = count / 3;
    seeded_tensor(values, seed, name, n_dims, dims, 0, part);
    seeded_tensor(values + part, seed, name, n_dims, dims, part, count - part);
    uint64_t hash = seeded_hash_floats(values, count);
    free(values);
    return hash;
}

static uint64_t hash_of_frame(uint64_t seed, int t, int blank)
{
    static uint8_t rgb[SEEDED_HEIGHT * SEEDED_WIDTH * 3];
    seeded_frame(rgb, seed, t, blank);
    return seeded_fnv1a(rgb, sizeof rgb, SEEDED_FNV_START);
}

static uint64_t hash_of_mask(int k, int t)
{
    static uint8_t mask[SEEDED_HEIGHT * SEEDED_WIDTH];
    seeded_object_mask(mask, k, t);
    return seeded_fnv1a(mask, sizeof mask, SEEDED_FNV_START);
}

static void streams_match(void **state)
{
    (void)state;
    FILE *f = fopen(GOLDEN_DATA "/streams.txt", "r");
    assert_non_null(f);
    char line[512], name[256], shape[64];
    uint64_t seed, wanted, found;
    int t, k, blank, n_lines = 0;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "tensor %" SCNu64 " %255s %63s %" SCNx64, &seed, name, shape, &wanted) == 4)
            found = hash_of_tensor(seed, name, shape);
        else if (sscanf(line, "frame %" SCNu64 " %d %d %" SCNx64, &seed, &t, &blank, &wanted) == 4)
            found = hash_of_frame(seed, t, blank);
        else if (sscanf(line, "mask %d %d %" SCNx64, &k, &t, &wanted) == 3)
            found = hash_of_mask(k, t);
        else
            fail_msg("not understood: %s", line);
        if (found != wanted)
            fail_msg("found %016" PRIx64 " for: %s", found, line);
        n_lines++;
    }
    fclose(f);
    assert_in_range(n_lines, 20, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(streams_match)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
