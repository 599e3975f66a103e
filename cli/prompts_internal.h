/* SPDX-License-Identifier: Apache-2.0
 * Between the text and the JSON form of prompts. */
#ifndef TRK_CLI_PROMPTS_INTERNAL_H
#define TRK_CLI_PROMPTS_INTERNAL_H

#include "prompts.h"

/* Takes over what item owns, also on failure: *item is zeroed. */
trk_status prompts_append(prompt_list *list, prompt *item);

#endif
