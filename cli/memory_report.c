/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_report.h"

#include <inttypes.h>

#include "output_file.h"
#include "progress.h"

static const char *const class_names[4] = {"pinned", "bank", "frame", "scratch"};

typedef struct process_use {
    size_t now, peak;
} process_use;

/* The system brings its peak up to date late, so that it can lie below what is resident now. */
static process_use measure_process(void)
{
    const size_t now = progress_resident_bytes(), peak = progress_resident_peak_bytes();
    return (process_use){now, peak > now ? peak : now};
}

static void print_row(FILE *stream, const char *name, size_t now, size_t peak)
{
    fprintf(stream, "%-10s %14zu %14zu\n", name, now, peak);
}

void memory_report_print(FILE *stream, const trk_memory_use *use)
{
    const process_use use_of_process = measure_process();
    fprintf(stream, "%-10s %14s %14s\n", "memory", "now (bytes)", "peak (bytes)");
    for (int i = 0; i < 4; i++)
        print_row(stream, class_names[i], use->now[i], use->peak[i]);
    print_row(stream, "total", use->total_now, use->total_peak);
    print_row(stream, "process", use_of_process.now, use_of_process.peak);
    fprintf(stream, "features of %" PRIu64 " frames were returned\n", use->n_sweeps);
}

static void print_json(FILE *stream, const trk_memory_use *use)
{
    const process_use use_of_process = measure_process();
    fputs("{\"classes\": {", stream);
    for (int i = 0; i < 4; i++)
        fprintf(stream, "%s\"%s\": {\"now\": %zu, \"peak\": %zu}", i ? ", " : "", class_names[i], use->now[i],
                use->peak[i]);
    fprintf(stream, "},\n \"total\": {\"now\": %zu, \"peak\": %zu},\n", use->total_now, use->total_peak);
    fprintf(stream, " \"process\": {\"now\": %zu, \"peak\": %zu},\n \"frames_swept\": %" PRIu64 "}\n",
            use_of_process.now, use_of_process.peak, use->n_sweeps);
}

trk_status memory_report_write(const char *path, const trk_memory_use *use)
{
    output_file file;
    if (!path) {
        memory_report_print(stderr, use);
        return TRK_OK;
    }
    trk_status rc = output_file_open(&file, path);
    if (rc)
        return trk_fail_prefix(rc, "--memory-report");
    print_json(file.stream, use);
    return output_file_finish(&file);
}
