/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_consume - consumers: which queue each takes from, and what it has and has not judged.
 */
#include <amqp.h>
#include <amqp_framing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "amqp/broker_inside.h"

static amqp_channel_t
broker_channel(uint32_t number)
{
	return (amqp_channel_t)(BROKER_CONSUMES + (number & 0xffff) % BROKER_CHANNELS);
}

static struct broker_consumer *
broker_find(struct broker *broker, uint32_t number)
{
	size_t slot = number & 0xffff;

	if (slot >= broker->n_consumers || !broker->consumers[slot].is_there ||
		broker->consumers[slot].number != number)
		return NULL;
	return &broker->consumers[slot];
}

static struct broker_consumer *
broker_add(struct broker *broker, uint32_t number)
{
	size_t slot = number & 0xffff, n = broker->n_consumers;
	struct broker_consumer *consumer;

	if (slot >= n) {
		broker->n_consumers = slot + 64;
		broker->consumers = mem_grow(
			broker->consumers, broker->n_consumers * sizeof(*broker->consumers));
		memset(broker->consumers + n, 0, (broker->n_consumers - n) * sizeof(*consumer));
	}
	consumer = &broker->consumers[slot];
	free(consumer->tags);
	*consumer = (struct broker_consumer){.number = number, .is_there = true, .is_paused = true};
	return consumer;
}

static bool
broker_take_tag(struct broker_consumer *consumer, uint64_t tag)
{
	for (size_t i = 0; i < consumer->n_tags; i++) {
		if (consumer->tags[i] != tag)
			continue;
		memmove(&consumer->tags[i], &consumer->tags[i + 1],
			(--consumer->n_tags - i) * sizeof(tag));
		return true;
	}
	return false;
}

void
broker_put_tag(struct broker_consumer *consumer, uint64_t tag)
{
	if (consumer->n_tags == consumer->cap) {
		consumer->cap = consumer->cap ? 2 * consumer->cap : 16;
		consumer->tags = mem_grow(consumer->tags, consumer->cap * sizeof(tag));
	}
	consumer->tags[consumer->n_tags++] = tag;
}

/* Together where it has its channel alone: then they go back in their order. */
void
broker_give_back(struct broker *broker, struct broker_consumer *consumer)
{
	amqp_channel_t channel = broker_channel(consumer->number);
	bool is_alone = broker->n_consumers <= BROKER_CHANNELS;
	size_t n = consumer->n_tags;

	for (size_t i = is_alone && n ? n - 1 : 0; i < n; i++)
		amqp_basic_nack(broker->state, channel, consumer->tags[i], is_alone, 1);
	consumer->n_tags = 0;
}

void
broker_tell_lost(struct broker *broker, struct broker_consumer *consumer, const struct err *why)
{
	const struct peer_frame head = {
		.kind = AMQP_FRAME_LOST, .consumer = consumer->number, .code = why->code};

	consumer->is_there = false;
	consumer->n_tags = 0;
	broker_tell(broker, &head, why->text);
}

/* Its channel is closed. */
void
broker_lose_channel(struct broker *broker, amqp_channel_t channel, const struct err *why)
{
	for (size_t i = 0; broker->state && i < broker->n_consumers; i++)
		if (broker->consumers[i].is_there &&
			broker_channel(broker->consumers[i].number) == channel)
			broker_tell_lost(broker, &broker->consumers[i], why);
}

static void
broker_name(const struct broker_consumer *consumer, char tag[BROKER_TAG])
{
	snprintf(tag, BROKER_TAG, "%u.%u", consumer->number, consumer->n_begun);
}

struct broker_consumer *
broker_named(struct broker *broker, amqp_bytes_t tag)
{
	struct str rest = str_n(tag.bytes, tag.len);
	uint64_t number;

	return str_to_u64(str_cut(&rest, '.'), &number) ? broker_find(broker, (uint32_t)number)
							: NULL;
}

