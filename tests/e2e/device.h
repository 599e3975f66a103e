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
    const trk_status rc = trk_backend_check(TRK_BACKEND_CUDA, 0);
    if (rc < 0) { /* a card that is there and fails is no reason to skip */
        printf("%s: %s\n", rc == TRK_E_UNSUPPORTED ? "skipped" : "FAILED", trk_last_error());
        exit(rc == TRK_E_UNSUPPORTED ? 77 : 1);
    }
    return TRK_DEVICE_CUDA;
}

#endif
