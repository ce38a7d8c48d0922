/* SPDX-License-Identifier: Apache-2.0 */
#include "pool_kit.h"

#include <string.h>

#include "domain/pool_inside.h"

#include "base/clock.h"
#include "domain/pool_share.h"

/* ---- placing ---- */

static void
the_first_call_waits_for_an_instance_and_is_cold(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot first, second;

	assert_int_equal(spot_put(kit->version, &first, 5), 0);
	assert_int_equal(kit->domain.queue_bytes, 5);
	kit_until(kit, &first.is_over);
	assert_true(first.place.is_cold);
	assert_int_equal(kit->domain.queue_bytes, 0);
	assert_int_equal(spot_put(kit->version, &second, 5), 1);
	kit_until(kit, &second.is_over);
	assert_false(second.place.is_cold);
	assert_int_equal(kit_stats(kit->version).n_started, 1);
}

static void
the_instance_that_became_idle_last_is_used_first(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot a, b, c;
	struct instance *first, *second;

	kit->spawner->behaviour = FAKE_HOLDS;
	assert_int_equal(spot_put(kit->version, &a, 0), 0);
	assert_int_equal(spot_put(kit->version, &b, 0), 0);
	kit_until(kit, &b.is_placed);
	first = a.place.instance;
	second = b.place.instance;
	assert_ptr_not_equal(first, second);
	fake_answer(list_first(&kit->spawner->all, struct sandbox, link), a.run.number, "200\n",
		STR_NONE);
	kit_until(kit, &a.is_over);
	fake_answer(fake_last(kit->spawner), b.run.number, "200\n", STR_NONE);
	kit_until(kit, &b.is_over);
	assert_int_equal(kit_stats(kit->version).n_idle, 2);
	assert_int_equal(spot_put(kit->version, &c, 0), 1);
	assert_ptr_equal(c.place.instance, second);
	spot_abandon(&c);
}

static void
one_that_is_busy_is_filled_before_an_idle_one_is_taken(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spots[4];

	kit->version->config.concurrency = 2;
	kit->spawner->behaviour = FAKE_HOLDS;
	for (int i = 0; i < 3; i++)
		spot_put(kit->version, &spots[i], 0);
	kit_until(kit, &spots[2].is_placed);
	assert_ptr_equal(spots[0].place.instance, spots[1].place.instance);
	assert_ptr_not_equal(spots[2].place.instance, spots[0].place.instance);
	assert_int_equal(spot_put(kit->version, &spots[3], 0), 1);
	assert_ptr_equal(spots[3].place.instance, spots[2].place.instance);
	assert_int_equal(kit_stats(kit->version).n_running, 4);
	for (int i = 0; i < 4; i++)
		spot_abandon(&spots[i]);
}

static void
slow_calls_get_more_instances_up_to_the_limit(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spots[6];

	kit->version->config.max_instances = 3;
	kit->spawner->behaviour = FAKE_HOLDS;
	for (int i = 0; i < 6; i++)
		spot_put(kit->version, &spots[i], 0);
	assert_int_equal(kit_stats(kit->version).n_started, 1);
	kit_until(kit, &spots[2].is_placed);
	kit_wait_ms(kit, 100);
	assert_int_equal(kit_stats(kit->version).n_started, 3);
	assert_int_equal(kit_stats(kit->version).n_waiting, 3);
	for (int i = 5; i >= 0; i--)
		spot_abandon(&spots[i]);
}

static void
quick_calls_share_the_instance_that_is_there(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spots[50];

	assert_int_equal(spot_put(kit->version, &spots[0], 0), 0);
	kit_until(kit, &spots[0].is_over);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 20; i++)
			spot_put(kit->version, &spots[i], 0);
		kit_until(kit, &spots[19].is_over);
	}
	assert_int_equal(kit_stats(kit->version).n_waiting, 0);
	assert_true(kit_stats(kit->version).n_started <= 2);
}

/* ---- refusing ---- */

static void
a_full_queue_refuses(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot a, b, c;

	kit->spawner->behaviour = FAKE_HANGS_IN_BOOT;
	kit->domain.config.queue_calls = 2;
	kit->domain.config.queue_bytes = 100;
	assert_int_equal(spot_put(kit->version, &a, 60), 0);
	assert_int_equal(spot_put(kit->version, &b, 60), ERR_RATE);
	assert_non_null(strstr(b.reason.text, "memory"));
	assert_int_equal(spot_put(kit->version, &b, 40), 0);
	assert_int_equal(spot_put(kit->version, &c, 0), ERR_RATE);
	assert_non_null(strstr(c.reason.text, "waiting"));
	thread_on_loop();
	assert_true(pool_retry_after_s(kit->version->pool) >= 1);
	pool_give_back(&a.place);
	pool_give_back(&a.place);
	pool_give_back(&b.place);
	assert_int_equal(kit->domain.queue_bytes, 0);
	assert_int_equal(kit_stats(kit->version).n_waiting, 0);
}

