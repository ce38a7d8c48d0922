/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_kit - a server and its clients in one thread: the loop runs while a client waits.
 */
#ifndef MAYFLY_NET_KIT_H
#define MAYFLY_NET_KIT_H

#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_server.h"

/* Rounds of a millisecond after which a wait has failed. */
#define NET_KIT_ROUNDS 10000

struct net_kit {
	struct loop *loop;
	struct http_server *server;
	uint16_t port;
	bool is_stopping, is_stopped;
};

static inline uint16_t
net_kit_port(int fd)
{
	struct sockaddr_in at;
	socklen_t size = sizeof(at);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	return ntohs(at.sin_port);
}

static inline void ON_LOOP
net_kit_start(
	struct net_kit *kit, const struct http_limits *limits, const struct http_handler *handler)
{
	struct err err = {0};
	int fd = http_bind("127.0.0.1:0", &err);

	*kit = (struct net_kit){.port = 0};
	assert_true(fd >= 0);
	kit->port = net_kit_port(fd);
	assert_int_equal(loop_new(&kit->loop, &err), 0);
	assert_int_equal(http_server_new(kit->loop, limits, handler, &kit->server, &err), 0);
	assert_int_equal(http_server_listen(kit->server, fd, NULL, &err), 0);
}

static inline void
net_kit_turn(struct net_kit *kit)
{
	uv_run(loop_uv(kit->loop), UV_RUN_NOWAIT);
	poll(NULL, 0, 1);
}

static inline void
net_kit_on_stopped(void *arg)
{
	((struct net_kit *)arg)->is_stopped = true;
}

static inline void ON_LOOP
net_kit_begin_stop(struct net_kit *kit, unsigned grace_ms)
{
	kit->is_stopping = true;
	http_server_stop(kit->server, grace_ms, net_kit_on_stopped, kit);
}

static inline void ON_LOOP
net_kit_stop(struct net_kit *kit)
{
	struct http_stats stats;

	if (!kit->is_stopping)
		net_kit_begin_stop(kit, 0);
	for (int i = 0; i < NET_KIT_ROUNDS && !kit->is_stopped; i++)
		net_kit_turn(kit);
	assert_true(kit->is_stopped);
	http_server_stats(kit->server, &stats);
	assert_int_equal(stats.n_connections_open, 0);
	assert_int_equal(stats.body_memory_bytes, 0);
	http_server_free(kit->server);
	loop_free(kit->loop);
}

static inline int
net_kit_connect(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static inline void
net_kit_send(int fd, struct str text)
{
	assert_int_equal(send(fd, text.at, text.len, MSG_NOSIGNAL), text.len);
}

/* Takes what is there; false at the end of the connection. */
static inline bool
net_kit_take(int fd, struct buf *in)
{
	ssize_t n;

	do {
		n = recv(fd, buf_room(in, 65536), 65536, MSG_DONTWAIT);
		if (n > 0)
			buf_grew(in, (size_t)n);
	} while (n > 0);
	return n < 0 && errno == EAGAIN;
}

/* Runs the loop until `text` has come. */
static inline void
net_kit_expect(struct net_kit *kit, int fd, struct buf *in, const char *text)
{
	for (int i = 0; i < NET_KIT_ROUNDS; i++) {
		bool is_open = net_kit_take(fd, in);

		if (in->len && strstr(in->at, text))
			return;
		if (!is_open)
			break;
		net_kit_turn(kit);
	}
	fail_msg("\"%s\" never came, but: %s", text, in->len ? in->at : "nothing");
}

/* Runs the loop until the server has closed; all that came is in `in`. */
static inline void
net_kit_drain(struct net_kit *kit, int fd, struct buf *in)
{
	for (int i = 0; i < NET_KIT_ROUNDS; i++) {
		if (!net_kit_take(fd, in))
			return;
		net_kit_turn(kit);
	}
	fail_msg("the connection was not closed; so far: %s", in->len ? in->at : "nothing");
}

#define net_kit_wait(kit, condition)                                                               \
	do {                                                                                       \
		int round_ = 0;                                                                    \
                                                                                                   \
		while (!(condition) && round_++ < NET_KIT_ROUNDS)                                  \
			net_kit_turn(kit);                                                         \
		assert_true(condition);                                                            \
	} while (0)

#endif
