/* SPDX-License-Identifier: Apache-2.0 */
/* What every implementation of bus.h must do: bus_kit.h says which one is asked. */
#include "bus_kit.h"

#include <string.h>

#include "base/clock.h"
#include "store/rows.h"

/* ---- put, hand over, settle ---- */

static void
fill_row(struct row_delivery *row)
{
	row->version = 7;
	row->frame = 1;
	snprintf(row->origin, sizeof(row->origin), "event");
	snprintf(row->source, sizeof(row->source), "nightly");
	row->order_key = "customer ü";
	row->idempotency_key = "once";
	row->callback_url = "http://127.0.0.1:1/back";
	row->method = "PUT";
	row->path = "/a/b";
	row->head = (struct str){"{\"a\":\"\0\"}", 9};
	row->body = (struct str){"\0\xff\xfe", 3};
}

static void
what_is_put_is_handed_over_as_it_was(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 10);
	struct bus_kit_put put;
	const struct row_delivery *got, *want = &put.put.row;

	bus_kit_put_init(kit, &put, "a", 1);
	fill_row(&put.put.row);
	bus_kit_put_send(kit, &put);
	assert_int_equal(bus_kit_put_wait(kit, &put), 0);
	bus_kit_taker_wait(taker, 1);
	assert_false(taker->taken[0]->is_foreign);
	got = &taker->taken[0]->row;
	assert_string_equal(got->id, want->id);
	assert_string_equal(got->org, kit->org);
	assert_string_equal(got->function, "a");
	assert_int_equal(got->version, 7);
	assert_int_equal(got->state, ROW_DELIVERY_QUEUED);
	assert_int_equal(got->frame, 1);
	assert_int_equal(got->attempt, 0);
	assert_int_equal(got->created_ms, want->created_ms);
	assert_int_equal(got->expires_ms, want->expires_ms);
	assert_string_equal(got->origin, "event");
	assert_string_equal(got->source, "nightly");
	assert_string_equal(got->order_key, want->order_key);
	assert_string_equal(got->idempotency_key, "once");
	assert_string_equal(got->callback_url, want->callback_url);
	assert_string_equal(got->method, "PUT");
	assert_string_equal(got->path, "/a/b");
	assert_int_equal(got->head.len, 9);
	assert_memory_equal(got->head.at, want->head.at, 9);
	assert_int_equal(got->body.len, 3);
	assert_memory_equal(got->body.at, want->body.at, 3);
}

static void
messages_come_in_the_order_in_which_they_were_put(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 1000);

	bus_kit_put_range(kit, "a", 1, 500);
	bus_kit_put_range(kit, "a", 501, 1000);
	bus_kit_taker_wait(taker, 1000);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(bus_kit_number(taker->taken[i]->row.id), i + 1);
}

static void
a_message_goes_to_its_own_function(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *a = bus_kit_take(kit, "a", 10);
	OWN(bus_kit_taker) struct bus_kit_taker *b = bus_kit_take(kit, "b", 10);

	bus_kit_put(kit, "a", 1);
	bus_kit_put(kit, "b", 2);
	bus_kit_put(kit, "a", 3);
	bus_kit_taker_wait(a, 2);
	bus_kit_taker_wait(b, 1);
	bus_kit_expect(a, "1 3");
	bus_kit_expect(b, "2");
}

static void
a_message_for_no_org_is_refused(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	struct bus_kit_put stray, good;

	bus_kit_put_init(kit, &stray, "a", 1);
	snprintf(stray.put.row.org, sizeof(stray.put.row.org), "none");
	bus_kit_put_init(kit, &good, "a", 2);
	bus_kit_put_send(kit, &stray);
	bus_kit_put_send(kit, &good);
	assert_int_equal(bus_kit_put_wait(kit, &stray), ERR_NOT_FOUND);
	assert_int_equal(stray.err.code, ERR_NOT_FOUND);
	assert_int_equal(bus_kit_put_wait(kit, &good), 0);
	bus_kit_expect_stats(kit, NULL, 1, 0);
}

