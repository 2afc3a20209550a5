/*
 * The store against the tables: every object that some kept version names is there, and every object that is there is
 * named by one, waits to be destroyed, belongs to a writer at work, or is young. Other engines' tables are left alone, and so
 * are folders outside the lake's own namespaces.
 */
#include <stdlib.h>

#include "jobs/check_int.h"

struct named {
	struct weir_str name;
	const char *table;
};

struct walk {
	struct check *check;
	struct check_table *table;
	struct check_set places; /* name -> index in names + 1 */
	struct named *names;
	uint32_t count, capacity;
	uint8_t *seen; /* by index */
};

static struct check_key name_key(const struct check *check, struct weir_str name)
{
	return check_key_add(check->seed, name);
}

static int note_name(void *context, struct weir_str name, const struct ice_data_file *file, struct weir_error *err)
{
	struct walk *walk = context;
	uint64_t *place = check_set_put(&walk->places, name_key(walk->check, name));
	(void)file;
	(void)err;
	if (*place != 0)
		return 0;
	WEIR_GROW(walk->names, walk->count, walk->capacity);
	walk->names[walk->count] = (struct named){weir_arena_str(walk->check->arena, name), walk->table->what};
	*place = ++walk->count;
	return 0;
}

/* In a folder that no namespace of the lake's own tables has: what other engines' tables left when they were dropped. */
static bool is_outside(const struct check *check, struct weir_str name)
{
	for (uint32_t t = 0; t < check->table_count; t++) {
		struct weir_str ns = ice_table_name(check->tables[t].table).ns;
		if (name.size > ns.size && name.data[ns.size] == '/' && weir_str_has_prefix(name, ns))
			return false;
	}
	return memchr(name.data, '/', name.size) != NULL;
}

static bool is_foreign(const struct check *check, struct weir_str name)
{
	for (uint32_t i = 0; i < check->foreign_count; i++)
		if (weir_str_has_prefix(name, check->foreign[i]))
			return true;
	return false;
}

static bool is_pending(const struct check *check, struct weir_str name)
{
	for (uint32_t i = 0; i < check->pending_count; i++)
		if (memmem(name.data, name.size, check->pending[i].data, check->pending[i].size) != NULL)
			return true;
	return false;
}

static int look_at(void *context, const struct store_object *object, struct weir_error *err)
{
	struct walk *walk = context;
	struct check *check = walk->check;
	uint64_t place = check_set_get(&walk->places, name_key(check, object->name));
	check->objects++;
	if (place != 0) {
		walk->seen[place - 1] = 1;
		return 0;
	}
	if (check->now_us - object->modified_us < CHECK_GRACE_US ||
		check_set_get(&check->doomed, name_key(check, object->name)) != 0 || is_pending(check, object->name) ||
		is_foreign(check, object->name) || is_outside(check, object->name))
		return 0;
	return check_break(check,
		&(struct check_break){
			.check = "orphans",
			.guarantee = "T3",
			.table = "",
			.file = object->name,
			.what = "nothing names this file",
			.expected = "no unnamed file older than 10 minutes",
			.found = weir_arena_printf(check->arena, "one of %lld minutes",
				(long long)((check->now_us - object->modified_us) / WEIR_US_PER_MINUTE)),
		},
		err);
}

/* Live data files were looked at one by one; here it is also those of older snapshots, and the metadata. */
static int find_missing(struct walk *walk, struct weir_error *err)
{
	for (uint32_t i = 0; i < walk->count; i++)
		if (walk->seen[i] == 0)
			return check_missing(walk->check, "orphans", walk->names[i].table, walk->names[i].name, err);
	return 0;
}

int check_orphans(struct check *check, struct weir_error *err)
{
	struct walk walk = {.check = check};
	int status = 0;
	for (uint32_t t = 0; t < check->table_count && status == 0; t++) {
		walk.table = &check->tables[t];
		status = ice_table_reachable(walk.table->table, note_name, &walk, err);
	}
	walk.seen = weir_zalloc(walk.count > 0 ? walk.count : 1);
	if (status == 0)
		status = store_list(check->store, "", look_at, &walk, err);
	if (status == 0)
		status = find_missing(&walk, err);
	if (status == 0) {
		struct weir_json *json = check_proved(check, "orphans", "T3",
			"every file of a kept snapshot is there, and no other file is older than 10 minutes");
		weir_json_key_uint(json, "named", walk.count);
		weir_json_key_uint(json, "objects", check->objects);
		weir_json_key_uint(json, "doomed", check->doomed.count);
		weir_json_object_end(json);
	}
	check_set_done(&walk.places);
	free(walk.names);
	free(walk.seen);
	return status;
}
