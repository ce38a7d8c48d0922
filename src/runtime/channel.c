/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/channel.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/own.h"

enum {
	CHANNEL_READ_BYTES = 64 * 1024,
	CHANNEL_READS = 4,               /* in one turn, then the others have theirs */
	CHANNEL_COPY_BYTES = 32 * 1024,  /* larger payloads are written without a copy */
	CHANNEL_SMALL_BYTES = 64 * 1024, /* an emptied buffer above it is given back */
	CHANNEL_PARTS = 4,
};

/* Where a read goes when nothing is left over from the one before: a channel at rest then holds
 * no buffer at all. */
static _Thread_local char channel_scratch[CHANNEL_READ_BYTES];

/* ---- the form of frames ---- */

static int64_t
channel_max_size(uint8_t kind)
{
	switch (kind) {
	case FRAME_READY:
	case FRAME_ANSWER_END:
		return 0;
	case FRAME_FAIL:
	case FRAME_ERROR:
	case FRAME_LOG:
	case FRAME_ANSWER_HEAD:
		return CHANNEL_TEXT_BYTES;
	case FRAME_ANSWER:
	case FRAME_ANSWER_BODY:
		return UINT32_MAX;
	default:
		return -1;
	}
}

static int
channel_check(const struct frame_head *head, struct err *err)
{
	int64_t max = channel_max_size(head->kind);

	if (max < 0)
		return err_set(err, ERR_ANSWER_INVALID,
			"the runtime sent a frame of unknown kind %u", head->kind);
	if (head->size > max)
		return err_set(err, ERR_ANSWER_INVALID,
			"the runtime sent a frame of kind %u with %u bytes, at most %lld are "
			"allowed",
			head->kind, head->size, (long long)max);
	if (head->zero != 0 || (head->flags != 0 && head->kind != FRAME_LOG))
		return err_set(err, ERR_ANSWER_INVALID,
			"the runtime sent a frame of kind %u with a field that must be zero",
			head->kind);
	return 0;
}

/* Gives how many bytes it used: the rest of a frame that came in parts. */
static size_t
channel_parse_rest(struct channel *channel, char *bytes, size_t n)
{
	size_t len = n < channel->n_left ? n : channel->n_left;
	struct channel_frame frame = {.head = channel->head,
		.offset = channel->head.size - channel->n_left,
		.at = bytes,
		.len = len};

	channel->n_left -= (uint32_t)len;
	channel->events->on_frame(channel, &frame);
	return len;
}

/* Gives how many bytes of the next frame it used, 0 when more have to come first. */
static int64_t
channel_parse_next(struct channel *channel, char *bytes, size_t n, struct err *err)
{
	struct channel_frame frame = {.at = bytes + sizeof(frame.head)};
	int rc;

	if (n < sizeof(frame.head))
		return 0;
	memcpy(&frame.head, bytes, sizeof(frame.head));
	rc = channel_check(&frame.head, err);
	if (rc < 0)
		return rc;
	frame.len = n - sizeof(frame.head);
	if (frame.len >= frame.head.size)
		frame.len = frame.head.size;
	else if (frame.head.size <= CHANNEL_WHOLE_BYTES || frame.len < CHANNEL_PART_BYTES)
		return 0;
	channel->head = frame.head;
	channel->n_left = frame.head.size - (uint32_t)frame.len;
	channel->events->on_frame(channel, &frame);
	return (int64_t)(sizeof(frame.head) + frame.len);
}

int64_t
channel_parse(struct channel *channel, char *bytes, size_t n, struct err *err)
{
	size_t used = 0;

	while (used < n && !channel->is_paused && !channel->is_ended) {
		int64_t step =
			channel->n_left > 0
				? (int64_t)channel_parse_rest(channel, bytes + used, n - used)
				: channel_parse_next(channel, bytes + used, n - used, err);

		if (step < 0)
			return step;
		if (step == 0)
			break;
		used += (size_t)step;
	}
	return (int64_t)used;
}

