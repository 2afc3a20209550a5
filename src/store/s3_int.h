/* The parts of the S3 store among themselves. See s3.h. */
#ifndef WEIR_STORE_S3_INT_H
#define WEIR_STORE_S3_INT_H

#include <pthread.h>

#include "net/http.h"
#include "store/s3.h"
#include "store/s3_sign.h"
#include "store/store_int.h"

#define S3_KEY_MAX    1024        /* bytes, prefix and all */
#define S3_ANSWER_MAX (16U << 20) /* of an XML document; a page of 1,000 keys takes 4 MiB at most */
#define S3_DELETE_MAX 1000
#define S3_WRITE_ID   "x-amz-meta-weir-write" /* the random id of an object's writing */

struct s3 {
	struct store store;
	struct weir_arena *arena; /* of all texts here; after opening only new keys are added */
	struct http_client *http;
	struct http_retry retry;
	struct weir_clock clock;
	struct weir_str bucket;
	struct weir_str prefix;    /* "" or with its slash at the end */
	struct weir_str base;      /* "http://host:9000/bucket": before a key's slash */
	struct weir_str base_path; /* "" or "/bucket" */
	struct weir_str host, region;
	pthread_mutex_t keys_lock; /* of what is below, and of the arena once the store is open */
	struct s3_keys keys;
	struct store_s3_renewal renewal;
	int64_t renew_at_us;
	const char *uploads; /* directory of begun uploads, or NULL */
	size_t part_bytes;
	uint32_t list_page;
};

/* ---- s3_request.c: one exchange ---- */

struct s3_call {
	const char *method;
	struct weir_str key; /* with the prefix; "" is the bucket itself */
	const struct s3_param *params;
	uint32_t param_count;
	const struct http_header *headers; /* beyond those of the signature */
	uint32_t header_count;
	struct weir_slice body;
	const struct weir_byte_sink *sink;
	size_t limit_bytes; /* of the sink; an answer in memory may have S3_ANSWER_MAX */
	bool is_once;       /* see http.h: then maybe_done misses nothing */
	/* Reads an answer of status 2xx. A failure (a document cut off, an error told in it) counts as no answer. */
	int (*parse)(void *context, struct weir_str body, struct weir_error *err);
	void *context;
};

struct s3_answer {
	struct http_response response;
	bool maybe_done; /* an attempt without an answer came before: it may have been carried out */
};

/* One attempt. 0 where there is an answer that is not transient, whatever its status. */
int s3_try(struct s3 *s3, const struct s3_call *call, struct s3_answer *answer, struct weir_error *err);
/* With retries. 0 where the status is 2xx or one of accepted (0 ends them); else the error that s3_refuse makes. */
int s3_send(struct s3 *s3, const struct s3_call *call, const uint32_t *accepted, struct s3_answer *answer,
	struct weir_error *err);
/* An error of the answer's status: bucket, key, status, code and remedy, never more of what the server said. */
int s3_refuse(const struct s3 *s3, const struct s3_call *call, const struct s3_answer *answer, struct weir_error *err);
void s3_answer_done(struct s3_answer *answer);

static inline bool s3_succeeded(const struct s3_answer *answer)
{
	return answer->response.status / 100 == 2;
}

/* "s3://bucket/key", for errors; buffer has room for S3_KEY_MAX + 128 bytes. */
struct weir_str s3_object_text(const struct s3 *s3, struct weir_str key, char *buffer);
/* The key of a name; WEIR_E_LIMIT past S3_KEY_MAX. buffer has S3_KEY_MAX + 1 bytes. */
int s3_key_of(const struct s3 *s3, const char *name, char *buffer, struct weir_str *ret_key, struct weir_error *err);
/* Everything of a signature but method, path, parameters, headers. Asks for new keys where it is time. */
int s3_start_signing(struct s3 *s3, struct s3_signing *signing, struct weir_error *err);
void s3_plan_renewal(struct s3 *s3);

/* ---- s3_xml.c ---- */

/* At each element's begin (text "") and end. parent is "" for the root. */
typedef void s3_xml_fn(void *context, bool begins, const char *parent, const char *name, struct weir_str text);
/* WEIR_E_CORRUPT for what is not one well-formed document, has a DTD, or is nested too deep. */
int s3_xml_read(struct weir_str document, s3_xml_fn *element, void *context, struct weir_error *err);
/* Text with &, <, > and quotes escaped. */
void s3_xml_put(struct weir_buf *out, struct weir_str text);

/* ---- s3_read.c, s3_write.c, s3_uploads.c: the store's functions ---- */

int s3_read(struct store *store, const char *name, uint64_t offset, void *buffer, size_t size, struct weir_error *err);
int s3_size(struct store *store, const char *name, uint64_t *ret_size, struct weir_error *err);
int s3_source_open(struct store *store, const char *name, struct weir_byte_source *ret_source, struct weir_error *err);
int s3_list(struct store *store, const char *prefix, store_list_fn *object, void *context, struct weir_error *err);
int s3_delete_many(struct store *store, const char *const *names, size_t count, struct weir_error *err);
int s3_create(struct store *store, const char *name, struct store_file **ret_file, struct weir_error *err);
int s3_append(struct store_file *file, const void *data, size_t size, struct weir_error *err);
int s3_barrier(struct store *store, struct store_file **take_files, size_t count, struct weir_error *err);
void s3_abandon(struct store *store, struct store_file *take_file);

/* Remembers, and forgets, that an upload was begun: a small file in the uploads directory, named by its writing's id.
 */
void s3_upload_note(const struct s3 *s3, const char *write_id, struct weir_str key, struct weir_str upload_id);
void s3_upload_forget(const struct s3 *s3, const char *write_id);
int s3_upload_abort(struct s3 *s3, struct weir_str key, struct weir_str upload_id, struct weir_error *err);
/* Those of key but for upload_id: left by a begin whose answer was lost. */
int s3_uploads_abort_others(struct s3 *s3, struct weir_str key, struct weir_str upload_id, struct weir_error *err);
/* What was remembered before, and what lies under the prefix for longer than a day. */
int s3_uploads_recover(struct s3 *s3, struct weir_error *err);

#endif
