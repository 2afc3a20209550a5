/*
 * Who may see what: the only door between serving and tables. Tokens, governed queries, the
 * operator's SQL, explanations, and the audit of each. Thread-safe.
 *
 * A governed read takes the fence first and the table's version second, leaves fenced rows out, and
 * looks at the fence again for each chunk; where it changed, the read goes on from its key on the newest version.
 * Each access is audited, durably, before its first byte leaves.
 */
#ifndef WEIR_ACCESS_ACCESS_H
#define WEIR_ACCESS_ACCESS_H

#include "base/json.h"
#include "bus/bus.h"
#include "consent/consent.h"
#include "control/control.h"
#include "iceberg/registry.h"
#include "lake/lake.h"
#include "sql/sql.h"

struct access;

struct access_config {
	const struct lake *lake;
	struct control *control;
	struct ice_registry *registry;   /* table i of the lake is table i of the registry */
	struct consent *const *consents; /* one a consent section */
	struct bus *bus;                 /* audit records: stream "audit" */
	struct weir_clock clock;
};
int access_open(const struct access_config *config, struct access **ret_access, struct weir_error *err);
void access_close(struct access *access);

/* ---- tokens ---- */
enum access_role { ACCESS_INGEST, ACCESS_SUBJECT, ACCESS_CONSUMER, ACCESS_AUDITOR, ACCESS_OPERATOR };
bool access_role_parse(struct weir_str name, enum access_role *ret_role);
const char *access_role_name(enum access_role role);

struct access_identity {
	char id[24];
	enum access_role role;
	char consumer[129]; /* of a consumer; the subject's id of role subject */
	uint64_t purposes;  /* of the first consent section's purposes */
};
/* The secret ("weir_" and 43 characters) is in arena and nowhere else: only its SHA-256 is stored. */
int access_token_create(struct access *access, enum access_role role, struct weir_str consumer,
	const struct weir_str *purposes, uint32_t purpose_count, struct weir_arena *arena, struct weir_str *ret_secret,
	struct access_identity *ret_identity, struct weir_error *err);
typedef void access_token_fn(
	void *context, const struct access_identity *identity, int64_t created_us, int64_t revoked_us);
int access_token_each(struct access *access, access_token_fn *token, void *context, struct weir_error *err);
int access_token_revoke(struct access *access, struct weir_str id, struct weir_error *err);
/* WEIR_E_DENIED where it is unknown or revoked; the same answer and the same work for both. */
int access_authenticate(
	struct access *access, struct weir_str secret, struct access_identity *ret_identity, struct weir_error *err);
/* The identity of the loopback operator. */
struct access_identity access_operator(void);

/* ---- governed queries ---- */
struct access_kv {
	struct weir_str key, value;
};
struct access_request {
	uint32_t query; /* index in the lake's queries */
	const struct access_identity *identity;
	const struct access_kv
		*parameters; /* of the URL: purpose, the lake's where parameters, columns, limit, cursor, explain */
	uint32_t parameter_count;
	struct weir_str source; /* the client's address, for the audit */
};

struct access_answer;
/*
 * Checks parameters (WEIR_E_INPUT names the parameter in err->object: 400), the purpose against the token (WEIR_E_DENIED: the one same 403),
 * plans, reads ahead the first chunk and audits. Then batches come in order (the lake's order), at most limit rows in all.
 */
int access_query(struct access *access, const struct access_request *request, struct access_answer **ret_answer,
	struct weir_error *err);
const struct weir_schema *access_answer_schema(const struct access_answer *answer);
/* The next batch, owned by itself; NULL at the end. */
int access_answer_next(struct access_answer *answer, struct weir_batch **ret_batch, struct weir_error *err);
/* After the end: the cursor for the rows that follow; size 0 where there are none. Borrowed. */
struct weir_str access_answer_cursor(const struct access_answer *answer);
/* Writes {"files": {"read", "skipped"}, "row_groups": ..., "pages": ..., "bytes": ...} for explain=true. */
void access_answer_explain(const struct access_answer *answer, struct weir_json *json);
bool access_answer_wants_explain(const struct access_answer *answer);
void access_answer_free(struct access_answer *answer);

/* Rows of a subject in gold, by purpose (counts[i] of purpose i), fence applied. */
int access_subject_rows(
	struct access *access, uint32_t consent, struct weir_str subject, uint64_t *ret_counts, struct weir_error *err);

/* ---- the operator's SQL: all layers, audited; history only for an auditor ---- */
struct access_sql;
int access_sql_open(struct access *access, struct sql *sql, struct weir_str text, bool as_auditor,
	struct access_sql **ret_sql, struct weir_error *err);
const struct weir_schema *access_sql_schema(const struct access_sql *query);
int access_sql_next(struct access_sql *query, struct weir_batch **ret_batch, struct weir_error *err);
void access_sql_free(struct access_sql *query);

/* ---- facts about tables, for status, metrics and `weir tables` ---- */
struct access_table_facts {
	struct weir_str ns, name;
	uint64_t rows, files, bytes, snapshots;
	int64_t snapshot_id, committed_ms;
	struct weir_str metadata_uri; /* in arena */
};
int access_table_facts(struct access *access, uint32_t table, struct weir_arena *arena,
	struct access_table_facts *ret_facts, struct weir_error *err);
/* Rows of a gold table by purpose, from manifests alone. */
int access_purpose_rows(struct access *access, uint32_t table, uint64_t *ret_counts, struct weir_error *err);

#endif
