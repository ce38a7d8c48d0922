/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/peer_lane.h"

#include <errno.h>
#include <sys/socket.h>

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

void
peer_lane_init(struct peer_lane *lane, struct loop *loop, const struct peer_lane_events *events)
{
	*lane = (struct peer_lane){.events = events, .loop = loop, .fd = -1};
	lane->back_off_ms = LANE_BACK_OFF_MS;
	lane->flush.run = lane_on_flush;
	list_init(&lane->flush.link);
}

/* ---- out ---- */

static void
lane_flush(struct peer_lane *lane) ON_LOOP
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
	struct peer_lane *lane = list_owner(flush, struct peer_lane, flush);

	thread_on_loop();
	if (lane->watch)
		lane_flush(lane);
}

void
peer_lane_send(struct peer_lane *lane, const char *frame, size_t len)
{
	if (!lane->watch)
		return;
	buf_add(&lane->out, frame, len);
	loop_flush_soon(lane->loop, &lane->flush);
}

void
peer_lane_tell(
	struct peer_lane *lane, const struct peer_frame *head, const struct str *texts, size_t n)
{
	size_t begun;

	if (!lane->watch)
		return;
	begun = peer_frame_begin(&lane->out, head);
	for (size_t i = 0; i < n; i++)
		peer_frame_add(&lane->out, texts[i]);
	peer_frame_end(&lane->out, begun);
	loop_flush_soon(lane->loop, &lane->flush);
}

/* ---- the end ---- */

void
peer_lane_close(struct peer_lane *lane)
{
	if (lane->watch) {
		lane_flush(lane);
		loop_watch_free(lane->watch);
	}
	lane->watch = NULL;
	own_fd(&lane->fd);
	lane->fd = -1;
	list_remove(&lane->flush.link);
	buf_done(&lane->in);
	buf_done(&lane->out);
}

static void
lane_died(struct peer_lane *lane, const char *how) ON_LOOP
{
	peer_lane_close(lane);
	loop_timer_stop(&lane->timer);
	lane->events->on_died(lane, how);
}

/* ---- trying again ---- */

static void
lane_on_timer(struct loop_timer *timer)
{
	struct peer_lane *lane = list_owner(timer, struct peer_lane, timer);

	thread_on_loop();
	lane->events->on_again(lane);
}

/* Half of it always, the rest by chance: what lost a server together does not come together. */
void
peer_lane_back_off(struct peer_lane *lane)
{
	uint32_t chance;

	id_random(&chance, sizeof(chance));
	loop_timer_start(lane->loop, &lane->timer,
		lane->back_off_ms / 2 + chance % (lane->back_off_ms / 2 + 1), lane_on_timer);
	lane->back_off_ms *= 2;
	if (lane->back_off_ms > LANE_BACK_OFF_MAX_MS)
		lane->back_off_ms = LANE_BACK_OFF_MAX_MS;
}

void
peer_lane_is_well(struct peer_lane *lane)
{
	lane->back_off_ms = LANE_BACK_OFF_MS;
}

/* ---- in ---- */

/* A callback may close it. */
static void
lane_on_bytes(struct peer_lane *lane) ON_LOOP
{
	size_t used = 0;

	while (lane->watch) {
		struct peer_frame head;
		struct str texts;
		int64_t n = peer_frame_next(str_n(lane->in.at + used, lane->in.len - used),
			lane->events->kinds, &head, &texts, NULL);

		if (n == 0)
			break;
		if (n < 0 || !lane->events->on_frame(lane, &head, texts)) {
			lane_died(lane, "said what it must not say");
			return;
		}
		used += (size_t)n;
	}
	if (lane->watch && used)
		buf_eat(&lane->in, used);
}

static void
lane_on_readable(struct peer_lane *lane) ON_LOOP
{
	for (int i = 0; i < LANE_READS && lane->watch; i++) {
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
	struct peer_lane *lane = arg;

	thread_on_loop();
	if (uv_events & UV_WRITABLE)
		lane_flush(lane);
	if (uv_events & UV_READABLE)
		lane_on_readable(lane);
}

bool
peer_lane_take(struct peer_lane *lane, int fd)
{
	struct err err = {0};

	if (lane->watch)
		lane_died(lane, "was replaced");
	if (loop_watch_new(lane->loop, fd, lane_on_watch, lane, &lane->watch, &err) < 0) {
		own_fd(&fd);
		return false;
	}
	lane->fd = fd;
	loop_watch_want(lane->watch, UV_READABLE);
	return true;
}
