/* SPDX-License-Identifier: Apache-2.0
 * See onednn_cache.h. Everything but the engine is guarded by the mutex, also while a primitive is being created: two
 * threads that need the same one should not both generate it. */
#include "onednn_cache.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define N_BUCKETS    256
#define MAX_PRODUCTS 512 /* beyond it the least recently used one without a running call goes */

typedef struct onednn_product {
    onednn_key key;
    dnnl_primitive_t primitive;
    onednn_desc in, bias, out, scratch;
    const onednn_layout *layout;
    onednn_seat *free_seats; /* owned */
    int n_taken;
    uint64_t last_used;
    struct onednn_product *next; /* in the bucket */
} onednn_product;

struct cpu_library {
    trk_allocator *allocator; /* borrowed */
    dnnl_engine_t engine;
    pthread_mutex_t mutex;
    onednn_product *buckets[N_BUCKETS];
    onednn_layout *layouts; /* owned */
    int n_products;
    uint64_t clock;
    int n_workers;
    size_t n_freed; /* bytes given back so far */
};

static void *allocate_zeroed(struct cpu_library *cache, const char *owner, size_t bytes)
{
    void *data = cache->allocator->allocate(cache->allocator, TRK_MEM_PINNED, owner, bytes);
    if (data)
        memset(data, 0, bytes);
    else
        TRK_FAIL(TRK_E_MEMORY, "%s: no memory for %zu bytes", owner, bytes);
    return data;
}

static void release(struct cpu_library *cache, void *data, size_t bytes)
{
    cache->n_freed += data ? bytes : 0;
    cache->allocator->release(cache->allocator, TRK_MEM_PINNED, data, bytes);
}

static trk_status key_fail(const onednn_key *key, const char *what, dnnl_status_t status)
{
    return TRK_FAIL(
        status == dnnl_out_of_memory ? TRK_E_MEMORY : TRK_E_BACKEND,
        "oneDNN: cannot create the %s for %lld -> %lld channels, kernel %lld, input %lld x %lld (status %d)", what,
        (long long)key->n_in, (long long)key->n_out, (long long)key->kernel, (long long)key->in_h, (long long)key->in_w,
        (int)status);
}

static int key_is_linear(const onednn_key *k)
{
    return k->kernel == 1 && k->stride == 1 && k->padding == 0 && k->groups == 1;
}

/* ---- primitives ---- */

static dnnl_status_t describe_linear(onednn_product *p, onednn_desc *weights)
{
    const onednn_key *k = &p->key;
    const dnnl_dim_t in[] = {k->in_h, k->n_in}, in_strides[] = {k->n_in, 1};
    const dnnl_dim_t out[] = {k->in_h, k->n_out}, out_strides[] = {k->n_out, 1};
    const dnnl_dim_t bias[] = {1, k->n_out}, bias_strides[] = {k->n_out, 1}, w[] = {k->n_in, k->n_out};
    dnnl_status_t rc = trk_onednn_desc_init(&p->in, 2, in, (dnnl_data_type_t)k->in_type, in_strides);
    if (rc == dnnl_success)
        rc = trk_onednn_desc_init(&p->out, 2, out, (dnnl_data_type_t)k->out_type, out_strides);
    if (rc == dnnl_success && k->has_bias)
        rc = trk_onednn_desc_init(&p->bias, 2, bias, dnnl_f32, bias_strides);
    return rc == dnnl_success ? trk_onednn_desc_init(weights, 2, w, (dnnl_data_type_t)k->in_type, NULL) : rc;
}

static dnnl_status_t describe_convolution(onednn_product *p, onednn_desc *weights)
{
    const onednn_key *k = &p->key;
    const dnnl_dim_t h = k->in_h, w = k->in_w, ci = k->n_in, co = k->n_out;
    const dnnl_dim_t out_h = (h + k->pad_top + k->pad_bottom - k->kernel) / k->stride + 1;
    const dnnl_dim_t out_w = (w + 2 * k->padding - k->kernel) / k->stride + 1;
    const dnnl_dim_t in[] = {1, ci, h, w}, in_strides[] = {h * w * ci, 1, w * ci, ci};
    const dnnl_dim_t out[] = {1, co, out_h, out_w}, out_strides[] = {out_h * out_w * co, 1, out_w * co, co};
    const dnnl_dim_t bias[] = {co}, bias_strides[] = {1};
    const dnnl_dim_t dense[] = {co, ci, k->kernel, k->kernel}, depthwise[] = {co, 1, 1, k->kernel, k->kernel};
    dnnl_status_t rc = trk_onednn_desc_init(&p->in, 4, in, (dnnl_data_type_t)k->in_type, in_strides);
    if (rc == dnnl_success)
        rc = trk_onednn_desc_init(&p->out, 4, out, (dnnl_data_type_t)k->out_type, out_strides);
    if (rc == dnnl_success && k->has_bias)
        rc = trk_onednn_desc_init(&p->bias, 1, bias, dnnl_f32, bias_strides);
    if (rc != dnnl_success)
        return rc;
    return k->groups > 1 ? trk_onednn_desc_init(weights, 5, depthwise, (dnnl_data_type_t)k->in_type, NULL)
                         : trk_onednn_desc_init(weights, 4, dense, (dnnl_data_type_t)k->in_type, NULL);
}

