/* SPDX-License-Identifier: Apache-2.0 */
#include "picture_queue.h"

#include <stdio.h>
#include <string.h>

#include "heap.h"

#define ROW_ALIGNMENT TRK_ALIGNMENT /* bytes; vector code of the scaler may write whole vectors at the end of a row */

static const char owner[] = "video pictures";

static void release_pool(picture_queue *queue)
{
    for (int i = 0; i < queue->n; i++)
        trk_heap_release(queue->storage[i]);
    trk_heap_release(queue->pictures);
    trk_heap_release(queue->places);
    trk_heap_release(queue->storage);
    trk_heap_release(queue->ready);
    memset(queue, 0, sizeof *queue);
}

trk_status trk_picture_queue_init(picture_queue *queue, int n, int width, int height, int storage_width,
                                  int storage_height, int late)
{
    memset(queue, 0, sizeof *queue);
    size_t stride = ((size_t)storage_width * 3 + ROW_ALIGNMENT - 1) / ROW_ALIGNMENT * ROW_ALIGNMENT;
    if (__builtin_mul_overflow(stride, (size_t)storage_height, &queue->bytes) ||
        queue->bytes > PTRDIFF_MAX - ROW_ALIGNMENT)
        return TRK_FAIL(TRK_E_MEMORY, "a picture of %dx%d does not fit in memory", storage_width, storage_height);
    queue->pictures = trk_heap_zeroed(TRK_MEM_FRAME, owner, (size_t)n, sizeof *queue->pictures);
    queue->places = trk_heap_zeroed(TRK_MEM_FRAME, owner, (size_t)n, sizeof *queue->places);
    queue->ready = trk_heap_zeroed(TRK_MEM_FRAME, owner, (size_t)n, sizeof *queue->ready);
    queue->storage = trk_heap_zeroed(TRK_MEM_FRAME, owner, (size_t)n, sizeof *queue->storage);
    if (!queue->pictures || !queue->places || !queue->ready || !queue->storage)
        goto failed;
    queue->n = n;
    for (int i = 0; i < n; i++) {
        queue->pictures[i] = (trk_picture){.width = width, .height = height, .stride = (ptrdiff_t)stride};
        if (!late && trk_picture_queue_pixels(queue, &queue->pictures[i]) < 0)
            goto failed;
    }
    if (pthread_mutex_init(&queue->lock, NULL))
        goto failed;
    if (pthread_cond_init(&queue->changed, NULL)) {
        pthread_mutex_destroy(&queue->lock);
        goto failed;
    }
    return TRK_OK;
failed:
    release_pool(queue);
    return TRK_FAIL(TRK_E_MEMORY, "out of memory for %d pictures of %dx%d", n, storage_width, storage_height);
}

trk_status trk_picture_queue_pixels(picture_queue *queue, trk_picture *picture)
{
    uint8_t **storage = &queue->storage[picture - queue->pictures];
    if (!*storage)
        *storage = trk_heap_zeroed(TRK_MEM_FRAME, owner, 1, queue->bytes + ROW_ALIGNMENT);
    picture->rgb = *storage;
    return *storage ? TRK_OK
                    : TRK_FAIL(TRK_E_MEMORY, "out of memory for a picture of %dx%d", picture->width, picture->height);
}

void trk_picture_queue_free(picture_queue *queue)
{
    if (!queue->n)
        return;
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    release_pool(queue);
}

static int count_at(const picture_queue *queue, picture_place place)
{
    int count = 0;
    for (int i = 0; i < queue->n; i++)
        count += queue->places[i] == place;
    return count;
}

/* Slot of a picture that is at `place`, or -1. */
static int find_slot(const picture_queue *queue, const trk_picture *picture, picture_place place)
{
    for (int i = 0; i < queue->n; i++)
        if (&queue->pictures[i] == picture)
            return queue->places[i] == place ? i : -1;
    return -1;
}

