/* Building, gathering, copying, dictionary-coding and ordering rows, against plain loops. Random; WEIR_SEED chooses. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "column/builder.h"
#include "column/dictionary.h"
#include "column/order.h"
#include "column/row_json.h"

#define BATCHES 5
#define ROWS    700

static struct weir_field map_children[] = {
	{.name = {"key", 3}, .type = WEIR_STRING}, {.name = {"value", 5}, .type = WEIR_STRING}};
static struct weir_field fields[] = {
	{.name = {"subject", 7}, .type = WEIR_STRING},
	{.name = {"at", 2}, .type = WEIR_TIMESTAMPTZ},
	{.name = {"id", 2}, .type = WEIR_UUID},
	{.name = {"x", 1}, .type = WEIR_DOUBLE},
	{.name = {"more", 4}, .type = WEIR_MAP, .children = map_children, .child_count = 2},
};
static const struct weir_schema schema = {.field_count = 5, .fields = fields};

static uint64_t seed(void)
{
	const char *text = getenv("WEIR_SEED");
	uint64_t value = text != NULL ? strtoull(text, NULL, 10) : 42;
	printf("seed %llu\n", (unsigned long long)value);
	return value;
}

static struct weir_batch *random_batch(struct weir_rng *rng, uint32_t rows)
{
	struct weir_builder *builder = weir_builder_new(&schema);
	for (uint32_t i = 0; i < rows; i++) {
		char text[64];
		struct weir_uuid id = weir_uuid_v4(rng);
		snprintf(text, sizeof text, "subject-%s%02u", weir_rng_chance(rng, 0.5) ? "with-a-longer-name-" : "",
			(unsigned)weir_rng_below(rng, 40));
		if (!weir_rng_chance(rng, 0.05))
			weir_builder_str(builder, 0, weir_str_from(text));
		if (!weir_rng_chance(rng, 0.05))
			weir_builder_i64(builder, 1, (int64_t)weir_rng_below(rng, 50) - 25);
		weir_builder_uuid(builder, 2, &id);
		weir_builder_double(builder, 3, weir_rng_normal(rng));
		for (uint64_t k = weir_rng_below(rng, 3); k > 0; k--)
			weir_builder_map_entry(
				builder, 4, weir_str_from(text), WEIR_STR("a value that is longer than inline"));
		weir_builder_end_row(builder);
	}
	struct weir_batch *batch = weir_builder_take(builder);
	weir_builder_free(builder);
	return batch;
}

static void make(struct weir_rng *rng, struct weir_batch **batches)
{
	for (unsigned i = 0; i < BATCHES; i++)
		batches[i] = random_batch(rng, ROWS);
}

static void release(struct weir_batch **batches)
{
	for (unsigned i = 0; i < BATCHES; i++)
		weir_batch_release(batches[i]);
}

static void test_gather_and_copy(void **state)
{
	struct weir_rng rng = weir_rng_new(seed());
	struct weir_batch *batches[BATCHES];
	struct weir_pick picks[WEIR_BATCH_ROWS];
	(void)state;
	make(&rng, batches);
	struct weir_arena *arena = weir_arena_new(0), *own = weir_arena_new(0);
	weir_batches_encode(arena, batches, BATCHES, 0, 1000);
	for (unsigned i = 0; i < WEIR_BATCH_ROWS; i++)
		picks[i] = (struct weir_pick){
			(uint32_t)weir_rng_below(&rng, BATCHES), (uint32_t)weir_rng_below(&rng, ROWS)};
	struct weir_batch *gathered = weir_batch_gather(arena, batches, picks, WEIR_BATCH_ROWS);
	struct weir_batch *copy = weir_batch_copy(own, gathered);
	assert_int_equal(gathered->columns[0].layout, WEIR_DICT);
	for (uint32_t i = 0; i < WEIR_BATCH_ROWS; i++)
		for (uint32_t c = 0; c < schema.field_count; c++) {
			const struct weir_column *from = &batches[picks[i].batch]->columns[c];
			assert_true(weir_value_equal(from, picks[i].row, &gathered->columns[c], i));
			assert_true(weir_value_equal(from, picks[i].row, &copy->columns[c], i));
		}
	release(batches);
	weir_arena_free(arena); /* the copy must not need it */
	size_t bytes = 0;
	for (uint32_t i = 0; i < WEIR_BATCH_ROWS; i++)
		if (weir_column_is_valid(&copy->columns[0], i))
			bytes += weir_column_str(&copy->columns[0], i).size;
	assert_true(bytes > 0);
	weir_arena_free(own);
}

static void check_order(struct weir_batch **batches, const struct weir_order *order)
{
	uint64_t rows;
	struct weir_pick *picks = weir_batches_order(batches, BATCHES, order, &rows);
	uint8_t *seen = calloc(BATCHES * ROWS, 1);
	assert_int_equal(rows, BATCHES * ROWS);
	for (uint64_t i = 0; i < rows; i++) {
		uint8_t *mark = &seen[picks[i].batch * ROWS + picks[i].row];
		assert_int_equal(*mark, 0);
		*mark = 1;
		if (i > 0)
			assert_true(weir_rows_compare(order, batches[picks[i - 1].batch], picks[i - 1].row,
					    batches[picks[i].batch], picks[i].row) <= 0);
	}
	free(seen);
	free(picks);
}

