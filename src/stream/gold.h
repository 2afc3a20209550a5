/*
 * Gold rows from silver rows: the columns of gold.sql, then purpose, consent_lsn and consent_version. The epoch's
 * end and the re-indexer make them by the same code.
 */
#ifndef WEIR_STREAM_GOLD_H
#define WEIR_STREAM_GOLD_H

#include "consent/consent.h"
#include "iceberg/registry.h"
#include "lake/lake.h"
#include "sql/sql.h"

struct stream_gold {
	uint32_t table; /* in the lake and the registry */
	struct consent *consent;
	const struct consent_vocabulary *vocabulary;
	struct sql_transform *transform; /* NULL where gold.sql only picks columns */
	const uint32_t *projection;      /* then: the silver column of each */
	int32_t spec_id;                 /* that rows land under */
};

/* silver_schema and arena outlive it. */
int stream_gold_open(const struct lake *lake, uint32_t table, struct consent *const *consents, struct sql *sql,
	const struct weir_schema *silver_schema, struct weir_arena *arena, struct stream_gold *ret_gold,
	struct weir_error *err);
void stream_gold_close(struct stream_gold *gold);

/*
 * Adds one silver batch's permitted rows to a writer of the gold table: for each purpose p the rows whose masks have bit p. Everything
 * that the writer keeps a view of lives in arena, or in *ret_owned (NULL: nothing), which the caller releases after the writer is closed.
 * *rows (NULL: not wanted) grows by the rows written.
 */
int stream_gold_add(const struct stream_gold *gold, struct ice_writer *writer, const struct weir_schema *schema,
	struct weir_batch *silver, const uint64_t *masks, const uint32_t *versions, uint64_t consent_lsn,
	struct weir_arena *arena, struct weir_batch **ret_owned, uint64_t *rows, struct weir_error *err);

#endif
