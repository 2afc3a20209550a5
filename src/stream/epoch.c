/*
 * The end of an epoch: transform, dictionary-code, sort once, evaluate consent once, and write each
 * table's files. Nothing is durable yet, and nothing visible: that is the committer's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "column/dictionary.h"
#include "stream/stream_int.h"

#define ZSTD_LEVEL       1
#define DICTIONARY_SHARE 4 /* a text column is coded where at most one in so many values differs */

static const struct ice_written nothing_written;

static int writer_open(struct stream_shard *shard, uint32_t table, int32_t spec_id, const char *prefix,
	const int32_t *bloom_ids, uint32_t bloom_count, struct ice_writer **ret_writer, struct weir_error *err)
{
	struct ice_table *version = ice_registry_table(shard->stream->config.registry, table);
	struct ice_write_options options = {
		.spec_id = spec_id,
		.prefix = weir_str_from(prefix),
		.codec = CODEC_ZSTD,
		.level = ZSTD_LEVEL,
		.order = ICE_WRITE_AS_COMES, /* an epoch's rows are sorted once, for all of its tables */
		.bloom_ids = bloom_ids,
		.bloom_count = bloom_count,
	};
	int status = ice_writer_open(version, &options, ret_writer, err);
	ice_table_unref(version);
	return status;
}

/* ---- bronze: the events as they came ---- */

static struct weir_column constant_text(struct weir_arena *arena, struct weir_str value, uint32_t rows)
{
	if (value.size == 0) { /* null throughout */
		struct weir_column column = {.type = WEIR_STRING, .layout = WEIR_VIEW};
		column.values = weir_arena_calloc(arena, rows, sizeof(struct weir_view));
		column.valid = weir_arena_calloc(arena, (rows + 63) / 64, sizeof(uint64_t));
		return column;
	}
	return (struct weir_column){.type = WEIR_STRING,
		.layout = WEIR_DICT,
		.values = weir_arena_calloc(arena, rows, sizeof(uint32_t)),
		.dict = weir_dict_single(arena, value)};
}

/* event_id, trace_id, received_at, channel, input, source_file, source_record, payload, key_id */
static struct weir_batch *bronze_batch(struct stream_shard *shard, struct stream_epoch *epoch,
	const struct stream_input *input, const struct weir_schema *schema)
{
	const struct stream *stream = shard->stream;
	const struct bus_attributes *attributes = &input->block->log.attributes;
	struct weir_arena *arena = epoch->arena;
	uint32_t rows = input->batch->row_count, own = stream->input_schema->field_count - STREAM_EXTRA_COLUMNS;
	struct weir_view *payloads = weir_arena_calloc(arena, rows, sizeof *payloads);
	int64_t *records = weir_arena_calloc(arena, rows, sizeof *records);
	for (uint32_t i = 0; i < rows; i++) {
		payloads[i] = weir_view_from(input->block->log.records[input->record_of[i]].payload);
		records[i] = (int64_t)(attributes->source_record + input->record_of[i]);
	}
	struct weir_batch *batch = weir_arena_zalloc(arena, sizeof *batch);
	*batch = (struct weir_batch){.schema = schema, .row_count = rows};
	batch->columns = weir_arena_calloc(arena, schema->field_count, sizeof *batch->columns);
	struct weir_column *column = batch->columns;
	*column++ = input->batch->columns[stream->id_column];
	*column++ = input->batch->columns[own + STREAM_TRACE_ID];
	*column++ = input->batch->columns[own + STREAM_RECEIVED_AT];
	*column++ = constant_text(arena, attributes->channel, rows);
	*column++ = constant_text(arena, attributes->input, rows);
	*column++ = constant_text(arena, attributes->source_file, rows);
	*column++ = (struct weir_column){.type = WEIR_INT64, .layout = WEIR_FLAT, .values = records};
	*column++ = (struct weir_column){.type = WEIR_BINARY, .layout = WEIR_VIEW, .values = payloads};
	*column++ = constant_text(arena, WEIR_STR(""), rows);
	WEIR_ASSERT((uint32_t)(column - batch->columns) == schema->field_count);
	return batch;
}

