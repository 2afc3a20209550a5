/*
 * Rewriting data files (upkeep.h). A plan of the whole table is cut into groups of one partition and about commit_bytes;
 * each group is read through ice_reader, so that deletes, defaults and older layouts are dealt with there, and written by one
 * ice_writer. Files that are fine as they are stay.
 */
#include <stdio.h>
#include <stdlib.h>

#include "column/order.h"
#include "iceberg/internal.h"
#include "iceberg/upkeep.h"

#define TARGET_BYTES (128ULL << 20)
#define COMMIT_BYTES (1ULL << 30)
#define GENTLE_FILES 5  /* small ones that are worth joining, delete files that are worth applying */
#define GENTLE_SHARE 10 /* a tenth of a file's rows is worth being left out */

/* A delete file of the plan: to how many data files it applies that are not rewritten yet. */
struct use {
	const struct ice_data_file *delete;
	uint32_t left;
};

struct compaction {
	struct ice_table *table; /* the newest version; files of the plan are live in it */
	struct ice_compact_options options;
	ice_commit_edit_fn *commit;
	ice_compact_progress_fn *progress;
	void *context;
	struct ice_compact_counts counts;
	int64_t sequence_number;          /* of what was planned */
	const struct weir_schema *schema; /* of what is read and written: the newest version's */
	struct use *uses;                 /* in order of their addresses */
	uint32_t use_count;
	struct weir_arena *arena;
};

/* ---- choosing ---- */

static int by_partition(const void *a, const void *b)
{
	const struct ice_data_file *left = *(const struct ice_data_file *const *)a;
	const struct ice_data_file *right = *(const struct ice_data_file *const *)b;
	if (left->spec_id != right->spec_id)
		return left->spec_id < right->spec_id ? -1 : 1;
	for (uint32_t i = 0; i < left->partition_count && i < right->partition_count; i++) {
		const struct ice_partition_value *x = &left->partition[i], *y = &right->partition[i];
		int order = 0;
		if (x->is_null || y->is_null)
			order = (int)y->is_null - (int)x->is_null;
		else if (!ice_partition_value_equal(x, y) &&
			(!expr_compare(&x->value, &y->value, &order) || order == 0))
			order = memcmp(&x->value.u.number, &y->value.u.number, sizeof(double)) < 0 ? -1 : 1; /* NaN */
		if (order != 0)
			return order;
	}
	return 0;
}

static bool has_many_deletes(const struct ice_data_file *file)
{
	int64_t rows = 0;
	for (uint32_t i = 0; i < file->delete_count; i++)
		if (weir_str_equal(file->deletes[i]->referenced_data_file, file->path))
			rows += file->deletes[i]->record_count;
	return file->delete_count >= GENTLE_FILES || (rows > 0 && rows >= file->record_count / GENTLE_SHARE);
}

/* Wants a rewrite of its own accord. */
static bool is_due(const struct compaction *compaction, const struct ice_data_file *file)
{
	if (compaction->options.is_gentle)
		return compaction->options.all || has_many_deletes(file);
	return compaction->options.all || file->delete_count > 0 ||
		file->spec_id != compaction->table->metadata->default_spec_id;
}

/* Below three quarters of the target: worth joining with others. */
static bool is_small(const struct compaction *compaction, const struct ice_data_file *file)
{
	return (uint64_t)file->size_bytes < compaction->options.target_bytes / 4 * 3;
}

static int by_size(const void *a, const void *b)
{
	const struct ice_data_file *left = *(const struct ice_data_file *const *)a;
	const struct ice_data_file *right = *(const struct ice_data_file *const *)b;
	return left->size_bytes < right->size_bytes ? -1 : left->size_bytes > right->size_bytes;
}

/* As choose, gently: the files by size, the small ones up to where one is twice as large as all before it. */
static uint32_t choose_gently(const struct compaction *compaction, const struct ice_data_file **files, uint32_t count)
{
	uint32_t first = 0, end = 0, kept = 0;
	uint64_t bytes = 0;
	qsort(files, count, sizeof *files, by_size);
	for (; end < count && is_small(compaction, files[end]); end++) {
		if (end > first && (uint64_t)files[end]->size_bytes / 2 > bytes) {
			if (end - first >= GENTLE_FILES)
				break;
			first = end; /* too few, or too small, for this one */
			bytes = 0;
		}
		bytes += (uint64_t)files[end]->size_bytes;
	}
	uint32_t joined = end - first >= GENTLE_FILES ? end : 0;
	for (uint32_t i = 0; i < count; i++)
		if (i < joined || is_due(compaction, files[i]))
			files[kept++] = files[i];
	return kept;
}

