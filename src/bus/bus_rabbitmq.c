/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/bus_rabbitmq.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum {
	RABBIT_AHEAD_MIN = 8, /* fetched beyond the credit: also what is held until it is due */
	RABBIT_AHEAD_MAX = 64,
	RABBIT_COUNT_US = 1000000,
};

/* ---- queues ---- */

struct bus_queue *
bus_rabbit_queue(struct rabbit *bus, const char *org, const char *function)
{
	char name[BUS_QUEUE_SIZE];
	struct amqp_queue declared = {.is_quorum = true, .is_durable = true};
	struct bus_queue *queue;

	snprintf(name, sizeof(name), "%s/%s", org, function);
	queue = map_find(&bus->queues, str_of(name));
	if (queue)
		return queue;
	queue = mem_new(sizeof(*queue));
	queue->bus = bus;
	snprintf(queue->org, sizeof(queue->org), "%s", org);
	snprintf(queue->function, sizeof(queue->function), "%s", function);
	snprintf(queue->key, sizeof(queue->key), "%s.%s", org, function);
	snprintf(queue->name, sizeof(queue->name), "%.15s.%s", bus->exchange, queue->key);
	queue->ready = queue->ages = BUS_LINE_NONE;
	list_init(&queue->link);
	map_put(&bus->queues, str_of(name), queue);
	declared.name = queue->name;
	amqp_declare_queue(bus->amqp, &declared);
	amqp_bind(bus->amqp, queue->name, bus->exchange, queue->key);
	return queue;
}

static void
rabbit_queue_free(struct bus_queue *queue)
{
	list_remove(&queue->link);
	bus_line_done(&queue->ready);
	bus_line_done(&queue->ages);
	free(queue);
}

/* ---- items ---- */

struct rabbit_item *
bus_rabbit_item_new(struct bus_queue *queue, const struct row_delivery *row, uint64_t n_bytes)
{
	struct rabbit_item *item = mem_new(sizeof(*item));

	memcpy(item->id, row->id, sizeof(item->id));
	item->bus = queue->bus;
	item->queue = queue;
	item->created_ms = row->created_ms;
	item->due_ms = row->due_ms;
	item->expires_ms = row->expires_ms;
	item->attempt = row->attempt;
	item->n_bytes = n_bytes;
	item->age = (struct bus_place){item->created_ms, item->id};
	item->place = (struct bus_place){item->due_ms, item->id};
	map_put(&queue->bus->items, str_of(item->id), item);
	return item;
}

void
bus_rabbit_item_count(struct rabbit_item *item, bool is_counted)
{
	struct bus_queue *queue = item->queue;

	if (item->is_counted == is_counted)
		return;
	item->is_counted = is_counted;
	if (is_counted) {
		queue->n_bytes += item->n_bytes;
		bus_line_add(&queue->ages, &item->age);
	} else {
		queue->n_bytes -= item->n_bytes;
		bus_line_remove(&queue->ages, &item->age);
	}
}

/* Out of what it stands in, with nothing of it here. */
static void
rabbit_item_drop_message(struct rabbit_item *item)
{
	if (item->state == RABBIT_READY)
		bus_line_remove(&item->queue->ready, &item->place);
	if (item->state == RABBIT_IN_HAND)
		item->queue->n_in_hand--;
	free(item->message);
	item->message = NULL;
}

void
bus_rabbit_item_wait(struct rabbit_item *item)
{
	rabbit_item_drop_message(item);
	item->state = RABBIT_WAITING;
	bus_rabbit_item_count(item, true);
}

void
bus_rabbit_item_withdraw(struct rabbit_item *item)
{
	rabbit_item_drop_message(item);
	item->state = RABBIT_WITHDRAWN;
	bus_rabbit_item_count(item, false);
}

void
bus_rabbit_item_free(struct rabbit_item *item)
{
	if (item->holder)
		*item->holder = NULL;
	rabbit_item_drop_message(item);
	bus_rabbit_item_count(item, false);
	map_remove(&item->bus->items, str_of(item->id));
	free(item);
}

void
bus_rabbit_item_ack(struct rabbit_item *item)
{
	if (item->source && item->source == item->queue->source)
		amqp_ack(item->source, item->tag);
}

/* ---- handing over ---- */

static void
rabbit_pump_soon(struct bus_queue *queue) ON_LOOP
{
	if (!list_is_empty(&queue->link))
		return;
	list_push_back(&queue->bus->to_pump, &queue->link);
	loop_flush_soon(queue->bus->loop, &queue->bus->flush);
}

