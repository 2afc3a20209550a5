#include "sim/epochs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/world.h"

#define WINDOW         100 /* commits that are compared, first and last */
#define WARM           20  /* commits before the first window: tables are made */
#define SMALL_BYTES    (8 << 20)
#define SMALL_FILES    20
#define SNAPSHOTS      100
#define METADATA_BYTES (1U << 20)

/* Costs of the commits alone, compaction not counted. Time is told, not judged: it is another machine's business. */
struct cost {
	uint64_t calls, bytes, cpu_us;
};

static int run_epoch(struct world *world, struct weir_rng *rng, struct cost *cost, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct ingest_result result;
	bool valid, did = true;
	char *event = draw_event(world, rng, &valid);
	struct ingest_request request = {.channel = WEIR_STR("api"), .body = weir_str_from(event), .events_only = true};
	int status = ingest_post_wait(engine_ingest(world->engine), &request, arena, &result, err);
	uint64_t calls = sim_os_calls(world->disk, SIM_ANY), bytes = world->written_bytes;
	clock_t cpu = clock();
	if (status == 0)
		status = engine_flush(world->engine, err);
	*cost = (struct cost){sim_os_calls(world->disk, SIM_ANY) - calls, world->written_bytes - bytes,
		(uint64_t)(clock() - cpu) * 1000000 / CLOCKS_PER_SEC};
	while (status == 0 && did)
		status = engine_step(world->engine, &did, err);
	weir_manual_clock_advance(&world->clock, WEIR_US_PER_SECOND);
	free(event);
	weir_arena_free(arena);
	return status;
}

static bool permit_all(struct world *world)
{
	const struct consent_vocabulary *vocabulary = consent_vocabulary_of(engine_consent(world->engine, 0));
	struct weir_arena *arena = weir_arena_new(0);
	int status = 0;
	for (unsigned s = 0; s < WORLD_SUBJECTS && status == 0; s++) {
		struct consent_rule rule;
		struct consent_problem problem;
		struct consent_changed changed;
		const char *json = weir_arena_printf(arena,
			"{\"userId\":\"customer-%u\",\"dimensions\":{\"purpose\":{\"operator\":\"IN\",\"values\":"
			"[{\"value\":\"analytics\"},{\"value\":\"personalisation\"}]}}}",
			s);
		status = consent_rule_parse(vocabulary, arena, weir_str_from(json), &rule, &problem, NULL);
		struct consent_change change = {.kind = CONSENT_CHANGE_POST, .rule = &rule};
		if (status == 0)
			status = consent_append(engine_consent(world->engine, 0), &change, 1, &changed, NULL);
	}
	weir_arena_free(arena);
	return status == 0;
}

static bool within(const char *what, struct weir_str table, uint64_t is, uint64_t limit)
{
	bool good = is <= limit;
	printf("  %-22.*s %-28s %8llu of at most %llu%s\n", WEIR_STR_ARG(table), what, (unsigned long long)is,
		(unsigned long long)limit, good ? "" : "  TOO MANY");
	return good;
}

static bool check_metadata(struct world *world, struct ice_table *table, struct weir_str name)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_error err = WEIR_ERROR_INIT;
	struct store *store = ice_registry_store(engine_registry(world->engine));
	struct weir_str file;
	uint64_t size = 0;
	bool good = store_name_of(store, arena, ice_table_metadata_uri(table), &file, &err) == 0 &&
		store_size(store, file.data, &size, &err) == 0 &&
		within("metadata.json bytes", name, size, METADATA_BYTES);
	weir_arena_free(arena);
	return good;
}

/* Small files by purpose, which is the first field of both of gold's specs; other tables in one. */
static bool check_files(struct ice_table *table, bool gold)
{
	struct ice_file_list *files;
	struct weir_error err = WEIR_ERROR_INIT;
	unsigned small[ORACLE_PURPOSES + 1] = {0};
	bool good = ice_plan(table, -1, &(struct expr_filter){NULL, 0}, &files, &err) == 0;
	for (uint32_t i = 0; good && i < files->count; i++) {
		unsigned p = ORACLE_PURPOSES;
		while (gold && p-- > 0)
			if (weir_str_is(files->files[i]->partition[0].value.u.text, oracle_purposes[p]))
				break;
		small[gold ? p : 0] += files->files[i]->size_bytes < SMALL_BYTES;
	}
	for (unsigned p = 0; p < (gold ? ORACLE_PURPOSES : 1) && good; p++)
		good = within(gold ? "small files of a purpose" : "small files (not limited)", ice_table_name(table).ns,
			small[p], gold ? SMALL_FILES : UINT32_MAX);
	ice_file_list_free(files);
	return good;
}

static bool check_tables(struct world *world)
{
	struct ice_registry *registry = engine_registry(world->engine);
	bool good = true;
	for (uint32_t i = 0; i < ice_registry_count(registry); i++) {
		struct ice_table *table = ice_registry_table(registry, i);
		struct weir_str name = ice_table_name(table).ns;
		good = within("snapshots", name, ice_table_metadata(table)->snapshot_count, SNAPSHOTS) && good;
		good = check_metadata(world, table, name) && good;
		good = check_files(table, weir_str_is(name, "gold")) && good;
		ice_table_unref(table);
	}
	return good;
}

int run_epochs(const char *path, uint64_t count, uint64_t seed)
{
	struct lake *lake;
	struct world *world = calloc(1, sizeof *world);
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_rng rng = weir_rng_fork(seed, 3);
	struct cost first = {0}, last = {0}, cost;
	if (lake_read(path, "/lake", &lake, &err) != 0 || !world_open(world, lake, seed) || !permit_all(world))
		return fprintf(stderr, "sim_lake: %s%s\n", err.message, world->failure), 1;
	for (uint64_t i = 0; i < count; i++) {
		if (run_epoch(world, &rng, &cost, &err) != 0)
			return fprintf(stderr, "sim_lake: epoch %llu: %s\n", (unsigned long long)i, err.message), 1;
		struct cost *window = i >= WARM && i < WARM + WINDOW ? &first : i + WINDOW >= count ? &last : NULL;
		if (window != NULL)
			*window = (struct cost){
				window->calls + cost.calls, window->bytes + cost.bytes, window->cpu_us + cost.cpu_us};
		if (i % 500 == 499)
			fprintf(stderr, "  %llu epochs; the last commit: %llu calls, %llu bytes\n",
				(unsigned long long)i + 1, (unsigned long long)cost.calls,
				(unsigned long long)cost.bytes);
	}
	bool good = check_tables(world);
	good = within("calls of 100 commits", WEIR_STR("all"), last.calls, first.calls + first.calls / 2) && good;
	good = within("bytes of 100 commits", WEIR_STR("all"), last.bytes, first.bytes + first.bytes / 2) && good;
	printf("  all                    CPU ms of 100 commits       %llu, of the first 100: %llu\n",
		(unsigned long long)last.cpu_us / 1000, (unsigned long long)first.cpu_us / 1000);
	world_close(world);
	lake_free(lake);
	free(world);
	printf("sim_lake: %llu epochs: %s\n", (unsigned long long)count, good ? "all within their bounds" : "FAILED");
	return !good;
}
