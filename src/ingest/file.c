/* Files of any size, streamed: pieces go to the log as they are decoded, with a bounded number under way. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ingest/ingest_int.h"

#define PIECE_BYTES   (1U << 20)
#define UNDER_WAY_MAX 8 /* packers that wait for the log */
#define ROOM_POLL_US  2000

static int memory_read(void *self, void *buffer, size_t capacity, size_t *ret_size, struct weir_error *err)
{
	struct ingest_memory_reader *reader = self;
	size_t left = reader->bytes.size - reader->at;
	(void)err;
	*ret_size = left < capacity ? left : capacity;
	if (*ret_size > 0)
		memcpy(buffer, reader->bytes.data + reader->at, *ret_size);
	reader->at += *ret_size;
	return 0;
}

struct weir_byte_reader ingest_reader_of_memory(struct ingest_memory_reader *reader)
{
	return (struct weir_byte_reader){memory_read, reader};
}

/* The open file and what of it went where. */
struct load {
	struct ingest *ingest;
	uint32_t stream;
	const char *path;
	int fd;
	uint64_t size_bytes, read_bytes;
	struct weir_str input_name;
	uint64_t record; /* ordinal of the next packer's first record */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned under_way;
	int status; /* the first failure */
	struct weir_error err;
	struct weir_arena *arena;
	struct ingest_result result;
	uint32_t error_capacity;
	ingest_progress_fn *progress;
	void *context;
};

static int file_read(void *self, void *buffer, size_t capacity, size_t *ret_size, struct weir_error *err)
{
	struct load *load = self;
	ssize_t got;
	do
		got = read(load->fd, buffer, capacity);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return weir_fail_errno(err, errno, weir_str_from(load->path), "read");
	load->read_bytes += (uint64_t)got;
	*ret_size = (size_t)got;
	return 0;
}

