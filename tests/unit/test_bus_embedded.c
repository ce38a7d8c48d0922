/* SPDX-License-Identifier: Apache-2.0 */
/* What the embedded bus does beyond test_bus.c: memory that is too small, clocks that are set. */
#include "bus_kit.h"

#include "base/clock.h"
#include "store/rows.h"

enum { MANY = 3000, HEAD = 1000 };

static const char head[HEAD];

static void
put_many(struct bus_kit *kit, unsigned from, unsigned to)
{
	OWN(mem) struct bus_kit_put *puts = mem_new((to - from + 1) * sizeof(*puts));

	for (unsigned i = from; i <= to; i++) {
		bus_kit_put_init(kit, &puts[i - from], "a", i);
		puts[i - from].put.row.head = str_n(head, HEAD);
		bus_kit_put_send(kit, &puts[i - from]);
	}
	for (unsigned i = from; i <= to; i++)
		assert_int_equal(bus_kit_put_wait(kit, &puts[i - from]), 0);
}

static void
a_queue_that_memory_does_not_hold_comes_whole_and_in_order(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(HEAD * 100);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 0);

	put_many(kit, 1, MANY);
	bus_kit_expect_stats(kit, "a", MANY, 0);
	assert_int_equal(bus_kit_stats(kit, "a").n_bytes / MANY / HEAD, 1);
	taker->is_settling = true;
	kit->ops->set_credit(taker->queue, 7);
	bus_kit_taker_wait(taker, MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(taker->numbers[i], i + 1);
	bus_kit_expect_stats(kit, "a", 0, 0);
}

static void
the_oldest_is_told_where_memory_does_not_hold_it(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	struct bus_kit_put old;
	uint64_t old_ms;

	bus_kit_put_init(kit, &old, "a", 1);
	old_ms = old.put.row.created_ms -= 3600000;
	bus_kit_put_send(kit, &old);
	assert_int_equal(bus_kit_put_wait(kit, &old), 0);
	bus_kit_put(kit, "b", 2);
	assert_int_equal(bus_kit_stats(kit, "a").oldest_ms, old_ms);
	assert_int_equal(bus_kit_stats(kit, NULL).oldest_ms, old_ms);
	bus_kit_reopen(kit);
	assert_int_equal(bus_kit_stats(kit, "a").oldest_ms, old_ms);
	assert_true(bus_kit_stats(kit, "b").oldest_ms > old_ms);
}

static void
what_was_due_when_it_was_accepted_is_due_though_the_clock_went_back(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;
	struct bus_kit_put put;

	bus_kit_put_init(kit, &put, "a", 1);
	put.put.row.created_ms += 3600000;
	put.put.row.due_ms = put.put.row.created_ms;
	bus_kit_put_send(kit, &put);
	assert_int_equal(bus_kit_put_wait(kit, &put), 0);
	bus_kit_reopen(kit);
	taker = bus_kit_take(kit, "a", 1);
	bus_kit_taker_wait(taker, 1);
	bus_kit_settle(taker, 0);
}

static void
a_retry_while_most_waits_in_the_store_comes_in_its_turn(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(HEAD * 100);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 1);

	put_many(kit, 1, 500);
	bus_kit_taker_wait(taker, 1);
	taker->is_settling = true;
	bus_kit_retry(taker, 0, 1);
	bus_kit_taker_wait(taker, 501);
	for (unsigned i = 1; i < 500; i++)
		assert_int_equal(taker->numbers[i], i + 1);
	assert_int_equal(taker->numbers[500], 1);
}

UNIT_TESTS(it(a_queue_that_memory_does_not_hold_comes_whole_and_in_order),
	it(the_oldest_is_told_where_memory_does_not_hold_it),
	it(what_was_due_when_it_was_accepted_is_due_though_the_clock_went_back),
	it(a_retry_while_most_waits_in_the_store_comes_in_its_turn))
