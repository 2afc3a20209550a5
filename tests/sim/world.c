#include "sim/world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "column/row_json.h"
#include "engine/engine_int.h"

#define START_US    1738411200000000LL    /* 2025-02-01T12:00:00Z */
#define STORY_US    (6 * WEIR_US_PER_DAY) /* within the window in which ids count (7 d) */
#define WORK_ROUNDS 1000

static const char *const names[STEP_KINDS] = {"post", "consent", "advance", "flush", "work", "settle", "query",
	"restart", "cut", "cut-at", "fault", "kill", "race", "between"};

const char *step_name(enum step_kind kind)
{
	return names[kind];
}

bool world_fail(struct world *world, const char *format, ...)
{
	va_list arguments;
	if (world->failure[0] != '\0')
		return false;
	va_start(arguments, format);
	vsnprintf(world->failure, sizeof world->failure, format, arguments);
	va_end(arguments);
	return false;
}

/* ---- the hook before the disk: bytes are counted, and a race may start ---- */

static bool change_consent(struct world *world, struct weir_rng *rng);

static void come_between(struct world *world)
{
	enum step_kind kind = world->between;
	if (kind == STEP_BETWEEN || world->engine == NULL || world->engine->jobs == NULL ||
		jobs_numbers(world->engine->jobs).deltas == 0 || world->between_calls-- > 0)
		return;
	struct weir_rng rng = weir_rng_new(world->between_seed);
	world->between = STEP_BETWEEN;
	if (kind == STEP_RACE) {
		world->races++;
		change_consent(world, &rng);
		return;
	}
	world->armed = true;
	if (kind == STEP_CUT)
		sim_os_power_cut_at(world->disk, 1, world->between_seed);
	else
		sim_os_fail(
			world->disk, SIM_ANY, 1, EIO, kind == STEP_KILL ? UINT64_MAX / 2 : weir_rng_below(&rng, 20));
}

static void hook(struct world *world)
{
	come_between(world);
	if (!world->racing || ++world->race_calls < world->race_at)
		return;
	struct weir_rng rng = weir_rng_new(world->race_seed);
	world->racing = false;
	world->races++;
	change_consent(world, &rng);
}

static int hooked_open(
	void *self, const char *path, enum weir_open_mode mode, struct weir_file **ret_file, struct weir_error *err)
{
	struct world *world = self;
	const struct weir_os *disk = sim_os_table(world->disk);
	hook(world);
	return disk->open(disk->self, path, mode, ret_file, err);
}

static int hooked_close(void *self, struct weir_file *take_file, struct weir_error *err)
{
	const struct weir_os *disk = sim_os_table(((struct world *)self)->disk);
	return disk->close(disk->self, take_file, err);
}

static int hooked_read(
	void *self, struct weir_file *file, uint64_t offset, void *buffer, size_t size_bytes, struct weir_error *err)
{
	const struct weir_os *disk = sim_os_table(((struct world *)self)->disk);
	return disk->read(disk->self, file, offset, buffer, size_bytes, err);
}

static int hooked_write(void *self, struct weir_file *file, uint64_t offset, const void *data, size_t size_bytes,
	struct weir_error *err)
{
	struct world *world = self;
	const struct weir_os *disk = sim_os_table(world->disk);
	hook(world);
	world->written_bytes += size_bytes;
	return disk->write(disk->self, file, offset, data, size_bytes, err);
}

static int hooked_sync(void *self, struct weir_file *file, struct weir_error *err)
{
	struct world *world = self;
	const struct weir_os *disk = sim_os_table(world->disk);
	hook(world);
	return disk->sync(disk->self, file, err);
}

static void hooked_start_writeback(void *self, struct weir_file *file, uint64_t offset, uint64_t size_bytes)
{
	const struct weir_os *disk = sim_os_table(((struct world *)self)->disk);
	disk->start_writeback(disk->self, file, offset, size_bytes);
}

static int hooked_size(void *self, struct weir_file *file, uint64_t *ret_size, struct weir_error *err)
{
	const struct weir_os *disk = sim_os_table(((struct world *)self)->disk);
	return disk->size(disk->self, file, ret_size, err);
}

static int hooked_truncate(void *self, struct weir_file *file, uint64_t size_bytes, struct weir_error *err)
{
	const struct weir_os *disk = sim_os_table(((struct world *)self)->disk);
	return disk->truncate(disk->self, file, size_bytes, err);
}