/* Not waited for: a queue without a leader would hold all the others. What the broker refuses it
 * says by closing the channel. */
static bool
broker_send(struct broker *broker, uint32_t number, amqp_method_number_t method, void *decoded)
{
	int status = amqp_send_method(broker->state, broker_channel(number), method, decoded);
	struct err err = {0};

	if (status == AMQP_STATUS_OK)
		return true;
	broker_library(&err, status);
	broker_lose(broker, &err, 0);
	return false;
}

static bool
broker_pause(struct broker *broker, struct broker_consumer *consumer)
{
	char tag[BROKER_TAG];
	amqp_basic_cancel_t cancel = {.nowait = 1};

	if (consumer->is_paused)
		return true;
	consumer->is_paused = true;
	broker_name(consumer, tag);
	cancel.consumer_tag = amqp_cstring_bytes(tag);
	return broker_send(broker, consumer->number, AMQP_BASIC_CANCEL_METHOD, &cancel);
}

static bool
broker_has_channel(struct broker *broker, amqp_channel_t channel)
{
	bool *is_open = &broker->is_open[channel - BROKER_CONSUMES];
	struct err err = {0};

	if (*is_open)
		return true;
	amqp_channel_open(broker->state, channel);
	*is_open = broker_check(broker, channel, amqp_get_rpc_reply(broker->state), &err) == 0;
	if (!*is_open && broker->state)
		broker_lose_channel(broker, channel, &err);
	return *is_open;
}

static void
broker_begin(struct broker *broker, struct broker_consumer *consumer, uint32_t prefetch)
{
	amqp_basic_qos_t qos = {
		.prefetch_count = (uint16_t)(prefetch < UINT16_MAX ? prefetch : UINT16_MAX)};
	amqp_basic_consume_t consume = {.queue = amqp_cstring_bytes(consumer->queue), .nowait = 1};
	uint32_t number = consumer->number;
	char tag[BROKER_TAG];

	if (!broker_has_channel(broker, broker_channel(number)) ||
		!broker_send(broker, number, AMQP_BASIC_QOS_METHOD, &qos))
		return;
	consumer->n_begun++;
	consumer->is_paused = false;
	broker_name(consumer, tag);
	consume.consumer_tag = amqp_cstring_bytes(tag);
	broker_send(broker, number, AMQP_BASIC_CONSUME_METHOD, &consume);
}

bool
broker_consume(struct broker *broker, const struct peer_frame *frame, struct str texts)
{
	struct broker_consumer *consumer = broker_find(broker, frame->consumer);
	char queue[256];

	if (!broker_take_text(&texts, queue, sizeof(queue)))
		return false;
	if (!consumer)
		consumer = broker_add(broker, frame->consumer);
	memcpy(consumer->queue, queue, sizeof(queue));
	if (broker_pause(broker, consumer) && frame->count)
		broker_begin(broker, consumer, frame->count);
	return true;
}

bool
broker_cancel(struct broker *broker, const struct peer_frame *frame)
{
	struct broker_consumer *consumer = broker_find(broker, frame->consumer);

	if (!consumer || !broker_pause(broker, consumer))
		return true;
	broker_give_back(broker, consumer);
	consumer->is_there = false;
	return true;
}

bool
broker_judge(struct broker *broker, const struct peer_frame *frame)
{
	struct broker_consumer *consumer = broker_find(broker, frame->consumer);
	amqp_channel_t channel = broker_channel(frame->consumer);
	struct err err = {0};
	int status;

	if (!consumer || !broker_take_tag(consumer, frame->number))
		return true;
	status = frame->kind == AMQP_FRAME_ACK
			 ? amqp_basic_ack(broker->state, channel, frame->number, 0)
			 : amqp_basic_nack(broker->state, channel, frame->number, 0,
				   (frame->flags & AMQP_FRAME_REQUEUE) != 0);
	if (status != AMQP_STATUS_OK) {
		broker_library(&err, status);
		broker_lose(broker, &err, 0);
	}
	return true;
}
