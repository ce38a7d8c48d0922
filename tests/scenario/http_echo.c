/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_echo - the HTTP edge without the platform behind it: what test_http_edge.py and the
 * benchmark of the edge talk to.
 *
 *	/hello    13 bytes            /echo    the body as it came     /head  method, path, headers
 *	/stream?n a streamed answer   /slow    answers when told       /cut   breaks its answer off
 *	/large?n  n bytes at once     /refuse  403 before the body     /stats counters
 *
 * Prints "listening <port>" for the clear listener, then for the one with TLS. SIGHUP reads the
 * certificate again, SIGUSR1 is a /release, SIGTERM stops.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "net/http_server.h"

#define ECHO_PIECE ((size_t)32 * 1024)
#define ECHO_MAX   ((size_t)64 * 1024 * 1024)

struct echo {
	struct loop *loop;
	struct http_server *server;
	struct tls_context *tls;
	struct list waiting; /* struct echo_slow */
	unsigned n_aborted;
	uv_signal_t term;
};

/* An exchange on /slow: it ends when the process is told to stop, or /release is asked for. */
struct echo_slow {
	struct list link;
	struct echo *echo;
	struct http_exchange *exchange;
};

/* An answer that is streamed as fast as the client takes it. */
struct echo_stream {
	struct http_exchange *exchange;
	uint64_t left;
};

static const struct http_header echo_text = {{"content-type", 12}, {"text/plain", 10}};
static const struct http_header echo_json = {{"content-type", 12}, {"application/json", 16}};

static void ON_LOOP
echo_answer(struct http_exchange *exchange, int status, struct str body)
{
	http_answer(exchange, status, &echo_text, 1, body);
}

/* ---- routes ---- */

static void ON_LOOP
echo_hello(struct echo *echo, struct http_exchange *exchange)
{
	echo_answer(exchange, 200, STR("Hello, world!"));
}

static void ON_LOOP
echo_body(struct echo *echo, struct http_exchange *exchange)
{
	static const struct http_header type = {
		{"content-type", 12},
		{"application/octet-stream", 24},
	};

	http_answer(exchange, 200, &type, 1, http_request_of(exchange)->body);
}

static void ON_LOOP
echo_head(struct echo *echo, struct http_exchange *exchange)
{
	const struct http_request *request = http_request_of(exchange);
	OWN(buf) struct buf out = BUF_INIT;

	buf_printf(&out, "method=%.*s\ntarget=%.*s\npath=%.*s\nquery=%.*s\nauthority=%.*s\n",
		STR_ARG(request->method), STR_ARG(request->target), STR_ARG(request->path),
		STR_ARG(request->query), STR_ARG(request->authority));
	buf_printf(&out, "scheme=%s\nversion=%s\npeer=%s\nbody=%zu\n", request->scheme,
		request->version, request->peer, request->body.len);
	for (size_t i = 0; i < request->n_headers; i++)
		buf_printf(&out, "%.*s: %.*s\n", STR_ARG(request->headers[i].name),
			STR_ARG(request->headers[i].value));
	echo_answer(exchange, 200, buf_str(&out));
}

static uint64_t
echo_number(struct http_exchange *exchange)
{
	uint64_t n = 0;

	if (!str_to_u64(http_request_of(exchange)->query, &n) || n > ECHO_MAX)
		return 0;
	return n;
}

static void ON_LOOP
echo_large(struct echo *echo, struct http_exchange *exchange)
{
	size_t n = (size_t)echo_number(exchange);
	OWN(mem) char *bytes = mem_new(n + 1);

	memset(bytes, 'x', n);
	echo_answer(exchange, 200, str_n(bytes, n));
}

static void ON_LOOP
echo_stream_go(struct http_exchange *exchange, void *arg)
{
	static const char piece[ECHO_PIECE];
	struct echo_stream *stream = arg;
	size_t queued = 0;

	while (stream->left && queued < (size_t)256 * 1024) {
		size_t n = stream->left < ECHO_PIECE ? (size_t)stream->left : ECHO_PIECE;

		stream->left -= n;
		queued = http_answer_write(exchange, str_n(piece, n));
	}
	if (stream->left == 0) {
		free(stream);
		http_answer_end(exchange);
	}
}

static void
echo_stream_on_abort(struct http_exchange *exchange, void *arg)
{
	free(arg);
}

static void ON_LOOP
echo_stream(struct echo *echo, struct http_exchange *exchange)
{
	struct echo_stream *stream = mem_new(sizeof(*stream));

	stream->left = echo_number(exchange);
	http_on_abort(exchange, echo_stream_on_abort, stream);
	http_on_drain(exchange, echo_stream_go, stream);
	http_answer_begin(exchange, 200, &echo_text, 1);
	echo_stream_go(exchange, stream);
}

