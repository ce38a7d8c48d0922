/* SPDX-License-Identifier: Apache-2.0 */
#include "pool_kit.h"

#include <string.h>

#include "base/clock.h"

enum { N_BURST = 200 };

static void
serve(struct version *version)
{
	thread_on_loop();
	pool_serve(version->pool);
}

static void
be_kept_by(struct kit *kit, enum mechanism mechanism)
{
	kit->version->mechanism = mechanism;
	kit->version->config.concurrency = 1;
	kit->spawner->has_keepers = true;
}

/* ---- what is kept ---- */

static void
min_instances_are_there_before_the_first_call(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	kit->version->config.min_instances = 2;
	serve(kit->version);
	kit_wait_ms(kit, 50);
	assert_int_equal(kit_stats(kit->version).n_idle, 2);
	assert_int_equal(spot_put(kit->version, &spot, 0), 1);
	kit_until(kit, &spot.is_over);
	assert_false(spot.place.is_cold);
	assert_int_equal(kit_stats(kit->version).n_started, 2);
}

static void
min_instances_outlive_idleness_and_are_replaced(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spots[3];

	kit->version->config.min_instances = 1;
	kit->version->config.idle_ms = 20;
	serve(kit->version);
	kit->spawner->behaviour = FAKE_HOLDS;
	for (int i = 0; i < 3; i++)
		spot_put(kit->version, &spots[i], 0);
	kit_until(kit, &spots[2].is_placed);
	for (int i = 0; i < 3; i++)
		spot_abandon(&spots[i]);
	kit->spawner->behaviour = FAKE_ANSWERS;
	kit_wait_ms(kit, 100);
	assert_int_equal(kit->domain.n_instances, 1);
	fake_gone(fake_last(kit->spawner), 1);
	kit_wait_ms(kit, 50);
	assert_int_equal(kit_stats(kit->version).n_idle, 1);
}

static void
min_instances_are_not_given_to_others(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct version *others[] = {kit_version(kit, "other"), kit_version(kit, "third")};
	struct spot spot;

	kit->domain.config.max_instances_total = 2;
	kit->version->config.min_instances = 1;
	serve(kit->version);
	kit_wait_ms(kit, 20);
	for (int i = 0; i < 2; i++) {
		spot_put(others[i], &spot, 0);
		kit_until(kit, &spot.is_over);
	}
	assert_int_equal(kit_stats(kit->version).n_idle, 1);
	assert_int_equal(kit_stats(others[0]).n_idle, 0);
	assert_int_equal(kit_stats(others[1]).n_idle, 1);
}

static void
min_instances_are_of_the_version_that_serves(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct version *second = kit_version(kit, "hello");

	kit->version->config.min_instances = second->config.min_instances = 1;
	kit_wait_ms(kit, 20);
	assert_int_equal(kit->domain.n_instances, 0);
	serve(kit->version);
	kit_wait_ms(kit, 20);
	serve(second);
	thread_on_loop();
	pool_retire(kit->version->pool);
	kit_wait_ms(kit, 20);
	assert_int_equal(kit_stats(kit->version).n_ready, 0);
	assert_int_equal(kit_stats(second).n_idle, 1);
}

static void
min_instances_that_cannot_boot_are_tried_again(void **state)
{
	OWN(kit) struct kit *kit = kit_new();

	kit->version->config.min_instances = 1;
	kit->spawner->behaviour = FAKE_FAILS_TO_LOAD;
	serve(kit->version);
	while (kit_stats(kit->version).n_failed == 0)
		kit_turn(kit);
	assert_int_equal(kit->spawner->n_asked, 1);
	assert_in_range(kit_stats(kit->version).retry_ms, 1, POOL_BACKOFF_MIN_MS);
	assert_string_equal(kit_stats(kit->version).boot_reason->text, "SyntaxError: bad");
	kit->spawner->behaviour = FAKE_ANSWERS;
	while (kit_stats(kit->version).n_idle == 0)
		kit_turn(kit);
	assert_int_equal(kit->spawner->n_asked, 2);
	assert_int_equal(kit_stats(kit->version).n_failed, 0);
	assert_null(kit_stats(kit->version).boot_reason);
}