static void
what_is_settled_never_comes_again(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 10);
	OWN(bus_kit_taker) struct bus_kit_taker *again = NULL;

	bus_kit_put_range(kit, "a", 1, 3);
	bus_kit_taker_wait(taker, 3);
	bus_kit_settle(taker, 0);
	bus_kit_settle(taker, 2);
	bus_kit_expect_state(kit, 1, ROW_DELIVERY_DONE);
	bus_kit_expect_state(kit, 2, ROW_DELIVERY_QUEUED);
	bus_kit_reopen(kit);
	again = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(again, 1);
	bus_kit_rest(kit, 50);
	bus_kit_expect(again, "2");
}

static void
what_is_settled_behind_nobodys_back_is_so_after_a_restart(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 10);
	OWN(bus_kit_taker) struct bus_kit_taker *again = NULL;

	bus_kit_put_range(kit, "a", 1, 2);
	bus_kit_taker_wait(taker, 2);
	bus_kit_settle_later(taker, 0);
	bus_kit_reopen(kit);
	again = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(again, 1);
	bus_kit_rest(kit, 50);
	bus_kit_expect(again, "2");
}

/* ---- a store that refuses ---- */

static void
what_is_settled_while_the_store_refuses_is_not_handed_over_again(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 10);

	bus_kit_put_range(kit, "a", 1, 2);
	bus_kit_taker_wait(taker, 2);
	bus_kit_refuse(kit, true);
	bus_kit_settle_later(taker, 0);
	bus_kit_rest(kit, 1500);
	assert_int_equal(taker->n_taken, 2);
	bus_kit_refuse(kit, false);
	bus_kit_expect_state(kit, 1, ROW_DELIVERY_DONE);
	bus_kit_rest(kit, 200);
	bus_kit_expect(taker, "2");
}

static void
what_is_withdrawn_while_the_store_refuses_never_comes(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;
	char id[ID_ULID_SIZE];

	bus_kit_put_range(kit, "a", 1, 2);
	bus_kit_id(1, id);
	bus_kit_refuse(kit, true);
	assert_int_equal(kit->ops->withdraw(kit->bus, kit->org, "a", id), 0);
	bus_kit_rest(kit, 200);
	taker = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(taker, 1);
	bus_kit_rest(kit, 200);
	bus_kit_expect(taker, "2");
	bus_kit_refuse(kit, false);
	bus_kit_expect_state(kit, 1, ROW_DELIVERY_CANCELLED);
}

/* ---- coming again ---- */

static void
what_was_in_hand_comes_again_after_a_detach(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 2);
	OWN(bus_kit_taker) struct bus_kit_taker *again = NULL;

	bus_kit_put_range(kit, "a", 1, 4);
	bus_kit_taker_wait(taker, 2);
	bus_kit_settle(taker, 0);
	bus_kit_taker_wait(taker, 3);
	bus_kit_taker_detach(taker);
	bus_kit_expect_stats(kit, "a", 3, 0);
	again = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(again, 3);
	bus_kit_expect(again, "2 3 4");
	bus_kit_rest(kit, 50);
	assert_int_equal(taker->n_taken, 3);
}

static void
what_was_in_hand_comes_again_after_a_restart(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 2);
	OWN(bus_kit_taker) struct bus_kit_taker *again = NULL;

	bus_kit_put_range(kit, "a", 1, 4);
	bus_kit_taker_wait(taker, 2);
	bus_kit_reopen(kit);
	bus_kit_expect_stats(kit, "a", 4, 0);
	again = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(again, 4);
	bus_kit_expect(again, "1 2 3 4");
	assert_str(again->taken[3]->row.body, "message 4");
}

