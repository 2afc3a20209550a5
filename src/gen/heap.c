/* The heap of arrivals: four children a node, so that a walk touches half the levels of a binary heap. */
#include "base/arena.h"
#include "gen/gen_int.h"

#include <stdlib.h>

#define CHILDREN 4u

static bool before(const struct gen_arrival *a, const struct gen_arrival *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->owner < b->owner;
}

void gen_heap_push(struct gen_heap *heap, struct gen_arrival arrival)
{
	WEIR_GROW(heap->items, heap->count, heap->capacity);
	size_t at = heap->count++;
	while (at > 0 && before(&arrival, &heap->items[(at - 1) / CHILDREN])) {
		heap->items[at] = heap->items[(at - 1) / CHILDREN];
		at = (at - 1) / CHILDREN;
	}
	heap->items[at] = arrival;
}

void gen_heap_replace_first(struct gen_heap *heap, struct gen_arrival arrival)
{
	struct gen_arrival *items = heap->items;
	size_t at = 0;
	WEIR_ASSERT(heap->count > 0);
	for (;;) {
		size_t first = at * CHILDREN + 1;
		size_t end = first + CHILDREN < heap->count ? first + CHILDREN : heap->count;
		size_t least = first;
		if (first >= heap->count)
			break;
		for (size_t child = first + 1; child < end; child++)
			if (before(&items[child], &items[least]))
				least = child;
		if (!before(&items[least], &arrival))
			break;
		items[at] = items[least];
		at = least;
	}
	items[at] = arrival;
}

void gen_heap_pop(struct gen_heap *heap)
{
	WEIR_ASSERT(heap->count > 0);
	struct gen_arrival last = heap->items[--heap->count];
	if (heap->count > 0)
		gen_heap_replace_first(heap, last);
}

void gen_heap_done(struct gen_heap *heap)
{
	free(heap->items);
	*heap = (struct gen_heap){0};
}
