/*
 * A control database's URL on PostgreSQL. Secrets are not written in it: ${env:NAME} and ${file:PATH} stand for them,
 * and are percent-encoded where they are put in, so that any byte may be in a password. The URL is read twice: once
 * with each reference as a mark that no text holds, by which a password that stands there itself is found and refused.
 */
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "control/postgres_int.h"

#define MARK                "\001"
#define URL_PARAMETERS_MOST 64
#define SECRET_BYTES_MOST   65536

static void put_encoded(struct weir_buf *out, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		weir_buf_printf(out, "%%%02x", (unsigned)(unsigned char)data[i]);
}

/* What the reference between the braces stands for. */
static int put_reference(struct weir_str inner, struct weir_buf *out, struct weir_error *err)
{
	char name[1024];
	size_t skip = weir_str_has_prefix(inner, WEIR_STR("env:")) ? 4
		: weir_str_has_prefix(inner, WEIR_STR("file:"))    ? 5
								   : 0;
	if (skip == 0 || inner.size - skip >= sizeof name)
		return weir_fail(err, WEIR_E_INPUT,
			"the control database's URL has an unknown reference; known: ${env:NAME}, ${file:PATH}");
	memcpy(name, inner.data + skip, inner.size - skip);
	name[inner.size - skip] = '\0';
	if (skip == 4) {
		const char *value = getenv(name);
		if (value == NULL)
			return weir_fail(err, WEIR_E_NOT_FOUND,
				"the environment has no variable '%s', which the control database's URL names; set it",
				name);
		put_encoded(out, value, strlen(value));
		return 0;
	}
	char *data = NULL;
	size_t size = 0;
	int status = weir_os_read_all(weir_os_real(), name, SECRET_BYTES_MOST, &data, &size, err);
	if (status != 0)
		return weir_error_wrap(err, status, "a secret of the control database's URL");
	while (size > 0 && (data[size - 1] == '\n' || data[size - 1] == '\r'))
		size--;
	put_encoded(out, data, size);
	explicit_bzero(data, size);
	free(data);
	return 0;
}

/* The URL with its references resolved, or each as MARK. */
static int expand(const char *url, bool mark, struct weir_buf *out, struct weir_error *err)
{
	for (const char *at = url; *at != '\0';) {
		const char *begin = strstr(at, "${"), *end = begin != NULL ? strchr(begin, '}') : NULL;
		if (end == NULL) {
			weir_buf_puts(out, at);
			return 0;
		}
		weir_buf_append(out, at, (size_t)(begin - at));
		int status = 0;
		if (mark)
			put_encoded(out, MARK, 1);
		else
			status = put_reference((struct weir_str){begin + 2, (size_t)(end - begin - 2)}, out, err);
		if (status != 0)
			return status;
		at = end + 1;
	}
	return 0;
}

/* libpq's own message would quote the URL. */
static int parse(const char *url, bool mark, PQconninfoOption **ret_options, struct weir_error *err)
{
	struct weir_buf text = WEIR_BUF_INIT;
	char *message = NULL;
	int status = expand(url, mark, &text, err);
	if (status == 0) {
		*ret_options = PQconninfoParse(weir_buf_cstr(&text), &message);
		if (*ret_options == NULL)
			status = weir_fail(err, WEIR_E_INPUT,
				"the control database's URL cannot be read; write "
				"postgresql://USER:${env:NAME}@HOST:PORT/DATABASE"
				" and parameters that libpq knows");
	}
	if (message != NULL)
		explicit_bzero(message, strlen(message));
	PQfreemem(message);
	if (text.size > 0)
		explicit_bzero(text.data, text.size);
	weir_buf_done(&text);
	return status;
}

static int refuse_secrets(const char *url, struct weir_error *err)
{
	PQconninfoOption *options = NULL;
	int status = parse(url, true, &options, err);
	for (const PQconninfoOption *option = options; status == 0 && option->keyword != NULL; option++)
		if (strchr(option->dispchar, '*') != NULL && option->val != NULL && strcmp(option->val, MARK) != 0)
			status = weir_fail(err, WEIR_E_INPUT,
				"a %s stands in the control database's URL; write ${env:NAME} or ${file:PATH} in its "
				"place",
				option->keyword);
	PQconninfoFree(options);
	return status;
}

/* What holds where the URL says nothing: a peer that vanished is noticed within half a minute. */
static const struct {
	const char *keyword, *value;
} defaults[] = {
	{"application_name", "weir"},
	{"connect_timeout", "10"},
	{"keepalives_idle", "10"},
	{"keepalives_interval", "5"},
	{"keepalives_count", "3"},
	{"tcp_user_timeout", "25000"},
};

static void set(struct postgres_parameters *parameters, size_t *count, const char *keyword, const char *value)
{
	WEIR_ASSERT(*count < URL_PARAMETERS_MOST - 1);
	parameters->keywords[*count] = keyword;
	parameters->values[(*count)++] = weir_arena_cstr(parameters->arena, weir_str_from(value));
}

int postgres_parameters_init(const char *url, struct postgres_parameters *ret, struct weir_error *err)
{
	PQconninfoOption *options = NULL;
	int status = refuse_secrets(url, err);
	if (status == 0)
		status = parse(url, false, &options, err);
	if (status != 0)
		return status;
	*ret = (struct postgres_parameters){.arena = weir_arena_new(4096)};
	ret->keywords = weir_arena_calloc(ret->arena, URL_PARAMETERS_MOST, sizeof *ret->keywords);
	ret->values = weir_arena_calloc(ret->arena, URL_PARAMETERS_MOST, sizeof *ret->values);
	size_t count = 0;
	/* Readers ask the server that is written to as well: a standby is behind it. */
	set(ret, &count, "target_session_attrs", "read-write");
	set(ret, &count, "client_encoding", "UTF8");
	for (PQconninfoOption *option = options; option->keyword != NULL; option++) {
		const char *value = option->val;
		for (size_t i = 0; value == NULL && i < sizeof defaults / sizeof defaults[0]; i++)
			if (strcmp(defaults[i].keyword, option->keyword) == 0)
				value = defaults[i].value;
		if (value != NULL && strcmp(option->keyword, "target_session_attrs") != 0 &&
			strcmp(option->keyword, "client_encoding") != 0)
			set(ret, &count, weir_arena_cstr(ret->arena, weir_str_from(option->keyword)), value);
		if (option->val != NULL)
			explicit_bzero(option->val, strlen(option->val));
	}
	PQconninfoFree(options);
	return 0;
}

void postgres_parameters_done(struct postgres_parameters *parameters)
{
	for (size_t i = 0; parameters->keywords[i] != NULL; i++)
		explicit_bzero(parameters->values[i], strlen(parameters->values[i]));
	weir_arena_free(parameters->arena);
}
