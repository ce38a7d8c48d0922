/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http2_conn.h"

#include <stdlib.h>

#include "base/mem.h"

/* How much a client may send ahead on one stream, and on all together. */
#define HTTP2_STREAM_WINDOW ((int32_t)256 * 1024)
#define HTTP2_CONN_WINDOW   ((int32_t)1024 * 1024)
/* Frames that cost the client nothing and the server something (RST_STREAM, SETTINGS, PING,
 * PRIORITY, empty DATA, and what makes us reset a stream): at once, and per second. The class of
 * CVE-2023-44487, CVE-2019-9512, -9515, -9518 and CVE-2025-8671. */
#define HTTP2_BUDGET        500
#define HTTP2_BUDGET_RATE_S 50
#define HTTP2_RESET_BURST   200
#define HTTP2_ACKS_MAX      100
/* How long the rest of a request may come behind its answer. */
#define HTTP2_LINGER_MS 2000

static struct http2_stream *
http2_find(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

/* ---- floods ---- */

static void ON_LOOP
http2_spend(struct http2_conn *http2)
{
	uint64_t now = http_conn_now(http2->conn);
	uint64_t refill = (now - http2->budget_ms) * HTTP2_BUDGET_RATE_S / 1000;

	if (refill) {
		http2->budget = refill + http2->budget > HTTP2_BUDGET
					? HTTP2_BUDGET
					: http2->budget + (unsigned)refill;
		http2->budget_ms = now;
	}
	if (http2->budget == 0) {
		http2->conn->server->stats.n_malformed++;
		nghttp2_session_terminate_session(http2->session, NGHTTP2_ENHANCE_YOUR_CALM);
		http_conn_mark(http2->conn);
		return;
	}
	http2->budget--;
}

static bool
http2_is_cheap(const nghttp2_frame *frame)
{
	switch (frame->hd.type) {
	case NGHTTP2_RST_STREAM:
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PING:
	case NGHTTP2_PRIORITY:
		return true;
	case NGHTTP2_DATA:
		return frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	case NGHTTP2_WINDOW_UPDATE:
		return frame->window_update.window_size_increment < 64;
	}
	return false;
}

/* ---- deadlines ---- */

static uint64_t
http2_tick_after(const struct http2_conn *http2)
{
	const struct http_limits *limits = &http2->conn->server->limits;
	uint64_t after = HTTP2_LINGER_MS;

	if (limits->body_window_ms < after)
		after = limits->body_window_ms;
	return limits->write_ms < after ? limits->write_ms : after;
}

static void ON_LOOP
http2_set_deadline(struct http2_conn *http2)
{
	const struct http_limits *limits = &http2->conn->server->limits;
	uint64_t now = http_conn_now(http2->conn);
	uint64_t at =
		list_is_empty(&http2->streams) ? http2->idle_ms + limits->idle_ms : http2->tick_ms;

	if (http2->head_ms && http2->head_ms + limits->header_ms < at)
		at = http2->head_ms + limits->header_ms;
	http_conn_deadline(http2->conn, at > now ? at - now : 1);
}

/* A body that comes too slowly, or an answer for which the client opens no window. */
static void ON_LOOP
http2_check_stream(struct http2_stream *stream, uint64_t now)
{
	const struct http_limits *limits = &stream->http2->conn->server->limits;
	uint64_t age = now - stream->since_ms;

	if (stream->state == HTTP2_BODY && age >= limits->body_window_ms) {
		if (stream->window_bytes * 1000 < (uint64_t)limits->body_rate_bytes_s * age)
			http2_answer_refuse(
				stream, ERR_REQUEST_TIMEOUT, "the request body comes too slowly");
		stream->window_bytes = 0;
		stream->since_ms = now;
	} else if (stream->is_lingering && age >= HTTP2_LINGER_MS) {
		nghttp2_submit_rst_stream(
			stream->http2->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
	} else if (stream->out.len && age >= limits->write_ms) {
		stream->exchange.server->stats.n_slow_cut++;
		http_exchange_abort(&stream->exchange);
		nghttp2_submit_rst_stream(
			stream->http2->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
	}
}

static void ON_LOOP
http2_goaway(struct http2_conn *http2)
{
	if (http2->has_goaway)
		return;
	http2->has_goaway = true;
	nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(http2->session), NGHTTP2_NO_ERROR, NULL, 0);
	http_conn_mark(http2->conn);
}

static void ON_LOOP
http2_on_deadline(struct http_conn *conn)
{
	struct http2_conn *http2 = conn->protocol_state;
	uint64_t now = http_conn_now(conn);
	struct http2_stream *stream;

	if (http2->head_ms && now >= http2->head_ms + conn->server->limits.header_ms) {
		conn->server->stats.n_slow_cut++;
		http_conn_break(conn);
		return;
	}
	if (list_is_empty(&http2->streams)) {
		http2_goaway(http2);
		return;
	}
	list_each (&http2->streams, stream, link)
		http2_check_stream(stream, now);
	http2->tick_ms = now + http2_tick_after(http2);
	http_conn_mark(conn);
	http2_set_deadline(http2);
}

/* ---- requests ---- */

static void ON_LOOP
http2_refuse_body(struct http2_stream *stream, const struct err *reason)
{
	stream->state = HTTP2_ANSWERING;
	if (!http_exchange_refused(&stream->exchange, reason))
		http2_answer_refuse(stream, reason->code, reason->text);
}

static int ON_LOOP
http2_check_declared(struct http2_stream *stream, struct err *err)
{
	struct str length = http_header(&stream->exchange.request, "content-length");
	uint64_t n = 0;

	if (!length.at || !str_to_u64(length, &n))
		return 0;
	return http_exchange_check_length(&stream->exchange, n, err);
}

static void ON_LOOP
http2_complete(struct http2_stream *stream)
{
	stream->is_request_complete = true;
	if (stream->state != HTTP2_BODY)
		return;
	stream->state = HTTP2_ANSWERING;
	if (stream->exchange.state == HTTP_EXCHANGE_OPEN)
		http_exchange_request(&stream->exchange);
}

static void ON_LOOP
http2_begin(struct http2_stream *stream)
{
	struct http_exchange *exchange = &stream->exchange;
	struct err err = {0};

	if (http2_stream_finish(stream, &err) < 0) {
		http2_answer_refuse(stream, err.code, err.text);
		return;
	}
	stream->state = HTTP2_BODY;
	stream->since_ms = http_conn_now(stream->http2->conn);
	http_exchange_head(exchange);
	if (exchange->state != HTTP_EXCHANGE_OPEN)
		stream->state = HTTP2_ANSWERING;
	else if (http2_check_declared(stream, &err) < 0)
		http2_refuse_body(stream, &err);
	else if (!stream->is_request_complete && http_header(&exchange->request, "expect").at)
		http2_answer_continue(stream);
}

/* ---- callbacks of nghttp2 ---- */

static int ON_LOOP
http2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct http2_conn *http2 = arg;
	struct http2_stream *stream;

	http2->head_ms = http_conn_now(http2->conn);
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (list_is_empty(&http2->streams))
		http2->tick_ms = http2->head_ms + http2_tick_after(http2);
	stream = http2_stream_new(http2, frame->hd.stream_id);
	nghttp2_session_set_stream_user_data(session, stream->id, stream);
	return 0;
}

static int ON_LOOP
http2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct http2_stream *stream = http2_find(session, frame->hd.stream_id);

	if (stream && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		http2_stream_add(stream, str_n(name, name_len), str_n(value, value_len));
	return 0;
}

static int ON_LOOP
http2_on_data(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *at, size_t n, void *arg)
{
	struct http2_stream *stream = http2_find(session, id);
	struct err err = {0};

	if (!stream || stream->state != HTTP2_BODY)
		return 0;
	stream->window_bytes += n;
	if (http_exchange_add_body(&stream->exchange, str_n(at, n), &err) < 0)
		http2_refuse_body(stream, &err);
	return 0;
}

static int ON_LOOP
http2_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct http2_conn *http2 = arg;
	struct http2_stream *stream = http2_find(session, frame->hd.stream_id);

	if (http2_is_cheap(frame))
		http2_spend(http2);
	if (frame->hd.type == NGHTTP2_HEADERS ||
		(frame->hd.type == NGHTTP2_SETTINGS && !http2->has_settings)) {
		http2->has_settings = true;
		http2->head_ms = 0;
	}
	if (!stream || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		stream->is_request_complete = true;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		http2_begin(stream);
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		http2_complete(stream);
	return 0;
}

static int ON_LOOP
http2_on_invalid(nghttp2_session *session, const nghttp2_frame *frame, int code, void *arg)
{
	struct http2_conn *http2 = arg;

	http2->head_ms = 0;
	http2->conn->server->stats.n_malformed++;
	return 0;
}

/* A client that still sends when its answer is out may go on for a while: some forget the answer
 * when the stream is reset at once (RFC 9113 8.1 would allow it). A stream that the client made us
 * reset counts as a cheap frame of its. */
static int ON_LOOP
http2_on_sent_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct http2_conn *http2 = arg;
	struct http2_stream *stream = http2_find(session, frame->hd.stream_id);

	if (frame->hd.type == NGHTTP2_RST_STREAM &&
		frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
		http2_spend(http2);
	if (!stream || stream->is_request_complete ||
		!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
		(frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	stream->is_lingering = true;
	stream->since_ms = http_conn_now(http2->conn);
	return 0;
}

static int ON_LOOP
http2_on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct http2_conn *http2 = arg;
	struct http2_stream *stream = http2_find(session, id);

	if (!stream)
		return 0;
	nghttp2_session_set_stream_user_data(session, id, NULL);
	if (stream->state == HTTP2_HEAD)
		http2->head_ms = 0;
	http2_stream_free(stream);
	if (list_is_empty(&http2->streams))
		http2->idle_ms = http_conn_now(http2->conn);
	return 0;
}

/* ---- the session ---- */

static nghttp2_session_callbacks *
http2_callbacks(void)
{
	nghttp2_session_callbacks *callbacks;

	must(nghttp2_session_callbacks_new(&callbacks) == 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, http2_on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, http2_on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, http2_on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, http2_on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, http2_on_sent_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, http2_on_invalid);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, http2_on_stream_close);
	return callbacks;
}

static nghttp2_option *
http2_options(void)
{
	nghttp2_option *options;

	must(nghttp2_option_new(&options) == 0);
	nghttp2_option_set_no_closed_streams(options, 1);
	nghttp2_option_set_max_outbound_ack(options, HTTP2_ACKS_MAX);
	nghttp2_option_set_stream_reset_rate_limit(options, HTTP2_RESET_BURST, HTTP2_BUDGET_RATE_S);
	return options;
}

static void ON_LOOP
http2_submit_settings(struct http2_conn *http2)
{
	const struct http_limits *limits = &http2->conn->server->limits;
	nghttp2_settings_entry entries[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->n_streams},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)HTTP2_STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_block_bytes},
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
	};

	must(nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, entries,
		     sizeof(entries) / sizeof(entries[0])) == 0);
	must(nghttp2_session_set_local_window_size(
		     http2->session, NGHTTP2_FLAG_NONE, 0, HTTP2_CONN_WINDOW) == 0);
}

