#include "support/lake/lake_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the above */
#include <cmocka.h>

#include "engine/engine_int.h"

#define FILE_BYTES_MAX ((size_t)1 << 30)

void lake_failed(
	const struct lake_fixture *fixture, const char *file, int line, const char *what, const struct weir_error *err)
{
	char text[1200] = "";
	if (err != NULL)
		weir_error_text(err, text, sizeof text);
	fprintf(stderr, "%s:%d: %s failed%s%s\n", file, line, what, text[0] != '\0' ? ": " : "", text);
	if (fixture->in_child)
		_exit(1);
	_fail(file, line);
}

/* ---- directories ---- */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info;
	(void)kind;
	(void)where;
	return remove(path);
}

static void make_directory(struct lake_fixture *fixture)
{
	*fixture = (struct lake_fixture){.clock = {LAKE_NOW}, .arena = weir_arena_new(0)};
	mkdir(WEIR_TEST_DIRECTORY, 0700);
	snprintf(fixture->directory, sizeof fixture->directory, "%s/lake-XXXXXX", WEIR_TEST_DIRECTORY);
	LAKE_CHECK(fixture, mkdtemp(fixture->directory) != NULL);
	snprintf(fixture->data, sizeof fixture->data, "%s/data", fixture->directory);
}

void lake_start(struct lake_fixture *fixture, const char *source)
{
	make_directory(fixture);
	snprintf(fixture->source, sizeof fixture->source, "%s", source);
	lake_open(fixture);
}

static void write_file(struct lake_fixture *fixture, const char *path, struct weir_str content)
{
	FILE *file = fopen(path, "wb");
	LAKE_CHECK(fixture, file != NULL);
	LAKE_CHECK(fixture, content.size == 0 || fwrite(content.data, 1, content.size, file) == content.size);
	LAKE_CHECK(fixture, fclose(file) == 0);
}

void lake_copy(struct lake_fixture *fixture, const char *source, bool open)
{
	char command[1400];
	make_directory(fixture);
	snprintf(fixture->source, sizeof fixture->source, "%s/lake", fixture->directory);
	snprintf(command, sizeof command, "cp -r '%s' '%s'", source, fixture->source);
	LAKE_CHECK(fixture, system(command) == 0);
	if (open)
		lake_open(fixture);
}

void lake_edit(struct lake_fixture *fixture, const char *file, const char *from, const char *to)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf edited = WEIR_BUF_INIT;
	char path[1200], *data;
	size_t size;
	snprintf(path, sizeof path, "%s/%s", fixture->source, file);
	LAKE_OK(fixture, weir_os_read_all(weir_os_real(), path, FILE_BYTES_MAX, &data, &size, &err), &err);
	char *found = strstr(data, from);
	LAKE_CHECK(fixture, found != NULL);
	weir_buf_append(&edited, data, (size_t)(found - data));
	weir_buf_puts(&edited, to);
	weir_buf_puts(&edited, found + strlen(from));
	write_file(fixture, path, weir_buf_str(&edited));
	weir_buf_done(&edited);
	free(data);
}

int lake_try_open(struct lake_fixture *fixture, struct weir_error *err)
{
	struct engine_options options = {.os = fixture->os,
		.clock = weir_clock_manual(&fixture->clock),
		.no_background = true,
		.delta_from_bytes = fixture->delta_from_bytes};
	int status = lake_read(fixture->source, fixture->data, &fixture->lake, err);
	if (status != 0)
		return status;
	status = engine_open(fixture->lake, &options, &fixture->engine, err);
	if (status != 0) {
		lake_free(fixture->lake);
		fixture->lake = NULL;
	}
	return status;
}

void lake_open(struct lake_fixture *fixture)
{
	struct weir_error err = WEIR_ERROR_INIT;
	LAKE_OK(fixture, lake_try_open(fixture, &err), &err);
}

void lake_close(struct lake_fixture *fixture)
{
	if (fixture->engine != NULL)
		engine_close(fixture->engine);
	if (fixture->lake != NULL)
		lake_free(fixture->lake);
	fixture->engine = NULL;
	fixture->lake = NULL;
}

void lake_reopen(struct lake_fixture *fixture)
{
	lake_close(fixture);
	lake_open(fixture);
}

