/* Tables in SQL catalogs: SQLite files, PostgreSQL, and those of weir's own lakes, whose tables can be looked at
 * only. */
#include <string.h>
#include <sys/stat.h>

#include "cli/iceberg_place_int.h"
#include "control/foreign.h"

struct sql {
	struct control_foreign *catalog;
	struct control_foreign_name entry;
	struct lake *lake; /* that the catalog was named by; NULL: none */
};

static void close_catalog(struct sql *sql)
{
	control_foreign_close(sql->catalog);
	if (sql->lake != NULL)
		lake_free(sql->lake);
}

/* A folder is a lake's: by its lake.yaml, or the data of one, by its control.db. */
static int open_folder(const struct cli_args *args, const char *folder, struct sql *sql, struct weir_error *err)
{
	struct stat info;
	const char *file = weir_arena_printf(args->arena, "%s/control.db", folder);
	if (stat(weir_arena_printf(args->arena, "%s/lake.yaml", folder), &info) == 0) {
		int rc = lake_read(folder, cli_option(args, "--data"), &sql->lake, err);
		return rc == 0 ? control_foreign_open(sql->lake->control, &sql->catalog, err) : rc;
	}
	if (stat(file, &info) == 0)
		return control_foreign_open(file, &sql->catalog, err);
	return weir_fail_at(err, WEIR_E_NOT_FOUND, weir_str_from(folder), WEIR_ERROR_NO_OFFSET,
		"the folder is no lake: it has neither lake.yaml nor control.db; a folder that is a table is named "
		"without "
		"--catalog");
}

static int open_catalog(const struct cli_args *args, const char *catalog, struct sql *sql, struct weir_error *err)
{
	struct stat info;
	if (stat(catalog, &info) == 0 && S_ISDIR(info.st_mode))
		return open_folder(args, catalog, sql, err);
	if (strstr(catalog, "://") != NULL && strncmp(catalog, "postgresql://", 13) != 0 &&
		strncmp(catalog, "postgres://", 11) != 0)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, (struct weir_str){catalog, strcspn(catalog, ":")},
			WEIR_ERROR_NO_OFFSET,
			"catalogs of this kind are not known: name a SQLite file, a lake's folder, postgresql://... or "
			"http://HOST:PORT/iceberg");
	return control_foreign_open(catalog, &sql->catalog, err);
}

static int load(struct cli_place *place, struct ice_table **ret_table, struct weir_error *err)
{
	struct sql *sql = place->self;
	struct weir_str uri = {0};
	int rc = control_foreign_pointer(sql->catalog, place->arena, &sql->entry, &uri, err);
	if (rc == 0 && place->store == NULL)
		rc = place_store_open(
			place->arena, uri, sql->lake != NULL ? sql->lake->s3 : NULL, NULL, &place->store, err);
	if (rc != 0)
		return rc;
	return place->moved ? ice_table_open_moved(place->store, place->cache, place->name, uri, ret_table, err)
			    : ice_table_open(place->store, place->cache, place->name, uri, ret_table, err);
}

static int writable(struct cli_place *place, struct weir_error *err)
{
	struct sql *sql = place->self;
	bool owned;
	int rc = control_foreign_is_owned(sql->catalog, place->name.ns, &owned, err);
	if (rc == 0 && owned)
		rc = weir_fail(err, WEIR_E_DENIED,
			"a lake governs the tables of namespace %.*s and keeps them itself: change its lake.yaml, and "
			"it "
			"evolves, compacts and expires them while it runs",
			WEIR_STR_ARG(place->name.ns));
	return rc;
}

static int swap(struct cli_place *place, const struct ice_table *old, const struct ice_table *next, bool *ret_spare,
	struct weir_error *err)
{
	struct sql *sql = place->self;
	(void)ret_spare;
	return control_foreign_swap(
		sql->catalog, &sql->entry, ice_table_metadata_uri(old), ice_table_metadata_uri(next), err);
}

static void close_place(struct cli_place *place)
{
	close_catalog(place->self);
}

static const struct place_ops ops = {load, writable, swap, close_place};

int place_sql_open(struct cli_place *place, const struct cli_args *args, const char *catalog, const char *word,
	struct weir_error *err)
{
	struct sql *sql = weir_arena_zalloc(place->arena, sizeof *sql);
	int rc = place_split_name(word, &place->name, err);
	if (rc != 0)
		return rc;
	place->ops = &ops;
	place->self = sql;
	sql->entry = (struct control_foreign_name){
		weir_str_from(cli_option(args, "--catalog-name")), place->name.ns, place->name.table};
	rc = open_catalog(args, catalog, sql, err);
	return rc == 0 ? control_foreign_find(sql->catalog, place->arena, &sql->entry, err) : rc;
}

struct listing {
	cli_place_table_fn *table;
	void *context;
};

static int list_one(void *context, const struct control_foreign_name *name, struct weir_str uri, struct weir_error *err)
{
	struct listing *listing = context;
	return listing->table(listing->context, name->ns, name->table, uri, err);
}

int place_sql_tables(const struct cli_args *args, const char *catalog, cli_place_table_fn *table, void *context,
	struct weir_error *err)
{
	struct sql sql = {0};
	struct listing listing = {table, context};
	int rc = open_catalog(args, catalog, &sql, err);
	if (rc == 0)
		rc = control_foreign_list(
			sql.catalog, weir_str_from(cli_option(args, "--catalog-name")), list_one, &listing, err);
	close_catalog(&sql);
	return rc;
}
