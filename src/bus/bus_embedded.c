/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/bus_embedded.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define BUS_TURN_MAX 256 /* messages that a queue hands over before others have their turn */
#define BUS_LOAD_LOW 32  /* fewer in memory: the next are read from the store */
#define BUS_IN_HAND                                                                                \
	(8 << 20)         /* bytes that a queue may have in hand however much the others have      \
			   */
#define BUS_TICK_MS  1000 /* the clock may be set while everybody sleeps: look again */
#define BUS_AGAIN_MS 1000

static struct bus_embedded *
bus_embedded_of(const struct bus *bus)
{
	return (struct bus_embedded *)bus;
}

static struct bus_held *
bus_embedded_held(struct bus_message *message)
{
	return (struct bus_held *)message;
}

/* ---- queues ---- */

static struct bus_queue *
bus_embedded_find(const struct bus_embedded *bus, const char *org, const char *function)
{
	char name[BUS_QUEUE_SIZE];

	snprintf(name, sizeof(name), "%s/%s", org, function);
	return map_find(&bus->queues, str_of(name));
}

struct bus_queue *
bus_embedded_queue(struct bus_embedded *bus, const char *org, const char *function)
{
	struct bus_queue *queue = bus_embedded_find(bus, org, function);

	if (queue)
		return queue;
	queue = mem_new(sizeof(*queue));
	queue->bus = bus;
	list_init(&queue->ready);
	list_init(&queue->in_hand);
	snprintf(queue->org, sizeof(queue->org), "%s", org);
	snprintf(queue->function, sizeof(queue->function), "%s", function);
	snprintf(queue->name, sizeof(queue->name), "%s/%s", org, function);
	queue->wake.id = queue->name;
	bus_embedded_set_horizon(queue, NULL);
	map_put(&bus->queues, str_of(queue->name), queue);
	return queue;
}

static void
bus_embedded_wake(struct bus_queue *queue)
{
	if (!queue->is_asleep)
		return;
	bus_line_remove(&queue->bus->sleepers, &queue->wake);
	queue->is_asleep = false;
}

void
bus_embedded_leave(struct bus_queue *queue)
{
	if (queue->is_attached || queue->is_pumping || queue->waiting.n || queue->n_written ||
		queue->is_loading)
		return;
	list_remove(&queue->ready);
	map_remove(&queue->bus->queues, str_of(queue->name));
	free(queue);
}

void
bus_embedded_ready(struct bus_queue *queue)
{
	if (queue->is_full)
		list_remove(&queue->ready);
	queue->is_full = false;
	if (list_is_empty(&queue->ready))
		list_push_back(&queue->bus->ready, &queue->ready);
	loop_flush_soon(queue->bus->loop, &queue->bus->flush);
}

/* ---- time ---- */

static void bus_embedded_tick(struct loop_timer *timer);

static void
bus_embedded_arm(struct bus_embedded *bus)
{
	struct bus_place *first = bus_line_first(&bus->sleepers);
	uint64_t now_ms = clock_unix_ms(), after_ms = BUS_TICK_MS;

	if (!first && list_is_empty(&bus->again))
		return;
	if (first && first->when_ms < now_ms + BUS_TICK_MS)
		after_ms = first->when_ms > now_ms ? first->when_ms - now_ms : 1;
	thread_on_loop();
	loop_timer_start(bus->loop, &bus->timer, after_ms, bus_embedded_tick);
}

static void
bus_embedded_ask_again(struct bus_embedded *bus)
{
	struct store_message *message;
	struct list taken;

	if (clock_mono_us() < bus->again_us)
		return;
	list_init(&taken);
	while ((message = list_first(&bus->again, struct store_message, link))) {
		list_remove(&message->link);
		list_push_back(&taken, &message->link);
	}
	while ((message = list_first(&taken, struct store_message, link))) {
		list_remove(&message->link);
		bus_embedded_ask(bus, message);
	}
}

static void
bus_embedded_tick(struct loop_timer *timer)
{
	struct bus_embedded *bus = list_owner(timer, struct bus_embedded, timer);
	uint64_t now_ms = clock_unix_ms();
	struct bus_place *first;

	thread_on_loop();
	while ((first = bus_line_first(&bus->sleepers)) && first->when_ms <= now_ms) {
		struct bus_queue *queue = list_owner(first, struct bus_queue, wake);

		bus_embedded_wake(queue);
		bus_embedded_ready(queue);
	}
	bus_embedded_ask_again(bus);
	bus_embedded_arm(bus);
}

/* What was due when it was accepted is due, however the clock was set since. */
static bool
bus_embedded_is_due(const struct bus_held *held, uint64_t now_ms)
{
	const struct row_delivery *row = &held->message.row;

	return row->due_ms <= now_ms || row->due_ms <= row->created_ms;
}

