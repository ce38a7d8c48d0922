/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/mqtt_session.h"

#include <stdlib.h>

#include "base/own.h"
#include "mqtt/mqtt_packet.h"
#include "mqtt/websocket.h"

enum session_state { SESSION_UPGRADING, SESSION_GREETING, SESSION_SUBSCRIBING, SESSION_UP };

enum { SESSION_SUBSCRIBE_ID = 1, SESSION_IDS = 65536, SESSION_ID_TRIES = 1000 };

struct mqtt_session {
	const struct mqtt_session_events *events; /* borrowed */
	void *arg;                                /* borrowed */
	struct buf *wire;                         /* borrowed */
	enum session_state state;
	char key[WEBSOCKET_KEY_SIZE];
	struct buf hello, wish; /* CONNECT and SUBSCRIBE, until they are sent */

	struct buf raw;      /* came, and is not taken apart yet */
	uint64_t frame_left; /* of the payload of the frame of a message */
	bool is_fragmented;
	struct buf packets;
	uint64_t skip; /* of a message that is too large */

	uint8_t *used; /* owned: by number of the message, whether it is unconfirmed */
	uint16_t last_id;

	uint64_t began_ms, heard_ms, said_ms, now_ms;
	uint64_t keepalive_ms, patience_ms;
};

/* ---- out ---- */

static void
session_send(struct mqtt_session *session, struct str packet)
{
	websocket_write(WEBSOCKET_BINARY, packet, session->wire);
	session->said_ms = session->now_ms;
}

static void
session_send_once(struct mqtt_session *session, struct buf *packet)
{
	session_send(session, buf_str(packet));
	explicit_bzero(packet->at, packet->len);
	buf_done(packet);
}

static void
session_send_empty(struct mqtt_session *session, enum mqtt_packet_type type)
{
	OWN(buf) struct buf packet = BUF_INIT;

	mqtt_packet_empty(type, &packet);
	session_send(session, buf_str(&packet));
}

/* The next that is free; 0 when many in a row are not. */
static uint16_t
session_new_id(struct mqtt_session *session)
{
	for (unsigned i = 0; i < SESSION_ID_TRIES; i++)
		if (++session->last_id != 0 && !session->used[session->last_id])
			return session->last_id;
	return 0;
}

int
mqtt_session_publish(struct mqtt_session *session, struct str topic, struct str body)
{
	OWN(buf) struct buf packet = BUF_INIT;
	uint16_t id;

	if (session->state != SESSION_UP)
		return ERR_UNAVAILABLE;
	id = session->wire->len > MQTT_SESSION_WIRE_MAX ? 0 : session_new_id(session);
	if (id == 0)
		return ERR_RATE;
	session->used[id] = 1;
	mqtt_packet_publish(id, topic, body, &packet);
	session_send(session, buf_str(&packet));
	return 0;
}

/* ---- packets ---- */

static void
session_confirm(struct mqtt_session *session, uint16_t id)
{
	if (!session->used[id])
		return;
	session->used[id] = 0;
	session->events->on_confirmed(session->arg);
}

static void
session_tell(struct mqtt_session *session, const struct mqtt_publish *publish, bool is_too_large)
{
	OWN(buf) struct buf ack = BUF_INIT;

	if (publish->quality) {
		mqtt_packet_puback(publish->id, &ack);
		session_send(session, buf_str(&ack));
	}
	session->events->on_message(
		publish->topic, is_too_large ? STR("") : publish->body, is_too_large, session->arg);
}

static int
session_on_publish(struct mqtt_session *session, unsigned flags, struct str body, struct err *err)
{
	struct mqtt_publish publish;
	int64_t n = mqtt_packet_read_publish(flags, body, &publish, err);

	if (n == 0)
		return err_set(err, ERR_INVALID, "a message that is cut short");
	if (n < 0)
		return (int)n;
	session_tell(session, &publish, false);
	return 0;
}

static int
session_on_connack(struct mqtt_session *session, struct str body, struct err *err)
{
	int rc = mqtt_packet_read_connack(body, err);

	if (rc < 0)
		return rc;
	session->state = SESSION_SUBSCRIBING;
	session_send_once(session, &session->wish);
	return 0;
}

static int
session_on_suback(struct mqtt_session *session, struct str body, struct err *err)
{
	int rc = mqtt_packet_read_suback(body, SESSION_SUBSCRIBE_ID, err);

	if (rc < 0)
		return rc;
	session->state = SESSION_UP;
	session->events->on_up(session->arg);
	return 0;
}

