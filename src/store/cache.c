/*
 * See cache.h. An entry is one copy: its size, and who uses it. `pins` keep it on the disk (a path given out, a read
 * under way); `sources` keep the entry alone: a source whose copy was dropped reads on by ranges from below, and one
 * whose object was deleted reads on from the file, which has no name any more. The file is open while somebody reads
 * it.
 *
 * States of an entry: FETCHING (one thread fills it, others wait), READY, GONE (not in the table; freed by its last
 * user). Threads: `lock` guards the table, the list by use and all counts; files are read and filled without it.
 */
#include "store/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "store/store_int.h"

#define BUCKETS     4096
#define KEY_SIZE    33 /* 32 hexadecimal digits of a name's SHA-256, and a zero byte */
#define FETCH_BYTES (8U << 20)
#define PATH_SIZE   4300
#define MARKER      "clean"
#define MARKER_MAX  8192
#define TEMPORARY   "tmp-"

enum state { FETCHING, READY, GONE };

struct entry {
	struct entry *next;          /* in its bucket */
	struct entry *newer, *older; /* in the list by use; READY ones alone */
	char key[KEY_SIZE];
	enum state state;
	int fd; /* -1: not open */
	uint64_t size;
	unsigned pins, sources;
};

struct cache {
	struct store store;
	struct store *below;
	char *directory, *identity;
	uint64_t limit;
	pthread_mutex_t lock;
	pthread_cond_t fetched;
	struct entry *buckets[BUCKETS];
	struct entry *gone; /* those that were deleted while their path was given out */
	struct entry *newest, *oldest;
	struct store_cache_counts counts;
	uint64_t temporaries; /* for their names */
};

struct cache_file {
	struct store_file file;
	struct store_file *below;
	int fd; /* the copy in the making; -1 where there is none */
	char path[PATH_SIZE];
};

static struct cache *cache_of(struct store *store)
{
	return (struct cache *)store;
}

static void key_of(const char *name, char key[KEY_SIZE])
{
	uint8_t digest[WEIR_SHA256_SIZE];
	weir_sha256(name, strlen(name), digest);
	weir_hex(digest, 16, key);
}

static void copy_path(const struct cache *cache, const char *file, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%.4096s/%.64s", cache->directory, file);
}

