/*
 * Arenas: memory by lifetime. One arena serves a batch, a request or a commit; freeing it frees all.
 *
 * Allocation never returns NULL: a process that is out of memory stops with a message (inputs are
 * bounded, so this is a machine without memory, not a hostile request). Not thread-safe; an arena
 * belongs to one thread at a time.
 */
#ifndef WEIR_BASE_ARENA_H
#define WEIR_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct weir_arena;

struct weir_arena *weir_arena_new(size_t block_size_bytes); /* 0: 64 KiB blocks */
void weir_arena_free(struct weir_arena *arena);             /* NULL is fine */
void weir_arena_reset(struct weir_arena *arena);            /* forget all, keep one block */
size_t weir_arena_used(const struct weir_arena *arena);     /* bytes handed out */

/* Uninitialised memory, aligned to 16 bytes. */
void *weir_arena_alloc(struct weir_arena *arena, size_t size_bytes);
void *weir_arena_zalloc(struct weir_arena *arena, size_t size_bytes);
/* count * size with an overflow check, zeroed. */
void *weir_arena_calloc(struct weir_arena *arena, size_t count, size_t size_bytes);
/* A copy; a zero byte follows it that is not counted in size. */
struct weir_str weir_arena_str(struct weir_arena *arena, struct weir_str text);
char *weir_arena_cstr(struct weir_arena *arena, struct weir_str text);
void *weir_arena_copy(struct weir_arena *arena, const void *data, size_t size_bytes);
char *weir_arena_printf(struct weir_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* malloc, realloc and strdup that cannot fail, for memory with a lifetime of its own. */
void *weir_alloc(size_t size_bytes);
void *weir_zalloc(size_t size_bytes);
void *weir_realloc(void *memory, size_t count, size_t size_bytes);
char *weir_strdup(const char *text);

/*
 * Grow a typed array: makes room for one more element than count. For `struct thing *items; size_t
 * count, capacity;` write `WEIR_GROW(items, count, capacity)` before `items[count++] = ...`.
 */
#define WEIR_GROW(items, count, capacity) \
	((count) < (capacity) ? (void)0 \
			      : (void)((capacity) = (capacity) > 0 ? (capacity)*2 : 8, \
					(items) = weir_realloc((items), (capacity), sizeof *(items))))

#endif
