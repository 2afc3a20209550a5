#include "cli/iceberg_place.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/foreign.h"
#include "iceberg/model.h"

#define TRIES       20
#define CACHE_BYTES (256ULL << 20)

enum place_kind { IN_CATALOG, IN_FOLDER, IN_FILE };

struct cli_place {
	enum place_kind kind;
	struct weir_arena *arena;
	struct store *store;
	struct ice_cache *cache;
	struct ice_table *table;
	bool moved;
	const char *path; /* of the folder, or of the metadata file; absolute */
	struct control_foreign *catalog;
	struct control_foreign_name entry; /* in it */
	struct ice_name name;
};

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
	control_foreign_close(place->catalog);
	weir_arena_free(place->arena);
	free(place);
}

/* ---- SQL catalogs ---- */

static int open_catalog(struct cli_place *place, const struct cli_args *args, struct weir_error *err)
{
	const char *word = args->words[0], *dot = strrchr(word, '.'), *path = cli_option(args, "--catalog");
	if (dot == NULL || dot == word)
		return weir_fail(err, WEIR_E_INPUT, "'%s' is not a table's name: NAMESPACE.TABLE", word);
	place->kind = IN_CATALOG;
	place->name = (struct ice_name){{word, (size_t)(dot - word)}, weir_str_from(dot + 1)};
	place->entry = (struct control_foreign_name){
		weir_str_from(cli_option(args, "--catalog-name")), place->name.ns, place->name.table};
	int rc = control_foreign_open(strncmp(path, "sqlite:", 7) == 0 ? path + 7 : path, &place->catalog, err);
	return rc == 0 ? control_foreign_find(place->catalog, place->arena, &place->entry, err) : rc;
}

/* ---- folders ---- */

/* The number of "v12.metadata.json" or "00012-....metadata.json"; -1 where it is neither. */
static long version_of(const char *file)
{
	char *end;
	const char *digits = file[0] == 'v' ? file + 1 : file;
	long version = strtol(digits, &end, 10);
	size_t size = strlen(file);
	bool named = size > 14 && strcmp(file + size - 14, ".metadata.json") == 0;
	if (!named || end == digits || (file[0] == 'v' ? *end != '.' : *end != '-') || version < 0)
		return -1;
	return version;
}

/* The newest version's file name by its hint, or by its number where there is no hint; the hint may be late. */
static int newest_version(struct cli_place *place, const char **ret_file, struct weir_error *err)
{
	const char *folder = weir_arena_printf(place->arena, "%s/metadata", place->path);
	DIR *directory = opendir(folder);
	long best = -1;
	if (directory == NULL)
		return weir_fail_errno(err, errno, weir_str_from(folder), "look for the table's versions");
	for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
		long version = version_of(entry->d_name);
		if (version <= best)
			continue;
		best = version;
		*ret_file = weir_arena_printf(place->arena, "%s/%s", folder, entry->d_name);
	}
	closedir(directory);
	if (best < 0)
		return weir_fail_at(err, WEIR_E_NOT_FOUND, weir_str_from(folder), WEIR_ERROR_NO_OFFSET,
			"there is no version of a table here");
	return 0;
}

static bool is_hadoop(const struct ice_table *table)
{
	struct weir_str uri = ice_table_metadata_uri(table);
	const char *slash = memrchr(uri.data, '/', uri.size);
	return slash != NULL && slash[1] == 'v';
}

static int write_hint(struct cli_place *place, long version, struct weir_error *err)
{
	const char *path = weir_arena_printf(place->arena, "%s/metadata/version-hint.text", place->path);
	const char *temporary = weir_arena_printf(place->arena, "%s.%d", path, (int)getpid());
	FILE *file = fopen(temporary, "w");
	bool good = file != NULL && fprintf(file, "%ld", version) > 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;
	int error = errno;
	if (file != NULL && fclose(file) != 0)
		good = false;
	if (!good || rename(temporary, path) != 0)
		return weir_fail_errno(err, good ? errno : error, weir_str_from(path), "write");
	return 0;
}

/* The next version's file is created under its number: the first writer has it. */
static int folder_swap(
	struct cli_place *place, const struct ice_table *old, struct ice_table *new, struct weir_error *err)
{
	struct weir_str uri = ice_table_metadata_uri(old), name, made;
	const char *slash = memrchr(uri.data, '/', uri.size);
	long version = slash != NULL
		? version_of(weir_arena_cstr(
			  place->arena, (struct weir_str){slash + 1, (size_t)(uri.data + uri.size - slash - 1)})) +
			1
		: 0;
	struct weir_buf text = WEIR_BUF_INIT;
	int rc = store_name_of(place->store, place->arena, uri, &name, err);
	if (rc == 0)
		rc = store_name_of(place->store, place->arena, ice_table_metadata_uri(new), &made, err);
	if (rc != 0)
		return rc;
	size_t folder = (size_t)((const char *)memrchr(name.data, '/', name.size) - name.data);
	const char *target =
		weir_arena_printf(place->arena, "%.*s/v%ld.metadata.json", (int)folder, name.data, version);
	rc = store_read_all(place->store, made.data, 64U << 20, &text, err);
	if (rc == 0)
		rc = store_put(place->store, target, text.data, text.size, err);
	if (rc == WEIR_E_EXISTS)
		rc = weir_fail(err, WEIR_E_CONFLICT, "another writer changed the table first");
	weir_buf_done(&text);
	if (rc != 0)
		return rc;
	struct weir_error ignored = WEIR_ERROR_INIT; /* the number alone says which version is the newest */
	write_hint(place, version, &ignored);
	store_delete_many(place->store, (const char *const[]){made.data}, 1, &ignored);
	return 0;
}

