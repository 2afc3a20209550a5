/* A document of any format -> events for a packer: found by name and first bytes, mapped by its input's SQL, validated. */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <strings.h>

#include "base/hash.h"
#include "column/row_json.h"
#include "format/csv/csv.h"
#include "format/parquet/parquet.h"
#include "ingest/ingest_int.h"

static const struct {
	const char *name, *extensions[3], *content_type;
} formats[] = {
	[INGEST_JSON] = {"json", {".json", NULL, NULL}, "application/json"},
	[INGEST_NDJSON] = {"ndjson", {".ndjson", ".jsonl", NULL}, "application/x-ndjson"},
	[INGEST_CSV] = {"csv", {".csv", NULL, NULL}, "text/csv"},
	[INGEST_PARQUET] = {"parquet", {".parquet", NULL, NULL}, "application/vnd.apache.parquet"},
	[INGEST_FIT] = {"fit", {".fit", NULL, NULL}, "application/vnd.ant.fit"},
	[INGEST_TCX] = {"tcx", {".tcx", NULL, NULL}, "application/vnd.garmin.tcx+xml"},
	[INGEST_GPX] = {"gpx", {".gpx", NULL, NULL}, "application/gpx+xml"},
};
#define FORMATS (sizeof formats / sizeof formats[0])

const char *ingest_format_name(enum ingest_format format)
{
	return formats[format].name;
}

struct weir_str ingest_base_name(struct weir_str path)
{
	for (size_t i = path.size; i > 0; i--)
		if (path.data[i - 1] == '/' || path.data[i - 1] == '\\')
			return (struct weir_str){path.data + i, path.size - i};
	return path;
}

static bool ends_with(struct weir_str name, const char *extension)
{
	size_t size = strlen(extension);
	return name.size >= size && strncasecmp(name.data + name.size - size, extension, size) == 0;
}

bool ingest_format_find(
	struct weir_str filename, struct weir_str content_type, struct weir_str head, enum ingest_format *ret_format)
{
	enum device_format device;
	if (ends_with(filename, ".gz"))
		filename.size -= 3;
	for (unsigned f = 0; f < FORMATS; f++)
		for (unsigned e = 0; e < 3 && formats[f].extensions[e] != NULL; e++)
			if (ends_with(filename, formats[f].extensions[e])) {
				*ret_format = (enum ingest_format)f;
				return true;
			}
	for (unsigned f = 0; f < FORMATS; f++)
		if (weir_str_has_prefix(content_type, weir_str_from(formats[f].content_type))) {
			*ret_format = (enum ingest_format)f;
			return true;
		}
	if (device_format_detect(head.data, head.size, &device)) {
		*ret_format = device == DEVICE_FIT ? INGEST_FIT : device == DEVICE_TCX ? INGEST_TCX : INGEST_GPX;
		return true;
	}
	if (weir_str_has_prefix(head, WEIR_STR("PAR1"))) {
		*ret_format = INGEST_PARQUET;
		return true;
	}
	for (size_t i = 0; i < head.size; i++)
		if (!isspace((unsigned char)head.data[i])) {
			*ret_format = INGEST_JSON;
			return head.data[i] == '{' || head.data[i] == '[';
		}
	return false;
}

/* ---- which input ---- */

static bool has_format(const struct lake_input *input, enum ingest_format format)
{
	for (uint32_t i = 0; i < input->format_count; i++)
		if (weir_str_is(input->formats[i], formats[format].name) ||
			(format == INGEST_JSON && weir_str_is(input->formats[i], "ndjson")) ||
			(format == INGEST_NDJSON && weir_str_is(input->formats[i], "json")))
			return true;
	return false;
}

/* The members that `when` names, looked for in the first object of the document (or of its array). */
static bool has_members(const struct lake_input *input, struct weir_str document)
{
	json_t *root = json_loadb(document.data, document.size, JSON_DISABLE_EOF_CHECK, NULL);
	json_t *object = json_is_array(root) ? json_array_get(root, 0) : root;
	/* Providers wrap pages of records: {"records": [...], "next_token": ...}. */
	if (json_is_array(json_object_get(object, "records")))
		object = json_array_get(json_object_get(object, "records"), 0);
	bool all = json_is_object(object);
	for (uint32_t i = 0; i < input->when_count && all; i++)
		all = json_object_getn(object, input->when[i].data, input->when[i].size) != NULL;
	json_decref(root);
	return all;
}

