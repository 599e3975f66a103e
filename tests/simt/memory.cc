/* SPDX-License-Identifier: Apache-2.0
 * Device memory: ranges of one big reserved region, each with pages around it that nobody can touch. The ranges
 * themselves can be touched only while a simt_access lives, that is while kernels and copies run; host code that
 * follows a device pointer crashes, and is told why. A range is opened by the first fault in it, so that a launch costs
 * what it touches and not what there is; in a debugger, let SIGSEGV pass.
 *
 * An allocation ends at a page's end as near as its alignment of 256 allows; the bytes around it hold a pattern that is
 * checked after each kernel. Contents start as 0xff. Addresses are never used again, so a freed block stays
 * untouchable. Page-locked memory is ordinary memory that both sides may touch at any time, with a list of what is in
 * it. */
#include <cstdlib>
#include <map>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include "simt_private.h"

#define PAGE         ((size_t)4096)
#define ALIGNMENT    ((size_t)256)
#define REGION_BYTES ((size_t)1 << 40) /* of addresses */
#define SLACK        0x5a

struct range {
    char *start; /* of the pages */
    size_t pages_bytes, bytes;
    char *data;
    int is_free, is_open;
};

static char *region;
static size_t region_bytes, region_used;
static std::map<const char *, range> ranges; /* by start; freed ones too */
static std::vector<range *> open_ranges;     /* has room for all that live: a signal handler adds to it */
static size_t n_live;
static std::map<const char *, size_t> locked_ranges; /* page-locked: start, bytes */
static size_t live_bytes;
static int accesses;
static pthread_t accessor; /* the only OS thread that may touch the device while there are accesses */
static int fails_at;
static long n_given; /* blocks of device and of page-locked memory, ever */

static void install_handler();
static void prepare_for_faults();

static size_t limit_bytes()
{
    const char *wanted = getenv("SIMT_MEMORY");
    return (wanted ? strtoull(wanted, NULL, 10) : 8192) << 20;
}

static int reserve()
{
    for (region_bytes = REGION_BYTES; !region && region_bytes >= (size_t)1 << 32; region_bytes /= 2) {
        void *p = mmap(NULL, region_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p != MAP_FAILED) {
            region = (char *)p;
            install_handler();
            return 1;
        }
    }
    return region != NULL;
}

/* --- access --- */

static void protect(const range *r, int how)
{
    if (mprotect(r->start, r->pages_bytes, how) != 0) {
        perror("simt: mprotect");
        abort();
    }
}

static void open_range(range *r)
{
    protect(r, PROT_READ | PROT_WRITE);
    r->is_open = 1;
    open_ranges.push_back(r);
}

static void close_ranges()
{
    for (range *r : open_ranges) {
        protect(r, PROT_NONE);
        r->is_open = 0;
    }
    open_ranges.clear();
}

simt_access::simt_access()
{
    prepare_for_faults();
    accesses++;
    accessor = pthread_self();
}

simt_access::~simt_access()
{
    if (--accesses == 0)
        close_ranges();
}

simt_no_access::simt_no_access() : former(accesses)
{
    accesses = 0;
    close_ranges();
}

simt_no_access::~simt_no_access()
{
    accesses = former;
}

/* --- what an address is --- */

static const range *range_at(const void *p)
{
    auto next = ranges.upper_bound((const char *)p);
    if (next == ranges.begin())
        return NULL;
    const range *r = &std::prev(next)->second;
    return (const char *)p < r->start + r->pages_bytes + PAGE ? r : NULL;
}

int simt_is_device(const void *p)
{
    return region && (const char *)p >= region && (const char *)p < region + region_bytes;
}

int simt_is_allocated(const void *p, size_t bytes)
{
    const range *r = range_at(p);
    return r && !r->is_free && (const char *)p >= r->data && (const char *)p + bytes <= r->data + r->bytes;
}

int simt_is_host(const void *p)
{
    unsigned char resident;
    const uintptr_t at = (uintptr_t)p;
    if (at >> 32 == 0 || at >> 47 != 0 || simt_is_device(p) || simt_is_page_locked(p))
        return 0;
    return mincore((void *)(at / PAGE * PAGE), 1, &resident) == 0;
}

