/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_hand - what the bus has handed over: whose turn it is, and what it waits for.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "domain/delivery_inside.h"
#include "domain/org.h"

const struct delivery_policy *
delivery_policy_of(const struct delivery *delivery)
{
	const struct delivery_queue *queue = delivery->queue;
	const struct delivery_host *host = queue->host;
	const struct row_delivery *row = &delivery->row;
	const struct delivery_policy *policy = NULL;

	if (host->config.policy_of && row->source[0])
		policy = host->config.policy_of(
			host->domain, queue->org->name, row->origin, row->source);
	return policy ? policy : &queue->policy;
}

/* ---- order keys ---- */

/* Those by route are others than those of triggers and token holders: by route anybody calls, and
 * must not hold up what others put. */
static struct delivery_key *
key_of(struct delivery_queue *queue, const struct row_delivery *row)
{
	OWN(mem) char *name = mem_printf("%u/%s", (unsigned)row->frame, row->order_key);
	struct delivery_key *key = map_find(&queue->keys, str_of(name));

	if (key)
		return key;
	key = mem_new(sizeof(*key));
	key->name = take_ptr(&name);
	list_init(&key->members);
	map_put(&queue->keys, str_of(key->name), key);
	return key;
}

static void
key_join(struct delivery *delivery)
{
	struct delivery_queue *queue = delivery->queue;
	const struct row_delivery *row = &delivery->message->row;
	struct delivery *before = NULL, *member;

	if (!row->order_key[0])
		return;
	delivery->key = key_of(queue, row);
	/* Ids stand in the order of acceptance; who has begun is not overtaken. */
	list_each (&delivery->key->members, member, key_link)
		if (member->state != DELIVERY_BEHIND || strcmp(member->id, delivery->id) < 0)
			before = member;
	if (before)
		list_push_front(&before->key_link, &delivery->key_link);
	else
		list_push_front(&delivery->key->members, &delivery->key_link);
}

static bool
key_is_its_turn(const struct delivery *delivery)
{
	return !delivery->key ||
	       list_first(&delivery->key->members, struct delivery, key_link) == delivery;
}

static void
key_leave(struct delivery *delivery) ON_LOOP
{
	struct delivery_key *key = take_ptr(&delivery->key);
	struct delivery *next;

	if (!key)
		return;
	list_remove(&delivery->key_link);
	next = list_first(&key->members, struct delivery, key_link);
	if (!next) {
		map_remove(&delivery->queue->keys, str_of(key->name));
		free(key->name);
		free(key);
	} else if (next->state == DELIVERY_BEHIND) {
		delivery->queue->n_held--;
		delivery_make_ready(next, true);
	}
}

/* ---- one in hand ---- */

void
delivery_make_ready(struct delivery *delivery, bool is_first)
{
	struct list *ready = &delivery->queue->ready;

	delivery->state = DELIVERY_READY;
	list_remove(&delivery->link);
	if (is_first)
		list_push_front(ready, &delivery->link);
	else
		list_push_back(ready, &delivery->link);
}

void
delivery_park(struct delivery *delivery, uint64_t after_ms)
{
	if (delivery->state != DELIVERY_ENDING) {
		delivery->state = DELIVERY_PARKED;
		delivery->queue->n_held++;
	}
	delivery->again_us = clock_mono_us() + after_ms * 1000;
	list_remove(&delivery->link);
	list_push_back(&delivery->queue->held, &delivery->link);
}

/* Its turn comes now, or behind others of its key. */
static void
take_turn(struct delivery *delivery) ON_LOOP
{
	if (key_is_its_turn(delivery)) {
		delivery_make_ready(delivery, false);
		return;
	}
	delivery->state = DELIVERY_BEHIND;
	delivery->queue->n_held++;
}

static void
outcome_done(struct delivery_outcome *outcome)
{
	buf_done(&outcome->log);
}

void
delivery_forget(struct delivery *delivery)
{
	struct delivery_queue *queue = delivery->queue;
	struct delivery_cancel *cancel;

	if (delivery->state == DELIVERY_PARKED || delivery->state == DELIVERY_BEHIND)
		queue->n_held--;
	queue->n_in_hand--;
	list_remove(&delivery->link);
	map_remove(&queue->host->in_hand, str_of(delivery->id));
	key_leave(delivery);
	while ((cancel = list_first(&delivery->cancels, struct delivery_cancel, link))) {
		list_remove(&cancel->link);
		free(cancel);
	}
	outcome_done(&delivery->last);
	json_decref(delivery->headers);
	buf_done(&delivery->body);
	free(delivery->row_headers);
	must(!delivery->sending);
	free(delivery);
}

