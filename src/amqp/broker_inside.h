/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_inside - what the files of a broker's connection share.
 *
 * broker.c connects, declares, publishes and hears; broker_consume.c has the consumers, and what
 * each has out. Only these include it. In mayfly-amqp alone, one thread.
 */
#ifndef MAYFLY_AMQP_BROKER_INSIDE_H
#define MAYFLY_AMQP_BROKER_INSIDE_H

#include <amqp.h>

#include "amqp/broker.h"

enum {
	BROKER_ASKS = 1, /* channels */
	BROKER_PUBLISHES = 2,
	BROKER_CONSUMES = 3,
	BROKER_CHANNELS = 2000, /* of consumers */
	BROKER_CONNECT_S = 10,
	BROKER_ANSWER_S = 30,
	BROKER_TURN_FRAMES = 512,
	BROKER_TURN_BYTES = 4 << 20,
	BROKER_WIRE_BYTES = 131072, /* a frame of AMQP */
	BROKER_TAG = 24,
};

/* What a consumer has and has not said yet whether it is done: a tag that is not here is of an
 * earlier life, and the broker would end the channel over it. */
struct broker_consumer {
	uint32_t number;
	uint32_t n_begun; /* one that begins again is another to the broker: a quorum queue hands
			     what the former has out once more else */
	bool is_there, is_paused;
	char queue[256];
	uint64_t *tags; /* owned */
	size_t n_tags, cap;
};

struct broker {
	struct buf *out;               /* borrowed */
	amqp_connection_state_t state; /* owned; NULL while there is none */
	int fd;
	struct broker_consumer *consumers; /* owned; by the low half of their numbers */
	size_t n_consumers;
	bool is_open[BROKER_CHANNELS];
};

/* ---- broker.c ---- */

void broker_tell(struct broker *broker, const struct peer_frame *head, const char *text);
void broker_lose(struct broker *broker, const struct err *why, uint16_t flags);
int broker_library(struct err *err, int status);
int broker_check(
	struct broker *broker, amqp_channel_t channel, amqp_rpc_reply_t reply, struct err *err);
bool broker_take_text(struct str *texts, char *ret, size_t size);

/* ---- broker_consume.c ---- */

/* What the daemon asks of a consumer; false: it is not to be believed. */
bool broker_consume(struct broker *broker, const struct peer_frame *frame, struct str texts);
bool broker_cancel(struct broker *broker, const struct peer_frame *frame);
bool broker_judge(struct broker *broker, const struct peer_frame *frame);

struct broker_consumer *broker_named(struct broker *broker, amqp_bytes_t tag); /* or NULL */
void broker_put_tag(struct broker_consumer *consumer, uint64_t tag);
void broker_give_back(struct broker *broker, struct broker_consumer *consumer);
void broker_tell_lost(
	struct broker *broker, struct broker_consumer *consumer, const struct err *why);
void broker_lose_channel(struct broker *broker, amqp_channel_t channel, const struct err *why);

#endif
