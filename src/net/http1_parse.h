/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1_parse - bytes to HTTP/1.x message heads and bodies, strictly (RFC 9112).
 *
 * Whatever the RFC leaves open to two readings is an error: that is what keeps a proxy in front
 * and this server from seeing two different requests in the same bytes. Fed in pieces of any
 * size; it keeps the head, and bodies pass through. It refuses at the first byte that cannot be
 * right, so a client need not finish a broken head to learn of it.
 *
 *	LINE_START ─▶ HEADERS ─▶ done      of a head
 *	SIZE ─▶ DATA ─▶ DATA_END ─▶ SIZE   of a chunked body; size 0 leads to
 *	TRAILER ─▶ done                    whose fields are checked and dropped
 *
 * Knows no socket, no handler, no limit but those it is given. Any thread, one at a time.
 */
#ifndef MAYFLY_NET_HTTP1_PARSE_H
#define MAYFLY_NET_HTTP1_PARSE_H

#include "net/http.h"

struct http1_limits {
	size_t block_bytes;  /* request line and header fields together, with their line ends */
	size_t target_bytes; /* 414 beyond */
	unsigned n_headers;
	bool takes_connect; /* CONNECT is for proxies alone: 405 without */
};

/* A field's place in `bytes`, valid while they grow. */
struct http1_field {
	uint32_t name, name_len, value, value_len;
};

enum http1_body { HTTP1_BODY_NONE, HTTP1_BODY_LENGTH, HTTP1_BODY_CHUNKED };

struct http1_head {
	struct http1_limits limits;
	struct buf bytes;            /* owned: the lines so far */
	struct http1_field *fields;  /* owned */
	struct http_header *headers; /* owned: made of fields when the head is complete */
	size_t n_fields, fields_cap;
	size_t line;              /* where the unfinished line begins in bytes */
	unsigned n_blank;         /* empty lines in front of the request line */
	bool has_first;           /* the request line is behind */
	struct http1_field first; /* the method as name, the target as value */
	unsigned minor;           /* of HTTP/1.minor: 0 or 1 */

	/* what it says, set when it is complete */
	struct str method, target, path, query, authority;
	bool is_absolute; /* the target had a scheme and an authority */
	enum http1_body body;
	uint64_t content_length; /* of HTTP1_BODY_LENGTH */
	bool is_keep_alive;
	bool expects_continue;
};

void http1_head_init(struct http1_head *head, const struct http1_limits *limits);
void http1_head_reset(struct http1_head *head); /* for the next head; keeps the memory */
void http1_head_done(struct http1_head *head);

/* True once a byte of the head has come. */
bool http1_head_is_begun(const struct http1_head *head);

/* Takes bytes up to the end of the head; *ret_used of them belong to it. 1: complete; 0: more is
 * needed; ERR_INVALID, ERR_URI_TOO_LONG, ERR_HEADERS_TOO_LARGE, ERR_VERSION, ERR_METHOD,
 * ERR_EXPECTATION, ERR_UNIMPLEMENTED with a sentence that the client may see. */
int http1_head_feed(struct http1_head *head, struct str bytes, size_t *ret_used, struct err *err);

/* ---- chunked bodies (RFC 9112 7.1) ---- */

enum http1_chunk_state {
	HTTP1_CHUNK_SIZE,
	HTTP1_CHUNK_EXTENSION,
	HTTP1_CHUNK_SIZE_LF,
	HTTP1_CHUNK_DATA,
	HTTP1_CHUNK_DATA_CR,
	HTTP1_CHUNK_DATA_LF,
	HTTP1_CHUNK_TRAILER,       /* at the beginning of a line */
	HTTP1_CHUNK_TRAILER_NAME,  /* inside a field's name */
	HTTP1_CHUNK_TRAILER_VALUE, /* inside its value */
	HTTP1_CHUNK_TRAILER_LF,
	HTTP1_CHUNK_LAST_LF,
	HTTP1_CHUNK_DONE,
};

struct http1_chunked {
	enum http1_chunk_state state;
	uint64_t left;     /* of the chunk */
	unsigned n_digits; /* of the size */
	size_t n_overhead; /* bytes of extensions and trailers so far, bounded */
};

void http1_chunked_init(struct http1_chunked *chunked);

/* Reads framing up to the next piece of data: *ret_used bytes of framing and data were read, and
 * *ret_data, inside `bytes`, is the data at their end (may be empty). 1: the body is complete;
 * 0: call again with the rest, or with more when nothing is left; ERR_INVALID. */
int http1_chunked_feed(struct http1_chunked *chunked, struct str bytes, size_t *ret_used,
	struct str *ret_data, struct err *err);

#endif
