/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly-mqtt - speaks MQTT in WebSocket for the daemon (peer_process.h), with no rights of its
 *own.
 *
 *	mayfly-mqtt UID GID     the parent: starts the child, and another when it ends
 *	mayfly-mqtt --lane 0    the child: one connection; what a broker sends is read here
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/own.h"
#include "mqtt/mqtt_frame.h"
#include "mqtt/mqtt_session.h"
#include "mqtt/mqtt_socket.h"
#include "peer/peer_child.h"
#include "peer/peer_parent.h"
#include "peer/peer_process.h"

enum {
	MAIN_PATIENCE_MS = 10000, /* until it is up */
	MAIN_READ_BYTES = 64 * 1024,
	MAIN_READS = 16,          /* in one turn */
	MAIN_OUT_BYTES = 4 << 20, /* for the daemon, above which a turn ends */
};

struct main_state {
	struct mqtt_socket *socket;   /* owned; NULL without a connection */
	struct mqtt_session *session; /* owned; the same */
	struct buf wire, out;         /* for the broker, for the daemon */
};

static uint64_t
main_now_ms(void)
{
	return clock_mono_us() / 1000;
}

/* ---- what the daemon is told ---- */

static void
main_tell(struct main_state *state, enum mqtt_frame_kind kind, int code, struct str text)
{
	const struct peer_frame head = {.kind = kind, .code = code};
	size_t begun = peer_frame_begin(&state->out, &head);

	peer_frame_add(&state->out, text);
	peer_frame_end(&state->out, begun);
}

static void
main_on_up(void *arg)
{
	main_tell(arg, MQTT_FRAME_UP, 0, STR(""));
}

static void
main_on_message(struct str topic, struct str body, bool is_too_large, void *arg)
{
	main_tell(arg, MQTT_FRAME_MESSAGE, is_too_large ? ERR_TOO_LARGE : 0, body);
}

static void
main_on_confirmed(void *arg)
{
	main_tell(arg, MQTT_FRAME_CONFIRMED, 0, STR(""));
}

static const struct mqtt_session_events main_events = {
	.on_up = main_on_up, .on_message = main_on_message, .on_confirmed = main_on_confirmed};

static void
main_disconnect(struct main_state *state)
{
	mqtt_session_free(take_ptr(&state->session));
	mqtt_socket_free(take_ptr(&state->socket));
	buf_done(&state->wire);
}

static void
main_lose(struct main_state *state, const struct err *why)
{
	main_disconnect(state);
	main_tell(state, MQTT_FRAME_DOWN, why->code, str_of(why->text));
}

/* ---- what the daemon asks for ---- */

static bool
main_take_texts(struct str texts, struct str *ret, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!peer_frame_take(&texts, &ret[i]))
			return false;
	return texts.len == 0;
}

/* Waited for, as long as it is patient. */
static bool
main_connect(struct main_state *state, const struct peer_frame *frame, struct str texts)
{
	struct str text[MQTT_FRAME_CONNECT_TEXTS];
	struct err err = {0};

	if (!main_take_texts(texts, text, MQTT_FRAME_CONNECT_TEXTS))
		return false;
	OWN(mem) char *host = str_dup(text[0]);
	OWN(mem) char *ca_file = str_dup(text[6]);
	const struct mqtt_socket_wish socket = {.host = host,
		.port = (uint16_t)frame->number,
		.is_tls = frame->flags & MQTT_FRAME_TLS,
		.ca_file = ca_file,
		.patience_ms = MAIN_PATIENCE_MS};
	const struct mqtt_session_wish session = {.authority = text[1],
		.path = text[2],
		.client_id = text[3],
		.user = text[4],
		.password = text[5],
		.topic = text[7],
		.keepalive_s = (uint16_t)frame->count,
		.patience_ms = MAIN_PATIENCE_MS};

	main_disconnect(state);
	if (mqtt_socket_open(&socket, &state->socket, &err) < 0)
		main_lose(state, &err);
	else
		state->session = mqtt_session_new(
			&session, &main_events, state, &state->wire, main_now_ms());
	return true;
}

static bool
main_publish(struct main_state *state, struct str texts)
{
	struct str text[2];
	int rc;

	if (!main_take_texts(texts, text, 2))
		return false;
	if (!state->session)
		return true;
	rc = mqtt_session_publish(state->session, text[0], text[1]);
	if (rc < 0)
		main_tell(state, MQTT_FRAME_CONFIRMED, rc,
			rc == ERR_RATE ? STR("the broker confirms too little")
				       : STR("the broker has not let us in yet"));
	return true;
}

static bool
main_ask(void *arg, const struct peer_frame *frame, struct str texts)
{
	switch (frame->kind) {
	case MQTT_FRAME_CONNECT:
		return main_connect(arg, frame, texts);
	case MQTT_FRAME_PUBLISH:
		return main_publish(arg, texts);
	default:
		return false;
	}
}

/* ---- the connection ---- */

static int
main_read(struct main_state *state, struct err *err)
{
	char bytes[MAIN_READ_BYTES];

	for (int i = 0; i < MAIN_READS && state->out.len < MAIN_OUT_BYTES; i++) {
		int64_t n = mqtt_socket_read(state->socket, bytes, sizeof(bytes), err);
		int rc = n > 0 ? mqtt_session_feed(state->session, str_n(bytes, (size_t)n),
					 main_now_ms(), err)
			       : (int)n;

		if (rc < 0 || n == 0)
			return rc;
	}
	return 1;
}

/* True: more is there that poll() may not tell of, since TLS has it. */
static bool
main_turn(struct main_state *state)
{
	struct err err = {0};
	int rc, more;

	if (!state->session)
		return false;
	more = rc = main_read(state, &err);
	if (rc >= 0)
		rc = mqtt_session_tick(state->session, main_now_ms(), &err);
	if (rc >= 0)
		rc = mqtt_socket_write(state->socket, &state->wire, &err);
	if (rc < 0)
		main_lose(state, &err);
	return rc >= 0 && more > 0;
}

static void
main_serve(struct main_state *state)
{
	struct peer_child child = {.kinds = MQTT_FRAME_KINDS, .ask = main_ask, .arg = state};
	bool is_more = false;

	for (;;) {
		struct pollfd watched[] = {{PEER_FD, POLLIN, 0},
			{state->socket ? mqtt_socket_fd(state->socket) : -1,
				(short)(POLLIN | (state->wire.len ? POLLOUT : 0)), 0}};

		if (poll(watched, 2, is_more ? 0 : PEER_CHILD_TICK_MS) < 0 && errno != EINTR)
			break;
		if (watched[0].revents && !peer_child_read(&child))
			break;
		is_more = main_turn(state);
		if (!peer_child_write(&state->out))
			break;
	}
	buf_done(&child.in);
}

static int
main_lane(const char *lane)
{
	struct main_state state = {.socket = NULL};
	struct err err = {0};

	mqtt_socket_prepare();
	if (peer_child_shut("mayfly-mqtt", &err) < 0) {
		fprintf(stderr, "mayfly-mqtt: lane %s: %s\n", lane, err.text);
		return 1;
	}
	main_serve(&state);
	if (state.session) {
		mqtt_session_end(state.session);
		mqtt_socket_write(state.socket, &state.wire, &err);
	}
	main_disconnect(&state);
	buf_done(&state.out);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--lane") == 0)
		return main_lane(argv[2]);
	if (argc == 3)
		return peer_parent_main("mayfly-mqtt", MQTT_LANES, argv[1], argv[2]);
	fputs("mayfly-mqtt is started by mayfly-daemon\n", stderr);
	return 2;
}
