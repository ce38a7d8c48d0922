/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/json.h"

static json_t *
parsed(const char *text)
{
	json_t *value = NULL;

	assert_int_equal(json_parse(str_of(text), &value, NULL), 0);
	return value;
}

static void
a_document_is_read_and_written_again(void **state)
{
	OWN(json) json_t *value = parsed("{\"a\": [1, 2.5, \"x\", null, true], \"b\": {}}");
	OWN(buf) struct buf text = BUF_INIT;

	json_write(value, &text);
	assert_string_equal(text.at, "{\"a\":[1,2.5,\"x\",null,true],\"b\":{}}");
}

static void
a_fault_is_told_with_its_line_and_column(void **state)
{
	json_t *value = NULL;
	struct err err = {0};

	assert_int_equal(json_parse(STR("{\n  \"a\": ]\n}"), &value, &err), ERR_INVALID);
	assert_null(value);
	assert_non_null(strstr(err.text, "line 2 column 8"));
}

static void
a_fault_speaks_to_who_wrote_the_document(void **state)
{
	json_t *value = NULL;
	struct err err = {0};

	assert_int_equal(json_parse(STR_NONE, &value, &err), ERR_INVALID);
	assert_string_equal(err.text, "JSON is needed, there is nothing");
	assert_int_equal(json_parse(STR("[\"\\u0000\"]"), &value, &err), ERR_INVALID);
	assert_non_null(strstr(err.text, "column 9: \\u0000 is not allowed"));
	assert_null(strstr(err.text, "JSON_ALLOW_NUL"));
	assert_null(value);
}

static void
what_is_not_strict_json_is_refused(void **state)
{
	static const char *const bad[] = {"", " ", "{\"a\":1,\"a\":2}", "{'a':1}", "[1,]", "[01]",
		"[NaN]", "[1] [2]", "[\"\xff\"]", "[\"\n\"]", "{a:1}", "[\"\\ud800\"]", "1e",
		"[1e999]", "// x\n[]"};
	json_t *value = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(json_parse(str_of(bad[i]), &value, NULL), ERR_INVALID);
	assert_null(value);
}

static int
parse_levels(size_t n)
{
	OWN(buf) struct buf text = BUF_INIT;
	OWN(json) json_t *value = NULL;

	for (size_t i = 0; i < n; i++)
		buf_add_char(&text, '[');
	for (size_t i = 0; i < n; i++)
		buf_add_char(&text, ']');
	return json_parse(buf_str(&text), &value, NULL);
}

static void
sixty_four_levels_are_the_limit(void **state)
{
	assert_int_equal(parse_levels(64), 0);
	assert_int_equal(parse_levels(65), ERR_INVALID);
	assert_int_equal(parse_levels(1000000), ERR_INVALID);
}

static void
brackets_in_a_string_are_no_levels(void **state)
{
	OWN(buf) struct buf text = BUF_INIT;
	OWN(json) json_t *value = NULL;

	buf_add_text(&text, "[\"\\\"");
	for (int i = 0; i < 200; i++)
		buf_add_text(&text, "[{");
	buf_add_text(&text, "\"]");
	assert_int_equal(json_parse(buf_str(&text), &value, NULL), 0);
}

static void
members_are_read_by_their_type(void **state)
{
	OWN(json)
	json_t *value = parsed("{\"s\":\"text\",\"n\":7,\"b\":true,\"o\":{\"x\":1},\"a\":[1]}");
	const json_t *object = NULL, *array = NULL;
	const char *text = NULL;
	uint64_t number = 0;
	bool flag = false;

	assert_int_equal(json_get_str(value, "", "s", JSON_NEEDED, 4, &text, NULL), 0);
	assert_string_equal(text, "text");
	assert_int_equal(json_get_u64(value, "", "n", JSON_NEEDED, 7, 7, &number, NULL), 0);
	assert_int_equal(number, 7);
	assert_int_equal(json_get_bool(value, "", "b", JSON_NEEDED, &flag, NULL), 0);
	assert_true(flag);
	assert_int_equal(json_get_object(value, "", "o", JSON_NEEDED, &object, NULL), 0);
	assert_int_equal(json_object_size(object), 1);
	assert_int_equal(json_get_array(value, "", "a", JSON_NEEDED, &array, NULL), 0);
	assert_int_equal(json_array_size(array), 1);
}