static int hooked_sync_dir(void *self, const char *path, struct weir_error *err)
{
	struct world *world = self;
	const struct weir_os *disk = sim_os_table(world->disk);
	hook(world);
	return disk->sync_dir(disk->self, path, err);
}

static int hooked_rename(void *self, const char *from, const char *to, struct weir_error *err)
{
	const struct weir_os *disk = sim_os_table(((struct world *)self)->disk);
	return disk->rename(disk->self, from, to, err);
}

static int hooked_unlink(void *self, const char *path, struct weir_error *err)
{
	const struct weir_os *disk = sim_os_table(((struct world *)self)->disk);
	return disk->unlink(disk->self, path, err);
}

static int hooked_mkdir(void *self, const char *path, struct weir_error *err)
{
	const struct weir_os *disk = sim_os_table(((struct world *)self)->disk);
	return disk->mkdir(disk->self, path, err);
}

static int hooked_rmdir(void *self, const char *path, struct weir_error *err)
{
	const struct weir_os *disk = sim_os_table(((struct world *)self)->disk);
	return disk->rmdir(disk->self, path, err);
}

static int hooked_stat(void *self, const char *path, struct weir_file_info *ret_info, struct weir_error *err)
{
	const struct weir_os *disk = sim_os_table(((struct world *)self)->disk);
	return disk->stat(disk->self, path, ret_info, err);
}

static int hooked_list(void *self, const char *path, weir_dir_fn *entry, void *context, struct weir_error *err)
{
	const struct weir_os *disk = sim_os_table(((struct world *)self)->disk);
	return disk->list(disk->self, path, entry, context, err);
}

/* ---- starts ---- */

static int start(struct world *world, struct weir_error *err)
{
	struct engine_options options = {.os = &world->os,
		.clock = weir_clock_manual(&world->clock),
		.sqlite_vfs = sim_vfs_name(world->vfs),
		.no_background = true,
		/* Two stories of three delete rows before they rewrite the files. */
		.delta_from_bytes = world->seed % 3 == 0 ? 0 : 1};
	return engine_open(world->lake, &options, &world->engine, err);
}

static void forget_changes(struct world *world)
{
	for (size_t i = 0; i < world->doubted_count; i++)
		json_decref(world->doubted[i].rule);
	world->doubted_count = 0;
}

static void forget_post(struct world *world)
{
	for (size_t i = 0; i < world->posted_count; i++)
		free(world->posted[i]);
	free(world->posted);
	free(world->posted_valid);
	world->posted = NULL;
	world->posted_valid = NULL;
	world->posted_count = 0;
}

static void forget_doubts(struct world *world)
{
	forget_post(world);
	forget_changes(world);
}

/* The post whose outcome was not told is in the log whole, or not at all; what was acknowledged is there. */
static bool settle_post(struct world *world)
{
	uint64_t next = bus_next_offset(world->engine->bus, WEIR_STR("visits"), 0), known = world->oracle.record_count;
	if (next != known && next != known + world->posted_count)
		return world_fail(world,
			"after the start the log ends at %llu; %llu were acknowledged and %zu in doubt",
			(unsigned long long)next, (unsigned long long)known, world->posted_count);
	for (size_t i = 0; i < world->posted_count && next > known; i++)
		oracle_add_record(&world->oracle, world->posted[i], world->posted_valid[i], world->posted_us);
	return true;
}

static int settle_change(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct world *world = context;
	static const struct weir_str kinds[] = {
		[ORACLE_POST] = {"post", 4}, [ORACLE_WITHDRAW] = {"withdraw", 8}, [ORACLE_REMOVE] = {"remove", 6}};
	(void)count;
	(void)err;
	for (size_t i = 0; i < world->doubted_count; i++) {
		struct oracle_change *change = &world->doubted[i];
		if (change->lsn != 0 || !weir_str_equal(kinds[change->kind], values[1].text) ||
			!weir_str_is(values[2].text, change->subject) ||
			!weir_str_is(
				values[3].text, change->kind == ORACLE_WITHDRAW ? change->purpose : change->rule_id))
			continue;
		change->lsn = (uint64_t)values[0].integer;
		struct oracle_change known = *change;
		json_incref(known.rule);
		oracle_add_change(&world->oracle, &known);
		return 0;
	}
	world_fail(world, "after the start the consent log has change %lld that nobody made",
		(long long)values[0].integer);
	return 0;
}

