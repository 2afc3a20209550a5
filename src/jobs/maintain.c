/* Rounds: which tables there are, which of them may be touched, and the thread. See maintain.h. */
#include "jobs/maintain.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "iceberg/rest_document.h"
#include "jobs/maintain_int.h"

#define BUSY_WAIT_US  (200 * WEIR_US_PER_MS)
#define FIRST_WAIT_US WEIR_US_PER_MINUTE

void maintain_count(struct maintain *maintain, const struct maintain_numbers *more)
{
	struct maintain_numbers *numbers = &maintain->numbers;
	pthread_mutex_lock(&maintain->lock);
	numbers->rounds += more->rounds;
	numbers->files_compacted += more->files_compacted;
	numbers->files_written += more->files_written;
	numbers->manifest_rewrites += more->manifest_rewrites;
	numbers->snapshots_expired += more->snapshots_expired;
	numbers->orphans_removed += more->orphans_removed;
	numbers->conflicts += more->conflicts;
	numbers->failures += more->failures;
	pthread_mutex_unlock(&maintain->lock);
}

struct maintain_numbers maintain_numbers(struct maintain *maintain)
{
	pthread_mutex_lock(&maintain->lock);
	struct maintain_numbers numbers = maintain->numbers;
	pthread_mutex_unlock(&maintain->lock);
	return numbers;
}

void maintain_metrics(struct maintain *maintain, struct weir_buf *out)
{
	struct maintain_numbers numbers = maintain_numbers(maintain);
	const struct {
		const char *name, *help;
		uint64_t value;
	} counters[] = {
		{"rounds", "Rounds over the tables of others", numbers.rounds},
		{"files_compacted", "Files of others' tables that were rewritten", numbers.files_compacted},
		{"files_written", "Files that they became", numbers.files_written},
		{"manifest_rewrites", "Tables of others whose manifests were rewritten", numbers.manifest_rewrites},
		{"snapshots_expired", "Snapshots of others' tables that were expired", numbers.snapshots_expired},
		{"orphans_removed", "Files that no version named and that were removed", numbers.orphans_removed},
		{"conflicts", "Changes that others were before and that wait for a later round", numbers.conflicts},
		{"failures", "Tables on which a round failed", numbers.failures},
	};
	for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
		weir_buf_printf(out,
			"# HELP weir_maintain_%s_total %s since the start.\n# TYPE weir_maintain_%s_total counter\n"
			"weir_maintain_%s_total %llu\n",
			counters[i].name, counters[i].help, counters[i].name, counters[i].name,
			(unsigned long long)counters[i].value);
}

/* ---- the tables of the database ---- */

static void table_done(struct maintain_table *table)
{
	weir_arena_free(table->arena);
}

static struct maintain_table *find_table(
	struct maintain *maintain, struct weir_str catalog, struct weir_str ns, struct weir_str name)
{
	for (uint32_t i = 0; i < maintain->count; i++) {
		struct maintain_table *table = &maintain->tables[i];
		if (weir_str_equal(table->name, name) && weir_str_equal(table->ns, ns) &&
			weir_str_equal(table->catalog, catalog))
			return table;
	}
	return NULL;
}

/* A table anew: what was known is of an older version of it. */
static void table_renew(struct maintain_table *table, struct weir_str catalog, struct weir_str ns, struct weir_str name,
	struct weir_str pointer)
{
	struct weir_arena *arena = weir_arena_new(4096), *old = table->arena;
	*table = (struct maintain_table){.arena = arena,
		.catalog = weir_arena_str(arena, catalog),
		.ns = weir_arena_str(arena, ns),
		.name = weir_arena_str(arena, name),
		.pointer = weir_arena_str(arena, pointer),
		.quiet = weir_arena_str(arena, table->quiet),
		.expire_ms = table->expire_ms,
		.orphans_us = table->orphans_us};
	weir_arena_free(old);
}

static int note_table(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct maintain *maintain = context;
	struct weir_str catalog = values[0].text, ns = values[1].text, name = values[2].text, pointer = values[3].text;
	struct maintain_table *table = find_table(maintain, catalog, ns, name);
	(void)count;
	(void)err;
	if (table == NULL) {
		WEIR_GROW(maintain->tables, maintain->count, maintain->capacity);
		table = &maintain->tables[maintain->count++];
		*table = (struct maintain_table){0};
	}
	if (!weir_str_equal(table->pointer, pointer) || table->arena == NULL)
		table_renew(table, catalog, ns, name, pointer);
	table->is_there = true;
	table->is_own = values[4].integer != 0;
	return 0;
}

