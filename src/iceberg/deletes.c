/*
 * The deletes of one data file, read: positions of deletion vectors and position deletes as one set, equality deletes as
 * sets of keys, one for each list of columns. A key is the columns' values in their single-value form, each behind
 * its length; null equals null, as the specification has it.
 *
 * Equality deletes usually apply to many files of a plan: their keys are kept by path, up to CACHE_BYTES.
 */
#include <stdlib.h>

#include "iceberg/internal.h"
#include "iceberg/positions.h"
#include "iceberg/puffin.h"

#define CACHE_BYTES  (128U << 20)
#define EQUALITY_MAX 64 /* columns of one equality delete */
#define NULL_LENGTH  UINT32_MAX

/* The keys of one file of equality deletes. */
struct key_set {
	struct key_set *next;
	struct weir_arena *arena;
	struct weir_str path;
	struct weir_schema schema; /* the columns that make up a key, in their order */
	struct ice_name_set keys;
};

struct ice_delete_cache {
	struct key_set *sets;
	size_t bytes;
};

struct ice_file_deletes {
	struct ice_table *table;
	const struct ice_data_file *file;
	struct ice_positions *positions;
	const struct key_set **sets;
	uint32_t set_count;
	struct weir_buf key;
};

struct ice_delete_cache *ice_delete_cache_new(void)
{
	return weir_zalloc(sizeof(struct ice_delete_cache));
}

static void key_set_free(struct key_set *set)
{
	ice_name_set_done(&set->keys);
	weir_arena_free(set->arena);
	free(set);
}

static void empty_cache(struct ice_delete_cache *cache)
{
	while (cache->sets != NULL) {
		struct key_set *set = cache->sets;
		cache->sets = set->next;
		key_set_free(set);
	}
	cache->bytes = 0;
}

void ice_delete_cache_free(struct ice_delete_cache *cache)
{
	if (cache == NULL)
		return;
	empty_cache(cache);
	free(cache);
}

/* ---- position deletes ---- */

static int read_vector(struct ice_file_deletes *deletes, const struct ice_data_file *vector, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(4096);
	struct weir_byte_source source = {0};
	struct weir_str name;
	uint64_t before = ice_positions_count(deletes->positions);
	char *blob = NULL;
	int code = ice_file_name(deletes->table, arena, vector->path, &name, err);
	if (code == 0)
		code = store_source_open(deletes->table->store, name.data, &source, err);
	if (code == 0 &&
		(vector->content_offset < 0 || vector->content_size_bytes < 0 ||
			(uint64_t)vector->content_size_bytes > ICE_VECTOR_BYTES_MAX ||
			(uint64_t)vector->content_offset > source.size_bytes ||
			(uint64_t)vector->content_size_bytes > source.size_bytes - (uint64_t)vector->content_offset))
		code = weir_fail(err, WEIR_E_CORRUPT, "the deletion vector is not within its file");
	if (code == 0) {
		size_t size = (size_t)vector->content_size_bytes;
		blob = weir_alloc(size + 1);
		code = source.read(source.self, (uint64_t)vector->content_offset, blob, size, err);
		if (code == 0)
			code = ice_vector_decode(deletes->positions, (struct weir_str){blob, size}, err);
	}
	if (code == 0 && before == 0 && ice_positions_count(deletes->positions) != (uint64_t)vector->record_count)
		code = weir_fail(err, WEIR_E_CORRUPT,
			"the deletion vector holds %llu positions, its manifest says %lld",
			(unsigned long long)ice_positions_count(deletes->positions), (long long)vector->record_count);
	if (source.self != NULL)
		store_source_close(&source);
	free(blob);
	weir_arena_free(arena);
	return weir_error_in(err, code, vector->path);
}

static int check_format(const struct ice_data_file *file, struct weir_error *err)
{
	if (weir_str_is(file->format, "PARQUET") || weir_str_is(file->format, "parquet"))
		return 0;
	return weir_fail_at(err, WEIR_E_UNSUPPORTED, file->path, WEIR_ERROR_NO_OFFSET,
		"the delete file has format '%.*s'; weir reads PARQUET and PUFFIN",
		(int)(file->format.size < 40 ? file->format.size : 40), file->format.data);
}

