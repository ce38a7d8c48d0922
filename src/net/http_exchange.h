/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_exchange - the inside of an exchange: what HTTP/1.x and HTTP/2 have in common.
 *
 * A version of HTTP embeds the struct in its own, fills `request`, feeds the body, calls
 * http_exchange_head() and _request(), and provides the four operations that send an answer.
 *
 *	NEW ── http_exchange_head ─▶ OPEN ── answer ─▶ ANSWERED
 *	                              │ http_exchange_abort ─▶ DEAD
 *
 * ON_LOOP throughout.
 */
#ifndef MAYFLY_NET_HTTP_EXCHANGE_H
#define MAYFLY_NET_HTTP_EXCHANGE_H

#include "net/http_server.h"

/* Queued bytes at which http_answer_write()'s caller should wait, and at which on_drain comes. */
#define HTTP_QUEUE_HIGH ((size_t)256 * 1024)
#define HTTP_QUEUE_LOW  ((size_t)64 * 1024)

enum http_exchange_state {
	HTTP_EXCHANGE_NEW,
	HTTP_EXCHANGE_OPEN,      /* the handler knows it and owes an answer */
	HTTP_EXCHANGE_STREAMING, /* http_answer_begin() was called */
	HTTP_EXCHANGE_ANSWERED,
	HTTP_EXCHANGE_DEAD,
};

struct http_exchange_ops {
	void (*answer)(struct http_exchange *exchange, int status,
		const struct http_header *headers, size_t n_headers, struct str body);
	void (*begin)(struct http_exchange *exchange, int status, const struct http_header *headers,
		size_t n_headers);
	size_t (*write)(struct http_exchange *exchange, struct str bytes);
	void (*end)(struct http_exchange *exchange);
	void (*cut)(struct http_exchange *exchange);
};

struct http_exchange {
	const struct http_exchange_ops *ops; /* borrowed */
	struct http_server *server;          /* borrowed */
	struct http_request request;
	enum http_exchange_state state;
	bool is_in_handler;  /* inside on_head or on_request */
	bool is_bodiless;    /* the head says that no body follows */
	bool wants_drain;    /* the queue was high: on_drain is owed */
	struct buf body;     /* owned */
	size_t body_counted; /* part of the server's body memory */
	size_t body_limit;
	void *user; /* the handler's */
	void (*on_abort)(struct http_exchange *, void *);
	void *abort_arg; /* borrowed */
	void (*on_drain)(struct http_exchange *, void *);
	void *drain_arg; /* borrowed */
};

/* Ready for the next request; keeps a small body buffer. */
void http_exchange_reset(struct http_exchange *exchange);
void http_exchange_done(struct http_exchange *exchange);

void http_exchange_head(struct http_exchange *exchange) ON_LOOP;
void http_exchange_request(struct http_exchange *exchange) ON_LOOP;
/* The body is not taken; true when the handler answered, false when the server is to. */
bool http_exchange_refused(struct http_exchange *exchange, const struct err *reason) ON_LOOP;
void http_exchange_abort(struct http_exchange *exchange) ON_LOOP; /* harmless when not open */

/* The queue of this exchange's client now holds n bytes. */
void http_exchange_drained(struct http_exchange *exchange, size_t n) ON_LOOP;

/* True while the handler owes an answer. */
bool http_exchange_is_open(const struct http_exchange *exchange);

/* ERR_TOO_LARGE, or ERR_UNAVAILABLE when all bodies together are too large. */
int http_exchange_add_body(
	struct http_exchange *exchange, struct str bytes, struct err *err) ON_LOOP;

/* Whether a declared length may be read at all. */
int http_exchange_check_length(
	const struct http_exchange *exchange, uint64_t length, struct err *err) ON_LOOP;

/* True for a header that an answer may carry as it is: valid, not hop-by-hop, not the server's. */
bool http_exchange_may_send(const struct http_header *header);

/* False for an answer that has no body whatever the handler gave. */
static inline bool
http_exchange_has_body(const struct http_exchange *exchange, int status)
{
	return status != 204 && status != 304 && !str_eq(exchange->request.method, STR("HEAD"));
}

#define HTTP_ERROR_HEADERS 3

/* Headers of an answer that the server makes itself: its type, the word of its code, and when to
 * come back where that helps. Gives how many. */
size_t http_exchange_error_headers(int code, struct http_header ret[static HTTP_ERROR_HEADERS]);

/* Body of an answer that the server makes itself; content type application/json. */
void http_exchange_write_error(
	struct http_server *server, int code, const char *text, struct buf *out) ON_LOOP;

#endif
