/*
 * The section `tables` of lake.yaml. A table descends from a stream: raw (bronze) -> silver -> gold ->
 * history; each kind at most once a stream. They are stored in that order, whatever the file's.
 */
#include "lake/lake_int.h"

#include <stdio.h>

enum {
	T_FROM,
	T_RAW,
	T_REMOVED,
	T_SQL,
	T_CONSENT,
	T_COLUMNS,
	T_PARTITION,
	T_LANDING,
	T_SORT,
	T_FILES,
	T_SNAPSHOTS,
	T_KEEP,
	T_READERS,
	T_COUNT
};
static const char *const table_keys[T_COUNT] = {"from", "raw", "removed", "sql", "consent", "columns", "partition",
	"landing", "sort", "files", "snapshots", "keep", "readers"};

/* A table on its way: its members by table_keys. */
struct draft {
	const struct lake_entry *entry;
	struct fy_node *values[T_COUNT];
	enum lake_table_kind kind;
	struct weir_str from;
	uint32_t index; /* in lake->tables, once it is there */
	char what[160];
};

static bool split_at(struct weir_str text, char at, struct weir_str *ret_before, struct weir_str *ret_after)
{
	const char *found = memchr(text.data, at, text.size);
	if (found == NULL)
		return false;
	*ret_before = (struct weir_str){text.data, (size_t)(found - text.data)};
	*ret_after = (struct weir_str){found + 1, text.size - ret_before->size - 1};
	return true;
}

/* "day(timestamp)", "bucket(16, subject)", "purpose"; false where it is none of these. */
static bool parse_partition(struct weir_arena *arena, struct weir_str text, struct lake_partition *ret_partition)
{
	static const char *const plain[] = {"identity", "year", "month", "day", "hour", "void"};
	struct weir_str name, rest, width, column;
	text = weir_str_trim(text);
	if (!split_at(text, '(', &name, &rest)) {
		*ret_partition = (struct lake_partition){WEIR_STR("identity"), text};
		return lake_is_identifier(text);
	}
	if (rest.size < 2 || rest.data[rest.size - 1] != ')')
		return false;
	rest.size--;
	name = weir_str_trim(name);
	if (weir_str_is(name, "bucket") || weir_str_is(name, "truncate")) {
		uint64_t number = 0;
		if (!split_at(rest, ',', &width, &column) || !weir_str_to_u64(weir_str_trim(width), &number) ||
			number == 0 || number > INT32_MAX || !lake_is_identifier(weir_str_trim(column)))
			return false;
		*ret_partition = (struct lake_partition){
			weir_str_from(weir_arena_printf(arena, "%.*s[%u]", WEIR_STR_ARG(name), (unsigned)number)),
			weir_str_trim(column)};
		return true;
	}
	*ret_partition = (struct lake_partition){name, weir_str_trim(rest)};
	for (size_t i = 0; i < LAKE_COUNT(plain); i++) {
		if (weir_str_is(name, plain[i]))
			return lake_is_identifier(weir_str_trim(rest));
	}
	return false;
}

static int read_partitions(struct lake_yaml *yaml, struct fy_node *node, const struct lake_partition **ret_partitions,
	uint32_t *ret_count, struct weir_error *err)
{
	const struct weir_str *texts = NULL;
	uint32_t count = 0;
	if (node == NULL)
		return 0;
	int code = lake_yaml_texts(yaml, node, &texts, &count, err);
	if (code < 0)
		return code;
	struct lake_partition *partitions = weir_arena_calloc(yaml->arena, count, sizeof *partitions);
	for (uint32_t i = 0; i < count; i++) {
		if (!parse_partition(yaml->arena, texts[i], &partitions[i]))
			return lake_yaml_fail(yaml, lake_yaml_element(node, i), WEIR_E_INPUT, err,
				"'%.*s' is no partition field; write COLUMN, year(COLUMN), month(COLUMN), day(COLUMN), "
				"hour(COLUMN), "
				"bucket(N, COLUMN) or truncate(N, COLUMN)",
				WEIR_STR_ARG(texts[i]));
	}
	*ret_partitions = partitions;
	*ret_count = count;
	return 0;
}

