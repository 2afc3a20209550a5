/* What the tables hold, row by row, against the oracle. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/uuid.h"
#include "column/row_json.h"
#include "sim/world.h"

#define PAIR_ROWS_MAX 4096

static void add_rows(json_t *rows, const struct weir_batch *batch)
{
	for (uint32_t row = 0; row < batch->row_count; row++) {
		struct weir_buf out = WEIR_BUF_INIT;
		struct weir_json json = weir_json_to(&out);
		weir_row_json(&json, batch, row);
		json_array_append_new(rows, json_loadb(out.data, out.size, 0, NULL));
		weir_buf_done(&out);
	}
}

/* Tables of the lake by name; weir's own, dead letters and audit, come after them in the registry. */
static struct ice_table *find_table(struct world *world, const char *ns, const char *name)
{
	struct ice_registry *registry = engine_registry(world->engine);
	for (uint32_t i = 0; i < ice_registry_count(registry); i++) {
		struct ice_table *table = ice_registry_table(registry, i);
		struct ice_name is = ice_table_name(table);
		if (weir_str_is(is.ns, ns) && weir_str_is(is.table, name))
			return table;
		ice_table_unref(table);
	}
	return NULL;
}

json_t *world_rows(struct world *world, const char *ns, const char *name, struct weir_error *err)
{
	struct ice_table *table = find_table(world, ns, name);
	struct ice_file_list *files = NULL;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	struct expr_filter all = {NULL, 0};
	json_t *rows = json_array();
	WEIR_ASSERT(table != NULL);
	int status = ice_plan(table, -1, &all, &files, err);
	if (status == 0)
		status =
			ice_reader_open(table, files->files, files->count, ice_table_schema(table), &all, &reader, err);
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		add_rows(rows, batch);
		weir_batch_release(batch);
	}
	if (reader != NULL)
		ice_reader_close(reader);
	if (files != NULL)
		ice_file_list_free(files);
	ice_table_unref(table);
	if (status == 0)
		return rows;
	json_decref(rows);
	return NULL;
}

/* ---- gold ---- */

/* The accepted record that a row says it is: by its place in the log. SIZE_MAX: there is none. */
static size_t record_of(const struct world *world, const json_t *row)
{
	const char *trace = oracle_text(row, "trace_id");
	size_t offset = trace != NULL && strlen(trace) == 12 && strncmp(trace, "00", 2) == 0 ? strtoull(trace, NULL, 16)
											     : SIZE_MAX;
	return offset < world->oracle.record_count ? offset : SIZE_MAX;
}

static bool same_number(const json_t *a, const json_t *b)
{
	return json_is_number(a) && json_is_number(b) && json_number_value(a) == json_number_value(b);
}

/* The event's own columns, as the row has them. */
static bool same_event(const struct oracle_record *record, const json_t *row)
{
	static const char *const members[] = {"visit_id", "customer_id", "page", "amount", "items", "is_return"};
	const char *category = oracle_category(oracle_text(record->event, "page")), *is = oracle_text(row, "category");
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		const json_t *want = json_object_get(record->event, members[i]),
			     *got = json_object_get(row, members[i]);
		bool missing = want == NULL && (got == NULL || json_is_null(got));
		if (!missing && !same_number(want, got) && !(want != NULL && json_equal(want, got)))
			return false;
	}
	return (category == NULL ? is == NULL : is != NULL && strcmp(category, is) == 0) &&
		oracle_time(oracle_text(row, "visited_at")) == record->time_us;
}

static struct gold_row *row_state(struct world *world, size_t record, unsigned purpose)
{
	for (size_t i = 0; i < world->row_count; i++)
		if (world->rows[i].record == record && world->rows[i].purpose == purpose)
			return &world->rows[i];
	if (world->row_count == world->row_capacity) {
		world->row_capacity = world->row_capacity * 2 + 64;
		world->rows = realloc(world->rows, world->row_capacity * sizeof *world->rows);
	}
	world->rows[world->row_count] = (struct gold_row){.record = record, .purpose = purpose};
	return &world->rows[world->row_count++];
}

