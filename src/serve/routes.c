/* The table of routes. Each row says all that the router, admission, /openapi.json and the body's limits need. */
#include "serve/iceberg.h"

#define ADMIN  SERVE_OPERATOR
#define WATCH  (SERVE_OPERATOR | SERVE_AUDITOR)
#define RULES  (SERVE_OPERATOR | SERVE_SUBJECT)
#define WRITE  (SERVE_OPERATOR | SERVE_INGEST)
#define NONE   SERVE_NO_BODY, 0
#define EVENTS SERVE_MEMORY, SERVE_BODY_BYTES
#define SMALL  SERVE_MEMORY, SERVE_SMALL_BODY_BYTES
#define UPLOAD SERVE_FILE, SERVE_BATCH_BYTES

static const struct serve_route own_routes[] = {
	{"GET", "/", ADMIN, SERVE_INLINE, NONE, at_page, "The page", NULL, 0},
	{"GET", "/health", SERVE_ANYONE, SERVE_INLINE, NONE, at_health, "The process runs", "", 0},
	{"GET", "/ready", SERVE_ANYONE, SERVE_INLINE, NONE, at_ready, "Events are taken", "", 0},
	{"GET", "/openapi.json", WATCH, SERVE_INLINE, NONE, at_openapi, "This description", "", 0},
	{"GET", "/metrics", WATCH, SERVE_SHORT, NONE, at_metrics, "Prometheus metrics", "", 0},

	{"POST", "/api/ingest", WRITE, SERVE_INLINE, EVENTS, at_ingest, "One event, an array, or NDJSON", "stream", 0},
	/* Further parameters are what the lake's inputs ask for. */
	{"POST", "/api/ingest/batch", WRITE, SERVE_LONG, UPLOAD, at_ingest_batch,
		"A file: multipart field `file`, or raw with ?filename=", "stream filename", 0},

	{"POST", "/api/consent/rules", RULES, SERVE_SHORT, EVENTS, at_rules_post,
		"Post consent rules: one, an array, or NDJSON", "consent", 0},
	{"GET", "/api/consent/rules/{subject}", RULES | SERVE_AUDITOR, SERVE_SHORT, NONE, at_rules_get,
		"A subject's rules and withdrawals", "consent", 0},
	{"DELETE", "/api/consent/rules/{subject}", RULES, SERVE_SHORT, NONE, at_rules_delete,
		"Remove the rule that ?ruleId= names", "consent ruleId", 0},
	{"DELETE", "/api/consent/rules/{subject}/{purpose}", RULES, SERVE_SHORT, NONE, at_rule_withdraw,
		"Withdraw the consent to a purpose", "consent", 0},
	{"GET", "/api/consent/changes/{lsn}", RULES | SERVE_AUDITOR, SERVE_SHORT, NONE, at_change,
		"How far a consent change is", "consent", 0},
	{"POST", "/api/consent/explain", WATCH, SERVE_SHORT, SMALL, at_explain,
		"Why an event is permitted for a purpose, or not", "consent purpose", 0},

	{"GET", "/api/status", WATCH, SERVE_SHORT, NONE, at_status, "What the page shows", "", 0},
	{"GET", "/api/subjects/{subject}/rows", WATCH | SERVE_SUBJECT, SERVE_SHORT, NONE, at_subject_rows,
		"A subject's rows in gold, by purpose", "consent", 0},

	{"POST", "/api/admin/sql", ADMIN, SERVE_LONG, SMALL, at_sql, "Run one SELECT over the tables", "as", 0},
	{"GET", "/api/admin/tables", ADMIN, SERVE_SHORT, NONE, at_tables, "The tables", "", 0},
	{"GET", "/api/admin/tables/{table}/snapshots", ADMIN, SERVE_SHORT, NONE, at_snapshots, "A table's snapshots",
		"", 0},
	{"GET", "/api/admin/tables/{table}/files", ADMIN, SERVE_SHORT, NONE, at_files, "A table's live data files", "",
		0},
	{"GET", "/api/admin/dead-letters", ADMIN, SERVE_LONG, NONE, at_letters, "Dead letters, newest first", "limit",
		0},
	{"GET", "/api/admin/dead-letters/{id}", ADMIN, SERVE_LONG, NONE, at_letter, "One dead letter with its payload",
		"", 0},
	{"POST", "/api/admin/dead-letters/replay", ADMIN, SERVE_LONG, SMALL, at_replay, "Send dead letters in again",
		"", 0},
	{"GET", "/api/admin/tokens", ADMIN, SERVE_SHORT, NONE, at_tokens, "The tokens, without their secrets", "", 0},
	{"POST", "/api/admin/tokens", ADMIN, SERVE_SHORT, SMALL, at_token_create,
		"Make a token; its secret is shown once", "", 0},
	{"DELETE", "/api/admin/tokens/{id}", ADMIN, SERVE_SHORT, NONE, at_token_revoke, "Revoke a token", "", 0},
	{"POST", "/api/admin/check", ADMIN, SERVE_LONG, NONE, at_check, "Prove the lake sound", "", 0},
	{"POST", "/api/admin/settle", ADMIN, SERVE_LONG, NONE, at_settle,
		"Wait until what was acknowledged is committed and re-indexed", "compacted", 0},
};

