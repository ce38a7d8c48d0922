/* SPDX-License-Identifier: Apache-2.0 */
/* What the bus on a RabbitMQ does beyond test_bus.c: what the broker refuses, loses, or has from
 * others. */
#include "bus_kit.h"

#include "amqp/amqp_inside.h"
#include "base/clock.h"
#include "bus/bus_rabbitmq.h"

/* What tests/scenario/rabbitmq.py does with its broker. */
static void
order(const char *text)
{
	const char *control = getenv("MAYFLY_TEST_AMQP_CONTROL");
	char answer[4] = "";
	int in, out;

	assert_non_null(control);
	assert_int_equal(sscanf(control, "%d,%d", &in, &out), 2);
	dprintf(out, "%s\n", text);
	assert_int_equal(read(in, answer, 3), 3);
	assert_string_equal(answer, "ok\n");
}

/* Until the broker takes it. */
static void
put_at_last(struct bus_kit *kit, const char *function, unsigned number)
{
	struct bus_kit_put put;

	for (unsigned i = 0; i < 200; i++) {
		bus_kit_rest(kit, 100);
		bus_kit_put_init(kit, &put, function, number);
		bus_kit_put_send(kit, &put);
		if (bus_kit_put_wait(kit, &put) == 0)
			return;
	}
	fail_msg("it is not taken: %s", put.err.text);
}

/* ---- what the broker refuses ---- */

static void
an_exchange_that_goes_takes_nothing_along_that_waits(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;
	struct bus_kit_put put;

	bus_kit_put_range(kit, "a", 1, 3);
	order("control eval 'rabbit_exchange:delete(rabbit_misc:r(<<\"/\">>, exchange, "
	      "<<\"mayfly\">>), false, <<\"op\">>).'");
	bus_kit_put_init(kit, &put, "a", 4);
	bus_kit_put_send(kit, &put);
	assert_int_equal(bus_kit_put_wait(kit, &put), ERR_UNAVAILABLE);
	put_at_last(kit, "a", 5);
	taker = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(taker, 4);
	bus_kit_expect(taker, "1 2 3 5");
}

static void
a_queue_that_goes_is_there_again_for_the_next(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;
	OWN(mem) char *text = mem_printf("control delete_queue mayfly.%s.a", kit->org);

	bus_kit_put(kit, "a", 1);
	order(text);
	put_at_last(kit, "a", 2);
	taker = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(taker, 1);
	bus_kit_expect(taker, "2");
}

static void
a_rung_of_the_ladder_that_goes_takes_nothing_along_that_waits(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;
	struct bus_kit_put late;

	bus_kit_put_range(kit, "a", 1, 2);
	order("control delete_queue mayfly.delay.60000");
	for (unsigned i = 0; i < 2; i++) {
		bus_kit_put_init(kit, &late, "a", 3);
		late.put.row.due_ms += 70000;
		bus_kit_put_send(kit, &late);
		assert_int_equal(bus_kit_put_wait(kit, &late), i ? 0 : ERR_UNAVAILABLE);
	}
	taker = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(taker, 2);
	bus_kit_expect(taker, "1 2");
}

static void
what_is_too_large_for_the_broker_is_not_told_as_known(void **state)
{
	enum { SIZE = 17 << 20 };
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 10);
	OWN(mem) char *body = mem_new(SIZE);
	struct bus_kit_put large;

	bus_kit_put_init(kit, &large, "a", 1);
	large.put.row.body = str_n(body, SIZE);
	bus_kit_put_send(kit, &large);
	assert_int_equal(bus_kit_put_wait(kit, &large), ERR_UNAVAILABLE);
	put_at_last(kit, "a", 2);
	bus_kit_taker_wait(taker, 1);
	bus_kit_expect(taker, "2");
}

/* ---- what it has and nobody was told of ---- */

struct stray {
	struct amqp_publish publish;
	int code;
};

static void
on_stray(struct amqp_publish *publish, int code, const struct err *err)
{
	list_owner(publish, struct stray, publish)->code = code;
}