static bool purpose_of(const json_t *row, unsigned *ret_purpose)
{
	const char *purpose = oracle_text(row, "purpose");
	for (*ret_purpose = 0; *ret_purpose < ORACLE_PURPOSES; ++*ret_purpose)
		if (strcmp(purpose, oracle_purposes[*ret_purpose]) == 0)
			return true;
	return false;
}

/* One row of gold by itself: a whole event, permitted at its number, with the version that the subject had there. */
static bool check_gold_row(struct world *world, const json_t *row, size_t *ret_record, unsigned *ret_purpose)
{
	const struct oracle *oracle = &world->oracle;
	size_t record = *ret_record = record_of(world, row);
	uint64_t lsn = (uint64_t)json_integer_value(json_object_get(row, "consent_lsn"));
	unsigned version = (unsigned)json_integer_value(json_object_get(row, "consent_version"));
	if (record == SIZE_MAX || oracle->records[record].fate != ORACLE_ACCEPTED || !purpose_of(row, ret_purpose))
		return world_fail(
			world, "gold has a row %s that no accepted event explains", oracle_text(row, "trace_id"));
	if (!same_event(&oracle->records[record], row))
		return world_fail(world, "gold's row of offset %zu differs from its event", record);
	if (lsn > oracle_head(oracle))
		return world_fail(world, "gold's row of offset %zu has number %llu, the log ends at %llu", record,
			(unsigned long long)lsn, (unsigned long long)oracle_head(oracle));
	if (!oracle_permits(oracle, &oracle->records[record], *ret_purpose, lsn))
		return world_fail(world, "gold has offset %zu for %s at number %llu, at which it was not permitted",
			record, oracle_purposes[*ret_purpose], (unsigned long long)lsn);
	unsigned changes = oracle_changes_of(oracle, oracle_text(oracle->records[record].event, "customer_id"), lsn);
	if (version != changes)
		return world_fail(world,
			"gold's row of offset %zu has consent_version %u; its subject had %u changes at number %llu",
			record, version, changes, (unsigned long long)lsn);
	return true;
}

struct look {
	unsigned visible[WORLD_SUBJECTS][ORACLE_PURPOSES];
	bool *seen; /* by row state */
};

static bool look_at_row(struct world *world, const json_t *row, struct consent_fence *fence, struct look *look)
{
	size_t record;
	unsigned purpose;
	if (!check_gold_row(world, row, &record, &purpose))
		return false;
	uint64_t lsn = (uint64_t)json_integer_value(json_object_get(row, "consent_lsn"));
	struct gold_row *state = row_state(world, record, purpose);
	size_t at = (size_t)(state - world->rows);
	if (at >= PAIR_ROWS_MAX || look->seen[at])
		return world_fail(world, "gold has offset %zu for %s twice", record, oracle_purposes[purpose]);
	look->seen[at] = true;
	/* A row that stays keeps its number: with another one it went, and came again, since the look before. */
	state->stays += state->here && state->lsn != lsn;
	const struct oracle_record *event = &world->oracle.records[record];
	const char *subject = oracle_text(event->event, "customer_id");
	if (consent_fence_hides(fence, weir_str_from(subject), purpose, lsn)) {
		state->lsn = lsn;
		return true;
	}
	if (!oracle_permits(&world->oracle, event, purpose, UINT64_MAX))
		return world_fail(world,
			"offset %zu of %s is visible for %s at number %llu, though it is not permitted (its row: %llu)",
			record, subject, oracle_purposes[purpose], (unsigned long long)oracle_head(&world->oracle),
			(unsigned long long)lsn);
	state->lsn = lsn;
	look->visible[subject[9] - '0'][purpose]++;
	return true;
}

