/*
 * Evaluation over batches: a mask of permitted purposes for each row. docs/CONSENT.md, "When a rule holds".
 *
 * A batch goes through three passes. Text dimensions become addresses of interned texts, each
 * dictionary entry looked up once. Runs of rows with one subject are found, hashed, and their records
 * fetched ahead, so that the misses of a large set overlap. Then each run is decided row by row, the
 * rules reduced to those that can still change the mask, their cheapest tests first.
 *
 * A binding belongs to one thread. What it resolves holds for one schema; batches with another schema
 * object must agree with it on the columns in use.
 */
#include "consent/compiled.h"

#include <math.h>
#include <stdlib.h>

#define PREFETCH_BYTES 192

/* What one dictionary code was found to be in the batch numbered `stamp`. */
struct memo {
	uint64_t stamp;
	const struct consent_text *text;
};

struct bound {
	const struct consent_dimension *dimension;
	uint32_t column;                   /* all but METRICS */
	uint32_t until, until_start;       /* TIME */
	uint32_t *metric_columns;          /* METRICS: by index of the metric */
	uint32_t map;                      /* METRICS */
	const struct consent_text **texts; /* TEXT of a string column: by row of this batch; NULL: missing */
	struct memo *memo;
	uint32_t memo_count;
};

struct run {
	uint64_t hash;
	const struct consent_record *record;
	struct weir_str subject;
	uint32_t first, end;
};

struct consent_binding {
	struct consent_rules *rules;
	const struct weir_schema *schema;
	struct weir_arena *arena;
	struct bound *dimensions;
	uint32_t subject;
	uint64_t stamp; /* number of the batch */
	struct run runs[WEIR_BATCH_ROWS];
	/* The subject's rules that count, for one run. */
	const struct consent_compiled *permits[CONSENT_SUBJECT_RULES_MAX], *denies[CONSENT_SUBJECT_RULES_MAX];
	uint64_t permit_masks[CONSENT_SUBJECT_RULES_MAX], deny_masks[CONSENT_SUBJECT_RULES_MAX];
	uint32_t permit_count, deny_count;
};

/* ---- binding ---- */

static uint32_t find_column(const struct weir_schema *schema, struct weir_str name)
{
	return name.size > 0 ? weir_schema_find(schema, name) : WEIR_NO_FIELD;
}

static void bind_dimension(struct consent_binding *binding, struct bound *bound)
{
	const struct consent_dimension *dimension = bound->dimension;
	const struct weir_schema *schema = binding->schema;
	bound->column = bound->map = bound->until = bound->until_start = WEIR_NO_FIELD;
	if (dimension->kind == CONSENT_DIM_METRICS) {
		bound->metric_columns =
			weir_arena_calloc(binding->arena, dimension->column_count, sizeof *bound->metric_columns);
		for (uint32_t i = 0; i < dimension->column_count; i++)
			bound->metric_columns[i] = find_column(schema, dimension->columns[i]);
		bound->map = find_column(schema, dimension->map);
		return;
	}
	bound->column = find_column(schema, dimension->column);
	if (dimension->kind == CONSENT_DIM_TIME) {
		bound->until = find_column(schema, dimension->until);
		bound->until_start = find_column(schema, dimension->until_start);
	}
	if (dimension->kind == CONSENT_DIM_TEXT && bound->column != WEIR_NO_FIELD &&
		schema->fields[bound->column].type == WEIR_STRING)
		bound->texts = weir_arena_calloc(binding->arena, WEIR_BATCH_ROWS, sizeof *bound->texts);
}

int consent_binding_new(struct consent_rules *rules, const struct weir_schema *schema,
	struct consent_binding **ret_binding, struct weir_error *err)
{
	const struct consent_vocabulary *vocabulary = rules->vocabulary;
	uint32_t subject = weir_schema_find(schema, vocabulary->subject);
	if (subject == WEIR_NO_FIELD || schema->fields[subject].type != WEIR_STRING)
		return weir_fail(err, WEIR_E_INPUT,
			"consent needs the subject's column %.*s as a string; add it to the table's SQL",
			WEIR_STR_ARG(vocabulary->subject));
	struct consent_binding *binding = weir_zalloc(sizeof *binding);
	binding->rules = consent_rules_ref(rules);
	binding->schema = schema;
	binding->subject = subject;
	binding->arena = weir_arena_new(0);
	binding->dimensions =
		weir_arena_calloc(binding->arena, vocabulary->dimension_count, sizeof *binding->dimensions);
	for (uint32_t i = 0; i < vocabulary->dimension_count; i++) {
		binding->dimensions[i].dimension = &vocabulary->dimensions[i];
		bind_dimension(binding, &binding->dimensions[i]);
	}
	*ret_binding = binding;
	return 0;
}

