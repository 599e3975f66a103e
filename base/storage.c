/* SPDX-License-Identifier: Apache-2.0 */
#include "storage.h"

const char *trk_storage_name(trk_storage storage)
{
    static const char *const names[TRK_STORAGES] = {"bf16", "f32", "f16", "q8"};
    return names[storage];
}
