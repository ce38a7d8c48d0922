/* SPDX-License-Identifier: Apache-2.0 */
#include "net_kit.h"

#include <errno.h>
#include <stdlib.h>

/* What the test's handler does with the next exchange. */
struct scene {
	struct net_kit kit;
	void (*on_head)(struct http_exchange *exchange, struct scene *scene);
	void (*on_request)(struct http_exchange *exchange, struct scene *scene);
	struct http_exchange *waiting;
	unsigned n_heads, n_requests, n_aborted, n_drained;
	size_t left;
};

static void
scene_on_head(struct http_exchange *exchange, void *arg)
{
	struct scene *scene = arg;

	scene->n_heads++;
	if (scene->on_head)
		scene->on_head(exchange, scene);
}

static void
scene_on_request(struct http_exchange *exchange, void *arg)
{
	struct scene *scene = arg;

	scene->n_requests++;
	scene->on_request(exchange, scene);
}

static void ON_LOOP
scene_start(struct scene *scene, const struct http_limits *limits)
{
	struct http_handler handler = {
		.on_head = scene_on_head,
		.on_request = scene_on_request,
		.arg = scene,
	};

	net_kit_start(&scene->kit, limits ? limits : &http_limits_default, &handler);
}

static void ON_LOOP
answer_ok(struct http_exchange *exchange, struct scene *scene)
{
	http_answer(exchange, 200, NULL, 0, STR("ok"));
}

static void
on_abort(struct http_exchange *exchange, void *arg)
{
	struct scene *scene = arg;

	scene->n_aborted++;
	scene->waiting = NULL;
}

static void ON_LOOP
wait_for_abort(struct http_exchange *exchange, struct scene *scene)
{
	scene->waiting = exchange;
	http_on_abort(exchange, on_abort, scene);
}

#define GET      STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
#define GET_LAST STR("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

/* ---- requests ---- */

static void ON_LOOP
check_request(struct http_exchange *exchange, struct scene *scene)
{
	const struct http_request *request = http_request_of(exchange);

	assert_str(request->method, "PUT");
	assert_str(request->target, "/p%20q?x=1");
	assert_str(request->path, "/p%20q");
	assert_str(request->query, "x=1");
	assert_str(request->authority, "host:1");
	assert_string_equal(request->scheme, "http");
	assert_string_equal(request->version, "HTTP/1.1");
	assert_string_equal(request->peer, "127.0.0.1");
	assert_str(http_header(request, "x-a"), "1");
	assert_null(http_header(request, "x-b").at);
	assert_str(request->body, "body");
	assert_ptr_equal(http_user(exchange), scene);
	answer_ok(exchange, scene);
}

static void ON_LOOP
set_user(struct http_exchange *exchange, struct scene *scene)
{
	assert_null(http_user(exchange));
	assert_int_equal(http_request_of(exchange)->body.len, 0);
	http_set_user(exchange, scene);
}

static void
the_handler_sees_the_head_first_and_then_the_whole_request(void **state)
{
	struct scene scene = {.on_head = set_user, .on_request = check_request};
	OWN(buf) struct buf in = BUF_INIT;
	OWN(fd) int fd = -1;

	thread_on_loop();
	scene_start(&scene, NULL);
	fd = net_kit_connect(scene.kit.port);
	for (int i = 0; i < 2; i++) {
		buf_clear(&in);
		net_kit_send(fd, STR("PUT /p%20q?x=1 HTTP/1.1\r\nHost: host:1\r\nX-A: 1\r\n"
				     "Content-Length: 4\r\n\r\nbo"));
		net_kit_wait(&scene.kit, (int)scene.n_heads == i + 1);
		assert_int_equal(scene.n_requests, i);
		net_kit_send(fd, STR("dy"));
		net_kit_expect(&scene.kit, fd, &in, "\r\n\r\nok");
	}
	net_kit_stop(&scene.kit);
}

static void ON_LOOP
take_body(struct http_exchange *exchange, struct scene *scene)
{
	struct http_stats stats;
	size_t len;
	OWN(mem) char *body = http_take_body(exchange, &len);

	assert_int_equal(len, 3);
	assert_string_equal(body, "abc");
	assert_int_equal(http_request_of(exchange)->body.len, 0);
	http_server_stats(scene->kit.server, &stats);
	assert_true(stats.body_memory_bytes >= 3);
	answer_ok(exchange, scene);
}

