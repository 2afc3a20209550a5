/* Row groups in the making, for the writer and for copies of a file's row groups. */
#ifndef WEIR_PARQUET_ENCODER_INT_H
#define WEIR_PARQUET_ENCODER_INT_H

#include "format/parquet/parquet_int.h"

struct pq_row_group *pq_row_group_new(uint32_t chunk_count);

#endif