static bool settle_changes(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	uint64_t known = oracle_head(&world->oracle);
	struct control_value values[] = {CONTROL_I(known)};
	if (control_query(engine_control(world->engine),
		    "SELECT lsn, kind, subject, CASE kind WHEN 'withdraw' THEN purpose ELSE rule_id END FROM "
		    "weir_consent_log"
		    " WHERE lsn > ?1 ORDER BY lsn",
		    values, 1, settle_change, world, &err) != 0)
		return world_fail(world, "the consent log cannot be read: %s", err.message);
	if (consent_head(engine_consent(world->engine, 0)) != oracle_head(&world->oracle))
		return world_fail(world, "after the start the consent log ends at %llu, not at %llu",
			(unsigned long long)consent_head(engine_consent(world->engine, 0)),
			(unsigned long long)oracle_head(&world->oracle));
	return world->failure[0] == '\0';
}

/* Now and then a start fails, too: the power goes, or a call, in the middle of recovery. The next one must do. */
static void disturb_start(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_rng rng = weir_rng_fork(world->seed, 1000 + world->restarts);
	uint64_t kind = weir_rng_below(&rng, 6), nth = 1 + weir_rng_below(&rng, 1ULL << weir_rng_below(&rng, 8));
	if (kind > 1)
		return;
	if (kind == 0)
		sim_os_power_cut_at(world->disk, nth, weir_rng_next(&rng));
	else
		sim_os_fail(world->disk, SIM_ANY, nth * 2, EIO, weir_rng_below(&rng, 3) == 0 ? UINT64_MAX / 2 : 0);
	world->failed_starts += start(world, &err) != 0;
	engine_close(world->engine);
	world->engine = NULL;
	sim_os_fail(world->disk, SIM_ANY, 0, 0, 0);
	sim_os_power_on(world->disk);
}

/* After whatever happened: the disk works again, the engine starts, doubts are settled, and nothing hidden shows. */
/* Of an engine that is about to close, or of the last one. */
static void add_numbers(struct world *world)
{
	if (world->engine == NULL)
		return;
	struct jobs_numbers numbers = jobs_numbers(world->engine->jobs);
	world->deltas += numbers.deltas;
	world->resumed += numbers.resumed;
}

static bool restart(struct world *world, bool clean)
{
	struct weir_error err = WEIR_ERROR_INIT;
	char text[1200];
	bool read;
	world->racing = false;
	world->between = STEP_BETWEEN;
	if (clean)
		sim_os_fail(world->disk, SIM_ANY, 0, 0, 0);
	add_numbers(world);
	engine_close(world->engine);
	world->engine = NULL;
	world->faults_hit += sim_os_has_failed(world->disk);
	sim_os_fail(world->disk, SIM_ANY, 0, 0, 0);
	sim_os_power_on(world->disk);
	world->armed = false;
	world->restarts++;
	disturb_start(world);
	if (start(world, &err) != 0)
		return world_fail(
			world, "the engine does not start again: %s", weir_error_text(&err, text, sizeof text));
	bool good = settle_post(world) && settle_changes(world);
	forget_doubts(world);
	return good && world_look(world, &read);
}

/* An operation failed: with the disk's help, or by itself? */
static bool failed(struct world *world, const char *what, const struct weir_error *err)
{
	char text[1200];
	if (!world->armed)
		return world_fail(world, "%s failed without cause: %s", what, weir_error_text(err, text, sizeof text));
	return restart(world, sim_os_is_off(world->disk) ? false : (world->restarts & 1) == 0);
}

static bool look(struct world *world)
{
	bool read;
	struct weir_error err = WEIR_ERROR_INIT;
	if (!world_look(world, &read))
		return false;
	return read || failed(world, "a look at gold", &err);
}

/* A change that came while files were written may be in doubt: then the engine starts again. */
static bool after_race(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	if (world->failure[0] != '\0')
		return false;
	return world->doubted_count == 0 || failed(world, "a change of consent", &err);
}

/* ---- steps ---- */

