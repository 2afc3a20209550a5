/*
 * Table properties that engines have agreed on (Iceberg's documentation, "Configuration"), as numbers and words. A value that is
 * none is an error of whoever set it, and is said instead of being passed over: expiry with a wrong age would delete.
 */
#include <stdio.h>
#include <strings.h>

#include "iceberg/internal.h"

/* As engines read them: in any case. */
static bool is_word(struct weir_str text, const char *word)
{
	return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

static int wrong_value(
	const char *key, struct weir_str value, const char *wanted, const char *example, struct weir_error *err)
{
	return weir_fail(err, WEIR_E_INPUT,
		"the table's property %s is '%.*s', which is not %s; set it as in `weir evolve TABLE --set %s=%s`, or "
		"take it away with --unset %s",
		key, (int)(value.size < 60 ? value.size : 60), value.data, wanted, key, example, key);
}

int ice_property_number(const struct ice_metadata *metadata, const char *key, int64_t least, int64_t absent,
	int64_t *ret_number, struct weir_error *err)
{
	struct weir_str text = ice_property(metadata, key);
	char wanted[64], example[24];
	*ret_number = absent;
	if (text.data == NULL)
		return 0;
	if (weir_str_to_i64(text, ret_number) && *ret_number >= least)
		return 0;
	snprintf(wanted, sizeof wanted, "a whole number from %lld on", (long long)least);
	snprintf(example, sizeof example, "%lld", (long long)(absent >= least ? absent : least));
	return wrong_value(key, text, wanted, example, err);
}

int ice_property_flag(
	const struct ice_metadata *metadata, const char *key, bool absent, bool *ret_flag, struct weir_error *err)
{
	struct weir_str text = ice_property(metadata, key);
	bool is_true = is_word(text, "true");
	*ret_flag = text.data == NULL ? absent : is_true;
	if (text.data == NULL || is_true || is_word(text, "false"))
		return 0;
	return wrong_value(key, text, "true or false", absent ? "true" : "false", err);
}

int ice_property_gc(const struct ice_metadata *metadata, struct weir_error *err)
{
	bool enabled;
	int code = ice_property_flag(metadata, "gc.enabled", true, &enabled, err);
	if (code == 0 && !enabled)
		code = weir_fail(err, WEIR_E_INPUT,
			"the table's property gc.enabled is false: its files may be those of another table too, so "
			"that "
			"none is deleted here. Where they are this table's alone, `weir evolve TABLE --set "
			"gc.enabled=true` "
			"first");
	return code;
}

/* ---- how files are written ---- */

static int codec_property(
	const struct ice_metadata *metadata, struct ice_write_options *options, struct weir_error *err)
{
	static const char key[] = "write.parquet.compression-codec", level_key[] = "write.parquet.compression-level";
	static const struct {
		const char *name;
		enum codec codec;
		int least, most; /* levels; 0: it has none */
	} codecs[] = {
		{"zstd", CODEC_ZSTD, 1, 22},
		{"gzip", CODEC_GZIP, 1, 9},
		{"brotli", CODEC_BROTLI, 1, 11},
		{"snappy", CODEC_SNAPPY, 0, 0},
		{"lz4", CODEC_LZ4_HADOOP, 0, 0},
		{"lz4_raw", CODEC_LZ4_RAW, 0, 0},
		{"uncompressed", CODEC_NONE, 0, 0},
	};
	struct weir_str name = ice_property(metadata, key), text = ice_property(metadata, level_key);
	size_t at = 0, count = sizeof codecs / sizeof codecs[0];
	int64_t level = 0;
	char wanted[64];
	while (name.data != NULL && at < count && !is_word(name, codecs[at].name))
		at++;
	if (at == count)
		return wrong_value(key, name, "zstd, gzip, brotli, snappy, lz4, lz4_raw or uncompressed", "zstd", err);
	options->codec = codecs[at].codec;
	options->level = at == 0; /* zstd: 1 */
	if (text.data == NULL || codecs[at].most == 0)
		return 0;
	if (!weir_str_to_i64(text, &level) || level < codecs[at].least || level > codecs[at].most) {
		snprintf(wanted, sizeof wanted, "a level of %s, %d to %d", codecs[at].name, codecs[at].least,
			codecs[at].most);
		return wrong_value(level_key, text, wanted, "1", err);
	}
	options->level = (int)level;
	return 0;
}

int ice_write_properties(const struct ice_metadata *metadata, struct ice_write_options *options, struct weir_error *err)
{
	int64_t target = 0, group = 0;
	int code = codec_property(metadata, options, err);
	if (code == 0)
		code = ice_property_number(metadata, "write.parquet.row-group-size-bytes", 1, 0, &group, err);
	if (code == 0 && options->target_bytes == 0) {
		code = ice_property_number(metadata, "write.target-file-size-bytes", 1, 0, &target, err);
		options->target_bytes = (uint64_t)target;
	}
	options->row_group_bytes = (uint64_t)group;
	return code;
}
