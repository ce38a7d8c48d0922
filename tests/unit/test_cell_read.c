/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cell_read.h"

#define UUID "15eacf4c-b4d0-4dba-9c65-7977a9a10ba2"
#define RECORDS(total, inside)                                                                     \
	"<v:QueryResultRecords xmlns:v=\"http://www.vmware.com/vcloud/v1.5\" total=\"" total       \
	"\">" inside "</v:QueryResultRecords>"
#define OFFER(inside)                                                                              \
	"<SupportedVersions xmlns=\"http://www.vmware.com/vcloud/versions\">" inside               \
	"</SupportedVersions>"
#define VERSION(text) "<VersionInfo><Version>" text "</Version></VersionInfo>"

static const char *const attributes[] = {"name", "href", NULL};

static void
records_are_objects_of_printable_strings(void **state)
{
	OWN(json) json_t *array = json_array();
	struct err err = {0};
	uint64_t total = 0;

	assert_int_equal(
		cell_read_records(STR(RECORDS("7", "<v:A name=\"a&#10;&#155;&lt;\" more=\"1\"/>"
						   "<v:B name=\"b\"/><A name=\"c\"/><v:A/>")),
			"A", attributes, array, &total, &err),
		0);
	assert_int_equal(total, 7);
	assert_int_equal(json_array_size(array), 2);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(array, 0), "name")), "a  <");
	assert_null(json_object_get(json_array_get(array, 0), "more"));
	assert_int_equal(json_object_size(json_array_get(array, 1)), 0);
}

static void
what_is_no_result_is_refused(void **state)
{
	static const char *const table[] = {"", "<a/>", "<QueryResultRecords total=\"1\"/>",
		RECORDS("-1", ""), RECORDS("", ""), "<!DOCTYPE a>" RECORDS("1", "")};
	OWN(json) json_t *array = json_array();
	uint64_t total;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(
			cell_read_records(str_of(table[i]), "A", attributes, array, &total, NULL),
			ERR_INVALID);
}

static void
the_newest_version_that_has_services_is_chosen(void **state)
{
	static const struct {
		const char *text, *chosen;
	} table[] = {
		{OFFER(VERSION("31.0") VERSION(" 36.3 ") VERSION("9.0")), "36.3"},
		{OFFER(VERSION("37.0") VERSION("38.1") VERSION("39.0")), "38.1"},
		{OFFER(VERSION("40.0") VERSION("39.1")), "39.1"},
		{OFFER(VERSION("36.2") VERSION("36.10") VERSION("40.0.0-alpha")), "36.10"},
	};
	char version[CELL_VERSION_SIZE];

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(cell_read_versions(str_of(table[i].text), version, NULL), 0);
		assert_string_equal(version, table[i].chosen);
	}
	assert_int_equal(cell_read_versions(STR(OFFER("")), version, NULL), ERR_INVALID);
	assert_int_equal(cell_read_versions(STR(OFFER(VERSION("1"))), version, NULL), ERR_INVALID);
	assert_int_equal(cell_read_versions(STR("<a/>"), version, NULL), ERR_INVALID);
}

static void
an_error_is_told_without_what_moves_a_cursor(void **state)
{
	OWN(buf) struct buf out = BUF_INIT;
	OWN(buf) struct buf large = BUF_INIT;

	cell_read_error(STR("<Error message=\"no &#155;[2J right\"/>"), &out);
	assert_str(buf_str(&out), "no  [2J right");
	buf_clear(&out);
	cell_read_error(STR("{\"message\": \"no\\u001b[2J\"}"), &out);
	assert_str(buf_str(&out), "no [2J");
	buf_clear(&out);
	cell_read_error(STR("<html>no</html>"), &out);
	cell_read_error(STR("[1]"), &out);
	cell_read_error(STR_NONE, &out);
	assert_int_equal(out.len, 0);
	buf_add_text(&large, "<Error message=\"");
	for (int i = 0; i < 200; i++)
		buf_add_text(&large, "ü");
	buf_add_text(&large, "\"/>");
	cell_read_error(buf_str(&large), &out);
	assert_int_equal(out.len, 150);
	assert_true(str_is_utf8(buf_str(&out)));
}

static void
an_address_ends_with_a_uuid_or_is_none(void **state)
{
	char uuid[CELL_UUID_SIZE];

	assert_true(cell_read_uuid(STR("https://elsewhere/service/" UUID), uuid));
	assert_string_equal(uuid, UUID);
	assert_true(cell_read_uuid(STR("urn:vcloud:session:" UUID), uuid));
	assert_false(cell_read_uuid(STR(UUID), uuid));
	assert_false(cell_read_uuid(STR("/" UUID "/"), uuid));
	assert_false(cell_read_uuid(STR("/15eacf4c-b4d0-4dba-9c65-7977a9a10b/2"), uuid));
	assert_false(cell_read_uuid(STR_NONE, uuid));
}

UNIT_TESTS(it(records_are_objects_of_printable_strings), it(what_is_no_result_is_refused),
	it(the_newest_version_that_has_services_is_chosen),
	it(an_error_is_told_without_what_moves_a_cursor),
	it(an_address_ends_with_a_uuid_or_is_none))
