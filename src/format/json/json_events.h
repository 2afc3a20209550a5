/*
 * JSON -> record batches, directed by a JSON Schema (2020-12): one compiled decoder validates and
 * fills columns in a single pass over the bytes; the door, the log's replay and files all use it.
 *
 * The schema's properties become columns in their order:
 *   string                         -> string          string, format uuid      -> uuid
 *   string, format date-time       -> timestamptz     string, format date      -> date
 *   integer                        -> long            number                   -> double
 *   boolean                        -> boolean
 *   object with additionalProperties and no properties (metrics) -> map<string, string>:
 *       values must be number, text or boolean; the value's text as it stood (a slice: "210.5", "140"),
 *       text without its quotes and with escapes resolved
 *   object with properties, array  -> string (its JSON text as it stood; all of its assertions are enforced)
 * A type with "null" beside it is a column that takes null. Properties that the schema does not name are
 * checked to be JSON and left out, or refused where additionalProperties is false.
 * Keywords that are enforced: type (also ["string", "null"]), required, properties, additionalProperties,
 * enum, const, minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength, pattern (simple
 * anchored classes, else refused when compiling), format (uuid, date-time, date), minProperties,
 * maxProperties, items, minItems, maxItems, $ref to #/$defs. Any other assertion keyword is refused when
 * the schema is compiled, by name: a schema must never be half enforced. Property "x-units" and titles are
 * ignored annotations.
 */
#ifndef WEIR_FORMAT_JSON_EVENTS_H
#define WEIR_FORMAT_JSON_EVENTS_H

#include "base/buf.h"
#include "column/builder.h"

#define JSON_MAX_DEPTH            64          /* nested objects and arrays */
#define JSON_MAX_FIELDS           256         /* properties of an event, each a column */
#define JSON_MAX_NUMBER_BYTES     1024        /* digits of one number */
#define JSON_MAX_STRING_BYTES     (64U << 20) /* one text, and one document of json_document_rows */
#define JSON_MAX_DOCUMENT_COLUMNS 4096

struct json_decoder;

/* What is wrong with one event; texts live in the arena given to the decode call. */
struct json_problem {
	uint32_t index;           /* ordinal of the event in the document, from 0 */
	struct weir_str event_id; /* as it stood where it could be read, else size 0 */
	struct weir_str field;    /* "metrics.heart_rate", "timestamp"; "" where it is the whole event */
	struct weir_str value;    /* the offending value's text, cut to 100 bytes */
	const char *problem;      /* "is not a UUID" */
	const char *remedy;       /* "send it as 8-4-4-4-12 hexadecimal digits" */
	struct weir_str payload;  /* the bytes of the whole event (borrowed from the document) */
};

/*
 * Whether document is one JSON value (RFC 8259), read as strictly as events are: depth, UTF-8, numbers and
 * lone surrogates. unique_keys also refuses an object that has a name twice, as the decoder does (the RFC
 * allows it). WEIR_E_INPUT with the byte offset in *ret_offset (may be NULL) and in err.
 */
int json_validate(struct weir_str document, bool unique_keys, uint64_t *ret_offset, struct weir_error *err);

/* schema_json is compiled; fields get Iceberg ids from 1 in order. Errors name the JSON pointer. */
int json_decoder_new(struct weir_str schema_json, struct weir_str name, const char *id_field,
	struct json_decoder **ret_decoder, struct weir_error *err);
void json_decoder_free(struct json_decoder *decoder);
/* Columns of an event; lives with the decoder. Column i of every batch is field i. */
const struct weir_schema *json_decoder_schema(const struct json_decoder *decoder);
/* True where the schema says that the field is required. */
bool json_decoder_required(const struct json_decoder *decoder, uint32_t field);

enum json_framing {
	JSON_FRAME_ONE,   /* one object */
	JSON_FRAME_ARRAY, /* an array of objects */
	JSON_FRAME_LINES, /* NDJSON; empty lines are skipped */
	JSON_FRAME_AUTO, /* by the first byte, and whether another value follows the first object on lines of its own */
};

/*
 * One call for each event of a document, in order. row is filled in builder (not yet ended: the callee ends
 * or drops it) when problem is NULL; otherwise nothing was filled. payload is the event's own bytes.
 */
typedef int json_event_fn(
	void *context, struct weir_str payload, const struct json_problem *problem, struct weir_error *err);

/*
 * Decodes a whole document in memory. All problems of an event are found where they are independent; the
 * first is reported per call (one call an event). A document that is not JSON at all is
 * WEIR_E_INPUT with the offset, and nothing of it counts, except NDJSON, where a broken line is one bad event.
 * Nesting is limited to 64, duplicate keys are refused, numbers must be finite, text must be UTF-8.
 */
int json_decode(const struct json_decoder *decoder, struct weir_str document, enum json_framing framing,
	struct weir_builder *builder, struct weir_arena *arena, json_event_fn *event, void *context,
	struct weir_error *err);

/* Decode one event that is known to be one object (from the log): fills the builder's current row. 0, or
 * WEIR_E_INPUT with *ret_problem. */
int json_decode_one(const struct json_decoder *decoder, struct weir_str payload, struct weir_builder *builder,
	struct weir_arena *arena, struct json_problem *ret_problem, struct weir_error *err);

/*
 * Validate a row of a batch (from CSV, Parquet or an input's SQL) whose columns are matched by name, and
 * fill the builder's current row; text is parsed by the column's type (as JSON values would be); metrics
 * may come as a map column or as columns named "metrics.NAME" or with names the schema does not have when
 * extra_to is a map field.
 */
int json_decode_row(const struct json_decoder *decoder, const struct weir_batch *batch, uint32_t row,
	struct weir_builder *builder, struct weir_arena *arena, struct json_problem *ret_problem,
	struct weir_error *err);

/* The event as canonical JSON (fields in schema order, nulls left out), appended to out: the payload of events that
 * did not come as JSON. */
void json_encode_row(
	const struct json_decoder *decoder, const struct weir_batch *batch, uint32_t row, struct weir_buf *out);

/* Any document (providers' files) as a relation with one row a top-level object or array element:
 * columns by the first level's names, nested values as JSON text, so that SQL can pick them apart: all columns string.
 * limit_bytes bounds the document. */
int json_document_rows(struct weir_str document, struct weir_arena *arena, const struct weir_schema **ret_schema,
	struct weir_batch ***ret_batches, uint32_t *ret_count, struct weir_error *err);

/* Splits a stream of NDJSON or of one JSON array into documents of at most block_bytes that end at event
 * boundaries, so that files of any size are decoded in bounded memory. */
struct json_splitter;
struct json_splitter *json_splitter_new(struct weir_byte_reader from, size_t block_bytes, size_t max_event_bytes);
void json_splitter_free(struct json_splitter *splitter);
/*
 * The next piece (borrowed until the next call), framed as JSON_FRAME_LINES: array brackets and the commas
 * between elements are replaced by newlines, so offsets stay true. size 0 at the end. An event beyond
 * max_event_bytes is WEIR_E_LIMIT with its offset.
 */
int json_splitter_next(
	struct json_splitter *splitter, struct weir_str *ret_piece, uint64_t *ret_offset, struct weir_error *err);

#endif
