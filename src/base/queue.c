#include "base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"

struct item {
	void *pointer;
	size_t weight;
};

struct weir_queue {
	pthread_mutex_t lock;
	pthread_cond_t filled, drained;
	struct item *ring;
	size_t head, count, capacity; /* capacity is a power of two */
	size_t weight, limit;
	bool closed;
};

struct weir_queue *weir_queue_new(size_t limit)
{
	struct weir_queue *queue = weir_zalloc(sizeof *queue);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->filled, &monotonic);
	pthread_cond_init(&queue->drained, &monotonic);
	pthread_condattr_destroy(&monotonic);
	queue->capacity = 16;
	queue->ring = weir_alloc(queue->capacity * sizeof *queue->ring);
	queue->limit = limit;
	return queue;
}

void weir_queue_free(struct weir_queue *queue)
{
	if (queue == NULL)
		return;
	pthread_cond_destroy(&queue->filled);
	pthread_cond_destroy(&queue->drained);
	pthread_mutex_destroy(&queue->lock);
	free(queue->ring);
	free(queue);
}

static bool has_room(const struct weir_queue *queue, size_t weight)
{
	return queue->count == 0 || (queue->weight < queue->limit && weight <= queue->limit - queue->weight);
}

static void append(struct weir_queue *queue, void *pointer, size_t weight)
{
	if (queue->count == queue->capacity) {
		struct item *ring = weir_realloc(NULL, queue->capacity * 2, sizeof *ring);
		for (size_t i = 0; i < queue->count; i++)
			ring[i] = queue->ring[(queue->head + i) & (queue->capacity - 1)];
		free(queue->ring);
		queue->ring = ring;
		queue->head = 0;
		queue->capacity *= 2;
	}
	queue->ring[(queue->head + queue->count) & (queue->capacity - 1)] = (struct item){pointer, weight};
	queue->count++;
	queue->weight += weight;
	pthread_cond_signal(&queue->filled);
}

bool weir_queue_try_push(struct weir_queue *queue, void *take_item, size_t weight)
{
	pthread_mutex_lock(&queue->lock);
	bool ok = !queue->closed && has_room(queue, weight);
	if (ok)
		append(queue, take_item, weight);
	pthread_mutex_unlock(&queue->lock);
	return ok;
}

bool weir_queue_push(struct weir_queue *queue, void *take_item, size_t weight)
{
	pthread_mutex_lock(&queue->lock);
	while (!queue->closed && !has_room(queue, weight))
		pthread_cond_wait(&queue->drained, &queue->lock);
	bool ok = !queue->closed;
	if (ok)
		append(queue, take_item, weight);
	pthread_mutex_unlock(&queue->lock);
	return ok;
}

void *weir_queue_pop(struct weir_queue *queue, int64_t timeout_us)
{
	struct timespec until;
	void *pointer = NULL;
	if (timeout_us >= 0) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		int64_t ns = until.tv_nsec + timeout_us % 1000000 * 1000;
		until.tv_sec += timeout_us / 1000000 + ns / 1000000000;
		until.tv_nsec = ns % 1000000000;
	}
	pthread_mutex_lock(&queue->lock);
	while (queue->count == 0 && !queue->closed) {
		if (timeout_us < 0)
			pthread_cond_wait(&queue->filled, &queue->lock);
		else if (pthread_cond_timedwait(&queue->filled, &queue->lock, &until) == ETIMEDOUT)
			break;
	}
	if (queue->count > 0) {
		struct item item = queue->ring[queue->head];
		queue->head = (queue->head + 1) & (queue->capacity - 1);
		queue->count--;
		queue->weight -= item.weight;
		pointer = item.pointer;
		pthread_cond_broadcast(&queue->drained);
	}
	pthread_mutex_unlock(&queue->lock);
	return pointer;
}

void weir_queue_close(struct weir_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->closed = true;
	pthread_cond_broadcast(&queue->filled);
	pthread_cond_broadcast(&queue->drained);
	pthread_mutex_unlock(&queue->lock);
}

bool weir_queue_closed(struct weir_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	bool closed = queue->closed;
	pthread_mutex_unlock(&queue->lock);
	return closed;
}

size_t weir_queue_weight(struct weir_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	size_t weight = queue->weight;
	pthread_mutex_unlock(&queue->lock);
	return weight;
}