/* A file of its own, to become a copy by rename. -1 where the disk says no: then there is no copy. */
static int open_temporary(struct cache *cache, char path[PATH_SIZE])
{
	char name[64];
	pthread_mutex_lock(&cache->lock);
	uint64_t number = cache->temporaries++;
	pthread_mutex_unlock(&cache->lock);
	snprintf(name, sizeof name, TEMPORARY "%llu", (unsigned long long)number);
	copy_path(cache, name, path);
	return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static bool write_all(int fd, const void *data, size_t size)
{
	const char *from = data;
	while (size > 0) {
		ssize_t done = write(fd, from, size);
		if (done < 0 && errno != EINTR)
			return false;
		from += done > 0 ? done : 0;
		size -= done > 0 ? (size_t)done : 0;
	}
	return true;
}

/* ---- the table (under lock) ---- */

static struct entry **find(struct cache *cache, const char *key)
{
	struct entry **at = &cache->buckets[weir_hash64(key, KEY_SIZE - 1) % BUCKETS];
	while (*at != NULL && strcmp((*at)->key, key) != 0)
		at = &(*at)->next;
	return at;
}

static void unlist(struct cache *cache, struct entry *entry)
{
	*(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
	*(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
	entry->newer = entry->older = NULL;
}

static void list_newest(struct cache *cache, struct entry *entry)
{
	entry->older = cache->newest;
	entry->newer = NULL;
	*(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
	cache->newest = entry;
}

/* After somebody is done with it. */
static void settle(struct cache *cache, struct entry *entry)
{
	if (entry->pins > 0 || entry->sources > 0)
		return;
	if (entry->fd >= 0)
		close(entry->fd);
	entry->fd = -1;
	if (entry->state != GONE)
		return;
	for (struct entry **at = &cache->gone; *at != NULL; at = &(*at)->next) {
		if (*at == entry) {
			*at = entry->next;
			break;
		}
	}
	free(entry);
}

/* False where its file cannot be read any more, or there are too many files open. */
static bool open_copy(struct cache *cache, struct entry *entry)
{
	char path[PATH_SIZE];
	if (entry->fd < 0 && entry->state == READY) {
		copy_path(cache, entry->key, path);
		entry->fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	return entry->fd >= 0;
}

/* Takes a READY entry out of the table and its file's name away. */
static void drop(struct cache *cache, struct entry *entry)
{
	char path[PATH_SIZE];
	copy_path(cache, entry->key, path);
	unlink(path);
	unlist(cache, entry);
	*find(cache, entry->key) = entry->next;
	cache->counts.bytes -= entry->size;
	cache->counts.objects--;
	entry->state = GONE;
	entry->next = NULL;
	if (entry->pins > 0) {
		entry->next = cache->gone;
		cache->gone = entry;
	}
	settle(cache, entry);
}

/* Makes room; false where what is in use leaves too little. */
static bool make_room(struct cache *cache, uint64_t size)
{
	struct entry *entry = cache->oldest;
	while (entry != NULL && cache->counts.bytes + size > cache->limit) {
		struct entry *newer = entry->newer;
		if (entry->pins == 0) {
			if (entry->fd >= 0)
				close(entry->fd); /* sources go on by ranges: the room is wanted now */
			entry->fd = -1;
			drop(cache, entry);
			cache->counts.dropped++;
		}
		entry = newer;
	}
	return cache->counts.bytes + size <= cache->limit;
}

static struct entry *add_entry(struct cache *cache, const char *key, enum state state)
{
	struct entry **at = find(cache, key), *entry = weir_zalloc(sizeof *entry);
	WEIR_ASSERT(*at == NULL);
	memcpy(entry->key, key, KEY_SIZE);
	entry->state = state;
	entry->fd = -1;
	*at = entry;
	return entry;
}

static void make_ready(struct cache *cache, struct entry *entry, uint64_t size)
{
	entry->state = READY;
	entry->size = size;
	cache->counts.bytes += size;
	cache->counts.objects++;
	list_newest(cache, entry);
}

static void unpin(struct cache *cache, struct entry *entry)
{
	pthread_mutex_lock(&cache->lock);
	entry->pins--;
	settle(cache, entry);
	pthread_mutex_unlock(&cache->lock);
}

/* ---- fetching ---- */

/* Copies a source into a temporary file. *ret_good false, without an error, where the disk has no room. */
static int copy_source(struct cache *cache, struct weir_byte_source *source, char path[PATH_SIZE], bool *ret_good,
	struct weir_error *err)
{
	int fd = open_temporary(cache, path), status = 0;
	bool good = fd >= 0;
	size_t some = source->size_bytes < FETCH_BYTES ? (size_t)source->size_bytes : FETCH_BYTES;
	char *buffer = weir_alloc(some > 0 ? some : 1);
	for (uint64_t at = 0; at < source->size_bytes && good && status == 0; at += some) {
		uint64_t left = source->size_bytes - at;
		size_t size = left < some ? (size_t)left : some;
		status = source->read(source->self, at, buffer, size, err);
		good = status == 0 && write_all(fd, buffer, size);
	}
	free(buffer);
	if (fd >= 0)
		close(fd);
	if (!good && fd >= 0)
		unlink(path);
	*ret_good = good;
	return status;
}

/* Fills an entry that this thread has put there, FETCHING. *ret_entry NULL where it is not to be copied. */
static int fetch(
	struct cache *cache, const char *name, struct entry *entry, struct entry **ret_entry, struct weir_error *err)
{
	struct weir_byte_source source = {0};
	char from[PATH_SIZE], to[PATH_SIZE];
	bool good = false;
	int status = store_source_open(cache->below, name, &source, err);
	if (status == 0 && source.size_bytes <= cache->limit / 4) {
		pthread_mutex_lock(&cache->lock);
		good = make_room(cache, source.size_bytes);
		pthread_mutex_unlock(&cache->lock);
	}
	if (good)
		status = copy_source(cache, &source, from, &good, err);
	copy_path(cache, entry->key, to);
	pthread_mutex_lock(&cache->lock);
	bool wanted = entry->state == FETCHING; /* nobody deleted it in the meantime */
	if (good && wanted && make_room(cache, source.size_bytes) && rename(from, to) == 0) {
		make_ready(cache, entry, source.size_bytes);
		cache->counts.fetches++;
		entry->pins++;
		*ret_entry = entry;
	} else {
		if (good)
			unlink(from);
		if (wanted)
			*find(cache, entry->key) = entry->next;
		entry->state = GONE;
		*ret_entry = NULL;
		settle(cache, entry);
	}
	pthread_cond_broadcast(&cache->fetched);
	pthread_mutex_unlock(&cache->lock);
	if (source.self != NULL)
		store_source_close(&source);
	return status;
}

/* The copy of an object, pinned; fetched where there is none. *ret_entry NULL, and 0, where there is to be none. */
static int acquire(struct cache *cache, const char *name, struct entry **ret_entry, struct weir_error *err)
{
	char key[KEY_SIZE];
	key_of(name, key);
	pthread_mutex_lock(&cache->lock);
	struct entry *entry;
	while ((entry = *find(cache, key)) != NULL && entry->state == FETCHING)
		pthread_cond_wait(&cache->fetched, &cache->lock);
	if (entry != NULL) {
		entry->pins++;
		cache->counts.hits++;
		unlist(cache, entry);
		list_newest(cache, entry);
		pthread_mutex_unlock(&cache->lock);
		*ret_entry = entry;
		return 0;
	}
	entry = add_entry(cache, key, FETCHING);
	pthread_mutex_unlock(&cache->lock);
	return fetch(cache, name, entry, ret_entry, err);
}

/* ---- reading ---- */

static int past_end(const char *name, uint64_t offset, size_t size, struct weir_error *err)
{
	return weir_fail_at(
		err, WEIR_E_CORRUPT, weir_str_from(name), offset, "the object ends before %zu expected bytes", size);
}

static int read_copy(
	const struct entry *entry, const char *name, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	char *to = buffer;
	if (offset > entry->size || size > entry->size - offset)
		return past_end(name, offset, size, err);
	while (size > 0) {
		ssize_t got = pread(entry->fd, to, size, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return weir_fail_errno(err, errno, weir_str_from(name), "read its local copy");
		if (got == 0)
			return weir_fail_at(err, WEIR_E_CORRUPT, weir_str_from(name), offset,
				"its local copy was cut off: stop the server and delete the directory `cache` of its "
				"data");
		to += got;
		size -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

/* From the copy where there is one, else that range from below: one read does not fetch. */
static int cache_read(
	struct store *store, const char *name, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	struct cache *cache = cache_of(store);
	char key[KEY_SIZE];
	key_of(name, key);
	pthread_mutex_lock(&cache->lock);
	struct entry *entry = *find(cache, key);
	if (entry != NULL && entry->state == READY && open_copy(cache, entry))
		entry->pins++;
	else
		entry = NULL;
	pthread_mutex_unlock(&cache->lock);
	if (entry == NULL)
		return store_read(cache->below, name, offset, buffer, size, err);
	int status = read_copy(entry, name, offset, buffer, size, err);
	unpin(cache, entry);
	return status;
}

static int cache_size(struct store *store, const char *name, uint64_t *ret_size, struct weir_error *err)
{
	return store_size(cache_of(store)->below, name, ret_size, err);
}

struct cache_source {
	struct store_source source;
	struct cache *cache;
	struct entry *entry;
	char name[];
};

static int source_read(void *self, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	struct cache_source *source = self;
	struct cache *cache = source->cache;
	struct entry *entry = source->entry;
	if (offset > entry->size || size > entry->size - offset)
		return past_end(source->name, offset, size, err);
	pthread_mutex_lock(&cache->lock);
	bool has_copy = open_copy(cache, entry);
	if (has_copy)
		entry->pins++;
	pthread_mutex_unlock(&cache->lock);
	if (!has_copy && size == 0)
		return 0;
	if (!has_copy)
		return store_read(cache->below, source->name, offset, buffer, size, err);
	int status = read_copy(entry, source->name, offset, buffer, size, err);
	unpin(cache, entry);
	return status;
}

static void source_close(struct store_source *take_source)
{
	struct cache_source *source = (struct cache_source *)take_source;
	pthread_mutex_lock(&source->cache->lock);
	source->entry->sources--;
	settle(source->cache, source->entry);
	pthread_mutex_unlock(&source->cache->lock);
	free(source);
}

static int cache_source_open(
	struct store *store, const char *name, struct weir_byte_source *ret_source, struct weir_error *err)
{
	struct cache *cache = cache_of(store);
	struct entry *entry;
	int status = acquire(cache, name, &entry, err);
	if (status != 0)
		return status;
	if (entry == NULL)
		return store_source_open(cache->below, name, ret_source, err);
	struct cache_source *source = weir_alloc(sizeof *source + strlen(name) + 1);
	source->source.close = source_close;
	source->cache = cache;
	source->entry = entry;
	memcpy(source->name, name, strlen(name) + 1);
	*ret_source = (struct weir_byte_source){source_read, source, entry->size, weir_str_from(source->name)};
	pthread_mutex_lock(&cache->lock);
	entry->sources++;
	open_copy(cache, entry); /* now: it may be deleted before it is read */
	entry->pins--;
	pthread_mutex_unlock(&cache->lock);
	return 0;
}

static int cache_local_path(struct store *store, struct weir_arena *arena, struct weir_str name,
	struct weir_str *ret_path, struct weir_error *err)
{
	struct cache *cache = cache_of(store);
	char path[PATH_SIZE];
	struct entry *entry;
	int status = acquire(cache, weir_arena_cstr(arena, name), &entry, err);
	if (status != 0)
		return status;
	if (entry == NULL)
		return weir_fail_at(err, WEIR_E_LIMIT, name, WEIR_ERROR_NO_OFFSET,
			"there is no room for a local copy: allow the warehouse's cache more than %llu MiB, or free "
			"disk space",
			(unsigned long long)(cache->limit >> 20));
	copy_path(cache, entry->key, path);
	*ret_path = weir_arena_str(arena, weir_str_from(path));
	return 0;
}

static void cache_local_release(struct store *store, struct weir_str name)
{
	struct cache *cache = cache_of(store);
	char key[KEY_SIZE], *text = weir_alloc(name.size + 1);
	memcpy(text, name.data, name.size);
	text[name.size] = '\0';
	key_of(text, key);
	free(text);
	pthread_mutex_lock(&cache->lock);
	struct entry *entry = *find(cache, key);
	if (entry == NULL || entry->pins == 0) /* it was deleted since */
		for (entry = cache->gone; entry != NULL && strcmp(entry->key, key) != 0;)
			entry = entry->next;
	if (entry != NULL && entry->pins > 0) {
		entry->pins--;
		settle(cache, entry);
	}
	pthread_mutex_unlock(&cache->lock);
}

/* ---- writing ---- */

static int cache_create(struct store *store, const char *name, struct store_file **ret_file, struct weir_error *err)
{
	struct cache *cache = cache_of(store);
	struct store_file *below;
	int status = store_create(cache->below, name, &below, err);
	if (status != 0)
		return status;
	struct cache_file *file = weir_zalloc(sizeof *file);
	file->file = (struct store_file){.store = store, .name = weir_strdup(name)};
	file->below = below;
	file->fd = open_temporary(cache, file->path);
	*ret_file = &file->file;
	return 0;
}

static void drop_copy(struct cache_file *file)
{
	if (file->fd < 0)
		return;
	unlink(file->path);
	close(file->fd);
	file->fd = -1;
}

static int cache_append(struct store_file *store_file, const void *data, size_t size, struct weir_error *err)
{
	struct cache_file *file = (struct cache_file *)store_file;
	int status = store_append(file->below, data, size, err);
	if (status != 0)
		return status;
	store_file->size_bytes += size;
	if (file->fd >= 0 &&
		(store_file->size_bytes > cache_of(store_file->store)->limit / 4 || !write_all(file->fd, data, size)))
		drop_copy(file); /* it can be fetched later */
	return 0;
}

static void free_file(struct cache_file *file)
{
	drop_copy(file);
	free(file->file.name);
	free(file);
}

/* What was written becomes a copy, once it is durable below. */
static void keep_copy(struct cache *cache, struct cache_file *file)
{
	char key[KEY_SIZE], path[PATH_SIZE];
	key_of(file->file.name, key);
	copy_path(cache, key, path);
	pthread_mutex_lock(&cache->lock);
	if (file->fd >= 0 && *find(cache, key) == NULL && make_room(cache, file->file.size_bytes) &&
		rename(file->path, path) == 0) {
		make_ready(cache, add_entry(cache, key, FETCHING), file->file.size_bytes);
		close(file->fd);
		file->fd = -1;
	}
	pthread_mutex_unlock(&cache->lock);
}

static int cache_barrier(struct store *store, struct store_file **take_files, size_t count, struct weir_error *err)
{
	struct cache *cache = cache_of(store);
	struct store_file **below = weir_realloc(NULL, count, sizeof(struct store_file *));
	for (size_t i = 0; i < count; i++)
		below[i] = ((struct cache_file *)take_files[i])->below;
	int status = store_barrier(cache->below, below, count, err);
	free(below);
	for (size_t i = 0; i < count; i++) {
		struct cache_file *file = (struct cache_file *)take_files[i];
		if (status == 0)
			keep_copy(cache, file);
		free_file(file);
	}
	return status;
}

static void cache_abandon(struct store *store, struct store_file *take_file)
{
	struct cache_file *file = (struct cache_file *)take_file;
	store_abandon(cache_of(store)->below, file->below);
	free_file(file);
}

/* ---- listing, deleting ---- */

static int cache_list(
	struct store *store, const char *prefix, store_list_fn *object, void *context, struct weir_error *err)
{
	return store_list(cache_of(store)->below, prefix, object, context, err);
}

static void forget(struct cache *cache, const char *name)
{
	char key[KEY_SIZE];
	key_of(name, key);
	pthread_mutex_lock(&cache->lock);
	struct entry **at = find(cache, key), *entry = *at;
	if (entry != NULL && entry->state == READY) {
		drop(cache, entry);
	} else if (entry != NULL) {
		*at = entry->next; /* whoever fetches it finds out, and drops what it fetched */
		entry->state = GONE;
	}
	pthread_mutex_unlock(&cache->lock);
}

static int cache_delete_many(struct store *store, const char *const *names, size_t count, struct weir_error *err)
{
	struct cache *cache = cache_of(store);
	/* Before, so that nothing is left here where it is gone there; and after, since somebody may have fetched
	 * between. */
	for (size_t i = 0; i < count; i++)
		forget(cache, names[i]);
	int status = store_delete_many(cache->below, names, count, err);
	for (size_t i = 0; i < count; i++)
		forget(cache, names[i]);
	return status;
}

static int cache_settle(struct store *store, struct weir_error *err)
{
	return store_settle(cache_of(store)->below, err);
}

/* ---- opening and closing ---- */

static void each_file(struct cache *cache, void (*visit)(struct cache *cache, const char *name))
{
	DIR *directory = opendir(cache->directory);
	for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
		bool is_key = strlen(entry->d_name) == KEY_SIZE - 1 &&
			strspn(entry->d_name, "0123456789abcdef") == KEY_SIZE - 1;
		if (is_key || strncmp(entry->d_name, TEMPORARY, sizeof TEMPORARY - 1) == 0)
			visit(cache, entry->d_name);
	}
	if (directory != NULL)
		closedir(directory);
}

static void remove_copy(struct cache *cache, const char *name)
{
	char path[PATH_SIZE];
	copy_path(cache, name, path);
	unlink(path);
}

static void adopt_copy(struct cache *cache, const char *name)
{
	char path[PATH_SIZE];
	struct stat info;
	copy_path(cache, name, path);
	if (name[0] != TEMPORARY[0] && stat(path, &info) == 0 && *find(cache, name) == NULL &&
		make_room(cache, (uint64_t)info.st_size))
		make_ready(cache, add_entry(cache, name, FETCHING), (uint64_t)info.st_size);
	else
		unlink(path);
}

/* Whether the last process ended in order, with this warehouse. The marker goes: from now on only a good end brings it
 * back. */
static bool take_marker(struct cache *cache)
{
	char path[PATH_SIZE], text[MARKER_MAX + 1];
	copy_path(cache, MARKER, path);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	size_t size = fread(text, 1, MARKER_MAX, file);
	fclose(file);
	text[size] = '\0';
	return unlink(path) == 0 && strcmp(text, cache->identity) == 0;
}

static void leave_marker(struct cache *cache)
{
	char path[PATH_SIZE];
	int directory = open(cache->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced = directory >= 0 && syncfs(directory) == 0;
	if (directory >= 0)
		close(directory);
	copy_path(cache, MARKER, path);
	FILE *file = synced && strlen(cache->identity) <= MARKER_MAX ? fopen(path, "we") : NULL;
	if (file == NULL)
		return;
	bool good = fputs(cache->identity, file) >= 0;
	if (fclose(file) != 0 || !good)
		unlink(path);
}

static void free_entries(struct entry *entry)
{
	while (entry != NULL) {
		struct entry *next = entry->next;
		if (entry->fd >= 0)
			close(entry->fd);
		free(entry);
		entry = next;
	}
}

static void cache_free(struct cache *cache)
{
	for (size_t i = 0; i < BUCKETS; i++)
		free_entries(cache->buckets[i]);
	free_entries(cache->gone);
	store_close(cache->below);
	pthread_cond_destroy(&cache->fetched);
	pthread_mutex_destroy(&cache->lock);
	free(cache->directory);
	free(cache->identity);
	free(cache);
}

static void cache_close(struct store *store)
{
	leave_marker(cache_of(store));
	cache_free(cache_of(store));
}

int store_cache_open(const struct store_cache_options *options, struct store *take_below, struct store **ret_store,
	struct weir_error *err)
{
	static const struct store_ops ops = {
		.create = cache_create,
		.append = cache_append,
		.barrier = cache_barrier,
		.abandon = cache_abandon,
		.read = cache_read,
		.size = cache_size,
		.source_open = cache_source_open,
		.list = cache_list,
		.delete_many = cache_delete_many,
		.settle = cache_settle,
		.close = cache_close,
		.local_path = cache_local_path,
		.local_release = cache_local_release,
	};
	struct cache *cache = weir_zalloc(sizeof *cache);
	const struct weir_os *os = weir_os_real();
	cache->store = *take_below;
	cache->store.ops = &ops;
	cache->below = take_below;
	cache->directory = weir_strdup(options->directory);
	cache->identity = weir_strdup(options->identity);
	cache->limit = options->limit_bytes > 0 ? options->limit_bytes : STORE_CACHE_BYTES;
	pthread_mutex_init(&cache->lock, NULL);
	pthread_cond_init(&cache->fetched, NULL);
	int status = strlen(options->directory) <= 4096
		? os->mkdir(os->self, cache->directory, err)
		: weir_fail(err, WEIR_E_LIMIT, "the path of the warehouse's cache is longer than 4,096 bytes");
	if (status != 0) {
		cache_free(cache);
		return status;
	}
	each_file(cache, take_marker(cache) ? adopt_copy : remove_copy);
	*ret_store = &cache->store;
	return 0;
}

void store_cache_counts(struct store *store, struct store_cache_counts *ret_counts)
{
	struct cache *cache = cache_of(store);
	pthread_mutex_lock(&cache->lock);
	*ret_counts = cache->counts;
	pthread_mutex_unlock(&cache->lock);
}
