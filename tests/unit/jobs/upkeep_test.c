/* Compaction, the audit's drain and the sweeping of doomed files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "engine/engine_int.h"
#include "jobs/jobs_int.h"
#include "support/lake/lake_fixture.h"

#define GOLD "gold.athlete_data"

static void post_epoch(struct lake_fixture *lake, unsigned first, unsigned count)
{
	struct weir_buf text = WEIR_BUF_INIT;
	char athlete[8];
	for (unsigned i = 0; i < count; i++) {
		snprintf(athlete, sizeof athlete, "a%u", i % 5);
		weir_buf_printf(&text, "%s\n",
			lake_event(lake, first + i, athlete, LAKE_NOW - (int64_t)(i % 3) * WEIR_US_PER_DAY,
				i % 2 == 0 ? "\"activity\": \"running\"" : "\"activity\": \"cycling\"",
				"\"heart_rate\": 100"));
	}
	lake_post(lake, weir_buf_cstr(&text));
	weir_buf_done(&text);
	lake_flush(lake);
}

/* What must be the same before and after: a sum over rows that no order changes. */
struct digest {
	struct lake_fixture *lake;
	uint64_t rows, sum;
};

static void add_row(void *context, const struct weir_batch *batch, uint32_t row)
{
	struct digest *digest = context;
	const char *text = weir_arena_printf(digest->lake->arena, "%s %s %s %s %s",
		lake_cell(digest->lake, batch, row, "event_id"), lake_cell(digest->lake, batch, row, "athlete_id"),
		lake_cell(digest->lake, batch, row, "purpose"), lake_cell(digest->lake, batch, row, "consent_lsn"),
		lake_cell(digest->lake, batch, row, "consent_version"));
	uint64_t hash = 14695981039346656037ULL;
	for (const char *c = text; *c != '\0'; c++)
		hash = (hash ^ (uint8_t)*c) * 1099511628211ULL;
	digest->sum += hash;
	digest->rows++;
}

static struct digest digest_gold(struct lake_fixture *lake)
{
	struct digest digest = {.lake = lake};
	lake_each(lake, GOLD, add_row, &digest);
	return digest;
}

static void compaction_keeps_rows_and_their_numbers(void **state)
{
	struct lake_fixture lake;
	char athlete[8];
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(athlete, sizeof athlete, "a%u", i % 5);
		lake_permit(&lake, athlete, "research", "education", NULL); /* numbers differ from file to file */
		lake_rule(&lake,
			weir_arena_printf(lake.arena,
				"{\"userId\": \"a0\", \"ruleId\": \"r%u\", \"dimensions\": {\"purpose\": "
				"{\"operator\": \"EQUALS\", \"value\": \"coaching\"}}}",
				i));
		lake_settle(&lake);
		post_epoch(&lake, 100 * i, 50);
	}
	struct digest before = digest_gold(&lake);
	uint64_t files = lake_files(&lake, GOLD);
	lake_settle_all(&lake);
	struct digest after = digest_gold(&lake);
	assert_true(lake_files(&lake, GOLD) < files);
	assert_int_equal(after.rows, before.rows);
	assert_int_equal(after.sum, before.sum);
	assert_true(jobs_numbers(lake.engine->jobs).compactions > 0);
	lake_done(&lake);
}

struct specs {
	uint64_t landing, own, files;
};

static struct specs count_specs(struct lake_fixture *lake, const char *name)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = ice_registry_table(engine_registry(lake->engine), lake_table(lake, name));
	struct ice_file_list *files;
	struct specs specs = {0};
	LAKE_OK(lake, ice_plan(table, -1, &(struct expr_filter){NULL, 0}, &files, &err), &err);
	for (uint32_t i = 0; i < files->count; i++) {
		uint64_t rows = (uint64_t)files->files[i]->record_count;
		if (files->files[i]->spec_id == 0)
			specs.own += rows;
		else
			specs.landing += rows;
		specs.files++;
	}
	ice_file_list_free(files);
	ice_table_unref(table);
	return specs;
}

