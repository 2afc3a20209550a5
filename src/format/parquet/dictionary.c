/*
 * Distinct values of a column chunk: open addressing over a table of (hash, code), values in the form
 * of a PLAIN dictionary page. Codes count from 0 in the order of first use.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "format/parquet/parquet_int.h"

#define FIRST_SLOTS 1024

void pq_dictionary_init(struct pq_dictionary *dictionary, uint32_t width)
{
	*dictionary = (struct pq_dictionary){.width = width, .slot_count = FIRST_SLOTS};
	dictionary->slots = weir_zalloc(FIRST_SLOTS * sizeof *dictionary->slots);
}

void pq_dictionary_clear(struct pq_dictionary *dictionary)
{
	if (dictionary->slot_count > FIRST_SLOTS * 64) {
		free(dictionary->slots);
		dictionary->slots = weir_zalloc(FIRST_SLOTS * sizeof *dictionary->slots);
		dictionary->slot_count = FIRST_SLOTS;
	} else if (dictionary->count > 0) {
		memset(dictionary->slots, 0, dictionary->slot_count * sizeof *dictionary->slots);
	}
	dictionary->count = 0;
	dictionary->bytes.size = 0;
}

void pq_dictionary_done(struct pq_dictionary *dictionary)
{
	weir_buf_done(&dictionary->bytes);
	free(dictionary->offsets);
	free(dictionary->keys);
	free(dictionary->slots);
	*dictionary = (struct pq_dictionary){0};
}

static void grow_slots(struct pq_dictionary *dictionary)
{
	uint32_t count = dictionary->slot_count * 4;
	uint64_t *slots = weir_zalloc((size_t)count * sizeof *slots);
	for (uint32_t i = 0; i < dictionary->slot_count; i++) {
		uint64_t slot = dictionary->slots[i];
		if (slot == 0)
			continue;
		uint32_t at = (uint32_t)(slot >> 32) & (count - 1);
		while (slots[at] != 0)
			at = (at + 1) & (count - 1);
		slots[at] = slot;
	}
	free(dictionary->slots);
	dictionary->slots = slots;
	dictionary->slot_count = count;
}

struct weir_str pq_dictionary_text(const struct pq_dictionary *dictionary, uint32_t code)
{
	const char *entry = dictionary->bytes.data + dictionary->offsets[code];
	return (struct weir_str){entry + 4, weir_le32(entry)};
}

/* What is compared first: size and 12 bytes of a short text; size, 4 bytes and a hash of a long one. */
static inline struct pq_text_key key_of(const struct weir_view *view)
{
	struct pq_text_key key;
	uint64_t low, mask;
	uint32_t high, prefix;
	if (view->size > sizeof view->u.inlined) {
		memcpy(&prefix, view->u.far.prefix, 4);
		key.a = (uint64_t)prefix << 32 | view->size;
		key.b = weir_hash64(view->u.far.data, view->size);
		return key;
	}
	memcpy(&low, view->u.inlined, 8);
	memcpy(&high, view->u.inlined + 8, 4);
	mask = view->size >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * view->size)) - 1;
	low &= mask;
	high &= view->size > 8 ? (uint32_t)(((uint64_t)1 << (8 * (view->size - 8))) - 1) : 0;
	key.a = low << 32 | view->size;
	key.b = (uint64_t)high << 32 | low >> 32;
	return key;
}

static inline uint32_t hash_key(struct pq_text_key key)
{
	uint64_t hash = weir_mix64(key.a ^ key.b * 0x9e3779b97f4a7c15ULL);
	return (uint32_t)(hash ^ hash >> 32);
}

