/* SPDX-License-Identifier: Apache-2.0
 * The public calls that make things: models, trackers and pools with their defaults; and those of the process. */
#include <string.h>

#include "heap.h"
#include "log.h"
#include "tracker.h"

const char *trk_version(void)
{
    return TRK_TEXT_OF(TRK_VERSION_MAJOR) "." TRK_TEXT_OF(TRK_VERSION_MINOR) "." TRK_TEXT_OF(TRK_VERSION_PATCH);
}

const char *trk_build_info(void)
{
    return trk_backend_describe();
}

const char *trk_last_error(void)
{
    return trk_error_text();
}

static void (*user_log)(void *user, int level, const char *line);

static void forward_log(void *user, trk_log_level level, const char *line)
{
    user_log(user, (int)level, line);
}

void trk_set_log(void (*function)(void *user, int level, const char *line), void *user, int level)
{
    user_log = function;
    trk_log_set(function ? forward_log : NULL, user, (trk_log_level)level);
}

/* A params struct of any age: fields the caller's version lacks are zero, fields this version lacks must be. */
trk_status trk_params_read(void *out, size_t size, const void *params, const char *name)
{
    memset(out, 0, size);
    if (!params)
        return TRK_OK;
    size_t given;
    memcpy(&given, params, sizeof given);
    if (given < sizeof given || given > 4096)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s.struct_size is %zu; set it with the _INIT macro", name, given);
    for (size_t i = size; i < given; i++)
        if (((const unsigned char *)params)[i])
            return TRK_FAIL(TRK_E_ARGUMENT, "%s has a field set that this version (%s) does not know", name,
                            trk_version());
    memcpy(out, params, given < size ? given : size);
    return TRK_OK;
}

trk_status trk_out_check(const char *call, const void *handle, const void *out, size_t size)
{
    size_t given;
    if (!handle || !out)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: arguments must not be NULL", call);
    memcpy(&given, out, sizeof given);
    if (given < size)
        return TRK_FAIL(TRK_E_ARGUMENT, "%s: out->struct_size is %zu, expected %zu; set it with sizeof", call, given, size);
    return TRK_OK;
}

/* A GPU if one can be used, else the CPU, with the reason in the log. */
static trk_backend_kind best_backend(const trk_model_params *p)
{
    trk_error_line kept;
    trk_error_keep(&kept);
    if (trk_backend_check(TRK_BACKEND_CUDA, p->device_index) >= 0)
        return TRK_BACKEND_CUDA;
    trk_log(TRK_LOG_INFO, "no GPU is used: %s", trk_error_text());
    trk_error_restore(&kept);
    return TRK_BACKEND_CPU;
}

static trk_status choose_backend(const trk_model_params *p, trk_backend_params *out)
{
    out->device = p->device_index;
    out->n_threads = p->threads;
    switch (p->device) {
    case TRK_DEVICE_AUTO:
        out->kind = best_backend(p);
        break;
    case TRK_DEVICE_CPU:
        out->kind = TRK_BACKEND_CPU;
        break;
    case TRK_DEVICE_REFERENCE:
        out->kind = TRK_BACKEND_REF;
        break;
    case TRK_DEVICE_CUDA:
        out->kind = TRK_BACKEND_CUDA;
        break;
    default:
        return TRK_FAIL(TRK_E_ARGUMENT, "device %d: expected a trk_device", (int)p->device);
    }
    switch (p->precision) {
    case TRK_PRECISION_AUTO: /* bf16 in hardware holds: tests/e2e/test_quality bf16 */
        out->activation = out->kind != TRK_BACKEND_REF && trk_backend_has_bf16(out->kind) ? TRK_BF16 : TRK_F32;
        break;
    case TRK_PRECISION_F32:
        out->activation = TRK_F32;
        break;
    case TRK_PRECISION_BF16:
        out->activation = TRK_BF16;
        break;
    default:
        return TRK_FAIL(TRK_E_ARGUMENT, "precision %d: expected a trk_precision", (int)p->precision);
    }
    return TRK_OK;
}

static trk_device device_of(trk_backend_kind kind)
{
    return kind == TRK_BACKEND_CUDA ? TRK_DEVICE_CUDA : kind == TRK_BACKEND_REF ? TRK_DEVICE_REFERENCE : TRK_DEVICE_CPU;
}

trk_status trk_model_load(trk_model **out, const char *path, const trk_model_params *params)
{
    trk_model_params p;
    trk_network_model_params np = {0};
    trk_model *model = NULL;
    trk_error_line kept;
    trk_status rc;
    if (!out || !path)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_model_load: out and path must not be NULL");
    TRK_CHECK(trk_params_read(&p, sizeof p, params, "trk_model_params"));
    TRK_CHECK(choose_backend(&p, &np.backend));
    if (p.threads < 0 || p.threads > 1024) {
        rc = TRK_FAIL(TRK_E_ARGUMENT, "threads %d: expected 0 (all cores) to 1024", p.threads);
        goto done;
    }
    np.image_size = p.image_size;
    np.config = p.config_path;
    model = trk_heap_zeroed(TRK_MEM_PINNED, "model", 1, sizeof *model);
    if (!model) {
        rc = TRK_FAIL(TRK_E_MEMORY, "no memory for a model");
        goto done;
    }
    trk_error_keep(&kept);
    rc = trk_network_model_load(&model->network, path, &np);
    const int refused = rc == TRK_E_MEMORY || rc == TRK_E_BACKEND || rc == TRK_E_UNSUPPORTED;
    if (refused && p.device == TRK_DEVICE_AUTO && np.backend.kind == TRK_BACKEND_CUDA) {
        trk_log(TRK_LOG_INFO, "no GPU is used: %s", trk_error_text());
        trk_error_restore(&kept);
        p.device = TRK_DEVICE_CPU;
        TRK_CHECK(choose_backend(&p, &np.backend));
        rc = trk_network_model_load(&model->network, path, &np);
    }
    TRK_CHECK(rc);
    model->device = device_of(np.backend.kind);
    *out = model;
    model = NULL;
done:
    trk_model_destroy(&model);
    return rc;
}

