/*
 * G1, row by row: each row of gold is permitted by the rules of the same moment, and each row of silver that is
 * permitted is in gold exactly once a purpose; pairs of subject and purpose with an open task are excused. The plain
 * evaluator decides.
 *
 * Silver and gold are read in the order of subjects and compared in groups: silver rows of whole subjects, up to
 * config.group_rows and the rest of the last subject, and then the gold rows of the same subjects. Memory: one group,
 * about 100 bytes a row; a subject with more rows makes a larger one. Where a table does not lie in that order, the
 * group is one part of all subjects by their hash, and both tables are read once for each part.
 */
#include <stdlib.h>

#include "column/text.h"
#include "jobs/check_int.h"

/* A silver row of the group. */
struct group_row {
	struct check_key subject;
	struct weir_str trace;
	uint64_t wanted, present; /* purposes */
};

struct columns {
	uint32_t subject, trace, id, purpose, lsn;
};

/* Rows of one table, one after the other. */
struct rows {
	const struct check_table *table;
	const struct weir_schema *projection;
	struct ice_sorted_options options;
	struct columns columns;
	struct ice_sorted *sorted;
	struct ice_reader *reader; /* where rows do not lie in the order of subjects */
	struct weir_batch *batch;
	uint32_t row;
};

struct compare {
	struct check *check;
	const struct lake_table *gold_table;
	const struct consent_vocabulary *vocabulary;
	const struct consent_rules *rules;
	struct rows silver, gold;
	bool by_subject, key_is_subject;
	uint64_t parts, part; /* not by subject: hashes that are part of parts belong to the group */
	/* the group */
	struct weir_arena *arena;
	struct check_set traces; /* -> index in rows + 1 */
	struct check_set ids;
	struct group_row *rows;
	uint64_t row_count, row_capacity;
	struct weir_str upper; /* the last subject */
	uint64_t silver_rows, gold_rows, excused, permitted;
};

static struct weir_str cell(const struct rows *rows, uint32_t column)
{
	const struct weir_column *values = &rows->batch->columns[column];
	return weir_column_is_valid(values, rows->row) ? weir_column_str(values, rows->row) : WEIR_STR("");
}

/* ---- rows ---- */

static int rows_open(struct rows *rows, bool by_subject, struct weir_error *err)
{
	const struct ice_file_list *files = rows->table->files;
	rows->row = 0;
	rows->options = (struct ice_sorted_options){.projection = rows->projection};
	rows->options.order = (struct weir_order){.columns = {rows->columns.subject}, .count = 1};
	if (by_subject)
		return ice_sorted_open(
			rows->table->table, files->files, files->count, &rows->options, &rows->sorted, err);
	return ice_reader_open(
		rows->table->table, files->files, files->count, rows->projection, NULL, &rows->reader, err);
}

static void rows_close(struct rows *rows)
{
	weir_batch_release(rows->batch);
	ice_sorted_close(rows->sorted);
	ice_reader_close(rows->reader);
	rows->batch = NULL;
	rows->sorted = NULL;
	rows->reader = NULL;
}

/* Makes the current row one that there is; batch NULL at the end. */
static int rows_here(struct rows *rows, struct weir_error *err)
{
	while (rows->batch == NULL || rows->row == rows->batch->row_count) {
		weir_batch_release(rows->batch);
		rows->batch = NULL;
		rows->row = 0;
		int status = rows->sorted != NULL ? ice_sorted_next(rows->sorted, WEIR_BATCH_ROWS, &rows->batch, err)
						  : ice_reader_next(rows->reader, &rows->batch, NULL, NULL, err);
		if (status != 0) {
			rows->batch = NULL;
			return status;
		}
		if (rows->batch == NULL)
			return 0;
	}
	return 0;
}

/* ---- breaks ---- */

