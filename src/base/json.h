/*
 * Writing JSON (RFC 8259) into a buffer, one value at a time; commas and escapes are the writer's.
 * Reading documents is jansson's work; decoding events is format/json's.
 */
#ifndef WEIR_BASE_JSON_H
#define WEIR_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define WEIR_JSON_DEPTH 32

struct weir_json {
	struct weir_buf *out;
	unsigned depth;
	bool need_comma[WEIR_JSON_DEPTH + 1];
	bool after_key;
};

struct weir_json weir_json_to(struct weir_buf *out);
void weir_json_object(struct weir_json *json);     /* { */
void weir_json_object_end(struct weir_json *json); /* } */
void weir_json_array(struct weir_json *json);
void weir_json_array_end(struct weir_json *json);
void weir_json_key(struct weir_json *json, const char *name);
void weir_json_key_str(struct weir_json *json, struct weir_str name);
void weir_json_string(struct weir_json *json, struct weir_str text); /* bytes that are not UTF-8 become U+FFFD */
void weir_json_cstring(struct weir_json *json, const char *text);    /* NULL: null */
void weir_json_int(struct weir_json *json, int64_t value);
void weir_json_uint(struct weir_json *json, uint64_t value);
void weir_json_double(struct weir_json *json, double value); /* shortest digits; NaN and infinities: null */
void weir_json_bool(struct weir_json *json, bool value);
void weir_json_null(struct weir_json *json);
void weir_json_time(struct weir_json *json, int64_t time_us);
void weir_json_raw(struct weir_json *json, struct weir_str value); /* a value that is JSON already */

/* "key": value in one call. */
void weir_json_key_cstring(struct weir_json *json, const char *name, const char *text);
void weir_json_key_string(struct weir_json *json, const char *name, struct weir_str text);
void weir_json_key_int(struct weir_json *json, const char *name, int64_t value);
void weir_json_key_uint(struct weir_json *json, const char *name, uint64_t value);
void weir_json_key_double(struct weir_json *json, const char *name, double value);
void weir_json_key_bool(struct weir_json *json, const char *name, bool value);

/* The shortest digits that read back as the same double; returns the size. buffer: 32 bytes. */
size_t weir_double_format(double value, char *buffer);

#endif
