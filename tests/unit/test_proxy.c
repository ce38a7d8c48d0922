/* SPDX-License-Identifier: Apache-2.0 */
#include "net_kit.h"

#include <stdlib.h>

#include "net/proxy.h"

/* An origin that echoes, and a proxy that may reach it. */
struct scene {
	struct net_kit kit;
	struct proxy *proxy;
	uint16_t port; /* of the proxy */
	char *origin;  /* "127.0.0.1:port" */
	struct buf seen;
};

static void ON_LOOP
on_request(struct http_exchange *exchange, void *arg)
{
	const struct http_request *request = http_request_of(exchange);
	struct scene *scene = arg;

	buf_clear(&scene->seen);
	buf_printf(&scene->seen, "%.*s %.*s\n", STR_ARG(request->method), STR_ARG(request->target));
	for (size_t i = 0; i < request->n_headers; i++)
		buf_printf(&scene->seen, "%.*s: %.*s\n", STR_ARG(request->headers[i].name),
			STR_ARG(request->headers[i].value));
	if (request->body.len)
		http_answer(exchange, 200, NULL, 0, request->body);
	else
		http_answer(exchange, 200, NULL, 0, STR("from the origin"));
}

static void ON_LOOP
scene_start(struct scene *scene)
{
	struct http_handler handler = {.on_request = on_request, .arg = scene};
	struct err err = {0};
	int fd = http_bind("127.0.0.1:0", &err);

	*scene = (struct scene){.port = net_kit_port(fd)};
	net_kit_start(&scene->kit, &http_limits_default, &handler);
	scene->origin = mem_printf("127.0.0.1:%u", scene->kit.port);
	assert_int_equal(listen(fd, 128), 0);
	assert_int_equal(proxy_new(scene->kit.loop, fd,
				 (const char *const[]){"registry.test:443", scene->origin,
					 "127.0.0.1:1", "no-such-host.invalid:443", NULL},
				 &scene->proxy, &err),
		0);
}

static void ON_LOOP
scene_stop(struct scene *scene)
{
	proxy_free(scene->proxy);
	net_kit_stop(&scene->kit);
	buf_done(&scene->seen);
	free(scene->origin);
}

/* Sends a text with the origin's place filled in, on a new connection. */
static int
ask(struct scene *scene, const char *format)
{
	OWN(buf) struct buf text = BUF_INIT;
	const char *mark;
	int fd = net_kit_connect(scene->port);

	while ((mark = strstr(format, "ORIGIN"))) {
		buf_add(&text, format, (size_t)(mark - format));
		buf_add_text(&text, scene->origin);
		format = mark + 6;
	}
	buf_add_text(&text, format);
	net_kit_send(fd, buf_str(&text));
	return fd;
}

