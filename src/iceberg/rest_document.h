/*
 * Table and view metadata as documents, for a catalog that others write through (Iceberg REST catalog specification).
 *
 * A catalog must hand on what it does not understand: columns of types that weir cannot read, members of newer
 * writers. So metadata is not parsed into struct ice_metadata here but kept as the JSON document that it is; updates
 * change the members that they name, and all others stay as they were. Pure: no I/O. What a function does not
 * take it borrows; errors are WEIR_E_INPUT for a request that can never work, WEIR_E_CONFLICT for one that came too
 * late.
 */
#ifndef WEIR_ICEBERG_REST_DOCUMENT_H
#define WEIR_ICEBERG_REST_DOCUMENT_H

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"

#define ICE_REST_BYTES_MAX    (64U << 20) /* one metadata.json, decompressed */
#define ICE_REST_FORMAT_MAX   3           /* the newest format version of tables */
#define ICE_REST_PREVIOUS_MAX 100         /* metadata-log, unless write.metadata.previous-versions-max says other */
#define ICE_REST_HISTORY_MAX  10          /* versions of a view, unless version.history.num-entries says other */
#define ICE_REST_DEPTH_MAX    32          /* nesting of a schema's types */
#define ICE_REST_UPDATES_MAX  100000      /* updates of one commit */

enum ice_rest_kind { ICE_REST_TABLE, ICE_REST_VIEW };

/* ---- reading and writing ---- */
/* metadata.json, gzipped or plain. A table of version 1 gets the members that version 2 has in their place. */
int ice_rest_parse(struct weir_str text, enum ice_rest_kind kind, struct weir_str name, json_t **ret_metadata,
	struct weir_error *err);
/* The document on one line; a table of version 1 gets `schema` and `partition-spec`, which its readers look for. */
void ice_rest_write(json_t *metadata, enum ice_rest_kind kind, struct weir_buf *out);
/* Only the snapshots that a branch or tag names; the log that belongs to them. Changes the document. */
void ice_rest_keep_refs_only(json_t *metadata);
/* A text member, or size 0. Borrowed from the document. */
struct weir_str ice_rest_text(const json_t *object, const char *key);
/* An integer member, or absent where it is missing, null or no integer. */
int64_t ice_rest_int(const json_t *object, const char *key, int64_t absent);

/* ---- making ---- */
/* Specification, CreateTableRequest: field ids are assigned afresh from 1, partition field ids from 1000. */
int ice_rest_table_new(const json_t *request, struct weir_str location, const char *uuid, int64_t now_ms,
	json_t **ret_metadata, struct weir_error *err);
/* CreateViewRequest. */
int ice_rest_view_new(const json_t *request, struct weir_str location, const char *uuid, int64_t now_ms,
	json_t **ret_metadata, struct weir_error *err);
/* What the updates of a commit with assert-create start from: a table of nothing. */
json_t *ice_rest_table_empty(const json_t *updates);

/* ---- changing ---- */
/* requirements: an array of TableRequirement or ViewRequirement. metadata NULL: there is no such table. WEIR_E_CONFLICT
 * says which one does not hold. */
int ice_rest_check(const json_t *requirements, const json_t *metadata, enum ice_rest_kind kind, struct weir_error *err);
bool ice_rest_asserts_create(const json_t *requirements);
/* Applies an array of MetadataUpdate, all or (on error) an undefined part: the document is then to be thrown away. A
 * snapshot that is older than the table's newest is WEIR_E_CONFLICT. */
int ice_rest_update_table(
	json_t *metadata, const json_t *updates, int64_t now_ms, bool *ret_changed, struct weir_error *err);
int ice_rest_update_view(
	json_t *metadata, const json_t *updates, int64_t now_ms, bool *ret_changed, struct weir_error *err);
/* After the updates: last-updated-ms, snapshot-log and metadata-log. previous_file size 0: a new table. Names of files
 * that fell out of the log are appended to ret_dropped (may be NULL), an array of texts. Fails where the table is not
 * whole. */
int ice_rest_finish_table(json_t *metadata, struct weir_str previous_file, int64_t previous_updated_ms, int64_t now_ms,
	json_t *ret_dropped, struct weir_error *err);

/* ---- schemas (rest_schema.c), shared by the above ---- */
int32_t ice_rest_highest_id(const json_t *schema);
bool ice_rest_has_field(const json_t *schema, int64_t field_id);
bool ice_rest_same_schema(const json_t *a, const json_t *b);
int ice_rest_check_schema(const json_t *schema, struct weir_error *err);
/* A copy of schema with ids from 1, in the order of the specification's readers: a struct's fields, then what is
 * inside. ids: old id (as text) -> new id, for specs and orders. */
int ice_rest_fresh_schema(
	const json_t *schema, json_t **ret_schema, json_t *ids, int32_t *ret_last_id, struct weir_error *err);

#endif
