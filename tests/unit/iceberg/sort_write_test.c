/*
 * Tables that declare a sort order: what weir writes and compacts is in that order file by file, and says so; what is not in
 * it never claims to be.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "base/rng.h"
#include "base/time.h"
#include "column/builder.h"
#include "iceberg/revise.h"
#include "iceberg/upkeep.h"
#include "unit/iceberg/ice_lake.h"

#define ROWS     6000
#define ROWS_MAX 20000
#define DAY_US   86400000000LL

enum { ID, PART, N, F, AT, NAME, PRICE, PLACE, COLUMNS };

struct row {
	int64_t id, n, at, x;
	double f;
	weir_int128 price;
	char name[32];
	bool has_n, has_f, has_at, has_x;
};

static struct weir_schema *schema_of(struct weir_arena *arena)
{
	static const enum weir_type types[COLUMNS] = {WEIR_INT64, WEIR_STRING, WEIR_INT32, WEIR_DOUBLE,
		WEIR_TIMESTAMPTZ, WEIR_STRING, WEIR_DECIMAL, WEIR_STRUCT};
	static const char *const names[COLUMNS] = {"id", "part", "n", "f", "at", "name", "price", "place"};
	struct weir_schema *schema = weir_arena_zalloc(arena, sizeof *schema);
	schema->field_count = COLUMNS;
	schema->fields = weir_arena_calloc(arena, COLUMNS, sizeof *schema->fields);
	for (int i = 0; i < COLUMNS; i++)
		schema->fields[i] = (struct weir_field){.name = weir_str_from(names[i]), .id = i + 1, .type = types[i]};
	schema->fields[PRICE].precision = 30;
	schema->fields[PRICE].scale = 2;
	schema->fields[PLACE].child_count = 1;
	schema->fields[PLACE].children = weir_arena_calloc(arena, 1, sizeof *schema->fields);
	schema->fields[PLACE].children[0] =
		(struct weir_field){.name = WEIR_STR("x"), .id = COLUMNS + 1, .type = WEIR_INT32};
	return schema;
}

/* Partitioned by part; sorted as `sort` says, as of `weir evolve --sort`. */
static struct ice_table *new_table(struct ice_lake *lake, const char *sort, const struct ice_sort_order *order)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_partition_field *field = weir_arena_zalloc(lake->arena, sizeof *field);
	struct ice_spec *spec = weir_arena_zalloc(lake->arena, sizeof *spec);
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	*field = (struct ice_partition_field){
		.source_id = PART + 1, .field_id = 1000, .name = WEIR_STR("part"), .transform = {ICE_IDENTITY, 0}};
	*spec = (struct ice_spec){.field_count = 1, .fields = field};
	struct ice_definition definition = {.name = LAKE_NAME,
		.schema = schema_of(lake->arena),
		.specs = spec,
		.spec_count = 1,
		.sort_order = order,
		.location = WEIR_STR("gold/t")};
	lake_check(ice_table_create(lake->store, &definition, lake->now_ms, change, &err), &err);
	lake_commit(lake, change, true);
	struct ice_table *table = lake_load(lake);
	if (sort == NULL)
		return table;
	struct ice_evolve_step step = {.kind = ICE_SET_SORT, .path = weir_str_from(sort)};
	struct ice_evolution evolution = {&step, 1};
	struct ice_prepared *prepared;
	lake_check(ice_revise(table, ice_revise_evolve, &evolution, lake_prefix(lake), lake->now_ms, &prepared, &err),
		&err);
	change = control_change_new(CONTROL_EPOCH);
	ice_stage(prepared, change);
	lake_commit(lake, change, true);
	ice_table_unref(table);
	table = ice_prepared_table(prepared);
	ice_prepared_free(prepared);
	return table;
}

static double some_double(struct weir_rng *rng)
{
	static const double odd[] = {NAN, -0.0, 0.0, INFINITY, -INFINITY, 1e-300};
	uint64_t draw = weir_rng_below(rng, 40);
	return draw < 6 ? odd[draw] : (double)weir_rng_below(rng, 2000) / 8 - 100;
}

