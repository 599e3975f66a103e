/* SPDX-License-Identifier: Apache-2.0
 * Where shipped models are found by name. */
#ifndef TRK_CLI_MODEL_PATH_H
#define TRK_CLI_MODEL_PATH_H

#include "error.h"

/* A file is taken as it is; else NAME.safetensors is looked for in the folder of the environment variable
 * TRK_MODEL_DIR, in ../share/track/models beside the command, and in the source tree it was built from. *path is
 * released with trk_heap_release. TRK_E_NOT_FOUND lists the places. */
trk_status model_path_find(const char *model, char **path);

#endif
