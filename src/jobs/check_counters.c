/*
 * Nothing vanishes (E3), nothing twice (E2): the numbers of each stream, as one transaction moved them, against the
 * rows of the tables. Bronze and silver hold the same trace ids, each once: their sums over all rows are equal, in
 * whatever order the rows lie; that silver has none twice is seen where consent is checked.
 */
#include "jobs/check_int.h"

static int compare(struct check *check, uint32_t stream, const char *table, const char *what, uint64_t expected,
	const char *expected_of, uint64_t found, struct weir_error *err)
{
	if (expected == found)
		return 0;
	const struct lake_stream *lake_stream = &check->config->lake->streams[stream];
	return check_break(check,
		&(struct check_break){
			.check = "counters",
			.guarantee = "E3",
			.table = table,
			.what = weir_arena_printf(
				check->arena, "stream %.*s: %s", WEIR_STR_ARG(lake_stream->name), what),
			.expected =
				weir_arena_printf(check->arena, "%llu %s", (unsigned long long)expected, expected_of),
			.found = check_number(check, found),
		},
		err);
}

/* Rows of bronze.dead_letters by stream. */
static int count_letters(struct check *check, struct weir_error *err)
{
	const struct lake *lake = check->config->lake;
	const struct check_table *letters = &check->tables[check->config->dead_letters_table];
	const struct weir_str stream = WEIR_STR("stream");
	struct weir_schema *projection = check_projection(check->arena, ice_table_schema(letters->table), &stream, 1);
	struct ice_reader *reader;
	struct weir_batch *batch;
	if (projection->field_count == 0)
		return weir_fail(err, WEIR_E_CORRUPT, "%s has no column stream", letters->what);
	int status = ice_reader_open(
		letters->table, letters->files->files, letters->files->count, projection, NULL, &reader, err);
	if (status != 0)
		return status;
	while ((status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count; row++) {
			uint32_t at = weir_column_is_valid(&batch->columns[0], row)
				? lake_find_stream(lake, weir_column_str(&batch->columns[0], row))
				: UINT32_MAX;
			if (at != UINT32_MAX)
				check->streams[at].letter_rows++;
		}
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	return status;
}

static int check_stream(struct check *check, uint32_t index, struct weir_error *err)
{
	const struct check_stream *stream = &check->streams[index];
	const struct lake *lake = check->config->lake;
	const char *control = "control", *letters = check->tables[check->config->dead_letters_table].what;
	uint32_t bronze = lake_stream_table(lake, index, LAKE_RAW),
		 silver = lake_stream_table(lake, index, LAKE_SILVER);
	int status = compare(check, index, control, "events that were committed are not all accounted for",
		stream->offsets, "below the committed offsets",
		stream->accepted + stream->duplicates + stream->dead_letters, err);
	if (status == 0 && bronze != UINT32_MAX)
		status = compare(check, index, check->tables[bronze].what, "bronze does not have the accepted events",
			stream->accepted, "accepted", check->tables[bronze].rows, err);
	if (status == 0 && silver != UINT32_MAX)
		status = compare(check, index, check->tables[silver].what, "silver does not have the accepted events",
			stream->accepted, "accepted", check->tables[silver].rows, err);
	if (status == 0)
		status = compare(check, index, letters, "dead letters are not all there", stream->dead_letters,
			"refused", stream->letter_rows, err);
	if (status != 0 || bronze == UINT32_MAX || silver == UINT32_MAX)
		return status;
	const struct check_table *raw = &check->tables[bronze], *rows = &check->tables[silver];
	if (raw->traces.a != rows->traces.a || raw->traces.b != rows->traces.b)
		return check_break(check,
			&(struct check_break){.check = "counters",
				.guarantee = "E2",
				.table = rows->what,
				.what = weir_arena_printf(
					check->arena, "the events of silver are not those of %s", raw->what),
				.expected = "the same trace ids",
				.found = "as many, but others"},
			err);
	return 0;
}

int check_counters(struct check *check, struct weir_error *err)
{
	const struct lake *lake = check->config->lake;
	uint64_t accepted = 0, duplicates = 0, dead_letters = 0;
	int status = count_letters(check, err);
	for (uint32_t i = 0; i < lake->stream_count && status == 0; i++) {
		status = check_stream(check, i, err);
		accepted += check->streams[i].accepted;
		duplicates += check->streams[i].duplicates;
		dead_letters += check->streams[i].dead_letters;
	}
	if (status != 0)
		return status;
	struct weir_json *json = check_proved(check, "counters", "E3",
		"committed offsets = accepted + duplicates + dead letters; bronze and silver hold the accepted events, "
		"the same in"
		" both; dead letters are all there");
	weir_json_key_uint(json, "streams", lake->stream_count);
	weir_json_key_uint(json, "accepted", accepted);
	weir_json_key_uint(json, "duplicates", duplicates);
	weir_json_key_uint(json, "dead_letters", dead_letters);
	weir_json_object_end(json);
	return 0;
}
