/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt_session - one connection to a broker: MQTT 3.1.1 in WebSocket, as a machine of bytes.
 *
 *	UPGRADING ──101──▶ GREETING ──CONNACK──▶ SUBSCRIBING ──SUBACK──▶ UP ──▶ mqtt_session_end()
 *
 * Bytes of the wire go in, bytes for the wire come out, and what the broker says is told. Messages
 * are acknowledged when they are told; one of more than MQTT_SESSION_BODY_MAX is told without its
 * body. What holds memory is bounded by that and by MQTT_SESSION_WIRE_MAX. Any error is the end of
 * it. Knows no socket and no clock. One thread. Fuzzed by fuzz_mqtt.
 */
#ifndef MAYFLY_MQTT_SESSION_H
#define MAYFLY_MQTT_SESSION_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define MQTT_SESSION_BODY_MAX (16u << 20)
#define MQTT_SESSION_WIRE_MAX (64u << 20) /* unsent, above which nothing is published */

struct mqtt_session;

struct mqtt_session_wish {
	struct str authority, path;           /* of the WebSocket */
	struct str client_id, user, password; /* each at most 65,535 bytes */
	struct str topic;                     /* that is subscribed to */
	uint16_t keepalive_s;                 /* not 0 */
	unsigned patience_ms;                 /* until it is UP */
};

struct mqtt_session_events {
	void (*on_up)(void *arg);
	/* Whatever the topic. */
	void (*on_message)(struct str topic, struct str body, bool is_too_large, void *arg);
	void (*on_confirmed)(void *arg); /* one that was published, in any order */
};

/* Texts are copied. What is to be sent is appended to `wire`, borrowed. now_ms: of any clock that
 * does not go back. */
struct mqtt_session *mqtt_session_new(const struct mqtt_session_wish *wish,
	const struct mqtt_session_events *events, void *arg, struct buf *wire, uint64_t now_ms);
void mqtt_session_free(struct mqtt_session *session);

int mqtt_session_feed(
	struct mqtt_session *session, struct str bytes, uint64_t now_ms, struct err *err);
/* At least each second. TIMEOUT when the broker does not answer. */
int mqtt_session_tick(struct mqtt_session *session, uint64_t now_ms, struct err *err);
/* UNAVAILABLE before it is up, RATE with too much that is unsent or unconfirmed. */
int mqtt_session_publish(struct mqtt_session *session, struct str topic, struct str body);
void mqtt_session_end(struct mqtt_session *session); /* says goodbye */

#endif