void consent_binding_free(struct consent_binding *binding)
{
	if (binding == NULL)
		return;
	for (uint32_t i = 0; i < binding->rules->vocabulary->dimension_count; i++)
		free(binding->dimensions[i].memo);
	consent_rules_unref(binding->rules);
	weir_arena_free(binding->arena);
	free(binding);
}

/* ---- texts of a batch ---- */

static void resolve_dict(
	struct consent_binding *binding, struct bound *bound, const struct weir_column *column, uint32_t rows)
{
	const uint32_t *codes = column->values;
	const struct weir_dict *dict = column->dict;
	if (bound->memo_count < dict->count) {
		free(bound->memo);
		bound->memo = weir_zalloc(dict->count * sizeof *bound->memo);
		bound->memo_count = dict->count;
	}
	for (uint32_t row = 0; row < rows; row++) {
		if (!weir_column_is_valid(column, row)) {
			bound->texts[row] = NULL;
			continue;
		}
		struct memo *memo = &bound->memo[codes[row]];
		if (memo->stamp != binding->stamp) {
			memo->stamp = binding->stamp;
			memo->text =
				consent_intern_find(binding->rules->intern, weir_view_str(&dict->values[codes[row]]));
		}
		bound->texts[row] = memo->text;
	}
}

static void resolve_views(
	struct consent_binding *binding, struct bound *bound, const struct weir_column *column, uint32_t rows)
{
	const struct weir_view *views = column->values, *last = NULL;
	const struct consent_text *last_text = NULL;
	for (uint32_t row = 0; row < rows; row++) {
		if (!weir_column_is_valid(column, row)) {
			bound->texts[row] = NULL;
			continue;
		}
		if (last == NULL || !weir_view_equal(last, &views[row])) {
			last = &views[row];
			last_text = consent_intern_find(binding->rules->intern, weir_view_str(last));
		}
		bound->texts[row] = last_text;
	}
}

static void resolve_texts(struct consent_binding *binding, const struct weir_batch *batch)
{
	binding->stamp++;
	consent_intern_read(binding->rules->intern);
	for (uint32_t i = 0; i < binding->rules->vocabulary->dimension_count; i++) {
		struct bound *bound = &binding->dimensions[i];
		if (bound->texts == NULL)
			continue;
		const struct weir_column *column = &batch->columns[bound->column];
		if (column->layout == WEIR_DICT)
			resolve_dict(binding, bound, column, batch->row_count);
		else
			resolve_views(binding, bound, column, batch->row_count);
	}
	consent_intern_read_end(binding->rules->intern);
}

/* ---- values ---- */

/* The value of a cell as a literal that conditions compare with; false where it is missing or of no such type. */
static bool cell_value(const struct weir_column *column, uint32_t row, struct expr_value *ret_value)
{
	switch (column->type) {
	case WEIR_INT32:
	case WEIR_INT64:
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		*ret_value = (struct expr_value){.kind = EXPR_NUMBER, .u.number = weir_column_double(column, row)};
		return !isnan(ret_value->u.number);
	case WEIR_BOOL:
		*ret_value = (struct expr_value){.kind = EXPR_BOOLEAN, .u.boolean = weir_column_i64(column, row) != 0};
		return true;
	case WEIR_STRING:
		*ret_value = (struct expr_value){.kind = EXPR_TEXT, .u.text = weir_column_str(column, row)};
		return true;
	default:
		return false;
	}
}

