/*
 * Schemas: named, typed fields with Iceberg's field ids. A schema is immutable once built and lives
 * in the arena that it was built in; batches, readers and writers point to it.
 */
#ifndef WEIR_COLUMN_SCHEMA_H
#define WEIR_COLUMN_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/* Iceberg's types (table specification, "Schemas and Data Types"), and how a column holds each. */
enum weir_type {
	WEIR_BOOL,           /* uint8_t, 0 or 1 */
	WEIR_INT32,          /* int32_t */
	WEIR_INT64,          /* int64_t */
	WEIR_FLOAT,          /* float */
	WEIR_DOUBLE,         /* double */
	WEIR_DECIMAL,        /* weir_int128, unscaled; field.precision, field.scale */
	WEIR_DATE,           /* int32_t days */
	WEIR_TIME,           /* int64_t microseconds of a day */
	WEIR_TIMESTAMP,      /* int64_t microseconds, no zone */
	WEIR_TIMESTAMPTZ,    /* int64_t microseconds, UTC */
	WEIR_TIMESTAMP_NS,   /* int64_t nanoseconds, no zone */
	WEIR_TIMESTAMPTZ_NS, /* int64_t nanoseconds, UTC */
	WEIR_STRING,         /* view or dictionary code, UTF-8 */
	WEIR_UUID,           /* struct weir_uuid */
	WEIR_FIXED,          /* view of field.fixed_size bytes */
	WEIR_BINARY,         /* view */
	WEIR_LIST,           /* span; children[0] is the element */
	WEIR_MAP,            /* span; children[0] is the key, children[1] the value */
	WEIR_STRUCT,         /* children, as many rows as the column */
};

struct weir_field {
	struct weir_str name;
	int32_t id; /* Iceberg's field id; 0 where there is none */
	enum weir_type type;
	bool required;
	bool unknown;             /* Iceberg's type unknown: null in every row, held as booleans, stored nowhere */
	uint8_t precision, scale; /* decimals */
	uint32_t fixed_size;      /* fixed */
	struct weir_field *children;
	uint32_t child_count;
	struct weir_str doc; /* size 0: none */
	struct weir_str
		initial_default;       /* Iceberg's single value as JSON, for rows older than the field; size 0: none */
	struct weir_str write_default; /* the same, for writers that leave the field out */
};

struct weir_schema {
	int32_t id;
	uint32_t field_count;
	struct weir_field *fields;
	uint32_t identifier_count;
	int32_t *identifier_ids; /* fields that tell rows apart */
};

#define WEIR_NO_FIELD UINT32_MAX

__extension__ typedef __int128 weir_int128;

/* Index of a top-level field, or WEIR_NO_FIELD. */
uint32_t weir_schema_find(const struct weir_schema *schema, struct weir_str name);
uint32_t weir_schema_find_id(const struct weir_schema *schema, int32_t field_id);
/* A deep copy into arena. */
struct weir_schema *weir_schema_copy(struct weir_arena *arena, const struct weir_schema *schema);
/* "string", "timestamptz", "decimal(9, 2)", "map<string, string>": Iceberg's names. buffer: 128 bytes. */
const char *weir_type_name(const struct weir_field *field, char *buffer, size_t size);
/* A primitive type by Iceberg's name (decimal and fixed with their parameters); false where unknown. */
bool weir_type_parse(struct weir_str name, struct weir_field *field);
/* Bytes a row in a FLAT column; 16 for views and spans. */
uint32_t weir_type_width(enum weir_type type);
static inline bool weir_type_is_text(enum weir_type type)
{
	return type == WEIR_STRING || type == WEIR_BINARY || type == WEIR_FIXED;
}
static inline bool weir_type_is_nested(enum weir_type type)
{
	return type == WEIR_LIST || type == WEIR_MAP || type == WEIR_STRUCT;
}

#endif
