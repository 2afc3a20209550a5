/*
 * Apache Avro object container files, schema by schema: what Iceberg's manifests and manifest lists
 * need, with field ids on every field (libavro cannot write them). Names begin with avro_.
 *
 * A schema is the tree of struct avro_type; values are written and read by walking it in order, with
 * one call a value, so that no generic tree of values is ever built for a manifest of 100,000 entries.
 */
#ifndef WEIR_FORMAT_AVRO_H
#define WEIR_FORMAT_AVRO_H

#include "base/buf.h"
#include "base/arena.h"
#include "codec/codec.h"

/* ---- binary encoding (Avro 1.11, "Binary Encoding") into a buffer ---- */
void avro_put_long(struct weir_buf *out, int64_t value); /* zig-zag varint; int and long alike */
void avro_put_bool(struct weir_buf *out, bool value);
void avro_put_float(struct weir_buf *out, float value);
void avro_put_double(struct weir_buf *out, double value);
void avro_put_bytes(struct weir_buf *out, struct weir_str bytes); /* string and bytes */
void avro_put_fixed(struct weir_buf *out, const void *bytes, size_t size_bytes);

/* ---- writing a container file ---- */
struct avro_writer;
/* schema_json is the file's avro.schema as it is; metadata are further key-values. codec: NONE, GZIP (as "deflate",
 * raw) or ZSTD ("zstandard"). */
struct avro_metadata {
	const char *key;
	struct weir_str value;
};
int avro_writer_open(struct weir_byte_sink sink, struct weir_str schema_json, const struct avro_metadata *metadata,
	uint32_t metadata_count, enum codec codec, struct avro_writer **ret_writer, struct weir_error *err);
/* The buffer for the next record: put its fields in order, then avro_writer_end_record. */
struct weir_buf *avro_writer_record(struct avro_writer *writer);
int avro_writer_end_record(struct avro_writer *writer, struct weir_error *err); /* writes a block from 64 KiB on */
int avro_writer_close(struct avro_writer *take_writer, uint64_t *ret_size_bytes, struct weir_error *err);
void avro_writer_abandon(struct avro_writer *take_writer);

/* ---- reading: generic, by the writer's schema ---- */
enum avro_kind {
	AVRO_NULL,
	AVRO_BOOL,
	AVRO_INT,
	AVRO_LONG,
	AVRO_FLOAT,
	AVRO_DOUBLE,
	AVRO_BYTES,
	AVRO_STRING,
	AVRO_FIXED,
	AVRO_ENUM,
	AVRO_ARRAY,
	AVRO_MAP,
	AVRO_UNION,
	AVRO_RECORD,
};

struct avro_type {
	enum avro_kind kind;
	struct weir_str name;    /* of a named type */
	struct weir_str logical; /* logicalType, "" where none */
	uint32_t fixed_size;
	uint32_t precision, scale;
	uint32_t field_count;      /* fields of a record; branches of a union; 1 of an array or map */
	struct avro_field *fields; /* array: the item; map: the value; union: branches (name "") */
	struct weir_str *symbols;  /* enum */
	uint32_t symbol_count;
};

struct avro_field {
	struct weir_str name;
	int32_t field_id;         /* "field-id", "element-id"; -1 where none */
	int32_t key_id, value_id; /* maps; -1 where none */
	const struct avro_type *type;
};

struct avro_reader;
/* The whole file is read into memory (manifests are bounded: limit_bytes). */
int avro_reader_open(
	struct weir_byte_source source, size_t limit_bytes, struct avro_reader **ret_reader, struct weir_error *err);
void avro_reader_close(struct avro_reader *reader);
const struct avro_type *avro_reader_type(const struct avro_reader *reader);
/* Metadata value by key; size 0 and data NULL where absent. */
struct weir_str avro_reader_metadata(const struct avro_reader *reader, const char *key);

/* A decoded value: a view into the current record, valid until the next avro_reader_next. */
struct avro_value {
	const struct avro_type *type; /* unions are resolved: the branch's type; AVRO_NULL for null */
	union {
		bool boolean;
		int64_t integer;       /* int, long, enum */
		double number;         /* float, double */
		struct weir_str bytes; /* bytes, string, fixed */
		struct {
			const struct avro_value *items; /* array and record: fields in order; map: key, value pairs */
			uint32_t count;                 /* items, fields or pairs */
		} list;
	} u;
};
/* The next record; *ret_value NULL at the end. */
int avro_reader_next(struct avro_reader *reader, const struct avro_value **ret_value, struct weir_error *err);
/* A record's field by name or by field id; NULL where absent. Null values are of type AVRO_NULL. */
const struct avro_value *avro_field_named(const struct avro_value *record, const char *name);
const struct avro_value *avro_field_with_id(const struct avro_value *record, int32_t field_id);

#endif