/* Fills p's descriptors and makes the primitive's description; layout NULL: the library's choice. */
static dnnl_status_t create_description(const struct cpu_library *cache, onednn_product *p, const onednn_layout *layout,
                                        dnnl_primitive_desc_t *out)
{
    const onednn_key *k = &p->key;
    onednn_desc any = {0};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t rc = key_is_linear(k) ? describe_linear(p, &any) : describe_convolution(p, &any);
    if (rc == dnnl_success)
        rc = trk_onednn_attr_create(&attr, (dnnl_alg_kind_t)k->act, (int)k->accumulate);
    if (rc == dnnl_success) {
        const onednn_desc *weights = layout ? &layout->desc : &any, *bias = k->has_bias ? &p->bias : NULL;
        rc = key_is_linear(k)
                 ? trk_onednn_matmul_create(out, cache->engine, attr, &p->in, weights, bias, &p->out)
                 : trk_onednn_convolution_create(
                       out, cache->engine, attr, &p->in, weights, bias, &p->out, (int)k->stride,
                       (const int[]){(int)k->pad_top, (int)k->pad_bottom, (int)k->padding, (int)k->padding});
    }
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    trk_onednn_desc_release(&any);
    return rc;
}

static void release_descriptors(onednn_product *p)
{
    trk_onednn_desc_release(&p->in);
    trk_onednn_desc_release(&p->bias);
    trk_onednn_desc_release(&p->out);
    trk_onednn_desc_release(&p->scratch);
}

/* oneDNN's own reference loops are a hundred times slower than its generated code. */
static int is_slow(dnnl_primitive_desc_t description)
{
    const char *name = NULL;
    if (dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, (void *)&name) != dnnl_success || !name)
        return 0;
    return strstr(name, "ref") != NULL;
}

/* Layout equal to the description's weights, added to the list if new; NULL on failure. */
static const onednn_layout *intern_layout(struct cpu_library *cache, dnnl_primitive_desc_t description)
{
    onednn_desc desc;
    if (trk_onednn_desc_query(&desc, description, dnnl_query_weights_md) != dnnl_success)
        return NULL;
    for (onednn_layout *l = cache->layouts; l; l = l->next)
        if (trk_onednn_desc_equal(&l->desc, &desc)) {
            trk_onednn_desc_release(&desc);
            return l;
        }
    onednn_layout *added = allocate_zeroed(cache, "oneDNN layout", sizeof *added);
    if (!added) {
        trk_onednn_desc_release(&desc);
        return NULL;
    }
    added->desc = desc;
    added->next = cache->layouts;
    cache->layouts = added;
    return added;
}

trk_status trk_onednn_cache_layout(struct cpu_library *cache, const onednn_key *key, const onednn_layout **out)
{
    onednn_product p = {.key = *key};
    dnnl_primitive_desc_t description = NULL;
    pthread_mutex_lock(&cache->mutex);
    const dnnl_status_t rc = create_description(cache, &p, NULL, &description);
    *out = rc == dnnl_success ? intern_layout(cache, description) : NULL;
    pthread_mutex_unlock(&cache->mutex);
    if (description)
        dnnl_primitive_desc_destroy(description);
    release_descriptors(&p);
    return *out ? TRK_OK : key_fail(key, "weights layout", rc == dnnl_success ? dnnl_out_of_memory : rc);
}

static void release_seat(struct cpu_library *cache, onednn_seat *s)
{
    if (s->in)
        dnnl_memory_destroy(s->in);
    if (s->bias)
        dnnl_memory_destroy(s->bias);
    if (s->out)
        dnnl_memory_destroy(s->out);
    if (s->scratch)
        dnnl_memory_destroy(s->scratch);
    if (s->stream)
        dnnl_stream_destroy(s->stream);
    release(cache, s, sizeof *s);
}

static void release_product(struct cpu_library *cache, onednn_product *p)
{
    while (p->free_seats) {
        onednn_seat *seat = p->free_seats;
        p->free_seats = seat->next;
        release_seat(cache, seat);
    }
    if (p->primitive)
        dnnl_primitive_destroy(p->primitive);
    release_descriptors(p);
    release(cache, p, sizeof *p);
}

