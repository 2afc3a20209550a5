/*
 * Changes of rows between snapshots (changelog.h). For each snapshot the data files whose rows it changed are found, with the
 * deletes that applied to each before and those that apply after; a row that is visible on one side only went, or came.
 *
 * Each such file is read without its deletes, so that positions are known, and both sets are tested. Where rows both went
 * and came, they are read twice: first into a ledger of what cancels out, then to be told.
 */
#include "iceberg/changelog.h"

#include <stdlib.h>

#include "base/hash.h"
#include "iceberg/internal.h"
#include "iceberg/ledger.h"
#include "iceberg/puffin.h"
#include "iceberg/revise.h"

#define MEMORY_ROWS     ((uint64_t)4 << 20)
#define MEMORY_ROWS_MAX ((uint64_t)1 << 30)
#define RESERVED_IDS    2147483447 /* field ids from here on are of metadata columns: no values of the row */
#define SEED            0x9e3779b97f4a7c15ULL

enum kind { INSERT, DELETE, UPDATE_BEFORE, UPDATE_AFTER, KINDS };

/* A data file with what deleted of it before the snapshot and after it; NULL: the file was not there. */
struct task {
	const struct ice_data_file *before, *after;
	bool went, came; /* rows of it may have */
};

struct tasks {
	struct task *items;
	uint32_t count, capacity;
};

struct scan {
	struct ice_table *table;
	const struct ice_changelog_options *options;
	struct weir_arena *arena;
	const struct weir_schema *schema, *out; /* the projection; with the three columns behind it */
	uint32_t *identity;                     /* columns */
	struct weir_dict kinds;
	ice_changelog_fn *changes;
	void *context;
	struct weir_error *err;
	struct weir_buf key;
	/* of the snapshot at hand */
	const struct ice_snapshot *snapshot;
	int32_t ordinal;
	struct ice_ledger *ledger; /* NULL: every row is told as it is */
	uint64_t slice, slices;    /* only rows of this slice of the hashes */
	struct ice_delete_cache *caches[2];
};

const struct weir_schema *ice_changelog_schema(struct weir_arena *arena, const struct weir_schema *projection)
{
	struct weir_schema *wide = weir_arena_copy(arena, projection, sizeof *projection);
	wide->fields = weir_arena_calloc(arena, projection->field_count + 3, sizeof *wide->fields);
	memcpy(wide->fields, projection->fields, projection->field_count * sizeof *wide->fields);
	wide->fields[wide->field_count++] = (struct weir_field){
		.name = WEIR_STR("_change_type"), .id = ICE_FIELD_CHANGE_TYPE, .type = WEIR_STRING, .required = true};
	wide->fields[wide->field_count++] = (struct weir_field){.name = WEIR_STR("_change_ordinal"),
		.id = ICE_FIELD_CHANGE_ORDINAL,
		.type = WEIR_INT32,
		.required = true};
	wide->fields[wide->field_count++] = (struct weir_field){.name = WEIR_STR("_commit_snapshot_id"),
		.id = ICE_FIELD_CHANGE_SNAPSHOT,
		.type = WEIR_INT64,
		.required = true};
	return wide;
}

/* ---- hashes of rows ---- */

static void put_cell(struct weir_buf *out, const struct weir_column *column, uint32_t row)
{
	bool valid = weir_column_is_valid(column, row);
	size_t width = weir_type_width(column->type);
	weir_buf_u8(out, valid);
	if (!valid)
		return;
	switch (column->layout) {
	case WEIR_FLAT:
		weir_buf_append(out, (const char *)column->values + row * width, width);
		break;
	case WEIR_VIEW:
	case WEIR_DICT: {
		struct weir_str text = weir_column_str(column, row);
		weir_buf_u32(out, (uint32_t)text.size);
		weir_buf_append(out, text.data, text.size);
		break;
	}
	case WEIR_SPAN: {
		struct weir_span span = ((const struct weir_span *)column->values)[row];
		weir_buf_u64(out, span.length);
		for (uint64_t i = span.offset; i < span.offset + span.length; i++)
			for (uint32_t child = 0; child < column->child_count; child++)
				put_cell(out, &column->children[child], (uint32_t)i);
		break;
	}
	case WEIR_GROUP:
		for (uint32_t child = 0; child < column->child_count; child++)
			put_cell(out, &column->children[child], row);
		break;
	}
}

