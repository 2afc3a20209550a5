/* Transforms: every type there and back, projections, errors and their lines, casts, isolation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/rng.h"
#include "sql/sql.h"

static struct sql *open_sql(void)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct sql *sql = NULL;
	assert_int_equal(sql_open(&(struct sql_options){.threads = 1}, &sql, &err), 0);
	return sql;
}

static void fail_with(const struct weir_error *err)
{
	char text[1200];
	fail_msg("%s", weir_error_text(err, text, sizeof text));
}

static struct sql_transform *transform_new(struct sql *sql, const char *text, const struct weir_schema *input)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct sql_transform *transform = NULL;
	if (sql_transform_new(sql, weir_str_from(text), "test.sql", "input", input, &transform, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return transform;
}

/* ---- every type ---- */

static struct weir_field string_field = {.name = {"s", 1}, .type = WEIR_STRING};
static struct weir_field uuid_field = {.name = {"u", 1}, .type = WEIR_UUID};
static struct weir_field double_field = {.name = {"d", 1}, .type = WEIR_DOUBLE};
static struct weir_field map_fields[2] = {
	{.name = {"key", 3}, .type = WEIR_STRING, .required = true}, {.name = {"value", 5}, .type = WEIR_STRING}};
static struct weir_field struct_fields[3] = {{.name = {"a", 1}, .type = WEIR_INT64},
	{.name = {"b", 1}, .type = WEIR_STRING},
	{.name = {"c", 1}, .type = WEIR_LIST, .children = &double_field, .child_count = 1}};
static struct weir_field struct_field = {
	.name = {"e", 1}, .type = WEIR_STRUCT, .children = struct_fields, .child_count = 3};

static struct weir_field all_fields[] = {
	{.name = {"bool", 4}, .type = WEIR_BOOL},
	{.name = {"int", 3}, .type = WEIR_INT32},
	{.name = {"long", 4}, .type = WEIR_INT64},
	{.name = {"float", 5}, .type = WEIR_FLOAT},
	{.name = {"double", 6}, .type = WEIR_DOUBLE},
	{.name = {"decimal_3_1", 11}, .type = WEIR_DECIMAL, .precision = 3, .scale = 1},
	{.name = {"decimal_9_2", 11}, .type = WEIR_DECIMAL, .precision = 9, .scale = 2},
	{.name = {"decimal_18_4", 12}, .type = WEIR_DECIMAL, .precision = 18, .scale = 4},
	{.name = {"decimal_38_10", 13}, .type = WEIR_DECIMAL, .precision = 38, .scale = 10},
	{.name = {"date", 4}, .type = WEIR_DATE},
	{.name = {"time", 4}, .type = WEIR_TIME},
	{.name = {"timestamp", 9}, .type = WEIR_TIMESTAMP},
	{.name = {"timestamptz", 11}, .type = WEIR_TIMESTAMPTZ},
	{.name = {"string", 6}, .type = WEIR_STRING},
	{.name = {"dict", 4}, .type = WEIR_STRING},
	{.name = {"uuid", 4}, .type = WEIR_UUID},
	{.name = {"binary", 6}, .type = WEIR_BINARY},
	{.name = {"list", 4}, .type = WEIR_LIST, .children = &string_field, .child_count = 1},
	{.name = {"uuids", 5}, .type = WEIR_LIST, .children = &uuid_field, .child_count = 1},
	{.name = {"map", 3}, .type = WEIR_MAP, .children = map_fields, .child_count = 2},
	{.name = {"struct", 6}, .type = WEIR_STRUCT, .children = struct_fields, .child_count = 3},
	{.name = {"structs", 7}, .type = WEIR_LIST, .children = &struct_field, .child_count = 1},
};
#define FIELDS (sizeof all_fields / sizeof *all_fields)
static const struct weir_schema all_schema = {.field_count = FIELDS, .fields = all_fields};

/* Longer and shorter than a view's 12 inlined bytes; unique by index where a map's keys need it. */
static struct weir_view random_view(struct weir_arena *arena, struct weir_rng *rng, uint64_t unique)
{
	const char *text = weir_arena_printf(arena, "%llx%.*s", (unsigned long long)unique,
		(int)weir_rng_below(rng, 40), "the quick brown fox jumps over the lazy dog");
	return weir_view_from(weir_str_from(text));
}

