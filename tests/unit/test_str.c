/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/str.h"

static void
views_are_compared_by_their_bytes(void **state)
{
	assert_true(str_eq(STR("abc"), str_of("abc")));
	assert_false(str_eq(STR("abc"), STR("abd")));
	assert_false(str_eq(STR("abc"), STR("ab")));
	assert_true(str_eq(STR_NONE, STR("")));
	assert_true(str_eq_case(STR("Content-Length"), STR("cONTENT-lENGTH")));
	assert_false(str_eq_case(STR("a"), STR("A1")));
	assert_false(str_eq_case(STR("@"), STR("`")));
	assert_false(str_eq_case(STR("\xe9"), STR("\xc9")));
}

static void
beginnings_and_ends_are_seen(void **state)
{
	assert_true(str_starts(STR("/v1/orgs"), STR("/v1/")));
	assert_true(str_starts(STR("a"), STR_NONE));
	assert_false(str_starts(STR("/v"), STR("/v1")));
	assert_true(str_ends(STR("a.tar.gz"), STR(".gz")));
	assert_true(str_ends(STR("a"), STR_NONE));
	assert_false(str_ends(STR("gz"), STR(".gz")));
}

static void
order_is_that_of_bytes_with_the_shorter_first(void **state)
{
	assert_true(str_compare(STR("a"), STR("b")) < 0);
	assert_true(str_compare(STR("b"), STR("a")) > 0);
	assert_true(str_compare(STR("a"), STR("aa")) < 0);
	assert_true(str_compare(STR("\xff"), STR("a")) > 0);
	assert_int_equal(str_compare(STR("a"), STR("a")), 0);
	assert_int_equal(str_compare(STR_NONE, STR("")), 0);
}

static void
trimming_takes_spaces_and_tabs_only(void **state)
{
	assert_str(str_trim(STR(" \t a b\t ")), "a b");
	assert_str(str_trim(STR("\ra\n")), "\ra\n");
	assert_str(str_trim(STR(" \t ")), "");
	assert_str(str_trim(STR_NONE), "");
}

static void
cutting_gives_part_after_part(void **state)
{
	struct str rest = STR("a,,b");

	assert_str(str_cut(&rest, ','), "a");
	assert_str(str_cut(&rest, ','), "");
	assert_str(str_cut(&rest, ','), "b");
	assert_int_equal(rest.len, 0);
	assert_str(str_cut(&rest, ','), "");
	rest = STR("x=");
	assert_str(str_cut(&rest, '='), "x");
	assert_int_equal(rest.len, 0);
}

static void
numbers_are_digits_and_fit(void **state)
{
	static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "1a",
		"18446744073709551616", "99999999999999999999999"};
	uint64_t number = 5;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(str_to_u64(str_of(bad[i]), &number));
	assert_int_equal(number, 5);
	assert_true(str_to_u64(STR("18446744073709551615"), &number));
	assert_true(number == UINT64_MAX);
	assert_true(str_to_u64(STR("007"), &number));
	assert_int_equal(number, 7);
}

static void
utf8_is_well_formed_or_refused(void **state)
{
	static const char *const good[] = {"", "abc", "\x7f", "\xc2\x80", "\xdf\xbf",
		"\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80",
		"\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80", "\xc0\xaf", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf",
		"\xe0\xa0", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xff", "a\xc3(", "\xf0\x90\x80"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(str_is_utf8(str_of(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(str_is_utf8(str_of(bad[i])));
	assert_true(str_is_utf8(str_n("\0", 1)));
	for (size_t at = 0; at < 18; at++) {
		char text[18];

		memset(text, 'x', sizeof(text));
		text[at] = (char)0xff;
		assert_false(str_is_utf8(str_n(text, sizeof(text))));
	}
	assert_int_equal(str_utf8_step(STR("\xe2\x82\xac!")), 3);
	assert_int_equal(str_utf8_step(STR_NONE), 0);
}

static void
secrets_are_equal_only_when_they_are(void **state)
{
	assert_true(str_eq_secret(STR("token"), STR("token")));
	assert_false(str_eq_secret(STR("token"), STR("tokem")));
	assert_false(str_eq_secret(STR("token"), STR("toke")));
	assert_true(str_eq_secret(STR_NONE, STR("")));
}

static void
copies_are_terminated(void **state)
{
	OWN(mem) char *copy = str_dup(str_n("abcdef", 3));
	OWN(mem) char *none = str_dup(STR_NONE);

	assert_string_equal(copy, "abc");
	assert_string_equal(none, "");
}

static void
memory_is_zeroed_kept_when_it_grows_and_printed_into(void **state)
{
	OWN(mem) char *memory = mem_new(16);
	OWN(mem) char *text = mem_printf("%s/%d", "a", 1);
	OWN(mem) char *none = mem_new(0);

	for (int i = 0; i < 16; i++)
		assert_int_equal(memory[i], 0);
	memory[15] = 'x';
	memory = mem_grow(memory, 100000);
	assert_int_equal(memory[15], 'x');
	assert_string_equal(text, "a/1");
	assert_non_null(none);
}

UNIT_TESTS(it(views_are_compared_by_their_bytes), it(beginnings_and_ends_are_seen),
	it(order_is_that_of_bytes_with_the_shorter_first), it(trimming_takes_spaces_and_tabs_only),
	it(cutting_gives_part_after_part), it(numbers_are_digits_and_fit),
	it(utf8_is_well_formed_or_refused), it(secrets_are_equal_only_when_they_are),
	it(copies_are_terminated), it(memory_is_zeroed_kept_when_it_grows_and_printed_into))
