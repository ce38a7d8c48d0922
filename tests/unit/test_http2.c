/* SPDX-License-Identifier: Apache-2.0 */
#include "net_kit.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

/* ---- the server's side ---- */

struct scene {
	struct net_kit kit;
	void (*on_request)(struct http_exchange *exchange, struct scene *scene);
	struct http_exchange *waiting;
	unsigned n_requests, n_aborted;
	struct buf seen; /* of the last request */
};

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
	struct http_handler handler = {.on_request = scene_on_request, .arg = scene};

	net_kit_start(&scene->kit, limits, &handler);
}

static void ON_LOOP
scene_stop(struct scene *scene)
{
	net_kit_stop(&scene->kit);
	buf_done(&scene->seen);
}

static void ON_LOOP
echo(struct http_exchange *exchange, struct scene *scene)
{
	const struct http_request *request = http_request_of(exchange);

	buf_clear(&scene->seen);
	buf_printf(&scene->seen, "%s %.*s %.*s?%.*s %.*s\n", request->version,
		STR_ARG(request->method), STR_ARG(request->path), STR_ARG(request->query),
		STR_ARG(request->authority));
	for (size_t i = 0; i < request->n_headers; i++)
		buf_printf(&scene->seen, "%.*s: %.*s\n", STR_ARG(request->headers[i].name),
			STR_ARG(request->headers[i].value));
	http_answer(exchange, 200, NULL, 0, request->body);
}

static void
on_abort(struct http_exchange *exchange, void *arg)
{
	((struct scene *)arg)->n_aborted++;
}

static void ON_LOOP
keep_waiting(struct http_exchange *exchange, struct scene *scene)
{
	scene->waiting = exchange;
	http_on_abort(exchange, on_abort, scene);
}

/* ---- the client's side, on nghttp2 ---- */

struct stream {
	int32_t id;
	int status;
	uint32_t code; /* of RST_STREAM */
	bool is_closed;
	struct buf body;
};

struct client {
	struct scene *scene;
	nghttp2_session *session;
	int fd;
	struct stream streams[300];
	size_t n_streams;
	bool has_goaway, is_closed;
	uint32_t goaway;
	unsigned n_answers; /* of 100 */
};

static struct stream *
client_stream(struct client *client, int32_t id)
{
	for (size_t i = 0; i < client->n_streams; i++)
		if (client->streams[i].id == id)
			return &client->streams[i];
	fail_msg("no stream %d", id);
	return NULL;
}

static int
client_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	if (name_len == 7 && memcmp(name, ":status", 7) == 0)
		client_stream(arg, frame->hd.stream_id)->status = atoi((const char *)value);
	return 0;
}

static int
client_on_data(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *at, size_t n, void *arg)
{
	buf_add(&client_stream(arg, id)->body, at, n);
	return 0;
}

static int
client_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct client *client = arg;

	if (frame->hd.type == NGHTTP2_GOAWAY) {
		client->has_goaway = true;
		client->goaway = frame->goaway.error_code;
	}
	if (frame->hd.type == NGHTTP2_HEADERS &&
		client_stream(client, frame->hd.stream_id)->status == 100)
		client->n_answers++;
	return 0;
}

static int
client_on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct stream *stream = client_stream(arg, id);

	stream->is_closed = true;
	stream->code = code;
	return 0;
}

static void
client_start(struct client *client, struct scene *scene)
{
	nghttp2_session_callbacks *callbacks;

	*client = (struct client){.scene = scene};
	client->fd = net_kit_connect(scene->kit.port);
	assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, client_on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_on_close);
	assert_int_equal(nghttp2_session_client_new(&client->session, callbacks, client), 0);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, NULL, 0);
}

static void
client_stop(struct client *client)
{
	for (size_t i = 0; i < client->n_streams; i++)
		buf_done(&client->streams[i].body);
	nghttp2_session_del(client->session);
	close(client->fd);
}

