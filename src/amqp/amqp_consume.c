/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp_consume - consumers and the tags of what they were given, and questions about queues.
 *
 * A tag that is told has the consumer's life in its upper bits: one of an earlier connection, or of
 * an earlier consumer, is recognised, and never acknowledges what has the same number now.
 */
#include "amqp/amqp_inside.h"
#include "base/own.h"

enum { CONSUME_AGAIN_MS = 1000, CONSUME_LIFE_BITS = 48 };

static struct lane *
consume_lane(struct amqp *amqp)
{
	return &amqp->lanes[AMQP_LANE_CONSUME];
}

static void
consume_send(struct amqp_consumer *consumer) ON_LOOP
{
	const struct peer_frame head = {.kind = AMQP_FRAME_CONSUME,
		.consumer = consumer->number,
		.count = consumer->prefetch};

	consumer->is_lost = false;
	amqp_lane_tell(consume_lane(consumer->amqp), &head, str_of(consumer->queue));
}

/* ---- a connection ---- */

void
amqp_consume_begin(struct amqp *amqp)
{
	for (size_t i = 0; i < amqp->n_consumers; i++) {
		if (!amqp->consumers[i])
			continue;
		amqp->consumers[i]->life = ++amqp->n_lives;
		consume_send(amqp->consumers[i]);
	}
}

static struct amqp_consumer *
consume_find(struct amqp *amqp, uint32_t number)
{
	size_t slot = number & 0xffff;

	if (slot >= amqp->n_consumers || !amqp->consumers[slot] ||
		amqp->consumers[slot]->number != number)
		return NULL;
	return amqp->consumers[slot];
}

void
amqp_consume_message(struct amqp *amqp, const struct peer_frame *head, struct amqp_message *message)
{
	struct amqp_consumer *consumer = consume_find(amqp, head->consumer);

	if (!consumer || head->number >> CONSUME_LIFE_BITS)
		return;
	message->tag = (uint64_t)consumer->life << CONSUME_LIFE_BITS | head->number;
	consumer->on_message(consumer, message, consumer->arg);
}

/* Its queue may be gone: it is declared again first. */
static void
consume_on_again(struct loop_timer *timer)
{
	struct amqp *amqp = list_owner(timer, struct amqp, again);

	thread_on_loop();
	if (consume_lane(amqp)->state != LANE_READY)
		return;
	for (size_t i = 0; i < amqp->n_consumers; i++) {
		struct amqp_consumer *consumer = amqp->consumers[i];

		if (!consumer || !consumer->is_lost)
			continue;
		amqp_topology_declare(amqp, consumer->queue);
		consume_send(consumer);
	}
}

void
amqp_consume_lost(struct amqp *amqp, uint32_t number)
{
	struct amqp_consumer *consumer = consume_find(amqp, number);

	if (!consumer)
		return;
	consumer->life = ++amqp->n_lives;
	consumer->is_lost = true;
	loop_timer_start(amqp->loop, &amqp->again, CONSUME_AGAIN_MS, consume_on_again);
}

/* ---- consumers ---- */

/* AMQP_CONSUMERS_MAX where none is free. */
static size_t
consume_slot(struct amqp *amqp)
{
	size_t slot = amqp->first_free;

	while (slot < amqp->n_consumers && amqp->consumers[slot])
		slot++;
	amqp->first_free = slot;
	if (slot < AMQP_CONSUMERS_MAX && slot == amqp->n_consumers) {
		amqp->n_consumers += 64;
		amqp->consumers =
			mem_grow(amqp->consumers, amqp->n_consumers * sizeof(*amqp->consumers));
		memset(amqp->consumers + slot, 0, 64 * sizeof(*amqp->consumers));
	}
	return slot;
}

static void
consume_refuse(const struct amqp *amqp, const char *queue)
{
	struct err err = {0};

	err_set(&err, ERR_RATE, "%d queues are taken from already", AMQP_CONSUMERS_MAX);
	if (amqp->on_refused)
		amqp->on_refused(queue, &err, amqp->on_refused_arg);
}

