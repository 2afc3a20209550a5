/* The sections `lookups` and `streams` of lake.yaml. */
#include "lake/lake_int.h"

#include <stdio.h>

#include <jansson.h>

#include "base/os.h"
#include "base/time.h"

int lake_read_lookups(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err)
{
	static const char *const keys[] = {"file"};
	struct lake_entry *entries = NULL;
	uint32_t count = 0;
	int code = lake_yaml_entries(yaml, node, "lookups", &entries, &count, err);
	struct lake_lookup *lookups = weir_arena_calloc(yaml->arena, count, sizeof *lookups);
	for (uint32_t i = 0; code == 0 && i < count; i++) {
		struct fy_node *values[LAKE_COUNT(keys)];
		char what[96];
		snprintf(what, sizeof what, "lookup %.*s", entries[i].name.size > 64 ? 64 : (int)entries[i].name.size,
			entries[i].name.data);
		lookups[i].name = weir_arena_str(yaml->arena, entries[i].name);
		code = lake_name_check(yaml, entries[i].key, entries[i].name, err);
		if (code == 0)
			code = lake_yaml_members(yaml, entries[i].value, what, keys, LAKE_COUNT(keys), values, err);
		if (code < 0)
			break;
		struct weir_str file = {0};
		if (values[0] == NULL)
			return lake_yaml_fail(
				yaml, entries[i].key, WEIR_E_INPUT, err, "%s has no file; add 'file: PATH.csv'", what);
		code = lake_yaml_text(yaml, values[0], &file, err);
		if (code < 0)
			break;
		lookups[i].path = lake_path_join(yaml->arena, yaml->lake->directory, file);
		const struct weir_os *os = weir_os_real();
		struct weir_file_info info;
		struct weir_error reason = WEIR_ERROR_INIT;
		code = os->stat(os->self, lookups[i].path, &info, &reason);
		if (code < 0 || info.is_directory)
			return lake_yaml_fail(yaml, values[0], code < 0 ? code : WEIR_E_INPUT, err,
				"cannot read '%s': %s", lookups[i].path,
				code < 0 ? reason.message : "it is a directory");
	}
	yaml->lake->lookups = lookups;
	yaml->lake->lookup_count = count;
	return code;
}

static int read_channels(
	struct lake_yaml *yaml, struct fy_node *node, struct lake_stream *stream, struct weir_error *err)
{
	static const char *const kinds[] = {"live", "history"};
	static const struct lake_channel standard[] = {
		{{"api", 3}, LAKE_LIVE}, {{"batch", 5}, LAKE_HISTORY}, {{"file", 4}, LAKE_HISTORY}};
	struct lake_entry *entries = NULL;
	uint32_t count = 0;
	int code = lake_yaml_entries(yaml, node, "channels", &entries, &count, err);
	if (code < 0)
		return code;
	bool given = count > 0;
	if (!given)
		count = LAKE_COUNT(standard);
	/* Replays of dead letters have a channel of their own in every stream. */
	struct lake_channel *channels = weir_arena_calloc(yaml->arena, count + 1, sizeof *channels);
	for (uint32_t i = 0; code == 0 && i < count; i++) {
		if (!given) {
			channels[i] = standard[i];
			continue;
		}
		uint32_t kind = LAKE_HISTORY;
		code = lake_name_check(yaml, entries[i].key, entries[i].name, err);
		if (code == 0 && weir_str_is(entries[i].name, "dlq"))
			code = lake_yaml_fail(yaml, entries[i].key, WEIR_E_INPUT, err,
				"channel 'dlq' is always there, for replays of dead letters; leave it out");
		if (code == 0 && entries[i].value == NULL)
			code = lake_yaml_fail(yaml, entries[i].key, WEIR_E_INPUT, err, "a channel is live or history");
		if (code == 0)
			code = lake_yaml_choice(
				yaml, entries[i].value, "kind of channel", kinds, LAKE_COUNT(kinds), &kind, err);
		channels[i] = (struct lake_channel){
			weir_arena_str(yaml->arena, entries[i].name), kind == 0 ? LAKE_LIVE : LAKE_HISTORY};
	}
	channels[count] = (struct lake_channel){WEIR_STR("dlq"), LAKE_HISTORY};
	stream->channels = channels;
	stream->channel_count = count + 1;
	return code;
}