static bool
is_stray_there(void *arg)
{
	return ((struct stray *)arg)->code != 1;
}

/* As what was published by a daemon that did not hear a confirm, and took the row back. */
static void
publish_stray(struct bus_kit *kit, const struct row_delivery *row, const char *id)
{
	OWN(mem) char *key = mem_printf("%s.%s", row->org, row->function);
	struct stray stray = {.publish = {.done = on_stray, .is_mandatory = true}, .code = 1};
	struct rabbit_message room = {.body = BUF_INIT};
	struct amqp_message *message = &stray.publish.message;

	bus_rabbit_message_write(row, &room, message);
	message->exchange = STR("mayfly");
	message->routing_key = str_of(key);
	message->message_id = str_of(id);
	thread_on_loop();
	amqp_publish(kit->amqp, &stray.publish);
	buf_done(&room.body);
	bus_kit_wait(kit, is_stray_there, &stray);
	assert_int_equal(stray.code, 0);
}

static void
a_put_that_was_refused_never_comes_though_the_broker_has_it(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 10);
	struct bus_kit_put put;
	char id[ID_ULID_SIZE];

	bus_kit_put_init(kit, &put, "a", 2);
	put.put.row.idempotency_key = "key";
	bus_kit_id(1, id);
	publish_stray(kit, &put.put.row, id);
	bus_kit_put_send(kit, &put);
	assert_int_equal(bus_kit_put_wait(kit, &put), 0);
	bus_kit_taker_wait(taker, 1);
	bus_kit_rest(kit, 500);
	bus_kit_expect(taker, "2");
	bus_kit_expect_stats(kit, "a", 0, 1);
}

static void
what_an_org_that_is_gone_left_in_the_ladder_is_not_its_successors(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;
	struct bus_kit_put late;

	bus_kit_put_init(kit, &late, "a", 1);
	late.put.row.due_ms += 1500;
	bus_kit_put_send(kit, &late);
	assert_int_equal(bus_kit_put_wait(kit, &late), 0);
	bus_kit_remove_org(kit);
	kit->ops->drop(kit->bus, kit->org, "a");
	bus_kit_add_org(kit);
	taker = bus_kit_take(kit, "a", 10);
	bus_kit_put(kit, "a", 2);
	bus_kit_taker_wait(taker, 1);
	bus_kit_rest(kit, 3000);
	bus_kit_expect(taker, "2");
}

static void
a_key_is_known_when_the_first_put_with_it_is_confirmed(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = bus_kit_take(kit, "a", 10);
	struct bus_kit_put puts[2];

	bus_kit_put(kit, "a", 9);
	bus_kit_taker_wait(taker, 1);
	order("pause");
	for (unsigned i = 0; i < 2; i++) {
		bus_kit_put_init(kit, &puts[i], "a", i + 1);
		puts[i].put.row.idempotency_key = "key";
		bus_kit_put_send(kit, &puts[i]);
		bus_kit_rest(kit, 300);
	}
	assert_false(puts[0].is_done || puts[1].is_done);
	order("resume");
	assert_int_equal(bus_kit_put_wait(kit, &puts[0]), 0);
	assert_int_equal(bus_kit_put_wait(kit, &puts[1]), ERR_CONFLICT);
	assert_int_equal(bus_kit_number(puts[1].put.row.id), 1);
	bus_kit_taker_wait(taker, 2);
	bus_kit_settle(taker, 1);
	bus_kit_rest(kit, 500);
	bus_kit_expect(taker, "9");
}

static void
who_asks_again_with_the_key_brings_back_what_the_broker_lost(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;
	OWN(mem) char *text = mem_printf("control delete_queue mayfly.%s.a", kit->org);
	static const int codes[] = {0, ERR_UNAVAILABLE, ERR_CONFLICT}; /* no queue, then one */
	struct bus_kit_put put;

	for (unsigned i = 0; i < 3; i++) {
		bus_kit_put_init(kit, &put, "a", i + 1);
		put.put.row.idempotency_key = "key";
		bus_kit_put_send(kit, &put);
		assert_int_equal(bus_kit_put_wait(kit, &put), codes[i]);
		if (i)
			continue;
		order(text);
		bus_kit_reopen(kit);
	}
	assert_int_equal(bus_kit_number(put.put.row.id), 1);
	taker = bus_kit_take(kit, "a", 10);
	bus_kit_taker_wait(taker, 1);
	bus_kit_expect(taker, "1");
	bus_kit_settle(taker, 0);
}

