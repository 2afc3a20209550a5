/*
 * The Avro schema of a manifest (table specification, "Manifests"): every field with its id, required ones plain,
 * optional ones a union with null, the record `partition` typed from the spec's transforms. Names of
 * types within `partition` end in the field's id, so that no two are alike.
 */
#include <stdio.h>

#include "base/json.h"
#include "iceberg/internal.h"

/* Avro allows letters, digits and '_' in names; other bytes become _xHH, as Java writes them. */
static void put_name(struct weir_json *json, struct weir_str name)
{
	struct weir_buf safe = WEIR_BUF_INIT;
	for (size_t i = 0; i < name.size; i++) {
		uint8_t c = (uint8_t)name.data[i];
		bool digit = c >= '0' && c <= '9';
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (digit && i > 0))
			weir_buf_putc(&safe, (char)c);
		else if (digit)
			weir_buf_printf(&safe, "_%c", c);
		else
			weir_buf_printf(&safe, "_x%X", c);
	}
	weir_json_key_string(json, "name", weir_buf_str(&safe));
	weir_buf_done(&safe);
}

unsigned ice_decimal_bytes(unsigned precision)
{
	static const uint8_t digits[] = {0, 2, 4, 6, 9, 11, 14, 16, 18, 21, 23, 26, 28, 31, 33, 35, 38};
	unsigned bytes = 1;
	while (bytes < 16 && digits[bytes] < precision)
		bytes++;
	return bytes;
}

static void write_partition_type(const struct weir_field *type, struct weir_json *json)
{
	char text[160];
	switch (type->type) {
	case WEIR_DATE:
		weir_json_raw(json, WEIR_STR("{\"type\":\"int\",\"logicalType\":\"date\"}"));
		return;
	case WEIR_TIME:
		weir_json_raw(json, WEIR_STR("{\"type\":\"long\",\"logicalType\":\"time-micros\"}"));
		return;
	case WEIR_TIMESTAMP:
	case WEIR_TIMESTAMPTZ:
		snprintf(text, sizeof text,
			"{\"type\":\"long\",\"logicalType\":\"timestamp-micros\",\"adjust-to-utc\":%s}",
			type->type == WEIR_TIMESTAMPTZ ? "true" : "false");
		break;
	case WEIR_TIMESTAMP_NS:
	case WEIR_TIMESTAMPTZ_NS:
		snprintf(text, sizeof text,
			"{\"type\":\"long\",\"logicalType\":\"timestamp-nanos\",\"adjust-to-utc\":%s}",
			type->type == WEIR_TIMESTAMPTZ_NS ? "true" : "false");
		break;
	case WEIR_UUID:
		snprintf(text, sizeof text,
			"{\"type\":\"fixed\",\"size\":16,\"logicalType\":\"uuid\",\"name\":\"uuid_%d\"}", type->id);
		break;
	case WEIR_FIXED:
		snprintf(text, sizeof text, "{\"type\":\"fixed\",\"size\":%u,\"name\":\"fixed_%d\"}", type->fixed_size,
			type->id);
		break;
	case WEIR_DECIMAL:
		snprintf(text, sizeof text,
			"{\"type\":\"fixed\",\"size\":%u,\"logicalType\":\"decimal\",\"precision\":%u,\"scale\":%u,"
			"\"name\":\"decimal_%d\"}",
			ice_decimal_bytes(type->precision), type->precision, type->scale, type->id);
		break;
	case WEIR_BINARY:
		weir_json_cstring(json, "bytes");
		return;
	default:
		weir_json_cstring(json, weir_type_name(type, text, sizeof text)); /* alike in both */
		return;
	}
	weir_json_raw(json, weir_str_from(text));
}

