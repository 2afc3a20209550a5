/*
 * What a shard knows at a start: which ids were seen within the window, from the tables; and at an
 * epoch's end: whether content ids, which count for ever, are in the tables already.
 */
#include <stdlib.h>

#include "stream/stream_int.h"

/* ---- the window's ids, from bronze (when) and silver (key and id) ---- */

/* When the record at an offset arrived. */
struct boundary {
	uint64_t offset;
	int64_t arrival_us;
};

/* For each partition of the shard: arrivals within the window, noted a small part of it apart. Offsets grow with time. */
struct window_start {
	uint64_t offset; /* the first that is within the window; UINT64_MAX: none */
	struct boundary *boundaries;
	uint32_t count, capacity;
	int64_t noted_us; /* of the last boundary; INT64_MIN: none yet */
	struct boundary newest;
};

#define BOUNDARIES_A_WINDOW 512

static void note_arrival(struct window_start *start, uint64_t offset, int64_t arrival_us, int64_t apart_us)
{
	if (offset < start->offset)
		start->offset = offset;
	if (offset >= start->newest.offset)
		start->newest = (struct boundary){offset, arrival_us};
	if (start->noted_us != INT64_MIN && llabs(arrival_us - start->noted_us) <= apart_us)
		return;
	WEIR_GROW(start->boundaries, start->count, start->capacity);
	start->boundaries[start->count++] = (struct boundary){offset, arrival_us};
	start->noted_us = arrival_us;
}

static int compare_boundaries(const void *a, const void *b)
{
	const struct boundary *left = a, *right = b;
	return left->offset < right->offset ? -1 : left->offset > right->offset;
}

static int note_arrivals(
	struct stream_shard *shard, struct window_start *starts, int64_t from_us, struct weir_error *err)
{
	struct stream *stream = shard->stream;
	struct ice_table *table = ice_registry_table(stream->config.registry, stream->raw_table);
	const struct weir_schema *schema = ice_table_schema(table);
	struct weir_field fields[2] = {schema->fields[1], schema->fields[2]}; /* trace_id, received_at */
	struct weir_schema projection = {.id = schema->id, .field_count = 2, .fields = fields};
	struct expr_value from = {.kind = EXPR_INTEGER, .u.integer = from_us};
	struct expr_term term = {.field_id = fields[1].id, .op = EXPR_GE, .values = &from, .value_count = 1};
	struct expr_filter filter = {&term, 1};
	struct ice_file_list *files = NULL;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	int status = ice_plan(table, -1, &filter, &files, err);
	if (status == 0)
		status = ice_reader_open(table, files->files, files->count, &projection, &filter, &reader, err);
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		const int64_t *received = batch->columns[1].values;
		for (uint32_t row = 0; row < batch->row_count; row++) {
			uint32_t number;
			uint64_t offset;
			if (received[row] < from_us ||
				!stream_trace_parse(weir_column_str(&batch->columns[0], row), &number, &offset))
				continue;
			for (uint32_t p = 0; p < shard->partition_count; p++)
				if (shard->partitions[p].number == number)
					note_arrival(&starts[p], offset, received[row],
						stream->lake_stream->dedup_us / BOUNDARIES_A_WINDOW);
		}
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(files);
	ice_table_unref(table);
	return status;
}

