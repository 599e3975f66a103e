/* SPDX-License-Identifier: Apache-2.0 */
#include "info.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "model_path.h"

#define CONFIG_BYTES_MOST (1 << 20) /* real ones have a few thousand */

/* The whole file, terminated: *text is the caller's to free. */
static trk_status read_text(const char *path, char **text)
{
    FILE *file = fopen(path, "rbe");
    trk_status rc = TRK_OK;
    if (!file)
        return TRK_FAIL(TRK_E_IO, "--model-config: %s: %s", path, strerror(errno));
    *text = malloc(CONFIG_BYTES_MOST + 1);
    if (!*text)
        TRK_CHECK(TRK_FAIL(TRK_E_MEMORY, "--model-config: %s: out of memory", path));
    size_t n = fread(*text, 1, CONFIG_BYTES_MOST, file);
    (*text)[n] = 0;
    if (ferror(file))
        TRK_CHECK(TRK_FAIL(TRK_E_IO, "--model-config: %s: %s", path, strerror(errno)));
    if (n == CONFIG_BYTES_MOST || memchr(*text, 0, n))
        TRK_CHECK(
            TRK_FAIL(TRK_E_FORMAT, "--model-config: %s: expected JSON text below %d bytes", path, CONFIG_BYTES_MOST));
done:
    fclose(file);
    return rc;
}

trk_status info_print(const char *model, const char *config)
{
    char *path = NULL, *json = NULL, *text = NULL;
    trk_status rc = TRK_OK;
    TRK_CHECK(model_path_find(model, &path));
    if (config)
        TRK_CHECK(read_text(config, &json));
    rc = trk_model_describe(path, json, &text);
    if (text)
        fputs(text, stdout); /* also of a file that is no usable model, as far as it could be told */
done:
    free(path);
    free(json);
    free(text);
    return rc;
}
