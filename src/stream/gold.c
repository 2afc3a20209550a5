#include "stream/gold.h"

#include <stdlib.h>

#include "column/dictionary.h"

#define CONSENT_COLUMNS 3 /* purpose, consent_lsn, consent_version: the last of the schema */

int stream_gold_open(const struct lake *lake, uint32_t table, struct consent *const *consents, struct sql *sql,
	const struct weir_schema *silver_schema, struct weir_arena *arena, struct stream_gold *ret_gold,
	struct weir_error *err)
{
	const struct lake_table *gold = &lake->tables[table];
	struct sql_transform *transform;
	const uint32_t *projection;
	char *relation = weir_arena_cstr(arena, lake->tables[gold->from].name);
	int status = sql_transform_new(
		sql, gold->sql, weir_arena_cstr(arena, gold->sql_path), relation, silver_schema, &transform, err);
	if (status != 0)
		return status;
	*ret_gold = (struct stream_gold){
		.table = table,
		.consent = consents[gold->consent],
		.vocabulary = consent_vocabulary_of(consents[gold->consent]),
		.transform = transform,
		.spec_id = gold->landing_count > 0 ? 1 : 0,
	};
	if (sql_transform_is_projection(transform, &projection)) {
		uint32_t columns = sql_transform_schema(transform)->field_count;
		ret_gold->projection = weir_arena_copy(arena, projection, columns * sizeof *projection);
		sql_transform_free(transform);
		ret_gold->transform = NULL;
	}
	return 0;
}

void stream_gold_close(struct stream_gold *gold)
{
	sql_transform_free(gold->transform);
	gold->transform = NULL;
}

/* Gold's own columns from silver's: picked, or by SQL where gold.sql computes. */
static int gold_columns(const struct stream_gold *gold, struct weir_batch *silver, const struct weir_schema *schema,
	struct weir_arena *arena, struct weir_batch **ret_batch, struct weir_batch **ret_owned, struct weir_error *err)
{
	struct weir_batch *batch = weir_arena_zalloc(arena, sizeof *batch);
	uint32_t own = schema->field_count - CONSENT_COLUMNS;
	*batch = (struct weir_batch){.schema = schema, .row_count = silver->row_count};
	batch->columns = weir_arena_calloc(arena, schema->field_count, sizeof *batch->columns);
	*ret_owned = NULL;
	if (gold->transform == NULL) {
		for (uint32_t i = 0; i < own; i++)
			batch->columns[i] = silver->columns[gold->projection[i]];
	} else {
		struct weir_batch **results;
		uint32_t count;
		int status = sql_transform_run(gold->transform, &silver, 1, &results, &count, err);
		if (status != 0)
			return status;
		if (count != 1 || results[0]->row_count != silver->row_count) {
			for (uint32_t i = 0; i < count; i++)
				weir_batch_release(results[i]);
			free(results);
			return weir_fail(
				err, WEIR_E_INPUT, "the columns of gold must be one row for one row of silver");
		}
		memcpy(batch->columns, results[0]->columns, own * sizeof *batch->columns);
		*ret_owned = results[0];
		free(results);
	}
	*ret_batch = batch;
	return 0;
}

/* purpose, consent_lsn, consent_version after gold's own columns. */
static void add_consent_columns(
	struct weir_arena *arena, struct weir_batch *batch, uint64_t lsn, const uint32_t *versions)
{
	uint32_t rows = batch->row_count, own = batch->schema->field_count - CONSENT_COLUMNS;
	int64_t *lsns = weir_arena_alloc(arena, rows * sizeof *lsns);
	int32_t *counts = weir_arena_alloc(arena, rows * sizeof *counts);
	for (uint32_t i = 0; i < rows; i++) {
		lsns[i] = (int64_t)lsn;
		counts[i] = (int32_t)versions[i];
	}
	batch->columns[own + 1] = (struct weir_column){.type = WEIR_INT64, .layout = WEIR_FLAT, .values = lsns};
	batch->columns[own + 2] = (struct weir_column){.type = WEIR_INT32, .layout = WEIR_FLAT, .values = counts};
}

int stream_gold_add(const struct stream_gold *gold, struct ice_writer *writer, const struct weir_schema *schema,
	struct weir_batch *silver, const uint64_t *masks, const uint32_t *versions, uint64_t consent_lsn,
	struct weir_arena *arena, struct weir_batch **ret_owned, uint64_t *rows, struct weir_error *err)
{
	struct weir_batch *batch = NULL;
	uint64_t any = 0;
	*ret_owned = NULL;
	for (uint32_t row = 0; row < silver->row_count; row++)
		any |= masks[row];
	if (any == 0)
		return 0;
	int status = gold_columns(gold, silver, schema, arena, &batch, ret_owned, err);
	if (status != 0)
		return status;
	add_consent_columns(arena, batch, consent_lsn, versions);
	uint32_t own = schema->field_count - CONSENT_COLUMNS;
	uint32_t *codes = weir_arena_calloc(arena, batch->row_count, sizeof *codes);
	for (uint32_t p = 0; p < gold->vocabulary->purpose_count && status == 0; p++) {
		uint16_t selected[WEIR_BATCH_ROWS];
		uint32_t count = 0;
		if ((any >> p & 1) == 0)
			continue;
		for (uint32_t row = 0; row < batch->row_count; row++)
			if ((masks[row] >> p & 1) != 0)
				selected[count++] = (uint16_t)row;
		batch->columns[own] = (struct weir_column){.type = WEIR_STRING,
			.layout = WEIR_DICT,
			.values = codes,
			.dict = weir_dict_single(arena, gold->vocabulary->purposes[p])};
		status = ice_writer_add(writer, batch, &(struct weir_selection){selected, count}, err);
		if (rows != NULL)
			*rows += count;
	}
	return status;
}