static weir_int128 random_decimal(struct weir_rng *rng, unsigned precision)
{
	weir_int128 value = 0;
	for (unsigned i = 0; i < precision; i++)
		value = value * 10 + (weir_int128)weir_rng_below(rng, 10);
	return weir_rng_chance(rng, 0.5) ? -value : value;
}

static void random_column(struct weir_arena *arena, struct weir_rng *rng, const struct weir_field *field, bool nulls,
	uint32_t rows, struct weir_column *column);

static void random_spans(struct weir_arena *arena, struct weir_rng *rng, const struct weir_field *field, bool nulls,
	uint32_t rows, struct weir_column *column)
{
	struct weir_span *spans = weir_arena_calloc(arena, rows + 1, sizeof *spans);
	for (uint32_t i = 0; i < rows; i++) {
		spans[i] = (struct weir_span){column->child_rows, weir_rng_below(rng, 5)};
		if (!weir_column_is_valid(column, i))
			spans[i].length = 0;
		column->child_rows += (uint32_t)spans[i].length;
	}
	column->layout = WEIR_SPAN;
	column->values = spans;
	for (uint32_t i = 0; i < field->child_count; i++)
		random_column(arena, rng, &field->children[i], nulls && !(field->type == WEIR_MAP && i == 0),
			column->child_rows, &column->children[i]);
}

static void random_value(
	struct weir_arena *arena, struct weir_rng *rng, const struct weir_field *field, uint32_t row, void *values)
{
	char *at = (char *)values + (size_t)row * weir_type_width(field->type);
	uint64_t bits = weir_rng_next(rng);
	struct weir_view view;
	weir_int128 decimal;
	double number = weir_rng_normal(rng) * 1e6;
	float single = (float)number;
	switch (field->type) {
	case WEIR_BOOL:
		*at = bits & 1;
		break;
	case WEIR_FLOAT:
		memcpy(at, &single, sizeof single);
		break;
	case WEIR_DOUBLE:
		memcpy(at, &number, sizeof number);
		break;
	case WEIR_DECIMAL:
		decimal = random_decimal(rng, field->precision);
		memcpy(at, &decimal, sizeof decimal);
		break;
	case WEIR_TIME:
		bits %= 86400000000ULL;
		memcpy(at, &bits, sizeof bits);
		break;
	case WEIR_STRING:
	case WEIR_BINARY:
		view = random_view(arena, rng, row);
		memcpy(at, &view, sizeof view);
		break;
	case WEIR_UUID:
		memcpy(at, &bits, 8);
		bits = weir_rng_next(rng);
		memcpy(at + 8, &bits, 8);
		break;
	case WEIR_DATE:
	case WEIR_TIMESTAMP:
	case WEIR_TIMESTAMPTZ:
		bits %= 1000000;
		memcpy(at, &bits, weir_type_width(field->type));
		break;
	default:
		memcpy(at, &bits, weir_type_width(field->type));
	}
}

static void random_column(struct weir_arena *arena, struct weir_rng *rng, const struct weir_field *field, bool nulls,
	uint32_t rows, struct weir_column *column)
{
	*column = (struct weir_column){
		.type = field->type, .layout = weir_type_is_text(field->type) ? WEIR_VIEW : WEIR_FLAT};
	column->child_count = field->child_count;
	column->children = weir_arena_calloc(arena, field->child_count + 1, sizeof *column->children);
	if (nulls) {
		column->valid = weir_validity_new(arena, rows);
		for (uint32_t i = 0; i < rows; i++) {
			if (weir_rng_chance(rng, 0.2))
				weir_column_set_null(column, i);
		}
	}
	if (field->type == WEIR_STRUCT) {
		column->layout = WEIR_GROUP;
		for (uint32_t i = 0; i < field->child_count; i++)
			random_column(arena, rng, &field->children[i], nulls, rows, &column->children[i]);
		return;
	}
	if (weir_type_is_nested(field->type)) {
		random_spans(arena, rng, field, nulls, rows, column);
		return;
	}
	column->values = weir_arena_zalloc(arena, ((size_t)rows + 1) * weir_type_width(field->type));
	for (uint32_t i = 0; i < rows; i++)
		random_value(arena, rng, field, i, column->values);
}