static void
rabbit_hand_over(struct rabbit_item *item) ON_LOOP
{
	struct bus_queue *queue = item->queue;
	struct bus_message *message = item->message;

	bus_line_remove(&queue->ready, &item->place);
	bus_rabbit_item_count(item, false);
	item->state = RABBIT_IN_HAND;
	queue->n_in_hand++;
	message->row.attempt = item->attempt;
	message->row.due_ms = item->due_ms;
	queue->consumer.on_message(queue, message, queue->consumer.arg);
}

static void
rabbit_on_timer(struct loop_timer *timer)
{
	struct rabbit *bus = list_owner(timer, struct rabbit, timer);

	thread_on_loop();
	map_each (&bus->queues, entry) {
		struct bus_queue *queue = entry->value;

		if (queue->ready.n)
			rabbit_pump_soon(queue);
	}
}

/* The owner may settle, retry or detach from within. */
static void
rabbit_pump(struct bus_queue *queue) ON_LOOP
{
	while (queue->source && queue->n_in_hand < queue->credit) {
		struct bus_place *first = bus_line_first(&queue->ready);
		uint64_t now_ms = clock_unix_ms();

		if (!first || first->when_ms > now_ms || queue->quiet_until_ms > now_ms)
			break;
		rabbit_hand_over(list_owner(first, struct rabbit_item, place));
	}
}

static void
rabbit_wake(struct rabbit *bus) ON_LOOP
{
	uint64_t now_ms = clock_unix_ms(), next_ms = UINT64_MAX;

	map_each (&bus->queues, entry) {
		const struct bus_queue *queue = entry->value;
		const struct bus_place *first = bus_line_first(&queue->ready);
		uint64_t due_ms = queue->quiet_until_ms;

		if (!first || !queue->source)
			continue;
		if (due_ms < first->when_ms)
			due_ms = first->when_ms;
		if (due_ms > now_ms && due_ms < next_ms)
			next_ms = due_ms;
	}
	if (next_ms != UINT64_MAX)
		loop_timer_start(bus->loop, &bus->timer, next_ms - now_ms + 1, rabbit_on_timer);
}

static void
rabbit_on_flush(struct loop_flush *flush)
{
	struct rabbit *bus = list_owner(flush, struct rabbit, flush);
	bool is_asleep = false;

	thread_on_loop();
	while (!list_is_empty(&bus->to_pump) && !bus->is_closing) {
		struct bus_queue *queue = list_first(&bus->to_pump, struct bus_queue, link);

		list_remove(&queue->link);
		rabbit_pump(queue);
		is_asleep = is_asleep || queue->ready.n;
	}
	if (is_asleep && !bus->is_closing)
		rabbit_wake(bus);
}

void
bus_rabbit_item_ready(struct rabbit_item *item)
{
	uint64_t now_ms = clock_unix_ms();

	if (item->due_ms > now_ms + RABBIT_HOLD_MS && bus_rabbit_ladder(item->due_ms - now_ms)) {
		bus_rabbit_delay(item);
		return;
	}
	item->state = RABBIT_READY;
	item->place.when_ms = item->due_ms;
	bus_line_add(&item->queue->ready, &item->place);
	rabbit_pump_soon(item->queue);
}

/* A second copy of one that is here: what a lost connection had given has no tag any more. */
static void
rabbit_on_copy(struct rabbit_item *item, struct amqp_consumer *source, uint64_t tag) ON_LOOP
{
	if (item->source == source && item->tag >> 48 == tag >> 48) {
		amqp_ack(source, tag);
		return;
	}
	item->source = source;
	item->tag = tag;
}

/* It says that it is ours, and its id is that of another function's, which may be a stranger itself
 * until the store was asked. */
static void
rabbit_on_stray(const struct rabbit_item *other, struct amqp_consumer *source, uint64_t tag) ON_LOOP
{
	if (other->state == RABBIT_CHECKING)
		amqp_reject(source, tag, true);
	else
		amqp_ack(source, tag);
}

