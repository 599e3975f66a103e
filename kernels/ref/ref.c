/* SPDX-License-Identifier: Apache-2.0
 * The reference table. */
#include "ref.h"

#define REF_MEMBER(name, args) .name = trk_##name##_ref,
const trk_ops trk_ref_ops = {TRK_OP_LIST(REF_MEMBER)};
