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
	/* The one that has the put's idempotency key; id "" for none. */
	char known[ID_ULID_SIZE];
	uint8_t known_state;
	uint32_t known_attempt;
	uint64_t known_created_ms, known_due_ms, known_expires_ms;
	struct err err;
};

static unsigned
rabbit_rung_of(const struct row_delivery *row)
{
	uint64_t now_ms = clock_unix_ms();

	return bus_rabbit_ladder(row->due_ms > now_ms ? row->due_ms - now_ms : 0);
}

static void
rabbit_publish(struct rabbit_publish *publish, const struct row_delivery *row) ON_LOOP
{
	struct rabbit_message room = {.body = BUF_INIT};
	unsigned rung_ms = rabbit_rung_of(row);
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

/* There is no queue to route it to, whoever took it away: what waits in the others stays. */
static void
rabbit_declare_again(struct bus_queue *queue, const struct row_delivery *row) ON_LOOP
{
	unsigned rung_ms = rabbit_rung_of(row);
	char name[128];

	amqp_declare_again(queue->bus->amqp, queue->name);
	if (!rung_ms)
		return;
	rabbit_rung_name(queue->bus, rung_ms, name, sizeof(name));
	amqp_declare_again(queue->bus->amqp, name);
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

/* The broker has it, under its own id or that of the first with its key. */
static void
rabbit_put_accepted(struct rabbit_publish *publish)
{
	struct err err = {0};

	if (!publish->known[0]) {
		rabbit_put_end(publish, 0, NULL);
		return;
	}
	memcpy(publish->put->row.id, publish->known, sizeof(publish->known));
	err_field(&err, ERR_CONFLICT, "idempotency_key",
		"the idempotency key was used for delivery %s", publish->known);
	rabbit_put_end(publish, err.code, &err);
}

/* What the broker says no with is its state, not the caller's: above all not a known key. */
static void
rabbit_put_refused(struct rabbit_publish *publish)
{
	int code = publish->err.code;

	if (code != ERR_RATE && code != ERR_TOO_LARGE && code != ERR_INVALID)
		publish->err.code = ERR_UNAVAILABLE;
	rabbit_put_end(publish, publish->err.code, &publish->err);
}

static void
rabbit_put_undone(struct store_message *message)
{
	rabbit_put_refused(list_owner(message, struct rabbit_publish, message));
}

/* A put that failed leaves nothing: its key is free for the next attempt. */
static int
rabbit_put_undo(struct store_db *db, struct store_message *message, struct err *err)
{
	struct rabbit_publish *publish = list_owner(message, struct rabbit_publish, message);
	struct row_delivery row = publish->put->row;
	int rc;

	thread_on_store();
	if (publish->known[0])
		memcpy(row.id, publish->known, sizeof(row.id));
	row.state = ROW_DELIVERY_DEAD;
	row.ended_ms = clock_unix_ms();
	row.message = row.headers = "";
	row.result = STR("");
	rc = row_delivery_update(db, &row, err);
	return rc < 0 ? rc : row_delivery_delete(db, row.org, row.id, err);
}

/* Several may put the one with a key: the last that fails takes it back, unless somebody has been
 * told of it or it came although nobody said that it had arrived. */
static void
rabbit_put_failed(
	struct rabbit_publish *publish, struct rabbit_item *item, const struct err *err) ON_LOOP
{
	struct rabbit *bus = publish->bus;

	publish->err = *err;
	if (bus->is_closing) { /* the store may be closed: its row stays */
		rabbit_put_refused(publish);
		return;
	}
	if (!item || item->is_there) {
		rabbit_put_accepted(publish);
		return;
	}
	if (err->code == ERR_NOT_FOUND)
		rabbit_declare_again(item->queue, &publish->put->row);
	if (item->n_puts || item->is_promised) {
		rabbit_put_refused(publish);
		return;
	}
	bus_rabbit_item_free(item);
	publish->message.work = rabbit_put_undo;
	publish->message.done = rabbit_put_undone;
	store_ask(bus->store, &publish->message);
}

static const char *
rabbit_put_id(const struct rabbit_publish *publish)
{
	return publish->known[0] ? publish->known : publish->put->row.id;
}

static void
rabbit_put_confirmed(struct amqp_publish *amqp, int code, const struct err *err)
{
	struct rabbit_publish *publish = list_owner(amqp, struct rabbit_publish, publish);
	struct rabbit_item *item = map_find(&publish->bus->items, str_of(rabbit_put_id(publish)));

	thread_on_loop();
	if (item && item->n_puts)
		item->n_puts--;
	if (code < 0) {
		rabbit_put_failed(publish, item, err);
		return;
	}
	if (item)
		item->is_promised = item->is_there = true;
	rabbit_put_accepted(publish);
}

static void
rabbit_put_found(const struct row_delivery *row, void *arg)
{
	struct rabbit_publish *publish = arg;

	publish->known_state = row->state;
	publish->known_attempt = row->attempt;
	publish->known_created_ms = row->created_ms;
	publish->known_due_ms = row->due_ms;
	publish->known_expires_ms = row->expires_ms;
}

/* A known key is no failure here: it is told only when the transaction is on disk, which the row
 * with the key may be part of. */
static int
rabbit_put_insert(struct store_db *db, struct store_message *message, struct err *err)
{
	struct rabbit_publish *publish = list_owner(message, struct rabbit_publish, message);
	struct row_delivery row = publish->put->row;
	int rc;

	thread_on_store();
	row.head = row.body = row.result = STR("");
	publish->known[0] = '\0';
	rc = row_delivery_insert(
		db, &row, clock_unix_ms() - RABBIT_KNOWN_FOR_MS, publish->known, err);
	if (rc != ERR_CONFLICT || !publish->known[0])
		return rc;
	return row_delivery_find(db, row.org, publish->known, rabbit_put_found, publish, err);
}

/* The first with the key waits, and the broker has not said that it has it: this one is put under
 * its id. Two of them are one call. */
static void
rabbit_put_known(struct rabbit_publish *publish) ON_LOOP
{
	struct rabbit_item *item = map_find(&publish->bus->items, str_of(publish->known));
	struct row_delivery row = publish->put->row;

	if (publish->known_state != ROW_DELIVERY_QUEUED || (item && item->is_there)) {
		rabbit_put_accepted(publish);
		return;
	}
	if (!item) {
		err_set(&publish->err, ERR_UNAVAILABLE,
			"the first call with this key is being taken back; ask again");
		rabbit_put_refused(publish);
		return;
	}
	memcpy(row.id, publish->known, sizeof(row.id));
	row.attempt = publish->known_attempt;
	row.created_ms = publish->known_created_ms;
	row.due_ms = publish->known_due_ms;
	row.expires_ms = publish->known_expires_ms;
	item->n_puts++;
	rabbit_publish(publish, &row);
}

static void
rabbit_put_inserted(struct store_message *message)
{
	struct rabbit_publish *publish = list_owner(message, struct rabbit_publish, message);
	const struct row_delivery *row = &publish->put->row;
	struct rabbit *bus = publish->bus;
	struct rabbit_item *item;

	thread_on_loop();
	if (message->code < 0) {
		rabbit_put_end(publish, message->code, &message->err);
		return;
	}
	if (bus->is_closing) {
		err_set(&publish->err, ERR_UNAVAILABLE, "stopping");
		rabbit_put_refused(publish);
		return;
	}
	publish->publish.done = rabbit_put_confirmed;
	if (publish->known[0]) {
		rabbit_put_known(publish);
		return;
	}
	item = bus_rabbit_item_new(
		bus_rabbit_queue(bus, row->org, row->function), row, row->head.len + row->body.len);
	bus_rabbit_item_wait(item);
	item->n_puts = 1;
	rabbit_publish(publish, row);
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
	if (bus_rabbit_is_left_out(rabbit, put->row.org, put->row.function)) {
		err_set(&err, ERR_UNAVAILABLE, "the queue has no consumer: there are %d already",
			AMQP_CONSUMERS_MAX);
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
	if (item && code == ERR_NOT_FOUND)
		rabbit_declare_again(item->queue, &item->message->row);
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
