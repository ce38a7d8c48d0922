/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/own.h"
#include "net/egress_inside.h"

#define CONN_ACCEPTS 16  /* in one turn */
#define CONN_STALE   256 /* while it is closed: more than wait to be accepted */

/* One connection of the function: near is the function, far the outside. */
struct egress_conn {
	struct list link;      /* in egress.conns */
	struct egress *egress; /* borrowed */
	struct relay relay;
	bool is_connected;
	uint64_t n_out, n_in; /* counted already */
	struct egress_address address;
	uint16_t port;
	struct loop_timer timer;
};

/* ---- end ---- */

static void
conn_on_closed(struct loop_timer *timer)
{
	free(list_owner(timer, struct egress_conn, timer));
}

static void ON_LOOP
conn_count(struct egress_conn *conn)
{
	conn->egress->bytes.out += conn->relay.up.n_bytes - conn->n_out;
	conn->egress->bytes.in += conn->relay.down.n_bytes - conn->n_in;
	conn->n_out = conn->relay.up.n_bytes;
	conn->n_in = conn->relay.down.n_bytes;
}

static void ON_LOOP
conn_free(struct egress_conn *conn)
{
	struct egress *egress = conn->egress;

	conn_count(conn);
	relay_done(&conn->relay);
	list_remove(&conn->link);
	egress->host->n_open--;
	if (egress->n_conns-- == egress->host->connections)
		egress_want_connections(egress, true);
	loop_timer_close(&conn->timer, conn_on_closed);
}

/* Neither side takes what came for the whole. */
static void ON_LOOP
conn_break(struct egress_conn *conn)
{
	relay_end_reset(&conn->relay.near);
	if (conn->is_connected)
		relay_end_reset(&conn->relay.far);
	conn_free(conn);
}

static void ON_LOOP
conn_fail(struct egress_conn *conn, const char *why)
{
	char text[EGRESS_TEXT_SIZE];

	egress_address_text(&conn->address, text);
	conn->egress->host->stats.n_failed++;
	egress_say(conn->egress, "connecting to %s port %u: %s", text, conn->port, why);
	conn_break(conn);
}

static void
conn_on_timer(struct loop_timer *timer)
{
	struct egress_conn *conn = list_owner(timer, struct egress_conn, timer);

	thread_on_loop();
	if (conn->is_connected)
		conn_break(conn);
	else
		conn_fail(conn, strerror(ETIMEDOUT));
}

/* What the function sent before its call was over still leaves, as far as it does so at once. */
void
egress_conn_end_all(struct egress *egress)
{
	struct egress_conn *conn;

	list_each (&egress->conns, conn, link) {
		if (conn->is_connected)
			relay_turn(&conn->relay);
		relay_end_reset(&conn->relay.near);
		conn_free(conn);
	}
}

/* ---- passing bytes ---- */

static void ON_LOOP
conn_turn(struct egress_conn *conn)
{
	enum relay_state state = relay_turn(&conn->relay);

	conn_count(conn);
	if (state == RELAY_BROKEN)
		conn_break(conn);
	else if (state == RELAY_OVER)
		conn_free(conn);
	else if (state == RELAY_MOVED)
		loop_timer_start(conn->egress->host->loop, &conn->timer,
			conn->egress->host->idle_ms, conn_on_timer);
}

static void
conn_on_far(struct loop_watch *watch, int events, void *arg)
{
	struct egress_conn *conn = arg;
	socklen_t size = sizeof(int);
	int failure = 0;

	thread_on_loop();
	if (!conn->is_connected) {
		if (getsockopt(conn->relay.far.fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0)
			failure = errno;
		if (failure) {
			conn_fail(conn, strerror(failure));
			return;
		}
		conn->is_connected = true;
		loop_timer_start(conn->egress->host->loop, &conn->timer,
			conn->egress->host->idle_ms, conn_on_timer);
	}
	conn_turn(conn);
}

/* Not looked at until there is somebody to pass its bytes to. */
static void
conn_on_near(struct loop_watch *watch, int events, void *arg)
{
	thread_on_loop();
	conn_turn(arg);
}

/* ---- start ---- */

static int
conn_connect(const struct egress_address *address, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t size = egress_address_to(address, port, &to);
	OWN(fd) int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int at_once = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once)) < 0 ||
		(connect(fd, (struct sockaddr *)&to, size) < 0 && errno != EINPROGRESS))
		return -1;
	return take_fd(&fd);
}

