/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt_kit - a session of mqtt_session.h, and a server that is played to it byte by byte.
 */
#ifndef MAYFLY_MQTT_KIT_H
#define MAYFLY_MQTT_KIT_H

#include <openssl/evp.h>

#include "base/base64.h"
#include "base/own.h"
#include "mqtt/mqtt_packet.h"
#include "mqtt/mqtt_session.h"
#include "mqtt/websocket.h"

struct mqtt_kit {
	struct mqtt_session *session;
	struct buf wire; /* what it sent; frames are still masked */
	struct err err;
	uint64_t now_ms;
	unsigned n_up, n_messages, n_too_large, n_confirmed;
	char topic[64];
	struct buf body; /* of the last message */
};

static inline void
mqtt_kit_on_up(void *arg)
{
	((struct mqtt_kit *)arg)->n_up++;
}

static inline void
mqtt_kit_on_message(struct str topic, struct str body, bool is_too_large, void *arg)
{
	struct mqtt_kit *kit = arg;

	must(!is_too_large || body.len == 0);
	kit->n_messages++;
	kit->n_too_large += is_too_large;
	snprintf(kit->topic, sizeof(kit->topic), "%.*s", STR_ARG(topic));
	buf_clear(&kit->body);
	buf_add_str(&kit->body, body);
}

static inline void
mqtt_kit_on_confirmed(void *arg)
{
	((struct mqtt_kit *)arg)->n_confirmed++;
}

static inline void
mqtt_kit_open(struct mqtt_kit *kit)
{
	static const struct mqtt_session_events events = {.on_up = mqtt_kit_on_up,
		.on_message = mqtt_kit_on_message,
		.on_confirmed = mqtt_kit_on_confirmed};
	const struct mqtt_session_wish wish = {.authority = STR("h:1"),
		.path = STR("/p"),
		.client_id = STR("c"),
		.user = STR("u"),
		.password = STR("pw"),
		.topic = STR("t"),
		.keepalive_s = 30,
		.patience_ms = 10000};

	*kit = (struct mqtt_kit){.now_ms = 1000};
	kit->session = mqtt_session_new(&wish, &events, kit, &kit->wire, kit->now_ms);
}

static inline void
mqtt_kit_close(struct mqtt_kit *kit)
{
	mqtt_session_free(kit->session);
	buf_done(&kit->wire);
	buf_done(&kit->body);
}

static inline int
mqtt_kit_feed(struct mqtt_kit *kit, struct str bytes)
{
	return mqtt_session_feed(kit->session, bytes, kit->now_ms, &kit->err);
}

/* As a server has them: not masked. */
static inline void
mqtt_kit_frame(struct buf *out, unsigned first, struct str payload)
{
	int shift = payload.len < 126 ? 0 : payload.len <= 0xffff ? 16 : 64;

	buf_add_char(out, (char)first);
	buf_add_char(out, shift == 0 ? (char)payload.len : shift == 16 ? 126 : 127);
	while ((shift -= 8) >= 0)
		buf_add_char(out, (char)(payload.len >> shift));
	buf_add_str(out, payload);
}

static inline int
mqtt_kit_say(struct mqtt_kit *kit, unsigned first, struct str payload)
{
	OWN(buf) struct buf bytes = BUF_INIT;

	mqtt_kit_frame(&bytes, first, payload);
	return mqtt_kit_feed(kit, buf_str(&bytes));
}

/* The head that answers the upgrade, which is all that was sent so far. */
static inline void
mqtt_kit_answer(struct mqtt_kit *kit, struct buf *out)
{
	const char *key = strstr(kit->wire.at, "Sec-WebSocket-Key: ");
	OWN(buf) struct buf text = BUF_INIT;
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len;

	must(key);
	buf_add(&text, key + strlen("Sec-WebSocket-Key: "), WEBSOCKET_KEY_SIZE - 1);
	buf_add_text(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
	must(EVP_Digest(text.at, text.len, digest, &len, EVP_sha1(), NULL) == 1);
	buf_add_text(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
			  "Connection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n"
			  "Sec-WebSocket-Accept: ");
	base64_encode(str_n(digest, len), out);
	buf_add_text(out, "\r\n\r\n");
	buf_clear(&kit->wire);
}

#define MQTT_KIT_CONNACK str_n("\x20\2\0\0", 4)
#define MQTT_KIT_SUBACK  str_n("\x90\3\0\1\1", 5)

static inline void
mqtt_kit_upgrade(struct mqtt_kit *kit)
{
	OWN(buf) struct buf answer = BUF_INIT;

	mqtt_kit_answer(kit, &answer);
	must(mqtt_kit_feed(kit, buf_str(&answer)) == 0);
}

static inline void
mqtt_kit_open_up(struct mqtt_kit *kit)
{
	mqtt_kit_open(kit);
	mqtt_kit_upgrade(kit);
	must(mqtt_kit_say(kit, 0x82, MQTT_KIT_CONNACK) == 0);
	must(mqtt_kit_say(kit, 0x82, MQTT_KIT_SUBACK) == 0);
	must(kit->n_up == 1);
	buf_clear(&kit->wire);
}

/* The next packet that it sent, without its mask; "" when there is none. */
static inline void
mqtt_kit_sent(struct mqtt_kit *kit, struct buf *ret)
{
	const uint8_t *at = (const uint8_t *)kit->wire.at;
	size_t len, head = 2;

	buf_clear(ret);
	if (kit->wire.len == 0)
		return;
	must((at[0] & 0x80) && (at[1] & 0x80));
	len = at[1] & 0x7f;
	if (len == 126) {
		len = (size_t)at[2] << 8 | at[3];
		head = 4;
	}
	must(len < 127 || head == 4);
	for (size_t i = 0; i < len; i++)
		buf_add_char(ret, (char)(at[head + 4 + i] ^ at[head + (i & 3)]));
	buf_eat(&kit->wire, head + 4 + len);
}

#endif