/* The noted arrival at or after an offset: an id may count a little longer than its window, never shorter. */
static int64_t arrival_of(const struct window_start *start, uint64_t offset)
{
	uint32_t low = 0, high = start->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (start->boundaries[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return start->boundaries[low < start->count ? low : start->count - 1].arrival_us;
}

static struct stream_id silver_row_id(const struct weir_batch *batch, uint32_t row)
{
	const struct weir_column *id = &batch->columns[0];
	struct weir_str text = id->type == WEIR_UUID
		? (struct weir_str){(const char *)((const struct weir_uuid *)id->values)[row].bytes, 16}
		: weir_column_str(id, row);
	return stream_id_of(weir_column_str(&batch->columns[1], row), text);
}

static void remember_batch(
	struct stream_shard *shard, const struct window_start *starts, const struct weir_batch *batch)
{
	for (uint32_t row = 0; row < batch->row_count; row++) {
		uint32_t number;
		uint64_t offset;
		if (!stream_trace_parse(weir_column_str(&batch->columns[2], row), &number, &offset))
			continue;
		for (uint32_t p = 0; p < shard->partition_count; p++)
			if (shard->partitions[p].number == number && offset >= starts[p].offset && starts[p].count > 0)
				stream_dedup_add(
					shard->dedup, silver_row_id(batch, row), arrival_of(&starts[p], offset));
	}
}

static int scan_silver(struct stream_shard *shard, const struct expr_filter *filter,
	void (*each)(void *context, const struct weir_batch *batch), void *context, struct weir_error *err)
{
	struct stream *stream = shard->stream;
	const struct weir_schema *schema = stream->silver_schema;
	struct ice_table *table = ice_registry_table(stream->config.registry, stream->silver_table);
	struct weir_field fields[3] = {schema->fields[stream->silver_id], schema->fields[stream->silver_key],
		schema->fields[stream->silver_trace]};
	struct weir_schema projection = {.id = schema->id, .field_count = 3, .fields = fields};
	struct ice_file_list *files = NULL;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	int status = ice_plan(table, -1, filter, &files, err);
	if (status == 0)
		status = ice_reader_open(table, files->files, files->count, &projection, filter, &reader, err);
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		each(context, batch);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(files);
	ice_table_unref(table);
	return status;
}

struct restore {
	struct stream_shard *shard;
	struct window_start *starts;
};

static void restore_batch(void *context, const struct weir_batch *batch)
{
	struct restore *restore = context;
	remember_batch(restore->shard, restore->starts, batch);
}

/* What restoring needs of bronze.dead_letters: trace_id, failed_at, stream, channel, error_type, payload. */
enum { LETTER_TRACE, LETTER_FAILED, LETTER_STREAM, LETTER_CHANNEL, LETTER_TYPE, LETTER_PAYLOAD, LETTER_COLUMNS };

/* An event that was refused after its id was known (late, ahead, transform) has its letter: a repeat adds none. */
static void remember_refused(struct stream_shard *shard, struct weir_str payload, int64_t failed_us)
{
	const struct stream *stream = shard->stream;
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_builder *builder = weir_builder_new(json_decoder_schema(stream->decoder));
	struct json_problem problem;
	struct weir_error ignored = WEIR_ERROR_INIT;
	if (json_decode_one(stream->decoder, payload, builder, arena, &problem, &ignored) == 0) {
		weir_builder_end_row(builder);
		struct weir_batch *batch = weir_builder_take(builder);
		stream_dedup_add(shard->dedup, stream_row_id(stream, batch, 0), failed_us);
		weir_batch_release(batch);
	}
	weir_builder_free(builder);
	weir_arena_free(arena);
}

static void restore_letter(struct stream_shard *shard, const struct weir_batch *batch, uint32_t row, int64_t from_us)
{
	const struct stream *stream = shard->stream;
	uint32_t number;
	uint64_t offset;
	if (!weir_str_equal(weir_column_str(&batch->columns[LETTER_STREAM], row), stream->lake_stream->name) ||
		!stream_trace_parse(weir_column_str(&batch->columns[LETTER_TRACE], row), &number, &offset) ||
		number % stream->shard_count != shard->index)
		return;
	struct weir_str type = weir_column_str(&batch->columns[LETTER_TYPE], row);
	struct weir_str payload = weir_column_str(&batch->columns[LETTER_PAYLOAD], row);
	int64_t failed_us = weir_column_i64(&batch->columns[LETTER_FAILED], row);
	bool had_id = weir_str_is(type, "late") || weir_str_is(type, "ahead") || weir_str_is(type, "transform");
	if (had_id && failed_us >= from_us)
		remember_refused(shard, payload, failed_us);
	if (!had_id && weir_str_is(weir_column_str(&batch->columns[LETTER_CHANNEL], row), "file"))
		stream_dedup_add(shard->letters, stream_letter_id(payload), 0);
}

static int restore_letters(struct stream_shard *shard, struct weir_error *err)
{
	struct stream *stream = shard->stream;
	struct ice_table *table = ice_registry_table(stream->config.registry, stream->config.dead_letters_table);
	const struct weir_schema *schema = ice_table_schema(table);
	struct weir_field fields[LETTER_COLUMNS] = {schema->fields[0], schema->fields[1], schema->fields[2],
		schema->fields[3], schema->fields[4], schema->fields[9]};
	struct weir_schema projection = {.id = schema->id, .field_count = LETTER_COLUMNS, .fields = fields};
	struct expr_filter all = {NULL, 0};
	struct ice_file_list *files = NULL;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	int64_t from_us = weir_now_us(&stream->config.clock) - stream->lake_stream->dedup_us;
	int status = ice_plan(table, -1, &all, &files, err);
	if (status == 0)
		status = ice_reader_open(table, files->files, files->count, &projection, &all, &reader, err);
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count; row++)
			restore_letter(shard, batch, row, from_us);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(files);
	ice_table_unref(table);
	return status;
}

int shard_restore(struct stream_shard *shard, struct weir_error *err)
{
	struct stream *stream = shard->stream;
	int letters = restore_letters(shard, err);
	if (letters != 0 || stream->raw_table == UINT32_MAX || stream->silver_table == UINT32_MAX)
		return letters;
	struct restore restore = {shard, weir_zalloc(shard->partition_count * sizeof *restore.starts)};
	for (uint32_t p = 0; p < shard->partition_count; p++)
		restore.starts[p] = (struct window_start){.offset = UINT64_MAX, .noted_us = INT64_MIN};
	int64_t from_us = weir_now_us(&stream->config.clock) - stream->lake_stream->dedup_us;
	int status = note_arrivals(shard, restore.starts, from_us, err);
	bool any = false;
	for (uint32_t p = 0; p < shard->partition_count; p++) {
		struct window_start *start = &restore.starts[p];
		any = any || start->count > 0;
		if (start->count > 0) {
			WEIR_GROW(start->boundaries, start->count, start->capacity);
			start->boundaries[start->count++] = start->newest;
		}
		if (start->count > 0)
			qsort(start->boundaries, start->count, sizeof *start->boundaries, compare_boundaries);
	}
	if (status == 0 && any)
		status = scan_silver(shard, &(struct expr_filter){NULL, 0}, restore_batch, &restore, err);
	for (uint32_t p = 0; p < shard->partition_count; p++) {
		free(restore.starts[p].boundaries);
	}
	free(restore.starts);
	return status;
}

/* ---- content ids that the window does not reach ---- */

struct content_id {
	struct stream_id id;
	uint32_t input, row;
};

struct lookup {
	struct content_id *ids;
	uint64_t count, capacity;
	uint8_t *found; /* by index in ids */
};

static int compare_ids(const void *a, const void *b)
{
	return memcmp(
		&((const struct content_id *)a)->id, &((const struct content_id *)b)->id, sizeof(struct stream_id));
}

static void lookup_batch(void *context, const struct weir_batch *batch)
{
	struct lookup *lookup = context;
	for (uint32_t row = 0; row < batch->row_count; row++) {
		struct content_id key = {.id = silver_row_id(batch, row)};
		struct content_id *found = bsearch(&key, lookup->ids, lookup->count, sizeof key, compare_ids);
		if (found != NULL)
			lookup->found[found - lookup->ids] = 1;
	}
}

/* UUIDs of version 8 are made from content (the door's work), all others came with the event. */
static bool is_content_id(const struct weir_column *column, uint32_t row)
{
	return column->type == WEIR_UUID && ((const struct weir_uuid *)column->values)[row].bytes[6] >> 4 == 8;
}

static void collect_ids(struct stream_shard *shard, const struct stream_epoch *epoch, struct lookup *lookup)
{
	const struct stream *stream = shard->stream;
	for (uint32_t i = 0; i < epoch->input_count; i++) {
		const struct weir_batch *batch = epoch->inputs[i].batch;
		for (uint32_t row = 0; batch != NULL && row < batch->row_count; row++) {
			const struct weir_column *id = &batch->columns[stream->id_column];
			bool replay = weir_str_is(epoch->inputs[i].block->log.attributes.channel, "dlq");
			if (!replay && !is_content_id(id, row))
				continue;
			WEIR_GROW(lookup->ids, lookup->count, lookup->capacity);
			struct weir_str text = id->type == WEIR_UUID
				? (struct weir_str){(const char *)((const struct weir_uuid *)id->values)[row].bytes, 16}
				: weir_column_str(id, row);
			lookup->ids[lookup->count++] = (struct content_id){
				stream_id_of(weir_column_str(&batch->columns[stream->key_column], row), text), i, row};
		}
	}
}

/* The keys of the ids, as the values of an IN: files and pages of other subjects are skipped. */
static uint32_t distinct_keys(const struct stream *stream, const struct stream_epoch *epoch,
	const struct lookup *lookup, struct weir_arena *arena, struct expr_value **ret_values)
{
	struct expr_value *values = weir_arena_calloc(arena, lookup->count, sizeof *values);
	for (uint64_t i = 0; i < lookup->count; i++) {
		const struct weir_batch *batch = epoch->inputs[lookup->ids[i].input].batch;
		values[i] = (struct expr_value){.kind = EXPR_TEXT,
			.u.text = weir_column_str(&batch->columns[stream->key_column], lookup->ids[i].row)};
	}
	expr_values_sort(values, (uint32_t)lookup->count);
	uint32_t kept = 0;
	for (uint64_t i = 0; i < lookup->count; i++)
		if (kept == 0 || !weir_str_equal(values[kept - 1].u.text, values[i].u.text))
			values[kept++] = values[i];
	*ret_values = values;
	return kept;
}

/* Takes the rows that the tables have out of the epoch's inputs, as duplicates. */
static void drop_found(struct stream_epoch *epoch, const struct lookup *lookup)
{
	uint64_t *drops = weir_zalloc((uint64_t)epoch->input_count * (WEIR_BATCH_ROWS / 64) * sizeof *drops);
	for (uint64_t i = 0; i < lookup->count; i++)
		if (lookup->found[i])
			drops[lookup->ids[i].input * (WEIR_BATCH_ROWS / 64) + lookup->ids[i].row / 64] |= 1ULL
				<< (lookup->ids[i].row % 64);
	for (uint32_t i = 0; i < epoch->input_count; i++) {
		struct stream_input *input = &epoch->inputs[i];
		struct weir_pick picks[WEIR_BATCH_ROWS];
		uint32_t kept = 0;
		if (input->batch == NULL)
			continue;
		uint32_t rows = input->batch->row_count;
		for (uint32_t row = 0; row < rows; row++)
			if ((drops[i * (WEIR_BATCH_ROWS / 64) + row / 64] >> (row % 64) & 1) == 0) {
				input->record_of[kept] = input->record_of[row];
				picks[kept++] = (struct weir_pick){0, row};
			}
		if (kept == rows)
			continue;
		struct stream_counts *counts = epoch_counts(epoch, input->block->log.attributes.channel);
		counts->accepted -= rows - kept;
		counts->duplicates += rows - kept;
		epoch->rows -= rows - kept;
		input->batch = kept > 0 ? weir_batch_gather(epoch->arena, &input->batch, picks, kept) : NULL;
	}
	free(drops);
}

int shard_lookup_old(struct stream_shard *shard, struct stream_epoch *epoch, struct weir_error *err)
{
	struct stream *stream = shard->stream;
	struct lookup lookup = {0};
	if (stream->silver_table == UINT32_MAX)
		return 0;
	collect_ids(shard, epoch, &lookup);
	if (lookup.count == 0)
		return 0;
	struct weir_arena *arena = weir_arena_new(0);
	struct expr_value *keys;
	uint32_t key_count = distinct_keys(stream, epoch, &lookup, arena, &keys);
	qsort(lookup.ids, lookup.count, sizeof *lookup.ids, compare_ids);
	lookup.found = weir_zalloc(lookup.count);
	struct expr_term term = {.field_id = stream->silver_schema->fields[stream->silver_key].id,
		.op = EXPR_IN,
		.values = keys,
		.value_count = key_count};
	int status = scan_silver(shard, &(struct expr_filter){&term, 1}, lookup_batch, &lookup, err);
	if (status == 0)
		drop_found(epoch, &lookup);
	free(lookup.ids);
	free(lookup.found);
	weir_arena_free(arena);
	return status;
}
