/* What all stores have in common: names, URIs, small objects, whole objects. See store.h. */
#include "store/store_int.h"

#include <stdlib.h>

#define NAME_PART_MAX 255 /* bytes between two slashes: what file systems take */

static bool good_part(struct weir_str part)
{
	return part.size > 0 && part.size <= NAME_PART_MAX && !weir_str_is(part, ".") && !weir_str_is(part, "..");
}

int store_check_name(const char *name, struct weir_error *err)
{
	size_t size = strnlen(name, STORE_NAME_MAX + 1);
	bool good = size > 0 && size <= STORE_NAME_MAX;
	for (size_t from = 0, at = 0; good && at <= size; at++) {
		if (at < size && name[at] != '/')
			continue;
		good = good_part((struct weir_str){name + from, at - from});
		from = at + 1;
	}
	if (good)
		return 0;
	return weir_fail_at(err, WEIR_E_INPUT, (struct weir_str){name, size}, WEIR_ERROR_NO_OFFSET,
		"not an object's name: 1 to %d bytes in parts of 1 to %d between slashes, none of them \".\" or \"..\"",
		STORE_NAME_MAX, NAME_PART_MAX);
}

void store_close(struct store *store)
{
	if (store != NULL)
		store->ops->close(store);
}

int store_create(struct store *store, const char *name, struct store_file **ret_file, struct weir_error *err)
{
	int status = store_check_name(name, err);
	return status != 0 ? status : store->ops->create(store, name, ret_file, err);
}

int store_append(struct store_file *file, const void *data, size_t size_bytes, struct weir_error *err)
{
	return file->store->ops->append(file, data, size_bytes, err);
}

uint64_t store_file_size(const struct store_file *file)
{
	return file->size_bytes;
}

const char *store_file_name(const struct store_file *file)
{
	return file->name;
}

static int sink_write(void *self, const void *data, size_t size_bytes, struct weir_error *err)
{
	return store_append(self, data, size_bytes, err);
}

struct weir_byte_sink store_file_sink(struct store_file *file)
{
	return (struct weir_byte_sink){sink_write, file};
}

int store_barrier(struct store *store, struct store_file **take_files, size_t count, struct weir_error *err)
{
	return count > 0 ? store->ops->barrier(store, take_files, count, err) : 0;
}

void store_abandon(struct store *store, struct store_file *take_file)
{
	if (take_file != NULL)
		store->ops->abandon(store, take_file);
}

int store_put(struct store *store, const char *name, const void *data, size_t size_bytes, struct weir_error *err)
{
	struct store_file *file;
	int status = store_create(store, name, &file, err);
	if (status != 0)
		return status;
	status = store_append(file, data, size_bytes, err);
	if (status == 0)
		return store_barrier(store, &file, 1, err);
	store_abandon(store, file);
	return status;
}

int store_read(
	struct store *store, const char *name, uint64_t offset, void *buffer, size_t size_bytes, struct weir_error *err)
{
	int status = store_check_name(name, err);
	return status != 0 ? status : store->ops->read(store, name, offset, buffer, size_bytes, err);
}

int store_read_all(
	struct store *store, const char *name, size_t limit_bytes, struct weir_buf *out, struct weir_error *err)
{
	struct weir_byte_source source;
	int status = store_source_open(store, name, &source, err);
	if (status != 0)
		return status;
	if (source.size_bytes > limit_bytes) {
		status = weir_fail_at(err, WEIR_E_LIMIT, weir_str_from(name), WEIR_ERROR_NO_OFFSET,
			"%llu bytes are more than the %zu allowed here", (unsigned long long)source.size_bytes,
			limit_bytes);
	} else {
		weir_buf_reserve(out, (size_t)source.size_bytes);
		status = source.read(source.self, 0, out->data + out->size, (size_t)source.size_bytes, err);
		if (status == 0)
			out->size += (size_t)source.size_bytes;
	}
	store_source_close(&source);
	return status;
}

int store_size(struct store *store, const char *name, uint64_t *ret_size, struct weir_error *err)
{
	int status = store_check_name(name, err);
	return status != 0 ? status : store->ops->size(store, name, ret_size, err);
}

int store_source_open(
	struct store *store, const char *name, struct weir_byte_source *ret_source, struct weir_error *err)
{
	int status = store_check_name(name, err);
	return status != 0 ? status : store->ops->source_open(store, name, ret_source, err);
}