/* A namespace below one of weir's own is weir's own as well. */
static const char tables_sql[] =
	"SELECT catalog_name, table_namespace, table_name, metadata_location,"
	" CASE WHEN catalog_name <> 'weir' OR EXISTS (SELECT 1 FROM weir_owned o WHERE o.namespace = table_namespace OR"
	"  substr(table_namespace, 1, length(o.namespace) + 1) = o.namespace || '.') THEN 1 ELSE 0 END"
	" FROM iceberg_tables WHERE metadata_location IS NOT NULL AND (iceberg_type IS NULL OR iceberg_type = 'TABLE')"
	" ORDER BY catalog_name, table_namespace, table_name";

static int read_tables(struct maintain *maintain, struct weir_error *err)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < maintain->count; i++)
		maintain->tables[i].is_there = false;
	int status = control_query(maintain->control, tables_sql, NULL, 0, note_table, maintain, err);
	for (uint32_t i = 0; i < maintain->count; i++)
		if (maintain->tables[i].is_there || status != 0)
			maintain->tables[kept++] = maintain->tables[i];
		else
			table_done(&maintain->tables[i]);
	maintain->count = kept;
	return status;
}

/* ---- folders ---- */

/* The folder that a metadata file's table is in, by its place alone: above "metadata/". */
static struct weir_str folder_above(struct weir_str file)
{
	for (int parts = 0; parts < 2 && file.size > 0;) {
		file.size--;
		parts += file.data[file.size] == '/';
	}
	return file;
}

/* Read as a document, which fails less often than as a table: of one that weir cannot read the place is known, too. */
static void find_folders(struct maintain *maintain, struct maintain_table *table)
{
	struct weir_error outside = WEIR_ERROR_INIT;
	struct weir_buf text = WEIR_BUF_INIT;
	json_t *metadata = NULL;
	struct weir_str file;
	if (store_name_of(maintain->store, table->arena, table->pointer, &file, &outside) != 0)
		return; /* in another store: nothing there is ever deleted */
	table->folders[1] = folder_above(file);
	if (store_read_all(maintain->store, file.data, ICE_REST_BYTES_MAX, &text, &outside) == 0 &&
		ice_rest_parse(weir_buf_str(&text), ICE_REST_TABLE, table->pointer, &metadata, &outside) == 0) {
		struct weir_str location = ice_rest_text(metadata, "location");
		while (location.size > 1 && location.data[location.size - 1] == '/')
			location.size--;
		if (store_name_of(maintain->store, table->arena, location, &file, &outside) == 0)
			table->folders[0] = file;
	}
	json_decref(metadata);
	weir_buf_done(&text);
}

static bool lies_in(struct weir_str inner, struct weir_str outer)
{
	return weir_str_has_prefix(inner, outer) && (inner.size == outer.size || inner.data[outer.size] == '/');
}

static bool share(const struct maintain_table *a, const struct maintain_table *b)
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned j = 0; j < 2; j++)
			if (a->folders[i].size > 0 && b->folders[j].size > 0 &&
				(lies_in(a->folders[i], b->folders[j]) || lies_in(b->folders[j], a->folders[i])))
				return true;
	return false;
}

static int by_folder(const void *a, const void *b)
{
	const struct maintain_table *const *left = a, *const *right = b;
	return weir_str_compare((*left)->folders[0], (*right)->folders[0]);
}

/* Tables of one folder are neighbours in order, and so are a folder and what lies in it, but for names between them:
 * all that begin alike are compared. */
static void find_shared(struct maintain *maintain)
{
	struct maintain_table **order = weir_realloc(NULL, maintain->count + 1, sizeof(struct maintain_table *));
	for (uint32_t i = 0; i < maintain->count; i++) {
		struct maintain_table *table = &maintain->tables[i];
		if (table->folders[0].size == 0 && table->folders[1].size == 0)
			find_folders(maintain, table);
		if (table->folders[0].size == 0)
			table->folders[0] = table->folders[1];
		table->is_shared = false;
		order[i] = table;
	}
	qsort(order, maintain->count, sizeof(struct maintain_table *), by_folder);
	for (uint32_t i = 0; i < maintain->count; i++)
		for (uint32_t j = i + 1; j < maintain->count; j++) {
			bool odd = !weir_str_equal(order[j]->folders[0], order[j]->folders[1]) ||
				!weir_str_equal(order[i]->folders[0], order[i]->folders[1]);
			if (share(order[i], order[j]))
				order[i]->is_shared = order[j]->is_shared = true;
			else if (!odd && !weir_str_has_prefix(order[j]->folders[0], order[i]->folders[0]))
				break;
		}
	free(order);
}

/* ---- rounds ---- */

static bool should_stop(struct maintain *maintain)
{
	return atomic_load(&maintain->stopping);
}

static void sleep_us(struct maintain *maintain, int64_t wait_us)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	int64_t ns = until.tv_nsec + wait_us % WEIR_US_PER_SECOND * 1000;
	until.tv_sec += wait_us / WEIR_US_PER_SECOND + ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	pthread_mutex_lock(&maintain->lock);
	while (!should_stop(maintain) && pthread_cond_timedwait(&maintain->changed, &maintain->lock, &until) == 0)
		;
	pthread_mutex_unlock(&maintain->lock);
}

