/* SPDX-License-Identifier: Apache-2.0
 * What a soak run measures, and what is made of it. */
#ifndef TRK_TESTS_SOAK_H
#define TRK_TESTS_SOAK_H

#include "clip.h"

typedef struct soak_sample {
    int64_t frame;     /* pushed so far */
    double wall, cpu;  /* seconds since the first push: of the clock, of the process */
    size_t resident;   /* bytes of the process */
    trk_memory_use use;
    size_t area[CLIP_OBJECTS]; /* pixels of the objects' masks */
} soak_sample;

typedef struct soak_log {
    soak_sample *samples; /* [capacity] owned, touched before the first push */
    size_t n, capacity;
    int64_t n_frames, period; /* frames until the loop is in the same phase again */
    int n_objects, image_size;
    double cpu_old, cpu_fresh; /* CPU seconds of n_raced frames of the old tracker and of a fresh one, in turns */
    int n_raced;
    const char *clip; /* for the title */
} soak_log;

/* One line per claim on stdout. Returns how many do not hold; speed counts with `strict` only. */
int soak_judge(const soak_log *log, int strict);
/* Largest and smallest resident bytes after the first frames. */
void soak_resident_range(const soak_log *log, size_t *low, size_t *high);
double soak_mib(size_t bytes);

/* Both write beside the target and rename. 0, or -1 with a line on stderr. */
int soak_write_csv(const soak_log *log, const char *path);
int soak_write_svg(const soak_log *log, const char *path);

#endif