static void test_order(void **state)
{
	static const struct weir_order orders[] = {
		{{0, 1, 2}, 3, 0, 0},
		{{1, 0, 2}, 3, 0, 0},
		{{3, 1, 2}, 3, 2, 1},
		{{2, 0, 1}, 3, 4, 3},
		{{0}, 1, 1, 0},
		{{1, 2}, 2, 1, 1},
		{{0, 1, 2, 3}, 4, 9, 6},
	};
	struct weir_rng rng = weir_rng_new(seed());
	struct weir_batch *batches[BATCHES];
	(void)state;
	for (unsigned coded = 0; coded < 3; coded++) { /* views; one shared dictionary; layouts that mix */
		make(&rng, batches);
		struct weir_arena *arena = weir_arena_new(0);
		if (coded > 0)
			assert_true(weir_batches_encode(arena, batches, coded == 1 ? BATCHES : 2, 0, 1000));
		for (unsigned i = 0; i < sizeof orders / sizeof orders[0]; i++)
			check_order(batches, &orders[i]);
		release(batches);
		weir_arena_free(arena);
	}
}

static void test_dictionary_limit(void **state)
{
	struct weir_rng rng = weir_rng_new(1);
	struct weir_batch *batches[BATCHES];
	(void)state;
	make(&rng, batches);
	struct weir_arena *arena = weir_arena_new(0);
	assert_false(weir_batches_encode(arena, batches, BATCHES, 0, 3));
	assert_int_equal(batches[0]->columns[0].layout, WEIR_VIEW);
	assert_true(weir_batches_encode(arena, batches, BATCHES, 0, 80));
	const struct weir_dict *dict = batches[0]->columns[0].dict;
	const uint32_t *ranks = weir_dict_ranks(arena, dict);
	for (uint32_t a = 0; a < dict->count; a++)
		for (uint32_t b = 0; b < dict->count; b++)
			assert_int_equal(ranks[a] < ranks[b],
				weir_str_compare(weir_view_str(&dict->values[a]), weir_view_str(&dict->values[b])) < 0);
	release(batches);
	weir_arena_free(arena);
}

static void test_dropped_rows_leave_nothing(void **state)
{
	struct weir_builder *builder = weir_builder_new(&schema);
	(void)state;
	weir_builder_str(builder, 0, WEIR_STR("a value that is longer than inline"));
	weir_builder_map_entry(builder, 4, WEIR_STR("k"), WEIR_STR("v"));
	weir_builder_drop_row(builder);
	weir_builder_i64(builder, 1, 5);
	weir_builder_end_row(builder);
	struct weir_batch *batch = weir_builder_take(builder);
	assert_int_equal(batch->row_count, 1);
	assert_false(weir_column_is_valid(&batch->columns[0], 0));
	assert_false(weir_column_is_valid(&batch->columns[4], 0));
	assert_int_equal(weir_column_i64(&batch->columns[1], 0), 5);
	assert_int_equal(batch->columns[4].child_rows, 0);
	weir_batch_release(batch);
	weir_builder_free(builder);
}

/* Maps are objects where their keys are strings; others keep every entry too. */
static void test_maps_as_json(void **state)
{
	static const struct {
		enum weir_type key;
		const char *json;
	} cases[] = {{WEIR_STRING, "{\"m\":{\"7\":1,\"8\":null}}"},
		{WEIR_INT32, "{\"m\":[{\"key\":7,\"value\":1},{\"key\":8,\"value\":null}]}"},
		{WEIR_BINARY, "{\"m\":[{\"key\":\"Nw==\",\"value\":1},{\"key\":\"OA==\",\"value\":null}]}"}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_field entry[2] = {{.name = WEIR_STR("key"), .type = cases[i].key, .required = true},
			{.name = WEIR_STR("value"), .type = WEIR_INT64}};
		struct weir_field field = {
			.name = WEIR_STR("m"), .type = WEIR_MAP, .children = entry, .child_count = 2};
		const struct weir_schema one = {.field_count = 1, .fields = &field};
		struct weir_view views[2] = {weir_view_from(WEIR_STR("7")), weir_view_from(WEIR_STR("8"))};
		int32_t numbers[2] = {7, 8};
		int64_t values[2] = {1, 0};
		uint64_t valid = 1;
		struct weir_span span = {0, 2};
		struct weir_column children[2] = {
			{.type = cases[i].key,
				.layout = cases[i].key == WEIR_INT32 ? WEIR_FLAT : WEIR_VIEW,
				.values = cases[i].key == WEIR_INT32 ? (void *)numbers : (void *)views},
			{.type = WEIR_INT64, .layout = WEIR_FLAT, .values = values, .valid = &valid}};
		struct weir_column column = {.type = WEIR_MAP,
			.layout = WEIR_SPAN,
			.values = &span,
			.children = children,
			.child_count = 2,
			.child_rows = 2};
		const struct weir_batch batch = {.schema = &one, .row_count = 1, .columns = &column};
		struct weir_buf out = WEIR_BUF_INIT;
		struct weir_json json = weir_json_to(&out);
		weir_row_json(&json, &batch, 0);
		weir_buf_putc(&out, '\0');
		assert_string_equal(out.data, cases[i].json);
		weir_buf_done(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gather_and_copy),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_dictionary_limit),
		cmocka_unit_test(test_dropped_rows_leave_nothing),
		cmocka_unit_test(test_maps_as_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
