/* SPDX-License-Identifier: Apache-2.0 */
#include "info.h"

#include <stdio.h>

#include "describe.h"
#include "heap.h"
#include "model_path.h"

trk_status info_print(const char *model, const char *config)
{
    char *path = NULL, *text = NULL;
    trk_status rc = TRK_OK;
    TRK_CHECK(model_path_find(model, &path));
    rc = trk_model_describe(path, config, &text);
    if (text)
        fputs(text, stdout); /* also of a file that is no usable model, as far as it could be told */
done:
    trk_heap_release(path);
    trk_heap_release(text);
    return rc;
}