static uint32_t rows_kept(const struct stream_input *input, const uint64_t *refused, uint16_t *rows)
{
	uint32_t kept = 0;
	for (uint32_t row = 0; row < input->batch->row_count; row++)
		if ((refused[row / 64] >> (row % 64) & 1) == 0)
			rows[kept++] = (uint16_t)row;
	return kept;
}

static int write_bronze(struct stream_shard *shard, struct stream_epoch *epoch, uint64_t **refused,
	struct stream_output *output, struct weir_error *err)
{
	struct stream *stream = shard->stream;
	struct ice_writer *writer;
	if (stream->raw_table == UINT32_MAX || epoch->rows == 0)
		return 0;
	struct ice_table *table = ice_registry_table(stream->config.registry, stream->raw_table);
	const struct weir_schema *schema = ice_table_schema(table);
	int status = writer_open(shard, stream->raw_table, ice_table_metadata(table)->default_spec_id, output->prefix,
		NULL, 0, &writer, err);
	for (uint32_t i = 0; i < epoch->input_count && status == 0; i++) {
		uint16_t rows[WEIR_BATCH_ROWS];
		if (epoch->inputs[i].batch == NULL)
			continue;
		uint32_t kept = rows_kept(&epoch->inputs[i], refused[i], rows);
		if (kept > 0)
			status = ice_writer_add(writer, bronze_batch(shard, epoch, &epoch->inputs[i], schema),
				&(struct weir_selection){rows, kept}, err);
		if (status != 0)
			ice_writer_abandon(writer);
	}
	if (status == 0)
		status = ice_writer_close(writer, &output->bronze, err);
	ice_table_unref(table);
	return status;
}

/* ---- silver and gold ---- */

/* Text is coded once; sort, consent, silver and every purpose use the codes. */
static void encode_text(const struct stream *stream, struct stream_epoch *epoch, struct weir_batch **batches,
	uint32_t count, uint64_t rows)
{
	const struct weir_schema *schema = stream->silver_schema;
	for (uint32_t c = 0; c < schema->field_count; c++) {
		bool sorts = stream->silver_order.count > 0 &&
			(c == stream->silver_order.columns[0] ||
				(stream->silver_order.count > 2 && c == stream->silver_order.columns[1]));
		bool plain = true;
		for (uint32_t i = 0; i < count; i++)
			plain = plain && batches[i]->columns[c].layout == WEIR_VIEW;
		if (schema->fields[c].type != WEIR_STRING || c == stream->silver_trace || !plain)
			continue;
		uint64_t limit = sorts ? rows : rows / DICTIONARY_SHARE + 16;
		weir_batches_encode(
			epoch->arena, batches, count, c, (uint32_t)(limit < UINT32_MAX ? limit : UINT32_MAX));
	}
}

/* The epoch's rows in the table's order, in batches of their own. */
static struct weir_batch **sorted_batches(struct stream_epoch *epoch, const struct weir_order *order,
	struct weir_batch **batches, uint32_t count, uint32_t *ret_count)
{
	uint64_t rows;
	struct weir_pick *picks = weir_batches_order(batches, count, order, &rows);
	uint32_t sorted_count = (uint32_t)((rows + WEIR_BATCH_ROWS - 1) / WEIR_BATCH_ROWS);
	struct weir_batch **sorted = weir_arena_calloc(epoch->arena, sorted_count, sizeof(struct weir_batch *));
	for (uint32_t i = 0; i < sorted_count; i++) {
		uint64_t first = (uint64_t)i * WEIR_BATCH_ROWS;
		uint64_t left = rows - first;
		sorted[i] = weir_batch_gather(epoch->arena, batches, picks + first,
			(uint32_t)(left < WEIR_BATCH_ROWS ? left : WEIR_BATCH_ROWS));
	}
	free(picks);
	*ret_count = sorted_count;
	return sorted;
}

/* The binding of the newest rules; made again only when they changed. */
static int bind_rules(
	struct stream_shard *shard, const struct stream_gold *gold, uint64_t *ret_lsn, struct weir_error *err)
{
	/* open_lsn first: a task that looks in between waits for an epoch that is a little newer, which is safe. */
	__atomic_store_n(&shard->open_lsn, consent_head(gold->consent), __ATOMIC_RELEASE);
	struct consent_rules *rules = consent_rules_newest(gold->consent);
	consent_binding_free(shard->binding);
	shard->binding = NULL;
	int status = consent_binding_new(rules, shard->stream->silver_schema, &shard->binding, err);
	*ret_lsn = consent_rules_lsn(rules);
	consent_rules_unref(rules);
	return status;
}

