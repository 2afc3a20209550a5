/*
 * Texts by what differs (Encodings.md, "Delta-length byte array" and "Delta Strings"), from a PLAIN stream of them:
 *
 *   DELTA_LENGTH_BYTE_ARRAY   lengths (DELTA_BINARY_PACKED) | bytes of all texts
 *   DELTA_BYTE_ARRAY          lengths of the beginning that each shares with the one before (DELTA_BINARY_PACKED) | the rest
 *                             of each as DELTA_LENGTH_BYTE_ARRAY
 */
#include <stdlib.h>

#include "format/parquet/parquet_int.h"

static struct weir_str next_text(const char **at)
{
	struct weir_str text = {*at + 4, weir_le32(*at)};
	*at += 4 + text.size;
	return text;
}

void pq_delta_length_encode(struct weir_buf *out, const char *plain, uint32_t count)
{
	int64_t *sizes = weir_alloc((size_t)count * sizeof *sizes + 1);
	const char *at = plain;
	for (uint32_t i = 0; i < count; i++)
		sizes[i] = (int64_t)next_text(&at).size;
	pq_delta_encode(out, sizes, count, 32);
	weir_buf_reserve(out, (size_t)(at - plain));
	at = plain;
	for (uint32_t i = 0; i < count; i++) {
		struct weir_str text = next_text(&at);
		weir_buf_append(out, text.data, text.size);
	}
	free(sizes);
}

size_t pq_shared_prefix(struct weir_str a, struct weir_str b)
{
	size_t most = a.size < b.size ? a.size : b.size, at = 0;
	for (; at + 8 <= most; at += 8) {
		uint64_t differ = weir_le64(a.data + at) ^ weir_le64(b.data + at);
		if (differ != 0)
			return at + (unsigned)__builtin_ctzll(differ) / 8;
	}
	while (at < most && a.data[at] == b.data[at])
		at++;
	return at;
}

void pq_delta_text_encode(struct weir_buf *out, const char *plain, uint32_t count)
{
	int64_t *prefixes = weir_alloc((size_t)count * 2 * sizeof *prefixes + 1), *rests = prefixes + count;
	struct weir_str before = {NULL, 0};
	const char *at = plain;
	for (uint32_t i = 0; i < count; i++) {
		struct weir_str text = next_text(&at);
		prefixes[i] = (int64_t)pq_shared_prefix(before, text);
		rests[i] = (int64_t)text.size - prefixes[i];
		before = text;
	}
	pq_delta_encode(out, prefixes, count, 32);
	pq_delta_encode(out, rests, count, 32);
	at = plain;
	for (uint32_t i = 0; i < count; i++) {
		struct weir_str text = next_text(&at);
		weir_buf_append(out, text.data + prefixes[i], (size_t)rests[i]);
	}
	free(prefixes);
}