void lake_done(struct lake_fixture *fixture)
{
	if (fixture->engine != NULL)
		lake_check_sound(fixture);
	lake_close(fixture);
	nftw(fixture->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	weir_arena_free(fixture->arena);
}

void lake_crash(struct lake_fixture *fixture, void (*run)(struct lake_fixture *fixture, void *context), void *context)
{
	int status;
	LAKE_CHECK(fixture, fixture->engine == NULL);
	fflush(NULL);
	pid_t child = fork();
	LAKE_CHECK(fixture, child >= 0);
	if (child == 0) {
		fixture->in_child = true;
		lake_open(fixture);
		run(fixture, context);
		_exit(0);
	}
	LAKE_CHECK(fixture, waitpid(child, &status, 0) == child);
	LAKE_CHECK(fixture, WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- events ---- */

struct ingest_result lake_post(struct lake_fixture *fixture, const char *text)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ingest_result result = {0};
	struct ingest_request request = {.channel = WEIR_STR("api"), .body = weir_str_from(text), .events_only = true};
	LAKE_OK(fixture, ingest_post_wait(engine_ingest(fixture->engine), &request, fixture->arena, &result, &err),
		&err);
	return result;
}

int lake_upload(struct lake_fixture *fixture, const char *filename, const char *content_type, struct weir_str body,
	const char *athlete, struct ingest_result *ret_result, struct weir_error *err)
{
	struct ingest_kv set = {WEIR_STR("athlete_id"), weir_str_from(athlete != NULL ? athlete : "")};
	struct ingest_request request = {
		.channel = WEIR_STR("batch"),
		.body = body,
		.filename = weir_str_from(filename),
		.content_type = weir_str_from(content_type),
		.set = &set,
		.set_count = athlete != NULL,
	};
	return ingest_post_wait(engine_ingest(fixture->engine), &request, fixture->arena, ret_result, err);
}

const char *lake_event(struct lake_fixture *fixture, unsigned id, const char *athlete, int64_t time_us,
	const char *more, const char *metrics)
{
	char time[WEIR_TIME_TEXT];
	weir_time_format(time_us, time);
	return weir_arena_printf(fixture->arena,
		"{\"event_id\": \"00000000-0000-4000-8000-%012x\", \"athlete_id\": \"%s\", \"timestamp\": \"%s\"%s%s, "
		"\"metrics\": {%s}}",
		id, athlete, time, more != NULL ? ", " : "", more != NULL ? more : "", metrics);
}

const char *lake_visit(
	struct lake_fixture *fixture, unsigned id, const char *customer, int64_t time_us, const char *page)
{
	char time[WEIR_TIME_TEXT];
	weir_time_format(time_us, time);
	return weir_arena_printf(fixture->arena,
		"{\"visit_id\": \"00000000-0000-4000-8000-%012x\", \"customer_id\": \"%s\", \"visited_at\": \"%s\", "
		"\"page\": \"%s\"}",
		id, customer, time, page);
}

void lake_flush(struct lake_fixture *fixture)
{
	struct weir_error err = WEIR_ERROR_INIT;
	LAKE_OK(fixture, engine_flush(fixture->engine, &err), &err);
}

void lake_settle(struct lake_fixture *fixture)
{
	struct weir_error err = WEIR_ERROR_INIT;
	LAKE_OK(fixture, engine_settle(fixture->engine, false, &err), &err);
}

void lake_settle_all(struct lake_fixture *fixture)
{
	struct weir_error err = WEIR_ERROR_INIT;
	LAKE_OK(fixture, engine_settle(fixture->engine, true, &err), &err);
}

void lake_advance(struct lake_fixture *fixture, int64_t by_us)
{
	weir_manual_clock_advance(&fixture->clock, by_us);
}

/* ---- consent ---- */

static uint64_t append(struct lake_fixture *fixture, const struct consent_change *change)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct consent_changed changed;
	LAKE_OK(fixture, consent_append(engine_consent(fixture->engine, 0), change, 1, &changed, &err), &err);
	return changed.lsn;
}

uint64_t lake_rule(struct lake_fixture *fixture, const char *json)
{
	struct weir_error err = WEIR_ERROR_INIT;
	const struct consent_vocabulary *vocabulary = consent_vocabulary_of(engine_consent(fixture->engine, 0));
	struct consent_rule rule;
	struct consent_problem problem = {0};
	if (consent_rule_parse(vocabulary, fixture->arena, weir_str_from(json), &rule, &problem, &err) != 0) {
		fprintf(stderr, "%.*s: %s\n", WEIR_STR_ARG(problem.path),
			problem.problem != NULL ? problem.problem : "");
		lake_failed(fixture, __FILE__, __LINE__, json, &err);
	}
	return append(fixture, &(struct consent_change){.kind = CONSENT_CHANGE_POST, .rule = &rule});
}

uint64_t lake_permit(struct lake_fixture *fixture, const char *athlete, ...)
{
	struct weir_buf json = WEIR_BUF_INIT;
	const char *purpose;
	va_list args;
	bool first = true;
	weir_buf_printf(&json,
		"{\"userId\": \"%s\", \"dimensions\": {\"purpose\": {\"operator\": \"IN\", \"values\": [", athlete);
	va_start(args, athlete);
	while ((purpose = va_arg(args, const char *)) != NULL) {
		weir_buf_printf(&json, "%s{\"value\": \"%s\"}", first ? "" : ", ", purpose);
		first = false;
	}
	va_end(args);
	weir_buf_puts(&json, "]}}}");
	uint64_t lsn = lake_rule(fixture, weir_buf_cstr(&json));
	weir_buf_done(&json);
	return lsn;
}

uint64_t lake_withdraw(struct lake_fixture *fixture, const char *subject, const char *purpose)
{
	const struct consent_vocabulary *vocabulary = consent_vocabulary_of(engine_consent(fixture->engine, 0));
	int index = consent_purpose_index(vocabulary, weir_str_from(purpose));
	LAKE_CHECK(fixture, index >= 0);
	return append(fixture,
		&(struct consent_change){.kind = CONSENT_CHANGE_WITHDRAW,
			.subject = weir_str_from(subject),
			.purpose = (uint32_t)index});
}

uint64_t lake_remove_rule(struct lake_fixture *fixture, const char *subject, const char *rule_id)
{
	return append(fixture,
		&(struct consent_change){.kind = CONSENT_CHANGE_REMOVE,
			.subject = weir_str_from(subject),
			.rule_id = weir_str_from(rule_id)});
}

/* ---- looking ---- */

uint32_t lake_table(struct lake_fixture *fixture, const char *name)
{
	struct ice_registry *registry = engine_registry(fixture->engine);
	for (uint32_t i = 0; i < ice_registry_count(registry); i++) {
		struct ice_table *table = ice_registry_table(registry, i);
		struct ice_name is = ice_table_name(table);
		bool found = weir_str_is(weir_str_from(weir_arena_printf(fixture->arena, "%.*s.%.*s",
						 WEIR_STR_ARG(is.ns), WEIR_STR_ARG(is.table))),
			name);
		ice_table_unref(table);
		if (found)
			return i;
	}
	lake_failed(fixture, __FILE__, __LINE__, name, NULL);
	return 0;
}

void lake_each(struct lake_fixture *fixture, const char *table, lake_row_fn *row_fn, void *context)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *version = ice_registry_table(engine_registry(fixture->engine), lake_table(fixture, table));
	struct expr_filter all = {NULL, 0};
	struct ice_file_list *files;
	struct ice_reader *reader;
	struct weir_batch *batch;
	LAKE_OK(fixture, ice_plan(version, -1, &all, &files, &err), &err);
	LAKE_OK(fixture,
		ice_reader_open(version, files->files, files->count, ice_table_schema(version), &all, &reader, &err),
		&err);
	for (;;) {
		LAKE_OK(fixture, ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
		if (batch == NULL)
			break;
		for (uint32_t row = 0; row < batch->row_count; row++)
			row_fn(context, batch, row);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(files);
	ice_table_unref(version);
}

static const char *cell_text(struct weir_arena *arena, const struct weir_column *column, uint32_t row)
{
	char text[WEIR_UUID_TEXT];
	if (!weir_column_is_valid(column, row))
		return "null";
	switch (column->type) {
	case WEIR_STRING:
	case WEIR_BINARY:
		return weir_arena_cstr(arena, weir_column_str(column, row));
	case WEIR_UUID:
		weir_uuid_format(&((const struct weir_uuid *)column->values)[row], text);
		return weir_arena_cstr(arena, weir_str_from(text));
	case WEIR_BOOL:
		return ((const uint8_t *)column->values)[row] ? "true" : "false";
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		return weir_arena_printf(arena, "%g", weir_column_double(column, row));
	default:
		return weir_arena_printf(arena, "%lld", (long long)weir_column_i64(column, row));
	}
}

const char *lake_cell(struct lake_fixture *fixture, const struct weir_batch *batch, uint32_t row, const char *column)
{
	uint32_t at = weir_schema_find(batch->schema, weir_str_from(column));
	LAKE_CHECK(fixture, at != WEIR_NO_FIELD);
	return cell_text(fixture->arena, &batch->columns[at], row);
}

struct search {
	struct lake_fixture *fixture;
	const char *columns[16], *values[16], *wanted, *found;
	uint32_t count;
	uint64_t rows;
};

static void take_pairs(struct search *search, va_list args)
{
	const char *column;
	while ((column = va_arg(args, const char *)) != NULL) {
		LAKE_CHECK(search->fixture, search->count < 16);
		search->columns[search->count] = column;
		search->values[search->count++] = va_arg(args, const char *);
	}
}

static void search_row(void *context, const struct weir_batch *batch, uint32_t row)
{
	struct search *search = context;
	struct weir_arena *scratch = weir_arena_new(256);
	bool fits = true;
	for (uint32_t i = 0; i < search->count && fits; i++) {
		uint32_t at = weir_schema_find(batch->schema, weir_str_from(search->columns[i]));
		LAKE_CHECK(search->fixture, at != WEIR_NO_FIELD);
		fits = strcmp(cell_text(scratch, &batch->columns[at], row), search->values[i]) == 0;
	}
	weir_arena_free(scratch);
	search->rows += fits;
	if (fits && search->wanted != NULL && search->found == NULL)
		search->found = lake_cell(search->fixture, batch, row, search->wanted);
}

uint64_t lake_count(struct lake_fixture *fixture, const char *table, ...)
{
	struct search search = {.fixture = fixture};
	va_list args;
	va_start(args, table);
	take_pairs(&search, args);
	va_end(args);
	lake_each(fixture, table, search_row, &search);
	return search.rows;
}

const char *lake_value(struct lake_fixture *fixture, const char *table, const char *wanted, ...)
{
	struct search search = {.fixture = fixture, .wanted = wanted};
	va_list args;
	va_start(args, wanted);
	take_pairs(&search, args);
	va_end(args);
	lake_each(fixture, table, search_row, &search);
	return search.found;
}

uint64_t lake_files(struct lake_fixture *fixture, const char *table)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *version = ice_registry_table(engine_registry(fixture->engine), lake_table(fixture, table));
	struct ice_file_list *files;
	LAKE_OK(fixture, ice_plan(version, -1, &(struct expr_filter){NULL, 0}, &files, &err), &err);
	uint64_t count = files->count;
	ice_file_list_free(files);
	ice_table_unref(version);
	return count;
}

int64_t lake_number(struct lake_fixture *fixture, const char *sql)
{
	struct weir_error err = WEIR_ERROR_INIT;
	int64_t value = 0;
	LAKE_OK(fixture, control_query_int(engine_control(fixture->engine), sql, NULL, 0, &value, &err), &err);
	return value;
}

uint64_t lake_counter(struct lake_fixture *fixture, const char *channel, const char *result)
{
	return (uint64_t)lake_number(fixture,
		weir_arena_printf(fixture->arena,
			"SELECT COALESCE(SUM(count), 0) FROM weir_counters WHERE channel = '%s' AND result = '%s'",
			channel, result));
}

static uint64_t counted(struct lake_fixture *fixture, const char *stream, const char *result)
{
	return (uint64_t)lake_number(fixture,
		weir_arena_printf(fixture->arena,
			"SELECT COALESCE(SUM(count), 0) FROM weir_counters WHERE stream = '%s' AND result = '%s'",
			stream, result));
}

void lake_check_counters(struct lake_fixture *fixture)
{
	const struct lake *lake = fixture->lake;
	uint64_t received = 0;
	for (uint32_t p = 0; p < lake->log_partitions; p++)
		received += bus_next_offset(fixture->engine->bus, lake->streams[0].name, p);
	const char *stream = weir_arena_cstr(fixture->arena, lake->streams[0].name);
	uint64_t accepted = counted(fixture, stream, "accepted"), letters = counted(fixture, stream, "dead_letter");
	uint64_t duplicates = counted(fixture, stream, "duplicate");
	uint64_t committed = (uint64_t)lake_number(fixture,
		weir_arena_printf(fixture->arena,
			"SELECT COALESCE(SUM(next_offset), 0) FROM weir_offsets WHERE stream = '%s'", stream));
	assert_int_equal(committed, received);
	assert_int_equal(accepted + letters + duplicates, received);
	for (uint32_t t = 0; t < lake->table_count; t++)
		if (lake->tables[t].kind == LAKE_RAW || lake->tables[t].kind == LAKE_SILVER)
			assert_int_equal(
				lake_count(fixture,
					weir_arena_printf(fixture->arena, "%.*s.%.*s", WEIR_STR_ARG(lake->tables[t].ns),
						WEIR_STR_ARG(lake->tables[t].name)),
					NULL),
				accepted);
	assert_int_equal(lake_count(fixture, "bronze.dead_letters", "stream", stream, NULL), letters);
}

void lake_check_sound(struct lake_fixture *fixture)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf text = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&text);
	bool sound = false;
	LAKE_OK(fixture, engine_check(fixture->engine, &json, &sound, &err), &err);
	if (!sound)
		lake_failed(fixture, __FILE__, __LINE__, weir_buf_cstr(&text), NULL);
	weir_buf_done(&text);
}