int ingest_input_find(const struct ingest_stream *stream, enum ingest_format format, struct weir_str document,
	uint32_t *ret_input, struct weir_error *err)
{
	for (int pass = 0; pass < 2; pass++) /* what has conditions is more special than what has none */
		for (uint32_t i = 0; i < stream->lake->input_count; i++) {
			const struct lake_input *input = &stream->lake->inputs[i];
			if (!has_format(input, format) || (input->when_count > 0) != (pass == 0))
				continue;
			if (input->when_count > 0 && !has_members(input, document))
				continue;
			*ret_input = i;
			return 0;
		}
	return weir_fail(err, WEIR_E_INPUT, "stream %.*s has no input for %s; name one in lake.yaml under inputs",
		WEIR_STR_ARG(stream->lake->name), formats[format].name);
}

int ingest_check_set(const struct ingest_stream *stream, uint32_t input, const struct ingest_kv *set,
	uint32_t set_count, struct weir_error *err)
{
	const struct lake_input *asks = &stream->lake->inputs[input];
	for (uint32_t a = 0; a < asks->ask_count; a++) {
		bool given = false;
		for (uint32_t i = 0; i < set_count; i++)
			given = given || weir_str_equal(set[i].key, asks->ask[a]);
		if (!given)
			return weir_fail(err, WEIR_E_INPUT,
				"input %.*s asks for %.*s; give it with ?%.*s= or --set %.*s=",
				WEIR_STR_ARG(asks->name), WEIR_STR_ARG(asks->ask[a]), WEIR_STR_ARG(asks->ask[a]),
				WEIR_STR_ARG(asks->ask[a]));
	}
	return 0;
}

/* ---- relations: the format's columns and the appended ones ---- */

enum { APPENDED_CONTENT_ID, APPENDED_SOURCE_FILE, APPENDED };

struct weir_schema *ingest_relation(
	struct weir_arena *arena, const struct weir_schema *format, const struct lake_input *input)
{
	struct weir_schema *schema = weir_arena_zalloc(arena, sizeof *schema);
	schema->field_count = format->field_count + APPENDED + input->ask_count;
	schema->fields = weir_arena_calloc(arena, schema->field_count, sizeof *schema->fields);
	memcpy(schema->fields, format->fields, format->field_count * sizeof *schema->fields);
	struct weir_field *more = schema->fields + format->field_count;
	more[APPENDED_CONTENT_ID] = (struct weir_field){.name = WEIR_STR("content_id"), .type = WEIR_UUID};
	more[APPENDED_SOURCE_FILE] = (struct weir_field){.name = WEIR_STR("source_file"), .type = WEIR_STRING};
	for (uint32_t i = 0; i < input->ask_count; i++)
		more[APPENDED + i] = (struct weir_field){.name = input->ask[i], .type = WEIR_STRING};
	return schema;
}

/* Ordinals among equal records of a file: an open-addressing count by digest. */
struct ordinals {
	uint64_t (*slots)[2]; /* digest's first word (0: empty), count */
	uint64_t slot_count, count;
};

static uint64_t next_ordinal(struct ordinals *ordinals, const uint8_t digest[WEIR_SHA256_SIZE])
{
	uint64_t key;
	memcpy(&key, digest, sizeof key);
	key |= 1;
	if (ordinals->count * 2 >= ordinals->slot_count) {
		struct ordinals larger = {.slot_count = ordinals->slot_count > 0 ? ordinals->slot_count * 2 : 1024};
		larger.slots = weir_zalloc(larger.slot_count * sizeof *larger.slots);
		for (uint64_t i = 0; i < ordinals->slot_count; i++) {
			if (ordinals->slots[i][0] == 0)
				continue;
			uint64_t to = ordinals->slots[i][0] & (larger.slot_count - 1);
			while (larger.slots[to][0] != 0)
				to = (to + 1) & (larger.slot_count - 1);
			memcpy(larger.slots[to], ordinals->slots[i], sizeof larger.slots[to]);
		}
		larger.count = ordinals->count;
		free(ordinals->slots);
		*ordinals = larger;
	}
	uint64_t at = key & (ordinals->slot_count - 1);
	while (ordinals->slots[at][0] != 0 && ordinals->slots[at][0] != key)
		at = (at + 1) & (ordinals->slot_count - 1);
	if (ordinals->slots[at][0] == 0) {
		ordinals->slots[at][0] = key;
		ordinals->count++;
	}
	return ordinals->slots[at][1]++;
}

