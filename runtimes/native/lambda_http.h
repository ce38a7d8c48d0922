/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lambda_http - one HTTP/1.1 connection of a Lambda runtime to mayfly-lambda.
 *
 * Reads a request, hands its body over as it comes, writes one answer, and then takes the next
 * request. What is not HTTP closes the connection: the client is a part of the function, and its
 * requests are its own affair. Non-blocking, one thread.
 */
#ifndef MAYFLY_RUNTIMES_LAMBDA_HTTP_H
#define MAYFLY_RUNTIMES_LAMBDA_HTTP_H

#include "mf_inside.h"

#define LAMBDA_BODY_MAX (64u << 20)

enum lambda_http_state {
	LAMBDA_HEAD,  /* reading a request's head */
	LAMBDA_BODY,  /* reading its body */
	LAMBDA_READY, /* a whole request is there, its answer is awaited */
	LAMBDA_CLOSED,
};

struct lambda_http {
	int fd; /* owned */
	enum lambda_http_state state;
	struct mf_bytes in, out;
	char method[16];
	char path[512];
	struct mf_bytes headers;                  /* "name:value\n" lines, names in lower case */
	struct mf_bytes body;                     /* decoded, what is there so far */
	struct mf_bytes trailers;                 /* as headers */
	uint64_t left;                            /* of the body, or of a chunk */
	bool is_chunked, is_in_trailers, is_last; /* is_last: close behind the answer */
};

/* Reads what is there and moves the state on. False when the connection is over. */
bool lambda_http_read(struct lambda_http *http);

/* Goes on with what was read before: call it when the answer of the last request is written. */
void lambda_http_go_on(struct lambda_http *http);

/* The value of a header in lines as above, NULL-terminated in ret; false if it is not there. */
bool lambda_http_header(const struct mf_bytes *lines, const char *name, char *ret, size_t size);

/* Answers the request that is READY (or whose rest does not matter) and awaits the next one.
 * `headers` are whole lines with CRLF. */
void lambda_http_answer(
	struct lambda_http *http, int status, const char *headers, const void *body, size_t size);

bool lambda_http_write(struct lambda_http *http); /* false when the connection is over */
void lambda_http_done(struct lambda_http *http);

#endif
