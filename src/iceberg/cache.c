/*
 * Decoded manifests, manifest lists and Parquet footers by URI, shared by all tables of a warehouse. Objects in a
 * store never change, so that what is cached is always right. Bounded in bytes; the least recently used goes
 * first, but what is pinned lives on until it is released.
 *
 * Any thread: one mutex guards the table, the list and the pins; reading and decoding happen outside it, so two
 * threads may decode the same object, and the second one's work is dropped.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "iceberg/internal.h"

#define BUCKETS 4096

enum cached_kind { CACHED_MANIFEST, CACHED_LIST, CACHED_FOOTER };

struct ice_cached {
	struct ice_cached *next_in_bucket;
	struct ice_cached *newer, *older; /* by use */
	struct ice_cache *cache;          /* NULL: never cached, the pin is all */
	enum cached_kind kind;
	struct weir_str uri; /* in arena */
	struct weir_arena *arena;
	struct ice_entries entries;
	struct ice_manifest *manifests;
	uint32_t manifest_count;
	struct weir_byte_source source; /* a footer's file stays open */
	struct pq_file *parquet;
	uint64_t bytes;
	unsigned pins;
	bool is_listed; /* in the cache's table */
};

struct ice_footer {
	struct ice_cached cached; /* a footer is the cached object seen from outside */
};

struct ice_cache {
	pthread_mutex_t mutex;
	uint64_t limit_bytes, bytes;
	struct ice_cached *newest, *oldest;
	struct ice_cached *buckets[BUCKETS];
};

static void cached_free(struct ice_cached *cached)
{
	pq_file_free(cached->parquet);
	if (cached->source.self != NULL)
		store_source_close(&cached->source);
	weir_arena_free(cached->arena);
	free(cached);
}

static struct ice_cached **bucket_of(struct ice_cache *cache, enum cached_kind kind, struct weir_str uri)
{
	return &cache->buckets[weir_hash64_seeded(uri.data, uri.size, (uint64_t)kind) % BUCKETS];
}

static void unlink_use(struct ice_cache *cache, struct ice_cached *cached)
{
	*(cached->newer != NULL ? &cached->newer->older : &cache->newest) = cached->older;
	*(cached->older != NULL ? &cached->older->newer : &cache->oldest) = cached->newer;
	cached->newer = cached->older = NULL;
}

static void link_newest(struct ice_cache *cache, struct ice_cached *cached)
{
	cached->newer = NULL;
	cached->older = cache->newest;
	*(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = cached;
	cache->newest = cached;
}

/* Takes it out of the table; freed now, or by the last pin. */
static void unlist(struct ice_cache *cache, struct ice_cached *cached)
{
	struct ice_cached **at = bucket_of(cache, cached->kind, cached->uri);
	while (*at != cached)
		at = &(*at)->next_in_bucket;
	*at = cached->next_in_bucket;
	unlink_use(cache, cached);
	cached->is_listed = false;
	cache->bytes -= cached->bytes;
	if (cached->pins == 0)
		cached_free(cached);
}

struct ice_cache *ice_cache_new(uint64_t limit_bytes)
{
	struct ice_cache *cache = weir_zalloc(sizeof *cache);
	pthread_mutex_init(&cache->mutex, NULL);
	cache->limit_bytes = limit_bytes;
	return cache;
}

void ice_cache_free(struct ice_cache *cache)
{
	if (cache == NULL)
		return;
	while (cache->oldest != NULL) {
		WEIR_ASSERT(cache->oldest->pins == 0);
		unlist(cache, cache->oldest);
	}
	pthread_mutex_destroy(&cache->mutex);
	free(cache);
}

/* Pinned, or NULL. */
static struct ice_cached *find(struct ice_cache *cache, enum cached_kind kind, struct weir_str uri)
{
	if (cache == NULL)
		return NULL;
	pthread_mutex_lock(&cache->mutex);
	struct ice_cached *cached = *bucket_of(cache, kind, uri);
	while (cached != NULL && (cached->kind != kind || !weir_str_equal(cached->uri, uri)))
		cached = cached->next_in_bucket;
	if (cached != NULL) {
		cached->pins++;
		unlink_use(cache, cached);
		link_newest(cache, cached);
	}
	pthread_mutex_unlock(&cache->mutex);
	return cached;
}

/* Lists a new object (pinned once) and returns it, or the one that another thread listed first. */
static struct ice_cached *insert(struct ice_cache *cache, struct ice_cached *cached)
{
	cached->pins = 1;
	if (cache == NULL)
		return cached;
	struct ice_cached *first = find(cache, cached->kind, cached->uri);
	if (first != NULL) {
		cached_free(cached);
		return first;
	}
	pthread_mutex_lock(&cache->mutex);
	struct ice_cached **bucket = bucket_of(cache, cached->kind, cached->uri);
	cached->cache = cache;
	cached->next_in_bucket = *bucket;
	*bucket = cached;
	cached->is_listed = true;
	link_newest(cache, cached);
	cache->bytes += cached->bytes;
	while (cache->bytes > cache->limit_bytes && cache->oldest != cached)
		unlist(cache, cache->oldest);
	pthread_mutex_unlock(&cache->mutex);
	return cached;
}

void ice_cached_release(struct ice_cached *cached)
{
	if (cached == NULL)
		return;
	struct ice_cache *cache = cached->cache;
	if (cache == NULL) {
		cached_free(cached);
		return;
	}
	pthread_mutex_lock(&cache->mutex);
	WEIR_ASSERT(cached->pins > 0);
	if (--cached->pins == 0 && !cached->is_listed)
		cached_free(cached);
	pthread_mutex_unlock(&cache->mutex);
}

static struct ice_cached *cached_new(enum cached_kind kind, struct weir_str uri)
{
	struct ice_footer *footer = weir_zalloc(sizeof *footer);
	struct ice_cached *cached = &footer->cached;
	cached->kind = kind;
	cached->arena = weir_arena_new(kind == CACHED_FOOTER ? 1024 : 16384);
	cached->uri = weir_arena_str(cached->arena, uri);
	return cached;
}

static int source_of(struct ice_table *table, struct ice_cached *cached, struct weir_error *err)
{
	struct weir_str name;
	int code = ice_file_name(table, cached->arena, cached->uri, &name, err);
	return code != 0 ? code : store_source_open(table->store, name.data, &cached->source, err);
}

static void close_source(struct ice_cached *cached)
{
	if (cached->source.self != NULL)
		store_source_close(&cached->source);
	cached->source = (struct weir_byte_source){0};
}

/* A manifest (NULL: a manifest list) as it is cached, or as its file says it. */
static int cached_or_read(struct ice_table *table, enum cached_kind kind, struct weir_str uri,
	const struct ice_manifest *manifest, struct ice_cached **ret_cached, struct weir_error *err)
{
	struct ice_cached *cached = find(table->cache, kind, uri);
	if (cached == NULL) {
		cached = cached_new(kind, uri);
		int code = source_of(table, cached, err);
		if (code == 0 && manifest != NULL)
			code = ice_manifest_read(cached->arena, cached->source, table->metadata, manifest->spec_id,
				&cached->entries, err);
		else if (code == 0)
			code = ice_manifest_list_read(
				cached->arena, cached->source, &cached->manifests, &cached->manifest_count, err);
		close_source(cached);
		if (code != 0) {
			cached_free(cached);
			return code;
		}
		cached->bytes = weir_arena_used(cached->arena) + sizeof *cached;
		cached = insert(table->cache, cached);
	}
	*ret_cached = cached;
	return 0;
}

int ice_cached_manifest(struct ice_table *table, const struct ice_manifest *manifest, struct ice_cached **ret_cached,
	struct weir_error *err)
{
	return cached_or_read(table, CACHED_MANIFEST, manifest->path, manifest, ret_cached, err);
}

int ice_cached_list(
	struct ice_table *table, struct weir_str list_uri, struct ice_cached **ret_cached, struct weir_error *err)
{
	return cached_or_read(table, CACHED_LIST, list_uri, NULL, ret_cached, err);
}

const struct ice_entries *ice_cached_entries(const struct ice_cached *cached)
{
	return &cached->entries;
}

const struct ice_manifest *ice_cached_manifests(const struct ice_cached *cached, uint32_t *ret_count)
{
	*ret_count = cached->manifest_count;
	return cached->manifests;
}

int ice_footer_open(struct ice_table *table, const struct ice_data_file *file, struct ice_footer **ret_footer,
	const struct pq_file **ret_file, struct weir_error *err)
{
	if (file->delete_count > 0)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, file->path, WEIR_ERROR_NO_OFFSET,
			"rows of the data file are deleted by %u delete files; compact the table first",
			file->delete_count);
	return ice_cached_footer(table, file->path, ret_footer, ret_file, err);
}