/* One run of rows through an input: what the loop over batches carries along. */
struct mapping {
	const struct ingest_document *document;
	struct packer **packer;
	struct ordinals ordinals;
	uint32_t index;           /* ordinal of the row in the document, for messages */
	struct weir_arena *arena; /* of the current batch */
};

/* SHA-256 over stream, what was asked for (the subject), format, the record's cells and its ordinal among equals. Columns that only say where
 * in the file a record stands (FIT's ordinal) are left out: they would make equal records differ between packings. */
static void content_id(struct mapping *mapping, const struct weir_batch *batch, uint32_t row, struct weir_uuid *ret_id)
{
	const struct ingest_document *document = mapping->document;
	struct weir_buf record = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&record);
	uint8_t digest[WEIR_SHA256_SIZE];
	bool device =
		document->format == INGEST_FIT || document->format == INGEST_TCX || document->format == INGEST_GPX;
	weir_json_array(&json);
	for (uint32_t c = device ? DEVICE_ORDINAL + 1 : 0; c < batch->schema->field_count; c++)
		weir_cell_json(&json, &batch->schema->fields[c], &batch->columns[c], row);
	weir_json_array_end(&json);
	struct weir_sha256 *state = weir_sha256_new();
	weir_sha256_part(state, document->stream->lake->name.data, document->stream->lake->name.size);
	for (uint32_t i = 0; i < document->set_count; i++)
		weir_sha256_part(state, document->set[i].value.data, document->set[i].value.size);
	const char *format = formats[document->format].name;
	weir_sha256_part(state, format, strlen(format));
	weir_sha256_part(state, record.data, record.size);
	weir_sha256_finish(state, digest);
	uint64_t ordinal = next_ordinal(&mapping->ordinals, digest);
	state = weir_sha256_new();
	weir_sha256_part(state, digest, sizeof digest);
	weir_sha256_part(state, &ordinal, sizeof ordinal);
	weir_sha256_finish(state, digest);
	*ret_id = weir_uuid_v8(digest);
	weir_buf_done(&record);
}

/* The batch with the appended columns. */
static struct weir_batch *append_columns(
	struct mapping *mapping, const struct weir_schema *relation, const struct weir_batch *batch)
{
	const struct ingest_document *document = mapping->document;
	const struct lake_input *input = &document->stream->lake->inputs[document->input];
	uint32_t own = batch->schema->field_count, rows = batch->row_count;
	struct weir_batch *result = weir_batch_new(mapping->arena, relation, rows);
	result->row_count = rows;
	memcpy(result->columns, batch->columns, own * sizeof *result->columns);
	struct weir_uuid *ids = result->columns[own + APPENDED_CONTENT_ID].values;
	for (uint32_t row = 0; row < rows; row++)
		content_id(mapping, batch, row, &ids[row]);
	struct weir_str name = ingest_base_name(document->name);
	for (uint32_t row = 0; row < rows; row++) {
		((struct weir_view *)result->columns[own + APPENDED_SOURCE_FILE].values)[row] = weir_view_from(name);
		for (uint32_t a = 0; a < input->ask_count; a++)
			for (uint32_t i = 0; i < document->set_count; i++)
				if (weir_str_equal(document->set[i].key, input->ask[a]))
					((struct weir_view *)result->columns[own + APPENDED + a].values)[row] =
						weir_view_from(document->set[i].value);
	}
	return result;
}

/* ---- rows -> events ---- */

static int flush_if_full(struct mapping *mapping, struct weir_error *err)
{
	const struct ingest_document *document = mapping->document;
	if (document->flush == NULL || (*mapping->packer)->chunk_count == 0)
		return 0;
	return document->flush(document->flush_context, mapping->packer, err);
}

static int reject_row(struct mapping *mapping, const struct weir_batch *batch, uint32_t row, const char *type,
	struct json_problem *problem, struct weir_error *err)
{
	struct weir_buf payload = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&payload);
	weir_row_json(&json, batch, row);
	problem->index = mapping->index;
	int status = packer_reject(*mapping->packer, weir_buf_str(&payload), type, problem, err);
	weir_buf_done(&payload);
	return status;
}

/* Decodes the rows of a batch by column name, as JSON would be: good ones into a batch of the stream's schema (NULL: none), the problem
 * of each other one into problems[row]. */
