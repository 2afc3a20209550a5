/* Opening and closing a lake, and the background thread. */
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/engine_int.h"
#include "engine/warehouse.h"

#define CACHE_BYTES            (256U << 20)
#define TRANSFORM_MEMORY_BYTES (256U << 20)
#define FREE_SQL_MEMORY_BYTES  (512U << 20)
#define BACKGROUND_IDLE_US     100000
#define BACKGROUND_RETRY_US    1000000

/* ---- the lease: one process owns a directory ---- */

static int take_lease(struct engine *engine, struct weir_error *err)
{
	char *path = weir_arena_printf(engine->arena, "%s/lease", engine->lake->data), pid[32] = "";
	engine->lease_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (engine->lease_fd < 0)
		return weir_fail_errno(err, errno, weir_str_from(path), "open the lease");
	if (flock(engine->lease_fd, LOCK_EX | LOCK_NB) != 0) {
		ssize_t got = pread(engine->lease_fd, pid, sizeof pid - 1, 0);
		pid[got > 0 ? got : 0] = '\0';
		return weir_fail_at(err, WEIR_E_BUSY, weir_str_from(engine->lake->data), WEIR_ERROR_NO_OFFSET,
			"process %ld owns this directory; stop it, or give another with --data", strtol(pid, NULL, 10));
	}
	int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
	if (ftruncate(engine->lease_fd, 0) != 0 || pwrite(engine->lease_fd, pid, (size_t)size, 0) != size)
		return weir_fail_errno(err, errno, weir_str_from(path), "write the lease");
	return 0;
}

/* ---- parts ---- */

static int open_stores(struct engine *engine, struct weir_error *err)
{
	const struct lake *lake = engine->lake;
	const struct weir_os *os = engine->options.os;
	struct control_options control = {.url = lake->control,
		.sqlite_vfs = engine->options.sqlite_vfs,
		.exclusive = engine->options.exclusive_control};
	int status = control_open(&control, &engine->control, err);
	if (status == 0)
		status = engine_open_warehouse(lake, os, &engine->options.clock, &engine->store, err);
	if (status == 0) {
		struct bus_options bus = {.os = os,
			.clock = engine->options.clock,
			.no_thread = engine->options.no_background,
			.directory = weir_arena_printf(engine->arena, "%s/log", lake->data)};
		status = bus_open(&bus, &engine->bus, err);
	}
	if (status != 0)
		return status;
	engine->cache = ice_cache_new(CACHE_BYTES);
	engine->registry = ice_registry_new(engine->store, engine->control);
	return 0;
}

static int load_lookups(struct engine *engine, struct sql *sql, struct weir_error *err)
{
	int status = 0;
	for (uint32_t i = 0; i < engine->lake->lookup_count && status == 0; i++)
		status = sql_load_lookup(sql, engine->lake->lookups[i].name, engine->lake->lookups[i].path, err);
	return status;
}

static void make_vocabulary(struct engine *engine, const struct lake_consent *from, struct consent_vocabulary *to)
{
	static const enum consent_dimension_kind kinds[] = {
		CONSENT_DIM_TEXT, CONSENT_DIM_NUMBER, CONSENT_DIM_BOOLEAN, CONSENT_DIM_TIME, CONSENT_DIM_METRICS};
	struct consent_dimension *dimensions =
		weir_arena_calloc(engine->arena, from->dimension_count, sizeof *dimensions);
	for (uint32_t i = 0; i < from->dimension_count; i++) {
		const struct lake_dimension *dimension = &from->dimensions[i];
		dimensions[i] = (struct consent_dimension){
			.name = dimension->name,
			.kind = kinds[dimension->kind],
			.column = dimension->column,
			.until = dimension->until,
			.until_start = dimension->until.size > 0 ? WEIR_STR("period_start") : WEIR_STR(""),
			.columns = dimension->columns,
			.column_count = dimension->column_count,
			.map = dimension->map,
		};
	}
	*to = (struct consent_vocabulary){.name = from->name,
		.subject = from->subject,
		.purposes = from->purposes,
		.purpose_count = from->purpose_count,
		.dimensions = dimensions,
		.dimension_count = from->dimension_count};
}