static int read_files(struct lake_yaml *yaml, struct fy_node *files, struct fy_node *snapshots,
	struct lake_table *table, struct weir_error *err)
{
	static const char *const file_keys[] = {"target", "own_partition_from"}, *const snapshot_keys[] = {"keep"};
	struct fy_node *file_values[LAKE_COUNT(file_keys)], *snapshot_values[LAKE_COUNT(snapshot_keys)];
	int code = lake_yaml_members(yaml, files, "files", file_keys, LAKE_COUNT(file_keys), file_values, err);
	if (code == 0)
		code = lake_yaml_size(yaml, file_values[0], &table->file_target_bytes, err);
	if (code == 0)
		code = lake_yaml_size(yaml, file_values[1], &table->own_partition_from_bytes, err);
	if (code == 0)
		code = lake_yaml_members(
			yaml, snapshots, "snapshots", snapshot_keys, LAKE_COUNT(snapshot_keys), snapshot_values, err);
	if (code == 0)
		code = lake_yaml_count(yaml, snapshot_values[0], 1, UINT32_MAX, &table->keep_snapshots, err);
	return code;
}

/* Keys that a kind of table may have beside from, partition, sort, files, snapshots and keep. */
static int check_kind(struct lake_yaml *yaml, const struct draft *draft, struct weir_error *err)
{
	static const struct {
		int key;
		enum lake_table_kind kind;
	} own[] = {{T_RAW, LAKE_RAW}, {T_SQL, LAKE_SILVER}, {T_CONSENT, LAKE_GOLD}, {T_COLUMNS, LAKE_GOLD},
		{T_LANDING, LAKE_GOLD}, {T_REMOVED, LAKE_HISTORY_OF}, {T_READERS, LAKE_HISTORY_OF}};
	static const char *const kinds[] = {
		"a raw table", "a silver table (sql)", "a table with consent", "a table of removed rows"};
	for (size_t i = 0; i < LAKE_COUNT(own); i++) {
		if (draft->values[own[i].key] != NULL && own[i].kind != draft->kind)
			return lake_yaml_fail(yaml, draft->values[own[i].key], WEIR_E_INPUT, err,
				"'%s' belongs to %s, but %s is %s", table_keys[own[i].key], kinds[own[i].kind],
				draft->what, kinds[draft->kind]);
	}
	if (draft->kind == LAKE_GOLD && draft->values[T_COLUMNS] == NULL)
		return lake_yaml_fail(yaml, draft->entry->key, WEIR_E_INPUT, err,
			"%s has no columns; add 'columns: FILE.sql' with a SELECT of its columns", draft->what);
	return 0;
}

static int read_draft(
	struct lake_yaml *yaml, const struct lake_entry *entry, struct draft *draft, struct weir_error *err)
{
	bool raw = false, removed = false;
	draft->entry = entry;
	struct weir_str ns, name;
	snprintf(draft->what, sizeof draft->what, "table %.*s", entry->name.size > 130 ? 130 : (int)entry->name.size,
		entry->name.data);
	if (!split_at(entry->name, '.', &ns, &name) || !lake_is_identifier(ns) || !lake_is_identifier(name))
		return lake_yaml_fail(yaml, entry->key, WEIR_E_INPUT, err,
			"%s is not NAMESPACE.NAME, as in gold.readings", draft->what);
	if (weir_str_is(entry->name, "bronze.dead_letters") || weir_str_is(ns, "audit") || weir_str_is(ns, "lookup"))
		return lake_yaml_fail(
			yaml, entry->key, WEIR_E_INPUT, err, "%s is a name of weir's own; choose another", draft->what);
	int code = lake_yaml_members(yaml, entry->value, draft->what, table_keys, T_COUNT, draft->values, err);
	if (code == 0 && draft->values[T_FROM] == NULL)
		code = lake_yaml_fail(yaml, entry->key, WEIR_E_INPUT, err,
			"%s does not say what it is made from; add 'from: ...'", draft->what);
	if (code == 0)
		code = lake_yaml_text(yaml, draft->values[T_FROM], &draft->from, err);
	if (code == 0)
		code = lake_yaml_bool(yaml, draft->values[T_RAW], &raw, err);
	if (code == 0)
		code = lake_yaml_bool(yaml, draft->values[T_REMOVED], &removed, err);
	if (code < 0)
		return code;
	if (!raw && !removed && draft->values[T_CONSENT] == NULL && draft->values[T_SQL] == NULL)
		return lake_yaml_fail(yaml, entry->key, WEIR_E_INPUT, err,
			"%s is of no kind; add 'raw: true', 'sql: FILE', 'consent: NAME' or 'removed: true'",
			draft->what);
	draft->kind = raw                          ? LAKE_RAW
		: removed                          ? LAKE_HISTORY_OF
		: draft->values[T_CONSENT] != NULL ? LAKE_GOLD
						   : LAKE_SILVER;
	return check_kind(yaml, draft, err);
}

