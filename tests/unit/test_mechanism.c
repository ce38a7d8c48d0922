/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/mechanism.h"

static const struct language node = {.name = "node20", .family = "node"};
static const struct language python = {.name = "python3.11", .family = "python"};

static bool has_fault = true;

/* A folder of mayfly's programs, with a keeper or without. */
static void
examine(bool has_keeper, bool has_scan, bool has_soft_dirty)
{
	const struct doctor_finding findings[] = {
		{"rollback.pagemap_scan", DOCTOR_MECHANISM, has_scan, false, ""},
		{"rollback.soft_dirty", DOCTOR_MECHANISM, has_soft_dirty, false, ""},
		{"rollback.userfaultfd", DOCTOR_MECHANISM, has_fault, false, ""},
		{"rollback.write_protect", DOCTOR_MECHANISM, has_scan, false, ""}};
	OWN(mem) char *keeper = path_join(path_libexec(), "mayfly-keeper");

	unlink(keeper);
	if (has_keeper)
		assert_int_equal(path_write(keeper, STR("x"), 0700, NULL), 0);
	mechanism_examine(findings, 4);
}

/* Whichever way pages are tracked. */
static void
without_a_userfaultfd_nothing_is_rolled_back(void **state)
{
	has_fault = false;
	examine(true, true, true);
	has_fault = true;
	assert_int_equal(mechanism_choose(&python, MECHANISM_AUTO), MECHANISM_FORK);
	assert_int_equal(mechanism_choose(&node, MECHANISM_AUTO), MECHANISM_ONCE);
}

static void
words_are_read_as_they_are_written(void **state)
{
	enum mechanism mechanism = MECHANISM_NONE;

	for (int i = MECHANISM_AUTO; i < MECHANISMS; i++) {
		assert_true(
			mechanism_of_word(str_of(mechanism_word((enum mechanism)i)), &mechanism));
		assert_int_equal(mechanism, i);
	}
	assert_false(mechanism_of_word(STR("none"), &mechanism));
	assert_false(mechanism_of_word(STR(""), &mechanism));
}

static void
the_best_that_is_possible_is_chosen(void **state)
{
	examine(true, true, false);
	assert_int_equal(mechanism_choose(&python, MECHANISM_AUTO), MECHANISM_ROLLBACK);
	assert_int_equal(mechanism_choose(&python, MECHANISM_FORK), MECHANISM_FORK);
	assert_int_equal(mechanism_choose(&python, MECHANISM_ONCE), MECHANISM_ONCE);
	examine(true, false, true);
	assert_int_equal(mechanism_choose(&node, MECHANISM_AUTO), MECHANISM_ROLLBACK);
	examine(true, false, false);
	assert_int_equal(mechanism_choose(&python, MECHANISM_AUTO), MECHANISM_FORK);
	assert_int_equal(mechanism_choose(&node, MECHANISM_AUTO), MECHANISM_ONCE);
	examine(false, true, true);
	assert_int_equal(mechanism_choose(&python, MECHANISM_AUTO), MECHANISM_ONCE);
}

static void
behind_one_that_fails_comes_the_next(void **state)
{
	examine(true, true, true);
	assert_int_equal(mechanism_after(&python, MECHANISM_ROLLBACK), MECHANISM_FORK);
	assert_int_equal(mechanism_after(&node, MECHANISM_ROLLBACK), MECHANISM_ONCE);
	assert_int_equal(mechanism_after(&python, MECHANISM_FORK), MECHANISM_ONCE);
	assert_int_equal(mechanism_after(&python, MECHANISM_ONCE), MECHANISM_ONCE);
}

static void
what_is_not_possible_says_why(void **state)
{
	examine(true, true, true);
	assert_null(mechanism_obstacle(&node, MECHANISM_ROLLBACK));
	assert_non_null(strstr(mechanism_obstacle(&node, MECHANISM_FORK), "threads"));
	examine(true, false, false);
	assert_non_null(strstr(mechanism_obstacle(&python, MECHANISM_ROLLBACK), "PAGEMAP_SCAN"));
	examine(false, true, true);
	assert_non_null(strstr(mechanism_obstacle(&python, MECHANISM_FORK), "mayfly-keeper"));
	assert_null(mechanism_obstacle(&python, MECHANISM_ONCE));
}

static int
in_a_folder(void **state)
{
	char *folder = unit_folder();

	setenv("MAYFLY_LIBEXEC", folder, 1);
	*state = folder;
	return 0;
}

static int
out_of_it(void **state)
{
	path_remove(*state, NULL);
	free(*state);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {it(words_are_read_as_they_are_written),
		it(without_a_userfaultfd_nothing_is_rolled_back),
		it(the_best_that_is_possible_is_chosen), it(behind_one_that_fails_comes_the_next),
		it(what_is_not_possible_says_why)};

	return cmocka_run_group_tests(tests, in_a_folder, out_of_it);
}
