#include "iceberg/positions.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"

#define ARRAY_MAX    4096 /* positions of a chunk that is an array */
#define BITMAP_WORDS 1024
#define COOKIE       12346 /* of a 32-bit bitmap without runs */
#define COOKIE_RUNS  12347
#define OFFSETS_FROM 4 /* bitmaps with runs have an offset table from this many containers on */

/* Positions key << 16 .. (key << 16) + 65535. bits where there are more than ARRAY_MAX of them, else values. */
struct chunk {
	uint64_t key;
	uint32_t count, capacity;
	uint16_t *values; /* ascending */
	uint64_t *bits;
};

struct ice_positions {
	struct chunk *chunks; /* ascending by key */
	uint32_t count, capacity;
	uint64_t total;
};

struct ice_positions *ice_positions_new(void)
{
	return weir_zalloc(sizeof(struct ice_positions));
}

void ice_positions_free(struct ice_positions *positions)
{
	if (positions == NULL)
		return;
	for (uint32_t i = 0; i < positions->count; i++) {
		free(positions->chunks[i].values);
		free(positions->chunks[i].bits);
	}
	free(positions->chunks);
	free(positions);
}

uint64_t ice_positions_count(const struct ice_positions *positions)
{
	return positions->total;
}

/* Index of the first chunk whose key is at least `key`. */
static uint32_t chunk_at(const struct ice_positions *positions, uint64_t key)
{
	uint32_t low = 0, high = positions->count;
	if (high > 0 && positions->chunks[high - 1].key < key)
		return high; /* ascending use is the rule */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (positions->chunks[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t value_at(const struct chunk *chunk, uint16_t value)
{
	uint32_t low = 0, high = chunk->count;
	if (high > 0 && chunk->values[high - 1] < value)
		return high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (chunk->values[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool chunk_has(const struct chunk *chunk, uint16_t value)
{
	if (chunk->bits != NULL)
		return (chunk->bits[value / 64] >> (value % 64) & 1) != 0;
	uint32_t at = value_at(chunk, value);
	return at < chunk->count && chunk->values[at] == value;
}

static void to_bitmap(struct chunk *chunk)
{
	chunk->bits = weir_zalloc(BITMAP_WORDS * sizeof *chunk->bits);
	for (uint32_t i = 0; i < chunk->count; i++)
		chunk->bits[chunk->values[i] / 64] |= 1ULL << (chunk->values[i] % 64);
	free(chunk->values);
	chunk->values = NULL;
	chunk->capacity = 0;
}

static bool chunk_add(struct chunk *chunk, uint16_t value)
{
	if (chunk_has(chunk, value))
		return false;
	if (chunk->bits == NULL && chunk->count == ARRAY_MAX)
		to_bitmap(chunk);
	if (chunk->bits != NULL) {
		chunk->bits[value / 64] |= 1ULL << (value % 64);
		chunk->count++;
		return true;
	}
	uint32_t at = value_at(chunk, value);
	WEIR_GROW(chunk->values, chunk->count, chunk->capacity);
	memmove(&chunk->values[at + 1], &chunk->values[at], (chunk->count - at) * sizeof *chunk->values);
	chunk->values[at] = value;
	chunk->count++;
	return true;
}

static struct chunk *chunk_for(struct ice_positions *positions, uint64_t key)
{
	uint32_t at = chunk_at(positions, key);
	if (at < positions->count && positions->chunks[at].key == key)
		return &positions->chunks[at];
	WEIR_GROW(positions->chunks, positions->count, positions->capacity);
	memmove(&positions->chunks[at + 1], &positions->chunks[at],
		(positions->count - at) * sizeof *positions->chunks);
	positions->count++;
	positions->chunks[at] = (struct chunk){.key = key};
	return &positions->chunks[at];
}

bool ice_positions_add(struct ice_positions *positions, uint64_t position)
{
	bool is_new = chunk_add(chunk_for(positions, position >> 16), (uint16_t)position);
	positions->total += is_new;
	return is_new;
}

bool ice_positions_has(const struct ice_positions *positions, uint64_t position)
{
	uint32_t at = chunk_at(positions, position >> 16);
	return at < positions->count && positions->chunks[at].key == position >> 16 &&
		chunk_has(&positions->chunks[at], (uint16_t)position);
}

/* The least value of the chunk that is at least `from`. */
static bool chunk_next(const struct chunk *chunk, uint32_t from, uint16_t *ret_value)
{
	if (chunk->bits == NULL) {
		uint32_t at = value_at(chunk, (uint16_t)from);
		if (at < chunk->count)
			*ret_value = chunk->values[at];
		return at < chunk->count;
	}
	for (uint32_t word = from / 64; word < BITMAP_WORDS; word++) {
		uint64_t left = chunk->bits[word];
		if (word == from / 64)
			left &= UINT64_MAX << (from % 64);
		if (left != 0) {
			*ret_value = (uint16_t)(word * 64 + (uint32_t)__builtin_ctzll(left));
			return true;
		}
	}
	return false;
}

bool ice_positions_next(const struct ice_positions *positions, uint64_t from, uint64_t *ret_position)
{
	uint16_t value;
	for (uint32_t i = chunk_at(positions, from >> 16); i < positions->count; i++) {
		const struct chunk *chunk = &positions->chunks[i];
		if (chunk_next(chunk, chunk->key == from >> 16 ? (uint32_t)(from & 0xFFFF) : 0, &value)) {
			*ret_position = chunk->key << 16 | value;
			return true;
		}
	}
	return false;
}

void ice_positions_merge(struct ice_positions *into, const struct ice_positions *from)
{
	uint64_t position = 0;
	while (ice_positions_next(from, position, &position))
		ice_positions_add(into, position++);
}

/* ---- writing ---- */

static uint32_t count_runs(const struct chunk *chunk)
{
	uint32_t runs = 0, from = 0, before = UINT32_MAX - 1;
	uint16_t value;
	for (; from <= 0xFFFF && chunk_next(chunk, from, &value); from = value + 1U) {
		runs += value != before + 1;
		before = value;
	}
	return runs;
}

static size_t plain_size(const struct chunk *chunk)
{
	return chunk->bits != NULL ? BITMAP_WORDS * 8 : chunk->count * 2U;
}

static bool pays_as_runs(const struct chunk *chunk)
{
	return 2 + 4 * (size_t)count_runs(chunk) < plain_size(chunk);
}

static void put_runs(const struct chunk *chunk, struct weir_buf *out)
{
	uint32_t from = 0;
	uint16_t start;
	weir_buf_u16(out, (uint16_t)count_runs(chunk));
	while (from <= 0xFFFF && chunk_next(chunk, from, &start)) {
		uint32_t end = start;
		while (end < 0xFFFF && chunk_has(chunk, (uint16_t)(end + 1)))
			end++;
		weir_buf_u16(out, start);
		weir_buf_u16(out, (uint16_t)(end - start));
		from = end + 1;
	}
}

static void put_chunk(const struct chunk *chunk, struct weir_buf *out)
{
	if (pays_as_runs(chunk))
		put_runs(chunk, out);
	else if (chunk->bits != NULL)
		for (uint32_t i = 0; i < BITMAP_WORDS; i++)
			weir_buf_u64(out, chunk->bits[i]);
	else
		for (uint32_t i = 0; i < chunk->count; i++)
			weir_buf_u16(out, chunk->values[i]);
}

/* A 32-bit bitmap of chunks that share their high 32 bits. */
static void put_bitmap(const struct chunk *chunks, uint32_t count, struct weir_buf *out)
{
	bool any_runs = false;
	for (uint32_t i = 0; i < count; i++)
		any_runs = any_runs || pays_as_runs(&chunks[i]);
	size_t start = out->size;
	weir_buf_u32(out, any_runs ? COOKIE_RUNS | (count - 1) << 16 : COOKIE);
	if (!any_runs)
		weir_buf_u32(out, count);
	for (uint32_t i = 0; any_runs && i < count; i += 8) {
		uint8_t flags = 0;
		for (uint32_t j = i; j < count && j < i + 8; j++)
			flags |= (uint8_t)(pays_as_runs(&chunks[j]) << (j - i));
		weir_buf_u8(out, flags);
	}
	for (uint32_t i = 0; i < count; i++) {
		weir_buf_u16(out, (uint16_t)chunks[i].key);
		weir_buf_u16(out, (uint16_t)(chunks[i].count - 1));
	}
	if (!any_runs || count >= OFFSETS_FROM) {
		size_t offset = out->size - start + 4 * (size_t)count;
		for (uint32_t i = 0; i < count; i++) {
			weir_buf_u32(out, (uint32_t)offset);
			offset += pays_as_runs(&chunks[i]) ? 2 + 4 * (size_t)count_runs(&chunks[i])
							   : plain_size(&chunks[i]);
		}
	}
	for (uint32_t i = 0; i < count; i++)
		put_chunk(&chunks[i], out);
}

void ice_positions_encode(const struct ice_positions *positions, struct weir_buf *out)
{
	uint64_t bitmaps = 0;
	for (uint32_t i = 0; i < positions->count; i++)
		bitmaps += i == 0 || positions->chunks[i].key >> 16 != positions->chunks[i - 1].key >> 16;
	weir_buf_u64(out, bitmaps);
	for (uint32_t i = 0, end; i < positions->count; i = end) {
		for (end = i + 1; end < positions->count; end++)
			if (positions->chunks[end].key >> 16 != positions->chunks[i].key >> 16)
				break;
		weir_buf_u32(out, (uint32_t)(positions->chunks[i].key >> 16));
		put_bitmap(&positions->chunks[i], end - i, out);
	}
}

/* ---- reading ---- */

struct cursor {
	const uint8_t *data;
	size_t size, at;
	struct weir_error *err;
	int code;
};

static int refuse(struct cursor *cursor, const char *problem)
{
	if (cursor->code == 0)
		cursor->code = weir_fail_at(cursor->err, WEIR_E_CORRUPT, (struct weir_str){0}, cursor->at,
			"the bitmap of positions %s", problem);
	return cursor->code;
}

/* size bytes, or NULL past the end. */
static const uint8_t *take(struct cursor *cursor, size_t size)
{
	if (cursor->code != 0 || cursor->size - cursor->at < size) {
		refuse(cursor, "ends too early");
		return NULL;
	}
	cursor->at += size;
	return cursor->data + cursor->at - size;
}

static void read_values(struct cursor *cursor, struct ice_positions *positions, uint64_t key, uint32_t count)
{
	const uint8_t *bytes = take(cursor, count * 2U);
	for (uint32_t i = 0; bytes != NULL && i < count; i++) {
		uint16_t value = weir_le16(bytes + (size_t)i * 2);
		if (i > 0 && value <= weir_le16(bytes + (size_t)i * 2 - 2))
			refuse(cursor, "has positions out of order");
		ice_positions_add(positions, key << 16 | value);
	}
}

static void read_bits(struct cursor *cursor, struct ice_positions *positions, uint64_t key, uint32_t count)
{
	const uint8_t *bytes = take(cursor, BITMAP_WORDS * 8);
	uint32_t found = 0;
	for (uint32_t i = 0; bytes != NULL && i < BITMAP_WORDS; i++)
		for (uint64_t word = weir_le64(bytes + (size_t)i * 8); word != 0; word &= word - 1, found++)
			ice_positions_add(positions, key << 16 | (i * 64 + (uint32_t)__builtin_ctzll(word)));
	if (bytes != NULL && found != count)
		refuse(cursor, "has another number of positions than its header says");
}

static void read_runs(struct cursor *cursor, struct ice_positions *positions, uint64_t key, uint32_t count)
{
	const uint8_t *head = take(cursor, 2);
	uint32_t runs = head != NULL ? weir_le16(head) : 0, found = 0, next = 0;
	const uint8_t *bytes = take(cursor, runs * 4U);
	for (uint32_t i = 0; bytes != NULL && i < runs && cursor->code == 0; i++) {
		uint32_t start = weir_le16(bytes + (size_t)i * 4), length = weir_le16(bytes + (size_t)i * 4 + 2) + 1U;
		if (start < next || start + length > 0x10000) {
			refuse(cursor, "has runs out of order");
			return;
		}
		for (uint32_t value = start; value < start + length; value++)
			ice_positions_add(positions, key << 16 | value);
		next = start + length;
		found += length;
	}
	if (cursor->code == 0 && found != count)
		refuse(cursor, "has another number of positions than its header says");
}

static void read_bitmap(struct cursor *cursor, struct ice_positions *positions, uint32_t high)
{
	const uint8_t *bytes = take(cursor, 4), *flags = NULL;
	if (bytes == NULL)
		return;
	uint32_t cookie = weir_le32(bytes), count = (cookie >> 16) + 1;
	if ((cookie & 0xFFFF) == COOKIE_RUNS) {
		flags = take(cursor, (count + 7) / 8);
	} else if (cookie == COOKIE) {
		bytes = take(cursor, 4);
		count = bytes != NULL ? weir_le32(bytes) : 0;
	} else {
		refuse(cursor, "does not begin with a cookie of Roaring");
	}
	if (count > 0x10000)
		refuse(cursor, "has more than 65,536 containers");
	const uint8_t *heads = take(cursor, count * 4UL);
	if (flags == NULL || count >= OFFSETS_FROM)
		take(cursor, count * 4UL); /* offsets: containers follow each other */
	for (uint32_t i = 0; i < count && cursor->code == 0; i++) {
		uint16_t low = weir_le16(heads + (size_t)i * 4);
		uint32_t values = weir_le16(heads + (size_t)i * 4 + 2) + 1U;
		uint64_t key = (uint64_t)high << 16 | low;
		if (i > 0 && low <= weir_le16(heads + (size_t)i * 4 - 4))
			refuse(cursor, "has containers out of order");
		else if (flags != NULL && (flags[i / 8] >> (i % 8) & 1) != 0)
			read_runs(cursor, positions, key, values);
		else if (values > ARRAY_MAX)
			read_bits(cursor, positions, key, values);
		else
			read_values(cursor, positions, key, values);
	}
}

int ice_positions_decode(struct ice_positions *positions, struct weir_str bytes, struct weir_error *err)
{
	struct cursor cursor = {(const uint8_t *)bytes.data, bytes.size, 0, err, 0};
	const uint8_t *head = take(&cursor, 8);
	uint64_t count = head != NULL ? weir_le64(head) : 0;
	uint32_t before = 0;
	if (count > (uint64_t)INT32_MAX + 1)
		refuse(&cursor, "has more keys than there can be");
	for (uint64_t i = 0; i < count && cursor.code == 0; i++) {
		const uint8_t *key = take(&cursor, 4);
		if (key == NULL)
			break;
		uint32_t high = weir_le32(key);
		if (high > INT32_MAX || (i > 0 && high <= before))
			refuse(&cursor, "has keys out of order or of negative positions");
		else
			read_bitmap(&cursor, positions, high);
		before = high;
	}
	if (cursor.code == 0 && cursor.at != cursor.size)
		refuse(&cursor, "is followed by more bytes");
	return cursor.code;
}

/* ---- deletion vectors ---- */

static const uint8_t magic[4] = {0xD1, 0xD3, 0x39, 0x64};

static uint32_t be32(const void *p)
{
	return __builtin_bswap32(weir_le32(p));
}

void ice_vector_encode(const struct ice_positions *positions, struct weir_buf *out)
{
	struct weir_buf bitmap = WEIR_BUF_INIT;
	weir_buf_append(&bitmap, magic, sizeof magic);
	ice_positions_encode(positions, &bitmap);
	weir_buf_u32(out, __builtin_bswap32((uint32_t)bitmap.size));
	weir_buf_append(out, bitmap.data, bitmap.size);
	weir_buf_u32(out, __builtin_bswap32(weir_crc32(0, bitmap.data, bitmap.size)));
	weir_buf_done(&bitmap);
}

int ice_vector_decode(struct ice_positions *positions, struct weir_str blob, struct weir_error *err)
{
	if (blob.size < 12 || be32(blob.data) != blob.size - 8)
		return weir_fail(err, WEIR_E_CORRUPT, "the deletion vector's length is not that of its blob");
	struct weir_str content = {blob.data + 4, blob.size - 8};
	if (memcmp(content.data, magic, sizeof magic) != 0)
		return weir_fail(err, WEIR_E_CORRUPT, "the blob does not begin with a deletion vector's magic number");
	if (weir_crc32(0, content.data, content.size) != be32(blob.data + blob.size - 4))
		return weir_fail(err, WEIR_E_CORRUPT, "the deletion vector's checksum does not fit its bytes");
	return ice_positions_decode(positions, (struct weir_str){content.data + 4, content.size - 4}, err);
}
