/* Partitions of the log and the index of their blocks. Everything here is called under the log's lock. */
#include <stdlib.h>

#include "base/hash.h"
#include "bus/log_int.h"

static struct bus_partition **bucket_of(struct bus *bus, struct weir_str stream, uint32_t partition)
{
	return &bus->buckets[weir_hash64_seeded(stream.data, stream.size, partition) % BUS_BUCKETS];
}

struct bus_partition *bus_partition_find(struct bus *bus, struct weir_str stream, uint32_t partition)
{
	struct bus_partition *at = *bucket_of(bus, stream, partition);
	while (at != NULL && (at->partition != partition || !weir_str_equal(at->stream, stream)))
		at = at->next;
	return at;
}

int bus_partition_get(
	struct bus *bus, struct weir_str stream, uint32_t partition, struct bus_partition **ret, struct weir_error *err)
{
	struct bus_partition *found = bus_partition_find(bus, stream, partition);
	if (found == NULL && bus->partition_count >= BUS_PARTITIONS_MAX)
		return weir_fail(
			err, WEIR_E_LIMIT, "the log holds %d partitions and takes no more", BUS_PARTITIONS_MAX);
	if (found == NULL) {
		struct bus_partition **bucket = bucket_of(bus, stream, partition);
		found = weir_zalloc(sizeof *found + stream.size);
		char *name = (char *)(found + 1);
		memcpy(name, stream.data, stream.size);
		found->stream = (struct weir_str){name, stream.size};
		found->partition = partition;
		found->next = *bucket;
		*bucket = found;
		bus->partition_count++;
	}
	*ret = found;
	return 0;
}

void bus_partitions_free(struct bus *bus)
{
	for (size_t i = 0; i < BUS_BUCKETS; i++) {
		while (bus->buckets[i] != NULL) {
			struct bus_partition *next = bus->buckets[i]->next;
			free(bus->buckets[i]->entries);
			free(bus->buckets[i]);
			bus->buckets[i] = next;
		}
	}
}

void bus_partition_index(
	struct bus_partition *partition, uint64_t base, uint32_t count, uint32_t sequence, uint32_t position)
{
	if (partition->entry_count == partition->entry_capacity &&
		partition->first_entry > partition->entry_count / 2) {
		partition->entry_count -= partition->first_entry;
		memmove(partition->entries, partition->entries + partition->first_entry,
			partition->entry_count * sizeof *partition->entries);
		partition->first_entry = 0;
	}
	WEIR_GROW(partition->entries, partition->entry_count, partition->entry_capacity);
	partition->entries[partition->entry_count++] = (struct bus_entry){base << 12 | count, sequence, position};
}

const struct bus_entry *bus_partition_lookup(const struct bus_partition *partition, uint64_t offset)
{
	size_t low = partition->first_entry, high = partition->entry_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (bus_entry_end(&partition->entries[middle]) <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == partition->entry_count || bus_entry_base(&partition->entries[low]) > offset)
		return NULL;
	return &partition->entries[low];
}

void bus_partition_release(struct bus *bus, struct bus_partition *partition, uint64_t upto)
{
	while (partition->first_entry < partition->entry_count) {
		const struct bus_entry *entry = &partition->entries[partition->first_entry];
		if (bus_entry_end(entry) > upto)
			break;
		struct bus_segment *segment = bus_segment_find(bus, entry->sequence);
		WEIR_ASSERT(segment != NULL && segment->live_blocks > 0);
		segment->live_blocks--;
		segment->has_released = true;
		partition->first_entry++;
	}
	if (partition->first_entry == partition->entry_count) {
		free(partition->entries);
		partition->entries = NULL;
		partition->first_entry = partition->entry_count = partition->entry_capacity = 0;
	}
}

uint32_t bus_heads_encode(struct bus *bus, struct weir_buf *out)
{
	uint32_t count = 0;
	for (size_t i = 0; i < BUS_BUCKETS; i++) {
		for (const struct bus_partition *at = bus->buckets[i]; at != NULL; at = at->next, count++) {
			weir_buf_u16(out, (uint16_t)at->stream.size);
			weir_buf_append(out, at->stream.data, at->stream.size);
			weir_buf_u32(out, at->partition);
			weir_buf_u64(out, at->next_offset);
		}
	}
	return count;
}

int bus_heads_decode(struct bus *bus, struct weir_str frame, uint32_t count, struct weir_error *err)
{
	size_t at = 0;
	for (uint32_t i = 0; i < count; i++) {
		size_t size = frame.size - at >= 2 ? weir_le16(frame.data + at) : frame.size;
		if (size > BUS_NAME_MAX || frame.size - at < 14 + size)
			return weir_fail(err, WEIR_E_CORRUPT, "the table of heads ends early");
		struct weir_str stream = {frame.data + at + 2, size};
		uint32_t number = weir_le32(frame.data + at + 2 + size);
		uint64_t next = weir_le64(frame.data + at + 6 + size);
		struct bus_partition *partition;
		int status = bus_partition_get(bus, stream, number, &partition, err);
		if (status != 0)
			return status;
		if (next >= (uint64_t)1 << 52)
			return weir_fail(err, WEIR_E_CORRUPT, "an offset in the table of heads is out of range");
		if (next > partition->next_offset)
			partition->next_offset = partition->assigned = next;
		at += 14 + size;
	}
	return at == frame.size ? 0 : weir_fail(err, WEIR_E_CORRUPT, "bytes are left after the table of heads");
}
