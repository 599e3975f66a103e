/* SPDX-License-Identifier: Apache-2.0
 * Reading checkpoints: .safetensors (mmap) and the .pt zip container (libzip, restricted pickle reader that builds
 * tensors and nothing else). Whatever the container and naming scheme, tensors come out under the official names. */
#ifndef TRK_MODEL_CHECKPOINT_H
#define TRK_MODEL_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "ops.h"

#define TRK_TENSOR_MAX_DIMS 8

typedef struct trk_tensor {
    const char *name; /* official name; owned by the checkpoint */
    trk_dtype dtype;  /* f32, f16 or bf16; anything else is refused when the file is opened */
    int n_dims;
    int64_t dims[TRK_TENSOR_MAX_DIMS];
    const void *data; /* little endian, contiguous, possibly unaligned; owned by the checkpoint */
    size_t n_elements;
} trk_tensor;

typedef struct trk_checkpoint trk_checkpoint;

/* The container is told by content, not by name. Failures (TRK_E_IO, TRK_E_FORMAT) name the file, the place in it, what
 * was found and what was expected. */
trk_status trk_checkpoint_open(trk_checkpoint **out, const char *path);
void trk_checkpoint_close(trk_checkpoint **checkpoint); /* NULL-safe */

size_t trk_checkpoint_count(const trk_checkpoint *checkpoint);
const trk_tensor *trk_checkpoint_at(const trk_checkpoint *checkpoint, size_t i);           /* sorted by name */
const trk_tensor *trk_checkpoint_find(const trk_checkpoint *checkpoint, const char *name); /* NULL if absent */
/* Of a file with metadata, NULL where it has none; the checkpoint's. */
typedef struct trk_metadata {
    char *architecture; /* JSON */
    char *made;         /* one line on how the weights were made */
} trk_metadata;
const trk_metadata *trk_checkpoint_metadata(const trk_checkpoint *checkpoint);
/* "pt" or "safetensors"; "official" or "huggingface" */
const char *trk_checkpoint_container(const trk_checkpoint *checkpoint);
const char *trk_checkpoint_naming(const trk_checkpoint *checkpoint);

/* Copies a tensor's elements to f32, row-major. */
void trk_tensor_to_f32(const trk_tensor *tensor, float *out);

#endif
