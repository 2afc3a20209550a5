/*
 * A table by itself: a folder of local files or of a bucket, whose versions are v1.metadata.json, v2.metadata.json,
 * ... (Hadoop tables), or one metadata file of any name. The next version is made by creating its file: the first
 * writer has it, on disks and in buckets alike.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/iceberg_place_int.h"

#define METADATA_BYTES (64U << 20)

struct folder {
	struct weir_str name; /* in the store: of the folder, or of the metadata file */
	bool is_file;
};

/* The number of "v12.metadata.json" or "00012-....metadata.json"; -1 where it is neither. */
static long version_of(struct weir_str file)
{
	bool named = file.size > 14 && weir_str_has_suffix(file, WEIR_STR(".metadata.json"));
	size_t from = file.size > 0 && file.data[0] == 'v', at = from;
	long version = 0;
	while (at < file.size && file.data[at] >= '0' && file.data[at] <= '9' && version < 100000000)
		version = 10 * version + (file.data[at++] - '0');
	if (!named || at == from || file.data[at] != (from == 1 ? '.' : '-'))
		return -1;
	return version;
}

static struct weir_str last_part(struct weir_str path)
{
	size_t from = path.size;
	while (from > 0 && path.data[from - 1] != '/')
		from--;
	return (struct weir_str){path.data + from, path.size - from};
}

struct search {
	struct weir_arena *arena;
	size_t prefix; /* bytes of "FOLDER/metadata/" */
	long best;
	struct weir_str name;
};

static int look_at(void *context, const struct store_object *object, struct weir_error *err)
{
	struct search *search = context;
	struct weir_str file = {object->name.data + search->prefix, object->name.size - search->prefix};
	long version = memchr(file.data, '/', file.size) == NULL ? version_of(file) : -1;
	(void)err;
	if (version > search->best) {
		search->best = version;
		search->name = weir_arena_str(search->arena, object->name);
	}
	return 0;
}

/* The newest version by its number: the hint may be late. */
static int newest_version(struct cli_place *place, struct weir_str *ret_name, struct weir_error *err)
{
	const struct folder *folder = place->self;
	const char *prefix = weir_arena_printf(place->arena, "%.*s/metadata/", WEIR_STR_ARG(folder->name));
	struct search search = {.arena = place->arena, .prefix = strlen(prefix), .best = -1};
	int rc = store_list(place->store, prefix, look_at, &search, err);
	if (rc == 0 && search.best < 0)
		rc = weir_fail_at(err, WEIR_E_NOT_FOUND,
			store_uri(place->store, place->arena, (struct weir_str){prefix, search.prefix - 1}),
			WEIR_ERROR_NO_OFFSET,
			"there is no version of a table here; name a table's folder, its metadata file, or a catalog "
			"with "
			"--catalog");
	*ret_name = search.name;
	return rc;
}

static int load(struct cli_place *place, struct ice_table **ret_table, struct weir_error *err)
{
	const struct folder *folder = place->self;
	struct weir_str name = folder->name;
	int rc = folder->is_file ? 0 : newest_version(place, &name, err);
	if (rc != 0)
		return rc;
	struct weir_str uri = store_uri(place->store, place->arena, name);
	if (!store_is_remote(place->store)) /* as a path: what is derived from it is read by people */
		uri = (struct weir_str){uri.data + 7, uri.size - 7};
	return place->moved ? ice_table_open_moved(place->store, place->cache, place->name, uri, ret_table, err)
			    : ice_table_open(place->store, place->cache, place->name, uri, ret_table, err);
}

static int writable(struct cli_place *place, struct weir_error *err)
{
	const struct folder *folder = place->self;
	struct weir_str file = last_part(ice_table_metadata_uri(place->table));
	if (!folder->is_file && file.size > 0 && file.data[0] == 'v')
		return 0;
	return weir_fail(err, WEIR_E_UNSUPPORTED,
		"the table's versions are named by a catalog; name it with --catalog and the table as NAMESPACE.TABLE");
}

/* Readers that trust the hint alone see the new version late where this fails: the number alone says which is the
 * newest. */
