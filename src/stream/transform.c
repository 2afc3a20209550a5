/*
 * The silver transform over an epoch: one row in, one row out. A row on which the SQL fails is found by
 * bisection and becomes a dead letter alone; so does an event whose row the SQL drops or doubles.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "stream/stream_int.h"

struct pending {
	struct weir_batch **batches; /* inputs of one run */
	uint32_t count;
};

struct transform_state {
	struct stream_shard *shard;
	struct stream_epoch *epoch;
	struct weir_batch **results;
	uint32_t result_count, result_capacity;
	uint64_t **refused;
};

static void keep_result(struct transform_state *state, struct weir_batch *batch)
{
	WEIR_GROW(state->results, state->result_count, state->result_capacity);
	state->results[state->result_count++] = batch;
}

/* Finds the event of a trace id: a linear walk, for the few that fail. */
static bool find_event(const struct stream_epoch *epoch, struct weir_str trace, uint32_t *ret_input, uint32_t *ret_row)
{
	uint32_t partition;
	uint64_t offset;
	if (!stream_trace_parse(trace, &partition, &offset))
		return false;
	for (uint32_t i = 0; i < epoch->input_count; i++) {
		const struct stream_input *input = &epoch->inputs[i];
		const struct bus_read_block *log = &input->block->log;
		if (input->batch == NULL || log->attributes.partition != partition || offset < log->base_offset ||
			offset >= log->base_offset + log->count)
			continue;
		for (uint32_t row = 0; row < input->batch->row_count; row++)
			if (input->record_of[row] == offset - log->base_offset) {
				*ret_input = i;
				*ret_row = row;
				return true;
			}
	}
	return false;
}

static void refuse(struct transform_state *state, struct weir_str trace, const char *message)
{
	struct stream_epoch *epoch = state->epoch;
	uint32_t at = 0, row = 0;
	bool found = find_event(epoch, trace, &at, &row);
	WEIR_ASSERT(found);
	const struct stream_input *input = &epoch->inputs[at];
	const struct bus_attributes *attributes = &input->block->log.attributes;
	uint32_t record = input->record_of[row];
	if ((state->refused[at][row / 64] >> (row % 64) & 1) != 0)
		return;
	state->refused[at][row / 64] |= 1ULL << (row % 64);
	struct stream_letter letter = {
		.trace = weir_view_from(trace),
		.failed_us = weir_now_us(&state->shard->stream->config.clock),
		.channel = attributes->channel,
		.type = WEIR_STR("transform"),
		.field = WEIR_STR(""),
		.message = weir_arena_str(epoch->arena, weir_str_from(message)),
		.source_file = attributes->source_file,
		.source_record = attributes->source_record + record,
		.payload = input->block->log.records[record].payload,
	};
	epoch_letter(epoch, &letter);
	struct stream_counts *counts = epoch_counts(epoch, attributes->channel);
	counts->dead_letters++;
	counts->accepted--;
	epoch->rows--;
}

static struct weir_str input_trace(const struct stream *stream, const struct weir_batch *batch, uint32_t row)
{
	uint32_t column = stream->input_schema->field_count - STREAM_EXTRA_COLUMNS + STREAM_TRACE_ID;
	return weir_column_str(&batch->columns[column], row);
}

/* True where output row i belongs to input row i throughout: the common case, with one comparison a row. */
static bool in_step(const struct stream *stream, const struct pending *inputs, struct weir_batch *const *outputs,
	uint32_t output_count)
{
	uint32_t out = 0, out_row = 0;
	for (uint32_t i = 0; i < inputs->count; i++)
		for (uint32_t row = 0; row < inputs->batches[i]->row_count; row++) {
			while (out < output_count && out_row == outputs[out]->row_count) {
				out++;
				out_row = 0;
			}
			if (out == output_count)
				return false;
			const struct weir_column *trace = &outputs[out]->columns[stream->silver_trace];
			if (!weir_column_is_valid(trace, out_row) ||
				!weir_str_equal(
					weir_column_str(trace, out_row), input_trace(stream, inputs->batches[i], row)))
				return false;
			out_row++;
		}
	while (out < output_count && out_row == outputs[out]->row_count) {
		out++;
		out_row = 0;
	}
	return out == output_count;
}

/* One expected trace id, and how many rows came out for it. */
struct expected {
	struct weir_str trace;
	uint32_t rows;
};

static int compare_expected(const void *a, const void *b)
{
	const struct expected *left = a, *right = b;
	return weir_str_compare(left->trace, right->trace);
}

