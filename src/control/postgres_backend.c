/*
 * The control database on PostgreSQL: transactions, statements and snapshots over postgres_connect.c's connections.
 *
 * Round trips are what costs: a change is one (its savepoint, its statements and the end of the change before it travel
 * together, in libpq's pipeline mode), a transaction two more. Invariants:
 *   1. Every transaction of the writer begins by counting up in weir_writer under its own epoch; where that changes no
 *      row another process is the writer now, and nothing else is changed.
 *   2. weir.writer, which the guard of owned namespaces reads, is local to the writer's transaction.
 *   3. A connection that is lost before COMMIT takes the transaction with it. One that is lost at COMMIT leaves it in
 *      doubt, and settle reads the count.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/postgres_int.h"

#define PIPELINE 128 /* statements that travel together at most */

/* ---- transactions ---- */

static bool in_transaction(const struct control_connection *base)
{
	const struct postgres_connection *connection = (const struct postgres_connection *)base;
	if (postgres_is_lost(connection))
		return false;
	PGTransactionStatusType status = PQtransactionStatus(connection->pg);
	return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

static void rollback(struct control_connection *base)
{
	struct postgres_connection *connection = postgres_of(base);
	connection->release = false;
	(void)postgres_do(connection, "ROLLBACK", "take a transaction back", NULL);
}

static void retire(struct control_connection *writer)
{
	(void)writer; /* the lease goes with the session */
}

static int begin_once(struct postgres_connection *writer, struct weir_error *err)
{
	char sql[256];
	snprintf(sql, sizeof sql,
		"BEGIN; SELECT set_config('weir.writer', 'open', true);"
		"UPDATE weir_writer SET commits = commits + 1 WHERE epoch = %" PRId64,
		writer->epoch);
	PGresult *result = postgres_ask(writer, sql, "begin a transaction", err);
	bool ours = result != NULL && strcmp(PQcmdTuples(result), "1") == 0;
	PQclear(result);
	if (ours)
		return 0;
	if (in_transaction(&writer->base))
		rollback(&writer->base);
	if (result == NULL)
		return err->code;
	return weir_fail_at(err, WEIR_E_DENIED, weir_str_from(writer->place), WEIR_ERROR_NO_OFFSET,
		"another weir process has taken this control database over; stop this one");
}

/* A session that was lost while nothing happened is noticed here. */
static int begin(struct control_connection *base, struct weir_error *err)
{
	struct postgres_connection *writer = postgres_of(base);
	bool fresh = postgres_is_lost(writer);
	int status = postgres_reconnect(writer, err);
	if (status == 0)
		status = begin_once(writer, err);
	if (status != 0 && !fresh && postgres_is_lost(writer)) {
		status = postgres_reconnect(writer, err);
		if (status == 0)
			status = begin_once(writer, err);
	}
	writer->release = false;
	return status;
}

static int commit(struct control_connection *base, bool *ret_doubtful, struct weir_error *err)
{
	struct postgres_connection *writer = postgres_of(base);
	PGresult *result = postgres_ask(writer, "COMMIT", "commit to the control database", err);
	bool done = result != NULL && strcmp(PQcmdStatus(result), "COMMIT") == 0;
	bool answered = result != NULL;
	PQclear(result);
	writer->release = false;
	if (done) {
		writer->commits++;
		return 0;
	}
	if (answered)
		return weir_fail_at(err, WEIR_E_IO, weir_str_from(writer->place), WEIR_ERROR_NO_OFFSET,
			"the control database took the transaction back");
	*ret_doubtful = postgres_is_lost(writer);
	return err->code;
}

static int settle(struct control_connection *base, bool *ret_happened, struct weir_error *err)
{
	struct postgres_connection *writer = postgres_of(base);
	int64_t before = writer->commits;
	int status = postgres_reconnect(writer, err);
	if (status == 0)
		*ret_happened = writer->commits == before + 1;
	return status;
}

/* ---- changes ---- */

static void note(struct control_ran *ran, PGresult *result)
{
	bool rows = PQresultStatus(result) == PGRES_TUPLES_OK;
	*ran = (struct control_ran){.rows = rows ? PQntuples(result) : strtoll(PQcmdTuples(result), NULL, 10)};
	if (rows && PQntuples(result) > 0 && PQnfields(result) > 0)
		ran->value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
}

/* A pipeline under way: results come in the order of what was sent. */
struct pipeline {
	struct postgres_connection *writer;
	size_t head; /* how many results come before those of statements */
	struct control_ran *ran;
	size_t count, done;
	int status;
	struct weir_error *err;
};

/* One result of what was sent as number `index`. */
static void take_result(struct pipeline *pipeline, size_t index, PGresult *result)
{
	ExecStatusType kind = PQresultStatus(result);
	if (kind == PGRES_PIPELINE_ABORTED || pipeline->status != 0 ||
		(pipeline->done > 0 && pipeline->ran[pipeline->done - 1].taken))
		return;
	if (kind == PGRES_COMMAND_OK || kind == PGRES_TUPLES_OK) {
		if (index >= pipeline->head)
			note(&pipeline->ran[pipeline->done++], result);
	} else if (index >= pipeline->head && postgres_state_is(result, "23505")) {
		pipeline->ran[pipeline->done++] = (struct control_ran){.taken = true};
	} else {
		pipeline->status =
			postgres_fail(pipeline->err, pipeline->writer, result, "change the control database");
	}
}

/* Reads all that was sent, up to the point of synchronisation. */
static void take_results(struct pipeline *pipeline)
{
	PGconn *pg = pipeline->writer->pg;
	bool last = false;
	for (size_t index = 0; !last && index <= pipeline->head + pipeline->count;) {
		PGresult *result = PQgetResult(pg);
		if (result == NULL) {
			index++;
			continue;
		}
		last = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
		if (!last)
			take_result(pipeline, index, result);
		PQclear(result);
	}
	if (pipeline->status == 0 && (!last || postgres_is_lost(pipeline->writer)))
		pipeline->status = postgres_fail(pipeline->err, pipeline->writer, NULL, "change the control database");
}

static bool send_plain(struct pipeline *pipeline, const char *sql)
{
	pipeline->head++;
	return PQsendQueryParams(pipeline->writer->pg, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

/* Sends statements that are prepared, up to the first that is not. Returns how many, or where it was cut off. */
static bool send_statements(
	struct pipeline *pipeline, const struct control_statement *statements, size_t count, struct weir_error *err)
{
	struct postgres_bound bound;
	char name[16];
	for (size_t i = 0; i < count && i < PIPELINE; i++) {
		if (postgres_bind(statements[i].values, statements[i].value_count, &bound, err) != 0)
			return false;
		if (!postgres_find(pipeline->writer, statements[i].sql, bound.kinds, name))
			return true;
		if (PQsendQueryPrepared(pipeline->writer->pg, name, (int)bound.count, bound.data, bound.sizes,
			    bound.formats, 0) != 1) {
			postgres_fail(err, pipeline->writer, NULL, "change the control database");
			return false;
		}
		pipeline->count++;
	}
	return true;
}

/* Begins the change where begin is true, and runs what is prepared of the statements. */
static int run_prepared(struct postgres_connection *writer, bool first, const struct control_statement *statements,
	size_t count, struct control_ran *ran, size_t *ret_count, struct weir_error *err)
{
	struct pipeline pipeline = {.writer = writer, .ran = ran, .err = err};
	struct weir_error sending = WEIR_ERROR_INIT;
	bool sent = PQenterPipelineMode(writer->pg) == 1;
	if (sent && first && writer->release)
		sent = send_plain(&pipeline, "RELEASE change");
	if (sent && first)
		sent = send_plain(&pipeline, "SAVEPOINT change");
	writer->release = writer->release && !first;
	if (!sent)
		postgres_fail(&sending, writer, NULL, "begin a change");
	else
		sent = send_statements(&pipeline, statements, count, &sending);
	if (PQpipelineSync(writer->pg) == 1)
		take_results(&pipeline);
	else if (sent)
		pipeline.status = postgres_fail(err, writer, NULL, "change the control database");
	PQexitPipelineMode(writer->pg);
	*ret_count = pipeline.done;
	if (pipeline.status == 0 && !sent) {
		*err = sending;
		pipeline.status = sending.code;
	}
	return pipeline.status;
}

static int prepare(
	struct postgres_connection *writer, const struct control_statement *statement, struct weir_error *err)
{
	struct postgres_bound bound;
	char name[16];
	int status = postgres_bind(statement->values, statement->value_count, &bound, err);
	if (status == 0 && !postgres_find(writer, statement->sql, bound.kinds, name))
		status = postgres_prepare(writer, statement->sql, &bound, name, err);
	return status;
}

static int run(struct control_connection *base, const struct control_statement *statements, size_t count,
	struct control_ran *ran, size_t *ret_count, struct weir_error *err)
{
	struct postgres_connection *writer = postgres_of(base);
	size_t done = 0;
	int status = 0;
	bool first = true;
	do {
		size_t more = 0;
		status = run_prepared(writer, first, statements + done, count - done, ran + done, &more, err);
		first = false;
		for (size_t i = done; i < done + more; i++)
			if (!control_fits(&statements[i], &ran[i])) {
				*ret_count = i + 1;
				return 0;
			}
		done += more;
		if (status == 0 && done < count)
			status = prepare(writer, &statements[done], err);
	} while (status == 0 && done < count);
	*ret_count = done;
	return status;
}

static int end_change(struct control_connection *base, bool keep, struct weir_error *err)
{
	struct postgres_connection *writer = postgres_of(base);
	writer->release = true; /* together with the next change, or by COMMIT */
	return keep ? 0 : postgres_do(writer, "ROLLBACK TO SAVEPOINT change", "take a change back", err);
}

static int script(struct control_connection *base, const char *sql, struct weir_error *err)
{
	struct postgres_connection *writer = postgres_of(base);
	postgres_translate(sql, true, &writer->translated);
	return postgres_do(writer, weir_buf_cstr(&writer->translated), "change the schema", err);
}

/* ---- reading ---- */

static int read_begin(struct control_connection *base, bool single, struct weir_error *err)
{
	static const char sql[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
	struct postgres_connection *connection = postgres_of(base);
	int status = postgres_reconnect(connection, err);
	if (status != 0 || single)
		return status;
	status = postgres_do(connection, sql, "begin reading", err);
	if (status != 0 && postgres_is_lost(connection)) {
		status = postgres_reconnect(connection, err);
		if (status == 0)
			status = postgres_do(connection, sql, "begin reading", err);
	}
	return status;
}

static bool read_end(struct control_connection *base)
{
	struct postgres_connection *connection = postgres_of(base);
	if (in_transaction(base))
		rollback(base);
	return !postgres_is_lost(connection) && PQtransactionStatus(connection->pg) == PQTRANS_IDLE;
}

static unsigned nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Bytes, of which the server sends "\x" and two digits each, into bytes. */
static struct weir_str unhex(const char *text, size_t size, struct weir_buf *bytes)
{
	size_t at = bytes->size;
	for (size_t i = 2; i + 1 < size; i += 2)
		weir_buf_u8(bytes, (uint8_t)(nibble(text[i]) << 4 | nibble(text[i + 1])));
	return (struct weir_str){bytes->data + at, bytes->size - at};
}

/* A row's values. Room for all its bytes is made first, so that values can point into the buffer. */
static void cells_of(const PGresult *result, struct control_value *cells, unsigned count, struct weir_buf *bytes)
{
	size_t room = 1;
	for (unsigned i = 0; i < count; i++)
		room += PQftype(result, (int)i) == POSTGRES_BYTEA ? (size_t)PQgetlength(result, 0, (int)i) : 0;
	bytes->size = 0;
	weir_buf_reserve(bytes, room);
	for (unsigned i = 0; i < count; i++) {
		struct weir_str text = {PQgetvalue(result, 0, (int)i), (size_t)PQgetlength(result, 0, (int)i)};
		int64_t number;
		cells[i] = CONTROL_T(text);
		if (PQgetisnull(result, 0, (int)i) == 1) {
			cells[i] = CONTROL_N;
			continue;
		}
		switch (PQftype(result, (int)i)) {
		case POSTGRES_BOOL:
			cells[i] = CONTROL_I(text.size > 0 && text.data[0] == 't');
			break;
		case POSTGRES_BYTEA:
			cells[i] = CONTROL_B(unhex(text.data, text.size, bytes));
			break;
		case POSTGRES_INT2:
		case POSTGRES_INT4:
		case POSTGRES_INT8:
		case POSTGRES_NUMERIC: /* a sum of 64-bit numbers */
			if (weir_str_to_i64(text, &number))
				cells[i] = CONTROL_I(number);
			break;
		default:
			break;
		}
	}
}

/* Row by row, whatever their number. After a row function's no the rest is read and left. */
static int read_rows(struct postgres_connection *connection, control_row_fn *row, void *context, bool *ret_any,
	struct weir_error *err)
{
	struct control_value *cells = NULL;
	struct weir_buf bytes = WEIR_BUF_INIT;
	PGresult *result;
	int status = 0;
	while ((result = PQgetResult(connection->pg)) != NULL) {
		ExecStatusType kind = PQresultStatus(result);
		if (kind == PGRES_SINGLE_TUPLE && status == 0) {
			unsigned count = (unsigned)PQnfields(result);
			if (cells == NULL)
				cells = weir_alloc((count > 0 ? count : 1) * sizeof *cells);
			cells_of(result, cells, count, &bytes);
			*ret_any = true;
			int answer = row(context, cells, count, err);
			status = answer < 0 ? answer : 0;
		} else if (kind != PGRES_SINGLE_TUPLE && kind != PGRES_TUPLES_OK && kind != PGRES_COMMAND_OK &&
			status == 0) {
			status = postgres_fail(err, connection, result, "read the control database");
		}
		PQclear(result);
	}
	weir_buf_done(&bytes);
	free(cells);
	return status;
}

static int query_once(struct postgres_connection *connection, const char *sql, const struct control_value *values,
	unsigned value_count, control_row_fn *row, void *context, bool *ret_any, struct weir_error *err)
{
	struct postgres_bound bound;
	char name[16];
	int status = postgres_bind(values, value_count, &bound, err);
	if (status == 0 && !postgres_find(connection, sql, bound.kinds, name))
		status = postgres_prepare(connection, sql, &bound, name, err);
	if (status != 0)
		return status;
	if (PQsendQueryPrepared(connection->pg, name, (int)bound.count, bound.data, bound.sizes, bound.formats, 0) != 1)
		return postgres_fail(err, connection, NULL, "read the control database");
	PQsetSingleRowMode(connection->pg);
	return read_rows(connection, row, context, ret_any, err);
}

static int query(struct control_connection *base, const char *sql, const struct control_value *values,
	unsigned value_count, control_row_fn *row, void *context, struct weir_error *err)
{
	struct postgres_connection *connection = postgres_of(base);
	struct weir_error own = WEIR_ERROR_INIT;
	struct weir_error *to = err != NULL ? err : &own;
	bool single = !in_transaction(base), any = false;
	int status = query_once(connection, sql, values, value_count, row, context, &any, to);
	/* A session of the pool may have been lost long ago; without a snapshot and a row nothing is lost by asking
	 * again. */
	if (status != 0 && single && !any && postgres_is_lost(connection)) {
		status = postgres_reconnect(connection, to);
		if (status == 0)
			status = query_once(connection, sql, values, value_count, row, context, &any, to);
	}
	return status;
}

const struct control_backend control_postgres = {
	.open = postgres_connect,
	.close = postgres_disconnect,
	.take = postgres_take,
	.retire = retire,
	.begin = begin,
	.run = run,
	.end_change = end_change,
	.script = script,
	.commit = commit,
	.rollback = rollback,
	.in_transaction = in_transaction,
	.settle = settle,
	.scrub = postgres_scrub,
	.read_begin = read_begin,
	.query = query,
	.read_end = read_end,
};