static bool is_device_format(struct weir_str format)
{
	return weir_str_is(format, "fit") || weir_str_is(format, "tcx") || weir_str_is(format, "gpx");
}

static int read_input(
	struct lake_yaml *yaml, const struct lake_entry *entry, struct lake_input *input, struct weir_error *err)
{
	enum { I_FORMAT, I_WHEN, I_SQL, I_ASK, I_COUNT };
	static const char *const keys[I_COUNT] = {"format", "when", "sql", "ask"};
	static const char *const formats[] = {"json", "ndjson", "csv", "parquet", "fit", "tcx", "gpx"};
	struct fy_node *values[I_COUNT];
	char what[96];
	int code = lake_name_check(yaml, entry->key, entry->name, err);
	if (code < 0)
		return code;
	snprintf(what, sizeof what, "input %.*s", WEIR_STR_ARG(entry->name));
	input->name = weir_arena_str(yaml->arena, entry->name);
	code = lake_yaml_members(yaml, entry->value, what, keys, I_COUNT, values, err);
	if (code == 0)
		code = lake_yaml_texts(yaml, values[I_FORMAT], &input->formats, &input->format_count, err);
	if (code == 0 && input->format_count == 0)
		code = lake_yaml_fail(yaml, entry->key, WEIR_E_INPUT, err,
			"%s has no format; add 'format: [json]' or the like", what);
	bool documents = false, devices = false;
	for (uint32_t i = 0; code == 0 && i < input->format_count; i++) {
		struct weir_str format = input->formats[i];
		size_t k = 0;
		while (k < LAKE_COUNT(formats) && !weir_str_is(format, formats[k]))
			k++;
		if (k == LAKE_COUNT(formats))
			code = lake_yaml_unknown(yaml, lake_yaml_element(values[I_FORMAT], i), "format", format,
				formats, LAKE_COUNT(formats), err);
		documents |= weir_str_is(format, "json") || weir_str_is(format, "ndjson");
		devices |= is_device_format(format);
	}
	if (code == 0)
		code = lake_yaml_texts(yaml, values[I_WHEN], &input->when, &input->when_count, err);
	if (code == 0 && input->when_count > 0 && !documents)
		code = lake_yaml_fail(yaml, values[I_WHEN], WEIR_E_INPUT, err,
			"'when' names members of JSON documents; %s has no json format", what);
	input->sql = input->sql_path = WEIR_STR("");
	if (code == 0)
		code = lake_yaml_file(yaml, values[I_SQL], LAKE_MAX_TEXT_BYTES, &input->sql_path, &input->sql, err);
	if (code == 0 && devices && values[I_SQL] == NULL)
		code = lake_yaml_fail(yaml, entry->key, WEIR_E_INPUT, err,
			"%s reads device files, whose points are no events yet; add 'sql: FILE.sql'", what);
	if (code == 0)
		code = lake_yaml_names(yaml, values[I_ASK], &input->ask, &input->ask_count, err);
	return code;
}

static int read_inputs(struct lake_yaml *yaml, struct fy_node *node, struct lake_stream *stream, struct weir_error *err)
{
	static const struct weir_str event_formats[] = {{"json", 4}, {"ndjson", 6}, {"csv", 3}, {"parquet", 7}};
	struct lake_entry *entries = NULL;
	uint32_t count = 0;
	int code = lake_yaml_entries(yaml, node, "inputs", &entries, &count, err);
	if (code < 0)
		return code;
	struct lake_input *inputs = weir_arena_calloc(yaml->arena, count > 0 ? count : 1, sizeof *inputs);
	stream->inputs = inputs;
	stream->input_count = count > 0 ? count : 1;
	if (count == 0)
		inputs[0] = (struct lake_input){.name = WEIR_STR("event"),
			.formats = event_formats,
			.format_count = LAKE_COUNT(event_formats),
			.sql = WEIR_STR(""),
			.sql_path = WEIR_STR("")};
	for (uint32_t i = 0; code == 0 && i < count; i++)
		code = read_input(yaml, &entries[i], &inputs[i], err);
	return code;
}

