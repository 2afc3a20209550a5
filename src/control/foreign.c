#include "control/foreign.h"

#include <sqlite3.h>
#include <stdlib.h>

#define BUSY_MS 10000

struct control_foreign {
	sqlite3 *db;
	char *path;
};

static int failed(const struct control_foreign *foreign, struct weir_error *err)
{
	return weir_fail_at(err, WEIR_E_IO, weir_str_from(foreign->path), WEIR_ERROR_NO_OFFSET,
		"the catalog's database says: %s", sqlite3_errmsg(foreign->db));
}

int control_foreign_open(const char *path, struct control_foreign **ret_foreign, struct weir_error *err)
{
	struct control_foreign *foreign = weir_zalloc(sizeof *foreign);
	foreign->path = weir_strdup(path);
	if (sqlite3_open_v2(path, &foreign->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
		int rc = failed(foreign, err);
		control_foreign_close(foreign);
		return rc;
	}
	sqlite3_busy_timeout(foreign->db, BUSY_MS);
	*ret_foreign = foreign;
	return 0;
}

void control_foreign_close(struct control_foreign *foreign)
{
	if (foreign == NULL)
		return;
	sqlite3_close(foreign->db);
	free(foreign->path);
	free(foreign);
}

/* Runs a statement with texts bound; *ret_text (may be NULL): the first column of the last row, in arena. */
static int run(struct control_foreign *foreign, struct weir_arena *arena, const char *sql, const struct weir_str *texts,
	int count, struct weir_str *ret_text, int *ret_rows, struct weir_error *err)
{
	sqlite3_stmt *statement = NULL;
	int step;
	*ret_rows = 0;
	if (sqlite3_prepare_v2(foreign->db, sql, -1, &statement, NULL) != SQLITE_OK)
		return failed(foreign, err);
	for (int i = 0; i < count; i++)
		sqlite3_bind_text(statement, i + 1, texts[i].data, (int)texts[i].size, SQLITE_STATIC);
	while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
		++*ret_rows;
		if (ret_text != NULL)
			*ret_text =
				weir_arena_str(arena, weir_str_from((const char *)sqlite3_column_text(statement, 0)));
	}
	int rc = step == SQLITE_DONE ? 0 : failed(foreign, err);
	sqlite3_finalize(statement);
	return rc;
}

int control_foreign_find(struct control_foreign *foreign, struct weir_arena *arena, struct control_foreign_name *name,
	struct weir_error *err)
{
	const struct weir_str names[] = {name->ns, name->table};
	int rows;
	if (name->catalog.size > 0)
		return 0;
	int rc = run(foreign, arena,
		"SELECT catalog_name FROM iceberg_tables WHERE table_namespace = ?1 AND table_name = ?2", names, 2,
		&name->catalog, &rows, err);
	if (rc == 0 && rows == 0)
		rc = weir_fail(err, WEIR_E_NOT_FOUND, "the catalog %s has no table %.*s.%.*s", foreign->path,
			WEIR_STR_ARG(name->ns), WEIR_STR_ARG(name->table));
	if (rc == 0 && rows > 1)
		rc = weir_fail(err, WEIR_E_INPUT, "%d catalogs of %s have a table %.*s.%.*s; say which", rows,
			foreign->path, WEIR_STR_ARG(name->ns), WEIR_STR_ARG(name->table));
	return rc;
}

int control_foreign_pointer(struct control_foreign *foreign, struct weir_arena *arena,
	const struct control_foreign_name *name, struct weir_str *ret_uri, struct weir_error *err)
{
	const struct weir_str names[] = {name->catalog, name->ns, name->table};
	int rows;
	int rc = run(foreign, arena,
		"SELECT metadata_location FROM iceberg_tables WHERE catalog_name = ?1 AND table_namespace = ?2 AND "
		"table_name = ?3"
		" AND metadata_location IS NOT NULL",
		names, 3, ret_uri, &rows, err);
	if (rc == 0 && rows == 0)
		rc = weir_fail(err, WEIR_E_NOT_FOUND, "the catalog %s has no table %.*s.%.*s", foreign->path,
			WEIR_STR_ARG(name->ns), WEIR_STR_ARG(name->table));
	return rc;
}

int control_foreign_swap(struct control_foreign *foreign, const struct control_foreign_name *name, struct weir_str old,
	struct weir_str new, struct weir_error *err)
{
	const struct weir_str texts[] = {new, old, name->catalog, name->ns, name->table};
	int rows;
	int rc = run(foreign, NULL,
		"UPDATE iceberg_tables SET metadata_location = ?1, previous_metadata_location = ?2"
		" WHERE catalog_name = ?3 AND table_namespace = ?4 AND table_name = ?5 AND metadata_location = ?2",
		texts, 5, NULL, &rows, err);
	if (rc == 0 && sqlite3_changes(foreign->db) != 1)
		rc = weir_fail(err, WEIR_E_CONFLICT, "another writer changed the table first");
	return rc;
}

int control_foreign_is_owned(
	struct control_foreign *foreign, struct weir_str ns, bool *ret_owned, struct weir_error *err)
{
	int tables = 0, rows = 0;
	int rc = run(
		foreign, NULL, "SELECT 1 FROM sqlite_master WHERE name = 'weir_owned'", NULL, 0, NULL, &tables, err);
	if (rc == 0 && tables > 0)
		rc = run(foreign, NULL, "SELECT 1 FROM weir_owned WHERE namespace = ?1", &ns, 1, NULL, &rows, err);
	*ret_owned = rows > 0;
	return rc;
}
