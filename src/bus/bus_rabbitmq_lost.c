/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_rabbitmq_lost - rows whose message the broker does not have any more: it came back with an
 * empty disk, somebody deleted a queue, or the daemon died between the two.
 *
 * A message that is late looks the same, so nothing is given up before it is too old anyway, and
 * only where the broker said twice, with time between, that nothing is left in its queue.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "bus/bus_rabbitmq.h"

enum { LOST_LOOK_MS = 60000, LOST_LOOKS = 2 };

/* ---- its row is its end ---- */

struct lost_row {
	struct store_message message;
	struct rabbit *bus;          /* borrowed */
	struct bus_queue *queue;     /* borrowed */
	struct rabbit_item *item;    /* borrowed; NULL when it has gone meanwhile */
	struct bus_message *payless; /* owned */
	char id[ID_ULID_SIZE];
};

/* As if it came with nothing in it. */
static void
lost_found(const struct row_delivery *row, void *arg)
{
	struct rabbit_message room = {.body = BUF_INIT};
	struct lost_row *lost = arg;
	struct amqp_message message;

	if (row->state != ROW_DELIVERY_QUEUED)
		return;
	bus_rabbit_message_write(row, &room, &message);
	lost->payless = bus_rabbit_message_read(&message, lost->queue);
	buf_done(&room.body);
}

static int
lost_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct lost_row *lost = list_owner(message, struct lost_row, message);

	thread_on_store();
	free(take_ptr(&lost->payless));
	return row_delivery_find(db, lost->queue->org, lost->id, lost_found, lost, err);
}

static void
lost_hand_over(struct lost_row *lost) ON_LOOP
{
	struct rabbit_item *item = lost->item;

	item->holder = NULL;
	if (!lost->payless) {
		bus_rabbit_item_ack(item);
		bus_rabbit_item_free(item);
		return;
	}
	item->message = take_ptr(&lost->payless);
	item->message->row.message = "the broker does not have it any more";
	bus_rabbit_item_ready(item);
}

static void
lost_done(struct store_message *message)
{
	struct lost_row *lost = list_owner(message, struct lost_row, message);
	struct rabbit *bus = lost->bus;

	thread_on_loop();
	if (!bus_rabbit_answered(bus, message))
		return;
	if (lost->item)
		lost_hand_over(lost);
	free(lost->payless);
	free(lost);
	bus_rabbit_release(bus);
}

static void
lost_end(struct rabbit_item *item) ON_LOOP
{
	struct lost_row *lost = mem_new(sizeof(*lost));

	lost->bus = item->bus;
	lost->queue = item->queue;
	lost->item = item;
	memcpy(lost->id, item->id, sizeof(lost->id));
	item->holder = &lost->item;
	item->state = RABBIT_CHECKING;
	item->source = NULL;
	lost->message.work = lost_work;
	lost->message.done = lost_done;
	bus_rabbit_ask(item->bus, &lost->message);
}

/* ---- looking ---- */

static bool
lost_may_be(const struct rabbit_item *item, uint64_t now_ms)
{
	return item->state == RABBIT_WAITING && !item->n_puts && item->expires_ms < now_ms &&
	       item->due_ms + LOST_LOOK_MS < now_ms;
}

static void
lost_counted(void *arg, int code, uint64_t n_messages, uint64_t n_consumers)
{
	struct bus_queue *queue = arg;
	struct rabbit *bus = queue->bus;
	uint64_t now_ms = clock_unix_ms();

	thread_on_loop();
	map_each (&bus->items, entry) {
		struct rabbit_item *item = entry->value;

		if (code < 0 || bus->is_closing || item->queue != queue ||
			!lost_may_be(item, now_ms))
			continue;
		item->n_missed = n_messages ? 0 : item->n_missed + 1;
		if (item->n_missed >= LOST_LOOKS)
			lost_end(item);
	}
	bus_rabbit_release(bus);
}

void
bus_rabbit_lost_look(struct rabbit *bus)
{
	uint64_t now_ms = clock_unix_ms();

	if (!amqp_is_up(bus->amqp))
		return;
	map_each (&bus->items, entry) {
		const struct rabbit_item *item = entry->value;
		struct bus_queue *queue = item->queue;

		queue->is_missing = queue->is_missing ||
				    (queue->source && queue->prefetch && lost_may_be(item, now_ms));
	}
	map_each (&bus->queues, entry) {
		struct bus_queue *queue = entry->value;

		if (!queue->is_missing)
			continue;
		queue->is_missing = false;
		bus->n_asked++;
		amqp_count(bus->amqp, queue->name, lost_counted, queue);
	}
}

static void
lost_on_timer(struct loop_timer *timer)
{
	struct rabbit *bus = list_owner(timer, struct rabbit, lost_timer);

	thread_on_loop();
	bus_rabbit_lost_look(bus);
	bus_rabbit_lost_start(bus);
}

void
bus_rabbit_lost_start(struct rabbit *bus)
{
	loop_timer_start(bus->loop, &bus->lost_timer, LOST_LOOK_MS, lost_on_timer);
}