static void
a_tunnel_carries_bytes_both_ways_until_both_ends_close(void **state)
{
	OWN(buf) struct buf in = BUF_INIT;
	struct scene scene;
	OWN(fd) int fd = -1;

	thread_on_loop();
	scene_start(&scene);
	fd = ask(&scene, "CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n");
	net_kit_expect(&scene.kit, fd, &in, "HTTP/1.1 200 Connection established\r\n\r\n");
	net_kit_send(fd, STR("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"));
	net_kit_expect(&scene.kit, fd, &in, "from the origin");
	assert_string_equal(scene.seen.at, "GET /1\nhost: a\n");
	net_kit_send(fd, STR("GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
	net_kit_drain(&scene.kit, fd, &in);
	assert_true(proxy_bytes(scene.proxy) > 100);
	assert_string_equal(proxy_refused(scene.proxy), "");
	scene_stop(&scene);
}

static void
bytes_behind_connect_are_not_lost(void **state)
{
	OWN(buf) struct buf in = BUF_INIT;
	struct scene scene;
	OWN(fd) int fd = -1;

	thread_on_loop();
	scene_start(&scene);
	fd = ask(&scene, "CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"
			 "GET /early HTTP/1.1\r\nHost: a\r\n\r\n");
	net_kit_expect(&scene.kit, fd, &in, "from the origin");
	assert_non_null(strstr(scene.seen.at, "GET /early\n"));
	scene_stop(&scene);
}

static void
a_url_is_fetched_with_its_own_host_and_no_header_of_the_proxy(void **state)
{
	OWN(buf) struct buf in = BUF_INIT;
	struct scene scene;
	OWN(fd) int fd = -1;

	thread_on_loop();
	scene_start(&scene);
	fd = ask(&scene, "GET http://ORIGIN/pkg?x HTTP/1.1\r\nHost: other\r\nX-A: 1\r\n"
			 "Proxy-Authorization: secret\r\nProxy-Connection: keep-alive\r\n\r\n");
	net_kit_drain(&scene.kit, fd, &in);
	assert_non_null(strstr(in.at, "from the origin"));
	assert_memory_equal(scene.seen.at, "GET /pkg?x\nhost: 127.0.0.1:", 27);
	assert_non_null(strstr(scene.seen.at, "\nx-a: 1\n"));
	assert_non_null(strstr(scene.seen.at, "\nconnection: close\n"));
	assert_null(strstr(scene.seen.at, "proxy"));
	assert_null(strstr(scene.seen.at, "other"));
	scene_stop(&scene);
}

static void
a_body_is_passed_on_and_nothing_behind_it(void **state)
{
	OWN(buf) struct buf in = BUF_INIT;
	struct scene scene;
	OWN(fd) int fd = -1;

	thread_on_loop();
	scene_start(&scene);
	fd = ask(&scene, "POST http://ORIGIN/audit HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"
			 "abc");
	for (int i = 0; i < 20; i++)
		net_kit_turn(&scene.kit);
	net_kit_send(fd, STR("defGET http://elsewhere/ HTTP/1.1\r\nHost: b\r\n\r\n"));
	net_kit_drain(&scene.kit, fd, &in);
	assert_non_null(strstr(in.at, "\r\n\r\nabcdef"));
	assert_non_null(strstr(scene.seen.at, "POST /audit\n"));
	scene_stop(&scene);
}

static void
what_is_not_on_the_list_is_refused_with_a_sentence_and_noted_once(void **state)
{
	static const struct {
		const char *text;
		const char *answer;
	} rows[] = {
		{"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil\r\n\r\n",
			"HTTP/1.1 403 Forbidden\r\n"},
		{"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil\r\n\r\n", "evil.test:443"},
		{"CONNECT registry.test:80 HTTP/1.1\r\nHost: a\r\n\r\n", "registry.test:80"},
		{"GET http://registry.test/ HTTP/1.1\r\nHost: registry.test:443\r\n\r\n",
			"registry.test:80"},
		{"GET http://127.0.0.1:22/ HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 403 "},
	};
	struct scene scene;

	thread_on_loop();
	scene_start(&scene);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN(buf) struct buf in = BUF_INIT;
		OWN(fd) int fd = ask(&scene, rows[i].text);

		net_kit_drain(&scene.kit, fd, &in);
		assert_memory_equal(in.at, "HTTP/1.1 403 ", 13);
		assert_non_null(strstr(in.at, rows[i].answer));
	}
	assert_string_equal(
		proxy_refused(scene.proxy), "evil.test:443, registry.test:80, 127.0.0.1:22");
	assert_int_equal(scene.seen.len, 0);
	scene_stop(&scene);
}

static void
what_is_no_request_to_a_proxy_is_refused(void **state)
{
	static const struct {
		const char *text;
		const char *status;
	} rows[] = {
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"CONNECT ORIGIN/x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"CONNECT registry.test HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"GET ftp://ORIGIN/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"garbage\n", "400"},
		{"POST http://ORIGIN/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
			"411"},
	};
	struct scene scene;

	thread_on_loop();
	scene_start(&scene);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN(buf) struct buf in = BUF_INIT;
		OWN(fd) int fd = ask(&scene, rows[i].text);

		net_kit_drain(&scene.kit, fd, &in);
		assert_memory_equal(in.at, "HTTP/1.1 ", 9);
		assert_memory_equal(in.at + 9, rows[i].status, 3);
	}
	assert_int_equal(scene.seen.len, 0);
	scene_stop(&scene);
}