static int decode_rows(struct mapping *mapping, const struct weir_batch *batch, struct json_problem **problems,
	struct weir_batch **ret_decoded, struct weir_error *err)
{
	const struct ingest_stream *stream = mapping->document->stream;
	struct weir_builder *builder = weir_builder_new(stream->schema);
	int status = 0;
	for (uint32_t row = 0; row < batch->row_count && status == 0; row++) {
		struct json_problem problem = {0};
		status = json_decode_row(stream->decoder, batch, row, builder, mapping->arena, &problem, err);
		if (status == WEIR_E_INPUT) {
			weir_builder_drop_row(builder);
			problems[row] = weir_arena_copy(mapping->arena, &problem, sizeof problem);
			status = 0;
		} else if (status == 0) {
			weir_builder_end_row(builder);
		}
	}
	*ret_decoded = status == 0 ? weir_builder_take(builder) : NULL;
	weir_builder_free(builder);
	return status;
}

/* Rows that are events: the payload is their canonical JSON. */
static int take_rows(struct mapping *mapping, const struct weir_batch *batch, struct weir_error *err)
{
	const struct ingest_stream *stream = mapping->document->stream;
	struct json_problem **problems =
		weir_arena_calloc(mapping->arena, batch->row_count, sizeof(struct json_problem *));
	struct weir_buf payload = WEIR_BUF_INIT;
	struct weir_batch *decoded;
	uint32_t at = 0;
	int status = decode_rows(mapping, batch, problems, &decoded, err);
	for (uint32_t row = 0; row < batch->row_count && status == 0; row++, mapping->index++) {
		struct packer *packer = *mapping->packer;
		if (problems[row] != NULL) {
			bool no_time = weir_str_equal(problems[row]->field, stream->lake->time) &&
				problems[row]->value.size == 0;
			status = reject_row(
				mapping, batch, row, no_time ? "no timestamp" : "invalid", problems[row], err);
			continue;
		}
		for (uint32_t c = 0; c < stream->schema->field_count; c++)
			weir_builder_copy(packer->builder, c, &decoded->columns[c], at);
		payload.size = 0;
		json_encode_row(stream->decoder, decoded, at++, &payload);
		status = packer_event(packer, weir_buf_str(&payload), err);
	}
	weir_batch_release(decoded);
	weir_buf_done(&payload);
	return status != 0 ? status : flush_if_full(mapping, err);
}

/* Results of SQL that names no id get the records' content ids: one row for one record, in order. */
static int add_content_ids(struct mapping *mapping, const struct weir_batch *input, struct weir_batch **results,
	uint32_t count, struct weir_error *err)
{
	const struct ingest_stream *stream = mapping->document->stream;
	uint32_t id = weir_schema_find(input->schema, WEIR_STR("content_id")), row = 0, rows = 0;
	for (uint32_t i = 0; i < count; i++)
		rows += results[i]->row_count;
	if (count == 0 || weir_schema_find(results[0]->schema, stream->lake->id) != WEIR_NO_FIELD)
		return 0;
	if (rows != input->row_count)
		return weir_fail(err, WEIR_E_UNSUPPORTED,
			"the SQL of input %.*s gives %u rows for %u records and no %.*s: select content_id AS %.*s",
			WEIR_STR_ARG(stream->lake->inputs[mapping->document->input].name), rows, input->row_count,
			WEIR_STR_ARG(stream->lake->id), WEIR_STR_ARG(stream->lake->id));
	const struct weir_schema *from = results[0]->schema;
	struct weir_schema *schema = weir_arena_zalloc(mapping->arena, sizeof *schema);
	schema->field_count = from->field_count + 1;
	schema->fields = weir_arena_calloc(mapping->arena, schema->field_count, sizeof *schema->fields);
	memcpy(schema->fields, from->fields, from->field_count * sizeof *schema->fields);
	schema->fields[from->field_count] = (struct weir_field){.name = stream->lake->id, .type = WEIR_UUID};
	for (uint32_t i = 0; i < count; i++) {
		struct weir_column *columns = weir_arena_calloc(mapping->arena, schema->field_count, sizeof *columns);
		memcpy(columns, results[i]->columns, from->field_count * sizeof *columns);
		columns[from->field_count] = (struct weir_column){.type = WEIR_UUID,
			.layout = WEIR_FLAT,
			.values = (struct weir_uuid *)input->columns[id].values + row};
		row += results[i]->row_count;
		struct weir_batch *wider = weir_arena_zalloc(mapping->arena, sizeof *wider);
		*wider = (struct weir_batch){.schema = schema, .row_count = results[i]->row_count, .columns = columns};
		wider->owner = results[i]; /* released with it */
		results[i] = wider;
	}
	return 0;
}