/* Keeps of one partition's files [0, count) those to be rewritten; small ones only where there are two, or one joins a due. */
static uint32_t choose(const struct compaction *compaction, const struct ice_data_file **files, uint32_t count)
{
	uint32_t small = 0, due = 0, kept = 0;
	if (compaction->options.is_gentle)
		return choose_gently(compaction, files, count);
	for (uint32_t i = 0; i < count; i++) {
		due += is_due(compaction, files[i]);
		small += is_small(compaction, files[i]);
	}
	bool join = small > 1 || (small == 1 && due > 0);
	for (uint32_t i = 0; i < count; i++)
		if (is_due(compaction, files[i]) || (join && is_small(compaction, files[i])))
			files[kept++] = files[i];
	return kept;
}

/* ---- ordering rows ---- */

/* A cell as 64 bits whose order is the value's: nulls are 0. Text by its first eight bytes. */
static uint64_t order_bits(const struct weir_column *column, uint32_t row)
{
	if (!weir_column_is_valid(column, row))
		return 0;
	struct expr_value value = expr_value_of(column, row);
	uint64_t bits = 0;
	switch (value.kind) {
	case EXPR_INTEGER:
		return (uint64_t)value.u.integer ^ 1ULL << 63;
	case EXPR_NUMBER:
		memcpy(&bits, &value.u.number, sizeof bits);
		return (bits >> 63) != 0 ? ~bits : bits | 1ULL << 63;
	case EXPR_BOOLEAN:
		return 1ULL + value.u.boolean;
	case EXPR_UUID:
		for (unsigned i = 0; i < 8; i++)
			bits = bits << 8 | value.u.uuid.bytes[i];
		return bits;
	case EXPR_TEXT:
		for (size_t i = 0; i < 8; i++)
			bits = bits << 8 | (i < value.u.text.size ? (uint8_t)value.u.text.data[i] : 0U);
		return bits;
	}
	return 0;
}

struct z_row {
	uint64_t key[ICE_COMPACT_COLUMNS]; /* bits of all columns in turn, the highest first */
	struct weir_pick pick;
};

static int by_key(const void *a, const void *b)
{
	const struct z_row *left = a, *right = b;
	for (unsigned i = 0; i < ICE_COMPACT_COLUMNS; i++)
		if (left->key[i] != right->key[i])
			return left->key[i] < right->key[i] ? -1 : 1;
	return 0;
}

/*
 * How far a column's values of these rows agree in their highest bits: those say nothing, and a column of small numbers
 * would otherwise never count beside one of large.
 */
static unsigned common_bits(struct weir_batch *const *batches, uint32_t count, uint32_t column)
{
	uint64_t first = 0, differs = 0;
	bool any = false;
	for (uint32_t b = 0; b < count; b++)
		for (uint32_t i = 0; i < batches[b]->row_count; i++) {
			if (!weir_column_is_valid(&batches[b]->columns[column], i))
				continue;
			uint64_t bits = order_bits(&batches[b]->columns[column], i);
			first = any ? first : bits;
			any = true;
			differs |= bits ^ first;
		}
	return differs == 0 ? 63 : (unsigned)__builtin_clzll(differs);
}

static void interleave(const uint64_t *bits, uint32_t columns, uint64_t *key)
{
	uint32_t at = 0;
	for (int bit = 63; bit >= 0; bit--)
		for (uint32_t c = 0; c < columns; c++, at++)
			key[at / 64] |= (bits[c] >> bit & 1) << (63 - at % 64);
}

