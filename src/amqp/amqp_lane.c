/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp_lane - one process of mayfly-amqp: bytes there and back, and its connection's state.
 */
#include <errno.h>
#include <sys/socket.h>

#include "amqp/amqp_inside.h"
#include "base/id.h"
#include "base/own.h"

enum {
	LANE_BACK_OFF_MS = 500,
	LANE_BACK_OFF_MAX_MS = 30000,
	LANE_READ_BYTES = 256 * 1024,
	LANE_READS = 8, /* in one turn */
	LANE_SMALL_BYTES = 1 << 20,
};

static void lane_on_flush(struct loop_flush *flush);
static void lane_on_timer(struct loop_timer *timer);

void
amqp_lane_init(struct lane *lane, struct amqp *amqp, enum amqp_lane which)
{
	*lane = (struct lane){.amqp = amqp, .which = which, .fd = -1};
	lane->back_off_ms = LANE_BACK_OFF_MS;
	lane->flush.run = lane_on_flush;
	list_init(&lane->flush.link);
}

void
amqp_lane_close(struct lane *lane)
{
	if (lane->watch)
		loop_watch_free(lane->watch);
	lane->watch = NULL;
	own_fd(&lane->fd);
	lane->fd = -1;
	list_remove(&lane->flush.link);
	buf_done(&lane->in);
	buf_done(&lane->out);
	lane->state = LANE_GONE;
}

static void
lane_died(struct lane *lane, const char *how) ON_LOOP
{
	struct err why = {0};

	amqp_lane_close(lane);
	loop_timer_stop(&lane->timer);
	err_set(&why, ERR_UNAVAILABLE, "mayfly-amqp %s", how);
	amqp_lane_down(lane, &why, false);
}

/* ---- out ---- */

