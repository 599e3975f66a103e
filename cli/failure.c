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

void first_failure_note(first_failure *self, trk_status rc)
{
    if (rc >= 0 || self->status < 0)
        return;
    self->status = rc;
    snprintf(self->text, sizeof self->text, "%s", trk_error_text());
}

trk_status first_failure_tell(const first_failure *self)
{
    return self->status < 0 ? TRK_FAIL(self->status, "%s", self->text) : TRK_OK;
}
