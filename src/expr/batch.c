/* Terms over the rows of a batch. Text in dictionaries is judged once a code. */
#include <math.h>

#include "expr/expr.h"

/* A dictionary of at most this many values gets a memo on the stack. */
#define MEMO_CODES 4096
#define MEMO_EMPTY 0xff

static struct expr_value decimal_value(weir_int128 unscaled)
{
	if (unscaled >= INT64_MIN && unscaled <= INT64_MAX)
		return (struct expr_value){.kind = EXPR_INTEGER, .u.integer = (int64_t)unscaled};
	return (struct expr_value){.kind = EXPR_NUMBER, .u.number = (double)unscaled};
}

struct expr_value expr_value_of(const struct weir_column *column, uint32_t row)
{
	switch (column->type) {
	case WEIR_BOOL:
		return (struct expr_value){
			.kind = EXPR_BOOLEAN, .u.boolean = ((const uint8_t *)column->values)[row] != 0};
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		return (struct expr_value){.kind = EXPR_NUMBER, .u.number = weir_column_double(column, row)};
	case WEIR_DECIMAL: {
		weir_int128 unscaled;
		memcpy(&unscaled, (const char *)column->values + (size_t)row * sizeof unscaled, sizeof unscaled);
		return decimal_value(unscaled);
	}
	case WEIR_STRING:
	case WEIR_BINARY:
	case WEIR_FIXED:
		return (struct expr_value){.kind = EXPR_TEXT, .u.text = weir_column_str(column, row)};
	case WEIR_UUID:
		return (struct expr_value){
			.kind = EXPR_UUID, .u.uuid = ((const struct weir_uuid *)column->values)[row]};
	case WEIR_LIST:
	case WEIR_MAP:
	case WEIR_STRUCT: /* compares with nothing */
		return (struct expr_value){.kind = EXPR_NUMBER, .u.number = (double)NAN};
	default:
		return (struct expr_value){.kind = EXPR_INTEGER, .u.integer = weir_column_i64(column, row)};
	}
}

static enum expr_truth row_truth(const struct expr_term *term, const struct weir_column *column, uint32_t row)
{
	if (!weir_column_is_valid(column, row))
		return expr_term_value(term, NULL);
	struct expr_value value = expr_value_of(column, row);
	return expr_term_value(term, &value);
}

static void dict_rows(const struct expr_term *term, const struct weir_column *column, uint32_t rows, uint8_t *truth)
{
	uint8_t memo[MEMO_CODES];
	const uint32_t *codes = column->values;
	memset(memo, MEMO_EMPTY, column->dict->count);
	uint8_t null_truth = (uint8_t)expr_term_value(term, NULL);
	for (uint32_t i = 0; i < rows; i++) {
		uint8_t here = null_truth;
		if (weir_column_is_valid(column, i)) {
			if (memo[codes[i]] == MEMO_EMPTY)
				memo[codes[i]] = (uint8_t)row_truth(term, column, i);
			here = memo[codes[i]];
		}
		truth[i] = here < truth[i] ? here : truth[i];
	}
}

static void term_rows(const struct expr_term *term, const struct weir_column *column, uint32_t rows, uint8_t *truth)
{
	if (column->layout == WEIR_DICT && column->dict->count <= MEMO_CODES) {
		dict_rows(term, column, rows, truth);
		return;
	}
	for (uint32_t i = 0; i < rows; i++) {
		uint8_t here = truth[i] == EXPR_FALSE ? EXPR_FALSE : (uint8_t)row_truth(term, column, i);
		truth[i] = here < truth[i] ? here : truth[i];
	}
}

void expr_filter_batch(const struct expr_filter *filter, const struct weir_batch *batch, uint8_t *ret_truth)
{
	memset(ret_truth, EXPR_TRUE, batch->row_count);
	for (uint32_t t = 0; t < filter->term_count; t++) {
		const struct expr_term *term = &filter->terms[t];
		uint32_t index = weir_schema_find_id(batch->schema, term->field_id);
		if (index != WEIR_NO_FIELD) {
			term_rows(term, &batch->columns[index], batch->row_count, ret_truth);
			continue;
		}
		uint8_t missing = (uint8_t)expr_term_value(term, NULL);
		for (uint32_t i = 0; i < batch->row_count; i++)
			ret_truth[i] = missing < ret_truth[i] ? missing : ret_truth[i];
	}
}