static void
lane_flush(struct lane *lane) ON_LOOP
{
	while (lane->out.len) {
		ssize_t n =
			send(lane->fd, lane->out.at, lane->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		/* What else is wrong with it the read finds. */
		if (n < 0)
			break;
		buf_eat(&lane->out, (size_t)n);
	}
	if (lane->out.len == 0 && buf_room_size(&lane->out) > LANE_SMALL_BYTES)
		buf_done(&lane->out);
	loop_watch_want(lane->watch, UV_READABLE | (lane->out.len ? UV_WRITABLE : 0));
}

static void
lane_on_flush(struct loop_flush *flush)
{
	struct lane *lane = list_owner(flush, struct lane, flush);

	thread_on_loop();
	if (lane->watch)
		lane_flush(lane);
}

void
amqp_lane_send(struct lane *lane, const char *frame, size_t len)
{
	if (!lane->watch)
		return;
	buf_add(&lane->out, frame, len);
	loop_flush_soon(lane->amqp->loop, &lane->flush);
}

void
amqp_lane_tell(struct lane *lane, const struct amqp_frame *head, struct str text)
{
	if (!lane->watch)
		return;
	size_t begun = amqp_frame_begin(&lane->out, head);

	amqp_frame_add(&lane->out, text);
	amqp_frame_end(&lane->out, begun);
	loop_flush_soon(lane->amqp->loop, &lane->flush);
}

/* ---- connecting ---- */

static void
lane_connect(struct lane *lane) ON_LOOP
{
	const struct amqp *amqp = lane->amqp;
	const struct amqp_frame head = {.kind = AMQP_FRAME_CONNECT,
		.number = amqp->url.port,
		.count = amqp->heartbeat_s,
		.flags = amqp->url.is_tls ? AMQP_FRAME_TLS : 0};
	size_t begun = amqp_frame_begin(&lane->out, &head);

	amqp_frame_add(&lane->out, str_of(amqp->url.host));
	amqp_frame_add(&lane->out, str_of(amqp->url.vhost));
	amqp_frame_add(&lane->out, str_of(amqp->url.user));
	amqp_frame_add(&lane->out, str_of(amqp->password));
	amqp_frame_add(&lane->out, str_of(amqp->ca_file));
	amqp_frame_end(&lane->out, begun);
	loop_flush_soon(amqp->loop, &lane->flush);
	lane->state = LANE_CONNECTING;
}

static void
lane_on_timer(struct loop_timer *timer)
{
	struct lane *lane = list_owner(timer, struct lane, timer);

	thread_on_loop();
	lane_connect(lane);
}

/* Half of it always, the rest by chance: what lost a broker together does not come together. */
static void
lane_back_off(struct lane *lane) ON_LOOP
{
	uint32_t chance;

	id_random(&chance, sizeof(chance));
	lane->state = LANE_WAITING;
	loop_timer_start(lane->amqp->loop, &lane->timer,
		lane->back_off_ms / 2 + chance % (lane->back_off_ms / 2 + 1), lane_on_timer);
	lane->back_off_ms *= 2;
	if (lane->back_off_ms > LANE_BACK_OFF_MAX_MS)
		lane->back_off_ms = LANE_BACK_OFF_MAX_MS;
}

/* ---- in ---- */

static void
lane_on_up(struct lane *lane) ON_LOOP
{
	const struct amqp_frame sync = {.kind = AMQP_FRAME_SYNC};

	lane->state = LANE_DECLARING;
	if (lane->which == AMQP_LANE_CONSUME)
		amqp_topology_declare(lane->amqp, NULL);
	amqp_lane_tell(lane, &sync, STR(""));
}

static void
lane_on_reply(struct lane *lane, const struct amqp_frame *head, const struct err *why) ON_LOOP
{
	if (head->number == 0 && lane->state == LANE_DECLARING) {
		lane->state = LANE_READY;
		lane->back_off_ms = LANE_BACK_OFF_MS;
		amqp_lane_ready(lane);
	} else {
		amqp_topology_reply(lane->amqp, head->number, why);
	}
}

static void
lane_on_down(struct lane *lane, const struct amqp_frame *head, struct err *why) ON_LOOP
{
	if (why->code == 0)
		why->code = ERR_UNAVAILABLE;
	lane_back_off(lane);
	amqp_lane_down(lane, why, head->flags & AMQP_FRAME_ALL);
}

static bool
lane_on_message(struct lane *lane, const struct amqp_frame *head, struct str texts) ON_LOOP
{
	struct amqp_header headers[AMQP_MESSAGE_HEADERS];
	struct amqp_message message;

	if (!amqp_frame_take_message(texts, &message, headers))
		return false;
	amqp_consume_message(lane->amqp, head, &message);
	return true;
}

/* False for what mayfly-amqp does not say. */
static bool
lane_on_frame(struct lane *lane, const struct amqp_frame *head, struct str texts) ON_LOOP
{
	struct err why = {0};
	struct str text;

	if (head->kind == AMQP_FRAME_MESSAGE)
		return lane_on_message(lane, head, texts);
	if (!amqp_frame_take(&texts, &text))
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

/* A callback may close all of it. */
static void
lane_on_bytes(struct lane *lane) ON_LOOP
{
	size_t used = 0;

	while (lane->watch && !lane->amqp->is_closing) {
		struct amqp_frame head;
		struct str texts;
		int64_t n = amqp_frame_next(
			str_n(lane->in.at + used, lane->in.len - used), &head, &texts, NULL);

		if (n == 0)
			break;
		if (n < 0 || !lane_on_frame(lane, &head, texts)) {
			lane_died(lane, "said what it must not say");
			return;
		}
		used += (size_t)n;
	}
	if (lane->watch && used)
		buf_eat(&lane->in, used);
}

static void
lane_on_readable(struct lane *lane) ON_LOOP
{
	for (int i = 0; i < LANE_READS && lane->watch && !lane->amqp->is_closing; i++) {
		ssize_t n = recv(lane->fd, buf_room(&lane->in, LANE_READ_BYTES), LANE_READ_BYTES,
			MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			lane_died(lane, "ended");
			return;
		}
		buf_grew(&lane->in, (size_t)n);
		lane_on_bytes(lane);
	}
}

static void
lane_on_watch(struct loop_watch *watch, int uv_events, void *arg)
{
	struct lane *lane = arg;

	thread_on_loop();
	if (uv_events & UV_WRITABLE)
		lane_flush(lane);
	if (uv_events & UV_READABLE)
		lane_on_readable(lane);
}

void
amqp_lane_take(struct lane *lane, int fd)
{
	struct err err = {0};

	if (lane->watch)
		lane_died(lane, "was replaced");
	if (loop_watch_new(lane->amqp->loop, fd, lane_on_watch, lane, &lane->watch, &err) < 0) {
		own_fd(&fd);
		return;
	}
	lane->fd = fd;
	loop_watch_want(lane->watch, UV_READABLE);
	lane_connect(lane);
}
