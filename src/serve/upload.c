/*
 * Bodies of requests as they come in: small ones in memory (call->body), batch uploads in a file,
 * DIR/spill/upload-XXXXXXXX/NAME, so that 1 GiB costs no memory. NAME is the client's file name without
 * folders: inputs are chosen by its extensions. The file goes with the upload; what a crash leaves, the
 * engine removes at its next start. Used by one thread at a time.
 */
#include "serve/serve_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct upload {
	struct serve_call *call;
	struct multipart *multipart;
	struct weir_str name;   /* of a raw body; size 0 with multipart until its part has come */
	char *directory, *path; /* NULL: not made yet */
	int fd;
	uint64_t size;
};

static struct weir_str name_by_type(struct weir_str type)
{
	static const struct {
		const char *type, *name;
	} names[] = {
		{"application/json", "upload.json"},
		{"application/x-ndjson", "upload.ndjson"},
		{"application/ndjson", "upload.ndjson"},
		{"text/csv", "upload.csv"},
		{"application/vnd.apache.parquet", "upload.parquet"},
		{"application/gpx+xml", "upload.gpx"},
		{"application/vnd.ant.fit", "upload.fit"},
	};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (accept_is(type, names[i].type))
			return weir_str_from(names[i].name);
	}
	return (struct weir_str){0};
}

static int raw_name(struct upload *upload, struct weir_error *err)
{
	struct serve_call *call = upload->call;
	struct weir_str name = url_file_name(call->arena, call_parameter(call, "filename"));
	if (name.size == 0)
		name = name_by_type(call->content_type);
	if (name.size == 0)
		return weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("filename"), WEIR_ERROR_NO_OFFSET,
			"the body says not what it is; add ?filename=NAME.EXT, or send it as the multipart field "
			"`file`");
	if (accept_is(call->content_encoding, "gzip") && !weir_str_has_suffix(name, WEIR_STR(".gz")))
		name = weir_str_from(weir_arena_printf(call->arena, "%.*s.gz", WEIR_STR_ARG(name)));
	upload->name = name;
	return 0;
}

int upload_new(struct serve_call *call, struct upload **ret_upload, struct weir_error *err)
{
	struct upload *upload = weir_zalloc(sizeof *upload);
	upload->call = call;
	upload->fd = -1;
	int rc = 0;
	bool encoded = call->content_encoding.size > 0 && !accept_is(call->content_encoding, "identity");
	if (call->route->body == SERVE_FILE && accept_is(call->content_type, "multipart/form-data")) {
		rc = encoded ? weir_fail(err, WEIR_E_UNSUPPORTED,
				       "a multipart body must not have a Content-Encoding; compress the file in it "
				       "instead")
			     : multipart_new(call->content_type, &upload->multipart, err);
	} else if (call->route->body == SERVE_FILE) {
		rc = encoded && !accept_is(call->content_encoding, "gzip")
			? weir_fail(err, WEIR_E_UNSUPPORTED, "Content-Encoding must be gzip, or none")
			: raw_name(upload, err);
	}
	if (rc < 0) {
		upload_free(upload);
		return rc;
	}
	*ret_upload = upload;
	return 0;
}

static int make_file(struct upload *upload, struct weir_error *err)
{
	struct serve_call *call = upload->call;
	struct weir_str name = upload->name;
	if (upload->multipart != NULL)
		name = url_file_name(call->arena, multipart_file_name(upload->multipart));
	if (name.size == 0)
		return weir_fail(
			err, WEIR_E_INPUT, "the part `file` has no file name; its extension says what the file is");
	call->body_name = name;
	if (mkdir(call->app->spill, 0700) != 0 && errno != EEXIST)
		return weir_fail_errno(err, errno, weir_str_from(call->app->spill), "make the directory of uploads");
	char *directory = weir_arena_printf(call->arena, "%s/upload-XXXXXX", call->app->spill);
	if (mkdtemp(directory) == NULL)
		return weir_fail_errno(err, errno, weir_str_from(call->app->spill), "make a directory for an upload");
	upload->directory = directory;
	upload->path = weir_arena_printf(call->arena, "%s/%.*s", directory, WEIR_STR_ARG(name));
	upload->fd = open(upload->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (upload->fd < 0)
		return weir_fail_errno(err, errno, weir_str_from(directory), "create the file of an upload");
	return 0;
}

static int file_bytes(void *context, struct weir_str bytes, struct weir_error *err)
{
	struct upload *upload = context;
	if (upload->fd < 0) {
		int rc = make_file(upload, err);
		if (rc < 0)
			return rc;
	}
	while (bytes.size > 0) {
		ssize_t size = write(upload->fd, bytes.data, bytes.size);
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return weir_fail_errno(err, errno, weir_str_from(upload->directory), "write an upload");
		bytes = (struct weir_str){bytes.data + size, bytes.size - (size_t)size};
	}
	return 0;
}

int upload_feed(struct upload *upload, const void *data, size_t size, struct weir_error *err)
{
	struct serve_call *call = upload->call;
	upload->size += size;
	if (upload->size > call->route->body_bytes)
		return weir_fail(err, WEIR_E_LIMIT, "the body is larger than %llu bytes; send it in parts%s",
			(unsigned long long)call->route->body_bytes,
			call->route->body == SERVE_MEMORY ? ", or events as a file to /api/ingest/batch" : "");
	if (call->route->body == SERVE_MEMORY) {
		weir_buf_append(&call->body, data, size);
		return 0;
	}
	struct weir_str bytes = {data, size};
	return upload->multipart != NULL ? multipart_feed(upload->multipart, bytes, file_bytes, upload, err)
					 : file_bytes(upload, bytes, err);
}

int upload_end(struct upload *upload, struct weir_error *err)
{
	struct serve_call *call = upload->call;
	call->body_size = upload->size;
	if (call->route->body != SERVE_FILE)
		return 0;
	if (upload->multipart != NULL) {
		int rc = multipart_end(upload->multipart, err);
		if (rc < 0)
			return rc;
	}
	if (upload->fd < 0)
		return weir_fail(err, WEIR_E_INPUT, "the upload is empty; send the file's bytes");
	int failed = close(upload->fd);
	upload->fd = -1;
	if (failed != 0)
		return weir_fail_errno(err, errno, weir_str_from(upload->directory), "write an upload");
	call->body_path = upload->path;
	return 0;
}

void upload_free(struct upload *upload)
{
	if (upload == NULL)
		return;
	if (upload->fd >= 0)
		close(upload->fd);
	if (upload->path != NULL)
		unlink(upload->path);
	if (upload->directory != NULL)
		rmdir(upload->directory);
	multipart_free(upload->multipart);
	free(upload);
}
