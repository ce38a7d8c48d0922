/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "sandbox/spares.h"

#define MINUTE_MS 60000

static struct spares spares;

/* n starts at once, of which those that find a spare take it. */
static void
burst(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		spares_take(&spares, i < spares.wanted ? spares.wanted - i : 0);
}

static void
a_few_wait_from_the_start(void **state)
{
	spares_init(&spares, SPARES_MAX, 0);
	assert_int_equal(spares_wanted(&spares, 0), SPARES_MIN);
	burst(3);
	assert_int_equal(spares_wanted(&spares, 20), SPARES_MIN);
}

static void
more_wait_after_starts_that_found_none(void **state)
{
	spares_init(&spares, SPARES_MAX, 0);
	for (int i = 0; i < 5; i++)
		spares_take(&spares, 0);
	assert_int_equal(spares_wanted(&spares, 20), SPARES_MIN + 5);
}

static void
starts_that_find_one_change_nothing(void **state)
{
	spares_init(&spares, SPARES_MAX, 0);
	for (int i = 0; i < 1000; i++)
		spares_take(&spares, 4);
	assert_int_equal(spares_wanted(&spares, 1000), SPARES_MIN);
}

static void
there_is_a_most(void **state)
{
	spares_init(&spares, SPARES_MAX, 0);
	for (int i = 0; i < 500; i++)
		spares_take(&spares, 0);
	assert_int_equal(spares_wanted(&spares, 20), SPARES_MAX);
	spares_init(&spares, 10, 0);
	for (int i = 0; i < 500; i++)
		spares_take(&spares, 0);
	assert_int_equal(spares_wanted(&spares, 20), 10);
}

static void
without_need_fewer_wait_until_a_few_are_left(void **state)
{
	uint64_t now = 0;
	unsigned last = SPARES_MAX;

	spares_init(&spares, SPARES_MAX, 0);
	for (int i = 0; i < 500; i++)
		spares_take(&spares, 0);
	now += MINUTE_MS;
	assert_int_equal(spares_wanted(&spares, now), SPARES_MAX); /* they were needed in it */
	for (int minute = 1; last > SPARES_MIN; minute++) {
		assert_true(minute < 20);
		now += MINUTE_MS;
		assert_true(spares_wanted(&spares, now) < last);
		last = spares_wanted(&spares, now);
	}
	assert_int_equal(last, SPARES_MIN);
}

static void
a_burst_that_comes_again_keeps_them(void **state)
{
	spares_init(&spares, SPARES_MAX, 0);
	for (int i = 0; i < 32; i++)
		spares_take(&spares, 0);
	for (uint64_t at = 0; at < 20 * MINUTE_MS; at += MINUTE_MS / 2) {
		assert_int_equal(spares_wanted(&spares, at), 40);
		burst(38);
	}
}

UNIT_TESTS(it(a_few_wait_from_the_start), it(more_wait_after_starts_that_found_none),
	it(starts_that_find_one_change_nothing), it(there_is_a_most),
	it(without_need_fewer_wait_until_a_few_are_left), it(a_burst_that_comes_again_keeps_them))