static uint32_t add_new_text(struct pq_dictionary *dictionary, const struct weir_view *view, struct pq_text_key key,
	uint64_t slot_at, uint32_t hash)
{
	uint32_t code = dictionary->count++;
	uint32_t size = view->size;
	dictionary->slots[slot_at] = (uint64_t)hash << 32 | (code + 1);
	if (code == dictionary->offset_capacity) {
		dictionary->offset_capacity = code < 64 ? 128 : code * 2;
		dictionary->offsets =
			weir_realloc(dictionary->offsets, dictionary->offset_capacity, sizeof *dictionary->offsets);
		dictionary->keys =
			weir_realloc(dictionary->keys, dictionary->offset_capacity, sizeof *dictionary->keys);
	}
	dictionary->offsets[code] = (uint32_t)dictionary->bytes.size;
	dictionary->keys[code] = key;
	weir_buf_append(&dictionary->bytes, &size, sizeof size);
	weir_buf_append(&dictionary->bytes, weir_view_str(view).data, size);
	if (dictionary->count > dictionary->slot_count / 2)
		grow_slots(dictionary);
	return code;
}

uint32_t pq_dictionary_add_text(struct pq_dictionary *dictionary, const struct weir_view *view)
{
	struct pq_text_key key = key_of(view);
	uint32_t hash = hash_key(key), mask = dictionary->slot_count - 1, at = hash & mask;
	uint64_t slot;
	for (; (slot = dictionary->slots[at]) != 0; at = (at + 1) & mask) {
		uint32_t code = (uint32_t)slot - 1;
		if (slot >> 32 != hash || dictionary->keys[code].a != key.a || dictionary->keys[code].b != key.b)
			continue;
		if (view->size <= sizeof view->u.inlined ||
			memcmp(pq_dictionary_text(dictionary, code).data, view->u.far.data, view->size) == 0)
			return code;
	}
	return add_new_text(dictionary, view, key, at, hash);
}

static inline uint32_t hash_fixed(const char *value, uint32_t width)
{
	uint64_t a = 0, b = 0;
	if (width == 4) {
		uint32_t small;
		memcpy(&small, value, 4);
		return (uint32_t)(weir_mix64(small));
	}
	memcpy(&a, value, 8);
	if (width == 16) {
		memcpy(&b, value + 8, 8);
		a ^= weir_mix64(b);
	}
	return (uint32_t)weir_mix64(a);
}

/* Inlined once a width, so that comparisons are plain loads. */
static inline bool add_fixed(struct pq_dictionary *dictionary, const char *values, uint32_t count, uint32_t max_count,
	uint32_t *codes, uint32_t width)
{
	for (uint32_t i = 0; i < count; i++) {
		const char *value = values + (size_t)i * width;
		if (i > 0 && memcmp(value, value - width, width) == 0) {
			codes[i] = codes[i - 1];
			continue;
		}
		uint32_t hash = hash_fixed(value, width);
		uint32_t mask = dictionary->slot_count - 1, at = hash & mask;
		uint64_t slot;
		while ((slot = dictionary->slots[at]) != 0) {
			size_t code = (uint32_t)slot - 1;
			if (slot >> 32 == hash && memcmp(dictionary->bytes.data + code * width, value, width) == 0)
				break;
			at = (at + 1) & mask;
		}
		if (slot != 0) {
			codes[i] = (uint32_t)slot - 1;
			continue;
		}
		if (dictionary->count == max_count)
			return false;
		codes[i] = dictionary->count++;
		dictionary->slots[at] = (uint64_t)hash << 32 | (codes[i] + 1);
		weir_buf_append(&dictionary->bytes, value, width);
		if (dictionary->count > dictionary->slot_count / 2)
			grow_slots(dictionary);
	}
	return true;
}

bool pq_dictionary_add_fixed(
	struct pq_dictionary *dictionary, const void *values, uint32_t count, uint32_t max_count, uint32_t *codes)
{
	switch (dictionary->width) {
	case 4:
		return add_fixed(dictionary, values, count, max_count, codes, 4);
	case 8:
		return add_fixed(dictionary, values, count, max_count, codes, 8);
	default:
		WEIR_ASSERT(dictionary->width == 16);
		return add_fixed(dictionary, values, count, max_count, codes, 16);
	}
}