uint64_t lake_sql_rows(struct lake_fixture *fixture, const char *text, bool as_auditor, int *ret_status)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct access_sql *query = NULL;
	struct weir_batch *batch;
	uint64_t rows = 0;
	*ret_status = access_sql_open(engine_access(fixture->engine), engine_sql(fixture->engine), weir_str_from(text),
		as_auditor, &query, &err);
	while (*ret_status == 0 && (*ret_status = access_sql_next(query, &batch, &err)) == 0 && batch != NULL) {
		rows += batch->row_count;
		weir_batch_release(batch);
	}
	access_sql_free(query);
	return rows;
}

/* ---- files ---- */

struct walk {
	struct lake_fixture *fixture;
	lake_file_fn *file;
	void *context;
	const char *root;
};

static int walk_directory(struct walk *walk, const char *path);

static int walk_entry(void *context, const char *name, const struct weir_file_info *info, struct weir_error *err)
{
	const struct walk *at = context;
	struct walk *walk = at->context;
	char path[2048], *data;
	size_t size;
	snprintf(path, sizeof path, "%s/%s", at->root, name);
	if (info->is_directory)
		return walk_directory(walk, path);
	int status = weir_os_read_all(weir_os_real(), path, FILE_BYTES_MAX, &data, &size, err);
	if (status != 0)
		return status;
	walk->file(walk->context, path, path + strlen(walk->fixture->directory), (struct weir_str){data, size});
	free(data);
	return 0;
}