static void
a_detached_queue_keeps_what_is_put(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;

	bus_kit_put_range(kit, "a", 1, 300);
	bus_kit_reopen(kit);
	bus_kit_put_range(kit, "a", 301, 600);
	taker = bus_kit_take(kit, "a", 1000);
	bus_kit_put_range(kit, "a", 601, 700);
	bus_kit_taker_wait(taker, 700);
	for (unsigned i = 0; i < 700; i++)
		assert_int_equal(bus_kit_number(taker->taken[i]->row.id), i + 1);
}

/* ---- credit ---- */

static void
no_more_are_in_hand_than_there_is_credit(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 3);

	bus_kit_put_range(kit, "a", 1, 20);
	bus_kit_taker_wait(taker, 3);
	bus_kit_rest(kit, 50);
	bus_kit_expect(taker, "1 2 3");
	bus_kit_settle(taker, 1);
	bus_kit_taker_wait(taker, 4);
	bus_kit_rest(kit, 50);
	bus_kit_expect(taker, "1 3 4");
	assert_int_equal(taker->n_most, 3);
	bus_kit_expect_stats(kit, "a", 16, 3);
}

static void
credit_may_be_given_and_taken(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 0);

	bus_kit_put_range(kit, "a", 1, 10);
	bus_kit_rest(kit, 50);
	assert_int_equal(taker->n_taken, 0);
	kit->ops->set_credit(taker->queue, 4);
	bus_kit_taker_wait(taker, 4);
	kit->ops->set_credit(taker->queue, 2);
	bus_kit_settle(taker, 0);
	bus_kit_settle(taker, 1);
	bus_kit_rest(kit, 50);
	bus_kit_expect(taker, "3 4");
	bus_kit_settle(taker, 2);
	bus_kit_taker_wait(taker, 5);
	bus_kit_expect(taker, "4 5");
}

static void
one_may_settle_and_detach_while_a_message_is_handed_over(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 1);
	OWN(bus_kit_taker) struct bus_kit_taker *again = NULL;

	taker->is_settling = true;
	taker->detach_at = 1500;
	bus_kit_put_range(kit, "a", 1, 2000);
	bus_kit_taker_wait(taker, 1500);
	bus_kit_rest(kit, 50);
	assert_int_equal(taker->n_taken, 1500);
	again = bus_kit_take(kit, "a", 1000);
	bus_kit_taker_wait(again, 500);
	assert_int_equal(bus_kit_number(again->taken[0]->row.id), 1501);
}

/* ---- time ---- */

static void
a_delayed_message_waits_for_its_time(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 10);
	struct bus_kit_put late;

	bus_kit_put_init(kit, &late, "a", 1);
	late.put.row.due_ms += 1200;
	bus_kit_put_send(kit, &late);
	assert_int_equal(bus_kit_put_wait(kit, &late), 0);
	bus_kit_put(kit, "a", 2);
	bus_kit_taker_wait(taker, 1);
	bus_kit_expect(taker, "2");
	assert_true(clock_unix_ms() < late.put.row.due_ms);
	bus_kit_taker_wait(taker, 2);
	assert_true(clock_unix_ms() >= late.put.row.due_ms);
}

static void
a_delayed_message_waits_for_its_time_over_a_restart(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;
	struct bus_kit_put late;

	bus_kit_put_init(kit, &late, "a", 1);
	late.put.row.due_ms += 1500;
	bus_kit_put_send(kit, &late);
	assert_int_equal(bus_kit_put_wait(kit, &late), 0);
	bus_kit_reopen(kit);
	taker = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(taker, 1);
	assert_true(clock_unix_ms() >= late.put.row.due_ms);
}

static void
what_is_retried_comes_again_with_its_count_when_it_is_due(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 1);
	uint64_t due_ms;

	bus_kit_put(kit, "a", 1);
	bus_kit_taker_wait(taker, 1);
	for (unsigned i = 0; i < 3; i++) {
		due_ms = clock_unix_ms() + 30;
		bus_kit_retry(taker, i, 30);
		bus_kit_taker_wait(taker, i + 2);
		assert_true(clock_unix_ms() >= due_ms);
		assert_int_equal(taker->taken[i + 1]->row.attempt, i + 1);
		assert_str(taker->taken[i + 1]->row.body, "message 1");
	}
	bus_kit_settle(taker, 3);
	bus_kit_expect_stats(kit, "a", 0, 0);
}