static void
a_version_that_cannot_boot_refuses_with_its_reason_and_holds_back(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot a, b, c, d;

	kit->spawner->behaviour = FAKE_FAILS_TO_LOAD;
	assert_int_equal(spot_put(kit->version, &a, 0), 0);
	assert_int_equal(spot_put(kit->version, &b, 0), 0);
	kit_until(kit, &b.is_refused);
	assert_true(a.is_refused);
	assert_int_equal(a.reason.code, ERR_FUNCTION_FAILED);
	assert_string_equal(b.reason.text, "SyntaxError: bad");
	assert_int_equal(spot_put(kit->version, &c, 0), ERR_FUNCTION_FAILED);
	assert_string_equal(c.reason.text, "SyntaxError: bad");
	assert_int_equal(kit->spawner->n_asked, 1);
	assert_int_equal(kit_stats(kit->version).n_boot_failures, 1);
	kit->spawner->behaviour = FAKE_ANSWERS;
	kit_wait_ms(kit, POOL_BACKOFF_MIN_MS + 20);
	assert_int_equal(spot_put(kit->version, &d, 0), 0);
	kit_until(kit, &d.is_over);
	assert_int_equal(d.reason.code, 0);
}

/* One that served, and then one that is late, and held in its death. */
static void
serve_and_be_late(struct kit *kit, struct spot *spot)
{
	struct sandbox *late;

	kit->version->config.idle_ms = 1;
	assert_int_equal(spot_put(kit->version, spot, 0), 0);
	kit_until(kit, &spot->is_over);
	while (kit->domain.n_instances > 0)
		kit_wait_ms(kit, 1);
	kit->spawner->behaviour = FAKE_HANGS_IN_BOOT;
	kit->spawner->is_death_held = true;
	kit->domain.config.boot_ms = 1;
	assert_int_equal(spot_put(kit->version, spot, 0), 0);
	late = list_first(&kit->spawner->all, struct sandbox, link);
	while (!late->was_asked)
		kit_wait_ms(kit, 1);
}

static void
a_boot_that_is_late_is_followed_by_another_before_a_call_is_refused(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	serve_and_be_late(kit, &spot);
	kit->spawner->behaviour = FAKE_ANSWERS;
	kit->domain.config.boot_ms = 60000;
	kit->spawner->is_death_held = false;
	kit_until(kit, &spot.is_over);
	assert_false(spot.is_refused);
	assert_int_equal(spot.reason.code, 0);
	assert_int_equal(kit->spawner->n_asked, 3);
	assert_int_equal(kit_stats(kit->version).n_boot_failures, 1);
	assert_int_equal(kit_stats(kit->version).n_failed, 0);
}

static void
two_boots_in_a_row_that_are_late_refuse_it(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	serve_and_be_late(kit, &spot);
	kit->spawner->is_death_held = false;
	kit_until(kit, &spot.is_refused);
	assert_int_equal(spot.reason.code, ERR_TIMEOUT);
	assert_int_equal(kit->spawner->n_asked, 3);
	assert_int_equal(kit_stats(kit->version).n_failed, 1);
}

static void
the_back_off_doubles(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	kit->spawner->behaviour = FAKE_FAILS_TO_LOAD;
	spot_put(kit->version, &spot, 0);
	kit_until(kit, &spot.is_refused);
	kit_wait_ms(kit, POOL_BACKOFF_MIN_MS + 20);
	assert_int_equal(spot_put(kit->version, &spot, 0), 0);
	kit_until(kit, &spot.is_refused);
	kit_wait_ms(kit, POOL_BACKOFF_MIN_MS + 20);
	assert_int_equal(spot_put(kit->version, &spot, 0), ERR_FUNCTION_FAILED);
	assert_int_equal(kit->spawner->n_asked, 2);
}

static void
a_spawner_that_refuses_is_a_reason_too(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	kit->spawner->refuses = ERR_UNAVAILABLE;
	assert_int_equal(spot_put(kit->version, &spot, 0), 0);
	kit_until(kit, &spot.is_refused);
	assert_int_equal(spot.reason.code, ERR_UNAVAILABLE);
}

