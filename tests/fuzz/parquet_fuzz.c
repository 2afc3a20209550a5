// uses: weir_parquet
/* Any bytes as a Parquet file: an error or rows, never a crash, a hang or memory without bound. */
#include <stdint.h>
#include <stddef.h>

#include "format/parquet/parquet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every value, so that a sanitizer sees each of them. */
static uint64_t touch(const struct weir_column *column, uint32_t rows)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < rows; i++) {
		if (weir_type_is_text(column->type)) {
			struct weir_str text = weir_column_str(column, i);
			for (size_t b = 0; b < text.size && b < 64; b++)
				sum += (uint8_t)text.data[b];
		} else if (column->layout == WEIR_FLAT) {
			sum += ((const uint8_t *)column->values)[(size_t)i * weir_type_width(column->type)];
		} else if (column->layout == WEIR_SPAN) {
			const struct weir_span *span = (const struct weir_span *)column->values + i;
			WEIR_ASSERT(span->offset + span->length <= column->child_rows);
		}
		sum += weir_column_is_valid(column, i);
	}
	for (uint32_t i = 0; i < column->child_count; i++)
		sum += touch(&column->children[i], column->layout == WEIR_SPAN ? column->child_rows : rows);
	return sum;
}

static void read_all(const struct pq_file *file, const struct pq_read_options *options)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct pq_reader *reader;
	struct weir_batch *batch;
	volatile uint64_t sum = 0;
	unsigned batches = 0;
	if (pq_reader_open(file, options, &reader, &err) != 0)
		return;
	while (batches++ < 64 && pq_reader_next(reader, &batch, NULL, &err) == 0 && batch != NULL) {
		for (uint32_t c = 0; c < batch->schema->field_count; c++)
			sum = sum + touch(&batch->columns[c], batch->row_count);
		weir_batch_release(batch);
	}
	pq_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_slice memory = {data, size};
	struct weir_error err = WEIR_ERROR_INIT;
	struct pq_file *file;
	if (pq_file_open(weir_source_from_memory(&memory, WEIR_STR("fuzz")), &file, &err) != 0)
		return 0;
	struct expr_value value = {.kind = EXPR_INTEGER, .u.integer = 40};
	struct expr_term term = {1, EXPR_EQ, &value, 1};
	struct pq_read_options options = {.memory_limit_bytes = 1 << 22};
	read_all(file, &options);
	options.filter = (struct expr_filter){&term, 1};
	read_all(file, &options);
	struct pq_row_group *group = NULL;
	if (pq_file_row_group_count(file) > 0 && pq_file_row_group_copy(file, 0, &group, &err) == 0)
		pq_row_group_free(group);
	pq_file_free(file);
	return 0;
}