static void
client_flush(struct client *client)
{
	const uint8_t *bytes;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(client->session, &bytes)) > 0)
		if (send(client->fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
			client->is_closed = true;
}

/* Sends what is to be sent, lets the server work, and takes what came. */
static void
client_turn(struct client *client)
{
	OWN(buf) struct buf in = BUF_INIT;

	client_flush(client);
	net_kit_turn(&client->scene->kit);
	if (!net_kit_take(client->fd, &in))
		client->is_closed = true;
	if (in.len)
		nghttp2_session_mem_recv(client->session, (uint8_t *)in.at, in.len);
}

#define client_wait(client, condition)                                                             \
	do {                                                                                       \
		int round_ = 0;                                                                    \
                                                                                                   \
		while (!(condition) && round_++ < NET_KIT_ROUNDS)                                  \
			client_turn(client);                                                       \
		assert_true(condition);                                                            \
	} while (0)

static ssize_t
client_on_read(nghttp2_session *session, int32_t id, uint8_t *at, size_t size, uint32_t *flags,
	nghttp2_data_source *source, void *arg)
{
	struct str *body = source->ptr;
	size_t n = body->len < size ? body->len : size;

	if (!body->at)
		return NGHTTP2_ERR_DEFERRED;
	memcpy(at, body->at, n);
	*body = str_n(body->at + n, body->len - n);
	if (body->len == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

#define CLIENT_FIELDS 8

/* Fields as "name", "value" pairs until NULL. A body without bytes never ends. */
static struct stream *
client_ask(struct client *client, struct str *body, const char *const *fields)
{
	nghttp2_data_provider provider = {{.ptr = body}, client_on_read};
	struct stream *stream = &client->streams[client->n_streams++];
	nghttp2_nv pairs[CLIENT_FIELDS];
	size_t n = 0;

	assert_true(client->n_streams <= 300);
	for (; fields[n * 2]; n++) {
		assert_true(n < CLIENT_FIELDS);
		pairs[n] = (nghttp2_nv){
			.name = (uint8_t *)fields[n * 2],
			.value = (uint8_t *)fields[n * 2 + 1],
			.namelen = strlen(fields[n * 2]),
			.valuelen = strlen(fields[n * 2 + 1]),
		};
	}
	*stream = (struct stream){.id = nghttp2_submit_request(client->session, NULL, pairs, n,
					  body ? &provider : NULL, NULL)};
	assert_true(stream->id > 0);
	return stream;
}

#define HEAD(method, path)     ":method", method, ":scheme", "http", ":path", path, ":authority", "h:1"
#define ASK(client, body, ...) client_ask(client, body, (const char *const[]){__VA_ARGS__, NULL})

/* ---- tests ---- */

static void
requests_and_bodies_go_both_ways_on_many_streams(void **state)
{
	struct scene scene = {.on_request = echo};
	struct client client;
	struct str bodies[20];

	thread_on_loop();
	scene_start(&scene, &http_limits_default);
	client_start(&client, &scene);
	for (int i = 0; i < 20; i++) {
		bodies[i] = STR("a body");
		ASK(&client, &bodies[i], HEAD("POST", "/p?q"));
	}
	client_wait(&client, client.streams[19].is_closed);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(client.streams[i].status, 200);
		assert_str(buf_str(&client.streams[i].body), "a body");
	}
	assert_string_equal(scene.seen.at, "HTTP/2 POST /p?q h:1\n");
	client_stop(&client);
	scene_stop(&scene);
}

static void
crumbs_of_cookies_are_joined(void **state)
{
	struct scene scene = {.on_request = echo};
	struct client client;
	struct stream *stream;

	thread_on_loop();
	scene_start(&scene, &http_limits_default);
	client_start(&client, &scene);
	stream = ASK(&client, NULL, HEAD("GET", "/"), "cookie", "a=1", "x", "y", "cookie", "b=2");
	client_wait(&client, stream->is_closed);
	assert_non_null(strstr(scene.seen.at, "\ncookie: a=1; b=2\nx: y\n"));
	client_stop(&client);
	scene_stop(&scene);
}

/* One request on a connection of its own; its stream, closed. */
static struct stream ON_LOOP
ask_once(struct scene *scene, struct str *body, const char *const *fields)
{
	struct client client;
	struct stream *stream, gone;

	client_start(&client, scene);
	stream = client_ask(&client, body, fields);
	client_wait(&client, stream->is_closed);
	gone = *stream;
	stream->body = BUF_INIT;
	client_stop(&client);
	return gone;
}

static void
requests_that_http_2_forbids_reset_their_stream(void **state)
{
	static const char *const rows[][CLIENT_FIELDS * 2 + 1] = {
		{HEAD("GET", "/"), "connection", "close"},
		{HEAD("GET", "/"), "transfer-encoding", "chunked"},
		{HEAD("GET", "/"), "te", "gzip"},
		{HEAD("GET", "/"), "upgrade", "h2c"},
		{HEAD("GET", "/"), "content-length", "5"},
		{HEAD("GET", "nopath")},
		{HEAD("GET", "/"), "x", "a\rb"},
		{":method", "GET", ":scheme", "http", ":authority", "a"},
	};
	struct scene scene = {.on_request = echo};

	thread_on_loop();
	scene_start(&scene, &http_limits_default);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stream stream = ask_once(&scene, NULL, rows[i]);

		assert_int_equal(stream.status, 0);
		assert_int_equal(stream.code, NGHTTP2_PROTOCOL_ERROR);
	}
	assert_int_equal(scene.n_requests, 0);
	scene_stop(&scene);
}

static void
requests_that_cannot_be_are_answered_with_their_fault(void **state)
{
	static const struct {
		const char *fields[CLIENT_FIELDS * 2 + 1];
		int status;
	} rows[] = {
		{{HEAD("GET", "/#a")}, 400},
		{{HEAD("GET", "/\xc3\xa4")}, 400},
		{{HEAD("GET", "/"), "host", "other"}, 400},
		{{HEAD("GET", "/"), "expect", "more"}, 417},
		{{":method", "CONNECT", ":authority", "a:1"}, 405},
		{{HEAD("POST", "/"), "content-length", "9999999"}, 413},
		{{HEAD("GET", "/"), "host", "h:1"}, 200},
	};
	struct scene scene = {.on_request = echo};

	thread_on_loop();
	scene_start(&scene, &http_limits_default);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str never = STR_NONE;
		bool is_long = rows[i].status == 413;
		struct client client;
		struct stream *stream;

		client_start(&client, &scene);
		stream = client_ask(&client, is_long ? &never : NULL, rows[i].fields);
		client_wait(&client, stream->status || stream->is_closed);
		assert_int_equal(stream->status, rows[i].status);
		client_stop(&client);
	}
	assert_int_equal(scene.n_requests, 1);
	scene_stop(&scene);
}

