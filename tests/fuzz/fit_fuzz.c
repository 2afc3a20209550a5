// uses: weir_device
/*
 * Any bytes as FIT. A mutation seldom has the right checksum, so the bytes are read as they are and, as the data of a
 * part that is given its header and checksums here, once more.
 */
#include <stdlib.h>

#include "device_drain.h"
#include "../unit/device/fit_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fit_write fit = {0};
	int64_t points;
	device_drain(DEVICE_FIT, data, size, &points);
	fit_write_begin(&fit);
	if (size > 16)
		weir_buf_append(&fit.out, data + 14, size - 16);
	fit_write_end(&fit);
	device_drain(DEVICE_FIT, (const uint8_t *)fit.out.data, fit.out.size, &points);
	WEIR_ASSERT(points <= (int64_t)size);
	weir_buf_done(&fit.out);
	return 0;
}
