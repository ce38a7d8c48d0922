/* SPDX-License-Identifier: Apache-2.0 */
#include "net_kit.h"

#include <stdlib.h>
#include <string.h>

#include "net/fetch.h"

/* A server on 127.0.0.1 and a host that fetches from it, on one loop. */
struct scene {
	struct net_kit kit;
	struct fetch_host *host;
	unsigned n_requests;
	struct http_exchange *held; /* of /hold */
	char seen[512];             /* of the last: method, path, x-test, body */
};

static void
scene_on_abort(struct http_exchange *exchange, void *arg)
{
	struct scene *scene = arg;

	if (scene->held == exchange)
		scene->held = NULL;
}

static void
scene_on_request(struct http_exchange *exchange, void *arg)
{
	static const struct http_header to = {STR("location"), STR("/ok")};
	static const struct http_header kind = {STR("X-Kind"), STR("test")};
	const struct http_request *http = http_request_of(exchange);
	struct scene *scene = arg;

	thread_on_loop();
	scene->n_requests++;
	snprintf(scene->seen, sizeof(scene->seen), "%.*s %.*s %.*s %.*s", STR_ARG(http->method),
		STR_ARG(http->path), STR_ARG(http_header(http, "x-test")), STR_ARG(http->body));
	if (str_eq(http->path, STR("/hold"))) {
		scene->held = exchange;
		http_on_abort(exchange, scene_on_abort, scene);
	} else if (str_eq(http->path, STR("/to")))
		http_answer(exchange, 302, &to, 1, STR_NONE);
	else
		http_answer(exchange, 201, &kind, 1, STR("hello"));
}

static void ON_LOOP
scene_start(struct scene *scene, const char *listed, unsigned max_at_once)
{
	const struct http_handler handler = {.on_request = scene_on_request, .arg = scene};
	struct egress_range range;
	struct fetch_config config = {.max_at_once = max_at_once, .connect_ms = 2000};
	struct err err = {0};

	net_kit_start(&scene->kit, &http_limits_default, &handler);
	config.loop = scene->kit.loop;
	if (listed) {
		assert_int_equal(egress_range_parse(str_of(listed), &range, &err), 0);
		config.ranges = &range;
		config.n_ranges = 1;
	}
	assert_int_equal(fetch_open(&config, &scene->host, &err), 0);
}

static void ON_LOOP
scene_stop(struct scene *scene)
{
	fetch_close(scene->host);
	net_kit_wait(&scene->kit, !scene->held);
	net_kit_stop(&scene->kit);
}

struct asked {
	struct fetch fetch;
	char url[256];
	int status;
	struct err err;
	unsigned n_told;
};

static void
asked_on_done(struct fetch *fetch, int status, const struct err *err)
{
	struct asked *asked = list_owner(fetch, struct asked, fetch);

	asked->status = status;
	if (err)
		asked->err = *err;
	asked->n_told++;
}

static void
asked_done(struct asked *asked)
{
	fetch_done(&asked->fetch);
}

#define ASKED(name) __attribute__((cleanup(asked_done))) struct asked name = {0}

/* host: with %u for the port. */
static void ON_LOOP
ask(struct scene *scene, struct asked *asked, const char *host, const char *path)
{
	snprintf(asked->url, sizeof(asked->url), "http://%s:%u%s", host, scene->kit.port, path);
	asked->fetch.method = asked->fetch.method ? asked->fetch.method : "GET";
	asked->fetch.url = asked->url;
	asked->fetch.timeout_ms = asked->fetch.timeout_ms ? asked->fetch.timeout_ms : 5000;
	asked->fetch.answer_bytes = asked->fetch.answer_bytes ? asked->fetch.answer_bytes : 1000;
	asked->fetch.done = asked_on_done;
	fetch_start(scene->host, &asked->fetch);
	assert_int_equal(asked->n_told, 0);
}

static void ON_LOOP
ask_and_wait(struct scene *scene, struct asked *asked, const char *host, const char *path)
{
	ask(scene, asked, host, path);
	net_kit_wait(&scene->kit, asked->n_told);
	assert_int_equal(asked->n_told, 1);
}

static void
a_request_is_sent_as_it_is_and_its_answer_given_back(void **state)
{
	static const char *const headers[] = {"X-Test: 17", "X-Empty:", NULL};
	struct scene scene = {0};
	ASKED(asked);

	thread_on_loop();
	scene_start(&scene, "127.0.0.0/8", 0);
	asked.fetch.method = "POST";
	asked.fetch.headers = headers;
	asked.fetch.body = STR("a\nbody");
	ask_and_wait(&scene, &asked, "127.0.0.1", "/ok");
	assert_int_equal(asked.status, 201);
	assert_string_equal(scene.seen, "POST /ok 17 a\nbody");
	assert_str(buf_str(&asked.fetch.answer), "hello");
	assert_non_null(strstr(asked.fetch.answer_headers.at, "x-kind: test\n"));
	scene_stop(&scene);
}

