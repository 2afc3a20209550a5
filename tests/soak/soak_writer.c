// uses: weir_control
/*
 * Weir's side of the soak (tests/soak/run): writers and readers of a table in a SQL catalog's file, not governed.
 *
 *   soak_writer init DB WAREHOUSE NS.TABLE       the row that all writers count on: ("shared", 0, 0, version 0)
 *   soak_writer write DB WAREHOUSE NS.TABLE NAME SEED JOURNAL SECONDS PAUSE_MS [careless]
 *   soak_writer tally DB WAREHOUSE NS.TABLE MS   opens the newest version, says "opened", waits, and counts its rows
 *
 * A batch is `1 + batch % BATCH_ROWS_MAX` rows (writer, batch, row, version) that come, change and go together, each
 * time in one commit: so whatever a reader sees of a batch has all its rows, once, with one version. A writer tells in
 * its journal what it is about to do and what it did, a line each:
 *   BEGIN n OP batch | DONE n | VOID n (it did not happen) | RETRY n (somebody else was first)
 * OP: append; update (version + 1); delete; bump (append, and the shared row's version + 1). After a kill the journal
 * may end with BEGIN: the next start looks into the table for what became of it. `careless` moves the pointer over
 * others' commits.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "base/time.h"
#include "column/builder.h"
#include "control/foreign.h"
#include "iceberg/puffin.h"
#include "iceberg/table.h"

#define BATCH_ROWS_MAX 20
#define BATCHES_MAX    65536
#define ALIVE_LEAST    5
#define ALIVE_MOST     60
#define TRIES          200
#define SLOW_MS        300 /* between an operation's files and its commit, at most */

enum { WRITER, BATCH, ROW, VERSION, COLUMNS };
enum op { APPEND, UPDATE, DELETE, BUMP };
static const char *const op_names[] = {"append", "update", "delete", "bump"};

struct soak {
	struct weir_arena *arena; /* of one attempt */
	struct store *store;
	struct ice_cache *cache;
	struct control_foreign *catalog;
	struct control_foreign_name entry;
	struct ice_name name;
};

/* What the journal says of a batch: its version, -1 while it is not there. */
struct writer {
	struct soak soak;
	const char *name;
	struct weir_rng rng;
	FILE *journal;
	int64_t next;
	bool careless;
	int64_t versions[BATCHES_MAX];
	uint32_t alive;
};

/* One operation: rows that go (of batch, and the shared one) and rows that come. */
struct work {
	enum op op;
	int64_t number, batch;
};

static void die(const struct weir_error *err)
{
	char text[1200];
	fprintf(stderr, "soak_writer: %s\n", weir_error_text(err, text, sizeof text));
	exit(1);
}

static void need(int code, const struct weir_error *err)
{
	if (code != 0)
		die(err);
}

static int64_t rows_of(int64_t batch)
{
	return 1 + batch % BATCH_ROWS_MAX;
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_ms(int64_t ms)
{
	struct timespec wait = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&wait, NULL);
}

static void soak_open(struct soak *soak, char **argv)
{
	struct weir_error err = WEIR_ERROR_INIT;
	char *dot = strrchr(argv[4], '.');
	*soak = (struct soak){.arena = weir_arena_new(0), .cache = ice_cache_new(64U << 20)};
	if (dot == NULL)
		need(weir_fail(&err, WEIR_E_INPUT, "'%s' is not NAMESPACE.TABLE", argv[4]), &err);
	soak->name = (struct ice_name){{argv[4], (size_t)(dot - argv[4])}, weir_str_from(dot + 1)};
	soak->entry = (struct control_foreign_name){.ns = soak->name.ns, .table = soak->name.table};
	need(store_local_open(weir_os_real(), argv[3], &soak->store, &err), &err);
	need(control_foreign_open(argv[2], &soak->catalog, &err), &err);
	struct weir_arena *kept = weir_arena_new(0); /* the entry's names live as long as the program */
	need(control_foreign_find(soak->catalog, kept, &soak->entry, &err), &err);
}

static struct ice_table *load(struct soak *soak)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_str uri;
	struct ice_table *table = NULL;
	int code = -1;
	for (int i = 0; i < 3 && code != 0; i++) { /* a metadata file may go between the two steps */
		need(control_foreign_pointer(soak->catalog, soak->arena, &soak->entry, &uri, &err), &err);
		code = ice_table_open(soak->store, soak->cache, soak->name, uri, &table, &err);
	}
	need(code, &err);
	return table;
}

