/* Inside of the device module: one reader a format behind one face. */
#ifndef WEIR_FORMAT_DEVICE_INT_H
#define WEIR_FORMAT_DEVICE_INT_H

#include "column/builder.h"
#include "format/device/device.h"

struct fit_reader;
int fit_reader_open(struct weir_byte_source source, struct fit_reader **ret_reader, struct weir_error *err);
/* Fills builder until it is full or the file ends. */
int fit_reader_fill(struct fit_reader *reader, struct weir_builder *builder, struct weir_error *err);
void fit_reader_close(struct fit_reader *reader);

struct xml_reader;
int xml_reader_open(enum device_format format, struct weir_byte_source source, struct xml_reader **ret_reader,
	struct weir_error *err);
int xml_reader_fill(struct xml_reader *reader, struct weir_builder *builder, struct weir_error *err);
void xml_reader_close(struct xml_reader *reader);

/* Names of FIT's numbers; buffer (16 bytes) holds the digits of a number that has no name here. */
struct weir_str fit_sport_name(uint32_t sport, char buffer[16]);
struct weir_str fit_sub_sport_name(uint32_t sub_sport, char buffer[16]);
struct weir_str fit_manufacturer_name(uint32_t manufacturer, char buffer[16]);

/* A field of a data message: the first element by its base type; false where it is invalid or no number. */
bool fit_value_read(const uint8_t *data, unsigned size_bytes, uint8_t base_type, bool big_endian, double *ret_value);
/* The raw record's CRC-16 over data, continuing crc (0 to start). */
uint16_t fit_crc16(uint16_t crc, const uint8_t *data, size_t size_bytes);

#endif