static void add_row(struct weir_builder *builder, struct weir_rng *rng, int64_t id)
{
	char name[32];
	weir_int128 price = (weir_int128)weir_rng_below(rng, 1000000) - 500000;
	if (weir_rng_below(rng, 4) == 0)
		price *= (weir_int128)1 << 64;
	snprintf(name, sizeof name, "a name as long as %u", (unsigned)weir_rng_below(rng, 300));
	weir_builder_i64(builder, ID, id);
	weir_builder_str(builder, PART, weir_rng_below(rng, 2) == 0 ? WEIR_STR("p0") : WEIR_STR("p1"));
	if (weir_rng_below(rng, 5) > 0)
		weir_builder_i64(builder, N, (int64_t)weir_rng_below(rng, 50) - 25);
	if (weir_rng_below(rng, 5) > 0)
		weir_builder_double(builder, F, some_double(rng));
	if (weir_rng_below(rng, 9) > 0)
		weir_builder_i64(builder, AT, (int64_t)weir_rng_below(rng, 20) * DAY_US / 3 - 2 * DAY_US);
	weir_builder_str(builder, NAME, weir_str_from(name));
	weir_builder_decimal(builder, PRICE, price);
	weir_builder_end_row(builder);
}

/* place and place.x of each row, with nulls of both kinds. */
static void set_places(struct weir_arena *arena, struct weir_rng *rng, struct weir_batch *batch)
{
	struct weir_column *place = &batch->columns[PLACE];
	int32_t *values = weir_arena_calloc(arena, batch->row_count, sizeof *values);
	place->layout = WEIR_GROUP;
	place->type = WEIR_STRUCT;
	place->valid = weir_validity_new(arena, batch->row_count);
	place->child_count = 1;
	place->children = weir_arena_zalloc(arena, sizeof *place->children);
	place->children[0] = (struct weir_column){.type = WEIR_INT32, .layout = WEIR_FLAT, .values = values};
	place->children[0].valid = weir_validity_new(arena, batch->row_count);
	for (uint32_t i = 0; i < batch->row_count; i++) {
		values[i] = (int32_t)weir_rng_below(rng, 90);
		if (weir_rng_below(rng, 6) == 0) {
			weir_column_set_null(place, i);
			weir_column_set_null(&place->children[0], i);
		} else if (weir_rng_below(rng, 6) == 0) {
			weir_column_set_null(&place->children[0], i);
		}
	}
}

static struct ice_table *append(
	struct ice_lake *lake, struct ice_table *table, struct ice_write_options options, int64_t first, uint32_t count)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_rng rng = weir_rng_new((uint64_t)first + 7);
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	struct ice_writer *writer;
	struct ice_written written;
	options.prefix = lake_prefix(lake);
	options.codec = CODEC_ZSTD;
	options.level = 1;
	lake_check(ice_writer_open(table, &options, &writer, &err), &err);
	for (uint32_t i = 0; i < count; i++) {
		add_row(builder, &rng, first + i);
		if (!weir_builder_full(builder) && i + 1 < count)
			continue;
		struct weir_arena *arena = weir_arena_new(0);
		struct weir_batch *batch = weir_builder_take(builder);
		uint16_t rows[WEIR_BATCH_ROWS];
		for (uint32_t r = 0; r < batch->row_count; r++)
			rows[r] = (uint16_t)(batch->row_count - 1 - r);
		set_places(arena, &rng, batch);
		lake_check(ice_writer_add(writer, batch, &(struct weir_selection){rows, batch->row_count}, &err), &err);
		weir_batch_release(batch);
		weir_arena_free(arena);
	}
	lake_check(ice_writer_close(writer, &written, &err), &err);
	lake_check(store_barrier(lake->store, written.handles, written.count, &err), &err);
	table = lake_append(lake, table, written.files, written.count, 0);
	ice_written_free(&written);
	weir_builder_free(builder);
	return table;
}

