/*
 * Rows become (key, key, place) triples whose keys order as unsigned integers: ranks of dictionary
 * codes, numbers with their sign flipped. A radix sort by the bytes that differ puts them in order;
 * what still is equal is settled by comparing the cells.
 */
#include "column/order.h"

#include <stdlib.h>

#include "column/dictionary.h"

struct item {
	uint64_t keys[2];
	struct weir_pick pick;
};

/* Orders as the values do: -infinity < -0 < 0 < infinity < NaN. */
static uint64_t double_key(double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	return (bits >> 63) != 0 ? ~bits : bits | 1ULL << 63;
}

static weir_int128 decimal_of(const struct weir_column *column, uint32_t row)
{
	weir_int128 value;
	memcpy(&value, (const char *)column->values + (size_t)row * sizeof value, sizeof value);
	return value;
}

int weir_cells_compare(const struct weir_column *a, uint32_t row_a, const struct weir_column *b, uint32_t row_b)
{
	bool valid_a = weir_column_is_valid(a, row_a), valid_b = weir_column_is_valid(b, row_b);
	if (!valid_a || !valid_b)
		return (int)valid_a - (int)valid_b;
	if (weir_type_is_text(a->type))
		return weir_str_compare(weir_column_str(a, row_a), weir_column_str(b, row_b));
	if (a->type == WEIR_UUID)
		return memcmp((const struct weir_uuid *)a->values + row_a, (const struct weir_uuid *)b->values + row_b,
			sizeof(struct weir_uuid));
	if (a->type == WEIR_DOUBLE || a->type == WEIR_FLOAT) {
		uint64_t x = double_key(weir_column_double(a, row_a)), y = double_key(weir_column_double(b, row_b));
		return x < y ? -1 : x > y;
	}
	if (a->type == WEIR_DECIMAL) {
		weir_int128 x = decimal_of(a, row_a), y = decimal_of(b, row_b);
		return x < y ? -1 : x > y;
	}
	int64_t x = weir_column_i64(a, row_a), y = weir_column_i64(b, row_b);
	return x < y ? -1 : x > y;
}

int weir_rows_compare(const struct weir_order *order, const struct weir_batch *a, uint32_t row_a,
	const struct weir_batch *b, uint32_t row_b)
{
	for (uint32_t i = 0; i < order->count; i++) {
		const struct weir_column *x = &a->columns[order->columns[i]], *y = &b->columns[order->columns[i]];
		int result = weir_cells_compare(x, row_a, y, row_b);
		bool has_null = !weir_column_is_valid(x, row_a) || !weir_column_is_valid(y, row_b);
		if (result != 0)
			return ((has_null ? order->nulls_last : order->descending) >> i & 1) != 0 ? -result : result;
	}
	return 0;
}

/* The first eight bytes as a big-endian number: orders as the bytes do, as far as they go. */
static uint64_t prefix_key(struct weir_str text)
{
	uint64_t key = 0;
	for (size_t i = 0; i < 8; i++)
		key = key << 8 | (i < text.size ? (unsigned char)text.data[i] : 0);
	return key;
}

/* The low 64 bits where the value fits them, else the least or the greatest key. */
static uint64_t decimal_key(weir_int128 value, bool *ret_exact)
{
	bool fits = value >= INT64_MIN && value <= INT64_MAX;
	*ret_exact = *ret_exact && fits;
	return fits ? (uint64_t)(int64_t)value ^ 1ULL << 63 : value < 0 ? 0 : UINT64_MAX;
}

/* The key of a valid cell, ascending. *ret_exact is cleared where another value may have the same. */
static uint64_t cell_key(const struct weir_column *column, uint32_t row, const uint32_t *ranks, bool *ret_exact)
{
	if (ranks != NULL)
		return (uint64_t)ranks[((const uint32_t *)column->values)[row]] + 1;
	if (column->type == WEIR_DOUBLE || column->type == WEIR_FLOAT)
		return double_key(weir_column_double(column, row));
	if (column->type == WEIR_DECIMAL)
		return decimal_key(decimal_of(column, row), ret_exact);
	if (!weir_type_is_text(column->type) && column->type != WEIR_UUID)
		return (uint64_t)weir_column_i64(column, row) ^ 1ULL << 63;
	*ret_exact = false;
	if (column->type == WEIR_UUID)
		return prefix_key(
			(struct weir_str){(const char *)((const struct weir_uuid *)column->values)[row].bytes, 8});
	return prefix_key(weir_column_str(column, row));
}

/*
 * Keys of column `which` of the order, of one batch. Nulls have the least or the greatest key, which a value may have too.
 * False where equal keys do not mean equal values.
 */
static bool column_keys(const struct weir_column *column, uint32_t rows, const uint32_t *ranks,
	const struct weir_order *order, unsigned which, struct item *items)
{
	uint64_t null_key = (order->nulls_last >> which & 1) != 0 ? UINT64_MAX : 0;
	bool is_descending = (order->descending >> which & 1) != 0, exact = true;
	for (uint32_t row = 0; row < rows; row++) {
		uint64_t key = null_key;
		if (weir_column_is_valid(column, row)) {
			key = cell_key(column, row, ranks, &exact);
			key = is_descending ? ~key : key;
			exact = exact && key != null_key;
		}
		items[row].keys[which] = key;
	}
	return exact;
}