static void
echo_slow_on_abort(struct http_exchange *exchange, void *arg)
{
	struct echo_slow *slow = arg;

	slow->echo->n_aborted++;
	list_remove(&slow->link);
	free(slow);
}

static void ON_LOOP
echo_slow(struct echo *echo, struct http_exchange *exchange)
{
	struct echo_slow *slow = mem_new(sizeof(*slow));

	slow->echo = echo;
	slow->exchange = exchange;
	list_push_back(&echo->waiting, &slow->link);
	http_on_abort(exchange, echo_slow_on_abort, slow);
}

static void ON_LOOP
echo_release(struct echo *echo)
{
	struct echo_slow *slow;

	list_each (&echo->waiting, slow, link) {
		list_remove(&slow->link);
		echo_answer(slow->exchange, 200, STR("late"));
		free(slow);
	}
}

static void ON_LOOP
echo_on_release(struct echo *echo, struct http_exchange *exchange)
{
	echo_release(echo);
	echo_answer(exchange, 200, STR("released"));
}

static void ON_LOOP
echo_cut(struct echo *echo, struct http_exchange *exchange)
{
	http_answer_begin(exchange, 200, &echo_text, 1);
	http_answer_write(exchange, STR("half of it"));
	http_answer_cut(exchange);
}

static void ON_LOOP
echo_stats(struct echo *echo, struct http_exchange *exchange)
{
	OWN(buf) struct buf out = BUF_INIT;
	struct http_stats stats;
	struct echo_slow *slow;
	unsigned n_waiting = 0;

	list_each (&echo->waiting, slow, link)
		n_waiting++;
	http_server_stats(echo->server, &stats);
	buf_printf(&out, "{\"aborted\":%u,\"waiting\":%u,\"open\":%lu,\"requests\":%lu,",
		echo->n_aborted, n_waiting, stats.n_connections_open, stats.n_requests);
	buf_printf(&out, "\"malformed\":%lu,\"slow_cut\":%lu,\"body_memory\":%lu,",
		stats.n_malformed, stats.n_slow_cut, stats.body_memory_bytes);
	buf_printf(&out, "\"bytes_in\":%lu,\"bytes_out\":%lu}\n", stats.bytes_in, stats.bytes_out);
	http_answer(exchange, 200, &echo_json, 1, buf_str(&out));
}

static void ON_LOOP
echo_on_head(struct http_exchange *exchange, void *arg)
{
	if (str_eq(http_request_of(exchange)->path, STR("/refuse")))
		echo_answer(exchange, 403, STR("refused"));
}

static void ON_LOOP
echo_on_request(struct http_exchange *exchange, void *arg)
{
	static const struct {
		const char *path;
		void (*run)(struct echo *echo, struct http_exchange *exchange);
	} routes[] = {
		{"/hello", echo_hello},
		{"/", echo_hello},
		{"/echo", echo_body},
		{"/head", echo_head},
		{"/large", echo_large},
		{"/stream", echo_stream},
		{"/slow", echo_slow},
		{"/release", echo_on_release},
		{"/cut", echo_cut},
		{"/stats", echo_stats},
	};
	struct str path = http_request_of(exchange)->path;

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (str_eq(path, str_of(routes[i].path))) {
			routes[i].run(arg, exchange);
			return;
		}
	}
	echo_answer(exchange, 404, STR("no such path"));
}

static void
echo_write_error(int code, const char *text, struct buf *out, void *arg)
{
	buf_printf(out, "{\"code\":\"%s\",\"message\":", err_word(code));
	buf_add_json(out, str_of(text));
	buf_add_text(out, "}\n");
}

/* ---- the program ---- */

static void ON_LOOP
echo_on_stopped(void *arg)
{
	struct echo *echo = arg;

	loop_stop(echo->loop);
}

/* The first SIGTERM stops taking connections and answers what waits on /slow only when released;
 * --grace-ms cuts it. */
static unsigned echo_grace_ms = 5000;

static void ON_LOOP
echo_on_term(uv_signal_t *term, int number)
{
	struct echo *echo = term->data;

	uv_signal_stop(term);
	puts("stopping");
	http_server_stop(echo->server, echo_grace_ms, echo_on_stopped, echo);
}

static void ON_LOOP
echo_on_usr1(uv_signal_t *usr1, int number)
{
	echo_release(usr1->data);
}

static void ON_LOOP
echo_on_hup(uv_signal_t *hup, int number)
{
	struct echo *echo = hup->data;
	struct err err = {0};

	if (tls_context_reload(echo->tls, &err) < 0)
		printf("not reloaded: %s\n", err.text);
	else
		puts("reloaded");
}

