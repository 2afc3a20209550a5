/*
 * DuckDB instances: in memory, without the network, with lookups as tables. An instance is open for
 * lookups until its first transform; then it is sealed: no file and no setting can be reached by SQL.
 */
#include "sql/sql_int.h"

#define DEFAULT_MEMORY_BYTES (256ULL << 20)

#include <stdio.h>
#include <stdlib.h>

void sql_quote(struct weir_buf *out, struct weir_str text, char quote)
{
	weir_buf_putc(out, quote);
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] == quote)
			weir_buf_putc(out, quote);
		weir_buf_putc(out, text.data[i]);
	}
	weir_buf_putc(out, quote);
}

int sql_run(duckdb_connection connection, const char *text, char **ret_value, struct weir_error *err)
{
	duckdb_result result;
	int code = 0;
	if (duckdb_query(connection, text, &result) != DuckDBSuccess) {
		code = sql_fail(err, WEIR_E_INPUT, "sql", duckdb_result_error(&result), false);
	} else if (ret_value != NULL) {
		char *value = duckdb_row_count(&result) > 0 ? duckdb_value_varchar(&result, 0, 0) : NULL;
		*ret_value = value != NULL ? weir_strdup(value) : NULL;
		duckdb_free(value);
	}
	duckdb_destroy_result(&result);
	return code;
}

int sql_seal(duckdb_connection connection, const struct weir_str *files, uint32_t file_count, struct weir_error *err)
{
	struct weir_buf text = WEIR_BUF_INIT;
	weir_buf_puts(&text, "SET allowed_paths = [");
	for (uint32_t i = 0; i < file_count; i++) {
		weir_buf_puts(&text, i > 0 ? ", " : "");
		sql_quote(&text, files[i], '\'');
	}
	weir_buf_puts(&text, "]");
	int code = file_count > 0 ? sql_run(connection, weir_buf_cstr(&text), NULL, err) : 0;
	if (code == 0)
		code = sql_run(connection, "SET enable_external_access = false", NULL, err);
	if (code == 0)
		code = sql_run(connection, "SET lock_configuration = true", NULL, err);
	weir_buf_done(&text);
	return code;
}

uint64_t sql_memory_bytes(const struct sql_options *options)
{
	return options->memory_bytes > 0 ? options->memory_bytes : DEFAULT_MEMORY_BYTES;
}

static int set_options(duckdb_config config, const struct sql_options *options, struct weir_error *err)
{
	char threads[32], memory[32];
	snprintf(threads, sizeof threads, "%u", options->threads > 0 ? options->threads : 1);
	snprintf(memory, sizeof memory, "%lluB", (unsigned long long)sql_memory_bytes(options));
	const char *const settings[][2] = {
		{"threads", threads},
		{"memory_limit", memory},
		{"temp_directory", options->spill_directory != NULL ? options->spill_directory : ""},
		{"autoinstall_known_extensions", "false"},
		{"autoload_known_extensions", "false"},
		{"allow_community_extensions", "false"},
		{"allow_persistent_secrets", "false"},
	};
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		if (duckdb_set_config(config, settings[i][0], settings[i][1]) != DuckDBSuccess)
			return weir_fail(err, WEIR_E_INTERNAL, "DuckDB knows no setting %s", settings[i][0]);
	}
	return 0;
}

int sql_open(const struct sql_options *options, struct sql **ret_sql, struct weir_error *err)
{
	struct sql *sql = weir_zalloc(sizeof *sql);
	duckdb_config config = NULL;
	char *message = NULL;
	int code = 0;
	pthread_mutex_init(&sql->lock, NULL);
	sql->options = *options;
	sql->options.spill_directory = sql->spill_directory =
		options->spill_directory != NULL ? weir_strdup(options->spill_directory) : NULL;
	if (duckdb_create_config(&config) != DuckDBSuccess) {
		code = weir_fail(err, WEIR_E_NO_MEMORY, "cannot make DuckDB's settings");
		goto done;
	}
	code = set_options(config, &sql->options, err);
	if (code < 0)
		goto done;
	if (duckdb_open_ext(NULL, &sql->database, config, &message) != DuckDBSuccess) {
		code = sql_fail(err, WEIR_E_IO, "sql", message, false);
		goto done;
	}
	if (duckdb_connect(sql->database, &sql->connection) != DuckDBSuccess) {
		code = weir_fail(err, WEIR_E_NO_MEMORY, "cannot connect to DuckDB");
		goto done;
	}
	code = sql_run(sql->connection, "SET GLOBAL TimeZone = 'UTC'; CREATE SCHEMA lookup", NULL, err);
	if (code == 0)
		code = sql_register_functions(sql->connection, err);
	if (code == 0)
		code = sql_register_rows(sql, err);
done:
	if (message != NULL)
		duckdb_free(message);
	duckdb_destroy_config(&config);
	if (code < 0)
		sql_close(sql);
	else
		*ret_sql = sql;
	return code;
}

void sql_close(struct sql *sql)
{
	if (sql == NULL)
		return;
	WEIR_ASSERT(sql->transforms == NULL);
	duckdb_disconnect(&sql->connection);
	duckdb_close(&sql->database);
	for (size_t i = 0; i < sql->lookup_count; i++) {
		free(sql->lookups[i].name);
		free(sql->lookups[i].path);
	}
	free(sql->lookups);
	free(sql->spill_directory);
	pthread_mutex_destroy(&sql->lock);
	free(sql);
}

int sql_load_lookup(struct sql *sql, struct weir_str name, const char *csv_path, struct weir_error *err)
{
	struct weir_buf text = WEIR_BUF_INIT;
	int code = 0;
	pthread_mutex_lock(&sql->lock);
	if (sql->sealed) {
		code = weir_fail(err, WEIR_E_BUSY, "lookups are loaded before the first transform");
		goto done;
	}
	weir_buf_puts(&text, "CREATE TABLE lookup.");
	sql_quote(&text, name, '"');
	/* All rows are sniffed: a type that the first rows suggest must hold for the last. A time without zone is UTC.
	 */
	weir_buf_puts(&text, " AS FROM read_csv(");
	sql_quote(&text, weir_str_from(csv_path), '\'');
	weir_buf_puts(&text,
		", header = true, sample_size = -1, auto_type_candidates = "
		"['BOOLEAN', 'BIGINT', 'DOUBLE', 'DATE', 'TIMESTAMPTZ', 'VARCHAR'])");
	code = sql_run(sql->connection, weir_buf_cstr(&text), NULL, err);
	if (code < 0) {
		weir_error_wrap(err, code, "lookup %.*s from %s", WEIR_STR_ARG(name), csv_path);
		goto done;
	}
	WEIR_GROW(sql->lookups, sql->lookup_count, sql->lookup_capacity);
	struct weir_buf copy = WEIR_BUF_INIT;
	weir_buf_append(&copy, name.data, name.size);
	sql->lookups[sql->lookup_count++] =
		(struct sql_lookup_entry){weir_strdup(weir_buf_cstr(&copy)), weir_strdup(csv_path)};
	weir_buf_done(&copy);
done:
	pthread_mutex_unlock(&sql->lock);
	weir_buf_done(&text);
	return code;
}