void
delivery_queue_let_go(struct delivery_queue *queue)
{
	struct map *in_hand = &queue->host->in_hand;
	struct map_entry *entry = map_next(in_hand, NULL);

	while (entry) {
		struct delivery *delivery = entry->value;

		if (delivery->queue != queue || !delivery->message) {
			entry = map_next(in_hand, entry);
			continue;
		}
		delivery->message = NULL;
		if (delivery->state != DELIVERY_RUNNING)
			delivery_forget(delivery);
		else if (delivery->sending)
			delivery_post_cancel(delivery);
		entry = map_next(in_hand, NULL);
	}
	if (queue->bus)
		queue->host->bus->ops->detach(take_ptr(&queue->bus));
}

/* ---- handed over ---- */

/* How often it was tried by a daemon that died over it. */
struct delivery_asking {
	struct store_message message;
	struct delivery_host *host; /* borrowed */
	char id[ID_ULID_SIZE];
	unsigned attempt;
};

static bool
asking_each(const struct row_attempt *row, void *arg)
{
	struct delivery_asking *asking = arg;

	asking->attempt = row->number > asking->attempt ? row->number : asking->attempt;
	return true;
}

static int
asking_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct delivery_asking *asking = list_owner(message, struct delivery_asking, message);

	thread_on_store();
	return row_attempt_list(db, asking->id, asking_each, asking, err);
}

static void
asking_done(struct store_message *message)
{
	struct delivery_asking *asking = list_owner(message, struct delivery_asking, message);
	struct delivery_host *host = asking->host;
	struct delivery *delivery =
		host->is_over ? NULL : map_find(&host->in_hand, str_of(asking->id));

	thread_on_loop();
	if (delivery && delivery->state == DELIVERY_ASKING) {
		if (asking->attempt > delivery->attempt)
			delivery->attempt = asking->attempt;
		delivery->is_id_used = true;
		if (delivery->is_cancelled) {
			delivery_end(delivery, ROW_DELIVERY_CANCELLED);
		} else {
			take_turn(delivery);
			delivery_queue_go(delivery->queue);
		}
	}
	free(asking);
}

static void
ask_attempts(struct delivery *delivery) ON_LOOP
{
	struct delivery_asking *asking = mem_new(sizeof(*asking));

	delivery->state = DELIVERY_ASKING;
	asking->host = delivery->queue->host;
	memcpy(asking->id, delivery->id, sizeof(asking->id));
	asking->message.work = asking_work;
	asking->message.done = asking_done;
	store_ask(asking->host->domain->store, &asking->message);
}

/* A broker that was away hands over again what is in hand still: it comes back later, when that has
 * ended. */
static bool
is_known(struct delivery_queue *queue, struct bus_queue *bus, struct bus_message *message) ON_LOOP
{
	struct row_delivery row = message->row;

	if (!map_find(&queue->host->in_hand, str_of(row.id)))
		return false;
	row.due_ms = clock_unix_ms() + DELIVERY_PAUSE_MAX_MS;
	queue->host->bus->ops->retry(bus, message, &row);
	return true;
}

void
delivery_on_message(struct bus_queue *bus, struct bus_message *message, void *arg)
{
	struct delivery_queue *queue = arg;
	struct delivery *delivery;

	if (is_known(queue, bus, message))
		return;
	delivery = mem_new(sizeof(*delivery));
	memcpy(delivery->id, message->row.id, sizeof(delivery->id));
	delivery->queue = queue;
	delivery->message = message;
	delivery->row = message->row;
	delivery->attempt = message->row.attempt;
	delivery->is_id_used = delivery->attempt > 0;
	list_init(&delivery->link);
	list_init(&delivery->key_link);
	list_init(&delivery->cancels);
	map_put(&queue->host->in_hand, str_of(delivery->id), delivery);
	queue->n_in_hand++;
	if (message->is_foreign) {
		queue->n_open++;
		queue->org->n_open++;
	}
	key_join(delivery);
	if (message->row.created_ms < queue->host->started_ms) {
		ask_attempts(delivery);
		return;
	}
	take_turn(delivery);
	delivery_queue_go(queue);
}

/* ---- a queue at work ---- */

