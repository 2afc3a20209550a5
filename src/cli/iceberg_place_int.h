/* Shared by the kinds of places: iceberg_place.c resolves and commits, the others each know one kind of pointer. */
#ifndef WEIR_CLI_ICEBERG_PLACE_INT_H
#define WEIR_CLI_ICEBERG_PLACE_INT_H

#include "cli/iceberg_place.h"
#include "iceberg/model.h"

/* A kind of pointer to a table's newest version. */
struct place_ops {
	/* The newest version; opens place->store where it is not open yet. */
	int (*load)(struct cli_place *place, struct ice_table **ret_table, struct weir_error *err);
	int (*writable)(struct cli_place *place, struct weir_error *err);
	/* Moves the pointer from old to next, whose files are durable. CONFLICT: somebody else was first; UNKNOWN: it may have
	 * moved. *ret_spare (false before): what the change doomed must stay after all. */
	int (*swap)(struct cli_place *place, const struct ice_table *old, const struct ice_table *next, bool *ret_spare,
		struct weir_error *err);
	void (*close)(struct cli_place *place); /* frees self */
};

struct cli_place {
	const struct place_ops *ops; /* NULL until the kind is open */
	void *self;                  /* of the kind */
	struct weir_arena *arena;
	struct store *store;
	struct ice_cache *cache;
	struct ice_table *table;
	struct ice_name name;
	bool moved;
};

/* ---- the kinds; each sets ops, self and name ---- */
/* word: a folder or a metadata file, as a path, file: or s3: URI. */
int place_folder_open(struct cli_place *place, const char *word, struct weir_error *err);
int place_sql_open(struct cli_place *place, const struct cli_args *args, const char *catalog, const char *word,
	struct weir_error *err);
int place_rest_open(struct cli_place *place, const struct cli_args *args, const char *catalog, const char *word,
	struct weir_error *err);

/* ---- whole catalogs ---- */
int place_sql_tables(const struct cli_args *args, const char *catalog, cli_place_table_fn *table, void *context,
	struct weir_error *err);
int place_rest_tables(const struct cli_args *args, const char *catalog, cli_place_table_fn *table, void *context,
	struct weir_error *err);

/* ---- stores ---- */
/*
 * The store that a URI lies in: of the whole bucket, or of the path's first folder, so that files beside the table
 * are within it. s3: settings of the bucket (its bucket and prefix are passed over); NULL: the environment's. renewal NULL:
 * its keys do not expire.
 */
int place_store_open(struct weir_arena *arena, struct weir_str uri, const struct lake_s3 *s3,
	const struct store_s3_renewal *renewal, struct store **ret_store, struct weir_error *err);
bool place_is_bucket(const char *text); /* "s3://...", "s3a://...", "s3n://..." */
/* NAMESPACE.TABLE in two, borrowed from word. */
int place_split_name(const char *word, struct ice_name *ret_name, struct weir_error *err);

#endif
