/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_xml - any bytes are a document with a root or none; and text that XML can hold reads back as
 * it was put, in an attribute and in an element.
 */
#include "fuzz.h"

#include "base/xml.h"

static void
check_text(struct str text)
{
	OWN(buf) struct buf out = BUF_INIT;
	OWN(xml_doc) xmlDocPtr doc = NULL;
	OWN(mem) char *attribute = NULL, *inside = NULL;

	buf_add_text(&out, "<a b=\"");
	xml_add_text(&out, text);
	buf_add_text(&out, "\">");
	xml_add_text(&out, text);
	buf_add_text(&out, "</a>");
	must(xml_parse(buf_str(&out), &doc, NULL) == 0);
	attribute = xml_attribute(xmlDocGetRootElement(doc), "b");
	inside = xml_text(xmlDocGetRootElement(doc));
	must(str_eq(str_of(attribute), text) && str_eq(str_of(inside), text));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	OWN(xml_doc) xmlDocPtr doc = NULL;

	if (xml_parse(str_n(bytes, size), &doc, NULL) == 0) {
		must(xmlDocGetRootElement(doc) && !doc->intSubset && !doc->extSubset);
		free(xml_text(xmlDocGetRootElement(doc)));
	}
	if (xml_can_hold(str_n(bytes, size)))
		check_text(str_n(bytes, size));
	return 0;
}
