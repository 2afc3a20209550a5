/*
 * The lake's fsck: the steps in their order, the attempts, and the answer.
 *
 * Everything is compared as of one control read. Writers go on meanwhile; where a removal erased a file that the check
 * had yet to read, it starts over with a new read. A file that is missing in two reads, one after the other, is a
 * break: a version never names what was destroyed before it was read.
 *
 * Breaks are named by table, file and the row's trace id; never by subject or content.
 */
#include "jobs/check_int.h"

#include <stdlib.h>

#include "base/rng.h"

#define CACHE_BYTES (64U << 20)

/* ---- what the steps share ---- */

static void text_member(struct weir_json *json, const char *name, struct weir_str text)
{
	if (text.size > 0)
		weir_json_key_string(json, name, text);
}

int check_break(struct check *check, const struct check_break *found, struct weir_error *err)
{
	struct weir_json json = weir_json_to(&check->found);
	WEIR_ASSERT(check->found.size == 0);
	weir_json_object(&json);
	weir_json_key_cstring(&json, "check", found->check);
	weir_json_key_cstring(&json, "guarantee", found->guarantee);
	text_member(&json, "table", weir_str_from(found->table));
	text_member(&json, "file", found->file);
	text_member(&json, "trace_id", found->trace_id);
	text_member(&json, "purpose", found->purpose);
	weir_json_key_cstring(&json, "what", found->what);
	weir_json_key_cstring(&json, "expected", found->expected);
	weir_json_key_cstring(&json, "found", found->found);
	weir_json_object_end(&json);
	return weir_fail_at(err, WEIR_E_CORRUPT, weir_str_from(found->table), WEIR_ERROR_NO_OFFSET, "%s", found->what);
}

static bool missing_again(struct check *check, struct weir_str name)
{
	size_t size = name.size < STORE_NAME_MAX ? name.size : STORE_NAME_MAX;
	bool again = size > 0 && weir_str_equal((struct weir_str){name.data, size}, weir_str_from(check->missing));
	if (size > 0)
		memcpy(check->missing, name.data, size);
	check->missing[size] = '\0';
	return again;
}

int check_missing(
	struct check *check, const char *check_name, const char *table, struct weir_str name, struct weir_error *err)
{
	check->noted = true;
	if (!missing_again(check, name))
		return weir_fail_at(err, WEIR_E_NOT_FOUND, name, WEIR_ERROR_NO_OFFSET, "the file is not there");
	return check_break(check,
		&(struct check_break){.check = check_name,
			.guarantee = "T3",
			.table = table,
			.file = name,
			.what = "a file that the table needs is missing",
			.expected = "the file",
			.found = "nothing"},
		err);
}

struct weir_json *check_proved(struct check *check, const char *name, const char *guarantee, const char *what)
{
	struct weir_json *json = &check->json;
	weir_json_object(json);
	weir_json_key_cstring(json, "check", name);
	weir_json_key_cstring(json, "guarantee", guarantee);
	weir_json_key_cstring(json, "what", what);
	return json;
}

struct check_table *check_table_of(struct check *check, uint32_t lake_table)
{
	WEIR_ASSERT(lake_table < check->table_count);
	return &check->tables[lake_table];
}

const char *check_number(struct check *check, uint64_t value)
{
	return weir_arena_printf(check->arena, "%llu", (unsigned long long)value);
}

struct weir_schema *check_projection(
	struct weir_arena *arena, const struct weir_schema *schema, const struct weir_str *names, uint32_t count)
{
	struct weir_schema *projection = weir_arena_zalloc(arena, sizeof *projection);
	projection->id = schema->id;
	projection->fields = weir_arena_calloc(arena, count, sizeof *projection->fields);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = names[i].size > 0 ? weir_schema_find(schema, names[i]) : WEIR_NO_FIELD;
		if (at != WEIR_NO_FIELD && weir_schema_find(projection, names[i]) == WEIR_NO_FIELD)
			projection->fields[projection->field_count++] = schema->fields[at];
	}
	return projection;
}

/* ---- attempts ---- */

