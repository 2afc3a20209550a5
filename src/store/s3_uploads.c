/*
 * Uploads in parts that were begun and not finished. S3 keeps their parts, and asks money for them, until they are
 * aborted. A process that ends aborts its own; for one that dies, each upload is written down in the uploads directory
 * (key and id, one line each), because a server need not list uploads by a prefix (MinIO lists them by whole key
 * alone). What the directory lost is found by listing, when it is a day old: until then it may be another program's
 * work.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"
#include "store/s3_int.h"

#define NOTE_MAX    4096
#define NOTE_PREFIX "upload-"
#define OLD_US      WEIR_US_PER_DAY

static void note_path(const struct s3 *s3, const char *write_id, char path[4200])
{
	snprintf(path, 4200, "%.4000s/" NOTE_PREFIX "%s", s3->uploads, write_id);
}

void s3_upload_note(const struct s3 *s3, const char *write_id, struct weir_str key, struct weir_str upload_id)
{
	char path[4200];
	if (s3->uploads == NULL)
		return;
	note_path(s3, write_id, path);
	FILE *file = fopen(path, "we");
	if (file == NULL)
		return; /* the listing of old ones will find it */
	fprintf(file, "%.*s\n%.*s\n", WEIR_STR_ARG(key), WEIR_STR_ARG(upload_id));
	fclose(file);
}

void s3_upload_forget(const struct s3 *s3, const char *write_id)
{
	char path[4200];
	if (s3->uploads == NULL)
		return;
	note_path(s3, write_id, path);
	unlink(path);
}

int s3_upload_abort(struct s3 *s3, struct weir_str key, struct weir_str upload_id, struct weir_error *err)
{
	static const uint32_t gone[] = {404, 0};
	struct s3_answer answer = {0};
	struct s3_param param = {WEIR_STR("uploadId"), upload_id};
	struct s3_call call = {.method = "DELETE", .key = key, .params = &param, .param_count = 1};
	int status = s3_send(s3, &call, gone, &answer, err);
	s3_answer_done(&answer);
	return status;
}

/* ---- listing ---- */

struct upload {
	struct weir_str key, id;
	int64_t begun_us;
};

struct uploads {
	struct weir_arena *arena;
	struct upload *items;
	size_t count, capacity, page_from;
	bool is_list, is_truncated;
	struct weir_str next_key, next_id;
};

static void upload_element(void *context, bool begins, const char *parent, const char *name, struct weir_str text)
{
	struct uploads *uploads = context;
	struct upload *last = uploads->count > 0 ? &uploads->items[uploads->count - 1] : NULL;
	if (begins && strcmp(name, "Upload") == 0) {
		WEIR_GROW(uploads->items, uploads->count, uploads->capacity);
		uploads->items[uploads->count++] = (struct upload){.begun_us = INT64_MAX};
	} else if (begins) {
		uploads->is_list = uploads->is_list || strcmp(name, "ListMultipartUploadsResult") == 0;
	} else if (strcmp(parent, "Upload") == 0 && last != NULL) {
		if (strcmp(name, "Key") == 0)
			last->key = weir_arena_str(uploads->arena, text);
		else if (strcmp(name, "UploadId") == 0)
			last->id = weir_arena_str(uploads->arena, text);
		else if (strcmp(name, "Initiated") == 0)
			weir_time_parse(text, WEIR_ZONE_UTC, &last->begun_us);
	} else if (strcmp(name, "IsTruncated") == 0) {
		uploads->is_truncated = weir_str_is(text, "true");
	} else if (strcmp(name, "NextKeyMarker") == 0) {
		uploads->next_key = weir_arena_str(uploads->arena, text);
	} else if (strcmp(name, "NextUploadIdMarker") == 0) {
		uploads->next_id = weir_arena_str(uploads->arena, text);
	}
}

static int parse_uploads(void *context, struct weir_str body, struct weir_error *err)
{
	struct uploads *uploads = context;
	uploads->count = uploads->page_from;
	uploads->is_list = uploads->is_truncated = false;
	uploads->next_key = uploads->next_id = WEIR_STR("");
	int status = s3_xml_read(body, upload_element, uploads, err);
	if (status == 0 && !uploads->is_list)
		status = weir_fail(err, WEIR_E_CORRUPT, "the server's answer is not a list of uploads");
	return status;
}

