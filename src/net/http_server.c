/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/own.h"
#include "net/http_conn.h"
#include "net/http_exchange.h"

#define HTTP_BACKLOG 4096
/* Connections accepted in one go, so that a flood of them does not keep others waiting. */
#define HTTP_ACCEPTS 64
/* How long a listener rests when the process has no descriptor left. */
#define HTTP_REST_MS 100

const struct http_limits http_limits_default = {
	.header_block_bytes = (size_t)32 * 1024,
	.target_bytes = (size_t)8 * 1024,
	.n_headers = 100,
	.body_bytes = (size_t)1024 * 1024,
	.body_memory_bytes = (size_t)1024 * 1024 * 1024,
	.n_connections = 10000,
	.header_ms = 10000,
	.idle_ms = 75000,
	.body_rate_bytes_s = 1024,
	.body_window_ms = 5000,
	.write_ms = 30000,
	.read_ahead_bytes = (size_t)64 * 1024,
	.n_streams = 128,
};

struct http_listener {
	struct list link;
	struct http_server *server; /* borrowed */
	int fd;                     /* owned */
	struct loop_watch *watch;   /* owned */
	struct tls_context *tls;    /* borrowed; NULL for clear text */
	struct loop_timer rest;
};

int
http_server_new(struct loop *loop, const struct http_limits *limits,
	const struct http_handler *handler, struct http_server **ret, struct err *err)
{
	struct http_server *server;

	must(handler->on_request);
	if (limits->header_block_bytes < limits->target_bytes + 64 || limits->n_headers == 0 ||
		limits->header_block_bytes > UINT32_MAX)
		return err_set(err, ERR_INVALID,
			"the header block's limit does not hold the target and a header");
	server = mem_new(sizeof(*server));
	server->loop = loop;
	server->limits = *limits;
	server->handler = *handler;
	server->scratch = mem_grow(NULL, HTTP_SCRATCH_BYTES);
	list_init(&server->listeners);
	list_init(&server->conns);
	*ret = server;
	return 0;
}

/* ---- listening ---- */

static void ON_LOOP
http_listener_on_rest(struct loop_timer *rest)
{
	loop_watch_want(list_owner(rest, struct http_listener, rest)->watch, UV_READABLE);
}

/* One connection too many is told so, as far as its socket takes the answer at once. */
static void ON_LOOP
http_listener_refuse(struct http_listener *listener, int fd)
{
	OWN(buf) struct buf body = BUF_INIT;
	OWN(buf) struct buf out = BUF_INIT;

	http_exchange_write_error(
		listener->server, ERR_UNAVAILABLE, "too many connections, try again", &body);
	buf_printf(&out,
		"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n"
		"content-type: application/json\r\nx-mayfly-error: unavailable\r\n"
		"content-length: %zu\r\n\r\n",
		body.len);
	buf_add_str(&out, buf_str(&body));
	if (!listener->tls)
		(void)!send(fd, out.at, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	close(fd);
}

static bool ON_LOOP
http_listener_accept(struct http_listener *listener)
{
	struct http_server *server = listener->server;
	struct sockaddr_storage peer = {0};
	socklen_t size = sizeof(peer);
	int fd = accept4(
		listener->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0 && server->stats.n_connections_open >= server->limits.n_connections) {
		http_listener_refuse(listener, fd);
	} else if (fd >= 0) {
		http_conn_new(server, fd, (struct sockaddr *)&peer, listener->tls);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		loop_watch_want(listener->watch, 0);
		loop_timer_start(
			server->loop, &listener->rest, HTTP_REST_MS, http_listener_on_rest);
		return false;
	} else if (errno == EAGAIN) {
		return false;
	}
	return true;
}

static void ON_LOOP
http_listener_on_event(struct loop_watch *watch, int events, void *arg)
{
	for (int i = 0; i < HTTP_ACCEPTS && http_listener_accept(arg); i++)
		;
}

int
http_server_listen(
	struct http_server *server, int listener_fd, struct tls_context *tls, struct err *err)
{
	OWN(fd) int fd = listener_fd;
	struct http_listener *listener;
	struct loop_watch *watch;
	int rc;

	if (listen(fd, HTTP_BACKLOG) < 0)
		return err_sys(err, "listening");
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "making a listener non-blocking");
	listener = mem_new(sizeof(*listener));
	rc = loop_watch_new(server->loop, fd, http_listener_on_event, listener, &watch, err);
	if (rc < 0) {
		free(listener);
		return rc;
	}
	listener->server = server;
	listener->fd = take_fd(&fd);
	listener->watch = watch;
	listener->tls = tls;
	list_push_back(&server->listeners, &listener->link);
	loop_watch_want(watch, UV_READABLE);
	return 0;
}

