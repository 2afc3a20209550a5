/*
 * Objects as local files, over the operating system's table of functions.
 *
 * Durability of a file takes three things: its content (sync), its entry in its directory (sync_dir),
 * and the entries of all directories above. The last are made durable once a process and directory,
 * before the first file in it is created, and remembered in `directories`; so a barrier syncs each file
 * and then each directory that holds one of them.
 *
 * Threads: `lock` guards the set of directories, and making and removing them. Files belong to their users.
 */
#include "store/store_int.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"

#define BUFFER_BYTES      (64U << 10) /* small appends are gathered up to here */
#define WRITEBACK_BYTES   (1U << 20)  /* write-back is started in pieces of this size */
#define DIRECTORY_BUCKETS 1024
#define DIRECTORIES_MAX   65536 /* remembered; past it all are forgotten and synced once more */
#define CREATE_TRIES      16    /* a directory can be removed by a deletion while a file is made in it */
#define PATH_SIZE         (4096 + STORE_NAME_MAX)

struct directory {
	struct directory *next;
	char path[];
};

struct local {
	struct store store;
	const struct weir_os *os;
	char *root;
	pthread_mutex_t lock;
	struct directory *directories[DIRECTORY_BUCKETS];
	unsigned directory_count;
};

struct local_file {
	struct store_file file;
	struct weir_file *handle;
	char *path;
	struct weir_buf pending; /* appended, not yet written */
	uint64_t written;
	uint64_t writeback; /* write-back was started up to here */
};

static struct local *local_of(struct store *store)
{
	return (struct local *)store;
}

static void make_path(const struct local *local, const char *name, char path[PATH_SIZE])
{
	size_t root = strlen(local->root), size = strlen(name);
	WEIR_ASSERT(root + 1 + size < PATH_SIZE);
	memcpy(path, local->root, root);
	path[root] = '/';
	memcpy(path + root + 1, name, size + 1);
}

/* Cuts the last part off; the root and what is above it stay. False at the root. */
static bool to_parent(const struct local *local, char *path)
{
	char *slash = strrchr(path, '/');
	if (slash == NULL || (size_t)(slash - path) < strlen(local->root))
		return false;
	*slash = '\0';
	return true;
}

/* ---- directories (under lock) ---- */

static struct directory **find_directory(struct local *local, const char *path)
{
	uint64_t hash = weir_hash64(path, strlen(path));
	struct directory **at = &local->directories[hash % DIRECTORY_BUCKETS];
	while (*at != NULL && strcmp((*at)->path, path) != 0)
		at = &(*at)->next;
	return at;
}

static void forget_directory(struct local *local, const char *path)
{
	struct directory **at = find_directory(local, path);
	struct directory *found = *at;
	if (found == NULL)
		return;
	*at = found->next;
	free(found);
	local->directory_count--;
}

static void forget_directories(struct local *local)
{
	for (size_t i = 0; i < DIRECTORY_BUCKETS; i++) {
		while (local->directories[i] != NULL) {
			struct directory *next = local->directories[i]->next;
			free(local->directories[i]);
			local->directories[i] = next;
		}
	}
	local->directory_count = 0;
}

static void remember_directory(struct local *local, const char *path)
{
	if (local->directory_count >= DIRECTORIES_MAX)
		forget_directories(local);
	struct directory **at = find_directory(local, path);
	if (*at != NULL)
		return;
	size_t size = strlen(path) + 1;
	*at = weir_zalloc(sizeof **at + size);
	memcpy((*at)->path, path, size);
	local->directory_count++;
}

/*
 * The directory exists and its entry, and those of all above it up to the root, are durable. One that was there already
 * may have been made by a process that died before its sync.
 */
static int ensure_directory(struct local *local, const char *path, struct weir_error *err)
{
	char above[PATH_SIZE];
	int status = 0;
	pthread_mutex_lock(&local->lock);
	if (*find_directory(local, path) == NULL) {
		status = local->os->mkdir(local->os->self, path, err);
		memcpy(above, path, strlen(path) + 1);
		while (status == 0 && to_parent(local, above))
			status = local->os->sync_dir(local->os->self, above, err);
		if (status == 0)
			remember_directory(local, path);
	}
	pthread_mutex_unlock(&local->lock);
	return status;
}

/* A list of distinct directories. Epochs touch few, so a search from the end finds most at once. */
struct paths {
	char **items;
	size_t count, capacity;
};