static void forget(struct check *check)
{
	for (uint32_t i = 0; i < check->table_count; i++) {
		ice_file_list_free(check->tables[i].files);
		if (check->tables[i].table != NULL)
			ice_table_unref(check->tables[i].table);
	}
	for (uint32_t i = 0; check->rules != NULL && i < check->config->lake->consent_count; i++)
		consent_rules_unref(check->rules[i]);
	check_set_done(&check->tasks);
	check_set_done(&check->doomed);
	free(check->tables);
	free(check->foreign);
	free(check->pending);
	weir_buf_done(&check->proved);
	weir_buf_done(&check->found);
	if (check->cache != NULL)
		ice_cache_free(check->cache);
	weir_arena_free(check->arena);
}

/* A new check that remembers of the last one only what it missed. */
static void begin(struct check *check)
{
	struct check fresh = {.config = check->config, .arena = weir_arena_new(0), .cache = ice_cache_new(CACHE_BYTES)};
	fresh.store = ice_registry_store(check->config->registry);
	fresh.now_us = weir_now_us(&check->config->clock);
	fresh.group_rows = check->config->group_rows > 0 ? check->config->group_rows : CHECK_GROUP_ROWS;
	weir_random_bytes(&fresh.seed, sizeof fresh.seed);
	memcpy(fresh.missing, check->missing, sizeof fresh.missing);
	*check = fresh;
	check->json = weir_json_to(&check->proved);
	weir_json_array(&check->json);
}

static int run(struct check *check, struct weir_error *err)
{
	static int (*const steps[])(struct check *, struct weir_error *) = {
		check_pin, check_files, check_counters, check_consent, check_history, check_orphans, check_order};
	int status = 0;
	for (size_t i = 0; i < sizeof steps / sizeof steps[0] && status == 0; i++)
		status = steps[i](check, err);
	return status;
}

/* A file that cannot be read as what it should be is a break too; errors of the machine stay errors. */
static int judge(struct check *check, int status, struct weir_error *err)
{
	bool unreadable = status == WEIR_E_CORRUPT || status == WEIR_E_INPUT || status == WEIR_E_LIMIT ||
		status == WEIR_E_UNSUPPORTED;
	struct weir_str object = weir_str_from(err->object);
	if (check->found.size > 0)
		return WEIR_E_CORRUPT;
	if (unreadable || (status == WEIR_E_NOT_FOUND && !check->noted && missing_again(check, object)))
		return check_break(check,
			&(struct check_break){.check = "files",
				.guarantee = "T1",
				.table = "",
				.file = object,
				.what = "a file cannot be read",
				.expected = "what the table's metadata says",
				.found = weir_arena_printf(check->arena, "%s", err->message)},
			&(struct weir_error){0});
	return status;
}

static void answer(struct check *check, struct weir_json *json, bool sound)
{
	weir_json_array_end(&check->json);
	weir_json_object(json);
	weir_json_key_bool(json, "sound", sound);
	weir_json_key_uint(json, "consent_lsn", check->head);
	weir_json_key(json, "proved");
	weir_json_raw(json, weir_buf_str(&check->proved));
	weir_json_key_uint(json, "open_tasks", check->open_tasks);
	if (!sound) {
		weir_json_key(json, "break");
		weir_json_raw(json, weir_buf_str(&check->found));
	}
	weir_json_object_end(json);
}

int jobs_check(const struct check_config *config, struct weir_json *json, bool *ret_sound, struct weir_error *err)
{
	struct check *check = weir_zalloc(sizeof *check);
	int status = WEIR_E_NOT_FOUND;
	check->config = config;
	*ret_sound = false;
	for (unsigned attempt = 0; attempt < CHECK_ATTEMPTS && status == WEIR_E_NOT_FOUND; attempt++) {
		if (attempt > 0)
			forget(check);
		begin(check);
		*err = WEIR_ERROR_INIT;
		status = run(check, err);
		if (status != 0)
			status = judge(check, status, err);
	}
	if (status == 0 || check->found.size > 0) {
		*ret_sound = status == 0;
		answer(check, json, *ret_sound);
		status = 0;
	} else if (status == WEIR_E_NOT_FOUND) {
		status = weir_fail(err, WEIR_E_BUSY,
			"%u times a file that was to be read was erased meanwhile; check again when fewer removals run",
			CHECK_ATTEMPTS);
	}
	forget(check);
	free(check);
	return status;
}
