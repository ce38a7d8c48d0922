/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer - the head of a function's answer: from text to a status and headers.
 *
 * The text (frame.h) is foreign. What would change how the answer is carried (hop-by-hop headers
 * of RFC 9110 7.6.1) or is no header at all is refused with a sentence for the developer;
 * Content-Length is left out, since the length is what is really sent. ANY_THREAD.
 */
#ifndef MAYFLY_RUNTIME_ANSWER_H
#define MAYFLY_RUNTIME_ANSWER_H

#include "net/http.h"

enum { ANSWER_HEADERS = 100, ANSWER_HEAD_BYTES = 32 * 1024 };

struct answer {
	int status; /* 200 to 599 */
	size_t n;
	struct http_header headers[ANSWER_HEADERS]; /* borrowed from the text */
};

/* Lowers the case of names in the text itself. ERR_ANSWER_INVALID with the reason. */
int answer_parse(char *text, size_t len, struct answer *ret, struct err *err);

#endif
