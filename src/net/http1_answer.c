/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http1_conn.h"

#include <stdio.h>
#include <sys/socket.h>

static struct http1_conn *
http1_answer_conn(struct http_exchange *exchange)
{
	return list_owner(exchange, struct http1_conn, exchange);
}

static void
http1_answer_status(struct buf *out, int status)
{
	char digits[4] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
		(char)('0' + status % 10), ' '};

	if (status == 200) {
		buf_add_str(out, STR("HTTP/1.1 200 OK\r\n"));
		return;
	}
	buf_add_str(out, STR("HTTP/1.1 "));
	buf_add(out, digits, sizeof(digits));
	buf_add_text(out, http_reason(status));
	buf_add_str(out, STR("\r\n"));
}

static void
http1_answer_header(struct buf *out, struct str name, struct str value)
{
	char *at = buf_room(out, name.len + value.len + 4);

	memcpy(at, name.at, name.len);
	at += name.len;
	*at++ = ':';
	*at++ = ' ';
	if (value.len)
		memcpy(at, value.at, value.len);
	at += value.len;
	*at++ = '\r';
	*at++ = '\n';
	buf_grew(out, name.len + value.len + 4);
}

/* Everything but what says how long the body is. */
static void ON_LOOP
http1_answer_head(
	struct http1_conn *http1, int status, const struct http_header *headers, size_t n_headers)
{
	struct buf *out = &http1->conn->out;

	http1_answer_status(out, status);
	http1_answer_header(out, STR("date"), http_server_date(http1->conn->server));
	if (http1->is_last)
		buf_add_str(out, STR("connection: close\r\n"));
	else if (http1->head.minor == 0)
		buf_add_str(out, STR("connection: keep-alive\r\n"));
	for (size_t i = 0; i < n_headers; i++)
		if (http_exchange_may_send(&headers[i]))
			http1_answer_header(out, headers[i].name, headers[i].value);
}

/* HEAD says the length that GET would have; 204 and 304 have none (RFC 9110 8.6). */
void
http1_answer_write(struct http1_conn *http1, int status, const struct http_header *headers,
	size_t n_headers, struct str body)
{
	struct buf *out = &http1->conn->out;

	http1_answer_head(http1, status, headers, n_headers);
	if (status != 204 && status != 304) {
		buf_add_str(out, STR("content-length: "));
		buf_add_u64(out, body.len);
		buf_add_str(out, STR("\r\n"));
	}
	buf_add_str(out, STR("\r\n"));
	if (http_exchange_has_body(&http1->exchange, status) && body.len)
		http_conn_write(http1->conn, body);
	else
		http_conn_mark(http1->conn);
}

/* An answer before the end of the request leaves bytes of it on the way: they cannot be told from
 * a next request without reading them all, so the connection ends. */
static void ON_LOOP
http1_answer_decide_last(struct http1_conn *http1)
{
	if (http1->state != HTTP1_ANSWERING || !http1->head.is_keep_alive ||
		http1->conn->server->is_stopping)
		http1->is_last = true;
}

static void ON_LOOP
http1_answer_whole(struct http_exchange *exchange, int status, const struct http_header *headers,
	size_t n_headers, struct str body)
{
	struct http1_conn *http1 = http1_answer_conn(exchange);

	http1_answer_decide_last(http1);
	http1_answer_write(http1, status, headers, n_headers, body);
	http1_conn_answered(http1);
}

static void ON_LOOP
http1_answer_begin(struct http_exchange *exchange, int status, const struct http_header *headers,
	size_t n_headers)
{
	struct http1_conn *http1 = http1_answer_conn(exchange);
	struct buf *out = &http1->conn->out;

	http1_answer_decide_last(http1);
	http1->sends_body = http_exchange_has_body(exchange, status);
	http1->is_chunked = http1->sends_body && http1->head.minor > 0;
	if (http1->sends_body && !http1->is_chunked)
		http1->is_last = true;
	http1->state = HTTP1_ANSWERING;
	http_conn_deadline(http1->conn, 0);
	http1_answer_head(http1, status, headers, n_headers);
	if (http1->is_chunked)
		buf_add_str(out, STR("transfer-encoding: chunked\r\n"));
	buf_add_str(out, STR("\r\n"));
	http_conn_mark(http1->conn);
}

static size_t ON_LOOP
http1_answer_piece(struct http_exchange *exchange, struct str bytes)
{
	struct http1_conn *http1 = http1_answer_conn(exchange);
	struct http_conn *conn = http1->conn;

	if (!http1->sends_body || bytes.len == 0)
		return http_conn_queued(conn);
	if (http1->is_chunked) {
		char size[20];
		int n = snprintf(size, sizeof(size), "%zx\r\n", bytes.len);

		buf_add(&conn->out, size, (size_t)n);
	}
	http_conn_write(conn, bytes);
	if (http1->is_chunked)
		buf_add_str(&conn->out, STR("\r\n"));
	return http_conn_queued(conn);
}

static void ON_LOOP
http1_answer_end(struct http_exchange *exchange)
{
	struct http1_conn *http1 = http1_answer_conn(exchange);

	if (http1->is_chunked)
		buf_add_str(&http1->conn->out, STR("0\r\n\r\n"));
	http1_conn_answered(http1);
}

/* A missing last chunk tells by itself; a body that ends with the connection is cut by a reset. */
static void ON_LOOP
http1_answer_cut(struct http_exchange *exchange)
{
	struct http1_conn *http1 = http1_answer_conn(exchange);
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	http1->state = HTTP1_CLOSED;
	if (http1->is_chunked) {
		http_conn_finish(http1->conn);
		return;
	}
	setsockopt(http1->conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	http_conn_break(http1->conn);
}

const struct http_exchange_ops http1_answer_ops = {
	.answer = http1_answer_whole,
	.begin = http1_answer_begin,
	.write = http1_answer_piece,
	.end = http1_answer_end,
	.cut = http1_answer_cut,
};
