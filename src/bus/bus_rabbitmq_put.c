/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_rabbitmq_put - into the broker: a put by way of the store, and what is due later by way of
 * the ladder.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bus/bus_rabbitmq.h"

#define RABBIT_KNOWN_FOR_MS (24 * 3600000ull) /* an idempotency key */

/* ---- topology ---- */

static const unsigned rabbit_rungs_ms[] = {
	1000, 2000, 5000, 15000, 60000, 300000, 1800000, 7200000, 43200000};

unsigned
bus_rabbit_ladder(uint64_t ms)
{
	unsigned rung = 0;

	for (size_t i = 0; i < sizeof(rabbit_rungs_ms) / sizeof(*rabbit_rungs_ms); i++)
		if (rabbit_rungs_ms[i] <= ms)
			rung = rabbit_rungs_ms[i];
	return rung;
}

static void
rabbit_rung_name(const struct rabbit *bus, unsigned rung_ms, char *ret, size_t size)
{
	snprintf(ret, size, "%s.delay.%u", bus->exchange, rung_ms);
}

/* What is left in a rung for its time goes back to the exchange with the key that it came with. */
void
bus_rabbit_declare(struct rabbit *bus)
{
	char name[128];

	amqp_declare_exchange(bus->amqp, bus->exchange, "topic", true, false);
	for (size_t i = 0; i < sizeof(rabbit_rungs_ms) / sizeof(*rabbit_rungs_ms); i++) {
		const struct amqp_queue rung = {.name = name,
			.dead_letter_exchange = bus->exchange,
			.message_ttl_ms = rabbit_rungs_ms[i],
			.is_quorum = true,
			.is_durable = true};

		rabbit_rung_name(bus, rabbit_rungs_ms[i], name, sizeof(name));
		amqp_declare_exchange(bus->amqp, name, "fanout", true, false);
		amqp_declare_queue(bus->amqp, &rung);
		amqp_bind(bus->amqp, name, name, "");
	}
}

/* ---- publishing ---- */

struct rabbit_publish {
	struct amqp_publish publish;
	struct store_message message;
	struct rabbit *bus;       /* borrowed */
	struct bus_put *put;      /* borrowed; NULL for the ladder's */
	struct rabbit_item *item; /* borrowed; of the ladder */
	char known[ID_ULID_SIZE];
	struct err err;
};

static void
rabbit_publish(struct rabbit_publish *publish, const struct row_delivery *row) ON_LOOP
{
	uint64_t now_ms = clock_unix_ms();
	uint64_t left_ms = row->due_ms > now_ms ? row->due_ms - now_ms : 0;
	struct rabbit_message room = {.body = BUF_INIT};
	unsigned rung_ms = bus_rabbit_ladder(left_ms);
	char exchange[128], key[BUS_QUEUE_SIZE];

	bus_rabbit_message_write(row, &room, &publish->publish.message);
	snprintf(key, sizeof(key), "%s.%s", row->org, row->function);
	if (rung_ms)
		rabbit_rung_name(publish->bus, rung_ms, exchange, sizeof(exchange));
	else
		snprintf(exchange, sizeof(exchange), "%s", publish->bus->exchange);
	publish->publish.message.exchange = str_of(exchange);
	publish->publish.message.routing_key = str_of(key);
	publish->publish.is_mandatory = true;
	amqp_publish(publish->bus->amqp, &publish->publish);
	buf_done(&room.body);
}

/* ---- a put ---- */

static void
rabbit_put_end(struct rabbit_publish *publish, int code, const struct err *err)
{
	struct rabbit *bus = publish->bus;
	struct bus_put *put = publish->put;

	put->done(put, code, err);
	free(publish);
	bus_rabbit_release(bus);
}

static void
rabbit_put_undone(struct store_message *message)
{
	struct rabbit_publish *publish = list_owner(message, struct rabbit_publish, message);

	rabbit_put_end(publish, publish->err.code, &publish->err);
}

/* A put that failed leaves nothing: its key is free for the next attempt. */
static int
rabbit_put_undo(struct store_db *db, struct store_message *message, struct err *err)
{
	struct rabbit_publish *publish = list_owner(message, struct rabbit_publish, message);
	struct row_delivery row = publish->put->row;
	int rc;

	thread_on_store();
	row.state = ROW_DELIVERY_DEAD;
	row.ended_ms = clock_unix_ms();
	row.message = row.headers = "";
	row.result = STR("");
	rc = row_delivery_update(db, &row, err);
	return rc < 0 ? rc : row_delivery_delete(db, row.org, row.id, err);
}