static bool post(struct world *world, struct weir_rng *rng)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_buf body = WEIR_BUF_INIT;
	struct ingest_result result = {0};
	size_t count = 1 + weir_rng_below(rng, 6);
	world->posted = calloc(count, sizeof *world->posted);
	world->posted_valid = calloc(count, sizeof *world->posted_valid);
	world->posted_count = count;
	world->posted_us = world->clock.time_us;
	for (size_t i = 0; i < count; i++) {
		world->posted[i] = draw_event(world, rng, &world->posted_valid[i]);
		weir_buf_append(&body, world->posted[i], strlen(world->posted[i]));
		weir_buf_append(&body, "\n", 1);
	}
	struct ingest_request request = {.channel = WEIR_STR("api"), .body = weir_buf_str(&body), .events_only = true};
	int status = ingest_post_wait(engine_ingest(world->engine), &request, arena, &result, &err);
	bool good = true;
	if (status != 0) {
		good = failed(world, "a post", &err);
	} else {
		uint64_t offset = world->oracle.record_count;
		char trace[16];
		for (size_t i = 0; i < count; i++)
			oracle_add_record(&world->oracle, world->posted[i], world->posted_valid[i], world->posted_us);
		while (offset < world->oracle.record_count && world->oracle.records[offset].event == NULL)
			offset++;
		snprintf(trace, sizeof trace, "00%010llx", (unsigned long long)offset);
		if (result.accepted + result.duplicates + result.rejected != count)
			good = world_fail(world, "a post of %zu events was answered with %llu", count,
				(unsigned long long)(result.accepted + result.duplicates + result.rejected));
		else if (result.trace_count > 0 && !weir_str_is(result.trace_ids[0], trace))
			good = world_fail(world, "a post was given the place %.*s, not %s",
				WEIR_STR_ARG(result.trace_ids[0]), trace);
		forget_post(world);
		good = good && after_race(world);
	}
	weir_buf_done(&body);
	weir_arena_free(arena);
	return good;
}

/* Draws one to three changes; parsed rules live in arena. */
static uint32_t draw_changes(struct world *world, struct weir_rng *rng, struct weir_arena *arena,
	struct consent_change *changes, struct consent_rule *rules)
{
	const struct consent_vocabulary *vocabulary = consent_vocabulary_of(engine_consent(world->engine, 0));
	uint32_t count = weir_rng_chance(rng, 0.7) ? 1 : 2 + (uint32_t)weir_rng_below(rng, 2);
	for (uint32_t i = 0; i < count; i++) {
		struct oracle_change *drawn = &world->doubted[i];
		struct consent_problem problem = {0};
		struct weir_error err = WEIR_ERROR_INIT;
		*drawn = draw_change(rng);
		changes[i] = (struct consent_change){.kind = (int)drawn->kind == ORACLE_POST ? CONSENT_CHANGE_POST
				: (int)drawn->kind == ORACLE_WITHDRAW                        ? CONSENT_CHANGE_WITHDRAW
											     : CONSENT_CHANGE_REMOVE,
			.rule = &rules[i],
			.subject = weir_str_from(drawn->subject),
			.rule_id = weir_str_from(drawn->rule_id),
			.purpose = strcmp(drawn->purpose, oracle_purposes[1]) == 0};
		world->doubted_count = i + 1;
		if (drawn->rule == NULL)
			continue;
		char *text = json_dumps(drawn->rule, JSON_COMPACT);
		if (consent_rule_parse(vocabulary, arena, weir_arena_str(arena, weir_str_from(text)), &rules[i],
			    &problem, &err) != 0)
			world_fail(world, "a rule was refused: %s at %.*s in %s", problem.problem,
				WEIR_STR_ARG(problem.path), text);
		free(text);
	}
	return count;
}

static bool fail_nothing(struct world *world, const struct oracle_change *change)
{
	static const char *const kinds[] = {"rule", "withdrawal", "removal"};
	char *rule = change->rule != NULL ? json_dumps(change->rule, JSON_COMPACT) : NULL;
	world_fail(world, "a %s for %s was said to change nothing, and it does: %s", kinds[change->kind],
		change->subject, rule != NULL ? rule : change->rule_id);
	free(rule);
	return false;
}

