/* Numbers, ids and times as text, fast: most of a generator's time goes here. Writers trust the room that gen.c made.
 */
#include "gen/gen_int.h"

char *gen_put(char *out, struct weir_str text)
{
	memcpy(out, text.data, text.size);
	return out + text.size;
}

char *gen_put_padded(char *out, uint64_t value, unsigned digits)
{
	char reversed[20];
	unsigned count = 0;
	do
		reversed[count++] = (char)('0' + value % 10);
	while ((value /= 10) != 0);
	for (unsigned i = count; i < digits; i++)
		*out++ = '0';
	while (count > 0)
		*out++ = reversed[--count];
	return out;
}

char *gen_put_uint(char *out, uint64_t value)
{
	return gen_put_padded(out, value, 1);
}

char *gen_put_decimal(char *out, int64_t value, unsigned decimals)
{
	uint64_t rest = value < 0 ? (uint64_t)-value : (uint64_t)value;
	if (value < 0)
		*out++ = '-';
	while (decimals > 0 && rest % 10 == 0) {
		rest /= 10;
		decimals--;
	}
	uint64_t unit = 1;
	for (unsigned i = 0; i < decimals; i++)
		unit *= 10;
	out = gen_put_uint(out, rest / unit);
	if (decimals == 0)
		return out;
	*out++ = '.';
	return gen_put_padded(out, rest % unit, decimals);
}

static char *put_hex(char *out, uint64_t value, unsigned digits)
{
	static const char hex[] = "0123456789abcdef";
	for (unsigned i = digits; i-- > 0;)
		*out++ = hex[value >> (4 * i) & 15];
	return out;
}

char *gen_put_uuid(char *out, const uint64_t id[2])
{
	uint64_t high = (id[0] & ~0xf000ULL) | 0x4000ULL;
	uint64_t low = (id[1] & ~(3ULL << 62)) | 2ULL << 62;
	out = put_hex(out, high >> 32, 8);
	*out++ = '-';
	out = put_hex(out, high >> 16, 4);
	*out++ = '-';
	out = put_hex(out, high, 4);
	*out++ = '-';
	out = put_hex(out, low >> 48, 4);
	*out++ = '-';
	return put_hex(out, low, 12);
}

char *gen_put_time(char *out, int64_t time_us)
{
	int32_t day = weir_day_of(time_us);
	int year, month, day_of_month;
	weir_civil_from_day(day, &year, &month, &day_of_month);
	uint64_t rest_ms = (uint64_t)(time_us - (int64_t)day * WEIR_US_PER_DAY) / 1000;
	uint64_t seconds = rest_ms / 1000;
	out = gen_put_padded(out, (uint64_t)year, 4);
	*out++ = '-';
	out = gen_put_padded(out, (uint64_t)month, 2);
	*out++ = '-';
	out = gen_put_padded(out, (uint64_t)day_of_month, 2);
	*out++ = 'T';
	out = gen_put_padded(out, seconds / 3600, 2);
	*out++ = ':';
	out = gen_put_padded(out, seconds / 60 % 60, 2);
	*out++ = ':';
	out = gen_put_padded(out, seconds % 60, 2);
	if (rest_ms % 1000 != 0) {
		*out++ = '.';
		out = gen_put_padded(out, rest_ms % 1000, 3);
	}
	*out++ = 'Z';
	return out;
}
