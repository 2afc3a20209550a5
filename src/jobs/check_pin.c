/*
 * The lake at one moment: everything that the check needs of the control database, in one read, which ends before the
 * first file is looked at. A read that stayed open would keep erased bytes in the database's log.
 */
#include <stdlib.h>

#include "jobs/check_int.h"

/* ---- tables ---- */

static struct check_table *find_table(struct check *check, const char *what)
{
	for (uint32_t i = 0; i < check->table_count; i++)
		if (strcmp(check->tables[i].what, what) == 0)
			return &check->tables[i];
	return NULL;
}

static struct check_table *add_table(struct check *check, const char *what)
{
	WEIR_GROW(check->tables, check->table_count, check->table_capacity);
	struct check_table *table = &check->tables[check->table_count++];
	*table = (struct check_table){.what = what, .lake_table = UINT32_MAX};
	return table;
}

static const char *table_text(struct check *check, struct weir_str ns, struct weir_str name)
{
	return weir_arena_printf(check->arena, "%.*s.%.*s", WEIR_STR_ARG(ns), WEIR_STR_ARG(name));
}

/* Tables of the registry, in its order, without versions yet. */
static void expect_tables(struct check *check)
{
	for (uint32_t i = 0; i < ice_registry_count(check->config->registry); i++) {
		struct ice_table *current = ice_registry_table(check->config->registry, i);
		struct ice_name name = ice_table_name(current);
		struct check_table *table = add_table(check, table_text(check, name.ns, name.table));
		table->lake_table = i < check->config->lake->table_count ? i : UINT32_MAX;
		ice_table_unref(current);
	}
}

/* Another engine's table: what lies under it is its own business. */
static void note_foreign(struct check *check, struct weir_str metadata_uri)
{
	struct weir_error ignored = WEIR_ERROR_INIT;
	struct weir_str name;
	if (store_name_of(check->store, check->arena, metadata_uri, &name, &ignored) != 0)
		return;                        /* outside the warehouse */
	for (unsigned cut = 0; cut < 2; cut++) /* LOCATION/metadata/FILE */
		while (name.size > 0 && name.data[--name.size] != '/')
			continue;
	if (name.size == 0)
		return;
	WEIR_GROW(check->foreign, check->foreign_count, check->foreign_capacity);
	check->foreign[check->foreign_count++] = (struct weir_str){name.data, name.size + 1};
}

/* The pointers of one moment; the versions are opened after the read. */
struct pointer {
	struct ice_name name;
	struct weir_str uri;
};
struct pinning {
	struct check *check;
	struct pointer pointers[512];
	uint32_t count;
};

static int note_table(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct pinning *pinning = context;
	struct check *check = pinning->check;
	(void)count;
	if (values[3].integer == 0) {
		note_foreign(check, values[2].text);
		return 0;
	}
	if (pinning->count == sizeof pinning->pointers / sizeof pinning->pointers[0])
		return weir_fail(err, WEIR_E_LIMIT, "more than %u tables", pinning->count);
	struct pointer *pointer = &pinning->pointers[pinning->count++];
	pointer->name = (struct ice_name){
		weir_arena_str(check->arena, values[0].text), weir_arena_str(check->arena, values[1].text)};
	pointer->uri = weir_arena_str(check->arena, values[2].text);
	return 0;
}

static int open_tables(struct check *check, const struct pinning *pinning, struct weir_error *err)
{
	int status = 0;
	for (uint32_t i = 0; i < pinning->count && status == 0; i++) {
		const struct pointer *pointer = &pinning->pointers[i];
		const char *what = table_text(check, pointer->name.ns, pointer->name.table);
		struct check_table *table = find_table(check, what);
		if (table == NULL)
			table = add_table(check, what);
		status = ice_table_open(check->store, check->cache, pointer->name, pointer->uri, &table->table, err);
		if (status == 0)
			status = ice_plan(table->table, -1, NULL, &table->files, err);
	}
	for (uint32_t i = 0; i < check->table_count && status == 0; i++)
		if (check->tables[i].table == NULL)
			status = check_break(check,
				&(struct check_break){.check = "tables",
					.guarantee = "E4",
					.table = check->tables[i].what,
					.what = "the catalog has no such table",
					.expected = "a table of weir",
					.found = "nothing"},
				err);
	return status;
}

/* ---- streams ---- */

static int note_sum(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	(void)count;
	(void)err;
	*(uint64_t *)context = (uint64_t)values[0].integer;
	return 0;
}

static int note_counter(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct check_stream *stream = context;
	uint64_t sum = (uint64_t)values[1].integer;
	(void)count;
	(void)err;
	if (weir_str_is(values[0].text, "accepted"))
		stream->accepted = sum;
	else if (weir_str_is(values[0].text, "duplicate"))
		stream->duplicates = sum;
	else if (weir_str_is(values[0].text, "dead_letter"))
		stream->dead_letters = sum;
	return 0;
}

static int read_streams(struct check *check, struct control_read *read, struct weir_error *err)
{
	const struct lake *lake = check->config->lake;
	check->streams = weir_arena_calloc(check->arena, lake->stream_count, sizeof *check->streams);
	int status = 0;
	for (uint32_t i = 0; i < lake->stream_count && status == 0; i++) {
		struct control_value name = CONTROL_T(lake->streams[i].name);
		status = control_read_query(read,
			"SELECT COALESCE(SUM(next_offset), 0) FROM weir_offsets WHERE stream = ?1", &name, 1, note_sum,
			&check->streams[i].offsets, err);
		if (status == 0)
			status = control_read_query(read,
				"SELECT result, SUM(count) FROM weir_counters WHERE stream = ?1 GROUP BY result", &name,
				1, note_counter, &check->streams[i], err);
	}
	return status;
}

