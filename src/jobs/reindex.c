/*
 * Re-index tasks (docs/CONSENT.md, "What a change does"): for each (subject, purpose) of a round, what is permitted from
 * silver under the newest rules is compared with gold, and the difference is one commit: files that hold rows that go are
 * replaced, those rows are written to history, rows that are missing are added, the tasks are done and their fence is lifted.
 *
 * Many pairs share one rewrite. A newer change of a pair, or a commit on the same files, makes the commit a CONFLICT: the round
 * starts over. A round begins only when no epoch with an older consent number is open.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "column/builder.h"
#include "jobs/jobs_int.h"

#define ROUND_TASKS    1000
#define ROUND_ATTEMPTS 20
#define GOLDS_MAX      16 /* gold tables of one consent section */

/* A subject of the round: the purposes that its tasks name. */
struct subject {
	struct weir_str name;
	uint64_t purposes;
	uint64_t lsn[CONSENT_PURPOSES_MAX]; /* of the task, by purpose */
};

/* A silver row of the round, by its trace id. */
struct silver_row {
	uint32_t batch, row; /* batch + 1; 0: an empty slot */
};

struct round {
	struct jobs *jobs;
	struct consent *consent;
	struct consent_rules *rules;
	uint32_t section;
	struct weir_arena *arena;
	struct consent_task *tasks;
	uint64_t *rows_moved; /* by task */
	uint32_t task_count;
	struct subject *subjects; /* sorted by name */
	uint32_t subject_count;
	struct expr_value *subject_values;
	uint64_t any_purposes;
	char prefix[32];

	/* of the gold table at hand */
	const struct stream_gold *gold;
	struct ice_table *silver, *gold_table, *history_table;
	struct weir_batch **batches; /* silver rows, sorted */
	uint32_t batch_count, batch_capacity;
	uint64_t **wanted, **present; /* masks, by batch and row */
	uint32_t **versions;
	struct silver_row *slots;
	uint64_t slot_count, row_count;
	uint32_t silver_trace, silver_subject;

	/* what the commit will change */
	struct ice_commit_part parts[2 * GOLDS_MAX];
	uint32_t part_count;
	struct ice_written **written; /* everything that this round wrote, each in the round's arena */
	uint32_t written_count, written_capacity;
	uint32_t writer_count; /* for prefixes of their own */
	uint64_t removed, added;
};

static int compare_subjects(const void *a, const void *b)
{
	return weir_str_compare(((const struct subject *)a)->name, ((const struct subject *)b)->name);
}

static struct subject *find_subject(const struct round *round, struct weir_str name)
{
	struct subject key = {.name = name};
	return bsearch(&key, round->subjects, round->subject_count, sizeof key, compare_subjects);
}

/* Tasks whose number no open epoch is below; they alone may end. */
static int take_tasks(struct round *round, struct weir_error *err)
{
	struct jobs *jobs = round->jobs;
	uint64_t oldest = UINT64_MAX;
	for (uint32_t s = 0; s < jobs->config.lake->stream_count; s++) {
		uint64_t lsn = stream_oldest_open_lsn(jobs->config.streams[s]);
		oldest = lsn < oldest ? lsn : oldest;
	}
	struct consent_task *tasks;
	uint32_t count, kept = 0;
	int status = consent_tasks_open(round->consent, round->arena, ROUND_TASKS, &tasks, &count, err);
	if (status != 0)
		return status;
	for (uint32_t i = 0; i < count; i++)
		if (tasks[i].lsn <= oldest)
			tasks[kept++] = tasks[i];
	round->tasks = tasks;
	round->task_count = kept;
	round->rows_moved = weir_arena_calloc(round->arena, kept, sizeof *round->rows_moved);
	round->subjects = weir_arena_calloc(round->arena, kept, sizeof *round->subjects);
	for (uint32_t i = 0; i < kept; i++)
		round->subjects[i].name = tasks[i].subject;
	qsort(round->subjects, kept, sizeof *round->subjects, compare_subjects);
	for (uint32_t i = 0; i < kept; i++)
		if (i == 0 || !weir_str_equal(round->subjects[i].name, round->subjects[round->subject_count - 1].name))
			round->subjects[round->subject_count++] = round->subjects[i];
	round->subject_values = weir_arena_calloc(round->arena, round->subject_count, sizeof *round->subject_values);
	for (uint32_t i = 0; i < round->subject_count; i++)
		round->subject_values[i] = (struct expr_value){.kind = EXPR_TEXT, .u.text = round->subjects[i].name};
	expr_values_sort(round->subject_values, round->subject_count);
	for (uint32_t i = 0; i < kept; i++) {
		struct subject *subject = find_subject(round, tasks[i].subject);
		subject->purposes |= 1ULL << tasks[i].purpose;
		subject->lsn[tasks[i].purpose] = tasks[i].lsn;
		round->any_purposes |= 1ULL << tasks[i].purpose;
	}
	return 0;
}

