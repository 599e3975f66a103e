/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "heap.h"
#include "log.h"

static trk_status count_parameters(void *user, const char *name, int n_dims, const int64_t *dims)
{
    int64_t n = 1;
    for (int i = 0; i < n_dims; i++)
        n *= dims[i];
    if (!strstr(name, "positional_encoding_gaussian_matrix")) /* a buffer upstream, not a parameter */
        *(int64_t *)user += n;
    return TRK_OK;
}

trk_status trk_network_model_load(trk_network_model **out, const char *path, const trk_network_model_params *params)
{
    trk_checkpoint *checkpoint = NULL;
    trk_network_model *model = trk_heap_zeroed(TRK_MEM_PINNED, "model", 1, sizeof *model);
    trk_status rc = TRK_OK;
    if (!model)
        return TRK_FAIL(TRK_E_MEMORY, "no memory for a model");
    model->memory = &trk_cpu_memory;
    if (params->backend.kind == TRK_BACKEND_CUDA) {
        const trk_status usable = trk_backend_check(TRK_BACKEND_CUDA, params->backend.device);
        model->memory = usable < 0 ? NULL : trk_cuda_memory(params->backend.device);
        if (!model->memory) {
            trk_heap_release(model);
            return usable;
        }
    }
    trk_ledger_init(&model->ledger, model->memory);
    TRK_CHECK(trk_checkpoint_open(&checkpoint, path));
    TRK_CHECK(trk_arch_detect(&model->arch, checkpoint, params->config, path));
    TRK_CHECK(trk_arch_verify(&model->arch, checkpoint));
    TRK_CHECK(trk_arch_inventory(&model->arch, count_parameters, &model->n_parameters));
    model->image_size = params->image_size ? params->image_size : model->arch.image_size;
    TRK_CHECK(trk_arch_check_image_size(&model->arch, model->image_size));
    model->grid = model->image_size / 16;
    TRK_CHECK(trk_backend_create(&model->backend, &params->backend, &model->ledger.allocator));
    TRK_CHECK(trk_weights_load(model, checkpoint));
    trk_log(TRK_LOG_INFO, "%s: %s %s, %lld parameters, image size %d", path, model->arch.family, model->arch.size_name,
            (long long)model->n_parameters, model->image_size);
    *out = model;
    model = NULL;
done:
    trk_checkpoint_close(&checkpoint);
    trk_network_model_free(&model);
    return rc;
}

void trk_network_model_free(trk_network_model **handle)
{
    trk_network_model *model = *handle;
    if (!model)
        return;
    *handle = NULL;
    for (size_t i = 0; i < model->n_linears; i++)
        trk_linear_release(model->linears[i], model->backend, &model->ledger.allocator);
    for (size_t i = 0; i < model->n_convs; i++)
        trk_conv_release(model->convs[i], model->backend, &model->ledger.allocator);
    trk_backend_destroy(&model->backend);
    for (size_t i = 0; i < model->n_pinned; i++) {
        const trk_pinned *p = &model->pinned[i];
        if (p->on_host)
            trk_heap_release(p->data);
        else
            trk_ledger_release(&model->ledger, TRK_MEM_PINNED, p->data, p->bytes);
    }
    trk_heap_release(model->weights.blocks);
    trk_heap_release(model->pinned);
    trk_heap_release(model->linears);
    trk_heap_release(model->convs);
    trk_ledger_destroy(&model->ledger);
    trk_heap_release(model);
}

/* Of its bytes as they are now; 0 (one in 2^64 for any other) when they can not be read. */
static uint64_t checksum_now(const trk_network_model *model, const trk_pinned *p)
{
    if (model->memory->on_host || p->on_host)
        return XXH3_64bits(p->data, p->bytes);
    void *copy = trk_heap_allocate(TRK_MEM_SCRATCH, "copy of a table", p->bytes);
    uint64_t sum = 0;
    if (copy && model->memory->read(model->memory, copy, p->data, p->bytes) >= 0)
        sum = XXH3_64bits(copy, p->bytes);
    trk_heap_release(copy);
    return sum;
}

uint64_t trk_network_model_tables_checksum(const trk_network_model *model)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < model->n_pinned; i++) {
        const trk_pinned *p = &model->pinned[i];
        if (!p->is_table)
            continue;
        uint64_t now = checksum_now(model, p);
        sum = XXH3_64bits_withSeed(&now, sizeof now, sum);
    }
    return sum;
}

trk_status trk_network_model_verify_tables(const trk_network_model *model)
{
    for (size_t i = 0; i < model->n_pinned; i++) {
        const trk_pinned *p = &model->pinned[i];
        if (p->is_table && checksum_now(model, p) != p->checksum)
            return TRK_FAIL(TRK_E_BACKEND, "pinned %s (%zu bytes) was written to: its checksum is not that of the load",
                            p->owner, p->bytes);
    }
    return TRK_OK;
}
