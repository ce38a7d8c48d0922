/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mf_inside.h"

#define READ_SIZE (64 * 1024)

static size_t
bytes_left(const struct mf_channel *channel)
{
	return channel->in.size - channel->in_at;
}

bool
mf_channel_has_frame(const struct mf_channel *channel)
{
	struct frame_head head;

	if (bytes_left(channel) < sizeof(head))
		return false;
	memcpy(&head, channel->in.at + channel->in_at, sizeof(head));
	return bytes_left(channel) - sizeof(head) >= head.size;
}

/* Brings what is left to the front and reads some more behind it. */
static bool
read_more(struct mf_channel *channel)
{
	struct mf_bytes *in = &channel->in;
	size_t left = bytes_left(channel);
	ssize_t n;

	if (channel->in_at) {
		memmove(in->at, in->at + channel->in_at, left);
		in->size = left;
		channel->in_at = 0;
	}
	if (in->cap < left + READ_SIZE + 1) {
		in->cap = 2 * left + READ_SIZE + 1;
		in->at = mf_memory(in->at, in->cap);
	}
	do {
		n = read(channel->fd, in->at + left, in->cap - 1 - left);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	in->size += (size_t)n;
	return true;
}

bool
mf_channel_read(struct mf_channel *channel, struct mf_frame *ret)
{
	while (!mf_channel_has_frame(channel)) {
		if (!read_more(channel))
			return false;
	}
	memcpy(&ret->head, channel->in.at + channel->in_at, sizeof(ret->head));
	ret->payload = channel->in.at + channel->in_at + sizeof(ret->head);
	channel->in_at += sizeof(ret->head) + ret->head.size;
	return true;
}

static bool
write_all(int fd, struct iovec *parts, int n)
{
	while (n) {
		ssize_t written = writev(fd, parts, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return false;
		while (n && (size_t)written >= parts->iov_len) {
			written -= (ssize_t)parts->iov_len;
			parts++;
			n--;
		}
		if (n) {
			parts->iov_base = (char *)parts->iov_base + written;
			parts->iov_len -= (size_t)written;
		}
	}
	return true;
}

bool
mf_channel_send(struct mf_channel *channel, enum frame_kind kind, uint8_t flags, uint64_t call,
	const void *payload, size_t size)
{
	struct frame_head head = {
		.size = (uint32_t)size, .kind = (uint8_t)kind, .flags = flags, .call = call};
	struct iovec parts[] = {{&head, sizeof(head)}, {(void *)payload, size}};

	return write_all(channel->fd, parts, size ? 2 : 1);
}

bool
mf_channel_answer(struct mf_channel *channel, uint64_t call, const struct mf_bytes *head,
	const void *body, size_t size)
{
	struct {
		struct frame_head frame;
		uint32_t head_size;
	} __attribute__((packed))
	start = {{.size = (uint32_t)(4 + head->size + size), .kind = FRAME_ANSWER, .call = call},
		(uint32_t)head->size};
	struct iovec parts[] = {
		{&start, sizeof(start)}, {head->at, head->size}, {(void *)body, size}};

	return write_all(channel->fd, parts, size ? 3 : 2);
}

bool
mf_channel_error(struct mf_channel *channel, enum frame_kind kind, uint64_t call, const char *type,
	const char *message, const char *trace)
{
	struct mf_bytes payload = {0};
	bool is_sent;

	mf_bytes_add(&payload, type, strlen(type) + 1);
	mf_bytes_add(&payload, message, strlen(message) + 1);
	mf_bytes_print(&payload, trace);
	is_sent = mf_channel_send(channel, kind, 0, call, payload.at, payload.size);
	mf_bytes_done(&payload);
	return is_sent;
}

bool
mf_head_add(struct mf_bytes *head, const char *name, const char *value)
{
	static const char marks[] = "!#$%&'*+-.^_`|~0123456789"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	if (!*name || name[strspn(name, marks)])
		return false;
	for (const char *at = value; *at; at++) {
		if (((unsigned char)*at < 0x20 && *at != '\t') || *at == 0x7f)
			return false;
	}
	mf_bytes_print(head, name);
	mf_bytes_print(head, ":");
	mf_bytes_print(head, value);
	mf_bytes_print(head, "\n");
	return true;
}