/* ---- isolation call ---- */

static void
an_instance_that_is_brought_back_has_no_room_until_it_is(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot first, second;

	be_kept_by(kit, MECHANISM_ROLLBACK);
	kit->version->config.max_instances = 1;
	kit->spawner->is_renewal_held = true;
	spot_put(kit->version, &first, 0);
	kit_until(kit, &first.is_over);
	assert_int_equal(kit_stats(kit->version).n_ready, 1);
	assert_int_equal(kit_stats(kit->version).n_idle, 0);
	assert_int_equal(spot_put(kit->version, &second, 0), 0);
	kit_wait_ms(kit, 30);
	assert_false(second.is_placed);
	kit->spawner->is_renewal_held = false;
	kit_until(kit, &second.is_over);
	kit_wait_ms(kit, 10);
	assert_false(second.place.is_cold);
	assert_int_equal(kit_stats(kit->version).n_idle, 1);
	assert_int_equal(kit_stats(kit->version).n_started, 1);
}

static void
nothing_is_brought_back_for_a_version_that_is_retired(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	be_kept_by(kit, MECHANISM_ROLLBACK);
	kit->spawner->is_renewal_held = true;
	kit->spawner->behaviour = FAKE_HOLDS;
	spot_put(kit->version, &spot, 0);
	kit_until(kit, &spot.is_placed);
	thread_on_loop();
	pool_retire(kit->version->pool);
	kit_turn(kit);
	fake_answer(fake_last(kit->spawner), spot.run.number, "200\n", STR_NONE);
	kit_until(kit, &spot.is_over);
	kit_wait_ms(kit, 10);
	assert_int_equal(kit->domain.n_instances, 0);
}

/* Without waiting for a call, or for the death of the one that was spoilt. */
static void
what_cannot_be_brought_back_is_replaced_at_once(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	be_kept_by(kit, MECHANISM_ROLLBACK);
	kit->version->config.max_instances = 1;
	kit->version->config.idle_ms = 60000;
	kit->spawner->is_spoiling = kit->spawner->is_death_held = true;
	spot_put(kit->version, &spot, 0);
	kit_until(kit, &spot.is_over);
	kit_wait_ms(kit, 20);
	assert_int_equal(kit->domain.n_instances, 2);
	assert_int_equal(kit_stats(kit->version).n_started, 2);
	assert_int_equal(kit_stats(kit->version).n_idle, 1);
	assert_int_equal(spot_put(kit->version, &spot, 0), 1);
	kit_until(kit, &spot.is_over);
	assert_false(spot.place.is_cold);
	kit->spawner->is_spoiling = kit->spawner->is_death_held = false;
}

/* One call at a time, each right behind the one before, meets a renewal each time. */
static void
calls_that_often_meet_a_renewal_get_a_few_more_instances(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	unsigned n_waited = 0;
	struct spot spot;

	be_kept_by(kit, MECHANISM_ROLLBACK);
	kit->version->config.max_instances = 100;
	for (int i = 0; i < 2000; i++) {
		n_waited += spot_put(kit->version, &spot, 0) == 0 && i >= 1000;
		while (!spot.is_over)
			kit_turn(kit);
	}
	assert_in_range(kit_stats(kit->version).n_started, 2, 2 * kit->domain.shares.n_cpus);
	assert_true(n_waited < 125);
}

