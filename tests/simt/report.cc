/* SPDX-License-Identifier: Apache-2.0
 * An emulation of CUDA on the CPU, for tests: kernels compiled as C++ by the host's compiler run here, slowly and under
 * rules stricter than a card's, so that what a card would get wrong once in a while goes wrong every time.
 *
 *   block.cc    the threads of a block as fibres, barriers, shared memory, schedules
 *   warp.cc     shuffles and votes, matrix instructions, asynchronous copies
 *   memory.cc   device memory, which the host can not touch, between guards
 *   stream.cc   work that runs when somebody waits for it and not before; copies, events
 *   graph.cc    capture and graphs
 *   device.cc   queries
 *   blas.cc     the subset of cuBLASLt
 *   include/    the headers in place of CUDA's; simt.h is for tests
 *
 * What it does not find: a kernel that reads pageable host memory through a pointer hidden in another buffer, races
 * between blocks other than those that the order of whole blocks shows, registers, time.
 *
 * This file: errors found, and the runtime's last error. */
#include <cstdarg>
#include <cstdlib>
#include <unistd.h>

#include "simt_private.h"

static int n_errors;
static char first_error[512];

std::recursive_mutex &simt_lock()
{
    static std::recursive_mutex lock;
    return lock;
}

static void end_with_errors()
{
    if (n_errors == 0)
        return;
    fprintf(stderr, "simt: %d errors; the first: %s\n", n_errors, first_error);
    fflush(NULL);
    _exit(86);
}

void simt_error(const char *format, ...)
{
    char text[400], line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *where = simt_where();
    snprintf(line, sizeof line, "%s%s%s", where, *where ? ": " : "", text);
    fprintf(stderr, "simt: %s\n", line);
    if (n_errors++ == 0) {
        static int is_registered;
        memcpy(first_error, line, sizeof first_error);
        if (!is_registered++)
            atexit(end_with_errors);
    }
    const char *abort_wanted = getenv("SIMT_ABORT");
    if (abort_wanted && *abort_wanted == '1')
        abort();
}

extern "C" int simt_report(const char **text)
{
    SIMT_LOCKED;
    if (text)
        *text = n_errors ? first_error : "";
    return n_errors;
}

extern "C" void simt_clear(void)
{
    SIMT_LOCKED;
    n_errors = 0;
    first_error[0] = 0;
    simt_take_failure();
}

/* --- the runtime's errors --- */

static thread_local cudaError_t last_error = cudaSuccess;

cudaError_t simt_failed(cudaError_t error)
{
    if (error != cudaSuccess && error != cudaErrorNotReady)
        last_error = error;
    return error;
}

cudaError_t cudaGetLastError()
{
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError()
{
    return last_error;
}

static const struct {
    cudaError_t error;
    const char *name, *text;
} error_texts[] = {
#define ERROR(name, text)                                                                                              \
    {                                                                                                                  \
        name, #name, text                                                                                              \
    }
    ERROR(cudaSuccess, "no error"),
    ERROR(cudaErrorInvalidValue, "invalid argument"),
    ERROR(cudaErrorMemoryAllocation, "out of memory"),
    ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    ERROR(cudaErrorInvalidPitchValue, "invalid pitch argument"),
    ERROR(cudaErrorInvalidDevicePointer, "invalid device pointer"),
    ERROR(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
    ERROR(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"),
    ERROR(cudaErrorInvalidDeviceFunction, "invalid device function"),
    ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    ERROR(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device"),
    ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    ERROR(cudaErrorNotReady, "device not ready"),
    ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    ERROR(cudaErrorLaunchOutOfResources, "too many resources requested for launch"),
    ERROR(cudaErrorLaunchFailure, "unspecified launch failure"),
    ERROR(cudaErrorNotSupported, "operation not supported"),
    ERROR(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"),
    ERROR(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture"),
    ERROR(cudaErrorStreamCaptureMerge, "operation would result in a merge of separate capture sequences"),
    ERROR(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began"),
    ERROR(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
    ERROR(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream"),
    ERROR(cudaErrorStreamCaptureImplicit,
          "operation would make the legacy stream depend on a capturing blocking stream"),
    ERROR(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream"),
    ERROR(cudaErrorStreamCaptureWrongThread,
          "attempt to terminate a thread-local capture sequence from another thread"),
    ERROR(cudaErrorGraphExecUpdateFailure, "the graph update was not performed because it included changes which "
                                           "violated constraints specific to instantiated graph update"),
#undef ERROR
};

const char *cudaGetErrorString(cudaError_t error)
{
    for (const auto &e : error_texts)
        if (e.error == error)
            return e.text;
    return "unknown error";
}

const char *cudaGetErrorName(cudaError_t error)
{
    for (const auto &e : error_texts)
        if (e.error == error)
            return e.name;
    return "cudaErrorUnknown";
}