static void
a_body_that_is_taken_counts_until_the_exchange_ends(void **state)
{
	struct scene scene = {.on_request = take_body};
	OWN(buf) struct buf in = BUF_INIT;
	struct http_stats stats;
	OWN(fd) int fd = -1;

	thread_on_loop();
	scene_start(&scene, NULL);
	fd = net_kit_connect(scene.kit.port);
	net_kit_send(fd, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
	net_kit_expect(&scene.kit, fd, &in, "ok");
	http_server_stats(scene.kit.server, &stats);
	assert_int_equal(stats.body_memory_bytes, 0);
	net_kit_stop(&scene.kit);
}

static void ON_LOOP
limit_to_four(struct http_exchange *exchange, struct scene *scene)
{
	http_limit_body(exchange, 4);
	wait_for_abort(exchange, scene);
}

static void
a_body_beyond_the_handlers_limit_is_413_and_the_handler_is_told(void **state)
{
	static const char *const texts[] = {
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
	};
	struct scene scene = {.on_head = limit_to_four, .on_request = answer_ok};

	thread_on_loop();
	scene_start(&scene, NULL);
	for (unsigned i = 0; i < 2; i++) {
		OWN(buf) struct buf in = BUF_INIT;
		OWN(fd) int fd = net_kit_connect(scene.kit.port);

		net_kit_send(fd, str_of(texts[i]));
		net_kit_drain(&scene.kit, fd, &in);
		assert_non_null(strstr(in.at, "HTTP/1.1 413 "));
		assert_non_null(strstr(in.at, "\"code\":\"request_too_large\""));
		assert_int_equal(scene.n_aborted, i + 1);
	}
	assert_int_equal(scene.n_requests, 0);
	net_kit_stop(&scene.kit);
}

/* ---- answers ---- */

static void ON_LOOP
answer_with_bad_headers(struct http_exchange *exchange, struct scene *scene)
{
	const struct http_header headers[] = {
		{STR("connection"), STR("upgrade")},
		{STR("content-length"), STR("999")},
		{STR("transfer-encoding"), STR("chunked")},
		{STR("date"), STR("never")},
		{STR("x-split"), STR("a\r\nx-injected: 1")},
		{STR("x name"), STR("1")},
		{STR("x-fine"), STR("1")},
	};

	http_answer(exchange, 999, headers, 7, STR("body"));
}

static void
an_answer_carries_no_header_that_is_not_its_own_to_say(void **state)
{
	struct scene scene = {.on_request = answer_with_bad_headers};
	OWN(buf) struct buf in = BUF_INIT;
	OWN(fd) int fd = -1;

	thread_on_loop();
	scene_start(&scene, NULL);
	fd = net_kit_connect(scene.kit.port);
	net_kit_send(fd, GET);
	net_kit_expect(&scene.kit, fd, &in, "body");
	assert_memory_equal(in.at, "HTTP/1.1 500 Internal Server Error\r\ndate: ", 42);
	assert_non_null(strstr(in.at, "\r\nx-fine: 1\r\ncontent-length: 4\r\n\r\nbody"));
	assert_null(strstr(in.at, "connection"));
	assert_null(strstr(in.at, "999"));
	assert_null(strstr(in.at, "chunked"));
	assert_null(strstr(in.at, "never"));
	assert_null(strstr(in.at, "injected"));
	assert_null(strstr(in.at, "x name"));
	net_kit_stop(&scene.kit);
}

static void ON_LOOP
answer_204_with_a_body(struct http_exchange *exchange, struct scene *scene)
{
	http_answer(exchange, 204, NULL, 0, STR("body"));
}

static void
no_content_has_no_body_and_no_length(void **state)
{
	struct scene scene = {.on_request = answer_204_with_a_body};
	OWN(buf) struct buf in = BUF_INIT;
	OWN(fd) int fd = -1;

	thread_on_loop();
	scene_start(&scene, NULL);
	fd = net_kit_connect(scene.kit.port);
	net_kit_send(fd, GET_LAST);
	net_kit_drain(&scene.kit, fd, &in);
	assert_non_null(strstr(in.at, "HTTP/1.1 204 No Content\r\n"));
	assert_null(strstr(in.at, "content-length"));
	assert_null(strstr(in.at, "body"));
	net_kit_stop(&scene.kit);
}

static void ON_LOOP
keep_waiting(struct http_exchange *exchange, struct scene *scene)
{
	scene->waiting = exchange;
}

static void
a_late_answer_lets_the_next_pipelined_request_run(void **state)
{
	struct scene scene = {.on_request = keep_waiting};
	OWN(buf) struct buf in = BUF_INIT;
	OWN(fd) int fd = -1;

	thread_on_loop();
	scene_start(&scene, NULL);
	fd = net_kit_connect(scene.kit.port);
	net_kit_send(fd, GET);
	net_kit_send(fd, GET_LAST);
	for (unsigned i = 1; i <= 2; i++) {
		net_kit_wait(&scene.kit, scene.n_requests == i);
		for (int k = 0; k < 10; k++)
			net_kit_turn(&scene.kit);
		assert_int_equal(scene.n_requests, i);
		answer_ok(scene.waiting, &scene);
	}
	net_kit_drain(&scene.kit, fd, &in);
	assert_non_null(strstr(strstr(in.at, "ok") + 2, "ok"));
	net_kit_stop(&scene.kit);
}

static void ON_LOOP
stream_on(struct http_exchange *exchange, void *arg)
{
	static const char piece[10000];
	struct scene *scene = arg;
	size_t queued = 0;

	scene->n_drained++;
	while (scene->left && queued < 256 * 1024) {
		scene->left -= sizeof(piece);
		queued = http_answer_write(exchange, str_n(piece, sizeof(piece)));
	}
	if (scene->left == 0)
		http_answer_end(exchange);
}

static void ON_LOOP
stream(struct http_exchange *exchange, struct scene *scene)
{
	http_on_abort(exchange, on_abort, scene);
	http_on_drain(exchange, stream_on, scene);
	http_answer_begin(exchange, 200, NULL, 0);
	stream_on(exchange, scene);
}

static void
a_stream_waits_for_a_client_that_does_not_read(void **state)
{
	struct scene scene = {.on_request = stream, .left = 20000000};
	OWN(buf) struct buf in = BUF_INIT;
	OWN(fd) int fd = -1;
	size_t left;

	thread_on_loop();
	scene_start(&scene, NULL);
	fd = net_kit_connect(scene.kit.port);
	net_kit_send(fd, GET_LAST);
	for (int i = 0; i < 200; i++)
		net_kit_turn(&scene.kit);
	left = scene.left;
	assert_true(left > 0);
	for (int i = 0; i < 50; i++)
		net_kit_turn(&scene.kit);
	assert_int_equal(scene.left, left);
	net_kit_drain(&scene.kit, fd, &in);
	assert_int_equal(scene.left, 0);
	assert_true(in.len > 20000000);
	assert_memory_equal(in.at + in.len - 7, "\r\n0\r\n\r\n", 7);
	assert_int_equal(scene.n_aborted, 0);
	net_kit_stop(&scene.kit);
}

/* ---- ends ---- */

static void
a_client_that_leaves_is_told_once_at_every_stage(void **state)
{
	static const struct {
		const char *text;
		bool at_head;
	} rows[] = {
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", true},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
	};

	thread_on_loop();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scene scene = {
			.on_head = rows[i].at_head ? wait_for_abort : NULL,
			.on_request = wait_for_abort,
		};
		int fd;

		scene_start(&scene, NULL);
		fd = net_kit_connect(scene.kit.port);
		net_kit_send(fd, str_of(rows[i].text));
		net_kit_wait(&scene.kit, scene.waiting);
		close(fd);
		net_kit_wait(&scene.kit, scene.n_aborted == 1);
		net_kit_stop(&scene.kit);
		assert_int_equal(scene.n_aborted, 1);
		assert_int_equal(scene.n_requests, rows[i].at_head ? 0 : 1);
	}
}