static void
an_answer_that_is_longer_than_is_taken_is_cut_off(void **state)
{
	struct scene scene = {0};
	ASKED(asked);

	thread_on_loop();
	scene_start(&scene, "127.0.0.0/8", 0);
	asked.fetch.answer_bytes = 3;
	ask_and_wait(&scene, &asked, "127.0.0.1", "/ok");
	assert_int_equal(asked.status, 201);
	assert_str(buf_str(&asked.fetch.answer), "hel");
	scene_stop(&scene);
}

static void
a_redirect_is_an_answer_and_is_not_followed(void **state)
{
	struct scene scene = {0};
	ASKED(asked);

	thread_on_loop();
	scene_start(&scene, "127.0.0.0/8", 0);
	ask_and_wait(&scene, &asked, "127.0.0.1", "/to");
	assert_int_equal(asked.status, 302);
	assert_int_equal(scene.n_requests, 1);
	scene_stop(&scene);
}

static void
what_is_not_of_the_open_internet_is_not_reached_however_it_is_written(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1",
		"127.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0",
		"10.0.0.1", "192.168.1.1", "169.254.169.254", "[fe80::1]", "[fd00::1]",
		"[64:ff9b::7f00:1]", "100.100.100.200"};
	struct scene scene = {0};

	thread_on_loop();
	scene_start(&scene, NULL, 0);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		ASKED(asked);

		ask_and_wait(&scene, &asked, hosts[i], "/ok");
		if (asked.err.code != ERR_FORBIDDEN)
			fail_msg("%s: %d, %s", hosts[i], asked.status, asked.err.text);
	}
	assert_int_equal(scene.n_requests, 0);
	scene_stop(&scene);
}

static void
a_listed_range_opens_itself_only(void **state)
{
	struct scene scene = {0};
	ASKED(other);
	ASKED(everything);

	thread_on_loop();
	scene_start(&scene, "10.0.0.0/8", 0);
	ask_and_wait(&scene, &other, "127.0.0.1", "/ok");
	assert_int_equal(other.err.code, ERR_FORBIDDEN);
	scene_stop(&scene);
	scene_start(&scene, "0.0.0.0/0", 0);
	ask_and_wait(&scene, &everything, "127.0.0.1", "/ok");
	assert_int_equal(everything.err.code, ERR_FORBIDDEN);
	assert_int_equal(scene.n_requests, 0);
	scene_stop(&scene);
}

static void
a_connection_of_the_provider_is_kept_for_nobody(void **state)
{
	struct scene scene = {0};
	ASKED(trusted);
	ASKED(tenant);

	thread_on_loop();
	scene_start(&scene, NULL, 0);
	trusted.fetch.is_trusted = true;
	ask_and_wait(&scene, &trusted, "127.0.0.1", "/ok");
	assert_int_equal(trusted.status, 201);
	ask_and_wait(&scene, &tenant, "127.0.0.1", "/ok");
	assert_int_equal(tenant.err.code, ERR_FORBIDDEN);
	assert_int_equal(scene.n_requests, 1);
	scene_stop(&scene);
}

static void
a_proxy_of_the_environment_is_not_asked(void **state)
{
	struct scene scene = {0};
	ASKED(asked);

	thread_on_loop();
	scene_start(&scene, NULL, 0);
	OWN(mem) char *proxy = mem_printf("http://127.0.0.1:%u", scene.kit.port);
	setenv("http_proxy", proxy, 1);
	setenv("all_proxy", proxy, 1);
	ask_and_wait(&scene, &asked, "127.0.0.1", "/ok");
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	assert_int_equal(asked.err.code, ERR_FORBIDDEN);
	assert_int_equal(scene.n_requests, 0);
	scene_stop(&scene);
}

static void
who_does_not_answer_in_time_is_given_up(void **state)
{
	struct scene scene = {0};
	ASKED(asked);

	thread_on_loop();
	scene_start(&scene, "127.0.0.0/8", 0);
	asked.fetch.timeout_ms = 50;
	ask_and_wait(&scene, &asked, "127.0.0.1", "/hold");
	assert_int_equal(asked.err.code, ERR_TIMEOUT);
	assert_int_equal(asked.status, 0);
	scene_stop(&scene);
}

static void
nobody_there_is_unavailable(void **state)
{
	struct scene scene = {0};
	ASKED(asked);
	uint16_t port;
	int fd;

	thread_on_loop();
	scene_start(&scene, "127.0.0.0/8", 0);
	fd = http_bind("127.0.0.1:0", NULL);
	port = net_kit_port(fd);
	close(fd);
	uint16_t kept = scene.kit.port;
	scene.kit.port = port;
	ask_and_wait(&scene, &asked, "127.0.0.1", "/ok");
	scene.kit.port = kept;
	assert_int_equal(asked.err.code, ERR_UNAVAILABLE);
	scene_stop(&scene);
}

