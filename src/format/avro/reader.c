/*
 * Reading Avro object container files by their own schema. The file is in memory; a block is decompressed at a
 * time, and a record is decoded at a time into an arena that the next record reuses.
 *
 * Nothing is trusted: counts are held against the bytes that are left, so that no input makes a large
 * allocation, and decoding a record is bounded in depth and in values. One thread at a time.
 */
#include "format/avro/internal.h"

#include <stdlib.h>

struct metadata_entry {
	struct weir_str key, value;
};

struct avro_reader {
	struct weir_arena *arena;  /* schema, metadata */
	struct weir_arena *record; /* the current record's values */
	struct weir_str name;
	char *file;
	size_t file_size, at; /* at: the next block */
	struct metadata_entry *metadata;
	uint32_t metadata_count;
	struct weir_str codec;
	uint8_t sync[AVRO_SYNC_BYTES];
	const struct avro_type *type;
	struct weir_buf block; /* decompressed */
	size_t block_at;
	uint64_t block_offset; /* where the block begins in the file, for errors */
	uint64_t records_left; /* in the block */
	uint32_t value_count;  /* of the current record */
};

/* A span of bytes that is being read. */
struct cursor {
	const uint8_t *data;
	size_t size, at;
};

static bool take_long(struct cursor *cursor, int64_t *ret_value)
{
	uint64_t bits = 0;
	for (unsigned shift = 0; shift < 70; shift += 7) {
		if (cursor->at >= cursor->size)
			return false;
		uint8_t byte = cursor->data[cursor->at++];
		if (shift == 63 && byte > 3) /* ids of 64 unsigned bits take 65 in zig-zag: some writers have them */
			return false;
		bits |= (uint64_t)(byte & 0x7F) << shift;
		if ((byte & 0x80) == 0) {
			*ret_value = (int64_t)(bits >> 1 ^ -(bits & 1));
			return true;
		}
	}
	return false;
}

static bool take_bytes(struct cursor *cursor, size_t size, struct weir_str *ret_bytes)
{
	if (size > cursor->size - cursor->at)
		return false;
	*ret_bytes = (struct weir_str){(const char *)cursor->data + cursor->at, size};
	cursor->at += size;
	return true;
}

static bool take_sized(struct cursor *cursor, struct weir_str *ret_bytes)
{
	int64_t size;
	return take_long(cursor, &size) && size >= 0 && take_bytes(cursor, (size_t)size, ret_bytes);
}

/* The count of a block of items; a negative one is followed by the block's size in bytes. */
static bool take_count(struct cursor *cursor, int64_t *ret_count)
{
	int64_t count, size;
	if (!take_long(cursor, &count))
		return false;
	if (count < 0) {
		if (count == INT64_MIN || !take_long(cursor, &size))
			return false;
		count = -count;
	}
	*ret_count = count;
	return (uint64_t)count <= cursor->size - cursor->at; /* every item of sense has a byte */
}

static int read_header(struct avro_reader *reader, struct weir_error *err)
{
	struct cursor cursor = {(const uint8_t *)reader->file, reader->file_size, 4};
	int64_t count;
	if (reader->file_size < 4 || memcmp(reader->file, "Obj\1", 4) != 0)
		return weir_fail_at(
			err, WEIR_E_CORRUPT, reader->name, 0, "this is not an Avro file: it does not begin with Obj");
	reader->metadata = weir_arena_calloc(reader->arena, AVRO_METADATA_KEYS_MAX, sizeof *reader->metadata);
	do {
		if (!take_count(&cursor, &count))
			goto damaged;
		for (int64_t i = 0; i < count; i++) {
			struct metadata_entry entry;
			if (!take_sized(&cursor, &entry.key) || !take_sized(&cursor, &entry.value))
				goto damaged;
			if (reader->metadata_count == AVRO_METADATA_KEYS_MAX)
				return weir_fail_at(err, WEIR_E_LIMIT, reader->name, cursor.at,
					"the Avro header has more than %u metadata keys", AVRO_METADATA_KEYS_MAX);
			reader->metadata[reader->metadata_count++] = entry;
		}
	} while (count > 0);
	struct weir_str sync;
	if (!take_bytes(&cursor, AVRO_SYNC_BYTES, &sync))
		goto damaged;
	memcpy(reader->sync, sync.data, sync.size);
	reader->at = cursor.at;
	reader->codec = avro_reader_metadata(reader, "avro.codec");
	struct weir_str schema = avro_reader_metadata(reader, "avro.schema");
	if (schema.size == 0)
		return weir_fail_at(err, WEIR_E_CORRUPT, reader->name, 0, "the Avro header has no avro.schema");
	return avro_schema_parse(reader->arena, schema, reader->name, &reader->type, err);
damaged:
	return weir_fail_at(err, WEIR_E_CORRUPT, reader->name, cursor.at, "the Avro header is damaged or ends early");
}