/* ice_order_fn */
static struct weir_pick *z_order(void *context, struct weir_batch *const *batches, uint32_t count, uint64_t *ret_rows)
{
	const struct compaction *compaction = context;
	uint32_t columns[ICE_COMPACT_COLUMNS];
	unsigned shift[ICE_COMPACT_COLUMNS];
	uint64_t rows = 0, at = 0, bits[ICE_COMPACT_COLUMNS];
	for (uint32_t c = 0; c < compaction->options.column_count; c++) {
		columns[c] = weir_schema_find_id(compaction->schema, compaction->options.columns[c]);
		shift[c] = common_bits(batches, count, columns[c]);
	}
	for (uint32_t b = 0; b < count; b++)
		rows += batches[b]->row_count;
	struct z_row *order = weir_realloc(NULL, rows + 1, sizeof *order);
	for (uint32_t b = 0; b < count; b++)
		for (uint32_t i = 0; i < batches[b]->row_count; i++) {
			order[at] = (struct z_row){.pick = {b, i}};
			for (uint32_t c = 0; c < compaction->options.column_count; c++)
				bits[c] = order_bits(&batches[b]->columns[columns[c]], i) << shift[c];
			interleave(bits, compaction->options.column_count, order[at++].key);
		}
	qsort(order, rows, sizeof *order, by_key);
	struct weir_pick *picks = weir_realloc(NULL, rows + 1, sizeof *picks);
	for (uint64_t i = 0; i < rows; i++)
		picks[i] = order[i].pick;
	free(order);
	*ret_rows = rows;
	return picks;
}

/* ice_order_fn */
static struct weir_pick *sort_order(
	void *context, struct weir_batch *const *batches, uint32_t count, uint64_t *ret_rows)
{
	const struct compaction *compaction = context;
	struct weir_order order = {.count = compaction->options.column_count};
	for (uint32_t c = 0; c < order.count; c++)
		order.columns[c] = weir_schema_find_id(compaction->schema, compaction->options.columns[c]);
	return weir_batches_order(batches, count, &order, ret_rows);
}

/* ---- rewriting ---- */

/* A commit gives a version that others may have changed the schema of, and may be the last that held the one before. */
static void set_schema(struct compaction *compaction)
{
	compaction->schema = ice_table_schema(compaction->table);
	if (compaction->table->metadata->format_version > 2)
		compaction->schema = ice_lineage_schema(compaction->arena, compaction->schema);
}

static int rewrite(struct compaction *compaction, const struct ice_data_file *const *files, uint32_t count,
	struct ice_written *ret_written, struct weir_error *err)
{
	bool lineage = compaction->table->metadata->format_version > 2;
	struct ice_write_options options = {.spec_id = compaction->table->metadata->default_spec_id,
		.prefix = weir_str_from(weir_arena_printf(compaction->arena, "%.*s-%u",
			WEIR_STR_ARG(compaction->options.prefix), compaction->counts.commits)),
		.target_bytes = compaction->options.target_bytes,
		.lineage = lineage,
		.sort_bytes = compaction->options.memory_bytes};
	struct ice_writer *writer = NULL;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	int code = ice_write_properties(compaction->table->metadata, &options, err);
	if (code == 0)
		code = ice_writer_open(compaction->table, &options, &writer, err);
	if (code == 0 && compaction->options.order != ICE_COMPACT_OWN)
		ice_writer_order(
			writer, compaction->options.order == ICE_COMPACT_SORT ? sort_order : z_order, compaction);
	if (code == 0)
		code = ice_reader_open(compaction->table, files, count, compaction->schema, NULL, &reader, err);
	while (code == 0 && (code = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		compaction->counts.rows += batch->row_count;
		code = ice_writer_take(writer, batch, err);
		if (code == 0 && compaction->options.stop != NULL && atomic_load(compaction->options.stop))
			code = weir_fail(err, WEIR_E_CANCELLED, "the compaction was stopped");
	}
	ice_reader_close(reader);
	if (code == 0)
		return ice_writer_close(writer, ret_written, err);
	ice_writer_abandon(writer);
	return code;
}

static int by_address(const void *a, const void *b)
{
	const struct ice_data_file *left = ((const struct use *)a)->delete, *right = ((const struct use *)b)->delete;
	return left < right ? -1 : left > right;
}

/* Counts for each delete file of the plan the data files that it applies to. */
static void count_uses(struct compaction *compaction, const struct ice_file_list *list)
{
	uint32_t count = 0, kept = 0;
	for (uint32_t i = 0; i < list->count; i++)
		count += list->files[i]->delete_count;
	if (count == 0)
		return;
	struct use *uses = weir_arena_calloc(compaction->arena, count, sizeof *uses);
	count = 0;
	for (uint32_t i = 0; i < list->count; i++)
		for (uint32_t j = 0; j < list->files[i]->delete_count; j++)
			uses[count++] = (struct use){list->files[i]->deletes[j], 1};
	qsort(uses, count, sizeof *uses, by_address);
	for (uint32_t i = 1; i < count; i++)
		if (uses[i].delete == uses[kept].delete)
			uses[kept].left++;
		else
			uses[++kept] = uses[i];
	compaction->uses = uses;
	compaction->use_count = kept + 1;
}

/*
 * Delete files that apply to none but these files and those that were rewritten before go with them: the new files are not
 * older than what was planned, so that no equality delete of the plan applies to them, and position deletes name the old ones.
 */
static uint32_t spent_deletes(struct compaction *compaction, const struct ice_data_file *const *files, uint32_t count,
	struct ice_data_file **ret_spent)
{
	uint32_t most = 0, spent = 0;
	for (uint32_t i = 0; i < count; i++)
		most += files[i]->delete_count;
	*ret_spent = weir_zalloc((most + 1) * sizeof **ret_spent);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < files[i]->delete_count; j++) {
			const struct use key = {files[i]->deletes[j], 0};
			struct use *use =
				bsearch(&key, compaction->uses, compaction->use_count, sizeof key, by_address);
			WEIR_ASSERT(use != NULL && use->left > 0);
			if (--use->left == 0)
				(*ret_spent)[spent++] = *use->delete;
		}
	return spent;
}

