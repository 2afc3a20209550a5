/*
 * Opening and closing the control database, and its base schema. See control.h for what it is,
 * writer.c for the thread that writes, read.c for snapshots, sqlite_*.c and postgres_*.c for the databases.
 *
 * The catalog's two tables are those of the Iceberg JDBC catalog, schema V1 (the columns that Java's
 * JdbcCatalog and PyIceberg's SqlCatalog create), so that other engines open this very database.
 */
#include "control/control_int.h"

#include <stdlib.h>
#include <string.h>

static const char base_schema[] =
	"CREATE TABLE IF NOT EXISTS iceberg_tables(catalog_name VARCHAR(255) NOT NULL,"
	" table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL, metadata_location VARCHAR(1000),"
	" previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),"
	" PRIMARY KEY (catalog_name, table_namespace, table_name));"
	"CREATE TABLE IF NOT EXISTS iceberg_namespace_properties(catalog_name VARCHAR(255) NOT NULL,"
	" namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL, property_value VARCHAR(1000),"
	" PRIMARY KEY (catalog_name, namespace, property_key));"
	"CREATE TABLE IF NOT EXISTS weir_meta(key TEXT PRIMARY KEY, value TEXT);"
	"CREATE TABLE IF NOT EXISTS weir_owned(namespace TEXT PRIMARY KEY);"
	"CREATE TABLE IF NOT EXISTS weir_offsets(stream TEXT NOT NULL, partition INTEGER NOT NULL,"
	" next_offset INTEGER NOT NULL, PRIMARY KEY (stream, partition));"
	"CREATE TABLE IF NOT EXISTS weir_counters(stream TEXT NOT NULL, channel TEXT NOT NULL, result TEXT NOT NULL,"
	" count INTEGER NOT NULL, PRIMARY KEY (stream, channel, result));"
	"CREATE TABLE IF NOT EXISTS weir_pending_files(prefix TEXT PRIMARY KEY, created_us INTEGER NOT NULL);"
	"CREATE TABLE IF NOT EXISTS weir_doomed_files(name TEXT PRIMARY KEY, doomed_us INTEGER NOT NULL);"
	"CREATE TABLE IF NOT EXISTS weir_tokens(id TEXT PRIMARY KEY, hash BLOB UNIQUE, role TEXT, consumer TEXT,"
	" purposes TEXT, created_us INTEGER, revoked_us INTEGER);";

static void free_control(struct control *control)
{
	while (control->idle != NULL) {
		struct control_connection *connection = control->idle;
		control->idle = connection->next;
		control->backend->close(connection);
	}
	if (control->writer != NULL)
		control->backend->close(control->writer);
	pthread_mutex_destroy(&control->lock);
	pthread_mutex_destroy(&control->connection_lock);
	pthread_cond_destroy(&control->queued);
	free(control->ran);
	free((void *)(uintptr_t)control->options.url);
	free((void *)(uintptr_t)control->options.sqlite_vfs);
	free(control);
}

static bool is_postgres(const char *url)
{
	return strncmp(url, "postgresql://", 13) == 0 || strncmp(url, "postgres://", 11) == 0;
}

int control_open(const struct control_options *options, struct control **ret_control, struct weir_error *err)
{
	struct control *control = weir_zalloc(sizeof *control);
	control->options = *options;
	control->options.url = weir_strdup(options->url);
	control->backend = is_postgres(options->url) ? &control_postgres : &control_sqlite;
	control->options.sqlite_vfs = options->sqlite_vfs != NULL ? weir_strdup(options->sqlite_vfs) : NULL;
	pthread_mutex_init(&control->lock, NULL);
	pthread_mutex_init(&control->connection_lock, NULL);
	pthread_cond_init(&control->queued, NULL);
	struct weir_error own = WEIR_ERROR_INIT;
	if (err == NULL)
		err = &own;
	int status = control->backend->open(&control->options, false, &control->writer, err);
	if (status == 0)
		status = control->backend->take(control->writer, base_schema, err);
	if (status == 0 && pthread_create(&control->thread, NULL, control_writer_main, control) != 0)
		status = weir_fail(err, WEIR_E_NO_MEMORY, "cannot start the control database's writer thread");
	if (status != 0) {
		free_control(control);
		return status;
	}
	*ret_control = control;
	return 0;
}

void control_close(struct control *control)
{
	if (control == NULL)
		return;
	pthread_mutex_lock(&control->lock);
	WEIR_ASSERT(control->reading_count == 0);
	control->closing = true;
	pthread_cond_signal(&control->queued);
	pthread_mutex_unlock(&control->lock);
	pthread_join(control->thread, NULL);
	control->backend->retire(control->writer);
	free_control(control);
}

int control_migrate(
	struct control *control, const char *name, unsigned version, const char *sql, struct weir_error *err)
{
	struct control_job job = {.kind = CONTROL_JOB_MIGRATE, .name = name, .version = version, .sql = sql};
	return control_job_run(control, CONTROL_EPOCH, &job, err);
}

int control_commit(struct control *control, const struct control_change *change, struct control_result *ret_result,
	struct weir_error *err)
{
	struct control_job job = {.kind = CONTROL_JOB_CHANGE, .change = change};
	int status = control_job_run(control, change->priority, &job, err);
	if (status == 0)
		*ret_result = job.result;
	return status;
}

int control_scrub(struct control *control, struct weir_error *err)
{
	struct control_job job = {.kind = CONTROL_JOB_SCRUB};
	return control_job_run(control, CONTROL_CONSENT, &job, err);
}