static void *ON_LOOP
http2_open(struct http_conn *conn)
{
	struct http2_conn *http2 = mem_new(sizeof(*http2));
	nghttp2_session_callbacks *callbacks = http2_callbacks();
	nghttp2_option *options = http2_options();

	http2->conn = conn;
	http2->head_ms = http2->idle_ms = http2->budget_ms = http_conn_now(conn);
	http2->budget = HTTP2_BUDGET;
	list_init(&http2->streams);
	must(nghttp2_session_server_new2(&http2->session, callbacks, http2, options) == 0);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(options);
	http2_submit_settings(http2);
	http2_set_deadline(http2);
	http_conn_mark(conn);
	return http2;
}

static void ON_LOOP
http2_free(void *state)
{
	struct http2_conn *http2 = state;
	struct http2_stream *stream;

	nghttp2_session_del(http2->session);
	list_each (&http2->streams, stream, link)
		http2_stream_free(stream);
	free(http2);
}

static void ON_LOOP
http2_on_bytes(struct http_conn *conn, struct str bytes)
{
	struct http2_conn *http2 = conn->protocol_state;
	ssize_t n = nghttp2_session_mem_recv(http2->session, (const uint8_t *)bytes.at, bytes.len);

	if (n < 0) {
		conn->server->stats.n_malformed++;
		http_conn_break(conn);
		return;
	}
	http2_set_deadline(http2);
	http_conn_mark(conn);
}

