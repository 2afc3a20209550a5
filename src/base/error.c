#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_object(struct weir_error *err, struct weir_str object)
{
	size_t size = object.size < sizeof err->object - 1 ? object.size : sizeof err->object - 1;
	if (size > 0)
		memcpy(err->object, object.data, size);
	err->object[size] = '\0';
}

__attribute__((format(printf, 5, 0))) static int fail_v(
	struct weir_error *err, int code, struct weir_str object, uint64_t offset, const char *format, va_list args)
{
	WEIR_ASSERT(code < 0);
	if (err == NULL)
		return code;
	char message[sizeof err->message];
	vsnprintf(message, sizeof message, format, args);
	err->code = code;
	err->offset = offset;
	set_object(err, object);
	memcpy(err->message, message, sizeof message);
	return code;
}

int weir_fail(struct weir_error *err, int code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fail_v(err, code, (struct weir_str){NULL, 0}, WEIR_ERROR_NO_OFFSET, format, args);
	va_end(args);
	return code;
}

int weir_fail_at(struct weir_error *err, int code, struct weir_str object, uint64_t offset, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fail_v(err, code, object, offset, format, args);
	va_end(args);
	return code;
}

int weir_fail_errno(struct weir_error *err, int error_number, struct weir_str object, const char *operation)
{
	int code = error_number == ENOENT ? WEIR_E_NOT_FOUND
		: error_number == EEXIST  ? WEIR_E_EXISTS
		: error_number == ENOMEM  ? WEIR_E_NO_MEMORY
					  : WEIR_E_IO;
	char reason[128];
	const char *text = strerror_r(error_number, reason, sizeof reason);
	return weir_fail_at(err, code, object, WEIR_ERROR_NO_OFFSET, "cannot %s: %s", operation, text);
}

int weir_error_wrap(struct weir_error *err, int code, const char *format, ...)
{
	if (code == 0 || err == NULL)
		return code;
	char text[sizeof err->message * 2];
	va_list args;
	va_start(args, format);
	int size = vsnprintf(text, sizeof err->message, format, args);
	va_end(args);
	if (size < 0 || (size_t)size >= sizeof err->message)
		size = (int)sizeof err->message - 1;
	snprintf(text + size, sizeof text - (size_t)size, ": %s", err->message);
	memcpy(err->message, text, sizeof err->message - 1);
	err->message[sizeof err->message - 1] = '\0';
	err->code = code;
	return code;
}

int weir_error_in(struct weir_error *err, int code, struct weir_str object)
{
	if (code != 0 && err != NULL && err->object[0] == '\0')
		set_object(err, object);
	return code;
}

const char *weir_error_text(const struct weir_error *err, char *buffer, size_t size)
{
	if (err->object[0] == '\0')
		snprintf(buffer, size, "%s", err->message);
	else if (err->offset == WEIR_ERROR_NO_OFFSET)
		snprintf(buffer, size, "%s: %s", err->object, err->message);
	else
		snprintf(buffer, size, "%s at byte %llu: %s", err->object, (unsigned long long)err->offset,
			err->message);
	return buffer;
}

bool weir_error_retriable(const struct weir_error *err)
{
	return err->code == WEIR_E_BUSY || err->code == WEIR_E_CONFLICT || err->code == WEIR_E_IO;
}

const char *weir_code_name(int code)
{
	static const char *const names[] = {"ok", "input", "not_found", "exists", "conflict", "busy", "io", "corrupt",
		"unsupported", "limit", "no_memory", "unknown", "denied", "cancelled", "internal"};
	size_t index = code <= 0 ? (size_t)-code : 0;
	return index < sizeof names / sizeof names[0] ? names[index] : "internal";
}

void weir_assert_failed(const char *condition, const char *file, int line)
{
	fprintf(stderr, "weir: %s:%d: this must hold and does not: %s\n", file, line, condition);
	abort();
}