/* Finds what the table is made from: a stream (raw, silver) or a table of the kind before. */
static int resolve_from(struct lake_yaml *yaml, const struct draft *draft, struct draft *drafts, uint32_t count,
	struct lake_table *table, struct weir_error *err)
{
	const struct lake *lake = yaml->lake;
	static const char *const wanted[] = {"stream", "stream", "silver table", "table with consent"};
	const char **names = weir_arena_calloc(yaml->arena, count + lake->stream_count, sizeof *names);
	size_t name_count = 0;
	if (draft->kind == LAKE_RAW || draft->kind == LAKE_SILVER) {
		table->stream = lake_find_stream(lake, draft->from);
		table->from = UINT32_MAX;
		for (uint32_t i = 0; i < lake->stream_count; i++)
			names[name_count++] = weir_arena_cstr(yaml->arena, lake->streams[i].name);
		if (table->stream == UINT32_MAX)
			return lake_yaml_unknown(
				yaml, draft->values[T_FROM], wanted[draft->kind], draft->from, names, name_count, err);
		if (draft->kind == LAKE_SILVER) {
			table->from = lake_stream_table(lake, table->stream, LAKE_RAW);
			if (table->from == UINT32_MAX)
				return lake_yaml_fail(yaml, draft->values[T_FROM], WEIR_E_INPUT, err,
					"stream '%.*s' has no raw table; add one with 'raw: true'",
					WEIR_STR_ARG(draft->from));
		}
		return 0;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (drafts[i].kind + 1 != draft->kind)
			continue;
		names[name_count++] = weir_arena_cstr(yaml->arena, drafts[i].entry->name);
		if (weir_str_equal(drafts[i].entry->name, draft->from)) {
			table->from = drafts[i].index;
			table->stream = lake->tables[table->from].stream;
			return 0;
		}
	}
	return lake_yaml_unknown(yaml, draft->values[T_FROM], wanted[draft->kind], draft->from, names, name_count, err);
}

static int read_consent_name(
	struct lake_yaml *yaml, const struct draft *draft, struct lake_table *table, struct weir_error *err)
{
	const struct lake *lake = yaml->lake;
	const char **names = weir_arena_calloc(yaml->arena, lake->consent_count + 1, sizeof *names);
	struct weir_str name = {0};
	int code = lake_yaml_text(yaml, draft->values[T_CONSENT], &name, err);
	if (code < 0)
		return code;
	for (uint32_t i = 0; i < lake->consent_count; i++) {
		names[i] = weir_arena_cstr(yaml->arena, lake->consents[i].name);
		if (weir_str_equal(lake->consents[i].name, name)) {
			table->consent = i;
			return 0;
		}
	}
	return lake_yaml_unknown(
		yaml, draft->values[T_CONSENT], "consent section", name, names, lake->consent_count, err);
}

/* Rows are sorted once, for silver; gold is that order under a mask. */
static int read_sort(
	struct lake_yaml *yaml, const struct draft *draft, struct lake_table *table, struct weir_error *err)
{
	int code = lake_yaml_names(yaml, draft->values[T_SORT], &table->sort, &table->sort_count, err);
	if (code != 0 || draft->kind != LAKE_GOLD)
		return code;
	const struct lake_table *silver = &yaml->lake->tables[table->from];
	bool same = table->sort_count == silver->sort_count;
	for (uint32_t i = 0; same && i < table->sort_count; i++)
		same = weir_str_equal(table->sort[i], silver->sort[i]);
	if (!same)
		return lake_yaml_fail(yaml, draft->entry->key, WEIR_E_INPUT, err,
			"gold is sorted as the table that it is made from; give it the sort of %.*s.%.*s",
			WEIR_STR_ARG(silver->ns), WEIR_STR_ARG(silver->name));
	return 0;
}