static int open_consents(struct engine *engine, struct weir_error *err)
{
	const struct lake *lake = engine->lake;
	engine->vocabularies = weir_arena_calloc(engine->arena, lake->consent_count, sizeof *engine->vocabularies);
	engine->consents = weir_arena_calloc(engine->arena, lake->consent_count, sizeof(struct consent *));
	if (lake->consent_count > 1)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, weir_str_from(lake->path), WEIR_ERROR_NO_OFFSET,
			"a lake has one consent section for now; this one has %u", lake->consent_count);
	int status = 0;
	for (uint32_t i = 0; i < lake->consent_count && status == 0; i++) {
		make_vocabulary(engine, &lake->consents[i], &engine->vocabularies[i]);
		status = consent_open(
			engine->control, &engine->vocabularies[i], engine->options.clock, &engine->consents[i], err);
	}
	return status;
}

static int open_streams(struct engine *engine, struct weir_error *err)
{
	const struct lake *lake = engine->lake;
	int status = 0;
	engine->streams = weir_arena_calloc(engine->arena, lake->stream_count, sizeof(struct stream *));
	for (uint32_t i = 0; i < lake->stream_count && status == 0; i++) {
		struct stream_config config = {
			.lake = lake,
			.stream = i,
			.bus = engine->bus,
			.control = engine->control,
			.registry = engine->registry,
			.dead_letters_table = engine->dead_letters_table,
			.consents = engine->consents,
			.sql = engine->transforms,
			.clock = engine->options.clock,
			.log = engine->options.log,
			.no_thread = engine->options.no_background,
		};
		status = stream_open(&config, &engine->streams[i], err);
	}
	return status;
}

static int open_faces(struct engine *engine, struct weir_error *err)
{
	const struct lake *lake = engine->lake;
	struct ingest_config ingest = {.lake = lake,
		.bus = engine->bus,
		.sql = engine->transforms,
		.streams = engine->streams,
		.clock = engine->options.clock};
	struct access_config access = {.lake = lake,
		.control = engine->control,
		.registry = engine->registry,
		.consents = engine->consents,
		.bus = engine->bus,
		.clock = engine->options.clock};
	struct jobs_config jobs = {.lake = lake,
		.control = engine->control,
		.registry = engine->registry,
		.consents = engine->consents,
		.streams = engine->streams,
		.bus = engine->bus,
		.sql = engine->transforms,
		.audit_table = engine->audit_table,
		.clock = engine->options.clock,
		.log = engine->options.log,
		.delta_from_bytes = engine->options.delta_from_bytes};
	int status = ingest_open(&ingest, &engine->ingest, err);
	if (status == 0)
		status = access_open(&access, &engine->access, err);
	if (status == 0)
		status = jobs_open(&jobs, &engine->jobs, err);
	return status;
}

/* Open removals end before anything is served: what was to go on the last run is gone. */
static int finish_removals(struct engine *engine, struct weir_error *err)
{
	bool did = true;
	int status = 0;
	while (status == 0 && did)
		status = jobs_reindex(engine->jobs, &did, err);
	return status;
}

/* ---- the background thread ---- */

static bool wait_background(struct engine *engine, int64_t wait_us)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	int64_t ns = until.tv_nsec + wait_us % 1000000 * 1000;
	until.tv_sec += wait_us / 1000000 + ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	pthread_mutex_lock(&engine->lock);
	if (!engine->stopping && wait_us > 0)
		pthread_cond_timedwait(&engine->changed, &engine->lock, &until);
	bool stopping = engine->stopping;
	pthread_mutex_unlock(&engine->lock);
	return !stopping;
}

static void *background_main(void *context)
{
	struct engine *engine = context;
	int64_t wait_us = 0;
	/* Background work gives way to ingest and queries: lowest weight, not SCHED_IDLE, so that removals never starve. */
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
	while (wait_background(engine, wait_us)) {
		struct weir_error err = WEIR_ERROR_INIT;
		bool did = false;
		char text[1200];
		int status = engine_step(engine, &did, &err);
		if (status != 0)
			weir_log(engine->options.log, WEIR_LOG_WARN, "background work failed and is tried again: %s",
				weir_error_text(&err, text, sizeof text));
		wait_us = status != 0 ? BACKGROUND_RETRY_US : did ? 0 : BACKGROUND_IDLE_US;
		if (jobs_tasks_open(engine->jobs) > 0 && status == 0)
			wait_us = did ? 0 : 2000;
	}
	return NULL;
}

