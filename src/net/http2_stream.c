/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http2_conn.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/own.h"

/* What RFC 9113 10.5.1 adds to each field's bytes. */
#define HTTP2_FIELD_OVERHEAD 32

struct http2_stream *
http2_stream_new(struct http2_conn *http2, int32_t id)
{
	struct http2_stream *stream = mem_new(sizeof(*stream));
	struct http_request *request = &stream->exchange.request;

	stream->http2 = http2;
	stream->id = id;
	stream->exchange.ops = &http2_answer_ops;
	stream->exchange.server = http2->conn->server;
	http_exchange_reset(&stream->exchange);
	request->scheme = http2->conn->tls ? "https" : "http";
	request->version = "HTTP/2";
	request->peer = http2->conn->peer;
	list_push_back(&http2->streams, &stream->link);
	return stream;
}

void
http2_stream_free(struct http2_stream *stream)
{
	http_exchange_abort(&stream->exchange);
	http_exchange_done(&stream->exchange);
	list_remove(&stream->link);
	buf_done(&stream->bytes);
	buf_done(&stream->out);
	free(stream->fields);
	free(stream->headers);
	free(stream);
}

void
http2_stream_add(struct http2_stream *stream, struct str name, struct str value)
{
	const struct http_limits *limits = &stream->http2->conn->server->limits;
	struct http2_field *field;

	stream->head_bytes += name.len + value.len + HTTP2_FIELD_OVERHEAD;
	if (str_eq(name, STR(":path")) && value.len > limits->target_bytes)
		stream->refusal = ERR_URI_TOO_LONG;
	else if (stream->head_bytes > limits->header_block_bytes ||
		 stream->n_fields >= limits->n_headers + 4)
		stream->refusal = ERR_HEADERS_TOO_LARGE;
	if (stream->refusal)
		return;
	if (stream->n_fields == stream->fields_cap) {
		stream->fields_cap = stream->fields_cap ? stream->fields_cap * 2 : 16;
		stream->fields =
			mem_grow(stream->fields, stream->fields_cap * sizeof(*stream->fields));
	}
	field = &stream->fields[stream->n_fields++];
	*field = (struct http2_field){
		.name = (uint32_t)stream->bytes.len,
		.name_len = (uint32_t)name.len,
		.value = (uint32_t)(stream->bytes.len + name.len),
		.value_len = (uint32_t)value.len,
	};
	buf_add_str(&stream->bytes, name);
	buf_add_str(&stream->bytes, value);
}

/* Cookies come in crumbs, each a field, and are one again for whoever knows no HTTP/2 (RFC 9113
 * 8.2.3). */
static void
http2_stream_join_cookies(struct http2_stream *stream)
{
	OWN(buf) struct buf joined = BUF_INIT;
	struct http2_field *first = NULL;
	size_t n = 0;

	for (size_t i = 0; i < stream->n_fields; i++) {
		struct http2_field field = stream->fields[i];
		struct str name = str_n(stream->bytes.at + field.name, field.name_len);

		if (!str_eq(name, STR("cookie"))) {
			stream->fields[n++] = field;
			continue;
		}
		if (!first) {
			first = &stream->fields[n];
			stream->fields[n++] = field;
		} else {
			buf_add_text(&joined, "; ");
		}
		buf_add(&joined, stream->bytes.at + field.value, field.value_len);
	}
	if (n == stream->n_fields)
		return;
	stream->n_fields = n;
	first->value = (uint32_t)stream->bytes.len;
	first->value_len = (uint32_t)joined.len;
	buf_add_str(&stream->bytes, buf_str(&joined));
}

static void
http2_stream_take_pseudo(struct http_request *request, struct str name, struct str value)
{
	if (str_eq(name, STR(":method")))
		request->method = value;
	else if (str_eq(name, STR(":path")))
		request->target = value;
	else if (str_eq(name, STR(":authority")))
		request->authority = value;
}

static void
http2_stream_take_fields(struct http2_stream *stream)
{
	struct http_request *request = &stream->exchange.request;

	http2_stream_join_cookies(stream);
	stream->headers = mem_new((stream->n_fields + 1) * sizeof(*stream->headers));
	for (size_t i = 0; i < stream->n_fields; i++) {
		const struct http2_field *field = &stream->fields[i];
		struct str name = str_n(stream->bytes.at + field->name, field->name_len);
		struct str value = str_n(stream->bytes.at + field->value, field->value_len);

		if (name.at[0] == ':')
			http2_stream_take_pseudo(request, name, value);
		else
			stream->headers[request->n_headers++] = (struct http_header){name, value};
	}
	request->headers = stream->headers;
}

static bool
http2_stream_is_target(const struct http_request *request)
{
	struct str target = request->target;

	if (str_eq(request->method, STR("OPTIONS")) && str_eq(target, STR("*")))
		return true;
	for (size_t i = 0; i < target.len; i++) {
		unsigned char c = (unsigned char)target.at[i];

		if (c <= 0x20 || c >= 0x7f || c == '#')
			return false;
	}
	return target.len && target.at[0] == '/';
}

/* Host may stand in for :authority, and must not say something else (RFC 9113 8.3.1). */
static int
http2_stream_take_authority(struct http_request *request, struct err *err)
{
	struct str host = STR_NONE;
	size_t n_hosts = 0;

	for (size_t i = 0; i < request->n_headers; i++) {
		if (str_eq(request->headers[i].name, STR("host"))) {
			host = request->headers[i].value;
			n_hosts++;
		}
	}
	if (n_hosts > 1)
		return err_set(err, ERR_INVALID, "the request has two Host headers");
	if (!request->authority.len)
		request->authority = host;
	if (!http_is_authority(request->authority))
		return err_set(err, ERR_INVALID, "the request has no valid :authority or Host");
	if (n_hosts && !str_eq_case(host, request->authority))
		return err_set(err, ERR_INVALID, ":authority and Host are not the same");
	return 0;
}

static int
http2_stream_refusal(const struct http2_stream *stream, struct err *err)
{
	const struct http_limits *limits = &stream->http2->conn->server->limits;

	if (stream->refusal == ERR_URI_TOO_LONG)
		return err_set(err, stream->refusal, "the request target has more than %zu bytes",
			limits->target_bytes);
	return err_set(err, stream->refusal,
		"the request head has more than %zu bytes or %u headers",
		limits->header_block_bytes, limits->n_headers);
}

int
http2_stream_finish(struct http2_stream *stream, struct err *err)
{
	struct http_request *request = &stream->exchange.request;
	struct str expect;

	if (stream->refusal)
		return http2_stream_refusal(stream, err);
	http2_stream_take_fields(stream);
	if (str_eq(request->method, STR("CONNECT")))
		return err_set(err, ERR_METHOD, "this server is no proxy");
	if (!http_is_token(request->method) || !http2_stream_is_target(request))
		return err_set(err, ERR_INVALID, "the request has no valid :method and :path");
	expect = http_header(request, "expect");
	if (expect.at && !str_eq_case(expect, STR("100-continue")))
		return err_set(err, ERR_EXPECTATION, "the only expectation met is 100-continue");
	request->query = request->target;
	request->path = str_cut(&request->query, '?');
	return http2_stream_take_authority(request, err);
}
