/*
 * Re-index tasks (docs/CONSENT.md, "What a change does" and "Bytes"): for each (subject, purpose) of a round, what is permitted
 * from silver under the newest rules is compared with gold, and the difference is committed: files that hold rows that go are
 * replaced, those rows are written to history, rows that are missing are added, the tasks are done and their fence is lifted.
 *
 * Where much is to be rewritten, the round commits twice: first a row delta (position deletes of the rows that go) together with
 * their rows of history, then the rewrite. The tasks and the fence end with the rewrite alone. A file that has deletes is work for
 * any round, whatever its tasks are: that is how a round goes on that died in between.
 *
 * Many pairs share one rewrite. A newer change of a pair, or a commit on the same files, makes either commit a CONFLICT: the round
 * starts over. A round begins only when no epoch with an older consent number is open.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "column/builder.h"
#include "jobs/jobs_int.h"
#include "jobs/removal.h"

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

/* What the round does to one gold table. */
struct change {
	uint32_t table, history;     /* in the registry; history UINT32_MAX: the lake keeps none */
	struct ice_table *version;   /* that was planned */
	struct ice_file_list *files; /* of it: losers are among them */
	struct removal_file *losers;
	uint32_t loser_count;
	struct ice_data_file *missing, *gone; /* written: rows of gold that come, rows of history */
	uint32_t missing_count, gone_count;
	struct ice_data_file *spent; /* delete files that go with the rewrite */
	uint32_t spent_count;
};

struct round {
	struct jobs *jobs;
	struct consent *consent;
	struct consent_rules *rules;
	uint32_t section;
	struct weir_arena *arena;
	struct consent_task *tasks;
	uint64_t *rows_gone, *rows_come; /* by task */
	uint32_t task_count;
	struct subject *subjects; /* sorted by name */
	uint32_t subject_count;
	struct expr_value *subject_values;
	uint64_t any_purposes;
	char prefix[32];       /* of what the rewrite commits */
	char delta_prefix[32]; /* of what may be committed before it: rows of history, and deletes */
	bool delta_done;       /* that is committed */

	/* of the gold table at hand */
	const struct stream_gold *gold;
	struct ice_table *silver, *gold_table;
	struct weir_batch **batches; /* silver rows, sorted */
	uint32_t batch_count, batch_capacity;
	uint64_t **wanted, **present; /* masks, by batch and row */
	uint32_t **versions;
	struct silver_row *slots;
	uint64_t slot_count, row_count;
	uint32_t silver_trace, silver_subject;