static struct weir_str new_prefix(struct soak *soak)
{
	uint8_t random[8];
	char text[17];
	weir_random_bytes(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		snprintf(text + 2 * i, 3, "%02x", random[i]);
	return weir_str_from(weir_arena_printf(soak->arena, "soak-%s", text));
}

/* ---- reading ---- */

struct group {
	struct weir_str writer;
	int64_t batch, version, count;
	uint32_t seen; /* a bit for each row number */
};

struct tally {
	struct weir_arena *arena;
	struct group *groups;
	uint32_t count, capacity;
	int64_t rows;
};

static void tally_row(struct tally *tally, const struct weir_batch *batch, uint32_t row)
{
	struct weir_str writer = weir_column_str(&batch->columns[WRITER], row);
	int64_t number = weir_column_i64(&batch->columns[BATCH], row);
	int64_t version = weir_column_i64(&batch->columns[VERSION], row);
	uint32_t i = tally->count; /* rows of a batch come together: the last group is the likely one */
	while (i > 0 &&
		!(tally->groups[i - 1].batch == number && tally->groups[i - 1].version == version &&
			weir_str_equal(tally->groups[i - 1].writer, writer)))
		i--;
	if (i == 0) {
		WEIR_GROW(tally->groups, tally->count, tally->capacity);
		tally->groups[tally->count++] = (struct group){
			.writer = weir_arena_str(tally->arena, writer), .batch = number, .version = version};
		i = tally->count;
	}
	tally->groups[i - 1].count++;
	tally->groups[i - 1].seen |= 1U << (weir_column_i64(&batch->columns[ROW], row) & 31);
	tally->rows++;
}

static int tally_table(struct ice_table *table, struct tally *tally, struct weir_error *err)
{
	struct ice_file_list *list;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	int code = ice_plan(table, -1, NULL, &list, err);
	if (code != 0)
		return code;
	code = ice_reader_open(table, list->files, list->count, NULL, NULL, &reader, err);
	while (code == 0 && (code = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count; row++)
			tally_row(tally, batch, row);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(list);
	return code;
}

static void print_tally(struct soak *soak, int64_t hold_ms)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct tally tally = {.arena = soak->arena};
	struct ice_table *table = load(soak);
	const struct ice_snapshot *snapshot = ice_metadata_current(ice_table_metadata(table));
	printf("opened %" PRId64 " %" PRId64 "\n", snapshot->id, now_ms() - snapshot->timestamp_ms);
	fflush(stdout);
	pause_ms(hold_ms);
	need(tally_table(table, &tally, &err), &err);
	printf("[");
	for (uint32_t i = 0; i < tally.count; i++)
		printf("%s[\"%.*s\",%" PRId64 ",%" PRId64 ",%" PRId64 ",%d]", i > 0 ? "," : "",
			WEIR_STR_ARG(tally.groups[i].writer), tally.groups[i].batch, tally.groups[i].version,
			tally.groups[i].count, __builtin_popcount(tally.groups[i].seen));
	printf("]\n");
	free(tally.groups);
	ice_table_unref(table);
}

/* ---- what an operation takes away ---- */

struct taking {
	struct ice_file_list *list;
	struct ice_positions **positions; /* of each file of the list; NULL: nothing of it goes */
	struct ice_data_file *spent;      /* their deletes so far */
	uint32_t spent_count, file_count;
	int64_t taken, shared; /* rows of the batch that go, and the shared row's version */
};

static bool goes(const struct writer *writer, const struct work *work, const struct weir_batch *batch, uint32_t row,
	struct taking *taking)
{
	struct weir_str name = weir_column_str(&batch->columns[WRITER], row);
	if (work->op == BUMP) {
		if (!weir_str_is(name, "shared"))
			return false;
		taking->shared = weir_column_i64(&batch->columns[VERSION], row);
		return true;
	}
	return weir_str_is(name, writer->name) && weir_column_i64(&batch->columns[BATCH], row) == work->batch;
}

static void take_of_file(
	struct writer *writer, const struct work *work, struct ice_table *table, uint32_t index, struct taking *taking)
{
	struct weir_error err = WEIR_ERROR_INIT;
	const struct weir_schema *schema = ice_table_schema(table);
	const struct ice_data_file *file = taking->list->files[index];
	struct weir_schema projection = {.field_count = COLUMNS + 1,
		.fields = weir_arena_calloc(writer->soak.arena, COLUMNS + 1, sizeof *projection.fields)};
	struct ice_reader *reader;
	struct weir_batch *batch;
	memcpy(projection.fields, schema->fields, COLUMNS * sizeof *schema->fields);
	projection.fields[COLUMNS] = (struct weir_field){
		.name = WEIR_STR("_pos"), .id = ICE_FIELD_POSITION, .type = WEIR_INT64, .required = true};
	need(ice_reader_open(table, &file, 1, &projection, NULL, &reader, &err), &err);
	for (;;) {
		need(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
		if (batch == NULL)
			break;
		for (uint32_t row = 0; row < batch->row_count; row++) {
			if (!goes(writer, work, batch, row, taking))
				continue;
			if (taking->positions[index] == NULL)
				need(ice_file_deleted_positions(table, file, &taking->positions[index], &err), &err);
			ice_positions_add(
				taking->positions[index], (uint64_t)weir_column_i64(&batch->columns[COLUMNS], row));
			taking->taken++;
		}
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	if (taking->positions[index] == NULL)
		return;
	taking->file_count++;
	for (uint32_t d = 0; d < file->delete_count; d++)
		if (file->deletes[d]->content_offset >= 0)
			taking->spent[taking->spent_count++] = *file->deletes[d];
}

static void take(struct writer *writer, const struct work *work, struct ice_table *table, struct taking *taking)
{
	struct weir_error err = WEIR_ERROR_INIT;
	uint32_t deletes = 0;
	*taking = (struct taking){.shared = -1};
	need(ice_plan(table, -1, NULL, &taking->list, &err), &err);
	for (uint32_t i = 0; i < taking->list->count; i++)
		deletes += taking->list->files[i]->delete_count;
	taking->positions = weir_arena_calloc(writer->soak.arena, taking->list->count + 1, sizeof *taking->positions);
	taking->spent = weir_arena_calloc(writer->soak.arena, deletes + 1, sizeof *taking->spent);
	for (uint32_t i = 0; i < taking->list->count; i++)
		take_of_file(writer, work, table, i, taking);
	int64_t due = work->op == BUMP ? 1 : rows_of(work->batch);
	if (taking->taken != due) {
		fprintf(stderr,
			"soak_writer: BROKEN %s %s %" PRId64 ": %" PRId64 " rows are there to go, not %" PRId64 "\n",
			writer->name, op_names[work->op], work->batch, taking->taken, due);
		exit(4);
	}
}

static void taking_done(struct taking *taking)
{
	for (uint32_t i = 0; taking->list != NULL && i < taking->list->count; i++)
		ice_positions_free(taking->positions[i]);
	if (taking->list != NULL)
		ice_file_list_free(taking->list);
}

/* ---- what it brings ---- */

static void put_row(struct weir_builder *builder, const char *writer, int64_t batch, int64_t row, int64_t version)
{
	weir_builder_str(builder, WRITER, weir_str_from(writer));
	weir_builder_i64(builder, BATCH, batch);
	weir_builder_i64(builder, ROW, row);
	weir_builder_i64(builder, VERSION, version);
	weir_builder_end_row(builder);
}

/* The rows of the touched files that stay: for a rewrite. */
static void copy_rest(
	struct ice_table *table, const struct taking *taking, struct ice_writer *out, struct weir_arena *arena)
{
	struct weir_error err = WEIR_ERROR_INIT;
	const struct weir_schema *schema = ice_table_schema(table);
	for (uint32_t i = 0; i < taking->list->count; i++) {
		struct ice_reader *reader;
		struct weir_batch *batch;
		struct weir_schema projection = {.field_count = COLUMNS + 1,
			.fields = weir_arena_calloc(arena, COLUMNS + 1, sizeof *projection.fields)};
		if (taking->positions[i] == NULL)
			continue;
		memcpy(projection.fields, schema->fields, COLUMNS * sizeof *schema->fields);
		projection.fields[COLUMNS] = (struct weir_field){
			.name = WEIR_STR("_pos"), .id = ICE_FIELD_POSITION, .type = WEIR_INT64, .required = true};
		need(ice_reader_open(table, &taking->list->files[i], 1, &projection, NULL, &reader, &err), &err);
		struct weir_builder *builder = weir_builder_new(schema);
		for (;;) {
			need(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
			if (batch == NULL)
				break;
			uint32_t kept = 0;
			for (uint32_t row = 0; row < batch->row_count; row++) {
				uint64_t position = (uint64_t)weir_column_i64(&batch->columns[COLUMNS], row);
				if (ice_positions_has(taking->positions[i], position))
					continue;
				put_row(builder, weir_arena_cstr(arena, weir_column_str(&batch->columns[WRITER], row)),
					weir_column_i64(&batch->columns[BATCH], row),
					weir_column_i64(&batch->columns[ROW], row),
					weir_column_i64(&batch->columns[VERSION], row));
				kept++;
			}
			weir_batch_release(batch);
			if (kept > 0) {
				struct weir_batch *rest = weir_builder_take(builder);
				need(ice_writer_add(out, rest, NULL, &err), &err);
				weir_batch_release(rest);
			}
		}
		weir_builder_free(builder);
		ice_reader_close(reader);
	}
}

static void write_new(struct writer *writer, const struct work *work, struct ice_table *table,
	const struct taking *taking, bool rewrite, struct ice_written *written)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_write_options options = {.spec_id = ice_table_metadata(table)->default_spec_id,
		.prefix = new_prefix(&writer->soak),
		.codec = CODEC_ZSTD,
		.level = 1};
	struct ice_writer *out;
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	need(ice_writer_open(table, &options, &out, &err), &err);
	if (work->op != DELETE) {
		for (int64_t row = 0; row < rows_of(work->batch); row++)
			put_row(builder, writer->name, work->batch, row,
				work->op == UPDATE ? writer->versions[work->batch] + 1 : 0);
		if (work->op == BUMP)
			put_row(builder, "shared", 0, 0, taking->shared + 1);
		struct weir_batch *batch = weir_builder_take(builder);
		need(ice_writer_add(out, batch, NULL, &err), &err);
		weir_batch_release(batch);
	}
	weir_builder_free(builder);
	if (rewrite)
		copy_rest(table, taking, out, writer->soak.arena);
	need(ice_writer_close(out, written, &err), &err);
	need(store_barrier(writer->soak.store, written->handles, written->count, &err), &err);
}

/* ---- committing ---- */

static void tell(struct writer *writer, const char *what, int64_t number)
{
	fprintf(writer->journal, "%s %" PRId64 "\n", what, number);
	fflush(writer->journal);
}

/* 0, or WEIR_E_CONFLICT: to be planned anew. */
static int swap(struct writer *writer, struct ice_prepared *prepared, struct ice_table *base, int64_t number)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct soak *soak = &writer->soak;
	struct weir_str old = ice_table_metadata_uri(base);
	int code = WEIR_E_CONFLICT;
	for (int i = 0; i < TRIES; i++) {
		struct ice_table *next = ice_prepared_table(prepared);
		code = control_foreign_swap(soak->catalog, &soak->entry, old, ice_table_metadata_uri(next), &err);
		ice_table_unref(next);
		if (code != WEIR_E_CONFLICT)
			break;
		tell(writer, "RETRY", number);
		if (writer->careless) {
			need(control_foreign_pointer(soak->catalog, soak->arena, &soak->entry, &old, &err), &err);
			continue;
		}
		struct ice_table *newer = load(soak);
		code = ice_rebase(prepared, newer, &err);
		old = weir_arena_str(soak->arena, ice_table_metadata_uri(newer));
		ice_table_unref(newer);
		if (code != 0)
			break;
	}
	if (code != WEIR_E_CONFLICT)
		need(code, &err);
	return code;
}

/* What is given up stays behind as files that no version names: orphan removal's part. */
static int attempt(struct writer *writer, const struct work *work)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct soak *soak = &writer->soak;
	struct ice_table *table = load(soak);
	struct taking taking = {.shared = -1};
	struct ice_written written = {0};
	struct ice_data_file *made = NULL;
	struct ice_prepared *prepared;
	uint32_t count = 0;
	if (work->op != APPEND)
		take(writer, work, table, &taking);
	bool rewrite = work->op != APPEND &&
		(ice_table_metadata(table)->format_version < 3 || weir_rng_chance(&writer->rng, 0.3));
	if (work->op != DELETE || rewrite)
		write_new(writer, work, table, &taking, rewrite, &written);
	uint32_t files = taking.list != NULL ? taking.list->count : 0;
	pause_ms((int64_t)weir_rng_below(&writer->rng, SLOW_MS)); /* others commit, compact and clean up meanwhile */
	struct weir_str *removed = weir_arena_calloc(soak->arena, files + 1, sizeof *removed);
	struct ice_vector *vectors = weir_arena_calloc(soak->arena, files + 1, sizeof *vectors);
	struct ice_edit edit = {.operation = work->op == APPEND ? ICE_OP_APPEND : ICE_OP_OVERWRITE,
		.prefix = new_prefix(soak),
		.now_ms = now_ms(),
		.removed_deletes = taking.spent,
		.removed_delete_count = taking.spent_count};
	for (uint32_t i = 0; i < files; i++)
		if (taking.positions[i] != NULL) {
			removed[count] = taking.list->files[i]->path;
			vectors[count++] = (struct ice_vector){taking.list->files[i], taking.positions[i]};
		}
	if (rewrite) {
		edit.removed = removed;
		edit.removed_count = count;
		count = 0;
	} else if (count > 0) {
		need(ice_vectors_write(table, vectors, count, new_prefix(soak), soak->arena, &made, &err), &err);
	}
	struct ice_data_file *added = weir_arena_calloc(soak->arena, written.count + count + 1, sizeof *added);
	if (written.count > 0)
		memcpy(added, written.files, written.count * sizeof *added);
	if (count > 0)
		memcpy(added + written.count, made, count * sizeof *added);
	edit.added = added;
	edit.added_count = written.count + count;
	int code = ice_prepare(table, &edit, &prepared, &err);
	if (code == 0) {
		code = swap(writer, prepared, table, work->number);
		if (code == 0)
			ice_prepared_free(prepared);
		else
			ice_prepared_abandon(prepared);
	} else {
		die(&err);
	}
	taking_done(&taking);
	if (written.arena != NULL)
		ice_written_free(&written);
	ice_table_unref(table);
	return code;
}

static void note(struct writer *writer, enum op op, int64_t batch)
{
	if (op == DELETE)
		writer->versions[batch] = -1;
	else
		writer->versions[batch]++;
	if (op != UPDATE)
		writer->alive += op == DELETE ? -1U : 1U;
}

static void perform(struct writer *writer, const struct work *work)
{
	int code = WEIR_E_CONFLICT;
	fprintf(writer->journal, "BEGIN %" PRId64 " %s %" PRId64 "\n", work->number, op_names[work->op], work->batch);
	fflush(writer->journal);
	for (int i = 0; i < TRIES && code == WEIR_E_CONFLICT; i++) {
		struct weir_arena *kept = writer->soak.arena;
		writer->soak.arena = weir_arena_new(0);
		code = attempt(writer, work);
		weir_arena_free(writer->soak.arena);
		writer->soak.arena = kept;
		if (code == WEIR_E_CONFLICT) {
			tell(writer, "RETRY", work->number);
			pause_ms((int64_t)weir_rng_below(&writer->rng, 100));
		}
	}
	tell(writer, code == 0 ? "DONE" : "VOID", work->number);
	if (code == 0)
		note(writer, work->op, work->batch);
}

/* ---- the writer ---- */

/* Did the operation that the journal leaves open happen? The batch is whole, with the version of before or after. */
static void settle(struct writer *writer, const struct work *work)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct tally tally = {.arena = weir_arena_new(0)};
	struct ice_table *table = load(&writer->soak);
	int64_t count = 0, version = -1;
	need(tally_table(table, &tally, &err), &err);
	for (uint32_t i = 0; i < tally.count; i++)
		if (tally.groups[i].batch == work->batch && weir_str_is(tally.groups[i].writer, writer->name)) {
			count += tally.groups[i].count;
			version = tally.groups[i].version;
		}
	bool happened = work->op == DELETE
		? count == 0
		: count == rows_of(work->batch) && version == writer->versions[work->batch] + 1;
	bool not_yet = writer->versions[work->batch] < 0
		? count == 0
		: count == rows_of(work->batch) && version == writer->versions[work->batch];
	if (!happened && !not_yet) {
		fprintf(stderr,
			"soak_writer: BROKEN after a kill %s %s %" PRId64 " is there by half: %" PRId64
			" rows of version %" PRId64 "\n",
			writer->name, op_names[work->op], work->batch, count, version);
		exit(4);
	}
	tell(writer, happened ? "DONE" : "VOID", work->number);
	if (happened)
		note(writer, work->op, work->batch);
	free(tally.groups);
	weir_arena_free(tally.arena);
	ice_table_unref(table);
}