static int write_gold(struct stream_shard *shard, struct stream_epoch *epoch, const struct stream_gold *gold,
	struct weir_batch **sorted, uint32_t count, struct stream_output *output, struct ice_written *ret_written,
	struct weir_error *err)
{
	struct ice_table *table = ice_registry_table(shard->stream->config.registry, gold->table);
	const struct weir_schema *schema = ice_table_schema(table);
	struct ice_writer *writer = NULL;
	struct weir_batch **owned = weir_arena_calloc(epoch->arena, count, sizeof(struct weir_batch *));
	int status = bind_rules(shard, gold, &output->consent_lsn, err);
	if (status == 0)
		status = writer_open(shard, gold->table, gold->spec_id, output->prefix, NULL, 0, &writer, err);
	for (uint32_t i = 0; i < count && status == 0; i++) {
		uint64_t masks[WEIR_BATCH_ROWS];
		uint32_t versions[WEIR_BATCH_ROWS];
		status = consent_evaluate(shard->binding, sorted[i], masks, versions, err);
		if (status == 0)
			status = stream_gold_add(gold, writer, schema, sorted[i], masks, versions, output->consent_lsn,
				epoch->arena, &owned[i], NULL, err);
	}
	if (status == 0)
		status = ice_writer_close(writer, ret_written, err);
	else if (writer != NULL)
		ice_writer_abandon(writer);
	for (uint32_t i = 0; i < count; i++)
		weir_batch_release(owned[i]);
	ice_table_unref(table);
	return status;
}

static int write_silver(struct stream_shard *shard, struct weir_batch **sorted, uint32_t count,
	struct stream_output *output, struct weir_error *err)
{
	struct stream *stream = shard->stream;
	struct ice_table *table = ice_registry_table(stream->config.registry, stream->silver_table);
	struct ice_writer *writer;
	const int32_t bloom_ids[] = {stream->silver_schema->fields[stream->silver_id].id};
	int status = writer_open(shard, stream->silver_table, ice_table_metadata(table)->default_spec_id,
		output->prefix, bloom_ids, 1, &writer, err);
	for (uint32_t i = 0; i < count && status == 0; i++) {
		status = ice_writer_add(writer, sorted[i], NULL, err);
		if (status != 0)
			ice_writer_abandon(writer);
	}
	if (status == 0)
		status = ice_writer_close(writer, &output->silver, err);
	ice_table_unref(table);
	return status;
}

static int write_layers(struct stream_shard *shard, struct stream_epoch *epoch, uint64_t **refused,
	struct stream_output *output, struct weir_error *err)
{
	struct stream *stream = shard->stream;
	struct weir_batch **batches = NULL, **sorted;
	uint32_t count = 0, sorted_count;
	uint64_t rows = 0;
	int status = epoch_transform(shard, epoch, &batches, &count, refused, err);
	for (uint32_t i = 0; i < count; i++)
		rows += batches[i]->row_count;
	if (status == 0 && rows > 0) {
		encode_text(stream, epoch, batches, count, rows);
		sorted = sorted_batches(epoch, &stream->silver_order, batches, count, &sorted_count);
		status = write_silver(shard, sorted, sorted_count, output, err);
		for (uint32_t g = 0; g < stream->gold_count && status == 0; g++)
			status = write_gold(
				shard, epoch, &shard->golds[g], sorted, sorted_count, output, &output->golds[g], err);
	}
	for (uint32_t i = 0; i < count; i++)
		weir_batch_release(batches[i]);
	free(batches);
	return status;
}

/* ---- dead letters ---- */

enum {
	LETTER_TRACE,
	LETTER_FAILED_AT,
	LETTER_STREAM,
	LETTER_CHANNEL,
	LETTER_TYPE,
	LETTER_FIELD,
	LETTER_MESSAGE,
	LETTER_SOURCE_FILE,
	LETTER_SOURCE_RECORD,
	LETTER_PAYLOAD
};

