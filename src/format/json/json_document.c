/*
 * Any JSON document as rows of text, for SQL to pick apart: one row for each element of a top-level array,
 * or one for the document. Two passes: the first validates and collects the names, the second fills.
 */
#include "format/json/json_int.h"

#include "base/hash.h"

struct names {
	struct weir_arena *arena;
	struct weir_str *list;
	uint32_t count, capacity;
	uint32_t *slots; /* open addressing: index + 1 */
	uint32_t slot_count;
};

static void names_grow(struct names *names)
{
	uint32_t capacity = names->capacity > 0 ? names->capacity * 2 : 64;
	struct weir_str *list = weir_arena_calloc(names->arena, capacity, sizeof *list);
	if (names->count > 0)
		memcpy(list, names->list, names->count * sizeof *list);
	names->list = list;
	names->capacity = capacity;
	names->slot_count = capacity * 4;
	names->slots = weir_arena_calloc(names->arena, names->slot_count, sizeof *names->slots);
	for (uint32_t i = 0; i < names->count; i++) {
		uint32_t slot = (uint32_t)weir_hash64(list[i].data, list[i].size) & (names->slot_count - 1);
		while (names->slots[slot] != 0)
			slot = (slot + 1) & (names->slot_count - 1);
		names->slots[slot] = i + 1;
	}
}

/* The index of name, which is added where it is new and there is room. */
static uint32_t names_find(struct names *names, struct weir_str name)
{
	if (names->count == names->capacity)
		names_grow(names);
	uint32_t slot = (uint32_t)weir_hash64(name.data, name.size) & (names->slot_count - 1);
	for (; names->slots[slot] != 0; slot = (slot + 1) & (names->slot_count - 1))
		if (weir_str_equal(names->list[names->slots[slot] - 1], name))
			return names->slots[slot] - 1;
	if (names->count == JSON_MAX_DOCUMENT_COLUMNS)
		return WEIR_NO_FIELD;
	names->list[names->count] = name;
	names->slots[slot] = names->count + 1;
	return names->count++;
}

/* A value's text as a column has it: text without quotes, null as not there, all else as it stood. */
static bool scan_text(struct json_cursor *cursor, struct weir_str *ret_text, bool *ret_there)
{
	const char *start = cursor->at;
	struct json_string string;
	*ret_there = true;
	if (start < cursor->end && *start == '"') {
		if (!json_scan_string(cursor, &string))
			return false;
		*ret_text = string.text;
		return true;
	}
	if (!json_skip_value(cursor, 2))
		return false;
	*ret_text = (struct weir_str){start, (size_t)(cursor->at - start)};
	*ret_there = *start != 'n';
	return true;
}

/* One row. Without a batch, names are collected; with one, the values are set. */
static bool scan_row(struct json_cursor *cursor, struct names *names, struct weir_batch *batch, uint32_t row)
{
	struct weir_str text;
	bool there, object = cursor->at < cursor->end && *cursor->at == '{';
	if (object) {
		cursor->at++;
		json_skip_space(cursor);
	}
	for (bool more = !object || cursor->at >= cursor->end || *cursor->at != '}'; more;) {
		struct weir_str name = WEIR_STR("value");
		if (object && !json_scan_name(cursor, &name))
			return false;
		uint32_t column = names_find(names, name);
		if (column == WEIR_NO_FIELD)
			return json_wrong(cursor, cursor->at, "more than 4,096 different names on the first level");
		if (!scan_text(cursor, &text, &there))
			return false;
		if (batch != NULL && there) {
			((struct weir_view *)batch->columns[column].values)[row] = weir_view_from(text);
			batch->columns[column].valid[row / 64] |= 1ULL << (row % 64);
		}
		if (!object)
			return true;
		json_skip_space(cursor);
		if (cursor->at >= cursor->end || (*cursor->at != ',' && *cursor->at != '}'))
			return json_wrong(cursor, cursor->at, "expected ',' or '}'");
		more = *cursor->at == ',';
		cursor->at += more;
		json_skip_space(cursor);
	}
	cursor->at++;
	return true;
}