static void read_journal(struct writer *writer, const char *path)
{
	char line[128], word[16], op[16];
	struct work open = {.number = -1};
	for (size_t i = 0; i < BATCHES_MAX; i++)
		writer->versions[i] = -1;
	FILE *file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		long long number, batch;
		if (sscanf(line, "BEGIN %lld %15s %lld", &number, op, &batch) == 3) {
			open = (struct work){.number = number, .batch = batch};
			while (strcmp(op_names[open.op], op) != 0)
				open.op++;
			writer->next = number + 1;
		} else if (sscanf(line, "%15s %lld", word, &number) == 2 && strcmp(word, "RETRY") != 0) {
			if (strcmp(word, "DONE") == 0)
				note(writer, open.op, open.batch);
			open.number = -1;
		}
	}
	if (file != NULL)
		fclose(file);
	writer->journal = fopen(path, "a");
	if (writer->journal == NULL) {
		perror(path);
		exit(1);
	}
	if (open.number >= 0)
		settle(writer, &open);
}

static int64_t random_batch(struct writer *writer)
{
	int64_t batch;
	do
		batch = (int64_t)weir_rng_below(&writer->rng, (uint64_t)writer->next);
	while (writer->versions[batch] < 0);
	return batch;
}

static void run_writer(char **argv, bool careless)
{
	struct writer *writer = calloc(1, sizeof *writer);
	int64_t end = now_ms() + atoll(argv[8]) * 1000, wait = atoll(argv[9]);
	writer->name = argv[5];
	writer->careless = careless;
	soak_open(&writer->soak, argv);
	read_journal(writer, argv[7]);
	writer->rng = weir_rng_fork(
		strtoull(argv[6], NULL, 10), (uint64_t)writer->next); /* not the same again after a kill */
	while (now_ms() < end && writer->next < BATCHES_MAX) {
		uint64_t dice = weir_rng_below(&writer->rng, 100);
		struct work work = {.number = writer->next++, .op = APPEND};
		if (writer->alive > ALIVE_MOST)
			work.op = DELETE;
		else if (dice >= 40)
			work.op = dice < 55                    ? BUMP
				: writer->alive <= ALIVE_LEAST ? APPEND
				: dice < 80                    ? UPDATE
							       : DELETE;
		work.batch = work.op == APPEND || work.op == BUMP ? work.number : random_batch(writer);
		perform(writer, &work);
		pause_ms(wait / 2 + (int64_t)weir_rng_below(&writer->rng, (uint64_t)wait + 1));
	}
	fclose(writer->journal);
	free(writer);
}

