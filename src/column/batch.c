#include "column/batch.h"

#include <string.h>

static enum weir_layout default_layout(enum weir_type type)
{
	if (weir_type_is_text(type))
		return WEIR_VIEW;
	if (type == WEIR_LIST || type == WEIR_MAP)
		return WEIR_SPAN;
	return type == WEIR_STRUCT ? WEIR_GROUP : WEIR_FLAT;
}

static void column_init(
	struct weir_arena *arena, struct weir_column *column, const struct weir_field *field, uint32_t capacity)
{
	*column = (struct weir_column){.type = field->type, .layout = default_layout(field->type)};
	column->valid = weir_validity_new(arena, capacity);
	column->values = weir_arena_zalloc(arena, (size_t)capacity * weir_type_width(field->type));
	column->child_count = field->child_count;
	column->children = weir_arena_calloc(arena, field->child_count, sizeof *column->children);
	for (uint32_t i = 0; i < field->child_count; i++)
		column_init(
			arena, &column->children[i], &field->children[i], column->layout == WEIR_GROUP ? capacity : 0);
}

uint64_t *weir_validity_new(struct weir_arena *arena, uint32_t rows)
{
	size_t size = ((size_t)rows + 63) / 64 * 8;
	return memset(weir_arena_alloc(arena, size), 0xff, size);
}

struct weir_batch *weir_batch_new(struct weir_arena *arena, const struct weir_schema *schema, uint32_t capacity)
{
	struct weir_batch *batch = weir_arena_zalloc(arena, sizeof *batch);
	batch->schema = schema;
	batch->columns = weir_arena_calloc(arena, schema->field_count, sizeof *batch->columns);
	for (uint32_t i = 0; i < schema->field_count; i++)
		column_init(arena, &batch->columns[i], &schema->fields[i], capacity);
	return batch;
}

void weir_column_set_null(struct weir_column *column, uint32_t row)
{
	column->valid[row / 64] &= ~(1ULL << (row % 64));
}

int64_t weir_column_i64(const struct weir_column *column, uint32_t row)
{
	switch (column->type) {
	case WEIR_BOOL:
		return ((const uint8_t *)column->values)[row];
	case WEIR_INT32:
	case WEIR_DATE:
		return ((const int32_t *)column->values)[row];
	case WEIR_FLOAT:
		return (int64_t)((const float *)column->values)[row];
	case WEIR_DOUBLE:
		return (int64_t)((const double *)column->values)[row];
	default:
		WEIR_ASSERT(weir_type_width(column->type) == 8);
		return ((const int64_t *)column->values)[row];
	}
}

double weir_column_double(const struct weir_column *column, uint32_t row)
{
	if (column->type == WEIR_DOUBLE)
		return ((const double *)column->values)[row];
	if (column->type == WEIR_FLOAT)
		return (double)((const float *)column->values)[row];
	return (double)weir_column_i64(column, row);
}

/* One column of a gather: how rows of the sources are reached. */
struct gather {
	struct weir_arena *arena;
	const struct weir_column **from; /* one a source */
	const uint32_t *rows;            /* of each source's column */
	const struct weir_pick *picks;
	uint32_t count;
};

static void gather_column(const struct gather *gather, uint32_t sources, struct weir_column *to);

static bool share_dict(const struct gather *gather, uint32_t sources)
{
	for (uint32_t i = 0; i < sources; i++)
		if (gather->from[i]->layout != WEIR_DICT || gather->from[i]->dict != gather->from[0]->dict)
			return false;
	return sources > 0;
}

static bool null_throughout(const uint64_t *valid, uint32_t rows)
{
	uint64_t any = 0;
	for (uint32_t i = 0; i < rows / 64; i++)
		any |= valid[i];
	if (rows % 64 != 0)
		any |= valid[rows / 64] & ((1ULL << (rows % 64)) - 1);
	return any == 0;
}

static bool valid_throughout(const uint64_t *valid, uint32_t rows)
{
	uint64_t all = UINT64_MAX;
	for (uint32_t i = 0; i < rows / 64; i++)
		all &= valid[i];
	if (rows % 64 != 0)
		all &= valid[rows / 64] | ~((1ULL << (rows % 64)) - 1);
	return all == UINT64_MAX;
}