static void paths_add(struct paths *paths, const char *path)
{
	for (size_t i = paths->count; i > 0; i--)
		if (strcmp(paths->items[i - 1], path) == 0)
			return;
	WEIR_GROW(paths->items, paths->count, paths->capacity);
	paths->items[paths->count++] = weir_strdup(path);
}

static void paths_done(struct paths *paths)
{
	for (size_t i = 0; i < paths->count; i++)
		free(paths->items[i]);
	free(paths->items);
}

/* ---- writing ---- */

static int local_create(struct store *store, const char *name, struct store_file **ret_file, struct weir_error *err)
{
	struct local *local = local_of(store);
	char path[PATH_SIZE], directory[PATH_SIZE];
	struct weir_file *handle;
	make_path(local, name, path);
	memcpy(directory, path, strlen(path) + 1);
	to_parent(local, directory);
	int status = 0;
	for (int i = 0; i < CREATE_TRIES; i++) {
		status = ensure_directory(local, directory, err);
		if (status == 0)
			status = local->os->open(local->os->self, path, WEIR_OPEN_CREATE, &handle, err);
		if (status != WEIR_E_NOT_FOUND)
			break;
		/* Removed under us, perhaps by another process: make it again. */
		pthread_mutex_lock(&local->lock);
		forget_directory(local, directory);
		pthread_mutex_unlock(&local->lock);
	}
	if (status != 0)
		return status;
	struct local_file *file = weir_zalloc(sizeof *file);
	file->file = (struct store_file){.store = store, .name = weir_strdup(name)};
	file->handle = handle;
	file->path = weir_strdup(path);
	*ret_file = &file->file;
	return 0;
}

static int write_out(struct local_file *file, const void *data, size_t size, struct weir_error *err)
{
	struct local *local = local_of(file->file.store);
	int status = local->os->write(local->os->self, file->handle, file->written, data, size, err);
	if (status != 0)
		return status;
	file->written += size;
	uint64_t full = (file->written - file->writeback) / WRITEBACK_BYTES * WRITEBACK_BYTES;
	if (full > 0) {
		local->os->start_writeback(local->os->self, file->handle, file->writeback, full);
		file->writeback += full;
	}
	return 0;
}

static int flush_file(struct local_file *file, struct weir_error *err)
{
	int status = file->pending.size > 0 ? write_out(file, file->pending.data, file->pending.size, err) : 0;
	if (status == 0)
		file->pending.size = 0;
	return status;
}

static int local_append(struct store_file *file, const void *data, size_t size, struct weir_error *err)
{
	struct local_file *local = (struct local_file *)file;
	int status = 0;
	if (local->pending.size + size > BUFFER_BYTES)
		status = flush_file(local, err);
	if (status == 0 && size >= BUFFER_BYTES)
		status = write_out(local, data, size, err);
	else if (status == 0)
		weir_buf_append(&local->pending, data, size);
	if (status == 0)
		file->size_bytes += size;
	return status;
}

static int close_file(struct local *local, struct local_file *take_file, struct weir_error *err)
{
	int status = local->os->close(local->os->self, take_file->handle, err);
	weir_buf_done(&take_file->pending);
	free(take_file->path);
	free(take_file->file.name);
	free(take_file);
	return status;
}

static void local_abandon(struct store *store, struct store_file *take_file)
{
	struct local *local = local_of(store);
	struct local_file *file = (struct local_file *)take_file;
	local->os->unlink(
		local->os->self, file->path, NULL); /* what stays behind is a pending file, cleaned on start */
	close_file(local, file, NULL);
}

static int local_barrier(struct store *store, struct store_file **take_files, size_t count, struct weir_error *err)
{
	struct local *local = local_of(store);
	struct paths directories = {0};
	int status = 0;
	for (size_t i = 0; i < count && status == 0; i++)
		status = flush_file((struct local_file *)take_files[i], err);
	for (size_t i = 0; i < count && status == 0; i++) {
		struct local_file *file = (struct local_file *)take_files[i];
		status = local->os->sync(local->os->self, file->handle, err);
	}
	for (size_t i = 0; i < count; i++) {
		struct local_file *file = (struct local_file *)take_files[i];
		to_parent(local, file->path);
		paths_add(&directories, file->path);
		int closed = close_file(local, file, status == 0 ? err : NULL);
		status = status == 0 ? closed : status;
	}
	for (size_t i = 0; i < directories.count && status == 0; i++)
		status = local->os->sync_dir(local->os->self, directories.items[i], err);
	paths_done(&directories);
	return status;
}

/* ---- reading ---- */