/* What access answers for each subject is what was found visible. */
static bool check_access(struct world *world, const struct look *look, bool *ret_read)
{
	for (unsigned s = 0; s < WORLD_SUBJECTS; s++) {
		uint64_t counts[CONSENT_PURPOSES_MAX] = {0};
		struct weir_error err = WEIR_ERROR_INIT;
		char subject[16];
		snprintf(subject, sizeof subject, "customer-%u", s);
		if (access_subject_rows(engine_access(world->engine), 0, weir_str_from(subject), counts, &err) != 0) {
			*ret_read = false;
			return world->armed || world_fail(world, "access_subject_rows: %s", err.message);
		}
		for (unsigned p = 0; p < ORACLE_PURPOSES; p++)
			if (counts[p] != look->visible[s][p])
				return world_fail(world, "access says %s has %llu rows for %s; %u are visible", subject,
					(unsigned long long)counts[p], oracle_purposes[p], look->visible[s][p]);
	}
	return true;
}

bool world_look(struct world *world, bool *ret_read)
{
	struct weir_error err = WEIR_ERROR_INIT;
	bool good = true, racing = world->racing;
	enum step_kind between = world->between;
	world->racing = false; /* a look that began before a change may still see what it takes */
	world->between = STEP_BETWEEN;
	struct consent_fence *fence = consent_fence_ref(engine_consent(world->engine, 0));
	json_t *rows = world_rows(world, "gold", "visits", &err), *row;
	struct look look = {.seen = calloc(PAIR_ROWS_MAX, sizeof(bool))};
	size_t i;
	*ret_read = rows != NULL;
	if (rows == NULL)
		good = world->armed || world_fail(world, "gold cannot be read: %s", err.message);
	json_array_foreach(rows, i, row) good = good && look_at_row(world, row, fence, &look);
	for (size_t r = 0; r < world->row_count && good && rows != NULL; r++) {
		world->rows[r].stays += world->rows[r].here && !look.seen[r];
		world->rows[r].here = look.seen[r];
	}
	consent_fence_unref(fence);
	if (good && *ret_read)
		good = check_access(world, &look, ret_read);
	world->racing = racing;
	world->between = between;
	json_decref(rows);
	free(look.seen);
	return good;
}

/* ---- the end of a story ---- */

static bool check_gold(struct world *world)
{
	const struct oracle *oracle = &world->oracle;
	for (size_t i = 0; i < oracle->record_count; i++)
		for (unsigned p = 0; p < ORACLE_PURPOSES && oracle->records[i].fate == ORACLE_ACCEPTED; p++) {
			bool want = oracle_permits(oracle, &oracle->records[i], p, UINT64_MAX);
			if (row_state(world, i, p)->here != want)
				return world_fail(world, "offset %zu of %s is %s gold for %s, and is %spermitted", i,
					oracle_text(oracle->records[i].event, "customer_id"), want ? "not in" : "in",
					oracle_purposes[p], want ? "" : "not ");
		}
	return true;
}

/* bronze and silver: each accepted record once, and nothing else. */
static bool check_layer(struct world *world, const char *ns)
{
	const struct oracle *oracle = &world->oracle;
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *rows = world_rows(world, ns, "visits", &err), *row;
	unsigned *seen = calloc(oracle->record_count + 1, sizeof *seen);
	bool silver = strcmp(ns, "silver") == 0, good = rows != NULL || world_fail(world, "%s: %s", ns, err.message);
	size_t i;
	json_array_foreach(rows, i, row)
	{
		size_t record = record_of(world, row);
		if (good && (record == SIZE_MAX || oracle->records[record].fate != ORACLE_ACCEPTED))
			good = world_fail(world, "%s has a row %s that no accepted event explains", ns,
				oracle_text(row, "trace_id"));
		if (good && seen[record]++ > 0)
			good = world_fail(world, "%s has offset %zu twice", ns, record);
		if (good && silver && !same_event(&oracle->records[record], row))
			good = world_fail(world, "silver's row of offset %zu differs from its event", record);
		if (good && silver && json_is_true(json_object_get(row, "is_late")) != oracle->records[record].is_late)
			good = world_fail(world, "silver's row of offset %zu is %sflagged late", record,
				oracle->records[record].is_late ? "not " : "");
	}
	for (i = 0; i < oracle->record_count && good; i++)
		if (oracle->records[i].fate == ORACLE_ACCEPTED && seen[i] == 0)
			good = world_fail(world, "%s lacks the accepted event at offset %zu", ns, i);
	free(seen);
	json_decref(rows);
	return good;
}