/* The changes were acknowledged: are the numbers right, and is "nothing" nothing? */
static bool note_changes(struct world *world, const struct consent_changed *changed, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct oracle_change change = world->doubted[i];
		if (changed[i].nothing) {
			if (!oracle_changes_nothing(&world->oracle, &change))
				return fail_nothing(world, &change);
			if (change.kind == ORACLE_POST)
				oracle_respell(&world->oracle, &change);
			continue;
		}
		if (changed[i].lsn != oracle_head(&world->oracle) + 1)
			return world_fail(world, "a change got number %llu after %llu",
				(unsigned long long)changed[i].lsn, (unsigned long long)oracle_head(&world->oracle));
		change.lsn = changed[i].lsn;
		json_incref(change.rule);
		oracle_add_change(&world->oracle, &change);
	}
	return true;
}

/* False where it is in doubt (then `doubted` keeps it for the next start), or wrong. */
static bool change_consent(struct world *world, struct weir_rng *rng)
{
	struct consent_change changes[4];
	struct consent_changed changed[4];
	struct consent_rule rules[4];
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	uint32_t count = draw_changes(world, rng, arena, changes, rules);
	char text[1200];
	int status = consent_append(engine_consent(world->engine, 0), changes, count, changed, &err);
	weir_arena_free(arena);
	if (status != 0) {
		if (!world->armed)
			world_fail(world, "a change of consent failed without cause: %s",
				weir_error_text(&err, text, sizeof text));
		return false;
	}
	bool good = note_changes(world, changed, count);
	forget_changes(world);
	return good;
}

static bool consent(struct world *world, struct weir_rng *rng)
{
	struct weir_error err = WEIR_ERROR_INIT;
	bool good = change_consent(world, rng);
	if (world->failure[0] != '\0')
		return false;
	return good ? look(world) : failed(world, "a change of consent", &err);
}

static void advance(struct world *world, struct weir_rng *rng)
{
	static const int64_t by[] = {WEIR_US_PER_SECOND, 3 * WEIR_US_PER_SECOND, 70 * WEIR_US_PER_SECOND,
		10 * WEIR_US_PER_MINUTE, 3 * WEIR_US_PER_HOUR, 20 * WEIR_US_PER_HOUR};
	int64_t by_us = by[weir_rng_below(rng, sizeof by / sizeof by[0])];
	if (world->clock.time_us + by_us - world->started_us > STORY_US)
		by_us = WEIR_US_PER_SECOND;
	weir_manual_clock_advance(&world->clock, by_us);
}

static bool flush(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	int status = engine_flush(world->engine, &err);
	if (world->failure[0] != '\0')
		return false;
	if (status != 0)
		return failed(world, "a flush", &err);
	return after_race(world) && look(world);
}

/* Rounds of background work until there is none, or for so many. */
static bool work(struct world *world, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		bool did = false;
		int status = engine_step(world->engine, &did, &err);
		if (world->failure[0] != '\0')
			return false;
		if (status != 0)
			return failed(world, "a step of background work", &err);
		unsigned restarts = world->restarts;
		if (!after_race(world) || !look(world))
			return false;
		if (!did || world->restarts != restarts)
			return true;
	}
	return rounds < WORK_ROUNDS || world_fail(world, "background work finds no end");
}

/* A walk through pages of a query. */
struct walk {
	unsigned purpose;
	bool *seen;     /* by offset */
	char last[200]; /* the key of the row before: subject, time, id */
	struct weir_buf cursor;
};

/* One row of an answer: permitted, not given before, and after the one before it. */
static bool check_answer_row(struct world *world, struct walk *walk, const struct weir_batch *batch, uint32_t row)
{
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&out);
	char key[200];
	weir_row_json(&json, batch, row);
	json_t *object = json_loadb(out.data, out.size, 0, NULL);
	weir_buf_done(&out);
	size_t offset = strtoull(oracle_text(object, "trace_id"), NULL, 16);
	snprintf(key, sizeof key, "%s %020lld %s", oracle_text(object, "customer_id"),
		(long long)oracle_time(oracle_text(object, "visited_at")), oracle_text(object, "visit_id"));
	json_decref(object);
	const char *purpose = oracle_purposes[walk->purpose];
	if (offset >= world->oracle.record_count || world->oracle.records[offset].fate != ORACLE_ACCEPTED ||
		!oracle_permits(&world->oracle, &world->oracle.records[offset], walk->purpose, UINT64_MAX))
		return world_fail(world, "a query for %s gives offset %zu, which is not permitted", purpose, offset);
	if (walk->seen[offset])
		return world_fail(world, "a query for %s gives offset %zu twice", purpose, offset);
	if (strcmp(walk->last, key) >= 0)
		return world_fail(world, "a query for %s gives offset %zu out of order", purpose, offset);
	walk->seen[offset] = true;
	memcpy(walk->last, key, sizeof key);
	return true;
}

