/*
 * Single values as text, the same everywhere that text leaves or enters rows (CSV, JSON of foreign rows):
 * numbers in their shortest digits, timestamps in RFC 3339, UUIDs with hyphens, truth values as words.
 */
#ifndef WEIR_COLUMN_TEXT_H
#define WEIR_COLUMN_TEXT_H

#include "column/batch.h"

#define WEIR_VALUE_TEXT 64 /* bytes of the buffer that weir_column_text needs */

/*
 * A valid row's value: a slice of the column (text types) or written into buffer. Lists, maps and structs
 * are empty. field gives a decimal's scale and may be NULL for other types.
 */
struct weir_str weir_column_text(
	const struct weir_field *field, const struct weir_column *column, uint32_t row, char buffer[WEIR_VALUE_TEXT]);

#endif