static void write_hint(struct cli_place *place, long version)
{
	const struct folder *folder = place->self;
	struct weir_error ignored = WEIR_ERROR_INIT;
	struct weir_str path;
	char text[24];
	int size = snprintf(text, sizeof text, "%ld", version);
	const char *name =
		weir_arena_printf(place->arena, "%.*s/metadata/version-hint.text", WEIR_STR_ARG(folder->name));
	if (store_is_remote(place->store)) {
		if (store_delete_many(place->store, &name, 1, &ignored) == 0)
			store_put(place->store, name, text, (size_t)size, &ignored);
		return;
	}
	if (store_local_path(place->store, place->arena, weir_str_from(name), &path, &ignored) != 0)
		return;
	const char *temporary = weir_arena_printf(place->arena, "%s.%d", path.data, (int)getpid());
	FILE *file = fopen(temporary, "w");
	bool good = file != NULL && fputs(text, file) >= 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;
	if (file != NULL && fclose(file) != 0)
		good = false;
	if (!good || rename(temporary, path.data) != 0)
		unlink(temporary);
}

static int swap(struct cli_place *place, const struct ice_table *old, const struct ice_table *next, bool *ret_spare,
	struct weir_error *err)
{
	const struct folder *folder = place->self;
	long version = version_of(last_part(ice_table_metadata_uri(old))) + 1;
	struct weir_buf text = WEIR_BUF_INIT;
	struct weir_str made;
	(void)ret_spare;
	const char *target = weir_arena_printf(
		place->arena, "%.*s/metadata/v%ld.metadata.json", WEIR_STR_ARG(folder->name), version);
	int rc = store_name_of(place->store, place->arena, ice_table_metadata_uri(next), &made, err);
	if (rc == 0)
		rc = store_read_all(place->store, made.data, METADATA_BYTES, &text, err);
	if (rc == 0)
		rc = store_put(place->store, target, text.data, text.size, err);
	if (rc == WEIR_E_EXISTS)
		rc = weir_fail(err, WEIR_E_CONFLICT, "another writer changed the table first");
	weir_buf_done(&text);
	if (rc != 0)
		return rc;
	struct weir_error ignored = WEIR_ERROR_INIT;
	write_hint(place, version);
	store_delete_many(place->store, (const char *const[]){made.data}, 1, &ignored);
	return 0;
}

static void close_folder(struct cli_place *place)
{
	(void)place;
}

static const struct place_ops ops = {load, writable, swap, close_folder};

/* The path or URI as it is opened: local paths absolute and without links. *ret_is_file: a metadata file. */
static int resolve(
	struct cli_place *place, const char *word, struct weir_str *ret_uri, bool *ret_is_file, struct weir_error *err)
{
	char absolute[PATH_MAX];
	struct stat info;
	if (place_is_bucket(word)) {
		struct weir_str uri = weir_str_from(word);
		while (uri.size > 0 && uri.data[uri.size - 1] == '/')
			uri.size--;
		*ret_uri = weir_arena_str(place->arena, uri);
		*ret_is_file = weir_str_has_suffix(uri, WEIR_STR(".metadata.json")) ||
			weir_str_has_suffix(uri, WEIR_STR(".metadata.json.gz"));
		return 0;
	}
	if (strncmp(word, "file:", 5) == 0) {
		word += 5;
		while (word[0] == '/' && word[1] == '/')
			word++;
	} else if (strstr(word, "://") != NULL) {
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, weir_str_from(word), WEIR_ERROR_NO_OFFSET,
			"tables are in local folders or in s3://BUCKET/...; a catalog is named with --catalog");
	}
	if (realpath(word, absolute) == NULL || stat(absolute, &info) != 0)
		return weir_fail_errno(err, errno, weir_str_from(word), "find the table");
	*ret_uri = weir_arena_str(place->arena, weir_str_from(absolute));
	*ret_is_file = !S_ISDIR(info.st_mode);
	return 0;
}

int place_folder_open(struct cli_place *place, const char *word, struct weir_error *err)
{
	struct folder *folder = weir_arena_zalloc(place->arena, sizeof *folder);
	struct weir_str uri;
	int rc = resolve(place, word, &uri, &folder->is_file, err);
	if (rc != 0)
		return rc;
	place->ops = &ops;
	place->self = folder;
	place->name = (struct ice_name){WEIR_STR("default"), last_part(uri)};
	rc = place_store_open(place->arena, uri, NULL, NULL, &place->store, err);
	return rc == 0 ? store_name_of(place->store, place->arena, uri, &folder->name, err) : rc;
}