/* Many columns are null throughout, or nowhere: a look at whole words of the sources says so. False: there is no value to gather. */
static bool gather_valid(const struct gather *gather, uint32_t sources, struct weir_column *to)
{
	bool all = true, none = true;
	for (uint32_t i = 0; i < sources && (all || none); i++) {
		const uint64_t *valid = gather->from[i]->valid;
		uint32_t rows = gather->rows[i];
		all = all && (valid == NULL || valid_throughout(valid, rows));
		none = none && valid != NULL && null_throughout(valid, rows);
	}
	if (all)
		return true;
	if (none) {
		memset(to->valid, 0, ((size_t)gather->count + 63) / 64 * 8);
		return false;
	}
	for (uint32_t i = 0; i < gather->count; i++) {
		const uint64_t *valid = gather->from[gather->picks[i].batch]->valid;
		uint32_t row = gather->picks[i].row;
		if (valid != NULL && (valid[row / 64] >> (row % 64) & 1) == 0)
			weir_column_set_null(to, i);
	}
	return true;
}

static void gather_flat(const struct gather *gather, uint32_t sources, struct weir_column *to, uint32_t width)
{
	char *out = to->values;
	const char **bases = weir_arena_calloc(gather->arena, sources, sizeof *bases);
	const struct weir_pick *picks = gather->picks;
	for (uint32_t i = 0; i < sources; i++)
		bases[i] = gather->from[i]->values;
	switch (width) { /* constant sizes become plain moves */
	case 1:
		for (uint32_t i = 0; i < gather->count; i++)
			out[i] = bases[picks[i].batch][picks[i].row];
		break;
	case 4:
		for (uint32_t i = 0; i < gather->count; i++)
			memcpy(out + (size_t)i * 4, bases[picks[i].batch] + (size_t)picks[i].row * 4, 4);
		break;
	case 8:
		for (uint32_t i = 0; i < gather->count; i++)
			memcpy(out + (size_t)i * 8, bases[picks[i].batch] + (size_t)picks[i].row * 8, 8);
		break;
	default:
		for (uint32_t i = 0; i < gather->count; i++)
			memcpy(out + (size_t)i * 16, bases[picks[i].batch] + (size_t)picks[i].row * 16, 16);
	}
}

static void gather_text(const struct gather *gather, uint32_t sources, struct weir_column *to)
{
	if (share_dict(gather, sources)) {
		to->layout = WEIR_DICT;
		to->dict = gather->from[0]->dict;
		to->values = weir_arena_alloc(gather->arena, (size_t)gather->count * 4);
		gather_flat(gather, sources, to, 4);
		return;
	}
	struct weir_view *out = to->values;
	for (uint32_t i = 0; i < gather->count; i++) {
		const struct weir_column *from = gather->from[gather->picks[i].batch];
		uint32_t row = gather->picks[i].row;
		if (!weir_column_is_valid(from, row))
			out[i] = (struct weir_view){0};
		else if (from->layout == WEIR_DICT)
			out[i] = from->dict->values[((const uint32_t *)from->values)[row]];
		else
			out[i] = ((const struct weir_view *)from->values)[row];
	}
}

static void gather_span(const struct gather *gather, uint32_t sources, struct weir_column *to)
{
	struct weir_span *out = to->values;
	uint64_t total = 0;
	for (uint32_t i = 0; i < gather->count; i++) {
		const struct weir_column *from = gather->from[gather->picks[i].batch];
		uint32_t row = gather->picks[i].row;
		uint64_t length = weir_column_is_valid(from, row) ? ((struct weir_span *)from->values)[row].length : 0;
		out[i] = (struct weir_span){total, length};
		total += length;
	}
	WEIR_ASSERT(total <= UINT32_MAX);
	struct weir_pick *picks = weir_arena_calloc(gather->arena, (size_t)total, sizeof *picks);
	for (uint32_t i = 0, at = 0; i < gather->count; i++) {
		const struct weir_pick *pick = &gather->picks[i];
		const struct weir_span *span = (const struct weir_span *)gather->from[pick->batch]->values + pick->row;
		for (uint64_t k = 0; k < out[i].length; k++)
			picks[at++] = (struct weir_pick){pick->batch, (uint32_t)(span->offset + k)};
	}
	to->child_rows = (uint32_t)total;
	const struct weir_column **from = weir_arena_calloc(gather->arena, sources, sizeof *from);
	uint32_t *rows = weir_arena_calloc(gather->arena, sources, sizeof *rows);
	for (uint32_t child = 0; child < to->child_count; child++) {
		for (uint32_t i = 0; i < sources; i++) {
			from[i] = &gather->from[i]->children[child];
			rows[i] = gather->from[i]->child_rows;
		}
		struct gather inner = {gather->arena, from, rows, picks, (uint32_t)total};
		gather_column(&inner, sources, &to->children[child]);
	}
}

