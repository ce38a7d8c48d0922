/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server - listens, and turns bytes into exchanges: HTTP/1.0, 1.1 and 2, clear or TLS.
 *
 * Strict by design: whatever RFC 9112 leaves open to two readings is answered 4xx/5xx and the
 * connection closed. Slow clients meet deadlines: an absolute one for the header block, a minimum
 * rate for bodies, one for taking the answer. It buffers request bodies whole, up to a limit that
 * the handler sets per exchange, and all bodies together up to body_memory_bytes (503 beyond).
 *
 *	              on_head()                on_request()              answered and sent
 *	 READING_HEAD ─────────▶ READING_BODY ─────────────▶ ANSWERING ─────────────────▶ gone
 *	     │ malformed: 4xx, close   │ too large: 413           │ client went away: on_abort(),
 *gone
 *
 * Knows no function, no org, no token. ON_LOOP throughout.
 */
#ifndef MAYFLY_NET_HTTP_SERVER_H
#define MAYFLY_NET_HTTP_SERVER_H

#include "net/http.h"
#include "net/loop.h"

struct http_server;
struct http_exchange; /* one request and its answer; owned by the server */

struct http_limits {
	size_t header_block_bytes;  /* whole header block with the request line: 32 KiB */
	size_t target_bytes;        /* 8 KiB */
	unsigned n_headers;         /* 100 */
	size_t body_bytes;          /* before on_head() sets another: 1 MiB */
	size_t body_memory_bytes;   /* all bodies in memory together: 1 GiB */
	unsigned n_connections;     /* beyond it new ones are answered 503 and closed: 10000 */
	unsigned header_ms;         /* first byte to end of the header block: 10 s */
	unsigned idle_ms;           /* keep-alive without a request: 75 s */
	unsigned body_rate_bytes_s; /* minimum, measured over windows: 1 KiB/s */
	unsigned body_window_ms;    /* 5 s */
	unsigned write_ms;          /* no progress in taking the answer: 30 s */
	size_t read_ahead_bytes;    /* taken behind the request that runs (pipelining): 64 KiB */
	unsigned n_streams;         /* HTTP/2 concurrent streams: 128 */
};
extern const struct http_limits http_limits_default;

struct http_handler {
	/* Head complete, body not read yet: the place to refuse (answer here) and to call
	 * http_limit_body(). Expect: 100-continue is answered after it returns unrefused. */
	void (*on_head)(struct http_exchange *exchange, void *arg);
	/* Request complete; answer now or later, exactly once. Not called if on_head answered. */
	void (*on_request)(struct http_exchange *exchange, void *arg);
	/* Comes instead of on_request for a body that is not taken: above its limit (TOO_LARGE) or
	 * above what all bodies may hold together (UNAVAILABLE). Answer now, or leave it to the
	 * server. May be NULL. */
	void (*on_refused)(struct http_exchange *exchange, const struct err *reason, void *arg);
	/* The text of an error that the server itself answers (400, 408, 413, 431 …): appends the
	 * body for `code` to out; content type is application/json. */
	void (*write_error)(int code, const char *text, struct buf *out, void *arg);
	void *arg; /* borrowed */
};

int http_server_new(struct loop *loop, const struct http_limits *limits,
	const struct http_handler *handler, struct http_server **ret, struct err *err);

/* Takes over a bound stream socket (ownership moves) and listens on it. `tls` is NULL for clear
 * text, where HTTP/2 is spoken by prior knowledge; with TLS by ALPN. */
struct tls_context;
int http_server_listen(
	struct http_server *server, int fd, struct tls_context *tls, struct err *err) ON_LOOP;

/* Stops taking connections, lets exchanges in flight end (HTTP/2: GOAWAY; HTTP/1.1: Connection:
 * close), cuts what is left after grace_ms, then calls done(arg). */
void http_server_stop(
	struct http_server *server, unsigned grace_ms, void (*done)(void *arg), void *arg) ON_LOOP;
void http_server_free(struct http_server *server);

struct http_stats {
	uint64_t n_connections, n_connections_open, n_requests, n_malformed, n_slow_cut;
	uint64_t bytes_in, bytes_out;
	uint64_t body_memory_bytes; /* held now */
};
void http_server_stats(const struct http_server *server, struct http_stats *ret) ON_LOOP;

/* ---- an exchange ---- */
const struct http_request *http_request_of(struct http_exchange *exchange);

/* A word of the handler's own, kept with the exchange. */
void http_set_user(struct http_exchange *exchange, void *user);
void *http_user(struct http_exchange *exchange);

void http_limit_body(struct http_exchange *exchange, size_t bytes) ON_LOOP;
/* In on_head(): on_request() follows at once. False where that is not known. */
bool http_is_bodiless(const struct http_exchange *exchange);

/* Moves the body out of the exchange (counted against body_memory_bytes until released by
 * the exchange's end). Freed by the caller with free(). */
char *http_take_body(struct http_exchange *exchange, size_t *ret_len) ON_LOOP;

/* Called once if the client goes away, or the server refuses the rest of the request, before the
 * answer is complete; the exchange is dead when it returns and must not be touched. Not called
 * after the answer was handed over complete, and never from inside a function of this header. */
void http_on_abort(struct http_exchange *exchange, void (*on_abort)(struct http_exchange *, void *),
	void *arg) ON_LOOP;

/* Whole answer at once: copied or written before it returns. Content-Length, Date and Connection
 * are the server's; hop-by-hop headers and content-length in `headers` are dropped, as are headers
 * that are none (http_is_token, http_is_value); a status outside 200 to 599 becomes 500; `body` is
 * not sent for HEAD, 204 and 304. The exchange is gone afterwards. */
void http_answer(struct http_exchange *exchange, int status, const struct http_header *headers,
	size_t n_headers, struct str body) ON_LOOP;

/* Streamed answer: begin, write…, end. Chunked on HTTP/1.1, DATA on HTTP/2, close-delimited on
 * 1.0. http_answer_write gives the bytes now queued for this client; above 256 KiB the caller
 * should wait for on_drain, which is called when no more than 64 KiB are left of what was more
 * after a write. http_answer_cut breaks the answer off so that the client can tell
 * (connection closed without the last chunk; RST_STREAM). */
void http_answer_begin(struct http_exchange *exchange, int status,
	const struct http_header *headers, size_t n_headers) ON_LOOP;
size_t http_answer_write(struct http_exchange *exchange, struct str bytes) ON_LOOP;
void http_answer_end(struct http_exchange *exchange) ON_LOOP;
void http_answer_cut(struct http_exchange *exchange) ON_LOOP;
void http_on_drain(struct http_exchange *exchange, void (*on_drain)(struct http_exchange *, void *),
	void *arg) ON_LOOP;

/* ---- TLS ---- */
/* PEM files; TLS 1.2 and 1.3, ALPN h2 then http/1.1. tls_context_reload reads them again for new
 * connections. */
int tls_context_new(const char *certificate_path, const char *key_path, struct tls_context **ret,
	struct err *err);
int tls_context_reload(struct tls_context *tls, struct err *err);
void tls_context_free(struct tls_context *tls);

/* Binds "127.0.0.1:8080", "[::1]:8443" or "0.0.0.0:80" with SO_REUSEADDR, close-on-exec; port 0
 * takes a free one. Gives the descriptor. */
int http_bind(const char *address, struct err *err);

#endif