static void
http_listener_on_closed(struct loop_timer *rest)
{
	free(list_owner(rest, struct http_listener, rest));
}

static void ON_LOOP
http_server_unlisten(struct http_server *server)
{
	struct http_listener *listener;

	list_each (&server->listeners, listener, link) {
		list_remove(&listener->link);
		loop_watch_free(listener->watch);
		close(listener->fd);
		loop_timer_close(&listener->rest, http_listener_on_closed);
	}
}

/* ---- stopping ---- */

static void
http_server_on_grace_closed(struct loop_timer *grace)
{
	struct http_server *server = list_owner(grace, struct http_server, grace);

	server->on_stopped(server->stopped_arg);
}

void
http_server_conn_gone(struct http_server *server)
{
	server->stats.n_connections_open--;
	if (server->is_stopping && list_is_empty(&server->conns))
		loop_timer_close(&server->grace, http_server_on_grace_closed);
}

static void ON_LOOP
http_server_on_grace(struct loop_timer *grace)
{
	struct http_server *server = list_owner(grace, struct http_server, grace);
	struct http_conn *conn;

	list_each (&server->conns, conn, link)
		http_conn_break(conn);
}

void
http_server_stop(struct http_server *server, unsigned grace_ms, void (*done)(void *arg), void *arg)
{
	struct http_conn *conn;

	must(!server->is_stopping);
	server->on_stopped = done;
	server->stopped_arg = arg;
	server->is_stopping = true;
	http_server_unlisten(server);
	loop_timer_start(server->loop, &server->grace, grace_ms, http_server_on_grace);
	if (list_is_empty(&server->conns))
		loop_timer_close(&server->grace, http_server_on_grace_closed);
	list_each (&server->conns, conn, link)
		http_conn_stop(conn);
}

void
http_server_free(struct http_server *server)
{
	if (!server)
		return;
	must(list_is_empty(&server->conns) && list_is_empty(&server->listeners));
	free(server->scratch);
	free(server);
}

/* ---- the rest ---- */

void
http_server_stats(const struct http_server *server, struct http_stats *ret)
{
	*ret = server->stats;
}

/* Written by hand: strftime() would follow the locale. */
struct str
http_server_date(struct http_server *server)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t now = (time_t)(clock_unix_ms() / 1000);
	struct tm tm;

	if ((uint64_t)now != server->date_s) {
		gmtime_r(&now, &tm);
		snprintf(server->date, sizeof(server->date),
			"%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + tm.tm_wday * 3,
			(unsigned)tm.tm_mday % 100, months + tm.tm_mon * 3,
			(unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
			(unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
		server->date_s = (uint64_t)now;
	}
	return str_n(server->date, HTTP_DATE_SIZE - 1);
}

/* ---- binding ---- */

/* "host:port" with an address in place of the host; brackets around an IPv6 one. */
static socklen_t
http_parse_address(struct str address, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	char host[INET6_ADDRSTRLEN] = "";
	size_t colon = address.len;
	uint64_t port;
	bool is_six;

	while (colon > 0 && address.at[colon - 1] != ':')
		colon--;
	if (colon == 0 || !str_to_u64(str_n(address.at + colon, address.len - colon), &port) ||
		port > UINT16_MAX)
		return 0;
	address.len = colon - 1;
	is_six = address.len > 2 && address.at[0] == '[' && address.at[address.len - 1] == ']';
	if (is_six)
		address = str_n(address.at + 1, address.len - 2);
	if (address.len >= sizeof(host))
		return 0;
	memcpy(host, address.at, address.len);
	*ret = (struct sockaddr_storage){.ss_family = is_six ? AF_INET6 : AF_INET};
	if (inet_pton(ret->ss_family, host,
		    is_six ? (void *)&in6->sin6_addr : (void *)&in->sin_addr) != 1)
		return 0;
	if (is_six)
		in6->sin6_port = htons((uint16_t)port);
	else
		in->sin_port = htons((uint16_t)port);
	return is_six ? sizeof(*in6) : sizeof(*in);
}

int
http_bind(const char *address, struct err *err)
{
	struct sockaddr_storage at;
	socklen_t size = http_parse_address(str_of(address), &at);
	OWN(fd) int fd = -1;

	if (!size)
		return err_set(err, ERR_INVALID,
			"\"%s\" is not an address with a port, like 127.0.0.1:8080 or [::1]:8080",
			address);
	fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0)
		return err_sys(err, "making a socket for %s", address);
	if (bind(fd, (struct sockaddr *)&at, size) < 0)
		return err_sys(err, "binding %s", address);
	return take_fd(&fd);
}
