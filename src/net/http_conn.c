/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/http_exchange.h"
#include "net/tls.h"

/* How long a client may go on sending what nobody reads, so that it sees the answer instead of a
 * reset (RFC 9112 9.6). */
#define HTTP_LINGER_MS 2000
/* The same while the server stops and waits for it. */
#define HTTP_LINGER_STOPPING_MS 100
/* Bytes from here on are written at once instead of being copied to the queue first. */
#define HTTP_DIRECT_BYTES ((size_t)64 * 1024)
/* A queue buffer up to this size stays with an idle connection. */
#define HTTP_OUT_KEEP ((size_t)16 * 1024)

static const char http_preface[HTTP_PREFACE_BYTES + 1] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* ---- deadlines ---- */

static void http_conn_on_timer(struct loop_timer *timer) ON_LOOP;

uint64_t
http_conn_now(const struct http_conn *conn)
{
	return uv_now(loop_uv(conn->server->loop));
}

/* The timer is moved only when it would run too late; when it runs too early it is set again. So
 * the usual request, which moves its deadlines ahead, costs no timer work. */
static void ON_LOOP
http_conn_arm(struct http_conn *conn)
{
	uint64_t earliest = conn->deadline_ms;
	uint64_t now = http_conn_now(conn);

	if (conn->write_deadline_ms && (!earliest || conn->write_deadline_ms < earliest))
		earliest = conn->write_deadline_ms;
	if (!earliest || (conn->armed_ms && conn->armed_ms <= earliest))
		return;
	conn->armed_ms = earliest;
	loop_timer_start(conn->server->loop, &conn->timer, earliest > now ? earliest - now : 0,
		http_conn_on_timer);
}

void
http_conn_deadline(struct http_conn *conn, uint64_t after_ms)
{
	conn->deadline_ms = after_ms ? http_conn_now(conn) + after_ms : 0;
	http_conn_arm(conn);
}

/* ---- death ---- */

static void
http_conn_on_closed(struct loop_timer *timer)
{
	free(list_owner(timer, struct http_conn, timer));
}

static void ON_LOOP
http_conn_kill(struct http_conn *conn)
{
	struct http_server *server = conn->server;

	if (conn->state == HTTP_CONN_DEAD)
		return;
	conn->state = HTTP_CONN_DEAD;
	if (conn->protocol) {
		conn->protocol->on_dead(conn);
		conn->protocol->free(conn->protocol_state);
	}
	tls_session_free(conn->tls);
	loop_watch_free(conn->watch);
	close(conn->fd);
	buf_done(&conn->out);
	buf_done(&conn->wire);
	list_remove(&conn->flush.link);
	list_remove(&conn->link);
	loop_timer_close(&conn->timer, http_conn_on_closed);
	http_server_conn_gone(server);
}

void
http_conn_mark(struct http_conn *conn)
{
	if (conn->state != HTTP_CONN_DEAD)
		loop_flush_soon(conn->server->loop, &conn->flush);
}

void
http_conn_break(struct http_conn *conn)
{
	conn->is_broken = true;
	http_conn_mark(conn);
}

void
http_conn_finish(struct http_conn *conn)
{
	conn->is_finishing = true;
	http_conn_mark(conn);
}

/* ---- sending ---- */

size_t
http_conn_queued(const struct http_conn *conn)
{
	return conn->out.len + conn->wire.len;
}

static void ON_LOOP
http_conn_progress(struct http_conn *conn, size_t n)
{
	conn->server->stats.bytes_out += n;
	if (n || !conn->write_deadline_ms)
		conn->write_deadline_ms = http_conn_now(conn) + conn->server->limits.write_ms;
	if (!http_conn_queued(conn))
		conn->write_deadline_ms = 0;
	http_conn_arm(conn);
}

