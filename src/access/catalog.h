/*
 * The catalog as others see it: namespaces, tables and views of the control database, and the only door through which
 * serving changes them. docs/reference/iceberg-rest.md describes what clients see of it.
 *
 * Everything is in the JDBC catalog's schema, so that engines which open the control database see the same; a namespace
 * of several levels is one text, joined by dots, where a dot within a level is written %2E. Metadata files are written
 * and durable before the pointer moves; pointers of one call move in one control change, or none does.
 *
 * weir's own tables (namespaces in weir_owned) are governed: only weir changes them, and who may load which of them is
 * decided here (catalog_governed.c). Thread-safe.
 *
 * Errors: WEIR_E_NOT_FOUND and WEIR_E_EXISTS name in err->object what it is about: "namespace", "table", "view".
 * WEIR_E_CONFLICT with "namespace": it is not empty. WEIR_E_INPUT with "both": a property is both set and removed.
 */
#ifndef WEIR_ACCESS_CATALOG_H
#define WEIR_ACCESS_CATALOG_H

#include <jansson.h>

#include "access/access.h"
#include "store/s3_sts.h"

#define CATALOG_LEVELS     16   /* of a namespace */
#define CATALOG_NAME_BYTES 255  /* of a level, a table, a view */
#define CATALOG_ATTEMPTS   50   /* of a commit whose table moves while its metadata is written */
#define CATALOG_CHANGES    1000 /* tables of one transaction */
#define CATALOG_WAIT_MS    5000 /* how long a caller waits for removals */
#define CATALOG_REMOVALS   "removals"

struct catalog;

struct catalog_config {
	struct ice_registry *registry; /* its store and control database */
	const struct lake *lake;       /* NULL: a catalog without a lake */
	struct access *access;         /* audits; NULL without a lake */
	struct consent *const *consents;
	struct weir_clock clock;          /* without a lake; else the lake's */
	const struct s3_sts_options *sts; /* gives clients keys for the bucket; NULL: nobody does */
};
int catalog_open(const struct catalog_config *config, struct catalog **ret_catalog, struct weir_error *err);
void catalog_close(struct catalog *catalog);
/* "file:///data/warehouse": the root of default locations. Borrowed. */
struct weir_str catalog_warehouse(const struct catalog *catalog);

/* ---- names ---- */
/* A namespace as the catalog writes it, from levels that 0x1F separates (as in a URL), or from a JSON array of them. */
int catalog_ns_from_url(
	struct weir_arena *arena, struct weir_str text, struct weir_str *ret_ns, struct weir_error *err);
int catalog_ns_from_json(
	struct weir_arena *arena, const json_t *levels, struct weir_str *ret_ns, struct weir_error *err);
json_t *catalog_ns_to_json(struct weir_str ns);
struct catalog_name {
	struct weir_str ns, name;
};
/* {"namespace": [...], "name": "..."} */
int catalog_name_from_json(
	struct weir_arena *arena, const json_t *identifier, struct catalog_name *ret_name, struct weir_error *err);
json_t *catalog_name_to_json(struct catalog_name name);

/* ---- namespaces ---- */
/* A page of names after `after` (size 0: from the start), at most limit; ret_items is an array, *ret_more whether more
 * follow. */
struct catalog_page {
	struct weir_str after;
	uint32_t limit; /* 0: all */
	json_t *items;
	struct weir_str last; /* of the items, in the arena given */
	bool more;
};
int catalog_ns_list(struct catalog *catalog, const struct access_identity *caller, struct weir_str parent,
	struct weir_arena *arena, struct catalog_page *page, struct weir_error *err);
/* Whether the caller may know of what is in a namespace. */
bool catalog_may_see(const struct catalog *catalog, const struct access_identity *caller, struct weir_str ns);
int catalog_ns_need(struct catalog *catalog, struct weir_str ns, struct weir_error *err);
int catalog_ns_load(struct catalog *catalog, struct weir_str ns, json_t **ret_properties, struct weir_error *err);
int catalog_ns_create(struct catalog *catalog, struct weir_str ns, const json_t *properties, struct weir_error *err);
/* ret_result: {"updated": [], "removed": [], "missing": []} */
int catalog_ns_update(struct catalog *catalog, struct weir_str ns, const json_t *removals, const json_t *updates,
	json_t **ret_result, struct weir_error *err);
