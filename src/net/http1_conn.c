/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http1_conn.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/own.h"

static void *ON_LOOP
http1_open(struct http_conn *conn)
{
	const struct http_limits *limits = &conn->server->limits;
	struct http1_conn *http1 = mem_new(sizeof(*http1));

	http1->conn = conn;
	http1->exchange.ops = &http1_answer_ops;
	http1->exchange.server = conn->server;
	http1->exchange.request.scheme = conn->tls ? "https" : "http";
	http1->exchange.request.peer = conn->peer;
	http_exchange_reset(&http1->exchange);
	http1_head_init(&http1->head, &(struct http1_limits){
					      .block_bytes = limits->header_block_bytes,
					      .target_bytes = limits->target_bytes,
					      .n_headers = limits->n_headers,
				      });
	return http1;
}

static void
http1_free(void *state)
{
	struct http1_conn *http1 = state;

	http_exchange_done(&http1->exchange);
	http1_head_done(&http1->head);
	buf_done(&http1->ahead);
	free(http1);
}

/* ---- refusing ---- */

static void ON_LOOP
http1_count_refusal(struct http1_conn *http1, int code)
{
	struct http_stats *stats = &http1->conn->server->stats;

	if (code == ERR_REQUEST_TIMEOUT)
		stats->n_slow_cut++;
	else if (code != ERR_TOO_LARGE && code != ERR_UNAVAILABLE)
		stats->n_malformed++;
}

/* The server's own answer to what it cannot take; the connection ends with it. */
static void ON_LOOP
http1_refuse(struct http1_conn *http1, int code, const char *text)
{
	struct http_header headers[HTTP_ERROR_HEADERS];
	size_t n = http_exchange_error_headers(code, headers);
	OWN(buf) struct buf body = BUF_INIT;

	http1_count_refusal(http1, code);
	http_exchange_abort(&http1->exchange);
	if (http1->state == HTTP1_HEAD)
		http1->exchange.request.method = STR_NONE;
	http1->is_last = true;
	http_exchange_write_error(http1->conn->server, code, text, &body);
	http1_answer_write(http1, err_http_status(code), headers, n, buf_str(&body));
	http1_conn_answered(http1);
}

static void ON_LOOP
http1_refuse_body(struct http1_conn *http1, const struct err *reason)
{
	if (!http_exchange_refused(&http1->exchange, reason))
		http1_refuse(http1, reason->code, reason->text);
}

/* ---- a request ---- */

static void
http1_fill_request(struct http1_conn *http1)
{
	const struct http1_head *head = &http1->head;
	struct http_request *request = &http1->exchange.request;

	request->method = head->method;
	request->target = head->target;
	request->path = head->path;
	request->query = head->query;
	request->authority = head->authority;
	request->version = head->minor ? "HTTP/1.1" : "HTTP/1.0";
	request->headers = head->headers;
	request->n_headers = head->n_fields;
	request->body = STR_NONE;
}