static void count_moved(struct round *round, struct weir_str subject, uint32_t purpose)
{
	for (uint32_t i = 0; i < round->task_count; i++)
		if (round->tasks[i].purpose == purpose && weir_str_equal(round->tasks[i].subject, subject)) {
			round->rows_moved[i]++;
			return;
		}
}

/* ---- silver: what is permitted now ---- */

static struct silver_row *find_row(const struct round *round, struct weir_str trace)
{
	uint64_t mask = round->slot_count - 1;
	for (uint64_t at = weir_hash64(trace.data, trace.size) & mask;; at = (at + 1) & mask) {
		struct silver_row *slot = &round->slots[at];
		if (slot->batch == 0 ||
			weir_str_equal(trace,
				weir_column_str(
					&round->batches[slot->batch - 1]->columns[round->silver_trace], slot->row)))
			return slot;
	}
}

static void index_rows(struct round *round)
{
	round->slot_count = 64;
	while (round->slot_count < round->row_count * 2)
		round->slot_count *= 2;
	round->slots = weir_zalloc(round->slot_count * sizeof *round->slots);
	for (uint32_t b = 0; b < round->batch_count; b++)
		for (uint32_t row = 0; row < round->batches[b]->row_count; row++)
			*find_row(round, weir_column_str(&round->batches[b]->columns[round->silver_trace], row)) =
				(struct silver_row){b + 1, row};
}

static int read_silver(struct round *round, struct weir_error *err)
{
	const struct lake *lake = round->jobs->config.lake;
	const struct lake_table *silver = &lake->tables[lake->tables[round->gold->table].from];
	const struct lake_stream *stream = &lake->streams[silver->stream];
	const struct weir_schema *schema = ice_table_schema(round->silver);
	round->silver_trace = weir_schema_find(schema, WEIR_STR("trace_id"));
	round->silver_subject = weir_schema_find(schema, round->gold->vocabulary->subject);
	struct expr_term term = {.field_id = schema->fields[round->silver_subject].id,
		.op = EXPR_IN,
		.values = round->subject_values,
		.value_count = round->subject_count};
	struct ice_sorted_options options = {.projection = schema, .filter = {&term, 1}};
	for (uint32_t i = 0; i < silver->sort_count && i < 2; i++)
		options.order.columns[options.order.count++] = weir_schema_find(schema, silver->sort[i]);
	options.order.columns[options.order.count++] = weir_schema_find(schema, stream->id);
	struct ice_file_list *files = NULL;
	struct ice_sorted *sorted = NULL;
	struct weir_batch *batch;
	uint32_t batches = 0;
	int status = ice_plan(round->silver, -1, &options.filter, &files, err);
	if (status == 0)
		status = ice_sorted_open(round->silver, files->files, files->count, &options, &sorted, err);
	while (status == 0 && (status = ice_sorted_next(sorted, WEIR_BATCH_ROWS, &batch, err)) == 0 && batch != NULL) {
		WEIR_GROW(round->batches, round->batch_count, round->batch_capacity);
		round->batches[round->batch_count++] = batch;
		round->row_count += batch->row_count;
		batches++;
	}
	ice_sorted_close(sorted);
	if (files != NULL)
		ice_file_list_free(files);
	return status;
}