static int add_positions(struct ice_file_deletes *deletes, const struct weir_batch *batch, struct weir_error *err)
{
	for (uint32_t i = 0; i < batch->row_count; i++) {
		if (!weir_column_is_valid(&batch->columns[0], i) || !weir_column_is_valid(&batch->columns[1], i))
			return weir_fail(err, WEIR_E_CORRUPT, "a position delete lacks its file or its position");
		int64_t position = weir_column_i64(&batch->columns[1], i);
		if (!weir_str_equal(weir_column_str(&batch->columns[0], i), deletes->file->path))
			continue;
		if (position < 0)
			return weir_fail(err, WEIR_E_CORRUPT, "a position delete has a negative position");
		ice_positions_add(deletes->positions, (uint64_t)position);
	}
	return 0;
}

static int read_positions(struct ice_file_deletes *deletes, const struct ice_data_file *file, struct weir_error *err)
{
	struct weir_field fields[2] = {
		{.name = WEIR_STR("file_path"), .id = ICE_DELETE_PATH, .type = WEIR_STRING, .required = true},
		{.name = WEIR_STR("pos"), .id = ICE_DELETE_POSITION, .type = WEIR_INT64, .required = true},
	};
	const struct weir_schema schema = {.field_count = 2, .fields = fields};
	const struct expr_value path = {.kind = EXPR_TEXT, .u.text = deletes->file->path};
	const struct expr_term term = {ICE_DELETE_PATH, EXPR_EQ, &path, 1};
	const struct pq_read_options options = {.schema = &schema, .filter = {&term, 1}};
	struct ice_footer *footer = NULL;
	const struct pq_file *parquet;
	struct pq_reader *reader = NULL;
	struct weir_batch *batch;
	int code = check_format(file, err);
	if (code == 0)
		code = ice_cached_footer(deletes->table, file->path, &footer, &parquet, err);
	if (code == 0)
		code = pq_reader_open(parquet, &options, &reader, err);
	while (code == 0 && (code = pq_reader_next(reader, &batch, NULL, err)) == 0 && batch != NULL) {
		code = add_positions(deletes, batch, err);
		weir_batch_release(batch);
	}
	if (reader != NULL)
		pq_reader_close(reader);
	ice_footer_release(footer);
	return weir_error_in(err, code, file->path);
}

/* ---- equality deletes ---- */

/* The row's key under a set's columns; columns[i] are the batch's columns for them. */
static void make_key(const struct weir_schema *schema, struct weir_column *const *columns, uint32_t row,
	struct weir_arena *scratch, struct weir_buf *key)
{
	key->size = 0;
	for (uint32_t i = 0; i < schema->field_count; i++) {
		size_t start = key->size;
		weir_buf_u32(key, NULL_LENGTH);
		if (!weir_column_is_valid(columns[i], row))
			continue;
		struct expr_value value = ice_cell_value(scratch, columns[i], row);
		if (value.kind == EXPR_NUMBER && value.u.number == 0)
			value.u.number = 0; /* -0 and 0 are equal */
		ice_value_encode(&value, &schema->fields[i], key);
		uint32_t size = (uint32_t)(key->size - start - 4);
		memcpy(key->data + start, &size, sizeof size);
	}
}