static void
what_is_retried_lets_others_pass(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 1);

	bus_kit_put_range(kit, "a", 1, 3);
	bus_kit_taker_wait(taker, 1);
	bus_kit_retry(taker, 0, 20);
	for (unsigned i = 1; i < 3; i++) {
		bus_kit_taker_wait(taker, i + 1);
		assert_int_equal(bus_kit_number(taker->taken[i]->row.id), i + 1);
		bus_kit_settle(taker, i);
	}
	bus_kit_taker_wait(taker, 4);
	bus_kit_expect(taker, "1");
}

static void
what_is_retried_is_so_after_a_restart(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 1);
	OWN(bus_kit_taker) struct bus_kit_taker *again = NULL;

	bus_kit_put(kit, "a", 1);
	bus_kit_taker_wait(taker, 1);
	bus_kit_retry(taker, 0, 10);
	bus_kit_taker_wait(taker, 2);
	bus_kit_retry(taker, 1, 10);
	bus_kit_reopen(kit);
	again = bus_kit_take(kit, "a", 1);
	bus_kit_taker_wait(again, 1);
	assert_int_equal(again->taken[0]->row.attempt, 2);
}

/* ---- withdrawing ---- */

static int
withdraw(struct bus_kit *kit, unsigned number)
{
	char id[ID_ULID_SIZE];

	bus_kit_id(number, id);
	return kit->ops->withdraw(kit->bus, kit->org, "a", id);
}

static void
what_is_withdrawn_never_comes(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 1);
	OWN(bus_kit_taker) struct bus_kit_taker *again = NULL;

	bus_kit_put_range(kit, "a", 1, 4);
	bus_kit_taker_wait(taker, 1);
	assert_int_equal(withdraw(kit, 1), ERR_NOT_FOUND);
	assert_int_equal(withdraw(kit, 2), 0);
	bus_kit_settle(taker, 0);
	bus_kit_taker_wait(taker, 2);
	bus_kit_expect(taker, "3");
	bus_kit_reopen(kit);
	again = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(again, 2);
	bus_kit_rest(kit, 50);
	bus_kit_expect(again, "3 4");
}

static void
what_is_withdrawn_while_it_waits_for_a_consumer_never_comes(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;

	assert_int_equal(withdraw(kit, 1), ERR_NOT_FOUND);
	bus_kit_put_range(kit, "a", 1, 3);
	assert_int_equal(withdraw(kit, 2), 0);
	taker = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(taker, 2);
	bus_kit_rest(kit, 50);
	bus_kit_expect(taker, "1 3");
}

/* ---- idempotency ---- */

static int
put_keyed(struct bus_kit *kit, struct bus_kit_put *put, const char *function, unsigned number,
	uint64_t age_ms)
{
	bus_kit_put_init(kit, put, function, number);
	put->put.row.idempotency_key = "key";
	put->put.row.created_ms -= age_ms;
	bus_kit_put_send(kit, put);
	return bus_kit_put_wait(kit, put);
}

static void
a_known_key_is_told_with_the_earlier_id_and_nothing_is_put(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 10);
	struct bus_kit_put put;

	assert_int_equal(put_keyed(kit, &put, "a", 1, 0), 0);
	assert_int_equal(put_keyed(kit, &put, "a", 2, 0), ERR_CONFLICT);
	assert_int_equal(bus_kit_number(put.put.row.id), 1);
	assert_int_equal(put_keyed(kit, &put, "b", 3, 0), 0);
	bus_kit_taker_wait(taker, 1);
	bus_kit_settle(taker, 0);
	assert_int_equal(put_keyed(kit, &put, "a", 4, 0), ERR_CONFLICT);
	bus_kit_reopen(kit);
	assert_int_equal(put_keyed(kit, &put, "a", 5, 0), ERR_CONFLICT);
	assert_int_equal(bus_kit_number(put.put.row.id), 1);
	bus_kit_expect_stats(kit, "a", 0, 0);
}

