/* SPDX-License-Identifier: Apache-2.0
 * J, the DAVIS region similarity: intersection over union of an object's pixels, averaged over frames. */
#ifndef TRK_CLI_EVAL_H
#define TRK_CLI_EVAL_H

#include "error.h"

/* Compares the palette PNGs of two folders, file by file of truth_folder, and prints a table to standard output. A
 * frame on which both have nothing of the object counts as 1; frames before the object's first in the truth do not
 * count. */
trk_status eval_folders(const char *masks_folder, const char *truth_folder);

#endif