static struct ice_row_hash hash_key(const struct weir_buf *key)
{
	return (struct ice_row_hash){weir_hash64(key->data, key->size), weir_hash64_seeded(key->data, key->size, SEED)};
}

/* False where the row is of another slice. */
static bool hash_row(struct scan *scan, const struct weir_batch *batch, uint32_t row, struct ice_row_hash *ret_row,
	struct ice_row_hash *ret_identity)
{
	const struct ice_changelog_options *options = scan->options;
	*ret_identity = (struct ice_row_hash){0};
	if (options->identifier_count > 0) {
		scan->key.size = 0;
		for (uint32_t i = 0; i < options->identifier_count; i++)
			put_cell(&scan->key, &batch->columns[scan->identity[i]], row);
		*ret_identity = hash_key(&scan->key);
		if ((ret_identity->a >> 32) % scan->slices != scan->slice)
			return false;
	}
	scan->key.size = 0;
	for (uint32_t i = 0; i < scan->schema->field_count; i++)
		if (scan->schema->fields[i].id < RESERVED_IDS)
			put_cell(&scan->key, &batch->columns[i], row);
	*ret_row = hash_key(&scan->key);
	return options->identifier_count > 0 || (ret_row->a >> 32) % scan->slices == scan->slice;
}

/* ---- telling rows ---- */

/* Rows of a batch, which are of the given kinds, to the caller. */
static int tell(
	struct scan *scan, const struct weir_batch *batch, const uint16_t *rows, const uint8_t *kinds, uint32_t count)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_batch narrow = {.schema = scan->schema, .row_count = batch->row_count, .columns = batch->columns};
	struct weir_batch *of_batch = &narrow;
	uint32_t fields = scan->schema->field_count;
	if (count < batch->row_count) {
		struct weir_pick *picks = weir_arena_calloc(arena, count, sizeof *picks);
		for (uint32_t i = 0; i < count; i++)
			picks[i].row = rows[i];
		of_batch = weir_batch_gather(arena, &of_batch, picks, count);
	}
	struct weir_batch out = {.schema = scan->out, .row_count = count};
	out.columns = weir_arena_calloc(arena, fields + 3, sizeof *out.columns);
	if (fields > 0)
		memcpy(out.columns, of_batch->columns, fields * sizeof *out.columns);
	uint32_t *codes = weir_arena_calloc(arena, count, sizeof *codes);
	int32_t *ordinals = weir_arena_calloc(arena, count, sizeof *ordinals);
	int64_t *snapshots = weir_arena_calloc(arena, count, sizeof *snapshots);
	for (uint32_t i = 0; i < count; i++) {
		codes[i] = kinds[i];
		ordinals[i] = scan->ordinal;
		snapshots[i] = scan->snapshot->id;
	}
	out.columns[fields] =
		(struct weir_column){.type = WEIR_STRING, .layout = WEIR_DICT, .values = codes, .dict = &scan->kinds};
	out.columns[fields + 1] = (struct weir_column){.type = WEIR_INT32, .layout = WEIR_FLAT, .values = ordinals};
	out.columns[fields + 2] = (struct weir_column){.type = WEIR_INT64, .layout = WEIR_FLAT, .values = snapshots};
	int code = scan->changes(scan->context, &out, scan->err);
	weir_arena_free(arena);
	return code;
}

/* What is done with the rows of a batch that went, or came. */
typedef int rows_fn(struct scan *scan, const struct weir_batch *batch, const uint16_t *rows, uint32_t count, bool came);

static int note_rows(struct scan *scan, const struct weir_batch *batch, const uint16_t *rows, uint32_t count, bool came)
{
	struct ice_row_hash row, identity;
	for (uint32_t i = 0; i < count; i++) {
		if (!hash_row(scan, batch, rows[i], &row, &identity))
			continue;
		if (came)
			ice_ledger_came(scan->ledger, row, identity);
		else
			ice_ledger_gone(scan->ledger, row, identity);
	}
	return 0;
}