static void
look_for_lost(struct bus_kit *kit)
{
	thread_on_loop();
	bus_rabbit_lost_look(list_owner(kit->bus, struct rabbit, bus));
	bus_kit_rest(kit, 300);
}

static void
what_the_broker_lost_comes_without_its_payload_when_it_is_too_old(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *taker = NULL;
	OWN(mem) char *text = mem_printf("control purge_queue mayfly.%s.a", kit->org);
	struct bus_kit_put old;

	bus_kit_put_init(kit, &old, "a", 1);
	old.put.row.created_ms -= 120000;
	old.put.row.due_ms = old.put.row.expires_ms = old.put.row.created_ms;
	bus_kit_put_send(kit, &old);
	assert_int_equal(bus_kit_put_wait(kit, &old), 0);
	bus_kit_put(kit, "a", 2); /* not too old */
	order(text);
	taker = bus_kit_take(kit, "a", 10);
	bus_kit_rest(kit, 500);
	look_for_lost(kit);
	assert_int_equal(taker->n_taken, 0);
	look_for_lost(kit);
	look_for_lost(kit);
	bus_kit_taker_wait(taker, 1);
	bus_kit_expect(taker, "1");
	assert_int_equal(taker->taken[0]->row.body.len, 0);
	assert_int_equal(taker->taken[0]->row.expires_ms, old.put.row.expires_ms);
	assert_string_equal(taker->taken[0]->row.message, "the broker does not have it any more");
	bus_kit_settle(taker, 0);
	bus_kit_expect_stats(kit, "a", 1, 0);
}

/* ---- more queues than can be taken from ---- */

static void
a_queue_that_is_left_out_takes_nothing_until_another_is_given_up(void **state)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
	OWN(bus_kit_taker) struct bus_kit_taker *in = bus_kit_take(kit, "a", 10);
	OWN(bus_kit_taker) struct bus_kit_taker *out = NULL;
	struct bus_kit_put put;

	kit->amqp->first_free = AMQP_CONSUMERS_MAX;
	out = bus_kit_take(kit, "b", 10);
	bus_kit_put_init(kit, &put, "b", 1);
	bus_kit_put_send(kit, &put);
	assert_int_equal(bus_kit_put_wait(kit, &put), ERR_UNAVAILABLE);
	assert_non_null(strstr(put.err.text, "65536 already"));
	bus_kit_put(kit, "a", 2);
	bus_kit_taker_wait(in, 1);
	bus_kit_settle(in, 0);
	bus_kit_taker_detach(in);
	bus_kit_put(kit, "b", 3);
	bus_kit_taker_wait(out, 1);
	bus_kit_expect(out, "3");
	bus_kit_settle(out, 0);
}

UNIT_TESTS(it(an_exchange_that_goes_takes_nothing_along_that_waits),
	it(a_queue_that_goes_is_there_again_for_the_next),
	it(a_rung_of_the_ladder_that_goes_takes_nothing_along_that_waits),
	it(what_is_too_large_for_the_broker_is_not_told_as_known),
	it(a_put_that_was_refused_never_comes_though_the_broker_has_it),
	it(what_an_org_that_is_gone_left_in_the_ladder_is_not_its_successors),
	it(a_key_is_known_when_the_first_put_with_it_is_confirmed),
	it(who_asks_again_with_the_key_brings_back_what_the_broker_lost),
	it(what_the_broker_lost_comes_without_its_payload_when_it_is_too_old),
	it(a_queue_that_is_left_out_takes_nothing_until_another_is_given_up))
