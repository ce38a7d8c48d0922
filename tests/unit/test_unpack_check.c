/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "sandbox/unpack_check.h"

static const char *
path_of(const char *text)
{
	static char path[UNPACK_PATH_MAX + 1];
	struct err err = {0};

	return unpack_check_path(str_of(text), path, &err) < 0 ? NULL : path;
}

static bool
is_link(const char *path, const char *target)
{
	struct err err = {0};

	return unpack_check_link(str_of(path), str_of(target), &err) == 0;
}

static void
a_path_loses_what_says_nothing(void **state)
{
	assert_string_equal(path_of("a/b"), "a/b");
	assert_string_equal(path_of("./a//b/./c/"), "a/b/c");
	assert_string_equal(path_of("a/.hidden/..."), "a/.hidden/...");
	assert_string_equal(path_of("./"), "");
}

static void
a_path_that_leaves_the_tree_is_refused(void **state)
{
	assert_null(path_of("/a"));
	assert_null(path_of(".."));
	assert_null(path_of("a/../b"));
	assert_null(path_of("a/.."));
	assert_null(path_of(""));
}

static void
a_path_that_cannot_be_shown_is_refused(void **state)
{
	assert_null(path_of("a\xff"));
	assert_null(path_of("a\nb"));
	assert_null(path_of("a\x7f"));
	assert_non_null(path_of("gr\xc3\xbc\xc3\x9f"));
}

static void
depth_and_lengths_are_bounded(void **state)
{
	char text[4 * UNPACK_PATH_MAX];

	memset(text, 'n', sizeof(text));
	text[UNPACK_NAME_MAX] = '\0';
	assert_non_null(path_of(text));
	text[UNPACK_NAME_MAX] = 'n';
	text[UNPACK_NAME_MAX + 1] = '\0';
	assert_null(path_of(text));
	for (size_t i = 0; i < UNPACK_DEPTH_MAX + 1; i++)
		memcpy(text + 2 * i, "d/", 2);
	text[2 * UNPACK_DEPTH_MAX] = '\0';
	assert_non_null(path_of(text));
	text[2 * UNPACK_DEPTH_MAX] = 'd';
	text[2 * UNPACK_DEPTH_MAX + 1] = '\0';
	assert_null(path_of(text));
}

static void
a_link_may_go_up_as_far_as_its_folder_is_deep(void **state)
{
	assert_true(is_link("l", "a/b"));
	assert_true(is_link("a/b/l", "../../c"));
	assert_true(is_link("a/l", "./.././b"));
	assert_false(is_link("l", "../c"));
	assert_false(is_link("a/b/l", "../../../c"));
	assert_false(is_link("l", "/c"));
	assert_false(is_link("l", ""));
}

static void
a_link_never_goes_up_behind_a_name(void **state)
{
	/* "s" may be a link to a place that is less deep than its name says. */
	assert_false(is_link("m", "a/b/s/../.."));
	assert_false(is_link("a/l", "../b/.."));
}

static void
a_refusal_shows_nothing_that_could_harm_a_terminal(void **state)
{
	static const char zeros[500];

	assert_string_equal(unpack_check_shown(STR("a\x1b[2J\xff\n")), "a?[2J??");
	assert_string_equal(unpack_check_shown(STR("gr\xc3\xbcn")), "gr\xc3\xbcn");
	assert_int_equal(strlen(unpack_check_shown(str_n(zeros, sizeof(zeros)))), 80);
}

UNIT_TESTS(it(a_path_loses_what_says_nothing), it(a_path_that_leaves_the_tree_is_refused),
	it(a_path_that_cannot_be_shown_is_refused), it(depth_and_lengths_are_bounded),
	it(a_link_may_go_up_as_far_as_its_folder_is_deep), it(a_link_never_goes_up_behind_a_name),
	it(a_refusal_shows_nothing_that_could_harm_a_terminal))
