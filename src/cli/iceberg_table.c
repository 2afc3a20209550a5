/*
 * Any Iceberg table, wherever it is (iceberg_place.h): weir schema, partitions, refs show it; evolve, branch, tag, rollback change its
 * metadata; compact, expire and orphans are its upkeep.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "base/uuid.h"
#include "cli/iceberg_place_int.h"
#include "column/row_json.h"
#include "column/text.h"
#include "iceberg/revise.h"
#include "iceberg/upkeep.h"

static int64_t now_ms(void)
{
	struct weir_clock clock = weir_clock_system();
	return clock.now_us(clock.self) / WEIR_US_PER_MS;
}

static int finish(struct cli_place *place, int rc, const struct weir_error *err)
{
	int result = rc == 0 ? CLI_DONE : rc > 0 ? rc : cli_fail(err);
	cli_place_close(place);
	return result;
}

/* A new prefix of file names: a UUID. */
static struct weir_str new_prefix(char buffer[WEIR_UUID_TEXT])
{
	struct weir_uuid uuid = weir_uuid_v7(now_ms() * WEIR_US_PER_MS);
	weir_uuid_format(&uuid, buffer);
	return weir_str_from(buffer);
}

/* ---- printing batches ---- */

struct printer {
	struct cli_table *table;
	struct weir_buf text; /* of JSON */
	struct weir_json json;
	bool as_json;
};

static int print_batch(void *context, const struct weir_batch *batch, struct weir_error *err)
{
	struct printer *printer = context;
	(void)err;
	for (uint32_t row = 0; row < batch->row_count; row++) {
		if (printer->as_json) {
			weir_row_json(&printer->json, batch, row);
			continue;
		}
		for (uint32_t i = 0; i < batch->schema->field_count; i++) {
			char buffer[WEIR_VALUE_TEXT];
			struct weir_str text = WEIR_STR("");
			if (weir_column_is_valid(&batch->columns[i], row))
				text = weir_column_text(&batch->schema->fields[i], &batch->columns[i], row, buffer);
			cli_table_cell(printer->table, text);
		}
		cli_table_end_row(printer->table);
	}
	return 0;
}

int cli_place_snapshot(struct cli_place *place, const char *at, int64_t *ret_id, struct weir_error *err)
{
	const struct ice_metadata *metadata = ice_table_metadata(cli_place_table(place));
	const struct ice_snapshot *snapshot;
	int64_t number, time_us;
	*ret_id = -1;
	if (at == NULL)
		return 0;
	snapshot = ice_ref_snapshot(metadata, weir_str_from(at));
	if (snapshot == NULL && weir_str_to_i64(weir_str_from(at), &number))
		snapshot = ice_metadata_snapshot(metadata, number);
	if (snapshot == NULL && weir_time_parse(weir_str_from(at), WEIR_ZONE_UTC, &time_us))
		snapshot = ice_snapshot_at(metadata, time_us / WEIR_US_PER_MS);
	if (snapshot == NULL)
		return weir_fail(err, WEIR_E_NOT_FOUND, "'%s' is no snapshot, branch, tag or time of the table", at);
	*ret_id = snapshot->id;
	return 0;
}

static int print_metadata_table_in(
	const struct cli_args *args, const char *catalog, const char *word, enum ice_metadata_table which)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct cli_place *place = NULL;
	struct printer printer = {.table = cli_table_new(), .as_json = cli_flag(args, "--json")};
	const struct weir_schema *schema = ice_metadata_table_schema(which);
	int64_t snapshot = -1;
	printer.json = weir_json_to(&printer.text);
	for (uint32_t i = 0; i < schema->field_count; i++)
		cli_table_cell(printer.table, schema->fields[i].name);
	cli_table_end_row(printer.table);
	weir_json_array(&printer.json);
	int rc = cli_place_open_in(args, catalog, word, &place, &err);
	if (rc == 0)
		rc = cli_place_snapshot(place, cli_option(args, "--at"), &snapshot, &err);
	if (rc == 0)
		rc = ice_metadata_table_scan(cli_place_table(place), which, snapshot, print_batch, &printer, &err);
	weir_json_array_end(&printer.json);
	if (rc == 0 && printer.as_json)
		printf("%.*s\n", WEIR_STR_ARG(weir_buf_str(&printer.text)));
	else if (rc == 0)
		cli_table_print(printer.table, stdout);
	cli_table_free(printer.table);
	weir_buf_done(&printer.text);
	return finish(place, rc, &err);
}