int simt_is_page_locked(const void *p)
{
    auto next = locked_ranges.upper_bound((const char *)p);
    if (next == locked_ranges.begin())
        return 0;
    auto r = std::prev(next);
    return (const char *)p < r->first + r->second;
}

/* The slack next to the data: up to 256 bytes before it, all after it. */
static size_t head_slack(const range *r)
{
    const size_t bytes = (size_t)(r->data - r->start);
    return bytes < ALIGNMENT ? bytes : ALIGNMENT;
}

static size_t tail_slack(const range *r)
{
    return (size_t)(r->start + r->pages_bytes - (r->data + r->bytes));
}

/* bytes: at most ALIGNMENT */
static int is_slack(const char *p, size_t bytes)
{
    static char pattern[ALIGNMENT];
    if (pattern[0] != SLACK)
        memset(pattern, SLACK, sizeof pattern);
    return memcmp(p, pattern, bytes) == 0;
}

static void check_range(const range *r, const char *after)
{
    if (!is_slack(r->data - head_slack(r), head_slack(r))) {
        simt_error("%s wrote before the start of a device buffer of %zu bytes at %p", after, r->bytes, r->data);
        memset(r->data - head_slack(r), SLACK, head_slack(r));
    }
    if (!is_slack(r->data + r->bytes, tail_slack(r))) {
        simt_error("%s wrote past the end of a device buffer of %zu bytes at %p", after, r->bytes, r->data);
        memset(r->data + r->bytes, SLACK, tail_slack(r));
    }
}

void simt_check_slack(const char *after)
{
    for (const range *r : open_ranges)
        check_range(r, after);
}

/* --- allocation --- */

static range *add_range(size_t bytes)
{
    const size_t pages_bytes = (bytes + PAGE - 1) / PAGE * PAGE;
    if (region_used == 0)
        region_used = PAGE;
    if (live_bytes + bytes > limit_bytes() || region_used + pages_bytes + PAGE > region_bytes)
        return NULL;
    char *start = region + region_used;
    range *r = &ranges[start];
    *r = {start, pages_bytes, bytes, start + (pages_bytes - bytes) / ALIGNMENT * ALIGNMENT, 0, 0};
    region_used += pages_bytes + PAGE;
    live_bytes += bytes;
    open_ranges.reserve(2 * ++n_live);
    return r;
}

static void poison(const range *r)
{
    protect(r, PROT_READ | PROT_WRITE);
    memset(r->data - head_slack(r), SLACK, head_slack(r));
    memset(r->data, 0xff, r->bytes);
    memset(r->data + r->bytes, SLACK, tail_slack(r));
    protect(r, PROT_NONE);
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    SIMT_LOCKED;
    if (!out)
        return simt_failed(cudaErrorInvalidValue);
    *out = NULL;
    cudaError_t error = simt_refuse_capture();
    if (error != cudaSuccess)
        return simt_failed(error);
    if (bytes == 0)
        return cudaSuccess;
    if (fails_at > 0 && --fails_at == 0)
        return simt_failed(cudaErrorMemoryAllocation);
    range *r = bytes < REGION_BYTES && (region || reserve()) ? add_range(bytes) : NULL;
    if (!r)
        return simt_failed(cudaErrorMemoryAllocation);
    poison(r);
    n_given++;
    *out = r->data;
    return cudaSuccess;
}

cudaError_t cudaFree(void *data)
{
    SIMT_LOCKED;
    cudaError_t error = simt_refuse_capture();
    if (error != cudaSuccess)
        return simt_failed(error);
    if (!data)
        return cudaSuccess;
    range *r = const_cast<range *>(range_at(data));
    if (!r || r->data != data || r->is_free) {
        simt_error("cudaFree of %p, which is not allocated", data);
        return simt_failed(cudaErrorInvalidValue);
    }
    if (simt_may_be_in_use()) /* its manual does not say that it waits */
        simt_error("cudaFree of %p while there is work that has not been waited for", data);
    simt_run_everything();
    madvise(r->start, r->pages_bytes, MADV_DONTNEED);
    r->is_free = 1;
    live_bytes -= r->bytes;
    n_live--;
    return simt_failed(simt_take_failure());
}

extern "C" void simt_fail_allocation(int nth)
{
    SIMT_LOCKED;
    fails_at = nth;
}