static void
rabbit_on_message(struct amqp_consumer *source, const struct amqp_message *message, void *arg)
{
	struct bus_queue *queue = arg;
	struct bus_message *read = bus_rabbit_message_read(message, queue);
	struct rabbit_item *item = map_find(&queue->bus->items, str_of(read->row.id));

	thread_on_loop();
	if (item && item->queue != queue && !read->is_foreign) {
		free(read);
		rabbit_on_stray(item, source, message->tag);
		return;
	}
	/* Somebody else's, with the id of another function's. */
	if (item && item->queue != queue) {
		id_ulid(read->row.id);
		item = NULL;
	}
	if (item && item->state != RABBIT_WAITING) {
		free(read);
		rabbit_on_copy(item, source, message->tag);
		return;
	}
	if (!item) {
		item = bus_rabbit_item_new(
			queue, &read->row, read->row.head.len + read->row.body.len);
		item->state = RABBIT_CHECKING;
	} else {
		read->is_foreign = false;
	}
	item->message = read;
	item->source = source;
	item->tag = message->tag;
	item->is_promised = item->is_there = true;
	item->n_missed = 0;
	if (item->state == RABBIT_CHECKING)
		bus_rabbit_check(item);
	else
		bus_rabbit_item_ready(item);
}

/* ---- attaching ---- */

static void
rabbit_set_credit(struct bus_queue *queue, unsigned credit)
{
	unsigned ahead = credit < RABBIT_AHEAD_MIN   ? RABBIT_AHEAD_MIN
			 : credit > RABBIT_AHEAD_MAX ? RABBIT_AHEAD_MAX
						     : credit;

	thread_on_loop();
	queue->credit = credit;
	/* Less is kept by handing over less: a consumer that begins anew is a round trip. */
	if (credit && credit + RABBIT_AHEAD_MIN > queue->prefetch) {
		queue->prefetch = credit + ahead;
		if (queue->source)
			amqp_set_prefetch(queue->source, queue->prefetch);
	}
	if (queue->source)
		rabbit_pump_soon(queue);
}

bool
bus_rabbit_is_left_out(const struct rabbit *bus, const char *org, const char *function)
{
	char name[BUS_QUEUE_SIZE];
	const struct bus_queue *queue;

	snprintf(name, sizeof(name), "%s/%s", org, function);
	queue = map_find(&bus->queues, str_of(name));
	return queue && queue->is_left_out;
}

static void
rabbit_set_left_out(struct bus_queue *queue, bool is_left_out)
{
	queue->bus->n_left_out += is_left_out;
	queue->bus->n_left_out -= queue->is_left_out;
	queue->is_left_out = is_left_out;
}

static void
rabbit_begin(struct bus_queue *queue) ON_LOOP
{
	struct amqp *amqp = queue->bus->amqp;

	queue->quiet_until_ms = clock_unix_ms() + RABBIT_GATHER_MS;
	queue->source = amqp_consume(amqp, queue->name, queue->prefetch, rabbit_on_message, queue);
	rabbit_set_left_out(queue, !queue->source);
}

/* There is room for one of them. */
static void
rabbit_let_in(struct rabbit *bus) ON_LOOP
{
	if (!bus->n_left_out)
		return;
	map_each (&bus->queues, entry) {
		struct bus_queue *queue = entry->value;

		if (!queue->is_left_out)
			continue;
		rabbit_begin(queue);
		break;
	}
}

static struct bus_queue *
rabbit_attach(struct bus *bus, const char *org, const char *function, unsigned credit,
	const struct bus_consumer *consumer)
{
	struct rabbit *rabbit = list_owner(bus, struct rabbit, bus);
	struct bus_queue *queue;

	thread_on_loop();
	queue = bus_rabbit_queue(rabbit, org, function);
	must(!queue->source && !queue->is_left_out);
	queue->consumer = *consumer;
	queue->prefetch = 0;
	rabbit_set_credit(queue, credit);
	rabbit_begin(queue);
	return queue;
}

/* What is here goes back to the broker with its consumer. */
static void
rabbit_detach(struct bus_queue *queue)
{
	bool was_taking = queue->source;

	thread_on_loop();
	rabbit_set_left_out(queue, false);
	if (was_taking)
		amqp_cancel(take_ptr(&queue->source));
	map_each (&queue->bus->items, entry) {
		struct rabbit_item *item = entry->value;

		if (item->queue == queue &&
			(item->state == RABBIT_READY || item->state == RABBIT_IN_HAND))
			bus_rabbit_item_wait(item);
	}
	if (was_taking)
		rabbit_let_in(queue->bus);
}

/* ---- how it went ---- */

static struct rabbit_item *
rabbit_item_of(struct bus_queue *queue, const struct bus_message *message)
{
	struct rabbit_item *item = map_find(&queue->bus->items, str_of(message->row.id));

	must(item && item->message == message && item->state == RABBIT_IN_HAND);
	return item;
}