static struct row row_of(const struct weir_batch *batch, uint32_t i)
{
	const struct weir_column *columns = batch->columns, *place = &columns[PLACE];
	struct row row = {.id = weir_column_i64(&columns[ID], i)};
	row.has_n = weir_column_is_valid(&columns[N], i);
	row.has_f = weir_column_is_valid(&columns[F], i);
	row.has_at = weir_column_is_valid(&columns[AT], i);
	row.has_x = weir_column_is_valid(place, i) && weir_column_is_valid(&place->children[0], i);
	row.n = row.has_n ? weir_column_i64(&columns[N], i) : 0;
	row.f = row.has_f ? weir_column_double(&columns[F], i) : 0;
	row.at = row.has_at ? weir_column_i64(&columns[AT], i) : 0;
	row.x = row.has_x ? weir_column_i64(&place->children[0], i) : 0;
	memcpy(&row.price, (const char *)columns[PRICE].values + (size_t)i * sizeof row.price, sizeof row.price);
	struct weir_str name = weir_column_str(&columns[NAME], i);
	memcpy(row.name, name.data, name.size);
	return row;
}

/* The rows of one file in the order in which they are in it. */
static uint32_t read_file(struct ice_table *table, const struct ice_data_file *file, struct row *rows)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_reader *reader;
	struct weir_batch *batch;
	uint32_t count = 0;
	lake_check(ice_reader_open(table, &file, 1, ice_table_schema(table), NULL, &reader, &err), &err);
	for (;;) {
		lake_check(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
		if (batch == NULL)
			break;
		for (uint32_t i = 0; i < batch->row_count; i++)
			rows[count++] = row_of(batch, i);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	return count;
}

/* ---- the orders, said once more ---- */

static int sign(bool less, bool more)
{
	return (int)more - (int)less;
}

/* As Java's Double.compare. */
static int doubles(double a, double b)
{
	if (isnan(a) || isnan(b))
		return sign(!isnan(a) && isnan(b), isnan(a) && !isnan(b));
	if (a == 0 && b == 0)
		return sign(signbit(a) && !signbit(b), signbit(b) && !signbit(a));
	return sign(a<b, a> b);
}

static int by_n_falling_nulls_last(const struct row *a, const struct row *b)
{
	if (a->has_n != b->has_n)
		return a->has_n ? -1 : 1;
	return a->n != b->n ? sign(a->n > b->n, a->n < b->n) : sign(a->id<b->id, a->id> b->id);
}

static int by_f(const struct row *a, const struct row *b)
{
	return a->has_f != b->has_f ? (a->has_f ? 1 : -1) : doubles(a->f, b->f);
}

static int by_f_falling_nulls_first(const struct row *a, const struct row *b)
{
	return a->has_f != b->has_f ? (a->has_f ? 1 : -1) : doubles(b->f, a->f);
}

static int by_f_nulls_last_and_name(const struct row *a, const struct row *b)
{
	int order = a->has_f != b->has_f ? (a->has_f ? -1 : 1) : doubles(a->f, b->f);
	return order != 0 ? order : strcmp(b->name, a->name);
}

static int64_t bucket_of(int64_t id)
{
	const struct expr_value value = {.kind = EXPR_INTEGER, .u.integer = id};
	return ice_transform_value((struct ice_transform){ICE_BUCKET, 4}, WEIR_INT64, &value).value.u.integer;
}

static int by_bucket_and_id(const struct row *a, const struct row *b)
{
	int64_t x = bucket_of(a->id), y = bucket_of(b->id);
	return x != y ? sign(x<y, x> y) : sign(a->id > b->id, a->id < b->id);
}

static int by_day_falling(const struct row *a, const struct row *b)
{
	int64_t x = (a->at + 100 * DAY_US) / DAY_US, y = (b->at + 100 * DAY_US) / DAY_US;
	if (a->has_at != b->has_at)
		return a->has_at ? -1 : 1;
	if (a->has_at && x != y)
		return sign(x > y, x < y);
	return sign(a->id<b->id, a->id> b->id);
}

static weir_int128 cut(weir_int128 value)
{
	weir_int128 rest = value % 100000;
	return value - (rest < 0 ? rest + 100000 : rest);
}

static int by_price_and_id(const struct row *a, const struct row *b)
{
	weir_int128 x = cut(a->price), y = cut(b->price);
	return x != y ? sign(x<y, x> y) : sign(a->id<b->id, a->id> b->id);
}

static int by_price_falling(const struct row *a, const struct row *b)
{
	return sign(a->price > b->price, a->price < b->price);
}

static int by_name_start(const struct row *a, const struct row *b)
{
	int order = strncmp(a->name, b->name, 20);
	return order != 0 ? order : sign(a->id > b->id, a->id < b->id);
}

static int by_x_falling(const struct row *a, const struct row *b)
{
	return a->has_x != b->has_x ? (a->has_x ? -1 : 1) : sign(a->x > b->x, a->x < b->x);
}

struct order_case {
	const char *sort;
	int (*compare)(const struct row *a, const struct row *b);
};

static const struct order_case cases[] = {
	{"n desc nulls last, id", by_n_falling_nulls_last},
	{"f asc nulls first", by_f},
	{"f desc nulls first", by_f_falling_nulls_first},
	{"f asc nulls last, name desc", by_f_nulls_last_and_name},
	{"bucket(4, id) asc, id desc", by_bucket_and_id},
	{"day(at) desc nulls last, id", by_day_falling},
	{"truncate(100000, price), id", by_price_and_id},
	{"price desc", by_price_falling},
	{"truncate(20, name), id desc", by_name_start},
	{"place.x desc nulls last", by_x_falling},
};

/* Each file is in order and claims `id`; no row is lost. Returns the number of files. */
static uint32_t check_files(
	struct ice_table *table, const struct order_case *wanted, int32_t id, uint32_t rows_wanted, bool *ret_sorted)
{
	struct row *rows = calloc(ROWS_MAX, sizeof *rows);
	uint8_t *seen = calloc(ROWS_MAX, 1);
	struct ice_file_list *list = lake_plan(table, NULL);
	uint32_t files = list->count, total = 0;
	*ret_sorted = true;
	for (uint32_t f = 0; f < files; f++) {
		uint32_t count = read_file(table, list->files[f], rows);
		assert_int_equal(list->files[f]->sort_order_id, id);
		for (uint32_t i = 0; i < count; i++) {
			assert_int_equal(seen[rows[i].id]++, 0);
			*ret_sorted = *ret_sorted && (i == 0 || wanted->compare(&rows[i - 1], &rows[i]) <= 0);
		}
		total += count;
	}
	assert_int_equal(total, rows_wanted);
	ice_file_list_free(list);
	free(seen);
	free(rows);
	return files;
}

static int commit_edit(void *context, struct ice_table *table, const struct ice_edit *edit,
	struct ice_table **ret_table, struct weir_error *err)
{
	(void)err;
	*ret_table = lake_edit(context, ice_table_ref(table), *edit);
	return 0;
}

static struct ice_table *compact(
	struct ice_lake *lake, struct ice_table *take_table, enum ice_compact_order order, uint64_t memory)
{
	static const int32_t columns[] = {ID + 1, N + 1};
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_compact_counts counts;
	struct ice_compact_options options = {.order = order,
		.columns = columns,
		.column_count = order == ICE_COMPACT_OWN ? 0 : 2,
		.all = true,
		.memory_bytes = memory,
		.prefix = lake_prefix(lake),
		.now_ms = lake->now_ms};
	lake_check(ice_compact(take_table, &options, commit_edit, NULL, lake, &counts, &err), &err);
	ice_table_unref(take_table);
	return lake_load(lake);
}

static void test_declared_order(void **state)
{
	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct ice_lake lake = lake_open(1 << 20);
		struct ice_table *table = new_table(&lake, cases[c].sort, NULL);
		int32_t id = ice_table_metadata(table)->default_sort_order_id;
		bool sorted;
		assert_true(id > 0);
		table = append(&lake, table, (struct ice_write_options){0}, 0, ROWS);
		assert_int_equal(check_files(table, &cases[c], id, ROWS, &sorted), 2);
		if (!sorted)
			print_error("written by %s: not in order\n", cases[c].sort);
		assert_true(sorted);
		/* more than is held at once: more files, each sorted */
		table = append(&lake, table, (struct ice_write_options){.sort_bytes = 200000}, ROWS, ROWS);
		assert_true(check_files(table, &cases[c], id, 2 * ROWS, &sorted) > 6);
		assert_true(sorted);
		table = compact(&lake, table, ICE_COMPACT_OWN, 0);
		assert_int_equal(check_files(table, &cases[c], id, 2 * ROWS, &sorted), 2);
		assert_true(sorted);
		table = compact(&lake, table, ICE_COMPACT_OWN, 100000);
		assert_true(check_files(table, &cases[c], id, 2 * ROWS, &sorted) > 2);
		assert_true(sorted);
		ice_table_unref(table);
		lake_close(&lake);
	}
}

