/* SPDX-License-Identifier: Apache-2.0 */
#include "failure.h"

#include <stdio.h>

#include "track.h"

trk_status failure_of_library(trk_status rc)
{
    char text[1024];
    snprintf(text, sizeof text, "%s", trk_last_error());
    return TRK_FAIL(rc, "%s", text);
}
