/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1_chunked - the data of a chunked body, out of its framing, strictly (RFC 9112 7.1).
 *
 *	SIZE ─▶ DATA ─▶ DATA_CR, DATA_LF ─▶ SIZE
 *	  │ 0
 *	  ▼
 *	TRAILER, a field each ─▶ LAST_LF ─▶ DONE
 *
 * Fed in pieces of any size; keeps nothing. Fields of the trailer are checked and dropped.
 * Any thread, one at a time.
 */
#ifndef MAYFLY_NET_HTTP1_CHUNKED_H
#define MAYFLY_NET_HTTP1_CHUNKED_H

#include "net/http.h"

enum http1_chunked_state {
	HTTP1_CHUNKED_SIZE,
	HTTP1_CHUNKED_EXTENSION,
	HTTP1_CHUNKED_SIZE_LF,
	HTTP1_CHUNKED_DATA,
	HTTP1_CHUNKED_DATA_CR,
	HTTP1_CHUNKED_DATA_LF,
	HTTP1_CHUNKED_TRAILER,       /* at the beginning of a line */
	HTTP1_CHUNKED_TRAILER_NAME,  /* inside a field's name */
	HTTP1_CHUNKED_TRAILER_VALUE, /* inside its value */
	HTTP1_CHUNKED_TRAILER_LF,
	HTTP1_CHUNKED_LAST_LF,
	HTTP1_CHUNKED_DONE,
};

struct http1_chunked {
	enum http1_chunked_state state;
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
