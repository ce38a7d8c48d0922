/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel and whatever other socket the program has when it waits for a call: options, names of
 * both ends, which halves are shut, what waits to be read, how many may wait to be accepted.
 *
 * A duplicate is taken for the time of each look: one that is kept would keep a socket open that
 * the program has closed. Setting an option through it needs no batch.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"
#include "keeper/aspect.h"
#include "keeper/fd_list.h"
#include "keeper/procfile.h"
#include "keeper/sockopt.h"

#define SOCKET_MAX    64
#define SOCKET_MENDS  64   /* options that are put back for one socket */
#define SOCKET_DRAINS 4096 /* receives that empty one */
#define SOCKET_EVENTS (POLLIN | POLLPRI | POLLRDHUP)
#define SOCKET_WAIT   4096 /* to be accepted, where the kernel does not tell how many may */

/* How far a TCP connection has come, of its TCP_INFO. */
struct socket_progress {
	uint8_t state;
	uint64_t acked, received;
};

struct socket_name {
	struct sockaddr_storage at;
	socklen_t size; /* 0: it has none */
};

struct socket {
	int number; /* descriptor in the program */
	int domain, type;
	short events; /* that poll(2) gives */
	struct sockopts options;
	struct socket_name own, peer;
	struct socket_progress progress;
	bool can_send, listens;
	unsigned backlog; /* of one that listens */
	size_t listen;    /* call in the batch */
};

static struct {
	struct socket at[SOCKET_MAX];
	size_t n;
	int counts; /* owned: net/sockstat of its network namespace, -1: not opened */
	unsigned n_tcp;
} sockets = {.counts = -1};

static int
socket_take(struct subject *subject, int number, struct keeper_reply *reply)
{
	int fd = (int)syscall(SYS_pidfd_getfd, subject->pidfd, number, 0);

	if (fd < 0)
		return verdict(reply, KEEPER_CAUSE_SOCKET, "taking socket %d: %s", number,
			strerror(errno));
	return fd;
}

static short
socket_events(int fd)
{
	struct pollfd watched = {fd, SOCKET_EVENTS, 0};

	return poll(&watched, 1, 0) > 0 ? watched.revents : 0;
}

static void
socket_read_name(int fd, int (*read)(int, struct sockaddr *, socklen_t *), struct socket_name *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->size = sizeof(ret->at);
	if (read(fd, (struct sockaddr *)&ret->at, &ret->size) < 0)
		ret->size = 0;
}

static bool
socket_has_name(
	int fd, int (*read)(int, struct sockaddr *, socklen_t *), const struct socket_name *was)
{
	struct socket_name is;

	socket_read_name(fd, read, &is);
	return memcmp(&is, was, sizeof(is)) == 0;
}

static void
socket_read_progress(int fd, const struct socket *socket, struct socket_progress *ret)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	memset(ret, 0, sizeof(*ret));
	if (socket->domain == AF_UNIX || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return;
	ret->state = info.tcpi_state;
	ret->acked = info.tcpi_bytes_acked;
	ret->received = info.tcpi_bytes_received;
}

static int
socket_option(int fd, int number)
{
	int value = -1;
	socklen_t size = sizeof(value);

	getsockopt(fd, SOL_SOCKET, number, &value, &size);
	return value;
}

/* Sending nothing fails where this half is shut. With a boundary it would be a message, so it is
 * sent to nobody, which is found out later. Of the third type the other end tells. */
static bool
socket_can_send(const struct socket *socket, int fd)
{
	static const struct sockaddr_un nobody = {AF_UNIX, "\0mayfly-keeper"};
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
	ssize_t sent = 0;

	if (socket->domain != AF_UNIX || socket->type == SOCK_SEQPACKET)
		return true;
	if (socket->type == SOCK_STREAM)
		sent = send(fd, "", 0, flags);
	else
		sent = sendto(fd, "", 0, flags, (const void *)&nobody, sizeof(nobody));
	return sent == 0 || errno != EPIPE;
}

/* TCP tells how many may wait; for others it is a number of the keeper's, in every call. */
static unsigned
socket_backlog(const struct socket *socket, int fd)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	if (socket->domain != AF_UNIX && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
		return info.tcpi_sacked;
	return SOCKET_WAIT;
}

/* By the program itself, whose name the socket then has for those who connect. */
static void
socket_listen(struct subject *subject, struct socket *socket)
{
	if (socket->listens)
		socket->listen = subject_add_call(
			subject, SYS_listen, (uint64_t)socket->number, socket->backlog);
}

static int
socket_learn_one(struct subject *subject, int number, struct keeper_reply *reply)
{
	struct socket *socket = &sockets.at[sockets.n];
	OWN(fd) int fd = -1;

	if (sockets.n == SOCKET_MAX)
		return verdict(reply, KEEPER_CAUSE_SOCKET, "it has too many sockets");
	fd = socket_take(subject, number, reply);
	if (fd < 0)
		return -1;
	socket->number = number;
	socket->domain = socket_option(fd, SO_DOMAIN);
	socket->type = socket_option(fd, SO_TYPE);
	socket->events = socket_events(fd);
	if (socket->domain != AF_UNIX && socket->type != SOCK_STREAM)
		return verdict(reply, KEEPER_CAUSE_SOCKET, "it has a datagram socket");
	if (socket->events & (POLLIN | POLLPRI))
		return verdict(reply, KEEPER_CAUSE_SOCKET, "a socket has something to be read");
	if (!sockopt_learn(fd, socket->domain, &socket->options))
		return verdict(reply, KEEPER_CAUSE_SOCKET, "a socket has too many options");
	socket->can_send = socket_can_send(socket, fd);
	socket_read_name(fd, getsockname, &socket->own);
	socket_read_name(fd, getpeername, &socket->peer);
	socket_read_progress(fd, socket, &socket->progress);
	socket->listens = socket_option(fd, SO_ACCEPTCONN) == 1;
	socket->backlog = socket_backlog(socket, fd);
	socket_listen(subject, socket);
	sockets.n++;
	return 0;
}