/* ---- consent ---- */

static int note_task(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct check *check = context;
	(void)count;
	(void)err;
	struct check_key key = check_key_add(check_key_add(check->seed, values[0].text), values[1].text);
	*check_set_put(&check->tasks, key) = 1;
	check->open_tasks++;
	return 0;
}

/* What the tables of consent say against each other. */
static const struct {
	const char *sql, *what, *expected;
} consent_tables[] = {
	{"SELECT COUNT(*) FROM weir_consent_rules r WHERE NOT EXISTS (SELECT 1 FROM weir_consent_log l WHERE l.lsn = "
	 "r.lsn"
	 " AND l.kind = 'post' AND l.subject = r.subject AND l.rule_id = r.rule_id AND l.body = r.body)",
		"rules that are not what the consent log posted", "0 such rules"},
	{"SELECT COUNT(*) FROM weir_consent_log l WHERE l.kind = 'withdraw' AND NOT EXISTS (SELECT 1 FROM"
	 " weir_consent_withdrawals w WHERE w.subject = l.subject AND w.purpose = l.purpose AND w.lsn >= l.lsn)",
		"withdrawals of the consent log that no longer stand", "0 such withdrawals"},
	{"SELECT COALESCE(MAX(lsn), 0) - COUNT(*) FROM weir_consent_log", "the consent log has gaps",
		"every number up to its head"},
	{"SELECT COUNT(*) FROM weir_fence f WHERE NOT EXISTS (SELECT 1 FROM weir_tasks t WHERE t.subject = f.subject"
	 " AND t.purpose = f.purpose AND t.state = 'open')",
		"entries of the fence without an open task", "0 such entries"},
};

static int check_consent_tables(struct check *check, struct control_read *read, struct weir_error *err)
{
	uint64_t number = 0;
	int status = 0;
	for (size_t i = 0; i < sizeof consent_tables / sizeof consent_tables[0] && status == 0; i++) {
		status = control_read_query(read, consent_tables[i].sql, NULL, 0, note_sum, &number, err);
		if (status == 0 && number != 0)
			status = check_break(check,
				&(struct check_break){.check = "consent log",
					.guarantee = "G2",
					.table = "control",
					.what = consent_tables[i].what,
					.expected = consent_tables[i].expected,
					.found = check_number(check, number)},
				err);
	}
	if (status != 0)
		return status;
	struct weir_json *json = check_proved(check, "consent log", "G2",
		"the log has no gap, rules and withdrawals are what it says, and each entry of the fence has an open "
		"task");
	weir_json_key_uint(json, "head", check->head);
	weir_json_key_uint(json, "fence", check->fence);
	weir_json_object_end(json);
	return 0;
}

static int read_consent(struct check *check, struct control_read *read, struct weir_error *err)
{
	const struct lake *lake = check->config->lake;
	check->rules = weir_arena_calloc(check->arena, lake->consent_count, sizeof(struct consent_rules *));
	if (lake->consent_count == 0)
		return 0;
	int status = control_read_query(
		read, "SELECT subject, purpose FROM weir_tasks WHERE state = 'open'", NULL, 0, note_task, check, err);
	if (status == 0)
		status = control_read_query(
			read, "SELECT COUNT(*) FROM weir_fence", NULL, 0, note_sum, &check->fence, err);
	for (uint32_t i = 0; i < lake->consent_count && status == 0; i++) {
		status = consent_rules_at(
			read, consent_vocabulary_of(check->config->consents[i]), &check->rules[i], err);
		if (status == 0)
			check->head = consent_rules_lsn(check->rules[i]);
	}
	return status == 0 ? check_consent_tables(check, read, err) : status;
}

/* ---- files that are on their way in or out ---- */

static int note_doomed(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct check *check = context;
	(void)count;
	(void)err;
	*check_set_put(&check->doomed, check_key_add(check->seed, values[0].text)) = 1;
	return 0;
}

static int note_pending(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct check *check = context;
	(void)count;
	(void)err;
	WEIR_GROW(check->pending, check->pending_count, check->pending_capacity);
	check->pending[check->pending_count++] = weir_arena_str(check->arena, values[0].text);
	return 0;
}

int check_pin(struct check *check, struct weir_error *err)
{
	struct pinning *pinning = weir_zalloc(sizeof *pinning);
	struct control_read *read = NULL;
	pinning->check = check;
	expect_tables(check);
	int status = control_read_begin(check->config->control, &read, err);
	if (status == 0)
		status = control_read_query(read,
			"SELECT table_namespace, table_name, metadata_location, EXISTS (SELECT 1 FROM weir_owned o "
			"WHERE o.namespace ="
			" table_namespace) FROM iceberg_tables WHERE catalog_name = 'weir' ORDER BY table_namespace, "
			"table_name",
			NULL, 0, note_table, pinning, err);
	if (status == 0)
		status = read_streams(check, read, err);
	if (status == 0)
		status = control_read_query(
			read, "SELECT name FROM weir_doomed_files", NULL, 0, note_doomed, check, err);
	if (status == 0)
		status = control_read_query(
			read, "SELECT prefix FROM weir_pending_files", NULL, 0, note_pending, check, err);
	if (status == 0)
		status = read_consent(check, read, err);
	control_read_end(read);
	if (status == 0)
		status = open_tables(check, pinning, err);
	free(pinning);
	return status;
}