static void
rabbit_settle(struct bus_queue *queue, struct bus_message *message, const struct row_delivery *row,
	void (*done)(void *arg, int code), void *arg)
{
	struct rabbit_item *item = rabbit_item_of(queue, message);

	thread_on_loop();
	queue->n_in_hand--;
	bus_rabbit_write_end(item, row, done, arg);
	rabbit_pump_soon(queue);
}

static void
rabbit_retry(struct bus_queue *queue, struct bus_message *message, const struct row_delivery *row)
{
	struct rabbit_item *item = rabbit_item_of(queue, message);

	thread_on_loop();
	queue->n_in_hand--;
	item->attempt = row->attempt;
	item->due_ms = row->due_ms;
	memmove(item->message->row.code, row->code, sizeof(item->message->row.code));
	item->message->row.status = row->status;
	item->message->row.message = item->message->row.headers = "";
	bus_rabbit_write_retry(queue->bus, row);
	bus_rabbit_item_count(item, true);
	bus_rabbit_item_ready(item);
	rabbit_pump_soon(queue);
}

static int
rabbit_withdraw(struct bus *bus, const char *org, const char *function, const char *id)
{
	struct rabbit *rabbit = list_owner(bus, struct rabbit, bus);
	struct rabbit_item *item = map_find(&rabbit->items, str_of(id));

	thread_on_loop();
	if (!item || (item->state != RABBIT_WAITING && item->state != RABBIT_READY) ||
		strcmp(item->queue->org, org) != 0 || strcmp(item->queue->function, function) != 0)
		return ERR_NOT_FOUND;
	bus_rabbit_item_withdraw(item);
	bus_rabbit_cancel(item);
	return 0;
}

/* ---- what is seen ---- */

static void
rabbit_on_counted(void *arg, int code, uint64_t n_messages, uint64_t n_consumers)
{
	struct bus_queue *queue = arg;
	struct rabbit *bus = queue->bus;

	queue->is_counting = false;
	if (code == 0)
		queue->n_broker = n_messages;
	bus_rabbit_release(bus);
}

/* What the broker has and nobody here knows of was put by others. */
static uint64_t
rabbit_count_foreign(struct bus_queue *queue)
{
	struct rabbit *bus = queue->bus;
	uint64_t now_us = clock_mono_us();

	thread_on_loop();
	if (!queue->is_counting && now_us - queue->counted_us > RABBIT_COUNT_US &&
		amqp_is_up(bus->amqp) && !bus->is_closing) {
		queue->is_counting = true;
		queue->counted_us = now_us;
		bus->n_asked++;
		amqp_count(bus->amqp, queue->name, rabbit_on_counted, queue);
	}
	return queue->n_broker > queue->ages.n ? queue->n_broker - queue->ages.n : 0;
}

static void
rabbit_stats_add(struct bus_queue *queue, struct bus_stats *ret)
{
	const struct bus_place *oldest = bus_line_first(&queue->ages);

	ret->n_waiting += queue->ages.n + rabbit_count_foreign(queue);
	ret->n_in_hand += queue->n_in_hand;
	ret->n_bytes += queue->n_bytes;
	if (oldest && (!ret->oldest_ms || oldest->when_ms < ret->oldest_ms))
		ret->oldest_ms = oldest->when_ms;
}

static void
rabbit_stats(const struct bus *bus, const char *org, const char *function, struct bus_stats *ret)
{
	struct rabbit *rabbit = list_owner(bus, struct rabbit, bus);
	char name[BUS_QUEUE_SIZE];
	struct bus_queue *queue;

	*ret = (struct bus_stats){.is_known = amqp_is_up(rabbit->amqp)};
	snprintf(name, sizeof(name), "%s/%s", org, function);
	queue = map_find(&rabbit->queues, str_of(name));
	if (queue)
		rabbit_stats_add(queue, ret);
	if (org[0] || function[0])
		return;
	map_each (&rabbit->queues, entry)
		rabbit_stats_add(entry->value, ret);
}

static bool
rabbit_is_up(const struct bus *bus)
{
	const struct rabbit *rabbit = list_owner(bus, struct rabbit, bus);

	return amqp_is_up(rabbit->amqp) && !*amqp_trouble(rabbit->amqp);
}

/* ---- its life ---- */