static void
where_each_call_uses_an_instance_up_one_is_ready(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	be_kept_by(kit, MECHANISM_ONCE);
	kit->version->config.idle_ms = 200;
	spot_put(kit->version, &spot, 0);
	kit_until(kit, &spot.is_over);
	for (int i = 0; i < 10; i++) {
		kit_wait_ms(kit, 15);
		assert_int_equal(spot_put(kit->version, &spot, 0), 1);
		kit_until(kit, &spot.is_over);
		assert_false(spot.place.is_cold);
	}
	assert_in_range(kit_stats(kit->version).n_started, 12, 14);
	kit_wait_ms(kit, 600);
	assert_int_equal(kit->domain.n_instances, 0);
}

static void
instances_that_serve_one_call_follow_what_waits_at_once(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spots[20];

	be_kept_by(kit, MECHANISM_ONCE);
	kit->version->config.max_instances = 10;
	spot_put(kit->version, &spots[0], 0);
	kit_until(kit, &spots[0].is_over);
	kit->domain.shares.n_slots = 100;
	kit->spawner->behaviour = FAKE_HANGS_IN_BOOT;
	for (int i = 0; i < 20; i++)
		spot_put(kit->version, &spots[i], 0);
	kit_turn(kit);
	kit_turn(kit);
	assert_int_equal(kit->domain.n_instances, 10);
	for (int i = 0; i < 20; i++)
		spot_abandon(&spots[i]);
}

static void
what_is_lost_again_and_again_has_a_spare(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	kit->spawner->behaviour = FAKE_HOLDS;
	for (int i = 0; i < 3; i++) {
		spot_put(kit->version, &spot, 0);
		kit_until(kit, &spot.is_placed);
		spot_abandon(&spot);
		kit_turn(kit);
	}
	kit_wait_ms(kit, 20);
	assert_in_range(kit_stats(kit->version).n_idle, 1, 3);
}

static void
what_was_lost_once_is_not_replaced_for_nobody(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	kit->spawner->behaviour = FAKE_HOLDS;
	spot_put(kit->version, &spot, 0);
	kit_until(kit, &spot.is_placed);
	spot_abandon(&spot);
	kit_wait_ms(kit, 20);
	assert_int_equal(kit->domain.n_instances, 0);
}

/* ---- load ---- */

static void
every_one_of_a_burst_on_one_function_is_answered(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	static struct spot spots[N_BURST];

	for (int i = 0; i < N_BURST; i++)
		assert_int_equal(spot_put(kit->version, &spots[i], 0), 0);
	while (spot_n_over(spots, N_BURST) < N_BURST)
		kit_turn(kit);
	for (int i = 0; i < N_BURST; i++)
		assert_int_equal(spots[i].reason.code, 0);
	assert_in_range(kit_stats(kit->version).n_started, 1, 4);
}

/* Ten callers, each of whom calls again when it has its answer, of calls that take 5 ms; gives how
 * many instances were started. *ret_slowest_us is the longest that a call took. */
static uint64_t
load_steadily(struct kit *kit, unsigned n_rounds, bool is_computing, uint64_t *ret_slowest_us)
{
	uint64_t n_started, round_us = clock_mono_us();
	struct spot spots[10];

	kit->version->config.max_instances = 16;
	kit->spawner->behaviour = FAKE_HOLDS;
	for (int i = 0; i < 10; i++)
		spot_put(kit->version, &spots[i], 0);
	for (unsigned round = 0; round < n_rounds; round++) {
		struct sandbox *sandbox;

		kit_wait_ms(kit, 5);
		for (int i = 0; i < 10; i++)
			spots[i].place.cpu_us = is_computing ? clock_mono_us() - round_us : 0;
		if (clock_mono_us() - round_us > *ret_slowest_us)
			*ret_slowest_us = clock_mono_us() - round_us;
		round_us = clock_mono_us();
		list_each (&kit->spawner->all, sandbox, link) {
			if (!sandbox->held_call)
				continue;
			fake_answer(sandbox, sandbox->held_call, "200\n", STR_NONE);
			sandbox->held_call = 0;
		}
		kit_turn(kit);
		for (int i = 0; i < 10; i++)
			if (spots[i].is_over)
				spot_put(kit->version, &spots[i], 0);
	}
	n_started = kit_stats(kit->version).n_started;
	for (int i = 9; i >= 0; i--)
		spot_abandon(&spots[i]);
	return n_started;
}