static void init(char **argv)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct soak soak;
	struct ice_written written;
	struct ice_writer *out;
	struct ice_prepared *prepared;
	soak_open(&soak, argv);
	struct ice_table *table = load(&soak), *next;
	struct ice_write_options options = {.prefix = new_prefix(&soak), .codec = CODEC_ZSTD, .level = 1};
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	put_row(builder, "shared", 0, 0, 0);
	struct weir_batch *batch = weir_builder_take(builder);
	need(ice_writer_open(table, &options, &out, &err), &err);
	need(ice_writer_add(out, batch, NULL, &err), &err);
	need(ice_writer_close(out, &written, &err), &err);
	need(store_barrier(soak.store, written.handles, written.count, &err), &err);
	struct ice_edit edit = {.operation = ICE_OP_APPEND,
		.added = written.files,
		.added_count = written.count,
		.prefix = new_prefix(&soak),
		.now_ms = now_ms()};
	need(ice_prepare(table, &edit, &prepared, &err), &err);
	next = ice_prepared_table(prepared);
	need(control_foreign_swap(
		     soak.catalog, &soak.entry, ice_table_metadata_uri(table), ice_table_metadata_uri(next), &err),
		&err);
}

int main(int argc, char **argv)
{
	struct soak soak;
	if (argc == 5 && strcmp(argv[1], "init") == 0) {
		init(argv);
	} else if ((argc == 10 || argc == 11) && strcmp(argv[1], "write") == 0) {
		run_writer(argv, argc == 11 && strcmp(argv[10], "careless") == 0);
	} else if (argc == 6 && strcmp(argv[1], "tally") == 0) {
		soak_open(&soak, argv);
		print_tally(&soak, atoll(argv[5]));
	} else {
		fprintf(stderr, "usage: soak_writer init | tally | write ...: tests/soak/soak_writer.c says how\n");
		return 2;
	}
	return 0;
}
