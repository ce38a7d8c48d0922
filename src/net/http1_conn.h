/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1_conn - HTTP/1.0 and 1.1 on one connection: one exchange at a time, in order.
 *
 *	HEAD ── complete ─▶ BODY ── complete ─▶ ANSWERING ── answer sent off ─▶ HEAD
 *	  │ malformed, late   │ too large, late                │ close asked for
 *	  └──────▶ CLOSED ◀───┴────────────────────────────────┘
 *
 * Pipelined bytes behind the running request wait in `ahead`, bounded; reading pauses beyond.
 * ON_LOOP.
 */
#ifndef MAYFLY_NET_HTTP1_CONN_H
#define MAYFLY_NET_HTTP1_CONN_H

#include "net/http1_chunked.h"
#include "net/http1_parse.h"
#include "net/http_conn.h"
#include "net/http_exchange.h"

enum http1_state { HTTP1_HEAD, HTTP1_BODY, HTTP1_ANSWERING, HTTP1_CLOSED };

struct http1_conn {
	struct http_exchange exchange;
	struct http_conn *conn; /* borrowed */
	enum http1_state state;
	struct http1_head head;
	struct http1_chunked chunked;
	uint64_t body_left;  /* of a body with a length */
	size_t window_bytes; /* of the body in the present window of the rate */
	struct buf ahead;    /* owned: behind the present request */
	bool is_late_set;    /* the deadline of the head that has begun is set */
	bool is_last;        /* the connection closes after this answer */
	bool is_chunked;     /* the streamed answer is */
	bool sends_body;     /* the streamed answer has one */
};

extern const struct http_exchange_ops http1_answer_ops;

/* The answer is complete: on to the next request, or the end. */
void http1_conn_answered(struct http1_conn *http1) ON_LOOP;

/* Head and body of a whole answer, queued. */
void http1_answer_write(struct http1_conn *http1, int status, const struct http_header *headers,
	size_t n_headers, struct str body) ON_LOOP;

#endif