/* Out of step: count the rows of each event; those with other than one are refused, and their rows are left out. */
static int sort_out(
	struct transform_state *state, const struct pending *inputs, struct weir_batch **outputs, uint32_t output_count)
{
	const struct stream *stream = state->shard->stream;
	struct stream_epoch *epoch = state->epoch;
	uint64_t total = 0, at = 0;
	for (uint32_t i = 0; i < inputs->count; i++)
		total += inputs->batches[i]->row_count;
	struct expected *expected = weir_zalloc(total * sizeof *expected);
	for (uint32_t i = 0; i < inputs->count; i++)
		for (uint32_t row = 0; row < inputs->batches[i]->row_count; row++)
			expected[at++].trace = input_trace(stream, inputs->batches[i], row);
	qsort(expected, total, sizeof *expected, compare_expected);
	for (int pass = 0; pass < 2; pass++) /* first count, then keep */
		for (uint32_t o = 0; o < output_count; o++) {
			struct weir_pick picks[WEIR_BATCH_ROWS];
			uint32_t kept = 0;
			const struct weir_column *trace = &outputs[o]->columns[stream->silver_trace];
			for (uint32_t row = 0; row < outputs[o]->row_count; row++) {
				struct expected key = {.trace = weir_column_is_valid(trace, row)
						? weir_column_str(trace, row)
						: WEIR_STR("")};
				struct expected *found =
					bsearch(&key, expected, total, sizeof *expected, compare_expected);
				if (found != NULL && pass == 0)
					found->rows++;
				else if (found != NULL && found->rows == 1)
					picks[kept++] = (struct weir_pick){0, row};
			}
			if (pass == 1 && kept > 0)
				keep_result(state,
					weir_batch_copy(epoch->arena,
						weir_batch_gather(epoch->arena, &outputs[o], picks, kept)));
		}
	for (uint64_t i = 0; i < total; i++)
		if (expected[i].rows != 1)
			refuse(state, expected[i].trace,
				expected[i].rows == 0 ? "the silver transform dropped the event; it must give exactly "
							"one row an event"
						      : "the silver transform doubled the event; it must give exactly "
							"one row an event");
	free(expected);
	for (uint32_t o = 0; o < output_count; o++)
		weir_batch_release(outputs[o]);
	return 0;
}

static int run(struct transform_state *state, struct pending inputs, struct weir_error *err);

/* Cuts the inputs in two: between batches, or one batch in the middle. */
static int bisect(struct transform_state *state, struct pending inputs, struct weir_error *err)
{
	struct weir_arena *arena = state->epoch->arena;
	if (inputs.count > 1) {
		uint32_t half = inputs.count / 2;
		int status = run(state, (struct pending){inputs.batches, half}, err);
		return status != 0 ? status
				   : run(state, (struct pending){inputs.batches + half, inputs.count - half}, err);
	}
	struct weir_batch *batch = inputs.batches[0];
	struct weir_pick picks[WEIR_BATCH_ROWS];
	uint32_t rows = batch->row_count, half = rows / 2;
	for (uint32_t i = 0; i < rows; i++)
		picks[i] = (struct weir_pick){0, i};
	struct weir_batch *halves[2] = {weir_batch_gather(arena, &batch, picks, half),
		weir_batch_gather(arena, &batch, picks + half, rows - half)};
	int status = run(state, (struct pending){&halves[0], 1}, err);
	return status != 0 ? status : run(state, (struct pending){&halves[1], 1}, err);
}

static int run(struct transform_state *state, struct pending inputs, struct weir_error *err)
{
	struct weir_batch **outputs = NULL;
	uint32_t count = 0;
	struct stream *stream = state->shard->stream;
	int status = sql_transform_run(state->shard->transform, inputs.batches, inputs.count, &outputs, &count, err);
	if (status == WEIR_E_INPUT) {
		if (inputs.count > 1 || inputs.batches[0]->row_count > 1)
			return bisect(state, inputs, err);
		refuse(state, input_trace(stream, inputs.batches[0], 0), err->message);
		return 0;
	}
	if (status != 0)
		return status;
	if (in_step(stream, &inputs, outputs, count)) {
		for (uint32_t i = 0; i < count; i++) {
			outputs[i]->schema = stream->silver_schema;
			if (outputs[i]->row_count > 0)
				keep_result(state, outputs[i]);
			else
				weir_batch_release(outputs[i]);
		}
	} else {
		for (uint32_t i = 0; i < count; i++)
			outputs[i]->schema = stream->silver_schema;
		status = sort_out(state, &inputs, outputs, count);
	}
	free(outputs);
	return status;
}

int epoch_transform(struct stream_shard *shard, struct stream_epoch *epoch, struct weir_batch ***ret_batches,
	uint32_t *ret_count, uint64_t **refused, struct weir_error *err)
{
	struct transform_state state = {.shard = shard, .epoch = epoch, .refused = refused};
	struct weir_batch **inputs = weir_arena_calloc(epoch->arena, epoch->input_count, sizeof *inputs);
	uint32_t count = 0;
	for (uint32_t i = 0; i < epoch->input_count; i++)
		if (epoch->inputs[i].batch != NULL)
			inputs[count++] = epoch->inputs[i].batch;
	int status = 0;
	for (uint32_t start = 0; start < count && status == 0;) {
		uint32_t end = start;
		uint64_t rows = 0;
		while (end < count && (end == start || rows + inputs[end]->row_count <= STREAM_TRANSFORM_ROWS))
			rows += inputs[end++]->row_count;
		status = run(&state, (struct pending){inputs + start, end - start}, err);
		start = end;
	}
	*ret_batches = state.results; /* malloc'ed */
	*ret_count = state.result_count;
	return status;
}
