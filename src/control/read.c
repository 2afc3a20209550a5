/*
 * Reading: snapshots on connections of a pool. A read never waits for the writer, nor for another
 * read: where no idle connection is there, one is opened. (In exclusive mode, which only simulations
 * use, there is one connection for all, and a read keeps the writer out until it ends.)
 */
#include "control/control_int.h"

#include <stdlib.h>

struct control_read {
	struct control *control;
	struct control_connection *connection;
	bool querying; /* within a row of a query */
};

static int take_connection(struct control *control, struct control_connection **ret_connection, struct weir_error *err)
{
	if (control->options.exclusive) {
		pthread_mutex_lock(&control->connection_lock);
		*ret_connection = control->writer;
		return 0;
	}
	pthread_mutex_lock(&control->lock);
	struct control_connection *connection = control->idle;
	if (connection != NULL) {
		control->idle = connection->next;
		control->idle_count--;
	}
	pthread_mutex_unlock(&control->lock);
	if (connection == NULL) {
		int status = control->backend->open(&control->options, true, &connection, err);
		if (status != 0)
			return status;
	}
	*ret_connection = connection;
	return 0;
}

static void give_back(struct control *control, struct control_connection *connection, bool usable)
{
	if (control->options.exclusive) {
		pthread_mutex_unlock(&control->connection_lock);
		return;
	}
	pthread_mutex_lock(&control->lock);
	bool keep = usable && control->idle_count < CONTROL_IDLE_READERS;
	if (keep) {
		connection->next = control->idle;
		control->idle = connection;
		control->idle_count++;
	}
	pthread_mutex_unlock(&control->lock);
	if (!keep)
		control->backend->close(connection);
}

static int begin(struct control *control, bool single, struct control_read **ret_read, struct weir_error *err)
{
	struct weir_error own = WEIR_ERROR_INIT;
	if (err == NULL)
		err = &own;
	/*
	 * After a failed sync what this process sees and what a restart would find may differ, and what a lost
	 * connection was to commit may come yet. Nobody may draw conclusions from a read until that is settled.
	 */
	if (atomic_load(&control->unsettled)) {
		struct control_job job = {.kind = CONTROL_JOB_SETTLE};
		int status = control_job_run(control, CONTROL_CONSENT, &job, err);
		if (status != 0)
			return status;
	}
	struct control_connection *connection;
	int status = take_connection(control, &connection, err);
	if (status != 0)
		return status;
	status = control->backend->read_begin(connection, single, err);
	if (status != 0) {
		give_back(control, connection, false);
		return status;
	}
	struct control_read *read = weir_alloc(sizeof *read);
	*read = (struct control_read){control, connection, false};
	pthread_mutex_lock(&control->lock);
	control->reading_count++;
	pthread_mutex_unlock(&control->lock);
	*ret_read = read;
	return 0;
}

int control_read_begin(struct control *control, struct control_read **ret_read, struct weir_error *err)
{
	return begin(control, false, ret_read, err);
}

void control_read_end(struct control_read *take_read)
{
	if (take_read == NULL)
		return;
	struct control *control = take_read->control;
	bool usable = control->backend->read_end(take_read->connection);
	give_back(control, take_read->connection, usable);
	pthread_mutex_lock(&control->lock);
	control->reading_count--;
	pthread_mutex_unlock(&control->lock);
	free(take_read);
}

int control_read_query(struct control_read *read, const char *sql, const struct control_value *values,
	unsigned value_count, control_row_fn *row, void *context, struct weir_error *err)
{
	WEIR_ASSERT(!read->querying);
	read->querying = true;
	int status = read->control->backend->query(read->connection, sql, values, value_count, row, context, err);
	read->querying = false;
	return status;
}

int control_query(struct control *control, const char *sql, const struct control_value *values, unsigned value_count,
	control_row_fn *row, void *context, struct weir_error *err)
{
	struct control_read *read;
	int status = begin(control, true, &read, err);
	if (status != 0)
		return status;
	status = control_read_query(read, sql, values, value_count, row, context, err);
	control_read_end(read);
	return status;
}

/* The first column of the first row. */
struct first {
	struct weir_arena *arena; /* NULL: an integer is wanted */
	bool found;
	int64_t integer;
	struct weir_str text;
};

static int keep_first(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct first *first = context;
	(void)err;
	if (first->found || count == 0 || values[0].kind == CONTROL_NULL)
		return 0;
	if (first->arena == NULL && values[0].kind == CONTROL_INT) {
		first->found = true;
		first->integer = values[0].integer;
	} else if (first->arena != NULL && values[0].kind != CONTROL_INT) {
		first->found = true;
		first->text = weir_arena_str(first->arena, values[0].text);
	}
	return 0;
}

int control_query_int(struct control *control, const char *sql, const struct control_value *values,
	unsigned value_count, int64_t *ret_value, struct weir_error *err)
{
	struct first first = {0};
	int status = control_query(control, sql, values, value_count, keep_first, &first, err);
	if (status != 0)
		return status;
	if (!first.found)
		return weir_fail(err, WEIR_E_NOT_FOUND, "the control database holds no such number");
	*ret_value = first.integer;
	return 0;
}

int control_query_text(struct control *control, struct weir_arena *arena, const char *sql,
	const struct control_value *values, unsigned value_count, struct weir_str *ret_value, struct weir_error *err)
{
	struct first first = {.arena = arena};
	int status = control_query(control, sql, values, value_count, keep_first, &first, err);
	if (status != 0)
		return status;
	if (!first.found)
		return weir_fail(err, WEIR_E_NOT_FOUND, "the control database holds no such text");
	*ret_value = first.text;
	return 0;
}
