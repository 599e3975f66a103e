/* SPDX-License-Identifier: Apache-2.0
 * A stand-in for an NVIDIA driver, as far as FFmpeg needs one to decode: two small libraries with the names that FFmpeg
 * loads. Its device memory cannot be read by the CPU, and its decoder does not decode: it shows the pictures that the
 * test gives it, in the order of decoding. What FFmpeg and video/ do with a device then runs as it is. */
#ifndef TRK_TESTS_VIDEO_DRIVER_H
#define TRK_TESTS_VIDEO_DRIVER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define DRIVER_API __attribute__((visibility("default")))

typedef struct driver_state {
    /* what it is asked to do */
    int no_device;
    int primary_active; /* 1: the CUDA runtime has made the primary context, with primary_flags */
    unsigned primary_flags;
    int unsupported;        /* 1: no stream can be decoded */
    int no_decoder;         /* 1: decoders cannot be created */
    int decode_fails_after; /* pictures; -1 = never */
    /* Picture number n in decoding order, 4:2:0, into [height + (height + 1) / 2][pitch] with the chroma interleaved;
     * samples of bytes_each (2: in the upper bits). */
    void (*show)(int n, uint8_t *out, size_t pitch, int height, int bytes_each);
    /* what it has done */
    atomic_int n_contexts; /* of its own, not the primary one */
    atomic_int n_retained; /* of the primary context, now */
    atomic_int n_blocks;   /* of device memory, now */
    atomic_int n_mapped;   /* decoded pictures held, now */
    atomic_int most_mapped;
    atomic_int n_decoded;
    atomic_int n_downloads; /* planes */
} driver_state;

extern DRIVER_API driver_state driver;

/* Device memory, as addresses that must not be touched; and where its bytes really are. 0: there is no more. */
DRIVER_API unsigned long long driver_allocate(size_t bytes);
DRIVER_API void driver_release(unsigned long long address);
DRIVER_API uint8_t *driver_bytes(const void *address);

#endif
