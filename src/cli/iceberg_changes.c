/* weir changes: rows of an Iceberg table that came and went between two snapshots. */
#include <stdlib.h>
#include <string.h>

#include "cli/iceberg_place.h"
#include "column/row_json.h"
#include "column/text.h"
#include "iceberg/changelog.h"

#define KEY_COLUMNS 16

struct output {
	struct cli_table *table;
	struct weir_buf text; /* JSON that is not printed yet */
	struct weir_json json;
	bool as_json;
};

static void print_text(struct output *output)
{
	fwrite(output->text.data, 1, output->text.size, stdout);
	output->text.size = 0;
}

static int print_changes(void *context, const struct weir_batch *batch, struct weir_error *err)
{
	struct output *output = context;
	char buffer[WEIR_VALUE_TEXT];
	(void)err;
	for (uint32_t row = 0; row < batch->row_count; row++) {
		if (output->as_json) {
			weir_row_json(&output->json, batch, row);
			continue;
		}
		for (uint32_t i = 0; i < batch->schema->field_count; i++) {
			const struct weir_field *field = &batch->schema->fields[i];
			const struct weir_column *column = &batch->columns[i];
			struct weir_str text = {0};
			if (weir_column_is_valid(column, row) && weir_type_is_nested(field->type)) {
				weir_cell_json(&output->json, field, column, row);
				text = weir_buf_str(&output->text);
			} else if (weir_column_is_valid(column, row)) {
				text = weir_column_text(field, column, row, buffer);
			}
			cli_table_cell(output->table, text);
			output->text.size = 0;
			output->json = weir_json_to(&output->text);
		}
		cli_table_end_row(output->table);
	}
	if (output->as_json)
		print_text(output);
	return 0;
}

/* Field ids of --key a,b, or the schema's identifier fields; false after having said what is wrong. */
static bool key_columns(
	const struct cli_args *args, const struct weir_schema *schema, int32_t *ids, uint32_t *ret_count)
{
	const char *list = cli_option(args, "--key");
	*ret_count = 0;
	if (list == NULL && !cli_flag(args, "--updates"))
		return true;
	for (uint32_t i = 0; list == NULL && i < schema->identifier_count && i < KEY_COLUMNS; i++)
		ids[(*ret_count)++] = schema->identifier_ids[i];
	while (list != NULL && *list != '\0') {
		struct weir_str name = {list, strcspn(list, ",")};
		uint32_t column = weir_schema_find(schema, name);
		if (column == WEIR_NO_FIELD || *ret_count == KEY_COLUMNS) {
			cli_wrong_use(args, "the table has no column '%.*s', or there are more than %d",
				WEIR_STR_ARG(name), KEY_COLUMNS);
			return false;
		}
		ids[(*ret_count)++] = schema->fields[column].id;
		list += name.size + (list[name.size] == ',');
	}
	if (*ret_count == 0)
		cli_wrong_use(args, "the table does not say which columns identify a row; name them by --key");
	return *ret_count > 0;
}

int cmd_changes(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct cli_place *place = NULL;
	int32_t ids[KEY_COLUMNS];
	struct output output = {.as_json = cli_flag(args, "--json")};
	struct ice_changelog_options options = {.keep_carried_over = cli_flag(args, "--all"), .identifier_ids = ids};
	int rc = cli_place_open(args, &place, &err);
	if (rc == 0)
		rc = cli_place_snapshot(place, cli_option(args, "--from"), &options.from, &err);
	if (rc == 0)
		rc = cli_place_snapshot(place, cli_option(args, "--to"), &options.to, &err);
	if (rc == 0 && !key_columns(args, ice_table_schema(cli_place_table(place)), ids, &options.identifier_count)) {
		cli_place_close(place);
		return CLI_WRONG_USE;
	}
	if (rc != 0) {
		cli_place_close(place);
		return cli_fail(&err);
	}
	output.table = cli_table_new();
	output.json = weir_json_to(&output.text);
	const struct weir_schema *schema = ice_changelog_schema(args->arena, ice_table_schema(cli_place_table(place)));
	for (uint32_t i = 0; i < schema->field_count; i++)
		cli_table_cell(output.table, schema->fields[i].name);
	cli_table_end_row(output.table);
	if (output.as_json)
		weir_json_array(&output.json);
	rc = ice_changelog_scan(cli_place_table(place), &options, print_changes, &output, &err);
	if (rc == 0 && output.as_json) {
		weir_json_array_end(&output.json);
		weir_buf_putc(&output.text, '\n');
		print_text(&output);
	} else if (rc == 0) {
		cli_table_print(output.table, stdout);
	}
	cli_table_free(output.table);
	weir_buf_done(&output.text);
	cli_place_close(place);
	return rc == 0 ? CLI_DONE : cli_fail(&err);
}
