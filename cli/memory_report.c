/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_report.h"

#include <inttypes.h>
#include <stdlib.h>

#include "failure.h"
#include "heap.h"
#include "output_file.h"
#include "progress.h"

enum { OWNERS_SHOWN = 10 };

static const char *const class_names[TRK_CLASSES] = {"pinned", "bank", "frame", "scratch"};

typedef struct process_use {
    size_t now, peak;
} process_use;

/* The system brings its peak up to date late, so that it can lie below what is resident now. */
static process_use measure_process(void)
{
    const size_t now = progress_resident_bytes(), peak = progress_resident_peak_bytes();
    return (process_use){now, peak > now ? peak : now};
}

/* --- measuring -------------------------------------------------------------------------------------------------- */

static int compare_owners(const void *a, const void *b)
{
    const trk_owner_bytes *p = a, *q = b;
    return (p->peak < q->peak) - (p->peak > q->peak);
}

trk_status memory_report_measure(memory_report *self, const trk_tracker *tracker)
{
    trk_memory_use use = {.struct_size = sizeof use};
    trk_status rc = trk_tracker_memory(tracker, &use);
    if (rc)
        return failure_of_library(rc);
    const size_t capacity = trk_tracker_memory_owners(tracker, NULL, 0) + 8; /* other threads may add some */
    trk_owner_bytes *owners = trk_heap_zeroed(TRK_MEM_SCRATCH, "memory report", capacity, sizeof *owners);
    if (!owners)
        return TRK_FAIL(TRK_E_MEMORY, "--memory-report: out of memory");
    const size_t n_owners = trk_tracker_memory_owners(tracker, owners, capacity);
    trk_heap_release(self->owners);
    self->use = use;
    self->owners = owners;
    self->n_owners = n_owners < capacity ? n_owners : capacity;
    self->n_sweeps += use.n_sweeps;
    qsort(owners, self->n_owners, sizeof *owners, compare_owners);
    return TRK_OK;
}

void memory_report_free(memory_report *self)
{
    trk_heap_release(self->owners);
    *self = (memory_report){0};
}

/* --- the table -------------------------------------------------------------------------------------------------- */

static void print_row(FILE *stream, const char *device, const char *name, size_t now, size_t peak)
{
    fprintf(stream, "%-8s %-24s %14zu %14zu\n", device, name, now, peak);
}

static void print_device(FILE *stream, const trk_device_bytes *device)
{
    for (int i = 0; i < TRK_CLASSES; i++)
        print_row(stream, device->device, class_names[i], device->now[i], device->peak[i]);
    print_row(stream, device->device, "total", device->total_now, device->total_peak);
    if (device->budget)
        fprintf(stream, "%-8s %-24s %14s %14zu\n", device->device, "budget", "", device->budget);
}

void memory_report_print(const memory_report *self, FILE *stream)
{
    const trk_memory_use *use = &self->use;
    const process_use use_of_process = measure_process();
    fprintf(stream, "%-8s %-24s %14s %14s\n", "device", "class", "now (bytes)", "peak (bytes)");
    for (size_t i = 0; i < use->n_devices; i++)
        print_device(stream, &use->devices[i]);
    print_row(stream, "all", "total", use->total_now, use->total_peak);
    print_row(stream, "", "process", use_of_process.now, use_of_process.peak);
    fprintf(stream, "%-8s %-24s %14s %14s\n", "device", "largest owners", "now (bytes)", "peak (bytes)");
    for (size_t i = 0; i < self->n_owners && i < OWNERS_SHOWN; i++) {
        const trk_owner_bytes *owner = &self->owners[i];
        print_row(stream, owner->device, owner->owner, owner->now, owner->peak);
    }
    fprintf(stream, "features of %" PRIu64 " frames were returned; RoPE tables built %" PRIu64 " time%s\n",
            self->n_sweeps, use->rope_builds, use->rope_builds == 1 ? "" : "s");
}

/* --- JSON ------------------------------------------------------------------------------------------------------- */

/* {"pinned": {"now": 1, "peak": 2}, ...} */
static void print_classes(FILE *stream, const size_t *now, const size_t *peak)
{
    for (int i = 0; i < TRK_CLASSES; i++)
        fprintf(stream, "%s\"%s\": {\"now\": %zu, \"peak\": %zu}", i ? ", " : "{", class_names[i], now[i], peak[i]);
    fputs("}", stream);
}

static void print_devices(FILE *stream, const trk_memory_use *use)
{
    size_t now[TRK_CLASSES] = {0}, peak[TRK_CLASSES] = {0};
    fputs("{\"devices\": [", stream);
    for (size_t i = 0; i < use->n_devices; i++) {
        const trk_device_bytes *device = &use->devices[i];
        fprintf(stream, "%s{\"device\": \"%s\", \"budget\": ", i ? ",\n  " : "\n  ", device->device);
        if (device->budget)
            fprintf(stream, "%zu, \"classes\": ", device->budget);
        else
            fputs("null, \"classes\": ", stream);
        print_classes(stream, device->now, device->peak);
        fprintf(stream, ",\n   \"total\": {\"now\": %zu, \"peak\": %zu}}", device->total_now, device->total_peak);
        for (int k = 0; k < TRK_CLASSES; k++) {
            now[k] += device->now[k];
            peak[k] += device->peak[k];
        }
    }
    fputs("],\n \"classes\": ", stream);
    print_classes(stream, now, peak);
    fprintf(stream, ",\n \"total\": {\"now\": %zu, \"peak\": %zu},\n", use->total_now, use->total_peak);
}

static void print_owners(const memory_report *self, FILE *stream)
{
    fputs(" \"owners\": [", stream);
    for (size_t i = 0; i < self->n_owners; i++) {
        const trk_owner_bytes *owner = &self->owners[i];
        fprintf(stream, "%s{\"device\": \"%s\", \"owner\": \"%s\", \"class\": \"%s\", \"now\": %zu, \"peak\": %zu}",
                i ? ",\n  " : "\n  ", owner->device, owner->owner, class_names[owner->memory_class], owner->now,
                owner->peak);
    }
    fputs("],\n", stream);
}

static void print_json(const memory_report *self, FILE *stream)
{
    const trk_memory_use *use = &self->use;
    const process_use use_of_process = measure_process();
    print_devices(stream, use);
    print_owners(self, stream);
    fprintf(stream, " \"process\": {\"now\": %zu, \"peak\": %zu},\n \"frames_swept\": %" PRIu64 ",\n",
            use_of_process.now, use_of_process.peak, self->n_sweeps);
    fprintf(stream, " \"rope\": {\"builds\": %" PRIu64 ", \"bytes\": %zu},\n", use->rope_builds, use->rope_bytes);
    fprintf(stream, " \"tables_checksum\": \"%016" PRIx64 "\"}\n", use->tables_checksum);
}

trk_status memory_report_write(const memory_report *self, const char *path)
{
    output_file file;
    if (!path) {
        memory_report_print(self, stderr);
        return TRK_OK;
    }
    trk_status rc = output_file_open(&file, path);
    if (rc)
        return trk_fail_prefix(rc, "--memory-report");
    print_json(self, file.stream);
    return output_file_finish(&file);
}