/* Column "dict" as codes into a dictionary. */
static void make_dict(struct weir_arena *arena, struct weir_rng *rng, uint32_t rows, struct weir_column *column)
{
	struct weir_dict *dict = weir_arena_zalloc(arena, sizeof *dict);
	struct weir_view *values = weir_arena_calloc(arena, 10, sizeof *values);
	uint32_t *codes = weir_arena_calloc(arena, rows + 1, sizeof *codes);
	for (uint32_t i = 0; i < 10; i++)
		values[i] = random_view(arena, rng, i);
	for (uint32_t i = 0; i < rows; i++)
		codes[i] = (uint32_t)weir_rng_below(rng, 10);
	*dict = (struct weir_dict){10, values};
	column->layout = WEIR_DICT;
	column->values = codes;
	column->dict = dict;
}

static struct weir_batch *random_batch(struct weir_arena *arena, struct weir_rng *rng, bool nulls, uint32_t rows)
{
	struct weir_batch *batch = weir_arena_zalloc(arena, sizeof *batch);
	*batch = (struct weir_batch){.schema = &all_schema,
		.row_count = rows,
		.columns = weir_arena_calloc(arena, FIELDS, sizeof *batch->columns)};
	for (uint32_t c = 0; c < FIELDS; c++) {
		random_column(arena, rng, &all_fields[c], nulls, rows, &batch->columns[c]);
		if (weir_str_is(all_fields[c].name, "dict"))
			make_dict(arena, rng, rows, &batch->columns[c]);
	}
	return batch;
}

static void assert_same_rows(
	struct weir_batch *const *in, uint32_t in_count, struct weir_batch *const *out, uint32_t out_count)
{
	uint32_t batch = 0, row = 0;
	uint64_t rows = 0;
	for (uint32_t o = 0; o < out_count; o++) {
		for (uint32_t r = 0; r < out[o]->row_count; r++, rows++) {
			while (batch < in_count && row == in[batch]->row_count) {
				batch++;
				row = 0;
			}
			assert_true(batch < in_count);
			for (uint32_t c = 0; c < FIELDS; c++) {
				if (!weir_value_equal(&in[batch]->columns[c], row, &out[o]->columns[c], r))
					fail_msg("column %.*s differs in batch %u row %u",
						WEIR_STR_ARG(all_fields[c].name), batch, row);
			}
			row++;
		}
	}
	uint64_t wanted = 0;
	for (uint32_t i = 0; i < in_count; i++)
		wanted += in[i]->row_count;
	assert_int_equal(rows, wanted);
}

static void release_all(struct weir_batch **batches, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		weir_batch_release(batches[i]);
	free(batches);
}

