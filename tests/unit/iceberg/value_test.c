/* Transforms, bucket hashes, single values and bounds, against the reference implementation's vectors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/os.h"
#include "base/time.h"
#include "column/builder.h"
#include "iceberg/internal.h"

struct rows {
	char *data;
	char *at;
	char *columns[8];
	unsigned count;
};

/* A tab separated file of the vectors, past its heading; false where it is absent. */
static bool rows_open(struct rows *rows, const char *name)
{
	char path[512];
	size_t size;
	struct weir_error err = WEIR_ERROR_INIT;
	const char *root = getenv("WEIR_DATA");
	snprintf(
		path, sizeof path, "%s/D_conformance/iceberg-vectors/%s", root != NULL ? root : "../shared/data", name);
	*rows = (struct rows){0};
	if (weir_os_read_all(weir_os_real(), path, 1U << 20, &rows->data, &size, &err) != 0) {
		print_message("absent, not tested: %s\n", path);
		return false;
	}
	rows->at = strchr(rows->data, '\n') + 1;
	return true;
}

static bool rows_next(struct rows *rows)
{
	char *end = strchr(rows->at, '\n');
	if (*rows->at == '\0')
		return false;
	if (end != NULL)
		*end = '\0';
	rows->count = 0;
	for (char *cell = rows->at; cell != NULL && rows->count < 8;) {
		rows->columns[rows->count++] = cell;
		cell = strchr(cell, '\t');
		if (cell != NULL)
			*cell++ = '\0';
	}
	rows->at = end != NULL ? end + 1 : rows->at + strlen(rows->at);
	return true;
}