static void
bus_embedded_sleep(struct bus_queue *queue, uint64_t until_ms)
{
	bus_embedded_wake(queue);
	queue->wake.when_ms = until_ms;
	bus_line_add(&queue->bus->sleepers, &queue->wake);
	queue->is_asleep = true;
	bus_embedded_arm(queue->bus);
}

/* ---- in hand ---- */

/* What is in hand is in memory, payload and all, and credit counts messages: so many large ones
 * are not handed over at once. One always is. */
static bool
bus_embedded_has_room(const struct bus_queue *queue)
{
	const struct bus_embedded *bus = queue->bus;

	return !queue->n_in_hand || queue->in_hand_bytes < BUS_IN_HAND ||
	       bus->in_hand_bytes < bus->memory_bytes;
}

static void
bus_embedded_take_in_hand(struct bus_held *held)
{
	struct bus_queue *queue = held->queue;

	held->state = HELD_IN_HAND;
	list_push_back(&queue->in_hand, &held->link);
	queue->n_in_hand++;
	queue->in_hand_bytes += held->size;
	queue->bus->in_hand_bytes += held->size;
}

/* Whoever waited for the memory looks again. */
static void
bus_embedded_leave_hand(struct bus_held *held) ON_LOOP
{
	struct bus_queue *queue = held->queue, *full;
	struct bus_embedded *bus = queue->bus;

	list_remove(&held->link);
	queue->n_in_hand--;
	queue->in_hand_bytes -= held->size;
	bus->in_hand_bytes -= held->size;
	while ((full = list_first(&bus->full, struct bus_queue, ready)))
		bus_embedded_ready(full);
}

static void
bus_embedded_wait_for_room(struct bus_queue *queue)
{
	if (!list_is_empty(&queue->ready))
		return;
	queue->is_full = true;
	list_push_back(&queue->bus->full, &queue->ready);
}

/* ---- handing over ---- */

static bool
bus_embedded_hand_over(struct bus_queue *queue, uint64_t now_ms)
{
	struct bus_held *held = bus_embedded_held_at(bus_line_first(&queue->line));

	if (!held || !bus_embedded_is_due(held, now_ms))
		return false;
	bus_embedded_take_out(held);
	bus_embedded_waits_no_more(queue, &held->message.row);
	bus_embedded_take_in_hand(held);
	queue->consumer.on_message(queue, &held->message, queue->consumer.arg);
	return true;
}

/* With room left: the next come from the store, or at their time. */
static void
bus_embedded_await(struct bus_queue *queue, uint64_t now_ms)
{
	struct bus_held *first = bus_embedded_held_at(bus_line_first(&queue->line));
	bool is_first_due = first && bus_embedded_is_due(first, now_ms);

	thread_on_loop();
	if (!queue->is_whole && !queue->is_loading &&
		(!first || (is_first_due && queue->line.n < BUS_LOAD_LOW)))
		bus_embedded_load(queue);
	if (first && !is_first_due)
		bus_embedded_sleep(queue, first->message.row.due_ms);
}

static void
bus_embedded_pump(struct bus_queue *queue)
{
	uint64_t now_ms = clock_unix_ms();
	unsigned n = 0;

	thread_on_loop();
	bus_embedded_wake(queue);
	queue->is_pumping = true;
	while (queue->is_attached && queue->n_in_hand < queue->credit && n < BUS_TURN_MAX &&
		bus_embedded_has_room(queue) && bus_embedded_hand_over(queue, now_ms))
		n++;
	queue->is_pumping = false;
	if (!queue->is_attached) {
		bus_embedded_leave(queue);
		return;
	}
	if (queue->n_in_hand < queue->credit)
		bus_embedded_await(queue, now_ms);
	if (n == BUS_TURN_MAX)
		bus_embedded_ready(queue);
	else if (!bus_embedded_has_room(queue))
		bus_embedded_wait_for_room(queue);
}

/* At the end of a turn of the loop: what was settled in it has made room, and what is settled
 * while it is handed over leaves with the rest. */
static void
bus_embedded_flush(struct loop_flush *flush)
{
	struct bus_embedded *bus = list_owner(flush, struct bus_embedded, flush);
	struct bus_queue *queue;
	struct list taken;

	thread_on_loop();
	list_init(&taken);
	while ((queue = list_first(&bus->ready, struct bus_queue, ready))) {
		list_remove(&queue->ready);
		list_push_back(&taken, &queue->ready);
	}
	while ((queue = list_first(&taken, struct bus_queue, ready))) {
		list_remove(&queue->ready);
		bus_embedded_pump(queue);
	}
	bus_embedded_send(bus);
}

/* ---- attaching ---- */

