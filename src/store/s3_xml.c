/* XML as S3 answers with it: small documents, by expat. */
#include <expat.h>
#include <stdio.h>

#include "store/s3_int.h"

#define DEPTH_MAX   16
#define ELEMENT_MAX 63
#define TEXT_MAX    (64U << 10)

struct reader {
	XML_Parser parser;
	s3_xml_fn *element;
	void *context;
	char names[DEPTH_MAX + 1][ELEMENT_MAX + 1]; /* names[0] is "": the root's parent */
	unsigned depth;
	struct weir_buf text; /* since the last tag */
	bool refused;
};

static void refuse(struct reader *reader)
{
	reader->refused = true;
	XML_StopParser(reader->parser, XML_FALSE);
}

static void on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct reader *reader = context;
	const char *colon = strchr(name, ':');
	(void)attributes;
	if (colon != NULL)
		name = colon + 1;
	if (reader->depth == DEPTH_MAX || name[0] == '\0' || strlen(name) > ELEMENT_MAX) {
		refuse(reader);
		return;
	}
	reader->depth++;
	memcpy(reader->names[reader->depth], name, strlen(name) + 1);
	reader->text.size = 0;
	reader->element(
		reader->context, true, reader->names[reader->depth - 1], reader->names[reader->depth], WEIR_STR(""));
}

static void on_end(void *context, const XML_Char *name)
{
	struct reader *reader = context;
	(void)name;
	if (reader->refused) /* "<x/>" ends although it was refused when it began */
		return;
	reader->element(reader->context, false, reader->names[reader->depth - 1], reader->names[reader->depth],
		weir_buf_str(&reader->text));
	reader->depth--;
	reader->text.size = 0;
}

static void on_text(void *context, const XML_Char *text, int size)
{
	struct reader *reader = context;
	if ((size_t)size > TEXT_MAX - reader->text.size)
		refuse(reader);
	else
		weir_buf_append(&reader->text, text, (size_t)size);
}

static void on_doctype(
	void *context, const XML_Char *name, const XML_Char *system, const XML_Char *public_id, int internal)
{
	(void)name;
	(void)system;
	(void)public_id;
	(void)internal;
	refuse(context);
}

int s3_xml_read(struct weir_str document, s3_xml_fn *element, void *context, struct weir_error *err)
{
	struct reader reader = {.parser = XML_ParserCreate(NULL), .element = element, .context = context};
	WEIR_ASSERT(reader.parser != NULL && document.size <= INT32_MAX);
	XML_SetUserData(reader.parser, &reader);
	XML_SetElementHandler(reader.parser, on_start, on_end);
	XML_SetCharacterDataHandler(reader.parser, on_text);
	XML_SetStartDoctypeDeclHandler(reader.parser, on_doctype);
	bool good = XML_Parse(reader.parser, document.size > 0 ? document.data : "", (int)document.size, XML_TRUE) ==
		XML_STATUS_OK;
	XML_ParserFree(reader.parser);
	weir_buf_done(&reader.text);
	if (good && !reader.refused)
		return 0;
	return weir_fail(err, WEIR_E_CORRUPT,
		"the server's answer of %zu bytes is not the XML document that S3 describes", document.size);
}

void s3_xml_put(struct weir_buf *out, struct weir_str text)
{
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];
		if (c == '&')
			weir_buf_puts(out, "&amp;");
		else if (c == '<')
			weir_buf_puts(out, "&lt;");
		else if (c == '>')
			weir_buf_puts(out, "&gt;");
		else if (c == '"')
			weir_buf_puts(out, "&quot;");
		else if (c == '\'')
			weir_buf_puts(out, "&apos;");
		else
			weir_buf_putc(out, c);
	}
}