/* The file that holds a row, for the one break that is named; size 0 where it is not found. */
static struct weir_str file_of(
	struct compare *compare, const struct rows *rows, struct weir_str trace, struct weir_str purpose)
{
	const struct weir_schema *projection = rows->projection;
	struct weir_error ignored = WEIR_ERROR_INIT;
	struct ice_reader *reader;
	struct weir_batch *batch;
	struct weir_str found = WEIR_STR("");
	for (uint32_t i = 0; i < rows->table->files->count && found.size == 0; i++) {
		const struct ice_data_file *file = rows->table->files->files[i];
		if (ice_reader_open(rows->table->table, &file, 1, projection, NULL, &reader, &ignored) != 0)
			break;
		while (found.size == 0 && ice_reader_next(reader, &batch, NULL, NULL, &ignored) == 0 && batch != NULL) {
			struct rows at = {.batch = batch};
			for (at.row = 0; at.row < batch->row_count && found.size == 0; at.row++)
				if (weir_str_equal(cell(&at, rows->columns.trace), trace) &&
					(purpose.size == 0 ||
						weir_str_equal(cell(&at, rows->columns.purpose), purpose)) &&
					store_name_of(compare->check->store, compare->check->arena, file->path, &found,
						&ignored) != 0)
					found = WEIR_STR("");
			weir_batch_release(batch);
		}
		ice_reader_close(reader);
	}
	return found;
}

static int row_break(struct compare *compare, const char *guarantee, const struct rows *rows, struct weir_str trace,
	struct weir_str purpose, const char *what, const char *expected, const char *found, struct weir_error *err)
{
	return check_break(compare->check,
		&(struct check_break){
			.check = "consent",
			.guarantee = guarantee,
			.table = rows->table->what,
			.file = file_of(compare, rows, trace, rows == &compare->gold ? purpose : WEIR_STR("")),
			.trace_id = trace,
			.purpose = purpose,
			.what = what,
			.expected = expected,
			.found = found,
		},
		err);
}

static bool excused(struct compare *compare, struct check_key subject, struct weir_str purpose)
{
	if (check_set_get(&compare->check->tasks, check_key_add(subject, purpose)) == 0)
		return false;
	compare->excused++;
	return true;
}

/* ---- silver ---- */

/* Ids of one key are unique; told apart here where the key is the subject. */
static int check_id(struct compare *compare, struct check_key subject, struct weir_error *err)
{
	const struct rows *silver = &compare->silver;
	char text[WEIR_VALUE_TEXT];
	if (!compare->key_is_subject || silver->columns.id == WEIR_NO_FIELD ||
		!weir_column_is_valid(&silver->batch->columns[silver->columns.id], silver->row))
		return 0;
	struct weir_str id = weir_column_text(&silver->projection->fields[silver->columns.id],
		&silver->batch->columns[silver->columns.id], silver->row, text);
	uint64_t *known = check_set_put(&compare->ids, check_key_add(subject, id));
	if (*known == 0) {
		*known = 1;
		return 0;
	}
	return row_break(compare, "E2", silver, cell(silver, silver->columns.trace), WEIR_STR(""),
		"an event id is in silver more than once", "one row for each event id of a key",
		"another row with this row's id", err);
}

static int add_silver(struct compare *compare, struct weir_error *err)
{
	const struct rows *silver = &compare->silver;
	struct check_key subject = check_key_add(compare->check->seed, cell(silver, silver->columns.subject));
	struct weir_str trace = weir_arena_str(compare->arena, cell(silver, silver->columns.trace));
	uint64_t *place = check_set_put(&compare->traces, check_key_add(compare->check->seed, trace));
	if (*place != 0)
		return row_break(compare, "E2", silver, trace, WEIR_STR(""), "a trace id is in silver more than once",
			"one row for each event", "another row with this trace id", err);
	WEIR_GROW(compare->rows, compare->row_count, compare->row_capacity);
	struct group_row *row = &compare->rows[compare->row_count++];
	*row = (struct group_row){.subject = subject, .trace = trace};
	*place = compare->row_count;
	compare->silver_rows++;
	int status = consent_evaluate_plain(compare->rules, silver->batch, silver->row, &row->wanted, err);
	if (status == 0)
		compare->permitted += (uint64_t)__builtin_popcountll(row->wanted);
	return status == 0 ? check_id(compare, subject, err) : status;
}

