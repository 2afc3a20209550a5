/* Changes as values: statements with bound values, copied into the change's arena. One thread at a time. */
#include "control/control_int.h"

#include <stdlib.h>

struct control_change *control_change_new(enum control_priority priority)
{
	struct control_change *change = weir_zalloc(sizeof *change);
	change->priority = priority;
	change->arena = weir_arena_new(4096);
	return change;
}

void control_change_free(struct control_change *change)
{
	if (change == NULL)
		return;
	weir_arena_free(change->arena);
	free(change->statements);
	free(change);
}

static const struct control_value *copy_values(
	struct weir_arena *arena, const struct control_value *values, unsigned count)
{
	struct control_value *copy = weir_arena_calloc(arena, count, sizeof *copy);
	for (unsigned i = 0; i < count; i++) {
		copy[i] = values[i];
		if (values[i].kind == CONTROL_TEXT || values[i].kind == CONTROL_BLOB)
			copy[i].text = weir_arena_str(arena, values[i].text);
	}
	return copy;
}

static void add(struct control_change *change, const char *what, int rows, bool returning, const char *sql,
	const struct control_value *values, unsigned value_count)
{
	WEIR_GROW(change->statements, change->count, change->capacity);
	change->statements[change->count++] = (struct control_statement){
		.what = weir_arena_cstr(change->arena, weir_str_from(what)),
		.sql = sql,
		.rows = rows,
		.returning = returning,
		.value_count = value_count,
		.values = copy_values(change->arena, values, value_count),
	};
}

void control_change_sql(struct control_change *change, const char *what, int rows, const char *sql,
	const struct control_value *values, unsigned value_count)
{
	add(change, what, rows, false, sql, values, value_count);
}

unsigned control_change_returning(struct control_change *change, const char *what, const char *sql,
	const struct control_value *values, unsigned value_count)
{
	WEIR_ASSERT(change->returning_count < CONTROL_RESULTS);
	add(change, what, CONTROL_ANY, true, sql, values, value_count);
	return change->returning_count++;
}

void control_swap_table(struct control_change *change, struct weir_str ns, struct weir_str table,
	struct weir_str expected, struct weir_str next)
{
	const char *what = weir_arena_printf(change->arena, "table %.*s.%.*s", WEIR_STR_ARG(ns), WEIR_STR_ARG(table));
	struct control_value values[] = {CONTROL_T(ns), CONTROL_T(table), CONTROL_T(next), CONTROL_T(expected)};
	if (expected.size == 0)
		control_change_sql(change, what, 1,
			"INSERT INTO iceberg_tables(catalog_name, table_namespace, table_name, metadata_location,"
			" iceberg_type)"
			" VALUES ('weir', ?1, ?2, ?3, 'TABLE') ON CONFLICT DO NOTHING",
			values, 3);
	else
		control_change_sql(change, what, 1,
			"UPDATE iceberg_tables SET metadata_location = ?3, previous_metadata_location = ?4"
			" WHERE catalog_name = 'weir' AND table_namespace = ?1 AND table_name = ?2"
			" AND metadata_location = ?4"
			" AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)",
			values, 4);
}

void control_move_offset(
	struct control_change *change, struct weir_str stream, uint32_t partition, uint64_t expected, uint64_t next)
{
	const char *what = weir_arena_printf(change->arena, "offset of %.*s/%u", WEIR_STR_ARG(stream), partition);
	struct control_value values[] = {CONTROL_T(stream), CONTROL_I(partition), CONTROL_I(next), CONTROL_I(expected)};
	if (expected == 0)
		control_change_sql(change, what, 1,
			"INSERT INTO weir_offsets(stream, partition, next_offset) VALUES (?1, ?2, ?3)"
			" ON CONFLICT (stream, partition) DO UPDATE SET next_offset = excluded.next_offset"
			" WHERE weir_offsets.next_offset = 0",
			values, 3);
	else
		control_change_sql(change, what, 1,
			"UPDATE weir_offsets SET next_offset = ?3"
			" WHERE stream = ?1 AND partition = ?2 AND next_offset = ?4",
			values, 4);
}

void control_add_counter(struct control_change *change, struct weir_str stream, struct weir_str channel,
	struct weir_str result, uint64_t more)
{
	struct control_value values[] = {CONTROL_T(stream), CONTROL_T(channel), CONTROL_T(result), CONTROL_I(more)};
	control_change_sql(change, "counter", 1,
		"INSERT INTO weir_counters(stream, channel, result, count) VALUES (?1, ?2, ?3, ?4)"
		" ON CONFLICT (stream, channel, result) DO UPDATE SET count = weir_counters.count + excluded.count",
		values, 4);
}
