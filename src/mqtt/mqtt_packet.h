/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt_packet - control packets of MQTT 3.1.1 (OASIS standard), those that a client needs which
 * publishes and subscribes with quality 1.
 *
 * What is read is foreign; texts are borrowed. Knows no connection. Pure, any thread. Fuzzed by
 * fuzz_mqtt.
 */
#ifndef MAYFLY_MQTT_PACKET_H
#define MAYFLY_MQTT_PACKET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum mqtt_packet_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK = 2,
	MQTT_PUBLISH = 3,
	MQTT_PUBACK = 4,
	MQTT_SUBSCRIBE = 8,
	MQTT_SUBACK = 9,
	MQTT_PINGREQ = 12,
	MQTT_PINGRESP = 13,
	MQTT_DISCONNECT = 14,
};

enum { MQTT_PACKET_TEXT_MAX = 65535 };

/* ---- writing; texts have at most MQTT_PACKET_TEXT_MAX bytes ---- */
struct mqtt_hello {
	struct str client_id, user, password;
	uint16_t keepalive_s;
};
void mqtt_packet_connect(const struct mqtt_hello *hello, struct buf *out); /* a clean session */
void mqtt_packet_subscribe(uint16_t id, struct str topic, struct buf *out);
void mqtt_packet_publish(uint16_t id, struct str topic, struct str body, struct buf *out);
void mqtt_packet_puback(uint16_t id, struct buf *out);
void mqtt_packet_empty(enum mqtt_packet_type type, struct buf *out); /* PINGREQ, DISCONNECT */

/* ---- reading ---- */
struct mqtt_head {
	unsigned type; /* of enum mqtt_packet_type, or another */
	unsigned flags;
	size_t head_len, body_len;
};
/* Bytes of the head that `bytes` begins with, 0 while some are missing; INVALID for what a server
 * must not send. */
int mqtt_packet_head(struct str bytes, struct mqtt_head *ret, struct err *err);

struct mqtt_publish {
	struct str topic, body;
	unsigned quality; /* 0 or 1 */
	uint16_t id;      /* of quality 1 */
};
/* Of the body, or as much as there is of it, up to the message: bytes of that, 0 while some are
 * missing. */
int64_t mqtt_packet_read_publish(
	unsigned flags, struct str body, struct mqtt_publish *ret, struct err *err);
int mqtt_packet_read_connack(struct str body, struct err *err); /* FORBIDDEN, UNAVAILABLE */
int mqtt_packet_read_suback(struct str body, uint16_t id, struct err *err);
int mqtt_packet_read_puback(struct str body, uint16_t *ret_id, struct err *err);

#endif