/* Masks of what each silver row is wanted for, within the purposes of its subject's tasks. */
static int evaluate_silver(struct round *round, struct weir_error *err)
{
	struct consent_binding *binding;
	int status = consent_binding_new(round->rules, ice_table_schema(round->silver), &binding, err);
	if (status != 0)
		return status;
	round->wanted = weir_arena_calloc(round->arena, round->batch_count, sizeof *round->wanted);
	round->present = weir_arena_calloc(round->arena, round->batch_count, sizeof *round->present);
	round->versions = weir_arena_calloc(round->arena, round->batch_count, sizeof *round->versions);
	for (uint32_t b = 0; b < round->batch_count && status == 0; b++) {
		struct weir_batch *batch = round->batches[b];
		round->wanted[b] = weir_arena_calloc(round->arena, batch->row_count, sizeof **round->wanted);
		round->present[b] = weir_arena_calloc(round->arena, batch->row_count, sizeof **round->present);
		round->versions[b] = weir_arena_calloc(round->arena, batch->row_count, sizeof **round->versions);
		status = consent_evaluate(binding, batch, round->wanted[b], round->versions[b], err);
		for (uint32_t row = 0; row < batch->row_count && status == 0; row++) {
			struct subject *subject =
				find_subject(round, weir_column_str(&batch->columns[round->silver_subject], row));
			round->wanted[b][row] &= subject != NULL ? subject->purposes : 0;
		}
	}
	consent_binding_free(binding);
	return status;
}

/* ---- gold: what is there, and what of it must go ---- */

struct gold_columns {
	uint32_t subject, purpose, trace, lsn; /* in the schema at hand */
};

static struct gold_columns gold_columns_of(const struct round *round, const struct weir_schema *schema)
{
	return (struct gold_columns){
		weir_schema_find(schema, round->gold->vocabulary->subject),
		weir_schema_find(schema, WEIR_STR("purpose")),
		weir_schema_find(schema, WEIR_STR("trace_id")),
		weir_schema_find(schema, WEIR_STR("consent_lsn")),
	};
}

/* Must this gold row go? A wanted one is noted as present. */
static bool row_goes(struct round *round, const struct gold_columns *columns, const struct weir_batch *batch,
	uint32_t row, const struct subject **ret_subject, uint32_t *ret_purpose)
{
	struct subject *subject = find_subject(round, weir_column_str(&batch->columns[columns->subject], row));
	if (subject == NULL)
		return false;
	int purpose =
		consent_purpose_index(round->gold->vocabulary, weir_column_str(&batch->columns[columns->purpose], row));
	if (purpose < 0 || (subject->purposes >> purpose & 1) == 0)
		return false;
	*ret_subject = subject;
	*ret_purpose = (uint32_t)purpose;
	struct silver_row *found = find_row(round, weir_column_str(&batch->columns[columns->trace], row));
	if (found->batch == 0)
		return true;
	uint64_t bit = 1ULL << purpose;
	if ((round->wanted[found->batch - 1][found->row] & bit) == 0 ||
		(round->present[found->batch - 1][found->row] & bit) != 0)
		return true;
	round->present[found->batch - 1][found->row] |= bit;
	return false;
}

