/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_error - every error of every road in one shape: {"code","message","field","call_id"}.
 *
 * `field` and `call_id` are there only where there is one. The code decides the status. What went
 * wrong inside the platform (ERR_SYSTEM, ERR_INTERNAL) is logged here with its reason, and the
 * client reads only that it happened. ON_LOOP.
 */
#ifndef MAYFLY_API_API_ERROR_H
#define MAYFLY_API_API_ERROR_H

#include "net/http_server.h"

/* The document; call_id may be NULL. */
void api_error_write(const struct err *err, const char *call_id, struct buf *out);

/* Answers the exchange with it and the headers that its code asks for (X-Mayfly-Error,
 * WWW-Authenticate, Retry-After); `allow` is for ERR_METHOD, else NULL. */
void api_error_answer(
	struct http_exchange *exchange, const struct err *err, const char *allow) ON_LOOP;

/* The same for a call, with X-Call-Id; retry_after_s is what the call says, 0 for nothing. */
void api_error_answer_call(struct http_exchange *exchange, const struct err *err,
	const char *call_id, unsigned retry_after_s) ON_LOOP;

#endif