/* One pass of a least-significant-digit radix sort by byte `shift / 8` of keys[which]. */
static void radix_pass(const struct item *from, struct item *to, uint64_t count, unsigned which, unsigned shift)
{
	uint64_t starts[257] = {0};
	for (uint64_t i = 0; i < count; i++)
		starts[(from[i].keys[which] >> shift & 0xff) + 1]++;
	for (unsigned i = 0; i < 256; i++)
		starts[i + 1] += starts[i];
	for (uint64_t i = 0; i < count; i++)
		to[starts[from[i].keys[which] >> shift & 0xff]++] = from[i];
}

static struct item *radix_sort(struct item *items, struct item *spare, uint64_t count)
{
	for (int which = 1; which >= 0; which--) {
		uint64_t all = 0, any = ~0ULL;
		for (uint64_t i = 0; i < count; i++) {
			all |= items[i].keys[which];
			any &= items[i].keys[which];
		}
		uint64_t differs = all & ~any; /* a byte that is the same everywhere needs no pass */
		for (unsigned shift = 0; shift < 64; shift += 8) {
			if ((differs >> shift & 0xff) == 0)
				continue;
			radix_pass(items, spare, count, (unsigned)which, shift);
			struct item *swap = items;
			items = spare;
			spare = swap;
		}
	}
	return items;
}

struct tie_context {
	struct weir_batch *const *batches;
	const struct weir_order *order;
};

static int compare_items(const void *a, const void *b, void *context)
{
	const struct item *left = a, *right = b;
	const struct tie_context *tie = context;
	int result = weir_rows_compare(tie->order, tie->batches[left->pick.batch], left->pick.row,
		tie->batches[right->pick.batch], right->pick.row);
	if (result != 0)
		return result;
	if (left->pick.batch != right->pick.batch) /* equal rows keep the order that they came in */
		return left->pick.batch < right->pick.batch ? -1 : 1;
	return left->pick.row < right->pick.row ? -1 : left->pick.row > right->pick.row;
}

static void settle_ties(struct item *items, uint64_t count, struct tie_context *tie)
{
	for (uint64_t start = 0; start < count;) {
		uint64_t end = start + 1;
		while (end < count && items[end].keys[0] == items[start].keys[0] &&
			items[end].keys[1] == items[start].keys[1])
			end++;
		if (end - start > 1)
			qsort_r(items + start, end - start, sizeof *items, compare_items, tie);
		start = end;
	}
}

/*
 * Fills keys[which] of all rows from that column of the order. False where equal keys do not mean equal values: text that
 * has no dictionary in common gives its first bytes.
 */
static bool order_keys(struct weir_arena *arena, struct weir_batch *const *batches, uint32_t count,
	const struct weir_order *order, unsigned which, struct item *items)
{
	uint32_t column = order->columns[which];
	const struct weir_column *first = &batches[0]->columns[column];
	bool same = true, exact = true;
	for (uint32_t i = 1; i < count; i++)
		same = same && batches[i]->columns[column].layout == first->layout &&
			batches[i]->columns[column].dict == first->dict;
	const uint32_t *ranks = same && first->layout == WEIR_DICT ? weir_dict_ranks(arena, first->dict) : NULL;
	uint64_t at = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (!column_keys(&batches[i]->columns[column], batches[i]->row_count, ranks, order, which, items + at))
			exact = false;
		at += batches[i]->row_count;
	}
	return exact;
}

struct weir_pick *weir_batches_order(
	struct weir_batch *const *batches, uint32_t count, const struct weir_order *order, uint64_t *ret_rows)
{
	uint64_t rows = 0;
	WEIR_ASSERT(order->count <= WEIR_ORDER_COLUMNS);
	for (uint32_t i = 0; i < count; i++)
		rows += batches[i]->row_count;
	struct item *first = weir_realloc(NULL, rows, sizeof *first),
		    *second = weir_realloc(NULL, rows, sizeof *second);
	memset(first, 0, rows * sizeof *first);
	struct weir_arena *arena = weir_arena_new(0);
	unsigned keys = order->count < 2 ? order->count : 2;
	for (unsigned k = 0; k < keys; k++)
		if (!order_keys(arena, batches, count, order, k, first))
			break; /* its ties must not be ordered by the second key alone */
	uint64_t at = 0;
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t row = 0; row < batches[i]->row_count; row++)
			first[at++].pick = (struct weir_pick){i, row};
	struct item *sorted = radix_sort(first, second, rows);
	struct tie_context tie = {batches, order};
	settle_ties(sorted, rows, &tie);
	struct weir_pick *picks = weir_realloc(NULL, rows, sizeof *picks);
	for (uint64_t i = 0; i < rows; i++)
		picks[i] = sorted[i].pick;
	free(first);
	free(second);
	weir_arena_free(arena);
	*ret_rows = rows;
	return picks;
}
