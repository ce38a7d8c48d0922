/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proxy.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/own.h"
#include "net/http1_parse.h"
#include "net/relay.h"

#define PROXY_CONNS       64
#define PROXY_HEAD_BYTES  ((size_t)8 * 1024)
#define PROXY_IDLE_MS     60000
#define PROXY_LINGER_MS   2000
#define PROXY_REFUSED_MAX 200

struct proxy {
	struct loop *loop;        /* borrowed */
	int listener;             /* owned */
	struct loop_watch *watch; /* owned: of the listener */
	char **allowed;           /* owned, NULL-terminated */
	struct list conns;        /* struct proxy_conn; owned */
	unsigned n_conns;
	uint64_t n_bytes;
	char refused[PROXY_REFUSED_MAX + 1];
};

enum proxy_state { PROXY_HEAD, PROXY_RESOLVING, PROXY_CONNECTING, PROXY_PIPING, PROXY_LINGERING };

struct proxy_conn {
	struct list link;
	struct proxy *proxy; /* borrowed */
	enum proxy_state state;
	struct relay relay; /* near is the client, far the server */
	uint64_t n_counted; /* of its bytes, in proxy.n_bytes */
	struct http1_head head;
	struct buf behind; /* owned: what came behind the head */
	struct loop_timer timer;
	struct proxy_lookup *lookup;      /* owned by libuv while it runs */
	struct addrinfo *addresses;       /* owned */
	const struct addrinfo *candidate; /* borrowed: the address to be tried next */
};

/* A name being resolved; it outlives a connection that ends meanwhile. */
struct proxy_lookup {
	uv_getaddrinfo_t uv;
	struct proxy_conn *conn; /* borrowed; NULL when it is gone */
};

/* ---- the end ---- */

static void
proxy_conn_on_closed(struct loop_timer *timer)
{
	free(list_owner(timer, struct proxy_conn, timer));
}

static void ON_LOOP
proxy_conn_free(struct proxy_conn *conn)
{
	struct proxy *proxy = conn->proxy;

	relay_done(&conn->relay);
	buf_done(&conn->behind);
	http1_head_done(&conn->head);
	if (conn->lookup) {
		conn->lookup->conn = NULL;
		uv_cancel((uv_req_t *)&conn->lookup->uv);
	}
	uv_freeaddrinfo(conn->addresses);
	list_remove(&conn->link);
	if (proxy->n_conns-- == PROXY_CONNS)
		loop_watch_want(proxy->watch, UV_READABLE);
	loop_timer_close(&conn->timer, proxy_conn_on_closed);
}

static void ON_LOOP
proxy_conn_on_timer(struct loop_timer *timer)
{
	proxy_conn_free(list_owner(timer, struct proxy_conn, timer));
}

static void ON_LOOP
proxy_conn_progress(struct proxy_conn *conn)
{
	loop_timer_start(conn->proxy->loop, &conn->timer, PROXY_IDLE_MS, proxy_conn_on_timer);
}

/* ---- refusing ---- */