int avro_reader_open(
	struct weir_byte_source source, size_t limit_bytes, struct avro_reader **ret_reader, struct weir_error *err)
{
	if (source.size_bytes > limit_bytes)
		return weir_fail_at(err, WEIR_E_LIMIT, source.name, WEIR_ERROR_NO_OFFSET,
			"an Avro file of %llu bytes is larger than the limit of %zu",
			(unsigned long long)source.size_bytes, limit_bytes);
	struct avro_reader *reader = weir_zalloc(sizeof *reader);
	reader->arena = weir_arena_new(0);
	reader->record = weir_arena_new(0);
	reader->name = weir_arena_str(reader->arena, source.name);
	reader->file_size = (size_t)source.size_bytes;
	reader->file = weir_alloc(reader->file_size);
	int code = reader->file_size > 0 ? source.read(source.self, 0, reader->file, reader->file_size, err) : 0;
	if (code == 0)
		code = read_header(reader, err);
	if (code != 0) {
		avro_reader_close(reader);
		return code;
	}
	*ret_reader = reader;
	return 0;
}

void avro_reader_close(struct avro_reader *reader)
{
	if (reader == NULL)
		return;
	weir_arena_free(reader->arena);
	weir_arena_free(reader->record);
	weir_buf_done(&reader->block);
	free(reader->file);
	free(reader);
}

const struct avro_type *avro_reader_type(const struct avro_reader *reader)
{
	return reader->type;
}

struct weir_str avro_reader_metadata(const struct avro_reader *reader, const char *key)
{
	for (uint32_t i = 0; i < reader->metadata_count; i++)
		if (weir_str_is(reader->metadata[i].key, key))
			return reader->metadata[i].value;
	return (struct weir_str){0};
}

static int next_block(struct avro_reader *reader, struct weir_error *err)
{
	struct cursor cursor = {(const uint8_t *)reader->file, reader->file_size, reader->at};
	struct weir_str packed, sync;
	int64_t count;
	reader->block_offset = reader->at;
	if (!take_long(&cursor, &count) || count < 0 || !take_sized(&cursor, &packed) ||
		!take_bytes(&cursor, AVRO_SYNC_BYTES, &sync))
		return weir_fail_at(
			err, WEIR_E_CORRUPT, reader->name, cursor.at, "an Avro block is damaged or ends early");
	if (memcmp(sync.data, reader->sync, AVRO_SYNC_BYTES) != 0)
		return weir_fail_at(err, WEIR_E_CORRUPT, reader->name, cursor.at - AVRO_SYNC_BYTES,
			"the marker behind an Avro block is not the file's: the file is damaged");
	reader->block.size = 0;
	reader->block_at = 0;
	int code = avro_block_decompress(reader->codec, packed, &reader->block, err);
	if (code != 0)
		return weir_error_in(err, code, reader->name);
	if ((uint64_t)count > reader->block.size) /* a record of no bytes says nothing */
		return weir_fail_at(err, WEIR_E_CORRUPT, reader->name, reader->block_offset,
			"an Avro block of %zu bytes claims %lld records", reader->block.size, (long long)count);
	reader->records_left = (uint64_t)count;
	reader->at = cursor.at;
	return 0;
}

static bool decode(struct avro_reader *reader, struct cursor *cursor, const struct avro_type *type, unsigned depth,
	struct avro_value *ret_value);

/* Items come in blocks; `per_item` values each (2 for a map: key and value). */
static bool decode_list(struct avro_reader *reader, struct cursor *cursor, const struct avro_type *type, unsigned depth,
	struct avro_value *ret_value)
{
	static const struct avro_type key_type = {.kind = AVRO_STRING};
	bool is_map = type->kind == AVRO_MAP;
	uint32_t per_item = is_map ? 2 : 1, count = 0, capacity = 0;
	struct avro_value *items = NULL;
	int64_t more;
	for (;;) {
		if (!take_count(cursor, &more))
			return false;
		if (more == 0)
			break;
		if (more > AVRO_RECORD_VALUES_MAX)
			return false;
		if (count + (uint32_t)more > capacity) {
			uint32_t wanted = count + (uint32_t)more;
			capacity = wanted > 2 * capacity ? wanted : 2 * capacity;
			struct avro_value *grown =
				weir_arena_calloc(reader->record, (size_t)capacity * per_item, sizeof *grown);
			if (count > 0)
				memcpy(grown, items, (size_t)count * per_item * sizeof *grown);
			items = grown;
		}
		for (int64_t i = 0; i < more; i++, count++) {
			struct avro_value *item = &items[(size_t)count * per_item];
			if (is_map && !decode(reader, cursor, &key_type, depth + 1, item++))
				return false;
			if (!decode(reader, cursor, type->fields[0].type, depth + 1, item))
				return false;
		}
	}
	ret_value->u.list.items = items;
	ret_value->u.list.count = count;
	return true;
}

