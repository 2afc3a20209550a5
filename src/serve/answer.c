/* Rows as an answer, in the format that the client accepts: JSON {"rows": [...]}, NDJSON, CSV or Parquet, slice by
 * slice. */
#include "serve/serve_int.h"

#include "format/csv/csv.h"
#include "format/parquet/parquet.h"

static const char *const types[] = {
	"application/json", "application/x-ndjson", "text/csv", "application/vnd.apache.parquet"};
static const char *const type_headers[] = {"application/json", "application/x-ndjson",
	"text/csv; charset=utf-8; header=present", "application/vnd.apache.parquet"};

bool answer_negotiate(struct serve_call *call, enum answer_format *ret_format)
{
	int choice = accept_choose(call->accept, types, 4);
	if (choice >= 0) {
		*ret_format = (enum answer_format)choice;
		return true;
	}
	problem_reply(call,
		&(struct problem){.status = 406,
			.detail = "accept application/json, application/x-ndjson, text/csv or "
				  "application/vnd.apache.parquet"});
	return false;
}

static int write_text_batch(
	const struct answer *answer, struct weir_json *json, const struct weir_batch *batch, struct weir_error *err)
{
	struct serve_call *call = answer->call;
	for (uint32_t row = 0; row < batch->row_count; row++) {
		if (answer->format == ANSWER_CSV) {
			csv_write_row(batch, row, &call->out);
		} else if (answer->format == ANSWER_NDJSON) {
			struct weir_json line = weir_json_to(&call->out);
			weir_row_json(&line, batch, row);
			weir_buf_putc(&call->out, '\n');
		} else {
			weir_row_json(json, batch, row);
		}
		int rc = call_flush(call, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int write_text(const struct answer *answer, struct weir_error *err)
{
	struct serve_call *call = answer->call;
	struct weir_json json = weir_json_to(&call->out);
	if (answer->format == ANSWER_JSON) {
		weir_json_object(&json);
		weir_json_key(&json, "rows");
		weir_json_array(&json);
	} else if (answer->format == ANSWER_CSV) {
		csv_write_header(answer->schema, &call->out);
	}
	for (;;) {
		struct weir_batch *batch = NULL;
		int rc = answer->next(answer->self, &batch, err);
		if (rc < 0)
			return rc;
		if (batch == NULL)
			break;
		rc = write_text_batch(answer, &json, batch, err);
		weir_batch_release(batch);
		if (rc < 0)
			return rc;
	}
	if (answer->format == ANSWER_JSON)
		weir_json_array_end(&json);
	if (answer->tail != NULL)
		answer->tail(answer->self, answer->format == ANSWER_JSON ? &json : NULL);
	if (answer->format == ANSWER_JSON)
		weir_json_object_end(&json);
	return 0;
}

static int sink_write(void *self, const void *data, size_t size, struct weir_error *err)
{
	return call_write(self, data, size, err);
}

static int write_parquet(const struct answer *answer, struct weir_error *err)
{
	struct weir_byte_sink sink = {.write = sink_write, .self = answer->call};
	struct pq_write_options options = {.codec = CODEC_ZSTD, .level = 1};
	struct pq_writer *writer = NULL;
	struct pq_file_info info;
	int rc = pq_writer_open(sink, answer->schema, &options, &writer, err);
	if (rc < 0)
		return rc;
	for (;;) {
		struct weir_batch *batch = NULL;
		rc = answer->next(answer->self, &batch, err);
		if (rc < 0 || batch == NULL)
			break;
		rc = pq_writer_add(writer, batch, NULL, err);
		weir_batch_release(batch);
		if (rc < 0)
			break;
	}
	if (rc < 0) {
		pq_writer_abandon(writer);
		return rc;
	}
	rc = pq_writer_close(writer, answer->call->arena, &info, err);
	if (rc == 0 && answer->tail != NULL)
		answer->tail(answer->self, NULL);
	return rc;
}

int answer_write(const struct answer *answer, struct weir_error *err)
{
	call_reply(answer->call, 200, type_headers[answer->format]);
	return answer->format == ANSWER_PARQUET ? write_parquet(answer, err) : write_text(answer, err);
}