static bool check_letters(struct world *world)
{
	static const char *const types[] = {
		[ORACLE_REFUSED] = "invalid", [ORACLE_AHEAD] = "ahead", [ORACLE_LATE] = "late"};
	const struct oracle *oracle = &world->oracle;
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *rows = world_rows(world, "bronze", "dead_letters", &err), *row;
	unsigned *seen = calloc(oracle->record_count + 1, sizeof *seen);
	bool good = rows != NULL || world_fail(world, "dead letters: %s", err.message);
	size_t i;
	json_array_foreach(rows, i, row)
	{
		size_t record = record_of(world, row);
		if (good && (record == SIZE_MAX || oracle->records[record].fate < ORACLE_REFUSED))
			good = world_fail(
				world, "there is a dead letter %s of no refused event", oracle_text(row, "trace_id"));
		if (good && strcmp(oracle_text(row, "error_type"), types[oracle->records[record].fate]) != 0)
			good = world_fail(world, "offset %zu became a letter \"%s\", not \"%s\"", record,
				oracle_text(row, "error_type"), types[oracle->records[record].fate]);
		if (good && seen[record]++ > 0)
			good = world_fail(world, "offset %zu has two dead letters", record);
	}
	for (i = 0; i < oracle->record_count && good; i++)
		if (oracle->records[i].fate >= ORACLE_REFUSED && seen[i] == 0)
			good = world_fail(world, "offset %zu was refused and has no dead letter", i);
	free(seen);
	json_decref(rows);
	return good;
}

/* One row for each stay in gold that ended; unique by (event, purpose, revoked_lsn). */
static bool check_history(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *rows = world_rows(world, "history", "visits", &err), *row, *other;
	bool good = rows != NULL || world_fail(world, "history: %s", err.message);
	unsigned *found = calloc(world->row_count + PAIR_ROWS_MAX, sizeof *found);
	size_t i, j;
	json_array_foreach(rows, i, row)
	{
		size_t record;
		unsigned purpose;
		uint64_t granted = (uint64_t)json_integer_value(json_object_get(row, "granted_lsn"));
		json_t *revoked = json_object_get(row, "revoked_lsn");
		good = good && check_gold_row(world, row, &record, &purpose);
		if (good &&
			(granted != (uint64_t)json_integer_value(json_object_get(row, "consent_lsn")) ||
				(uint64_t)json_integer_value(revoked) <= granted ||
				(uint64_t)json_integer_value(revoked) > oracle_head(&world->oracle)))
			good = world_fail(world, "history's row of offset %zu was granted at %llu and revoked at %lld",
				record, (unsigned long long)granted, (long long)json_integer_value(revoked));
		if (good)
			found[row_state(world, record, purpose) - world->rows]++;
		for (j = 0; j < i && good; j++) {
			other = json_array_get(rows, j);
			if (json_equal(json_object_get(other, "visit_id"), json_object_get(row, "visit_id")) &&
				json_equal(json_object_get(other, "purpose"), json_object_get(row, "purpose")) &&
				json_equal(json_object_get(other, "revoked_lsn"), revoked))
				good = world_fail(world, "history has offset %zu for %s twice at number %lld", record,
					oracle_purposes[purpose], (long long)json_integer_value(revoked));
		}
	}
	/* Between a restart and the look after it a stay may begin and end: then history alone saw it. */
	for (i = 0; i < world->row_count && good; i++)
		if (found[i] < world->rows[i].stays || found[i] > world->rows[i].stays + world->restarts)
			good = world_fail(world, "offset %zu left gold for %s %u times; history has %u rows",
				world->rows[i].record, oracle_purposes[world->rows[i].purpose], world->rows[i].stays,
				found[i]);
	free(found);
	json_decref(rows);
	return good;
}

static bool check_counter(struct world *world, const char *result, uint64_t want)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_value values[] = {CONTROL_T(weir_str_from(result))};
	int64_t count = 0;
	int status = control_query_int(engine_control(world->engine),
		"SELECT COALESCE(SUM(count), 0) FROM weir_counters WHERE stream = 'visits' AND result = ?1", values, 1,
		&count, &err);
	if (status != 0)
		return world_fail(world, "counters: %s", err.message);
	return (uint64_t)count == want ||
		world_fail(world, "the counter of %s says %lld, not %llu", result, (long long)count,
			(unsigned long long)want);
}