static int write_letters(
	struct stream_shard *shard, struct stream_epoch *epoch, struct stream_output *output, struct weir_error *err)
{
	struct stream *stream = shard->stream;
	struct ice_writer *writer;
	if (epoch->letter_count == 0)
		return 0;
	struct ice_table *table = ice_registry_table(stream->config.registry, stream->config.dead_letters_table);
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	int status = writer_open(shard, stream->config.dead_letters_table, ice_table_metadata(table)->default_spec_id,
		output->prefix, NULL, 0, &writer, err);
	for (uint32_t i = 0; i < epoch->letter_count && status == 0; i++) {
		const struct stream_letter *letter = &epoch->letters[i];
		weir_builder_str(builder, LETTER_TRACE, weir_view_str(&letter->trace));
		weir_builder_i64(builder, LETTER_FAILED_AT, letter->failed_us);
		weir_builder_str(builder, LETTER_STREAM, stream->lake_stream->name);
		weir_builder_str(builder, LETTER_CHANNEL, letter->channel);
		weir_builder_str(builder, LETTER_TYPE, letter->type);
		if (letter->field.size > 0)
			weir_builder_str(builder, LETTER_FIELD, letter->field);
		weir_builder_str(builder, LETTER_MESSAGE, letter->message);
		if (letter->source_file.size > 0)
			weir_builder_str(builder, LETTER_SOURCE_FILE, letter->source_file);
		weir_builder_i64(builder, LETTER_SOURCE_RECORD, (int64_t)letter->source_record);
		weir_builder_str(builder, LETTER_PAYLOAD, letter->payload);
		weir_builder_end_row(builder);
		if (weir_builder_full(builder) || i + 1 == epoch->letter_count) {
			struct weir_batch *batch = weir_builder_take(builder);
			status = ice_writer_add(writer, batch, NULL, err);
			weir_batch_release(batch);
			if (status != 0)
				ice_writer_abandon(writer);
		}
	}
	if (status == 0)
		status = ice_writer_close(writer, &output->letters, err);
	weir_builder_free(builder);
	ice_table_unref(table);
	return status;
}

/* ---- the whole ---- */

static void written_discard(struct stream *stream, struct ice_written *written)
{
	if (written->arena != NULL)
		ice_written_abandon(ice_registry_store(stream->config.registry), written);
	*written = nothing_written;
}

void output_free(struct stream_output *output)
{
	if (output == NULL)
		return;
	struct stream *stream = output->shard->stream;
	written_discard(stream, &output->bronze);
	written_discard(stream, &output->silver);
	written_discard(stream, &output->letters);
	for (uint32_t g = 0; g < stream->gold_count; g++)
		written_discard(stream, &output->golds[g]);
	epoch_free(output->epoch); /* the output lives in its arena */
}

int epoch_write(struct stream_shard *shard, struct stream_epoch *epoch, struct stream_output **ret_output,
	struct weir_error *err)
{
	struct stream *stream = shard->stream;
	struct stream_output *output = weir_arena_zalloc(epoch->arena, sizeof *output);
	output->epoch = epoch;
	output->shard = shard;
	output->golds = weir_arena_calloc(epoch->arena, stream->gold_count, sizeof *output->golds);
	output->consent_lsn = UINT64_MAX;
	memcpy(output->prefix, shard->prefix, sizeof output->prefix);
	int status = shard_lookup_old(shard, epoch, err);
	uint64_t **refused = weir_arena_calloc(epoch->arena, epoch->input_count, sizeof *refused);
	for (uint32_t i = 0; i < epoch->input_count; i++)
		refused[i] = weir_arena_calloc(epoch->arena, WEIR_BATCH_ROWS / 64, sizeof **refused);
	if (status == 0 && stream->silver_table != UINT32_MAX)
		status = write_layers(shard, epoch, refused, output, err);
	if (status == 0)
		status = write_bronze(shard, epoch, refused, output, err);
	if (status == 0)
		status = write_letters(shard, epoch, output, err);
	output->rows = epoch->rows;
	if (status != 0) {
		written_discard(stream, &output->bronze);
		written_discard(stream, &output->silver);
		written_discard(stream, &output->letters);
		for (uint32_t g = 0; g < stream->gold_count; g++)
			written_discard(stream, &output->golds[g]);
		return status;
	}
	*ret_output = output;
	return 0;
}