static void release_result(struct weir_batch *batch)
{
	weir_batch_release(batch->release == NULL ? batch->owner : batch);
}

/* Through the input's SQL; a row on which it fails is found by bisection and alone refused. */
static int map_rows(
	struct mapping *mapping, struct sql_transform *transform, struct weir_batch *batch, struct weir_error *err)
{
	struct weir_batch **results = NULL;
	uint32_t count = 0;
	int status = sql_transform_run(transform, &batch, 1, &results, &count, err);
	if (status == WEIR_E_INPUT && batch->row_count > 1) {
		struct weir_pick picks[WEIR_BATCH_ROWS];
		uint32_t half = batch->row_count / 2;
		for (uint32_t i = 0; i < batch->row_count; i++)
			picks[i] = (struct weir_pick){0, i};
		struct weir_batch *first = weir_batch_gather(mapping->arena, &batch, picks, half);
		struct weir_batch *second =
			weir_batch_gather(mapping->arena, &batch, picks + half, batch->row_count - half);
		status = map_rows(mapping, transform, first, err);
		return status != 0 ? status : map_rows(mapping, transform, second, err);
	}
	if (status == WEIR_E_INPUT) {
		struct json_problem problem = {.problem = weir_arena_cstr(mapping->arena, weir_str_from(err->message)),
			.remedy = "the input's SQL fails on this record; correct the record or the SQL"};
		status = reject_row(mapping, batch, 0, "input", &problem, err);
		mapping->index++;
		return status;
	}
	if (status == 0)
		status = add_content_ids(mapping, batch, results, count, err);
	for (uint32_t i = 0; i < count; i++) {
		if (status == 0)
			status = take_rows(mapping, results[i], err);
		release_result(results[i]);
	}
	free(results);
	return status;
}

static int take_batch(struct mapping *mapping, struct weir_batch *batch, struct weir_error *err)
{
	const struct ingest_document *document = mapping->document;
	struct ingest_input *input = &document->stream->inputs[document->input];
	mapping->arena = weir_arena_new(0);
	int status = 0;
	if (input->lake->sql.size == 0) {
		status = take_rows(mapping, batch, err);
	} else if (input->transform != NULL) { /* a fixed relation */
		pthread_mutex_lock(&input->lock);
		status = map_rows(mapping, input->transform, append_columns(mapping, input->relation, batch), err);
		pthread_mutex_unlock(&input->lock);
	} else { /* the columns are this document's own */
		struct sql_transform *transform;
		struct weir_schema *relation = ingest_relation(mapping->arena, batch->schema, input->lake);
		status = sql_transform_new(document->ingest->config.sql, input->lake->sql,
			weir_arena_cstr(mapping->arena, input->lake->sql_path), "input", relation, &transform, err);
		if (status == 0) {
			status = map_rows(mapping, transform, append_columns(mapping, relation, batch), err);
			sql_transform_free(transform);
		}
	}
	weir_arena_free(mapping->arena);
	return status;
}

static void mapping_done(struct mapping *mapping)
{
	free(mapping->ordinals.slots);
}

/* ---- formats ---- */

/* The value of a top-level member in valid JSON text; size 0 where there is none. */
static struct weir_str top_level_member(struct weir_str text, struct weir_str name)
{
	unsigned depth = 0;
	size_t start = 0;
	bool in_text = false, wanted = false;
	struct weir_str last = {NULL, 0}; /* the last string that ended at depth 1 */
	for (size_t i = 0, from = 0; i < text.size; i++) {
		char c = text.data[i];
		if (in_text) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_text = false;
			if (!in_text && depth == 1)
				last = (struct weir_str){text.data + from, i - from};
			continue;
		}
		if (c == '"') {
			in_text = true;
			from = i + 1;
		} else if (c == ':' && depth == 1) {
			wanted = weir_str_equal(last, name);
			start = i + 1;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if (c == '}' || c == ']' || c == ',') {
			depth -= c != ',';
			bool ends = (c == ',' && depth == 1) || (c == '}' && depth == 0);
			if (wanted && ends)
				return (struct weir_str){text.data + start, i - start};
		}
	}
	return (struct weir_str){NULL, 0};
}

/* A provider's page {"records": [...], ...} stands for its records. */
static struct weir_str unwrap_page(struct weir_str body)
{
	struct weir_str records = top_level_member(body, WEIR_STR("records"));
	while (records.size > 0 && isspace((unsigned char)records.data[0])) {
		records.data++;
		records.size--;
	}
	return records.size > 0 && records.data[0] == '[' ? records : body;
}