static void
a_runtime_that_is_gone_is_named(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	kit->version->language = NULL;
	assert_int_equal(spot_put(kit->version, &spot, 0), 0);
	kit_until(kit, &spot.is_refused);
	assert_int_equal(spot.reason.code, ERR_NOT_READY);
	assert_non_null(strstr(spot.reason.text, "test1"));
}

/* ---- ending ---- */

static void
idle_instances_end(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	kit->version->config.idle_ms = 30;
	spot_put(kit->version, &spot, 0);
	kit_until(kit, &spot.is_over);
	assert_int_equal(kit->domain.n_instances, 1);
	kit_wait_ms(kit, 200);
	assert_int_equal(kit->domain.n_instances, 0);
	assert_int_equal(kit_stats(kit->version).n_idle, 0);
}

static void
idle_instances_end_later_while_others_start(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct version *other = kit_version_of(kit, "acme", "other");
	struct spot spot, starting;
	uint64_t over_us;

	kit->version->config.idle_ms = 1;
	spot_put(kit->version, &spot, 0);
	kit_until(kit, &spot.is_over);
	over_us = clock_mono_us();
	kit->spawner->behaviour = FAKE_HANGS_IN_BOOT;
	spot_put(other, &starting, 0);
	assert_int_equal(kit->domain.n_instances, 2);
	while (kit->domain.n_instances > 1)
		kit_wait_ms(kit, 10);
	assert_true(clock_mono_us() - over_us >= POOL_END_LATE_MS * 1000ull);
	assert_int_equal(kit_stats(kit->version).n_idle, 0);
	spot_abandon(&starting);
}

static void
a_retired_pool_serves_what_it_has_and_keeps_nothing(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot idle, busy;

	spot_put(kit->version, &idle, 0);
	kit_until(kit, &idle.is_over);
	kit->spawner->behaviour = FAKE_HOLDS;
	spot_put(kit->version, &busy, 0);
	kit_turn(kit);
	thread_on_loop();
	pool_retire(kit->version->pool);
	kit_turn(kit);
	assert_int_equal(kit->domain.n_instances, 1);
	fake_answer(fake_last(kit->spawner), busy.run.number, "200\n", STR_NONE);
	kit_until(kit, &busy.is_over);
	kit_turn(kit);
	kit_turn(kit);
	assert_int_equal(busy.reason.code, 0);
	assert_int_equal(kit->domain.n_instances, 0);
	pool_serve(kit->version->pool);
	kit->spawner->behaviour = FAKE_ANSWERS;
	spot_put(kit->version, &busy, 0);
	kit_until(kit, &busy.is_over);
	assert_int_equal(kit_stats(kit->version).n_idle, 1);
}

static void
an_instance_that_dies_idle_is_replaced(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	spot_put(kit->version, &spot, 0);
	kit_until(kit, &spot.is_over);
	fake_gone(fake_last(kit->spawner), 1);
	assert_int_equal(kit_stats(kit->version).n_idle, 0);
	assert_int_equal(spot_put(kit->version, &spot, 0), 0);
	kit_until(kit, &spot.is_over);
	assert_int_equal(spot.reason.code, 0);
	assert_int_equal(kit_stats(kit->version).n_started, 2);
}

static void
on_a_full_machine_the_longest_idle_instance_makes_room(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct version *other = kit_version(kit, "other"), *third = kit_version(kit, "third");
	struct spot spot;

	kit->domain.config.max_instances_total = 2;
	spot_put(kit->version, &spot, 0);
	kit_until(kit, &spot.is_over);
	spot_put(other, &spot, 0);
	kit_until(kit, &spot.is_over);
	assert_int_equal(kit->domain.n_instances, 2);
	assert_int_equal(spot_put(third, &spot, 0), 0);
	kit_until(kit, &spot.is_over);
	assert_int_equal(kit_stats(kit->version).n_ready, 0);
	assert_int_equal(kit_stats(other).n_ready, 1);
	assert_int_equal(kit_stats(third).n_ready, 1);
}

static void
on_a_machine_that_is_full_of_work_a_call_waits_its_turn(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct version *other = kit_version(kit, "other");
	struct spot busy, waits;

	kit->domain.config.max_instances_total = 1;
	kit->spawner->behaviour = FAKE_HOLDS;
	spot_put(kit->version, &busy, 0);
	kit_until(kit, &busy.is_placed);
	spot_put(other, &waits, 0);
	kit_wait_ms(kit, 50);
	assert_false(waits.is_placed);
	assert_int_equal(kit->domain.n_instances, 1);
	spot_abandon(&busy);
	kit_until(kit, &waits.is_placed);
	spot_abandon(&waits);
}

