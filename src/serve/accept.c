/* Choosing by what a client accepts (RFC 9110, section 12.5). Pure. */
#include "serve/serve_int.h"

#include <strings.h>

/* Cuts off and returns what stands before the separator. */
static struct weir_str take(struct weir_str *rest, char separator)
{
	const char *at = rest->size > 0 ? memchr(rest->data, separator, rest->size) : NULL;
	struct weir_str part = {rest->data, at != NULL ? (size_t)(at - rest->data) : rest->size};
	size_t skip = part.size + (at != NULL ? 1 : 0);
	*rest = (struct weir_str){skip > 0 ? rest->data + skip : rest->data, rest->size - skip};
	return weir_str_trim(part);
}

static bool same(struct weir_str a, const char *b)
{
	return a.size == strlen(b) && strncasecmp(a.data, b, a.size) == 0;
}

/* q as thousandths; what cannot be read counts as 1000. */
static int weight(struct weir_str parameters)
{
	while (parameters.size > 0) {
		struct weir_str parameter = take(&parameters, ';');
		double q;
		if (parameter.size > 2 && (parameter.data[0] == 'q' || parameter.data[0] == 'Q') &&
			parameter.data[1] == '=' &&
			weir_str_to_double((struct weir_str){parameter.data + 2, parameter.size - 2}, &q) && q >= 0 &&
			q <= 1)
			return (int)(q * 1000);
	}
	return 1000;
}

bool accept_gzip(struct weir_str accept_encoding)
{
	int gzip = -1, any = -1;
	while (accept_encoding.size > 0) {
		struct weir_str item = take(&accept_encoding, ',');
		struct weir_str coding = take(&item, ';');
		if (same(coding, "gzip") || same(coding, "x-gzip"))
			gzip = weight(item);
		else if (same(coding, "*"))
			any = weight(item);
	}
	return gzip >= 0 ? gzip > 0 : any > 0;
}

/* How well a range of an Accept header fits a type: 0 not at all, 1 by any, 2 by its kind, 3 exactly. */
static int fits(struct weir_str range, const char *type)
{
	if (same(range, type))
		return 3;
	if (same(range, "*/*"))
		return 1;
	const char *slash = strchr(type, '/');
	size_t kind = (size_t)(slash - type) + 1;
	return range.size == kind + 1 && range.data[kind] == '*' && strncasecmp(range.data, type, kind) == 0 ? 2 : 0;
}

int accept_choose(struct weir_str accept, const char *const *offered, unsigned count)
{
	if (weir_str_trim(accept).size == 0)
		return 0;
	int best = -1, best_weight = 0;
	for (unsigned i = 0; i < count; i++) {
		/* The most specific range that fits says the weight (RFC 9110, section 12.5.1). */
		struct weir_str rest = accept;
		int closest = 0, type_weight = 0;
		while (rest.size > 0) {
			struct weir_str item = take(&rest, ',');
			struct weir_str range = take(&item, ';');
			int fit = fits(range, offered[i]);
			if (fit > closest) {
				closest = fit;
				type_weight = weight(item);
			}
		}
		if (closest > 0 && type_weight > best_weight) {
			best = (int)i;
			best_weight = type_weight;
		}
	}
	return best;
}

bool accept_is(struct weir_str content_type, const char *type)
{
	return same(take(&content_type, ';'), type);
}
