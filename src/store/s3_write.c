/*
 * Writing objects. A file gathers one part; what is larger goes up in parts, which S3 keeps out of sight until the
 * barrier completes them. Both ways of finishing say `If-None-Match: *`, and are looked at where the answer does not
 * tell what became of them: the object carries the id of its writing.
 *
 * Threads: a barrier finishes its files on several threads; a file belongs to one at a time.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/rng.h"
#include "store/s3_int.h"

#define PARTS_MAX       10000 /* S3's own limit */
#define ETAG_MAX        128
#define BARRIER_THREADS 8
#define CONFLICT_TRIES  8
#define ERROR_URI_MAX   (S3_KEY_MAX + 128)

struct s3_file {
	struct store_file file;
	char write_id[33];
	char key_text[S3_KEY_MAX + 1];
	struct weir_str key;
	struct weir_buf pending; /* less than a part, or just one */
	char *upload_id;         /* NULL: no part is up */
	char (*etags)[ETAG_MAX];
	size_t part_count, part_capacity;
};

static struct s3 *s3_of(const struct s3_file *file)
{
	return (struct s3 *)file->file.store;
}

static int fail_file(const struct s3_file *file, int code, const char *what, struct weir_error *err)
{
	char object[ERROR_URI_MAX];
	return weir_fail_at(
		err, code, s3_object_text(s3_of(file), file->key, object), WEIR_ERROR_NO_OFFSET, "%s", what);
}

int s3_create(struct store *store, const char *name, struct store_file **ret_file, struct weir_error *err)
{
	struct s3_file *file = weir_zalloc(sizeof *file);
	uint8_t id[16];
	int status = s3_key_of((struct s3 *)store, name, file->key_text, &file->key, err);
	if (status != 0) {
		free(file);
		return status;
	}
	weir_random_bytes(id, sizeof id);
	weir_hex(id, sizeof id, file->write_id);
	file->file = (struct store_file){.store = store, .name = weir_strdup(name)};
	*ret_file = &file->file;
	return 0;
}

static void free_file(struct s3_file *file)
{
	weir_buf_done(&file->pending);
	free(file->etags);
	free(file->upload_id);
	free(file->file.name);
	free(file);
}

/* ---- parts ---- */

static void find_upload_id(void *context, bool begins, const char *parent, const char *name, struct weir_str text)
{
	struct weir_buf *id = context;
	if (!begins && strcmp(parent, "InitiateMultipartUploadResult") == 0 && strcmp(name, "UploadId") == 0) {
		id->size = 0;
		weir_buf_append(id, text.data, text.size);
	}
}

static int parse_begun(void *context, struct weir_str body, struct weir_error *err)
{
	struct weir_buf *id = context;
	int status = s3_xml_read(body, find_upload_id, id, err);
	if (status == 0 && id->size == 0)
		status = weir_fail(err, WEIR_E_CORRUPT, "the server's answer names no upload");
	return status;
}

static int begin_upload(struct s3_file *file, struct weir_error *err)
{
	struct s3 *s3 = s3_of(file);
	struct weir_buf id = WEIR_BUF_INIT;
	struct s3_answer answer = {0};
	struct http_header header = {WEIR_STR(S3_WRITE_ID), weir_str_from(file->write_id)};
	struct s3_param param = {WEIR_STR("uploads"), WEIR_STR("")};
	struct s3_call call = {.method = "POST",
		.key = file->key,
		.params = &param,
		.param_count = 1,
		.headers = &header,
		.header_count = 1,
		.parse = parse_begun,
		.context = &id,
		.is_once = true};
	int status = s3_send(s3, &call, NULL, &answer, err);
	if (status == 0) {
		file->upload_id = weir_strdup(weir_buf_cstr(&id));
		s3_upload_note(s3, file->write_id, file->key, weir_buf_str(&id));
	}
	if (answer.maybe_done && s3_uploads_abort_others(s3, file->key, weir_buf_str(&id), NULL) != 0)
		answer.maybe_done = true; /* it stays until it is a day old */
	s3_answer_done(&answer);
	weir_buf_done(&id);
	return status;
}