static void ON_LOOP
http1_begin_body(struct http1_conn *http1)
{
	struct http_conn *conn = http1->conn;
	struct err err = {0};

	if (http1->head.body == HTTP1_BODY_LENGTH) {
		http1->body_left = http1->head.content_length;
		if (http_exchange_check_length(&http1->exchange, http1->body_left, &err) < 0) {
			http1_refuse_body(http1, &err);
			return;
		}
	}
	http1_chunked_init(&http1->chunked);
	http1->window_bytes = 0;
	http_conn_deadline(conn, conn->server->limits.body_window_ms);
	if (http1->head.expects_continue)
		http_conn_write(conn, STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void ON_LOOP
http1_begin_request(struct http1_conn *http1)
{
	bool has_body = http1->head.body != HTTP1_BODY_NONE;

	http1_fill_request(http1);
	http1->is_late_set = false;
	http1->is_last = false;
	http1->is_chunked = false;
	http1->state = has_body ? HTTP1_BODY : HTTP1_ANSWERING;
	http1->exchange.is_bodiless = !has_body;
	http_conn_deadline(http1->conn, 0);
	http_exchange_head(&http1->exchange);
	if (http1->exchange.state != HTTP_EXCHANGE_OPEN)
		return;
	if (has_body)
		http1_begin_body(http1);
	else
		http_exchange_request(&http1->exchange);
}

void
http1_conn_answered(struct http1_conn *http1)
{
	if (http1->is_last) {
		http1->state = HTTP1_CLOSED;
		http_conn_deadline(http1->conn, 0);
		http_conn_finish(http1->conn);
		return;
	}
	http1_head_reset(&http1->head);
	http_exchange_reset(&http1->exchange);
	http1->state = HTTP1_HEAD;
	http_conn_deadline(http1->conn, http1->conn->server->limits.idle_ms);
	http_conn_mark(http1->conn);
}

/* ---- bytes ---- */

static size_t ON_LOOP
http1_consume_head(struct http1_conn *http1, struct str bytes)
{
	struct err err = {0};
	size_t used = 0;
	int rc = http1_head_feed(&http1->head, bytes, &used, &err);

	if (rc < 0) {
		http1_refuse(http1, rc, err.text);
		return bytes.len;
	}
	if (rc == 1) {
		http1_begin_request(http1);
	} else if (!http1->is_late_set && http1_head_is_begun(&http1->head)) {
		http1->is_late_set = true;
		http_conn_deadline(http1->conn, http1->conn->server->limits.header_ms);
	}
	return used;
}

/* 1 at the end of the body; the data is in *ret_data. */
static int
http1_unframe(struct http1_conn *http1, struct str bytes, size_t *ret_used, struct str *ret_data,
	struct err *err)
{
	if (http1->head.body == HTTP1_BODY_CHUNKED)
		return http1_chunked_feed(&http1->chunked, bytes, ret_used, ret_data, err);
	*ret_used = bytes.len < http1->body_left ? bytes.len : (size_t)http1->body_left;
	*ret_data = str_n(bytes.at, *ret_used);
	http1->body_left -= *ret_used;
	return http1->body_left == 0;
}

static size_t ON_LOOP
http1_consume_body(struct http1_conn *http1, struct str bytes)
{
	struct err err = {0};
	struct str data;
	size_t used = 0;
	int rc = http1_unframe(http1, bytes, &used, &data, &err);

	if (rc < 0) {
		http1_refuse(http1, rc, err.text);
		return bytes.len;
	}
	if (data.len && http_exchange_add_body(&http1->exchange, data, &err) < 0) {
		http1_refuse_body(http1, &err);
		return bytes.len;
	}
	http1->window_bytes += data.len;
	if (rc == 1) {
		http1->state = HTTP1_ANSWERING;
		http_conn_deadline(http1->conn, 0);
		http_exchange_request(&http1->exchange);
	}
	return used;
}

/* Goes through the bytes until they, or what may be done now, are at an end; gives how many were
 * used. A client that does not take its answers gets no further request run. */
static size_t ON_LOOP
http1_consume(struct http1_conn *http1, struct str bytes)
{
	size_t used = 0;

	while (used < bytes.len && http_conn_is_alive(http1->conn)) {
		struct str rest = str_n(bytes.at + used, bytes.len - used);

		if (http1->state == HTTP1_HEAD && http_conn_queued(http1->conn) <= HTTP_QUEUE_HIGH)
			used += http1_consume_head(http1, rest);
		else if (http1->state == HTTP1_BODY)
			used += http1_consume_body(http1, rest);
		else
			break;
	}
	return http1->state == HTTP1_CLOSED ? bytes.len : used;
}

static void ON_LOOP
http1_pace(struct http1_conn *http1)
{
	http_conn_pause(
		http1->conn, http1->ahead.len >= http1->conn->server->limits.read_ahead_bytes);
}

static void ON_LOOP
http1_on_bytes(struct http_conn *conn, struct str bytes)
{
	struct http1_conn *http1 = conn->protocol_state;
	size_t used = 0;

	if (http1->ahead.len == 0)
		used = http1_consume(http1, bytes);
	if (used < bytes.len)
		buf_add(&http1->ahead, bytes.at + used, bytes.len - used);
	http1_pace(http1);
}

static void ON_LOOP
http1_on_turn(struct http_conn *conn)
{
	struct http1_conn *http1 = conn->protocol_state;

	if (http1->ahead.len == 0)
		return;
	buf_eat(&http1->ahead, http1_consume(http1, buf_str(&http1->ahead)));
	if (http1->ahead.len == 0)
		buf_done(&http1->ahead);
	http1_pace(http1);
}

static void ON_LOOP
http1_on_sent(struct http_conn *conn)
{
	struct http1_conn *http1 = conn->protocol_state;

	http_exchange_drained(&http1->exchange, http_conn_queued(conn));
	if (http1->state == HTTP1_HEAD && http1->ahead.len)
		http_conn_mark(conn);
}

/* ---- ends ---- */

/* A client that closes its side while it waits for an answer counts as gone. */
static void ON_LOOP
http1_on_eof(struct http_conn *conn)
{
	struct http1_conn *http1 = conn->protocol_state;

	if (!http_exchange_is_open(&http1->exchange) && http_conn_queued(conn))
		http_conn_finish(conn);
	else
		http_conn_break(conn);
}

static void ON_LOOP
http1_check_rate(struct http1_conn *http1)
{
	const struct http_limits *limits = &http1->conn->server->limits;

	if (http1->window_bytes * 1000 <
		(size_t)limits->body_rate_bytes_s * limits->body_window_ms) {
		http1_refuse(http1, ERR_REQUEST_TIMEOUT, "the request body comes too slowly");
		return;
	}
	http1->window_bytes = 0;
	http_conn_deadline(http1->conn, limits->body_window_ms);
}

static void ON_LOOP
http1_on_deadline(struct http_conn *conn)
{
	struct http1_conn *http1 = conn->protocol_state;

	if (http1->state == HTTP1_BODY)
		http1_check_rate(http1);
	else if (http1->state == HTTP1_HEAD && http1_head_is_begun(&http1->head))
		http1_refuse(http1, ERR_REQUEST_TIMEOUT, "the request head comes too slowly");
	else if (http1->state == HTTP1_HEAD)
		http_conn_break(conn);
}

static void ON_LOOP
http1_on_stop(struct http_conn *conn)
{
	struct http1_conn *http1 = conn->protocol_state;

	http1->is_last = true;
	if (http1->state == HTTP1_HEAD && !http1_head_is_begun(&http1->head) &&
		http1->ahead.len == 0)
		http_conn_finish(conn);
}

static void ON_LOOP
http1_on_dead(struct http_conn *conn)
{
	struct http1_conn *http1 = conn->protocol_state;

	http_exchange_abort(&http1->exchange);
}

const struct http_protocol http1_protocol = {
	.open = http1_open,
	.on_bytes = http1_on_bytes,
	.on_turn = http1_on_turn,
	.on_sent = http1_on_sent,
	.on_eof = http1_on_eof,
	.on_deadline = http1_on_deadline,
	.on_stop = http1_on_stop,
	.on_dead = http1_on_dead,
	.free = http1_free,
};
