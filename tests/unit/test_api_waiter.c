/* SPDX-License-Identifier: Apache-2.0 */
/* How many may wait and follow, and that each gives its place back once. */
#include "unit.h"

#include "api/api_waiter.h"

#include "base/own.h"

static unsigned n_stopped;

static void
on_stop(struct api_waiter *waiter)
{
	thread_on_loop();
	n_stopped++;
	api_waiter_leave(waiter);
}

static struct api_waiters *
waiters_open(void)
{
	struct api_waiters *waiters = mem_new(sizeof(*waiters));

	api_waiters_init(waiters);
	for (int kind = 0; kind < API_WAITER_KINDS; kind++) {
		waiters->max[kind] = 3;
		waiters->max_org[kind] = 2;
	}
	n_stopped = 0;
	return waiters;
}

static void
own_waiters(struct api_waiters **waiters)
{
	api_waiters_done(*waiters);
	free(*waiters);
}

static int
join(struct api_waiters *waiters, struct api_waiter *waiter, enum api_waiter_kind kind,
	const char *org, struct err *err)
{
	*waiter = (struct api_waiter){.stop = on_stop};
	thread_on_loop();
	return api_waiter_join(waiters, waiter, kind, org, err);
}

static void
an_org_and_all_orgs_have_a_most(void **state)
{
	OWN(waiters) struct api_waiters *waiters = waiters_open();
	struct api_waiter all[4];
	struct err err = {0};

	assert_int_equal(join(waiters, &all[0], API_WAITER_FOLLOWS, "acme", &err), 0);
	assert_int_equal(join(waiters, &all[1], API_WAITER_FOLLOWS, "acme", &err), 0);
	assert_int_equal(join(waiters, &all[2], API_WAITER_FOLLOWS, "acme", &err), ERR_RATE);
	assert_string_equal(err.text, "2 clients follow things of acme already (followers_org)");
	assert_int_equal(join(waiters, &all[2], API_WAITER_FOLLOWS, "bee", &err), 0);
	assert_int_equal(join(waiters, &all[3], API_WAITER_FOLLOWS, "bee", &err), ERR_RATE);
	assert_string_equal(
		err.text, "3 clients follow things of all organisations already (followers)");
	thread_on_loop();
	api_waiters_stop(waiters);
	assert_int_equal(n_stopped, 3);
}

static void
who_waits_takes_no_place_of_who_follows(void **state)
{
	OWN(waiters) struct api_waiters *waiters = waiters_open();
	struct api_waiter all[3];
	struct err err = {0};

	assert_int_equal(join(waiters, &all[0], API_WAITER_FOLLOWS, "acme", &err), 0);
	assert_int_equal(join(waiters, &all[1], API_WAITER_FOLLOWS, "acme", &err), 0);
	assert_int_equal(join(waiters, &all[2], API_WAITER_WAITS, "acme", &err), 0);
	thread_on_loop();
	api_waiters_stop(waiters);
}

static void
a_place_that_was_left_is_free_once(void **state)
{
	OWN(waiters) struct api_waiters *waiters = waiters_open();
	struct api_waiter all[3];
	struct err err = {0};

	thread_on_loop();
	for (int i = 0; i < 2; i++)
		assert_int_equal(join(waiters, &all[i], API_WAITER_WAITS, "acme", &err), 0);
	assert_int_equal(join(waiters, &all[2], API_WAITER_WAITS, "acme", &err), ERR_RATE);
	api_waiter_leave(&all[0]);
	api_waiter_leave(&all[0]);
	assert_int_equal(join(waiters, &all[0], API_WAITER_WAITS, "acme", &err), 0);
	assert_int_equal(join(waiters, &all[2], API_WAITER_WAITS, "acme", &err), ERR_RATE);
	api_waiter_leave(&all[0]);
	api_waiter_leave(&all[1]);
	assert_int_equal(waiters->orgs.len, 0);
	assert_int_equal(waiters->n[API_WAITER_WAITS], 0);
}

UNIT_TESTS(it(an_org_and_all_orgs_have_a_most), it(who_waits_takes_no_place_of_who_follows),
	it(a_place_that_was_left_is_free_once))
