/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_async - a call that is answered 202 when it is on disk, directly or by an org's route.
 *
 * X-Mayfly-Mode: async or ?mode=async asks for it; X-Mayfly-Order-Key, Idempotency-Key,
 * X-Callback-Url and X-Mayfly-Delay (seconds) say how. ON_LOOP.
 */
#ifndef MAYFLY_API_API_ASYNC_H
#define MAYFLY_API_API_ASYNC_H

#include "api/api_nouns.h"
#include "domain/delivery.h"

/* What X-Mayfly-Mode says: 1 async, 0 not; ERR_INVALID for a word that is neither. */
int api_async_mode(const struct http_request *http, struct err *err);

/* Answers 202 {"id","state","known"}, or the error. The event is the request's body. */
void api_async_direct(
	struct api_request *request, struct function *function, uint32_t version) ON_LOOP;

/* The same for a call by route; `head` names `id`. */
void api_async_route(struct http_exchange *exchange, struct function *function, const char *id,
	struct str head) ON_LOOP;

#endif