static void ON_LOOP
conn_start(struct egress *egress, int near, const struct egress_address *address, uint16_t port)
{
	struct loop *loop = egress->host->loop;
	struct egress_conn *conn = mem_new(sizeof(*conn));
	struct relay *relay = &conn->relay;
	struct err err = {0};
	int at_once = 1;

	relay_init(relay);
	relay->near.fd = near;
	conn->egress = egress;
	conn->address = *address;
	conn->port = port;
	list_push_back(&egress->conns, &conn->link);
	egress->host->n_open++;
	egress->host->stats.n_connections++;
	if (++egress->n_conns == egress->host->connections)
		egress_want_connections(egress, false);
	setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
	relay->far.fd = conn_connect(address, port);
	if (relay->far.fd < 0) {
		conn_fail(conn, strerror(errno));
		return;
	}
	if (loop_watch_new(loop, near, conn_on_near, conn, &relay->near.watch, &err) < 0 ||
		loop_watch_new(loop, relay->far.fd, conn_on_far, conn, &relay->far.watch, &err) <
			0) {
		conn_fail(conn, err.text);
		return;
	}
	loop_watch_want(relay->far.watch, UV_WRITABLE);
	loop_timer_start(loop, &conn->timer, egress->host->connect_ms, conn_on_timer);
}

/* ---- deciding ---- */

static bool ON_LOOP
conn_is_in_rules(struct egress *egress, const struct egress_address *address, uint16_t port)
{
	for (size_t i = 0; i < egress->n_rules; i++) {
		const struct egress_rule *rule = &egress->rules[i];

		if (rule->kind == EGRESS_RANGE && egress_range_has(&rule->range, address) &&
			egress_rule_has_port(rule, port))
			return true;
	}
	return egress_names_allow(egress, address, port);
}

static bool ON_LOOP
conn_is_allowed(struct egress *egress, const struct egress_address *address, uint16_t port)
{
	const char *fault = egress_host_fault(egress->host, address);
	char text[EGRESS_TEXT_SIZE];

	if (!fault && conn_is_in_rules(egress, address, port))
		return true;
	egress_address_text(address, text);
	egress->host->stats.n_refused++;
	if (fault)
		egress_say(egress, "the connection to %s port %u is refused: the address is %s",
			text, port, fault);
	else
		egress_say(egress,
			"the connection to %s port %u is refused: network.allow does not have it",
			text, port);
	return false;
}

/* The address that a connection was accepted on is the one that it was meant for. */
static bool ON_LOOP
conn_may_start(struct egress *egress, int fd, struct egress_address *ret, uint16_t *ret_port)
{
	struct sockaddr_storage at = {0};
	socklen_t size = sizeof(at);

	if (!egress->is_open || getsockname(fd, (struct sockaddr *)&at, &size) < 0 ||
		!egress_address_of((struct sockaddr *)&at, ret))
		return false;
	*ret_port = ntohs(at.ss_family == AF_INET ? ((struct sockaddr_in *)&at)->sin_port
						  : ((struct sockaddr_in6 *)&at)->sin6_port);
	if (egress->host->n_open >= egress->host->n_open_max) {
		egress_say(egress, "a connection is refused: this machine has too many");
		return false;
	}
	return conn_is_allowed(egress, ret, *ret_port);
}

/* All that is there while it is closed: what waits unseen until a call begins would be taken for
 * one of that call. */
void
egress_conn_on_accept(struct loop_watch *watch, int events, void *arg)
{
	struct egress_listener *listener = arg;
	struct egress *egress = listener->egress;
	int fd;

	thread_on_loop();
	for (int i = 0; i < (egress->is_open ? CONN_ACCEPTS : CONN_STALE); i++) {
		struct relay_end near = {0};
		struct egress_address address;
		uint16_t port;

		if (egress->n_conns >= egress->host->connections ||
			(fd = egress_accept(listener)) < 0)
			return;
		near.fd = fd;
		if (conn_may_start(egress, fd, &address, &port))
			conn_start(egress, fd, &address, port);
		else
			relay_end_reset(&near);
	}
}
