/*
 * CSV (RFC 4180) <-> batches of text columns: a header line names the columns; fields may be quoted,
 * with doubled quotes and line breaks inside; CRLF and LF; a byte order mark is skipped. An empty
 * unquoted field is null. A line with more or fewer fields than the header is an error of that row.
 */
#ifndef WEIR_FORMAT_CSV_H
#define WEIR_FORMAT_CSV_H

#include "base/buf.h"
#include "column/batch.h"

struct csv_reader;

#define CSV_MAX_COLUMNS     4096
#define CSV_MAX_FIELD_BYTES (1U << 20)
#define CSV_MAX_ROW_BYTES   (16U << 20)

/* Reads the header, whose names must be there, differ and be UTF-8. from is borrowed until the reader is closed. */
int csv_reader_open(
	struct weir_byte_reader from, struct weir_str name, struct csv_reader **ret_reader, struct weir_error *err);
const struct weir_schema *csv_reader_schema(const struct csv_reader *reader); /* all string, optional */
/*
 * Bad rows are left out of the batch and reported by csv_reader_problems until the next call. NULL at the
 * end; a batch of no rows where 2,048 bad ones came first. A field or row beyond its limit is WEIR_E_LIMIT
 * with its offset. Blank lines are passed over.
 */
int csv_reader_next(struct csv_reader *reader, struct weir_batch **ret_batch, struct weir_error *err);
struct csv_problem {
	uint64_t line; /* 1 is the header */
	uint64_t offset;
	const char *problem;
	struct weir_str row; /* its bytes, cut to 1,000 */
};
uint32_t csv_reader_problems(const struct csv_reader *reader, const struct csv_problem **ret_problems);
/* Line of the batch's row, for dead letters. */
uint64_t csv_reader_line(const struct csv_reader *reader, uint32_t row);
void csv_reader_close(struct csv_reader *reader);

/* Appends the header, or rows, of a batch as CSV: quoted where needed, empty for null ("" is empty text), maps and
 * structs as JSON objects, lists as JSON arrays, timestamps in RFC 3339, CRLF line ends. */
void csv_write_header(const struct weir_schema *schema, struct weir_buf *out);
void csv_write_row(const struct weir_batch *batch, uint32_t row, struct weir_buf *out);

#endif
