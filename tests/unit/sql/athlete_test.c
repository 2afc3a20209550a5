/* The SQL of lakes/athlete: what silver makes of events, and inputs of files and documents. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "column/builder.h"
#include "format/device/device.h"
#include "lake/lake.h"
#include "sql/sql.h"

#define F(text, kind) \
	{ \
		.name = {text, sizeof(text) - 1}, .type = (kind) \
	}

static struct weir_field map_fields[2] = {
	{.name = {"key", 3}, .type = WEIR_STRING, .required = true}, {.name = {"value", 5}, .type = WEIR_STRING}};

/* The stream's relation: the schema's columns and weir's own. */
enum {
	E_ID,
	E_ATHLETE,
	E_TIME,
	E_ACTIVITY,
	E_CONTEXT,
	E_SOURCE,
	E_DEVICE,
	E_SPORT,
	E_METRICS,
	E_KIND,
	E_START,
	E_END,
	E_TRACE,
	E_RECEIVED,
	E_LATE,
	E_COUNT
};
static struct weir_field event_fields[E_COUNT] = {F("event_id", WEIR_UUID), F("athlete_id", WEIR_STRING),
	F("timestamp", WEIR_TIMESTAMPTZ), F("activity", WEIR_STRING), F("event_context", WEIR_STRING),
	F("source", WEIR_STRING), F("device_type", WEIR_STRING), F("sport", WEIR_STRING),
	{.name = {"metrics", 7}, .type = WEIR_MAP, .children = map_fields, .child_count = 2}, F("kind", WEIR_STRING),
	F("period_start", WEIR_TIMESTAMPTZ), F("period_end", WEIR_TIMESTAMPTZ), F("trace_id", WEIR_STRING),
	F("received_at", WEIR_TIMESTAMPTZ), F("is_late", WEIR_BOOL)};
static const struct weir_schema event_schema = {.field_count = E_COUNT, .fields = event_fields};

struct world {
	struct lake *lake;
	struct sql *sql;
};

static void fail_with(const struct weir_error *err)
{
	char text[1200];
	fail_msg("%s", weir_error_text(err, text, sizeof text));
}

static int open_world(void **state, const char *path)
{
	struct world *world = calloc(1, sizeof *world);
	struct weir_error err = WEIR_ERROR_INIT;
	if (lake_read(path, "/tmp/weir-none", &world->lake, &err) < 0)
		fail_with(&err);
	assert_int_equal(sql_open(&(struct sql_options){.threads = 1}, &world->sql, &err), 0);
	for (uint32_t i = 0; i < world->lake->lookup_count; i++) {
		if (sql_load_lookup(world->sql, world->lake->lookups[i].name, world->lake->lookups[i].path, &err) < 0)
			fail_with(&err);
	}
	*state = world;
	return 0;
}

static int setup(void **state)
{
	return open_world(state, "lakes/athlete");
}

static int setup_shop(void **state)
{
	return open_world(state, "tests/lakes/shop");
}

static int teardown(void **state)
{
	struct world *world = *state;
	sql_close(world->sql);
	lake_free(world->lake);
	free(world);
	return 0;
}

static struct sql_transform *transform_new(struct world *world, struct weir_str text, struct weir_str path,
	const char *relation, const struct weir_schema *input)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct sql_transform *transform = NULL;
	char name[256];
	snprintf(name, sizeof name, "%.*s", WEIR_STR_ARG(path));
	if (sql_transform_new(world->sql, text, name, relation, input, &transform, &err) < 0)
		fail_with(&err);
	return transform;
}

static const struct lake_table *table_of(const struct world *world, enum lake_table_kind kind)
{
	return &world->lake->tables[lake_stream_table(world->lake, 0, kind)];
}

/* ---- silver ---- */

struct event {
	const char *time, *activity, *context, *sport, *kind;
	const char *metrics[12];                                       /* key, value, ...; NULL ends */
	const char *want_context, *want_sport, *want_kind, *want_rest; /* NULL: null */
	double want_heart_rate;                                        /* -1: null */
};

