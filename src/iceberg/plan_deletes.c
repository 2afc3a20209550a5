/*
 * Which delete files apply to which data files (table specification, "Scan Planning"):
 *
 *   deletion vector   of the very file that it references, not younger than the vector
 *   position deletes  in the same partition of the same spec, or of the one file that they name; not younger
 *   equality deletes  in the same partition of the same spec, or anywhere where their own spec has no fields; older
 *
 * A data file with a deletion vector has no other position deletes. Deletes are found by hash: of the path for those of
 * one file, of spec and partition for the others.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "iceberg/internal.h"

#define BUCKETS 4096

struct entry {
	struct entry *next;
	uint64_t hash;
	const struct ice_data_file *file;
};

struct ice_delete_index {
	struct weir_arena *arena;
	struct entry *by_path[BUCKETS], *by_partition[BUCKETS];
	struct entry *everywhere; /* equality deletes of specs without fields */
	uint64_t count;
};

struct ice_delete_index *ice_delete_index_new(struct weir_arena *arena)
{
	struct ice_delete_index *index = weir_arena_zalloc(arena, sizeof *index);
	index->arena = arena;
	return index;
}

static uint64_t partition_hash(const struct ice_metadata *metadata, const struct ice_data_file *file)
{
	const struct ice_spec *spec = ice_metadata_spec(metadata, file->spec_id);
	struct weir_buf key = WEIR_BUF_INIT;
	weir_buf_u32(&key, (uint32_t)file->spec_id);
	for (uint32_t i = 0; i < file->partition_count; i++) {
		struct weir_field type = {.type = WEIR_STRING};
		size_t start = key.size;
		weir_buf_u8(&key, file->partition[i].is_null);
		if (!file->partition[i].is_null && spec != NULL && i < spec->field_count &&
			ice_partition_type(metadata, &spec->fields[i], &type))
			ice_value_encode(&file->partition[i].value, &type, &key);
		weir_buf_u32(&key, (uint32_t)(key.size - start));
	}
	uint64_t hash = weir_hash64(key.data, key.size);
	weir_buf_done(&key);
	return hash;
}

static bool same_partition(const struct ice_data_file *a, const struct ice_data_file *b)
{
	if (a->spec_id != b->spec_id || a->partition_count != b->partition_count)
		return false;
	for (uint32_t i = 0; i < a->partition_count; i++)
		if (!ice_partition_value_equal(&a->partition[i], &b->partition[i]))
			return false;
	return true;
}

struct weir_str ice_referenced_file(const struct ice_data_file *file)
{
	if (file->referenced_data_file.size > 0)
		return file->referenced_data_file;
	for (uint32_t i = 0; i < file->metric_count; i++) {
		const struct ice_column_metrics *metrics = &file->metrics[i];
		if (metrics->field_id == ICE_DELETE_PATH && metrics->has_lower && metrics->has_upper &&
			weir_str_equal(metrics->lower, metrics->upper))
			return metrics->lower;
	}
	return (struct weir_str){0};
}

static bool is_vector(const struct ice_data_file *file)
{
	return file->content == ICE_POSITION_DELETES &&
		(weir_str_is(file->format, "PUFFIN") || weir_str_is(file->format, "puffin"));
}

static void push(struct ice_delete_index *index, struct entry **list, uint64_t hash, const struct ice_data_file *file)
{
	struct entry *entry = weir_arena_alloc(index->arena, sizeof *entry);
	*entry = (struct entry){*list, hash, file};
	*list = entry;
	index->count++;
}

int ice_delete_index_add(struct ice_delete_index *index, const struct ice_metadata *metadata,
	const struct ice_data_file *file, struct weir_error *err)
{
	struct weir_str path = {0};
	if (file->content == ICE_DATA)
		return weir_fail_at(err, WEIR_E_CORRUPT, file->path, WEIR_ERROR_NO_OFFSET,
			"a data file is listed in a manifest of deletes");
	if (file->content == ICE_POSITION_DELETES)
		path = ice_referenced_file(file);
	if (is_vector(file) && path.size == 0)
		return weir_fail_at(err, WEIR_E_CORRUPT, file->path, WEIR_ERROR_NO_OFFSET,
			"the deletion vector does not say which data file it is of");
	if (path.size > 0) {
		uint64_t hash = weir_hash64(path.data, path.size);
		push(index, &index->by_path[hash % BUCKETS], hash, file);
	} else if (file->content == ICE_EQUALITY_DELETES && file->partition_count == 0) {
		push(index, &index->everywhere, 0, file);
	} else {
		uint64_t hash = partition_hash(metadata, file);
		push(index, &index->by_partition[hash % BUCKETS], hash, file);
	}
	return 0;
}

static bool is_old_enough(const struct ice_data_file *deletes, const struct ice_data_file *file)
{
	return deletes->content == ICE_EQUALITY_DELETES ? file->sequence_number < deletes->sequence_number
							: file->sequence_number <= deletes->sequence_number;
}

struct found {
	const struct ice_data_file **files;
	uint32_t count, capacity;
};

static void find_in(
	const struct entry *entry, uint64_t hash, bool by_path, const struct ice_data_file *file, struct found *found)
{
	for (; entry != NULL; entry = entry->next) {
		if (entry->hash != hash || !is_old_enough(entry->file, file))
			continue;
		if (by_path ? weir_str_equal(ice_referenced_file(entry->file), file->path)
			    : same_partition(entry->file, file)) {
			WEIR_GROW(found->files, found->count, found->capacity);
			found->files[found->count++] = entry->file;
		}
	}
}

void ice_delete_index_attach(
	struct ice_delete_index *index, const struct ice_metadata *metadata, struct ice_data_file *file)
{
	struct found found = {0};
	if (index->count == 0)
		return;
	uint64_t hash = weir_hash64(file->path.data, file->path.size);
	find_in(index->by_path[hash % BUCKETS], hash, true, file, &found);
	hash = partition_hash(metadata, file);
	find_in(index->by_partition[hash % BUCKETS], hash, false, file, &found);
	for (const struct entry *entry = index->everywhere; entry != NULL; entry = entry->next)
		if (is_old_enough(entry->file, file)) {
			WEIR_GROW(found.files, found.count, found.capacity);
			found.files[found.count++] = entry->file;
		}
	bool has_vector = false;
	for (uint32_t i = 0; i < found.count; i++)
		has_vector = has_vector || is_vector(found.files[i]);
	uint32_t kept = 0;
	for (uint32_t i = 0; i < found.count; i++)
		if (!has_vector || is_vector(found.files[i]) || found.files[i]->content == ICE_EQUALITY_DELETES)
			found.files[kept++] = found.files[i];
	file->delete_count = kept;
	file->deletes = weir_arena_copy(index->arena, found.files, kept * sizeof *found.files);
	free(found.files);
}