static void set_end(picture_queue *queue, picture_end *end, trk_status code)
{
    pthread_mutex_lock(&queue->lock);
    if (!end->set) {
        end->set = 1;
        end->code = code;
        snprintf(end->text, sizeof end->text, "%.511s", code < 0 ? trk_error_text() : "");
        pthread_cond_broadcast(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
}

void trk_picture_queue_end(picture_queue *queue, trk_status code)
{
    set_end(queue, &queue->ended, code);
}

void trk_picture_queue_stop(picture_queue *queue, trk_status code)
{
    set_end(queue, &queue->stopped, code);
}

trk_status trk_picture_queue_take_free(picture_queue *queue, trk_picture **out)
{
    trk_status rc = TRK_OK;
    pthread_mutex_lock(&queue->lock);
    for (;;) {
        if (queue->stopped.set) {
            rc = queue->stopped.code < 0 ? TRK_FAIL(queue->stopped.code, "%s", queue->stopped.text) : TRK_END;
            break;
        }
        int slot = 0;
        while (slot < queue->n && queue->places[slot] != PICTURE_FREE)
            slot++;
        if (slot < queue->n) {
            queue->places[slot] = PICTURE_PRODUCER;
            *out = &queue->pictures[slot];
            break;
        }
        if (count_at(queue, PICTURE_PRODUCER) == queue->n) {
            rc = TRK_FAIL(TRK_E_STATE, "all %d pictures are taken: hand one over before taking the next", queue->n);
            break;
        }
        pthread_cond_wait(&queue->changed, &queue->lock);
    }
    pthread_mutex_unlock(&queue->lock);
    return rc;
}

trk_status trk_picture_queue_put_ready(picture_queue *queue, trk_picture *picture)
{
    trk_status rc = TRK_OK;
    pthread_mutex_lock(&queue->lock);
    int slot = find_slot(queue, picture, PICTURE_PRODUCER);
    if (slot < 0) {
        rc = TRK_FAIL(TRK_E_ARGUMENT, "a picture was handed over that was not taken from this queue");
    } else {
        queue->places[slot] = PICTURE_READY;
        queue->ready[(queue->ready_first + queue->n_ready++) % queue->n] = slot;
        pthread_cond_broadcast(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
    return rc;
}

static void free_from(picture_queue *queue, trk_picture *picture, picture_place place)
{
    pthread_mutex_lock(&queue->lock);
    int slot = find_slot(queue, picture, place);
    if (slot >= 0) {
        queue->places[slot] = PICTURE_FREE;
        pthread_cond_broadcast(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
}

void trk_picture_queue_return_unused(picture_queue *queue, trk_picture *picture)
{
    free_from(queue, picture, PICTURE_PRODUCER);
}

void trk_picture_queue_put_free(picture_queue *queue, trk_picture *picture)
{
    free_from(queue, picture, PICTURE_CONSUMER);
}

trk_status trk_picture_queue_take_ready(picture_queue *queue, trk_picture **out)
{
    trk_status rc = TRK_OK;
    pthread_mutex_lock(&queue->lock);
    for (;;) {
        if (queue->n_ready) {
            int slot = queue->ready[queue->ready_first];
            queue->ready_first = (queue->ready_first + 1) % queue->n;
            queue->n_ready--;
            queue->places[slot] = PICTURE_CONSUMER;
            *out = &queue->pictures[slot];
            break;
        }
        if (queue->ended.set) {
            rc = queue->ended.code < 0 ? TRK_FAIL(queue->ended.code, "%s", queue->ended.text) : TRK_END;
            queue->ended.code = TRK_END; /* an error is told once */
            break;
        }
        if (count_at(queue, PICTURE_CONSUMER) == queue->n) {
            rc = TRK_FAIL(TRK_E_STATE, "all %d pictures are taken: release one before reading the next", queue->n);
            break;
        }
        pthread_cond_wait(&queue->changed, &queue->lock);
    }
    pthread_mutex_unlock(&queue->lock);
    return rc;
}