static const struct event events[] = {
	/* In the Boston marathon, by place and time. */
	{"2025-04-21T15:00:00Z", "running", NULL, NULL, NULL,
		{"heart_rate", "150", "gps_lat", "42.3", "gps_lon", "-71.35"}, "boston_marathon_2025", "athletics",
		"point", "", 150},
	/* The right place a day later, the right time elsewhere, another activity, and without a place. */
	{"2025-04-22T15:00:00Z", "running", NULL, NULL, NULL, {"gps_lat", "42.3", "gps_lon", "-71.35"}, NULL,
		"athletics", "point", "", -1},
	{"2025-04-21T15:00:00Z", "running", NULL, NULL, NULL, {"gps_lat", "47.3", "gps_lon", "8.5"}, NULL, "athletics",
		"point", "", -1},
	{"2025-04-21T15:00:00Z", "cycling", NULL, NULL, NULL, {"gps_lat", "42.3", "gps_lon", "-71.35"}, NULL, "cycling",
		"point", "", -1},
	{"2025-04-21T15:00:00Z", "running", NULL, NULL, NULL, {NULL}, NULL, "athletics", "point", "", -1},
	/* What the event says stands. */
	{"2025-04-21T15:00:00Z", "running", "my_race", "orienteering", "point",
		{"gps_lat", "42.3", "gps_lon", "-71.35", "cadence", "88", "surface", "asphalt"}, "my_race",
		"orienteering", "point", "cadence=88 surface=asphalt ", -1},
	/* Unknown activity, none; a value that is no number stays among the rest. */
	{"2025-01-01T00:00:00Z", "curling", NULL, NULL, NULL, {"heart_rate", "n/a"}, NULL, NULL, "point",
		"heart_rate=n/a ", -1},
	{"2025-01-01T00:00:00Z", NULL, NULL, NULL, "aggregate", {"heart_rate_avg", "61.5", "heart_rate", "1e999"}, NULL,
		NULL, "aggregate", "heart_rate_avg=61.5 heart_rate=1e999 ", -1},
	{"2025-01-01T00:00:00Z", "running", NULL, NULL, NULL,
		{"heart_rate", "-1.5e2", "a_key_of_more_than_twelve_bytes", "a value of more than twelve bytes"}, NULL,
		"athletics", "point", "a_key_of_more_than_twelve_bytes=a value of more than twelve bytes ", -150},
};
#define EVENTS (sizeof events / sizeof *events)

static struct weir_batch *event_batch(uint32_t repeat)
{
	struct weir_builder *builder = weir_builder_new(&event_schema);
	for (uint32_t i = 0; i < EVENTS * repeat; i++) {
		const struct event *event = &events[i % EVENTS];
		int64_t time = 0;
		char trace[16];
		assert_true(weir_time_parse(weir_str_from(event->time), WEIR_ZONE_REQUIRED, &time));
		struct weir_uuid id = {{(uint8_t)i, (uint8_t)(i >> 8)}};
		weir_builder_uuid(builder, E_ID, &id);
		weir_builder_str(builder, E_ATHLETE, WEIR_STR("athlete-1"));
		weir_builder_i64(builder, E_TIME, time);
		if (event->activity != NULL)
			weir_builder_str(builder, E_ACTIVITY, weir_str_from(event->activity));
		if (event->context != NULL)
			weir_builder_str(builder, E_CONTEXT, weir_str_from(event->context));
		if (event->sport != NULL)
			weir_builder_str(builder, E_SPORT, weir_str_from(event->sport));
		if (event->kind != NULL)
			weir_builder_str(builder, E_KIND, weir_str_from(event->kind));
		weir_builder_map_start(builder, E_METRICS);
		for (int m = 0; event->metrics[m] != NULL; m += 2)
			weir_builder_map_entry(builder, E_METRICS, weir_str_from(event->metrics[m]),
				weir_str_from(event->metrics[m + 1]));
		snprintf(trace, sizeof trace, "%06u", i);
		weir_builder_str(builder, E_TRACE, weir_str_from(trace));
		weir_builder_bool(builder, E_LATE, false);
		weir_builder_end_row(builder);
	}
	struct weir_batch *batch = weir_builder_take(builder);
	weir_builder_free(builder);
	return batch;
}

