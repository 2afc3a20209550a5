/* Catalogs in a SQLite file. See foreign.h. */
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "control/foreign_int.h"

#define BUSY_MS 10000

static int failed(const struct control_foreign *foreign, struct weir_error *err)
{
	bool busy = sqlite3_errcode(foreign->session) == SQLITE_BUSY;
	return weir_fail_at(err, busy ? WEIR_E_BUSY : WEIR_E_IO, weir_str_from(foreign->place), WEIR_ERROR_NO_OFFSET,
		"the catalog's database says: %s", sqlite3_errmsg(foreign->session));
}

static int open_file(struct control_foreign *foreign, const char *url, struct weir_error *err)
{
	sqlite3 *db = NULL;
	const char *path = strncmp(url, "sqlite:", 7) == 0 ? url + 7 : url;
	foreign->place = weir_strdup(path);
	if (access(path, F_OK) != 0)
		return weir_fail_at(err, WEIR_E_NOT_FOUND, weir_str_from(path), WEIR_ERROR_NO_OFFSET,
			"there is no such catalog: name a SQLite file, a lake's folder, postgresql://... or the "
			"address of "
			"a REST catalog, as in http://127.0.0.1:8181/iceberg");
	int opened = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
	foreign->session = db;
	if (opened != SQLITE_OK)
		return failed(foreign, err);
	sqlite3_busy_timeout(db, BUSY_MS);
	return 0;
}

static void close_file(struct control_foreign *foreign)
{
	sqlite3_close(foreign->session);
}

static int run(struct control_foreign *foreign, const char *sql, const struct weir_str *texts, unsigned count,
	foreign_row_fn *row, void *context, int64_t *ret_changed, struct weir_error *err)
{
	sqlite3_stmt *statement = NULL;
	int step = SQLITE_ROW, rc = 0;
	if (sqlite3_prepare_v2(foreign->session, sql, -1, &statement, NULL) != SQLITE_OK)
		return failed(foreign, err);
	for (unsigned i = 0; i < count; i++)
		sqlite3_bind_text(statement, (int)i + 1, texts[i].size > 0 ? texts[i].data : "", (int)texts[i].size,
			SQLITE_STATIC);
	unsigned columns = (unsigned)sqlite3_column_count(statement);
	WEIR_ASSERT(columns <= FOREIGN_CELLS);
	while (rc == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW) {
		struct weir_str cells[FOREIGN_CELLS];
		for (unsigned i = 0; i < columns; i++)
			cells[i] = weir_str_from((const char *)sqlite3_column_text(statement, (int)i));
		if (row != NULL)
			rc = row(context, cells, columns, err);
	}
	if (rc == 0 && step != SQLITE_DONE)
		rc = failed(foreign, err);
	*ret_changed = sqlite3_changes(foreign->session);
	sqlite3_finalize(statement);
	return rc;
}

const struct foreign_ops foreign_sqlite = {
	.open = open_file,
	.close = close_file,
	.run = run,
	.find_owned = "SELECT 1 FROM sqlite_master WHERE name = 'weir_owned'",
};
