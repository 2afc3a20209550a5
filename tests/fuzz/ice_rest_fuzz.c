// uses: weir_iceberg
/*
 * Any JSON as a commit to a catalog: {"metadata", "requirements", "updates", "table", "view"}. The updates are applied
 * to the metadata (or to an empty table) and to a view, the requests make a table and a view; each ends in a document
 * that is written and parses again, or in an error with a text.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "iceberg/rest_document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(json_t *metadata, enum ice_rest_kind kind)
{
	struct weir_buf text = WEIR_BUF_INIT;
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *again;
	ice_rest_write(metadata, kind, &text);
	if (ice_rest_parse(weir_buf_str(&text), kind, WEIR_STR("again"), &again, &err) == 0) {
		if (kind == ICE_REST_TABLE)
			ice_rest_keep_refs_only(again);
		json_decref(again);
	} else {
		WEIR_ASSERT(err.message[0] != '\0');
	}
	weir_buf_done(&text);
}

/* As a commit does it: check, apply, finish. Takes metadata. */
static void commit_table(json_t *metadata, const json_t *root)
{
	struct weir_error err = WEIR_ERROR_INIT;
	const json_t *updates = json_object_get(root, "updates");
	bool changed = false;
	int status = ice_rest_check(json_object_get(root, "requirements"), metadata, ICE_REST_TABLE, &err);
	if (metadata == NULL)
		metadata = ice_rest_table_empty(updates);
	if (status == 0)
		status = ice_rest_update_table(metadata, updates, 1700000000000, &changed, &err);
	if (status == 0)
		status = ice_rest_finish_table(metadata, WEIR_STR("file:///before"), 1, 2, NULL, &err);
	if (status == 0)
		write_and_read(metadata, ICE_REST_TABLE);
	WEIR_ASSERT(status == 0 || err.message[0] != '\0');
	json_decref(metadata);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *root = json_loadb((const char *)data, size, 0, NULL), *made = NULL;
	bool changed;
	if (root == NULL)
		return 0;
	char *text = json_dumps(json_object_get(root, "metadata"), JSON_ENCODE_ANY);
	if (text != NULL && ice_rest_parse(weir_str_from(text), ICE_REST_TABLE, WEIR_STR("fuzz"), &made, &err) == 0)
		commit_table(made, root);
	commit_table(NULL, root);
	if (ice_rest_table_new(json_object_get(root, "table"), WEIR_STR("file:///t"), "uuid", 1, &made, &err) == 0) {
		write_and_read(made, ICE_REST_TABLE);
		commit_table(made, root);
	}
	if (ice_rest_view_new(json_object_get(root, "view"), WEIR_STR("file:///v"), "uuid", 1, &made, &err) == 0) {
		write_and_read(made, ICE_REST_VIEW);
		if (ice_rest_update_view(made, json_object_get(root, "updates"), 2, &changed, &err) == 0)
			write_and_read(made, ICE_REST_VIEW);
		json_decref(made);
	}
	free(text);
	json_decref(root);
	return 0;
}