extern "C" long simt_allocations(long *held)
{
    SIMT_LOCKED;
    if (held)
        *held = (long)(n_live + locked_ranges.size());
    return n_given;
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned)
{
    SIMT_LOCKED;
    if (!out)
        return simt_failed(cudaErrorInvalidValue);
    *out = NULL;
    cudaError_t error = simt_refuse_capture();
    if (error != cudaSuccess)
        return simt_failed(error);
    if (bytes == 0)
        return cudaSuccess;
    void *data = aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);
    if (!data)
        return simt_failed(cudaErrorMemoryAllocation);
    memset(data, 0xff, bytes);
    locked_ranges[(const char *)data] = bytes;
    n_given++;
    *out = data;
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    return cudaHostAlloc(out, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *data)
{
    SIMT_LOCKED;
    cudaError_t error = simt_refuse_capture();
    if (error != cudaSuccess)
        return simt_failed(error);
    if (!data)
        return cudaSuccess;
    if (!locked_ranges.count((const char *)data)) {
        simt_error("cudaFreeHost of %p, which is not page-locked memory", data);
        return simt_failed(cudaErrorInvalidValue);
    }
    if (simt_is_waited_for(data, locked_ranges[(const char *)data])) {
        simt_error("cudaFreeHost of %p, which work that has not been waited for uses", data);
        simt_run_everything();
    }
    locked_ranges.erase((const char *)data);
    free(data);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    SIMT_LOCKED;
    if (!available || !total)
        return simt_failed(cudaErrorInvalidValue);
    *total = limit_bytes();
    *available = *total - live_bytes;
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *out, const void *p)
{
    SIMT_LOCKED;
    if (!out)
        return simt_failed(cudaErrorInvalidValue);
    *out = {cudaMemoryTypeUnregistered, -2, NULL, NULL};
    if (simt_is_allocated(p, 1))
        *out = {cudaMemoryTypeDevice, 0, const_cast<void *>(p), NULL};
    else if (simt_is_page_locked(p))
        *out = {cudaMemoryTypeHost, 0, const_cast<void *>(p), const_cast<void *>(p)};
    return cudaSuccess;
}

/* --- crashes --- */

static void describe(char *text, size_t size, const char *p)
{
    const char *shared = simt_describe_shared(p);
    const range *r = simt_is_device(p) ? range_at(p) : NULL;
    if (shared)
        snprintf(text, size, "%s", shared);
    else if (r)
        snprintf(text, size, "%td bytes after the start of a %sdevice buffer of %zu bytes", p - r->data,
                 r->is_free ? "freed " : "", r->bytes);
    else if (simt_is_device(p))
        snprintf(text, size, "device memory that was never allocated");
    else
        snprintf(text, size, "no memory of the device");
}

/* Opens a range; or one line about what was touched and by whom, and the second fault, with the former handler back,
 * ends the process. */
static struct sigaction former;

static void on_fault(int, siginfo_t *info, void *)
{
    range *r = const_cast<range *>(simt_is_device(info->si_addr) ? range_at(info->si_addr) : NULL);
    const int may_touch = accesses > 0 && pthread_equal(accessor, pthread_self());
    if (may_touch && r && !r->is_free && !r->is_open && (char *)info->si_addr < r->start + r->pages_bytes) {
        open_range(r);
        return;
    }
    char text[256], line[600];
    const char *where = may_touch ? simt_where() : "";
    describe(text, sizeof text, (const char *)info->si_addr);
    int n = snprintf(line, sizeof line, "simt: %s touched %p: %s\n", *where ? where : "the host", info->si_addr, text);
    if (n > 0 && write(2, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1) < 0)
        _exit(86);
    sigaction(SIGSEGV, &former, NULL);
}

static void install_handler()
{
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, &former);
}

/* The stack on which this OS thread handles faults: a fibre that faults may have used up its own. */
struct fault_stack {
    alignas(16) char room[64 * 1024];
    int is_used;

    void use()
    {
        stack_t other = {};
        other.ss_sp = room;
        other.ss_size = sizeof room;
        is_used = sigaltstack(&other, NULL) == 0;
    }
    ~fault_stack()
    {
        stack_t none = {};
        none.ss_flags = SS_DISABLE;
        if (is_used)
            sigaltstack(&none, NULL);
    }
};

static void prepare_for_faults()
{
    static thread_local fault_stack stack;
    if (!stack.is_used)
        stack.use();
}