static void
a_steady_load_has_a_steady_number_of_instances(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	OWN(kit) struct kit *longer = kit_new();
	uint64_t slowest_us = 0;

	assert_in_range(load_steadily(kit, 100, false, &slowest_us), 2, 10);
	assert_in_range(load_steadily(longer, 300, false, &slowest_us), 2, 10);
}

/* Eight wait for two. On a machine that is at other work they may wait for too long indeed. */
static void
calls_that_compute_do_not_get_more_instances_than_processors_can_serve(void **state)
{
	for (int try = 0; try < 20; try++) {
		OWN(kit) struct kit *kit = kit_new();
		uint64_t n_started, slowest_us = 0;

		kit->domain.shares.n_cpus = 1;
		n_started = load_steadily(kit, 100, true, &slowest_us);
		if (slowest_us >= POOL_PATIENCE_BUSY_MS * 1000 / 8)
			continue;
		assert_int_equal(n_started, 2);
		return;
	}
}

/* ---- what is told ---- */

static void
boots_that_fail_together_hold_back_as_one(void **state)
{
	OWN(kit) struct kit *kit = kit_new();

	kit->version->config.min_instances = 4;
	kit->domain.shares.n_slots = 4;
	kit->spawner->behaviour = FAKE_FAILS_TO_LOAD;
	serve(kit->version);
	kit_wait_ms(kit, 30);
	assert_true(kit_stats(kit->version).n_failed > 0);
	assert_int_equal(
		kit_stats(kit->version).n_boot_failures, 4 * kit_stats(kit->version).n_failed);
}

static void
a_call_that_waited_too_long_hears_for_what(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct version *other = kit_version(kit, "other");
	struct spot busy, waits;
	struct err err = {0};

	kit->spawner->behaviour = FAKE_HOLDS;
	spot_put(kit->version, &busy, 0);
	kit_until(kit, &busy.is_placed);
	pool_explain_wait(kit->version->pool, 5000000, &err);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "no place"));
	kit->version->config.max_instances = 1;
	pool_explain_wait(kit->version->pool, 5000000, &err);
	assert_int_equal(err.code, ERR_RATE);
	assert_true(pool_is_why(kit->version->pool, err.code));
	kit->spawner->behaviour = FAKE_HANGS_IN_BOOT;
	spot_put(other, &waits, 0);
	kit_turn(kit);
	pool_explain_wait(other->pool, 5000000, &err);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "ready within 5000 ms"));
	spot_abandon(&waits);
	spot_abandon(&busy);
}

UNIT_TESTS(it(min_instances_are_there_before_the_first_call),
	it(min_instances_outlive_idleness_and_are_replaced),
	it(min_instances_are_not_given_to_others), it(min_instances_are_of_the_version_that_serves),
	it(min_instances_that_cannot_boot_are_tried_again),
	it(an_instance_that_is_brought_back_has_no_room_until_it_is),
	it(nothing_is_brought_back_for_a_version_that_is_retired),
	it(what_cannot_be_brought_back_is_replaced_at_once),
	it(calls_that_often_meet_a_renewal_get_a_few_more_instances),
	it(where_each_call_uses_an_instance_up_one_is_ready),
	it(instances_that_serve_one_call_follow_what_waits_at_once),
	it(what_is_lost_again_and_again_has_a_spare),
	it(what_was_lost_once_is_not_replaced_for_nobody),
	it(every_one_of_a_burst_on_one_function_is_answered),
	it(a_steady_load_has_a_steady_number_of_instances),
	it(calls_that_compute_do_not_get_more_instances_than_processors_can_serve),
	it(boots_that_fail_together_hold_back_as_one),
	it(a_call_that_waited_too_long_hears_for_what))
