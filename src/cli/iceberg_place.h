/*
 * Where an Iceberg table is that no lake of weir governs: in a SQL catalog (a SQLite file as PyIceberg's SqlCatalog and the
 * JDBC catalogs of Java make it), in a folder by itself (Hadoop tables: v1.metadata.json and version-hint.text), or behind
 * one metadata file, which can be read only.
 */
#ifndef WEIR_CLI_ICEBERG_PLACE_H
#define WEIR_CLI_ICEBERG_PLACE_H

#include "cli/cli.h"
#include "iceberg/table.h"

struct cli_place;

/* The table that the first word names, and its newest version. Options: --catalog, --catalog-name, --moved. */
int cli_place_open(const struct cli_args *args, struct cli_place **ret_place, struct weir_error *err);
void cli_place_close(struct cli_place *place);
struct ice_table *cli_place_table(struct cli_place *place); /* borrowed: the newest version that is known */
struct store *cli_place_store(struct cli_place *place);
/* Reads the pointer again; referenced for the caller. */
int cli_place_reload(struct cli_place *place, struct ice_table **ret_table, struct weir_error *err);
/* WEIR_E_DENIED with the remedy where a lake governs the table, UNSUPPORTED where only its metadata file is known. */
int cli_place_writable(struct cli_place *place, struct weir_error *err);
/*
 * Moves the pointer to a prepared version; where another writer was first, rebases and tries again. Frees the prepared change,
 * whatever comes of it. What it doomed is deleted.
 */
int cli_place_commit(struct cli_place *place, struct ice_prepared *take_prepared, struct weir_error *err);

#endif