static int tell_rows(struct scan *scan, const struct weir_batch *batch, const uint16_t *rows, uint32_t count, bool came)
{
	uint16_t told[WEIR_BATCH_ROWS];
	uint8_t kinds[WEIR_BATCH_ROWS];
	uint32_t told_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		enum ice_row_fate fate = ICE_ROW_CHANGED;
		struct ice_row_hash row, identity;
		if (scan->ledger != NULL) {
			if (!hash_row(scan, batch, rows[i], &row, &identity))
				continue;
			fate = came ? ice_ledger_tell_came(scan->ledger, row, identity)
				    : ice_ledger_tell_gone(scan->ledger, row, identity);
		}
		if (fate == ICE_ROW_CARRIED)
			continue;
		told[told_count] = rows[i];
		kinds[told_count++] =
			fate == ICE_ROW_UPDATED ? (came ? UPDATE_AFTER : UPDATE_BEFORE) : (came ? INSERT : DELETE);
	}
	return told_count > 0 ? tell(scan, batch, told, kinds, told_count) : 0;
}

/* ---- reading a file's rows of one side ---- */

struct sides {
	struct ice_file_deletes *deletes[2]; /* before and after; NULL: none */
	bool there[2];
};

static int open_sides(struct scan *scan, const struct task *task, struct weir_arena *arena, struct sides *sides,
	const struct weir_schema **wanted)
{
	const struct ice_data_file *files[2] = {task->before, task->after};
	int code = 0;
	for (unsigned i = 0; i < 2 && code == 0; i++) {
		sides->there[i] = files[i] != NULL;
		if (files[i] == NULL || files[i]->delete_count == 0)
			continue;
		if (scan->caches[i] == NULL)
			scan->caches[i] = ice_delete_cache_new();
		code = ice_file_deletes_open(scan->table, scan->caches[i], files[i], &sides->deletes[i], scan->err);
		if (code == 0)
			*wanted = ice_file_deletes_schema(sides->deletes[i], arena, *wanted);
	}
	return code;
}

/* Which rows of the batch are visible on a side. */
static void see(
	const struct sides *sides, unsigned side, const struct weir_batch *batch, uint64_t first_row, bool *ret_visible)
{
	uint16_t kept[WEIR_BATCH_ROWS];
	bool all = sides->there[side] && sides->deletes[side] == NULL;
	for (uint32_t i = 0; i < batch->row_count; i++)
		ret_visible[i] = all;
	if (sides->deletes[side] == NULL)
		return;
	uint32_t count = ice_file_deletes_keep(sides->deletes[side], batch, first_row, kept);
	for (uint32_t i = 0; i < count; i++)
		ret_visible[kept[i]] = true;
}