static struct bus_queue *
bus_embedded_attach(struct bus *at, const char *org, const char *function, unsigned credit,
	const struct bus_consumer *consumer)
{
	struct bus_queue *queue = bus_embedded_queue(bus_embedded_of(at), org, function);

	thread_on_loop();
	must(!queue->is_attached);
	queue->is_attached = true;
	queue->consumer = *consumer;
	queue->credit = credit;
	queue->is_whole = !queue->stored.n && !queue->is_loading;
	bus_embedded_ready(queue);
	return queue;
}

static void
bus_embedded_set_credit(struct bus_queue *queue, unsigned credit)
{
	thread_on_loop();
	queue->credit = credit;
	bus_embedded_ready(queue);
}

static void
bus_embedded_put_back(struct bus_queue *queue)
{
	struct bus_held *held;

	thread_on_loop();
	list_each (&queue->in_hand, held, link) {
		bus_embedded_leave_hand(held);
		bus_embedded_waits(queue, &held->message.row);
		bus_embedded_stores(queue, &held->message.row);
		bus_embedded_held_free(held);
	}
	while ((held = bus_embedded_held_at(bus_line_first(&queue->line)))) {
		bus_embedded_take_out(held);
		bus_embedded_stores(queue, &held->message.row);
		bus_embedded_held_free(held);
	}
}

static void
bus_embedded_detach(struct bus_queue *queue)
{
	must(queue->is_attached);
	queue->is_attached = false;
	bus_embedded_put_back(queue);
	bus_embedded_set_horizon(queue, NULL);
	bus_embedded_wake(queue);
	bus_embedded_leave(queue);
}

/* ---- how it went ---- */

static void
bus_embedded_give_back(
	struct bus_queue *queue, struct bus_held *held, const struct row_delivery *row)
{
	must(held->queue == queue && held->state == HELD_IN_HAND);
	bus_embedded_note(held, row);
	thread_on_loop();
	bus_embedded_leave_hand(held);
	bus_embedded_ready(queue);
}

static void
bus_embedded_settle(struct bus_queue *queue, struct bus_message *message,
	const struct row_delivery *row, void (*done)(void *arg, int code), void *arg)
{
	struct bus_held *held = bus_embedded_held(message);

	must(row->state != ROW_DELIVERY_QUEUED);
	bus_embedded_give_back(queue, held, row);
	held->done = done;
	held->arg = arg;
	bus_embedded_write(held);
}

static void
bus_embedded_retry(
	struct bus_queue *queue, struct bus_message *message, const struct row_delivery *row)
{
	struct bus_held *held = bus_embedded_held(message);

	must(row->state == ROW_DELIVERY_QUEUED);
	bus_embedded_give_back(queue, held, row);
	bus_embedded_waits(queue, &held->message.row);
	bus_embedded_write(held);
}

static int
bus_embedded_withdraw(struct bus *at, const char *org, const char *function, const char *id)
{
	struct bus_embedded *bus = bus_embedded_of(at);
	struct bus_queue *queue = bus_embedded_find(bus, org, function);
	struct bus_held *held = map_find(&bus->held, str_of(id));

	thread_on_loop();
	if (!queue ||
		(held ? held->queue != queue || held->state != HELD_WAITING : !queue->stored.n))
		return ERR_NOT_FOUND;
	if (map_find(&bus->leaving, str_of(id)))
		return ERR_NOT_FOUND;
	bus_embedded_cancel(queue, id, !held);
	if (held) {
		bus_embedded_take_out(held);
		bus_embedded_waits_no_more(queue, &held->message.row);
		bus_embedded_held_free(held);
	}
	return 0;
}

static void
bus_embedded_drop(struct bus *at, const char *org, const char *function)
{
	struct bus_queue *queue = bus_embedded_find(bus_embedded_of(at), org, function);

	if (!queue)
		return;
	must(!queue->is_attached);
	bus_embedded_stores_no_more(queue, queue->stored.n, queue->stored.n_bytes);
	bus_embedded_leave(queue);
}

/* ---- what is there ---- */

static void
bus_embedded_add_stats(const struct bus_queue *queue, struct bus_stats *ret)
{
	struct bus_place *first = bus_line_first(&queue->ages);
	uint64_t oldest_ms = first ? first->when_ms : UINT64_MAX;

	if (queue->stored.n && queue->stored_oldest_ms < oldest_ms)
		oldest_ms = queue->stored_oldest_ms;
	if (oldest_ms != UINT64_MAX && (!ret->oldest_ms || oldest_ms < ret->oldest_ms))
		ret->oldest_ms = oldest_ms;
	ret->n_waiting += queue->waiting.n;
	ret->n_bytes += queue->waiting.n_bytes;
	ret->n_in_hand += queue->n_in_hand;
}

