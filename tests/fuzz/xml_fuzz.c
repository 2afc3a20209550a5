// uses: weir_device
/* Any bytes as TCX and as GPX. */
#include <stdlib.h>

#include "device_drain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t points;
	enum device_format format;
	device_drain(DEVICE_TCX, data, size, &points);
	device_drain(DEVICE_GPX, data, size, &points);
	device_format_detect(data, size, &format);
	return 0;
}
