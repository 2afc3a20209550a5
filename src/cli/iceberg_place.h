/*
 * Where an Iceberg table is. One mechanism for all commands: the place is resolved once, here, and they read and
 * commit through it. The kinds:
 *
 *   TABLE alone            a folder (Hadoop table: v1.metadata.json and version-hint.text) or one metadata file, to be
 *                          read only; a path, file: or s3://BUCKET/...
 *   --catalog FILE         a SQL catalog in SQLite, as PyIceberg's SqlCatalog and the JDBC catalogs of Java make it
 *   --catalog postgresql:  the same on PostgreSQL
 *   --catalog LAKE         the catalog of a lake (a folder with lake.yaml, or with a control.db)
 *   --catalog http:        a REST catalog; WEIR_TOKEN is its bearer token, or WEIR_CREDENTIAL what it gives one for
 *
 * A table in a catalog is named NAMESPACE.TABLE, and its files are local ones or in a bucket.
 */
#ifndef WEIR_CLI_ICEBERG_PLACE_H
#define WEIR_CLI_ICEBERG_PLACE_H

#include "cli/cli.h"
#include "iceberg/revise.h"

struct cli_place;

/* The table that the first word names, and its newest version. Options: --catalog, --catalog-name, --moved. */
int cli_place_open(const struct cli_args *args, struct cli_place **ret_place, struct weir_error *err);
/* The same, of a catalog and a table in it that are named otherwise. */
int cli_place_open_in(const struct cli_args *args, const char *catalog, const char *word, struct cli_place **ret_place,
	struct weir_error *err);
void cli_place_close(struct cli_place *place);
struct ice_table *cli_place_table(struct cli_place *place); /* borrowed: the newest version that is known */
struct store *cli_place_store(struct cli_place *place);
/* A snapshot's id, a branch, a tag or a time as the snapshot that it means; NULL: -1. */
int cli_place_snapshot(struct cli_place *place, const char *text, int64_t *ret_id, struct weir_error *err);
/* Reads the pointer again; referenced for the caller. */
int cli_place_reload(struct cli_place *place, struct ice_table **ret_table, struct weir_error *err);
/* WEIR_E_DENIED with the remedy where a lake governs the table, UNSUPPORTED where only its metadata file is known. */
int cli_place_writable(struct cli_place *place, struct weir_error *err);
/* WEIR_E_UNSUPPORTED where another table of the same SQL catalog lies in this one's folder: its files are nobody's
 * orphans. */
int cli_place_alone(struct cli_place *place, const struct cli_args *args, struct weir_error *err);
/*
 * Moves the pointer to a prepared version; where another writer was first, rebases and tries again. Frees the
 * prepared change, whatever comes of it. What it doomed is deleted.
 */
int cli_place_commit(struct cli_place *place, struct ice_prepared *take_prepared, struct weir_error *err);

/* Whether a word names a catalog other than a lake's by its folder: an address, or a SQLite file. */
bool cli_is_catalog(const char *word);
/* Every table of a catalog. uri: where its metadata is, "" where the catalog does not say. */
typedef int cli_place_table_fn(
	void *context, struct weir_str ns, struct weir_str table, struct weir_str uri, struct weir_error *err);
int cli_place_tables(const struct cli_args *args, const char *catalog, cli_place_table_fn *table, void *context,
	struct weir_error *err);

/* ---- iceberg_table.c, for commands that take a lake or a catalog: words are CATALOG [TABLE] ---- */
int cli_catalog_tables(const struct cli_args *args);
int cli_catalog_metadata_table(const struct cli_args *args, enum ice_metadata_table which);

/* One object by its URI (s3://BUCKET/KEY), and the store that it is in, which the caller closes after the source. */
int cli_object_open(struct weir_arena *arena, const char *uri, struct store **ret_store,
	struct weir_byte_source *ret_source, struct weir_error *err);

#endif
