/* SPDX-License-Identifier: MIT */
/*
 * blob.c - threads take and drop references to one blob, and race for the last drop. The bytes are
 * wrapped and overwritten when they are given back, so a reader that is not ordered before the end
 * is a data race for ThreadSanitizer and a wrong byte for everybody else. Ends by itself.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "mailbox/blob.h"

enum { THREADS = 4, ROUNDS = 5000, HOLDS = 8 };

static char bytes[64];
static int released; /* plain on purpose: the end of one round happens before the next */
static pthread_barrier_t barrier;
static ward_blob *blob;

static void release(void *arg)
{
    memset(bytes, 0, sizeof bytes);
    ++*(int *)arg;
}

static void *hold_read_drop(void *arg)
{
    int *wrong = arg; /* bytes seen that were given back already */

    for (int round = 0; round < ROUNDS; round++) {
        const char *at;

        pthread_barrier_wait(&barrier); /* the main thread made one, with a reference for each */
        at = ward__blob_bytes(blob).at;
        for (int i = 0; i < HOLDS; i++)
            ward__blob_hold(blob);
        for (int i = 0; i < HOLDS; i++) {
            *wrong += at[i] != 'b';
            ward__blob_drop(blob);
        }
        *wrong += at[sizeof bytes - 1] != 'b';
        ward__blob_drop(blob);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

int main(void)
{
    int wrong[THREADS] = { 0 }, wrongs = 0;
    pthread_t threads[THREADS];
    struct ward__heap heap;

    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, hold_read_drop, &wrong[i])) return 1;
    for (int round = 0; round < ROUNDS; round++) {
        memset(bytes, 'b', sizeof bytes);
        if (ward__blob_wrap(&heap, &blob, (ward_bytes){ bytes, sizeof bytes }, release, &released))
            return 1;
        for (int i = 1; i < THREADS; i++)
            ward__blob_hold(blob);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        wrongs += wrong[i];
    }
    pthread_barrier_destroy(&barrier);
    printf("%d released, %d wrong, %zu bytes left\n", released, wrongs,
        (size_t)ward__load(&heap.bytes));
    return released == ROUNDS && !wrongs && !ward__load(&heap.bytes) ? 0 : 1;
}