static trk_status create_product(struct cpu_library *cache, const onednn_key *key, const onednn_layout *layout,
                                 onednn_product **out)
{
    onednn_product *p = allocate_zeroed(cache, "oneDNN primitive", sizeof *p);
    if (!p)
        return TRK_E_MEMORY;
    dnnl_primitive_desc_t description = NULL;
    p->key = *key;
    dnnl_status_t rc = create_description(cache, p, layout, &description);
    if (layout && (rc != dnnl_success || is_slow(description))) { /* this shape wants another layout */
        if (description)
            dnnl_primitive_desc_destroy(description);
        description = NULL;
        release_descriptors(p);
        rc = create_description(cache, p, NULL, &description);
    }
    if (rc == dnnl_success)
        rc = trk_onednn_desc_query(&p->scratch, description, dnnl_query_scratchpad_md);
    if (rc == dnnl_success)
        rc = dnnl_primitive_create(&p->primitive, description);
    if (rc == dnnl_success)
        p->layout = intern_layout(cache, description);
    if (description)
        dnnl_primitive_desc_destroy(description);
    if (!p->layout) {
        release_product(cache, p);
        return key_fail(key, "primitive", rc == dnnl_success ? dnnl_out_of_memory : rc);
    }
    *out = p;
    return TRK_OK;
}

/* ---- look-up ---- */

static unsigned bucket_of(const onednn_key *key)
{
    uint64_t words[sizeof *key / sizeof(uint64_t)], hash = 0xcbf29ce484222325u; /* FNV-1a over words */
    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        hash = (hash ^ words[i]) * 0x100000001b3u;
    return (unsigned)((hash ^ hash >> 32) % N_BUCKETS);
}

static onednn_product *find(const struct cpu_library *cache, const onednn_key *key, unsigned bucket)
{
    onednn_product *p = cache->buckets[bucket];
    while (p && memcmp(&p->key, key, sizeof *key) != 0)
        p = p->next;
    return p;
}

/* 1 if there was one without a running call. */
static int evict_oldest(struct cpu_library *cache)
{
    onednn_product **oldest = NULL;
    for (int i = 0; i < N_BUCKETS; i++)
        for (onednn_product **p = &cache->buckets[i]; *p; p = &(*p)->next)
            if (!(*p)->n_taken && (!oldest || (*p)->last_used < (*oldest)->last_used))
                oldest = p;
    if (!oldest)
        return 0;
    onednn_product *evicted = *oldest;
    *oldest = evicted->next;
    release_product(cache, evicted);
    cache->n_products--;
    return 1;
}

static trk_status create_seat(struct cpu_library *cache, onednn_product *p, onednn_seat **out)
{
    onednn_seat *s = allocate_zeroed(cache, "oneDNN arguments", sizeof *s);
    if (!s)
        return TRK_E_MEMORY;
    s->product = p;
    s->primitive = p->primitive;
    s->layout = p->layout;
    s->scratch_bytes = trk_onednn_desc_bytes(&p->scratch);
    dnnl_status_t rc = dnnl_stream_create(&s->stream, cache->engine, dnnl_stream_default_flags);
    if (rc == dnnl_success)
        rc = trk_onednn_memory_create(&s->in, &p->in, cache->engine, DNNL_MEMORY_NONE);
    if (rc == dnnl_success)
        rc = trk_onednn_memory_create(&s->out, &p->out, cache->engine, DNNL_MEMORY_NONE);
    if (rc == dnnl_success && p->key.has_bias)
        rc = trk_onednn_memory_create(&s->bias, &p->bias, cache->engine, DNNL_MEMORY_NONE);
    if (rc == dnnl_success && s->scratch_bytes)
        rc = trk_onednn_memory_create(&s->scratch, &p->scratch, cache->engine, DNNL_MEMORY_NONE);
    if (rc != dnnl_success) {
        release_seat(cache, s);
        return key_fail(&p->key, "arguments", rc);
    }
    *out = s;
    return TRK_OK;
}

/* A seat for every worker from the start: what is allocated does not depend on how their work falls together. */
static trk_status create_seats(struct cpu_library *cache, onednn_product *p)
{
    for (int i = 0; i < cache->n_workers; i++) {
        onednn_seat *seat;
        const trk_status rc = create_seat(cache, p, &seat);
        if (rc < 0)
            return rc;
        seat->next = p->free_seats;
        p->free_seats = seat;
    }
    return TRK_OK;
}