static void
long_service_renews_an_instance_without_a_gap(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;
	bool was_warm = true;

	kit->version->config.concurrency = 1000;
	spot_put(kit->version, &spot, 0);
	kit_until(kit, &spot.is_over);
	for (int i = 0; i < 101; i++) {
		static struct spot many[1000];

		for (int k = 0; k < 1000; k++)
			was_warm &= spot_put(kit->version, &many[k], 0) == 1;
		for (int k = 0; k < 1000; k++)
			kit_until(kit, &many[k].is_over);
	}
	kit_wait_ms(kit, 20);
	assert_true(was_warm);
	assert_int_equal(kit_stats(kit->version).n_started, 1);
	list_first(&kit->version->pool->idle, struct pool_instance, link)->ready_us -=
		POOL_RENEW_KEPT_US;
	assert_int_equal(spot_put(kit->version, &spot, 0), 1);
	kit_until(kit, &spot.is_over);
	kit_wait_ms(kit, 20);
	assert_int_equal(kit_stats(kit->version).n_started, 2);
	assert_int_equal(kit->domain.n_instances, 1);
}

/* ---- probes ---- */

struct probed {
	bool is_there;
	int code;
	char text[240], log[240];
};

static void
on_probe(int code, const struct err *reason, struct str log, void *arg)
{
	struct probed *probed = arg;

	assert_false(probed->is_there);
	probed->is_there = true;
	probed->code = code;
	memcpy(probed->text, reason->text, sizeof(probed->text));
	memcpy(probed->log, log.at ? log.at : "", log.len);
}

static void
a_probe_leaves_an_idle_instance(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct probed probed = {0};
	struct spot spot;

	thread_on_loop();
	pool_probe(kit->version->pool, on_probe, &probed);
	assert_false(probed.is_there);
	kit_until(kit, &probed.is_there);
	assert_int_equal(probed.code, 0);
	assert_int_equal(kit_stats(kit->version).n_idle, 1);
	assert_int_equal(spot_put(kit->version, &spot, 0), 1);
	kit_until(kit, &spot.is_over);
	assert_false(spot.place.is_cold);
}

static void
a_probe_that_fails_gives_the_reason_and_what_was_printed(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct probed probed = {0};

	thread_on_loop();
	kit->spawner->behaviour = FAKE_FAILS_TO_LOAD;
	pool_probe(kit->version->pool, on_probe, &probed);
	kit_until(kit, &probed.is_there);
	assert_int_equal(probed.code, ERR_FUNCTION_FAILED);
	assert_string_equal(probed.text, "SyntaxError: bad");
	assert_string_equal(probed.log, "line 1\n");
}

static void
a_probe_that_cannot_start_gives_the_reason(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct probed probed = {0};

	thread_on_loop();
	kit->spawner->refuses = ERR_UNAVAILABLE;
	pool_probe(kit->version->pool, on_probe, &probed);
	kit_until(kit, &probed.is_there);
	assert_int_equal(probed.code, ERR_UNAVAILABLE);
}

UNIT_TESTS(it(the_first_call_waits_for_an_instance_and_is_cold),
	it(the_instance_that_became_idle_last_is_used_first),
	it(one_that_is_busy_is_filled_before_an_idle_one_is_taken),
	it(slow_calls_get_more_instances_up_to_the_limit),
	it(quick_calls_share_the_instance_that_is_there), it(a_full_queue_refuses),
	it(a_version_that_cannot_boot_refuses_with_its_reason_and_holds_back),
	it(a_boot_that_is_late_is_followed_by_another_before_a_call_is_refused),
	it(two_boots_in_a_row_that_are_late_refuse_it), it(the_back_off_doubles),
	it(a_spawner_that_refuses_is_a_reason_too), it(a_runtime_that_is_gone_is_named),
	it(idle_instances_end), it(idle_instances_end_later_while_others_start),
	it(a_retired_pool_serves_what_it_has_and_keeps_nothing),
	it(an_instance_that_dies_idle_is_replaced),
	it(on_a_full_machine_the_longest_idle_instance_makes_room),
	it(on_a_machine_that_is_full_of_work_a_call_waits_its_turn),
	it(long_service_renews_an_instance_without_a_gap), it(a_probe_leaves_an_idle_instance),
	it(a_probe_that_fails_gives_the_reason_and_what_was_printed),
	it(a_probe_that_cannot_start_gives_the_reason))
