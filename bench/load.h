/* What the programs share that send requests to a server: an end with a reason, arrays that grow. */
#ifndef WEIR_BENCH_LOAD_H
#define WEIR_BENCH_LOAD_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With what errno says. */
static inline _Noreturn void load_die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(3);
}

/* Room for one item more. */
static inline void *load_grow(void *items, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return items;
	*capacity = *capacity > 0 ? 2 * *capacity : 1024;
	items = realloc(items, *capacity * size);
	if (items == NULL)
		load_die("memory");
	return items;
}

#endif
