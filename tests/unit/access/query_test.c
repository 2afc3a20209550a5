/* Governed reads: parameters, pages, the fence on every face, and the audit before the first byte (G3, X1, X2). */
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
#include "support/lake/lake_fixture.h"

#define GOLD "gold.athlete_data"

static struct access_identity consumer_of(struct lake_fixture *lake, const char *purpose)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct access_identity identity;
	struct weir_str secret, purposes[1] = {weir_str_from(purpose)};
	LAKE_OK(lake,
		access_token_create(engine_access(lake->engine), ACCESS_CONSUMER, WEIR_STR("lab"), purposes, 1,
			lake->arena, &secret, &identity, &err),
		&err);
	LAKE_OK(lake, access_authenticate(engine_access(lake->engine), secret, &identity, &err), &err);
	return identity;
}

/* "activity=running&limit=5" into parameters. */
static uint32_t parse_parameters(struct lake_fixture *lake, const char *text, struct access_kv *parameters)
{
	uint32_t count = 0;
	char *copy = weir_arena_cstr(lake->arena, weir_str_from(text));
	for (char *pair = strtok(copy, "&"); pair != NULL; pair = strtok(NULL, "&")) {
		char *equals = strchr(pair, '=');
		parameters[count++] = (struct access_kv){{pair, (size_t)(equals - pair)}, weir_str_from(equals + 1)};
	}
	return count;
}

static int query(struct lake_fixture *lake, const struct access_identity *identity, const char *text,
	struct access_answer **ret_answer, struct weir_error *err)
{
	struct access_kv parameters[16];
	struct access_request request = {.identity = identity, .parameters = parameters, .source = WEIR_STR("test")};
	request.parameter_count = parse_parameters(lake, text, parameters);
	return access_query(engine_access(lake->engine), &request, ret_answer, err);
}

/* Event numbers (the id's last digits) in the order given, to the end of the answer; the cursor, or "". */
struct numbers {
	uint32_t ids[8192];
	uint32_t count;
	const char *cursor;
};

static void drain(struct lake_fixture *lake, struct access_answer *answer, struct numbers *numbers)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_batch *batch;
	for (;;) {
		LAKE_OK(lake, access_answer_next(answer, &batch, &err), &err);
		if (batch == NULL)
			break;
		for (uint32_t row = 0; row < batch->row_count; row++)
			numbers->ids[numbers->count++] =
				(uint32_t)strtoul(lake_cell(lake, batch, row, "event_id") + 24, NULL, 16);
		weir_batch_release(batch);
	}
	numbers->cursor = weir_arena_cstr(lake->arena, access_answer_cursor(answer));
	access_answer_free(answer);
}

static uint64_t rows_of(struct lake_fixture *lake, const struct access_identity *identity, const char *text)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct access_answer *answer;
	struct numbers *numbers = weir_zalloc(sizeof *numbers);
	LAKE_OK(lake, query(lake, identity, text, &answer, &err), &err);
	drain(lake, answer, numbers);
	uint64_t count = numbers->count;
	free(numbers);
	return count;
}

/* Athletes a0 .. with rows over days and activities, all permitted for research. */
static void fill(struct lake_fixture *lake, unsigned athletes, unsigned rows, unsigned first)
{
	struct weir_buf text = WEIR_BUF_INIT;
	char athlete[16];
	for (unsigned i = 0; i < rows; i++) {
		snprintf(athlete, sizeof athlete, "a%u", i % athletes);
		weir_buf_printf(&text, "%s\n",
			lake_event(lake, first + i, athlete, LAKE_NOW - (int64_t)(i % 5) * WEIR_US_PER_DAY,
				i % 2 == 0 ? "\"activity\": \"running\", \"event_context\": \"race\""
					   : "\"activity\": \"cycling\"",
				"\"heart_rate\": 100"));
	}
	lake_post(lake, weir_buf_cstr(&text));
	weir_buf_done(&text);
	lake_flush(lake);
}

static void permit_all(struct lake_fixture *lake, unsigned athletes)
{
	char athlete[16];
	for (unsigned i = 0; i < athletes; i++) {
		snprintf(athlete, sizeof athlete, "a%u", i);
		lake_permit(lake, athlete, "research", "education", NULL);
	}
}

