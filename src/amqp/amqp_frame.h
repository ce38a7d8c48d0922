/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp_frame - the frames of peer_frame.h between the daemon and mayfly-amqp.
 *
 * Knows no socket. Any process. Fuzzed by fuzz_amqp_frame.
 */
#ifndef MAYFLY_AMQP_FRAME_H
#define MAYFLY_AMQP_FRAME_H

#include "amqp/amqp_message.h"
#include "peer/peer_frame.h"

/* One connection publishes, one consumes, so that a broker which takes no messages for a while can
 * still be emptied. */
enum amqp_lane { AMQP_LANE_CONSUME, AMQP_LANE_PUBLISH, AMQP_LANES };

enum amqp_frame_kind {
	/* daemon → mayfly-amqp: texts in the order given */
	AMQP_FRAME_CONNECT = 1, /* host, vhost, user, password, CA file; count: heartbeat in
				   seconds, number: port */
	AMQP_FRAME_EXCHANGE,    /* name, type; number: ticket */
	AMQP_FRAME_QUEUE,       /* name, dead letter exchange, its key; count: time to live in ms */
	AMQP_FRAME_BIND,        /* queue, exchange, key */
	AMQP_FRAME_DELETE,      /* queue */
	AMQP_FRAME_PUBLISH,     /* a message; number: counted from 1 with each connection */
	AMQP_FRAME_CONSUME,     /* queue; consumer, count: prefetch, 0 to pause */
	AMQP_FRAME_CANCEL,      /* consumer */
	AMQP_FRAME_ACK,         /* consumer, number: the broker's tag */
	AMQP_FRAME_REJECT,      /* the same */
	AMQP_FRAME_COUNT,       /* queue; number: ticket */
	AMQP_FRAME_SYNC,        /* number: ticket; answered when all before it is */
	/* mayfly-amqp → daemon */
	AMQP_FRAME_UP,        /* connected; ends what CONNECT began */
	AMQP_FRAME_DOWN,      /* reason; code. Until the next CONNECT all requests are dropped */
	AMQP_FRAME_REPLY,     /* reason; number: ticket, code */
	AMQP_FRAME_CONFIRMED, /* reason; number: of the publish, code; flag ALL: and all before */
	AMQP_FRAME_MESSAGE,   /* a message; consumer, number: the broker's tag */
	AMQP_FRAME_LOST,      /* reason; consumer: the broker ended it */
	AMQP_FRAME_COUNTED,   /* number: ticket, code, count: consumers; a text of eight bytes */
	AMQP_FRAME_BLOCKED,   /* reason, "" when it takes messages again */
	AMQP_FRAME_KINDS,
};

enum amqp_frame_flags {
	AMQP_FRAME_TLS = 1,
	AMQP_FRAME_DURABLE = 2,
	AMQP_FRAME_PASSIVE = 4,
	AMQP_FRAME_EXCLUSIVE = 8,
	AMQP_FRAME_AUTO_DELETE = 16,
	AMQP_FRAME_QUORUM = 32,
	AMQP_FRAME_MANDATORY = 64,
	AMQP_FRAME_REQUEUE = 128,
	AMQP_FRAME_ALL = 256,
};

#define AMQP_FRAME_TEXT (1u << 20) /* each but a message's body */

void amqp_frame_add_message(struct buf *out, const struct amqp_message *message);
/* A whole message and nothing behind it. headers holds AMQP_MESSAGE_HEADERS. */
bool amqp_frame_take_message(
	struct str texts, struct amqp_message *ret, struct amqp_header *headers);

#endif
