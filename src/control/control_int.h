/* What the files of control/ share: connections with their prepared statements, and changes as the writer sees them. */
#ifndef WEIR_CONTROL_CONTROL_INT_H
#define WEIR_CONTROL_CONTROL_INT_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "control/control.h"

#define CONTROL_STATEMENTS   256  /* prepared statements that a connection keeps; a power of two */
#define CONTROL_IDLE_READERS 8    /* connections kept for reading; more are opened and closed at need */
#define CONTROL_BUSY_MS      5000 /* how long a lock of another process is waited for */
#define CONTROL_SCRUB_MS     1000 /* how long a scrub waits for readers of old snapshots */
#define CONTROL_BATCH        256  /* changes that one transaction commits at most */

/* ---- a connection ---- */
struct control_cached {
	const char *sql; /* the key is the address; the text is compared too, so that a reused address is harmless */
	sqlite3_stmt *statement;
	bool in_use;
};

struct control_connection {
	sqlite3 *db;
	struct control_connection *next; /* in the list of idle readers */
	unsigned cached_count;
	struct control_cached cached[CONTROL_STATEMENTS];
};

/* A prepared statement while it runs. */
struct control_running {
	sqlite3_stmt *statement;
	struct control_cached *cached; /* NULL: finalize it at the end */
};

int control_connect(const struct control_options *options, bool read_only, struct control_connection **ret_connection,
	struct weir_error *err);
void control_disconnect(struct control_connection *take_connection);
int control_start(struct control_connection *connection, const char *sql, const struct control_value *values,
	unsigned value_count, struct control_running *ret_running, struct weir_error *err);
void control_finish(struct control_running *running);
/* One or more statements without parameters and results; returns SQLite's (extended) code. */
int control_exec(struct control_connection *connection, const char *sql);
/* Fill err from SQLite's code and the connection's message. */
int control_fail(struct weir_error *err, struct control_connection *connection, int sqlite_code, const char *operation);

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
	struct control_options options; /* path and vfs are owned copies */
	pthread_t thread;
	struct control_connection *writer; /* the writer thread's own; in exclusive mode under connection_lock */
	pthread_mutex_t connection_lock;   /* exclusive mode only: reads and the writer share the one connection */

	pthread_mutex_t lock; /* the queue and the pool */
	pthread_cond_t queued;
	struct control_job *first[CONTROL_PRIORITIES], *last[CONTROL_PRIORITIES];
	bool closing;
	struct control_connection *idle; /* readers */
	unsigned idle_count, reading_count;

	atomic_bool unsettled; /* a commit's sync failed, and nothing has been committed since */
};

void *control_writer_main(void *control);
/* Queues the job and waits for it; returns its status. */
int control_job_run(
	struct control *control, enum control_priority priority, struct control_job *job, struct weir_error *err);

#endif
