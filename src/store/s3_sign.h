/*
 * AWS Signature Version 4, for S3 ("Authenticating Requests (AWS Signature Version 4)", Amazon S3 API reference): pure,
 * no I/O. Also the percent-encoding that it asks for, which URLs are made with.
 */
#ifndef WEIR_STORE_S3_SIGN_H
#define WEIR_STORE_S3_SIGN_H

#include "base/arena.h"
#include "base/buf.h"
#include "net/http.h"

struct s3_param {
	struct weir_str name, value; /* decoded */
};

struct s3_signing {
	const char *method;
	struct weir_str host; /* as the Host header has it */
	struct weir_str path; /* encoded, with its first slash */
	const struct s3_param *params;
	uint32_t param_count;
	const struct http_header *headers; /* all are signed; names in lower case */
	uint32_t header_count;
	struct weir_str payload_hash;                                  /* SHA-256 in hexadecimal, or UNSIGNED-PAYLOAD */
	struct weir_str region, access_key, secret_key, session_token; /* session_token size 0: none */
	struct weir_str service;                                       /* size 0: s3 */
	int64_t now_us;
};

#define S3_TIME_SIZE 17 /* "20130524T000000Z" and a zero byte */

/* Letters, digits, "-", ".", "_", "~" as they are, the rest as %XX; slashes too, unless kept. */
void s3_encode(struct weir_buf *out, struct weir_str text, bool keep_slashes);
/* "a=1&b=x%20y", sorted as the signature wants them. */
void s3_encode_params(struct weir_buf *out, const struct s3_param *params, uint32_t count);
void s3_time(int64_t now_us, char ret_text[S3_TIME_SIZE]);
/* The value of the Authorization header, in arena. host is signed too, and need not be among the headers; a session's token
 * is among them already. */
struct weir_str s3_authorization(struct weir_arena *arena, const struct s3_signing *signing);
/* The query of a URL that carries its signature; signing->headers are what its user has to send as well. */
struct weir_str s3_presigned_query(struct weir_arena *arena, const struct s3_signing *signing, uint32_t seconds);

#endif
