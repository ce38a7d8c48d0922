/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "unit.h"

#include "sandbox/watch.h"

#define WHOSE 0x500000007

static struct err err;

/* A pipe with a byte in it, whose reading end is watched. */
static void
set_up(int pipe_fds[2])
{
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
	assert_int_equal(watch_add(pipe_fds[0], WHOSE, &err), 0);
}

static unsigned
n_told(void)
{
	uint64_t whose[WATCH_MOST];
	int n = watch_wait(whose, 0);

	for (int i = 0; i < n; i++)
		assert_int_equal(whose[i], WHOSE);
	return (unsigned)n;
}

static void
what_is_readable_is_told_with_its_owner(void **state)
{
	int fds[2];

	set_up(fds);
	assert_int_equal(n_told(), 1);
	assert_int_equal(n_told(), 1);
	watch_close(&fds[0]);
	close(fds[1]);
}

static void
what_was_closed_is_silent_while_a_child_holds_a_copy(void **state)
{
	int fds[2], copy;

	set_up(fds);
	copy = dup(fds[0]);
	watch_close(&fds[0]);
	assert_int_equal(fds[0], -1);
	assert_int_equal(n_told(), 0);
	close(copy);
	close(fds[1]);
}

static void
what_was_forgotten_is_silent_and_open(void **state)
{
	int fds[2];
	char byte;

	set_up(fds);
	watch_forget(fds[0]);
	assert_int_equal(n_told(), 0);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	watch_close(&fds[0]);
	watch_close(&fds[0]);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_readable_is_told_with_its_owner),
		cmocka_unit_test(what_was_closed_is_silent_while_a_child_holds_a_copy),
		cmocka_unit_test(what_was_forgotten_is_silent_and_open),
	};

	assert_int_equal(watch_open(&err), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
