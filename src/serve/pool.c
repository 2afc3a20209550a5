/* Worker threads that run calls, so that a long one never holds up a server's epoll thread. */
#include "serve/serve_int.h"

#include <stdlib.h>
#include <time.h>

#include "base/queue.h"

#define POOL_THREADS_MAX 8

struct pool {
	struct weir_queue *queue;
	pthread_t threads[POOL_THREADS_MAX];
	unsigned thread_count;
	/* Calls that are to be run again: one thread, made when it is needed, puts them back into the queue. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t again_thread;
	struct serve_call *again[SERVE_AGAIN_MAX];
	unsigned again_count;
	bool has_again_thread, closing;
};

static void *pool_main(void *argument)
{
	struct pool *pool = argument;
	struct serve_call *call;
	while ((call = weir_queue_pop(pool->queue, -1)) != NULL)
		call_run(call);
	return NULL;
}

static void *again_main(void *argument)
{
	struct pool *pool = argument;
	pthread_mutex_lock(&pool->lock);
	while (!pool->closing) {
		struct timespec until;
		if (pool->again_count == 0) {
			pthread_cond_wait(&pool->changed, &pool->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += SERVE_AGAIN_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		while (!pool->closing && pthread_cond_timedwait(&pool->changed, &pool->lock, &until) == 0)
			continue; /* another call came; it may be asked again sooner */
		while (pool->again_count > 0 && weir_queue_try_push(pool->queue, pool->again[pool->again_count - 1], 1))
			pool->again_count--;
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

struct pool *pool_new(unsigned threads)
{
	WEIR_ASSERT(threads <= POOL_THREADS_MAX);
	struct pool *pool = weir_zalloc(sizeof *pool);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pool->queue = weir_queue_new(SERVE_QUEUE);
	for (; pool->thread_count < threads; pool->thread_count++)
		WEIR_ASSERT(pthread_create(&pool->threads[pool->thread_count], NULL, pool_main, pool) == 0);
	return pool;
}

bool pool_submit(struct pool *pool, struct serve_call *call)
{
	return weir_queue_try_push(pool->queue, call, 1);
}

bool pool_submit_again(struct pool *pool, struct serve_call *call)
{
	pthread_mutex_lock(&pool->lock);
	bool room = pool->again_count < SERVE_AGAIN_MAX && !pool->closing;
	if (room && !pool->has_again_thread) {
		WEIR_ASSERT(pthread_create(&pool->again_thread, NULL, again_main, pool) == 0);
		pool->has_again_thread = true;
	}
	if (room)
		pool->again[pool->again_count++] = call;
	pthread_cond_signal(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	return room;
}

void pool_free(struct pool *pool)
{
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	pthread_cond_signal(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	if (pool->has_again_thread)
		pthread_join(pool->again_thread, NULL);
	while (pool->again_count > 0) /* the workers run still */
		weir_queue_push(pool->queue, pool->again[--pool->again_count], 1);
	weir_queue_close(pool->queue);
	for (unsigned i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	weir_queue_free(pool->queue);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
