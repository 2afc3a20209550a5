/* The audit: a stream of the log (durable before an answer's first byte), then a table like any other. */
#include "access/access_int.h"
#include "base/json.h"

struct weir_str access_audit_subject(struct weir_str purpose, struct weir_str subject)
{
	/* docs/reference/audit.md: the purposes under which an audit may name the subject in full; all others see null. */
	static const char *const full[] = {"user_view", "provider", "data_sync", "admin", "coaching"};
	for (unsigned i = 0; i < sizeof full / sizeof full[0]; i++)
		if (weir_str_is(purpose, full[i]))
			return subject;
	return WEIR_STR("");
}

static void key_or_null(struct weir_json *json, const char *name, struct weir_str text)
{
	weir_json_key(json, name);
	if (text.size > 0)
		weir_json_string(json, text);
	else
		weir_json_null(json);
}

static void ignore_done(void *context, int status, uint64_t base_offset, const struct weir_error *err)
{
	(void)status;
	(void)base_offset;
	(void)err;
	bus_block_free(context);
}

int access_audit(struct access *access, const struct access_record *record, bool wait, struct weir_error *err)
{
	struct weir_buf text = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&text);
	int64_t now_us = weir_now_us(&access->config.clock);
	weir_json_object(&json);
	weir_json_key_int(&json, "at_us", now_us);
	weir_json_key_cstring(&json, "token", record->identity->id);
	weir_json_key_cstring(&json, "role", access_role_name(record->identity->role));
	key_or_null(&json, "consumer",
		record->identity->role == ACCESS_CONSUMER ? weir_str_from(record->identity->consumer) : WEIR_STR(""));
	weir_json_key_string(&json, "route", record->route);
	key_or_null(&json, "purpose", record->purpose);
	key_or_null(&json, "subject", record->subject);
	weir_json_key_uint(&json, "rows", record->rows);
	weir_json_key_uint(&json, "bytes", record->bytes);
	weir_json_key_cstring(&json, "outcome", record->outcome);
	weir_json_object_end(&json);
	struct bus_attributes attributes = {
		.stream = WEIR_STR("audit"), .channel = WEIR_STR("access"), .received_us = now_us};
	struct bus_block *block = bus_block_new(&attributes);
	struct codec_state *codecs = codec_state_new();
	bool added = bus_block_add(block, weir_buf_str(&text), NULL);
	WEIR_ASSERT(added);
	weir_buf_done(&text);
	int status = bus_block_seal(block, codecs, err);
	codec_state_free(codecs);
	if (status == 0 && !wait) {
		status = bus_append(access->config.bus, &block, 1, ignore_done, block, err);
		if (status == 0)
			return 0;
	} else if (status == 0) {
		status = bus_append_wait(access->config.bus, &block, 1, NULL, err);
	}
	bus_block_free(block);
	return status;
}