static bool in_part(const struct compare *compare, const struct rows *rows)
{
	if (compare->by_subject)
		return true;
	struct check_key key = check_key_add(compare->check->seed, cell(rows, rows->columns.subject));
	return key.b % compare->parts == compare->part;
}

/* Whole subjects; *ret_last: silver ends with them. */
static int load_silver(struct compare *compare, bool *ret_last, struct weir_error *err)
{
	struct rows *silver = &compare->silver;
	int status;
	while ((status = rows_here(silver, err)) == 0 && silver->batch != NULL) {
		struct weir_str subject = cell(silver, silver->columns.subject);
		if (compare->by_subject && (compare->row_count == 0 || !weir_str_equal(subject, compare->upper))) {
			if (compare->row_count >= compare->check->group_rows)
				break;
			compare->upper = weir_arena_str(compare->arena, subject);
		}
		status = in_part(compare, silver) ? add_silver(compare, err) : 0;
		if (status != 0)
			return status;
		silver->row++;
	}
	*ret_last = silver->batch == NULL;
	return status;
}

/* ---- gold ---- */

static int purpose_bit(const struct consent_vocabulary *vocabulary, struct weir_str purpose)
{
	for (uint32_t i = 0; i < vocabulary->purpose_count; i++)
		if (weir_str_equal(vocabulary->purposes[i], purpose))
			return (int)i;
	return -1;
}

static int judge_gold(struct compare *compare, struct weir_error *err)
{
	const struct rows *gold = &compare->gold;
	struct weir_str trace = cell(gold, gold->columns.trace), purpose = cell(gold, gold->columns.purpose);
	struct check_key subject = check_key_add(compare->check->seed, cell(gold, gold->columns.subject));
	uint64_t place = check_set_get(&compare->traces, check_key_add(compare->check->seed, trace));
	struct group_row *row = place != 0 ? &compare->rows[place - 1] : NULL;
	int bit = purpose_bit(compare->vocabulary, purpose);
	int64_t lsn = weir_column_i64(&gold->batch->columns[gold->columns.lsn], gold->row);
	compare->gold_rows++;
	if (lsn < 0 || (uint64_t)lsn > compare->check->head)
		return row_break(compare, "G1", gold, trace, purpose,
			"a row was evaluated at a number that the consent log has not",
			weir_arena_printf(
				compare->check->arena, "consent_lsn <= %llu", (unsigned long long)compare->check->head),
			weir_arena_printf(compare->check->arena, "%lld", (long long)lsn), err);
	if (row != NULL && bit >= 0 && (row->wanted >> bit & 1) != 0 && (row->present >> bit & 1) == 0 &&
		row->subject.a == subject.a && row->subject.b == subject.b) {
		row->present |= 1ULL << bit;
		return 0;
	}
	if (excused(compare, subject, purpose))
		return 0;
	if (row == NULL)
		return row_break(compare, "G1", gold, trace, purpose, "a row of gold is not in silver",
			"the event's row in silver, of the same subject", "none", err);
	if (row->subject.a != subject.a || row->subject.b != subject.b)
		return row_break(compare, "G1", gold, trace, purpose,
			"a row of gold has another subject than in silver", "silver's subject", "another", err);
	if (bit < 0 || (row->wanted >> bit & 1) == 0)
		return row_break(compare, "G1", gold, trace, purpose, "a row of gold is not permitted", "permitted",
			"denied by the rules, and no open task for it", err);
	return row_break(compare, "G1", gold, trace, purpose, "a row is in gold more than once",
		"once for each purpose", "another row with this trace id and purpose", err);
}

