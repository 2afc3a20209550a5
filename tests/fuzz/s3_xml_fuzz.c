// uses: weir_store
/* XML that a server answers with: any bytes give elements in order, or an error. */
#include <stdlib.h>

#include "store/s3_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct state {
	unsigned depth;
};

static void on_element(void *context, bool begins, const char *parent, const char *name, struct weir_str text)
{
	struct state *state = context;
	(void)text;
	if ((!begins && state->depth == 0) || name[0] == '\0' ||
		(state->depth == (begins ? 0U : 1U)) != (parent[0] == '\0'))
		abort();
	state->depth += begins ? 1U : (unsigned)-1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state state = {0};
	if (s3_xml_read((struct weir_str){(const char *)data, size}, on_element, &state, NULL) == 0 && state.depth != 0)
		abort();
	return 0;
}