static void gather_group(const struct gather *gather, uint32_t sources, struct weir_column *to)
{
	const struct weir_column **from = weir_arena_calloc(gather->arena, sources, sizeof *from);
	for (uint32_t child = 0; child < to->child_count; child++) {
		for (uint32_t i = 0; i < sources; i++)
			from[i] = &gather->from[i]->children[child];
		struct gather inner = {gather->arena, from, gather->rows, gather->picks, gather->count};
		gather_column(&inner, sources, &to->children[child]);
	}
}

/* to has its type and layout; everything else is made here. */
static void gather_column(const struct gather *gather, uint32_t sources, struct weir_column *to)
{
	uint32_t width = weir_type_width(to->type);
	to->valid = weir_validity_new(gather->arena, gather->count);
	to->values = weir_arena_alloc(gather->arena, (size_t)gather->count * width);
	if (!gather_valid(gather, sources, to) && (to->layout == WEIR_FLAT || to->layout == WEIR_VIEW)) {
		memset(to->values, 0, (size_t)gather->count * width);
		return;
	}
	switch (to->layout) {
	case WEIR_SPAN:
		gather_span(gather, sources, to);
		break;
	case WEIR_GROUP:
		gather_group(gather, sources, to);
		break;
	case WEIR_FLAT:
		gather_flat(gather, sources, to, width);
		break;
	default:
		gather_text(gather, sources, to);
	}
}

struct weir_batch *weir_batch_gather(
	struct weir_arena *arena, struct weir_batch *const *sources, const struct weir_pick *picks, uint32_t count)
{
	uint32_t source_count = 0;
	for (uint32_t i = 0; i < count; i++)
		if (picks[i].batch >= source_count)
			source_count = picks[i].batch + 1;
	WEIR_ASSERT(count > 0 && count <= WEIR_BATCH_ROWS);
	struct weir_batch *batch = weir_batch_new(arena, sources[0]->schema, 0);
	const struct weir_column **from = weir_arena_calloc(arena, source_count, sizeof *from);
	uint32_t *rows = weir_arena_calloc(arena, source_count, sizeof *rows);
	for (uint32_t i = 0; i < source_count; i++)
		rows[i] = sources[i]->row_count;
	batch->row_count = count;
	for (uint32_t c = 0; c < batch->schema->field_count; c++) {
		for (uint32_t i = 0; i < source_count; i++)
			from[i] = &sources[i]->columns[c];
		struct gather gather = {arena, from, rows, picks, count};
		gather_column(&gather, source_count, &batch->columns[c]);
	}
	return batch;
}

static struct weir_view copy_view(struct weir_arena *arena, const struct weir_view *view)
{
	struct weir_view copy = *view;
	if (view->size > sizeof view->u.inlined)
		copy.u.far.data = weir_arena_copy(arena, view->u.far.data, view->size);
	return copy;
}

static const struct weir_dict *copy_dict(struct weir_arena *arena, const struct weir_dict *dict)
{
	struct weir_view *values = weir_arena_calloc(arena, dict->count, sizeof *values);
	for (uint32_t i = 0; i < dict->count; i++)
		values[i] = copy_view(arena, &dict->values[i]);
	struct weir_dict *copy = weir_arena_alloc(arena, sizeof *copy);
	*copy = (struct weir_dict){dict->count, values};
	return copy;
}

static struct weir_view *copy_views(struct weir_arena *arena, const struct weir_column *from, uint32_t rows)
{
	struct weir_view *views = weir_arena_calloc(arena, rows, sizeof *views);
	for (uint32_t i = 0; i < rows; i++) {
		if (!weir_column_is_valid(from, i))
			continue;
		views[i] = from->layout == WEIR_DICT ? from->dict->values[((const uint32_t *)from->values)[i]]
						     : ((const struct weir_view *)from->values)[i];
		views[i] = copy_view(arena, &views[i]);
	}
	return views;
}