void store_source_close(struct weir_byte_source *source)
{
	struct store_source *opened = source->self;
	if (opened != NULL)
		opened->close(opened);
	*source = (struct weir_byte_source){0};
}

int store_list(struct store *store, const char *prefix, store_list_fn *object, void *context, struct weir_error *err)
{
	/* A prefix may end anywhere, so "x" after it makes it a name, if it can begin one at all. */
	char name[STORE_NAME_MAX + 2];
	size_t size = strnlen(prefix, STORE_NAME_MAX);
	memcpy(name, prefix, size);
	memcpy(name + size, "x", 2);
	int status = store_check_name(name, err);
	return status != 0 ? status : store->ops->list(store, prefix, object, context, err);
}

int store_delete_many(struct store *store, const char *const *names, size_t count, struct weir_error *err)
{
	for (size_t i = 0; i < count; i++) {
		int status = store_check_name(names[i], err);
		if (status != 0)
			return status;
	}
	return count > 0 ? store->ops->delete_many(store, names, count, err) : 0;
}

int store_settle(struct store *store, struct weir_error *err)
{
	return store->ops->settle != NULL ? store->ops->settle(store, err) : 0;
}

struct weir_str store_uri(const struct store *store, struct weir_arena *arena, struct weir_str name)
{
	const char *uri = weir_arena_printf(arena, "%s%s/%.*s", store->scheme, store->root, WEIR_STR_ARG(name));
	return weir_str_from(uri);
}

const char *const store_s3_schemes[] = {"s3://", "s3a://", "s3n://", NULL};

/* What follows the scheme, where it begins with a host or bucket; "" for another scheme. */
static struct weir_str after_scheme(const struct store *store, struct weir_str uri)
{
	for (const char *const *scheme = store->schemes; *scheme != NULL; scheme++)
		if (weir_str_has_prefix(uri, weir_str_from(*scheme)))
			return (struct weir_str){uri.data + strlen(*scheme), uri.size - strlen(*scheme)};
	return WEIR_STR("");
}

/* The path of a URI with exactly one slash before it: "file:///x", "file:/x" and "/x" become "/x". */
static struct weir_str path_of_uri(const struct store *store, struct weir_str uri)
{
	if (store->schemes != NULL)
		return after_scheme(store, uri);
	struct weir_str scheme = weir_str_from(store->scheme);
	scheme.size -= 2; /* without its two slashes */
	size_t at = weir_str_has_prefix(uri, scheme) ? scheme.size : 0;
	while (at + 1 < uri.size && uri.data[at] == '/' && uri.data[at + 1] == '/')
		at++;
	return (struct weir_str){uri.data + at, uri.size - at};
}

int store_name_of(const struct store *store, struct weir_arena *arena, struct weir_str uri, struct weir_str *ret_name,
	struct weir_error *err)
{
	struct weir_str path = path_of_uri(store, uri);
	struct weir_str root = weir_str_from(store->root);
	if (!weir_str_has_prefix(path, root) || path.size <= root.size || path.data[root.size] != '/')
		return weir_fail_at(err, WEIR_E_INPUT, uri, WEIR_ERROR_NO_OFFSET,
			"the location is not under this lake's warehouse, %s%s", store->scheme, store->root);
	struct weir_str name = {path.data + root.size + 1, path.size - root.size - 1};
	if (memchr(name.data, '\0', name.size) != NULL)
		return weir_fail_at(err, WEIR_E_INPUT, uri, WEIR_ERROR_NO_OFFSET, "the location holds a zero byte");
	name = weir_arena_str(arena, name);
	int status = store_check_name(name.data, err);
	if (status == 0)
		*ret_name = name;
	return status;
}

int store_local_path(struct store *store, struct weir_arena *arena, struct weir_str name, struct weir_str *ret_path,
	struct weir_error *err)
{
	if (store->ops->local_path != NULL)
		return store->ops->local_path(store, arena, name, ret_path, err);
	if (!store->ops->has_local_path)
		return weir_fail_at(
			err, WEIR_E_UNSUPPORTED, name, WEIR_ERROR_NO_OFFSET, "this store has no local files");
	*ret_path = weir_str_from(weir_arena_printf(arena, "%s/%.*s", store->root, WEIR_STR_ARG(name)));
	return 0;
}

void store_local_release(struct store *store, struct weir_str name)
{
	if (store->ops->local_release != NULL)
		store->ops->local_release(store, name);
}

bool store_is_remote(const struct store *store)
{
	return store->schemes != NULL;
}
