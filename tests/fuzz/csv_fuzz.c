// uses: weir_csv
/* Any bytes as CSV; what is read must be read again, value for value, from what is written. */
#include <stdlib.h>

#include "format/csv/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
	struct weir_str text;
	size_t at, step;
};

static int read_some(void *self, void *buffer, size_t capacity, size_t *ret_size, struct weir_error *err)
{
	struct memory *memory = self;
	size_t size = memory->text.size - memory->at;
	(void)err;
	size = size < memory->step ? size : memory->step;
	size = size < capacity ? size : capacity;
	if (size > 0)
		memcpy(buffer, memory->text.data + memory->at, size);
	memory->at += size;
	*ret_size = size;
	return 0;
}

/* Reads text and writes its good rows to out; the number of rows, or -1. */
static long rewrite(struct weir_str text, size_t step, struct weir_buf *out)
{
	struct memory memory = {text, 0, step};
	struct csv_reader *reader = NULL;
	struct weir_batch *batch = NULL;
	long rows = 0;
	if (csv_reader_open((struct weir_byte_reader){read_some, &memory}, WEIR_STR("fuzz"), &reader, NULL) != 0)
		return -1;
	csv_write_header(csv_reader_schema(reader), out);
	while (csv_reader_next(reader, &batch, NULL) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count; row++, rows++)
			csv_write_row(batch, row, out);
		weir_batch_release(batch);
	}
	csv_reader_close(reader);
	return rows;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_str text = {(const char *)data, size};
	struct weir_buf first = WEIR_BUF_INIT, second = WEIR_BUF_INIT;
	/* Each column costs a batch's column of memory: files of some hundred are as good as of thousands. */
	size_t commas = 0;
	for (size_t i = 0; i < size; i++)
		commas += data[i] == ',';
	if (commas > 200)
		return 0;
	long rows = rewrite(text, 7, &first);
	if (rows >= 0) {
		long again = rewrite(weir_buf_str(&first), 100000, &second);
		WEIR_ASSERT(again == rows && weir_str_equal(weir_buf_str(&first), weir_buf_str(&second)));
	}
	weir_buf_done(&first);
	weir_buf_done(&second);
	return 0;
}