void trk_model_destroy(trk_model **handle)
{
    if (!handle || !*handle)
        return;
    trk_network_model_free(&(*handle)->network);
    trk_heap_release(*handle);
    *handle = NULL;
}

trk_status trk_model_get_info(const trk_model *model, trk_model_info *out)
{
    trk_status rc = trk_out_check("trk_model_get_info", model, out, sizeof *out);
    if (rc < 0)
        return rc;
    const trk_network_model *m = model->network;
    size_t size = out->struct_size;
    *out = (trk_model_info){
        .struct_size = size,
        .family = m->arch.family,
        .size_name = m->arch.size_name,
        .image_size = m->image_size,
        .mask_size = m->image_size / 4,
        .n_parameters = m->n_parameters,
        .device = model->device,
        .precision = trk_backend_activation(m->backend) == TRK_BF16 ? TRK_PRECISION_BF16 : TRK_PRECISION_F32,
        .threads = trk_backend_threads(m->backend),
    };
    return TRK_OK;
}

/* --- trackers and pools ------------------------------------------------------------------------------------------ */

#define DEFAULT_SWEEP_ABOVE 0.8

static trk_status check_params(const trk_tracker_params *p)
{
    if ((int)p->sweep < TRK_SWEEP_EVERY || p->sweep > TRK_SWEEP_NEVER)
        return TRK_FAIL(TRK_E_ARGUMENT, "sweep %d: expected a trk_sweep", (int)p->sweep);
    const trk_switch switches[] = {p->binarize, p->stability, p->non_overlap, p->correct_as_condition};
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if ((int)switches[i] < TRK_OFF || switches[i] > TRK_ON)
            return TRK_FAIL(TRK_E_ARGUMENT, "switch %d: expected TRK_DEFAULT, TRK_ON or TRK_OFF", (int)switches[i]);
    if (p->sweep_every < 0)
        return TRK_FAIL(TRK_E_ARGUMENT, "sweep_every %d: expected 1 or more (0 = 1)", p->sweep_every);
    if (!(p->sweep_above >= 0) || p->sweep_above > 1)
        return TRK_FAIL(TRK_E_ARGUMENT, "sweep_above %g: expected a share of the budget, 0 to 1", p->sweep_above);
    if ((int)p->memory_type < TRK_MEMORY_BF16 || p->memory_type > TRK_MEMORY_Q8 ||
        (int)p->older_memory_type < TRK_MEMORY_BF16 || p->older_memory_type > TRK_MEMORY_Q8)
        return TRK_FAIL(TRK_E_ARGUMENT, "memory types %d and %d: expected a trk_memory_type", (int)p->memory_type,
                        (int)p->older_memory_type);
    if (!trk_policy_of(p->policy))
        return TRK_FAIL(TRK_E_ARGUMENT, "policy %d: expected a trk_policy_kind", (int)p->policy);
    if (p->motion && !trk_policy_of(p->policy)->choose)
        return TRK_FAIL(TRK_E_ARGUMENT, "motion parameters: expected a policy that has a motion model");
    if (p->older_after < 0)
        return TRK_FAIL(TRK_E_ARGUMENT, "older_after %d: expected 1 or more frames (0 = not used)", p->older_after);
    return TRK_OK;
}

static void fill_defaults(trk_tracker_params *p)
{
    p->fill_holes = p->fill_holes ? p->fill_holes : TRK_DEFAULT_FILL_HOLES;
    p->sweep_every = p->sweep_every ? p->sweep_every : 1;
    p->sweep_above = p->sweep_above > 0 ? p->sweep_above : DEFAULT_SWEEP_ABOVE;
    p->max_prompts_in_memory = p->max_prompts_in_memory ? p->max_prompts_in_memory : TRK_DEFAULT_PROMPTS_IN_MEMORY;
    p->history = p->history < 0 ? -1 : p->history > TRK_FRAME_LIMIT ? TRK_FRAME_LIMIT : p->history;
}

trk_status trk_tracker_params_read(trk_tracker_params *out, const trk_tracker_params *params)
{
    trk_status rc = trk_params_read(out, sizeof *out, params, "trk_tracker_params");
    if (rc < 0 || (rc = check_params(out)) < 0)
        return rc;
    out->struct_size = sizeof *out;
    fill_defaults(out);
    return TRK_OK;
}

trk_status trk_tracker_create(trk_tracker **out, const trk_model *model, const trk_tracker_params *params)
{
    trk_tracker_params p;
    if (!out || !model)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_tracker_create: out and model must not be NULL");
    trk_status rc = trk_tracker_params_read(&p, params);
    return rc < 0 ? rc : trk_tracker_open(out, model, &p);
}

trk_status trk_pool_create(trk_pool **out, const trk_model *model, const trk_pool_params *params)
{
    trk_pool_params p;
    if (!out || !model)
        return TRK_FAIL(TRK_E_ARGUMENT, "trk_pool_create: out and model must not be NULL");
    trk_status rc = trk_params_read(&p, sizeof p, params, "trk_pool_params");
    return rc < 0 ? rc : trk_pool_open(out, model, &p, model->network->memory);
}

void trk_pool_destroy(trk_pool **handle)
{
    if (!handle || !*handle)
        return;
    trk_pool_leave(*handle);
    *handle = NULL;
}