static void
echo_die(const struct err *err)
{
	fprintf(stderr, "http_echo: %s\n", err->text);
	exit(1);
}

static void ON_LOOP
echo_listen(struct echo *echo, const char *address, struct tls_context *tls)
{
	struct sockaddr_storage at;
	socklen_t size = sizeof(at);
	struct err err = {0};
	int fd = http_bind(address, &err);

	if (fd < 0 || getsockname(fd, (struct sockaddr *)&at, &size) < 0)
		echo_die(&err);
	if (http_server_listen(echo->server, fd, tls, &err) < 0)
		echo_die(&err);
	printf("listening %u\n", ntohs(((struct sockaddr_in *)&at)->sin_port));
}

enum echo_option {
	ECHO_LISTEN = 1,
	ECHO_TLS,
	ECHO_CERT,
	ECHO_KEY,
	ECHO_GRACE,
	ECHO_LIMIT,
};

static const struct option echo_options[] = {
	{"listen", required_argument, NULL, ECHO_LISTEN},
	{"listen-tls", required_argument, NULL, ECHO_TLS},
	{"cert", required_argument, NULL, ECHO_CERT},
	{"key", required_argument, NULL, ECHO_KEY},
	{"grace-ms", required_argument, NULL, ECHO_GRACE},
	{"limit", required_argument, NULL, ECHO_LIMIT},
	{NULL, 0, NULL, 0},
};

/* --limit name=number */
static void
echo_limit(struct http_limits *limits, const char *text)
{
	struct str value = str_of(text);
	struct str name = str_cut(&value, '=');
	uint64_t n;

	if (!str_to_u64(value, &n))
		n = 0;
#define ECHO_SET(field)                                                                            \
	if (str_eq(name, STR(#field)))                                                             \
		limits->field = (__typeof__(limits->field))n;
	ECHO_SET(header_block_bytes)
	ECHO_SET(target_bytes)
	ECHO_SET(n_headers)
	ECHO_SET(body_bytes)
	ECHO_SET(body_memory_bytes)
	ECHO_SET(n_connections)
	ECHO_SET(header_ms)
	ECHO_SET(idle_ms)
	ECHO_SET(body_rate_bytes_s)
	ECHO_SET(body_window_ms)
	ECHO_SET(write_ms)
	ECHO_SET(read_ahead_bytes)
	ECHO_SET(n_streams)
#undef ECHO_SET
}

int
main(int argc, char **argv)
{
	struct echo echo = {0};
	struct http_limits limits = http_limits_default;
	struct http_handler handler = {
		.on_head = echo_on_head,
		.on_request = echo_on_request,
		.write_error = echo_write_error,
		.arg = &echo,
	};
	const char *cert = NULL, *key = NULL, *clear = "127.0.0.1:0", *tls = NULL;
	uv_signal_t usr1, hup;
	struct err err = {0};
	int option;

	thread_on_loop();
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt_long(argc, argv, "", echo_options, NULL)) != -1) {
		if (option == ECHO_LISTEN)
			clear = optarg;
		else if (option == ECHO_TLS)
			tls = optarg;
		else if (option == ECHO_CERT)
			cert = optarg;
		else if (option == ECHO_KEY)
			key = optarg;
		else if (option == ECHO_GRACE)
			echo_grace_ms = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == ECHO_LIMIT)
			echo_limit(&limits, optarg);
		else
			return 2;
	}
	list_init(&echo.waiting);
	if (loop_new(&echo.loop, &err) < 0 ||
		http_server_new(echo.loop, &limits, &handler, &echo.server, &err) < 0)
		echo_die(&err);
	echo_listen(&echo, clear, NULL);
	if (tls) {
		if (tls_context_new(cert, key, &echo.tls, &err) < 0)
			echo_die(&err);
		echo_listen(&echo, tls, echo.tls);
	}
	uv_signal_init(loop_uv(echo.loop), &echo.term);
	uv_signal_init(loop_uv(echo.loop), &usr1);
	uv_signal_init(loop_uv(echo.loop), &hup);
	echo.term.data = usr1.data = hup.data = &echo;
	uv_signal_start(&echo.term, echo_on_term, SIGTERM);
	uv_signal_start(&usr1, echo_on_usr1, SIGUSR1);
	if (tls)
		uv_signal_start(&hup, echo_on_hup, SIGHUP);
	loop_run(echo.loop);
	http_server_free(echo.server);
	loop_free(echo.loop);
	tls_context_free(echo.tls);
	return 0;
}