/* Handlers go on here, outside of nghttp2. */
static void ON_LOOP
http2_run_drains(struct http2_conn *http2)
{
	struct http2_stream *stream;

	if (!http2->has_drain)
		return;
	http2->has_drain = false;
	list_each (&http2->streams, stream, link)
		http_exchange_drained(&stream->exchange, stream->out.len);
}

/* A client that takes no bytes gets no more made: the rest stays in nghttp2 and in the streams. */
static void ON_LOOP
http2_on_turn(struct http_conn *conn)
{
	struct http2_conn *http2 = conn->protocol_state;
	const uint8_t *bytes;
	ssize_t n = 1;

	while (n > 0 && http_conn_queued(conn) < HTTP_QUEUE_HIGH) {
		n = nghttp2_session_mem_send(http2->session, &bytes);
		if (n > 0)
			buf_add(&conn->out, bytes, (size_t)n);
	}
	if (n < 0) {
		http_conn_break(conn);
		return;
	}
	http2_run_drains(http2);
	if (http2->has_goaway && list_is_empty(&http2->streams) &&
		!nghttp2_session_want_write(http2->session))
		http_conn_finish(conn);
	else if (!nghttp2_session_want_read(http2->session) &&
		 !nghttp2_session_want_write(http2->session))
		http_conn_finish(conn);
	else
		http2_set_deadline(http2);
}

