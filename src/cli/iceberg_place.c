/* Resolving a place, and the commit that all kinds share. See iceberg_place.h. */
#include "cli/iceberg_place.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/iceberg_place_int.h"
#include "engine/warehouse.h"
#include "store/s3.h"

#define RETRIES     19 /* of a commit whose table moves, where the table says no other number */
#define RETRIES_MAX 1000
#define CACHE_BYTES (256ULL << 20)

struct ice_table *cli_place_table(struct cli_place *place)
{
	return place->table;
}

struct store *cli_place_store(struct cli_place *place)
{
	return place->store;
}

void cli_place_close(struct cli_place *place)
{
	if (place == NULL)
		return;
	ice_table_unref(place->table);
	ice_cache_free(place->cache);
	if (place->store != NULL)
		store_close(place->store);
	if (place->ops != NULL)
		place->ops->close(place);
	weir_arena_free(place->arena);
	free(place);
}

/* ---- stores ---- */

bool place_is_bucket(const char *text)
{
	return strncmp(text, "s3://", 5) == 0 || strncmp(text, "s3a://", 6) == 0 || strncmp(text, "s3n://", 6) == 0;
}

static int open_bucket(struct weir_arena *arena, struct weir_str uri, const struct lake_s3 *s3,
	const struct store_s3_renewal *renewal, struct store **ret_store, struct weir_error *err)
{
	static const struct lake_s3 of_environment = {0};
	struct store_s3_options options;
	engine_bucket_options(s3 != NULL ? s3 : &of_environment, &options);
	options.prefix = "";
	options.is_guest = true;
	if (renewal != NULL)
		options.renewal = *renewal;
	const char *prefix;
	int rc = store_s3_parse(arena, uri, &options.bucket, &prefix, err);
	return rc == 0 ? store_s3_open(&options, ret_store, err) : rc;
}

int place_store_open(struct weir_arena *arena, struct weir_str uri, const struct lake_s3 *s3,
	const struct store_s3_renewal *renewal, struct store **ret_store, struct weir_error *err)
{
	const char *path = weir_arena_cstr(arena, uri);
	struct stat info;
	if (place_is_bucket(path))
		return open_bucket(arena, uri, s3, renewal, ret_store, err);
	if (strncmp(path, "file:", 5) == 0)
		path += 5;
	while (path[0] == '/' && path[1] == '/')
		path++;
	if (path[0] != '/')
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, uri, WEIR_ERROR_NO_OFFSET,
			"the table's files are neither local nor in a bucket (s3://...); there is no other store");
	const char *second = strchr(path + 1, '/');
	char *root = weir_arena_printf(arena, "%.*s", (int)(second != NULL ? second - path : (long)strlen(path)), path);
	if (stat(root, &info) != 0 || !S_ISDIR(info.st_mode))
		return weir_fail_at(err, WEIR_E_NOT_FOUND, uri, WEIR_ERROR_NO_OFFSET,
			"there is no folder %s on this machine, where the table's files should be", root);
	return store_local_open(weir_os_real(), root, ret_store, err);
}

int cli_object_open(struct weir_arena *arena, const char *uri, struct store **ret_store,
	struct weir_byte_source *ret_source, struct weir_error *err)
{
	struct store *store = NULL;
	struct weir_str name;
	int rc = place_store_open(arena, weir_str_from(uri), NULL, NULL, &store, err);
	if (rc == 0)
		rc = store_name_of(store, arena, weir_str_from(uri), &name, err);
	if (rc == 0)
		rc = store_source_open(store, name.data, ret_source, err);
	if (rc == 0)
		*ret_store = store;
	else if (store != NULL)
		store_close(store);
	return rc;
}

/* ---- opening ---- */

static bool is_rest(const char *catalog)
{
	return strncmp(catalog, "http://", 7) == 0 || strncmp(catalog, "https://", 8) == 0;
}

int place_split_name(const char *word, struct ice_name *ret_name, struct weir_error *err)
{
	const char *dot = strrchr(word, '.');
	if (dot == NULL || dot == word || dot[1] == '\0')
		return weir_fail(
			err, WEIR_E_INPUT, "'%s' is not the name of a table in a catalog: NAMESPACE.TABLE", word);
	*ret_name = (struct ice_name){{word, (size_t)(dot - word)}, weir_str_from(dot + 1)};
	return 0;
}

int cli_place_open(const struct cli_args *args, struct cli_place **ret_place, struct weir_error *err)
{
	return cli_place_open_in(args, cli_option(args, "--catalog"), args->words[0], ret_place, err);
}

int cli_place_open_in(const struct cli_args *args, const char *catalog, const char *word, struct cli_place **ret_place,
	struct weir_error *err)
{
	struct cli_place *place = weir_zalloc(sizeof *place);
	int rc;
	place->arena = weir_arena_new(0);
	place->cache = ice_cache_new(CACHE_BYTES);
	place->moved = cli_flag(args, "--moved");
	if (catalog == NULL)
		rc = place_folder_open(place, word, err);
	else if (is_rest(catalog))
		rc = place_rest_open(place, args, catalog, word, err);
	else
		rc = place_sql_open(place, args, catalog, word, err);
	if (rc == 0)
		rc = place->ops->load(place, &place->table, err);
	if (rc != 0)
		cli_place_close(place);
	else
		*ret_place = place;
	return rc;
}