static int
session_on_puback(struct mqtt_session *session, struct str body, struct err *err)
{
	uint16_t id;
	int rc = mqtt_packet_read_puback(body, &id, err);

	if (rc == 0)
		session_confirm(session, id);
	return rc;
}

static int
session_on_packet(struct mqtt_session *session, const struct mqtt_head *head, struct str body,
	struct err *err)
{
	if (session->state == SESSION_GREETING && head->type == MQTT_CONNACK)
		return session_on_connack(session, body, err);
	if (session->state == SESSION_SUBSCRIBING && head->type == MQTT_SUBACK)
		return session_on_suback(session, body, err);
	if (session->state >= SESSION_SUBSCRIBING && head->type == MQTT_PUBLISH)
		return session_on_publish(session, head->flags, body, err);
	if (session->state == SESSION_UP && head->type == MQTT_PUBACK)
		return session_on_puback(session, body, err);
	if (session->state >= SESSION_SUBSCRIBING && head->type == MQTT_PINGRESP && body.len == 0)
		return 0;
	return err_set(err, ERR_INVALID, "a packet of type %u that was not expected", head->type);
}

/* Its message is told without a body and acknowledged: it would come again and again. */
static int64_t
session_skip(struct mqtt_session *session, const struct mqtt_head *head, struct str bytes,
	struct err *err)
{
	struct mqtt_publish publish;
	int64_t n;

	if (head->type != MQTT_PUBLISH || session->state < SESSION_SUBSCRIBING)
		return err_set(err, ERR_INVALID, "a packet of type %u with %zu bytes", head->type,
			head->body_len);
	n = mqtt_packet_read_publish(head->flags,
		str_n(bytes.at + head->head_len, bytes.len - head->head_len), &publish, err);
	if (n <= 0)
		return n;
	session_tell(session, &publish, true);
	session->skip = head->body_len - (uint64_t)n;
	return (int64_t)head->head_len + n;
}

/* Bytes that were used of it, 0 while some are missing. */
static int64_t
session_take_packet(struct mqtt_session *session, struct str bytes, struct err *err)
{
	struct mqtt_head head;
	int rc;

	if (session->skip) {
		size_t n = bytes.len < session->skip ? bytes.len : (size_t)session->skip;

		session->skip -= n;
		return (int64_t)n;
	}
	rc = mqtt_packet_head(bytes, &head, err);
	if (rc <= 0)
		return rc;
	if (head.body_len > MQTT_SESSION_BODY_MAX + MQTT_PACKET_TEXT_MAX)
		return session_skip(session, &head, bytes, err);
	if (bytes.len < head.head_len + head.body_len)
		return 0;
	rc = session_on_packet(session, &head, str_n(bytes.at + head.head_len, head.body_len), err);
	return rc < 0 ? rc : (int64_t)(head.head_len + head.body_len);
}

static int
session_take_packets(struct mqtt_session *session, struct err *err)
{
	struct buf *packets = &session->packets;
	int64_t n;

	do {
		n = session_take_packet(session, buf_str(packets), err);
		if (n > 0)
			buf_eat(packets, (size_t)n);
	} while (n > 0);
	return (int)n;
}

/* ---- frames ---- */

static int
session_on_control(struct mqtt_session *session, enum websocket_opcode opcode, struct str payload,
	struct err *err)
{
	unsigned code = payload.len >= 2
				? (unsigned)(uint8_t)payload.at[0] << 8 | (uint8_t)payload.at[1]
				: 1005; /* none was said: RFC 6455 section 7.1.5 */

	if (opcode == WEBSOCKET_CLOSE)
		return err_set(err, ERR_UNAVAILABLE, "the server closed the WebSocket (%u)", code);
	if (opcode == WEBSOCKET_PING)
		websocket_write(WEBSOCKET_PONG, payload, session->wire);
	return 0;
}

static int
session_on_head(struct mqtt_session *session, const struct websocket_head *head, struct err *err)
{
	if (session->is_fragmented != (head->opcode == WEBSOCKET_MORE))
		return err_set(err, ERR_INVALID, "frames that do not make a message");
	session->is_fragmented = !head->is_final;
	session->frame_left = head->len;
	return 0;
}