static bool check_counters(struct world *world)
{
	uint64_t fates[ORACLE_LATE + 1] = {0}, late = 0;
	for (size_t i = 0; i < world->oracle.record_count; i++) {
		fates[world->oracle.records[i].fate]++;
		late += world->oracle.records[i].fate == ORACLE_ACCEPTED && world->oracle.records[i].is_late;
	}
	return check_counter(world, "accepted", fates[ORACLE_ACCEPTED]) &&
		check_counter(world, "duplicate", fates[ORACLE_DUPLICATE]) && check_counter(world, "late", late) &&
		check_counter(world, "dead_letter", fates[ORACLE_REFUSED] + fates[ORACLE_AHEAD] + fates[ORACLE_LATE]);
}

/* Each answered query has its row (X2); one that failed may have one. */
static bool check_audit(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *rows = world_rows(world, "audit", "access", &err), *row;
	unsigned count = 0;
	size_t i;
	if (rows == NULL)
		return world_fail(world, "the audit cannot be read: %s", err.message);
	json_array_foreach(rows, i, row) count += strcmp(oracle_text(row, "route"), "/api/query") == 0 &&
		strcmp(oracle_text(row, "outcome"), "allowed") == 0;
	json_decref(rows);
	return (count >= world->audited && count <= world->audited + world->audited_perhaps) ||
		world_fail(world, "the audit has %u rows of %u queries (and %u that failed)", count, world->audited,
			world->audited_perhaps);
}

/* ---- bytes: no file of gold holds the id of an event that is not in gold (G4) ---- */

struct scan {
	struct world *world;
	char path[1024];
};

static int scan_entry(void *context, const char *name, const struct weir_file_info *info, struct weir_error *err);

static int scan_file(struct scan *scan, struct weir_error *err)
{
	struct world *world = scan->world;
	char *data;
	size_t size;
	int status = weir_os_read_all(&world->os, scan->path, 64 << 20, &data, &size, err);
	if (status != 0)
		return status;
	for (size_t i = 0; i < world->row_count && world->failure[0] == '\0'; i++) {
		const struct gold_row *row = &world->rows[i];
		const char *id = oracle_text(world->oracle.records[row->record].event, "visit_id");
		struct weir_uuid uuid;
		bool elsewhere = false;
		for (size_t j = 0; j < world->row_count; j++)
			elsewhere = elsewhere || (world->rows[j].here && world->rows[j].record == row->record);
		if (row->here || row->stays == 0 || elsewhere || !weir_uuid_parse(weir_str_from(id), &uuid))
			continue;
		if (memmem(data, size, uuid.bytes, sizeof uuid.bytes) != NULL)
			world_fail(world, "offset %zu left gold; its id is still in %s", row->record, scan->path);
	}
	free(data);
	return 0;
}

static int scan_entry(void *context, const char *name, const struct weir_file_info *info, struct weir_error *err)
{
	struct scan *scan = context, below = {.world = scan->world};
	if (snprintf(below.path, sizeof below.path, "%s/%s", scan->path, name) >= (int)sizeof below.path)
		return weir_fail(err, WEIR_E_LIMIT, "a path is too long");
	const struct weir_os *os = &scan->world->os;
	return info->is_directory ? os->list(os->self, below.path, scan_entry, &below, err) : scan_file(&below, err);
}

static bool check_bytes(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct scan scan = {.world = world, .path = "/lake/warehouse/gold"};
	if (world->os.list(world->os.self, scan.path, scan_entry, &scan, &err) != 0)
		return world_fail(world, "the scan of gold's bytes failed: %s", err.message);
	return world->failure[0] == '\0';
}

bool world_compare(struct world *world)
{
	bool read;
	return world_look(world, &read) && check_gold(world) && check_layer(world, "silver") &&
		check_layer(world, "bronze") && check_letters(world) && check_history(world) && check_counters(world) &&
		check_audit(world) && check_bytes(world);
}