static void
a_client_that_leaves_in_a_stream_is_told(void **state)
{
	struct scene scene = {.on_request = stream, .left = 20000000};
	int fd;

	thread_on_loop();
	scene_start(&scene, NULL);
	fd = net_kit_connect(scene.kit.port);
	net_kit_send(fd, GET);
	net_kit_wait(&scene.kit, scene.n_requests == 1);
	close(fd);
	net_kit_wait(&scene.kit, scene.n_aborted == 1);
	net_kit_stop(&scene.kit);
	assert_int_equal(scene.n_aborted, 1);
}

static void
a_stop_without_connections_is_done_and_refuses_new_ones(void **state)
{
	struct scene scene = {.on_request = answer_ok};
	struct sockaddr_in at = {.sin_family = AF_INET};
	OWN(fd) int fd = socket(AF_INET, SOCK_STREAM, 0);

	thread_on_loop();
	scene_start(&scene, NULL);
	net_kit_begin_stop(&scene.kit, 10000);
	assert_false(scene.kit.is_stopped);
	net_kit_wait(&scene.kit, scene.kit.is_stopped);
	at.sin_port = htons(scene.kit.port);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), -1);
	net_kit_stop(&scene.kit);
}

static void
a_stop_answers_what_runs_with_connection_close(void **state)
{
	struct scene scene = {.on_request = keep_waiting};
	OWN(buf) struct buf in = BUF_INIT;
	OWN(fd) int fd = -1;

	thread_on_loop();
	scene_start(&scene, NULL);
	fd = net_kit_connect(scene.kit.port);
	net_kit_send(fd, GET);
	net_kit_wait(&scene.kit, scene.waiting);
	net_kit_begin_stop(&scene.kit, 10000);
	for (int i = 0; i < 10; i++)
		net_kit_turn(&scene.kit);
	assert_false(scene.kit.is_stopped);
	answer_ok(scene.waiting, &scene);
	net_kit_drain(&scene.kit, fd, &in);
	assert_non_null(strstr(in.at, "connection: close\r\n"));
	close(take_fd(&fd));
	net_kit_stop(&scene.kit);
}