/* ---- opening ---- */

/* The store is the tree of the path's first folder, so that files beside the table are within it. */
static int open_store(struct cli_place *place, const char *path, struct weir_error *err)
{
	const char *second = strchr(path + 1, '/');
	char *root = weir_arena_printf(
		place->arena, "%.*s", (int)(second != NULL ? second - path : (long)strlen(path)), path);
	return store_local_open(weir_os_real(), root, &place->store, err);
}

/* The path of a file URI; NULL where it is of something else. */
static const char *path_of(struct cli_place *place, struct weir_str uri)
{
	const char *text = weir_arena_cstr(place->arena, uri);
	if (strncmp(text, "file:", 5) == 0) {
		text += 5;
		while (text[0] == '/' && text[1] == '/')
			text++;
	}
	return text[0] == '/' ? text : NULL;
}

static int load(struct cli_place *place, struct ice_table **ret_table, struct weir_error *err)
{
	struct weir_str uri = {0};
	const char *file = place->path;
	int rc = 0;
	if (place->kind == IN_CATALOG) {
		rc = control_foreign_pointer(place->catalog, place->arena, &place->entry, &uri, err);
		file = rc == 0 ? path_of(place, uri) : NULL;
		if (rc == 0 && file == NULL)
			rc = weir_fail_at(err, WEIR_E_UNSUPPORTED, uri, WEIR_ERROR_NO_OFFSET,
				"the table is not in local files; this command works on those");
	} else {
		if (place->kind == IN_FOLDER)
			rc = newest_version(place, &file, err);
		uri = weir_str_from(file);
	}
	if (rc == 0 && place->store == NULL)
		rc = open_store(place, file, err);
	if (rc != 0)
		return rc;
	return place->moved ? ice_table_open_moved(place->store, place->cache, place->name, uri, ret_table, err)
			    : ice_table_open(place->store, place->cache, place->name, uri, ret_table, err);
}

int cli_place_open(const struct cli_args *args, struct cli_place **ret_place, struct weir_error *err)
{
	struct cli_place *place = weir_zalloc(sizeof *place);
	char absolute[PATH_MAX];
	struct stat info;
	int rc = 0;
	place->arena = weir_arena_new(0);
	place->cache = ice_cache_new(CACHE_BYTES);
	place->moved = cli_flag(args, "--moved");
	if (cli_option(args, "--catalog") != NULL) {
		rc = open_catalog(place, args, err);
	} else if (realpath(args->words[0], absolute) == NULL || stat(absolute, &info) != 0) {
		rc = weir_fail_errno(err, errno, weir_str_from(args->words[0]), "find the table");
	} else {
		place->kind = S_ISDIR(info.st_mode) ? IN_FOLDER : IN_FILE;
		place->path = weir_arena_printf(place->arena, "%s", absolute);
		const char *slash = strrchr(place->path, '/');
		place->name = (struct ice_name){WEIR_STR("default"), weir_str_from(slash + 1)};
	}
	if (rc == 0)
		rc = load(place, &place->table, err);
	if (rc != 0)
		cli_place_close(place);
	else
		*ret_place = place;
	return rc;
}

int cli_place_reload(struct cli_place *place, struct ice_table **ret_table, struct weir_error *err)
{
	struct ice_table *table;
	int rc = load(place, &table, err);
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
	if (place->kind == IN_CATALOG) {
		bool owned;
		int rc = control_foreign_is_owned(place->catalog, place->name.ns, &owned, err);
		if (rc == 0 && owned)
			rc = weir_fail(err, WEIR_E_DENIED,
				"a lake governs the tables of namespace %.*s and keeps them itself: change its "
				"lake.yaml, and it "
				"evolves, compacts and expires them while it runs",
				WEIR_STR_ARG(place->name.ns));
		return rc;
	}
	if (place->kind == IN_FOLDER && is_hadoop(place->table))
		return 0;
	return weir_fail(err, WEIR_E_UNSUPPORTED,
		"the table's versions are named by a catalog; name it with --catalog FILE and the table as "
		"NAMESPACE.TABLE");
}

int cli_place_commit(struct cli_place *place, struct ice_prepared *take_prepared, struct weir_error *err)
{
	int rc = WEIR_E_CONFLICT;
	for (int i = 0; i < TRIES && rc == WEIR_E_CONFLICT; i++) {
		struct ice_table *next = ice_prepared_table(take_prepared), *newest = NULL;
		rc = place->kind == IN_CATALOG
			? control_foreign_swap(place->catalog, &place->entry, ice_table_metadata_uri(place->table),
				  ice_table_metadata_uri(next), err)
			: folder_swap(place, place->table, next, err);
		ice_table_unref(next);
		if (rc != WEIR_E_CONFLICT || i + 1 == TRIES)
			break;
		int again = cli_place_reload(place, &newest, err);
		if (again == 0) {
			again = ice_rebase(take_prepared, newest, err);
			ice_table_unref(newest);
		}
		if (again != 0) {
			rc = again;
			break;
		}
	}
	if (rc != 0) {
		/* After a failure that may have been a success the files stay: orphan removal knows which they are. */
		if (rc == WEIR_E_CONFLICT)
			ice_prepared_abandon(take_prepared);
		else
			ice_prepared_free(take_prepared);
		return rc;
	}
	const char *const *doomed;
	uint32_t count = ice_prepared_doomed(take_prepared, &doomed);
	struct weir_error ignored = WEIR_ERROR_INIT;
	if (count > 0)
		store_delete_many(place->store, doomed, count, &ignored);
	ice_prepared_free(take_prepared);
	struct ice_table *newest = NULL;
	rc = cli_place_reload(place, &newest, err);
	ice_table_unref(newest);
	return rc;
}