static void
rabbit_end(struct rabbit *bus)
{
	if (!bus->is_closing || bus->n_asked)
		return;
	map_each (&bus->queues, entry)
		rabbit_queue_free(entry->value);
	map_done(&bus->queues);
	map_done(&bus->items);
	free(bus);
}

void
bus_rabbit_release(struct rabbit *bus)
{
	must(bus->n_asked > 0);
	bus->n_asked--;
	rabbit_end(bus);
}

static void
rabbit_free_items(struct rabbit *bus, const struct bus_queue *queue)
{
	struct rabbit_item **found = mem_new((bus->items.len + 1) * sizeof(*found));
	size_t n = 0;

	map_each (&bus->items, entry) {
		struct rabbit_item *item = entry->value;

		if (!queue || item->queue == queue)
			found[n++] = item;
	}
	for (size_t i = 0; i < n; i++)
		bus_rabbit_item_free(found[i]);
	free(found);
}

static void
rabbit_drop(struct bus *bus, const char *org, const char *function)
{
	struct rabbit *rabbit = list_owner(bus, struct rabbit, bus);
	struct amqp_queue again = {.is_quorum = true, .is_durable = true};
	struct bus_queue *queue;

	thread_on_loop();
	queue = bus_rabbit_queue(rabbit, org, function);
	again.name = queue->name;
	must(!queue->source);
	rabbit_free_items(rabbit, queue);
	queue->n_broker = 0;
	amqp_delete_queue(rabbit->amqp, queue->name);
	/* Whoever puts there again finds it; an empty queue costs nothing. */
	amqp_declare_queue(rabbit->amqp, &again);
	amqp_bind(rabbit->amqp, queue->name, rabbit->exchange, queue->key);
}

static void
rabbit_on_timer_closed(struct loop_timer *timer)
{
	bus_rabbit_release(list_owner(timer, struct rabbit, timer));
}

static void
rabbit_on_again_closed(struct loop_timer *timer)
{
	bus_rabbit_release(list_owner(timer, struct rabbit, again_timer));
}

static void
rabbit_on_lost_closed(struct loop_timer *timer)
{
	bus_rabbit_release(list_owner(timer, struct rabbit, lost_timer));
}

static void
rabbit_close(struct bus *bus)
{
	struct rabbit *rabbit = list_owner(bus, struct rabbit, bus);

	thread_on_loop();
	rabbit->is_closing = true;
	map_each (&rabbit->queues, entry) {
		struct bus_queue *queue = entry->value;

		if (queue->source)
			amqp_cancel(take_ptr(&queue->source));
		list_remove(&queue->link);
	}
	rabbit_free_items(rabbit, NULL);
	list_remove(&rabbit->flush.link);
	bus_rabbit_ask_again(rabbit);
	rabbit->n_asked += 3;
	loop_timer_close(&rabbit->timer, rabbit_on_timer_closed);
	loop_timer_close(&rabbit->again_timer, rabbit_on_again_closed);
	loop_timer_close(&rabbit->lost_timer, rabbit_on_lost_closed);
}

static int
rabbit_open(const struct bus_config *config, struct bus **ret, struct err *err)
{
	struct rabbit *rabbit;

	thread_on_loop();
	if (!config->amqp)
		return err_field(err, ERR_INVALID, "amqp_url", "bus = rabbitmq needs amqp_url");
	rabbit = mem_new(sizeof(*rabbit));
	rabbit->bus.ops = &bus_rabbitmq;
	rabbit->loop = config->loop;
	rabbit->store = config->store;
	rabbit->amqp = config->amqp;
	snprintf(rabbit->exchange, sizeof(rabbit->exchange), "%s", config->exchange);
	list_init(&rabbit->to_pump);
	list_init(&rabbit->again);
	list_init(&rabbit->flush.link);
	rabbit->flush.run = rabbit_on_flush;
	bus_rabbit_declare(rabbit);
	bus_rabbit_load(rabbit);
	bus_rabbit_lost_start(rabbit);
	*ret = &rabbit->bus;
	return 0;
}

const struct bus_ops bus_rabbitmq = {
	.name = "rabbitmq",
	.open = rabbit_open,
	.close = rabbit_close,
	.put = bus_rabbit_put,
	.attach = rabbit_attach,
	.set_credit = rabbit_set_credit,
	.detach = rabbit_detach,
	.settle = rabbit_settle,
	.retry = rabbit_retry,
	.withdraw = rabbit_withdraw,
	.drop = rabbit_drop,
	.stats = rabbit_stats,
	.is_up = rabbit_is_up,
};