/* The text under key in the map of a row. */
static bool map_value(const struct weir_column *map, uint32_t row, struct weir_str key, struct weir_str *ret_text)
{
	if (map->type != WEIR_MAP || !weir_column_is_valid(map, row))
		return false;
	const struct weir_span span = ((const struct weir_span *)map->values)[row];
	const struct weir_column *keys = &map->children[0], *values = &map->children[1];
	if (keys->type != WEIR_STRING || values->type != WEIR_STRING)
		return false;
	for (uint64_t i = span.offset; i < span.offset + span.length; i++) {
		if (!weir_str_equal(weir_column_str(keys, (uint32_t)i), key))
			continue;
		if (!weir_column_is_valid(values, (uint32_t)i))
			return false;
		*ret_text = weir_column_str(values, (uint32_t)i);
		return true;
	}
	return false;
}

enum found { MISSING, OTHER_TYPE, VALUE };

/* A metric: its column where that is not null, else the map. */
static enum found metric_value(const struct bound *bound, const struct consent_test *test,
	const struct weir_batch *batch, uint32_t row, struct expr_value *ret_value)
{
	struct weir_str text;
	uint32_t index =
		test->metric_column != CONSENT_NO_COLUMN ? bound->metric_columns[test->metric_column] : WEIR_NO_FIELD;
	if (index != WEIR_NO_FIELD && weir_column_is_valid(&batch->columns[index], row)) {
		if (cell_value(&batch->columns[index], row, ret_value))
			return VALUE;
		enum weir_type type = batch->columns[index].type;
		return type == WEIR_DOUBLE || type == WEIR_FLOAT ? MISSING : OTHER_TYPE; /* NaN is no value */
	}
	if (bound->map == WEIR_NO_FIELD || !map_value(&batch->columns[bound->map], row, test->metric, &text))
		return MISSING;
	*ret_value = (struct expr_value){.kind = EXPR_NUMBER};
	if (!weir_str_to_double(text, &ret_value->u.number))
		*ret_value = (struct expr_value){.kind = EXPR_TEXT, .u.text = text};
	return VALUE;
}

static enum found scalar_value(
	const struct bound *bound, const struct weir_batch *batch, uint32_t row, struct expr_value *ret_value)
{
	if (bound->column == WEIR_NO_FIELD || !weir_column_is_valid(&batch->columns[bound->column], row))
		return MISSING;
	if (cell_value(&batch->columns[bound->column], row, ret_value))
		return VALUE;
	enum weir_type type = batch->columns[bound->column].type;
	return type == WEIR_DOUBLE || type == WEIR_FLOAT ? MISSING : OTHER_TYPE;
}

static bool instant_of(const struct weir_batch *batch, uint32_t column, uint32_t row, int64_t *ret_us)
{
	if (column == WEIR_NO_FIELD || !weir_column_is_valid(&batch->columns[column], row))
		return false;
	if (batch->columns[column].type != WEIR_TIMESTAMPTZ && batch->columns[column].type != WEIR_TIMESTAMP)
		return false;
	*ret_us = weir_column_i64(&batch->columns[column], row);
	return true;
}

static bool has_cell(const struct weir_batch *batch, uint32_t column, uint32_t row)
{
	return column != WEIR_NO_FIELD && weir_column_is_valid(&batch->columns[column], row);
}

/* The instants of a row: its period where it has one, else its event time alone. */
static enum found time_value(
	const struct bound *bound, const struct weir_batch *batch, uint32_t row, struct consent_interval *ret_period)
{
	bool start_named = bound->dimension->until_start.size > 0;
	uint32_t start = start_named ? bound->until_start : bound->column;
	bool aggregate = has_cell(batch, bound->until, row) || (start_named && has_cell(batch, start, row));
	if (!aggregate) {
		if (instant_of(batch, bound->column, row, &ret_period->first_us)) {
			ret_period->last_us = ret_period->first_us;
			return VALUE;
		}
		return has_cell(batch, bound->column, row) ? OTHER_TYPE : MISSING;
	}
	if (!has_cell(batch, start, row) || !has_cell(batch, bound->until, row))
		return MISSING;
	bool known = instant_of(batch, start, row, &ret_period->first_us) &&
		instant_of(batch, bound->until, row, &ret_period->last_us) &&
		ret_period->first_us <= ret_period->last_us;
	return known ? VALUE : OTHER_TYPE;
}

