/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <signal.h>
#include <string.h>

#include "base/thread.h"

struct seen {
	char name[16];
	int n_open_signals;
	uint64_t number;
};

static void *
look_around(void *arg)
{
	struct seen *seen = arg;
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	for (int sig = 1; sig < 32; sig++)
		seen->n_open_signals +=
			sig != SIGKILL && sig != SIGSTOP && !sigismember(&blocked, sig);
	/* The name is given by the thread that started this one: wait until it stands. */
	do {
		pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
	} while (strcmp(seen->name, "unit-look") != 0);
	return seen;
}

static void
a_thread_has_its_name_and_takes_no_signals(void **state)
{
	struct seen seen = {0};
	sigset_t mine;
	pthread_t thread;
	void *result;

	assert_int_equal(thread_start(&thread, "unit-look", look_around, &seen, NULL), 0);
	pthread_join(thread, &result);
	assert_ptr_equal(result, &seen);
	assert_string_equal(seen.name, "unit-look");
	assert_int_equal(seen.n_open_signals, 0);
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	assert_false(sigismember(&mine, SIGTERM));
}

UNIT_TESTS(it(a_thread_has_its_name_and_takes_no_signals))