static void
what_is_absent_or_null_leaves_the_default(void **state)
{
	OWN(json) json_t *value = parsed("{\"n\":null}");
	const char *text = "default";
	uint64_t number = 9;

	assert_int_equal(json_get_u64(value, "", "n", JSON_OPTIONAL, 1, 2, &number, NULL), 0);
	assert_int_equal(number, 9);
	assert_int_equal(json_get_str(value, "", "s", JSON_OPTIONAL, 4, &text, NULL), 0);
	assert_string_equal(text, "default");
	assert_int_equal(json_get_str(NULL, "", "s", JSON_OPTIONAL, 4, &text, NULL), 0);
}

static void
an_error_names_the_field_by_its_path(void **state)
{
	OWN(json) json_t *value = parsed("{\"memory_mib\":\"x\",\"wall_ms\":-1,\"name\":\"long\"}");
	const char *text = NULL;
	uint64_t number = 9;
	struct err err = {0};

	assert_int_equal(
		json_get_u64(value, "limits", "memory_mib", JSON_OPTIONAL, 16, 64, &number, &err),
		ERR_INVALID);
	assert_string_equal(err.field, "limits.memory_mib");
	assert_string_equal(err.text, "limits.memory_mib must be a whole number");
	assert_int_equal(json_get_u64(value, "", "wall_ms", JSON_OPTIONAL, 0, 64, &number, &err),
		ERR_INVALID);
	assert_string_equal(err.text, "wall_ms must be 0 to 64");
	assert_int_equal(json_get_str(value, "", "name", JSON_NEEDED, 3, &text, &err), ERR_INVALID);
	assert_string_equal(err.text, "name must have at most 3 bytes");
	assert_int_equal(
		json_get_str(value, "", "route", JSON_NEEDED, 3, &text, &err), ERR_INVALID);
	assert_string_equal(err.text, "route is needed");
	assert_int_equal(number, 9);
	assert_null(text);
}

static void
every_wrong_type_is_refused(void **state)
{
	OWN(json) json_t *value = parsed("{\"r\":1.0,\"s\":\"1\",\"n\":1}");
	const json_t *inner = NULL;
	const char *text = NULL;
	uint64_t number = 0;
	bool flag = false;

	assert_int_equal(
		json_get_u64(value, "", "r", JSON_OPTIONAL, 0, 9, &number, NULL), ERR_INVALID);
	assert_int_equal(json_get_str(value, "", "n", JSON_OPTIONAL, 9, &text, NULL), ERR_INVALID);
	assert_int_equal(json_get_bool(value, "", "n", JSON_OPTIONAL, &flag, NULL), ERR_INVALID);
	assert_int_equal(json_get_object(value, "", "s", JSON_OPTIONAL, &inner, NULL), ERR_INVALID);
	assert_int_equal(json_get_array(value, "", "s", JSON_OPTIONAL, &inner, NULL), ERR_INVALID);
}

static void
an_unknown_key_is_named(void **state)
{
	OWN(json) json_t *value = parsed("{\"memory_mib\":1,\"memory_mb\":2}");
	struct err err = {0};

	assert_int_equal(json_check_keys(value, "limits",
				 (const char *const[]){"memory_mib", "memory_mb", NULL}, &err),
		0);
	assert_int_equal(
		json_check_keys(value, "limits", (const char *const[]){"memory_mib", NULL}, &err),
		ERR_INVALID);
	assert_string_equal(err.field, "limits.memory_mb");
}

UNIT_TESTS(it(a_document_is_read_and_written_again), it(a_fault_is_told_with_its_line_and_column),
	it(a_fault_speaks_to_who_wrote_the_document), it(what_is_not_strict_json_is_refused),
	it(sixty_four_levels_are_the_limit), it(brackets_in_a_string_are_no_levels),
	it(members_are_read_by_their_type), it(what_is_absent_or_null_leaves_the_default),
	it(an_error_names_the_field_by_its_path), it(every_wrong_type_is_refused),
	it(an_unknown_key_is_named))