static void
of_two_with_one_key_in_one_turn_the_first_is_put(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	struct bus_kit_put puts[2];

	for (unsigned i = 0; i < 2; i++) {
		bus_kit_put_init(kit, &puts[i], "a", i + 1);
		puts[i].put.row.idempotency_key = "key";
	}
	bus_kit_put_send(kit, &puts[0]);
	bus_kit_put_send(kit, &puts[1]);
	assert_int_equal(bus_kit_put_wait(kit, &puts[0]), 0);
	assert_int_equal(bus_kit_put_wait(kit, &puts[1]), ERR_CONFLICT);
	assert_int_equal(bus_kit_number(puts[1].put.row.id), 1);
	bus_kit_expect_stats(kit, "a", 1, 0);
}

static void
a_key_is_forgotten_after_a_day(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	struct bus_kit_put put;

	assert_int_equal(put_keyed(kit, &put, "a", 1, 25 * 3600000), 0);
	assert_int_equal(put_keyed(kit, &put, "a", 2, 23 * 3600000), 0);
	assert_int_equal(put_keyed(kit, &put, "a", 3, 0), ERR_CONFLICT);
	assert_int_equal(bus_kit_number(put.put.row.id), 2);
}

/* ---- size ---- */

static void
large_bodies_come_whole(void **state)
{
	enum { SIZE = 6 << 20 };
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;
	OWN(mem) char *body = mem_new(SIZE);
	struct bus_kit_put puts[4];

	id_random(body, SIZE);
	for (unsigned i = 0; i < 4; i++) {
		bus_kit_put_init(kit, &puts[i], "a", i + 1);
		puts[i].put.row.body = str_n(body, i ? SIZE - i : 0);
		bus_kit_put_send(kit, &puts[i]);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(bus_kit_put_wait(kit, &puts[i]), 0);
	bus_kit_reopen(kit);
	taker = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(taker, 4);
	assert_int_equal(taker->taken[0]->row.body.len, 0);
	for (unsigned i = 1; i < 4; i++) {
		assert_int_equal(taker->taken[i]->row.body.len, SIZE - i);
		assert_memory_equal(taker->taken[i]->row.body.at, body, SIZE - i);
	}
}

static bool
kit_has_broker(void)
{
	const char *name = getenv("MAYFLY_TEST_BUS");

	return name && strcmp(name, "rabbitmq") == 0;
}

static void
thousands_of_queues_each_hand_over_their_own(void **state)
{
	/* A broker takes a while to make one. */
	const unsigned n = kit_has_broker() ? 40 : 2000;
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(mem) struct bus_kit_taker **takers = mem_new(n * sizeof(*takers));
	OWN(mem) struct bus_kit_put *puts = mem_new(n * sizeof(*puts));
	char name[16];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		if (i % 2)
			takers[i] = bus_kit_take(kit, name, 10);
		bus_kit_put_init(kit, &puts[i], name, i + 1);
		bus_kit_put_send(kit, &puts[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(bus_kit_put_wait(kit, &puts[i]), 0);
		if (!(i % 2))
			takers[i] = bus_kit_take(kit, name, 10);
	}
	for (unsigned i = 0; i < n; i++) {
		bus_kit_taker_wait(takers[i], 1);
		assert_int_equal(bus_kit_number(takers[i]->taken[0]->row.id), i + 1);
		bus_kit_settle_later(takers[i], 0);
	}
	bus_kit_expect_stats(kit, NULL, 0, 0);
	for (unsigned i = 0; i < n; i++)
		bus_kit_taker_free(takers[i]);
}

/* ---- what is seen ---- */

static void
what_waits_is_counted_with_its_bytes_and_its_age(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;
	struct bus_kit_put old;
	struct bus_stats stats;

	bus_kit_expect_stats(kit, "a", 0, 0);
	bus_kit_put_init(kit, &old, "a", 1);
	old.put.row.created_ms -= 5000;
	bus_kit_put_send(kit, &old);
	assert_int_equal(bus_kit_put_wait(kit, &old), 0);
	bus_kit_put(kit, "a", 2);
	bus_kit_put(kit, "b", 3);
	bus_kit_expect_stats(kit, "a", 2, 0);
	bus_kit_expect_stats(kit, NULL, 3, 0);
	stats = bus_kit_stats(kit, "a");
	assert_true(stats.n_bytes >= 18);
	assert_int_equal(stats.oldest_ms, old.put.row.created_ms);
	taker = bus_kit_take(kit, "a", 1);
	bus_kit_expect_stats(kit, "a", 1, 1);
	bus_kit_expect_stats(kit, NULL, 2, 1);
	assert_true(bus_kit_stats(kit, "a").oldest_ms > old.put.row.created_ms);
	bus_kit_settle(taker, 0);
	bus_kit_taker_wait(taker, 2);
	bus_kit_settle(taker, 1);
	bus_kit_expect_stats(kit, "a", 0, 0);
	assert_int_equal(bus_kit_stats(kit, "a").oldest_ms, 0);
	assert_true(kit->ops->is_up(kit->bus));
}

static void
an_org_that_is_gone_takes_its_queues_along(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 1);
	OWN(bus_kit_taker) struct bus_kit_taker *again = NULL;

	bus_kit_put_range(kit, "a", 1, 5);
	bus_kit_put(kit, "b", 6);
	bus_kit_taker_wait(taker, 1);
	bus_kit_taker_detach(taker);
	bus_kit_remove_org(kit);
	kit->ops->drop(kit->bus, kit->org, "a");
	bus_kit_expect_stats(kit, "a", 0, 0);
	bus_kit_expect_stats(kit, NULL, 1, 0);
	kit->ops->drop(kit->bus, kit->org, "b");
	bus_kit_expect_stats(kit, NULL, 0, 0);
	bus_kit_add_org(kit);
	again = bus_kit_take(kit, "a", 10);
	bus_kit_put(kit, "a", 7);
	bus_kit_taker_wait(again, 1);
	bus_kit_rest(kit, 50);
	bus_kit_expect(again, "7");
}

UNIT_TESTS(it(what_is_put_is_handed_over_as_it_was),
	it(messages_come_in_the_order_in_which_they_were_put),
	it(a_message_goes_to_its_own_function), it(a_message_for_no_org_is_refused),
	it(what_is_settled_never_comes_again),
	it(what_is_settled_behind_nobodys_back_is_so_after_a_restart),
	it(what_is_settled_while_the_store_refuses_is_not_handed_over_again),
	it(what_is_withdrawn_while_the_store_refuses_never_comes),
	it(what_was_in_hand_comes_again_after_a_detach),
	it(what_was_in_hand_comes_again_after_a_restart), it(a_detached_queue_keeps_what_is_put),
	it(no_more_are_in_hand_than_there_is_credit), it(credit_may_be_given_and_taken),
	it(one_may_settle_and_detach_while_a_message_is_handed_over),
	it(a_delayed_message_waits_for_its_time),
	it(a_delayed_message_waits_for_its_time_over_a_restart),
	it(what_is_retried_comes_again_with_its_count_when_it_is_due),
	it(what_is_retried_lets_others_pass), it(what_is_retried_is_so_after_a_restart),
	it(what_is_withdrawn_never_comes),
	it(what_is_withdrawn_while_it_waits_for_a_consumer_never_comes),
	it(a_known_key_is_told_with_the_earlier_id_and_nothing_is_put),
	it(of_two_with_one_key_in_one_turn_the_first_is_put), it(a_key_is_forgotten_after_a_day),
	it(large_bodies_come_whole), it(thousands_of_queues_each_hand_over_their_own),
	it(what_waits_is_counted_with_its_bytes_and_its_age),
	it(an_org_that_is_gone_takes_its_queues_along))