/* A cell of the full spec gets files of its own once it holds own_partition_from. */
static void large_cells_get_files_of_their_own(void **state)
{
	struct lake_fixture lake;
	char athlete[8];
	(void)state;
	lake_copy(&lake, LAKE_ATHLETE, false);
	lake_edit(&lake, "lake.yaml", "own_partition_from: 8MiB", "own_partition_from: 8KiB");
	lake_open(&lake);
	for (unsigned i = 0; i < 5; i++) {
		snprintf(athlete, sizeof athlete, "a%u", i);
		lake_permit(&lake, athlete, "research", NULL);
	}
	for (unsigned i = 0; i < 7; i++)
		post_epoch(&lake, 10000 * i, 400);
	struct specs before = count_specs(&lake, GOLD);
	assert_int_equal(before.own, 0);
	struct digest rows = digest_gold(&lake);
	lake_settle_all(&lake);
	struct specs after = count_specs(&lake, GOLD);
	printf("landing %llu, own %llu rows in %llu files\n", (unsigned long long)after.landing,
		(unsigned long long)after.own, (unsigned long long)after.files);
	assert_int_equal(after.own + after.landing, before.landing);
	assert_true(after.own > 0);
	struct digest same = digest_gold(&lake);
	assert_int_equal(same.sum, rows.sum);
	/* A removal finds them there, and a mixture of specs answers as one table. */
	lake_withdraw(&lake, "a3", "research");
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, GOLD, "athlete_id", "a3", NULL), 0);
	assert_int_equal(lake_count(&lake, "history.athlete_data", NULL), 7 * 80);
	assert_int_equal(lake_count(&lake, GOLD, NULL), 7 * 320);
	lake_done(&lake);
}

/* 13 compaction racing a delete: planned on files that a removal replaces before it commits. The registry's commit conflicts. */
static void a_compaction_whose_input_is_gone_does_not_bring_it_back(void **state)
{
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	for (unsigned i = 0; i < 5; i++)
		lake_permit(&lake, weir_arena_printf(lake.arena, "a%u", i), "research", NULL);
	for (unsigned i = 0; i < 7; i++)
		post_epoch(&lake, 100 * i, 50);
	uint32_t gold = lake_table(&lake, GOLD);
	struct ice_registry *registry = engine_registry(lake.engine);
	/* The compaction's plan, by hand: one of the files, to be replaced by itself. */
	struct ice_table *planned = ice_registry_table(registry, gold);
	struct ice_file_list *files;
	LAKE_OK(&lake, ice_plan(planned, -1, &(struct expr_filter){NULL, 0}, &files, &err), &err);
	uint32_t picked = 0; /* a1 is in the larger of the two files of an epoch, with three others */
	while (files->files[picked]->record_count < 40)
		picked++;
	struct weir_str removed = files->files[picked]->path;
	lake_withdraw(&lake, "a1", "research");
	lake_settle(&lake);
	char prefix[32];
	LAKE_OK(&lake, ice_reserve_prefix(engine_control(lake.engine), LAKE_NOW, prefix, &err), &err);
	struct ice_commit_part part = {.table = gold,
		.edit = {.operation = ICE_OP_REPLACE,
			.added = files->files[picked],
			.added_count = 1,
			.removed = &removed,
			.removed_count = 1,
			.prefix = weir_str_from(prefix),
			.now_ms = LAKE_NOW / 1000}};
	assert_int_equal(
		ice_commit(registry, CONTROL_BACKGROUND, &part, 1, NULL, NULL, NULL, NULL, &err), WEIR_E_CONFLICT);
	ice_file_list_free(files);
	ice_table_unref(planned);
	assert_int_equal(lake_count(&lake, GOLD, "athlete_id", "a1", NULL), 0);
	lake_settle_all(&lake);
	assert_int_equal(lake_count(&lake, GOLD, "athlete_id", "a1", NULL), 0);
	assert_int_equal(lake_count(&lake, GOLD, NULL), 7 * 40);
	lake_close(&lake); /* the prefix that nobody finished */
	lake_open(&lake);
	lake_done(&lake);
}

