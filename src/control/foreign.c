/* Pointers in SQL catalogs, in the SQL that both databases take. See foreign.h. */
#include "control/foreign.h"

#include <stdlib.h>
#include <string.h>

#include "control/foreign_int.h"

int control_foreign_open(const char *url, struct control_foreign **ret_foreign, struct weir_error *err)
{
	struct control_foreign *foreign = weir_zalloc(sizeof *foreign);
	bool is_postgres = strncmp(url, "postgresql://", 13) == 0 || strncmp(url, "postgres://", 11) == 0;
	foreign->ops = is_postgres ? &foreign_postgres : &foreign_sqlite;
	int rc = foreign->ops->open(foreign, url, err);
	if (rc != 0)
		control_foreign_close(foreign);
	else
		*ret_foreign = foreign;
	return rc;
}

void control_foreign_close(struct control_foreign *foreign)
{
	if (foreign == NULL)
		return;
	foreign->ops->close(foreign);
	free(foreign->place);
	free(foreign);
}

/* The first cell of the last row, and how many rows there were. */
struct found {
	struct weir_arena *arena;
	struct weir_str text;
	unsigned rows;
};

static int take_first(void *context, const struct weir_str *cells, unsigned count, struct weir_error *err)
{
	struct found *found = context;
	(void)count;
	(void)err;
	found->rows++;
	if (found->arena != NULL)
		found->text = weir_arena_str(found->arena, cells[0]);
	return 0;
}

static int missing(
	const struct control_foreign *foreign, const struct control_foreign_name *name, struct weir_error *err)
{
	return weir_fail(err, WEIR_E_NOT_FOUND, "the catalog %s has no table %.*s.%.*s", foreign->place,
		WEIR_STR_ARG(name->ns), WEIR_STR_ARG(name->table));
}

int control_foreign_find(struct control_foreign *foreign, struct weir_arena *arena, struct control_foreign_name *name,
	struct weir_error *err)
{
	const struct weir_str names[] = {name->ns, name->table};
	struct found found = {.arena = arena};
	int64_t changed;
	if (name->catalog.size > 0)
		return 0;
	int rc = foreign->ops->run(foreign,
		"SELECT catalog_name FROM iceberg_tables WHERE table_namespace = ?1 AND table_name = ?2", names, 2,
		take_first, &found, &changed, err);
	if (rc == 0 && found.rows == 0)
		rc = missing(foreign, name, err);
	if (rc == 0 && found.rows > 1)
		rc = weir_fail(err, WEIR_E_INPUT, "%u catalogs of %s have a table %.*s.%.*s; say which", found.rows,
			foreign->place, WEIR_STR_ARG(name->ns), WEIR_STR_ARG(name->table));
	if (rc == 0)
		name->catalog = found.text;
	return rc;
}

int control_foreign_pointer(struct control_foreign *foreign, struct weir_arena *arena,
	const struct control_foreign_name *name, struct weir_str *ret_uri, struct weir_error *err)
{
	const struct weir_str names[] = {name->catalog, name->ns, name->table};
	struct found found = {.arena = arena};
	int64_t changed;
	int rc = foreign->ops->run(foreign,
		"SELECT metadata_location FROM iceberg_tables WHERE catalog_name = ?1 AND table_namespace = ?2"
		" AND table_name = ?3 AND metadata_location IS NOT NULL",
		names, 3, take_first, &found, &changed, err);
	if (rc == 0 && found.rows == 0)
		rc = missing(foreign, name, err);
	if (rc == 0)
		*ret_uri = found.text;
	return rc;
}

/* A broken connection may hide a swap that was done: it was, where the pointer is the new one. */
static int settle_swap(struct control_foreign *foreign, const struct control_foreign_name *name, struct weir_str new,
	struct weir_error *err)
{
	struct weir_arena *scratch = weir_arena_new(4096);
	struct weir_error ignored = WEIR_ERROR_INIT;
	struct weir_str uri = {0};
	bool happened =
		control_foreign_pointer(foreign, scratch, name, &uri, &ignored) == 0 && weir_str_equal(uri, new);
	weir_arena_free(scratch);
	return happened
		? 0
		: weir_fail(err, WEIR_E_UNKNOWN,
			  "the connection to %s broke during the commit, which may have happened or not: look at the "
			  "table before trying again",
			  foreign->place);
}

int control_foreign_swap(struct control_foreign *foreign, const struct control_foreign_name *name, struct weir_str old,
	struct weir_str new, struct weir_error *err)
{
	const struct weir_str texts[] = {new, old, name->catalog, name->ns, name->table};
	int64_t changed = 0;
	int rc = foreign->ops->run(foreign,
		"UPDATE iceberg_tables SET metadata_location = ?1, previous_metadata_location = ?2"
		" WHERE catalog_name = ?3 AND table_namespace = ?4 AND table_name = ?5 AND metadata_location = ?2",
		texts, 5, NULL, NULL, &changed, err);
	if (rc == WEIR_E_UNKNOWN)
		return settle_swap(foreign, name, new, err);
	if (rc == 0 && changed != 1)
		rc = weir_fail(err, WEIR_E_CONFLICT, "another writer changed the table first");
	return rc;
}

int control_foreign_is_owned(
	struct control_foreign *foreign, struct weir_str ns, bool *ret_owned, struct weir_error *err)
{
	struct found tables = {0}, rows = {0};
	int64_t changed;
	int rc = foreign->ops->run(foreign, foreign->ops->find_owned, NULL, 0, take_first, &tables, &changed, err);
	if (rc == 0 && tables.rows > 0)
		rc = foreign->ops->run(foreign, "SELECT 1 FROM weir_owned WHERE namespace = ?1", &ns, 1, take_first,
			&rows, &changed, err);
	*ret_owned = rows.rows > 0;
	return rc;
}

struct listing {
	control_foreign_table_fn *table;
	void *context;
};

static int list_one(void *context, const struct weir_str *cells, unsigned count, struct weir_error *err)
{
	struct listing *listing = context;
	const struct control_foreign_name name = {cells[0], cells[1], cells[2]};
	(void)count;
	return listing->table(listing->context, &name, cells[3], err);
}

int control_foreign_list(struct control_foreign *foreign, struct weir_str catalog, control_foreign_table_fn *table,
	void *context, struct weir_error *err)
{
	struct listing listing = {table, context};
	int64_t changed;
	return foreign->ops->run(foreign,
		"SELECT catalog_name, table_namespace, table_name, metadata_location FROM iceberg_tables"
		" WHERE ?1 = '' OR catalog_name = ?1 ORDER BY 1, 2, 3",
		&catalog, 1, list_one, &listing, &changed, err);
}