static void write_partition(const struct ice_metadata *metadata, const struct ice_spec *spec, struct weir_json *json)
{
	weir_json_object(json);
	weir_json_key_cstring(json, "type", "record");
	weir_json_key_cstring(json, "name", "r102");
	weir_json_key(json, "fields");
	weir_json_array(json);
	for (uint32_t i = 0; i < spec->field_count; i++) {
		struct weir_field type = {.type = WEIR_STRING};
		ice_partition_type(metadata, &spec->fields[i], &type);
		weir_json_object(json);
		put_name(json, spec->fields[i].name);
		weir_json_key(json, "type");
		weir_json_array(json);
		weir_json_cstring(json, "null");
		write_partition_type(&type, json);
		weir_json_array_end(json);
		weir_json_key(json, "default");
		weir_json_null(json);
		weir_json_key_int(json, "field-id", spec->fields[i].field_id);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
	weir_json_object_end(json);
}

/* A map<int, ...>: an array of records, as Avro's own maps have text keys. */
#define MAP(name, id, key, value, type) \
	",{\"name\":\"" name "\",\"type\":[\"null\",{\"type\":\"array\",\"logicalType\":\"map\",\"items\":" \
	"{\"type\":\"record\",\"name\":\"k" key "_v" value "\",\"fields\":[" \
	"{\"name\":\"key\",\"type\":\"int\",\"field-id\":" key "}," \
	"{\"name\":\"value\",\"type\":\"" type "\",\"field-id\":" value "}]}}],\"default\":null,\"field-id\":" id "}"

void ice_manifest_schema(
	const struct ice_metadata *metadata, const struct ice_spec *spec, bool is_wide, struct weir_buf *out)
{
	static const char before[] =
		"{\"type\":\"record\",\"name\":\"manifest_entry\",\"fields\":["
		"{\"name\":\"status\",\"type\":\"int\",\"field-id\":0},"
		"{\"name\":\"snapshot_id\",\"type\":[\"null\",\"long\"],\"default\":null,\"field-id\":1},"
		"{\"name\":\"sequence_number\",\"type\":[\"null\",\"long\"],\"default\":null,\"field-id\":3},"
		"{\"name\":\"file_sequence_number\",\"type\":[\"null\",\"long\"],\"default\":null,\"field-id\":4},"
		"{\"name\":\"data_file\",\"field-id\":2,\"type\":{\"type\":\"record\",\"name\":\"r2\",\"fields\":["
		"{\"name\":\"content\",\"type\":\"int\",\"field-id\":134},"
		"{\"name\":\"file_path\",\"type\":\"string\",\"field-id\":100},"
		"{\"name\":\"file_format\",\"type\":\"string\",\"field-id\":101},"
		"{\"name\":\"partition\",\"field-id\":102,\"type\":";
	static const char after[] =
		"},{\"name\":\"record_count\",\"type\":\"long\",\"field-id\":103},"
		"{\"name\":\"file_size_in_bytes\",\"type\":\"long\",\"field-id\":104}" MAP("column_sizes", "108", "117",
			"118", "long") MAP("value_counts", "109", "119", "120", "long") MAP("null_value_counts", "110",
			"121", "122", "long") MAP("nan_value_counts", "137", "138", "139", "long")
			MAP("lower_bounds", "125", "126", "127", "bytes") MAP("upper_bounds", "128", "129", "130",
				"bytes") ",{\"name\":\"key_metadata\",\"type\":[\"null\",\"bytes\"],\"default\":null,"
					 "\"field-id\":131},"
					 "{\"name\":\"split_offsets\",\"type\":[\"null\",{\"type\":\"array\",\"items\":"
					 "\"long\",\"element-id\":133}],"
					 "\"default\":null,\"field-id\":132},"
					 "{\"name\":\"equality_ids\",\"type\":[\"null\",{\"type\":\"array\",\"items\":"
					 "\"int\",\"element-id\":136}],"
					 "\"default\":null,\"field-id\":135},"
					 "{\"name\":\"sort_order_id\",\"type\":[\"null\",\"int\"],\"default\":null,"
					 "\"field-id\":140}";
	static const char wide[] =
		",{\"name\":\"first_row_id\",\"type\":[\"null\",\"long\"],\"default\":null,\"field-id\":142},"
		"{\"name\":\"referenced_data_file\",\"type\":[\"null\",\"string\"],\"default\":null,\"field-id\":143},"
		"{\"name\":\"content_offset\",\"type\":[\"null\",\"long\"],\"default\":null,\"field-id\":144},"
		"{\"name\":\"content_size_in_bytes\",\"type\":[\"null\",\"long\"],\"default\":null,\"field-id\":145}";
	struct weir_buf partition = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&partition);
	write_partition(metadata, spec, &json);
	weir_buf_puts(out, before);
	weir_buf_append(out, partition.data, partition.size);
	weir_buf_puts(out, after);
	weir_buf_puts(out, is_wide ? wide : "");
	weir_buf_puts(out, "]}}]}");
	weir_buf_done(&partition);
}
