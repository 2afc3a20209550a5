/*
 * Filters as clients of a REST catalog write them (its specification, Predicate): bound to a table, they say which files
 * a scan has to read, and what is left to test in each (the residual).
 *
 * Negations are pushed down to the predicates. What cannot be decided from a file's metadata (a function, a literal of
 * another type than the column's) keeps the file, and stays in the residual as it was written.
 */
#ifndef WEIR_ICEBERG_REST_FILTER_H
#define WEIR_ICEBERG_REST_FILTER_H

#include <jansson.h>

#include "iceberg/table.h"

#define ICE_REST_FILTER_DEPTH 1000 /* nesting of AND, OR and NOT */

struct ice_rest_filter;

/* A column by its full name ("a.b", "list.element", "map.value"); NULL where there is none. */
const struct weir_field *ice_rest_field(const struct weir_schema *schema, struct weir_str name, bool case_sensitive);

/*
 * expression: a Predicate, or NULL for all rows; borrowed by the filter. schema: whose names it speaks of. WEIR_E_INPUT for
 * what is no predicate, or names a column that is not there.
 */
int ice_rest_filter_new(struct ice_table *table, const struct weir_schema *schema, const json_t *expression,
	bool case_sensitive, struct ice_rest_filter **ret_filter, struct weir_error *err);
void ice_rest_filter_free(struct ice_rest_filter *filter);
bool ice_rest_filter_is_true(const struct ice_rest_filter *filter);
/* What every row that is wanted fulfils, for ice_plan. */
const struct expr_filter *ice_rest_filter_terms(const struct ice_rest_filter *filter);
/* False where it is certain that no row of the file is wanted: beyond what the terms say, alternatives are looked at. */
bool ice_rest_filter_may_match(const struct ice_rest_filter *filter, const struct ice_data_file *file);
/* What is left of the filter for rows of the file's partition: a Predicate, `true` where nothing is. A new reference. */
json_t *ice_rest_filter_residual(const struct ice_rest_filter *filter, const struct ice_data_file *file);

#endif