int ingest_document_json(
	const struct ingest_document *document, struct weir_str body, struct packer **packer, struct weir_error *err)
{
	struct ingest_input *input = &document->stream->inputs[document->input];
	if (input->lake->sql.size == 0) {
		struct weir_arena *arena = weir_arena_new(0);
		int status = json_decode(document->stream->decoder, body,
			document->format == INGEST_NDJSON ? JSON_FRAME_LINES : JSON_FRAME_AUTO, (*packer)->builder,
			arena, packer_json_event, *packer, err);
		weir_arena_free(arena);
		return status;
	}
	struct weir_arena *arena = weir_arena_new(0);
	struct mapping mapping = {.document = document, .packer = packer};
	const struct weir_schema *schema;
	struct weir_batch **batches;
	uint32_t count = 0;
	uint64_t offset;
	int status = json_validate(body, false, &offset, err);
	if (status == 0)
		status = json_document_rows(unwrap_page(body), arena, &schema, &batches, &count, err);
	for (uint32_t i = 0; i < count && status == 0; i++)
		status = take_batch(&mapping, batches[i], err);
	mapping_done(&mapping);
	weir_arena_free(arena);
	return status;
}

static int take_csv_problems(struct mapping *mapping, const struct csv_reader *reader, struct weir_error *err)
{
	const struct csv_problem *problems;
	uint32_t count = csv_reader_problems(reader, &problems);
	int status = 0;
	for (uint32_t i = 0; i < count && status == 0; i++) {
		struct json_problem problem = {.index = (uint32_t)problems[i].line - 2,
			.problem = problems[i].problem,
			.remedy = "give the row as many fields as the header has"};
		status = packer_reject(*mapping->packer, problems[i].row, "csv", &problem, err);
	}
	return status;
}

int ingest_document_csv(const struct ingest_document *document, struct weir_byte_reader reader, struct packer **packer,
	struct weir_error *err)
{
	struct mapping mapping = {.document = document, .packer = packer};
	struct csv_reader *csv;
	struct weir_batch *batch;
	int status = csv_reader_open(reader, ingest_base_name(document->name), &csv, err);
	if (status != 0)
		return status;
	while ((status = csv_reader_next(csv, &batch, err)) == 0) {
		status = take_csv_problems(&mapping, csv, err);
		if (batch == NULL)
			break;
		if (status == 0)
			status = take_batch(&mapping, batch, err);
		weir_batch_release(batch);
		if (status != 0)
			break;
	}
	csv_reader_close(csv);
	mapping_done(&mapping);
	return status;
}

static int take_parquet(struct mapping *mapping, struct weir_byte_source source, struct weir_error *err)
{
	struct pq_file *file;
	struct pq_reader *reader = NULL;
	struct weir_batch *batch;
	int status = pq_file_open(source, &file, err);
	if (status != 0)
		return status;
	status = pq_reader_open(file, &(struct pq_read_options){0}, &reader, err);
	while (status == 0 && (status = pq_reader_next(reader, &batch, NULL, err)) == 0 && batch != NULL) {
		status = take_batch(mapping, batch, err);
		weir_batch_release(batch);
	}
	if (reader != NULL)
		pq_reader_close(reader);
	pq_file_free(file);
	return status;
}

static int take_device(struct mapping *mapping, struct weir_byte_source source, struct weir_error *err)
{
	enum ingest_format format = mapping->document->format;
	struct device_reader *reader;
	struct weir_batch *batch;
	enum device_format device = format == INGEST_FIT ? DEVICE_FIT : format == INGEST_TCX ? DEVICE_TCX : DEVICE_GPX;
	int status = device_reader_open(device, source, &reader, err);
	if (status != 0)
		return status;
	while ((status = device_reader_next(reader, &batch, err)) == 0 && batch != NULL) {
		status = take_batch(mapping, batch, err);
		weir_batch_release(batch);
		if (status != 0)
			break;
	}
	device_reader_close(reader);
	return status;
}

int ingest_document_source(const struct ingest_document *document, struct weir_byte_source source,
	struct packer **packer, struct weir_error *err)
{
	struct mapping mapping = {.document = document, .packer = packer};
	int status = document->format == INGEST_PARQUET ? take_parquet(&mapping, source, err)
							: take_device(&mapping, source, err);
	mapping_done(&mapping);
	return status;
}