static int read_rows(struct scan *scan, const struct task *task, bool came, rows_fn *take)
{
	struct ice_data_file plain = *(task->after != NULL ? task->after : task->before);
	const struct ice_data_file *file = &plain;
	const struct weir_schema *wanted = scan->schema;
	struct weir_arena *arena = weir_arena_new(4096);
	struct ice_reader *reader = NULL;
	struct sides sides = {0};
	struct weir_batch *batch;
	uint64_t first_row;
	bool visible[2][WEIR_BATCH_ROWS];
	uint16_t rows[WEIR_BATCH_ROWS];
	plain.delete_count = 0;
	int code = open_sides(scan, task, arena, &sides, &wanted);
	if (code == 0)
		code = ice_reader_open(scan->table, &file, 1, wanted, NULL, &reader, scan->err);
	while (code == 0 && (code = ice_reader_next(reader, &batch, NULL, &first_row, scan->err)) == 0 &&
		batch != NULL) {
		uint32_t count = 0;
		see(&sides, 0, batch, first_row, visible[0]);
		see(&sides, 1, batch, first_row, visible[1]);
		for (uint32_t i = 0; i < batch->row_count; i++)
			if (visible[came][i] && !visible[!came][i])
				rows[count++] = (uint16_t)i;
		if (count > 0)
			code = take(scan, batch, rows, count, came);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	for (unsigned i = 0; i < 2; i++)
		ice_file_deletes_free(sides.deletes[i]);
	weir_arena_free(arena);
	return code;
}

static int read_side(struct scan *scan, const struct tasks *tasks, bool came, rows_fn *take)
{
	int code = 0;
	for (uint32_t i = 0; i < tasks->count && code == 0; i++)
		if (came ? tasks->items[i].came : tasks->items[i].went)
			code = read_rows(scan, &tasks->items[i], came, take);
	return code;
}

/* Rows that cancel out, or belong together, are found first: slice by slice, so that the ledger stays within bounds. */
static int tell_paired(struct scan *scan, const struct tasks *tasks, uint64_t most_gone)
{
	const struct ice_changelog_options *options = scan->options;
	uint64_t memory = options->memory_rows > 0 ? options->memory_rows : MEMORY_ROWS;
	memory = memory < MEMORY_ROWS_MAX ? memory : MEMORY_ROWS_MAX;
	int code = 0;
	scan->slices = most_gone / memory + 1;
	for (scan->slice = 0; scan->slice < scan->slices && code == 0; scan->slice++) {
		scan->ledger = ice_ledger_new(!options->keep_carried_over, options->identifier_count > 0);
		code = read_side(scan, tasks, false, note_rows);
		if (code == 0)
			code = read_side(scan, tasks, true, note_rows);
		ice_ledger_settle(scan->ledger);
		if (code == 0)
			code = read_side(scan, tasks, false, tell_rows);
		if (code == 0)
			code = read_side(scan, tasks, true, tell_rows);
		ice_ledger_free(scan->ledger);
		scan->ledger = NULL;
	}
	return code;
}

static int tell_tasks(struct scan *scan, const struct tasks *tasks)
{
	bool any_went = false, any_came = false;
	uint64_t most_gone = 0;
	for (uint32_t i = 0; i < tasks->count; i++) {
		const struct task *task = &tasks->items[i];
		any_went = any_went || task->went;
		any_came = any_came || task->came;
		if (task->went && task->before->record_count > 0)
			most_gone += (uint64_t)task->before->record_count;
	}
	if (any_went && any_came && (!scan->options->keep_carried_over || scan->options->identifier_count > 0))
		return tell_paired(scan, tasks, most_gone);
	int code = read_side(scan, tasks, false, tell_rows);
	return code == 0 ? read_side(scan, tasks, true, tell_rows) : code;
}

/* ---- which files a snapshot changed ---- */

static void add_task(struct tasks *tasks, struct task task)
{
	WEIR_GROW(tasks->items, tasks->count, tasks->capacity);
	tasks->items[tasks->count++] = task;
}

static bool has_deletes(const struct ice_manifest *manifests, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (manifests[i].content != 0 && (manifests[i].added_files != 0 || manifests[i].existing_files != 0))
			return true;
	return false;
}

/* Without deletes: what the manifests that the snapshot wrote say. */
static int tell_manifests(struct scan *scan, const struct ice_manifest *manifests, uint32_t count)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct tasks tasks = {0};
	struct ice_cached **pins = weir_zalloc((count + 1) * sizeof(struct ice_cached *));
	int code = 0;
	for (uint32_t i = 0; i < count && code == 0; i++) {
		if (manifests[i].content != 0 || manifests[i].added_snapshot_id != scan->snapshot->id)
			continue;
		code = ice_cached_manifest(scan->table, &manifests[i], &pins[i], scan->err);
		const struct ice_entries *entries = code == 0 ? ice_cached_entries(pins[i]) : NULL;
		int64_t next_row = manifests[i].first_row_id;
		for (uint32_t j = 0; code == 0 && j < entries->count; j++) {
			const struct ice_data_file *file =
				ice_entry_inherit(arena, &entries->files[j], &manifests[i], &next_row);
			if (file->snapshot_id != scan->snapshot->id || file->status == ICE_EXISTING)
				continue;
			if (file->status == ICE_ADDED)
				add_task(&tasks, (struct task){.after = file, .came = true});
			else
				add_task(&tasks, (struct task){.before = file, .went = true});
		}
	}
	if (code == 0)
		code = tell_tasks(scan, &tasks);
	for (uint32_t i = 0; i < count; i++)
		if (pins[i] != NULL)
			ice_cached_release(pins[i]);
	free(pins);
	free(tasks.items);
	weir_arena_free(arena);
	return code;
}

static int by_path(const void *a, const void *b)
{
	const struct ice_data_file *left = *(const struct ice_data_file *const *)a;
	const struct ice_data_file *right = *(const struct ice_data_file *const *)b;
	int order = weir_str_compare(left->path, right->path);
	if (order != 0)
		return order;
	return left->content_offset < right->content_offset ? -1 : left->content_offset > right->content_offset;
}

static const struct ice_data_file **sorted(
	struct weir_arena *arena, const struct ice_data_file *const *files, uint32_t count)
{
	const struct ice_data_file **copy = weir_arena_calloc(arena, count, sizeof *copy);
	if (count == 0)
		return copy;
	memcpy(copy, files, count * sizeof *copy);
	qsort(copy, count, sizeof *copy, by_path);
	return copy;
}

