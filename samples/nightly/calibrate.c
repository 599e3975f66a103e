/* SPDX-License-Identifier: Apache-2.0
 * calibrate THREADS: prints the seconds that a fixed amount of plain work takes on this machine at this moment, and
 * the share they got of the processor time that the threads could have had: well below 1 where others use the machine.
 *
 * The work has nothing of the project in it, so that a slower library can not hide behind a slower unit: every thread
 * multiplies small matrices that fit its cache and sums a buffer that does not, which are the two things that tracking
 * spends its time on. The median of several rounds is printed: what others take of the machine on average is in it, as
 * it is in the time of a clip that runs before or after. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 15, SIDE = 96, PRODUCTS = 48, STREAM = 4 << 20, MAX_THREADS = 256 };

typedef struct worker {
    pthread_t thread;
    float *a, *b, *c; /* [SIDE, SIDE] owned */
    float *stream;    /* [STREAM] owned */
    float sum;        /* read at the end, so that nothing can be left out */
} worker;

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void multiply(const worker *w)
{
    for (int i = 0; i < SIDE; i++)
        for (int k = 0; k < SIDE; k++) {
            const float x = w->a[i * SIDE + k];
            for (int j = 0; j < SIDE; j++)
                w->c[i * SIDE + j] += x * w->b[k * SIDE + j];
        }
}

static void *work(void *user)
{
    worker *w = user;
    for (int n = 0; n < PRODUCTS; n++)
        multiply(w);
    float sums[8] = {0};
    for (int i = 0; i < STREAM; i += 8)
        for (int lane = 0; lane < 8; lane++)
            sums[lane] += w->stream[i + lane];
    w->sum += sums[0] + sums[7] + w->c[SIDE + 1];
    return NULL;
}

static float *filled(size_t n)
{
    float *out = malloc(n * sizeof *out);
    for (size_t i = 0; out && i < n; i++)
        out[i] = (float)(i % 97) * 1e-3f;
    return out;
}

static int prepare(worker *w)
{
    w->a = filled(SIDE * SIDE);
    w->b = filled(SIDE * SIDE);
    w->c = filled(SIDE * SIDE);
    w->stream = filled(STREAM);
    return w->a && w->b && w->c && w->stream;
}

static double one_round(worker *workers, int n)
{
    int started = 0;
    const double begin = seconds_of(CLOCK_MONOTONIC);
    while (started < n && !pthread_create(&workers[started].thread, NULL, work, &workers[started]))
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    return started == n ? seconds_of(CLOCK_MONOTONIC) - begin : -1;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static worker workers[MAX_THREADS];
    const int n = argc == 2 ? atoi(argv[1]) : 0;
    double rounds[ROUNDS], wall = 0;
    float sum = 0;
    if (n < 1 || n > MAX_THREADS) {
        fprintf(stderr, "calibrate: expected 1 to %d threads\n", MAX_THREADS);
        return 2;
    }
    for (int i = 0; i < n; i++)
        if (!prepare(&workers[i]))
            return 1;
    const double used_before = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (int round = 0; round < ROUNDS; round++) {
        if ((rounds[round] = one_round(workers, n)) < 0)
            return 1;
        wall += rounds[round];
    }
    const double used = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - used_before;
    qsort(rounds, ROUNDS, sizeof *rounds, compare);
    for (int i = 0; i < n; i++)
        sum += workers[i].sum;
    printf("%.6f %.3f\n", rounds[ROUNDS / 2], used / (wall * n));
    fprintf(stderr, "calibrate: %d threads, checksum %g\n", n, (double)sum);
    return 0;
}