static void
bus_embedded_stats(
	const struct bus *at, const char *org, const char *function, struct bus_stats *ret)
{
	const struct bus_embedded *bus = bus_embedded_of(at);
	const struct bus_queue *queue = bus_embedded_find(bus, org, function);

	*ret = (struct bus_stats){.is_known = true};
	if (queue)
		bus_embedded_add_stats(queue, ret);
	if (org[0] || function[0])
		return;
	map_each (&bus->queues, entry)
		bus_embedded_add_stats(entry->value, ret);
}

static bool
bus_embedded_is_up(const struct bus *at)
{
	return !bus_embedded_of(at)->is_refused;
}

/* ---- the store's answers ---- */

void
bus_embedded_ask(struct bus_embedded *bus, struct store_message *message)
{
	bus->n_asked++;
	store_ask(bus->store, message);
}

bool
bus_embedded_answered(struct bus_embedded *bus, struct store_message *message, bool is_worth_it)
{
	bool is_refused = message->code == ERR_UNAVAILABLE || message->code == ERR_SYSTEM ||
			  message->code == ERR_INTERNAL;

	bus->n_asked--;
	bus->is_refused = is_refused;
	if (!is_refused || !is_worth_it || bus->is_closing)
		return true;
	if (list_is_empty(&bus->again))
		bus->again_us = clock_mono_us() + BUS_AGAIN_MS * 1000;
	list_push_back(&bus->again, &message->link);
	bus_embedded_arm(bus);
	return false;
}

/* ---- open and close ---- */

static bool
bus_embedded_found_queue(const struct row_delivery_count *count, void *arg)
{
	struct bus_queue *queue = bus_embedded_queue(arg, count->org, count->function);

	queue->stored = queue->waiting = (struct bus_count){count->n, count->n_bytes};
	queue->stored_oldest_ms = count->oldest_ms;
	return true;
}

static int
bus_embedded_count(struct store_db *db, void *arg, struct err *err)
{
	thread_on_store();
	return row_delivery_count(db, bus_embedded_found_queue, arg, err);
}

static void
bus_embedded_free(struct bus_embedded *bus)
{
	map_each (&bus->queues, entry)
		free(entry->value);
	map_done(&bus->queues);
	map_done(&bus->held);
	map_done(&bus->leaving);
	bus_line_done(&bus->sleepers);
	free(bus);
}

void
bus_embedded_end(struct bus_embedded *bus)
{
	if (bus->is_closing && bus->is_timer_closed && !bus->n_asked)
		bus_embedded_free(bus);
}

static int
bus_embedded_open(const struct bus_config *config, struct bus **ret, struct err *err)
{
	struct bus_embedded *bus = mem_new(sizeof(*bus));
	int rc;

	bus->bus.ops = &bus_embedded;
	bus->loop = config->loop;
	bus->store = config->store;
	bus->memory_bytes = config->memory_bytes;
	bus->flush.run = bus_embedded_flush;
	list_init(&bus->flush.link);
	list_init(&bus->ready);
	list_init(&bus->full);
	list_init(&bus->puts);
	list_init(&bus->writes);
	list_init(&bus->again);
	rc = store_ask_and_wait(bus->store, bus_embedded_count, bus, err);
	if (rc < 0) {
		bus_embedded_free(bus);
		return err_wrap(err, rc, "counting what is queued");
	}
	*ret = &bus->bus;
	return 0;
}

static void
bus_embedded_timer_closed(struct loop_timer *timer)
{
	struct bus_embedded *bus = list_owner(timer, struct bus_embedded, timer);

	bus->is_timer_closed = true;
	bus_embedded_end(bus);
}

/* What the store has been asked is still told when it answers. */
static void
bus_embedded_close(struct bus *at)
{
	struct bus_embedded *bus = bus_embedded_of(at);

	thread_on_loop();
	map_each (&bus->queues, entry) {
		struct bus_queue *queue = entry->value;

		queue->is_attached = false;
		bus_embedded_put_back(queue);
		bus_embedded_set_horizon(queue, NULL);
		bus_embedded_wake(queue);
	}
	bus_embedded_send(bus);
	bus->is_closing = true;
	bus->again_us = 0;
	bus_embedded_ask_again(bus);
	list_remove(&bus->flush.link);
	loop_timer_close(&bus->timer, bus_embedded_timer_closed);
}

const struct bus_ops bus_embedded = {
	.name = "embedded",
	.open = bus_embedded_open,
	.close = bus_embedded_close,
	.put = bus_embedded_put,
	.attach = bus_embedded_attach,
	.set_credit = bus_embedded_set_credit,
	.detach = bus_embedded_detach,
	.settle = bus_embedded_settle,
	.retry = bus_embedded_retry,
	.withdraw = bus_embedded_withdraw,
	.drop = bus_embedded_drop,
	.stats = bus_embedded_stats,
	.is_up = bus_embedded_is_up,
};