/* ---- the tables of others ---- */

/* Ingest comes first, and so do removals. */
static bool is_busy(void *context)
{
	struct engine *engine = context;
	for (uint32_t i = 0; i < engine->lake->stream_count; i++)
		if (stream_is_busy(engine->streams[i]))
			return true;
	return jobs_tasks_open(engine->jobs) > 0;
}

static void start_maintain(struct engine *engine)
{
	const struct maintain_config config = {.registry = engine->registry,
		.settings = &engine->lake->maintain,
		.clock = engine->options.clock,
		.log = engine->options.log,
		.is_busy = is_busy,
		.context = engine};
	if (engine->lake->maintain.every_us == 0)
		return;
	maintain_open(&config, &engine->maintain);
	maintain_start(engine->maintain);
}

/* ---- open and close ---- */

static int open_all(struct engine *engine, struct weir_error *err)
{
	uint64_t destroyed = 0;
	struct sql_options transforms = {.threads = 1, .memory_bytes = TRANSFORM_MEMORY_BYTES};
	const struct weir_os *os = engine->options.os;
	int status = os->mkdir(os->self, engine->lake->data, err);
	if (status == 0 && os == weir_os_real())
		status = take_lease(engine, err);
	if (status == 0)
		status = open_stores(engine, err);
	if (status == 0)
		status = sql_open(&transforms, &engine->transforms, err);
	if (status == 0)
		status = load_lookups(engine, engine->transforms, err);
	if (status == 0)
		status = open_consents(engine, err);
	if (status == 0)
		status = engine_open_tables(engine, err);
	if (status == 0)
		status = ice_recover_files(engine->registry, &destroyed, err);
	if (status == 0 && destroyed > 0)
		weir_log(engine->options.log, WEIR_LOG_INFO,
			"recovery destroyed %llu files of unfinished or replaced commits",
			(unsigned long long)destroyed);
	if (status == 0)
		status = open_streams(engine, err);
	if (status == 0)
		status = open_faces(engine, err);
	if (status == 0)
		status = finish_removals(engine, err);
	return status;
}

int engine_open(const struct lake *lake, const struct engine_options *options, struct engine **ret_engine,
	struct weir_error *err)
{
	struct engine *engine = weir_zalloc(sizeof *engine);
	engine->lake = lake;
	engine->options = *options;
	if (engine->options.os == NULL)
		engine->options.os = weir_os_real();
	if (engine->options.clock.now_us == NULL)
		engine->options.clock = weir_clock_system();
	engine->arena = weir_arena_new(0);
	engine->lease_fd = -1;
	pthread_mutex_init(&engine->lock, NULL);
	pthread_mutex_init(&engine->sql_lock, NULL);
	pthread_mutex_init(&engine->step_lock, NULL);
	pthread_cond_init(&engine->changed, NULL);
	engine->started_us = weir_steady_us(&engine->options.clock);
	int status = open_all(engine, err);
	if (status != 0) {
		engine_close(engine);
		return status;
	}
	if (!engine->options.no_background) {
		engine->has_background = pthread_create(&engine->background, NULL, background_main, engine) == 0;
		WEIR_ASSERT(engine->has_background);
		start_maintain(engine);
	}
	*ret_engine = engine;
	return 0;
}