/* ---- tests ---- */

static bool holds_text(const struct consent_test *test, const struct consent_text *text)
{
	uint32_t low = 0, high = test->text_count;
	if (high <= 8) {
		for (uint32_t i = 0; i < high; i++)
			if (test->texts[i] == text)
				return true;
		return false;
	}
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if ((uintptr_t)test->texts[middle] < (uintptr_t)text)
			low = middle + 1;
		else
			high = middle;
	}
	return low < test->text_count && test->texts[low] == text;
}

/* For a permit all of the period must satisfy the test, for a deny one instant. */
static enum expr_truth test_period(
	const struct consent_test *test, const struct consent_interval *period, enum consent_effect effect)
{
	bool overlaps = false, within = false;
	for (uint32_t i = 0; i < test->interval_count; i++) {
		const struct consent_interval *interval = &test->intervals[i];
		overlaps |= interval->first_us <= period->last_us && period->first_us <= interval->last_us;
		within |= interval->first_us <= period->first_us && period->last_us <= interval->last_us;
	}
	bool all = test->negated ? !overlaps : within;
	bool some = test->negated ? !within : overlaps;
	return (effect == CONSENT_PERMIT ? all : some) ? EXPR_TRUE : EXPR_FALSE;
}

static enum expr_truth test_row(const struct consent_binding *binding, const struct weir_batch *batch, uint32_t row,
	const struct consent_test *test, enum consent_effect effect)
{
	const struct bound *bound = &binding->dimensions[test->dimension];
	struct expr_value value = {0};
	struct consent_interval period = {0};
	enum found found;
	if (test->text_count > 0) {
		const struct consent_text *text = bound->texts != NULL ? bound->texts[row] : NULL;
		if (text == NULL)
			return EXPR_UNKNOWN;
		return holds_text(test, text) != test->negated ? EXPR_TRUE : EXPR_FALSE;
	}
	if (test->kind == CONSENT_DIM_TIME)
		found = time_value(bound, batch, row, &period);
	else if (test->kind == CONSENT_DIM_METRICS)
		found = metric_value(bound, test, batch, row, &value);
	else
		found = scalar_value(bound, batch, row, &value);
	if (test->op == CONSENT_EXISTS)
		return found != MISSING ? EXPR_TRUE : EXPR_FALSE;
	if (found != VALUE)
		return EXPR_UNKNOWN;
	if (test->kind == CONSENT_DIM_TIME)
		return test_period(test, &period, effect);
	enum expr_truth truth = expr_term_value(&test->terms[0], &value);
	if (test->term_count > 1) {
		enum expr_truth other = expr_term_value(&test->terms[1], &value);
		truth = other < truth ? other : truth;
	}
	return truth;
}

static bool permit_holds(const struct consent_binding *binding, const struct weir_batch *batch, uint32_t row,
	const struct consent_compiled *rule)
{
	for (uint32_t i = 0; i < rule->test_count; i++)
		if (test_row(binding, batch, row, &rule->tests[i], CONSENT_PERMIT) != EXPR_TRUE)
			return false;
	return true;
}

static bool deny_holds(const struct consent_binding *binding, const struct weir_batch *batch, uint32_t row,
	const struct consent_compiled *rule)
{
	for (uint32_t i = 0; i < rule->test_count; i++)
		if (test_row(binding, batch, row, &rule->tests[i], CONSENT_DENY) == EXPR_FALSE)
			return false;
	return true;
}

/* ---- runs ---- */

static void open_run(struct consent_binding *binding, const struct consent_record *record)
{
	binding->permit_count = binding->deny_count = 0;
	for (uint32_t i = 0; i < record->rule_count; i++) {
		const struct consent_compiled *rule = record->rules[i].body;
		uint64_t mask = consent_stored_purposes(record, &record->rules[i], binding->rules->active);
		if (mask == 0)
			continue;
		if (rule->effect == CONSENT_PERMIT) {
			binding->permits[binding->permit_count] = rule;
			binding->permit_masks[binding->permit_count++] = mask;
		} else {
			binding->denies[binding->deny_count] = rule;
			binding->deny_masks[binding->deny_count++] = mask;
		}
	}
}

