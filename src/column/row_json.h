/* Rows of batches as JSON: one object a row, members by column name. Times are RFC 3339, decimals keep their
 * digits, binary is base64, maps are objects; a map whose keys are not strings is an array of {"key": ..., "value": ...}. */
#ifndef WEIR_COLUMN_ROW_JSON_H
#define WEIR_COLUMN_ROW_JSON_H

#include "base/json.h"
#include "column/batch.h"

void weir_cell_json(
	struct weir_json *json, const struct weir_field *field, const struct weir_column *column, uint32_t row);
void weir_row_json(struct weir_json *json, const struct weir_batch *batch, uint32_t row);

#endif