void engine_close(struct engine *take_engine)
{
	struct engine *engine = take_engine;
	struct weir_error ignored = WEIR_ERROR_INIT;
	bool did;
	if (engine == NULL)
		return;
	pthread_mutex_lock(&engine->lock);
	engine->stopping = true;
	pthread_cond_broadcast(&engine->changed);
	pthread_mutex_unlock(&engine->lock);
	if (engine->has_background)
		pthread_join(engine->background, NULL);
	maintain_close(engine->maintain);
	ingest_close(engine->ingest);
	for (uint32_t i = 0; engine->streams != NULL && i < engine->lake->stream_count; i++)
		if (engine->streams[i] != NULL)
			stream_flush(engine->streams[i], &ignored);
	if (engine->jobs != NULL)
		jobs_audit(engine->jobs, true, &did, &ignored);
	jobs_close(engine->jobs);
	access_close(engine->access);
	for (uint32_t i = 0; engine->streams != NULL && i < engine->lake->stream_count; i++)
		stream_close(engine->streams[i]);
	for (uint32_t i = 0; engine->consents != NULL && i < engine->lake->consent_count; i++)
		if (engine->consents[i] != NULL)
			consent_close(engine->consents[i]);
	if (engine->bus != NULL)
		bus_close(engine->bus);
	ice_registry_free(engine->registry);
	if (engine->cache != NULL)
		ice_cache_free(engine->cache);
	if (engine->free_sql != NULL)
		sql_close(engine->free_sql);
	if (engine->transforms != NULL)
		sql_close(engine->transforms);
	if (engine->store != NULL)
		store_close(engine->store);
	if (engine->control != NULL)
		control_close(engine->control);
	if (engine->lease_fd >= 0)
		close(engine->lease_fd);
	pthread_mutex_destroy(&engine->lock);
	pthread_mutex_destroy(&engine->sql_lock);
	pthread_mutex_destroy(&engine->step_lock);
	pthread_cond_destroy(&engine->changed);
	weir_arena_free(engine->arena);
	free(engine);
}

/* ---- parts, for others ---- */

const struct lake *engine_lake(const struct engine *engine)
{
	return engine->lake;
}

struct ingest *engine_ingest(struct engine *engine)
{
	return engine->ingest;
}

struct access *engine_access(struct engine *engine)
{
	return engine->access;
}

struct consent *engine_consent(struct engine *engine, uint32_t index)
{
	return engine->consents[index];
}

struct control *engine_control(struct engine *engine)
{
	return engine->control;
}

struct ice_registry *engine_registry(struct engine *engine)
{
	return engine->registry;
}

struct sql *engine_sql(struct engine *engine)
{
	struct weir_error err = WEIR_ERROR_INIT;
	pthread_mutex_lock(&engine->sql_lock);
	if (engine->free_sql == NULL) {
		struct sql_options options = {.threads = 1, .memory_bytes = FREE_SQL_MEMORY_BYTES};
		if (sql_open(&options, &engine->free_sql, &err) != 0 ||
			load_lookups(engine, engine->free_sql, &err) != 0)
			weir_log(engine->options.log, WEIR_LOG_ERROR, "cannot open DuckDB: %s", err.message);
	}
	struct sql *sql = engine->free_sql;
	pthread_mutex_unlock(&engine->sql_lock);
	return sql;
}

int engine_step(struct engine *engine, bool *ret_did, struct weir_error *err)
{
	pthread_mutex_lock(&engine->step_lock);
	int status = jobs_step(engine->jobs, ret_did, err);
	pthread_mutex_unlock(&engine->step_lock);
	return status;
}

int engine_flush(struct engine *engine, struct weir_error *err)
{
	int status = 0;
	for (uint32_t i = 0; i < engine->lake->stream_count && status == 0; i++)
		status = stream_flush(engine->streams[i], err);
	return status;
}

int engine_settle(struct engine *engine, bool compacted, struct weir_error *err)
{
	for (;;) {
		bool did = true;
		int status = 0;
		pthread_mutex_lock(&engine->step_lock);
		status = jobs_reindex(engine->jobs, &did, err);
		if (status == 0 && !did && compacted)
			status = jobs_compact(engine->jobs, &did, err);
		pthread_mutex_unlock(&engine->step_lock);
		if (status == WEIR_E_BUSY)
			continue;
		if (status != 0)
			return status;
		if (!did && jobs_tasks_open(engine->jobs) == 0)
			return 0;
		if (!did)
			usleep(1000); /* a task waits for an epoch that is open */
	}
}

int engine_check(struct engine *engine, struct weir_json *json, bool *ret_sound, struct weir_error *err)
{
	struct check_config config = {
		.lake = engine->lake,
		.control = engine->control,
		.registry = engine->registry,
		.consents = engine->consents,
		.streams = engine->streams,
		.dead_letters_table = engine->dead_letters_table,
		.audit_table = engine->audit_table,
		.clock = engine->options.clock,
	};
	return jobs_check(&config, json, ret_sound, err);
}
