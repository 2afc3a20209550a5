/* Shared by the catalog's files: names (catalog_name.c), namespaces, entries, commits, governed tables. */
#ifndef WEIR_ACCESS_CATALOG_INT_H
#define WEIR_ACCESS_CATALOG_INT_H

#include "access/access_int.h"
#include "access/catalog.h"
#include "iceberg/rest_document.h"

#define CATALOG_VERSIONS 8 /* opened versions of tables that are kept for plans */

struct catalog_slice;
struct catalog_keys;
struct catalog {
	struct catalog_config config;
	struct store *store;
	struct control *control;
	struct weir_arena *arena;
	struct weir_str warehouse;
	struct weir_str *owned; /* namespaces of weir's own tables */
	uint32_t owned_count;
	pthread_mutex_t lock; /* slices, versions, keys */
	struct catalog_slice *slices;
	uint32_t slice_count, slice_capacity;
	struct ice_cache *cache; /* of what plans read */
	struct ice_table *versions[CATALOG_VERSIONS];
	uint32_t next_version;
	struct s3_sts *sts; /* NULL: no keys are given */
	struct catalog_keys *keys;
	uint32_t keys_count, keys_capacity;
	uint32_t plan_files; /* of one answer; 0: the usual number */
};

struct catalog_pointer {
	bool found;
	enum catalog_kind kind;
	struct weir_str location;
};
/* Where a name points now; *ret_pointer.found false where there is nothing. */
int catalog_pointer_read(struct catalog *catalog, struct weir_arena *arena, struct catalog_name name,
	struct catalog_pointer *ret_pointer, struct weir_error *err);
/* The pointer of an entry of this kind, or WEIR_E_NOT_FOUND that says whether the namespace or the entry is missing. */
int catalog_pointer_need(struct catalog *catalog, struct weir_arena *arena, enum catalog_kind kind,
	struct catalog_name name, struct catalog_pointer *ret_pointer, struct weir_error *err);
bool catalog_file_exists(struct catalog *catalog, struct weir_str location); /* false also where it is not known */
int catalog_file_read(struct catalog *catalog, struct weir_str location, struct weir_buf *out, struct weir_error *err);
void catalog_etag(struct weir_str location, const char *variant, char etag[40]);
const char *catalog_kind_name(enum catalog_kind kind);
const char *catalog_ns_show(struct weir_str ns, char *buffer, size_t size);
int catalog_missing(enum catalog_kind kind, struct catalog_name name, struct weir_error *err);
/* WEIR_E_EXISTS for what was to be made, by what has the name. */
int catalog_taken(enum catalog_kind wanted, enum catalog_kind is, struct catalog_name name, struct weir_error *err);

/* WEIR_E_DENIED where the namespace is weir's own. */
bool catalog_is_owned(const struct catalog *catalog, struct weir_str ns);
int catalog_refuse_owned(const struct catalog *catalog, struct weir_str ns, struct weir_error *err);
/* WEIR_E_DENIED where a location (a URI) lies in the folder of one of weir's own namespaces. */
int catalog_refuse_location(struct catalog *catalog, struct weir_str location, struct weir_error *err);
int catalog_check_name(struct weir_str name, const char *what, struct weir_error *err);
/* A folder for a new entry: "NS/NAME-1a2b3c4d", in arena. */
struct weir_str catalog_new_folder(struct weir_arena *arena, struct catalog_name name);
int catalog_ns_missing(struct weir_str ns, struct weir_error *err); /* WEIR_E_NOT_FOUND */
void catalog_stage_namespace(struct control_change *change, struct weir_str ns);
/* Writes the text of a version's metadata as a file, durable; *ret_name is its name in the store, in arena. It goes to
 * write.metadata.path, or to the location's folder `metadata`, where these are in the warehouse. previous: the file
 * before it. */
int catalog_file_write(struct catalog *catalog, struct weir_arena *arena, struct catalog_name name,
	const json_t *metadata, struct weir_str previous, const struct weir_buf *text, struct weir_str *ret_name,
	struct weir_str *ret_uri, struct weir_error *err);
void catalog_file_drop(struct catalog *catalog, struct weir_str name);
/* As control_commit; an unknown outcome is settled by looking whether `name` points, or pointed, to `location`. */
int catalog_change_commit(struct catalog *catalog, const struct control_change *change, struct catalog_name name,
	struct weir_str location, struct control_result *ret_result, struct weir_error *err);
/* After an unknown outcome: CONTROL_DONE where the entry is, or was, that version; CONTROL_CONFLICT where it never was. */
int catalog_change_settle(struct catalog *catalog, struct catalog_name name, struct weir_str location,
	struct control_result *ret_result, struct weir_error *err);
/*
 * After an unknown outcome of a drop or a rename of the version at `location`. 0: it happened; nothing goes on from that version, or
 * `to` does. BUSY: it did not; something does, or `from` does. UNKNOWN: it cannot be told.
 */
int catalog_drop_settle(
	struct catalog *catalog, struct catalog_name name, struct weir_str location, struct weir_error *err);
int catalog_rename_settle(struct catalog *catalog, struct catalog_name from, struct catalog_name to,
	struct weir_str location, struct weir_error *err);
int64_t catalog_now_ms(const struct catalog *catalog);

/* ---- governed tables (catalog_governed.c) ---- */
struct catalog_admission {
	const struct lake_table *table; /* NULL: none that lake.yaml names */
	uint32_t index;                 /* of it */
	bool sliced;                    /* only the rows of purposes may be seen */
	uint64_t purposes;
};
/* May the caller have what is in the table? Audited; errors as those of catalog_load. */
int catalog_governed_admit(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_arena *arena, struct catalog_admission *ret_admission, struct weir_error *err);
/* The purposes of a mask, as texts. */
struct weir_str *catalog_purposes(struct catalog *catalog, const struct lake_table *table, uint64_t mask,
	struct weir_arena *arena, uint32_t *ret_count);
int catalog_governed_load(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_arena *arena, struct catalog_entry *ret_entry, bool *ret_same, struct weir_error *err);
void catalog_slices_done(struct catalog *catalog);
void catalog_keys_done(struct catalog *catalog); /* catalog_vend.c */

#endif
