/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel and whatever other socket the program has when it waits for a call: options, name,
 * which halves are shut, what waits to be read.
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

/* How far a TCP connection has come, of its TCP_INFO. */
struct socket_progress {
	uint8_t state;
	uint64_t acked, received;
};

struct socket {
	int number; /* descriptor in the program */
	int domain, type;
	short events; /* that poll(2) gives */
	struct sockopts options;
	struct sockaddr_storage name;
	socklen_t name_size;
	struct socket_progress progress;
	bool can_send;
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
socket_read_name(int fd, struct sockaddr_storage *ret, socklen_t *ret_size)
{
	memset(ret, 0, sizeof(*ret));
	*ret_size = sizeof(*ret);
	if (getsockname(fd, (struct sockaddr *)ret, ret_size) < 0)
		*ret_size = 0;
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

/* Sending nothing fails where this half is shut. With a boundary it would be a message. */
static bool
socket_can_send(const struct socket *socket, int fd)
{
	return socket->domain != AF_UNIX || socket->type != SOCK_STREAM ||
	       send(fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) == 0 || errno != EPIPE;
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
	sockopt_learn(fd, socket->domain, &socket->options);
	socket_read_name(fd, &socket->name, &socket->name_size);
	socket_read_progress(fd, socket, &socket->progress);
	socket->can_send = socket_can_send(socket, fd);
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
socket_look_at(struct subject *subject, const struct socket *socket, struct keeper_reply *reply)
{
	OWN(fd) int fd = socket_take(subject, socket->number, reply);
	struct sockaddr_storage name;
	struct socket_progress progress;
	socklen_t name_size;

	if (fd < 0)
		return -1;
	if (socket_mend_options(socket, fd, reply) < 0)
		return -1;
	if (socket_events(fd) != socket->events && socket_empty(subject, socket, fd, reply) < 0)
		return -1;
	if (socket_can_send(socket, fd) != socket->can_send)
		return verdict(reply, KEEPER_CAUSE_SOCKET, "a socket is shut");
	socket_read_name(fd, &name, &name_size);
	if (name_size != socket->name_size || memcmp(&name, &socket->name, sizeof(name)) != 0)
		return verdict(reply, KEEPER_CAUSE_SOCKET, "a socket has another name");
	socket_read_progress(fd, socket, &progress);
	if (memcmp(&progress, &socket->progress, sizeof(progress)) != 0)
		return verdict(reply, KEEPER_CAUSE_SOCKET, "a connection has gone on");
	return 0;
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

	if (socket_count(&n_tcp, &n_waiting, reply) < 0)
		return -1;
	if (n_tcp != sockets.n_tcp || n_waiting)
		return verdict(reply, KEEPER_CAUSE_SOCKET, "a connection is left");
	return 0;
}

const struct aspect aspect_socket = {"socket", socket_learn, NULL, socket_look, socket_check};