int ice_cached_inline(struct ice_table *table, const struct ice_snapshot *snapshot, struct ice_cached **ret_cached,
	struct weir_error *err)
{
	struct ice_cached *cached = cached_new(CACHED_LIST, table->metadata_uri);
	int code = 0;
	cached->manifest_count = snapshot->manifest_count;
	cached->manifests = weir_arena_calloc(cached->arena, snapshot->manifest_count, sizeof *cached->manifests);
	for (uint32_t i = 0; i < snapshot->manifest_count && code == 0; i++) {
		struct weir_byte_source source = {0};
		struct weir_str name;
		cached->manifests[i] =
			(struct ice_manifest){.path = weir_arena_str(cached->arena, snapshot->manifest_paths[i]),
				.length = -1,
				.added_snapshot_id = snapshot->id,
				.added_files = -1,
				.existing_files = -1,
				.deleted_files = -1,
				.added_rows = -1,
				.existing_rows = -1,
				.deleted_rows = -1,
				.first_row_id = -1};
		code = ice_file_name(table, cached->arena, cached->manifests[i].path, &name, err);
		if (code == 0)
			code = store_source_open(table->store, name.data, &source, err);
		if (code == 0)
			code = ice_manifest_spec_id(source, &cached->manifests[i].spec_id, err);
		if (source.self != NULL)
			store_source_close(&source);
	}
	if (code == 0)
		*ret_cached = insert(NULL, cached);
	else
		cached_free(cached);
	return code;
}

int ice_cached_footer(struct ice_table *table, struct weir_str uri, struct ice_footer **ret_footer,
	const struct pq_file **ret_file, struct weir_error *err)
{
	struct ice_cached *cached = find(table->cache, CACHED_FOOTER, uri);
	if (cached == NULL) {
		cached = cached_new(CACHED_FOOTER, uri);
		int code = source_of(table, cached, err);
		if (code == 0)
			code = pq_file_open(cached->source, &cached->parquet, err);
		if (code != 0) {
			cached_free(cached);
			return code;
		}
		cached->bytes = pq_file_memory(cached->parquet) + weir_arena_used(cached->arena) + sizeof *cached;
		cached = insert(table->cache, cached);
	}
	*ret_footer = (struct ice_footer *)cached;
	*ret_file = cached->parquet;
	return 0;
}

void ice_footer_release(struct ice_footer *footer)
{
	if (footer != NULL)
		ice_cached_release(&footer->cached);
}