struct local_source {
	struct store_source source;
	struct local *local;
	struct weir_file *handle;
	char name[];
};

static int source_read(void *self, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	struct local_source *source = self;
	return source->local->os->read(source->local->os->self, source->handle, offset, buffer, size, err);
}

static void source_close(struct store_source *take_source)
{
	struct local_source *source = (struct local_source *)take_source;
	source->local->os->close(source->local->os->self, source->handle, NULL);
	free(source);
}

static int local_size(struct store *store, const char *name, uint64_t *ret_size, struct weir_error *err)
{
	struct local *local = local_of(store);
	struct weir_file_info info;
	char path[PATH_SIZE];
	make_path(local, name, path);
	int status = local->os->stat(local->os->self, path, &info, err);
	if (status != 0)
		return status;
	if (info.is_directory)
		return weir_fail_at(err, WEIR_E_NOT_FOUND, weir_str_from(path), WEIR_ERROR_NO_OFFSET,
			"a directory is not an object");
	*ret_size = info.size_bytes;
	return 0;
}

static int local_source_open(
	struct store *store, const char *name, struct weir_byte_source *ret_source, struct weir_error *err)
{
	struct local *local = local_of(store);
	struct weir_file *handle;
	uint64_t size = 0;
	char path[PATH_SIZE];
	int status = local_size(store, name, &size, err);
	if (status != 0)
		return status;
	make_path(local, name, path);
	status = local->os->open(local->os->self, path, WEIR_OPEN_READ, &handle, err);
	if (status != 0)
		return status;
	struct local_source *source = weir_alloc(sizeof *source + strlen(name) + 1);
	source->source.close = source_close;
	source->local = local;
	source->handle = handle;
	memcpy(source->name, name, strlen(name) + 1);
	*ret_source = (struct weir_byte_source){source_read, source, size, weir_str_from(source->name)};
	return 0;
}

static int local_read(
	struct store *store, const char *name, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	struct weir_byte_source source;
	int status = local_source_open(store, name, &source, err);
	if (status != 0)
		return status;
	status = source.read(source.self, offset, buffer, size, err);
	store_source_close(&source);
	return status;
}

/* ---- listing ---- */

struct listing {
	struct local *local;
	struct weir_str prefix;
	store_list_fn *object;
	void *context;
	struct weir_str directory; /* the name of the one being listed, with a slash at its end; "" is the root */
	struct paths below;        /* directories still to list */
	bool sync;                 /* each directory, when it was listed */
};

static int list_entry(void *context, const char *entry, const struct weir_file_info *info, struct weir_error *err)
{
	struct listing *listing = context;
	char name[STORE_NAME_MAX + NAME_MAX + 2];
	size_t entry_size = strlen(entry), size = listing->directory.size + entry_size;
	if (size + 1 > sizeof name - 1)
		return 0; /* too long to be one of ours */
	if (listing->directory.size > 0)
		memcpy(name, listing->directory.data, listing->directory.size);
	memcpy(name + listing->directory.size, entry, entry_size + 1);
	if (info->is_directory) {
		memcpy(name + size, "/", 2);
		size++;
	}
	struct weir_str found = {name, size};
	if (info->is_directory) {
		if (weir_str_has_prefix(found, listing->prefix) || weir_str_has_prefix(listing->prefix, found)) {
			WEIR_GROW(listing->below.items, listing->below.count, listing->below.capacity);
			listing->below.items[listing->below.count++] = weir_strdup(name);
		}
		return 0;
	}
	if (!weir_str_has_prefix(found, listing->prefix))
		return 0;
	struct store_object object = {found, info->size_bytes, info->modified_us};
	return listing->object(listing->context, &object, err);
}

static int walk(struct listing *listing, struct weir_error *err)
{
	struct local *local = listing->local;
	const char *prefix = listing->prefix.data;
	char path[PATH_SIZE];
	const char *slash = strrchr(prefix, '/');
	char *directory = weir_strdup(prefix);
	directory[slash != NULL ? slash + 1 - prefix : 0] = '\0';
	int status = 0;
	while (status == 0 && directory != NULL) {
		listing->directory = weir_str_from(directory);
		make_path(local, directory, path);
		path[strlen(path) - 1] = '\0'; /* its slash */
		status = local->os->list(local->os->self, path, list_entry, listing, err);
		if (status == 0 && listing->sync)
			status = local->os->sync_dir(local->os->self, path, err);
		if (status == WEIR_E_NOT_FOUND)
			status = 0; /* nothing has that prefix, or it was removed since */
		free(directory);
		directory = listing->below.count > 0 ? listing->below.items[--listing->below.count] : NULL;
	}
	free(directory);
	paths_done(&listing->below);
	return status;
}