/* Sends what is pending as the next part. Sending a part twice is sending it once. */
static int send_part(struct s3_file *file, struct weir_error *err)
{
	struct s3_answer answer = {0};
	char number[16];
	int status = file->upload_id == NULL ? begin_upload(file, err) : 0;
	if (status != 0)
		return status;
	if (file->part_count == PARTS_MAX)
		return fail_file(
			file, WEIR_E_LIMIT, "an object has 10,000 parts at most, so 80 GiB: write smaller files", err);
	snprintf(number, sizeof number, "%zu", file->part_count + 1);
	struct s3_param params[] = {{WEIR_STR("partNumber"), weir_str_from(number)},
		{WEIR_STR("uploadId"), weir_str_from(file->upload_id)}};
	struct s3_call call = {.method = "PUT",
		.key = file->key,
		.params = params,
		.param_count = 2,
		.body = {file->pending.data, file->pending.size}};
	status = s3_send(s3_of(file), &call, NULL, &answer, err);
	struct weir_str etag = http_response_header(&answer.response, "etag");
	if (status == 0 && (etag.size == 0 || etag.size >= ETAG_MAX))
		status = fail_file(file, WEIR_E_IO, "the server's answer to a part has no ETag", err);
	if (status == 0) {
		WEIR_GROW(file->etags, file->part_count, file->part_capacity);
		snprintf(file->etags[file->part_count++], ETAG_MAX, "%.*s", WEIR_STR_ARG(etag));
		file->pending.size = 0;
	}
	s3_answer_done(&answer);
	return status;
}

int s3_append(struct store_file *store_file, const void *data, size_t size, struct weir_error *err)
{
	struct s3_file *file = (struct s3_file *)store_file;
	size_t part = s3_of(file)->part_bytes;
	const char *from = data;
	int status = 0;
	while (size > 0 && status == 0) {
		size_t room = part - file->pending.size, some = size < room ? size : room;
		if (room == 0) {
			status = send_part(file, err);
			continue;
		}
		weir_buf_append(&file->pending, from, some);
		from += some;
		size -= some;
		store_file->size_bytes += some;
	}
	return status;
}

/* ---- finishing ---- */

/*
 * What stands under the name: *ret_mine where it is what this file wrote, *ret_there where it is anything. An error
 * where nobody can say.
 */
static int look(struct s3_file *file, bool *ret_mine, bool *ret_there, struct weir_error *err)
{
	static const uint32_t missing[] = {404, 0};
	struct s3_answer answer = {0};
	struct s3_call call = {.method = "HEAD", .key = file->key};
	uint64_t size = 0;
	int status = s3_send(s3_of(file), &call, missing, &answer, err);
	*ret_there = status == 0 && s3_succeeded(&answer);
	*ret_mine = *ret_there && weir_str_is(http_response_header(&answer.response, S3_WRITE_ID), file->write_id) &&
		weir_str_to_u64(http_response_header(&answer.response, "content-length"), &size) &&
		size == file->file.size_bytes;
	s3_answer_done(&answer);
	return status;
}

static void find_completed(void *context, bool begins, const char *parent, const char *name, struct weir_str text)
{
	(void)text;
	if (begins && parent[0] == '\0' && strcmp(name, "CompleteMultipartUploadResult") == 0)
		*(bool *)context = true;
}

/* Status 200 may come before the work is done, and the body then tells of an error. */
static int parse_completed(void *context, struct weir_str body, struct weir_error *err)
{
	bool *completed = context;
	*completed = false;
	int status = s3_xml_read(body, find_completed, completed, err);
	if (status == 0 && !*completed)
		status = weir_fail(err, WEIR_E_IO, "the server could not put the parts together");
	return status;
}

static int put_whole(struct s3_file *file, const uint32_t *accepted, struct s3_answer *answer, struct weir_error *err)
{
	struct http_header headers[] = {{WEIR_STR("if-none-match"), WEIR_STR("*")},
		{WEIR_STR("content-type"), WEIR_STR("application/octet-stream")},
		{WEIR_STR(S3_WRITE_ID), weir_str_from(file->write_id)}};
	struct s3_call call = {.method = "PUT",
		.key = file->key,
		.headers = headers,
		.header_count = 3,
		.body = {file->pending.data, file->pending.size}};
	return s3_send(s3_of(file), &call, accepted, answer, err);
}