static void each_parameter_narrows_the_answer(void **state)
{
	static const struct {
		const char *text;
		uint64_t rows;
	} table[] = {
		{"purpose=research", 100},
		{"purpose=research&activity=running", 50},
		{"purpose=research&activity=swimming", 0},
		{"purpose=research&event=race", 50},
		{"purpose=research&athlete=a3", 10},
		{"purpose=research&athlete=a3&activity=running", 0},
		{"purpose=research&startDate=2025-02-01", 20},
		{"purpose=research&endDate=2025-01-30", 60},
		{"purpose=research&startDate=2025-01-30&endDate=2025-01-31", 40},
		{"purpose=research&startDate=2025-02-01T08:00:00Z", 20},
		{"purpose=research&startDate=2025-02-01T08:00:00.000001Z", 0},
		{"purpose=research&limit=7", 7},
		{"purpose=research&columns=event_id", 100},
		{"purpose=research&columns=event_id,heart_rate&athlete=a1", 10},
		{"purpose=research&explain=true&limit=1", 1},
	};
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	permit_all(&lake, 10);
	fill(&lake, 10, 100, 0);
	struct access_identity identity = consumer_of(&lake, "research");
	for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
		printf("%s\n", table[i].text);
		assert_int_equal(rows_of(&lake, &identity, table[i].text), table[i].rows);
	}
	lake_done(&lake);
}

static void a_bad_parameter_is_named(void **state)
{
	static const struct {
		const char *text, *names;
	} table[] = {
		{"activity=running", "purpose"},
		{"purpose=research&limit=0", "limit"},
		{"purpose=research&limit=-1", "limit"},
		{"purpose=research&limit=ten", "limit"},
		{"purpose=research&limit=100001", "limit"},
		{"purpose=research&limit=99999999999999999999", "limit"},
		{"purpose=research&startDate=yesterday", "startDate"},
		{"purpose=research&endDate=2025-13-01", "endDate"},
		{"purpose=research&endDate=2025-02-01T08:00:00", "endDate"},
		{"purpose=research&columns=event_id,nope", "columns"},
		{"purpose=research&columns=,", "columns"},
		{"purpose=research&cursor=zz", "cursor"},
		{"purpose=research&cursor=5b5d", "cursor"},
		{"purpose=research&explain=maybe", "explain"},
		{"purpose=research&colour=red", "colour"},
	};
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	struct access_identity identity = consumer_of(&lake, "research");
	for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct access_answer *answer = NULL;
		int status = query(&lake, &identity, table[i].text, &answer, &err);
		printf("%s: %s: %s\n", table[i].text, err.object, err.message);
		assert_int_equal(status, WEIR_E_INPUT);
		assert_string_equal(err.object, table[i].names);
		assert_null(answer);
	}
	lake_done(&lake);
}

static void small_pages_are_one_large_page(void **state)
{
	static const unsigned limits[] = {1, 7, 64, 1000, 1500};
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	struct access_answer *answer;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	permit_all(&lake, 10);
	fill(&lake, 10, 150, 0);
	fill(&lake, 10, 2350, 1000);
	struct access_identity identity = consumer_of(&lake, "research");
	struct numbers *whole = weir_zalloc(sizeof *whole), *paged = weir_zalloc(sizeof *paged);
	LAKE_OK(&lake, query(&lake, &identity, "purpose=research&limit=100000", &answer, &err), &err);
	drain(&lake, answer, whole);
	assert_int_equal(whole->count, 2500);
	assert_string_equal(whole->cursor, "");
	for (unsigned l = 0; l < sizeof limits / sizeof limits[0]; l++) {
		const char *cursor = "";
		*paged = (struct numbers){.count = 0};
		do {
			uint32_t before = paged->count;
			LAKE_OK(&lake,
				query(&lake, &identity,
					weir_arena_printf(lake.arena, "purpose=research&limit=%u%s%s", limits[l],
						cursor[0] != '\0' ? "&cursor=" : "", cursor),
					&answer, &err),
				&err);
			drain(&lake, answer, paged);
			assert_true(paged->count > before && paged->count - before <= limits[l]);
			cursor = paged->cursor;
		} while (cursor[0] != '\0' && (limits[l] > 1 || paged->count < 300));
		uint32_t count = limits[l] > 1 ? whole->count : paged->count;
		assert_int_equal(paged->count, count);
		assert_memory_equal(paged->ids, whole->ids, count * sizeof whole->ids[0]);
	}
	free(whole);
	free(paged);
	lake_done(&lake);
}

