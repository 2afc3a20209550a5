/*
 * History holds each stay of a row in gold once: it is unique by event id, purpose and revoked_lsn, and names no number
 * that the consent log has not. Read once for each part of the keys, so that memory is bounded.
 */
#include <stdlib.h>

#include "column/text.h"
#include "jobs/check_int.h"

enum { ID, PURPOSE, REVOKED, GRANTED, TRACE, COLUMNS };

struct history {
	struct check *check;
	struct check_table *table;
	const struct weir_schema *projection;
	uint32_t columns[COLUMNS];
	uint64_t parts, part;
	struct check_set keys;
};

static int history_break(struct history *history, const struct weir_batch *batch, uint32_t row, uint32_t file,
	const char *what, const char *expected, const char *found, struct weir_error *err)
{
	const struct weir_column *trace = &batch->columns[history->columns[TRACE]];
	const struct weir_column *purpose = &batch->columns[history->columns[PURPOSE]];
	struct weir_error ignored = WEIR_ERROR_INIT;
	struct weir_str name = WEIR_STR("");
	if (store_name_of(history->check->store, history->check->arena, history->table->files->files[file]->path, &name,
		    &ignored) != 0)
		name = history->table->files->files[file]->path;
	return check_break(history->check,
		&(struct check_break){
			.check = "history",
			.guarantee = "G5",
			.table = history->table->what,
			.file = name,
			.trace_id = weir_column_is_valid(trace, row) ? weir_column_str(trace, row) : WEIR_STR(""),
			.purpose = weir_column_is_valid(purpose, row) ? weir_column_str(purpose, row) : WEIR_STR(""),
			.what = what,
			.expected = expected,
			.found = found,
		},
		err);
}

static int check_row(
	struct history *history, const struct weir_batch *batch, uint32_t row, uint32_t file, struct weir_error *err)
{
	const uint32_t *columns = history->columns;
	const struct weir_column *cells = batch->columns;
	char text[WEIR_VALUE_TEXT];
	int64_t revoked = weir_column_i64(&cells[columns[REVOKED]], row);
	int64_t granted = weir_column_i64(&cells[columns[GRANTED]], row);
	if (revoked < 0 || granted < 0 || (uint64_t)revoked > history->check->head ||
		(uint64_t)granted > history->check->head)
		return history_break(history, batch, row, file, "a row names a number that the consent log has not",
			weir_arena_printf(
				history->check->arena, "numbers up to %llu", (unsigned long long)history->check->head),
			weir_arena_printf(history->check->arena, "granted %lld, revoked %lld", (long long)granted,
				(long long)revoked),
			err);
	struct weir_str id =
		weir_column_text(&history->projection->fields[columns[ID]], &cells[columns[ID]], row, text);
	struct check_key key = check_key_add(check_key_add(history->check->seed, id),
		weir_column_is_valid(&cells[columns[PURPOSE]], row) ? weir_column_str(&cells[columns[PURPOSE]], row)
								    : WEIR_STR(""));
	key = check_key_add(key, (struct weir_str){(const char *)&revoked, sizeof revoked});
	if (key.b % history->parts != history->part)
		return 0;
	uint64_t *known = check_set_put(&history->keys, key);
	if (*known == 0) {
		*known = 1;
		return 0;
	}
	return history_break(history, batch, row, file, "a stay in gold is in history more than once",
		"one row for each event id, purpose and revoked_lsn", "another row with this row's", err);
}

static int check_part(struct history *history, struct weir_error *err)
{
	const struct ice_file_list *files = history->table->files;
	struct ice_reader *reader;
	struct weir_batch *batch;
	uint32_t file;
	check_set_clear(&history->keys);
	int status = ice_reader_open(
		history->table->table, files->files, files->count, history->projection, NULL, &reader, err);
	if (status != 0)
		return status;
	while (status == 0 && (status = ice_reader_next(reader, &batch, &file, NULL, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count && status == 0; row++)
			status = check_row(history, batch, row, file, err);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	return status;
}

static int check_table(struct history *history, struct weir_str id, struct weir_error *err)
{
	const struct weir_str names[COLUMNS] = {[ID] = id,
		[PURPOSE] = WEIR_STR("purpose"),
		[REVOKED] = WEIR_STR("revoked_lsn"),
		[GRANTED] = WEIR_STR("granted_lsn"),
		[TRACE] = WEIR_STR("trace_id")};
	int status = 0;
	history->projection =
		check_projection(history->check->arena, ice_table_schema(history->table->table), names, COLUMNS);
	for (uint32_t i = 0; i < COLUMNS; i++) {
		history->columns[i] = weir_schema_find(history->projection, names[i]);
		if (history->columns[i] == WEIR_NO_FIELD)
			return weir_fail_at(err, WEIR_E_CORRUPT, weir_str_from(history->table->what),
				WEIR_ERROR_NO_OFFSET, "the table lacks column %.*s", WEIR_STR_ARG(names[i]));
	}
	history->parts = history->table->rows / (history->check->group_rows * CHECK_GROUP_KEYS) + 1;
	for (history->part = 0; history->part < history->parts && status == 0; history->part++)
		status = check_part(history, err);
	check_set_done(&history->keys);
	return status;
}

int check_history(struct check *check, struct weir_error *err)
{
	const struct lake *lake = check->config->lake;
	uint64_t rows = 0;
	int status = 0;
	for (uint32_t t = 0; t < lake->table_count && status == 0; t++) {
		if (lake->tables[t].kind != LAKE_HISTORY_OF)
			continue;
		struct history history = {.check = check, .table = check_table_of(check, t)};
		status = check_table(&history, lake->streams[lake->tables[t].stream].id, err);
		rows += history.table->rows;
	}
	if (status != 0)
		return status;
	struct weir_json *json = check_proved(check, "history", "G5",
		"each stay of a row in gold is in history once: unique by event id, purpose and revoked_lsn");
	weir_json_key_uint(json, "rows", rows);
	weir_json_object_end(json);
	return 0;
}