static void
rabbit_put_failed(struct rabbit_publish *publish, const struct err *err) ON_LOOP
{
	struct bus_put *put = publish->put;
	struct rabbit_item *item;

	/* The store may be closed: its row stays. */
	if (publish->bus->is_closing) {
		rabbit_put_end(publish, err->code, err);
		return;
	}
	item = map_find(&publish->bus->items, str_of(put->row.id));

	/* It came although nobody said that it had arrived. */
	if (!item || item->state != RABBIT_WAITING) {
		rabbit_put_end(publish, 0, NULL);
		return;
	}
	publish->err = *err;
	/* There is no queue to route it to, whoever deleted it: that is the broker's state. */
	if (err->code == ERR_NOT_FOUND) {
		struct bus_queue *queue = item->queue;
		const struct amqp_queue again = {
			.name = queue->name, .is_quorum = true, .is_durable = true};

		publish->err.code = ERR_UNAVAILABLE;
		amqp_delete_queue(publish->bus->amqp, queue->name);
		amqp_declare_queue(publish->bus->amqp, &again);
		amqp_bind(publish->bus->amqp, queue->name, publish->bus->exchange, queue->key);
	}
	bus_rabbit_item_free(item);
	publish->message.work = rabbit_put_undo;
	publish->message.done = rabbit_put_undone;
	store_ask(publish->bus->store, &publish->message);
}

static void
rabbit_put_confirmed(struct amqp_publish *amqp, int code, const struct err *err)
{
	struct rabbit_publish *publish = list_owner(amqp, struct rabbit_publish, publish);

	thread_on_loop();
	if (code < 0)
		rabbit_put_failed(publish, err);
	else
		rabbit_put_end(publish, 0, NULL);
}

static int
rabbit_put_insert(struct store_db *db, struct store_message *message, struct err *err)
{
	struct rabbit_publish *publish = list_owner(message, struct rabbit_publish, message);
	struct row_delivery row = publish->put->row;

	thread_on_store();
	row.head = row.body = row.result = STR("");
	publish->known[0] = '\0';
	return row_delivery_insert(
		db, &row, clock_unix_ms() - RABBIT_KNOWN_FOR_MS, publish->known, err);
}

static void
rabbit_put_inserted(struct store_message *message)
{
	struct rabbit_publish *publish = list_owner(message, struct rabbit_publish, message);
	struct bus_put *put = publish->put;
	struct rabbit *bus = publish->bus;

	thread_on_loop();
	if (message->code < 0) {
		if (message->code == ERR_CONFLICT && publish->known[0])
			memcpy(put->row.id, publish->known, sizeof(put->row.id));
		rabbit_put_end(publish, message->code, &message->err);
		return;
	}
	if (bus->is_closing) {
		err_set(&publish->err, ERR_UNAVAILABLE, "stopping");
		rabbit_put_end(publish, publish->err.code, &publish->err);
		return;
	}
	bus_rabbit_item_wait(
		bus_rabbit_item_new(bus_rabbit_queue(bus, put->row.org, put->row.function),
			&put->row, put->row.head.len + put->row.body.len));
	publish->publish.done = rabbit_put_confirmed;
	rabbit_publish(publish, &put->row);
}

void
bus_rabbit_put(struct bus *bus, struct bus_put *put)
{
	struct rabbit *rabbit = list_owner(bus, struct rabbit, bus);
	struct rabbit_publish *publish;
	struct err err = {0};

	thread_on_loop();
	if (!amqp_is_up(rabbit->amqp) || *amqp_trouble(rabbit->amqp)) {
		err_set(&err, ERR_UNAVAILABLE, "the queue cannot be reached: %.180s",
			amqp_trouble(rabbit->amqp));
		put->done(put, err.code, &err);
		return;
	}
	publish = mem_new(sizeof(*publish));
	publish->bus = rabbit;
	publish->put = put;
	publish->message.work = rabbit_put_insert;
	publish->message.done = rabbit_put_inserted;
	rabbit->n_asked++;
	store_ask(rabbit->store, &publish->message);
}

/* ---- into the ladder ---- */

/* There it is: what the broker gave is done with. Else it is held here until it is due. */
static void
rabbit_delayed(struct amqp_publish *amqp, int code, const struct err *err)
{
	struct rabbit_publish *publish = list_owner(amqp, struct rabbit_publish, publish);
	struct rabbit_item *item = publish->item; /* NULL: it is gone */
	struct rabbit *bus = publish->bus;

	thread_on_loop();
	if (item)
		item->holder = NULL;
	if (item && code < 0) {
		item->state = RABBIT_READY;
		item->place.when_ms = item->due_ms;
		bus_line_add(&item->queue->ready, &item->place);
	} else if (item) {
		bus_rabbit_item_ack(item);
		bus_rabbit_item_wait(item);
	}
	free(publish);
	bus_rabbit_release(bus);
}

void
bus_rabbit_delay(struct rabbit_item *item)
{
	struct rabbit_publish *publish = mem_new(sizeof(*publish));
	struct row_delivery row = item->message->row;

	publish->bus = item->bus;
	publish->item = item;
	item->holder = &publish->item;
	publish->publish.done = rabbit_delayed;
	row.due_ms = item->due_ms;
	row.attempt = item->attempt;
	item->state = RABBIT_LEAVING;
	item->bus->n_asked++;
	rabbit_publish(publish, &row);
}
