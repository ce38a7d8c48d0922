/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp_publish - what was published and not confirmed, in the order of its numbers.
 */
#include "amqp/amqp_inside.h"
#include "base/own.h"

enum { PUBLISH_SHORT = 255, PUBLISH_HEADERS = 64 * 1024 };

static struct amqp_pending *
publish_at(struct amqp *amqp, uint64_t number)
{
	return &amqp->pending[number & (amqp->cap - 1)];
}

static void
publish_make_room(struct amqp *amqp)
{
	size_t cap = amqp->cap ? 2 * amqp->cap : 1024;
	struct amqp_pending *grown;

	if (amqp->cap && amqp->next - amqp->first < amqp->cap)
		return;
	grown = mem_new(cap * sizeof(*grown));
	for (uint64_t i = amqp->first; i < amqp->next; i++)
		grown[i & (cap - 1)] = *publish_at(amqp, i);
	free(amqp->pending);
	amqp->pending = grown;
	amqp->cap = cap;
}

/* Its owner may publish again from within. */
static void
publish_end(struct amqp *amqp, uint64_t number, const struct err *err) ON_LOOP
{
	struct amqp_pending ended = *publish_at(amqp, number);

	if (!ended.publish)
		return;
	*publish_at(amqp, number) = (struct amqp_pending){NULL};
	amqp->pending_bytes -= ended.len;
	free(ended.frame);
	while (amqp->first < amqp->next && !publish_at(amqp, amqp->first)->publish)
		amqp->first++;
	ended.publish->done(ended.publish, err->code, err);
}

void
amqp_publish_confirmed(struct amqp *amqp, uint64_t number, bool is_all, const struct err *err)
{
	if (number < amqp->first || number >= amqp->next)
		return;
	while (is_all && amqp->first < number)
		publish_end(amqp, amqp->first, err);
	if (number >= amqp->first && number < amqp->next)
		publish_end(amqp, number, err);
}

void
amqp_publish_fail(struct amqp *amqp, const struct err *why)
{
	uint64_t end = amqp->next;

	if (amqp->unsent < end)
		amqp->unsent = end;
	for (uint64_t i = amqp->first; i < end; i++)
		if (i >= amqp->first)
			publish_end(amqp, i, why);
}

void
amqp_publish_go_on(struct amqp *amqp)
{
	struct lane *lane = &amqp->lanes[AMQP_LANE_PUBLISH];

	while (lane->state == LANE_READY && amqp->n_undeclared == 0 && amqp->unsent < amqp->next) {
		uint64_t number = amqp->unsent++;
		struct amqp_pending *pending = publish_at(amqp, number);

		must(pending->publish);
		memcpy(pending->frame + offsetof(struct peer_frame, number), &number,
			sizeof(number));
		amqp_lane_send(lane, pending->frame, pending->len);
	}
}

/* A connection counts from 1 on. */
void
amqp_publish_again(struct amqp *amqp)
{
	uint64_t first = amqp->first, next = amqp->next;
	struct amqp_pending *left = mem_new((next - first + 1) * sizeof(*left));
	size_t n = 0;

	for (uint64_t i = first; i < next; i++) {
		if (publish_at(amqp, i)->publish)
			left[n++] = *publish_at(amqp, i);
		*publish_at(amqp, i) = (struct amqp_pending){NULL};
	}
	amqp->first = amqp->unsent = 1;
	amqp->next = 1 + n;
	for (size_t i = 0; i < n; i++)
		*publish_at(amqp, i + 1) = left[i];
	free(left);
	amqp_publish_go_on(amqp);
}

/* What AMQP has no room for. */
static int
publish_check(const struct amqp_message *message, struct err *err)
{
	const struct str texts[] = {message->exchange, message->routing_key, message->content_type,
		message->correlation_id, message->reply_to, message->message_id, message->type,
		message->expiration};
	size_t bytes = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].len > PUBLISH_SHORT)
			return err_set(err, ERR_INVALID, "a property of a message has %zu bytes",
				texts[i].len);
	if (message->n_headers > AMQP_MESSAGE_HEADERS)
		return err_set(err, ERR_INVALID, "a message has %zu headers", message->n_headers);
	for (size_t i = 0; i < message->n_headers; i++) {
		if (message->headers[i].key.len > PUBLISH_SHORT)
			return err_set(err, ERR_INVALID, "the name of a header is too long");
		bytes += message->headers[i].key.len + message->headers[i].value.len;
	}
	if (bytes > PUBLISH_HEADERS || message->body.len > AMQP_MESSAGE_BYTES)
		return err_set(err, ERR_TOO_LARGE, "a message is too large for the broker");
	return 0;
}

static int
publish_admit(struct amqp *amqp, const struct amqp_publish *publish, struct err *err)
{
	int rc = publish_check(&publish->message, err);

	if (rc < 0)
		return rc;
	if (amqp->is_closing || amqp->lanes[AMQP_LANE_PUBLISH].state != LANE_READY ||
		amqp->blocked[0])
		return err_set(err, ERR_UNAVAILABLE, "the broker: %.200s",
			amqp->is_closing ? "closing" : amqp_trouble(amqp));
	if (amqp->pending_bytes + publish->message.body.len > amqp->unconfirmed_bytes)
		return err_set(err, ERR_RATE, "too much waits for the broker to confirm it");
	return 0;
}

void
amqp_publish(struct amqp *amqp, struct amqp_publish *publish)
{
	struct peer_frame head = {.kind = AMQP_FRAME_PUBLISH,
		.flags = publish->is_mandatory ? AMQP_FRAME_MANDATORY : 0};
	struct amqp_pending pending = {.publish = publish};
	struct buf frame = BUF_INIT;
	struct err err = {0};
	size_t begun;

	if (publish_admit(amqp, publish, &err) < 0) {
		publish->done(publish, err.code, &err);
		return;
	}
	publish_make_room(amqp);
	begun = peer_frame_begin(&frame, &head);
	amqp_frame_add_message(&frame, &publish->message);
	peer_frame_end(&frame, begun);
	pending.frame = buf_take(&frame, &pending.len);
	amqp->pending_bytes += pending.len;
	*publish_at(amqp, amqp->next++) = pending;
	amqp_publish_go_on(amqp);
}