int cli_place_reload(struct cli_place *place, struct ice_table **ret_table, struct weir_error *err)
{
	struct ice_table *table;
	int rc = place->ops->load(place, &table, err);
	if (rc != 0)
		return rc;
	ice_table_unref(place->table);
	place->table = table;
	*ret_table = ice_table_ref(table);
	return 0;
}

int cli_place_writable(struct cli_place *place, struct weir_error *err)
{
	if (place->moved)
		return weir_fail(
			err, WEIR_E_UNSUPPORTED, "a moved table is to be read only: its metadata names its old place");
	return place->ops->writable(place, err);
}

static int refuse_neighbour(
	void *context, struct weir_str ns, struct weir_str table, struct weir_str uri, struct weir_error *err)
{
	struct cli_place *place = context;
	struct weir_error outside = WEIR_ERROR_INIT;
	struct weir_str folder, file, location = ice_table_metadata(place->table)->location;
	bool same = weir_str_equal(ns, place->name.ns) && weir_str_equal(table, place->name.table);
	if (same || store_name_of(place->store, place->arena, location, &folder, &outside) != 0 ||
		store_name_of(place->store, place->arena, uri, &file, &outside) != 0)
		return 0;
	if (!weir_str_has_prefix(file, folder) || file.data[folder.size] != '/')
		return 0;
	return weir_fail_at(err, WEIR_E_UNSUPPORTED, location, WEIR_ERROR_NO_OFFSET,
		"table %.*s.%.*s lies in the same folder: what one of them does not name may be the other's, so "
		"nothing is "
		"deleted here",
		WEIR_STR_ARG(ns), WEIR_STR_ARG(table));
}

int cli_place_alone(struct cli_place *place, const struct cli_args *args, struct weir_error *err)
{
	const char *catalog = cli_option(args, "--catalog");
	if (catalog == NULL || is_rest(catalog))
		return 0;
	return place_sql_tables(args, catalog, refuse_neighbour, place, err);
}

bool cli_is_catalog(const char *word)
{
	char head[16] = "";
	if (strstr(word, "://") != NULL || strncmp(word, "sqlite:", 7) == 0)
		return true;
	FILE *file = fopen(word, "rbe");
	size_t size = file != NULL ? fread(head, 1, sizeof head, file) : 0;
	if (file != NULL)
		fclose(file);
	return size == sizeof head && memcmp(head, "SQLite format 3", sizeof head) == 0;
}

int cli_place_tables(const struct cli_args *args, const char *catalog, cli_place_table_fn *table, void *context,
	struct weir_error *err)
{
	return is_rest(catalog) ? place_rest_tables(args, catalog, table, context, err)
				: place_sql_tables(args, catalog, table, context, err);
}

/* ---- committing ---- */

/* commit.retry.num-retries of what is to be committed: a change of the property counts for itself. */
static int tries_of(const struct ice_prepared *prepared, int64_t *ret_tries, struct weir_error *err)
{
	struct ice_table *next = ice_prepared_table(prepared);
	int rc = ice_property_number(ice_table_metadata(next), "commit.retry.num-retries", 0, RETRIES, ret_tries, err);
	ice_table_unref(next);
	*ret_tries = (*ret_tries < RETRIES_MAX ? *ret_tries : RETRIES_MAX) + 1;
	return rc;
}

/* Swaps until it is done or fails for another reason than a race that was lost. */
static int swap(
	struct cli_place *place, struct ice_prepared *prepared, int64_t tries, bool *ret_spare, struct weir_error *err)
{
	int rc = WEIR_E_CONFLICT;
	for (int64_t i = 0; i < tries && rc == WEIR_E_CONFLICT; i++) {
		struct ice_table *next, *newest = NULL;
		if (i > 0) {
			rc = cli_place_reload(place, &newest, err);
			if (rc == 0) {
				rc = ice_rebase(prepared, newest, err);
				ice_table_unref(newest);
			}
			if (rc != 0)
				return rc;
		}
		next = ice_prepared_table(prepared);
		rc = place->ops->swap(place, place->table, next, ret_spare, err);
		ice_table_unref(next);
	}
	return rc;
}

int cli_place_commit(struct cli_place *place, struct ice_prepared *take_prepared, struct weir_error *err)
{
	bool spare = false;
	int64_t tries;
	int rc = tries_of(take_prepared, &tries, err);
	if (rc != 0) {
		ice_prepared_abandon(take_prepared);
		return rc;
	}
	rc = swap(place, take_prepared, tries, &spare, err);
	if (rc != 0) {
		/* After a failure that may have been a success the files stay: orphan removal knows which they are. */
		if (rc == WEIR_E_CONFLICT || rc == WEIR_E_DENIED)
			ice_prepared_abandon(take_prepared);
		else
			ice_prepared_free(take_prepared);
		return rc;
	}
	const char *const *doomed;
	uint32_t count = ice_prepared_doomed(take_prepared, &doomed);
	struct weir_error ignored = WEIR_ERROR_INIT;
	if (count > 0 && !spare)
		store_delete_many(place->store, doomed, count, &ignored);
	ice_prepared_free(take_prepared);
	struct ice_table *newest = NULL;
	rc = cli_place_reload(place, &newest, err);
	ice_table_unref(newest);
	return rc;
}
