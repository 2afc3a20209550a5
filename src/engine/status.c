/* What the page polls, and what Prometheus scrapes. */
#include <stdlib.h>

#include "engine/engine_int.h"

/* Committed counts of one stream, over all channels and starts. */
struct counts {
	int64_t accepted, duplicates, dead_letters, late;
};

static int add_count(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct counts *counts = context;
	(void)count;
	(void)err;
	if (weir_str_is(values[0].text, "accepted"))
		counts->accepted = values[1].integer;
	else if (weir_str_is(values[0].text, "duplicate"))
		counts->duplicates = values[1].integer;
	else if (weir_str_is(values[0].text, "dead_letter"))
		counts->dead_letters = values[1].integer;
	else if (weir_str_is(values[0].text, "late"))
		counts->late = values[1].integer;
	return 0;
}

static int read_counts(struct engine *engine, uint32_t stream, struct counts *ret_counts, struct weir_error *err)
{
	struct control_value name = CONTROL_T(engine->lake->streams[stream].name);
	*ret_counts = (struct counts){0};
	return control_query(engine->control,
		"SELECT result, SUM(count) FROM weir_counters WHERE stream = ?1 GROUP BY result", &name, 1, add_count,
		ret_counts, err);
}

static int write_streams(struct engine *engine, struct weir_json *json, struct weir_error *err)
{
	int status = 0;
	weir_json_key(json, "streams");
	weir_json_array(json);
	for (uint32_t i = 0; i < engine->lake->stream_count && status == 0; i++) {
		struct counts counts;
		status = read_counts(engine, i, &counts, err);
		weir_json_object(json);
		weir_json_key_string(json, "name", engine->lake->streams[i].name);
		weir_json_key_int(json, "accepted", counts.accepted);
		weir_json_key_int(json, "duplicates", counts.duplicates);
		weir_json_key_int(json, "rejected", counts.dead_letters);
		weir_json_key_int(json, "late", counts.late);
		weir_json_key_uint(json, "backlog", stream_numbers(engine->streams[i]).log_behind);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
	return status;
}

static int write_tables(struct engine *engine, struct weir_json *json, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	int status = 0;
	weir_json_key(json, "tables");
	weir_json_array(json);
	for (uint32_t i = 0; i < ice_registry_count(engine->registry) && status == 0; i++) {
		struct access_table_facts facts;
		status = access_table_facts(engine->access, i, arena, &facts, err);
		if (status != 0)
			break;
		weir_json_object(json);
		weir_json_key_cstring(json, "name",
			weir_arena_printf(arena, "%.*s.%.*s", WEIR_STR_ARG(facts.ns), WEIR_STR_ARG(facts.name)));
		weir_json_key_uint(json, "rows", facts.rows);
		weir_json_key_uint(json, "files", facts.files);
		weir_json_key_uint(json, "bytes", facts.bytes);
		weir_json_key_uint(json, "snapshots", facts.snapshots);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
	weir_arena_free(arena);
	return status;
}

/* Rows of the first gold table by purpose. */
static int purpose_rows(struct engine *engine, uint64_t counts[CONSENT_PURPOSES_MAX], struct weir_error *err)
{
	for (uint32_t t = 0; t < engine->lake->table_count; t++)
		if (engine->lake->tables[t].kind == LAKE_GOLD)
			return access_purpose_rows(engine->access, t, counts, err);
	return 0;
}

static int add_subject(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	(void)count;
	(void)err;
	weir_json_string(context, values[0].text);
	return 0;
}

static int write_consent(struct engine *engine, struct weir_json *json, struct weir_error *err)
{
	uint64_t counts[CONSENT_PURPOSES_MAX] = {0};
	if (engine->lake->consent_count == 0) {
		weir_json_key(json, "purposes");
		weir_json_array(json);
		weir_json_array_end(json);
		weir_json_key(json, "consent");
		weir_json_null(json);
		return 0;
	}
	struct consent *consent = engine->consents[0];
	const struct consent_vocabulary *vocabulary = consent_vocabulary_of(consent);
	int status = purpose_rows(engine, counts, err);
	weir_json_key(json, "purposes");
	weir_json_array(json);
	for (uint32_t p = 0; p < vocabulary->purpose_count; p++) {
		weir_json_object(json);
		weir_json_key_string(json, "name", vocabulary->purposes[p]);
		weir_json_key_uint(json, "rows", counts[p]);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
	struct consent_fence *fence = consent_fence_ref(consent);
	weir_json_key(json, "consent");
	weir_json_object(json);
	weir_json_key_string(json, "subject_column", vocabulary->subject);
	weir_json_key(json, "purposes");
	weir_json_array(json);
	for (uint32_t p = 0; p < vocabulary->purpose_count; p++)
		weir_json_string(json, vocabulary->purposes[p]);
	weir_json_array_end(json);
	weir_json_key_uint(json, "lsn", consent_head(consent));
	weir_json_key_uint(json, "fence", consent_fence_count(fence));
	weir_json_key_uint(json, "tasks_open", consent_tasks_open_count(consent));
	int64_t backlog = 0;
	if (status == 0)
		status = control_query_int(engine->control,
			"SELECT COALESCE(SUM(rows_todo - rows_done), 0) FROM weir_tasks WHERE state = 'open'", NULL, 0,
			&backlog, err);
	weir_json_key_int(json, "backlog_rows", backlog);
	weir_json_object_end(json);
	consent_fence_unref(fence);
	return status;
}

/* Events that this process committed: what the rate is made of. */
static uint64_t events_committed(struct engine *engine)
{
	uint64_t total = 0;
	for (uint32_t i = 0; i < engine->lake->stream_count; i++) {
		struct stream_numbers numbers = stream_numbers(engine->streams[i]);
		total += numbers.accepted + numbers.duplicates + numbers.dead_letters;
	}
	return total;
}

static double events_per_second(struct engine *engine, uint64_t total)
{
	int64_t now_us = weir_steady_us(&engine->options.clock);
	pthread_mutex_lock(&engine->lock);
	if (now_us - engine->rate_us >= WEIR_US_PER_SECOND / 2) {
		engine->rate = engine->rate_us == 0
			? 0
			: (double)(total - engine->rate_events) * 1e6 / (double)(now_us - engine->rate_us);
		engine->rate_events = total;
		engine->rate_us = now_us;
	}
	double rate = engine->rate;
	pthread_mutex_unlock(&engine->lock);
	return rate;
}

int engine_status(struct engine *engine, struct weir_json *json, struct weir_error *err)
{
	int64_t total = 0;
	int status = control_query_int(engine->control,
		"SELECT COALESCE(SUM(count), 0) FROM weir_counters WHERE result <> 'late'", NULL, 0, &total, err);
	weir_json_object(json);
	weir_json_key_string(json, "name", engine->lake->name);
	weir_json_key_cstring(json, "version", WEIR_VERSION);
	weir_json_key_int(json, "now_us", weir_now_us(&engine->options.clock));
	weir_json_key_int(
		json, "uptime_s", (weir_steady_us(&engine->options.clock) - engine->started_us) / WEIR_US_PER_SECOND);
	weir_json_key(json, "events");
	weir_json_object(json);
	weir_json_key_int(json, "total", total);
	weir_json_key_double(json, "per_second",
		(double)(int64_t)(events_per_second(engine, events_committed(engine)) * 10 + 0.5) / 10);
	weir_json_object_end(json);
	if (status == 0)
		status = write_streams(engine, json, err);
	if (status == 0)
		status = write_tables(engine, json, err);
	if (status == 0)
		status = write_consent(engine, json, err);
	weir_json_key(json, "subjects");
	weir_json_array(json);
	if (status == 0 && engine->lake->consent_count > 0)
		status = control_query(engine->control,
			"SELECT subject FROM weir_consent_subjects ORDER BY subject LIMIT 8", NULL, 0, add_subject,
			json, err);
	weir_json_array_end(json);
	weir_json_object_end(json);
	return status;
}

/* ---- Prometheus ---- */

static void header(struct weir_buf *out, const char *name, const char *type, const char *help)
{
	weir_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static int add_counter(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct weir_buf *out = context;
	(void)count;
	(void)err;
	weir_buf_printf(out, "weir_events_total{stream=\"%.*s\",channel=\"%.*s\",result=\"%.*s\"} %lld\n",
		WEIR_STR_ARG(values[0].text), WEIR_STR_ARG(values[1].text), WEIR_STR_ARG(values[2].text),
		(long long)values[3].integer);
	return 0;
}

static int add_letters(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct weir_buf *out = context;
	(void)count;
	(void)err;
	weir_buf_printf(out, "weir_dead_letters_total{stream=\"%.*s\",reason=\"%.*s\"} %lld\n",
		WEIR_STR_ARG(values[0].text), WEIR_STR_ARG(values[1].text), (long long)values[2].integer);
	return 0;
}

static void watermark_metrics(struct engine *engine, struct weir_buf *out)
{
	header(out, "weir_watermark_lag_seconds", "gauge",
		"How far the watermark of a stream's live channels is behind now.");
	for (uint32_t i = 0; i < engine->lake->stream_count; i++) {
		int64_t watermark_us = stream_numbers(engine->streams[i]).watermark_us;
		if (watermark_us != INT64_MIN) /* no live event yet */
			weir_buf_printf(out, "weir_watermark_lag_seconds{stream=\"%.*s\"} %.3f\n",
				WEIR_STR_ARG(engine->lake->streams[i].name),
				(double)(weir_now_us(&engine->options.clock) - watermark_us) / 1e6);
	}
}

static int consent_metrics(struct engine *engine, struct weir_buf *out, struct weir_error *err)
{
	uint64_t counts[CONSENT_PURPOSES_MAX] = {0};
	int64_t backlog = 0;
	if (engine->lake->consent_count == 0)
		return 0;
	struct consent *consent = engine->consents[0];
	const struct consent_vocabulary *vocabulary = consent_vocabulary_of(consent);
	int status = purpose_rows(engine, counts, err);
	if (status == 0)
		status = control_query_int(engine->control,
			"SELECT COALESCE(SUM(rows_todo - rows_done), 0) FROM weir_tasks WHERE state = 'open'", NULL, 0,
			&backlog, err);
	header(out, "weir_gold_rows", "gauge", "Rows in gold by purpose.");
	for (uint32_t p = 0; p < vocabulary->purpose_count; p++)
		weir_buf_printf(out, "weir_gold_rows{purpose=\"%.*s\"} %llu\n", WEIR_STR_ARG(vocabulary->purposes[p]),
			(unsigned long long)counts[p]);
	struct consent_fence *fence = consent_fence_ref(consent);
	header(out, "weir_consent_lsn", "gauge", "Number of the newest change of the consent log.");
	weir_buf_printf(out, "weir_consent_lsn %llu\n", (unsigned long long)consent_head(consent));
	header(out, "weir_fence_entries", "gauge",
		"Pairs of subject and purpose whose rows are hidden until they are gone.");
	weir_buf_printf(out, "weir_fence_entries %llu\n", (unsigned long long)consent_fence_count(fence));
	header(out, "weir_reindex_tasks", "gauge", "Re-index tasks that are open.");
	weir_buf_printf(out, "weir_reindex_tasks %llu\n", (unsigned long long)consent_tasks_open_count(consent));
	header(out, "weir_reindex_backlog_rows", "gauge", "Rows that open re-index tasks have yet to look at.");
	weir_buf_printf(out, "weir_reindex_backlog_rows %lld\n", (long long)backlog);
	consent_fence_unref(fence);
	return status;
}

int engine_metrics(struct engine *engine, struct weir_buf *out, struct weir_error *err)
{
	struct jobs_numbers jobs = jobs_numbers(engine->jobs);
	header(out, "weir_events_total", "counter", "Committed events by stream, channel and result.");
	int status = control_query(engine->control,
		"SELECT stream, channel, result, count FROM weir_counters ORDER BY stream, channel, result", NULL, 0,
		add_counter, out, err);
	header(out, "weir_dead_letters_total", "counter", "Dead letters by stream and reason.");
	if (status == 0)
		status = control_query(engine->control,
			"SELECT stream, reason, count FROM weir_letter_counts ORDER BY stream, reason", NULL, 0,
			add_letters, out, err);
	watermark_metrics(engine, out);
	header(out, "weir_log_behind_records", "gauge", "Records that are acknowledged and not yet committed.");
	for (uint32_t i = 0; i < engine->lake->stream_count; i++)
		weir_buf_printf(out, "weir_log_behind_records{stream=\"%.*s\"} %llu\n",
			WEIR_STR_ARG(engine->lake->streams[i].name),
			(unsigned long long)stream_numbers(engine->streams[i]).log_behind);
	header(out, "weir_commit_seconds", "gauge", "How long the last commit of a stream took.");
	for (uint32_t i = 0; i < engine->lake->stream_count; i++)
		weir_buf_printf(out, "weir_commit_seconds{stream=\"%.*s\"} %.6f\n",
			WEIR_STR_ARG(engine->lake->streams[i].name),
			(double)stream_numbers(engine->streams[i]).commit_us_last / 1e6);
	if (status == 0)
		status = consent_metrics(engine, out, err);
	header(out, "weir_compactions_total", "counter", "Merges of small files since the start.");
	weir_buf_printf(out, "weir_compactions_total %llu\n", (unsigned long long)jobs.compactions);
	header(out, "weir_files_destroyed_total", "counter", "Files destroyed since the start.");
	weir_buf_printf(out, "weir_files_destroyed_total %llu\n", (unsigned long long)jobs.files_destroyed);
	if (engine->maintain != NULL)
		maintain_metrics(engine->maintain, out);
	return status;
}