static size_t unhex(const char *text, uint8_t *out)
{
	size_t size = strlen(text) / 2;
	for (size_t i = 0; i < size; i++) {
		unsigned byte;
		assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
	return size;
}

/* "14.20" at scale 2 is 1420. */
static int64_t unscaled(const char *text, unsigned scale)
{
	const char *dot = strchr(text, '.');
	int64_t value = 0;
	unsigned digits = dot != NULL ? (unsigned)strlen(dot + 1) : 0;
	for (const char *c = text; *c != '\0'; c++)
		if (*c >= '0' && *c <= '9')
			value = value * 10 + (*c - '0');
	for (; digits < scale; digits++)
		value *= 10;
	return text[0] == '-' ? -value : value;
}

static int64_t time_of_day(const char *text)
{
	unsigned h, m, s;
	assert_int_equal(sscanf(text, "%2u:%2u:%2u", &h, &m, &s), 3);
	return ((int64_t)h * 3600 + m * 60 + s) * WEIR_US_PER_SECOND;
}

/* Microseconds by the parser of times, and the last three of nine digits of a second. */
static int64_t nanoseconds(const char *text)
{
	int64_t us;
	const char *point = strchr(text, '.');
	assert_true(weir_time_parse(weir_str_from(text), WEIR_ZONE_UTC, &us));
	int64_t ns = us * 1000;
	if (point != NULL && strspn(point + 1, "0123456789") == 9)
		ns += strtol((char[]){point[7], point[8], point[9], '\0'}, NULL, 10);
	return ns;
}

/* A value in the vectors' notation; false for types that weir does not have. */
static bool parse_value(const char *type_text, const char *text, struct weir_field *field, struct expr_value *value)
{
	static uint8_t bytes[64];
	char type[64];
	snprintf(type, sizeof type, "%s", type_text);
	for (char *c = type; *c != '\0'; c++) /* fixed(4) is fixed[4] elsewhere */
		if (strncmp(type, "fixed", 5) == 0)
			*c = *c == '(' ? '[' : *c == ')' ? ']' : *c;
	if (strcmp(type, "binary(utf8 shown)") == 0)
		strcpy(type, "binary");
	*field = (struct weir_field){.id = 1};
	if (!weir_type_parse(weir_str_from(type), field))
		return false;
	*value = (struct expr_value){.kind = EXPR_INTEGER};
	switch (field->type) {
	case WEIR_BOOL:
		*value = (struct expr_value){.kind = EXPR_BOOLEAN, .u.boolean = strcmp(text, "true") == 0};
		return true;
	case WEIR_DECIMAL:
		value->u.integer = unscaled(text, field->scale);
		return true;
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		*value = (struct expr_value){.kind = EXPR_NUMBER, .u.number = strtod(text, NULL)};
		return true;
	case WEIR_DATE:
		if (strchr(text, '(') != NULL) {
			value->u.integer = strtoll(text, NULL, 10);
		} else {
			int32_t day;
			assert_true(weir_date_parse(weir_str_from(text), &day));
			value->u.integer = day;
		}
		return true;
	case WEIR_TIME:
	case WEIR_TIMESTAMP:
	case WEIR_TIMESTAMPTZ:
		if (strchr(text, '(') != NULL)
			value->u.integer = strtoll(text, NULL, 10);
		else if (field->type == WEIR_TIME)
			value->u.integer = time_of_day(text);
		else
			assert_true(weir_time_parse(weir_str_from(text), WEIR_ZONE_UTC, &value->u.integer));
		return true;
	case WEIR_TIMESTAMP_NS:
	case WEIR_TIMESTAMPTZ_NS:
		value->u.integer = strchr(text, '(') != NULL ? strtoll(text, NULL, 10) : nanoseconds(text);
		return true;
	case WEIR_UUID:
		value->kind = EXPR_UUID;
		assert_true(weir_uuid_parse(weir_str_from(text), &value->u.uuid));
		return true;
	case WEIR_STRING:
	case WEIR_BINARY:
	case WEIR_FIXED:
		value->kind = EXPR_TEXT;
		value->u.text = weir_str_from(text);
		if (strncmp(text, "hex:", 4) == 0)
			value->u.text = (struct weir_str){(const char *)bytes, unhex(text + 4, bytes)};
		return true;
	default:
		value->u.integer = strtoll(text, NULL, 10);
		return true;
	}
}

static void test_bucket_hashes(void **state)
{
	struct rows rows;
	unsigned tested = 0;
	(void)state;
	if (!rows_open(&rows, "bucket_hash32.tsv"))
		return;
	while (rows_next(&rows)) {
		struct weir_field field;
		struct expr_value value;
		if (!parse_value(rows.columns[0], rows.columns[1], &field, &value))
			continue; /* types that have no buckets */
		/* Two bucket counts whose product is past 2^31 tell all 31 bits of the hash. */
		static const uint32_t buckets[] = {65536, 65521, INT32_MAX};
		uint32_t hash = (uint32_t)strtol(rows.columns[2], NULL, 10) & INT32_MAX;
		for (size_t i = 0; i < 3; i++) {
			struct ice_partition_value bucket =
				ice_transform_value((struct ice_transform){ICE_BUCKET, buckets[i]}, field.type, &value);
			assert_false(bucket.is_null);
			assert_int_equal(bucket.value.u.integer, hash % buckets[i]);
		}
		tested++;
	}
	assert_int_equal(tested, 18);
	free(rows.data);
}

static void test_time_transforms(void **state)
{
	struct rows rows;
	unsigned tested = 0;
	(void)state;
	if (!rows_open(&rows, "time_transforms.tsv"))
		return;
	while (rows_next(&rows)) {
		struct weir_field field;
		struct expr_value value;
		struct ice_transform transform;
		struct weir_error err = WEIR_ERROR_INIT;
		if (!parse_value(rows.columns[0], rows.columns[1], &field, &value))
			continue;
		assert_int_equal(ice_transform_parse(weir_str_from(rows.columns[2]), &transform, &err), 0);
		struct ice_partition_value result = ice_transform_value(transform, field.type, &value);
		assert_false(result.is_null);
		assert_int_equal(result.value.u.integer, strtoll(rows.columns[3], NULL, 10));
		tested++;
	}
	assert_int_equal(tested, 30);
	free(rows.data);
}

static void test_truncate(void **state)
{
	struct rows rows;
	unsigned tested = 0;
	(void)state;
	if (!rows_open(&rows, "truncate.tsv"))
		return;
	while (rows_next(&rows)) {
		struct weir_field field;
		struct expr_value value, expected;
		struct weir_error err = WEIR_ERROR_INIT;
		struct ice_transform transform = {ICE_TRUNCATE, (uint32_t)strtoul(rows.columns[1], NULL, 10)};
		if (strcmp(rows.columns[0], "any") == 0) {
			assert_int_equal(ice_transform_parse(WEIR_STR("truncate[0]"), &transform, &err), WEIR_E_INPUT);
			tested++;
			continue;
		}
		assert_true(parse_value(rows.columns[0], rows.columns[2], &field, &value));
		assert_true(parse_value(rows.columns[0], rows.columns[3], &field, &expected));
		struct ice_partition_value result = ice_transform_value(transform, field.type, &value);
		struct ice_partition_value wanted = {.value = expected};
		assert_true(ice_partition_value_equal(&result, &wanted));
		tested++;
	}
	assert_int_equal(tested, 31);
	free(rows.data);
}

static void test_single_values(void **state)
{
	struct rows rows;
	unsigned tested = 0;
	(void)state;
	if (!rows_open(&rows, "single_value_binary.tsv"))
		return;
	while (rows_next(&rows)) {
		struct weir_field field;
		struct expr_value value, back;
		struct weir_buf out = WEIR_BUF_INIT;
		uint8_t expected[64];
		if (!parse_value(rows.columns[0], rows.columns[1], &field, &value))
			continue;
		ice_value_encode(&value, &field, &out);
		assert_int_equal(out.size, unhex(rows.columns[2], expected));
		assert_memory_equal(out.data, expected, out.size);
		assert_true(ice_value_decode(weir_buf_str(&out), &field, &back));
		struct ice_partition_value a = {.value = value}, b = {.value = back};
		assert_true(ice_partition_value_equal(&a, &b));
		weir_buf_done(&out);
		tested++;
	}
	assert_int_equal(tested, 20);
	free(rows.data);
}

/* \uXXXX and \UXXXXXXXX into UTF-8. */
static struct weir_str unescape(struct weir_arena *arena, const char *text)
{
	char *out = weir_arena_alloc(arena, strlen(text) + 1);
	size_t size = 0;
	while (*text != '\0') {
		unsigned long c;
		char digits[9] = {0};
		if (text[0] != '\\') {
			out[size++] = *text++;
			continue;
		}
		size_t length = text[1] == 'u' ? 4 : 8;
		memcpy(digits, text + 2, length);
		c = strtoul(digits, NULL, 16);
		text += 2 + length;
		if (c < 0x80)
			out[size++] = (char)c;
		else if (c < 0x800) {
			out[size++] = (char)(0xC0 | c >> 6);
			out[size++] = (char)(0x80 | (c & 63));
		} else if (c < 0x10000) {
			out[size++] = (char)(0xE0 | c >> 12);
			out[size++] = (char)(0x80 | (c >> 6 & 63));
			out[size++] = (char)(0x80 | (c & 63));
		} else {
			out[size++] = (char)(0xF0 | c >> 18);
			out[size++] = (char)(0x80 | (c >> 12 & 63));
			out[size++] = (char)(0x80 | (c >> 6 & 63));
			out[size++] = (char)(0x80 | (c & 63));
		}
	}
	return (struct weir_str){out, size};
}

static void test_bound_truncation(void **state)
{
	struct rows rows;
	unsigned tested = 0;
	struct weir_arena *arena = weir_arena_new(0);
	(void)state;
	if (!rows_open(&rows, "metric_bound_truncation.tsv")) {
		weir_arena_free(arena);
		return;
	}
	while (rows_next(&rows)) {
		uint32_t limit = (uint32_t)strtoul(rows.columns[1], NULL, 10);
		struct weir_str value = unescape(arena, rows.columns[2]), upper;
		if (strcmp(rows.columns[0], "min") == 0) {
			struct weir_str lower = ice_bound_lower(arena, value, true, limit);
			assert_true(weir_str_equal(lower, unescape(arena, rows.columns[3])));
		} else {
			bool there = ice_bound_upper(arena, value, true, limit, &upper);
			assert_int_equal(there, strcmp(rows.columns[3], "NONE") != 0);
			if (there)
				assert_true(weir_str_equal(upper, unescape(arena, rows.columns[3])));
		}
		tested++;
	}
	assert_int_equal(tested, 19);
	struct weir_str upper;
	assert_true(ice_bound_upper(arena, WEIR_STR("a\xff\xff"), false, 2, &upper));
	assert_true(weir_str_is(upper, "b"));
	assert_false(ice_bound_upper(arena, WEIR_STR("\xff\xff\xff"), false, 2, &upper));
	weir_arena_free(arena);
	free(rows.data);
}

static void test_bad_single_values(void **state)
{
	static const struct {
		enum weir_type type;
		size_t size;
	} cases[] = {
		{WEIR_BOOL, 0},
		{WEIR_BOOL, 2},
		{WEIR_INT32, 8},
		{WEIR_INT64, 3},
		{WEIR_FLOAT, 8},
		{WEIR_DOUBLE, 5},
		{WEIR_UUID, 15},
		{WEIR_DECIMAL, 0},
		{WEIR_DECIMAL, 17},
		{WEIR_DATE, 8},
		{WEIR_MAP, 4},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_field field = {.type = cases[i].type};
		struct expr_value value;
		char bytes[32] = {0};
		assert_false(ice_value_decode((struct weir_str){bytes, cases[i].size}, &field, &value));
	}
	struct weir_field wide = {.type = WEIR_INT64};
	struct expr_value value;
	assert_true(ice_value_decode(WEIR_STR("\xff\xff\xff\xff"), &wide, &value)); /* written when it was an int */
	assert_int_equal(value.u.integer, -1);
}

static void test_transform_names(void **state)
{
	static const char *const names[] = {
		"identity", "bucket[16]", "truncate[10]", "year", "month", "day", "hour", "void"};
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_transform transform;
	char buffer[64];
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		assert_int_equal(ice_transform_parse(weir_str_from(names[i]), &transform, &err), 0);
		assert_string_equal(ice_transform_name(transform, buffer, sizeof buffer), names[i]);
	}
	assert_int_equal(ice_transform_parse(WEIR_STR("zorder"), &transform, &err), 0);
	assert_int_equal(transform.kind, ICE_UNKNOWN_TRANSFORM);
	assert_int_equal(ice_transform_parse(WEIR_STR("bucket[x]"), &transform, &err), WEIR_E_INPUT);
}

