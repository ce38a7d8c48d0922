/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http2_conn.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/own.h"

static struct http2_stream *
http2_answer_stream(struct http_exchange *exchange)
{
	return list_owner(exchange, struct http2_stream, exchange);
}

static nghttp2_nv
http2_answer_nv(struct str name, struct str value)
{
	return (nghttp2_nv){
		.name = (uint8_t *)name.at,
		.namelen = name.len,
		.value = (uint8_t *)value.at,
		.valuelen = value.len,
	};
}

/* nghttp2 takes what it may send now; at the end of what is there it is told to wait. */
static ssize_t ON_LOOP
http2_answer_on_read(nghttp2_session *session, int32_t id, uint8_t *at, size_t size,
	uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct http2_stream *stream = source->ptr;
	size_t n = stream->out.len < size ? stream->out.len : size;

	if (n == 0 && !stream->is_ended) {
		stream->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	if (n) {
		memcpy(at, stream->out.at, n);
		buf_eat(&stream->out, n);
		stream->since_ms = http_conn_now(stream->http2->conn);
		stream->http2->has_drain |= stream->exchange.wants_drain;
	}
	if (stream->is_ended && stream->out.len == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* Status, date, what the handler may say, and the length where it is known (-1: it is not). */
static void ON_LOOP
http2_answer_submit(struct http2_stream *stream, int status, const struct http_header *headers,
	size_t n_headers, int64_t length, bool has_body)
{
	char digits[3] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
		(char)('0' + status % 10)};
	OWN(mem) nghttp2_nv *fields = mem_new((n_headers + 3) * sizeof(*fields));
	OWN(buf) struct buf length_text = BUF_INIT;
	nghttp2_data_provider provider = {{.ptr = stream}, http2_answer_on_read};
	size_t n = 0;

	fields[n++] = http2_answer_nv(STR(":status"), str_n(digits, 3));
	fields[n++] = http2_answer_nv(STR("date"), http_server_date(stream->http2->conn->server));
	for (size_t i = 0; i < n_headers; i++)
		if (http_exchange_may_send(&headers[i]))
			fields[n++] = http2_answer_nv(headers[i].name, headers[i].value);
	if (length >= 0) {
		buf_add_u64(&length_text, (uint64_t)length);
		fields[n++] = http2_answer_nv(STR("content-length"), buf_str(&length_text));
	}
	stream->has_body = has_body;
	stream->since_ms = http_conn_now(stream->http2->conn);
	if (nghttp2_submit_response(
		    stream->http2->session, stream->id, fields, n, has_body ? &provider : NULL) < 0)
		http_conn_break(stream->http2->conn);
	http_conn_mark(stream->http2->conn);
}

static void ON_LOOP
http2_answer_write_whole(struct http2_stream *stream, int status, const struct http_header *headers,
	size_t n_headers, struct str body)
{
	bool has_body = http_exchange_has_body(&stream->exchange, status) && body.len;
	bool has_length = status != 204 && status != 304;

	if (has_body)
		buf_add_str(&stream->out, body);
	stream->is_ended = true;
	http2_answer_submit(
		stream, status, headers, n_headers, has_length ? (int64_t)body.len : -1, has_body);
}

static void ON_LOOP
http2_answer_whole(struct http_exchange *exchange, int status, const struct http_header *headers,
	size_t n_headers, struct str body)
{
	http2_answer_write_whole(http2_answer_stream(exchange), status, headers, n_headers, body);
}

static void ON_LOOP
http2_answer_begin(struct http_exchange *exchange, int status, const struct http_header *headers,
	size_t n_headers)
{
	bool has_body = http_exchange_has_body(exchange, status);

	http2_answer_submit(
		http2_answer_stream(exchange), status, headers, n_headers, -1, has_body);
}

static void ON_LOOP
http2_answer_resume(struct http2_stream *stream)
{
	if (stream->is_deferred) {
		stream->is_deferred = false;
		stream->since_ms = http_conn_now(stream->http2->conn);
		if (nghttp2_session_resume_data(stream->http2->session, stream->id) < 0)
			http_conn_break(stream->http2->conn);
	}
	http_conn_mark(stream->http2->conn);
}

static size_t ON_LOOP
http2_answer_piece(struct http_exchange *exchange, struct str bytes)
{
	struct http2_stream *stream = http2_answer_stream(exchange);

	if (stream->has_body && bytes.len) {
		buf_add_str(&stream->out, bytes);
		http2_answer_resume(stream);
	}
	return stream->out.len;
}

static void ON_LOOP
http2_answer_end(struct http_exchange *exchange)
{
	struct http2_stream *stream = http2_answer_stream(exchange);

	stream->is_ended = true;
	http2_answer_resume(stream);
}

static void ON_LOOP
http2_answer_cut(struct http_exchange *exchange)
{
	struct http2_stream *stream = http2_answer_stream(exchange);

	nghttp2_submit_rst_stream(
		stream->http2->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_INTERNAL_ERROR);
	http_conn_mark(stream->http2->conn);
}

/* A stream whose answer has begun can only be reset. */
void
http2_answer_refuse(struct http2_stream *stream, int code, const char *text)
{
	struct http_header headers[HTTP_ERROR_HEADERS];
	size_t n = http_exchange_error_headers(code, headers);
	struct http_exchange *exchange = &stream->exchange;
	struct http_stats *stats = &exchange->server->stats;
	OWN(buf) struct buf body = BUF_INIT;

	if (code == ERR_REQUEST_TIMEOUT)
		stats->n_slow_cut++;
	else if (code != ERR_TOO_LARGE && code != ERR_UNAVAILABLE)
		stats->n_malformed++;
	if (exchange->state != HTTP_EXCHANGE_NEW && exchange->state != HTTP_EXCHANGE_OPEN) {
		http_exchange_abort(exchange);
		nghttp2_submit_rst_stream(
			stream->http2->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
		return;
	}
	http_exchange_abort(exchange);
	exchange->state = HTTP_EXCHANGE_DEAD;
	stream->state = HTTP2_ANSWERING;
	http_exchange_write_error(exchange->server, code, text, &body);
	http2_answer_write_whole(stream, err_http_status(code), headers, n, buf_str(&body));
}

void
http2_answer_continue(struct http2_stream *stream)
{
	nghttp2_nv status = http2_answer_nv(STR(":status"), STR("100"));

	nghttp2_submit_headers(
		stream->http2->session, NGHTTP2_FLAG_NONE, stream->id, NULL, &status, 1, NULL);
	http_conn_mark(stream->http2->conn);
}

const struct http_exchange_ops http2_answer_ops = {
	.answer = http2_answer_whole,
	.begin = http2_answer_begin,
	.write = http2_answer_piece,
	.end = http2_answer_end,
	.cut = http2_answer_cut,
};