static int complete_parts(
	struct s3_file *file, const uint32_t *accepted, struct s3_answer *answer, struct weir_error *err)
{
	struct weir_buf body = WEIR_BUF_INIT;
	bool completed = false;
	weir_buf_puts(&body, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < file->part_count; i++) {
		weir_buf_printf(&body, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
		s3_xml_put(&body, weir_str_from(file->etags[i]));
		weir_buf_puts(&body, "</ETag></Part>");
	}
	weir_buf_puts(&body, "</CompleteMultipartUpload>");
	struct http_header headers[] = {
		{WEIR_STR("if-none-match"), WEIR_STR("*")}, {WEIR_STR("content-type"), WEIR_STR("application/xml")}};
	struct s3_param param = {WEIR_STR("uploadId"), weir_str_from(file->upload_id)};
	struct s3_call call = {.method = "POST",
		.key = file->key,
		.params = &param,
		.param_count = 1,
		.headers = headers,
		.header_count = 2,
		.body = {body.data, body.size},
		.parse = parse_completed,
		.context = &completed};
	int status = s3_send(s3_of(file), &call, accepted, answer, err);
	weir_buf_done(&body);
	return status;
}

static void give_up_upload(struct s3_file *file)
{
	if (file->upload_id == NULL)
		return;
	/* What cannot be aborted now is remembered until the next start. */
	if (s3_upload_abort(s3_of(file), file->key, weir_str_from(file->upload_id), NULL) == 0)
		s3_upload_forget(s3_of(file), file->write_id);
}

/*
 * One attempt at making the object visible. 409: another conditional write of this name is under way. 412: the name is
 * taken, perhaps by an attempt of ours whose answer was lost (libcurl, too, sends again on a connection that was
 * closed). 404: the upload is gone, as after an attempt of ours that succeeded.
 */
static int finish_once(struct s3_file *file, bool *ret_again, struct weir_error *err)
{
	static const uint32_t unclear[] = {404, 409, 412, 0};
	struct s3_answer answer = {0};
	struct weir_error looking = WEIR_ERROR_INIT;
	bool mine = false, there = false;
	int status = file->upload_id != NULL ? complete_parts(file, unclear, &answer, err)
					     : put_whole(file, unclear, &answer, err);
	bool good = status == 0 && s3_succeeded(&answer), lost = status != 0 && answer.maybe_done;
	uint32_t said = answer.response.status;
	s3_answer_done(&answer);
	*ret_again = false;
	if (good || (status != 0 && !lost))
		return status;
	if (look(file, &mine, &there, &looking) != 0) {
		return fail_file(file, WEIR_E_UNKNOWN,
			"the server stopped answering while it was written; it may or may not be there", err);
	}
	if (mine)
		return 0;
	if (there)
		return fail_file(file, WEIR_E_EXISTS, "the object exists", err);
	if (lost)
		return status;
	*ret_again = said == 409;
	return fail_file(file, said == 404 ? WEIR_E_NOT_FOUND : WEIR_E_CONFLICT,
		said == 404 ? "the bucket, or the upload, is gone: look at the bucket and its lifecycle rules"
			    : "another write of this object is under way",
		err);
}

static int finish_file(struct s3_file *file, struct weir_error *err)
{
	struct s3 *s3 = s3_of(file);
	struct http_retry patience = {CONFLICT_TRIES, s3->retry.first_ms, s3->retry.longest_ms};
	struct http_response nothing = {.outcome = HTTP_NOT_SENT};
	bool again = true;
	int status = file->upload_id != NULL && file->pending.size > 0 ? send_part(file, err) : 0;
	for (uint32_t attempt = 0; status == 0 && again; attempt++) {
		if (!http_retry_wait(&patience, attempt, &nothing)) {
			status = fail_file(file, WEIR_E_CONFLICT, "others keep writing an object of this name", err);
			break;
		}
		status = finish_once(file, &again, err);
		if (again)
			status = 0;
	}
	if (status == 0 && file->upload_id != NULL)
		s3_upload_forget(s3, file->write_id);
	else
		give_up_upload(file);
	return status;
}

/* ---- barriers ---- */

struct barrier {
	struct store_file **files;
	size_t count, next;
	pthread_mutex_t lock;
	struct weir_error *err;
	int status; /* the first that went wrong; what was not begun then is not begun any more */
};

static void *finish_some(void *context)
{
	struct barrier *barrier = context;
	for (;;) {
		struct weir_error err = WEIR_ERROR_INIT;
		pthread_mutex_lock(&barrier->lock);
		size_t at = barrier->next++;
		bool failed = barrier->status != 0;
		pthread_mutex_unlock(&barrier->lock);
		if (at >= barrier->count)
			return NULL;
		struct s3_file *file = (struct s3_file *)barrier->files[at];
		if (failed) {
			give_up_upload(file);
			free_file(file);
			continue;
		}
		int status = finish_file(file, &err);
		free_file(file);
		pthread_mutex_lock(&barrier->lock);
		if (status != 0 && barrier->status == 0) {
			barrier->status = status;
			if (barrier->err != NULL)
				*barrier->err = err;
		}
		pthread_mutex_unlock(&barrier->lock);
	}
}

int s3_barrier(struct store *store, struct store_file **take_files, size_t count, struct weir_error *err)
{
	struct barrier barrier = {.files = take_files, .count = count, .err = err};
	pthread_t threads[BARRIER_THREADS];
	unsigned started = 0;
	(void)store;
	pthread_mutex_init(&barrier.lock, NULL);
	while (started + 1 < count && started + 1 < BARRIER_THREADS &&
		pthread_create(&threads[started], NULL, finish_some, &barrier) == 0)
		started++;
	finish_some(&barrier);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&barrier.lock);
	return barrier.status;
}

void s3_abandon(struct store *store, struct store_file *take_file)
{
	struct s3_file *file = (struct s3_file *)take_file;
	(void)store;
	give_up_upload(file);
	free_file(file);
}