static int print_metadata_table(const struct cli_args *args, enum ice_metadata_table which)
{
	return print_metadata_table_in(args, cli_option(args, "--catalog"), args->words[0], which);
}

int cli_catalog_metadata_table(const struct cli_args *args, enum ice_metadata_table which)
{
	return print_metadata_table_in(args, args->words[0], args->words[1], which);
}

struct table_list {
	struct cli_table *table;
	struct weir_json json;
	const char *wanted; /* NULL: all */
	uint32_t count;
};

static int list_table(
	void *context, struct weir_str ns, struct weir_str name, struct weir_str uri, struct weir_error *err)
{
	struct table_list *list = context;
	struct ice_name wanted;
	if (list->wanted != NULL &&
		(place_split_name(list->wanted, &wanted, err) != 0 || !weir_str_equal(wanted.ns, ns) ||
			!weir_str_equal(wanted.table, name)))
		return 0;
	list->count++;
	cli_table_cell(list->table, ns);
	cli_table_cell(list->table, name);
	cli_table_cell(list->table, uri);
	cli_table_end_row(list->table);
	weir_json_object(&list->json);
	weir_json_key_string(&list->json, "namespace", ns);
	weir_json_key_string(&list->json, "name", name);
	if (uri.size > 0)
		weir_json_key_string(&list->json, "metadata", uri);
	weir_json_object_end(&list->json);
	return 0;
}

int cli_catalog_tables(const struct cli_args *args)
{
	static const char *const heads[] = {"namespace", "table", "metadata"};
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf text = WEIR_BUF_INIT;
	struct table_list list = {.table = cli_table_new(),
		.json = weir_json_to(&text),
		.wanted = args->word_count > 1 ? args->words[1] : NULL};
	weir_json_array(&list.json);
	for (size_t i = 0; i < 3; i++)
		cli_table_cell(list.table, weir_str_from(heads[i]));
	cli_table_end_row(list.table);
	int rc = cli_place_tables(args, args->words[0], list_table, &list, &err);
	weir_json_array_end(&list.json);
	if (rc == 0 && list.wanted != NULL && list.count == 0)
		rc = weir_fail(&err, WEIR_E_NOT_FOUND, "the catalog has no table '%s'; without it all are listed",
			list.wanted);
	if (rc == 0 && cli_flag(args, "--json"))
		printf("{\"tables\":%.*s}\n", WEIR_STR_ARG(weir_buf_str(&text)));
	else if (rc == 0)
		cli_table_print(list.table, stdout);
	cli_table_free(list.table);
	weir_buf_done(&text);
	return rc == 0 ? CLI_DONE : cli_fail(&err);
}

int cmd_partitions(const struct cli_args *args)
{
	return print_metadata_table(args, ICE_TABLE_PARTITIONS);
}

int cmd_refs(const struct cli_args *args)
{
	return print_metadata_table(args, ICE_TABLE_REFS);
}

/* ---- weir schema ---- */

static void print_fields(struct cli_table *table, struct weir_arena *arena, const char *above,
	const struct weir_field *fields, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		char type[128], id[16];
		const char *path = weir_arena_printf(arena, "%s%.*s", above, WEIR_STR_ARG(fields[i].name));
		snprintf(id, sizeof id, "%d", fields[i].id);
		cli_table_cell(table, weir_str_from(id));
		cli_table_cell(table, weir_str_from(path));
		cli_table_cell(table,
			weir_type_is_nested(fields[i].type) && fields[i].type == WEIR_STRUCT
				? WEIR_STR("struct")
				: weir_str_from(weir_type_name(&fields[i], type, sizeof type)));
		cli_table_cell(table, fields[i].required ? WEIR_STR("required") : WEIR_STR("optional"));
		cli_table_cell(table, fields[i].initial_default);
		cli_table_cell(table, fields[i].doc);
		cli_table_end_row(table);
		print_fields(
			table, arena, weir_arena_printf(arena, "%s.", path), fields[i].children, fields[i].child_count);
	}
}

