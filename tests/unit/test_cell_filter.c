/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cell_filter.h"

static void
a_function_has_a_pattern_of_its_own(void **state)
{
	static const struct {
		const char *function, *pattern;
	} table[] = {
		{"pscoe/hello", "/api/org/pscoe/hello(/.*)?"},
		{"*/shop/v1.2", "/api/org/[^/]+/shop/v1\\.2(/.*)?"},
		{"urn:vcloud:org:9aee/a", "/api/org/urn:vcloud:org:9aee/a(/.*)?"},
	};
	struct err err;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		OWN(mem) char *pattern = NULL;

		assert_int_equal(cell_filter_of(table[i].function, &pattern, &err), 0);
		assert_string_equal(pattern, table[i].pattern);
		assert_int_equal(cell_filter_check(pattern, &err), 0);
	}
}

static void
what_would_take_more_than_a_function_is_refused(void **state)
{
	static const char *const table[] = {"", "hello", "pscoe/", "/hello", "pscoe//hello",
		"pscoe/hello/", ".*/hello", "[^/]+/hello", "pscoe/.*", "pscoe/a|b", "**/a", "a b/c",
		"pscoe/h\xc3\xa9"};
	char *pattern = NULL;
	struct err err;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(cell_filter_of(table[i], &pattern, &err), ERR_INVALID);
		assert_string_equal(err.field, "--function");
	}
	assert_null(pattern);
}

static void
what_vcloud_director_has_itself_is_left_to_it(void **state)
{
	char *pattern = NULL;
	struct err err;

	assert_int_equal(cell_filter_of("*/metadata", &pattern, &err), ERR_CONFLICT);
	assert_int_equal(cell_filter_of("pscoe/Catalog/x", &pattern, &err), ERR_CONFLICT);
	assert_null(pattern);
	assert_int_equal(cell_filter_of("*/metadata2", &pattern, &err), 0);
	free(pattern);
}

static void
a_pattern_is_text_of_bounded_length(void **state)
{
	OWN(buf) struct buf large = BUF_INIT;

	assert_int_equal(cell_filter_check("/api/<&>", NULL), 0);
	assert_int_equal(cell_filter_check("", NULL), ERR_INVALID);
	assert_int_equal(cell_filter_check("a\nb", NULL), ERR_INVALID);
	assert_int_equal(cell_filter_check("a\xff", NULL), ERR_INVALID);
	for (int i = 0; i < 1024; i++)
		buf_add_char(&large, 'a');
	assert_int_equal(cell_filter_check(large.at, NULL), 0);
	buf_add_char(&large, 'a');
	assert_int_equal(cell_filter_check(large.at, NULL), ERR_INVALID);
}

UNIT_TESTS(it(a_function_has_a_pattern_of_its_own),
	it(what_would_take_more_than_a_function_is_refused),
	it(what_vcloud_director_has_itself_is_left_to_it), it(a_pattern_is_text_of_bounded_length))
