/* Inside the door between serving and tables: tokens.c, audit.c, query.c (parameters), answer.c (reading), facts.c, statement.c (SQL). */
#ifndef WEIR_ACCESS_INT_H
#define WEIR_ACCESS_INT_H

#include <pthread.h>

#include "access/access.h"
#include "iceberg/sorted.h"

struct access {
	struct access_config config;
	pthread_mutex_t lock; /* the tokens' cache */
	struct access_cached_token *tokens;
	size_t token_count, token_capacity;
	uint64_t token_generation; /* of the cache; a revocation empties it */
};

/* One row of audit.access, before its log place is known. */
struct access_record {
	const struct access_identity *identity;
	struct weir_str route, purpose, subject; /* size 0: null */
	uint64_t rows, bytes;
	const char *outcome; /* "allowed", "denied", "sent", "failed" */
};
/* Durable on return where wait is true. */
int access_audit(struct access *access, const struct access_record *record, bool wait, struct weir_error *err);
/* The subject as the purpose's privacy rule lets the audit know it: full, or null. */
struct weir_str access_audit_subject(struct weir_str purpose, struct weir_str subject);

/* The checked parameters of a query. */
struct access_plan {
	const struct lake_query *query;
	uint32_t table;
	struct consent *consent;
	uint32_t purpose; /* its bit */
	struct weir_str purpose_name;
	struct weir_str subject; /* the value of an equality on the subject's column; size 0: none */
	struct expr_term *terms;
	uint32_t term_count;
	uint64_t limit;
	bool explain;
	struct weir_schema *schema; /* of the answer: the columns asked for */
	struct weir_schema
		*projection;     /* what is read: the answer's columns first, then order, fence and filter columns */
	struct weir_order order; /* in the projection */
	uint32_t subject_column, lsn_column; /* in the projection */
	struct weir_batch *after;            /* one row with the cursor's key in the projection; NULL: from the start */
};
/* Fills *ret_plan (in arena). WEIR_E_INPUT names the parameter in err->object; WEIR_E_DENIED for the purpose. */
int access_plan_query(struct access *access, const struct access_request *request, struct weir_arena *arena,
	struct access_plan **ret_plan, struct weir_error *err);
/* The cursor that continues after a row of the projection. */
struct weir_str access_cursor_text(
	const struct access_plan *plan, struct weir_arena *arena, const struct weir_batch *batch, uint32_t row);

#endif