static void
head_and_target_have_limits(void **state)
{
	struct http_limits limits = http_limits_default;
	char target[2000], value[9000];
	struct scene scene = {.on_request = echo};
	struct stream stream;

	limits.target_bytes = 1000;
	limits.header_block_bytes = 4000;
	thread_on_loop();
	scene_start(&scene, &limits);
	memset(target, 'a', sizeof(target));
	memset(value, 'v', sizeof(value));
	target[0] = '/';
	target[1999] = value[8999] = '\0';
	stream = ask_once(&scene, NULL, (const char *const[]){HEAD("GET", target), NULL});
	assert_int_equal(stream.status, 414);
	buf_done(&stream.body);
	stream = ask_once(&scene, NULL, (const char *const[]){HEAD("GET", "/"), "x", value, NULL});
	assert_int_equal(stream.status, 431);
	buf_done(&stream.body);
	scene_stop(&scene);
}

static void
streams_beyond_the_limit_are_refused(void **state)
{
	struct http_limits limits = http_limits_default;
	struct scene scene = {.on_request = keep_waiting};
	struct client client;

	limits.n_streams = 2;
	thread_on_loop();
	scene_start(&scene, &limits);
	client_start(&client, &scene);
	nghttp2_session_set_user_data(client.session, &client);
	for (int i = 0; i < 3; i++)
		ASK(&client, NULL, HEAD("GET", "/"));
	client_wait(&client, client.streams[2].is_closed || scene.n_requests == 2);
	for (int i = 0; i < 20; i++)
		client_turn(&client);
	assert_int_equal(scene.n_requests, 2);
	client_stop(&client);
	net_kit_wait(&scene.kit, scene.n_aborted == 2);
	scene_stop(&scene);
}

