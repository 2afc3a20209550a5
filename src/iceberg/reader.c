/* Rows of planned files, one file after the other, through Parquet readers on cached footers. One thread at a time. */
#include <stdlib.h>

#include "iceberg/internal.h"

struct ice_reader {
	struct ice_table *table;
	const struct ice_data_file *const *files;
	uint32_t count, next; /* next: the file to open */
	struct pq_read_options options;
	struct ice_footer *footer;
	struct pq_reader *parquet;
};

int ice_reader_open(struct ice_table *table, const struct ice_data_file *const *files, uint32_t count,
        const struct weir_schema *projection, const struct expr_filter *filter, struct ice_reader **ret_reader,
        struct weir_error *err)
{
	for (uint32_t i = 0; i < count; i++)
		if (!weir_str_is(files[i]->format, "PARQUET") && !weir_str_is(files[i]->format, "parquet"))
			return weir_fail_at(err, WEIR_E_UNSUPPORTED, files[i]->path, WEIR_ERROR_NO_OFFSET,
			        "the data file has format '%.*s'; weir reads PARQUET",
			        (int)(files[i]->format.size < 40 ? files[i]->format.size : 40), files[i]->format.data);
	struct ice_reader *reader = weir_zalloc(sizeof *reader);
	reader->table = ice_table_ref(table);
	reader->files = files;
	reader->count = count;
	reader->options.schema = projection != NULL ? projection : ice_table_schema(table);
	if (filter != NULL)
		reader->options.filter = *filter;
	*ret_reader = reader;
	return 0;
}

static void close_file(struct ice_reader *reader)
{
	if (reader->parquet != NULL)
		pq_reader_close(reader->parquet);
	ice_footer_release(reader->footer);
	reader->parquet = NULL;
	reader->footer = NULL;
}

static int open_file(struct ice_reader *reader, struct weir_error *err)
{
	const struct pq_file *file;
	int code = ice_footer_open(reader->table, reader->files[reader->next], &reader->footer, &file, err);
	if (code == 0)
		code = pq_reader_open(file, &reader->options, &reader->parquet, err);
	if (code != 0)
		weir_error_in(err, reader->files[reader->next]->path);
	reader->next++;
	return code;
}

int ice_reader_next(struct ice_reader *reader, struct weir_batch **ret_batch, uint32_t *ret_file,
        uint64_t *ret_first_row, struct weir_error *err)
{
	for (;;) {
		if (reader->parquet == NULL) {
			if (reader->next == reader->count) {
				*ret_batch = NULL;
				return 0;
			}
			int code = open_file(reader, err);
			if (code != 0)
				return code;
		}
		struct weir_batch *batch;
		uint64_t first_row;
		int code = pq_reader_next(reader->parquet, &batch, &first_row, err);
		if (code != 0)
			return weir_error_in(err, reader->files[reader->next - 1]->path);
		if (batch != NULL) {
			*ret_batch = batch;
			if (ret_file != NULL)
				*ret_file = reader->next - 1;
			if (ret_first_row != NULL)
				*ret_first_row = first_row;
			return 0;
		}
		close_file(reader);
	}
}

void ice_reader_close(struct ice_reader *reader)
{
	if (reader == NULL)
		return;
	close_file(reader);
	ice_table_unref(reader->table);
	free(reader);
}
