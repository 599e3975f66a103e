/* SPDX-License-Identifier: Apache-2.0 */
#include "model_path.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap.h"
#include "target.h"

#ifndef TRK_SOURCE_MODELS
#error "TRK_SOURCE_MODELS: the folder of shipped models in the source tree"
#endif

static int is_plain_name(const char *model)
{
    const char *dot = strrchr(model, '.');
    return !strchr(model, '/') && !(dot && (!strcmp(dot, ".pt") || !strcmp(dot, ".safetensors")));
}

/* "FOLDER/NAME.safetensors" into *path if there is such a file; else TRK_E_NOT_FOUND, with no text recorded. */
static trk_status try_folder(const char *folder, const char *name, char **path)
{
    char *candidate = trk_heap_format("path", "%s/%s.safetensors", folder, name);
    if (!candidate)
        return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", name);
    if (trk_is_file(candidate)) {
        *path = candidate;
        return TRK_OK;
    }
    trk_heap_release(candidate);
    return TRK_E_NOT_FOUND;
}

static const char *installed_models(char folder[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    if (n <= 0)
        return NULL;
    folder[n] = 0;
    char *slash = strrchr(folder, '/');
    static const char rest[] = "/../share/track/models";
    if (!slash || (size_t)(slash - folder) + sizeof rest > PATH_MAX)
        return NULL;
    memcpy(slash, rest, sizeof rest);
    return folder;
}

trk_status model_path_find(const char *model, char **path)
{
    char installed[PATH_MAX];
    const char *folders[] = {getenv("TRK_MODEL_DIR"), installed_models(installed), TRK_SOURCE_MODELS};
    if (!is_plain_name(model) || trk_is_file(model)) {
        char *copy = trk_heap_text("path", model);
        if (!copy)
            return TRK_FAIL(TRK_E_MEMORY, "%s: out of memory", model);
        *path = copy;
        return TRK_OK;
    }
    for (int i = 0; i < 3; i++) {
        trk_status rc = folders[i] && *folders[i] ? try_folder(folders[i], model, path) : TRK_E_NOT_FOUND;
        if (rc != TRK_E_NOT_FOUND)
            return rc;
    }
    return TRK_FAIL(TRK_E_NOT_FOUND, "%s: no such file, and no model of that name in %s%s%s, %s", model,
                    folders[0] ? folders[0] : "", folders[0] ? ", " : "", folders[1] ? folders[1] : "", folders[2]);
}