static const char *column_name(const struct weir_schema *schema, int32_t id, struct weir_arena *arena)
{
	uint32_t column = weir_schema_find_id(schema, id);
	return column != WEIR_NO_FIELD ? weir_arena_cstr(arena, schema->fields[column].name) : "?";
}

static void print_order(const struct ice_metadata *metadata, const struct weir_schema *schema, struct weir_arena *arena)
{
	char name[64];
	for (uint32_t i = 0; i < metadata->sort_order_count; i++)
		for (uint32_t j = 0; metadata->sort_orders[i].id == metadata->default_sort_order_id &&
			j < metadata->sort_orders[i].field_count;
			j++) {
			const struct ice_sort_field *field = &metadata->sort_orders[i].fields[j];
			printf("%s %s(%s) %s, nulls %s\n", j == 0 ? "sorted by" : "      and",
				ice_transform_name(field->transform, name, sizeof name),
				column_name(schema, field->source_id, arena), field->descending ? "desc" : "asc",
				field->nulls_last ? "last" : "first");
		}
}

static void print_layout(
	const struct ice_metadata *metadata, const struct weir_schema *schema, struct weir_arena *arena)
{
	const struct ice_spec *spec = ice_metadata_spec(metadata, metadata->default_spec_id);
	char name[64];
	printf("format version %d, schema %d of %u, partition spec %d of %u\nlocation %.*s\n", metadata->format_version,
		schema->id, metadata->schema_count, spec->id, metadata->spec_count, WEIR_STR_ARG(metadata->location));
	for (uint32_t i = 0; i < spec->field_count; i++) {
		const struct ice_partition_field *field = &spec->fields[i];
		const char *source = column_name(schema, field->source_id, arena);
		printf("%s %.*s = %s(%s)\n", i == 0 ? "partitioned by" : "          and", WEIR_STR_ARG(field->name),
			ice_transform_name(field->transform, name, sizeof name), source);
	}
	print_order(metadata, schema, arena);
	printf("\n");
}

int cmd_schema(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct cli_place *place = NULL;
	struct weir_buf text = WEIR_BUF_INIT;
	static const char *const heads[] = {"id", "column", "type", "", "default", "doc"};
	int64_t snapshot_id = -1;
	int rc = cli_place_open(args, &place, &err);
	if (rc == 0)
		rc = cli_place_snapshot(place, cli_option(args, "--at"), &snapshot_id, &err);
	if (rc != 0)
		return finish(place, rc, &err);
	const struct ice_metadata *metadata = ice_table_metadata(cli_place_table(place));
	const struct weir_schema *schema = ice_table_schema(cli_place_table(place));
	const struct ice_snapshot *snapshot = ice_metadata_snapshot(metadata, snapshot_id);
	if (snapshot != NULL && ice_metadata_schema(metadata, snapshot->schema_id) != NULL)
		schema = ice_metadata_schema(metadata, snapshot->schema_id);
	if (cli_flag(args, "--json")) {
		struct weir_json json = weir_json_to(&text);
		ice_schema_json(schema, &json);
		printf("%.*s\n", WEIR_STR_ARG(weir_buf_str(&text)));
		weir_buf_done(&text);
		return finish(place, 0, &err);
	}
	struct cli_table *table = cli_table_new();
	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
		cli_table_cell(table, weir_str_from(heads[i]));
	cli_table_end_row(table);
	print_layout(metadata, schema, args->arena);
	print_fields(table, args->arena, "", schema->fields, schema->field_count);
	cli_table_print(table, stdout);
	cli_table_free(table);
	return finish(place, 0, &err);
}

/* ---- changes of metadata ---- */