struct amqp_consumer *
amqp_consume(struct amqp *amqp, const char *queue, unsigned prefetch, amqp_message_fn *on_message,
	void *arg)
{
	size_t slot = consume_slot(amqp);
	struct amqp_consumer *consumer;

	if (slot == AMQP_CONSUMERS_MAX) {
		consume_refuse(amqp, queue);
		return NULL;
	}
	consumer = mem_new(sizeof(*consumer));
	consumer->amqp = amqp;
	consumer->life = ++amqp->n_lives;
	consumer->number = (uint32_t)consumer->life << 16 | (uint32_t)slot;
	consumer->prefetch = prefetch;
	consumer->queue = str_dup(str_of(queue));
	consumer->on_message = on_message;
	consumer->arg = arg;
	amqp->consumers[slot] = consumer;
	if (consume_lane(amqp)->state == LANE_READY)
		consume_send(consumer);
	return consumer;
}

void
amqp_set_prefetch(struct amqp_consumer *consumer, unsigned prefetch)
{
	if (consumer->prefetch == prefetch)
		return;
	consumer->prefetch = prefetch;
	if (consume_lane(consumer->amqp)->state == LANE_READY && !consumer->is_lost)
		consume_send(consumer);
}

static void
consume_free(struct amqp_consumer *consumer)
{
	free(consumer->queue);
	free(consumer);
}

void
amqp_cancel(struct amqp_consumer *consumer)
{
	const struct peer_frame head = {.kind = AMQP_FRAME_CANCEL, .consumer = consumer->number};
	struct amqp *amqp = consumer->amqp;
	size_t slot = consumer->number & 0xffff;

	amqp->consumers[slot] = NULL;
	if (slot < amqp->first_free)
		amqp->first_free = slot;
	if (consume_lane(amqp)->state == LANE_READY)
		amqp_lane_tell(consume_lane(amqp), &head, STR(""));
	consume_free(consumer);
}

static void
consume_judge(struct amqp_consumer *consumer, uint64_t tag, struct peer_frame *head) ON_LOOP
{
	head->consumer = consumer->number;
	head->number = tag & (((uint64_t)1 << CONSUME_LIFE_BITS) - 1);
	if (tag >> CONSUME_LIFE_BITS == consumer->life &&
		consume_lane(consumer->amqp)->state == LANE_READY)
		amqp_lane_tell(consume_lane(consumer->amqp), head, STR(""));
}

void
amqp_ack(struct amqp_consumer *consumer, uint64_t tag)
{
	struct peer_frame head = {.kind = AMQP_FRAME_ACK};

	consume_judge(consumer, tag, &head);
}

void
amqp_reject(struct amqp_consumer *consumer, uint64_t tag, bool is_requeued)
{
	struct peer_frame head = {
		.kind = AMQP_FRAME_REJECT, .flags = is_requeued ? AMQP_FRAME_REQUEUE : 0};

	consume_judge(consumer, tag, &head);
}

/* ---- questions ---- */

void
amqp_count(struct amqp *amqp, const char *queue,
	void (*done)(void *arg, int code, uint64_t n_messages, uint64_t n_consumers), void *arg)
{
	struct peer_frame head = {.kind = AMQP_FRAME_COUNT};
	struct amqp_question *question;

	if (consume_lane(amqp)->state != LANE_READY) {
		done(arg, ERR_UNAVAILABLE, 0, 0);
		return;
	}
	question = mem_new(sizeof(*question));
	*question = (struct amqp_question){.ticket = ++amqp->n_tickets, .done = done, .arg = arg};
	list_push_back(&amqp->questions, &question->link);
	head.number = question->ticket;
	amqp_lane_tell(consume_lane(amqp), &head, str_of(queue));
}

static void
consume_answer(struct amqp_question *question, int code, uint64_t n, uint64_t n_consumers)
{
	list_remove(&question->link);
	question->done(question->arg, code, n, n_consumers);
	free(question);
}

void
amqp_consume_counted(struct amqp *amqp, const struct peer_frame *head, struct str texts)
{
	struct amqp_question *question;
	uint64_t n = 0;

	if (texts.len == sizeof(n))
		memcpy(&n, texts.at, sizeof(n));
	list_each (&amqp->questions, question, link) {
		if (question->ticket != head->number)
			continue;
		consume_answer(question, head->code, n, head->count);
		return;
	}
}

void
amqp_consume_fail(struct amqp *amqp)
{
	while (!list_is_empty(&amqp->questions))
		consume_answer(list_first(&amqp->questions, struct amqp_question, link),
			ERR_UNAVAILABLE, 0, 0);
}

void
amqp_consume_free(struct amqp *amqp)
{
	for (size_t i = 0; i < amqp->n_consumers; i++)
		if (amqp->consumers[i])
			consume_free(amqp->consumers[i]);
	free(amqp->consumers);
}
