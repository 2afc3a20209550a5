/*
 * SQL catalogs of others, in a SQLite file or on PostgreSQL, as PyIceberg's SqlCatalog and Java's JDBC catalog make
 * them: a table's pointer is read and swapped, and nothing else is touched (control_open would make weir's own
 * tables, and take the lease). One thread.
 */
#ifndef WEIR_CONTROL_FOREIGN_H
#define WEIR_CONTROL_FOREIGN_H

#include "base/arena.h"
#include "base/error.h"

struct control_foreign;

struct control_foreign_name {
	struct weir_str catalog, ns, table;
};

/* url: "sqlite:PATH", a path alone, or "postgresql://..." as control_open takes it. */
int control_foreign_open(const char *url, struct control_foreign **ret_foreign, struct weir_error *err);
void control_foreign_close(struct control_foreign *foreign); /* NULL is fine */
/* The catalog that has the table, where name->catalog is empty: NOT_FOUND where none has, INPUT where several have. */
int control_foreign_find(struct control_foreign *foreign, struct weir_arena *arena, struct control_foreign_name *name,
	struct weir_error *err);
int control_foreign_pointer(struct control_foreign *foreign, struct weir_arena *arena,
	const struct control_foreign_name *name, struct weir_str *ret_uri, struct weir_error *err);
/* CONFLICT where the pointer is not `old` any more; UNKNOWN where the connection broke and it cannot be told. */
int control_foreign_swap(struct control_foreign *foreign, const struct control_foreign_name *name, struct weir_str old,
	struct weir_str new, struct weir_error *err);
/* Does a lake of weir govern the namespace? */
int control_foreign_is_owned(
	struct control_foreign *foreign, struct weir_str ns, bool *ret_owned, struct weir_error *err);

/* Every table (views too, in catalogs that have them) by its names, with its pointer. catalog: "" for all. */
typedef int control_foreign_table_fn(
	void *context, const struct control_foreign_name *name, struct weir_str uri, struct weir_error *err);
int control_foreign_list(struct control_foreign *foreign, struct weir_str catalog, control_foreign_table_fn *table,
	void *context, struct weir_error *err);

#endif