int catalog_ns_drop(struct catalog *catalog, struct weir_str ns, struct weir_error *err);

/* ---- tables and views ---- */
enum catalog_kind { CATALOG_TABLE, CATALOG_VIEW };

struct catalog_entry {
	struct weir_buf metadata;   /* JSON text; catalog_entry_done */
	struct weir_str location;   /* of the metadata file; size 0: staged, or a slice */
	char etag[40];              /* with its quotes; changes with the version and with what is left out of it */
	json_t *credentials;        /* of catalog_vend: an array of StorageCredential; NULL: none */
	const char *no_credentials; /* why there are none, where they were asked for */
};
void catalog_entry_done(struct catalog_entry *entry);

int catalog_list(struct catalog *catalog, const struct access_identity *caller, enum catalog_kind kind,
	struct weir_str ns, struct weir_arena *arena, struct catalog_page *page, struct weir_error *err);
int catalog_need(struct catalog *catalog, const struct access_identity *caller, enum catalog_kind kind,
	struct catalog_name name, struct weir_error *err);
struct catalog_load {
	const struct access_identity *caller;
	struct weir_str route;
	struct weir_str if_none_match; /* an ETag list; where it fits, *ret_same is true and nothing is read */
	bool refs_only;
};
/*
 * A governed table: audited before it returns, WEIR_E_DENIED, or WEIR_E_BUSY while removals are pending. That error names
 * CATALOG_REMOVALS; nothing was done and nothing audited: the caller waits as long as it will, and calls again.
 */
int catalog_load(struct catalog *catalog, enum catalog_kind kind, struct catalog_name name,
	const struct catalog_load *load, struct weir_arena *arena, struct catalog_entry *ret_entry, bool *ret_same,
	struct weir_error *err);
/* Temporary keys for the files of a table that was just loaded or made: read only, or to write too where the caller may. Where
 * there are none to give, the entry says why. WEIR_E_BUSY: the token service gave none. */
int catalog_vend(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_arena *arena, struct catalog_entry *entry, struct weir_error *err);
/*
 * Scans that are planned here (REST specification, planTableScan and what follows it); out gets the whole answer. Who may
 * load a table may plan its scans, and by the same rules. A plan's id and its plan tasks hold all that they mean: nothing
 * is kept. WEIR_E_NOT_FOUND names "plan" or "task" where one is not of this table, or its snapshot has expired.
 */
int catalog_plan(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	const json_t *request, struct weir_arena *arena, struct weir_buf *out, struct weir_error *err);
int catalog_plan_fetch(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_str plan_id, struct weir_arena *arena, struct weir_buf *out, struct weir_error *err);
int catalog_plan_cancel(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_str plan_id, struct weir_arena *arena, struct weir_error *err);
int catalog_plan_task(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_str plan_task, struct weir_arena *arena, struct weir_buf *out, struct weir_error *err);
/* request: CreateTableRequest or CreateViewRequest. A staged table is described, and its folder made, but not created.
 */
int catalog_create(struct catalog *catalog, enum catalog_kind kind, struct weir_str ns, const json_t *request,
	struct weir_arena *arena, struct catalog_entry *ret_entry, struct weir_error *err);
/* overwrite: a table of that name is replaced. */
int catalog_register(struct catalog *catalog, enum catalog_kind kind, struct catalog_name name,
	struct weir_str metadata_location, bool overwrite, struct weir_arena *arena, struct catalog_entry *ret_entry,
	struct weir_error *err);
/* A change of one table or view: {"requirements": [], "updates": []}. */
struct catalog_change {
	struct catalog_name name;
	const json_t *requirements, *updates;
};
/* All or none. ret_entries: one for each change, or NULL. */
int catalog_commit(struct catalog *catalog, enum catalog_kind kind, const struct catalog_change *changes,
	uint32_t count, struct weir_arena *arena, struct catalog_entry *ret_entries, struct weir_error *err);
int catalog_rename(struct catalog *catalog, enum catalog_kind kind, struct catalog_name from, struct catalog_name to,
	struct weir_error *err);
/* purge: the files that its versions name, within its own folder, are destroyed too. */
int catalog_drop(
	struct catalog *catalog, enum catalog_kind kind, struct catalog_name name, bool purge, struct weir_error *err);

#endif