static int source_read(void *self, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	struct load *load = self;
	size_t done = 0;
	while (done < size) {
		ssize_t got = pread(load->fd, (char *)buffer + done, size - done, (off_t)(offset + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return weir_fail_errno(err, errno, weir_str_from(load->path), "read");
		if (got == 0)
			return weir_fail_at(err, WEIR_E_CORRUPT, weir_str_from(load->path), offset + done,
				"the file ends before %zu expected bytes", size - done);
		done += (size_t)got;
	}
	if (offset + size > load->read_bytes)
		load->read_bytes = offset + size;
	return 0;
}

/* On the log's thread. */
static void piece_done(void *context, int status, const struct ingest_result *result, const struct weir_error *err)
{
	struct load *load = context;
	struct ingest_result *sum = &load->result;
	pthread_mutex_lock(&load->lock);
	if (status != 0 && load->status == 0) {
		load->status = status;
		load->err = *err;
	}
	if (status == 0) {
		struct ingest_result copy;
		ingest_result_copy(load->arena, result, &copy);
		sum->accepted += result->accepted;
		sum->duplicates += result->duplicates;
		sum->rejected += result->rejected;
		for (uint32_t i = 0; i < copy.error_count && sum->error_count < INGEST_ERRORS_MAX; i++) {
			if (sum->errors == NULL)
				sum->errors = weir_arena_calloc(load->arena, INGEST_ERRORS_MAX, sizeof *sum->errors);
			sum->errors[sum->error_count++] = copy.errors[i];
		}
	}
	load->under_way--;
	pthread_cond_signal(&load->changed);
	pthread_mutex_unlock(&load->lock);
}

static struct packer *load_packer(struct load *load)
{
	struct packer *packer = packer_new(load->ingest, load->stream, WEIR_STR("file"), load->input_name,
		ingest_base_name(weir_str_from(load->path)), load->record);
	packer->want_traces = false;
	return packer;
}

/* Sends a packer, waiting for room in the shards and the log; reports progress; *packer is the next one. */
static int load_flush(void *context, struct packer **packer, struct weir_error *err)
{
	struct load *load = context;
	const struct ingest_stream *stream = &load->ingest->streams[load->stream];
	while (!stream_has_room(stream->stream)) {
		struct stream_numbers numbers = stream_numbers(stream->stream);
		if (numbers.failed)
			return weir_fail(err, WEIR_E_IO, "stream %.*s has stopped; see the server's log",
				WEIR_STR_ARG(stream->lake->name));
		usleep(ROOM_POLL_US);
	}
	pthread_mutex_lock(&load->lock);
	while (load->under_way >= UNDER_WAY_MAX)
		pthread_cond_wait(&load->changed, &load->lock);
	int status = load->status;
	if (status != 0)
		*err = load->err;
	else
		load->under_way++;
	struct ingest_progress progress = {
		load->read_bytes, load->size_bytes, load->result.accepted, load->result.rejected};
	pthread_mutex_unlock(&load->lock);
	if (status != 0)
		return status;
	for (uint32_t c = 0; c < (*packer)->chunk_count; c++)
		load->record += (*packer)->chunks[c].count;
	load->record += (*packer)->count;
	struct packer *full = *packer;
	*packer = load_packer(load);
	status = packer_send(full, piece_done, load, err);
	if (status != 0) {
		pthread_mutex_lock(&load->lock);
		load->under_way--;
		pthread_mutex_unlock(&load->lock);
		return status;
	}
	bus_flush(load->ingest->config.bus, NULL); /* does nothing where the log has a thread */
	if (load->progress != NULL && load->progress(load->context, &progress) < 0)
		return weir_fail(
			err, WEIR_E_CANCELLED, "stopped; what was acknowledged stays, and the file may be given again");
	return 0;
}

/* Events in JSON or NDJSON: pieces that end at event boundaries. */
static int load_events(struct load *load, const struct ingest_document *document, struct weir_byte_reader reader,
	struct packer **packer, struct weir_error *err)
{
	struct json_splitter *splitter = json_splitter_new(reader, PIECE_BYTES, BUS_EVENT_BYTES);
	struct ingest_document lines = *document;
	struct weir_str piece;
	uint64_t offset;
	int status;
	lines.format = INGEST_NDJSON;
	while ((status = json_splitter_next(splitter, &piece, &offset, err)) == 0 && piece.size > 0) {
		status = ingest_document_json(&lines, piece, packer, err);
		if (status == 0)
			status = load_flush(load, packer, err);
		if (status != 0)
			break;
	}
	json_splitter_free(splitter);
	return status;
}

static int read_all(struct weir_byte_reader reader, struct weir_buf *out, struct weir_error *err)
{
	for (;;) {
		size_t got;
		weir_buf_reserve(out, 1U << 20);
		int status = reader.read(reader.self, out->data + out->size, 1U << 20, &got, err);
		if (status != 0 || got == 0)
			return status;
		out->size += got;
		if (out->size > INGEST_DOCUMENT_BYTES)
			return weir_fail(err, WEIR_E_LIMIT, "a document that must be read whole has at most %u bytes",
				INGEST_DOCUMENT_BYTES);
	}
}

/* The head of what a reader gives, and a reader that gives it again with the rest. */
struct headed {
	struct weir_byte_reader rest;
	struct weir_str head;
	size_t at;
};

static int headed_read(void *self, void *buffer, size_t capacity, size_t *ret_size, struct weir_error *err)
{
	struct headed *headed = self;
	size_t left = headed->head.size - headed->at;
	if (left == 0)
		return headed->rest.read(headed->rest.self, buffer, capacity, ret_size, err);
	*ret_size = left < capacity ? left : capacity;
	memcpy(buffer, headed->head.data + headed->at, *ret_size);
	headed->at += *ret_size;
	return 0;
}

static int load_document(struct load *load, struct ingest_document *document, struct weir_byte_reader reader,
	bool packed, struct weir_error *err)
{
	char head[65536];
	struct headed headed = {reader, {head, 0}, 0};
	const struct ingest_stream *stream = document->stream;
	size_t got = 1;
	int status = 0;
	while (status == 0 && got > 0 && headed.head.size < sizeof head) {
		status = reader.read(reader.self, head + headed.head.size, sizeof head - headed.head.size, &got, err);
		headed.head.size += status == 0 ? got : 0;
	}
	if (status != 0)
		return status;
	if (!ingest_format_find(document->name, WEIR_STR(""), headed.head, &document->format))
		return weir_fail(err, WEIR_E_UNSUPPORTED,
			"neither its name nor its first bytes say what it is; name it .json, .ndjson, .csv, .parquet, "
			".fit, .tcx or .gpx");
	status = ingest_input_find(stream, document->format, headed.head, &document->input, err);
	if (status == 0)
		status = ingest_check_set(stream, document->input, document->set, document->set_count, err);
	if (status != 0)
		return status;
	load->input_name = stream->lake->inputs[document->input].name;
	struct packer *packer = load_packer(load);
	struct weir_byte_reader whole = {headed_read, &headed};
	struct weir_buf body = WEIR_BUF_INIT;
	bool json = document->format == INGEST_JSON || document->format == INGEST_NDJSON;
	if (json && stream->inputs[document->input].lake->sql.size == 0) {
		status = load_events(load, document, whole, &packer, err);
	} else if (document->format == INGEST_CSV) {
		status = ingest_document_csv(document, whole, &packer, err);
	} else if (json || packed) { /* read whole: a document for SQL, or a seekable format inside gzip */
		status = read_all(whole, &body, err);
		struct weir_slice memory = {body.data, body.size};
		if (status == 0 && json)
			status = ingest_document_json(document, weir_buf_str(&body), &packer, err);
		else if (status == 0)
			status = ingest_document_source(
				document, weir_source_from_memory(&memory, document->name), &packer, err);
	} else {
		struct weir_byte_source source = {source_read, load, load->size_bytes, document->name};
		status = ingest_document_source(document, source, &packer, err);
	}
	if (status == 0)
		status = load_flush(load, &packer, err);
	weir_buf_done(&body);
	packer_free(packer);
	return status;
}

static void wait_for_all(struct load *load)
{
	pthread_mutex_lock(&load->lock);
	while (load->under_way > 0)
		pthread_cond_wait(&load->changed, &load->lock);
	pthread_mutex_unlock(&load->lock);
}

int ingest_file(struct ingest *ingest, uint32_t stream, const char *path, const struct ingest_kv *set,
	uint32_t set_count, ingest_progress_fn *progress, void *context, struct weir_arena *arena,
	struct ingest_result *ret_result, struct weir_error *err)
{
	struct load load = {.ingest = ingest,
		.stream = stream,
		.path = path,
		.arena = arena,
		.progress = progress,
		.context = context};
	struct stat st;
	bool standard_input = strcmp(path, "-") == 0;
	load.fd = standard_input ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (load.fd < 0)
		return weir_fail_errno(err, errno, weir_str_from(path), "open");
	if (fstat(load.fd, &st) == 0 && S_ISREG(st.st_mode))
		load.size_bytes = (uint64_t)st.st_size;
	pthread_mutex_init(&load.lock, NULL);
	pthread_cond_init(&load.changed, NULL);
	struct weir_str name = weir_str_from(standard_input ? "" : path);
	struct ingest_document document = {.ingest = ingest,
		.stream = &ingest->streams[stream],
		.name = name,
		.set = set,
		.set_count = set_count,
		.flush = load_flush,
		.flush_context = &load};
	struct weir_byte_reader reader = {file_read, &load};
	bool packed = weir_str_has_suffix(name, WEIR_STR(".gz")) || !S_ISREG(st.st_mode);
	struct codec_gunzip *gunzip = weir_str_has_suffix(name, WEIR_STR(".gz")) ? codec_gunzip_new(reader) : NULL;
	int status =
		load_document(&load, &document, gunzip != NULL ? codec_gunzip_reader(gunzip) : reader, packed, err);
	wait_for_all(&load);
	if (status == 0 && load.status != 0) {
		*err = load.err;
		status = load.status;
	}
	codec_gunzip_free(gunzip);
	close(load.fd);
	pthread_mutex_destroy(&load.lock);
	pthread_cond_destroy(&load.changed);
	if (status != 0)
		return weir_error_in(err, status, weir_str_from(path));
	*ret_result = load.result;
	return 0;
}
