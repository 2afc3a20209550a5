// uses: weir_avro
/* Any bytes as an Avro file: a value or an error, within bounded memory and time. */
#include <stddef.h>
#include <stdint.h>

#include "format/avro/avro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_slice bytes = {data, size};
	struct avro_reader *reader;
	const struct avro_value *value = NULL;
	if (avro_reader_open(weir_source_from_memory(&bytes, WEIR_STR("fuzz")), 1U << 24, &reader, &err) != 0)
		return 0;
	do
		value = NULL;
	while (avro_reader_next(reader, &value, &err) == 0 && value != NULL);
	avro_reader_close(reader);
	return 0;
}