/* One page; false at the end, after a failure of the disk (*err), or where something is wrong. */
static bool next_page(struct world *world, struct walk *walk, const char *limit, struct weir_error *err)
{
	struct access_identity identity = {.id = "sim", .role = ACCESS_CONSUMER, .consumer = "sim", .purposes = 3};
	struct access_kv parameters[] = {{WEIR_STR("purpose"), weir_str_from(oracle_purposes[walk->purpose])},
		{WEIR_STR("limit"), weir_str_from(limit)}, {WEIR_STR("cursor"), weir_buf_str(&walk->cursor)}};
	struct access_request request = {.identity = &identity,
		.parameters = parameters,
		.parameter_count = walk->cursor.size > 0 ? 3 : 2,
		.source = WEIR_STR("127.0.0.1")};
	struct access_answer *answer;
	struct weir_batch *batch;
	int status = access_query(engine_access(world->engine), &request, &answer, err);
	if (status != 0) {
		world->audited_perhaps++;
		return false;
	}
	world->audited++;
	while ((status = access_answer_next(answer, &batch, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count && world->failure[0] == '\0'; row++)
			check_answer_row(world, walk, batch, row);
		weir_batch_release(batch);
	}
	struct weir_str cursor = status == 0 ? access_answer_cursor(answer) : WEIR_STR("");
	walk->cursor.size = 0;
	weir_buf_append(&walk->cursor, cursor.data, cursor.size);
	access_answer_free(answer);
	return status == 0 && cursor.size > 0 && world->failure[0] == '\0';
}

/* All that is in gold and not fenced came. */
static bool check_all_came(struct world *world, const struct walk *walk)
{
	struct consent_fence *fence = consent_fence_ref(engine_consent(world->engine, 0));
	for (size_t i = 0; i < world->row_count; i++) {
		const struct gold_row *row = &world->rows[i];
		const char *subject = oracle_text(world->oracle.records[row->record].event, "customer_id");
		if (row->purpose == walk->purpose && row->here && !walk->seen[row->record] &&
			!consent_fence_hides(fence, weir_str_from(subject), row->purpose, row->lsn))
			world_fail(
				world, "a query for %s lacks offset %zu", oracle_purposes[walk->purpose], row->record);
	}
	consent_fence_unref(fence);
	return world->failure[0] == '\0';
}

static bool query(struct world *world, struct weir_rng *rng)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct walk walk = {.purpose = (unsigned)weir_rng_below(rng, ORACLE_PURPOSES), .cursor = WEIR_BUF_INIT};
	const char *limit = weir_rng_chance(rng, 0.5) ? "3" : "1000";
	world->racing = false; /* what began before a change may still give the rows that it takes */
	walk.seen = calloc(world->oracle.record_count + 1, sizeof *walk.seen);
	while (next_page(world, &walk, limit, &err))
		;
	bool good = world->failure[0] == '\0';
	if (good)
		good = err.code != 0 ? failed(world, "a query", &err) : check_all_came(world, &walk);
	weir_buf_done(&walk.cursor);
	free(walk.seen);
	return good;
}

static void arm(struct world *world, const struct step *step, struct weir_rng *rng)
{
	static const enum sim_call kinds[] = {
		SIM_WRITE, SIM_SYNC, SIM_OPEN, SIM_SYNC_DIR, SIM_READ, SIM_UNLINK, SIM_ANY};
	uint64_t nth = 1 + weir_rng_below(rng, 1ULL << weir_rng_below(rng, 9));
	if (world->armed)
		return; /* one at a time */
	world->armed = true;
	if (step->kind == STEP_CUT_AT)
		sim_os_power_cut_at(world->disk, nth, weir_rng_next(rng));
	else if (step->kind == STEP_KILL)
		sim_os_fail(world->disk, SIM_ANY, nth * 2, EIO, UINT64_MAX / 2);
	else
		sim_os_fail(world->disk, kinds[weir_rng_below(rng, 7)], 1 + nth / 4,
			weir_rng_chance(rng, 0.5) ? EIO : ENOSPC,
			weir_rng_chance(rng, 0.5) ? 0 : weir_rng_below(rng, 20));
}