/* "table NAME is now at FILE", or as JSON. */
static void print_version(const struct cli_args *args, struct cli_place *place)
{
	struct weir_str uri = ice_table_metadata_uri(cli_place_table(place));
	const struct ice_metadata *metadata = ice_table_metadata(cli_place_table(place));
	if (!cli_flag(args, "--json")) {
		printf("done: %.*s\n", WEIR_STR_ARG(uri));
		return;
	}
	struct weir_buf text = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&text);
	weir_json_object(&json);
	weir_json_key_string(&json, "metadata", uri);
	weir_json_key_int(&json, "current_snapshot_id", metadata->current_snapshot_id);
	weir_json_key_int(&json, "snapshots", metadata->snapshot_count);
	weir_json_object_end(&json);
	printf("%.*s\n", WEIR_STR_ARG(weir_buf_str(&text)));
	weir_buf_done(&text);
}

static int revise(const struct cli_args *args, struct cli_place *place, ice_revise_fn *change, void *context,
	struct weir_error *err)
{
	char prefix[WEIR_UUID_TEXT];
	struct ice_prepared *prepared;
	int rc = cli_place_writable(place, err);
	if (rc == 0)
		rc = ice_revise(cli_place_table(place), change, context, new_prefix(prefix), now_ms(), &prepared, err);
	if (rc == 0)
		rc = cli_place_commit(place, prepared, err);
	if (rc == 0)
		print_version(args, place);
	return rc;
}

/* "left=right" in two; false where there is no '='. */
static bool split(const char *text, char by, struct weir_str *left, struct weir_str *right)
{
	const char *at = strchr(text, by);
	*left = (struct weir_str){text, at != NULL ? (size_t)(at - text) : strlen(text)};
	*right = weir_str_from(at != NULL ? at + 1 : NULL);
	return at != NULL;
}

/* One option of `weir evolve` as a step. False: the option is none, or its value lacks a part. */
static bool evolve_step(const char *name, const char *value, struct ice_evolve_step *step, bool *ret_is_step)
{
	static const struct {
		const char *name;
		enum ice_evolve_kind kind;
		char by; /* between path and the other part; 0: path alone */
	} options[] = {
		{"--add", ICE_ADD_COLUMN, ':'},
		{"--drop", ICE_DROP_COLUMN, 0},
		{"--rename", ICE_RENAME_COLUMN, '='},
		{"--type", ICE_PROMOTE, '='},
		{"--optional", ICE_MAKE_OPTIONAL, 0},
		{"--doc", ICE_SET_DOC, '='},
		{"--first", ICE_MOVE_FIRST, 0},
		{"--after", ICE_MOVE_AFTER, '='},
		{"--partition", ICE_ADD_PARTITION, 0},
		{"--unpartition", ICE_DROP_PARTITION, 0},
		{"--sort", ICE_SET_SORT, 0},
		{"--unsort", ICE_SET_SORT, 0},
		{"--set", ICE_SET_PROPERTY, '='},
		{"--unset", ICE_UNSET_PROPERTY, 0},
		{"--upgrade", ICE_UPGRADE, 0},
	};
	struct weir_str other = {0};
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		if (strcmp(options[i].name, name) != 0)
			continue;
		*ret_is_step = true;
		*step = (struct ice_evolve_step){.kind = options[i].kind, .path = weir_str_from(value)};
		if (options[i].by != 0 && !split(value, options[i].by, &step->path, &other))
			return false;
		if (step->kind == ICE_PROMOTE)
			step->type = other;
		else
			step->value = other;
		if (step->kind == ICE_ADD_COLUMN) { /* path:type=default */
			struct weir_str type, fallback;
			split(other.data, '=', &type, &fallback);
			step->type = type;
			step->value = fallback;
		}
		return true;
	}
	*ret_is_step = false;
	return true;
}

int cmd_evolve(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct cli_place *place = NULL;
	struct ice_evolve_step *steps = weir_arena_calloc(args->arena, args->option_count, sizeof *steps);
	struct ice_evolution evolution = {steps, 0};
	for (uint32_t i = 0; i < args->option_count; i++) {
		bool is_step;
		if (!evolve_step(args->names[i], args->values[i], &steps[evolution.count], &is_step))
			return cli_wrong_use(args, "%s lacks a part: '%s'", args->names[i], args->values[i]);
		evolution.count += is_step;
	}
	if (evolution.count == 0)
		return cli_wrong_use(args, "nothing to change");
	int rc = cli_place_open(args, &place, &err);
	if (rc == 0)
		rc = revise(args, place, ice_revise_evolve, &evolution, &err);
	return finish(place, rc, &err);
}