static void copy_column(struct weir_arena *arena, const struct weir_column *from, uint32_t rows, struct weir_column *to)
{
	*to = *from;
	if (from->valid != NULL)
		to->valid = weir_arena_copy(arena, from->valid, ((size_t)rows + 63) / 64 * 8);
	if (from->layout == WEIR_DICT && from->dict->count <= rows) {
		to->dict = copy_dict(arena, from->dict);
		to->values = weir_arena_copy(arena, from->values, (size_t)rows * 4);
	} else if (from->layout == WEIR_DICT || from->layout == WEIR_VIEW) {
		/* A dictionary larger than the batch is not worth its copy. */
		to->layout = WEIR_VIEW;
		to->dict = NULL;
		to->values = copy_views(arena, from, rows);
	} else {
		to->values = weir_arena_copy(arena, from->values, (size_t)rows * weir_type_width(from->type));
	}
	to->children = weir_arena_calloc(arena, from->child_count, sizeof *to->children);
	for (uint32_t i = 0; i < from->child_count; i++)
		copy_column(arena, &from->children[i], from->layout == WEIR_SPAN ? from->child_rows : rows,
			&to->children[i]);
}

struct weir_batch *weir_batch_copy(struct weir_arena *arena, const struct weir_batch *batch)
{
	struct weir_batch *copy = weir_arena_zalloc(arena, sizeof *copy);
	*copy = (struct weir_batch){.schema = batch->schema, .row_count = batch->row_count};
	copy->columns = weir_arena_calloc(arena, batch->schema->field_count, sizeof *copy->columns);
	for (uint32_t i = 0; i < batch->schema->field_count; i++)
		copy_column(arena, &batch->columns[i], batch->row_count, &copy->columns[i]);
	return copy;
}

static size_t column_bytes(const struct weir_column *column, uint32_t rows)
{
	size_t bytes = (size_t)rows * (column->layout == WEIR_DICT ? 4 : weir_type_width(column->type));
	if (column->layout == WEIR_VIEW)
		for (uint32_t i = 0; i < rows; i++)
			if (weir_column_is_valid(column, i) && ((struct weir_view *)column->values)[i].size > 12)
				bytes += ((struct weir_view *)column->values)[i].size;
	for (uint32_t i = 0; i < column->child_count; i++)
		bytes += column_bytes(&column->children[i], column->layout == WEIR_SPAN ? column->child_rows : rows);
	return bytes;
}

size_t weir_batch_bytes(const struct weir_batch *batch)
{
	size_t bytes = 0;
	for (uint32_t i = 0; i < batch->schema->field_count; i++)
		bytes += column_bytes(&batch->columns[i], batch->row_count);
	return bytes;
}

static bool spans_equal(const struct weir_column *a, uint32_t row_a, const struct weir_column *b, uint32_t row_b)
{
	const struct weir_span *span_a = (const struct weir_span *)a->values + row_a;
	const struct weir_span *span_b = (const struct weir_span *)b->values + row_b;
	if (span_a->length != span_b->length)
		return false;
	for (uint64_t k = 0; k < span_a->length; k++)
		for (uint32_t child = 0; child < a->child_count; child++)
			if (!weir_value_equal(&a->children[child], (uint32_t)(span_a->offset + k), &b->children[child],
				    (uint32_t)(span_b->offset + k)))
				return false;
	return true;
}

bool weir_value_equal(const struct weir_column *a, uint32_t row_a, const struct weir_column *b, uint32_t row_b)
{
	bool valid = weir_column_is_valid(a, row_a);
	if (valid != weir_column_is_valid(b, row_b) || a->type != b->type)
		return false;
	if (!valid)
		return true;
	if (weir_type_is_text(a->type))
		return weir_str_equal(weir_column_str(a, row_a), weir_column_str(b, row_b));
	if (a->layout == WEIR_SPAN)
		return spans_equal(a, row_a, b, row_b);
	if (a->layout == WEIR_GROUP) {
		for (uint32_t i = 0; i < a->child_count; i++)
			if (!weir_value_equal(&a->children[i], row_a, &b->children[i], row_b))
				return false;
		return true;
	}
	size_t width = weir_type_width(a->type);
	return memcmp((const char *)a->values + row_a * width, (const char *)b->values + row_b * width, width) == 0;
}