static bool cut_now(struct world *world, struct weir_rng *rng)
{
	uint64_t seed = weir_rng_next(rng);
	if (!sim_os_is_off(world->disk))
		sim_os_power_cut_at(world->disk, 1, seed); /* nothing that closing does gets through */
	return restart(world, false);
}

bool world_step(struct world *world, const struct step *step)
{
	struct weir_rng rng = weir_rng_new(step->seed);
	switch (step->kind) {
	case STEP_POST:
		return post(world, &rng);
	case STEP_CONSENT:
		return consent(world, &rng);
	case STEP_ADVANCE:
		advance(world, &rng);
		return true;
	case STEP_FLUSH:
		return flush(world);
	case STEP_WORK:
		return work(world, 1 + weir_rng_below(&rng, 3));
	case STEP_SETTLE:
		return work(world, WORK_ROUNDS);
	case STEP_QUERY:
		return query(world, &rng);
	case STEP_RESTART:
		return restart(world, !sim_os_is_off(world->disk));
	case STEP_CUT:
		return cut_now(world, &rng);
	case STEP_CUT_AT:
	case STEP_FAULT:
	case STEP_KILL:
		arm(world, step, &rng);
		return true;
	case STEP_RACE:
		world->racing = true;
		world->race_seed = weir_rng_next(&rng);
		world->race_at = 1 + weir_rng_below(&rng, 40);
		world->race_calls = 0;
		return true;
	case STEP_BETWEEN: {
		static const enum step_kind kinds[] = {STEP_CUT, STEP_KILL, STEP_FAULT, STEP_RACE};
		world->between = kinds[weir_rng_below(&rng, 4)];
		world->between_seed = weir_rng_next(&rng);
		world->between_calls = weir_rng_below(&rng, 40);
		return true;
	}
	case STEP_KINDS:
		break;
	}
	WEIR_ASSERT(false);
	return false;
}

static void report_break(struct world *world, struct weir_buf *answer)
{
	json_t *object = json_loadb(answer->data, answer->size, 0, NULL);
	char *text = json_dumps(json_object_get(object, "break"), JSON_ENCODE_ANY);
	world_fail(world, "weir check finds a break where the oracle finds none: %s", text);
	free(text);
	json_decref(object);
}

bool world_finish(struct world *world, bool check)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&out);
	bool sound = true;
	if (world->armed && !restart(world, false))
		return false;
	world->racing = false;
	world->between = STEP_BETWEEN;
	if (!flush(world) || !work(world, WORK_ROUNDS))
		return false;
	weir_manual_clock_advance(&world->clock, 15 * WEIR_US_PER_MINUTE); /* what was to wait has waited */
	if (!work(world, WORK_ROUNDS))
		return false;
	if (engine_settle(world->engine, false, &err) != 0)
		return world_fail(world, "the lake does not settle: %s", err.message);
	if (!world_compare(world))
		return false;
	if (check && engine_check(world->engine, &json, &sound, &err) != 0)
		world_fail(world, "weir check failed: %s", err.message);
	else if (!sound)
		report_break(world, &out);
	weir_buf_done(&out);
	add_numbers(world);
	return world->failure[0] == '\0';
}

bool world_open(struct world *world, const struct lake *lake, uint64_t seed)
{
	struct weir_error err = WEIR_ERROR_INIT;
	*world = (struct world){
		.lake = lake, .clock = {START_US}, .started_us = START_US, .seed = seed, .between = STEP_BETWEEN};
	world->os = (struct weir_os){hooked_open, hooked_close, hooked_read, hooked_write, hooked_sync,
		hooked_start_writeback, hooked_size, hooked_truncate, hooked_sync_dir, hooked_rename, hooked_unlink,
		hooked_mkdir, hooked_rmdir, hooked_stat, hooked_list, world};
	world->disk = sim_os_new(seed);
	world->vfs = sim_vfs_new(world->disk);
	oracle_init(&world->oracle);
	return start(world, &err) == 0 || world_fail(world, "the engine does not start: %s", err.message);
}

void world_close(struct world *world)
{
	engine_close(world->engine);
	forget_doubts(world);
	oracle_done(&world->oracle);
	free(world->rows);
	sim_vfs_free(world->vfs);
	sim_os_free(world->disk);
}
