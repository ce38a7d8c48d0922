/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "screen.h"

static const struct {
	const char *text, *shown;
} table[] = {
	{"", ""},
	{"plain, 5 µs, 日本, 🐝\tand\nlines", "plain, 5 µs, 日本, 🐝\tand\nlines"},
	{"\x1b]0;owned\x07", "\\x1b]0;owned\\x07"},
	{"over\rwritten\x08\x7f", "over\\x0dwritten\\x08\\x7f"},
	{"\xc2\x80\xc2\x9b"
	 "31m\xc2\x9f\xc2\xa0",
		"\\u0080\\u009b31m\\u009f\xc2\xa0"},
	{"\x9b"
	 "31m \xff \xe2\x80",
		"\\x9b31m \\xff \\xe2\\x80"},
	{"\u202a\u202b\u202c\u202d\u202e", "\\u202a\\u202b\\u202c\\u202d\\u202e"},
	{"\u2066\u2067\u2068\u2069", "\\u2066\\u2067\\u2068\\u2069"},
	{"\u2029\u202f\u2065\u206a", "\u2029\u202f\u2065\u206a"},
};

static void
control_characters_are_shown_and_all_else_stays(void **state)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		OWN(buf) struct buf shown = BUF_INIT;

		screen_add(str_of(table[i].text), &shown);
		assert_int_equal(shown.len, strlen(table[i].shown));
		assert_memory_equal(shown.at ? shown.at : "", table[i].shown, shown.len);
	}
}

static void
what_was_shown_once_stays_as_it_is(void **state)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		OWN(buf) struct buf again = BUF_INIT;

		screen_add(str_of(table[i].shown), &again);
		assert_int_equal(again.len, strlen(table[i].shown));
		assert_memory_equal(again.at ? again.at : "", table[i].shown, again.len);
	}
}

static void
a_zero_byte_is_a_control_character_too(void **state)
{
	OWN(buf) struct buf shown = BUF_INIT;

	screen_add(STR("a\0b"), &shown);
	assert_true(str_eq(buf_str(&shown), STR("a\\x00b")));
	assert_int_equal(screen_control(STR("\n")), 1);
	assert_int_equal(screen_control(STR("")), 0);
}

UNIT_TESTS(it(control_characters_are_shown_and_all_else_stays),
	it(what_was_shown_once_stays_as_it_is), it(a_zero_byte_is_a_control_character_too))