static uint64_t decide(const struct consent_binding *binding, const struct weir_batch *batch, uint32_t row)
{
	uint64_t mask = 0;
	for (uint32_t i = 0; i < binding->permit_count; i++)
		if ((binding->permit_masks[i] & ~mask) != 0 && permit_holds(binding, batch, row, binding->permits[i]))
			mask |= binding->permit_masks[i];
	for (uint32_t i = 0; i < binding->deny_count && mask != 0; i++)
		if ((binding->deny_masks[i] & mask) != 0 && deny_holds(binding, batch, row, binding->denies[i]))
			mask &= ~binding->deny_masks[i];
	return mask;
}

static void prefetch_record(const struct consent_rules *rules, uint64_t hash)
{
	const struct consent_partition *partition = consent_partition_of(rules, hash);
	if (partition == NULL)
		return;
	uint32_t mask = partition->capacity - 1, at = (uint32_t)hash & mask;
	while (partition->slots[at].record != NULL && partition->slots[at].hash != hash)
		at = (at + 1) & mask;
	const char *record = (const char *)partition->slots[at].record;
	for (unsigned i = 0; record != NULL && i < PREFETCH_BYTES; i += 64)
		__builtin_prefetch(record + i);
}

/* Rows of one subject that lie together; rows without subject belong to no run. */
static uint32_t find_runs(struct consent_binding *binding, const struct weir_batch *batch)
{
	const struct weir_column *column = &batch->columns[binding->subject];
	struct run *runs = binding->runs;
	uint32_t count = 0;
	for (uint32_t row = 0; row < batch->row_count; row++) {
		if (!weir_column_is_valid(column, row))
			continue;
		struct weir_str subject = weir_column_str(column, row);
		if (count > 0 && runs[count - 1].end == row && weir_str_equal(runs[count - 1].subject, subject)) {
			runs[count - 1].end = row + 1;
			continue;
		}
		uint64_t hash = consent_subject_hash(subject);
		const struct consent_partition *partition = consent_partition_of(binding->rules, hash);
		if (partition != NULL)
			__builtin_prefetch(&partition->slots[hash & (partition->capacity - 1)]);
		runs[count++] = (struct run){.hash = hash, .subject = subject, .first = row, .end = row + 1};
	}
	for (uint32_t i = 0; i < count; i++)
		prefetch_record(binding->rules, runs[i].hash);
	for (uint32_t i = 0; i < count; i++)
		runs[i].record = consent_rules_find(binding->rules, runs[i].hash, runs[i].subject);
	return count;
}

/* Another schema object is fine where every column has the name and type that was bound. */
static bool schema_fits(const struct consent_binding *binding, const struct weir_schema *schema)
{
	if (schema == binding->schema)
		return true;
	if (schema->field_count != binding->schema->field_count)
		return false;
	for (uint32_t i = 0; i < schema->field_count; i++)
		if (schema->fields[i].type != binding->schema->fields[i].type ||
			!weir_str_equal(schema->fields[i].name, binding->schema->fields[i].name))
			return false;
	return true;
}

int consent_evaluate(struct consent_binding *binding, const struct weir_batch *batch, uint64_t *ret_masks,
	uint32_t *ret_versions, struct weir_error *err)
{
	memset(ret_masks, 0, batch->row_count * sizeof *ret_masks);
	if (ret_versions != NULL)
		memset(ret_versions, 0, batch->row_count * sizeof *ret_versions);
	if (!schema_fits(binding, batch->schema) || batch->row_count > WEIR_BATCH_ROWS)
		return weir_fail(err, WEIR_E_INTERNAL,
			"consent was bound to other columns than the batch has; every row of it is denied");
	resolve_texts(binding, batch);
	uint32_t count = find_runs(binding, batch);
	for (uint32_t i = 0; i < count; i++) {
		const struct run *run = &binding->runs[i];
		if (run->record == NULL)
			continue;
		open_run(binding, run->record);
		for (uint32_t row = run->first; row < run->end; row++) {
			ret_masks[row] = decide(binding, batch, row);
			if (ret_versions != NULL)
				ret_versions[row] = run->record->changes;
		}
	}
	return 0;
}
