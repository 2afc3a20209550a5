/* Reading blocks back, verified, on any thread. The lock is held only to find the block. */
#include "bus/log_int.h"

static struct codec_state *take_codecs(struct bus *bus)
{
	pthread_mutex_lock(&bus->lock);
	struct codec_state *codecs = bus->codec_count > 0 ? bus->codecs[--bus->codec_count] : NULL;
	pthread_mutex_unlock(&bus->lock);
	return codecs != NULL ? codecs : codec_state_new();
}

static void give_codecs(struct bus *bus, struct codec_state *codecs)
{
	pthread_mutex_lock(&bus->lock);
	bool keep = bus->codec_count < BUS_IDLE_CODECS;
	if (keep)
		bus->codecs[bus->codec_count++] = codecs;
	pthread_mutex_unlock(&bus->lock);
	if (!keep)
		codec_state_free(codecs);
}

/* The block's place; its segment stays open until bus_segment_unref. */
static int find_block(struct bus *bus, struct weir_str stream, uint32_t partition, uint64_t offset,
	struct bus_entry *ret_entry, struct bus_segment **ret_segment, struct weir_error *err)
{
	pthread_mutex_lock(&bus->lock);
	const struct bus_partition *found = bus_partition_find(bus, stream, partition);
	const struct bus_entry *entry = found != NULL ? bus_partition_lookup(found, offset) : NULL;
	if (entry != NULL) {
		*ret_entry = *entry;
		*ret_segment = bus_segment_find(bus, entry->sequence);
		(*ret_segment)->readers++;
	}
	pthread_mutex_unlock(&bus->lock);
	if (entry != NULL)
		return 0;
	return weir_fail(err, WEIR_E_NOT_FOUND, "offset %llu of %.*s/%u is not in the log", (unsigned long long)offset,
		WEIR_STR_ARG(stream), partition);
}

struct place {
	struct bus *bus;
	struct bus_segment *segment;
	struct bus_entry entry;
	struct weir_str path;
};

static int damaged(const struct place *place, const char *what, struct weir_error *err)
{
	return weir_fail_at(err, WEIR_E_CORRUPT, place->path, place->entry.position,
		"a block of the log is damaged (%s); restore the file", what);
}

/* The header in arena. The header's strings borrow it. */
static int read_header(
	const struct place *place, struct weir_arena *arena, struct bus_header *ret_header, struct weir_error *err)
{
	const struct weir_os *os = place->bus->options.os;
	pthread_mutex_lock(&place->bus->lock);
	uint64_t left = place->segment->size_bytes - place->entry.position;
	pthread_mutex_unlock(&place->bus->lock);
	size_t size = left < BUS_HEADER_MAX ? (size_t)left : BUS_HEADER_MAX;
	char *bytes = weir_arena_alloc(arena, size);
	int status = os->read(os->self, place->segment->file, place->entry.position, bytes, size, err);
	if (status != 0)
		return status;
	if (!bus_header_decode(bytes, size, place->segment->sequence, ret_header) ||
		bus_header_total(ret_header) > left)
		return damaged(place, "header", err);
	return 0;
}

static int read_body(const struct place *place, struct weir_arena *arena, const struct bus_header *header,
	struct bus_read_block *ret_block, struct weir_error *err)
{
	const struct weir_os *os = place->bus->options.os;
	size_t size = (size_t)header->frame_bytes + header->errors_bytes;
	char *body = weir_arena_alloc(arena, size);
	int status = os->read(os->self, place->segment->file, (uint64_t)place->entry.position + header->header_bytes,
		body, size, err);
	if (status != 0)
		return status;
	struct weir_str frame = {body, header->frame_bytes},
			errors = {body + header->frame_bytes, header->errors_bytes};
	if (bus_body_checksum(frame, errors) != header->body_checksum)
		return damaged(place, "checksum", err);
	char *payloads = weir_arena_alloc(arena, header->payload_bytes);
	struct codec_state *codecs = take_codecs(place->bus);
	status = codec_decompress(codecs, CODEC_ZSTD, frame.data, frame.size, payloads, header->payload_bytes, err);
	give_codecs(place->bus, codecs);
	const struct bus_record *records = NULL;
	if (status == 0)
		status = bus_records_decode(arena, (struct weir_str){payloads, header->payload_bytes}, errors,
			header->count, &records, err);
	if (status != 0)
		return damaged(place, "payloads", err);
	*ret_block = (struct bus_read_block){header->attributes, header->base_offset, header->count, records, frame};
	return 0;
}

int bus_read(struct bus *bus, struct weir_arena *arena, struct weir_str stream, uint32_t partition, uint64_t offset,
	struct bus_read_block *ret_block, struct weir_error *err)
{
	struct place place = {.bus = bus};
	char path[4096];
	int status = find_block(bus, stream, partition, offset, &place.entry, &place.segment, err);
	if (status != 0)
		return status;
	place.path = bus_segment_path(bus, place.segment->sequence, path);
	struct bus_header header;
	status = read_header(&place, arena, &header, err);
	if (status == 0 &&
		(header.base_offset != bus_entry_base(&place.entry) || header.attributes.partition != partition ||
			!weir_str_equal(header.attributes.stream, stream)))
		status = damaged(&place, "another block is in its place", err);
	if (status == 0)
		status = read_body(&place, arena, &header, ret_block, err);
	pthread_mutex_lock(&bus->lock);
	bus_segment_unref(bus, place.segment);
	pthread_mutex_unlock(&bus->lock);
	return status;
}
