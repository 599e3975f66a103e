/* SPDX-License-Identifier: Apache-2.0
 * A fixed pool of pictures that travel between two threads: free -> producer -> ready (in order) -> consumer -> free.
 * Memory is that of the pool however long the video is; a side that runs ahead waits.
 *
 * Each side can end the traffic. trk_picture_queue_end (producer): the consumer first gets what is ready, then the
 * status given, once, then TRK_END. trk_picture_queue_stop (consumer): the producer gets the status given at once. */
#ifndef TRK_VIDEO_PICTURE_QUEUE_H
#define TRK_VIDEO_PICTURE_QUEUE_H

#include <pthread.h>

#include "video.h"

typedef enum picture_place { PICTURE_FREE, PICTURE_PRODUCER, PICTURE_READY, PICTURE_CONSUMER } picture_place;

typedef struct picture_end {
    int set;
    trk_status code;
    char text[512];
} picture_end;

typedef struct picture_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int n;                 /* pictures in the pool; 0 = not initialised */
    trk_picture *pictures; /* [n] owned */
    picture_place *places; /* [n] owned */
    uint8_t **storage;     /* [n] of the pictures' pixels, NULL until needed; owned */
    size_t bytes;          /* of each */
    int *ready;            /* [n] ring of ready pictures, owned */
    int ready_first, n_ready;
    picture_end ended, stopped;
} picture_queue;

/* n pictures of width x height, each with room for storage_width x storage_height (>= width, height) pixels: from the
 * start, or with `late` when trk_picture_queue_pixels gives it to them. */
trk_status trk_picture_queue_init(picture_queue *queue, int n, int width, int height, int storage_width,
                                  int storage_height, int late);
void trk_picture_queue_free(picture_queue *queue); /* accepts a zeroed struct; no thread may still use it */

/* By the side that has the picture: sets its rgb. */
trk_status trk_picture_queue_pixels(picture_queue *queue, trk_picture *picture);

/* Producer. Waits for a free picture; fails with the consumer's status once stopped, and with TRK_E_STATE when the
 * producer itself holds the whole pool. */
trk_status trk_picture_queue_take_free(picture_queue *queue, trk_picture **out);
trk_status trk_picture_queue_put_ready(picture_queue *queue, trk_picture *picture);
void trk_picture_queue_return_unused(picture_queue *queue, trk_picture *picture);
void trk_picture_queue_end(picture_queue *queue, trk_status code); /* negative: with the thread's error text */

/* Consumer. Waits for the next picture; TRK_E_STATE when the consumer itself holds the whole pool. */
trk_status trk_picture_queue_take_ready(picture_queue *queue, trk_picture **out);
void trk_picture_queue_put_free(picture_queue *queue, trk_picture *picture); /* not the consumer's: ignored */
void trk_picture_queue_stop(picture_queue *queue, trk_status code); /* negative: with the thread's error text */

#endif