/* ---- reading ---- */

static void ON_LOOP
channel_want(struct channel *channel)
{
	int events = 0;

	if (!channel->watch)
		return;
	if (!channel->is_paused && !channel->is_ended)
		events |= UV_READABLE;
	if (channel->is_blocked)
		events |= UV_WRITABLE;
	loop_watch_want(channel->watch, events);
}

static void ON_LOOP
channel_end(struct channel *channel, const struct err *reason)
{
	if (channel->is_ended)
		return;
	channel->is_ended = true;
	channel_want(channel);
	channel->events->on_end(channel, reason);
}

/* Parses what is in `in`. */
static void ON_LOOP
channel_parse_in(struct channel *channel)
{
	struct err err = {0};
	int64_t used;

	channel->is_parsing = true;
	used = channel_parse(channel, channel->in.at, channel->in.len, &err);
	channel->is_parsing = false;
	if (used < 0) {
		channel_end(channel, &err);
		return;
	}
	buf_eat(&channel->in, (size_t)used);
	if (channel->is_ended || (channel->in.len == 0 && channel->in.cap > CHANNEL_SMALL_BYTES))
		buf_done(&channel->in);
}

static void ON_LOOP
channel_parse_scratch(struct channel *channel, size_t n)
{
	struct err err = {0};
	int64_t used = channel_parse(channel, channel_scratch, n, &err);

	if (used < 0)
		channel_end(channel, &err);
	else if (!channel->is_ended)
		buf_add(&channel->in, channel_scratch + used, n - (size_t)used);
}

/* Gives whether there may be more to read. */
static bool ON_LOOP
channel_read(struct channel *channel)
{
	bool is_fresh = channel->in.len == 0;
	char *room = is_fresh ? channel_scratch : buf_room(&channel->in, CHANNEL_READ_BYTES);
	ssize_t n = recv(channel->fd, room, CHANNEL_READ_BYTES, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		struct err end = {0};

		channel_end(channel, &end);
		return false;
	}
	if (is_fresh) {
		channel_parse_scratch(channel, (size_t)n);
	} else {
		buf_grew(&channel->in, (size_t)n);
		channel_parse_in(channel);
	}
	return n == CHANNEL_READ_BYTES;
}

/* ---- writing ---- */

/* Gives how many of the bytes left, 0 when the socket is full or nobody reads any more: what comes
 * from the other side, or its end, is then what counts. */
static size_t
channel_write(struct channel *channel, const struct iovec *parts, size_t n)
{
	struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = n};
	ssize_t written = sendmsg(channel->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (written >= 0)
		return (size_t)written;
	if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
		channel->is_mute = true;
	return 0;
}

static void ON_LOOP
channel_write_out(struct channel *channel)
{
	struct iovec part = {channel->out.at, channel->out.len};

	if (channel->is_mute || channel->fd < 0) {
		buf_done(&channel->out);
	} else if (channel->out.len > 0) {
		buf_eat(&channel->out, channel_write(channel, &part, 1));
		if (channel->is_mute ||
			(channel->out.len == 0 && channel->out.cap > CHANNEL_SMALL_BYTES))
			buf_done(&channel->out);
	}
	channel->is_blocked = channel->out.len > 0;
	channel_want(channel);
}

/* Writes what is waiting and then the parts, keeps what did not fit. */
static void ON_LOOP
channel_write_parts(struct channel *channel, const struct str *parts, size_t n)
{
	struct iovec iov[CHANNEL_PARTS + 2];
	size_t held = channel->out.len, written;

	iov[0] = (struct iovec){channel->out.at, held};
	for (size_t i = 0; i < n; i++)
		iov[i + 1] = (struct iovec){(void *)parts[i].at, parts[i].len};
	written = channel_write(channel, iov, n + 1);
	buf_eat(&channel->out, written < held ? written : held);
	written -= written < held ? written : held;
	for (size_t i = 0; i < n; i++) {
		size_t skip = written < parts[i].len ? written : parts[i].len;

		buf_add(&channel->out, parts[i].at + skip, parts[i].len - skip);
		written -= skip;
	}
	channel->is_blocked = channel->out.len > 0;
	channel_want(channel);
}