/* TCP sockets of its network namespace, and of them those that hold a port in TIME_WAIT. */
static int
socket_count(unsigned *ret_n_tcp, unsigned *ret_n_waiting, struct keeper_reply *reply)
{
	static const char format[] = "TCP: inuse %u orphan %*u tw %u";
	char text[1024];
	const char *tcp;

	if (procfile_read(sockets.counts, text, sizeof(text)) < 0)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "sockstat: %s", strerror(errno));
	tcp = strstr(text, "TCP:");
	if (!tcp || sscanf(tcp, format, ret_n_tcp, ret_n_waiting) != 2)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "sockstat says nothing of TCP");
	return 0;
}

static int
socket_learn(struct subject *subject, struct keeper_reply *reply)
{
	unsigned n_waiting;
	OWN(fd) int folder = fd_list_open(subject, reply);
	struct fd_list list;
	bool is_channel_there = false;

	sockets.n = 0;
	if (sockets.counts < 0)
		sockets.counts = procfile_open(subject, reply, "net/sockstat");
	if (sockets.counts < 0 || socket_count(&sockets.n_tcp, &n_waiting, reply) < 0)
		return -1;
	if (folder < 0 || fd_list_read(folder, &list, reply) < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++) {
		struct stat stat;
		char path[24];

		snprintf(path, sizeof(path), "fd/%d", list.at[i]);
		if (fstatat(subject->proc, path, &stat, 0) < 0 || !S_ISSOCK(stat.st_mode))
			continue;
		is_channel_there |= list.at[i] == subject->channel;
		if (socket_learn_one(subject, list.at[i], reply) < 0)
			return -1;
	}
	if (!is_channel_there)
		return verdict(reply, KEEPER_CAUSE_SOCKET, "the channel is not there");
	return 0;
}

static int
socket_mend_options(const struct socket *socket, int fd, struct keeper_reply *reply)
{
	const struct sockopt *changed;

	for (int i = 0; i < SOCKET_MENDS; i++) {
		changed = sockopt_find_changed(fd, &socket->options);
		if (!changed)
			return 0;
		if (!sockopt_put_back(fd, changed))
			break;
	}
	return verdict(reply, KEEPER_CAUSE_SOCKET, "option %d of a socket has changed",
		changed ? changed->number : 0);
}

/* What came for the program is the daemon's; what it sent to itself goes. */
static int
socket_empty(const struct subject *subject, const struct socket *socket, int fd,
	struct keeper_reply *reply)
{
	char bytes[65536];

	if (socket->number == subject->channel)
		return verdict(reply, KEEPER_CAUSE_SOCKET, "the channel has changed");
	for (int i = 0; i < SOCKET_DRAINS; i++) {
		if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) < 0)
			break;
		if (socket_events(fd) == socket->events)
			return 0;
	}
	return verdict(reply, KEEPER_CAUSE_SOCKET, "a socket has something to be read");
}

static int
socket_look_at(struct subject *subject, struct socket *socket, struct keeper_reply *reply)
{
	OWN(fd) int fd = socket_take(subject, socket->number, reply);
	struct socket_progress progress;

	if (fd < 0)
		return -1;
	if (socket_mend_options(socket, fd, reply) < 0)
		return -1;
	if (socket_events(fd) != socket->events && socket_empty(subject, socket, fd, reply) < 0)
		return -1;
	if (socket_can_send(socket, fd) != socket->can_send)
		return verdict(reply, KEEPER_CAUSE_SOCKET, "a socket is shut");
	if (!socket_has_name(fd, getsockname, &socket->own) ||
		!socket_has_name(fd, getpeername, &socket->peer))
		return verdict(reply, KEEPER_CAUSE_SOCKET, "a socket has another name");
	socket_read_progress(fd, socket, &progress);
	if (memcmp(&progress, &socket->progress, sizeof(progress)) != 0)
		return verdict(reply, KEEPER_CAUSE_SOCKET, "a connection has gone on");
	socket_listen(subject, socket);
	return 0;
}

static int
socket_check_listening(const struct subject *subject, struct keeper_reply *reply)
{
	for (size_t i = 0; i < sockets.n; i++) {
		const struct socket *socket = &sockets.at[i];

		if (socket->listens && subject->batch[socket->listen].result < 0)
			return verdict(reply, KEEPER_CAUSE_SOCKET, "a socket does not listen");
	}
	return 0;
}

static int
socket_learnt(struct subject *subject, struct keeper_reply *reply)
{
	return socket_check_listening(subject, reply);
}

static int
socket_look(struct subject *subject, struct keeper_reply *reply)
{
	for (size_t i = 0; i < sockets.n; i++) {
		if (socket_look_at(subject, &sockets.at[i], reply) < 0)
			return -1;
	}
	return 0;
}

/* A connection that a call has closed may hold its port still. */
static int
socket_check(struct subject *subject, struct keeper_reply *reply)
{
	unsigned n_tcp, n_waiting;

	if (socket_check_listening(subject, reply) < 0 ||
		socket_count(&n_tcp, &n_waiting, reply) < 0)
		return -1;
	if (n_tcp != sockets.n_tcp || n_waiting)
		return verdict(reply, KEEPER_CAUSE_SOCKET, "a connection is left");
	return 0;
}

const struct aspect aspect_socket = {
	"socket", socket_learn, socket_learnt, socket_look, socket_check};