static void audit_is_drained_exactly_once(void **state)
{
	enum { STATEMENTS = 25 };
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	bool did;
	int status;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	for (unsigned i = 0; i < STATEMENTS; i++) {
		lake_sql_rows(&lake, "SELECT 1", false, &status);
		if (i % 10 == 3)
			LAKE_OK(&lake, jobs_audit(lake.engine->jobs, true, &did, &err), &err);
		if (i % 10 == 7)
			lake_reopen(&lake); /* closing drains, too */
	}
	LAKE_OK(&lake, bus_flush(lake.engine->bus, &err), &err);
	LAKE_OK(&lake, jobs_audit(lake.engine->jobs, true, &did, &err), &err);
	LAKE_OK(&lake, jobs_audit(lake.engine->jobs, true, &did, &err), &err);
	assert_false(did);
	assert_int_equal(lake_count(&lake, "audit.access", "route", "sql", "outcome", "allowed", NULL), STATEMENTS);
	assert_int_equal(
		lake_count(&lake, "audit.access", NULL), bus_next_offset(lake.engine->bus, WEIR_STR("audit"), 0));
	lake_done(&lake);
}

static void audited_then_dead(struct lake_fixture *lake, void *context)
{
	int status;
	(void)context;
	for (unsigned i = 0; i < 5; i++)
		lake_sql_rows(lake, "SELECT 1", false, &status);
	LAKE_CHECK(lake, status == 0);
}

static void audit_records_survive_a_crash(void **state)
{
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	bool did;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_close(&lake);
	lake_crash(&lake, audited_then_dead, NULL);
	lake_open(&lake);
	LAKE_OK(&lake, jobs_audit(lake.engine->jobs, true, &did, &err), &err);
	assert_int_equal(lake_count(&lake, "audit.access", "outcome", "allowed", NULL), 5);
	lake_done(&lake);
}

/* Files that compaction replaced stay a minute for readers that hold their snapshot, then go. */
static void doomed_files_go_after_their_grace(void **state)
{
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	lake_copy(&lake, LAKE_ATHLETE, false);
	lake_edit(&lake, "lake.yaml", "snapshots: {keep: 100}", "snapshots: {keep: 1}");
	lake_open(&lake);
	for (unsigned i = 0; i < 5; i++)
		lake_permit(&lake, weir_arena_printf(lake.arena, "a%u", i), "research", NULL);
	for (unsigned i = 0; i < 7; i++)
		post_epoch(&lake, 100 * i, 50);
	lake_settle_all(&lake);
	const char *doomed = "SELECT COUNT(*) FROM weir_doomed_files";
	int64_t waiting = lake_number(&lake, doomed);
	assert_true(waiting > 0);
	LAKE_OK(&lake, jobs_sweep(lake.engine->jobs, &err), &err);
	assert_int_equal(lake_number(&lake, doomed), waiting);
	lake_advance(&lake, JOBS_DOOMED_GRACE_US - 1000000);
	LAKE_OK(&lake, jobs_sweep(lake.engine->jobs, &err), &err);
	assert_int_equal(lake_number(&lake, doomed), waiting);
	lake_advance(&lake, 2000000);
	LAKE_OK(&lake, jobs_sweep(lake.engine->jobs, &err), &err);
	assert_int_equal(lake_number(&lake, doomed), 0);
	assert_int_equal(jobs_numbers(lake.engine->jobs).files_destroyed, waiting);
	assert_int_equal(lake_count(&lake, GOLD, NULL), 350);
	lake_done(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compaction_keeps_rows_and_their_numbers),
		cmocka_unit_test(large_cells_get_files_of_their_own),
		cmocka_unit_test(a_compaction_whose_input_is_gone_does_not_bring_it_back),
		cmocka_unit_test(audit_is_drained_exactly_once),
		cmocka_unit_test(audit_records_survive_a_crash),
		cmocka_unit_test(doomed_files_go_after_their_grace),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