static int key_schema(
	struct ice_table *table, const struct ice_data_file *file, struct key_set *set, struct weir_error *err)
{
	if (file->equality_id_count == 0 || file->equality_id_count > EQUALITY_MAX)
		return weir_fail(
			err, WEIR_E_CORRUPT, "the equality deletes compare %u columns", file->equality_id_count);
	set->schema.fields = weir_arena_calloc(set->arena, file->equality_id_count, sizeof *set->schema.fields);
	for (uint32_t i = 0; i < file->equality_id_count; i++) {
		const struct weir_field *field = ice_metadata_field(table->metadata, file->equality_ids[i]);
		bool is_top = false;
		for (uint32_t j = 0; j < table->metadata->schema_count; j++)
			is_top = is_top ||
				weir_schema_find_id(&table->metadata->schemas[j], file->equality_ids[i]) !=
					WEIR_NO_FIELD;
		if (field == NULL)
			return weir_fail(err, WEIR_E_CORRUPT,
				"the equality deletes compare field %d, which no schema has", file->equality_ids[i]);
		if (!is_top || weir_type_is_nested(field->type))
			return weir_fail(err, WEIR_E_UNSUPPORTED,
				"the equality deletes compare the nested field '%.*s', which weir does not",
				WEIR_STR_ARG(field->name));
		set->schema.fields[set->schema.field_count++] = *field;
	}
	return 0;
}

static void add_keys(struct ice_delete_cache *cache, struct key_set *set, const struct weir_batch *batch)
{
	struct weir_arena *scratch = weir_arena_new(4096);
	struct weir_buf key = WEIR_BUF_INIT;
	struct weir_column *columns[EQUALITY_MAX];
	for (uint32_t i = 0; i < set->schema.field_count; i++)
		columns[i] = &batch->columns[i];
	for (uint32_t i = 0; i < batch->row_count; i++) {
		make_key(&set->schema, columns, i, scratch, &key);
		if (ice_name_set_has(&set->keys, weir_buf_str(&key)))
			continue;
		ice_name_set_add(&set->keys, weir_arena_str(set->arena, weir_buf_str(&key)));
		cache->bytes += key.size + 40;
	}
	weir_buf_done(&key);
	weir_arena_free(scratch);
}