/* Which sets of deletes hold what the other lacks: by name, and where each has some by their positions. */
static int compare_positions(struct scan *scan, struct task *task)
{
	struct ice_positions *before = NULL, *after = NULL;
	uint64_t at = 0;
	int code = ice_file_deleted_positions(scan->table, task->before, &before, scan->err);
	if (code == 0)
		code = ice_file_deleted_positions(scan->table, task->after, &after, scan->err);
	task->went = task->came = false;
	for (; code == 0 && !task->went && ice_positions_next(after, at, &at); at++)
		task->went = !ice_positions_has(before, at);
	for (at = 0; code == 0 && !task->came && ice_positions_next(before, at, &at); at++)
		task->came = !ice_positions_has(after, at);
	ice_positions_free(before);
	ice_positions_free(after);
	return code;
}

static bool has_equalities(const struct ice_data_file *file)
{
	for (uint32_t i = 0; i < file->delete_count; i++)
		if (file->deletes[i]->content == ICE_EQUALITY_DELETES)
			return true;
	return false;
}

static int compare_deletes(struct scan *scan, struct weir_arena *scratch, struct task *task)
{
	const struct ice_data_file **before = sorted(scratch, task->before->deletes, task->before->delete_count);
	const struct ice_data_file **after = sorted(scratch, task->after->deletes, task->after->delete_count);
	uint32_t i = 0, j = 0;
	while (i < task->before->delete_count || j < task->after->delete_count) {
		int order = i == task->before->delete_count ? 1
			: j == task->after->delete_count    ? -1
							    : by_path(&before[i], &after[j]);
		task->went = task->went || order > 0;
		task->came = task->came || order < 0;
		i += order <= 0;
		j += order >= 0;
	}
	if (task->went && task->came && !has_equalities(task->before) && !has_equalities(task->after))
		return compare_positions(scan, task);
	return 0;
}

/* With deletes: the files of both plans side by side. */
static int tell_plans(struct scan *scan, const struct ice_file_list *before, const struct ice_file_list *after)
{
	struct weir_arena *arena = weir_arena_new(0), *scratch = weir_arena_new(0);
	uint32_t before_count = before != NULL ? before->count : 0, i = 0, j = 0;
	const struct ice_data_file **old = sorted(arena, before != NULL ? before->files : NULL, before_count);
	const struct ice_data_file **new = sorted(arena, after->files, after->count);
	struct tasks tasks = {0};
	int code = 0;
	while (code == 0 && (i < before_count || j < after->count)) {
		int order = i == before_count ? 1
			: j == after->count   ? -1
					      : weir_str_compare(old[i]->path, new[j]->path);
		struct task task = {.before = order <= 0 ? old[i] : NULL, .after = order >= 0 ? new[j] : NULL};
		task.went = order < 0;
		task.came = order > 0;
		if (order == 0)
			code = compare_deletes(scan, scratch, &task);
		if (task.went || task.came)
			add_task(&tasks, task);
		i += order <= 0;
		j += order >= 0;
		weir_arena_reset(scratch);
	}
	if (code == 0)
		code = tell_tasks(scan, &tasks);
	free(tasks.items);
	weir_arena_free(arena);
	weir_arena_free(scratch);
	return code;
}

static int tell_snapshot(struct scan *scan)
{
	const struct ice_snapshot *parent = ice_metadata_snapshot(scan->table->metadata, scan->snapshot->parent_id);
	const struct ice_manifest *manifests, *old;
	struct ice_cached *list = NULL, *old_list = NULL;
	struct ice_file_list *before = NULL, *after = NULL;
	uint32_t count, old_count;
	int code = ice_table_manifests(scan->table, scan->snapshot, &list, &manifests, &count, scan->err);
	if (code == 0)
		code = ice_table_manifests(scan->table, parent, &old_list, &old, &old_count, scan->err);
	if (code == 0 && !has_deletes(manifests, count) && !has_deletes(old, old_count)) {
		code = tell_manifests(scan, manifests, count);
	} else if (code == 0) {
		if (parent != NULL)
			code = ice_plan(scan->table, parent->id, NULL, &before, scan->err);
		if (code == 0)
			code = ice_plan(scan->table, scan->snapshot->id, NULL, &after, scan->err);
		if (code == 0)
			code = tell_plans(scan, before, after);
	}
	ice_file_list_free(before);
	ice_file_list_free(after);
	ice_cached_release(list);
	ice_cached_release(old_list);
	return code;
}

