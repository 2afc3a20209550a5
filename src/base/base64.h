/*
 * Bytes as text: base64 with its padding (RFC 4648, section 4), and base64url without (section 5), which may stand in
 * a URL.
 */
#ifndef WEIR_BASE_BASE64_H
#define WEIR_BASE_BASE64_H

#include <stdbool.h>

#include "base/buf.h"

enum weir_base64 { WEIR_BASE64, WEIR_BASE64URL };

void weir_base64_write(struct weir_buf *out, enum weir_base64 kind, struct weir_str bytes);
/*
 * Appends the bytes of a text. False where a character is of another alphabet: out has the bytes of those before it.
 * Padding is of base64 alone, where it may be missing.
 */
bool weir_base64_read(struct weir_buf *out, enum weir_base64 kind, struct weir_str text);

#endif
