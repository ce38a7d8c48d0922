/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/xml.h"

static int
parsed(const char *text, xmlDocPtr *ret, struct err *err)
{
	*err = (struct err){0};
	return xml_parse(str_of(text), ret, err);
}

static void
elements_are_told_by_name_and_namespace(void **state)
{
	OWN(xml_doc) xmlDocPtr doc = NULL;
	struct err err;

	assert_int_equal(
		parsed("<x:a xmlns:x=\"urn:1\" b=\"2\"><c> d &lt;<e>f</e></c></x:a>", &doc, &err),
		0);
	const xmlNode *root = xmlDocGetRootElement(doc);

	assert_true(xml_is_element(root, "a"));
	assert_false(xml_is_element(root, "x:a"));
	assert_true(xml_is_element_of(root, "urn:1", "a"));
	assert_false(xml_is_element_of(root, "urn:2", "a"));
	assert_false(xml_is_element_of(root->children, "urn:1", "c"));
	assert_false(xml_is_element(root->children->children, "d"));
	assert_false(xml_is_element(NULL, "a"));
	OWN(mem) char *attribute = xml_attribute(root, "b");
	OWN(mem) char *text = xml_text(root);

	assert_string_equal(attribute, "2");
	assert_string_equal(text, " d <f");
	assert_null(xml_attribute(root, "c"));
}

static void
what_is_no_document_is_refused(void **state)
{
	static const char *const broken[] = {"", " ", "a", "<a>", "<a></b>", "<a b=1/>",
		"<a>&unknown;</a>", "<a/><b/>", "<a>\xff</a>", "<?xml version=\"1.0\"?>"};
	static const char *const typed[] = {"<!DOCTYPE a><a/>",
		"<!DOCTYPE a SYSTEM \"http://127.0.0.1:1/a\"><a/>",
		"<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
		"<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>"};
	xmlDocPtr doc = NULL;
	struct err err;

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		assert_int_equal(parsed(broken[i], &doc, &err), ERR_INVALID);
		assert_string_equal(err.text, "it is not well-formed XML");
	}
	for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
		assert_int_equal(parsed(typed[i], &doc, &err), ERR_INVALID);
		assert_string_equal(err.text, "a document type is not taken");
	}
	assert_null(doc);
}

static void
a_document_of_a_thousand_levels_is_refused(void **state)
{
	OWN(buf) struct buf text = BUF_INIT;
	xmlDocPtr doc = NULL;
	struct err err;

	for (int i = 0; i < 1000; i++)
		buf_add_text(&text, "<a>");
	for (int i = 0; i < 1000; i++)
		buf_add_text(&text, "</a>");
	assert_int_equal(parsed(text.at, &doc, &err), ERR_INVALID);
}

static void
text_reads_back_as_it_was_put(void **state)
{
	struct str text = STR("<&>\"' ]]> \t\r\n ü &amp; \xF0\x9F\xA6\x8B");
	OWN(buf) struct buf out = BUF_INIT;
	OWN(xml_doc) xmlDocPtr doc = NULL;
	struct err err;

	assert_true(xml_can_hold(text));
	buf_add_text(&out, "<a b=\"");
	xml_add_text(&out, text);
	buf_add_text(&out, "\">");
	xml_add_text(&out, text);
	buf_add_text(&out, "</a>");
	assert_int_equal(parsed(out.at, &doc, &err), 0);
	OWN(mem) char *attribute = xml_attribute(xmlDocGetRootElement(doc), "b");
	OWN(mem) char *inside = xml_text(xmlDocGetRootElement(doc));

	assert_str(text, attribute);
	assert_str(text, inside);
}

static void
what_xml_cannot_hold_is_known(void **state)
{
	assert_true(xml_can_hold(STR_NONE));
	assert_false(xml_can_hold(STR("\x01")));
	assert_false(xml_can_hold(str_n("a\0b", 3)));
	assert_false(xml_can_hold(STR("\xff")));
	assert_false(xml_can_hold(STR("\xEF\xBF\xBE")));
	assert_false(xml_can_hold(STR("\xEF\xBF\xBF")));
	assert_true(xml_can_hold(STR("\xEF\xBF\xBD")));
}

UNIT_TESTS(it(elements_are_told_by_name_and_namespace), it(what_is_no_document_is_refused),
	it(a_document_of_a_thousand_levels_is_refused), it(text_reads_back_as_it_was_put),
	it(what_xml_cannot_hold_is_known))
