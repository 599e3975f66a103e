/* SPDX-License-Identifier: Apache-2.0
 * Which policies there are, the one of SAM 2 (Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024), which
 * asks for nothing, and the parameters of those that know motion. */
#include "policy.h"

#include "tracker.h"

const trk_policy trk_policy_sam2 = {.window = &trk_window_recent};

const trk_policy *trk_policy_of(trk_policy_kind kind)
{
    switch (kind) {
    case TRK_POLICY_SAM2:
        return &trk_policy_sam2;
    case TRK_POLICY_SAMURAI:
        return &trk_policy_samurai;
    }
    return NULL;
}

#define LARGE_EMBED_DIM 144 /* of the large model, for which another weight was published */

static trk_motion_params published(int embed_dim)
{
    return (trk_motion_params){.struct_size = sizeof(trk_motion_params),
                               .weight = embed_dim >= LARGE_EMBED_DIM ? 0.15 : 0.25,
                               .stable_frames = 15,
                               .stable_iou = 0.3,
                               .memory_iou = 0.5,
                               .memory_object_score = 0.0,
                               .memory_motion = 0.0,
                               .min_object_score = -1.0};
}

static trk_status check(const trk_motion_params *p)
{
    const double shares[] = {p->weight, p->stable_iou, p->memory_iou, p->memory_motion};
    static const char *const names[] = {"weight", "stable_iou", "memory_iou", "memory_motion"};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        if (!(shares[i] >= 0 && shares[i] <= 1))
            return TRK_FAIL(TRK_E_ARGUMENT, "trk_motion_params: %s %g: expected 0 to 1", names[i], shares[i]);
    if (p->stable_frames < 1)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_motion_params: stable_frames %d: expected 1 or more", p->stable_frames);
    const double scores[] = {p->memory_object_score, p->min_object_score};
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++)
        if (!(scores[i] > -1e6 && scores[i] < 1e6))
            return TRK_FAIL(TRK_E_ARGUMENT, "trk_motion_params: object score %g: expected a logit", scores[i]);
    return TRK_OK;
}

trk_status trk_motion_read(trk_motion_params *out, const trk_motion_params *given, int embed_dim)
{
    *out = published(embed_dim);
    if (!given)
        return TRK_OK;
    trk_status rc = trk_params_read(out, sizeof *out, given, "trk_motion_params");
    out->struct_size = sizeof *out;
    out->strict_reference = out->strict_reference != 0;
    return rc < 0 ? rc : check(out);
}

trk_status trk_motion_defaults(const trk_model *model, trk_motion_params *out)
{
    trk_status rc = trk_out_check("trk_motion_defaults", model, out, sizeof *out);
    if (rc < 0)
        return rc;
    const size_t size = out->struct_size;
    *out = published(model->network->arch.embed_dim);
    out->struct_size = size;
    return TRK_OK;
}