static bool decode_record(struct avro_reader *reader, struct cursor *cursor, const struct avro_type *type,
	unsigned depth, struct avro_value *ret_value)
{
	if (type->field_count > AVRO_RECORD_VALUES_MAX - reader->value_count)
		return false;
	struct avro_value *items = weir_arena_calloc(reader->record, type->field_count, sizeof *items);
	for (uint32_t i = 0; i < type->field_count; i++)
		if (!decode(reader, cursor, type->fields[i].type, depth + 1, &items[i]))
			return false;
	ret_value->u.list.items = items;
	ret_value->u.list.count = type->field_count;
	return true;
}

static bool decode_number(struct cursor *cursor, const struct avro_type *type, struct avro_value *ret_value)
{
	struct weir_str bytes;
	if (!take_bytes(cursor, type->kind == AVRO_FLOAT ? 4 : 8, &bytes))
		return false;
	if (type->kind == AVRO_FLOAT) {
		uint32_t bits = weir_le32(bytes.data);
		float number;
		memcpy(&number, &bits, sizeof number);
		ret_value->u.number = (double)number;
	} else {
		uint64_t bits = weir_le64(bytes.data);
		memcpy(&ret_value->u.number, &bits, sizeof ret_value->u.number);
	}
	return true;
}

static bool decode(struct avro_reader *reader, struct cursor *cursor, const struct avro_type *type, unsigned depth,
	struct avro_value *ret_value)
{
	struct weir_str byte;
	int64_t branch;
	if (depth > AVRO_VALUE_DEPTH_MAX || ++reader->value_count > AVRO_RECORD_VALUES_MAX)
		return false;
	ret_value->type = type;
	switch (type->kind) {
	case AVRO_NULL:
		return true;
	case AVRO_BOOL:
		if (!take_bytes(cursor, 1, &byte) || (uint8_t)byte.data[0] > 1)
			return false;
		ret_value->u.boolean = byte.data[0] != 0;
		return true;
	case AVRO_INT:
		return take_long(cursor, &ret_value->u.integer) && ret_value->u.integer >= INT32_MIN &&
			ret_value->u.integer <= INT32_MAX;
	case AVRO_LONG:
		return take_long(cursor, &ret_value->u.integer);
	case AVRO_ENUM:
		return take_long(cursor, &ret_value->u.integer) && ret_value->u.integer >= 0 &&
			ret_value->u.integer < type->symbol_count;
	case AVRO_FLOAT:
	case AVRO_DOUBLE:
		return decode_number(cursor, type, ret_value);
	case AVRO_BYTES:
	case AVRO_STRING:
		return take_sized(cursor, &ret_value->u.bytes);
	case AVRO_FIXED:
		return take_bytes(cursor, type->fixed_size, &ret_value->u.bytes);
	case AVRO_ARRAY:
	case AVRO_MAP:
		return decode_list(reader, cursor, type, depth, ret_value);
	case AVRO_UNION:
		return take_long(cursor, &branch) && branch >= 0 && branch < type->field_count &&
			decode(reader, cursor, type->fields[branch].type, depth + 1, ret_value);
	case AVRO_RECORD:
		return decode_record(reader, cursor, type, depth, ret_value);
	}
	return false;
}

int avro_reader_next(struct avro_reader *reader, const struct avro_value **ret_value, struct weir_error *err)
{
	while (reader->records_left == 0) {
		if (reader->block_at != reader->block.size)
			return weir_fail_at(err, WEIR_E_CORRUPT, reader->name, reader->block_offset,
				"an Avro block has %zu bytes behind its last record",
				reader->block.size - reader->block_at);
		if (reader->at == reader->file_size) {
			*ret_value = NULL;
			return 0;
		}
		int code = next_block(reader, err);
		if (code != 0)
			return code;
	}
	weir_arena_reset(reader->record);
	reader->value_count = 0;
	struct avro_value *value = weir_arena_zalloc(reader->record, sizeof *value);
	struct cursor cursor = {(const uint8_t *)reader->block.data, reader->block.size, reader->block_at};
	if (!decode(reader, &cursor, reader->type, 0, value))
		return weir_fail_at(err, WEIR_E_CORRUPT, reader->name, reader->block_offset,
			"a record of the Avro block is damaged at its decompressed byte %zu", cursor.at);
	reader->block_at = cursor.at;
	reader->records_left--;
	*ret_value = value;
	return 0;
}

const struct avro_value *avro_field_named(const struct avro_value *record, const char *name)
{
	if (record == NULL || record->type->kind != AVRO_RECORD)
		return NULL;
	for (uint32_t i = 0; i < record->u.list.count; i++)
		if (weir_str_is(record->type->fields[i].name, name))
			return &record->u.list.items[i];
	return NULL;
}

const struct avro_value *avro_field_with_id(const struct avro_value *record, int32_t field_id)
{
	if (record == NULL || record->type->kind != AVRO_RECORD)
		return NULL;
	for (uint32_t i = 0; i < record->u.list.count; i++)
		if (record->type->fields[i].field_id == field_id)
			return &record->u.list.items[i];
	return NULL;
}