	/* what the commits will change */
	struct change changes[GOLDS_MAX];
	uint32_t change_count;
	struct ice_written **written; /* everything that this round wrote, each in the round's arena */
	uint32_t written_count, written_capacity;
	uint32_t writer_count; /* for prefixes of their own */
	bool rewrites;         /* files go */
	bool resumes;          /* some of them had deletes */
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

/*
 * Tasks whose number no open epoch is below, and not those that are newer than the rules of the round: they would be done by rules
 * that do not know them.
 */
static int take_tasks(struct round *round, struct weir_error *err)
{
	struct jobs *jobs = round->jobs;
	uint64_t oldest = UINT64_MAX, known = consent_rules_lsn(round->rules);
	for (uint32_t s = 0; s < jobs->config.lake->stream_count; s++) {
		uint64_t lsn = stream_oldest_open_lsn(jobs->config.streams[s]);
		oldest = lsn < oldest ? lsn : oldest;
	}
	struct consent_task *tasks;
	uint32_t count, kept = 0;
	bool unknown = false;
	int status = consent_tasks_open(round->consent, round->arena, ROUND_TASKS, &tasks, &count, err);
	if (status != 0)
		return status;
	for (uint32_t i = 0; i < count; i++) {
		unknown = unknown || tasks[i].lsn > known;
		if (tasks[i].lsn <= oldest && tasks[i].lsn <= known)
			tasks[kept++] = tasks[i];
	}
	if (unknown && (status = consent_catch_up(round->consent, err)) != 0)
		return status; /* for the round after this one */
	round->tasks = tasks;
	round->task_count = kept;
	round->rows_gone = weir_arena_calloc(round->arena, kept, sizeof *round->rows_gone);
	round->rows_come = weir_arena_calloc(round->arena, kept, sizeof *round->rows_come);
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

/* One row more of the task, in its array. */
static void count_row(const struct round *round, uint64_t *rows, struct weir_str subject, uint32_t purpose)
{
	for (uint32_t i = 0; i < round->task_count; i++)
		if (round->tasks[i].purpose == purpose && weir_str_equal(round->tasks[i].subject, subject)) {
			rows[i]++;
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

/* Some columns of the gold table and, as the last one, the rows' places in their file. */
static struct weir_schema with_places(struct round *round, const uint32_t *columns, uint32_t count)
{
	const struct weir_schema *schema = ice_table_schema(round->gold_table);
	struct weir_schema wanted = {.id = schema->id, .field_count = count + 1};
	wanted.fields = weir_arena_calloc(round->arena, count + 1, sizeof *wanted.fields);
	for (uint32_t i = 0; i < count; i++)
		wanted.fields[i] = schema->fields[columns != NULL ? columns[i] : i];
	wanted.fields[count] = (struct weir_field){
		.name = WEIR_STR("_pos"), .id = ICE_FIELD_POSITION, .type = WEIR_INT64, .required = true};
	return wanted;
}

static struct expr_term subjects_term(struct round *round)
{
	const struct weir_schema *schema = ice_table_schema(round->gold_table);
	return (struct expr_term){
		.field_id = schema->fields[weir_schema_find(schema, round->gold->vocabulary->subject)].id,
		.op = EXPR_IN,
		.values = round->subject_values,
		.value_count = round->subject_count};
}

enum { SUBJECT, PURPOSE, TRACE, PLACE };

/* Must this gold row go? A wanted one is noted as present. */
static bool row_goes(struct round *round, const struct weir_batch *batch, uint32_t row)
{
	struct weir_str name = weir_column_str(&batch->columns[SUBJECT], row);
	struct subject *subject = find_subject(round, name);
	int purpose = subject != NULL
		? consent_purpose_index(round->gold->vocabulary, weir_column_str(&batch->columns[PURPOSE], row))
		: -1;
	if (purpose < 0 || (subject->purposes >> purpose & 1) == 0)
		return false;
	struct silver_row *found = find_row(round, weir_column_str(&batch->columns[TRACE], row));
	if (found->batch == 0 || (round->wanted[found->batch - 1][found->row] >> purpose & 1) == 0) {
		count_row(round, round->rows_gone, name, (uint32_t)purpose);
		return true;
	}
	round->present[found->batch - 1][found->row] |= 1ULL << purpose;
	return false;
}

/* The places of the file's rows that go and are not deleted yet, by a look at three columns. */
static int find_gone(
	struct round *round, const struct ice_data_file *file, struct ice_positions *gone, struct weir_error *err)
{
	const struct weir_schema *schema = ice_table_schema(round->gold_table);
	const uint32_t columns[] = {weir_schema_find(schema, round->gold->vocabulary->subject),
		weir_schema_find(schema, WEIR_STR("purpose")), weir_schema_find(schema, WEIR_STR("trace_id"))};
	struct weir_schema projection = with_places(round, columns, PLACE);
	struct expr_term term = subjects_term(round);
	struct expr_filter filter = {&term, 1};
	struct ice_reader *reader;
	struct weir_batch *batch;
	int status = ice_reader_open(round->gold_table, &file, 1, &projection, &filter, &reader, err);
	if (status != 0)
		return status;
	while ((status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count; row++)
			if (row_goes(round, batch, row))
				ice_positions_add(gone, (uint64_t)weir_column_i64(&batch->columns[PLACE], row));
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	return status;
}

/* Rows that go, on their way to history. */
struct farewell {
	struct ice_table *table;
	struct ice_writer *writer;
	struct weir_builder *rows;
	int64_t now_us;
};

static int flush_gone(struct farewell *farewell, struct weir_error *err)
{
	struct weir_batch *batch = weir_builder_take(farewell->rows);
	if (batch == NULL)
		return 0;
	int status = ice_writer_add(farewell->writer, batch, NULL, err);
	weir_batch_release(batch);
	return status;
}

/* gold's columns, granted_lsn, revoked_lsn, revoked_at */
static int add_gone(struct round *round, struct farewell *farewell, const struct weir_batch *batch, uint32_t row,
	struct weir_error *err)
{
	const struct weir_schema *schema = ice_table_schema(round->gold_table);
	uint32_t own = schema->field_count, lsn = weir_schema_find(schema, WEIR_STR("consent_lsn"));
	uint32_t subject = weir_schema_find(schema, round->gold->vocabulary->subject);
	uint32_t purpose = weir_schema_find(schema, WEIR_STR("purpose"));
	const struct subject *of = find_subject(round, weir_column_str(&batch->columns[subject], row));
	int index = consent_purpose_index(round->gold->vocabulary, weir_column_str(&batch->columns[purpose], row));
	WEIR_ASSERT(of != NULL && index >= 0); /* row_goes said so */
	for (uint32_t c = 0; c < own; c++)
		weir_builder_copy(farewell->rows, c, &batch->columns[c], row);
	weir_builder_i64(farewell->rows, own, weir_column_i64(&batch->columns[lsn], row));
	weir_builder_i64(farewell->rows, own + 1, (int64_t)of->lsn[index]);
	weir_builder_i64(farewell->rows, own + 2, farewell->now_us);
	weir_builder_end_row(farewell->rows);
	return weir_builder_full(farewell->rows) ? flush_gone(farewell, err) : 0;
}

static int write_gone(
	struct round *round, struct farewell *farewell, const struct removal_file *loser, struct weir_error *err)
{
	uint32_t own = ice_table_schema(round->gold_table)->field_count;
	struct weir_schema projection = with_places(round, NULL, own);
	struct expr_term term = subjects_term(round);
	struct expr_filter filter = {&term, 1};
	struct ice_reader *reader;
	struct weir_batch *batch;
	int status = ice_reader_open(round->gold_table, &loser->file, 1, &projection, &filter, &reader, err);
	if (status != 0)
		return status;
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count && status == 0; row++)
			if (ice_positions_has(loser->fresh, (uint64_t)weir_column_i64(&batch->columns[own], row)))
				status = add_gone(round, farewell, batch, row, err);
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
					count_row(round, round->rows_come,
						weir_column_str(&batch->columns[round->silver_subject], row), p);
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

/* A writer whose file names are its own, under one of the round's prefixes. */
static int round_writer(struct round *round, struct ice_table *table, int32_t spec_id, const char *prefix,
	struct ice_writer **ret_writer, struct weir_error *err)
{
	char *own = weir_arena_printf(round->arena, "%s-%u", prefix, round->writer_count++);
	return jobs_writer(round->jobs, table, spec_id, own, ret_writer, err);
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

/* May rows of the round be in the file? */
static bool may_lose(const struct round *round, const struct ice_data_file *file)
{
	if (round->subject_count == 0)
		return false;
	if (file->partition_count == 0 || file->partition[0].is_null)
		return true;
	int purpose = consent_purpose_index(round->gold->vocabulary, file->partition[0].value.u.text);
	return purpose < 0 || (round->any_purposes >> purpose & 1) != 0;
}

/* Files of which rows go, or went by deletes. */
static int find_losers(struct round *round, struct change *change, struct weir_error *err)
{
	int status = 0;
	change->losers = weir_arena_calloc(round->arena, change->files->count, sizeof *change->losers);
	for (uint32_t i = 0; i < change->files->count && status == 0; i++) {
		struct removal_file *loser = &change->losers[change->loser_count];
		loser->file = change->files->files[i];
		loser->fresh = ice_positions_new();
		if (may_lose(round, loser->file))
			status = find_gone(round, loser->file, loser->fresh, err);
		uint64_t fresh = ice_positions_count(loser->fresh);
		round->removed += fresh;
		if (status == 0 && (fresh > 0 || loser->file->delete_count > 0)) {
			change->loser_count++;
			round->rewrites = true;
			round->resumes = round->resumes || loser->file->delete_count > 0;
		} else {
			ice_positions_free(loser->fresh);
		}
	}
	return status;
}

/* The rows that go, as rows of history. */
static int write_history(struct round *round, struct change *change, struct weir_error *err)
{
	struct farewell farewell = {.now_us = weir_now_us(&round->jobs->config.clock)};
	uint32_t first = round->written_count;
	uint64_t fresh = 0;
	for (uint32_t i = 0; i < change->loser_count; i++)
		fresh += ice_positions_count(change->losers[i].fresh);
	if (change->history == UINT32_MAX || fresh == 0)
		return 0;
	farewell.table = ice_registry_table(round->jobs->config.registry, change->history);
	farewell.rows = weir_builder_new(ice_table_schema(farewell.table));
	int status = round_writer(round, farewell.table, 0, round->delta_prefix, &farewell.writer, err);
	for (uint32_t i = 0; i < change->loser_count && status == 0; i++)
		if (ice_positions_count(change->losers[i].fresh) > 0)
			status = write_gone(round, &farewell, &change->losers[i], err);
	if (status == 0)
		status = flush_gone(&farewell, err);
	status = round_close(round, farewell.writer, status, err);
	weir_builder_free(farewell.rows);
	ice_table_unref(farewell.table);
	change->gone = round_files(round, first, &change->gone_count);
	return status;
}

static int write_missing(struct round *round, struct change *change, struct weir_error *err)
{
	struct ice_writer *writer = NULL;
	uint32_t first = round->written_count;
	int status = round_writer(round, round->gold_table, round->gold->spec_id, round->prefix, &writer, err);
	if (status == 0)
		status = add_missing(round, writer, err);
	status = round_close(round, writer, status, err);
	change->missing = round_files(round, first, &change->missing_count);
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

static bool version_has_deletes(const struct ice_table *version)
{
	const struct ice_snapshot *current = ice_metadata_current(ice_table_metadata(version));
	int64_t count = 0;
	bool known = current != NULL && weir_str_to_i64(ice_summary(current, "total-delete-files"), &count);
	return known && count > 0;
}

/* Rows of gold are deleted, and their files not rewritten yet. */
static bool has_deletes(struct jobs *jobs, uint32_t section)
{
	const struct lake *lake = jobs->config.lake;
	bool has = false;
	for (uint32_t t = 0; t < lake->table_count && !has; t++) {
		if (lake->tables[t].kind != LAKE_GOLD || lake->tables[t].consent != section)
			continue;
		struct ice_table *version = ice_registry_table(jobs->config.registry, t);
		has = version_has_deletes(version);
		ice_table_unref(version);
	}
	return has;
}

/* Every file that has deletes is looked at, of whatever subjects. */
static int plan_gold(struct round *round, struct ice_file_list **ret_files, struct weir_error *err)
{
	struct expr_term term = subjects_term(round);
	struct expr_filter subjects = {&term, 1}, all = {NULL, 0};
	bool by_subject = round->subject_count > 0 && !version_has_deletes(round->gold_table);
	return ice_plan(round->gold_table, -1, by_subject ? &subjects : &all, ret_files, err);
}

/* Compares silver with one gold table; what goes and what comes is in round->changes, and written. */
static int plan_table(struct round *round, const struct stream_gold *gold, struct weir_error *err)
{
	struct jobs *jobs = round->jobs;
	const struct lake *lake = jobs->config.lake;
	WEIR_ASSERT(round->change_count < GOLDS_MAX);
	struct change *change = &round->changes[round->change_count++];
	const uint32_t both[] = {lake->tables[gold->table].from, gold->table};
	struct ice_table *versions[2];
	/* Of one moment: a row of an epoch that is in gold's version and not in silver's would be taken for one that goes. */
	ice_registry_tables(jobs->config.registry, both, 2, versions);
	round->gold = gold;
	round->silver = versions[0];
	round->gold_table = change->version = versions[1];
	change->table = gold->table;
	change->history = history_of(lake, gold->table);
	int status = round->subject_count > 0 ? read_silver(round, err) : 0;
	if (status == 0)
		status = evaluate_silver(round, err);
	if (status == 0) {
		index_rows(round);
		status = plan_gold(round, &change->files, err);
	}
	if (status == 0)
		status = find_losers(round, change, err);
	if (status == 0)
		status = write_history(round, change, err);
	if (status == 0 && round->subject_count > 0)
		status = write_missing(round, change, err);
	drop_silver(round);
	ice_table_unref(round->silver);
	return status;
}

/* ---- the two commits ---- */

static struct ice_commit_part part_of(const struct round *round, uint32_t table, const char *prefix)
{
	const struct lake_table *lake_table = &round->jobs->config.lake->tables[table];
	return (struct ice_commit_part){
		.table = table,
		.edit = {.operation = ICE_OP_APPEND,
			.prefix = weir_str_from(prefix),
			.keep_snapshots = lake_table->keep_snapshots > 0 ? lake_table->keep_snapshots : 100,
			.now_ms = weir_now_us(&round->jobs->config.clock) / 1000},
	};
}

/* Rows of history, with whichever commit comes first. */
static void add_history(
	const struct round *round, const struct change *change, struct ice_commit_part *parts, uint32_t *count)
{
	if (change->gone_count == 0)
		return;
	struct ice_commit_part part = part_of(round, change->history, round->delta_prefix);
	part.edit.added = change->gone;
	part.edit.added_count = change->gone_count;
	parts[(*count)++] = part;
}

static void stage_delta(void *context, struct control_change *change)
{
	struct round *round = context;
	consent_stage_tasks_moved(round->consent, change, round->tasks, round->rows_gone, round->task_count);
	ice_stage_prefix_done(change, weir_str_from(round->delta_prefix));
}

/* Whether the rewrite takes so long that the rows go from the newest snapshot before it. */
static bool wants_delta(const struct round *round)
{
	uint64_t limit = round->jobs->config.delta_from_bytes, bytes = 0;
	for (uint32_t i = 0; i < round->change_count; i++)
		for (uint32_t j = 0; j < round->changes[i].loser_count; j++)
			bytes += (uint64_t)round->changes[i].losers[j].file->size_bytes;
	return round->removed > 0 && bytes >= (limit > 0 ? limit : JOBS_DELTA_FROM_BYTES);
}

/* The rows that go are deleted by their positions, and in history: nobody who reads the newest snapshot sees them from here
 * on. Their bytes are still there, and so the tasks stay open. */
static int commit_delta(struct round *round, struct weir_error *err)
{
	struct ice_commit_part parts[2 * GOLDS_MAX];
	uint32_t count = 0;
	int status = 0;
	for (uint32_t i = 0; i < round->change_count && status == 0; i++) {
		struct change *change = &round->changes[i];
		struct ice_commit_part part = part_of(round, change->table, round->delta_prefix);
		status = removal_delta(change->version, change->losers, change->loser_count, part.edit.prefix,
			round->arena, &part.edit, err);
		removal_spend(change->losers, change->loser_count, &part.edit, round->arena, &change->spent,
			&change->spent_count);
		if (part.edit.added_count == 0)
			continue;
		parts[count++] = part;
		add_history(round, change, parts, &count);
	}
	if (status == 0)
		status = ice_commit(round->jobs->config.registry, CONTROL_CONSENT, parts, count, stage_delta, NULL,
			round, NULL, err);
	if (status != 0)
		return status;
	round->delta_done = true;
	memset(round->rows_gone, 0, round->task_count * sizeof *round->rows_gone); /* the tasks have them */
	jobs_count(round->jobs, &(struct jobs_numbers){.rows_removed = round->removed, .deltas = 1});
	return 0;
}

/* Each loser becomes a file of its own again, without the rows that go: so it stays sorted, and spans the time that it spanned. */
static int rewrite_losers(struct round *round, const struct change *change, struct weir_error *err)
{
	int status = 0;
	for (uint32_t i = 0; i < change->loser_count && status == 0; i++) {
		struct ice_writer *writer = NULL;
		const struct removal_file *loser = &change->losers[i];
		status = round_writer(round, change->version, loser->file->spec_id, round->prefix, &writer, err);
		if (status == 0)
			status = removal_rewrite(change->version, loser, writer, err);
		status = round_close(round, writer, status, err);
	}
	return status;
}

/* Replaces the losers and adds what is missing; the deletes go with the files that they are of. */
static int finish_table(struct round *round, struct change *change, struct ice_commit_part *parts, uint32_t *count,
	struct weir_error *err)
{
	struct ice_commit_part part = part_of(round, change->table, round->prefix);
	uint32_t first = round->written_count, rewritten_count;
	int status = rewrite_losers(round, change, err);
	if (status != 0)
		return status;
	if (!round->delta_done)
		removal_spend(
			change->losers, change->loser_count, NULL, round->arena, &change->spent, &change->spent_count);
	struct ice_data_file *rewritten = round_files(round, first, &rewritten_count);
	struct ice_data_file *added =
		weir_arena_calloc(round->arena, change->missing_count + rewritten_count, sizeof *added);
	struct weir_str *removed = weir_arena_calloc(round->arena, change->loser_count, sizeof *removed);
	for (uint32_t i = 0; i < change->missing_count + rewritten_count; i++)
		added[i] = i < rewritten_count ? rewritten[i] : change->missing[i - rewritten_count];
	for (uint32_t i = 0; i < change->loser_count; i++)
		removed[i] = change->losers[i].file->path;
	part.edit.operation = change->loser_count > 0 ? ICE_OP_OVERWRITE : ICE_OP_APPEND;
	part.edit.added = added;
	part.edit.added_count = change->missing_count + rewritten_count;
	part.edit.removed = removed;
	part.edit.removed_count = change->loser_count;
	part.edit.removed_deletes = change->spent;
	part.edit.removed_delete_count = change->spent_count;
	part.edit.erase = change->loser_count > 0;
	if (part.edit.added_count > 0 || part.edit.removed_count > 0)
		parts[(*count)++] = part;
	if (!round->delta_done)
		add_history(round, change, parts, count);
	return 0;
}

/* What the same transaction does besides moving the tables. */
static void stage(void *context, struct control_change *change)
{
	struct round *round = context;
	for (uint32_t i = 0; i < round->task_count; i++)
		round->rows_come[i] += round->rows_gone[i];
	memset(round->rows_gone, 0, round->task_count * sizeof *round->rows_gone); /* a second attempt adds nothing */
	consent_stage_tasks_done(round->consent, change, round->tasks, round->rows_come, round->task_count);
	ice_stage_prefix_done(change, weir_str_from(round->prefix));
	if (!round->delta_done)
		ice_stage_prefix_done(change, weir_str_from(round->delta_prefix));
}

static int commit_rewrite(struct round *round, struct weir_error *err)
{
	struct ice_commit_part parts[2 * GOLDS_MAX];
	uint32_t count = 0;
	int status = 0;
	for (uint32_t i = 0; i < round->change_count && status == 0; i++)
		status = finish_table(round, &round->changes[i], parts, &count, err);
	return status != 0 ? status
			   : ice_commit(round->jobs->config.registry, CONTROL_CONSENT, parts, count, stage, NULL, round,
				     NULL, err);
}

/* ---- rounds ---- */

static void account(struct round *round)
{
	struct jobs *jobs = round->jobs;
	struct jobs_numbers more = {.tasks_done = round->task_count,
		.rows_removed = round->delta_done ? 0 : round->removed,
		.resumed = round->resumes,
		.rows_added = round->added};
	int64_t now_us = weir_now_us(&jobs->config.clock);
	for (uint32_t i = 0; i < round->task_count && round->rewrites; i++)
		if (round->tasks[i].removes && now_us - round->tasks[i].created_us > more.removal_us_last)
			more.removal_us_last = now_us - round->tasks[i].created_us;
	jobs_count(jobs, &more);
}

/* Both prefixes in one transaction. */
static int reserve(struct round *round, struct weir_error *err)
{
	struct jobs *jobs = round->jobs;
	int64_t now_us = weir_now_us(&jobs->config.clock);
	struct control_result result;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	ice_stage_prefix_new(change, now_us, round->prefix);
	ice_stage_prefix_new(change, now_us, round->delta_prefix);
	int status = control_commit(jobs->config.control, change, &result, err);
	control_change_free(change);
	return status;
}

static void drop_changes(struct round *round)
{
	for (uint32_t i = 0; i < round->change_count; i++) {
		struct change *change = &round->changes[i];
		for (uint32_t j = 0; j < change->loser_count; j++)
			ice_positions_free(change->losers[j].fresh);
		ice_file_list_free(change->files);
		ice_table_unref(change->version);
	}
	for (uint32_t i = 0; i < round->written_count; i++)
		jobs_written_free(round->jobs, round->written[i]);
	free(round->written);
}

static int run_round(struct round *round, struct weir_error *err)
{
	struct jobs *jobs = round->jobs;
	const struct lake *lake = jobs->config.lake;
	int status = reserve(round, err);
	for (uint32_t t = 0; t < lake->table_count && status == 0; t++)
		if (lake->tables[t].kind == LAKE_GOLD && lake->tables[t].consent == round->section)
			status = plan_table(round, &jobs->golds[t], err);
	if (status == 0 && wants_delta(round))
		status = commit_delta(round, err);
	if (status == 0)
		status = commit_rewrite(round, err);
	drop_changes(round);
	if (status != 0) {
		jobs_give_up(jobs, round->prefix);
		if (!round->delta_done)
			jobs_give_up(jobs, round->delta_prefix);
		return status;
	}
	consent_tasks_finished(round->consent, round->tasks, round->task_count);
	if (round->rewrites) { /* no byte of what went may stay: no grace */
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
		round->rules = consent_rules_newest(consent);
		int status = take_tasks(round, err);
		bool any = round->task_count > 0 || has_deletes(jobs, section);
		if (status == 0 && any) {
			status = run_round(round, err);
			*ret_did = *ret_did || (status == 0 && (round->task_count > 0 || round->rewrites));
		}
		consent_rules_unref(round->rules);
		weir_arena_free(round->arena);
		free(round);
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
		if (consent_tasks_open_count(jobs->config.consents[i]) > 0 || has_deletes(jobs, i))
			status = reindex_section(jobs, i, ret_did, err);
	return status;
}