static void test_round_trip(void **state)
{
	(void)state;
	const char *given = getenv("WEIR_SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 42;
	print_message("WEIR_SEED=%llu\n", (unsigned long long)seed);
	struct weir_rng rng = weir_rng_new(seed);
	struct sql *sql = open_sql();
	/* The function keeps DuckDB from optimising: values pass through an expression. */
	struct sql_transform *transform =
		transform_new(sql, "SELECT * FROM input WHERE true OR random() > 2", &all_schema);
	for (int nulls = 0; nulls < 2; nulls++) {
		struct weir_arena *arena = weir_arena_new(0);
		const uint32_t sizes[] = {2048, 0, 1, 63, 64, 65, 2047, 2048, 500};
		struct weir_batch *in[9], **out = NULL, **again = NULL;
		uint32_t out_count = 0, again_count = 0;
		struct weir_error err = WEIR_ERROR_INIT;
		for (int i = 0; i < 9; i++)
			in[i] = random_batch(arena, &rng, nulls == 1, sizes[i]);
		if (sql_transform_run(transform, in, 9, &out, &out_count, &err) < 0)
			fail_with(&err);
		/* Results outlive the next run. */
		assert_int_equal(sql_transform_run(transform, in, 3, &again, &again_count, &err), 0);
		release_all(again, again_count);
		assert_same_rows(in, 9, out, out_count);
		release_all(out, out_count);
		weir_arena_free(arena);
	}
	const struct weir_schema *output = sql_transform_schema(transform);
	for (uint32_t c = 0; c < FIELDS; c++) {
		char want[128], got[128];
		assert_string_equal(weir_type_name(&all_fields[c], want, sizeof want),
			weir_type_name(&output->fields[c], got, sizeof got));
		assert_true(weir_str_equal(all_fields[c].name, output->fields[c].name));
	}
	sql_transform_free(transform);
	sql_close(sql);
}

/* ---- the rest works on a relation of a long and a text ---- */

static struct weir_field small_fields[2] = {
	{.name = {"n", 1}, .type = WEIR_INT64}, {.name = {"t", 1}, .type = WEIR_STRING}};
static const struct weir_schema small_schema = {.field_count = 2, .fields = small_fields};

static struct weir_batch *small_batch(struct weir_arena *arena, uint32_t rows)
{
	struct weir_batch *batch = weir_batch_new(arena, &small_schema, rows);
	batch->row_count = rows;
	for (uint32_t i = 0; i < rows; i++) {
		((int64_t *)batch->columns[0].values)[i] = i;
		((struct weir_view *)batch->columns[1].values)[i] =
			weir_view_from(weir_str_from(weir_arena_printf(arena, "secret value number %u", i)));
	}
	return batch;
}

static void test_casts(void **state)
{
	(void)state;
	struct sql *sql = open_sql();
	struct sql_transform *transform = transform_new(sql,
		"SELECT n::TINYINT AS a, n::USMALLINT AS b, n::UINTEGER AS c, 'x'::ENUM('x', 'y') AS d, NULL AS e, "
		"[n::SMALLINT] AS f -- a comment\n FROM input WHERE n < 3 ;\n",
		&small_schema);
	const char *const wanted[] = {"int", "int", "long", "string", "int", "list<int>"};
	char name[128];
	for (uint32_t i = 0; i < 6; i++)
		assert_string_equal(
			weir_type_name(&sql_transform_schema(transform)->fields[i], name, sizeof name), wanted[i]);
	assert_true(weir_str_is(sql_transform_schema(transform)->fields[3].name, "d"));
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_batch *in = small_batch(arena, 10), **out = NULL;
	uint32_t count = 0;
	struct weir_error err = WEIR_ERROR_INIT;
	assert_int_equal(sql_transform_run(transform, &in, 1, &out, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_int_equal(out[0]->row_count, 3);
	assert_int_equal(((int32_t *)out[0]->columns[1].values)[2], 2);
	assert_true(weir_str_is(weir_column_str(&out[0]->columns[3], 1), "x"));
	assert_false(weir_column_is_valid(&out[0]->columns[4], 0));
	release_all(out, count);
	weir_arena_free(arena);
	sql_transform_free(transform);
	sql_close(sql);
}

static void test_bad_sql(void **state)
{
	(void)state;
	static const struct {
		const char *text, *object, *message;
	} cases[] = {
		{"SELECT n,\n  nn\nFROM input", "test.sql:2", "nn"},
		{"SELECT n FROM\n\nnowhere", "test.sql:3", "nowhere"},
		{"SELECT n FRM input i x", "test.sql:1", "syntax error"},
		{"SELECT n::HUGEINT AS big FROM input", "test.sql", "column 'big' is of type HUGEINT"},
		{"SELECT n::INTERVAL AS i FROM (SELECT '1 day' AS n FROM input)", "test.sql", "INTERVAL"},
		{"SELECT 1; SELECT 2", "test.sql", "2 statements"},
		{"", "test.sql", "0 statements"},
		{"CREATE TABLE x AS SELECT 1", "test.sql", "not a SELECT"},
		{"COPY input TO '/tmp/x.csv'", "test.sql", ""},
		{"SELECT n FROM input WHERE n = ?", "test.sql", "parameters"},
		{"SET threads = 4", "test.sql", ""},
		{"SELECT * FROM '/etc/passwd'", "test.sql", ""},
		{"SELECT * FROM read_text('/etc/passwd')", "test.sql:1", ""},
		{"SELECT * FROM weir_rows(1::UBIGINT)", "test.sql:1", "not for use"},
	};
	struct sql *sql = open_sql();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct sql_transform *transform = NULL;
		int code = sql_transform_new(
			sql, weir_str_from(cases[i].text), "test.sql", "input", &small_schema, &transform, &err);
		if (code != WEIR_E_INPUT)
			fail_msg("'%s' gave %d: %s", cases[i].text, code, err.message);
		if (strncmp(err.object, cases[i].object, strlen(cases[i].object)) != 0 ||
			strstr(err.message, cases[i].message) == NULL)
			fail_msg("'%s': %s: %s", cases[i].text, err.object, err.message);
	}
	sql_close(sql);
}

/* A row on which the SQL fails fails the run, and its values are not in the error. */
static void test_run_error(void **state)
{
	(void)state;
	struct sql *sql = open_sql();
	struct sql_transform *transform =
		transform_new(sql, "SELECT n,\n  CASE WHEN n = 5 THEN t::BIGINT END AS x\nFROM input", &small_schema);
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_batch *bad = small_batch(arena, 10), *good = small_batch(arena, 5), **out = NULL;
	uint32_t count = 0;
	struct weir_error err = WEIR_ERROR_INIT;
	assert_int_equal(sql_transform_run(transform, &bad, 1, &out, &count, &err), WEIR_E_INPUT);
	assert_null(strstr(err.message, "secret"));
	assert_non_null(strstr(err.message, "INT64"));
	/* The next run is as if nothing had been. */
	err = WEIR_ERROR_INIT;
	assert_int_equal(sql_transform_run(transform, &good, 1, &out, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_int_equal(out[0]->row_count, 5);
	release_all(out, count);
	assert_int_equal(sql_transform_run(transform, NULL, 0, &out, &count, &err), 0);
	assert_int_equal(count, 0);
	free(out);
	weir_arena_free(arena);
	sql_transform_free(transform);
	sql_close(sql);
}

static void test_projection(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int columns[2]; /* -1: not a projection */
	} cases[] = {
		{"SELECT t, n FROM input", {1, 0}},
		{"-- comment\nSELECT i.t AS a, i.n AS b FROM input i;\n", {1, 0}},
		{"SELECT input.N, \"t\" FROM input", {0, 1}},
		{"FROM input SELECT n, n AS again", {0, 0}},
		{"SELECT t, n FROM input WHERE n > 1", {-1, 0}},
		{"SELECT t, n FROM input ORDER BY n", {-1, 0}},
		{"SELECT t, n FROM input LIMIT 5", {-1, 0}},
		{"SELECT DISTINCT t, n FROM input", {-1, 0}},
		{"SELECT t, n + 1 AS n FROM input", {-1, 0}},
		{"SELECT t, n::BIGINT AS n FROM input", {-1, 0}},
		{"SELECT t, n FROM input GROUP BY ALL", {-1, 0}},
		{"SELECT t, n FROM input USING SAMPLE 10%", {-1, 0}},
		{"SELECT a.t, a.n FROM input a, input b", {-1, 0}},
		{"WITH input AS (SELECT 1::BIGINT AS n, 'x' AS t) SELECT t, n FROM input", {-1, 0}},
		{"SELECT t, n FROM (SELECT n, t FROM input)", {-1, 0}},
		{"SELECT t, n FROM input QUALIFY row_number() OVER () = 1", {-1, 0}},
		{"SELECT t, n FROM input UNION ALL SELECT t, n FROM input", {-1, 0}},
		{"SELECT n AS t, t AS n FROM input AS x(t, n)", {-1, 0}},
	};
	struct sql *sql = open_sql();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sql_transform *transform = transform_new(sql, cases[i].text, &small_schema);
		const uint32_t *columns = NULL;
		bool is = sql_transform_is_projection(transform, &columns);
		if (is != (cases[i].columns[0] >= 0))
			fail_msg("'%s' is %sa projection", cases[i].text, is ? "" : "not ");
		for (int c = 0; is && c < 2; c++)
			assert_int_equal(columns[c], cases[i].columns[c]);
		sql_transform_free(transform);
	}
	sql_close(sql);
}

static void test_lookup(void **state)
{
	(void)state;
	char path[] = "/tmp/weir-lookup-XXXXXX";
	int file = mkstemp(path);
	assert_true(file >= 0);
	const char csv[] = "n,label,since,day\n1,one,2025-01-01T00:00:00Z,2025-01-01\n2,\"two, "
			   "too\",2025-01-02T00:00:00+01:00,2025-01-02\n";
	assert_int_equal(write(file, csv, sizeof csv - 1), sizeof csv - 1);
	close(file);
	struct sql *sql = open_sql();
	struct weir_error err = WEIR_ERROR_INIT;
	if (sql_load_lookup(sql, WEIR_STR("labels"), path, &err) < 0)
		fail_with(&err);
	unlink(path);
	struct sql_transform *transform = transform_new(sql,
		"SELECT i.n, l.label, l.since, l.day FROM input i LEFT JOIN lookup.labels l ON l.n = i.n",
		&small_schema);
	assert_int_equal(sql_transform_schema(transform)->fields[2].type, WEIR_TIMESTAMPTZ);
	assert_int_equal(sql_transform_schema(transform)->fields[3].type, WEIR_DATE);
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_batch *in = small_batch(arena, 2000), **out = NULL;
	uint32_t count = 0;
	assert_int_equal(sql_transform_run(transform, &in, 1, &out, &count, &err), 0);
	/* A join keeps all rows, but not their order, nor the batches. */
	uint64_t sum = 0, rows = 0;
	for (uint32_t b = 0; b < count; b++) {
		for (uint32_t i = 0; i < out[b]->row_count; i++, rows++) {
			int64_t n = ((int64_t *)out[b]->columns[0].values)[i];
			sum += (uint64_t)n;
			assert_int_equal(weir_column_is_valid(&out[b]->columns[1], i), n == 1 || n == 2);
			if (n != 2)
				continue;
			assert_true(weir_str_is(weir_column_str(&out[b]->columns[1], i), "two, too"));
			assert_true(weir_column_i64(&out[b]->columns[2], i) == 1735772400000000);
		}
	}
	assert_int_equal(rows, 2000);
	assert_int_equal(sum, 1999 * 2000 / 2);
	release_all(out, count);
	/* Sealed by the first transform. */
	assert_int_equal(sql_load_lookup(sql, WEIR_STR("more"), path, &err), WEIR_E_BUSY);
	weir_arena_free(arena);
	sql_transform_free(transform);
	sql_close(sql);
}

/* metric and metrics_rest on maps that are null, nested calls, after a join, with names that vary by row or are null.
 */
static void test_functions(void **state)
{
	(void)state;
	static const struct {
		const char *expression, *wanted;
	} cases[] = {
		{"metric(MAP {'a': '1.5', 'b': 'x'}, 'a')", "1.5"},
		{"metric(MAP {'a': '1.5', 'b': 'x'}, 'b')", NULL},
		{"metric(NULL::MAP(VARCHAR, VARCHAR), 'b')", NULL},
		{"metric(MAP {'a': '1.5'}, NULL)", NULL},
		{"metric(MAP {'a': '01'}, 'a')", NULL},
		{"metric(MAP {'a': '-'}, 'a')", NULL},
		{"metric(MAP {'a': '1.'}, 'a')", NULL},
		{"metric(MAP {'a': '.5'}, 'a')", NULL},
		{"metric(MAP {'a': ''}, 'a')", NULL},
		{"metric(MAP {'a': NULL::VARCHAR}, 'a')", NULL},
		{"metric(MAP {'a': '-0.25e1'}, 'a')", "-2.5"},
		{"metric(MAP {'a': '123456789012345678901234567890'}, 'a')", "1.2345678901234568e+29"},
		{"metric(MAP {'a': '1e400'}, 'a')", NULL},
		{"metrics_rest(MAP {'a': '1', 'b': '2', 'c': 'x'}, 'a', 'c')", "{b=2, c=x}"},
		{"metrics_rest(MAP {'a': '1'}, 'a')", "{}"},
		{"metrics_rest(MAP {'a': '1'}, NULL)", "{a=1}"},
		{"metrics_rest(NULL::MAP(VARCHAR, VARCHAR), 'a')", NULL},
		{"metrics_rest(metrics_rest(MAP {'a': '1', 'b': '2', 'c': '3'}, 'a'), 'b')", "{c=3}"},
		{"metric(metrics_rest(MAP {'a': '1', 'b': '2', 'c': '3'}, 'a'), 'c')", "3.0"},
		{"metrics_rest(m, 'a', 'longer_than_twelve_bytes')", "{text=secret value number 7}"},
		{"metrics_rest(metrics_rest(m, 'text'), 'a')",
			"{longer_than_twelve_bytes=14, text=secret value number 7}"},
		{"metric(m, CASE WHEN n % 2 = 0 THEN 'a' ELSE 'longer_than_twelve_bytes' END)", "14.0"},
		{"metric(j, 'a')", "7.0"},
		{"metrics_rest(j, 'a')", "{longer_than_twelve_bytes=14, text=secret value number 7}"},
	};
	struct sql *sql = open_sql();
	struct weir_arena *arena = weir_arena_new(0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *text = weir_arena_printf(arena,
			"WITH maps AS (SELECT n, MAP {'a': n::VARCHAR, 'longer_than_twelve_bytes': (2 * n)::VARCHAR, "
			"'text': t} AS m FROM input) "
			"SELECT x.n, (%s)::VARCHAR AS value FROM (SELECT a.n, a.m, b.m AS j FROM maps a LEFT JOIN maps "
			"b ON a.n = b.n "
			"AND b.n %% 3 = 1) x",
			cases[i].expression);
		struct sql_transform *transform = transform_new(sql, text, &small_schema);
		struct weir_batch *in[2] = {small_batch(arena, 2048), small_batch(arena, 8)}, **out = NULL;
		uint32_t count = 0, found = 0;
		struct weir_error err = WEIR_ERROR_INIT;
		if (sql_transform_run(transform, in, 2, &out, &count, &err) < 0)
			fail_msg("%s: %s", cases[i].expression, err.message);
		for (uint32_t b = 0; b < count; b++) {
			for (uint32_t row = 0; row < out[b]->row_count; row++) {
				if (((int64_t *)out[b]->columns[0].values)[row] != 7)
					continue;
				found++;
				const struct weir_column *value = &out[b]->columns[1];
				bool valid = weir_column_is_valid(value, row);
				if (valid != (cases[i].wanted != NULL) ||
					(valid && !weir_str_is(weir_column_str(value, row), cases[i].wanted)))
					fail_msg("%s is '%.*s'", cases[i].expression,
						valid ? (int)weir_column_str(value, row).size : 4,
						valid ? weir_column_str(value, row).data : "null");
			}
		}
		assert_true(found >= 2);
		release_all(out, count);
		sql_transform_free(transform);
	}
	weir_arena_free(arena);
	sql_close(sql);
}

/* Threads share an instance, each with a transform of its own. */
static void *run_many(void *argument)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct sql_transform *transform = NULL;
	struct weir_error err = WEIR_ERROR_INIT;
	uintptr_t rows = 0;
	if (sql_transform_new(argument, WEIR_STR("SELECT n, t || '!' AS t FROM input"), "test.sql", "input",
		    &small_schema, &transform, &err) < 0)
		return NULL;
	for (uint32_t i = 0; i < 50; i++) {
		struct weir_batch *in[2] = {small_batch(arena, 2048), small_batch(arena, i)}, **out = NULL;
		uint32_t count = 0;
		if (sql_transform_run(transform, in, 2, &out, &count, &err) < 0)
			break;
		for (uint32_t b = 0; b < count; b++)
			rows += out[b]->row_count;
		release_all(out, count);
		weir_arena_reset(arena);
	}
	sql_transform_free(transform);
	weir_arena_free(arena);
	return (void *)rows;
}

static void test_threads(void **state)
{
	(void)state;
	struct sql *sql = open_sql();
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_many, sql), 0);
	for (int i = 0; i < 4; i++) {
		void *rows = NULL;
		pthread_join(threads[i], &rows);
		assert_int_equal((uintptr_t)rows, 50 * 2048 + 49 * 50 / 2);
	}
	sql_close(sql);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_casts),
		cmocka_unit_test(test_bad_sql),
		cmocka_unit_test(test_run_error),
		cmocka_unit_test(test_projection),
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_functions),
		cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