static trk_status add_product(struct cpu_library *cache, const onednn_key *key, const onednn_layout *layout,
                              unsigned bucket, onednn_product **out)
{
    if (cache->n_products >= MAX_PRODUCTS)
        (void)evict_oldest(cache);
    trk_status rc = create_product(cache, key, layout, out);
    if (rc < 0)
        return rc;
    (*out)->next = cache->buckets[bucket];
    cache->buckets[bucket] = *out;
    cache->n_products++;
    return create_seats(cache, *out);
}

static trk_status take_locked(struct cpu_library *cache, const onednn_key *key, const onednn_layout *layout,
                              onednn_seat **out)
{
    const unsigned bucket = bucket_of(key);
    onednn_product *p = find(cache, key, bucket);
    trk_status rc = TRK_OK;
    if (!p)
        TRK_CHECK(add_product(cache, key, layout, bucket, &p));
    p->last_used = ++cache->clock;
    if (p->free_seats) {
        *out = p->free_seats;
        p->free_seats = (*out)->next;
    } else {
        TRK_CHECK(create_seat(cache, p, out));
    }
    p->n_taken++;
done:
    return rc;
}

trk_status trk_onednn_cache_take(struct cpu_library *cache, const onednn_key *key, const onednn_layout *layout,
                                 onednn_seat **out)
{
    pthread_mutex_lock(&cache->mutex);
    const trk_status rc = take_locked(cache, key, layout, out);
    pthread_mutex_unlock(&cache->mutex);
    return rc;
}

void trk_onednn_cache_give_back(struct cpu_library *cache, onednn_seat *seat)
{
    pthread_mutex_lock(&cache->mutex);
    seat->next = seat->product->free_seats;
    seat->product->free_seats = seat;
    seat->product->n_taken--;
    pthread_mutex_unlock(&cache->mutex);
}

size_t trk_cpu_library_trim(struct cpu_library *cache, size_t bytes)
{
    if (!cache)
        return 0;
    pthread_mutex_lock(&cache->mutex);
    const size_t before = cache->n_freed;
    while (cache->n_freed - before < bytes && evict_oldest(cache))
        ;
    const size_t freed = cache->n_freed - before;
    pthread_mutex_unlock(&cache->mutex);
    return freed;
}

/* ---- the cache itself ---- */

dnnl_engine_t trk_onednn_cache_engine(const struct cpu_library *cache)
{
    return cache->engine;
}

trk_status trk_cpu_library_create(struct cpu_library **out, int n_workers, trk_allocator *allocator)
{
    *out = NULL;
    struct cpu_library *cache = allocator->allocate(allocator, TRK_MEM_PINNED, "oneDNN cache", sizeof *cache);
    if (!cache)
        return TRK_FAIL(TRK_E_MEMORY, "oneDNN cache: no memory for %zu bytes", sizeof *cache);
    memset(cache, 0, sizeof *cache);
    cache->allocator = allocator;
    cache->n_workers = n_workers;
    const dnnl_status_t rc = dnnl_engine_create(&cache->engine, dnnl_cpu, 0);
    if (rc != dnnl_success) {
        allocator->release(allocator, TRK_MEM_PINNED, cache, sizeof *cache);
        return TRK_FAIL(TRK_E_BACKEND, "oneDNN: no CPU engine (status %d)", (int)rc);
    }
    pthread_mutex_init(&cache->mutex, NULL);
    *out = cache;
    return TRK_OK;
}

void trk_cpu_library_destroy(struct cpu_library **library)
{
    struct cpu_library *cache = *library;
    if (!cache)
        return;
    for (int i = 0; i < N_BUCKETS; i++)
        while (cache->buckets[i]) {
            onednn_product *p = cache->buckets[i];
            cache->buckets[i] = p->next;
            release_product(cache, p);
        }
    while (cache->layouts) {
        onednn_layout *layout = cache->layouts;
        cache->layouts = layout->next;
        trk_onednn_desc_release(&layout->desc);
        release(cache, layout, sizeof *layout);
    }
    dnnl_engine_destroy(cache->engine);
    pthread_mutex_destroy(&cache->mutex);
    release(cache, cache, sizeof *cache);
    *library = NULL;
}

int trk_cpu_library_has_bf16(void)
{
#ifdef __x86_64__
    const int needed = (int)dnnl_cpu_isa_avx512_core_bf16; /* a set of bits that every better one includes */
    return __builtin_cpu_supports("avx512bf16") && ((int)dnnl_get_effective_cpu_isa() & needed) == needed;
#else
    return 0;
#endif
}

const char *trk_cpu_library_name(void)
{
    static char name[48];
    const dnnl_version_t *v = dnnl_version();
    snprintf(name, sizeof name, "oneDNN %d.%d.%d", v->major, v->minor, v->patch); /* the same text every time */
    return name;
}
