/* SPDX-License-Identifier: Apache-2.0 */
#include "net/relay.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define RELAY_PIECE ((size_t)64 * 1024)
#define RELAY_PUMPS 8 /* pieces in one go */

/* What a turn reads and writes at once stands here and not in each connection. */
static char relay_piece[RELAY_PIECE];

void
relay_end_close(struct relay_end *end)
{
	loop_watch_free(end->watch);
	end->watch = NULL;
	if (end->fd >= 0)
		close(end->fd);
	end->fd = -1;
}

void
relay_end_reset(struct relay_end *end)
{
	const struct linger at_once = {.l_onoff = 1};

	if (end->fd >= 0)
		setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	relay_end_close(end);
}

void
relay_init(struct relay *relay)
{
	*relay = (struct relay){.near.fd = -1, .far.fd = -1};
	relay->up =
		(struct relay_pipe){.from = &relay->near, .to = &relay->far, .left = UINT64_MAX};
	relay->down =
		(struct relay_pipe){.from = &relay->far, .to = &relay->near, .left = UINT64_MAX};
}

void
relay_done(struct relay *relay)
{
	relay_end_close(&relay->near);
	relay_end_close(&relay->far);
	buf_done(&relay->up.held);
	buf_done(&relay->down.held);
}

/* What one direction wants of its two ends, as far as the end is `end`. */
static int
relay_pipe_wants(const struct relay_pipe *pipe, const struct relay_end *end)
{
	if (end == pipe->to)
		return pipe->held.len ? UV_WRITABLE : 0;
	return pipe->held.len || pipe->is_eof ? 0 : UV_READABLE;
}

static bool
relay_must_wait(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Gives how much of it was taken; -1 when the side is gone. */
static ssize_t
relay_pipe_write(struct relay_pipe *pipe, const char *at, size_t len)
{
	ssize_t n = send(pipe->to->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		pipe->n_bytes += (uint64_t)n;
	return relay_must_wait(n) ? 0 : n;
}

static bool
relay_pipe_write_held(struct relay_pipe *pipe, bool *ret_moved)
{
	ssize_t n = relay_pipe_write(pipe, pipe->held.at, pipe->held.len);

	if (n < 0)
		return false;
	*ret_moved |= n > 0;
	buf_eat(&pipe->held, (size_t)n);
	if (pipe->held.len == 0)
		buf_done(&pipe->held);
	return true;
}

static bool
relay_pipe_read(struct relay_pipe *pipe, bool *ret_moved)
{
	size_t room = pipe->left < RELAY_PIECE ? (size_t)pipe->left : RELAY_PIECE;
	ssize_t n = recv(pipe->from->fd, relay_piece, room, MSG_DONTWAIT), taken;

	if (n < 0)
		return relay_must_wait(n);
	*ret_moved = true;
	if (pipe->left != UINT64_MAX)
		pipe->left -= (uint64_t)n;
	pipe->is_eof = n == 0 || pipe->left == 0;
	taken = n ? relay_pipe_write(pipe, relay_piece, (size_t)n) : 0;
	if (taken < 0)
		return false;
	if (taken < n)
		buf_add(&pipe->held, relay_piece + taken, (size_t)(n - taken));
	return true;
}

/* A direction that may pass everything passes its end on as well; one with a body of a known length
 * leaves its side open for the answer. */
static bool
relay_pipe_pump(struct relay_pipe *pipe, bool *ret_moved)
{
	bool moved = true;

	for (int i = 0; i < RELAY_PUMPS && moved && !pipe->is_done; i++) {
		moved = false;
		if (pipe->held.len && !relay_pipe_write_held(pipe, &moved))
			return false;
		if (!pipe->held.len && !pipe->is_eof && !relay_pipe_read(pipe, &moved))
			return false;
		*ret_moved |= moved;
		if (!pipe->is_eof || pipe->held.len)
			continue;
		pipe->is_done = true;
		if (pipe->left)
			shutdown(pipe->to->fd, SHUT_WR);
	}
	return true;
}

enum relay_state
relay_turn(struct relay *relay)
{
	bool moved = false;

	if (!relay_pipe_pump(&relay->up, &moved) || !relay_pipe_pump(&relay->down, &moved))
		return RELAY_BROKEN;
	if (relay->up.is_done && relay->down.is_done)
		return RELAY_OVER;
	loop_watch_want(relay->near.watch, relay_pipe_wants(&relay->up, &relay->near) |
						   relay_pipe_wants(&relay->down, &relay->near));
	loop_watch_want(relay->far.watch, relay_pipe_wants(&relay->up, &relay->far) |
						  relay_pipe_wants(&relay->down, &relay->far));
	return moved ? RELAY_MOVED : RELAY_IDLE;
}