/* The three columns that a stream turns on must be properties of its schema, of the right type. */
static int check_schema(
	struct lake_yaml *yaml, struct fy_node *const *nodes, const struct lake_stream *stream, struct weir_error *err)
{
	static const char *const wanted[3] = {"uuid", NULL, "date-time"};
	const struct weir_str columns[3] = {stream->id, stream->key, stream->time};
	json_error_t problem;
	int code = 0;
	json_t *schema = json_loadb(stream->schema.data, stream->schema.size, JSON_REJECT_DUPLICATES, &problem);
	if (schema == NULL) {
		code = weir_fail_at(err, WEIR_E_INPUT, stream->schema_path, (uint64_t)problem.position,
			"line %d: is not JSON: %s", problem.line, problem.text);
		goto done;
	}
	json_t *properties = json_object_get(schema, "properties");
	for (int i = 0; code == 0 && i < 3; i++) {
		json_t *property = json_object_getn(properties, columns[i].data, columns[i].size);
		const char *format = json_string_value(json_object_get(property, "format"));
		if (property == NULL)
			code = lake_yaml_fail(yaml, nodes[i], WEIR_E_INPUT, err, "'%.*s' is no property of %.*s",
				WEIR_STR_ARG(columns[i]), WEIR_STR_ARG(stream->schema_path));
		else if (wanted[i] != NULL && (format == NULL || strcmp(format, wanted[i]) != 0))
			code = lake_yaml_fail(yaml, nodes[i], WEIR_E_INPUT, err,
				"'%.*s' must be a string of format %s in %.*s", WEIR_STR_ARG(columns[i]), wanted[i],
				WEIR_STR_ARG(stream->schema_path));
	}
done:
	json_decref(schema);
	return code;
}

static int read_late(struct lake_yaml *yaml, struct fy_node *node, struct lake_stream *stream, struct weir_error *err)
{
	enum { L_DELAY, L_ALLOWED, L_IDLE, L_AHEAD, L_BEYOND, L_COUNT };
	static const char *const keys[L_COUNT] = {"delay", "allowed", "idle", "max_ahead", "beyond"};
	static const char *const beyond[] = {"keep", "dead_letter"};
	struct fy_node *values[L_COUNT];
	uint32_t choice = 0;
	stream->late_delay_us = 5 * WEIR_US_PER_MINUTE;
	stream->late_allowed_us = WEIR_US_PER_HOUR;
	stream->late_idle_us = 30 * WEIR_US_PER_SECOND;
	stream->late_max_ahead_us = 10 * WEIR_US_PER_MINUTE;
	int code = lake_yaml_members(yaml, node, "late", keys, L_COUNT, values, err);
	if (code == 0)
		code = lake_yaml_duration(yaml, values[L_DELAY], &stream->late_delay_us, err);
	if (code == 0)
		code = lake_yaml_duration(yaml, values[L_ALLOWED], &stream->late_allowed_us, err);
	if (code == 0)
		code = lake_yaml_duration(yaml, values[L_IDLE], &stream->late_idle_us, err);
	if (code == 0)
		code = lake_yaml_duration(yaml, values[L_AHEAD], &stream->late_max_ahead_us, err);
	if (code == 0)
		code = lake_yaml_choice(
			yaml, values[L_BEYOND], "choice for beyond:", beyond, LAKE_COUNT(beyond), &choice, err);
	stream->beyond_dead_letter = choice == 1;
	return code;
}