/* Rows of an array, or the single row; *row_count counts. Batches NULL in the first pass. */
static bool scan_rows(struct json_cursor *cursor, struct names *names, struct weir_batch **batches, uint64_t *ret_rows)
{
	uint64_t rows = 0;
	json_skip_space(cursor);
	bool array = cursor->at < cursor->end && *cursor->at == '[';
	cursor->at += array;
	json_skip_space(cursor);
	bool more = !array || cursor->at >= cursor->end || *cursor->at != ']';
	cursor->at += !more;
	while (more) {
		struct weir_batch *batch = batches != NULL ? batches[rows / WEIR_BATCH_ROWS] : NULL;
		if (!scan_row(cursor, names, batch, (uint32_t)(rows % WEIR_BATCH_ROWS)))
			return false;
		rows++;
		json_skip_space(cursor);
		more = false;
		if (array) {
			if (cursor->at >= cursor->end || (*cursor->at != ',' && *cursor->at != ']'))
				return json_wrong(cursor, cursor->at, "expected ',' or ']'");
			more = *cursor->at++ == ',';
			json_skip_space(cursor);
		}
	}
	*ret_rows = rows;
	return true;
}

static struct weir_batch *null_batch(struct weir_arena *arena, const struct weir_schema *schema, uint32_t rows)
{
	struct weir_batch *batch = weir_batch_new(arena, schema, rows);
	for (uint32_t i = 0; i < schema->field_count; i++)
		memset(batch->columns[i].valid, 0, (rows + 63) / 64 * sizeof(uint64_t));
	batch->row_count = rows;
	return batch;
}

int json_document_rows(struct weir_str document, struct weir_arena *arena, const struct weir_schema **ret_schema,
	struct weir_batch ***ret_batches, uint32_t *ret_count, struct weir_error *err)
{
	struct names names = {.arena = arena};
	uint64_t rows = 0;
	if (document.size > JSON_MAX_STRING_BYTES)
		return weir_fail(err, WEIR_E_LIMIT, "the document is larger than 64 MiB: send its parts");
	int code = json_validate(document, true, NULL, err);
	if (code != 0)
		return code;
	struct json_cursor cursor = {
		document.data, document.data, document.data + document.size, arena, NULL, NULL, true};
	if (!scan_rows(&cursor, &names, NULL, &rows))
		return json_cursor_fail(&cursor, err);
	struct weir_schema *schema = weir_arena_zalloc(arena, sizeof *schema);
	schema->field_count = names.count;
	schema->fields = weir_arena_calloc(arena, names.count, sizeof *schema->fields);
	for (uint32_t i = 0; i < names.count; i++)
		schema->fields[i] = (struct weir_field){.name = names.list[i], .type = WEIR_STRING};
	uint32_t count = (uint32_t)((rows + WEIR_BATCH_ROWS - 1) / WEIR_BATCH_ROWS);
	struct weir_batch **batches = weir_arena_calloc(arena, count, sizeof(struct weir_batch *));
	/* Each cell is a view: a wide and sparse document could ask for far more memory than it has bytes. */
	if (rows * names.count > JSON_MAX_STRING_BYTES / sizeof(struct weir_view) * 4)
		return weir_fail(err, WEIR_E_LIMIT,
			"%llu rows of %u columns are too many cells: send the document's parts",
			(unsigned long long)rows, names.count);
	for (uint32_t i = 0; i < count; i++)
		batches[i] = null_batch(arena, schema,
			i + 1 < count ? WEIR_BATCH_ROWS : (uint32_t)(rows - (uint64_t)i * WEIR_BATCH_ROWS));
	cursor.at = document.data;
	if (!scan_rows(&cursor, &names, batches, &rows))
		return json_cursor_fail(&cursor, err);
	*ret_schema = schema;
	*ret_batches = batches;
	*ret_count = count;
	return 0;
}