static int compare_u32(const void *a, const void *b)
{
	return *(const uint32_t *)a < *(const uint32_t *)b ? -1 : *(const uint32_t *)a > *(const uint32_t *)b;
}

/* Between two pages files are merged, a subject goes and another's rows come: no row doubled, none missed, none back. */
static void pages_go_on_over_compaction_and_removal(void **state)
{
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	struct access_answer *answer;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	permit_all(&lake, 10);
	for (unsigned i = 0; i < 10; i++)
		fill(&lake, 10, 100, 1000 * i);
	struct access_identity identity = consumer_of(&lake, "research");
	struct numbers *paged = weir_zalloc(sizeof *paged);
	const char *cursor = "";
	unsigned page = 0;
	uint32_t a7_before = 0;
	do {
		LAKE_OK(&lake,
			query(&lake, &identity,
				weir_arena_printf(lake.arena, "purpose=research&limit=45%s%s",
					cursor[0] != '\0' ? "&cursor=" : "", cursor),
				&answer, &err),
			&err);
		drain(&lake, answer, paged);
		cursor = paged->cursor;
		page++;
		if (page == 3) { /* within a1 */
			bool did = true;
			while (did)
				LAKE_OK(&lake, jobs_compact(lake.engine->jobs, &did, &err), &err);
			assert_true(jobs_numbers(lake.engine->jobs).compactions > 0);
		}
		if (page == 5) { /* a7 is still to come: fenced first, then gone */
			lake_withdraw(&lake, "a7", "research");
			a7_before = paged->count;
		}
		if (page == 7)
			lake_settle(&lake);
		if (page == 9) { /* a0 lies behind the cursor */
			lake_withdraw(&lake, "a0", "research");
			lake_settle_all(&lake);
		}
	} while (cursor[0] != '\0');
	assert_true(a7_before < 700);
	assert_int_equal(paged->count, 900);
	for (uint32_t i = 0; i < paged->count; i++)
		assert_true(paged->ids[i] % 10 != 7);
	qsort(paged->ids, paged->count, sizeof paged->ids[0], compare_u32);
	for (uint32_t i = 1; i < paged->count; i++)
		assert_true(paged->ids[i] != paged->ids[i - 1]);
	free(paged);
	lake_done(&lake);
}

/* A withdrawal in the midst of an answer: what comes after it has none of the rows, and all of the others. */
static void an_answer_under_way_looks_at_the_fence(void **state)
{
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	struct access_answer *answer;
	struct weir_batch *batch;
	(void)state;
	for (int settle = 0; settle < 2; settle++) {
		lake_start(&lake, LAKE_ATHLETE);
		permit_all(&lake, 3);
		fill(&lake, 3, 4500, 0);
		struct access_identity identity = consumer_of(&lake, "research");
		uint64_t a2 = 0, a1 = 0, a0 = 0;
		LAKE_OK(&lake, query(&lake, &identity, "purpose=research&limit=100000", &answer, &err), &err);
		for (unsigned chunk = 0;; chunk++) {
			LAKE_OK(&lake, access_answer_next(answer, &batch, &err), &err);
			if (batch == NULL)
				break;
			for (uint32_t row = 0; row < batch->row_count; row++) {
				const char *athlete = lake_cell(&lake, batch, row, "athlete_id");
				a0 += strcmp(athlete, "a0") == 0;
				a1 += strcmp(athlete, "a1") == 0;
				a2 += strcmp(athlete, "a2") == 0;
			}
			weir_batch_release(batch);
			if (chunk == 0) {
				lake_withdraw(&lake, "a1", "research");
				if (settle)
					lake_settle(&lake); /* the files that it reads are gone, too */
			}
		}
		access_answer_free(answer);
		assert_int_equal(a0, 1500);
		assert_int_equal(a1, 0);
		assert_int_equal(a2, 1500);
		lake_done(&lake);
	}
}