/* A duration of an option in milliseconds; absent where it is not given. False after having said what is wrong. */
static bool duration_ms(const struct cli_args *args, const char *name, int64_t absent, int64_t *ret_ms)
{
	const char *text = cli_option(args, name);
	int64_t us;
	*ret_ms = absent;
	if (text == NULL)
		return true;
	if (!weir_duration_parse(weir_str_from(text), &us)) {
		cli_wrong_use(args, "%s takes a duration such as 12h or 30d, not '%s'", name, text);
		return false;
	}
	*ret_ms = us / WEIR_US_PER_MS;
	return true;
}

/* Branches and tags alike: without NAME they are listed. */
static int change_ref(const struct cli_args *args, bool is_tag)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct cli_place *place = NULL;
	struct ice_ref_edit edit = {
		.action = ICE_REF_CREATE, .is_tag = is_tag, .max_snapshot_age_ms = -1, .min_snapshots_to_keep = -1};
	if (args->word_count < 2)
		return print_metadata_table(args, ICE_TABLE_REFS);
	if (!duration_ms(args, "--keep", -1, &edit.max_ref_age_ms))
		return CLI_WRONG_USE;
	edit.name = weir_str_from(args->words[1]);
	const char *to = is_tag ? NULL : cli_option(args, "--fast-forward");
	if (to != NULL) {
		edit.action = ICE_REF_FAST_FORWARD;
		edit.to = weir_str_from(to);
	} else if (cli_flag(args, "--drop")) {
		edit.action = ICE_REF_DROP;
	}
	int rc = cli_place_open(args, &place, &err);
	if (rc == 0)
		rc = cli_place_snapshot(place, cli_option(args, "--at"), &edit.snapshot_id, &err);
	if (rc == 0)
		rc = revise(args, place, ice_revise_ref, &edit, &err);
	return finish(place, rc, &err);
}

int cmd_branch(const struct cli_args *args)
{
	return change_ref(args, false);
}

int cmd_tag(const struct cli_args *args)
{
	return change_ref(args, true);
}

int cmd_rollback(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct cli_place *place = NULL;
	struct ice_rollback rollback = {.now_ms = now_ms()};
	if (cli_option(args, "--at") == NULL)
		return cli_wrong_use(args, "--at says which snapshot, tag or time main goes back to");
	int rc = cli_place_open(args, &place, &err);
	if (rc == 0)
		rc = cli_place_snapshot(place, cli_option(args, "--at"), &rollback.snapshot_id, &err);
	if (rc == 0)
		rc = revise(args, place, ice_revise_rollback, &rollback, &err);
	return finish(place, rc, &err);
}

int cmd_expire(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct cli_place *place = NULL;
	struct ice_expiry expiry = {.now_ms = now_ms(), .keep_last = 1};
	int64_t age_ms;
	double keep = 0;
	if (!duration_ms(args, "--older-than", -1, &age_ms))
		return CLI_WRONG_USE;
	if (cli_option(args, "--keep") != NULL && !cli_number(args, "--keep", 1, 1000000, &keep))
		return CLI_WRONG_USE;
	expiry.older_than_ms = expiry.now_ms - ICE_EXPIRY_AGE_MS;
	int rc = cli_place_open(args, &place, &err);
	if (rc == 0)
		rc = ice_expiry_read(ice_table_metadata(cli_place_table(place)), &expiry, &err);
	if (age_ms >= 0)
		expiry.older_than_ms = expiry.now_ms - age_ms;
	if (keep > 0)
		expiry.keep_last = (uint32_t)keep;
	if (rc == 0)
		rc = revise(args, place, ice_revise_expire, &expiry, &err);
	return finish(place, rc, &err);
}

/* ---- compaction ---- */

struct compacting {
	struct cli_place *place;
	bool show;
};

