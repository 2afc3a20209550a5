#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

struct block {
	struct block *next;
	size_t size; /* usable bytes after this header */
	size_t used;
	size_t pad; /* keeps the payload aligned to 16 bytes */
};

struct weir_arena {
	struct block *blocks; /* the newest first; only it has room */
	size_t block_size;
	size_t used;
};

static _Noreturn void out_of_memory(size_t size)
{
	fprintf(stderr, "weir: out of memory (%zu bytes asked for)\n", size);
	abort();
}

void *weir_alloc(size_t size)
{
	void *memory = malloc(size > 0 ? size : 1);
	if (memory == NULL)
		out_of_memory(size);
	return memory;
}

void *weir_zalloc(size_t size)
{
	void *memory = calloc(1, size > 0 ? size : 1);
	if (memory == NULL)
		out_of_memory(size);
	return memory;
}

void *weir_realloc(void *memory, size_t count, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(count, size, &total))
		out_of_memory(SIZE_MAX);
	memory = realloc(memory, total > 0 ? total : 1);
	if (memory == NULL)
		out_of_memory(total);
	return memory;
}

char *weir_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	return memcpy(weir_alloc(size), text, size);
}

static struct block *block_new(size_t size)
{
	struct block *block = weir_alloc(sizeof *block + size);
	*block = (struct block){.size = size};
	return block;
}

struct weir_arena *weir_arena_new(size_t block_size)
{
	struct weir_arena *arena = weir_zalloc(sizeof *arena);
	arena->block_size = block_size > 0 ? block_size : 64 * 1024;
	return arena;
}

void weir_arena_free(struct weir_arena *arena)
{
	if (arena == NULL)
		return;
	while (arena->blocks != NULL) {
		struct block *next = arena->blocks->next;
		free(arena->blocks);
		arena->blocks = next;
	}
	free(arena);
}

void weir_arena_reset(struct weir_arena *arena)
{
	struct block *kept = NULL;
	while (arena->blocks != NULL) {
		struct block *next = arena->blocks->next;
		if (kept == NULL && arena->blocks->size == arena->block_size)
			kept = arena->blocks;
		else
			free(arena->blocks);
		arena->blocks = next;
	}
	if (kept != NULL) {
		kept->next = NULL;
		kept->used = 0;
	}
	arena->blocks = kept;
	arena->used = 0;
}

size_t weir_arena_used(const struct weir_arena *arena)
{
	return arena->used;
}

void *weir_arena_alloc(struct weir_arena *arena, size_t size)
{
	if (size > SIZE_MAX - sizeof(struct block) - 16)
		out_of_memory(size);
	size_t rounded = (size + 15) & ~(size_t)15;
	struct block *block = arena->blocks;
	if (block == NULL || block->size - block->used < rounded) {
		block = block_new(rounded > arena->block_size ? rounded : arena->block_size);
		if (rounded > arena->block_size && arena->blocks != NULL) {
			/* A large one goes behind the current block, whose room stays in use. */
			block->next = arena->blocks->next;
			arena->blocks->next = block;
		} else {
			block->next = arena->blocks;
			arena->blocks = block;
		}
	}
	void *memory = (char *)(block + 1) + block->used;
	block->used += rounded;
	arena->used += rounded;
	return memory;
}

void *weir_arena_zalloc(struct weir_arena *arena, size_t size)
{
	return memset(weir_arena_alloc(arena, size), 0, size);
}

void *weir_arena_calloc(struct weir_arena *arena, size_t count, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(count, size, &total))
		out_of_memory(SIZE_MAX);
	return weir_arena_zalloc(arena, total);
}

void *weir_arena_copy(struct weir_arena *arena, const void *data, size_t size)
{
	void *copy = weir_arena_alloc(arena, size);
	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}

char *weir_arena_cstr(struct weir_arena *arena, struct weir_str text)
{
	char *copy = weir_arena_alloc(arena, text.size + 1);
	if (text.size > 0)
		memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	return copy;
}

struct weir_str weir_arena_str(struct weir_arena *arena, struct weir_str text)
{
	return (struct weir_str){weir_arena_cstr(arena, text), text.size};
}

char *weir_arena_printf(struct weir_arena *arena, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	WEIR_ASSERT(size >= 0);
	char *text = weir_arena_alloc(arena, (size_t)size + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)size + 1, format, args);
	va_end(args);
	return text;
}
