/* SPDX-License-Identifier: Apache-2.0 */
/* What the embedded bus does beyond test_bus.c: memory that is too small, clocks that are set. */
#include "bus_kit.h"

#include "base/clock.h"
#include "store/rows.h"

enum { MANY = 3000, HEAD = 1000 };

static const char head[10 * HEAD];

/* Larger and due earlier than others, but accepted now. */
static void
put_some(struct bus_kit *kit, const char *function, unsigned from, unsigned to, unsigned n_heads,
	unsigned early_ms)
{
	OWN(mem) struct bus_kit_put *puts = mem_new((to - from + 1) * sizeof(*puts));

	for (unsigned i = from; i <= to; i++) {
		bus_kit_put_init(kit, &puts[i - from], function, i);
		puts[i - from].put.row.head = str_n(head, n_heads * HEAD);
		puts[i - from].put.row.due_ms -= early_ms;
		bus_kit_put_send(kit, &puts[i - from]);
	}
	for (unsigned i = from; i <= to; i++)
		assert_int_equal(bus_kit_put_wait(kit, &puts[i - from]), 0);
}

static void
put_many(struct bus_kit *kit, unsigned from, unsigned to)
{
	put_some(kit, "a", from, to, 1, 0);
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

static void
expect_each_once(const struct bus_kit_taker *taker, unsigned n)
{
	OWN(mem) bool *is_seen = mem_new(n + 1);

	assert_int_equal(taker->n_taken, n);
	for (unsigned i = 0; i < n; i++) {
		assert_in_range(taker->numbers[i], 1, n);
		assert_false(is_seen[taker->numbers[i]]);
		is_seen[taker->numbers[i]] = true;
	}
}

static void
what_is_in_hand_is_not_read_from_the_store_again(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(HEAD * 100);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 1);

	put_many(kit, 1, 1);
	bus_kit_taker_wait(taker, 1);
	put_some(kit, "a", 2, 500, 1, 60000);
	taker->is_settling = true;
	kit->ops->set_credit(taker->queue, 2);
	bus_kit_taker_wait(taker, 500);
	bus_kit_rest(kit, 50);
	expect_each_once(taker, 500);
	bus_kit_expect(taker, "1");
}

/* While rows are read, others come that stand before them and push each other out of memory. */
static void
what_leaves_memory_while_the_store_is_read_is_read_too(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(HEAD * 100);
	OWN(bus_kit_taker) struct bus_kit_taker *filler = bus_kit_take(kit, "b", 0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;

	put_some(kit, "b", 1001, 1100, 1, 0);
	put_some(kit, "a", 1, 200, 10, 0);
	taker = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(taker, 10);
	for (unsigned i = 0; i < 10; i++)
		bus_kit_settle_later(taker, i);
	taker->is_settling = true;
	put_some(kit, "a", 201, 260, 10, 60000);
	bus_kit_taker_wait(taker, 260);
	bus_kit_rest(kit, 50);
	expect_each_once(taker, 260);
	assert_int_equal(filler->n_taken, 0);
}

static bool
has_one_in_hand(void *arg)
{
	return ((struct bus_kit_taker *)arg)->n_in_hand > 0;
}

/* Credit counts messages; what is in hand is in memory whole. */
static void
no_more_is_in_hand_than_memory_bears(void **state)
{
	enum { SIZE = 1 << 20, N = 40, MOST = 10 };
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(SIZE);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 1000);
	OWN(bus_kit_taker) struct bus_kit_taker *other = bus_kit_take(kit, "b", 1000);
	OWN(mem) char *body = mem_new(SIZE);
	struct bus_kit_put puts[N];

	for (unsigned i = 0; i < N; i++) {
		bus_kit_put_init(kit, &puts[i], "a", i + 1);
		puts[i].put.row.body = str_n(body, SIZE);
		bus_kit_put_send(kit, &puts[i]);
	}
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(bus_kit_put_wait(kit, &puts[i]), 0);
	bus_kit_put(kit, "b", N + 1);
	bus_kit_taker_wait(other, 1);
	bus_kit_rest(kit, 100);
	assert_in_range(taker->n_taken, 2, MOST);
	for (unsigned i = 0; i < N; i++) {
		bus_kit_wait(kit, has_one_in_hand, taker);
		bus_kit_settle(taker, i);
	}
	assert_in_range(taker->n_most, 2, MOST);
	expect_each_once(taker, N);
}

UNIT_TESTS(it(a_queue_that_memory_does_not_hold_comes_whole_and_in_order),
	it(the_oldest_is_told_where_memory_does_not_hold_it),
	it(what_was_due_when_it_was_accepted_is_due_though_the_clock_went_back),
	it(a_retry_while_most_waits_in_the_store_comes_in_its_turn),
	it(what_is_in_hand_is_not_read_from_the_store_again),
	it(what_leaves_memory_while_the_store_is_read_is_read_too),
	it(no_more_is_in_hand_than_memory_bears))