static int commit_edit(void *context, struct ice_table *table, const struct ice_edit *edit,
	struct ice_table **ret_table, struct weir_error *err)
{
	struct compacting *compacting = context;
	struct ice_prepared *prepared;
	int rc = ice_prepare(table, edit, &prepared, err);
	if (rc == 0)
		rc = cli_place_commit(compacting->place, prepared, err);
	if (rc == 0)
		*ret_table = ice_table_ref(cli_place_table(compacting->place));
	return rc;
}

static void show_progress(void *context, const struct ice_compact_counts *counts)
{
	const struct compacting *compacting = context;
	char read[24], written[24];
	cli_bytes_text(counts->bytes_read, read);
	cli_bytes_text(counts->bytes_written, written);
	if (compacting->show)
		fprintf(stderr, "%llu files, %s -> %llu files, %s\n", (unsigned long long)counts->files_read, read,
			(unsigned long long)counts->files_written, written);
}

/* Field ids of "a,b"; false after having said what is wrong. */
static bool columns_of(const struct cli_args *args, const struct ice_table *table, const char *list, int32_t *columns,
	uint32_t *ret_count)
{
	*ret_count = 0;
	while (list != NULL && *list != '\0') {
		struct weir_str name = {list, strcspn(list, ",")};
		uint32_t column = weir_schema_find(ice_table_schema(table), name);
		if (column == WEIR_NO_FIELD || *ret_count == ICE_COMPACT_COLUMNS) {
			cli_wrong_use(
				args, "the table has no column '%.*s', or there are too many", WEIR_STR_ARG(name));
			return false;
		}
		columns[(*ret_count)++] = ice_table_schema(table)->fields[column].id;
		list += name.size + (list[name.size] == ',');
	}
	return true;
}

static void print_counts(const struct cli_args *args, const struct ice_compact_counts *counts)
{
	if (!cli_flag(args, "--json")) {
		printf("%llu files became %llu in %u commits; %llu rows, %llu deleted rows left out, %llu delete files "
		       "gone\n",
			(unsigned long long)counts->files_read, (unsigned long long)counts->files_written,
			counts->commits, (unsigned long long)counts->rows, (unsigned long long)counts->rows_deleted,
			(unsigned long long)counts->delete_files_removed);
		return;
	}
	printf("{\"files_read\":%llu,\"files_written\":%llu,\"bytes_read\":%llu,\"bytes_written\":%llu,\"rows\":%llu,"
	       "\"rows_deleted\":%llu,\"delete_files_removed\":%llu,\"commits\":%u}\n",
		(unsigned long long)counts->files_read, (unsigned long long)counts->files_written,
		(unsigned long long)counts->bytes_read, (unsigned long long)counts->bytes_written,
		(unsigned long long)counts->rows, (unsigned long long)counts->rows_deleted,
		(unsigned long long)counts->delete_files_removed, counts->commits);
}

int cmd_compact(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct compacting compacting = {.show = isatty(STDERR_FILENO) != 0};
	struct ice_compact_counts counts = {0};
	char prefix[WEIR_UUID_TEXT];
	int32_t columns[ICE_COMPACT_COLUMNS];
	struct ice_compact_options options = {
		.columns = columns, .all = cli_flag(args, "--all"), .prefix = new_prefix(prefix), .now_ms = now_ms()};
	const char *sort = cli_option(args, "--sort"), *zorder = cli_option(args, "--zorder"),
		   *target = cli_option(args, "--target");
	if (sort != NULL && zorder != NULL)
		return cli_wrong_use(args, "--sort and --zorder are two orders; take one");
	if (target != NULL && !weir_size_parse(weir_str_from(target), &options.target_bytes))
		return cli_wrong_use(args, "--target takes a size such as 128MiB, not '%s'", target);
	options.order = sort != NULL ? ICE_COMPACT_SORT : zorder != NULL ? ICE_COMPACT_ZORDER : ICE_COMPACT_OWN;
	int rc = cli_place_open(args, &compacting.place, &err);
	if (rc == 0)
		rc = cli_place_writable(compacting.place, &err);
	if (rc == 0 &&
		!columns_of(args, cli_place_table(compacting.place), sort != NULL ? sort : zorder, columns,
			&options.column_count))
		rc = CLI_WRONG_USE;
	if (rc == 0 && cli_flag(args, "--manifests"))
		rc = ice_rewrite_manifests(cli_place_table(compacting.place), options.prefix, options.now_ms,
			commit_edit, &compacting, &err);
	else if (rc == 0)
		rc = ice_compact(cli_place_table(compacting.place), &options, commit_edit, show_progress, &compacting,
			&counts, &err);
	if (rc == 0)
		print_counts(args, &counts);
	return finish(compacting.place, rc, &err);
}