static int walk_directory(struct walk *walk, const char *path)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct walk at = {walk->fixture, NULL, walk, path};
	const struct weir_os *os = weir_os_real();
	int status = os->list(os->self, path, walk_entry, &at, &err);
	if (status == WEIR_E_NOT_FOUND)
		return 0;
	LAKE_OK(walk->fixture, status, &err);
	return 0;
}

void lake_each_file(struct lake_fixture *fixture, const char *below, lake_file_fn *file, void *context)
{
	char path[1200];
	struct walk walk = {fixture, file, context, NULL};
	snprintf(path, sizeof path, "%s/%s", fixture->directory, below);
	walk_directory(&walk, path);
}

struct scan {
	struct weir_str bytes;
	uint64_t found;
};

static void scan_file(void *context, const char *path, const char *name_below, struct weir_str content)
{
	struct scan *scan = context;
	const char *at = content.data, *end = content.data + content.size, *hit;
	while ((hit = memmem(at, (size_t)(end - at), scan->bytes.data, scan->bytes.size)) != NULL) {
		printf("found in %s at %zu\n", name_below, (size_t)(hit - content.data));
		scan->found++;
		at = hit + 1;
	}
	if (memmem(path, strlen(path), scan->bytes.data, scan->bytes.size) != NULL) {
		printf("found in the name %s\n", name_below);
		scan->found++;
	}
}

uint64_t lake_scan_files(struct lake_fixture *fixture, const char *below, struct weir_str bytes)
{
	struct scan scan = {bytes, 0};
	lake_each_file(fixture, below, scan_file, &scan);
	return scan.found;
}