/* Through a reader of its own, so that defaults, promotions and names are as in data files. */
static int read_keys(struct ice_table *table, struct ice_delete_cache *cache, const struct ice_data_file *file,
	struct key_set *set, struct weir_error *err)
{
	struct ice_data_file plain = *file;
	const struct ice_data_file *files[1] = {&plain};
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	plain.delete_count = 0;
	int code = check_format(file, err);
	if (code == 0)
		code = key_schema(table, file, set, err);
	if (code == 0)
		code = ice_reader_open(table, files, 1, &set->schema, NULL, &reader, err);
	while (code == 0 && (code = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		add_keys(cache, set, batch);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	return weir_error_in(err, code, file->path);
}

static int keys_of(struct ice_table *table, struct ice_delete_cache *cache, const struct ice_data_file *file,
	const struct key_set **ret_set, struct weir_error *err)
{
	for (struct key_set *set = cache->sets; set != NULL; set = set->next)
		if (weir_str_equal(set->path, file->path)) {
			*ret_set = set;
			return 0;
		}
	struct key_set *set = weir_zalloc(sizeof *set);
	set->arena = weir_arena_new(0);
	set->path = weir_arena_str(set->arena, file->path);
	int code = read_keys(table, cache, file, set, err);
	if (code != 0) { /* a part of the keys must not serve the next file */
		key_set_free(set);
		return code;
	}
	set->next = cache->sets;
	cache->sets = set;
	*ret_set = set;
	return 0;
}

/* ---- all of a file's deletes ---- */

int ice_file_deletes_open(struct ice_table *table, struct ice_delete_cache *cache, const struct ice_data_file *file,
	struct ice_file_deletes **ret_deletes, struct weir_error *err)
{
	struct ice_file_deletes *deletes = weir_zalloc(sizeof *deletes);
	int code = 0;
	if (cache->bytes > CACHE_BYTES)
		empty_cache(cache);
	deletes->table = table;
	deletes->file = file;
	deletes->positions = ice_positions_new();
	deletes->sets = weir_zalloc(file->delete_count * sizeof *deletes->sets);
	for (uint32_t i = 0; i < file->delete_count && code == 0; i++) {
		const struct ice_data_file *delete = file->deletes[i];
		if (delete->content == ICE_EQUALITY_DELETES)
			code = keys_of(table, cache, delete, &deletes->sets[deletes->set_count++], err);
		else if (weir_str_is(delete->format, "PUFFIN") || weir_str_is(delete->format, "puffin"))
			code = read_vector(deletes, delete, err);
		else
			code = read_positions(deletes, delete, err);
	}
	if (code != 0)
		ice_file_deletes_free(deletes);
	else
		*ret_deletes = deletes;
	return code;
}

int ice_file_deleted_positions(struct ice_table *table, const struct ice_data_file *file,
	struct ice_positions **ret_positions, struct weir_error *err)
{
	struct ice_file_deletes deletes = {.table = table, .file = file, .positions = ice_positions_new()};
	int code = 0;
	for (uint32_t i = 0; i < file->delete_count && code == 0; i++) {
		const struct ice_data_file *delete = file->deletes[i];
		if (delete->content == ICE_EQUALITY_DELETES)
			continue;
		code = delete->content_offset >= 0 ? read_vector(&deletes, delete, err)
						   : read_positions(&deletes, delete, err);
	}
	if (code != 0)
		ice_positions_free(deletes.positions);
	else
		*ret_positions = deletes.positions;
	return code;
}

void ice_file_deletes_free(struct ice_file_deletes *deletes)
{
	if (deletes == NULL)
		return;
	ice_positions_free(deletes->positions);
	weir_buf_done(&deletes->key);
	free(deletes->sets);
	free(deletes);
}

const struct weir_schema *ice_file_deletes_schema(
	const struct ice_file_deletes *deletes, struct weir_arena *arena, const struct weir_schema *wanted)
{
	uint32_t more = 0;
	for (uint32_t i = 0; i < deletes->set_count; i++)
		more += deletes->sets[i]->schema.field_count;
	if (more == 0)
		return wanted;
	struct weir_schema *schema = weir_arena_copy(arena, wanted, sizeof *wanted);
	schema->fields = weir_arena_calloc(arena, wanted->field_count + more, sizeof *schema->fields);
	memcpy(schema->fields, wanted->fields, wanted->field_count * sizeof *schema->fields);
	for (uint32_t i = 0; i < deletes->set_count; i++)
		for (uint32_t j = 0; j < deletes->sets[i]->schema.field_count; j++) {
			const struct weir_field *field = &deletes->sets[i]->schema.fields[j];
			if (weir_schema_find_id(schema, field->id) == WEIR_NO_FIELD)
				schema->fields[schema->field_count++] = *field;
		}
	return schema;
}

static void drop_keys(struct ice_file_deletes *deletes, const struct key_set *set, const struct weir_batch *batch,
	struct weir_arena *scratch, bool *gone)
{
	struct weir_column *columns[EQUALITY_MAX];
	for (uint32_t i = 0; i < set->schema.field_count; i++)
		columns[i] = &batch->columns[weir_schema_find_id(batch->schema, set->schema.fields[i].id)];
	for (uint32_t i = 0; i < batch->row_count; i++) {
		if (gone[i])
			continue;
		make_key(&set->schema, columns, i, scratch, &deletes->key);
		gone[i] = ice_name_set_has(&set->keys, weir_buf_str(&deletes->key));
	}
}

uint32_t ice_file_deletes_keep(
	struct ice_file_deletes *deletes, const struct weir_batch *batch, uint64_t first_row, uint16_t *kept)
{
	bool gone[WEIR_BATCH_ROWS] = {false};
	uint32_t count = 0;
	uint64_t end = first_row + batch->row_count, position = first_row;
	while (ice_positions_next(deletes->positions, position, &position) && position < end)
		gone[position++ - first_row] = true;
	struct weir_arena *scratch = deletes->set_count > 0 ? weir_arena_new(4096) : NULL;
	for (uint32_t i = 0; i < deletes->set_count; i++)
		if (deletes->sets[i]->keys.count > 0)
			drop_keys(deletes, deletes->sets[i], batch, scratch, gone);
	weir_arena_free(scratch);
	for (uint32_t i = 0; i < batch->row_count; i++)
		if (!gone[i])
			kept[count++] = (uint16_t)i;
	return count;
}
