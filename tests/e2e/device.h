/* SPDX-License-Identifier: Apache-2.0
 * Where models of a test compute: TEST_DEVICE=cuda in the environment makes it the GPU, and nothing else. */
#ifndef TRK_TESTS_E2E_DEVICE_H
#define TRK_TESTS_E2E_DEVICE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "track.h"

/* Ends the program as skipped where there is no card and one is asked for. */
static inline trk_device test_device(void)
{
    const char *wanted = getenv("TEST_DEVICE");
    if (!wanted || strcmp(wanted, "cuda") != 0)
        return TRK_DEVICE_AUTO;
    if (trk_backend_check(TRK_BACKEND_CUDA, 0) < 0) {
        printf("skipped: %s\n", trk_last_error());
        exit(77);
    }
    return TRK_DEVICE_CUDA;
}

#endif