/* ---- orphans ---- */

struct orphans {
	struct cli_place *place;
	struct cli_table *table;
	struct weir_arena *arena;
	const char **names;
	uint32_t count, capacity;
	uint64_t bytes;
	struct weir_buf text;
	struct weir_json json;
};

static int reload_place(void *context, struct ice_table **ret_table, struct weir_error *err)
{
	return cli_place_reload(((struct orphans *)context)->place, ret_table, err);
}

static int take_orphan(void *context, const struct store_object *object, struct weir_error *err)
{
	struct orphans *orphans = context;
	char bytes[24], time[WEIR_TIME_TEXT];
	(void)err;
	WEIR_GROW(orphans->names, orphans->count, orphans->capacity);
	orphans->names[orphans->count++] = weir_arena_cstr(orphans->arena, object->name);
	orphans->bytes += object->size_bytes;
	cli_bytes_text(object->size_bytes, bytes);
	cli_table_cell(orphans->table, object->name);
	cli_table_cell(orphans->table, weir_str_from(bytes));
	cli_table_cell(orphans->table, (struct weir_str){time, weir_time_format(object->modified_us, time)});
	cli_table_end_row(orphans->table);
	weir_json_object(&orphans->json);
	weir_json_key_string(&orphans->json, "name", object->name);
	weir_json_key_uint(&orphans->json, "size_bytes", object->size_bytes);
	weir_json_key(&orphans->json, "modified_at");
	weir_json_time(&orphans->json, object->modified_us);
	weir_json_object_end(&orphans->json);
	return 0;
}

int cmd_orphans(const struct cli_args *args)
{
	static const char *const heads[] = {"file", "size", "modified"};
	struct weir_error err = WEIR_ERROR_INIT;
	struct orphans orphans = {.table = cli_table_new(), .arena = args->arena};
	bool delete = cli_flag(args, "--delete");
	int64_t grace_ms;
	char bytes[24];
	orphans.json = weir_json_to(&orphans.text);
	weir_json_array(&orphans.json);
	for (size_t i = 0; i < 3; i++)
		cli_table_cell(orphans.table, weir_str_from(heads[i]));
	cli_table_end_row(orphans.table);
	int rc = duration_ms(args, "--older-than", 3 * 24 * 3600000LL, &grace_ms) ? 0 : CLI_WRONG_USE;
	if (rc == 0)
		rc = cli_place_open(args, &orphans.place, &err);
	if (rc == 0 && delete)
		rc = cli_place_writable(orphans.place, &err);
	if (rc == 0 && delete)
		rc = cli_place_alone(orphans.place, args, &err);
	if (rc == 0)
		rc = ice_orphans(
			cli_place_table(orphans.place), now_ms(), grace_ms, reload_place, take_orphan, &orphans, &err);
	if (rc == 0 && delete &&orphans.count > 0)
		rc = store_delete_many(cli_place_store(orphans.place), orphans.names, orphans.count, &err);
	weir_json_array_end(&orphans.json);
	cli_bytes_text(orphans.bytes, bytes);
	if (rc == 0 && cli_flag(args, "--json"))
		printf("%.*s\n", WEIR_STR_ARG(weir_buf_str(&orphans.text)));
	else if (rc == 0) {
		if (orphans.count > 0)
			cli_table_print(orphans.table, stdout);
		printf("%u files, %s%s\n", orphans.count, bytes,
			orphans.count == 0 ? ""
				: delete   ? " deleted"
					   : "; --delete deletes them");
	}
	cli_table_free(orphans.table);
	weir_buf_done(&orphans.text);
	free(orphans.names);
	return finish(orphans.place, rc, &err);
}