/* Bytes that were used of them, 0 while some are missing. */
static int64_t
session_take_frame(struct mqtt_session *session, struct str bytes, struct err *err)
{
	struct websocket_head head;
	int n, rc;

	if (session->frame_left) {
		size_t part =
			bytes.len < session->frame_left ? bytes.len : (size_t)session->frame_left;

		buf_add(&session->packets, bytes.at, part);
		session->frame_left -= part;
		rc = session_take_packets(session, err);
		return rc < 0 ? rc : (int64_t)part;
	}
	n = websocket_head(bytes, &head, err);
	if (n <= 0)
		return n;
	if (head.opcode == WEBSOCKET_BINARY || head.opcode == WEBSOCKET_MORE) {
		rc = session_on_head(session, &head, err);
		return rc < 0 ? rc : n;
	}
	if (bytes.len - (size_t)n < head.len)
		return 0;
	rc = session_on_control(session, head.opcode, str_n(bytes.at + n, (size_t)head.len), err);
	return rc < 0 ? rc : n + (int64_t)head.len;
}

static int64_t
session_take_answer(struct mqtt_session *session, struct str bytes, struct err *err)
{
	int64_t n = websocket_answer(bytes, session->key, err);

	if (n <= 0)
		return n;
	session->state = SESSION_GREETING;
	session_send_once(session, &session->hello);
	return n;
}

int
mqtt_session_feed(struct mqtt_session *session, struct str bytes, uint64_t now_ms, struct err *err)
{
	int64_t n;

	session->now_ms = session->heard_ms = now_ms;
	buf_add_str(&session->raw, bytes);
	do {
		n = session->state == SESSION_UPGRADING
			    ? session_take_answer(session, buf_str(&session->raw), err)
			    : session_take_frame(session, buf_str(&session->raw), err);
		if (n > 0)
			buf_eat(&session->raw, (size_t)n);
	} while (n > 0 && session->raw.len);
	return n < 0 ? (int)n : 0;
}

/* ---- time ---- */

int
mqtt_session_tick(struct mqtt_session *session, uint64_t now_ms, struct err *err)
{
	session->now_ms = now_ms;
	if (session->state != SESSION_UP) {
		if (now_ms - session->began_ms < session->patience_ms)
			return 0;
		return err_set(err, ERR_TIMEOUT, "the broker did not answer in %u ms",
			(unsigned)session->patience_ms);
	}
	if (now_ms - session->heard_ms > session->keepalive_ms + session->keepalive_ms / 2)
		return err_set(err, ERR_TIMEOUT, "nothing was heard of the broker for %u s",
			(unsigned)((now_ms - session->heard_ms) / 1000));
	/* Also when messages go out all the time: only what is answered tells that it lives. */
	if (now_ms - session->said_ms >= session->keepalive_ms / 2 ||
		now_ms - session->heard_ms >= session->keepalive_ms / 2)
		session_send_empty(session, MQTT_PINGREQ);
	return 0;
}

/* ---- life ---- */

struct mqtt_session *
mqtt_session_new(const struct mqtt_session_wish *wish, const struct mqtt_session_events *events,
	void *arg, struct buf *wire, uint64_t now_ms)
{
	struct mqtt_session *session = mem_new(sizeof(*session));
	const struct mqtt_hello hello = {
		wish->client_id, wish->user, wish->password, wish->keepalive_s};

	session->events = events;
	session->arg = arg;
	session->wire = wire;
	session->used = mem_new(SESSION_IDS);
	session->began_ms = session->heard_ms = session->said_ms = session->now_ms = now_ms;
	session->keepalive_ms = wish->keepalive_s * 1000u;
	session->patience_ms = wish->patience_ms;
	mqtt_packet_connect(&hello, &session->hello);
	mqtt_packet_subscribe(SESSION_SUBSCRIBE_ID, wish->topic, &session->wish);
	session->last_id = SESSION_SUBSCRIBE_ID;
	websocket_key(session->key);
	websocket_ask(wish->authority, wish->path, session->key, wire);
	return session;
}

void
mqtt_session_end(struct mqtt_session *session)
{
	static const char normal[] = "\x03\xe8"; /* 1000 */

	if (session->state == SESSION_UPGRADING)
		return;
	session_send_empty(session, MQTT_DISCONNECT);
	websocket_write(WEBSOCKET_CLOSE, str_n(normal, 2), session->wire);
}

void
mqtt_session_free(struct mqtt_session *session)
{
	if (!session)
		return;
	if (session->hello.len)
		explicit_bzero(session->hello.at, session->hello.len);
	buf_done(&session->hello);
	buf_done(&session->wish);
	buf_done(&session->raw);
	buf_done(&session->packets);
	free(session->used);
	free(session);
}