/* Bytes that the socket took, 0 when it takes none now; a broken one is marked. */
static size_t ON_LOOP
http_conn_sendv(struct http_conn *conn, const struct iovec *parts, int n_parts)
{
	struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)n_parts};
	ssize_t n;

	do {
		n = sendmsg(conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		http_conn_break(conn);
	return n < 0 ? 0 : (size_t)n;
}

/* Large bytes go to the socket from where they are, behind what is queued. */
static void ON_LOOP
http_conn_write_direct(struct http_conn *conn, struct str bytes)
{
	struct iovec parts[2] = {
		{conn->out.at, conn->out.len},
		{(void *)bytes.at, bytes.len},
	};
	size_t queued = conn->out.len;
	size_t n = http_conn_sendv(conn, parts, 2);
	size_t eaten = n < queued ? n : queued;

	conn->is_blocked = n < queued + bytes.len;
	if (eaten)
		buf_eat(&conn->out, eaten);
	buf_add(&conn->out, bytes.at + (n - eaten), bytes.len - (n - eaten));
	http_conn_progress(conn, n);
}

void
http_conn_write(struct http_conn *conn, struct str bytes)
{
	if (!http_conn_is_alive(conn))
		return;
	if (bytes.len >= HTTP_DIRECT_BYTES && !conn->tls && !conn->is_blocked)
		http_conn_write_direct(conn, bytes);
	else
		buf_add_str(&conn->out, bytes);
	http_conn_mark(conn);
}

/* What goes on the wire; the plain bytes themselves on a clear connection. */
static struct buf *ON_LOOP
http_conn_wire(struct http_conn *conn)
{
	if (!conn->tls)
		return &conn->out;
	if (conn->out.len && conn->wire.len < HTTP_QUEUE_HIGH) {
		if (!tls_session_write(conn->tls, buf_str(&conn->out)))
			http_conn_break(conn);
		buf_clear(&conn->out);
	}
	tls_session_take(conn->tls, &conn->wire);
	return &conn->wire;
}

static void ON_LOOP
http_conn_linger(struct http_conn *conn)
{
	if (conn->tls) {
		tls_session_close(conn->tls);
		tls_session_take(conn->tls, &conn->wire);
		http_conn_sendv(conn, &(struct iovec){conn->wire.at, conn->wire.len}, 1);
	}
	if (conn->is_eof || shutdown(conn->fd, SHUT_WR) < 0) {
		http_conn_break(conn);
		return;
	}
	conn->state = HTTP_CONN_LINGER;
	conn->is_paused = false;
	http_conn_deadline(
		conn, conn->server->is_stopping ? HTTP_LINGER_STOPPING_MS : HTTP_LINGER_MS);
}

static void ON_LOOP
http_conn_send(struct http_conn *conn)
{
	struct buf *wire = http_conn_wire(conn);

	if (wire->len && !conn->is_blocked && !conn->is_broken) {
		size_t n = http_conn_sendv(conn, &(struct iovec){wire->at, wire->len}, 1);

		conn->is_blocked = n < wire->len;
		buf_eat(wire, n);
		http_conn_progress(conn, n);
		if (n && conn->state == HTTP_CONN_OPEN)
			conn->protocol->on_sent(conn);
	}
	if (http_conn_queued(conn) || conn->is_broken)
		return;
	if (conn->out.cap > HTTP_OUT_KEEP)
		buf_done(&conn->out);
	if (conn->wire.cap > HTTP_OUT_KEEP)
		buf_done(&conn->wire);
	if (conn->is_finishing && conn->state != HTTP_CONN_LINGER)
		http_conn_linger(conn);
}

/* ---- receiving ---- */

static void ON_LOOP
http_conn_open(struct http_conn *conn, const struct http_protocol *protocol)
{
	conn->state = HTTP_CONN_OPEN;
	conn->protocol = protocol;
	conn->protocol_state = protocol->open(conn);
}

/* The preface of HTTP/2 is what a client with prior knowledge begins with (RFC 9113 3.4). The
 * bytes compared so far are kept until they are, or are not, the whole of it. */
static void ON_LOOP
http_conn_sniff(struct http_conn *conn, struct str bytes)
{
	size_t n = 0;

	while (n < bytes.len && conn->n_sniffed < HTTP_PREFACE_BYTES &&
		bytes.at[n] == http_preface[conn->n_sniffed])
		conn->sniffed[conn->n_sniffed++] = bytes.at[n++];
	if (n == bytes.len && conn->n_sniffed < HTTP_PREFACE_BYTES)
		return;
	http_conn_open(
		conn, conn->n_sniffed == HTTP_PREFACE_BYTES ? &http2_protocol : &http1_protocol);
	if (conn->n_sniffed)
		conn->protocol->on_bytes(conn, str_n(conn->sniffed, conn->n_sniffed));
	if (http_conn_is_alive(conn) && n < bytes.len)
		conn->protocol->on_bytes(conn, str_n(bytes.at + n, bytes.len - n));
}

static void ON_LOOP
http_conn_take(struct http_conn *conn, struct str bytes)
{
	if (conn->state == HTTP_CONN_SNIFF)
		http_conn_sniff(conn, bytes);
	else if (conn->state == HTTP_CONN_OPEN && !conn->is_finishing)
		conn->protocol->on_bytes(conn, bytes);
}

static void ON_LOOP
http_conn_eof(struct http_conn *conn)
{
	conn->is_eof = true;
	if (conn->state == HTTP_CONN_OPEN && !conn->is_broken)
		conn->protocol->on_eof(conn);
	else
		http_conn_break(conn);
}

static void ON_LOOP
http_conn_handshake(struct http_conn *conn)
{
	int rc = tls_session_handshake(conn->tls);

	http_conn_mark(conn);
	if (rc < 0)
		conn->is_finishing = true;
	else if (rc == 1)
		http_conn_open(
			conn, tls_session_is_http2(conn->tls) ? &http2_protocol : &http1_protocol);
}

/* Plain bytes out of TLS, as long as the protocol wants them. */
static void ON_LOOP
http_conn_decrypt(struct http_conn *conn)
{
	char *scratch = conn->server->scratch;
	int n = 1;

	while (n > 0 && http_conn_is_alive(conn) && !conn->is_paused) {
		n = tls_session_read(conn->tls, scratch, HTTP_SCRATCH_BYTES);
		if (n > 0)
			http_conn_take(conn, str_n(scratch, (size_t)n));
		else if (n < 0 && conn->state == HTTP_CONN_OPEN)
			http_conn_eof(conn);
	}
	conn->has_more = n > 0;
	http_conn_mark(conn);
}

static void ON_LOOP
http_conn_receive(struct http_conn *conn, struct str bytes)
{
	conn->server->stats.bytes_in += bytes.len;
	if (conn->state == HTTP_CONN_LINGER)
		return;
	if (!conn->tls) {
		http_conn_take(conn, bytes);
		return;
	}
	tls_session_feed(conn->tls, bytes);
	if (conn->state == HTTP_CONN_HANDSHAKE && !conn->is_finishing)
		http_conn_handshake(conn);
	if (conn->state == HTTP_CONN_OPEN)
		http_conn_decrypt(conn);
}

static void ON_LOOP
http_conn_read(struct http_conn *conn)
{
	ssize_t n;

	do {
		n = recv(conn->fd, conn->server->scratch, HTTP_SCRATCH_BYTES, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		http_conn_receive(conn, str_n(conn->server->scratch, (size_t)n));
	else if (n == 0)
		http_conn_eof(conn);
	else if (errno != EAGAIN)
		http_conn_break(conn);
}

/* ---- events ---- */

/* Asks the loop for what the connection now waits for. A paused one still learns that the client
 * went away. */
static void ON_LOOP
http_conn_settle(struct http_conn *conn)
{
	int wanted = conn->is_blocked ? UV_WRITABLE : 0;

	if (conn->is_broken) {
		http_conn_kill(conn);
		return;
	}
	if (!conn->is_eof)
		wanted |= conn->is_paused ? UV_DISCONNECT : UV_READABLE;
	loop_watch_want(conn->watch, wanted);
}

static void ON_LOOP
http_conn_on_event(struct loop_watch *watch, int events, void *arg)
{
	struct http_conn *conn = arg;

	if (events & UV_WRITABLE) {
		conn->is_blocked = false;
		http_conn_mark(conn);
	}
	if (events & UV_READABLE)
		http_conn_read(conn);
	else if (events & UV_DISCONNECT)
		http_conn_eof(conn);
	http_conn_settle(conn);
}

static void ON_LOOP
http_conn_on_flush(struct loop_flush *flush)
{
	struct http_conn *conn = list_owner(flush, struct http_conn, flush);

	if (conn->state == HTTP_CONN_OPEN && !conn->is_broken && !conn->is_finishing) {
		conn->protocol->on_turn(conn);
		if (conn->has_more && !conn->is_paused)
			http_conn_decrypt(conn);
	}
	if (!conn->is_broken)
		http_conn_send(conn);
	http_conn_settle(conn);
}

static void ON_LOOP
http_conn_on_timer(struct loop_timer *timer)
{
	struct http_conn *conn = list_owner(timer, struct http_conn, timer);
	uint64_t now = http_conn_now(conn);

	conn->armed_ms = 0;
	if (conn->write_deadline_ms && now >= conn->write_deadline_ms) {
		conn->server->stats.n_slow_cut++;
		conn->is_broken = true;
	} else if (conn->deadline_ms && now >= conn->deadline_ms) {
		conn->deadline_ms = 0;
		if (conn->state == HTTP_CONN_OPEN)
			conn->protocol->on_deadline(conn);
		else
			conn->is_broken = true;
	}
	http_conn_arm(conn);
	http_conn_settle(conn);
}

void
http_conn_pause(struct http_conn *conn, bool is_paused)
{
	if (conn->is_paused == is_paused)
		return;
	conn->is_paused = is_paused;
	http_conn_mark(conn);
}

void
http_conn_stop(struct http_conn *conn)
{
	if (conn->state == HTTP_CONN_OPEN)
		conn->protocol->on_stop(conn);
	else if (conn->state != HTTP_CONN_LINGER)
		http_conn_break(conn);
}

static void
http_conn_name_peer(struct http_conn *conn, const struct sockaddr *peer)
{
	const void *address = &((const struct sockaddr_in *)peer)->sin_addr;

	if (peer->sa_family == AF_INET6)
		address = &((const struct sockaddr_in6 *)peer)->sin6_addr;
	else if (peer->sa_family != AF_INET)
		return;
	inet_ntop(peer->sa_family, address, conn->peer, sizeof(conn->peer));
}

void
http_conn_new(
	struct http_server *server, int fd, const struct sockaddr *peer, struct tls_context *tls)
{
	struct http_conn *conn = mem_new(sizeof(*conn));
	struct err err = {0};

	conn->server = server;
	conn->fd = fd;
	conn->state = tls ? HTTP_CONN_HANDSHAKE : HTTP_CONN_SNIFF;
	conn->flush.run = http_conn_on_flush;
	list_init(&conn->flush.link);
	if (loop_watch_new(server->loop, fd, http_conn_on_event, conn, &conn->watch, &err) < 0) {
		close(fd);
		free(conn);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	http_conn_name_peer(conn, peer);
	if (tls)
		conn->tls = tls_session_new(tls);
	list_push_back(&server->conns, &conn->link);
	server->stats.n_connections++;
	server->stats.n_connections_open++;
	http_conn_deadline(conn, server->limits.header_ms);
	http_conn_settle(conn);
}
