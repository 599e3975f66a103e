/* SPDX-License-Identifier: Apache-2.0
 * A folder of palette PNGs alone, as `track --masks` writes it: NNNNN.png is frame NNNNN. One clip, named as the
 * folder, without a video; 255 is void. An object starts on the first frame that shows it. */
#include <string.h>

#include "dataset_internal.h"

trk_status dataset_open_masks(dataset *self, const char *split)
{
    dataset_clip *clip;
    const char *slash = strrchr(self->path, '/'), *name = slash ? slash + 1 : self->path;
    if (split)
        return TRK_FAIL(TRK_E_ARGUMENT, "split \"%s\": a folder of masks has none", split);
    trk_status rc = dataset_clip_add(&clip, self, dataset_name_is_safe(name) ? name : "masks");
    if (!rc)
        rc = dataset_clip_indexed(clip, self->path, NULL);
    if (rc)
        return rc;
    clip->void_label = PALETTE_VOID;
    clip->n_frames = clip->annotated[clip->n_annotated - 1] + 1;
    return dataset_clip_scan(clip, clip->n_annotated);
}