static const struct weir_column *column_of(const struct weir_batch *batch, const char *name)
{
	uint32_t index = weir_schema_find(batch->schema, weir_str_from(name));
	if (index == WEIR_NO_FIELD)
		fail_msg("no column %s", name);
	return &batch->columns[index];
}

static void assert_text(const struct weir_batch *batch, const char *name, uint32_t row, const char *wanted)
{
	const struct weir_column *column = column_of(batch, name);
	bool valid = weir_column_is_valid(column, row);
	if (valid != (wanted != NULL) || (valid && !weir_str_is(weir_column_str(column, row), wanted)))
		fail_msg("%s is '%.*s', not '%s'", name, valid ? (int)weir_column_str(column, row).size : 4,
			valid ? weir_column_str(column, row).data : "null", wanted != NULL ? wanted : "null");
}

static void assert_silver_row(const struct weir_batch *batch, uint32_t row)
{
	struct weir_str trace = weir_column_str(column_of(batch, "trace_id"), row);
	int64_t index = 0;
	for (size_t i = 0; i < trace.size; i++)
		index = index * 10 + (trace.data[i] - '0');
	const struct event *event = &events[(size_t)index % EVENTS];
	assert_text(batch, "event_context", row, event->want_context);
	assert_text(batch, "sport", row, event->want_sport);
	assert_text(batch, "kind", row, event->want_kind);
	const struct weir_column *rate = column_of(batch, "heart_rate"), *rest = column_of(batch, "raw_metrics");
	assert_int_equal(weir_column_is_valid(rate, row), event->want_heart_rate != -1);
	if (event->want_heart_rate != -1)
		assert_true(weir_column_double(rate, row) == event->want_heart_rate);
	char text[256] = "";
	size_t size = 0;
	const struct weir_span span = ((const struct weir_span *)rest->values)[row];
	for (uint64_t i = span.offset; i < span.offset + span.length; i++) {
		struct weir_str key = weir_column_str(&rest->children[0], (uint32_t)i),
				value = weir_column_str(&rest->children[1], (uint32_t)i);
		size += (size_t)snprintf(
			text + size, sizeof text - size, "%.*s=%.*s ", WEIR_STR_ARG(key), WEIR_STR_ARG(value));
	}
	assert_string_equal(text, event->want_rest);
}

static void test_silver(void **state)
{
	struct world *world = *state;
	const struct lake_table *table = table_of(world, LAKE_SILVER);
	struct sql_transform *transform = transform_new(world, table->sql, table->sql_path, "telemetry", &event_schema);
	struct weir_batch *in[2] = {event_batch(1), event_batch(200)}, **out = NULL;
	uint32_t count = 0, rows = 0;
	struct weir_error err = WEIR_ERROR_INIT;
	if (sql_transform_run(transform, in, 2, &out, &count, &err) < 0)
		fail_with(&err);
	for (uint32_t b = 0; b < count; b++) {
		for (uint32_t row = 0; row < out[b]->row_count; row++, rows++)
			assert_silver_row(out[b], row);
		weir_batch_release(out[b]);
	}
	assert_int_equal(rows, EVENTS * 201);
	free(out);
	weir_batch_release(in[0]);
	weir_batch_release(in[1]);

	/* Gold picks columns of silver alone. */
	const struct lake_table *gold = table_of(world, LAKE_GOLD);
	struct sql_transform *columns =
		transform_new(world, gold->sql, gold->sql_path, "telemetry", sql_transform_schema(transform));
	const uint32_t *indices = NULL;
	assert_true(sql_transform_is_projection(columns, &indices));
	assert_int_equal(sql_transform_schema(columns)->field_count, 20);
	/* Columns that lake.yaml names are there. */
	for (uint32_t i = 0; i < table->sort_count; i++)
		assert_int_not_equal(weir_schema_find(sql_transform_schema(transform), table->sort[i]), WEIR_NO_FIELD);
	sql_transform_free(columns);
	sql_transform_free(transform);
}

