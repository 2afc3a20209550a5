/* Worker threads that run calls, so that a long one never holds up a server's epoll thread. */
#include "serve/serve_int.h"

#include <stdlib.h>

#include "base/queue.h"

#define POOL_THREADS_MAX 8

struct pool {
	struct weir_queue *queue;
	pthread_t threads[POOL_THREADS_MAX];
	unsigned thread_count;
};

static void *pool_main(void *argument)
{
	struct pool *pool = argument;
	struct serve_call *call;
	while ((call = weir_queue_pop(pool->queue, -1)) != NULL)
		call_run(call);
	return NULL;
}

struct pool *pool_new(unsigned threads)
{
	WEIR_ASSERT(threads <= POOL_THREADS_MAX);
	struct pool *pool = weir_zalloc(sizeof *pool);
	pool->queue = weir_queue_new(SERVE_QUEUE);
	for (; pool->thread_count < threads; pool->thread_count++)
		WEIR_ASSERT(pthread_create(&pool->threads[pool->thread_count], NULL, pool_main, pool) == 0);
	return pool;
}

bool pool_submit(struct pool *pool, struct serve_call *call)
{
	return weir_queue_try_push(pool->queue, call, 1);
}

void pool_free(struct pool *pool)
{
	if (pool == NULL)
		return;
	weir_queue_close(pool->queue);
	for (unsigned i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
	weir_queue_free(pool->queue);
	free(pool);
}
