/* The common face of the device formats: the relation of points, recognising a format, dispatch. */
#include "format/device/device.h"

#include <stdlib.h>

#include "format/device/device_int.h"

/* Never written: struct weir_schema has no const fields, because schemas are built in place elsewhere. */
static struct weir_field point_fields[DEVICE_COLUMNS] = {
	[DEVICE_ORDINAL] = {.name = {"ordinal", 7}, .type = WEIR_INT64, .required = true},
	[DEVICE_TIMESTAMP] = {.name = {"timestamp", 9}, .type = WEIR_TIMESTAMPTZ},
	[DEVICE_SPORT] = {.name = {"sport", 5}, .type = WEIR_STRING},
	[DEVICE_SUB_SPORT] = {.name = {"sub_sport", 9}, .type = WEIR_STRING},
	[DEVICE_LAT] = {.name = {"lat", 3}, .type = WEIR_DOUBLE},
	[DEVICE_LON] = {.name = {"lon", 3}, .type = WEIR_DOUBLE},
	[DEVICE_ALTITUDE] = {.name = {"altitude", 8}, .type = WEIR_DOUBLE},
	[DEVICE_HEART_RATE] = {.name = {"heart_rate", 10}, .type = WEIR_DOUBLE},
	[DEVICE_CADENCE] = {.name = {"cadence", 7}, .type = WEIR_DOUBLE},
	[DEVICE_POWER] = {.name = {"power", 5}, .type = WEIR_DOUBLE},
	[DEVICE_SPEED] = {.name = {"speed", 5}, .type = WEIR_DOUBLE},
	[DEVICE_DISTANCE] = {.name = {"distance", 8}, .type = WEIR_DOUBLE},
	[DEVICE_TEMPERATURE] = {.name = {"temperature", 11}, .type = WEIR_DOUBLE},
	[DEVICE_RESPIRATION] = {.name = {"respiration", 11}, .type = WEIR_DOUBLE},
	[DEVICE_CORE_TEMPERATURE] = {.name = {"core_temperature", 16}, .type = WEIR_DOUBLE},
	[DEVICE_LAP] = {.name = {"lap", 3}, .type = WEIR_INT32},
	[DEVICE_MANUFACTURER] = {.name = {"manufacturer", 12}, .type = WEIR_STRING},
	[DEVICE_PRODUCT] = {.name = {"product", 7}, .type = WEIR_STRING},
	[DEVICE_SERIAL] = {.name = {"serial", 6}, .type = WEIR_STRING},
};

static const struct weir_schema point_schema = {.field_count = DEVICE_COLUMNS, .fields = point_fields};

struct device_reader {
	struct weir_builder *builder;
	struct fit_reader *fit; /* one of the two */
	struct xml_reader *xml;
	bool failed;
};

const struct weir_schema *device_schema(void)
{
	return &point_schema;
}

int device_reader_open(enum device_format format, struct weir_byte_source source, struct device_reader **ret_reader,
	struct weir_error *err)
{
	struct fit_reader *fit = NULL;
	struct xml_reader *xml = NULL;
	int code =
		format == DEVICE_FIT ? fit_reader_open(source, &fit, err) : xml_reader_open(format, source, &xml, err);
	if (code != 0)
		return code;
	struct device_reader *reader = weir_zalloc(sizeof *reader);
	*reader = (struct device_reader){weir_builder_new(&point_schema), fit, xml, false};
	*ret_reader = reader;
	return 0;
}

int device_reader_next(struct device_reader *reader, struct weir_batch **ret_batch, struct weir_error *err)
{
	if (reader->failed)
		return weir_fail(err, WEIR_E_INPUT, "the device file failed before: open it anew");
	int code = reader->fit != NULL ? fit_reader_fill(reader->fit, reader->builder, err)
				       : xml_reader_fill(reader->xml, reader->builder, err);
	reader->failed = code != 0;
	if (code != 0)
		return code;
	*ret_batch = weir_builder_take(reader->builder);
	return 0;
}

void device_reader_close(struct device_reader *reader)
{
	if (reader == NULL)
		return;
	fit_reader_close(reader->fit);
	xml_reader_close(reader->xml);
	weir_builder_free(reader->builder);
	free(reader);
}

/* The first element's local name, past prologue, comments and doctype; size 0 where there is none yet. */
static struct weir_str root_element(struct weir_str text)
{
	const char *p = text.data, *end = text.data + text.size;
	if (text.size >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	while ((p = p < end ? memchr(p, '<', (size_t)(end - p)) : NULL) != NULL && ++p < end) {
		const char *close = ">";
		if (end - p > 3 && memcmp(p, "!--", 3) == 0)
			close = "-->";
		else if (*p != '?' && *p != '!')
			break;
		p = memmem(p, (size_t)(end - p), close, strlen(close));
		if (p == NULL)
			break;
	}
	const char *start = p;
	while (p != NULL && p < end && memchr(" \t\r\n/>", *p, 6) == NULL)
		if (*p++ == ':')
			start = p;
	return p != NULL && p < end ? (struct weir_str){start, (size_t)(p - start)} : (struct weir_str){0};
}

bool device_format_detect(const void *head, size_t size_bytes, enum device_format *ret_format)
{
	struct weir_str text = {head, size_bytes};
	if (size_bytes >= 12 && memcmp(text.data + 8, ".FIT", 4) == 0) {
		*ret_format = DEVICE_FIT;
		return true;
	}
	struct weir_str root = root_element(text);
	if (weir_str_is(root, "TrainingCenterDatabase"))
		*ret_format = DEVICE_TCX;
	else if (weir_str_is(root, "gpx"))
		*ret_format = DEVICE_GPX;
	else
		return false;
	return true;
}
