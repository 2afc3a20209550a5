/*
 * A bounded queue of pointers between threads. What is queued has a weight (bytes); the queue is full
 * when the weights reach the limit, so that memory between threads is bounded whatever the sizes.
 */
#ifndef WEIR_BASE_QUEUE_H
#define WEIR_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_queue;

struct weir_queue *weir_queue_new(size_t limit_weight);
void weir_queue_free(struct weir_queue *queue); /* must be empty or its items owned elsewhere */

/* False when full or closed (then the item is still the caller's). An empty queue takes any weight. */
bool weir_queue_try_push(struct weir_queue *queue, void *take_item, size_t weight);
/* Waits for room; false when closed. */
bool weir_queue_push(struct weir_queue *queue, void *take_item, size_t weight);
/* The next item; NULL on a timeout (timeout_us < 0: wait for ever) or when closed and empty. */
void *weir_queue_pop(struct weir_queue *queue, int64_t timeout_us);
void weir_queue_close(struct weir_queue *queue); /* no more pushes; pops drain what is there */
bool weir_queue_closed(struct weir_queue *queue);
size_t weir_queue_weight(struct weir_queue *queue);

#endif