/* Rows in another order, or in none that anybody looked at, are of files without an order. */
static void test_nothing_claimed(void **state)
{
	bool sorted;
	(void)state;
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake, cases[0].sort, NULL);
	table = append(&lake, table, (struct ice_write_options){.order = ICE_WRITE_AS_COMES}, 0, ROWS);
	check_files(table, &cases[0], 0, ROWS, &sorted);
	assert_false(sorted);
	table = compact(&lake, table, ICE_COMPACT_SORT, 0);
	check_files(table, &cases[0], 0, ROWS, &sorted);
	assert_false(sorted);
	table = compact(&lake, table, ICE_COMPACT_ZORDER, 0);
	check_files(table, &cases[0], 0, ROWS, &sorted);
	ice_table_unref(table);
	lake_close(&lake);
}

static void test_orders_that_are_none(void **state)
{
	struct ice_sort_field fields[] = {
		{.source_id = ID + 1, .transform = {ICE_UNKNOWN_TRANSFORM, 0}, .text = WEIR_STR("hilbert")},
		{.source_id = 77, .transform = {ICE_IDENTITY, 0}},
		{.source_id = PLACE + 1, .transform = {ICE_IDENTITY, 0}},
		{.source_id = NAME + 1, .transform = {ICE_DAY, 0}},
	};
	(void)state;
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		struct ice_sort_order order = {.id = 1, .field_count = 1, .fields = &fields[i]};
		struct ice_lake lake = lake_open(1 << 20);
		struct ice_table *table = new_table(&lake, NULL, &order);
		bool sorted;
		assert_int_equal(ice_table_metadata(table)->default_sort_order_id, 1);
		table = append(&lake, table, (struct ice_write_options){0}, 0, 100);
		check_files(table, &cases[0], 0, 100, &sorted);
		ice_table_unref(table);
		lake_close(&lake);
	}
}

