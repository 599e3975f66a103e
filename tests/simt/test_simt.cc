/* SPDX-License-Identifier: Apache-2.0
 * The emulation finds what it is there to find: each test has a kernel or host code with one mistake, and most the same
 * without it. */
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <cublasLt.h>
#include <cuda_runtime.h>

#include "simt.h"
#include "simt_hardware.h"

static int n_failed;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);                                   \
            n_failed++;                                                                                                \
        }                                                                                                              \
    } while (0)

#define LAUNCH(kernel, grid, block, shared, stream, ...)                                                               \
    simt_launch(#kernel, kernel, dim3(grid), dim3(block), (shared), (stream), __VA_ARGS__)

/* Exactly the errors expected, the first of which says `text`; NULL: none. */
static int found(const char *text)
{
    const char *first;
    const int n = simt_report(&first);
    const int ok = text ? n == 1 && strstr(first, text) : n == 0;
    if (!ok)
        fprintf(stderr, "found %d errors, the first: %s; expected: %s\n", n, first, text ? text : "none");
    simt_clear();
    return ok;
}

/* `act` ends a process by a signal, after a line with `text`. */
static int crashes(const std::function<void()> &act, const char *text)
{
    int ends[2], status;
    std::string said;
    char bytes[256];
    if (pipe(ends) != 0)
        return 0;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        act();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t n; (n = read(ends[0], bytes, sizeof bytes)) > 0;)
        said.append(bytes, (size_t)n);
    close(ends[0]);
    const int ok = waitpid(child, &status, 0) == child && status != 0 && said.find(text) != std::string::npos;
    if (!ok)
        fprintf(stderr, "status %d, said: %s\nexpected: %s\n", status, said.c_str(), text);
    return ok;
}

template <class T> static T *device_of(const std::vector<T> &values)
{
    T *data = NULL;
    CHECK(cudaMalloc(&data, values.size() * sizeof(T)) == cudaSuccess);
    CHECK(cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess);
    CHECK(cudaDeviceSynchronize() == cudaSuccess);
    return data;
}

