/* The two kinds of database behind control_foreign: foreign_sqlite.c and foreign_postgres.c. */
#ifndef WEIR_CONTROL_FOREIGN_INT_H
#define WEIR_CONTROL_FOREIGN_INT_H

#include "control/foreign.h"

/* One row's texts, "" where null; borrowed during the call. */
typedef int foreign_row_fn(void *context, const struct weir_str *cells, unsigned count, struct weir_error *err);

#define FOREIGN_CELLS 4 /* columns of one row at most */

struct foreign_ops {
	int (*open)(struct control_foreign *foreign, const char *url, struct weir_error *err);
	void (*close)(struct control_foreign *foreign);
	/* One statement ("?1" parameters), committed at its return; *ret_changed: rows that an UPDATE changed.
	 * WEIR_E_UNKNOWN where it may have been done or not. */
	int (*run)(struct control_foreign *foreign, const char *sql, const struct weir_str *texts, unsigned count,
		foreign_row_fn *row, void *context, int64_t *ret_changed, struct weir_error *err);
	const char *find_owned; /* gives a row where the database has weir's own namespaces */
};

struct control_foreign {
	const struct foreign_ops *ops;
	void *session;
	char *place; /* the database, for errors; without secrets */
};

extern const struct foreign_ops foreign_sqlite, foreign_postgres;

#endif