/* Rows of the group's subjects; all that is left where the group is silver's last. */
static int load_gold(struct compare *compare, bool last, struct weir_error *err)
{
	struct rows *gold = &compare->gold;
	int status;
	while ((status = rows_here(gold, err)) == 0 && gold->batch != NULL) {
		if (compare->by_subject && !last &&
			weir_str_compare(cell(gold, gold->columns.subject), compare->upper) > 0)
			return 0;
		status = in_part(compare, gold) ? judge_gold(compare, err) : 0;
		if (status != 0)
			return status;
		gold->row++;
	}
	return status;
}

static int find_absent(struct compare *compare, struct weir_error *err)
{
	for (uint64_t i = 0; i < compare->row_count; i++) {
		const struct group_row *row = &compare->rows[i];
		uint64_t absent = row->wanted & ~row->present;
		for (uint32_t p = 0; p < compare->vocabulary->purpose_count; p++)
			if ((absent >> p & 1) != 0 && !excused(compare, row->subject, compare->vocabulary->purposes[p]))
				return row_break(compare, "G1", &compare->silver, row->trace,
					compare->vocabulary->purposes[p], "a permitted row is not in gold",
					weir_arena_printf(
						compare->check->arena, "one row in %s", compare->gold.table->what),
					"none, and no open task for it", err);
	}
	return 0;
}

static int check_group(struct compare *compare, bool *ret_last, struct weir_error *err)
{
	compare->arena = weir_arena_new(0);
	compare->row_count = 0;
	compare->upper = WEIR_STR("");
	check_set_clear(&compare->traces);
	check_set_clear(&compare->ids);
	int status = load_silver(compare, ret_last, err);
	if (status == 0)
		status = load_gold(compare, *ret_last, err);
	if (status == 0)
		status = find_absent(compare, err);
	weir_arena_free(compare->arena);
	return status;
}

/* ---- one gold table ---- */

static int find_columns(
	struct rows *rows, bool is_gold, struct weir_str subject, struct weir_str id, struct weir_error *err)
{
	rows->columns = (struct columns){
		.subject = weir_schema_find(rows->projection, subject),
		.trace = weir_schema_find(rows->projection, WEIR_STR("trace_id")),
		.id = weir_schema_find(rows->projection, id),
		.purpose = is_gold ? weir_schema_find(rows->projection, WEIR_STR("purpose")) : 0,
		.lsn = is_gold ? weir_schema_find(rows->projection, WEIR_STR("consent_lsn")) : 0,
	};
	if (rows->columns.subject == WEIR_NO_FIELD || rows->columns.trace == WEIR_NO_FIELD ||
		rows->columns.purpose == WEIR_NO_FIELD || rows->columns.lsn == WEIR_NO_FIELD)
		return weir_fail_at(err, WEIR_E_CORRUPT, weir_str_from(rows->table->what), WEIR_ERROR_NO_OFFSET,
			"the table lacks a column that consent needs: the subject, trace_id, purpose or consent_lsn");
	return 0;
}

/* What the rules test, and by what rows are told apart. */
static const struct weir_schema *silver_projection(struct compare *compare, struct weir_str id)
{
	const struct consent_vocabulary *vocabulary = compare->vocabulary;
	struct weir_arena *arena = compare->check->arena;
	uint32_t capacity = 3, count = 0;
	for (uint32_t d = 0; d < vocabulary->dimension_count; d++)
		capacity += 4 + vocabulary->dimensions[d].column_count;
	struct weir_str *names = weir_arena_calloc(arena, capacity, sizeof *names);
	names[count++] = vocabulary->subject;
	names[count++] = WEIR_STR("trace_id");
	names[count++] = id;
	for (uint32_t d = 0; d < vocabulary->dimension_count; d++) {
		const struct consent_dimension *dimension = &vocabulary->dimensions[d];
		names[count++] = dimension->column;
		names[count++] = dimension->until;
		names[count++] = dimension->until_start;
		names[count++] = dimension->map;
		for (uint32_t c = 0; c < dimension->column_count; c++)
			names[count++] = dimension->columns[c];
	}
	return check_projection(arena, ice_table_schema(compare->silver.table->table), names, count);
}