static int local_list(
	struct store *store, const char *prefix, store_list_fn *object, void *context, struct weir_error *err)
{
	return walk(
		&(struct listing){local_of(store), weir_str_from(prefix), object, context, {"", 0}, {0}, false}, err);
}

static int no_object(void *context, const struct store_object *object, struct weir_error *err)
{
	(void)context;
	(void)object;
	(void)err;
	return 0;
}

static int local_settle(struct store *store, struct weir_error *err)
{
	return walk(&(struct listing){local_of(store), WEIR_STR(""), no_object, NULL, {"", 0}, {0}, true}, err);
}

/* ---- deleting ---- */

/* Removes the directory if it is empty; true when it is gone. */
static bool remove_directory(struct local *local, const char *path)
{
	if (strlen(path) <= strlen(local->root))
		return false;
	pthread_mutex_lock(&local->lock);
	bool gone = local->os->rmdir(local->os->self, path, NULL) == 0;
	if (gone)
		forget_directory(local, path);
	pthread_mutex_unlock(&local->lock);
	return gone;
}

static int local_delete_many(struct store *store, const char *const *names, size_t count, struct weir_error *err)
{
	struct local *local = local_of(store);
	struct paths directories = {0};
	char path[PATH_SIZE];
	int status = 0;
	for (size_t i = 0; i < count && status == 0; i++) {
		make_path(local, names[i], path);
		status = local->os->unlink(local->os->self, path, err);
		if (status == WEIR_E_NOT_FOUND)
			status =
				0; /* perhaps by an attempt that died before its sync, so its directory is synced too */
		to_parent(local, path);
		paths_add(&directories, path);
	}
	/* The list grows by the parents of those that could be removed. */
	for (size_t i = 0; i < directories.count && status == 0; i++) {
		memcpy(path, directories.items[i], strlen(directories.items[i]) + 1);
		bool gone = remove_directory(local, path);
		if (!gone) {
			status = local->os->sync_dir(local->os->self, path, err);
			gone = status == WEIR_E_NOT_FOUND;
			status = gone ? 0 : status;
		}
		if (gone && to_parent(local, path)) {
			WEIR_GROW(directories.items, directories.count, directories.capacity);
			directories.items[directories.count++] = weir_strdup(path);
		}
	}
	paths_done(&directories);
	return status;
}

/* ---- opening ---- */

static void local_close(struct store *store)
{
	struct local *local = local_of(store);
	forget_directories(local);
	pthread_mutex_destroy(&local->lock);
	free(local->root);
	free(local);
}

static const struct store_ops local_ops = {
	.create = local_create,
	.append = local_append,
	.barrier = local_barrier,
	.abandon = local_abandon,
	.read = local_read,
	.size = local_size,
	.source_open = local_source_open,
	.list = local_list,
	.delete_many = local_delete_many,
	.settle = local_settle,
	.close = local_close,
	.has_local_path = true,
};

/* Absolute, without slashes at its end: URIs are made from it. */
static char *absolute(const char *root)
{
	struct weir_buf path = WEIR_BUF_INIT;
	char here[4096];
	if (root[0] != '/' && getcwd(here, sizeof here) != NULL)
		weir_buf_printf(&path, "%s/", here);
	while (root[0] == '.' && root[1] == '/')
		root += 2;
	weir_buf_puts(&path, root);
	while (path.size > 1 && path.data[path.size - 1] == '/')
		path.size--;
	char *result = weir_strdup(weir_buf_cstr(&path));
	weir_buf_done(&path);
	return result;
}

int store_local_open(const struct weir_os *os, const char *root, struct store **ret_store, struct weir_error *err)
{
	struct local *local = weir_zalloc(sizeof *local);
	local->os = os;
	local->root = absolute(root);
	local->store = (struct store){.ops = &local_ops, .root = local->root, .scheme = "file://"};
	pthread_mutex_init(&local->lock, NULL);
	int status = strlen(local->root) < PATH_SIZE - STORE_NAME_MAX - 2
		? os->mkdir(os->self, local->root, err)
		: weir_fail(err, WEIR_E_LIMIT, "the warehouse's path is longer than %d bytes", 4096);
	if (status != 0) {
		local_close(&local->store);
		return status;
	}
	*ret_store = &local->store;
	return 0;
}