static void
a_reset_stream_aborts_its_exchange_alone(void **state)
{
	struct scene scene = {.on_request = keep_waiting};
	struct client client;
	struct stream *first, *second;

	thread_on_loop();
	scene_start(&scene, &http_limits_default);
	client_start(&client, &scene);
	first = ASK(&client, NULL, HEAD("GET", "/1"));
	client_wait(&client, scene.n_requests == 1);
	second = ASK(&client, NULL, HEAD("GET", "/2"));
	client_wait(&client, scene.n_requests == 2);
	nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, first->id, NGHTTP2_CANCEL);
	client_wait(&client, scene.n_aborted == 1);
	http_answer(scene.waiting, 200, NULL, 0, STR("second"));
	client_wait(&client, second->is_closed);
	assert_str(buf_str(&second->body), "second");
	assert_int_equal(scene.n_aborted, 1);
	client_stop(&client);
	scene_stop(&scene);
}

static void
a_flood_of_resets_ends_the_connection(void **state)
{
	struct scene scene = {.on_request = keep_waiting};
	struct client client;

	thread_on_loop();
	scene_start(&scene, &http_limits_default);
	client_start(&client, &scene);
	client_turn(&client);
	for (int i = 0; i < 300 && !client.has_goaway && !client.is_closed; i++) {
		struct stream *stream = ASK(&client, NULL, HEAD("GET", "/"));

		client_flush(&client);
		nghttp2_submit_rst_stream(
			client.session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
		client_turn(&client);
	}
	client_wait(&client, client.has_goaway);
	assert_int_not_equal(client.goaway, NGHTTP2_NO_ERROR);
	client_wait(&client, client.is_closed);
	assert_int_equal(scene.n_aborted, scene.n_requests);
	client_stop(&client);
	scene_stop(&scene);
}

static void
send_frames(int fd, uint8_t type, struct str payload, unsigned n)
{
	OWN(buf) struct buf out = BUF_INIT;
	const char head[9] = {0, 0, (char)payload.len, (char)type, 0, 0, 0, 0, 0};

	for (unsigned i = 0; i < n; i++) {
		buf_add(&out, head, sizeof(head));
		buf_add_str(&out, payload);
	}
	send(fd, out.at, out.len, MSG_NOSIGNAL);
}

/* Fifty at once are borne, a thousand are not. */
static void ON_LOOP
flood(uint8_t type, struct str payload)
{
	struct scene scene = {.on_request = echo};
	OWN(buf) struct buf in = BUF_INIT;
	struct http_stats stats;
	OWN(fd) int fd = -1;

	scene_start(&scene, &http_limits_default);
	fd = net_kit_connect(scene.kit.port);
	net_kit_send(fd, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
	send_frames(fd, NGHTTP2_SETTINGS, STR(""), 1);
	send_frames(fd, type, payload, 50);
	for (int i = 0; i < 20; i++) {
		net_kit_turn(&scene.kit);
		assert_true(net_kit_take(fd, &in));
	}
	for (int i = 0; i < 20; i++) {
		send_frames(fd, type, payload, 50);
		net_kit_turn(&scene.kit);
		net_kit_take(fd, &in);
	}
	net_kit_drain(&scene.kit, fd, &in);
	http_server_stats(scene.kit.server, &stats);
	assert_int_equal(stats.n_malformed, 1);
	scene_stop(&scene);
}

static void
floods_of_cheap_frames_end_the_connection(void **state)
{
	thread_on_loop();
	flood(NGHTTP2_PING, STR("12345678"));
	flood(NGHTTP2_SETTINGS, STR("\0\3\0\0\0\1"));
}

static void
a_body_that_comes_too_slowly_is_408(void **state)
{
	struct http_limits limits = http_limits_default;
	struct scene scene = {.on_request = echo};
	struct str never = STR_NONE;
	struct client client;
	struct stream *stream;
	struct http_stats stats;

	limits.body_window_ms = 50;
	thread_on_loop();
	scene_start(&scene, &limits);
	client_start(&client, &scene);
	stream = ASK(&client, &never, HEAD("POST", "/"));
	client_wait(&client, stream->status);
	assert_int_equal(stream->status, 408);
	http_server_stats(scene.kit.server, &stats);
	assert_int_equal(stats.n_slow_cut, 1);
	client_stop(&client);
	scene_stop(&scene);
}

static void
a_stop_says_goaway_and_lets_the_stream_end(void **state)
{
	struct scene scene = {.on_request = keep_waiting};
	struct client client;
	struct stream *stream;

	thread_on_loop();
	scene_start(&scene, &http_limits_default);
	client_start(&client, &scene);
	stream = ASK(&client, NULL, HEAD("GET", "/"));
	client_wait(&client, scene.waiting);
	net_kit_begin_stop(&scene.kit, 10000);
	client_wait(&client, client.has_goaway);
	assert_int_equal(client.goaway, NGHTTP2_NO_ERROR);
	assert_false(stream->is_closed);
	http_answer(scene.waiting, 200, NULL, 0, STR("late"));
	client_wait(&client, client.is_closed);
	assert_str(buf_str(&stream->body), "late");
	client_stop(&client);
	scene_stop(&scene);
}

static void
a_silent_connection_is_closed(void **state)
{
	struct http_limits limits = http_limits_default;
	struct scene scene = {.on_request = echo};
	struct client client;
	struct stream *stream;

	limits.idle_ms = 50;
	thread_on_loop();
	scene_start(&scene, &limits);
	client_start(&client, &scene);
	stream = ASK(&client, NULL, HEAD("GET", "/"));
	client_wait(&client, client.is_closed);
	assert_int_equal(stream->status, 200);
	assert_true(client.has_goaway);
	client_stop(&client);
	scene_stop(&scene);
}

static void
a_client_that_opens_no_window_is_cut(void **state)
{
	struct http_limits limits = http_limits_default;
	struct scene scene = {.on_request = echo};
	nghttp2_settings_entry closed = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
	struct str body = STR("some bytes");
	struct client client;
	struct stream *stream;
	struct http_stats stats;

	limits.write_ms = 50;
	thread_on_loop();
	scene_start(&scene, &limits);
	client_start(&client, &scene);
	nghttp2_submit_settings(client.session, NGHTTP2_FLAG_NONE, &closed, 1);
	stream = ASK(&client, &body, HEAD("POST", "/"));
	client_wait(&client, stream->is_closed);
	assert_int_equal(stream->code, NGHTTP2_CANCEL);
	http_server_stats(scene.kit.server, &stats);
	assert_int_equal(stats.n_slow_cut, 1);
	client_stop(&client);
	scene_stop(&scene);
}

static void
expect_100_continue_is_answered_before_the_body(void **state)
{
	struct scene scene = {.on_request = echo};
	struct str body = STR_NONE;
	struct client client;
	struct stream *stream;

	thread_on_loop();
	scene_start(&scene, &http_limits_default);
	client_start(&client, &scene);
	stream = ASK(&client, &body, HEAD("POST", "/"), "expect", "100-continue");
	client_wait(&client, stream->status == 100);
	body = STR("now");
	nghttp2_session_resume_data(client.session, stream->id);
	client_wait(&client, stream->is_closed);
	assert_int_equal(stream->status, 200);
	assert_str(buf_str(&stream->body), "now");
	client_stop(&client);
	scene_stop(&scene);
}

UNIT_TESTS(it(requests_and_bodies_go_both_ways_on_many_streams), it(crumbs_of_cookies_are_joined),
	it(requests_that_http_2_forbids_reset_their_stream),
	it(requests_that_cannot_be_are_answered_with_their_fault), it(head_and_target_have_limits),
	it(streams_beyond_the_limit_are_refused), it(a_reset_stream_aborts_its_exchange_alone),
	it(a_flood_of_resets_ends_the_connection), it(floods_of_cheap_frames_end_the_connection),
	it(a_body_that_comes_too_slowly_is_408), it(a_stop_says_goaway_and_lets_the_stream_end),
	it(a_silent_connection_is_closed), it(a_client_that_opens_no_window_is_cut),
	it(expect_100_continue_is_answered_before_the_body))