static void count_group(struct compaction *compaction, const struct ice_data_file *const *files, uint32_t count,
	const struct ice_written *written, uint32_t spent, uint64_t rows_before)
{
	struct ice_compact_counts *counts = &compaction->counts;
	uint64_t rows = 0;
	for (uint32_t i = 0; i < count; i++) {
		counts->bytes_read += (uint64_t)files[i]->size_bytes;
		rows += (uint64_t)files[i]->record_count;
	}
	for (uint32_t i = 0; i < written->count; i++)
		counts->bytes_written += (uint64_t)written->files[i].size_bytes;
	counts->files_read += count;
	counts->files_written += written->count;
	counts->rows_deleted += rows - (counts->rows - rows_before);
	counts->delete_files_removed += spent;
	counts->commits++;
	if (compaction->progress != NULL)
		compaction->progress(compaction->context, counts);
}

static void delete_written(struct compaction *compaction, const struct ice_written *written)
{
	for (uint32_t i = 0; i < written->count; i++) {
		struct weir_str name;
		struct weir_error ignored = WEIR_ERROR_INIT;
		if (store_name_of(
			    compaction->table->store, compaction->arena, written->files[i].path, &name, &ignored) == 0)
			store_delete_many(compaction->table->store, &name.data, 1, &ignored);
	}
}

static int check_options(const struct compaction *compaction, struct weir_error *err)
{
	const struct ice_compact_options *options = &compaction->options;
	uint32_t least = options->order == ICE_COMPACT_SORT ? 1 : 2;
	if (options->order == ICE_COMPACT_OWN)
		return 0;
	if (options->column_count < least || options->column_count > ICE_COMPACT_COLUMNS)
		return weir_fail(err, WEIR_E_INPUT, "a compaction in this order takes %u to %u columns", least,
			ICE_COMPACT_COLUMNS);
	for (uint32_t i = 0; i < options->column_count; i++) {
		uint32_t column = weir_schema_find_id(compaction->schema, options->columns[i]);
		if (column == WEIR_NO_FIELD || weir_type_is_nested(compaction->schema->fields[column].type))
			return weir_fail(
				err, WEIR_E_INPUT, "rows can be put in order by columns of single values only");
	}
	return 0;
}

