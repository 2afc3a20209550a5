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

uint32_t pq_dictionary_add_text(struct pq_dictionary *dictionary, struct weir_str text)
{
	uint32_t hash = (uint32_t)weir_hash64(text.data, text.size);
	uint32_t mask = dictionary->slot_count - 1, at = hash & mask;
	for (; dictionary->slots[at] != 0; at = (at + 1) & mask) {
		uint64_t slot = dictionary->slots[at];
		if (slot >> 32 == hash && weir_str_equal(pq_dictionary_text(dictionary, (uint32_t)slot - 1), text))
			return (uint32_t)slot - 1;
	}
	uint32_t code = dictionary->count++;
	dictionary->slots[at] = (uint64_t)hash << 32 | (code + 1);
	WEIR_GROW(dictionary->offsets, code, dictionary->offset_capacity);
	dictionary->offsets[code] = (uint32_t)dictionary->bytes.size;
	weir_buf_u32(&dictionary->bytes, (uint32_t)text.size);
	weir_buf_append(&dictionary->bytes, text.data, text.size);
	if (dictionary->count > dictionary->slot_count / 2)
		grow_slots(dictionary);
	return code;
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

bool pq_dictionary_add_fixed(struct pq_dictionary *dictionary, const void *values, uint32_t count, uint32_t max_count,
	uint32_t *codes)
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