/* ---- inputs ---- */

static const struct lake_input *input_of(const struct world *world, const char *name)
{
	for (uint32_t i = 0; i < world->lake->streams[0].input_count; i++) {
		if (weir_str_is(world->lake->streams[0].inputs[i].name, name))
			return &world->lake->streams[0].inputs[i];
	}
	fail_msg("no input %s", name);
	return NULL;
}

static void test_devices(void **state)
{
	struct world *world = *state;
	static const char *const names[] = {"fit", "tcx", "gpx"};
	const struct weir_schema *device = device_schema();
	struct weir_field fields[DEVICE_COLUMNS + 2] = {0};
	memcpy(fields, device->fields, DEVICE_COLUMNS * sizeof *fields);
	fields[DEVICE_COLUMNS] = (struct weir_field)F("athlete_id", WEIR_STRING);
	fields[DEVICE_COLUMNS + 1] = (struct weir_field)F("source_file", WEIR_STRING);
	const struct weir_schema schema = {.field_count = DEVICE_COLUMNS + 2, .fields = fields};
	for (size_t i = 0; i < 3; i++) {
		const struct lake_input *input = input_of(world, names[i]);
		struct sql_transform *transform = transform_new(world, input->sql, input->sql_path, "input", &schema);
		struct weir_builder *builder = weir_builder_new(&schema);
		weir_builder_i64(builder, DEVICE_ORDINAL, 0);
		weir_builder_i64(builder, DEVICE_TIMESTAMP, 1000000);
		weir_builder_str(builder, DEVICE_SPORT, WEIR_STR("running"));
		weir_builder_double(builder, DEVICE_HEART_RATE, 140);
		weir_builder_str(builder, DEVICE_COLUMNS, WEIR_STR("athlete-1"));
		weir_builder_end_row(builder);
		struct weir_batch *in = weir_builder_take(builder), **out = NULL;
		weir_builder_free(builder);
		uint32_t count = 0;
		struct weir_error err = WEIR_ERROR_INIT;
		if (sql_transform_run(transform, &in, 1, &out, &count, &err) < 0)
			fail_with(&err);
		assert_int_equal(count, 1);
		assert_text(out[0], "activity", 0, "running");
		assert_text(out[0], "athlete_id", 0, "athlete-1");
		assert_text(out[0], "source", 0, names[i]);
		assert_true(weir_column_double(column_of(out[0], "metrics.heart_rate"), 0) == 140);
		assert_false(weir_column_is_valid(column_of(out[0], "metrics.power_watts"), 0));
		weir_batch_release(out[0]);
		free(out);
		weir_batch_release(in);
		sql_transform_free(transform);
	}
}