static uint64_t subject_rows(struct lake_fixture *lake, const char *subject, unsigned purpose)
{
	struct weir_error err = WEIR_ERROR_INIT;
	uint64_t counts[CONSENT_PURPOSES_MAX] = {0};
	LAKE_OK(lake, access_subject_rows(engine_access(lake->engine), 0, weir_str_from(subject), counts, &err), &err);
	return counts[purpose];
}

static void check_faces(struct lake_fixture *lake, const struct access_identity *identity, uint64_t a1, uint64_t a2)
{
	int status;
	assert_int_equal(rows_of(lake, identity, "purpose=research&athlete=a1"), a1);
	assert_int_equal(rows_of(lake, identity, "purpose=research"), a1 + a2);
	assert_int_equal(subject_rows(lake, "a1", 0), a1);
	assert_int_equal(subject_rows(lake, "a2", 0), a2);
	assert_int_equal(
		lake_sql_rows(lake, "SELECT * FROM gold.athlete_data WHERE athlete_id = 'a1' AND purpose = 'research'",
			false, &status),
		a1);
	assert_int_equal(status, 0);
	assert_int_equal(
		lake_sql_rows(lake, "SELECT * FROM gold.athlete_data WHERE purpose = 'research'", false, &status),
		a1 + a2);
	assert_int_equal(
		lake_sql_rows(lake, "SELECT * FROM gold.athlete_data WHERE purpose = 'education'", false, &status), 20);
}

/* G3: hidden on every face as soon as the change is acknowledged, before any task ran; back with a new grant. */
static void a_withdrawal_hides_at_once_on_every_face(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_permit(&lake, "a1", "research", "education", NULL);
	lake_permit(&lake, "a2", "research", "education", NULL);
	for (unsigned i = 0; i < 10; i++) {
		lake_post(&lake, lake_event(&lake, i, "a1", LAKE_NOW, NULL, ""));
		lake_post(&lake, lake_event(&lake, i, "a2", LAKE_NOW, NULL, ""));
	}
	lake_flush(&lake);
	struct access_identity identity = consumer_of(&lake, "research");
	check_faces(&lake, &identity, 10, 10);
	lake_withdraw(&lake, "a1", "research");
	assert_int_equal(lake_count(&lake, GOLD, "athlete_id", "a1", "purpose", "research", NULL),
		10); /* the files have them still */
	check_faces(&lake, &identity, 0, 10);
	lake_post(&lake, lake_event(&lake, 77, "a1", LAKE_NOW, NULL, ""));
	lake_flush(&lake);
	assert_int_equal(rows_of(&lake, &identity, "purpose=research&athlete=a1"), 0);
	lake_permit(&lake, "a1", "research", NULL); /* education goes with it, by the rule's next version */
	lake_settle(&lake);
	assert_int_equal(rows_of(&lake, &identity, "purpose=research&athlete=a1"), 11);
	assert_int_equal(subject_rows(&lake, "a1", 0), 11);
	assert_int_equal(subject_rows(&lake, "a1", 1), 0);
	lake_done(&lake);
}

static void the_fence_holds_over_a_restart(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_permit(&lake, "a1", "research", NULL);
	lake_post(&lake, lake_event(&lake, 1, "a1", LAKE_NOW, NULL, ""));
	lake_flush(&lake);
	lake_withdraw(&lake, "a1", "research");
	lake_reopen(&lake); /* open removals end before anything is served */
	assert_int_equal(lake_count(&lake, GOLD, NULL), 0);
	assert_int_equal(subject_rows(&lake, "a1", 0), 0);
	lake_done(&lake);
}

