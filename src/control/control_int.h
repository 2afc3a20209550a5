/*
 * What the files of control/ share: the table of functions of a database (sqlite_*.c, postgres_*.c), changes as the
 * writer sees them, and the queue. The writer, group commit, conflicts, unknown outcomes and snapshots are written
 * once, in writer.c and read.c, over that table.
 */
#ifndef WEIR_CONTROL_CONTROL_INT_H
#define WEIR_CONTROL_CONTROL_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "control/control.h"

#define CONTROL_IDLE_READERS 8    /* connections kept for reading; more are opened and closed at need */
#define CONTROL_BUSY_MS      5000 /* how long a lock of another program is waited for */
#define CONTROL_SCRUB_MS     1000 /* how long a scrub waits for readers of old snapshots */
#define CONTROL_BATCH        256  /* changes that one transaction commits at most */

/* ---- a change ---- */
struct control_statement {
	const char *what;
	const char *sql;
	int rows; /* or CONTROL_ANY */
	bool returning;
	unsigned value_count;
	const struct control_value *values;
};

struct control_change {
	enum control_priority priority;
	struct weir_arena *arena;
	struct control_statement *statements;
	size_t count, capacity;
	unsigned returning_count;
};

/* ---- a database ---- */

/* How a statement went. */
struct control_ran {
	int64_t rows;  /* changed, or returned where it returns rows */
	int64_t value; /* the first row's first column */
	bool taken;    /* a key is taken, and nothing was changed */
};

/* Whether the statement did what it must; where it did not, the change is a conflict. */
static inline bool control_fits(const struct control_statement *statement, const struct control_ran *ran)
{
	if (ran->taken)
		return false;
	return statement->returning ? ran->rows > 0 : statement->rows == CONTROL_ANY || ran->rows == statement->rows;
}

/* What every connection begins with; a backend's own follows it. One thread at a time. */
struct control_connection {
	struct control_connection *next; /* in the list of idle readers */
};

/*
 * Errors are filled in by the functions, without bound values. A transaction of the writer:
 *
 *   begin -> (run -> end_change)* -> commit or rollback
 *
 * in_transaction says whether one is open: a database may lose it at any error (a full disk, a cut connection), and
 * then nothing of it has happened.
 */
struct control_backend {
	/* options are the control's own and outlive the connection. */
	int (*open)(const struct control_options *options, bool read_only, struct control_connection **ret_connection,
		struct weir_error *err);
	void (*close)(struct control_connection *take_connection);
	/* The writer, once, before all else: takes the lease where there is one, and makes the tables by base_schema.
	 */
	int (*take)(struct control_connection *writer, const char *base_schema, struct weir_error *err);
	/* The writer's last act. */
	void (*retire)(struct control_connection *writer);

	/* Nobody else sees the guard of owned namespaces open, which it is until the end of the transaction. */
	int (*begin)(struct control_connection *writer, struct weir_error *err);
	/* Runs statements in order under a savepoint and fills ran of those that did not fail. *ret_count is how many
	 * did not; it may stop, and may go on, after one that does not fit. */
	int (*run)(struct control_connection *writer, const struct control_statement *statements, size_t count,
		struct control_ran *ran, size_t *ret_count, struct weir_error *err);
	/* Keeps or takes back what run did. */
	int (*end_change)(struct control_connection *writer, bool keep, struct weir_error *err);
	/* Several statements without parameters and results: a migration. */
	int (*script)(struct control_connection *writer, const char *sql, struct weir_error *err);
	/* Durable at its return. *ret_doubtful on error: it may have happened all the same, settle must find out. */
	int (*commit)(struct control_connection *writer, bool *ret_doubtful, struct weir_error *err);
	void (*rollback)(struct control_connection *writer);
	bool (*in_transaction)(const struct control_connection *writer);
	/* After a doubtful commit: makes it one or the other for ever, and says which. */
	int (*settle)(struct control_connection *writer, bool *ret_happened, struct weir_error *err);
	int (*scrub)(struct control_connection *writer, struct weir_error *err);

	/* single: one query will follow, which is a snapshot by itself. */
	int (*read_begin)(struct control_connection *connection, bool single, struct weir_error *err);
	int (*query)(struct control_connection *connection, const char *sql, const struct control_value *values,
		unsigned value_count, control_row_fn *row, void *context, struct weir_error *err);
	bool (*read_end)(struct control_connection *connection); /* false: not to be used again */
};

extern const struct control_backend control_sqlite;
extern const struct control_backend control_postgres;

/* Said by the trigger of owned namespaces, after the names of none of weir's rows. */
#define CONTROL_GUARD_TEXT \
	"this namespace belongs to weir, which alone may change its tables: " \
	"go through weir (its REST catalog or the weir command), or write tables in a namespace of your own"

/* ---- the writer ---- */
enum control_job_kind { CONTROL_JOB_CHANGE, CONTROL_JOB_MIGRATE, CONTROL_JOB_SCRUB, CONTROL_JOB_SETTLE };

/* What a caller waits for; lives on the caller's stack while it is queued. */
struct control_job {
	enum control_job_kind kind;
	struct control_job *next;
	const struct control_change *change; /* CHANGE */
	const char *name, *sql;              /* MIGRATE */
	unsigned version;
	struct control_result result;
	int status;
	struct weir_error err;
	bool done;
	pthread_cond_t finished;
};

#define CONTROL_PRIORITIES 3

struct control {
	const struct control_backend *backend;
	struct control_options options; /* url and vfs are owned copies */
	pthread_t thread;
	struct control_connection *writer; /* the writer thread's own; in exclusive mode under connection_lock */
	pthread_mutex_t connection_lock;   /* exclusive mode only: reads and the writer share the one connection */
	struct control_ran *ran;           /* the writer thread's: how the statements of a change went */
	size_t ran_count, ran_capacity;

	pthread_mutex_t lock; /* the queue and the pool */
	pthread_cond_t queued;
	struct control_job *first[CONTROL_PRIORITIES], *last[CONTROL_PRIORITIES];
	bool closing;
	struct control_connection *idle; /* readers */
	unsigned idle_count, reading_count;

	atomic_bool unsettled; /* a commit's outcome is unknown, and nothing has been committed since */
};

void *control_writer_main(void *control);
/* Queues the job and waits for it; returns its status. */
int control_job_run(
	struct control *control, enum control_priority priority, struct control_job *job, struct weir_error *err);

#endif
