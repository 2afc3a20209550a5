/* Thrift's compact protocol. Bounded: nothing is read past the end, and nesting has a limit. */
#include "format/parquet/thrift_int.h"

void thrift_fail(struct thrift_reader *reader, const char *problem)
{
	if (reader->problem == NULL)
		reader->problem = problem;
}

static void thrift_cut(struct thrift_reader *reader)
{
	if (reader->problem == NULL)
		reader->truncated = true;
	thrift_fail(reader, "the metadata ends too early");
}

static uint8_t next_byte(struct thrift_reader *reader)
{
	if (reader->problem != NULL)
		return 0;
	if (reader->at == reader->end) {
		thrift_cut(reader);
		return 0;
	}
	return *reader->at++;
}

static uint64_t next_varint(struct thrift_reader *reader)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = next_byte(reader);
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return value;
	}
	thrift_fail(reader, "a number of the metadata is longer than 64 bits");
	return 0;
}

static int64_t next_zigzag(struct thrift_reader *reader)
{
	uint64_t value = next_varint(reader);
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

bool thrift_next(struct thrift_reader *reader, struct thrift_field *field)
{
	uint8_t head = next_byte(reader);
	if (reader->problem != NULL || head == THRIFT_STOP)
		return false;
	int64_t id = head >> 4 != 0 ? field->id + (head >> 4) : next_zigzag(reader);
	if (id < INT16_MIN || id > INT16_MAX) {
		thrift_fail(reader, "a field id of the metadata is out of range");
		return false;
	}
	field->id = (int16_t)id;
	field->type = head & 0x0f;
	return reader->problem == NULL;
}

int64_t thrift_i64(struct thrift_reader *reader, uint8_t type)
{
	if (type == THRIFT_I8)
		return (int8_t)next_byte(reader);
	if (type == THRIFT_I16 || type == THRIFT_I32 || type == THRIFT_I64)
		return next_zigzag(reader);
	thrift_skip(reader, type);
	return 0;
}

int32_t thrift_i32(struct thrift_reader *reader, uint8_t type)
{
	int64_t value = thrift_i64(reader, type);
	if (value >= INT32_MIN && value <= INT32_MAX)
		return (int32_t)value;
	thrift_fail(reader, "a number of the metadata is longer than 32 bits");
	return 0;
}

bool thrift_bool(struct thrift_reader *reader, uint8_t type)
{
	if (type != THRIFT_TRUE && type != THRIFT_FALSE)
		thrift_skip(reader, type);
	return type == THRIFT_TRUE;
}

struct weir_str thrift_binary(struct thrift_reader *reader, uint8_t type)
{
	struct weir_str empty = {"", 0};
	if (type != THRIFT_BINARY) {
		thrift_skip(reader, type);
		return empty;
	}
	uint64_t size = next_varint(reader);
	if (reader->problem != NULL)
		return empty;
	if (size > (uint64_t)(reader->end - reader->at)) {
		thrift_cut(reader);
		return empty;
	}
	struct weir_str text = {(const char *)reader->at, (size_t)size};
	reader->at += size;
	return text;
}

uint32_t thrift_list(struct thrift_reader *reader, uint8_t type, uint8_t *ret_element)
{
	*ret_element = THRIFT_STOP;
	if (type != THRIFT_LIST && type != THRIFT_SET) {
		thrift_skip(reader, type);
		return 0;
	}
	uint8_t head = next_byte(reader);
	uint64_t count = head >> 4 == 15 ? next_varint(reader) : head >> 4;
	*ret_element = head & 0x0f;
	if (reader->problem != NULL)
		return 0;
	if (count > (uint64_t)(reader->end - reader->at) || count > UINT32_MAX) {
		thrift_cut(reader);
		return 0;
	}
	return (uint32_t)count;
}

static void skip_at(struct thrift_reader *reader, uint8_t type, bool in_list, unsigned depth);

static void skip_map(struct thrift_reader *reader, unsigned depth)
{
	uint64_t count = next_varint(reader);
	if (count == 0)
		return;
	uint8_t types = next_byte(reader);
	if (count > (uint64_t)(reader->end - reader->at))
		thrift_cut(reader);
	for (uint64_t i = 0; i < count && reader->problem == NULL; i++) {
		skip_at(reader, types >> 4, true, depth + 1);
		skip_at(reader, types & 0x0f, true, depth + 1);
	}
}

static void skip_bytes(struct thrift_reader *reader, uint64_t size)
{
	if (size > (uint64_t)(reader->end - reader->at))
		thrift_cut(reader);
	else
		reader->at += size;
}

static void skip_at(struct thrift_reader *reader, uint8_t type, bool in_list, unsigned depth)
{
	if (depth > THRIFT_DEPTH_LIMIT)
		thrift_fail(reader, "the metadata is nested too deeply");
	if (reader->problem != NULL)
		return;
	switch (type) {
	case THRIFT_TRUE:
	case THRIFT_FALSE:
		if (in_list)
			next_byte(reader);
		return;
	case THRIFT_I8:
		next_byte(reader);
		return;
	case THRIFT_I16:
	case THRIFT_I32:
	case THRIFT_I64:
		next_varint(reader);
		return;
	case THRIFT_DOUBLE:
		skip_bytes(reader, 8);
		return;
	case THRIFT_BINARY:
		thrift_binary(reader, type);
		return;
	case THRIFT_LIST:
	case THRIFT_SET: {
		uint8_t element;
		uint32_t count = thrift_list(reader, type, &element);
		for (uint32_t i = 0; i < count && reader->problem == NULL; i++)
			skip_at(reader, element, true, depth + 1);
		return;
	}
	case THRIFT_MAP:
		skip_map(reader, depth);
		return;
	case THRIFT_STRUCT: {
		struct thrift_field field = {0};
		while (thrift_next(reader, &field))
			skip_at(reader, field.type, false, depth + 1);
		return;
	}
	default:
		thrift_fail(reader, "the metadata has a field of an unknown type");
	}
}

void thrift_skip(struct thrift_reader *reader, uint8_t type)
{
	skip_at(reader, type, false, 0);
}

void thrift_put_varint(struct weir_buf *out, uint64_t value)
{
	uint8_t bytes[10];
	unsigned size = 0;
	while (value >= 0x80) {
		bytes[size++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	bytes[size++] = (uint8_t)value;
	weir_buf_append(out, bytes, size);
}

void thrift_put_zigzag(struct weir_buf *out, int64_t value)
{
	thrift_put_varint(out, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

void thrift_put_field(struct weir_buf *out, int16_t *last, int16_t id, uint8_t type)
{
	int delta = id - *last;
	if (delta >= 1 && delta <= 15) {
		weir_buf_u8(out, (uint8_t)(delta << 4 | type));
	} else {
		weir_buf_u8(out, type);
		thrift_put_zigzag(out, id);
	}
	*last = id;
}

void thrift_put_i32(struct weir_buf *out, int16_t *last, int16_t id, int32_t value)
{
	thrift_put_field(out, last, id, THRIFT_I32);
	thrift_put_zigzag(out, value);
}

void thrift_put_i64(struct weir_buf *out, int16_t *last, int16_t id, int64_t value)
{
	thrift_put_field(out, last, id, THRIFT_I64);
	thrift_put_zigzag(out, value);
}

void thrift_put_bool(struct weir_buf *out, int16_t *last, int16_t id, bool value)
{
	thrift_put_field(out, last, id, value ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_put_str(struct weir_buf *out, struct weir_str value)
{
	thrift_put_varint(out, value.size);
	weir_buf_append(out, value.data, value.size);
}

void thrift_put_binary(struct weir_buf *out, int16_t *last, int16_t id, struct weir_str value)
{
	thrift_put_field(out, last, id, THRIFT_BINARY);
	thrift_put_str(out, value);
}

void thrift_put_list(struct weir_buf *out, int16_t *last, int16_t id, uint8_t element, uint32_t count)
{
	thrift_put_field(out, last, id, THRIFT_LIST);
	if (count < 15) {
		weir_buf_u8(out, (uint8_t)(count << 4 | element));
	} else {
		weir_buf_u8(out, (uint8_t)(0xf0 | element));
		thrift_put_varint(out, count);
	}
}

void thrift_put_stop(struct weir_buf *out)
{
	weir_buf_u8(out, THRIFT_STOP);
}