template <class T> static std::vector<T> host_of(const T *data, size_t n)
{
    std::vector<T> values(n);
    CHECK(cudaMemcpy(values.data(), data, n * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess);
    return values;
}

static const struct {
    int policy;
    unsigned seed;
} schedules[] = {{SIMT_UP, 0}, {SIMT_DOWN, 0}, {SIMT_RANDOM, 1}, {SIMT_RANDOM, 2}};

/* --- threads --- */

static void block_sums(float *out, const float *in, int n)
{
    float *room = shared_memory<float>();
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    float v = i < n ? in[i] : 0.0f;
    for (int step = 16; step > 0; step /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, step);
    if (threadIdx.x % 32 == 0)
        room[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0.0f;
    for (unsigned w = 0; w < blockDim.x / 32; w++)
        v += room[w];
    if (threadIdx.x == 0)
        out[blockIdx.x] = v;
}

static void test_schedules()
{
    const int n = 1000, blocks = 4;
    float *in = device_of(std::vector<float>(n, 1.0f)), *out = device_of(std::vector<float>(blocks, 0.0f));
    for (const auto &s : schedules) {
        simt_set_schedule(s.policy, s.seed);
        LAUNCH(block_sums, blocks, 256, 8 * sizeof(float), 0, out, in, n);
        CHECK(cudaGetLastError() == cudaSuccess);
        CHECK(host_of(out, blocks) == std::vector<float>({256, 256, 256, 232}));
    }
    cudaFree(in);
    cudaFree(out);
    CHECK(found(NULL));
}

template <bool with_barrier> static void neighbours(int *out)
{
    int *room = shared_memory<int>();
    room[threadIdx.x] = (int)threadIdx.x;
    if (with_barrier)
        __syncthreads();
    out[threadIdx.x] = room[(threadIdx.x + 1) % blockDim.x];
}

static void test_missing_barrier()
{
    int *out = device_of(std::vector<int>(64, 0));
    std::vector<int> right, wrong[2];
    for (int i = 0; i < 2; i++) {
        simt_set_schedule(schedules[i].policy, 0);
        LAUNCH(neighbours<true>, 1, 64, 64 * sizeof(int), 0, out);
        const std::vector<int> now = host_of(out, 64);
        CHECK(i == 0 || now == right);
        right = now;
        LAUNCH(neighbours<false>, 1, 64, 64 * sizeof(int), 0, out);
        wrong[i] = host_of(out, 64);
    }
    CHECK(wrong[0] != wrong[1] && (wrong[0] != right || wrong[1] != right));
    cudaFree(out);
    CHECK(found(NULL));
}

static void divergent_end(int *)
{
    if (threadIdx.x < 40)
        __syncthreads();
}

static void divergent_wait(int *)
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads_count(1);
}

static void barrier_and_shuffle(int *)
{
    if (threadIdx.x == 3)
        __syncthreads();
    else
        __syncwarp();
}

static void test_divergent_barrier()
{
    for (const auto &s : schedules) {
        simt_set_schedule(s.policy, s.seed);
        LAUNCH(divergent_end, 1, 64, 0, 0, (int *)NULL);
        CHECK(cudaDeviceSynchronize() == cudaErrorLaunchFailure);
        CHECK(found("__syncthreads"));
        LAUNCH(divergent_wait, 1, 64, 0, 0, (int *)NULL);
        cudaDeviceSynchronize();
        CHECK(found("wait at"));
        LAUNCH(barrier_and_shuffle, 1, 32, 0, 0, (int *)NULL);
        cudaDeviceSynchronize();
        CHECK(found("forever"));
    }
    cudaGetLastError();
}

static void lanes_gone(float *)
{
    if (threadIdx.x < 16)
        __shfl_xor_sync(0xffffffffu, 1.0f, 8);
}

static void lanes_elsewhere(float *)
{
    if (threadIdx.x < 16)
        __shfl_xor_sync(0xffffffffu, 1.0f, 8);
    else
        __ballot_sync(0xffffffffu, 1);
}

static void lane_outside(float *)
{
    __shfl_sync(0x0000ffffu, 1.0f, 0);
}

static void lanes_missing(float *)
{
    __syncwarp();
}

/* Halves of a warp on their own, then together; a lane outside the mask has no value. */
static void halves(float *out)
{
    const unsigned mask = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
    float v = (float)threadIdx.x;
    for (int step = 8; step > 0; step /= 2)
        v += __shfl_xor_sync(mask, v, step);
    __syncwarp();
    out[threadIdx.x] = threadIdx.x < 16 ? v : __shfl_sync(mask, v, 0);
}

static void test_masks()
{
    for (const auto &s : schedules) {
        simt_set_schedule(s.policy, s.seed);
        LAUNCH(lanes_gone, 1, 32, 0, 0, (float *)NULL);
        cudaDeviceSynchronize();
        CHECK(found("__shfl_xor_sync"));
        LAUNCH(lanes_elsewhere, 1, 32, 0, 0, (float *)NULL);
        cudaDeviceSynchronize();
        CHECK(found("wait at"));
        LAUNCH(lane_outside, 1, 32, 0, 0, (float *)NULL);
        cudaDeviceSynchronize();
        CHECK(found("not in its own mask"));
        LAUNCH(lanes_missing, 1, 48, 0, 0, (float *)NULL);
        cudaDeviceSynchronize();
        CHECK(found("that the warp lacks"));
        cudaGetLastError();
        float *out = device_of(std::vector<float>(32, 0.0f));
        LAUNCH(halves, 1, 32, 0, 0, out);
        const std::vector<float> got = host_of(out, 32);
        CHECK(got[0] == 120.0f && got[15] == 120.0f && std::isnan(got[16]));
        cudaFree(out);
        CHECK(found(NULL));
    }
}

static void all_shuffles(int *out)
{
    const int lane = (int)threadIdx.x;
    out[lane] = __shfl_up_sync(0xffffffffu, lane, 3);
    out[32 + lane] = __shfl_down_sync(0xffffffffu, lane, 5, 16);
    out[64 + lane] = __shfl_sync(0xffffffffu, lane, lane / 2 + 9, 8);
    out[96 + lane] = (int)__ballot_sync(0xffffffffu, lane % 3 == 0);
    out[128 + lane] = __any_sync(0xffffffffu, lane == 7) * 2 + __all_sync(0xffffffffu, lane < 31);
    out[160 + lane] = (int)__match_any_sync(0xffffffffu, lane % 4);
    out[192 + lane] = __syncthreads_count(lane < 5) + 100 * __syncthreads_or(lane == 1) + 1000 * __syncthreads_and(1);
}

static void test_shuffles()
{
    int *out = device_of(std::vector<int>(224, 0));
    LAUNCH(all_shuffles, 1, 32, 0, 0, out);
    const std::vector<int> got = host_of(out, 224);
    for (int lane = 0; lane < 32; lane++) {
        CHECK(got[lane] == (lane < 3 ? lane : lane - 3));
        CHECK(got[32 + lane] == (lane % 16 + 5 < 16 ? lane + 5 : lane));
        CHECK(got[64 + lane] == lane / 8 * 8 + (lane / 2 + 9) % 8);
        CHECK(got[96 + lane] == 0x49249249);
        CHECK(got[128 + lane] == 2);
        CHECK(got[160 + lane] == (int)(0x11111111u << lane % 4));
        CHECK(got[192 + lane] == 1105);
    }
    cudaFree(out);
    CHECK(found(NULL));
}

/* --- shared memory and the wrappers of hardware.cuh --- */

/* Two groups under way; what is read before its wait, after it, and of a copy that is not valid. */
static void copies(float *out, const float *in)
{
    float *room = shared_memory<float>();
    const unsigned t = threadIdx.x;
    room[8 + t] = 5.0f;
    copy_async_16(room, in, true);
    copies_commit();
    copy_async_16(room + 4, in + 4, true);
    copies_commit();
    copy_async_16(room + 8, in + 8, false);
    out[0] = room[0];
    copies_wait<1>();
    out[1] = room[0];
    out[2] = room[4];
    copies_wait<0>();
    out[3] = room[4];
    out[4] = room[8];
    copies_commit();
    copies_wait<0>();
    out[5] = room[8];
}

static void copy_misaligned(const float *in)
{
    copy_async_16(shared_memory<float>() + 1, in, true);
}

static void copy_outside(const float *in)
{
    copy_async_16(shared_memory<float>() + 4, in, true);
}

static void test_copies()
{
    float *in = device_of(std::vector<float>(12, 3.0f)), *out = device_of(std::vector<float>(6, 0.0f));
    LAUNCH(copies, 1, 1, 48, 0, out, in);
    const std::vector<float> got = host_of(out, 6);
    CHECK(std::isnan(got[0]) && got[1] == 3.0f && std::isnan(got[2]) && got[3] == 3.0f && std::isnan(got[4]));
    CHECK(got[5] == 0.0f);
    CHECK(found(NULL));
    LAUNCH(copy_misaligned, 1, 1, 32, 0, in);
    cudaDeviceSynchronize();
    CHECK(found("not aligned"));
    LAUNCH(copy_outside, 1, 1, 16, 0, in);
    cudaDeviceSynchronize();
    CHECK(found("not in shared memory"));
    cudaGetLastError();
    cudaFree(in);
    cudaFree(out);
}

static void write_shared(int at)
{
    shared_memory<char>()[at] = 1;
}

static void test_shared_overrun()
{
    LAUNCH(write_shared, 1, 1, 100, 0, 99);
    CHECK(cudaDeviceSynchronize() == cudaSuccess);
    CHECK(found(NULL));
    LAUNCH(write_shared, 1, 1, 100, 0, 100);
    cudaDeviceSynchronize();
    CHECK(found("100 bytes after the start of shared memory, which has 100"));
    LAUNCH(write_shared, 1, 1, 100, 0, -1);
    cudaDeviceSynchronize();
    CHECK(found("-1 bytes after"));
    cudaGetLastError();
    CHECK(crashes(
        [] {
            LAUNCH(write_shared, 1, 1, 100, 0, 1000);
            cudaDeviceSynchronize();
        },
        "write_shared block (0,0,0) thread (0,0,0) touched"));
}

/* d = a b + 1 by one warp, a [16][16] row-major and b [16][8] row-major in shared memory. */
static void matrices(float *out, const uint16_t *a_in, const uint16_t *b_in)
{
    uint16_t *a = shared_memory<uint16_t>(), *b = shared_memory<uint16_t>(512);
    const int lane = (int)threadIdx.x, g = lane / 4, t = lane % 4;
    for (int i = lane; i < 256; i += 32)
        a[i] = a_in[i];
    for (int i = lane; i < 256; i += 32)
        b[i] = i % 16 < 8 ? b_in[i / 16 * 8 + i % 16] : 0; /* [16][16], so that there are four matrices */
    __syncthreads();
    uint32_t fa[4], fb[4];
    load_matrices(fa, a + (lane % 16) * 16 + lane / 16 * 8);
    load_matrices_transposed(fb, b + (lane % 16) * 16 + lane / 16 * 8);
    float d[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    const uint32_t two[2] = {fb[0], fb[1]};
    mma_bf16(d, fa, two);
    out[g * 8 + 2 * t] = d[0];
    out[g * 8 + 2 * t + 1] = d[1];
    out[(g + 8) * 8 + 2 * t] = d[2];
    out[(g + 8) * 8 + 2 * t + 1] = d[3];
}

static uint16_t bf16(float v)
{
    return (uint16_t)pack_bf16(v, 0.0f);
}

static void test_matrices()
{
    std::vector<uint16_t> a(256), b(128);
    for (int i = 0; i < 256; i++)
        a[i] = bf16((float)(i * 7 % 13 - 6));
    for (int i = 0; i < 128; i++)
        b[i] = bf16((float)(i * 5 % 11 - 5));
    uint16_t *a_data = device_of(a), *b_data = device_of(b);
    float *out = device_of(std::vector<float>(128, 0.0f));
    LAUNCH(matrices, 1, 32, 1024, 0, out, a_data, b_data);
    const std::vector<float> got = host_of(out, 128);
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 8; n++) {
            float want = 1.0f;
            for (int k = 0; k < 16; k++)
                want += (float)((m * 16 + k) * 7 % 13 - 6) * (float)((k * 8 + n) * 5 % 11 - 5);
            CHECK(got[m * 8 + n] == want);
        }
    cudaFree(a_data);
    cudaFree(b_data);
    cudaFree(out);
    CHECK(pack_bf16(1.0f, -2.0f) == 0xc0003f80u && bf16(NAN) == 0x7fff && bf16(INFINITY) == 0x7f80);
    CHECK(bf16(__uint_as_float(0x3f808000)) == 0x3f80 && bf16(__uint_as_float(0x3f818000)) == 0x3f82);
    CHECK(exp2_fast(-INFINITY) == 0.0f && exp2_fast(3.0f) == 8.0f);
    CHECK(found(NULL));
}

/* --- products of a warpgroup --- */

enum products_mistake {
    RIGHT,
    NO_REGISTER_FENCE,
    REGISTERS_AFTER_FENCE,
    NO_MEMORY_FENCE,
    NO_MEMORY_FENCE_OF_COPIES,
    NO_BARRIER,
    READ_EARLY,
    NO_WAIT,
    MEMORY_OVERWRITTEN,
    REGISTERS_OVERWRITTEN,
    ACCUMULATOR_OVERWRITTEN,
    DIFFERENT_MATRICES,
    MISALIGNED
};

/* a [64, 64], b [64 k, 64 columns] and its transpose [64 columns, 64 k], bf16, each 8 KiB of atoms */
static void stage_atoms(char *to, const uint16_t *from, int by_copies)
{
    for (int i = (int)threadIdx.x; i < 64 * 8; i += (int)blockDim.x) {
        char *piece = to + i / 8 * 128 + (i % 8 ^ i / 8 % 8) * 16;
        if (by_copies)
            copy_async_16(piece, from + i * 8, true);
        else
            memcpy(piece, from + i * 8, 16);
    }
}

/* out [3][64][64]: a b from shared memory; a b with a in registers and b transposed; the first 64 columns of it of a
 * product of 256 columns whose other columns lie 8 KiB further each (and are the same) */
template <int MISTAKE> static void products(float *out, const uint16_t *a, const uint16_t *b, const uint16_t *columns)
{
    char *room = shared_memory_of_atoms<char>();
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;
    stage_atoms(room, a, MISTAKE == NO_MEMORY_FENCE_OF_COPIES);
    for (int i = 0; i < 4; i++)
        stage_atoms(room + (2 + i) * 8192, b, 0);
    stage_atoms(room + 8192, columns, 0);
    if (MISTAKE == NO_MEMORY_FENCE_OF_COPIES && warp > 0)
        fence_async();
    copies_commit();
    copies_wait<0>();
    if (MISTAKE != NO_MEMORY_FENCE && MISTAKE != NO_MEMORY_FENCE_OF_COPIES)
        fence_async();
    if (MISTAKE != NO_BARRIER)
        __syncthreads();
    const uint64_t in_rows = matrix_descriptor(room + (MISTAKE == MISALIGNED ? 128 : 0), 16, 1024);
    const uint64_t in_columns = matrix_descriptor(room + 8192, 16, 1024);
    const uint64_t in_slabs = matrix_descriptor(room + 2 * 8192, 8192, 1024);
    float d[8][4] = {}, wide[32][4] = {}, narrow[8][4] = {};
    uint32_t p[4][4];
    for (int step = 0; step < 4; step++)
        for (int i = 0; i < 4; i++)
            memcpy(&p[step][i], a + (warp * 16 + g + i % 2 * 8) * 64 + step * 16 + 2 * t + i / 2 * 8, 4);
    if (MISTAKE != NO_REGISTER_FENCE)
        warpgroup_fence();
    for (int step = 0; step < 4; step++)
        warpgroup_mma(d,
                      matrix_further(in_rows, (unsigned)step * 32 + (MISTAKE == DIFFERENT_MATRICES ? g % 2 * 32 : 0)),
                      matrix_further(in_columns, (unsigned)step * 32), step > 0);
    warpgroup_commit();
    const float early = d[0][0];
    if (MISTAKE == MEMORY_OVERWRITTEN)
        room[5] = (char)warp;
    if (MISTAKE == ACCUMULATOR_OVERWRITTEN)
        d[7][3] = 1.0f;
    for (int step = 0; step < 4; step++) {
        warpgroup_mma_transposed(narrow, p[step], matrix_further(in_slabs, (unsigned)step * 2048));
        warpgroup_mma_transposed(wide, p[step], matrix_further(in_slabs, (unsigned)step * 2048));
    }
    if (MISTAKE == REGISTERS_OVERWRITTEN)
        p[3][3] ^= 1;
    warpgroup_commit();
    warpgroup_wait<1>();
    if (MISTAKE == NO_WAIT)
        return;
    warpgroup_wait<0>();
    if (MISTAKE == REGISTERS_AFTER_FENCE) {
        warpgroup_fence();
        d[0][0] += 1.0f;
        warpgroup_mma(d, in_rows, in_columns, 1);
    }
    for (int n = 0; n < 8; n++)
        for (int i = 0; i < 4; i++) {
            float *to = out + (warp * 16 + g + i / 2 * 8) * 64 + n * 8 + 2 * t + i % 2;
            to[0] = MISTAKE == READ_EARLY ? early : d[n][i];
            to[4096] = narrow[n][i];
            to[8192] = wide[n + 8 * (n % 4)][i];
        }
}

static void half_a_warpgroup(float *)
{
    warpgroup_fence();
}

template <int MISTAKE> static std::vector<float> products_of(const uint16_t *a, const uint16_t *b, const uint16_t *c)
{
    float *out = device_of(std::vector<float>(3 * 4096, 0.0f));
    cudaFuncSetAttribute((const void *)products<MISTAKE>, cudaFuncAttributeMaxDynamicSharedMemorySize, 50 * 1024);
    LAUNCH(products<MISTAKE>, 1, 128, 50 * 1024, 0, out, a, b, c);
    std::vector<float> got(3 * 4096, 0.0f);
    if (cudaDeviceSynchronize() == cudaSuccess)
        got = host_of(out, 3 * 4096);
    cudaGetLastError();
    cudaFree(out);
    return got;
}

static void test_warpgroups()
{
    std::vector<uint16_t> a(4096), b(4096), columns(4096);
    std::vector<float> want(3 * 4096, 0.0f);
    for (int i = 0; i < 4096; i++) {
        a[(size_t)i] = bf16((float)(i * 7 % 13 - 6));
        b[(size_t)i] = bf16((float)(i * 5 % 11 - 5));
        columns[(size_t)(i % 64 * 64 + i / 64)] = b[(size_t)i];
    }
    for (int i = 0; i < 3 * 4096; i++)
        for (int k = 0; k < 64; k++)
            want[(size_t)i] += (float)((i % 4096 / 64 * 64 + k) * 7 % 13 - 6) * (float)((k * 64 + i % 64) * 5 % 11 - 5);
    const uint16_t *a_data = device_of(a), *b_data = device_of(b), *c_data = device_of(columns);
    for (const auto &s : schedules) {
        simt_set_schedule(s.policy, s.seed);
        CHECK(products_of<RIGHT>(a_data, b_data, c_data) == want && found(NULL));
        CHECK(std::isnan(products_of<READ_EARLY>(a_data, b_data, c_data)[77]) && found(NULL));
        products_of<NO_REGISTER_FENCE>(a_data, b_data, c_data);
        CHECK(found("no warpgroup_fence"));
        products_of<REGISTERS_AFTER_FENCE>(a_data, b_data, c_data);
        CHECK(found("written after the last warpgroup_fence"));
        products_of<NO_MEMORY_FENCE>(a_data, b_data, c_data);
        CHECK(found("without fence_async"));
        products_of<NO_MEMORY_FENCE_OF_COPIES>(a_data, b_data, c_data);
        CHECK(found("without fence_async"));
        products_of<NO_BARRIER>(a_data, b_data, c_data);
        CHECK(found("without fence_async"));
        products_of<NO_WAIT>(a_data, b_data, c_data);
        CHECK(found("has not waited for products"));
        products_of<MEMORY_OVERWRITTEN>(a_data, b_data, c_data);
        CHECK(found("memory"));
        products_of<REGISTERS_OVERWRITTEN>(a_data, b_data, c_data);
        CHECK(found("registers of a were written before"));
        products_of<ACCUMULATOR_OVERWRITTEN>(a_data, b_data, c_data);
        CHECK(found("accumulators were written before"));
        products_of<DIFFERENT_MATRICES>(a_data, b_data, c_data);
        CHECK(found("want different products"));
        products_of<MISALIGNED>(a_data, b_data, c_data);
        CHECK(found("is not aligned"));
        LAUNCH(half_a_warpgroup, 1, 64, 0, 0, (float *)NULL);
        cudaDeviceSynchronize();
        CHECK(found("are no warpgroup"));
        cudaGetLastError();
    }
    cudaFree((void *)a_data);
    cudaFree((void *)b_data);
    cudaFree((void *)c_data);
}

/* --- memory --- */

static void write_at(float *data, int64_t at)
{
    data[at] = 1.0f;
}

static void test_device_overrun()
{
    for (const int n : {3, 64, 1000, 5000}) {
        float *data = device_of(std::vector<float>((size_t)n, 0.0f));
        CHECK((uintptr_t)data % 256 == 0);
        LAUNCH(write_at, 1, 1, 0, 0, data, (int64_t)n - 1);
        cudaDeviceSynchronize();
        CHECK(found(NULL));
        if (n % 64) {
            LAUNCH(write_at, 1, 1, 0, 0, data, (int64_t)n);
            cudaDeviceSynchronize();
            CHECK(found("write_at wrote past the end of a device buffer"));
        }
        CHECK(crashes(
            [=] {
                LAUNCH(write_at, 1, 1, 0, 0, data, (int64_t)n + 64);
                cudaDeviceSynchronize();
            },
            "write_at block (0,0,0) thread (0,0,0) touched"));
        cudaFree(data);
    }
}

static void test_use_after_free()
{
    float *data = device_of(std::vector<float>(100, 0.0f)), *other = device_of(std::vector<float>(100, 0.0f));
    cudaFree(data);
    float *next = device_of(std::vector<float>(100, 0.0f));
    CHECK(next != data);
    CHECK(crashes(
        [=] {
            LAUNCH(write_at, 1, 1, 0, 0, data, (int64_t)7);
            cudaDeviceSynchronize();
        },
        "28 bytes after the start of a freed device buffer of 400 bytes"));
    CHECK(cudaFree(data) == cudaErrorInvalidValue);
    CHECK(found("not allocated"));
    CHECK(cudaMemcpy(other, data, 400, cudaMemcpyDeviceToDevice) == cudaErrorInvalidValue);
    CHECK(found("leaves its device buffer"));
    CHECK(cudaMemset(other, 0, 401) == cudaErrorInvalidValue);
    CHECK(found("leaves its device buffer"));
    cudaFree(other);
    cudaFree(next);
    cudaGetLastError();
}

static void test_host_access()
{
    float *data = device_of(std::vector<float>(100, 1.0f));
    CHECK(crashes([=] { printf("%g", (double)data[2]); }, "the host touched"));
    cudaFree(data);
    CHECK(crashes([=] { memset(data, 0, 4); }, "a freed device buffer"));
    float here[4] = {};
    LAUNCH(write_at, 1, 1, 0, 0, here, (int64_t)0);
    cudaDeviceSynchronize();
    CHECK(found("argument 0 has a pointer to host memory"));
}

static void test_allocation()
{
    void *data = NULL, *room[3] = {};
    size_t before, after, total;
    CHECK(cudaMalloc(&data, (size_t)1 << 50) == cudaErrorMemoryAllocation && !data);
    CHECK(cudaGetLastError() == cudaErrorMemoryAllocation && cudaGetLastError() == cudaSuccess);
    cudaMemGetInfo(&before, &total);
    simt_fail_allocation(2);
    CHECK(cudaMalloc(&room[0], 1000) == cudaSuccess && cudaMalloc(&room[1], 1) == cudaErrorMemoryAllocation);
    CHECK(cudaMalloc(&room[2], 1) == cudaSuccess);
    cudaMemGetInfo(&after, &total);
    CHECK(before - after == 1001);
    std::vector<unsigned char> bytes = host_of((const unsigned char *)room[0], 1000);
    CHECK(bytes[0] == 0xff && bytes[999] == 0xff);
    cudaFree(room[0]);
    cudaFree(room[2]);
    cudaPointerAttributes a;
    cudaMallocHost(&data, 10);
    CHECK(cudaPointerGetAttributes(&a, data) == cudaSuccess && a.type == cudaMemoryTypeHost);
    cudaFreeHost(data);
    CHECK(cudaPointerGetAttributes(&a, &a) == cudaSuccess && a.type == cudaMemoryTypeUnregistered);
    cudaGetLastError();
    CHECK(found(NULL));
}

/* --- streams --- */

static void set_to(float *data, float v)
{
    data[0] = v;
}

static void copy_one(float *to, const float *from)
{
    to[0] = from[0];
}

static void test_missing_wait()
{
    cudaStream_t a, b;
    cudaEvent_t event;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    for (int is_waiting = 0; is_waiting < 2; is_waiting++) {
        float *from = device_of(std::vector<float>(1, 0.0f)), *to = device_of(std::vector<float>(1, 0.0f));
        LAUNCH(set_to, 1, 1, 0, a, from, 7.0f);
        cudaEventRecord(event, a);
        if (is_waiting)
            cudaStreamWaitEvent(b, event, 0);
        LAUNCH(copy_one, 1, 1, 0, b, to, (const float *)from);
        CHECK(cudaStreamSynchronize(b) == cudaSuccess);
        CHECK(host_of(to, 1)[0] == (is_waiting ? 7.0f : 0.0f));
        CHECK(host_of(from, 1)[0] == (is_waiting ? 7.0f : 0.0f)); /* nobody waited for a */
        CHECK(cudaDeviceSynchronize() == cudaSuccess);
        CHECK(host_of(from, 1)[0] == 7.0f);
        cudaFree(from);
        cudaFree(to);
    }
    cudaEventDestroy(event);
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
    CHECK(found(NULL));
}

/* A stream that is not non-blocking and the default one wait for each other. */
static void test_default_stream()
{
    cudaStream_t s;
    float *data = device_of(std::vector<float>(2, 0.0f));
    cudaStreamCreate(&s);
    LAUNCH(set_to, 1, 1, 0, s, data, 1.0f);
    LAUNCH(copy_one, 1, 1, 0, 0, data + 1, (const float *)data);
    LAUNCH(set_to, 1, 1, 0, s, data, 2.0f);
    CHECK(cudaStreamSynchronize(0) == cudaSuccess);
    CHECK(host_of(data, 2) == std::vector<float>({2.0f, 1.0f}));
    LAUNCH(set_to, 1, 1, 0, 0, data, 3.0f);
    LAUNCH(copy_one, 1, 1, 0, s, data + 1, (const float *)data);
    CHECK(cudaStreamQuery(s) == cudaErrorNotReady && cudaStreamQuery(s) == cudaSuccess);
    CHECK(host_of(data, 2) == std::vector<float>({3.0f, 3.0f}));
    cudaStreamDestroy(s);
    cudaFree(data);
    CHECK(found(NULL));
}

/* cudaMemcpy returns before bytes from pageable memory have arrived: another stream has to wait for them. */
static void test_copy_without_wait()
{
    cudaStream_t s;
    const float two = 2.0f;
    cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
    for (int is_waiting = 0; is_waiting < 2; is_waiting++) {
        float *data = device_of(std::vector<float>({1.0f, 0.0f}));
        CHECK(cudaMemcpy(data, &two, sizeof two, cudaMemcpyHostToDevice) == cudaSuccess);
        if (is_waiting)
            cudaStreamSynchronize(0);
        LAUNCH(copy_one, 1, 1, 0, s, data + 1, (const float *)data);
        cudaStreamSynchronize(s);
        CHECK(host_of(data, 2)[1] == (is_waiting ? 2.0f : 1.0f));
        cudaFree(data);
    }
    cudaStreamDestroy(s);
    CHECK(found(NULL));
}

/* The source of an asynchronous copy is read when it runs, if page-locked, and when it is called, if not. */
static void test_asynchronous_copies()
{
    cudaStream_t s;
    float *locked, pageable = 1.0f;
    float *data = device_of(std::vector<float>(2, 0.0f));
    cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
    cudaHostAlloc(&locked, sizeof(float), cudaHostAllocPortable);
    *locked = 1.0f;
    cudaMemcpyAsync(data, locked, 4, cudaMemcpyHostToDevice, s);
    cudaMemcpyAsync(data + 1, &pageable, 4, cudaMemcpyHostToDevice, s);
    *locked = pageable = 2.0f;
    cudaMemcpyAsync(locked, data + 1, 4, cudaMemcpyDeviceToHost, s);
    CHECK(*locked == 2.0f);
    CHECK(cudaStreamSynchronize(s) == cudaSuccess);
    CHECK(*locked == 1.0f);
    CHECK(host_of(data, 2) == std::vector<float>({2.0f, 1.0f}));
    CHECK(found(NULL));
    cudaMemcpyAsync(data, locked, 4, cudaMemcpyHostToDevice, s);
    CHECK(cudaFreeHost(locked) == cudaSuccess);
    CHECK(found("that has not been waited for"));
    cudaStreamDestroy(s);
    cudaFree(data);
}

static void test_graphs()
{
    cudaStream_t a, b;
    cudaEvent_t event;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    float *data = device_of(std::vector<float>({1.0f, 0.0f}));
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    cudaEventCreate(&event);
    CHECK(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal) == cudaSuccess);
    cudaEventRecord(event, a);
    cudaStreamWaitEvent(b, event, 0);
    LAUNCH(copy_one, 1, 1, 0, b, data + 1, (const float *)data);
    cudaEventRecord(event, b);
    cudaStreamWaitEvent(a, event, 0);
    CHECK(cudaStreamEndCapture(a, &graph) == cudaSuccess);
    CHECK(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess);
    CHECK(host_of(data, 2)[1] == 0.0f);
    for (float v : {3.0f, 4.0f}) {
        LAUNCH(set_to, 1, 1, 0, a, data, v);
        CHECK(cudaGraphLaunch(exec, a) == cudaSuccess);
        CHECK(cudaStreamSynchronize(a) == cudaSuccess);
        CHECK(host_of(data, 2)[1] == v);
    }
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    CHECK(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(cudaStreamSynchronize(a) == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaStreamEndCapture(a, &graph) == cudaErrorStreamCaptureInvalidated && !graph);
    CHECK(cudaStreamBeginCapture(a, cudaStreamCaptureModeRelaxed) == cudaSuccess);
    CHECK(cudaStreamSynchronize(b) == cudaSuccess);
    CHECK(cudaDeviceSynchronize() == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaStreamEndCapture(a, &graph) == cudaErrorStreamCaptureInvalidated);
    cudaGetLastError();
    cudaEventDestroy(event);
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
    cudaFree(data);
    CHECK(found(NULL));
}

static void test_launches()
{
    float *data = device_of(std::vector<float>(1, 0.0f));
    const struct {
        dim3 grid, block;
        size_t shared;
        cudaError_t want;
    } cases[] = {
        {0, 32, 0, cudaErrorInvalidConfiguration},
        {1, 1025, 0, cudaErrorInvalidConfiguration},
        {1, dim3(32, 33), 0, cudaErrorInvalidConfiguration},
        {dim3(1, 65536), 1, 0, cudaErrorInvalidConfiguration},
        {1, 1, 48 * 1024, cudaSuccess},
        {1, 1, 48 * 1024 + 1, cudaErrorInvalidValue},
    };
    for (const auto &c : cases) {
        simt_launch("set_to", set_to, c.grid, c.block, c.shared, 0, data, 1.0f);
        CHECK(cudaGetLastError() == c.want);
    }
    CHECK(cudaFuncSetAttribute(set_to, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024) == cudaSuccess);
    LAUNCH(set_to, 1, 1, 227 * 1024, 0, data, 1.0f);
    CHECK(cudaGetLastError() == cudaSuccess);
    CHECK(cudaFuncSetAttribute(set_to, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024 + 1) ==
          cudaErrorInvalidValue);
    cudaGetLastError();
    CHECK(found(NULL));
    CHECK(cudaFree(data) == cudaSuccess);
    CHECK(found("while there is work that has not been waited for"));
}

/* --- cuBLASLt --- */

struct blas_test {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulPreference_t preference;
};

/* d [n][m] row-major = a [n][k] row-major times b [m][k] row-major transposed, said in columns: a linear layer. */
static void open_blas(blas_test *t, cudaDataType_t in, cudaDataType_t out, int m, int n, int k)
{
    const cublasOperation_t transposed = CUBLAS_OP_T;
    CHECK(cublasLtCreate(&t->handle) == CUBLAS_STATUS_SUCCESS);
    cublasLtMatmulDescCreate(&t->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    cublasLtMatmulDescSetAttribute(t->desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
    cublasLtMatrixLayoutCreate(&t->a, in, (uint64_t)k, (uint64_t)m, k);
    cublasLtMatrixLayoutCreate(&t->b, in, (uint64_t)k, (uint64_t)n, k);
    cublasLtMatrixLayoutCreate(&t->d, out, (uint64_t)m, (uint64_t)n, m);
    cublasLtMatmulPreferenceCreate(&t->preference);
}

static void close_blas(blas_test *t)
{
    cublasLtMatmulPreferenceDestroy(t->preference);
    cublasLtMatrixLayoutDestroy(t->a);
    cublasLtMatrixLayoutDestroy(t->b);
    cublasLtMatrixLayoutDestroy(t->d);
    cublasLtMatmulDescDestroy(t->desc);
    cublasLtDestroy(t->handle);
}

static cublasStatus_t multiply(const blas_test *t, const void *a, const void *b, void *d, float beta)
{
    const float one = 1.0f;
    return cublasLtMatmul(t->handle, t->desc, &one, a, t->a, b, t->b, &beta, d, t->d, d, t->d, NULL, NULL, 0, 0);
}

static void test_product()
{
    const int m = 70, n = 5, k = 33;
    blas_test t;
    std::vector<float> weight(m * k), in(n * k), bias(m);
    for (size_t i = 0; i < weight.size(); i++)
        weight[i] = (float)(i * 7 % 13) - 6.0f;
    for (size_t i = 0; i < in.size(); i++)
        in[i] = (float)(i * 5 % 11) - 5.0f;
    for (size_t i = 0; i < bias.size(); i++)
        bias[i] = (float)i;
    open_blas(&t, CUDA_R_32F, CUDA_R_32F, m, n, k);
    float *a = device_of(weight), *b = device_of(in), *c = device_of(bias);
    float *d = device_of(std::vector<float>((size_t)(m * n), 1.0f));
    const uint32_t epilogue = CUBLASLT_EPILOGUE_RELU_BIAS;
    cublasLtMatmulDescSetAttribute(t.desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    cublasLtMatmulDescSetAttribute(t.desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &c, sizeof c);
    CHECK(multiply(&t, a, b, d, 2.0f) == CUBLAS_STATUS_SUCCESS);
    const std::vector<float> got = host_of(d, (size_t)(m * n));
    for (int r = 0; r < n; r++)
        for (int o = 0; o < m; o++) {
            float want = bias[(size_t)o] + 2.0f;
            for (int i = 0; i < k; i++)
                want += in[(size_t)(r * k + i)] * weight[(size_t)(o * k + i)];
            CHECK(got[(size_t)(r * m + o)] == (want > 0.0f ? want : 0.0f));
        }
    close_blas(&t);
    for (float *p : {a, b, c, d})
        cudaFree(p);
    CHECK(found(NULL));
}

static void test_wrong_products()
{
    blas_test t;
    uint16_t *data = device_of(std::vector<uint16_t>(16 * 64, 0));
    float *d = device_of(std::vector<float>(16 * 16, 0.0f));
    cublasLtMatmulHeuristicResult_t result;
    int n = 0;
    open_blas(&t, CUDA_R_16BF, CUDA_R_32F, 16, 16, 64);
    const uint32_t alignment = 16;
    for (int i = 0; i < 4; i++)
        cublasLtMatmulPreferenceSetAttribute(
            t.preference, (cublasLtMatmulPreferenceAttributes_t)(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES + i),
            &alignment, sizeof alignment);
    CHECK(cublasLtMatmulAlgoGetHeuristic(t.handle, t.desc, t.a, t.b, t.d, t.d, t.preference, 1, &result, &n) ==
          CUBLAS_STATUS_SUCCESS);
    CHECK(n == 1 && multiply(&t, data, data, d, 0.0f) == CUBLAS_STATUS_SUCCESS);
    const float zero = 0.0f;
    CHECK(cublasLtMatmul(t.handle, t.desc, &zero, data + 1, t.a, data, t.b, &zero, d, t.d, d, t.d, NULL, NULL, 0, 0) ==
          CUBLAS_STATUS_INVALID_VALUE);
    CHECK(found("A of 2048 bytes"));
    int64_t ld = 63;
    cublasLtMatrixLayoutSetAttribute(t.a, CUBLASLT_MATRIX_LAYOUT_LD, &ld, sizeof ld);
    CHECK(multiply(&t, data, data, d, 0.0f) == CUBLAS_STATUS_INVALID_VALUE);
    CHECK(found("do not fit"));
    ld = 64;
    cublasLtMatrixLayoutSetAttribute(t.a, CUBLASLT_MATRIX_LAYOUT_LD, &ld, sizeof ld);
    const uint64_t rows = 32;
    cublasLtMatrixLayoutSetAttribute(t.b, CUBLASLT_MATRIX_LAYOUT_ROWS, &rows, sizeof rows);
    CHECK(multiply(&t, data, data, d, 0.0f) == CUBLAS_STATUS_INVALID_VALUE);
    CHECK(found("do not fit"));
    const uint64_t k = 64;
    cublasLtMatrixLayoutSetAttribute(t.b, CUBLASLT_MATRIX_LAYOUT_ROWS, &k, sizeof k);
    const uint64_t m = 8;
    cublasLtMatrixLayoutSetAttribute(t.b, CUBLASLT_MATRIX_LAYOUT_COLS, &m, sizeof m);
    cublasLtMatrixLayoutSetAttribute(t.d, CUBLASLT_MATRIX_LAYOUT_COLS, &m, sizeof m);
    CHECK(cublasLtMatmul(t.handle, t.desc, &zero, data, t.a, data, t.b, &zero, d, t.d, d, t.d, &result.algo, NULL, 0,
                         0) == CUBLAS_STATUS_NOT_SUPPORTED);
    CHECK(found("of another problem"));
    const uint32_t type = CUDA_R_32F;
    cublasLtMatrixLayoutSetAttribute(t.b, CUBLASLT_MATRIX_LAYOUT_TYPE, &type, sizeof type);
    CHECK(multiply(&t, data, data, d, 0.0f) == CUBLAS_STATUS_NOT_SUPPORTED);
    close_blas(&t);
    cudaDeviceSynchronize();
    cudaFree(data);
    cudaFree(d);
    CHECK(found(NULL));
}

int main()
{
    test_schedules();
    test_missing_barrier();
    test_divergent_barrier();
    test_masks();
    test_shuffles();
    test_copies();
    test_shared_overrun();
    test_matrices();
    test_warpgroups();
    test_device_overrun();
    test_use_after_free();
    test_host_access();
    test_allocation();
    test_missing_wait();
    test_default_stream();
    test_copy_without_wait();
    test_asynchronous_copies();
    test_graphs();
    test_launches();
    test_product();
    test_wrong_products();
    printf("simt: %d checks failed\n", n_failed);
    return n_failed > 0;
}
