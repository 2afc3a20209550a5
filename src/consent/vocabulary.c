/* Look-ups in a vocabulary, and the names of operators. A vocabulary is small: linear searches do. */
#include "consent/model.h"

static int find(const struct weir_str *names, uint32_t count, struct weir_str name)
{
	for (uint32_t i = 0; i < count; i++)
		if (weir_str_equal(names[i], name))
			return (int)i;
	return -1;
}

int consent_purpose_index(const struct consent_vocabulary *vocabulary, struct weir_str purpose)
{
	return find(vocabulary->purposes, vocabulary->purpose_count, purpose);
}

int consent_purpose_any(const struct consent_vocabulary *vocabulary, struct weir_str purpose)
{
	return find(vocabulary->purposes, vocabulary->purpose_count + vocabulary->retired_count, purpose);
}

uint64_t consent_purposes_active(const struct consent_vocabulary *vocabulary)
{
	uint32_t count = vocabulary->purpose_count;
	return count >= 64 ? UINT64_MAX : ((uint64_t)1 << count) - 1;
}

int consent_dimension_index(const struct consent_vocabulary *vocabulary, struct weir_str name)
{
	for (uint32_t i = 0; i < vocabulary->dimension_count; i++)
		if (weir_str_equal(vocabulary->dimensions[i].name, name))
			return (int)i;
	return -1;
}

const char *consent_operator_name(enum consent_operator op)
{
	static const char *const names[CONSENT_OPERATORS] = {
		"IN", "NOT_IN", "EQUALS", "NOT_EQUALS", "BETWEEN", "LT", "LE", "GT", "GE", "EXISTS"};
	return op < CONSENT_OPERATORS ? names[op] : "?";
}
