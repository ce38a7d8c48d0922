/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "mf_inside.h"

static struct mf_json
parse(const char *text)
{
	return mf_json_parse(text, strlen(text));
}

static void
own_text(char **text)
{
	free(*text);
}

static void
every_kind_is_told(void **state)
{
	assert_int_equal(mf_json_kind(parse("{}")), MF_JSON_OBJECT);
	assert_int_equal(mf_json_kind(parse(" [ ] ")), MF_JSON_ARRAY);
	assert_int_equal(mf_json_kind(parse("\"\"")), MF_JSON_STRING);
	assert_int_equal(mf_json_kind(parse("-0.5e+3")), MF_JSON_NUMBER);
	assert_int_equal(mf_json_kind(parse("true")), MF_JSON_BOOL);
	assert_int_equal(mf_json_kind(parse("null")), MF_JSON_NULL);
	assert_int_equal(mf_json_kind(parse("")), MF_JSON_NONE);
}

static void
what_is_no_json_is_not_there(void **state)
{
	static const char *const texts[] = {"", " ", "{", "[1,]", "{\"a\":}", "{a:1}", "{\"a\" 1}",
		"01", "1.", ".5", "1e", "+1", "-", "tru", "nulll", "'a'", "\"a", "\"\\x\"",
		"\"\\u12g4\"", "\"\n\"", "\"\xff\"", "[1] 2", "{\"a\":1,}", "[,]", "\"\\", NULL};

	for (size_t i = 0; texts[i]; i++) {
		if (parse(texts[i]).at)
			fail_msg("%s was taken for JSON", texts[i]);
	}
}

static void
levels_are_bounded(void **state)
{
	char text[300];

	memset(text, '[', 150);
	memset(text + 150, ']', 150);
	assert_null(mf_json_parse(text, 300).at);
	assert_non_null(mf_json_parse(text + 90, 120).at);
}

static void
members_and_items_are_found(void **state)
{
	struct mf_json json =
		parse("{ \"a\" : [1, {\"b\":\"x,]}\"}, [] , null], \"c\":2,\"a b\":3 }");
	struct mf_json list = mf_json_get(json, "a");

	assert_int_equal(mf_json_count(json), 3);
	assert_int_equal(mf_json_count(list), 4);
	assert_true(mf_json_number(mf_json_item(list, 0), 0) == 1);
	assert_int_equal(mf_json_kind(mf_json_get(mf_json_item(list, 1), "b")), MF_JSON_STRING);
	assert_int_equal(mf_json_kind(mf_json_item(list, 3)), MF_JSON_NULL);
	assert_int_equal(mf_json_kind(mf_json_item(list, 4)), MF_JSON_NONE);
	assert_true(mf_json_number(mf_json_get(json, "a b"), 0) == 3);
	assert_null(mf_json_get(json, "b").at);
	assert_null(mf_json_get(list, "b").at);
	assert_null(mf_json_item(json, 0).at);
}

static void
the_last_member_of_a_name_counts(void **state)
{
	assert_true(mf_json_number(mf_json_get(parse("{\"a\":1,\"\\u0061\":2}"), "a"), 0) == 2);
}

static void
strings_are_decoded(void **state)
{
	OWN(text) char *text = mf_json_dup(parse("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00fc\""), NULL);
	OWN(text) char *pair = mf_json_dup(parse("\"\\ud83e\\udd8b\""), NULL);
	OWN(text) char *alone = mf_json_dup(parse("\"\\ud83ex\\udd8b\""), NULL);
	size_t size;
	OWN(text) char *zero = mf_json_dup(parse("\"a\\u0000b\""), &size);

	assert_string_equal(text, "\"\\/\b\f\n\r\t\xc3\xbc");
	assert_string_equal(pair, "\xf0\x9f\xa6\x8b");
	assert_string_equal(alone, "\xef\xbf\xbdx\xef\xbf\xbd");
	assert_int_equal(size, 3);
	assert_memory_equal(zero, "a\0b", 4);
}

static void
a_short_buffer_gets_whole_characters(void **state)
{
	struct mf_json json = parse("\"a\xc3\xbc\xc3\xbc"
				    "b\"");
	char text[5];

	assert_int_equal(mf_json_text(json, text, sizeof(text)), 6);
	assert_string_equal(text, "a\xc3\xbc");
	assert_int_equal(mf_json_text(json, NULL, 0), 6);
	assert_int_equal(mf_json_text(parse("5"), text, sizeof(text)), 0);
	assert_string_equal(text, "");
}

static void
base64_goes_there_and_back(void **state)
{
	for (size_t n = 0; n < 40; n++) {
		struct mf_bytes text = {0}, back = {0};
		char data[40];

		memset(data, (int)(n * 37), n);
		mf_bytes_add_base64(&text, data, n);
		assert_int_equal(text.size, (n + 2) / 3 * 4);
		assert_true(mf_bytes_add_from_base64(&back, text.at, text.size));
		assert_int_equal(back.size, n);
		if (n)
			assert_memory_equal(back.at, data, n);
		mf_bytes_done(&text);
		mf_bytes_done(&back);
	}
}

static void
what_is_no_base64_is_refused(void **state)
{
	struct mf_bytes out = {0};

	assert_false(mf_bytes_add_from_base64(&out, "a", 1));
	assert_false(mf_bytes_add_from_base64(&out, "ab cd", 5));
	assert_false(mf_bytes_add_from_base64(&out, "ab\0d", 4));
	mf_bytes_done(&out);
}

UNIT_TESTS(it(every_kind_is_told), it(what_is_no_json_is_not_there), it(levels_are_bounded),
	it(members_and_items_are_found), it(the_last_member_of_a_name_counts),
	it(strings_are_decoded), it(a_short_buffer_gets_whole_characters),
	it(base64_goes_there_and_back), it(what_is_no_base64_is_refused))
