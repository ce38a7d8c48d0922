/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1_parse - bytes to the heads of HTTP/1.x requests, strictly (RFC 9112).
 *
 * Whatever the RFC leaves open to two readings is an error: that is what keeps a proxy in front
 * and this server from seeing two different requests in the same bytes. Fed in pieces of any
 * size; it keeps the head. It refuses at the first byte that cannot be
 * right, so a client need not finish a broken head to learn of it.
 *
 * Knows no socket, no handler, no limit but those it is given. Any thread, one at a time. Fuzzed
 * by fuzz_http1, and by fuzz_http1_diff beside llhttp.
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

#endif