/* All whose key begins with prefix, as far as the server tells. */
static int list_uploads(struct s3 *s3, struct weir_str prefix, struct uploads *uploads, struct weir_error *err)
{
	struct s3_answer answer = {0};
	int status = 0;
	do {
		uploads->page_from = uploads->count;
		struct s3_param params[4] = {{WEIR_STR("uploads"), WEIR_STR("")}, {WEIR_STR("prefix"), prefix},
			{WEIR_STR("key-marker"), uploads->next_key}, {WEIR_STR("upload-id-marker"), uploads->next_id}};
		struct s3_call call = {.method = "GET",
			.params = params,
			.param_count = uploads->next_key.size > 0 ? 4 : 2,
			.parse = parse_uploads,
			.context = uploads};
		status = s3_send(s3, &call, NULL, &answer, err);
	} while (status == 0 && uploads->is_truncated && uploads->next_key.size > 0 &&
		uploads->count > uploads->page_from);
	s3_answer_done(&answer);
	return status;
}

static void uploads_done(struct uploads *uploads)
{
	free(uploads->items);
	weir_arena_free(uploads->arena);
}

int s3_uploads_abort_others(struct s3 *s3, struct weir_str key, struct weir_str upload_id, struct weir_error *err)
{
	struct uploads uploads = {.arena = weir_arena_new(0)};
	int status = list_uploads(s3, key, &uploads, err);
	for (size_t i = 0; i < uploads.count && status == 0; i++)
		if (weir_str_equal(uploads.items[i].key, key) && !weir_str_equal(uploads.items[i].id, upload_id))
			status = s3_upload_abort(s3, key, uploads.items[i].id, err);
	uploads_done(&uploads);
	return status;
}

/* ---- recovery ---- */

static int abort_old(struct s3 *s3, struct weir_error *err)
{
	struct uploads uploads = {.arena = weir_arena_new(0)};
	int64_t before = weir_now_us(&s3->clock) - OLD_US;
	int status = list_uploads(s3, s3->prefix, &uploads, err);
	for (size_t i = 0; i < uploads.count && status == 0; i++)
		if (uploads.items[i].begun_us < before && weir_str_has_prefix(uploads.items[i].key, s3->prefix))
			status = s3_upload_abort(s3, uploads.items[i].key, uploads.items[i].id, err);
	uploads_done(&uploads);
	return status;
}

static int abort_noted(struct s3 *s3, const char *path, struct weir_error *err)
{
	char *text = NULL;
	size_t size = 0;
	int status = weir_os_read_all(weir_os_real(), path, NOTE_MAX, &text, &size, err);
	if (status != 0)
		return status;
	char *end = strchr(text, '\n'), *end_of_id = end != NULL ? strchr(end + 1, '\n') : NULL;
	/* One that was cut off while it was written is left to the listing. */
	if (end_of_id != NULL)
		status = s3_upload_abort(s3, (struct weir_str){text, (size_t)(end - text)},
			(struct weir_str){end + 1, (size_t)(end_of_id - end - 1)}, err);
	if (status == 0)
		unlink(path);
	free(text);
	return status;
}

int s3_uploads_recover(struct s3 *s3, struct weir_error *err)
{
	int status = 0;
	DIR *directory = s3->uploads != NULL ? opendir(s3->uploads) : NULL;
	for (struct dirent *entry; directory != NULL && status == 0 && (entry = readdir(directory)) != NULL;) {
		char path[4300];
		if (strncmp(entry->d_name, NOTE_PREFIX, sizeof NOTE_PREFIX - 1) != 0)
			continue;
		snprintf(path, sizeof path, "%.4000s/%s", s3->uploads, entry->d_name);
		status = abort_noted(s3, path, err);
	}
	if (directory != NULL)
		closedir(directory);
	return status != 0 ? status : abort_old(s3, err);
}
