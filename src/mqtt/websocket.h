/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket - the client's half of WebSocket (RFC 6455): the upgrade of HTTP/1.1, and frames.
 *
 * For MQTT in binary frames: no extensions, no text. The bytes that are read are foreign: an answer
 * of at most 32 KiB in as many parts as it likes, heads of frames whose payload the caller takes as
 * it comes. Knows no socket. Pure, any thread. Fuzzed by fuzz_mqtt.
 */
#ifndef MAYFLY_MQTT_WEBSOCKET_H
#define MAYFLY_MQTT_WEBSOCKET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum websocket_opcode {
	WEBSOCKET_MORE = 0, /* of a message that has begun */
	WEBSOCKET_BINARY = 2,
	WEBSOCKET_CLOSE = 8,
	WEBSOCKET_PING = 9,
	WEBSOCKET_PONG = 10,
};

enum {
	WEBSOCKET_KEY_SIZE = 25, /* of what the upgrade asks with */
	WEBSOCKET_ANSWER_MAX = 32 << 10,
	WEBSOCKET_CONTROL_MAX = 125, /* payload of a frame that is no part of a message */
};

/* ---- the upgrade ---- */
void websocket_key(char ret[static WEBSOCKET_KEY_SIZE]); /* a new one */
/* authority: "host" or "host:port". */
void websocket_ask(struct str authority, struct str path, const char *key, struct buf *out);
/* Bytes of the answer that `bytes` begins with, 0 while some are missing. FORBIDDEN for 401 and
 * 403, UNAVAILABLE for another status, INVALID for what is no answer to key. */
int64_t websocket_answer(struct str bytes, const char *key, struct err *err);

/* ---- frames ---- */
struct websocket_head {
	enum websocket_opcode opcode;
	bool is_final;
	uint64_t len; /* of the payload behind it */
};
/* Bytes of the head that `bytes` begins with, 0 while some are missing; INVALID for what a server
 * must not send. */
int websocket_head(struct str bytes, struct websocket_head *ret, struct err *err);
/* A whole frame, masked as a client's must be. */
void websocket_write(enum websocket_opcode opcode, struct str payload, struct buf *out);

#endif
