/*
 * Scan tasks as a REST catalog gives them (its specification, ScanTasks): planned files as JSON, each with the delete files
 * that apply to it and what is left of the filter.
 */
#ifndef WEIR_ICEBERG_REST_SCAN_H
#define WEIR_ICEBERG_REST_SCAN_H

#include "base/json.h"
#include "iceberg/rest_filter.h"

struct ice_rest_tasks {
	const struct ice_table *table;
	const struct ice_rest_filter *filter;
	const struct ice_data_file *const *files;
	uint32_t count;
	const int32_t *stats_ids; /* columns whose metrics are given */
	uint32_t stats_count;
};
/* The members "delete-files" (where there are any) and "file-scan-tasks" of the object that json is in. */
void ice_rest_tasks_write(const struct ice_rest_tasks *tasks, struct weir_json *json);

/* A single value as JSON (table specification, appendix D); null where it is not of the field's type. */
void ice_rest_value_write(struct weir_arena *arena, const struct weir_field *field, const struct expr_value *value,
	struct weir_json *json);

#endif