static int read_epoch(struct lake_yaml *yaml, struct fy_node *node, struct lake_stream *stream, struct weir_error *err)
{
	static const char *const keys[] = {"every", "size"};
	struct fy_node *values[LAKE_COUNT(keys)];
	stream->epoch_every_us = WEIR_US_PER_SECOND;
	stream->epoch_bytes = 64U << 20;
	int code = lake_yaml_members(yaml, node, "epoch", keys, LAKE_COUNT(keys), values, err);
	if (code == 0)
		code = lake_yaml_duration(yaml, values[0], &stream->epoch_every_us, err);
	if (code == 0 && stream->epoch_every_us <= 0)
		code = lake_yaml_fail(yaml, values[0], WEIR_E_INPUT, err, "an epoch must last longer than nothing");
	if (code == 0)
		code = lake_yaml_size(yaml, values[1], &stream->epoch_bytes, err);
	return code;
}

static int read_stream(
	struct lake_yaml *yaml, const struct lake_entry *entry, struct lake_stream *stream, struct weir_error *err)
{
	enum { S_SCHEMA, S_ID, S_KEY, S_TIME, S_DEDUP, S_LATE, S_EPOCH, S_CHANNELS, S_INPUTS, S_COUNT };
	static const char *const keys[S_COUNT] = {
		"schema", "id", "key", "time", "dedup", "late", "epoch", "channels", "inputs"};
	struct fy_node *values[S_COUNT];
	char what[96];
	int code = lake_name_check(yaml, entry->key, entry->name, err);
	if (code < 0)
		return code;
	snprintf(what, sizeof what, "stream %.*s", WEIR_STR_ARG(entry->name));
	stream->name = weir_arena_str(yaml->arena, entry->name);
	code = lake_yaml_members(yaml, entry->value, what, keys, S_COUNT, values, err);
	for (int i = S_SCHEMA; code == 0 && i <= S_TIME; i++) {
		if (values[i] == NULL)
			code = lake_yaml_fail(yaml, entry->key, WEIR_E_INPUT, err, "%s has no %s; add '%s: ...'", what,
				keys[i], keys[i]);
	}
	if (code == 0)
		code = lake_yaml_file(
			yaml, values[S_SCHEMA], LAKE_MAX_SCHEMA_BYTES, &stream->schema_path, &stream->schema, err);
	if (code == 0)
		code = lake_yaml_name(yaml, values[S_ID], &stream->id, err);
	if (code == 0)
		code = lake_yaml_name(yaml, values[S_KEY], &stream->key, err);
	if (code == 0)
		code = lake_yaml_name(yaml, values[S_TIME], &stream->time, err);
	if (code == 0)
		code = check_schema(yaml, &values[S_ID], stream, err);
	stream->dedup_us = WEIR_US_PER_DAY;
	if (code == 0)
		code = lake_yaml_duration(yaml, values[S_DEDUP], &stream->dedup_us, err);
	if (code == 0)
		code = read_late(yaml, values[S_LATE], stream, err);
	if (code == 0)
		code = read_epoch(yaml, values[S_EPOCH], stream, err);
	if (code == 0)
		code = read_channels(yaml, values[S_CHANNELS], stream, err);
	if (code == 0)
		code = read_inputs(yaml, values[S_INPUTS], stream, err);
	return code;
}

int lake_read_streams(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err)
{
	struct lake_entry *entries = NULL;
	uint32_t count = 0;
	int code = lake_yaml_entries(yaml, node, "streams", &entries, &count, err);
	if (code < 0)
		return code;
	if (count == 0)
		return lake_yaml_fail(
			yaml, node, WEIR_E_INPUT, err, "the lake has no stream; add one under 'streams:'");
	struct lake_stream *streams = weir_arena_calloc(yaml->arena, count, sizeof *streams);
	for (uint32_t i = 0; code == 0 && i < count; i++)
		code = read_stream(yaml, &entries[i], &streams[i], err);
	yaml->lake->streams = streams;
	yaml->lake->stream_count = count;
	return code;
}