static void report(
	struct maintain *maintain, const struct maintain_table *table, int status, const struct weir_error *err)
{
	char text[1200];
	if (status == WEIR_E_CONFLICT || status == WEIR_E_NOT_FOUND) { /* moved, or dropped, meanwhile */
		maintain_count(maintain, &(struct maintain_numbers){.conflicts = 1});
		weir_log(maintain->config.log, WEIR_LOG_DEBUG, "maintenance of %.*s.%.*s waits for the next round: %s",
			WEIR_STR_ARG(table->ns), WEIR_STR_ARG(table->name), weir_error_text(err, text, sizeof text));
		return;
	}
	maintain_count(maintain, &(struct maintain_numbers){.failures = 1});
	weir_log(maintain->config.log, WEIR_LOG_WARN, "maintenance of %.*s.%.*s failed and is tried again: %s",
		WEIR_STR_ARG(table->ns), WEIR_STR_ARG(table->name), weir_error_text(err, text, sizeof text));
}

int maintain_round(struct maintain *maintain, bool *ret_did, struct weir_error *err)
{
	*ret_did = false;
	int status = read_tables(maintain, err);
	if (status != 0)
		return status;
	find_shared(maintain);
	for (uint32_t i = 0; i < maintain->count && !should_stop(maintain); i++) {
		struct maintain_table *table = &maintain->tables[i];
		struct weir_error own = WEIR_ERROR_INIT;
		bool did = false;
		while (maintain->config.is_busy != NULL && maintain->has_thread && !should_stop(maintain) &&
			maintain->config.is_busy(maintain->config.context))
			sleep_us(maintain, BUSY_WAIT_US);
		bool elsewhere = table->folders[0].size == 0; /* not in this warehouse */
		if (table->is_own || elsewhere || should_stop(maintain))
			continue;
		int code = maintain_table_work(maintain, table, &did, &own);
		if (code != 0 && code != WEIR_E_CANCELLED)
			report(maintain, table, code, &own);
		*ret_did = *ret_did || did;
	}
	if (maintain->config.sweeps && !should_stop(maintain))
		status = ice_sweep_doomed(maintain->config.registry, weir_now_us(&maintain->config.clock),
			MAINTAIN_SWEEP_GRACE_US, NULL, err);
	maintain_count(maintain, &(struct maintain_numbers){.rounds = 1});
	return status;
}

static void *maintain_main(void *context)
{
	struct maintain *maintain = context;
	int64_t every_us = maintain->settings.every_us;
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 15);
	/* Commands that hold a lake for a moment do not begin with it. */
	sleep_us(maintain, every_us < FIRST_WAIT_US ? every_us : FIRST_WAIT_US);
	while (!should_stop(maintain)) {
		struct weir_error err = WEIR_ERROR_INIT;
		char text[1200];
		bool did;
		if (maintain_round(maintain, &did, &err) != 0)
			weir_log(maintain->config.log, WEIR_LOG_WARN,
				"a round of maintenance failed and is tried again: %s",
				weir_error_text(&err, text, sizeof text));
		sleep_us(maintain, every_us);
	}
	return NULL;
}

/* ---- open and close ---- */

void maintain_open(const struct maintain_config *config, struct maintain **ret_maintain)
{
	struct maintain *maintain = weir_zalloc(sizeof *maintain);
	maintain->config = *config;
	maintain->settings = *config->settings;
	if (maintain->config.clock.now_us == NULL)
		maintain->config.clock = weir_clock_system();
	maintain->store = ice_registry_store(config->registry);
	maintain->control = ice_registry_control(config->registry);
	maintain->cache = ice_cache_new(MAINTAIN_CACHE_BYTES);
	pthread_mutex_init(&maintain->lock, NULL);
	pthread_cond_init(&maintain->changed, NULL);
	*ret_maintain = maintain;
}

void maintain_start(struct maintain *maintain)
{
	WEIR_ASSERT(!maintain->has_thread);
	maintain->has_thread = true;
	WEIR_ASSERT(pthread_create(&maintain->thread, NULL, maintain_main, maintain) == 0);
}

void maintain_close(struct maintain *take_maintain)
{
	struct maintain *maintain = take_maintain;
	if (maintain == NULL)
		return;
	pthread_mutex_lock(&maintain->lock);
	atomic_store(&maintain->stopping, true);
	pthread_cond_broadcast(&maintain->changed);
	pthread_mutex_unlock(&maintain->lock);
	if (maintain->has_thread)
		pthread_join(maintain->thread, NULL);
	for (uint32_t i = 0; i < maintain->count; i++)
		table_done(&maintain->tables[i]);
	free(maintain->tables);
	ice_cache_free(maintain->cache);
	pthread_mutex_destroy(&maintain->lock);
	pthread_cond_destroy(&maintain->changed);
	free(maintain);
}
