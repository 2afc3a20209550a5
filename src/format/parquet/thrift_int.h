/*
 * Thrift's compact protocol, as much of it as Parquet's metadata needs.
 *
 *   varint        7 bits a byte, low first; signed numbers zigzag
 *   field header  (delta of field id << 4 | type), or type and zigzag id where the delta is not 1..15
 *   list header   (size << 4 | element type), or 0xf0 | type and a varint size
 *   struct        fields, then a zero byte
 *
 * The reader borrows its bytes and is sticky: after the first problem every call returns 0 and
 * `problem` says what and `at` where it was. It never reads past `end`. A field of another type than
 * the one asked for is skipped and reads as 0, empty or false, as Thrift's own readers do.
 */
#ifndef WEIR_PARQUET_THRIFT_INT_H
#define WEIR_PARQUET_THRIFT_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum thrift_type {
	THRIFT_STOP = 0,
	THRIFT_TRUE = 1,
	THRIFT_FALSE = 2,
	THRIFT_I8 = 3,
	THRIFT_I16 = 4,
	THRIFT_I32 = 5,
	THRIFT_I64 = 6,
	THRIFT_DOUBLE = 7,
	THRIFT_BINARY = 8,
	THRIFT_LIST = 9,
	THRIFT_SET = 10,
	THRIFT_MAP = 11,
	THRIFT_STRUCT = 12,
};

#define THRIFT_DEPTH_LIMIT 32

struct thrift_reader {
	const uint8_t *start, *at, *end;
	const char *problem; /* NULL while all is well */
	bool truncated;      /* the problem is that the bytes end */
};

struct thrift_field {
	int16_t id;
	uint8_t type;
};

static inline struct thrift_reader thrift_reader_on(const void *data, size_t size)
{
	return (struct thrift_reader){data, data, (const uint8_t *)data + size, NULL, false};
}

/* The next field of a struct; start with (struct thrift_field){0}. False at its end or after a problem. */
bool thrift_next(struct thrift_reader *reader, struct thrift_field *field);
int64_t thrift_i64(struct thrift_reader *reader, uint8_t type); /* of any integer type */
int32_t thrift_i32(struct thrift_reader *reader, uint8_t type);
bool thrift_bool(struct thrift_reader *reader, uint8_t type);              /* a field's value is its type */
struct weir_str thrift_binary(struct thrift_reader *reader, uint8_t type); /* borrowed */
/* Elements of a list; each takes a byte at least, so the count is bounded by what is left. */
uint32_t thrift_list(struct thrift_reader *reader, uint8_t type, uint8_t *ret_element);
void thrift_skip(struct thrift_reader *reader, uint8_t type);
void thrift_fail(struct thrift_reader *reader, const char *problem);

/* Writing: `last` is the id of the field before, 0 at the start of a struct. */
void thrift_put_varint(struct weir_buf *out, uint64_t value);
void thrift_put_field(struct weir_buf *out, int16_t *last, int16_t id, uint8_t type);
void thrift_put_i32(struct weir_buf *out, int16_t *last, int16_t id, int32_t value);
void thrift_put_i64(struct weir_buf *out, int16_t *last, int16_t id, int64_t value);
void thrift_put_bool(struct weir_buf *out, int16_t *last, int16_t id, bool value);
void thrift_put_binary(struct weir_buf *out, int16_t *last, int16_t id, struct weir_str value);
void thrift_put_list(struct weir_buf *out, int16_t *last, int16_t id, uint8_t element, uint32_t count);
void thrift_put_zigzag(struct weir_buf *out, int64_t value);      /* a list's element */
void thrift_put_str(struct weir_buf *out, struct weir_str value); /* a list's element */
void thrift_put_stop(struct weir_buf *out);

#endif