static bool has_word(const struct weir_buf *words, struct weir_str word)
{
	for (size_t at = 0; at < words->size;) {
		const char *space = memchr(words->data + at, ' ', words->size - at);
		size_t size = space != NULL ? (size_t)(space - words->data) - at : words->size - at;
		if (weir_str_equal((struct weir_str){words->data + at, size}, word))
			return true;
		at += size + 1;
	}
	return false;
}

static void add_word(struct weir_buf *words, struct weir_str word)
{
	if (!has_word(words, word))
		weir_buf_printf(words, "%s%.*s", words->size > 0 ? " " : "", WEIR_STR_ARG(word));
}

static const char *take_words(struct weir_buf *words, struct weir_arena *arena)
{
	const char *text = weir_arena_cstr(arena, weir_buf_str(words));
	weir_buf_done(words);
	return text;
}

/* Of /api/ingest/batch: its own, and what any input of the lake asks for. */
static const char *batch_parameters(const struct lake *lake, const char *own, struct weir_arena *arena)
{
	struct weir_buf words = WEIR_BUF_INIT;
	weir_buf_puts(&words, own);
	for (uint32_t i = 0; i < lake->stream_count; i++) {
		for (uint32_t j = 0; j < lake->streams[i].input_count; j++) {
			const struct lake_input *input = &lake->streams[i].inputs[j];
			for (uint32_t k = 0; k < input->ask_count; k++)
				add_word(&words, input->ask[k]);
		}
	}
	return take_words(&words, arena);
}

static const char *query_parameters(const struct lake_query *query, struct weir_arena *arena)
{
	struct weir_buf words = WEIR_BUF_INIT;
	weir_buf_puts(&words, "purpose");
	for (uint32_t i = 0; i < query->where_count; i++)
		add_word(&words, query->where[i].parameter);
	weir_buf_puts(&words, " columns limit cursor explain");
	return take_words(&words, arena);
}

void routes_fill(struct router *router, const struct lake *lake, struct weir_arena *arena)
{
	memcpy(router->routes, own_routes, sizeof own_routes);
	router->count = sizeof own_routes / sizeof own_routes[0];
	iceberg_routes_fill(router);
	if (lake == NULL)
		return;
	for (uint32_t i = 0; i < router->count; i++) {
		struct serve_route *route = &router->routes[i];
		if (route->handler == at_ingest_batch)
			route->parameters = batch_parameters(lake, route->parameters, arena);
	}
	for (uint32_t i = 0; i < lake->query_count && router->count < SERVE_ROUTES; i++) {
		const struct lake_query *query = &lake->queries[i];
		router->routes[router->count++] = (struct serve_route){
			.method = "GET",
			.pattern = weir_arena_cstr(arena, query->route),
			.roles = SERVE_CONSUMER,
			.run = SERVE_QUERY,
			.handler = at_query,
			.summary = "Rows that the token's purposes permit",
			.parameters = query_parameters(query, arena),
			.query = i,
		};
	}
}

void routes_fill_catalog(struct router *router)
{
	static const char *const kept[] = {
		"/health", "/ready", "/openapi.json", "/api/admin/tokens", "/api/admin/tokens/{id}"};
	router->count = 0;
	for (size_t i = 0; i < sizeof own_routes / sizeof own_routes[0]; i++)
		for (size_t j = 0; j < sizeof kept / sizeof kept[0]; j++)
			if (strcmp(own_routes[i].pattern, kept[j]) == 0)
				router->routes[router->count++] = own_routes[i];
	iceberg_routes_fill(router);
}