static void test_whoop(void **state)
{
	struct world *world = *state;
	const struct lake_input *input = input_of(world, "whoop");
	static struct weir_field recovery_fields[] = {F("cycle_id", WEIR_STRING), F("created_at", WEIR_STRING),
		F("updated_at", WEIR_STRING), F("score_state", WEIR_STRING), F("score", WEIR_STRING),
		F("athlete_id", WEIR_STRING)};
	static struct weir_field cycle_fields[] = {F("cycle_id", WEIR_STRING), F("start", WEIR_STRING),
		F("end", WEIR_STRING), F("score_state", WEIR_STRING), F("score", WEIR_STRING),
		F("athlete_id", WEIR_STRING)};
	static const struct {
		struct weir_schema schema;
		const char *values[6];
		const char *activity, *recovery, *average, *strain, *state;
		const char *starts, *ends;
	} cases[] = {
		{{.field_count = 6, .fields = recovery_fields},
			{"93845", "2025-02-01T06:25:44.774Z", "2025-02-01T14:25:44.774Z", "SCORED",
				"{\"recovery_score\":44,\"resting_heart_rate\":64,\"hrv_rmssd_milli\":31.813562}",
				"athlete-1"},
			"recovery", "44", NULL, NULL, "SCORED", "2025-02-01T06:25:44.774Z", "2025-02-01T14:25:44.774Z"},
		{{.field_count = 6, .fields = cycle_fields},
			{"93845", "2025-02-01T02:00:00.000Z", "2025-02-02T02:00:00.000Z", "SCORED",
				"{\"strain\":5.2951527,\"kilojoule\":8288.297,\"average_heart_rate\":68,\"max_heart_"
				"rate\":141}",
				"athlete-1"},
			"daily", NULL, "68", "5.2951527", "SCORED", "2025-02-01T02:00:00Z", "2025-02-02T02:00:00Z"},
		{{.field_count = 6, .fields = recovery_fields},
			{"93846", "2025-02-02T06:25:44.774Z", NULL, "PENDING_SCORE", "{\"recovery_score\":44}",
				"athlete-1"},
			"recovery", NULL, NULL, NULL, "PENDING_SCORE", "2025-02-02T06:25:44.774Z",
			"2025-02-02T06:25:44.774Z"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sql_transform *transform =
			transform_new(world, input->sql, input->sql_path, "input", &cases[i].schema);
		struct weir_builder *builder = weir_builder_new(&cases[i].schema);
		for (uint32_t c = 0; c < 6; c++) {
			if (cases[i].values[c] != NULL)
				weir_builder_str(builder, c, weir_str_from(cases[i].values[c]));
		}
		weir_builder_end_row(builder);
		struct weir_batch *in = weir_builder_take(builder), **out = NULL;
		weir_builder_free(builder);
		uint32_t count = 0;
		struct weir_error err = WEIR_ERROR_INIT;
		if (sql_transform_run(transform, &in, 1, &out, &count, &err) < 0)
			fail_with(&err);
		assert_int_equal(count, 1);
		assert_text(out[0], "kind", 0, "aggregate");
		assert_text(out[0], "activity", 0, cases[i].activity);
		assert_text(out[0], "metrics.recovery_score", 0, cases[i].recovery);
		assert_text(out[0], "metrics.heart_rate_avg", 0, cases[i].average);
		assert_text(out[0], "metrics.strain", 0, cases[i].strain);
		assert_text(out[0], "metrics.score_state", 0, cases[i].state);
		char text[WEIR_TIME_TEXT];
		weir_time_format(weir_column_i64(column_of(out[0], "period_start"), 0), text);
		assert_string_equal(text, cases[i].starts);
		weir_time_format(weir_column_i64(column_of(out[0], "period_end"), 0), text);
		assert_string_equal(text, cases[i].ends);
		weir_batch_release(out[0]);
		free(out);
		weir_batch_release(in);
		sql_transform_free(transform);
	}
}

/* The other lake's SQL fits its own columns. */
static void test_shop(void **state)
{
	struct world *world = *state;
	static struct weir_field fields[] = {F("visit_id", WEIR_UUID), F("customer_id", WEIR_STRING),
		F("visited_at", WEIR_TIMESTAMPTZ), F("page", WEIR_STRING), F("amount", WEIR_DOUBLE),
		F("items", WEIR_INT64), F("is_return", WEIR_BOOL), F("birthday", WEIR_DATE), F("trace_id", WEIR_STRING),
		F("received_at", WEIR_TIMESTAMPTZ), F("is_late", WEIR_BOOL)};
	static const struct weir_schema schema = {.field_count = sizeof fields / sizeof *fields, .fields = fields};
	const struct lake_table *silver = table_of(world, LAKE_SILVER), *gold = table_of(world, LAKE_GOLD);
	struct sql_transform *rows = transform_new(world, silver->sql, silver->sql_path, "visits", &schema);
	struct sql_transform *columns =
		transform_new(world, gold->sql, gold->sql_path, "visits", sql_transform_schema(rows));
	const uint32_t *indices = NULL;
	assert_true(sql_transform_is_projection(columns, &indices));
	assert_false(sql_transform_is_projection(rows, &indices));
	sql_transform_free(columns);
	sql_transform_free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_silver, setup, teardown),
		cmocka_unit_test_setup_teardown(test_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whoop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shop, setup_shop, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
