/*
 * A lake's description: lake.yaml, read and checked whole, with everything it refers to (schemas,
 * SQL files, lookups) found and read. No I/O but reading these files. Everything lives in the lake's
 * own arena and is immutable. docs/reference/lake-yaml.md describes each key.
 *
 * Errors name file, line, column, value and the nearest valid key.
 */
#ifndef WEIR_LAKE_LAKE_H
#define WEIR_LAKE_LAKE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

struct lake_lookup {
	struct weir_str name;
	const char *path; /* CSV, absolute */
};

enum lake_channel_kind { LAKE_LIVE, LAKE_HISTORY }; /* only live channels move the watermark */
struct lake_channel {
	struct weir_str name; /* "api", "batch", "file"; "dlq" is always there, of kind history */
	enum lake_channel_kind kind;
};

struct lake_input {
	struct weir_str name;
	const struct weir_str *formats; /* "json", "ndjson", "csv", "parquet", "fit", "tcx", "gpx" */
	uint32_t format_count;
	const struct weir_str *when; /* members that a JSON document must have */
	uint32_t when_count;
	struct weir_str sql, sql_path; /* text and path; "" where the input's rows are events already */
	const struct weir_str *ask;    /* columns that the caller gives: ?COLUMN=, --set COLUMN= */
	uint32_t ask_count;
};

struct lake_stream {
	struct weir_str name;
	struct weir_str schema_path, schema; /* JSON Schema text */
	struct weir_str id, key, time;       /* column names */
	int64_t dedup_us;
	int64_t late_delay_us, late_allowed_us, late_idle_us, late_max_ahead_us;
	bool beyond_dead_letter; /* beyond: dead_letter; else keep */
	int64_t epoch_every_us;
	uint64_t epoch_bytes;
	const struct lake_channel *channels;
	uint32_t channel_count;
	const struct lake_input *inputs;
	uint32_t input_count;
};

/* "day(timestamp)", "purpose", "bucket(16, subject)" as written: transform "identity", "day", ... */
struct lake_partition {
	struct weir_str transform; /* as Iceberg names it: "identity", "day", "bucket[16]" */
	struct weir_str column;
};

enum lake_table_kind { LAKE_RAW, LAKE_SILVER, LAKE_GOLD, LAKE_HISTORY_OF };
struct lake_table {
	struct weir_str ns, name; /* "gold", "visits" */
	enum lake_table_kind kind;
	uint32_t stream; /* index of the stream that it descends from */
	uint32_t
		from; /* index of the table that it is made from (SILVER: that of the raw one, GOLD: silver, HISTORY: gold) */
	struct weir_str sql, sql_path; /* SILVER: the transform; GOLD: its columns */
	uint32_t consent;              /* GOLD, HISTORY: index of the consent section */
	const struct lake_partition *partition, *landing;
	uint32_t partition_count, landing_count; /* landing_count 0: there is no landing spec */
	const struct weir_str *sort;
	uint32_t sort_count;
	uint64_t file_target_bytes, own_partition_from_bytes;
	uint32_t keep_snapshots;
	int64_t keep_us; /* 0: for ever */
	const struct weir_str *readers;
	uint32_t reader_count;
};

enum lake_dimension_kind { LAKE_DIM_TEXT, LAKE_DIM_NUMBER, LAKE_DIM_BOOLEAN, LAKE_DIM_TIME, LAKE_DIM_METRICS };
struct lake_dimension {
	struct weir_str name, column, until, map; /* size 0 where not given */
	enum lake_dimension_kind kind;
	const struct weir_str *columns; /* metrics */
	uint32_t column_count;
};

struct lake_consent {
	struct weir_str name, subject;
	const struct weir_str *purposes;
	uint32_t purpose_count;
	const struct lake_dimension *dimensions;
	uint32_t dimension_count;
	int64_t erase_within_us;
};

/* activity: activity  ->  parameter "activity", column "activity", op "="; startDate: "timestamp >=" */
struct lake_where {
	struct weir_str parameter, column, op; /* "=", ">=", "<=" */
};
struct lake_query {
	struct weir_str route; /* "/api/query" */
	uint32_t table;
	const struct weir_str *order;
	uint32_t order_count;
	uint32_t limit_default, limit_max;
	const struct lake_where *where;
	uint32_t where_count;
};

/* A warehouse in a bucket. NULL where lake.yaml does not say: then the environment does. */
enum lake_s3_style { LAKE_S3_BY_HOST, LAKE_S3_PATH, LAKE_S3_VIRTUAL };
struct lake_s3 {
	const char *bucket, *prefix; /* prefix "": the whole bucket */
	const char *endpoint, *region;
	enum lake_s3_style style;
	const char *access_key, *secret_key, *session_token;
	const char *sts_endpoint, *sts_role; /* of the service that gives clients keys of their own */
	uint64_t cache_bytes;                /* of local copies; 0: the default */
};

/* Upkeep of the tables that others create through the catalog (jobs/maintain.h); their own properties go before it. */
struct lake_maintain {
	int64_t every_us; /* how often each is looked at; 0: they are left alone */
	uint64_t target_bytes;
	uint32_t snapshots_keep; /* of each branch */
	int64_t snapshot_age_us; /* how long a snapshot is kept at least, */
	int64_t readers_us;      /* and how long after another took its place */
	int64_t orphans_us;      /* how old a file is that no version names, before it is removed */
};
#define LAKE_MAINTAIN_DEFAULT \
	((struct lake_maintain){600000000LL, 128U << 20, 1, 5 * 86400000000LL, 3600000000LL, 3 * 86400000000LL})
#define LAKE_MAINTAIN_EVERY_LEAST_US   1000000LL    /* a second */
#define LAKE_MAINTAIN_ORPHANS_LEAST_US 3600000000LL /* an hour: a writer's files wait that long for its commit */

struct lake {
	struct weir_arena *arena;
	struct weir_str name;
	const char *directory;    /* absolute, of lake.yaml */
	const char *path;         /* of lake.yaml, as given */
	const char *data;         /* DIR */
	struct weir_str listen;   /* "127.0.0.1:8080" */
	const char *warehouse;    /* absolute path, ${DATA} resolved; or "s3://BUCKET/PREFIX" */
	const struct lake_s3 *s3; /* NULL: a directory */
	const char *control;      /* absolute path of the SQLite file, or "postgresql://..." with its references */
	uint32_t log_partitions;
	const struct lake_lookup *lookups;
	const struct lake_stream *streams;
	const struct lake_table *tables; /* in order: a table comes after the one it is made from */
	const struct lake_consent *consents;
	const struct lake_query *queries;
	uint32_t lookup_count, stream_count, table_count, consent_count, query_count;
	struct lake_maintain maintain;
};

/* path: a folder with lake.yaml, or the file. data_directory NULL: ./weir-data/NAME. ${DATA}, ${env:NAME} and ${file:PATH} are resolved. */
int lake_read(const char *path, const char *data_directory, struct lake **ret_lake, struct weir_error *err);
void lake_free(struct lake *lake);
/* Index, or UINT32_MAX. */
uint32_t lake_find_stream(const struct lake *lake, struct weir_str name);
uint32_t lake_find_table(const struct lake *lake, struct weir_str ns, struct weir_str name);
/* The table of a kind that descends from a stream, or UINT32_MAX. */
uint32_t lake_stream_table(const struct lake *lake, uint32_t stream, enum lake_table_kind kind);

#endif