static void
a_head_beyond_its_limit_is_refused(void **state)
{
	OWN(buf) struct buf in = BUF_INIT;
	OWN(buf) struct buf text = BUF_INIT;
	struct scene scene;
	OWN(fd) int fd = -1;

	thread_on_loop();
	scene_start(&scene);
	buf_add_text(&text, "CONNECT registry.test:443 HTTP/1.1\r\nX: ");
	for (int i = 0; i < 900; i++)
		buf_add_text(&text, "0123456789");
	fd = ask(&scene, text.at);
	net_kit_drain(&scene.kit, fd, &in);
	assert_memory_equal(in.at, "HTTP/1.1 431 ", 13);
	scene_stop(&scene);
}

static void
an_origin_that_cannot_be_reached_is_502_with_the_reason(void **state)
{
	static const char *const texts[] = {
		"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT no-such-host.invalid:443 HTTP/1.1\r\nHost: a\r\n\r\n",
	};
	struct scene scene;

	thread_on_loop();
	scene_start(&scene);
	for (size_t i = 0; i < 2; i++) {
		OWN(buf) struct buf in = BUF_INIT;
		OWN(fd) int fd = ask(&scene, texts[i]);

		net_kit_drain(&scene.kit, fd, &in);
		assert_memory_equal(in.at, "HTTP/1.1 502 Bad Gateway\r\n", 26);
		assert_non_null(strstr(in.at, i == 0 ? "connecting to 127.0.0.1:1" : "resolving"));
	}
	scene_stop(&scene);
}

static void
more_connections_than_the_limit_wait_for_a_place(void **state)
{
	OWN(buf) struct buf in = BUF_INIT;
	struct scene scene;
	int fds[65], last;

	thread_on_loop();
	scene_start(&scene);
	for (int i = 0; i < 64; i++)
		fds[i] = net_kit_connect(scene.port);
	for (int i = 0; i < 100; i++)
		net_kit_turn(&scene.kit);
	last = fds[64] = ask(&scene, "GET http://ORIGIN/ HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int i = 0; i < 20; i++)
		net_kit_turn(&scene.kit);
	assert_true(net_kit_take(last, &in));
	assert_int_equal(in.len, 0);
	close(fds[0]);
	net_kit_drain(&scene.kit, last, &in);
	assert_non_null(strstr(in.at, "from the origin"));
	for (int i = 1; i <= 64; i++)
		close(fds[i]);
	scene_stop(&scene);
}

static void
freeing_the_proxy_closes_what_is_open(void **state)
{
	OWN(buf) struct buf in = BUF_INIT;
	struct scene scene;
	OWN(fd) int fd = -1;

	thread_on_loop();
	scene_start(&scene);
	fd = ask(&scene, "CONNECT ORIGIN HTTP/1.1\r\nHost: a\r\n\r\n");
	net_kit_expect(&scene.kit, fd, &in, "established");
	scene_stop(&scene);
	assert_false(net_kit_take(fd, &in));
}

UNIT_TESTS(it(a_tunnel_carries_bytes_both_ways_until_both_ends_close),
	it(bytes_behind_connect_are_not_lost),
	it(a_url_is_fetched_with_its_own_host_and_no_header_of_the_proxy),
	it(a_body_is_passed_on_and_nothing_behind_it),
	it(what_is_not_on_the_list_is_refused_with_a_sentence_and_noted_once),
	it(what_is_no_request_to_a_proxy_is_refused), it(a_head_beyond_its_limit_is_refused),
	it(an_origin_that_cannot_be_reached_is_502_with_the_reason),
	it(more_connections_than_the_limit_wait_for_a_place),
	it(freeing_the_proxy_closes_what_is_open))