/* ---- the line of snapshots ---- */

static int no_snapshot(const struct scan *scan, int64_t id)
{
	return weir_fail_at(scan->err, WEIR_E_NOT_FOUND, scan->table->metadata_uri, WEIR_ERROR_NO_OFFSET,
		"snapshot %lld is not there, or does not lead to the last one; it may have expired", (long long)id);
}

/* The snapshots after from up to to, the last first. */
static int find_line(struct scan *scan, const struct ice_snapshot **line, uint32_t *ret_count)
{
	const struct ice_metadata *metadata = scan->table->metadata;
	const struct ice_changelog_options *options = scan->options;
	const struct ice_snapshot *at =
		options->to == -1 ? ice_metadata_current(metadata) : ice_metadata_snapshot(metadata, options->to);
	*ret_count = 0;
	if (at == NULL && options->to == -1 && options->from == -1)
		return 0; /* an empty table */
	if (at == NULL)
		return no_snapshot(scan, options->to);
	if (options->from != -1 && !ice_is_ancestor(metadata, options->from, at->id))
		return no_snapshot(scan, options->from);
	/* A damaged line could be a ring: no more steps than snapshots. */
	while (at != NULL && at->id != options->from && *ret_count < metadata->snapshot_count) {
		line[(*ret_count)++] = at;
		int64_t parent = at->parent_id;
		at = ice_metadata_snapshot(metadata, parent);
		if (at == NULL && parent != -1)
			return weir_fail_at(scan->err, WEIR_E_NOT_FOUND, scan->table->metadata_uri,
				WEIR_ERROR_NO_OFFSET,
				"snapshot %lld has expired: what it changed is not known any more; begin at a later "
				"one",
				(long long)parent);
	}
	return 0;
}

static int check_columns(struct scan *scan)
{
	const struct ice_changelog_options *options = scan->options;
	scan->identity = weir_arena_calloc(scan->arena, options->identifier_count, sizeof *scan->identity);
	for (uint32_t i = 0; i < options->identifier_count; i++) {
		scan->identity[i] = weir_schema_find_id(scan->schema, options->identifier_ids[i]);
		if (scan->identity[i] == WEIR_NO_FIELD ||
			weir_type_is_nested(scan->schema->fields[scan->identity[i]].type))
			return weir_fail_at(scan->err, WEIR_E_INPUT, scan->table->metadata_uri, WEIR_ERROR_NO_OFFSET,
				"rows are told apart by columns of single values that are read; field %d is none",
				options->identifier_ids[i]);
	}
	return 0;
}

static void name_kinds(struct scan *scan)
{
	static const char *const names[KINDS] = {"INSERT", "DELETE", "UPDATE_BEFORE", "UPDATE_AFTER"};
	struct weir_view *views = weir_arena_calloc(scan->arena, KINDS, sizeof *views);
	for (unsigned i = 0; i < KINDS; i++)
		views[i] = weir_view_from(weir_str_from(names[i]));
	scan->kinds = (struct weir_dict){KINDS, views};
}

int ice_changelog_scan(struct ice_table *table, const struct ice_changelog_options *options, ice_changelog_fn *changes,
	void *context, struct weir_error *err)
{
	struct scan scan = {.table = table,
		.options = options,
		.arena = weir_arena_new(4096),
		.schema = options->projection != NULL ? options->projection : ice_table_schema(table),
		.changes = changes,
		.context = context,
		.err = err,
		.slices = 1};
	const struct ice_snapshot **line =
		weir_arena_calloc(scan.arena, table->metadata->snapshot_count + 1, sizeof *line);
	uint32_t count = 0;
	scan.out = ice_changelog_schema(scan.arena, scan.schema);
	name_kinds(&scan);
	int code = check_columns(&scan);
	if (code == 0)
		code = find_line(&scan, line, &count);
	for (uint32_t i = count; i > 0 && code == 0; i--) {
		scan.snapshot = line[i - 1];
		if (weir_str_is(ice_summary(scan.snapshot, "operation"), "replace"))
			continue;
		code = tell_snapshot(&scan);
		scan.ordinal++;
	}
	for (unsigned i = 0; i < 2; i++)
		ice_delete_cache_free(scan.caches[i]);
	weir_buf_done(&scan.key);
	weir_arena_free(scan.arena);
	return code;
}