/* Row groups that are copied are not looked at: their file is unsorted, the next one is not. */
static void test_spliced(void **state)
{
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake, "id desc", NULL);
	table = append(&lake, table, (struct ice_write_options){0}, 0, ROWS);
	struct ice_file_list *list = lake_plan(table, NULL);
	struct ice_write_options options = {.prefix = lake_prefix(&lake), .codec = CODEC_ZSTD, .level = 1};
	struct ice_writer *writer;
	struct ice_written written;
	struct ice_footer *footer;
	const struct pq_file *file;
	struct pq_row_group *group;
	lake_check(ice_writer_open(table, &options, &writer, &err), &err);
	lake_check(ice_footer_open(table, list->files[0], &footer, &file, &err), &err);
	lake_check(pq_file_row_group_copy(file, 0, &group, &err), &err);
	lake_check(ice_writer_splice(writer, list->files[0]->partition, group, &err), &err);
	pq_row_group_free(group);
	ice_footer_release(footer);
	lake_check(ice_writer_close(writer, &written, &err), &err);
	assert_int_equal(written.count, 1);
	assert_int_equal(written.files[0].sort_order_id, 0);
	assert_int_equal(list->files[0]->sort_order_id, 1);
	ice_written_abandon(lake.store, &written);
	ice_file_list_free(list);
	ice_table_unref(table);
	lake_close(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_declared_order),
		cmocka_unit_test(test_nothing_claimed),
		cmocka_unit_test(test_orders_that_are_none),
		cmocka_unit_test(test_spliced),
	};
	return cmocka_run_group_tests_name("iceberg_sort_write", tests, NULL, NULL);
}
