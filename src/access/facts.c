/* Opening the door, and facts about tables that manifests tell. */
#include <stdlib.h>

#include "access/access_int.h"

int access_open(const struct access_config *config, struct access **ret_access, struct weir_error *err)
{
	(void)err;
	struct access *access = weir_zalloc(sizeof *access);
	access->config = *config;
	pthread_mutex_init(&access->lock, NULL);
	*ret_access = access;
	return 0;
}

void access_close(struct access *access)
{
	if (access == NULL)
		return;
	pthread_mutex_destroy(&access->lock);
	free(access->tokens);
	free(access);
}

int access_table_facts(struct access *access, uint32_t table, struct weir_arena *arena,
	struct access_table_facts *ret_facts, struct weir_error *err)
{
	struct ice_table *version = ice_registry_table(access->config.registry, table);
	const struct ice_metadata *metadata = ice_table_metadata(version);
	const struct ice_snapshot *current = ice_metadata_current(metadata);
	struct ice_file_list *files;
	int status = ice_plan(version, -1, &(struct expr_filter){NULL, 0}, &files, err);
	if (status == 0) {
		struct ice_name name = ice_table_name(version);
		*ret_facts = (struct access_table_facts){
			.ns = weir_arena_str(arena, name.ns),
			.name = weir_arena_str(arena, name.table),
			.rows = files->row_count,
			.files = files->count,
			.snapshots = metadata->snapshot_count,
			.snapshot_id = metadata->current_snapshot_id,
			.committed_ms = current != NULL ? current->timestamp_ms : 0,
			.metadata_uri = weir_arena_str(arena, ice_table_metadata_uri(version)),
		};
		for (uint32_t i = 0; i < files->count; i++)
			ret_facts->bytes += (uint64_t)files->files[i]->size_bytes;
		ice_file_list_free(files);
	}
	ice_table_unref(version);
	return status;
}

int access_purpose_rows(struct access *access, uint32_t table, uint64_t *ret_counts, struct weir_error *err)
{
	const struct lake_table *lake_table = &access->config.lake->tables[table];
	const struct consent_vocabulary *vocabulary =
		consent_vocabulary_of(access->config.consents[lake_table->consent]);
	struct ice_table *version = ice_registry_table(access->config.registry, table);
	struct ice_file_list *files;
	memset(ret_counts, 0, vocabulary->purpose_count * sizeof *ret_counts);
	int status = ice_plan(version, -1, &(struct expr_filter){NULL, 0}, &files, err);
	if (status == 0) {
		for (uint32_t i = 0; i < files->count; i++) { /* purpose is the first field of both specs */
			const struct ice_data_file *file = files->files[i];
			int index = file->partition_count > 0 && !file->partition[0].is_null
				? consent_purpose_index(vocabulary, file->partition[0].value.u.text)
				: -1;
			if (index >= 0)
				ret_counts[index] += (uint64_t)file->record_count;
		}
		ice_file_list_free(files);
	}
	ice_table_unref(version);
	return status;
}

/* Counts rows of one batch by purpose, less the fence. */
static void count_rows(const struct weir_batch *batch, const struct consent_vocabulary *vocabulary,
	const struct consent_fence *fence, struct weir_str subject, uint64_t *counts)
{
	for (uint32_t row = 0; row < batch->row_count; row++) {
		if (!weir_str_equal(weir_column_str(&batch->columns[0], row), subject))
			continue;
		int purpose = consent_purpose_index(vocabulary, weir_column_str(&batch->columns[1], row));
		if (purpose >= 0 &&
			!consent_fence_hides(
				fence, subject, (uint32_t)purpose, (uint64_t)weir_column_i64(&batch->columns[2], row)))
			counts[purpose]++;
	}
}

static int subject_rows_once(struct access *access, uint32_t table, struct consent *consent, struct weir_str subject,
	uint64_t *counts, struct weir_error *err)
{
	const struct consent_vocabulary *vocabulary = consent_vocabulary_of(consent);
	struct consent_fence *fence = consent_fence_ref(consent);
	struct ice_table *version = ice_registry_table(access->config.registry, table);
	const struct weir_schema *schema = ice_table_schema(version);
	struct weir_field fields[3] = {schema->fields[weir_schema_find(schema, vocabulary->subject)],
		schema->fields[weir_schema_find(schema, WEIR_STR("purpose"))],
		schema->fields[weir_schema_find(schema, WEIR_STR("consent_lsn"))]};
	struct weir_schema projection = {.id = schema->id, .field_count = 3, .fields = fields};
	struct expr_value value = {.kind = EXPR_TEXT, .u.text = subject};
	struct expr_term term = {.field_id = fields[0].id, .op = EXPR_EQ, .values = &value, .value_count = 1};
	struct expr_filter filter = {&term, 1};
	struct ice_file_list *files = NULL;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	int status = ice_plan(version, -1, &filter, &files, err);
	if (status == 0)
		status = ice_reader_open(version, files->files, files->count, &projection, &filter, &reader, err);
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		count_rows(batch, vocabulary, fence, subject, counts);
		weir_batch_release(batch);
	}
	if (reader != NULL)
		ice_reader_close(reader);
	if (files != NULL)
		ice_file_list_free(files);
	ice_table_unref(version);
	consent_fence_unref(fence);
	return status;
}

int access_subject_rows(
	struct access *access, uint32_t consent, struct weir_str subject, uint64_t *ret_counts, struct weir_error *err)
{
	const struct lake *lake = access->config.lake;
	uint32_t purposes = consent_vocabulary_of(access->config.consents[consent])->purpose_count;
	struct access_identity operator= access_operator();
	struct access_record record = {
		.identity = &operator, .route = WEIR_STR("/api/subjects/rows"), .outcome = "allowed"};
	int status = 0;
	for (unsigned tries = 0; tries < 10; tries++) { /* a file may go while it is read: the rows are counted again */
		memset(ret_counts, 0, purposes * sizeof *ret_counts);
		status = 0;
		for (uint32_t t = 0; t < lake->table_count && status == 0; t++)
			if (lake->tables[t].kind == LAKE_GOLD && lake->tables[t].consent == consent)
				status = subject_rows_once(
					access, t, access->config.consents[consent], subject, ret_counts, err);
		if (status != WEIR_E_NOT_FOUND)
			break;
	}
	return status == 0 ? access_audit(access, &record, false, err) : status;
}
