/*
 * Immutable objects under one root, behind a table of functions: local files, memory and faults for
 * tests, S3 (s3.h), and a cache of local copies over it (cache.h). An object is created, appended to,
 * made durable together with others by a barrier, and from then on only read or deleted; it never changes.
 *
 * Names are relative ("gold/visits/data/00ab.parquet"), without "..", at most STORE_NAME_MAX bytes.
 * Iceberg's metadata holds URIs: store_uri and store_name_of translate. All calls are thread-safe on
 * different files.
 */
#ifndef WEIR_STORE_STORE_H
#define WEIR_STORE_STORE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/os.h"

#define STORE_NAME_MAX 1024

struct store;
struct store_file;

struct store_object {
	struct weir_str name; /* borrowed during the callback */
	uint64_t size_bytes;
	int64_t modified_us;
};
typedef int store_list_fn(void *context, const struct store_object *object, struct weir_error *err);

/* Open files of the local store under root (created, mode 0700). os outlives the store. */
int store_local_open(const struct weir_os *os, const char *root, struct store **ret_store, struct weir_error *err);
/* In memory, for tests. */
struct store *store_memory_new(void);
void store_close(struct store *store);

/* Fails with WEIR_E_EXISTS if it is there. Parent directories are made as needed. */
int store_create(struct store *store, const char *name, struct store_file **ret_file, struct weir_error *err);
/* Starts write-back of full megabytes. */
int store_append(struct store_file *file, const void *data, size_t size_bytes, struct weir_error *err);
uint64_t store_file_size(const struct store_file *file);
const char *store_file_name(const struct store_file *file);
/* A sink that appends to the file. */
struct weir_byte_sink store_file_sink(struct store_file *file);
/* All of the files durable, with the directories that hold them; closes and frees them all, also on error. */
int store_barrier(struct store *store, struct store_file **take_files, size_t count, struct weir_error *err);
/* Closes without syncing and deletes what was written. */
void store_abandon(struct store *store, struct store_file *take_file);
/* One small object, written and durable (its own barrier). */
int store_put(struct store *store, const char *name, const void *data, size_t size_bytes, struct weir_error *err);

int store_read(struct store *store, const char *name, uint64_t offset, void *buffer, size_t size_bytes,
	struct weir_error *err);
int store_read_all(
	struct store *store, const char *name, size_t limit_bytes, struct weir_buf *out, struct weir_error *err);
int store_size(struct store *store, const char *name, uint64_t *ret_size, struct weir_error *err);
/* An open object as a byte source; the name is copied into it. Close it with store_source_close. */
int store_source_open(
	struct store *store, const char *name, struct weir_byte_source *ret_source, struct weir_error *err);
void store_source_close(struct weir_byte_source *source);

/* Objects whose name begins with prefix, in no order. */
int store_list(struct store *store, const char *prefix, store_list_fn *object, void *context, struct weir_error *err);
/* Missing ones are fine. The deletions are durable on return; emptied directories go too. */
int store_delete_many(struct store *store, const char *const *names, size_t count, struct weir_error *err);
/* What is not there now stays away, also where a process died between a deletion and its sync. Looks at every directory. */
int store_settle(struct store *store, struct weir_error *err);

/* "file:///data/warehouse/gold/..." in arena. */
struct weir_str store_uri(const struct store *store, struct weir_arena *arena, struct weir_str name);
/* The name of a URI under this root ("file:/x" and "file:///x" and a bare absolute path are alike; percent signs are
 * literal); WEIR_E_INPUT where it lies elsewhere. The result is in arena, zero-terminated. */
int store_name_of(const struct store *store, struct weir_arena *arena, struct weir_str uri, struct weir_str *ret_name,
	struct weir_error *err);
/*
 * A local path that holds the object's bytes (for DuckDB), in arena. Each is given back by store_local_release; until
 * then the copy of an object that is elsewhere stays, unless the object is deleted.
 */
int store_local_path(struct store *store, struct weir_arena *arena, struct weir_str name, struct weir_str *ret_path,
	struct weir_error *err);
void store_local_release(struct store *store, struct weir_str name);
/* True where a local path may cost a download. */
bool store_is_remote(const struct store *store);

#endif
