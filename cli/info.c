/* SPDX-License-Identifier: Apache-2.0 */
#include "info.h"

#include <stdio.h>

#include "describe.h"
#include "heap.h"
#include "model_path.h"
#include "text_file.h"

trk_status info_print(const char *model, const char *config)
{
    char *path = NULL, *json = NULL, *text = NULL;
    trk_status rc = TRK_OK;
    TRK_CHECK(model_path_find(model, &path));
    if (config && (rc = trk_text_file_read(config, &json)) < 0)
        TRK_CHECK(trk_fail_prefix(rc, "--model-config"));
    rc = trk_model_describe(path, json, &text);
    if (text)
        fputs(text, stdout); /* also of a file that is no usable model, as far as it could be told */
done:
    trk_heap_release(path);
    trk_heap_release(json);
    trk_heap_release(text);
    return rc;
}