/* ---- set-up ---- */

static void
an_address_is_an_ip_address_with_a_port(void **state)
{
	static const char *const wrong[] = {"", "8080", "localhost:80", "127.0.0.1",
		"127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80", "[::1]",
		"[127.0.0.1]:80", "1.2.3:80"};
	struct err err = {0};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(http_bind(wrong[i], &err), ERR_INVALID);
		assert_non_null(strstr(err.text, "is not an address with a port"));
	}
}

static void
a_port_in_use_is_said_with_its_address(void **state)
{
	struct err err = {0};
	OWN(fd) int fd = http_bind("127.0.0.1:0", &err);
	OWN(mem) char *address = mem_printf("127.0.0.1:%u", net_kit_port(fd));

	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(http_bind(address, &err), ERR_SYSTEM);
	assert_non_null(strstr(err.text, address));
	assert_int_equal(err.sys, EADDRINUSE);
}

static void
limits_that_cannot_hold_a_request_are_refused(void **state)
{
	struct http_limits limits = http_limits_default;
	struct http_handler handler = {.on_request = scene_on_request};
	struct http_server *server;
	struct err err = {0};

	limits.header_block_bytes = limits.target_bytes;
	assert_int_equal(http_server_new(NULL, &limits, &handler, &server, &err), ERR_INVALID);
}

static void
a_certificate_that_cannot_be_read_is_named(void **state)
{
	OWN(folder) char *folder = unit_folder();
	OWN(mem) char *path = path_join(folder, "cert.pem");
	struct tls_context *tls;
	struct err err = {0};

	assert_int_equal(tls_context_new(path, path, &tls, &err), ERR_INVALID);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(path_write(path, STR("no certificate"), 0600, &err), 0);
	assert_int_equal(tls_context_new(path, path, &tls, &err), ERR_INVALID);
}

UNIT_TESTS(it(the_handler_sees_the_head_first_and_then_the_whole_request),
	it(a_body_that_is_taken_counts_until_the_exchange_ends),
	it(a_body_beyond_the_handlers_limit_is_413_and_the_handler_is_told),
	it(an_answer_carries_no_header_that_is_not_its_own_to_say),
	it(no_content_has_no_body_and_no_length),
	it(a_late_answer_lets_the_next_pipelined_request_run),
	it(a_stream_waits_for_a_client_that_does_not_read),
	it(a_client_that_leaves_is_told_once_at_every_stage),
	it(a_client_that_leaves_in_a_stream_is_told),
	it(a_stop_without_connections_is_done_and_refuses_new_ones),
	it(a_stop_answers_what_runs_with_connection_close),
	it(an_address_is_an_ip_address_with_a_port), it(a_port_in_use_is_said_with_its_address),
	it(limits_that_cannot_hold_a_request_are_refused),
	it(a_certificate_that_cannot_be_read_is_named))