static int read_table(
	struct lake_yaml *yaml, const struct draft *draft, struct lake_table *table, struct weir_error *err)
{
	struct lake *lake = yaml->lake;
	table->kind = draft->kind;
	table->consent = UINT32_MAX;
	split_at(weir_arena_str(yaml->arena, draft->entry->name), '.', &table->ns, &table->name);
	table->sql = table->sql_path = WEIR_STR("");
	table->file_target_bytes = 128U << 20;
	table->own_partition_from_bytes = 8U << 20;
	table->keep_snapshots = 100;
	if (draft->kind == LAKE_HISTORY_OF) {
		/* Removed rows are few and come from many files: they lie together as gold's landing rows do, unsorted. */
		const struct lake_table *gold = &lake->tables[table->from];
		table->consent = gold->consent;
		table->partition = gold->landing_count > 0 ? gold->landing : gold->partition;
		table->partition_count = gold->landing_count > 0 ? gold->landing_count : gold->partition_count;
	}
	int code = lake_yaml_file(yaml, draft->values[T_SQL], LAKE_MAX_TEXT_BYTES, &table->sql_path, &table->sql, err);
	if (code == 0)
		code = lake_yaml_file(
			yaml, draft->values[T_COLUMNS], LAKE_MAX_TEXT_BYTES, &table->sql_path, &table->sql, err);
	if (code == 0 && draft->kind == LAKE_GOLD)
		code = read_consent_name(yaml, draft, table, err);
	if (code == 0)
		code = read_partitions(
			yaml, draft->values[T_PARTITION], &table->partition, &table->partition_count, err);
	if (code == 0)
		code = read_partitions(yaml, draft->values[T_LANDING], &table->landing, &table->landing_count, err);
	if (code == 0)
		code = read_sort(yaml, draft, table, err);
	if (code == 0)
		code = read_files(yaml, draft->values[T_FILES], draft->values[T_SNAPSHOTS], table, err);
	if (code == 0)
		code = lake_yaml_duration(yaml, draft->values[T_KEEP], &table->keep_us, err);
	if (code == 0)
		code = lake_yaml_names(yaml, draft->values[T_READERS], &table->readers, &table->reader_count, err);
	return code;
}

int lake_read_tables(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err)
{
	struct lake *lake = yaml->lake;
	struct lake_entry *entries = NULL;
	uint32_t count = 0;
	int code = lake_yaml_entries(yaml, node, "tables", &entries, &count, err);
	if (code < 0)
		return code;
	struct draft *drafts = weir_arena_calloc(yaml->arena, count, sizeof *drafts);
	struct lake_table *tables = weir_arena_calloc(yaml->arena, count, sizeof *tables);
	for (uint32_t i = 0; code == 0 && i < count; i++)
		code = read_draft(yaml, &entries[i], &drafts[i], err);
	lake->tables = tables;
	for (int kind = LAKE_RAW; code == 0 && kind <= LAKE_HISTORY_OF; kind++) {
		for (uint32_t i = 0; code == 0 && i < count; i++) {
			if ((int)drafts[i].kind != kind)
				continue;
			struct lake_table *table = &tables[lake->table_count];
			code = resolve_from(yaml, &drafts[i], drafts, count, table, err);
			if (code == 0 && lake_stream_table(lake, table->stream, drafts[i].kind) != UINT32_MAX)
				code = lake_yaml_fail(yaml, entries[i].key, WEIR_E_INPUT, err,
					"stream '%.*s' has a table of this kind already; one of each kind is the limit",
					WEIR_STR_ARG(lake->streams[table->stream].name));
			if (code == 0)
				code = read_table(yaml, &drafts[i], table, err);
			drafts[i].index = lake->table_count++;
		}
	}
	for (uint32_t i = 0; code == 0 && i < lake->stream_count; i++) {
		if (lake_stream_table(lake, i, LAKE_RAW) == UINT32_MAX)
			code = lake_yaml_fail(yaml, node, WEIR_E_INPUT, err,
				"stream '%.*s' has no raw table; add one with 'from: %.*s' and 'raw: true'",
				WEIR_STR_ARG(lake->streams[i].name), WEIR_STR_ARG(lake->streams[i].name));
	}
	return code;
}
