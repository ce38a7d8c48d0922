/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp_lane - one process of mayfly-amqp: what it is told and says, and its connection's state.
 */
#include "amqp/amqp_inside.h"

static const struct peer_lane_events lane_events;

void
amqp_lane_init(struct lane *lane, struct amqp *amqp, enum amqp_lane which)
{
	*lane = (struct lane){.amqp = amqp, .which = which};
	peer_lane_init(&lane->peer, amqp->loop, &lane_events);
}

void
amqp_lane_close(struct lane *lane)
{
	peer_lane_close(&lane->peer);
	lane->state = LANE_GONE;
}

static void
lane_on_died(struct peer_lane *peer, const char *how)
{
	struct lane *lane = list_owner(peer, struct lane, peer);
	struct err why = {0};

	thread_on_loop();
	lane->state = LANE_GONE;
	err_set(&why, ERR_UNAVAILABLE, "mayfly-amqp %s", how);
	amqp_lane_down(lane, &why, false);
}

void
amqp_lane_send(struct lane *lane, const char *frame, size_t len)
{
	peer_lane_send(&lane->peer, frame, len);
}

void
amqp_lane_tell(struct lane *lane, const struct peer_frame *head, struct str text)
{
	peer_lane_tell(&lane->peer, head, &text, 1);
}

/* ---- connecting ---- */

static void
lane_connect(struct lane *lane) ON_LOOP
{
	const struct amqp *amqp = lane->amqp;
	const struct peer_frame head = {.kind = AMQP_FRAME_CONNECT,
		.number = amqp->url.port,
		.count = amqp->heartbeat_s,
		.flags = amqp->url.is_tls ? AMQP_FRAME_TLS : 0};
	const struct str texts[] = {str_of(amqp->url.host), str_of(amqp->url.vhost),
		str_of(amqp->url.user), str_of(amqp->password), str_of(amqp->ca_file)};

	peer_lane_tell(&lane->peer, &head, texts, sizeof(texts) / sizeof(texts[0]));
	lane->state = LANE_CONNECTING;
}

static void
lane_on_again(struct peer_lane *peer)
{
	thread_on_loop();
	lane_connect(list_owner(peer, struct lane, peer));
}

/* ---- in ---- */

static void
lane_on_up(struct lane *lane) ON_LOOP
{
	const struct peer_frame sync = {.kind = AMQP_FRAME_SYNC};

	lane->state = LANE_DECLARING;
	if (lane->which == AMQP_LANE_CONSUME)
		amqp_topology_declare(lane->amqp, NULL);
	amqp_lane_tell(lane, &sync, STR(""));
}

static void
lane_on_reply(struct lane *lane, const struct peer_frame *head, const struct err *why) ON_LOOP
{
	if (head->number == 0 && lane->state == LANE_DECLARING) {
		lane->state = LANE_READY;
		peer_lane_is_well(&lane->peer);
		amqp_lane_ready(lane);
	} else {
		amqp_topology_reply(lane->amqp, head->number, why);
	}
}

static void
lane_on_down(struct lane *lane, const struct peer_frame *head, struct err *why) ON_LOOP
{
	if (why->code == 0)
		why->code = ERR_UNAVAILABLE;
	lane->state = LANE_WAITING;
	peer_lane_back_off(&lane->peer);
	amqp_lane_down(lane, why, head->flags & AMQP_FRAME_ALL);
}

static bool
lane_on_message(struct lane *lane, const struct peer_frame *head, struct str texts) ON_LOOP
{
	struct amqp_header headers[AMQP_MESSAGE_HEADERS];
	struct amqp_message message;

	if (!amqp_frame_take_message(texts, &message, headers))
		return false;
	amqp_consume_message(lane->amqp, head, &message);
	return true;
}

static bool
lane_on_frame(struct peer_lane *peer, const struct peer_frame *head, struct str texts)
{
	struct lane *lane = list_owner(peer, struct lane, peer);
	struct err why = {0};
	struct str text;

	thread_on_loop();
	if (head->kind == AMQP_FRAME_MESSAGE)
		return lane_on_message(lane, head, texts);
	if (!peer_frame_take(&texts, &text))
		return false;
	if (head->code)
		err_set(&why, head->code, "%.*s", (int)(text.len < 230 ? text.len : 230), text.at);
	switch (head->kind) {
	case AMQP_FRAME_UP:
		lane_on_up(lane);
		return true;
	case AMQP_FRAME_DOWN:
		lane_on_down(lane, head, &why);
		return true;
	case AMQP_FRAME_REPLY:
		lane_on_reply(lane, head, &why);
		return true;
	case AMQP_FRAME_CONFIRMED:
		amqp_publish_confirmed(
			lane->amqp, head->number, head->flags & AMQP_FRAME_ALL, &why);
		return true;
	case AMQP_FRAME_LOST:
		amqp_consume_lost(lane->amqp, head->consumer);
		return true;
	case AMQP_FRAME_COUNTED:
		amqp_consume_counted(lane->amqp, head, text);
		return true;
	case AMQP_FRAME_BLOCKED:
		if (lane->which == AMQP_LANE_PUBLISH)
			amqp_set_blocked(lane->amqp, text);
		return true;
	default:
		return false;
	}
}

static const struct peer_lane_events lane_events = {.kinds = AMQP_FRAME_KINDS,
	.on_frame = lane_on_frame,
	.on_died = lane_on_died,
	.on_again = lane_on_again};

void
amqp_lane_take(struct lane *lane, int fd)
{
	if (peer_lane_take(&lane->peer, fd))
		lane_connect(lane);
}