static int compact_group(
	struct compaction *compaction, const struct ice_data_file *const *files, uint32_t count, struct weir_error *err)
{
	struct ice_written written = {0};
	struct ice_data_file *spent_files = NULL;
	struct ice_table *next = NULL;
	uint64_t rows_before = compaction->counts.rows;
	set_schema(compaction);
	int code = check_options(compaction, err);
	if (code != 0)
		return code;
	struct weir_str *removed = weir_zalloc(count * sizeof *removed);
	uint32_t spent = spent_deletes(compaction, files, count, &spent_files);
	for (uint32_t i = 0; i < count; i++)
		removed[i] = files[i]->path;
	code = rewrite(compaction, files, count, &written, err);
	if (code == 0) {
		code = store_barrier(compaction->table->store, written.handles, written.count, err);
		const struct ice_edit edit = {.operation = ICE_OP_REPLACE,
			.added = written.files,
			.added_count = written.count,
			.removed = removed,
			.removed_count = count,
			.removed_deletes = spent_files,
			.removed_delete_count = spent,
			.data_sequence_number = compaction->sequence_number,
			.prefix = weir_str_from(weir_arena_printf(compaction->arena, "%.*s-%u",
				WEIR_STR_ARG(compaction->options.prefix), compaction->counts.commits)),
			.now_ms = compaction->options.now_ms};
		if (code == 0)
			code = compaction->commit(compaction->context, compaction->table, &edit, &next, err);
	}
	if (code == 0) {
		ice_table_unref(compaction->table);
		compaction->table = next;
		count_group(compaction, files, count, &written, spent, rows_before);
	}
	if (code == WEIR_E_CONFLICT || code == WEIR_E_INPUT) /* surely not committed; else orphan removal decides */
		delete_written(compaction, &written);
	ice_written_free(&written);
	free(spent_files);
	free(removed);
	return code;
}

/* The end of the run of files from `first` on that are of one partition and make up a commit. */
static uint32_t group_end(
	const struct compaction *compaction, const struct ice_data_file **files, uint32_t first, uint32_t end)
{
	uint64_t bytes = 0;
	uint32_t at = first;
	while (at < end && (bytes < compaction->options.commit_bytes || at == first))
		bytes += (uint64_t)files[at++]->size_bytes;
	return at;
}

int ice_compact(struct ice_table *table, const struct ice_compact_options *options, ice_commit_edit_fn *commit,
	ice_compact_progress_fn *progress, void *context, struct ice_compact_counts *ret_counts, struct weir_error *err)
{
	struct compaction compaction = {.table = ice_table_ref(table),
		.options = *options,
		.commit = commit,
		.progress = progress,
		.context = context,
		.sequence_number = table->metadata->last_sequence_number,
		.arena = weir_arena_new(0)};
	struct ice_file_list *list = NULL;
	if (options->commit_bytes == 0)
		compaction.options.commit_bytes = COMMIT_BYTES;
	set_schema(&compaction);
	int code = check_options(&compaction, err);
	int64_t target = (int64_t)options->target_bytes;
	if (code == 0 && target == 0)
		code = ice_property_number(
			table->metadata, "write.target-file-size-bytes", 1, TARGET_BYTES, &target, err);
	compaction.options.target_bytes = (uint64_t)target;
	if (code == 0)
		code = ice_plan(table, -1, NULL, &list, err);
	if (code == 0)
		count_uses(&compaction, list);
	if (code == 0 && list->count > 0)
		qsort(list->files, list->count, sizeof *list->files, by_partition);
	uint32_t end = 0;
	const struct ice_data_file **chosen = weir_zalloc(((list != NULL ? list->count : 0) + 1) * sizeof *chosen);
	for (uint32_t first = 0; code == 0 && first < list->count; first = end) {
		for (end = first; end < list->count && by_partition(&list->files[first], &list->files[end]) == 0; end++)
			;
		uint32_t count = end - first;
		memcpy(chosen, &list->files[first], count * sizeof *chosen);
		count = choose(&compaction, chosen, count);
		for (uint32_t at = 0, stop; at < count && code == 0; at = stop) {
			stop = group_end(&compaction, chosen, at, count);
			code = compact_group(&compaction, chosen + at, stop - at, err);
		}
	}
	free(chosen);
	ice_file_list_free(list);
	ice_table_unref(compaction.table);
	weir_arena_free(compaction.arena);
	*ret_counts = compaction.counts;
	return code;
}

int ice_rewrite_manifests(struct ice_table *table, struct weir_str prefix, int64_t now_ms, ice_commit_edit_fn *commit,
	void *context, struct weir_error *err)
{
	const struct ice_edit edit = {
		.operation = ICE_OP_REPLACE, .rewrite_manifests = true, .prefix = prefix, .now_ms = now_ms};
	struct ice_table *next;
	int code = commit(context, table, &edit, &next, err);
	if (code == 0)
		ice_table_unref(next);
	return code;
}
