/* Shared by the files that apply updates: rest_update.c (tables), rest_snapshots.c, rest_view.c. */
#ifndef WEIR_ICEBERG_REST_UPDATE_H
#define WEIR_ICEBERG_REST_UPDATE_H

#include "iceberg/rest_document.h"

/* One commit's updates on one document. -1 in last_*: none was added yet ("last added" is the id -1 of an update). */
struct ice_rest_edit {
	json_t *metadata;
	const json_t *update; /* the one that is applied now */
	struct weir_error *err;
	int64_t now_ms;
	int64_t last_schema, last_spec, last_order, last_version;
	json_t *added_snapshots; /* ids */
	json_t *added_versions;  /* ids, of a view */
	bool changed;
};
typedef int ice_rest_apply_fn(struct ice_rest_edit *edit);
struct ice_rest_action {
	const char *name;
	ice_rest_apply_fn *apply;
};

/* Runs the updates through a table of actions that ends with one without name. */
int ice_rest_run(json_t *metadata, const json_t *updates, const struct ice_rest_action *actions, int64_t now_ms,
	bool *ret_changed, struct weir_error *err);
void ice_rest_changed(struct ice_rest_edit *edit);
/* A member of the update, or WEIR_E_INPUT that names it. */
int ice_rest_need(struct ice_rest_edit *edit, const char *key, json_type type, const json_t **ret_value);
json_t *ice_rest_find(json_t *list, const char *key, int64_t id);
/* The largest id of a list, or least where none is larger. */
int64_t ice_rest_largest(json_t *list, const char *key, int64_t least);
/* The update's schema, which is a good one. */
int ice_rest_need_schema(struct ice_rest_edit *edit, const json_t **ret_schema);
/* A schema that the document may have already: it is the last one added, with an id of the document's. */
int ice_rest_put_schema(struct ice_rest_edit *edit, const json_t *schema);
/* Same for tables and views. */
ice_rest_apply_fn ice_rest_set_properties, ice_rest_remove_properties, ice_rest_set_location;
/* rest_snapshots.c */
ice_rest_apply_fn ice_rest_add_snapshot, ice_rest_remove_snapshots, ice_rest_set_ref, ice_rest_remove_ref,
	ice_rest_set_statistics, ice_rest_remove_statistics, ice_rest_set_partition_statistics,
	ice_rest_remove_partition_statistics;
/* Takes log entries of snapshots that were current only within this commit, and all before a snapshot that is gone. */
int ice_rest_trim_log(struct ice_rest_edit *edit);

#endif
