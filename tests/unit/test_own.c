/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void
a_descriptor_is_closed_at_the_end_of_its_scope(void **state)
{
	int seen;

	{
		OWN(fd) int fd = open("/dev/null", O_RDONLY);

		seen = fd;
		assert_true(is_open(seen));
	}
	assert_false(is_open(seen));
}

static void
what_was_taken_out_stays_open(void **state)
{
	int kept;

	{
		OWN(fd) int fd = open("/dev/null", O_RDONLY);

		kept = take_fd(&fd);
		assert_int_equal(fd, -1);
	}
	assert_true(is_open(kept));
	close(kept);
}

static void
a_pointer_that_was_taken_is_not_freed(void **state)
{
	char *kept;

	{
		OWN(mem) char *text = str_dup(STR("kept"));

		kept = take_ptr(&text);
		assert_null(text);
	}
	assert_string_equal(kept, "kept");
	free(kept);
}

static int n_released;

static void
count_release(int *x)
{
	n_released += *x;
}

OWN_DEFINE(counted, int *, count_release)

static void
a_type_joins_by_its_release_function(void **state)
{
	int weight = 3;

	{
		OWN(counted) int *owned = &weight;
		OWN(counted) int *nothing = NULL;

		assert_non_null(owned);
		assert_null(nothing);
	}
	assert_int_equal(n_released, 3);
}

UNIT_TESTS(it(a_descriptor_is_closed_at_the_end_of_its_scope), it(what_was_taken_out_stays_open),
	it(a_pointer_that_was_taken_is_not_freed), it(a_type_joins_by_its_release_function))
