/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker - one connection to a RabbitMQ, by librabbitmq: frames of amqp_frame.h in and out.
 *
 * Channel 1 declares and asks, 2 publishes with confirms, and from 3 on consumers share what the
 * broker gives (2,000). A request that the broker answers is waited for. An exception of a channel
 * is told and the channel opened again; what ends the connection is told as DOWN.
 * In mayfly-amqp alone, one thread, behind peer_guard.h.
 */
#ifndef MAYFLY_AMQP_BROKER_H
#define MAYFLY_AMQP_BROKER_H

#include "amqp/amqp_frame.h"

struct broker;

/* Frames for the daemon are appended to `out`, borrowed. */
struct broker *broker_new(struct buf *out);
void broker_free(struct broker *broker);

/* What the daemon asks for. False: no such request, the daemon is not to be believed. */
bool broker_ask(struct broker *broker, const struct peer_frame *frame, struct str texts);

int broker_fd(const struct broker *broker); /* -1 while there is no connection */
/* Takes what has come, at most a turn's worth, and keeps the heartbeat. True: more is there. */
bool broker_turn(struct broker *broker);

#endif