static void history_is_the_auditors(void **state)
{
	struct lake_fixture lake;
	int status;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_permit(&lake, "a1", "research", NULL);
	lake_post(&lake, lake_event(&lake, 1, "a1", LAKE_NOW, NULL, ""));
	lake_flush(&lake);
	lake_withdraw(&lake, "a1", "research");
	lake_settle(&lake);
	lake_sql_rows(&lake, "SELECT * FROM history.athlete_data", false, &status);
	assert_int_not_equal(status, 0);
	assert_int_equal(lake_sql_rows(&lake, "SELECT * FROM history.athlete_data", true, &status), 1);
	assert_int_equal(status, 0);
	/* No way round the views: files by name, the catalog, other databases. */
	static const char *const ways[] = {"SELECT * FROM read_parquet('data/**/*.parquet')",
		"SELECT * FROM read_csv('/etc/passwd')", "ATTACH '/tmp/x.db' AS x", "COPY (SELECT 1) TO '/tmp/x.csv'",
		"SELECT * FROM '/etc/passwd'", "INSTALL httpfs", "SET enable_external_access = true",
		"CREATE TABLE t AS SELECT 1"};
	for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		lake_sql_rows(&lake, ways[i], false, &status);
		assert_int_not_equal(status, 0);
	}
	lake_done(&lake);
}

/* X2: the record is in the log, synced, when the first batch can be had; and a refusal has one. */
static void access_is_audited_before_its_first_byte(void **state)
{
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	struct access_answer *answer = NULL;
	bool did;
	int status;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_permit(&lake, "secret-athlete", "research", "coaching", NULL);
	lake_post(&lake, lake_event(&lake, 1, "secret-athlete", LAKE_NOW, NULL, "\"heart_rate\": 187.25"));
	lake_flush(&lake);
	struct access_identity identity = consumer_of(&lake, "research");
	uint64_t before = bus_next_offset(lake.engine->bus, WEIR_STR("audit"), 0);
	LAKE_OK(&lake, query(&lake, &identity, "purpose=research&athlete=secret-athlete", &answer, &err), &err);
	assert_int_equal(bus_next_offset(lake.engine->bus, WEIR_STR("audit"), 0), before + 1);
	struct bus_read_block block;
	LAKE_OK(&lake, bus_read(lake.engine->bus, lake.arena, WEIR_STR("audit"), 0, before, &block, &err), &err);
	struct weir_str record = block.records[before - block.base_offset].payload;
	printf("%.*s\n", WEIR_STR_ARG(record));
	assert_non_null(memmem(record.data, record.size, "allowed", 7));
	assert_non_null(memmem(record.data, record.size, identity.id, strlen(identity.id)));
	assert_null(memmem(record.data, record.size, "secret-athlete", 14)); /* research names no subject */
	assert_null(memmem(record.data, record.size, "187.25", 6));
	access_answer_free(answer);
	struct weir_error denied = WEIR_ERROR_INIT;
	LAKE_OK(&lake, bus_flush(lake.engine->bus, &err),
		&err); /* how much was sent is recorded after the last byte, unsynced */
	before = bus_next_offset(lake.engine->bus, WEIR_STR("audit"), 0);
	assert_int_equal(query(&lake, &identity, "purpose=marketing", &answer, &denied), WEIR_E_DENIED);
	assert_int_equal(bus_next_offset(lake.engine->bus, WEIR_STR("audit"), 0), before + 1);
	lake_sql_rows(&lake, "SELECT 1", false, &status);
	assert_int_equal(status, 0);
	LAKE_OK(&lake, jobs_audit(lake.engine->jobs, true, &did, &err), &err);
	assert_int_equal(lake_count(&lake, "audit.access", "outcome", "allowed", "purpose", "research", "route",
				 "/api/query", NULL),
		1);
	assert_int_equal(lake_count(&lake, "audit.access", "outcome", "denied", NULL), 1);
	assert_true(lake_count(&lake, "audit.access", "route", "sql", NULL) >= 1);
	assert_int_equal(lake_count(&lake, "audit.access", "subject", "secret-athlete", NULL), 0);
	lake_done(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_parameter_narrows_the_answer),
		cmocka_unit_test(a_bad_parameter_is_named),
		cmocka_unit_test(small_pages_are_one_large_page),
		cmocka_unit_test(pages_go_on_over_compaction_and_removal),
		cmocka_unit_test(an_answer_under_way_looks_at_the_fence),
		cmocka_unit_test(a_withdrawal_hides_at_once_on_every_face),
		cmocka_unit_test(the_fence_holds_over_a_restart),
		cmocka_unit_test(history_is_the_auditors),
		cmocka_unit_test(access_is_audited_before_its_first_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