/* The client gets its answer, and a while to read it. */
static void ON_LOOP
proxy_conn_refuse(struct proxy_conn *conn, int status, const char *text)
{
	OWN(buf) struct buf out = BUF_INIT;

	buf_printf(&out,
		"HTTP/1.1 %d %s\r\nconnection: close\r\ncontent-type: text/plain\r\n"
		"content-length: %zu\r\n\r\n%s\n",
		status, http_reason(status), strlen(text) + 1, text);
	(void)!send(conn->relay.near.fd, out.at, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(conn->relay.near.fd, SHUT_WR);
	conn->state = PROXY_LINGERING;
	loop_watch_want(conn->relay.near.watch, UV_READABLE);
	loop_timer_start(conn->proxy->loop, &conn->timer, PROXY_LINGER_MS, proxy_conn_on_timer);
}

static void ON_LOOP
proxy_conn_fail(struct proxy_conn *conn, const char *doing, const char *why)
{
	OWN(mem) char *text = mem_printf("%s %.*s: %s", doing, STR_ARG(conn->head.authority), why);

	proxy_conn_refuse(conn, 502, text);
}

static void
proxy_note_refused(struct proxy *proxy, const char *destination)
{
	size_t len = strlen(proxy->refused);
	const char *comma = len ? ", " : "";
	size_t comma_len = strlen(comma);
	size_t more = strlen(destination);

	if (len + comma_len + more > PROXY_REFUSED_MAX || strstr(proxy->refused, destination))
		return;
	memcpy(proxy->refused + len, comma, comma_len);
	memcpy(proxy->refused + len + comma_len, destination, more + 1);
}

static bool
proxy_allows(const struct proxy *proxy, const char *destination)
{
	for (char **allowed = proxy->allowed; *allowed; allowed++)
		if (strcmp(*allowed, destination) == 0)
			return true;
	return false;
}

/* ---- piping ---- */

static void
proxy_conn_count(struct proxy_conn *conn)
{
	uint64_t n = conn->relay.up.n_bytes + conn->relay.down.n_bytes;

	conn->proxy->n_bytes += n - conn->n_counted;
	conn->n_counted = n;
}

/* The answer's end ends a request; a tunnel ends with both directions. */
static void ON_LOOP
proxy_conn_pipe(struct proxy_conn *conn)
{
	enum relay_state state = relay_turn(&conn->relay);

	proxy_conn_count(conn);
	if (state >= RELAY_OVER || (conn->relay.down.is_done && conn->head.is_absolute))
		proxy_conn_free(conn);
	else if (state == RELAY_MOVED)
		proxy_conn_progress(conn);
}

static bool
proxy_is_hop(struct str name)
{
	return str_eq(name, STR("connection")) || str_eq(name, STR("keep-alive")) ||
	       str_eq(name, STR("host")) || str_eq(name, STR("te")) ||
	       str_eq(name, STR("upgrade")) || str_eq(name, STR("expect")) ||
	       str_starts(name, STR("proxy-"));
}

/* The head for the origin: origin-form, its own Host, one request per connection. */
static void
proxy_write_head(const struct http1_head *head, struct buf *out)
{
	buf_printf(out, "%.*s %.*s HTTP/1.1\r\nhost: %.*s\r\n", STR_ARG(head->method),
		STR_ARG(head->target), STR_ARG(head->authority));
	for (size_t i = 0; i < head->n_fields; i++)
		if (!proxy_is_hop(head->headers[i].name))
			buf_printf(out, "%.*s: %.*s\r\n", STR_ARG(head->headers[i].name),
				STR_ARG(head->headers[i].value));
	buf_add_text(out, "connection: close\r\n\r\n");
}

static void ON_LOOP
proxy_conn_start_pipe(struct proxy_conn *conn)
{
	struct http1_head *head = &conn->head;
	struct buf *behind = &conn->behind;

	conn->state = PROXY_PIPING;
	if (head->is_absolute) {
		conn->relay.up.left = head->body == HTTP1_BODY_LENGTH ? head->content_length : 0;
		proxy_write_head(head, &conn->relay.up.held);
		if (behind->len > conn->relay.up.left)
			buf_cut(behind, (size_t)conn->relay.up.left);
		conn->relay.up.left -= behind->len;
		conn->relay.up.is_eof = conn->relay.up.left == 0;
	} else {
		buf_add_text(&conn->relay.down.held, "HTTP/1.1 200 Connection established\r\n\r\n");
	}
	buf_add_str(&conn->relay.up.held, buf_str(behind));
	buf_done(behind);
	proxy_conn_pipe(conn);
}

/* ---- connecting ---- */

static void proxy_on_server(struct loop_watch *watch, int events, void *arg) ON_LOOP;

/* Tries the addresses of the name, one behind the other. */
static void ON_LOOP
proxy_conn_connect(struct proxy_conn *conn)
{
	struct err err = {0};

	relay_end_close(&conn->relay.far);
	for (; conn->candidate; conn->candidate = conn->candidate->ai_next) {
		const struct addrinfo *address = conn->candidate;
		OWN(fd)
		int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (fd < 0)
			continue;
		if (connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS)
			continue;
		if (loop_watch_new(conn->proxy->loop, fd, proxy_on_server, conn,
			    &conn->relay.far.watch, &err) < 0)
			continue;
		conn->relay.far.fd = take_fd(&fd);
		conn->state = PROXY_CONNECTING;
		conn->candidate = address->ai_next;
		loop_watch_want(conn->relay.far.watch, UV_WRITABLE);
		return;
	}
	proxy_conn_fail(conn, "connecting to", "no address of it answers");
}

static void ON_LOOP
proxy_on_server(struct loop_watch *watch, int events, void *arg)
{
	struct proxy_conn *conn = arg;
	socklen_t size = sizeof(int);
	int failure = 0;

	if (conn->state != PROXY_CONNECTING) {
		proxy_conn_pipe(conn);
		return;
	}
	if (getsockopt(conn->relay.far.fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0 || failure)
		proxy_conn_connect(conn);
	else
		proxy_conn_start_pipe(conn);
}

static void ON_LOOP
proxy_on_resolved(uv_getaddrinfo_t *uv, int status, struct addrinfo *addresses)
{
	struct proxy_lookup *lookup = list_owner(uv, struct proxy_lookup, uv);
	struct proxy_conn *conn = lookup->conn;

	free(lookup);
	if (!conn) {
		uv_freeaddrinfo(addresses);
		return;
	}
	conn->lookup = NULL;
	if (status < 0) {
		proxy_conn_fail(conn, "resolving", uv_strerror(status));
		return;
	}
	conn->addresses = addresses;
	conn->candidate = addresses;
	proxy_conn_connect(conn);
}

static void ON_LOOP
proxy_conn_resolve(struct proxy_conn *conn, const char *destination)
{
	static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(destination, ':');
	struct str host = str_n(destination, (size_t)(colon - destination));
	OWN(mem) char *name = NULL;
	struct proxy_lookup *lookup = mem_new(sizeof(*lookup));
	int rc;

	if (host.at[0] == '[')
		host = str_n(host.at + 1, host.len - 2);
	name = str_dup(host);
	lookup->conn = conn;
	conn->lookup = lookup;
	conn->state = PROXY_RESOLVING;
	loop_watch_want(conn->relay.near.watch, UV_DISCONNECT);
	rc = uv_getaddrinfo(loop_uv(conn->proxy->loop), &lookup->uv, proxy_on_resolved, name,
		colon + 1, &hints);
	if (rc < 0)
		proxy_on_resolved(&lookup->uv, rc, NULL);
}

/* ---- the head ---- */

/* "host:port" in lower case; port 80 where a URL names none. */
static char *
proxy_destination(const struct http1_head *head)
{
	char *destination = mem_printf(
		"%.*s%s", STR_ARG(head->authority), http_has_port(head->authority) ? "" : ":80");

	for (char *at = destination; *at; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at + 32);
	return destination;
}

static void ON_LOOP
proxy_conn_begin(struct proxy_conn *conn)
{
	OWN(mem) char *destination = NULL;
	OWN(mem) char *text = NULL;

	if (!conn->head.is_absolute && conn->head.path.len) {
		proxy_conn_refuse(conn, 400, "this is a proxy: it takes CONNECT and http:// URLs");
		return;
	}
	if (conn->head.is_absolute && conn->head.body == HTTP1_BODY_CHUNKED) {
		proxy_conn_refuse(conn, 411, "this proxy takes bodies with a Content-Length only");
		return;
	}
	destination = proxy_destination(&conn->head);
	if (proxy_allows(conn->proxy, destination)) {
		proxy_conn_resolve(conn, destination);
		return;
	}
	proxy_note_refused(conn->proxy, destination);
	text = mem_printf("builds may not reach %s, only the configured registries", destination);
	proxy_conn_refuse(conn, 403, text);
}

static void ON_LOOP
proxy_conn_take(struct proxy_conn *conn, struct str bytes)
{
	struct err err = {0};
	size_t used = 0;
	int rc = http1_head_feed(&conn->head, bytes, &used, &err);

	if (rc < 0) {
		proxy_conn_refuse(conn, err_http_status(rc), err.text);
	} else if (rc == 1) {
		buf_add(&conn->behind, bytes.at + used, bytes.len - used);
		proxy_conn_begin(conn);
	}
}

/* Before there is a pipe a client only says its head; while a destination is sought it may but go
 * away. */
static void ON_LOOP
proxy_on_client(struct loop_watch *watch, int events, void *arg)
{
	struct proxy_conn *conn = arg;
	char piece[4096];
	ssize_t n;

	if (conn->state == PROXY_PIPING) {
		proxy_conn_pipe(conn);
		return;
	}
	if (!(events & UV_READABLE)) {
		proxy_conn_free(conn);
		return;
	}
	n = recv(conn->relay.near.fd, piece, sizeof(piece), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		proxy_conn_free(conn);
	else if (conn->state == PROXY_HEAD)
		proxy_conn_take(conn, str_n(piece, (size_t)n));
}

/* ---- the proxy ---- */

static void ON_LOOP
proxy_conn_new(struct proxy *proxy, int client_fd)
{
	OWN(fd) int fd = client_fd;
	struct proxy_conn *conn = mem_new(sizeof(*conn));
	struct err err = {0};

	relay_init(&conn->relay);
	if (loop_watch_new(proxy->loop, fd, proxy_on_client, conn, &conn->relay.near.watch, &err) <
		0) {
		free(conn);
		return;
	}
	conn->proxy = proxy;
	conn->relay.near.fd = take_fd(&fd);
	http1_head_init(&conn->head, &(struct http1_limits){
					     .block_bytes = PROXY_HEAD_BYTES,
					     .target_bytes = PROXY_HEAD_BYTES,
					     .n_headers = 100,
					     .takes_connect = true,
				     });
	list_push_back(&proxy->conns, &conn->link);
	if (++proxy->n_conns == PROXY_CONNS)
		loop_watch_want(proxy->watch, 0);
	proxy_conn_progress(conn);
	loop_watch_want(conn->relay.near.watch, UV_READABLE);
}

static void ON_LOOP
proxy_on_accept(struct loop_watch *watch, int events, void *arg)
{
	struct proxy *proxy = arg;
	int fd = accept4(proxy->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0)
		proxy_conn_new(proxy, fd);
}

static char **
proxy_copy_list(const char *const *allowed)
{
	size_t n = 0;
	char **copy;

	while (allowed[n])
		n++;
	copy = mem_new((n + 1) * sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = str_dup(str_of(allowed[i]));
	return copy;
}

int
proxy_new(struct loop *loop, int listener, const char *const *allowed, struct proxy **ret,
	struct err *err)
{
	OWN(fd) int fd = listener;
	struct proxy *proxy = mem_new(sizeof(*proxy));
	int rc = loop_watch_new(loop, fd, proxy_on_accept, proxy, &proxy->watch, err);

	if (rc < 0) {
		free(proxy);
		return rc;
	}
	proxy->loop = loop;
	proxy->listener = take_fd(&fd);
	proxy->allowed = proxy_copy_list(allowed);
	list_init(&proxy->conns);
	loop_watch_want(proxy->watch, UV_READABLE);
	*ret = proxy;
	return 0;
}

uint64_t
proxy_bytes(const struct proxy *proxy)
{
	return proxy->n_bytes;
}

const char *
proxy_refused(const struct proxy *proxy)
{
	return proxy->refused;
}

void
proxy_free(struct proxy *proxy)
{
	struct proxy_conn *conn;

	if (!proxy)
		return;
	list_each (&proxy->conns, conn, link)
		proxy_conn_free(conn);
	loop_watch_free(proxy->watch);
	close(proxy->listener);
	for (char **allowed = proxy->allowed; *allowed; allowed++)
		free(*allowed);
	free(proxy->allowed);
	free(proxy);
}
