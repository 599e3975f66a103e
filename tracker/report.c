/* SPDX-License-Identifier: Apache-2.0
 * What a tracker is at, and where bytes are. */
#include <string.h>

#include "heap.h"
#include "tracker.h"

trk_status trk_tracker_get_info(const trk_tracker *t, trk_tracker_info *out)
{
    trk_status rc = trk_out_check("trk_tracker_get_info", t, out, sizeof *out);
    if (rc < 0)
        return rc;
    *out = (trk_tracker_info){.struct_size = out->struct_size,
                              .started = t->started,
                              .index = t->index,
                              .next = t->started ? t->index + trk_direction(t) : 0,
                              .width = t->width,
                              .height = t->height,
                              .reverse = t->params.reverse != 0,
                              .policy = t->params.policy,
                              .n_objects = t->n_objects,
                              .n_prompts_left_out = t->n_prompts_left_out};
    for (size_t i = 0; i < t->n_objects; i++)
        for (const trk_prompt *p = t->objects[i]->waiting; p; p = p->next)
            out->n_waiting++;
    pthread_mutex_lock(&t->pool->mutex);
    out->n_sweeps = t->sweeper.n_sweeps;
    out->resident = t->resident || !t->evicted.bytes;
    pthread_mutex_unlock(&t->pool->mutex);
    return TRK_OK;
}

size_t trk_tracker_all_objects(const trk_tracker *t, int *ids, size_t capacity)
{
    size_t n = t ? t->n_objects : 0;
    for (size_t i = 0; ids && i < n && i < capacity; i++)
        ids[i] = t->objects[i]->id;
    return n;
}

/* --- bytes ---------------------------------------------------------------------------------------------------- */

static void add_account(trk_device_bytes *out, trk_account *account)
{
    trk_account copy;
    trk_account_read(account, &copy);
    for (int c = 0; c < TRK_MEM_CLASSES; c++) {
        out->now[c] += copy.now[c];
        out->peak[c] += copy.peak[c];
    }
    out->total_now += copy.total_now;
    out->total_peak += copy.total_peak;
}

/* What lies on the host heap, without what is the CPU's device memory there. Its peak is what the two peaks leave: they
 * need not have come at the same time. */
static trk_device_bytes host_bytes(const trk_device_bytes *device)
{
    trk_device_bytes out = {.device = trk_host_memory.name};
    trk_account heap;
    trk_heap_measure(&heap);
    const int on_heap = !strcmp(device->device, trk_cpu_memory.name);
    for (int c = 0; c < TRK_MEM_CLASSES; c++) {
        const size_t now = on_heap ? device->now[c] : 0, peak = on_heap ? device->peak[c] : 0;
        out.now[c] = heap.now[c] > now ? heap.now[c] - now : 0;
        out.peak[c] = heap.peak[c] > peak + out.now[c] ? heap.peak[c] - peak : out.now[c];
        out.total_now += out.now[c];
    }
    const size_t of_device = on_heap ? device->total_peak : 0;
    out.total_peak = heap.total_peak > of_device + out.total_now ? heap.total_peak - of_device : out.total_now;
    return out;
}

trk_status trk_tracker_memory(const trk_tracker *t, trk_memory_use *out)
{
    trk_status rc = trk_out_check("trk_tracker_memory", t, out, sizeof *out);
    if (rc < 0)
        return rc;
    trk_network_model *m = t->model->network;
    *out = (trk_memory_use){.struct_size = out->struct_size,
                            .n_devices = 2,
                            .rope_builds = m->rope_builds,
                            .rope_bytes = (size_t)m->grid * m->grid * m->arch.d_model * sizeof(float),
                            .tables_checksum = trk_network_model_tables_checksum(m)};
    pthread_mutex_lock(&t->pool->mutex); /* others may be sweeping it */
    out->n_sweeps = t->sweeper.n_sweeps;
    pthread_mutex_unlock(&t->pool->mutex);
    trk_device_bytes *device = &out->devices[0];
    device->device = t->pool->ledger.device->name;
    device->budget = t->pool->ledger.budget;
    add_account(device, &m->ledger.account);
    add_account(device, &t->pool->ledger.account);
    out->devices[1] = host_bytes(device);
    for (size_t i = 0; i < out->n_devices; i++) {
        out->total_now += out->devices[i].total_now;
        out->total_peak += out->devices[i].total_peak;
    }
    return TRK_OK;
}

typedef struct owner_list {
    trk_owner_bytes *items;
    size_t n, capacity;
} owner_list;

static void add_owners(owner_list *list, const char *device, trk_account *account)
{
    trk_account copy;
    trk_account_read(account, &copy);
    for (size_t i = 0; i < copy.n_owners; i++, list->n++) {
        const trk_owner_use *o = &copy.owners[i];
        if (list->n < list->capacity)
            list->items[list->n] = (trk_owner_bytes){device, o->owner, (int)o->mem_class, o->now, o->peak, o->n_now};
    }
}

size_t trk_tracker_memory_owners(const trk_tracker *t, trk_owner_bytes *out, size_t capacity)
{
    owner_list list = {out, 0, out ? capacity : 0};
    if (!t)
        return 0;
    add_owners(&list, t->pool->ledger.device->name, &t->model->network->ledger.account);
    add_owners(&list, t->pool->ledger.device->name, &t->pool->ledger.account);
    add_owners(&list, t->pool->host.device->name, &t->pool->host.account);
    return list.n;
}
