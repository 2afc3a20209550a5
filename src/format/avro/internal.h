/* Shared by avro's own files: limits, and the schema parser. */
#ifndef WEIR_FORMAT_AVRO_INTERNAL_H
#define WEIR_FORMAT_AVRO_INTERNAL_H

#include "format/avro/avro.h"

#define AVRO_SYNC_BYTES        16
#define AVRO_SCHEMA_DEPTH_MAX  64           /* nesting of a schema */
#define AVRO_SCHEMA_TYPES_MAX  20000        /* types and fields of one schema */
#define AVRO_VALUE_DEPTH_MAX   64           /* nesting of a value; schemas may be recursive */
#define AVRO_RECORD_VALUES_MAX (4U << 20)   /* values of one record: 128 MiB decoded */
#define AVRO_BLOCK_BYTES_MAX   (256U << 20) /* one block, decompressed */
#define AVRO_METADATA_KEYS_MAX 1024
#define AVRO_BLOCK_BYTES       (64U << 10) /* a written block is at least this large */

/* The type of a schema document, in arena. object names the file in errors. */
int avro_schema_parse(struct weir_arena *arena, struct weir_str json, struct weir_str object,
	const struct avro_type **ret_type, struct weir_error *err);

/* Appends the decompressed block to out. codec is the value of avro.codec. */
int avro_block_decompress(struct weir_str codec, struct weir_str block, struct weir_buf *out, struct weir_error *err);
/* Appends the compressed block to out. */
int avro_block_compress(enum codec codec, struct weir_str block, struct weir_buf *out, struct weir_error *err);
/* Its name in avro.codec; NULL where Avro has none. */
const char *avro_codec_name(enum codec codec);

#endif