void
channel_send(struct channel *channel, enum frame_kind kind, uint64_t call, const struct str *parts,
	size_t n)
{
	struct frame_head head = {.kind = kind, .call = call};
	struct str all[CHANNEL_PARTS + 1] = {str_n(&head, sizeof(head))};
	size_t size = 0;

	must(n <= CHANNEL_PARTS);
	if (channel->fd < 0 || channel->is_mute)
		return;
	for (size_t i = 0; i < n; i++) {
		size += parts[i].len;
		all[i + 1] = parts[i];
	}
	must(size <= UINT32_MAX);
	head.size = (uint32_t)size;
	if (size > CHANNEL_COPY_BYTES && !channel->is_blocked) {
		channel_write_parts(channel, all, n + 1);
		return;
	}
	for (size_t i = 0; i <= n; i++)
		buf_add_str(&channel->out, all[i]);
	if (!channel->is_blocked)
		loop_flush_soon(channel->loop, &channel->flush);
}

/* ---- the loop ---- */

static void ON_LOOP
channel_on_flush(struct loop_flush *flush)
{
	struct channel *channel = list_owner(flush, struct channel, flush);

	if (!channel->is_blocked)
		channel_write_out(channel);
	if (channel->in.len > 0 && !channel->is_paused && !channel->is_ended)
		channel_parse_in(channel);
}

static void
channel_on_ready(struct loop_watch *watch, int events, void *arg)
{
	struct channel *channel = arg;

	thread_on_loop();
	if (events & UV_WRITABLE)
		channel_write_out(channel);
	for (int i = 0; i < CHANNEL_READS; i++)
		if (!(events & UV_READABLE) || channel->is_paused || channel->is_ended ||
			!channel_read(channel))
			break;
}

int
channel_open(struct channel *channel, struct loop *loop, int fd,
	const struct channel_events *events, struct err *err)
{
	*channel = (struct channel){.events = events, .loop = loop, .fd = fd};
	list_init(&channel->flush.link);
	channel->flush.run = channel_on_flush;
	if (loop_watch_new(loop, fd, channel_on_ready, channel, &channel->watch, err) < 0) {
		channel_close(channel);
		return err_wrap(err, ERR_SYSTEM, "opening the channel to a function");
	}
	channel_want(channel);
	return 0;
}

/* From an event the bytes that are being parsed are still looked at: the parser frees them. */
void
channel_close(struct channel *channel)
{
	channel->is_ended = true;
	loop_watch_free(take_ptr(&channel->watch));
	list_remove(&channel->flush.link);
	if (channel->fd >= 0)
		close(take_fd(&channel->fd));
	buf_done(&channel->out);
	if (!channel->is_parsing)
		buf_done(&channel->in);
}

void
channel_pause(struct channel *channel, bool is_paused)
{
	if (channel->is_paused == is_paused)
		return;
	channel->is_paused = is_paused;
	channel_want(channel);
	if (!is_paused && channel->in.len > 0)
		loop_flush_soon(channel->loop, &channel->flush);
}

void
channel_drain(struct channel *channel)
{
	channel_pause(channel, false);
	if (channel->in.len > 0 && !channel->is_ended)
		channel_parse_in(channel);
	while (channel->fd >= 0 && !channel->is_ended && channel_read(channel))
		;
}

bool
channel_is_at_rest(const struct channel *channel)
{
	return !channel->is_ended && !channel->is_mute && channel->n_left == 0 &&
	       channel->in.len == 0 && channel->out.len == 0;
}