static void test_apply_and_path(void **state)
{
	struct weir_field fields[] = {
		{.name = WEIR_STR("purpose"), .id = 1, .type = WEIR_STRING},
		{.name = WEIR_STR("at"), .id = 2, .type = WEIR_TIMESTAMPTZ},
		{.name = WEIR_STR("price"), .id = 3, .type = WEIR_DECIMAL, .precision = 30, .scale = 2},
	};
	struct weir_schema schema = {.field_count = 3, .fields = fields};
	struct ice_partition_field parts[] = {
		{.source_id = 1, .field_id = 1000, .name = WEIR_STR("purpose"), .transform = {ICE_IDENTITY, 0}},
		{.source_id = 2, .field_id = 1001, .name = WEIR_STR("at_day"), .transform = {ICE_DAY, 0}},
		{.source_id = 2, .field_id = 1002, .name = WEIR_STR("at_hour"), .transform = {ICE_HOUR, 0}},
		{.source_id = 2, .field_id = 1003, .name = WEIR_STR("at_month"), .transform = {ICE_MONTH, 0}},
		{.source_id = 2, .field_id = 1004, .name = WEIR_STR("at_year"), .transform = {ICE_YEAR, 0}},
		{.source_id = 3, .field_id = 1005, .name = WEIR_STR("price"), .transform = {ICE_IDENTITY, 0}},
		{.source_id = 1, .field_id = 1006, .name = WEIR_STR("p"), .transform = {ICE_TRUNCATE, 2}},
		{.source_id = 1, .field_id = 1007, .name = WEIR_STR("v"), .transform = {ICE_VOID, 0}},
	};
	struct ice_spec spec = {.field_count = 8, .fields = parts};
	struct ice_partition_value values[8];
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_builder *builder = weir_builder_new(&schema);
	(void)state;
	weir_builder_str(builder, 0, WEIR_STR("a b/\xc3\xa9"));
	weir_builder_i64(builder, 1, -1);
	weir_builder_decimal(builder, 2, -5);
	weir_builder_end_row(builder);
	weir_builder_end_row(builder); /* all null */
	weir_builder_decimal(builder, 2, (weir_int128)INT64_MAX * 4);
	weir_builder_end_row(builder);
	struct weir_batch *batch = weir_builder_take(builder);
	static const uint32_t columns[] = {0, 1, 1, 1, 1, 2, 0, 0};
	static const char *const paths[] = {
		"purpose=a+b%2F%C3%A9/at_day=1969-12-31/at_hour=1969-12-31-23/at_month=1969-12/at_year=1969/"
		"price=-0.05/"
		"p=a+/v=null",
		"purpose=null/at_day=null/at_hour=null/at_month=null/at_year=null/price=null/p=null/v=null",
	};
	for (uint32_t row = 0; row < 2; row++) {
		for (uint32_t i = 0; i < 8; i++)
			values[i] = ice_transform_apply(
				arena, parts[i].transform, fields[columns[i]].type, &batch->columns[columns[i]], row);
		assert_true(weir_str_is(ice_partition_path(arena, &spec, &schema, values), paths[row]));
	}
	values[0] = ice_transform_apply(arena, parts[5].transform, WEIR_DECIMAL, &batch->columns[2], 2);
	assert_int_equal(values[0].value.kind, EXPR_TEXT); /* past 64 bits: its bytes */
	assert_int_equal(values[0].value.u.text.size, 9);
	weir_batch_release(batch);
	weir_builder_free(builder);
	weir_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bucket_hashes),
		cmocka_unit_test(test_time_transforms),
		cmocka_unit_test(test_truncate),
		cmocka_unit_test(test_single_values),
		cmocka_unit_test(test_bound_truncation),
		cmocka_unit_test(test_bad_single_values),
		cmocka_unit_test(test_transform_names),
		cmocka_unit_test(test_apply_and_path),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
