/* SPDX-License-Identifier: Apache-2.0
 * Generated weights, bit for bit those of scripts/goldens/seeded.py: element i of a tensor is a uniform number u(i) in
 * [-1, 1) hashed from (seed, tensor name, i), times a scale by role and shape, plus an offset. */
#ifndef TRK_TESTS_GOLDEN_SEEDED_WEIGHTS_H
#define TRK_TESTS_GOLDEN_SEEDED_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

/* The seed the goldens of this official size use ("tiny" ...); 0 if there is no such size. */
uint64_t seeded_seed_of(const char *size_name);

/* Fills elements first .. first + count - 1 (row-major) of the tensor with this official name and shape. */
void seeded_tensor(float *out, uint64_t seed, const char *name, int n_dims, const int64_t *dims, size_t first,
                   size_t count);

uint64_t seeded_mix(uint64_t z); /* the finaliser of splitmix64 */
#define SEEDED_GOLDEN 0x9E3779B97F4A7C15u

#define SEEDED_FNV_START 0xCBF29CE484222325u
/* FNV-1a 64, continued from `state`. */
uint64_t seeded_fnv1a(const void *data, size_t bytes, uint64_t state);
/* Of the little-endian bytes of the first 4096 elements and then of every 997th. */
uint64_t seeded_hash_floats(const float *values, size_t count);

#endif