static void
what_is_cancelled_is_not_told_and_what_is_left_at_the_end_is(void **state)
{
	struct scene scene = {0};
	ASKED(cancelled);
	ASKED(waiting);
	ASKED(running);

	thread_on_loop();
	scene_start(&scene, "127.0.0.0/8", 1);
	ask(&scene, &cancelled, "127.0.0.1", "/hold");
	net_kit_wait(&scene.kit, scene.n_requests == 1);
	ask(&scene, &running, "127.0.0.1", "/hold");
	for (int i = 0; i < 20; i++)
		net_kit_turn(&scene.kit);
	assert_int_equal(scene.n_requests, 1);
	fetch_cancel(scene.host, &cancelled.fetch);
	net_kit_wait(&scene.kit, scene.n_requests == 2);
	ask(&scene, &waiting, "127.0.0.1", "/ok");
	scene_stop(&scene);
	assert_int_equal(cancelled.n_told, 0);
	assert_int_equal(running.err.code, ERR_UNAVAILABLE);
	assert_int_equal(waiting.err.code, ERR_UNAVAILABLE);
	assert_int_equal(running.n_told + waiting.n_told, 2);
}

static void
no_more_than_its_number_run_at_once_and_all_of_them_end(void **state)
{
	enum { N = 40 };
	static struct asked all[N];
	struct scene scene = {0};
	unsigned n_over;

	thread_on_loop();
	scene_start(&scene, "127.0.0.0/8", 3);
	for (int i = 0; i < N; i++)
		ask(&scene, &all[i], "127.0.0.1", "/ok");
	do {
		n_over = 0;
		net_kit_turn(&scene.kit);
		for (int i = 0; i < N; i++)
			n_over += all[i].n_told;
	} while (n_over < N);
	for (int i = 0; i < N; i++) {
		assert_int_equal(all[i].status, 201);
		asked_done(&all[i]);
	}
	scene_stop(&scene);
}

static void
a_header_that_is_none_is_not_sent(void **state)
{
	static const char *const headers[] = {"X-Test: a\r\nX-More: b", NULL};
	struct scene scene = {0};
	ASKED(asked);

	thread_on_loop();
	scene_start(&scene, "127.0.0.0/8", 0);
	asked.fetch.headers = headers;
	ask_and_wait(&scene, &asked, "127.0.0.1", "/ok");
	assert_int_equal(asked.err.code, ERR_INVALID);
	assert_int_equal(scene.n_requests, 0);
	scene_stop(&scene);
}

static void
urls_are_http_with_a_host_and_without_a_user(void **state)
{
	static const char *const good[] = {"http://a", "https://a.example:8443/x?y=1#z",
		"HTTP://EXAMPLE.com/", "http://[2001:db8::1]:80/"};
	static const char *const bad[] = {"", "a", "/x", "ftp://a/", "file:///etc/passwd",
		"gopher://a/", "http://", "http:///x", "http://u@a/", "http://u:p@a/",
		"http://:p@a/", "http://a b/", "http://a/\r\nX: y", "http://a\\b/",
		"http://a:99999/", "http://\xc3\xa4/", "javascript:alert(1)"};
	OWN(mem) char *long_one = mem_printf("http://a/%2048d", 1);
	struct err err = {0};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (fetch_check_url(str_of(good[i]), &err) != 0)
			fail_msg("%s: %s", good[i], err.text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (fetch_check_url(str_of(bad[i]), &err) != ERR_INVALID)
			fail_msg("%s is taken", bad[i]);
	assert_int_equal(fetch_check_url(str_of(long_one), &err), ERR_INVALID);
}

UNIT_TESTS(it(a_request_is_sent_as_it_is_and_its_answer_given_back),
	it(an_answer_that_is_longer_than_is_taken_is_cut_off),
	it(a_redirect_is_an_answer_and_is_not_followed),
	it(what_is_not_of_the_open_internet_is_not_reached_however_it_is_written),
	it(a_listed_range_opens_itself_only), it(a_connection_of_the_provider_is_kept_for_nobody),
	it(a_proxy_of_the_environment_is_not_asked), it(who_does_not_answer_in_time_is_given_up),
	it(nobody_there_is_unavailable),
	it(what_is_cancelled_is_not_told_and_what_is_left_at_the_end_is),
	it(no_more_than_its_number_run_at_once_and_all_of_them_end),
	it(a_header_that_is_none_is_not_sent), it(urls_are_http_with_a_host_and_without_a_user))