static void ON_LOOP
http2_on_sent(struct http_conn *conn)
{
	struct http2_conn *http2 = conn->protocol_state;

	if (nghttp2_session_want_write(http2->session))
		http_conn_mark(conn);
}

static void ON_LOOP
http2_on_eof(struct http_conn *conn)
{
	struct http2_conn *http2 = conn->protocol_state;

	if (list_is_empty(&http2->streams) && http_conn_queued(conn))
		http_conn_finish(conn);
	else
		http_conn_break(conn);
}

static void ON_LOOP
http2_on_stop(struct http_conn *conn)
{
	http2_goaway(conn->protocol_state);
}

static void ON_LOOP
http2_on_dead(struct http_conn *conn)
{
	struct http2_conn *http2 = conn->protocol_state;
	struct http2_stream *stream;

	list_each (&http2->streams, stream, link)
		http_exchange_abort(&stream->exchange);
}

const struct http_protocol http2_protocol = {
	.open = http2_open,
	.on_bytes = http2_on_bytes,
	.on_turn = http2_on_turn,
	.on_sent = http2_on_sent,
	.on_eof = http2_on_eof,
	.on_deadline = http2_on_deadline,
	.on_stop = http2_on_stop,
	.on_dead = http2_on_dead,
	.free = http2_free,
};
