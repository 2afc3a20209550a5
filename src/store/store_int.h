/* What the kinds of store share: each begins with a struct store whose table names its functions. */
#ifndef WEIR_STORE_STORE_INT_H
#define WEIR_STORE_STORE_INT_H

#include "store/store.h"

struct store_ops {
	int (*create)(struct store *store, const char *name, struct store_file **ret_file, struct weir_error *err);
	int (*append)(struct store_file *file, const void *data, size_t size_bytes, struct weir_error *err);
	int (*barrier)(struct store *store, struct store_file **take_files, size_t count, struct weir_error *err);
	void (*abandon)(struct store *store, struct store_file *take_file);
	int (*read)(struct store *store, const char *name, uint64_t offset, void *buffer, size_t size_bytes,
		struct weir_error *err);
	int (*size)(struct store *store, const char *name, uint64_t *ret_size, struct weir_error *err);
	int (*source_open)(
		struct store *store, const char *name, struct weir_byte_source *ret_source, struct weir_error *err);
	int (*list)(
		struct store *store, const char *prefix, store_list_fn *object, void *context, struct weir_error *err);
	int (*delete_many)(struct store *store, const char *const *names, size_t count, struct weir_error *err);
	int (*settle)(struct store *store, struct weir_error *err); /* NULL: a deletion is durable when it is seen */
	void (*close)(struct store *store);
	/* A path that stays until it is released; NULL where has_local_path says all, or there is none. */
	int (*local_path)(struct store *store, struct weir_arena *arena, struct weir_str name,
		struct weir_str *ret_path, struct weir_error *err);
	void (*local_release)(struct store *store, struct weir_str name);
	bool has_local_path; /* root + "/" + name is a path */
};

struct store {
	const struct store_ops *ops;
	const char *root;   /* owned by the kind; no slash at its end */
	const char *scheme; /* "file://": before the root in a URI */
	/* Where the root begins with a host or bucket: all ways to write the scheme, NULL at the end. NULL: it is a path. */
	const char *const *schemes;
};

extern const char *const store_s3_schemes[];

struct store_file {
	struct store *store;
	char *name;
	uint64_t size_bytes;
};

/* A source's self begins with this. */
struct store_source {
	void (*close)(struct store_source *take_source);
};

/* Names come from tables that others may write, so they are checked wherever they enter. */
int store_check_name(const char *name, struct weir_error *err);

#endif
