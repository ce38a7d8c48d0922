/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2_conn - HTTP/2 on one connection (RFC 9113), on nghttp2: many exchanges at a time.
 *
 * nghttp2 keeps the protocol's rules (pseudo-headers, connection-specific headers, a body as long
 * as content-length says, flow control); this keeps the server's: limits, deadlines, floods. Every
 * stream holds one exchange:
 *
 *	HEAD ── END_HEADERS ─▶ BODY ── END_STREAM ─▶ ANSWERING ── closed ─▶ gone
 *	                         │ refused: answer, RST_STREAM(NO_ERROR)
 *
 * nghttp2 is entered from http2_conn.c alone, by events of the loop; what a handler calls merely
 * submits. A stream is freed by nghttp2's close callback or with its connection. ON_LOOP.
 */
#ifndef MAYFLY_NET_HTTP2_CONN_H
#define MAYFLY_NET_HTTP2_CONN_H

#include <nghttp2/nghttp2.h>

#include "net/http_conn.h"
#include "net/http_exchange.h"

struct http2_conn {
	struct http_conn *conn;   /* borrowed */
	nghttp2_session *session; /* owned */
	struct list streams;      /* struct http2_stream; owned */
	uint64_t head_ms;         /* since when a header block is incomplete; 0: none is */
	uint64_t idle_ms;         /* since when there is no stream */
	uint64_t tick_ms;         /* when the streams' progress is looked at next */
	unsigned budget;          /* cheap frames that the client may still send; refilled */
	uint64_t budget_ms;       /* when it was refilled */
	bool has_settings;        /* the client's first SETTINGS came */
	bool has_goaway;          /* ours was sent */
	bool has_drain;           /* some stream's queue became short */
};

/* A field's place in `bytes`. */
struct http2_field {
	uint32_t name, name_len, value, value_len;
};

enum http2_stream_state { HTTP2_HEAD, HTTP2_BODY, HTTP2_ANSWERING };

struct http2_stream {
	struct http_exchange exchange;
	struct list link;
	struct http2_conn *http2; /* borrowed */
	int32_t id;
	enum http2_stream_state state;
	struct buf bytes;            /* owned: names and values as they came */
	struct http2_field *fields;  /* owned */
	struct http_header *headers; /* owned: made of fields without the pseudo-headers */
	size_t n_fields, fields_cap;
	size_t head_bytes; /* size of the header list (RFC 9113 10.5.1) */
	int refusal;       /* found while the header block was read */
	bool is_request_complete;
	bool is_deferred;    /* nghttp2 waits for nghttp2_session_resume_data() */
	bool is_ended;       /* nothing will be added to out */
	bool has_body;       /* the answer may have one */
	bool is_lingering;   /* the answer is out before the end of the request */
	struct buf out;      /* owned: of the answer, not yet given to nghttp2 */
	size_t window_bytes; /* of the request's body in the present window of the rate */
	uint64_t since_ms;   /* begin of that window, or of the last progress of the answer */
};

/* ---- http2_stream.c: a header block becomes a request ---- */

struct http2_stream *http2_stream_new(struct http2_conn *http2, int32_t id) ON_LOOP;
void http2_stream_free(struct http2_stream *stream) ON_LOOP;

/* Keeps a field; one beyond the limits makes the stream's refusal. */
void http2_stream_add(struct http2_stream *stream, struct str name, struct str value) ON_LOOP;

/* Fills the exchange's request; an error code with a sentence if it cannot be one. */
int http2_stream_finish(struct http2_stream *stream, struct err *err) ON_LOOP;

/* ---- http2_answer.c ---- */

extern const struct http_exchange_ops http2_answer_ops;

/* The server's own answer in place of the handler's, which learns of it by on_abort. */
void http2_answer_refuse(struct http2_stream *stream, int code, const char *text) ON_LOOP;

void http2_answer_continue(struct http2_stream *stream) ON_LOOP; /* 100 */

#endif
