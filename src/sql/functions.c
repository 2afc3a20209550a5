/*
 * Functions of weir's own that SQL may use, on metrics as events carry them, MAP(VARCHAR, VARCHAR):
 *
 *   metric(m, name)                 the entry as DOUBLE; NULL where there is none or it is not a whole JSON number
 *   metrics_rest(m, name, ...)      the map without the entries that metric(m, name) gives
 *
 * So each entry is in exactly one of the two. They exist for speed: written with DuckDB's own functions,
 * the same seven columns and the rest cost three times as much.
 *
 * In and out: DuckDB hands in flat vectors of at most 2,048 rows (nested ones too).
 */
#include "sql/sql_int.h"

#include <math.h>

/* The exact powers of ten of a double; with at most 15 digits a decimal is one division away from its double. */
#define EXACT_DIGITS 15
static const double powers_of_ten[EXACT_DIGITS + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* A whole JSON number: the plain ones here, what has an exponent or many digits by weir_str_to_double. */
static bool parse_number(struct weir_str text, double *ret_value)
{
	const char *p = text.data, *end = text.data + text.size;
	int64_t digits = 0;
	bool negative = p < end && *p == '-';
	if (text.size > EXACT_DIGITS)
		return weir_str_to_double(text, ret_value);
	p += negative;
	const char *whole = p, *point = NULL;
	for (; p < end; p++) {
		if (*p >= '0' && *p <= '9')
			digits = digits * 10 + (*p - '0');
		else if (*p == '.' && point == NULL)
			point = p;
		else
			return weir_str_to_double(text, ret_value);
	}
	const char *whole_end = point != NULL ? point : end;
	if (whole == whole_end || (*whole == '0' && whole_end - whole > 1) || (point != NULL && point + 1 == end))
		return false;
	double value = point != NULL ? (double)digits / powers_of_ten[end - point - 1] : (double)digits;
	*ret_value = negative ? -value : value;
	return true;
}

static bool views_equal(const struct weir_view *a, const struct weir_view *b)
{
	uint64_t words_a[2], words_b[2];
	memcpy(words_a, a, sizeof words_a);
	memcpy(words_b, b, sizeof words_b);
	if (words_a[0] != words_b[0]) /* size and first four bytes */
		return false;
	return words_a[1] == words_b[1] ||
		(a->size > sizeof a->u.inlined && memcmp(a->u.far.data, b->u.far.data, a->size) == 0);
}

static bool is_valid(const uint64_t *validity, uint64_t row)
{
	return validity == NULL || (validity[row / 64] >> (row % 64) & 1) != 0;
}

/* The parts of a vector of maps. */
struct maps {
	const struct weir_span *spans;
	const uint64_t *valid;
	duckdb_vector entries;
	const struct weir_view *keys, *values;
	const uint64_t *value_valid;
};

static struct maps maps_of(duckdb_vector vector)
{
	duckdb_vector entries = duckdb_list_vector_get_child(vector),
		      values = duckdb_struct_vector_get_child(entries, 1);
	return (struct maps){.spans = duckdb_vector_get_data(vector),
		.valid = duckdb_vector_get_validity(vector),
		.entries = entries,
		.keys = duckdb_vector_get_data(duckdb_struct_vector_get_child(entries, 0)),
		.values = duckdb_vector_get_data(values),
		.value_valid = duckdb_vector_get_validity(values)};
}

/* The value of entry `at` as a number. */
static bool entry_number(const struct maps *maps, uint64_t at, double *ret_value)
{
	return is_valid(maps->value_valid, at) && parse_number(weir_view_str(&maps->values[at]), ret_value) &&
		isfinite(*ret_value);
}

static void run_metric(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
	(void)info;
	idx_t rows = duckdb_data_chunk_get_size(input);
	struct maps maps = maps_of(duckdb_data_chunk_get_vector(input, 0));
	duckdb_vector name_vector = duckdb_data_chunk_get_vector(input, 1);
	const struct weir_view *names = duckdb_vector_get_data(name_vector);
	const uint64_t *name_valid = duckdb_vector_get_validity(name_vector);
	double *target = duckdb_vector_get_data(output);
	uint64_t *valid = NULL, hint = 0; /* events of one device have their metrics in one order */
	for (idx_t row = 0; row < rows; row++) {
		bool found = false;
		if (is_valid(maps.valid, row) && is_valid(name_valid, row)) {
			const struct weir_span span = maps.spans[row];
			uint64_t at = span.length;
			if (hint < span.length && views_equal(&maps.keys[span.offset + hint], &names[row]))
				at = hint;
			for (uint64_t i = 0; at == span.length && i < span.length; i++) {
				if (views_equal(&maps.keys[span.offset + i], &names[row]))
					at = hint = i;
				if (at == i)
					break;
			}
			found = at < span.length && entry_number(&maps, span.offset + at, &target[row]);
		}
		if (!found) {
			if (valid == NULL) {
				duckdb_vector_ensure_validity_writable(output);
				valid = duckdb_vector_get_validity(output);
			}
			valid[row / 64] &= ~(1ULL << row % 64);
		}
	}
}

#define MAX_NAMES 64

/* The vectors of names that metrics_rest was called with. */
struct names {
	idx_t count;
	const struct weir_view *views[MAX_NAMES];
	const uint64_t *valid[MAX_NAMES];
};

/* True where entry `at` of a row is one that metric() gives for one of the row's names. */
static bool is_taken(const struct maps *maps, uint64_t at, const struct names *names, idx_t row)
{
	double number;
	for (idx_t i = 0; i < names->count; i++) {
		if (is_valid(names->valid[i], row) && views_equal(&maps->keys[at], &names->views[i][row]))
			return entry_number(maps, at, &number);
	}
	return false;
}

static void run_metrics_rest(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
	idx_t rows = duckdb_data_chunk_get_size(input);
	duckdb_vector from = duckdb_data_chunk_get_vector(input, 0);
	struct maps maps = maps_of(from);
	struct names names = {.count = duckdb_data_chunk_get_column_count(input) - 1};
	if (names.count > MAX_NAMES) {
		duckdb_scalar_function_set_error(info, "metrics_rest takes at most 64 names");
		return;
	}
	for (idx_t i = 0; i < names.count; i++) {
		duckdb_vector name = duckdb_data_chunk_get_vector(input, i + 1);
		names.views[i] = duckdb_vector_get_data(name);
		names.valid[i] = duckdb_vector_get_validity(name);
	}
	idx_t size = duckdb_list_vector_get_size(from), kept = 0;
	duckdb_selection_vector selection = duckdb_create_selection_vector(size > 0 ? size : 1);
	sel_t *picks = duckdb_selection_vector_get_data_ptr(selection);
	struct weir_span *spans = duckdb_vector_get_data(output);
	uint64_t *valid = NULL;
	for (idx_t row = 0; row < rows; row++) {
		idx_t start = kept;
		if (!is_valid(maps.valid, row)) {
			if (valid == NULL) {
				duckdb_vector_ensure_validity_writable(output);
				valid = duckdb_vector_get_validity(output);
			}
			valid[row / 64] &= ~(1ULL << row % 64);
			spans[row] = (struct weir_span){0};
			continue;
		}
		/* Spans of rows may share entries, so there may be more picks than entries. */
		const struct weir_span span = maps.spans[row];
		if (span.length > size - kept) {
			duckdb_selection_vector more = duckdb_create_selection_vector(size = 2 * (kept + span.length));
			memcpy(duckdb_selection_vector_get_data_ptr(more), picks, kept * sizeof *picks);
			duckdb_destroy_selection_vector(selection);
			selection = more;
			picks = duckdb_selection_vector_get_data_ptr(selection);
		}
		for (uint64_t at = span.offset; at < span.offset + span.length; at++) {
			if (!is_taken(&maps, at, &names, row))
				picks[kept++] = (sel_t)at;
		}
		spans[row] = (struct weir_span){start, kept - start};
	}
	duckdb_list_vector_reserve(output, kept);
	duckdb_list_vector_set_size(output, kept);
	if (kept > 0)
		duckdb_vector_copy_sel(maps.entries, duckdb_list_vector_get_child(output), selection, kept, 0, 0);
	duckdb_destroy_selection_vector(selection);
}

static int register_function(duckdb_connection connection, const char *name, duckdb_scalar_function_t run,
	bool many_names, duckdb_logical_type result, struct weir_error *err)
{
	duckdb_logical_type text = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR),
			    map = duckdb_create_map_type(text, text);
	duckdb_scalar_function function = duckdb_create_scalar_function();
	duckdb_scalar_function_set_name(function, name);
	duckdb_scalar_function_add_parameter(function, map);
	duckdb_scalar_function_add_parameter(function, text);
	if (many_names)
		duckdb_scalar_function_set_varargs(function, text);
	duckdb_scalar_function_set_return_type(function, result != NULL ? result : map);
	duckdb_scalar_function_set_special_handling(function); /* a NULL map is the function's own matter */
	duckdb_scalar_function_set_function(function, run);
	duckdb_state state = duckdb_register_scalar_function(connection, function);
	duckdb_destroy_scalar_function(&function);
	duckdb_destroy_logical_type(&map);
	duckdb_destroy_logical_type(&text);
	return state == DuckDBSuccess ? 0
				      : weir_fail(err, WEIR_E_INTERNAL, "cannot register the SQL function %s", name);
}

int sql_register_functions(duckdb_connection connection, struct weir_error *err)
{
	duckdb_logical_type number = duckdb_create_logical_type(DUCKDB_TYPE_DOUBLE);
	int code = register_function(connection, "metric", run_metric, false, number, err);
	if (code == 0)
		code = register_function(connection, "metrics_rest", run_metrics_rest, true, NULL, err);
	duckdb_destroy_logical_type(&number);
	return code;
}