/* First look, at four columns: is there a row that goes? */
static int file_loses(struct round *round, const struct ice_data_file *file, bool *ret_loses, struct weir_error *err)
{
	const struct weir_schema *schema = ice_table_schema(round->gold_table);
	struct gold_columns all = gold_columns_of(round, schema), columns = {0, 1, 2, 3};
	struct weir_field fields[4] = {schema->fields[all.subject], schema->fields[all.purpose],
		schema->fields[all.trace], schema->fields[all.lsn]};
	struct weir_schema projection = {.id = schema->id, .field_count = 4, .fields = fields};
	struct expr_term term = {.field_id = fields[0].id,
		.op = EXPR_IN,
		.values = round->subject_values,
		.value_count = round->subject_count};
	struct expr_filter filter = {&term, 1};
	struct ice_reader *reader;
	struct weir_batch *batch;
	const struct subject *subject;
	uint32_t purpose;
	int status = ice_reader_open(round->gold_table, &file, 1, &projection, &filter, &reader, err);
	if (status != 0)
		return status;
	while ((status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count; row++)
			if (row_goes(round, &columns, batch, row, &subject, &purpose))
				*ret_loses = true;
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	return status;
}

struct rewrite {
	struct ice_writer *kept, *history;
	struct weir_builder *gone; /* rows of history */
	int64_t now_us;
};

static int flush_gone(struct rewrite *rewrite, struct weir_error *err)
{
	struct weir_batch *batch = weir_builder_take(rewrite->gone);
	if (batch == NULL)
		return 0;
	int status = ice_writer_add(rewrite->history, batch, NULL, err);
	weir_batch_release(batch);
	return status;
}

/* gold's columns, granted_lsn, revoked_lsn, revoked_at */
static int add_gone(struct round *round, struct rewrite *rewrite, const struct weir_batch *batch, uint32_t row,
	uint32_t lsn_column, uint64_t revoked_lsn, struct weir_error *err)
{
	uint32_t own = batch->schema->field_count;
	round->removed++;
	if (rewrite->gone == NULL)
		return 0; /* the lake keeps no history */
	for (uint32_t c = 0; c < own; c++)
		weir_builder_copy(rewrite->gone, c, &batch->columns[c], row);
	weir_builder_i64(rewrite->gone, own, weir_column_i64(&batch->columns[lsn_column], row));
	weir_builder_i64(rewrite->gone, own + 1, (int64_t)revoked_lsn);
	weir_builder_i64(rewrite->gone, own + 2, rewrite->now_us);
	weir_builder_end_row(rewrite->gone);
	return weir_builder_full(rewrite->gone) ? flush_gone(rewrite, err) : 0;
}

/* Which rows of a file go was decided by file_loses, which also set `present`; here a row goes if it is not the present one. */
static bool row_gone(const struct round *round, const struct gold_columns *columns, const struct weir_batch *batch,
	uint32_t row, const struct subject **ret_subject, uint32_t *ret_purpose)
{
	struct subject *subject = find_subject(round, weir_column_str(&batch->columns[columns->subject], row));
	int purpose = subject != NULL ? consent_purpose_index(round->gold->vocabulary,
						weir_column_str(&batch->columns[columns->purpose], row))
				      : -1;
	if (purpose < 0 || (subject->purposes >> purpose & 1) == 0)
		return false;
	*ret_subject = subject;
	*ret_purpose = (uint32_t)purpose;
	struct silver_row *found = find_row(round, weir_column_str(&batch->columns[columns->trace], row));
	return found->batch == 0 || (round->wanted[found->batch - 1][found->row] >> purpose & 1) == 0;
}

static int rewrite_file(
	struct round *round, struct rewrite *rewrite, const struct ice_data_file *file, struct weir_error *err)
{
	const struct weir_schema *schema = ice_table_schema(round->gold_table);
	struct gold_columns columns = gold_columns_of(round, schema);
	struct ice_reader *reader;
	struct weir_batch *batch;
	int status = ice_reader_open(round->gold_table, &file, 1, schema, &(struct expr_filter){NULL, 0}, &reader, err);
	if (status != 0)
		return status;
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		uint16_t rows[WEIR_BATCH_ROWS];
		uint32_t kept = 0;
		for (uint32_t row = 0; row < batch->row_count && status == 0; row++) {
			const struct subject *subject;
			uint32_t purpose;
			if (!row_gone(round, &columns, batch, row, &subject, &purpose)) {
				rows[kept++] = (uint16_t)row;
				continue;
			}
			status = add_gone(round, rewrite, batch, row, columns.lsn, subject->lsn[purpose], err);
			count_moved(round, subject->name, purpose);
		}
		if (status == 0 && kept > 0)
			status = ice_writer_add(rewrite->kept, batch, &(struct weir_selection){rows, kept}, err);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	return status;
}

/* Rows that are wanted and not present, under the landing spec. */
static int add_missing(struct round *round, struct ice_writer *writer, struct weir_error *err)
{
	const struct weir_schema *schema = ice_table_schema(round->gold_table);
	int status = 0;
	for (uint32_t b = 0; b < round->batch_count && status == 0; b++) {
		struct weir_batch *batch = round->batches[b];
		struct weir_arena *arena = weir_arena_new(0);
		struct weir_batch *owned = NULL;
		for (uint32_t row = 0; row < batch->row_count; row++) {
			round->wanted[b][row] &= ~round->present[b][row];
			for (uint32_t p = 0; round->wanted[b][row] >> p != 0; p++)
				if ((round->wanted[b][row] >> p & 1) != 0)
					count_moved(
						round, weir_column_str(&batch->columns[round->silver_subject], row), p);
		}
		status = stream_gold_add(round->gold, writer, schema, batch, round->wanted[b], round->versions[b],
			consent_rules_lsn(round->rules), arena, &owned, &round->added, err);
		weir_batch_release(owned);
		weir_arena_free(arena);
	}
	return status;
}

/* ---- the files of one gold table ---- */

static uint32_t history_of(const struct lake *lake, uint32_t gold)
{
	for (uint32_t t = 0; t < lake->table_count; t++)
		if (lake->tables[t].kind == LAKE_HISTORY_OF && lake->tables[t].from == gold)
			return t;
	return UINT32_MAX;
}

static void add_part(struct round *round, uint32_t table, enum ice_operation operation,
	const struct ice_data_file *added, uint32_t added_count, const struct weir_str *removed, uint32_t removed_count)
{
	const struct lake *lake = round->jobs->config.lake;
	round->parts[round->part_count++] = (struct ice_commit_part){
		.table = table,
		.edit =
			{
				.operation = operation,
				.added = added,
				.added_count = added_count,
				.removed = removed,
				.removed_count = removed_count,
				.prefix = weir_str_from(round->prefix),
				.keep_snapshots = lake->tables[table].keep_snapshots > 0
					? lake->tables[table].keep_snapshots
					: 100,
				.erase = removed_count > 0,
				.now_ms = weir_now_us(&round->jobs->config.clock) / 1000,
			},
	};
}

/* A writer whose file names are its own, under the round's prefix. */
static int round_writer(struct round *round, struct ice_table *table, int32_t spec_id, struct ice_writer **ret_writer,
	struct weir_error *err)
{
	char *prefix = weir_arena_printf(round->arena, "%s-%u", round->prefix, round->writer_count++);
	return jobs_writer(round->jobs, table, spec_id, prefix, ret_writer, err);
}

/* Closes a writer, or abandons it after a failure; what it wrote is durable, and the round's to free. */
static int round_close(struct round *round, struct ice_writer *writer, int status, struct weir_error *err)
{
	if (writer == NULL)
		return status;
	if (status != 0) {
		ice_writer_abandon(writer);
		return status;
	}
	struct ice_written *written = weir_arena_zalloc(round->arena, sizeof *written);
	status = ice_writer_close(writer, written, err);
	if (status != 0)
		return status;
	WEIR_GROW(round->written, round->written_count, round->written_capacity);
	round->written[round->written_count++] = written;
	return jobs_durable(round->jobs, written, err);
}

/* The files that were written from the first-th writer on, as one list. */
static struct ice_data_file *round_files(struct round *round, uint32_t first, uint32_t *ret_count)
{
	uint32_t count = 0, at = 0;
	for (uint32_t i = first; i < round->written_count; i++)
		count += round->written[i]->count;
	struct ice_data_file *files = weir_arena_calloc(round->arena, count, sizeof *files);
	for (uint32_t i = first; i < round->written_count; i++)
		for (uint32_t f = 0; f < round->written[i]->count; f++)
			files[at++] = round->written[i]->files[f];
	*ret_count = count;
	return files;
}

/* Files of the round's purposes and subjects, and those of them that lose rows. */
static int find_losers(struct round *round, struct ice_file_list *files, const struct ice_data_file **losers,
	uint32_t *ret_count, struct weir_error *err)
{
	int status = 0;
	for (uint32_t i = 0; i < files->count && status == 0; i++) {
		const struct ice_data_file *file = files->files[i];
		bool loses = false;
		if (file->partition_count > 0 && !file->partition[0].is_null) {
			int purpose = consent_purpose_index(round->gold->vocabulary, file->partition[0].value.u.text);
			if (purpose >= 0 && (round->any_purposes >> purpose & 1) == 0)
				continue;
		}
		status = file_loses(round, file, &loses, err);
		if (loses)
			losers[(*ret_count)++] = file;
	}
	return status;
}

/* Each loser becomes a file of its own again, without the rows that go: so it stays sorted, and spans the time that it spanned. */
static int rewrite_losers(struct round *round, struct rewrite *rewrite, const struct ice_data_file **losers,
	uint32_t count, struct weir_error *err)
{
	int status = 0;
	for (uint32_t i = 0; i < count && status == 0; i++) {
		rewrite->kept = NULL;
		status = round_writer(round, round->gold_table, losers[i]->spec_id, &rewrite->kept, err);
		if (status == 0)
			status = rewrite_file(round, rewrite, losers[i], err);
		status = round_close(round, rewrite->kept, status, err);
	}
	return status;
}

static int write_missing(struct round *round, struct weir_error *err)
{
	struct ice_writer *writer = NULL;
	int status = round_writer(round, round->gold_table, round->gold->spec_id, &writer, err);
	if (status == 0)
		status = add_missing(round, writer, err);
	return round_close(round, writer, status, err);
}

/* Replaces the losers, fills in what is missing, and writes what went to history: one part for gold, one for history. */
static int change_gold(struct round *round, struct ice_file_list *files, struct weir_error *err)
{
	struct jobs *jobs = round->jobs;
	uint32_t history = history_of(jobs->config.lake, round->gold->table), loser_count = 0, added_count;
	const struct ice_data_file **losers = weir_arena_calloc(round->arena, files->count, sizeof *losers);
	struct rewrite rewrite = {.now_us = weir_now_us(&jobs->config.clock)};
	uint32_t first = round->written_count;
	int status = find_losers(round, files, losers, &loser_count, err);
	if (status == 0 && history != UINT32_MAX) {
		round->history_table = ice_registry_table(jobs->config.registry, history);
		rewrite.gone = weir_builder_new(ice_table_schema(round->history_table));
		status = round_writer(round, round->history_table, 0, &rewrite.history, err);
	}
	if (status == 0)
		status = rewrite_losers(round, &rewrite, losers, loser_count, err);
	if (status == 0)
		status = write_missing(round, err);
	struct weir_str *removed = weir_arena_calloc(round->arena, loser_count, sizeof *removed);
	for (uint32_t i = 0; i < loser_count; i++) /* the list of files does not live until the commit */
		removed[i] = weir_arena_str(round->arena, losers[i]->path);
	struct ice_data_file *added = round_files(round, first, &added_count);
	if (status == 0 && (added_count > 0 || loser_count > 0))
		add_part(round, round->gold->table, loser_count > 0 ? ICE_OP_OVERWRITE : ICE_OP_APPEND, added,
			added_count, removed, loser_count);
	first = round->written_count;
	if (status == 0 && rewrite.gone != NULL)
		status = flush_gone(&rewrite, err);
	status = round_close(round, rewrite.history, status, err);
	added = round_files(round, first, &added_count);
	if (status == 0 && added_count > 0)
		add_part(round, history, ICE_OP_APPEND, added, added_count, NULL, 0);
	weir_builder_free(rewrite.gone);
	if (round->history_table != NULL)
		ice_table_unref(round->history_table);
	round->history_table = NULL;
	return status;
}

static void drop_silver(struct round *round)
{
	for (uint32_t b = 0; b < round->batch_count; b++)
		weir_batch_release(round->batches[b]);
	free(round->batches);
	free(round->slots);
	round->batches = NULL;
	round->slots = NULL;
	round->batch_count = round->batch_capacity = 0;
	round->row_count = 0;
}

static int plan_table(struct round *round, const struct stream_gold *gold, struct weir_error *err)
{
	struct jobs *jobs = round->jobs;
	struct ice_file_list *files = NULL;
	round->gold = gold;
	const uint32_t both[] = {jobs->config.lake->tables[gold->table].from, gold->table};
	struct ice_table *versions[2];
	/* Of one moment: a row of an epoch that is in gold's version and not in silver's would be taken for one that goes. */
	ice_registry_tables(jobs->config.registry, both, 2, versions);
	round->silver = versions[0];
	round->gold_table = versions[1];
	const struct weir_schema *schema = ice_table_schema(round->gold_table);
	struct expr_term term = {.field_id = schema->fields[weir_schema_find(schema, gold->vocabulary->subject)].id,
		.op = EXPR_IN,
		.values = round->subject_values,
		.value_count = round->subject_count};
	struct expr_filter filter = {&term, 1};
	int status = read_silver(round, err);
	if (status == 0)
		status = evaluate_silver(round, err);
	if (status == 0) {
		index_rows(round);
		status = ice_plan(round->gold_table, -1, &filter, &files, err);
	}
	if (status == 0)
		status = change_gold(round, files, err);
	if (files != NULL)
		ice_file_list_free(files);
	return status;
}

/* What the same transaction does besides moving the tables. */
static void stage(void *context, struct control_change *change)
{
	struct round *round = context;
	consent_stage_tasks_done(round->consent, change, round->tasks, round->rows_moved, round->task_count);
	ice_stage_prefix_done(change, weir_str_from(round->prefix));
}

static void account(struct round *round)
{
	struct jobs *jobs = round->jobs;
	struct jobs_numbers more = {
		.tasks_done = round->task_count, .rows_removed = round->removed, .rows_added = round->added};
	int64_t now_us = weir_now_us(&jobs->config.clock);
	for (uint32_t i = 0; i < round->task_count && round->removed > 0; i++)
		if (round->tasks[i].removes && now_us - round->tasks[i].created_us > more.removal_us_last)
			more.removal_us_last = now_us - round->tasks[i].created_us;
	jobs_count(jobs, &more);
}

static int run_round(struct round *round, struct weir_error *err)
{
	struct jobs *jobs = round->jobs;
	const struct lake *lake = jobs->config.lake;
	int status = ice_reserve_prefix(jobs->config.control, weir_now_us(&jobs->config.clock), round->prefix, err);
	for (uint32_t t = 0; t < lake->table_count && status == 0; t++) {
		if (lake->tables[t].kind != LAKE_GOLD || lake->tables[t].consent != round->section)
			continue;
		WEIR_ASSERT(round->part_count + 2 <= 2 * GOLDS_MAX);
		status = plan_table(round, &jobs->golds[t], err);
		drop_silver(round);
		ice_table_unref(round->silver);
		ice_table_unref(round->gold_table);
	}
	if (status == 0)
		status = ice_commit(jobs->config.registry, CONTROL_CONSENT, round->parts, round->part_count, stage,
			NULL, round, NULL, err);
	for (uint32_t i = 0; i < round->written_count; i++)
		jobs_written_free(jobs, round->written[i]);
	free(round->written);
	if (status != 0) {
		jobs_give_up(jobs, round->prefix);
		return status;
	}
	consent_tasks_finished(round->consent, round->tasks, round->task_count);
	if (round->removed > 0) { /* no byte of what went may stay: no grace */
		uint64_t deleted;
		status = ice_sweep_doomed(jobs->config.registry, weir_now_us(&jobs->config.clock), 0, &deleted, err);
		jobs_count(jobs, &(struct jobs_numbers){.files_destroyed = deleted});
		jobs->scrub_due = true;
	}
	account(round);
	return status;
}

static int reindex_section(struct jobs *jobs, uint32_t section, bool *ret_did, struct weir_error *err)
{
	struct consent *consent = jobs->config.consents[section];
	for (unsigned tries = 0; tries < ROUND_ATTEMPTS; tries++) {
		struct round *round = weir_zalloc(sizeof *round);
		*round = (struct round){
			.jobs = jobs, .consent = consent, .section = section, .arena = weir_arena_new(0)};
		int status = take_tasks(round, err);
		bool any = round->task_count > 0;
		if (status == 0 && any) {
			round->rules = consent_rules_newest(consent);
			status = run_round(round, err);
			consent_rules_unref(round->rules);
		}
		weir_arena_free(round->arena);
		free(round);
		*ret_did = *ret_did || (any && status == 0);
		if (status != WEIR_E_CONFLICT)
			return status;
	}
	return weir_fail(err, WEIR_E_BUSY, "re-index tasks conflict with newer commits; they are tried again");
}

int jobs_reindex(struct jobs *jobs, bool *ret_did, struct weir_error *err)
{
	*ret_did = false;
	int status = jobs_retire(jobs, err); /* a removal is done only when no byte of a failed round is left */
	for (uint32_t i = 0; i < jobs->config.lake->consent_count && status == 0; i++)
		status = consent_tasks_open_count(jobs->config.consents[i]) > 0 ? reindex_section(jobs, i, ret_did, err)
										: 0;
	return status;
}
