/* SPDX-License-Identifier: Apache-2.0 */
#include "base/xml.h"

#include <libxml/parser.h>
#include <limits.h>
#include <stdlib.h>

OWN_DEFINE(xml_parser, xmlParserCtxtPtr, xmlFreeParserCtxt)

/* Before anything of it is declared: what is an entity is never known. */
static void
xml_refuse_subset(void *parser, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
	xmlStopParser(parser);
}

int
xml_parse(struct str bytes, xmlDocPtr *ret, struct err *err)
{
	int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_COMPACT;
	OWN(xml_parser) xmlParserCtxtPtr parser = xmlNewParserCtxt();
	OWN(xml_doc) xmlDocPtr doc = NULL;

	must(parser && bytes.len <= INT_MAX);
	parser->sax->internalSubset = xml_refuse_subset;
	doc = xmlCtxtReadMemory(parser, bytes.at, (int)bytes.len, NULL, NULL, options);
	if (parser->errNo == XML_ERR_USER_STOP)
		return err_set(err, ERR_INVALID, "a document type is not taken");
	if (!doc || !parser->wellFormed || !xmlDocGetRootElement(doc))
		return err_set(err, ERR_INVALID, "it is not well-formed XML");
	*ret = take_ptr(&doc);
	return 0;
}

bool
xml_is_element(const xmlNode *node, const char *name)
{
	return node && node->type == XML_ELEMENT_NODE &&
	       strcmp((const char *)node->name, name) == 0;
}

bool
xml_is_element_of(const xmlNode *node, const char *uri, const char *name)
{
	return xml_is_element(node, name) && node->ns &&
	       strcmp((const char *)node->ns->href, uri) == 0;
}

/* libxml2's memory need not be malloc's. */
static char *
xml_take(xmlChar *text)
{
	char *copy = text ? str_dup(str_of((const char *)text)) : NULL;

	xmlFree(text);
	return copy;
}

char *
xml_attribute(const xmlNode *node, const char *name)
{
	return xml_take(xmlGetNoNsProp((xmlNode *)node, (const xmlChar *)name));
}

char *
xml_text(const xmlNode *node)
{
	char *text = xml_take(xmlNodeGetContent(node));

	return text ? text : str_dup(STR_NONE);
}

bool
xml_can_hold(struct str text)
{
	if (!str_is_utf8(text))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
			return false;
		/* U+FFFE and U+FFFF, the last two of the plane, are no characters. */
		if (c == 0xEF && (unsigned char)text.at[i + 1] == 0xBF &&
			(unsigned char)text.at[i + 2] >= 0xBE)
			return false;
	}
	return true;
}

void
xml_add_text(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (strchr("&<>\"'\t\n\r", c) && c)
			buf_printf(out, "&#%d;", c);
		else
			buf_add_char(out, c);
	}
}