void
delivery_queue_pause(struct delivery_queue *queue, const struct err *why)
{
	queue->pause_ms = queue->pause_ms ? 2 * queue->pause_ms : DELIVERY_PAUSE_MIN_MS;
	if (queue->pause_ms > DELIVERY_PAUSE_MAX_MS)
		queue->pause_ms = DELIVERY_PAUSE_MAX_MS;
	queue->paused_until_us = clock_mono_us() + queue->pause_ms * 1000ull;
	queue->why = *why;
}

/* It waited for its turn, or for what its function lacks, for too long. */
static void
end_expired(struct delivery *delivery) ON_LOOP
{
	const struct delivery_queue *queue = delivery->queue;
	const struct row_delivery *row = &delivery->row;
	const char *last = delivery->last.message[0] ? delivery->last.message : row->message;
	struct err err = {0};
	int code = ERR_TIMEOUT;

	if (queue->paused_until_us && queue->why.code < 0) {
		code = queue->why.code;
		last = queue->why.text;
	} else if (delivery->attempt) {
		code = err_from_word(row->code);
	}
	err_set(&err, code < 0 ? code : ERR_TIMEOUT,
		"it waited for %" PRIu64 " s, which is as long as it may (max_age_s)%s%s",
		(row->expires_ms - row->created_ms) / 1000, *last ? ": " : "", last);
	delivery_end_with(delivery, ROW_DELIVERY_DEAD, &err);
}

static void
queue_expire(struct delivery_queue *queue) ON_LOOP
{
	uint64_t now_ms = clock_unix_ms();
	struct delivery *delivery;

	list_each (&queue->ready, delivery, link)
		if (delivery->row.expires_ms <= now_ms)
			end_expired(delivery);
}

static void
queue_wake_held(struct delivery_queue *queue, uint64_t now_us) ON_LOOP
{
	struct delivery *delivery;

	list_each (&queue->held, delivery, link) {
		if (delivery->again_us > now_us)
			continue;
		list_remove(&delivery->link);
		if (delivery->state == DELIVERY_ENDING) {
			delivery_tell_destinations(delivery);
			continue;
		}
		queue->n_held--;
		delivery_make_ready(delivery, true);
	}
}

static void
queue_begin(struct delivery_queue *queue) ON_LOOP
{
	struct delivery *delivery;
	struct err why = {0};
	int rc;

	while (queue->n_running < queue->policy.concurrency && !queue->paused_until_us &&
		(delivery = list_first(&queue->ready, struct delivery, link))) {
		rc = delivery_begin(delivery, &why);
		if (rc == 0)
			delivery_queue_pause(queue, &why);
		else if (rc < 0)
			delivery_end_with(delivery, ROW_DELIVERY_DEAD, &why);
		else if (delivery->state == DELIVERY_RUNNING)
			queue->pause_ms = 0;
	}
}

static void
queue_on_timer(struct loop_timer *timer)
{
	thread_on_loop();
	delivery_queue_go(list_owner(timer, struct delivery_queue, timer));
}

static void
queue_arm(struct delivery_queue *queue, uint64_t now_us) ON_LOOP
{
	uint64_t at_us = queue->paused_until_us ? queue->paused_until_us : UINT64_MAX;
	struct delivery *delivery;

	list_each (&queue->held, delivery, link)
		at_us = delivery->again_us < at_us ? delivery->again_us : at_us;
	if (at_us == UINT64_MAX)
		return;
	loop_timer_start(queue->host->domain->loop, &queue->timer,
		at_us > now_us ? (at_us - now_us + 999) / 1000 : 0, queue_on_timer);
}

static void
queue_set_credit(struct delivery_queue *queue) ON_LOOP
{
	unsigned held = queue->n_held < DELIVERY_HELD_MAX ? queue->n_held : DELIVERY_HELD_MAX;
	unsigned credit = 2 * queue->policy.concurrency + held;

	if (!queue->bus || credit == queue->credit)
		return;
	queue->credit = credit;
	queue->host->bus->ops->set_credit(queue->bus, credit);
}

void
delivery_queue_go(struct delivery_queue *queue)
{
	uint64_t now_us = clock_mono_us();

	if (queue->host->is_stopping || queue->is_going)
		return;
	queue->is_going = true;
	queue_wake_held(queue, now_us);
	queue_expire(queue);
	if (queue->paused_until_us && queue->paused_until_us <= now_us)
		queue->paused_until_us = 0;
	queue_begin(queue);
	queue_arm(queue, now_us);
	queue_set_credit(queue);
	queue->is_going = false;
}

void
delivery_queue_resume(struct delivery_queue *queue)
{
	queue->paused_until_us = 0;
	queue->pause_ms = 0;
	delivery_queue_go(queue);
}