static bool lies_by_subject(const struct compare *compare, const struct check_table *table)
{
	const struct lake_table *lake_table = &compare->check->config->lake->tables[table->lake_table];
	return lake_table->sort_count > 0 && weir_str_equal(lake_table->sort[0], compare->vocabulary->subject) &&
		!table->unsorted_subjects;
}

static int prepare(struct compare *compare, uint32_t gold, struct weir_error *err)
{
	struct check *check = compare->check;
	const struct lake *lake = check->config->lake;
	const struct lake_stream *stream = &lake->streams[lake->tables[gold].stream];
	compare->gold_table = &lake->tables[gold];
	compare->vocabulary = consent_vocabulary_of(check->config->consents[compare->gold_table->consent]);
	compare->rules = check->rules[compare->gold_table->consent];
	compare->silver.table = check_table_of(check, compare->gold_table->from);
	compare->gold.table = check_table_of(check, gold);
	struct weir_str gold_names[] = {
		compare->vocabulary->subject, WEIR_STR("trace_id"), WEIR_STR("purpose"), WEIR_STR("consent_lsn")};
	compare->silver.projection = silver_projection(compare, stream->id);
	compare->gold.projection = check_projection(check->arena, ice_table_schema(compare->gold.table->table),
		gold_names, sizeof gold_names / sizeof gold_names[0]);
	compare->key_is_subject = weir_str_equal(stream->key, compare->vocabulary->subject);
	compare->by_subject =
		lies_by_subject(compare, compare->silver.table) && lies_by_subject(compare, compare->gold.table);
	compare->parts = compare->by_subject ? 1 : compare->silver.table->rows / check->group_rows + 1;
	int status = find_columns(&compare->silver, false, compare->vocabulary->subject, stream->id, err);
	return status == 0 ? find_columns(&compare->gold, true, compare->vocabulary->subject, stream->id, err) : status;
}

static int compare_table(struct compare *compare, struct weir_error *err)
{
	int status = 0;
	for (compare->part = 0; compare->part < compare->parts && status == 0; compare->part++) {
		bool last = false;
		status = rows_open(&compare->silver, compare->by_subject, err);
		if (status == 0)
			status = rows_open(&compare->gold, compare->by_subject, err);
		while (status == 0 && !last)
			status = check_group(compare, &last, err);
		rows_close(&compare->silver);
		rows_close(&compare->gold);
	}
	return status;
}

static void tell(struct compare *compare)
{
	struct weir_json *json = check_proved(compare->check, "consent", "G1",
		"each row of gold is permitted, and each permitted row of silver is in gold exactly once a purpose");
	weir_json_key_cstring(json, "table", compare->gold.table->what);
	weir_json_key_uint(json, "consent_lsn", compare->check->head);
	weir_json_key_uint(json, "silver_rows", compare->silver_rows);
	weir_json_key_uint(json, "gold_rows", compare->gold_rows);
	weir_json_key_uint(json, "permitted", compare->permitted);
	weir_json_key_uint(json, "excused_by_tasks", compare->excused);
	weir_json_key_bool(json, "event_ids_unique", compare->key_is_subject);
	weir_json_object_end(json);
}

int check_consent(struct check *check, struct weir_error *err)
{
	const struct lake *lake = check->config->lake;
	int status = 0;
	for (uint32_t t = 0; t < lake->table_count && status == 0; t++) {
		if (lake->tables[t].kind != LAKE_GOLD)
			continue;
		struct compare *compare = weir_zalloc(sizeof *compare);
		compare->check = check;
		status = prepare(compare, t, err);
		if (status == 0)
			status = compare_table(compare, err);
		if (status == 0)
			tell(compare);
		check_set_done(&compare->traces);
		check_set_done(&compare->ids);
		free(compare->rows);
		free(compare);
	}
	return status;
}
