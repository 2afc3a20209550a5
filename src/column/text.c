#include "column/text.h"

#include <stdio.h>

#include "base/json.h"
#include "base/time.h"

__extension__ typedef unsigned __int128 uint128;

/* Digits of an unscaled decimal with the point at its scale (at most 38 digits). */
static size_t decimal_text(weir_int128 unscaled, unsigned scale, char buffer[WEIR_VALUE_TEXT])
{
	char digits[WEIR_VALUE_TEXT];
	bool negative = unscaled < 0;
	uint128 rest = negative ? 0 - (uint128)unscaled : (uint128)unscaled;
	size_t count = 0, size = 0;
	WEIR_ASSERT(scale <= 38);
	while (rest > 0 || count <= scale) {
		digits[count++] = (char)('0' + (int)(rest % 10));
		rest /= 10;
	}
	if (negative)
		buffer[size++] = '-';
	while (count > 0) {
		if (count == scale)
			buffer[size++] = '.';
		buffer[size++] = digits[--count];
	}
	return size;
}

/* Microseconds of a day as "08:00:00", with six digits of a second where there are any. */
static size_t time_of_day_text(int64_t time_us, char buffer[WEIR_VALUE_TEXT])
{
	int64_t seconds = time_us / WEIR_US_PER_SECOND, fraction = time_us % WEIR_US_PER_SECOND;
	int size = snprintf(buffer, WEIR_VALUE_TEXT, "%02lld:%02lld:%02lld", (long long)(seconds / 3600),
		(long long)(seconds / 60 % 60), (long long)(seconds % 60));
	if (fraction != 0)
		size += snprintf(buffer + size, WEIR_VALUE_TEXT - (size_t)size, ".%06lld", (long long)fraction);
	return (size_t)size;
}

/* As weir_time_format, with nine digits of a second where six do not do. */
static size_t nanos_text(int64_t time_ns, bool zone, char buffer[WEIR_VALUE_TEXT])
{
	int64_t rest = time_ns % 1000000000, seconds = time_ns / 1000000000;
	if (rest < 0) {
		rest += 1000000000;
		seconds--;
	}
	bool fine = rest % 1000 != 0;
	size_t size = weir_time_format(seconds * WEIR_US_PER_SECOND + (fine ? 0 : rest / 1000), buffer) - 1;
	if (fine)
		size += (size_t)snprintf(buffer + size, WEIR_VALUE_TEXT - size, ".%09lld", (long long)rest);
	if (zone)
		buffer[size++] = 'Z';
	return size;
}

struct weir_str weir_column_text(
	const struct weir_field *field, const struct weir_column *column, uint32_t row, char buffer[WEIR_VALUE_TEXT])
{
	const weir_int128 *decimals = column->values;
	const struct weir_uuid *uuids = column->values;
	size_t size = 0;
	switch (column->type) {
	case WEIR_STRING:
	case WEIR_BINARY:
	case WEIR_FIXED:
		return weir_column_str(column, row);
	case WEIR_BOOL:
		return weir_column_i64(column, row) != 0 ? WEIR_STR("true") : WEIR_STR("false");
	case WEIR_INT32:
	case WEIR_INT64:
		size = (size_t)snprintf(buffer, WEIR_VALUE_TEXT, "%lld", (long long)weir_column_i64(column, row));
		break;
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		size = weir_double_format(weir_column_double(column, row), buffer);
		break;
	case WEIR_DECIMAL:
		size = decimal_text(decimals[row], field != NULL ? field->scale : 0, buffer);
		break;
	case WEIR_DATE:
		size = weir_date_format((int32_t)weir_column_i64(column, row), buffer);
		break;
	case WEIR_TIME:
		size = time_of_day_text(weir_column_i64(column, row), buffer);
		break;
	case WEIR_TIMESTAMP: /* without a zone: less the Z */
		size = weir_time_format(weir_column_i64(column, row), buffer) - 1;
		break;
	case WEIR_TIMESTAMPTZ:
		size = weir_time_format(weir_column_i64(column, row), buffer);
		break;
	case WEIR_TIMESTAMP_NS:
	case WEIR_TIMESTAMPTZ_NS:
		size = nanos_text(weir_column_i64(column, row), column->type == WEIR_TIMESTAMPTZ_NS, buffer);
		break;
	case WEIR_UUID:
		weir_uuid_format(&uuids[row], buffer);
		size = WEIR_UUID_TEXT - 1;
		break;
	case WEIR_LIST:
	case WEIR_MAP:
	case WEIR_STRUCT:
		break;
	}
	return (struct weir_str){buffer, size};
}
